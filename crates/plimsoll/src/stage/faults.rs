//! The faults, done for real.

use super::{How, Stage};
use practice::drill::Fault;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The way is longer by so much, each way.
const SLOW_WAY: Duration = Duration::from_millis(40);
/// Seconds in which traffic grows.
const GROWTH_STEPS: u64 = 8;

impl Stage {
    /// Strikes. `rest` lets a second pass, and says whether to go on.
    ///
    /// # Errors
    /// What could not be done.
    pub fn strike(&mut self, rest: &mut dyn FnMut() -> bool) -> Result<(), String> {
        match self.scene.fault {
            Fault::CutLimit => {
                let text = self.text_with(|s| s.size = 1);
                let why = "the release of this afternoon";
                self.pooler()
                    .apply(text, How::Now, "update 2024-08-15", why)
                    .map(drop)
            }
            Fault::OverwriteFile => {
                let text = self.text_with(|s| (s.size, s.query_wait) = (1, "500ms"));
                std::fs::write(self.pooler().file(), text).map_err(|e| e.to_string())
            }
            Fault::Surge => {
                self.step_back();
                for (name, clients) in [("web", 40), ("api", 30)] {
                    if let Some(app) = self.crowd.app(name) {
                        app.clients(clients);
                        app.think_ms(10);
                    }
                }
                Ok(())
            }
            Fault::Growth => {
                for step in 1..=GROWTH_STEPS {
                    for app in self.crowd.apps() {
                        app.think_ms(2_400 - 2_280 * step / GROWTH_STEPS);
                    }
                    if !rest() {
                        break;
                    }
                }
                Ok(())
            }
            Fault::Leak => self.release_next("checkout"),
            Fault::SlowRelease | Fault::LoginStorm => self.release_next("web"),
            Fault::SlowWay => {
                let way = self.way.as_ref().ok_or("there is no way to make longer")?;
                way.delay(SLOW_WAY);
                Ok(())
            }
            Fault::TableLock => {
                let lock = "lock table items in access exclusive mode";
                let said = self.others.say("migration", &["begin", lock]);
                said.map_err(|e| e.to_string())
            }
            Fault::Flood => {
                if let Some(export) = self.crowd.app("export") {
                    export.clients(36);
                    export.think_ms(4);
                }
                Ok(())
            }
        }
    }

    /// The settings file as it would be with a change.
    pub(super) fn text_with(&mut self, change: impl FnOnce(&mut super::scene::Settings)) -> String {
        let mut settings = self.scene.settings.clone();
        change(&mut settings);
        let port = self
            .way
            .as_ref()
            .map_or(self.sandbox.port(), super::Way::port);
        settings.toml(&self.pooler().dir, port)
    }

    /// Deploys the next release of an application, and marks it as deployments do.
    fn release_next(&self, name: &str) -> Result<(), String> {
        let app = self.crowd.app(name).ok_or("nobody of that name is here")?;
        let release = app.deploy_next();
        self.pooler().mark_release(name, release.version)
    }

    /// In life the server has a machine of its own. Here its work takes the
    /// processor from pooler and clients only where they leave it.
    fn step_back(&self) {
        let Some(pid) = self.sandbox.pid() else {
            return;
        };
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        // Where that is not allowed, the surge is felt by all a little more.
        let _ = Command::new("renice")
            .args(["-n", "10", "-p", &pid.to_string()])
            .args(children.split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}
