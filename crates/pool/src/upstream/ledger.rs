//! The share where a store says what the others have: questions out, answers in.

use super::Upstream;
use crate::budget::ledger::{Answer, Ask, LedgerSettings, News, Origin};
use crate::budget::{LedgerFigures, Usage};
use events::Time;

impl Upstream {
    /// The share of the line comes from a ledger from now on, not from the
    /// server's view. Call [`Upstream::add_monitor`] before: its session is opened
    /// when this instance is one of the few that read.
    pub fn share_by_ledger(&mut self, now: Time, settings: &LedgerSettings) {
        self.budget.share_by_ledger(now, settings);
        self.rebudget(now);
    }

    /// The next question for the store: ask at each tick and after each answer,
    /// until there is none. A question without an answer needs no word.
    pub fn ledger_step(&mut self, now: Time) -> Option<Ask> {
        let usage = match self.gone {
            true => Usage::default(),
            false => self.usage(),
        };
        let reads = self.budget.session_at().is_some();
        let leaving = self.shutdown || self.gone;
        let ask = self.budget.ledger_step(now, &usage, leaving);
        self.follow_seat(now, reads);
        self.rebudget(now);
        ask
    }

    /// The store answered, and that shows something to tell.
    pub fn ledger_heard(&mut self, now: Time, seq: u32, answer: Answer) -> Option<News> {
        let usage = self.usage();
        let reads = self.budget.session_at().is_some();
        let news = self.budget.ledger_heard(now, &usage, seq, answer);
        self.follow_seat(now, reads);
        self.rebudget(now);
        news
    }

    /// The server's rows, its own monitor sessions left out, by where they come
    /// from: tell it just before [`Upstream::monitor_heard`].
    pub fn ledger_origins(&mut self, rows: Vec<(Origin, u32)>) {
        self.budget.ledger_origins(rows);
    }

    /// Where its connections come from, known only now: tell it before the first
    /// [`Upstream::ledger_step`].
    pub fn ledger_origin(&mut self, origin: Origin) {
        self.budget.ledger_origin(origin);
    }

    /// The store is not what it was: its revision went back, or it is another one.
    pub fn ledger_forgotten(&mut self, now: Time) {
        self.budget.ledger_forgotten(now);
        self.rebudget(now);
    }

    /// How it stands in the ledger; `None`: the view shares.
    pub fn ledger_figures(&self, now: Time) -> Option<LedgerFigures> {
        self.budget.ledger_figures(now)
    }

    /// The process ends, and all its connections have ended with it.
    pub fn ledger_leave(&mut self) {
        self.gone = true;
    }

    /// After [`Upstream::shutdown`]: nothing of this instance stands in the ledger
    /// any more, so that its process may end.
    pub fn ledger_left(&self) -> bool {
        self.budget.ledger_left()
    }

    /// Who has just sat down opens its monitor session.
    fn follow_seat(&mut self, now: Time, before: bool) {
        if let Some(p) = self.monitor
            && !before
        {
            self.pump_monitor(now, p);
        }
    }

    /// What is known and under way, for whoever reads a failure.
    pub fn ledger_state(&self) -> String {
        self.budget.ledger_state()
    }

    /// Plants a bug in the ledger; only tests can.
    #[cfg(feature = "plant")]
    pub fn plant_in_ledger(&mut self, fault: crate::budget::ledger::LedgerFault) {
        if let Some(ledger) = self.budget.ledger_mut() {
            ledger.plant(fault);
        }
    }
}
