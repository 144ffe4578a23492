//! One second of the pooler, folded for people: what the page and `plimsoll top`
//! show.
//!
//! Both read the same [`Live`], so they cannot disagree. Nothing here asks the
//! database. Every list is bounded, and says how many there are in all.

mod shape;

pub use shape::{
    AlertLine, ApplicationLine, Chart, GuardLine, IncidentNow, LeaseLine, LeaseTable, Live,
    PoolLine, PoolTable, ServerLine, Totals,
};
