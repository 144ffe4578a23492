//! Which process a connection belongs to, as the system tells it.

use std::collections::BTreeSet;
use std::path::Path;

/// Processes that are asked first: those that had connections before.
const KNOWN_MAX: usize = 64;

/// Finds processes. It is asked while the client waits for the answer to its login,
/// so that the process is still there, and its socket.
#[derive(Default)]
pub(super) struct Finder {
    known: Vec<u32>,
}

impl Finder {
    /// The process at the other end of a connection that came from `port`, and its
    /// command line.
    pub(super) fn find(&mut self, port: u16, pooler: u16) -> Option<(u32, String)> {
        let pid = owner(inode(port, pooler)?, &self.known)?;
        self.known.retain(|p| *p != pid);
        self.known.insert(0, pid);
        self.known.truncate(KNOWN_MAX);
        Some((pid, command(pid)))
    }
}

/// The inode of the socket at a client's end.
fn inode(port: u16, pooler: u16) -> Option<u64> {
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        let found = text.lines().skip(1).find_map(|line| {
            let mut words = line.split_whitespace();
            let (local, remote) = (words.nth(1)?, words.next()?);
            let is = |address: &str, port: u16| {
                let text = address.rsplit(':').next().unwrap_or_default();
                u16::from_str_radix(text, 16) == Ok(port)
            };
            let inode = words.nth(6)?.parse().ok()?;
            (is(local, port) && is(remote, pooler) && inode != 0).then_some(inode)
        });
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The process that has a socket; of several, the one that had it before it forked.
fn owner(inode: u64, known: &[u32]) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    if let Some(pid) = known.iter().find(|pid| has(**pid, &wanted)) {
        return Some(*pid);
    }
    let entries = std::fs::read_dir("/proc").ok()?;
    let pids: BTreeSet<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .collect();
    pids.into_iter().find(|pid| has(*pid, &wanted))
}

fn has(pid: u32, wanted: &str) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let mut links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    links.any(|link| link == Path::new(wanted))
}

/// A process's command line, without words that may be secrets.
fn command(pid: u32) -> String {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut hidden = false;
    let words = raw.split(|b| *b == 0).filter(|word| !word.is_empty());
    let words = words.map(|word| {
        let word = String::from_utf8_lossy(word).into_owned();
        let lower = word.to_lowercase();
        let secret = ["password", "passwd", "secret", "token"]
            .iter()
            .any(|name| lower.contains(name));
        let hide = std::mem::replace(&mut hidden, secret && !word.contains('='));
        match hide || secret || word.contains("://") {
            true => "…".to_owned(),
            false => word,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
