//! What a run did, and how often.

use std::collections::BTreeMap;
use std::fmt;

macro_rules! counted {
    ($(#[$m:meta])* $name:ident, $count:ident, { $($(#[$v:meta])* $variant:ident $label:literal,)+ }) => {
        $(#[$m])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[allow(missing_docs)]
        pub enum $name { $($(#[$v])* $variant,)+ }
        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];
            /// For people.
            pub const fn label(self) -> &'static str {
                match self { $($name::$variant => $label,)+ }
            }
        }
        /// How many there are.
        pub const $count: usize = $name::ALL.len();
    };
}

counted! {
    /// What goes wrong.
    FaultKind, FAULTS, {
        BackendCrash "a server connection is reset",
        BackendEof "a server connection ends",
        BackendFatal "a server connection ends with FATAL 57P01",
        Restart "the server restarts",
        Refuse "the server refuses connections (53300)",
        Unreachable "connects fail",
        Nonsense "a server sends nonsense",
        HalfOpen "a server connection falls silent",
        Stall "a server connection stalls for a while",
        SlowLogin "a login at the server hangs",
        ClientEof "a client's socket ends",
        ClientReset "a client vanishes with a message half sent",
        ClientStall "a client stops reading",
        BadStartup "a client sends a broken start-up packet",
        WrongPassword "a client gives a wrong password",
        NoDatabase "a client names no database of ours",
        ClientGarbage "a client sends garbage",
        Notify "a notification to a listening session",
        Notice "a notice to an idle server connection",
        SilentClient "a client connects and says nothing",
        Reject "the server rejects our logins (28P01)",
        BadParameters "the server rejects parameters that we replay",
    }
}

counted! {
    /// What administrators and reloads do.
    AdminKind, ADMINS, {
        Pause "a pause, and its end",
        Disable "a database disabled, and enabled",
        Reconnect "all connections of a pool replaced",
        Kill "a pool killed, and resumed",
        KillClient "a client killed",
        Resize "a pool's sizes and limits changed",
        Mode "a pool's mode changed",
        Line "the line changed",
        Cap "a shared limit changed",
        Settings "timeouts and other settings changed",
        Retire "a database taken out, and put in again",
        Move "a pool's clients moved to another pool",
        Panic "a contained panic",
        Drain "a drain, and the end of all",
    }
}

counted! {
    /// Things that happen in a run.
    Hit, HITS, {
        Statements "statements run by servers",
        SimpleQuery "client: Query",
        Parse "client: Parse",
        Bind "client: Bind",
        Describe "client: Describe",
        Execute "client: Execute",
        Close "client: Close",
        Sync "client: Sync",
        Flush "client: Flush",
        Function "client: FunctionCall",
        CopyData "client: COPY data",
        Terminate "client: Terminate",
        Logins "logins finished",
        Cancels "cancel requests sent",
        CancelsHit "cancels that ended a statement",
        CancelsWaiter "cancels of a waiter",
        CancelsIgnored "cancels ignored",
        Grants "grants after a wait",
        Handovers "handovers between workers",
        HandoversLost "handovers of a connection that was not at rest",
        Opens "opens",
        OpenFailures "opens that failed",
        PoolCloses "closes on the pool's wish",
        Refusals "refusals after a wait",
        ErrorsOurs "refusals seen by clients",
        Pins "statements that pin",
        OwnParse "Parse by the pooler",
        OwnClose "Close by the pooler",
        OwnSet "parameters replayed",
        OwnReset "resets",
        OwnRollback "rollbacks by the pooler",
        OwnCopyFail "CopyFail by the pooler",
        OwnCancel "cancels by the pooler",
        OwnCheck "health checks",
        AuthQuery "auth_query",
        CopyIn "COPY in",
        CopyOut "COPY out",
        Suspended "portals suspended",
        TxFailed "transactions failed",
        Commits "transactions committed",
        Pauses "clients not read",
        ServerPauses "servers not read",
        Resumes "resumes",
        Notifications "notifications received",
        LostSessions "sessions lost to a fault",
        GoneWaiting "clients gone while they waited",
        TimedOut "sessions ended by a timeout",
        KilledSessions "sessions ended by an administrator",
        Disabled "requests refused by a disabled or retired pool",
        Derives "key derivations",
        Silences "clients that fall silent in a transaction",
        Reclaims "leases taken back",
    }
}

/// Counters of one run or of many.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Messages sent by clients.
    pub ops: u64,
    /// Faults by kind.
    pub faults: [u64; FAULTS],
    /// What administrators did, by kind.
    pub admin: [u64; ADMINS],
    /// Transitions.
    pub hits: Vec<u64>,
    /// Further counters by label: close and refusal reasons, Expect kinds.
    pub more: BTreeMap<String, u64>,
    /// Events handled.
    pub events: u64,
    /// Virtual time, µs.
    pub virtual_us: u64,
}

impl Stats {
    pub(crate) fn hit(&mut self, hit: Hit) {
        if self.hits.is_empty() {
            self.hits = vec![0; HITS];
        }
        self.hits[hit as usize] += 1;
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Stats) {
        self.ops += other.ops;
        self.events += other.events;
        self.virtual_us += other.virtual_us;
        for (to, from) in self.faults.iter_mut().zip(&other.faults) {
            *to += from;
        }
        for (to, from) in self.admin.iter_mut().zip(&other.admin) {
            *to += from;
        }
        self.hits.resize(HITS, 0);
        for (to, from) in self.hits.iter_mut().zip(&other.hits) {
            *to += from;
        }
        for (label, n) in &other.more {
            *self.more.entry(label.clone()).or_default() += n;
        }
    }

    /// Every counter with its label.
    pub fn rows(&self) -> impl Iterator<Item = (&str, u64)> {
        let hits = |hit: &Hit| self.hits.get(*hit as usize).copied().unwrap_or(0);
        let faults = FaultKind::ALL.iter();
        let admin = AdminKind::ALL.iter();
        faults
            .map(|kind| (kind.label(), self.faults[*kind as usize]))
            .chain(admin.map(|kind| (kind.label(), self.admin[*kind as usize])))
            .chain(Hit::ALL.iter().map(move |hit| (hit.label(), hits(hit))))
            .chain(self.more.iter().map(|(label, n)| (label.as_str(), *n)))
    }

    /// What administrators did, in all.
    pub fn admin_count(&self) -> u64 {
        self.admin.iter().sum()
    }

    /// Faults of all kinds.
    pub fn fault_count(&self) -> u64 {
        self.faults.iter().sum()
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} client operations, {} faults, {} acts of administrators, {} events, {} s of virtual time",
            self.ops,
            self.fault_count(),
            self.admin_count(),
            self.events,
            self.virtual_us / 1_000_000
        )?;
        for (label, n) in self.rows() {
            let loud = if n == 0 { "   <── NEVER" } else { "" };
            writeln!(f, "{n:>12}  {label}{loud}")?;
        }
        Ok(())
    }
}
