//! What must hold after every call.

use super::{Cap, Left, Upstream};
use crate::conns::{Conn, State};
use crate::figures::ConnState;
use crate::list::NIL;
use crate::one_pool::{Mode, Pool};
use std::collections::{BTreeMap, BTreeSet};

impl Upstream {
    /// Recounts everything; the error names the first thing that disagrees.
    /// Takes time in proportion to connections and waiters: for tests, the
    /// simulator and debug builds.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.check_conns()?;
        for (p, pool) in self.pools.iter().enumerate() {
            if let Some(pool) = pool {
                self.check_pool(p, pool)
                    .map_err(|error| format!("pool {p}: {error}"))?;
            }
        }
        self.check_caps()?;
        let hungry: BTreeSet<u32> = self.hungry.iter().copied().collect();
        if hungry.len() != self.hungry.len() {
            return Err("a pool is hungry twice".into());
        }
        Ok(())
    }

    fn check_conns(&self) -> Result<(), String> {
        let all = self.conns.iter().count() as u32;
        let of = |kind| {
            self.conns
                .iter()
                .filter(|(_, conn)| conn.state.kind() == kind)
                .count() as u32
        };
        let (opening, closing) = (of(ConnState::Opening), of(ConnState::Closing));
        if (self.charged, self.opening, self.closing) != (all, opening, closing) {
            return Err(format!(
                "charged {}, opening {}, closing {}; counted {all}, {opening}, {closing}",
                self.charged, self.opening, self.closing
            ));
        }
        self.check_left()?;
        for (worker, count) in self.on_worker.iter().enumerate() {
            let counted = self
                .conns
                .iter()
                .filter(|(_, conn)| conn.worker.0 as usize == worker)
                .count();
            if counted != *count as usize {
                return Err(format!(
                    "worker {worker} has {counted} connections, {count} believed"
                ));
            }
        }
        Ok(())
    }

    /// What was left behind is counted, never idle, and closed at its return.
    fn check_left(&self) -> Result<(), String> {
        let mut all = Left::default();
        for (p, pool) in self.pools.iter().enumerate() {
            let mut left = Left::default();
            let mine = |conn: &Conn| conn.left && conn.pool as usize == p;
            for (i, conn) in self.conns.iter().filter(|(_, conn)| mine(conn)) {
                if conn.state == State::Idle || conn.doom.is_none() {
                    return Err(format!("connection {i} was left behind: {conn:?}"));
                }
                left.all += 1;
                left.closing += u32::from(conn.state == State::Closing);
            }
            if pool.as_ref().is_some_and(|pool| pool.left != left) {
                return Err(format!("pool {p} has left {left:?} behind"));
            }
            all.all += left.all;
            all.closing += left.closing;
        }
        match all == self.left {
            true => Ok(()),
            false => Err(format!("{:?} left behind, counted {all:?}", self.left)),
        }
    }

    fn check_pool(&self, p: usize, pool: &Pool) -> Result<(), String> {
        pool.queue.check()?;
        if pool.hungry != self.hungry.contains(&(p as u32)) {
            return Err("its hunger is not in the list".into());
        }
        let mine = || {
            self.conns
                .iter()
                .filter(|(_, conn)| conn.pool as usize == p)
        };
        for kind in [
            ConnState::Opening,
            ConnState::Idle,
            ConnState::Lent,
            ConnState::Moving,
            ConnState::Closing,
        ] {
            let counted = mine().filter(|(_, conn)| conn.state.kind() == kind).count() as u32;
            if counted != pool.count(kind) {
                return Err(format!(
                    "{counted} connections are {kind:?}, {} believed",
                    pool.count(kind)
                ));
            }
        }
        let mut listed = BTreeSet::new();
        for (worker, list) in pool.idle.iter().enumerate() {
            for i in list.iter(&self.conns.idle_links) {
                let conn = self.conns.get(i);
                let belongs =
                    conn.used && conn.state == State::Idle && conn.worker.0 as usize == worker;
                if !belongs || conn.pool as usize != p || !listed.insert(i) {
                    return Err(format!(
                        "connection {i} does not belong in the idle list: {conn:?}"
                    ));
                }
            }
        }
        if listed.len() as u32 != pool.count(ConnState::Idle) {
            return Err(format!(
                "{} idle, {} in lists",
                pool.count(ConnState::Idle),
                listed.len()
            ));
        }
        self.check_held(p, pool)?;
        if pool.mode == Mode::Open && !listed.is_empty() && pool.queue.queued() > 0 {
            return Err(format!(
                "{} clients wait while {} connections are idle",
                pool.queue.queued(),
                listed.len()
            ));
        }
        if pool.mode != Mode::Open && !listed.is_empty() {
            return Err("idle connections in a pool that lends none".into());
        }
        Ok(())
    }

    /// Reservations point at each other, and flows hold what is lent to them.
    fn check_held(&self, p: usize, pool: &Pool) -> Result<(), String> {
        let mut held: BTreeMap<u32, u32> = BTreeMap::new();
        let mut reserved = 0;
        for (i, conn) in self
            .conns
            .iter()
            .filter(|(_, conn)| conn.pool as usize == p)
        {
            match conn.state {
                State::Lent { flow, .. } => *held.entry(flow).or_default() += 1,
                State::Moving { waiter } if waiter != NIL => {
                    if pool.queue.get(waiter).reserved != i {
                        return Err(format!(
                            "connection {i} moves to a waiter that does not expect it"
                        ));
                    }
                    *held.entry(pool.queue.get(waiter).flow).or_default() += 1;
                    reserved += 1;
                }
                _ => {}
            }
        }
        if pool.queue.len() != pool.queue.queued() + reserved {
            return Err(format!(
                "{reserved} connections are reserved, waiters disagree"
            ));
        }
        for (flow, count) in &held {
            if pool.queue.flows.get(*flow).held != *count {
                return Err(format!(
                    "flow {flow} holds {count}, {} believed",
                    pool.queue.flows.get(*flow).held
                ));
            }
        }
        let total: u32 = held.values().sum();
        match pool.queue.flows.total_held() == total {
            true => Ok(()),
            false => Err(format!(
                "{total} connections are held, flows believe {}",
                pool.queue.flows.total_held()
            )),
        }
    }

    fn check_caps(&self) -> Result<(), String> {
        for (c, Cap { charged, live, .. }) in self.caps.iter().enumerate() {
            let pools = self.pools.iter().flatten();
            let mine =
                pools.filter(|pool| pool.settings.caps.iter().any(|cap| cap.0 as usize == c));
            let (all, stay) = mine.fold((0, 0), |(all, stay), pool| {
                (all + pool.charged(), stay + pool.live())
            });
            if (*charged, *live) != (all, stay) {
                return Err(format!(
                    "cap {c}: {charged} charged, {live} live; counted {all}, {stay}"
                ));
            }
        }
        Ok(())
    }
}
