//! What is typed to look for leaks in a test suite.

use super::words::measured;
use super::{DatabaseUrl, listen_address};
use clap::Args;
use std::path::PathBuf;

/// A program, and the database that it would have used.
///
/// Runs COMMAND with its database traffic through a pooler of its own and fails when
/// transactions are left open, connections are borrowed and not returned, or a pool
/// is outgrown: which test or request, which statement, which line of code.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll leaks -- python manage.py test\n  \
    plimsoll leaks --database postgres://ci:ci@localhost/shop -- pytest -x\n  \
    plimsoll leaks --sandbox --pool 5 -- npm test\n  \
    plimsoll leaks --format junit --output leaks.xml -- mvn -q verify\n  \
    plimsoll leaks --listen 127.0.0.1:5432 --database postgres://ci:ci@db/shop -- ./smoke.sh\n\n\
    The database is --database, else DATABASE_URL, else PGHOST, PGPORT, PGUSER, PGPASSWORD and\n\
    PGDATABASE. For COMMAND these lead through the pooler, as does every variable that holds\n\
    the same server's URL. Where the address stands in a file, --listen takes its place.\n\
    The verdict is on standard error; COMMAND's own input and output pass through.\n\n\
    Exit codes: 0 no leak and COMMAND succeeded; 1 leaks, whatever COMMAND said; 2 it could not\n\
    run, or no connection came through; else COMMAND's own (128 + N after signal N, 124 after --for).")]
pub struct LeaksArgs {
    /// The database that the program would have used
    #[arg(long, value_name = "URL")]
    pub database: Option<DatabaseUrl>,
    /// Bring a private, empty PostgreSQL, gone when the command ends
    #[arg(long, conflicts_with = "database")]
    pub sandbox: bool,
    /// Where the program connects, if its settings name an address (loopback only)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = listen_address)]
    pub listen: std::net::SocketAddr,
    /// Connections that one process may have at once: its pool's size in production
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub pool: Option<u32>,
    /// End the command after this time, and judge what was seen
    #[arg(long = "for", value_name = "TIME", value_parser = measured)]
    pub span: Option<std::time::Duration>,
    /// For people, programs, or a CI's page of tests
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LeaksFormat::Text)]
    pub format: LeaksFormat,
    /// Write that into a file; the text stays on standard error
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Do not ask Python and Node for the names of tests and what their pools lend
    ///
    /// What is asked is set by environment variables (PYTHONPATH, NODE_OPTIONS) alone
    #[arg(long)]
    pub no_hooks: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// How findings are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum LeaksFormat {
    /// For people.
    Text,
    /// One object.
    Json,
    /// JUnit XML.
    Junit,
}
