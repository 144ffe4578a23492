//! What a person tries, done for real.

use super::{How, Stage};
use events::{Acted, ClientAct};
use practice::drill::Deed;
use std::time::{Duration, Instant};

/// Who does it, in the history of the settings.
const TRAINEE: &str = "the trainee";

impl Stage {
    /// Does it, and says what was done.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub fn carry_out(&mut self, deed: &Deed) -> Result<String, String> {
        match deed {
            Deed::RestartApp(name) => {
                let app = self.app(name)?;
                app.restart();
                let now = app.release().version;
                Ok(format!(
                    "All processes of {} start again, in release {now}.",
                    app.name
                ))
            }
            Deed::RestartDatabase => {
                self.sandbox.restart().map_err(|e| e.to_string())?;
                Ok("PostgreSQL was stopped and started; all its sessions ended.".to_owned())
            }
            Deed::SetLimit(limit) => self.set_limit(*limit),
            Deed::RollBackSettings => {
                let back = self.pooler().roll_back(TRAINEE)?;
                Ok(format!(
                    "The settings before version {} serve again.",
                    back.from
                ))
            }
            Deed::RollBackRelease(name) => {
                let app = self.app(name)?;
                let release = app.roll_back();
                let release =
                    release.ok_or(format!("{} has no release before this one", app.name))?;
                let text = format!("{} runs in release {} again.", app.name, release.version);
                self.pooler().mark_release(app.name, release.version)?;
                Ok(text)
            }
            Deed::EndSessions(name) => self.end_sessions(name),
            Deed::Block(name) => {
                let app = self.app(name)?;
                app.block(true);
                Ok(format!(
                    "{} is kept out; nothing of it is served.",
                    app.name
                ))
            }
            Deed::CancelLongest => self.cancel_longest(),
            Deed::ClearCaches => Ok(
                "The caches of the applications are empty. Here they have none that matters."
                    .to_owned(),
            ),
            Deed::Reroute => self.reroute(),
        }
    }

    fn app(&self, name: &str) -> Result<&super::App, String> {
        self.crowd.app(name).ok_or_else(|| {
            let names: Vec<&str> = self.crowd.apps().iter().map(|a| a.name).collect();
            format!(
                "there is no application {name}; there are {}",
                names.join(", ")
            )
        })
    }

    fn set_limit(&mut self, limit: u32) -> Result<String, String> {
        // All else stays as it serves: a cut wait is not mended by a limit.
        let serving = std::fs::read_to_string(self.pooler().file()).map_err(|e| e.to_string())?;
        let line = |line: &str| match line.starts_with("size = ") {
            true => format!("size = {limit}"),
            false => line.to_owned(),
        };
        let lines: Vec<String> = serving.lines().map(line).collect();
        let text = format!("{}\n", lines.join("\n"));
        let done = self.pooler().apply(text, How::Now, TRAINEE, "an outage")?;
        Ok(format!(
            "Version {} of the settings serves, with a limit of {limit}.",
            done.version
        ))
    }

    /// At the pooler: whoever holds a connection. At the server: sessions that
    /// came past the pooler.
    fn end_sessions(&mut self, name: &str) -> Result<String, String> {
        let handle = &self.pooler().handle;
        let snapshot = handle.snapshot(true);
        let of = |application: &str| application.split('/').next() == Some(name);
        let clients = snapshot.clients.iter().filter(|c| of(&c.application_name));
        let killed = clients
            .filter(|c| matches!(handle.act(c.id, ClientAct::Kill), Acted::Done(_)))
            .count();
        let literal = name.replace('\'', "''");
        let past = self.others.ask(&format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity \
             where application_name = '{literal}' and pid <> pg_backend_pid()"
        ));
        let past = past.map_err(|e| e.to_string())?;
        let past = past
            .first()
            .and_then(|row| row.first()?.clone())
            .unwrap_or_default();
        match (killed, past.as_str()) {
            (0, "0") => Err(format!("nobody named {name} has a session")),
            _ => Ok(format!(
                "{killed} sessions of {name} ended at the pooler, {past} at the server past it."
            )),
        }
    }

    fn cancel_longest(&self) -> Result<String, String> {
        let rows = self.others.ask(
            "select coalesce(nullif(application_name, ''), usename), \
               round(extract(epoch from now() - query_start)::numeric, 1), pg_cancel_backend(pid) \
             from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() \
               and backend_type = 'client backend' and usename <> 'monitor' \
             order by query_start limit 1",
        );
        let rows = rows.map_err(|e| e.to_string())?;
        match rows.first().map(Vec::as_slice) {
            Some([Some(who), Some(seconds), _]) => Ok(format!(
                "The longest statement, of {who}, had run for {seconds} s and was cancelled."
            )),
            _ => Err("no statement runs".to_owned()),
        }
    }

    fn reroute(&self) -> Result<String, String> {
        let before = self.trivial()?;
        if let Some(way) = &self.way {
            way.delay(Duration::ZERO);
        }
        let after = self.trivial()?;
        Ok(format!(
            "Another way to the server is taken. A query that does nothing took {:.1} ms, now {:.1} ms.",
            before.as_secs_f64() * 1e3,
            after.as_secs_f64() * 1e3
        ))
    }

    /// A query that does nothing, by the way that the pooler takes.
    fn trivial(&self) -> Result<Duration, String> {
        use crate::client::{Address, Client, TargetOf};
        let port = self
            .way
            .as_ref()
            .map_or(self.sandbox.port(), super::Way::port);
        let target = TargetOf {
            address: Address::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], port))),
            user: super::USER,
            password: super::PASSWORD,
            database: super::DATABASE,
        };
        let mut client = Client::connect(&target, "drill").map_err(|e| e.to_string())?;
        let began = Instant::now();
        client.query("select 1").map_err(|e| e.to_string())?;
        Ok(began.elapsed())
    }
}
