//! The server: its connects, its errors, its activity, its line.

use crate::rule::Fact;
use crate::view::Case;
use crate::{Figure, Unit};
use events::sample::ServerActivity;

/// SQLSTATEs of a server that stops, starts, or became a standby.
const DOWN: [&str; 6] = ["57P01", "57P02", "57P03", "25006", "08006", "08001"];
/// SQLSTATEs that lock waits end with.
const LOCKS: [&str; 3] = ["55P03", "40P01", "57014"];
/// SQLSTATEs of refused credentials.
const REFUSED: [&str; 2] = ["28P01", "28000"];

/// The mean of a number over readings of the activity view; `None` without any.
pub(super) fn mean(
    readings: &[ServerActivity],
    of: impl Fn(&ServerActivity) -> f64,
) -> Option<f64> {
    let sum: f64 = readings.iter().map(of).sum();
    (!readings.is_empty()).then(|| sum / readings.len() as f64)
}

/// The latest readings count: the trouble grew until now.
pub(super) fn recent<'a>(case: &'a Case) -> &'a [ServerActivity] {
    let readings = case.inside.map_or(&[][..], |i| &i.readings);
    let from = readings.len().saturating_sub(8);
    readings.get(from..).unwrap_or_default()
}

/// The activity view was read since the onset, by somebody who may.
pub(crate) fn seen_inside(case: &Case) -> bool {
    !recent(case).is_empty()
}

pub(super) fn before<'a>(case: &'a Case) -> &'a [ServerActivity] {
    case.inside.map_or(&[][..], |i| &i.before)
}

pub(super) fn name(case: &Case) -> String {
    case.server
        .map_or(String::new(), |s| s.upstream.to_string())
}

/// Backends that need a processor or a disk.
fn runnable(reading: &ServerActivity) -> f64 {
    let kinds = ["cpu", "IO", "LWLock", "BufferPin"];
    kinds.iter().map(|k| f64::from(reading.waits_for(k))).sum()
}

/// Backends wait for locks.
pub(crate) fn lock_waits(case: &Case) -> Fact {
    let waiting = |r: &ServerActivity| f64::from(r.blocked.max(r.waits_for("Lock")));
    let Some(most) = recent(case).iter().map(waiting).reduce(f64::max) else {
        return Fact::LACKS;
    };
    let now = mean(recent(case), waiting).unwrap_or(0.0);
    let usual = mean(before(case), waiting).unwrap_or(0.0);
    let active = mean(recent(case), |r| f64::from(r.active)).unwrap_or(0.0);
    let figure = Figure::new("blocked_backends", most, Unit::Count)
        .of(&name(case))
        .against("usual", usual);
    let yes = most >= 2.0 && now >= usual + 1.0 && now >= active * 0.25;
    settled(case, Fact::of(yes, most < 1.0, figure))
}

/// The activity view was read, and nobody there waits for locks.
pub(crate) fn no_lock_waits(case: &Case) -> Fact {
    let mut fact = lock_waits(case);
    fact.holds = fact.figure.is_some().then(|| fact.holds != Some(true));
    fact.clear = false;
    fact
}

/// One reading of the activity view may have come a moment too early to acquit.
fn settled(case: &Case, mut fact: Fact) -> Fact {
    fact.clear &= recent(case).len() >= 2;
    fact
}

/// Errors that lock waits end with: lock timeouts and deadlocks.
pub(crate) fn lock_errors(case: &Case) -> Fact {
    let Some(server) = case.server else {
        return Fact::LACKS;
    };
    let now = server.per_s(server.errors_of(&LOCKS));
    let usual = case
        .server_usual
        .map_or(0.0, |u| u.per_s(u.errors_of(&LOCKS)));
    let figure = Figure::new("lock_errors", now, Unit::PerSecond)
        .of(&name(case))
        .against("usual", usual);
    Fact::plain(now >= usual * 2.0 + 0.3, figure)
}

/// Many backends need a processor or a disk.
pub(crate) fn run_queue(case: &Case) -> Fact {
    let Some(now) = mean(recent(case), runnable) else {
        return Fact::LACKS;
    };
    let usual = mean(before(case), runnable).unwrap_or(0.0);
    let active = mean(recent(case), |r| f64::from(r.active)).unwrap_or(0.0);
    let figure = Figure::new("backends_on_cpu_or_io", now, Unit::Count)
        .of(&name(case))
        .against("usual", usual);
    let yes = now >= 2.5 && now >= usual * 1.5 + 1.0 && now >= active * 0.4;
    settled(case, Fact::of(yes, now < 1.5, figure))
}

/// Most of what works at the server is our own, on a processor, and is a lot.
pub(crate) fn own_crowd(case: &Case) -> Fact {
    let own = |r: &ServerActivity| f64::from(r.active.saturating_sub(r.others_active));
    let (Some(own), Some(active)) = (
        mean(recent(case), own),
        mean(recent(case), |r| f64::from(r.active)),
    ) else {
        return Fact::LACKS;
    };
    let runs = mean(recent(case), runnable).unwrap_or(0.0);
    let enough = crowd_min(case);
    let figure = Figure::new("own_backends_active", own, Unit::Count)
        .of(&name(case))
        .against("knee", enough);
    let yes = own >= enough && own >= active * 0.7 && runs >= active * 0.4;
    settled(case, Fact::of(yes, own < enough / 3.0, figure))
}

/// Without the activity view: far more of our connections work than usual, so that
/// the server may lack what it has, or be asked for too much.
pub(crate) fn own_crowd_unseen(case: &Case) -> Fact {
    let (Some(pool), Some(usual)) = (case.pool, case.pool_usual) else {
        return Fact::LACKS;
    };
    let figure = Figure::new("lent_and_not_silent", pool.busy(), Unit::Count)
        .of(&pool.name())
        .against("usual", usual.busy());
    let crowd = pool.busy() >= crowd_min(case) && pool.busy() >= usual.busy() * 3.0;
    Fact::plain(!seen_inside(case) && crowd, figure)
}

/// So many at once are more than the processors that are known can work on.
pub(crate) fn crowd_min(case: &Case) -> f64 {
    let local = case.server.is_some_and(|s| s.intermediary);
    let cores = case.view.now.host.cores;
    match local && cores >= 1.0 {
        true => (cores * 4.0).clamp(8.0, 256.0),
        false => 12.0,
    }
}

/// Others than this fleet work at the server, more than usual.
pub(crate) fn others_active(case: &Case) -> Fact {
    let of = |r: &ServerActivity| f64::from(r.others_active);
    let Some(now) = mean(recent(case), of) else {
        return Fact::LACKS;
    };
    let usual = mean(before(case), of).unwrap_or(0.0);
    let figure = Figure::new("others_active", now, Unit::Count)
        .of(&name(case))
        .against("usual", usual);
    Fact::of(now >= usual + 1.5, now <= usual + 0.5, figure)
}

/// Lent connections whose statement works, or waits, at the server.
pub(crate) fn at_server(case: &Case) -> Fact {
    share(case).map_or(Fact::LACKS, |(share, figure)| {
        Fact::of(share >= 0.6, share <= 0.35, figure)
    })
}

/// Lent connections whose backend waits for the next message: under way.
pub(crate) fn on_the_way(case: &Case) -> Fact {
    share(case).map_or(Fact::LACKS, |(share, figure)| {
        Fact::of(share <= 0.45, share >= 0.7, figure)
    })
}

fn share(case: &Case) -> Option<(f64, Figure)> {
    let own = |r: &ServerActivity| f64::from(r.active.saturating_sub(r.others_active));
    let active = mean(recent(case), own)?;
    let upstream = &case.server?.upstream;
    let pools = case.view.now.pools.values();
    let busy: f64 = pools
        .filter(|p| p.upstream == *upstream)
        .map(|p| p.busy())
        .sum();
    let figure = Figure::new("own_backends_active", active, Unit::Count)
        .of(&name(case))
        .against("lent and not silent", busy);
    (busy >= 1.0).then(|| (active / busy, figure))
}

/// The server cannot be reached, ends connections, or takes no writes.
pub(crate) fn down(case: &Case) -> Fact {
    let Some(server) = case.server else {
        return Fact::LACKS;
    };
    if let Some(figure) = unanswered(case) {
        return Fact::plain(true, figure);
    }
    let failed = server.per_s(server.connect_failed);
    // It is there, and says no: that is about who we are.
    if server.connect_failed == 0.0
        && server.login_failed > 0.0
        && server.last_error.starts_with("28")
    {
        let figure = Figure::new("logins_refused", server.login_failed, Unit::Count);
        return Fact::plain(false, figure.of(&name(case)));
    }
    let errors = server.per_s(server.errors_of(&DOWN));
    let usual = case.server_usual;
    let errors_usual = usual.map_or(0.0, |u| u.per_s(u.errors_of(&DOWN)));
    let ended = server.ended;
    let said = DOWN.contains(&&*server.last_error);
    let (name_of, value) = match (failed > 0.0, errors > errors_usual) {
        (true, _) => ("connects_failed", failed),
        (false, true) => ("errors_of_a_stopped_server", errors),
        (false, false) => ("ended_by_server", server.per_s(ended)),
    };
    let figure = Figure::new(name_of, value, Unit::PerSecond).of(&name(case));
    let refused = case.view.now.refused_per_s(&["server_down"]) > 0.0;
    let moved = restarted(case) || turned(case);
    // Sessions were ended, and the same server has answered ever since: that was
    // somebody's word, and is over.
    let answers = recent(case).len() >= 2 && server.connect_failed == 0.0 && !moved && !refused;
    let yes = server.connect_failed >= 1.0 && (ended >= 1.0 || failed >= 0.3 || refused)
        || ended >= 3.0 && !answers
        || ended >= 1.0 && said && !answers
        || errors > errors_usual * 2.0 + 0.3
        || moved;
    let no = server.connect_failed == 0.0 && ended == 0.0 && errors <= errors_usual && !moved;
    let mut fact = Fact::of(yes, no && !refused, figure);
    // Whose machine is gone ends nothing: what was sent stays unanswered.
    fact.clear &= server.tcp.unanswered_us < 1_000_000.0;
    fact
}

/// Nothing was opened for so long while clients waited and there was room, seconds.
const UNANSWERED_S: f64 = 4.0;

/// Clients wait, nothing is lent, there is room, and not one connection came up or
/// was refused: who is asked does not answer.
fn unanswered(case: &Case) -> Option<Figure> {
    let (server, pool) = (case.server?, case.pool?);
    let nothing = server.opened + server.connect_failed + server.login_failed + server.full == 0.0
        && server.last_error.is_empty();
    let alone = pool.transactions == 0.0 && pool.used.most == 0.0;
    let wanted = pool.waiting.least >= 1.0 && pool.size >= 1.0 && !pool.paused;
    let long = pool.oldest_wait_us >= UNANSWERED_S * 1e6 && pool.seconds >= UNANSWERED_S;
    // No room under the line: nobody was asked. Who tells what it does answers.
    let nothing = nothing && server.line_used < server.line && recent(case).is_empty();
    (nothing && alone && wanted && long).then(|| {
        Figure::new("connects_unanswered", pool.oldest_wait_us, Unit::Micros).of(&name(case))
    })
}

/// It started since.
pub(crate) fn restarted(case: &Case) -> bool {
    let last = |r: &[ServerActivity]| r.last().map(|r| r.started_at).filter(|at| *at > 0);
    match (last(before(case)), last(recent(case))) {
        (Some(was), Some(now)) => now.abs_diff(was) > 2,
        _ => false,
    }
}

/// It became a standby.
pub(crate) fn turned(case: &Case) -> bool {
    let last = |r: &[ServerActivity]| r.last().map(|r| r.in_recovery);
    last(before(case)) == Some(false) && last(recent(case)) == Some(true)
}

/// The server refuses our logins, or we refuse those of clients.
pub(crate) fn logins_refused(case: &Case) -> Fact {
    let clients = &case.view.now.clients;
    let ours = case.server.map_or(0.0, |s| s.per_s(s.login_failed));
    let now = case.view.now.per_s(clients.login_failures);
    let usual = case.view.usual.as_ref();
    let was = usual.map_or(0.0, |u| u.per_s(u.clients.login_failures));
    let said = case
        .server
        .is_some_and(|s| s.login_failed > 0.0 && s.last_error.starts_with("28"));
    let tries = clients.logins + clients.login_failures;
    let many = now >= was * 3.0 + 0.4
        && clients.login_failures >= 3.0
        && clients.login_failures >= tries * 0.3;
    let figure = match ours > 0.0 {
        true => Figure::new("server_logins_refused", ours, Unit::PerSecond).of(&name(case)),
        false => Figure::new("client_logins_refused", now, Unit::PerSecond).against("usual", was),
    };
    let coded = case
        .server
        .is_some_and(|s| s.errors_of(&REFUSED) > 0.0 && s.login_failed > 0.0);
    let none = ours == 0.0 && clients.login_failures <= 2.0;
    Fact::of(said || coded || many, none, figure)
}

/// The server has no slot for us, or others took what was ours.
pub(crate) fn squeezed(case: &Case) -> Fact {
    let Some(server) = case.server else {
        return Fact::LACKS;
    };
    let usual = case.server_usual;
    let (others, was) = (server.others, usual.and_then(|u| u.others));
    let line_was = usual.map_or(0.0, |u| u.line);
    let fell = usual.is_some() && server.line < line_was && (server.line > 0.0 || others.is_some());
    let taken = matches!((others, was), (Some(now), Some(was)) if now >= was + 3.0);
    // Nothing calm was recorded; others hold almost all there is, and we may open none.
    let theirs = usual.is_none()
        && server.max_connections >= 1.0
        && others.is_some_and(|n| n >= server.max_connections * 0.6)
        && server.line_used >= server.line
        && case
            .pool
            .is_some_and(|p| p.waiting.least >= 1.0 && p.used.most < p.size);
    let figure = match (server.full > 0.0, others) {
        (false, Some(others)) => {
            let figure = Figure::new("connections_of_others", others, Unit::Count);
            was.map_or(figure.clone(), |was| figure.against("usual", was))
        }
        _ => Figure::new(
            "connects_refused_for_no_slot",
            server.per_s(server.full),
            Unit::PerSecond,
        ),
    };
    let none =
        server.full == 0.0 && !fell && !taken && !theirs && (others.is_some() || server.line > 0.0);
    Fact::of(
        server.full > 0.0 || theirs || (fell && taken && server.line_used >= server.line * 0.9),
        none,
        figure.of(&name(case)),
    )
}

/// The line is used up while the pool has room: no connection may be opened.
pub(crate) fn at_the_line(case: &Case) -> Fact {
    let Some(server) = case.server.filter(|s| s.line > 0.0) else {
        return Fact::LACKS;
    };
    let figure = Figure::new("charged_to_the_line", server.line_used, Unit::Count)
        .of(&name(case))
        .against("line", server.line);
    Fact::plain(server.line_used >= server.line, figure)
}

/// So many of our own run there since more is asked that they slow each other.
pub(crate) fn too_many(case: &Case) -> Fact {
    let (crowd, surge) = (own_crowd(case), super::surge(case));
    match (crowd.holds, surge.holds) {
        (Some(true), Some(true)) => crowd,
        (Some(true), Some(false)) => Fact {
            holds: Some(false),
            clear: false,
            ..surge
        },
        _ => crowd,
    }
}

/// Statements of all applications got slower alike while processors are short.
pub(crate) fn alike(case: &Case) -> Fact {
    let (queue, machine) = (run_queue(case), super::machine_busy(case));
    let local = case.server.is_some_and(|s| s.intermediary);
    let short = queue.holds == Some(true) && (!local || machine.holds == Some(true));
    let times: Vec<f64> = case.apps.iter().filter_map(super::slower_by).collect();
    let (least, most) = times
        .iter()
        .fold((f64::MAX, 0.0_f64), |(l, m), t| (l.min(*t), m.max(*t)));
    let all = times.len() >= 2 && least >= 1.4 && most <= least * 2.5;
    let figure = Figure::new("least_slowed_application", least.min(1e6), Unit::Times);
    // Without the activity view: a little slower all alike may be either.
    let short = short || (!seen_inside(case) && most < 3.0);
    match times.len() {
        0 | 1 => Fact::LACKS,
        _ => Fact::plain(all && short, figure.of(&case.name())),
    }
}

/// The server's name.
pub(crate) fn server_name(case: &Case) -> String {
    name(case)
}

/// The backend that blocks the most of the others.
pub(crate) fn blocker<'a>(case: &'a Case) -> Option<&'a events::sample::Blocker> {
    let blockers = recent(case).iter().filter_map(|r| r.blocker.as_ref());
    blockers.max_by_key(|b| b.blocked)
}

/// Lock waits as the activity view shows them, or by their errors without it.
pub(crate) fn lock_evidence(case: &Case) -> Fact {
    let seen = lock_waits(case);
    if seen.figure.is_some() {
        return seen;
    }
    let errors = lock_errors(case);
    let slow = super::slower(case).holds == Some(true);
    let fewer = super::fewer_done(case).holds == Some(true);
    match errors.holds == Some(true) && (slow || fewer) {
        true => errors,
        false => Fact::LACKS,
    }
}

/// Statements take longer; but what runs there beside the pool acquits nobody.
pub(crate) fn slower_there(case: &Case) -> Fact {
    let mut fact = super::slower(case);
    if case.pool_usual.is_none() {
        // Nothing calm was recorded; that most wait for disks says it by itself.
        let disk = super::disk_waits(case);
        let long = case.pool.and_then(|p| p.service.mean_us());
        if disk.holds == Some(true) && long.is_some_and(|us| us >= 20_000.0) {
            return disk;
        }
    }
    let quiet = |f: Fact| f.holds == Some(false) || f.figure.is_none();
    fact.clear &= quiet(others_active(case)) && quiet(run_queue(case));
    fact
}

/// Almost nothing ends any more, and the activity view was not read: locks or
/// slow statements, nobody can say.
pub(crate) fn stuck_unseen(case: &Case) -> Fact {
    let Some((now, was, figure)) = super::throughput(case) else {
        return Fact::LACKS;
    };
    // Slow statements end, if late; what only shows by what is lent may be locks.
    let only_lent = super::shift_of(case).is_some_and(|s| s.by_lent());
    let stuck = now < was * 0.15 || only_lent;
    Fact::plain(!seen_inside(case) && stuck, figure)
}

/// Many need a processor or a disk, or the machine that the server shares is full.
pub(crate) fn saturation(case: &Case) -> Fact {
    let queue = run_queue(case);
    if queue.holds == Some(true) {
        return queue;
    }
    // Slow at one moment and as quick as ever at the next: it gets its turn now and then.
    let turns = super::quick_seconds(case);
    if turns.holds == Some(true) && super::probe_slow(case).holds == Some(true) {
        return turns;
    }
    let local = case.server.is_some_and(|s| s.intermediary);
    let machine = super::machine_busy(case);
    match local && machine.holds == Some(true) && super::probe_slow(case).holds == Some(true) {
        true => machine,
        false => queue,
    }
}

/// A trivial query is slow too; or so many run that it must be.
pub(crate) fn all_slow(case: &Case) -> Fact {
    let probe = super::probe_slow(case);
    let (queue, others) = (run_queue(case), others_active(case));
    if probe.holds != Some(true) && queue.holds == Some(true) && others.holds == Some(true) {
        return others;
    }
    let disk = super::disk_waits(case);
    if probe.holds != Some(true) && disk.holds == Some(true) {
        return disk;
    }
    let alike = alike(case);
    if probe.holds != Some(true) && alike.holds == Some(true) {
        return alike;
    }
    let mut fact = probe;
    // Short queries get their turn even where processors lack.
    let local = case.server.is_some_and(|s| s.intermediary);
    fact.clear &= !local || super::machine_busy(case).holds == Some(false);
    fact.clear &= queue.holds == Some(false);
    fact
}
