//! The traffic's shape, as the console prints it.

use crate::common::pooler_with;
use events::shape::{End, Shape};
use plimsoll_e2e::raw::Client;
use plimsoll_e2e::sandbox::until;

/// Hides in the literals of clients; no output may hold it.
const MARKER: &str = "marker77340177";

#[test]
fn the_shape_tells_requests_and_no_literal() {
    let pooler = pooler_with(|settings| settings.set("default_pool_size", "3"));
    if pooler.is_pgbouncer() {
        return;
    }
    let target = pooler
        .target("app", "app")
        .parameter("application_name", "shaped");
    let mut client = Client::login(&target).expect("login");
    let mut console = pooler.console();
    // A window begins with the next sample; nothing before it is recorded.
    let text = until("fifty recorded requests", || {
        for _ in 0..10 {
            let sql = format!("select '{MARKER}', pg_sleep(0.002)");
            client.query(&sql).expect("a query");
        }
        let rows = console.rows("show shape").expect("the shape");
        let lines: Vec<&str> = rows.iter().flatten().map(String::as_str).collect();
        let text = lines.join("\n");
        let shape = Shape::from_text(&text).expect("what is printed can be read");
        (shape.requests() >= 50).then_some(text)
    });
    assert!(!text.contains(MARKER), "{text}");
    let shape = Shape::from_text(&text).expect("a shape");
    let server = &shape.servers[0];
    let texts: Vec<&str> = server.classes.iter().map(|c| c.text.as_str()).collect();
    assert_eq!(texts, ["", "select ?, pg_sleep(?)"]);
    let pool = &server.pools[0];
    assert_eq!((pool.database.as_str(), pool.size), ("app", 3));
    assert!(
        pool.flows.iter().any(|flow| flow.ends_with("\0shaped")),
        "{:?}",
        pool.flows
    );
    let all = server.windows.iter().flat_map(|w| &w.requests);
    let ended: Vec<_> = all.filter(|r| r.end == End::Returned).collect();
    assert!(ended.iter().all(|r| r.in_use == 1 && r.wait_us < 1_000_000));
    let slept = ended.iter().filter(|r| r.hold_us >= 2_000).count();
    assert!(
        slept >= 40,
        "{slept} of {} held as long as they slept",
        ended.len()
    );
}
