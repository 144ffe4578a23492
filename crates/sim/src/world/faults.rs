//! What goes wrong, on purpose.

use super::{Event, Stage, World};
use crate::stats::FaultKind;
use wire::back::{self, ErrorReport};

impl World {
    pub(crate) fn fault(&mut self) {
        if self.quiet {
            return;
        }
        let every = self.s.faults.every;
        let delay = self.rng.range(1, 2 * every);
        self.at(delay, Event::Fault);
        let total: u32 = self.s.faults.weights.iter().sum();
        let mut n = self.rng.below(u64::from(total.max(1))) as u32;
        for kind in FaultKind::ALL {
            let weight = self.s.faults.weights[*kind as usize];
            if n < weight {
                if self.inflict(*kind) {
                    self.stats.faults[*kind as usize] += 1;
                    self.note(|| format!("FAULT: {}", kind.label()));
                }
                return;
            }
            n -= weight;
        }
    }

    /// A server connection that is logged in and sound.
    fn victim(&mut self) -> Option<u32> {
        let all: Vec<u32> = (0..self.servers.len() as u32)
            .filter(|l| {
                let s = &self.servers[*l as usize];
                s.used && !s.up.silent && matches!(s.stage, Stage::Ready(_))
            })
            .collect();
        let n = self.rng.below(all.len() as u64) as usize;
        all.get(n).copied()
    }

    fn inflict(&mut self, kind: FaultKind) -> bool {
        match kind {
            FaultKind::Restart => {
                for link in 0..self.servers.len() as u32 {
                    if self.servers[link as usize].used {
                        self.fatal(link);
                    }
                }
                self.unreachable_until = self.now + self.rng.below(100_000);
            }
            FaultKind::Refuse => self.refuse_until = self.now + self.rng.below(300_000),
            FaultKind::Reject => self.reject_until = self.now + self.rng.below(300_000),
            FaultKind::BadParameters => self.bad_parameters = true,
            FaultKind::Unreachable => {
                self.unreachable_until = self.now + self.rng.below(300_000);
            }
            FaultKind::SlowLogin => self.slow_login_until = self.now + self.rng.below(100_000),
            FaultKind::ClientEof
            | FaultKind::ClientReset
            | FaultKind::ClientStall
            | FaultKind::BadStartup
            | FaultKind::WrongPassword
            | FaultKind::SilentClient
            | FaultKind::NoDatabase
            | FaultKind::ClientGarbage => return self.client_fault(kind),
            _ => return self.server_fault(kind),
        }
        true
    }

    fn server_fault(&mut self, kind: FaultKind) -> bool {
        let Some(link) = self.victim() else {
            return false;
        };
        let s = &mut self.servers[link as usize];
        let generation = s.generation;
        match kind {
            FaultKind::BackendCrash => {
                s.down.clear();
                self.server_ends(link);
            }
            FaultKind::BackendEof => self.server_ends(link),
            FaultKind::BackendFatal => self.fatal(link),
            FaultKind::Nonsense => {
                // In the middle of a message it would be data, not nonsense.
                s.down.write(&[b'?', 0, 0, 0, 9, 1, 2, 3]);
                self.server_ends(link);
            }
            FaultKind::HalfOpen => {
                s.up.silent = true;
                s.down.silent = true;
                if let Stage::Ready(session) = &mut s.stage {
                    session.abandon();
                }
                s.stage = Stage::Gone;
                if s.slot.is_none() && !s.moving {
                    self.at(1_000, Event::Closed(link, generation));
                }
            }
            FaultKind::Stall => {
                s.down.stopped = true;
                let delay = self.rng.below(500_000);
                self.at(delay, Event::Unstall(link, generation, true));
            }
            FaultKind::Notify => return self.notify(link),
            FaultKind::Notice => {
                if s.down.len() > 0 {
                    return false;
                }
                let mut out = Vec::new();
                let report = ErrorReport {
                    severity: "WARNING",
                    code: "01000",
                    message: "something",
                    detail: None,
                    hint: None,
                };
                back::notice(&mut out, &report);
                s.down.write(&out);
                self.go_server_down(link);
            }
            _ => return false,
        }
        true
    }

    fn notify(&mut self, from: u32) -> bool {
        let stray = self.s.plant == Some(crate::scenario::Plant::StrayNotification);
        let mut out = Vec::new();
        let all = self.servers.len() as u32;
        for link in (from..all).chain(0..from) {
            let s = &mut self.servers[link as usize];
            if let Stage::Ready(session) = &s.stage
                && s.used
                && !session.sleeps()
            {
                let channel = match session.channels().next() {
                    Some(channel) => channel.to_string(),
                    None if stray => "ch_999".to_owned(),
                    None => continue,
                };
                back::notification(&mut out, 1, &channel, &channel);
                s.down.write(&out);
                self.go_server_down(link);
                return true;
            }
        }
        false
    }

    fn fatal(&mut self, link: u32) {
        let mut out = Vec::new();
        if let Stage::Ready(session) = &mut self.servers[link as usize].stage {
            session.fatal(
                "57P01",
                "terminating connection due to administrator command",
                &mut out,
            );
        }
        self.servers[link as usize].down.write(&out);
        self.server_ends(link);
    }

    pub(crate) fn unstall(&mut self, link: u32, generation: u32, server: bool) {
        if server {
            let s = &mut self.servers[link as usize];
            if s.generation == generation && s.used {
                s.down.stopped = false;
                self.go_server_down(link);
            }
        } else {
            let l = &mut self.links[link as usize];
            if l.generation == generation && l.used {
                l.down.stopped = false;
                // While it did not read, it could not get on.
                let client = l.client as usize;
                self.clients[client].progress = self.now;
                self.go_client_down(link);
            }
        }
    }

    /// The run winds down: what was broken works again.
    pub(crate) fn be_quiet(&mut self) {
        self.quiet = true;
        self.refuse_until = 0;
        self.unreachable_until = 0;
        self.slow_login_until = 0;
        self.reject_until = 0;
        self.bad_parameters = false;
        self.reopen();
    }
}
