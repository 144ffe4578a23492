//! A server that moves is followed: what that means for its connections.
//!
//! Connections at an address that the name has left are *left behind*: closed at
//! once while idle, else at their return. They take slots of another server, so
//! they count neither against the line nor against sizes and caps. Once the new
//! server is known to serve, those still lent are *ousted*: the worker ends what
//! could still write there, and what waits for an answer that does not come.
//!
//! Connections at a standby are not left behind, since the name still leads
//! there; but who writes is not lent them any more.

use super::Upstream;
use crate::action::Action;
use crate::conns::{Conn, State};
use crate::figures::ConnState;
use crate::moves::{Move, Place, Role, Sign, Unwanted};
use events::{CloseReason, ConnId, PoolId, Time, WorkerId};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Moves that are kept until the shell takes them.
const TOLD_MAX: usize = 16;
/// Between two looks at what is still lent of connections that were left behind.
const OUST_PAUSE: Duration = Duration::from_millis(250);
/// An attempt that hangs for so long is a sign that the server may have moved.
const HANGS: Duration = Duration::from_secs(1);
/// Where only an error tells of a standby, connections are doubted this often.
const DOUBT_PAUSE: Duration = Duration::from_secs(1);

/// Connections that were left behind: of a pool, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// In any state.
    pub all: u32,
    /// Of these, being closed.
    pub closing: u32,
}

impl Left {
    fn add(&mut self, closing: u32) {
        self.all += 1;
        self.closing += closing;
    }

    /// One that was being closed is.
    pub(crate) fn gone(&mut self) {
        self.all -= 1;
        self.closing -= 1;
    }
}

impl Upstream {
    // --- names ---

    /// What the server's name leads to now. A failed look-up is not told.
    pub fn named(&mut self, now: Time, addresses: &[IpAddr]) {
        let gone = self.moves.named(now, addresses);
        if !gone.is_empty() {
            self.leave(now, &gone);
        }
    }

    /// Whether the name is to be looked up now: more often while something is
    /// wrong, and not at all while nobody needs the server.
    pub fn name_is_due(&mut self, now: Time) -> bool {
        let pools = || self.pools.iter().flatten();
        let busy = pools().any(|pool| pool.count(ConnState::Lent) > 0 || pool.queue.len() > 0);
        if !busy && self.charged == 0 {
            return false;
        }
        let hangs =
            |conn: &Conn| conn.state == State::Opening && now.since(conn.opened_at) >= HANGS;
        if self.opening > 0 && self.conns.iter().any(|(_, conn)| hangs(conn)) {
            self.moves.uneasy(now);
        }
        self.moves.is_due(now, busy)
    }

    /// How old an answer of the resolver may be for the next connection.
    pub fn name_age_max(&self, now: Time) -> Duration {
        self.moves.age_max(now)
    }

    /// Where the server has moved, oldest first.
    pub fn poll_move(&mut self) -> Option<Move> {
        self.told_moves.pop_front()
    }

    // --- roles ---

    /// A connection has logged in, at this address, to a server of this role;
    /// told before [`Upstream::opened`]. With a reason it must not serve: then
    /// [`Upstream::open_failed`] follows instead.
    pub fn located(&mut self, now: Time, conn: ConnId, at: Place, role: Role) -> Option<Unwanted> {
        let i = self.conns.find(conn)?;
        self.conns.get_mut(i).at = at;
        if self.moves.is_left(now, at) {
            self.moves.uneasy(now);
            return Some(Unwanted::Left);
        }
        let news = self.moves.saw(at, role);
        if news {
            self.demoted(now, at, Sign::Login);
        }
        if self.moves.role_at(at) == Role::Standby {
            let writes = self.at(self.conns.get(i).pool as usize).wrote;
            if writes && self.moves.had_primary() {
                self.moves.awaits_primary(now);
                return Some(Unwanted::Standby);
            }
            return None;
        }
        // Somebody serves where the name leads: what was left behind is no primary.
        if self.left.all > self.left.closing && self.ousting.is_none() {
            self.ousting = Some(now);
            self.oust(now);
        }
        None
    }

    /// Clients of the pool have written: a standby does not serve them.
    pub fn wrote(&mut self, pool: PoolId) {
        if let Some(pool) = self.pool_mut(pool) {
            pool.wrote = true;
        }
    }

    /// A statement was answered 25006. A primary says so too, of a transaction
    /// that is read-only by its own wish.
    pub fn read_only(&mut self, now: Time, conn: ConnId) {
        let Some(i) = self.conns.find(conn) else {
            return;
        };
        self.moves.uneasy(now);
        let conn = self.conns.get(i);
        let (at, p) = (conn.at, conn.pool as usize);
        match self.moves.role_at(at) {
            Role::Primary => {}
            Role::Standby if self.moves.had_primary() && !self.at(p).wrote => {
                self.at_mut(p).wrote = true;
                self.demoted(now, at, Sign::ReadOnly);
            }
            Role::Unknown if self.at(p).wrote && now >= self.next_doubt => {
                self.next_doubt = now.after(DOUBT_PAUSE);
                self.conns.get_mut(i).doom = Some(CloseReason::ServerMoved);
            }
            _ => {}
        }
    }

    /// The monitor session read whether its server is in recovery.
    pub(super) fn monitor_saw(&mut self, now: Time, in_recovery: bool) {
        let mine = |conn: &Conn| {
            self.monitor == Some(conn.pool as usize)
                && !conn.left
                && matches!(conn.state, State::Lent { .. })
        };
        let Some(at) = self.conns.iter().find(|(_, c)| mine(c)).map(|(_, c)| c.at) else {
            return;
        };
        let role = match in_recovery {
            true => Role::Standby,
            false => Role::Primary,
        };
        if self.moves.saw(at, role) {
            self.demoted(now, at, Sign::Monitor);
        }
    }

    /// Which database the monitor session's server is, as it numbers itself.
    pub fn identified(&mut self, system: u64) {
        if let Some(before) = self.system.replace(system)
            && before != system
        {
            self.other_database = Some((before, system));
        }
    }

    /// The name leads to another database, not to a copy of the one before:
    /// their numbers, told once.
    pub fn poll_other_database(&mut self) -> Option<(u64, u64)> {
        self.other_database.take()
    }

    // --- what follows ---

    /// The name leads elsewhere: the connections at these addresses are left behind.
    fn leave(&mut self, now: Time, from: &[IpAddr]) {
        let (mut idle, mut lent) = (0, 0);
        for i in 0..self.conns.end() {
            let conn = self.conns.get(i);
            if conn.used && !conn.left && conn.at.is_some_and(|at| from.contains(&at)) {
                match conn.state {
                    State::Idle => idle += 1,
                    State::Closing => {}
                    _ => lent += 1,
                }
                self.leave_behind(now, i);
            }
        }
        let from: Arc<[IpAddr]> = from.into();
        for worker in 0..self.on_worker.len() {
            self.actions.push_back(Action::Leave {
                worker: WorkerId(worker as u16),
                from: Arc::clone(&from),
            });
        }
        self.ousting = None;
        self.moves.moved(now);
        if self.monitors() == 0 {
            self.budget.moved(now);
        }
        self.rebudget(now);
        if self.reached {
            let from = from.iter().copied().map(Some).collect();
            self.tell_move(now, Sign::Name, from, (idle, lent));
        }
        for p in 0..self.pools.len() {
            if let Some(pool) = self.pools[p].as_mut() {
                // What failed there says nothing about where it is now.
                pool.failure = None;
                self.pump(now, p);
            }
        }
        self.feed(now);
    }

    /// The server at an address is a standby: pools that write leave it.
    fn demoted(&mut self, now: Time, at: Place, sign: Sign) {
        let (mut idle, mut lent) = (0, 0);
        for i in 0..self.conns.end() {
            let conn = self.conns.get(i);
            let writes = conn.used
                && conn.at == at
                && !self.is_monitor(conn.pool as usize)
                && self.at(conn.pool as usize).wrote;
            if !writes || conn.doom == Some(CloseReason::ServerMoved) {
                continue;
            }
            match conn.state {
                // Its own login decides.
                State::Opening | State::Closing => continue,
                State::Idle => idle += 1,
                State::Lent { .. } | State::Moving { .. } => lent += 1,
            }
            self.conns.get_mut(i).doom = Some(CloseReason::ServerMoved);
            if self.conns.get(i).state == State::Idle {
                self.detach(now, i);
                self.close(now, i, CloseReason::ServerMoved);
            }
        }
        self.moves.moved(now);
        self.tell_move(now, sign, vec![at], (idle, lent));
    }

    /// Takes a connection out of all that is counted of this server.
    fn leave_behind(&mut self, now: Time, i: u32) {
        let conn = self.conns.get_mut(i);
        conn.left = true;
        conn.doom = Some(CloseReason::ServerMoved);
        let (p, state) = (conn.pool as usize, conn.state);
        let closing = u32::from(state == State::Closing);
        self.count_caps(p, |cap| {
            cap.charged -= 1;
            cap.live -= 1 - closing;
        });
        self.left.add(closing);
        self.at_mut(p).left.add(closing);
        // The monitor session has no client that could be in the middle of something.
        let ours = self.is_monitor(p) && matches!(state, State::Lent { .. });
        if state == State::Idle || ours {
            self.detach(now, i);
            self.close(now, i, CloseReason::ServerMoved);
        }
    }

    /// Asks the workers to end what is still lent of what was left behind, again
    /// and again until nothing is.
    pub(super) fn oust(&mut self, now: Time) {
        let Some(since) = self.ousting else { return };
        if self.left.all == self.left.closing {
            self.ousting = None;
            return;
        }
        for (i, conn) in self.conns.iter() {
            if conn.left && matches!(conn.state, State::Lent { .. }) {
                self.actions.push_back(Action::Oust {
                    worker: conn.worker,
                    conn: self.conns.id(i),
                    slot: conn.slot,
                    since,
                    writes: self.at(conn.pool as usize).wrote,
                });
            }
        }
        self.wake_at(now.after(OUST_PAUSE));
    }

    fn tell_move(&mut self, now: Time, sign: Sign, from: Vec<Place>, drained: (u32, u32)) {
        self.counters.moves += 1;
        let to = self.moves.leads_to().iter().copied();
        let to = to.filter(|at| !from.contains(&Some(*at))).collect();
        if self.told_moves.len() < TOLD_MAX {
            self.told_moves.push_back(Move {
                at: now,
                sign,
                from,
                to,
                idle: drained.0,
                lent: drained.1,
            });
        }
    }

    // --- counts without what was left behind ---

    /// Connections charged to this server.
    pub(super) fn here(&self) -> u32 {
        self.charged.saturating_sub(self.left.all)
    }

    /// Of these, being closed.
    pub(super) fn closing_here(&self) -> u32 {
        self.closing.saturating_sub(self.left.closing)
    }
}
