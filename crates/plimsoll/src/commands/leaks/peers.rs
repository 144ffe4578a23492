//! Which process a connection belongs to, as the system tells it.

use super::tap::Tap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::Receiver;

/// Processes that are asked first: those that had connections before.
const KNOWN_MAX: usize = 64;

/// Finds processes for ports until nobody sends any.
pub(super) fn run(ports: &Receiver<u16>, pooler: SocketAddr, tap: &Tap) {
    let mut known: Vec<u32> = Vec::new();
    for port in ports {
        let Some(inode) = inode(port, pooler.port()) else {
            continue;
        };
        let Some(pid) = owner(inode, &known) else {
            continue;
        };
        known.retain(|p| *p != pid);
        known.insert(0, pid);
        known.truncate(KNOWN_MAX);
        tap.belongs(port, pid, &command(pid));
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
