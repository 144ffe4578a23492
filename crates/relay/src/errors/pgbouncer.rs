//! PgBouncer's words for what has gone wrong, where it has any: FATAL, and 08P01 for everything.
//!
//! Drivers, connection pools and retries of applications look for these texts, so each is exact. They are those of
//! PgBouncer 1.25; what is older is said where it differs.

use super::{Report, Trouble};
use crate::pools::NoLookUp;

/// `None`: PgBouncer has no words for it.
pub(super) fn report(trouble: &Trouble<'_>) -> Option<Report> {
    if let Trouble::ServerDown {
        text,
        refused: Some(code),
        replication,
        ..
    } = trouble
    {
        if *replication {
            return Some(Report::fatal("08P01", "login failed").detail(*text));
        }
        // Who waits when the server refuses the login is told what the server said, as by the server.
        let known = REFUSALS.iter().find(|known| known.as_bytes() == code);
        return Some(Report::fatal(known.copied().unwrap_or("08P01"), *text));
    }
    text(trouble).map(|text| Report::fatal("08P01", text))
}

/// Codes with which PostgreSQL refuses a login for good: authentication, no such database, no right to connect or to
/// replicate.
const REFUSALS: [&str; 5] = ["28P01", "28000", "3D000", "42501", "0A000"];

fn text(trouble: &Trouble<'_>) -> Option<String> {
    let text = match trouble {
        Trouble::NoSuchDatabase(name) => format!("no such database: {name}"),
        Trouble::DatabaseDisabled(name) => format!("database \"{name}\" is disabled"),
        Trouble::TooManyClients {
            limit: "max_client_conn",
        } => "no more connections allowed (max_client_conn)".into(),
        Trouble::TooManyClients { limit } => format!("client connections exceeded ({limit})"),
        Trouble::UnsupportedStartup {
            name,
            in_options: false,
        } => format!("unsupported startup parameter: {name}"),
        Trouble::UnsupportedStartup {
            name,
            in_options: true,
        } => format!("unsupported startup parameter in options: {name}"),
        Trouble::ServerDown { text, .. } => {
            format!("server login has been failing, cached error: {text} (server_login_retry)")
        }
        Trouble::NoLookUp(NoLookUp::Disabled(name)) => {
            format!("authentication database \"{name}\" is disabled")
        }
        _ => return fixed(trouble).map(str::to_owned),
    };
    Some(text)
}

/// Texts that are always the same.
fn fixed(trouble: &Trouble<'_>) -> Option<&'static str> {
    Some(match trouble {
        Trouble::WrongPassword { .. } => "password authentication failed",
        Trouble::SaslFailed { .. } => "SASL authentication failed",
        Trouble::NotAdmitted(why) => why.pgbouncer(),
        Trouble::TlsRequired => "SSL required",
        Trouble::NoUser => "no username supplied",
        Trouble::SimpleQuery => "PQexec disallowed",
        // Before 1.20: "only '-c config=val' is allowed".
        Trouble::BadOptions(_) => {
            "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed"
        }
        Trouble::LoginTimeout => "client_login_timeout",
        Trouble::LoginTimeoutServer => "client_login_timeout (server down)",
        Trouble::IdleTimeout => "client_idle_timeout",
        Trouble::QueryTimeout => "query timeout",
        Trouble::QueryTimeoutWaiting => "query_timeout",
        Trouble::IdleTransaction => "idle transaction timeout",
        Trouble::TransactionTimeout => "transaction timeout",
        Trouble::WaitTimeout(_) => "query_wait_timeout",
        Trouble::LookUpFailed | Trouble::NoLookUp(_) => "bouncer config error",
        Trouble::NoSuchUser => "no such user",
        Trouble::ServerGone => "server conn crashed?",
        Trouble::ServerMoved => "database configuration changed",
        Trouble::Shutdown => "pooler is shutting down",
        Trouble::ServerShutdown => "server shutting down",
        Trouble::Killed => "admin forced disconnect",
        Trouble::PoolKilled => "database removed",
        Trouble::StatementModeTransaction => {
            "transaction blocks not allowed in statement pooling mode"
        }
        Trouble::ConsoleNotAllowed { .. } => "not allowed",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::admission::NotAdmitted;
    use crate::directory::ErrorStyle;
    use crate::errors::{Trouble, report};
    use crate::refusing::Scarcity;
    use std::time::Duration;

    fn all() -> Vec<(Trouble<'static>, &'static str)> {
        let scarcity = Scarcity {
            database: "shop",
            user: "anna",
            waited: Duration::from_secs(120),
            plight: None,
        };
        let limit = |limit| Trouble::TooManyClients { limit };
        let unsupported = |in_options| Trouble::UnsupportedStartup {
            name: "work_mem",
            in_options,
        };
        let down = Trouble::ServerDown {
            text: "connect failed",
            outage: None,
            refused: None,
            replication: false,
        };
        vec![
            (
                limit("max_client_conn"),
                "no more connections allowed (max_client_conn)",
            ),
            (
                limit("max_db_client_connections"),
                "client connections exceeded (max_db_client_connections)",
            ),
            (
                limit("max_user_client_connections"),
                "client connections exceeded (max_user_client_connections)",
            ),
            (Trouble::WaitTimeout(scarcity), "query_wait_timeout"),
            (Trouble::QueryTimeoutWaiting, "query_timeout"),
            (Trouble::QueryTimeout, "query timeout"),
            (Trouble::IdleTransaction, "idle transaction timeout"),
            (Trouble::TransactionTimeout, "transaction timeout"),
            (Trouble::IdleTimeout, "client_idle_timeout"),
            (Trouble::LoginTimeout, "client_login_timeout"),
            (
                Trouble::LoginTimeoutServer,
                "client_login_timeout (server down)",
            ),
            (Trouble::NoSuchDatabase("shop"), "no such database: shop"),
            (
                Trouble::DatabaseDisabled("shop"),
                "database \"shop\" is disabled",
            ),
            (
                Trouble::WrongPassword { user: "anna" },
                "password authentication failed",
            ),
            (
                Trouble::SaslFailed { user: "anna" },
                "SASL authentication failed",
            ),
            (
                Trouble::NotAdmitted(NotAdmitted::Rejected),
                "login rejected",
            ),
            (Trouble::TlsRequired, "SSL required"),
            (Trouble::NoUser, "no username supplied"),
            (Trouble::SimpleQuery, "PQexec disallowed"),
            (
                Trouble::BadOptions("x"),
                "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed",
            ),
            (
                unsupported(false),
                "unsupported startup parameter: work_mem",
            ),
            (
                unsupported(true),
                "unsupported startup parameter in options: work_mem",
            ),
            (
                down,
                "server login has been failing, cached error: connect failed (server_login_retry)",
            ),
            (Trouble::LookUpFailed, "bouncer config error"),
            (
                Trouble::NoLookUp(&crate::NoLookUp::Reserved),
                "bouncer config error",
            ),
            (Trouble::NoSuchUser, "no such user"),
            (Trouble::ServerGone, "server conn crashed?"),
            (Trouble::ServerMoved, "database configuration changed"),
            (Trouble::Shutdown, "pooler is shutting down"),
            (Trouble::ServerShutdown, "server shutting down"),
            (Trouble::Killed, "admin forced disconnect"),
            (Trouble::PoolKilled, "database removed"),
            (
                Trouble::StatementModeTransaction,
                "transaction blocks not allowed in statement pooling mode",
            ),
            (Trouble::ConsoleNotAllowed { user: "anna" }, "not allowed"),
        ]
    }

    #[test]
    fn texts_are_exact_and_the_code_is_always_the_same() {
        for (trouble, text) in all() {
            let r = report(ErrorStyle::Pgbouncer, &trouble);
            let seen = (r.message.as_str(), r.code, r.fatal);
            assert_eq!(seen, (text, "08P01", true), "{trouble:?}");
        }
    }

    #[test]
    fn who_waits_for_a_refused_login_is_told_what_the_server_said() {
        let said = |code: &[u8; 5]| {
            let trouble = Trouble::ServerDown {
                text: "password authentication failed for user \"anna\"",
                outage: None,
                refused: Some(*code),
                replication: false,
            };
            let r = report(ErrorStyle::Pgbouncer, &trouble);
            assert_eq!(
                r.message,
                "password authentication failed for user \"anna\""
            );
            r.code
        };
        assert_eq!((said(b"28P01"), said(b"XX123")), ("28P01", "08P01"));
    }

    #[test]
    fn our_own_style_has_codes_that_tell_more() {
        let codes = |trouble| report(ErrorStyle::Plimsoll, &trouble).code;
        assert_eq!(codes(Trouble::Shutdown), "57P01");
        assert_eq!(codes(Trouble::Killed), "57P01");
        assert_eq!(codes(Trouble::ServerGone), "08006");
        assert_eq!(codes(Trouble::WrongPassword { user: "anna" }), "28P01");
        assert_eq!(codes(Trouble::QueryTimeoutWaiting), "57014");
    }
}
