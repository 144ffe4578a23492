//! A capture of statements: what clients send, copied on its way past, while an
//! administrator listens.
//!
//! Off, it costs one relaxed load for each read of a client. On, a worker copies what
//! it read and passes it on without ever waiting: what finds no room is not passed on,
//! and then nothing of that session counts. Only clients that are logged in are taken,
//! so no password can be in it but one that a statement holds.
//!
//! ```text
//!   worker ─► Common::tap ─► queue (bounded) ─► Tapping ─► API
//!     └ Conn::tapped: whose session it is in this capture
//! ```

use crate::admin::Handle;
use config::StatementCapture;
use events::Time;
use events::tap::{Limits, Over, RECORD_BYTES_MAX, Reason, Record, Refused, SESSIONS_MAX, What};
use relay::{Hub, Tappable};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Records that wait to be sent, and their bytes.
const QUEUE_MAX: usize = 32_768;
const QUEUE_BYTES_MAX: usize = 32 << 20;
/// Bytes of records that are handed over at once.
const BATCH_BYTES: usize = 256 << 10;
/// Most that a session may have had before.
const BEFORE_BYTES_MAX: usize = RECORD_BYTES_MAX / 2;

/// Where workers look whether somebody listens.
#[derive(Default)]
pub(crate) struct Tap {
    /// The number of the capture that runs, or 0.
    on: AtomicU32,
    /// The last number.
    last: AtomicU32,
    running: Mutex<Option<Arc<Running>>>,
}

/// A capture that runs.
struct Running {
    number: u32,
    began: Time,
    records: SyncSender<Record>,
    /// Bytes in the queue.
    queued: AtomicUsize,
    sessions: AtomicU32,
    untaken: AtomicU32,
    /// Sessions of which something found no room; locked once for each.
    lost: Mutex<Vec<u32>>,
    /// A person, or the end of the process, stops it.
    stopped: AtomicBool,
}

/// How a client stands towards the capture with this number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tapped {
    capture: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// It has sent nothing since.
    #[default]
    Unseen,
    /// It has sent something, and was not at rest before it.
    Untaken,
    /// It is captured, as the session with this number.
    Taken(u32),
    /// Nothing of it counts.
    Left,
}

impl Tap {
    /// Whether a capture runs.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed) != 0
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's own view, renewed when another capture runs.
    fn seen<'a>(&self, known: &'a mut Seen) -> Option<&'a Running> {
        let on = self.on.load(Ordering::Acquire);
        if known.0.as_ref().map_or(0, |running| running.number) != on {
            known.0 = self.running().clone().filter(|r| r.number == on);
        }
        known.0.as_deref()
    }

    fn end(&self, number: u32) {
        let mut running = self.running();
        if running.as_ref().is_some_and(|r| r.number == number) {
            self.on.store(0, Ordering::Release);
            *running = None;
        }
    }
}

/// The capture that a worker knows of.
#[derive(Default)]
pub(crate) struct Seen(Option<Arc<Running>>);

impl Seen {
    /// Lets go of a capture that is over, and its queue.
    pub(crate) fn look(&mut self, tap: &Tap) {
        if self.0.is_some() && !tap.is_on() {
            self.0 = None;
        }
    }
}

/// Passes on what a client sent, before it is handled. Called only while a capture runs.
#[cold]
pub(crate) fn said(
    tap: &Tap,
    seen: &mut Seen,
    tapped: &mut Tapped,
    (hub, slot): (&Hub, u32),
    now: Time,
    input: &[u8],
) {
    let Some(running) = tap.seen(seen) else {
        return;
    };
    if tapped.capture != running.number {
        *tapped = Tapped {
            capture: running.number,
            state: State::Unseen,
        };
    }
    if matches!(tapped.state, State::Unseen | State::Untaken) {
        running.meet(tapped, (hub, slot), now);
    }
    if let State::Taken(session) = tapped.state
        && !running.pass(session, now, What::Sent(input.to_vec()))
    {
        tapped.state = State::Left;
    }
}

/// Passes on that a client's connection ended.
#[cold]
pub(crate) fn left(tap: &Tap, seen: &mut Seen, tapped: Tapped, now: Time) {
    if let Some(running) = tap.seen(seen)
        && tapped.capture == running.number
        && let State::Taken(session) = tapped.state
    {
        running.pass(session, now, What::Ended);
    }
}

impl Running {
    /// Takes a client, if it can be taken now.
    fn meet(&self, tapped: &mut Tapped, (hub, slot): (&Hub, u32), now: Time) {
        let first = tapped.state == State::Unseen;
        // With all numbers given nobody needs to be looked at.
        let room = self.sessions.load(Ordering::Relaxed) < SESSIONS_MAX;
        let look = || hub.tappable(slot, self.began, BEFORE_BYTES_MAX);
        let (taken, stays) = match room.then(look) {
            Some(Tappable::Never) => return,
            Some(Tappable::Now(taken)) => (Some(taken), State::Untaken),
            Some(Tappable::Busy) => (None, State::Untaken),
            Some(Tappable::TooMuch) | None => (None, State::Left),
        };
        let Some(taken) = taken else {
            if first {
                self.untaken.fetch_add(1, Ordering::Relaxed);
            }
            tapped.state = stays;
            return;
        };
        if !first {
            self.untaken.fetch_sub(1, Ordering::Relaxed);
        }
        let session = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        tapped.state = match self.pass(session, now, What::Taken(taken)) {
            true => State::Taken(session),
            false => State::Left,
        };
    }

    /// Puts a record into the queue; `false`: there is no room, and the session is lost.
    fn pass(&self, session: u32, now: Time, what: What) -> bool {
        let bytes = cost(&what);
        let record = Record {
            session,
            at_us: now.since(self.began).as_micros() as u64,
            what,
        };
        let queued = self.queued.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if queued <= QUEUE_BYTES_MAX && self.records.try_send(record).is_ok() {
            return true;
        }
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
        self.lost().push(session);
        false
    }

    fn lost(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a record counts in the queue.
fn cost(what: &What) -> usize {
    size_of::<Record>()
        + match what {
            What::Taken(taken) => taken.bytes(),
            What::Sent(bytes) => bytes.len(),
            _ => 0,
        }
}

/// Somebody listens. Dropping it ends the capture.
pub struct Tapping {
    handle: Handle,
    running: Arc<Running>,
    records: Receiver<Record>,
    limits: Limits,
    /// Bytes that clients sent so far.
    bytes: u64,
    /// Sessions that were told lost.
    lost: u32,
    /// There was more than fits into one piece.
    more: bool,
    ended: Option<Reason>,
    told: bool,
}

impl Handle {
    /// Listens to what clients send, from now on.
    ///
    /// # Errors
    /// The settings do not allow it, or somebody listens already.
    pub fn tap(&self, limits: Limits) -> Result<Tapping, Refused> {
        if self.plan().api.statements != StatementCapture::Allow {
            return Err(Refused::NotAllowed);
        }
        let tap = &self.common().tap;
        let mut held = tap.running();
        if held.is_some() {
            return Err(Refused::Busy);
        }
        let (sender, records) = sync_channel(QUEUE_MAX);
        // Never 0, however often.
        let number = tap
            .last
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1)
            .max(1);
        let running = Arc::new(Running {
            number,
            began: self.clock_now(),
            records: sender,
            queued: AtomicUsize::new(0),
            sessions: AtomicU32::new(0),
            untaken: AtomicU32::new(0),
            lost: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        *held = Some(Arc::clone(&running));
        tap.on.store(number, Ordering::Release);
        drop(held);
        Ok(Tapping {
            handle: self.clone(),
            running,
            records,
            limits,
            bytes: 0,
            lost: 0,
            more: false,
            ended: None,
            told: false,
        })
    }

    /// Ends the capture that runs. `false`: none does.
    pub fn stop_tap(&self) -> bool {
        let running = self.common().tap.running().clone();
        running.is_some_and(|r| !r.stopped.swap(true, Ordering::Relaxed))
    }

    /// Whether a capture of statements runs.
    pub fn is_tapped(&self) -> bool {
        self.common().tap.is_on()
    }
}

impl Tapping {
    /// Ends it where its time is over, or a person or the settings say so. Cheap; to be
    /// called also while what was heard cannot be passed on.
    pub fn look(&mut self) {
        let lasted = self.handle.clock_now().since(self.running.began);
        if self.ended.is_some() {
        } else if self.running.stopped.load(Ordering::Relaxed) {
            self.end(Reason::Stopped);
        } else if lasted >= self.limits.span {
            self.end(Reason::Time);
        } else if self.handle.plan().api.statements != StatementCapture::Allow {
            self.end(Reason::Off);
        }
    }

    /// From now on nothing more is heard; what was heard is still there.
    pub fn end(&mut self, reason: Reason) {
        if self.ended.is_none() {
            self.ended = Some(reason);
            self.handle.common().tap.end(self.running.number);
        }
    }

    /// What came meanwhile, so long after the last call; empty: nothing came. `None`:
    /// that was all. It looks from time to time and does not wait for a record: else
    /// each record would wake this thread, which costs a worker more than the record.
    pub fn next(&mut self, pause: Duration) -> Option<Vec<u8>> {
        if !self.more && self.ended.is_none() {
            std::thread::park_timeout(pause);
        }
        self.look();
        let mut out = Vec::new();
        self.more = false;
        // First: however the rest ends, nobody takes half a session for a whole one.
        self.tell_lost(&mut out);
        while let Ok(record) = self.records.try_recv() {
            let queued = &self.running.queued;
            queued.fetch_sub(cost(&record.what), Ordering::Relaxed);
            self.bytes += match &record.what {
                What::Sent(bytes) => bytes.len() as u64,
                What::Taken(taken) => taken.bytes() as u64,
                _ => 0,
            };
            record.put(&mut out);
            if self.bytes >= self.limits.bytes {
                self.end(Reason::Size);
            }
            if out.len() >= BATCH_BYTES {
                self.more = true;
                return Some(out);
            }
        }
        self.tell_lost(&mut out);
        if let Some(reason) = self.ended
            && out.is_empty()
        {
            if self.told {
                return None;
            }
            self.told = true;
            let what = What::Over(self.over(reason));
            self.record(0, what).put(&mut out);
        }
        Some(out)
    }

    /// A sign of life.
    pub fn alive(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.record(0, What::Alive).put(&mut out);
        out
    }

    /// What came of it so far.
    pub fn over(&self, reason: Reason) -> Over {
        let sessions = self.running.sessions.load(Ordering::Relaxed);
        Over {
            reason: self.ended.unwrap_or(reason),
            sessions,
            lost: self.lost + self.running.lost().len() as u32,
            untaken: self.running.untaken.load(Ordering::Relaxed),
            bytes: self.bytes,
        }
    }

    fn tell_lost(&mut self, out: &mut Vec<u8>) {
        let lost = std::mem::take(&mut *self.running.lost());
        self.lost += lost.len() as u32;
        for session in lost {
            self.record(session, What::Lost).put(out);
        }
    }

    fn record(&self, session: u32, what: What) -> Record {
        let at = self.handle.clock_now().since(self.running.began);
        Record {
            session,
            at_us: at.as_micros() as u64,
            what,
        }
    }
}

impl Drop for Tapping {
    fn drop(&mut self) {
        self.end(Reason::Gone);
    }
}
