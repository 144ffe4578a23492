//! The outages that come with the program, and those of a person.

use anyhow::{Context, bail};
use practice::outage::{FILE_MAX, Scenario};
use std::path::{Path, PathBuf};

/// Every file of `lab/outages`, by its path there.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/outages.rs"));

/// Packages of the applications.
pub(super) const REQUIREMENTS: &str = "requirements.txt";
pub(super) const PACKAGE: &str = "package.json";

/// A scenario, and where its files are.
#[derive(Debug)]
pub(super) struct Outage {
    /// Its name: the file's, without the ending.
    pub(super) name: String,
    /// What is put on the stage.
    pub(super) scenario: Scenario,
    /// The directory that its paths begin at; `None`: it came with the program.
    pub(super) files: Option<PathBuf>,
}

/// The outages that come with the program, in order.
pub(super) fn all() -> anyhow::Result<Vec<Outage>> {
    let mut all = Vec::new();
    for (path, bytes) in FILES {
        let Some(name) = path.strip_suffix(".toml") else {
            continue;
        };
        if name.contains('/') {
            continue;
        }
        let text = std::str::from_utf8(bytes).with_context(|| (*path).to_owned())?;
        let scenario = Scenario::parse(text).with_context(|| (*path).to_owned())?;
        all.push(Outage {
            name: name.to_owned(),
            scenario,
            files: None,
        });
    }
    Ok(all)
}

/// Those that a person named: by name, by number, or by file.
pub(super) fn named(words: &[String]) -> anyhow::Result<Vec<Outage>> {
    let mut found = Vec::new();
    for word in words {
        if word.ends_with(".toml") || word.contains('/') {
            found.push(of_file(Path::new(word))?);
            continue;
        }
        let of_word =
            |outage: &Outage| outage.name == *word || outage.scenario.report.as_ref() == Some(word);
        let before = found.len();
        found.extend(all()?.into_iter().filter(of_word));
        if found.len() == before {
            let names: Vec<String> = all()?.into_iter().map(|outage| outage.name).collect();
            bail!(
                "there is no outage {word}; there are {}, or name a file",
                names.join(" ")
            );
        }
    }
    Ok(found)
}

fn of_file(path: &Path) -> anyhow::Result<Outage> {
    let place = path.display();
    let length = std::fs::metadata(path)
        .with_context(|| place.to_string())?
        .len();
    if length > FILE_MAX as u64 {
        bail!("{place}: a scenario is at most {} KiB", FILE_MAX >> 10);
    }
    let text = std::fs::read_to_string(path).with_context(|| place.to_string())?;
    let scenario = Scenario::parse(&text).with_context(|| place.to_string())?;
    let name = path
        .file_stem()
        .map(|name| name.to_string_lossy().into_owned());
    let files = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    Ok(Outage {
        name: name.unwrap_or_else(|| "outage".to_owned()),
        scenario,
        files: Some(files.unwrap_or(Path::new(".")).to_path_buf()),
    })
}

/// A file beside the scenario; empty where there is none.
pub(super) fn beside(outage: &Outage, name: &str) -> Vec<u8> {
    let known = || FILES.iter().find(|(path, _)| *path == name);
    match &outage.files {
        Some(dir) => std::fs::read(dir.join(name)).unwrap_or_default(),
        None => known().map(|(_, bytes)| bytes.to_vec()).unwrap_or_default(),
    }
}

/// Writes all files of `outage` that stand at or below `path` to `to`, as they stand there.
pub(super) fn unpack(outage: &Outage, path: &str, to: &Path) -> anyhow::Result<usize> {
    if Path::new(path)
        .components()
        .any(|part| part == std::path::Component::ParentDir)
    {
        bail!("{path}: a path of a scenario does not lead out of its directory");
    }
    match &outage.files {
        Some(dir) => copy(&dir.join(path), to),
        None => embedded(path, to),
    }
}

/// All files that come with the program.
pub(super) fn unpack_all(to: &Path) -> anyhow::Result<usize> {
    embedded("", to)
}

fn embedded(path: &str, to: &Path) -> anyhow::Result<usize> {
    let below = match path.trim_end_matches('/') {
        "" => String::new(),
        path => format!("{path}/"),
    };
    let mut written = 0;
    for (name, bytes) in FILES {
        let rest = match name.strip_prefix(below.as_str()) {
            Some(rest) => to.join(rest),
            None if *name == path => to.join(Path::new(name).file_name().unwrap_or_default()),
            None => continue,
        };
        write(&rest, bytes)?;
        written += 1;
    }
    if written == 0 {
        bail!("{path}: no such file among the outages");
    }
    Ok(written)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let shown = || path.display().to_string();
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(shown)?;
    }
    std::fs::write(path, bytes).with_context(shown)
}

/// A file, or all below a directory. Links are not followed out of it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<usize> {
    let shown = || from.display().to_string();
    let kind = std::fs::symlink_metadata(from).with_context(shown)?;
    if kind.is_file() {
        let name = from.file_name().unwrap_or_default();
        write(&to.join(name), &std::fs::read(from).with_context(shown)?)?;
        return Ok(1);
    }
    let mut copied = 0;
    for entry in std::fs::read_dir(from).with_context(shown)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if name == "node_modules" || name == "__pycache__" {
                continue;
            }
            copied += copy(&entry.path(), &to.join(&name))?;
        } else if entry.file_type()?.is_file() {
            copied += copy(&entry.path(), to)?;
        }
    }
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_comes_with_the_program_can_be_put_on_the_stage() {
        for outage in all().unwrap() {
            let dir =
                std::env::temp_dir().join(format!("plimsoll-lab-files-{}", std::process::id()));
            let scenario = &outage.scenario;
            let named = (scenario
                .services
                .iter()
                .map(|service| service.files.clone()))
            .chain(scenario.poolers.values().cloned())
            .chain(scenario.database.schema.clone());
            for path in named {
                let unpacked = unpack(&outage, &path, &dir);
                assert!(unpacked.is_ok(), "{}: {path}: {unpacked:?}", outage.name);
            }
            std::fs::remove_dir_all(&dir).ok();
        }
    }

    #[test]
    fn a_path_does_not_lead_out() {
        let outage = Outage {
            name: "x".to_owned(),
            scenario: Scenario::parse(
                "title=\"x\"\nfault=\"pooler\"\n[database]\n[[service]]\nname=\"w\"\nfiles=\"f\"\ncommand=[\"c\"]\n\
                 ready=\"/\"\n[load]\nusers=1\nrate=1.0\n[[load.request]]\nname=\"r\"\npath=\"/\"\n",
            )
            .unwrap(),
            files: Some(PathBuf::from(".")),
        };
        let error = unpack(&outage, "../../etc/passwd", Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().contains("does not lead out"), "{error}");
        assert!(unpack_all(Path::new("/proc/no")).is_err());
    }
}
