//! Random scripts from a seed, in the text form of [`crate::script`]: what fails can be pasted into a case file.
//!
//! The generator knows roughly where the session stands (transaction, statements, portals), so that most of what it
//! writes makes sense; some is wrong on purpose.

use std::fmt::Write;

/// A small generator of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Numbers(pub u64);

impl Numbers {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    /// True in `percent` of cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let n = self.below(of.len() as u64);
        &of[usize::try_from(n).unwrap_or(0)]
    }
}

/// What a script may contain.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// Named prepared statements that outlive a transaction.
    pub prepared: bool,
    /// SET that outlives a transaction.
    pub settings: bool,
    /// State that pins.
    pub pins: bool,
}

/// Statements with their number of parameters, for Parse.
const STATEMENTS: [(&str, usize); 10] = [
    ("select $1::int + 1", 1),
    ("select id, name from t where id <= $1 order by id", 1),
    ("select name, n from t where id = $1", 1),
    (
        "insert into t (id, name) values ($1, $2) on conflict (id) do update set name = excluded.name",
        2,
    ),
    (
        "update t set n = n + $1::int where id = $2 returning id, n",
        2,
    ),
    ("select generate_series(1, $1::int)", 1),
    ("select fail_late(i) from generate_series(1, $1) i", 1),
    ("select noisy($1)", 1),
    ("select 'constant'", 0),
    ("select", 0),
];

const PLAIN: [&str; 14] = [
    "select 1",
    "select id, name from t order by id limit 3",
    "select count(*) from t",
    "insert into t (id, name) values (nextval('s') + 1000, 'new') returning id",
    "update t set n = n + 1 where id < 4",
    "delete from t where id = 20",
    "select noisy(3)",
    "",
    ";",
    "select 1; select 2",
    "select 1; select 1/0; select 3",
    "select repeat('x', 70000)",
    "select null, ''",
    "copy (select id, name from t order by id) to stdout",
];

const WRONG: [&str; 5] = [
    "select 1/0",
    "selekt 1",
    "select * from no_such_table",
    "insert into t (id) values (1)",
    "select fail_late(6)",
];

const SETTINGS: [(&str, &str, &str); 6] = [
    ("work_mem", "'5MB'", "'6MB'"),
    ("timezone", "'Europe/Paris'", "'America/Lima'"),
    ("datestyle", "'German'", "'SQL, DMY'"),
    ("statement_timeout", "'11s'", "'12s'"),
    ("application_name", "'one'", "'two'"),
    ("search_path", "public", "'$user', public"),
];

const PINS: [&[&str]; 5] = [
    &[
        "create temp table tmp (a int)",
        "insert into tmp values (1), (2)",
        "select * from tmp",
        "drop table tmp",
    ],
    &[
        "prepare p1 as select $1::int * 2",
        "execute p1(4)",
        "execute p1(5)",
        "deallocate p1",
    ],
    &[
        "listen news",
        "notify news, 'hello'",
        "select 1",
        "unlisten news",
    ],
    &[
        "select pg_advisory_lock(7)",
        "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
        "select pg_advisory_unlock(7)",
    ],
    &[
        "begin",
        "declare h cursor with hold for select id from t order by id",
        "commit",
        "fetch 2 from h",
        "fetch 2 from h",
        "close h",
    ],
];

struct Script {
    text: String,
    numbers: Numbers,
    in_transaction: bool,
    savepoints: u32,
    /// Named statements that were parsed, with their number of parameters.
    statements: Vec<(String, usize)>,
    features: Features,
}

/// The script of a seed, with about `steps` steps.
pub fn script(seed: u64, steps: u32, features: Features) -> String {
    let mut script = Script {
        text: format!("== seed {seed}\n"),
        numbers: Numbers(seed),
        in_transaction: false,
        savepoints: 0,
        statements: Vec::new(),
        features,
    };
    for _ in 0..steps {
        script.step();
    }
    if script.in_transaction {
        script.query("rollback");
    }
    // What the session says about itself at the end tells whose state it holds.
    for (name, _, _) in SETTINGS {
        script.query(&format!("show {name}"));
    }
    script.query("select count(*), sum(n) from t");
    script.text
}

impl Script {
    fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    fn query(&mut self, sql: &str) {
        self.line(&format!("Q {sql}"));
        self.line("=");
    }

    fn step(&mut self) {
        match self.numbers.below(100) {
            0..18 => {
                let sql = *self.numbers.pick(&PLAIN);
                self.query(sql);
            }
            18..24 => {
                let sql = *self.numbers.pick(&WRONG);
                self.query(sql);
            }
            24..40 => self.transaction(),
            40..46 => self.setting(),
            46..52 => self.copy_in(),
            52..55 if self.features.pins && !self.in_transaction => {
                for sql in *self.numbers.pick(&PINS) {
                    self.query(sql);
                }
            }
            55..57 if self.features.prepared => {
                let sql = *self
                    .numbers
                    .pick(&["deallocate all", "discard all", "deallocate s1"]);
                self.query(sql);
                self.statements.clear();
            }
            _ => self.batch(),
        }
    }

    fn transaction(&mut self) {
        let sql = if !self.in_transaction {
            self.in_transaction = true;
            (*self.numbers.pick(&[
                "begin",
                "begin isolation level repeatable read",
                "begin; select 1",
            ]))
            .to_owned()
        } else {
            match self.numbers.below(6) {
                0 | 1 => {
                    self.in_transaction = false;
                    self.savepoints = 0;
                    "commit".into()
                }
                2 => {
                    self.in_transaction = false;
                    self.savepoints = 0;
                    "rollback".into()
                }
                3 if self.savepoints > 0 => format!("rollback to p{}", self.savepoints),
                4 if self.savepoints > 0 => {
                    self.savepoints -= 1;
                    format!("release p{}", self.savepoints + 1)
                }
                _ => {
                    self.savepoints += 1;
                    format!("savepoint p{}", self.savepoints)
                }
            }
        };
        self.query(&sql);
    }

    fn setting(&mut self) {
        let (name, one, two) = *self.numbers.pick(&SETTINGS);
        let value = if self.numbers.percent(50) { one } else { two };
        let sql = match self.numbers.below(6) {
            0 => format!("show {name}"),
            1 if self.in_transaction => format!("set local {name} = {value}"),
            _ if !self.features.settings => format!("show {name}"),
            2 => format!("reset {name}"),
            3 => format!("select set_config('{name}', {value}, false)"),
            _ => format!("set {name} = {value}"),
        };
        self.query(&sql);
    }

    fn copy_in(&mut self) {
        self.line("Q copy t (id, name) from stdin");
        self.line("= copyin");
        let first = 2000 + self.numbers.below(5000);
        for id in first..first + self.numbers.below(4) {
            self.line(&format!("d {id}\\tcopied\\n"));
        }
        match self.numbers.below(5) {
            0 => self.line("f changed my mind"),
            1 => {
                self.line("d not a number\\tx\\n");
                // Late messages: the server has failed already and ignores them.
                self.line("d 9999\\tlate\\n");
                self.line("c");
            }
            _ => self.line("c"),
        }
        self.line("=");
    }

    /// An extended batch of several commands with one or more Syncs.
    fn batch(&mut self) {
        for _ in 0..1 + self.numbers.below(4) {
            self.command();
            if self.numbers.percent(30) {
                self.line("S");
            }
        }
        self.line("S");
        self.line("=");
    }

    fn command(&mut self) {
        let reuse = !self.statements.is_empty() && self.numbers.percent(50);
        let (name, parameters) = if reuse {
            let (name, parameters) = self.numbers.pick(&self.statements).clone();
            (name, parameters)
        } else {
            self.parse()
        };
        if self.numbers.percent(20) {
            self.line(&format!("D S {name}"));
        }
        let portal = if self.numbers.percent(70) { "-" } else { "c1" };
        let mut bind = format!("B {portal} {name}");
        for _ in 0..parameters {
            let _ = match self.numbers.below(12) {
                0 => write!(bind, " null"),
                1 => write!(bind, " word"),
                n => write!(bind, " {n}"),
            };
        }
        self.line(&bind);
        if self.numbers.percent(30) {
            self.line(&format!("D P {portal}"));
        }
        if self.numbers.percent(20) {
            self.line(&format!("E {portal} 2"));
        }
        self.line(&format!("E {portal}"));
        if portal == "c1" {
            self.line("C P c1");
        }
        if name != "-" && self.numbers.percent(10) {
            self.line(&format!("C S {name}"));
            self.statements.retain(|(known, _)| *known != name);
        }
    }

    fn parse(&mut self) -> (String, usize) {
        let (sql, parameters) = if self.numbers.percent(6) {
            (*self.numbers.pick(&WRONG), 0)
        } else {
            *self.numbers.pick(&STATEMENTS)
        };
        let name = if self.features.prepared && self.numbers.percent(60) {
            (*self.numbers.pick(&["s1", "s2", "s3"])).to_owned()
        } else {
            "-".to_owned()
        };
        if name != "-" && self.numbers.percent(70) {
            self.line(&format!("C S {name}"));
        }
        self.line(&format!("P {name} {sql}"));
        if name != "-" {
            self.statements.retain(|(known, _)| *known != name);
            self.statements.push((name.clone(), parameters));
        }
        (name, parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Features = Features {
        prepared: true,
        settings: true,
        pins: true,
    };

    #[test]
    fn one_seed_is_one_script_and_every_script_can_be_read() {
        for seed in 0..200 {
            let text = script(seed, 20, ALL);
            assert_eq!(text, script(seed, 20, ALL));
            let cases = crate::script::parse(&text).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            assert!(cases[0].steps.len() >= 20);
        }
    }

    #[test]
    fn every_kind_of_message_comes_up() {
        let text: String = (0..100).map(|seed| script(seed, 20, ALL)).collect();
        for start in [
            "Q ", "P s1", "P - ", "B ", "D S", "D P", "E c1 2", "C S", "C P", "d ", "c\n", "f ",
            "S\n",
        ] {
            assert!(text.contains(&format!("\n{start}")), "no {start:?}");
        }
    }
}
