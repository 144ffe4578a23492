//! Sessions past the pooler, straight to the server: migrations, people, reports.

use crate::client::{Address, Client, ClientError, TargetOf};
use crate::sandbox::Sandbox;
use std::path::PathBuf;

/// Such sessions. Each is a superuser's, through the unix socket.
pub struct Others {
    socket: PathBuf,
    sessions: Vec<Client>,
}

impl Others {
    /// None yet.
    pub fn new(sandbox: &Sandbox) -> Others {
        let socket = format!(".s.PGSQL.{}", sandbox.port());
        Others {
            socket: sandbox.socket_dir().join(socket),
            sessions: Vec::new(),
        }
    }

    /// Logs in under an application name, says these, and stays, silent.
    pub fn say(&mut self, name: &str, statements: &[&str]) -> Result<(), ClientError> {
        let mut client = self.log_in(name)?;
        for sql in statements {
            client.query(sql)?;
        }
        self.sessions.push(client);
        Ok(())
    }

    /// Asks the server something, in a session of its own.
    pub fn ask(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, ClientError> {
        self.log_in("drill")?.rows(sql)
    }

    fn log_in(&self, name: &str) -> Result<Client, ClientError> {
        let target = TargetOf {
            address: Address::Unix(self.socket.clone()),
            user: "postgres",
            password: "",
            database: super::DATABASE,
        };
        Client::connect(&target, name)
    }

    /// They all log off.
    pub fn end(&mut self) {
        self.sessions.clear();
    }
}
