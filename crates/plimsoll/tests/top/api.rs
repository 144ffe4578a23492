//! A pooler's API that is made up: just enough HTTP on a unix socket.

use control::live::{LeaseLine, LeaseTable, Live, PoolLine, PoolTable};
use diagnose::{Cause, Finding, State, Subject, Verdict};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// 2026-11-21 14:10:05 UTC.
const NOW_MS: i64 = 1_795_270_205_000;

#[derive(Default)]
struct Inner {
    ends: AtomicBool,
    hangs: AtomicBool,
    refuses: AtomicBool,
    actions: Mutex<Vec<String>>,
    /// Connections that nobody answers.
    held: Mutex<Vec<UnixStream>>,
}

/// It listens until it is dropped.
pub struct Api {
    directory: PathBuf,
    state: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

impl Api {
    /// Listens in a directory of its own.
    pub fn start(name: &str) -> Api {
        let name = format!("plimsoll-top-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).expect("a directory of our own");
        let mut api = Api {
            directory,
            state: Arc::default(),
            thread: None,
        };
        api.again();
        api
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("api.sock")
    }

    /// What was asked to be done: path and body.
    pub fn actions(&self) -> Vec<String> {
        self.state.actions.lock().expect("alive").clone()
    }

    /// From now on it refuses actions.
    pub fn refuse(&self) {
        self.state.refuses.store(true, Ordering::SeqCst);
    }

    /// From now on it takes questions and answers none.
    pub fn hang(&self) {
        self.state.hangs.store(true, Ordering::SeqCst);
    }

    /// It is gone.
    pub fn stop(&mut self) {
        self.state.ends.store(true, Ordering::SeqCst);
        // Wakes it.
        let _ = UnixStream::connect(self.socket());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(self.socket());
    }

    /// It is there again.
    pub fn again(&mut self) {
        self.state.ends.store(false, Ordering::SeqCst);
        let listener = UnixListener::bind(self.socket()).expect("a socket");
        let state = Arc::clone(&self.state);
        self.thread = Some(std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if state.ends.load(Ordering::SeqCst) {
                    return;
                }
                // Whoever asks may be gone already.
                let _ = answer(socket, &state);
            }
        }));
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all::<&Path>(&self.directory);
    }
}

fn answer(socket: UnixStream, state: &Inner) -> std::io::Result<()> {
    if state.hangs.load(Ordering::SeqCst) {
        state.held.lock().expect("alive").push(socket);
        return Ok(());
    }
    let mut reader = BufReader::new(socket.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if header.trim().is_empty() {
            break;
        }
        let header = header.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, said) = match line.starts_with("POST") {
        true => act(&path, &String::from_utf8_lossy(&body), state),
        false => read(&path),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        said.len()
    );
    let mut socket = socket;
    socket.write_all(head.as_bytes())?;
    socket.write_all(said.as_bytes())
}

fn act(path: &str, body: &str, state: &Inner) -> (&'static str, String) {
    if state.refuses.load(Ordering::SeqCst) {
        let refusal = serde_json::json!({
            "kind": "role", "lines": ["this needs the role operator"], "help": "use that role's token"
        });
        return ("403 Forbidden", refusal.to_string());
    }
    let mut actions = state.actions.lock().expect("alive");
    actions.push(format!("{path} {body}"));
    let text = "The statement of shop-web was cancelled.";
    let outcome = serde_json::json!({ "done": true, "text": text });
    ("200 OK", outcome.to_string())
}

fn read(path: &str) -> (&'static str, String) {
    let (route, query) = path.split_once('?').unwrap_or((path, ""));
    let said = match route {
        "/v1/live" => serde_json::to_string(&live(query)),
        "/v1/pools" => serde_json::to_string(&PoolTable {
            at_ms: NOW_MS,
            total: 1,
            rows: vec![pool()],
        }),
        "/v1/leases" => serde_json::to_string(&LeaseTable {
            at_ms: NOW_MS,
            total: 2,
            rows: leases(),
        }),
        _ => {
            let refusal =
                serde_json::json!({ "kind": "not_found", "lines": ["no such route"], "help": "" });
            return ("404 Not Found", refusal.to_string());
        }
    };
    ("200 OK", said.expect("JSON"))
}

fn live(query: &str) -> Live {
    let at_ms = query.strip_prefix("at_ms=").and_then(|at| at.parse().ok());
    let mut live = Live {
        at_ms: at_ms.unwrap_or(NOW_MS),
        past: at_ms.is_some(),
        instance: "shop-1:4711".to_owned(),
        version: "0.1.0".to_owned(),
        pools: vec![pool()],
        pools_total: 1,
        ..Live::default()
    };
    if !live.past {
        (live.leases, live.leases_total) = (leases(), 2);
    }
    live.totals.waiting = 12;
    live.verdict = Verdict {
        at_ms: live.at_ms,
        state: State::Hurt,
        summary: "12 clients of shop/app wait for a connection.".to_owned(),
        findings: vec![Finding {
            cause: Cause::SettingsChange,
            sure: 93,
            subject: Subject::default(),
            text: "The limit of shop/app was 40 and is 20.".to_owned(),
            figures: Vec::new(),
            change: None,
            next: Vec::new(),
        }],
        ..Verdict::default()
    };
    live
}

fn pool() -> PoolLine {
    PoolLine {
        database: "shop".to_owned(),
        user: "app".to_owned(),
        size: 20,
        used: 20,
        waiting: 12,
        standing: "waiting".to_owned(),
        ..PoolLine::default()
    }
}

fn leases() -> Vec<LeaseLine> {
    let lease = |client: &str, application: &str| LeaseLine {
        client: client.to_owned(),
        database: "shop".to_owned(),
        user: "app".to_owned(),
        application: application.to_owned(),
        state: "active".to_owned(),
        held_us: 5_000,
        statement: "SELECT * FROM orders".to_owned(),
        ..LeaseLine::default()
    };
    vec![lease("1a20", "shop-web"), lease("1a21", "shop-worker")]
}
