//! The page, who may read it, its stream, and what a person does from it.

use super::*;
use crate::live::{Feed, Second};
use crate::measure::{self, Measures};
use events::sample::MarkerKind;
use events::snapshot::PoolRow;
use events::{Acted, ClientAct, LeaseStatement, Time, Whose};
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A data plane that remembers what it was asked for.
#[derive(Default)]
struct Remembers(Mutex<Vec<String>>);

impl Hands for Remembers {
    fn act(&self, client: u64, act: ClientAct) -> Acted {
        self.note(format!("{} {client}", act.label()));
        match client {
            0 => Acted::Gone,
            1 => Acted::Nothing(Whose::default()),
            _ => Acted::Done(Whose {
                user: "web".into(),
                database: "shop".into(),
                application: "cou\u{1b}[2Jpons".into(),
                held: Some(Duration::from_secs(90)),
            }),
        }
    }

    fn statements(&self, _: &[u64]) -> Vec<LeaseStatement> {
        Vec::new()
    }

    fn pause(&self, database: Option<&str>) -> Result<(), String> {
        self.note(format!("pause {database:?}"));
        match database {
            Some("gone") => Err("no such database: gone".to_owned()),
            _ => Ok(()),
        }
    }

    fn resume(&self, database: Option<&str>) -> Result<(), String> {
        self.note(format!("resume {database:?}"));
        Ok(())
    }
}

impl Remembers {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

/// What a server of these tests answers from, beside what the others lack.
struct Live {
    feed: Feed,
    hands: Arc<Remembers>,
    measures: Measures,
}

fn live(name: &str, bounds: Bounds) -> (Server, Live) {
    let live = Live {
        feed: Feed::default(),
        hands: Arc::default(),
        measures: Measures::new(&measure::Options::default()),
    };
    let all = Parts {
        feed: Some(live.feed.clone()),
        hands: Some(Arc::clone(&live.hands) as Arc<dyn Hands>),
        measures: Some(live.measures.clone()),
        ..parts()
    };
    (server_of(name, all, bounds), live)
}

/// A second with so many pools.
fn second(version: u64, pools: usize) -> Second {
    let pool = |n: usize| PoolRow {
        database: format!("database-{n}"),
        user: "u".repeat(150),
        ..PoolRow::default()
    };
    Second {
        now: Arc::new(Snapshot {
            version,
            at: Time::from_micros(version),
            pools: (0..pools).map(pool).collect(),
            ..Snapshot::default()
        }),
        ..Second::default()
    }
}

impl Server {
    /// Opens a stream and reads its head.
    fn stream(&self) -> BufReader<TcpStream> {
        let mut socket = self.connect();
        let start = format!(
            "GET /v1/live/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {VIEWER}\r\n\r\n"
        );
        socket.write_all(start.as_bytes()).unwrap();
        let mut reader = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert_eq!(status(&head), "200", "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        reader
    }

    fn anonymous(&self, allowed: config::Anonymous) {
        self.settings.lock().unwrap().anonymous = allowed;
    }
}

/// Lines up to one that holds this.
fn until(reader: &mut impl BufRead, wanted: &str) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        let read = reader.read_line(&mut line).unwrap();
        assert!(read > 0, "{wanted} did not come: {all}");
        all.push_str(&line);
        if line.contains(wanted) {
            return all;
        }
    }
}

#[test]
fn the_page_is_for_all_who_may_connect() {
    let server = server("page");
    for start in ["GET /", "GET /?at=1", "HEAD /", "GET /page/icon.svg"] {
        let answer = server.ask(start, &[]);
        assert_eq!(status(&answer), "200", "{start}: {answer}");
        for header in [
            "content-security-policy: default-src 'none'; script-src '",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "cache-control: no-cache",
            "etag: \"",
        ] {
            assert!(answer.contains(header), "{start}: {header}: {answer}");
        }
        assert_eq!(answer.matches("cache-control").count(), 1, "{answer}");
        assert!(!answer.contains("access-control"));
    }
    let head = server.ask("HEAD /", &[]);
    assert!(
        head.ends_with("\r\n\r\n") && head.contains("content-length: "),
        "{head}"
    );
    let tag = head
        .split("etag: ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap();
    let again = server.ask("GET /", &[&format!("If-None-Match: {tag}")]);
    assert_eq!(status(&again), "304", "{again}");
    assert!(again.ends_with("\r\n\r\n"));
    let packed = server.ask("GET /", &["Accept-Encoding: gzip, br"]);
    assert!(
        packed.contains("content-encoding: gzip") || packed.contains("<html"),
        "{packed}"
    );
    for trick in [
        "GET //",
        "GET /page",
        "GET /page/",
        "GET /page/../page/icon.svg",
        "GET /page/%2e%2e/icon.svg",
        "GET /page/icon.svg/",
        "GET /page/app.js",
        "GET /page/nothing.js",
        "GET /page/index.html",
        "GET /favicon.ico",
    ] {
        let answer = server.ask(trick, &[]);
        assert_eq!(status(&answer), "404", "{trick}: {answer}");
    }
    for wrong in ["POST /", "PUT /page/icon.svg", "DELETE /"] {
        let answer = server.ask(wrong, &["Content-Length: 0"]);
        assert_eq!(status(&answer), "405", "{answer}");
        assert!(answer.contains("allow: GET, HEAD"), "{answer}");
    }
    let local = UnixStream::connect(server.api().socket().unwrap()).unwrap();
    assert_eq!(
        status(&exchange(local, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
        "200"
    );
}

#[test]
fn a_link_of_another_site_opens_the_page_and_nothing_else() {
    let server = server("links");
    server.anonymous(config::Anonymous::Viewer);
    let visit = [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: document",
    ];
    assert_eq!(status(&server.ask("GET /", &visit)), "200");
    for start in ["GET /v1/live", "GET /v1/status", "GET /page/icon.svg"] {
        assert_eq!(status(&server.ask(start, &visit)), "403", "{start}");
    }
    for lines in [
        // In a frame, by a script, as an image.
        [
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Mode: navigate",
            "Sec-Fetch-Dest: iframe",
        ],
        [
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Mode: no-cors",
            "Sec-Fetch-Dest: document",
        ],
        [
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Mode: cors",
            "Sec-Fetch-Dest: empty",
        ],
        [
            "Origin: http://evil.example",
            "Sec-Fetch-Mode: navigate",
            "Sec-Fetch-Dest: document",
        ],
    ] {
        assert_eq!(status(&server.ask("GET /", &lines)), "403", "{lines:?}");
    }
    let rebound = "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(status(&server.raw(rebound)), "421");
}

#[test]
fn reading_without_a_token_is_as_the_settings_say() {
    use config::ApiRole::Viewer;
    let (server, live) = live("anonymous", Bounds::default());
    live.feed.put(second(1, 1));
    server.anonymous(config::Anonymous::Viewer);
    let who = body(&server.ask("GET /v1/whoami", &[]));
    assert_eq!(who["role"], "viewer");
    assert_eq!(
        (&who["anonymous"], &who["name"]),
        (&true.into(), &"anonymous@127.0.0.1".into())
    );
    let who = body(&server.with(OPERATOR, "GET /v1/whoami"));
    assert_eq!(
        (&who["role"], &who["anonymous"]),
        (&"operator".into(), &false.into())
    );
    assert_eq!(
        status(&server.with("wrong-wrong-wrong-wrong", "GET /v1/whoami")),
        "401"
    );
    assert_eq!(status(&server.ask("GET /v1/live", &[])), "200");
    for route in routes().iter().filter(|route| route.role > Viewer) {
        let path = route.path.replace("{id}", "1").replace("{client}", "1f");
        let start = format!("{} {path}", route.verb.word());
        let answer = server.ask(&start, &["Content-Type: application/json"]);
        assert_eq!(status(&answer), "401", "{start}: {answer}");
        assert!(answer.contains("www-authenticate"), "{answer}");
    }
    let foreign = server.ask("GET /v1/live", &["Sec-Fetch-Site: cross-site"]);
    assert_eq!(status(&foreign), "403");
    server.anonymous(config::Anonymous::None);
    assert_eq!(status(&server.ask("GET /v1/live", &[])), "401");
    assert_eq!(status(&server.ask("GET /v1/whoami", &[])), "401");
    assert_eq!(
        status(&server.ask("GET /", &[])),
        "200",
        "the page asks for a token itself"
    );
    assert!(live.hands.0.lock().unwrap().is_empty());
}

#[test]
fn a_stream_ends_with_the_right_to_read_it() {
    let (server, live) = live("revoked", Bounds::default());
    live.feed.put(second(1, 1));
    let mut listening = server.stream();
    until(&mut listening, "data: {\"at_ms\"");
    // Another token takes its place, as after a rotation.
    server.settings.lock().unwrap().viewer.secret =
        Some(config::Secret("another viewer's token".to_owned()));
    live.feed.put(second(2, 1));
    let rest = until(&mut listening, "event: end");
    assert!(!rest.contains("event: live"), "{rest}");
}

#[test]
fn what_is_asked_for_is_answered_from_the_newest_second() {
    let (server, live) = live("tables", Bounds::default());
    for path in ["/v1/live", "/v1/pools", "/v1/leases"] {
        let early = server.with(VIEWER, &format!("GET {path}"));
        assert_eq!(
            (status(&early), &body(&early)["kind"]),
            ("503", &"early".into())
        );
    }
    live.feed.put(second(7, 300));
    let now = body(&server.with(VIEWER, "GET /v1/live"));
    assert_eq!(
        (&now["snapshot"], &now["pools_total"]),
        (&7.into(), &300.into())
    );
    assert_eq!(now["instance"], "shop-1:7");
    assert_eq!(now["not_ready"], "draining");
    let pools = body(&server.with(
        VIEWER,
        "GET /v1/pools?sort=name&most=2&from=1&filter=base-2",
    ));
    assert_eq!(pools["total"], 111);
    assert_eq!(pools["rows"][0]["database"], "database-20");
    let leases = body(&server.with(VIEWER, "GET /v1/leases"));
    assert_eq!(leases["total"], 0);
    let chart = body(&server.with(VIEWER, "GET /v1/chart?pool=a%2Fb&points=5"));
    assert_eq!(chart["pool"], "a/b");
    for (query, said) in [
        ("/v1/live?at_ms=5", "404"),
        ("/v1/chart?from_ms=9&until_ms=5", "400"),
        ("/v1/chart?points=0", "400"),
        ("/v1/chart?points=1201", "400"),
        ("/v1/pools?sort=evil", "400"),
        ("/v1/pools?most=1001", "400"),
        ("/v1/leases?filter=%1b", "400"),
        ("/v1/playbook/nothing", "404"),
        ("/v1/playbook/plimsollleak", "200"),
    ] {
        let answer = server.with(VIEWER, &format!("GET {query}"));
        assert_eq!(status(&answer), said, "{query}: {answer}");
    }
    let chapters = body(&server.with(VIEWER, "GET /v1/playbook"));
    let ids = chapters
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["id"].as_str().unwrap());
    for id in ids {
        let chapter = body(&server.with(VIEWER, &format!("GET /v1/playbook/{id}")));
        assert_eq!(chapter["id"], id);
        assert!(
            chapter["steps"].as_array().is_some_and(|s| !s.is_empty()),
            "{id}"
        );
    }
}

#[test]
fn each_second_is_told_once_to_all_who_listen() {
    let (server, live) = live("stream", Bounds::default());
    live.feed.put(second(1, 1));
    let mut streams = [server.stream(), server.stream()];
    for stream in &mut streams {
        let first = until(stream, "data: ");
        assert!(
            first.contains("id: 1\n") && first.contains("event: live\n"),
            "{first}"
        );
        let json = first.split("data: ").nth(1).unwrap();
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(value["snapshot"], 1);
    }
    live.feed.put(second(2, 1));
    for stream in &mut streams {
        assert!(until(stream, "data: ").contains("id: 2\n"));
    }
    drop(streams);
    // Who left is not counted any more, and nothing is folded for nobody.
    while live.feed.listeners() > 0 {
        std::thread::yield_now();
    }
    let head = server.with(VIEWER, "HEAD /v1/live/stream");
    assert_eq!(status(&head), "200");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn a_stream_ends_and_gives_signs_of_life_until_then() {
    let bounds = Bounds {
        most: Duration::from_millis(400),
        quiet: Duration::from_millis(20),
        ..Bounds::default()
    };
    let (server, _live) = live("ends", bounds);
    let mut stream = server.stream();
    let all = until(&mut stream, "event: end");
    assert!(all.contains(": still here"), "{all}");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: {}"), "{rest}");
}

#[test]
fn streams_are_few_and_keep_nobody_from_the_rest() {
    let (server, live) = live("many", Bounds::default());
    live.feed.put(second(1, 1));
    let mut streams: Vec<_> = (0..streaming::STREAMS_MAX)
        .map(|_| server.stream())
        .collect();
    let refused = server.with(VIEWER, "GET /v1/live/stream");
    assert_eq!(status(&refused), "503", "{refused}");
    assert!(refused.contains("retry-after: 5"), "{refused}");
    assert_eq!(server.figures.refused(Refused::Busy), 1);
    // They take no turn, and no place of those who ask once: all of those are free.
    let silent: Vec<_> = (0..CONNECTIONS_MAX - 1).map(|_| server.connect()).collect();
    assert_eq!(status(&server.with(VIEWER, "GET /v1/live")), "200");
    assert_eq!(server.figures.refused(Refused::Connections), 0);
    let more: Vec<_> = (0..CONNECTIONS_MAX * 2).map(|_| server.connect()).collect();
    assert_eq!(status(&server.with(VIEWER, "GET /v1/live")), "200");
    // No stream gave way to them.
    live.feed.put(second(2, 1));
    for stream in &mut streams {
        until(stream, "id: 2");
    }
    drop((silent, more));
    // The unix socket has places of its own.
    let mut local = UnixStream::connect(server.api().socket().unwrap()).unwrap();
    let start = "GET /v1/live/stream HTTP/1.1\r\nHost: x\r\n\r\n";
    local.write_all(start.as_bytes()).unwrap();
    until(&mut BufReader::new(local), "id: 2");
    drop(streams.pop());
    // Its place is free once its connection is seen to have ended.
    while status(&server.with(VIEWER, "HEAD /v1/live/stream")) != "200" {
        std::thread::yield_now();
    }
}

#[test]
fn who_reads_nothing_is_let_go_and_holds_one_second_at_most() {
    let bounds = Bounds {
        stalled: Duration::from_millis(300),
        ..Bounds::default()
    };
    let (server, live) = live("slow", bounds);
    // Its socket takes some MiB at most; frames are made until it takes no more.
    let slow = server.stream();
    let mut version = 0;
    while live.feed.listeners() > 0 {
        version += 1;
        assert!(version < 200_000, "it was not let go");
        live.feed.put(second(version, 300));
        std::thread::yield_now();
    }
    drop(slow);
    assert_eq!(status(&server.with(VIEWER, "GET /v1/live")), "200");
}

#[test]
fn streams_end_with_the_api() {
    let (mut server, live) = live("stops", Bounds::default());
    live.feed.put(second(1, 1));
    let mut stream = server.stream();
    until(&mut stream, "data: ");
    server.api.take().unwrap().stop();
    let mut rest = Vec::new();
    // The end, whole or broken off: it does not hang.
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(live.feed.listeners(), 0);
}

#[test]
fn a_panic_while_folding_costs_one_second() {
    let feed = Feed::default();
    let made = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&made);
    let thread = feed.fold(move |second| {
        counting.fetch_add(1, Ordering::SeqCst);
        assert!(second.now.version != 1, "a bug");
        bytes::Bytes::from_static(b"whole")
    });
    let frames = feed.listen();
    feed.put(second(1, 0));
    while made.load(Ordering::SeqCst) < 1 {
        std::thread::yield_now();
    }
    feed.put(second(2, 0));
    while frames.borrow().bytes.is_empty() {
        std::thread::yield_now();
    }
    drop(frames);
    feed.put(second(3, 0));
    feed.end();
    thread.unwrap().join().unwrap();
    assert_eq!(
        made.load(Ordering::SeqCst),
        2,
        "nothing is folded for nobody"
    );
}

#[test]
fn a_person_acts_with_a_token_and_it_is_marked() {
    let (server, live) = live("acts", Bounds::default());
    let act =
        |token: &str, path: &str, what: &str| server.post(token, path, "application/json", what);
    let why = "{\"reason\":\"locks\\u001b all\",\"actor\":\"anna\"}";
    for (path, said) in [
        (
            "/v1/leases/1f/cancel",
            "the statement of client 1f (shop/web, cou?[2Jpons) was cancelled",
        ),
        (
            "/v1/leases/0x1F/reclaim",
            "the connection of client 1f (shop/web, cou?[2Jpons) was taken back after 90 s",
        ),
        (
            "/v1/clients/1f/kill",
            "client 1f (shop/web, cou?[2Jpons) was closed",
        ),
    ] {
        for nobody in [VIEWER, "unknown-unknown-unknown"] {
            let answer = act(nobody, path, why);
            assert!(matches!(status(&answer), "401" | "403"), "{answer}");
        }
        let done = body(&act(OPERATOR, path, why));
        assert_eq!((&done["done"], &done["text"]), (&true.into(), &said.into()));
    }
    assert_eq!(
        *live.hands.0.lock().unwrap(),
        ["cancel 31", "reclaim 31", "kill 31"]
    );
    let not = |path: &str| body(&act(OPERATOR, path, "{}"));
    assert_eq!(
        not("/v1/clients/0/kill")["text"],
        "client 0 is not there any more"
    );
    let idle = not("/v1/leases/1/cancel");
    assert_eq!(idle["done"], false);
    assert!(
        idle["text"]
            .as_str()
            .unwrap()
            .ends_with("runs no statement"),
        "{idle}"
    );
    for bad in ["xyz", "-1", "0x", "11111111111111111", "%31"] {
        let answer = act(OPERATOR, &format!("/v1/clients/{bad}/kill"), "{}");
        assert!(matches!(status(&answer), "400" | "404"), "{bad}: {answer}");
    }
    assert_eq!(
        status(&act(OPERATOR, "/v1/pools/pause", "{}")),
        "400",
        "all is said, not left out"
    );
    let gone = act(OPERATOR, "/v1/pools/pause", "{\"database\":\"gone\"}");
    assert_eq!(status(&gone), "404");
    for (path, database) in [("pause", "shop"), ("resume", "")] {
        let ask = format!("{{\"database\":\"{database}\",\"reason\":\"r\"}}");
        let done = body(&act(ADMIN, &format!("/v1/pools/{path}"), &ask));
        assert_eq!(done["done"], true);
    }
    let told = |r: &events::sample::Record| {
        let actions = r.markers.iter().filter(|m| m.kind == MarkerKind::Action);
        let told = actions.map(|m| format!("{} | {} | {}", m.subject, m.text, m.actor));
        told.collect::<Vec<_>>()
    };
    let told = live.measures.look(told);
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(
        told[0],
        "cou?[2Jpons | the statement of client 1f (shop/web, cou?[2Jpons) was cancelled: locks? all | operator@127.0.0.1 (anna)"
    );
    assert_eq!(
        told[4],
        " | all databases: connections are lent again: r | admin@127.0.0.1"
    );
}
