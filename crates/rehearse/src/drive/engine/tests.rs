//! Runs against a server of the test's own: how they end, and what they connect.

use super::*;
use crate::drive::{Play, Socket};
use crate::expression::Variables;
use crate::scenario::{Connect, Protocol};
use crate::script::Script;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Answers each query, and counts.
#[derive(Default)]
struct Fake {
    logins: AtomicU64,
    byes: Arc<AtomicU64>,
    /// Every so many-th login is refused.
    refuses: u64,
}

impl Connector for Fake {
    fn connect(&self) -> Result<Link, String> {
        let login = self.logins.fetch_add(1, Ordering::SeqCst) + 1;
        if self.refuses > 0 && login.is_multiple_of(self.refuses) {
            return Err("53300 too many clients already".to_owned());
        }
        let (ours, mut theirs) = UnixStream::pair().map_err(|error| error.to_string())?;
        let byes = Arc::clone(&self.byes);
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok(many) = theirs.read(&mut buffer) {
                // One message at a time comes: a query, or the good-bye.
                match buffer[..many].first() {
                    Some(b'Q') => {
                        let answer = b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
                        theirs.write_all(answer).expect("written");
                    }
                    Some(b'X') => {
                        byes.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                    _ => return,
                }
            }
        });
        Ok(Link::new(Socket::Unix(ours), None))
    }
}

fn plan(connections: u32, connect: Connect, planned: Duration) -> Plan {
    let script = Script::parse("a", "select 1;", &[]).expect("a script");
    Plan {
        target: "fake".to_owned(),
        began_unix_s: 0,
        classes: vec![("a".to_owned(), Play::Script(script))],
        protocol: Protocol::Simple,
        variables: Variables::new(),
        connections,
        connect,
        timeout: Duration::from_secs(20),
        retries: 0,
        retry_after: Duration::ZERO,
        seed: 1,
        planned,
        stop: Arc::default(),
        trial: false,
    }
}

/// So many requests, two in a millisecond.
fn requests(many: u64) -> impl Iterator<Item = Due> {
    (0..many).map(|n| Due {
        at: Duration::from_micros(n * 500),
        class: 0,
        hold: None,
    })
}

fn played(fake: Fake, connect: Connect) -> (Run, Arc<Fake>) {
    let fake = Arc::new(fake);
    let connector: Arc<dyn Connector> = fake.clone();
    let plan = plan(4, connect, Duration::ZERO);
    let run = run(plan, &mut requests(100), &connector, &mut |_| Go::On);
    (run.expect("it runs"), fake)
}

#[test]
fn a_run_that_is_stopped_ends_at_once() {
    let connector: Arc<dyn Connector> = Arc::new(Fake::default());
    let mut plan = plan(1, Connect::Once, Duration::from_secs(3_600));
    plan.stop = Arc::new(AtomicBool::new(true));
    let mut looks = 0;
    let mut watch = |_: &Glance<'_>| {
        looks += 1;
        Go::On
    };
    let later = Due {
        at: Duration::from_secs(3_000),
        class: 0,
        hold: None,
    };
    let run = run(plan, &mut [later].into_iter(), &connector, &mut watch);
    assert_eq!(run.expect("it runs").ended, Ended::Interrupted);
    // Not at the next whole second, when somebody looks.
    assert_eq!(looks, 0);
}

#[test]
fn connections_are_opened_once_or_for_each_request() {
    for (connect, logins) in [(Connect::Once, 4), (Connect::Each, 101)] {
        let (run, fake) = played(Fake::default(), connect);
        assert_eq!((run.all.due, run.all.answered), (100, 100), "{connect:?}");
        assert_eq!(fake.logins.load(Ordering::SeqCst), logins, "{connect:?}");
        assert_eq!(run.connections.opened, logins, "{connect:?}");
        assert_eq!((run.connections.lost, run.connections.refused), (0, 0));
        assert!(run.connections.most <= 4, "{:?}", run.connections);
    }
}

#[test]
fn each_connection_of_one_request_is_said_good_bye_to() {
    let (_, fake) = played(Fake::default(), Connect::Each);
    // The last good-byes are still on their way.
    while fake.byes.load(Ordering::SeqCst) < 101 {
        std::thread::yield_now();
    }
    // How many stood at once is the run's to count: when the other side reads a good-bye is its own affair.
    assert_eq!(fake.byes.load(Ordering::SeqCst), 101);
}

#[test]
fn a_login_that_is_refused_is_the_failure_of_its_request() {
    let fake = Fake {
        refuses: 5,
        ..Fake::default()
    };
    let (run, _) = played(fake, Connect::Each);
    // The first login only shows that one can be had: of 101 twenty are refused.
    assert_eq!((run.all.due, run.all.answered), (100, 80));
    let failure = Failure::Server("53300".to_owned());
    assert_eq!(run.all.failed.get(&failure), Some(&20));
    assert_eq!((run.connections.opened, run.connections.refused), (81, 20));
}
