//! How the process itself behaves: what signals mean to it.

/// What TERM and INT ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnSignal {
    /// Idle clients are closed, transactions may end within the drain's time.
    #[default]
    Drain,
    /// As PgBouncer from 1.23 on: TERM waits for all clients, INT for all servers, without a limit.
    Wait,
}

/// Whose words the log has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogStyle {
    /// Our own.
    #[default]
    Plimsoll,
    /// PgBouncer's lines, where it has one for what happened.
    Pgbouncer,
}

/// What `syslog_facility` may be.
pub const FACILITIES: &[&str] = &[
    "daemon", "user", "auth", "authpriv", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7", "mail", "cron", "ftp", "kern", "lpr", "news", "uucp",
];

/// The process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Process {
    /// What TERM and INT ask for.
    pub signals: OnSignal,
    /// How long a shutdown takes.
    pub drain: super::Drain,
    /// The user that it becomes when root starts it; `None`: it stays who it is.
    pub user: Option<String>,
    /// Whose words the log has, in its text format.
    pub log_style: LogStyle,
    /// Log to the system's log as well.
    pub syslog: bool,
    /// The name of its lines there.
    pub syslog_ident: String,
    /// Their facility, one of [`FACILITIES`].
    pub syslog_facility: String,
    /// How much more is logged than usual: 1 debug, 2 trace.
    pub verbose: u32,
}
