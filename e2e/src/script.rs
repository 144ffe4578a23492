//! Scripts of raw protocol messages: cases are data.
//!
//! One line is one message; the letters are the protocol's own. Messages are sent in one write when a `=` line says
//! what to wait for.
//!
//! ```text
//! == name of the case
//! @ version 3.2              protocol version of the start-up packet
//! @ param NAME VALUE         start-up parameter
//! @ quiet                    no other clients between the steps
//! Q select 1                 Query
//! P s1 :23,25 select $1, $2  Parse (name or -, optional parameter types, text)
//! B p1 s1 7 null x:00ff ->1  Bind (portal, statement, values; x: binary; big:N is N times "x"; ->CODES result formats)
//! D S s1 / D P p1            Describe
//! E p1 10                    Execute, at most 10 rows
//! C S s1 / C P p1            Close
//! S / H                      Sync, Flush
//! d text / d*1000 text       CopyData, with \n and \t
//! c / f reason               CopyDone, CopyFail
//! F 1576 arg arg             FunctionCall
//! =                          wait for every ReadyForQuery owed
//! = 1                        wait for that many, whatever is owed
//! = copyin                   wait for CopyInResponse (or ReadyForQuery)
//! = until X                  wait for message type X (or an error)
//! ```

use crate::normalise;
use crate::raw::{Client, Error, Target, describe_backend, describe_frontend, message};

/// A named script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Its text, as written.
    pub text: String,
    /// Protocol version.
    pub version: (u32, u32),
    /// Start-up parameters.
    pub parameters: Vec<(String, String)>,
    /// No other clients between the steps.
    pub quiet: bool,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// Messages sent at once, and what to wait for after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The bytes.
    pub batch: Vec<u8>,
    /// ReadyForQuery messages that the batch should bring.
    pub owed: usize,
    /// What to wait for.
    pub wait: Wait,
}

/// What a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// All that is owed.
    Owed,
    /// That many ReadyForQuery.
    Ready(usize),
    /// A message of this type, or an error.
    Type(u8),
}

/// Reads the cases of a file.
pub fn parse(text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    let mut open = (Vec::new(), 0);
    for (n, line) in text.lines().enumerate() {
        let at = |what: String| format!("line {}: {what}: {line}", n + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            if !open.0.is_empty() {
                return Err(at("messages without a `=` line before".into()));
            }
            cases.push(Case::new(name));
            continue;
        }
        let case = cases.last_mut().ok_or_else(|| at("no case yet".into()))?;
        case.text += line;
        case.text.push('\n');
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "@" => attribute(case, rest).map_err(at)?,
            "=" => {
                let wait = parse_wait(rest).map_err(at)?;
                let (batch, owed) = std::mem::take(&mut open);
                case.steps.push(Step { batch, owed, wait });
            }
            _ => {
                open.0.extend(parse_message(word, rest).map_err(at)?);
                open.1 += usize::from(matches!(word, "Q" | "S" | "F"));
            }
        }
    }
    if open.0.is_empty() {
        Ok(cases)
    } else {
        Err("messages without a `=` line at the end".into())
    }
}

impl Case {
    fn new(name: &str) -> Self {
        Case {
            name: name.into(),
            text: String::new(),
            version: (3, 0),
            parameters: Vec::new(),
            quiet: false,
            steps: Vec::new(),
        }
    }
}

fn attribute(case: &mut Case, text: &str) -> Result<(), String> {
    let words: Vec<&str> = text.splitn(3, ' ').collect();
    match words[..] {
        ["quiet"] => case.quiet = true,
        ["version", "3.0"] => case.version = (3, 0),
        ["version", "3.2"] => case.version = (3, 2),
        ["param", name, value] => case.parameters.push((name.into(), value.into())),
        _ => return Err("unknown attribute".into()),
    }
    Ok(())
}

fn parse_wait(text: &str) -> Result<Wait, String> {
    match text.split_once(' ') {
        None if text.is_empty() => Ok(Wait::Owed),
        None if text == "copyin" => Ok(Wait::Type(b'G')),
        None => text.parse().map(Wait::Ready).map_err(|e| e.to_string()),
        Some(("until", letter)) if letter.len() == 1 => Ok(Wait::Type(letter.as_bytes()[0])),
        Some(_) => Err("unknown wait".into()),
    }
}

fn parse_message(word: &str, rest: &str) -> Result<Vec<u8>, String> {
    if let Some(times) = word.strip_prefix("d*") {
        let times: usize = times.parse().map_err(|_| "a number after d*".to_owned())?;
        return Ok(message::frame(b'd', unescape(rest).as_bytes()).repeat(times));
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    Ok(match (word, &words[..]) {
        ("Q", _) => message::query(rest),
        ("P", _) => parse_parse(rest)?,
        ("B", [portal, statement, values @ ..]) => parse_bind(portal, statement, values)?,
        ("D", [kind, name]) => message::of_kind(b'D', kind.as_bytes()[0], unnamed(name)),
        ("C", [kind, name]) => message::of_kind(b'C', kind.as_bytes()[0], unnamed(name)),
        ("E", [portal]) => message::execute(unnamed(portal), 0),
        ("E", [portal, rows]) => {
            message::execute(unnamed(portal), rows.parse().map_err(|_| "rows")?)
        }
        ("F", [oid, arguments @ ..]) => {
            message::function_call(oid.parse().map_err(|_| "oid")?, arguments)
        }
        ("S" | "H" | "c", []) => message::empty(word.as_bytes()[0]),
        ("d", _) => message::frame(b'd', unescape(rest).as_bytes()),
        ("f", _) => message::one_text(b'f', rest),
        _ => return Err("unknown message".into()),
    })
}

fn parse_parse(rest: &str) -> Result<Vec<u8>, String> {
    let (name, mut sql) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut types = Vec::new();
    if let Some(list) = sql.strip_prefix(':') {
        let (list, text) = list.split_once(' ').ok_or("text after the types")?;
        sql = text;
        for oid in list.split(',') {
            types.push(oid.parse().map_err(|_| "type oid")?);
        }
    }
    Ok(message::parse(unnamed(name), sql, &types))
}

fn parse_bind(portal: &str, statement: &str, words: &[&str]) -> Result<Vec<u8>, String> {
    let (mut formats, mut values, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for word in words {
        if let Some(codes) = word.strip_prefix("->") {
            for code in codes.split(',') {
                results.push(code.parse().map_err(|_| "format code")?);
            }
            continue;
        }
        let (format, value) = if *word == "null" {
            (0, None)
        } else if let Some(hex) = word.strip_prefix("x:") {
            let bytes: Result<Vec<u8>, _> = (0..hex.len() / 2)
                .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16))
                .collect();
            (1, Some(bytes.map_err(|_| "hex")?))
        } else if let Some(size) = word.strip_prefix("big:") {
            let size: usize = size.parse().map_err(|_| "size")?;
            (0, Some(vec![b'x'; size]))
        } else {
            (0, Some(unescape(word).into_bytes()))
        };
        formats.push(format);
        values.push(value);
    }
    if formats.iter().all(|format| *format == 0) {
        formats.clear();
    }
    let (portal, statement) = (unnamed(portal), unnamed(statement));
    Ok(message::bind(
        portal, statement, &formats, &values, &results,
    ))
}

fn unnamed(name: &str) -> &str {
    if name == "-" { "" } else { name }
}

fn unescape(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}

/// Runs a case and gives its normalised transcript. `between` is called whenever the session is idle and outside a
/// transaction.
pub fn run(case: &Case, target: &Target, between: &mut dyn FnMut()) -> Result<Vec<String>, Error> {
    let (major, minor) = case.version;
    let mut target = target.clone().version(major, minor);
    target.parameters.extend(case.parameters.iter().cloned());
    let client = Client::login(&target)?;
    let mut lines: Vec<String> = client.greeting.iter().map(describe_backend).collect();
    normalise::greeting(&mut lines);
    let mut session = Session {
        client,
        lines,
        owed: 0,
        idle: true,
        failed: false,
    };
    for step in &case.steps {
        if session.idle && session.owed == 0 {
            between();
        }
        if session.run(step)? == Flow::Ended {
            break;
        }
    }
    session.client.terminate();
    normalise::repeated_reports(&mut session.lines);
    Ok(session.lines)
}

struct Session {
    client: Client,
    lines: Vec<String>,
    owed: usize,
    idle: bool,
    failed: bool,
}

#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Ended,
}

impl Session {
    fn run(&mut self, step: &Step) -> Result<Flow, Error> {
        let sent = describe_frontend(&step.batch);
        self.lines
            .extend(sent.iter().map(|line| format!("> {line}")));
        if let Err(error) = self.client.send(&step.batch) {
            self.lines.push(format!("(cannot send: {error})"));
        }
        self.owed += step.owed;
        let mut wanted = match step.wait {
            Wait::Owed => self.owed,
            Wait::Ready(count) => count,
            Wait::Type(_) => usize::MAX,
        };
        while wanted > 0 {
            let message = match self.client.read() {
                Ok(message) => message,
                Err(error) => {
                    let what = if error.timed_out() { "silence" } else { "end" };
                    self.lines.push(format!("({what})"));
                    return Ok(Flow::Ended);
                }
            };
            let line = match message.tag {
                b'E' if self.failed => normalise::error_in_failed_transaction().to_owned(),
                _ => normalise::line(&describe_backend(&message)),
            };
            self.lines.push(format!("< {line}"));
            if message.tag == b'Z' {
                self.idle = message.body == [b'I'];
                self.failed = message.body == [b'E'];
                self.owed = self.owed.saturating_sub(1);
                wanted -= 1;
            }
            if let Wait::Type(tag) = step.wait
                && (message.tag == tag
                    || message.tag == b'Z'
                    || (message.tag == b'E' && self.owed == 0))
            {
                break;
            }
        }
        if let Wait::Ready(_) = step.wait {
            self.owed = 0;
        }
        Ok(Flow::On)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_what_stands_before_its_wait_line() {
        let cases = parse("== a\nP - :23 select $1\nB - - 7 ->1\nE -\nS\n=\nQ x\n= 1\n").unwrap();
        assert_eq!(cases.len(), 1);
        let sent: Vec<Vec<String>> = cases[0]
            .steps
            .iter()
            .map(|step| describe_frontend(&step.batch))
            .collect();
        assert_eq!(sent[0].len(), 4);
        assert_eq!(sent[1], [r#"Query "x\x00""#]);
        assert_eq!(cases[0].steps[0].owed, 1);
        assert_eq!(cases[0].steps[1].wait, Wait::Ready(1));
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, mistake) in [
            ("Q x", "line 1: no case yet"),
            ("== a\nZ\n", "line 2: unknown message"),
            ("== a\nS\n", "at the end"),
            ("== a\nS\n== b\n", "line 3"),
            ("== a\n= soon enough\n", "line 2: unknown wait"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(mistake), "{text:?}: {error}");
        }
    }
}
