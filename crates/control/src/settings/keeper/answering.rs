//! The keeper answers: questions at once, orders when they are begun.

use super::actions::Manner;
use super::asks::{history, version_text};
use super::following::Remote;
use super::{
    Applied, ApplyAsk, Ask, AskError, ChangeLine, Command, HistoryLine, Keeper, Planned, Reply,
    RollbackAsk, Status, VersionText, Waiter,
};
use crate::settings::content::Content;
use crate::settings::gate;
use crate::settings::store::{NewVersion, VersionRow};
use config::rollout::{Nature, Origin, State, Verdict, nature};
use config::{Plan, SettingsSource};
use events::snapshot::BudgetRow;
use events::{Guard, GuardMode};
use std::sync::Arc;
use std::sync::mpsc::Sender;

impl Keeper {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Ask(ask) => self.ask(ask),
            Command::Reload { actor, reply } => self.reload(&actor, reply),
            Command::WasSet { key, value, actor } => self.was_set(&key, &value, &actor),
            Command::Followed(news) => self.followed(news),
            Command::Told(answer) => {
                let at = self.now();
                self.driver.answer(at, answer);
                self.act();
            }
            Command::Stop => {}
        }
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Status(reply) => reply(Ok(self.status())),
            Ask::History(most, reply) => {
                reply(history(&self.store, most).map_err(|e| AskError::of_store(&e)));
            }
            Ask::Version(id, reply) => {
                let found = version_text(&self.store, id).map_err(|e| AskError::of_store(&e));
                let unwritten = || {
                    self.unwritten_version(id)
                        .ok_or_else(|| unknown_version(id))
                };
                reply(found.and_then(|found| found.map_or_else(unwritten, Ok)));
            }
            Ask::Plan(ask, reply) => self.plan(&ask, reply),
            Ask::Apply(ask, reply) => {
                let applied = self.apply(&ask);
                reply(applied);
            }
            Ask::Rollback(ask, reply) => {
                let applied = self.rollback(&ask);
                reply(applied);
            }
        }
    }

    /// A version that a full disk kept out of the history, and that serves.
    fn unwritten_version(&self, id: u64) -> Option<VersionText> {
        let open = self.driver.open().filter(|o| o.proposal.version == id);
        let state = match open {
            Some(open) => open.state,
            None if self.driver.current().version == id => State::Applied,
            None => return None,
        };
        let (word, detail) = crate::settings::store::state_words(state);
        let line = HistoryLine {
            version: id,
            state: word.to_owned(),
            detail,
            note: "not in the history, which cannot be written".to_owned(),
            current: true,
            ..HistoryLine::default()
        };
        Some(VersionText {
            line,
            ..VersionText::default()
        })
    }

    /// The settings that a person means.
    fn content(&mut self, text: Option<&str>) -> Result<Content, AskError> {
        let content = Content::of(
            &self.options.path,
            &self.given(text),
            &self.options.overrides,
            &self.options.secrets,
        );
        let mut content = content.map_err(|errors| AskError::of_mistakes(&errors))?;
        self.fix(&mut content.plan);
        Ok(content)
    }

    /// Of pgbouncer.ini, what only a restart changes stays, as in PgBouncer.
    /// Of a text in etcd it is each instance's own.
    pub(super) fn fix(&mut self, plan: &mut Plan) {
        if self.remote.is_some() {
            config::take_fixed(&self.current.plan, plan);
        }
        let kept = config::keep_fixed(&self.current.plan, plan);
        let said = |c: &config::Change| {
            format!(
                "{} changes with a restart only; {} still holds",
                c.key, c.old
            )
        };
        self.kept = kept.iter().map(said).collect();
    }

    fn plan(&mut self, ask: &ApplyAsk, reply: Reply<Planned>) {
        let content = match self.content(ask.text.as_deref()) {
            Ok(content) => content,
            Err(error) => return reply(Err(error)),
        };
        let snapshot = self.data.snapshot();
        let findings = gate::check(&content, Some(&self.current), Some(&snapshot));
        let changes = config::diff(&self.current.plan, &content.plan);
        let nature = nature(&changes, ask.now, ask.force);
        let refusal = self.driver.refusal(&content.plan, ask.now);
        let good = findings.good() || ask.now || ask.force;
        let mut planned = Planned {
            current: self.driver.current().version,
            hash: content.hash.clone(),
            changes: changes.iter().map(line).collect(),
            would_begin: good && refusal.is_none() && !nature.restart_only,
            errors: findings.new_errors,
            findings: findings.others,
            predicted: String::new(),
            prediction: String::new(),
            way: way(nature, self.current.plan.guards.mode(Guard::AutoRevert)),
        };
        if !nature.tightens || nature.restart_only {
            return reply(Ok(planned));
        }
        // Seconds of work, and nobody else waits for it.
        let (data, old) = (Arc::clone(&self.data), self.current.plan.clone());
        let work = move || {
            let prediction = data.predict(&old, &content.plan);
            planned.predicted = match prediction.verdict {
                Verdict::Fine => "fine",
                Verdict::Worse => "worse",
                Verdict::Unknown => "unknown",
            }
            .to_owned();
            planned.would_begin &= nature.now || nature.forced || planned.predicted != "worse";
            planned.prediction = prediction.text;
            reply(Ok(planned));
        };
        // Without a thread the asker sees its connection end.
        let _ = std::thread::Builder::new()
            .name("settings-plan".into())
            .spawn(work);
    }

    fn apply(&mut self, ask: &ApplyAsk) -> Result<Applied, AskError> {
        let content = self.content(ask.text.as_deref())?;
        let from = self.driver.current().version;
        let manner = Manner {
            now: ask.now,
            forced: ask.force,
            temporary: ask.text.is_some() && self.source() == SettingsSource::Deploy,
        };
        let by = (ask.actor.as_str(), ask.reason.as_str());
        let version = match self.propose(content, Origin::Apply, by, manner) {
            Err(error) if error.kind == "same" && (ask.now || ask.force) => {
                // A person answers for what serves.
                self.unproven = false;
                self.hold_back(None);
                return Err(error);
            }
            proposed => proposed?,
        };
        if let Some(text) = &ask.text
            && self.source() == SettingsSource::Store
        {
            self.write_when_it_serves(version, text);
        }
        Ok(Applied { version, from })
    }

    fn rollback(&mut self, ask: &RollbackAsk) -> Result<Applied, AskError> {
        let current = self.driver.current().version;
        let open = self.driver.open().map(|o| o.proposal.version);
        let note = format!("{}: {}", ask.actor, ask.reason);
        if let Some(open) = open
            && ask.version.is_none_or(|v| v == open || v == current)
        {
            let at = self.now();
            self.driver.rollback(at, &note);
            self.act();
            return Ok(Applied {
                version: current,
                from: open,
            });
        }
        // `rollback 7` where 7 serves means: away from 7.
        let target = match ask.version.filter(|v| *v != current) {
            Some(version) => Some(version),
            None => self
                .store
                .before(current)
                .map_err(|e| AskError::of_store(&e))?,
        };
        let target = target.ok_or_else(|| {
            AskError::new(
                "unknown_version",
                "there is no version before this one",
                "plimsoll history lists them",
            )
        })?;
        let row = self
            .store
            .version(target)
            .map_err(|e| AskError::of_store(&e))?;
        let row = row.ok_or_else(|| unknown_version(target))?;
        let mut content = self.stored_content(&row)?;
        // What only a restart changes stays as it is: the rest goes back.
        config::take_fixed(&self.current.plan, &mut content.plan);
        let reason = format!("to version {target}: {}", ask.reason);
        let manner = Manner {
            now: true,
            temporary: self.source() == SettingsSource::Deploy,
            ..Manner::default()
        };
        // What served is turned down by the driver: a restart does not try it again.
        let version = self.propose(content, Origin::Rollback, (&ask.actor, &reason), manner)?;
        if self.source() == SettingsSource::Store {
            self.write_stored(version, &row);
        }
        Ok(Applied {
            version,
            from: current,
        })
    }

    /// A version of the history, with the secrets of today.
    pub(super) fn stored_content(&mut self, row: &VersionRow) -> Result<Content, AskError> {
        let path = row
            .files
            .first()
            .map_or(&self.options.path, |(path, _)| path);
        let read = Content::of(
            path,
            &row.files,
            &self.options.overrides,
            &self.options.secrets,
        );
        let mut content = read.map_err(|errors| AskError::of_mistakes(&errors))?;
        let missing = config::with_secrets_of(&mut content.plan, &self.current.plan);
        if !missing.is_empty() {
            return Err(AskError::new(
                "refused",
                format!(
                    "version {} needs secrets that the settings do not hold any more: {}",
                    row.id,
                    missing.join(", ")
                ),
                "put each into a password_file, then apply that version's text",
            ));
        }
        self.fix(&mut content.plan);
        Ok(content)
    }

    fn reload(&mut self, actor: &str, reply: Sender<Result<Vec<String>, Vec<String>>>) {
        let content = match self.content(None) {
            Ok(content) => content,
            Err(error) => return drop(reply.send(Err(error.lines))),
        };
        let on_its_way = self
            .proposed
            .iter()
            .find(|(_, open)| open.hash == content.hash);
        if let Some((version, _)) = on_its_way {
            // The file's own change, by the watch or by `plimsoll apply`.
            let version = *version;
            return self.wait_for(version, reply);
        }
        if self.driver.is_guarded()
            && let Ok(Some((version, state))) = self.store.rejected(&content.hash)
            && content.hash != self.current.hash
        {
            // Log rotation and hooks send HUP too: they bring nothing back.
            let serves = self.serving_version();
            let text = super::texts::rejected_text(self.place(), version, state, serves);
            return drop(reply.send(Err(vec![text])));
        }
        let same_version = content.hash == self.current.hash && self.driver.open().is_none();
        if same_version {
            // Secrets and certificates may be new, and SET ends here.
            let adopted = self.data.adopt(content.plan.clone());
            if adopted.is_ok() {
                self.driver.clear_overlays();
                self.driver.refresh(|_| content.plan.clone());
                self.current = content;
            }
            let kept = std::mem::take(&mut self.kept);
            let answer = adopted.map(|notes| [kept, notes].concat());
            return drop(reply.send(answer.map_err(|error| vec![error])));
        }
        let by = (actor, "");
        match self.propose(content, Origin::Reload, by, Manner::default()) {
            Ok(version)
                if self
                    .driver
                    .open()
                    .is_some_and(|o| o.proposal.version == version) =>
            {
                self.wait_for(version, reply);
            }
            // It came to its end at once.
            Ok(version) => {
                let answer = match self.driver.current().version == version {
                    true => Ok(Vec::new()),
                    false => Err(self.why_not(version)),
                };
                drop(reply.send(answer));
            }
            // Comments, or what waits for a restart.
            Err(error) if error.kind == "same" => {
                drop(reply.send(Ok(std::mem::take(&mut self.kept))));
            }
            Err(error) => drop(reply.send(Err(error.lines))),
        }
    }

    fn wait_for(&mut self, version: u64, reply: Sender<Result<Vec<String>, Vec<String>>>) {
        let whole = |state| {
            matches!(state, State::Staging { step, of, serves: true } if step == of)
                || state == State::Watching
        };
        if self.driver.open().is_some_and(|o| whole(o.state)) {
            return drop(reply.send(Ok(std::mem::take(&mut self.notes))));
        }
        self.waiters.push(Waiter { version, reply });
    }

    fn why_not(&self, version: u64) -> Vec<String> {
        let row = self.store.version(version).ok().flatten();
        let Some(row) = row else {
            return vec!["the change was refused".to_owned()];
        };
        let line = HistoryLine::of(&row, None);
        let mut lines = vec![format!(
            "{} ({})",
            line.state.replace('_', " "),
            line.detail
        )];
        lines.extend((!line.note.is_empty()).then_some(line.note));
        lines
    }

    /// A SET serves already; it is written down as what it is.
    fn was_set(&mut self, key: &str, value: &str, actor: &str) {
        self.driver.overlay(key, value);
        let line = format!("{key} = {value}");
        self.figures.was_set(&line, actor);
        let new = NewVersion {
            hash: &self.current.hash,
            origin: Origin::Set,
            actor,
            reason: &line,
            temporary: true,
            files: &self.current.files,
            above: self.numbered,
        };
        match self.store.add_version(&new) {
            Ok(version) => self.numbered = version,
            Err(error) => tracing::error!(%error, key, "a SET was not written down"),
        }
    }

    fn status(&self) -> Status {
        let open = self.driver.open().map(|o| o.proposal.version);
        let open = open.and_then(|v| self.store.version(v).ok().flatten());
        let version = self.serving_version();
        let serves = self.proposed.get(&version).unwrap_or(&self.current);
        Status {
            version,
            hash: serves.hash.clone(),
            path: self.options.path.clone(),
            source: match &self.remote {
                Some(_) => SettingsSource::Etcd.word().to_owned(),
                None => self.source().word().to_owned(),
            },
            etcd: self.remote.as_ref().map(Remote::words),
            directory: self.store.directory().map(Into::into),
            open: open.map(|row| HistoryLine::of(&row, None)),
            drift: self.drift.as_ref().map(|d| d.text.clone()),
            drift_since_ms: self.drift.as_ref().map(|d| d.since_ms),
            held_back: self.held_back.clone(),
            temporary: (self.driver.overlays().iter())
                .map(|(key, value)| format!("{key} = {value}"))
                .collect(),
            without: self.without.clone(),
            unknown: unknown(&self.data.snapshot()),
            new_guards: super::boot::watching(&self.options, serves)
                .iter()
                .map(|guard| guard.label().to_owned())
                .collect(),
            sharing: self
                .data
                .snapshot()
                .budgets
                .iter()
                .filter_map(sharing)
                .collect(),
        }
    }
}

/// What is not known, server by server.
fn unknown(snapshot: &events::snapshot::Snapshot) -> Vec<String> {
    let lacking = |row| {
        let server: &events::snapshot::BudgetRow = row;
        let what = snapshot.unknown(server)?;
        Some(format!("{}: {what}", server.upstream))
    };
    snapshot.budgets.iter().filter_map(lacking).collect()
}

/// How the line of one server is shared, where that is worth a line.
fn sharing(row: &BudgetRow) -> Option<String> {
    let mut text = format!("{}: ", row.upstream);
    match &row.ledger {
        None if row.strangers == 0 => return None,
        None => text.push_str("by the view"),
        Some(ledger) => {
            text += &format!("by the ledger, {}, share {}", ledger.state, row.share);
            if ledger.keeps {
                text.push_str(", the keeper");
            }
            if !ledger.why.is_empty() {
                text += &format!(" ({})", ledger.why);
            }
        }
    }
    if row.strangers > 0 {
        text += &format!("; {} sessions of the fleet share otherwise", row.strangers);
    }
    Some(text)
}

fn unknown_version(id: u64) -> AskError {
    AskError::new(
        "unknown_version",
        format!("there is no version {id}"),
        "plimsoll history lists them",
    )
}

fn line(change: &config::Change) -> ChangeLine {
    ChangeLine {
        key: change.key.clone(),
        class: change.class.label().to_owned(),
        direction: change.direction.label().to_owned(),
        old: change.old.clone(),
        new: change.new.clone(),
    }
}

fn way(nature: Nature, guard: GuardMode) -> String {
    if nature.restart_only {
        return "refused: something in it is restart only".to_owned();
    }
    let text = match (nature.now, guard, nature.identity, nature.tightens) {
        (true, ..) => "at once, by a person's order; not taken back by itself",
        (_, GuardMode::Enforce, true, true) => {
            "a login at the new address, then four steps, judged between them"
        }
        (_, GuardMode::Enforce, true, false) => {
            "a login at the new address, then at once; watched, and taken back where it hurts"
        }
        (_, GuardMode::Enforce, false, true) => "four steps, judged between them",
        (_, GuardMode::Enforce, false, false) => "at once; watched, and taken back where it hurts",
        _ => "at once; watched, not taken back (guards.auto_revert is not enforce)",
    };
    text.to_owned()
}
