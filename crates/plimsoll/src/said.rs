//! What the log says of the process itself: in PgBouncer's words where the log takes those, else in ours.

use events::pgbouncer::LOG_TARGET;
use proxy::{Handle, Leave, PGBOUNCER_VERSION};
use signal_hook::consts::{SIGINT, SIGTERM};
use tracing::Level;

/// One line in PgBouncer's words.
macro_rules! theirs {
    ($($what:tt)+) => { tracing::info!(target: LOG_TARGET, $($what)+) };
}

/// Files that PgBouncer expects to need beside those of its clients.
const FILES_BESIDE: u32 = 10;

fn wanted() -> bool {
    tracing::enabled!(target: LOG_TARGET, Level::INFO)
}

/// Before anything is opened: how many files may be.
pub fn files(plan: &config::Plan) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let shown = |limit: Option<u64>| limit.map_or("-1".to_owned(), |limit| limit.to_string());
    let (soft, hard) = (shown(limit.current), shown(limit.maximum));
    let clients = plan.max_client_conn;
    let expected = u64::from(clients) + u64::from(plan.line) + u64::from(FILES_BESIDE);
    theirs!(
        "kernel file descriptor limit: {soft} (hard: {hard}); max_client_conn: {clients}, \
         max expected fd use: {expected}"
    );
}

/// Where clients are accepted.
pub fn listening(handle: &Handle) {
    if !wanted() {
        for address in handle.addresses() {
            tracing::info!(%address, "listening");
        }
        for socket in handle.sockets() {
            tracing::info!(socket = %socket.display(), "listening");
        }
        return;
    }
    for address in handle.addresses() {
        theirs!("listening on {address}");
    }
    for socket in handle.sockets() {
        theirs!("listening on unix:{}", socket.display());
    }
}

/// Clients are served from now on.
pub fn up() {
    theirs!("process up: {PGBOUNCER_VERSION}, adns: threads, tls: rustls");
}

/// A signal that is no end.
pub fn heard(text: &'static str) {
    theirs!("got {text}");
}

/// USR1.
pub fn pausing(handle: &Handle) {
    heard(match handle.all_paused() || handle.is_suspended() {
        true => "SIGUSR1, but already paused/suspended",
        false => "SIGUSR1, pausing all activity",
    });
}

/// USR2; `false`: it is not heeded.
pub fn resumes(handle: &Handle) -> bool {
    let text = match (handle.is_leaving(), handle.all_paused()) {
        (true, _) => "SIGUSR2 while shutting down, ignoring",
        _ if handle.is_suspended() => "SIGUSR2, continuing from SUSPEND",
        (_, true) => "SIGUSR2, continuing from PAUSE",
        (_, false) => "SIGUSR2, but not paused/suspended",
    };
    heard(text);
    !handle.is_leaving()
}

fn name(signal: i32) -> &'static str {
    match signal {
        SIGINT => "SIGINT",
        SIGTERM => "SIGTERM",
        _ => "a signal",
    }
}

/// TERM or INT where an end was asked for already.
pub fn ending_now(signal: i32) {
    match wanted() {
        true => theirs!("got {} while shutting down, fast exit", name(signal)),
        false => tracing::info!("a second signal: ending at once"),
    }
}

/// TERM or INT, as PgBouncer takes them.
pub fn leaving(signal: i32, leave: Leave) {
    let what = match leave {
        Leave::ClientsGone => "all clients disconnect",
        Leave::ServersReleased => "all servers connections to be released",
    };
    theirs!("got {}, shutting down, waiting for {what}", name(signal));
}
