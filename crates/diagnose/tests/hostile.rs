//! Any record at all: no panic, no overflow, an end in bounded time, and what
//! must hold of every verdict.

use diagnose::{State, diagnose, plain, render};
use events::sample::{
    ApplicationSample, ClientsSample, Gauge, HostSample, LineSample, Marker, MarkerKind,
    PoolSample, Record, Sample, ServerActivity, ServerSample, SourceSample, TcpSample, Times,
};
use proptest::prelude::*;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        0..50u64,
        0..10_000_000u64,
        Just(u64::MAX),
        any::<u64>()
    ]
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0..40u32, Just(u32::MAX), any::<u32>()]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("shop".to_owned()),
        Just("other".to_owned()),
        Just("\u{1b}[2J\u{202e}<script>".to_owned()),
        ".{0,12}",
    ]
}

fn gauge() -> impl Strategy<Value = Gauge> {
    (small(), small(), small(), number(), small()).prop_map(|(least, most, last, sum, looks)| {
        Gauge {
            least,
            most,
            last,
            sum,
            looks,
        }
    })
}

fn times() -> impl Strategy<Value = Times> {
    (number(), number(), number(), number(), number()).prop_map(
        |(count, sum_us, p50_us, most_us, beyond)| Times {
            count,
            sum_us,
            p50_us,
            p99_us: p50_us,
            most_us,
            beyond,
        },
    )
}

fn pool() -> impl Strategy<Value = PoolSample> {
    let gauges = (gauge(), gauge(), gauge());
    let counts = (number(), number(), number(), small(), small(), small());
    (
        name(),
        gauges,
        counts,
        times(),
        times(),
        times(),
        any::<bool>(),
    )
        .prop_map(
            |(database, (used, clients, waiting), counts, wait, hold, service, paused)| {
                let (arrivals, transactions, oldest_wait_us, size, silent, suspects) = counts;
                PoolSample {
                    database: database.into(),
                    upstream: "db".into(),
                    size,
                    used,
                    clients,
                    waiting,
                    oldest_wait_us,
                    arrivals,
                    transactions,
                    wait,
                    hold,
                    service,
                    silent,
                    suspects,
                    refused: arrivals / 3,
                    oldest_hold_us: oldest_wait_us,
                    paused,
                    ..PoolSample::default()
                }
            },
        )
}

fn application() -> impl Strategy<Value = ApplicationSample> {
    (
        name(),
        name(),
        gauge(),
        gauge(),
        gauge(),
        number(),
        number(),
    )
        .prop_map(
            |(database, name, clients, used, silent, arrivals, hold_us)| ApplicationSample {
                database: database.into(),
                name: name.into(),
                clients,
                used,
                waiting: used,
                silent,
                arrivals,
                hold_us,
                logins: arrivals,
                ..ApplicationSample::default()
            },
        )
}

fn activity() -> impl Strategy<Value = ServerActivity> {
    (
        number(),
        any::<bool>(),
        small(),
        small(),
        small(),
        any::<i64>(),
    )
        .prop_map(
            |(age_ms, permitted, active, others_active, blocked, started_at)| ServerActivity {
                age_ms,
                permitted,
                active,
                waits: vec![("cpu".into(), active), ("Lock".into(), blocked)],
                others_active,
                blocked,
                in_recovery: permitted,
                started_at,
                ..ServerActivity::default()
            },
        )
}

fn server() -> impl Strategy<Value = ServerSample> {
    let counts = (number(), number(), number(), number());
    let tcp = (small(), number(), number(), number());
    (
        counts,
        tcp,
        small(),
        proptest::option::of(number()),
        proptest::option::of(activity()),
        name(),
    )
        .prop_map(
            |((connect_failed, login_failed, full, ended), tcp, line, probe_us, activity, code)| {
                ServerSample {
                    upstream: "db".into(),
                    line: LineSample {
                        line,
                        used: line,
                        others: probe_us.map(|_| line),
                        ..LineSample::default()
                    },
                    connect_failed,
                    login_failed,
                    full,
                    ended_by_server: ended,
                    last_error: code.as_str().into(),
                    errors: vec![(code.into(), full), ("57P01".into(), ended)],
                    tcp: TcpSample {
                        sockets: tcp.0,
                        rtt_us: tcp.1,
                        retransmits: tcp.2,
                        unanswered_us: tcp.3,
                        ..TcpSample::default()
                    },
                    intermediary: line % 2 == 0,
                    probe_us,
                    activity,
                    ..ServerSample::default()
                }
            },
        )
}

fn moment() -> impl Strategy<Value = i64> {
    prop_oneof![0..60_000i64, Just(i64::MIN), Just(i64::MAX), any::<i64>()]
}

fn sample() -> impl Strategy<Value = Sample> {
    let rows = (
        prop::collection::vec(pool(), 0..4),
        prop::collection::vec(application(), 0..4),
        prop::collection::vec(server(), 0..3),
    );
    (
        moment(),
        small(),
        rows,
        number(),
        small(),
        proptest::option::of(small()),
    )
        .prop_map(
            |(at_ms, span_ms, (pools, applications, servers), count, n, busy)| Sample {
                at_ms,
                span_ms,
                pools,
                applications,
                servers,
                sources: vec![SourceSample {
                    address: "10.0.0.1".into(),
                    clients: n,
                    accepts: count,
                    login_failures: count,
                    ..SourceSample::default()
                }],
                clients: ClientsSample {
                    accepts: count,
                    logins: count,
                    login_failures: count,
                    limit: n,
                    ..ClientsSample::default()
                },
                refusals: vec![("wait_timeout".into(), n)],
                host: HostSample {
                    cpu_busy_permille: busy,
                    own_cpu_permille: busy,
                    throttled_ms: busy,
                    turns_least: busy.map(u64::from),
                    cores: n,
                },
                ..Sample::default()
            },
        )
}

fn record() -> impl Strategy<Value = Record> {
    let marker = (moment(), name(), name()).prop_map(|(at_ms, subject, text)| Marker {
        at_ms,
        kind: MarkerKind::Settings,
        subject: subject.into(),
        text,
        actor: "".into(),
    });
    (
        prop::collection::vec(sample(), 0..24),
        prop::collection::vec(sample(), 0..4),
        prop::collection::vec(marker, 0..4),
    )
        .prop_map(|(seconds, minutes, markers)| Record {
            seconds: seconds.into(),
            minutes: minutes.into(),
            markers: markers.into_iter().collect(),
            ..Record::default()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_record_gets_a_verdict(record in record(), at in proptest::option::of(moment())) {
        let verdict = diagnose(&record, at);
        let _ = plain(&record);
        prop_assert!(verdict.state != State::Calm || verdict.findings.is_empty());
        for finding in &verdict.findings {
            prop_assert!(!finding.figures.is_empty(), "{:?} without a figure", finding.cause);
            prop_assert!(!finding.next.is_empty() && !finding.text.is_empty());
            prop_assert!(!verdict.ruled_out.iter().any(|r| r.cause == finding.cause));
        }
        let text = render(&verdict, 100);
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

#[test]
fn an_hour_with_many_rows_is_judged_at_once() {
    let row = |n: usize| PoolSample {
        database: format!("d{n}").into(),
        size: 10,
        used: Gauge::of(10),
        waiting: Gauge::of(5),
        arrivals: 10,
        ..PoolSample::default()
    };
    let pools: Vec<PoolSample> = (0..65).map(row).collect();
    let second = |n: i64| Sample {
        at_ms: n * 1_000,
        span_ms: 1_000,
        pools: pools.clone(),
        ..Sample::default()
    };
    let record = Record {
        seconds: (0..3_600).map(second).collect(),
        ..Record::default()
    };
    let verdict = diagnose(&record, Some(1_800_000));
    assert_eq!(verdict.at_ms, 1_800_000);
}
