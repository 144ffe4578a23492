//! Whole screens beside golden files: what a person sees in calm, in an outage,
//! without a connection, with hostile names. PLIMSOLL_BLESS=1 writes them anew.

use super::draw;
use super::keys::Key;
use super::model::{Input, Model, News, Start, Trouble, View};
use super::once;
use super::paper::Look;
use control::api::IncidentLine;
use control::live::{
    AlertLine, ApplicationLine, GuardLine, IncidentNow, LeaseLine, LeaseTable, Live, PoolLine,
    PoolTable, ServerLine, Totals,
};
use diagnose::alert::{Alert, AlertState, Severity};
use diagnose::incident::Standing;
use diagnose::{Cause, Figure, Finding, Rejection, State, Step, Subject, Unit, Verdict};
use events::sample::{Marker, MarkerKind};
use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;
use std::time::Duration;

/// 2026-11-21 14:10:05 UTC.
const NOW_MS: i64 = 1_795_270_205_000;
const LOOK: Look = Look {
    colour: true,
    unicode: true,
};

fn model(view: View, at_ms: Option<i64>) -> Model {
    let start = Start {
        at_ms,
        view,
        sort: None,
        filter: String::new(),
        pace: Duration::from_secs(1),
    };
    Model::new(&start, NOW_MS)
}

fn hear(model: &mut Model, live: Live) {
    let news = News {
        live,
        ..News::default()
    };
    model.step(NOW_MS, 10, Input::News(model.at_ms, Box::new(news)));
}

fn press(model: &mut Model, keys: &[Key]) {
    for key in keys {
        model.step(model.now_ms, 10, Input::Key(*key));
    }
}

/// What stands on a terminal of that size.
fn screen(model: &Model, columns: u16, rows: u16, look: Look) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a terminal");
    let frame =
        |frame: &mut ratatui_core::terminal::Frame<'_>| draw::draw(model, look, frame.buffer_mut());
    terminal.draw(frame).expect("drawn");
    let buffer = terminal.backend().buffer();
    let rows = buffer.content.chunks(usize::from(columns));
    rows.map(|row| once::line(row, false) + "\n").collect()
}

fn same_as_file(name: &str, text: &str) {
    let path = format!(
        "{}/src/commands/top/golden/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    if std::env::var_os("PLIMSOLL_BLESS").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{path}; PLIMSOLL_BLESS=1 writes it anew");
}

fn both_sizes(name: &str, model: &Model) -> String {
    let mut all = String::new();
    for (columns, rows) in [(80, 24), (120, 40)] {
        let text = screen(model, columns, rows, LOOK);
        same_as_file(&format!("{name}-{columns}x{rows}"), &text);
        all.push_str(&text);
    }
    all
}

fn shop(used: u32, waiting: u32) -> PoolLine {
    PoolLine {
        database: "shop".to_owned(),
        user: "app".to_owned(),
        server: "db.internal:5432".to_owned(),
        mode: "transaction".to_owned(),
        size: 20,
        used,
        idle: 20 - used,
        clients: 412,
        waiting,
        oldest_wait_us: u64::from(waiting) * 260_000,
        arrivals_per_s: 1_240.0,
        transactions_per_s: 1_240.0,
        refused_per_s: 0.0,
        wait_us: Some(if waiting > 0 { 812_000.0 } else { 120.0 }),
        service_us: Some(3_100.0),
        hold_us: Some(4_800.0),
        silent: 0,
        suspects: 0,
        full_in_s: None,
        held_back: String::new(),
        standing: if waiting > 0 { "waiting" } else { "well" }.to_owned(),
    }
}

fn server() -> ServerLine {
    ServerLine {
        server: "db.internal:5432".to_owned(),
        state: "known".to_owned(),
        line: 45,
        used: 22,
        max_connections: 100,
        reserved: 3,
        others: Some(12),
        headroom: 5,
        peers: 1,
        peers_held: 20,
        probe_us: Some(410),
        rtt_us: Some(180),
        active: Some(4),
        blocked: Some(0),
        failed_per_s: 0.0,
        last_error: String::new(),
    }
}

fn lease(nth: u32, application: &str, held_us: u64) -> LeaseLine {
    LeaseLine {
        client: format!("{:x}", 0x1a20 + nth),
        database: "shop".to_owned(),
        user: "app".to_owned(),
        application: application.to_owned(),
        release: "2.4.1".to_owned(),
        route: "cart/checkout".to_owned(),
        address: format!("10.0.0.{}", 10 + nth),
        state: "active".to_owned(),
        held_us,
        silent_us: None,
        statement: "SELECT * FROM orders WHERE customer = $1 ORDER BY placed_at DESC".to_owned(),
        tags: "route=cart/checkout".to_owned(),
        remote_pid: 4_000 + nth,
        exempt: String::new(),
        suspicion: String::new(),
        sure: 0,
    }
}

fn marker(before_s: i64, kind: MarkerKind, subject: &str, text: &str, actor: &str) -> Marker {
    Marker {
        at_ms: NOW_MS - before_s * 1_000,
        kind,
        subject: subject.into(),
        text: text.to_owned(),
        actor: actor.into(),
    }
}

fn calm() -> Live {
    Live {
        at_ms: NOW_MS,
        snapshot: 41,
        span_ms: 1_000,
        instance: "shop-1:4711".to_owned(),
        fleet: "shop".to_owned(),
        version: "0.1.0".to_owned(),
        uptime_s: 273_600,
        verdict: Verdict {
            at_ms: NOW_MS,
            snapshot: 41,
            state: State::Calm,
            summary: "Nobody waits beyond what is usual.".to_owned(),
            ..Verdict::default()
        },
        guards: vec![GuardLine {
            name: "reclaim".to_owned(),
            mode: "observe".to_owned(),
            acted: 0,
            would_have: 3,
        }],
        totals: Totals {
            clients: 412,
            clients_limit: 2_000,
            used: 6,
            idle: 14,
            arrivals_per_s: 1_240.0,
            transactions_per_s: 1_240.0,
            wait_us: Some(120.0),
            service_us: Some(3_100.0),
            ..Totals::default()
        },
        pools: vec![shop(6, 0)],
        pools_total: 1,
        servers: vec![server()],
        applications: vec![ApplicationLine {
            name: "shop-web".to_owned(),
            release: "2.4.1".to_owned(),
            database: "shop".to_owned(),
            user: "app".to_owned(),
            clients: 400,
            used: 6,
            arrivals_per_s: 1_200.0,
            oldest_hold_us: 9_000,
            ..ApplicationLine::default()
        }],
        leases: vec![lease(0, "shop-web", 9_000), lease(1, "shop-worker", 4_000)],
        leases_total: 2,
        markers: vec![marker(
            86_400,
            MarkerKind::Started,
            "",
            "started, version 0.1.0",
            "",
        )],
        ..Live::default()
    }
}

fn finding(cause: Cause, sure: u8, text: &str, step: Step) -> Finding {
    Finding {
        cause,
        sure,
        subject: Subject::default(),
        text: text.to_owned(),
        figures: vec![Figure::new("lent", 20.0, Unit::Count).of("shop/app")],
        change: None,
        next: vec![step],
    }
}

fn rejection(cause: Cause, text: &str) -> Rejection {
    Rejection {
        cause,
        text: text.to_owned(),
        figure: Figure::new("round_trip", 0.000_18, Unit::Seconds),
    }
}

fn cut() -> Verdict {
    let step = Step {
        text: "Take the change back:".to_owned(),
        command: "plimsoll rollback --reason 'waits since version 8'".to_owned(),
    };
    let text = "The limit of shop/app was 40 until 14:09:10 and is 20 since; all 20 are lent, and 12 clients wait 812 ms where 0.1 ms was usual.";
    Verdict {
        at_ms: NOW_MS,
        snapshot: 42,
        state: State::Hurt,
        onset_ms: Some(NOW_MS - 55_000),
        summary: "12 clients of shop/app wait for a connection, the longest for 3.1 s.".to_owned(),
        findings: vec![
            finding(Cause::SettingsChange, 93, text, step.clone()),
            finding(Cause::LimitTooSmall, 40, "The limit is small.", step),
        ],
        ruled_out: vec![
            rejection(Cause::Network, "the round trip is 0.2 ms, as usual"),
            rejection(Cause::SlowStatements, "statements take 3.1 ms, as usual"),
            rejection(Cause::Leak, "no lease is silent"),
            rejection(Cause::Locks, "no backend waits for a lock"),
            rejection(Cause::DatabaseDown, "every connection was accepted"),
        ],
        ..Verdict::default()
    }
}

/// A change of settings cut the pool.
fn hurt() -> Live {
    let mut live = calm();
    live.verdict = cut();
    live.alerts = vec![AlertLine {
        name: "PlimsollPoolExhausted".to_owned(),
        severity: "critical".to_owned(),
        state: "firing".to_owned(),
        since_ms: NOW_MS - 40_000,
        summary: "12 clients wait for shop/app.".to_owned(),
        chapter: "pool-exhausted".to_owned(),
    }];
    live.alerts_firing = 2;
    live.incident = Some(IncidentNow {
        id: "2026-11-21-1".to_owned(),
        title: "shop/app is full".to_owned(),
        since_ms: NOW_MS - 40_000,
    });
    live.totals.waiting = 12;
    live.totals.oldest_wait_us = 3_120_000;
    (live.totals.used, live.totals.idle) = (20, 0);
    live.totals.wait_us = Some(812_000.0);
    let mut blog = shop(3, 0);
    (blog.database, blog.size, blog.full_in_s) = ("blog".to_owned(), 10, Some(95));
    blog.standing = "filling".to_owned();
    live.pools = vec![shop(20, 12), blog, shop(1, 0)];
    live.pools[2].database = "reports".to_owned();
    live.pools_total = 3;
    live.leases = (0..20)
        .map(|nth| lease(nth, "shop-web", 9_000 - u64::from(nth) * 300))
        .collect();
    live.leases_total = 24;
    live.markers = vec![
        marker(
            55,
            MarkerKind::Settings,
            "shop/app",
            "size 40 → 20 (version 8)",
            "anna@shop-1",
        ),
        marker(600, MarkerKind::Release, "shop-web", "2.4.1", "ci"),
        marker(
            86_400,
            MarkerKind::Started,
            "",
            "started, version 0.1.0",
            "",
        ),
    ];
    live
}

/// A release does not give back what it borrows.
fn leak() -> Live {
    let mut live = hurt();
    let step = Step {
        text: "Ask for the way back of the release, or take the leases back:".to_owned(),
        command: "plimsoll playbook leak".to_owned(),
    };
    let text = "18 of 20 leases of shop/app belong to shop-web 2.4.1 and are silent inside a transaction for 41 s; before the release none was.";
    live.verdict.findings = vec![finding(Cause::Leak, 96, text, step)];
    live.verdict.ruled_out.truncate(2);
    live.pools.truncate(1);
    (live.pools[0].silent, live.pools[0].suspects) = (18, 18);
    live.pools[0].standing = "leaking".to_owned();
    for (nth, lease) in live.leases.iter_mut().take(18).enumerate() {
        lease.state = "idle in transaction".to_owned();
        lease.held_us = 41_000_000 - nth as u64 * 1_000_000;
        lease.silent_us = Some(lease.held_us - 20_000);
        (lease.suspicion, lease.sure) = ("leak".to_owned(), 97);
    }
    live.markers = vec![marker(61, MarkerKind::Release, "shop-web", "2.4.1", "ci")];
    live
}

/// Names as an attacker would choose them.
fn hostile() -> Live {
    let mut live = hurt();
    let names = [
        "\x1b[2J\x1b[31mroot\x07",
        "\u{202e}gnp.exe\u{202c}",
        "店舗の注文サービス一覧",
        "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}clair",
        "zero\u{200b}width\u{feff}",
        "👩\u{200d}👩\u{200d}👧 family",
        "<script>alert(1)</script>",
        "tab\tnew\nline\rreturn",
        "'; DROP TABLE clients; --",
        "",
    ];
    let long = "x".repeat(3_000);
    for (lease, name) in live
        .leases
        .iter_mut()
        .zip(names.iter().chain([&long.as_str()]))
    {
        lease.application = (*name).to_owned();
        lease.release = format!("1{name}");
        lease.route = (*name).to_owned();
        lease.statement = format!("SELECT {name}");
        lease.address = (*name).to_owned();
    }
    live.pools[0].database = names[0].to_owned();
    live.pools[1].database = names[2].to_owned();
    (live.pools[2].user, live.pools[2].wait_us) = (long.clone(), Some(f64::NAN));
    (live.pools[2].used, live.pools[2].size) = (u32::MAX, u32::MAX);
    live.pools[2].oldest_wait_us = u64::MAX;
    live.instance = names[1].to_owned();
    live.verdict.summary = format!("12 clients of {} wait.", names[0]);
    live.verdict.findings[0].text = long.clone();
    live.markers[0].text = names[0].to_owned();
    live.markers[0].subject = names[4].into();
    live.servers[0].server = names[0].to_owned();
    live.servers[0].last_error = names[1].to_owned();
    live.servers[0].failed_per_s = f64::INFINITY;
    live.not_ready = names[7].to_owned();
    live.uptime_s = u64::MAX;
    live
}

#[test]
fn calm_is_seen_at_once() {
    let mut model = model(View::Overview, None);
    for s in (0..240).rev() {
        let mut live = calm();
        live.at_ms -= s * 1_000;
        live.totals.used = 4 + (s % 7) as u32;
        hear(&mut model, live);
    }
    hear(&mut model, calm());
    let text = both_sizes("calm", &model);
    assert!(text.contains("CALM") && text.contains("waiting nobody"));
}

#[test]
fn an_outage_answers_the_five_questions_on_one_screen() {
    let mut model = model(View::Overview, None);
    for s in (1..200).rev() {
        let mut live = if s > 55 { calm() } else { hurt() };
        live.at_ms = NOW_MS - s * 1_000;
        live.totals.waiting = live.totals.waiting.saturating_sub((s / 5) as u32);
        hear(&mut model, live);
    }
    hear(&mut model, hurt());
    for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
        let text = screen(&model, columns, rows, LOOK);
        same_as_file(&format!("hurt-{columns}x{rows}"), &text);
        let answers = [
            // Is anyone waiting, and how long?
            "waiting 12, the longest 3.1 s",
            // Why, how sure, and what it is not?
            "a change of settings, 93 % sure",
            "the network",
            // Is it the pool or the server?
            "█ wait 812 ms, ░ service 3.1 ms",
            // Which pool, used and limit, and when will it be full?
            "shop/app",
            "20/20",
            "1m35s",
            // Who holds connections?
            "WHO HOLDS 20/24",
            "cart/chec",
            "SELECT * FROM",
            // What changed?
            "size 40 → 20",
            "server  db.internal:5432",
        ];
        for answer in answers {
            assert!(
                text.contains(answer),
                "{answer} at {columns}x{rows}:\n{text}"
            );
        }
    }
}

#[test]
fn a_leak_names_who_does_not_give_back() {
    let mut model = model(View::Overview, None);
    hear(&mut model, leak());
    let text = both_sizes("leak", &model);
    for word in [
        "borrowed and not returned",
        "shop-web",
        "leak 97%",
        "leaking",
    ] {
        assert!(text.contains(word), "{word}");
    }
}

#[test]
fn a_lost_connection_is_told_and_what_was_known_stays() {
    let mut model = model(View::Overview, None);
    hear(&mut model, calm());
    let why = "no pooler answers on /run/plimsoll/.s.PLIMSOLL.6432: Connection refused".to_owned();
    model.step(
        NOW_MS + 1_000,
        10,
        Input::Failed(Trouble::Silence, why, Duration::from_secs(8)),
    );
    model.step(NOW_MS + 4_000, 10, Input::Tick);
    let text = both_sizes("lost", &model);
    assert!(text.contains("NO CONNECTION for 3 s, next try in 5 s. Shown: 14:10:05Z."));
    assert!(text.contains("shop/app"));
}

#[test]
fn silence_is_told_too() {
    let mut model = model(View::Overview, None);
    hear(&mut model, calm());
    model.step(NOW_MS + 5_000, 10, Input::Tick);
    assert!(!screen(&model, 80, 24, LOOK).contains("NO ANSWER"));
    model.step(NOW_MS + 12_000, 10, Input::Tick);
    assert!(screen(&model, 80, 24, LOOK).contains("NO ANSWER for 12 s"));
}

#[test]
fn before_the_first_answer_it_says_so() {
    let mut model = model(View::Overview, None);
    both_sizes("empty", &model);
    let why = "no pooler answers on /run/plimsoll".to_owned();
    model.step(
        NOW_MS,
        10,
        Input::Failed(Trouble::Silence, why, Duration::from_secs(1)),
    );
    let text = screen(&model, 80, 24, LOOK);
    assert!(text.contains("NO CONNECTION") && text.contains("Nothing was heard"));
}

#[test]
fn a_pooler_without_anything_has_a_screen() {
    for view in View::ALL {
        let mut model = model(view, None);
        hear(&mut model, Live::default());
        for (columns, rows) in [(80, 24), (30, 6), (10, 3), (1, 1), (300, 100), (80, 7)] {
            screen(&model, columns, rows, LOOK);
        }
    }
}

#[test]
fn hostile_names_stay_in_their_cells() {
    let mut model = model(View::Overview, None);
    hear(&mut model, hostile());
    let text = both_sizes("hostile", &model);
    let turns = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}');
    let harmless = |c: char| c == '\n' || !(c.is_control() || turns(c));
    assert!(text.chars().all(harmless));
    // On every screen, at every size, open or not.
    for view in View::ALL {
        for keys in [
            vec![],
            vec![Key::Char('j'), Key::Enter],
            vec![Key::Char('j'), Key::Char('K')],
        ] {
            let mut model = model_of(view);
            hear(&mut model, hostile());
            press(&mut model, &keys);
            for columns in (1..130).step_by(7) {
                let text = screen(&model, columns, 24, LOOK);
                assert!(text.chars().all(harmless), "{view:?} {columns}");
            }
        }
    }
}

fn model_of(view: View) -> Model {
    model(view, None)
}

#[test]
fn the_past_says_that_it_is_the_past() {
    let at_ms = NOW_MS - 3_600_000;
    let mut model = model(View::Overview, Some(at_ms));
    let mut live = hurt();
    (live.at_ms, live.past, live.leases_total) = (at_ms, true, 0);
    live.verdict.at_ms = at_ms;
    live.verdict.onset_ms = Some(at_ms - 55_000);
    live.leases.clear();
    hear(&mut model, live);
    let text = both_sizes("past", &model);
    assert!(text.contains("THE PAST: 2026-11-21 13:10:05 UTC"));
    assert!(text.contains("not known of the past"));
}

fn alert() -> Alert {
    Alert {
        name: diagnose::alert::AlertName::ALL[0],
        key: "k".to_owned(),
        subject: Subject::default(),
        state: AlertState::Firing,
        severity: Severity::Critical,
        since_ms: NOW_MS - 40_000,
        fired_ms: Some(NOW_MS - 30_000),
        resolved_ms: None,
        summary: "12 clients wait for shop/app.".to_owned(),
        figures: vec![Figure::new("waiting", 12.0, Unit::Count).of("shop/app")],
        cause: Some((Cause::SettingsChange, "the limit was cut".to_owned())),
        forecast: None,
        next: Vec::new(),
        runbook: String::new(),
        owner: None,
    }
}

#[test]
fn each_view_has_its_screen() {
    let incident = IncidentLine {
        id: "2026-11-21-1".to_owned(),
        standing: Standing::Open,
        severity: Severity::Critical,
        title: "shop/app is full".to_owned(),
        onset_ms: NOW_MS - 40_000,
        duration_ms: 40_000,
        cause: Some(Cause::SettingsChange),
        notes: 2,
    };
    for view in [View::Pools, View::Leases, View::Budget, View::Alerts] {
        let mut model = model(view, None);
        let live = leak();
        let news = News {
            pools: Some(PoolTable {
                at_ms: NOW_MS,
                total: 500,
                rows: hurt().pools,
            }),
            leases: Some(LeaseTable {
                at_ms: NOW_MS,
                total: 10_000,
                rows: live.leases.clone(),
            }),
            alerts: Some((vec![alert()], vec![incident.clone()])),
            live,
            ..News::default()
        };
        model.step(NOW_MS, 10, Input::News(None, Box::new(news)));
        press(&mut model, &[Key::Char('j'), Key::Char('j')]);
        both_sizes(view.word(), &model);
        press(&mut model, &[Key::Enter]);
        let text = screen(&model, 80, 24, LOOK);
        same_as_file(&format!("{}-row", view.word()), &text);
    }
}

#[test]
fn questions_help_and_the_verdict_have_their_screens() {
    let mut model = model(View::Leases, None);
    hear(&mut model, leak());
    press(&mut model, &[Key::Char('j'), Key::Char('r')]);
    same_as_file("question", &screen(&model, 80, 24, LOOK));
    press(&mut model, &[Key::Char('n')]);
    assert!(screen(&model, 80, 24, LOOK).contains("Nothing was done: only y says yes."));
    press(&mut model, &[Key::Char('?')]);
    same_as_file("help", &screen(&model, 80, 24, LOOK));
    press(&mut model, &[Key::Char('1'), Key::Enter]);
    // A lease was chosen in another view only.
    assert!(screen(&model, 80, 24, LOOK).contains("Ruled out"));
}

#[test]
fn without_unicode_and_colour_it_says_the_same() {
    let mut model = model(View::Overview, None);
    hear(&mut model, hurt());
    let look = Look {
        colour: false,
        unicode: false,
    };
    let text = screen(&model, 80, 24, look);
    assert!(text.is_ascii());
    same_as_file("ascii", &text);
    let words = ["CLIENTS SUFFER", "waiting 12", "[1 overview]", "20/20"];
    assert!(words.iter().all(|word| text.contains(word)));
}

#[test]
fn a_large_pooler_is_drawn_in_a_blink() {
    let mut live = hurt();
    live.pools = (0..1_000).map(|_| shop(20, 12)).collect();
    live.leases = (0..500).map(|nth| lease(nth, "shop-web", 1)).collect();
    let mut model = model(View::Leases, None);
    hear(&mut model, live);
    let text = screen(&model, 200, 60, LOOK);
    // Only rows in sight are written.
    assert_eq!(text.lines().count(), 60);
}
