//! The recorder of traffic: short windows in which each request is written down.
//!
//! A window ends with its [`REQUESTS`]th request or after [`SPAN_MAX`]; the next
//! begins [`PAUSE`] after it began. So a quiet pool is recorded nearly always, and
//! a busy one a few hundredths of the time. Waits and holds that last longer than the window
//! are completed when they end, as long as the window is kept. Outside of a window
//! a checkout costs one branch and one store more, a return one branch. Memory
//! is taken once, when a window first begins, and bounded by [`WINDOWS`].
//!
//! What a lease was for its worker tells shortly before it ends, and only of those
//! that are on the tape: reading a statement costs more than all the rest.

use crate::list::NIL;
use events::shape::{ClassShape, End, REQUESTS_MAX, Request, Start, WINDOW_CLASSES_MAX, Window};
use events::{ClientId, Time};
use std::sync::Arc;
use std::time::Duration;

/// Windows that are kept.
pub(crate) const WINDOWS: usize = 32;
/// Requests in one window: together they are what a shape may hold.
const REQUESTS: usize = REQUESTS_MAX / WINDOWS;
/// Longest window.
const SPAN_MAX: Duration = Duration::from_secs(10);
/// From the beginning of a window to the next.
const PAUSE: Duration = Duration::from_secs(1);
/// The latest windows are all kept; of the older ones, those that lie evenly.
const LATEST: usize = 8;
/// A window older than this goes.
const AGE_MAX: Duration = Duration::from_secs(3600);

/// Names a request on the tape: window, place in it, and which window it was.
/// [`NIL`]: it is not recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark(u32);

impl Mark {
    /// Not recorded.
    pub const NONE: Mark = Mark(NIL);

    #[inline]
    pub fn is_set(self) -> bool {
        self.0 != NIL
    }

    fn new(slot: usize, at: usize, turn: u32) -> Mark {
        Mark((turn & TURNS) << 15 | (slot as u32) << 10 | at as u32)
    }

    fn slot(self) -> usize {
        (self.0 >> 10) as usize % WINDOWS
    }

    fn at(self) -> usize {
        self.0 as usize % REQUESTS
    }

    fn turn(self) -> u32 {
        self.0 >> 15
    }
}

/// One less than all ones, so that no mark is [`NIL`].
const TURNS: u32 = (1 << 17) - 2;

/// A request while it is under way or over.
#[derive(Clone, Copy, Debug)]
struct Entry {
    asked: Time,
    granted: Time,
    ended: Time,
    client: u32,
    pool: u32,
    flow: u32,
    in_use: u16,
    end: End,
    class: u16,
    idle_us: u32,
    rounds: u16,
}

/// What a lease was for, as its worker tells it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Purpose {
    /// The fingerprint of its last statement; 0: it is not known, or not to be shown.
    pub statement: u64,
    /// The statement without literals; empty where it is not to be shown.
    pub text: Arc<str>,
    /// How long the server waited for the client, inside a transaction.
    pub idle: Duration,
    /// How often the client sent something and was answered.
    pub rounds: u32,
}

#[derive(Clone, Debug, Default)]
struct Reel {
    began: Time,
    ended: Time,
    /// Requests that came before it began.
    before: u64,
    /// What its leases were for; they are numbered from 1.
    classes: Vec<(u64, Arc<str>)>,
    /// Which window of all this was.
    turn: u32,
    starts: Vec<Start>,
    entries: Vec<Entry>,
}

/// The windows of one upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    /// A window is under way. Read at each checkout.
    on: bool,
    slot: usize,
    turns: u32,
    next: Time,
    reels: Vec<Reel>,
    /// Slots of `reels` that hold a window, oldest first.
    order: Vec<usize>,
}

/// What a request is known by.
#[derive(Clone, Copy)]
pub(crate) struct Asker {
    pub pool: usize,
    pub flow: u32,
    pub client: ClientId,
}

impl Tape {
    /// Whether requests are written down now.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// A request came. Call it while the tape [is on](Tape::is_on).
    #[cold]
    pub fn asked(&mut self, now: Time, asker: Asker) -> Mark {
        let ClientId {
            worker,
            generation,
            slot,
        } = asker.client;
        let mixed = slot ^ (u32::from(worker.0) << 24) ^ generation.wrapping_mul(0x9E37_79B1);
        let (turn, slot) = (self.turns, self.slot);
        // Shapes number pools by 16 bits.
        if asker.pool > usize::from(u16::MAX) {
            return Mark::NONE;
        }
        let Some(reel) = self.reels.get_mut(slot) else {
            return Mark::NONE;
        };
        let at = reel.entries.len();
        reel.entries.push(Entry {
            asked: now,
            granted: Time::FAR,
            ended: Time::FAR,
            client: mixed,
            pool: asker.pool as u32,
            flow: asker.flow,
            in_use: 0,
            end: End::Waiting,
            class: 0,
            idle_us: 0,
            rounds: 0,
        });
        if reel.entries.len() >= REQUESTS {
            reel.ended = now;
            self.on = false;
        }
        Mark::new(slot, at, turn)
    }

    #[cold]
    pub fn granted(&mut self, now: Time, mark: Mark, in_use: u32) {
        if let Some(entry) = self.entry(mark) {
            entry.granted = now;
            entry.in_use = u16::try_from(in_use).unwrap_or(u16::MAX);
            entry.end = End::Held;
        }
    }

    /// A lease ended, or a wait without one.
    #[cold]
    pub fn ended(&mut self, now: Time, mark: Mark, end: End) {
        if let Some(entry) = self.entry(mark) {
            entry.ended = now;
            entry.end = end;
        }
    }

    /// What the lease is for.
    #[cold]
    pub fn told(&mut self, mark: Mark, purpose: &Purpose) {
        if self.entry(mark).is_none() {
            return;
        }
        let Some(reel) = self.reels.get_mut(mark.slot()) else {
            return;
        };
        let class = reel.class(purpose);
        if let Some(entry) = reel.entries.get_mut(mark.at()) {
            entry.class = class;
            entry.idle_us = micros(purpose.idle);
            entry.rounds = u16::try_from(purpose.rounds).unwrap_or(u16::MAX);
        }
    }

    fn entry(&mut self, mark: Mark) -> Option<&mut Entry> {
        let reel = self.reels.get_mut(mark.slot()).filter(|_| mark.is_set())?;
        // Its window may have gone meanwhile.
        let same = reel.turn & TURNS == mark.turn();
        reel.entries.get_mut(mark.at()).filter(|_| same)
    }

    /// Ends a window that lasted long enough. True: another is due, to be begun
    /// by [`Tape::begin`].
    pub fn turn(&mut self, now: Time) -> bool {
        if self.on
            && let Some(reel) = self.reels.get_mut(self.slot)
            && now >= reel.began.after(SPAN_MAX)
        {
            reel.ended = now;
            self.on = false;
        }
        !self.on && now >= self.next
    }

    /// A window begins. `before`: requests that came since the pooler started.
    pub fn begin(&mut self, now: Time, before: u64, starts: Vec<Start>) {
        self.slot = self.make_room(now);
        self.turns = self.turns.wrapping_add(1);
        self.next = now.after(PAUSE);
        self.on = true;
        self.order.push(self.slot);
        if let Some(reel) = self.reels.get_mut(self.slot) {
            reel.began = now;
            reel.ended = Time::FAR;
            reel.turn = self.turns;
            reel.before = before;
            reel.starts = starts;
            reel.classes.clear();
            reel.entries.clear();
            reel.entries.reserve_exact(REQUESTS);
        }
    }

    /// A slot without a window: a window without requests, one that is too old, or
    /// the one that leaves the smallest gap goes if all are in use.
    fn make_room(&mut self, now: Time) -> usize {
        let began = |slot: usize| self.reels.get(slot).map_or(Time::ZERO, |reel| reel.began);
        let old = |slot: usize| now.since(began(slot)) > AGE_MAX;
        let idle = |slot: usize| self.reels.get(slot).is_some_and(|r| r.entries.is_empty());
        let goes = self
            .order
            .iter()
            .position(|slot| old(*slot) || idle(*slot))
            .or_else(|| {
                if self.order.len() < WINDOWS {
                    return None;
                }
                let gap = |at: &usize| {
                    let (before, after) = (self.order.get(at - 1), self.order.get(at + 1));
                    let (before, after) = (before.map(|s| began(*s)), after.map(|s| began(*s)));
                    after.unwrap_or(now).since(before.unwrap_or(Time::ZERO))
                };
                (1..WINDOWS - LATEST).min_by_key(gap)
            });
        if let Some(at) = goes {
            return self.order.remove(at);
        }
        self.reels.push(Reel::default());
        self.reels.len() - 1
    }

    /// The oldest window that began then or later, and its classes, as its
    /// requests number them. `flow` numbers the flows of a pool for the shape.
    pub fn window(
        &self,
        now: Time,
        since: Time,
        mut flow: impl FnMut(u32, u32) -> u16,
    ) -> Option<(Window, Vec<ClassShape>)> {
        let reels = self.order.iter().filter_map(|slot| self.reels.get(*slot));
        // What is not asked for is not put together.
        let reel = reels.into_iter().find(|reel| reel.began >= since)?;
        let mut requests = Vec::with_capacity(reel.entries.len());
        for entry in &reel.entries {
            let over = entry.ended.min(now);
            let granted = entry.granted.min(over);
            requests.push(Request {
                asked_us: micros(entry.asked.since(reel.began)),
                pool: entry.pool as u16,
                flow: flow(entry.pool, entry.flow),
                client: entry.client,
                wait_us: micros(granted.since(entry.asked)),
                hold_us: micros(over.since(granted)),
                in_use: entry.in_use,
                end: entry.end,
                class: entry.class,
                idle_us: entry.idle_us,
                rounds: entry.rounds,
            });
        }
        // Two workers may have read the clock in either order.
        requests.sort_by_key(|request| request.asked_us);
        let window = Window {
            at_us: reel.began.as_micros(),
            span_us: micros(reel.ended.min(now).since(reel.began)).max(1),
            before: reel.before,
            starts: reel.starts.clone(),
            requests,
        };
        Some((window, reel.class_shapes()))
    }
}

impl Reel {
    /// The number of a class, new or known; 0 beyond the bound.
    fn class(&mut self, purpose: &Purpose) -> u16 {
        if purpose.statement == 0 {
            return 0;
        }
        let known = |(statement, _): &(u64, Arc<str>)| *statement == purpose.statement;
        let at = self.classes.iter().position(known).or_else(|| {
            let room = self.classes.len() + 1 < WINDOW_CLASSES_MAX;
            room.then(|| {
                let text = Arc::clone(&purpose.text);
                self.classes.push((purpose.statement, text));
                self.classes.len() - 1
            })
        });
        at.map_or(0, |at| at as u16 + 1)
    }

    fn class_shapes(&self) -> Vec<ClassShape> {
        let known = self.classes.iter().map(|(fingerprint, text)| ClassShape {
            name: String::new(),
            fingerprint: *fingerprint,
            text: text.to_string(),
        });
        std::iter::once(ClassShape::default())
            .chain(known)
            .collect()
    }
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}
