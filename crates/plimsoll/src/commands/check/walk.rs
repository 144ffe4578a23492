//! The files that are meant: named ones always, in directories those that are
//! settings by name and content.

use ::check::{Files, Kind};
use anyhow::{Context, bail};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most files of one check, and the depth of directories.
const FILES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 16;

/// Directories that hold other people's files, or none that serve.
const SKIPPED: [&str; 7] = [
    "node_modules",
    "target",
    "vendor",
    "venv",
    "__pycache__",
    "dist",
    "build",
];

/// Reads what was named.
pub(super) fn files(named: &[PathBuf]) -> anyhow::Result<Files> {
    let mut all = Files::default();
    for path in named {
        let about = fs::metadata(path).with_context(|| format!("{}", path.display()))?;
        if about.is_dir() {
            directory(path, 0, &mut all)?;
        } else {
            add(path, &mut all);
        }
    }
    Ok(all)
}

fn directory(path: &Path, depth: usize, all: &mut Files) -> anyhow::Result<()> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    let entries = fs::read_dir(path).with_context(|| format!("{}", path.display()))?;
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let hidden = name.starts_with('.') && !name.starts_with(".env");
        if hidden || SKIPPED.contains(&name.as_ref()) {
            continue;
        }
        // Links are followed for files (a ConfigMap's mount is made of them),
        // not for directories, which could lead in a circle.
        if kind.is_dir() {
            directory(&entry.path(), depth + 1, all)?;
        } else if may_be_settings(&entry.path()) {
            add(&entry.path(), all);
        }
        if all.len() > FILES_MAX {
            bail!("more than {FILES_MAX} files: name the directories that hold settings");
        }
    }
    Ok(())
}

/// By name and content; a file that is none of the known ones is left alone.
fn may_be_settings(path: &Path) -> bool {
    let Ok(content) = read(path) else {
        return false;
    };
    let text = String::from_utf8_lossy(&content);
    Kind::of(path, &text) != Kind::Unknown
}

fn add(path: &Path, all: &mut Files) {
    match read(path) {
        Ok(content) => all.add(path, content),
        Err(error) => all.add_unreadable(path, format!("cannot be read: {error}")),
    }
}

/// At most one byte more than is checked, whatever the file's length is.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let about = fs::metadata(path)?;
    if !about.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut content = Vec::new();
    let most = Files::bytes_max(path) as u64 + 1;
    fs::File::open(path)?.take(most).read_to_end(&mut content)?;
    Ok(content)
}
