//! The ledger's two sides by themselves: short stories with a store's answers.

mod erased;

use super::*;

const INSTANCE: u32 = 7;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One instance, and one shard as the store has it.
struct Stage {
    ledger: Ledger,
    now: Time,
    usage: Usage,
    shard: Shard,
    revision: u64,
}

impl Stage {
    /// A shard with a quota of 20, in which another instance claims `taken`.
    fn new(taken: u32) -> Stage {
        let settings = LedgerSettings {
            instance: INSTANCE,
            origin: Origin(7),
            ledger: 0,
        };
        let now = Time::from_micros(1);
        let quota = Quota {
            version: 1,
            quota: 20,
            line: 100,
            level: u32::MAX,
            ..Quota::default()
        };
        let other = Row {
            instance: 1,
            origin: Origin(1),
            claim: taken,
            needs: taken,
            held: taken,
        };
        Stage {
            ledger: Ledger::new(now, &settings),
            now,
            usage: Usage::default(),
            shard: Shard {
                quota,
                version: 2,
                born: 2,
                rows: vec![other],
            },
            revision: 2,
        }
    }

    fn needs(&mut self, needed: u32) {
        self.usage.needed = needed;
    }

    fn holds(&mut self, held: u32) {
        self.usage.charged = held;
        self.usage.usable = held;
    }

    /// What is asked now, without answers: of one kind each.
    fn asked(&mut self) -> Vec<Ask> {
        self.ledger.follow(self.now, &self.usage, u32::MAX);
        let mut asked = Vec::new();
        while let Some(ask) = self.ledger.step(self.now, &self.usage, false) {
            asked.push(ask);
        }
        asked
    }

    fn apply(&mut self, op: Op) -> Answer {
        match op {
            Op::Read { .. } => Answer::Shard(self.shard.clone()),
            Op::Write { known, rows, .. } => {
                let fits = known == (self.shard.quota.version, self.shard.version);
                if fits {
                    self.revision += 1;
                    if self.shard.version == 0 {
                        self.shard.born = self.revision;
                    }
                    self.shard.version = self.revision;
                    self.shard.rows = rows;
                }
                Answer::Wrote(fits, self.shard.clone())
            }
            Op::Renew => Answer::Renewed,
            _ => Answer::Seats(
                [Some(Seat {
                    instance: 1,
                    version: 1,
                }); SEATS],
            ),
        }
    }

    /// Lets time go on, every question being answered at once.
    fn run(&mut self, span: Duration) {
        let end = self.now.after(span);
        while self.now < end {
            self.now = self.now.after(ms(100));
            for ask in self.asked() {
                let answer = self.apply(ask.op);
                self.ledger.heard(self.now, ask.seq, answer);
            }
        }
        self.ledger.follow(self.now, &self.usage, u32::MAX);
    }

    /// The same, and nobody answers.
    fn run_alone(&mut self, span: Duration) {
        let end = self.now.after(span);
        while self.now < end {
            self.now = self.now.after(ms(100));
            self.asked();
        }
    }

    fn claim(&self) -> u32 {
        self.ledger.claim()
    }

    fn stored(&self) -> u32 {
        self.shard.row(INSTANCE).map_or(0, |row| row.claim)
    }
}

#[test]
fn a_newcomer_has_nothing_until_its_row_stands_in_the_store() {
    let mut s = Stage::new(5);
    s.needs(8);
    assert_eq!(s.ledger.limits(), (0, u32::MAX));
    let mut write = None;
    for _ in 0..20 {
        s.now = s.now.after(ms(100));
        for ask in s.asked() {
            match ask.op {
                Op::Write { .. } => write = Some(ask),
                op => {
                    let answer = s.apply(op);
                    s.ledger.heard(s.now, ask.seq, answer);
                }
            }
        }
        if write.is_some() {
            break;
        }
    }
    let write = write.expect("it wants a row");
    assert_eq!(s.claim(), 0);
    let answer = s.apply(write.op);
    s.ledger.heard(s.now, write.seq, answer);
    s.ledger.follow(s.now, &s.usage, u32::MAX);
    // What it needs, and a little more.
    assert_eq!((s.stored(), s.ledger.limits()), (11, (11, 11)));
}

#[test]
fn no_more_is_claimed_than_the_quota_leaves() {
    let mut s = Stage::new(15);
    s.needs(50);
    s.run(ms(3000));
    assert_eq!((s.stored(), s.claim()), (5, 5));
    assert_eq!(s.shard.row(INSTANCE).map(|row| row.needs), Some(50));
}

#[test]
fn when_the_fleet_is_short_what_is_not_used_is_given_back() {
    let mut s = Stage::new(0);
    s.needs(12);
    s.run(ms(2000));
    assert_eq!(s.claim(), 16);
    s.needs(3);
    s.run(ms(3000));
    assert_eq!(s.claim(), 16, "nobody wants it");
    s.revision += 1;
    s.shard.quota.version = s.revision;
    s.shard.quota.level = 9;
    s.run(ms(3000));
    assert_eq!((s.claim(), s.stored()), (3, 3));
    s.needs(30);
    s.run(ms(3000));
    assert_eq!((s.claim(), s.stored()), (9, 9), "the level");
}

#[test]
fn a_write_without_an_answer_is_feared_until_the_version_moves() {
    let mut s = Stage::new(0);
    s.needs(10);
    s.run(ms(2000));
    assert_eq!(s.claim(), 13);
    // The fleet is short, it needs less, and the write that says so is lost.
    s.revision += 1;
    s.shard.quota.version = s.revision;
    s.shard.quota.level = 100;
    s.needs(2);
    let mut lost = None;
    while lost.is_none() {
        s.now = s.now.after(ms(100));
        for ask in s.asked() {
            let lowers = |row: &Row| row.instance == INSTANCE && row.claim == 2;
            match ask.op {
                Op::Write { ref rows, .. } if rows.iter().any(lowers) => lost = Some(ask.op),
                op => {
                    let answer = s.apply(op);
                    s.ledger.heard(s.now, ask.seq, answer);
                }
            }
        }
    }
    assert_eq!(s.claim(), 2);
    // Now it needs more again. The store still has 13 of it, but the write may come.
    s.needs(10);
    let end = s.now.after(ms(3000));
    let mut raised = None;
    while s.now < end && raised.is_none() {
        s.now = s.now.after(ms(100));
        for ask in s.asked() {
            if let Op::Write { .. } = ask.op {
                raised = Some(ask);
                break;
            }
            let answer = s.apply(ask.op);
            s.ledger.heard(s.now, ask.seq, answer);
        }
        assert_eq!(s.claim(), 2);
    }
    let raised = raised.expect("a write that moves the version");
    // The lost one comes first: the other one fails, and nothing is believed.
    let late = lost.map(|op| s.apply(op));
    assert!(matches!(late, Some(Answer::Wrote(true, _))));
    let answer = s.apply(raised.op);
    s.ledger.heard(s.now, raised.seq, answer);
    s.ledger.follow(s.now, &s.usage, u32::MAX);
    assert_eq!((s.claim(), s.stored()), (2, 2));
    s.run(ms(1500));
    assert_eq!((s.claim(), s.stored()), (10, 10));
}

#[test]
fn alone_it_keeps_its_share_while_its_connections_show_that_it_lives() {
    let mut s = Stage::new(0);
    s.needs(10);
    s.holds(10);
    s.run(ms(6000));
    let claim = s.claim();
    assert!(claim >= 10);
    s.run_alone(ms(60_000));
    assert!(s.ledger.is_blind());
    assert_eq!(s.claim(), claim, "the share stands");
    s.holds(5);
    s.ledger.lost(&s.usage);
    assert_eq!(s.claim(), claim, "half can be seen");
    s.holds(4);
    s.ledger.lost(&s.usage);
    assert_eq!(s.claim(), 4);
    // The store is back: first a write, then more.
    s.run(ms(3000));
    assert!(s.claim() >= 10, "{}", s.claim());
}

#[test]
fn after_long_it_keeps_what_it_holds() {
    let mut s = Stage::new(0);
    s.needs(10);
    s.holds(8);
    s.run(ms(6000));
    s.run_alone(HOLD);
    assert_eq!(s.claim(), 8);
}

#[test]
fn a_line_that_falls_is_obeyed_at_once() {
    let mut s = Stage::new(8);
    s.needs(12);
    s.run(ms(2000));
    assert_eq!(s.claim(), 12);
    s.holds(12);
    s.revision += 1;
    s.shard.quota.version = s.revision;
    s.shard.quota.quota = 10;
    s.shard.quota.line = 50;
    s.run(ms(2500));
    // Ten for two that claim 8 and 12: five each.
    assert_eq!(s.ledger.limits(), (5, 5));
    assert_eq!(s.stored(), 12, "what is being closed still counts");
    s.holds(5);
    s.run(ms(1000));
    assert_eq!(s.stored(), 5);
}

// --- the keeper ---

/// A keeper, and all shards as the store has them.
struct Desk {
    keeper: Keeper,
    now: Time,
    shards: Vec<Shard>,
    revision: u64,
    gone: Vec<u32>,
    told: Vec<TakenOut>,
    backends: u32,
}

impl Desk {
    /// Members by shard: claim and needs of each.
    fn new(members: &[(u32, &[(u32, u32)])]) -> Desk {
        let mut shards = vec![Shard::default(); SHARDS as usize];
        for (i, rows) in members {
            let rows = rows.iter().enumerate().map(|(n, (claim, needs))| {
                let instance = i * 100 + n as u32;
                Row {
                    instance,
                    origin: Origin(u64::from(instance) + 1),
                    claim: *claim,
                    needs: *needs,
                    held: *claim,
                }
            });
            shards[*i as usize].rows = rows.collect();
            shards[*i as usize].version = 1;
        }
        let now = Time::from_micros(1);
        Desk {
            keeper: Keeper::new(now, 1),
            now,
            shards,
            revision: 1,
            gone: Vec::new(),
            told: Vec::new(),
            backends: 0,
        }
    }

    /// The server's figures, `best` without anybody, and rows by origin.
    fn reads(&mut self, best: u32, origins: &[(u64, u32)]) {
        let reading = Reading {
            max_connections: best,
            backends: self.backends + origins.iter().map(|(_, rows)| rows).sum::<u32>(),
            ..Reading::default()
        };
        let origins = origins.iter().map(|(o, n)| (Origin(*o), *n)).collect();
        let times = (self.now, self.now);
        let seen = keeper::Seen {
            origins,
            hidden: 0,
            other_ledgers: 0,
        };
        let shown = seen.origins.iter().map(|(origin, _)| *origin);
        self.keeper
            .shown(&shown.chain([Origin(1), Origin(2)]).collect());
        let figures = keeper::Figures::new(times, &reading, seen, "default", 0);
        self.keeper.read(figures);
    }

    /// One look and what follows; how many shards were changed.
    fn look(&mut self) -> usize {
        self.now = self.now.after(ms(500));
        let mut changed = 0;
        for seq in 0.. {
            let Some(op) = self.keeper.step(Sent { seq, at: self.now }) else {
                break;
            };
            match op {
                Op::Sweep { .. } => {
                    let shards = (0..).zip(self.shards.iter().cloned()).collect();
                    let gone = self.gone.clone();
                    let (now, revision) = (self.now, self.revision);
                    self.keeper.swept(now, seq, revision, shards, &gone, None);
                }
                Op::Allot { quotas, .. } => {
                    let mut done = Vec::new();
                    for (i, mut quota) in quotas {
                        self.revision += 1;
                        assert_eq!(quota.version, self.shards[i as usize].quota.version);
                        quota.version = self.revision;
                        self.shards[i as usize].quota = quota;
                        done.push(i);
                    }
                    changed += done.len();
                    self.keeper.put(seq, &done);
                }
                Op::Reap { shards, .. } => {
                    let reaped: Vec<u32> = shards.iter().map(|(i, ..)| *i).collect();
                    for (i, version, gone) in shards {
                        let shard = &mut self.shards[i as usize];
                        assert_eq!(version, shard.version);
                        shard.rows.retain(|row| !gone.contains(&row.instance));
                        self.revision += 1;
                        shard.version = self.revision;
                    }
                    let out = self.keeper.put(seq, &reaped);
                    self.told.extend(out);
                }
                op => panic!("{op:?}"),
            }
        }
        changed
    }

    fn quota(&self, shard: u32) -> u32 {
        self.shards[shard as usize].quota.quota
    }

    fn sum(&self) -> u32 {
        self.shards
            .iter()
            .map(|s| s.quota.quota.max(s.claimed()))
            .sum()
    }
}

#[test]
fn without_a_reading_nothing_is_allotted_and_with_one_all_of_it() {
    let mut d = Desk::new(&[(0, &[(0, 4), (0, 0)]), (9, &[(0, 0)])]);
    assert_eq!(d.look(), 0);
    d.reads(40, &[]);
    d.look();
    // Four are needed, and the rest is slack by heads: 36 for three.
    assert_eq!((d.quota(0), d.quota(9), d.sum()), (28, 12, 40));
    assert_eq!(d.look(), 0, "nothing to mend");
}

#[test]
fn what_is_needed_elsewhere_is_lowered_first_and_raised_when_it_is_given_back() {
    let mut d = Desk::new(&[(0, &[(30, 2)]), (1, &[(0, 25)])]);
    d.shards[0].quota.quota = 30;
    d.reads(30, &[(1, 30)]);
    d.look();
    assert!(d.quota(0) < 10, "{}", d.quota(0));
    assert_eq!(d.quota(1), 0, "nothing was given back yet");
    d.shards[0].rows[0].claim = 2;
    d.look();
    assert!(d.quota(1) >= 25, "{}", d.quota(1));
    assert!(d.sum() <= 30);
}

#[test]
fn a_lost_write_counts_as_done() {
    let mut d = Desk::new(&[(0, &[(0, 30)]), (1, &[(0, 0)])]);
    d.reads(30, &[]);
    d.now = d.now.after(ms(500));
    let at = |now| Sent { seq: 1, at: now };
    assert!(matches!(d.keeper.step(at(d.now)), Some(Op::Sweep { .. })));
    let shards = (0..).zip(d.shards.iter().cloned()).collect();
    d.keeper.swept(d.now, 1, 1, shards, &[], None);
    let lost = d.keeper.step(at(d.now));
    let Some(Op::Allot { quotas, .. }) = lost else {
        panic!("{lost:?}")
    };
    assert!(quotas.iter().any(|(i, quota)| (*i, quota.quota) == (0, 30)));
    // No answer. Meanwhile the other shard is the one that needs it.
    d.now = d.now.after(ms(1000));
    d.shards[0].rows[0].needs = 0;
    d.shards[1].rows[0].needs = 30;
    d.look();
    assert_eq!(d.quota(1), 0, "it may still be done");
    // Lowering was answered: the version moved, and the lost one cannot come.
    d.look();
    assert_eq!(d.quota(1), 30);
}

#[test]
fn needs_above_the_line_are_cut_at_one_level_and_turns_take_what_is_left_over() {
    let members: Vec<(u32, u32)> = (0..40).map(|n| (0, n % 5)).collect();
    let mut d = Desk::new(&[(3, &members[..20]), (4, &members[20..])]);
    for line in [1, 7, 15, 39, 40, 41, 60, 79, 80, 200] {
        d.reads(line, &[]);
        // What moves with a turn is raised one look after it was lowered.
        while d.look() > 0 {}
        let given: u32 = d
            .shards
            .iter()
            .flat_map(|shard| {
                let quota = shard.quota;
                shard.rows.iter().map(move |row| {
                    let one = rows::rank(row.instance, quota.turn) <= quota.extra;
                    match quota.level {
                        u32::MAX => row.needs,
                        level => row.needs.min(level + u32::from(one)),
                    }
                })
            })
            .sum();
        assert_eq!(given, line.min(80), "line {line}");
        assert_eq!(d.sum(), line, "all of it is allotted");
    }
}

#[test]
fn others_are_those_from_elsewhere_and_count_at_once() {
    let mut d = Desk::new(&[(0, &[(10, 10)])]);
    d.reads(50, &[(1, 10)]);
    d.look();
    assert_eq!(d.shards[0].quota.line, 50);
    d.backends = 20;
    d.reads(50, &[(1, 10)]);
    d.look();
    assert_eq!(d.shards[0].quota.line, 30);
}

#[test]
fn a_row_goes_when_the_server_shows_that_its_instance_is_gone() {
    let rows: &[(u32, u32)] = &[(10, 10), (4, 20)];
    let mut d = Desk::new(&[(0, rows)]);
    // Read before its lease had ended: says nothing.
    d.gone = vec![0];
    d.reads(30, &[(2, 4)]);
    d.look();
    d.look();
    assert_eq!(d.shards[0].rows.len(), 2);
    assert!(d.keeper.doubtful());
    // Its connections live: it is cut off from the store only.
    d.reads(30, &[(1, 5), (2, 4)]);
    d.look();
    d.look();
    assert_eq!(d.shards[0].rows.len(), 2);
    assert_eq!(d.quota(0), 30, "its ten, and what the other needs");
    // Fewer than half of the ten that it stated.
    d.reads(30, &[(1, 4), (2, 4)]);
    d.look();
    assert_eq!(d.shards[0].rows.len(), 1);
    let out = TakenOut {
        instance: 0,
        claim: 10,
        why: Gone::Unseen,
    };
    assert_eq!(d.told, [out]);
    d.reads(30, &[(1, 4), (2, 4)]);
    d.look();
    assert_eq!(d.shards[0].quota.line, 26, "what it has left is others'");
}

#[test]
fn where_addresses_do_not_tell_a_row_goes_after_long() {
    let mut d = Desk::new(&[(0, &[(10, 10)])]);
    d.shards[0].rows[0].origin = Origin::default();
    d.gone = vec![0];
    d.reads(30, &[]);
    d.look();
    d.now = d.now.after(HOLD - ms(2000));
    d.reads(30, &[]);
    d.look();
    assert_eq!(d.shards[0].rows.len(), 1);
    d.now = d.now.after(ms(2000));
    d.look();
    assert_eq!(d.shards[0].rows.len(), 0);
    assert_eq!(d.told[0].why, Gone::Held);
}

#[test]
fn an_origin_is_the_same_for_all_who_compute_it() {
    let of = |text: &str| Origin::of(text.parse().expect("an address"));
    assert_eq!(of("10.0.0.7"), of("::ffff:10.0.0.7"));
    assert_ne!(of("10.0.0.7"), of("10.0.0.8"));
    assert_eq!(of("10.0.0.7"), Origin(11_385_695_722_689_385_540));
}

#[test]
fn a_sitters_name_is_no_members() {
    let sitter = Sitter {
        instance: u32::MAX,
        claim: u32::MAX,
        held: u32::MAX,
        ledger: u16::MAX,
    };
    let fleet = "a-fleet-of-20-letter";
    let name = sitter.name(fleet);
    assert!(name.len() <= 63, "{name}");
    assert_eq!(crate::Member::parse(fleet, &name), None);
    let reading = Reading {
        names: vec![name.as_str().into(), "plimsoll/other/00000001/1/1/1".into()],
        ..Reading::default()
    };
    let found = reading.sitters(fleet);
    assert_eq!((found.len(), found[0].instance), (1, u32::MAX));
    assert_eq!(found[0].ledger, u16::MAX);
}
