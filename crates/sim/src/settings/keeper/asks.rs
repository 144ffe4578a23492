//! What people ask for: apply, rollback, RELOAD, SET.

use super::{Keeper, Manner, No};
use crate::settings::check::Asked;
use crate::settings::disk::Content;
use crate::settings::journal::Version;
use crate::settings::world::{Fault, Step, World};
use config::Plan;
use config::rollout::{Origin, Proposal, Refusal};
use std::sync::Arc;

impl Keeper {
    /// Begins a change, which becomes a version.
    pub(super) fn propose(
        &mut self,
        w: &mut World,
        content: Content,
        origin: Origin,
        manner: Manner,
    ) -> Step<Result<u64, No>> {
        self.look(w);
        self.act(w)?;
        let plan = Arc::new(content.plan.clone());
        let before = self.shown(w);
        if let Some(refusal) = self.driver.refusal(&plan, manner.now) {
            w.unchanged(&before, &self.shown(w));
            w.hit(match refusal {
                Refusal::Same => "refused: the same",
                Refusal::Busy { .. } => "refused: busy",
            });
            return Ok(Err(match refusal {
                Refusal::Same => No::Same,
                Refusal::Busy { .. } => No::Busy,
            }));
        }
        w.point()?;
        let row = Version {
            hash: content.hash,
            origin,
            text: content.text.clone(),
        };
        let version = match w.journal.add(row, self.numbered) {
            Ok(version) => version,
            Err(_) if manner.now => {
                w.hit("journal: orders without a version");
                self.numbered.max(w.journal.last()) + 1
            }
            Err(_) => {
                w.unchanged(&before, &self.shown(w));
                w.hit("refused: no history");
                return Ok(Err(No::History));
            }
        };
        self.numbered = version;
        w.point()?;
        let asked = Asked {
            plan: Arc::clone(&plan),
            hash: content.hash,
            origin,
            now: manner.now,
        };
        w.check.asks(version, asked, self.drift_guard(w));
        let proposal = Proposal {
            version,
            plan,
            origin,
            now: manner.now && w.fault != Some(Fault::OrdersTakenBack),
            forced: manner.forced,
        };
        self.proposed.insert(version, content);
        if self.driver.propose(w.now, proposal).is_err() {
            self.proposed.remove(&version);
            w.check.fail("what was not refused before is refused");
            return Ok(Err(No::Busy));
        }
        w.hit("changes begun");
        self.act(w)?;
        Ok(Ok(version))
    }

    /// What a refused proposal must not change.
    pub(super) fn shown(&self, w: &World) -> String {
        let open = self.driver.open().map(|o| (o.proposal.version, o.state));
        let current = self.driver.current().version;
        format!("{current} {open:?} {} {:p}", w.journal.writes, w.plane.plan)
    }

    /// The settings that a person means.
    pub(super) fn content(&mut self, w: &mut World, text: Option<&[u8]>) -> Option<Content> {
        w.stats.reloads += 1;
        let read = match text {
            Some(text) => w.disk.content(text).ok(),
            None => w.disk.read(),
        };
        w.read(read.is_some());
        let mut content = read?;
        self.fix(&mut content.plan);
        Some(content)
    }

    pub(super) fn fix(&self, plan: &mut Plan) {
        config::keep_fixed(&self.current.plan, plan);
    }

    /// `plimsoll apply`.
    pub(in crate::settings) fn apply(
        &mut self,
        w: &mut World,
        text: Option<&[u8]>,
        manner: Manner,
    ) -> Step {
        let Some(content) = self.content(w, text) else {
            return Ok(());
        };
        if let Ok(version) = self.propose(w, content, Origin::Apply, manner)?
            && let Some(text) = text
            && !self.is_deploy(w)
        {
            self.write_when_applied(w, version, text.to_vec());
        }
        Ok(())
    }

    pub(super) fn write_when_applied(&mut self, w: &mut World, version: u64, text: Vec<u8>) {
        if self.driver.current().version == version {
            return self.write_file(w, text);
        }
        if self.proposed.contains_key(&version) {
            self.to_write.insert(version, text);
        }
    }

    /// `plimsoll rollback`.
    pub(in crate::settings) fn rollback(
        &mut self,
        w: &mut World,
        asked: Option<u64>,
    ) -> Step<Result<(), No>> {
        w.stats.reloads += 1;
        let current = self.driver.current().version;
        let open = self.driver.open().map(|o| o.proposal.version);
        if let Some(open) = open
            && asked.is_none_or(|v| v == open || v == current)
        {
            w.hit("rollbacks of an open change");
            self.driver.rollback(w.now, "asked");
            self.act(w)?;
            return Ok(Ok(()));
        }
        let target = asked.filter(|v| *v != current);
        let Some(target) = target.or_else(|| w.journal.before(current)) else {
            return Ok(Err(No::Unknown));
        };
        let Some(row) = w.journal.versions.get(&target).cloned() else {
            return Ok(Err(No::Unknown));
        };
        let content = match self.stored(w, &row.text) {
            Ok(content) => content,
            Err(no) => return Ok(Err(no)),
        };
        let manner = Manner {
            now: true,
            ..Manner::default()
        };
        let version = match self.propose(w, content, Origin::Rollback, manner)? {
            Ok(version) => version,
            Err(no) => return Ok(Err(no)),
        };
        w.hit("rollbacks to a version");
        if !self.is_deploy(w) && !row.text.contains(config::MASKED) {
            self.write_when_applied(w, version, row.text.into_bytes());
        }
        Ok(Ok(()))
    }

    /// A version of the history, with the secrets of today.
    pub(super) fn stored(&self, w: &World, text: &str) -> Result<Content, No> {
        let read = w.disk.content(text.as_bytes());
        let mut content = read.map_err(|_| No::Mistakes)?;
        if !config::with_secrets_of(&mut content.plan, &self.current.plan).is_empty() {
            return Err(No::Mistakes);
        }
        self.fix(&mut content.plan);
        Ok(content)
    }

    /// RELOAD in the console.
    pub(in crate::settings) fn reload(&mut self, w: &mut World) -> Step {
        let Some(content) = self.content(w, None) else {
            return Ok(());
        };
        if content.hash == self.current.hash && self.driver.open().is_none() {
            w.hit("reloads of the same version");
            let kept = w.check.take_overlays();
            if w.adopt(content.plan.clone())?.is_ok() {
                self.driver.clear_overlays();
                self.driver.refresh(|_| content.plan.clone());
                self.current = content;
            } else {
                w.check.put_overlays(kept);
            }
            return Ok(());
        }
        self.propose(w, content, Origin::Reload, Manner::default())?
            .ok();
        Ok(())
    }

    /// SET in the console: it serves first, then the keeper is told.
    pub(in crate::settings) fn set(&mut self, w: &mut World, key: &str, value: &str) -> Step {
        let Ok((plan, _)) = config::with_key(&w.plane.plan, key, value) else {
            return Ok(());
        };
        let before = w.check.take_overlays();
        w.check.put_overlays(before.clone());
        w.check.overlay(key, value);
        w.check.sets(Some(&plan));
        let adopted = w.adopt(plan)?;
        w.check.sets(None);
        if adopted.is_err() {
            w.check.put_overlays(before);
            return Ok(());
        }
        w.hit("SETs");
        if w.fault != Some(Fault::ForgetsSet) {
            self.driver.overlay(key, value);
        }
        w.point()?;
        let row = Version {
            hash: self.current.hash,
            origin: Origin::Set,
            text: self.current.text.clone(),
        };
        if let Ok(version) = w.journal.add(row, self.numbered) {
            self.numbered = version;
        }
        w.point()
    }
}
