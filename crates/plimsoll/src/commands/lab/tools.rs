//! What the applications need: Python and Node.js with packages, and the poolers' programs.

use super::library::{self, Outage};
use crate::sandbox::Places;
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest time for one installation.
const INSTALL_MAX: Duration = Duration::from_secs(300);
/// Pause between two looks at it.
const LOOK: Duration = Duration::from_millis(50);
/// Holds what was installed, so that it is not done twice.
const STAMP: &str = "installed";

/// Programs that are there, and why others are not.
#[derive(Debug, Default)]
pub(super) struct Tools {
    /// Programs by the word that stands for them in scenarios.
    found: BTreeMap<&'static str, PathBuf>,
    /// Where Node.js finds packages.
    node_path: Option<PathBuf>,
    /// PostgreSQL's client.
    psql: Option<PathBuf>,
    /// What is missing, and why.
    missing: BTreeMap<&'static str, String>,
}

impl Tools {
    /// Finds, and installs below `dir`, what an outage needs.
    pub(super) fn find(dir: &Path, outage: &Outage, say: &dyn Fn(&str)) -> Tools {
        let scenario = &outage.scenario;
        let services = scenario.services.iter().map(|service| &service.command);
        let gates = scenario.gates.iter().map(|gate| &gate.command);
        let commands: Vec<&Vec<String>> = services.chain(gates).collect();
        let packages = |name: &str| library::beside(outage, name);
        let mut tools = Tools {
            psql: Places::from_env().find().ok().map(|programs| programs.psql),
            ..Tools::default()
        };
        match std::env::current_exe() {
            Ok(plimsoll) => drop(tools.found.insert("plimsoll", plimsoll)),
            Err(error) => drop(tools.missing.insert("plimsoll", error.to_string())),
        }
        let needs = |tool: &str| {
            let braced = format!("{{{tool}}}");
            let mut words = commands.iter().flat_map(|words| words.iter());
            words.any(|word| word.contains(&braced) || word == tool)
        };
        if needs("python") {
            match python(dir, &packages(library::REQUIREMENTS), say) {
                Ok(python) => drop(tools.found.insert("python", python)),
                Err(error) => drop(tools.missing.insert("python", format!("{error:#}"))),
            }
        }
        if needs("node") {
            match node(dir, &packages(library::PACKAGE), say) {
                Ok((node, modules)) => {
                    tools.found.insert("node", node);
                    tools.node_path = Some(modules);
                }
                Err(error) => drop(tools.missing.insert("node", format!("{error:#}"))),
            }
        }
        tools
    }

    /// The applications' Python.
    pub(super) fn python(&self) -> Option<PathBuf> {
        self.found.get("python").cloned()
    }

    /// Why a command cannot run here, where a tool for it is missing.
    pub(super) fn lacks(&self, words: &[String]) -> Option<String> {
        let missing = self.missing.iter();
        let needed = |tool: &str| {
            let braced = format!("{{{tool}}}");
            (words.iter()).any(|word| word.contains(&braced) || word == tool)
        };
        let mut lacking = missing.filter(|(tool, _)| needed(tool));
        lacking
            .next()
            .map(|(tool, why)| format!("no {tool}: {why}"))
    }

    /// A command with its words filled in; `more` are further words in braces.
    pub(super) fn command(
        &self,
        words: &[String],
        more: &[(&str, String)],
    ) -> anyhow::Result<Command> {
        let filled: Vec<String> = words.iter().map(|word| self.fill(word, more)).collect();
        let (program, arguments) = filled.split_first().context("the command is empty")?;
        let mut command = Command::new(program);
        command.args(arguments);
        clean(&mut command);
        // Their packages' programs first, then PostgreSQL's own: a distribution's wrapper of psql
        // costs ten times what psql does.
        let python = self.found.get("python").and_then(|python| python.parent());
        let psql = self.psql.as_deref().and_then(Path::parent);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let first = python.into_iter().chain(psql).map(Path::to_path_buf);
        let dirs = first.chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(dirs)?);
        if let Some(modules) = &self.node_path {
            command.env("NODE_PATH", modules);
        }
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }

    fn fill(&self, word: &str, more: &[(&str, String)]) -> String {
        let mut word = word.to_owned();
        for (tool, path) in &self.found {
            word = word.replace(&format!("{{{tool}}}"), &path.to_string_lossy());
        }
        for (name, value) in more {
            word = word.replace(&format!("{{{name}}}"), value);
        }
        word
    }
}

/// Takes out of a command's environment what would lead it to a database of the person's.
pub(super) fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("PG") || text.starts_with("PLIMSOLL_") || text == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
}

/// A program of the person's, or of the directories where servers are.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs =
        std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    dirs.map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// Python with the packages of the applications, in a directory of its own.
fn python(dir: &Path, wanted: &[u8], say: &dyn Fn(&str)) -> anyhow::Result<PathBuf> {
    let place = dir.join(named("python", wanted));
    let python = place.join("bin/python");
    if is_stamped(&place, wanted) {
        return Ok(python);
    }
    let system = program("python3").context("python3 is not on the PATH")?;
    if wanted.is_empty() {
        return Ok(system);
    }
    say("Python's packages are installed ...");
    std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    run(Command::new(system).args(["-m", "venv"]).arg(&place))?;
    let list = place.join(library::REQUIREMENTS);
    std::fs::write(&list, wanted)?;
    run(Command::new(&python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ])
        .arg(&list))?;
    stamp(&place, wanted)?;
    Ok(python)
}

/// Node.js, and a directory with the packages of the applications.
fn node(dir: &Path, wanted: &[u8], say: &dyn Fn(&str)) -> anyhow::Result<(PathBuf, PathBuf)> {
    let place = dir.join(named("node", wanted));
    let modules = place.join("node_modules");
    let node = program("node").context("node is not on the PATH")?;
    if wanted.is_empty() || is_stamped(&place, wanted) {
        return Ok((node, modules));
    }
    let npm = program("npm").context("npm is not on the PATH")?;
    say("Node.js's packages are installed ...");
    std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    std::fs::write(place.join(library::PACKAGE), wanted)?;
    run(Command::new(npm)
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--silent",
            "--ignore-scripts",
        ])
        .current_dir(&place))?;
    stamp(&place, wanted)?;
    Ok((node, modules))
}

/// A directory for each list of packages.
fn named(tool: &str, wanted: &[u8]) -> String {
    // FNV-1a: it tells lists of ours apart, and nothing else depends on it.
    let hash = wanted.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{tool}-{hash:016x}")
}

fn is_stamped(place: &Path, wanted: &[u8]) -> bool {
    std::fs::read(place.join(STAMP)).is_ok_and(|have| have == wanted)
}

fn stamp(place: &Path, wanted: &[u8]) -> anyhow::Result<()> {
    Ok(std::fs::write(place.join(STAMP), wanted)?)
}

/// Runs a command to its end, within bounds; its last words are the error.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| program.clone())?;
    let said = child
        .stderr
        .take()
        .map(|from| std::thread::spawn(move || std::io::read_to_string(from).unwrap_or_default()));
    let until = Instant::now() + INSTALL_MAX;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > until {
            child.kill().ok();
            child.wait().ok();
            bail!("{program} took longer than {} s", INSTALL_MAX.as_secs());
        }
        std::thread::sleep(LOOK);
    };
    if status.success() {
        return Ok(());
    }
    let said = said.and_then(|said| said.join().ok()).unwrap_or_default();
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    bail!(
        "{program}: {status}: {}",
        diagnose::clean(last.unwrap_or("it said nothing"))
    )
}
