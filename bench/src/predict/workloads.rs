//! Workloads, each with its old settings and the changes to them.

/// Who asks.
#[derive(Clone, Copy)]
pub enum Clients {
    /// So many of pgbench's, with this script.
    Pgbench {
        clients: u32,
        script: &'static str,
        /// Transactions a second in all, whatever becomes of them; 0: as fast as they can.
        rate: u32,
    },
    /// So many threads that each ask, and pause; a refusal does not end them. Milliseconds; pauses are drawn
    /// exponentially.
    Threads {
        clients: u32,
        sql: &'static str,
        pause_ms: u32,
    },
    /// New clients, so many a second on average, in bursts of so many; each asks once.
    Comers {
        rate: u32,
        burst: u32,
        sql: &'static str,
    },
}

/// The settings that are varied.
#[derive(Clone, Copy)]
pub struct Settings {
    pub size: u32,
    /// Of the second database, where there is one.
    pub other_size: Option<u32>,
    pub line: u32,
    pub wait_ms: u32,
    pub queue_max: u32,
}

impl Settings {
    /// The pools, as the settings file has them.
    pub fn toml(&self, port: u16) -> String {
        let database = crate::DATABASE;
        let mut text = format!(
            "[pool]\nmode = \"transaction\"\nsize = {}\nqueue_max = {}\n[server]\nline = {}\n\
             [timeouts]\nquery_wait = \"{}ms\"\n[database.{database}]\nhost = \"127.0.0.1\"\nport = {port}\n",
            self.size, self.queue_max, self.line, self.wait_ms
        );
        if let Some(size) = self.other_size {
            text += &format!(
                "[database.other]\nhost = \"127.0.0.1\"\nport = {port}\ndbname = \"{database}\"\npool_size = {size}\n"
            );
        }
        text
    }
}

/// A change: its name, and what it does.
pub type Change = (&'static str, fn(&mut Settings));

pub struct Workload {
    pub name: &'static str,
    /// In names of files.
    pub key: &'static str,
    pub clients: Clients,
    /// Of the second database.
    pub others: Option<Clients>,
    /// The record begins with a quieter time.
    pub quiet: bool,
    pub old: Settings,
    pub changes: &'static [Change],
}

const fn settings(size: u32) -> Settings {
    Settings {
        size,
        other_size: None,
        line: 60,
        wait_ms: 30_000,
        queue_max: 10_000,
    }
}

const SELECT: &str =
    "\\set aid random(1, 1000000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n";
const TPCB: &str = "\\set aid random(1, 1000000)\n\\set bid random(1, 10)\n\\set tid random(1, 100)\n\\set delta random(-5000, 5000)\n\
BEGIN;\nUPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;\n\
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n\
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;\n\
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;\n\
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);\nEND;\n";
const SLEEP: &str = "SELECT pg_sleep(0.02);\n";
const THINK_IN: &str = "\\set aid random(1, 1000000)\n\\set ms random_exponential(1, 60, 4)\n\\set pause random_exponential(1, 200, 4)\n\
BEGIN;\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n\\sleep :ms ms\n\
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;\nEND;\n\\sleep :pause ms\n";
const THINK_OUT: &str = "\\set pause random_exponential(1, 600, 4)\n\\set us random_exponential(1000, 100000, 5)\n\
SELECT pg_sleep(:us * 0.000001);\n\\sleep :pause ms\n";
const RATED: &str =
    "\\set us random_exponential(1000, 100000, 5)\nSELECT pg_sleep(:us * 0.000001);\n";
const BURSTS: &str = "SELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\n\
SELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\nSELECT pg_sleep(0.01);\n\\sleep 1000 ms\n";
const CPU: &str = "\\set pause random_exponential(1, 120, 4)\nSELECT count(*) FROM generate_series(1, 30000);\n\\sleep :pause ms\n";

const fn pgbench(clients: u32, script: &'static str) -> Clients {
    Clients::Pgbench {
        clients,
        script,
        rate: 0,
    }
}

pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "closed, `pgbench -S`, 32 clients",
        key: "select",
        clients: pgbench(32, SELECT),
        others: None,
        quiet: true,
        old: settings(16),
        changes: &[
            ("size 16 → 8", |s| s.size = 8),
            ("size 16 → 2", |s| s.size = 2),
            ("size 16 → 24", |s| s.size = 24),
        ],
    },
    Workload {
        name: "the same without a quiet time",
        key: "select-saturated",
        clients: pgbench(32, SELECT),
        others: None,
        quiet: false,
        old: settings(16),
        changes: &[("size 16 → 4", |s| s.size = 4)],
    },
    Workload {
        name: "closed, TPC-B, 24 clients",
        key: "tpcb",
        clients: pgbench(24, TPCB),
        others: None,
        quiet: true,
        old: settings(24),
        changes: &[
            ("size 24 → 8", |s| s.size = 8),
            ("size 24 → 4", |s| s.size = 4),
        ],
    },
    Workload {
        name: "closed, `pg_sleep(0.02)`, 40 clients",
        key: "sleep",
        clients: pgbench(40, SLEEP),
        others: None,
        quiet: true,
        old: settings(20),
        changes: &[
            ("size 20 → 10", |s| s.size = 10),
            ("size 20 → 2", |s| s.size = 2),
            ("size 20 → 30", |s| s.size = 30),
            ("size 20 → 40", |s| s.size = 40),
        ],
    },
    Workload {
        name: "think within transactions, 40 clients",
        key: "think-in",
        clients: pgbench(40, THINK_IN),
        others: None,
        quiet: true,
        old: settings(30),
        changes: &[
            ("size 30 → 12", |s| s.size = 12),
            ("size 30 → 8", |s| s.size = 8),
            ("size 30 → 3", |s| s.size = 3),
        ],
    },
    Workload {
        name: "think between transactions, 60 clients",
        key: "think-out",
        clients: pgbench(60, THINK_OUT),
        others: None,
        quiet: true,
        old: settings(20),
        changes: &[
            ("size 20 → 10", |s| s.size = 10),
            ("size 20 → 7", |s| s.size = 7),
            ("size 20 → 2", |s| s.size = 2),
            ("line 60 → 11", |s| s.line = 11),
        ],
    },
    Workload {
        name: "too small a pool grows",
        key: "grow",
        clients: pgbench(60, THINK_OUT),
        others: None,
        quiet: true,
        old: settings(5),
        changes: &[
            ("size 5 → 8", |s| s.size = 8),
            ("size 5 → 20", |s| s.size = 20),
        ],
    },
    Workload {
        name: "by the clock, 200 a second, 50 clients",
        key: "rated",
        clients: Clients::Pgbench {
            clients: 50,
            script: RATED,
            rate: 200,
        },
        others: None,
        quiet: true,
        old: settings(20),
        changes: &[
            ("size 20 → 8", |s| s.size = 8),
            ("size 20 → 6", |s| s.size = 6),
            ("size 20 → 2", |s| s.size = 2),
        ],
    },
    Workload {
        name: "ten short sleeps, then a second nothing, 40 clients",
        key: "bursts",
        clients: pgbench(40, BURSTS),
        others: None,
        quiet: true,
        old: settings(20),
        changes: &[
            ("size 20 → 6", |s| s.size = 6),
            ("size 20 → 4", |s| s.size = 4),
        ],
    },
    Workload {
        name: "CPU, some 10 ms each, 20 clients that think",
        key: "cpu",
        clients: pgbench(20, CPU),
        others: None,
        quiet: true,
        old: settings(20),
        changes: &[
            ("size 20 → 4", |s| s.size = 4),
            ("size 20 → 2", |s| s.size = 2),
            ("size 20 → 1", |s| s.size = 1),
        ],
    },
    Workload {
        name: "new clients in bursts of 8, 80 a second",
        key: "comers",
        clients: Clients::Comers {
            rate: 80,
            burst: 8,
            sql: "SELECT pg_sleep(0.03)",
        },
        others: None,
        quiet: true,
        old: settings(20),
        changes: &[
            ("size 20 → 6", |s| s.size = 6),
            ("size 20 → 4", |s| s.size = 4),
        ],
    },
    Workload {
        name: "30 clients, deadline 400 ms",
        key: "deadline",
        clients: Clients::Threads {
            clients: 30,
            sql: "SELECT pg_sleep(0.05)",
            pause_ms: 100,
        },
        others: None,
        quiet: true,
        old: Settings {
            wait_ms: 400,
            ..settings(12)
        },
        changes: &[
            ("size 12 → 3", |s| s.size = 3),
            ("wait 400 → 20 ms, size 12 → 6", |s| {
                (s.wait_ms, s.size) = (20, 6)
            }),
            ("queue 10000 → 2, size 12 → 6", |s| {
                (s.queue_max, s.size) = (2, 6)
            }),
        ],
    },
    Workload {
        name: "two pools on one line",
        key: "two",
        clients: pgbench(30, THINK_OUT),
        others: Some(pgbench(30, THINK_OUT)),
        quiet: true,
        old: Settings {
            other_size: Some(12),
            line: 30,
            ..settings(12)
        },
        changes: &[
            ("line 30 → 9", |s| s.line = 9),
            ("second pool 12 → 3", |s| s.other_size = Some(3)),
        ],
    },
];
