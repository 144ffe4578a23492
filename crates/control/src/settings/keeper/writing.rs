//! Writing the settings file, where `plimsoll apply` is its only author.

use super::{Keeper, Replaced};
use crate::guard::{NotWritten, managed};
use crate::settings::store::VersionRow;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

impl Keeper {
    /// The text goes to the settings file when all of its version serves: then
    /// RELOAD, whoever sends it, reads what serves.
    pub(super) fn write_when_it_serves(&mut self, version: u64, text: &str) {
        if self.serving_version() == version {
            return self.write_file(version, text);
        }
        if self.proposed.contains_key(&version) {
            self.to_write.insert(version, text.to_owned());
        }
    }

    /// An old version's text goes back to the settings file, where it is whole.
    pub(super) fn write_stored(&mut self, version: u64, row: &VersionRow) {
        match row.files.first() {
            Some((_, text)) if row.files.len() == 1 && !text.contains(config::MASKED) => {
                let text = text.clone();
                self.write_when_it_serves(version, &text);
            }
            _ => tracing::warn!(
                version,
                "the settings file is not written: it holds secrets, or includes others; keep secrets in a password_file"
            ),
        }
    }

    pub(super) fn write_file(&mut self, version: u64, text: &str) {
        let path = self.options.path.clone();
        if std::fs::read(&path).is_ok_and(|now| now == text.as_bytes()) {
            return;
        }
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        match write(&path, text) {
            Ok(()) => {
                tracing::info!(version, path = %path.display(), "settings file written");
                if self.driver.open().is_some() {
                    let written = text.to_owned();
                    self.replaced = Some(Replaced {
                        version,
                        before,
                        written,
                    });
                }
            }
            Err(error) => tracing::error!(
                %error,
                version,
                path = %path.display(),
                "the settings file was not written: it says something that does not serve"
            ),
        }
    }

    /// The version did not stay: the file says again what it said before, unless
    /// somebody wrote it since.
    pub(super) fn write_back(&mut self, replaced: Replaced) {
        let path = self.options.path.clone();
        let ours = std::fs::read(&path).is_ok_and(|now| now == replaced.written.as_bytes());
        if ours && let Err(error) = write(&path, &replaced.before) {
            tracing::error!(%error, path = %path.display(), "the settings file was not written back");
        }
    }

    /// Writes the file back, where that is wanted and wise.
    pub(super) fn restore(&mut self) {
        if !self.current.plan.keeping.restore {
            return;
        }
        let path = &self.options.path;
        let why_not = match managed(path) {
            Some(why) => Some(why),
            None if !self.restores.take(Instant::now()) => Some(NotWritten::TooOften),
            None => None,
        };
        if let Some(why) = why_not {
            tracing::warn!(path = %path.display(), "the settings file is not written back: {why}");
            return;
        }
        let version = self.driver.current().version;
        if let Ok(Some(row)) = self.store.version(version) {
            self.write_stored(version, &row);
            self.compare_file();
        }
    }
}

/// Replaces a file in one step, with its owner's and its mode: a reader sees the
/// old text or the new one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(why) = managed(path) {
        return Err(io::Error::new(
            io::ErrorKind::ReadOnlyFilesystem,
            why.to_string(),
        ));
    }
    let before = std::fs::metadata(path).ok();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".plimsoll-new");
    let new: PathBuf = path.with_file_name(name);
    let written = (|| {
        // One that an earlier end left behind; never through somebody's symlink.
        let _ = std::fs::remove_file(&new);
        let mut file = File::options().write(true).create_new(true).open(&new)?;
        let mode = before.as_ref().map_or(0o600, |m| m.mode() & 0o7777);
        file.set_permissions(Permissions::from_mode(mode))?;
        if let Some(before) = &before {
            // Only root may give a file away; elsewhere it stays ours.
            let _ = std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()));
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_and_never_through_a_symlink() {
        let name = format!("plimsoll-writing-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("made");
        let path = dir.join("p.toml");
        std::fs::write(&path, "old").expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("set");
        write(&path, "new").expect("replaced");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "new");
        let mode = std::fs::metadata(&path).expect("there").mode();
        assert_eq!(mode & 0o777, 0o640);
        let link = dir.join("link.toml");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        assert!(write(&link, "x").is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "new");
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
