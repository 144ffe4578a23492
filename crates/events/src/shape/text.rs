//! The text of a shape: a line for each thing, numbers split by spaces.

use super::{
    BYTES_MAX, End, FLOWS_MAX, POOLS_MAX, PoolShape, REQUESTS_MAX, Request, Row, ServerShape,
    Shape, Start, Window,
};
use std::fmt::Write as _;
use std::str::SplitAsciiWhitespace;

/// The version that is written. What a later version adds, this one refuses to read.
pub const VERSION: u32 = 1;
/// Servers in a text.
const SERVERS_MAX: usize = 64;
/// Windows of one server in a text.
const WINDOWS_MAX: usize = 256;
/// Rows of one pool in a text: an hour.
const ROWS_MAX: usize = 360;
/// Longest name in a text, bytes before escapes.
const NAME_MAX: usize = 256;

/// Why a text is no shape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShapeError {
    /// From 1; 0: the text as a whole.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl std::fmt::Display for ShapeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "no traffic shape: {}", self.what),
            line => write!(f, "no traffic shape: line {line}: {}", self.what),
        }
    }
}

impl std::error::Error for ShapeError {}

impl Shape {
    /// The text; at most [`BYTES_MAX`] bytes: the oldest windows go first, then rows.
    pub fn to_text(&self) -> String {
        let mut most = REQUESTS_MAX;
        let mut text = written(self);
        while text.len() > BYTES_MAX && most > 0 {
            most = most * 3 / 4;
            let mut less = self.clone();
            less.bound(most);
            text = written(&less);
        }
        if text.len() > BYTES_MAX {
            let mut less = self.clone();
            less.bound(0);
            for pool in less.servers.iter_mut().flat_map(|s| &mut s.pools) {
                pool.rows.clear();
            }
            text = written(&less);
        }
        text
    }

    /// Reads a text. Never more memory than a few times the text's length.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn from_text(text: &str) -> Result<Shape, ShapeError> {
        let fail = |line, what| Err(ShapeError { line, what });
        if text.len() > BYTES_MAX {
            return fail(0, "longer than 1 MiB");
        }
        let mut lines = text.lines().enumerate();
        let head = lines.next().map(|(_, line)| line).unwrap_or_default();
        match head.strip_prefix("plimsoll-shape ") {
            None => return fail(1, "it does not begin with `plimsoll-shape 1`"),
            Some(version) if version.trim() != VERSION.to_string() => {
                return fail(1, "written by another version");
            }
            Some(_) => {}
        }
        let mut shape = Shape::default();
        for (at, line) in lines {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                read_line(&mut shape, line).map_err(|what| ShapeError { line: at + 1, what })?;
            }
        }
        Ok(shape)
    }
}

fn written(shape: &Shape) -> String {
    let mut out = format!("plimsoll-shape {VERSION}\n");
    for server in &shape.servers {
        let _ = writeln!(out, "server {} {}", server.line, server.open_us);
        for pool in &server.pools {
            write_pool(&mut out, pool);
        }
        for window in &server.windows {
            let _ = writeln!(out, "window {} {}", window.at_s, window.span_us);
            for s in &window.starts {
                let numbers = [s.size, s.clients, s.lent, s.waiting];
                let _ = writeln!(out, "start {} {}", s.pool, joined(&numbers));
            }
            let mut before = 0;
            for r in &window.requests {
                let after = r.asked_us.saturating_sub(before);
                before = before.max(r.asked_us);
                let numbers = [after, r.wait_us, r.hold_us, u32::from(r.in_use), r.client];
                let _ = write!(out, "{} {}", r.end.letter(), joined(&numbers));
                if r.pool > 0 || r.flow > 0 {
                    let _ = write!(out, " {} {}", r.pool, r.flow);
                }
                out.push('\n');
            }
        }
    }
    out
}

fn write_pool(out: &mut String, pool: &PoolShape) {
    let (database, user) = (escaped(&pool.database), escaped(&pool.user));
    let _ = writeln!(out, "pool {database} {user} {} {}", pool.size, pool.clients);
    for flow in &pool.flows {
        let _ = writeln!(out, "flow {}", escaped(flow));
    }
    for r in &pool.rows {
        let numbers = [r.leases, r.held_milli, r.queued_milli, r.peak, r.size];
        let _ = writeln!(out, "row {}", joined(&numbers));
    }
}

fn joined(numbers: &[u32]) -> String {
    let words: Vec<String> = numbers.iter().map(u32::to_string).collect();
    words.join(" ")
}

/// One word: what is no plain letter becomes `%` and two digits.
fn escaped(name: &str) -> String {
    let mut out = String::from("=");
    for byte in name.bytes().take(NAME_MAX) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b':' => {
                out.push(byte as char);
            }
            _ => {
                let _ = write!(out, "%{byte:02x}");
            }
        }
    }
    out
}

fn unescaped(word: &str) -> Option<String> {
    let mut bytes = word.strip_prefix('=')?.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digit = |b: u8| char::from(b).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                out.push((high * 16 + low) as u8);
            }
            _ => out.push(byte),
        }
    }
    // A name that was cut may end within a character.
    (out.len() <= NAME_MAX).then(|| String::from_utf8_lossy(&out).into_owned())
}

type Words<'a> = SplitAsciiWhitespace<'a>;

fn read_line(shape: &mut Shape, line: &str) -> Result<(), &'static str> {
    let mut words = line.split_ascii_whitespace();
    let kind = words.next().unwrap_or_default();
    if kind == "server" {
        if shape.servers.len() >= SERVERS_MAX {
            return Err("too many servers");
        }
        let [line, open_us] = numbers(&mut words)?;
        shape.servers.push(ServerShape {
            line,
            open_us,
            ..ServerShape::default()
        });
        return Ok(());
    }
    let server = shape.servers.last_mut().ok_or("no server before it")?;
    match kind {
        "pool" => read_pool(server, &mut words),
        "flow" | "row" => read_of_pool(server, kind, &mut words),
        "window" => {
            let [at_s, span_us] = numbers(&mut words)?;
            if server.windows.len() >= WINDOWS_MAX {
                return Err("too many windows");
            }
            server.windows.push(Window {
                at_s,
                span_us,
                ..Window::default()
            });
            Ok(())
        }
        "start" => read_start(server, &mut words),
        letter => read_request(server, letter, &mut words),
    }
}

fn read_pool(server: &mut ServerShape, words: &mut Words<'_>) -> Result<(), &'static str> {
    if server.pools.len() >= POOLS_MAX {
        return Err("too many pools");
    }
    let database = name(words)?;
    let user = name(words)?;
    let [size, clients] = numbers(words)?;
    server.pools.push(PoolShape {
        database,
        user,
        size,
        clients,
        ..PoolShape::default()
    });
    Ok(())
}

fn read_of_pool(
    server: &mut ServerShape,
    kind: &str,
    words: &mut Words<'_>,
) -> Result<(), &'static str> {
    let pool = server.pools.last_mut().ok_or("no pool before it")?;
    if kind == "flow" {
        if pool.flows.len() >= FLOWS_MAX {
            return Err("too many flows");
        }
        pool.flows.push(name(words)?);
        return Ok(());
    }
    if pool.rows.len() >= ROWS_MAX {
        return Err("more rows than an hour has");
    }
    let [leases, held_milli, queued_milli, peak, size] = numbers(words)?;
    pool.rows.push(Row {
        leases,
        held_milli,
        queued_milli,
        peak,
        size,
    });
    Ok(())
}

fn read_start(server: &mut ServerShape, words: &mut Words<'_>) -> Result<(), &'static str> {
    let pools = server.pools.len();
    let window = server.windows.last_mut().ok_or("no window before it")?;
    let [pool, size, clients, lent, waiting] = numbers(words)?;
    if pool as usize >= pools || window.starts.len() >= pools {
        return Err("no such pool");
    }
    window.starts.push(Start {
        pool: pool as u16,
        size,
        clients,
        lent,
        waiting,
    });
    Ok(())
}

fn read_request(
    server: &mut ServerShape,
    letter: &str,
    words: &mut Words<'_>,
) -> Result<(), &'static str> {
    let end = End::ALL.into_iter().find(|end| end.letter() == letter);
    let end = end.ok_or("no such kind of line")?;
    let window = server.windows.last_mut().ok_or("no window before it")?;
    let [after, wait_us, hold_us, in_use, client] = numbers(words)?;
    let (pool, flow) = match words.clone().next() {
        None => (0, 0),
        Some(_) => {
            let [pool, flow] = numbers(words)?;
            (pool, flow)
        }
    };
    let pools = &server.pools;
    let flows = pools.get(pool as usize).map(|pool| pool.flows.len());
    if flows.is_none_or(|flows| flow as usize >= flows.max(1)) {
        return Err("no such pool or flow");
    }
    let before = window.requests.last().map_or(0, |last| last.asked_us);
    window.requests.push(Request {
        asked_us: before.saturating_add(after),
        pool: pool as u16,
        flow: flow as u16,
        client,
        wait_us,
        hold_us,
        in_use: u16::try_from(in_use).unwrap_or(u16::MAX),
        end,
    });
    Ok(())
}

fn name(words: &mut Words<'_>) -> Result<String, &'static str> {
    words.next().and_then(unescaped).ok_or("a name is missing")
}

fn numbers<const N: usize>(words: &mut Words<'_>) -> Result<[u32; N], &'static str> {
    let mut all = [0; N];
    for number in &mut all {
        let word = words.next().ok_or("a number is missing")?;
        *number = word.parse().map_err(|_| "no number")?;
    }
    Ok(all)
}
