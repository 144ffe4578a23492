//! Measuring in a serving process: the thread that looks each second, and the
//! lookout that listens to it.

use crate::api;
use control::Source;
use control::incidents::{Incidents, Keeping};
use control::lookout::{Lookout, Watching};
use control::measure::{Measures, Measuring, Options};
use std::path::Path;
use std::sync::Arc;

/// What is measured, while it is.
pub struct Measured {
    measures: Measures,
    lookout: Arc<Lookout>,
    incidents: Incidents,
    running: Measuring,
    keeping: Option<Keeping>,
}

impl Measured {
    /// For whoever answers from it.
    pub fn watched(&self) -> Watched {
        Watched {
            measures: self.measures.clone(),
            lookout: Arc::clone(&self.lookout),
            incidents: self.incidents.clone(),
        }
    }

    /// Ends it; the last second is written.
    pub fn stop(self) {
        self.running.stop();
        if let Some(keeping) = self.keeping {
            keeping.stop();
        }
    }
}

/// What is measured and what comes of it, for whoever answers from it.
pub struct Watched {
    /// Samples and markers.
    pub measures: Measures,
    /// Alerts and the newest diagnosis.
    pub lookout: Arc<Lookout>,
    /// What happened.
    pub incidents: Incidents,
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
    let incidents = Incidents::default();
    let sinks = vec![incidents.sink()];
    let watching = Watching::new(Arc::clone(&lookout), Arc::clone(&source), sinks);
    let started = control::measure::start(&measures, options, source, vec![Box::new(watching)]);
    match started {
        Ok(running) => Some(Measured {
            keeping: state.and_then(|dir| keep(&incidents, dir)),
            measures,
            lookout,
            incidents,
            running,
        }),
        Err(error) => {
            tracing::error!(%error, "nothing is measured: the system gives no thread");
            None
        }
    }
}

fn keep(incidents: &Incidents, directory: &Path) -> Option<Keeping> {
    let keeping = control::incidents::keep(incidents, directory);
    let failed = |error: &_| {
        tracing::error!(%error, "incidents are in memory only: the system gives no thread");
    };
    keeping.inspect_err(failed).ok()
}
