//! `plimsoll lab` as a person runs it, with an outage of their own.

use plimsoll::sandbox::wait_until;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A directory for temporary files: empty again when the lab has ended.
fn scratch(name: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("plimsoll-lab-{name}-{}", std::process::id()));
    std::fs::create_dir(&path).expect("a directory of our own");
    // The server may run as another user.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

fn site() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/site.toml");
    path.display().to_string()
}

fn lab(scratch: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .arg("lab")
        .args(arguments)
        .env("TMPDIR", scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the lab starts")
}

fn ended(scratch: &Path, arguments: &[&str]) -> (Output, String) {
    let output = lab(scratch, arguments).wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

/// What is left behind.
fn left(scratch: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(scratch).expect("readable");
    entries.flatten().map(|entry| entry.path()).collect()
}

/// Processes whose command or directory names ours.
fn processes(scratch: &Path) -> Vec<String> {
    let name = scratch.display().to_string();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = all.filter_map(|process| {
        let of = process.path();
        let command = std::fs::read(of.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let place = std::fs::read_link(of.join("cwd")).unwrap_or_default();
        let ours = command.contains(&name) || place.starts_with(scratch);
        ours.then_some(command)
    });
    ours.collect()
}

/// Half a minute: with `E2E_FULL=1`.
#[test]
fn an_overwritten_file_takes_a_site_down_or_is_refused() {
    if std::env::var_os("E2E_FULL").is_none() {
        return;
    }
    let scratch = scratch("site");
    let out = scratch.join("out");
    let tools = scratch.join("tools");
    let run = || {
        let (out, tools) = (out.to_str().expect("ASCII"), tools.to_str().expect("ASCII"));
        let more = ["--output", out, "--tools", tools, "--format", "json"];
        let (output, said) = ended(
            &scratch,
            &[&[site().as_str(), "--with", "own,plimsoll"], &more[..]].concat(),
        );
        let sheet: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), sheet, said)
    };
    // A machine that was held up measures nothing, and says so: then once more.
    let no_measurement = |said: &str| said.contains("no measurement");
    let (mut code, mut sheet, mut said) = run();
    for _ in 0..2 {
        if no_measurement(&said) {
            assert_eq!(code, Some(1), "{said}");
            (code, sheet, said) = run();
        }
    }
    assert_eq!(code, Some(0), "{said}");
    let rows = sheet["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{said}");
    let (own, plimsoll) = (&rows[0], &rows[1]);
    assert_eq!(
        (&own["column"], &plimsoll["column"]),
        (&"own".into(), &"plimsoll".into())
    );
    // It was down until a person restored the file, and then well again.
    let failed = own["figures"]["failed_while_hurt"]
        .as_f64()
        .expect("a share");
    assert!(failed > 0.5, "{own}");
    assert!(own["figures"]["well_from_s"].is_number(), "{own}");
    assert_eq!(own["done"][1]["does"], "the settings are restored", "{own}");
    // Nobody noticed anything, and it was said why.
    assert_eq!(plimsoll["figures"]["failed"], 0, "{plimsoll}");
    assert_eq!(plimsoll["named"], "settings_change", "{plimsoll}");
    let told = plimsoll["said"].to_string();
    assert!(told.contains("refused"), "{told}");
    assert_eq!(sheet["gates"][0]["broken"], 1, "{sheet}");
    assert_eq!(sheet["gates"][0]["mended"], 0, "{sheet}");
    let page = std::fs::read_to_string(out.join("lab.md")).expect("a page");
    assert!(
        page.contains("repaired by people") && page.contains("prevented"),
        "{page}"
    );
    assert!(
        page.contains("![A deploy overwrites the settings](lab/site.svg)"),
        "{page}"
    );
    assert!(out.join("lab/site.svg").exists());
    std::fs::remove_dir_all(&out).expect("ours");
    assert_eq!(left(&scratch), Vec::<PathBuf>::new());
    assert_eq!(processes(&scratch), Vec::<String>::new());
    std::fs::remove_dir(&scratch).ok();
}

#[test]
fn what_is_missing_leaves_its_column_out() {
    let scratch = scratch("missing");
    let (output, said) = ended(
        &scratch,
        &[
            &site(),
            "--no-gates",
            "--with",
            "nowhere",
            "--pooler",
            "nowhere=/no/such/pooler",
        ],
    );
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("not run: site with nowhere: /no/such/pooler is not installed"),
        "{said}"
    );
    assert_eq!(left(&scratch), Vec::<PathBuf>::new());
    std::fs::remove_dir(&scratch).ok();
}

#[test]
fn what_cannot_be_put_on_the_stage_is_said_with_its_place() {
    let scratch = scratch("wrong");
    let text = std::fs::read_to_string(site()).expect("readable");
    let file = scratch.join("mine.toml");
    std::fs::write(&file, text.replace("users = 40", "user = 40")).expect("ours");
    let (output, said) = ended(&scratch, &[file.to_str().expect("ASCII")]);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("unknown field `user`") && said.contains("user = 40"),
        "{said}"
    );
    let (output, said) = ended(&scratch, &["no-such-outage"]);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("there is no outage no-such-outage"), "{said}");
    std::fs::remove_dir_all(&scratch).ok();
}

/// Looks into /proc, at an application in Python.
#[test]
#[cfg(target_os = "linux")]
fn an_interrupted_lab_leaves_nothing_behind() {
    if Command::new("python3").arg("--version").output().is_err() {
        return;
    }
    for signal in ["INT", "KILL"] {
        let scratch = scratch(&format!("interrupted-{signal}"));
        let mut child = lab(&scratch, &[&site(), "--no-gates", "--with", "plimsoll"]);
        let mut told = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        told.read_line(&mut line).expect("text");
        // Until the application serves.
        let serves = || {
            processes(&scratch)
                .iter()
                .any(|command| command.contains("serve.py"))
        };
        assert!(wait_until(Duration::from_secs(40), serves), "{line}");
        let sent = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
        let status = child.wait().expect("it ends");
        if signal == "INT" {
            assert_eq!(status.code(), Some(2), "{line}");
            told.read_to_string(&mut line).expect("text");
            assert!(line.contains("it was stopped"), "{line}");
        }
        let gone = || processes(&scratch).is_empty() && left(&scratch).is_empty();
        wait_until(Duration::from_secs(20), gone);
        assert_eq!(processes(&scratch), Vec::<String>::new(), "{signal}");
        assert_eq!(left(&scratch), Vec::<PathBuf>::new(), "{signal}");
        std::fs::remove_dir(&scratch).ok();
    }
}

/// Minutes, and packages for Python and Node.js: with `E2E_FULL=1`.
#[test]
fn all_five_outages_fail_in_ci_and_their_mended_versions_pass() {
    if std::env::var_os("E2E_FULL").is_none() {
        return;
    }
    let scratch = scratch("gates");
    let tools = std::env::temp_dir().join("plimsoll-lab-tools");
    let tools = tools.to_str().expect("ASCII");
    let (output, said) = ended(&scratch, &["--gates", "--format", "json", "--tools", tools]);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let sheet: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let gates = sheet["gates"].as_array().expect("gates");
    for outage in [
        "000-app",
        "000-pooler",
        "001",
        "002",
        "003-app",
        "003-pooler",
        "004-app",
        "004-pooler",
    ] {
        let of = gates.iter().filter(|gate| gate["outage"] == outage);
        let held = of.filter(|gate| gate["broken"] == 1 && gate["mended"] == 0);
        assert!(held.count() > 0, "{outage}: {said}");
    }
    assert_eq!(left(&scratch), Vec::<PathBuf>::new());
    std::fs::remove_dir(&scratch).ok();
}
