//! The server: statements, locks, processor, disk, and the way to it.

use super::Kind;
use crate::load::{App, Work};
use crate::stage::{Stage, Way};
use diagnose::Cause;

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "slow_statements.function",
        what: "a function of the database suddenly takes 150 to 400 ms",
        truth: Some(Cause::SlowStatements),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(4, 6) as u32;
            plan.apps[0].also(rng.between(3, 6) as u32, Work::query("select enrich({r})"));
        },
        strike: |stage, rng| {
            // What the function asks of elsewhere now takes its time.
            let ms = rng.between(150, 400);
            let sql = format!(
                "create or replace function enrich(who int) returns int language plpgsql as \
                 $$ begin perform pg_sleep({ms} / 1000.0 * (0.7 + 0.6 * random())); return who; end $$"
            );
            stage.cluster.sql("shop", &sql).map(|_| ())
        },
    },
    Kind {
        name: "slow_statements.index_dropped",
        what: "an index is dropped, and every lookup reads the table",
        truth: Some(Cause::SlowStatements),
        or: None,
        share: 2,
        alone: true,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(2, 3) as u32;
            plan.server
                .push("max_parallel_workers_per_gather = 0".to_owned());
            plan.before.push(
                "insert into orders select i, i % 20000 + 1, i % 997, repeat(md5(i::text), 3) from generate_series(60001, 400000) i"
                    .to_owned(),
            );
            plan.before.push("analyze orders".to_owned());
            let lookup = "select count(*) from orders where customer = {r} % 997";
            plan.apps[0].also(3, Work::query(lookup));
            for app in &plan.apps {
                app.think(app.thinks() * 1.5);
            }
        },
        strike: |stage, _| {
            stage
                .cluster
                .sql("shop", "drop index orders_customer")
                .map(|_| ())
        },
    },
    Kind {
        name: "slow_statements.release",
        what: "a release brings a statement of 120 to 300 ms",
        truth: Some(Cause::SlowStatements),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, rng| plan.settings.size = rng.between(4, 6) as u32,
        strike: |stage, rng| {
            let web = stage.app("web");
            let ms = rng.between(120, 300);
            let _ = stage.front.mark_release("web", "8.1.0");
            web.deploy("8.1.0");
            web.also(9, Work::query(&format!("select report({ms})")));
            Ok(())
        },
    },
    Kind {
        name: "locks.table",
        what: "a session of others locks a table",
        truth: Some(Cause::Locks),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| plan.settings.size = rng.between(4, 8) as u32,
        strike: |stage, rng| {
            let name = *rng.pick(&["migration", "psql", "flyway"]);
            let lock = "lock table items in access exclusive mode".to_owned();
            stage.other_session(
                name,
                vec!["begin".to_owned(), lock, "select pg_sleep(120)".to_owned()],
                false,
            )
        },
    },
    Kind {
        name: "locks.queue_behind_migration",
        what: "a long read, a change of the table behind it, everybody behind that",
        truth: Some(Cause::Locks),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| plan.settings.size = rng.between(4, 8) as u32,
        strike: |stage, _| {
            // A long read, a change of the table behind it, and everybody behind that.
            let read = vec![
                "begin".to_owned(),
                "select count(*) from items".to_owned(),
                "select pg_sleep(120)".to_owned(),
            ];
            stage.other_session("analyst", read, false)?;
            stage.rest(0.5);
            stage.other_session(
                "migration",
                vec!["alter table items add column extra int".to_owned()],
                false,
            )
        },
    },
    Kind {
        name: "locks.hot_row",
        what: "a session of others holds one row for 0.4 to 1.5 s, again and again",
        truth: Some(Cause::Locks),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(5, 8) as u32;
            plan.apps[0].also(5, Work::query("update counters set n = n + 1 where id = 1"));
        },
        strike: |stage, rng| {
            // One holds the row for a while, again and again.
            let hold = rng.between(400, 1500);
            let statements = vec![
                "begin".to_owned(),
                "update counters set n = n + 1 where id = 1".to_owned(),
                format!("select pg_sleep({hold} / 1000.0)"),
                "commit".to_owned(),
            ];
            stage.other_session("settlement", statements, true)
        },
    },
    Kind {
        name: "locks.own_application",
        what: "the same by an application of Plimsoll's own clients",
        truth: Some(Cause::Locks),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(6, 9) as u32;
            plan.apps[0].also(5, Work::query("update counters set n = n + 1 where id = 1"));
            let mut app = App::new("billing", 2, 400.0, vec![(1, super::point())]);
            app.culprit = true;
            plan.apps.push(app);
        },
        strike: |stage, rng| {
            let hold = rng.between(600, 1500);
            let text = format!("select report({hold})");
            stage.app("billing").work(vec![(
                1,
                Work::transaction(&["update counters set n = n + 1 where id = 1", &text], 0),
            )]);
            stage.app("billing").think(50.0);
            Ok(())
        },
    },
    Kind {
        name: "server_saturated.cpu_quota",
        what: "PostgreSQL gets a few percent of a core",
        truth: Some(Cause::ServerSaturated),
        or: None,
        share: 4,
        alone: false,
        prepare: |plan, rng| {
            plan.squeeze_server = true;
            plan.settings.size = rng.between(5, 10) as u32;
            // One or two milliseconds of processor time each.
            plan.apps[0].also(
                9,
                Work::query("select sum(length(md5(name))) from items where id < 2500"),
            );
        },
        strike: |stage, rng| squeeze_server(stage, rng.between(2, 5)),
    },
    Kind {
        name: "server_saturated.others_work",
        what: "8 to 16 reports of others want all of the processor",
        truth: Some(Cause::ServerSaturated),
        or: None,
        share: 3,
        alone: true,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(5, 10) as u32;
            plan.server
                .push("max_parallel_workers_per_gather = 0".to_owned());
            plan.squeeze_server = true;
        },
        strike: |stage, rng| {
            // The server has a core's half to itself, as a small instance does; reports of others fill it.
            squeeze_server(stage, 60)?;
            for _ in 0..rng.between(8, 16) {
                let report = "select sum(length(md5(a.name || b.i))) from items a, generate_series(1, 200) b(i)".to_owned();
                stage.other_session("bi", vec![report], true)?;
            }
            Ok(())
        },
    },
    Kind {
        name: "server_saturated.sorts_on_disk",
        what: "8 to 14 sorts of others spill to disk and want the processor",
        truth: Some(Cause::ServerSaturated),
        or: None,
        share: 2,
        alone: true,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(5, 10) as u32;
            plan.server.push(
                "work_mem = '64kB'\nshared_buffers = '256kB'\nmax_parallel_workers_per_gather = 0"
                    .to_owned(),
            );
            plan.squeeze_server = true;
        },
        strike: |stage, rng| {
            squeeze_server(stage, 80)?;
            for _ in 0..rng.between(8, 14) {
                let sort =
                    "select count(*) from (select note from orders order by md5(note) offset 0) s"
                        .to_owned();
                stage.other_session("etl", vec![sort], true)?;
            }
            Ok(())
        },
    },
    Kind {
        name: "network.delay",
        what: "25 to 120 ms each way between Plimsoll and the server",
        truth: Some(Cause::Network),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, rng| {
            plan.way = Way::ToServer;
            plan.settings.size = rng.between(4, 8) as u32;
        },
        strike: |stage, rng| {
            weather(
                stage,
                rng.between(25, 120) * 1000,
                rng.between(0, 10) * 1000,
                0,
            )
        },
    },
    Kind {
        name: "network.loss",
        what: "8 to 20 % of packets lost there, each way",
        truth: Some(Cause::Network),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| {
            plan.way = Way::ToServer;
            plan.settings.size = rng.between(4, 8) as u32;
        },
        strike: |stage, rng| weather(stage, rng.between(0, 5) * 1000, 2000, rng.between(80, 200)),
    },
    Kind {
        name: "network.narrow",
        what: "6 to 14 KB a second there",
        truth: Some(Cause::Network),
        or: None,
        share: 1,
        alone: false,
        prepare: |plan, rng| {
            plan.way = Way::ToServer;
            plan.settings.size = rng.between(4, 8) as u32;
        },
        strike: |stage, rng| {
            if let Some(weather) = &stage.weather {
                weather.pace(rng.between(6_000, 14_000));
            }
            Ok(())
        },
    },
    Kind {
        name: "network.behind_proxy",
        what: "delay and loss behind a proxy on loopback",
        truth: Some(Cause::Network),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, rng| {
            plan.way = Way::ToServerByProxy;
            plan.settings.size = rng.between(4, 8) as u32;
        },
        strike: |stage, rng| {
            weather(
                stage,
                rng.between(25, 120) * 1000,
                rng.between(0, 10) * 1000,
                rng.between(0, 30),
            )
        },
    },
    Kind {
        name: "network.to_clients",
        what: "delay, half of the time with loss, between clients and Plimsoll",
        truth: Some(Cause::Network),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, rng| {
            plan.way = Way::ToClients;
            plan.settings.size = rng.between(4, 8) as u32;
        },
        strike: |stage, rng| {
            let lossy = rng.percent(50);
            let loss = if lossy { rng.between(80, 200) } else { 0 };
            weather(stage, rng.between(30, 120) * 1000, 2000, loss)
        },
    },
    Kind {
        name: "pooler_starved.quota",
        what: "Plimsoll gets 1 to 3 % of a core",
        truth: Some(Cause::PoolerStarved),
        or: None,
        share: 5,
        alone: false,
        prepare: |plan, rng| {
            plan.squeeze_pooler = true;
            plan.settings.size = rng.between(5, 10) as u32;
        },
        strike: |stage, rng| match &stage.pooler_squeeze {
            Some(squeeze) => squeeze.quota(Some(rng.between(1, 3))),
            None => Err("no cgroup".to_owned()),
        },
    },
];

fn squeeze_server(stage: &mut Stage, percent: u64) -> Result<(), String> {
    match &stage.server_squeeze {
        Some(squeeze) => squeeze.quota(Some(percent)),
        None => Err("no cgroup".to_owned()),
    }
}

fn weather(
    stage: &mut Stage,
    delay_us: u64,
    jitter_us: u64,
    loss_permille: u64,
) -> Result<(), String> {
    match &stage.weather {
        Some(weather) => weather.set(delay_us, jitter_us, loss_permille),
        None => return Err("no wire".to_owned()),
    }
    Ok(())
}
