//! Settings whose text is in etcd: the keeper hears of the key, and treats another
//! text as it treats another file of a deployment. What only a restart changes is
//! this instance's own, and stays as its file says.

use super::Keeper;
use super::texts::passed_over_text;
use crate::settings::content::Content;
use crate::settings::follow::Followed;
use config::{Plan, SettingsSource};

/// What is known of the key.
#[derive(Default)]
pub(super) struct Remote {
    /// The key's name.
    key: String,
    /// Its last whole text; `None`: not heard since the start.
    text: Option<String>,
    /// The revision of that.
    revision: u64,
    /// Why etcd is not heard.
    problem: Option<String>,
}

impl Remote {
    /// Where a plan says so.
    pub fn of(plan: &Plan) -> Option<Remote> {
        let follows = plan.keeping.source == SettingsSource::Etcd;
        follows.then(|| Remote {
            key: plan.etcd.settings_key(),
            ..Remote::default()
        })
    }

    /// For people.
    pub fn words(&self) -> String {
        let known = match &self.text {
            Some(_) => format!("{}, revision {}", self.key, self.revision),
            None => format!("{}, not read yet", self.key),
        };
        match &self.problem {
            Some(problem) => format!("{known}; etcd is not heard, what serves stays: {problem}"),
            None => known,
        }
    }
}

impl Keeper {
    /// News of the key.
    pub(super) fn followed(&mut self, news: Followed) {
        let version = self.serving_version();
        let Some(remote) = &mut self.remote else {
            return;
        };
        let key = remote.key.clone();
        match news {
            Followed::Text(text, revision) => {
                let before = remote.text.replace(text.clone());
                remote.revision = revision;
                tracing::info!(key, revision, "the settings in etcd were read");
                match before {
                    // It was gone, or not heard: no new order.
                    Some(before) if before == text => self.compare_file(),
                    None if self.was_passed_over() => {}
                    _ => self.file_changed(),
                }
            }
            Followed::Odd(why) => self.drifted(format!(
                "the text of {key} in etcd is not taken, {why}: version {version} serves on"
            )),
            Followed::Gone => {
                self.drifted(format!("{key} is not in etcd: version {version} serves on"))
            }
            Followed::Silent(problem) => {
                tracing::warn!(
                    key,
                    problem,
                    version,
                    "etcd is not heard; the settings that serve go on serving"
                );
                remote.problem = Some(problem);
            }
            Followed::Heard => {
                tracing::info!(key, "etcd is heard again");
                remote.problem = None;
            }
        }
    }

    /// A person let other settings serve than the key says, before this process began.
    fn was_passed_over(&mut self) -> bool {
        let Ok(content) = self.said() else {
            return false;
        };
        let known = self.store.passed_over().ok().flatten();
        let passed =
            known.as_deref() == Some(content.hash.as_str()) && content.hash != self.current.hash;
        if passed {
            self.turned_down = None;
            self.drifted(passed_over_text(self.place(), self.serving_version()));
        }
        passed
    }

    /// Nothing is known yet of where the settings come from.
    pub(super) fn is_unheard(&self) -> bool {
        self.remote.as_ref().is_some_and(|r| r.text.is_none())
    }

    /// What the settings are called in texts.
    pub(super) fn place(&self) -> &'static str {
        match self.remote {
            Some(_) => "the text in etcd",
            None => super::texts::FILE,
        }
    }

    /// What the settings file says, or the key in its place.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(super) fn said(&self) -> Result<Content, String> {
        let content = Content::of(
            &self.options.path,
            &self.given(None),
            &self.options.overrides,
            &self.options.secrets,
        );
        let content =
            content.map_err(|errors| errors.lines().into_iter().next().unwrap_or_default())?;
        let follows = content.plan.keeping.source == SettingsSource::Etcd;
        if self.remote.is_some() && !follows {
            return Err(
                "it does not say `source = \"etcd\"` in [settings]: nobody would follow it any more"
                    .to_owned(),
            );
        }
        Ok(content)
    }

    /// The texts that are not read from the disk: a person's, else the key's.
    pub(super) fn given(&self, text: Option<&str>) -> Vec<(std::path::PathBuf, String)> {
        let remote = self.remote.as_ref().and_then(|r| r.text.as_deref());
        let text = text.or(remote).map(str::to_owned);
        text.map(|text| (self.options.path.clone(), text))
            .into_iter()
            .collect()
    }
}
