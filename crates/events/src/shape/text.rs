//! The text of a shape: a line for each thing, numbers split by spaces.

mod read;

use super::{
    BYTES_MAX, CLASS_TEXT_MAX, ClassShape, PoolShape, REQUESTS_MAX, Request, ServerShape, Shape,
    Window,
};
use std::fmt::Write as _;

/// The version that is written. What a later version adds, this one refuses to read.
pub const VERSION: u32 = 2;
/// Longest name in a text, bytes before escapes.
const NAME_MAX: usize = 256;

/// What a request's line usually takes, with some room.
const REQUEST_BYTES: usize = 32;

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
        self.to_text_under("")
    }

    /// The same, with lines for people at its head. What is too long for a
    /// [whole text](BYTES_MAX) is left out of these first.
    pub fn to_text_under(&self, head: &str) -> String {
        let head: String = (head.lines())
            .map(|line| format!("# {line}"))
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        let mut most = REQUESTS_MAX;
        let mut text = written(self, &head);
        while text.len() > BYTES_MAX && most > 0 {
            most = most * 3 / 4;
            let mut less = self.clone();
            less.bound(most);
            text = written(&less, &head);
        }
        if text.len() > BYTES_MAX {
            let mut less = self.clone();
            less.bound(0);
            for server in &mut less.servers {
                server.classes.clear();
                server.pools.iter_mut().for_each(|pool| pool.rows.clear());
            }
            text = written(&less, "");
        }
        text
    }

    /// The length of its text if nothing were left out of it, bytes.
    pub fn text_bytes(&self) -> usize {
        written(self, "").len()
    }

    /// Reads a text. Never more memory than a few times the text's length.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn from_text(text: &str) -> Result<Shape, ShapeError> {
        read::shape(text)
    }
}

fn written(shape: &Shape, head: &str) -> String {
    let mut out = format!("plimsoll-shape {VERSION}\n{head}");
    out.reserve(shape.requests() * REQUEST_BYTES);
    if let Some(c) = &shape.capture {
        let whole = if c.whole { "whole" } else { "partial" };
        let _ = writeln!(out, "capture {} {} {whole}", c.began_s, c.lasted_s);
        for s in &c.slots {
            let counts = [s.granted, s.refused, s.held_ms, s.logins];
            let (first, clients) = (format!("{} {}", s.of_day, s.seconds), s.clients);
            let _ = writeln!(out, "slot {first} {} {clients}", joined(&counts));
        }
    }
    for server in &shape.servers {
        write_server(&mut out, server);
    }
    // Without it a text that was cut off might be read as a shorter one.
    let _ = writeln!(out, "end {}", shape.requests());
    out
}

fn write_server(out: &mut String, server: &ServerShape) {
    let (line, open_us) = (server.line, server.open_us);
    let (asked, until) = (server.asked, server.until_us);
    let _ = writeln!(out, "server {line} {open_us} {asked} {until}");
    for class in &server.classes {
        write_class(out, class);
    }
    for pool in &server.pools {
        write_pool(out, pool);
    }
    for window in &server.windows {
        write_window(out, window);
    }
}

fn write_window(out: &mut String, window: &Window) {
    let (span, before) = (window.span_us, window.before);
    let _ = writeln!(out, "window {} {span} {before}", window.at_us);
    for s in &window.starts {
        let numbers = [s.size, s.clients, s.lent, s.waiting];
        let _ = writeln!(out, "start {} {}", s.pool, joined(&numbers));
    }
    let mut before = 0;
    // A running pooler writes thousands of these each time that it is captured: no
    // memory is taken for one of them.
    for r in &window.requests {
        let after = r.asked_us.saturating_sub(before);
        before = before.max(r.asked_us);
        out.push_str(r.end.letter());
        for number in of_request(r, after).into_iter().flatten() {
            out.push(' ');
            push_number(out, number);
        }
        out.push('\n');
    }
}

/// Its numbers. Zeros at the end are left out.
fn of_request(r: &Request, after: u32) -> [Option<u32>; 10] {
    let first = [after, r.wait_us, r.hold_us, r.in_use.into(), r.client];
    let rest = [
        r.pool.into(),
        r.flow.into(),
        r.class.into(),
        r.idle_us,
        r.rounds.into(),
    ];
    let many = match rest.iter().rposition(|number| *number != 0) {
        None => 0,
        // Pool and flow stand together, as in version 1.
        Some(last) => (last + 1).max(2),
    };
    let mut all = [None; 10];
    let numbers = first.into_iter().chain(rest.into_iter().take(many));
    for (place, number) in all.iter_mut().zip(numbers) {
        *place = Some(number);
    }
    all
}

/// A number in decimal digits.
fn push_number(out: &mut String, number: u32) {
    let mut digits = [b'0'; 10];
    let mut rest = number;
    let mut first = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10) as u8;
        first = at;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let digits = digits.get(first..).unwrap_or_default();
    out.push_str(std::str::from_utf8(digits).unwrap_or_default());
}

fn write_class(out: &mut String, class: &ClassShape) {
    let (name, text) = (escaped(&class.name), on_one_line(&class.text));
    let line = format!("class {:016x} {name} {text}", class.fingerprint);
    let _ = writeln!(out, "{}", line.trim_end());
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

fn joined<N: ToString>(numbers: &[N]) -> String {
    let words: Vec<String> = numbers.iter().map(N::to_string).collect();
    words.join(" ")
}

/// A statement as a person reads it, on a line of its own: white space is one
/// space, other control characters are none, and it is not too long.
fn on_one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").replace(char::is_control, "");
    match line.len() > CLASS_TEXT_MAX {
        false => line,
        true => {
            let most = CLASS_TEXT_MAX - '…'.len_utf8();
            let end = (0..=most).rev().find(|at| line.is_char_boundary(*at));
            format!("{}…", line.get(..end.unwrap_or(0)).unwrap_or_default())
        }
    }
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
