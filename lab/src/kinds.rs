//! The kinds of trouble: what each does to a real system, and the cause that it therefore has.
//!
//! They know nothing of how a diagnosis works. A kind is two functions: what must stand before the case
//! begins, and the blow.

mod calm;
mod demand;
mod limits;
mod outage;
mod server;

use crate::load::{App, Work};
use crate::rng::Rng;
use crate::stage::{Plan, Rights, Stage, Way};
use diagnose::Cause;

/// A kind of trouble.
pub struct Kind {
    /// Its name: the cause and the variant.
    pub name: &'static str,
    /// What is done, in words.
    pub what: &'static str,
    /// The cause; `None`: nothing is wrong.
    pub truth: Option<Cause>,
    /// Another cause that looks the same from here, whatever is measured.
    pub or: Option<Cause>,
    /// How many of every hundred cases.
    pub share: u32,
    /// It takes processor time from others, so nothing runs beside it.
    pub alone: bool,
    /// What must stand before.
    pub prepare: fn(&mut Plan, &mut Rng),
    /// The blow.
    pub strike: fn(&mut Stage, &mut Rng) -> Result<(), String>,
}

/// Every kind.
pub fn all() -> Vec<&'static Kind> {
    [
        calm::KINDS,
        limits::KINDS,
        demand::KINDS,
        server::KINDS,
        outage::KINDS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The kind with this name.
pub fn named(name: &str) -> Option<&'static Kind> {
    all().into_iter().find(|kind| kind.name == name)
}

/// Nothing to prepare.
fn nothing(_: &mut Plan, _: &mut Rng) {}

/// A usual day of a shop: reads, writes, short transactions and a report now and then.
pub fn usual_plan(rng: &mut Rng) -> Plan {
    Plan {
        way: Way::Loopback,
        settings: crate::front::Settings::new("127.0.0.1", 0),
        server: Vec::new(),
        before: Vec::new(),
        apps: fleet(rng),
        rights: Rights::Full,
        calm_s: 10.0 + 2.0 * rng.share(),
        squeeze_server: false,
        squeeze_pooler: false,
        hurts_at_once: false,
        patience_s: 15.0,
    }
}

fn fleet(rng: &mut Rng) -> Vec<App> {
    let think = 60.0 + 80.0 * rng.share();
    let pause = rng.between(1, 6);
    let web = vec![
        (6, point()),
        (
            2,
            Work::query("select id, note from orders where customer = {r} % 997 limit 20"),
        ),
        (2, Work::query("update items set n = n + 1 where id = {r}")),
        (
            1,
            Work::transaction(
                &[
                    "select n from items where id = {r}",
                    "update items set n = n + 1 where id = {r}",
                ],
                pause,
            ),
        ),
    ];
    let api = vec![
        (4, point()),
        (
            1,
            Work::query("select count(*) from orders where customer = {r} % 997"),
        ),
        (
            1,
            Work::transaction(
                &["update items set n = n + 1 where id = {r}", "select 1"],
                1,
            ),
        ),
    ];
    let worker = vec![
        (2, Work::query("select enrich({r})")),
        (
            1,
            Work::query("update items set name = md5(name) where id = {r}"),
        ),
    ];
    let report = vec![(
        1,
        Work::query(&format!("select report({})", rng.between(20, 60))),
    )];
    let mut apps = vec![
        App::new("web", rng.between(8, 14) as usize, think, web).up_to(40),
        App::new("api", rng.between(4, 8) as usize, think * 1.5, api).up_to(24),
        App::new("worker", rng.between(2, 4) as usize, 150.0, worker).up_to(12),
        App::new("report", 1, rng.between(500, 1500) as f64, report),
    ];
    for app in &apps {
        let release = format!(
            "{}.{}.{}",
            rng.between(1, 4),
            rng.between(0, 20),
            rng.between(0, 9)
        );
        app.deploy(&release);
    }
    if rng.percent(30) {
        apps.remove(3);
    }
    apps
}

fn point() -> Work {
    Work::query("select n, name from items where id = {r}")
}

/// The usual demand in connections, roughly: what a limit must not fall below.
const USUAL_NEED: u32 = 3;
