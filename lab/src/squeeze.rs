//! Less processor time for some processes: a cgroup with a quota (version 1 or 2 of cgroups).

use crate::keeper::Keeper;
use std::path::{Path, PathBuf};

/// Where cgroups are.
const V1: &str = "/sys/fs/cgroup/cpu";
const V2: &str = "/sys/fs/cgroup";

/// A cgroup with processes in it. Dropping lifts the quota and removes it.
#[derive(Debug)]
pub struct Squeeze {
    path: PathBuf,
    _keeper: Keeper,
}

impl Squeeze {
    /// A cgroup without a quota that holds this process, and all that it starts from now on.
    pub fn around(pid: u32, name: &str) -> Result<Squeeze, String> {
        let base = if Path::new(V1).join("cpu.cfs_quota_us").exists()
            || Path::new(V1).join("cgroup.procs").exists()
        {
            V1
        } else {
            V2
        };
        let path = Path::new(base).join(format!("plimsoll-lab-{}-{name}", std::process::id()));
        let keeper = keeper(&path, base)?;
        let squeeze = Squeeze {
            path,
            _keeper: keeper,
        };
        squeeze.write("cgroup.procs", &pid.to_string())?;
        Ok(squeeze)
    }

    /// The same by another controller of cgroups version 1.
    fn by(controller: &str, pid: u32, name: &str) -> Result<Squeeze, String> {
        let base = Path::new("/sys/fs/cgroup").join(controller);
        let path = base.join(format!("plimsoll-lab-{}-{name}", std::process::id()));
        let keeper = keeper(&path, &base.display().to_string())?;
        let squeeze = Squeeze {
            path,
            _keeper: keeper,
        };
        squeeze.write("cgroup.procs", &pid.to_string())?;
        Ok(squeeze)
    }

    /// At most this share of one core, in percent; `None`: any.
    pub fn quota(&self, percent: Option<u64>) -> Result<(), String> {
        const PERIOD_US: u64 = 100_000;
        let us = percent.map(|p| PERIOD_US * p / 100);
        if self.path.starts_with(V1) {
            let text = us.map_or("-1".to_owned(), |us| us.to_string());
            return self.write("cpu.cfs_quota_us", &text);
        }
        let text = us.map_or("max".to_owned(), |us| format!("{us} {PERIOD_US}"));
        self.write("cpu.max", &text)
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = self.path.join(file);
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    }
}

/// A server whose files do not fit into memory, on a disk that can be made slow.
#[derive(Debug)]
pub struct Disk {
    blocks: Squeeze,
    _memory: Squeeze,
    device: String,
}

impl Disk {
    /// Around this process and what it starts from now on, whose files lie at `data`.
    pub fn around(pid: u32, memory_bytes: u64, data: &Path, name: &str) -> Result<Disk, String> {
        use std::os::linux::fs::MetadataExt;
        let device = std::fs::metadata(data).map_err(|e| e.to_string())?.st_dev();
        // As the kernel splits small device numbers.
        let device = format!("{}:{}", device >> 8 & 0xfff, device & 0xff);
        let memory = Squeeze::by("memory", pid, name)?;
        memory.write("memory.limit_in_bytes", &memory_bytes.to_string())?;
        Ok(Disk {
            blocks: Squeeze::by("blkio", pid, name)?,
            _memory: memory,
            device,
        })
    }

    /// At most so many bytes read in a second; 0: any.
    pub fn pace(&self, bytes_per_s: u64) -> Result<(), String> {
        let line = format!("{} {bytes_per_s}", self.device);
        self.blocks.write("blkio.throttle.read_bps_device", &line)
    }
}

/// Makes the cgroup; at the end moves what is left in it back, and removes it.
fn keeper(path: &Path, base: &str) -> Result<Keeper, String> {
    const LAST: &str = "exec 2>/dev/null; echo -1 >$1/cpu.cfs_quota_us || echo max >$1/cpu.max; i=0; \
        while [ $i -lt 50 ] && [ -d $1 ]; do \
        for p in $(cat $1/cgroup.procs); do echo $p >$2/cgroup.procs; done; \
        rmdir $1; i=$((i+1)); sleep 0.1; done";
    Keeper::new("mkdir $1", LAST, &[&path.display().to_string(), base])
}
