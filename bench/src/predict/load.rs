//! The load of a workload, until it is ended.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::workloads::{Clients, Workload};
use crate::line::client::Client;
use crate::postgres::Postgres;
use crate::sandbox::{Process, Sandbox};
use crate::stats::Rng;
use crate::{DATABASE, Failure, USER, fail};

/// Longest run, seconds: nothing goes on for ever.
const SECONDS_MAX: u64 = 120;
/// Threads of new clients: those beyond wait for their turn.
const COMERS_MAX: usize = 200;

/// A running load.
pub struct Load {
    pgbenches: Vec<Process>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Ends it. An error when a part of it had ended by itself.
    pub fn end(mut self) -> Result<(), Failure> {
        let early = self.pgbenches.iter_mut().any(|p| p.ended().is_some());
        for process in &mut self.pgbenches {
            process.end(Duration::from_secs(5));
        }
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        match early {
            true => fail("pgbench ended before its time"),
            false => Ok(()),
        }
    }
}

/// Starts a workload's clients, or one of so many of them.
pub fn start(
    sandbox: &Sandbox,
    postgres: &Postgres,
    workload: &Workload,
    address: SocketAddr,
    part: u32,
) -> Result<Load, Failure> {
    sandbox.stop.check()?;
    let mut load = Load {
        pgbenches: Vec::new(),
        stop: Arc::default(),
        threads: Vec::new(),
    };
    let both = [
        (Some(workload.clients), DATABASE),
        (workload.others, "other"),
    ];
    for (clients, database) in both {
        match clients {
            None => {}
            Some(Clients::Pgbench {
                clients,
                script,
                rate,
            }) => {
                let file = sandbox
                    .subdir("pgbench")?
                    .join(format!("{}-{database}.sql", workload.key));
                fs::write(&file, script)?;
                let mut command = sandbox.command(postgres.bin.join("pgbench"));
                command
                    .args(["-n", "-M", "simple", "-j", "2"])
                    .args(["-c", &(clients / part).max(1).to_string()])
                    .args(["-T", &SECONDS_MAX.to_string()])
                    .args(["-f", &file.display().to_string()])
                    .args(["-h", "127.0.0.1", "-U", USER])
                    .args(["-p", &address.port().to_string(), database])
                    .env("PGSSLMODE", "disable")
                    .env("PGGSSENCMODE", "disable")
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                if rate > 0 {
                    command.args(["-R", &(rate / part).max(1).to_string()]);
                }
                load.pgbenches
                    .push(Process::spawn(&mut command, Signal::SIGTERM)?);
            }
            Some(Clients::Threads {
                clients,
                sql,
                pause_ms,
            }) => {
                for n in 0..(clients / part).max(1) {
                    let stop = Arc::clone(&load.stop);
                    load.threads.push(std::thread::spawn(move || {
                        asks(address, sql, pause_ms, u64::from(n), &stop);
                    }));
                }
            }
            Some(Clients::Comers { rate, burst, sql }) => {
                let stop = Arc::clone(&load.stop);
                let rate = (rate / part).max(1);
                load.threads.push(std::thread::spawn(move || {
                    comers(address, sql, rate, burst, &stop)
                }));
            }
        }
    }
    Ok(load)
}

/// Exponential, with this mean in milliseconds.
fn drawn(rng: &mut Rng, mean_ms: f64) -> Duration {
    let unit = (rng.below(1 << 30) + 1) as f64 / f64::from(1 << 30);
    Duration::from_secs_f64(-unit.ln() * mean_ms / 1000.0)
}

fn asks(address: SocketAddr, sql: &str, pause_ms: u32, seed: u64, stop: &AtomicBool) {
    let mut rng = Rng::new(seed + 1);
    let Ok(mut client) = Client::login(address, USER, DATABASE, "asks") else {
        return;
    };
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(drawn(&mut rng, f64::from(pause_ms)));
        let _ = client.query(sql);
    }
}

/// Each comes, asks once and goes.
fn comers(address: SocketAddr, sql: &'static str, rate: u32, burst: u32, stop: &Arc<AtomicBool>) {
    let mut rng = Rng::new(7);
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        next += drawn(&mut rng, 1000.0 * f64::from(burst) / f64::from(rate));
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        threads.retain(|thread| !thread.is_finished());
        for _ in 0..burst {
            if threads.len() < COMERS_MAX {
                threads.push(std::thread::spawn(move || {
                    if let Ok(mut client) = Client::login(address, USER, DATABASE, "comer") {
                        let _ = client.query(sql);
                    }
                }));
            }
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}
