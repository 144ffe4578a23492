//! `plimsoll capture`: the traffic of a running pooler, in a file.

mod file;
mod statements;

use super::print;
use super::settings::{actor, moment, pooler};
use crate::cli::{CaptureArgs, LogFormat};
use anyhow::{Context, bail};
use control::api::{Client, ClientError, SeriesAnswer};
use control::measure::now_ms;
use events::shape::Shape;
use rehearse::captured::{Collector, Figures, head};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two readings: a pooler keeps its newest eight windows, one a second.
const PAUSE: Duration = Duration::from_secs(4);
/// Between two looks whether a person has had enough.
const STEP: Duration = Duration::from_millis(100);
/// A pooler that does not answer for so long is away.
const AWAY_MAX: Duration = Duration::from_secs(30);
/// Longest answer to one reading.
const PATIENCE: Duration = Duration::from_secs(10);
/// The command line is wrong.
const USAGE: u8 = 2;
/// It was written, but the capture ended before its time.
const PARTIAL: u8 = 3;
/// The file where none is named, and how large it is and may be.
const FILE: &str = "traffic.shape";
const SIZE_KIB: u64 = 512;
const SIZES_KIB: std::ops::RangeInclusive<u64> = 16..=1024;

/// Captures.
pub fn run(args: &CaptureArgs) -> anyhow::Result<ExitCode> {
    match (args.stop, args.statements) {
        (true, _) => statements::stop(args),
        (_, true) => statements::run(args),
        _ => shape(args),
    }
}

/// What the traffic looks like.
fn shape(args: &CaptureArgs) -> anyhow::Result<ExitCode> {
    let kib = args.size.unwrap_or(SIZE_KIB);
    if !SIZES_KIB.contains(&kib) {
        beside("error: --size: a file of 16 to 1024 KiB\n");
        return Ok(ExitCode::from(USAGE));
    }
    file::refuse_to_overwrite(output(args), args.force)?;
    let client = pooler(&args.pooler)?.with_patience(PATIENCE);
    let from = client.instance().context("no pooler can be captured")?;
    let mut capture = Capture::begin(client, args)?;
    let ended = capture.go_on();
    let whole = ended.is_ok();
    if let Err(why) = &ended {
        beside(&format!("the capture ended before its time: {why:#}\n"));
    }
    let lasted = capture.began.elapsed().as_secs().max(1);
    let lasted = u32::try_from(lasted).unwrap_or(u32::MAX);
    let began_s = u64::try_from(capture.began_ms / 1_000).unwrap_or(0);
    let bytes = usize::try_from(kib).unwrap_or(128) << 10;
    let collected = &capture.collector;
    // The head needs some room too.
    let shape = collected.shape(began_s, lasted, whole, bytes.saturating_sub(4 << 10));
    let Some(figures) = Figures::of(&shape) else {
        bail!("no request came in {lasted} s: nothing is written");
    };
    let place = format!("{}, plimsoll {}", from.instance, from.version);
    let text = shape.to_text_under(&head(&shape, &moment(capture.began_ms), &place));
    file::write(output(args), &text, args.force)?;
    say(args, &figures, text.len(), whole)?;
    Ok(match whole {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(PARTIAL),
    })
}

/// The file that is written.
fn output(args: &CaptureArgs) -> &Path {
    args.output.as_deref().unwrap_or(Path::new(FILE))
}

/// A capture under way.
struct Capture<'a> {
    client: Client,
    args: &'a CaptureArgs,
    collector: Collector,
    began: Instant,
    began_ms: i64,
    /// The newest second that was counted.
    counted_ms: i64,
    /// A person, or the system, ends it.
    stop: Arc<AtomicBool>,
}

impl Capture<'_> {
    /// The first reading says what time it is there, and that it may be read at all.
    fn begin(client: Client, args: &CaptureArgs) -> anyhow::Result<Capture<'_>> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let mut collector = Collector::new();
        let reading = read(&client, u64::MAX >> 1)?;
        collector.take(reading)?;
        let now = now_ms();
        Ok(Capture {
            client,
            args,
            collector,
            began: Instant::now(),
            began_ms: now,
            counted_ms: now,
            stop,
        })
    }

    /// Reads until the time is over.
    fn go_on(&mut self) -> anyhow::Result<()> {
        let shows = std::io::stderr().is_terminal();
        beside(&format!(
            "capturing for {} s; Ctrl-C ends it and keeps what was gathered\n",
            self.args.span.as_secs()
        ));
        let mut heard = Instant::now();
        loop {
            let left = self.args.span.saturating_sub(self.began.elapsed());
            let stopped = self.rest(left.min(PAUSE));
            match self.read() {
                Ok(()) => heard = Instant::now(),
                Err(why) if stopped || heard.elapsed() > AWAY_MAX || is_final(&why) => {
                    return Err(why);
                }
                // It may be back before the next reading.
                Err(_) => {}
            }
            if shows {
                self.progress(stopped || left.is_zero());
            }
            if stopped {
                bail!("it was stopped");
            }
            if left.is_zero() {
                return match heard.elapsed() > PAUSE {
                    true => bail!("the pooler did not answer at the end"),
                    false => Ok(()),
                };
            }
        }
    }

    /// Waits. True: a person has had enough.
    fn rest(&self, span: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < span && !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(STEP.min(span.saturating_sub(begun.elapsed())));
        }
        self.stop.load(Ordering::Relaxed)
    }

    fn read(&mut self) -> anyhow::Result<()> {
        let reading = read(&self.client, self.collector.since_us())?;
        self.collector.take(reading)?;
        let (from, until) = (self.counted_ms + 1, now_ms());
        let path = format!("/v1/series?step=second&from_ms={from}&until_ms={until}");
        // What is counted by the second may be switched off; the rest is not.
        let counted: Result<SeriesAnswer, ClientError> = self.client.get(&path);
        for sample in counted.iter().flat_map(|answer| &answer.samples) {
            if sample.at_ms > self.counted_ms {
                self.counted_ms = sample.at_ms;
                self.collector.count(sample);
            }
        }
        Ok(())
    }

    fn progress(&self, last: bool) {
        let (passed, all) = (self.began.elapsed().as_secs(), self.args.span.as_secs());
        let requests = self.collector.requests();
        let mut err = std::io::stderr().lock();
        let _ = write!(
            err,
            "\rcapturing: {passed} s of {all} s, {requests} requests recorded\x1b[K"
        );
        if last {
            let _ = writeln!(err);
        }
        let _ = err.flush();
    }
}

/// Waiting does not help.
fn is_final(why: &anyhow::Error) -> bool {
    let restarted = why.is::<rehearse::captured::ReadingError>();
    let never = |kind: &str| matches!(kind, "token" | "role" | "not_found");
    let refused = why.downcast_ref::<ClientError>();
    restarted || matches!(refused, Some(ClientError::Refused(error)) if never(&error.kind))
}

/// One reading.
fn read(client: &Client, since_us: u64) -> anyhow::Result<Shape> {
    let path = format!("/v1/traffic/shape?since_us={since_us}");
    let bytes = match client.bytes(&path) {
        Err(ClientError::Refused(error)) if error.kind == "not_found" => {
            bail!("this pooler is too old to be captured: it does not know /v1/traffic/shape")
        }
        other => other?,
    };
    let text = std::str::from_utf8(&bytes).context("the pooler's answer is no text")?;
    Shape::from_text(text).context("the pooler is of another version than this command")
}

/// What was written, and where.
fn say(args: &CaptureArgs, f: &Figures, bytes: usize, whole: bool) -> anyhow::Result<()> {
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    if args.pooler.format == LogFormat::Json {
        let said = serde_json::json!({
            "file": output(args),
            "bytes": bytes,
            "whole": whole,
            "requests": f.requests,
            "recorded": f.recorded,
            "seconds": f.over.as_secs_f64(),
            "rate": f.rate,
            "concurrency": f.concurrency,
            "hold_p50_ms": ms(f.hold_p50),
            "hold_p99_ms": ms(f.hold_p99),
            "classes": f.classes.len(),
        });
        return tell(args, &format!("{said}\n"));
    }
    let text = format!(
        "{}: {} KiB, {} requests recorded of {} in {:.0} s ({:.1}/s), {} classes\n\
         Held: {:.2} connections on average; p50 {:.2} ms, p99 {:.2} ms.\n\
         It holds names and statements without literals; no literal, no secret.\n",
        output(args).display(),
        bytes.div_ceil(1024),
        f.recorded,
        f.requests,
        f.over.as_secs_f64(),
        f.rate,
        f.classes.len(),
        f.concurrency,
        ms(f.hold_p50),
        ms(f.hold_p99),
    );
    tell(args, &text)
}

/// On standard output, unless the shape itself is there.
fn tell(args: &CaptureArgs, text: &str) -> anyhow::Result<()> {
    match file::is_standard_output(output(args)) {
        true => {
            beside(text);
            Ok(())
        }
        false => print(text),
    }
}

/// To a person, beside what is written.
fn beside(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
