//! How well `pool_size = "auto"` does: the real pool before a modelled server,
//! in virtual time, beside every fixed size.
//!
//! The server shares its processors among the queries that compute, by the
//! Universal Scalability Law; others sleep, or wait for a lock, or their client
//! thinks. Clients come closed (each waits for its answer) or open (they come
//! whatever happens, and may lose patience and try again).

mod machine;
mod server;
mod table;
mod workloads;

#[cfg(test)]
mod tests;

pub use machine::{Outcome, Sizing, run};
pub use server::{Scaling, Step};
pub use table::{Line, SIZES, compare, markdown};
pub use workloads::{Class, Load, Workload, all};
