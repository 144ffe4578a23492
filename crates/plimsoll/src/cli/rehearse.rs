//! What is typed for rehearsals.

use super::{Colour, LogFormat};
use clap::Args;
use std::path::PathBuf;

/// Load as production's, sent to a database through any pooler or none, and a verdict.
///
/// The load is open: a request is sent when it is due, whatever became of those
/// before it, and its latency counts from that moment. A run in which the
/// generator itself was late calls itself invalid.
///
/// FILE is a scenario (TOML), a captured shape or captured statements. Without one,
/// name scripts as for pgbench: -f SCRIPT@WEIGHT with --rate and --for.
///
/// Captured statements write what they wrote: play them on a restored copy, which
/// --on must name.
#[derive(Debug, Args)]
#[command(
    after_help = "Where to: --on, else DATABASE_URL, else PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE.\n\n\
    Exit codes: 0 every threshold kept; 1 one broken; 2 it could not run as written, or was\n\
    ended; 3 the generator lagged, so the figures are worth nothing. Try again after 3, never\n\
    after 1.\n\n\
    Examples:\n  \
    plimsoll rehearse checkout.toml --on postgres://anna@127.0.0.1:6432/shop\n  \
    plimsoll rehearse -f read.sql@9 -f pay.sql --rate 300/s --for 1min --threshold 'p(99) < 50ms'\n  \
    plimsoll rehearse monday.shape --scale 1.5 --for 2min --on plimsoll.toml\n  \
    plimsoll rehearse monday.statements --on postgres://anna@127.0.0.1:6432/copy\n  \
    plimsoll rehearse checkout.toml --on old.toml --versus new.toml --rounds 8\n  \
    plimsoll rehearse checkout.toml --find-limit\n  \
    plimsoll rehearse checkout.toml --report out.xml --report out.html --report out.json\n\n\
    Every quarter, by cron:  0 4 1 */3 * plimsoll rehearse /etc/plimsoll/season.toml --report /srv/rehearsals/last.html"
)]
pub struct RehearseArgs {
    /// A scenario in TOML, a captured shape, or captured statements
    #[arg(value_name = "FILE", required_unless_present = "scripts")]
    pub file: Option<PathBuf>,

    /// A script as pgbench's, with its weight among several; repeatable
    #[arg(short = 'f', long = "file", value_name = "SCRIPT[@WEIGHT]", value_parser = script)]
    pub scripts: Vec<(String, u32)>,

    /// The database: a postgres:// URL (a server, Plimsoll, any pooler), or a
    /// settings file, which then serves in this process for the time of the run
    #[arg(long, value_name = "URL|FILE")]
    pub on: Option<Where>,

    /// Which database of a settings file, where it names several
    #[arg(long, value_name = "NAME")]
    pub dbname: Option<String>,

    /// As which user of a settings file, where it knows several
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// A second one: both are measured in interleaved rounds and compared
    #[arg(long, value_name = "URL|FILE", conflicts_with = "find_limit")]
    pub versus: Option<Where>,

    /// Rounds of a comparison: each sends the whole load to both
    #[arg(long, value_name = "N", default_value_t = 8, requires = "versus", value_parser = clap::value_parser!(u32).range(5..=100))]
    pub rounds: u32,

    /// The second may be worse by so much
    #[arg(long, value_name = "PERCENT", requires = "versus", value_parser = percent)]
    pub tolerate: Option<f64>,

    /// Find the load at which it gives way, in place of one load with thresholds
    ///
    /// It begins with --rate (50/s) and lasts --for (10s) at each step
    #[arg(long)]
    pub find_limit: bool,

    /// Requests per second, in place of the file's phases: 300/s, 90/min
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,

    /// How long: 30s, 5min; with --find-limit, each step
    #[arg(long = "for", value_name = "TIME")]
    pub lasts: Option<String>,

    /// How much of a captured shape's rate: 1.5 is half more. Of captured statements: how
    /// many times as fast
    #[arg(long, value_name = "X", value_parser = super::words::positive)]
    pub scale: Option<f64>,

    /// Most connections of the generator at a time, all opened before the first request. With
    /// captured statements each session has its own; this is how many there may be at a time (1000)
    #[arg(short = 'c', long, value_name = "N")]
    pub connections: Option<u32>,

    /// A request that takes longer has failed: 5s; with captured statements 60s
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<String>,

    /// Open a connection for each request, as pgbench's --connect; its login is part of the latency
    #[arg(short = 'C', long)]
    pub connect: bool,

    /// How statements are sent
    #[arg(short = 'M', long, value_name = "PROTOCOL", value_enum)]
    pub protocol: Option<ProtocolWord>,

    /// A variable of the scripts; repeatable
    #[arg(short = 'D', long = "define", value_name = "NAME=NUMBER")]
    pub variables: Vec<String>,

    /// What must hold, beside the file's: 'p(99) < 50ms', 'errors < 0.1%'; repeatable
    #[arg(long, value_name = "THRESHOLD", conflicts_with = "versus")]
    pub threshold: Vec<String>,

    /// Decides what chance draws; the same seed sends the same requests
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Say what would be sent, and connect nowhere
    #[arg(long, conflicts_with_all = ["versus", "find_limit"])]
    pub dry_run: bool,

    /// End as soon as a threshold on errors cannot be kept any more
    #[arg(long)]
    pub abort_on_fail: bool,

    /// Do not send one request of each class first, to see that it can run
    #[arg(long)]
    pub no_trial: bool,

    /// How the verdict is printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub format: LogFormat,

    /// Write a report too; its ending says which: .html, .json, .xml (JUnit), .txt; repeatable
    #[arg(long, value_name = "FILE", value_parser = report)]
    pub report: Vec<Report>,

    /// No progress on standard error
    #[arg(short, long)]
    pub quiet: bool,

    /// Colours; auto heeds NO_COLOR and the terminal
    #[arg(long = "color", value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    pub colour: Colour,
}

/// Where requests are sent. It may hold a password, so `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub enum Where {
    /// A URL.
    Url(String),
    /// A settings file.
    Settings(PathBuf),
}

impl std::fmt::Debug for Where {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Where::Url(_) => f.write_str("Url(…)"),
            Where::Settings(path) => write!(f, "Settings({})", path.display()),
        }
    }
}

impl From<&str> for Where {
    fn from(text: &str) -> Where {
        // What may hold a password is never taken for a path, which errors show.
        let url = text.starts_with("postgres") && text.contains(':') || text.contains("://");
        match url || text.contains('@') || text.contains('=') {
            true => Where::Url(text.to_owned()),
            false => Where::Settings(PathBuf::from(text)),
        }
    }
}

/// How statements are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum ProtocolWord {
    /// As texts, with values in them.
    Simple,
    /// Parsed each time, with parameters.
    Extended,
    /// Parsed once for each connection.
    Prepared,
}

/// A file for a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// What is written to it.
    pub kind: ReportKind,
}

/// Kinds of reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportKind {
    /// One page with charts.
    Html,
    /// One object.
    Json,
    /// For build servers.
    Junit,
    /// As on a terminal.
    Text,
}

fn report(text: &str) -> Result<Report, String> {
    let path = PathBuf::from(text);
    let ending = path.extension().and_then(|ending| ending.to_str());
    let kind = match ending {
        Some("html" | "htm") => ReportKind::Html,
        Some("json") => ReportKind::Json,
        Some("xml") => ReportKind::Junit,
        Some("txt") => ReportKind::Text,
        _ => return Err("its name ends with .html, .json, .xml (JUnit) or .txt".to_owned()),
    };
    Ok(Report { path, kind })
}

/// `read.sql@9`: as for pgbench.
fn script(text: &str) -> Result<(String, u32), String> {
    match text.rsplit_once('@') {
        None => Ok((text.to_owned(), 1)),
        Some((file, weight)) => match weight.parse::<u32>() {
            Ok(weight @ 1..) if !file.is_empty() => Ok((file.to_owned(), weight)),
            _ => Err("write SCRIPT@WEIGHT, with a weight of 1 or more".to_owned()),
        },
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse::<f64>().ok();
    let share = number.filter(|n| (0.0..=1_000.0).contains(n));
    share
        .map(|n| n / 100.0)
        .ok_or_else(|| "write a percentage, as 5%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_have_weights_as_for_pgbench() {
        assert_eq!(script("a.sql"), Ok(("a.sql".to_owned(), 1)));
        assert_eq!(script("a@b.sql@9"), Ok(("a@b.sql".to_owned(), 9)));
        for wrong in ["a.sql@0", "a.sql@", "@3", "a.sql@x"] {
            assert!(script(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_place_is_a_url_or_a_file_and_shows_no_password() {
        let url = Where::from("postgres://anna:hunter2@h/shop");
        assert!(!format!("{url:?}").contains("hunter2"));
        for odd in [
            "postgres:/a:hunter2@h/x",
            "host=h password=hunter2",
            "a:hunter2@h",
        ] {
            assert!(!format!("{:?}", Where::from(odd)).contains("hunter2"));
        }
        assert_eq!(Where::from("p.toml"), Where::Settings("p.toml".into()));
    }

    #[test]
    fn endings_say_which_report() {
        assert_eq!(report("a/b.xml").unwrap().kind, ReportKind::Junit);
        assert!(report("b.pdf").is_err());
        assert_eq!(percent("5%"), Ok(0.05));
        assert!(percent("-1").is_err());
    }
}
