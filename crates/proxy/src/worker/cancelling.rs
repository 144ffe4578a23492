//! Cancel requests: those of clients, to the worker or the instance whose client they
//! are for; and those to servers, few at a time, each on a connection of its own.

use super::Worker;
use crate::mail::Mail;
use crate::outgoing::Purpose;
use events::{ClientId, ConnId};
use relay::{CancelOutcome, Hub};
use wire::front;

/// Cancel requests of one worker that are under way at a time. They take no slot
/// of the line, but each is a process that the server starts; the others wait,
/// at most two for each server connection.
const CANCELS_AT_ONCE: usize = 16;

/// Cancel requests that are being passed on to other instances, at a time; each goes to all of
/// them. Whoever knows no key must not make many connections of one. They are apart from those to
/// servers: a peer that never answers must not hold those up.
const FORWARDS_MAX: usize = 16;

/// A cancel request that nobody here knows.
#[derive(Clone, Copy)]
pub(super) struct Stray<'a> {
    pub(super) requester: ClientId,
    pub(super) pid: i32,
    pub(super) key: &'a [u8],
    /// Another instance passed it on: it goes no further.
    pub(super) forwarded: bool,
}

impl Worker {
    /// Takes a cancel request to the worker that its process number names.
    pub(super) fn route_cancel(&mut self, slot: u32, pid: i32, key: Box<[u8]>, forwarded: bool) {
        let Some(requester) = self.hub.client_id(slot) else {
            return;
        };
        let worker = Hub::worker_of(pid);
        if worker == self.id {
            self.cancel(requester, pid, &key, forwarded);
        } else if usize::from(worker.0) < self.common.mailboxes.len() {
            let mail = Mail::Cancel {
                requester,
                pid,
                key,
                forwarded,
            };
            self.common.post(worker, mail);
        } else {
            self.stray(Stray {
                requester,
                pid,
                key: &key,
                forwarded,
            });
        }
    }

    /// A cancel request for a client of this worker.
    pub(super) fn cancel(&mut self, requester: ClientId, pid: i32, key: &[u8], forwarded: bool) {
        match self
            .hub
            .cancel(self.now, pid, key, &mut self.port, &mut self.out)
        {
            CancelOutcome::Sent(conn) => {
                self.requesters
                    .entry((conn.slot, conn.generation))
                    .or_default()
                    .push(requester);
            }
            CancelOutcome::Ignored => {
                // The number and its secret are right: it may be a console's.
                self.common.waits.cancel(self.id, Hub::slot_of(pid));
                self.cancel_done(requester);
            }
            CancelOutcome::Waiter => self.cancel_done(requester),
            CancelOutcome::Unknown => self.stray(Stray {
                requester,
                pid,
                key,
                forwarded,
            }),
        }
    }

    /// Nobody here has this number and secret: the other instances are asked, once.
    fn stray(&mut self, stray: Stray<'_>) {
        let peers = match stray.forwarded {
            true => Vec::new(),
            false => self.common.read().cancel_peers(),
        };
        if peers.is_empty() {
            return self.cancel_done(stray.requester);
        }
        if self.forwards.len() >= FORWARDS_MAX {
            self.forwards_counted[1] += 1;
            return self.cancel_done(stray.requester);
        }
        let mut packet = Vec::new();
        front::forwarded_cancel(&mut packet, stray.pid, stray.key);
        self.forwards_counted[0] += 1;
        self.forwards.push((stray.requester, peers.len()));
        for peer in peers {
            self.connect(Purpose::Forward {
                requester: stray.requester,
                peer,
                packet: packet.clone(),
            });
        }
    }

    /// What carried a cancel request to another instance has ended, well or badly.
    pub(super) fn forward_ended(&mut self, requester: ClientId) {
        let Some(at) = self.forwards.iter().position(|(who, _)| *who == requester) else {
            return;
        };
        self.forwards[at].1 = self.forwards[at].1.saturating_sub(1);
        if self.forwards[at].1 == 0 {
            self.forwards.swap_remove(at);
            self.cancel_done(requester);
            self.settle(&[]);
        }
    }

    /// A cancel request was carried out: its requester may go.
    pub(super) fn cancel_done(&mut self, requester: ClientId) {
        if requester.worker != self.id {
            return self
                .common
                .post(requester.worker, Mail::CancelDone { requester });
        }
        if self.hub.client_id(requester.slot) == Some(requester) {
            self.hub
                .cancel_requester_done(self.now, requester.slot, &mut self.port, &mut self.out);
        }
    }

    /// The connection that carried a cancel request has ended.
    pub(super) fn cancel_ended(&mut self, server: u32, conn: ConnId) {
        self.hub
            .cancel_ended(self.now, server, conn, &mut self.port, &mut self.out);
        for requester in self
            .requesters
            .remove(&(conn.slot, conn.generation))
            .unwrap_or_default()
        {
            self.cancel_done(requester);
        }
        self.settle(&[]);
        self.next_cancels();
    }

    /// Sends a cancel request, at once or when others have ended.
    pub(super) fn begin_cancel(&mut self, cancel: Purpose) {
        let until = self.now.after(self.common.read().plan.cancel_wait_timeout);
        self.cancels.push_back((until, cancel));
        self.next_cancels();
    }

    /// Gives up those that have waited too long for their turn.
    pub(super) fn late_cancels(&mut self) {
        while let Some((until, _)) = self.cancels.front()
            && self.now > *until
            && let Some((_, cancel)) = self.cancels.pop_front()
        {
            if let Purpose::Cancel { server, conn, .. } = cancel {
                let reason = "cancel_wait_timeout";
                tracing::warn!(reason, "a cancel request was given up");
                self.cancel_ended(server, conn);
            }
        }
    }

    /// Cancel requests ended: others may begin.
    pub(super) fn next_cancels(&mut self) {
        while self.cancels_under_way() < CANCELS_AT_ONCE {
            let Some((_, cancel)) = self.cancels.pop_front() else {
                return;
            };
            match cancel {
                Purpose::Cancel { server, conn, .. }
                    if self.hub.server_pool(server, conn).is_none() =>
                {
                    // What it was to end has ended; its process number may be another's.
                    self.cancel_ended(server, conn);
                }
                cancel => self.connect(cancel),
            }
        }
    }

    fn cancels_under_way(&self) -> usize {
        let cancels = self.outgoing.iter();
        cancels
            .filter(|(_, o)| matches!(o.purpose, Purpose::Cancel { .. }))
            .count()
    }
}
