//! The drivers of the checklist: built or found, or said why not.

use crate::toolchain::{go_program, place, programs, run, run_within};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// Set by `cargo xtask drivers`: what takes minutes to build is built.
const BUILD_ALL: &str = "PLIMSOLL_E2E_DRIVERS";

/// Longest time to build the Rust drivers: a minute on two idle cores, several beside other builds.
const BUILD_PATIENCE: Duration = Duration::from_secs(900);

/// The program in C, compiled with the system's libpq; or why there is none.
pub fn libpq() -> Result<PathBuf, String> {
    let include = Command::new("pg_config")
        .arg("--includedir")
        .output()
        .ok()
        .map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
        .filter(|dir| PathBuf::from(dir).join("libpq-fe.h").exists())
        .ok_or("no libpq-fe.h: Debian has it in libpq-dev")?;
    let program = place("checklist").join("libpq");
    run(Command::new("cc")
        .args(["-O1", "-Wall", "-I", &include, "-o"])
        .arg(&program)
        .arg(programs().join("checklist/libpq.c"))
        .arg("-lpq"))?;
    Ok(program)
}

/// PHP with its PostgreSQL extensions, or why there is none.
pub fn php() -> Result<PathBuf, String> {
    let extensions = "exit(extension_loaded('pgsql') && extension_loaded('pdo_pgsql') ? 0 : 1);";
    run(Command::new("php").args(["-r", extensions]))
        .map_err(|why| format!("{why}; Debian has it in php-cli and php-pgsql"))?;
    Ok("php".into())
}

/// Ruby with ruby-pg, or why there is none.
pub fn ruby() -> Result<PathBuf, String> {
    run(Command::new("ruby").args(["-e", "require 'pg'"]))
        .map_err(|why| format!("{why}; Debian has it in ruby and ruby-pg"))?;
    Ok("ruby".into())
}

/// A directory whose `node_modules` holds postgres.js, or why there is none.
pub fn postgres_js() -> Result<PathBuf, String> {
    let place = place("postgres_js");
    if !place.join("node_modules/postgres/package.json").exists() {
        run(Command::new("node").arg("--version"))?;
        run(Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"])
            .arg(&place)
            .arg("postgres@3.4"))?;
    }
    Ok(place)
}

/// The program with lib/pq and pgx; built once for both.
pub fn go() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| go_program("checklist/go")).clone()
}

/// The program with sqlx, diesel and tokio-postgres; built only when asked for, since that takes minutes.
pub fn rust_drivers() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build_rust).clone()
}

fn build_rust() -> Result<PathBuf, String> {
    let place = place("rust");
    let program = place.join("target/debug/checklist");
    if std::env::var_os(BUILD_ALL).is_none() {
        // Also when it is there: it may be of other sources.
        return Err("it takes minutes to build: `cargo xtask drivers` does".to_owned());
    }
    // A copy: its lock file shall not stand among our sources.
    run(Command::new("cp")
        .arg("-r")
        .arg(programs().join("checklist/rust/."))
        .arg(&place))?;
    run_within(
        BUILD_PATIENCE,
        Command::new("cargo")
            .args(["build", "--quiet", "--manifest-path"])
            .arg(place.join("Cargo.toml"))
            .env("CARGO_TARGET_DIR", place.join("target"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0"),
    )?;
    Ok(program)
}

/// Debian's exporter, unpacked, and what it imports: a Python, and the path for it; or why there is none.
pub fn debian_exporter() -> Result<(PathBuf, std::ffi::OsString), String> {
    if std::env::var_os(BUILD_ALL).is_none() {
        return Err("`cargo xtask drivers` runs it".to_owned());
    }
    const FETCH: &str = "apt-get -q download prometheus-pgbouncer-exporter && dpkg -x *.deb . && rm *.deb && \
        \"$1\" -m pip install --quiet --disable-pip-version-check --target modules 'prometheus-client<1'";
    let python = crate::toolchain::python()?;
    let place = place("exporter");
    let package = place.join("usr/lib/python3/dist-packages");
    let modules = place.join("modules");
    if !modules.exists() {
        run(Command::new("sh")
            .args(["-ec", FETCH, "sh"])
            .arg(&python)
            .current_dir(&place))?;
    }
    let path = std::env::join_paths([package, modules]).map_err(|error| error.to_string())?;
    Ok((python, path))
}
