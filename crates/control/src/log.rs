//! Logs: one line per event, as text for people or JSON for machines.
//!
//! Whoever logs never waits. Lines go into a bounded queue; one thread writes
//! them. When the disk is full or the reader of standard error sleeps, lines
//! are dropped and counted, and the count is logged once there is room again.

mod pgbouncer;
mod syslog;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use syslog::Syslog;
use tracing::Dispatch;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

pub use syslog::{SyslogOptions, facility};
pub use tracing::Level;

/// Lines that wait to be written.
const LINES_MAX: usize = 4096;
/// Bytes of one line; a longer text is cut, a longer JSON object dropped.
const LINE_BYTES_MAX: usize = 8 << 10;
/// How long the end of the process waits for the last lines.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// Lines dropped since the process started. A static, as the logger itself is
/// one per process; written by whoever logs, read by the metrics.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Whose words text has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogStyle {
    /// Our own.
    #[default]
    Plimsoll,
    /// PgBouncer's, where it has some; every line has its shape.
    Pgbouncer,
}

/// When text has colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Color {
    /// On a terminal, unless the environment says NO_COLOR.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What [`init`] sets up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// How lines look.
    pub format: LogFormat,
    /// Whose words text has; JSON has always our own.
    pub style: LogStyle,
    /// Appended to; `None` is standard error.
    pub file: Option<PathBuf>,
    /// Less important lines are not written.
    pub level: Level,
    /// Colours; files and JSON never have them.
    pub color: Color,
    /// Lines go to the system's log as well.
    pub syslog: Option<SyslogOptions>,
    /// Nothing is written to standard error.
    pub quiet: bool,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            format: LogFormat::Text,
            style: LogStyle::Plimsoll,
            file: None,
            level: Level::INFO,
            color: Color::Auto,
            syslog: None,
            quiet: false,
        }
    }
}

/// The running log. Keep it as long as the process: dropping it writes what is
/// queued, waiting at most a second.
pub struct Log {
    queue: Queue,
    turn: Turn,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("queue", &self.queue).finish()
    }
}

impl Log {
    /// Opens the log file anew at the next line, after a rotation.
    pub fn reopen(&self) {
        self.queue.reopen.store(true, Ordering::Relaxed);
    }

    /// Lines less important than this are not written from now on.
    pub fn set_level(&self, level: Level) {
        (self.turn)(level);
    }

    /// Waits until all earlier lines are written; `false` when they were not within a second.
    pub fn flush(&self) -> bool {
        let (done, seen) = sync_channel(1);
        let deadline = FLUSH_TIME_MAX;
        // A full queue means that the writer is stuck or busy: its next free place is worth a short wait.
        let mut item = Item::Flush(done);
        for _ in 0..20 {
            match self.queue.sender.try_send(item) {
                Ok(()) => return seen.recv_timeout(deadline).is_ok(),
                Err(TrySendError::Full(back)) => item = back,
                Err(TrySendError::Disconnected(_)) => return false,
            }
            std::thread::park_timeout(deadline / 20);
        }
        false
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Lines dropped since the process started.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Starts the process' log. Errors: the file cannot be opened, or a log runs already.
pub fn init(options: LogOptions) -> io::Result<Log> {
    let color = match options.color {
        _ if options.format == LogFormat::Json || options.file.is_some() => false,
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            !refused && io::stderr().is_terminal()
        }
    };
    let sink = match options.file.clone() {
        Some(path) => Sink::file(path)?,
        None if options.quiet => Sink::Stream(Box::new(io::sink())),
        None => Sink::Stream(Box::new(io::stderr())),
    };
    let in_shape = options.format == LogFormat::Text && options.style == LogStyle::Pgbouncer;
    let syslog = options.syslog.clone().map(|to| Syslog::new(to, in_shape));
    let queue = Queue::start_with(sink, syslog, options.format)?;
    let (dispatch, turn) = dispatch(&options, color, queue.clone());
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| {
        io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a log runs already in this process",
        )
    })?;
    Ok(Log { queue, turn })
}

/// Changes which lines are written from now on.
type Turn = Box<dyn Fn(Level) + Send + Sync>;

fn dispatch(options: &LogOptions, color: bool, queue: Queue) -> (Dispatch, Turn) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_writer(queue);
    let ours = filter_fn(pgbouncer::is_ours);
    let level = options.level;
    match (options.format, options.style) {
        (LogFormat::Text, LogStyle::Plimsoll) => {
            let lines = builder.with_ansi(color).with_target(false);
            turnable(lines.finish().with(ours), level)
        }
        (LogFormat::Text, LogStyle::Pgbouncer) => {
            turnable(builder.event_format(pgbouncer::Lines).finish(), level)
        }
        (LogFormat::Json, _) => {
            let lines = builder.json().flatten_event(true);
            let lines = lines.with_current_span(false).with_span_list(false);
            turnable(lines.finish().with(ours), level)
        }
    }
}

/// Behind a filter that can be changed. What it leaves out costs nothing where it would be logged, as before.
fn turnable<S>(lines: S, level: Level) -> (Dispatch, Turn)
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let (filter, handle) = reload::Layer::new(LevelFilter::from_level(level));
    // It fails only when the subscriber is gone, and with it the log.
    let turn = move |level| drop(handle.reload(LevelFilter::from_level(level)));
    (Dispatch::new(lines.with(filter)), Box::new(turn))
}

/// The way to the writing thread; every event goes through a clone.
#[derive(Clone, Debug)]
struct Queue {
    sender: SyncSender<Item>,
    format: LogFormat,
    reopen: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Item {
    /// With its importance to the system's log.
    Line(Vec<u8>, u8),
    Flush(SyncSender<()>),
}

impl Queue {
    #[cfg(test)]
    fn start(sink: Sink, format: LogFormat) -> io::Result<Queue> {
        Queue::start_with(sink, None, format)
    }

    fn start_with(sink: Sink, syslog: Option<Syslog>, format: LogFormat) -> io::Result<Queue> {
        let (sender, receiver) = sync_channel(LINES_MAX);
        let reopen = Arc::new(AtomicBool::new(false));
        let queue = Queue {
            sender,
            format,
            reopen: reopen.clone(),
        };
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write_lines(&receiver, sink, syslog, &reopen))?;
        Ok(queue)
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            queue: self,
            text: Vec::new(),
            severity: syslog::severity(Level::INFO),
        }
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Line<'a> {
        let mut line = self.make_writer();
        line.severity = syslog::severity(*meta.level());
        line
    }
}

/// One event on its way: collected, and queued when it is complete.
struct Line<'a> {
    queue: &'a Queue,
    text: Vec<u8>,
    severity: u8,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        if text.is_empty() {
            return;
        }
        let queued = one_line(text, self.queue.format).is_some_and(|line| self.send(line));
        if !queued {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Line<'_> {
    fn send(&self, line: Vec<u8>) -> bool {
        let item = Item::Line(line, self.severity);
        self.queue.sender.try_send(item).is_ok()
    }
}

/// One event is one line, whatever a client put into a value; `None` when JSON is too long to be kept whole.
fn one_line(mut text: Vec<u8>, format: LogFormat) -> Option<Vec<u8>> {
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    if text.contains(&b'\n') || text.contains(&b'\r') {
        let shown = String::from_utf8_lossy(&text)
            .replace('\n', "\\n")
            .replace('\r', "\\r");
        text = shown.into_bytes();
    }
    if text.len() > LINE_BYTES_MAX {
        if format == LogFormat::Json {
            return None;
        }
        let mut end = LINE_BYTES_MAX;
        // Not in the middle of a character: continuation bytes begin with the bits 10.
        while end > 0 && text.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
            end -= 1;
        }
        text.truncate(end);
        text.extend_from_slice("…".as_bytes());
    }
    text.push(b'\n');
    Some(text)
}

/// Where lines end up.
enum Sink {
    File(PathBuf, File),
    Stream(Box<dyn Write + Send>),
}

impl Sink {
    fn file(path: PathBuf) -> io::Result<Sink> {
        let file = append(&path).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot open the log file {}: {error}", path.display()),
            )
        })?;
        Ok(Sink::File(path, file))
    }

    /// The old file stays when the new one cannot be opened: a log in the wrong place beats none.
    fn reopen(&mut self) -> io::Result<()> {
        if let Sink::File(path, file) = self {
            *file = append(path)?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::File(_, file) => file.write_all(bytes),
            Sink::Stream(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

fn append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Lines written with one system call.
const BATCH_BYTES: usize = 64 << 10;

/// The writing thread: ends when the last [`Queue`] is gone.
fn write_lines(
    receiver: &Receiver<Item>,
    mut sink: Sink,
    mut syslog: Option<Syslog>,
    reopen: &AtomicBool,
) {
    let mut reported = dropped();
    let mut batch = Vec::new();
    while let Ok(first) = receiver.recv() {
        let mut lines = 0;
        let mut waiting = Vec::new();
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Item::Line(line, severity) => {
                    lines += 1;
                    if let Some(syslog) = &mut syslog
                        && syslog.send(severity, &line).is_err()
                    {
                        DROPPED.fetch_add(1, Ordering::Relaxed);
                    }
                    batch.extend_from_slice(&line);
                }
                Item::Flush(done) => waiting.push(done),
            }
            next = if batch.len() < BATCH_BYTES {
                receiver.try_recv().ok()
            } else {
                None
            };
        }
        if reopen.swap(false, Ordering::Relaxed) && sink.reopen().is_err() {
            tracing::warn!("the log file cannot be opened anew; the old one is written on");
        }
        if sink.write(&batch).is_err() {
            DROPPED.fetch_add(lines, Ordering::Relaxed);
        } else if dropped() > reported {
            let now = dropped();
            tracing::warn!(
                lines = now - reported,
                "log lines were dropped: the log is too slow or was not writable"
            );
            reported = now;
        }
        batch.clear();
        for done in waiting {
            let _ = done.try_send(());
        }
    }
}

#[cfg(test)]
mod tests;
