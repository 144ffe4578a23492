//! Every reason in every style: severity, code, and that nothing is missing.

use super::*;
use crate::directory::PoolMode;
use crate::errors::report;
use crate::tests::pool_info;

fn plight() -> Plight {
    Plight {
        size: 20,
        in_use: 19,
        waiting: 57,
        deadline: Some(Duration::from_secs(30)),
        predicted: Duration::from_secs(95),
        holders: Vec::new(),
    }
}

fn said(reason: RefuseReason, style: ErrorStyle, plight: Option<&Plight>) -> Report {
    let info = pool_info(PoolMode::Transaction);
    let grounds = Grounds {
        reason,
        info: &info,
        database: "shop",
        waited: Duration::from_millis(1_500),
        plight,
        refused: None,
        failure: (reason == RefuseReason::ServerDown).then_some("10.0.0.1:5432: refused"),
        outage: None,
    };
    report(style, &grounds.trouble())
}

#[test]
fn each_refusal_has_its_code_a_detail_and_a_hint_and_keeps_the_session_where_it_can() {
    use RefuseReason as R;
    // Reason, own code, PgBouncer's, and whether the session goes on in each style.
    let table = [
        (R::WaitTimeout, "53300", "08P01", true, false),
        (R::QueueFull, "53300", "53300", true, true),
        (R::Shed, "53300", "53300", true, true),
        (R::ServerDown, "08006", "08P01", true, false),
        (R::Disabled, "57P03", "08P01", true, false),
        (R::Shutdown, "57P01", "08P01", false, false),
        (R::PinShare, "53300", "53300", true, true),
        (R::TooManyClients, "53300", "08P01", false, false),
        (R::Panic, "XX000", "XX000", false, false),
    ];
    let mut left: Vec<R> = R::ALL.to_vec();
    for (reason, own, copied, keeps, keeps_copied) in table {
        left.retain(|r| *r != reason);
        let plight = plight();
        let ours = said(reason, ErrorStyle::Plimsoll, Some(&plight));
        assert_eq!(ours.code, own, "{reason}");
        assert!(
            ours.detail.is_some() && ours.hint.is_some(),
            "{reason}: {ours:?}"
        );
        assert_eq!(
            keeps_session(ErrorStyle::Plimsoll, reason),
            keeps,
            "{reason}"
        );
        let theirs = said(reason, ErrorStyle::Pgbouncer, Some(&plight));
        assert_eq!(theirs.code, copied, "{reason}");
        assert_eq!(
            keeps_session(ErrorStyle::Pgbouncer, reason),
            keeps_copied,
            "{reason}"
        );
        let scarce = matches!(reason, R::WaitTimeout | R::QueueFull | R::Shed);
        for report in [&ours, &theirs] {
            let detail = report.detail.as_deref().unwrap_or_default();
            let figures = detail.contains(
                "Pool \"shop\", user \"u\": 19 of 20 connections in use, 57 clients wait.",
            );
            assert_eq!(figures, scarce, "{reason}: {detail}");
        }
    }
    assert_eq!(left, [], "a reason without a row");
}

#[test]
fn who_has_not_logged_in_gets_no_figures() {
    for reason in RefuseReason::ALL {
        for style in [ErrorStyle::Plimsoll, ErrorStyle::Pgbouncer] {
            let report = said(*reason, style, None);
            let text = format!("{} {:?}", report.message, report.detail);
            assert!(
                !text.contains("in use,") && !text.contains("clients wait."),
                "{reason}: {text}"
            );
        }
    }
}

#[test]
fn the_figures_of_each_kind() {
    let p = plight();
    let detail = |reason| {
        let report = said(reason, ErrorStyle::Plimsoll, Some(&p));
        let detail = report.detail.unwrap_or_default();
        detail
            .split_once("wait. ")
            .map(|(_, end)| end.to_owned())
            .unwrap_or_default()
    };
    let table = [
        (
            RefuseReason::WaitTimeout,
            "Waited 1500 ms; the limit is 30 s.",
        ),
        (
            RefuseReason::Shed,
            "The wait would be about 95 s; the limit is 30 s.",
        ),
        (RefuseReason::QueueFull, "No more may wait."),
    ];
    for (reason, end) in table {
        assert_eq!(detail(reason), end);
    }
}

#[test]
fn others_are_named_only_where_the_pool_tells_them() {
    let mut p = plight();
    p.holders = vec![("anna\0reports".into(), 12), ("auth_query".into(), 1)];
    let report = said(RefuseReason::WaitTimeout, ErrorStyle::Plimsoll, Some(&p));
    let detail = report.detail.unwrap_or_default();
    let named = "Most are held by user \"anna\", application \"reports\" (12), user \"auth_query\", application \"\" (1).";
    assert!(detail.ends_with(named), "{detail}");
}
