//! Stories of programs, and what is said of them. Each is told as a program would: in bytes.

mod borrowing;
mod transactions;
mod world;

use super::facts::Deed;
use super::follow::clean;
use super::journal::Mark;
use super::report::{Verdict, junit};
use super::rules::Kind;
use world::World;

#[test]
fn no_literal_gets_out() {
    let mut world = World::new();
    let client = world.connect(7);
    world.test(7, "a", |world| {
        world.ask(client, "begin", b'T');
        for text in [
            "insert into t values ('marker77', 77)",
            "select E'marker77\\'' from t -- marker77",
            "select 'marker77\\' from t",
            "create role r password 'marker77'",
            "select 'marker77",
            "do $$ marker77 $$",
        ] {
            world.ask(client, text, b'T');
        }
    });
    let long = format!("select '{}marker77'", "x".repeat(70_000));
    world.ask(client, &long, b'T');
    let report = world.report();
    let clock = |_| "12:00".to_owned();
    let all = format!(
        "{}{}{:?}",
        report.text(&clock),
        junit(&report, &clock),
        report
    );
    assert_eq!(report.leaks, 1, "{all}");
    assert!(!all.contains("marker77"), "{all}");
}

#[test]
fn a_finding_is_told_in_words() {
    let mut world = World::new();
    let client = world.connect(7);
    world.test(7, "shop::test_refund", |world| {
        let place = "shop.py:12 in refund".to_owned();
        world.mark(7, Mark::Does(5001, Deed::Borrowed(place)));
        world.ask(client, "begin", b'T');
        world.ask(
            client,
            "update orders set paid = 'no' /*route='/refund'*/",
            b'T',
        );
    });
    world.wait(2_000);
    let text = world.report().text(&|_| "12:00:00.000Z".to_owned());
    let wanted = "\n\
        LEAK  transaction left open\n  \
          test       shop::test_refund\n  \
          tags       route=/refund\n  \
          taken at   shop.py:12 in refund\n  \
          statement  update orders set paid = ?\n  \
          connection shop, as ann in shopdb\n  \
          process    7  program\n  \
          since      12:00:00.000Z for 2.0 s\n  \
          seen       The transaction was begun and neither committed nor rolled back; it was \
                     silent for 2.0 s until the command had ended.\n  \
          do         End it on every way out: COMMIT, or ROLLBACK where an error or an early \
                     return leaves the block (a `with`, a `finally`, try-with-resources).\n\n\
        leaks: 1 leak in 1 connection (1 at once), 2 requests, 1 test\n";
    assert_eq!(text, wanted);
}

#[test]
fn junit_is_well_formed_and_counts() {
    let mut world = World::new();
    let client = world.connect(7);
    world.test(7, "a<b> & \"c\"\u{1b}", |world| {
        world.ask(client, "begin", b'T')
    });
    let xml = junit(&world.report(), &|_| "12:00".to_owned());
    assert!(xml.contains("tests=\"1\" failures=\"1\""), "{xml}");
    assert!(
        xml.contains("name=\"a&lt;b&gt; &amp; &quot;c&quot;: transaction left open\""),
        "{xml}"
    );
    assert!(!xml.contains('\u{1b}'), "{xml}");
    let mut world = World::new();
    let client = world.connect(7);
    world.leave(client);
    let none = junit(&world.report(), &|_| String::new());
    assert!(none.contains("failures=\"0\" errors=\"0\""), "{none}");
}

#[test]
fn logins_that_fail_are_counted_with_their_words() {
    let mut world = World::new();
    world.refuse("28P01", "password authentication failed");
    let report = world.report();
    assert_eq!((report.connections, report.refused), (0, 1));
    assert_eq!(report.refusal, "password authentication failed (28P01)");
}

#[test]
fn a_pool_is_outgrown_by_one_process_not_by_several() {
    let mut world = World::with_pool(2);
    for pid in [7, 8] {
        let both = [world.connect(pid), world.connect(pid)];
        for client in both {
            world.ask(client, "select a from t", b'I');
        }
        for client in both {
            world.leave(client);
        }
    }
    assert!(world.report().findings.is_empty());
    let mut world = World::with_pool(2);
    let all = [1, 2, 3].map(|_| world.connect(7));
    world.test(7, "many", |world| {
        for client in all {
            world.ask(client, "select b from t", b'I');
        }
    });
    for client in all {
        world.leave(client);
    }
    let report = world.report();
    let kinds: Vec<Kind> = report.findings.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [Kind::PoolOutgrown]);
    assert_eq!(report.most_at_once, 3);
}

#[test]
fn what_others_chose_is_cleaned() {
    assert_eq!(clean("a\u{1b}[2J\nb"), "a[2Jb");
    assert_eq!(clean(&"x".repeat(1000)).len(), 200);
}

#[test]
fn a_run_without_connections_is_never_free_of_leaks() {
    let report = World::new().report();
    assert_eq!(report.verdict, Verdict::Unknown);
    let text = report.text(&|_| String::new());
    assert!(!text.contains("no leaks"), "{text}");
    let xml = junit(&report, &|_| String::new());
    assert!(
        xml.contains("errors=\"1\"") && xml.contains("<error "),
        "{xml}"
    );
}
