//! The command line: what a person can type, and the help that teaches it.

mod alerts;
mod capture;
mod demo;
mod diagnosis;
mod drill;
mod export;
mod guard;
mod import;
mod incident;
mod lab;
mod leaks;
mod man;
mod pgbouncer;
mod rehearse;
mod settings;
mod size;
mod top;
mod words;

pub use alerts::AlertsArgs;
pub use capture::CaptureArgs;
use clap::{Args, Parser, Subcommand};
pub use demo::{DemoArgs, DemoGuard, OutageWord};
pub use diagnosis::{
    BundleArgs, DiagnoseArgs, MarkArgs, MarkWhat, NotifyArgs, NotifyTestArgs, NotifyWhat,
    ReleaseArgs,
};
pub use drill::{DrillArgs, LevelWord};
pub use export::{ExportArgs, ExportWhat};
pub use guard::{
    GuardAcceptArgs, GuardAction, GuardArgs, GuardDiffArgs, GuardHistoryArgs, GuardRestoreArgs,
    GuardState,
};
pub use import::{ImportArgs, WatchedArgs};
pub use incident::{
    IncidentAction, IncidentArgs, IncidentCloseArgs, IncidentListArgs, IncidentNoteArgs,
    IncidentReportArgs, IncidentShowArgs, PlaybookArgs,
};
pub use lab::LabArgs;
pub use leaks::{LeaksArgs, LeaksFormat};
pub use man::ManArgs;
pub use pgbouncer::{PgbouncerArgs, is_pgbouncers, words};
pub use rehearse::{ProtocolWord, RehearseArgs, Report, ReportKind, Where};
pub use settings::{ApplyArgs, HistoryArgs, PlanArgs, PoolerArgs, RollbackArgs, StatusArgs};
pub use size::{SizeArgs, TemplateArgs};
use std::path::PathBuf;
pub use top::{TopArgs, TopView};
use words::time;

/// A PostgreSQL connection pooler that cannot be configured into an outage.
///
/// Applications connect to Plimsoll instead of PostgreSQL. Plimsoll lends them
/// a few server connections and never asks the server for more than it can give.
#[derive(Debug, Parser)]
#[command(version, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong use of the command line.\n\
                        Start here:  plimsoll demo"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve: pool connections to PostgreSQL
    Run(RunArgs),
    /// Show it: private PostgreSQL, pooler and traffic, until Ctrl-C
    Demo(DemoArgs),
    /// Show what a running pooler may do by itself, or switch it to watching
    Guards(GuardsArgs),
    /// A pgbouncer.ini as plimsoll.toml, with comments
    Import(ImportArgs),
    /// Say whether settings would take the site down, before they do
    Check(CheckArgs),
    /// How many connections: from rates and times, with the reasoning
    Size(SizeArgs),
    /// Settings with sane limits, for a pooler, a server or an application
    Template(TemplateArgs),
    /// What a change of settings would do
    #[command(visible_alias = "diff")]
    Plan(PlanArgs),
    /// Let new settings serve, through the gate
    Apply(ApplyArgs),
    /// The versions that were, and what became of them
    History(HistoryArgs),
    /// Back to an earlier version, at once
    Rollback(RollbackArgs),
    /// What serves, and whether the settings file says the same
    Status(StatusArgs),
    /// The pooler live: who waits and why, which pool, who holds, what changed
    Top(TopArgs),
    /// What the traffic looks like, in a file for a rehearsal
    Capture(CaptureArgs),
    /// What is wrong, by which figures, and what it is not
    Diagnose(DiagnoseArgs),
    /// What needs a person now, and what did lately
    Alerts(AlertsArgs),
    /// What a diagnosis reads, in one file, to send to a colleague
    Bundle(BundleArgs),
    /// Note a change that the pooler cannot see, such as a release
    Mark(MarkArgs),
    /// Who is told of alerts, and a test message
    Notify(NotifyArgs),
    /// What happened: timeline, notes, reports
    Incident(IncidentArgs),
    /// What to do, step by step, for an alert, a cause or a symptom
    Playbook(PlaybookArgs),
    /// Guard other settings files: history, drift alert, the way back
    Guard(GuardArgs),
    /// Run a test suite, and fail when it leaks connections or transactions
    Leaks(LeaksArgs),
    /// Outages, replayed with and without Plimsoll
    Lab(LabArgs),
    /// Print alert rules for Prometheus, or a dashboard for Grafana
    Export(ExportArgs),
    /// Load tests with a verdict: scenarios, scripts, captured shapes
    Rehearse(Box<RehearseArgs>),
    /// Practise an outage in a private sandbox, with a debrief
    Drill(DrillArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(ManArgs),
    /// Be called as PgBouncer is: -d -R -q -v -u USER FILE
    Pgbouncer(PgbouncerArgs),
    /// Answer one question about other settings, for the pooler itself
    #[command(hide = true)]
    PredictWorker,
}

/// Where the settings of `run` come from: exactly one source.
///
/// Without one it is a usage error. A forgotten mount must never serve an
/// empty database.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll run plimsoll.toml\n  \
    plimsoll run /etc/pgbouncer/pgbouncer.ini\n  \
    plimsoll run --database postgres://anna:PASSWORD@db.internal/shop\n  \
    plimsoll run --sandbox\n\n\
    Signals: HUP reads the settings again (all or nothing), TERM and INT end as process.signals says.")]
pub struct RunArgs {
    /// Exactly one of these.
    #[command(flatten)]
    pub source: RunSource,

    /// Most server connections, over all pools: the line
    ///
    /// A pgbouncer.ini has no place for it. Leave room for superusers,
    /// other applications and a second pooler below the server's max_connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub line: Option<u32>,

    /// The mode of every guard that the settings file does not set
    ///
    /// A pgbouncer.ini has no place for guards: they only watch, unless this says otherwise
    #[arg(long, value_name = "MODE", value_enum)]
    pub guards: Option<GuardWord>,

    /// Directory of the history of settings
    ///
    /// Without it: `directory` in the section state, else STATE_DIRECTORY, else /var/lib/plimsoll where it is
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// Settings to compare with where there is no history yet
    ///
    /// The file then goes through the gate as a change of these
    #[arg(long, value_name = "FILE", requires = "file")]
    pub baseline: Option<PathBuf>,

    /// Where /metrics, /livez and /readyz listen, e.g. 127.0.0.1:9930
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<std::net::SocketAddr>,

    /// Where clients connect, with --database or --sandbox (loopback only)
    ///
    /// 127.0.0.1:6432, IPv6 addresses in brackets; port 0 takes a free one and prints it
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:6432",
        value_parser = listen_address,
        conflicts_with = "file"
    )]
    pub listen: std::net::SocketAddr,

    /// Directory of a unix socket for clients, with --database or --sandbox
    ///
    /// The socket is named .s.PGSQL.PORT, with the port of --listen (6432 where that is 0)
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    pub socket_dir: Option<PathBuf>,

    /// Take over from the process that serves these settings: an online restart
    ///
    /// It hands over its listening sockets and its state directory, serves the clients
    /// that it has until they leave, for at most TIME (30m), and ends. Where none serves, this is an ordinary start
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "30m",
          value_parser = words::measured, requires = "file")]
    pub takeover: Option<std::time::Duration>,

    /// Log lines as text or as JSON
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Least important lines that are logged: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = ["error", "warn", "info", "debug", "trace"])]
    pub log_level: String,

    /// Log nothing to standard error
    #[arg(long)]
    pub quiet: bool,

    /// Become this user before anything is opened, where root starts it
    #[arg(long, value_name = "USER", requires = "file")]
    pub user: Option<String>,
}

/// Where the settings come from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct RunSource {
    /// Settings: plimsoll.toml, or an existing pgbouncer.ini as it is
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Pool one database, without a file
    ///
    /// Listens on loopback only (and on a unix socket with --socket-dir);
    /// clients log in with the URL's own user and password
    #[arg(long, value_name = "URL")]
    pub database: Option<DatabaseUrl>,

    /// Bring a private, empty PostgreSQL, gone when the command ends
    #[arg(long)]
    pub sandbox: bool,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one object a line.
    Json,
}

/// A `postgres://` URL. It may hold a password, so `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL as written, password included.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

impl From<&str> for DatabaseUrl {
    /// Takes any text: the settings' own reader judges it, without repeating it.
    fn from(text: &str) -> DatabaseUrl {
        DatabaseUrl(text.to_owned())
    }
}

/// An address with its port. `localhost` is taken for 127.0.0.1.
fn listen_address(text: &str) -> Result<std::net::SocketAddr, String> {
    let named = text.strip_prefix("localhost:");
    let text = named.map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse()
        .map_err(|_| "write an address and a port, as 127.0.0.1:6432 or [::1]:6432".to_owned())
}

/// How far the guards go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum GuardWord {
    /// They do not even look.
    Off,
    /// They log and count what they would have done.
    Observe,
    /// They act.
    Enforce,
}

impl GuardWord {
    /// The mode itself.
    pub fn mode(self) -> events::GuardMode {
        match self {
            GuardWord::Off => events::GuardMode::Off,
            GuardWord::Observe => events::GuardMode::Observe,
            GuardWord::Enforce => events::GuardMode::Enforce,
        }
    }
}

/// The guards of a running pooler.
///
/// Guards are what Plimsoll does without being asked. Switched off, they only
/// watch, and come back by themselves; the budget always holds.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:\n  \
    plimsoll guards\n  \
    plimsoll guards --since 7d --state /var/lib/plimsoll\n  \
    plimsoll guards off --for 30m --reason 'the fix of ticket 7'\n  \
    plimsoll guards on /etc/plimsoll/plimsoll.toml\n  \
    plimsoll guards --socket /run/plimsoll --format json\n\n\
    The pooler is found by its settings file, by --socket or by --host. Without any of\n\
    these: plimsoll.toml here or in /etc/plimsoll, else a socket in /run/plimsoll or /tmp.\n\
    Over a unix socket the user that the pooler runs as needs no password; over TCP,\n\
    a user of admin_users does (PGPASSWORD).")]
pub struct GuardsArgs {
    /// What to do; without it: show.
    #[command(subcommand)]
    pub action: Option<GuardsAction>,
    /// What they came to.
    #[command(flatten)]
    pub watched: WatchedArgs,
    /// Which pooler.
    #[command(flatten)]
    pub reach: ReachArgs,
}

/// What to do with the guards.
#[derive(Debug, Subcommand)]
pub enum GuardsAction {
    /// Only watch for a while
    Off(GuardsOffArgs),
    /// Act again, before that time is up
    On(ReachArgs),
    /// Show how they are set, and what they did
    Show(ReachArgs),
}

/// How long, and why.
#[derive(Debug, Args)]
pub struct GuardsOffArgs {
    /// How long: 30m, 2h, at most 24h
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub span: String,
    /// Why: it stands in the log and in SHOW GUARDS
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub reason: String,
    /// Which pooler.
    #[command(flatten)]
    pub reach: ReachArgs,
}

/// Where a running pooler is.
#[derive(Debug, Args)]
pub struct ReachArgs {
    /// The pooler's settings file
    #[arg(value_name = "FILE", conflicts_with_all = ["socket", "host"])]
    pub file: Option<PathBuf>,
    /// Its unix socket, or the directory of it
    #[arg(long, value_name = "PATH", conflicts_with = "host")]
    pub socket: Option<PathBuf>,
    /// Its host
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Its port, also in the name of the socket
    #[arg(long, value_name = "PORT", default_value_t = 6432)]
    pub port: u16,
    /// The console's user; over TCP one of admin_users
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// For people or for machines
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub format: LogFormat,
}

/// What to check, and how to say it.
///
/// Reads the settings of poolers, servers, applications and deployments, alone and
/// against each other. Nothing is run and nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll check pgbouncer.ini postgresql.conf\n  \
    plimsoll check deploy/ --max-connections 200\n  \
    plimsoll check deploy/ --database postgres://app@db.internal/shop\n  \
    plimsoll check --format sarif . > plimsoll.sarif\n\n\
    Reads plimsoll.toml, pgbouncer.ini, postgresql.conf, Django, SQLAlchemy, HikariCP, Rails, Go,\n\
    node-postgres, Prisma, pgcat.toml, pgdog.toml, odyssey.conf, .env, docker-compose, Kubernetes.\n\
    A finding is accepted by a comment with a reason:  plimsoll: allow(RULE) the reason\n\n\
    Exit codes: 0 nothing, 1 findings, 2 could not run.")]
pub struct CheckArgs {
    /// Files, or directories that hold some
    #[arg(value_name = "FILE", required_unless_present_any = ["rules", "database"])]
    pub files: Vec<PathBuf>,
    /// Ask a running server for its limits and timeouts, instead of a postgresql.conf
    ///
    /// As the application's own user: then the role's settings count, and what other
    /// users hold now. The password may stand in PGPASSWORD.
    #[arg(long, value_name = "URL")]
    pub database: Option<DatabaseUrl>,
    /// The server's max_connections, where no file says it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub max_connections: Option<u64>,
    /// Connections that something else uses on that server
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    pub others: u64,
    /// Connections that are in use at the peak: a smaller pool is an error
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub demand: Option<u64>,
    /// The settings that serve now, file or directory: large changes are findings
    #[arg(long, value_name = "FILE")]
    pub before: Vec<PathBuf>,
    /// For people, programs, code review or GitHub Actions
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = CheckFormat::Text)]
    pub format: CheckFormat,
    /// From which severity on the exit code is 1
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t = FailOn::Warning)]
    pub fail_on: FailOn,
    /// Exit code 0, not 2, where no settings file is found: for hooks
    #[arg(long)]
    pub none_ok: bool,
    /// Colours; auto heeds NO_COLOR and the terminal
    #[arg(long = "color", value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    pub colour: Colour,
    /// List the rules
    #[arg(long)]
    pub rules: bool,
}

/// How findings are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum CheckFormat {
    /// As a compiler does.
    Text,
    /// One object.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// Annotations of GitHub Actions.
    Github,
}

/// What makes a check fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum FailOn {
    /// Errors only.
    Error,
    /// Warnings too.
    Warning,
    /// Anything.
    Note,
}

/// When colours are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    /// Whether colours are wanted: NO_COLOR wins over a terminal, a word over both.
    pub fn wanted(self, terminal: bool) -> bool {
        let refused = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !refused(),
        }
    }
}

/// For which shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:  plimsoll completions bash > \
                        ~/.local/share/bash-completion/completions/plimsoll")]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests;
