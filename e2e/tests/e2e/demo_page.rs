//! The demonstration as a person shows it to a colleague: its page in a real browser, and its buttons.

use crate::common::skip;
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::sandbox::{Dir, RunAs, signal};
use plimsoll_e2e::toolchain::{browser_modules, chromium, programs};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// It ends by itself after so many seconds, should the test fail to end it.
const SECONDS: &str = "120";

/// Ends with the test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            signal(self.0.id(), "INT");
        }
        let _ = self.0.wait();
    }
}

#[test]
fn the_buttons_of_the_demonstration_in_a_browser() {
    let found = browser_modules().and_then(|modules| Ok((modules, chromium()?)));
    let (modules, chromium) = match found {
        Ok(found) => found,
        Err(why) => return skip("the demonstration in a browser", &why),
    };
    let binary = Binary::find();
    if binary.is_pgbouncer {
        return skip("the demonstration in a browser", "PgBouncer has none");
    }
    let dir = Dir::new("demo-page", RunAs::unprivileged());
    let child = Command::new(&binary.path)
        .args(["demo", "--seconds", SECONDS])
        .env("TMPDIR", dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the demonstration starts");
    let mut demo = Demo(child);
    let said = BufReader::new(demo.0.stdout.take().expect("piped"));
    let mut lines = said.lines().map_while(Result::ok);
    let page = lines
        .find_map(|line| {
            let rest = line.strip_prefix("Live page")?.trim_start().to_owned();
            rest.split_whitespace().next().map(str::to_owned)
        })
        .expect("it prints the page's address");
    // What it prints meanwhile is read: it must not wait for us.
    std::thread::spawn(move || lines.for_each(drop));
    let output = Command::new("node")
        .arg(programs().join("demo.mjs"))
        .env("PLIMSOLL_PAGE", page.trim_end_matches('/'))
        .env("PLIMSOLL_BROWSER_MODULES", &modules)
        .env("PLIMSOLL_CHROMIUM", &chromium)
        .output()
        .expect("node runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    eprintln!("{text}");
}
