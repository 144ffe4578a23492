//! `plimsoll top --once` before a pooler that serves: what it shows is what is.
//! Its keys are tested in a pseudo-terminal, beside the command.

use crate::common::{database, server, skip};
use plimsoll_e2e::pooler::{Binary, Pooler, Settings};
use plimsoll_e2e::raw::{Client, message};
use plimsoll_e2e::sandbox::until;
use std::process::{Command, Stdio};

fn top(pooler: &Pooler, arguments: &[&str]) -> String {
    let output = Command::new(Binary::find().path)
        .args(["top", "--once", "--socket"])
        .arg(pooler.dir())
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    // The first second is not measured yet.
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn who_holds_and_who_waits_is_on_the_screen() {
    let database = database("top_shows");
    let settings = Settings::for_server(server())
        .native(server())
        .set("default_pool_size", "1");
    let pooler = Pooler::start(settings);
    if pooler.is_pgbouncer() {
        return skip("top", "PgBouncer has none");
    }
    let client = |application: &str| {
        let target = pooler.target(&database, "app");
        let target = target.parameter("application_name", application);
        Client::login(&target).expect("login")
    };
    let mut holder = client("shop-web");
    let held = holder.query("begin; select 'marker77340177', 1");
    held.expect("a connection");
    let mut waiter = client("shop-worker");
    waiter.send(&message::query("select 2")).expect("sent");
    let overview = until("both on the screen", || {
        let text = top(&pooler, &[]);
        (text.contains("shop-web") && text.contains("waiting 1, the longest")).then_some(text)
    });
    assert!(overview.contains("1/1"), "used of the limit:\n{overview}");
    assert!(overview.contains(&format!("{database}/app")), "{overview}");
    assert!(!overview.contains("marker77340177") && !overview.contains('\x1b'));
    let leases = top(&pooler, &["--view", "leases", "--filter", "SHOP-WEB"]);
    assert!(
        leases.contains("WHO HOLDS 1\n") || leases.contains("WHO HOLDS 1 "),
        "{leases}"
    );
    let pools = top(&pooler, &["--view", "pools", "--sort", "waiting"]);
    assert!(
        pools.contains("by waiting") && pools.contains("1/1"),
        "{pools}"
    );
    for view in ["budget", "alerts"] {
        let text = top(&pooler, &["--view", view]);
        assert!(
            text.contains("[4 budget]") || text.contains("[5 alerts]"),
            "{text}"
        );
    }
    let live: serde_json::Value =
        serde_json::from_str(&top(&pooler, &["--format", "json"])).expect("JSON");
    assert_eq!(live["totals"]["waiting"], 1);
    holder.query("commit").expect("given back");
    waiter.read_to_ready().expect("served");
}
