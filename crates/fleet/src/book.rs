//! The book of peers: who is asked, who was heard, who is to be believed.

mod judge;
mod kinds;

pub use judge::Doubt;
pub use kinds::{Ask, Failure, Heard, News, Own, Peer, PeerState, Spread};

use crate::statement::{PROTOCOL, Statement};
use events::Time;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Most peers, and most addresses; what comes beyond is passed over and counted.
pub const PEERS_MAX: usize = 256;
/// A peer that was not heard for so long is silent: five questions went
/// unanswered, or two took as long as they may.
pub const SILENT_AFTER: Duration = Duration::from_secs(5);
/// A peer that was not heard for so long is dropped.
const DROPPED_AFTER: Duration = Duration::from_secs(600);
/// A doubt holds for so long after the last message that gave rise to it.
const DOUBT_HELD: Duration = Duration::from_secs(30);
/// Peers that serve other settings for longer than this are told of: a change
/// reaches all files of a fleet within a minute.
const DIFFERS_AFTER: Duration = Duration::from_secs(60);
/// Between two questions to one address, less or more by [`JITTER`].
const PACE: Duration = Duration::from_secs(1);
const JITTER: Duration = Duration::from_millis(150);
/// An address that is our own may be another's later.
const PACE_OWN: Duration = Duration::from_secs(30);
/// News that nobody took.
const NEWS_MAX: usize = 1_024;

/// An address that discovery gave.
#[derive(Clone, Debug)]
struct Target {
    instance: Option<String>,
    own: bool,
    /// A question is on its way.
    flying: bool,
    next: Time,
    failure: Option<Failure>,
    since: Time,
}

/// Who the peers are.
#[derive(Debug)]
pub struct Book {
    own: Own,
    targets: BTreeMap<SocketAddr, Target>,
    /// By instance; those that never said who they are are targets only.
    peers: BTreeMap<String, Peer>,
    news: VecDeque<News>,
    /// What the settings that serve here are compared by.
    settings: String,
    /// For the jitter alone.
    seed: u64,
    /// Peers and addresses beyond the bound.
    pub too_many: u64,
}

impl Book {
    /// Empty. `seed` spreads questions over the second.
    pub fn new(own: Own, seed: u64) -> Book {
        Book {
            own,
            targets: BTreeMap::new(),
            peers: BTreeMap::new(),
            news: VecDeque::new(),
            settings: String::new(),
            seed,
            too_many: 0,
        }
    }

    /// Who we are.
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// The fleet has another name from now on: who was known is forgotten.
    pub fn rename(&mut self, fleet: &str) {
        self.own.fleet = fleet.to_owned();
        self.targets.clear();
        self.peers.clear();
    }

    /// These are the addresses of instances now. Peers that are listed no more
    /// are asked no more; they fall silent.
    pub fn addresses(&mut self, now: Time, addresses: &[SocketAddr]) {
        self.targets.retain(|known, _| addresses.contains(known));
        for address in addresses {
            if self.targets.contains_key(address) {
                continue;
            }
            if self.targets.len() >= PEERS_MAX {
                self.too_many = self.too_many.saturating_add(1);
                continue;
            }
            let known = self.peers.values().find(|p| p.address == Some(*address));
            let target = Target {
                instance: known.map(|p| p.instance.clone()),
                own: false,
                flying: false,
                next: now,
                failure: None,
                since: now,
            };
            self.targets.insert(*address, target);
        }
    }

    /// Whom to ask now. Of each address one question is on its way at a time: end
    /// it with [`Book::answered`] or [`Book::failed`].
    pub fn due(&mut self, now: Time) -> Vec<Ask> {
        let mut asks = Vec::new();
        for (address, target) in &mut self.targets {
            if target.flying || target.next > now {
                continue;
            }
            target.flying = true;
            target.next = match target.own {
                true => now.after(PACE_OWN),
                false => now.after(PACE - JITTER + jitter(&mut self.seed)),
            };
            asks.push(Ask {
                address: *address,
                receiver: target.instance.clone().filter(|_| target.failure.is_none()),
                refused: target.failure.is_some_and(Failure::refuses),
            });
        }
        asks
    }

    /// A question was answered by this instance.
    pub fn answered(&mut self, address: SocketAddr, instance: &str) {
        let own = instance == self.own.instance;
        if let Some(target) = self.targets.get_mut(&address) {
            target.flying = false;
            target.failure = None;
            if !own {
                target.own = false;
                target.instance = Some(instance.to_owned());
            }
        }
    }

    /// A question has no answer.
    pub fn failed(&mut self, now: Time, address: SocketAddr, failure: Failure) {
        if let Some(target) = self.targets.get_mut(&address) {
            target.flying = false;
            if target
                .failure
                .is_none_or(|f| f.refuses() != failure.refuses())
            {
                target.since = now;
            }
            target.failure = Some(failure);
        }
    }

    /// A statement came, by a question of ours or of its own. `clock_ms` is our
    /// clock; `address` where its sender listens, as far as known.
    ///
    /// # Errors
    /// It cannot be believed, and nothing of it is used.
    pub fn heard(
        &mut self,
        now: Time,
        clock_ms: i64,
        said: Statement,
        address: Option<SocketAddr>,
    ) -> Result<Heard, Doubt> {
        let us = said.instance == self.own.instance && said.started_ms == self.own.started_ms;
        if us && said.fleet == self.own.fleet {
            if let Some(target) = address.and_then(|a| self.targets.get_mut(&a)) {
                target.own = true;
                target.instance = None;
            }
            return Ok(Heard::Ourselves);
        }
        let known = self.peers.get(&said.instance);
        let recently = |at: Time| now.since(at) < SILENT_AFTER;
        if let Some(doubt) = judge::doubt(&self.own, &said, clock_ms) {
            self.doubted(now, &said.instance, address, doubt);
            return Err(doubt);
        }
        if let Some(known) = known {
            let live = known.heard_at.is_some_and(recently);
            if live && said.started_ms < known.said.started_ms {
                self.doubted(now, &said.instance, address, Doubt::Twice);
                return Err(Doubt::Twice);
            }
            // Of questions and answers under way one may overtake another; what is older by
            // more was said by a clock that was set back.
            let behind_ms = known.said.clock_ms.saturating_sub(said.clock_ms);
            let overtaken = (1..SILENT_AFTER.as_millis() as i64).contains(&behind_ms);
            if said.started_ms == known.said.started_ms && overtaken {
                return Ok(Heard::Older);
            }
        }
        let instance = said.instance.clone();
        let Some(peer) = self.entry(now, &instance) else {
            return Ok(Heard::TooMany);
        };
        let first = peer.heard_at.is_none();
        peer.heard_at = Some(now);
        peer.said = said;
        peer.address = address.or(peer.address);
        let place = peer.address;
        if first {
            self.tell(News::Came(instance.clone(), place));
        }
        self.judge(now, &instance, first);
        Ok(Heard::Taken)
    }

    /// A message of this instance cannot be believed.
    pub fn doubted(
        &mut self,
        now: Time,
        instance: &str,
        address: Option<SocketAddr>,
        doubt: Doubt,
    ) {
        let new = !self.peers.contains_key(instance);
        let Some(peer) = self.entry(now, instance) else {
            return;
        };
        peer.doubt = Some((doubt, now));
        peer.address = address.or(peer.address);
        if let Some(target) = address.and_then(|a| self.targets.get_mut(&a)) {
            target.instance = Some(instance.to_owned());
        }
        self.judge(now, instance, new);
    }

    fn entry(&mut self, now: Time, instance: &str) -> Option<&mut Peer> {
        if !self.peers.contains_key(instance) && self.peers.len() >= PEERS_MAX {
            self.too_many = self.too_many.saturating_add(1);
            return None;
        }
        let fresh = || Peer {
            instance: instance.to_owned(),
            address: None,
            state: PeerState::Silent,
            since: now,
            why: "",
            said: Statement::default(),
            heard_at: None,
            doubt: None,
            differs: None,
        };
        Some(self.peers.entry(instance.to_owned()).or_insert_with(fresh))
    }

    /// Where it stands by now; `quiet`: its change is told otherwise.
    fn judge(&mut self, now: Time, instance: &str, quiet: bool) {
        let Some(peer) = self.peers.get_mut(instance) else {
            return;
        };
        peer.doubt = peer.doubt.filter(|(_, at)| now.since(*at) < DOUBT_HELD);
        let target = peer.address.and_then(|a| self.targets.get(&a));
        // Another instance may have taken its address.
        let target = target.filter(|t| t.instance.as_deref() == Some(instance));
        let failure = target.and_then(|t| t.failure);
        let heard = peer.heard_at.is_some_and(|at| now.since(at) < SILENT_AFTER);
        let (state, why) = match (peer.doubt, failure) {
            (Some((Doubt::Fleet, _)), _) => (PeerState::AnotherFleet, Doubt::Fleet.label()),
            (Some((doubt, _)), _) => (PeerState::Liar, doubt.label()),
            _ if heard && peer.said.protocol != PROTOCOL => (
                PeerState::AnotherVersion,
                "it speaks another version of the language; what can be read is used",
            ),
            _ if heard => (PeerState::Ok, ""),
            (None, Some(f)) if f.refuses() => (PeerState::Refused, f.label()),
            (None, Some(f)) => (PeerState::Silent, f.label()),
            (None, None) => (PeerState::Silent, "it is not heard"),
        };
        let (before, address) = (peer.state, peer.address);
        peer.why = why;
        if before != state {
            (peer.state, peer.since) = (state, now);
            if !quiet || state != PeerState::Ok {
                let name = instance.to_owned();
                self.tell(News::Turned(name, address, before, state, why));
            }
        }
    }

    /// Time went on. Call it a few times a second.
    pub fn tick(&mut self, now: Time, settings: &str) {
        if self.settings != settings {
            settings.clone_into(&mut self.settings);
        }
        let names: Vec<String> = self.peers.keys().cloned().collect();
        for name in names {
            self.judge(now, &name, false);
            self.compare(now, &name);
            let Some(peer) = self.peers.get(&name) else {
                continue;
            };
            let last = peer.heard_at.unwrap_or(peer.since);
            if peer.doubt.is_none() && now.since(last) >= DROPPED_AFTER {
                let address = peer.address;
                self.peers.remove(&name);
                self.tell(News::Gone(name, address));
            }
        }
    }

    /// Does it serve our settings? A peer that is not believed says nothing of it.
    fn compare(&mut self, now: Time, name: &str) {
        let ours = self.settings.clone();
        let Some(peer) = self.peers.get_mut(name) else {
            return;
        };
        let theirs = peer.said.serves().to_owned();
        if !peer.state.is_believed() || ours.is_empty() || theirs.is_empty() {
            return;
        }
        let news = match (theirs == ours, peer.differs) {
            (true, Some((_, told))) => {
                peer.differs = None;
                told.then(|| News::Agrees(name.to_owned()))
            }
            (false, None) => {
                peer.differs = Some((now, false));
                None
            }
            (false, Some((since, false))) if now.since(since) >= DIFFERS_AFTER => {
                peer.differs = Some((since, true));
                Some(News::Differs(name.to_owned(), theirs))
            }
            _ => None,
        };
        if let Some(news) = news {
            self.tell(news);
        }
    }

    fn tell(&mut self, news: News) {
        if self.news.len() < NEWS_MAX {
            self.news.push_back(news);
        }
    }

    /// The next piece of news.
    pub fn poll(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Those that said who they are, by name.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// Those whose statements are used now.
    pub fn believed(&self) -> impl Iterator<Item = &Peer> {
        self.peers().filter(|peer| peer.state.is_believed())
    }

    /// Everybody, also who never said who they are.
    pub fn everybody(&self) -> Vec<Peer> {
        let known = |address: &SocketAddr| {
            let mut peers = self.peers.values();
            peers.any(|peer| peer.address == Some(*address))
        };
        let nameless = self.targets.iter().filter(|(a, t)| !t.own && !known(a));
        let nameless = nameless.map(|(address, target)| Peer {
            instance: String::new(),
            address: Some(*address),
            state: match target.failure.is_some_and(Failure::refuses) {
                true => PeerState::Refused,
                false => PeerState::Silent,
            },
            since: target.since,
            why: target
                .failure
                .map_or("it was not asked yet", Failure::label),
            said: Statement::default(),
            heard_at: None,
            doubt: None,
            differs: None,
        });
        self.peers.values().cloned().chain(nameless).collect()
    }

    /// A peer turned down the settings with this hash: which one, and why. One
    /// that fell silent said so all the same.
    pub fn rejected_by_peer(&self, hash: &str) -> Option<(&str, &str)> {
        let said = |p: &&Peer| p.state.is_believed() || p.state == PeerState::Silent;
        self.peers().filter(said).find_map(|peer| {
            let mut down = peer.said.turned_down.iter();
            let found = down.find(|t| !hash.is_empty() && t.hash == hash)?;
            Some((peer.instance.as_str(), found.reason.as_str()))
        })
    }

    /// Those that serve other settings than this instance now.
    pub fn differing(&self) -> impl Iterator<Item = &Peer> {
        let ours = self.settings.as_str();
        let differs = move |p: &&Peer| !p.said.serves().is_empty() && p.said.serves() != ours;
        self.believed()
            .filter(move |p| !ours.is_empty() && differs(p))
    }

    /// How many instances serve which settings.
    pub fn spread(&self) -> Spread {
        let mut spread = Spread::default();
        let peers = self.believed().map(|p| p.said.serves());
        for hash in peers.chain([self.settings.as_str()]) {
            if !hash.is_empty() {
                *spread.by_hash.entry(hash.to_owned()).or_default() += 1;
            }
        }
        spread
    }
}

/// Up to twice [`JITTER`], spread evenly (SplitMix64).
fn jitter(seed: &mut u64) -> Duration {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let span = 2 * u64::try_from(JITTER.as_micros()).unwrap_or(0) + 1;
    Duration::from_micros((z ^ (z >> 31)) % span)
}

#[cfg(test)]
mod tests;
