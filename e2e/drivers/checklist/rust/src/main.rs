//! sqlx, diesel and tokio-postgres: the checklist of README.md. Diesel is libpq; the others have a protocol of their own.

use std::env::var;

mod with_diesel;
mod with_sqlx;
mod with_tokio_postgres;

/// One of libpq's variables.
fn told(name: &str) -> String {
    var(name).unwrap_or_else(|_| panic!("no {name}"))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("sqlx") => with_sqlx::run().await.expect("sqlx"),
        Some("diesel") => with_diesel::run().expect("diesel"),
        Some("tokio-postgres") => with_tokio_postgres::run().await.expect("tokio-postgres"),
        _ => panic!("sqlx, diesel or tokio-postgres"),
    }
}
