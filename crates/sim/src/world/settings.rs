//! What the hubs are told.

use super::PASSWORD;
use crate::scenario::Scenario;
use relay::{Directory, Settings, Stored};
use std::time::Duration;
use wire::scram::Verifier;

/// What the hubs are told: settings and users.
pub(super) fn directory(s: &Scenario, verifier: &Verifier) -> Directory {
    let mut directory = Directory {
        settings: settings(s),
        ..Directory::default()
    };
    for i in (0..3).filter(|_| !s.auth_query) {
        let name = format!("u{i}");
        let secret = match i {
            0 => verifier.to_string(),
            1 if s.auth != relay::Auth::Scram => wire::md5::stored(&name, PASSWORD),
            _ => PASSWORD.to_owned(),
        };
        let stored = Stored(Some(secret.into()));
        directory.users.insert(name.into(), stored);
    }
    directory
}

fn settings(s: &Scenario) -> Settings {
    Settings {
        auth: s.auth,
        auth_query: s.auth_query.then(|| relay::AuthQuery {
            query: "SELECT auth($1)".into(),
            user: "auth".into(),
            database: None,
        }),
        auth_query_ttl: Duration::from_millis(500),
        prepared_max: s.prepared_max,
        reset_always: s.reset_always,
        login_timeout: Duration::from_secs(5),
        server_connect_timeout: Duration::from_secs(2),
        query_timeout: s.query_timeout,
        transaction_timeout: s.limits.transaction,
        idle_transaction_timeout: s.limits.idle_transaction,
        client_idle_timeout: s.limits.idle,
        check_delay: s.check_delay,
        wait_notify: Some(Duration::from_millis(200)),
        ..Settings::default()
    }
}
