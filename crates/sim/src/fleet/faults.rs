//! What goes wrong: instances killed, ways cut, the store away.

use super::server::Who;
use super::{Event, Fleet, Way, fresh, id};

impl Fleet {
    pub(super) fn fault(&mut self) {
        let mean = self.s.faults.as_micros() as u64;
        let delay = self.rng.range(mean / 2, mean * 2);
        self.at(delay, Event::Fault);
        let i = self.rng.below(self.members.len() as u64) as usize;
        if !self.members[i].alive {
            return;
        }
        self.out.faults += 1;
        let lasts = self.rng.range(100_000, 20_000_000);
        let kinds = match self.s.way {
            Way::View => 3,
            Way::Ledger(_) => 6,
        };
        match self.rng.below(kinds) {
            0 => self.kill(i, lasts),
            1 => {
                self.blinds(i);
                self.at(lasts, Event::Sees(i));
            }
            2 => {
                self.blinds(i);
                self.at(lasts, Event::Sees(i));
                self.cut(i);
            }
            3 => {
                self.members[i].cut_store = true;
                self.at(lasts, Event::Sees(i));
            }
            4 => {
                self.members[i].cut_store = true;
                self.members[i].cut_server = true;
                self.blinds(i);
                self.at(lasts, Event::Sees(i));
            }
            _ => {
                self.traffic.store.away = true;
                self.at(lasts, Event::Heals(usize::MAX));
            }
        }
    }

    /// Its monitor session is not heard any more.
    pub(super) fn blinds(&mut self, i: usize) {
        self.members[i].silent = true;
        self.members[i].blind_since.get_or_insert(self.now);
    }

    /// All its ways are there again.
    pub(super) fn sees(&mut self, i: usize) {
        let member = &mut self.members[i];
        member.silent = false;
        member.cut_store = false;
        member.cut_server = false;
    }

    /// The process is gone; the server sees that row by row.
    pub(super) fn kill(&mut self, i: usize, lasts: u64) {
        let inc = self.members[i].inc;
        self.members[i].alive = false;
        for who in self.server.rows_of(i, inc) {
            self.orphans += u32::from(!self.server.is_monitor(who));
            let delay = self.rng.below(300_000);
            self.at(delay, Event::Ends(i, inc, who.conn));
        }
        self.recount(i);
        self.at(lasts, Event::Returns(i));
    }

    /// The monitor session's connection breaks.
    fn cut(&mut self, i: usize) {
        let Some(conn) = self.members[i].monitor.take() else {
            return;
        };
        let inc = self.members[i].inc;
        let conn = (conn.slot, conn.generation);
        self.server.log_out(Who {
            member: i,
            inc,
            conn,
        });
        let now = self.members[i].local(self.now);
        self.members[i].up.closing(now, id(conn));
        self.closed(i, inc, conn);
    }

    /// It starts, with nothing.
    pub(super) fn returns(&mut self, i: usize) {
        let inc = self.members[i].inc + 1;
        let mut member = fresh(&self.s, i, inc);
        member.alive = true;
        member.blind_since = Some(self.now);
        member.heard_at = self.now;
        self.members[i] = member;
        self.plant(i);
        self.at(0, Event::Tick(i));
        if self.s.script.is_empty() {
            self.at(0, Event::Load(i));
        }
    }
}
