//! The settings file and what serves, where they differ.

use super::{Keeper, Manner, No, POLL, RESTORES_IN, RESTORES_MAX};
use crate::settings::disk::Content;
use crate::settings::world::{Fault, Step, World};
use config::rollout::{OnChange, Origin, on_change};
use events::GuardMode;

impl Keeper {
    /// Looks at the files.
    pub(in crate::settings) fn poll_files(&mut self, w: &mut World) -> Step {
        self.next_poll = w.now.after(POLL);
        if self.seen == w.disk.file {
            return Ok(());
        }
        self.seen.clone_from(&w.disk.file);
        if self.drift_guard(w) == GuardMode::Off {
            return Ok(());
        }
        if w.disk.file.is_none() {
            w.hit("files vanished");
            self.drift = true;
            return Ok(());
        }
        self.file_changed(w)
    }

    pub(super) fn file_changed(&mut self, w: &mut World) -> Step {
        w.stats.reloads += 1;
        let read = w.disk.read();
        w.read(read.is_some());
        let Some(mut content) = read else {
            self.drift = true;
            return Ok(());
        };
        let same = content.hash == self.current.hash;
        let underway = self.proposed.values().any(|c| c.hash == content.hash);
        self.fix(&mut content.plan);
        let deploy = self.is_deploy(w);
        match on_change(self.drift_guard(w), same, underway, deploy) {
            OnChange::Back => self.back_again(w, content)?,
            OnChange::Underway => self.drift = false,
            OnChange::Ignored => {}
            OnChange::Told => self.drift = true,
            OnChange::Gate => self.gate_the_file(w, content, Origin::File)?,
            OnChange::Held => {
                w.hit("files held");
                self.drift = true;
                self.restore(w);
            }
        }
        Ok(())
    }

    pub(super) fn back_again(&mut self, w: &mut World, content: Content) -> Step {
        self.drift = false;
        if content.plan != self.current.plan && self.driver.open().is_none() {
            w.hit("files back with other secrets");
            let kept = w.check.take_overlays();
            if w.adopt(content.plan.clone())?.is_ok() {
                self.driver.clear_overlays();
                self.driver.refresh(|_| content.plan.clone());
                self.current = content;
            } else {
                w.check.put_overlays(kept);
            }
        }
        Ok(())
    }

    pub(super) fn gate_the_file(
        &mut self,
        w: &mut World,
        content: Content,
        origin: Origin,
    ) -> Step {
        if w.fault != Some(Fault::TriesAgain) && w.journal.rejected(content.hash).is_some() {
            w.hit("files turned down before");
            self.drift = true;
            return Ok(());
        }
        match self.propose(w, content, origin, Manner::default())? {
            Err(No::Busy) => self.file_waits = true,
            Err(No::Same) | Ok(_) => {}
            Err(_) => self.drift = true,
        }
        Ok(())
    }

    pub(super) fn compare_file(&mut self, w: &World) {
        let Some(content) = w.disk.read() else { return };
        self.drift = content.hash != self.current.hash && self.drift_guard(w) == GuardMode::Enforce;
    }

    pub(super) fn restore(&mut self, w: &mut World) {
        if !self.current.plan.keeping.restore {
            return;
        }
        let now = w.now;
        self.restores.retain(|at| now.since(*at) < RESTORES_IN);
        if self.restores.len() >= RESTORES_MAX {
            return;
        }
        let version = self.driver.current().version;
        if let Some(row) = w.journal.versions.get(&version).cloned()
            && !row.text.contains(config::MASKED)
        {
            self.restores.push(now);
            w.hit("files restored");
            self.write_when_applied(w, version, row.text.into_bytes());
            self.compare_file(w);
        }
    }
}
