//! The outages as a demonstration shows them: what is done, and what happened,
//! in words with figures.

use crate::drill::Felt;
use serde::Serialize;

/// One outage of the reports, as it is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The report's number.
    pub number: &'static str,
    /// Whose outage it was.
    pub title: &'static str,
    /// What is done.
    pub done: &'static str,
    /// What is otherwise where the guards only watch.
    pub unguarded: &'static str,
    /// How to undo it.
    pub undo: &'static str,
}

/// In the order of the reports.
pub const OUTAGES: [Outage; 5] = [
    Outage {
        number: "000",
        title: "An update cuts the limit",
        done: "An update applies settings in which pool shop has a limit of 1.",
        unguarded: "It does so past the gate (plimsoll apply --now).",
        undo: "plimsoll rollback",
    },
    Outage {
        number: "001",
        title: "A script overwrites the settings",
        done: "A deploy script overwrites the settings file with that of a test environment.",
        unguarded: "The script loads it past the gate too, as where deployments write the file.",
        undo: "plimsoll rollback, and put the file back",
    },
    Outage {
        number: "002",
        title: "A surge, and a pool without a limit",
        done: "A surge of 40 clients comes, all at once.",
        unguarded: "It goes straight to PostgreSQL, as out of a pool without a limit.",
        undo: "a limit: here Plimsoll's line, there the pool's own maximum",
    },
    Outage {
        number: "003",
        title: "Traffic outgrows the limit",
        done: "Traffic of the application feed grows tenfold within seconds.",
        unguarded: "The limit of its pool, 1, stays as it is.",
        undo: "pool_size = \"auto\", or a number from plimsoll size",
    },
    Outage {
        number: "004",
        title: "A release leaks connections",
        done: "Release 2.4.1 of checkout forgets to end its transactions, each for good.",
        unguarded: "Leaks are named, and not taken back.",
        undo: "roll the release back; plimsoll guards on",
    },
];

/// The outage of this number.
pub fn of_number(number: &str) -> Option<&'static Outage> {
    OUTAGES.iter().find(|o| o.number == number)
}

/// What happened, a sentence or two for each question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The report's number.
    pub number: String,
    /// Whose outage it was.
    pub title: String,
    /// The guards acted; else they only watched.
    pub guarded: bool,
    /// What was done.
    pub done: String,
    /// What clients felt.
    pub felt: String,
    /// What Plimsoll did.
    pub plimsoll: String,
    /// How it ended.
    pub ended: String,
    /// How to undo it.
    pub undo: String,
}

/// What was measured of it.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Requests of clients that saw it.
    pub requests: u64,
    /// How they fared.
    pub felt: Felt,
    /// What Plimsoll did, in words with figures.
    pub plimsoll: String,
    /// How it ended.
    pub ended: String,
}

/// Puts it into words.
pub fn tell(outage: &Outage, guarded: bool, measured: &Measured) -> Told {
    let done = match guarded {
        true => outage.done.to_owned(),
        false => format!("{} {}", outage.done, outage.unguarded),
    };
    let failed = measured.felt.failed_percent;
    let share = match failed {
        0.0 => "none failed".to_owned(),
        f if f < 1.0 => format!("{f:.1} % failed"),
        f => format!("{f:.0} % failed"),
    };
    let felt = format!(
        "Of {} requests {share}; 95 of 100 were answered within {:.0} ms, the longest took {:.1} s.",
        measured.requests,
        measured.felt.p95_ms,
        measured.felt.longest_ms / 1e3
    );
    Told {
        number: outage.number.to_owned(),
        title: outage.title.to_owned(),
        guarded,
        done,
        felt,
        plimsoll: measured.plimsoll.clone(),
        ended: measured.ended.clone(),
        undo: outage.undo.to_owned(),
    }
}

impl Told {
    /// For a terminal.
    pub fn lines(&self) -> String {
        let guards = if self.guarded { "enforce" } else { "observe" };
        format!(
            "Outage {}  {} (guards {guards})\n\
             Done        {}\nClients     {}\nPlimsoll    {}\nEnd         {}\nUndo        {}\n",
            self.number, self.title, self.done, self.felt, self.plimsoll, self.ended, self.undo
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_with_its_figures() {
        let measured = Measured {
            requests: 812,
            felt: Felt {
                failed_percent: 41.6,
                p95_ms: 3_000.0,
                longest_ms: 3_140.0,
                ..Felt::default()
            },
            plimsoll: "It would have taken back 6 leases.".to_owned(),
            ended: "After 30 s by itself.".to_owned(),
        };
        let outage = of_number("004").expect("it is there");
        let told = tell(outage, false, &measured).lines();
        for part in [
            "Outage 004  A release leaks connections (guards observe)",
            "named, and not taken back",
            "Of 812 requests 42 % failed; 95 of 100 were answered within 3000 ms, the longest took 3.1 s.",
            "would have taken back 6",
        ] {
            assert!(told.contains(part), "no `{part}` in:\n{told}");
        }
        let guarded = tell(outage, true, &Measured::default());
        assert!(guarded.felt.contains("none failed"));
        assert!(!guarded.done.contains("not taken back"));
    }
}
