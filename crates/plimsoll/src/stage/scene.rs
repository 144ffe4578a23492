//! What stands before an outage: settings, and who is there.

use super::{ADMIN, App, DATABASE, MONITOR, PASSWORD, Release, USER, Work};
use practice::drill::Fault;
use std::path::Path;

/// The settings file, as far as drills change it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `pool.size`.
    pub size: u32,
    /// `timeouts.query_wait`.
    pub query_wait: &'static str,
    /// `clients.max`.
    pub clients_max: u32,
    /// `server.line`.
    pub line: u32,
    /// `settings.source`.
    pub source: &'static str,
}

impl Settings {
    /// The file's text. The user file is written beside it. The guards that
    /// would end an outage by themselves only watch: the trainee is to end it.
    pub fn toml(&self, dir: &Path, server_port: u16) -> String {
        let users = [USER, MONITOR, ADMIN].map(|u| format!("\"{u}\" \"{PASSWORD}\"\n"));
        // Where that fails, the pooler says so with the file's name.
        std::fs::write(dir.join("userlist.txt"), users.concat()).ok();
        format!(
            "[listen]\n\
             tcp = [\"127.0.0.1:0\"]\n\
             unix = \"{dir}\"\n\
             \n\
             [api]\n\
             listen = \"127.0.0.1:0\"\n\
             \n\
             [auth]\n\
             type = \"trust\"               # a sandbox: nobody else is here\n\
             user_file = \"userlist.txt\"\n\
             admin_users = [\"{ADMIN}\"]\n\
             \n\
             [pool]\n\
             mode = \"transaction\"\n\
             size = {size}\n\
             \n\
             [clients]\n\
             max = {clients_max}\n\
             \n\
             [timeouts]\n\
             query_wait = \"{query_wait}\"\n\
             server_login_retry = \"1s\"\n\
             \n\
             [server]\n\
             line = {line}\n\
             monitor_user = \"{MONITOR}\"\n\
             monitor_database = \"{DATABASE}\"\n\
             monitor_interval = \"1s\"\n\
             \n\
             [settings]\n\
             source = \"{source}\"\n\
             \n\
             [guards]\n\
             reclaim = \"observe\"\n\
             auto_revert = \"observe\"\n\
             auto_size = \"observe\"\n\
             shed = \"observe\"\n\
             \n\
             [log]\n\
             connections = false\n\
             disconnections = false\n\
             \n\
             [database.{DATABASE}]\n\
             host = \"127.0.0.1\"\n\
             port = {server_port}\n",
            dir = dir.display(),
            size = self.size,
            clients_max = self.clients_max,
            query_wait = self.query_wait,
            line = self.line,
            source = self.source,
        )
    }
}

/// What a fault needs around it.
#[derive(Clone)]
pub struct Scene {
    /// What goes wrong there.
    pub fault: Fault,
    /// The settings of the calm.
    pub settings: Settings,
    /// PostgreSQL's own limit.
    pub max_connections: u32,
    /// Between pooler and server stands a relay that can be slow.
    pub by_a_way: bool,
    /// The applications.
    pub cast: fn() -> Vec<App>,
}

impl Scene {
    /// The scene of a fault.
    pub fn of(fault: Fault) -> Scene {
        let mut scene = Scene {
            fault,
            settings: Settings {
                size: 12,
                query_wait: "2s",
                clients_max: 300,
                line: 40,
                source: "store",
            },
            max_connections: 60,
            by_a_way: false,
            cast: shop,
        };
        match fault {
            Fault::CutLimit => {
                scene.settings.size = 16;
                scene.settings.query_wait = IMPATIENT;
            }
            Fault::OverwriteFile => scene.settings.source = "deploy",
            Fault::Surge => {
                scene.settings.size = 80;
                scene.settings.line = 95;
                scene.max_connections = 120;
                scene.cast = website;
            }
            Fault::Growth => {
                scene.settings.size = 4;
                scene.settings.query_wait = IMPATIENT;
                scene.cast = growing;
            }
            Fault::Leak => scene.settings.size = 10,
            Fault::SlowWay => {
                scene.settings.size = 8;
                scene.by_a_way = true;
            }
            Fault::TableLock => scene.settings.size = 8,
            Fault::SlowRelease => scene.settings.size = 7,
            Fault::Flood => {
                scene.settings.size = 7;
                scene.cast = with_export;
            }
            Fault::LoginStorm => {
                scene.settings.clients_max = 44;
                scene.cast = at_the_gate;
            }
        }
        scene
    }
}

/// Where whoever waits is soon refused: the reports tell of errors.
const IMPATIENT: &str = "600ms";
const ITEM: &str = "select n, name from items where id = {r}";
const ORDERS: &str = "select id, note from orders where customer = {r} % 997 limit 20";
const ADD: &str = "update items set n = n + 1 where id = {r}";
const SLOW: &str = "select pg_sleep(0.3), n from items where id = {r}";
const REPORT: &str = "select pg_sleep(0.4), count(*) from orders where customer = {r} % 997";
/// Some milliseconds of the server's processor, more where there are many processors.
const SEARCH: &str = "select search()";
const PAY: &str = "update orders set note = note where id = {r}";

const fn release(version: &'static str, work: &'static [(u32, Work)]) -> Release {
    Release {
        version,
        work,
        logs_in: false,
        clients: 0,
    }
}

const SHOP_WORK: &[(u32, Work)] = &[
    (5, Work::Query(ITEM)),
    (2, Work::Query(ORDERS)),
    (3, Work::Pair(ITEM, 60, ADD)),
];

/// The releases of web: a good one, one with a slow statement.
const WEB: &[Release] = &[
    release("7.12.0", SHOP_WORK),
    release(
        "8.1.0",
        &[
            (5, Work::Query(ITEM)),
            (2, Work::Query(ORDERS)),
            (3, Work::Pair(ITEM, 60, ADD)),
            (6, Work::Query(SLOW)),
        ],
    ),
];

/// The same, where the next release lost its own pool.
const WEB_WITHOUT_A_POOL: &[Release] = &[
    Release {
        version: "8.1.9",
        work: SHOP_WORK,
        logs_in: false,
        clients: 16,
    },
    Release {
        version: "8.2.0",
        work: SHOP_WORK,
        logs_in: true,
        clients: 60,
    },
];

const CHECKOUT: &[Release] = &[
    release("2.4.0", &[(1, Work::Pair(ITEM, 30, PAY))]),
    release(
        "2.4.1",
        &[(12, Work::Pair(ITEM, 30, PAY)), (1, Work::Forget(ORDERS))],
    ),
];

const API: &[Release] = &[release(
    "4.3.1",
    &[(3, Work::Query(ITEM)), (1, Work::Pair(ITEM, 40, ADD))],
)];

const WORKER: &[Release] = &[release("2.2.0", &[(1, Work::Query(ADD))])];

const EXPORT: &[Release] = &[release(
    "1.3.0",
    &[(4, Work::Query(REPORT)), (1, Work::Query(ITEM))],
)];

/// Product pages, their API, a till and a worker: some four connections at a time.
fn shop() -> Vec<App> {
    vec![
        App::new("web", WEB, 24, 160),
        App::new("api", API, 8, 160),
        App::new("checkout", CHECKOUT, 14, 350),
        App::new("worker", WORKER, 2, 150),
    ]
}

/// The same with an application that is quiet until it is not.
fn with_export() -> Vec<App> {
    let mut apps = shop();
    let export = App::new("export", EXPORT, 36, 300).culprit();
    export.clients(2);
    apps.push(export);
    apps
}

/// Short transactions that a limit of four serves well, as long as few come.
fn growing() -> Vec<App> {
    const FEED: &[Release] = &[release(
        "7.12.0",
        &[(6, Work::Pair(ITEM, 40, ADD)), (2, Work::Query(ITEM))],
    )];
    const FEED_API: &[Release] = &[release(
        "4.3.1",
        &[(6, Work::Pair(ITEM, 40, ADD)), (2, Work::Query(ORDERS))],
    )];
    vec![
        App::new("web", FEED, 40, 2_400),
        App::new("api", FEED_API, 20, 2_400),
    ]
}

/// Pages that need a few milliseconds of the server's processor, and a counter that all of them want.
fn website() -> Vec<App> {
    const COUNT: &str = "update counters set n = n + 1 where id = {c}";
    const PAGES: &[(u32, Work)] = &[
        (6, Work::Query(SEARCH)),
        (3, Work::Query(ITEM)),
        (1, Work::Query(COUNT)),
    ];
    const WEB: &[Release] = &[release("7.12.0", PAGES)];
    const API: &[Release] = &[release("4.3.1", PAGES)];
    const LOGIN: &[Release] = &[release("1.9.0", &[(1, Work::Query(SEARCH))])];
    vec![
        App::new("web", WEB, 8, 150).up_to(40).culprit(),
        App::new("api", API, 4, 150).up_to(30).culprit(),
        // It does not surge. What it feels tells whether the server drowns.
        App::new("login", LOGIN, 4, 150),
    ]
}

/// The shop, with a web whose next release has no pool of its own.
fn at_the_gate() -> Vec<App> {
    let mut apps = shop();
    apps[0] = App::new("web", WEB_WITHOUT_A_POOL, 16, 160).up_to(60);
    apps
}
