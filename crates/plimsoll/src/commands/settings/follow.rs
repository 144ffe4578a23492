//! Following a change until it serves, or until its end.

use super::{print, show};
use control::api::{Client, ClientError};
use control::settings::keeper::HistoryLine;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// How long.
#[derive(Clone, Copy)]
pub struct Limit {
    /// Until it has proved itself, not only until it serves.
    pub until_the_end: bool,
    /// At most.
    pub timeout: Duration,
}

impl Limit {
    /// For what acts at once.
    pub fn short() -> Limit {
        Limit {
            until_the_end: false,
            timeout: Duration::from_secs(30),
        }
    }
}

/// Waits for a version, and says each state on the way. Returns where it is.
pub fn follow(
    client: &Client,
    version: u64,
    limit: Limit,
    aloud: bool,
) -> Result<HistoryLine, anyhow::Error> {
    let begun = Instant::now();
    let mut said = String::new();
    loop {
        let line = match client.version(version) {
            Ok(text) => text.line,
            // The pooler is restarting, perhaps; the change is in its journal.
            Err(ClientError::Nobody(..)) if begun.elapsed() < limit.timeout => {
                std::thread::sleep(PAUSE * 5);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let words = show::state_words(&line);
        if aloud && words != said {
            print(&format!("version {version}  {words}\n"))?;
            said = words;
        }
        if is_over(&line, limit.until_the_end) || begun.elapsed() >= limit.timeout {
            return Ok(line);
        }
        std::thread::sleep(PAUSE);
    }
}

fn is_over(line: &HistoryLine, until_the_end: bool) -> bool {
    match line.state.as_str() {
        "applied" | "rolled_back" | "refused" | "adopted" | "temporary" => true,
        "watching" => !until_the_end,
        // The last step serves: all of the new values hold.
        "staging" => !until_the_end && line.detail == "1/1 serves",
        _ => false,
    }
}

/// 0 where it serves.
pub fn code(line: &HistoryLine) -> ExitCode {
    match line.state.as_str() {
        "applied" | "watching" | "adopted" | "temporary" => ExitCode::SUCCESS,
        "staging" if line.detail == "1/1 serves" => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
