//! What several topics share.

use plimsoll_e2e::pooler::{Pooler, Settings};
use plimsoll_e2e::server::Server;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The PostgreSQL that tests share when they neither stop nor reconfigure it.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        Server::start_with(&[
            "max_connections = 400",
            "superuser_reserved_connections = 20",
        ])
    })
}

/// A database of its own for a test, on the shared server.
pub fn database(name: impl Into<String>) -> String {
    let name = name.into();
    server().sql("postgres", &format!("create database {name} owner app"));
    name
}

/// A number from the environment.
pub fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Are the long runs wanted?
pub fn full() -> bool {
    std::env::var_os("E2E_FULL").is_some()
}

/// Held by tests that judge times: one of them at a time, beside those that judge none.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // One that failed spoils nothing for the next.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pool mode under test.
pub fn pool_mode() -> String {
    std::env::var("PLIMSOLL_E2E_POOL_MODE").unwrap_or_else(|_| "transaction".into())
}

/// Says that a test, or a part of it, does nothing, and why.
pub fn skip(what: &str, why: &str) {
    // Not `eprintln!`: the test runner would keep that to itself when the test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {what}: {why}");
}

/// A pooler before the shared server, with changed settings.
pub fn pooler_with(change: impl FnOnce(Settings) -> Settings) -> Pooler {
    Pooler::start(change(Settings::for_server(server())))
}
