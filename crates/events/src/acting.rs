//! What a person does to one client, and what came of it.

use crate::Time;
use std::time::Duration;

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientAct {
    /// Its running statement is cancelled, or its wait for a connection ended.
    Cancel,
    /// Its server connection is taken back; the client is closed with FATAL.
    Reclaim,
    /// It is closed.
    Kill,
}

impl ClientAct {
    /// The word in paths, log and markers.
    pub const fn label(self) -> &'static str {
        match self {
            ClientAct::Cancel => "cancel",
            ClientAct::Reclaim => "reclaim",
            ClientAct::Kill => "kill",
        }
    }
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Acted {
    /// No client has this id, any more.
    Gone,
    /// The client is there, and has nothing to cancel or to take back.
    Nothing(Whose),
    /// It was done.
    Done(Whose),
}

/// The client that it was done to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Whose {
    /// User name given at login.
    pub user: String,
    /// Database name given at login.
    pub database: String,
    /// Its application_name.
    pub application: String,
    /// How long it had held a server connection; `None`: it held none.
    pub held: Option<Duration>,
}

/// The last statement of one lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseStatement {
    /// [`LeaseRow::client`](crate::LeaseRow::client).
    pub client: u64,
    /// [`LeaseRow::since`](crate::LeaseRow::since): another lease of the client has another.
    pub since: Time,
    /// As far as the settings show it.
    pub statement: String,
}
