//! PgBouncer's words for the end of a connection, as its log has them.
//!
//! Alerts and log readers look for these texts, so each is exact where PgBouncer 1.25 has one. What it knows
//! nothing of has our own words.

use crate::CloseReason;

/// Target of log events whose message is a whole line in PgBouncer's words. A log in another style leaves them
/// out, and whoever logs asks first whether anybody takes them.
pub const LOG_TARGET: &str = "pgbouncer";

/// Why a client was closed that was told nothing. What a client was told is PgBouncer's reason for the end.
pub const fn client_words(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::ClientTerminate => "client close request",
        CloseReason::ClientGone => "client unexpected eof",
        CloseReason::ClientProtocol => "bad packet",
        CloseReason::ClientLoginTimeout => "client_login_timeout",
        CloseReason::ClientAuthentication => "password authentication failed",
        CloseReason::ClientRefused => "login rejected",
        CloseReason::ClientIdleTimeout => "client_idle_timeout",
        CloseReason::IdleTransactionTimeout => "idle transaction timeout",
        CloseReason::TransactionTimeout => "transaction timeout",
        CloseReason::QueryTimeout => "query timeout",
        CloseReason::QueryWaitTimeout => "query_wait_timeout",
        CloseReason::ParametersRefused => "invalid server parameter",
        CloseReason::AdminKill => "admin forced disconnect",
        CloseReason::Shutdown => "pooler is shutting down",
        CloseReason::CancelDone => "successfully sent cancel request",
        // The end of its server connection is the client's.
        _ => server_words(reason),
    }
}

/// Why a server connection was closed.
pub const fn server_words(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::ServerLifetime => "server lifetime over",
        CloseReason::ServerIdleTimeout => "server idle timeout",
        CloseReason::Evicted => "evicted",
        CloseReason::SettingsChanged | CloseReason::Reconnect | CloseReason::ServerMoved => {
            "database configuration changed"
        }
        CloseReason::Paused => "pause mode",
        CloseReason::SuspendTimeout => "suspend_timeout",
        CloseReason::AdminKill => "database removed",
        CloseReason::Shutdown => "server shutting down",
        CloseReason::LineFell => "too many servers in the pool",
        CloseReason::ServerGone | CloseReason::ServerFatal => "server conn crashed?",
        CloseReason::ServerProtocol => "unknown pkt",
        CloseReason::ServerUnresponsive => "test query failed",
        CloseReason::ServerConnectFailed => "connect failed",
        CloseReason::ServerLoginFailed => "login failed",
        CloseReason::ServerFull => "no slot left at the server",
        CloseReason::ServerUnfit => "not the server that target_session_attrs asks for",
        CloseReason::ParametersRefused => "invalid server parameter",
        CloseReason::QueryTimeout | CloseReason::QueryWaitTimeout => "query timeout",
        CloseReason::IdleTransactionTimeout => "idle transaction timeout",
        CloseReason::TransactionTimeout => "transaction timeout",
        CloseReason::Reclaimed => "lease taken back",
        CloseReason::CancelDone => "successfully sent cancel request",
        CloseReason::Panic => "internal error in the pooler",
        CloseReason::ClientProtocol => "client disconnect before everything was sent to the server",
        CloseReason::ClientTerminate
        | CloseReason::ClientGone
        | CloseReason::ClientLoginTimeout
        | CloseReason::ClientAuthentication
        | CloseReason::ClientRefused
        | CloseReason::ClientIdleTimeout
        | CloseReason::ClientLeftTransaction => "client disconnect while server was not ready",
    }
}

/// Why a connection to a server did not come up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotUp {
    /// Its host's name has no address.
    Name,
    /// Nobody answered in time.
    Late,
    /// The system or the server refused the connection, or TLS with it failed.
    Refused,
}

impl NotUp {
    /// PgBouncer's words for it.
    pub const fn words(self) -> &'static str {
        match self {
            NotUp::Name => "server DNS lookup failed",
            NotUp::Late => "connect timeout",
            NotUp::Refused => "connect failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reason, words for a client, words for a server.
    const TABLE: &[(CloseReason, &str, &str)] = &[
        (
            CloseReason::SuspendTimeout,
            "suspend_timeout",
            "suspend_timeout",
        ),
        (
            CloseReason::ClientTerminate,
            "client close request",
            "client disconnect while server was not ready",
        ),
        (
            CloseReason::ClientGone,
            "client unexpected eof",
            "client disconnect while server was not ready",
        ),
        (
            CloseReason::ServerLifetime,
            "server lifetime over",
            "server lifetime over",
        ),
        (
            CloseReason::ServerIdleTimeout,
            "server idle timeout",
            "server idle timeout",
        ),
        (CloseReason::Evicted, "evicted", "evicted"),
        (
            CloseReason::SettingsChanged,
            "database configuration changed",
            "database configuration changed",
        ),
        (
            CloseReason::Reconnect,
            "database configuration changed",
            "database configuration changed",
        ),
        (CloseReason::Paused, "pause mode", "pause mode"),
        (
            CloseReason::AdminKill,
            "admin forced disconnect",
            "database removed",
        ),
        (
            CloseReason::ServerGone,
            "server conn crashed?",
            "server conn crashed?",
        ),
        (CloseReason::QueryTimeout, "query timeout", "query timeout"),
        (
            CloseReason::IdleTransactionTimeout,
            "idle transaction timeout",
            "idle transaction timeout",
        ),
        (
            CloseReason::ClientLeftTransaction,
            "client disconnect while server was not ready",
            "client disconnect while server was not ready",
        ),
        (
            CloseReason::Shutdown,
            "pooler is shutting down",
            "server shutting down",
        ),
        (
            CloseReason::CancelDone,
            "successfully sent cancel request",
            "successfully sent cancel request",
        ),
    ];

    #[test]
    fn ends_have_pgbouncers_words() {
        for (reason, client, server) in TABLE {
            let words = (client_words(*reason), server_words(*reason));
            assert_eq!(words, (*client, *server), "{reason}");
        }
        assert_eq!(NotUp::Name.words(), "server DNS lookup failed");
        assert_eq!(NotUp::Late.words(), "connect timeout");
        assert_eq!(NotUp::Refused.words(), "connect failed");
    }

    #[test]
    fn every_reason_has_words_that_fit_a_closing_line() {
        for reason in CloseReason::ALL {
            for words in [client_words(*reason), server_words(*reason)] {
                // Readers take what stands before the parenthesis with the age.
                assert!(
                    !words.is_empty() && !words.contains(['(', '\n']),
                    "{reason}: {words}"
                );
            }
        }
    }
}
