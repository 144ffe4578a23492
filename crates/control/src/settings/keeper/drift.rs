//! The settings file and what serves: where they differ, who is asked.

use super::actions::Manner;
use super::texts::{held_text, passed_over_text, rejected_text, waits_text};
use super::{Drift, Keeper};
use crate::settings::content::{Content, brief};
use crate::settings::figures::{Figures, OwnSettings};
use crate::settings::store::now_ms;
use crate::watch::Kind;
use config::SettingsSource;
use config::rollout::{OnChange, Origin, State, on_change};
use events::snapshot::Snapshot;
use events::{Guard, GuardMode};
use std::path::PathBuf;

/// What a peer's word means.
const PEER: &str = "another instance of the fleet has turned these settings down";

/// Some instance of the fleet states that it turned these settings down: over the
/// fleet's channel with the whole hash, or in the activity view with its first bits.
fn peers_reject(figures: &Figures, snapshot: &Snapshot, hash: &str) -> bool {
    if figures.peer_turned_down(hash) {
        return true;
    }
    let brief = brief(hash);
    let mut stated = snapshot.budgets.iter().flat_map(|b| &b.peers_rejected);
    brief.is_some_and(|hash| stated.any(|known| *known == hash))
}

/// Who changed a file, as far as can be known.
const SOMEBODY: &str = "somebody, by the file";
const BY_ETCD: &str = "somebody, by etcd";

impl Keeper {
    /// The files under watch: the settings file, and what it includes.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        let files = self.current.files.iter().map(|(path, _)| path.clone());
        files.chain([self.options.path.clone()]).collect()
    }

    /// Looks at the files.
    pub(super) fn poll_files(&mut self) {
        let changes = self.watch.poll();
        // A file that has another content is what counts among several.
        let content = |c: &&crate::watch::Change| matches!(c.kind, Kind::Content(_));
        let Some(first) = changes.iter().find(content).or(changes.first()) else {
            return;
        };
        if self.drift_guard() == GuardMode::Off {
            return;
        }
        match first.kind {
            Kind::Vanished => self.drifted(format!(
                "{} is gone: version {} serves on; a restart would need it",
                first.path.display(),
                self.serving_version()
            )),
            Kind::Unreadable(fault) => self.drifted(format!(
                "{} cannot be read ({fault}): version {} serves on",
                first.path.display(),
                self.serving_version()
            )),
            Kind::Content(_) => self.file_changed(),
        }
    }

    /// The version whose values hold whole.
    pub(super) fn serving_version(&self) -> u64 {
        match self.driver.open() {
            Some(open) if open.state.is_whole() => open.proposal.version,
            _ => self.driver.current().version,
        }
    }

    /// The guard's mode by what serves, and by the one switch.
    fn drift_guard(&self) -> GuardMode {
        let set = self.current.plan.guards;
        let off = self.data.snapshot().guards.off.is_some();
        let holds = if off { set.observing() } else { set };
        holds.mode(Guard::Drift)
    }

    /// The settings file has another content.
    pub(super) fn file_changed(&mut self) {
        if self.is_unheard() {
            return;
        }
        let version = self.serving_version();
        let mut content = match self.said() {
            Ok(content) => content,
            Err(first) => {
                let place = self.place();
                return self.drifted(format!(
                    "{place} has mistakes, version {version} serves on: {first}"
                ));
            }
        };
        let same = content.hash == self.current.hash;
        let underway = self.proposed.values().any(|open| open.hash == content.hash);
        let deploy = self.source() == SettingsSource::Deploy;
        self.fix(&mut content.plan);
        match on_change(self.drift_guard(), same, underway, deploy) {
            OnChange::Back => self.back_again(content),
            OnChange::Underway => self.drift = None,
            OnChange::Ignored => {}
            OnChange::Told => {
                self.data.note_decision(Guard::Drift, GuardMode::Observe);
                let place = self.place();
                self.drifted(format!(
                    "{place} was changed: RELOAD takes it; version {version} serves (guards.drift only watches)"
                ));
            }
            OnChange::Gate => self.gate_the_file(content, Origin::File),
            OnChange::Held => {
                self.data.note_decision(Guard::Drift, GuardMode::Enforce);
                self.drifted(held_text(self.place(), version));
                self.restore();
            }
        }
    }

    /// The file says again what serves; its secrets may be others.
    fn back_again(&mut self, content: Content) {
        self.turned_down = None;
        if self.drift.take().is_some() {
            tracing::info!("the settings file says again what serves");
        }
        let at = self.now();
        self.driver
            .withdraw(at, "the settings file says again what served before");
        self.act();
        if content.plan != self.current.plan && self.driver.open().is_none() {
            match self.data.adopt(content.plan.clone()) {
                Ok(_) => {
                    tracing::info!("secrets of the settings file were read again");
                    self.driver.clear_overlays();
                    self.driver.refresh(|_| content.plan.clone());
                    self.current = content;
                }
                Err(error) => tracing::error!(error, "secrets were not taken; the old ones serve"),
            }
        }
    }

    /// A deployment's file goes through the gate by itself.
    pub(super) fn gate_the_file(&mut self, content: Content, origin: Origin) {
        let serves = self.serving_version();
        match self.store.rejected(&content.hash) {
            Ok(Some((version, state))) => {
                self.drifted(rejected_text(self.place(), version, state, serves));
                self.turned_down = Some(content.hash);
                return;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the history cannot be read"),
        }
        if peers_reject(&self.figures, &self.data.snapshot(), &content.hash) {
            return self.drifted(format!(
                "{PEER}: version {serves} serves; change the file, or `plimsoll apply` it"
            ));
        }
        let somebody = match self.remote {
            Some(_) => BY_ETCD,
            None => SOMEBODY,
        };
        match self.propose(content, origin, (somebody, ""), Manner::default()) {
            Ok(_) => {}
            Err(error) if error.kind == "busy" => {
                tracing::info!(
                    "{} changed; it waits for the change under way",
                    self.place()
                );
                self.file_waits = true;
            }
            Err(error) if error.kind == "same" => {}
            Err(error) => self.drifted(format!(
                "{} was changed and is not taken, version {serves} serves on: {}",
                self.place(),
                error.lines.join("; ")
            )),
        }
    }

    /// Instances of a fleet tell each other which settings they turned down. One
    /// that began with such settings, and knows no others, is not ready: a
    /// rolling update stops there.
    pub(super) fn meet_peers(&mut self, snapshot: &Snapshot) {
        self.data
            .state_rejected(self.turned_down.as_deref().and_then(brief));
        let says = peers_reject(&self.figures, snapshot, &self.current.hash);
        if snapshot.guards.off.is_some() {
            // The one switch: a person answers for what serves.
            self.hold_back(None);
        } else if self.unproven
            && says
            && self.held_back.is_none()
            && self.drift_guard() == GuardMode::Enforce
        {
            self.hold_back(Some(PEER.to_owned()));
        } else if self.held_back.as_deref() == Some(PEER) {
            self.hold_back(None);
        }
    }

    /// What the fleet's channel tells of the settings here.
    pub(super) fn tell_peers(&self) {
        let known = self.figures.own();
        let told = known.turned_down.as_ref().map(|(hash, _)| hash);
        if known.serves == self.current.hash && told == self.turned_down.as_ref() {
            return;
        }
        let turned_down = self.turned_down.as_ref().map(|hash| {
            let known = self.store.rejected(hash).ok().flatten();
            let reason = known.map(|(_, state)| crate::settings::store::state_words(state).1);
            (hash.clone(), reason.unwrap_or_default())
        });
        self.figures.set_own(OwnSettings {
            serves: self.current.hash.clone(),
            alike: self.current.alike(),
            turned_down,
        });
    }

    /// After a change: does the file say what serves?
    pub(super) fn compare_file(&mut self) {
        if self.is_unheard() {
            return;
        }
        // One with mistakes was told when it was changed.
        let Ok(content) = self.said() else { return };
        self.turned_down = None;
        // The change that ended may have given way to the one that the file says now.
        let underway = self.proposed.values().any(|open| open.hash == content.hash);
        if underway || content.hash == self.current.hash {
            self.drift = None;
            return;
        }
        let serves = self.serving_version();
        let text = match self.store.rejected(&content.hash) {
            Ok(Some((version, state))) => {
                self.turned_down = Some(content.hash);
                rejected_text(self.place(), version, state, serves)
            }
            _ if self.source() == SettingsSource::Store => held_text(self.place(), serves),
            _ => match self.store.newest_end(&content.hash) {
                Ok(Some((version, state @ State::Refused(why)))) => {
                    waits_text(self.place(), version, state, why, serves)
                }
                _ => {
                    // A restart must not undo what a person ordered.
                    if let Err(error) = self.store.pass_over(&content.hash) {
                        tracing::error!(%error, "that the file was passed over is not written down");
                    }
                    passed_over_text(self.place(), serves)
                }
            },
        };
        if self.drift_guard() == GuardMode::Enforce {
            self.drifted(text);
        }
    }

    /// Said once, and shown until it is over.
    pub(super) fn drifted(&mut self, text: String) {
        if self.drift.as_ref().is_some_and(|d| d.text == text) {
            return;
        }
        tracing::warn!(
            guard = Guard::Drift.label(),
            undo = "plimsoll status",
            "{text}"
        );
        let version = self.serving_version();
        self.write_note(version, "drift", &text);
        self.drift = Some(Drift {
            since_ms: now_ms(),
            text,
        });
    }
}
