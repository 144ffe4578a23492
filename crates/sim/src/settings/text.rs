//! Texts of settings files: what people write, how it changes from one version
//! to the next, and what becomes of it when bytes go wrong.

use crate::rng::Rng;
use std::fmt::Write;

/// Sizes that people write.
const SIZES: [u32; 12] = [1, 2, 3, 5, 8, 10, 12, 20, 30, 50, 80, 120];
const NAMES: [&str; 4] = ["app", "jobs", "reports", "*"];
const USERS: [&str; 3] = ["anna", "carl", "web"];
const MODES: [&str; 4] = ["transaction", "session", "statement", "tranaction"];
const GUARDS: [&str; 4] = ["enforce", "observe", "off", "enforce"];
/// Bytes that a broken editor, disk or script leaves behind.
const BYTES: &[u8] = b"=\"[]#;\n\r\0\xff%0 9.-'{},\\";

/// A database as the settings name it.
#[derive(Clone, Debug)]
struct Entry {
    name: &'static str,
    host: u32,
    port: u32,
    /// 0: in a file, 1: in the settings themselves, 2: none.
    password: u32,
    size: Option<u32>,
    reserve: Option<u32>,
    wait: Option<u32>,
    max: Option<u32>,
}

/// What a settings file says, before it is written in either dialect.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// As pgbouncer.ini.
    pub ini: bool,
    size: Option<u32>,
    reserve: u32,
    line: u32,
    clients: u32,
    query_wait: u32,
    query: u32,
    idle: u32,
    mode: usize,
    auto_revert: usize,
    drift: usize,
    source: usize,
    restore: bool,
    watch: u32,
    listen: u32,
    workers: u32,
    prepared: u32,
    comment: u32,
    users: Vec<(&'static str, Option<u32>)>,
    databases: Vec<Entry>,
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.below(from.len() as u64) as usize]
}

fn maybe(rng: &mut Rng) -> Option<u32> {
    let size = *pick(rng, &SIZES);
    rng.permille(500).then_some(size)
}

impl Entry {
    fn new(rng: &mut Rng, name: &'static str) -> Entry {
        Entry {
            name,
            host: rng.below(3) as u32,
            port: 5432,
            password: *pick(rng, &[0, 0, 0, 0, 0, 0, 1, 2, 2, 2]),
            size: maybe(rng),
            reserve: None,
            wait: None,
            max: None,
        }
    }
}

impl Shape {
    /// A file that can be read.
    pub fn new(rng: &mut Rng, ini: bool) -> Shape {
        let databases = NAMES.iter().take(rng.range(1, 3) as usize);
        Shape {
            ini,
            size: Some(*pick(rng, &[10, 20, 30, 50])),
            reserve: 0,
            line: 200,
            clients: 1000,
            query_wait: 30,
            query: 0,
            idle: 600,
            mode: 0,
            auto_revert: 0,
            drift: 0,
            source: rng.below(4) as usize,
            restore: rng.permille(200),
            watch: *pick(rng, &[1, 5, 5, 20, 60]),
            listen: 6432,
            workers: 2,
            prepared: 200,
            comment: 0,
            users: Vec::new(),
            databases: databases.map(|name| Entry::new(rng, name)).collect(),
        }
    }

    /// The next version: some of it is other than before.
    pub fn changed(&self, rng: &mut Rng) -> Shape {
        let mut next = self.clone();
        for _ in 0..*pick(rng, &[1, 1, 1, 2, 3]) {
            next.edit(rng);
        }
        // Nobody leaves for long what needs a restart.
        if rng.permille(300) {
            (next.listen, next.workers) = (6432, 2);
        }
        next
    }

    fn edit(&mut self, rng: &mut Rng) {
        let size = *pick(rng, &SIZES);
        match rng.below(100) {
            0..30 => self.size = (!rng.permille(60)).then_some(size),
            30..36 => self.query_wait = *pick(rng, &[0, 1, 5, 30, 60]),
            36..40 => self.query = *pick(rng, &[0, 1, 10]),
            40..44 => self.line = *pick(rng, &[3, 60, 90, 200]),
            44..47 => self.clients = *pick(rng, &[10, 100, 1000, 5000]),
            47..50 => self.reserve = *pick(rng, &[0, 2, 5]),
            50..53 => self.mode = rng.below(4) as usize,
            53..57 => self.auto_revert = rng.below(4) as usize,
            57..61 => self.drift = rng.below(4) as usize,
            61..63 => self.source = rng.below(4) as usize,
            63..64 => self.restore = !self.restore,
            64..67 => self.watch = *pick(rng, &[1, 5, 20, 60]),
            67..69 => self.listen = *pick(rng, &[6432, 6433]),
            69..70 => self.workers = *pick(rng, &[2, 3]),
            70..75 => self.idle = *pick(rng, &[0, 60, 600]),
            75..77 => self.prepared = *pick(rng, &[0, 100, 200]),
            77..81 => self.comment += 1,
            81..84 => self.toggle_database(rng),
            84..87 => self.toggle_user(rng),
            _ => self.edit_database(rng),
        }
    }

    fn toggle_database(&mut self, rng: &mut Rng) {
        let name = *pick(rng, &NAMES);
        match self.databases.iter().position(|d| d.name == name) {
            Some(at) if self.databases.len() > 1 => drop(self.databases.remove(at)),
            Some(_) => {}
            None => self.databases.push(Entry::new(rng, name)),
        }
    }

    fn toggle_user(&mut self, rng: &mut Rng) {
        let name = *pick(rng, &USERS);
        match self.users.iter().position(|(known, _)| *known == name) {
            Some(at) => drop(self.users.remove(at)),
            None => self.users.push((name, maybe(rng))),
        }
    }

    fn edit_database(&mut self, rng: &mut Rng) {
        let at = rng.below(self.databases.len() as u64) as usize;
        let Some(database) = self.databases.get_mut(at) else {
            return;
        };
        match rng.below(8) {
            0..3 => database.size = maybe(rng),
            3 => database.host = rng.below(4) as u32,
            4 => database.port = *pick(rng, &[5432, 5433]),
            5 => database.password = *pick(rng, &[0, 0, 0, 0, 0, 0, 1, 2, 2, 2]),
            6 => database.wait = maybe(rng),
            _ => database.max = maybe(rng),
        }
        database.reserve = rng.permille(100).then_some(2);
    }

    /// As its dialect writes it. `secret`: what stands in the file itself.
    pub fn text(&self, secret: u64) -> String {
        let mut out = String::new();
        for n in 0..self.comment.min(3) {
            let _ = writeln!(out, "# note {} of {}", n, self.comment);
        }
        // A text in memory takes what is written.
        let _ = match self.ini {
            true => self.ini(&mut out, secret),
            false => self.toml(&mut out, secret),
        };
        out
    }

    fn toml(&self, out: &mut String, secret: u64) -> std::fmt::Result {
        let time = |s: u32| match s {
            0 => "off".to_owned(),
            s => format!("{s}s"),
        };
        let size = match self.size {
            Some(n) => n.to_string(),
            None => "\"auto\"".to_owned(),
        };
        writeln!(out, "[listen]\ntcp = [\"127.0.0.1:{}\"]", self.listen)?;
        writeln!(out, "[auth]\ntype = \"any\"")?;
        writeln!(out, "[process]\nworkers = {}", self.workers)?;
        writeln!(out, "[server]\nline = {}", self.line)?;
        writeln!(out, "[clients]\nmax = {}", self.clients)?;
        let mode = MODES.get(self.mode).unwrap_or(&"");
        writeln!(out, "[pool]\nsize = {size}\nreserve = {}", self.reserve)?;
        writeln!(out, "mode = \"{mode}\"")?;
        writeln!(out, "[session]\nprepared_statements = {}", self.prepared)?;
        writeln!(
            out,
            "[timeouts]\nquery_wait = \"{}\"",
            time(self.query_wait)
        )?;
        writeln!(out, "query = \"{}\"", time(self.query))?;
        writeln!(out, "server_idle = \"{}\"", time(self.idle))?;
        let word = |at: usize| GUARDS.get(at).copied().unwrap_or("");
        writeln!(
            out,
            "[guards]\nauto_revert = \"{}\"",
            word(self.auto_revert)
        )?;
        writeln!(out, "drift = \"{}\"", word(self.drift))?;
        let source = ["deploy", "deploy", "store", "auto"].get(self.source);
        writeln!(out, "[settings]\nsource = \"{}\"", source.unwrap_or(&""))?;
        writeln!(
            out,
            "watch = \"{}s\"\nrestore = {}",
            self.watch, self.restore
        )?;
        for d in &self.databases {
            let name = if d.name == "*" { "\"*\"" } else { d.name };
            writeln!(
                out,
                "[database.{name}]\nhost = \"db{}\"\nport = {}",
                d.host, d.port
            )?;
            writeln!(out, "user = \"u\"")?;
            match d.password {
                0 => writeln!(out, "password_file = \"/x/pw\"")?,
                1 => writeln!(out, "password = \"s{secret}\"")?,
                _ => {}
            }
            let keys = [("pool_size", d.size), ("reserve_pool_size", d.reserve)];
            for (key, value) in keys.into_iter().chain([("max_connections", d.max)]) {
                if let Some(n) = value {
                    writeln!(out, "{key} = {n}")?;
                }
            }
            if let Some(wait) = d.wait {
                writeln!(out, "wait_timeout = \"{wait}s\"")?;
            }
        }
        for (name, size) in &self.users {
            writeln!(out, "[[user]]\nname = \"{name}\"")?;
            if let Some(n) = size {
                writeln!(out, "pool_size = {n}")?;
            }
        }
        Ok(())
    }

    fn ini(&self, out: &mut String, secret: u64) -> std::fmt::Result {
        writeln!(out, "[databases]")?;
        for d in &self.databases {
            write!(out, "{} = host=db{} port={} user=u", d.name, d.host, d.port)?;
            if d.password == 1 {
                write!(out, " password=s{secret}")?;
            }
            let keys = [("pool_size", d.size), ("reserve_pool", d.reserve)];
            for (key, value) in keys.into_iter().chain([("max_db_connections", d.max)]) {
                if let Some(n) = value {
                    write!(out, " {key}={n}")?;
                }
            }
            writeln!(out)?;
        }
        if !self.users.is_empty() {
            writeln!(out, "[users]")?;
        }
        for (name, size) in &self.users {
            writeln!(
                out,
                "{name} = pool_mode=transaction pool_size={}",
                size.unwrap_or(20)
            )?;
        }
        writeln!(out, "[pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = any")?;
        writeln!(out, "listen_port = {}", self.listen)?;
        if self.comment % 2 == 1 {
            writeln!(out, "auth_file = /x/users.txt")?;
        }
        let mode = MODES.get(self.mode).unwrap_or(&"");
        writeln!(out, "pool_mode = {mode}")?;
        writeln!(out, "default_pool_size = {}", self.size.unwrap_or(0))?;
        writeln!(out, "reserve_pool_size = {}", self.reserve)?;
        writeln!(out, "max_client_conn = {}", self.clients)?;
        writeln!(out, "query_wait_timeout = {}", self.query_wait)?;
        writeln!(out, "query_timeout = {}", self.query)?;
        writeln!(out, "server_idle_timeout = {}", self.idle)?;
        let word = |at: usize| GUARDS.get(at).copied().unwrap_or("");
        writeln!(
            out,
            "[plimsoll]\nguard_auto_revert = {}",
            word(self.auto_revert)
        )?;
        writeln!(out, "guard_drift = {}", word(self.drift))?;
        let source = ["deploy", "deploy", "store", "auto"].get(self.source);
        writeln!(out, "settings_source = {}", source.unwrap_or(&""))?;
        writeln!(out, "settings_watch = {}s", self.watch)
    }
}

/// Bytes go wrong: flipped, cut, doubled, moved, or those of another file.
pub(super) fn mutated(rng: &mut Rng, text: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for _ in 0..rng.range(1, 3) {
        let len = bytes.len() as u64;
        let at = rng.below(len) as usize;
        let to = (at + rng.below(40) as usize).min(bytes.len());
        match rng.below(8) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *pick(rng, BYTES);
                }
            }
            2 => {
                // A digit more or less is what hands do.
                let digits: Vec<usize> = (0..bytes.len())
                    .filter(|i| bytes.get(*i).is_some_and(u8::is_ascii_digit))
                    .collect();
                if !digits.is_empty() {
                    let at = *pick(rng, &digits);
                    bytes.insert(at, b'0' + rng.below(10) as u8);
                }
            }
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..to)),
            5 => {
                let part = bytes.get(at..to).unwrap_or_default().to_vec();
                bytes.splice(at..at, part);
            }
            6 => bytes.insert(at, *pick(rng, BYTES)),
            _ => {
                let from = rng.below(other.len() as u64 + 1) as usize;
                let tail = other.get(from..).unwrap_or_default();
                bytes.truncate(at);
                bytes.extend_from_slice(tail);
            }
        }
    }
    bytes
}
