//! Asks a server for its settings, again and again over one connection.

use super::super::check::{explained, label};
use crate::client::{Client, ClientError, connect_server};
use anyhow::anyhow;
use config::ServerUrl;
use control::guard::{Running, Server, Written};

const RUNNING: &str = "SELECT name, setting, unit, vartype, context, source, sourcefile, sourceline, \
pending_restart FROM pg_catalog.pg_settings ORDER BY name LIMIT 2000";

const WRITTEN: &str = "SELECT sourcefile, sourceline, name, setting, applied, error \
FROM pg_catalog.pg_file_settings ORDER BY seqno LIMIT 2000";

/// A connection that is made when it is needed.
pub struct Asker {
    server: ServerUrl,
    label: String,
    client: Option<Client>,
}

impl Asker {
    /// For the server of this URL. The password is the URL's, else PGPASSWORD's.
    pub fn new(url: &str) -> anyhow::Result<Asker> {
        let password = std::env::var("PGPASSWORD").ok();
        let server = config::server_from_url(url, password.as_deref())
            .map_err(|errors| anyhow!("{}", errors.render().trim_end()))?;
        Ok(Asker {
            label: label(&server),
            server,
            client: None,
        })
    }

    /// What it says now, or why nothing.
    pub fn ask(&mut self) -> Result<Server, String> {
        let answer = self.try_ask();
        if answer.is_err() {
            self.client = None;
        }
        answer
    }

    fn try_ask(&mut self) -> Result<Server, String> {
        let label = &self.label;
        if self.client.is_none() {
            let client = connect_server(&self.server, "plimsoll guard")
                .map_err(|error| format!("{label}: {}", explained(&error)))?;
            self.client = Some(client);
        }
        let Some(client) = &mut self.client else {
            return Err(label.clone());
        };
        let failed = |error: ClientError| format!("{label}: the server did not answer: {error}");
        let running: Vec<Running> = client
            .rows(RUNNING)
            .map_err(failed)?
            .iter()
            .map(|row| running(row))
            .collect();
        if !running.iter().any(|row| row.name == "max_connections") {
            return Err(format!("{label}: is it a PostgreSQL server?"));
        }
        let written = match client.rows(WRITTEN) {
            Ok(rows) => Some(rows.iter().map(|row| written(row)).collect()),
            Err(error) if matches!(error.code(), Some("42501" | "42P01")) => None,
            Err(error) => return Err(failed(error)),
        };
        Ok(Server {
            label: label.clone(),
            running,
            written,
        })
    }
}

type Row = [Option<String>];

fn cell(row: &Row, n: usize) -> String {
    row.get(n).cloned().flatten().unwrap_or_default()
}

fn running(row: &Row) -> Running {
    Running {
        name: cell(row, 0),
        setting: cell(row, 1),
        unit: cell(row, 2),
        vartype: cell(row, 3),
        context: cell(row, 4),
        source: cell(row, 5),
        sourcefile: cell(row, 6),
        sourceline: cell(row, 7),
        pending_restart: cell(row, 8) == "t",
    }
}

fn written(row: &Row) -> Written {
    Written {
        sourcefile: cell(row, 0),
        sourceline: cell(row, 1),
        name: cell(row, 2),
        setting: cell(row, 3),
        applied: cell(row, 4) == "t",
        error: row.get(5).cloned().flatten(),
    }
}
