//! Measuring in a serving process: the thread that looks each second, and the
//! lookout that listens to it.

use crate::api;
use control::fleet::{Fleet, Speaker};
use control::incidents::{Incidents, Keeping};
use control::live::Feed;
use control::lookout::{Lookout, Sink, Telling, Watching};
use control::measure::{Listener, Measures, Measuring, Options};
use control::notify::{Notify, NotifySettings};
use control::{Source, Watched};
use std::path::Path;
use std::sync::Arc;

/// What is measured, while it is.
pub struct Measured {
    measures: Measures,
    lookout: Arc<Lookout>,
    notify: Option<Arc<Notify>>,
    incidents: Incidents,
    feed: Feed,
    running: Measuring,
    keeping: Option<Keeping>,
}

impl Measured {
    /// For whoever answers from it.
    pub fn watched(&self) -> Watched {
        Watched {
            measures: self.measures.clone(),
            lookout: Arc::clone(&self.lookout),
            notify: self.notify.clone(),
            incidents: self.incidents.clone(),
            feed: self.feed.clone(),
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
    let notify = telling(&options.instance);
    let fleet = source.fleet();
    let mut sinks: Vec<Box<dyn Sink>> = vec![incidents.sink()];
    if let Some(notify) = &notify {
        sinks.push(Box::new(Telling {
            instance: options.instance.clone(),
            notify: Arc::clone(notify),
            deciding: fleet.as_ref().map(Fleet::deciding),
        }));
    }
    let watching = Watching::new(Arc::clone(&lookout), Arc::clone(&source), sinks);
    let feed = Feed::default();
    // The lookout first: what it makes of a second is shown with it.
    let mut listeners: Vec<Box<dyn Listener>> = vec![Box::new(watching), feed.listener()];
    if let Some(fleet) = fleet {
        listeners.push(Box::new(Speaker::new(fleet, Arc::clone(&source))));
    }
    let started = control::measure::start(&measures, options, source, listeners);
    match started {
        Ok(running) => Some(Measured {
            keeping: state.and_then(|dir| keep(&incidents, dir)),
            measures,
            lookout,
            notify,
            incidents,
            feed,
            running,
        }),
        Err(error) => {
            tracing::error!(%error, "nothing is measured: the system gives no thread");
            None
        }
    }
}

/// Nobody is told before the settings are read: that is the first second.
fn telling(instance: &str) -> Option<Arc<Notify>> {
    let settings = NotifySettings {
        instance: instance.to_owned(),
        ..NotifySettings::default()
    };
    let started = Notify::start(settings);
    let failed =
        |error| tracing::error!(%error, "nobody is told of alerts: the system gives no thread");
    started.map(Arc::new).map_err(failed).ok()
}

fn keep(incidents: &Incidents, directory: &Path) -> Option<Keeping> {
    let keeping = control::incidents::keep(incidents, directory);
    let failed = |error: &_| {
        tracing::error!(%error, "incidents are in memory only: the system gives no thread");
    };
    keeping.inspect_err(failed).ok()
}
