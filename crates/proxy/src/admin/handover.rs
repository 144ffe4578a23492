//! An online restart: listening sockets from one process to the next.

use super::{Disk, Handle, Keeper, Proxy, StartError};
use crate::listen::Sockets;
use crate::mail::Mail;
use crate::port::act;
use crate::registry::Place;
use config::Plan;
use events::CloseReason;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Longest wait for the worker that accepts.
const ANSWER_MAX: Duration = Duration::from_secs(5);

impl Proxy {
    /// As [`Proxy::start_with`], with listening sockets from elsewhere.
    ///
    /// # Errors
    /// The same.
    pub fn start_listening(
        plan: Plan,
        keeper: Box<dyn Keeper>,
        disk: Disk,
        sockets: Sockets,
    ) -> Result<Proxy, StartError> {
        Proxy::start_all(plan, keeper, disk, None, sockets)
    }
}

impl Handle {
    /// A second hold on every listening socket, for another process. Both may accept
    /// from it then; who connects meets one of them.
    ///
    /// # Errors
    /// The system's; or nothing is listened on any more.
    pub fn lend_listeners(&self) -> io::Result<Vec<OwnedFd>> {
        let (to, answers) = channel();
        for mailbox in &self.inner.common.mailboxes {
            mailbox.post(Mail::Lend(to.clone()));
        }
        drop(to);
        let deadline = Instant::now() + ANSWER_MAX;
        let left = || deadline.saturating_duration_since(Instant::now());
        let sockets = std::iter::from_fn(|| answers.recv_timeout(left()).ok());
        let sockets = sockets.collect::<io::Result<Vec<OwnedFd>>>()?;
        match sockets.is_empty() {
            true => Err(io::Error::other("no client is accepted here any more")),
            false => Ok(sockets),
        }
    }

    /// Accepts no further client: another process has the listening sockets. Clients
    /// that are here are served on. When this returns, [`Handle::clients`] can only fall.
    pub fn retire(&self) {
        let (to, answers) = channel();
        for mailbox in &self.inner.common.mailboxes {
            mailbox.post(Mail::Retire(to.clone()));
        }
        drop(to);
        let deadline = Instant::now() + ANSWER_MAX;
        let left = || deadline.saturating_duration_since(Instant::now());
        while answers.recv_timeout(left()).is_ok() {}
    }

    /// Closes connections to servers that nobody holds: another process opens its own
    /// before the same servers.
    pub fn close_idle_servers(&self) {
        let common = &self.inner.common;
        let places: Vec<Place> = common.read().places().to_vec();
        let now = common.clock.now();
        for place in &places {
            act(common, &place.upstream, |u| {
                u.close_idle(now, place.pool, CloseReason::Shutdown);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoFile;
    use std::io::Read;
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;

    fn plan(directory: &std::path::Path) -> Plan {
        let mut plan = config::from_url("postgres://anna:x@127.0.0.1:1/shop").expect("valid");
        plan.listen[0].port = 0;
        plan.unix_socket_dir = Some(directory.to_owned());
        // Letters between workers are part of it, on any machine.
        plan.workers = Some(2);
        plan
    }

    fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < deadline, "gave up waiting for {what}");
            std::thread::yield_now();
        }
    }

    fn directory(name: &str) -> std::path::PathBuf {
        let name = format!("plimsoll-{name}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a directory");
        directory
    }

    /// The keeper of the settings asks until it is told to end, which comes after the
    /// workers' end: an answer that cannot come must not be waited for.
    #[test]
    fn who_asks_a_data_plane_that_has_ended_is_answered_at_once() {
        let directory = directory("ended");
        let proxy = Proxy::start(plan(&directory), Box::new(NoFile)).expect("starts");
        let handle = proxy.handle();
        assert_eq!(handle.snapshot(false).workers.len(), 2);
        handle.stop_now();
        proxy.join();
        let begun = Instant::now();
        assert_eq!(handle.snapshot(true).workers.len(), 0);
        assert_eq!(handle.lease_statements(&[1]).len(), 0);
        assert!(handle.lend_listeners().is_err());
        handle.retire();
        // Each of these waits for a second and more where it waits at all.
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(900), "{took:?}");
        let _ = std::fs::remove_dir_all(&directory);
    }

    #[test]
    fn listening_sockets_go_to_the_next_data_plane_and_clients_stay() {
        let directory = directory("handed");
        let old = Proxy::start(plan(&directory), Box::new(NoFile)).expect("starts");
        let (address, socket) = (
            old.handle().addresses()[0],
            old.handle().sockets()[0].clone(),
        );
        let mut stays = TcpStream::connect(address).expect("connects");
        until("the first client", || old.handle().clients() == 1);

        let sockets = old.handle().lend_listeners().expect("sockets");
        assert_eq!(sockets.len(), 2);
        let mut same = plan(&directory);
        same.listen[0].port = address.port();
        let new = Proxy::start_listening(
            same,
            Box::new(NoFile),
            Disk::default(),
            Sockets::Handed(sockets),
        );
        let new = new.expect("starts beside the old one");
        assert_eq!(new.handle().addresses(), [address]);
        old.handle().retire();
        let _by_tcp = TcpStream::connect(address).expect("connects");
        let _by_path = UnixStream::connect(&socket).expect("connects");
        until("both at the new one", || new.handle().clients() == 2);
        assert_eq!(old.handle().clients(), 1);

        old.handle().stop_now();
        old.join();
        // Closed, after what it is told; the socket's path is the new one's.
        stays.read_to_end(&mut Vec::new()).expect("an end");
        let _again = UnixStream::connect(&socket).expect("connects");
        until("a third one", || new.handle().clients() == 3);
        new.handle().stop_now();
        new.join();
        assert!(!socket.exists());
        let _ = std::fs::remove_dir_all(&directory);
    }

    #[test]
    fn what_the_settings_do_not_name_is_closed() {
        let directory = directory("unnamed");
        let old = Proxy::start(plan(&directory), Box::new(NoFile)).expect("starts");
        let address = old.handle().addresses()[0];
        let sockets = old.handle().lend_listeners().expect("sockets");
        let new = Proxy::start_listening(
            plan(&directory),
            Box::new(NoFile),
            Disk::default(),
            Sockets::Handed(sockets),
        );
        let new = new.expect("port 0 is never the same");
        assert_ne!(new.handle().addresses()[0], address);
        old.handle().retire();
        assert!(TcpStream::connect(address).is_err());
        for proxy in [old, new] {
            proxy.handle().stop_now();
            proxy.join();
        }
        let _ = std::fs::remove_dir_all(&directory);
    }
}
