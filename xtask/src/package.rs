//! `cargo xtask deb` and `cargo xtask static`: what is given to others.

use crate::{Outcome, cargo, metadata};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const DEB_SUMMARY: &str =
    "a Debian package, with manual pages, completions and the unit";

pub(crate) const DEB_HELP: &str = "\
Builds `plimsoll`, makes its manual pages and completions, and puts all into
target/debian/plimsoll_VERSION_ARCH.deb with cargo-deb (installed into
target/tools where it is not there). Then the package is unpacked, and its
program is asked for its version. What goes in is said in
crates/plimsoll/Cargo.toml; scripts and first settings are in deploy/debian.

  --profile NAME   build profile (default: release)";

pub(crate) const STATIC_SUMMARY: &str = "one program without libraries, as the image holds it";

pub(crate) const STATIC_HELP: &str = "\
Builds `plimsoll` with the C library inside, as target/static/plimsoll, and runs
it in an empty directory as its root: what it needs from the machine is nothing.
Names of servers are looked up by the C library's own means, /etc/hosts and DNS.

  --profile NAME   build profile (default: release)";

/// The packager, of one version, so that a package is the same tomorrow.
const CARGO_DEB: &str = "3.8.0";

pub(crate) fn deb(args: &[String]) -> Outcome {
    let profile = profile(args)?;
    let target = metadata::target_directory()?;
    let program = built(&profile, &target, &[])?;
    let parts = target.join("package-parts");
    fresh(&parts)?;
    command(
        Command::new(&program)
            .arg("man")
            .arg("--dir")
            .arg(parts.join("man")),
    )?;
    for (shell, file) in [
        ("bash", "plimsoll.bash"),
        ("zsh", "_plimsoll"),
        ("fish", "plimsoll.fish"),
    ] {
        let script = output(Command::new(&program).args(["completions", shell]))?;
        let file = parts.join(file);
        std::fs::write(&file, script).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let packager = packager(&target)?;
    let place = target.join("debian");
    fresh(&place)?;
    let mut pack = Command::new(packager);
    pack.args(["--package", "plimsoll", "--no-build", "--strip", "--quiet"])
        .args(["--profile", &profile])
        .arg("--output")
        .arg(&place)
        .current_dir(crate::repository());
    let said = output(&mut pack)?;
    let package = PathBuf::from(said.lines().last().unwrap_or_default().trim());
    let unpacked = target.join("debian/unpacked");
    command(
        Command::new("dpkg-deb")
            .arg("--extract")
            .arg(&package)
            .arg(&unpacked),
    )?;
    let version = output(Command::new(unpacked.join("usr/bin/plimsoll")).arg("--version"))?;
    print!("{}: {version}", package.display());
    std::fs::remove_dir_all(&unpacked).map_err(|e| format!("{}: {e}", unpacked.display()))?;
    Ok(())
}

pub(crate) fn statically(args: &[String]) -> Outcome {
    let profile = profile(args)?;
    // A directory of its own: other flags would build everything else anew each time.
    let target = metadata::target_directory()?.join("static");
    let program = built(&profile, &target, &["-C", "target-feature=+crt-static"])?;
    let place = target.join("plimsoll");
    std::fs::copy(&program, &place).map_err(|e| format!("{}: {e}", place.display()))?;
    // A fifth is left; what was built keeps its debugging information.
    command(Command::new("strip").arg(&place))?;
    let empty = target.join("root");
    fresh(&empty)?;
    let inside = empty.join("plimsoll");
    std::fs::copy(&place, &inside).map_err(|e| format!("{}: {e}", inside.display()))?;
    let mut alone = Command::new("unshare");
    alone
        .arg("--map-root-user")
        .arg(format!("--root={}", empty.display()));
    let version = output(alone.args(["/plimsoll", "--version"]))?;
    let bytes = std::fs::metadata(&place).map_or(0, |file| file.len());
    print!(
        "{} ({} MB), alone: {version}",
        place.display(),
        bytes / 1_000_000
    );
    std::fs::remove_dir_all(&empty).map_err(|e| format!("{}: {e}", empty.display()))
}

fn profile(args: &[String]) -> Result<String, String> {
    match args {
        [] => Ok("release".to_owned()),
        [flag, name] if flag == "--profile" => Ok(name.clone()),
        _ => Err("unexpected arguments; see --help".to_owned()),
    }
}

/// Builds the program into `target`; with flags for the compiler, for this machine's kind by name, so
/// that build scripts and macros are built without them.
fn built(profile: &str, target: &Path, flags: &[&str]) -> Result<PathBuf, String> {
    let mut build = cargo::command();
    build.args(["build", "--profile", profile, "-p", "plimsoll"]);
    build.env("CARGO_TARGET_DIR", target);
    let mut place = target.to_owned();
    if !flags.is_empty() {
        let host = host()?;
        build
            .args(["--target", &host])
            .env("RUSTFLAGS", flags.join(" "));
        place.push(host);
    }
    command(&mut build)?;
    Ok(place.join(profile).join("plimsoll"))
}

/// The kind of machine that this compiler builds for.
fn host() -> Result<String, String> {
    let said = output(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc does not say its host".to_owned())
}

/// cargo-deb, of the version above.
fn packager(target: &Path) -> Result<PathBuf, String> {
    let ours = target.join("tools/bin/cargo-deb");
    if !ours.exists() {
        let mut install = cargo::command();
        install.args([
            "install",
            "cargo-deb",
            "--locked",
            "--version",
            CARGO_DEB,
            "--root",
        ]);
        command(install.arg(target.join("tools")))?;
    }
    Ok(ours)
}

fn fresh(directory: &Path) -> Outcome {
    let told = |e: std::io::Error| format!("{}: {e}", directory.display());
    if directory.exists() {
        std::fs::remove_dir_all(directory).map_err(told)?;
    }
    std::fs::create_dir_all(directory).map_err(told)
}

fn command(command: &mut Command) -> Outcome {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .map_err(|e| format!("could not run {name}: {e}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{name}: {status}")),
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stderr(std::process::Stdio::inherit());
    let output = command
        .output()
        .map_err(|e| format!("could not run {name}: {e}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{name}: {}", output.status)),
    }
}
