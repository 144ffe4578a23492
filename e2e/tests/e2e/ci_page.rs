//! The page "Load tests in CI": its commands and files, run as they stand.

use crate::common::{database, full, server, skip};
use plimsoll_e2e::pooler::{Binary, Pooler, Settings};
use plimsoll_e2e::sandbox::{Dir, RunAs};
use plimsoll_e2e::server::program;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the examples demand of a machine of their own, and what is demanded beside other tests.
const P99: (&str, &str) = ("< 250ms", "< 5s");

/// One block of commands, and the exit code that the page promises.
struct Block {
    line: usize,
    code: i32,
    text: String,
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// The blocks that say `run=CODE`.
fn blocks(page: &str) -> Vec<Block> {
    let mut all: Vec<Block> = Vec::new();
    let mut open = false;
    for (line, text) in page.lines().enumerate() {
        match text.strip_prefix("```sh run=") {
            Some(code) => {
                let code = code.parse().expect("a number");
                all.push(Block {
                    line: line + 1,
                    code,
                    text: String::new(),
                });
                open = true;
            }
            None if text.starts_with("```") => open = false,
            None if open => {
                let block = all.last_mut().expect("an open block");
                block.text.push_str(text);
                block.text.push('\n');
            }
            None => {}
        }
    }
    all
}

/// The examples as a person has them, in `load/`; only the times are shorter here.
fn copy(dir: &Dir, database: &str) {
    let own = RunAs::myself();
    for entry in std::fs::read_dir(docs().join("examples/rehearse")).expect("examples") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        // What a machine keeps on which other tests run is not what is tried here.
        let text = match full() {
            true => text,
            false => text.replace(P99.0, P99.1),
        };
        let text = match name {
            "shop.toml" => text
                .replace("\"40s\"", "\"1s\"")
                .replace("\"10s\"", "\"1s\"")
                .replace("\"5s\" }", "\"1s\" }"),
            _ => text,
        };
        let mode = if name.ends_with(".sh") { 0o755 } else { 0o644 };
        dir.write(&format!("load/{name}"), &text, own, mode);
    }
    for (name, size) in [("old", 4), ("new", 8)] {
        let text = format!(
            "[listen]\ntcp = [\"127.0.0.1:6432\"]\n[server]\nline = 50\n[pool]\nsize = {size}\n\
             [database.{database}]\nhost = \"127.0.0.1\"\nport = {}\n[[user]]\nname = \"app\"\npassword = \"secret\"\n",
            server().port()
        );
        dir.write(&format!("load/{name}.toml"), &text, own, 0o600);
    }
}

#[test]
fn the_commands_of_the_page_run_as_they_stand() {
    if Binary::find().is_pgbouncer {
        return skip("ci_page", "PgBouncer has no rehearsals");
    }
    let database = database("ci_page");
    let dir = Dir::new("ci-page", RunAs::myself());
    std::fs::create_dir(dir.path().join("load")).expect("a folder");
    copy(&dir, &database);
    let pooler = Pooler::start(Settings::for_server(server()).set("default_pool_size", "10"));
    let page =
        std::fs::read_to_string(docs().join("guides/load-tests-in-ci.md")).expect("the page");
    let blocks = blocks(&page);
    assert!(blocks.len() >= 6, "the page has lost its commands");
    let beside = |program: &Path| program.parent().expect("a folder").display().to_string();
    let path = format!(
        "{}:{}:{}",
        beside(&Binary::find().path),
        beside(&program("psql")),
        std::env::var("PATH").unwrap_or_default()
    );
    for block in blocks {
        // These two send the load over and over: a minute, so only in the long run.
        let long = ["--versus", "--find-limit"]
            .iter()
            .any(|flag| block.text.contains(flag));
        if long && !full() {
            continue;
        }
        // The same commands, in less time.
        let text = block
            .text
            .replace("--for 10s", "--for 1s")
            .replace("--for 5s", "--for 1s")
            .replace(
                "--find-limit --for 1s",
                "--find-limit --rate 8000/s --for 3s",
            );
        // A machine on which other tests run may lack a CPU; the page says to try again.
        let mut tries = 0;
        let output = loop {
            let output = Command::new("sh")
                .args(["-ec", &text])
                .current_dir(dir.path())
                .env("PATH", &path)
                .env("DATABASE_URL", pooler.target(&database, "app").url())
                .output()
                .expect("sh");
            tries += 1;
            if output.status.code() != Some(3) || tries == 5 {
                break output;
            }
            // What the first try made is in the way of the next.
            if text.contains("shop.sql") {
                let again = "drop schema public cascade; create schema public; grant all on schema public to public";
                server().sql(&database, again);
            }
        };
        let told =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(block.code),
            "line {}:\n{text}\n{told}",
            block.line
        );
    }
    let judged = if full() { P99.0 } else { P99.1 };
    let threshold = format!("p(99) {judged}").replace('<', "&lt;");
    for report in ["rehearsal.xml", "rehearsal.html"] {
        let text = std::fs::read_to_string(dir.path().join(report)).expect(report);
        assert!(
            text.contains(&threshold),
            "{report} does not tell of {threshold}"
        );
    }
}
