//! (written below)

pub mod sql;
