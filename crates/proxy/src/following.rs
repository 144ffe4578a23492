//! What the log and the timeline say of a server that has moved.

use crate::actions::Actions;
use crate::registry::UpstreamCell;
use pool::{Move, Place, Upstream};
use std::net::IpAddr;

/// What one server has to tell; mostly nothing.
pub(crate) struct News {
    moves: Vec<Move>,
    other_database: Option<(u64, u64)>,
}

impl News {
    /// Takes it, under the pools' lock.
    pub(crate) fn take(pools: &mut Upstream) -> News {
        News {
            moves: std::iter::from_fn(|| pools.poll_move()).collect(),
            other_database: pools.poll_other_database(),
        }
    }

    /// Tells it, without the lock.
    pub(crate) fn tell(&self, cell: &UpstreamCell, timeline: &Actions) {
        if self.moves.is_empty() && self.other_database.is_none() {
            return;
        }
        let server = cell.endpoint().label();
        for seen in &self.moves {
            let (from, to) = (places(&seen.from), addresses(&seen.to));
            tracing::warn!(
                %server,
                reason = events::CloseReason::ServerMoved.label(),
                seen = seen.sign.label(),
                from,
                to,
                closed = seen.idle,
                draining = seen.lent,
                "the database server has moved"
            );
            let text = format!(
                "the database server moved: {from} → {to} ({})",
                seen.sign.label()
            );
            timeline.note_server(&server, &text);
        }
        if let Some((before, now)) = self.other_database {
            tracing::error!(
                %server,
                before,
                now,
                "this is ANOTHER DATABASE, not a copy of the one before: its system_identifier differs. \
                 Look where the name leads"
            );
            let text = "the name leads to another database (system_identifier differs)";
            timeline.note_server(&server, text);
        }
    }
}

fn places(places: &[Place]) -> String {
    let place = |place: &Place| place.map_or_else(|| "unix".to_owned(), |at| at.to_string());
    places.iter().map(place).collect::<Vec<_>>().join(", ")
}

fn addresses(found: &[IpAddr]) -> String {
    match found.is_empty() {
        true => "not known yet".to_owned(),
        false => places(&found.iter().copied().map(Some).collect::<Vec<_>>()),
    }
}
