//! Keys that somebody deletes by hand, and what instance and keeper make of it.

use super::*;

fn shard(version: u64, born: u64, quota: u64) -> Shard {
    Shard {
        version,
        born,
        quota: Quota {
            version: quota,
            ..Quota::default()
        },
        rows: Vec::new(),
    }
}

#[test]
fn what_was_deleted_is_told_by_versions() {
    let known = shard(5, 3, 4);
    for (now, expected) in [
        (known.clone(), None),
        // Written, and both of them.
        (shard(6, 3, 4), None),
        (shard(7, 3, 6), None),
        (shard(0, 0, 4), Some(Erased::Rows(9))),
        // Deleted, and made again by another.
        (shard(8, 8, 4), Some(Erased::Rows(9))),
        (shard(5, 3, 0), Some(Erased::Quota(9))),
        // Its rows say it all.
        (shard(0, 0, 0), Some(Erased::Rows(9))),
    ] {
        assert_eq!(known.erased(&now, 9), expected, "{now:?}");
    }
    // What was not there cannot be deleted.
    for now in [shard(0, 0, 0), shard(6, 6, 0), shard(6, 6, 7)] {
        assert_eq!(shard(0, 0, 0).erased(&now, 9), None, "{now:?}");
    }
}

impl Stage {
    /// Lets time go on as [`Stage::run`] does; what was told as deleted, and the
    /// most that was acted on.
    fn run_and_tell(&mut self, span: Duration) -> (Vec<Erased>, u32) {
        let (mut told, mut most) = (Vec::new(), 0);
        let end = self.now.after(span);
        while self.now < end {
            self.now = self.now.after(ms(100));
            for ask in self.asked() {
                let answer = self.apply(ask.op);
                match self.ledger.heard(self.now, ask.seq, answer) {
                    Some(News::Erased(what)) => told.push(what),
                    news => assert_eq!(news, None),
                }
                most = most.max(self.claim());
            }
        }
        self.ledger.follow(self.now, &self.usage, u32::MAX);
        (told, most.max(self.claim()))
    }

    fn joined(needs: u32) -> Stage {
        let mut s = Stage::new(0);
        s.needs(needs);
        s.holds(needs);
        s.run(ms(4000));
        s
    }

    fn erase(&mut self, rows: bool, quota: bool) {
        if rows {
            (self.shard.version, self.shard.born) = (0, 0);
            self.shard.rows.clear();
        }
        if quota {
            self.shard.quota = Quota::default();
        }
    }
}

#[test]
fn an_instance_whose_keys_are_deleted_keeps_its_share_and_takes_its_place_again() {
    for (rows, quota) in [(true, true), (true, false), (false, true)] {
        let mut s = Stage::joined(8);
        let claim = s.claim();
        assert!(claim >= 8);
        s.erase(rows, quota);
        // It wants more meanwhile, and gets none.
        s.needs(16);
        let (told, most) = s.run_and_tell(ms(5000));
        assert_eq!(told.len(), 1, "{told:?} of rows {rows}, quota {quota}");
        assert_eq!((most, s.claim(), s.stored()), (claim, claim, claim));
        assert_eq!(
            s.ledger.limits(),
            (claim, claim),
            "what closes may be replaced"
        );
        // The keeper sets a quota again.
        s.revision += 1;
        s.shard.quota = Quota {
            version: s.revision,
            quota: 20,
            line: 100,
            level: u32::MAX,
            ..Quota::default()
        };
        let (told, _) = s.run_and_tell(ms(8000));
        assert_eq!(told, []);
        assert!(s.claim() >= 16, "{} of {:?}", s.claim(), s.shard);
    }
}

#[test]
fn rows_that_another_has_made_again_are_seen_to_have_been_deleted() {
    let mut s = Stage::joined(8);
    let claim = s.claim();
    s.erase(true, false);
    let other = Row {
        instance: 1,
        claim: 3,
        ..Row::default()
    };
    s.revision += 1;
    (s.shard.version, s.shard.born) = (s.revision, s.revision);
    s.shard.rows = vec![other];
    let (told, most) = s.run_and_tell(ms(5000));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((most, s.stored()), (claim, claim));
    assert_eq!(s.shard.rows.len(), 2, "the other's row stays");
}

#[test]
fn a_replica_that_lags_has_deleted_nothing() {
    let mut s = Stage::joined(8);
    let claim = s.claim();
    let mut firm_reads = 0;
    for _ in 0..50 {
        s.now = s.now.after(ms(100));
        for ask in s.asked() {
            let answer = match ask.op {
                Op::Read { firm: false, .. } => Answer::Shard(Shard::default()),
                Op::Read { firm: true, .. } => {
                    firm_reads += 1;
                    Answer::Shard(s.shard.clone())
                }
                op => s.apply(op),
            };
            assert_eq!(s.ledger.heard(s.now, ask.seq, answer), None);
        }
    }
    assert!(firm_reads > 1);
    assert_eq!(s.claim(), claim);
}

/// A look at these shards, as a keeper takes it; what is told as deleted.
fn look(keeper: &mut Keeper, now: Time, shards: Vec<(u32, Shard)>, calm: bool) -> Option<Erased> {
    let asked = keeper.step(Sent { seq: 1, at: now });
    assert!(matches!(asked, Some(Op::Sweep { .. })), "{asked:?}");
    let erased = keeper.erased(1, &shards, calm);
    keeper.swept(now, 1, 1, shards, &[], None);
    erased
}

#[test]
fn a_keeper_sees_it_by_what_it_knew_and_a_new_one_by_claims_without_a_quota() {
    let row = Row {
        claim: 4,
        ..Row::default()
    };
    let with = |mut shard: Shard| {
        shard.rows = vec![row];
        shard
    };
    let now = |looks: u64| Time::from_micros(1).after(ms(600) * looks as u32);
    let mut keeper = Keeper::new(now(0), 1);
    let known = vec![(3, with(shard(5, 3, 4))), (4, shard(7, 7, 0))];
    assert_eq!(look(&mut keeper, now(1), known.clone(), true), None);
    let gone = vec![(3, Shard::default())];
    let mut other = keeper.clone();
    let told = look(&mut other, now(2), gone, true);
    assert_eq!(told, Some(Erased::Rows(3)));
    let again = vec![(3, with(shard(9, 8, 4)))];
    let mut other = keeper.clone();
    let told = look(&mut other, now(2), again, true);
    assert_eq!(told, Some(Erased::Rows(3)));
    // Rows of whoever joins claim nothing, so nothing is missing.
    assert_eq!(look(&mut keeper, now(2), known, true), None);

    let orphans = vec![(4, with(shard(9, 9, 0)))];
    let fresh = |calm| look(&mut Keeper::new(now(0), 1), now(1), orphans.clone(), calm);
    assert_eq!(fresh(true), Some(Erased::Quota(4)));
    assert_eq!(fresh(false), None, "it waits already");
}
