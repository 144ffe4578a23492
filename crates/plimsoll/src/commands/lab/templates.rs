//! Settings of poolers as an outage has them: templates, filled in for one run.

use super::library::Outage;
use super::stage::{DATABASE, MONITOR, PASSWORD, USER};
use anyhow::Context;
use practice::outage::{Action, Column, Place};
use std::path::Path;

/// The template of this column's settings: its own, or those of the pooler of which it is another version.
pub(super) fn template(outage: &Outage, column: &Column) -> Option<String> {
    let Column::Pooler(name) = column else {
        return None;
    };
    let poolers = &outage.scenario.poolers;
    let kind = name.split('-').next().unwrap_or(name);
    poolers.get(name).or_else(|| poolers.get(kind)).cloned()
}

/// What templates name beside themselves: a file of users, and a directory for the history.
pub(super) fn settle(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir.join("state"))?;
    let users = format!("\"{USER}\" \"{PASSWORD}\"\n\"{MONITOR}\" \"{PASSWORD}\"\n");
    Ok(std::fs::write(dir.join("users.txt"), users)?)
}

/// Fills in the words of every template below.
pub(super) fn fill(below: &Path, port: u16, listen_port: u16, dir: &Path) -> anyhow::Result<()> {
    let words = [
        ("{host}", "127.0.0.1".to_owned()),
        ("{port}", port.to_string()),
        ("{database}", DATABASE.to_owned()),
        ("{user}", USER.to_owned()),
        ("{password}", PASSWORD.to_owned()),
        ("{monitor_user}", MONITOR.to_owned()),
        ("{monitor_password}", PASSWORD.to_owned()),
        ("{listen_port}", listen_port.to_string()),
        ("{dir}", dir.display().to_string()),
    ];
    for entry in std::fs::read_dir(below)?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            fill(&path, port, listen_port, dir)?;
        } else {
            let text =
                std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let filled = (words.iter()).fold(text, |text, (word, value)| text.replace(word, value));
            std::fs::write(&path, filled)?;
        }
    }
    Ok(())
}

/// Moves all files below `from` over those below `to`; with `only`, no others.
pub(super) fn place(from: &Path, to: &Path, only: &[String]) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)?.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            place(&path, &to.join(&name), only)?;
        } else if only.is_empty() || only.iter().any(|wanted| name == wanted.as_str()) {
            std::fs::rename(&path, to.join(&name))?;
        }
    }
    Ok(())
}

/// Where templates of an outage are: those that serve, and those that are written over them.
pub(super) fn templates(outage: &Outage) -> Vec<String> {
    let scenario = &outage.scenario;
    let serve = scenario
        .poolers
        .values()
        .filter_map(|path| Path::new(path).parent());
    let serve = serve.map(|dir| dir.to_string_lossy().into_owned());
    let steps = scenario.method.iter().chain(&scenario.person.repair);
    let written = steps.filter_map(|step| match &step.action {
        Action::Copy {
            from,
            to: Place::Pooler,
            ..
        } => Some(from.clone()),
        _ => None,
    });
    let mut all: Vec<String> = serve.chain(written).collect();
    all.sort();
    all.dedup();
    all
}
