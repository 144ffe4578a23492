//! Golden texts of the demonstration's view.

use super::*;
use std::time::Duration;

fn picture() -> Picture {
    Picture {
        seconds: 12,
        line: 10,
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
                limit: 8,
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
    }
}

#[test]
fn the_screen() {
    let expected = "\
12 s of traffic

line  [###########################...]  9 of 10 server connections, most ever 10

             clients      servers       per      wait          service   longest
pool        all  wait  used idle max second    p50    p99    p50    p99    wait
reports       4     3     2    0   3      5  420ms   1.2s  510ms  790ms     12s
shop         70     0     4    3   8    812    7us  9.9ms  640us   31ms    64ms

application    clients transactions errors
shop web            24         9744      0  short transactions
reporting job        4           60      2  slow queries

closed    client_terminate 2, evicted 1
refused   none";
    let screen = picture().screen(false);
    assert_eq!(screen.join("\n"), expected);
    assert!(screen.iter().all(|line| line.chars().count() <= 80));
}

#[test]
fn colours_mark_who_waits_and_what_failed_and_change_no_letter() {
    let painted = picture().screen(true).join("\n");
    assert!(painted.contains("\x1b[33m    3\x1b[0m"), "{painted:?}");
    assert!(painted.contains("\x1b[31m     2\x1b[0m"), "{painted:?}");
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
         wait=420ms/1.2s service=510ms/790ms longest=12s | closed client_terminate 2, evicted 1 \
         | refused none | errors=2"
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
         line                10: held\n"
    );
    picture.at_server_max = 11;
    assert!(picture.summary(60).contains("10: CROSSED"));
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
