//! RELOAD and SET: all of the settings change, or none.

use super::Handle;
use crate::mail::Mail;
use crate::port::act;
use crate::{compile, tls};
use config::{Plan, SslMode};
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
                    tracing::error!(error = line, "a mistake in the settings");
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
    /// restart (of a plan from pgbouncer.ini).
    ///
    /// # Errors
    /// Why they cannot; the old settings still serve.
    pub fn adopt(&self, plan: Plan) -> Result<Vec<String>, String> {
        let _one = self
            .inner
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.apply(plan)
    }

    /// Changes one key of pgbouncer.ini until the file is read again. Returns
    /// what there is to say about it.
    ///
    /// # Errors
    /// Why the value is refused; nothing has changed then.
    pub fn set(&self, key: &str, value: &str, actor: &str) -> Result<Vec<String>, String> {
        let one = self
            .inner
            .reloading
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
        let kept = config::keep_fixed(&self.plan(), &mut plan)
            .into_iter()
            .map(|c| {
                format!(
                    "{} changes with a restart only; {} still holds",
                    c.key, c.old
                )
            })
            .collect();
        // Everything that can fail comes before the first change.
        let client_tls = client_tls(&plan)?;
        let server_tls = server_tls(&plan)?;
        let binding = channel_binding(&plan)?;
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
        let directory = Arc::new(compile::directory(&plan, self.inner.mock_seed, binding));
        let common = &self.inner.common;
        let (changed, upstreams) = {
            let mut registry = common.write();
            let changed = registry.reconfigure(common.clock.now(), plan, server_tls);
            (changed, registry.upstreams().to_vec())
        };
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
        Ok(kept)
    }
}

pub(super) fn client_tls(plan: &Plan) -> Result<Option<Arc<rustls::ServerConfig>>, String> {
    if plan.client_tls.mode == SslMode::Disable {
        return Ok(None);
    }
    tls::server_config(&plan.client_tls, &|path| std::fs::read(path))
        .map(Some)
        .map_err(|e| e.to_string())
}

/// TLS towards servers; the files are read here, at the start and at each
/// reload, and never for a connection.
pub(super) fn server_tls(plan: &Plan) -> Result<Option<Arc<rustls::ClientConfig>>, String> {
    if plan.server_tls.mode == SslMode::Disable {
        return Ok(None);
    }
    tls::client_config(&plan.server_tls, &|path| std::fs::read(path))
        .map(Some)
        .map_err(|e| format!("TLS towards servers: {e}"))
}

pub(super) fn channel_binding(plan: &Plan) -> Result<Option<Vec<u8>>, String> {
    if plan.client_tls.mode == SslMode::Disable {
        return Ok(None);
    }
    tls::own_binding(&plan.client_tls, &|path| std::fs::read(path)).map_err(|e| e.to_string())
}
