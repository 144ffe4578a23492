//! Prediction in a child process: what would other settings have done?
//!
//! The parent hands the recorded shape and both settings to a child of the same
//! program ([`COMMAND`]), which plays them ([`sim::predict`]) at the lowest priority, with
//! bounded memory and time, and is killed at the deadline. Whatever goes wrong is an
//! answer too: [`Verdict::Unknown`], with the reason. Nothing of it touches the
//! data plane.
//!
//! ```no_run
//! use control::predict::{Request, own_program, run};
//! use std::time::Duration;
//! # fn plans() -> (events::shape::Shape, config::Plan, config::Plan) { unimplemented!() }
//! let (shape, old, new) = plans();
//! let request = Request::new(&shape, &old, &new);
//! let prediction = run(&own_program(), &request, Duration::from_secs(10));
//! println!("{prediction}");
//! ```

#![allow(clippy::disallowed_methods)] // A child, its pipes and its deadline.

mod child;
mod json;

pub use child::{COMMAND, serve};

use config::Plan;
use config::rollout::Verdict;
use events::shape::Shape;
use sim::predict::{Choice, Effort, Part};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Longest answer, bytes.
const ANSWER_MAX: u64 = 4 << 20;

/// A question: recorded traffic, and two settings for each of its servers.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    pub(crate) shape: Shape,
    /// With what the traffic was recorded, by server.
    pub(crate) old: Vec<Choice>,
    /// What would hold instead.
    pub(crate) new: Vec<Choice>,
    pub(crate) requests: u64,
}

impl Request {
    /// What happens to the recorded traffic when `new` replaces `old`, under which
    /// it was recorded.
    pub fn new(shape: &Shape, old: &Plan, new: &Plan) -> Request {
        let of = |plan: &Plan| -> Vec<Choice> {
            let servers = shape.servers.iter();
            servers.map(|s| Choice::of(plan, old, s)).collect()
        };
        Request {
            shape: shape.clone(),
            old: of(old),
            new: of(new),
            requests: Effort::default().requests,
        }
    }

    /// Nothing changes that pools read: there is nothing to predict.
    pub fn is_idle(&self) -> bool {
        self.old == self.new
    }
}

/// An answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Prediction {
    /// Over all pools: worse where one is, else unknown where one is.
    pub verdict: Verdict,
    /// Why nothing could be predicted at all; `None` when there are pools.
    pub problem: Option<String>,
    /// By pool.
    pub pools: Vec<PoolAnswer>,
}

/// An answer about one pool.
#[derive(Clone, PartialEq, Debug)]
pub struct PoolAnswer {
    /// The name that clients use.
    pub database: String,
    /// The user at the server.
    pub user: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// The verdict in words, with its figures.
    pub text: String,
    /// Figures by load, the quietest first.
    pub parts: Vec<Part>,
}

impl Prediction {
    fn unknown(problem: impl Into<String>) -> Prediction {
        Prediction {
            verdict: Verdict::Unknown,
            problem: Some(problem.into()),
            pools: Vec::new(),
        }
    }

    fn of(pools: Vec<PoolAnswer>) -> Prediction {
        let any = |verdict| pools.iter().any(|pool| pool.verdict == verdict);
        let verdict = match (any(Verdict::Worse), any(Verdict::Unknown)) {
            (true, _) => Verdict::Worse,
            (_, true) => Verdict::Unknown,
            _ => Verdict::Fine,
        };
        Prediction {
            verdict,
            problem: None,
            pools,
        }
    }
}

impl std::fmt::Display for Prediction {
    /// A line for each pool, then its figures old and new.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(problem) = &self.problem {
            return writeln!(f, "no prediction: {problem}");
        }
        for pool in &self.pools {
            writeln!(f, "{}/{}: {}", pool.database, pool.user, pool.text)?;
            let Some(part) = pool.parts.last() else {
                continue;
            };
            let rows = [
                ("p50 wait, ms", part.old.wait_p50_ms, part.new.wait_p50_ms),
                ("p99 wait, ms", part.old.wait_p99_ms, part.new.wait_p99_ms),
                ("refused, share", part.old.refused, part.new.refused),
                ("in use, share", part.old.used, part.new.used),
                ("per second", part.old.rate, part.new.rate),
            ];
            for (name, old, new) in rows {
                writeln!(
                    f,
                    "    {name:<15} {:>9.2}  →  {:>9.2}  ({:.2} to {:.2})",
                    old.value, new.value, new.low, new.high
                )?;
            }
        }
        Ok(())
    }
}

/// The program to start: this one, also after its file was replaced.
pub fn own_program() -> PathBuf {
    let own = Path::new("/proc/self/exe");
    match own.exists() {
        true => own.into(),
        false => std::env::current_exe().unwrap_or_else(|_| "plimsoll".into()),
    }
}

/// Asks a child of `program`, and waits for its answer until the deadline. Blocks
/// the calling thread for so long: not for an event loop.
pub fn run(program: &Path, request: &Request, deadline: Duration) -> Prediction {
    if request.shape.requests() == 0 {
        return Prediction::unknown("no traffic is recorded yet");
    }
    if request.is_idle() {
        return Prediction::of(Vec::new());
    }
    match ask(program, json::request_text(request), deadline) {
        Ok(text) => match json::pools(&text) {
            Some(pools) => Prediction::of(pools),
            None => Prediction::unknown("the child's answer cannot be read"),
        },
        Err(problem) => Prediction::unknown(problem),
    }
}

/// Ends with its owner.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(program: &Path, question: String, deadline: Duration) -> Result<String, String> {
    let until = Instant::now() + deadline;
    let mut command = Command::new(program);
    // Neither secrets nor settings come from the environment here.
    command.arg(COMMAND).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let child = command.stderr(Stdio::null()).spawn();
    let mut child = Killed(child.map_err(|e| format!("the child does not start: {e}"))?);
    let (Some(mut input), Some(output)) = (child.0.stdin.take(), child.0.stdout.take()) else {
        return Err("the child has no pipes".into());
    };
    // Both threads end when the child does, at the latest when it is killed.
    std::thread::spawn(move || {
        let _ = input.write_all(question.as_bytes());
    });
    let (to, answer) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = output.take(ANSWER_MAX).read_to_string(&mut text);
        let _ = to.send(read.map(|_| text));
    });
    let left = until.saturating_duration_since(Instant::now());
    let text = match answer.recv_timeout(left) {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return Err(format!("the child's answer cannot be read: {error}")),
        Err(_) => return Err(format!("no answer within {} ms", deadline.as_millis())),
    };
    match text.is_empty() {
        true => Err("the child gave no answer".into()),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests;
