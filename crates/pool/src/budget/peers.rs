//! Members whose monitor session is gone, but whose connections are not.

use super::CONFIRM;
use super::reading::Member;
use events::Time;

/// How many rows that nobody states show that a member lives, which stated
/// that it held so many: half of them, and at least one.
pub(super) fn trace(held: u32) -> u32 {
    held.div_ceil(2).max(1)
}

/// Members that cannot see the view any more, and cannot be seen in it but by
/// their connections. Each may open connections up to its last claim, so that is
/// kept free. Who really ended took its connections along: nothing is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Ghosts {
    members: Vec<Member>,
    /// What others held before the first of them vanished.
    base: u32,
    /// The fewest rows that nobody stated since, and how many there are now.
    fewest: u32,
    rows: u32,
    /// Since when there are too few rows for them.
    faint: Option<Time>,
}

impl Ghosts {
    /// What must be kept free for them beside what others hold. `rows` belong to
    /// nobody of `now`; `others` is what was believed of others when there were `before`.
    pub(super) fn follow(
        &mut self,
        now: Time,
        rows: u32,
        others: u32,
        before: &[Member],
        here: &[Member],
    ) {
        let back = |instance| here.iter().any(|peer| peer.instance == instance);
        if self.members.is_empty() {
            self.base = others;
            self.fewest = rows;
            self.faint = None;
        }
        self.rows = rows;
        self.fewest = self.fewest.min(rows);
        self.members.retain(|ghost| !back(ghost.instance));
        let gone = before.iter().filter(|peer| !back(peer.instance));
        self.members.extend(gone);
        let traces: u32 = self.members.iter().map(|ghost| trace(ghost.held)).sum();
        if rows >= self.base.saturating_add(traces) {
            self.faint = None;
        } else if now.since(*self.faint.get_or_insert(now)) >= CONFIRM {
            self.members.clear();
        }
    }

    /// What others hold, ghosts and their claims included. Rows that came since
    /// may be a ghost's or others': they count as others'.
    pub(super) fn with(&self, others: u32) -> u32 {
        if self.members.is_empty() {
            return others;
        }
        let claims: u32 = self.members.iter().map(|ghost| ghost.claim).sum();
        let came = self.rows - self.fewest;
        self.rows.max(self.base.saturating_add(claims + came))
    }

    pub(super) fn any(&self) -> bool {
        !self.members.is_empty()
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// It is not decided yet whether they live.
    pub(super) fn doubtful(&self) -> bool {
        !self.members.is_empty() && self.faint.is_some()
    }
}
