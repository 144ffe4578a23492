//! Notifiers against servers that hang, lie and break, and commands that do.

use super::*;
use diagnose::alert::Owner;
use diagnose::{Cause, Step, Subject};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

fn alert(key: &str, state: AlertState) -> Alert {
    Alert {
        name: AlertName::PoolExhausted,
        key: format!("PlimsollPoolExhausted/{key}"),
        subject: Subject {
            database: key.to_owned(),
            ..Subject::default()
        },
        state,
        severity: Severity::Critical,
        since_ms: 1_700_000_000_000,
        fired_ms: Some(1_700_000_005_000),
        resolved_ms: (state == AlertState::Resolved).then_some(1_700_000_100_000),
        summary: format!("All 5 connections of {key} are lent"),
        figures: vec![diagnose::Figure::new("used", 5.0, diagnose::Unit::Count).of(key)],
        cause: Some((Cause::Leak, "shop-web keeps 5".to_owned())),
        forecast: None,
        next: vec![Step {
            text: "See the cause".to_owned(),
            command: "plimsoll diagnose".to_owned(),
        }],
        runbook: "https://docs.example/playbook#plimsollpoolexhausted".to_owned(),
        owner: Some(Owner {
            team: "web".to_owned(),
            ..Owner::default()
        }),
    }
}

/// What a server does with its n-th connection: the bytes that it answers
/// after the whole request; `None`: it hangs.
type Answers = fn(usize) -> Option<Vec<u8>>;

/// A server on loopback; requests come out of the channel.
fn server(answers: Answers) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (heard, requests) = channel();
    std::thread::spawn(move || {
        let mut hanging = Vec::new();
        for (n, socket) in listener.incoming().enumerate() {
            let Ok(mut socket) = socket else { return };
            if heard.send(request(&mut socket)).is_err() {
                return;
            }
            match answers(n) {
                Some(bytes) => {
                    let _ = socket.write_all(&bytes);
                }
                None => hanging.push(socket),
            }
        }
    });
    (url, requests)
}

/// The head, and as much of a body as it announces.
fn request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|l| l.split("\r\n").next());
            if body.len() >= length.and_then(|l| l.parse().ok()).unwrap_or(0) {
                return text;
            }
        }
        match socket.read(&mut part) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&part[..n]),
            _ => return String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

fn ok(_: usize) -> Option<Vec<u8>> {
    Some(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_vec())
}

fn notifier(kind: &str, url: &str) -> config::Notifier {
    config::Notifier {
        kind: Some(kind.to_owned()),
        url: Some(url.to_owned()),
        ..config::Notifier::default()
    }
}

fn start<const N: usize>(notifiers: [(&str, config::Notifier); N]) -> Notify {
    Notify::start(NotifySettings {
        instance: "pooler-1".to_owned(),
        fleet: String::new(),
        group_window: Duration::from_millis(100),
        notifiers: notifiers.map(|(name, n)| (name.to_owned(), n)).into(),
    })
    .unwrap()
}

fn body(request: &str) -> serde_json::Value {
    let text = request.split_once("\r\n\r\n").unwrap().1;
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

const LONG: Duration = Duration::from_secs(20);

/// Until it holds; the condition is one of another thread.
const FROM: message::From<'static> = message::From {
    instance: "i",
    identity: "i",
};

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn alerts_of_one_moment_are_one_message_and_their_end_another() {
    let (url, requests) = server(ok);
    let notify = start([("hook", notifier("webhook", &url))]);
    notify.tell(&[
        alert("a", AlertState::Firing),
        alert("b", AlertState::Firing),
    ]);
    notify.tell(&[alert("a", AlertState::Firing)]);
    let request = requests.recv_timeout(LONG).unwrap();
    assert!(request.starts_with("POST /hook HTTP/1.1\r\n"), "{request}");
    let message = body(&request);
    assert_eq!(message["alerts"].as_array().map(Vec::len), Some(2));
    assert_eq!(message["instance"], "pooler-1");
    assert_eq!(message["alerts"][0]["cause"][0], "leak");

    notify.tell(&[
        alert("a", AlertState::Resolved),
        alert("never-told", AlertState::Resolved),
    ]);
    let message = body(&requests.recv_timeout(LONG).unwrap());
    assert_eq!(message["alerts"].as_array().map(Vec::len), Some(1));
    assert_eq!(message["alerts"][0]["state"], "resolved");
    wait_for("both are counted", || notify.figures()[0].sent == 2);
}

#[test]
fn one_that_hangs_keeps_nobody_waiting() {
    let (hangs, _kept) = server(|_| None);
    let (works, requests) = server(ok);
    let notify = start([
        ("a-hangs", notifier("webhook", &hangs)),
        ("b-works", notifier("webhook", &works)),
    ]);
    let before = Instant::now();
    for n in 0..1_000 {
        notify.tell(&[alert(&n.to_string(), AlertState::Firing)]);
    }
    assert!(before.elapsed() < Duration::from_secs(5), "tell waits");
    requests.recv_timeout(LONG).expect("the other is served");
    wait_for("the hanging one is given up", || {
        let figures = notify.figures();
        figures[0].failed > 0 && figures[0].last_error == "no answer within 10 s"
    });
    let figures = notify.figures();
    assert!(figures[0].queued <= queue::QUEUE_MAX);
    assert!(
        figures[0].dropped >= 1_000 - 2 * queue::QUEUE_MAX as u64,
        "{figures:?}"
    );
    assert!(notify.test("a-hangs").is_err_and(|f| f.passing));
}

#[test]
fn what_fails_is_told_again_and_nonsense_breaks_nothing() {
    fn answers(n: usize) -> Option<Vec<u8>> {
        Some(match n {
            0 => b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno".to_vec(),
            1 => b"\0\xff\xfe this is not HTTP at all \r\n\r\n".to_vec(),
            2 => Vec::new(),
            3 => [b"HTTP/1.1 200 ".as_slice(), &[b'x'; 200_000]].concat(),
            4 => b"HTTP/1.1 429 Later\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\nx".to_vec(),
            _ => b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\": [[[".to_vec(),
        })
    }
    let (url, requests) = server(answers);
    let notify = start([("hook", notifier("webhook", &url))]);
    notify.tell(&[alert("a", AlertState::Firing)]);
    for n in 0..6 {
        let request = requests.recv_timeout(LONG).expect("another attempt");
        assert_eq!(
            body(&request)["alerts"][0]["subject"]["database"],
            "a",
            "{n}"
        );
    }
    wait_for("the last one counts", || notify.figures()[0].sent == 1);
    let figures = notify.figures();
    assert_eq!((figures[0].failed, figures[0].dropped), (5, 0));
}

#[test]
fn redirects_are_not_followed_and_refusals_not_repeated() {
    fn moved(_: usize) -> Option<Vec<u8>> {
        let head =
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
        Some(head.as_bytes().to_vec())
    }
    let (url, requests) = server(moved);
    let notify = start([("hook", notifier("webhook", &url))]);
    let fault = notify.test("hook").unwrap_err();
    assert_eq!(
        (fault.text.as_str(), fault.passing),
        ("it answered 302; redirects are not followed", false)
    );
    requests.recv_timeout(LONG).unwrap();
    notify.tell(&[alert("a", AlertState::Firing)]);
    wait_for("it is given up", || notify.figures()[0].dropped == 1);
    assert_eq!(notify.figures()[0].failed, 1);

    let far = start([(
        "cloud",
        notifier("webhook", "http://169.254.169.254/latest"),
    )]);
    let fault = far.test("cloud").unwrap_err();
    assert!(fault.text.contains("no notifier may be"), "{fault}");
    assert!(far.test("nobody").is_err());
}

#[test]
fn names_with_markup_stay_names() {
    let (url, requests) = server(ok);
    let directory = std::env::temp_dir().join(format!("notify-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("hook");
    std::fs::write(&file, format!("{url}\n")).unwrap();
    let mut slack = notifier("slack", "");
    (slack.url, slack.url_file) = (None, Some(file.to_string_lossy().into_owned()));
    let notify = start([("chat", slack)]);
    notify.tell(&[alert(
        "<!channel> & @here \u{1b}[31m\"}]",
        AlertState::Firing,
    )]);
    let message = body(&requests.recv_timeout(LONG).unwrap());
    let text = message["text"].as_str().unwrap();
    assert!(
        text.contains("&lt;!channel&gt; &amp; @\u{200b}here"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}') && !text.contains('<'), "{text}");
    assert!(
        text.contains("Cause: connections are borrowed and not returned"),
        "{text}"
    );
    assert_eq!(message["mrkdwn"], false);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn pagerduty_and_alertmanager_get_their_own_forms() {
    let long = "d".repeat(2_000);
    let mut fires = alert(&long, AlertState::Firing);
    fires.summary = "s".repeat(5_000);
    let over = alert(&long, AlertState::Resolved);
    let events = message::bodies("pagerduty", FROM, "KEY", &[fires.clone(), over.clone()]);
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["event_action"], "trigger");
    assert_eq!(events[1]["event_action"], "resolve");
    assert_eq!(events[0]["dedup_key"], events[1]["dedup_key"]);
    assert!(events[0]["dedup_key"].as_str().unwrap().len() <= 255);
    let payload = &events[0]["payload"];
    assert!(payload["summary"].as_str().unwrap().chars().count() <= 1_024);
    assert_eq!(payload["severity"], "critical");
    assert_eq!(payload["timestamp"], "2023-11-14T22:13:20.000Z");
    assert_eq!(events[0]["links"][0]["text"], "Playbook");

    let posted = message::bodies("alertmanager", FROM, "", &[fires, over]);
    let all = posted[0].as_array().unwrap();
    assert_eq!(all[0]["labels"]["alertname"], "PlimsollPoolExhausted");
    assert_eq!(all[0]["labels"]["team"], "web");
    assert!(
        all[0]["labels"].get("application").is_none(),
        "no empty labels"
    );
    assert_eq!(all[1]["endsAt"], "2023-11-14T22:15:00.000Z");
    assert!(all[0]["annotations"]["runbook_url"].is_string());
}

#[test]
fn commands_get_json_and_an_end() {
    let directory = std::env::temp_dir().join(format!("notify-cmd-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let out = directory.join("out $(touch pwned)");
    let shell = |script: &str| config::Notifier {
        kind: Some("command".to_owned()),
        command: Some(
            ["sh", "-c", script, "sh", &out.to_string_lossy()]
                .map(str::to_owned)
                .to_vec(),
        ),
        ..config::Notifier::default()
    };
    let missing = config::Notifier {
        command: Some(vec!["/nowhere/at/all".to_owned()]),
        ..shell("")
    };
    let notify = start([
        ("deaf", shell("sleep 1000 & wait")),
        ("fails", shell("exit 3")),
        ("missing", missing),
        ("works", shell("cat > \"$1\"")),
    ]);
    notify.test("works").unwrap();
    let text = std::fs::read_to_string(&out).unwrap();
    let message: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(message["alerts"][0]["name"], "PlimsollTest");
    assert_eq!(notify.test("fails").unwrap_err().text, "it ended with 3");
    assert!(!notify.test("missing").unwrap_err().passing);
    assert_eq!(
        notify.test("deaf").unwrap_err().text,
        "it did not end within 10 s"
    );
    assert!(!directory.join("pwned").exists());
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn only_whom_it_concerns() {
    let (url, requests) = server(ok);
    let mut picky = notifier("webhook", &url);
    picky.teams = Some(vec!["data".to_owned()]);
    picky.min_severity = Some("error".to_owned());
    picky.resolved = Some(false);
    let notify = start([("picky", picky)]);
    let of = |team: &str, severity, state| {
        let mut alert = alert(team, state);
        alert.severity = severity;
        alert.owner = Some(Owner {
            team: team.to_owned(),
            ..Owner::default()
        });
        alert
    };
    notify.tell(&[
        of("web", Severity::Critical, AlertState::Firing),
        of("data", Severity::Warning, AlertState::Firing),
        of("data", Severity::Error, AlertState::Firing),
    ]);
    let message = body(&requests.recv_timeout(LONG).unwrap());
    assert_eq!(message["alerts"].as_array().map(Vec::len), Some(1));
    notify.tell(&[of("data", Severity::Error, AlertState::Resolved)]);
    assert_eq!(notify.figures()[0].queued, 0);
}

#[test]
fn a_full_queue_drops_the_oldest_that_is_no_end() {
    let mut queue = Queue::default();
    queue.push(alert("ended", AlertState::Firing));
    assert_eq!(queue.take().len(), 1);
    queue.push(alert("ended", AlertState::Resolved));
    for n in 0..queue::QUEUE_MAX + 10 {
        queue.push(alert(&n.to_string(), AlertState::Firing));
    }
    assert_eq!((queue.len(), queue.dropped()), (queue::QUEUE_MAX, 11));
    let first = queue.take();
    assert_eq!(first[0].state, AlertState::Resolved);
    assert_eq!(first[1].subject.database, "11");
    assert_eq!(first.len(), queue::GROUP_MAX);
}

#[test]
fn names_of_alerts_are_those_that_settings_know() {
    let labels: Vec<&str> = AlertName::ALL.iter().map(|a| a.label()).collect();
    assert_eq!(labels, config::ALERT_NAMES);
}
