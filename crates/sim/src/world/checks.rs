//! Checks of the promises that concern clients.

use super::World;
use pool::Action;

/// Nothing may take longer, beyond the deadlines that the scenario sets: µs.
const SLACK: u64 = 4_000_000;

/// The longest `query_timeout` of all scenarios: µs.
const QUERY_MAX: u64 = 4_000_000;

impl World {
    /// Promise 1: whoever opens a connection stays below the line.
    pub(super) fn check_action(&mut self, action: &Action) {
        let (charged, line) = (self.shop.up.charged(), self.shop.up.line());
        if matches!(action, Action::Open { .. }) && charged > line {
            self.fail(format!("opened above the line: {charged} > {line}"));
        }
    }

    /// What a client believes to be committed is, and once.
    pub(super) fn check_commits(&mut self, client: u32) {
        let model = &mut self.clients[client as usize].model;
        let (committed, undone) = (
            std::mem::take(&mut model.committed),
            std::mem::take(&mut model.undone),
        );
        for id in committed {
            let n = self.db[id as usize];
            if n != 1 {
                self.fail(format!(
                    "client {client} committed insert {id}, the database has it {n} times"
                ));
            }
        }
        for id in undone {
            let n = self.db[id as usize];
            if n != 0 {
                self.fail(format!(
                    "client {client} rolled insert {id} back, the database has it {n} times"
                ));
            }
        }
    }

    /// Promise 2: nobody waits beyond its deadline.
    pub(crate) fn check_progress(&mut self) {
        let limit = self.s.wait_timeout.as_micros() as u64 + QUERY_MAX + 2_000_000 + SLACK;
        for i in 0..self.clients.len() {
            let c = &self.clients[i];
            let stopped = c.link.is_some_and(|(l, _)| {
                self.links[l as usize].down.stopped || self.links[l as usize].up.len() > 4096
            });
            if c.waits() && !stopped && self.now > c.progress + limit {
                let text = format!(
                    "client {i} (link {:?}) waits for ever: {} requests unanswered, first {:?}",
                    c.link,
                    c.pending.len(),
                    c.pending
                        .front()
                        .map(|p| String::from_utf8_lossy(&p.body).into_owned())
                );
                return self.fail(text);
            }
        }
    }
}
