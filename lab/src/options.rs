//! The command line.

use crate::case::Case;
use crate::judge::Row;
use std::path::PathBuf;

pub const HELP: &str = "\
cargo xtask diagnose-eval [--cases N] [--seed S] [--jobs J] [--only WORD] [--case N]
                          [--list] [--json FILE] [--output FILE] [--keep DIR]
                          [--replay DIR] [--plimsoll PATH]
cargo xtask page-shots [--only NNN] [--look NNN [--minutes M]] [--plimsoll PATH]

  --cases N        how many cases (210)
  --seed S         seed of the generator (1)
  --jobs J         cases at once (3); those that need all cores run alone
  --only WORD      only cases with this word in their name: a cause, a variant
  --case N         only this one; may be repeated
  --list           what would run
  --json FILE      a row for each case, kept up to date while it runs
  --output FILE    the report, as in docs/diagnosis-evaluation.md
  --keep DIR       the bundle and the log of each case
  --replay DIR     judge what was kept there by the rules of this build; no server
                   is started
  --plimsoll PATH  the program to judge

  --shots DIR      no cases: stage the outages of the reports and leave pictures of
                   the live page there; --only NNN: one of them
  --look NNN       stage that outage, print the page's address and hold it
  --minutes M      so many minutes (10)

Cases need root, for network namespaces and cgroups. All needs PostgreSQL.
Exit code 0: first answers right in 95 % of cases or more, a true cause ruled out
in at most 1 %, no rejection without a figure.
";

/// What was asked for.
#[derive(Debug)]
pub struct Options {
    cases: u32,
    seed: u64,
    /// Cases at once.
    pub jobs: usize,
    /// A word of the name, or an outage's number.
    pub only: Option<String>,
    numbers: Vec<u32>,
    /// Only say what would run.
    pub list: bool,
    json: Option<PathBuf>,
    /// Where the report goes.
    pub output: Option<PathBuf>,
    /// Where bundles and logs go.
    pub keep: Option<PathBuf>,
    /// Judge what was kept there again, by the rules of this build, without a server.
    pub replay: Option<PathBuf>,
    /// Where pictures of the page go: the outages of the reports, not cases.
    pub shots: Option<PathBuf>,
    /// The outage that a person looks at.
    pub look: Option<String>,
    /// For so long.
    pub minutes: f64,
    /// The program to judge.
    pub program: PathBuf,
}

impl Options {
    /// `None`: help was asked for.
    pub fn parse(words: &[String]) -> Result<Option<Options>, String> {
        let mut options = Options {
            cases: 210,
            seed: 1,
            jobs: 3,
            only: None,
            numbers: Vec::new(),
            list: false,
            json: None,
            output: None,
            keep: None,
            replay: None,
            shots: None,
            look: None,
            minutes: 10.0,
            program: beside_us(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().cloned().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "-h" | "--help" | "help" => return Ok(None),
                "--list" => options.list = true,
                "--cases" => options.cases = number(&value()?)?,
                "--seed" => options.seed = number(&value()?)?,
                "--jobs" => options.jobs = number::<usize>(&value()?)?.clamp(1, 16),
                "--case" => options.numbers.push(number(&value()?)?),
                "--only" => options.only = Some(value()?),
                "--json" => options.json = Some(value()?.into()),
                "--output" => options.output = Some(value()?.into()),
                "--keep" => options.keep = Some(value()?.into()),
                "--replay" => options.replay = Some(value()?.into()),
                "--shots" => options.shots = Some(value()?.into()),
                "--look" => options.look = Some(value()?),
                "--minutes" => options.minutes = number::<f64>(&value()?)?.clamp(0.1, 600.0),
                "--plimsoll" => options.program = value()?.into(),
                other => return Err(format!("`{other}` is no option")),
            }
        }
        if let Some(dir) = &options.keep {
            std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        if !options.list && options.replay.is_none() {
            let found = options.program.canonicalize();
            options.program = found.map_err(|e| format!("{}: {e}", options.program.display()))?;
        }
        Ok(Some(options))
    }

    /// The cases.
    pub fn cases(&self) -> Vec<Case> {
        let wanted = |case: &Case| {
            let named = self
                .only
                .as_ref()
                .is_none_or(|word| case.name().contains(word));
            named && (self.numbers.is_empty() || self.numbers.contains(&case.number))
        };
        (0..self.cases)
            .map(|number| Case::of(number, self.seed))
            .filter(wanted)
            .collect()
    }

    /// The command that repeats this.
    pub fn command(&self) -> String {
        format!(
            "cargo xtask diagnose-eval --cases {} --seed {}",
            self.cases, self.seed
        )
    }

    /// Writes the rows, so far.
    pub fn save(&self, rows: &[Row]) {
        let Some(path) = &self.json else { return };
        let text = serde_json::to_string_pretty(rows).unwrap_or_default();
        if let Err(error) = std::fs::write(path, text) {
            eprintln!("{}: {error}", path.display());
        }
    }
}

fn number<N: std::str::FromStr>(word: &str) -> Result<N, String> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

/// The program built with the same profile.
fn beside_us() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("plimsoll")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Options, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        // Any file will do for the program.
        let own = std::env::current_exe().expect("own path");
        let program = ["--plimsoll".to_owned(), own.display().to_string()];
        let all = [&program[..], &words].concat();
        Options::parse(&all).map(|options| options.expect("no help"))
    }

    #[test]
    fn an_outage_is_held_for_ten_minutes_unless_told_otherwise() {
        let options = parsed(&["--look", "004"]).expect("right");
        assert_eq!(options.look.as_deref(), Some("004"));
        assert!((options.minutes - 10.0).abs() < 1e-9);
        let options = parsed(&["--look", "004", "--minutes", "0.5"]).expect("right");
        assert!((options.minutes - 0.5).abs() < 1e-9);
        let told = parsed(&["--look", "004", "--minutes", "soon"]).expect_err("wrong");
        assert_eq!(told, "`soon` is no number");
    }

    #[test]
    fn pictures_want_a_place() {
        let options = parsed(&["--shots", "docs/outages", "--only", "002"]).expect("right");
        assert_eq!(options.shots, Some(PathBuf::from("docs/outages")));
        assert_eq!(options.only.as_deref(), Some("002"));
        let told = parsed(&["--shots"]).expect_err("wrong");
        assert_eq!(told, "--shots needs a value");
    }
}
