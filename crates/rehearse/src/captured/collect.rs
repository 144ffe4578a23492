//! Puts readings of a running pooler together.
//!
//! A pooler keeps a few windows; it is read often enough to miss none of the
//! newest. A window may be read again, with leases that have ended meanwhile.
//! Readings number pools, flows, classes and clients each in its own way, so
//! all are told apart by what they are called.

use events::sample::Sample;
use events::shape::{
    CLASSES_MAX, Capture, ClassShape, End, FLOWS_MAX, POOLS_MAX, PoolShape, Request, SLOTS,
    ServerShape, Shape, Slot, Window,
};
use std::collections::BTreeMap;
use std::fmt;

/// Windows of one server that are kept while it is collected; beyond them, those
/// go that leave the smallest gaps.
const WINDOWS_KEPT: usize = 256;
/// A request's line is no shorter.
const REQUEST_BYTES: usize = 12;
/// Fewer requests of each window are not kept: then there are fewer windows.
const REQUESTS_LEAST: usize = 32;
const SLOT_S: u64 = 300;
/// No window lasts longer: one that began before the capture may reach into it, and one
/// without a request so far, which no reading has, may get some.
const WINDOW_US: u64 = 11_000_000;
/// Windows of so long ago are read again while one of their leases has not ended.
const UNFINISHED_US: u64 = 300_000_000;

/// Why a reading does not go on where the last one ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadingError {
    /// Its clock is behind: the pooler was started anew.
    Restarted,
}

impl fmt::Display for ReadingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pooler was started anew")
    }
}

impl std::error::Error for ReadingError {}

/// What was gathered so far.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    servers: Vec<Server>,
    slots: BTreeMap<u16, Slot>,
    /// What came before this is not taken.
    began_us: Option<u64>,
    until_us: u64,
}

#[derive(Clone, Debug, Default)]
struct Server {
    shape: ServerShape,
    windows: BTreeMap<u64, Window>,
    /// Where the capture began, and how many requests had come by then.
    began: (u64, u64),
}

impl Collector {
    /// Nothing was gathered yet.
    pub fn new() -> Collector {
        Collector::default()
    }

    /// A reading. The first one says when the capture began.
    ///
    /// # Errors
    /// It is of another life of the pooler. What was gathered stays.
    pub fn take(&mut self, reading: Shape) -> Result<(), ReadingError> {
        let until = reading.servers.iter().map(|s| s.until_us).max();
        let until = until.unwrap_or(self.until_us);
        if until < self.until_us {
            return Err(ReadingError::Restarted);
        }
        self.until_us = until;
        let began = *self.began_us.get_or_insert(until);
        for server in reading.servers {
            let known = self.servers.iter().position(|s| same(&s.shape, &server));
            let known = known.unwrap_or_else(|| {
                self.servers.push(Server {
                    began: (server.until_us, server.asked),
                    ..Server::default()
                });
                self.servers.len() - 1
            });
            if let Some(known) = self.servers.get_mut(known) {
                known.take(server, began);
            }
        }
        Ok(())
    }

    /// What was counted in some time, a second or a minute.
    pub fn count(&mut self, sample: &Sample) {
        let began_s = u64::try_from(sample.at_ms - i64::from(sample.span_ms)).unwrap_or(0) / 1_000;
        let of_day = u16::try_from(began_s / SLOT_S % u64::from(SLOTS)).unwrap_or(0);
        let slot = self.slots.entry(of_day).or_insert(Slot {
            of_day,
            ..Slot::default()
        });
        slot.seconds = slot.seconds.saturating_add(sample.span_ms.div_ceil(1_000));
        for pool in &sample.pools {
            slot.granted += pool.arrivals;
            slot.refused += pool.refused;
            slot.held_ms += pool.hold.sum_us / 1_000;
        }
        slot.logins += sample.clients.logins;
        slot.clients = slot.clients.max(sample.clients.connected.most);
    }

    /// Requests that were recorded so far.
    pub fn requests(&self) -> usize {
        let windows = self.servers.iter().flat_map(|s| s.windows.values());
        windows.map(|w| w.requests.len()).sum()
    }

    /// From where on the next reading is to have windows, microseconds of the
    /// pooler's clock: those that are new, and those with leases that may have ended.
    pub fn since_us(&self) -> u64 {
        let Some(began) = self.began_us else {
            // The first one only says what time it is.
            return 0;
        };
        let first = began.saturating_sub(WINDOW_US);
        let since = self.servers.iter().map(|s| s.since_us(self.until_us)).min();
        // Of a window that reached into the capture only its rest is known, from there on.
        since.filter(|since| *since > began).unwrap_or(first)
    }

    /// The newest moment that was read, microseconds of the pooler's clock.
    pub fn until_us(&self) -> u64 {
        self.until_us
    }

    /// The shape. Of a text longer than `bytes`, windows lose requests at their
    /// ends, and then some of them go, so that all of the time stays covered.
    pub fn shape(&self, began_s: u64, lasted_s: u32, whole: bool, bytes: usize) -> Shape {
        let slots = self.slots.values().filter(|s| s.seconds > 0);
        let servers = self.servers.iter().map(Server::finished);
        let shape = Shape {
            capture: Some(Capture {
                began_s,
                lasted_s,
                whole,
                slots: slots.copied().collect(),
            }),
            servers: servers.filter(|s| !s.windows.is_empty()).collect(),
        };
        bounded(shape, bytes)
    }
}

/// No two servers have a pool of the same database and user.
fn same(known: &ServerShape, new: &ServerShape) -> bool {
    let named = |a: &PoolShape, b: &PoolShape| a.database == b.database && a.user == b.user;
    (new.pools.iter()).any(|new| known.pools.iter().any(|known| named(known, new)))
}

impl Server {
    /// Each window that is read costs the pooler: what is over and known is not asked
    /// for again.
    fn since_us(&self, until_us: u64) -> u64 {
        let ended = |r: &Request| !matches!(r.end, End::Held | End::Waiting);
        let over = |w: &Window| w.ends_us() < until_us && w.requests.iter().all(ended);
        let again = self.windows.range(until_us.saturating_sub(UNFINISHED_US)..);
        let open = again.filter(|(_, w)| !over(w)).map(|(at, _)| *at).next();
        let newest = self.windows.keys().next_back().map_or(0, |at| at + 1);
        let next = newest.max(until_us.saturating_sub(WINDOW_US));
        open.unwrap_or(next).min(next)
    }

    fn take(&mut self, reading: ServerShape, began_us: u64) {
        let known = &mut self.shape;
        (known.line, known.open_us) = (reading.line, reading.open_us);
        known.asked = known.asked.max(reading.asked);
        known.until_us = known.until_us.max(reading.until_us);
        let classes: Vec<u16> = (reading.classes.iter())
            .map(|class| place_of_class(&mut known.classes, class))
            .collect();
        let pools: Vec<Option<(u16, Vec<u16>)>> = (reading.pools.iter())
            .map(|pool| place_of_pool(&mut known.pools, pool))
            .collect();
        let pool_of = |number: u16| pools.get(usize::from(number)).and_then(Option::as_ref);
        let windows = reading.windows.into_iter();
        for mut window in windows.filter_map(|w| since(w, began_us)) {
            window.starts.retain_mut(|start| {
                let place = pool_of(start.pool);
                start.pool = place.map_or(0, |(pool, _)| *pool);
                place.is_some()
            });
            window.requests.retain_mut(|r| {
                let Some((pool, flows)) = pool_of(r.pool) else {
                    return false;
                };
                r.flow = flows.get(usize::from(r.flow)).copied().unwrap_or(0);
                r.pool = *pool;
                r.class = classes.get(usize::from(r.class)).copied().unwrap_or(0);
                true
            });
            self.windows.insert(window.at_us, window);
        }
        thin(&mut self.windows, WINDOWS_KEPT);
    }

    /// Times from the first window on, counts too; clients by their first request.
    fn finished(&self) -> ServerShape {
        let mut shape = self.shape.clone();
        let requests = |w: &&Window| !w.requests.is_empty();
        shape.windows = self.windows.values().filter(requests).cloned().collect();
        // What came before the first window nobody knows; that nothing came, we do.
        let first = shape.windows.first().map(|w| (w.at_us, w.before));
        let (mut at_us, before) = first.unwrap_or_default();
        if before == self.began.1 && at_us > self.began.0 {
            let silence = Window {
                at_us: self.began.0,
                span_us: 1,
                before,
                ..Window::default()
            };
            at_us = silence.at_us;
            shape.windows.insert(0, silence);
        }
        shape.until_us = shape.until_us.saturating_sub(at_us);
        shape.asked = shape.asked.saturating_sub(before);
        let mut clients: BTreeMap<u32, u32> = BTreeMap::new();
        for window in &mut shape.windows {
            window.at_us -= at_us;
            window.before = window.before.saturating_sub(before);
            for request in &mut window.requests {
                let next = clients.len() as u32;
                request.client = *clients.entry(request.client).or_insert(next);
            }
        }
        // The hour before the capture is not part of it.
        shape.pools.iter_mut().for_each(|pool| pool.rows.clear());
        shape
    }
}

/// The part of a window from the begin of the capture on.
fn since(mut window: Window, began_us: u64) -> Option<Window> {
    if window.ends_us() <= began_us {
        return None;
    }
    let Some(left_out) = began_us.checked_sub(window.at_us).filter(|us| *us > 0) else {
        return Some(window);
    };
    // It is less than the window's span, which has 32 bits.
    let left_out = left_out as u32;
    let all = window.requests.len();
    window.requests.retain(|r| r.asked_us >= left_out);
    for request in &mut window.requests {
        request.asked_us -= left_out;
    }
    window.before += (all - window.requests.len()) as u64;
    window.at_us = began_us;
    window.span_us -= left_out;
    Some(window)
}

fn place_of_class(known: &mut Vec<ClassShape>, class: &ClassShape) -> u16 {
    let same = |c: &ClassShape| c.fingerprint == class.fingerprint;
    let at = known.iter().position(same);
    if at.is_none() && known.len() < CLASSES_MAX {
        known.push(class.clone());
        return known.len() as u16 - 1;
    }
    at.map_or(0, |at| at as u16)
}

/// The number of a pool, and those of its flows.
fn place_of_pool(known: &mut Vec<PoolShape>, pool: &PoolShape) -> Option<(u16, Vec<u16>)> {
    let same = |p: &PoolShape| p.database == pool.database && p.user == pool.user;
    let at = match known.iter().position(same) {
        Some(at) => at,
        None if known.len() < POOLS_MAX => {
            known.push(PoolShape {
                flows: vec![String::new()],
                rows: Vec::new(),
                ..pool.clone()
            });
            known.len() - 1
        }
        None => return None,
    };
    let known = known.get_mut(at)?;
    known.size = pool.size;
    known.clients = known.clients.max(pool.clients);
    let flows = (pool.flows.iter())
        .map(|flow| {
            let found = known.flows.iter().position(|f| f == flow);
            if found.is_none() && known.flows.len() < FLOWS_MAX {
                known.flows.push(flow.clone());
                return known.flows.len() as u16 - 1;
            }
            found.map_or(0, |found| found as u16)
        })
        .collect();
    Some((at as u16, flows))
}

/// Leaves so many windows, spread over the time.
fn thin(windows: &mut BTreeMap<u64, Window>, most: usize) {
    while windows.len() > most {
        let at: Vec<u64> = windows.keys().copied().collect();
        let gap = |three: &&[u64]| three[2] - three[0];
        let goes = at.windows(3).min_by_key(gap).map(|three| three[1]);
        let Some(goes) = goes.or(at.first().copied()) else {
            return;
        };
        windows.remove(&goes);
    }
}

/// The shape with so much less in it that its text is short enough.
fn bounded(shape: Shape, bytes: usize) -> Shape {
    let longest = shape.servers.iter().flat_map(|s| &s.windows);
    let longest = longest.map(|w| w.requests.len()).max().unwrap_or(0);
    let mut less = shape.clone();
    let mut most = longest;
    while less.requests() * REQUEST_BYTES > bytes || less.text_bytes() > bytes {
        if most > REQUESTS_LEAST {
            most = (most * 7 / 8).max(REQUESTS_LEAST);
        } else if !halve(&mut less) {
            return less;
        }
        for window in less.servers.iter_mut().flat_map(|s| &mut s.windows) {
            cut(window, most);
        }
    }
    less
}

/// Every second window goes. False: there is only one each.
fn halve(shape: &mut Shape) -> bool {
    let several = shape.servers.iter().any(|s| s.windows.len() > 1);
    for server in &mut shape.servers {
        let mut at = 0;
        server.windows.retain(|_| {
            at += 1;
            at % 2 == 1
        });
    }
    several
}

/// The window up to the first request that is too many.
fn cut(window: &mut Window, most: usize) {
    if let Some(Request { asked_us, .. }) = window.requests.get(most) {
        window.span_us = (*asked_us).max(1);
        window.requests.truncate(most);
    }
}
