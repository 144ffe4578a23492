//! What a checkout and its checkin cost, in nanoseconds:
//! `cargo run --release -p plimsoll-pool --example cost`.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "the figures are its output")]

use events::{ClientId, ConnId, Time, WorkerId};
use pool::{Action, Checkout, PoolSettings, Upstream, UpstreamSettings};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: u64 = 5_000_000;

fn client(worker: u16, slot: u32) -> ClientId {
    ClientId {
        worker: WorkerId(worker),
        generation: 0,
        slot,
    }
}

fn main() {
    idle();
    for (flows, workers) in [(1, 1), (10, 1), (1000, 1), (1, 4), (10, 4)] {
        contended(flows, workers);
    }
}

fn idle() {
    let mut up = Upstream::new(UpstreamSettings::default());
    let pool = up.add_pool(PoolSettings::default());
    let flow = up.flow(pool, "a\0b");
    let mut now = Time::from_micros(1);
    up.checkout(now, pool, client(0, 0), flow);
    let Some(Action::Open { conn, worker, .. }) = up.poll() else {
        return;
    };
    up.opened(now, conn, worker, 0);
    black_box(up.poll());
    let _ = up.checkin(now, conn, None);
    let start = Instant::now();
    for i in 0..ROUNDS {
        now = Time::from_micros(i);
        let Checkout::Granted { conn, .. } =
            up.checkout(black_box(now), pool, client(0, i as u32 & 1023), flow)
        else {
            return println!("not granted");
        };
        let _ = black_box(up.checkin(now, conn, None));
        black_box(up.poll());
    }
    println!(
        "idle connection, nobody waits     {:6.1} ns",
        per_round(start)
    );
}

/// 20 connections, 2,000 clients: each return grants to a waiter, each grant is followed by a checkout.
fn contended(flows: u32, workers: u16) {
    let mut up = Upstream::new(UpstreamSettings {
        line: 20,
        connects_max: 20,
        ..Default::default()
    });
    up.set_workers(workers);
    let pool = up.add_pool(PoolSettings::default());
    let ids: Vec<_> = (0..flows).map(|f| up.flow(pool, &f.to_string())).collect();
    let of = |slot: u32| client((slot % u32::from(workers)) as u16, slot);
    let mut held: Vec<(ConnId, ClientId)> = Vec::new();
    let mut now = Time::from_micros(1);
    for slot in 0..2000 {
        up.checkout(now, pool, of(slot), ids[(slot % flows) as usize]);
    }
    let start = Instant::now();
    let mut handovers = 0u64;
    let mut round = 0;
    let mut seed = 1u64;
    while round < ROUNDS / 5 {
        while let Some(action) = up.poll() {
            match action {
                Action::Open { worker, conn, .. } => up.opened(now, conn, worker, conn.slot),
                Action::Grant { client, conn, .. } => held.push((conn, client)),
                Action::Handover { conn, to, .. } => {
                    handovers += 1;
                    if up.arrived(now, conn, to.worker, conn.slot, to) {
                        held.push((conn, to));
                    }
                }
                _ => {}
            }
        }
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let at = (seed >> 33) as usize % held.len();
        let (conn, client) = held.swap_remove(at);
        now = Time::from_micros(1 + round * 20);
        let _ = black_box(up.checkin(now, conn, None));
        up.checkout(now, pool, client, ids[(client.slot % flows) as usize]);
        round += 1;
    }
    println!(
        "{flows:4} flows, {workers} workers, 2000 clients  {:6.1} ns, {:4.1} % handed over, {} overdue",
        start.elapsed().as_nanos() as f64 / round as f64,
        handovers as f64 * 100.0 / round as f64,
        up.counters().overdue
    );
}

fn per_round(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64 / ROUNDS as f64
}
