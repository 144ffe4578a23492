//! `cargo xtask upgrade`: an older revision and this one, one after the other and side by side.

use crate::{Outcome, cargo, foreground, metadata, repository};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const SUMMARY: &str = "an upgrade from an older revision and the way back, under load";

pub(crate) const HELP: &str = "\
Builds an older revision in a git worktree of its own (target/upgrade-REV/tree,
removed at the end; what was built stays in target/upgrade-REV/build) and this
one, then runs both against a private PostgreSQL under load: two instances
replaced one after the other, to the new version and back, with both versions
side by side for a minute; and one state directory handed from one version to
the other and back. Counted: transactions cut, errors, latencies, connections
above the line, rows astray, versions of the settings. Fails when one of them is
not as it must be.

  --from REV   the older revision (default: the last tag, else HEAD~20)
  --write      writes the table into docs/upgrades.md

It needs PostgreSQL, and takes three minutes beside the builds.";

/// Used where there is no tag.
const FALLBACK: &str = "HEAD~20";

pub(crate) fn run(args: &[String]) -> Outcome {
    let mut from = None;
    let mut write = false;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--from" => from = Some(rest.next().ok_or("--from needs a revision")?.clone()),
            "--write" => write = true,
            other => return Err(format!("unexpected argument `{other}`; see --help")),
        }
    }
    let from = match from {
        Some(from) => from,
        None => git(&["describe", "--tags", "--abbrev=0"]).unwrap_or_else(|_| FALLBACK.to_owned()),
    };
    let commit = git(&["rev-parse", "--short=12", &format!("{from}^{{commit}}")])?;
    let this = git(&["rev-parse", "--short=12", "HEAD"])?;
    let target = metadata::target_directory()?;
    let old = older(&target.join(format!("upgrade-{commit}")), &commit)?;
    foreground::cargo(&["build", "--profile", "test-fast", "-p", "plimsoll"])?;
    let new = target.join("test-fast/plimsoll");
    let (old_name, new_name) = (format!("`{commit}`"), format!("`{this}`"));
    let page = repository().join("docs/upgrades.md");
    let mut all = vec!["run", "--profile", "test-fast", "-p", "plimsoll-e2e"];
    all.extend(["--example", "upgrade", "--", "--old", text(&old)?]);
    all.extend(["--old-name", &old_name, "--new", text(&new)?]);
    all.extend(["--new-name", &new_name]);
    if write {
        all.extend(["--write", text(&page)?]);
    }
    foreground::cargo(&all)
}

/// The program of the older revision. What was built once is built.
fn older(place: &Path, commit: &str) -> Result<PathBuf, String> {
    let built = place.join("build/test-fast/plimsoll");
    if built.exists() {
        println!("{} is there", built.display());
        return Ok(built);
    }
    let tree = Worktree::add(place.join("tree"), commit)?;
    println!("cargo build -p plimsoll, in {}", tree.0.display());
    let status = cargo::command()
        .args(["build", "--profile", "test-fast", "-p", "plimsoll"])
        .current_dir(&tree.0)
        .env("CARGO_TARGET_DIR", place.join("build"))
        .status()
        .map_err(|error| format!("could not run cargo: {error}"))?;
    match status.success() {
        true => Ok(built),
        false => Err(format!("{commit} could not be built: {status}")),
    }
}

/// A worktree that goes with its owner.
struct Worktree(PathBuf);

impl Worktree {
    fn add(path: PathBuf, commit: &str) -> Result<Worktree, String> {
        // What an earlier run left when it was killed.
        let tree = Worktree(path);
        tree.remove();
        git(&["worktree", "add", "--detach", text(&tree.0)?, commit])?;
        Ok(tree)
    }

    fn remove(&self) {
        if self.0.exists()
            && let Ok(path) = text(&self.0)
        {
            let _ = git(&["worktree", "remove", "--force", path]);
        }
        let _ = git(&["worktree", "prune"]);
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        self.remove();
    }
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str()
        .ok_or_else(|| format!("{} is not UTF-8", path.display()))
}

/// What git says, without the end of the line.
fn git(args: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .args(args)
        .current_dir(repository())
        .output()
        .map_err(|error| format!("could not run git: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!(
            "git {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
