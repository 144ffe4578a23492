//! What the keeper of the settings, and people through the API, may do to the
//! data plane.

use crate::client::connect_server;
use crate::systemd;
use config::{Database, Plan, ServerUrl};
use control::api::{Hands, Tapped};
use control::predict::{Request, own_program};
use control::settings::Prediction;
use control::settings::keeper::{Command, DataPlane};
use events::snapshot::Snapshot;
use events::tap::{Limits, Over, Reason, Refused};
use events::{Acted, ClientAct, Guard, GuardMode, LeaseStatement};
use proxy::{Handle, Keeper, ReloadError, Tapping};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, channel};
use std::time::Duration;

/// Databases that are probed before an address or an identity changes.
const PROBES_MAX: usize = 16;
/// Longest attempt to reach one.
const PROBE_MAX: Duration = Duration::from_secs(5);
/// Longest prediction.
const PREDICT_MAX: Duration = Duration::from_secs(10);
/// Pools whose prediction is put into words.
const POOLS_SAID: usize = 3;
/// Longest RELOAD: a change in steps, each at its longest, with its prediction.
const RELOAD_MAX: Duration = Duration::from_secs(120);

/// The data plane of this process.
pub struct Plane(pub Handle);

impl DataPlane for Plane {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(self.0.snapshot(false))
    }

    fn adopt(&self, plan: Plan) -> Result<Vec<String>, String> {
        self.0.adopt(plan)
    }

    fn plan(&self) -> Arc<Plan> {
        self.0.plan()
    }

    fn probe(&self, old: &Plan, new: &Plan) -> Result<String, String> {
        let mut notes = Vec::new();
        let changed = |d: &&Database| leads_elsewhere(old, new, d);
        for database in new.databases.iter().filter(changed).take(PROBES_MAX) {
            notes.push(probe(new, database)?);
        }
        Ok(notes.join("; "))
    }

    fn predict(&self, old: &Plan, new: &Plan) -> Prediction {
        let request = Request::new(&self.0.shape(), old, new);
        let answer = control::predict::run(&own_program(), &request, PREDICT_MAX);
        Prediction {
            verdict: answer.verdict,
            text: in_words(&answer),
        }
    }

    fn hold_back(&self, reason: Option<String>) {
        self.0.hold_back(reason);
    }

    fn state_rejected(&self, hash: Option<u32>) {
        self.0.state_rejected(hash);
    }

    fn note_decision(&self, guard: Guard, mode: GuardMode) {
        self.0.note_decision(guard, mode);
    }
}

impl Hands for Plane {
    fn act(&self, client: u64, act: ClientAct) -> Acted {
        self.0.act(client, act)
    }

    fn statements(&self, clients: &[u64]) -> Vec<LeaseStatement> {
        self.0.lease_statements(clients)
    }

    fn shape(&self, since_us: u64) -> String {
        self.0.shape_since(since_us).to_text()
    }

    fn tap(&self, limits: Limits) -> Result<Box<dyn Tapped>, Refused> {
        let tapping = self.0.tap(limits)?;
        Ok(Box::new(Listening(tapping)))
    }

    fn stop_tap(&self) -> bool {
        self.0.stop_tap()
    }

    fn pause(&self, database: Option<&str>) -> Result<(), String> {
        // The API notes it, with its reason.
        self.0.pause(database, "")
    }

    fn resume(&self, database: Option<&str>) -> Result<(), String> {
        self.0.resume(database, "")
    }
}

/// A capture of statements.
struct Listening(Tapping);

impl Tapped for Listening {
    fn next(&mut self, pause: Duration) -> Option<Vec<u8>> {
        self.0.next(pause)
    }

    fn look(&mut self) {
        self.0.look();
    }

    fn alive(&self) -> Vec<u8> {
        self.0.alive()
    }

    fn over(&self, reason: Reason) -> Over {
        self.0.over(reason)
    }
}

/// The pools that matter, the worst first, in one line.
fn in_words(answer: &control::predict::Prediction) -> String {
    if let Some(problem) = &answer.problem {
        return problem.clone();
    }
    let mut pools: Vec<_> = answer.pools.iter().collect();
    pools.sort_by_key(|pool| pool.verdict != answer.verdict);
    let said = pools.iter().take(POOLS_SAID);
    let said: Vec<String> = said
        .map(|pool| format!("{}/{}: {}", pool.database, pool.user, pool.text))
        .collect();
    match pools.len().saturating_sub(POOLS_SAID) {
        0 => said.join("; "),
        more => format!("{}; and {more} pools more", said.join("; ")),
    }
}

/// A login to it may end elsewhere, or otherwise, than before.
fn leads_elsewhere(old: &Plan, new: &Plan, database: &Database) -> bool {
    let before = old.databases.iter().find(|d| d.name == database.name);
    let Some(before) = before else { return true };
    let place = |d: &Database| (d.host.clone(), d.port, d.dbname.clone(), d.user.clone());
    let secret = |d: &Database| d.password.clone();
    place(before) != place(database)
        || secret(before) != secret(database)
        || old.server_tls != new.server_tls
}

/// Logs in as the pooler would, where it knows a password; else it only asks
/// whether a server answers.
fn probe(plan: &Plan, database: &Database) -> Result<String, String> {
    let mut known = database.clone();
    if known.name == "*" && known.dbname.is_none() {
        // Which database clients will ask for is not known.
        known.dbname = Some("postgres".to_owned());
    }
    let user = known
        .user
        .clone()
        .or_else(|| plan.users.keys().next().cloned());
    let of_user = || plan.users.get(user.as_ref()?)?.secret.clone();
    known.password = known.password.or_else(of_user);
    let can_log_in = user.is_some() && known.password.as_ref().is_some_and(is_plain);
    known.user = Some(user.unwrap_or_else(|| "plimsoll_probe".to_owned()));
    let place = format!("{} at {}:{}", database.name, database.host, database.port);
    let server = ServerUrl {
        tls: plan.server_tls.clone(),
        connect_timeout: plan.server_connect_timeout.min(PROBE_MAX),
        database: known,
    };
    match connect_server(&server, "plimsoll probe") {
        Ok(mut client) => {
            let standby = client.query("select pg_is_in_recovery()").ok().flatten();
            Ok(match standby.as_deref() {
                Some("t") => format!("{place}: logged in; it is a standby"),
                _ => format!("{place}: logged in"),
            })
        }
        // It answered. Whether its users may in, only their own passwords tell.
        Err(crate::client::ServerError::Login(error)) if !can_log_in => match error.code() {
            Some(code) if code.starts_with("28") => Ok(format!(
                "{place}: a server answers; no password is known to log in with"
            )),
            Some("3D000") if database.name == "*" => Ok(format!("{place}: a server answers")),
            _ => Err(format!("{place}: {error}")),
        },
        Err(error) => Err(format!("{place}: {error}")),
    }
}

/// A hash proves nothing to a server.
fn is_plain(secret: &config::Secret) -> bool {
    let scram = secret.0.starts_with("SCRAM-SHA-256$");
    let md5 = secret.0.starts_with("md5") && secret.0.len() == 35;
    !scram && !md5
}

/// What else goes with a RELOAD or a SIGHUP: the log's file is opened anew, since whoever rotates logs sends
/// the signal for that, and systemd hears of it.
pub struct Rereading {
    /// Reads the settings.
    pub keeper: Box<dyn Keeper>,
    /// The process' log.
    pub log: Arc<control::log::Log>,
    /// What the command line wants of it; the settings may want more.
    pub log_level: String,
}

impl Keeper for Rereading {
    fn reload(&self, handle: &Handle, actor: &str) -> Result<Vec<String>, ReloadError> {
        systemd::reloading();
        self.log.reopen();
        let result = self.keeper.reload(handle, actor);
        // Where nothing was taken over, the old settings serve.
        systemd::ready();
        result
    }

    fn was_set(&self, key: &str, value: &str, actor: &str) {
        self.keeper.was_set(key, value, actor);
    }

    fn serves(&self, plan: &Plan) {
        self.log
            .set_level(level(&self.log_level, plan.process.verbose));
        self.keeper.serves(plan);
    }

    fn ending(&self) {
        systemd::stopping();
        self.keeper.ending();
    }
}

/// The more talkative of what the command line and the settings ask for.
pub fn level(word: &str, verbose: u32) -> tracing::Level {
    let asked = word.parse().unwrap_or(tracing::Level::INFO);
    asked.max(match verbose {
        0 => asked,
        1 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    })
}

/// RELOAD and SET go to the keeper.
pub struct ByKeeper(pub SyncSender<Command>);

impl Keeper for ByKeeper {
    fn reload(&self, _: &Handle, actor: &str) -> Result<Vec<String>, ReloadError> {
        let (reply, answer) = channel();
        let command = Command::Reload {
            actor: actor.to_owned(),
            reply,
        };
        if self.0.try_send(command).is_err() {
            return Err(
                "the keeper of the settings is busy; plimsoll status says with what".into(),
            );
        }
        match answer.recv_timeout(RELOAD_MAX) {
            Ok(answer) => answer.map_err(|lines| ReloadError { lines }),
            Err(_) => Err("it takes long: plimsoll status says how far it is".into()),
        }
    }

    fn was_set(&self, key: &str, value: &str, actor: &str) {
        let command = Command::WasSet {
            key: key.to_owned(),
            value: value.to_owned(),
            actor: actor.to_owned(),
        };
        // It serves already; what is lost is a line of the history.
        if self.0.try_send(command).is_err() {
            tracing::error!(key, "a SET was not written down");
        }
    }
}
