//! Golden reports: one for each of the five outages, made second by second.
//!
//! `PLIMSOLL_BLESS=1 cargo test -p plimsoll-diagnose report` writes them anew.

use super::super::{Incidents, Seen};
use super::*;
use crate::alert::{Alert, AlertName, AlertState};
use crate::{Finding, Rejection, State, Subject, Unit, Unknown, Verdict};
use events::sample::{
    ApplicationSample, Gauge, Marker, MarkerKind, Name, PoolSample, Record, Sample, Times,
};

/// 2024-08-15 14:10:00 UTC.
const BEGIN: i64 = 1_723_731_000_000;

/// An outage, told by what happened at which second.
struct Story {
    record: Record,
    incidents: Incidents,
    now_ms: i64,
    /// Clients that wait, requests refused in a second, connections of the pool.
    load: (u32, u32, u32),
    application: &'static str,
    verdict: Option<Verdict>,
    changes: Vec<Alert>,
}

impl Story {
    fn new(application: &'static str) -> Story {
        Story {
            record: Record::default(),
            incidents: Incidents::default(),
            now_ms: BEGIN,
            load: (0, 0, 20),
            application,
            verdict: None,
            changes: Vec::new(),
        }
    }

    /// Lets seconds pass.
    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now_ms += 1_000;
            let (waiting, refused, size) = self.load;
            self.record.seconds.push_back(Sample {
                at_ms: self.now_ms,
                span_ms: 1_000,
                refusals: match refused {
                    0 => Vec::new(),
                    n => vec![("wait_timeout".into(), n)],
                },
                pools: vec![PoolSample {
                    database: "shop".into(),
                    user: "web".into(),
                    size,
                    used: Gauge::of(size),
                    clients: Gauge::of(60),
                    waiting: Gauge::of(waiting),
                    arrivals: 200,
                    refused: refused.into(),
                    wait: Times {
                        beyond: waiting.into(),
                        p99_us: u64::from(waiting) * 40_000,
                        most_us: u64::from(waiting) * 50_000,
                        ..Times::default()
                    },
                    ..PoolSample::default()
                }],
                applications: vec![ApplicationSample {
                    name: self.application.into(),
                    release: "2.4.1".into(),
                    clients: Gauge::of(60),
                    waiting: Gauge::of(waiting),
                    arrivals: 200,
                    wait_us: u64::from(waiting) * 1_000_000,
                    ..ApplicationSample::default()
                }],
                ..Sample::default()
            });
            if self.record.seconds.len() > 3_600 {
                self.record.seconds.pop_front();
            }
            let changes = std::mem::take(&mut self.changes);
            self.incidents.look(&Seen {
                record: &self.record,
                changes: &changes,
                verdict: self.verdict.as_ref(),
                now_ms: self.now_ms,
            });
        }
    }

    fn mark(&mut self, kind: MarkerKind, subject: &str, text: &str, actor: &str) -> Marker {
        let marker = Marker {
            at_ms: self.now_ms,
            kind,
            subject: Name::from(subject),
            text: text.to_owned(),
            actor: Name::from(actor),
        };
        self.record.markers.push(marker.clone());
        marker
    }

    fn alert(&mut self, name: AlertName, state: AlertState, summary: &str) {
        let key = format!("{}/shop/web", name.label());
        let subject = Subject {
            database: "shop".into(),
            user: "web".into(),
            ..Subject::default()
        };
        self.changes.push(Alert {
            state,
            subject,
            summary: summary.to_owned(),
            resolved_ms: (state == AlertState::Resolved).then_some(self.now_ms),
            owner: Some(crate::alert::Owner {
                team: "orders".into(),
                channel: "#orders".into(),
                escalation: "+1 555 0100".into(),
            }),
            ..Alert::firing(name, &key, self.now_ms)
        });
    }

    fn diagnosis(
        &mut self,
        (cause, sure, text): (Cause, u8, &str),
        figures: Vec<Figure>,
        change: Option<Marker>,
        ruled_out: &[(Cause, &str, Figure)],
    ) {
        self.verdict = Some(Verdict {
            at_ms: self.now_ms,
            state: State::Hurt,
            onset_ms: Some(self.now_ms),
            findings: vec![Finding {
                cause,
                sure,
                subject: Subject {
                    database: "shop".into(),
                    user: "web".into(),
                    ..Subject::default()
                },
                text: text.to_owned(),
                figures,
                change,
                next: Vec::new(),
            }],
            ruled_out: ruled_out
                .iter()
                .map(|(cause, text, figure)| Rejection {
                    cause: *cause,
                    text: (*text).to_owned(),
                    figure: figure.clone(),
                })
                .collect(),
            unknown: vec![Unknown {
                cause: Cause::ServerSaturated,
                lacks: "wait events: needs pg_monitor".into(),
            }],
            ..Verdict::default()
        });
    }

    fn note(&mut self, actor: &str, text: &str, path: Option<Cause>) {
        self.incidents
            .note("last", (actor, text), path, self.now_ms)
            .expect("noted");
    }

    fn report(&self) -> String {
        let incident = self.incidents.all().last().expect("one");
        let context = ReportContext {
            instance: "pooler-1".into(),
            owner: None,
        };
        markdown(&Report::of(incident, &context, self.now_ms))
    }
}

fn rtt() -> Figure {
    Figure::new("rtt_to_server", 310.0, Unit::Micros).against("usual", 300.0)
}

fn golden(name: &str, text: &str) {
    let path = format!(
        "{}/src/incident/report/golden/{name}.md",
        env!("CARGO_MANIFEST_DIR")
    );
    if std::env::var_os("PLIMSOLL_BLESS").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "{path} differs; PLIMSOLL_BLESS=1 writes it anew:\n{text}"
    );
}

/// 000: an update cut the pool; the change was reverted after a while.
#[test]
fn the_restaurant_platform() {
    let mut story = Story::new("orders");
    let cut = story.mark(
        MarkerKind::Settings,
        "shop/web",
        "pool size: 20 → 2",
        "deploy",
    );
    story.pass(5);
    story.load = (45, 12, 2);
    story.pass(4);
    let exhausted = "Pool shop/web: all 2 connections are lent, 45 clients wait";
    story.alert(AlertName::PoolExhausted, AlertState::Firing, exhausted);
    story.diagnosis(
        (
            Cause::SettingsChange,
            95,
            "The size of pool shop/web went from 20 to 2, and waits began within 2 s.",
        ),
        vec![
            Figure::new("size", 2.0, Unit::Count)
                .of("shop/web")
                .against("before", 20.0),
            Figure::new("demand", 14.0, Unit::Count)
                .of("shop/web")
                .against("size", 2.0),
        ],
        Some(cut),
        &[
            (
                Cause::Network,
                "the way to the server is as fast as usual",
                rtt(),
            ),
            (
                Cause::SlowStatements,
                "statements take as long as usual",
                Figure::new("service_p50", 900.0, Unit::Micros).against("usual", 880.0),
            ),
        ],
    );
    story.pass(50);
    story.note("anna", "is it the switch again?", Some(Cause::Network));
    story.pass(8 * 60);
    story.note("anna", "no: a setting", Some(Cause::SettingsChange));
    story.pass(120);
    story.mark(
        MarkerKind::RolledBack,
        "",
        "version 12 → 11: rolled back",
        "anna",
    );
    story.load = (0, 0, 20);
    story.verdict = None;
    story.pass(30);
    story.alert(AlertName::PoolExhausted, AlertState::Resolved, exhausted);
    story.pass(6 * 60);
    let text = story.report();
    assert!(text.contains("**Root Cause**: a change of settings (95 % sure)"));
    assert!(text.contains("after this change"));
    golden("000-restaurant-platform", &text);
}

/// 001: a deploy script overwrote the settings file.
#[test]
fn the_product_pages() {
    let mut story = Story::new("products");
    let drift = story.mark(
        MarkerKind::Drift,
        "",
        "the settings file says what does not serve",
        "",
    );
    story.pass(20);
    story.alert(
        AlertName::SettingsDrift,
        AlertState::Firing,
        "The settings file says something that does not serve and was not applied",
    );
    story.pass(10);
    story.load = (57, 30, 1);
    let failing = "Server db:5432 refuses connections: 30 in a second";
    story.alert(AlertName::ServerRefusing, AlertState::Firing, failing);
    story.diagnosis(
        (
            Cause::SettingsChange,
            88,
            "The settings file was overwritten 30 s before.",
        ),
        vec![Figure::new("refused", 30.0, Unit::PerSecond).of("shop/web")],
        Some(drift),
        &[(
            Cause::DatabaseDown,
            "the server accepts connections",
            Figure::new("connects", 12.0, Unit::PerSecond),
        )],
    );
    story.pass(240);
    story.note(
        "ben",
        "CPU of the database is high",
        Some(Cause::ServerSaturated),
    );
    story.pass(300);
    story.note("ben", "", Some(Cause::SettingsChange));
    story.pass(60);
    story.mark(MarkerKind::Settings, "", "version 8 serves again", "ben");
    story.load = (0, 0, 20);
    story.verdict = None;
    story.pass(20);
    story.alert(AlertName::ServerRefusing, AlertState::Resolved, failing);
    story.alert(AlertName::SettingsDrift, AlertState::Resolved, "over");
    story.pass(6 * 60);
    golden("001-product-pages", &story.report());
}

/// 002: no limit; a surge drowned the server. Two people on misleading paths.
#[test]
fn the_main_website() {
    let mut story = Story::new("www");
    story.load = (40, 5, 400);
    story.pass(3);
    let waits = "Waits of shop/web are beyond the objective: 80 %";
    story.alert(AlertName::WaitObjective, AlertState::Firing, waits);
    story.diagnosis(
        (
            Cause::LimitTooLarge,
            82,
            "400 connections work at once in shop/web; the server finishes fewer transactions than with 60.",
        ),
        vec![
            Figure::new("active", 380.0, Unit::Count).of("db:5432").against("usual", 40.0),
            Figure::new("service_p50", 90_000.0, Unit::Micros).against("usual", 4_000.0),
        ],
        None,
        &[(
            Cause::AbusiveSource,
            "no address has more than its share",
            Figure::new("largest_share", 9.0, Unit::Percent),
        )],
    );
    story.pass(60);
    story.note("cleo", "DDoS? traffic spikes", Some(Cause::AbusiveSource));
    story.pass(30 * 60);
    story.note(
        "dan",
        "slow queries, optimising",
        Some(Cause::SlowStatements),
    );
    story.note("cleo", "helping dan", Some(Cause::SlowStatements));
    story.pass(60 * 60);
    story.note("cleo", "the pool has no limit!", Some(Cause::LimitTooLarge));
    story.pass(10 * 60);
    story.mark(
        MarkerKind::Settings,
        "shop/web",
        "pool size: 400 → 40",
        "cleo",
    );
    story.pass(5);
    story.load = (0, 0, 40);
    story.verdict = None;
    story.pass(60);
    story.alert(AlertName::WaitObjective, AlertState::Resolved, waits);
    story.pass(6 * 60);
    golden("002-main-website", &story.report());
}

/// 003: growth beyond the limit, forecast before it hurt.
#[test]
fn the_web_stack() {
    let mut story = Story::new("web");
    story.pass(60);
    let soon = "Pool shop/web will be full in 18 min, at the slope of growth";
    story.alert(AlertName::PoolExhaustionForecast, AlertState::Firing, soon);
    story.pass(18 * 60);
    story.load = (15, 0, 20);
    let exhausted = "Pool shop/web: all 20 connections are lent, 15 clients wait";
    story.alert(AlertName::PoolExhausted, AlertState::Firing, exhausted);
    story.diagnosis(
        (
            Cause::Growth,
            90,
            "Requests grew by 40 % in an hour; 26 connections are needed.",
        ),
        vec![
            Figure::new("demand", 26.0, Unit::Count)
                .of("shop/web")
                .against("size", 20.0),
        ],
        None,
        &[(
            Cause::Leak,
            "no lease is silent",
            Figure::new("silent", 0.0, Unit::Count),
        )],
    );
    story.pass(10 * 60);
    story.mark(
        MarkerKind::Settings,
        "shop/web",
        "pool size: 20 → 40",
        "eve",
    );
    story.pass(2);
    story.load = (0, 0, 40);
    story.verdict = None;
    story.pass(60);
    story.alert(AlertName::PoolExhausted, AlertState::Resolved, exhausted);
    story.alert(
        AlertName::PoolExhaustionForecast,
        AlertState::Resolved,
        soon,
    );
    story.pass(60);
    // Not closed yet: a draft.
    golden("003-web-stack", &story.report());
}

/// 004: a release leaked connections. Somebody restarted the database first.
/// The application's name is hostile.
#[test]
fn the_main_service() {
    let mut story = Story::new("main|`svc`\u{1b}[31m<b>");
    let release = story.mark(MarkerKind::Release, "coupons", "2.4.1", "ci");
    story.pass(120);
    story.load = (36, 20, 20);
    story.pass(6);
    let exhausted = "Pool shop/web: all 20 connections are lent, 36 clients wait";
    story.alert(AlertName::PoolExhausted, AlertState::Firing, exhausted);
    story.alert(
        AlertName::Leak,
        AlertState::Firing,
        "coupons 2.4.1 holds 18 connections of shop/web and is silent",
    );
    story.diagnosis(
        (
            Cause::Leak,
            93,
            "coupons 2.4.1 holds 18 of 20 connections and is silent.",
        ),
        vec![
            Figure::new("silent", 18.0, Unit::Count)
                .of("coupons")
                .against("used", 20.0),
        ],
        Some(release),
        &[
            (
                Cause::Network,
                "the way to the server is as fast as usual",
                rtt(),
            ),
            (
                Cause::DatabaseDown,
                "the server answers",
                Figure::new("probe", 420.0, Unit::Micros).against("usual", 400.0),
            ),
        ],
    );
    story.pass(19 * 60);
    story.note("fay", "network latency?", Some(Cause::Network));
    story.pass(15 * 60);
    story.mark(MarkerKind::Action, "", "restarted the database", "fay");
    story.pass(20 * 60);
    story.mark(MarkerKind::Action, "", "cleared all caches", "fay");
    story.pass(30 * 60);
    story.note("fay", "coupons leaks", Some(Cause::Leak));
    story.pass(30 * 60);
    story.mark(MarkerKind::Release, "coupons", "2.4.0", "fay");
    story.pass(2);
    story.load = (0, 0, 20);
    story.verdict = None;
    story.pass(60);
    story.alert(AlertName::PoolExhausted, AlertState::Resolved, exhausted);
    story.alert(AlertName::Leak, AlertState::Resolved, "over");
    story.pass(6 * 60);
    let text = story.report();
    assert!(!text.contains('\u{1b}') && !text.contains("<b>"));
    golden("004-main-service", &text);
}

#[test]
fn where_nothing_is_known_the_report_says_so() {
    let mut story = Story::new("web");
    story.alert(
        AlertName::LimitUpstream,
        AlertState::Firing,
        "web is silent",
    );
    story.pass(10);
    let text = story.report();
    assert!(text.contains("**Root Cause**: unknown."));
    assert!(text.contains("**Draft**"));
    assert!(text.contains("No client waited beyond the objective"));
    assert!(text.contains("It is not over yet."));
}

#[test]
fn the_report_is_read_back_from_json() {
    let mut story = Story::new("web");
    story.load = (3, 1, 2);
    story.alert(AlertName::PoolExhausted, AlertState::Firing, "full");
    story.pass(10);
    let incident = &story.incidents.all()[0];
    let json = serde_json::to_string(incident).expect("JSON");
    let back: Incident = serde_json::from_str(&json).expect("read");
    assert_eq!(&back, incident);
    let report = Report::of(incident, &ReportContext::default(), story.now_ms);
    let json = serde_json::to_string(&report).expect("JSON");
    assert_eq!(serde_json::from_str::<Report>(&json).expect("read"), report);
}
