//! Names for things that live in slabs. Each carries a generation where a slot
//! is used again, so that a late message never reaches the slot's next owner.

use std::fmt;

/// One event loop of the proxy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WorkerId(pub u16);

/// A client connection: the worker that serves it, its slot there, and the
/// slot's generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId {
    /// The worker whose slab holds the session.
    pub worker: WorkerId,
    /// Generation of the slot, counted up at each use.
    pub generation: u32,
    /// Index into that worker's slab.
    pub slot: u32,
}

/// A database server (one budget), in the order of the settings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct UpstreamId(pub u16);

/// A pool — one (database, user) pair — within its upstream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PoolId(pub u32);

/// A server connection, from the decision to open it until its socket's end
/// of file, within its upstream. It keeps its id when it moves between workers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId {
    /// Index into the upstream's slab.
    pub slot: u32,
    /// Generation of the slot.
    pub generation: u32,
}

/// A flow, (user, application), among which a pool is shared fairly.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowId(pub u32);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}.{}.{}", self.worker.0, self.slot, self.generation)
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}.{}", self.slot, self.generation)
    }
}
