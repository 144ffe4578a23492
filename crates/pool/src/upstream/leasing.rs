//! What workers see of leases, and what follows from it.

use super::Upstream;
use crate::action::Action;
use crate::conns::State;
use crate::leaks::{Lesson, SilentLease, View, others_wait};
use events::{ClientId, ConnId, Guard, GuardMode, LeakFigures, PoolId, Suspicion, Time, WorkerId};

impl Upstream {
    /// What a worker saw of leases that ended and of silences that were broken.
    pub fn learn(&mut self, now: Time, pool: PoolId, lessons: &[Lesson]) {
        // A failover's silences and holds are nobody's habit.
        if self.moves.learns(now)
            && let Some(pool) = self.pool_mut(pool)
        {
            pool.leaks.learn(now, lessons);
        }
    }

    /// The leases of a worker that are silent now, about once a second; none
    /// once there are none any more. Leases that look forgotten are taken back
    /// by [`Action::Reclaim`].
    pub fn silent(&mut self, now: Time, worker: WorkerId, pool: PoolId, leases: Vec<SilentLease>) {
        let (conns, line, learns) = (&self.conns, self.line, self.moves.learns(now));
        let Some(Some(at)) = self.pools.get_mut(pool.0 as usize) else {
            return;
        };
        let mut leaks = std::mem::take(&mut at.leaks);
        let mode = match learns {
            true => at.settings.guards.mode(Guard::Reclaim),
            false => GuardMode::Off,
        };
        let figures = at.figures(now);
        // What it has got is all that it can get, where clients wait for more.
        let can_have = match figures.waiting {
            0 => line,
            _ => at.live(),
        };
        let flows = &at.queue.flows;
        let verdicts = leaks.report(
            worker,
            leases,
            &View {
                now,
                settings: at.settings.leaks,
                mode,
                size: at.limit().min(can_have),
                lent: figures.lent,
                waiting: figures.waiting,
                oldest_wait: figures.oldest_wait,
                holds: &|conn, client| {
                    conns.find(conn).is_some_and(|i| {
                        matches!(conns.get(i).state, State::Lent { client: c, .. } if c == client)
                    })
                },
                others_wait: &|class| others_wait(flows, class),
            },
        );
        at.leaks = leaks;
        for verdict in verdicts {
            self.actions.push_back(Action::Reclaim {
                worker: verdict.worker,
                client: verdict.lease.client,
                conn: verdict.lease.conn,
                slot: verdict.lease.slot,
                silent_since: verdict.lease.silent_since,
                enforce: mode == GuardMode::Enforce,
                suspicion: verdict.suspicion,
            });
        }
    }

    /// What became of an [`Action::Reclaim`]: it was carried out or, with
    /// `enforce` unset, told; or (`done` unset) the client had spoken meanwhile.
    pub fn reclaimed(
        &mut self,
        pool: PoolId,
        conn: ConnId,
        client: ClientId,
        enforce: bool,
        done: bool,
    ) {
        let mode = match enforce {
            true => GuardMode::Enforce,
            false => GuardMode::Observe,
        };
        if let Some(pool) = self.pool_mut(pool) {
            pool.leaks.outcome(conn, client, done.then_some(mode));
        }
        if done {
            self.counters.guards.decided(Guard::Reclaim, mode);
        }
    }

    /// A person says that a release of an application, named as by
    /// [`names::kind`](crate::names::kind), went out now.
    pub fn mark_release(&mut self, now: Time, application: &str) {
        for pool in self.pools.iter_mut().flatten() {
            pool.leaks.mark_release(now, application);
        }
    }

    /// What was done about leaks.
    pub fn leaks(&self, pool: PoolId) -> Option<LeakFigures> {
        Some(self.pool(pool)?.leaks.figures())
    }

    /// What a lease is suspected of.
    pub fn suspicion(&self, pool: PoolId, conn: ConnId) -> Option<Suspicion> {
        self.pool(pool)?.leaks.suspicion(conn)
    }
}
