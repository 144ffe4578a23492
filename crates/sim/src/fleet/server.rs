//! The virtual server: who is connected, and what its activity view shows.

use super::Setup;
use pool::Reading;
use pool::ledger::Origin;
use std::collections::BTreeMap;

/// One connection: of which member, in which of its lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Who {
    pub(super) member: usize,
    pub(super) inc: u32,
    pub(super) conn: (u32, u32),
}

/// Names that a reading brings at most.
const NAMES_MAX: usize = 256;

/// Where a member's connections come from in one of its lives.
pub(super) fn origin(member: usize, inc: u32) -> Origin {
    Origin((member as u64) << 32 | u64::from(inc))
}

pub(super) struct Server {
    slots: u32,
    reserved: u32,
    headroom: u32,
    others: u32,
    /// Rows of the fleet; a monitor session's with its name.
    rows: BTreeMap<Who, Option<String>>,
    /// How many of these have one.
    named: u32,
}

impl Server {
    pub(super) fn new(s: &Setup) -> Server {
        Server {
            slots: s.slots,
            reserved: s.reserved,
            headroom: s.headroom,
            others: 0,
            rows: BTreeMap::new(),
            named: 0,
        }
    }

    fn free(&self) -> u32 {
        let used = self.others + self.rows.len() as u32;
        self.slots.saturating_sub(self.reserved + used)
    }

    /// False: no slot is left for one without privileges.
    pub(super) fn log_in(&mut self, who: Who, monitor: bool) -> bool {
        if self.free() == 0 {
            return false;
        }
        self.named += u32::from(monitor);
        self.rows.insert(who, monitor.then(String::new));
        true
    }

    /// Whether it was a monitor session; `None`: it was not there.
    pub(super) fn log_out(&mut self, who: Who) -> Option<bool> {
        let row = self.rows.remove(&who)?;
        self.named -= u32::from(row.is_some());
        Some(row.is_some())
    }

    /// `max_connections` is another one.
    pub(super) fn slots_are(&mut self, slots: u32) {
        self.slots = slots;
    }

    pub(super) fn is_monitor(&self, who: Who) -> bool {
        self.rows.get(&who).is_some_and(Option::is_some)
    }

    /// Rows by where they come from, without monitor sessions.
    pub(super) fn origins(&self) -> Vec<(Origin, u32)> {
        let mut all: Vec<(Origin, u32)> = Vec::new();
        let plain = self.rows.iter().filter(|(_, name)| name.is_none());
        for (who, _) in plain {
            let origin = origin(who.member, who.inc);
            match all.last_mut() {
                Some((last, rows)) if *last == origin => *rows += 1,
                _ => all.push((origin, 1)),
            }
        }
        all
    }

    /// A monitor session states something; false: it is gone.
    pub(super) fn rename(&mut self, who: Who, name: String) -> bool {
        let row = self.rows.get_mut(&who);
        row.map(|row| *row = Some(name)).is_some()
    }

    /// Others want so many connections, and get what is there.
    pub(super) fn others_are(&mut self, wanted: u32) {
        let most = self.others + self.free();
        self.others = wanted.min(most);
    }

    pub(super) fn rows_of(&self, member: usize, inc: u32) -> Vec<Who> {
        let of = |conn| Who { member, inc, conn };
        let range = of((0, 0))..=of((u32::MAX, u32::MAX));
        self.rows.range(range).map(|(who, _)| *who).collect()
    }

    pub(super) fn reading(&self) -> Reading {
        // As the monitor session's query does it.
        let names = self.rows.values().flatten().take(NAMES_MAX);
        Reading {
            max_connections: self.slots,
            superuser_reserved: self.reserved,
            backends: self.others + self.rows.len() as u32,
            names: names.map(|name| name.as_str().into()).collect(),
            ..Reading::default()
        }
    }

    pub(super) fn monitors(&self) -> u32 {
        self.named
    }

    /// What the fleet may hold, apart from its monitor sessions.
    pub(super) fn line(&self) -> u32 {
        self.slots
            .saturating_sub(self.reserved)
            .saturating_sub(self.headroom)
            .saturating_sub(self.others)
            .saturating_sub(self.monitors())
    }
}
