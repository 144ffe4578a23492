//! The locks of `letters`: the standard ones here, a scheduler's in its tests.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Mutex, PoisonError};
