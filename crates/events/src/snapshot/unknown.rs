//! What cannot be told of a server, in words, with what would help.

use super::{BudgetRow, Snapshot};

/// Most monitor sessions that are read of the server's activity view. Instances
/// beyond it would count as others.
pub const VIEW_ROWS_MAX: usize = 256;

/// What is said where there are that many.
pub const CROWDED: &str = "the activity view is read up to 256 instances: beyond that they take each other \
for strangers and the line is shared wrongly; run fewer, or share it through a store (the ledger)";

impl Snapshot {
    /// What is not known of a row's server: no user reads it, rights are missing, or
    /// there are more instances than are read.
    pub fn unknown(&self, row: &BudgetRow) -> Option<&'static str> {
        if row.fleet.is_empty() {
            return Some(
                "the server's limits and others' connections: no server.monitor_user reads them",
            );
        }
        if row.strangers > 0 {
            return Some(
                "what is free: a part of the fleet shares by the view, a part by a ledger",
            );
        }
        if let Some(ledger) = &row.ledger {
            if ledger.state != "joined" {
                return Some("what others may open: the ledger does not answer, see the log");
            }
            // Who has no seat reads nothing, and need not.
            if !ledger.sits {
                return None;
            }
        }
        if row.ledger.is_none() && row.is_crowded() {
            return Some(CROWDED);
        }
        if row.reading_age_us.is_none() {
            return Some(
                "the server's limits and others' connections: no reading yet, see the log",
            );
        }
        let mut servers = self.upstreams.iter();
        let seen = servers.find(|server| server.upstream == row.upstream)?;
        match &seen.activity {
            Some(activity) if activity.permitted => None,
            Some(_) => Some(
                "what others' sessions do: GRANT pg_read_all_stats to the monitor user; \
                 without it their parallel workers count as connections",
            ),
            None => Some("what the server does: its activity view was not read yet"),
        }
    }
}

impl BudgetRow {
    /// The view shows as many instances as are read of it, this one among them.
    pub fn is_crowded(&self) -> bool {
        self.peers as usize + 1 >= VIEW_ROWS_MAX
    }
}
