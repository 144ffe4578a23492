//! RELOAD and SET: all of the settings change, or none.

use super::Handle;
use crate::compile;
use crate::mail::Mail;
use crate::port::act;
use crate::words::{self, theirs};
use config::Plan;
use std::sync::{Arc, PoisonError};

/// Who keeps the settings: RELOAD asks it, SET tells it.
pub trait Keeper: Send + Sync {
    /// RELOAD, or SIGHUP: reads the settings again, and lets all of them serve
    /// ([`Handle::adopt`]) or none. Returns what there is to say.
    ///
    /// # Errors
    /// Why nothing was changed.
    fn reload(&self, handle: &Handle, actor: &str) -> Result<Vec<String>, ReloadError>;

    /// A key was SET in the console, and serves.
    fn was_set(&self, key: &str, value: &str, actor: &str) {
        let _ = (key, value, actor);
    }

    /// These settings serve from now on, wherever they came from.
    fn serves(&self, plan: &Plan) {
        let _ = plan;
    }

    /// The process was told to end, by the console or by a signal; it may take its time.
    fn ending(&self) {}
}

/// Settings that came from no file.
#[derive(Debug)]
pub struct NoFile;

impl Keeper for NoFile {
    fn reload(&self, _handle: &Handle, _actor: &str) -> Result<Vec<String>, ReloadError> {
        Err("there is no settings file to read again".into())
    }
}

/// Why a reload changed nothing.
#[derive(Debug)]
pub struct ReloadError {
    /// One line for each mistake; never empty, never more than a reading keeps.
    pub lines: Vec<String>,
}

impl From<String> for ReloadError {
    fn from(line: String) -> ReloadError {
        ReloadError { lines: vec![line] }
    }
}

impl From<&str> for ReloadError {
    fn from(line: &str) -> ReloadError {
        line.to_owned().into()
    }
}

impl std::fmt::Display for ReloadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.lines.join("; "))
    }
}

impl Handle {
    /// Reads the settings again and takes all of them, or none. Returns what
    /// there is to say, such as what waits for a restart (pgbouncer.ini only;
    /// plimsoll.toml is refused then).
    ///
    /// # Errors
    /// What is wrong with the file; the old settings still serve.
    pub fn reload(&self, actor: &str) -> Result<Vec<String>, ReloadError> {
        // A person asks: commands are run again too.
        self.doubt_commands();
        let result = self.inner.keeper.reload(self, actor);
        match &result {
            Ok(notes) => {
                for note in notes {
                    tracing::warn!("{note}");
                }
                tracing::info!(actor, "settings reloaded");
            }
            Err(error) => {
                for line in &error.lines {
                    match words::wanted() {
                        true => theirs!(ERROR, "{line}"),
                        false => tracing::error!(error = line, "a mistake in the settings"),
                    }
                }
                tracing::error!(
                    actor,
                    mistakes = error.lines.len(),
                    "the settings were not reloaded; the old ones still serve"
                );
            }
        }
        result
    }

    /// Lets these settings serve, all of them or none. Returns what waits for a
    /// restart (of a plan from pgbouncer.ini), and which secrets could not be read.
    ///
    /// Secrets are not settings: those that both plans keep in the same place
    /// are not taken from `plan`, which may be old, but read again.
    ///
    /// # Errors
    /// Why they cannot; the old settings still serve.
    pub fn adopt(&self, mut plan: Plan) -> Result<Vec<String>, String> {
        let one = self
            .inner
            .common
            .secrets
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        config::freshen(&mut plan, &self.plan());
        let mut notes = self.apply(plan)?;
        drop(one);
        notes.extend(self.refresh_passwords().refused);
        Ok(notes)
    }

    /// Changes one key of pgbouncer.ini until the file is read again. Returns
    /// what there is to say about it.
    ///
    /// # Errors
    /// Why the value is refused; nothing has changed then.
    pub fn set(&self, key: &str, value: &str, actor: &str) -> Result<Vec<String>, String> {
        let one = self
            .inner
            .common
            .secrets
            .changing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (plan, said) = config::with_key(&self.plan(), key, value).map_err(|e| e.render())?;
        self.apply(plan)?;
        drop(one);
        tracing::info!(key, actor, "a setting was changed in the console");
        self.inner.keeper.was_set(key, value, actor);
        Ok(said)
    }

    fn apply(&self, mut plan: Plan) -> Result<Vec<String>, String> {
        let mut notes: Vec<String> = config::keep_fixed(&self.plan(), &mut plan)
            .into_iter()
            .map(|c| {
                format!(
                    "{} changes with a restart only; {} still holds",
                    c.key, c.old
                )
            })
            .collect();
        // Everything that can fail comes before the first change.
        let running = self.plan();
        let (tls, faults) = self.common().secrets.tls().follow(&running, &plan)?;
        let fixed: Vec<String> = config::diff(&self.plan(), &plan)
            .into_iter()
            .filter(|c| c.class == config::Class::RestartOnly)
            .map(|c| c.key.to_string())
            .collect();
        if !fixed.is_empty() {
            return Err(format!(
                "restart only: {} cannot change while running",
                fixed.join(", ")
            ));
        }
        let plan = Arc::new(plan);
        let common = &self.inner.common;
        let client_tls = tls.client_tls();
        let binding = client_tls.as_ref().and_then(|c| c.binding.clone());
        let seed = common.secrets.mock_seed;
        let directory = Arc::new(compile::directory(&plan, seed, binding));
        let (changed, upstreams) = {
            let mut registry = common.write();
            let changed = registry.reconfigure(common.clock.now(), plan, tls.server_config());
            (changed, registry.upstreams().to_vec())
        };
        tls.warn();
        common.secrets.reloaded(tls);
        notes.extend(crate::secrets::kept(common, &faults));
        for mailbox in &common.mailboxes {
            mailbox.post(Mail::Settings(
                Arc::clone(&directory),
                changed.clone(),
                client_tls.clone(),
            ));
        }
        for cell in upstreams {
            act(common, &cell, |_| {});
        }
        self.inner.keeper.serves(&self.plan());
        // Every worker answers, so every worker has the settings.
        self.snapshot(false);
        for (old, _) in &changed.moved {
            let place = common.read().place(*old).cloned();
            if let Some(place) = place {
                act(common, &place.upstream, |u| {
                    u.retire_pool(common.clock.now(), place.pool);
                });
            }
        }
        Ok(notes)
    }
}
