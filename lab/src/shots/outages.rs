//! What is done in each outage: who is there, and the blow.

use crate::load::{App, Work};
use crate::stage::{Plan, Stage};
use diagnose::Cause;
use std::process::{Command, Stdio};

/// One outage of the reports.
pub struct Outage {
    /// The report's number.
    pub number: &'static str,
    /// Whose outage it was.
    pub title: &'static str,
    /// What is done, in words.
    pub done: &'static str,
    /// The cause that it therefore has; `None`: Plimsoll keeps it from hurting, and there is drift to see.
    pub cause: Option<Cause>,
    /// A picture in dark too.
    pub dark: bool,
    /// What stands before.
    pub prepare: fn(&mut Plan),
    /// The blow.
    pub strike: fn(&mut Stage) -> Result<(), String>,
}

/// In the order of the reports.
pub const OUTAGES: &[Outage] = &[
    Outage {
        number: "000",
        title: "a restaurant platform",
        done: "an update cuts the pool's limit from 16 to 2, past every guard",
        cause: Some(Cause::SettingsChange),
        dark: false,
        prepare: |plan| {
            plan.settings.size = 16;
            plan.apps = restaurant();
        },
        strike: |stage| {
            stage.front.settings.size = 2;
            stage.front.apply("--now", "update 2024-08-15")
        },
    },
    Outage {
        number: "001",
        title: "the product pages",
        done: "a deploy script overwrites the settings file with another one",
        cause: None,
        dark: false,
        prepare: |plan| {
            plan.settings.size = 12;
            plan.settings
                .more
                .push(("settings", "source = \"store\"".to_owned()));
            plan.apps = shop();
        },
        strike: |stage| {
            // As in the tests of the script's author: a small pool, and a server that is not there.
            let front = &mut stage.front;
            front.settings.size = 2;
            front.settings.server.1 = 1;
            front.write();
            Ok(())
        },
    },
    Outage {
        number: "001-served",
        title: "the product pages, where deployments write the file and the guards only watch",
        done: "the script overwrites it with the settings of a test environment: a limit of 1 instead of 12",
        cause: Some(Cause::SettingsChange),
        dark: false,
        prepare: |plan| {
            plan.settings.size = 12;
            plan.settings
                .more
                .push(("settings", "source = \"deploy\"".to_owned()));
            plan.apps = shop();
        },
        strike: |stage| {
            stage.front.settings.size = 1;
            stage.front.write();
            Ok(())
        },
    },
    Outage {
        number: "002",
        title: "a main website",
        done: "a pool of 80 on two cores, and a surge",
        cause: Some(Cause::LimitTooLarge),
        dark: false,
        prepare: |plan| {
            plan.settings.size = 80;
            plan.settings.line = 95;
            plan.server.push("max_connections = 120".to_owned());
            plan.apps = website();
        },
        strike: |stage| {
            let (web, api) = (stage.app("web"), stage.app("api"));
            step_back(stage);
            web.clients(36);
            api.clients(18);
            web.think(20.0);
            api.think(20.0);
            Ok(())
        },
    },
    Outage {
        number: "003",
        title: "a web stack",
        done: "traffic grows within 15 s, and the limit of 5 stays",
        cause: Some(Cause::Growth),
        dark: false,
        prepare: |plan| {
            plan.settings.size = 5;
            plan.apps = growing();
        },
        strike: |stage| {
            let (web, api) = (stage.app("web"), stage.app("api"));
            // Everybody comes more often, step by step; each is served as before.
            for step in 1..=15 {
                let share = f64::from(step) / 15.0;
                web.think(6_000.0 - 5_700.0 * share);
                api.think(6_000.0 - 5_500.0 * share);
                stage.rest(1.0);
            }
            Ok(())
        },
    },
    Outage {
        number: "004",
        title: "a main service",
        done: "a release of one application forgets to commit now and then",
        cause: Some(Cause::Leak),
        dark: true,
        prepare: |plan| {
            plan.settings.size = 14;
            plan.apps = shop();
            let basket = Work::transaction(
                &[
                    &on("/checkout/basket", "select n from items where id = {r}"),
                    &on("/checkout/pay", "update items set n = n + 1 where id = {r}"),
                ],
                4,
            );
            let mut leaker = App::new("checkout", 16, 350.0, vec![(20, basket)]);
            leaker.culprit = true;
            leaker.deploy("2.4.0");
            plan.apps.push(leaker);
        },
        strike: |stage| {
            let checkout = stage.app("checkout");
            checkout.deploy("2.4.1");
            stage.front.mark_release("checkout", "2.4.1")?;
            let pay = on(
                "/checkout/pay",
                "update orders set note = note where id = {r}",
            );
            checkout.also(1, Work::Forget(pay));
            Ok(())
        },
    },
];

/// In life the server has a machine of its own. Here its work takes the processor from the pooler, the clients and the
/// browser only where they leave it.
fn step_back(stage: &Stage) {
    let server = stage.cluster.pid().unwrap_or(0);
    let all = std::iter::once(server).chain(crate::cluster::children(server));
    let pids: Vec<String> = all.map(|pid| pid.to_string()).collect();
    // Without it the picture has gaps, and that is all.
    let _ = Command::new("renice")
        .args(["-n", "10", "-p"])
        .args(pids)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// A statement with the route that it serves, as frameworks write it.
fn on(route: &str, sql: &str) -> String {
    format!("{sql} /*route='{}'*/", route.replace('/', "%2F"))
}

fn query(route: &str, sql: &str) -> Work {
    Work::query(&on(route, sql))
}

/// A read and a write in one transaction, with a pause of the application between them.
fn pair(route: &str, pause_ms: u64) -> Work {
    Work::transaction(
        &[
            &on(route, "select n from items where id = {r}"),
            &on(route, "update items set n = n + 1 where id = {r}"),
        ],
        pause_ms,
    )
}

const ITEM: &str = "select n, name from items where id = {r}";
const ORDERS: &str = "select id, note from orders where customer = {r} % 997 limit 20";

fn released(app: App, release: &str) -> App {
    app.deploy(release);
    app
}

/// Guests order, cooks read, staff log in: some nine connections at a time.
fn restaurant() -> Vec<App> {
    let orders = vec![(3, pair("/orders/place", 40)), (1, query("/menu", ITEM))];
    let kitchen = vec![
        (2, query("/kitchen/tickets", ORDERS)),
        (1, pair("/kitchen/done", 30)),
    ];
    let login = vec![(1, query("/login", ITEM))];
    vec![
        released(App::new("orders", 100, 350.0, orders), "5.1.3"),
        released(App::new("kitchen", 24, 400.0, kitchen), "3.0.8"),
        released(App::new("login", 8, 400.0, login), "1.9.0"),
    ]
}

/// Product pages, their API and a worker: some five connections at a time.
fn shop() -> Vec<App> {
    let web = vec![
        (4, query("/products/:id", ITEM)),
        (2, query("/account/orders", ORDERS)),
        (3, pair("/basket/add", 40)),
    ];
    let api = vec![
        (3, query("/api/products", ITEM)),
        (1, pair("/api/stock", 30)),
    ];
    let worker = vec![(
        1,
        query(
            "/jobs/prices",
            "update items set name = md5(name) where id = {r}",
        ),
    )];
    vec![
        released(App::new("web", 60, 200.0, web), "7.12.0"),
        released(App::new("api", 20, 200.0, api), "4.3.1"),
        released(App::new("worker", 2, 150.0, worker), "2.2.0"),
    ]
}

/// Pages that need a few milliseconds of the server's processor, and a counter that all of them want.
fn website() -> Vec<App> {
    let work = |search: &str, page: &str, visits: &str| {
        const SEARCH: &str = "select sum(length(md5(name))) from items where id < 4000";
        const COUNT: &str = "update counters set n = n + 1 where id = {c}";
        vec![
            (6, query(search, SEARCH)),
            (3, query(page, ITEM)),
            (1, query(visits, COUNT)),
        ]
    };
    let web = work("/search", "/", "/visits");
    let api = work("/api/search", "/api/products", "/api/visits");
    vec![
        released(App::new("web", 8, 150.0, web).up_to(36), "7.12.0"),
        released(App::new("api", 4, 150.0, api).up_to(18), "4.3.1"),
    ]
}

/// Short transactions that a limit of five serves well, as long as few come.
fn growing() -> Vec<App> {
    let work = |route: &str, sql: &str| vec![(6, pair(route, 50)), (2, query(route, sql))];
    let web = App::new("web", 100, 6_000.0, work("/feed", ITEM));
    let api = App::new("api", 50, 6_000.0, work("/api/feed", ORDERS));
    vec![released(web, "7.12.0"), released(api, "4.3.1")]
}
