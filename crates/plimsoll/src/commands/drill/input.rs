//! What is typed, and what ends it.

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Longest line that is read, bytes.
const LINE_MAX: u64 = 1_000;

/// Where lines come from.
pub(super) enum Source {
    /// A person types.
    Terminal,
    /// A file, or standard input of a script.
    Script(Box<dyn Read + Send>),
}

enum Event {
    Line(String),
    /// No more lines come.
    Closed,
    /// A signal asks for an end.
    Signal,
}

/// Lines in their order, and the end.
pub(super) struct Input {
    events: Receiver<Event>,
    lines: VecDeque<String>,
    source: Option<Source>,
    to: Sender<Event>,
    /// A person types: there is a prompt, and lines show themselves.
    pub(super) typed: bool,
    /// No more lines come; some may still wait.
    closed: bool,
    /// A signal came.
    pub(super) interrupted: bool,
}

impl Input {
    /// Listens for signals; lines are read from [`Input::open`] on.
    pub(super) fn start(source: Source) -> anyhow::Result<Input> {
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot watch for signals")?;
        let (to, events) = channel();
        let sender = to.clone();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for _ in signals.forever() {
                    if sender.send(Event::Signal).is_err() {
                        return;
                    }
                }
            })
            .context("cannot start a thread")?;
        Ok(Input {
            events,
            lines: VecDeque::new(),
            typed: matches!(source, Source::Terminal),
            source: Some(source),
            to,
            closed: false,
            interrupted: false,
        })
    }

    /// Begins to read lines.
    pub(super) fn open(&mut self) -> anyhow::Result<()> {
        let Some(source) = self.source.take() else {
            return Ok(());
        };
        let to = self.to.clone();
        // It may stay in a read for good: nobody waits for it.
        std::thread::Builder::new()
            .name("input".into())
            .spawn(move || {
                let from: Box<dyn Read + Send> = match source {
                    Source::Terminal => Box::new(std::io::stdin()),
                    Source::Script(file) => file,
                };
                let mut from = BufReader::new(from);
                let mut bytes = Vec::new();
                while let Ok(1..) = from.by_ref().take(LINE_MAX).read_until(b'\n', &mut bytes) {
                    let line = String::from_utf8_lossy(&bytes).trim().to_owned();
                    bytes.clear();
                    if to.send(Event::Line(line)).is_err() {
                        return;
                    }
                }
                to.send(Event::Closed).ok();
            })
            .context("cannot start a thread")?;
        Ok(())
    }

    /// The next line, if one is there before this moment.
    pub(super) fn line(&mut self, until: Instant) -> Option<String> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if !self.hear(until) {
                return None;
            }
        }
    }

    /// No more lines come, and none waits.
    pub(super) fn is_over(&self) -> bool {
        self.closed && self.lines.is_empty()
    }

    /// Lets time pass; lines that come wait. `false`: a signal came.
    pub(super) fn rest(&mut self, span: Duration) -> bool {
        let until = Instant::now() + span;
        while !self.interrupted && self.hear(until) {}
        !self.interrupted
    }

    /// One event, if there is one before this moment.
    fn hear(&mut self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        match self.events.recv_timeout(left) {
            Ok(Event::Line(line)) => self.lines.push_back(line),
            Ok(Event::Closed) => self.closed = true,
            Ok(Event::Signal) => self.interrupted = true,
            // We hold a sender ourselves: it cannot be disconnected.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
        }
        !self.interrupted
    }
}
