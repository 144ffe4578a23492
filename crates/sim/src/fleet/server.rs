//! The virtual server: who is connected, and what its activity view shows.

use super::Setup;
use pool::Reading;
use std::collections::BTreeMap;

/// One connection: of which member, in which of its lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Who {
    pub(super) member: usize,
    pub(super) inc: u32,
    pub(super) conn: (u32, u32),
}

pub(super) struct Server {
    slots: u32,
    reserved: u32,
    headroom: u32,
    others: u32,
    /// Rows of the fleet; a monitor session's with its name.
    rows: BTreeMap<Who, Option<String>>,
}

impl Server {
    pub(super) fn new(s: &Setup) -> Server {
        Server {
            slots: s.slots,
            reserved: s.reserved,
            headroom: s.headroom,
            others: 0,
            rows: BTreeMap::new(),
        }
    }

    fn free(&self) -> u32 {
        let used = self.others + self.rows.len() as u32;
        (self.slots - self.reserved).saturating_sub(used)
    }

    /// False: no slot is left for one without privileges.
    pub(super) fn log_in(&mut self, who: Who, monitor: bool) -> bool {
        if self.free() == 0 {
            return false;
        }
        self.rows.insert(who, monitor.then(String::new));
        true
    }

    pub(super) fn log_out(&mut self, who: Who) {
        self.rows.remove(&who);
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
        let of = |who: &&Who| who.member == member && who.inc == inc;
        self.rows.keys().filter(of).copied().collect()
    }

    pub(super) fn reading(&self) -> Reading {
        let names = self.rows.values().flatten();
        Reading {
            max_connections: self.slots,
            superuser_reserved: self.reserved,
            backends: self.others + self.rows.len() as u32,
            names: names.map(|name| name.as_str().into()).collect(),
            ..Reading::default()
        }
    }

    fn monitors(&self) -> u32 {
        self.rows.values().flatten().count() as u32
    }

    /// What the fleet may hold, apart from its monitor sessions.
    pub(super) fn line(&self) -> u32 {
        (self.slots - self.reserved)
            .saturating_sub(self.headroom)
            .saturating_sub(self.others)
            .saturating_sub(self.monitors())
    }

    /// Connections of members' lives that are over, as far as the server still has them.
    pub(super) fn orphans(&self, lives: impl Fn(usize, u32) -> bool) -> u32 {
        let orphan =
            |(who, name): &(&Who, &Option<String>)| name.is_none() && !lives(who.member, who.inc);
        self.rows.iter().filter(orphan).count() as u32
    }
}
