//! The slab of server connections of one upstream.

use crate::figures::ConnState;
use crate::list::{Links, NIL};
use crate::moves::Place;
use crate::tape::Mark;
use events::{ClientId, CloseReason, ConnId, Time, WorkerId};

/// State of a connection, with what belongs to that state only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Opening,
    Idle,
    Lent {
        client: ClientId,
        flow: u32,
    },
    /// `waiter` is [`NIL`] when the client has left meanwhile.
    Moving {
        waiter: u32,
    },
    Closing,
}

impl State {
    pub fn kind(self) -> ConnState {
        match self {
            State::Opening => ConnState::Opening,
            State::Idle => ConnState::Idle,
            State::Lent { .. } => ConnState::Lent,
            State::Moving { .. } => ConnState::Moving,
            State::Closing => ConnState::Closing,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Conn {
    pub generation: u32,
    pub pool: u32,
    pub worker: WorkerId,
    pub slot: u32,
    pub state: State,
    pub opened_at: Time,
    /// Since when it is in this state.
    pub since: Time,
    /// To be closed as soon as it is not lent any more.
    pub doom: Option<CloseReason>,
    pub used: bool,
    /// It was lent before, or is now.
    pub lent: bool,
    /// The address of its server, once it has logged in.
    pub at: Place,
    /// The name has left that address: it counts against nothing here.
    pub left: bool,
    /// Where its lease is recorded; means nothing while it is not lent.
    pub mark: Mark,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Conns {
    slab: Vec<Conn>,
    free: Vec<u32>,
    /// Links of the idle lists of all pools.
    pub idle_links: Links,
}

impl Conns {
    pub fn insert(&mut self, now: Time, pool: u32, worker: WorkerId) -> u32 {
        let conn = Conn {
            generation: 0,
            pool,
            worker,
            slot: NIL,
            state: State::Opening,
            opened_at: now,
            since: now,
            doom: None,
            used: true,
            lent: false,
            at: None,
            left: false,
            mark: Mark::NONE,
        };
        match self.free.pop() {
            Some(i) => {
                let generation = self.slab[i as usize].generation;
                self.slab[i as usize] = Conn { generation, ..conn };
                i
            }
            None => {
                self.slab.push(conn);
                self.idle_links.grow();
                (self.slab.len() - 1) as u32
            }
        }
    }

    /// Frees the slot; late messages with the old id find nothing.
    pub fn remove(&mut self, i: u32) {
        let conn = &mut self.slab[i as usize];
        conn.used = false;
        conn.generation = conn.generation.wrapping_add(1);
        self.free.push(i);
    }

    pub fn id(&self, i: u32) -> ConnId {
        ConnId {
            slot: i,
            generation: self.slab[i as usize].generation,
        }
    }

    /// The index of a connection that still exists.
    pub fn find(&self, id: ConnId) -> Option<u32> {
        let conn = self.slab.get(id.slot as usize)?;
        (conn.used && conn.generation == id.generation).then_some(id.slot)
    }

    pub fn get(&self, i: u32) -> &Conn {
        &self.slab[i as usize]
    }

    pub fn get_mut(&mut self, i: u32) -> &mut Conn {
        &mut self.slab[i as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Conn)> {
        self.slab
            .iter()
            .enumerate()
            .filter(|(_, conn)| conn.used)
            .map(|(i, conn)| (i as u32, conn))
    }

    /// One more than the highest index in use so far.
    pub fn end(&self) -> u32 {
        self.slab.len() as u32
    }
}
