//! What other threads ask of the worker.

use super::Worker;
use crate::Leave;
use crate::mail::{Mail, Measured, Report, Target};
use crate::registry::Reconfigured;
use crate::secrets::ClientTls;
use events::snapshot::WorkerRow;
use events::{Acted, ClientAct, LeaseStatement};
use relay::Directory;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::Sender;

impl Worker {
    pub(super) fn read_letters(&mut self) {
        let mut letters = std::mem::take(&mut self.letters);
        self.mailbox.collect(&mut letters);
        for mail in letters.drain(..) {
            let whose = self.whose_letter(&mail);
            self.contained(whose, |w| {
                w.letter(mail);
                w.settle(&[]);
            });
        }
        self.letters = letters;
    }

    fn letter(&mut self, mail: Mail) {
        match mail {
            Mail::Client {
                stream,
                addr,
                local_addr,
                over,
            } => self.adopt(stream, addr, local_addr, over),
            Mail::Pool(upstream, action) => self.action(upstream, action),
            Mail::Arrival(arrival) => self.arrived(*arrival),
            Mail::Derived {
                peer,
                generation,
                keys,
            } => {
                self.hub.derived(
                    self.now,
                    peer,
                    generation,
                    keys,
                    &mut self.port,
                    &mut self.out,
                );
            }
            Mail::Judged {
                slot,
                conn,
                verdict,
            } => self.judged(slot, conn, verdict),
            Mail::Resolved { ticket, result } => self.resolved(ticket, result),
            Mail::Cancel {
                requester,
                pid,
                key,
                forwarded,
            } => self.cancel(requester, pid, &key, forwarded),
            Mail::CancelDone { requester } => self.cancel_done(requester),
            Mail::Ddl(pool) => self.hub.ddl_seen(pool),
            Mail::Console { client, reply } => {
                self.hub
                    .console_reply(self.now, client, &reply, &mut self.port, &mut self.out);
            }
            Mail::Settings(directory, pools, tls) => self.reconfigure(directory, &pools, tls),
            Mail::Report { detail, to } => self.report(detail, &to),
            Mail::Act { client, act, to } => self.act(client, act, &to),
            Mail::Statements { clients, to } => self.statements(&clients, &to),
            Mail::Kill(target) => self.kill(target),
            Mail::Lend(to) => self.lend(&to),
            Mail::Retire(to) => self.retire(&to),
            Mail::Suspend => self.suspended = true,
            Mail::GoOn => self.go_on(),
            Mail::Stillness { force, to } => drop(to.send(self.stillness(force))),
            Mail::Drain => {
                self.draining = true;
                self.listeners.clear();
                self.hub.drain(self.now, &mut self.port, &mut self.out);
            }
            Mail::Stop => {
                self.listeners.clear();
                self.hub.close_all(self.now, &mut self.port, &mut self.out);
                self.stopped = true;
            }
            Mail::Deafen(leave) => self.deafen(leave),
        }
    }

    fn reconfigure(
        &mut self,
        directory: Arc<Directory>,
        pools: &Reconfigured,
        tls: Option<ClientTls>,
    ) {
        self.hub.reconfigure(directory);
        for info in &pools.changed {
            self.hub.pool_changed(info);
        }
        for (old, info) in &pools.moved {
            let (port, out) = (&mut self.port, &mut self.out);
            self.hub.pool_moved(self.now, *old, info, port, out);
        }
        self.client_tls = tls;
    }

    fn lend(&self, to: &Sender<io::Result<OwnedFd>>) {
        for listener in self.listeners.iter().flatten() {
            let _ = to.send(listener.lend());
        }
    }

    /// Closes the listening sockets here and leaves them open elsewhere.
    fn retire(&mut self, to: &Sender<()>) {
        for mut listener in std::mem::take(&mut self.listeners).into_iter().flatten() {
            // As long as another process has the socket, the system would go on
            // telling this one of its clients.
            if let Err(error) = self.poll.registry().deregister(&mut listener) {
                tracing::warn!(%error, "the event loop still hears of a listening socket");
            }
            listener.leave();
        }
        let _ = to.send(());
    }

    fn act(&mut self, client: u64, act: ClientAct, to: &Sender<Acted>) {
        let (port, out) = (&mut self.port, &mut self.out);
        let _ = to.send(self.hub.act(self.now, client, act, port, out));
    }

    fn statements(&self, clients: &[u64], to: &Sender<Vec<LeaseStatement>>) {
        let mut found = Vec::new();
        self.hub.lease_statements(clients, &mut found);
        let _ = to.send(found);
    }

    fn kill(&mut self, target: Target) {
        let (now, port, out) = (self.now, &mut self.port, &mut self.out);
        match target {
            Target::Client(id) => self.hub.kill_client(now, id, port, out),
            Target::Failed(key) => self.hub.fail_pool(now, key, port, out),
            Target::Pool(key) => self.hub.kill_pool(now, key, port, out),
        }
    }

    /// The process is to end, when its clients have left or its server connections are back. The console stays to be
    /// reached by the unix socket, as in PgBouncer: who waits for the end wants to see what it waits for.
    fn deafen(&mut self, leave: Leave) {
        for place in &mut self.listeners {
            if place.as_ref().is_some_and(|listener| !listener.is_unix()) {
                *place = None;
            }
        }
        self.hub.close_to_new();
        if leave == Leave::ServersReleased {
            let (port, out) = (&mut self.port, &mut self.out);
            self.hub.release_all(self.now, port, out);
        }
    }

    fn measured(&self) -> Measured {
        Measured {
            applications: self.hub.application_rows(self.now),
            sources: self.hub.source_rows(),
            waits: self.hub.wait_exemplars(self.now),
            watched: self.hub.watched(),
            pids: self.hub.backends().collect(),
            clients_tcp: self.tcp.clients.clone(),
            servers_tcp: self.tcp.servers.clone(),
        }
    }

    fn report(&mut self, detail: bool, to: &Sender<Report>) {
        let (clients, servers) = self.hub.counts();
        let mut report = Report {
            worker: self.id.0,
            row: WorkerRow {
                clients,
                servers,
                turns: self
                    .mailbox
                    .turns
                    .load(std::sync::atomic::Ordering::Relaxed),
                panics: self.panics,
                handovers: self.handovers,
                forwards: self.forwards_counted,
            },
            stats: self.hub.worker_stats().clone(),
            pools: self.hub.pool_stats().map(|(k, s)| (k, s.clone())).collect(),
            counts: Vec::new(),
            clients: Vec::new(),
            servers: Vec::new(),
            leases: Vec::new(),
            measured: self.measured(),
        };
        self.hub.lease_rows(detail, &mut report.leases);
        self.hub
            .pool_counts(&mut |key, counts| report.counts.push((key, counts)));
        if detail {
            self.hub.client_rows(self.now, &mut report.clients);
            self.hub.server_rows(&mut report.servers);
        }
        let _ = to.send(report);
    }
}
