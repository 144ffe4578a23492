//! The ways to the server and to clients, and the machine in between.

use crate::rule::Fact;
use crate::view::Case;
use crate::window::TcpWindow;
use crate::{Figure, Unit};

/// A trivial query takes longer than usual.
pub(crate) fn probe_slow(case: &Case) -> Fact {
    let Some(now) = case.inside.and_then(|i| i.probe_us) else {
        return Fact::LACKS;
    };
    let usual = case.inside.and_then(|i| i.probe_usual_us);
    let figure = Figure::new("probe", now, Unit::Micros).of(&server(case));
    match usual {
        Some(was) => {
            let yes = now >= was * 2.0 && now >= was + 1_500.0;
            let no = now <= was * 1.5 || now <= was + 700.0;
            let mut fact = Fact::of(yes, no, figure.against("usual", was));
            // A long way that was long before, as far as a short record tells: it
            // may have begun before the record did.
            fact.clear &= now <= 3_000.0 || long_known(case);
            fact
        }
        None => {
            let mut fact = Fact::of(now >= 50_000.0, now <= 3_000.0, figure);
            fact.clear = false;
            fact
        }
    }
}

/// What is usual is known for longer than a moment.
fn long_known(case: &Case) -> bool {
    case.view.usual.as_ref().is_some_and(|u| u.samples >= 20)
}

/// Trivial queries take long, lent connections wait for messages under way, and
/// that this is usual is known from a moment only.
pub(crate) fn way_long(case: &Case) -> Fact {
    let (probe, way) = (probe_slow(case), super::on_the_way(case));
    let long = case
        .inside
        .and_then(|i| i.probe_us)
        .is_some_and(|us| us >= 8_000.0);
    match (probe.figure, long_known(case)) {
        (Some(figure), false) => Fact::plain(long && way.holds == Some(true), figure),
        _ => Fact::LACKS,
    }
}

/// Median service time and probe rose by about the same: a constant way more.
pub(crate) fn in_step(case: &Case) -> Fact {
    let (Some(pool), Some(usual), Some(inside)) = (case.pool, case.pool_usual, case.inside) else {
        return Fact::LACKS;
    };
    let (Some(p50), Some(was50), Some(probe), Some(probe_was)) = (
        pool.service.p50_us(),
        usual.service.p50_us(),
        inside.probe_us,
        inside.probe_usual_us,
    ) else {
        return Fact::LACKS;
    };
    let (service, trivial) = (p50 - was50, probe - probe_was);
    let figure = Figure::new("service_p50_rose_by", service, Unit::Micros)
        .of(&case.name())
        .against("probe rose by", trivial);
    let near = (service - trivial).abs() <= service.max(trivial) * 0.4;
    let far = service > trivial * 4.0 || trivial > service * 4.0;
    Fact::of(
        near && trivial >= 1_000.0 && service >= 1_000.0,
        far,
        figure,
    )
}

/// Every probe, and the statements of every second, are late by the same: work comes
/// and goes, a way stays.
fn steady(case: &Case) -> bool {
    let (Some(pool), Some(usual), Some(inside)) = (case.pool, case.pool_usual, case.inside) else {
        return false;
    };
    let key = (pool.database.clone(), pool.user.clone());
    let late = case.view.late.pools.get(&key);
    let least50 = late.and_then(|late| late.service.least50_us());
    let (Some(probe), Some(least), Some(was), Some(least50), Some(was50)) = (
        inside.probe_us,
        inside.probe_least_us,
        inside.probe_usual_us,
        least50,
        usual.service.p50_us(),
    ) else {
        return false;
    };
    least >= probe * 0.85 && least50 >= was50 + (probe - was) * 0.7
}

/// Some second was as quick as ever although the probe is slow: a way that is long
/// is long for every statement, and what comes and goes is work.
pub(crate) fn quick_seconds(case: &Case) -> Fact {
    let (Some(pool), Some(usual), Some(inside)) = (case.pool, case.pool_usual, case.inside) else {
        return Fact::LACKS;
    };
    let (Some(was50), Some(probe), Some(probe_was)) = (
        usual.service.p50_us(),
        inside.probe_us,
        inside.probe_usual_us,
    ) else {
        return Fact::LACKS;
    };
    let rise = probe - probe_was;
    let again = case.server.and_then(|s| s.tcp.again_per_s()).unwrap_or(0.0);
    // Lost segments come and go as well.
    let lost = again >= 1.0 || client_tcp(case).holds == Some(true);
    let judged = rise >= 1_500.0 && !lost;
    let key = (pool.database.clone(), pool.user.clone());
    let late = case.view.late.pools.get(&key);
    let figure = |name: &str, least: f64, was: f64| {
        let figure = Figure::new(name, least, Unit::Micros).of(&case.name());
        figure.against("usual", was)
    };
    if let Some(least) = inside.probe_least_us
        && judged
        && least < probe_was + rise * 0.3
    {
        return Fact::plain(true, figure("quickest_probe", least, probe_was));
    }
    match late.and_then(|late| late.service.least50_us()) {
        Some(least) => Fact::plain(
            judged && least < was50 + rise * 0.25,
            figure("service_p50_of_the_quickest_second", least, was50),
        ),
        None => Fact::LACKS,
    }
}

/// TCP to the server is slow or loses data.
///
/// A server that works for longer than 40 ms acknowledges the question before it
/// answers, that late (Linux): round trips then rise with slow statements. So the
/// least of the sockets counts, and a trivial query that is as quick as ever, or
/// statements that take longer than that, take its word from it.
pub(crate) fn server_tcp(case: &Case) -> Fact {
    let Some(server) = case.server else {
        return Fact::LACKS;
    };
    let usual = case.server_usual.map(|u| &u.tcp);
    let rise = match probe_slow(case).holds {
        Some(true) => 2_000.0,
        _ => LATE_ACK_US + 5_000.0,
    };
    let mut fact = tcp(&server.tcp, usual, rise, "server", &server.upstream);
    let late = server
        .tcp
        .least_us
        .known()
        .is_some_and(|us| us < LATE_ACK_US * 5.0);
    let again = server.tcp.again_per_s().unwrap_or(0.0);
    if fact.holds == Some(true) && late && probe_slow(case).holds == Some(false) && again < 1.0 {
        fact = Fact::LACKS;
    }
    // Behind an intermediary nothing is acquitted by TCP.
    if server.intermediary && fact.holds == Some(false) {
        fact = Fact::LACKS;
    }
    fact
}

/// What a kernel waits for something to send before it acknowledges by itself.
const LATE_ACK_US: f64 = 40_000.0;

/// TCP to clients is slow or loses data.
pub(crate) fn client_tcp(case: &Case) -> Fact {
    let usual = case.view.usual.as_ref().map(|u| &u.clients.tcp);
    tcp(
        &case.view.now.clients.tcp,
        usual,
        PATIENT_ACK_US,
        "client",
        "",
    )
}

/// A client that has nothing to say acknowledges up to 40 ms late (Linux), and the
/// smoothed round trip then rises by an eighth of that each time: what clients
/// that fall silent look like is no network.
const PATIENT_ACK_US: f64 = 15_000.0;

/// By the least of the sockets; slow is what rose by so much, and to three times.
fn tcp(now: &TcpWindow, usual: Option<&TcpWindow>, rise_us: f64, side: &str, of: &str) -> Fact {
    let rtt = |w: &TcpWindow| w.least_us.known();
    let rtt_was = usual.and_then(rtt);
    let (Some(rtt), Some(again)) = (rtt(now), now.again_per_s()) else {
        return Fact::LACKS;
    };
    let again_was = usual.and_then(|u| u.again_per_s()).unwrap_or(0.0);
    let (slow, calm) = match rtt_was {
        Some(was) => (
            rtt >= was * 3.0 && rtt >= was + rise_us,
            rtt <= was * 1.6 || rtt <= was + 700.0,
        ),
        None => (rtt >= 200_000.0, rtt <= 5_000.0),
    };
    let lossy = again >= again_was * 3.0 + 1.0 && now.retransmits >= 3.0;
    let silent = now.unanswered_us >= 1_500_000.0;
    let named = |what: &str| format!("{side}_{what}");
    let figure = match (slow, lossy, silent) {
        (false, true, _) => Figure::new(&named("segments_sent_again"), again, Unit::PerSecond)
            .against("usual", again_was),
        (false, false, true) => Figure::new(&named("unanswered"), now.unanswered_us, Unit::Micros),
        _ => {
            let figure = Figure::new(&named("round_trip"), rtt, Unit::Micros);
            rtt_was.map_or(figure.clone(), |was| figure.against("usual", was))
        }
    };
    let well = calm && again <= again_was * 1.5 + 0.5 && now.unanswered_us < 500_000.0;
    Fact::of(slow || lossy || silent, well, figure.of(of))
}

/// The network to the server shows by one of its signs.
pub(crate) fn way_slow(case: &Case) -> Fact {
    let (server, clients) = (server_tcp(case), client_tcp(case));
    for fact in [&server, &clients] {
        if fact.holds == Some(true) {
            return fact.clone();
        }
    }
    let (probe, step, way) = (probe_slow(case), in_step(case), super::on_the_way(case));
    if probe.holds == Some(true) && way.holds == Some(true) {
        return probe;
    }
    let queue = super::run_queue(case).holds == Some(true);
    if probe.holds == Some(true) && step.holds == Some(true) && !queue && steady(case) {
        return step;
    }
    if probe.holds == Some(true)
        && way.holds.is_none()
        && step.holds == Some(true)
        && !queue
        && super::seen_inside(case)
    {
        // In between: a constant step tells it from a busy server, which slows what
        // is long by more than what is short.
        return step;
    }
    if probe.holds == Some(false) && clients.holds == Some(false) && !local_clients(case) {
        return probe;
    }
    // A probe as usual acquits the way to the server; that to clients stays open.
    let mut fact = match (probe.figure.is_some(), server.figure.is_some()) {
        (true, _) => probe,
        (false, true) => server,
        (false, false) => Fact::LACKS,
    };
    fact.clear = false;
    fact.holds = fact.holds.filter(|holds| !holds);
    fact
}

/// Clients come over loopback: what stands behind that is not seen by TCP.
fn local_clients(case: &Case) -> bool {
    let local = |a: &events::sample::Name| {
        a.is_empty() || a.starts_with("127.") || &**a == "unix" || &**a == "::1"
    };
    case.view.now.sources.is_empty() || case.view.now.sources.keys().any(local)
}

/// The pooler is held back by its quota, uses up its cores, or its loops stand still.
pub(crate) fn starved(case: &Case) -> Fact {
    let host = &case.view.now.host;
    let usual = case.view.usual.as_ref();
    let cores = host.cores.max(1.0);
    let seconds = case.view.now.seconds.max(1.0);
    if let Some(ms) = host.throttled_ms
        && ms / seconds >= 100.0
    {
        let was = usual.and_then(|u| Some(u.host.throttled_ms? / u.seconds.max(1.0)));
        let figure = Figure::new("held_back_by_quota", ms / seconds / 10.0, Unit::Percent);
        let figure = was.map_or(figure.clone(), |w| figure.against("usual", w / 10.0));
        let more = was.is_none_or(|w| ms / seconds >= w * 2.0);
        return Fact::of(more || ms / seconds >= 300.0, false, figure);
    }
    let own = host.own.known();
    if let Some(own) = own
        && own >= 850.0 * cores
    {
        let figure = Figure::new("own_processor_time", own / 10.0, Unit::Percent)
            .against("cores", cores * 100.0);
        return Fact::of(true, false, figure);
    }
    if let Some((share, true)) = turns_fell(case).filter(|_| held_up(case)) {
        let figure = Figure::new("loop_turns_per_transaction", share, Unit::Times);
        return Fact::of(true, false, figure.against("usual", 1.0));
    }
    let Some(own) = own else {
        return host.busy.known().map_or(Fact::LACKS, |busy| {
            let figure = Figure::new("machine_busy", busy / 10.0, Unit::Percent);
            Fact::of(false, busy <= 600.0, figure)
        });
    };
    let busy = host.busy.known().unwrap_or(1_000.0);
    let figure = Figure::new("own_processor_time", own / 10.0, Unit::Percent)
        .against("cores", cores * 100.0);
    let mut fact = Fact::of(false, own <= 600.0 * cores && busy <= 850.0, figure);
    // Who has nothing to do uses little.
    fact.clear &= super::fewer_done(case).holds != Some(true);
    fact
}

/// All is slow, nothing more is asked, and the server is not what is busy.
fn held_up(case: &Case) -> bool {
    let slow = super::slower(case).holds == Some(true) && probe_slow(case).holds == Some(true);
    let locks = super::lock_waits(case).holds == Some(true);
    slow && !locks
        && super::grown(case).holds != Some(true)
        && super::run_queue(case).holds != Some(true)
}

/// Turns of the slowest loop for a transaction, as a share of usual; a loop that
/// seldom gets a processor finds more to do at each turn.
fn turns_fell(case: &Case) -> Option<(f64, bool)> {
    let usual = case.view.usual.as_ref()?;
    let per = |w: &crate::window::Window| {
        let done: f64 = w.pools.values().map(|p| p.per_s(p.transactions)).sum();
        Some(w.host.turns.known()? / done.max(1.0))
    };
    // Where little is done, timers turn the loops.
    let done = |w: &crate::window::Window| -> f64 {
        w.pools.values().map(|p| p.per_s(p.transactions)).sum()
    };
    if done(&case.view.now) < (done(usual) * 0.15).max(5.0) {
        return None;
    }
    let (now, was) = (per(&case.view.now)?, per(usual)?);
    let share = now / was.max(1e-6);
    Some((share, was > 0.0 && share <= 0.5))
}

/// The whole machine is busy.
pub(crate) fn machine_busy(case: &Case) -> Fact {
    let Some(busy) = case.view.now.host.busy.known() else {
        return Fact::LACKS;
    };
    let usual = case.view.usual.as_ref().and_then(|u| u.host.busy.known());
    let figure = Figure::new("machine_busy", busy / 10.0, Unit::Percent);
    let figure = usual.map_or(figure.clone(), |was| figure.against("usual", was / 10.0));
    let rose = usual.is_none_or(|was| busy >= was + 200.0);
    Fact::of(busy >= 900.0 && rose, busy <= 600.0, figure)
}

fn server(case: &Case) -> String {
    case.server
        .map_or(String::new(), |s| s.upstream.to_string())
}

/// A trivial query takes as long as usual.
pub(crate) fn probe_flat(case: &Case) -> Fact {
    let mut fact = probe_slow(case);
    fact.holds = fact.holds.map(|slow| !slow);
    fact.clear = false;
    if fact.holds.is_none() && super::at_server(case).holds == Some(true) {
        // Without a probe: they are at the server, and few of them on a processor.
        let queue = super::run_queue(case);
        fact = queue;
        fact.holds = fact.holds.map(|many| !many);
        fact.clear = false;
    }
    fact
}

/// The pooler lacks processor time while the server has enough of it.
pub(crate) fn starved_alone(case: &Case) -> Fact {
    let fact = starved(case);
    match super::run_queue(case).holds {
        Some(true) => Fact::LACKS,
        _ => fact,
    }
}
