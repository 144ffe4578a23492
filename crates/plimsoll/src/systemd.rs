//! What systemd is told of this process, and the sockets that it passes.
//!
//! Both by the environment that it sets: `NOTIFY_SOCKET` (`Type=notify`, see sd_notify(3)) and `LISTEN_FDS`
//! (a unit of sockets, see sd_listen_fds(3)). Without them nothing happens here.

use proxy::Sockets;
use sd_notify::NotifyState;
use std::os::fd::OwnedFd;

/// Clients are served. `pid`: of the process that is the service from now on.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]);
}

/// Settings are read again; [`ready`] follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "systemd is not told of a reload"),
    }
}

/// It ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Who is not heard is not hurt: a service without a manager that listens serves all the same.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

/// The listening sockets of a unit of sockets; others, such as those of datagrams, are left alone.
/// As with PgBouncer they stand in place of the addresses that the settings name.
pub fn sockets() -> Sockets {
    let mut passed = listenfd::ListenFd::from_env();
    let mut given = Vec::new();
    for i in 0..passed.len() {
        if let Ok(Some(tcp)) = passed.take_tcp_listener(i) {
            given.push(OwnedFd::from(tcp));
        } else if let Ok(Some(unix)) = passed.take_unix_listener(i) {
            given.push(OwnedFd::from(unix));
        }
    }
    if given.is_empty() {
        return Sockets::Own;
    }
    tracing::info!(
        sockets = given.len(),
        "sockets were passed: the addresses of the settings are not opened"
    );
    Sockets::Given(given)
}
