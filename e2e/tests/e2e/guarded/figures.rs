//! The figures of guarded settings, in rounds: `E2E_FULL=1 cargo test --profile
//! test-fast -p plimsoll-e2e --test e2e guarded::figures -- --nocapture`.
//! Without `E2E_FULL` there is one round of each, with the same limits.

use super::{Guarded, MARKER};
use crate::common::{alone, full, number};
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::until;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Clients of the open load: as many as may be late at once.
const CLIENTS: u32 = 64;
/// Each client's time between two transactions that it means to begin.
const INTERVAL: Duration = Duration::from_millis(160);
/// From the intended begin: a healthy one takes about 25 ms.
const AFFECTED: Duration = Duration::from_millis(100);

/// Transactions that come whatever happens, 400 a second, 20 ms each with a
/// connection: eight connections are busy.
struct OpenLoad {
    stop: Arc<AtomicBool>,
    begun: Arc<AtomicU64>,
    affected: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl OpenLoad {
    fn start(guarded: &Guarded) -> OpenLoad {
        let load = OpenLoad {
            stop: Arc::default(),
            begun: Arc::default(),
            affected: Arc::default(),
            threads: Vec::new(),
        };
        let first = Instant::now();
        let threads = (0..CLIENTS).map(|n| {
            let (target, stop) = (guarded.target("app"), Arc::clone(&load.stop));
            let counts = [&load.begun, &load.affected].map(Arc::clone);
            let first = first + INTERVAL * n / CLIENTS;
            std::thread::spawn(move || on_time(&target, first, &stop, &counts))
        });
        let threads = threads.collect();
        OpenLoad { threads, ..load }
    }

    fn counts(&self) -> (u64, u64) {
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        (count(&self.begun), count(&self.affected))
    }

    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("no panic");
        }
    }
}

fn on_time(
    target: &Target,
    first: Instant,
    stop: &AtomicBool,
    [begun, affected]: &[Arc<AtomicU64>; 2],
) {
    let mut client = Client::login(target).expect("a login");
    let mut next = first;
    while !stop.load(Ordering::Relaxed) {
        let early = next.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            let _ = client.read_within(early);
        }
        begun.fetch_add(1, Ordering::Relaxed);
        let good = client.value("select pg_sleep(0.02)").is_ok();
        if !good || next.elapsed() > AFFECTED {
            affected.fetch_add(1, Ordering::Relaxed);
        }
        next += INTERVAL;
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

fn say(what: &str, unit: &str, all: &[f64], limit: f64) {
    let most = all.iter().copied().fold(0.0, f64::max);
    let text = format!(
        "{what}: median {:.2} {unit}, most {most:.2} {unit} of {} (goal: at most {limit} {unit})\n",
        median(all.to_vec()),
        all.len()
    );
    // Not `eprintln!`: the runner would keep it to itself.
    let _ = std::io::stderr().write_all(text.as_bytes());
    assert!(!text.contains(MARKER));
}

fn rounds() -> u64 {
    number("E2E_ROUNDS", if full() { 10 } else { 1 })
}

/// When each state of a version was entered, in seconds.
fn times(guarded: &Guarded, version: u64) -> Vec<(f64, String)> {
    let (_, text) = guarded.say(&["history", &version.to_string(), "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let events = value["events"].as_array().cloned().unwrap_or_default();
    let one = |e: &serde_json::Value| {
        let at = e[0].as_f64().unwrap_or_default() / 1000.0;
        (at, e[1].as_str().unwrap_or_default().to_owned())
    };
    events.iter().map(one).collect()
}

#[test]
fn a_cut_to_a_tenth_under_an_open_load() {
    let _alone = alone();
    let (mut seconds, mut share) = (Vec::new(), Vec::new());
    for _ in 0..rounds() {
        let guarded = Guarded::start("30", "");
        let load = OpenLoad::start(&guarded);
        until("a steady load", || (load.counts().0 > 4_000).then_some(()));
        let before = load.counts();
        let file = guarded.new_file("3", "");
        let (good, text) = guarded.say(&["apply", &file, "--yes", "--reason", "a slip"]);
        assert!(!good && text.contains("refused"), "{text}");
        let (good, text) = guarded.say(&[
            "apply",
            &file,
            "--yes",
            "--force",
            "--wait",
            "--reason",
            "I know better",
        ]);
        assert!(!good && text.contains("rolled back (hurts)"), "{text}");
        // A minute of the steady load, from before the change.
        let minute = u64::from(CLIENTS) * 60_000 / INTERVAL.as_millis() as u64;
        until("a minute of load", || {
            (load.counts().0 >= before.0 + minute.min(if full() { minute } else { 4_000 }))
                .then_some(())
        });
        let after = load.counts();
        load.end();
        let times = times(&guarded, 3);
        let at = |what: &str| {
            times
                .iter()
                .rev()
                .find(|(_, w)| w.starts_with(what))
                .map(|(t, _)| *t)
        };
        // The step that hurt began to serve at the earliest then.
        let hurt = times.iter().rev().find(|(_, w)| w.ends_with(" serves"));
        let (hurt, back) = (
            hurt.expect("a step").0,
            at("rolled_back").expect("the way back"),
        );
        seconds.push(back - hurt);
        share.push(100.0 * (after.1 - before.1) as f64 / minute as f64);
    }
    say(
        "cut to a tenth: from the step that hurts to the old values",
        "s",
        &seconds,
        10.0,
    );
    say(
        "cut to a tenth: transactions affected, of a minute's",
        "%",
        &share,
        1.0,
    );
    assert!(seconds.iter().all(|s| *s <= 10.0), "{seconds:?}");
}

#[test]
fn a_file_a_rescue_and_a_way_back() {
    let (mut seen, mut rescue, mut back) = (Vec::new(), Vec::new(), Vec::new());
    let deploy = "[settings]\nsource = \"deploy\"";
    for _ in 0..rounds() {
        let guarded = Guarded::start("2", deploy);
        guarded.overwrite("3", deploy);
        seen.push(guarded.wait_for_size("3").as_secs_f64());
        let mut holders: Vec<Client> = (0..3).map(|_| guarded.client()).collect();
        for holder in &mut holders {
            holder.query("begin").expect("begun");
        }
        let target = guarded.target("app");
        let waiter = std::thread::spawn(move || {
            let mut client = Client::login(&target).expect("a login");
            client.value("select 42").expect("served");
            Instant::now()
        });
        let file = guarded.new_file("9", deploy);
        let asked = Instant::now();
        let (good, text) = guarded.say(&["apply", &file, "--yes"]);
        assert!(good, "{text}");
        rescue.push(
            waiter
                .join()
                .expect("no panic")
                .duration_since(asked)
                .as_secs_f64(),
        );
        let asked = Instant::now();
        assert!(guarded.say(&["rollback", "--reason", "measured"]).0);
        assert_eq!(guarded.size(), "3");
        back.push(asked.elapsed().as_secs_f64());
        for holder in &mut holders {
            holder.query("commit").expect("nobody was dropped");
        }
    }
    say(
        "a watched file: from its writing to the new values",
        "s",
        &seen,
        2.0,
    );
    say(
        "more room in an outage: from the command to the waiter's answer",
        "s",
        &rescue,
        1.0,
    );
    say(
        "rollback: from the command to the old values",
        "s",
        &back,
        1.0,
    );
    for (all, limit) in [(&seen, 2.0), (&rescue, 1.0), (&back, 1.0)] {
        assert!(all.iter().all(|s| *s <= limit), "{all:?}");
    }
}
