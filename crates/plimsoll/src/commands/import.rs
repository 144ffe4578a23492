//! `plimsoll import FILE`: a pgbouncer.ini as plimsoll.toml.

use super::print;
use crate::cli::ImportArgs;
use anyhow::{Context, bail};
use config::{ImportOptions, Imported, Overrides, Source};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The directory of password files beside the settings, where none is named.
const SECRETS: &str = "secrets";

/// Prints the settings, or writes them.
#[expect(clippy::print_stderr, reason = "a person reads what is left to do")]
pub fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    if args.file.extension().is_some_and(|e| e == "toml") {
        bail!(
            "{} is plimsoll.toml already: import reads a pgbouncer.ini",
            args.file.display()
        );
    }
    let disk = proxy::Disk::default();
    let overrides = Overrides {
        line: args.line,
        ..Overrides::default()
    };
    let secrets = match &args.secrets {
        Some(directory) => std::path::absolute(directory).context("--secrets")?,
        None => PathBuf::from(SECRETS),
    };
    let options = ImportOptions {
        observe: args.observe,
        base: std::env::current_dir().context("the working directory is gone")?,
        secrets,
    };
    let imported = match config::import(&args.file, &disk, &overrides, &options) {
        Ok(imported) => imported,
        Err(errors) => {
            eprintln!("{}", errors.render());
            return Ok(ExitCode::FAILURE);
        }
    };
    proved(&imported, &disk)?;
    write(args, &imported)?;
    if args.secrets.is_none() {
        for line in &imported.to_do {
            eprintln!("To do: {line}");
        }
    }
    if let Some(file) = &args.output {
        eprintln!(
            "Written: {file}\nNext:    plimsoll check {file}\n         plimsoll run {file}",
            file = file.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// What is written can be read: settings that do not start are not handed out.
fn proved(imported: &Imported, disk: &proxy::Disk) -> anyhow::Result<()> {
    let there = Beside { imported, disk };
    config::load(Path::new(Beside::FILE), &there)
        .map(drop)
        .map_err(|errors| {
            anyhow::anyhow!(
                "what was written cannot be read again, which is a mistake of Plimsoll; nothing was written\n{}",
                errors.render()
            )
        })
}

/// The disk, as if the text and the password files stood there already.
struct Beside<'a> {
    imported: &'a Imported,
    disk: &'a proxy::Disk,
}

impl Beside<'_> {
    const FILE: &'static str = "imported.toml";
}

impl Source for Beside<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path == Path::new(Beside::FILE) {
            true => Ok(self.imported.text.clone().into_bytes()),
            false => self.disk.read(path),
        }
    }

    fn read_secret(&self, path: &Path) -> io::Result<Vec<u8>> {
        let own = self.imported.passwords.iter().find(|(at, _)| at == path);
        match own {
            Some((_, secret)) => Ok(secret.0.clone().into_bytes()),
            None => self.disk.read_secret(path),
        }
    }
}

/// All files or none: what is in the way is found before the first is written.
fn write(args: &ImportArgs, imported: &Imported) -> anyhow::Result<()> {
    let passwords = match args.secrets {
        Some(_) => imported.passwords.as_slice(),
        None => &[],
    };
    if !args.force {
        let files = passwords.iter().map(|(path, _)| path).chain(&args.output);
        let there: Vec<String> = files
            .filter(|path| path.symlink_metadata().is_ok())
            .map(|path| path.display().to_string())
            .collect();
        if !there.is_empty() {
            bail!(
                "{} is there already; nothing was written (--force overwrites)",
                there.join(", ")
            );
        }
    }
    for (path, secret) in passwords {
        if let Some(directory) = path.parent() {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder
                .create(directory)
                .with_context(|| directory.display().to_string())?;
        }
        put(path, secret.0.as_bytes(), 0o600)?;
    }
    match &args.output {
        Some(path) => put(path, imported.text.as_bytes(), 0o644),
        None => print(&imported.text),
    }
}

/// The whole file at once, under its own name only when it is complete.
fn put(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.new", std::process::id()));
    let part = PathBuf::from(part);
    let written = (|| {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&part)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written.with_context(|| path.display().to_string())
}
