//! A pooler in this process, with a settings file, a history and the live page.

use crate::api::Extras;
use crate::plane::{ByKeeper, Plane};
use crate::sandbox::Sandbox;
use crate::serve;
use anyhow::Context;
use control::api::Client;
use control::settings::keeper::{
    self, Applied, ApplyAsk, BootError, HistoryLine, RollbackAsk, Running, StateDirectory, Status,
};
use diagnose::Verdict;
use events::sample::Marker;
use proxy::{Handle, Proxy};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest change that is waited for.
const APPLY_MAX: Duration = Duration::from_secs(30);

/// How a change is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// Through the gate: check, prediction, steps.
    Guarded,
    /// At once, past every guard (`--now`).
    Now,
}

/// It runs until [`Pooler::stop`].
pub struct Pooler {
    proxy: Proxy,
    /// What other threads may ask of it.
    pub handle: Handle,
    kept: Running,
    watching: serve::Watching,
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where its settings file and its sockets are.
    pub dir: PathBuf,
    client: Client,
}

impl Pooler {
    /// Starts it in a directory of its own inside the sandbox's, which is
    /// removed however we end. `settings` writes its file.
    pub fn start(
        sandbox: &Sandbox,
        settings: impl FnOnce(&Path) -> String,
        extras: Extras,
    ) -> anyhow::Result<Pooler> {
        let dir = sandbox.socket_dir().join("pooler");
        let state = dir.join("state");
        for path in [&dir, &state] {
            let made = std::fs::DirBuilder::new().mode(0o700).create(path);
            made.context("cannot make a directory for the pooler")?;
        }
        let path = dir.join(FILE);
        std::fs::write(&path, settings(&dir)).context("cannot write the settings file")?;
        let disk = proxy::Disk::default();
        let prepared = keeper::prepare(keeper::Options {
            path,
            overrides: config::Overrides::default(),
            secrets: Arc::new(disk.clone()),
            state: StateDirectory::At(state.clone()),
            baseline: None,
            // A change of the file goes the way that the file says.
            container: false,
        })
        .map_err(|error| match error {
            BootError::Mistakes(errors, _) => anyhow::anyhow!("{}", errors.render()),
            BootError::Store(error) => anyhow::anyhow!("{error}"),
        })?;
        let plan = prepared.plan().clone();
        let by_keeper = Box::new(ByKeeper(prepared.commands()));
        let proxy = Proxy::start_with(plan, by_keeper, disk)?;
        let handle = proxy.handle();
        let address = handle.addresses().first().copied();
        let address = address.context("the pooler listens nowhere")?;
        let kept = prepared
            .start(Arc::new(Plane(handle.clone())))
            .context("cannot start a thread")?;
        let beside = serve::Beside {
            kept: Some(&kept),
            state: Some(&state),
            extras,
        };
        let watching = serve::Watching::start(&handle, beside);
        let socket = watching.socket().context("the API has no socket")?;
        let client = Client::new(socket).with_patience(APPLY_MAX);
        Ok(Pooler {
            proxy,
            handle,
            kept,
            watching,
            address,
            dir,
            client,
        })
    }

    /// Its settings file.
    pub fn file(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// The live page.
    pub fn page(&self) -> Option<String> {
        self.watching.page()
    }

    /// What the diagnosis says now, whether or not it is shown.
    pub fn verdict(&self) -> Verdict {
        self.watching.verdict().unwrap_or_default()
    }

    /// Lets other settings serve.
    ///
    /// # Errors
    /// Why they are refused.
    pub fn apply(&self, text: String, how: How, who: &str, why: &str) -> Result<Applied, String> {
        let ask = ApplyAsk {
            text: Some(text),
            actor: who.to_owned(),
            reason: why.to_owned(),
            now: how == How::Now,
            force: false,
        };
        self.client.apply(&ask).map_err(|e| e.to_string())
    }

    /// The settings before the last change serve again.
    ///
    /// # Errors
    /// There are none.
    pub fn roll_back(&self, who: &str) -> Result<Applied, String> {
        let ask = RollbackAsk {
            version: None,
            actor: who.to_owned(),
            reason: "an outage".to_owned(),
        };
        self.client.rollback(&ask).map_err(|e| e.to_string())
    }

    /// Which settings serve.
    pub fn status(&self) -> Option<Status> {
        self.client.status().ok()
    }

    /// The newest versions of the settings.
    pub fn history(&self) -> Vec<HistoryLine> {
        self.client.history(10).unwrap_or_default()
    }

    /// Says that an application was released, as a deployment does.
    pub fn mark_release(&self, application: &str, version: &str) -> Result<(), String> {
        let ask = control::api::ReleaseAsk {
            application: application.to_owned(),
            version: version.to_owned(),
            at_ms: None,
            actor: "the deployment".to_owned(),
        };
        let marked: Result<Marker, _> = self.client.post("/v1/releases", &ask);
        marked.map(drop).map_err(|e| e.to_string())
    }

    /// Ends it at once, with the sessions of its clients.
    pub fn stop(self) {
        self.handle.stop_now();
        self.proxy.join();
        self.watching.stop();
        self.kept.stop();
    }
}

/// The name of the settings file.
const FILE: &str = "plimsoll.toml";
