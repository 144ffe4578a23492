//! The one place for calls that no crate wraps safely.
//!
//! `malloc_trim`: after a burst of clients has gone, glibc keeps their freed
//! memory in its arenas, and the process stays as large as it ever was. The
//! call gives whole free pages back. No crate wraps it.
#![allow(unsafe_code)]

/// Gives free memory back to the system, where the allocator can.
pub(crate) fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes a number of bytes to keep, has no other
    // precondition, and may be called from any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
