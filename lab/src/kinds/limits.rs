//! Limits: ours, the server's, the application's own.

use super::Kind;
use crate::load::{App, Work};
use crate::rng::Rng;
use crate::stage::Plan;
use diagnose::Cause;
use std::sync::atomic::Ordering::Relaxed;

/// Work that keeps a connection for a while without working the server.
fn held(ms: u64) -> Vec<(u32, Work)> {
    vec![
        (
            2,
            Work::transaction(
                &[
                    "select n from items where id = {r}",
                    "update items set n = n + 1 where id = {r}",
                ],
                ms,
            ),
        ),
        (1, super::point()),
    ]
}

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "limit_too_small.from_start",
        what: "transactions of 20 to 60 ms, eight wanted at once, two or three allowed, since the start",
        truth: Some(Cause::LimitTooSmall),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, rng| {
            // Transactions of some length: so many clients need more connections than there are.
            let ms = rng.between(20, 60);
            plan.settings.size = rng.between(2, 3) as u32;
            plan.apps[0].work(held(ms));
            plan.apps[0].clients(20);
            plan.apps[0].think(ms as f64 * 1.5);
            plan.hurts_at_once = true;
        },
        strike: |_, _| Ok(()),
    },
    Kind {
        name: "limit_too_small.slow_by_nature",
        what: "statements that always took 30 to 80 ms, and a limit of two to four",
        truth: Some(Cause::LimitTooSmall),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| {
            let ms = rng.between(30, 80);
            plan.settings.size = rng.between(2, 4) as u32;
            plan.apps[0].also(8, Work::query(&format!("select report({ms})")));
            plan.apps[0].clients(24);
            plan.hurts_at_once = true;
        },
        strike: |_, _| Ok(()),
    },
    Kind {
        name: "limit_too_large.surge",
        what: "64 clients with statements that need the processor, a limit of 60 to 90, two cores",
        truth: Some(Cause::LimitTooLarge),
        or: None,
        share: 4,
        alone: true,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(60, 90) as u32;
            plan.settings.line = 95;
            plan.server.push("max_connections = 120".to_owned());
            let rows = rng.between(2500, 5000);
            // A few milliseconds of processor time each, and a counter that all of them want.
            plan.apps[0].also(
                6,
                Work::query(&format!(
                    "select sum(length(md5(name))) from items where id < {rows}"
                )),
            );
            if rng.percent(50) {
                plan.apps[0].also(
                    1,
                    Work::query("update counters set n = n + 1 where id = {c}"),
                );
            }
            plan.apps[0] = plan.apps[0].clone().up_to(64);
        },
        strike: |stage, rng| {
            let web = stage.app("web");
            web.clients(64);
            web.think(rng.between(5, 20) as f64);
            Ok(())
        },
    },
    Kind {
        name: "upstream_pool_too_small.surge",
        what: "40 threads of an application share two to four connections; Plimsoll has room",
        truth: Some(Cause::UpstreamPoolTooSmall),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(15, 25) as u32;
            plan.apps[0].own_pool = Some(rng.between(2, 4) as usize);
            plan.apps[0].work(held(rng.between(8, 15)));
            plan.apps.truncate(2);
            plan.apps[0].think(400.0);
        },
        strike: |stage, rng| {
            let web = stage.app("web");
            web.clients(40);
            web.think(rng.between(10, 40) as f64);
            Ok(())
        },
    },
    Kind {
        name: "upstream_pool_too_small.from_start",
        what: "the same, since the start",
        truth: Some(Cause::UpstreamPoolTooSmall),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(12, 20) as u32;
            plan.apps[0].own_pool = Some(rng.between(2, 3) as usize);
            plan.apps[0].work(held(rng.between(15, 30)));
            plan.apps.truncate(rng.between(1, 3) as usize);
            plan.apps[0].clients(30);
            plan.apps[0].think(rng.between(20, 60) as f64);
            plan.hurts_at_once = true;
        },
        strike: |_, _| Ok(()),
    },
    Kind {
        name: "upstream_leak.slow",
        what: "the application's pool loses connections one by one, silent and outside transactions",
        truth: Some(Cause::UpstreamLeak),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(15, 25) as u32;
            plan.apps[0].own_pool = Some(rng.between(6, 10) as usize);
            plan.apps[0].clients(32);
            plan.apps[0].work(held(rng.between(8, 15)));
            plan.apps.truncate(rng.between(1, 3) as usize);
        },
        strike: |stage, rng| {
            let web = stage.app("web");
            // All but one or none of its connections are lost, one after the other.
            let lost = web.own_pool.unwrap_or(6) - rng.between(0, 1) as usize;
            if rng.percent(50) {
                web.deploy("9.0.0");
                let _ = stage.front.mark_release("web", "9.0.0");
            }
            for _ in 0..lost {
                web.dial.lost.fetch_add(1, Relaxed);
                stage.rest(0.7);
            }
            Ok(())
        },
    },
    Kind {
        name: "upstream_leak.all_at_once",
        what: "it loses all of them at once",
        truth: Some(Cause::UpstreamLeak),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(15, 25) as u32;
            plan.apps[0].own_pool = Some(rng.between(4, 12) as usize);
            plan.apps[0].clients(24);
        },
        strike: |stage, _| {
            let web = stage.app("web");
            web.dial.lost.fetch_add(web.own_pool.unwrap_or(6), Relaxed);
            Ok(())
        },
    },
    Kind {
        name: "settings_change.pool_size",
        what: "`apply --force` with a limit of two to five, in steps",
        truth: Some(Cause::SettingsChange),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| enough(plan, rng),
        strike: |stage, rng| {
            stage.front.settings.size = rng.between(2, 5) as u32;
            stage.front.apply("--force", "an emergency")
        },
    },
    Kind {
        name: "settings_change.in_a_hurry",
        what: "`apply --now` with a limit of one to three",
        truth: Some(Cause::SettingsChange),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| enough(plan, rng),
        strike: |stage, rng| {
            stage.front.settings.size = rng.between(1, 3) as u32;
            stage.front.apply("--now", "an emergency")
        },
    },
    Kind {
        name: "settings_change.per_database",
        what: "`apply --now` with max_per_database = 3",
        truth: Some(Cause::SettingsChange),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| enough(plan, rng),
        strike: |stage, _| {
            let line = "max_per_database = 3".to_owned();
            stage.front.settings.more.push(("pool", line));
            stage.front.apply("--now", "an emergency")
        },
    },
    Kind {
        name: "settings_change.timeout",
        what: "a query timeout of 40 ms for statements of 60 to 90 ms",
        truth: Some(Cause::SettingsChange),
        or: None,
        share: 1,
        alone: false,
        prepare: |plan, rng| {
            plan.apps[0].also(
                6,
                Work::query(&format!("select report({})", rng.between(60, 90))),
            )
        },
        strike: |stage, _| {
            stage
                .front
                .settings
                .more
                .push(("timeouts", "query = \"40ms\"".to_owned()));
            stage.front.apply("--now", "an emergency")
        },
    },
    Kind {
        name: "budget_squeezed.slots",
        what: "others log in until the server has no slots left",
        truth: Some(Cause::BudgetSqueezed),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, rng| {
            plan.server.push("max_connections = 30".to_owned());
            plan.settings.size = rng.between(12, 18) as u32;
            plan.settings.line = 22;
            plan.settings
                .more
                .push(("timeouts", "server_lifetime = \"4s\"".to_owned()));
            plan.apps[0].work(held(rng.between(25, 45)));
            plan.apps[0].clients(14);
            plan.apps[0].think(50.0);
            plan.patience_s = 20.0;
        },
        strike: |stage, rng| {
            // Others log in until the server has no more slots, and again when one is free.
            let name = *rng.pick(&["metabase", "migration", "cron", "psql"]);
            for _ in 0..26 {
                let target = stage
                    .cluster
                    .target("shop", "shop")
                    .parameter("application_name", name);
                stage.beside(move |over| {
                    while !over.load(Relaxed) {
                        let client = plimsoll_e2e::raw::Client::login(&target);
                        while client.is_ok() && !over.load(Relaxed) {
                            std::thread::sleep(std::time::Duration::from_millis(100));
                        }
                        std::thread::sleep(std::time::Duration::from_millis(100));
                    }
                });
            }
            Ok(())
        },
    },
    Kind {
        name: "budget_squeezed.role_limit",
        what: "a second deployment takes the role's connection limit, past Plimsoll",
        truth: Some(Cause::BudgetSqueezed),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| {
            plan.before
                .push("alter role app connection limit 14".to_owned());
            plan.settings.size = rng.between(10, 12) as u32;
            plan.settings
                .more
                .push(("timeouts", "server_lifetime = \"4s\"".to_owned()));
            plan.apps[0].work(held(rng.between(25, 45)));
            plan.apps[0].clients(14);
            plan.apps[0].think(50.0);
            plan.patience_s = 20.0;
        },
        strike: |stage, _| {
            // A second deployment logs in as the same role, past the pooler.
            for _ in 0..13 {
                let target = stage
                    .cluster
                    .target("shop", "app")
                    .parameter("application_name", "legacy");
                stage.beside(move |over| {
                    while !over.load(Relaxed) {
                        let client = plimsoll_e2e::raw::Client::login(&target);
                        while client.is_ok() && !over.load(Relaxed) {
                            std::thread::sleep(std::time::Duration::from_millis(100));
                        }
                        std::thread::sleep(std::time::Duration::from_millis(100));
                    }
                });
            }
            Ok(())
        },
    },
    Kind {
        name: "leak.slow",
        what: "a code path forgets to commit now and then",
        truth: Some(Cause::Leak),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(5, 8) as u32;
            add_leaker(&mut plan.apps, rng.between(6, 12) as usize);
        },
        strike: |stage, rng| {
            let leaker = stage.app("checkout");
            if rng.percent(60) {
                leaker.deploy("2.4.1");
                let _ = stage.front.mark_release("checkout", "2.4.1");
            }
            let text = *rng.pick(&[
                "select n from items where id = {r}",
                "update items set n = n + 1 where id = {r}",
            ]);
            leaker.also(1, Work::Forget(text.to_owned()));
            Ok(())
        },
    },
    Kind {
        name: "leak.fast",
        what: "it forgets a third of the time",
        truth: Some(Cause::Leak),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(6, 12) as u32;
            add_leaker(&mut plan.apps, 14);
        },
        strike: |stage, _| {
            let leaker = stage.app("checkout");
            leaker.work(vec![
                (
                    1,
                    Work::Forget("select n from items where id = {r}".to_owned()),
                ),
                (2, super::point()),
            ]);
            Ok(())
        },
    },
];

/// A limit that is enough for a demand of some eight connections.
fn enough(plan: &mut Plan, rng: &mut Rng) {
    plan.settings.size = rng.between(13, 18) as u32;
    plan.apps[0].work(held(rng.between(20, 30)));
    plan.apps[0].think(40.0);
    plan.apps[0].clients(32);
}

/// An application whose code path forgets to commit once it is told to.
fn add_leaker(apps: &mut Vec<App>, clients: usize) {
    let work = vec![
        (3, super::point()),
        (1, Work::query("update items set n = n + 1 where id = {r}")),
    ];
    let mut leaker = App::new("checkout", clients, 350.0, work);
    leaker.culprit = true;
    apps.push(leaker);
}
