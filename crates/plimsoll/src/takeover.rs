//! An online restart: a new process takes over from the one that serves.
//!
//! ```text
//!   new                                    old
//!    │ 1. language, patience ────────────►  │ 2. ends what stands beside the data plane: API, metrics,
//!    │                                      │    measurements, settings; lets the state directory go
//!    │ ◄─────────── 3. listening sockets    │    (clients are accepted and served on)
//!    │ 4. starts as ever, with these        │
//!    │ 5. "serving" ─────────────────────►  │ 6. accepts no more; ends with its last client, or when
//!    │ ◄───────────────────── 7. "yours"    │    the patience is over
//! ```
//!
//! The sockets are the same ones in both processes, so at each moment one of them
//! accepts, and no connection is refused or reset. Where the new one ends before 5,
//! the old one serves on and accepts on, without what it ended in 2; it can be taken
//! over again.

use proxy::Handle;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The first word of both sides. A change of what follows changes the number.
const LANGUAGE: &str = "plimsoll-takeover 1";
/// Longest line.
const LINE_MAX: usize = 64;
/// Listening sockets that are handed over at most; Linux carries 253 in a message.
const SOCKETS_MAX: usize = 128;
/// For a line that the other side has ready.
const LINE_WAIT: Duration = Duration::from_secs(5);
/// For the old one to end what stands beside its data plane.
const RELEASE_WAIT: Duration = Duration::from_secs(30);
/// For the new one to start: reading and migrating the history may take its time.
const START_WAIT: Duration = Duration::from_secs(60);
/// Between two looks at the clients that are left.
const LOOK: Duration = Duration::from_millis(20);

/// Where a process can be taken over: beside the clients' socket, else in the state
/// directory, as the API is. Not under a name that is looked for as the API's.
pub fn place(state: Option<&Path>, unix_socket_dir: Option<&Path>, port: u16) -> Option<PathBuf> {
    let beside = unix_socket_dir.map(|dir| dir.join(format!(".s.TAKEOVER.{port}")));
    beside.or_else(|| state.map(|dir| dir.join("takeover.sock")))
}

/// What the new process was given.
pub struct Taken {
    stream: UnixStream,
    /// The listening sockets.
    pub sockets: Vec<OwnedFd>,
}

impl Taken {
    /// Tells the old process that clients are served here, so that it accepts no more.
    ///
    /// # Errors
    /// It did not wait, and goes on accepting.
    pub fn serving(mut self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(LINE_WAIT))?;
        self.stream.write_all(b"serving\n")?;
        match line(&mut self.stream)?.as_str() {
            "yours" => Ok(()),
            other => Err(io::Error::other(format!("it answers \"{other}\""))),
        }
    }
}

/// Asks the process that can be taken over at `path` for its sockets. `None`: there
/// is none.
///
/// # Errors
/// There is one, and it does not hand over.
pub fn take(path: &Path, patience: Duration) -> io::Result<Option<Taken>> {
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    is_ours(&stream)?;
    stream.set_read_timeout(Some(RELEASE_WAIT))?;
    let wish = format!("{LANGUAGE} {}\n", patience.as_millis());
    stream.write_all(wish.as_bytes())?;
    let (told, sockets) = receive(&stream)?;
    match sockets.is_empty() {
        true if told.is_empty() => Err(ErrorKind::UnexpectedEof.into()),
        true => Err(io::Error::other(told)),
        false => Ok(Some(Taken { stream, sockets })),
    }
}

/// The socket's path while it is this process' own: the thread that waits there and
/// the end of the process remove it, whoever comes first.
#[derive(Clone, Default)]
struct Own(Arc<Mutex<Option<PathBuf>>>);

impl Own {
    fn path(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self) {
        if let Some(path) = self.path().take() {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// That this process can be taken over. Dropping it removes the socket.
pub struct Offered(Own);

impl Drop for Offered {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// Where another process asks. Dropping it removes the socket.
struct Door {
    own: Own,
    listener: UnixListener,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.own.remove();
    }
}

impl Door {
    fn open(path: &Path, own: &Own) -> io::Result<Door> {
        match UnixStream::connect(path) {
            Ok(_) => return Err(io::Error::from(ErrorKind::AddrInUse)),
            // Left behind by a process that was killed.
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        *own.path() = Some(path.to_owned());
        // Who else comes in before this is refused by its user.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        tracing::info!(socket = %path.display(), "can be taken over");
        let own = own.clone();
        Ok(Door { own, listener })
    }
}

/// Waits to be taken over, in a thread of its own. `release` ends what stands beside
/// the data plane; `over` ends the data plane.
pub fn offer(
    path: PathBuf,
    handle: Handle,
    release: impl Fn() + Send + 'static,
    over: impl Fn(&Handle) + Send + 'static,
) -> Offered {
    let own = Own::default();
    let offered = Offered(own.clone());
    let door = match Door::open(&path, &own) {
        Ok(door) => door,
        Err(error) => {
            let path = path.display();
            tracing::warn!(%error, %path, "this process cannot be taken over");
            return offered;
        }
    };
    let waiting = move || {
        let mut door = door;
        loop {
            let stream = match door.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => return tracing::warn!(%error, "no takeover any more"),
            };
            match asked(stream, &handle, door, &release) {
                Ok(patience) => {
                    see_out(&handle, patience);
                    return over(&handle);
                }
                Err((left, error)) => {
                    match left.is_some() {
                        true => tracing::warn!(%error, "a takeover was asked for, and refused"),
                        false => {
                            tracing::error!(%error, "not taken over: this process serves its clients on, \
                                without API, metrics and history; take over again")
                        }
                    }
                    let again = left.map_or_else(|| Door::open(&path, &own), Ok);
                    match again {
                        Ok(again) => door = again,
                        Err(error) => return tracing::warn!(%error, "no takeover any more"),
                    }
                }
            }
        }
    };
    let thread = std::thread::Builder::new().name("takeover".into());
    if let Err(error) = thread.spawn(waiting) {
        tracing::warn!(%error, "this process cannot be taken over");
    }
    offered
}

/// A new process is there. How long clients may stay, or why it has not taken over;
/// with the door where that was not needed yet.
fn asked(
    mut stream: UnixStream,
    handle: &Handle,
    door: Door,
    release: &impl Fn(),
) -> Result<Duration, (Option<Door>, io::Error)> {
    let begun = wish(&mut stream).and_then(|patience| Ok((patience, handle.lend_listeners()?)));
    let (patience, sockets) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            let _ = stream.write_all(format!("{error}\n").as_bytes());
            return Err((Some(door), error));
        }
    };
    tracing::info!("taken over: another process gets the listening sockets");
    // The new one's is at the same place.
    drop(door);
    release();
    handed(stream, &sockets).map_err(|error| (None, error))?;
    handle.retire();
    Ok(patience)
}

/// What the new one asks for.
fn wish(stream: &mut UnixStream) -> io::Result<Duration> {
    is_ours(stream)?;
    stream.set_read_timeout(Some(LINE_WAIT))?;
    stream.set_write_timeout(Some(LINE_WAIT))?;
    let line = line(stream)?;
    let patience = line.strip_prefix(LANGUAGE).map(str::trim);
    match patience.and_then(|ms| ms.parse().ok()) {
        Some(ms) => Ok(Duration::from_millis(ms)),
        None => Err(io::Error::other(format!("\"{line}\" is another language"))),
    }
}

/// Hands over, and waits until clients are served there.
fn handed(mut stream: UnixStream, sockets: &[OwnedFd]) -> io::Result<()> {
    send(&stream, sockets)?;
    stream.set_read_timeout(Some(START_WAIT))?;
    match line(&mut stream)?.as_str() {
        "serving" => stream.write_all(b"yours\n"),
        other => Err(io::Error::other(format!(
            "the new process ended before it served (\"{other}\")"
        ))),
    }
}

/// Serves those who are left until they leave, or the patience is over.
fn see_out(handle: &Handle, patience: Duration) {
    let end = Instant::now() + patience;
    let mut roomy = handle.clients();
    tracing::info!(
        clients = roomy,
        "accepting no more: the last clients are served"
    );
    while handle.clients() > 0 && Instant::now() < end && !handle.is_stopping() {
        // The fewer are left, the fewer connections they need.
        if handle.clients() <= roomy / 2 {
            roomy = handle.clients();
            handle.close_idle_servers();
        }
        std::thread::sleep(LOOK);
    }
}

/// The other end must be the same user, or root.
fn is_ours(stream: &UnixStream) -> io::Result<()> {
    let uid = rustix::net::sockopt::socket_peercred(stream)?.uid;
    match uid == rustix::process::geteuid() || uid.is_root() {
        true => Ok(()),
        false => Err(io::Error::other(
            "the other process belongs to another user",
        )),
    }
}

/// A line, without its end.
fn line(stream: &mut UnixStream) -> io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < LINE_MAX && stream.read(&mut byte)? == 1 && byte != [b'\n'] {
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn send(stream: &UnixStream, sockets: &[OwnedFd]) -> io::Result<()> {
    if sockets.len() > SOCKETS_MAX {
        return Err(io::Error::other("too many listening sockets"));
    }
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("too many listening sockets"));
    }
    let told = [IoSlice::new(b"sockets\n")];
    sendmsg(stream, &told, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The sockets; without any: what was said in their place.
fn receive(stream: &UnixStream) -> io::Result<(String, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 256];
    let mut told = [IoSliceMut::new(&mut text)];
    let got = recvmsg(stream, &mut told, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(all) = message {
            sockets.extend(all);
        }
    }
    let text = String::from_utf8_lossy(text.get(..got).unwrap_or_default());
    Ok((text.trim().to_owned(), sockets))
}
