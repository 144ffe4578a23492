//! What virtual clients say: drawn from a seed, knowing the client's state.

use crate::client::Client;
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::stats::{Hit, Stats};
use wire::back::Status;
use wire::front;

/// What a script needs besides its client.
pub(crate) struct Pen<'a> {
    pub(crate) now: u64,
    pub(crate) rng: &'a mut Rng,
    pub(crate) s: &'a Scenario,
    pub(crate) stats: &'a mut Stats,
    pub(crate) db: &'a mut Vec<u8>,
}

/// Texts of prepared statements that many clients share.
const SHARED: [&str; 10] = [
    "SELECT 'p0', $1",
    "SELECT 'p1', $1",
    "SELECT 'p2'",
    "SELECT current_setting('timezone')",
    "SELECT current_setting('app.user')",
    "SELECT rows(3, 10)",
    "SELECT sim_state()",
    "SET search_path TO 'shared'",
    "SELECT set_config('work_mem', '8MB', false)",
    "SELECT 1/0",
];
const VARS: [&str; 7] = [
    "application_name",
    "client_encoding",
    "datestyle",
    "timezone",
    "search_path",
    "work_mem",
    "app.user",
];

impl Pen<'_> {
    fn token(&mut self, c: &mut Client) -> String {
        c.tokens += 1;
        format!("'c{}.{}'", c.index, c.tokens)
    }

    fn var(&mut self) -> &'static str {
        VARS[self.rng.below(VARS.len() as u64) as usize]
    }

    fn op(&mut self, hit: Hit) {
        self.stats.ops += 1;
        self.stats.hit(hit);
    }

    /// A statement that any place of a script may hold. The second value:
    /// nothing may be sent before its reply is here.
    fn statement(&mut self, c: &mut Client, many: bool) -> (String, bool) {
        if self.rng.permille(self.s.stateful) {
            return self.stateful(c, many);
        }
        if self.s.roles > 0 && self.rng.permille(self.s.roles) {
            return (self.role(), false);
        }
        let token = self.token(c);
        let plain = match self.rng.below(20) {
            0..=6 => format!("SELECT {token}"),
            7 => format!("SELECT current_setting('{}')", self.var()),
            8 => "SELECT sim_state()".into(),
            9 => format!(
                "SELECT rows({}, {})",
                self.rng.below(20),
                self.rng.below(300)
            ),
            10 if self.s.drip < 100 && self.rng.permille(60) => {
                format!("SELECT rows({}, 1000)", self.rng.below(900))
            }
            10 => format!("SELECT {token}"),
            11 => format!("SELECT pg_sleep({}), {token}", self.rng.below(20_000)),
            12 | 13 => {
                self.db.push(0);
                format!("INSERT INTO t VALUES ({})", self.db.len() - 1)
            }
            14 => "SELECT 1/0".into(),
            15 => format!("SET {} TO 'v{}'", self.var(), self.rng.below(4)),
            16 => format!("SET LOCAL {} TO 'w{}'", self.var(), self.rng.below(4)),
            17 => format!(
                "SELECT set_config('{}', 'x{}', {})",
                self.var(),
                self.rng.below(4),
                self.rng.permille(300)
            ),
            18 if self.rng.permille(100) => "SELEKT".into(),
            18 => format!("COPY t TO STDOUT {}", self.rng.below(10)),
            // Behind a RESET in the same text or batch the server's login still shows.
            _ if !many && self.rng.permille(500) => match self.rng.below(6) {
                0 => "RESET ALL".into(),
                1 => "discard ALL".into(),
                2 => "DEALLOCATE ALL".into(),
                3 => "CREATE TABLE x (a int)".into(),
                4 => format!("SET {} TO 'invalid'", self.var()),
                _ => format!("RESET {}", self.var()),
            },
            _ => String::new(),
        };
        (plain, false)
    }

    fn role(&mut self) -> String {
        let n = self.rng.below(3);
        match self.rng.below(7) {
            0 | 1 => format!("SET ROLE r{n}"),
            2 => "RESET role".into(),
            3 => format!("SET LOCAL ROLE r{n}"),
            4 => format!("SET SESSION AUTHORIZATION 'a{n}'"),
            5 => "RESET SESSION AUTHORIZATION".into(),
            _ => "SELECT sim_state()".into(),
        }
    }

    /// A FunctionCall: number, no formats, one argument.
    fn function(&mut self, c: &mut Client) {
        let value = self.token(c);
        let known = self.rng.permille(800);
        self.op(Hit::Function);
        c.send(self.now, |v| {
            v.push(b'F');
            v.extend((value.len() as u32 + 18).to_be_bytes());
            v.extend(u32::from(known).to_be_bytes());
            v.extend([0, 0, 0, 1]);
            v.extend((value.len() as u32).to_be_bytes());
            v.extend(value.bytes());
            v.extend([0, 0]);
        });
    }

    fn stateful(&mut self, c: &mut Client, many: bool) -> (String, bool) {
        let n = self.rng.below(3);
        self.stats.hit(Hit::Pins);
        let text = match self.rng.below(12) {
            0 | 1 => format!("LISTEN ch_{}", c.index),
            2 => format!("UNLISTEN ch_{}", c.index),
            3 => "UNLISTEN *".into(),
            4 => format!("CREATE TEMP TABLE tt{n} (a int)"),
            5 => format!("DROP TABLE tt{n}"),
            6 => format!("SELECT pg_advisory_lock({n})"),
            7 => format!("SELECT pg_advisory_unlock({n})"),
            8 => format!("PREPARE q{n} AS SELECT 'q{n}'"),
            9 => format!("EXECUTE q{n}"),
            10 => format!("DEALLOCATE q{n}"),
            _ if !many && c.settled() && c.model.is_free() => return ("discard ALL".into(), true),
            _ => "SELECT sim_state()".into(),
        };
        (text, false)
    }

    /// One act: a simple query, an extended batch, a COPY, a transaction step.
    pub(crate) fn act(&mut self, c: &mut Client) {
        if self.s.hangups && self.rng.permille(4) && self.deallocate_behind(c) {
            return;
        }
        let in_tx = c.model.status() != Status::Idle;
        if self.s.functions > 0 && self.rng.permille(self.s.functions) {
            return self.function(c);
        }
        match self.rng.below(100) {
            0..=9 if !c.statement_mode => {
                let word = match in_tx {
                    true => [
                        "COMMIT",
                        "rollback",
                        "end",
                        "SAVEPOINT a",
                        "rollback to a",
                        "RELEASE a",
                    ][self.rng.below(6) as usize],
                    false => ["BEGIN", "begin;", "BEGIN; SELECT 'x'"][self.rng.below(3) as usize],
                };
                self.query(c, word);
            }
            10..=39 => {
                let (text, wait) = self.statement(c, false);
                c.wait_all |= wait;
                self.query(c, &text);
            }
            40..=49 => {
                let n = self.rng.range(2, 4);
                let mut text = String::new();
                for _ in 0..n {
                    let (one, _) = self.statement(c, true);
                    text.push_str(&one);
                    text.push_str("; ");
                }
                self.query(c, &text);
            }
            50..=69 => self.unnamed(c),
            70..=92 => self.named(c),
            93..=95 => self.copy_in(c),
            96 => {
                self.op(Hit::Sync);
                c.send(self.now, front::sync);
            }
            97 => {
                self.op(Hit::Flush);
                c.send(self.now, front::flush);
                self.op(Hit::Sync);
                c.send(self.now, front::sync);
            }
            98 if in_tx => self.query(c, "COMMIT"),
            _ => {
                let token = self.token(c);
                self.query(c, &format!("SELECT {token}"));
            }
        }
    }

    /// DEALLOCATE of a statement of the protocol's, while a reply is owed.
    fn deallocate_behind(&mut self, c: &mut Client) -> bool {
        let n = self.rng.below(6);
        let name = format!("s{n}");
        if !c.settled() || !c.model.is_free() || !c.model.has_statement(name.as_bytes()) {
            return false;
        }
        let token = self.token(c);
        self.query(c, &format!("SELECT {token}"));
        self.query(c, &format!("DEALLOCATE {name}"));
        c.wait_all = true;
        true
    }

    pub(crate) fn query(&mut self, c: &mut Client, text: &str) {
        self.op(Hit::SimpleQuery);
        c.send(self.now, |v| front::query(v, text.as_bytes()));
    }

    fn bind(&mut self, c: &mut Client, portal: &str, statement: &str, text: &str) {
        let token = self.token(c);
        let mut rest = vec![0, 0];
        match text.contains("$1") {
            true => {
                rest.extend([0, 1]);
                let pad = if self.rng.permille(5) { 40_000 } else { 0 };
                let value = format!("{token}{}", "y".repeat(pad));
                rest.extend((value.len() as u32).to_be_bytes());
                rest.extend(value.bytes());
            }
            false => rest.extend([0, 0]),
        }
        rest.extend([0, 0]);
        self.op(Hit::Bind);
        c.send(self.now, |v| {
            front::bind_renamed(v, portal.as_bytes(), statement.as_bytes(), &rest)
        });
    }

    fn execute(&mut self, c: &mut Client, portal: &str) {
        if self.rng.permille(300) {
            self.op(Hit::Describe);
            c.send(self.now, |v| front::describe(v, b'P', portal.as_bytes()));
        }
        let max = if self.rng.permille(200) { 2 } else { 0 };
        self.op(Hit::Execute);
        c.send(self.now, |v| front::execute(v, portal.as_bytes(), max));
        if max > 0 && self.rng.permille(500) {
            self.op(Hit::Execute);
            c.send(self.now, |v| front::execute(v, portal.as_bytes(), 0));
        }
    }

    fn sync(&mut self, c: &mut Client) {
        if self.rng.permille(50) {
            self.op(Hit::Flush);
            c.send(self.now, front::flush);
        }
        self.op(Hit::Sync);
        c.send(self.now, front::sync);
    }

    /// Parse, Bind, Execute of the unnamed statement, perhaps several.
    fn unnamed(&mut self, c: &mut Client) {
        for _ in 0..self.rng.range(1, 3) {
            let (text, wait) = self.statement(c, true);
            c.wait_all |= wait;
            self.op(Hit::Parse);
            c.send(self.now, |v| front::parse(v, b"", text.as_bytes(), &[0, 0]));
            if self.rng.permille(100) {
                self.op(Hit::Describe);
                c.send(self.now, |v| front::describe(v, b'S', b""));
            }
            let portal = if self.rng.permille(100) { "po" } else { "" };
            self.bind(c, portal, "", &text);
            self.execute(c, portal);
            if !portal.is_empty() {
                self.op(Hit::Close);
                c.send(self.now, |v| front::close(v, b'P', portal.as_bytes()));
            }
            if self.rng.permille(100) {
                self.sync(c);
            }
        }
        self.sync(c);
    }

    /// Named statements: parse what is not there, bind, close at times.
    fn named(&mut self, c: &mut Client) {
        for _ in 0..self.rng.range(1, 3) {
            let n = self.rng.below(6) as u32;
            let name = format!("s{n}");
            let text = SHARED[((n as usize * 3) + c.index as usize) % SHARED.len()];
            let known = c.model.has_statement(name.as_bytes());
            // What the batches before it do to the name may still be open.
            if self.rng.permille(if known { 20 } else { 950 }) {
                self.op(Hit::Parse);
                c.send(self.now, |v| {
                    front::parse(v, name.as_bytes(), text.as_bytes(), &[0, 0])
                });
            } else if known && self.rng.permille(60) {
                if self.rng.permille(300) {
                    self.query(c, &format!("DEALLOCATE {name}"));
                    return;
                }
                self.op(Hit::Close);
                c.send(self.now, |v| front::close(v, b'S', name.as_bytes()));
                continue;
            }
            if self.rng.permille(100) {
                self.op(Hit::Describe);
                c.send(self.now, |v| front::describe(v, b'S', name.as_bytes()));
            }
            self.bind(c, "", &name, text);
            self.execute(c, "");
            if self.rng.permille(100) {
                self.sync(c);
            }
        }
        self.sync(c);
    }

    fn copy_in(&mut self, c: &mut Client) {
        c.wait_all = true;
        if self.rng.permille(500) {
            let before = if self.rng.permille(300) {
                "SELECT 'before'; "
            } else {
                ""
            };
            self.query(c, &format!("{before}COPY t FROM STDIN"));
            if self.s.hangups && self.rng.permille(150) {
                // Without waiting for the server to ask for it.
                self.copy_data(c);
            }
            return;
        }
        self.op(Hit::Parse);
        c.send(self.now, |v| {
            front::parse(v, b"", b"COPY t FROM STDIN", &[0, 0])
        });
        self.bind(c, "", "", "");
        self.op(Hit::Execute);
        c.send(self.now, |v| front::execute(v, b"", 0));
        // libpq sends it ahead; the server ignores it then.
        if self.rng.permille(700) {
            self.sync(c);
        }
    }

    /// COPY in began: data, and its end.
    pub(crate) fn copy_data(&mut self, c: &mut Client) {
        self.stats.hit(Hit::CopyIn);
        for _ in 0..self.rng.below(5) {
            let len = if self.rng.permille(50) { 30_000 } else { 20 };
            let bad = self.rng.permille(60);
            let mut data = if bad { "bad".to_owned() } else { self.token(c) };
            data.push_str(&"z".repeat(len));
            self.op(Hit::CopyData);
            c.send(self.now, |v| front::copy_data(v, data.as_bytes()));
            if self.rng.permille(30) {
                self.op(Hit::Flush);
                c.send(self.now, front::flush);
            }
        }
        self.op(Hit::CopyData);
        match self.rng.permille(800) {
            true => c.send(self.now, front::copy_done),
            false => c.send(self.now, |v| front::copy_fail(v, "no more")),
        }
        // Of the extended protocol: the batch ends here.
        if c.copy_extended() {
            self.sync(c);
        }
    }
}
