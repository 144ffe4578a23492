//! Processors of its own for the server, as in life: others' work takes none of them.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which processors are the server's, and which are everybody else's.
#[derive(Clone, Debug)]
pub(super) struct Cores {
    server: CpuSet,
    others: CpuSet,
    all: CpuSet,
}

impl Cores {
    /// The last so many are the server's; `None`: there are too few to tell them apart.
    pub(super) fn of(wanted: u32) -> Option<Cores> {
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
    pub(super) fn part(&self, server: u32) -> rustix::io::Result<()> {
        let server = i32::try_from(server).ok().and_then(Pid::from_raw);
        sched_setaffinity(server, &self.server)?;
        sched_setaffinity(None, &self.others)
    }

    /// Gives a thread of ours (and what it starts from now on) these again.
    pub(super) fn release(&self) {
        sched_setaffinity(None, &self.all).ok();
    }
}
