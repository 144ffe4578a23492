//! Clients that fall silent in a transaction, and what a reclaim may leave behind.
//!
//! A leaking client begins, inserts, and never ends; an honest one is silent for
//! a while and goes on. The checks look at the virtual server's session, which
//! knows what is true: no lease with state that others build on is taken back;
//! of one that is, nothing is committed, and nothing more is run until the
//! connection is lent again.

use super::{Stage, World};
use crate::scenario::Plant;
use crate::stats::Hit;
use events::{ConnId, WorkerId};
use relay::Reclaim;
use wire::front;

/// One in so many clients is a person at psql; one in so many leaks.
const PSQL: u32 = 7;
const LEAKING: u32 = 2;

impl World {
    /// The client's application_name, where it is not drawn.
    pub(super) fn tool(&self, client: u32) -> Option<&'static str> {
        let name = match client.is_multiple_of(PSQL) {
            true => "psql",
            false => "shop",
        };
        (self.s.silences > 0).then_some(name)
    }

    /// A client begins, inserts, and falls silent: for ever, or for a while.
    pub(super) fn fall_silent(&mut self, client: u32) -> bool {
        let c = &mut self.clients[client as usize];
        // One that was refused its connection has nothing to hold.
        if c.mute_until > self.now && !(c.settled() && c.model.is_free()) {
            return true;
        }
        let idle = c.settled() && c.model.is_free() && !c.statement_mode;
        if self.s.silences == 0 || !idle || !self.rng.permille(self.s.silences) {
            return false;
        }
        self.db.push(0);
        let insert = format!("INSERT INTO t VALUES ({})", self.db.len() - 1);
        let now = self.now;
        let c = &mut self.clients[client as usize];
        c.send(now, |v| front::query(v, b"BEGIN"));
        c.send(now, |v| front::query(v, insert.as_bytes()));
        let leaks = client.is_multiple_of(LEAKING) && !client.is_multiple_of(PSQL);
        c.mute_until = match leaks {
            true => u64::MAX,
            false => now + self.rng.range(100_000, 1_200_000),
        };
        let until = c.mute_until;
        self.stats.ops += 2;
        self.hit(Hit::Silences);
        if until < u64::MAX {
            self.clients[client as usize].acting = true;
            self.at(until - now, super::Event::Act(client));
        }
        true
    }

    /// The pool wants a lease back.
    pub(super) fn reclaim(&mut self, w: usize, asked: &Reclaim) {
        let now = self.time();
        let link = self
            .servers
            .iter()
            .position(|s| s.used && s.conn == asked.conn);
        if self.s.plant == Some(Plant::ReclaimListener)
            && let Some(Stage::Ready(session)) = link.map(|l| &mut self.servers[l].stage)
        {
            session.message(b'Q', b"LISTEN planted\0", &mut Vec::new());
        }
        self.shop.worker = WorkerId(w as u16);
        let told = self.hubs[w].reclaim(now, asked, &mut self.shop, &mut self.out);
        if told.is_none() || !asked.enforce {
            return;
        }
        self.hit(Hit::Reclaims);
        if let Some(client) = self.owners.get(&asked.client) {
            self.clients[*client as usize].reclaimed = true;
        }
        if let Some(link) = link {
            self.check_reclaim(link);
        }
        self.shop.reclaimed.insert(asked.conn.slot, asked.conn);
    }

    fn check_reclaim(&mut self, link: usize) {
        let s = &self.servers[link];
        let Stage::Ready(session) = &s.stage else {
            return;
        };
        let conn = s.conn;
        let exempt = session.channels().next().is_some()
            || session.holds_locks()
            || session.reported(b"application_name") == Some("psql")
            || self.shop.marked.get(&conn.slot) == Some(&conn);
        let waits = !session.is_free() && !session.sleeps() && !session.copies_in();
        let inserts = session.open_inserts().to_vec();
        if exempt {
            self.fail(format!(
                "{conn} was taken back although it never is by default"
            ));
        }
        if !waits {
            self.fail(format!(
                "{conn} was taken back although no transaction was idle in it"
            ));
        }
        self.taken_back.extend(inserts);
        if self.s.plant == Some(Plant::RunAfterReclaim) && !self.planted {
            self.planted = true;
            let mut out = Vec::new();
            front::query(&mut out, b"SELECT 'after the reclaim'");
            self.servers[link].up.write(&out);
            self.go_server_up(link as u32);
        }
    }

    /// A message reaches a server: after a reclaim only the pooler's own may.
    pub(super) fn check_after_reclaim(&mut self, conn: ConnId, tag: u8, body: &[u8]) {
        let own = tag == b'S' || tag == b'Q' && matches!(body, b"ROLLBACK\0" | b"DISCARD ALL\0");
        if self.shop.reclaimed.get(&conn.slot) == Some(&conn) && !own {
            let text = String::from_utf8_lossy(body).into_owned();
            self.fail(format!("{conn} runs {text:?} after a reclaim"));
        }
        let marks = [&b"COPY "[..], b"CREATE TABLE", b"DROP TABLE"];
        let marked = marks
            .iter()
            .any(|mark| crate::session::contains(body, mark));
        if tag == b'Q' && marked {
            self.shop.marked.insert(conn.slot, conn);
        }
    }

    /// A planted bug: the pooler's ROLLBACK is lost on a COMMIT.
    pub(super) fn plant_commit<'a>(&self, conn: ConnId, tag: u8, body: &'a [u8]) -> &'a [u8] {
        let reclaimed = self.shop.reclaimed.get(&conn.slot) == Some(&conn);
        let planted = self.s.plant == Some(Plant::CommitReclaimed) && reclaimed;
        match planted && tag == b'Q' && body == b"ROLLBACK\0" {
            true => b"COMMIT\0",
            false => body,
        }
    }

    /// Nothing of a transaction that was taken back remains.
    pub(super) fn check_taken_back(&mut self) {
        let db = &self.db;
        let found = self.taken_back.iter().find(|id| db[**id as usize] != 0);
        if let Some(id) = found {
            let text = format!("insert {id} remains of a transaction that was taken back");
            self.fail(text);
        }
    }
}
