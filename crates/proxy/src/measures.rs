//! `SHOW APPLICATIONS`, `SOURCES`, `UPSTREAMS`, `ACTIVITY`, `ERRORS` and `WAITS`:
//! what is measured beside the pools.

use crate::columns::{INT4, INT8, TEXT, Table, text};
use events::snapshot::Snapshot;
use events::{Activity, Time, UpstreamRow};

/// Milliseconds since a time.
fn ms(snapshot: &Snapshot, at: Time) -> String {
    snapshot.at.since(at).as_millis().to_string()
}

/// Which application asks for how much.
pub(crate) fn applications(snapshot: &Snapshot) -> Vec<u8> {
    let mut table = Table::new(&[
        ("database", TEXT),
        ("user", TEXT),
        ("application", TEXT),
        ("clients", INT4),
        ("active", INT4),
        ("waiting", INT4),
        ("silent", INT4),
        ("logins", INT8),
        ("checkouts", INT8),
        ("hold_us", INT8),
        ("wait_us", INT8),
        ("oldest_hold_us", INT8),
    ]);
    for r in &snapshot.applications {
        table.row(&[
            text(&r.database),
            text(&r.user),
            text(&r.kind),
            text(r.clients),
            text(r.active),
            text(r.waiting),
            text(r.silent),
            text(r.logins),
            text(r.checkouts),
            text(r.hold_us),
            text(r.wait_us),
            text(r.oldest_hold_us),
        ]);
    }
    table.finish("SHOW")
}

/// Who asks to keep a server connection for what state, and what became of it.
pub(crate) fn pins(snapshot: &Snapshot) -> Vec<u8> {
    let mut table = Table::new(&[
        ("database", TEXT),
        ("user", TEXT),
        ("application", TEXT),
        ("state", TEXT),
        ("kept", INT8),
        ("unkept", INT8),
        ("refused", INT8),
    ]);
    for r in &snapshot.applications {
        for (kind, [kept, unkept, refused]) in r.pins.rows() {
            table.row(&[
                text(&r.database),
                text(&r.user),
                text(&r.kind),
                text(kind.label()),
                text(kept),
                text(unkept),
                text(refused),
            ]);
        }
    }
    table.finish("SHOW")
}

/// What comes from which address.
pub(crate) fn sources(snapshot: &Snapshot) -> Vec<u8> {
    let mut table = Table::new(&[
        ("address", TEXT),
        ("clients", INT4),
        ("accepts", INT8),
        ("logins", INT8),
        ("login_failures", INT8),
    ]);
    for r in &snapshot.sources {
        table.row(&[
            text(&r.address),
            text(r.clients),
            text(r.accepts),
            text(r.logins),
            text(r.login_failures),
        ]);
    }
    table.finish("SHOW")
}

/// How the servers and the way to them behave; the last row is the clients' side.
pub(crate) fn upstreams(snapshot: &Snapshot) -> Vec<u8> {
    let mut table = Table::new(&[
        ("server", TEXT),
        ("local", TEXT),
        ("opened", INT8),
        ("connect_failed", INT8),
        ("login_failed", INT8),
        ("full", INT8),
        ("ended_by_server", INT8),
        ("last_error", TEXT),
        ("last_error_count", INT8),
        ("last_error_age_ms", INT8),
        ("tcp_sockets", INT4),
        ("tcp_rtt_us_min", INT8),
        ("tcp_rtt_us_p50", INT8),
        ("tcp_rtt_us_max", INT8),
        ("tcp_retransmits", INT8),
        ("tcp_lost", INT4),
        ("tcp_unanswered_us", INT8),
        ("probes", INT8),
        ("probe_us_p50", INT8),
        ("probe_us_p99", INT8),
        ("probe_last_us", INT8),
        ("probe_age_ms", INT8),
    ]);
    for r in &snapshot.upstreams {
        table.row(&upstream(snapshot, r));
    }
    let clients = UpstreamRow {
        upstream: "(clients)".to_owned(),
        tcp: snapshot.clients_tcp,
        ..UpstreamRow::default()
    };
    table.row(&upstream(snapshot, &clients));
    table.finish("SHOW")
}

fn upstream(snapshot: &Snapshot, r: &UpstreamRow) -> Vec<Option<String>> {
    let last = r.last_error.as_ref();
    let probed = r.probe.count() > 0;
    let quantile = |q| probed.then(|| r.probe.quantile_micros(q).to_string());
    vec![
        text(&r.upstream),
        text(if r.local { "yes" } else { "no" }),
        text(r.opened),
        text(r.connect_failed),
        text(r.login_failed),
        text(r.full),
        text(r.ended_by_server),
        last.map(|e| e.sqlstate.clone()),
        last.map(|e| e.count.to_string()),
        last.map(|e| ms(snapshot, e.at)),
        text(r.tcp.sockets),
        text(r.tcp.rtt_us_min),
        text(r.tcp.rtt_us_p50),
        text(r.tcp.rtt_us_max),
        text(r.tcp.retransmits),
        text(r.tcp.lost),
        text(r.tcp.unanswered_us),
        text(r.probe.count()),
        quantile(0.5),
        quantile(0.99),
        r.probe_last_us.map(|us| us.to_string()),
        r.probe_at.map(|at| ms(snapshot, at)),
    ]
}

/// What the servers were seen to do.
pub(crate) fn activity(snapshot: &Snapshot) -> Vec<u8> {
    let mut table = Table::new(&[
        ("server", TEXT),
        ("age_ms", INT8),
        ("permitted", TEXT),
        ("active", INT4),
        ("idle_in_transaction", INT4),
        ("waiting", TEXT),
        ("others_active", INT4),
        ("blocked", INT4),
        ("blockers", INT4),
        ("blocker_pid", INT4),
        ("blocker_application", TEXT),
        ("blocker_state", TEXT),
        ("blocker_xact_ms", INT8),
        ("blocker_blocks", INT4),
        ("longest_xact_ms", INT8),
        ("in_recovery", TEXT),
        ("started_at_unix", INT8),
        ("commits", INT8),
        ("rollbacks", INT8),
        ("blks_read", INT8),
        ("blks_hit", INT8),
        ("deadlocks", INT8),
        ("temp_bytes", INT8),
    ]);
    for r in &snapshot.upstreams {
        if let Some(seen) = &r.activity {
            table.row(&seen_row(snapshot, &r.upstream, seen));
        }
    }
    table.finish("SHOW")
}

fn seen_row(snapshot: &Snapshot, server: &str, a: &Activity) -> Vec<Option<String>> {
    let yes = |yes: bool| text(if yes { "yes" } else { "no" });
    let waiting = a.waiting.iter().map(|(what, n)| format!("{what}={n}"));
    let blocker = a.oldest_blocker.as_ref();
    vec![
        text(server),
        text(ms(snapshot, a.at)),
        yes(a.permitted),
        text(a.active),
        text(a.idle_in_transaction),
        text(waiting.collect::<Vec<_>>().join(",")),
        text(a.others_active),
        text(a.blocked),
        text(a.blockers),
        blocker.map(|b| b.pid.to_string()),
        blocker.map(|b| b.application.clone()),
        blocker.map(|b| b.state.clone()),
        blocker.map(|b| b.xact_age_ms.to_string()),
        blocker.map(|b| b.blocked.to_string()),
        text(a.longest_xact_ms),
        yes(a.in_recovery),
        text(a.started_at_unix),
        text(a.commits),
        text(a.rollbacks),
        text(a.blks_read),
        text(a.blks_hit),
        text(a.deadlocks),
        text(a.temp_bytes),
    ]
}

/// Errors of statements by SQLSTATE.
pub(crate) fn errors(snapshot: &Snapshot) -> Vec<u8> {
    let mut table = Table::new(&[("server", TEXT), ("sqlstate", TEXT), ("errors", INT8)]);
    for r in &snapshot.upstreams {
        for (code, n) in &r.errors {
            table.row(&[text(&r.upstream), text(code), text(n)]);
        }
    }
    table.finish("SHOW")
}

/// The worst waits of the last ten seconds.
pub(crate) fn waits(snapshot: &Snapshot) -> Vec<u8> {
    let mut table = Table::new(&[
        ("database", TEXT),
        ("user", TEXT),
        ("application", TEXT),
        ("addr", TEXT),
        ("wait_us", INT8),
        ("age_ms", INT8),
        ("granted", TEXT),
        ("holder", TEXT),
        ("held_us", INT8),
        ("statement", TEXT),
    ]);
    for w in &snapshot.waits {
        let pool = snapshot.pools.get(w.pool as usize);
        table.row(&[
            pool.map(|p| p.database.clone()),
            pool.map(|p| p.user.clone()),
            text(&w.application),
            text(&w.address),
            text(w.wait_us),
            text(ms(snapshot, w.granted_at)),
            text(if w.granted { "yes" } else { "no" }),
            w.holder.as_ref().map(|h| h.to_string()),
            text(w.held_us),
            (w.statement != 0).then(|| format!("{:016x}", w.statement)),
        ]);
    }
    table.finish("SHOW")
}
