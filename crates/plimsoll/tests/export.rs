//! `plimsoll export`: what it prints is what Prometheus and Grafana take.

use std::io::Write;
use std::path::Path;
use std::process::Command;

fn export(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .arg("export")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn promtool_takes_the_rules_and_they_do_what_they_say() {
    let directory = std::env::temp_dir().join(format!("rules-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let rules = export(&["prometheus-rules", "--runbook-base", "RUNBOOK_BASE"]);
    std::fs::write(directory.join("rules.yml"), rules).unwrap();
    let tests = include_str!("rules_test.yml");
    std::fs::write(directory.join("rules_test.yml"), tests).unwrap();
    for arguments in [
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
    ] {
        let program = Command::new("promtool")
            .args(arguments)
            .current_dir(&directory)
            .output();
        let Ok(output) = program else {
            // Past the harness, which would hold a print back.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED promtool: `cargo xtask deps` installs it"
            );
            break;
        };
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn the_link_to_the_playbook_is_the_readers_own() {
    let rules = export(&[
        "prometheus-rules",
        "--runbook-base",
        "https://wiki.example/playbook",
    ]);
    assert!(rules.contains("runbook_url: \"https://wiki.example/playbook#plimsollleak\""));
    let bad = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["export", "prometheus-rules", "--runbook-base", "x\"\ny"])
        .output()
        .unwrap();
    assert!(!bad.status.success());
}

/// PLIMSOLL_BLESS=1 writes it anew.
#[test]
fn the_dashboard_is_as_agreed() {
    let text = export(&["grafana-dashboard"]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dashboard.golden.json");
    if std::env::var_os("PLIMSOLL_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == golden,
        "differs from {}; PLIMSOLL_BLESS=1 writes it anew",
        path.display()
    );
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 12);
    for panel in panels {
        let place = &panel["gridPos"];
        let right = place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap();
        assert!(right <= 24, "{panel}");
        let expr = panel["targets"][0]["expr"].as_str().unwrap();
        assert!(!expr.contains("OF"), "{expr}");
    }
}
