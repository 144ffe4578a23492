//! What Python and Node are told through their environment, and what they report.
//!
//! Both load a small file at their start, as they do for tracing. It writes lines
//! into a named pipe, which nobody waits for: `word TAB pid TAB moment TAB rest`.

use super::java;
use super::tap::Tap;
use anyhow::Context;
use rehearse::leaks::facts::Deed;
use rehearse::leaks::journal::Mark;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

const PYTHON: &str = include_str!("hooks/sitecustomize.py");
const NODE: &str = include_str!("hooks/hook.cjs");

/// Longest line that is read, bytes; a pipe takes 4096 in one piece.
const LINE_MAX: usize = 4096;
/// The last line: our own, after which nobody's are wanted.
const LAST: &str = "last";

/// The files and the pipe, gone with this value.
pub(super) struct Hooks {
    directory: PathBuf,
    pipe: File,
    reader: Option<JoinHandle<()>>,
}

impl Hooks {
    /// Writes the files and listens.
    pub(super) fn start(tap: Arc<Tap>) -> anyhow::Result<Hooks> {
        let directory = directory()?;
        let made = Hooks::make(&directory, tap);
        if made.is_err() {
            let _ = std::fs::remove_dir_all(&directory);
        }
        made.context("cannot prepare the hooks (--no-hooks does without)")
    }

    fn make(directory: &Path, tap: Arc<Tap>) -> anyhow::Result<Hooks> {
        std::fs::create_dir(directory.join("python"))?;
        std::fs::write(directory.join("python/sitecustomize.py"), PYTHON)?;
        std::fs::write(directory.join("hook.cjs"), NODE)?;
        let path = directory.join("pipe");
        let status = std::process::Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(&path)
            .status()
            .context("cannot run mkfifo")?;
        anyhow::ensure!(status.success(), "mkfifo failed");
        // Open for both: a reader that never sees an end, and a writer for the last line.
        let pipe = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)?;
        let reading = pipe.try_clone()?;
        let reader = std::thread::Builder::new()
            .name("leaks-hooks".into())
            .spawn(move || read(reading, &tap))?;
        Ok(Hooks {
            directory: directory.to_owned(),
            pipe,
            reader: Some(reader),
        })
    }

    /// Adds what makes Python, Node and, where the command seems to run it, Java load the files.
    pub(super) fn set(
        &self,
        command: &[OsString],
        environment: &mut BTreeMap<OsString, Option<OsString>>,
    ) {
        let mut set = |name: &str, value: OsString| {
            environment.insert(name.into(), Some(value));
        };
        set("PLIMSOLL_LEAKS_PIPE", self.directory.join("pipe").into());
        let mut path = OsString::from(self.directory.join("python"));
        if let Some(before) = std::env::var_os("PYTHONPATH").filter(|p| !p.is_empty()) {
            path.push(":");
            path.push(before);
        }
        set("PYTHONPATH", path);
        let mut options = std::env::var_os("NODE_OPTIONS").unwrap_or_default();
        if !options.is_empty() {
            options.push(" ");
        }
        options.push("--require=\"");
        options.push(self.directory.join("hook.cjs"));
        options.push("\"");
        set("NODE_OPTIONS", options);
        if !java::is_wanted(command) {
            return;
        }
        // Without a JDK, tests are named by what the command prints.
        if let Ok(agent) = java::agent(&self.directory, &self.directory.join("pipe")) {
            let mut options = std::env::var_os("JAVA_TOOL_OPTIONS").unwrap_or_default();
            if !options.is_empty() {
                options.push(" ");
            }
            options.push(agent);
            set("JAVA_TOOL_OPTIONS", options);
        }
    }

    /// All that was reported until now has been written down.
    pub(super) fn finish(&mut self) {
        let told = self.pipe.write_all(format!("{LAST}\t0\t0\n").as_bytes());
        if told.is_ok()
            && let Some(reader) = self.reader.take()
        {
            let _ = reader.join();
        }
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.finish();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A directory of our own.
fn directory() -> anyhow::Result<PathBuf> {
    for n in 0..100 {
        let name = format!("plimsoll-leaks-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make {}", path.display()));
            }
        }
    }
    anyhow::bail!("no free name in {}", std::env::temp_dir().display())
}

fn read(pipe: File, tap: &Tap) {
    let mut lines = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(n) if n > 0 => {}
            _ => return,
        }
        let text = String::from_utf8_lossy(&line);
        if text.starts_with(LAST) {
            return;
        }
        if line.len() <= LINE_MAX
            && let Some((at, pid, mark)) = mark(text.trim_end_matches('\n'))
        {
            tap.mark(at, pid, mark);
        }
    }
}

/// What a line reports. What cannot be read is left out: others may write there, too.
fn mark(line: &str) -> Option<(u64, u32, Mark)> {
    let mut words = line.split('\t');
    let word = words.next()?;
    let pid = words.next()?.parse().ok()?;
    let at = words.next()?.parse().ok()?;
    let mut rest = || words.next().map(str::to_owned);
    let deed = |rest: &mut dyn FnMut() -> Option<String>, deed: fn(String) -> Deed| {
        let port = rest()?.parse().ok()?;
        Some(Mark::Does(port, deed(rest().unwrap_or_default())))
    };
    let mark = match word {
        "begin" => Mark::Begins(rest()?),
        "end" => Mark::Ends(rest()?),
        "exit" => Mark::Exits,
        "borrow" => deed(&mut rest, Deed::Borrowed)?,
        "open" => {
            let port = rest()?.parse().ok()?;
            Mark::Opens(port, rest().unwrap_or_default(), rest().unwrap_or_default())
        }
        "return" => deed(&mut rest, |_| Deed::Returned)?,
        "collect" => deed(&mut rest, |_| Deed::Collected)?,
        "orphan" => deed(&mut rest, |_| Deed::Orphaned)?,
        _ => return None,
    };
    Some((at, pid, mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reports_one_thing() {
        let table = [
            (
                "begin\t7\t99\ta.py::test",
                Some((99, 7, Mark::Begins("a.py::test".to_owned()))),
            ),
            ("exit\t7\t99", Some((99, 7, Mark::Exits))),
            (
                "borrow\t7\t99\t5000\ta.py:3",
                Some((99, 7, Mark::Does(5000, Deed::Borrowed("a.py:3".to_owned())))),
            ),
            (
                "return\t7\t99\t5000\t",
                Some((99, 7, Mark::Does(5000, Deed::Returned))),
            ),
            ("borrow\t7\t99", None),
            ("begin\tx\t99\ta", None),
            (
                "open\t7\t99\t5000\ta.py:3\t12",
                Some((
                    99,
                    7,
                    Mark::Opens(5000, "a.py:3".to_owned(), "12".to_owned()),
                )),
            ),
            ("nonsense", None),
        ];
        for (line, wanted) in table {
            assert_eq!(mark(line), wanted, "{line}");
        }
    }
}
