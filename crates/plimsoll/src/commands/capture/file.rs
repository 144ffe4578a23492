//! The file of a capture: it is there whole or not at all, and nothing else is
//! written over.

use super::print;
use anyhow::{Context, bail};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

pub(super) fn is_standard_output(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Says so before a long capture, not after it.
pub(super) fn refuse_to_overwrite(path: &Path, force: bool) -> anyhow::Result<()> {
    if is_standard_output(path) {
        return Ok(());
    }
    if path.is_dir() {
        bail!("{} is a directory: name a file in it", path.display());
    }
    if !force && path.exists() {
        bail!(
            "{} is there already: --force writes over it",
            path.display()
        );
    }
    let parent = directory(path);
    match parent.is_dir() {
        true => Ok(()),
        false => bail!("there is no directory {}", parent.display()),
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

pub(super) fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    if is_standard_output(path) {
        return print(text);
    }
    let beside = beside(path)?;
    let written = write_beside(&beside, text).and_then(|()| put(&beside, path, force));
    match written {
        Ok(()) => Ok(()),
        // What was captured for hours is not thrown away for a name.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
            "{} has come meanwhile; the capture is in {}",
            path.display(),
            beside.display()
        ),
        Err(error) => {
            let _ = std::fs::remove_file(&beside);
            Err(error).with_context(|| format!("cannot write {}", path.display()))
        }
    }
}

/// A name of our own in the same directory.
fn beside(path: &Path) -> anyhow::Result<PathBuf> {
    let name = path.file_name().context("name a file")?.to_string_lossy();
    let ours = format!(".{name}.{}.tmp", std::process::id());
    Ok(directory(path).join(ours))
}

fn write_beside(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A rename would write over a file that has come meanwhile; a link does not.
pub(super) fn put(from: &Path, to: &Path, force: bool) -> std::io::Result<()> {
    if force {
        return std::fs::rename(from, to);
    }
    std::fs::hard_link(from, to)?;
    std::fs::remove_file(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("plimsoll-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).expect("a directory");
        dir
    }

    #[test]
    fn a_file_that_is_there_stays_unless_it_is_forced() {
        let dir = scratch("capture-file");
        let path = dir.join("a.shape");
        refuse_to_overwrite(&path, false).expect("nothing is there");
        write(&path, "one", false).expect("written");
        let told = refuse_to_overwrite(&path, false).expect_err("it is there");
        assert!(told.to_string().contains("--force"), "{told}");
        // It came while the capture ran: both stay.
        let told = write(&path, "two", false)
            .expect_err("it is there")
            .to_string();
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "one");
        assert!(told.contains("the capture is in "), "{told}");
        std::fs::remove_file(beside(&path).expect("a name")).expect("it was kept");
        write(&path, "three", true).expect("forced");
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "three");
        let left = std::fs::read_dir(&dir).expect("a directory").count();
        assert_eq!(left, 1);
        std::fs::remove_dir_all(&dir).expect("ours");
    }

    #[test]
    fn places_that_cannot_be_written_are_told_before_the_capture() {
        let dir = scratch("capture-place");
        for (path, what) in [
            (dir.clone(), "is a directory"),
            (dir.join("no/a.shape"), "there is no directory"),
        ] {
            let told = refuse_to_overwrite(&path, true)
                .expect_err(what)
                .to_string();
            assert!(told.contains(what), "{told}");
        }
        refuse_to_overwrite(Path::new("-"), false).expect("standard output");
        std::fs::remove_dir_all(&dir).expect("ours");
    }
}
