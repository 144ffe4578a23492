//! The changes of the outage reports, deployed as a stranger would.

use super::{Guarded, Load};
use crate::common::server;
use plimsoll_e2e::sandbox::{Dir, RunAs, until};
use plimsoll_e2e::server::PASSWORD;

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

/// Settings of every instance of a fleet, word for word: each listens on a socket
/// beside its own file.
fn of_fleet(size: u32) -> String {
    format!(
        "[listen]\ntcp = []\nunix = \".\"\nunix_port = 6432\n[auth]\ntype = \"trust\"\nadmin_users = [\"admin\"]\n\
         [settings]\nsource = \"deploy\"\n[server]\nline = 60\nmonitor_user = \"postgres\"\nmonitor_interval = \"250ms\"\n\
         fleet = \"guarded\"\n[pool]\nsize = {size}\n[database.app]\nhost = \"127.0.0.1\"\nport = {}\n\
         [[user]]\nname = \"postgres\"\npassword = \"{PASSWORD}\"\n[[user]]\nname = \"admin\"\n",
        server().port()
    )
}

fn instance(size: u32) -> Guarded {
    let dir = Dir::new("guarded", RunAs::myself());
    let file = dir.path().join("plimsoll.toml");
    std::fs::write(&file, of_fleet(size)).expect("written");
    Guarded::start_in(dir, 0, file)
}

/// One instance of a fleet turns a file down: no other one takes it.
#[test]
fn a_file_that_one_instance_turned_down_stops_at_the_next() {
    let (one, two) = (instance(20), instance(20));
    std::fs::write(&one.file, of_fleet(2)).expect("written");
    until("turned down", || {
        let (good, text) = one.say(&["status"]);
        (!good && text.contains("refused as version 2 (check)")).then_some(())
    });
    std::fs::write(&two.file, of_fleet(2)).expect("written");
    let text = until("held", || {
        let (good, text) = two.say(&["status"]);
        (!good).then_some(text)
    });
    assert!(text.contains("Drift"), "{text}");
    assert_eq!(two.size(), "20");
    // A third one, as a rolling update starts it, knows nothing but the file.
    let three = instance(2);
    let text = until("not ready", || {
        let (_, text) = three.say(&["status"]);
        text.contains("Not ready  another instance").then_some(text)
    });
    assert!(text.contains("version 1"), "{text}");
    // The file is mended at the others: the third is ready, nobody objects.
    std::fs::write(&one.file, of_fleet(20)).expect("written");
    std::fs::write(&two.file, of_fleet(20)).expect("written");
    until("ready", || three.say(&["status"]).0.then_some(()));
}
