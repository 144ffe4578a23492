//! What a trainee may type.

use super::Deed;
use diagnose::Cause;
use std::time::Duration;

/// One line that was typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// What clients complain of.
    Look,
    /// Where it stands: time, figures, what was tried.
    Status,
    /// The next hint.
    Hint,
    /// An answer.
    Suspect(Cause),
    /// An action.
    Do(Deed),
    /// Let time pass; `None`: until clients are well, or a minute.
    Wait(Option<Duration>),
    /// Addresses of the page, the database and the console.
    Addresses,
    /// The words that may be typed.
    Help,
    /// The causes that may be named.
    Causes,
    /// End it.
    GiveUp,
}

/// Longest wait that one line may ask for.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// The help, without the actions.
pub const HELP: &str = "\
look             what clients complain of
status           how long it hurts, the figures, what was tried
page, psql       addresses: live page, database, console, other commands
suspect CAUSE    answer; `causes` lists what can be named
do ACTION        try something; its effect on clients is measured
wait [30s]       let time pass; without a time: until clients are well, at most a minute
hint             the next hint; after the last the diagnosis is shown
give up          end it, with the debrief
help             this
";

/// Reads a line. An empty line or a comment is nothing.
///
/// # Errors
/// What is wrong with it, for the person.
pub fn parse(line: &str) -> Result<Option<Command>, String> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let (verb, rest) = match line.split_once(char::is_whitespace) {
        Some((verb, rest)) => (verb, rest.trim()),
        None => (line, ""),
    };
    let alone = |command| match rest {
        "" => Ok(Some(command)),
        _ => Err(format!("`{verb}` stands alone")),
    };
    match verb {
        "" => Ok(None),
        "look" => alone(Command::Look),
        "status" => alone(Command::Status),
        "hint" => alone(Command::Hint),
        "page" | "psql" | "tools" => alone(Command::Addresses),
        "help" | "?" => alone(Command::Help),
        "causes" => alone(Command::Causes),
        "suspect" => cause(rest).map(|cause| Some(Command::Suspect(cause))),
        "do" => Deed::parse(rest).map(|deed| Some(Command::Do(deed))),
        "wait" => span(rest).map(|span| Some(Command::Wait(span))),
        "give" if rest == "up" => Ok(Some(Command::GiveUp)),
        "quit" | "exit" => alone(Command::GiveUp),
        _ => Err(format!("`{verb}` is not understood; `help` lists what is")),
    }
}

fn cause(text: &str) -> Result<Cause, String> {
    let label = text.to_lowercase().replace(['-', ' '], "_");
    Cause::of_label(&label).ok_or_else(|| match text {
        "" => "`suspect` needs a cause; `causes` lists them".to_owned(),
        _ => format!("`{text}` is no cause; `causes` lists them"),
    })
}

/// Seconds, or "30s", "2m".
fn span(text: &str) -> Result<Option<Duration>, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm']) {
        Some(number) => (number, if text.ends_with('m') { 60 } else { 1 }),
        None => (text, 1),
    };
    match (text, number.trim().parse::<u64>()) {
        ("" | "well", _) => Ok(None),
        (_, Ok(n)) => {
            let span = Duration::from_secs(n.saturating_mul(unit));
            Ok(Some(span.min(WAIT_MAX)))
        }
        _ => Err("a time is written as 30s or 2m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let table = [
            ("", None),
            ("  # a comment", None),
            ("look", Some(Command::Look)),
            (" psql ", Some(Command::Addresses)),
            ("suspect leak", Some(Command::Suspect(Cause::Leak))),
            (
                "suspect Slow-Statements # hm",
                Some(Command::Suspect(Cause::SlowStatements)),
            ),
            ("do cancel", Some(Command::Do(Deed::CancelLongest))),
            ("wait", Some(Command::Wait(None))),
            ("wait 5", Some(Command::Wait(Some(Duration::from_secs(5))))),
            (
                "wait 2m",
                Some(Command::Wait(Some(Duration::from_secs(120)))),
            ),
            ("wait 9999m", Some(Command::Wait(Some(WAIT_MAX)))),
            ("give up", Some(Command::GiveUp)),
        ];
        for (line, command) in table {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
        for (line, said) in [
            ("lok", "`lok` is not understood"),
            ("give", "not understood"),
            ("suspect", "needs a cause"),
            ("suspect gremlins", "is no cause"),
            ("do", "there is no action"),
            ("wait long", "written as 30s"),
            ("look around", "stands alone"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
