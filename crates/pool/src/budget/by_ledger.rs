//! The same claim, where a ledger and not the view says what the others have.

use super::ledger::{Answer, Ask, Ledger, LedgerSettings, News, Origin};
use super::{Asked, Budget, BudgetSettings, MonitorStep, READ_PAUSE, Reading, Sight, Usage};
use events::Time;

/// An instance in a ledger, for whoever looks on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LedgerFigures {
    /// It has a row, so it may open something.
    pub joined: bool,
    /// Its lease may have ended: the share stands and does not grow.
    pub blind: bool,
    /// The store has forgotten: nothing is raised for a while.
    pub frozen: bool,
    /// It reads the server.
    pub sits: bool,
    /// It allots.
    pub keeps: bool,
}

impl Budget {
    /// From now on the share comes from a ledger; only who sits there has a
    /// monitor session.
    pub(crate) fn share_by_ledger(&mut self, now: Time, settings: &LedgerSettings) {
        self.ledger = Some(Box::new(Ledger::new(now, settings)));
        self.claim = 0;
        self.published = 0;
        self.peers.clear();
    }

    /// For tests.
    #[cfg(feature = "plant")]
    pub(crate) fn ledger_mut(&mut self) -> Option<&mut Ledger> {
        self.ledger.as_deref_mut()
    }

    pub(super) fn limits_by_ledger(&self) -> (u32, u32) {
        self.ledger
            .as_ref()
            .map_or((0, 0), |ledger| ledger.limits())
    }

    /// The next question for the store.
    pub(crate) fn ledger_step(&mut self, now: Time, usage: &Usage, leaving: bool) -> Option<Ask> {
        self.follow_ledger(now, usage);
        let ask = self.ledger.as_mut()?.step(now, usage, leaving);
        self.take_claim();
        ask
    }

    /// What the store answered, and what of it is to be told.
    pub(crate) fn ledger_heard(
        &mut self,
        now: Time,
        usage: &Usage,
        seq: u32,
        answer: Answer,
    ) -> Option<News> {
        let ledger = self.ledger.as_mut()?;
        let news = ledger.heard(now, seq, answer);
        if ledger.joined() {
            self.read_at = Some(now);
            self.sight = Sight::Known;
        }
        self.follow_ledger(now, usage);
        news
    }

    /// For whoever reads a failure.
    pub(crate) fn ledger_state(&self) -> String {
        let ledger = self.ledger.as_ref();
        ledger.map_or_else(String::new, |ledger| ledger.told())
    }

    /// Where its connections come from.
    pub(crate) fn ledger_origin(&mut self, origin: Origin) {
        if let Some(ledger) = &mut self.ledger {
            ledger.comes_from(origin);
        }
    }

    /// The store is not what it was.
    pub(crate) fn ledger_forgotten(&mut self, now: Time) {
        if let Some(ledger) = &mut self.ledger {
            ledger.forgotten(now);
        }
    }

    /// For whoever looks on; `None`: the view shares.
    pub(crate) fn ledger_figures(&self, now: Time) -> Option<LedgerFigures> {
        let ledger = self.ledger.as_ref()?;
        Some(LedgerFigures {
            joined: ledger.joined(),
            blind: ledger.is_blind(),
            frozen: ledger.frozen(now),
            sits: ledger.reads(),
            keeps: ledger.keeps(),
        })
    }

    pub(crate) fn by_ledger(&self) -> bool {
        self.ledger.is_some()
    }

    /// Sessions of this fleet that share the line otherwise than this instance.
    pub(crate) fn strangers(&self) -> u32 {
        match &self.ledger {
            Some(ledger) => ledger.strangers(),
            None => self.sitters,
        }
    }

    /// Nothing of it stands in a ledger.
    pub(crate) fn ledger_left(&self) -> bool {
        self.ledger.as_ref().is_none_or(|ledger| ledger.left())
    }

    /// The server's rows by where they come from.
    pub(crate) fn ledger_origins(&mut self, rows: Vec<(Origin, u32)>) {
        if let Some(ledger) = &mut self.ledger {
            ledger.origins(rows);
        }
    }

    fn follow_ledger(&mut self, now: Time, usage: &Usage) {
        let most = self.most();
        if let Some(ledger) = &mut self.ledger {
            ledger.follow(now, usage, most);
        }
        self.take_claim();
    }

    fn take_claim(&mut self) {
        if let Some(ledger) = &self.ledger {
            self.claim = ledger.claim();
            self.published = ledger.published();
            self.parts.line = ledger.line();
        }
    }

    pub(super) fn lost_by_ledger(&mut self, usage: &Usage) {
        if let Some(ledger) = &mut self.ledger {
            ledger.lost(usage);
        }
        self.take_claim();
    }

    /// The monitor session's next step, for who sits: it reads, and states no more
    /// than its name, because its claim stands in the ledger.
    pub(super) fn step_by_ledger(
        &mut self,
        now: Time,
        settings: &BudgetSettings,
        usage: &Usage,
    ) -> MonitorStep {
        let Some(ledger) = &self.ledger else {
            return MonitorStep::Close;
        };
        if !ledger.reads() {
            return MonitorStep::Close;
        }
        let soon = self.again || ledger.doubtful();
        let pause = if soon { READ_PAUSE } else { settings.interval };
        if now < self.asked_at.after(pause) {
            return MonitorStep::Rest;
        }
        self.again = false;
        self.asked_at = now;
        self.asked = Some(Asked {
            at: now,
            held: usage.usable,
            losses: usage.losses,
        });
        MonitorStep::AskFrom(ledger.name(&settings.fleet, usage.usable))
    }

    /// The server's figures, for the keeper.
    pub(super) fn read_for_ledger(
        &mut self,
        now: Time,
        asked: Time,
        reading: &Reading,
        settings: &BudgetSettings,
    ) {
        self.lost = 0;
        if let Some(ledger) = &mut self.ledger {
            if !reading.from.is_empty() || reading.local + reading.hidden > 0 {
                ledger.take_origins(reading);
            }
            ledger.read(now, asked, reading, &settings.fleet, settings.headroom);
        }
    }
}
