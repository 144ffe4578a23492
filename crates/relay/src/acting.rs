//! What a person does to one client, and what its lease said last.

use crate::cancel::CancelOutcome;
use crate::errors::Trouble;
use crate::hub::Hub;
use crate::outbox::Outbox;
use crate::pools::Pools;
use crate::requests::Io;
use events::{Acted, ClientAct, CloseReason, LeaseStatement, Time, Whose};

impl Hub {
    /// Does something to the client with this console id, because a person says so.
    pub fn act(
        &mut self,
        now: Time,
        client: u64,
        act: ClientAct,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) -> Acted {
        let found = self.clients.iter().find(|(_, c)| c.id == client);
        let Some(slot) = found.map(|(slot, _)| slot) else {
            return Acted::Gone;
        };
        let whose = self.whose(slot, now);
        let mut io = Io { now, pools, out };
        let done = match act {
            ClientAct::Cancel => self.cancel_for(slot, &mut io) != CancelOutcome::Ignored,
            ClientAct::Reclaim => match whose.held {
                // The way of a reclaim by the guard, but for whether it may be done.
                Some(held) => {
                    let trouble = Trouble::TakenBack { held };
                    self.fail_client(slot, &trouble, CloseReason::Reclaimed, &mut io);
                    true
                }
                None => false,
            },
            ClientAct::Kill => {
                self.fail_client(slot, &Trouble::Killed, CloseReason::AdminKill, &mut io);
                true
            }
        };
        match done {
            true => Acted::Done(whose),
            false => Acted::Nothing(whose),
        }
    }

    fn whose(&self, slot: u32, now: Time) -> Whose {
        let Some(client) = self.clients.get(slot) else {
            return Whose::default();
        };
        let given = client.params.plain("application_name").unwrap_or_default();
        let given = client.without_origin(&given);
        let lent = self.servers.get(client.link);
        let lent = lent.filter(|server| self.is_lent_to(server, slot));
        Whose {
            user: client.user.to_string(),
            database: client.database.to_string(),
            application: given.chars().filter(|c| !c.is_control()).collect(),
            held: lent.map(|server| now.since(server.lent_at)),
        }
    }

    /// The last statements of these clients' leases, as far as they hold one here.
    /// `clients` is sorted.
    pub fn lease_statements(&self, clients: &[u64], found: &mut Vec<LeaseStatement>) {
        let most = found.len() + clients.len();
        for (slot, server) in self.servers.iter() {
            if found.len() >= most {
                return;
            }
            let lent = self.clients.get(server.link).filter(|client| {
                self.is_lent_to(server, server.link) && clients.binary_search(&client.id).is_ok()
            });
            if let Some(client) = lent {
                found.push(LeaseStatement {
                    client: client.id,
                    since: server.lent_at,
                    statement: self.statement_of(slot),
                });
            }
        }
    }
}
