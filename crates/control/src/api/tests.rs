//! The API over a real listener and raw sockets: roles, rude clients, bounds.

use super::*;
use crate::server::Health;
use events::snapshot::Snapshot;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex};

const VIEWER: &str = "viewer-viewer-viewer";
const OPERATOR: &str = "operator-operator-1";
const ADMIN: &str = "admin-admin-admin-1";

struct Fake;

impl Source for Fake {
    fn snapshot(&self, _: bool) -> Arc<Snapshot> {
        Arc::default()
    }

    fn live(&self) -> Health {
        Health::Good
    }

    fn ready(&self) -> Health {
        Health::Bad("draining".to_owned())
    }
}

/// Handlers wait here until the test lets them go: how many came, and whether they may.
static GATE: (Mutex<(usize, bool)>, Condvar) = (Mutex::new((0, false)), Condvar::new());

fn told(_: &Parts, call: &Call) -> Result<Answer, Failure> {
    let body: Value = call.json()?;
    let actor = call.actor.claiming("anna@shop");
    Ok(Answer::json(
        &serde_json::json!({ "actor": actor, "body": body }),
    ))
}

fn waits(_: &Parts, _: &Call) -> Result<Answer, Failure> {
    let (gate, changed) = &GATE;
    let mut gate = gate.lock().unwrap();
    gate.0 += 1;
    changed.notify_all();
    drop(changed.wait_while(gate, |gate| !gate.1).unwrap());
    Ok(Answer::json(&"done"))
}

const fn route(verb: Verb, path: &'static str, role: config::ApiRole, handle: Handler) -> Route {
    let body = match verb {
        Verb::Get => None,
        Verb::Post => Some(Body::of::<Value>()),
    };
    Route {
        verb,
        path,
        role,
        summary: "A test's.",
        parameters: &[],
        body,
        answer: Shape::of::<Value>(),
        handle,
    }
}

/// A pooler without any part that may be missing.
fn parts() -> Parts {
    Parts {
        source: Arc::new(Fake),
        settings: None,
        measures: None,
        lookout: None,
        notify: None,
        incidents: None,
        feed: None,
        hands: None,
        director: None,
        veil: Veil::default(),
        about: Arc::new(About {
            instance: "shop-1:7".to_owned(),
            fleet: "shop".to_owned(),
            started: Instant::now(),
        }),
    }
}

struct Server {
    api: Option<Api>,
    figures: Arc<Figures>,
    settings: Arc<Mutex<config::Api>>,
    directory: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(api) = self.api.take() {
            api.stop();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn server(name: &str) -> Server {
    server_of(name, parts(), Bounds::default())
}

fn server_of(name: &str, parts: Parts, bounds: Bounds) -> Server {
    use config::ApiRole::{Operator, Viewer};
    let directory =
        std::env::temp_dir().join(format!("plimsoll-api-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let secret = |text: &str| config::ApiToken {
        secret: Some(config::Secret(text.to_owned())),
        ..config::ApiToken::default()
    };
    let settings = Arc::new(Mutex::new(config::Api {
        hosts: vec!["pool.example".to_owned()],
        viewer: secret(VIEWER),
        operator: secret(OPERATOR),
        admin: secret(ADMIN),
        ..config::Api::default()
    }));
    let figures = Arc::new(Figures::default());
    let access = Arc::clone(&settings);
    let options = Options {
        socket: Some(directory.join("api.sock")),
        listen: Some(([127, 0, 0, 1], 0).into()),
        parts,
        access: Arc::new(move || access.lock().unwrap().clone()),
        figures: Arc::clone(&figures),
    };
    let mut all = routes();
    all.extend([
        route(Verb::Post, "/v1/test/told", Operator, told),
        route(Verb::Get, "/v1/test/waits", Viewer, waits),
        route(Verb::Get, "/v1/test/panics", Viewer, |_, _| {
            panic!("a bug of a handler")
        }),
    ]);
    let api = start_with(options, all, bounds).unwrap();
    Server {
        api: Some(api),
        figures,
        settings,
        directory,
    }
}

impl Server {
    fn api(&self) -> &Api {
        self.api.as_ref().unwrap()
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.api().address().unwrap()).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        socket
    }

    /// The whole answer to these bytes; empty when the connection just ended.
    fn raw(&self, request: &str) -> String {
        exchange(self.connect(), request)
    }

    /// A request with the usual Host; `lines` are further headers.
    fn ask(&self, start: &str, lines: &[&str]) -> String {
        let mut request = format!("{start} HTTP/1.1\r\nHost: localhost\r\n");
        for line in lines {
            request.push_str(&format!("{line}\r\n"));
        }
        self.raw(&format!("{request}\r\n"))
    }

    fn with(&self, token: &str, start: &str) -> String {
        self.ask(start, &[&format!("Authorization: Bearer {token}")])
    }

    fn post(&self, token: &str, path: &str, kind: &str, body: &str) -> String {
        self.raw(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

fn exchange(mut socket: impl Read + Write, request: &str) -> String {
    let _ = socket.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

fn body(answer: &str) -> Value {
    let text = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {answer}"))
}

/// A demonstration of nothing.
#[derive(Default)]
struct Pressed(Mutex<Vec<String>>);

impl Director for Pressed {
    fn state(&self) -> DemoState {
        DemoState {
            running: self.0.lock().unwrap().last().cloned().unwrap_or_default(),
            ..DemoState::default()
        }
    }

    fn start(&self, number: &str, guarded: bool) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("{number} {guarded}"));
        Ok(())
    }

    fn stop(&self) {
        self.0.lock().unwrap().push(String::new());
    }
}

#[test]
fn only_a_demonstration_has_buttons_and_only_operators_press_them() {
    let plain = server("plain");
    assert_eq!(status(&plain.with(VIEWER, "GET /v1/demo")), "404");
    let all = Parts {
        director: Some(Arc::new(Pressed::default())),
        ..parts()
    };
    let demo = server_of("demo", all, Bounds::default());
    assert_eq!(status(&demo.with(VIEWER, "GET /v1/demo")), "200");
    let press = |token: &str, body: &str| demo.post(token, "/v1/demo", "application/json", body);
    let refused = press(VIEWER, r#"{"number":"004"}"#);
    assert_eq!(status(&refused), "403", "{refused}");
    let begun = press(OPERATOR, r#"{"number":"004","guarded":true}"#);
    assert_eq!(body(&begun)["running"], "004 true", "{begun}");
    assert_eq!(body(&press(OPERATOR, r#"{"number":""}"#))["running"], "");
    let odd = press(OPERATOR, r#"{"number":"004","guard":true}"#);
    assert_eq!(status(&odd), "400", "a mistyped key is no order: {odd}");
}

#[test]
fn a_drawn_veil_hides_conclusions_until_it_is_lifted() {
    let veil = Veil::drawn();
    let options = crate::measure::Options::default();
    let all = Parts {
        measures: Some(crate::measure::Measures::new(&options)),
        lookout: Some(Arc::default()),
        incidents: Some(Incidents::default()),
        veil: veil.clone(),
        ..parts()
    };
    let server = server_of("veil", all, Bounds::default());
    let verdict = || body(&server.with(VIEWER, "GET /v1/diagnosis"));
    // "Calm" would be a conclusion too, and a wrong one.
    assert_eq!(verdict()["state"], "unknown");
    let withheld = |v: &Value| {
        v["summary"]
            .as_str()
            .is_some_and(|s| s.contains("withheld"))
    };
    assert!(withheld(&verdict()));
    assert_eq!(status(&server.with(VIEWER, "GET /v1/incidents")), "503");
    veil.lift();
    assert!(!withheld(&verdict()));
    assert_eq!(status(&server.with(VIEWER, "GET /v1/incidents")), "200");
}

#[test]
fn a_good_request_is_answered() {
    let server = server("good");
    let answer = server.with(VIEWER, "GET /v1/status");
    assert_eq!(status(&answer), "200", "{answer}");
    let said = body(&answer);
    assert_eq!(said["instance"], "shop-1:7");
    assert_eq!(
        (&said["live"], &said["ready"]),
        (&true.into(), &false.into())
    );
    assert_eq!(said["ready_reason"], "draining");
    assert_eq!(said["role"], "viewer");
    for header in [
        "content-type: application/json",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
        "connection: close",
    ] {
        assert!(answer.contains(header), "{header}: {answer}");
    }
    assert!(!answer.to_ascii_lowercase().contains("access-control"));
    let head = server.with(VIEWER, "HEAD /v1/status");
    assert_eq!(status(&head), "200");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    let document = body(&server.with(VIEWER, "GET /v1/openapi.json"));
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        server.figures.answers(),
        [("2xx", 3), ("4xx", 0), ("5xx", 0)]
    );
}

#[test]
fn each_route_takes_its_role_and_those_above() {
    let server = server("roles");
    let tokens = [
        (config::ApiRole::Viewer, VIEWER),
        (config::ApiRole::Operator, OPERATOR),
        (config::ApiRole::Admin, ADMIN),
    ];
    for route in routes() {
        let path = route.path.replace("{id}", "1").replace("{client}", "1f");
        let path = path.replace("{chapter}", "leak");
        for (role, token) in tokens {
            let answer = match route.verb {
                Verb::Get => server.with(token, &format!("GET {path}")),
                Verb::Post => server.post(token, &path, "application/json", "{}"),
            };
            let what = format!("{} as {}: {answer}", route.path, role.word());
            assert_eq!(status(&answer) == "403", role < route.role, "{what}");
            assert_ne!(status(&answer), "404", "{what}");
            // No keeper runs here, and nothing is measured: their routes say so.
            let alone = [
                "/v1/status",
                "/v1/openapi",
                "/v1/playbook",
                "/v1/test",
                "/v1/whoami",
            ];
            let alone = alone.iter().any(|path| route.path.starts_with(path));
            // A release without a name is refused before that.
            let refused = status(&answer) == "400";
            let absent = !alone && !refused && role >= route.role;
            assert_eq!(status(&answer) == "503", absent, "{what}");
        }
        let nobody = server.ask(&format!("{} {path}", route.verb.word()), &[]);
        assert_eq!(status(&nobody), "401", "{nobody}");
    }
    assert!(server.figures.refused(Refused::Role) > 0);
}

#[test]
fn who_asks_is_handed_to_the_handler() {
    let server = server("actor");
    let answer = server.post(
        OPERATOR,
        "/v1/test/told",
        "application/json; charset=utf-8",
        "[7]",
    );
    let said = body(&answer);
    assert_eq!(said["actor"], "operator@127.0.0.1 (anna@shop)");
    assert_eq!(said["body"], serde_json::json!([7]));
    let socket = || UnixStream::connect(server.api().socket().unwrap()).unwrap();
    let local = "POST /v1/test/told HTTP/1.1\r\nHost: anything\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n7";
    assert_eq!(body(&exchange(socket(), local))["actor"], "anna@shop");
    let answer = exchange(socket(), "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(body(&answer)["role"], "admin");
    let page = "GET /v1/status HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\n\r\n";
    assert_eq!(status(&exchange(socket(), page)), "403");
}

#[test]
fn a_token_that_changes_holds_at_once() {
    let server = server("rotation");
    let new = "another-another-another";
    assert_eq!(status(&server.with(VIEWER, "GET /v1/status")), "200");
    assert_eq!(status(&server.with(new, "GET /v1/status")), "401");
    server.settings.lock().unwrap().viewer.secret = Some(config::Secret(new.to_owned()));
    assert_eq!(status(&server.with(new, "GET /v1/status")), "200");
    assert_eq!(status(&server.with(VIEWER, "GET /v1/status")), "401");
}

#[test]
fn unknown_tokens_are_slowed_down_and_good_ones_are_not() {
    let server = server("tokens");
    let missing = server.ask("GET /v1/status", &[]);
    assert_eq!(status(&missing), "401");
    assert!(
        missing.contains("www-authenticate: Bearer realm=\"plimsoll\"\r\n"),
        "{missing}"
    );
    let mut last = String::new();
    for _ in 0..11 {
        last = server.with("guess-guess-guess-guess", "GET /v1/status");
        assert!(!last.contains("guess"), "{last}");
    }
    assert_eq!(status(&last), "429", "{last}");
    assert!(last.contains("retry-after: "), "{last}");
    assert_eq!(status(&server.with(VIEWER, "GET /v1/status")), "200");
    assert_eq!(server.figures.refused(Refused::Token), 11);
    assert_eq!(server.figures.refused(Refused::Throttled), 1);
}

#[test]
fn what_a_foreign_page_could_send_is_refused() {
    let server = server("foreign");
    let token = format!("Authorization: Bearer {ADMIN}");
    let from = |host: &str, lines: &str| {
        server.raw(&format!(
            "GET /v1/status HTTP/1.1\r\nHost: {host}\r\n{token}\r\n{lines}\r\n"
        ))
    };
    assert_eq!(status(&from("127.0.0.1:80", "")), "200");
    assert_eq!(status(&from("pool.example", "")), "200");
    assert_eq!(
        status(&from("localhost", "Origin: http://localhost\r\n")),
        "200"
    );
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "pool.example.evil",
        "10.0.0.1",
    ] {
        assert_eq!(status(&from(host, "")), "421", "{host}");
    }
    assert_eq!(status(&from("localhost", "Host: evil.example\r\n")), "400");
    let none = format!("GET /v1/status HTTP/1.0\r\n{token}\r\n\r\n");
    assert_eq!(status(&server.raw(&none)), "400");
    let absolute =
        format!("GET http://localhost/v1/status HTTP/1.1\r\nHost: localhost\r\n{token}\r\n\r\n");
    assert_eq!(status(&server.raw(&absolute)), "421");
    for line in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://localhost:1\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    ] {
        let answer = from("localhost", line);
        assert_eq!(status(&answer), "403", "{line}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("access-control"));
    }
    for kind in [
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/plain",
        "",
    ] {
        let answer = server.post(ADMIN, "/v1/test/told", kind, "{}");
        assert_eq!(status(&answer), "415", "{kind}: {answer}");
    }
}

#[test]
fn tricks_with_paths_and_methods_lead_nowhere() {
    let server = server("paths");
    for path in [
        "//v1/status",
        "/v1//status",
        "/v1/status/",
        "/v1/./status",
        "/v1/x/../status",
        "/v1/%73tatus",
        "/v1%2fstatus",
        "/v1/status%00",
        "/v1/status;a=b",
        "/v1/../../etc/passwd",
        "/v1/settings/versions/..%2f..%2fetc",
    ] {
        let answer = server.with(ADMIN, &format!("GET {path}"));
        assert_eq!(status(&answer), "404", "{path}: {answer}");
        assert!(!answer.contains("passwd"));
    }
    for path in ["/v1/status\0", "/v1/sta tus", "/v1/\u{1b}[2J"] {
        let answer = server.with(ADMIN, &format!("GET {path}"));
        assert!(
            matches!(status(&answer), "400" | "404" | "none"),
            "{path:?}: {answer}"
        );
    }
    for start in [
        "TRACE /v1/status",
        "OPTIONS /v1/status",
        "OPTIONS *",
        "CONNECT localhost:80",
        "PUT /v1/status",
        "DELETE /v1/settings",
        "PATCH /nothing",
        "BREW /v1/status",
        "POST /v1/status",
        "GET /v1/settings/apply",
    ] {
        let answer = server.with(ADMIN, start);
        assert_eq!(status(&answer), "405", "{start}: {answer}");
        assert!(answer.contains("allow: "), "{start}: {answer}");
    }
    for (query, said) in [
        ("?most=x", "400"),
        ("?x=1", "400"),
        ("?most=%00", "400"),
        ("?most=7", "503"),
    ] {
        let answer = server.with(ADMIN, &format!("GET /v1/settings/history{query}"));
        assert_eq!(status(&answer), said, "{query}: {answer}");
    }
    assert_eq!(
        status(&server.with(VIEWER, "GET /v1/settings/versions/1x")),
        "400"
    );
}

#[test]
fn bodies_are_bounded() {
    let server = server("bodies");
    let path = "/v1/test/told";
    let json = "application/json";
    let large = format!("\"{}\"", "a".repeat(65 << 10));
    assert_eq!(status(&server.post(ADMIN, path, json, &large)), "413");
    let start = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\nContent-Type: {json}\r\n"
    );
    let stated = server.raw(&format!("{start}Content-Length: 99999999999\r\n\r\n"));
    assert_eq!(status(&stated), "413", "{stated}");
    let chunk = format!("fff\r\n{}\r\n", "1".repeat(0xfff));
    let chunks = format!(
        "{start}Transfer-Encoding: chunked\r\n\r\n{}",
        chunk.repeat(20)
    );
    let endless = server.raw(&chunks);
    // It may hang up while the rest is still on its way.
    assert!(matches!(status(&endless), "413" | "none"), "{endless}");
    for bad in ["", "{", "nul", "{\"a\":1}}", "\"\u{1}\""] {
        let answer = server.post(ADMIN, path, json, bad);
        assert_eq!(status(&answer), "400", "{bad}: {answer}");
    }
    let secret = server.post(
        ADMIN,
        "/v1/settings/apply",
        json,
        "{\"hunter2\":\"hunter2\"}",
    );
    assert_eq!(status(&secret), "400");
    assert!(!secret.contains("hunter2"), "{secret}");
    let deep = server.post(ADMIN, path, json, &"[".repeat(60_000));
    assert_eq!(status(&deep), "400", "{deep}");
    // Nobody reads a body of whom it does not know.
    let start = "POST /v1/settings/apply HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 40000000\r\n\r\n";
    assert_eq!(status(&server.raw(start)), "401");
    let smuggled = server.raw(&format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/status HTTP/1.1\r\n\r\n"
    ));
    assert!(smuggled.matches("HTTP/1.1").count() <= 1, "{smuggled}");
}

#[test]
fn a_body_that_does_not_come_is_waited_for_within_a_bound() {
    let server = server("slow");
    let mut socket = server.connect();
    let start = format!(
        "POST /v1/test/told HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[1"
    );
    socket.write_all(start.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    assert_eq!(status(&answer), "408", "{answer}");
    assert_eq!(server.figures.refused(Refused::SlowBody), 1);
}

#[test]
fn heads_are_bounded() {
    let server = server("heads");
    let many: Vec<String> = (0..100).map(|i| format!("A{i}: b")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = format!("A: {}", "b".repeat(20_000));
    let path = format!("GET /{}", "a".repeat(20_000));
    for answer in [
        server.ask("GET /v1/status", &many),
        server.ask("GET /v1/status", &[&long]),
        server.ask(&path, &[]),
        server.raw("\x16\x03\x01\x02\0nonsense\r\n\r\n"),
    ] {
        assert!(
            matches!(status(&answer), "431" | "414" | "400" | "none"),
            "{answer}"
        );
    }
    assert_eq!(status(&server.with(VIEWER, "GET /v1/status")), "200");
}

#[test]
fn silent_peers_give_way_and_working_ones_do_not() {
    let server = server("places");
    let start = format!(
        "GET /v1/test/waits HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {VIEWER}\r\n\r\n"
    );
    let mut working = server.connect();
    working.write_all(start.as_bytes()).unwrap();
    let gate = GATE.0.lock().unwrap();
    drop(GATE.1.wait_while(gate, |gate| gate.0 == 0).unwrap());
    let silent: Vec<_> = (0..CONNECTIONS_MAX * 2).map(|_| server.connect()).collect();
    assert_eq!(status(&server.with(VIEWER, "GET /v1/status")), "200");
    assert!(matches!((&silent[0]).read(&mut [0; 1]), Ok(0) | Err(_)));
    assert!(server.figures.refused(Refused::Connections) > 0);
    // As many as there are handlers, and they do not keep the unix socket from its own.
    let mut more: Vec<_> = (0..HANDLERS_MAX + 4).map(|_| server.connect()).collect();
    for socket in &mut more {
        socket.write_all(start.as_bytes()).unwrap();
    }
    let local = UnixStream::connect(server.api().socket().unwrap()).unwrap();
    let answer = exchange(local, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(status(&answer), "200");
    GATE.0.lock().unwrap().1 = true;
    GATE.1.notify_all();
    let mut answer = String::new();
    let _ = working.read_to_string(&mut answer);
    assert_eq!(status(&answer), "200", "{answer}");
}

#[test]
fn a_panic_of_a_handler_ends_its_request_only() {
    let server = server("panic");
    let answer = server.with(VIEWER, "GET /v1/test/panics");
    assert_eq!(status(&answer), "500", "{answer}");
    assert!(!answer.contains("a bug"), "{answer}");
    assert_eq!(status(&server.with(VIEWER, "GET /v1/status")), "200");
}

#[test]
fn the_client_speaks_both_ways() {
    let server = server("client");
    let local = Client::new(server.api().socket().unwrap());
    assert_eq!(local.instance().unwrap().role, "admin");
    let url = format!("http://{}", server.api().address().unwrap());
    let remote = Client::tcp(&url, Some(&format!("{VIEWER}\n"))).unwrap();
    assert_eq!(remote.instance().unwrap().role, "viewer");
    assert!(!format!("{remote:?}").contains(VIEWER));
    let error = Client::tcp(&url, Some("wrong-wrong-wrong-wrong"))
        .unwrap()
        .instance();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("--token-file or PLIMSOLL_TOKEN"), "{error}");
    // Without one it is as the settings say.
    let anybody = Client::tcp(&url, None).unwrap();
    let error = anybody.instance().unwrap_err().to_string();
    assert!(error.contains("this needs a token"), "{error}");
    server.settings.lock().unwrap().anonymous = config::Anonymous::Viewer;
    assert_eq!(anybody.instance().unwrap().role, "viewer");
    let error = remote.status().unwrap_err().to_string();
    assert!(error.contains("no keeper of settings"), "{error}");
    for (url, token, said) in [
        ("https://127.0.0.1:1", VIEWER, "TLS is not spoken here"),
        ("http://10.0.0.1:9931", VIEWER, "in clear text"),
        ("http://localhost", VIEWER, "write http://127.0.0.1:PORT"),
        ("localhost:9931", "", "set PLIMSOLL_TOKEN"),
        ("localhost:9931", "a\nb", "there is no token"),
    ] {
        let error = Client::tcp(url, Some(token)).unwrap_err();
        assert!(error.contains(said), "{url}: {error}");
    }
}

#[test]
fn a_place_that_is_taken_does_not_keep_it_from_the_other() {
    let first = server("taken");
    let taken = first.api().address();
    let socket = first.directory.join("second.sock");
    let options = Options {
        socket: Some(socket.clone()),
        listen: taken,
        parts: parts(),
        access: Arc::new(config::Api::default),
        figures: Arc::default(),
    };
    let second = start(options).unwrap();
    assert_eq!(second.address(), None);
    assert!(Client::new(&socket).instance().is_ok());
    second.stop();
    assert!(!socket.exists());
}

mod load;
mod page;
mod statements;
