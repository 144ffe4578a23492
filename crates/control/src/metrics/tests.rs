//! The text of `/metrics` against a golden file and the format's rules.

use super::*;
use events::sizing::SizingRow;
use events::snapshot::{Address, CertificateRow, SecretFigures};
use events::{LeaseRow, LeaseState};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

fn snapshot() -> Snapshot {
    let mut odd = PoolRow {
        database: "we\"ird\\\nname".into(),
        user: "ünï".into(),
        mode: "transaction",
        upstream: "db.example:5432".into(),
        size: 20,
        cl_active: 3,
        cl_waiting: 2,
        sv_active: 18,
        sv_idle: 1,
        sv_tested: 1,
        maxwait_us: 1_250_000,
        paused: true,
        ..PoolRow::default()
    };
    odd.totals.xacts = 1 << 60;
    odd.totals.xact_us = 90_000_001;
    for us in [40, 700, 9_000, 400_000_000] {
        odd.wait.record(Duration::from_micros(us));
    }
    odd.hold.record(Duration::from_millis(3));
    odd.create.record(Duration::from_millis(7));
    odd.idle_min = 1;
    let shop = PoolRow {
        database: "shop".into(),
        user: "web".into(),
        mode: "session",
        size: 5,
        sizing: Some(SizingRow {
            floor: 4,
            ceiling: 90,
            changes: [7, 2, 1, 1, 0, 0],
            ..SizingRow::default()
        }),
        ..PoolRow::default()
    };
    odd.leaks.reclaimed = [3, 1];
    odd.leaks.applications = vec![("shop-web".into(), 4, 0)];
    let mut refusals = vec![0; RefuseReason::COUNT];
    refusals[RefuseReason::WaitTimeout as usize] = 4;
    let worker = WorkerRow {
        clients: 2,
        servers: 3,
        turns: 99,
        panics: 1,
        handovers: 5,
        forwards: [3, 1],
    };
    let certificate = |side, role, expires_at| CertificateRow {
        side,
        role,
        file: format!("/tls/{side}.pem"),
        expires_at,
    };
    Snapshot {
        secrets: SecretFigures {
            rotations: vec![("password", 2), ("certificate", 1)],
            refused: vec![("unreadable", 0), ("key_mismatch", 3)],
            certificates: vec![
                certificate("client", "own", 1_900_000_000),
                certificate("server", "authority", -5),
            ],
        },
        version: 12,
        at: events::Time::from_micros(5_500_000),
        pools: vec![shop, odd],
        budgets: vec![budget()],
        workers: vec![worker, WorkerRow::default()],
        leases: vec![lease("shop-web", 5_000_000), lease("", 10)],
        closes: (0..CloseReason::COUNT as u64).collect(),
        refusals,
        logins: 10,
        accepts: 11,
        cancels: 2,
        ..Snapshot::default()
    }
}

/// A lease of the second pool, silent since its beginning.
fn lease(kind: &str, since_us: u64) -> LeaseRow {
    LeaseRow {
        client: 1,
        server: 2,
        pool: 1,
        conn: events::ConnId {
            slot: 0,
            generation: 0,
        },
        remote_pid: 3,
        addr: Address::Unix,
        user: "u".into(),
        database: "d".into(),
        application: kind.into(),
        kind: kind.into(),
        release: String::new(),
        since: events::Time::from_micros(since_us),
        state: LeaseState::Idle,
        silent_since: Some(events::Time::from_micros(since_us)),
        statement: "SELECT ?".into(),
        tags: String::new(),
        exempt: None,
        suspicion: None,
    }
}

#[test]
fn applications_beyond_the_most_are_one() {
    let mut snapshot = snapshot();
    snapshot.leases = (0..200).map(|n| lease(&format!("app{n:03}"), 1)).collect();
    let text = render(&snapshot, &facts(), Format::OpenMetrics);
    let held = |line: &&str| {
        line.starts_with("plimsoll_application_leases{") && line.contains("condition=\"held\"")
    };
    let lines: Vec<&str> = text.lines().filter(held).collect();
    assert_eq!(lines.len(), 21);
    // One of the twenty is that with reclaims, which holds none.
    let other = "plimsoll_application_leases{application=\"other\",condition=\"held\"} 181";
    assert!(lines.contains(&other), "{lines:?}");
}

fn budget() -> events::snapshot::BudgetRow {
    events::snapshot::BudgetRow {
        upstream: "db.example:5432".into(),
        state: "known",
        line: 46,
        used: 40,
        closing: 1,
        stated: 90,
        max_connections: 100,
        superuser_reserved: 3,
        others: 1,
        monitors: 2,
        headroom: 5,
        fleet_line: 89,
        peers: 1,
        share: 45,
        peers_share: 44,
        peers_held: 30,
        reading_age_us: Some(1_500_000),
        full: 7,
        evictions: 8,
        ..Default::default()
    }
}

fn facts() -> Facts<'static> {
    static SETTINGS: std::sync::OnceLock<crate::settings::Figures> = std::sync::OnceLock::new();
    let settings = SETTINGS.get_or_init(|| {
        use config::rollout::{State, Why};
        let figures = crate::settings::Figures::default();
        figures
            .version
            .store(7, std::sync::atomic::Ordering::Relaxed);
        figures
            .drift
            .store(true, std::sync::atomic::Ordering::Relaxed);
        figures.ended(State::Applied);
        figures.ended(State::RolledBack(Why::Hurts));
        figures
    });
    static API: std::sync::LazyLock<crate::api::Figures> = std::sync::LazyLock::new(|| {
        let figures = crate::api::Figures::default();
        figures.answered(200);
        figures.answered(401);
        figures.refuse(crate::api::Refused::Token);
        figures
    });
    let api = &*API;
    let process = Process {
        cpu_us: Some(1_230_000),
        resident_bytes: Some(4096),
        open_fds: Some(17),
        max_fds: None,
        threads: Some(4),
        start_us: Some(1_700_000_000_120_000),
    };
    Facts {
        watched: None,
        version: "1.2.3",
        process,
        log_lines_dropped: 6,
        settings: Some(settings),
        fleet: None,
        api: Some(api),
    }
}

/// Compares with a file beside this one; PLIMSOLL_BLESS=1 writes it anew.
fn golden(name: &str, text: &str) {
    let path = format!("{}/src/metrics/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("PLIMSOLL_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some((line, (got, want))) = text
        .lines()
        .zip(want.lines())
        .enumerate()
        .find(|(_, (a, b))| a != b)
    {
        panic!("{name}:{}: got {got:?}, want {want:?}", line + 1);
    }
    assert_eq!(text.lines().count(), want.lines().count(), "{name}");
}

#[test]
fn the_exposition_is_as_agreed() {
    golden(
        "golden.openmetrics",
        &render(&snapshot(), &facts(), Format::OpenMetrics),
    );
}

#[test]
fn the_older_format_differs_in_its_comments_only() {
    let samples = |text: &str| {
        text.lines()
            .filter(|l| !l.starts_with('#'))
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let old = render(&snapshot(), &facts(), Format::Prometheus);
    assert_eq!(
        samples(&old),
        samples(&render(&snapshot(), &facts(), Format::OpenMetrics))
    );
    assert!(old.contains("# TYPE plimsoll_client_logins_total counter\n"));
    assert!(!old.contains("# UNIT") && !old.contains("# EOF"));
}

#[test]
fn reader_is_asked_what_it_reads() {
    let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3";
    for (accept, format) in [
        (prometheus, Format::OpenMetrics),
        ("*/*", Format::OpenMetrics),
        ("", Format::OpenMetrics),
        ("text/plain;version=0.0.4", Format::Prometheus),
    ] {
        assert_eq!(Format::accepted(accept), format, "{accept}");
    }
}

#[test]
fn pools_beyond_the_limit_are_summed_not_lost() {
    let row = |i: usize| {
        let mut row = PoolRow {
            database: format!("d{i}"),
            user: "u".into(),
            cl_waiting: 1,
            ..PoolRow::default()
        };
        row.totals.queries = 10;
        row.wait.record(Duration::from_millis(1));
        row.maxwait_us = i as u64;
        row
    };
    // A real pool may be called other/other; it must not become a second series.
    let mut rows: Vec<PoolRow> = (0..5).map(row).collect();
    rows[0].database = OTHER.into();
    rows[0].user = OTHER.into();
    let (pools, folded) = by_name(&rows, 3);
    assert_eq!(folded, 2);
    let names: Vec<&str> = pools.iter().map(|((database, _), _)| *database).collect();
    assert_eq!(names, ["d1", "d2", "other"]);
    let other = &pools[2].1;
    assert_eq!(
        (
            other.cl_waiting,
            other.totals.queries,
            other.wait.count(),
            other.maxwait_us
        ),
        (3, 30, 3, 4)
    );

    let rows: Vec<PoolRow> = (0..SERIES_MAX + 9).map(row).collect();
    let text = render(
        &Snapshot {
            pools: rows,
            ..Snapshot::default()
        },
        &facts(),
        Format::OpenMetrics,
    );
    assert!(text.contains("\nplimsoll_pools_folded 9\n"));
    assert!(text.contains("plimsoll_pool_queries_total{database=\"other\",user=\"other\"} 90\n"));
    assert_eq!(
        text.matches("\nplimsoll_pool_size{").count(),
        SERIES_MAX + 1
    );
    assert!(text.contains("\nplimsoll_family_series_folded{family=\"plimsoll_pool_size\"} 9\n"));
}

#[test]
fn no_family_has_more_series_than_the_limit() {
    let row = |i: usize| PoolRow {
        database: format!("d{i}"),
        user: "u".into(),
        ..PoolRow::default()
    };
    let snapshot = Snapshot {
        pools: (0..3 * SERIES_MAX).map(row).collect(),
        ..Snapshot::default()
    };
    let text = render(&snapshot, &facts(), Format::OpenMetrics);
    let mut families: BTreeMap<String, usize> = BTreeMap::new();
    let mut family = String::new();
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(rest) => family = rest.split(' ').next().unwrap_or_default().to_owned(),
            None if line.starts_with('#') => {}
            None => *families.entry(family.clone()).or_default() += 1,
        }
    }
    // One pool more than the limit: the sum of the others.
    let worst = families.iter().max_by_key(|(_, n)| **n).expect("families");
    assert!(*worst.1 <= SERIES_MAX + 24, "{worst:?}");
    assert!(text.contains("database=\"other\",user=\"other\",le=\"+Inf\""));
}

#[test]
fn the_text_keeps_the_rules_of_openmetrics() {
    let text = render(&snapshot(), &facts(), Format::OpenMetrics);
    let body = text.strip_suffix("# EOF\n").expect("ends with EOF");
    let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
    let (mut family, mut kind) = (String::new(), String::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').unwrap();
            (family, kind) = (name.into(), of.into());
            assert!(families.insert(family.clone()), "family {family} twice");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').unwrap();
            assert!(
                name == family && name.ends_with(&format!("_{unit}")),
                "{line}"
            );
            continue;
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(
                rest.starts_with(&format!("{family} ")) && rest.ends_with('.'),
                "{line}"
            );
            continue;
        }
        let (name_and_labels, value) = line.rsplit_once(' ').unwrap();
        let name = name_and_labels.split('{').next().unwrap();
        let suffixes: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(
            suffixes
                .iter()
                .any(|s| name.strip_suffix(s) == Some(&family)),
            "{line} in {kind} {family}"
        );
        assert!(series.insert(name_and_labels.to_string()), "{line} twice");
        assert!(value.parse::<f64>().is_ok_and(|v| v >= 0.0), "{line}");
    }
    assert!(series.len() > 100);
}

/// A parser that is not ours reads it. Without python3 and its package
/// prometheus_client the test says so and leaves it at the rules above.
#[test]
fn a_foreign_parser_reads_it() {
    const SCRIPT: &str = "
import sys
try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
except ImportError:
    sys.exit(77)
families = {f.name: f for f in parse(sys.stdin.read())}
sample = [s for s in families['plimsoll_pool_transactions'].samples if s.labels['user'] == '\\u00fcn\\u00ef'][0]
assert sample.labels['database'] == 'we\"ird\\\\\\nname', sample
assert families['plimsoll_pool_wait_seconds'].type == 'histogram'
assert families['plimsoll_pool_wait_seconds'].unit == 'seconds'
print(len(families))
";
    let python = std::env::var_os("PLIMSOLL_PYTHON").unwrap_or_else(|| "python3".into());
    let child = Command::new(python)
        .args(["-c", SCRIPT])
        .env("PYTHONIOENCODING", "utf-8")
        .env("PYTHONUTF8", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        skipped("no python3");
        return;
    };
    // The child may be gone already, for want of the package.
    let _ = child
        .stdin
        .take()
        .unwrap()
        .write_all(render(&snapshot(), &facts(), Format::OpenMetrics).as_bytes());
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(77) {
        skipped("python3 has no prometheus_client (pip install prometheus_client)");
        return;
    }
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse::<u32>()
            .unwrap()
            > 30
    );
}

/// Past the test harness, which would hold a print back.
fn skipped(why: &str) {
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED a_foreign_parser_reads_it: {why}"
    );
}
