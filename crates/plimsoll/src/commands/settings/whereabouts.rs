//! Finding the pooler that is meant, and saying who asks.

use crate::cli::PoolerArgs;
use anyhow::{Context, bail};
use config::{Overrides, Plan, Source};
use control::api::{Client, socket_path};
use control::settings::store::Store;
use std::io;
use std::path::{Path, PathBuf};

/// Settings files that are looked for when nothing is said.
const FILES: [&str; 2] = ["plimsoll.toml", "/etc/plimsoll/plimsoll.toml"];
/// Directories of sockets that are looked at then.
const SOCKETS: [&str; 3] = ["/run/plimsoll", "/var/lib/plimsoll", "/tmp"];
/// Begin of a socket's name.
const PREFIX: &str = ".s.PLIMSOLL.";

/// Reads settings without their secrets: where a pooler listens is none.
struct Unread;

impl Source for Unread {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn read_secret(&self, _: &Path) -> io::Result<Vec<u8>> {
        // Good as a user file and as a password file.
        Ok(b"\"unread\" \"unread\"".to_vec())
    }

    fn read_rules(&self, _: &Path) -> io::Result<Vec<u8>> {
        // They are often for the pooler's own user alone.
        Ok(Vec::new())
    }

    fn run(&self, _: &config::SecretCommand) -> io::Result<Vec<u8>> {
        Ok(b"unread".to_vec())
    }

    fn env(&self, _: &str) -> Option<String> {
        // Long enough for a token.
        Some("unread, unread, unread".to_owned())
    }
}

/// The API of the pooler that is meant.
pub fn client(file: Option<&Path>, args: &PoolerArgs) -> anyhow::Result<Client> {
    match &args.api {
        Some(url) => Client::tcp(url, token(args)?.as_deref()).map_err(anyhow::Error::msg),
        None => Ok(Client::new(socket(file, args)?)),
    }
}

/// The API of the pooler that is meant, where no settings file is named.
pub fn pooler(args: &PoolerArgs) -> anyhow::Result<Client> {
    client(None, args)
}

/// The token for TCP; never an argument, which everybody on the machine can read.
/// `None`: as anybody, who may read where the settings let them.
fn token(args: &PoolerArgs) -> anyhow::Result<Option<String>> {
    let Some(file) = &args.token_file else {
        return Ok(std::env::var("PLIMSOLL_TOKEN")
            .ok()
            .filter(|t| !t.is_empty()));
    };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the token file {}", file.display()))?;
    Ok(Some(text))
}

fn socket(file: Option<&Path>, args: &PoolerArgs) -> anyhow::Result<PathBuf> {
    if let Some(path) = &args.socket {
        if !path.is_dir() {
            return Ok(path.clone());
        }
        return one_of(in_directory(path))
            .with_context(|| format!("no API socket is in {}", path.display()));
    }
    if let Some(dir) = &args.state {
        // The pooler says there where its socket is.
        let named = std::fs::read_to_string(dir.join(control::api::POINTER));
        let path = named.map(|text| PathBuf::from(text.trim_end()));
        return Ok(path.unwrap_or_else(|_| dir.join("api.sock")));
    }
    let file = file.filter(|file| *file != Path::new(super::STDIN));
    let known = || FILES.iter().map(PathBuf::from).find(|file| file.exists());
    if let Some(plan) = file
        .map(Path::to_owned)
        .or_else(known)
        .and_then(|f| plan(&f))
    {
        let directory = state(&plan);
        let path = socket_path(
            directory.as_deref(),
            plan.socket_directory(),
            plan.unix_socket_port,
        );
        // Where a file says which pooler is meant, no other one is.
        if let Some(path) = path {
            return Ok(path);
        }
    }
    let found = SOCKETS.iter().flat_map(|dir| in_directory(Path::new(dir)));
    one_of(found.collect()).context(
        "name the pooler with --socket (a path, or the directory of its unix socket) or --state",
    )
}

fn one_of(mut found: Vec<PathBuf>) -> anyhow::Result<PathBuf> {
    match (found.pop(), found.len()) {
        (None, _) => bail!("no running pooler is found"),
        (Some(path), 0) => Ok(path),
        (Some(path), more) => bail!(
            "{} poolers run here, {} among them",
            more + 1,
            path.display()
        ),
    }
}

fn in_directory(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let ours = |name: &str| name == "api.sock" || name.starts_with(PREFIX);
    let mut all: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(ours))
        .map(|entry| entry.path())
        // One that a dead process left is nobody.
        .filter(|path| std::os::unix::net::UnixStream::connect(path).is_ok())
        .collect();
    all.sort();
    all
}

fn plan(file: &Path) -> Option<Plan> {
    config::load_with(file, &Unread, &Overrides::default()).ok()
}

/// The state directory of a plan, or where it usually is.
fn state(plan: &Plan) -> Option<PathBuf> {
    let usual = || Some(PathBuf::from("/var/lib/plimsoll")).filter(|dir| dir.is_dir());
    plan.keeping.directory.clone().or_else(usual)
}

/// The history of a pooler that does not run.
pub fn store(file: Option<&Path>, args: &PoolerArgs) -> anyhow::Result<Store> {
    let known = || FILES.iter().map(PathBuf::from).find(|file| file.exists());
    let stated = || {
        file.map(Path::to_owned)
            .or_else(known)
            .and_then(|f| plan(&f))
    };
    let usual = || Some(PathBuf::from("/var/lib/plimsoll"));
    let directory = args
        .state
        .clone()
        .or_else(|| stated().and_then(|plan| state(&plan)))
        .or_else(usual)
        .context("name the state directory with --state")?;
    Ok(Store::read_only(&directory)?)
}

/// Who asks, and from where: `anna@shop-1`.
pub fn actor() -> String {
    let named = |key: &str| std::env::var(key).ok().filter(|name| !name.is_empty());
    let uid = || format!("uid {}", rustix::process::getuid().as_raw());
    let user = named("SUDO_USER")
        .or_else(|| named("USER"))
        .unwrap_or_else(uid);
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let clean = |c: char| if c.is_control() { '?' } else { c };
    format!("{user}@{host}")
        .chars()
        .map(clean)
        .take(200)
        .collect()
}
