//! The pooler's settings: session mode, so that each client has a server connection
//! of its own, as it would have without a pooler.
//!
//! Transaction mode would do for what is looked for, but a suite may do anything that a
//! session can do; nothing of it shall be changed by being watched. A server
//! connection ends with its client, so that `DROP DATABASE` finds nobody there.

use crate::client::connect_server;
use crate::commands::address::Address;
use anyhow::Context;
use config::{ListenAddress, Overrides, Plan, PoolMode, PoolSize, UrlOptions};
use events::GuardMode;
use std::net::SocketAddr;
use std::time::Duration;

/// Most clients; far more than the server will have connections for.
const CLIENTS_MAX: u32 = 2_000;
/// A server connection without a client ends at the next tick of the worker.
const IDLE_MAX: Duration = Duration::from_millis(1);
/// Longest wait for one of the server's connections.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The settings for a program that would have connected to `address`.
pub(super) fn plan(address: &Address, password: &str, listen: SocketAddr) -> anyhow::Result<Plan> {
    let url = address.url(password);
    let server = config::server_from_url(&url, None)
        .map_err(|e| anyhow::anyhow!("the database's address: {}", e.render()))?;
    let line = line(&server)?;
    let options = UrlOptions {
        listen: vec![ListenAddress {
            host: listen.ip().to_string(),
            port: listen.port(),
        }],
        unix_socket_dir: None,
        overrides: Overrides {
            line: Some(line),
            guards: Some(GuardMode::Off),
            ..Overrides::default()
        },
    };
    let mut plan = config::from_url_with(&url, &options)
        .map_err(|e| anyhow::anyhow!("the database's address: {}", e.render()))?;
    // Suites make databases of their own beside the one that they are given.
    let mut any = plan.databases.first().cloned().context("no database")?;
    any.name = "*".to_owned();
    any.dbname = None;
    plan.databases.push(any);
    plan.pool_mode = PoolMode::Session;
    plan.default_pool_size = PoolSize::Fixed(line);
    plan.max_client_conn = CLIENTS_MAX;
    plan.workers = Some(1);
    plan.queue_max = CLIENTS_MAX;
    plan.query_wait_timeout = Some(WAIT_MAX);
    plan.query_wait_notify = None;
    plan.server_idle_timeout = Some(IDLE_MAX);
    plan.server_login_retry = Duration::from_millis(200);
    Ok(plan)
}

/// What the server will give to this user, as it says itself.
fn line(server: &config::ServerUrl) -> anyhow::Result<u32> {
    let place = format!("{}:{}", server.database.host, server.database.port);
    let mut client = connect_server(server, "plimsoll leaks")
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(|| format!("cannot log in to the database at {place}"))?;
    let limit = "select current_setting('max_connections')::int - case when \
                 (select rolsuper from pg_roles where rolname = current_user) then 0 \
                 else current_setting('superuser_reserved_connections')::int end";
    let limit = client
        .query(limit)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("cannot ask the database how many connections it has")?;
    let limit = limit.and_then(|text| text.parse::<u32>().ok());
    Ok(limit.unwrap_or(100).max(1))
}
