//! Hosts of a database, as both dialects write them.

use std::path::PathBuf;

use crate::error::{Problem, quoted};
use crate::plan::Host;

/// Most hosts of one database.
const HOSTS_MAX: usize = 64;

/// The host of a database, or several with commas between.
pub(crate) fn host(text: &str) -> Result<Host, Problem> {
    if !text.contains(',') {
        return one_host(text);
    }
    let hosts: Vec<&str> = text.split(',').map(str::trim).collect();
    if hosts.len() > HOSTS_MAX {
        return Err(Problem::new(format!("more than {HOSTS_MAX} hosts"))
            .help("write a name that a load balancer answers"));
    }
    let hosts: Result<Vec<Host>, Problem> = hosts.into_iter().map(one_host).collect();
    hosts.map(Host::List)
}

/// A name, an address, a directory, or a name in Linux's abstract namespace.
pub(crate) fn one_host(text: &str) -> Result<Host, Problem> {
    if text.starts_with('@') && !cfg!(target_os = "linux") {
        return Err(Problem::new("abstract unix sockets are Linux's")
            .help("write the directory of the server's socket, or its host name"));
    }
    if text.starts_with(['/', '@']) {
        return Ok(Host::UnixDir(PathBuf::from(text)));
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:%".contains(c);
    if bare.is_empty() || bare.len() > 255 || !bare.chars().all(plain) {
        return Err(Problem::new(format!("{} is no host", quoted(text)))
            .help("write a host name, an address, or the directory of a unix socket"));
    }
    Ok(Host::Tcp(bare.to_owned()))
}

pub(crate) fn host_words(host: &Host) -> String {
    host.to_string()
}
