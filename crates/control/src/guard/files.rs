//! Which files are meant: those named, those in named directories, and what
//! they include.

use crate::watch::read_bounded;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Most files of one guard: each is read every second.
pub const FILES_MAX: usize = 1_000;
/// Depth of directories and of includes; PostgreSQL's own limit is 10.
const DEPTH_MAX: usize = 10;
/// A larger file has no includes that a person wrote.
const INCLUDING_BYTES_MAX: u64 = 1 << 20;

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// Each file, with the directory or the including file that it belongs to;
    /// `None`: it was named.
    pub files: BTreeMap<PathBuf, Option<PathBuf>>,
    /// Directories whose files are all meant.
    pub directories: BTreeSet<PathBuf>,
    /// What a person should know: a circle of includes, too many files.
    pub remarks: BTreeSet<String>,
}

/// Looks for them. Never fails: what is missing or unreadable is a finding of
/// the guard, file by file.
pub fn find(given: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for path in given {
        if path.is_dir() {
            directory(path, 0, &mut found);
        } else {
            add(path, None, &mut found);
        }
    }
    let named: Vec<PathBuf> = found.files.keys().cloned().collect();
    for path in named {
        follow(&path, &mut Vec::new(), &mut found);
    }
    found
}

fn add(path: &Path, root: Option<&Path>, found: &mut Found) {
    if found.files.contains_key(path) {
        return;
    }
    if found.files.len() >= FILES_MAX {
        let words = format!("there are more than {FILES_MAX} files: the others are not guarded");
        found.remarks.insert(words);
        return;
    }
    found
        .files
        .insert(path.to_owned(), root.map(Path::to_owned));
}

fn directory(path: &Path, depth: usize, found: &mut Found) {
    if depth > DEPTH_MAX || !found.directories.insert(path.to_owned()) {
        return;
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            let words = format!("{}: its files are not seen: {error}", path.display());
            found.remarks.insert(words);
            return;
        }
    };
    let mut entries: Vec<_> = entries.flatten().take(FILES_MAX * 4).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // A ConfigMap's generations (`..data`), editors' leavings, our own.
        let hidden = name.starts_with('.') && !name.starts_with(".env");
        let leaving = name.ends_with('~') || name.ends_with(".swp") || name.contains(".plimsoll-");
        let (Ok(kind), false) = (entry.file_type(), hidden || leaving) else {
            continue;
        };
        let here = entry.path();
        // Links to directories could lead in a circle; links to files are a ConfigMap.
        if kind.is_dir() {
            directory(&here, depth + 1, found);
        } else if !kind.is_symlink() || !here.is_dir() {
            add(&here, Some(path), found);
        }
    }
}

/// One that a file names.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Include {
    File(String),
    Directory(String),
}

fn follow(path: &Path, above: &mut Vec<PathBuf>, found: &mut Found) {
    if above.iter().any(|known| known == path) {
        let words = format!("{} includes itself, by way of others", path.display());
        found.remarks.insert(words);
        return;
    }
    if above.len() >= DEPTH_MAX {
        let words = format!("{}: includes go deeper than {DEPTH_MAX}", path.display());
        found.remarks.insert(words);
        return;
    }
    let may_include = path
        .extension()
        .is_some_and(|end| end == "conf" || end == "ini");
    if !may_include {
        return;
    }
    let text = read_bounded(path, INCLUDING_BYTES_MAX).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let around = path.parent().unwrap_or(Path::new("/"));
    above.push(path.to_owned());
    for include in includes(&text) {
        match include {
            Include::File(name) => {
                let file = around.join(name);
                add(&file, Some(path), found);
                follow(&file, above, found);
            }
            Include::Directory(name) => in_include_dir(&around.join(name), above, found),
        }
        if found.files.len() >= FILES_MAX {
            break;
        }
    }
    above.pop();
    let auto = path.with_file_name("postgresql.auto.conf");
    if path
        .file_name()
        .is_some_and(|name| name == "postgresql.conf")
        && auto.exists()
    {
        add(&auto, Some(path), found);
    }
}

/// PostgreSQL reads only what ends in `.conf` there, in the order of names.
fn in_include_dir(directory: &Path, above: &mut Vec<PathBuf>, found: &mut Found) {
    found.directories.insert(directory.to_owned());
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .take(FILES_MAX)
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".conf") && !name.starts_with('.')
        })
        .collect();
    files.sort();
    for file in files {
        add(&file, Some(directory), found);
        follow(&file, above, found);
    }
}

fn includes(text: &str) -> Vec<Include> {
    let mut all = Vec::new();
    for line in text.lines().map(str::trim) {
        let (word, rest) = line
            .split_once(|c: char| c.is_whitespace() || c == '=')
            .unwrap_or((line, ""));
        let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
        let name = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split('\'').next().unwrap_or(""),
            None => rest.split([' ', '\t', '#']).next().unwrap_or(""),
        };
        if name.is_empty() {
            continue;
        }
        match word.to_ascii_lowercase().as_str() {
            "include" | "include_if_exists" | "%include" => {
                all.push(Include::File(name.to_owned()));
            }
            "include_dir" => all.push(Include::Directory(name.to_owned())),
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let name = format!("plimsoll-guard-files-{}-{name}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        for (path, text) in files {
            let path = dir.join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        dir
    }

    fn names(found: &Found, dir: &Path) -> Vec<String> {
        let all = found.files.keys();
        all.map(|p| p.strip_prefix(dir).unwrap_or(p).display().to_string())
            .collect()
    }

    #[test]
    fn includes_are_followed_and_circles_end() {
        let dir = place(
            "includes",
            &[
                (
                    "postgresql.conf",
                    "include 'a.conf'\ninclude_dir = 'conf.d'\ninclude_if_exists='gone.conf' # x\n#include 'no.conf'\n",
                ),
                ("postgresql.auto.conf", ""),
                ("a.conf", "include 'b.conf'\n"),
                ("b.conf", "include 'a.conf'\n"),
                ("conf.d/1.conf", "x = 1\n"),
                ("conf.d/readme", ""),
                ("p.ini", "%include more.ini\n"),
                ("more.ini", "%include p.ini\n"),
            ],
        );
        let found = find(&[dir.join("postgresql.conf")]);
        assert_eq!(
            names(&found, &dir),
            [
                "a.conf",
                "b.conf",
                "conf.d/1.conf",
                "gone.conf",
                "postgresql.auto.conf",
                "postgresql.conf"
            ]
        );
        assert_eq!(found.remarks.len(), 1, "{:?}", found.remarks);
        let found = find(&[dir.join("p.ini")]);
        assert_eq!(names(&found, &dir), ["more.ini", "p.ini"]);
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn directories_are_read_as_a_configmap_s_mount_and_are_bounded() {
        let dir = place(
            "directory",
            &[
                ("..2026/a.conf", "x"),
                (".swap", ""),
                (".env", "A=1"),
                ("deep/b.yml", "x"),
                ("c~", ""),
            ],
        );
        std::os::unix::fs::symlink("..2026", dir.join("..data")).expect("linked");
        std::os::unix::fs::symlink("..data/a.conf", dir.join("a.conf")).expect("linked");
        std::os::unix::fs::symlink(".", dir.join("circle")).expect("linked");
        let found = find(std::slice::from_ref(&dir));
        assert_eq!(names(&found, &dir), [".env", "a.conf", "deep/b.yml"]);
        std::fs::create_dir_all(dir.join("many")).expect("made");
        for n in 0..FILES_MAX {
            std::fs::write(dir.join(format!("many/{n}")), "").expect("written");
        }
        let found = find(std::slice::from_ref(&dir));
        assert_eq!((found.files.len(), found.remarks.len()), (FILES_MAX, 1));
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
