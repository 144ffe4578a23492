//! What is on the screen and what a key, an answer or time makes of it. Pure:
//! [`Model::step`] takes an input and the time and returns what the shell must do.

use super::deed::{Action, Deed, Outcome};
use super::history::History;
use super::keys::{self, Key, Order};
use super::rows::{self, LEASE_SORTS, POOL_SORTS};
use std::time::Duration;

pub use super::kinds::{
    Effect, Input, Known, Link, News, Notice, Over, Start, Trouble, View, Wish,
};

/// Longest filter, bytes: the pooler takes 100.
const FILTER_MAX: usize = 60;
/// Times between two looks that + and - go through, milliseconds.
const PACES_MS: [u64; 8] = [500, 1_000, 2_000, 3_000, 5_000, 10_000, 30_000, 60_000];
/// What was said of an action stays for so long, unless a key is pressed.
const NOTICE_MS: i64 = 20_000;
/// One press of [ or ].
const TRAVEL_MS: i64 = 60_000;

/// Where one view stands.
#[derive(Clone, Debug, Default)]
struct Place {
    sort: usize,
    /// The row's key: rows move, the choice stays with its row.
    chosen: Option<String>,
    at: usize,
}

/// Everything on the screen.
#[derive(Clone, Debug)]
pub struct Model {
    /// The view.
    pub view: View,
    /// What lies over it.
    pub over: Over,
    /// Lines that are scrolled away in what lies over it.
    pub scroll: usize,
    /// The filter.
    pub filter: String,
    /// The pooler's answers.
    pub link: Link,
    /// When the last one came, our own clock.
    pub heard_ms: Option<i64>,
    /// The last minutes.
    pub history: History,
    /// What came of an action.
    pub notice: Option<Notice>,
    /// The moment of the past that is looked at.
    pub at_ms: Option<i64>,
    /// Our own clock.
    pub now_ms: i64,
    /// Between two looks.
    pub pace: Duration,
    /// What is held still since when.
    held: Option<(Box<Known>, i64)>,
    newest: Known,
    places: [Place; 5],
    asked: Option<Wish>,
    busy: bool,
}

impl Model {
    /// Nothing is known yet.
    pub fn new(start: &Start, now_ms: i64) -> Model {
        let mut places: [Place; 5] = Default::default();
        for (view, place) in View::ALL.into_iter().zip(&mut places) {
            let wanted = start.sort.as_deref();
            let found = sorts(view).iter().position(|s| Some(*s) == wanted);
            place.sort = found.unwrap_or(0);
        }
        Model {
            view: start.view,
            over: Over::Nothing,
            scroll: 0,
            filter: short(&start.filter),
            link: Link::Waiting,
            heard_ms: None,
            history: History::default(),
            notice: None,
            at_ms: start.at_ms,
            now_ms,
            pace: start.pace,
            held: None,
            newest: Known::default(),
            places,
            asked: None,
            busy: false,
        }
    }

    /// What is shown: the newest, or what is held still.
    pub fn known(&self) -> &Known {
        self.held.as_ref().map_or(&self.newest, |(known, _)| known)
    }

    /// Since when the display is held.
    pub fn held_ms(&self) -> Option<i64> {
        self.held.as_ref().map(|(_, since)| *since)
    }

    /// An action is under way.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// The order of this view's rows.
    pub fn sort(&self) -> &'static str {
        let sorts = sorts(self.view);
        sorts.get(self.place().sort).copied().unwrap_or_default()
    }

    /// The chosen row's place among `keys`: its own, or where it was.
    pub fn chosen(&self, keys: &[String]) -> Option<usize> {
        let place = self.place();
        let chosen = place.chosen.as_ref()?;
        let found = keys.iter().position(|key| key == chosen);
        found.or_else(|| keys.len().checked_sub(1).map(|last| place.at.min(last)))
    }

    fn place(&self) -> &Place {
        &self.places[self.view.index()]
    }

    fn place_mut(&mut self) -> &mut Place {
        &mut self.places[self.view.index()]
    }

    /// What to ask for now.
    pub fn wish(&self) -> Wish {
        Wish {
            at_ms: self.at_ms,
            view: self.view,
            sort: self.sort(),
            filter: self.filter.clone(),
            pace: self.pace,
        }
    }

    /// Takes what happened at `now_ms` and says what must be done. `page` is how
    /// many rows a screen has.
    pub fn step(&mut self, now_ms: i64, page: usize, input: Input) -> Vec<Effect> {
        self.now_ms = now_ms;
        let mut effects = Vec::new();
        match input {
            Input::Key(key) => self.press(key, page, &mut effects),
            Input::News(at_ms, news) => self.hear(at_ms, *news),
            Input::Failed(trouble, why, again) => self.fail(trouble, why, again),
            Input::Done(action, came) => self.told(&action, came),
            Input::Tick => {}
        }
        let old = |notice: &Notice| now_ms.saturating_sub(notice.at_ms) > NOTICE_MS;
        if self.notice.as_ref().is_some_and(old) {
            self.notice = None;
        }
        let wish = self.wish();
        if self.asked.as_ref() != Some(&wish) {
            self.asked = Some(wish.clone());
            effects.push(Effect::Ask(wish));
        }
        effects
    }

    fn hear(&mut self, at_ms: Option<i64>, news: News) {
        (self.link, self.heard_ms) = (Link::Up, Some(self.now_ms));
        // The answer to what is not looked at any more.
        if at_ms != self.at_ms {
            return;
        }
        if let Some(chart) = &news.chart {
            self.history.fill(chart);
        }
        self.history.add(&news.live);
        let known = &mut self.newest;
        known.live = Some(news.live);
        // A table of another view stays away until that view is looked at again.
        (known.pools, known.leases) = (news.pools, news.leases);
        (known.alerts, known.incidents) = news.alerts.unwrap_or_default();
        known.lacks = news.lacks;
    }

    fn fail(&mut self, trouble: Trouble, why: String, again: Duration) {
        let again_ms = i64::try_from(again.as_millis()).unwrap_or(i64::MAX);
        let next_ms = self.now_ms.saturating_add(again_ms);
        let since_ms = match &self.link {
            Link::Lost { since_ms, .. } => *since_ms,
            _ => self.now_ms,
        };
        self.link = Link::Lost {
            trouble,
            since_ms,
            next_ms,
            why,
        };
    }

    fn told(&mut self, action: &Action, came: Result<Outcome, String>) {
        self.busy = false;
        let (good, text) = match came {
            Ok(outcome) if outcome.text.is_empty() => {
                let done = if outcome.done { "done" } else { "not done" };
                (outcome.done, format!("{}: {done}", action.name))
            }
            Ok(outcome) => (outcome.done, outcome.text),
            Err(why) => (false, why),
        };
        self.say(good, text);
    }

    fn say(&mut self, good: bool, text: impl Into<String>) {
        self.notice = Some(Notice {
            good,
            text: text.into(),
            at_ms: self.now_ms,
        });
    }

    fn press(&mut self, key: Key, page: usize, effects: &mut Vec<Effect>) {
        // Ctrl-C leaves, whatever is open.
        if key == Key::Ctrl('c') {
            effects.push(Effect::Quit);
            return;
        }
        match std::mem::take(&mut self.over) {
            Over::Filter(before) => self.type_filter(key, before),
            Over::Confirm(action, row) => {
                self.over = row.map_or(Over::Nothing, Over::Row);
                self.answer(key, action, effects);
            }
            over => {
                self.over = over;
                if let Some(order) = keys::order(key) {
                    self.notice = None;
                    self.obey(order, page, effects);
                }
            }
        }
    }

    fn type_filter(&mut self, key: Key, before: String) {
        match key {
            Key::Enter => return,
            Key::Esc => {
                self.filter = before;
                return;
            }
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Ctrl('u') => self.filter.clear(),
            Key::Char(c) if !c.is_control() && self.filter.len() + c.len_utf8() <= FILTER_MAX => {
                self.filter.push(c);
            }
            _ => {}
        }
        self.over = Over::Filter(before);
    }

    fn answer(&mut self, key: Key, action: Action, effects: &mut Vec<Effect>) {
        match key {
            Key::Char('y') => {
                self.busy = true;
                effects.push(Effect::Do(action));
            }
            // Neither a habit nor a pasted text says yes.
            _ => self.say(false, "Nothing was done: only y says yes."),
        }
    }

    fn obey(&mut self, order: Order, page: usize, effects: &mut Vec<Effect>) {
        match order {
            Order::Quit => effects.push(Effect::Quit),
            Order::Out => self.out(effects),
            Order::View(view) => self.show(view),
            Order::Next => self.show(View::ALL[(self.view.index() + 1) % View::ALL.len()]),
            Order::Before => self.show(View::ALL[(self.view.index() + 4) % View::ALL.len()]),
            Order::Move(by) => self.walk(by as isize),
            Order::Page(by) => self.walk(by as isize * page.max(1) as isize),
            Order::First => self.walk(isize::MIN),
            Order::Last => self.walk(isize::MAX),
            Order::Open => self.open(),
            Order::Sort(by) => self.resort(by),
            Order::Filter => {
                if self.view == View::Budget {
                    self.say(false, "There is nothing to filter here.");
                } else {
                    self.over = Over::Filter(self.filter.clone());
                }
            }
            Order::Hold => {
                self.held = match self.held {
                    Some(_) => None,
                    None => Some((Box::new(self.newest.clone()), self.now_ms)),
                }
            }
            Order::Pace(by) => self.pace = paced(self.pace, by),
            Order::Travel(by) => self.travel(by),
            Order::Now => self.look_at(None),
            Order::Do(deed) => self.ask_first(deed),
            Order::Help => self.lay_over(Over::Help),
            Order::Redraw => effects.push(Effect::Redraw),
            Order::Suspend => effects.push(Effect::Suspend),
        }
    }

    fn out(&mut self, effects: &mut Vec<Effect>) {
        if self.over != Over::Nothing {
            self.over = Over::Nothing;
        } else if !self.filter.is_empty() {
            self.filter.clear();
        } else {
            effects.push(Effect::Quit);
        }
    }

    fn show(&mut self, view: View) {
        self.over = Over::Nothing;
        self.view = view;
    }

    fn lay_over(&mut self, over: Over) {
        (self.over, self.scroll) = (over, 0);
    }

    fn walk(&mut self, by: isize) {
        if self.over != Over::Nothing {
            // What is drawn knows where the end is.
            self.scroll = self.scroll.saturating_add_signed(by).min(10_000);
            return;
        }
        let keys = rows::keys(self);
        let Some(last) = keys.len().checked_sub(1) else {
            return;
        };
        let at = match self.chosen(&keys) {
            Some(at) => at.saturating_add_signed(by).min(last),
            // The first press chooses the first row, however it is made.
            None if by == isize::MAX => last,
            None => 0,
        };
        let chosen = keys.get(at).cloned();
        let place = self.place_mut();
        (place.at, place.chosen) = (at, chosen);
    }

    fn open(&mut self) {
        if self.over != Over::Nothing {
            self.over = Over::Nothing;
            return;
        }
        match rows::chosen_key(self) {
            Some(key) => self.lay_over(Over::Row(key)),
            None if self.view == View::Overview => self.lay_over(Over::Verdict),
            None => self.say(false, "No row is chosen: j and k choose one."),
        }
    }

    fn resort(&mut self, by: i32) {
        let count = sorts(self.view).len();
        if count < 2 {
            self.say(false, "These rows have one order only.");
            return;
        }
        let step = if by < 0 { count - 1 } else { 1 };
        let place = self.place_mut();
        place.sort = (place.sort + step) % count;
    }

    fn travel(&mut self, by: i32) {
        let from = self
            .at_ms
            .or(self.known().live.as_ref().map(|live| live.at_ms));
        let Some(from) = from else { return };
        let to = from.saturating_add(i64::from(by).saturating_mul(TRAVEL_MS));
        let newest = self.newest.live.as_ref().filter(|live| !live.past);
        // Beyond the newest second is now.
        let end = newest.map_or(self.now_ms, |live| live.at_ms.max(self.now_ms));
        let ahead = to >= end || (self.at_ms.is_none() && by > 0);
        self.look_at((!ahead).then_some(to.max(0)));
    }

    fn look_at(&mut self, at_ms: Option<i64>) {
        if self.at_ms != at_ms {
            self.at_ms = at_ms;
            self.held = None;
            self.history.clear();
        }
    }

    fn ask_first(&mut self, deed: Deed) {
        if self.busy {
            return self.say(false, "One thing at a time: the last is still under way.");
        }
        if self.at_ms.is_some() {
            return self.say(false, "That is the past: n goes back to now.");
        }
        let action = match deed {
            Deed::Pause | Deed::Resume => rows::chosen_pool(self)
                .map(|pool| Action::database(deed, &pool.database))
                .ok_or("Choose a pool first: 2 shows them, j and k choose."),
            _ => rows::chosen_lease(self)
                .map(|lease| Action::lease(deed, lease))
                .ok_or("Choose a lease first: 3 shows them, j and k choose."),
        };
        match action {
            Ok(action) => {
                let row = match std::mem::take(&mut self.over) {
                    Over::Row(key) => Some(key),
                    _ => None,
                };
                self.over = Over::Confirm(action, row);
            }
            Err(what) => self.say(false, what),
        }
    }
}

/// Orders of a view's rows; empty: it has one only.
pub fn sorts(view: View) -> &'static [&'static str] {
    match view {
        View::Pools => POOL_SORTS,
        View::Leases => LEASE_SORTS,
        _ => &[],
    }
}

/// What is given on the command line obeys the same bound as what is typed.
fn short(filter: &str) -> String {
    let visible = filter.chars().filter(|c| !c.is_control());
    let mut kept = String::new();
    for c in visible {
        if kept.len() + c.len_utf8() > FILTER_MAX {
            break;
        }
        kept.push(c);
    }
    kept
}

fn paced(pace: Duration, by: i32) -> Duration {
    let ms = u64::try_from(pace.as_millis()).unwrap_or(u64::MAX);
    let next = match by > 0 {
        true => PACES_MS.iter().find(|p| **p > ms),
        false => PACES_MS.iter().rev().find(|p| **p < ms),
    };
    next.map_or(pace, |ms| Duration::from_millis(*ms))
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
