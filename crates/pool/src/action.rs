//! Answers and actions: what a decision asks of the workers.

use events::{ClientId, CloseReason, ConnId, PoolId, RefuseReason, Suspicion, Time, WorkerId};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Answer to [`Upstream::checkout`](crate::Upstream::checkout).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checkout {
    /// Lent at once: a connection of the client's own worker.
    Granted {
        /// The connection.
        conn: ConnId,
        /// Where the worker keeps it.
        slot: u32,
        /// The request is recorded: see [`Upstream::told`](crate::Upstream::told).
        taped: bool,
    },
    /// The client waits. An [`Action::Grant`] or an [`Action::Refuse`] follows,
    /// or the connection arrives from another worker and
    /// [`Upstream::arrived`](crate::Upstream::arrived) says that it is lent.
    Queued,
    /// Refused at once. For [`RefuseReason::ServerDown`] the server's message
    /// is [`Upstream::failure`](crate::Upstream::failure).
    Refused(RefuseReason),
}

/// Answer to [`Upstream::checkin`](crate::Upstream::checkin).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a connection that is not closed when told to stays charged for ever"]
pub enum Checkin {
    /// The connection stays where it is: idle, or already granted to the next
    /// waiter by an action.
    Kept,
    /// Close it, with this reason, and call
    /// [`Upstream::closed`](crate::Upstream::closed) at its end of file. It is
    /// charged until then.
    Close(CloseReason),
}

/// What the workers must do. Each names the worker that does it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// `client` (of that worker) now holds `conn`, which lives at `slot` of the
    /// same worker. When the client has vanished meanwhile, the worker calls
    /// [`Upstream::checkin`](crate::Upstream::checkin): a grant that was decided
    /// is never taken back, also not by
    /// [`Upstream::cancel_wait`](crate::Upstream::cancel_wait).
    Grant {
        /// Worker of the client and of the connection.
        worker: WorkerId,
        /// Who gets it.
        client: ClientId,
        /// The connection.
        conn: ConnId,
        /// Where the worker keeps it.
        slot: u32,
        /// Time in the queue.
        waited: Duration,
    },
    /// Take `conn` out of `slot` and send it to `to.worker`, which calls
    /// [`Upstream::arrived`](crate::Upstream::arrived). When it is found dead
    /// instead: [`Upstream::closing`](crate::Upstream::closing) or
    /// [`Upstream::closed`](crate::Upstream::closed); its waiter then goes back
    /// to the head of its flow.
    Handover {
        /// Where the connection lives now.
        worker: WorkerId,
        /// The connection.
        conn: ConnId,
        /// Where that worker keeps it.
        slot: u32,
        /// The client it is meant for; its worker is the destination.
        to: ClientId,
    },
    /// Open a server connection; answer with
    /// [`Upstream::opened`](crate::Upstream::opened) or
    /// [`Upstream::open_failed`](crate::Upstream::open_failed).
    Open {
        /// Worker that opens it and keeps it.
        worker: WorkerId,
        /// Its name from now on.
        conn: ConnId,
        /// The pool it belongs to.
        pool: PoolId,
        /// The client on whose behalf the pool's reserve is used; `None`: it is not.
        reserve: Option<ClientId>,
    },
    /// Close an idle connection; answer with
    /// [`Upstream::closed`](crate::Upstream::closed) at its end of file.
    Close {
        /// Where the connection lives.
        worker: WorkerId,
        /// The connection.
        conn: ConnId,
        /// Where that worker keeps it.
        slot: u32,
        /// Why.
        reason: CloseReason,
    },
    /// The server's name has left these addresses: give up what is being opened
    /// there, as after a failed attempt.
    Leave {
        /// Who gives up what it opens there.
        worker: WorkerId,
        /// The addresses.
        from: Arc<[IpAddr]>,
    },
    /// A lent connection leads to a server that is no primary any more, and
    /// another one serves: end it, as far as it could do harm. Asked again until
    /// it is gone.
    Oust {
        /// Where the connection lives.
        worker: WorkerId,
        /// The connection.
        conn: ConnId,
        /// Where that worker keeps it.
        slot: u32,
        /// Since when the other one serves.
        since: Time,
        /// Clients of its pool write.
        writes: bool,
    },
    /// Tell a waiting client no.
    Refuse {
        /// Worker of the client.
        worker: WorkerId,
        /// Who is refused. When it has vanished meanwhile, nothing is to be done.
        client: ClientId,
        /// Why.
        reason: RefuseReason,
        /// Time in the queue.
        waited: Duration,
        /// Why the last connect failed, when that is why the client waited:
        /// always for [`RefuseReason::ServerDown`], sometimes for
        /// [`RefuseReason::WaitTimeout`].
        text: Option<Arc<str>>,
    },
    /// Take a lease back, or say that it would have been; answer with
    /// [`Upstream::reclaimed`](crate::Upstream::reclaimed).
    Reclaim {
        /// Where the connection lives.
        worker: WorkerId,
        /// Who holds it.
        client: ClientId,
        /// The connection.
        conn: ConnId,
        /// Where that worker keeps it.
        slot: u32,
        /// Since when the client was silent. One that has spoken since keeps its lease.
        silent_since: Time,
        /// False: only say so.
        enforce: bool,
        /// Why, and how sure.
        suspicion: Suspicion,
    },
}

impl Action {
    /// Who does it.
    pub fn worker(&self) -> WorkerId {
        match self {
            Action::Grant { worker, .. }
            | Action::Handover { worker, .. }
            | Action::Open { worker, .. }
            | Action::Close { worker, .. }
            | Action::Leave { worker, .. }
            | Action::Oust { worker, .. }
            | Action::Refuse { worker, .. }
            | Action::Reclaim { worker, .. } => *worker,
        }
    }
}
