//! The child's side.

use super::json;
use rustix::process::{Resource, Rlimit, nice, setrlimit};
use sim::predict::{Effort, predict};
use std::io::{Read, Write};

/// The hidden command by which the program is a child that predicts.
pub const COMMAND: &str = "predict-worker";

/// Longest question, bytes.
const QUESTION_MAX: u64 = 8 << 20;
/// Address space of the child, bytes.
const MEMORY_MAX: u64 = 1 << 30;
/// CPU time of the child, seconds.
const CPU_MAX_S: u64 = 20;
/// Requests that a question may want played.
const REQUESTS_MAX: u64 = 2_000_000;

/// Answers one question, from standard input, on standard output.
///
/// # Errors
/// What cannot be read or written.
pub fn serve(input: impl Read, mut output: impl Write) -> Result<(), String> {
    humble();
    let mut text = String::new();
    let read = input.take(QUESTION_MAX).read_to_string(&mut text);
    read.map_err(|e| format!("cannot read the question: {e}"))?;
    let answer = answer(&text).ok_or("the question cannot be read")?;
    let written = output.write_all(answer.as_bytes());
    written.map_err(|e| format!("cannot write the answer: {e}"))
}

/// Whoever serves clients goes first; and there is an end to everything.
fn humble() {
    let _ = nice(19);
    let limit = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    let _ = setrlimit(Resource::As, limit(MEMORY_MAX));
    let _ = setrlimit(Resource::Cpu, limit(CPU_MAX_S));
}

pub(super) fn answer(question: &str) -> Option<String> {
    let request = json::request(question)?;
    let servers = request.shape.servers.iter();
    let changed = request.old.iter().zip(&request.new).filter(|(a, b)| a != b);
    let effort = Effort {
        requests: request.requests.min(REQUESTS_MAX) / changed.count().max(1) as u64,
        ..Effort::default()
    };
    let mut pools = Vec::new();
    for (server, (old, new)) in servers.zip(request.old.iter().zip(&request.new)) {
        if old != new {
            pools.extend(predict(server, old, new, &effort));
        }
    }
    Some(json::answer_text(&pools))
}
