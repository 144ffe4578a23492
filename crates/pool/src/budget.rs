//! The load line of one server: how many connections this instance may open.
//!
//! A monitor session reads the server's limits and who is connected; here the
//! line is computed from that, shared with the other instances of the fleet,
//! and followed as it changes. Nothing here opens a connection or reads a clock.
//!
//! ```text
//!   line = max_connections − reserved − others − monitors − headroom
//!   others = client backends − monitors − Σ what the fleet states it holds
//! ```
//!
//! **The share protocol.** Each instance states in its monitor session's
//! application_name, which every other one sees in the server's own activity
//! view: its *published* claim `p`, the connections it holds, and how many it
//! wants beside. The claim `e` that it acts on obeys two rules:
//!
//! 1. To raise: publish `p' > e` first, then read the view, then
//!    `e = min(p', line − Σ p of the others)`.
//! 2. To lower: lower `e` at once, close what is above it, then publish it.
//!
//! So `e ≤ p` always, and **the sum of all `e` never exceeds the line**, whatever
//! the interleaving. Proof, for a line that stands still: suppose that the sum
//! exceeds it at a time T. Each `e_i` in force at T was set after a read `r_i`,
//! and by rule 2 `p_i ≥ e_i` held from before `r_i` began until T. Let `k` be the
//! member whose read began last. It saw every other `p_i` at a time when
//! `p_i ≥ e_i` held already, so `e_k ≤ line − Σ p_i ≤ line − Σ e_i` over the
//! others: the sum does not exceed the line. A read of the view need not be
//! atomic for this: each row counts at a time after `k` published.
//!
//! When the line falls, all members cut their claims to the same level, found
//! from the same figures; until they have converged nothing is opened above it.
//!
//! Two entries of the settings that name one server by two names are two members
//! of the fleet like any others: each has its monitor session and its claim, and
//! both see each other in the one view.

mod awaited;
mod by_ledger;
mod claim;
pub mod ledger;
mod others;
mod peaks;
mod peers;
mod reading;
mod session;
mod share;
mod squeeze;
#[cfg(test)]
mod tests;

use awaited::Awaited;
pub use by_ledger::LedgerFigures;
use events::Time;
use ledger::Ledger;
use others::Others;
use peaks::Peaks;
use peers::Ghosts;
pub use reading::{FLEET_NAME_MAX, Member, Parts, Reading};
pub(crate) use squeeze::Squeeze;
use std::time::Duration;

/// How the line of a server is found and shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetSettings {
    /// Between two readings, at most.
    pub interval: Duration,
    /// Without clients for so long, the monitor session is closed. `None`: never.
    pub idle_stop: Option<Duration>,
    /// Slots left free for whoever logs in between two readings.
    pub headroom: u32,
    /// The line was stated, so it also bounds what is read.
    pub stated: bool,
    /// Instances with the same name share the line.
    pub fleet: Box<str>,
    /// Unlike that of any other member.
    pub instance: u32,
}

impl Default for BudgetSettings {
    fn default() -> Self {
        BudgetSettings {
            interval: Duration::from_secs(2),
            idle_stop: None,
            headroom: 5,
            stated: false,
            fleet: "default".into(),
            instance: 0,
        }
    }
}

/// How long a newcomer's clients wait for the first reading before the stated
/// line is taken for granted.
pub const FIRST_READING_MAX: Duration = Duration::from_secs(2);
/// A monitor session that does not answer for so long is given up.
pub const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Readings follow each other no faster, whatever happens.
pub const READ_PAUSE: Duration = Duration::from_millis(200);
/// What a reading shows of others, or shows no more of a peer, is believed when
/// it lasts: meanwhile every peer has stated anew what it holds.
const CONFIRM: Duration = Duration::from_millis(400);
/// So long an instance that ends states that nothing is claimed any more. The others read the view
/// within this time if they lack something. Who only vanished might be cut off, and come back.
const FAREWELL: Duration = Duration::from_millis(300);
/// Claims above the line for so long are cut. Two that raise at the same time
/// are above it for a moment, and take it back themselves.
const OVER_MAX: Duration = Duration::from_secs(1);

/// What is known of the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sight {
    /// No monitor session is configured: the stated line holds.
    Stated,
    /// The first reading is awaited, since then; nothing is opened.
    Asking(Time),
    /// It did not come: the last known line holds, or the stated one.
    Unknown,
    /// The last reading is fresh.
    Known,
    /// The last reading is old; its line holds and does not grow.
    Stale,
    /// Nobody needs the server: the monitor session is closed.
    Resting,
}

/// What the upstream uses and lacks, without its monitor session.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Connections in any state.
    pub charged: u32,
    /// Connections that the server surely shows: logged in, not being closed.
    pub usable: u32,
    /// Connections lent, opening or moving, and clients that wait: what would
    /// be in use if the line did not matter.
    pub needed: u32,
    /// Connections that ended or began to, since the start.
    pub losses: u64,
    /// Connections lent since the start.
    pub grants: u64,
}

/// What the monitor session is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MonitorStep {
    /// Nothing yet.
    Rest,
    /// End.
    Close,
    /// As [`MonitorStep::Ask`], with client backends by where they come from.
    AskFrom(String),
    /// Set this application_name, then read the server's figures; answer with
    /// `monitor_heard` or `monitor_failed`.
    Ask(String),
}

/// A question under way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Time,
    held: u32,
    losses: u64,
}

/// The line as one instance sees it. See the module.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    settings: Option<BudgetSettings>,
    /// `UpstreamSettings::line`.
    stated: u32,
    sight: Sight,
    /// `e`: what this instance acts on.
    claim: u32,
    /// `p`: what the view shows of it, or is about to.
    published: u32,
    /// The held and wanted figures that were published last.
    told: (u32, u32),
    /// Stated with the figures; see [`Member::rejected`].
    pub(crate) rejected: Option<u32>,
    asked: Option<Asked>,
    asked_at: Time,
    /// Ask again without a pause: something was just learned that matters.
    again: bool,
    /// When the question of the last reading was asked.
    read_at: Option<Time>,
    /// A raise that met others' is not tried again before.
    raise_at: Time,
    /// Since when the published claims are above the line.
    over_at: Option<Time>,
    /// The monitor session is up.
    session: bool,
    /// It was not for a while: others may have taken the claim for free.
    unseen: bool,
    /// The instance ends: its connections do, and then its session.
    leaving: bool,
    /// No monitor session is opened before, and how often one was lost in a row.
    reopen_at: Time,
    lost: u32,
    others: Others,
    parts: Parts,
    peers: Vec<Member>,
    ghosts: Ghosts,
    awaited: Awaited,
    /// The claims of others come from a store, and the view is not for them.
    ledger: Option<Box<Ledger>>,
    /// With the view: sessions of the fleet that share by a ledger.
    sitters: u32,
    peaks: Peaks,
    used_at: Time,
    grants: u64,
    /// The server had no slot: less is opened for a while.
    pub(crate) squeeze: Option<Squeeze>,
}

impl Budget {
    pub(crate) fn new(stated: u32) -> Budget {
        Budget {
            settings: None,
            stated,
            sight: Sight::Stated,
            claim: 0,
            published: 0,
            told: (0, 0),
            asked: None,
            asked_at: Time::ZERO,
            again: false,
            read_at: None,
            raise_at: Time::ZERO,
            over_at: None,
            session: false,
            unseen: false,
            leaving: false,
            reopen_at: Time::ZERO,
            lost: 0,
            others: Others::default(),
            parts: Parts::default(),
            peers: Vec::new(),
            rejected: None,
            ghosts: Ghosts::default(),
            awaited: Awaited::default(),
            ledger: None,
            sitters: 0,
            peaks: Peaks::default(),
            used_at: Time::ZERO,
            grants: 0,
            squeeze: None,
        }
    }

    // --- settings ---

    pub(crate) fn state(&mut self, line: u32) {
        self.stated = line;
    }

    /// With a monitor from now on, without one, or with other settings of it.
    pub(crate) fn configure(&mut self, now: Time, settings: Option<BudgetSettings>) {
        let begins = self.settings.is_none() && settings.is_some();
        let ends = settings.is_none();
        self.settings = settings;
        if begins {
            self.sight = Sight::Asking(now);
            self.used_at = now;
        } else if ends {
            *self = Budget {
                squeeze: self.squeeze.take(),
                ..Budget::new(self.stated)
            };
        }
    }

    pub(crate) fn settings(&self) -> Option<&BudgetSettings> {
        self.settings.as_ref()
    }

    // --- what follows ---

    /// Most connections to open and to keep, apart from the monitor session. They
    /// differ while it is open whether claims above the line are to be cut.
    pub(crate) fn limits(&self, monitors: u32) -> (u32, u32) {
        let stated = self.stated.saturating_sub(monitors);
        let (open, keep) = match self.sight {
            _ if self.ledger.is_some() => self.limits_by_ledger(),
            Sight::Stated => (stated, stated),
            Sight::Asking(_) => (0, u32::MAX),
            Sight::Unknown if self.read_at.is_none() => (stated, stated),
            Sight::Unknown | Sight::Stale | Sight::Resting => (self.claim, self.claim),
            Sight::Known => (self.fair_cut(), self.claim),
        };
        match &self.squeeze {
            Some(squeeze) => (open.min(squeeze.cap()), keep),
            None => (open, keep),
        }
    }

    pub(crate) fn sight(&self) -> Sight {
        self.sight
    }

    pub(crate) fn parts(&self) -> Parts {
        self.parts
    }

    pub(crate) fn peers(&self) -> &[Member] {
        &self.peers
    }

    pub(crate) fn claim(&self) -> u32 {
        self.claim
    }

    pub(crate) fn published(&self) -> u32 {
        self.published
    }

    pub(crate) fn read_at(&self) -> Option<Time> {
        self.read_at
    }

    /// When time alone may change something.
    pub(crate) fn next(&self) -> Time {
        let asking = match (self.sight, &self.settings) {
            (Sight::Asking(since), _) => since.after(FIRST_READING_MAX),
            (Sight::Known, Some(settings)) => self.old_at(settings),
            _ => Time::FAR,
        };
        let squeeze = self.squeeze.as_ref().map_or(Time::FAR, Squeeze::next);
        asking.min(squeeze)
    }

    fn old_at(&self, settings: &BudgetSettings) -> Time {
        let read = self.read_at.unwrap_or(Time::ZERO);
        // A tick may be late by its own length.
        read.after(settings.interval * 3)
    }

    /// Time went on.
    pub(crate) fn tick(&mut self, now: Time) {
        match (self.sight, &self.settings) {
            (Sight::Asking(Time::FAR), _) => {
                self.sight = Sight::Asking(now);
                self.used_at = now;
            }
            (Sight::Asking(since), _) if now >= since.after(FIRST_READING_MAX) => self.give_up(),
            (Sight::Known, Some(settings)) if now >= self.old_at(settings) => {
                self.sight = Sight::Stale;
            }
            _ => {}
        }
        let most = self.limits_without_squeeze();
        if let Some(squeeze) = &mut self.squeeze
            && squeeze.grow(now, most)
        {
            self.squeeze = None;
        }
    }

    fn limits_without_squeeze(&self) -> u32 {
        match self.sight {
            Sight::Known | Sight::Stale | Sight::Resting => self.claim,
            _ => self.stated,
        }
    }

    /// The first reading does not come.
    fn give_up(&mut self) {
        self.sight = match self.read_at {
            Some(_) => Sight::Stale,
            None => Sight::Unknown,
        };
    }

    // --- the figures ---

    /// For a planted bug: acts on what is published, unseen.
    pub(crate) fn believe(&mut self) {
        self.claim = self.claim.max(self.published);
    }

    /// The figures came; `gives`: not for a planted bug.
    pub(crate) fn heard(&mut self, now: Time, usage: &Usage, reading: &Reading, gives: bool) {
        let (Some(settings), Some(asked)) = (self.settings.clone(), self.asked.take()) else {
            return;
        };
        if self.ledger.is_some() {
            return self.read_for_ledger(now, asked.at, reading, &settings);
        }
        let lost = u32::try_from(usage.losses - asked.losses).unwrap_or(u32::MAX);
        let held = asked.held.saturating_sub(lost);
        self.sitters = reading.sitters(&settings.fleet).len() as u32;
        let members = reading.members(&settings.fleet);
        let monitors = members.len() as u32;
        let peers = share::peers(members, settings.instance);
        let stated: u32 = peers.iter().map(|peer| peer.held).sum();
        let strange = reading.backends.saturating_sub(monitors);
        let rows = strange.saturating_sub(stated + held);
        // Whatever the members may have opened since they stated what they held.
        let claimed: u32 = peers.iter().map(|peer| peer.claim.max(peer.held)).sum();
        let sure = strange.saturating_sub(claimed + usage.charged.max(held));
        let before = self.others.believed();
        self.ghosts.follow(now, rows, before, &self.peers, &peers);
        self.awaited.follow(now, &peers, self.ghosts.members());
        let believed = match self.ghosts.any() {
            // Their rows are not others', and nobody can tell them apart.
            true => before,
            false => self.others.read(now, rows, sure),
        };
        let others = self.ghosts.with(believed);
        self.parts = reading.parts(others, monitors, settings.headroom);
        self.peers = peers;
        if let Some(squeeze) = &mut self.squeeze {
            squeeze.room(usage.charged + reading.free());
        }
        if self.read_at.is_none() {
            // What was held without a view is all that is claimed of it.
            self.claim = self.published;
            self.again = true;
        }
        if std::mem::take(&mut self.unseen) {
            // The others kept the claim free, or could not know of it.
            self.claim = self.claim.min(self.free());
        }
        self.read_at = Some(asked.at);
        self.sight = Sight::Known;
        self.lost = 0;
        self.settle(now, &settings);
        if gives {
            self.give_back(usage);
        }
    }

    /// Remembers what is in use: for the idle stop, and for what is given back.
    fn note_use(&mut self, now: Time, usage: &Usage) {
        if usage.needed > 0 || usage.grants != self.grants {
            self.used_at = now;
            self.grants = usage.grants;
        }
        self.peaks.note(now, usage.needed);
    }
}
