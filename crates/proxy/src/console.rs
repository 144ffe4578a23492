//! The console's statements.

mod showing;
pub(crate) mod waiting;

use crate::admin::{Handle, Leave, ReloadError};
use crate::columns;
use crate::guards;
use crate::held::Verb;
use crate::port::ConsoleJob;
use crate::words::{self, theirs};
use relay::statement::{assignment, shown, words};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// RELOADs that wait for their end at a time.
const RELOADS_MAX: u32 = 8;

/// Runs the console's statements, one at a time, and takes the averages' readings.
pub(crate) fn run(handle: &Handle, jobs: &Receiver<ConsoleJob>) {
    let mut period_start = Instant::now();
    loop {
        let period = handle.plan().log.stats_period.max(Duration::from_secs(1));
        let left = period.saturating_sub(period_start.elapsed());
        // The switch of the guards ends by itself, here.
        let mut next = handle.guards_due().map_or(left, |due| left.min(due));
        if handle.common().waits.any() || handle.is_suspended() {
            next = next.min(waiting::LOOK);
        }
        match jobs.recv_timeout(next) {
            Ok(job) if is_reload(&job) => reload_apart(handle, job),
            Ok(job) => {
                let text = String::from_utf8_lossy(&job.text);
                if let Some(reply) = answer(handle, &job, &text) {
                    handle.console_reply(job.client, reply);
                }
            }
            Err(RecvTimeoutError::Timeout) if period_start.elapsed() < period => {}
            Err(RecvTimeoutError::Timeout) => {
                handle.next_period(period_start.elapsed());
                period_start = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        waiting::look(handle);
    }
}

/// The answer; `None`: it follows later, or was given.
fn answer(handle: &Handle, job: &ConsoleJob, text: &str) -> Option<Vec<u8>> {
    let (words, whole) = words(text);
    let upper: Vec<String> = words.iter().map(|w| w.to_ascii_uppercase()).collect();
    let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
    let mut out = Vec::new();
    match upper.as_slice() {
        [] if !in_compatibility(handle) => wire::back::empty_query(&mut out),
        [] => return Some(invalid(handle, text)),
        // Keys of cancel requests and the like would stand there.
        ["SHOW" | "SELECT", "FDS"] if !job.admin => return Some(needs_admin(handle)),
        ["SHOW" | "SELECT", rest @ ..] => return Some(showing::show(handle, rest, text)),
        // Drivers set these when they connect; PgBouncer takes them too.
        ["SET", name, ..] if is_session_setting(name) => {
            wire::back::command_complete(&mut out, "SET")
        }
        ["GUARDS"] => return Some(showing::show(handle, &["GUARDS"], text)),
        // A command of ours alone: programs of ours know its code.
        ["GUARDS", ..] if !job.admin => needs_admin_with(&mut out, "42501"),
        _ if !job.admin => return Some(needs_admin(handle)),
        ["GUARDS", ..] => guards::command(handle, &job.actor, text, &mut out),
        [word] if Verb::of(word).is_some() => return hold(handle, job, word, None),
        [word, _] if whole && Verb::of(word).is_some_and(|verb| verb != Verb::Suspend) => {
            return hold(handle, job, word, words.get(1).map(String::as_str));
        }
        ["KILL_CLIENT"] => return Some(refusal(handle, "42601", "a client pointer is required")),
        ["KILL_CLIENT", id] => return Some(kill_client(handle, &job.user, id)),
        ["SHUTDOWN", rest @ ..] => return shutdown(handle, job, rest, text),
        ["SET", ..] => return Some(set(handle, &job.actor, text)),
        _ => return Some(invalid(handle, text)),
    }
    Some(out)
}

/// PgBouncer's console has one code for every mistake.
fn in_compatibility(handle: &Handle) -> bool {
    handle.plan().error_style == config::ErrorStyle::Pgbouncer
}

/// An error; its code is PgBouncer's in compatibility mode.
fn refusal(handle: &Handle, code: &str, message: &str) -> Vec<u8> {
    let code = match in_compatibility(handle) {
        true => "08P01",
        false => code,
    };
    let mut out = Vec::new();
    columns::error(&mut out, code, message);
    out
}

fn invalid(handle: &Handle, text: &str) -> Vec<u8> {
    let text = format!("invalid command '{}', use SHOW HELP;", shown(text));
    refusal(handle, "42601", &text)
}

fn needs_admin(handle: &Handle) -> Vec<u8> {
    let mut out = Vec::new();
    match in_compatibility(handle) {
        true => needs_admin_with(&mut out, "08P01"),
        false => needs_admin_with(&mut out, "42501"),
    }
    out
}

fn needs_admin_with(out: &mut Vec<u8>, code: &str) {
    columns::error_with(
        out,
        (code, "admin access needed"),
        None,
        Some("This needs a user that admin_users names; stats_users may only SHOW."),
    );
}

/// PAUSE and its like. PAUSE, SUSPEND and WAIT_CLOSE are answered when they are done.
fn hold(handle: &Handle, job: &ConsoleJob, word: &str, database: Option<&str>) -> Option<Vec<u8>> {
    let verb = Verb::of(word)?;
    words::issued(verb.word(), database);
    match handle.administer(verb, database, &job.user) {
        Err(why) => Some(refusal(handle, why.code(), &shown(&why.to_string()))),
        Ok(()) if matches!(verb, Verb::Pause | Verb::Suspend | Verb::WaitClose) => {
            waiting::begin(handle, job.client, verb, database, &job.user)
        }
        Ok(()) => {
            let mut out = Vec::new();
            wire::back::command_complete(&mut out, verb.word());
            Some(out)
        }
    }
}

fn kill_client(handle: &Handle, actor: &str, id: &str) -> Vec<u8> {
    let mut out = Vec::new();
    match id.parse() {
        Ok(id) if handle.kill_client(id, actor) => {
            wire::back::command_complete(&mut out, "KILL_CLIENT");
        }
        Ok(_) => return refusal(handle, "22023", "client not found"),
        Err(_) => {
            return refusal(
                handle,
                "22023",
                "invalid client pointer supplied: KILL_CLIENT takes an id of SHOW CLIENTS",
            );
        }
    }
    out
}

/// The answer goes first: an orderly end begins with the console's own sessions.
fn shutdown(handle: &Handle, job: &ConsoleJob, how: &[&str], text: &str) -> Option<Vec<u8>> {
    let leave = match how {
        [] => None,
        ["WAIT_FOR_SERVERS"] => Some(Leave::ServersReleased),
        ["WAIT_FOR_CLIENTS"] => Some(Leave::ClientsGone),
        _ => return Some(invalid(handle, text)),
    };
    if leave.is_some_and(|leave| !handle.may_leave(leave)) {
        return Some(refusal(handle, "55000", "already shutting down"));
    }
    handle.note_action(
        &job.user,
        "SHUTDOWN",
        how.first().copied().unwrap_or_default(),
    );
    let said: Vec<&str> = ["SHUTDOWN"]
        .into_iter()
        .chain(how.iter().copied())
        .collect();
    words::issued(&said.join(" "), None);
    let mut out = Vec::new();
    wire::back::command_complete(&mut out, "SHUTDOWN");
    handle.console_reply(job.client, out);
    match leave {
        None => handle.end_now(),
        Some(leave) => handle.leave(leave),
    }
    None
}

/// The first mistake is the message; all of them, a line each, are the detail.
/// PgBouncer's words for it say nothing, and there all of them are the detail.
fn reload_failed(out: &mut Vec<u8>, style: config::ErrorStyle, error: &ReloadError) {
    let first = error.lines.first().map(String::as_str).unwrap_or_default();
    let (message, all) = match style {
        config::ErrorStyle::Pgbouncer => (
            "RELOAD failed, see logs for additional details".to_owned(),
            Some(error.lines.join("\n")),
        ),
        config::ErrorStyle::Plimsoll => (
            format!("RELOAD failed: {first}"),
            (error.lines.len() > 1).then(|| error.lines.join("\n")),
        ),
    };
    columns::error_with(
        out,
        ("F0000", &message),
        all.as_deref(),
        Some("Nothing was changed: the old settings still serve."),
    );
}

/// RELOAD returns when the new values serve. A change that goes step by step
/// takes seconds, and nobody else's statement waits for it.
fn reload_apart(handle: &Handle, job: ConsoleJob) {
    let under_way = handle.reloads_under_way();
    if under_way.fetch_add(1, Ordering::Relaxed) >= RELOADS_MAX {
        under_way.fetch_sub(1, Ordering::Relaxed);
        let mut reply = Vec::new();
        columns::error(&mut reply, "53300", "too many RELOADs wait for their end");
        return handle.console_reply(job.client, reply);
    }
    let (client, mine) = (job.client, handle.clone());
    let begun = std::thread::Builder::new()
        .name("reload".into())
        .spawn(move || {
            let mut reply = Vec::new();
            reload(&mine, &job.actor, &mut reply);
            mine.reloads_under_way().fetch_sub(1, Ordering::Relaxed);
            mine.console_reply(job.client, reply);
        });
    if begun.is_err() {
        under_way.fetch_sub(1, Ordering::Relaxed);
        let mut reply = Vec::new();
        columns::error(&mut reply, "53200", "the system gives no thread for RELOAD");
        handle.console_reply(client, reply);
    }
}

fn is_reload(job: &ConsoleJob) -> bool {
    let (words, _) = words(&String::from_utf8_lossy(&job.text));
    job.admin && matches!(words.as_slice(), [word] if word.eq_ignore_ascii_case("RELOAD"))
}

fn reload(handle: &Handle, actor: &str, out: &mut Vec<u8>) {
    words::issued("RELOAD", None);
    match handle.reload(actor) {
        Ok(notes) => {
            for note in notes {
                notice(out, &note, None);
            }
            wire::back::command_complete(out, "RELOAD");
        }
        Err(error) => {
            theirs!(ERROR, "RELOAD Failed, see logs for more details");
            reload_failed(out, handle.plan().error_style, &error);
        }
    }
}

fn set(handle: &Handle, actor: &str, text: &str) -> Vec<u8> {
    let Some((key, value)) = assignment(text) else {
        return refusal(handle, "42601", "write SET key = value");
    };
    let mut out = Vec::new();
    match handle.set(&key, &value, actor) {
        Ok(notes) => {
            for note in notes {
                notice(&mut out, &note, None);
            }
            wire::back::command_complete(&mut out, "SET");
        }
        Err(error) => columns::error(&mut out, "08P01", &shown(&format!("SET failed: {error}"))),
    }
    out
}

/// Parameters that clients set at connect and that mean nothing here.
fn is_session_setting(name: &str) -> bool {
    let name = name.split('=').next().unwrap_or(name);
    matches!(
        name,
        "CLIENT_ENCODING"
            | "DEFAULT_TRANSACTION_ISOLATION"
            | "STANDARD_CONFORMING_STRINGS"
            | "DATESTYLE"
            | "TIMEZONE"
            | "EXTRA_FLOAT_DIGITS"
            | "APPLICATION_NAME"
    )
}

fn notice(out: &mut Vec<u8>, message: &str, detail: Option<&str>) {
    wire::back::notice(
        out,
        &wire::back::ErrorReport {
            severity: "NOTICE",
            code: "00000",
            message,
            detail,
            hint: None,
        },
    );
}
