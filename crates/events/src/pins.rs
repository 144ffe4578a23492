//! Session state that ties a client to its server connection, by kind, and what
//! became of it.

/// What pins: state that cannot be replayed at another server connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PinKind {
    /// `LISTEN`.
    Listen,
    /// A temporary table.
    Temporary,
    /// `PREPARE` as a statement of SQL; that of the protocol never pins.
    Prepare,
    /// A cursor `WITH HOLD`.
    Cursor,
    /// A session advisory lock.
    Lock,
    /// `LOAD` of a library.
    Load,
    /// A setting that cannot be replayed.
    Setting,
}

impl PinKind {
    /// Every kind, in the order of the counters.
    pub const ALL: [PinKind; 7] = [
        PinKind::Listen,
        PinKind::Temporary,
        PinKind::Prepare,
        PinKind::Cursor,
        PinKind::Lock,
        PinKind::Load,
        PinKind::Setting,
    ];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The label in console, metric and report.
    pub const fn label(self) -> &'static str {
        match self {
            PinKind::Listen => "listen",
            PinKind::Temporary => "temporary_table",
            PinKind::Prepare => "prepare",
            PinKind::Cursor => "cursor_with_hold",
            PinKind::Lock => "advisory_lock",
            PinKind::Load => "load",
            PinKind::Setting => "setting",
        }
    }

    /// The words in an error.
    pub const fn words(self) -> &'static str {
        match self {
            PinKind::Listen => "LISTEN",
            PinKind::Temporary => "a temporary table",
            PinKind::Prepare => "PREPARE",
            PinKind::Cursor => "a cursor WITH HOLD",
            PinKind::Lock => "a session advisory lock",
            PinKind::Load => "LOAD",
            PinKind::Setting => "a setting that cannot be replayed",
        }
    }
}

/// What became of a statement that asks for a pin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PinFate {
    /// The client keeps its connection.
    Kept,
    /// It was served as PgBouncer serves it: the state stays behind with the
    /// connection, because the guard only watches or `session.pin` is off.
    Unkept,
    /// It was refused: the pool's share for pins was taken.
    Refused,
}

/// Statements that ask for a pin, by kind, in the order of [`PinKind::ALL`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PinCounts {
    /// Those that got one.
    pub kept: [u64; PinKind::COUNT],
    /// Those whose state was left behind with the connection.
    pub unkept: [u64; PinKind::COUNT],
    /// Those that were refused.
    pub refused: [u64; PinKind::COUNT],
}

impl PinCounts {
    /// One more.
    pub const fn note(&mut self, kind: PinKind, fate: PinFate) {
        let counts = match fate {
            PinFate::Kept => &mut self.kept,
            PinFate::Unkept => &mut self.unkept,
            PinFate::Refused => &mut self.refused,
        };
        counts[kind as usize] += 1;
    }

    /// Adds another part's counts.
    pub fn add(&mut self, other: &PinCounts) {
        for kind in 0..PinKind::COUNT {
            self.kept[kind] += other.kept[kind];
            self.unkept[kind] += other.unkept[kind];
            self.refused[kind] += other.refused[kind];
        }
    }

    /// Nobody asked for a pin.
    pub fn is_empty(&self) -> bool {
        *self == PinCounts::default()
    }

    /// The kinds that anybody asked for: kept, unkept, refused.
    pub fn rows(&self) -> impl Iterator<Item = (PinKind, [u64; 3])> + '_ {
        let row = |kind: PinKind| {
            let at = kind as usize;
            (kind, [self.kept[at], self.unkept[at], self.refused[at]])
        };
        PinKind::ALL
            .into_iter()
            .map(row)
            .filter(|(_, counts)| *counts != [0; 3])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_is_counted_where_it_ended() {
        let mut counts = PinCounts::default();
        assert!(counts.is_empty() && counts.rows().next().is_none());
        counts.note(PinKind::Lock, PinFate::Kept);
        counts.note(PinKind::Lock, PinFate::Unkept);
        counts.note(PinKind::Listen, PinFate::Refused);
        let mut sum = counts;
        sum.add(&counts);
        let rows: Vec<_> = sum.rows().collect();
        assert_eq!(
            rows,
            [(PinKind::Listen, [0, 0, 2]), (PinKind::Lock, [2, 2, 0])]
        );
    }
}
