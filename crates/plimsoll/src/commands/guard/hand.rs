//! What a person does: accept, restore, history, diff.

use super::super::settings::actor;
use super::{ask, output, place, print, show};
use crate::cli::{GuardAcceptArgs, GuardDiffArgs, GuardHistoryArgs, GuardRestoreArgs, GuardState};
use anyhow::{Context, anyhow, bail};
use control::guard::{
    Difference, Event, Known, Observed, Record, Store, Unseen, Version, Waiting, Wanted,
    changed_names, difference, findings, is_server, managed, observe,
};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What differs, and how.
#[derive(Serialize)]
pub struct Compared {
    pub path: PathBuf,
    pub accepted: Option<u64>,
    pub old: Option<String>,
    pub new: Option<String>,
    pub difference: Difference,
    pub findings: Vec<String>,
    /// Why lines are not all shown; may be empty.
    pub lacks: String,
    /// The accepted content is whole here: it can be written back.
    pub whole: bool,
}

/// What was done.
#[derive(Serialize)]
pub struct Done {
    pub path: PathBuf,
    pub what: &'static str,
    pub version: Option<u64>,
    pub hash: Option<String>,
    pub difference: Difference,
    pub findings: Vec<String>,
    pub needs: Vec<Waiting>,
    pub remark: String,
}

/// What was.
#[derive(Serialize)]
pub struct History {
    pub versions: Vec<Version>,
    pub events: Vec<Event>,
}

fn refused<T>(error: impl std::fmt::Display) -> anyhow::Result<T> {
    Err(anyhow!("{error}"))
}

/// A history that is there: a slip of the pen makes no directory.
fn existing(state: &GuardState) -> anyhow::Result<Store> {
    let Some(directory) = super::directory(state) else {
        bail!("there is no history: name its directory with --state");
    };
    if !Store::exists(&directory) {
        bail!(
            "{} holds no history of files: plimsoll guard FILE begins one",
            directory.display()
        );
    }
    super::store(state, false)
}

fn known(store: &Store, path: &Path) -> anyhow::Result<Known> {
    store.known(path).or_else(refused)
}

/// Its content now; `None`: it is gone.
fn now(store: &Store, path: &Path) -> anyhow::Result<Option<Observed>> {
    match observe(path, store.key()) {
        Ok(seen) => Ok(Some(seen)),
        Err(Unseen::Absent) => Ok(None),
        Err(Unseen::Unreadable(why)) => bail!("{}: {why}", path.display()),
    }
}

fn compare(path: &Path, old: Option<&Version>, new: Option<&Observed>) -> Compared {
    let (old_text, new_text) = (
        old.and_then(|v| v.text.as_deref()),
        new.and_then(|s| s.kept.text()),
    );
    let unseen = |what: &str, gone: bool| match gone {
        true => String::new(),
        false => format!("the lines of {what} are not kept"),
    };
    let differs = match (old, old_text, new, new_text) {
        (Some(_), Some(old), Some(_), Some(new)) => Some(difference(old, new)),
        (None, _, Some(_), Some(new)) => Some(difference("", new)),
        (Some(_), Some(old), None, _) => Some(difference(old, "")),
        _ => None,
    };
    let lacks = match (&differs, old, new) {
        (Some(_), _, _) => String::new(),
        (None, Some(old), _) if old.text.is_none() => {
            format!("version {}: {}", old.version, old.lacks)
        }
        (None, _, new) => unseen("what is there now", new.is_none()),
    };
    Compared {
        path: path.to_owned(),
        accepted: old.map(|v| v.version),
        old: old.map(|v| v.hash.clone()),
        new: new.map(|s| s.hash.clone()),
        difference: differs.unwrap_or_default(),
        findings: findings(path, old_text, new_text),
        lacks,
        whole: old.is_some_and(|v| v.whole),
    }
}

fn accepted(known: &Known) -> Option<&Version> {
    match known {
        Known::Accepted(version) => Some(version),
        Known::Never | Known::Absent => None,
    }
}

/// The change is meant.
pub fn accept(args: &GuardAcceptArgs, state: &GuardState) -> anyhow::Result<ExitCode> {
    let mut store = existing(state)?;
    let path = place(&args.file);
    let before = known(&store, &path)?;
    if is_server(&path) {
        return accept_server(args, state, &mut store, &path);
    }
    let seen = now(&store, &path)?;
    if seen.is_none() && before == Known::Never {
        bail!(
            "{}: there is no such file, and there never was",
            path.display()
        );
    }
    let compared = compare(&path, accepted(&before), seen.as_ref());
    let actor = actor();
    let record = Record {
        seen: seen.as_ref(),
        difference: Some(&compared.difference),
        findings: &compared.findings,
        what: "accepted",
        actor: &actor,
        reason: &args.reason,
        accept: true,
        ..Record::of(&path)
    };
    let version = store.record(&record).or_else(refused)?;
    let done = Done {
        path,
        what: "accepted",
        version: seen.as_ref().map(|_| version),
        hash: compared.new,
        difference: compared.difference,
        findings: compared.findings,
        needs: Vec::new(),
        remark: match &seen {
            None => "It is accepted that it is gone.".to_owned(),
            Some(_) => compared.lacks,
        },
    };
    output(state.format, &done, || show::done(&done))?;
    Ok(ExitCode::SUCCESS)
}

/// What the guard saw last of a server.
fn accept_server(
    args: &GuardAcceptArgs,
    state: &GuardState,
    store: &mut Store,
    path: &Path,
) -> anyhow::Result<ExitCode> {
    let newest = store.events(Some(path), 100).or_else(refused)?;
    let newest = newest.iter().find_map(|event| event.version);
    let version = newest.map(|number| store.version(number).or_else(refused));
    let version = version.transpose()?.flatten();
    let version = version.with_context(|| format!("{} was never asked", path.display()))?;
    store
        .accept(&version, "accepted", &actor(), &args.reason)
        .or_else(refused)?;
    let done = Done {
        path: path.to_owned(),
        what: "accepted",
        version: Some(version.version),
        hash: Some(version.hash),
        difference: version.difference,
        findings: version.findings,
        needs: Vec::new(),
        remark: String::new(),
    };
    output(state.format, &done, || show::done(&done))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes an accepted content back.
pub fn restore(args: &GuardRestoreArgs, state: &GuardState) -> anyhow::Result<ExitCode> {
    let mut store = existing(state)?;
    let path = place(&args.file);
    if is_server(&path) {
        bail!("a server's settings are restored by its files, or ALTER SYSTEM RESET name");
    }
    let version = wanted(&store, &path, args.version)?;
    if let Some(why) = managed(&path) {
        bail!("{}: {why}", path.display());
    }
    let Some(text) = version.text.as_deref().filter(|_| version.whole) else {
        bail!(
            "{}: version {} is not whole: {}. Mend it by hand; plimsoll guard diff says where",
            path.display(),
            version.version,
            version.lacks
        );
    };
    let seen = now(&store, &path)?;
    // From what is there to what will be.
    let old = seen.as_ref().and_then(|s| s.kept.text()).unwrap_or("");
    let shown = difference(old, text);
    let is_there = seen.as_ref().is_some_and(|s| s.hash == version.hash);
    if !is_there && !args.yes && !confirmed(&path, &version, &shown)? {
        return Ok(ExitCode::FAILURE);
    }
    if !is_there {
        let wanted = Wanted {
            text,
            before: seen.as_ref().map(|s| s.raw),
            made: (version.mode, version.uid, version.gid),
        };
        control::guard::restore(&path, &wanted)
            .map_err(|why| anyhow!("{}: {why}", path.display()))?;
    }
    let noted = store.accept(&version, "restored", &actor(), &args.reason);
    let remark = match noted {
        Ok(()) if is_there => "It says so already.".to_owned(),
        Ok(()) => "Nothing was reloaded or restarted.".to_owned(),
        Err(error) => format!("It is written, but the history does not know: {error}"),
    };
    let (needs, why_not) = needs(args, &path, old, text);
    let done = Done {
        path: path.clone(),
        what: "restored",
        version: Some(version.version),
        hash: Some(version.hash.clone()),
        difference: shown,
        findings: Vec::new(),
        needs,
        remark: format!("{remark} {why_not}").trim().to_owned(),
    };
    output(state.format, &done, || show::done(&done))?;
    Ok(ExitCode::SUCCESS)
}

fn wanted(store: &Store, path: &Path, version: Option<u64>) -> anyhow::Result<Version> {
    match version {
        Some(number) => {
            let found = store.version(number).or_else(refused)?;
            let found = found.filter(|v| v.path == path);
            found.with_context(|| format!("{} has no version {number}", path.display()))
        }
        None => match known(store, path)? {
            Known::Accepted(version) => Ok(*version),
            Known::Absent => bail!("{}: nothing was accepted there", path.display()),
            Known::Never => bail!(
                "{} was never guarded: plimsoll guard history lists what is",
                path.display()
            ),
        },
    }
}

/// What the server needs to run the restored values.
fn needs(args: &GuardRestoreArgs, path: &Path, old: &str, new: &str) -> (Vec<Waiting>, String) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let names = changed_names(old, new);
    let Some(url) = &args.database else {
        let of_server = name.ends_with(".conf") && name.contains("postgresql");
        let hint = match of_server && !names.is_empty() {
            true => format!(
                "Until SELECT pg_reload_conf() the server runs {} as before, and some until a restart: --database says which.",
                names.join(", ")
            ),
            false => String::new(),
        };
        return (Vec::new(), hint);
    };
    match ask::Asker::new(url.reveal()).and_then(|mut asker| asker.ask().or_else(refused)) {
        Ok(server) => (server.needs(&names), String::new()),
        Err(error) => (
            Vec::new(),
            format!("What needs a restart is not known: {error:#}"),
        ),
    }
}

fn confirmed(path: &Path, version: &Version, shown: &Difference) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody is there to be asked: add --yes");
    }
    print(&show::question(path, version, shown))?;
    std::io::stdout().flush().ok();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    let yes = answer.trim() == "yes";
    if !yes {
        print("Nothing was changed.\n")?;
    }
    Ok(yes)
}

/// What was.
pub fn history(args: &GuardHistoryArgs, state: &GuardState) -> anyhow::Result<ExitCode> {
    let store = existing(state)?;
    let path = args.file.as_deref().map(place);
    if let Some(number) = args.version {
        let version = store.version(number).or_else(refused)?;
        let version = version.filter(|v| path.as_ref().is_none_or(|path| v.path == *path));
        let version = version.with_context(|| format!("there is no version {number}"))?;
        output(state.format, &version, || show::version(&version))?;
        return Ok(ExitCode::SUCCESS);
    }
    let history = History {
        versions: store
            .versions(path.as_deref(), args.limit)
            .or_else(refused)?,
        events: store.events(path.as_deref(), args.limit).or_else(refused)?,
    };
    output(state.format, &history, || show::history(&history))?;
    Ok(ExitCode::SUCCESS)
}

/// What differs now.
pub fn diff(args: &GuardDiffArgs, state: &GuardState) -> anyhow::Result<ExitCode> {
    let store = existing(state)?;
    let path = place(&args.file);
    let known = known(&store, &path)?;
    let old = match (args.version, &known) {
        (None, Known::Absent) => None,
        (version, _) => Some(wanted(&store, &path, version)?),
    };
    let compared = match is_server(&path) {
        true => of_server(&store, &path, old.as_ref())?,
        false => compare(&path, old.as_ref(), now(&store, &path)?.as_ref()),
    };
    output(state.format, &compared, || show::compared(&compared))?;
    Ok(match compared.old == compared.new {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// A server's settings as the guard saw them last.
fn of_server(store: &Store, path: &Path, old: Option<&Version>) -> anyhow::Result<Compared> {
    let events = store.events(Some(path), 100).or_else(refused)?;
    let newest = events.iter().find_map(|event| event.version);
    let newest = newest.map(|number| store.version(number).or_else(refused));
    let newest = newest.transpose()?.flatten();
    let text = |v: Option<&Version>| v.and_then(|v| v.text.clone()).unwrap_or_default();
    Ok(Compared {
        path: path.to_owned(),
        accepted: old.map(|v| v.version),
        old: old.map(|v| v.hash.clone()),
        new: newest.as_ref().map(|v| v.hash.clone()),
        difference: difference(&text(old), &text(newest.as_ref())),
        findings: Vec::new(),
        lacks: String::new(),
        whole: false,
    })
}
