//! Demand: more of it, of one, or of logins.

use super::{Kind, point};
use crate::load::{App, Work};
use diagnose::Cause;
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering::Relaxed;

/// An application that is quiet until it is told otherwise.
fn newcomer(name: &str, threads: usize, from: Option<Ipv4Addr>, work: Vec<(u32, Work)>) -> App {
    let mut app = App::new(name, threads, 300.0, work);
    app.clients(2);
    app.from = from;
    app.culprit = true;
    app
}

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "growth.ramp",
        what: "demand grows eight times within 6 to 14 s",
        truth: Some(Cause::Growth),
        or: None,
        share: 4,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(3, 4) as u32;
            let ms = rng.between(10, 20);
            for app in &plan.apps[..2] {
                app.also(
                    6,
                    Work::transaction(&["select n from items where id = {r}", "select 1"], ms),
                );
                app.think(250.0);
            }
        },
        strike: |stage, rng| {
            // Everybody comes more often, step by step; each is served as before.
            let seconds = rng.between(6, 14);
            let (web, api) = (stage.app("web"), stage.app("api"));
            for step in 1..=seconds {
                let share = step as f64 / seconds as f64;
                web.clients(8 + (32.0 * share) as usize);
                api.clients(4 + (20.0 * share) as usize);
                web.think(250.0 - 190.0 * share);
                api.think(250.0 - 170.0 * share);
                stage.rest(1.0);
            }
            Ok(())
        },
    },
    Kind {
        name: "growth.step",
        what: "the same at once",
        truth: Some(Cause::Growth),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(3, 4) as u32;
            for app in &plan.apps[..2] {
                app.also(
                    6,
                    Work::transaction(&["select n from items where id = {r}", "select 1"], 15),
                );
                app.think(250.0);
            }
        },
        strike: |stage, _| {
            let (web, api) = (stage.app("web"), stage.app("api"));
            (web.clients(40), api.clients(24));
            (web.think(60.0), api.think(70.0));
            Ok(())
        },
    },
    Kind {
        name: "abusive_source.application",
        what: "one application sends far more than all others",
        truth: Some(Cause::AbusiveSource),
        or: None,
        share: 4,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.size = rng.between(4, 6) as u32;
            let name = *rng.pick(&["export", "crawler", "sync", "backfill"]);
            let ms = rng.between(80, 200);
            let work = vec![
                (4, Work::query(&format!("select report({ms})"))),
                (1, point()),
            ];
            let from = rng.percent(50).then(|| Ipv4Addr::new(127, 0, 0, 9));
            plan.apps.push(newcomer(name, 36, from, work));
        },
        strike: |stage, rng| {
            if let Some(app) = stage.plan.apps.last() {
                app.clients(36);
                app.think(rng.between(1, 8) as f64);
            }
            Ok(())
        },
    },
    Kind {
        name: "abusive_source.connections",
        what: "one address takes nearly all seats",
        truth: Some(Cause::AbusiveSource),
        or: None,
        share: 2,
        alone: false,
        prepare: |plan, rng| {
            // Not work but connections: it takes the seats of the house.
            plan.settings.clients_max = 46;
            let name = *rng.pick(&["scraper", "lambda", "cron"]);
            let mut app = newcomer(
                name,
                60,
                Some(Ipv4Addr::new(127, 0, 0, 77)),
                vec![(1, point())],
            );
            app.dial.think_us.store(800_000, Relaxed);
            app.culprit = true;
            plan.apps.push(app);
            // The others log in for each request, as many scripts do: they find no seat.
            for other in &plan.apps[..2] {
                other.dial.login_each.store(1, Relaxed);
                other.dial.leave_at_once.store(true, Relaxed);
            }
        },
        strike: |stage, _| {
            if let Some(app) = stage.plan.apps.last() {
                app.clients(60);
            }
            Ok(())
        },
    },
    Kind {
        name: "connection_storm.seats",
        what: "applications log in for every request and run out of seats",
        truth: Some(Cause::ConnectionStorm),
        or: None,
        share: 3,
        alone: false,
        prepare: |plan, rng| {
            plan.settings.clients_max = rng.between(36, 44) as u32;
            if rng.percent(50) {
                plan.settings.auth = "scram-sha-256";
            }
        },
        strike: |stage, _| {
            // The application lost its own pool: each request logs in, works, and leaves.
            for name in ["web", "api"] {
                let app = stage.app(name);
                app.dial.login_each.store(1, Relaxed);
                app.clients(40);
                app.think(60.0);
            }
            Ok(())
        },
    },
    Kind {
        name: "connection_storm.login_cpu",
        what: "the same with SCRAM, as fast as they can",
        truth: Some(Cause::ConnectionStorm),
        or: None,
        share: 3,
        alone: true,
        prepare: |plan, _| {
            plan.settings.auth = "scram-sha-256";
            let work = vec![(1, point())];
            plan.apps.push(App::new("functions", 48, 30.0, work));
            plan.apps.last().expect("just pushed").clients(1);
        },
        strike: |stage, _| {
            for name in ["functions", "web"] {
                let app = stage.app(name);
                app.dial.login_each.store(1, Relaxed);
                app.clients(48);
                app.think(1.0);
            }
            Ok(())
        },
    },
];
