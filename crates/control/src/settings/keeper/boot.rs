//! What serves when the process starts, from the settings file, the history,
//! and what the last process was about to do.
//!
//! | history | the file | what serves |
//! |---|---|---|
//! | none | good | the file: adopted; not ready where it fails the check |
//! | none | with mistakes | nothing: the mistakes |
//! | there | as the history | it |
//! | there | differs, source deploy | the history; the file goes through the gate |
//! | there | differs, was turned down before | the history; the file is held |
//! | there | differs, source store | the history; the file is held |
//! | there | with mistakes | the history; the file is held |
//! | there, from etcd | source etcd | the history, with the file's own part |
//! | there, from etcd | with mistakes | nothing: the mistakes |
//!
//! Where the guard of drift does not enforce, the file serves as it is.

mod history;

use super::following::Remote;
use super::texts::{FILE, held_text, passed_over_text, rejected_text};
use super::{COMMANDS_MAX, Command, DataPlane, Drift, Keeper, Options, Running};
use crate::guard::Limit;
use crate::settings::content::{Content, short};
use crate::settings::figures::Figures;
use crate::settings::follow;
use crate::settings::gate;
use crate::settings::store::{ChangeRow, Store, StoreError, now_ms};
use crate::watch::Watch;
use config::rollout::{
    AtStart, Beside, Current, Driver, JudgeSettings, Origin, Proposal, State, Why, at_start,
};
use config::{Errors, Plan, SettingsSource};
use events::{Guard, GuardMode};
use history::{adopt, current, open_ours, stated_directory};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

/// Who makes the changes that nobody asked for.
const ITSELF: &str = "plimsoll";

/// Why nothing can serve.
#[derive(Debug)]
pub enum BootError {
    /// The settings file has mistakes, and there is no history to serve from; or
    /// there is one, and why it cannot.
    Mistakes(Errors, Option<String>),
    /// SQLite does not even work in memory.
    Store(StoreError),
}

impl From<StoreError> for BootError {
    fn from(error: StoreError) -> BootError {
        BootError::Store(error)
    }
}

/// What serves first, and all that the keeper needs to begin.
pub struct Prepared {
    options: Options,
    store: Store,
    watch: Watch,
    version: u64,
    serves: Content,
    /// What the file says, where that is something else.
    file: Option<Content>,
    /// Why it is held.
    drift: Option<String>,
    held_back: Option<String>,
    /// The file says what was turned down here.
    turned_down: Option<String>,
    /// Nothing but the file is known.
    unproven: bool,
    /// What serves was taken as it was, without a change.
    adopted: bool,
    /// To be said once there is a log.
    said: Vec<String>,
    commands: SyncSender<Command>,
    inbox: Receiver<Command>,
}

/// Decides what serves. Nothing is started yet; the history is opened.
///
/// # Errors
/// The settings file has mistakes and nothing else can serve.
pub fn prepare(options: Options) -> Result<Prepared, BootError> {
    // The watch begins before the reading: what changes in between is seen.
    let watch = Watch::new([options.path.clone()]);
    let file = Content::read(&options.path, &options.overrides, &options.secrets);
    let mut said = Vec::new();
    let directory = stated_directory(&options, &file);
    let mut store = open_ours(&options, directory.as_deref(), &mut said)?;
    let current = current(&store, &options, file.as_ref().ok(), &mut said)?;
    let (commands, inbox) = sync_channel(COMMANDS_MAX);
    let mut prepared = match (file, current) {
        (Err(errors), None) => return Err(BootError::Mistakes(errors, said.pop())),
        (Ok(content), None) => Prepared {
            version: adopt(
                &mut store,
                &content,
                "no history: taken as it is",
                &mut said,
            ),
            held_back: unready(&content, &mut said),
            serves: content,
            file: None,
            drift: None,
            turned_down: None,
            unproven: true,
            adopted: true,
            options,
            store,
            watch,
            said,
            commands,
            inbox,
        },
        (file, Some((row, serves))) => {
            let prepared = Prepared {
                version: row.id,
                serves,
                file: None,
                drift: None,
                held_back: None,
                turned_down: None,
                unproven: false,
                adopted: row.state.is_none(),
                options,
                store,
                watch,
                said,
                commands,
                inbox,
            };
            prepared.beside(file)?
        }
    };
    let files: Vec<PathBuf> = prepared
        .serves
        .files
        .iter()
        .map(|(p, _)| p.clone())
        .collect();
    let path = prepared.options.path.clone();
    prepared.watch.set_paths(files.into_iter().chain([path]));
    Ok(prepared)
}

/// Why the instance is not ready: what serves fails the check, and nothing
/// better is known.
fn unready(content: &Content, said: &mut Vec<String>) -> Option<String> {
    let findings = gate::check(content, None, None);
    if findings.good() || content.plan.guards.mode(Guard::Drift) != GuardMode::Enforce {
        said.extend(findings.new_errors);
        return None;
    }
    Some(format!("the settings fail the check: {}", findings.note()))
}

impl Prepared {
    /// What serves first.
    pub fn plan(&self) -> &Plan {
        &self.serves.plan
    }

    #[cfg(test)]
    pub(super) fn store_for_tests(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Why the instance must not be ready from its first moment on.
    pub fn held_back(&self) -> Option<String> {
        self.held_back.clone()
    }

    /// Where commands go.
    pub fn commands(&self) -> SyncSender<Command> {
        self.commands.clone()
    }

    /// Where the history is; `None`: in memory.
    pub fn directory(&self) -> Option<&Path> {
        self.store.directory()
    }

    /// There is a history: what does the file say beside it?
    fn beside(mut self, file: Result<Content, Errors>) -> Result<Prepared, BootError> {
        let etcd = SettingsSource::Etcd;
        let follows = |plan: &Plan| plan.keeping.source == etcd;
        let file = match file {
            // Without its own part, nobody knows where it listens.
            Err(errors) if follows(&self.serves.plan) => {
                return Err(BootError::Mistakes(errors, None));
            }
            // The text is in etcd, and what came from there last serves until it is heard.
            Ok(own) if follows(&own.plan) && follows(&self.serves.plan) && !self.adopted => {
                config::take_fixed(&own.plan, &mut self.serves.plan);
                return Ok(self);
            }
            file => file,
        };
        let guard = self.serves.plan.guards.mode(Guard::Drift);
        let rejected = match &file {
            Ok(content) => self.store.rejected(&content.hash)?,
            Err(_) => None,
        };
        let beside = Beside {
            serves: &self.serves.plan,
            file: file.as_ref().ok().map(|content| &content.plan),
            same: file.as_ref().is_ok_and(|c| c.hash == self.serves.hash),
            deploy: self
                .serves
                .plan
                .keeping
                .source
                .is_deploy(self.options.container)
                || file.as_ref().is_ok_and(|own| follows(&own.plan)),
            rejected,
        };
        let passed_over = match &file {
            Ok(content) => self.store.passed_over()?.as_deref() == Some(&content.hash),
            Err(_) => false,
        };
        match (at_start(guard, &beside), file) {
            (AtStart::Gate, Ok(_)) if passed_over => {
                self.drift = Some(passed_over_text(FILE, self.version));
            }
            (AtStart::Same, Ok(content)) => {
                // What was adopted and failed the check is no better for a restart.
                if self.adopted {
                    self.held_back = unready(&content, &mut self.said);
                }
                self.serves = content;
            }
            (AtStart::Adopt, Ok(content)) => {
                let why = "changed before the start";
                self.version = adopt(&mut self.store, &content, why, &mut self.said);
                self.serves = content;
            }
            (AtStart::Gate, Ok(content)) => {
                // What only a restart changes changes now; the rest goes through the gate.
                config::take_fixed(&content.plan, &mut self.serves.plan);
                self.file = Some(content);
            }
            (AtStart::Rejected(version, state), file) => {
                self.drift = Some(rejected_text(FILE, version, state, self.version));
                self.turned_down = file.ok().map(|content| content.hash);
            }
            (AtStart::Stop, Err(errors)) => return Err(BootError::Mistakes(errors, None)),
            (_, Err(errors)) => {
                let first = errors.lines().into_iter().next().unwrap_or_default();
                self.drift = Some(format!(
                    "the settings file has mistakes, version {} serves: {first}",
                    self.version
                ));
            }
            (_, Ok(_)) => self.drift = Some(held_text(FILE, self.version)),
        }
        Ok(self)
    }

    /// Starts the keeper's thread, before a data plane that serves [`Prepared::plan`].
    ///
    /// # Errors
    /// The system's, when it gives no thread.
    pub fn start(self, data: Arc<dyn DataPlane>) -> std::io::Result<Running> {
        for text in &self.said {
            tracing::warn!("{text}");
        }
        tracing::info!(
            version = self.version,
            hash = short(&self.serves.hash),
            history = self.store.directory().map(|d| d.display().to_string()),
            "settings serve"
        );
        let judging = JudgeSettings::watching(self.serves.plan.keeping.watch);
        let current = Current {
            version: self.version,
            plan: Arc::new(self.serves.plan.clone()),
        };
        let figures = Arc::new(Figures::default());
        let own = self.file.as_ref().unwrap_or(&self.serves);
        let (remote, etcd) = (Remote::of(&own.plan), own.plan.etcd.clone());
        let follows = remote.is_some();
        let snapshot = data.snapshot();
        let now = Instant::now();
        let mut keeper = Keeper {
            driver: Driver::new(current, judging),
            options: self.options,
            figures: Arc::clone(&figures),
            store: self.store,
            current: self.serves,
            proposed: BTreeMap::new(),
            to_write: BTreeMap::new(),
            replaced: None,
            watch: self.watch,
            next_poll: now,
            next_look: now,
            last: (snapshot.at, now),
            drift: self.drift.map(|text| Drift {
                since_ms: now_ms(),
                text,
            }),
            held_back: None,
            turned_down: self.turned_down,
            remote,
            unproven: self.unproven,
            file_waits: false,
            restores: Limit::default(),
            waiters: Vec::new(),
            retry: None,
            notes: Vec::new(),
            kept: Vec::new(),
            numbered: self.version,
            unwritten: VecDeque::new(),
            unwritten_said: false,
            me: self.commands.clone(),
            data,
        };
        keeper.hold_back(self.held_back);
        keeper.publish();
        let (commands, inbox, file) = (self.commands, self.inbox, self.file);
        let thread = std::thread::Builder::new()
            .name("settings".into())
            .spawn(move || {
                keeper.resume();
                if let Some(file) = file {
                    keeper.gate_the_file(file, Origin::Boot);
                }
                keeper.run(&inbox);
            })?;
        let following = match follows {
            true => Some(follow::start(&etcd, commands.clone())?),
            false => None,
        };
        Ok(Running {
            thread: Some(thread),
            following,
            figures,
            commands,
        })
    }
}

impl Keeper {
    /// Takes up what the last process had begun.
    fn resume(&mut self) {
        if let Some(drift) = &self.drift {
            tracing::warn!(undo = "plimsoll status", "{}", drift.text);
        }
        let mut left = self.store.open_changes().unwrap_or_default();
        // The newest that stands on what serves; the others have lost their ground.
        let current = self.driver.current().version;
        let at = left.iter().position(|open| open.from == current);
        let taken = at.map(|at| left.remove(at));
        for change in left {
            self.enter(ChangeRow {
                state: State::RolledBack(Why::Killed),
                note: "another version serves".to_owned(),
                ..change
            });
        }
        let Some(open) = taken else { return };
        let row = self.store.version(open.version).ok().flatten();
        let content = row.as_ref().and_then(|row| self.stored_content(row).ok());
        let Some((row, mut content)) = row.zip(content) else {
            return self.enter(ChangeRow {
                state: State::RolledBack(Why::Killed),
                note: "its texts cannot be read any more".to_owned(),
                ..open
            });
        };
        // What only a restart changes has changed by now, or never will.
        config::take_fixed(&self.current.plan, &mut content.plan);
        tracing::warn!(
            version = open.version,
            "a change was under way when the last process ended"
        );
        let proposal = Proposal {
            version: open.version,
            plan: Arc::new(content.plan.clone()),
            origin: row.origin,
            now: open.nature.now,
            forced: open.nature.forced,
        };
        self.proposed.insert(open.version, content);
        self.look();
        self.driver
            .resume(self.now(), proposal, open.nature, open.state);
        self.act();
    }
}
