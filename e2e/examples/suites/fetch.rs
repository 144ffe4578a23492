//! Sources and packages of others, fetched once below `target/` by their ordinary clients.

use plimsoll_e2e::toolchain::place;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A directory that a script fills once; `$1…` are `args`. The stamp says what it was filled with.
pub fn once(name: &str, script: &str, args: &[&str]) -> Result<PathBuf, String> {
    let place = place(name);
    let stamp = place.join("fetched");
    let wanted = format!("{}\n{script}", args.join("\n"));
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(place);
    }
    println!("fetching {name} {}", args.join(" "));
    sh(script, args, &place)?;
    std::fs::write(&stamp, wanted).map_err(|error| error.to_string())?;
    Ok(place)
}

/// Runs a script of the shell in a directory.
pub fn sh(script: &str, args: &[&str], place: &Path) -> Result<(), String> {
    let out = Command::new("sh")
        .args(["-ec", script, "sh"])
        .args(args)
        .stdin(Stdio::null())
        .current_dir(place)
        .output()
        .map_err(|error| format!("sh: {error}"))?;
    match out.status.success() {
        true => Ok(()),
        false => Err(format!(
            "fetching failed: {}\n{}{}",
            out.status,
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )),
    }
}
