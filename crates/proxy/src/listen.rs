//! Listening sockets, and limits of the process.

use crate::socket::Stream;
use crate::unix::unix_address;
use config::Plan;
use events::snapshot::Address;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A listening socket.
pub(crate) enum Listener {
    Tcp {
        socket: mio::net::TcpListener,
        local: SocketAddr,
        /// The size of its clients' buffers, bytes; `None`: the system's.
        buffer: Option<u32>,
    },
    Unix {
        socket: mio::net::UnixListener,
        path: PathBuf,
        /// Another process serves the path now: it is not ours to remove.
        left: bool,
    },
}

impl Source for Listener {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        match self {
            Listener::Tcp { socket, .. } => socket.register(registry, token, interests),
            Listener::Unix { socket, .. } => socket.register(registry, token, interests),
        }
    }
    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        match self {
            Listener::Tcp { socket, .. } => socket.reregister(registry, token, interests),
            Listener::Unix { socket, .. } => socket.reregister(registry, token, interests),
        }
    }
    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Listener::Tcp { socket, .. } => socket.deregister(registry),
            Listener::Unix { socket, .. } => socket.deregister(registry),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix {
            path, left: false, ..
        } = self
            && !config::is_abstract(path)
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Listener {
    /// A second hold on the socket, for another process.
    pub(crate) fn lend(&self) -> io::Result<OwnedFd> {
        match self {
            Listener::Tcp { socket, .. } => socket.as_fd().try_clone_to_owned(),
            Listener::Unix { socket, .. } => socket.as_fd().try_clone_to_owned(),
        }
    }

    /// Another process has it: closing ours must not end it.
    pub(crate) fn leave(&mut self) {
        if let Listener::Unix { left, .. } = self {
            *left = true;
        }
    }

    pub(crate) fn is_unix(&self) -> bool {
        matches!(self, Listener::Unix { .. })
    }

    /// The next client: socket, its address, ours.
    pub(crate) fn accept(&self) -> io::Result<(Stream, Address, Address)> {
        match self {
            Listener::Tcp {
                socket,
                local,
                buffer,
            } => {
                let (stream, addr) = socket.accept()?;
                let local = if local.ip().is_unspecified() {
                    stream.local_addr().unwrap_or(*local)
                } else {
                    *local
                };
                let stream = Stream::tcp(stream, *buffer);
                Ok((stream, Address::Tcp(addr), Address::Tcp(local)))
            }
            Listener::Unix { socket, .. } => {
                let (stream, _) = socket.accept()?;
                Ok((Stream::Unix(stream), Address::Unix, Address::Unix))
            }
        }
    }
}

/// Listening sockets from elsewhere.
#[derive(Debug)]
pub enum Sockets {
    /// None: all that the plan names are opened.
    Own,
    /// Another process' own. They are taken where the plan names their address, and
    /// closed where it does not; what else it names is opened.
    Handed(Vec<OwnedFd>),
    /// Of whoever supervises this process, in place of all that the plan names.
    Given(Vec<OwnedFd>),
}

/// Opens every socket that the plan names, or none, with what there is already.
pub(crate) fn open(plan: &Plan, sockets: Sockets) -> Result<Vec<Listener>, String> {
    let mut handed: Vec<Socket> = match sockets {
        Sockets::Own => Vec::new(),
        Sockets::Handed(handed) => handed.into_iter().map(Socket::from).collect(),
        Sockets::Given(given) => {
            let given = given.into_iter().map(|fd| self::given(fd.into(), plan));
            let given = given.collect::<io::Result<Vec<Listener>>>();
            return given.map_err(|e| format!("cannot listen on a socket that was passed: {e}"));
        }
    };
    let mut listeners = Vec::new();
    for address in &plan.listen {
        for ip in addresses(&address.host)? {
            let target = SocketAddr::new(ip, address.port);
            match tcp(
                target,
                plan,
                take(&mut handed, |a| a.as_socket() == Some(target)),
            ) {
                Ok(listener) => listeners.push(listener),
                // "*" on a machine without IPv6 means IPv4 alone.
                Err(e) if address.host == "*" && ip.is_ipv6() => {
                    tracing::debug!(error = %e, "no IPv6 listener")
                }
                Err(e) => return Err(format!("cannot listen on {target}: {}", said(&e))),
            }
        }
    }
    if let Some(dir) = &plan.unix_socket_dir {
        let path = dir.join(format!(".s.PGSQL.{}", plan.unix_socket_port));
        listeners.push(
            unix(path.clone(), plan, take(&mut handed, |a| is_at(a, &path)))
                .map_err(|e| format!("cannot listen on {}: {e}", path.display()))?,
        );
    }
    if listeners.is_empty() {
        return Err("the settings name no address to listen on".into());
    }
    Ok(listeners)
}

/// Whether this is the address that the settings write so.
fn is_at(address: &SockAddr, path: &Path) -> bool {
    match path.as_os_str().as_encoded_bytes() {
        [b'@', name @ ..] => address.as_abstract_namespace() == Some(name),
        _ => address.as_pathname() == Some(path),
    }
}

/// The one of these that listens there.
fn take(handed: &mut Vec<Socket>, is_it: impl Fn(&SockAddr) -> bool) -> Option<Socket> {
    let there = |socket: &Socket| socket.local_addr().is_ok_and(|address| is_it(&address));
    let at = handed.iter().position(there)?;
    Some(handed.swap_remove(at))
}

/// A socket that listens already, and stays when this process ends.
fn given(socket: Socket, plan: &Plan) -> io::Result<Listener> {
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    if address.as_socket().is_some() {
        return listening(socket, plan);
    }
    let name = |name: &[u8]| PathBuf::from(format!("@{}", String::from_utf8_lossy(name)));
    let path = address.as_pathname().map(Path::to_owned);
    let path = path.or_else(|| address.as_abstract_namespace().map(name));
    Ok(Listener::Unix {
        socket: mio::net::UnixListener::from_std(socket.into()),
        path: path.unwrap_or_else(|| "a socket without a path".into()),
        left: true,
    })
}

/// What a person can do something about, without the system's number for it.
fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process listens there already; end it, or choose another address or port"
                .into()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
        io::ErrorKind::PermissionDenied => {
            "permission denied; ports below 1024 are kept for root, choose a higher one".into()
        }
        _ => error.to_string(),
    }
}

fn addresses(host: &str) -> Result<Vec<IpAddr>, String> {
    if host == "*" {
        return Ok(vec![
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ]);
    }
    if let Ok(ip) = host.parse() {
        return Ok(vec![ip]);
    }
    let found = (host, 0)
        .to_socket_addrs()
        .map_err(|e| format!("cannot look up \"{host}\" to listen on: {e}"))?;
    Ok(found.map(|a| a.ip()).collect())
}

fn tcp(target: SocketAddr, plan: &Plan, handed: Option<Socket>) -> io::Result<Listener> {
    if let Some(socket) = handed {
        return listening(socket, plan);
    }
    let socket = Socket::new(
        Domain::for_address(target),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if target.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(plan.sockets.reuse_port)?;
    socket.bind(&target.into())?;
    listening(socket, plan)
}

/// A bound TCP socket listens, as the plan says.
fn listening(socket: Socket, plan: &Plan) -> io::Result<Listener> {
    // Linux hands these on to accepted sockets: no system call per client.
    socket.set_tcp_nodelay(true)?;
    tune(&socket, plan)?;
    socket.listen(i32::try_from(plan.listen_backlog).unwrap_or(i32::MAX))?;
    let socket = mio::net::TcpListener::from_std(socket.into());
    let local = socket.local_addr()?;
    Ok(Listener::Tcp {
        socket,
        local,
        buffer: plan.sockets.buffer,
    })
}

/// Buffers, keepalive and user timeout of a TCP socket.
pub(crate) fn tune(socket: &Socket, plan: &Plan) -> io::Result<()> {
    if let Some(bytes) = plan.sockets.buffer {
        socket.set_send_buffer_size(bytes as usize)?;
        socket.set_recv_buffer_size(bytes as usize)?;
    }
    let keepalive = &plan.tcp_keepalive;
    if keepalive.on {
        let mut settings = TcpKeepalive::new();
        if let Some(idle) = keepalive.idle {
            settings = settings.with_time(idle);
        }
        if let Some(interval) = keepalive.interval {
            settings = settings.with_interval(interval);
        }
        if let Some(count) = keepalive.count {
            settings = settings.with_retries(count);
        }
        socket.set_keepalive(true)?;
        socket.set_tcp_keepalive(&settings)?;
    }
    #[cfg(target_os = "linux")]
    if plan.tcp_user_timeout.is_some() {
        socket.set_tcp_user_timeout(plan.tcp_user_timeout)?;
    }
    Ok(())
}

fn unix(path: PathBuf, plan: &Plan, handed: Option<Socket>) -> io::Result<Listener> {
    let socket = match handed {
        Some(socket) => mio::net::UnixListener::from_std(socket.into()),
        None if config::is_abstract(&path) => {
            mio::net::UnixListener::bind_addr(&unix_address(&path)?)?
        }
        None => bind(&path)?,
    };
    if config::is_abstract(&path) {
        // No file: whoever is in the same network namespace may connect.
        return Ok(Listener::Unix {
            socket,
            path,
            left: false,
        });
    }
    if let Some(group) = &plan.sockets.unix_group {
        std::os::unix::fs::chown(&path, None, Some(group_number(group)?))?;
    }
    let mode = std::fs::Permissions::from_mode(plan.unix_socket_mode);
    std::fs::set_permissions(&path, mode)?;
    Ok(Listener::Unix {
        socket,
        path,
        left: false,
    })
}

fn bind(path: &Path) -> io::Result<mio::net::UnixListener> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another process serves this socket",
            ));
        }
        // Left behind by a process that was killed.
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    mio::net::UnixListener::bind(path)
}

/// The number of a group, as /etc/group has it.
fn group_number(group: &str) -> io::Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let text = std::fs::read_to_string("/etc/group")?;
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| {
        io::Error::other(format!(
            "unix_socket_group: no group {group:?} in /etc/group"
        ))
    })
}

/// Files for clients beyond `max_client_conn` that are being turned away.
pub(crate) const LINGERING_FILES: u64 = 256;

/// Clients; server connections with what carries cancel requests to them;
/// listeners, logs and the event loop and waker of each worker.
fn files_needed(plan: &Plan) -> u64 {
    const BESIDES: u64 = 64;
    let workers = u64::from(plan.workers.unwrap_or_else(workers));
    let clients = u64::from(plan.max_client_conn) + LINGERING_FILES;
    clients + u64::from(plan.line) * 3 + workers * 2 + BESIDES
}

/// Raises the soft limit of open files to what the plan needs, or says what is missing.
pub(crate) fn open_files(plan: &Plan) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = files_needed(plan);
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current.unwrap_or(u64::MAX);
    if soft >= needed {
        return Ok(());
    }
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let wanted = needed.min(hard);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        },
    );
    if hard < needed {
        return Err(format!(
            "{needed} files may be needed (max_client_conn {} + server connections), but the process may open {hard}: \
             raise the limit (LimitNOFILE= in systemd, ulimit -n) or lower max_client_conn",
            plan.max_client_conn
        ));
    }
    Ok(())
}

/// Worker threads for this process: half of its share of the processors.
/// A worker carries some hundred thousand small transactions a second, and the
/// database or the applications on the same machine want cores too; more
/// workers than needed only wake each other's cores
/// (docs/decisions/0008-workers.md).
fn workers() -> u16 {
    workers_for(processors())
}

/// As many as the plan states, or as this process' share of the processors gives; the log says which.
pub(crate) fn count_workers(plan: &Plan) -> u16 {
    let count = plan.workers.unwrap_or_else(workers).clamp(1, 64);
    let (processors, stated) = (processors(), plan.workers.is_some());
    tracing::info!(workers = count, processors, stated, "worker threads");
    count
}

/// The processors that this process may use.
fn processors() -> usize {
    // The standard library reads cgroup quotas and affinity.
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn workers_for(processors: usize) -> u16 {
    u16::try_from(processors.div_ceil(2))
        .unwrap_or(u16::MAX)
        .clamp(1, 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_processors_get_a_worker() {
        let table = [(1, 1), (2, 1), (3, 2), (4, 2), (8, 4), (192, 64)];
        for (processors, workers) in table {
            assert_eq!(workers_for(processors), workers, "{processors}");
        }
    }

    #[test]
    fn too_few_files_are_said_at_the_start_with_what_to_raise() {
        let mut plan = config::from_url("postgres://anna:x@127.0.0.1/shop").expect("valid");
        (plan.max_client_conn, plan.line, plan.workers) = (1000, 50, Some(4));
        assert_eq!(files_needed(&plan), 1000 + 256 + 150 + 8 + 64);
        assert_eq!(open_files(&plan), Ok(()));
        plan.max_client_conn = u32::MAX;
        let error = open_files(&plan).expect_err("no system allows so many");
        assert!(error.contains("LimitNOFILE") && error.contains("max_client_conn"));
    }

    #[test]
    fn the_buffers_of_a_socket_are_those_of_the_settings() {
        let mut plan = config::from_url("postgres://anna:x@127.0.0.1/shop").expect("valid");
        plan.sockets.buffer = Some(20_000);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        tune(&socket, &plan).expect("tuned");
        // Linux doubles what it is told, for its own books.
        let sizes = (socket.send_buffer_size(), socket.recv_buffer_size());
        assert_eq!(
            (sizes.0.expect("one"), sizes.1.expect("two")),
            (40_000, 40_000)
        );
    }

    #[test]
    fn a_port_in_use_is_said_in_plain_words() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let local = taken.local_addr().expect("bound");
        let mut plan = config::from_url("postgres://anna:x@127.0.0.1/shop").expect("valid");
        plan.listen[0].port = local.port();
        let error = open(&plan, Sockets::Own).err().expect("taken");
        assert_eq!(
            error,
            format!(
                "cannot listen on {local}: another process listens there already; \
                 end it, or choose another address or port"
            )
        );
    }
}
