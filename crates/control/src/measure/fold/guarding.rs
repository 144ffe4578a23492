//! What the guards did since the last look, and whom they met.

use super::Fold;
use events::sample::{GuardSample, GuardedSample, add_guarded};
use events::snapshot::{PoolRow, Snapshot};
use events::{ApplicationRow, Guard, GuardMode, SizeReason};
use std::collections::BTreeMap;

impl Fold {
    pub(super) fn guards(&mut self, before: &Snapshot, now: &Snapshot) -> Vec<GuardSample> {
        let (old, new) = (&before.guards.counts, &now.guards.counts);
        let mut rows = Vec::with_capacity(Guard::COUNT);
        for guard in Guard::ALL {
            let mode = now.guards.mode(guard);
            let mut row = GuardSample {
                guard: self.name(guard.label()),
                mode: self.name(mode.label()),
                done: new.done(guard).saturating_sub(old.done(guard)),
                would: new.would(guard).saturating_sub(old.would(guard)),
                needless: new.needless(guard).saturating_sub(old.needless(guard)),
            };
            if guard == Guard::AutoSize {
                // The pools count their sizes themselves.
                let changes = sum_of_sizes(now).saturating_sub(sum_of_sizes(before));
                match mode {
                    GuardMode::Enforce => row.done += changes,
                    GuardMode::Observe | GuardMode::Off => row.would += changes,
                }
            }
            rows.push(row);
        }
        rows
    }

    /// Only what happened has a row.
    pub(super) fn guarded(&mut self, before: &Snapshot, now: &Snapshot) -> Vec<GuardedSample> {
        let mut rows = Vec::new();
        let pools: BTreeMap<(&str, &str), &PoolRow> = before
            .pools
            .iter()
            .map(|p| (super::pool_name(p), p))
            .collect();
        let none = PoolRow::default();
        for pool in &now.pools {
            let old = pools.get(&super::pool_name(pool)).copied().unwrap_or(&none);
            self.of_pool(old, pool, now.guards.mode(Guard::AutoSize), &mut rows);
        }
        type Key<'a> = (&'a str, &'a str, &'a str);
        fn key(a: &ApplicationRow) -> Key<'_> {
            (&a.database, &a.user, &a.kind)
        }
        let earlier: BTreeMap<Key<'_>, &ApplicationRow> =
            before.applications.iter().map(|a| (key(a), a)).collect();
        for row in now.applications.iter().filter(|a| !a.pins.is_empty()) {
            let old = earlier.get(&key(row)).map(|a| a.pins).unwrap_or_default();
            for (kind, [kept, unkept, refused]) in row.pins.rows() {
                let at = kind as usize;
                let sample = GuardedSample {
                    guard: self.name(Guard::Pin.label()),
                    database: self.name(&row.database),
                    user: self.name(&row.user),
                    application: self.name(&row.kind),
                    why: self.name(kind.label()),
                    kept: kept.saturating_sub(old.kept[at]),
                    would: unkept.saturating_sub(old.unkept[at]),
                    done: refused.saturating_sub(old.refused[at]),
                };
                rows.push(sample);
            }
        }
        rows.retain(|r| r.done + r.would + r.kept > 0);
        let mut bounded = Vec::new();
        add_guarded(&mut bounded, &rows);
        bounded
    }

    fn of_pool(
        &mut self,
        old: &PoolRow,
        pool: &PoolRow,
        auto_size: GuardMode,
        rows: &mut Vec<GuardedSample>,
    ) {
        let mut row = |fold: &mut Fold, guard: Guard, application: &str, why: &str, done, would| {
            rows.push(GuardedSample {
                guard: fold.name(guard.label()),
                database: fold.name(&pool.database),
                user: fold.name(&pool.user),
                application: fold.name(application),
                why: fold.name(why),
                done,
                would,
                kept: 0,
            });
        };
        for (guard, now, before) in [
            (
                Guard::Reclaim,
                &pool.leaks.applications,
                &old.leaks.applications,
            ),
            (Guard::Shed, &pool.shed, &old.shed),
        ] {
            for (application, done, would) in now {
                let was = before.iter().find(|(name, ..)| name == application);
                let (was_done, was_would) = was.map_or((0, 0), |(_, d, w)| (*d, *w));
                let (done, would) = (
                    done.saturating_sub(was_done),
                    would.saturating_sub(was_would),
                );
                let why = match guard {
                    Guard::Reclaim => "leak",
                    _ => "hopeless_wait",
                };
                row(self, guard, application, why, done, would);
            }
        }
        let Some(sizing) = &pool.sizing else { return };
        let was = old.sizing.as_ref().map(|s| s.changes).unwrap_or_default();
        for (at, reason) in SizeReason::ALL.into_iter().enumerate() {
            let changes = sizing.changes[at].saturating_sub(was[at]);
            let (done, would) = match auto_size {
                GuardMode::Enforce => (changes, 0),
                GuardMode::Observe | GuardMode::Off => (0, changes),
            };
            row(self, Guard::AutoSize, "", reason.label(), done, would);
        }
    }
}

fn sum_of_sizes(snapshot: &Snapshot) -> u64 {
    let sizing = snapshot.pools.iter().filter_map(|p| p.sizing.as_ref());
    sizing.map(|s| s.changes.iter().sum::<u64>()).sum()
}
