//! The monitor session: when it is opened, what it asks, and what its end means.

use super::{
    ANSWER_MAX, Asked, Budget, BudgetSettings, FAREWELL, Ghosts, Member, MonitorStep, Others,
    READ_PAUSE, Sight, Usage, peers,
};
use events::Time;
use std::time::Duration;

/// First pause before a lost monitor session is opened again; doubled at each
/// further loss without a reading between.
const REOPEN_PAUSE: Duration = Duration::from_millis(250);
/// It grows no further than this.
const REOPEN_PAUSE_MAX: Duration = Duration::from_secs(5);

impl Budget {
    /// When the monitor session may be opened; `None`: it is not wanted.
    pub(crate) fn session_at(&self) -> Option<Time> {
        let reads = self.ledger.as_ref().is_none_or(|ledger| ledger.reads());
        let wanted = self.settings.is_some() && self.sight != Sight::Resting && reads;
        wanted.then_some(self.reopen_at)
    }

    /// A client needs the server again.
    pub(crate) fn awake(&mut self, now: Time) -> bool {
        let rested = self.sight == Sight::Resting;
        if rested {
            self.sight = Sight::Asking(now);
            self.used_at = now;
        }
        rested
    }

    pub(crate) fn connected(&mut self) {
        self.session = true;
        self.again = true;
        self.asked = None;
    }

    /// The monitor session ended, or could not be opened.
    pub(crate) fn session_lost(&mut self, now: Time, usage: &Usage) {
        if !self.session && now < self.reopen_at {
            // Its end was told already.
            return;
        }
        self.session = false;
        self.unseen = true;
        self.asked = None;
        if self.sight == Sight::Resting {
            return self.blind(usage);
        }
        self.awaited.remember(&self.peers);
        let pause = REOPEN_PAUSE.saturating_mul(1 << self.lost.min(16));
        self.reopen_at = now.after(pause.min(REOPEN_PAUSE_MAX));
        self.lost = self.lost.saturating_add(1);
        if let Sight::Asking(_) = self.sight
            && self.ledger.is_none()
        {
            // Its clients need not wait longer: it will not come in time.
            self.give_up();
        }
        self.blind(usage);
    }

    /// The server is another one now: nothing is known of that yet, and nothing is
    /// opened before its first reading, or [`super::FIRST_READING_MAX`].
    pub(crate) fn moved(&mut self, now: Time) {
        if self.settings.is_none() || self.sight == Sight::Resting {
            return;
        }
        self.session = false;
        self.unseen = true;
        self.asked = None;
        self.again = true;
        (self.lost, self.reopen_at) = (0, now);
        (self.over_at, self.raise_at) = (None, Time::ZERO);
        self.others = Others::default();
        self.ghosts = Ghosts::default();
        self.awaited.remember(&self.peers);
        self.peers.clear();
        self.sight = Sight::Asking(now);
    }

    /// The question failed: the session lives, the figures are not to be had.
    pub(crate) fn unanswered(&mut self) {
        self.asked = None;
        if let Sight::Asking(_) = self.sight {
            self.give_up();
        }
    }

    /// Without a monitor session this member is seen by its connections only:
    /// rows that nobody states. Its peers keep its claim free as long as they see
    /// at least half of what it stated last, and at least one ([`Ghosts`]); when
    /// it holds less, it has lost the rest.
    pub(crate) fn blind(&mut self, usage: &Usage) {
        if !self.is_blind() || self.settings.is_none() {
            return;
        }
        if self.ledger.is_some() {
            return self.lost_by_ledger(usage);
        }
        if usage.charged < peers::trace(self.told.0) {
            self.claim = self.claim.min(usage.charged);
        }
    }

    /// It has peers, and no monitor session.
    pub(crate) fn is_blind(&self) -> bool {
        if let Some(ledger) = &self.ledger {
            return ledger.is_blind();
        }
        !self.session && !self.peers.is_empty()
    }

    /// What the peers turned down.
    pub(crate) fn peers_rejected(&self) -> Vec<u32> {
        self.peers.iter().filter_map(|peer| peer.rejected).collect()
    }

    /// What the monitor session is to do now.
    pub(crate) fn step(&mut self, now: Time, usage: &Usage) -> MonitorStep {
        let Some(settings) = self.settings.clone() else {
            return MonitorStep::Close;
        };
        self.note_use(now, usage);
        if let Some(asked) = self.asked {
            return match now.since(asked.at) > ANSWER_MAX {
                true => MonitorStep::Close,
                false => MonitorStep::Rest,
            };
        }
        if self.ledger.is_some() {
            return self.step_by_ledger(now, &settings, usage);
        }
        let idle = settings.idle_stop;
        let rests = idle.is_some_and(|limit| now.since(self.used_at) >= limit);
        if rests || self.leaving {
            self.claim = self.claim.min(usage.charged);
            if self.published <= self.claim.max(usage.charged) {
                if let Some(step) = self.nothing_is_claimed(now, usage) {
                    return step;
                }
            } else if rests || usage.charged == 0 {
                // The others learn first that the claim is free.
                self.again = true;
            }
        }
        let wish = match rests || self.leaving {
            true => self.claim.max(usage.charged),
            false => self.wish(now, usage),
        };
        let wants = usage.needed.min(self.most()).saturating_sub(self.claim);
        if now < self.due(&settings, wish, wants, usage) {
            return MonitorStep::Rest;
        }
        self.again = false;
        self.asked_at = now;
        self.published = wish;
        self.told = (usage.usable, wants);
        self.asked = Some(Asked {
            at: now,
            held: usage.usable,
            losses: usage.losses,
        });
        let own = Member {
            instance: settings.instance,
            claim: wish,
            held: usage.usable,
            wants,
            rejected: self.rejected,
        };
        MonitorStep::Ask(own.name(&settings.fleet))
    }

    /// The instance ends: what its connections leave is given back.
    pub(crate) fn leave(&mut self) {
        self.leaving = true;
    }

    /// No more is stated than is held, because nobody needs it. `None`: go on stating.
    fn nothing_is_claimed(&mut self, now: Time, usage: &Usage) -> Option<MonitorStep> {
        if !self.leaving {
            self.sight = Sight::Resting;
            return Some(MonitorStep::Close);
        }
        if usage.charged > 0 {
            return None;
        }
        let told = self.peers.is_empty() || now >= self.asked_at.after(FAREWELL);
        Some(match told {
            true => MonitorStep::Close,
            false => MonitorStep::Rest,
        })
    }

    /// When to ask next: after the interval, or soon where peers depend on it.
    fn due(&self, settings: &BudgetSettings, wish: u32, wants: u32, usage: &Usage) -> Time {
        let soon = self.asked_at.after(READ_PAUSE);
        if self.again {
            return Time::ZERO;
        }
        if self.read_at.is_some() && wish > self.published.max(self.claim) {
            return soon;
        }
        let doubtful = self.over_at.is_some()
            || self.others.doubtful()
            || self.ghosts.doubtful()
            || !self.awaited.missing().is_empty();
        let news = wish != self.published || (usage.usable, wants) != self.told;
        let wanted = wants > 0 || self.peers.iter().any(|peer| peer.wants > 0);
        if doubtful || self.squeeze.is_some() || (news || wanted) && !self.peers.is_empty() {
            return soon;
        }
        self.asked_at.after(settings.interval)
    }
}
