//! What rules look at: each function compares one measured value with what is
//! usual or with a limit, and says yes, no, or "too close to say".
//!
//! The thresholds stand here and nowhere else.

mod change;
mod disk;
mod load;
mod people;
mod server;
mod way;

pub(crate) use change::*;
pub(crate) use disk::*;
pub(crate) use load::*;
pub(crate) use people::*;
pub(crate) use server::*;
pub(crate) use way::*;

use crate::rule::Fact;
use crate::view::Case;
use crate::window::PoolWindow;
use crate::{Figure, Unit};

/// All connections are lent: from this share of the limit.
const FULL: f64 = 0.9;
/// Certainly not all were ever lent: up to this share.
const NOT_FULL: f64 = 0.75;
/// Service times are up from here (median and mean against usual) …
const SLOWER_P50: f64 = 1.5;
const SLOWER_MEAN: f64 = 2.2;
/// … if by so much, microseconds: a busy machine alone moves them by a few …
const SLOWER_US: f64 = 2_000.0;
const SLOWER_MEAN_US: f64 = 5_000.0;
/// … samples over which less is enough, where several applications feel it …
const LASTS: u32 = 4;
/// … and by this share of what a connection is kept for, to matter to a queue …
const SLOWER_OF_HOLD: f64 = 0.2;
/// … and certainly not up below these.
const FLAT_P50: f64 = 1.25;
const FLAT_MEAN: f64 = 1.3;
/// Differences that nobody feels, microseconds.
const NOTHING_US: f64 = 300.0;
/// The figure of statements that have not ended.
const BY_LENT: &str = "busy_per_transaction";
/// Without anything usual: statements are certainly not slow, microseconds.
const SHORT_US: f64 = 25_000.0;
/// Without anything usual: a trivial query is certainly not slow, microseconds.
const PROBE_SHORT_US: f64 = 5_000.0;
/// Demand has grown from here, and certainly not below.
const GROWN: f64 = 1.3;
const NOT_GROWN: f64 = 1.12;

/// All connections of the pool are lent.
pub(crate) fn full(case: &Case) -> Fact {
    let Some(pool) = case.pool.filter(|p| p.size > 0.0) else {
        return Fact::LACKS;
    };
    let mean = pool.used.mean();
    let waits = pool.waiting.mean() >= 0.5 && pool.used.most >= pool.size;
    let figure = Figure::new("used", mean, Unit::Count)
        .of(&pool.name())
        .against("limit", pool.size);
    let idle = pool.used.most <= pool.size * NOT_FULL;
    Fact::of(mean >= pool.size * FULL || waits, idle, figure)
}

/// Clients wait for a connection, or are refused one.
pub(crate) fn waits(case: &Case) -> Fact {
    let Some(pool) = case.pool else {
        return Fact::LACKS;
    };
    let usual = case.pool_usual.map_or(0.0, |u| u.waiting.mean());
    let mean = pool.waiting.mean();
    let figure = Figure::new("waiting", mean, Unit::Count).of(&pool.name());
    let figure = match case.pool_usual {
        Some(_) => figure.against("usual", usual),
        None => figure,
    };
    let many = mean >= 0.5 && mean > usual * 1.5;
    let long = pool.oldest_wait_us >= 100_000.0 && mean > usual;
    let nobody = pool.waiting.most == 0.0 && pool.refused == 0.0 && pool.wait.most_us < 5_000.0;
    Fact::of(many || long || pool.refused > 0.0, nobody, figure)
}

/// Somebody suffers: clients wait or are refused, or statements take longer.
pub(crate) fn suffers(case: &Case) -> Fact {
    let (waits, slower) = (waits(case), slower(case));
    let labels = ["too_many_clients", "queue_full", "shed", "wait_timeout"];
    let refused = case.view.now.refused_per_s(&labels);
    if waits.holds != Some(true) && refused > 0.0 {
        return Fact::plain(true, Figure::new("refused", refused, Unit::PerSecond));
    }
    match slower.holds {
        // Whether so many at once are too many for the server, only the server can tell.
        Some(true) if waits.holds != Some(true) && !seen_inside(case) => Fact::LACKS,
        Some(true) if waits.holds != Some(true) => slower,
        _ => waits,
    }
}

/// Nobody waits here, and there is room.
pub(crate) fn room(case: &Case) -> Fact {
    let Some(pool) = case.pool.filter(|p| p.size > 0.0) else {
        return Fact::LACKS;
    };
    let figure = Figure::new("used_most", pool.used.most, Unit::Count)
        .of(&pool.name())
        .against("limit", pool.size);
    let room = pool.used.most < pool.size && pool.waiting.mean() < 0.1;
    let none = pool.used.mean() >= pool.size * FULL && pool.waiting.mean() >= 0.5;
    Fact::of(room, none, figure)
}

/// How service times moved.
pub(crate) struct Shift {
    /// Now, microseconds.
    pub now_us: f64,
    pub usual_us: f64,
    pub up: bool,
    pub flat: bool,
    pub name: &'static str,
}

impl Shift {
    /// Seen only by what is lent and has not ended.
    pub fn by_lent(&self) -> bool {
        self.name == BY_LENT
    }
}

/// How service times moved against what is usual; `None`: not known.
pub(crate) fn shift(now: &PoolWindow, usual: &PoolWindow) -> Option<Shift> {
    let (was50, was) = (usual.service.p50_us()?, usual.service.mean_us()?);
    let stuck = stuck(now, usual);
    let (Some(p50), Some(mean)) = (now.service.p50_us(), now.service.mean_us()) else {
        return stuck;
    };
    let up50 = p50 >= was50 * SLOWER_P50 && p50 >= was50 + SLOWER_US;
    let up = mean >= was * SLOWER_MEAN && mean >= was + SLOWER_MEAN_US;
    if !up50 && !up && stuck.is_some() {
        return stuck;
    }
    let flat50 = p50 < was50 * FLAT_P50 || p50 < was50 + NOTHING_US;
    let flat = mean < was * FLAT_MEAN || mean < was + NOTHING_US;
    let by_mean = up && !up50;
    Some(Shift {
        now_us: if by_mean { mean } else { p50 },
        usual_us: if by_mean { was } else { was50 },
        up: up || up50,
        flat: flat50 && flat,
        name: if by_mean {
            "service_mean"
        } else {
            "service_p50"
        },
    })
}

/// Statements that have not ended show in what is lent and not silent.
fn stuck(now: &PoolWindow, usual: &PoolWindow) -> Option<Shift> {
    let (late, was) = (now.busy_us(), usual.busy_us());
    let fewer = now.per_s(now.transactions) < usual.per_s(usual.transactions) * 0.6;
    let many = now.busy() >= 2.0 && now.busy() >= usual.busy() * 1.5;
    let up = fewer && many && late >= was * 3.0 && late >= was + 20_000.0;
    up.then_some(Shift {
        now_us: late,
        usual_us: was,
        up: true,
        flat: false,
        name: BY_LENT,
    })
}

/// How service times of the pool moved.
pub(crate) fn shift_of(case: &Case) -> Option<Shift> {
    let (pool, usual) = (case.pool?, case.pool_usual?);
    let mut shift = shift(pool, usual)?;
    let slowed = case.apps.iter().filter_map(slower_by);
    // What one application does may be a batch; what slows several is felt by all.
    let several = slowed.filter(|times| *times >= 2.5).count() >= 2;
    if let (Some(mean), Some(was)) = (pool.service.mean_us(), usual.service.mean_us())
        && !shift.up
        && several
        && pool.samples >= LASTS
        && mean >= (was * SLOWER_MEAN).max(was + SLOWER_US)
    {
        (shift.now_us, shift.usual_us) = (mean, was);
        (shift.up, shift.name) = (true, "service_mean");
    }
    Some(shift)
}

fn shift_figure(case: &Case, shift: &Shift) -> Figure {
    Figure::new(shift.name, shift.now_us, Unit::Micros)
        .of(&case.name())
        .against("usual", shift.usual_us)
}

/// Statements take longer than usual.
pub(crate) fn slower(case: &Case) -> Fact {
    match shift_of(case) {
        Some(shift) => {
            // Few slow ones among many do not show in the pool's figures.
            let some = case.apps.iter().filter_map(slower_by).any(|t| t >= 1.5);
            Fact::of(shift.up, shift.flat && !some, shift_figure(case, &shift))
        }
        None => Fact::LACKS,
    }
}

/// Statements take as long as usual.
pub(crate) fn service_flat(case: &Case) -> Fact {
    match shift_of(case) {
        Some(shift) => {
            let hold = case
                .pool_usual
                .and_then(|u| u.hold.mean_us())
                .unwrap_or(0.0);
            let matters = shift.now_us - shift.usual_us >= hold * SLOWER_OF_HOLD;
            let up = shift.up && (matters || shift.by_lent());
            Fact::of(!up, up, shift_figure(case, &shift))
        }
        None if case.pool_usual.is_none() => short(case),
        None => Fact::LACKS,
    }
}

/// Without a usual value: statements are short, a trivial query too, and nothing
/// at the server or on the way says otherwise.
fn short(case: &Case) -> Fact {
    let Some(p50) = case.pool.and_then(|p| p.service.p50_us()) else {
        return Fact::LACKS;
    };
    let Some(probe) = case.inside.and_then(|i| i.probe_us.or(i.probe_usual_us)) else {
        // Nobody asks a trivial query; but almost all that clients ask is one.
        let mean = case.pool.and_then(|p| p.service.mean_us()).unwrap_or(p50);
        let figure = Figure::new("service_mean", mean, Unit::Micros).of(&case.name());
        return Fact {
            holds: (mean <= PROBE_SHORT_US).then_some(true),
            clear: false,
            figure: Some(figure),
        };
    };
    let well = p50 <= SHORT_US && probe <= PROBE_SHORT_US && run_queue(case).holds != Some(true);
    let figure = Figure::new("service_p50", p50, Unit::Micros).of(&case.name());
    Fact {
        holds: well.then_some(true),
        clear: false,
        figure: Some(figure.against("probe", probe)),
    }
}

/// What asks: requests granted or refused and what the queue grew by, in a second.
pub(crate) fn demand(pool: &PoolWindow) -> f64 {
    let queued = (pool.waiting.last - pool.waiting.first).max(0.0);
    pool.per_s(pool.arrivals + pool.refused + queued)
}

/// How demand moved: now, usual, in a second; by applications where they are known.
pub(crate) fn demands(case: &Case) -> Option<(f64, f64)> {
    let (pool, usual) = (case.pool?, case.pool_usual?);
    let (now, was) = (demand(pool), demand(usual));
    let asked: f64 = case.apps.iter().map(|a| a.arrivals()).sum();
    let asked_usual: f64 = case.apps.iter().map(|a| a.arrivals_usual()).sum();
    // Applications count what was asked; pools what was granted.
    match asked > now && asked_usual > 0.0 {
        true => Some((asked, asked_usual.max(was))),
        false => Some((now, was)),
    }
}

/// More is asked than usual, or by more clients while others wait.
pub(crate) fn grown(case: &Case) -> Fact {
    let (Some(pool), Some(usual), Some((now, was))) = (case.pool, case.pool_usual, demands(case))
    else {
        return Fact::LACKS;
    };
    let noise = 3.0 * (was / usual.seconds.clamp(1.0, 10.0)).sqrt();
    let more = now >= was * GROWN && now >= was + noise;
    let (clients, clients_usual) = (pool.clients.mean(), usual.clients.mean());
    let crowd = clients >= clients_usual * 1.4
        && clients >= clients_usual + 3.0
        && pool.waiting.mean() >= 1.0
        && now >= was * 0.9;
    let by_clients = crowd && !more;
    let figure = match by_clients {
        true => Figure::new("clients", clients, Unit::Count).against("usual", clients_usual),
        false => Figure::new("demand", now, Unit::PerSecond).against("usual", was),
    };
    let not = now <= was * NOT_GROWN && clients <= clients_usual * NOT_GROWN + 1.0;
    Fact::of(more || crowd, not, figure.of(&case.name()))
}

/// Silent leases against the least of the hour: (now, least).
pub(crate) fn silence(case: &Case) -> Option<(f64, f64)> {
    let pool = case.pool?;
    let key = (pool.database.clone(), pool.user.clone());
    let least = case.view.silent_least.get(&key).copied();
    Some((pool.silent.last, least.unwrap_or(0.0)))
}

/// More leases are silent than were.
pub(crate) fn silent_more(case: &Case) -> Fact {
    let (Some(pool), Some((now, least))) = (case.pool, silence(case)) else {
        return Fact::LACKS;
    };
    let figure = Figure::new("silent_leases", now, Unit::Count)
        .of(&case.name())
        .against("least", least);
    let enough = (pool.size * 0.15).clamp(2.0, 3.0);
    let suspects = pool.suspects >= 2.0;
    let more = now >= least + 2.0 && (now >= enough || suspects);
    Fact::of(more, pool.silent.most < 1.0 + least.min(1.0), figure)
}

/// What silent leases leave would not do: they are a good part of the pool.
pub(crate) fn silent_many(case: &Case) -> Fact {
    let (Some(pool), Some((now, _))) = (case.pool, silence(case)) else {
        return Fact::LACKS;
    };
    let figure = Figure::new("silent_leases", now, Unit::Count)
        .of(&case.name())
        .against("limit", pool.size);
    Fact::of(
        now >= 2.0 && now >= pool.size * 0.3,
        now < pool.size * 0.1,
        figure,
    )
}

/// The limit is below what it was within the last minutes.
pub(crate) fn size_cut(case: &Case) -> Fact {
    let (Some(pool), Some(usual)) = (case.pool, case.pool_usual) else {
        return Fact::LACKS;
    };
    let figure = Figure::new("size", pool.size, Unit::Count)
        .of(&case.name())
        .against("usual", usual.size_most);
    let cut = pool.size < usual.size_most * 0.95;
    // What was in use before would still fit: the cut is not what hurts.
    let needed = usual.used.most >= pool.size * 0.85;
    let deep = pool.size <= usual.size_most * 0.7;
    let slower = slower(case).holds == Some(true);
    Fact::plain(cut && needed && (deep || !slower), figure)
}

/// How many connections demand needs by Little's law, against the limit.
pub(crate) fn needs_more(case: &Case) -> Fact {
    let Some(pool) = case.pool else {
        return Fact::LACKS;
    };
    let Some(hold) = pool.hold.mean_us() else {
        return Fact::LACKS;
    };
    let needed = demand(pool) * hold / 1e6;
    let figure = Figure::new("needed", needed, Unit::Count)
        .of(&case.name())
        .against("limit", pool.size);
    Fact::plain(needed >= pool.size * 0.85, figure)
}

/// Connections that demand needs, by Little's law; 0 when not known.
pub(crate) fn needed(case: &Case) -> f64 {
    let hold = case.pool.and_then(|p| p.hold.mean_us());
    case.pool.zip(hold).map_or(0.0, |(pool, hold)| {
        demand(pool) * hold / 1e6 + pool.waiting.mean().min(pool.size)
    })
}

/// More is asked, by more clients, or more may work at once, than before.
pub(crate) fn surge(case: &Case) -> Fact {
    let (Some(pool), Some(usual)) = (case.pool, case.pool_usual) else {
        return match case.pool {
            Some(pool) => Fact::plain(
                true,
                Figure::new("size", pool.size, Unit::Count).of(&pool.name()),
            ),
            None => Fact::LACKS,
        };
    };
    let (clients, clients_usual) = (pool.clients.mean(), usual.clients.mean());
    let more = demands(case).is_some_and(|(now, was)| now >= was * 1.25);
    let crowd = clients >= clients_usual * 1.4 && clients >= clients_usual + 3.0;
    let raised = pool.size >= usual.size_most * 1.3;
    let figure = match (more, demands(case), crowd) {
        (true, Some((now, was)), _) => {
            Figure::new("demand", now, Unit::PerSecond).against("usual", was)
        }
        (_, _, true) => {
            Figure::new("clients", clients, Unit::Count).against("usual", clients_usual)
        }
        _ => Figure::new("size", pool.size, Unit::Count).against("usual", usual.size_most),
    };
    Fact::plain(more || crowd || raised, figure.of(&case.name()))
}

/// A connection is kept for longer than usual.
pub(crate) fn holds_longer(case: &Case) -> Fact {
    let (Some(pool), Some(usual)) = (case.pool, case.pool_usual) else {
        return Fact::LACKS;
    };
    let (Some(now), Some(was)) = (pool.hold.mean_us(), usual.hold.mean_us()) else {
        return Fact::LACKS;
    };
    let figure = Figure::new("hold_mean", now, Unit::Micros)
        .of(&case.name())
        .against("usual", was);
    let up = now >= was * 1.8 && now >= was + 2_000.0;
    Fact::of(up, now <= was * 1.4 || now <= was + 1_000.0, figure)
}

/// The same, unless demand alone would fill the pool (a queue makes clients slow too), or is what
/// makes the server slow.
pub(crate) fn holds_explain(case: &Case) -> Fact {
    let fact = holds_longer(case);
    if loaded(case).holds == Some(true) {
        return Fact::LACKS;
    }
    match demands(case) {
        Some((now, was)) if fact.holds == Some(true) && now >= was * 2.2 => Fact::LACKS,
        _ => fact,
    }
}

/// An administrator has paused the pool.
pub(crate) fn paused(case: &Case) -> Fact {
    match case.pool {
        Some(pool) => Fact::plain(
            pool.paused,
            Figure::new("paused", f64::from(u8::from(pool.paused)), Unit::Count).of(&pool.name()),
        ),
        None => Fact::LACKS,
    }
}
