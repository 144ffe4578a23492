//! Memory per idle client: a fresh pooler, thousands of clients that log in and then say nothing.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::measure::{Memory, memory};
use crate::poolers::Running;
use crate::sandbox::Sandbox;
use crate::{DATABASE, Failure, USER, wire};

/// The moments at which memory is read.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Point {
    /// What has just happened.
    pub moment: String,
    /// Clients that are logged in.
    pub clients: usize,
    /// The process's memory.
    pub memory: Memory,
}

/// How long the figure may still move before it is read.
const SETTLE_MAX: Duration = Duration::from_secs(4);

/// Opens idle clients in steps, lets each ask once, closes all, and reads the memory between.
pub fn measure(
    sandbox: &Sandbox,
    running: &Running,
    steps: &[usize],
) -> Result<Vec<Point>, Failure> {
    let pid = running.pid().ok_or("no process to measure")?;
    let mut points = Vec::new();
    let mut read = |moment: &str, clients: usize| -> Result<(), Failure> {
        points.push(Point {
            moment: moment.into(),
            clients,
            memory: settled(sandbox, pid)?,
        });
        Ok(())
    };
    read("started", 0)?;
    let mut clients: Vec<TcpStream> = Vec::new();
    for step in steps {
        while clients.len() < *step {
            if clients.len().is_multiple_of(100) {
                sandbox.stop.check()?;
            }
            clients.push(wire::login(running.address, USER, DATABASE)?.0);
        }
        read("logged in", clients.len())?;
    }
    for client in &mut clients {
        wire::query(client, "SELECT 1")?;
    }
    read("asked once, idle again", clients.len())?;
    drop(clients);
    read("all closed", 0)?;
    Ok(points)
}

/// KiB of proportional memory per client between the start and a point.
pub fn kib_per_client(points: &[Point], moment: &str, clients: usize) -> Option<f64> {
    let start = points.first()?.memory.pss_kib as f64;
    let point = points
        .iter()
        .find(|p| p.moment == moment && p.clients == clients)?;
    Some((point.memory.pss_kib as f64 - start) / clients.max(1) as f64)
}

/// Reads until two readings half a second apart agree.
fn settled(sandbox: &Sandbox, pid: i32) -> Result<Memory, Failure> {
    let deadline = Instant::now() + SETTLE_MAX;
    let mut last = memory(pid)?;
    loop {
        sandbox.stop.check()?;
        std::thread::sleep(Duration::from_millis(500));
        let now = memory(pid)?;
        if now.pss_kib == last.pss_kib || Instant::now() > deadline {
            return Ok(now);
        }
        last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_taken_off() {
        let point = |moment: &str, clients, pss_kib| Point {
            moment: moment.into(),
            clients,
            memory: Memory {
                rss_kib: pss_kib,
                pss_kib,
                private_kib: pss_kib,
            },
        };
        let points = [point("started", 0, 1000), point("logged in", 500, 1250)];
        assert_eq!(kib_per_client(&points, "logged in", 500), Some(0.5));
        assert_eq!(kib_per_client(&points, "all closed", 0), None);
    }
}
