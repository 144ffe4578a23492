//! The page at its full size, in a real browser: 500 pools and 10,000 leases, each second new.

use super::*;
use crate::live::tests::{full, full_statements};
use crate::live::{Feed, Second};
use events::{Acted, ClientAct, LeaseStatement};
use std::process::Command;

/// How long each view is looked at, seconds.
const LOOK_S: u64 = 20;

/// A data plane that holds 10,000 leases and does nothing.
struct Holds;

impl Hands for Holds {
    fn act(&self, _: u64, _: ClientAct) -> Acted {
        Acted::Gone
    }

    fn statements(&self, clients: &[u64]) -> Vec<LeaseStatement> {
        full_statements(clients)
    }

    fn pause(&self, _: Option<&str>) -> Result<(), String> {
        Ok(())
    }

    fn resume(&self, _: Option<&str>) -> Result<(), String> {
        Ok(())
    }
}

/// Processor time of this process so far, milliseconds; `man 5 proc_pid_stat`.
fn processor_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let mut fields = after_name.split_whitespace();
    let mut ticks = |at| -> u64 { fields.nth(at).unwrap().parse().unwrap() };
    // User time is the twelfth field from here, system time the next.
    (ticks(11) + ticks(0)) * 10
}

/// `PLIMSOLL_BROWSER_MODULES=DIR cargo test -p plimsoll-control --release --lib -- --ignored
/// --nocapture a_browser_at`; the end-to-end tests make such a DIR, `target/e2e-drivers/browser`.
#[test]
#[ignore = "a measurement, with a browser"]
#[allow(clippy::print_stdout)]
fn a_browser_at_full_size_stays_smooth() {
    let feed = Feed::default();
    let all = Parts {
        feed: Some(feed.clone()),
        hands: Some(Arc::new(Holds) as Arc<dyn Hands>),
        ..parts()
    };
    let server = server_of("load", all, Bounds::default());
    server.settings.lock().unwrap().anonymous = config::Anonymous::Viewer;
    let seconds: Vec<Arc<Snapshot>> = (2_000..2_003).map(|v| Arc::new(full(v))).collect();
    let mut version = 0;
    let mut put = || {
        let pick = |n: u64| Arc::clone(&seconds[n as usize % seconds.len()]);
        feed.put(Second {
            at_ms: 1_700_000_000_000 + version as i64 * 1_000,
            before: Some(pick(0)),
            now: pick(1 + version % 2),
            ..Second::default()
        });
        version += 1;
    };
    put();
    let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/drivers/smooth.mjs");
    let page = format!("http://{}/", server.api().address().unwrap());
    let mut looking = Command::new("node")
        .args([driver, &page, &LOOK_S.to_string()])
        .spawn()
        .expect("node");
    let (begun, before) = (std::time::Instant::now(), processor_ms());
    let (tell, ended) = std::sync::mpsc::channel();
    let waits = std::thread::spawn(move || tell.send(looking.wait()));
    // A second for each second, until it has seen enough.
    let end = loop {
        match ended.recv_timeout(Duration::from_secs(1)) {
            Ok(end) => break end.unwrap(),
            Err(_) => put(),
        }
    };
    waits.join().unwrap().unwrap();
    let share = (processor_ms() - before) as f64 / begun.elapsed().as_secs_f64() / 10.0;
    println!("server: {share:.2} % of a core, {version} seconds, 500 pools, 10,000 leases");
    assert!(end.success(), "{end}");
    // Without optimisation it says little.
    assert!(cfg!(debug_assertions) || share <= 1.0, "over 1 % of a core");
}
