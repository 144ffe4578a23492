//! Who asks, from where, and who waited for whom. Counting costs a request two
//! additions at a place that its client remembers; all else happens at logins,
//! at renames, and when somebody asks for the figures.

use crate::client::{Client, Phase};
use crate::directory::PoolKey;
use crate::hub::Hub;
use crate::leases::{answered, silent_since};
use crate::server::ServerPhase;
use crate::tally::{Counts, NOWHERE, Tally};
use events::snapshot::Address;
use events::traffic::{OTHER, WAITS_MAX, WAITS_PER_POOL_MAX};
use events::{
    ApplicationRow, CloseReason, PinCounts, PinFate, PinKind, SourceRow, Time, WaitExemplar,
};
use pool::names;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Waits up to this are not looked at, microseconds.
pub(crate) const WAIT_US: u64 = 10_000;
/// So long after its end a wait is told.
const WAIT_TOLD: Duration = Duration::from_secs(10);
/// Waits looked at closely in one tick: the holder's last statement is read for
/// each, which takes some ten microseconds.
const WAITS_PER_TICK: u32 = 8;
/// A client is silent when the server has waited for it for this long.
const SILENT: Duration = Duration::from_secs(1);

/// Whose clients are counted together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Application {
    database: Box<str>,
    user: Box<str>,
    kind: Arc<str>,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct ApplicationCounts {
    logins: u64,
    checkouts: u64,
    hold_us: u64,
    wait_us: u64,
    pins: PinCounts,
}

impl Counts for ApplicationCounts {
    fn add(&mut self, other: &Self) {
        self.logins += other.logins;
        self.checkouts += other.checkouts;
        self.hold_us += other.hold_us;
        self.wait_us += other.wait_us;
        self.pins.add(&other.pins);
    }
    fn weight(&self) -> u64 {
        self.checkouts
    }
}

#[derive(Clone, Copy, Default)]
pub(crate) struct SourceCounts {
    accepts: u64,
    logins: u64,
    login_failures: u64,
}

impl Counts for SourceCounts {
    fn add(&mut self, other: &Self) {
        self.accepts += other.accepts;
        self.logins += other.logins;
        self.login_failures += other.login_failures;
    }
    fn weight(&self) -> u64 {
        self.accepts
    }
}

/// What one worker counts of who asks.
#[derive(Default)]
pub(crate) struct Traffic {
    applications: Tally<Application, ApplicationCounts>,
    /// `None` for unix sockets.
    sources: Tally<Option<IpAddr>, SourceCounts>,
    waits: Vec<WaitExemplar>,
    /// Waits that may still be looked at in this tick.
    waits_left: u32,
}

impl Traffic {
    /// A request for a server connection.
    #[inline]
    pub(crate) fn arrived(&mut self, application: u16) {
        if let Some(counts) = self.applications.at(application) {
            counts.checkouts += 1;
        }
    }

    /// A lease ended.
    #[inline]
    pub(crate) fn held(&mut self, application: u16, since: Time, now: Time) {
        if let Some(counts) = self.applications.at(application) {
            counts.hold_us += now.as_micros().saturating_sub(since.as_micros());
        }
    }

    /// A wait ended with a grant.
    pub(crate) fn waited(&mut self, application: u16, waited_us: u64) {
        if let Some(counts) = self.applications.at(application) {
            counts.wait_us += waited_us;
        }
    }

    /// A statement asked for a pin.
    pub(crate) fn asked_to_pin(&mut self, application: u16, kind: PinKind, fate: PinFate) {
        if let Some(counts) = self.applications.at(application) {
            counts.pins.note(kind, fate);
        }
    }

    /// What the application at a place is called.
    pub(crate) fn kind(&self, application: u16) -> Option<Arc<str>> {
        let key = self.applications.key(application)?;
        Some(Arc::clone(&key.kind))
    }

    /// A client connected; its address's place.
    pub(crate) fn accepted(&mut self, address: &Address) -> u16 {
        let place = self.sources.join(&ip(address));
        if let Some(counts) = self.sources.at(place) {
            counts.accepts += 1;
        }
        place
    }

    /// A client was turned away at the door.
    pub(crate) fn turned_away(&mut self, address: &Address) {
        let place = self.accepted(address);
        if let Some(counts) = self.sources.at(place) {
            counts.login_failures += 1;
        }
        self.sources.leave(place);
    }

    /// A client's session ends.
    pub(crate) fn left(&mut self, client: &Client, reason: CloseReason) {
        self.applications.leave(client.application);
        self.sources.leave(client.source);
        // Who left by itself did not fail, and a shutdown is nobody's failure.
        let excused = matches!(
            reason,
            CloseReason::ClientGone | CloseReason::ClientTerminate | CloseReason::Shutdown
        );
        if matches!(client.phase, Phase::Login(_))
            && !excused
            && let Some(counts) = self.sources.at(client.source)
        {
            counts.login_failures += 1;
        }
    }

    /// A tick begins.
    pub(crate) fn tick(&mut self, now: Time) {
        self.waits_left = WAITS_PER_TICK;
        if !self.waits.is_empty() {
            self.waits
                .retain(|wait| now.since(wait.granted_at) <= WAIT_TOLD);
        }
    }

    /// Keeps a wait if it is one of the worst.
    fn keep(&mut self, wait: WaitExemplar) {
        let least = |all: &[WaitExemplar], of: &dyn Fn(&WaitExemplar) -> bool| {
            let those = all.iter().enumerate().filter(|(_, w)| of(w));
            those.min_by_key(|(_, w)| w.wait_us).map(|(i, _)| i)
        };
        let same = |w: &WaitExemplar| w.pool == wait.pool;
        let full = match self.waits.iter().filter(|w| same(w)).count() {
            n if n >= WAITS_PER_POOL_MAX => least(&self.waits, &same),
            _ if self.waits.len() >= WAITS_MAX => least(&self.waits, &|_| true),
            _ => return self.waits.push(wait),
        };
        if let Some(place) = full.and_then(|i| self.waits.get_mut(i))
            && place.wait_us < wait.wait_us
        {
            *place = wait;
        }
    }
}

impl Hub {
    /// A client is logged in: where it is counted.
    pub(crate) fn count_login(&mut self, slot: u32) {
        self.name_client(slot);
        let Some(client) = self.clients.get(slot) else {
            return;
        };
        if let Some(counts) = self.traffic.applications.at(client.application) {
            counts.logins += 1;
        }
        if let Some(counts) = self.traffic.sources.at(client.source) {
            counts.logins += 1;
        }
    }

    /// Finds the place of a client whose name or pool changed.
    #[cold]
    pub(crate) fn name_client(&mut self, slot: u32) -> u16 {
        let Some(client) = self.clients.get_mut(slot) else {
            return NOWHERE;
        };
        client.renamed = false;
        let Some(info) = &client.pool else {
            return NOWHERE;
        };
        let name = client.params.plain("application_name").unwrap_or_default();
        let key = Application {
            database: info.database.clone(),
            user: info.user.clone(),
            kind: names::kind(client.without_origin(&name)).into(),
        };
        let all = &mut self.traffic.applications;
        all.leave(client.application);
        client.application = all.join(&key);
        client.application
    }

    /// A client was turned away before it got a session.
    pub fn turned_away(&mut self, address: &Address) {
        self.traffic.turned_away(address);
    }

    /// A client's long wait ended: with the connection at `server`, whose last
    /// lease is still to be seen there, or with a refusal.
    #[cold]
    pub(crate) fn note_wait(&mut self, slot: u32, server: Option<u32>, now: Time, wait_us: u64) {
        if self.traffic.waits_left == 0 {
            return;
        }
        let Some(client) = self.clients.get(slot) else {
            return;
        };
        let Some(key) = client.pool.as_ref().map(|p| p.key) else {
            return;
        };
        self.traffic.waits_left -= 1;
        let lent = |slot: &u32| self.servers.get(*slot).is_some_and(|s| s.lease > 0);
        let before = server.filter(lent).or_else(|| self.oldest_lease(key));
        let before = before.and_then(|slot| self.servers.get(slot));
        let wait = WaitExemplar {
            pool: key.0,
            application: self.kind_of(client.application),
            address: shown(ip(&client.peer.addr)),
            wait_us,
            granted_at: now,
            granted: server.is_some(),
            holder: before.and_then(|s| match s.holds {
                NOWHERE => s.holder.clone(),
                holds => Some(self.kind_of(holds)),
            }),
            held_us: before.map_or(0, |s| now.since(s.lent_at).as_micros() as u64),
            statement: before.map_or(0, |s| s.trail.fingerprint(answered(s))),
        };
        self.traffic.keep(wait);
    }

    /// The pool's connection here that has been lent for longest.
    fn oldest_lease(&self, key: PoolKey) -> Option<u32> {
        let lent = self.servers.iter().filter(|(_, s)| {
            s.pool.key == key && matches!(s.phase, ServerPhase::Lent) && s.is_linked()
        });
        let oldest = lent.min_by_key(|(_, s)| s.lent_at);
        oldest.map(|(slot, _)| slot)
    }

    fn kind_of(&self, application: u16) -> Arc<str> {
        let kind = self.traffic.kind(application);
        kind.unwrap_or_else(|| OTHER.into())
    }

    /// One row per application of this worker; the others' row has the kind
    /// [`OTHER`] and no database.
    pub fn application_rows(&self, now: Time) -> Vec<ApplicationRow> {
        let places = self.traffic.applications.places().iter();
        let mut rows: Vec<ApplicationRow> = places
            .map(|place| ApplicationRow {
                database: place.key.as_ref().map_or("", |k| &*k.database).to_owned(),
                user: place.key.as_ref().map_or("", |k| &*k.user).to_owned(),
                kind: match &place.key {
                    Some(key) => Arc::clone(&key.kind),
                    None => OTHER.into(),
                },
                clients: place.here,
                logins: place.counts.logins,
                checkouts: place.counts.checkouts,
                hold_us: place.counts.hold_us,
                wait_us: place.counts.wait_us,
                pins: place.counts.pins,
                ..ApplicationRow::default()
            })
            .collect();
        for (_, client) in self.clients.iter() {
            if let Some(row) = rows.get_mut(usize::from(client.application)) {
                self.add_client(client, now, row);
            }
        }
        rows
    }

    fn add_client(&self, client: &Client, now: Time, row: &mut ApplicationRow) {
        row.waiting += u32::from(matches!(client.phase, Phase::Waiting { .. }));
        let Some(server) = self.servers.get(client.link) else {
            return;
        };
        row.active += 1;
        let silent = silent_since(server, client).is_some_and(|at| now.since(at) >= SILENT);
        row.silent += u32::from(silent);
        let held = now.since(server.lent_at).as_micros() as u64;
        row.oldest_hold_us = row.oldest_hold_us.max(held);
    }

    /// One row per client address of this worker; the others' row first.
    pub fn source_rows(&self) -> Vec<SourceRow> {
        let places = self.traffic.sources.places().iter();
        places
            .map(|place| SourceRow {
                address: place.key.map_or_else(|| OTHER.to_owned(), shown),
                clients: place.here,
                accepts: place.counts.accepts,
                logins: place.counts.logins,
                login_failures: place.counts.login_failures,
            })
            .collect()
    }

    /// The worst waits of the last seconds, in no order.
    pub fn wait_exemplars(&self, now: Time) -> Vec<WaitExemplar> {
        let told = |w: &&WaitExemplar| now.since(w.granted_at) <= WAIT_TOLD;
        self.traffic.waits.iter().filter(told).cloned().collect()
    }

    /// Before a connection goes to another worker, which has other places: who
    /// held it last.
    pub(crate) fn name_holder(&mut self, slot: u32) {
        if let Some(server) = self.servers.get_mut(slot) {
            server.holder = self.traffic.kind(server.holds).or(server.holder.take());
            server.holds = NOWHERE;
        }
    }
}

fn ip(address: &Address) -> Option<IpAddr> {
    match address {
        Address::Tcp(address) => Some(address.ip().to_canonical()),
        Address::Unix => None,
    }
}

fn shown(ip: Option<IpAddr>) -> String {
    ip.map_or_else(|| "unix".to_owned(), |ip| ip.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(pool: u32, wait_us: u64) -> WaitExemplar {
        WaitExemplar {
            pool,
            application: "a".into(),
            address: "unix".into(),
            wait_us,
            granted_at: Time::ZERO,
            granted: true,
            holder: None,
            held_us: 0,
            statement: 0,
        }
    }

    #[test]
    fn the_worst_waits_are_kept_within_bounds() {
        let mut traffic = Traffic::default();
        for us in [5, 1, 9, 3, 7, 2, 8, 4, 6, 0, 10] {
            traffic.keep(wait(0, us));
        }
        let mut kept: Vec<u64> = traffic.waits.iter().map(|w| w.wait_us).collect();
        kept.sort_unstable();
        assert_eq!(kept, [3, 4, 5, 6, 7, 8, 9, 10]);
        for pool in 1..100 {
            for us in 0..20 {
                traffic.keep(wait(pool, us));
            }
        }
        assert_eq!(traffic.waits.len(), WAITS_MAX);
        let of = |pool| traffic.waits.iter().filter(|w| w.pool == pool).count();
        assert!((0..100).all(|pool| of(pool) <= WAITS_PER_POOL_MAX));
        // A longer one finds a place all the same.
        traffic.keep(wait(1_000, 99));
        assert!(traffic.waits.iter().any(|w| w.wait_us == 99));
        assert_eq!(traffic.waits.len(), WAITS_MAX);
    }

    #[test]
    fn waits_are_told_for_ten_seconds() {
        let mut traffic = Traffic::default();
        traffic.keep(wait(0, 1));
        traffic.tick(Time::ZERO.after(WAIT_TOLD));
        assert_eq!(traffic.waits.len(), 1);
        let later = Time::ZERO.after(WAIT_TOLD + Duration::from_millis(1));
        traffic.tick(later);
        assert!(traffic.waits.is_empty());
    }
}
