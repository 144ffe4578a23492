//! What a person reads, to the letter.

use diagnose::{Cause, Figure, Finding, Rejection, State, Step, Subject, Unit, Unknown, Verdict};
use events::sample::{Marker, MarkerKind};

#[test]
fn a_verdict_reads_from_what_is_wrong_to_what_to_do() {
    let verdict = Verdict {
        at_ms: 60_000,
        state: State::Hurt,
        onset_ms: Some(48_000),
        summary: "9 of 10 connections of shop/app are not given back.".into(),
        symptoms: vec![Figure::new("waiting", 12.0, Unit::Count).of("shop/app")],
        findings: vec![Finding {
            cause: Cause::Leak,
            sure: 90,
            subject: Subject::default(),
            text: "9 of 10 connections of shop/app are held by clients that are silent inside a \
                   transaction, most of them of web\u{1b}[2J."
                .into(),
            figures: vec![Figure::new("silent_leases", 9.0, Unit::Count).against("least", 0.0)],
            change: Some(Marker {
                at_ms: 40_000,
                kind: MarkerKind::Release,
                subject: "web".into(),
                text: "web 4.3 released".into(),
                actor: "ci".into(),
            }),
            next: vec![Step {
                text: "Take back the release.".into(),
                command: "plimsoll playbook leak".into(),
            }],
        }],
        ruled_out: vec![Rejection {
            cause: Cause::Network,
            text: "not seen: the way is slow; probe 400 µs (usual 410 µs)".into(),
            figure: Figure::new("probe", 400.0, Unit::Micros).against("usual", 410.0),
        }],
        unknown: vec![Unknown {
            cause: Cause::Locks,
            lacks: "not measured: the server's activity view; it needs `pg_monitor`".into(),
        }],
        ..Verdict::default()
    };
    let text = diagnose::render(&verdict, 60);
    assert_eq!(
        text,
        "\
clients suffer: 9 of 10 connections of shop/app are not
given back.
It began 12 s before this moment.

Seen
  - waiting of shop/app 12

1. connections are borrowed and not returned (90 % sure)
  9 of 10 connections of shop/app are held by clients that
  are silent inside a transaction, most of them of web·[2J.
  - silent leases 9 (least 0)
  - changed: release web: web 4.3 released, by ci
  > Take back the release.
      plimsoll playbook leak

Ruled out
  - the network: not seen: the way is slow; probe 400 µs
    (usual 410 µs)

Not known
  - statements wait for locks: not measured: the server's
    activity view; it needs `pg_monitor`
"
    );
}

#[test]
fn nothing_measured_says_so() {
    let verdict = diagnose::diagnose(&events::sample::Record::default(), Some(5));
    assert_eq!(
        diagnose::render(&verdict, 80),
        "unknown: Nothing was measured at that moment.\n"
    );
}
