//! `plimsoll check` as a person or a CI job runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of this test alone, gone with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path =
            std::env::temp_dir().join(format!("plimsoll-check-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Place(path)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, text).expect("a file");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn check(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .arg("check")
        .args(arguments)
        .current_dir(directory)
        .env_remove("NO_COLOR")
        .output()
        .expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

const UNBOUNDED: &str = "[databases]\nshop = host=db password=hunter2\n\n[pgbouncer]\npool_mode = transaction\nquery_wait_timeout = 0\n";

#[test]
fn findings_come_as_a_compiler_s_and_show_no_secret() {
    let place = Place::new("text");
    place.file("pgbouncer.ini", UNBOUNDED);
    let (code, out, _) = check(&place.0, &["pgbouncer.ini"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("warning[wait-unbounded]"), "{out}");
    assert!(out.contains("--> pgbouncer.ini:6:22"), "{out}");
    assert!(out.contains("6 | query_wait_timeout = 0"), "{out}");
    assert!(out.contains("warning[secret-in-file]"), "{out}");
    assert!(!out.contains("hunter2"), "{out}");
    assert!(
        out.contains("\n  |                         ^ \n"),
        "no length of it: {out}"
    );
    assert!(!out.contains('\u{1b}'), "no colours into a pipe");
}

#[test]
fn other_formats_carry_the_same_findings() {
    let place = Place::new("formats");
    place.file("pgbouncer.ini", UNBOUNDED);
    for (format, words) in [
        ("json", "\"rule\":\"wait-unbounded\""),
        ("sarif", "\"ruleId\":\"wait-unbounded\""),
        (
            "github",
            "::warning file=pgbouncer.ini,line=6,col=22,title=wait-unbounded::",
        ),
    ] {
        let (code, out, _) = check(&place.0, &["--format", format, "."]);
        assert_eq!(code, 1);
        let out = out.replace("./", "");
        assert!(out.contains(words), "{format}: {out}");
        assert!(!out.contains("hunter2"), "{format}: {out}");
    }
}

#[test]
fn the_exit_code_says_whether_it_ran() {
    let place = Place::new("codes");
    place.file(
        "pgbouncer.ini",
        "[databases]\nshop = host=db user=app\n[pgbouncer]\npool_mode = transaction\nmax_db_connections = 40\n",
    );
    let (code, out, _) = check(&place.0, &["pgbouncer.ini"]);
    assert_eq!(code, 0, "{out}");
    let (code, _, err) = check(&place.0, &["missing.ini"]);
    assert_eq!(code, 2);
    assert!(err.contains("missing.ini"), "{err}");
    let (code, _, _) = check(&place.0, &[]);
    assert_eq!(code, 2, "usage");
    place.file("empty/readme.txt", "nothing");
    let (code, _, err) = check(&place.0, &["empty"]);
    assert_eq!(code, 2);
    assert!(err.contains("no settings file"), "{err}");
}

#[test]
fn a_file_that_cannot_be_read_is_a_finding_and_the_others_are_checked() {
    let place = Place::new("broken");
    place.file("a.ini", [0_u8, 159, 146, 150]);
    place.file("pgbouncer.ini", UNBOUNDED);
    let (code, out, _) = check(&place.0, &["a.ini", "pgbouncer.ini"]);
    assert_eq!(code, 1);
    assert!(out.contains("error[unreadable]: binary, not text"), "{out}");
    assert!(out.contains("wait-unbounded"), "{out}");
}

#[test]
fn a_suppression_needs_a_reason() {
    let place = Place::new("suppress");
    let with = |comment: &str| UNBOUNDED.replace("query_wait", &format!("{comment}\nquery_wait"));
    place.file(
        "pgbouncer.ini",
        with("# plimsoll: allow(wait-unbounded) a batch system: waiting is its work"),
    );
    let (_, out, _) = check(&place.0, &["pgbouncer.ini"]);
    assert!(!out.contains("wait-unbounded"), "{out}");
    assert!(out.contains("1 suppressed with a reason"), "{out}");
    place.file("pgbouncer.ini", with("# plimsoll: allow(wait-unbounded)"));
    let (_, out, _) = check(&place.0, &["pgbouncer.ini"]);
    assert!(
        out.contains("wait-unbounded") && out.contains("gives no reason"),
        "{out}"
    );
}

#[test]
fn a_cut_against_what_serves_is_an_error() {
    let place = Place::new("before");
    let with = |size: u32| {
        format!(
            "[databases]\nshop = host=db user=app\n[pgbouncer]\nmax_db_connections = 100\ndefault_pool_size = {size}\n"
        )
    };
    place.file("old/pgbouncer.ini", with(50));
    place.file("new/pgbouncer.ini", with(5));
    let (code, out, _) = check(
        &place.0,
        &["new/pgbouncer.ini", "--before", "old/pgbouncer.ini"],
    );
    assert_eq!(code, 1);
    assert!(out.contains("error[changed-much]"), "{out}");
    assert!(
        out.contains("may open 5 connections; before it was 50"),
        "{out}"
    );
}

/// The command lines in an example: `plimsoll check …` in a script, or a list of words.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for line in text.lines().filter(|l| !l.trim_start().starts_with('#')) {
        let words: Vec<String> =
            if let Some((_, list)) = line.split_once("[\"plimsoll\", \"check\"") {
                let list = list.split(']').next().unwrap_or_default();
                list.split(',')
                    .map(|w| w.trim().trim_matches('"').to_owned())
                    .collect()
            } else if let Some((_, rest)) = line.split_once("plimsoll check") {
                let rest = rest.split(['>', '|', '&']).next().unwrap_or_default();
                rest.split_whitespace().map(str::to_owned).collect()
            } else {
                continue;
            };
        all.push(words.into_iter().filter(|w| !w.is_empty()).collect());
    }
    all
}

#[test]
fn the_commands_of_the_deployment_examples_run() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/deploy");
    let good = "[databases]\nshop = host=db user=app\n[pgbouncer]\npool_mode = transaction\nmax_db_connections = 40\n";
    let mut count = 0;
    for entry in fs::read_dir(examples).expect("examples").flatten() {
        let text = fs::read_to_string(entry.path()).expect("text");
        let name = entry.file_name().to_string_lossy().into_owned();
        for words in commands(&text) {
            let place = Place::new(&format!("example-{count}"));
            // The example's directories and files, here.
            let local = |word: &String| match word.starts_with("--")
                || matches!(word.as_str(), "github" | "sarif")
            {
                true => word.clone(),
                false => format!("here/{}", word.trim_start_matches('/')),
            };
            let mut arguments: Vec<String> = words.iter().map(local).collect();
            for path in arguments.iter().filter(|w| w.starts_with("here/")) {
                match path.ends_with(".toml") {
                    true => drop(place.file(path, "[listen]\ntcp = [\"127.0.0.1:6432\"]\n[pool]\nsize = 10\n[auth]\ntype = \"trust\"\n[database.shop]\nhost = \"db\"\n")),
                    false => drop(place.file(&format!("{path}/pgbouncer.ini"), good)),
                }
            }
            if !arguments.iter().any(|w| w.starts_with("here/")) {
                // The hook is given the changed files.
                place.file("pgbouncer.ini", good);
                arguments.push("pgbouncer.ini".to_owned());
            }
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let (code, out, err) = check(&place.0, &arguments);
            assert_eq!(code, 0, "{name}: {arguments:?}\n{out}{err}");
            count += 1;
        }
    }
    assert!(count >= 5, "{count}");
}
