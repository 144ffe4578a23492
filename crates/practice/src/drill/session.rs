//! One drill on its way: what was typed, what was felt, and when it is over.

mod noting;

use super::debrief::{ActionTaken, HintTaken, Hypothesis};
use super::{Command, Deed, Drill, Effect, Ending, Felt, HELP, command};
use diagnose::{Cause, State, Verdict};
use std::time::Duration;

/// Clients are well for so long before it counts.
const WELL_FOR: Duration = Duration::from_secs(4);
/// Lines of complaints and causes that are kept of one question.
const FIGURES_MAX: usize = 6;
/// Most answers, actions and hints of one drill that are noted.
const NOTED_MAX: usize = 200;

/// How things are, at the moment of a question.
#[derive(Clone, Copy)]
pub struct Now<'a> {
    /// What clients feel.
    pub felt: &'a Felt,
    /// What they complain of, application by application.
    pub complaints: &'a [String],
    /// What the pooler's diagnosis says.
    pub verdict: &'a Verdict,
    /// Where everything is.
    pub addresses: &'a str,
}

/// What is to be done about a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Words for the trainee.
    Say(String),
    /// The shell does this, measures, and calls [`Session::did`].
    Do(Deed),
    /// The shell lets time pass; `None`: until clients are well.
    Wait(Option<Duration>),
    /// The diagnosis is shown from now on, here and on the page.
    Reveal(String),
}

/// A drill on its way. Times are those since the pager.
pub struct Session {
    pub(super) drill: &'static Drill,
    pub(super) usual: Felt,
    pub(super) worst: Felt,
    pub(super) hypotheses: Vec<Hypothesis>,
    pub(super) actions: Vec<ActionTaken>,
    pub(super) hints: Vec<HintTaken>,
    /// The last verdict that said anything while it hurt.
    pub(super) verdict: Option<Verdict>,
    pub(super) diagnosis_right: Option<Duration>,
    pub(super) named: Option<Duration>,
    /// Clients are well since then.
    pub(super) well: Option<Duration>,
    /// It was said that they are.
    well_said: bool,
    /// The diagnosis is shown.
    revealed: bool,
}

impl Session {
    /// It begins with the pager. `revealed`: the diagnosis is shown from the start.
    pub fn new(drill: &'static Drill, usual: Felt, revealed: bool) -> Session {
        Session {
            drill,
            usual,
            worst: usual,
            hypotheses: Vec::new(),
            actions: Vec::new(),
            hints: Vec::new(),
            verdict: None,
            diagnosis_right: None,
            named: None,
            well: None,
            well_said: false,
            revealed,
        }
    }

    /// What is read first.
    pub fn pager(&self) -> String {
        let mut text = format!("PAGER  {}\n", self.drill.pager);
        for line in self.drill.channel {
            text.push_str(&format!("       somebody in the channel: {line}\n"));
        }
        text
    }

    /// What follows from a line that was typed.
    pub fn handle(&mut self, at: Duration, command: &Command, now: Now<'_>) -> Answer {
        match command {
            Command::Look => Answer::Say(look(now)),
            Command::Status => Answer::Say(self.status(at, now.felt)),
            Command::Hint => self.hint(at, now.verdict),
            Command::Suspect(cause) => Answer::Say(self.suspect(at, *cause, now.verdict)),
            Command::Do(deed) => Answer::Do(deed.clone()),
            Command::Wait(span) => Answer::Wait(*span),
            Command::Addresses => Answer::Say(now.addresses.to_owned()),
            Command::Help => Answer::Say(help()),
            Command::Causes => Answer::Say(causes()),
            // The shell ends it; nothing is left to say here.
            Command::GiveUp => Answer::Say(String::new()),
        }
    }

    /// A line that is not understood has an answer too.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(line: &str) -> Result<Option<Command>, String> {
        command::parse(line)
    }

    /// Each second: how clients fare and what the diagnosis says. Words for the
    /// trainee where something is new.
    pub fn feel(&mut self, at: Duration, felt: &Felt, verdict: Option<&Verdict>) -> Option<String> {
        if felt.failed_percent > self.worst.failed_percent || felt.p95_ms > self.worst.p95_ms {
            self.worst = *felt;
        }
        if let Some(verdict) = verdict {
            self.note(at, verdict);
        }
        if !felt.well(&self.usual) {
            self.well = None;
            let said = std::mem::take(&mut self.well_said);
            return said.then(|| "It hurts again.".to_owned());
        }
        let since = *self.well.get_or_insert(at);
        if self.well_said || at.saturating_sub(since) < WELL_FOR {
            return None;
        }
        self.well_said = true;
        let more = match self.named {
            Some(_) => "",
            None => " What was it? `suspect CAUSE` ends the drill.",
        };
        Some(format!("Clients are well again.{more}"))
    }

    /// An action was carried out. Words for the trainee.
    pub fn did(
        &mut self,
        at: Duration,
        deed: &Deed,
        said: Result<String, String>,
        figures: (Felt, Felt),
    ) -> String {
        let (before, after) = figures;
        let done = match said {
            Ok(done) => done,
            // It could not be done: it is no wrong action of the trainee's.
            Err(error) => return format!("Not done: {error}"),
        };
        let effect = Effect::of(&self.usual, &before, &after);
        let text = format!(
            "{done}\nBefore: {before}\nAfter:  {after}\nSo {}.",
            effect.words()
        );
        if self.actions.len() < NOTED_MAX {
            self.actions.push(ActionTaken {
                at_s: seconds(at),
                action: deed.words(),
                done,
                before,
                after,
                effect,
            });
        }
        text
    }

    /// It is over: the cause is named and clients are well.
    pub fn over(&self, at: Duration) -> Option<Ending> {
        let well = self
            .well
            .is_some_and(|since| at.saturating_sub(since) >= WELL_FOR);
        (well && self.named.is_some()).then_some(Ending::Solved)
    }

    /// Clients are well since some seconds.
    pub fn is_well(&self, at: Duration) -> bool {
        self.well
            .is_some_and(|since| at.saturating_sub(since) >= WELL_FOR)
    }

    /// The cause was named.
    pub fn is_named(&self) -> bool {
        self.named.is_some()
    }

    fn hint(&mut self, at: Duration, verdict: &Verdict) -> Answer {
        let text = self.drill.hints.get(self.hints.len()).copied();
        let (text, answer) = match text {
            Some(text) => (text.to_owned(), Answer::Say(format!("Hint: {text}"))),
            None => {
                self.revealed = true;
                let text = shown(verdict);
                let said = format!(
                    "The diagnosis is shown from now on, on the page too (reload it).\n{text}"
                );
                ("the diagnosis".to_owned(), Answer::Reveal(said))
            }
        };
        if self.hints.len() < NOTED_MAX {
            self.hints.push(HintTaken {
                at_s: seconds(at),
                text,
            });
        }
        answer
    }

    fn status(&self, at: Duration, felt: &Felt) -> String {
        let mut text = format!(
            "It hurts since {:.0} s.\nusual: {}\nnow:   {felt}\n",
            seconds(at),
            self.usual
        );
        for one in &self.hypotheses {
            text.push_str(&format!("suspected {}: {}\n", one.cause, one.verdict));
        }
        for one in &self.actions {
            text.push_str(&format!("did {}: {}\n", one.action, one.effect.words()));
        }
        let left = self.drill.hints.len().saturating_sub(self.hints.len());
        text.push_str(&match (left, self.revealed) {
            (0, true) => "no hints are left".to_owned(),
            (0, false) => "the last hint is the diagnosis".to_owned(),
            (left, _) => format!("hints left: {left}, then the diagnosis"),
        });
        text
    }
}

/// What clients complain of: no figure of the pooler's.
fn look(now: Now<'_>) -> String {
    let mut text = format!("{}\n", now.felt);
    for line in now.complaints {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("More is to be seen on the live page and in the console: `page`.");
    text
}

fn help() -> String {
    let mut text = HELP.to_owned();
    text.push_str("\nACTION is one of\n");
    for (usage, meaning) in Deed::OFFERED {
        text.push_str(&format!("  {usage:<22} {meaning}\n"));
    }
    text.trim_end().to_owned()
}

fn causes() -> String {
    let line = |cause: &Cause| format!("{:<24} {}", cause.label(), cause.title());
    let lines: Vec<String> = Cause::ALL.iter().map(line).collect();
    lines.join("\n")
}

/// A verdict in a few lines.
fn shown(verdict: &Verdict) -> String {
    let mut text = verdict.summary.clone();
    for finding in verdict.findings.iter().take(FIGURES_MAX) {
        text.push_str(&format!("\n  {}: {}", finding.cause.label(), finding.text));
    }
    for one in verdict.ruled_out.iter().take(FIGURES_MAX) {
        text.push_str(&format!("\n  not {}: {}", one.cause.label(), one.figure));
    }
    if verdict.state == State::Calm && verdict.summary.is_empty() {
        text.push_str("it sees nothing wrong");
    }
    text
}

pub(super) fn seconds(at: Duration) -> f64 {
    (at.as_secs_f64() * 10.0).round() / 10.0
}
