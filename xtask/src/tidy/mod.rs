//! `cargo xtask tidy`: the rules of this repository that no other tool checks.
//!
//! Each rule reads the tracked files and returns findings; none changes one.
//! Sizes and `unwrap()` are held by a ratchet: what `xtask/ratchet.txt` lists
//! may stay, but not grow, and nothing new may come without a reviewed line.

mod edges;
mod links;
mod ratchet;
mod rules;
mod source;

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use crate::{Outcome, metadata};

pub(crate) const SUMMARY: &str = "crate edges, headers, sizes, banned calls, links";

pub(crate) const HELP: &str = "\
Checks what fmt and clippy cannot: crate edges against the table (here and in
ARCHITECTURE.md), a `//!` header in each Rust file, files of at most 500 lines
and functions of at most 70 without tests, banned calls, `unsafe` only where it
is allowed, no paths of one person's machine, links between Markdown files.

  --write-ratchet   set xtask/ratchet.txt to today's figures. Its diff is
                    reviewed: a line that grows needs a reason.";

/// One thing to mend, and where.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    file: String,
    /// 0: the file as a whole.
    line: usize,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.text),
            line => write!(f, "{}:{line}: {}", self.file, self.text),
        }
    }
}

/// A tracked file.
struct TextFile {
    /// Relative to the repository, with `/`.
    path: String,
    /// Empty where it is no text: a picture, which links may still lead to.
    text: String,
}

pub(crate) fn run(args: &[String]) -> Outcome {
    let write_ratchet = match args {
        [] => false,
        [flag] if flag == "--write-ratchet" => true,
        _ => return Err("unexpected arguments; see --help".to_owned()),
    };
    let files = tracked_files()?;
    let sources: Vec<source::Source> = files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .map(|file| source::Source::read(&file.path, &file.text))
        .collect();

    let figures = ratchet::figures(&sources);
    if write_ratchet {
        return ratchet::write(&figures);
    }
    let mut findings = edges::check(&metadata::packages(false)?, &files);
    findings.extend(sources.iter().flat_map(rules::check_source));
    findings.extend(files.iter().flat_map(rules::check_text));
    findings.extend(links::check(&files));
    findings.extend(ratchet::check(&figures)?);
    if findings.is_empty() {
        println!(
            "tidy: {} files, {} of Rust, nothing to mend",
            files.len(),
            sources.len()
        );
        return Ok(());
    }
    for finding in &findings {
        println!("{finding}");
    }
    Err(format!("{} findings", findings.len()))
}

/// What git tracks or would track.
fn tracked_files() -> Result<Vec<TextFile>, String> {
    let root = crate::repository();
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(&root)
        .output()
        .map_err(|error| format!("git ls-files: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "git ls-files: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        ));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let read = |name: &str| {
        let path: PathBuf = root.join(name);
        // Deleted but still tracked: nothing to read.
        let bytes = std::fs::read(path).ok()?;
        Some(TextFile {
            path: name.to_owned(),
            text: String::from_utf8(bytes).unwrap_or_default(),
        })
    };
    Ok(names
        .split('\0')
        .filter(|name| !name.is_empty())
        .filter_map(read)
        .collect())
}
