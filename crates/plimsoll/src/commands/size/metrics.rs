//! `plimsoll size --metrics`: from what a running pooler measured.

use super::{json, lines, need, print, verdict};
use crate::cli::{LogFormat, SizeArgs};
use crate::fetch;
use ::check::measured::{SCRAPE_BYTES_MAX, Scrape, Traffic, between, since_start};
use ::check::size::{Need, Sizing, size};
use anyhow::{Context, bail};
use std::fmt::Write as _;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

/// Fewer borrows are a small sample.
const FEW: u64 = 1_000;

/// Reads, computes for each pool, and says why.
pub(super) fn run(args: &SizeArgs) -> anyhow::Result<ExitCode> {
    let mut all: Vec<(Traffic, Sizing)> = Vec::new();
    for traffic in traffic(args)? {
        let sizing = sized(args, &traffic);
        all.push((traffic, sizing));
    }
    print(&match args.format {
        LogFormat::Text => text(args, &all),
        LogFormat::Json => format!("{}\n", objects(&all)),
    })?;
    let sizings: Vec<Sizing> = all.into_iter().map(|(_, sizing)| sizing).collect();
    Ok(verdict(&sizings))
}

/// What the pools' clients did. A recorded shape of traffic would come in here.
fn traffic(args: &SizeArgs) -> anyhow::Result<Vec<Traffic>> {
    let traffic = match args.metrics.as_slice() {
        [url] if is_url(url) => {
            let first = read(url)?;
            std::thread::sleep(args.span);
            between(&first, &read(url)?)
        }
        [file] => since_start(&read(file)?),
        [first, second] if !is_url(first) && !is_url(second) => {
            between(&read(first)?, &read(second)?)
        }
        _ => bail!("--metrics takes one URL, one saved page, or two of them in their order"),
    };
    traffic.map_err(|silence| anyhow::anyhow!("{silence}"))
}

fn is_url(place: &str) -> bool {
    place.contains("://")
}

fn read(place: &str) -> anyhow::Result<Scrape> {
    let bytes = match is_url(place) {
        true => fetch::page(place, SCRAPE_BYTES_MAX),
        false => file(place),
    };
    let bytes = bytes.with_context(|| place.to_owned())?;
    let text = String::from_utf8(bytes).with_context(|| format!("{place}: no text"))?;
    Scrape::read(&text).map_err(|silence| anyhow::anyhow!("{place}: {silence}"))
}

fn file(path: &str) -> anyhow::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        bail!("not a regular file");
    }
    let mut bytes = Vec::new();
    let most = SCRAPE_BYTES_MAX as u64 + 1;
    std::fs::File::open(path)?
        .take(most)
        .read_to_end(&mut bytes)?;
    if bytes.len() > SCRAPE_BYTES_MAX {
        bail!("longer than {} MiB", SCRAPE_BYTES_MAX >> 20);
    }
    Ok(bytes)
}

/// The arguments stand above what was measured.
fn sized(args: &SizeArgs, traffic: &Traffic) -> Sizing {
    let measured = need(args, traffic.rate, traffic.hold);
    let server = traffic.server.filter(|_| args.max_connections.is_none());
    let mut sizing = size(&Need {
        // Arrivals taken for random, hold times as they are.
        spread: args
            .spread
            .unwrap_or(f64::midpoint(1.0, traffic.hold_spread).max(0.5)),
        max_connections: server.map(|(max, _)| max).or(measured.max_connections),
        others: match (args.others, server) {
            (0, Some((_, others))) => others,
            (others, _) => others,
        },
        ..measured
    });
    sizing.reasons.insert(0, about(args, traffic));
    sizing.warnings.extend(doubts(args, traffic, &sizing));
    sizing
}

fn about(args: &SizeArgs, t: &Traffic) -> String {
    let since = match args.metrics.as_slice() {
        [one] if !is_url(one) => " since the pooler's start: an average over quiet hours too",
        _ => "",
    };
    let wait = match t.wait_p99 {
        Some(wait) => format!("at most {}", shown(wait)),
        None => "more than can be told".to_owned(),
    };
    format!(
        "measured: {} borrows in {}{since}; each held {} on average; 99 of 100 waited {wait}",
        t.borrows,
        shown(t.span),
        shown(t.hold)
    )
}

fn doubts(args: &SizeArgs, t: &Traffic, s: &Sizing) -> Vec<String> {
    let mut all = Vec::new();
    if t.borrows < FEW {
        all.push(format!(
            "{} borrows are few: measure for longer, at the peak (--for)",
            t.borrows
        ));
    }
    let late = t.wait_p99.is_none_or(|wait| wait > args.wait);
    if late || t.waiting > 0 {
        all.push(
            "clients waited: whoever gave up is not counted, so the demand is at least this"
                .to_owned(),
        );
    }
    if t.size > 0 && t.size < s.shared {
        all.push(format!("the pool has {} now", t.size));
    }
    all
}

fn text(args: &SizeArgs, all: &[(Traffic, Sizing)]) -> String {
    let mut out = String::new();
    for (t, s) in all {
        let now = match t.size {
            0 => String::new(),
            n => format!(" (now {n})"),
        };
        let _ = writeln!(
            out,
            "{}/{}: {} connections{now}",
            t.database, t.user, s.shared
        );
        if args.processes > 1 || args.surge > 0 {
            let _ = writeln!(
                out,
                "  {} in each process ({} in all), without a pooler",
                s.each, s.separate
            );
        }
        lines(s, &mut out);
    }
    if all.len() > 1 {
        let sum: u64 = all.iter().map(|(_, s)| s.shared).sum();
        let _ = writeln!(out, "{sum} connections in all pools together");
    }
    out
}

fn objects(all: &[(Traffic, Sizing)]) -> String {
    let quoted = ::check::render::quoted;
    let one = |(t, s): &(Traffic, Sizing)| {
        format!(
            "{{\"database\":{},\"user\":{},\"upstream\":{},\"seconds\":{:.3},\"borrows\":{},\"rate\":{:.3},\"hold_seconds\":{:.6},\"hold_spread\":{:.3},\"wait_p99_seconds\":{},\"size\":{},\"sizing\":{}}}",
            quoted(&t.database),
            quoted(&t.user),
            quoted(&t.upstream),
            t.span.as_secs_f64(),
            t.borrows,
            t.rate,
            t.hold.as_secs_f64(),
            t.hold_spread,
            t.wait_p99
                .map_or("null".to_owned(), |w| w.as_secs_f64().to_string()),
            t.size,
            json(s)
        )
    };
    let all: Vec<String> = all.iter().map(one).collect();
    format!("[{}]", all.join(","))
}

/// "20 ms", "1.5 s", "3.2 h".
fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (n, unit) = match seconds {
        s if s < 1.0 => (s * 1000.0, "ms"),
        s if s < 600.0 => (s, "s"),
        s if s < 7200.0 => (s / 60.0, "min"),
        s => (s / 3600.0, "h"),
    };
    let text = format!("{n:.1}");
    format!("{} {unit}", text.trim_end_matches(".0"))
}
