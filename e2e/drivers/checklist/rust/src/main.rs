//! sqlx and diesel: the checklist of README.md. Diesel is libpq; sqlx has a protocol of its own.

use std::env::var;

mod with_diesel;
mod with_sqlx;

/// One of libpq's variables.
fn told(name: &str) -> String {
    var(name).unwrap_or_else(|_| panic!("no {name}"))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("sqlx") => with_sqlx::run().await.expect("sqlx"),
        Some("diesel") => with_diesel::run().expect("diesel"),
        _ => panic!("sqlx or diesel"),
    }
}
