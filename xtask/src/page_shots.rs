//! `cargo xtask page-shots`: pictures of the live page in real outages, or one of them held for a person to look at.

use crate::{Outcome, foreground, metadata, repository};

pub(crate) const SUMMARY: &str = "pictures of the live page in five real outages";

pub(crate) const HELP: &str = "\
Stages each outage of docs/outages.md: a real PostgreSQL, the real `plimsoll`,
clients, a calm and the blow. Once the diagnosis names the cause it takes a
picture of the live page and leaves it in docs/outages. About seven minutes.

  --only NNN       only this outage: 000, 001, ...
  --look NNN       no picture: stage it, print the page's address and hold it
  --minutes M      so many minutes (10); Ctrl-C ends it and takes all of it away
  --plimsoll PATH  this program, and build none

Pictures need chromium and node, and npm's registry the first time. All of it
needs PostgreSQL; root is not needed. Paths are relative to the repository.";

pub(crate) fn run(args: &[String]) -> Outcome {
    let built = metadata::target_directory()?.join("test-fast");
    let mut build = vec!["build", "--profile", "test-fast", "-p", "plimsoll-lab"];
    if !args.iter().any(|arg| arg == "--plimsoll") {
        build.extend(["-p", "plimsoll"]);
    }
    foreground::cargo(&build)?;
    // Not by `cargo run`: with one package alone it would build the half of it again.
    foreground::become_program(&built.join("plimsoll-lab"), &words(args))
}

/// What the laboratory is told. Without `--look`, pictures are wanted.
fn words(args: &[String]) -> Vec<String> {
    let mut words = args.to_vec();
    if !args.iter().any(|arg| arg == "--look") {
        let dir = repository().join("docs/outages");
        words.extend(["--shots".to_owned(), dir.display().to_string()]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn who_looks_gets_no_picture() {
        let given = |all: &[&str]| {
            let all: Vec<String> = all.iter().map(|word| (*word).to_owned()).collect();
            words(&all).join(" ")
        };
        assert_eq!(given(&["--look", "004"]), "--look 004");
        let shots = given(&["--only", "002"]);
        assert!(shots.starts_with("--only 002 --shots "), "{shots}");
        assert!(shots.ends_with("docs/outages"), "{shots}");
    }
}
