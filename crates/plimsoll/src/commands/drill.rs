//! `plimsoll drill`: an outage to practise on, in a private sandbox.
//!
//! What a guess is worth and when it is over `practice::drill` decides. Here is
//! the stage, the clock, and what is typed.

mod input;
mod running;

use crate::cli::{DrillArgs, LevelWord, LogFormat};
use crate::stage::Stage;
use anyhow::Context;
use control::api::Veil;
use input::{Input, Source};
use practice::drill::{self, Drill, Ending, Level};
use running::Running;
use std::io::IsTerminal;
use std::process::ExitCode;

/// Exit code of a wrong use of the command line.
const USAGE: u8 = 2;

/// Sets the stage, strikes, and answers until it is over.
pub fn run(args: &DrillArgs) -> anyhow::Result<ExitCode> {
    if args.list {
        super::print(&drill::list())?;
        return Ok(ExitCode::SUCCESS);
    }
    let source = match &args.answers {
        Some(path) if path.as_os_str() == "-" => Source::Script(Box::new(std::io::stdin())),
        Some(path) => {
            let file = std::fs::File::open(path);
            let file = file.with_context(|| format!("cannot read {}", path.display()))?;
            Source::Script(Box::new(file))
        }
        None if std::io::stdin().is_terminal() => Source::Terminal,
        None => {
            return Ok(wrong(
                "a drill is typed at a terminal, and there is none; scripts use --answers FILE",
            ));
        }
    };
    let (drill, seed) = match chosen(args) {
        Ok(chosen) => chosen,
        Err(text) => return Ok(wrong(&text)),
    };
    let mut teller = Teller {
        aside: args.format == LogFormat::Json,
    };
    // Before the first thread, so that none of them gets a signal that is not watched.
    let input = Input::start(source)?;
    let ended = play(args, drill, seed, input, &mut teller)?;
    Ok(match ended {
        Ending::Solved => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn play(
    args: &DrillArgs,
    drill: &'static Drill,
    seed: Option<u64>,
    input: Input,
    teller: &mut Teller,
) -> anyhow::Result<Ending> {
    let blind = match seed {
        Some(seed) => format!(" Chosen blind; --seed {seed} chooses it again."),
        None => String::new(),
    };
    teller.say(&format!(
        "A private PostgreSQL, a pooler and some applications start ...{blind}"
    ))?;
    let veil = match args.diagnosis {
        true => Veil::default(),
        false => Veil::drawn(),
    };
    let stage = Stage::set(drill.fault, veil.clone())?;
    let mut running = Running::new(drill, stage, input, veil, args.limit);
    let ending = running.play(teller)?;
    let debrief = running.debrief(ending);
    // The stage goes before the debrief is read: nothing is left running meanwhile.
    drop(running);
    match args.format {
        LogFormat::Text => teller.say(&drill::text(&debrief))?,
        LogFormat::Json => super::print(&format!("{}\n", serde_json::to_string_pretty(&debrief)?))?,
    }
    Ok(ending)
}

/// The drill, and the seed where it was chosen blind.
fn chosen(args: &DrillArgs) -> Result<(&'static Drill, Option<u64>), String> {
    if let Some(name) = &args.name {
        let unknown = || format!("there is no drill {name}; plimsoll drill --list names them");
        return drill::named(name).map(|d| (d, None)).ok_or_else(unknown);
    }
    let level = args.difficulty.map(|word| match word {
        LevelWord::Easy => Level::Easy,
        LevelWord::Medium => Level::Medium,
        LevelWord::Hard => Level::Hard,
    });
    let seed = args.seed.unwrap_or_else(|| {
        let now = jiff::Timestamp::now().as_microsecond();
        // Short enough to be read out to colleagues.
        now.unsigned_abs() % 100_000
    });
    let drill = drill::choose(seed, level).ok_or("there is no drill of this difficulty")?;
    Ok((drill, Some(seed)))
}

#[expect(clippy::print_stderr, reason = "a person reads what is wrong")]
fn wrong(text: &str) -> ExitCode {
    eprintln!("plimsoll drill: {text}");
    ExitCode::from(USAGE)
}

/// Says things: to standard output, or beside it where that is for a program.
pub(super) struct Teller {
    aside: bool,
}

impl Teller {
    #[expect(clippy::print_stderr, reason = "standard output is for a program")]
    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        let text = text.trim_end();
        if self.aside {
            eprintln!("{text}");
            return Ok(());
        }
        super::print(&format!("{text}\n"))
    }

    /// Without an end of line, for whoever types.
    fn prompt(&mut self, text: &str) -> anyhow::Result<()> {
        match self.aside {
            true => self.say(text),
            false => super::print(text),
        }
    }
}
