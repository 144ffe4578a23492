//! PgBouncer's command line, so that init scripts, units and test suites can call us in its place.

use clap::Args;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// As PgBouncer is started: so that its init scripts and units can start this program.
///
/// A link to this program that is named pgbouncer takes these options without a command.
#[derive(Clone, Debug, Args)]
#[command(disable_version_flag = true)]
#[command(after_help = "Examples:\n  \
    plimsoll pgbouncer -d /etc/pgbouncer/pgbouncer.ini\n  \
    ln -s /usr/bin/plimsoll /usr/local/sbin/pgbouncer\n\n\
    The guards only watch, and the line is 90, unless `plimsoll run` is told otherwise.")]
pub struct PgbouncerArgs {
    /// Settings: a pgbouncer.ini
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Run in the background; it needs pidfile, and logfile or syslog
    #[arg(short, long)]
    pub daemon: bool,
    /// Take over from the process that serves these settings: an online restart
    #[arg(short = 'R', long)]
    pub reboot: bool,
    /// Log nothing to standard error
    #[arg(short, long)]
    pub quiet: bool,
    /// Log more; twice: all
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Become this user, when root starts it
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
    /// Show the version
    #[arg(short = 'V', long)]
    pub version: bool,
}

/// The words of the command line. Called as `pgbouncer` they are PgBouncer's.
pub fn words(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = given.collect();
    let name = words.first().and_then(|program| {
        let name = Path::new(program).file_name()?;
        Some(name.to_string_lossy().into_owned())
    });
    if name.is_some_and(|name| name == "pgbouncer") {
        words.insert(1, "pgbouncer".into());
    }
    words
}

/// Whether these words are PgBouncer's: wrong ones then end with its exit code.
pub fn is_pgbouncers(words: &[OsString]) -> bool {
    words.get(1).is_some_and(|word| word == "pgbouncer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn parsed(line: &str) -> Result<PgbouncerArgs, clap::Error> {
        let words = words(line.split(' ').map(OsString::from));
        match Cli::try_parse_from(words)?.command {
            Command::Pgbouncer(args) => Ok(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn its_options_are_taken_as_getopt_takes_them() {
        for line in [
            "/usr/sbin/pgbouncer -d -q -v -v -R -u postgres a.ini",
            "plimsoll pgbouncer --daemon --quiet --verbose --verbose --reboot --user=postgres a.ini",
            "pgbouncer -dqvvR -upostgres a.ini",
            "pgbouncer a.ini --user postgres -Rvvqd",
        ] {
            let args = parsed(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert!(args.daemon && args.quiet && args.reboot, "{line}");
            assert_eq!(args.verbose, 2, "{line}");
            assert_eq!(args.user.as_deref(), Some("postgres"), "{line}");
            assert_eq!(args.file.as_deref(), Some(Path::new("a.ini")), "{line}");
        }
        assert!(parsed("pgbouncer -V").is_ok_and(|args| args.version));
        assert!(parsed("pgbouncer -x a.ini").is_err());
        assert!(parsed("pgbouncer a.ini b.ini").is_err());
    }

    #[test]
    fn another_name_leaves_the_words_alone() {
        let given = ["plimsoll", "run", "a.ini"].map(OsString::from);
        let kept = words(given.clone().into_iter());
        assert_eq!(kept, given);
        assert!(!is_pgbouncers(&kept));
        assert!(is_pgbouncers(&words(["pgbouncer".into()].into_iter())));
    }
}
