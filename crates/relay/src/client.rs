//! A client's session.

use crate::auth::Login;
use crate::directory::{PoolInfo, Replication};
use crate::expect::ClientParse;
use crate::outbox::ClientName;
use crate::params::{ParamSet, Tracker};
use crate::pins::Pins;
use crate::statements::Statement;
use events::snapshot::Address;
use events::{FlowId, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// No link.
pub(crate) const NONE: u32 = u32::MAX;

/// Where a connection comes from, as the shell knows it.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// The client's address.
    pub addr: Address,
    /// Our address on that connection.
    pub local_addr: Address,
}

/// What a client is doing.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Not logged in yet.
    Login(Box<Login>),
    /// Logged in; it may be linked to a server connection.
    Ready,
    /// It waits for a server connection.
    Waiting {
        /// The NOTICE about a long wait was sent.
        notified: bool,
    },
    /// Linked; statements of the pooler's run first.
    Preparing,
    /// Linked; what its next message means depends on replies to come.
    Held {
        /// One past the number of the last of them.
        until: u64,
    },
    /// A console session.
    Console {
        /// It may do all, not only SHOW.
        admin: bool,
        /// A statement is being answered.
        busy: bool,
    },
    /// It sent a cancel request and waits for its end.
    Cancelling,
}

/// A client's session. Idle clients are many: what only some need is boxed.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) generation: u32,
    pub(crate) phase: Phase,
    /// Slot of the server connection that it holds, or [`NONE`].
    pub(crate) link: u32,
    /// After an error of ours in an extended batch: drop all until Sync.
    pub(crate) skip: bool,
    /// The request that waited was refused: drop it.
    pub(crate) refused: bool,
    /// Its cancel key has the length of protocol 3.2.
    pub(crate) long_key: bool,
    /// The shell was told not to read, and is owed a `Resume`.
    pub(crate) paused: bool,
    pub(crate) pool: Option<Arc<PoolInfo>>,
    pub(crate) flow: FlowId,
    /// Where it is counted: among applications, and among addresses.
    pub(crate) application: u16,
    pub(crate) source: u16,
    /// Its application_name may have changed since.
    pub(crate) renamed: bool,
    /// Where it comes from was added to its application_name at login.
    pub(crate) host_added: bool,
    /// What it wants set.
    pub(crate) params: Arc<ParamSet>,
    /// What it gave at login, which RESET goes back to.
    pub(crate) startup: Arc<ParamSet>,
    /// Input that could not be handled yet.
    pub(crate) held: Vec<u8>,
    /// Bytes of the current message still to be passed on.
    pub(crate) stream_left: usize,
    /// They are dropped instead.
    pub(crate) stream_drop: bool,
    /// Bytes that the shell could not write yet.
    pub(crate) backlog: usize,
    pub(crate) ext: Option<Box<Extra>>,
    pub(crate) user: Arc<str>,
    pub(crate) database: Arc<str>,
    pub(crate) peer: Box<PeerInfo>,
    pub(crate) connected_at: Time,
    /// When its last request began, or its wait.
    pub(crate) request_at: Time,
    pub(crate) id: u64,
}

/// What only clients with prepared statements, pins or open changes have.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// Named prepared statements.
    pub(crate) prepared: BTreeMap<Box<[u8]>, Named>,
    /// The lease in which a server last got a name as it came, or 0.
    pub(crate) names_lease: u64,
    /// The unnamed statement, for a Bind that comes in a later batch.
    pub(crate) unnamed: Option<Arc<Statement>>,
    /// Portals bound from statements that change the session.
    pub(crate) portals: Vec<(Box<[u8]>, Arc<Statement>)>,
    /// The transaction changed something that a rollback takes back.
    pub(crate) tracker: Option<Box<Tracker>>,
    pub(crate) pins: Pins,
    /// Number of the schema that only this client sees: it has temporary tables,
    /// or its transaction changed something. Zero: it sees what all see.
    pub(crate) own_schema: u64,
    /// The pool whose pin count includes this client; it may have moved since.
    pub(crate) pinned: Option<Arc<PoolInfo>>,
    /// Its state stays with the connection when the lease ends: it got no pin, and
    /// the guard only watches.
    pub(crate) unkept: bool,
    /// TLS version and cipher.
    pub(crate) tls: Box<str>,
    /// The replication that it asked for.
    pub(crate) replication: Replication,
}

impl Extra {
    /// A named statement exists from now on.
    pub(crate) fn remember(&mut self, parse: &ClientParse) {
        if parse.lease != 0 {
            self.names_lease = parse.lease;
        }
        self.prepared.insert(parse.name.clone(), parse.named());
    }
}

/// A named prepared statement of a client.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) statement: Arc<Statement>,
    /// The lease in which the server knows it by the client's own name, or 0.
    /// In others, as after its pool left session mode, it has our name.
    pub(crate) lease: u64,
}

/// Portals of session-changing statements remembered per transaction.
pub(crate) const PORTALS_MAX: usize = 64;

/// Named prepared statements per client.
pub(crate) const PREPARED_NAMES_MAX: usize = 65_536;

impl Client {
    /// How logs call it.
    pub(crate) fn name(&self) -> ClientName {
        ClientName {
            id: self.id,
            user: Arc::clone(&self.user),
            database: Arc::clone(&self.database),
            addr: self.peer.addr.clone(),
            since: self.connected_at,
        }
    }

    /// What `application_name_add_host` adds.
    pub(crate) fn origin(&self) -> String {
        match &self.peer.addr {
            Address::Tcp(addr) => format!(" - {}:{}", addr.ip(), addr.port()),
            Address::Unix => " - unix".to_owned(),
        }
    }

    /// The name that it gave, which all processes of its application share.
    pub(crate) fn without_origin<'a>(&self, name: &'a str) -> &'a str {
        match self.host_added {
            true => name.strip_suffix(&*self.origin()).unwrap_or(name),
            false => name,
        }
    }

    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.ext.get_or_insert_with(Box::default)
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.link != NONE
    }

    pub(crate) fn has_pins(&self) -> bool {
        self.ext.as_ref().is_some_and(|e| !e.pins.is_empty())
    }

    pub(crate) fn tracker_mut(&mut self) -> Option<&mut Tracker> {
        self.ext.as_mut().and_then(|e| e.tracker.as_deref_mut())
    }

    /// A Parse that was believed to succeed was skipped.
    pub(crate) fn forget_parse(&mut self, parse: &ClientParse) {
        let Some(ext) = self.ext.as_mut() else { return };
        if parse.name.is_empty() {
            if ext
                .unnamed
                .as_ref()
                .is_some_and(|s| Arc::ptr_eq(s, &parse.statement))
            {
                ext.unnamed = parse.before.clone();
            }
        } else if ext
            .prepared
            .get(&parse.name)
            .is_some_and(|n| Arc::ptr_eq(&n.statement, &parse.statement))
        {
            ext.prepared.remove(&parse.name);
        }
    }

    /// The statement of this name, if the server knows it by that in this lease.
    pub(crate) fn named_there(&self, name: &[u8], lease: u64) -> Option<&Arc<Statement>> {
        let ext = self.ext.as_ref()?;
        if ext.names_lease != lease {
            return None;
        }
        let named = ext.prepared.get(name)?;
        (named.lease == lease && !name.is_empty()).then_some(&named.statement)
    }

    pub(crate) fn quoting(&self) -> wire::sql::Quoting {
        let off = self
            .params
            .text("standard_conforming_strings")
            .is_some_and(|v| v == "off");
        wire::sql::Quoting {
            standard_conforming_strings: !off,
        }
    }
}
