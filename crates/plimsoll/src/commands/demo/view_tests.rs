//! Golden texts of the demonstration's view.

use super::super::watch::{TakenBack, standing, watched};
use super::*;
use std::time::Duration;

fn picture() -> Picture {
    Picture {
        seconds: 12,
        at: Time::ZERO.after(Duration::from_secs(12)),
        console: "psql postgres://demo:demo@127.0.0.1:54321/pgbouncer".to_owned(),
        line: Line {
            line: 10,
            max_connections: 20,
            reserved: 3,
            others: 1,
            monitors: 1,
            headroom: 5,
            largest: "shop".to_owned(),
            asked: 50,
        },
        at_server: 9,
        at_server_max: 10,
        pools: vec![
            Pool {
                name: "reports".to_owned(),
                clients: 4,
                waiting: 3,
                used: 2,
                idle: 0,
                limit: 3,
                tps: 5,
                wait_us: (420_000, 1_250_000),
                service_us: (510_000, 790_000),
                longest_us: 12_300_000,
            },
            Pool {
                name: "shop".to_owned(),
                clients: 70,
                waiting: 0,
                used: 4,
                idle: 3,
                limit: 50,
                tps: 812,
                wait_us: (7, 9_940),
                service_us: (640, 31_000),
                longest_us: 64_000,
            },
        ],
        applications: vec![
            App {
                name: "shop web",
                clients: 24,
                transactions: 9_744,
                errors: 0,
                habit: "short transactions",
            },
            App {
                name: "reporting job",
                clients: 4,
                transactions: 60,
                errors: 2,
                habit: "slow queries",
            },
        ],
        closes: vec![("client_terminate", 2), ("evicted", 1)],
        refusals: Vec::new(),
        leaks: leaks(),
    }
}

const STATEMENT: &str = "insert into redeemed (code, customer) values (?, …)";

/// Six leases stand, and six were taken back before.
fn leaks() -> Watch {
    let standing = standing("coupons/2.4.1", STATEMENT, 6, 3_000, Some(75));
    let last = TakenBack {
        who: "coupons/2.4.1".to_owned(),
        statement: STATEMENT.to_owned(),
        leases: 6,
        silent: Duration::from_millis(4_800),
        at: Time::ZERO.after(Duration::from_secs(5)),
    };
    let mut leaks = watched(standing, last);
    leaks.waits_with.record(Duration::from_millis(965));
    leaks.waits_without.record(Duration::from_millis(110));
    leaks
}

#[test]
fn the_screen() {
    let expected = "\
12 s of traffic; console: psql postgres://demo:demo@127.0.0.1:54321/pgbouncer

line  [###########################...]  9 of 10 server connections, most ever 10
      10 = max_connections 20 - reserved 3 - others 1 - monitor 1 - headroom 5
      pool shop asks for 50, the line is 10: held

             clients      servers       per      wait          service   longest
pool        all  wait  used idle max second    p50    p99    p50    p99    wait
reports       4     3     2    0   3      5  420ms   1.2s  510ms  790ms     12s
shop         70     0     4    3  50    812    7us  9.9ms  640us   31ms    64ms

application    clients transactions errors
shop web            24         9744      0  short transactions
reporting job        4           60      2  slow queries

leaks     named 12, taken back 6, others refused 0; p99 wait 965ms, else 110ms
now       6 of coupons/2.4.1 silent in a transaction for 3.0 s; suspicion 75 %
          insert into redeemed (code, customer) values (?, …)
closed    client_terminate 2, evicted 1
refused   none";
    let screen = picture().screen(false);
    assert_eq!(screen.join("\n"), expected);
    fits(&screen);
}

/// With all five applications it stands on a terminal of 80 × 24, the cursor below it.
fn fits(screen: &[String]) {
    assert!(screen.len() + 3 <= 23, "{}", screen.len());
    assert!(screen.iter().all(|line| line.chars().count() <= 80));
}

#[test]
fn what_was_taken_back_stays_on_the_screen_until_the_next_leak() {
    let leak = |picture: &Picture| {
        let screen = picture.screen(false);
        fits(&screen);
        screen[screen.len() - 5..screen.len() - 2].join("\n")
    };
    let mut picture = picture();
    picture.leaks.standing = None;
    picture.refusals = vec![("queue_full", 2), ("deadline", 1)];
    assert_eq!(
        leak(&picture),
        "leaks     named 12, taken back 6, others refused 3; p99 wait 965ms, else 110ms\n\
         7 s ago   6 taken back from coupons/2.4.1, silent for 4.8 s\n\
         \x20         insert into redeemed (code, customer) values (?, …)"
    );
    picture.leaks = Watch::default();
    assert_eq!(
        leak(&picture),
        "leaks     named 0, taken back 0, others refused 3; p99 wait 0, else 0\n\
         \x20         none yet\n"
    );
}

#[test]
fn long_names_and_statements_are_cut_at_the_edge() {
    let mut picture = picture();
    let (who, statement) = ("w".repeat(90), "s".repeat(90));
    picture.leaks.standing = Some(standing(&who, &statement, 6, 3_000, None));
    fits(&picture.screen(false));
}

#[test]
fn colours_mark_who_waits_and_what_failed_and_change_no_letter() {
    let painted = picture().screen(true).join("\n");
    assert!(painted.contains("\x1b[33m    3\x1b[0m"), "{painted:?}");
    assert!(painted.contains("\x1b[31m     2\x1b[0m"), "{painted:?}");
    assert!(painted.contains("\x1b[31mnow       6 of"), "{painted:?}");
    let mut plain = painted;
    for code in ["\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[33m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, picture().screen(false).join("\n"));
}

#[test]
fn the_line_for_a_pipe() {
    let mut picture = picture();
    picture.pools.truncate(1);
    assert_eq!(
        picture.line(),
        " 12 s  line=10 at_server=9 | reports clients=4 waiting=3 used=2 idle=0 max=3 tps=5 \
         wait=420ms/1.2s service=510ms/790ms longest=12s | leaks named=12 taken_back=6 \
         | closed client_terminate 2, evicted 1 | refused none | errors=2"
    );
}

#[test]
fn the_summary_says_whether_the_line_held() {
    let mut picture = picture();
    assert_eq!(
        picture.summary(60),
        "transactions        9804 in 12 s, 817 per second\n\
         errors              2\n\
         clients             28\n\
         server connections  10 at most, as PostgreSQL counted them 60 times\n\
         line                10: held; pool shop asked for 50\n\
         its parts           10 = max_connections 20 - reserved 3 - others 1 - monitor 1 - headroom 5\n\
         leaks               named 12, taken back 6, others refused 0\n\
         the last leak       6 taken back from coupons/2.4.1, silent for 4.8 s: \
         insert into redeemed (code, customer) values (?, …)\n\
         waits               p99 965ms, longest 965ms while a leak stood; p99 110ms, longest 110ms otherwise\n"
    );
    // The line may have fallen since: what counts is the highest.
    picture.line.line = 9;
    assert!(picture.held());
    picture.at_server_max = 11;
    assert!(!picture.held());
    assert!(picture.summary(60).contains("9: CROSSED"));
    assert!(
        picture
            .screen(false)
            .join("\n")
            .contains("the line is 9: CROSSED")
    );
}

#[test]
fn a_pool_shows_the_last_seconds_and_not_the_whole_past() {
    let mut before = PoolRow::default();
    before.totals.xacts = 1000;
    before.wait.record(Duration::from_secs(4));
    let mut now = before.clone();
    now.totals.xacts = 1250;
    now.wait.record(Duration::from_micros(3));
    let pool = Pool::between(&before, &now, 5.0);
    assert_eq!((pool.tps, pool.wait_us), (50, (3, 3)));
    // The longest is the longest of all.
    assert_eq!(pool.longest_us, 4_000_000);
}

#[test]
fn times_take_six_characters_at_most() {
    for (micros, expected) in [
        (0, "0"),
        (999, "999us"),
        (1_000, "1.0ms"),
        (9_949, "9.9ms"),
        (9_950, "10ms"),
        (999_499, "999ms"),
        (999_500, "1.0s"),
        (9_949_999, "9.9s"),
        (61_000_000, "61s"),
        (86_400_000_000, "86400s"),
    ] {
        assert_eq!(time(micros), expected);
        assert!(expected.len() <= 6);
    }
}
