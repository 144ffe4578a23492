//! `cargo xtask deps`: PostgreSQL, found or installed.

use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::programs::{Places, Programs};
use crate::{Outcome, no_arguments};

pub(crate) const SUMMARY: &str = "find PostgreSQL (and promtool, python3, etcd, chromium), or install it with the system's package manager";

pub(crate) const HELP: &str = "\
Looks for postgres, initdb, psql and pgbench (PGBIN, PATH, then the usual
directories). When they are missing it installs them with apt-get, dnf, zypper,
pacman, apk or brew: as root directly, else with sudo (which may ask for your
password; without a terminal it never asks). It prints each command first.
On Debian and Ubuntu promtool, which checks the exported alert rules, is taken
out of its package without installing it: nothing of Prometheus is ever started.
There too python3 is installed, whose ptrace holds the control plane in a test, etcd
is taken out of its packages as promtool is, and, where npm is, chromium, in which the live page is tested.
Only a private server is ever started from these programs; on Debian and Ubuntu
the package is told not to make its own.";

pub(crate) fn run(args: &[String]) -> Outcome {
    no_arguments(args)?;
    postgresql()?;
    // Their tests say when they are skipped; nothing else needs them.
    if let Err(error) = promtool() {
        println!("promtool: {error}; the exported rules are not checked by it");
    }
    if let Err(error) = python() {
        println!("python3: {error}; the control plane is not held still in a test");
    }
    if let Err(error) = etcd() {
        println!("etcd: {error}; nothing is tested with a real etcd");
    }
    if let Err(error) = chromium() {
        println!("chromium: {error}; the live page is not tested in a browser");
    }
    Ok(())
}

/// Takes promtool out of Prometheus' package: installing that would start a service.
fn promtool() -> Outcome {
    if on_path("promtool") {
        println!("promtool: found");
        return Ok(());
    }
    if !on_path("apt-get") || !on_path("dpkg") {
        return Err("it comes with Prometheus; install that by hand".to_owned());
    }
    run_all(&[&["sh", "-c", PROMTOOL]], true)
}

/// Takes etcd and etcdctl out of their packages: installing the first would start a service.
fn etcd() -> Outcome {
    if on_path("etcd") && on_path("etcdctl") {
        println!("etcd: found");
        return Ok(());
    }
    if !on_path("apt-get") || !on_path("dpkg") {
        return Err("it is not there; install etcd and etcdctl by hand".to_owned());
    }
    run_all(&[&["sh", "-c", ETCD]], true)
}

fn python() -> Outcome {
    if on_path("python3") {
        println!("python3: found");
        return Ok(());
    }
    if !on_path("apt-get") {
        return Err("it is not there; install it by hand".to_owned());
    }
    run_all(&[&["sh", "-c", PYTHON]], true)
}

/// The browser; what drives it comes from npm, so without npm it would be of no use.
fn chromium() -> Outcome {
    if on_path("chromium") {
        println!("chromium: found");
        return Ok(());
    }
    if !on_path("npm") {
        return Err("there is no npm either; install both by hand".to_owned());
    }
    if !on_path("apt-get") {
        return Err("it is not there; install it by hand".to_owned());
    }
    run_all(&[&["sh", "-c", CHROMIUM]], true)
}

fn postgresql() -> Outcome {
    if let Some(found) = find() {
        println!(
            "PostgreSQL: {} (pgbench: {})",
            found.postgres.display(),
            pgbench(&found)
        );
        return Ok(());
    }
    let missing = match Places::from_env().find() {
        Ok(found) => format!("pgbench is missing beside {}", found.psql.display()),
        Err(error) => error.to_string(),
    };
    println!("{missing}");
    if std::env::var_os("PGBIN").is_some_and(|value| !value.is_empty()) {
        return Err("PGBIN names the directory, so nothing is installed".to_owned());
    }
    let Some(manager) = MANAGERS.iter().find(|manager| on_path(manager.program)) else {
        return Err(
            "no package manager that this task knows; install PostgreSQL by hand".to_owned(),
        );
    };
    install(manager)?;
    match find() {
        Some(found) => {
            println!(
                "PostgreSQL: {} (pgbench: {})",
                found.postgres.display(),
                pgbench(&found)
            );
            Ok(())
        }
        None => Err("installed, and still not found; set PGBIN=/path/to/postgresql/bin".to_owned()),
    }
}

/// Complete only with pgbench, which `demo` and `bench` use for their traffic.
fn find() -> Option<Programs> {
    Places::from_env()
        .find()
        .ok()
        .filter(|found| found.pgbench.is_some())
}

fn pgbench(found: &Programs) -> String {
    found
        .pgbench
        .as_deref()
        .map_or("none".to_owned(), |path| path.display().to_string())
}

/// A package manager, and what to type.
struct Manager {
    program: &'static str,
    /// Homebrew refuses root; the others need it.
    root: bool,
    commands: &'static [&'static [&'static str]],
}

const MANAGERS: &[Manager] = &[
    Manager {
        program: "apt-get",
        root: true,
        commands: &[
            &["apt-get", "update"],
            // postgresql-common reads this before it would make a cluster on port 5432.
            &["sh", "-c", NO_DEBIAN_CLUSTER],
            &[
                "apt-get",
                "install",
                "-y",
                "--no-install-recommends",
                "postgresql",
                "postgresql-contrib",
            ],
        ],
    },
    Manager {
        program: "dnf",
        root: true,
        commands: &[&[
            "dnf",
            "install",
            "-y",
            "postgresql-server",
            "postgresql-contrib",
        ]],
    },
    Manager {
        program: "zypper",
        root: true,
        commands: &[&[
            "zypper",
            "--non-interactive",
            "install",
            "postgresql-server",
            "postgresql-contrib",
        ]],
    },
    Manager {
        program: "pacman",
        root: true,
        commands: &[&["pacman", "-Sy", "--noconfirm", "postgresql"]],
    },
    Manager {
        program: "apk",
        root: true,
        commands: &[&["apk", "add", "postgresql", "postgresql-contrib"]],
    },
    Manager {
        program: "brew",
        root: false,
        commands: &[&["brew", "install", "postgresql@17"]],
    },
];

/// Leaves a file alone that is already there.
const NO_DEBIAN_CLUSTER: &str = "mkdir -p /etc/postgresql-common && cd /etc/postgresql-common && \
    { test -e createcluster.conf || echo 'create_main_cluster = false' > createcluster.conf; }";

const PROMTOOL: &str = "set -e; cd \"$(mktemp -d)\"; chmod 755 .; apt-get download prometheus || \
    { apt-get update; apt-get download prometheus; }; dpkg -x prometheus_*.deb .; \
    install -m 755 usr/bin/promtool /usr/local/bin/promtool";

const ETCD: &str = "set -e; cd \"$(mktemp -d)\"; chmod 755 .; apt-get download etcd-server etcd-client || \
    { apt-get update; apt-get download etcd-server etcd-client; }; \
    for package in *.deb; do dpkg -x \"$package\" .; done; \
    install -m 755 usr/bin/etcd usr/bin/etcdctl /usr/local/bin";

const CHROMIUM: &str = "apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core || \
    { apt-get update && apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core; }";

const PYTHON: &str = "apt-get install -y --no-install-recommends python3 || \
    { apt-get update && apt-get install -y --no-install-recommends python3; }";

fn install(manager: &Manager) -> Outcome {
    if !manager.root && we_are_root() {
        return Err(format!(
            "{} does not work as root; run this as your own user",
            manager.program
        ));
    }
    run_all(manager.commands, manager.root)
}

/// Runs commands one after the other, as root where that is needed.
fn run_all(commands: &[&[&str]], as_root: bool) -> Outcome {
    let prefix: &[&str] = match (as_root && !we_are_root(), std::io::stdin().is_terminal()) {
        (false, _) => &[],
        (true, true) => &["sudo"],
        (true, false) => &["sudo", "-n"],
    };
    if !prefix.is_empty() && !on_path("sudo") {
        return Err(
            "installing needs root, and there is no sudo; run `make deps` as root".to_owned(),
        );
    }
    for command in commands {
        let words = [prefix, command].concat();
        println!("> {}", words.join(" "));
        let (program, arguments) = words.split_first().ok_or("an empty command")?;
        let status = Command::new(program)
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .map_err(|error| format!("{program}: {error}"))?;
        if !status.success() {
            return Err(format!(
                "`{}` failed: {status}. Run it by hand to see why",
                words.join(" ")
            ));
        }
    }
    Ok(())
}

fn we_are_root() -> bool {
    let output = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| Path::new(&directory).join(program).is_file())
}
