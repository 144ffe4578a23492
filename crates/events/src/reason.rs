//! Why something ended. One closed set; the label is the same everywhere.

/// Who is at fault, so that an alert reaches the right person.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// The client broke a rule or went away.
    Client,
    /// The database server failed or closed.
    Server,
    /// A person or a setting asked for it.
    Operator,
    /// A bug of ours.
    Ours,
}

macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident $label:literal $fault:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The label used in log, metric, page and report.
            pub const fn label(self) -> &'static str {
                match self { $($name::$variant => $label,)+ }
            }

            /// Who is at fault.
            pub const fn fault(self) -> Fault {
                match self { $($name::$variant => Fault::$fault,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.label())
            }
        }
    };
}

reasons! {
    /// Why a client or server connection was closed.
    CloseReason {
        /// The client said Terminate.
        ClientTerminate "client_terminate" Client,
        /// The client's socket ended without Terminate.
        ClientGone "client_gone" Client,
        /// The client broke the protocol.
        ClientProtocol "client_protocol" Client,
        /// The client did not finish its login in time.
        ClientLoginTimeout "client_login_timeout" Client,
        /// The client's credentials were refused.
        ClientAuthentication "client_authentication" Client,
        /// The client asked for what does not exist or is not allowed at login.
        ClientRefused "client_refused" Client,
        /// The client was idle outside a transaction for too long.
        ClientIdleTimeout "client_idle_timeout" Operator,
        /// The client was idle inside a transaction for too long.
        IdleTransactionTimeout "idle_transaction_timeout" Client,
        /// A transaction took too long.
        TransactionTimeout "transaction_timeout" Client,
        /// It was silent in a transaction beyond what its kind ever was, while others waited.
        Reclaimed "reclaimed" Client,
        /// A query took too long.
        QueryTimeout "query_timeout" Client,
        /// The client waited for a connection beyond its deadline.
        QueryWaitTimeout "query_wait_timeout" Operator,
        /// A client's session parameters could not be set on a server connection.
        ParametersRefused "parameters_refused" Client,
        /// The client left inside a transaction; the server connection could not be cleaned.
        ClientLeftTransaction "client_left_transaction" Client,
        /// The server could not be reached.
        ServerConnectFailed "server_connect_failed" Server,
        /// The server refused the pooler's login.
        ServerLoginFailed "server_login_failed" Server,
        /// The server had no slot left for a connection (53300).
        ServerFull "server_full" Server,
        /// The server's socket ended.
        ServerGone "server_gone" Server,
        /// The server broke the protocol.
        ServerProtocol "server_protocol" Server,
        /// The server reported a fatal error.
        ServerFatal "server_fatal" Server,
        /// The server's reply to the pooler's own statement did not come in time.
        ServerUnresponsive "server_unresponsive" Server,
        /// The server has moved: its name leads elsewhere, or it is a standby now.
        ServerMoved "server_moved" Server,
        /// The server is not what `target_session_attrs` asks for.
        ServerUnfit "server_unfit" Server,
        /// The server connection was idle for too long.
        ServerIdleTimeout "server_idle_timeout" Operator,
        /// The server connection reached its age limit.
        ServerLifetime "server_lifetime" Operator,
        /// The connection's slot was needed by another pool on the same server.
        Evicted "evicted" Operator,
        /// The line fell, because others took connections or a peer wants its share.
        LineFell "line_fell" Operator,
        /// The settings changed so that this connection no longer fits.
        SettingsChanged "settings_changed" Operator,
        /// An administrator closed it.
        AdminKill "admin_kill" Operator,
        /// An administrator wanted each connection replaced (RECONNECT).
        Reconnect "reconnect" Operator,
        /// An administrator paused its database.
        Paused "paused" Operator,
        /// Its bytes could not be sent within `suspend_timeout` after SUSPEND.
        SuspendTimeout "suspend_timeout" Operator,
        /// The pooler is shutting down.
        Shutdown "shutdown" Operator,
        /// A cancel request's connection has done its work.
        CancelDone "cancel_done" Client,
        /// A panic in the pooler was contained here.
        Panic "panic" Ours,
    }
}

reasons! {
    /// Why a client was refused a server connection, or a login.
    RefuseReason {
        /// Waited beyond its deadline (`query_wait_timeout`).
        WaitTimeout "wait_timeout" Operator,
        /// The pool's queue is full.
        QueueFull "queue_full" Operator,
        /// Its predicted wait exceeds its deadline.
        Shed "shed" Operator,
        /// The server cannot be reached or refuses logins.
        ServerDown "server_down" Server,
        /// The database is disabled by an administrator.
        Disabled "disabled" Operator,
        /// The pooler is shutting down.
        Shutdown "shutdown" Operator,
        /// The client's pin would exceed the pool's share for pins.
        PinShare "pin_share" Client,
        /// `max_client_conn` or another client limit is reached.
        TooManyClients "too_many_clients" Operator,
        /// A panic in the pool was contained; the pool is rebuilt.
        Panic "panic" Ours,
    }
}

reasons! {
    /// Why a lease was taken back, or would have been.
    ReclaimReason {
        /// Several leases of one application and statement fell silent together.
        Pattern "pattern" Client,
        /// One lease was silent for minutes, beyond anything its kind was known for.
        Single "single" Client,
    }
}

reasons! {
    /// What keeps a silent lease from being taken back by default.
    ExemptReason {
        /// It listens for notifications.
        Listen "listen" Client,
        /// It holds an advisory lock of the session.
        AdvisoryLock "advisory_lock" Client,
        /// Other sessions build on the snapshot that it exported.
        ExportedSnapshot "exported_snapshot" Client,
        /// Its transaction changed the schema.
        Ddl "ddl" Client,
        /// Its transaction copied data.
        Copy "copy" Client,
        /// A replication connection.
        Replication "replication" Client,
        /// A person types at the other end: psql and its like.
        Interactive "interactive" Client,
        /// A dump or a restore.
        Dump "dump" Client,
        /// A tool that changes schemas.
        Migration "migration" Client,
        /// The settings say so.
        Settings "settings" Operator,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn labels_are_unique_and_snake_case() {
        let labels: Vec<&str> = CloseReason::ALL.iter().map(|r| r.label()).collect();
        assert_eq!(
            labels.iter().collect::<BTreeSet<_>>().len(),
            CloseReason::COUNT
        );
        for label in labels.iter().chain(
            RefuseReason::ALL
                .iter()
                .map(|r| r.label())
                .collect::<Vec<_>>()
                .iter(),
        ) {
            assert!(
                label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{label}"
            );
        }
    }
}
