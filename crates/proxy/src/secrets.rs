//! Secrets and certificates while serving: read again, checked, swapped.
//!
//! They are no settings: no version, no rollout, no rollback. A rotation takes
//! effect for new logins and new server connections, all at once; connections
//! that exist live on. A secret that cannot be used changes nothing.
//!
//! ```text
//!   watched files ──┐
//!   answers that end├─► refresh: read, check ─► swap for all workers
//!   28P01 ──────────┘        (a thread of its own; no lock while it reads)
//! ```

mod disk;
mod material;
mod server;

pub use disk::Disk;
pub(crate) use material::{ClientTls, Material};
pub(crate) use server::{Doubted, Verdict, run};

use crate::compile;
use crate::mail::Mail;
use crate::port::{Common, act};
use crate::registry::Reconfigured;
use config::{Plan, SecretFault, SecretRef};
use events::snapshot::SecretFigures;
use material::{Fault, Side, unix_now};
use relay::PoolKey;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The settings may change while secrets are read; then they are read again.
const TRIES_MAX: usize = 5;

/// What came of reading secrets again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// What has another secret or certificate now, in words.
    pub changed: Vec<String>,
    /// What was refused, and why; the old one stays in service.
    pub refused: Vec<String>,
}

/// What is to be read again.
pub(crate) struct Asked<'a> {
    pub(crate) secrets: &'a dyn Fn(&SecretRef) -> bool,
    pub(crate) tls: bool,
    /// Nothing tells that anything changed: a fault that is known is not said again.
    pub(crate) again: bool,
}

/// What all threads share of secrets. Its locks are held for moments: never
/// while a file is read or a command runs.
pub(crate) struct Secrets {
    pub(crate) disk: Disk,
    pub(crate) mock_seed: [u8; 32],
    /// One change of the plan at a time: reloads, SET, rotations.
    pub(crate) changing: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tls: Material,
    rotations: [u64; 2],
    refused: BTreeMap<SecretFault, u64>,
    /// Faults in force by place, so that none is said for every refused login.
    faults: BTreeMap<String, String>,
    /// The password of a pool before the one of now, and when it was replaced.
    previous: BTreeMap<PoolKey, (Box<str>, Instant)>,
    /// When it was last said that this is tried.
    said: BTreeMap<PoolKey, Instant>,
    /// When a secret was last read because a server refused it.
    reread: BTreeMap<SecretRef, Instant>,
}

const TLS_CLIENTS: &str = "TLS towards clients";
const TLS_SERVERS: &str = "TLS towards servers";
const PASSWORD: usize = 0;
const CERTIFICATE: usize = 1;
const KINDS: [&str; 2] = ["password", "certificate"];

impl Secrets {
    pub(crate) fn new(disk: Disk, mock_seed: [u8; 32], tls: Material) -> Secrets {
        Secrets {
            disk,
            mock_seed,
            changing: Mutex::new(()),
            state: Mutex::new(State {
                tls,
                ..State::default()
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// TLS in service.
    pub(crate) fn tls(&self) -> Material {
        self.state().tls.clone()
    }

    /// A reload read certificates too.
    pub(crate) fn reloaded(&self, tls: Material) {
        self.state().tls = tls;
    }

    pub(crate) fn figures(&self) -> SecretFigures {
        let state = self.state();
        let refused = |f: SecretFault| (f.label(), state.refused.get(&f).copied().unwrap_or(0));
        SecretFigures {
            rotations: KINDS.into_iter().zip(state.rotations).collect(),
            refused: SecretFault::ALL.map(refused).to_vec(),
            certificates: state.tls.certificates(),
        }
    }
}

impl State {
    /// Notes a fault. `true`: it is a new one.
    fn at_fault(&mut self, place: &str, fault: SecretFault, why: &str, again: bool) -> bool {
        let before = self.faults.insert(place.to_owned(), why.to_owned());
        let new = !again || before.as_deref() != Some(why);
        if new {
            *self.refused.entry(fault).or_default() += 1;
        }
        new
    }
}

/// What a reading found, before anything was changed.
struct Found {
    reread: config::Reread,
    client: Option<Result<Option<Side<ClientTls>>, Fault>>,
    server: Option<Result<Option<Side<Arc<rustls::ClientConfig>>>, Fault>>,
}

/// Reads what is asked, and swaps what changed and can be used.
pub(crate) fn refresh(common: &Common, asked: &Asked<'_>) -> Refreshed {
    for _ in 0..TRIES_MAX {
        let before = Arc::clone(&common.read().plan);
        let found = Found {
            reread: config::reread(&before, &common.secrets.disk, asked.secrets),
            client: asked.tls.then(|| material::client(&before)),
            server: asked.tls.then(|| material::server(&before)),
        };
        let changing = &common.secrets.changing;
        let _one = changing.lock().unwrap_or_else(PoisonError::into_inner);
        // A reload came in between: its plan is the one to keep.
        if Arc::ptr_eq(&common.read().plan, &before) {
            return take(common, asked, found);
        }
    }
    let why = "the settings keep changing; secrets were not read again".to_owned();
    tracing::error!("{why}");
    Refreshed {
        refused: vec![why],
        ..Refreshed::default()
    }
}

fn take(common: &Common, asked: &Asked<'_>, found: Found) -> Refreshed {
    let mut out = Refreshed::default();
    let mut tls = common.secrets.tls();
    let mut faults: Vec<(String, SecretFault, String)> = Vec::new();
    let mut certificates = Vec::new();
    for refused in &found.reread.refused {
        faults.push((refused.place.clone(), refused.fault, refused.why.clone()));
    }
    match pick(found.client, &tls.client) {
        Picked::Same => {}
        Picked::New(side) => {
            certificates.push(TLS_CLIENTS.to_owned());
            tls.client = side;
        }
        Picked::Bad(f) => faults.push((TLS_CLIENTS.to_owned(), f.fault, f.why)),
    }
    match pick(found.server, &tls.server) {
        Picked::Same => {}
        Picked::New(side) => {
            certificates.push(TLS_SERVERS.to_owned());
            tls.server = side;
        }
        Picked::Bad(f) => faults.push((TLS_SERVERS.to_owned(), f.fault, f.why)),
    }
    let mut read = found.reread.places;
    if asked.tls {
        read.extend([TLS_CLIENTS, TLS_SERVERS].map(str::to_owned));
    }
    note(common, &read, asked.again, &faults, &mut out);
    let passwords = !found.reread.changed.is_empty();
    if passwords || !certificates.is_empty() {
        let mut state = common.secrets.state();
        state.tls = tls.clone();
        state.rotations[PASSWORD] += u64::from(passwords);
        state.rotations[CERTIFICATE] += certificates.len() as u64;
        drop(state);
        out.changed = found.reread.changed;
        out.changed.extend(certificates);
        install(common, found.reread.plan, &tls);
        let what = some_of(&out.changed);
        tracing::info!(
            what,
            "a secret was rotated: new connections use the new one"
        );
        tls.warn();
    }
    out
}

/// Faults of TLS that a reload met; what is in service stays. In words.
pub(crate) fn kept(common: &Common, faults: &[(&'static str, Fault)]) -> Vec<String> {
    let fault = |(place, f): &(&str, Fault)| ((*place).to_owned(), f.fault, f.why.clone());
    let faults: Vec<_> = faults.iter().map(fault).collect();
    let mut out = Refreshed::default();
    let read = [TLS_CLIENTS, TLS_SERVERS].map(str::to_owned);
    note(common, &read, true, &faults, &mut out);
    out.refused
}

enum Picked<T> {
    Same,
    New(Option<Side<T>>),
    Bad(Fault),
}

fn pick<T>(found: Option<Result<Option<Side<T>>, Fault>>, before: &Option<Side<T>>) -> Picked<T> {
    match (found, before) {
        (None, _) | (Some(Ok(None)), None) => Picked::Same,
        (Some(Err(fault)), _) => Picked::Bad(fault),
        (Some(Ok(Some(new))), Some(old)) if new.same(old) => Picked::Same,
        (Some(Ok(Some(new))), Some(old)) if new.is_worse_than(old, unix_now()) => {
            Picked::Bad(Fault {
                fault: SecretFault::Expired,
                why: "the new certificate has expired, the one in service has not".to_owned(),
            })
        }
        (Some(Ok(new)), _) => Picked::New(new),
    }
}

/// Says what is at fault, and forgets what is over.
fn note(
    common: &Common,
    read: &[String],
    again: bool,
    faults: &[(String, SecretFault, String)],
    out: &mut Refreshed,
) {
    let mut state = common.secrets.state();
    let faulty = |place: &String| faults.iter().any(|(p, ..)| p == place);
    state
        .faults
        .retain(|place, _| !read.contains(place) || faulty(place));
    for (place, fault, why) in faults {
        out.refused.push(format!("{place}: {why}"));
        if state.at_fault(place, *fault, why, again) {
            tracing::error!(
                place,
                reason = fault.label(),
                error = why,
                "a new secret cannot be used; the old one stays in service"
            );
        }
    }
}

/// The plan with its new secrets, for all workers; existing connections live on.
fn install(common: &Common, plan: Plan, tls: &Material) {
    let plan = Arc::new(plan);
    let client_tls = tls.client_tls();
    let binding = client_tls.as_ref().and_then(|c| c.binding.clone());
    let directory = compile::directory(&plan, common.secrets.mock_seed, binding);
    let directory = Arc::new(directory);
    let rotated = common.write().rotate(plan, tls.server_config());
    {
        let mut state = common.secrets.state();
        let kept = |at: &Instant| at.elapsed() < server::PREVIOUS_MAX;
        state.previous.retain(|_, (_, at)| kept(at));
        for (key, password) in rotated.before {
            state.previous.insert(key, (password, Instant::now()));
        }
    }
    let changed = Reconfigured {
        changed: rotated.changed,
        ..Reconfigured::default()
    };
    for mailbox in &common.mailboxes {
        mailbox.post(Mail::Settings(
            Arc::clone(&directory),
            changed.clone(),
            client_tls.clone(),
        ));
    }
    let now = common.clock.now();
    for info in &changed.changed {
        let place = common.read().place(info.key).cloned();
        if let Some(place) = place {
            act(common, &place.upstream, |u| {
                u.secret_changed(now, place.pool)
            });
        }
    }
}

/// The first few, and how many more there are.
fn some_of(names: &[String]) -> String {
    const NAMED_MAX: usize = 5;
    let mut text: Vec<&str> = names.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = format!("{} more", names.len().saturating_sub(NAMED_MAX));
    if names.len() > NAMED_MAX {
        text.push(&more);
    }
    text.join(", ")
}

impl crate::Handle {
    /// Reads every secret again that the settings refer to: the user file,
    /// password files, commands, certificates and keys. What changed and can
    /// be used is in service for new logins and new server connections when
    /// this returns; for the rest, the old stays. The settings are not read.
    pub fn refresh_secrets(&self) -> Refreshed {
        self.doubt_commands();
        self.refresh(&Asked {
            secrets: &|_| true,
            tls: true,
            again: false,
        })
    }

    /// As [`Handle::refresh_secrets`](crate::Handle::refresh_secrets), only of
    /// what is kept in these files.
    pub fn refresh_files(&self, files: &[PathBuf]) -> Refreshed {
        let plan = self.plan();
        let listed = plan.auth_file.as_ref().is_some_and(|f| files.contains(f));
        let of_tls = |tls: &config::Tls| {
            let all = [&tls.cert_file, &tls.key_file, &tls.ca_file];
            all.into_iter().flatten().any(|f| files.contains(f))
        };
        self.refresh(&Asked {
            secrets: &|from| match from {
                SecretRef::UserFile => listed,
                SecretRef::File(path) => files.contains(path),
                SecretRef::Env(_) | SecretRef::Command(_) => false,
            },
            tls: of_tls(&plan.client_tls) || of_tls(&plan.server_tls),
            again: false,
        })
    }

    /// Runs the commands whose answers end soon (`password_ttl`).
    pub fn refresh_due(&self) -> Refreshed {
        let disk = &self.common().secrets.disk;
        let due = |from: &SecretRef| matches!(from, SecretRef::Command(c) if disk.is_due(c));
        let plan = self.plan();
        let databases = plan.databases.iter().map(|d| &d.password_from);
        let users = plan.users.values().map(|u| &u.secret_from);
        if !databases.chain(users).flatten().any(due) {
            return Refreshed::default();
        }
        self.refresh(&Asked {
            secrets: &due,
            tls: false,
            again: true,
        })
    }

    /// Of a reload, which has read certificates already. Commands may take long,
    /// and a rollback must not.
    pub(crate) fn refresh_passwords(&self) -> Refreshed {
        self.refresh(&Asked {
            secrets: &|from| matches!(from, SecretRef::File(_) | SecretRef::UserFile),
            tls: false,
            again: true,
        })
    }

    /// The files that hold secrets and certificates of the settings in force.
    pub fn secret_files(&self) -> Vec<PathBuf> {
        config::secret_files(&self.plan())
    }

    /// What commands printed is asked for again at the next reading.
    pub(crate) fn doubt_commands(&self) {
        let plan = self.plan();
        let databases = plan.databases.iter().map(|d| &d.password_from);
        let users = plan.users.values().map(|u| &u.secret_from);
        for from in databases.chain(users).flatten() {
            if let SecretRef::Command(command) = from {
                self.common().secrets.disk.doubt(command);
            }
        }
    }

    fn refresh(&self, asked: &Asked<'_>) -> Refreshed {
        let done = refresh(self.common(), asked);
        if !done.changed.is_empty() {
            // Every worker answers, so every worker has the secrets.
            self.snapshot(false);
        }
        done
    }
}
