//! What the monitor session reads, and what a member states in its name.

use std::net::IpAddr;

/// Longest name of a fleet, bytes: names and figures share 63 bytes.
pub const FLEET_NAME_MAX: usize = 20;

/// With this each member's application_name begins.
const PREFIX: &str = "plimsoll";

/// No figure is above this: PostgreSQL cuts names at 63 bytes.
pub(super) const FIGURE_MAX: u32 = 99_999;

/// The server's figures at one moment, as a monitor session read them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// `max_connections`.
    pub max_connections: u32,
    /// `superuser_reserved_connections`.
    pub superuser_reserved: u32,
    /// `reserved_connections` (PostgreSQL 16 and later).
    pub reserved: u32,
    /// What the provider keeps for itself.
    pub provider_reserved: u32,
    /// Client backends, monitor sessions included. A row that may be one is one.
    pub backends: u32,
    /// The server is a standby.
    pub in_recovery: bool,
    /// Application names of the monitor user's sessions.
    pub names: Vec<Box<str>>,
    /// Where each of these comes from, as far as the server knows.
    pub places: Vec<Option<IpAddr>>,
    /// Client backends by where they come from, monitor sessions left out. Only
    /// where a ledger shares the line.
    pub from: Vec<(IpAddr, u32)>,
    /// Those that come by a unix socket.
    pub local: u32,
    /// Those of which the server does not say where they come from, for want of rights.
    pub hidden: u32,
}

/// What a monitor session of a ledger states: who sits there, of which ledger,
/// and how much that may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sitter {
    pub(super) instance: u32,
    pub(super) claim: u32,
    pub(super) held: u32,
    pub(super) ledger: u16,
}

impl Sitter {
    /// At most 63 bytes; no name of a [`Member`]: whoever shares by the view must
    /// not take it for one.
    pub(super) fn name(&self, fleet: &str) -> String {
        let Sitter {
            instance, ledger, ..
        } = *self;
        let figure = |n: u32| n.min(FIGURE_MAX);
        let (claim, held) = (figure(self.claim), figure(self.held));
        let name = format!("{PREFIX}/{fleet}/{instance:08x}/{claim}/{held}/L{ledger:04x}");
        debug_assert!(name.len() <= 63, "{name}");
        name
    }

    fn parse(fleet: &str, name: &str) -> Option<Sitter> {
        let mut words = name.split('/');
        if words.next()? != PREFIX || words.next()? != fleet {
            return None;
        }
        let instance = u32::from_str_radix(words.next()?, 16).ok()?;
        let (claim, held) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let ledger = u16::from_str_radix(words.next()?.strip_prefix('L')?, 16).ok()?;
        words.next().is_none().then_some(Sitter {
            instance,
            claim,
            held,
            ledger,
        })
    }
}

/// The line and what it is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// `max_connections`.
    pub max_connections: u32,
    /// `superuser_reserved_connections`.
    pub superuser_reserved: u32,
    /// `reserved_connections`.
    pub reserved: u32,
    /// What the provider keeps for itself.
    pub provider_reserved: u32,
    /// Connections of neither this instance nor a peer.
    pub others: u32,
    /// Monitor sessions of the fleet.
    pub monitors: u32,
    /// Left free for whoever comes.
    pub headroom: u32,
    /// What the whole fleet may hold, apart from its monitor sessions.
    pub line: u32,
}

impl Parts {
    /// Connections that the server could give if nobody else had any. `None`
    /// before the first reading.
    pub(crate) fn at_best(&self) -> Option<u32> {
        let kept = self.superuser_reserved + self.reserved + self.provider_reserved;
        (self.max_connections > 0).then(|| self.max_connections.saturating_sub(kept))
    }
}

/// One instance of the fleet, as it states itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Which one.
    pub instance: u32,
    /// Its published claim.
    pub claim: u32,
    /// Connections that it holds, apart from its monitor session.
    pub held: u32,
    /// What it lacks beyond its claim.
    pub wants: u32,
    /// The first 24 bits of the hash of settings that it turned down, where its
    /// settings file still says them.
    pub rejected: Option<u32>,
}

/// Most that a member states of a hash: what 63 bytes leave.
pub(super) const REJECTED_MAX: u32 = 0xff_ffff;

impl Member {
    /// The application_name that states this: at most 63 bytes, and only
    /// characters that need no quoting.
    pub fn name(&self, fleet: &str) -> String {
        let figure = |n: u32| n.min(FIGURE_MAX);
        let Member { instance, .. } = *self;
        let rejected = self
            .rejected
            .map(|hash| format!("/{:06x}", hash & REJECTED_MAX));
        let name = format!(
            "{PREFIX}/{fleet}/{instance:08x}/{}/{}/{}{}",
            figure(self.claim),
            figure(self.held),
            figure(self.wants),
            rejected.unwrap_or_default()
        );
        debug_assert!(name.len() <= 63, "{name}");
        name
    }

    /// Reads such a name of a member of `fleet`.
    pub fn parse(fleet: &str, name: &str) -> Option<Member> {
        let mut words = name.split('/');
        if words.next()? != PREFIX || words.next()? != fleet {
            return None;
        }
        let instance = words.next().filter(|word| word.len() == 8)?;
        let instance = u32::from_str_radix(instance, 16).ok()?;
        let mut figure = || words.next()?.parse().ok().filter(|n| *n <= FIGURE_MAX);
        let (claim, held, wants) = (figure()?, figure()?, figure()?);
        let rejected = match words.next() {
            None | Some("") => None,
            Some(word) if word.len() == 6 => Some(u32::from_str_radix(word, 16).ok()?),
            Some(_) => return None,
        };
        // What a newer version says beyond this changes nothing of it: taken for a
        // stranger, a peer would be charged twice.
        Some(Member {
            instance,
            claim,
            held,
            wants,
            rejected,
        })
    }

    /// What it would use if the line did not matter, as far as it says.
    pub(super) fn demand(&self) -> u32 {
        match self.wants {
            0 => self.held.min(self.claim),
            wants => self.claim + wants,
        }
    }
}

impl Reading {
    /// The monitor sessions of this fleet's ledgers.
    pub(super) fn sitters(&self, fleet: &str) -> Vec<Sitter> {
        let names = self.names.iter();
        names
            .filter_map(|name| Sitter::parse(fleet, name))
            .collect()
    }

    /// The monitor sessions of this fleet.
    pub(super) fn members(&self, fleet: &str) -> Vec<Member> {
        let names = self.names.iter();
        names
            .filter_map(|name| Member::parse(fleet, name))
            .collect()
    }

    /// Where the other members of this fleet come from, each address once.
    pub(crate) fn places(&self, fleet: &str, own: u32) -> Vec<IpAddr> {
        let rows = self.names.iter().zip(&self.places);
        let others = rows.filter(|(name, _)| {
            Member::parse(fleet, name).is_some_and(|member| member.instance != own)
        });
        let mut places: Vec<IpAddr> = others.filter_map(|(_, place)| *place).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Slots that are left for those without privileges.
    pub(super) fn free(&self) -> u32 {
        self.max_connections
            .saturating_sub(self.superuser_reserved)
            .saturating_sub(self.reserved)
            .saturating_sub(self.provider_reserved)
            .saturating_sub(self.backends)
    }

    pub(super) fn parts(&self, others: u32, monitors: u32, headroom: u32) -> Parts {
        let line = self
            .max_connections
            .saturating_sub(self.superuser_reserved)
            .saturating_sub(self.reserved)
            .saturating_sub(self.provider_reserved)
            .saturating_sub(others)
            .saturating_sub(monitors)
            .saturating_sub(headroom);
        Parts {
            max_connections: self.max_connections,
            superuser_reserved: self.superuser_reserved,
            reserved: self.reserved,
            provider_reserved: self.provider_reserved,
            others,
            monitors,
            headroom,
            line,
        }
    }
}
