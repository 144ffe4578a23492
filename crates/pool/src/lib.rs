//! Who gets which server connection, when, and why not.
//!
//! An [`Upstream`] is one database server: its budget, and the pools on it.
//! It decides; it never opens a socket, reads a clock, or takes a lock. The
//! shell puts one short lock around it: one for each checkout and return, and
//! calls [`Upstream::poll`] under the same lock until it is empty.
//!
//! The invariant: a connection is charged to the budget from the decision to
//! open it until its end of file was seen, none is opened at or above the
//! line, and a connection is lent to at most one client at a time.
//!
//! ```text
//!  Opening ─► Idle ⇄ Lent ─► (checkin) ─► Idle
//!     │         │ ▲      │
//!     │         ▼ │      │        Moving: on its way to another worker
//!     │       Moving     │
//!     └──► Closing ◄─────┘        charged until `closed`
//! ```
//!
//! Order: the flow, (user, application), that holds the fewest connections
//! for its weight comes first, arrival order decides within it. A waiter of the worker where
//! the connection lives may pass remote ones of its flow, each by at most
//! [`LOCAL_PASS_MAX`] grants and [`LOCAL_PASS_TIME`]. A flow that waits and
//! got nothing for [`FLOW_PASS_MAX`] grants comes first, whatever it holds.
//!
//! ```
//! use events::{ClientId, Time, WorkerId};
//! use pool::{Action, Checkin, Checkout, PoolSettings, Upstream, UpstreamSettings};
//!
//! let mut up = Upstream::new(UpstreamSettings { line: 10, ..Default::default() });
//! let pool = up.add_pool(PoolSettings { size: 2, ..Default::default() });
//! let flow = up.flow(pool, "alice\0shop");
//! let client = ClientId { worker: WorkerId(0), generation: 0, slot: 7 };
//!
//! let now = Time::from_micros(1);
//! assert_eq!(up.checkout(now, pool, client, flow), Checkout::Queued);
//! let Some(Action::Open { worker, conn, .. }) = up.poll() else { panic!() };
//! up.opened(now, conn, worker, 3);
//! assert!(matches!(up.poll(), Some(Action::Grant { slot: 3, .. })));
//! assert_eq!(up.checkin(now, conn, None), Checkin::Kept);
//! assert!(matches!(up.checkout(now, pool, client, flow), Checkout::Granted { slot: 3, .. }));
//! ```

mod action;
mod advice;
mod auto;
mod budget;
mod figures;
mod settings;
mod upstream;

mod conns;
mod flows;
mod leaks;
mod list;
mod moves;
pub mod names;
mod one_pool;
mod predict;
mod queue;
mod rules;
mod tape;

pub use action::{Action, Checkin, Checkout};
pub use advice::{
    ADVICE_LEASES_MIN, ADVICE_ROWS_MIN, ADVICE_SHARE, ADVICE_WAIT, Advice, Confidence, Record, Row,
    advise,
};
pub use auto::{AUTO_CHANGES_PER_MINUTE, AUTO_PERIOD, Auto, AutoSettings, Sample, SizeChange};
pub use budget::ledger;
pub use budget::{
    ANSWER_MAX, BudgetSettings, FIRST_READING_MAX, FLEET_NAME_MAX, LedgerFigures, Member,
    MonitorStep, Parts, READ_PAUSE, Reading,
};
pub use figures::{
    BudgetFigures, BudgetState, ConnRow, ConnState, Counters, Lease, Outage, Plight, PoolFigures,
    WaiterRow,
};
pub use flows::{FLOW_PASS_MAX, FLOWS_MAX};
pub use leaks::{LeakSettings, LeaseClass, Lesson, NOTABLE, PATTERN_MIN, REPORT_MAX, SilentLease};
pub use moves::{LEARN_AGAIN, Move, Place, Role, SWING, SWING_REST, Sign, Unwanted};
pub use queue::{LOCAL_PASS_MAX, LOCAL_PASS_TIME};
pub use rules::{FlowRule, FlowRules, WEIGHT_MAX};
pub use settings::{BEYOND, CapId, PoolSettings, UpstreamSettings};
pub use tape::Purpose;
#[cfg(feature = "plant")]
pub use upstream::Fault;
pub use upstream::{BORROW_IDLE, EVICT_PAUSE, RETRY_DELAY_MAX, Resized, Service, Upstream};
