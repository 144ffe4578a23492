//! Settings whose text is in etcd, told to the keeper as its follower tells it. No etcd
//! answers at the address that these settings name.

use super::*;

const ETCD: &str = "[settings]\nsource = \"etcd\"\nwatch = \"1s\"\n\
                    [etcd]\nendpoints = [\"http://127.0.0.1:1\"]";

/// The file of one instance: what is its own, beside what all have.
fn own(port: u16) -> String {
    text(
        20,
        &format!("{ETCD}\n[metrics]\nlisten = \"127.0.0.1:{port}\""),
    )
}

impl World {
    fn follow(&self, news: Followed) {
        let sent = self.running.commands().send(Command::Followed(news));
        sent.expect("it runs");
    }

    fn text(&self, text: String, revision: u64) {
        self.follow(Followed::Text(text, revision));
    }

    fn drift(&self) -> String {
        self.until("a drift", |s| s.drift.is_some())
            .drift
            .unwrap_or_default()
    }

    fn applied(&self, version: u64) {
        self.until("a version that is applied", |s| {
            s.version == version && s.open.is_none()
        });
    }
}

#[test]
fn another_text_goes_through_the_gate_and_leaves_what_is_the_instance_s_own() {
    let dir = Dir::new("etcd-text");
    dir.write(&own(9_001));
    let world = start(prepared(&dir), Verdict::Fine);
    assert_eq!(world.size(), Fixed(20), "the file, until etcd is heard");
    let status = world.until("a word on etcd", |s| {
        s.etcd.as_ref().is_some_and(|e| e.contains("not heard"))
    });
    assert_eq!((status.source.as_str(), status.drift), ("etcd", None));
    world.text(
        text(
            30,
            &format!("{ETCD}\n[metrics]\nlisten = \"127.0.0.1:9002\""),
        ),
        7,
    );
    world.applied(2);
    assert_eq!(world.size(), Fixed(30));
    let listen = world.plane.plan().metrics_listen.map(|at| at.port());
    assert_eq!(listen, Some(9_001));
    let words = world.status().etcd.unwrap_or_default();
    assert!(
        words.starts_with("plimsoll/settings, revision 7"),
        "{words}"
    );
    let history = world.ask(|r| Ask::History(9, r)).expect("read");
    assert_eq!(history[0].actor, "somebody, by etcd");
    // The file says what is the instance's own, and no more.
    dir.write(&own(9_001).replace("size = 20", "size = 25"));
    world.running.stop();
    // Without etcd the last text holds, beside the file's own part of now.
    dir.write(&own(9_003));
    let again = prepared(&dir);
    assert_eq!(again.plan().metrics_listen.map(|at| at.port()), Some(9_003));
    let world = start(again, Verdict::Fine);
    assert_eq!((world.size(), world.status().drift), (Fixed(30), None));
    world.running.stop();
    // Without its own part nobody knows where it listens.
    dir.write("[pool]\nszie = 3\n");
    assert!(matches!(
        prepare(options(&dir)),
        Err(BootError::Mistakes(..))
    ));
}

#[test]
fn what_is_no_whole_text_changes_nothing_and_is_told() {
    let dir = Dir::new("etcd-odd");
    dir.write(&own(9_001));
    let world = start(prepared(&dir), Verdict::Fine);
    world.text(text(30, ETCD), 7);
    world.applied(2);
    let table = [
        (Followed::Gone, "is not in etcd"),
        (Followed::Odd("it is empty"), "it is empty"),
        (
            Followed::Text(text(40, ETCD).replace("[server]", "[serv"), 8),
            "has mistakes",
        ),
        (
            Followed::Text(text(40, DEPLOY), 9),
            "nobody would follow it any more",
        ),
    ];
    for (news, expected) in table {
        world.follow(news);
        let status = world.until(expected, |s| {
            s.drift.as_ref().is_some_and(|d| d.contains(expected))
        });
        let drift = status.drift.unwrap_or_default();
        assert!(drift.contains("version 2 serves on"), "{drift}");
        assert_eq!((world.size(), status.version), (Fixed(30), 2));
    }
    // The text that serves is there again.
    world.text(text(30, ETCD), 10);
    world.until("no drift", |s| s.drift.is_none());
    world.running.stop();
}

#[test]
fn what_a_person_applied_is_not_overwritten_by_what_the_key_said_before() {
    let dir = Dir::new("etcd-apply");
    dir.write(&own(9_001));
    let world = start(prepared(&dir), Verdict::Fine);
    world.text(text(25, ETCD), 7);
    world.applied(2);
    world.apply(text(40, ETCD), true).expect("begun");
    world.applied(3);
    let drift = world.drift();
    assert!(drift.contains("is not in the text in etcd"), "{drift}");
    // etcd is heard again with the same text, and the process is another one.
    world.text(text(25, ETCD), 7);
    world.running.stop();
    let world = start(prepared(&dir), Verdict::Fine);
    world.text(text(25, ETCD), 7);
    let drift = world.drift();
    assert!(drift.contains("version 3 serves"), "{drift}");
    assert_eq!(world.size(), Fixed(40));
    // Another text is somebody's order.
    world.text(text(45, ETCD), 8);
    world.applied(4);
    assert_eq!((world.size(), world.status().drift), (Fixed(45), None));
    world.running.stop();
}

#[test]
fn a_text_that_was_turned_down_is_told_and_not_tried_again() {
    let dir = Dir::new("etcd-worse");
    dir.write(&own(9_001).replace("size = 20", "size = 50"));
    let world = start(prepared(&dir), Verdict::Worse);
    world.text(text(20, ETCD), 7);
    let drift = world.drift();
    assert!(
        drift.contains("the text in etcd says what was refused"),
        "{drift}"
    );
    assert_eq!(world.size(), Fixed(50));
    world.running.stop();
    let world = start(prepared(&dir), Verdict::Fine);
    world.text(text(20, ETCD), 7);
    assert!(world.drift().contains("refused"), "{}", world.drift());
    assert_eq!(world.size(), Fixed(50));
    world.running.stop();
}
