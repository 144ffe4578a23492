//! A standby that is copied and fed by the pooler.

use super::{console, is_old};
use plimsoll_e2e::pooler::{Pooler, Settings};
use plimsoll_e2e::sandbox::until;
use plimsoll_e2e::server::{PASSWORD, Server};

/// Another loopback address than other tests' servers have.
const STANDBY: &str = "127.0.0.4";

fn follows(what: &str, primary: &Server, standby: &Server) {
    let rows = |of: &Server| of.sql("app", "select count(*), sum(n) from t");
    until(what, || (rows(primary) == rows(standby)).then_some(()));
}

#[test]
fn a_standby_is_copied_streams_comes_back_and_is_promoted() {
    if is_old() {
        return;
    }
    let primary = Server::start_with(&["wal_retrieve_retry_interval = 100ms"]);
    primary.sql(
        "app",
        "create table t (n int); insert into t select generate_series(1, 10000)",
    );
    // Whatever its conninfo says, a standby asks for a database of the name `replication`.
    let settings = Settings::for_server(&primary)
        .databases(&[&format!(
            "replication = host=127.0.0.1 port={}",
            primary.port()
        )])
        .client_tls("require", primary.certificates())
        .set("auth_type", "scram-sha-256");
    let mut pooler = Pooler::start(settings);
    let way = format!(
        "host=localhost hostaddr=127.0.0.1 port={} user=app password='{}' sslmode=verify-full sslrootcert={} application_name=follower",
        pooler.port(),
        PASSWORD.replace('\\', "\\\\").replace('\'', "\\'"),
        primary.certificates().ca.display(),
    );
    let standby = primary.standby_by(STANDBY, &["-d", &way, "-C", "-S", "follower"]);
    follows("the copy", &primary, &standby);
    let feeds = "select pid from pg_stat_replication where application_name = 'follower' and state = 'streaming'";
    let pid = until("it streams", || primary.sql("postgres", feeds).pop()?.pop());
    primary.sql("app", "insert into t select generate_series(1, 20000)");
    follows("what came later", &primary, &standby);
    let clients = console(&pooler).rows("show clients").expect("clients");
    let kinds: Vec<_> = clients.iter().filter(|row| row[3] == "physical").collect();
    assert_eq!(kinds.len(), 1, "{clients:?}");

    primary.sql("postgres", &format!("select pg_terminate_backend({pid})"));
    primary.sql("app", "insert into t values (1)");
    follows(
        "what came after the server closed the connection",
        &primary,
        &standby,
    );
    pooler.signal("KILL");
    pooler.wait();
    primary.sql("app", "insert into t values (2)");
    pooler.restart();
    follows("what came after the pooler died", &primary, &standby);

    standby.promote();
    standby.sql("app", "insert into t values (3)");
    until("nothing feeds it any more", || {
        primary.sql("postgres", feeds).is_empty().then_some(())
    });
}
