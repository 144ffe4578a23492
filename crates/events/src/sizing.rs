//! Sizes that pools find by themselves, and advice about fixed ones.

/// Why a size changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SizeReason {
    /// Clients wait: a larger size is tried, or one known to be good returns.
    ClientsWait,
    /// The larger size brought no more throughput.
    NoGain,
    /// Fewer connections are tried, because more brought only latency.
    LatencyOnly,
    /// Fewer connections cost throughput: back.
    Needed,
    /// The size was not used for minutes.
    Unused,
    /// The stated size is far more than the server can give, and is searched for
    /// below that; or it fits the server again, and holds.
    ServerCapacity,
}

impl SizeReason {
    /// Every reason, in the order of the counters.
    pub const ALL: [SizeReason; 6] = [
        SizeReason::ClientsWait,
        SizeReason::NoGain,
        SizeReason::LatencyOnly,
        SizeReason::Needed,
        SizeReason::Unused,
        SizeReason::ServerCapacity,
    ];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The label in log, metric and page.
    pub const fn label(self) -> &'static str {
        match self {
            SizeReason::ClientsWait => "clients_wait",
            SizeReason::NoGain => "no_gain",
            SizeReason::LatencyOnly => "latency_only",
            SizeReason::Needed => "needed",
            SizeReason::Unused => "unused",
            SizeReason::ServerCapacity => "server_capacity",
        }
    }
}

/// How a pool sizes itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SizingRow {
    /// Never less.
    pub floor: u32,
    /// Never more; the line bounds it as well.
    pub ceiling: u32,
    /// A size is under trial.
    pub trying: bool,
    /// Why the size changed last.
    pub reason: Option<SizeReason>,
    /// Changes, in the order of [`SizeReason::ALL`]; those that the guard only
    /// observed are counted too.
    pub changes: [u64; SizeReason::COUNT],
}

/// What size would have served the last hour.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AdviceRow {
    /// The smallest size with which 99 % of the clients wait no longer than
    /// 5 ms; 0 when unknown.
    pub size: u32,
    /// "unknown", "low" or "good".
    pub confidence: &'static str,
    /// Seconds recorded with traffic, an hour at most.
    pub seconds: u64,
    /// Leases in them.
    pub leases: u64,
    /// Of a thousand clients, so many waited longer than 5 ms.
    pub late_permille: u32,
}
