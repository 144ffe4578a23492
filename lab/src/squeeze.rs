//! Less processor time for some processes: a cgroup with a quota (version 1 or 2 of cgroups).

use plimsoll_e2e::sandbox::Process;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cgroups are.
const V1: &str = "/sys/fs/cgroup/cpu";
const V2: &str = "/sys/fs/cgroup";

/// A cgroup with processes in it. Dropping lifts the quota and removes it.
#[derive(Debug)]
pub struct Squeeze {
    path: PathBuf,
    _guard: Process,
}

impl Squeeze {
    /// A cgroup without a quota that holds this process, and all that it starts from now on.
    pub fn around(pid: u32, name: &str, log: &Path) -> Result<Squeeze, String> {
        let base = if Path::new(V1).join("cpu.cfs_quota_us").exists()
            || Path::new(V1).join("cgroup.procs").exists()
        {
            V1
        } else {
            V2
        };
        let path = Path::new(base).join(format!("plimsoll-lab-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let guard = guard(&path, base, log)?;
        let squeeze = Squeeze {
            path,
            _guard: guard,
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

/// Moves what is left in the cgroup back and removes it, when told to end or when we have died.
fn guard(path: &Path, base: &str, log: &Path) -> Result<Process, String> {
    const SCRIPT: &str = "clean() { echo -1 >$1/cpu.cfs_quota_us || echo max >$1/cpu.max; i=0; \
        while [ $i -lt 50 ] && [ -d $1 ]; do for p in $(cat $1/cgroup.procs); do echo $p >$2/cgroup.procs; done; \
        rmdir $1; i=$((i+1)); sleep 0.1; done; kill $s; exit 0; }; trap 'clean $1 $2 2>/dev/null' INT TERM; \
        while :; do sleep 1000 & s=$!; wait $s; done";
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "squeeze"]).arg(path).arg(base);
    Process::start(&mut command, log, None).map_err(|e| e.to_string())
}
