//! A veil over conclusions: figures are shown, what Plimsoll makes of them is not.
//! For a drill, whose trainee is to find the cause.

use diagnose::{State, Verdict};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Up, unless it is drawn. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Veil(Arc<AtomicBool>);

impl Veil {
    /// A veil that hides until it is lifted.
    pub fn drawn() -> Veil {
        Veil(Arc::new(AtomicBool::new(true)))
    }

    /// From now on all is shown.
    pub fn lift(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Conclusions are hidden.
    pub fn hides(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What is said in place of a verdict: "calm" would be a lie.
    pub(super) fn verdict(&self) -> Verdict {
        Verdict {
            state: State::Unknown,
            summary: "The diagnosis is withheld in this drill; its last hint shows it.".to_owned(),
            ..Verdict::default()
        }
    }
}
