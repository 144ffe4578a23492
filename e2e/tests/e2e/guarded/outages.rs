//! The changes of the outage reports, deployed as a stranger would.

use super::{Guarded, Load};
use crate::common::server;
use plimsoll_e2e::sandbox::until;

const DEPLOY: &str = "[settings]\nsource = \"deploy\"";

/// 000: an update cuts the pool's limit; usual traffic starves.
#[test]
fn an_update_that_cuts_the_limit_does_not_stay() {
    for size in ["3", "6"] {
        let guarded = Guarded::start("30", DEPLOY);
        let load = Load::start(&guarded, 24);
        load.wait_for(8_000);
        guarded.overwrite(size, DEPLOY);
        let text = until("the gate's word", || {
            let (good, text) = guarded.say(&["status"]);
            (!good).then_some(text)
        });
        let told = ["refused as version 2", "rolled back as version 2"];
        assert!(
            told.iter().any(|word| text.contains(word)),
            "{size}: {text}"
        );
        assert_eq!(guarded.size(), "30");
        let (done, failed, late) = load.end();
        assert_eq!(failed, 0);
        assert!(late * 100 <= done, "{size}: {late} of {done} were late");
    }
}

/// 001: a deploy script overwrites the settings file with another one.
#[test]
fn a_script_that_overwrites_the_file_changes_nothing() {
    let other = |guarded: &Guarded| {
        let text = std::fs::read_to_string(&guarded.file).expect("read");
        let port = format!("port = {}\n", server().port());
        // Nobody listens on port 1.
        text.replace(&port, "port = 1\n")
    };
    for (source, word) in [
        (DEPLOY, "(probe)"),
        (
            "[settings]\nsource = \"store\"",
            "changed by nobody's `plimsoll apply`",
        ),
    ] {
        let mut guarded = Guarded::start("20", source);
        let mut client = guarded.client();
        std::fs::write(&guarded.file, other(&guarded)).expect("written");
        let text = until("the gate's word", || {
            let (good, text) = guarded.say(&["status"]);
            (!good).then_some(text)
        });
        assert!(text.contains(word), "{text}");
        assert_eq!(client.value("select 42").expect("served"), "42");
        // Restarting, the first thing that people try, does not bring it into service.
        drop(client);
        guarded.restart("TERM");
        assert_eq!(guarded.client().value("select 42").expect("served"), "42");
        assert_eq!(guarded.size(), "20");
    }
}

/// 002: the pool has no limit; a surge drowns the server.
#[test]
fn a_limit_beyond_the_server_is_refused_and_the_line_holds() {
    let monitor = "[settings]\nsource = \"deploy\"";
    let guarded = Guarded::start("20", monitor);
    let text = std::fs::read_to_string(&guarded.file).expect("read");
    let unlimited = text
        .replace("size = 20", "size = 100000")
        .replace("line = 60", "line = 100000");
    std::fs::write(&guarded.file, unlimited).expect("written");
    let text = until("the gate's word", || {
        let (good, text) = guarded.say(&["status"]);
        (!good).then_some(text)
    });
    assert!(text.contains("refused as version 2 (check)"), "{text}");
    assert_eq!(guarded.size(), "20");
}
