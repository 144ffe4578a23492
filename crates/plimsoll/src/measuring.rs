//! Measuring in a serving process: the thread that looks each second, and the
//! lookout that listens to it.

use crate::api;
use control::Source;
use control::lookout::{Lookout, Watching};
use control::measure::{Measures, Measuring, Options};
use std::path::Path;
use std::sync::Arc;

/// What is measured, while it is.
pub struct Measured {
    measures: Measures,
    lookout: Arc<Lookout>,
    running: Measuring,
}

impl Measured {
    /// For whoever answers from it.
    pub fn watched(&self) -> (Measures, Arc<Lookout>) {
        (self.measures.clone(), Arc::clone(&self.lookout))
    }

    /// Ends it; the last second is written.
    pub fn stop(self) {
        self.running.stop();
    }
}

/// Begins to measure. Where the system gives no thread, clients are served all
/// the same.
pub fn start(source: Arc<dyn Source>, state: Option<&Path>) -> Option<Measured> {
    let options = Options {
        instance: api::instance(),
        directory: state.map(Path::to_owned),
        ..Options::default()
    };
    let measures = Measures::new(&options);
    let lookout = Arc::new(Lookout::default());
    let watching = Watching::new(Arc::clone(&lookout), Arc::clone(&source), Vec::new());
    let started = control::measure::start(&measures, options, source, vec![Box::new(watching)]);
    match started {
        Ok(running) => Some(Measured {
            measures,
            lookout,
            running,
        }),
        Err(error) => {
            tracing::error!(%error, "nothing is measured: the system gives no thread");
            None
        }
    }
}
