//! The reader of shapes: versions 1 and 2. It trusts nothing that it reads.

use super::NAME_MAX;
use crate::shape::{
    BYTES_MAX, CLASS_TEXT_MAX, CLASSES_MAX, Capture, ClassShape, End, FLOWS_MAX, POOLS_MAX,
    PoolShape, Request, Row, SLOTS, ServerShape, Shape, ShapeError, Slot, Start, VERSION, Window,
};
use std::str::{FromStr, SplitAsciiWhitespace};

/// Servers in a text.
const SERVERS_MAX: usize = 64;
/// Windows of one server in a text.
const WINDOWS_MAX: usize = 1024;
/// Rows of one pool in a text: an hour.
const ROWS_MAX: usize = 360;

type Words<'a> = SplitAsciiWhitespace<'a>;
type Read<T> = Result<T, &'static str>;

pub(super) fn shape(text: &str) -> Result<Shape, ShapeError> {
    let fail = |line, what| Err(ShapeError { line, what });
    if text.len() > BYTES_MAX {
        return fail(0, "longer than 1 MiB");
    }
    let mut lines = text.lines().enumerate();
    let head = lines.next().map(|(_, line)| line).unwrap_or_default();
    let Some(version) = head.strip_prefix("plimsoll-shape ") else {
        return fail(1, "it does not begin with `plimsoll-shape 1`");
    };
    let mut reader = match version.trim().parse() {
        Ok(version @ 1..=VERSION) => Reader::new(version),
        Ok(_) => return fail(1, "written by another version"),
        Err(_) => return fail(1, "written by another version"),
    };
    for (at, line) in lines {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            let read = reader.line(line);
            read.map_err(|what| ShapeError { line: at + 1, what })?;
        }
    }
    match reader.version >= 2 && !reader.ended {
        true => fail(0, "it is cut off: its last line, `end`, is missing"),
        false => Ok(reader.shape),
    }
}

struct Reader {
    version: u32,
    shape: Shape,
    ended: bool,
}

impl Reader {
    fn new(version: u32) -> Reader {
        Reader {
            version,
            shape: Shape::default(),
            ended: false,
        }
    }

    fn line(&mut self, line: &str) -> Read<()> {
        if self.ended {
            return Err("it stands after the end");
        }
        let mut words = line.split_ascii_whitespace();
        let kind = words.next().unwrap_or_default();
        let second = self.version >= 2;
        match kind {
            "server" => self.server(&mut words),
            "capture" if second => self.capture(&mut words),
            "slot" if second => self.slot(&mut words),
            "end" if second => {
                let [requests] = numbers::<usize, 1>(&mut words)?;
                self.ended = true;
                match self.shape.requests() == requests {
                    true => Ok(()),
                    false => Err("requests are missing before the end"),
                }
            }
            _ => {
                let server = self.shape.servers.last_mut();
                let server = server.ok_or("no server before it")?;
                match kind {
                    "class" if second => class(server, line),
                    "pool" => pool(server, &mut words),
                    "flow" | "row" => of_pool(server, kind, &mut words),
                    "window" => window(server, second, &mut words),
                    "start" => start(server, &mut words),
                    letter => request(server, letter, second, &mut words),
                }
            }
        }
    }

    fn server(&mut self, words: &mut Words<'_>) -> Read<()> {
        if self.shape.servers.len() >= SERVERS_MAX {
            return Err("too many servers");
        }
        let [line, open_us] = numbers(words)?;
        let [asked, until_us] = match self.version {
            1 => [0, 0],
            _ => numbers(words)?,
        };
        self.shape.servers.push(ServerShape {
            line,
            open_us,
            asked,
            until_us,
            ..ServerShape::default()
        });
        Ok(())
    }

    fn capture(&mut self, words: &mut Words<'_>) -> Read<()> {
        let [began_s] = numbers(words)?;
        let [lasted_s] = numbers(words)?;
        let whole = match words.next() {
            Some("whole") => true,
            Some("partial") => false,
            _ => return Err("write `whole` or `partial`"),
        };
        self.shape.capture = Some(Capture {
            began_s,
            lasted_s,
            whole,
            slots: Vec::new(),
        });
        Ok(())
    }

    fn slot(&mut self, words: &mut Words<'_>) -> Read<()> {
        let capture = self.shape.capture.as_mut().ok_or("no capture before it")?;
        let [of_day, seconds] = numbers::<u32, 2>(words)?;
        let [granted, refused, held_ms, logins] = numbers(words)?;
        let [clients] = numbers(words)?;
        let after = (capture.slots.last()).is_none_or(|last| u32::from(last.of_day) < of_day);
        if of_day >= u32::from(SLOTS) || !after {
            return Err("slots are out of order");
        }
        capture.slots.push(Slot {
            of_day: of_day as u16,
            seconds,
            granted,
            refused,
            held_ms,
            logins,
            clients,
        });
        Ok(())
    }
}

/// `class FINGERPRINT =NAME`, and the rest of the line is the statement.
fn class(server: &mut ServerShape, line: &str) -> Read<()> {
    if server.classes.len() >= CLASSES_MAX {
        return Err("too many classes");
    }
    let mut parts = line.splitn(4, ' ').skip(1);
    let fingerprint = parts.next().unwrap_or_default();
    let fingerprint = u64::from_str_radix(fingerprint, 16).map_err(|_| "no fingerprint")?;
    let name = parts.next().and_then(unescaped);
    let text = parts.next().unwrap_or_default();
    if text.len() > CLASS_TEXT_MAX {
        return Err("a statement is too long");
    }
    server.classes.push(ClassShape {
        name: name.ok_or("a name is missing")?,
        fingerprint,
        text: text.replace(char::is_control, ""),
    });
    Ok(())
}

fn pool(server: &mut ServerShape, words: &mut Words<'_>) -> Read<()> {
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

fn of_pool(server: &mut ServerShape, kind: &str, words: &mut Words<'_>) -> Read<()> {
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

fn window(server: &mut ServerShape, second: bool, words: &mut Words<'_>) -> Read<()> {
    if server.windows.len() >= WINDOWS_MAX {
        return Err("too many windows");
    }
    let [at] = numbers::<u64, 1>(words)?;
    let [span_us] = numbers(words)?;
    let before = match second {
        true => numbers::<u64, 1>(words)?[0],
        false => 0,
    };
    let at_us = match second {
        true => at,
        false => at.saturating_mul(1_000_000),
    };
    let last = server.windows.last();
    if second && last.is_some_and(|last| last.at_us > at_us || last.before > before) {
        return Err("windows are out of order");
    }
    server.windows.push(Window {
        at_us,
        span_us,
        before,
        ..Window::default()
    });
    Ok(())
}

fn start(server: &mut ServerShape, words: &mut Words<'_>) -> Read<()> {
    let pools = server.pools.len();
    let window = server.windows.last_mut().ok_or("no window before it")?;
    let [pool, size, clients, lent, waiting] = numbers::<u32, 5>(words)?;
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

fn request(
    server: &mut ServerShape,
    letter: &str,
    second: bool,
    words: &mut Words<'_>,
) -> Read<()> {
    let end = End::ALL.into_iter().find(|end| end.letter() == letter);
    let end = end.ok_or("no such kind of line")?;
    let window = server.windows.last_mut().ok_or("no window before it")?;
    let [after, wait_us, hold_us, in_use, client] = numbers::<u32, 5>(words)?;
    let (pool, flow) = match words.clone().next() {
        None => (0, 0),
        Some(_) => {
            let [pool, flow] = numbers::<u32, 2>(words)?;
            (pool, flow)
        }
    };
    let flows = (server.pools.get(pool as usize)).map(|pool| pool.flows.len());
    if flows.is_none_or(|flows| flow as usize >= flows.max(1)) {
        return Err("no such pool or flow");
    }
    let mut rest = [0; 3];
    for (number, word) in rest.iter_mut().zip(words.by_ref()).take_while(|_| second) {
        *number = word.parse::<u32>().map_err(|_| "no number")?;
    }
    let [class, idle_us, rounds] = rest;
    if class as usize >= server.classes.len().max(1) {
        return Err("no such class");
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
        class: class as u16,
        idle_us: idle_us.min(hold_us),
        rounds: u16::try_from(rounds).unwrap_or(u16::MAX),
    });
    Ok(())
}

fn name(words: &mut Words<'_>) -> Read<String> {
    words.next().and_then(unescaped).ok_or("a name is missing")
}

fn numbers<T: FromStr + Default + Copy, const N: usize>(words: &mut Words<'_>) -> Read<[T; N]> {
    let mut all = [T::default(); N];
    for number in &mut all {
        let word = words.next().ok_or("a number is missing")?;
        *number = word.parse().map_err(|_| "no number")?;
    }
    Ok(all)
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
