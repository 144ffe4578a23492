//! Online restarts and reloads under load: nothing fails, and what it costs is stated.
//!
//! A hundred of each: `E2E_FULL=1 cargo test --profile test-fast -p plimsoll-e2e --test e2e restarts -- --nocapture
//! --test-threads 1`. Without `E2E_FULL` there are three, with the same limits.

mod load;

use crate::common::{alone, database, full, number, server, skip};
use load::{CLIENTS, Figures, Load};
use plimsoll_e2e::pooler::Binary;
use plimsoll_e2e::raw::{Client, Target};
use plimsoll_e2e::sandbox::{Dir, Process, RunAs, free_port, until};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

/// Requests between two steps.
const STEADY: u64 = 500;

/// Where one process after the other serves.
struct Home {
    dir: Dir,
    binary: Binary,
    port: u16,
    metrics: u16,
    database: String,
}

impl Home {
    /// `None` where another pooler stands in.
    fn new(name: &str) -> Option<Home> {
        let binary = Binary::find();
        if binary.is_pgbouncer {
            skip(name, "another way of restarting");
            return None;
        }
        let home = Home {
            dir: Dir::new("restarts", RunAs::myself()),
            binary,
            port: free_port(),
            metrics: free_port(),
            database: database(name),
        };
        home.write(20);
        Some(home)
    }

    fn write(&self, size: u32) {
        let text = format!(
            "[listen]\ntcp = [\"127.0.0.1:{port}\"]\nunix = \"{at}\"\n[process]\npid_file = \"{at}/pid\"\n\
             [metrics]\nlisten = \"127.0.0.1:{metrics}\"\n[state]\ndirectory = \"{at}/state\"\n\
             [auth]\ntype = \"trust\"\nadmin_users = [\"admin\"]\n[pool]\nsize = {size}\n\
             [timeouts]\ndrain = \"20s\"\n\
             [database.{name}]\nhost = \"127.0.0.1\"\nport = {server}\n\
             [[user]]\nname = \"app\"\n[[user]]\nname = \"admin\"\n",
            at = self.dir.path().display(),
            port = self.port,
            metrics = self.metrics,
            name = self.database,
            server = server().port(),
        );
        std::fs::write(self.dir.path().join("plimsoll.toml"), text).expect("written");
    }

    fn target(&self) -> Target {
        Target::tcp("127.0.0.1", self.port, &self.database, "app")
    }

    fn log(&self, n: u64) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("log.{n}"))).unwrap_or_default()
    }

    fn start(&self, n: u64, words: &[&str]) -> Process {
        let mut command = Command::new(&self.binary.path);
        let file = self.dir.path().join("plimsoll.toml");
        command.arg("run").arg(file).args(words);
        let log = self.dir.path().join(format!("log.{n}"));
        Process::start(&mut command, &log, None).expect("it starts")
    }

    /// Process `n` has the PID file: it serves, and nothing stands in its way.
    fn until_serving(&self, n: u64, process: &mut Process) {
        until("a process that serves", || {
            if let Some(end) = process.exited() {
                panic!("it ended: {end:?}\n{}", self.log(n));
            }
            let pid = std::fs::read_to_string(self.dir.path().join("pid")).unwrap_or_default();
            let is_it = pid.trim() == process.pid().to_string();
            let is_it = is_it && self.log(n).contains("can be taken over");
            is_it.then_some(())
        });
    }

    fn first(&self) -> Process {
        let mut process = self.start(0, &[]);
        self.until_serving(0, &mut process);
        process
    }

    fn takes_over(&self, n: u64, patience: &str) -> Process {
        let mut process = self.start(n, &[&format!("--takeover={patience}")]);
        self.until_serving(n, &mut process);
        process
    }

    fn console(&self) -> Client {
        Client::login(&Target::tcp("127.0.0.1", self.port, "pgbouncer", "admin")).expect("console")
    }

    fn pool_size(&self) -> String {
        let rows = self.console().rows("show config").expect("config");
        let row = rows.iter().find(|row| row[0] == "default_pool_size");
        row.expect("the key")[1].clone()
    }
}

/// What came of each round.
struct Table {
    text: String,
    all: Figures,
    /// 99th percentiles of the rounds, and their longest, in milliseconds.
    p99: Vec<f64>,
    longest: f64,
}

impl Table {
    fn new(quiet: &Figures) -> Table {
        let mut table = Table {
            text: "\n| round | requests | failed | p50 ms | p99 ms | longest ms | what |\n\
                   |---|---|---|---|---|---|---|\n"
                .to_owned(),
            all: Figures::default(),
            p99: Vec::new(),
            longest: 0.0,
        };
        table.row("nothing", quiet, "nothing happens");
        table
    }

    fn row(&mut self, round: &str, figures: &Figures, what: &str) {
        let [p50, p99, longest] = [50, 99, 100].map(|percent| figures.percentile(percent));
        let (requests, failed) = (figures.micros.len(), figures.failed);
        let _ = writeln!(
            self.text,
            "| {round} | {requests} | {failed} | {p50:.1} | {p99:.1} | {longest:.0} | {what} |"
        );
    }

    fn round(&mut self, n: u64, figures: Figures, what: &str) {
        self.row(&n.to_string(), &figures, what);
        self.p99.push(figures.percentile(99));
        self.longest = self.longest.max(figures.percentile(100));
        self.all.add(figures);
    }

    /// Tells all, and judges.
    fn end(mut self, load: &Load) {
        let all = std::mem::take(&mut self.all);
        self.row("all", &all, "all rounds");
        self.p99.sort_by(f64::total_cmp);
        let at =
            |percent: usize| self.p99[(self.p99.len() * percent / 100).min(self.p99.len() - 1)];
        let _ = writeln!(
            self.text,
            "p99 of the rounds: median {:.1} ms, worst {:.1} ms; {CLIENTS} clients; {} rows astray",
            at(50),
            at(100),
            load.rows_astray(),
        );
        // Not `eprintln!`: the test runner would keep that to itself when the test passes.
        let _ = writeln!(std::io::stderr(), "{}", self.text);
        assert_eq!(all.failed, 0, "{:#?}", all.texts);
        assert_eq!(load.rows_astray(), 0);
        // Far above what was measured: machines that run tests do other things too.
        assert!(self.longest < 5_000.0, "{} ms", self.longest);
    }
}

fn rounds(name: &str) -> u64 {
    number(name, if full() { 100 } else { 3 })
}

#[test]
fn no_query_fails_while_processes_take_over_from_each_other() {
    let _alone = alone();
    let Some(home) = Home::new("restarts_online") else {
        return;
    };
    let load = Load::new(server(), home.target());
    let mut serving = home.first();
    load.during(|| {
        load.more(STEADY);
        load.phase();
        load.more(STEADY * 4);
        let mut table = Table::new(&load.phase());
        for n in 1..=rounds("RESTARTS") {
            let begun = Instant::now();
            let new = home.takes_over(n, "20s");
            let took = begun.elapsed();
            let mut old = std::mem::replace(&mut serving, new);
            let end = old.wait("the end of the old process");
            let left = begun.elapsed();
            assert_eq!(end.code(), Some(0), "{}", home.log(n - 1));
            load.more(STEADY);
            let what = format!(
                "serves after {} ms, the old one ends after {} ms",
                took.as_millis(),
                left.as_millis()
            );
            table.round(n, load.phase(), &what);
            let log = home.log(n);
            assert!(
                log.contains("history="),
                "it has the state directory: {log}"
            );
            assert!(!log.contains("panic") && !log.contains("ERROR"), "{log}");
        }
        table.end(&load);
    });
}

#[test]
fn no_query_fails_while_reloads_change_the_size_of_the_pool() {
    let _alone = alone();
    let Some(home) = Home::new("restarts_reloads") else {
        return;
    };
    let load = Load::new(server(), home.target());
    // Half the size is what the guards are there to refuse: here they only watch.
    let mut serving = home.start(0, &["--guards", "observe"]);
    home.until_serving(0, &mut serving);
    load.during(|| {
        load.more(STEADY);
        load.phase();
        load.more(STEADY * 4);
        let mut table = Table::new(&load.phase());
        for n in 1..=rounds("RELOADS") {
            let size = if n % 2 == 1 { 8 } else { 20 };
            home.write(size);
            let begun = Instant::now();
            home.console().rows("reload").expect("reload");
            until("the new size", || {
                (home.pool_size() == size.to_string()).then_some(())
            });
            let took = begun.elapsed();
            load.more(STEADY);
            let what = format!("size {size} after {} ms", took.as_millis());
            table.round(n, load.phase(), &what);
        }
        table.end(&load);
    });
}

#[test]
fn who_stays_is_served_by_the_old_process_until_its_patience_is_over() {
    let Some(home) = Home::new("restarts_patience") else {
        return;
    };
    let mut old = home.first();
    let mut idle = Client::login(&home.target()).expect("login");
    let mut busy = Client::login(&home.target()).expect("login");
    busy.query("begin").expect("begin");
    let mut new = home.takes_over(1, "1s");
    // New clients meet the new process, by TCP and by path.
    let socket = home.dir.path().join(format!(".s.PGSQL.{}", home.port));
    for target in [home.target(), Target::unix(socket, &home.database, "app")] {
        let mut client = Client::login(&target).expect("login");
        assert_eq!(client.value("select 1").expect("an answer"), "1");
    }
    assert_eq!(busy.value("select 2").expect("an answer"), "2");
    let farewell = idle.read().expect("a farewell");
    assert_eq!(farewell.fields().code(), "57P01");
    // A transaction may end, within timeouts.drain.
    assert_eq!(old.exited(), None);
    busy.query("commit").expect("commit");
    assert_eq!(old.wait("the end of the old process").code(), Some(0));
    // What it left is the new one's: the socket's path and the PID file.
    let mut third = home.takes_over(2, "1s");
    assert_eq!(new.wait("the end of the second one").code(), Some(0));
    third.signal("TERM");
    assert_eq!(third.wait("the end of the third one").code(), Some(0));
    let left = std::fs::read_dir(home.dir.path()).expect("read");
    let names = left.flatten().map(|entry| entry.file_name());
    let mut names: Vec<_> = names
        .filter(|name| !name.to_string_lossy().contains("log"))
        .collect();
    names.sort();
    assert_eq!(names, ["plimsoll.toml", "state"]);
}

#[test]
fn a_process_that_cannot_start_leaves_the_old_one_serving() {
    let Some(home) = Home::new("restarts_broken") else {
        return;
    };
    let mut old = home.first();
    let mut client = Client::login(&home.target()).expect("login");
    // Mistakes are found before anything is asked for.
    let file = home.dir.path().join("plimsoll.toml");
    let good = std::fs::read_to_string(&file).expect("read");
    std::fs::write(&file, format!("{good}[nonsense]\n")).expect("written");
    let mut broken = home.start(1, &["--takeover"]);
    assert_eq!(broken.wait("an end").code(), Some(1));
    assert!(!home.log(0).contains("taken over: "), "{}", home.log(0));
    // This one takes over, and then finds a port in use.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let other = taken.local_addr().expect("an address");
    let own = format!("\"127.0.0.1:{}\"", home.port);
    let more = good.replacen(&own, &format!("{own}, \"{other}\""), 1);
    std::fs::write(&file, more).expect("written");
    let mut fails = home.start(2, &["--takeover"]);
    assert_eq!(fails.wait("an end").code(), Some(1), "{}", home.log(2));
    until("the old one's regret", || {
        home.log(0).contains("not taken over").then_some(())
    });
    assert_eq!(old.exited(), None);
    assert_eq!(client.value("select 1").expect("served on"), "1");
    assert!(Client::login(&home.target()).is_ok(), "{}", home.log(0));
    // And it can be taken over again.
    std::fs::write(&file, &good).expect("written");
    let _new = home.takes_over(3, "1s");
    assert_eq!(old.wait("the end of the old process").code(), Some(0));
    assert!(home.log(3).contains("history="), "{}", home.log(3));
}

#[test]
fn where_nobody_serves_a_takeover_is_an_ordinary_start() {
    let Some(home) = Home::new("restarts_alone") else {
        return;
    };
    let mut process = home.start(0, &["--takeover"]);
    home.until_serving(0, &mut process);
    assert!(home.log(0).contains("an ordinary start"), "{}", home.log(0));
    assert!(Client::login(&home.target()).is_ok());
    process.signal("TERM");
    assert_eq!(process.wait("an end").code(), Some(0));
}
