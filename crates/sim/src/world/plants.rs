//! Bugs that tests plant, to prove that the checkers see them.

use super::World;
use crate::scenario::Plant;
use wire::front;

impl World {
    /// A planted bug at a hand-over: a statement is still under way.
    pub(crate) fn plant_busy(&mut self, conn: events::ConnId) {
        if let Some(s) = self.servers.iter_mut().find(|s| s.used && s.conn == conn) {
            self.planted = true;
            let mut out = Vec::new();
            front::query(&mut out, b"SELECT 'late'");
            s.up.write(&out);
        }
    }

    /// A planted bug at a grant: it goes to somebody else, or is lost.
    pub(crate) fn plant_grant(&mut self, client: events::ClientId) -> Option<events::ClientId> {
        match self.s.plant {
            Some(Plant::LoseGrant) if !self.planted && self.now > 20_000 => {
                self.planted = true;
                None
            }
            Some(Plant::SwapGrants) if !self.planted && self.now > 20_000 => {
                self.planted = true;
                let other = self
                    .owners
                    .keys()
                    .find(|c| c.worker == client.worker && **c != client);
                other.copied().or(Some(client))
            }
            _ => Some(client),
        }
    }
}
