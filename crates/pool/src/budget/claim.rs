//! The claim among the peers' that the view shows: raised, cut, given back.

use super::reading::{FIGURE_MAX, Member};
use super::share::level;
use super::{Budget, BudgetSettings, OVER_MAX, Usage};
use events::Time;
use std::time::Duration;

impl Budget {
    /// The claim to publish next.
    pub(super) fn wish(&self, now: Time, usage: &Usage) -> u32 {
        let floor = self.claim.max(usage.charged);
        if self.read_at.is_none() {
            // Nothing was seen yet: a newcomer has no claim, only what it holds.
            return usage.charged;
        }
        if now < self.raise_at || self.sitters > 0 {
            // Beside a ledger nobody knows what is free.
            return floor;
        }
        let goal = match self.peers.iter().any(|peer| peer.wants > 0) {
            // All who want find the same level from the same figures, so that
            // their raises fit together.
            true => usage.needed.min(self.demand_level(usage.needed)),
            false => usage
                .needed
                .max(self.parts.line / (self.members().count() as u32 + 1)),
        };
        goal.min(self.free()).min(self.most()).max(floor)
    }

    /// The level at which all demands together fit under the line.
    fn demand_level(&self, own: u32) -> u32 {
        let mut demands: Vec<u32> = self.members().map(Member::demand).collect();
        demands.push(own);
        level(self.parts.line, &demands)
    }

    /// What the stated line leaves to this instance.
    pub(super) fn most(&self) -> u32 {
        match &self.settings {
            Some(settings) if settings.stated => self.stated.saturating_sub(1),
            // No more can be published.
            _ => FIGURE_MAX,
        }
    }

    /// The others: those in the view, and those who are on their way into it.
    fn members(&self) -> impl Iterator<Item = &Member> {
        let here = |one: &&Member| self.peers.iter().any(|peer| peer.instance == one.instance);
        let coming = self.awaited.missing().iter();
        self.peers.iter().chain(coming.filter(move |m| !here(m)))
    }

    /// What the others claim.
    fn claimed(&self) -> u32 {
        self.members().map(|member| member.claim).sum()
    }

    /// What the claims of the others leave.
    pub(super) fn free(&self) -> u32 {
        self.parts.line.saturating_sub(self.claimed())
    }

    /// Rules 1 and 2 after a reading.
    pub(super) fn settle(&mut self, now: Time, settings: &BudgetSettings) {
        let fits = self.published.min(self.free()).min(self.most());
        if fits > self.claim && self.sitters == 0 {
            self.claim = fits;
        }
        if self.published > self.claim && self.free() < self.published {
            // Met with another's raise: not both again at the same time.
            let turn = settings.instance.wrapping_mul(0x9e37_79b9) >> 24;
            let pause = Duration::from_millis(u64::from(turn) * 2);
            self.raise_at = now.after(pause);
        }
        self.claim = self.claim.min(self.most());
        if self.claimed() + self.published <= self.parts.line {
            self.over_at = None;
            return;
        }
        let since = *self.over_at.get_or_insert(now);
        if self.members().next().is_none() || now.since(since) >= OVER_MAX {
            self.claim = self.fair_cut();
        }
    }

    /// What remains of the own claim under the line, when all cut theirs alike.
    pub(super) fn fair_cut(&self) -> u32 {
        let mut claims: Vec<u32> = self.members().map(|member| member.claim).collect();
        claims.push(self.published.max(self.claim));
        self.claim.min(level(self.parts.line, &claims))
    }

    /// A peer wants more than is free: what is not used, and what is above the
    /// fair share, goes back.
    pub(super) fn give_back(&mut self, usage: &Usage) {
        let wanted: u32 = self.peers.iter().map(|peer| peer.wants).sum();
        let missing = (self.claimed() + self.claim + wanted).saturating_sub(self.parts.line);
        if wanted == 0 || missing == 0 {
            return;
        }
        let own = usage.needed.max(self.peaks.most());
        let target = own.min(self.demand_level(own));
        let given = self.claim.saturating_sub(target).min(missing);
        self.claim -= given;
    }
}
