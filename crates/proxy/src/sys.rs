//! The one place for calls that no crate wraps safely.
//!
//! `malloc_trim`: after a burst of clients has gone, glibc keeps their freed
//! memory in its arenas, and the process stays as large as it ever was. The
//! call gives whole free pages back. No crate wraps it.
//!
//! `getsockopt(TCP_INFO)`: round-trip times and retransmits of a socket. mio,
//! socket2 and rustix know many options, but not this one.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;

/// Gives free memory back to the system, where the allocator can.
pub(crate) fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes a number of bytes to keep, has no other
    // precondition, and may be called from any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// What the system tells of a TCP socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpInfo {
    /// Smoothed round-trip time, microseconds.
    pub(crate) rtt_us: u32,
    /// Segments sent again since it was opened.
    pub(crate) retransmits: u32,
    /// Segments that count as lost now.
    pub(crate) lost: u32,
    /// Segments that are not acknowledged yet.
    pub(crate) unacked: u32,
    /// Since data was last sent, milliseconds.
    pub(crate) sent_ms: u32,
    /// Since an acknowledgement last came, milliseconds.
    pub(crate) acked_ms: u32,
}

/// `None` for a socket that is no TCP socket, and on systems other than Linux.
#[cfg(all(target_os = "linux", any(target_env = "gnu", target_env = "musl")))]
pub(crate) fn tcp_info(socket: BorrowedFd<'_>) -> Option<TcpInfo> {
    use std::os::fd::AsRawFd;
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the file is open as long as `socket` borrows it; the system writes
    // at most `len` bytes, which `info` has, and an older one writes fewer.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result != 0 {
        return None;
    }
    // SAFETY: it was zeroed, and holds numbers only: all bits are a value.
    let info = unsafe { info.assume_init() };
    Some(TcpInfo {
        rtt_us: info.tcpi_rtt,
        retransmits: info.tcpi_total_retrans,
        lost: info.tcpi_lost,
        unacked: info.tcpi_unacked,
        sent_ms: info.tcpi_last_data_sent,
        acked_ms: info.tcpi_last_ack_recv,
    })
}

/// `None` for a socket that is no TCP socket, and on systems other than Linux.
#[cfg(not(all(target_os = "linux", any(target_env = "gnu", target_env = "musl"))))]
pub(crate) fn tcp_info(_: BorrowedFd<'_>) -> Option<TcpInfo> {
    None
}
