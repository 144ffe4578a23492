//! The trace of a run.

use super::World;

impl World {
    /// Who stands where, for the trace of a failure.
    pub(super) fn dump(&mut self) {
        for i in 0..self.servers.len() {
            let s = &self.servers[i];
            if s.used {
                let holder = self.shop.holder(s.conn);
                let by = holder.and_then(|h| self.owners.get(&h));
                let state = self.shop.up.conn_state(s.conn);
                let line = format!(
                    "server link {i}: {} slot {:?} {state:?} held by {holder:?} = client {by:?}, stage {}",
                    s.conn,
                    s.slot,
                    s.stage.name()
                );
                self.note(|| line);
            }
        }
        for i in 0..self.clients.len() {
            let c = &self.clients[i];
            let line = format!(
                "client {i} in {}: {} settled {} pending {} acting {} copies {} link {:?}",
                c.database,
                c.state_name(),
                c.settled(),
                c.pending.len(),
                c.acting,
                c.model.copies_in(),
                c.link
            );
            self.note(|| line);
        }
    }

    /// A line of the trace, made only when one is kept.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            if trace.len() >= 200_000 {
                trace.pop_front();
            }
            trace.push_back(format!("{:>10} {}", self.now, text()));
        }
    }
}
