//! `plimsoll guard`: history, drift alert and restore for any settings file.

mod ask;
mod hand;
mod show;

use super::print;
use crate::cli::{GuardAction, GuardArgs, GuardState, LogFormat};
use anyhow::{Context, anyhow};
use control::guard::{Guard, News, Options, Page, Server, Store, Verdict, tell};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// With `--once`: something is not as accepted.
const DIFFERS: u8 = 1;
/// Could not: 2, as for wrong use of the command line.
const COULD_NOT: u8 = 2;
/// Where the history usually is.
const STATE: &str = "/var/lib/plimsoll";
/// Between two questions to the server.
const ASK_PERIOD: Duration = Duration::from_secs(10);

/// What wakes the loop.
enum Wake {
    End,
    LookNow,
    Server(Box<Result<Server, String>>),
}

/// Guards, or does what was asked.
pub fn run(args: &GuardArgs) -> anyhow::Result<ExitCode> {
    let state = &args.state;
    if let Some(action) = &args.action
        && let Some(stray) = stray(args)
    {
        let action = match action {
            GuardAction::Accept(_) => "accept",
            GuardAction::Restore(_) => "restore",
            GuardAction::History(_) => "history",
            GuardAction::Diff(_) => "diff",
        };
        return Ok(could_not(&format!(
            "{stray} belongs to guarding, and does nothing before `{action}`"
        )));
    }
    match &args.action {
        Some(GuardAction::Accept(args)) => hand::accept(args, state),
        Some(GuardAction::Restore(args)) => hand::restore(args, state),
        Some(GuardAction::History(args)) => or_could_not(hand::history(args, state)),
        Some(GuardAction::Diff(args)) => or_could_not(hand::diff(args, state)),
        None if args.once => or_could_not(once(args)),
        None => or_could_not(guard(args)),
    }
}

/// What only guarding takes.
fn stray(args: &GuardArgs) -> Option<String> {
    let flags = [
        (args.once, "--once"),
        (args.restore, "--restore"),
        (args.metrics.is_some(), "--metrics"),
        (args.database.is_some(), "--database"),
    ];
    let flag = flags.iter().find(|(set, _)| *set);
    let file = args.files.first().map(|file| file.display().to_string());
    flag.map(|(_, name)| (*name).to_owned()).or(file)
}

fn or_could_not(done: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    Ok(done.unwrap_or_else(|error| could_not(&format!("{error:#}"))))
}

#[expect(
    clippy::print_stderr,
    reason = "a person or a supervisor's log reads it"
)]
fn could_not(why: &str) -> ExitCode {
    eprintln!("plimsoll guard: {why}");
    ExitCode::from(COULD_NOT)
}

fn guard(args: &GuardArgs) -> anyhow::Result<ExitCode> {
    let _log = log(args)?;
    let store = store(&args.state, true)?;
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot watch for signals")?;
    let (mut guard, news) = Guard::start(options(args), store).context("the history")?;
    let page = args.metrics.map(|address| {
        let page = Page(guard.figures());
        control::start_guard(address, page).with_context(|| format!("cannot listen on {address}"))
    });
    let page = page.transpose()?;
    if let Some(page) = &page {
        tracing::info!(address = %page.local_addr(), "metrics");
    }
    let (wake, woken) = sync_channel(4);
    let by_signal = wake.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                let word = match signal {
                    SIGHUP => Wake::LookNow,
                    _ => Wake::End,
                };
                if by_signal.send(word).is_err() {
                    return;
                }
            }
        })?;
    if let Some(url) = &args.database {
        let mut asker = ask::Asker::new(url.reveal())?;
        std::thread::Builder::new()
            .name("server".to_owned())
            .spawn(move || keep_asking(&mut asker, &wake))?;
    }
    news.iter().for_each(tell);
    tracing::info!(files = guard.standings().count(), "guarding");
    loop {
        let news = match woken.recv_timeout(guard.pause()) {
            Ok(Wake::End) => break,
            Ok(Wake::LookNow) | Err(RecvTimeoutError::Timeout) => guard.look(),
            Ok(Wake::Server(answer)) => guard.server(*answer),
            // Its signal thread is gone: without one it could not be ended well.
            Err(RecvTimeoutError::Disconnected) => break,
        };
        news.iter().for_each(tell);
    }
    tracing::info!("the guard ends; nobody sees drift until it runs again");
    if let Some(page) = page {
        page.stop();
    }
    Ok(ExitCode::SUCCESS)
}

fn keep_asking(asker: &mut ask::Asker, wake: &SyncSender<Wake>) {
    loop {
        if wake.send(Wake::Server(Box::new(asker.ask()))).is_err() {
            return;
        }
        std::thread::sleep(ASK_PERIOD);
    }
}

/// One line of `--once`.
#[derive(Serialize)]
struct Standing {
    path: PathBuf,
    verdict: &'static str,
    why: String,
}

/// What `--once` found.
#[derive(Serialize)]
struct Found {
    files: Vec<Standing>,
    news: Vec<String>,
    waiting: Vec<control::guard::Waiting>,
}

fn once(args: &GuardArgs) -> anyhow::Result<ExitCode> {
    let store = store(&args.state, false)?;
    if store.directory().is_none() {
        return Err(anyhow!(
            "there is no history to compare with: name its directory with --state"
        ));
    }
    let (mut guard, mut news) = Guard::start(options(args), store).context("the history")?;
    if let Some(url) = &args.database {
        let answer = ask::Asker::new(url.reveal())?.ask();
        news.extend(guard.server(answer));
    }
    let silent = news.iter().any(|n| matches!(n, News::ServerSilent(_)));
    let files: Vec<Standing> = guard
        .standings()
        .map(|(path, verdict)| Standing {
            path: path.to_owned(),
            verdict: verdict.label(),
            why: match verdict {
                Verdict::Unreadable(why) => why.clone(),
                _ => String::new(),
            },
        })
        .collect();
    let any = |of: &[&str]| files.iter().any(|s| of.contains(&s.verdict));
    let code = match () {
        () if silent || any(&["unreadable"]) => COULD_NOT,
        () if any(&["drift", "appeared", "vanished"]) => DIFFERS,
        () if guard.waiting().next().is_some() => DIFFERS,
        () => 0,
    };
    let found = Found {
        news: news
            .iter()
            .map(show::news)
            .filter(|line| !line.is_empty())
            .collect(),
        waiting: guard.waiting().cloned().collect(),
        files,
    };
    output(args.state.format, &found, || show::once(&found))?;
    Ok(ExitCode::from(code))
}

fn options(args: &GuardArgs) -> Options {
    Options {
        given: args.files.iter().map(|file| place(file)).collect(),
        restore: args.restore,
    }
}

/// As the history names it: absolute, symlinks as they are.
fn place(file: &Path) -> PathBuf {
    match control::guard::is_server(file) {
        true => file.to_owned(),
        false => std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
    }
}

/// Where the history is: where it is stated, else where it usually is.
fn directory(state: &GuardState) -> Option<PathBuf> {
    let given = std::env::var("STATE_DIRECTORY").unwrap_or_default();
    let given = given.split(':').next().filter(|dir| !dir.is_empty());
    let usual = || Some(PathBuf::from(STATE)).filter(|dir| dir.is_dir());
    let stated = state.state.clone();
    stated.or(given.map(PathBuf::from)).or_else(usual)
}

/// The history, or one that ends with the process.
fn store(state: &GuardState, guards: bool) -> anyhow::Result<Store> {
    let opened = match (&directory(state), guards) {
        (Some(directory), true) => Store::open_to_guard(directory),
        (Some(directory), false) => Store::open(directory),
        (None, _) => {
            if guards {
                tracing::warn!(
                    "no state directory: the history ends with this process; name one with --state"
                );
            }
            Store::in_memory()
        }
    };
    opened.map_err(|error| anyhow!("{error}"))
}

fn log(args: &GuardArgs) -> anyhow::Result<control::log::Log> {
    control::log::init(control::log::LogOptions {
        format: match args.log_format {
            LogFormat::Text => control::log::LogFormat::Text,
            LogFormat::Json => control::log::LogFormat::Json,
        },
        ..control::log::LogOptions::default()
    })
    .context("cannot open the log")
}

fn output<T: Serialize>(
    format: LogFormat,
    value: &T,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    match format {
        LogFormat::Text => print(&text()),
        LogFormat::Json => print(&format!("{}\n", serde_json::to_string(value)?)),
    }
}
