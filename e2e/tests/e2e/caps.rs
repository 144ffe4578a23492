//! Limits follow RELOAD and SET in pools that run: up at once, down without breaking a transaction.

use crate::common::{database, server};
use plimsoll_e2e::pooler::{Pooler, Settings};
use plimsoll_e2e::raw::{Client, Target, message};
use plimsoll_e2e::sandbox::until;
use std::time::Duration;

/// Where a limit is written.
#[derive(Clone, Copy)]
enum Place {
    /// `[pgbouncer]`.
    General,
    /// `[databases]`.
    Database,
    /// `[users]`.
    User,
}

/// How the pooler hears of it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum By {
    Reload,
    Set,
}

/// A limit, and whose connections are counted together.
struct Limit {
    key: &'static str,
    place: Place,
    by: By,
    /// Databases and users of the clients, in turn.
    pools: [(&'static str, &'static str); 2],
}

const ONE: [(&str, &str); 2] = [("a", "app"), ("a", "app")];
const TWO_USERS: [(&str, &str); 2] = [("a", "app"), ("a", "postgres")];
const TWO_DATABASES: [(&str, &str); 2] = [("a", "app"), ("b", "app")];

const fn limit(
    key: &'static str,
    place: Place,
    by: By,
    pools: [(&'static str, &'static str); 2],
) -> Limit {
    Limit {
        key,
        place,
        by,
        pools,
    }
}

/// Writes the limit into the settings. `None`: it is not stated.
fn write(settings: &mut Settings, limit: &Limit, value: Option<u32>) {
    let key = limit.key;
    let pair = value.map_or_else(String::new, |value| format!("{key}={value}"));
    match (limit.place, value) {
        (Place::General, Some(value)) => {
            settings.keys.insert(key.into(), value.to_string());
        }
        (Place::General, None) => {
            settings.keys.remove(key);
        }
        (Place::Database, _) => {
            let port = server().port();
            settings.databases = vec![format!("* = host=127.0.0.1 port={port} {pair}")];
        }
        (Place::User, Some(_)) => settings.users = vec![format!("app = {pair}")],
        (Place::User, None) => settings.users.clear(),
    }
}

fn change(pooler: &mut Pooler, limit: &Limit, value: Option<u32>) {
    let told = match (limit.by, value) {
        (By::Set, Some(value)) => pooler
            .console()
            .rows(&format!("set {} = {value}", limit.key)),
        _ => {
            pooler.rewrite(|settings| write(settings, limit, value));
            pooler.console().rows("reload")
        }
    };
    told.unwrap_or_else(|e| panic!("{}: {e}", limit.key));
}

/// A look at a socket, not a wait.
const SOON: Duration = Duration::from_millis(1);

/// Clients that ask for a transaction each, and which of them have one.
struct Askers {
    clients: Vec<(Client, State)>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Asking,
    Inside,
    Done,
}

impl Askers {
    fn begin(targets: impl Iterator<Item = Target>) -> Askers {
        let clients = targets.map(|target| {
            let mut client = Client::login(&target).expect("login");
            client.send(&message::query("begin")).expect("send");
            (client, State::Asking)
        });
        Askers {
            clients: clients.collect(),
        }
    }

    /// How many are inside their transaction by now.
    fn inside(&mut self) -> usize {
        for (client, state) in &mut self.clients {
            while *state == State::Asking
                && let Some(message) = client.read_within(SOON).expect("an answer")
            {
                // Who waits is told so by a notice.
                if message.tag == b'Z' {
                    *state = State::Inside;
                }
            }
        }
        let inside = self.clients.iter().filter(|(_, s)| *s == State::Inside);
        inside.count()
    }

    /// Whoever is inside is undisturbed, and ends; others follow, until all are done.
    fn all_end(&mut self) {
        until("all to be served", || {
            self.inside();
            for (client, state) in &mut self.clients {
                if *state == State::Inside {
                    assert_eq!(client.value("select 1").expect("undisturbed"), "1");
                    client.query("commit").expect("commit");
                    *state = State::Done;
                }
            }
            let done = self.clients.iter().all(|(_, s)| *s == State::Done);
            done.then_some(())
        });
    }
}

/// Raises it, lowers it, takes it away and states it again; `below` is what the pool has beside it.
fn follows(name: &str, limit: &Limit, below: u32) {
    let names = ["a", "b"].map(|which| database(format!("caps_{name}_{which}")));
    let base = Settings::for_server(server())
        .set("default_pool_size", "8")
        .set("reserve_pool_timeout", "0.05");
    let mut base = match below {
        0 => base,
        below => base.set("default_pool_size", &below.to_string()),
    };
    write(&mut base, limit, Some(2 - below));
    let mut pooler = Pooler::start(base);
    let port = pooler.port();
    let target = |n: usize| {
        let (which, user) = limit.pools[n % 2];
        let name = &names[usize::from(which == "b")];
        Target::tcp("127.0.0.1", port, name, user)
    };
    let seen = || names.iter().map(|n| server().connections(n)).sum::<usize>();
    let mut askers = Askers::begin((0..6).map(target));
    until("the first two", || (askers.inside() == 2).then_some(()));
    assert_eq!(seen(), 2, "as stated");
    change(&mut pooler, limit, Some(4 - below));
    until("two more", || (askers.inside() == 4).then_some(()));
    assert_eq!(seen(), 4, "raised");
    change(&mut pooler, limit, Some(1 - below));
    askers.all_end();
    until("the others to be closed", || (seen() <= 1).then_some(()));
    change(&mut pooler, limit, Some(3 - below));
    let mut askers = Askers::begin((0..6).map(target));
    until("three", || (askers.inside() == 3).then_some(()));
    assert_eq!(seen(), 3, "raised from idle");
    askers.all_end();
    // What is idle above the limit goes at once: nobody asks for anything.
    change(&mut pooler, limit, Some(1 - below));
    until("idle ones to be closed", || (seen() <= 1).then_some(()));
    if below == 0 && limit.by == By::Reload {
        change(&mut pooler, limit, None);
        let mut askers = Askers::begin((0..6).map(target));
        until("all at once", || (askers.inside() == 6).then_some(()));
        change(&mut pooler, limit, Some(2));
        askers.all_end();
        until("the old ones to be closed", || (seen() <= 2).then_some(()));
    }
}

#[test]
fn of_a_database() {
    let key = "max_db_connections";
    follows(
        "db_general",
        &limit(key, Place::General, By::Reload, TWO_USERS),
        0,
    );
    follows(
        "db_own",
        &limit(key, Place::Database, By::Reload, TWO_USERS),
        0,
    );
    follows("db_set", &limit(key, Place::General, By::Set, TWO_USERS), 0);
}

#[test]
fn of_a_user() {
    let key = "max_user_connections";
    follows(
        "user_general",
        &limit(key, Place::General, By::Reload, TWO_DATABASES),
        0,
    );
    follows(
        "user_own",
        &limit(key, Place::User, By::Reload, TWO_DATABASES),
        0,
    );
    follows(
        "user_set",
        &limit(key, Place::General, By::Set, TWO_DATABASES),
        0,
    );
}

#[test]
fn of_a_pool() {
    let key = "default_pool_size";
    follows("size_set", &limit(key, Place::General, By::Set, ONE), 0);
    follows(
        "size_general",
        &limit(key, Place::General, By::Reload, ONE),
        0,
    );
    follows(
        "size_db",
        &limit("pool_size", Place::Database, By::Reload, ONE),
        0,
    );
    follows(
        "size_user",
        &limit("pool_size", Place::User, By::Reload, ONE),
        0,
    );
}

#[test]
fn of_the_reserve() {
    let key = "reserve_pool_size";
    follows("reserve_set", &limit(key, Place::General, By::Set, ONE), 1);
    follows("reserve", &limit(key, Place::General, By::Reload, ONE), 1);
    follows(
        "reserve_db",
        &limit(key, Place::Database, By::Reload, ONE),
        1,
    );
    follows("reserve_user", &limit(key, Place::User, By::Reload, ONE), 1);
}

/// How many clients the pooler lets in, of so many that try.
fn let_in(targets: impl Iterator<Item = Target>) -> Vec<Client> {
    targets.filter_map(|t| Client::login(&t).ok()).collect()
}

#[test]
fn of_clients() {
    let per_database = "max_db_client_connections";
    let per_user = "max_user_client_connections";
    for (name, limit) in [
        (
            "cdb",
            limit(per_database, Place::General, By::Reload, TWO_USERS),
        ),
        (
            "cdb_set",
            limit(per_database, Place::General, By::Set, TWO_USERS),
        ),
        (
            "cdb_own",
            limit(per_database, Place::Database, By::Reload, TWO_USERS),
        ),
        (
            "cuser",
            limit(per_user, Place::General, By::Reload, TWO_DATABASES),
        ),
        (
            "cuser_set",
            limit(per_user, Place::General, By::Set, TWO_DATABASES),
        ),
        (
            "cuser_own",
            limit(per_user, Place::User, By::Reload, TWO_DATABASES),
        ),
    ] {
        let names = ["a", "b"].map(|which| database(format!("caps_{name}_{which}")));
        let mut base = Settings::for_server(server());
        write(&mut base, &limit, Some(2));
        let mut pooler = Pooler::start(base);
        let port = pooler.port();
        let targets = || {
            (0..6).map(|n| {
                let (which, user) = limit.pools[n % 2];
                Target::tcp("127.0.0.1", port, &names[usize::from(which == "b")], user)
            })
        };
        let mut clients = let_in(targets());
        assert_eq!(clients.len(), 2, "{name}: as stated");
        change(&mut pooler, &limit, Some(4));
        clients.extend(let_in(targets()));
        assert_eq!(clients.len(), 4, "{name}: raised");
        change(&mut pooler, &limit, Some(1));
        assert_eq!(let_in(targets()).len(), 0, "{name}: lowered");
        for client in &mut clients {
            assert_eq!(client.value("select 1").expect("who is in stays"), "1");
        }
        clients.clear();
        until("one place", || (let_in(targets()).len() == 1).then_some(()));
    }
}

/// Replication connections of a database and user: as many as their pool may have.
#[test]
fn of_replication() {
    if plimsoll_e2e::pooler::Binary::find().is_pgbouncer {
        return crate::common::skip("replication", "PgBouncer 1.18 has none");
    }
    let name = database("caps_replication");
    let limit = limit("pool_size", Place::Database, By::Reload, ONE);
    let mut base = Settings::for_server(server()).set("query_wait_timeout", "1");
    write(&mut base, &limit, Some(1));
    let mut pooler = Pooler::start(base);
    let target = pooler
        .target(&name, "postgres")
        .parameter("replication", "database");
    let mut first = Client::login(&target).expect("the first");
    assert!(Client::login(&target).is_err(), "beyond the limit");
    change(&mut pooler, &limit, Some(2));
    let mut second = Client::login(&target).expect("raised");
    change(&mut pooler, &limit, Some(1));
    for client in [&mut first, &mut second] {
        client.rows("IDENTIFY_SYSTEM").expect("undisturbed");
    }
    first.terminate();
    assert!(Client::login(&target).is_err(), "lowered");
    second.terminate();
    until("the only place", || Client::login(&target).ok());
}
