//! What a second says: rates, order, standing, bounds, hostile names.

use super::feed::Trends;
use super::leases::LeaseAsk;
use super::now::Around;
use super::pools::{standing, trouble};
use super::*;
use diagnose::Verdict;
use diagnose::alert::{Alert, AlertName, AlertState, Forecast, Severity};
use events::sample::{Marker, PoolSample, Record, Sample};
use events::snapshot::{Address, BudgetRow, PoolRow, Snapshot};
use events::{ApplicationRow, ConnId, LeaseRow, LeaseState, LeaseStatement, Time, UpstreamRow};
use std::sync::Arc;
use std::time::Duration;

fn pool(database: &str, used: u32, waiting: u32) -> PoolRow {
    PoolRow {
        database: database.into(),
        user: "web".into(),
        mode: "transaction",
        upstream: "db:5432".into(),
        size: 10,
        sv_active: used,
        cl_active: 20,
        cl_waiting: waiting,
        maxwait_us: u64::from(waiting) * 1_000_000,
        ..PoolRow::default()
    }
}

fn lease(client: u64, since_s: u64) -> LeaseRow {
    LeaseRow {
        client,
        server: 1,
        pool: 0,
        conn: ConnId {
            slot: 0,
            generation: 0,
        },
        remote_pid: 4_711,
        addr: Address::Tcp(([10, 0, 0, 7], 4_000).into()),
        user: "web".into(),
        database: "shop".into(),
        application: format!("app-{}", client % 3),
        kind: "app".into(),
        release: "2.4".into(),
        since: Time::from_micros(since_s * 1_000_000),
        state: LeaseState::Idle,
        silent_since: client
            .is_multiple_of(2)
            .then(|| Time::from_micros((since_s + 1) * 1_000_000)),
        statement: String::new(),
        tags: "application=shop,controller=carts,action=pay".into(),
        exempt: None,
        suspicion: None,
    }
}

fn snapshot(version: u64, pools: Vec<PoolRow>) -> Snapshot {
    Snapshot {
        version,
        at: Time::from_micros(version * 1_000_000),
        pools,
        ..Snapshot::default()
    }
}

fn second(before: Snapshot, now: Snapshot) -> Second {
    Second {
        at_ms: 1_700_000_000_000,
        before: Some(Arc::new(before)),
        now: Arc::new(now),
        ..Second::default()
    }
}

fn no_statements(_: &[u64]) -> Vec<LeaseStatement> {
    Vec::new()
}

fn all(most: usize) -> Span {
    Span { from: 0, most }
}

fn names(rows: &[PoolLine]) -> Vec<&str> {
    rows.iter().map(|p| p.database.as_str()).collect()
}

#[test]
fn rates_are_differences_over_the_span() {
    let mut earlier = pool("shop", 3, 0);
    earlier.totals.xacts = 1_000;
    earlier.wait.record(Duration::from_secs(9));
    let mut later = earlier.clone();
    later.totals.xacts = 1_500;
    later.totals.server_assignments = 50;
    later.refused = 5;
    for us in [100, 300] {
        later.wait.record(Duration::from_micros(us));
    }
    // The first second of a pool that came meanwhile has no rate.
    let mut young = pool("young", 1, 0);
    young.totals.xacts = 99;
    let before = snapshot(10, vec![earlier]);
    let mut now = snapshot(12, vec![later, young]);
    now.refusals = vec![7, 1];
    let second = second(before, now);
    let live = now_of(&second);
    assert_eq!((live.span_ms, live.snapshot, live.past), (2_000, 12, false));
    let shop = &live.pools[0];
    assert_eq!(shop.database, "shop");
    assert_eq!(
        (shop.transactions_per_s, shop.arrivals_per_s),
        (250.0, 25.0)
    );
    assert_eq!((shop.wait_us, shop.service_us), (Some(200.0), None));
    assert_eq!(shop.mode, "transaction");
    let young = &live.pools[1];
    assert_eq!((young.transactions_per_s, young.wait_us), (0.0, None));
    assert_eq!(live.totals.transactions_per_s, 250.0);
    assert_eq!(live.totals.refused_per_s, 4.0);
    assert_eq!(live.totals.wait_us, Some(200.0));
    assert_eq!((live.totals.used, live.totals.clients), (4, 40));
}

fn now_of(second: &Second) -> Live {
    now(second, Around::default(), &no_statements)
}

#[test]
fn a_first_second_has_no_rates() {
    let mut only = pool("shop", 3, 0);
    only.totals.xacts = 9_999;
    let first = Second {
        now: Arc::new(snapshot(5, vec![only])),
        ..Second::default()
    };
    let live = now_of(&first);
    assert_eq!(live.span_ms, 0);
    assert_eq!(live.totals.transactions_per_s, 0.0);
    assert!(live.pools[0].transactions_per_s == 0.0);
}

#[test]
fn why_a_pool_stands_where_it_does() {
    let line = |used, waiting, wait_us| PoolLine {
        size: 10,
        used,
        waiting,
        oldest_wait_us: wait_us,
        ..PoolLine::default()
    };
    let table = [
        (line(10, 3, 2_000_000), "full"),
        (line(4, 3, 2_000_000), "waiting"),
        // A busy pool that hands on within milliseconds is well.
        (line(10, 3, 900), "well"),
        (line(10, 0, 0), "well"),
        (
            PoolLine {
                refused_per_s: 1.0,
                ..line(10, 0, 0)
            },
            "full",
        ),
        (
            PoolLine {
                suspects: 2,
                full_in_s: Some(60),
                ..line(5, 0, 0)
            },
            "leaking",
        ),
        (
            PoolLine {
                full_in_s: Some(60),
                ..line(5, 0, 0)
            },
            "filling",
        ),
        (
            PoolLine {
                held_back: "paused".into(),
                ..line(0, 9, 9_000_000)
            },
            "paused",
        ),
        // Without a limit that is known nothing is full.
        (
            PoolLine {
                size: 0,
                ..line(0, 1, 2_000_000)
            },
            "waiting",
        ),
    ];
    for (line, said) in table {
        assert_eq!(standing(&line), said, "{line:?}");
    }
    let ranks = ["full", "waiting", "leaking", "filling", "well"]
        .map(|word| trouble(&PoolLine::default(), word).0);
    assert!(ranks.is_sorted_by(|a, b| a > b), "{ranks:?}");
}

#[test]
fn trouble_is_seen_among_hundreds_of_pools() {
    let mut pools: Vec<PoolRow> = (0..500).map(|n| pool(&format!("db{n:03}"), 5, 0)).collect();
    pools[437].cl_waiting = 4;
    pools[437].maxwait_us = 3_000_000;
    pools[437].sv_active = 10;
    pools[12].leaks.suspects = 3;
    pools[300].paused = true;
    let second = second(snapshot(1, pools.clone()), snapshot(2, pools));
    let live = now_of(&second);
    assert_eq!((live.pools.len(), live.pools_total), (POOLS_MAX, 500));
    assert_eq!(names(&live.pools)[..3], ["db437", "db012", "db300"]);
    assert_eq!(live.pools[0].standing, "full");
    let table = |sort: &str, filter: &str, span| pool_table(&second, &[], sort, filter, span);
    assert_eq!(names(&table("name", "", all(2)).rows), ["db000", "db001"]);
    let third = Span { from: 498, most: 9 };
    assert_eq!(names(&table("name", "", third).rows), ["db498", "db499"]);
    assert_eq!(table("used", "", all(1)).rows[0].database, "db437");
    let found = table("trouble", "DB43", all(3));
    assert_eq!((found.total, found.rows.len()), (10, 3));
    assert_eq!(table("trouble", "leaking", all(9)).total, 1);
    assert_eq!(table("rate", "nobody", all(9)).total, 0);
    let beyond = Span {
        from: usize::MAX,
        most: usize::MAX,
    };
    assert_eq!(table("wait", "", beyond).rows.len(), 0);
}

#[test]
fn a_forecast_is_the_alerts_else_the_trends() {
    let mut trends = Trends::default();
    let at = |n: u32| {
        snapshot(
            u64::from(n),
            vec![pool("flat", 5, 0), pool("fills", n / 20, 0)],
        )
    };
    for n in 0..160 {
        trends.look(&at(n));
    }
    let full_in_s = Arc::clone(&trends.full_in_s);
    assert_eq!(full_in_s.keys().copied().collect::<Vec<_>>(), [1]);
    let second = Second {
        full_in_s,
        ..second(at(158), at(159))
    };
    let line = |alerts: &[Alert]| pool_table(&second, alerts, "name", "", all(9)).rows;
    let rows = line(&[]);
    assert_eq!(
        (rows[0].database.as_str(), rows[0].standing.as_str()),
        ("fills", "filling")
    );
    assert!(
        rows[0].full_in_s.is_some_and(|s| (20..120).contains(&s)),
        "{rows:?}"
    );
    assert_eq!(rows[1].full_in_s, None);
    let mut alert = Alert::firing(AlertName::PoolExhaustionForecast, "k", 1);
    alert.subject.database = "flat".into();
    alert.subject.user = "web".into();
    alert.forecast = Some(Forecast {
        left_s: 754.2,
        slope_per_hour: 9.0,
        kind: "leak".into(),
    });
    assert_eq!(line(&[alert])[1].full_in_s, Some(754));
}

#[test]
fn leases_are_sorted_filtered_and_have_their_statements() {
    let mut now = snapshot(100, vec![pool("shop", 9, 0)]);
    now.leases = (1..=40).map(|n| lease(n, n)).collect();
    now.leases[4].addr = Address::Unix;
    now.leases[9].tags.clear();
    let second = second(snapshot(99, Vec::new()), now);
    let statements = |clients: &[u64]| {
        let statement = |client: &u64| LeaseStatement {
            client: *client,
            // Client 2 has another lease by now.
            since: Time::from_micros((*client + u64::from(*client == 2)) * 1_000_000),
            statement: format!("SELECT {client}"),
        };
        clients.iter().map(statement).collect()
    };
    let table = |sort, filter, most| {
        let span = all(most);
        lease_table(&second, &LeaseAsk { sort, filter, span }, &statements)
    };
    let clients = |t: &LeaseTable| t.rows.iter().map(|r| r.client.clone()).collect::<Vec<_>>();
    let oldest = table("held", "", 2);
    assert_eq!(
        (oldest.total, clients(&oldest)),
        (40, vec!["1".to_owned(), "2".to_owned()])
    );
    let first = &oldest.rows[0];
    assert_eq!((first.held_us, first.silent_us), (99_000_000, None));
    assert_eq!(first.statement, "SELECT 1");
    assert_eq!(
        (first.route.as_str(), first.address.as_str()),
        ("carts#pay", "10.0.0.7:4000")
    );
    assert_eq!(oldest.rows[1].statement, "", "it is another lease's");
    assert_eq!(clients(&table("silent", "", 2)), ["2", "4"]);
    assert_eq!(clients(&table("application", "", 2)), ["3", "6"]);
    assert_eq!(clients(&table("state", "", 1)), ["1"]);
    assert_eq!(clients(&table("held", "UNIX", 9)), ["5"]);
    assert_eq!(clients(&table("held", "0x1f", 9)), ["1f"]);
    assert_eq!(table("held", "carts", 1).total, 39);
    assert_eq!(table("held", "10.0.0.7", 1).total, 39);
    assert_eq!(table("held", "app-2", 1).total, 13);
    let live = now_of(&second);
    assert_eq!((live.leases.len(), live.leases_total), (LEASES_MAX, 40));
}

#[test]
fn what_others_named_reaches_no_terminal() {
    const HOSTILE: &str = "x\u{1b}[2J\u{202e}<script>\"'\n\0";
    let mut row = pool(HOSTILE, 1, 0);
    row.user = HOSTILE.into();
    row.upstream = HOSTILE.into();
    let mut now = snapshot(2, vec![row]);
    now.leases = vec![LeaseRow {
        user: HOSTILE.into(),
        database: HOSTILE.into(),
        application: HOSTILE.into(),
        release: HOSTILE.into(),
        tags: format!("route={HOSTILE}"),
        ..lease(1, 1)
    }];
    now.applications = vec![ApplicationRow {
        kind: HOSTILE.repeat(1_000).into(),
        database: HOSTILE.into(),
        ..ApplicationRow::default()
    }];
    now.budgets = vec![BudgetRow {
        upstream: HOSTILE.into(),
        ..BudgetRow::default()
    }];
    let second = second(snapshot(1, Vec::new()), now);
    let mut alert = Alert::firing(AlertName::Leak, "k", 1);
    alert.summary = HOSTILE.into();
    let around = Around {
        verdict: Verdict {
            summary: HOSTILE.into(),
            ..Verdict::default()
        },
        alerts: vec![alert],
        markers: vec![Marker {
            at_ms: 1,
            kind: events::sample::MarkerKind::Release,
            subject: HOSTILE.into(),
            text: HOSTILE.into(),
            actor: HOSTILE.into(),
        }],
        ..Around::default()
    };
    let statements = |_: &[u64]| {
        vec![LeaseStatement {
            client: 1,
            since: Time::from_micros(1_000_000),
            statement: HOSTILE.into(),
        }]
    };
    let live = super::now(&second, around, &statements);
    let mut past = Sample::default();
    past.pools.push(PoolSample {
        database: HOSTILE.into(),
        ..PoolSample::default()
    });
    let past = super::past(&past, Around::default());
    for live in [live, past] {
        let text = serde_json::to_string(&live).unwrap();
        // serde writes control characters as \u00..
        for bad in ["\\u00", "\\n", "\u{202e}", "\u{1b}"] {
            assert!(!text.contains(bad), "{bad:?}: {text}");
        }
        assert!(text.contains("<script>"), "the page escapes it");
        assert!(text.len() < 20_000, "{}", text.len());
    }
}

#[test]
fn lists_are_bounded() {
    let pools = (0..3_000).map(|n| pool(&n.to_string(), 1, 0)).collect();
    let mut now = snapshot(2, pools);
    now.leases = (0..9_000).map(|n| lease(n, 1)).collect();
    now.applications = (0..65).map(|_| ApplicationRow::default()).collect();
    now.budgets = (0..90).map(|_| BudgetRow::default()).collect();
    now.upstreams = (0..90).map(|_| UpstreamRow::default()).collect();
    let marker = |at_ms| Marker {
        at_ms,
        kind: events::sample::MarkerKind::Other,
        subject: "".into(),
        text: String::new(),
        actor: "".into(),
    };
    let mut alerts = vec![Alert::firing(AlertName::Leak, "k", 1); 40];
    alerts[39].severity = Severity::Critical;
    alerts[3].state = AlertState::Pending;
    alerts[3].severity = Severity::Critical;
    let around = Around {
        alerts,
        markers: (0..100).map(marker).collect(),
        ..Around::default()
    };
    let live = super::now(
        &second(snapshot(1, Vec::new()), now),
        around,
        &no_statements,
    );
    assert_eq!(live.pools.len(), POOLS_MAX);
    assert_eq!(live.leases.len(), LEASES_MAX);
    assert_eq!(live.applications.len(), APPLICATIONS_MAX);
    assert_eq!(live.servers.len(), SERVERS_MAX);
    assert_eq!((live.alerts.len(), live.alerts_firing), (ALERTS_MAX, 39));
    assert_eq!(live.alerts[0].severity, "critical");
    assert!(live.alerts.iter().all(|a| a.state == "firing"));
    assert_eq!(live.markers.len(), MARKERS_MAX);
    assert_eq!(live.markers[0].at_ms, 99);
    assert_eq!(live.guards.len(), events::Guard::COUNT);
}

#[test]
fn a_moment_of_the_past_is_found_by_the_sample_that_covers_it() {
    let sample = |at_s: i64, span_s: u32| Sample {
        at_ms: at_s * 1_000,
        span_ms: span_s * 1_000,
        ..Sample::default()
    };
    let record = Record {
        seconds: (100..200).map(|s| sample(s, 1)).collect(),
        minutes: (0..4).map(|m| sample(m * 60, 60)).collect(),
        ..Record::default()
    };
    let found = |ms: i64| at(&record, ms).map(|s| (s.at_ms / 1_000, s.span_ms / 1_000));
    assert_eq!(found(150_000), Some((150, 1)));
    assert_eq!(found(149_500), Some((150, 1)));
    assert_eq!(
        found(99_000),
        Some((100, 1)),
        "it ends within the next second"
    );
    assert_eq!(found(50_000), Some((60, 60)));
    assert_eq!(found(201_000), Some((199, 1)));
    assert_eq!(found(-400_000), None);
    assert_eq!(found(900_000), None);
    assert!(at(&Record::default(), 0).is_none());
}

#[test]
fn a_text_is_found_whatever_its_case() {
    for (text, needle, found) in [
        ("Shop-Web", "shop", true),
        ("Shop-Web", "b", true),
        ("Shop", "shops", false),
        ("", "", true),
        ("ünï", "ünï", true),
        ("a", "ü", false),
    ] {
        assert_eq!(holds(text, needle), found, "{text} {needle}");
    }
}

/// A second at the size that the page is for: 500 pools and 10,000 leases.
pub(crate) fn full(version: u64) -> Snapshot {
    let pools = (0..500)
        .map(|n| pool(&format!("database-{n:03}"), 9, (n + version as u32) % 7))
        .collect();
    let mut now = snapshot(version, pools);
    now.leases = (0..10_000).map(|n| lease(n, n / 10)).collect();
    now.applications = (0..65u32)
        .map(|n| ApplicationRow {
            kind: format!("application-{n}").into(),
            database: format!("database-{n:03}"),
            user: "web".into(),
            active: n,
            ..ApplicationRow::default()
        })
        .collect();
    now.budgets = (0..4).map(|_| BudgetRow::default()).collect();
    now
}

/// The statements of leases of [`full`].
pub(crate) fn full_statements(clients: &[u64]) -> Vec<LeaseStatement> {
    let statement = |client: &u64| LeaseStatement {
        client: *client,
        since: Time::from_micros(client / 10 * 1_000_000),
        statement: "SELECT * FROM carts WHERE id = ? AND owner = ?".repeat(4),
    };
    clients.iter().map(statement).collect()
}

/// What a second costs while somebody listens:
/// `cargo test -p plimsoll-control --release --lib -- --ignored --nocapture a_second_costs`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout)]
fn a_second_costs_little() {
    let second = second(full(2_000), full(2_001));
    let statements = full_statements;
    let time = |what: &str, work: &dyn Fn() -> usize| {
        const TURNS: u32 = 50;
        let begun = std::time::Instant::now();
        let bytes: usize = (0..TURNS).map(|_| work()).sum();
        let each = begun.elapsed() / TURNS;
        println!("{what}: {each:?}, {} bytes", bytes / TURNS as usize);
        // One part in a hundred of a core; without optimisation it says little.
        let most = Duration::from_millis(if cfg!(debug_assertions) { 100 } else { 10 });
        assert!(each < most, "{what}: over 1 % of a core");
    };
    let json = |value: &dyn Fn() -> Vec<u8>| value().len();
    time("live", &|| {
        let live = super::now(&second, Around::default(), &statements);
        json(&|| serde_json::to_vec(&live).unwrap())
    });
    time("pools by trouble", &|| {
        let table = pool_table(&second, &[], "trouble", "", all(100));
        json(&|| serde_json::to_vec(&table).unwrap())
    });
    for (sort, filter) in [
        ("held", ""),
        ("application", ""),
        ("silent", "carts"),
        ("held", "nobody"),
    ] {
        time(&format!("leases by {sort}, filter {filter:?}"), &|| {
            let span = all(100);
            let table = lease_table(&second, &LeaseAsk { sort, filter, span }, &statements);
            json(&|| serde_json::to_vec(&table).unwrap())
        });
    }
    let mut trends = Trends::default();
    let begun = std::time::Instant::now();
    (0..300).for_each(|_| trends.look(&second.now));
    println!("trends: {:?} a second", begun.elapsed() / 300);
}
