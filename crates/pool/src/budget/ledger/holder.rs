//! One instance's row: what it claims, states and gives back.

mod asking;

use super::rows::{Erased, Origin, Question, Quota, Row, SHARDS, Sent, Shard, rank};
use super::{HOLD, LEASE, LedgerFault, LedgerSettings, STORE_ANSWER_MAX};
use crate::budget::peaks::Peaks;
use crate::budget::peers::trace;
use crate::budget::share::level;
use crate::budget::{OVER_MAX, Usage};
use events::Time;
use std::time::Duration;

/// Its shard is read again after so long when nobody lacks anything,
const CALM: Duration = Duration::from_millis(1500);
/// when the fleet is short or the line fell,
const SHORT: Duration = Duration::from_secs(1);
/// and when it lacks something itself.
const HUNGRY: Duration = Duration::from_millis(500);
/// Older news moves nothing: the share stands.
const OLD: Duration = Duration::from_secs(4);
/// After so many questions without an answer nothing is given away.
const UNHEARD: u32 = 2;
/// Figures that nobody waits for are stated no more often.
const LAZY: Duration = Duration::from_secs(2);
/// Between two writes.
const WRITE_PAUSE: Duration = Duration::from_millis(200);
/// First pause after two writes that met others', doubled each time.
const CONFLICT_PAUSE: Duration = Duration::from_millis(10);
/// It is doubled so often at most.
const CONFLICT_DOUBLED_MAX: u32 = 5;
/// Pause after a question that was not answered.
const LOST_PAUSE: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    own: LedgerSettings,
    shard: u32,
    /// `e`.
    claim: u32,
    /// The newest that was seen of the shard.
    seen: Option<Shard>,
    /// The level at which all in the shard would cut.
    cut: u32,
    joined: bool,
    /// Raised only when a write was answered since: the lease may have ended meanwhile.
    unsure: bool,
    /// A write without an answer: the version that it was based on, and its claim.
    doubt: Option<(u64, u32)>,
    asked: Option<(Sent, Question)>,
    heard_at: Time,
    /// So many questions in a row were not answered.
    unheard: u32,
    wrote_at: Time,
    /// Nothing is read or written before.
    wait: Time,
    conflicts: u32,
    renewing: Option<Sent>,
    renew_at: Time,
    /// When the last renewal that was answered was asked for.
    renewed: Option<Time>,
    blind: bool,
    over_at: Option<Time>,
    peaks: Peaks,
    /// The store has forgotten: until it is written anew what is acted on stands
    /// for the row, and until then nothing is raised.
    anew: bool,
    thaws: Time,
    /// A replica shows nothing where something was: it lags, or that was deleted.
    bare: bool,
    /// The most that was needed lately, and what settings allow.
    need: u32,
    most: u32,
}

impl Holder {
    pub(super) fn new(now: Time, own: &LedgerSettings) -> Holder {
        Holder {
            own: own.clone(),
            shard: rank(own.instance, 0) % SHARDS,
            claim: 0,
            seen: None,
            cut: u32::MAX,
            joined: false,
            unsure: false,
            doubt: None,
            asked: None,
            heard_at: now,
            unheard: 0,
            wrote_at: Time::ZERO,
            wait: now,
            conflicts: 0,
            renewing: None,
            renew_at: now,
            renewed: None,
            blind: false,
            over_at: None,
            peaks: Peaks::default(),
            anew: false,
            thaws: Time::ZERO,
            bare: false,
            need: 0,
            most: u32::MAX,
        }
    }

    pub(super) fn claim(&self) -> u32 {
        self.claim
    }

    pub(super) fn comes_from(&mut self, origin: Origin) {
        self.own.origin = origin;
    }

    pub(super) fn instance(&self) -> u32 {
        self.own.instance
    }

    /// See [`super::Ledger::forgotten`].
    pub(super) fn forgotten(&mut self, thaws: Time) {
        self.anew = self.joined;
        self.thaws = thaws;
        self.unsure = true;
        (self.seen, self.doubt, self.asked) = (None, None, None);
        (self.renewing, self.over_at) = (None, None);
        self.renew_at = Time::ZERO;
        self.wait = Time::ZERO;
        self.bare = false;
    }

    pub(super) fn published(&self) -> u32 {
        let asked = match self.asked {
            Some((_, Question::Write { claim, .. })) => claim,
            _ => 0,
        };
        let doubt = self.doubt.map_or(0, |(_, claim)| claim);
        self.stored().max(asked).max(doubt)
    }

    pub(super) fn line(&self) -> u32 {
        self.quota().line
    }

    pub(super) fn members(&self) -> u32 {
        self.quota().members
    }

    pub(super) fn joined(&self) -> bool {
        self.joined
    }

    pub(super) fn left(&self) -> bool {
        self.row().is_none() && self.doubt.is_none() && self.asked.is_none()
    }

    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }

    /// Most to open, and to keep. A newcomer that was not heard yet has nothing.
    pub(super) fn limits(&self) -> (u32, u32) {
        match self.joined {
            false => (0, u32::MAX),
            true if self.over() && !self.anew => (self.claim.min(self.cut), self.claim),
            true => (self.claim, self.claim),
        }
    }

    fn quota(&self) -> Quota {
        self.seen.as_ref().map_or(Quota::default(), |s| s.quota)
    }

    fn row(&self) -> Option<&Row> {
        self.seen.as_ref()?.row(self.own.instance)
    }

    /// Its row's claim.
    fn stored(&self) -> u32 {
        self.row().map_or(0, |row| row.claim)
    }

    /// The shard's members claim more than its quota: the line fell, or moved away.
    /// Where a quota was deleted they may keep what they have.
    fn over(&self) -> bool {
        let seen = self.seen.as_ref();
        seen.is_some_and(|s| s.quota.version > 0 && s.claimed() > s.quota.quota)
    }

    /// Others want what this member does not use: in the fleet, or in its shard.
    fn pressed(&self) -> bool {
        let lacks = |row: &Row| row.instance != self.own.instance && row.needs > row.claim;
        let rows = self.seen.iter().flat_map(|seen| &seen.rows);
        self.short() || self.over() || self.room() == 0 && rows.into_iter().any(lacks)
    }

    /// What the quota leaves.
    fn room(&self) -> u32 {
        let seen = self.seen.as_ref();
        seen.map_or(0, |s| s.quota.quota.saturating_sub(s.claimed()))
    }

    fn short(&self) -> bool {
        self.quota().version > 0 && self.quota().level != u32::MAX
    }

    /// What this member may have when the fleet is short.
    fn cap(&self) -> u32 {
        let quota = self.quota();
        match self.short() {
            true => quota.level + u32::from(rank(self.own.instance, quota.turn) <= quota.extra),
            false => u32::MAX,
        }
    }

    fn hungry(&self) -> bool {
        self.need.min(self.cap()) > self.claim
    }

    // --- time, and what is held ---

    pub(super) fn follow(
        &mut self,
        now: Time,
        usage: &Usage,
        most: u32,
        fault: Option<LedgerFault>,
    ) {
        self.peaks.note(now, usage.needed);
        self.most = most;
        self.need = self.peaks.most().max(usage.needed).min(most);
        self.give_up(now, fault);
        let since = self.renewed.map(|at| now.since(at));
        // By its own clock, a fifth before the store.
        self.blind = since.is_some_and(|span| span >= LEASE * 4 / 5);
        self.unsure |= self.blind;
        self.lost(usage);
        let out = self.joined && self.seen.is_some() && self.row().is_none() && !self.anew;
        if since.is_some_and(|span| span >= HOLD * 4 / 5) || out {
            self.claim = self.claim.min(usage.charged);
        }
        if out && !self.blind {
            // It was taken out, and comes in again with what it holds, if that fits.
            self.claim = self.claim.min(self.room());
        }
        match self.over() && now >= self.thaws {
            true => _ = self.over_at.get_or_insert(now),
            false => self.over_at = None,
        }
        if now >= self.thaws {
            self.settle(now, fault);
        }
    }

    /// Rules 1 and 2: what is acted on, from what is known.
    fn settle(&mut self, now: Time, fault: Option<LedgerFault>) {
        let kept = self.kept(now, fault);
        self.claim = self.claim.min(kept);
        let sure = !self.blind && !self.unsure && self.doubt.is_none();
        if sure && self.row().is_some() {
            // What is on its way may be there already.
            let under_way = match self.asked {
                Some((_, Question::Write { claim, .. })) => claim,
                _ => u32::MAX,
            };
            let most = self.stored().min(under_way);
            self.claim = match self.over() {
                true => self.claim.min(most),
                false => kept.min(most),
            };
        }
        if fault == Some(LedgerFault::ActUnwritten)
            && let Some((_, Question::Write { claim, .. })) = self.asked
        {
            self.claim = self.claim.max(claim);
        }
    }

    /// Most of the claim that it keeps.
    fn kept(&self, now: Time, fault: Option<LedgerFault>) -> u32 {
        let Some(seen) = &self.seen else {
            return self.most;
        };
        let stubborn = fault == Some(LedgerFault::KeepUnused);
        // Nobody could take what was given away now, and it would not come back.
        if self.blind || stubborn || self.unheard >= UNHEARD || now.since(self.heard_at) >= OLD {
            return self.most;
        }
        let mut kept = self.most;
        if self.short() {
            kept = kept.min(self.cap());
        }
        if self.pressed() {
            kept = kept.min(self.need);
        }
        let lasts = |at: Time| now.since(at) >= OVER_MAX;
        if seen.quota.version > 0 && self.over_at.is_some_and(lasts) {
            kept = kept.min(self.cut);
        }
        kept
    }

    /// Rule 5: without a lease it is known by its connections only.
    pub(super) fn lost(&mut self, usage: &Usage) {
        let told = self.row().map_or(0, |row| row.held);
        if self.blind && usage.usable < trace(told) {
            self.claim = self.claim.min(usage.charged);
        }
    }

    /// Questions that were not answered in time.
    fn give_up(&mut self, now: Time, fault: Option<LedgerFault>) {
        let late = |sent: &Sent| now.since(sent.at) >= STORE_ANSWER_MAX;
        if self.renewing.as_ref().is_some_and(late) {
            self.renewing = None;
            self.renew_at = now.after(self.jitter(now, LOST_PAUSE));
        }
        let Some((sent, question)) = self.asked.filter(|(sent, _)| late(sent)) else {
            return;
        };
        self.asked = None;
        self.unheard = self.unheard.saturating_add(1);
        self.wait = now.after(self.jitter(sent.at, LOST_PAUSE));
        if let Question::Write { version, claim, .. } = question
            && fault != Some(LedgerFault::TrustLost)
        {
            let before = self.doubt.filter(|(v, _)| *v == version);
            let least = before.map_or(claim, |(_, c)| c.min(claim));
            self.doubt = Some((version, least));
        }
    }

    /// A span between half and one and a half times as long, other for each member.
    fn jitter(&self, now: Time, span: Duration) -> Duration {
        let turn = rank(self.own.instance, now.as_micros() as u32) >> 22;
        span / 2 + span * turn / 1024
    }

    // --- answers ---

    fn answered(&mut self, now: Time, seq: u32) -> Option<Question> {
        let (_, question) = self.asked.filter(|(sent, _)| sent.seq == seq)?;
        self.asked = None;
        self.heard_at = now;
        self.unheard = 0;
        Some(question)
    }

    pub(super) fn same(&mut self, now: Time, seq: u32) {
        self.answered(now, seq);
    }

    pub(super) fn shard(&mut self, now: Time, seq: u32, shard: Shard) -> Option<Erased> {
        let question = self.answered(now, seq)?;
        self.see(shard, matches!(question, Question::Read { firm: true }))
    }

    pub(super) fn wrote(
        &mut self,
        now: Time,
        seq: u32,
        done: bool,
        shard: Shard,
    ) -> Option<Erased> {
        let Question::Write { leased, .. } = self.answered(now, seq)? else {
            return None;
        };
        let erased = self.see(shard, true);
        if erased.is_some() {
            return erased;
        }
        self.wrote_at = now;
        let pause = match done {
            true => WRITE_PAUSE,
            // The answer is news of just now: the best moment for another try. After
            // a pause what is known is old, and the first try fetches what is new.
            false if self.conflicts.is_multiple_of(2) => Duration::ZERO,
            false => {
                let doubled = 1 << (self.conflicts / 2).min(CONFLICT_DOUBLED_MAX);
                self.jitter(now, CONFLICT_PAUSE * doubled)
            }
        };
        self.conflicts = if done { 0 } else { self.conflicts + 1 };
        self.wait = now.after(pause);
        // The store itself has answered: what it shows of the row is so now.
        self.unsure &= !leased;
        self.joined |= done;
        self.anew &= !done;
        None
    }

    /// News of the shard; a replica's may be older than what is known, if it is not
    /// `firm`. The answer is what somebody has deleted of it: then nothing is taken.
    fn see(&mut self, shard: Shard, firm: bool) -> Option<Erased> {
        let older = |s: &Shard| shard.version < s.version || shard.quota.version < s.quota.version;
        if let Some(seen) = &self.seen {
            let (older, erased) = (older(seen), seen.erased(&shard, self.shard));
            self.bare = older && !firm && erased.is_some();
            if older || erased.is_some() {
                return erased.filter(|_| !self.bare);
            }
        }
        if self.doubt.is_some_and(|(based, _)| shard.version > based) {
            self.doubt = None;
        }
        let fell = |s: &Shard| shard.quota.line < s.quota.line;
        if self.seen.as_ref().is_some_and(fell) {
            // Not by another's share that moves: nobody has to wait for anything.
            self.over_at = Some(Time::ZERO);
        }
        let claims: Vec<u32> = shard.rows.iter().map(|row| row.claim).collect();
        self.cut = level(shard.quota.quota, &claims);
        self.seen = Some(shard);
        None
    }

    pub(super) fn renewed(&mut self, seq: u32) {
        if let Some(sent) = self.renewing.take_if(|sent| sent.seq == seq) {
            self.renewed = Some(sent.at);
        }
    }
}
