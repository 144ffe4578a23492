//! How large a fleet can be: the same five scenarios for 1 to 10,000 instances,
//! by the view and by the ledger, and the tables of `docs/scale.md`.

use super::{Change, Cut, Outcome, Setup, StoreSetup, Way, run};
use std::fmt::Write;
use std::time::Duration;

/// Fleets of the curve.
pub const SIZES: [usize; 9] = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000];
/// Beyond this the view is not asked: [`SIZES`] up to here show where it ends.
pub const VIEW_MAX: usize = 300;
/// How long a run is; a rolling update takes longer.
const SECONDS: u64 = 62;
/// When clients begin, ms: all instances are there, and the first shares.
const BEGIN: u64 = 8_000;
/// When the trouble begins, ms.
const TROUBLE: u64 = 18_000;
/// How long partitions and outages of the store take.
const LASTS: Duration = Duration::from_secs(30);

/// What happens to a fleet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scenario {
    /// Clients move between instances, and want more than the line for a while.
    Loads,
    /// All instances are replaced, with a surge of a tenth.
    Roll,
    /// Three in ten are cut off for half a minute, while clients move.
    Partition,
    /// The store is away for half a minute, while clients move.
    StoreAway,
    /// The line falls by half, and comes back.
    Fall,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 5] = [
        Scenario::Loads,
        Scenario::Roll,
        Scenario::Partition,
        Scenario::StoreAway,
        Scenario::Fall,
    ];

    /// The heading of its column.
    pub fn title(self) -> &'static str {
        match self {
            Scenario::Loads => "load moves",
            Scenario::Roll => "rolling update",
            Scenario::Partition => "partition of 30 %",
            Scenario::StoreAway => "store away",
            Scenario::Fall => "line falls by half",
        }
    }

    /// In an argument.
    pub fn word(self) -> &'static str {
        match self {
            Scenario::Loads => "loads",
            Scenario::Roll => "roll",
            Scenario::Partition => "partition",
            Scenario::StoreAway => "away",
            Scenario::Fall => "fall",
        }
    }

    fn script(self, slots: u32) -> Vec<(u64, Change)> {
        let after = TROUBLE + 5_000;
        let mut script = vec![(BEGIN, Change::Loads(800))];
        script.extend(match self {
            Scenario::Loads => vec![
                (TROUBLE, Change::Loads(1_300)),
                (32_000, Change::Loads(700)),
                (46_000, Change::Loads(1_300)),
            ],
            Scenario::Roll => vec![(14_000, Change::Roll)],
            Scenario::Partition => vec![
                (TROUBLE, Change::Partition(300, Cut::Store, LASTS)),
                (after, Change::Loads(1_300)),
            ],
            Scenario::StoreAway => vec![
                (TROUBLE, Change::StoreAway(LASTS)),
                (after, Change::Loads(1_300)),
            ],
            Scenario::Fall => vec![
                (TROUBLE, Change::Slots(slots / 2)),
                (40_000, Change::Slots(slots)),
            ],
        });
        script
    }
}

/// `max_connections` for so many instances: twenty slots for each, as far as one
/// server goes.
pub fn slots(instances: usize) -> u32 {
    (instances as u32).saturating_mul(20).clamp(60, 5_000) + 8
}

/// A fleet of the curve in a scenario.
pub fn setup(instances: usize, ledger: bool, scenario: Scenario) -> Setup {
    let slots = slots(instances);
    Setup {
        instances,
        slots,
        // Nobody gets more clients than this, however few instances there are.
        clients: (slots * 4 / instances as u32).clamp(16, 200),
        seconds: match scenario {
            Scenario::Roll => 75,
            _ => SECONDS,
        },
        holds: (200_000, 600_000),
        rests: (1_000, 5_000),
        way: match ledger {
            true => Way::Ledger(StoreSetup::default()),
            false => Way::View,
        },
        script: scenario.script(slots),
        ..Setup::default()
    }
}

/// One run of the curve.
#[derive(Clone, Debug)]
pub struct Point {
    /// Instances.
    pub instances: usize,
    /// By the ledger, not by the view.
    pub ledger: bool,
    /// What happened.
    pub scenario: Scenario,
    /// What came of it.
    pub outcome: Outcome,
    /// Seconds of one core that it took.
    pub took: f64,
}

impl Point {
    /// The longest time until shares had settled, changes that follow the first
    /// loads counted.
    pub fn settled(&self) -> Duration {
        let begin = Duration::from_millis(BEGIN + 1);
        let later = self.outcome.settled.iter().filter(|(at, _)| *at > begin);
        later.map(|(_, took)| *took).max().unwrap_or_default()
    }

    fn cell(&self) -> String {
        match &self.outcome.broken {
            Some(text) if text.contains("above the line") => "**line crossed**".into(),
            Some(text) if text.contains("unused") => "**share unused**".into(),
            Some(_) => "**broken**".into(),
            None => format!("{:.1} s", self.settled().as_secs_f64()),
        }
    }
}

/// Runs one.
pub fn point(seed: u64, instances: usize, ledger: bool, scenario: Scenario) -> Outcome {
    run(seed, &setup(instances, ledger, scenario))
}

/// The tables, as they stand in `docs/scale.md`.
pub fn tables(points: &[Point]) -> String {
    let mut out = String::new();
    for ledger in [false, true] {
        let name = if ledger { "the ledger" } else { "the view" };
        let _ = writeln!(out, "### Through {name}: until shares have settled\n");
        let titles = Scenario::ALL.map(Scenario::title).join(" | ");
        let _ = writeln!(out, "| instances | line | {titles} | longest unused |");
        let _ = writeln!(out, "|---{}|", "|---".repeat(Scenario::ALL.len() + 2));
        for instances in SIZES {
            row(&mut out, points, instances, ledger);
        }
        out.push('\n');
    }
    costs(&mut out, points);
    out
}

fn find(points: &[Point], instances: usize, ledger: bool, scenario: Scenario) -> Option<&Point> {
    points
        .iter()
        .find(|p| (p.instances, p.ledger, p.scenario) == (instances, ledger, scenario))
}

fn row(out: &mut String, points: &[Point], instances: usize, ledger: bool) {
    let of = |scenario| find(points, instances, ledger, scenario);
    if Scenario::ALL.iter().all(|scenario| of(*scenario).is_none()) {
        return;
    }
    let cells = Scenario::ALL.map(|scenario| of(scenario).map_or("–".into(), Point::cell));
    let unused = Scenario::ALL.iter().filter_map(|scenario| of(*scenario));
    let unused = unused.map(|p| p.outcome.unused).max().unwrap_or_default();
    let _ = writeln!(
        out,
        "| {instances} | {} | {} | {:.1} s |",
        slots(instances) - 8,
        cells.join(" | "),
        unused.as_secs_f64()
    );
}

/// What each way costs, from the scenario in which most moves.
fn costs(out: &mut String, points: &[Point]) {
    out.push_str(
        "### What it costs, while loads move\n\n\
         | instances | way | monitor sessions | read from the server | store: operations a second | busiest second | \
         of these reads, writes, leases | writes that met another's | store: bytes a second | the run took |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for instances in SIZES {
        for ledger in [false, true] {
            if let Some(point) = find(points, instances, ledger, Scenario::Loads) {
                cost(out, point);
            }
        }
    }
}

fn cost(out: &mut String, point: &Point) {
    let o = &point.outcome;
    let seconds = SECONDS;
    let store = &o.store;
    let kib = |bytes: u64| format!("{:.1} KiB/s", bytes as f64 / 1024.0 / seconds as f64);
    let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
    let name = if point.ledger { "ledger" } else { "view" };
    let _ = write!(
        out,
        "| {} | {name} | {} | {} | ",
        point.instances,
        o.monitors,
        kib(o.read_bytes)
    );
    let _ = match point.ledger {
        false => write!(out, "– | – | – | – | – |"),
        true => write!(
            out,
            "{} | {} | {:.0} %, {:.0} %, {:.0} % | {:.1} % | {} |",
            store.all() / seconds,
            store.busiest,
            share(store.reads, store.all()),
            share(store.writes, store.all()),
            share(store.renewals, store.all()),
            share(store.conflicts, store.writes),
            kib(store.bytes)
        ),
    };
    let _ = writeln!(out, " {:.1} s |", point.took);
}
