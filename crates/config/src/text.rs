//! Bytes of a file to text, with bounds.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Errors, Place, Problem};
use crate::source::Source;

/// Largest settings file, and all that it includes. Far above any real one.
pub(crate) const SETTINGS_BYTES_MAX: usize = 16 << 20;
/// Largest user file: some hundred thousand users.
pub(crate) const USERS_BYTES_MAX: usize = 64 << 20;
/// Largest file that holds one secret.
pub(crate) const SECRET_BYTES_MAX: usize = 64 << 10;

/// Reads a file as text. `what` names it in errors: "the settings file".
/// `at` is where the file is asked for, when that is a place in another file.
pub(crate) fn read(
    path: &Path,
    source: &dyn Source,
    bytes_max: usize,
    what: &str,
    at: Option<Place>,
) -> Result<String, Errors> {
    checked(path, source.read(path), bytes_max, what, at)
}

/// As [`read`], of a file that holds secrets.
pub(crate) fn read_secret(
    path: &Path,
    source: &dyn Source,
    bytes_max: usize,
    what: &str,
    at: Option<Place>,
) -> Result<String, Errors> {
    checked(path, source.read_secret(path), bytes_max, what, at)
}

fn checked(
    path: &Path,
    bytes: std::io::Result<Vec<u8>>,
    bytes_max: usize,
    what: &str,
    at: Option<Place>,
) -> Result<String, Errors> {
    let place = || at.clone().unwrap_or_else(|| Place::file(path));
    let bytes = bytes.map_err(|error| {
        let (reason, help) = match error.kind() {
            ErrorKind::NotFound => (
                "it does not exist",
                "check the path, and that it is mounted",
            ),
            ErrorKind::PermissionDenied => (
                "permission denied",
                "let the user that runs the pooler read it",
            ),
            ErrorKind::IsADirectory => ("it is a directory", "name the file in it"),
            _ => (
                "reading failed",
                "try to read it as the user that runs the pooler",
            ),
        };
        Problem::new(format!("cannot read {what} {}: {reason}", path.display()))
            .why("nothing is read in its place, and no default takes over")
            .help(help)
            .at(place())
    })?;
    if bytes.len() > bytes_max {
        return Err(Problem::new(format!(
            "{what} {} is larger than {} KiB",
            path.display(),
            bytes_max >> 10
        ))
        .help("check that it is the file that you mean")
        .at(place())
        .into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        Problem::new(format!("{what} is not UTF-8 text"))
            .help("save it as UTF-8")
            .at(end_of(path, &before))
    })?;
    if let Some((before, _)) = text.split_once('\0') {
        return Err(Problem::new(format!("{what} holds a NUL byte"))
            .why("it was cut or overwritten, or is no text file")
            .help("restore the file from its source")
            .at(end_of(path, before))
            .into());
    }
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// The position after `before`.
fn end_of(path: &Path, before: &str) -> Place {
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    Place::unseen(path, line, column)
}
