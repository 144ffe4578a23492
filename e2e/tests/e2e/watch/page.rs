//! The live page in a real browser, before a real pooler and a real PostgreSQL.
//!
//! The story is told by `drivers/page.mjs`, in one browser: what each view shows,
//! what a person does from it. This side is the hands: clients, the settings
//! file, commands, the pooler's end. Lines that begin with `?` are its orders.

use super::{TOKEN, Watched};
use crate::common::{server, skip};
use plimsoll_e2e::raw::{Client, Error, Target};
use plimsoll_e2e::sandbox::{Dir, RunAs, free_port, signal, until};
use plimsoll_e2e::server::{PASSWORD, program};
use plimsoll_e2e::toolchain::{browser_modules, chromium, programs};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest silence of the browser, and longest story; on a machine of its own it takes half a minute.
const SILENCE: Duration = Duration::from_secs(90);
const STORY: Duration = Duration::from_secs(240);
const VIEWER: &str = "a viewer's token of the tests";
const ADMIN: &str = "an admin's token of the tests";
/// Connections of the pool that runs full.
const FULL: u32 = 4;

/// Whoever does at the pooler what the story asks for.
struct Hands {
    watched: Watched,
    /// A second pooler, that shows nothing without a token.
    locked: Watched,
    clients: BTreeMap<String, Client>,
    dir: Dir,
}

/// The channel of one of these, on this machine alone, where no key is needed.
fn section(fleet: &[u16], own: u16) -> String {
    let peers: Vec<String> = fleet.iter().map(|p| format!("\"127.0.0.1:{p}\"")).collect();
    let peers = peers.join(", ");
    format!("[fleet]\nlisten = \"127.0.0.1:{own}\"\npeers = [{peers}]\n")
}

/// Another place for tokens, and a pool that is wide enough for two pages of leases.
fn settings(dir: &Path, fleet: &[u16]) -> (String, String) {
    for (name, secret) in [("viewer", VIEWER), ("admin", ADMIN), ("pw", PASSWORD)] {
        std::fs::write(dir.join(name), secret).expect("written");
    }
    let at = dir.display();
    let channel = section(fleet, fleet[0]);
    let tokens =
        format!("[api.tokens]\nviewer_file = \"{at}/viewer\"\nadmin_file = \"{at}/admin\"\n");
    let more = format!(
        "{channel}[timeouts]\nquery_wait = \"5min\"\n[guards]\nreclaim = \"observe\"\n\
         [notify.note-pad]\nkind = \"command\"\ncommand = [\"/usr/bin/tee\", \"-a\", \"{at}/notified\"]\n\
         [database.wide]\nhost = \"127.0.0.1\"\nport = {}\ndbname = \"app\"\nuser = \"postgres\"\n\
         password_file = \"{at}/pw\"\npool_size = 110\n",
        server().port(),
    );
    (tokens, more)
}

impl Hands {
    fn start() -> Option<Hands> {
        let dir = Dir::new("page", RunAs::myself());
        // This one, the other, and one that is not there.
        let fleet = [free_port(), free_port(), free_port()];
        let (tokens, more) = settings(dir.path(), &fleet);
        let other = [
            ("[api.tokens]\n", tokens.as_str()),
            ("line = 60", "line = 130"),
            // A change that serves has proved itself soon.
            ("\"store\"", "\"store\"\nwatch = \"1s\""),
            // The two are not alike on purpose, and the story begins without an alert.
            (
                "grace = \"2s\"",
                "grace = \"2s\"\nsilence = [\"PlimsollFleetSplitSettings\"]",
            ),
        ];
        let watched = Watched::start_as(FULL, &more, None, &other)?;
        let none = format!("anonymous = \"none\"\n{tokens}");
        let second = section(&fleet, fleet[1]);
        let locked = Watched::start_as(2, &second, None, &[("[api.tokens]\n", &none)])?;
        Some(Hands {
            watched,
            locked,
            clients: BTreeMap::new(),
            dir,
        })
    }

    /// Does what is asked; what came of it.
    fn act(&mut self, ask: &[String]) -> Result<Value, String> {
        let words: Vec<&str> = ask.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["login", name, database, application] => self.login(name, database, application),
            ["many", prefix, database, count] => {
                for n in 0..count.parse::<usize>().map_err(|e| e.to_string())? {
                    let name = format!("{prefix}-{n:03}");
                    self.login(&name, database, &name)?;
                    self.client(&name)?.query("begin").map_err(told)?;
                }
                Ok(Value::Null)
            }
            ["exhaust"] => self.exhaust(),
            ["leave", prefix] => {
                self.clients.retain(|name, _| !name.starts_with(prefix));
                Ok(Value::Null)
            }
            ["close", name] => Ok(json!(self.clients.remove(*name).is_some())),
            ["send", name, sql] => {
                let message = plimsoll_e2e::raw::message::query(sql);
                self.client(name)?.send(&message).map_err(told)?;
                Ok(Value::Null)
            }
            ["query", name, sql] => Ok(outcome(self.client(name)?.value(sql))),
            ["answer", name] => {
                let messages = self.client(name)?.read_to_ready().map_err(told)?;
                let rows = plimsoll_e2e::raw::rows(messages);
                let first = rows.map(|rows| rows.into_iter().flatten().next().unwrap_or_default());
                Ok(outcome(first))
            }
            ["ready", name] => {
                let messages = self.client(name)?.read_to_ready().map_err(told)?;
                let error = messages.iter().find(|m| m.tag == b'E');
                Ok(json!(
                    error.map_or(String::new(), |m| m.fields().code().into())
                ))
            }
            ["end", name] => {
                let mut client = self.clients.remove(*name).ok_or("no such client")?;
                let messages = client.read_to_end().map_err(told)?;
                let error = messages.iter().rev().find(|m| m.tag == b'E');
                Ok(json!(
                    error.map_or(String::new(), |m| m.fields().code().into())
                ))
            }
            ["silent", name, ms] => {
                let patience = Duration::from_millis(ms.parse().map_err(|_| "no number")?);
                let heard = self.client(name)?.read_within(patience).map_err(told)?;
                Ok(json!(heard.is_none()))
            }
            ["kill"] => {
                self.watched.process.signal("KILL");
                self.watched.process.wait("the pooler's end");
                Ok(Value::Null)
            }
            others => self.administer(others),
        }
    }

    fn client(&mut self, name: &str) -> Result<&mut Client, String> {
        let client = self.clients.get_mut(name);
        client.ok_or_else(|| format!("no client {name}"))
    }

    fn login(&mut self, name: &str, database: &str, application: &str) -> Result<Value, String> {
        let target = Target::tcp("127.0.0.1", self.watched.port, database, "app");
        let client = Client::login(&target.parameter("application_name", application));
        self.clients.insert(name.into(), client.map_err(told)?);
        Ok(Value::Null)
    }

    /// All connections of a pool are held, and others wait.
    fn exhaust(&mut self) -> Result<Value, String> {
        for n in 0..FULL + 2 {
            let name = format!("basket-{n}");
            self.login(&name, "app", &name)?;
            let message = plimsoll_e2e::raw::message::query("begin");
            self.client(&name)?.send(&message).map_err(told)?;
            if n < FULL {
                self.client(&name)?.read_to_ready().map_err(told)?;
            }
        }
        Ok(Value::Null)
    }

    /// Commands, the settings file, the log, a second pooler.
    fn administer(&mut self, words: &[&str]) -> Result<Value, String> {
        let file = self.watched.dir.path().join("plimsoll.toml");
        let text = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
        match words {
            ["say", arguments @ ..] => {
                let (code, text) = self.watched.say(arguments);
                Ok(json!({ "code": code, "text": text }))
            }
            ["shell", command] => shell(command),
            ["log"] => Ok(json!(self.watched.log())),
            ["file"] => Ok(json!(text)),
            ["notified"] => {
                let told = std::fs::read_to_string(self.dir.path().join("notified"));
                Ok(json!(told.unwrap_or_default()))
            }
            ["edit", from, to] if text.contains(from) => {
                std::fs::write(&file, text.replace(from, to)).map_err(|e| e.to_string())?;
                Ok(Value::Null)
            }
            ["apply", from, to] if text.contains(from) => {
                super::outages::apply(&self.watched, from, to);
                Ok(Value::Null)
            }
            ["locked"] => Ok(json!(self.locked.api.to_string())),
            _ => Err("nobody knows how".into()),
        }
    }
}

fn told(error: Error) -> String {
    error.to_string()
}

fn outcome(value: Result<String, Error>) -> Value {
    match value {
        Ok(value) => json!({ "code": "", "value": value }),
        // A statement without rows has no value.
        Err(Error::Unexpected(_)) => json!({ "code": "", "value": "" }),
        Err(error) => json!({ "code": error.code(), "value": error.to_string() }),
    }
}

/// A command as a person would paste it.
fn shell(command: &str) -> Result<Value, String> {
    let psql = program("psql");
    let path = std::env::var("PATH").unwrap_or_default();
    let places = psql
        .parent()
        .map_or(path.clone(), |dir| format!("{}:{path}", dir.display()));
    let output = Command::new("sh")
        .args(["-c", command])
        .env("PATH", places)
        .output();
    let output = output.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    match output.status.success() {
        true => Ok(json!(text)),
        false => Err(text),
    }
}

/// The program that drives the browser; the browser ends with it.
struct Driver {
    child: Child,
    lines: Receiver<String>,
}

impl Driver {
    fn start(api: u16, modules: &Path, chromium: &Path, errors: &Path) -> Driver {
        let tokens = json!({ "viewer": VIEWER, "operator": TOKEN, "admin": ADMIN });
        let errors = std::fs::File::create(errors).expect("created");
        let mut child = Command::new("node")
            .arg(programs().join("page.mjs"))
            .env("PLIMSOLL_PAGE", format!("http://127.0.0.1:{api}"))
            .env("PLIMSOLL_TOKENS", tokens.to_string())
            .env("PLIMSOLL_BROWSER_MODULES", modules)
            .env("PLIMSOLL_CHROMIUM", chromium)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("node runs");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Driver { child, lines }
    }

    /// The story to its end; what was told, and whether all of it was good.
    fn story(&mut self, hands: &mut Hands) -> (String, bool) {
        let (mut said, begun) = (String::new(), Instant::now());
        // Closed output is its end.
        while let Some(line) = self.line(begun, &mut said) {
            if let Some(order) = line.strip_prefix("? ") {
                let ask: Vec<String> = serde_json::from_str(order).expect("an order");
                let answer = match hands.act(&ask) {
                    Ok(done) => json!({ "ok": done }),
                    Err(error) => json!({ "error": error }),
                };
                let stdin = self.child.stdin.as_mut().expect("piped");
                let _ = writeln!(stdin, "{answer}");
                continue;
            }
            eprintln!("{line}");
            said.push_str(&line);
            said.push('\n');
        }
        let status = until("the browser's end", || self.child.try_wait().ok().flatten());
        (said, status.success())
    }

    fn line(&self, begun: Instant, said: &mut String) -> Option<String> {
        let left = STORY.saturating_sub(begun.elapsed()).min(SILENCE);
        match self.lines.recv_timeout(left) {
            Ok(line) => Some(line),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                signal(self.child.id(), "KILL");
                said.push_str("FAIL: it says nothing more\n");
                None
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Every view and every action, by what they show and by what they do.
#[test]
fn the_page_in_a_browser() {
    let found = browser_modules().and_then(|modules| Ok((modules, chromium()?)));
    let (modules, chromium) = match found {
        Ok(found) => found,
        Err(why) => return skip("the live page in a browser", &why),
    };
    let Some(mut hands) = Hands::start() else {
        return;
    };
    let begun = Instant::now();
    until("a second", || (hands.watched.seconds() > 0).then_some(()));
    let errors = hands.dir.path().join("errors");
    let mut driver = Driver::start(hands.watched.api, &modules, &chromium, &errors);
    let (said, good) = driver.story(&mut hands);
    let errors = std::fs::read_to_string(errors).unwrap_or_default();
    let checks = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(
        good && checks > 0,
        "{said}{errors}\n{}",
        hands.watched.log()
    );
    eprintln!("{checks} checks in {:.1} s", begun.elapsed().as_secs_f32());
}
