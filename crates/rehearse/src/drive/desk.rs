//! Which request goes to which connection, and when it is too late for it.
//!
//! ```text
//!   due ─► arrive ─► queue ─► next ─► a free connection
//!                      │                    ▲
//!                      ▼ deadline           │ freed
//!                   expired             answered
//! ```
//!
//! It knows no socket and reads no clock. Times are since the start of the run.

use crate::workload::Due;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A request that is not answered yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    /// What was asked for.
    pub(crate) due: Due,
    /// From when on it may be sent: when it was due, or tried again.
    pub(crate) from: Duration,
    /// How often it was tried again.
    pub(crate) retries: u32,
}

/// A request meets a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Start {
    /// The connection's number.
    pub(crate) seat: usize,
    /// The request.
    pub(crate) request: Request,
    /// Since when it could have been sent: it was due, and the connection free.
    pub(crate) could: Duration,
}

/// Requests that wait and connections that are free.
#[derive(Debug)]
pub(crate) struct Desk {
    timeout: Duration,
    queue: VecDeque<Request>,
    /// Free connections and since when, longest first: all are used in turn, as by many clients.
    free: VecDeque<(usize, Duration)>,
    /// Requests that are to be tried again, by the moment and a number.
    later: BTreeMap<(Duration, u64), Request>,
    number: u64,
}

impl Desk {
    /// Nobody waits. A request may take this long from the moment at which it is due.
    pub(crate) fn new(timeout: Duration) -> Desk {
        Desk {
            timeout,
            queue: VecDeque::new(),
            free: VecDeque::new(),
            later: BTreeMap::new(),
            number: 0,
        }
    }

    /// A request is due.
    pub(crate) fn arrive(&mut self, due: Due) {
        self.queue.push_back(Request {
            due,
            from: due.at,
            retries: 0,
        });
    }

    /// A request is to be tried again at a later moment.
    pub(crate) fn again(&mut self, request: Request, at: Duration) {
        self.number += 1;
        let request = Request {
            from: at,
            retries: request.retries + 1,
            ..request
        };
        self.later.insert((at, self.number), request);
    }

    /// Requests to be tried again whose moment has come join the queue.
    pub(crate) fn wake(&mut self, now: Duration) {
        while let Some(first) = self.later.first_entry() {
            if first.key().0 > now {
                return;
            }
            // It has waited longest: its deadline comes before those in the queue.
            self.queue.push_front(first.remove());
        }
    }

    /// A connection can take a request.
    pub(crate) fn freed(&mut self, seat: usize, now: Duration) {
        self.free.push_back((seat, now));
    }

    /// A free connection ended.
    pub(crate) fn gone(&mut self, seat: usize) {
        self.free.retain(|(free, _)| *free != seat);
    }

    /// The next request that can be sent, and where.
    pub(crate) fn next(&mut self) -> Option<Start> {
        let (seat, since) = *self.free.front()?;
        let request = self.queue.pop_front()?;
        self.free.pop_front();
        Some(Start {
            seat,
            request,
            could: request.from.max(since),
        })
    }

    /// A request whose time is over, and which no connection took.
    pub(crate) fn expired(&mut self, now: Duration) -> Option<Request> {
        let first = self.queue.front()?;
        let over = self.deadline(first) <= now;
        over.then(|| self.queue.pop_front()).flatten()
    }

    /// Until when a request is to be answered.
    pub(crate) fn deadline(&self, request: &Request) -> Duration {
        request.due.at + self.timeout
    }

    /// The next moment at which something happens here by itself.
    pub(crate) fn wakes(&self) -> Option<Duration> {
        let queued = self.queue.front().map(|request| self.deadline(request));
        let later = self.later.first_key_value().map(|((at, _), _)| *at);
        [queued, later].into_iter().flatten().min()
    }

    /// Requests that wait for a connection.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Nothing waits, now or later.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.later.is_empty()
    }

    /// All that still waits is given up.
    pub(crate) fn clear(&mut self) -> Vec<Request> {
        let later = std::mem::take(&mut self.later).into_values();
        self.queue.drain(..).chain(later).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn due(at: u64) -> Due {
        Due {
            at: ms(at),
            class: 0,
            hold: None,
        }
    }

    #[test]
    fn a_request_could_go_when_it_was_due_and_a_connection_was_free() {
        let mut desk = Desk::new(ms(100));
        desk.freed(7, ms(0));
        assert_eq!(desk.next(), None);
        desk.arrive(due(5));
        let start = desk.next().unwrap();
        assert_eq!((start.seat, start.could), (7, ms(5)));
        // Now none is free: that it waits is not the generator's fault.
        desk.arrive(due(6));
        assert_eq!(desk.next(), None);
        desk.freed(7, ms(40));
        assert_eq!(desk.next().unwrap().could, ms(40));
    }

    #[test]
    fn connections_are_used_in_turn() {
        let mut desk = Desk::new(ms(100));
        for seat in 0..3 {
            desk.freed(seat, ms(0));
        }
        let seats: Vec<usize> = (1..7)
            .map(|at| {
                desk.arrive(due(at));
                let seat = desk.next().unwrap().seat;
                desk.freed(seat, ms(at));
                seat
            })
            .collect();
        assert_eq!(seats, [0, 1, 2, 0, 1, 2]);
        desk.gone(1);
        desk.arrive(due(9));
        desk.arrive(due(9));
        desk.arrive(due(9));
        let seats: Vec<_> = std::iter::from_fn(|| desk.next().map(|start| start.seat)).collect();
        assert_eq!((seats, desk.queued()), (vec![0, 2], 1));
    }

    #[test]
    fn a_deadline_counts_from_the_moment_it_was_due_and_retries_do_not_move_it() {
        let mut desk = Desk::new(ms(100));
        desk.freed(0, ms(0));
        desk.arrive(due(10));
        let first = desk.next().unwrap().request;
        desk.again(first, ms(60));
        assert_eq!((desk.wakes(), desk.is_empty()), (Some(ms(60)), false));
        desk.wake(ms(59));
        assert_eq!(desk.queued(), 0);
        desk.wake(ms(60));
        assert_eq!((desk.queued(), desk.wakes()), (1, Some(ms(110))));
        assert_eq!(desk.expired(ms(109)), None);
        let late = desk.expired(ms(110)).unwrap();
        assert_eq!((late.retries, late.from, late.due.at), (1, ms(60), ms(10)));
        assert!(desk.is_empty());
    }

    #[test]
    fn giving_up_leaves_nobody() {
        let mut desk = Desk::new(ms(100));
        desk.arrive(due(1));
        desk.again(
            Request {
                due: due(2),
                from: ms(2),
                retries: 0,
            },
            ms(50),
        );
        assert_eq!(desk.clear().len(), 2);
        assert!(desk.is_empty());
    }
}
