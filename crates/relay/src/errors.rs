//! Texts and codes of errors that are ours, in both styles.
//!
//! PgBouncer's texts and its 08P01 are kept for files that were written for
//! it (`errors/pgbouncer.rs`); our own style says who is over which limit and what to do.

mod pgbouncer;

use crate::admission::NotAdmitted;
use crate::directory::ErrorStyle;
use crate::health::Code;
use crate::pools::NoLookUp;
use crate::refusing::{Scarcity, scarce};
use events::RefuseReason;
use std::time::Duration;
use wire::back::{self, ErrorReport};

/// An error of ours, ready to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Report {
    pub(crate) fatal: bool,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
}

impl Report {
    pub(crate) fn fatal(code: &'static str, message: impl Into<String>) -> Report {
        Report {
            fatal: true,
            code,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Report {
        Report {
            fatal: false,
            ..Report::fatal(code, message)
        }
    }

    pub(crate) fn detail(mut self, text: impl Into<String>) -> Report {
        self.detail = Some(text.into());
        self
    }

    pub(crate) fn hint(mut self, text: impl Into<String>) -> Report {
        self.hint = Some(text.into());
        self
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        back::error(
            out,
            &ErrorReport {
                severity: if self.fatal { "FATAL" } else { "ERROR" },
                code: self.code,
                message: &self.message,
                detail: self.detail.as_deref(),
                hint: self.hint.as_deref(),
            },
        );
    }

    pub(crate) fn bytes(&self) -> Box<[u8]> {
        let mut out = Vec::new();
        self.write(&mut out);
        out.into_boxed_slice()
    }
}

/// How long no connection to a server could be opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    /// Since the first failed attempt.
    pub(crate) lasts: Duration,
    /// Since the last one.
    pub(crate) ago: Duration,
    /// The server answers, and refuses the login.
    pub(crate) login: bool,
}

/// What is wrong, apart from how it is said.
#[derive(Clone, Debug)]
pub(crate) enum Trouble<'a> {
    NoSuchDatabase(&'a str),
    DatabaseDisabled(&'a str),
    WrongPassword {
        user: &'a str,
    },
    SaslFailed {
        user: &'a str,
    },
    NotAdmitted(NotAdmitted),
    TlsRequired,
    TooManyClients {
        limit: &'static str,
    },
    UnsupportedStartup {
        name: &'a str,
        in_options: bool,
    },
    BadPacket(&'a str),
    NoUser,
    /// Only the extended protocol is allowed.
    SimpleQuery,
    BadOptions(&'a str),
    LoginTimeout,
    /// The same, while a connection to the server was waited for.
    LoginTimeoutServer,
    IdleTimeout,
    QueryTimeout,
    /// The same, of a query that no server connection was found for.
    QueryTimeoutWaiting,
    IdleTransaction,
    TransactionTimeout,
    Reclaimed {
        held: Duration,
        silent: Duration,
    },
    TakenBack {
        held: Duration,
    },
    WaitTimeout(Scarcity<'a>),
    QueueFull(Scarcity<'a>),
    Shed(Scarcity<'a>),
    ServerDown {
        /// The last attempt's error, in the server's or the system's words.
        text: &'a str,
        outage: Option<Outage>,
        /// It refused the login with this SQLSTATE while the client waited for it.
        refused: Option<Code>,
        /// For replication.
        replication: bool,
    },
    /// The look-up of a user's secret at the server failed.
    LookUpFailed,
    /// There is no database that could be asked for it.
    NoLookUp(&'a NoLookUp),
    /// `auth_query` knows no such user; said in PgBouncer's style only.
    NoSuchUser,
    ServerGone,
    ServerMoved,
    ServerNonsense,
    Shutdown,
    /// The same, in an end that waits for the server connections.
    ServerShutdown,
    ParametersRefused {
        text: &'a str,
    },
    PinShare {
        what: &'a str,
        database: &'a str,
        user: &'a str,
        max: u32,
    },
    StatementModeTransaction,
    Cancelled,
    Panic,
    Killed,
    /// Its whole database was.
    PoolKilled,
    ConsoleExtended,
    ConsoleNotAllowed {
        user: &'a str,
    },
    TooLarge {
        what: &'a str,
        max: usize,
    },
}

pub(crate) fn report(style: ErrorStyle, trouble: &Trouble<'_>) -> Report {
    match style {
        ErrorStyle::Pgbouncer => match (pgbouncer::report(trouble), trouble) {
            // Its text and code, and beside them what a person needs to know.
            (
                Some(report),
                Trouble::WaitTimeout(_)
                | Trouble::TooManyClients { .. }
                | Trouble::ConsoleNotAllowed { .. },
            ) => Report {
                detail: own(trouble).detail,
                hint: own(trouble).hint,
                ..report
            },
            (Some(report), _) => report,
            (None, _) => own(trouble),
        },
        ErrorStyle::Plimsoll => own(trouble),
    }
}

fn own(trouble: &Trouble<'_>) -> Report {
    match trouble {
        Trouble::NoSuchDatabase(_)
        | Trouble::DatabaseDisabled(_)
        | Trouble::SaslFailed { .. }
        | Trouble::WrongPassword { .. }
        | Trouble::NoSuchUser
        | Trouble::NotAdmitted(_)
        | Trouble::TlsRequired
        | Trouble::TooManyClients { .. }
        | Trouble::UnsupportedStartup { .. } => not_let_in(trouble),
        Trouble::SimpleQuery | Trouble::NoUser | Trouble::BadPacket(_) | Trouble::BadOptions(_) => {
            sent(trouble)
        }
        Trouble::LoginTimeout
        | Trouble::LoginTimeoutServer
        | Trouble::IdleTimeout
        | Trouble::QueryTimeout
        | Trouble::QueryTimeoutWaiting
        | Trouble::IdleTransaction
        | Trouble::Reclaimed { .. }
        | Trouble::TakenBack { .. }
        | Trouble::TransactionTimeout => late(trouble),
        Trouble::WaitTimeout(s) => scarce(RefuseReason::WaitTimeout, s),
        Trouble::QueueFull(s) => scarce(RefuseReason::QueueFull, s),
        Trouble::Shed(s) => scarce(RefuseReason::Shed, s),
        Trouble::LookUpFailed | Trouble::NoLookUp(_) => server_down("auth_query failed", None),
        Trouble::ServerDown { .. }
        | Trouble::ServerGone
        | Trouble::ServerMoved
        | Trouble::ServerNonsense => server_side(trouble),
        Trouble::Shutdown | Trouble::ServerShutdown => shutdown(),
        Trouble::ParametersRefused { text } => Report::fatal(
            "08P01",
            "the session's parameters could not be set on a server connection",
        )
        .detail((*text).to_owned()),
        Trouble::Cancelled => Report::error("57014", "canceling statement due to user request"),
        Trouble::PinShare { .. } => pin_share(trouble),
        Trouble::StatementModeTransaction => statement_mode(),
        Trouble::Panic => panicked(),
        Trouble::Killed | Trouble::PoolKilled => killed(),
        Trouble::ConsoleExtended => Report::error(
            "08P01",
            "extended query protocol not supported by admin console",
        ),
        Trouble::ConsoleNotAllowed { user } => Report::fatal("28000", "not allowed")
            .detail(format!("User \"{user}\" may not use the console."))
            .hint("Name the user in stats_users to let it read, in admin_users to let it do all."),
        Trouble::TooLarge { what, max } => Report::fatal(
            "54000",
            format!("{what} is larger than the pooler takes ({max} bytes)"),
        ),
    }
}

/// Why a login came to nothing.
fn not_let_in(trouble: &Trouble<'_>) -> Report {
    match trouble {
        Trouble::NoSuchDatabase(name) => {
            Report::fatal("3D000", format!("database \"{name}\" does not exist"))
                .detail("The pooler's settings name no such database.")
        }
        Trouble::DatabaseDisabled(name) => {
            Report::fatal("57P03", format!("database \"{name}\" is disabled"))
                .detail("An administrator disabled it, or the settings no longer name it.")
                .hint("An administrator can allow it again with ENABLE in the console.")
        }
        Trouble::SaslFailed { user } | Trouble::WrongPassword { user } => Report::fatal(
            "28P01",
            format!("password authentication failed for user \"{user}\""),
        ),
        Trouble::NotAdmitted(why) => why.report(),
        Trouble::TlsRequired => Report::fatal("28000", "the pooler accepts only TLS connections")
            .hint("Connect with sslmode=require or stricter."),
        Trouble::TooManyClients { limit } => Report::fatal("53300", "too many client connections")
            .detail(format!("{limit} is reached."))
            .hint("Close connections that are not needed, or raise the limit."),
        Trouble::UnsupportedStartup { name, .. } => {
            Report::fatal("08P01", format!("unsupported startup parameter: {name}"))
                .hint("Add it to ignore_startup_parameters to drop it.")
        }
        _ => Report::fatal("28000", "the login was refused"),
    }
}

/// What a client sent is wrong, or not wanted.
fn sent(trouble: &Trouble<'_>) -> Report {
    let what = match trouble {
        Trouble::SimpleQuery => {
            return Report::fatal("0A000", "simple queries are not allowed")
                .detail("clients.extended_only is set: one text could hold several statements.")
                .hint("Use the extended protocol: prepared or parameterised statements.");
        }
        Trouble::BadPacket(what) | Trouble::BadOptions(what) => what,
        _ => "no user name in the start-up packet",
    };
    Report::fatal("08P01", format!("protocol violation: {what}"))
}

fn panicked() -> Report {
    Report::fatal(
        "XX000",
        "internal error in the pooler; the connection is closed",
    )
    .detail("The pool starts afresh; what its clients had under way is lost.")
    .hint("Connect again. The pooler's log has the reason.")
}

fn killed() -> Report {
    Report::fatal(
        "57P01",
        "terminating connection due to administrator command",
    )
}

/// Errors that say that a time is up, with the setting that says how long it is.
fn late(trouble: &Trouble<'_>) -> Report {
    let (code, text) = match trouble {
        Trouble::LoginTimeout | Trouble::LoginTimeoutServer => ("08P01", "login took too long (client_login_timeout)"),
        Trouble::IdleTimeout => (
            "57P05",
            "connection was idle too long (client_idle_timeout)",
        ),
        Trouble::QueryTimeout | Trouble::QueryTimeoutWaiting => ("57014", "query took too long (query_timeout)"),
        Trouble::IdleTransaction => (
            "25P03",
            "transaction was idle too long (idle_transaction_timeout)",
        ),
        Trouble::TransactionTimeout => ("25P04", "transaction took too long (transaction_timeout)"),
        Trouble::Reclaimed { held, silent } => return Report::fatal(
            "25P03",
            "the pooler took the connection back: the transaction was idle while others waited",
        )
        .detail(format!(
            "Its server connection was held for {} s, and nothing was sent for {} s. The transaction was rolled back.",
            held.as_secs(),
            silent.as_secs()
        ))
        .hint("End the transaction on every path, errors included, before waiting for anything else."),
        Trouble::TakenBack { held } => return Report::fatal(
            "25P03",
            "the pooler took the connection back: an administrator asked for it",
        )
        .detail(format!(
            "Its server connection was held for {} s. What was under way was rolled back.",
            held.as_secs()
        ))
        .hint("Connect again."),
        other => return Report::error("XX000", format!("{other:?}")),
    };
    Report::fatal(code, text)
}

fn shutdown() -> Report {
    Report::fatal("57P01", "the pooler is shutting down")
        .detail("This instance takes no further requests.")
        .hint("Connect again: to another instance, or to this one when it is back.")
}

/// More session state than the pool's share for it.
fn pin_share(trouble: &Trouble<'_>) -> Report {
    let Trouble::PinShare {
        what,
        database,
        user,
        max,
    } = trouble
    else {
        return Report::error("XX000", format!("{trouble:?}"));
    };
    Report::error(
        "53300",
        format!("{what} would keep a server connection beyond its transaction"),
    )
    .detail(format!(
        "Pool \"{database}\", user \"{user}\": all {max} connections that may be kept so are in use."
    ))
    .hint("Use session pooling for such clients, or raise pin_share_percent.")
}

fn statement_mode() -> Report {
    Report::fatal(
        "0A000",
        "transaction blocks not allowed in statement pooling mode",
    )
}

/// Errors whose cause is the server.
fn server_side(trouble: &Trouble<'_>) -> Report {
    match trouble {
        Trouble::ServerDown { text, outage, .. } => server_down(text, *outage),
        Trouble::ServerGone => Report::fatal("08006", "the database server closed the connection"),
        Trouble::ServerMoved => Report::fatal(
            "08006",
            "the database server has moved; this connection led to the old one",
        ),
        _ => Report::fatal(
            "08P01",
            "the database server broke the protocol; its connection was closed",
        ),
    }
}

/// No connection to the server, and nobody expects one soon.
fn server_down(text: &str, outage: Option<Outage>) -> Report {
    let login = outage.is_some_and(|outage| outage.login);
    let (message, hint) = match login {
        true => (
            "the database server refuses the pooler's login",
            "Check user and password for this database in the pooler's settings, and pg_hba.conf. \
             The next attempt is made after server_login_retry.",
        ),
        false => (
            "the database server cannot be reached",
            "Check that the server runs, and host and port in the pooler's settings. \
             Attempts go on, at pauses up to server_login_retry, while clients ask.",
        ),
    };
    let detail = match outage {
        None => format!("Last error: {text}"),
        Some(Outage { lasts, ago, .. }) if lasts.as_secs() == ago.as_secs() => {
            format!("Last error, {}: {text}", past(ago))
        }
        Some(Outage { lasts, ago, .. }) => format!(
            "The first attempt failed {}. Last error, {}: {text}",
            past(lasts),
            past(ago)
        ),
    };
    Report::fatal("08006", message).detail(detail).hint(hint)
}

fn past(time: Duration) -> String {
    match time.as_secs() {
        0 => "just now".into(),
        seconds => format!("{seconds} s ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_use_the_console_learns_which_setting_lets_in() {
        let trouble = Trouble::ConsoleNotAllowed { user: "anna" };
        for style in [ErrorStyle::Plimsoll, ErrorStyle::Pgbouncer] {
            let r = report(style, &trouble);
            assert_eq!(r.message, "not allowed");
            assert!(r.detail.is_some_and(|d| d.contains("\"anna\"")));
            let hint = r.hint.unwrap_or_default();
            assert!(hint.contains("admin_users") && hint.contains("stats_users"));
        }
    }

    #[test]
    fn an_outage_says_what_failed_and_when() {
        let said = |outage| {
            let trouble = Trouble::ServerDown {
                text: "10.0.0.1:5432: Connection refused",
                outage,
                refused: None,
                replication: false,
            };
            let r = report(ErrorStyle::Plimsoll, &trouble);
            assert_eq!(r.code, "08006");
            assert!(r.hint.is_some_and(|h| h.contains("server_login_retry")));
            (r.message, r.detail.unwrap_or_default())
        };
        let after = |lasts, ago, login| {
            Some(Outage {
                lasts: Duration::from_secs(lasts),
                ago: Duration::from_secs(ago),
                login,
            })
        };
        let (message, detail) = said(after(20, 3, false));
        assert_eq!(message, "the database server cannot be reached");
        assert_eq!(
            detail,
            "The first attempt failed 20 s ago. Last error, 3 s ago: 10.0.0.1:5432: Connection refused"
        );
        let (message, detail) = said(after(0, 0, true));
        assert_eq!(message, "the database server refuses the pooler's login");
        assert_eq!(
            detail,
            "Last error, just now: 10.0.0.1:5432: Connection refused"
        );
    }
}
