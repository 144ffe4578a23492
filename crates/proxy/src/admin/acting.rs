//! What a person does to one client, from another thread.

use super::Handle;
use crate::mail::Mail;
use events::{Acted, ClientAct, LeaseStatement};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for the workers to do it.
const ACT_MAX: Duration = Duration::from_secs(2);
/// Longest wait for statements: a page shows the rest without them.
const STATEMENTS_MAX: Duration = Duration::from_millis(200);
/// Most clients whose statements are asked for at a time.
const CLIENTS_MAX: usize = 1_000;

impl Handle {
    /// Does something to the client with this id of SHOW CLIENTS. Waits a short
    /// time for each worker.
    pub fn act(&self, client: u64, act: ClientAct) -> Acted {
        let (to, answers) = channel();
        for mailbox in &self.inner.common.mailboxes {
            let to = to.clone();
            mailbox.post(Mail::Act { client, act, to });
        }
        drop(to);
        // One worker has the client; the others say that they do not.
        let mut answers = within(ACT_MAX, &answers);
        let found = answers.find(|acted| *acted != Acted::Gone);
        found.unwrap_or(Acted::Gone)
    }

    /// The last statements of these clients' leases, as far as the settings show
    /// them; those of a worker that does not answer at once are left out.
    pub fn lease_statements(&self, clients: &[u64]) -> Vec<LeaseStatement> {
        let mut clients: Vec<u64> = clients.iter().take(CLIENTS_MAX).copied().collect();
        if clients.is_empty() {
            return Vec::new();
        }
        clients.sort_unstable();
        let clients: Arc<[u64]> = clients.into();
        let (to, answers) = channel();
        for mailbox in &self.inner.common.mailboxes {
            let (clients, to) = (Arc::clone(&clients), to.clone());
            mailbox.post(Mail::Statements { clients, to });
        }
        drop(to);
        within(STATEMENTS_MAX, &answers).flatten().collect()
    }
}

/// What comes until all have answered, or the time is over.
fn within<T>(time: Duration, answers: &Receiver<T>) -> impl Iterator<Item = T> + '_ {
    let deadline = Instant::now() + time;
    std::iter::from_fn(move || {
        let left = deadline.saturating_duration_since(Instant::now());
        answers.recv_timeout(left).ok()
    })
}
