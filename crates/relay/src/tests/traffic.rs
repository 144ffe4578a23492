//! Who is counted where, and what a wait leaves behind.

use super::*;
use events::{ApplicationRow, RefuseReason};

fn application(s: &Stage, kind: &str) -> ApplicationRow {
    let rows = s.hub.application_rows(s.now);
    let row = rows.into_iter().find(|r| &*r.kind == kind);
    row.unwrap_or_default()
}

/// (clients, logins, checkouts)
fn counts(s: &Stage, kind: &str) -> (u32, u64, u64) {
    let row = application(s, kind);
    (row.clients, row.logins, row.checkouts)
}

#[test]
fn a_client_is_counted_under_the_name_that_it_has() {
    let mut s = Stage::new(1);
    let c = s.client(&[("application_name", "web-1")]);
    assert_eq!(counts(&s, "web"), (1, 1, 0));
    s.send(c, "Q one");
    assert_eq!(application(&s, "web").active, 1);
    s.answer(0, "C SET / Z I");
    s.pass(2);
    s.answer(0, "C SELECT 1 / Z I");
    let row = application(&s, "web");
    assert_eq!((row.active, row.checkouts, row.hold_us), (0, 1, 2_000_000));

    // The new name counts from the next request on; a rollback takes it back.
    for (text, tags, wanted) in [
        ("Q SET application_name = 'job 7'", "C SET / Z I", "job"),
        ("Q BEGIN", "C BEGIN / Z T", "job"),
        ("Q SET application_name = 'x'", "C SET / Z T", "job"),
        ("Q ROLLBACK", "C ROLLBACK / Z I", "job"),
        ("Q RESET application_name", "C RESET / Z I", "web"),
    ] {
        s.send(c, text);
        s.answer(0, tags);
        if tags.ends_with("Z I") {
            s.send(c, "Q next");
            // The connection may be brought to the client's name first.
            s.answer(0, "C SELECT 1 / Z I");
            if application(&s, wanted).active == 1 {
                s.answer(0, "C SELECT 1 / Z I");
            }
        }
        assert_eq!(application(&s, wanted).clients, 1, "{text}");
    }
    assert_eq!(application(&s, "x").checkouts, 0);
    assert_eq!(
        (application(&s, "job").clients, counts(&s, "web").1),
        (0, 1)
    );
    s.dispatch(&[], |hub, now, ports, out| {
        hub.client_gone(now, c, ports, out)
    });
    assert_eq!(application(&s, "web").clients, 0);
    let sources = s.hub.source_rows();
    assert_eq!((sources[1].accepts, sources[1].logins), (1, 1));
    assert_eq!((sources[1].clients, sources[1].login_failures), (0, 0));
}

#[test]
fn a_long_wait_remembers_whose_lease_ended() {
    let mut s = Stage::new(1);
    let holder = s.client(&[("application_name", "batch-1")]);
    let waiter = s.client(&[("application_name", "web-1")]);
    s.dispatch(&[], |hub, now, ports, out| hub.tick(now, ports, out));
    s.send(holder, "Q SELECT 'secret' FROM slow");
    s.answer(0, "C SET / Z I");
    s.send(waiter, "Q fast");
    assert_eq!(application(&s, "web").waiting, 1);
    s.pass(3);
    s.answer(0, "C SELECT 1 / Z I");
    let waits = s.hub.wait_exemplars(s.now);
    let [wait] = waits.as_slice() else {
        panic!("{waits:?}");
    };
    assert_eq!((&*wait.application, wait.granted), ("web", true));
    assert_eq!(wait.holder.as_deref(), Some("batch"));
    assert_eq!((wait.wait_us, wait.held_us), (3_000_000, 3_000_000));
    let same = wire::sql::fingerprint(b"SELECT 'other' FROM slow", wire::sql::Quoting::default());
    assert_eq!(wait.statement, same);
    assert_eq!(application(&s, "web").wait_us, 3_000_000);
    // Ten seconds later nobody is told of it.
    s.pass(11);
    assert!(s.hub.wait_exemplars(s.now).is_empty());
}

#[test]
fn refusals_and_errors_are_counted_by_pool() {
    let mut s = Stage::new(1);
    let c = s.client(&[("application_name", "web-1")]);
    s.ports.refuse = Some(RefuseReason::QueueFull);
    s.send(c, "Q one");
    s.ports.refuse = None;
    s.send(c, "Q two");
    s.answer(0, "C SET / Z I");
    s.answer(0, "E 22012 / Z I");
    let stats = s.hub.pool_stats().next().expect("a pool").1;
    let errors: Vec<_> = stats.health.errors.iter().collect();
    assert_eq!(errors, [("22012", 1)]);
    assert_eq!((stats.refused, stats.health.opened), (1, 1));
    assert!(stats.health.near, "a unix socket leads nowhere else");
    assert_eq!(counts(&s, "web"), (1, 1, 2));
}
