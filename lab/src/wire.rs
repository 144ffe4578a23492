//! A slow wire: two TUN devices, one in a namespace of its own, and a relay between them that delays,
//! loses and paces packets. TCP above it is the kernel's own, with true round trips and retransmits.

use crate::rng::Rng;
use plimsoll_e2e::sandbox::Process;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tun_rs::{DeviceBuilder, SyncDevice};

/// Most packets on the way in one direction; more are lost, as in a router's queue.
const ON_THE_WAY_MAX: usize = 512;

/// What the wire does to packets, each way. Changed while it works.
#[derive(Debug, Default)]
pub struct Weather {
    delay_us: AtomicU64,
    jitter_us: AtomicU64,
    loss_permille: AtomicU64,
    bytes_per_s: AtomicU64,
}

impl Weather {
    /// Delay and jitter, microseconds each way; loss in thousandths.
    pub fn set(&self, delay_us: u64, jitter_us: u64, loss_permille: u64) {
        self.delay_us.store(delay_us, Relaxed);
        self.jitter_us.store(jitter_us, Relaxed);
        self.loss_permille.store(loss_permille, Relaxed);
    }

    /// Most bytes a second, each way; 0: any.
    pub fn pace(&self, bytes_per_s: u64) {
        self.bytes_per_s.store(bytes_per_s, Relaxed);
    }
}

/// The wire and the namespace behind it. Dropping removes both.
#[derive(Debug)]
pub struct Wire {
    /// The namespace.
    pub namespace: String,
    /// The address at our end.
    pub near: String,
    /// The address in the namespace.
    pub far: String,
    /// The device at our end.
    device: String,
    /// What it does to packets.
    pub weather: Arc<Weather>,
    /// Ends when we do, and then removes the namespace: for the case that nobody drops us.
    guard: Option<Process>,
}

impl Wire {
    /// A wire; `number` is below 250 and nobody else's in this process.
    pub fn stretch(number: u64, log: &Path) -> Result<Wire, String> {
        let namespace = format!("plimsoll-lab-{}-{number}", std::process::id());
        let guard = guard(&namespace, log)?;
        let slot = (u64::from(std::process::id()) * 7 + number) % 60_000;
        let net = format!("10.{}.{}", 200 + slot / 250 % 50, slot % 250);
        let names = [format!("pla{slot}"), format!("plb{slot}")];
        let wire = Wire {
            device: names[0].clone(),
            near: format!("{net}.1"),
            far: format!("{net}.2"),
            weather: Arc::new(Weather::default()),
            guard: Some(guard),
            namespace,
        };
        let [near, far] = [open(&names[0])?, open(&names[1])?];
        let ns = &wire.namespace;
        ip(&["link", "set", &names[1], "netns", ns])?;
        ip(&[
            "addr", "add", &wire.near, "peer", &wire.far, "dev", &names[0],
        ])?;
        ip(&["link", "set", &names[0], "mtu", "1500", "up"])?;
        ip(&["-n", ns, "link", "set", "lo", "up"])?;
        ip(&[
            "-n", ns, "addr", "add", &wire.far, "peer", &wire.near, "dev", &names[1],
        ])?;
        ip(&["-n", ns, "link", "set", &names[1], "mtu", "1500", "up"])?;
        relay(near.clone(), far.clone(), wire.weather.clone(), slot);
        relay(far, near, wire.weather.clone(), slot + 1);
        Ok(wire)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The device in the namespace goes with it, and with the devices the relay's threads.
        drop(self.guard.take());
        let _ = ip(&["link", "del", &self.device]);
    }
}

/// A shell that makes the namespace and removes it when it is told to end, or when we have died.
fn guard(namespace: &str, log: &Path) -> Result<Process, String> {
    const SCRIPT: &str = "trap 'ip netns del $1; kill $s; exit 0' INT TERM; ip netns add $1 || exit 1; \
        while :; do sleep 1000 & s=$!; wait $s; done";
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "wire", namespace]);
    let process = Process::start(&mut command, log, None).map_err(|e| e.to_string())?;
    let made = || {
        let listed = Path::new("/run/netns").join(namespace);
        listed.exists().then_some(())
    };
    plimsoll_e2e::sandbox::until_deadline(Duration::from_secs(5), &mut { made })
        .ok_or("the namespace was not made: is this root?")?;
    // The file appears before the namespace is mounted on it.
    let ready = || ip(&["-n", namespace, "link", "show", "lo"]).ok();
    plimsoll_e2e::sandbox::until_deadline(Duration::from_secs(5), &mut { ready })
        .ok_or("the namespace cannot be entered")?;
    Ok(process)
}

fn open(name: &str) -> Result<Arc<SyncDevice>, String> {
    let device = DeviceBuilder::new().name(name).enable(false).build_sync();
    device
        .map(Arc::new)
        .map_err(|e| format!("open {name}: {e}"))
}

fn ip(words: &[&str]) -> Result<(), String> {
    let out = Command::new("ip").args(words).stdin(Stdio::null()).output();
    let out = out.map_err(|e| format!("ip: {e}"))?;
    match out.status.success() {
        true => Ok(()),
        false => Err(format!(
            "ip {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&out.stderr).trim()
        )),
    }
}

/// Packets that were taken from one end and are due at the other.
#[derive(Default)]
struct Way {
    queue: Mutex<(VecDeque<(Instant, Vec<u8>)>, bool)>,
    news: Condvar,
}

/// Carries packets from one device to the other until either is gone.
fn relay(from: Arc<SyncDevice>, to: Arc<SyncDevice>, weather: Arc<Weather>, seed: u64) {
    let way = Arc::new(Way::default());
    let behind = way.clone();
    std::thread::spawn(move || {
        let mut rng = Rng::new(seed);
        let mut last = Instant::now();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n) = from.recv(&mut buffer) {
            if rng.next() % 1000 < weather.loss_permille.load(Relaxed) {
                continue;
            }
            let pace = weather.bytes_per_s.load(Relaxed);
            let jitter = weather.jitter_us.load(Relaxed);
            let mut due = Instant::now() + Duration::from_micros(weather.delay_us.load(Relaxed));
            due += Duration::from_micros(rng.next() % (jitter + 1));
            if pace > 0 {
                due = due.max(last + Duration::from_secs_f64(n as f64 / pace as f64));
            }
            // What left first arrives first, as on most paths.
            last = due.max(last);
            let mut queue = behind.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if queue.0.len() < ON_THE_WAY_MAX {
                queue.0.push_back((last, buffer[..n].to_vec()));
                behind.news.notify_one();
            }
        }
        behind
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1 = true;
        behind.news.notify_one();
    });
    std::thread::spawn(move || {
        while let Some(packet) = next(&way) {
            if lost(to.send(&packet)) {
                return;
            }
        }
    });
}

/// Whether the device is gone; a packet that it does not take is merely lost.
fn lost(sent: io::Result<usize>) -> bool {
    const NO_SUCH_DEVICE: [i32; 4] = [5, 6, 19, 77]; // EIO, ENXIO, ENODEV, EBADFD.
    sent.is_err_and(|e| {
        e.raw_os_error()
            .is_some_and(|n| NO_SUCH_DEVICE.contains(&n))
    })
}

fn next(way: &Way) -> Option<Vec<u8>> {
    let mut queue = way.queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let now = Instant::now();
        match queue.0.front() {
            Some((due, _)) if *due <= now => return queue.0.pop_front().map(|(_, packet)| packet),
            _ if queue.1 => return None,
            Some((due, _)) => {
                let wait = *due - now;
                queue = way
                    .news
                    .wait_timeout(queue, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            None => queue = way.news.wait(queue).unwrap_or_else(PoisonError::into_inner),
        }
    }
}
