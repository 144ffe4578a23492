//! Members whose monitor session is gone, but whose connections are not.

use super::reading::Member;

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
}

impl Ghosts {
    /// What others hold, or may: `unstated` rows belong to nobody of `now`. `last`
    /// is what others held at the last reading, when there were `before`.
    pub(super) fn others(
        &mut self,
        unstated: u32,
        before: &[Member],
        now: &[Member],
        last: u32,
    ) -> u32 {
        let here = |instance| now.iter().any(|peer| peer.instance == instance);
        if self.members.is_empty() {
            self.base = last;
        }
        self.members.retain(|ghost| !here(ghost.instance));
        let gone = before.iter().filter(|peer| !here(peer.instance));
        self.members.extend(gone);
        let traces: u32 = self.members.iter().map(|ghost| trace(ghost.held)).sum();
        if self.members.is_empty() || unstated < self.base.saturating_add(traces) {
            self.members.clear();
            return unstated;
        }
        let claims: u32 = self.members.iter().map(|ghost| ghost.claim).sum();
        unstated.max(self.base.saturating_add(claims))
    }
}
