//! Processors of its own for the server, as in life: others' work takes none of them.

#[cfg(target_os = "linux")]
pub(super) use pinned::Cores;
#[cfg(not(target_os = "linux"))]
pub(super) use unpinned::Cores;

#[cfg(target_os = "linux")]
mod pinned {
    use rustix::process::Pid;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    /// Which processors are the server's, and which are everybody else's.
    #[derive(Clone, Debug)]
    pub(in super::super) struct Cores {
        server: CpuSet,
        others: CpuSet,
        all: CpuSet,
    }

    impl Cores {
        /// The last so many are the server's; `None`: there are too few to tell them apart.
        pub(in super::super) fn of(wanted: u32) -> Option<Cores> {
            let all = sched_getaffinity(None).ok()?;
            let usable: Vec<usize> = (0..CpuSet::MAX_CPU)
                .filter(|cpu| all.is_set(*cpu))
                .collect();
            let wanted = wanted as usize;
            if wanted == 0 || usable.len() <= wanted {
                return None;
            }
            let (mut server, mut others) = (CpuSet::new(), CpuSet::new());
            for (at, cpu) in usable.iter().enumerate() {
                match at + wanted >= usable.len() {
                    true => server.set(*cpu),
                    false => others.set(*cpu),
                }
            }
            Some(Cores {
                server,
                others,
                all,
            })
        }

        /// Pins a process, and what it starts from now on, to the server's; the thread that calls,
        /// and what it starts, to the others.
        pub(in super::super) fn part(&self, server: u32) -> rustix::io::Result<()> {
            let server = i32::try_from(server).ok().and_then(Pid::from_raw);
            sched_setaffinity(server, &self.server)?;
            sched_setaffinity(None, &self.others)
        }

        /// Gives a thread of ours (and what it starts from now on) these again.
        pub(in super::super) fn release(&self) {
            sched_setaffinity(None, &self.all).ok();
        }
    }
}

/// Elsewhere nobody can be pinned: all share all.
#[cfg(not(target_os = "linux"))]
mod unpinned {
    /// There are none.
    #[derive(Clone, Debug)]
    pub(in super::super) enum Cores {}

    impl Cores {
        pub(in super::super) fn of(_: u32) -> Option<Cores> {
            None
        }

        pub(in super::super) fn part(&self, _: u32) -> rustix::io::Result<()> {
            match *self {}
        }

        pub(in super::super) fn release(&self) {
            match *self {}
        }
    }
}
