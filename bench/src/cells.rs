//! The cells of the benchmark: one workload, protocol, number of clients and way of logging in each.

use std::fmt;

/// What a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// pgbench's built-in `-S`: one row by primary key.
    SelectOnly,
    /// `SELECT 1`: as little server work as there can be.
    SelectOne,
    /// `-S` with a new connection for each transaction (`-C`).
    Login,
}

/// pgbench's `-M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Query messages.
    Simple,
    /// Parse, Bind, Describe, Execute, Sync, without a name.
    Extended,
    /// The same with named statements.
    Prepared,
}

/// How clients log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Nobody asks.
    Trust,
    /// SCRAM-SHA-256, 4096 rounds, from the stored verifier.
    Scram,
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What a transaction is.
    pub workload: Workload,
    /// Which messages carry it.
    pub protocol: Protocol,
    /// Concurrent clients.
    pub clients: usize,
    /// How they log in.
    pub auth: Auth,
}

/// Clients of the login cells.
const LOGIN_CLIENTS: usize = 8;

impl Cell {
    /// All cells, or the shorter list of `--quick`, in the order of the report.
    pub fn all(quick: bool) -> Vec<Self> {
        let mut cells = Vec::new();
        for workload in [Workload::SelectOnly, Workload::SelectOne] {
            for protocol in [Protocol::Simple, Protocol::Extended, Protocol::Prepared] {
                for clients in [1, 16, 64, 500] {
                    let skipped =
                        quick && workload == Workload::SelectOne && protocol != Protocol::Simple;
                    if !skipped {
                        cells.push(Self {
                            workload,
                            protocol,
                            clients,
                            auth: Auth::Trust,
                        });
                    }
                }
            }
        }
        for auth in [Auth::Trust, Auth::Scram] {
            let protocol = Protocol::Simple;
            cells.push(Self {
                workload: Workload::Login,
                protocol,
                clients: LOGIN_CLIENTS,
                auth,
            });
        }
        cells
    }

    /// The cells in which Plimsoll is compared with itself: busy ones of both protocols.
    pub fn scale() -> Vec<Self> {
        Self::all(false)
            .into_iter()
            .filter(|cell| {
                cell.workload == Workload::SelectOnly
                    && cell.protocol != Protocol::Extended
                    && matches!(cell.clients, 16 | 64)
            })
            .collect()
    }

    /// The cell with that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::all(false)
            .into_iter()
            .find(|cell| cell.to_string() == name)
    }

    /// Whether the target figures count this cell: data path, 16 or more clients.
    pub fn counts(&self) -> bool {
        self.workload != Workload::Login && self.clients >= 16
    }

    /// The cell whose floor stands for this one: the floor has no prepared statements, and unnamed ones differ by a
    /// Parse message of some 60 bytes that travels in the same packet.
    pub fn floor_cell(&self) -> Self {
        let protocol = match self.protocol {
            Protocol::Prepared => Protocol::Extended,
            other => other,
        };
        Self { protocol, ..*self }
    }

    /// pgbench's arguments for it.
    pub fn pgbench_arguments(&self, script: &str) -> Vec<String> {
        let protocol = match self.protocol {
            Protocol::Simple => "simple",
            Protocol::Extended => "extended",
            Protocol::Prepared => "prepared",
        };
        let mut words = vec![
            "-n".to_owned(),
            "-M".into(),
            protocol.into(),
            "-j".into(),
            "1".into(),
        ];
        words.extend(["-c".into(), self.clients.to_string()]);
        match self.workload {
            Workload::SelectOnly => words.push("-S".into()),
            Workload::SelectOne => words.extend(["-f".into(), script.into()]),
            Workload::Login => words.extend(["-S".into(), "-C".into()]),
        }
        words
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Simple => "simple",
            Protocol::Extended => "extended",
            Protocol::Prepared => "prepared",
        };
        match (self.workload, self.auth) {
            (Workload::SelectOnly, _) => write!(f, "select-only/{protocol}/{}", self.clients),
            (Workload::SelectOne, _) => write!(f, "select-1/{protocol}/{}", self.clients),
            (Workload::Login, Auth::Trust) => write!(f, "login/trust/{}", self.clients),
            (Workload::Login, Auth::Scram) => write!(f, "login/scram/{}", self.clients),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_can_be_read_back() {
        let all = Cell::all(false);
        assert_eq!(all.len(), 2 * 3 * 4 + 2);
        for cell in &all {
            assert_eq!(Cell::parse(&cell.to_string()), Some(*cell));
        }
        assert_eq!(all.iter().filter(|c| c.counts()).count(), 18);
    }

    #[test]
    fn quick_keeps_every_protocol() {
        let names: Vec<String> = Cell::all(true).iter().map(Cell::to_string).collect();
        assert!(names.contains(&"select-only/prepared/64".into()));
        assert!(!names.contains(&"select-1/prepared/64".into()));
        assert_eq!(names.len(), 18);
    }
}
