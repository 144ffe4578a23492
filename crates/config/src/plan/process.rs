//! How the process itself behaves: what signals mean to it.

/// What TERM and INT ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnSignal {
    /// Idle clients are closed, transactions may end within the drain's time.
    #[default]
    Drain,
    /// As PgBouncer from 1.23 on: TERM waits for all clients, INT for all servers, without a limit.
    Wait,
}

/// The process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Process {
    /// What TERM and INT ask for.
    pub signals: OnSignal,
}
