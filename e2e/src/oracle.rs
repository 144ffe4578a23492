//! The differential oracle: one script, straight to PostgreSQL and through the pooler, one transcript.
//!
//! Through the pooler, two other clients take turns in holding a server connection, so that the script's client meets
//! another one after each of its transactions, and they leave traces there: settings and statements of the same names.

use crate::pooler::Pooler;
use crate::raw::{Client, Target, message};
use crate::script::{Case, run};
use crate::server::Server;
use std::fmt::Write;
use std::time::Duration;

/// How long the next holder may wait for a connection before the former one gives its own back.
const OVERLAP: Duration = Duration::from_millis(30);

/// What every case may use.
const FIXTURE: &str = "drop schema public cascade; create schema public; grant all on schema public to public;
    create table t (id int primary key, name text, n numeric default 0);
    insert into t select i, 'name ' || i, i * 1.5 from generate_series(1, 20) i;
    create table empty_one (); create sequence s;
    create function noisy(int) returns int language plpgsql as
      $$ begin raise notice 'noise %', $1; return $1; end $$;
    create function fail_late(int) returns int language plpgsql as
      $$ begin if $1 > 5 then raise exception 'too many' using errcode = 'P0042'; end if; return $1; end $$";

/// Runs a case both ways; the error shows where the transcripts part.
pub fn compare(
    server: &Server,
    pooler: &Pooler,
    database: &str,
    case: &Case,
) -> Result<(), String> {
    server.sql(database, FIXTURE);
    let direct = run(case, &server.target(database, "app"), &mut || {})
        .map_err(|error| format!("{}: direct run: {error}", case.name))?;
    server.sql(database, FIXTURE);
    let target = pooler.target(database, "app");
    let pooled = if case.quiet {
        run(case, &target, &mut || {})
    } else {
        let mut others = Others::start(&target, !pooler.is_pgbouncer())
            .map_err(|error| format!("{}: other clients: {error}", case.name))?;
        let result = run(case, &target, &mut || others.take_turns());
        others.finish();
        result
    };
    let pooled = pooled.map_err(|error| format!("{}: pooled run: {error}", case.name))?;
    if direct == pooled {
        return Ok(());
    }
    Err(difference(case, &direct, &pooled))
}

/// Other clients that force the pooler to switch.
struct Others {
    clients: [Client; 2],
    holder: Option<usize>,
    dirt: Vec<u8>,
}

impl Others {
    fn start(target: &Target, dirty: bool) -> Result<Self, crate::raw::Error> {
        let mut dirt = message::query(if dirty {
            "begin; set work_mem = '7MB'; set timezone = 'Asia/Tokyo'; set search_path = pg_catalog"
        } else {
            "begin"
        });
        if dirty {
            // The names that scripts use, with other texts.
            for name in ["", "s1", "s2", "s3"] {
                dirt.extend(message::of_kind(b'C', b'S', name));
                dirt.extend(message::parse(name, "select 'of another client'", &[]));
            }
            dirt.extend(message::empty(b'S'));
        }
        Ok(Others {
            clients: [Client::login(target)?, Client::login(target)?],
            holder: None,
            dirt,
        })
    }

    /// The other one begins, then the holder ends: when the server connections are two, the one that the script's
    /// client used last is now taken.
    fn take_turns(&mut self) {
        let next = self.holder.map_or(0, |holder| 1 - holder);
        self.clients[next].send(&self.dirt).expect("other client");
        let early = self.clients[next]
            .read_within(OVERLAP)
            .expect("other client");
        if let Some(former) = self.holder {
            // Half of its effects stay, half are undone.
            let end = if former == 0 { "commit" } else { "rollback" };
            self.clients[former].query(end).expect("other client ends");
        }
        let mut ready = usize::from(early.as_ref().is_some_and(|m| m.tag == b'Z'));
        let wanted = if self.dirt.ends_with(&message::empty(b'S')) {
            2
        } else {
            1
        };
        let mut first = early;
        while ready < wanted {
            let message = self.clients[next].read().expect("other client begins");
            ready += usize::from(message.tag == b'Z');
            first = Some(message);
        }
        assert!(first.is_some());
        self.holder = Some(next);
    }

    fn finish(mut self) {
        if let Some(holder) = self.holder {
            let _ = self.clients[holder].query("rollback");
        }
        for client in self.clients {
            client.terminate();
        }
    }
}

fn difference(case: &Case, direct: &[String], pooled: &[String]) -> String {
    let same = direct
        .iter()
        .zip(pooled)
        .take_while(|(a, b)| a == b)
        .count();
    let mut out = format!("{}: transcripts part at line {}\n", case.name, same + 1);
    for line in direct.iter().take(same).skip(same.saturating_sub(6)) {
        let _ = writeln!(out, "    both  {line}");
    }
    for (who, lines) in [("direct", direct), ("pooled", pooled)] {
        for line in lines.iter().skip(same).take(5) {
            let _ = writeln!(out, "  {who}  {line}");
        }
    }
    let _ = writeln!(out, "the script:\n== {}\n{}", case.name, case.text);
    out
}
