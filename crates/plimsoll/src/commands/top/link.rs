//! The pooler's side: two threads that ask and tell, so that no key ever waits
//! for the network.
//!
//! One looks again and again, the other has actions done; a look that hangs holds
//! up no action. Both end with the process.

use super::deed::{Action, Outcome, encoded};
use super::model::{Input, News, Trouble, View, Wish};
use super::screen::Event;
use control::api::{Client, ClientError, IncidentLine};
use control::live::{Chart, LeaseTable, Live, PoolTable};
use diagnose::alert::Alert;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The first wait after a look that failed; it doubles.
const AGAIN_MIN: Duration = Duration::from_millis(500);
/// The longest.
const AGAIN_MAX: Duration = Duration::from_secs(10);
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(5);
/// For an action.
const DEED_PATIENCE: Duration = Duration::from_secs(30);
/// Rows of a table: more than anybody scrolls through.
const ROWS_MAX: usize = 200;
/// Values of a curve.
const POINTS: usize = 300;
/// Incidents that are listed.
const INCIDENTS: usize = 50;

/// What is asked for from now on: the newest wish counts, older ones are forgotten.
#[derive(Clone, Default)]
pub struct Slot {
    inner: Arc<(Mutex<Option<Wish>>, Condvar)>,
}

impl Slot {
    /// Asks for this from now on.
    pub fn put(&self, wish: Wish) {
        let mut place = self.inner.0.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(wish);
        self.inner.1.notify_one();
    }

    /// A new wish, at most so long from now.
    fn take(&self, wait: Duration) -> Option<Wish> {
        let place = self.inner.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .inner
            .1
            .wait_timeout_while(place, wait, |wish| wish.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

/// Looks again and again until nobody listens.
pub fn look(client: &Client, slot: &Slot, events: &SyncSender<Event>) {
    let client = client.clone().with_patience(PATIENCE);
    let mut wish: Option<Wish> = None;
    let mut failures = 0;
    let mut wait = Duration::from_secs(3_600);
    // The record is asked once for each moment that is looked at.
    let mut charted: Option<Option<i64>> = None;
    loop {
        if let Some(new) = slot.take(wait) {
            wish = Some(new);
        }
        let Some(wish) = &wish else { continue };
        let began = Instant::now();
        let input = match once(&client, wish) {
            Ok(mut news) => {
                failures = 0;
                if charted != Some(wish.at_ms) {
                    news.chart = chart(&client, &news.live);
                    charted = Some(wish.at_ms);
                }
                // A moment of the past does not change.
                let pace = if wish.at_ms.is_some() {
                    Duration::from_secs(3_600)
                } else {
                    wish.pace
                };
                wait = pace.saturating_sub(began.elapsed());
                Input::News(wish.at_ms, Box::new(news))
            }
            Err(error) => {
                wait = again(failures);
                failures += 1;
                let trouble = match &error {
                    ClientError::Refused(_) => Trouble::Refusal,
                    _ => Trouble::Silence,
                };
                Input::Failed(trouble, why(&error), wait)
            }
        };
        if events.send(Event::Input(input)).is_err() {
            return;
        }
    }
}

/// The wait after so many failures before this one.
fn again(failures: u32) -> Duration {
    AGAIN_MIN
        .saturating_mul(1 << failures.min(8))
        .min(AGAIN_MAX)
}

/// Has actions done until nobody asks.
pub fn act(client: &Client, actor: &str, actions: &Receiver<Action>, events: &SyncSender<Event>) {
    let client = client.clone().with_patience(DEED_PATIENCE);
    for action in actions {
        let came: Result<Outcome, ClientError> = client.post(&action.path(), &action.body(actor));
        let came = came.map_err(|error| why(&error));
        if events
            .send(Event::Input(Input::Done(action, came)))
            .is_err()
        {
            return;
        }
    }
}

/// Why there was no answer; where a token lacks a role, what to do.
pub fn why(error: &ClientError) -> String {
    match error {
        ClientError::Refused(refusal) if matches!(refusal.kind.as_str(), "role" | "token") => {
            format!(
                "Not permitted: actions need an operator's token (--token-file or PLIMSOLL_TOKEN), \
             or the pooler's own user on its unix socket. {error}"
            )
        }
        _ => error.to_string(),
    }
}

/// One look.
pub fn once(client: &Client, wish: &Wish) -> Result<News, ClientError> {
    let path = match wish.at_ms {
        Some(at_ms) => format!("/v1/live?at_ms={}", at_ms.max(0)),
        None => "/v1/live".to_owned(),
    };
    let live: Live = client.get(&path)?;
    let mut news = News {
        live,
        ..News::default()
    };
    // Tables are of now only; the past has what its second holds.
    if wish.at_ms.is_none() {
        table(client, wish, &mut news);
    }
    Ok(news)
}

/// The view's own table. Without it the view shows what the second holds.
fn table(client: &Client, wish: &Wish, news: &mut News) {
    let query = |path: &str| {
        let mut query = format!("{path}?sort={}&most={ROWS_MAX}", wish.sort);
        if !wish.filter.is_empty() {
            query.push_str(&format!("&filter={}", encoded(&wish.filter)));
        }
        query
    };
    let lacks = match wish.view {
        View::Overview | View::Budget => None,
        View::Pools => {
            let table: Result<PoolTable, _> = client.get(&query("/v1/pools"));
            table.map(|table| news.pools = Some(table)).err()
        }
        View::Leases => {
            let table: Result<LeaseTable, _> = client.get(&query("/v1/leases"));
            table.map(|table| news.leases = Some(table)).err()
        }
        View::Alerts => {
            let alerts: Result<Vec<Alert>, _> = client.get("/v1/alerts");
            let incidents: Result<Vec<IncidentLine>, _> =
                client.get(&format!("/v1/incidents?most={INCIDENTS}"));
            let (alerts, no_alerts) = split(alerts);
            let (incidents, no_incidents) = split(incidents);
            news.alerts = Some((alerts, incidents));
            no_alerts.or(no_incidents)
        }
    };
    news.lacks = lacks.map_or_else(String::new, |error| error.to_string());
}

fn split<T>(all: Result<Vec<T>, ClientError>) -> (Vec<T>, Option<ClientError>) {
    match all {
        Ok(all) => (all, None),
        Err(error) => (Vec::new(), Some(error)),
    }
}

/// The minutes before; without them curves begin now.
pub fn chart(client: &Client, live: &Live) -> Option<Chart> {
    let until = live.at_ms.max(0);
    let from = until.saturating_sub(super::history::SPAN_MS).max(0);
    let path = format!("/v1/chart?from_ms={from}&until_ms={until}&points={POINTS}");
    client.get(&path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_become_rare_but_never_end() {
        let waits: Vec<u64> = (0..7).map(|n| again(n).as_millis() as u64).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
        assert_eq!(again(u32::MAX), AGAIN_MAX);
    }

    #[test]
    fn the_newest_wish_counts_and_wakes() {
        let slot = Slot::default();
        assert_eq!(slot.take(Duration::ZERO), None);
        let wish = |view| Wish {
            at_ms: None,
            view,
            sort: "held",
            filter: String::new(),
            pace: Duration::from_secs(1),
        };
        slot.put(wish(View::Pools));
        slot.put(wish(View::Leases));
        // An hour: it would not end if a wish did not wake it.
        assert_eq!(
            slot.take(Duration::from_secs(3_600)),
            Some(wish(View::Leases))
        );
        assert_eq!(slot.take(Duration::ZERO), None);
    }
}
