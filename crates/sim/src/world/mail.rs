//! What hubs ask of their shell, and what workers send to each other.

use super::hubs::set_slot;
use super::{CancelTrip, Event, Mail, Todo, World};
use crate::stats::Hit;
use events::{ClientId, WorkerId};
use relay::{CancelOutcome, Command, Hub, Peer, Transfer};
use wire::scram::Keys;

impl World {
    pub(super) fn command(&mut self, w: usize, command: Command) {
        self.shop.worker = WorkerId(w as u16);
        if self.trace.is_some() {
            let shown = match &command {
                Command::CancelServer { slot, conn, .. } => format!("CancelServer {slot} {conn}"),
                other => format!("{other:?}"),
            };
            self.note(|| format!("worker {w}: {shown}"));
        }
        match command {
            Command::CloseClient { slot, .. } => self.client_closed_by_hub(w, slot),
            Command::CloseServer { slot, .. } => self.server_closed_by_hub(w, slot, false),
            Command::ServerFailed { slot, .. } => {
                self.hit(Hit::OpenFailures);
                self.server_closed_by_hub(w, slot, true);
            }
            Command::Resume(peer) => {
                self.hit(Hit::Resumes);
                self.resume(w, peer);
            }
            Command::Derive {
                peer,
                generation,
                job,
            } => {
                self.hit(Hit::Derives);
                let keys = Keys::derive(job.password.as_bytes(), &job.salt, job.iterations);
                self.post(
                    w as u16,
                    Mail::Derived {
                        peer,
                        generation,
                        keys,
                    },
                );
            }
            Command::Cancel { slot, pid, key, .. } => self.route_cancel(w, slot, pid, key),
            Command::CancelServer { slot, conn, .. } => {
                self.hit(Hit::OwnCancel);
                self.cancel_server(w, slot, conn, None);
            }
            Command::Ddl { pool } => {
                for other in 0..self.hubs.len() {
                    if other != w {
                        self.post(other as u16, Mail::Ddl(pool));
                    }
                }
            }
            Command::LoggedIn { .. } => self.hit(Hit::Logins),
            Command::StartTls { .. }
            | Command::Console { .. }
            | Command::LoginAttempt { .. }
            | Command::LookUpFailed { .. }
            | Command::Misconfigured { .. }
            | Command::Told { .. } => {}
        }
    }

    /// Takes a cancel request to the worker that its process number names.
    fn route_cancel(&mut self, w: usize, slot: u32, pid: i32, key: Box<[u8]>) {
        let link = self.client_slots[w][slot as usize];
        let generation = self.links[link as usize].generation;
        let worker = Hub::worker_of(pid).0;
        let known = (worker as usize) < self.hubs.len();
        let (to, mail) = match known {
            true => (
                worker,
                Mail::Cancel {
                    link,
                    generation,
                    pid,
                    key,
                },
            ),
            false => (w as u16, Mail::CancelDone { link, generation }),
        };
        self.post(to, mail);
    }

    pub(super) fn cancel_server(
        &mut self,
        w: usize,
        slot: u32,
        conn: events::ConnId,
        asked: Option<(u32, u32)>,
    ) {
        let link = self.server_slots[w][slot as usize];
        let generation = self.servers[link as usize].generation;
        let trip = CancelTrip {
            link,
            generation,
            conn,
            asked,
        };
        self.cancels.push(trip);
        let delay = self.latency() + self.latency();
        self.at(delay, Event::CancelArrives(self.cancels.len() as u32 - 1));
    }

    pub(super) fn resume(&mut self, _: usize, peer: Peer) {
        match peer {
            Peer::Client(slot) => {
                let link = self.client_slots[self.shop.worker.0 as usize][slot as usize];
                if link != u32::MAX {
                    self.links[link as usize].up.stopped = false;
                    self.go_client_up(link);
                }
            }
            Peer::Server(slot) => {
                let link = self.server_slots[self.shop.worker.0 as usize][slot as usize];
                if link != u32::MAX {
                    self.servers[link as usize].down.stopped = false;
                    self.go_server_down(link);
                }
            }
        }
    }

    pub(crate) fn mail_arrives(&mut self, worker: u16) {
        let w = worker as usize;
        let Some((_, mail)) = self.mail[w].pop_front() else {
            return;
        };
        let now = self.time();
        self.shop.worker = WorkerId(worker);
        match mail {
            Mail::Action(action) => self.apply(w, action),
            Mail::Arrive { link, transfer, to } => self.arrive(w, link, *transfer, to),
            Mail::Cancel {
                link,
                generation,
                pid,
                key,
            } => return self.cancel_request(w, (link, generation), pid, &key),
            Mail::CancelEnded {
                link,
                generation,
                conn,
            } => {
                let server = &self.servers[link as usize];
                if server.generation == generation
                    && let Some(slot) = server.slot
                {
                    let at = server.worker as usize;
                    self.shop.worker = WorkerId(at as u16);
                    self.hubs[at].cancel_ended(now, slot, conn, &mut self.shop, &mut self.out);
                    return self.settle(at, &[]);
                }
            }
            Mail::CancelDone { link, generation } => {
                let l = &self.links[link as usize];
                if l.generation == generation
                    && let Some(slot) = l.slot
                {
                    self.hubs[w].cancel_requester_done(now, slot, &mut self.shop, &mut self.out);
                }
            }
            Mail::Ddl(pool) => self.hubs[w].ddl_seen(pool),
            Mail::Derived {
                peer,
                generation,
                keys,
            } => {
                self.hubs[w].derived(now, peer, generation, keys, &mut self.shop, &mut self.out);
            }
            Mail::Office(order) => self.carry_out(w, order),
        }
        self.settle(w, &[]);
    }

    fn arrive(&mut self, w: usize, link: u32, transfer: Transfer, to: ClientId) {
        let now = self.time();
        let conn = transfer.conn();
        let slot = self.hubs[w].attach(transfer);
        set_slot(&mut self.server_slots[w], slot, link);
        let server = &mut self.servers[link as usize];
        server.worker = w as u16;
        server.slot = Some(slot);
        server.moving = false;
        self.note(|| format!("worker {w}: {conn} arrives for {to} at {slot}"));
        self.hubs[w].arrived(now, slot, to, &mut self.shop, &mut self.out);
        self.go_server_down(link);
    }

    /// A cancel request, brought by this link, for a client of this worker.
    fn cancel_request(&mut self, w: usize, from: (u32, u32), pid: i32, key: &[u8]) {
        let now = self.time();
        let outcome = self.hubs[w].cancel(now, pid, key, &mut self.shop, &mut self.out);
        self.note(|| format!("worker {w}: cancel for {pid}: {outcome:?}"));
        let (link, generation) = from;
        match outcome {
            CancelOutcome::Sent(_) => return self.claim_cancel(w, link, generation),
            CancelOutcome::Waiter => self.hit(Hit::CancelsWaiter),
            CancelOutcome::Ignored | CancelOutcome::Unknown => self.hit(Hit::CancelsIgnored),
        }
        let back = self.links[link as usize].worker;
        self.post(back, Mail::CancelDone { link, generation });
        self.settle(w, &[]);
    }

    /// The cancel that the hub just asked for is this client's: its link is
    /// let go when the request has ended.
    fn claim_cancel(&mut self, w: usize, link: u32, generation: u32) {
        let mut commands = std::mem::take(&mut self.commands);
        self.out.take_commands(&mut commands);
        for command in commands.drain(..) {
            match command {
                Command::CancelServer { slot, conn, .. } => {
                    self.cancel_server(w, slot, conn, Some((link, generation)));
                }
                other => self.todo.push_back(Todo::Command(other)),
            }
        }
        self.commands = commands;
        self.settle(w, &[]);
    }
}
