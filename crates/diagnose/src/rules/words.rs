//! Words that several findings use.

use crate::view::{App, Case};
use crate::{Figure, Subject, Unit};
use events::sample::MarkerKind;

/// Changes of the pooler's settings, and what people did to it.
pub(crate) const SETTINGS: &[MarkerKind] = &[
    MarkerKind::Settings,
    MarkerKind::Drift,
    MarkerKind::RolledBack,
    MarkerKind::Action,
];
/// Releases of applications.
pub(crate) const RELEASES: &[MarkerKind] = &[MarkerKind::Release];
/// What happened to servers.
pub(crate) const SERVERS: &[MarkerKind] = &[MarkerKind::Server];
/// What happened to secrets.
pub(crate) const SECRETS: &[MarkerKind] = &[MarkerKind::Secret];

/// The pool with its server.
pub(crate) fn pool(case: &Case) -> Subject {
    let Some(pool) = case.pool else {
        return server(case);
    };
    Subject {
        database: pool.database.to_string(),
        user: pool.user.to_string(),
        server: pool.upstream.to_string(),
        ..Subject::default()
    }
}

/// An application in the pool.
pub(crate) fn application(case: &Case, app: &App) -> Subject {
    Subject {
        application: app.now.name.to_string(),
        release: app.now.release.to_string(),
        ..pool(case)
    }
}

/// The server.
pub(crate) fn server(case: &Case) -> Subject {
    Subject {
        server: case
            .server
            .map_or(String::new(), |s| s.upstream.to_string()),
        ..Subject::default()
    }
}

/// The address with the most accepted connections, if it is most of them.
pub(crate) fn stormer(case: &Case) -> Subject {
    by_address(case, |s| s.accepts)
}

/// The address with the most refused logins, if it has most of them.
pub(crate) fn failing(case: &Case) -> Subject {
    by_address(case, |s| s.login_failures)
}

fn by_address(case: &Case, of: impl Fn(&crate::window::SourceWindow) -> f64) -> Subject {
    let sources = &case.view.now.sources;
    let all: f64 = sources.values().map(&of).sum();
    let most = sources.iter().max_by(|a, b| of(a.1).total_cmp(&of(b.1)));
    let address = most.filter(|(_, s)| of(s) * 2.0 > all);
    Subject {
        address: address.map_or(String::new(), |(a, _)| a.to_string()),
        ..Subject::default()
    }
}

/// "12 clients".
pub(crate) fn clients(count: f64) -> String {
    let count = count.round().max(1.0);
    let word = if count == 1.0 { "client" } else { "clients" };
    format!("{count:.0} {word}")
}

/// An application's name, or that it has none.
pub(crate) fn app_name(name: &str) -> String {
    match name.is_empty() {
        true => "an application without a name".to_owned(),
        false => name.to_owned(),
    }
}

/// A duration.
pub(crate) fn span(us: f64) -> String {
    value(us, Unit::Micros)
}

/// A number.
pub(crate) fn number(value_: f64) -> String {
    value(value_, Unit::Count)
}

fn value(value: f64, unit: Unit) -> String {
    Figure::new("", value, unit).to_string().trim().to_owned()
}
