//! How requests are sent: in which protocol, and through which connections.

use serde::Deserialize;

/// How statements are sent, as pgbench's `--protocol`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// As texts, with the values of variables in them.
    #[default]
    Simple,
    /// Parsed each time, with parameters.
    Extended,
    /// Parsed once for each connection.
    Prepared,
}

/// When connections are opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connect {
    /// All before the first request; they stay.
    #[default]
    Once,
    /// One for each request, as programs without a pool of their own do, and pgbench's
    /// `--connect`. Its login is part of the request's latency.
    Each,
}
