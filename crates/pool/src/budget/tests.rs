//! The line by itself: short stories with readings as a server would give them.

use super::share::{level, peers};
use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One instance, its clock, and what it uses.
struct Stage {
    budget: Budget,
    now: Time,
    usage: Usage,
}

/// A server with 100 slots, 3 of them reserved.
fn server(backends: u32, names: &[&str]) -> Reading {
    Reading {
        max_connections: 100,
        superuser_reserved: 3,
        backends,
        names: names.iter().map(|name| (*name).into()).collect(),
        ..Reading::default()
    }
}

impl Stage {
    fn new() -> Stage {
        let mut budget = Budget::new(90);
        let settings = BudgetSettings {
            idle_stop: Some(Duration::from_secs(300)),
            instance: 1,
            ..BudgetSettings::default()
        };
        budget.configure(Time::from_micros(1), Some(settings));
        let mut stage = Stage {
            budget,
            now: Time::from_micros(1),
            usage: Usage::default(),
        };
        stage.budget.connected();
        stage
    }

    fn after(&mut self, span: Duration) {
        self.now = self.now.after(span);
        self.budget.tick(self.now);
    }

    /// The question's name, or what else is to be done.
    fn step(&mut self) -> String {
        match self.budget.step(self.now, &self.usage) {
            MonitorStep::Rest => "rest".into(),
            MonitorStep::Close => "close".into(),
            MonitorStep::Ask(name) | MonitorStep::AskFrom(name) => name,
        }
    }

    /// Asks until nothing is to be asked, each answer being `others` rows of
    /// strangers, our own rows and those of the peers with what they state.
    fn settle(&mut self, others: u32, peers: &[Member]) -> (u32, u32) {
        for _ in 0..4 {
            let name = self.step();
            if !name.starts_with("plimsoll") {
                break;
            }
            let mut names = vec![name];
            names.extend(peers.iter().map(|peer| peer.name("default")));
            let held: u32 = peers.iter().map(|peer| peer.held).sum();
            let rows = others + self.usage.usable + held + names.len() as u32;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let reading = server(rows, &names);
            self.budget.heard(self.now, &self.usage, &reading, true);
        }
        self.budget.limits(1)
    }

    fn holds(&mut self, held: u32, needed: u32) {
        self.usage.charged = held;
        self.usage.usable = held;
        self.usage.needed = needed;
    }
}

fn peer(instance: u32, claim: u32, held: u32, wants: u32) -> Member {
    Member {
        instance,
        claim,
        held,
        wants,
        rejected: None,
    }
}

#[test]
fn a_name_says_what_was_put_in_and_nothing_else_is_read() {
    let member = peer(0xdead_beef, 90, 87, 3);
    let name = member.name("eu-west_1");
    assert_eq!(name, "plimsoll/eu-west_1/deadbeef/90/87/3");
    assert_eq!(Member::parse("eu-west_1", &name), Some(member));
    let longest = "x".repeat(FLEET_NAME_MAX);
    let stating = Member {
        rejected: Some(0x0a_bc12),
        ..member
    };
    let name = stating.name("eu-west_1");
    assert_eq!(name, "plimsoll/eu-west_1/deadbeef/90/87/3/0abc12");
    assert_eq!(Member::parse("eu-west_1", &name), Some(stating));
    // As a newer version may say more.
    let more = format!("{name}/of-next-year/7");
    assert_eq!(Member::parse("eu-west_1", &more), Some(stating));
    let more = "plimsoll/eu-west_1/deadbeef/90/87/3//7";
    assert_eq!(Member::parse("eu-west_1", more), Some(member));
    let full = peer(u32::MAX, 99_999, 99_999, 99_999);
    let full = Member {
        rejected: Some(u32::MAX),
        ..full
    }
    .name(&longest);
    assert!(full.len() <= 63, "{} bytes", full.len());
    for other in [
        "plimsoll/eu/deadbeef/90/87/3",
        "plimsoll/eu-west_1/deadbeef/90/87",
        "plimsoll/eu-west_1/deadbeef/90/87/3/4",
        "plimsoll/eu-west_1/beef/90/87/3",
        "plimsoll/eu-west_1/deadbeef/-1/87/3",
        "plimsoll/eu-west_1/deadbeef/4294967295/87/3",
        "psql",
        "",
    ] {
        assert_eq!(Member::parse("eu-west_1", other), None, "{other}");
    }
}

#[test]
fn the_level_cuts_only_who_asks_for_more() {
    let table: [(u32, &[u32], u32); 6] = [
        (90, &[30, 30, 30], u32::MAX),
        (90, &[60, 60], 45),
        (90, &[10, 80, 80], 40),
        (90, &[10, 20, 80], 60),
        (0, &[5, 5], 0),
        (7, &[], u32::MAX),
    ];
    for (line, asked, expected) in table {
        assert_eq!(level(line, asked), expected, "{line} {asked:?}");
        let given: u32 = asked.iter().map(|ask| (*ask).min(expected)).sum();
        assert!(given <= line);
    }
}

#[test]
fn of_two_rows_of_one_member_the_cautious_figures_count() {
    let rows = vec![peer(2, 30, 9, 0), peer(1, 5, 5, 0), peer(2, 10, 4, 7)];
    assert_eq!(peers(rows, 1), [peer(2, 30, 4, 7)]);
}

#[test]
fn the_others_are_where_their_sessions_come_from() {
    let at = |n| Some(std::net::IpAddr::from([10, 0, 0, n]));
    let reading = Reading {
        names: ["plimsoll/f/00000001/1/1/0", "plimsoll/f/00000002/1/1/0"]
            .into_iter()
            .chain(["plimsoll/f/00000003/1/1/0", "plimsoll/g/00000004/1/1/0"])
            .chain(["plimsoll/f/00000005/1/1/0", "psql"])
            .map(Into::into)
            .collect(),
        places: vec![at(1), at(2), at(2), at(4), None, at(6)],
        ..Reading::default()
    };
    assert_eq!(reading.places("f", 1), [at(2)].map(Option::unwrap));
}

#[test]
fn every_part_is_taken_off_and_kept_for_display() {
    let reading = Reading {
        max_connections: 100,
        superuser_reserved: 3,
        reserved: 4,
        provider_reserved: 2,
        ..Reading::default()
    };
    let parts = reading.parts(10, 1, 5);
    assert_eq!(parts.line, 75);
    assert_eq!(
        (parts.others, parts.provider_reserved, parts.headroom),
        (10, 2, 5)
    );
    assert_eq!(reading.parts(200, 1, 5).line, 0, "never below nothing");
}

#[test]
fn a_newcomer_opens_nothing_before_its_first_reading_and_then_all_there_is() {
    let mut s = Stage::new();
    assert_eq!(s.budget.limits(1).0, 0);
    // 100 − 3 reserved − 20 others − 1 monitor − 5 headroom.
    assert_eq!(s.settle(20, &[]), (71, 71));
    assert_eq!(s.budget.sight(), Sight::Known);
    assert_eq!(s.step(), "rest");
    s.after(ms(2000));
    assert!(s.step().starts_with("plimsoll/default/00000001/71/0/0"));
}

#[test]
fn without_a_reading_the_stated_line_holds() {
    let mut s = Stage::new();
    s.after(ms(1999));
    assert_eq!(s.budget.limits(1).0, 0);
    s.after(ms(1));
    assert_eq!(
        (s.budget.sight(), s.budget.limits(1).0),
        (Sight::Unknown, 89)
    );
    // A session that cannot be opened ends the wait at once.
    let mut s = Stage::new();
    s.budget.session_lost(s.now, &Usage::default());
    assert_eq!(
        (s.budget.sight(), s.budget.limits(0).0),
        (Sight::Unknown, 90)
    );
}

#[test]
fn a_stated_line_bounds_what_is_read() {
    let mut s = Stage::new();
    let settings = s.budget.settings().cloned();
    let stated = settings.map(|settings| BudgetSettings {
        stated: true,
        ..settings
    });
    s.budget.state(20);
    s.budget.configure(s.now, stated);
    assert_eq!(s.settle(0, &[]), (19, 19), "19 and the monitor session");
}

#[test]
fn others_that_come_count_at_once_and_others_that_go_when_they_stay_away() {
    let mut s = Stage::new();
    assert_eq!(s.settle(0, &[]), (91, 91));
    s.holds(91, 91);
    s.after(ms(2000));
    assert_eq!(s.settle(30, &[]), (61, 61));
    // They leave: that is believed when it lasts.
    s.holds(61, 91);
    s.after(ms(2000));
    assert_eq!(s.settle(0, &[]).0, 61);
    for _ in 0..4 {
        s.after(ms(200));
        s.settle(0, &[]);
    }
    assert_eq!(s.budget.limits(1), (91, 91));
}

#[test]
fn a_stale_line_does_not_grow_and_is_followed_again_later() {
    let mut s = Stage::new();
    s.settle(11, &[]);
    s.after(ms(6001));
    assert_eq!(s.budget.sight(), Sight::Stale);
    assert_eq!(s.budget.limits(1), (80, 80));
    s.budget.session_lost(s.now, &s.usage);
    s.after(ms(250));
    s.budget.connected();
    s.settle(41, &[]);
    assert_eq!(s.budget.limits(1).0, 50);
}

#[test]
fn a_silent_session_is_given_up_and_opened_again_at_growing_pauses() {
    let mut s = Stage::new();
    assert!(s.step().starts_with("plimsoll"));
    s.after(ANSWER_MAX);
    assert_eq!(s.step(), "rest");
    s.after(ms(1));
    assert_eq!(s.step(), "close");
    let mut pauses = Vec::new();
    for _ in 0..9 {
        s.budget.session_lost(s.now, &s.usage);
        // Told twice, counted once.
        s.budget.session_lost(s.now, &s.usage);
        let at = s.budget.session_at().unwrap();
        pauses.push(at.since(s.now).as_millis());
        s.now = at;
    }
    assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000, 5000]);
}

#[test]
fn unused_claims_go_to_who_wants_and_used_ones_down_to_the_fair_share() {
    let mut s = Stage::new();
    s.settle(0, &[]);
    s.holds(40, 10);
    // 100 − 3 − 2 monitors − 5 = 90; the peer has nothing and wants 20.
    for _ in 0..6 {
        s.after(ms(500));
        s.settle(0, &[peer(2, 0, 0, 20)]);
    }
    assert_eq!(s.budget.claim(), 70, "what is missing, and no more");
    // It wants all, and we use 10: 80 are free for it.
    for _ in 0..6 {
        s.after(ms(500));
        s.settle(0, &[peer(2, 20, 20, 100)]);
    }
    assert_eq!(s.budget.claim(), 10);
    // We use more than half: we keep half.
    let mut s = Stage::new();
    s.settle(0, &[]);
    s.holds(88, 88);
    for _ in 0..6 {
        s.after(ms(500));
        s.settle(0, &[peer(2, 0, 0, 100)]);
    }
    assert_eq!(s.budget.claim(), 45);
}

#[test]
fn what_others_published_is_never_taken() {
    let mut s = Stage::new();
    let other = peer(2, 60, 0, 0);
    let (open, _) = s.settle(0, &[other]);
    assert_eq!(open, 30, "90 − 60");
    s.holds(30, 90);
    for _ in 0..6 {
        s.after(ms(500));
        s.settle(0, &[other]);
    }
    assert_eq!(s.budget.claim(), 30);
    assert!(s.budget.told.1 > 0, "but it is asked for");
}

#[test]
fn claims_above_the_line_are_cut_alike() {
    let mut s = Stage::new();
    s.settle(0, &[]);
    assert_eq!(s.budget.claim(), 91);
    // An over-claim that lasts is cut at the same level by both.
    for _ in 0..8 {
        s.after(ms(500));
        s.settle(0, &[peer(2, 90, 0, 0)]);
    }
    assert_eq!(s.budget.claim(), 45);
}

#[test]
fn a_peer_that_was_killed_leaves_its_claim_and_one_that_is_blind_keeps_it() {
    let there = peer(2, 60, 40, 0);
    // Killed: its connections are gone with it.
    let mut s = Stage::new();
    s.settle(10, &[there]);
    assert_eq!(s.budget.claim(), 20);
    s.holds(20, 90);
    s.after(ms(2000));
    for _ in 0..5 {
        s.settle(10, &[]);
        s.after(ms(200));
    }
    assert_eq!(s.budget.limits(1).0, 81);
    // Blind: its 40 connections are there, and nobody states them.
    let mut s = Stage::new();
    s.settle(10, &[there]);
    s.holds(20, 90);
    for _ in 0..20 {
        s.after(ms(500));
        s.settle(10 + 40, &[]);
        assert!(s.budget.claim() <= 21, "{}", s.budget.claim());
    }
    // It closes most of them: by its own rule it has lost the claim.
    for _ in 0..20 {
        s.after(ms(500));
        s.settle(10 + 19, &[]);
    }
    assert_eq!(s.budget.claim(), 81 - 19);
}

#[test]
fn a_blind_member_loses_its_claim_when_it_holds_too_little_to_be_seen() {
    let mut s = Stage::new();
    s.holds(20, 20);
    s.settle(0, &[peer(2, 30, 30, 0)]);
    s.after(ms(2000));
    s.settle(0, &[peer(2, 30, 30, 0)]);
    let claim = s.budget.claim();
    assert_eq!(claim, 45, "the fair share");
    s.budget.session_lost(s.now, &s.usage);
    assert_eq!(s.budget.claim(), claim);
    s.holds(10, 10);
    s.budget.blind(&s.usage);
    assert_eq!(s.budget.claim(), claim, "half can be seen");
    s.holds(9, 9);
    s.budget.blind(&s.usage);
    assert_eq!(s.budget.claim(), 9);
}

#[test]
fn without_clients_the_session_ends_and_the_claim_is_told_to_be_free() {
    let mut s = Stage::new();
    s.settle(0, &[]);
    s.holds(4, 0);
    s.after(Duration::from_secs(300));
    assert!(s.step().starts_with("plimsoll/default/00000001/4/4/0"));
    s.budget.heard(
        s.now,
        &s.usage,
        &server(5, &["plimsoll/default/00000001/4/4/0"]),
        true,
    );
    assert_eq!(s.step(), "close");
    s.budget.session_lost(s.now, &s.usage);
    assert_eq!(s.budget.session_at(), None);
    assert_eq!(s.budget.limits(0), (4, 4));
    // The next client waits for a reading, as at the start.
    assert!(s.budget.awake(s.now));
    assert_eq!(s.budget.limits(0).0, 0);
    assert_eq!(s.budget.session_at(), Some(Time::ZERO));
    s.budget.connected();
    assert_eq!(s.settle(0, &[]).0, 91);
}

#[test]
fn a_full_server_is_tried_again_with_care() {
    let now = Time::from_micros(1);
    let mut squeeze = Squeeze::again(None, now, 20);
    assert!(!squeeze.grow(now.after(ms(999)), 90));
    assert_eq!(squeeze.cap(), 20);
    let mut at = now.after(ms(1000));
    let mut seconds = 0;
    while !squeeze.grow(at, 90) {
        at = at.after(ms(500));
        seconds += 1;
    }
    assert!((5..40).contains(&(seconds / 2)), "{} s", seconds / 2);
    // Again at once: the pause is longer.
    let again = Squeeze::again(Some(squeeze), now, 0);
    assert_eq!(again.next(), now.after(ms(2000)));
}

#[test]
fn what_a_peer_opened_since_it_spoke_does_not_count_as_others() {
    let mut s = Stage::new();
    s.settle(0, &[peer(2, 40, 10, 0)]);
    let before = s.budget.parts().line;
    // It opens 20 and says so a moment later.
    s.after(ms(2000));
    s.settle(20, &[peer(2, 40, 10, 0)]);
    assert_eq!(s.budget.parts().line, before);
    s.after(ms(200));
    s.settle(0, &[peer(2, 40, 30, 0)]);
    assert_eq!(s.budget.parts().line, before);
    // More than its claim explains is of others, at once.
    s.after(ms(2000));
    s.settle(35, &[peer(2, 40, 30, 0)]);
    assert_eq!(s.budget.parts().line, before - 25);
}

#[test]
fn whoever_reaches_a_moved_server_first_leaves_the_others_their_claims() {
    for moved in [true, false] {
        let mut s = Stage::new();
        s.settle(0, &[peer(2, 45, 45, 3)]);
        s.holds(40, 80);
        s.after(ms(2000));
        s.settle(0, &[peer(2, 45, 45, 3)]);
        let claim = s.budget.claim();
        assert_eq!(claim, 45, "what the other leaves");
        s.holds(0, 80);
        s.budget.session_lost(s.now, &s.usage);
        if moved {
            s.budget.moved(s.now);
        }
        s.after(ms(1500));
        s.budget.connected();
        // The server is empty, and it is the first.
        let (open, _) = s.settle(0, &[]);
        assert!((45..=46).contains(&open), "moved {moved}: {open}");
        // The other comes: each has what it had.
        s.holds(open, 80);
        s.after(READ_PAUSE);
        let (open, keep) = s.settle(0, &[peer(2, 45, 0, 3)]);
        assert!((45..=46).contains(&open), "moved {moved}: {open}");
        assert_eq!(open, keep, "nothing is to be cut");
    }
}

#[test]
fn a_claim_that_nobody_fetches_is_free_after_four_seconds() {
    let mut s = Stage::new();
    s.settle(0, &[peer(2, 45, 45, 0)]);
    s.holds(0, 80);
    s.budget.moved(s.now);
    s.after(ms(2000));
    s.budget.connected();
    assert_eq!(s.settle(0, &[]).0, 45);
    for _ in 0..19 {
        s.after(READ_PAUSE);
        assert_eq!(s.settle(0, &[]).0, 46);
    }
    // A view that is lost again meanwhile does not prolong it.
    s.budget.session_lost(s.now, &s.usage);
    s.after(READ_PAUSE);
    s.budget.connected();
    s.settle(0, &[]);
    s.after(READ_PAUSE);
    assert_eq!(s.settle(0, &[]).0, 91, "all there is");
}

#[test]
fn who_ends_says_that_nothing_is_claimed_any_more_and_then_goes() {
    let mut s = Stage::new();
    s.settle(0, &[peer(2, 30, 30, 0)]);
    s.holds(10, 10);
    s.after(READ_PAUSE);
    s.settle(0, &[peer(2, 30, 30, 0)]);
    assert!(s.budget.claim() > 10);
    s.budget.leave();
    // What is still held is claimed, and no more.
    s.after(READ_PAUSE);
    assert_eq!(s.settle(0, &[peer(2, 30, 30, 0)]), (10, 10));
    assert_eq!(s.budget.published(), 10);
    assert_eq!(s.step(), "rest", "until its connections have ended");
    s.holds(0, 0);
    assert_eq!(s.step(), "plimsoll/default/00000001/0/0/0", "at once");
    assert_eq!(s.step(), "rest", "until it is answered");
    let names = [
        "plimsoll/default/00000001/0/0/0",
        "plimsoll/default/00000002/30/30/0",
    ];
    s.budget.heard(s.now, &s.usage, &server(32, &names), true);
    s.after(ms(200));
    let mut said = s.step();
    if said.starts_with("plimsoll") {
        s.budget.heard(s.now, &s.usage, &server(32, &names), true);
        said = s.step();
    }
    assert_eq!(said, "rest", "the others have time to read it");
    s.after(ms(300));
    assert_eq!(s.step(), "close");
}

#[test]
fn who_ends_alone_tells_nobody() {
    let mut s = Stage::new();
    s.settle(0, &[]);
    s.holds(0, 0);
    s.budget.leave();
    assert_eq!(s.settle(0, &[]).0, 0);
    assert_eq!(s.step(), "close");
}
