//! Replies that end something: a step of a batch, a statement, a transaction.

use super::{After, Message, Turn, take_back};
use crate::directory::PoolMode;
use crate::effects::{self, Outcome};
use crate::expect::{Expect, Purpose};
use crate::moved::is_write;
use std::sync::Arc;
use wire::back::{self, Status};

impl Turn<'_> {
    /// Replies that end one message of an extended batch.
    pub(super) fn step_reply(&mut self, m: Message, own: bool) -> After {
        let fits = match (m.frame.tag, self.server.expected.front()) {
            (b'1', Some(Expect::Parse(_) | Expect::OwnParse(_) | Expect::OwnUnnamed))
            | (b'2', Some(Expect::Bind | Expect::BindOld(_)))
            | (b'3', Some(Expect::Close(_) | Expect::OwnClose(_)))
            | (b's', Some(Expect::Execute(_)))
            | (b'I', Some(Expect::Execute(_))) => true,
            // The empty query of a simple Query is followed by ReadyForQuery.
            (b'I', Some(Expect::Query(_) | Expect::OwnQuery(_))) => {
                self.deliver(m, own);
                return After::Nothing;
            }
            _ => false,
        };
        if !fits {
            self.swallow(m.start, m.end);
            return After::Nonsense;
        }
        self.deliver(m, own);
        match self.server.expected.front() {
            Some(Expect::Parse(Some(p))) if p.is_ours() => {
                let statement = Arc::clone(&p.statement);
                self.server.prepared.ready(&statement);
            }
            Some(Expect::OwnParse(s)) => {
                let statement = Arc::clone(s);
                self.server.prepared.ready(&statement);
            }
            Some(Expect::OwnClose(s)) => {
                let statement = Arc::clone(s);
                self.server.prepared.closed(&statement);
            }
            // Suspended at its row limit: its functions were called already.
            Some(Expect::Execute(script)) if script.is_some() && m.frame.tag == b's' => {
                self.suspended();
            }
            _ => {}
        }
        self.next(m.end);
        After::Nothing
    }

    pub(super) fn suspended(&mut self) {
        let Some(Expect::Execute(place)) = self.server.expected.front_mut() else {
            return;
        };
        if let Some(mut script) = place.take()
            && let Some(client) = self.client.as_deref_mut()
        {
            effects::finished(&mut script, b"SELECT", client, self.server);
        }
    }

    /// CommandComplete.
    pub(super) fn completed(&mut self, m: Message) -> After {
        let mut outcome = Outcome::default();
        // The script is taken out so that both sessions can be changed.
        let taken = match self.server.expected.front_mut() {
            Some(Expect::Query(script) | Expect::Execute(script)) => script.take(),
            Some(Expect::OwnQuery(_)) => None,
            _ => return After::Nonsense,
        };
        self.server.copy_in = false;
        if !self.local.wrote {
            let own = || self.server.expected.front().is_some_and(Expect::is_own);
            self.local.wrote = is_write(self.body(m)) && !own();
        }
        if let Some(mut script) = taken {
            let tag = back::command_tag(self.body(m));
            if let Some(client) = self.client.as_deref_mut() {
                outcome = effects::finished(&mut script, tag, client, self.server);
            }
            if let Some(Expect::Query(place)) = self.server.expected.front_mut() {
                *place = Some(script);
            }
        }
        if matches!(self.server.expected.front(), Some(Expect::Execute(_))) {
            self.next(m.end);
        }
        match outcome {
            Outcome { ddl: true, .. } => After::Ddl,
            Outcome {
                temporary: true, ..
            } => After::OwnSchema,
            _ => After::Nothing,
        }
    }

    pub(super) fn ready(&mut self, m: Message) -> After {
        let Ok(status) = back::ready_status(self.body(m)) else {
            self.swallow(m.start, m.end);
            return After::Nonsense;
        };
        if self.server.expected.late_sync() {
            self.server.status = status;
            self.server.unsynced = false;
            self.deliver(m, false);
            return After::Nothing;
        }
        if !self.server.expected.front().is_some_and(Expect::ends_batch) {
            self.swallow(m.start, m.end);
            return After::Nonsense;
        }
        self.server.status = status;
        self.server.copy_in = false;
        let purpose = match self.server.expected.front() {
            Some(Expect::OwnQuery(purpose)) => Some(*purpose),
            Some(Expect::OwnSync) => Some(Purpose::Rollback),
            _ => None,
        };
        // The client is told FATAL instead, before anything that it sent after.
        let forbidden = purpose.is_none()
            && status == Status::Transaction
            && self.server.pool.mode == PoolMode::Statement;
        self.deliver(m, purpose.is_some() || forbidden);
        if purpose.is_none() {
            self.count(status);
            if let Some(client) = self.client.as_deref_mut()
                && status == Status::Idle
            {
                effects::transaction_over(client, self.server);
            }
        }
        if forbidden {
            // Nor replies of ours that come behind it.
            self.server.expected.pop();
            return After::Forbidden;
        }
        self.next(m.end);
        match purpose {
            Some(purpose) => After::OwnDone(purpose),
            None => After::Nothing,
        }
    }

    pub(super) fn count(&mut self, status: Status) {
        let stats = &mut self.local.stats;
        let took = self.now.since(self.server.query_at);
        stats.totals.queries += 1;
        stats.totals.query_us += took.as_micros() as u64;
        stats.service.record(took);
        if status == Status::Idle {
            stats.totals.xacts += 1;
            stats.totals.xact_us += self.now.since(self.server.xact_at).as_micros() as u64;
            self.server.xact_at = self.now;
        }
        self.server.query_at = self.now;
    }

    /// COPY in of the extended protocol: Syncs sent ahead are ignored by the server.
    pub(super) fn copy_begins(&mut self) {
        let ahead = self.server.expected.copy_began();
        self.server.copy_in = !ahead.ended;
        if let Some(used) = &ahead.used {
            take_back(used, self.client.as_deref_mut(), self.server);
        }
        if ahead.unsynced && matches!(self.server.expected.front(), Some(Expect::Execute(_))) {
            self.server.unsynced = true;
        }
    }
}
