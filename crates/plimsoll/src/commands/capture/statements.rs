//! `plimsoll capture --statements`: what clients send, with every value in it.
//!
//! The file is its owner's alone from its first byte on. It grows beside its name, with
//! `.part` at the end, and gets the name when it is whole. The lines of sessions that
//! are left out are in no file that stays.

use super::{PARTIAL, USAGE, actor, beside, file, moment, pooler, print};
use crate::cli::{CaptureArgs, LogFormat};
use anyhow::{Context, bail};
use control::api::{ActionDone, CaptureAsk, Client, ClientError, StopAsk};
use control::measure::now_ms;
use events::tap::{BYTES_MAX, Reason, Records, SPAN_MAX};
use rehearse::statements::{End, LINE_MAX, LeftOut, Writer, head, session_of};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The file where none is named.
const FILE: &str = "traffic.statements";
/// What clients may send where nothing is said, KiB.
const SIZE_KIB: u64 = 256 << 10;
/// A pooler from which nothing comes for so long is away: a sign of life comes each second.
const AWAY_MAX: Duration = Duration::from_secs(20);
/// How often a person is told.
const SHOW: Duration = Duration::from_secs(1);

const CAPTURE: &str = "/v1/traffic/statements";
const STOP: &str = "/v1/traffic/statements/stop";

/// Ends the capture that runs, whoever began it.
pub(super) fn stop(args: &CaptureArgs) -> anyhow::Result<ExitCode> {
    let done = end(&pooler(&args.pooler)?)?;
    match args.pooler.format {
        LogFormat::Json => print(&format!("{}\n", serde_json::to_string(&done)?))?,
        LogFormat::Text => print(&format!("{}\n", done.text))?,
    }
    Ok(match done.done {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn end(client: &Client) -> Result<ActionDone, ClientError> {
    client.post(STOP, &StopAsk { actor: actor() })
}

/// Captures.
pub(super) fn run(args: &CaptureArgs) -> anyhow::Result<ExitCode> {
    let path = args.output.as_deref().unwrap_or(Path::new(FILE));
    let bytes = args.size.unwrap_or(SIZE_KIB).saturating_mul(1 << 10);
    let wrong = match () {
        () if args.span > SPAN_MAX => "--for: statements are captured for 1h at most",
        () if !(64 << 10..=BYTES_MAX).contains(&bytes) => "--size: from 64KiB to 4GiB",
        () if file::is_standard_output(path) => {
            "--output: statements go into a file, which nobody else may read"
        }
        () => "",
    };
    if !wrong.is_empty() {
        beside(&format!("error: {wrong}\n"));
        return Ok(ExitCode::from(USAGE));
    }
    file::refuse_to_overwrite(path, args.force)?;
    let client = pooler(&args.pooler)?;
    let from = client.instance().context("no pooler can be captured")?;
    let place = format!("{}, plimsoll {}", from.instance, from.version);
    let mut capture = Capture::begin(path, &place)?;
    let ask = CaptureAsk {
        seconds: args.span.as_secs().max(1),
        bytes,
        actor: actor(),
    };
    if let Err(why) = capture.listen(&client, &ask) {
        let refused = why.downcast_ref::<ClientError>();
        match refused {
            Some(ClientError::Refused(e)) if e.kind == "not_found" => {
                bail!("this pooler is too old: it does not know {CAPTURE}")
            }
            // There was no capture.
            _ if capture.heard.is_none() => return Err(why),
            _ => beside(&format!("the capture ended before its time: {why:#}\n")),
        }
    }
    capture.finish(path, args)
}

/// Endings of files that are not yet whole: all that comes, and that without who is left out.
const FIRST: &str = "part";
const SECOND: &str = "part2";

/// A capture under way.
struct Capture {
    part: Part,
    to: BufWriter<File>,
    writer: Writer,
    records: Records,
    lines: String,
    /// How often a person, or the system, wanted its end.
    signals: Arc<AtomicUsize>,
    /// When something came last.
    heard: Option<Instant>,
    begun: Instant,
    shown: Instant,
    flushed: Instant,
}

impl Capture {
    fn begin(path: &Path, place: &str) -> anyhow::Result<Capture> {
        let signals = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&signals);
        let mut caught = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                caught.forever().for_each(|_| {
                    count.fetch_add(1, Ordering::Relaxed);
                });
            })?;
        // Known before the capture, not after it.
        let second = Part::place(path, SECOND);
        if second.exists() {
            return Err(in_the_way(&second));
        }
        let (part, out) = Part::create(path, FIRST)?;
        let mut to = BufWriter::with_capacity(1 << 20, out);
        let began = moment(now_ms());
        to.write_all(head(&began, place, &actor()).as_bytes())?;
        to.write_all(Writer::header(&began, place).as_bytes())?;
        Ok(Capture {
            part,
            to,
            writer: Writer::default(),
            records: Records::default(),
            lines: String::new(),
            signals,
            heard: None,
            begun: Instant::now(),
            shown: Instant::now(),
            flushed: Instant::now(),
        })
    }

    /// Takes what the pooler sends until it says that it is the end.
    fn listen(&mut self, client: &Client, ask: &CaptureAsk) -> anyhow::Result<()> {
        let mut wrong = None;
        let mut stopping = 0;
        let shows = std::io::stderr().is_terminal();
        let result = client.post_on(CAPTURE, ask, &mut |bytes| {
            let taken = self.take(bytes);
            let wanted = self.signals.load(Ordering::Relaxed);
            if wanted > stopping {
                stopping = wanted;
                let client = client.clone();
                // On a thread of its own: this one is in the midst of an answer.
                let stopped = std::thread::spawn(move || end(&client)).join();
                // Who is asked twice, or cannot have it ended there, ends it here.
                if wanted > 1 || !matches!(stopped, Ok(Ok(_))) {
                    wrong = Some(anyhow::anyhow!("it was stopped"));
                }
            }
            if let Err(why) = taken {
                wrong = Some(why);
            }
            if shows && self.shown.elapsed() > SHOW {
                self.show();
            }
            wrong.is_none() && self.writer.over().is_none()
        });
        if shows {
            self.show();
            beside("\n");
        }
        match (wrong, result) {
            (Some(why), _) => Err(why),
            (None, Err(why)) => Err(why.into()),
            (None, Ok(())) if self.writer.over().is_none() => bail!("the pooler went away"),
            (None, Ok(())) => Ok(()),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if bytes.is_empty() {
            let away = self.heard.unwrap_or(self.begun).elapsed();
            if away > AWAY_MAX {
                bail!("the pooler did not answer for {} s", away.as_secs());
            }
            let written = self.to.flush();
            return written.with_context(|| format!("cannot write {}", self.part.path.display()));
        }
        self.heard = Some(Instant::now());
        self.records.push(bytes);
        while let Some(record) = self.records.next()? {
            self.writer.take(record, &mut self.lines);
        }
        let mut written = self.to.write_all(self.lines.as_bytes());
        self.lines.clear();
        // Also where something always comes: a person may look at what is there.
        if self.flushed.elapsed() > SHOW {
            self.flushed = Instant::now();
            written = written.and_then(|()| self.to.flush());
        }
        written.with_context(|| format!("cannot write {}", self.part.path.display()))
    }

    fn show(&mut self) {
        self.shown = Instant::now();
        let (sessions, messages) = self.writer.counts();
        beside(&format!(
            "\rcapturing statements with their values: {} s, {sessions} sessions, {messages} messages\x1b[K",
            self.begun.elapsed().as_secs()
        ));
    }

    /// Gives the file its name, without those who are left out.
    fn finish(mut self, path: &Path, args: &CaptureArgs) -> anyhow::Result<ExitCode> {
        let end = self.writer.end();
        if end.sessions == 0 {
            bail!(
                "nothing was captured, and nothing is written: {} sessions were left out, {} \
                 clients were never at rest before they sent something",
                end.left_out.values().sum::<u32>(),
                end.untaken
            );
        }
        let size = match self.name(path, args, &end) {
            Ok(size) => size,
            Err(why) => {
                // What was captured for an hour is not thrown away for a name or for room.
                self.part.kept = true;
                return Err(why).with_context(|| {
                    format!(
                        "what was captured is in {}: it holds statements with their values",
                        self.part.path.display()
                    )
                });
            }
        };
        say(path, args, &end, self.writer.left_out(), size)?;
        Ok(match end.whole {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(PARTIAL),
        })
    }

    /// Takes out who was left out, ends the file, and gives it its name. Its length.
    fn name(&mut self, path: &Path, args: &CaptureArgs, end: &End) -> anyhow::Result<u64> {
        let cannot = || format!("cannot write {}", path.display());
        self.to.flush().with_context(cannot)?;
        let left_out = self.writer.left_out();
        if !left_out.is_empty() {
            let (clean, out) = Part::create(path, SECOND)?;
            let mut to = BufWriter::with_capacity(1 << 20, out);
            without(&self.part.path, left_out, &mut to).with_context(cannot)?;
            (self.part, self.to) = (clean, to);
        }
        self.to
            .write_all(end.line().as_bytes())
            .with_context(cannot)?;
        self.to.flush().with_context(cannot)?;
        let file = self.to.get_ref();
        file.sync_all().with_context(cannot)?;
        let size = file.metadata().with_context(cannot)?.len();
        file::put(&self.part.path, path, args.force).with_context(cannot)?;
        // Its name may be another's from now on.
        self.part.kept = true;
        Ok(size)
    }
}

/// Copies the lines of all but these sessions.
fn without(
    from: &Path,
    left_out: &BTreeMap<u32, LeftOut>,
    to: &mut impl Write,
) -> std::io::Result<()> {
    let mut from = BufReader::with_capacity(1 << 20, File::open(from)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut from).take(2 * LINE_MAX as u64);
        if bounded.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if session_of(&line).is_none_or(|session| !left_out.contains_key(&session)) {
            to.write_all(&line)?;
        }
    }
}

/// A file that is not yet whole. It goes with the command, unless it is to be kept.
struct Part {
    path: PathBuf,
    kept: bool,
}

impl Part {
    fn create(path: &Path, ending: &str) -> anyhow::Result<(Part, File)> {
        let path = Part::place(path, ending);
        let mut options = File::options();
        let opened = options.write(true).create_new(true).mode(0o600).open(&path);
        match opened {
            Ok(file) => Ok((Part { path, kept: false }, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(in_the_way(&path)),
            Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }

    fn place(path: &Path, ending: &str) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(ending);
        PathBuf::from(name)
    }
}

fn in_the_way(path: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "{} is there: another capture runs, or one was ended by force; it holds statements with \
         their values, so delete it",
        path.display()
    )
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// What was written, what is not in it, and what to do with it.
fn say(
    path: &Path,
    args: &CaptureArgs,
    end: &End,
    left_out: &BTreeMap<u32, LeftOut>,
    size: u64,
) -> anyhow::Result<()> {
    let seconds = end.lasted / 1_000_000;
    if args.pooler.format == LogFormat::Json {
        let said = serde_json::json!({
            "file": path,
            "bytes": size,
            "end": end.end,
            "whole": end.whole,
            "seconds": seconds,
            "sessions": end.sessions,
            "messages": end.messages,
            "left_out": end.left_out,
            "untaken": end.untaken,
        });
        return print(&format!("{said}\n"));
    }
    let mut text = format!(
        "{}: {} KiB, {} sessions, {} messages in {seconds} s; it ended because {}\n",
        path.display(),
        size.div_ceil(1024),
        end.sessions,
        end.messages,
        match Reason::from_label(&end.end) {
            Some(reason) => reason.to_string(),
            None => "the pooler went away".to_owned(),
        },
    );
    let mut whys: BTreeMap<LeftOut, u32> = BTreeMap::new();
    left_out
        .values()
        .for_each(|why| *whys.entry(*why).or_default() += 1);
    for (why, many) in whys {
        text.push_str(&format!("Left out: {many} sessions, because {why}.\n"));
    }
    if end.untaken > 0 {
        text.push_str(&format!(
            "Not taken: {} clients, which were never at rest before they sent something.\n",
            end.untaken
        ));
    }
    text.push_str(
        "It holds EVERY VALUE that clients sent: keep it as a dump of the database, never in \
         git, and delete it after use.\n",
    );
    print(&text)
}
