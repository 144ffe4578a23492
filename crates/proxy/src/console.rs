//! The console's statements.

use crate::admin::{Figures, Handle, ReloadError};
use crate::columns::{self, Table};
use crate::guards;
use crate::leases;
use crate::measures;
use crate::port::ConsoleJob;
use crate::users;
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
        let next = handle.guards_due().map_or(left, |due| left.min(due));
        match jobs.recv_timeout(next) {
            Ok(job) if is_reload(&job) => reload_apart(handle, job),
            Ok(job) => {
                let reply = answer(handle, &job, &String::from_utf8_lossy(&job.text));
                handle.console_reply(job.client, reply);
            }
            Err(RecvTimeoutError::Timeout) if period_start.elapsed() < period => {}
            Err(RecvTimeoutError::Timeout) => {
                handle.next_period(period_start.elapsed());
                period_start = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Words of a statement: folded, without the semicolon.
fn words(text: &str) -> Vec<String> {
    text.trim()
        .trim_end_matches(';')
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

fn answer(handle: &Handle, job: &ConsoleJob, text: &str) -> Vec<u8> {
    let words = words(text);
    let upper: Vec<String> = words.iter().map(|w| w.to_ascii_uppercase()).collect();
    let upper: Vec<&str> = upper.iter().map(String::as_str).collect();
    let mut out = Vec::new();
    match upper.as_slice() {
        [] => wire::back::empty_query(&mut out),
        ["SHOW" | "SELECT", rest @ ..] => return show(handle, rest, text),
        // Drivers set these when they connect; PgBouncer takes them too.
        ["SET", name, ..] if is_session_setting(name) => {
            wire::back::command_complete(&mut out, "SET")
        }
        ["GUARDS"] => return show(handle, &["GUARDS"], text),
        _ if !job.admin => columns::error_with(
            &mut out,
            ("42501", "admin access needed"),
            None,
            Some("This needs a user that admin_users names; stats_users may only SHOW."),
        ),
        ["GUARDS", ..] => guards::command(handle, &job.actor, text, &mut out),
        [
            "PAUSE" | "RESUME" | "DISABLE" | "ENABLE" | "RECONNECT" | "KILL",
            ..,
        ] => {
            let verb = upper.first().copied().unwrap_or_default();
            let database = words.get(1).map(String::as_str);
            let Some(verb) = crate::held::Verb::of(verb) else {
                return out;
            };
            match handle.administer(verb, database, &job.user) {
                Ok(()) => wire::back::command_complete(&mut out, verb.word()),
                Err(error) => columns::error(&mut out, "08P01", &error.to_string()),
            }
        }
        ["KILL_CLIENT", id] => kill_client(handle, &job.user, id, &mut out),
        ["SHUTDOWN", rest @ ..] => shutdown(handle, &job.user, rest, &mut out),
        ["SET", ..] => set(handle, &job.actor, text, &mut out),
        ["SUSPEND" | "WAIT_CLOSE", ..] => {
            columns::error(
                &mut out,
                "0A000",
                "this console command is not supported yet; SHOW HELP lists those that are",
            );
        }
        _ => columns::error(
            &mut out,
            "42601",
            &format!("invalid command '{}', use SHOW HELP;", text.trim()),
        ),
    }
    out
}

fn kill_client(handle: &Handle, actor: &str, id: &str, out: &mut Vec<u8>) {
    match id.parse() {
        Ok(id) if handle.kill_client(id, actor) => wire::back::command_complete(out, "KILL_CLIENT"),
        Ok(_) => columns::error(out, "08P01", "client not found"),
        Err(_) => columns::error(
            out,
            "08P01",
            "invalid client pointer supplied: KILL_CLIENT takes an id of SHOW CLIENTS",
        ),
    }
}

fn shutdown(handle: &Handle, actor: &str, how: &[&str], out: &mut Vec<u8>) {
    match how {
        [] => handle.stop_now(),
        ["WAIT_FOR_SERVERS" | "WAIT_FOR_CLIENTS"] => handle.drain(),
        _ => {
            return columns::error(
                out,
                "42601",
                "SHUTDOWN takes WAIT_FOR_SERVERS or WAIT_FOR_CLIENTS",
            );
        }
    }
    handle.note_action(actor, "SHUTDOWN", "");
    wire::back::command_complete(out, "SHUTDOWN");
}

/// The first mistake is the message; all of them, a line each, are the detail.
fn reload_failed(out: &mut Vec<u8>, error: &ReloadError) {
    let first = error.lines.first().map(String::as_str).unwrap_or_default();
    let all = (error.lines.len() > 1).then(|| error.lines.join("\n"));
    columns::error_with(
        out,
        ("F0000", &format!("RELOAD failed: {first}")),
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
    let words = words(&String::from_utf8_lossy(&job.text));
    job.admin && matches!(words.as_slice(), [word] if word.eq_ignore_ascii_case("RELOAD"))
}

fn reload(handle: &Handle, actor: &str, out: &mut Vec<u8>) {
    match handle.reload(actor) {
        Ok(notes) => {
            for note in notes {
                notice(out, &note, None);
            }
            wire::back::command_complete(out, "RELOAD");
        }
        Err(error) => reload_failed(out, &error),
    }
}

/// `SET key = value`, also with TO, the value bare or in quotes.
fn set(handle: &Handle, actor: &str, text: &str, out: &mut Vec<u8>) {
    let Some((key, value)) = assignment(text) else {
        return columns::error(out, "42601", "write SET key = value");
    };
    match handle.set(&key, &value, actor) {
        Ok(notes) => {
            for note in notes {
                notice(out, &note, None);
            }
            wire::back::command_complete(out, "SET");
        }
        Err(error) => columns::error(out, "08P01", &format!("SET failed: {error}")),
    }
}

fn assignment(text: &str) -> Option<(String, String)> {
    let rest = text.trim().trim_end_matches(';').trim_end();
    let rest = rest.get(3..)?.trim_start();
    let end = rest.find(|c: char| c == '=' || c.is_whitespace())?;
    let (key, rest) = rest.split_at(end);
    let rest = rest.trim_start();
    let value = match rest.strip_prefix('=') {
        Some(value) => value,
        None => rest
            .get(..2)
            .filter(|word| word.eq_ignore_ascii_case("to"))
            .and_then(|_| rest.get(2..))
            .filter(|value| value.starts_with(char::is_whitespace))?,
    };
    let value = value.trim();
    let value = match value.strip_prefix('\'') {
        Some(quoted) => quoted.strip_suffix('\'')?.replace("''", "'"),
        None => value.to_owned(),
    };
    Some((key.to_ascii_lowercase(), value))
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

fn show(handle: &Handle, what: &[&str], text: &str) -> Vec<u8> {
    let detail = matches!(
        what,
        [
            "CLIENTS"
                | "SERVERS"
                | "LEASES"
                | "USERS"
                | "LISTS"
                | "SOCKETS"
                | "ACTIVE_SOCKETS"
                | "ADVICE",
            ..
        ]
    );
    let figures = || handle.figures(detail);
    let plan = handle.plan();
    match what {
        ["BUDGET"] => crate::budget::table(&figures().snapshot),
        ["APPLICATIONS"] => measures::applications(&figures().snapshot),
        ["SOURCES"] => measures::sources(&figures().snapshot),
        ["UPSTREAMS"] => measures::upstreams(&figures().snapshot),
        ["ACTIVITY"] => measures::activity(&figures().snapshot),
        ["ERRORS"] => measures::errors(&figures().snapshot),
        ["WAITS"] => measures::waits(&figures().snapshot),
        ["POOLS"] => columns::pools(&figures()),
        ["STATS"] => columns::stats::all(&figures()),
        ["STATS_TOTALS"] => columns::stats::part(&figures(), false),
        ["STATS_AVERAGES"] => columns::stats::part(&figures(), true),
        ["TOTALS"] => columns::stats::totals(&figures()),
        ["CLIENTS"] => columns::clients(&figures()),
        ["SERVERS"] => columns::servers(&figures()),
        ["LEASES"] => leases::table(&figures()),
        ["DATABASES"] => columns::databases(&figures(), &plan),
        ["ADVICE"] => columns::advice(&figures()),
        ["USERS"] => users::table(&figures(), &plan),
        ["CONFIG"] => columns::settings(&plan),
        ["GUARDS"] => guards::table(&handle.guards_row(), handle.clock_now()),
        ["SHAPE"] => shape(handle),
        ["LISTS"] => columns::lists(&figures(), &plan),
        ["PEERS"] => columns::peers(&plan),
        ["VERSION"] => columns::cell("version", concat!("Plimsoll ", env!("CARGO_PKG_VERSION"))),
        ["STATE"] => state(&figures()),
        ["CLIENT_ENCODING"] => columns::cell("client_encoding", "UTF8"),
        ["DEFAULT_TRANSACTION_ISOLATION"] => {
            columns::cell("default_transaction_isolation", "read committed")
        }
        ["STANDARD_CONFORMING_STRINGS"] => columns::cell("standard_conforming_strings", "on"),
        ["DATESTYLE"] => columns::cell("datestyle", "ISO"),
        ["TIMEZONE"] | ["TIME", "ZONE"] => columns::cell("timezone", "GMT"),
        ["HELP"] | [] => help(),
        _ => {
            let mut out = Vec::new();
            columns::error(
                &mut out,
                "42601",
                &format!("invalid command '{}', use SHOW HELP;", text.trim()),
            );
            out
        }
    }
}

/// The traffic's shape: a row for each line of its text.
fn shape(handle: &Handle) -> Vec<u8> {
    let mut table = Table::new(&[("shape", 25)]);
    for line in handle.shape().to_text().lines() {
        table.row(&[Some(line.to_owned())]);
    }
    table.finish("SHOW")
}

fn state(figures: &Figures) -> Vec<u8> {
    let paused = figures.held.all_paused();
    let mut table = Table::new(&[("key", 25), ("value", 25)]);
    for (key, value) in [
        ("active", !paused),
        ("paused", paused),
        ("suspended", false),
    ] {
        table.row(&[
            Some(key.to_owned()),
            Some(if value { "yes" } else { "no" }.to_owned()),
        ]);
    }
    table.finish("SHOW")
}

fn help() -> Vec<u8> {
    let mut out = Vec::new();
    notice(
        &mut out,
        "Console usage",
        Some(
            "\n\tSHOW HELP|CONFIG|DATABASES|USERS|POOLS|CLIENTS|SERVERS|LEASES|VERSION\n\
                 \tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS|LISTS|STATE|PEERS\n\
                 \tSHOW BUDGET|ADVICE|SHAPE\n\
                 \tSHOW APPLICATIONS|SOURCES|UPSTREAMS|ACTIVITY|ERRORS|WAITS\n\
                 \tSHOW GUARDS\n\
                 \tRELOAD\n\
                 \tGUARDS OFF FOR '<time>' REASON '<why>'\n\tGUARDS ON\n\
                 \tSET key = arg\n\
                 \tPAUSE [<db>]\n\tRESUME [<db>]\n\tDISABLE <db>\n\tENABLE <db>\n\tRECONNECT [<db>]\n\tKILL [<db>]\n\
                 \tKILL_CLIENT <client_id>\n\
                 \tSHUTDOWN [WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]",
        ),
    );
    wire::back::command_complete(&mut out, "SHOW");
    out
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

#[cfg(test)]
mod tests {
    use super::assignment;

    #[test]
    fn set_is_read_in_each_of_its_forms() {
        let table = [
            ("SET a = 1", Some(("a", "1"))),
            ("set A=1;", Some(("a", "1"))),
            ("SET a TO 'x y'", Some(("a", "x y"))),
            ("SET q = 'it''s';", Some(("q", "it's"))),
            ("SET a = ", Some(("a", ""))),
            ("SET a = ''", Some(("a", ""))),
            ("SET a", None),
            ("SET a b", None),
            ("SET a = 'open", None),
            ("SET", None),
        ];
        for (text, expected) in table {
            let read = assignment(text);
            let read = read.as_ref().map(|(k, v)| (k.as_str(), v.as_str()));
            assert_eq!(read, expected, "{text}");
        }
    }
}
