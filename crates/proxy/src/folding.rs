//! Pools that people know nothing of, in the rows that they see: those of monitor
//! sessions have none, those of replication clients are counted in the pool of
//! their database and user, as in PgBouncer.

use crate::registry::Place;
use events::UpstreamId;
use events::snapshot::{PoolRow, Snapshot};
use std::collections::BTreeMap;

/// Leaves one row for each pool, with leases and waits at their new places.
pub(crate) fn fold(places: &[Place], snapshot: &mut Snapshot) {
    let (at, guests) = targets(places);
    let mut rows: Vec<PoolRow> = Vec::new();
    let mut further: Vec<(usize, PoolRow)> = Vec::new();
    for (i, row) in snapshot.pools.drain(..).enumerate() {
        match at.get(i).copied().flatten() {
            Some(n) if guests.contains(&i) => further.push((n, row)),
            Some(_) => rows.push(row),
            None => {}
        }
    }
    for (n, row) in further {
        if let Some(host) = rows.get_mut(n) {
            add(host, &row);
        }
    }
    snapshot.pools = rows;
    let moved = |pool: &mut u32| {
        let to = at.get(*pool as usize).copied().flatten();
        *pool = to.unwrap_or_default() as u32;
        to.is_some()
    };
    snapshot.leases.retain_mut(|lease| moved(&mut lease.pool));
    snapshot.waits.retain_mut(|wait| moved(&mut wait.pool));
}

/// The row of each place, `None` for monitor sessions; and which places are in the
/// row of another.
fn targets(places: &[Place]) -> (Vec<Option<usize>>, Vec<usize>) {
    let replicas = |p: &Place| p.taken.is_some();
    let mut hosts: BTreeMap<(UpstreamId, &str, &str), usize> = BTreeMap::new();
    if places.iter().any(replicas) {
        // An ordinary pool first; without one, the first replication client's.
        for ordinary in [true, false] {
            for (i, place) in places.iter().enumerate().filter(|(_, p)| !p.monitor) {
                let info = &place.info;
                let names = (place.upstream.id, &*info.database, &*info.user);
                if replicas(place) != ordinary {
                    hosts.entry(names).or_insert(i);
                }
            }
        }
    }
    let host = |i: usize, place: &Place| {
        let names = (place.upstream.id, &*place.info.database, &*place.info.user);
        match replicas(place) {
            true => hosts.get(&names).copied().unwrap_or(i),
            false => i,
        }
    };
    let (mut rows, mut next, mut guests) = (vec![None; places.len()], 0, Vec::new());
    for (i, place) in places.iter().enumerate().filter(|(_, p)| !p.monitor) {
        if host(i, place) == i {
            rows[i] = Some(next);
            next += 1;
        } else {
            guests.push(i);
        }
    }
    for i in &guests {
        rows[*i] = places.get(*i).and_then(|place| rows[host(*i, place)]);
    }
    (rows, guests)
}

/// Adds what is counted; size and mode are the host's.
fn add(host: &mut PoolRow, guest: &PoolRow) {
    host.cl_active += guest.cl_active;
    host.cl_waiting += guest.cl_waiting;
    host.sv_active += guest.sv_active;
    host.sv_idle += guest.sv_idle;
    host.sv_login += guest.sv_login;
    host.sv_being_canceled += guest.sv_being_canceled;
    host.sv_tested += guest.sv_tested;
    host.maxwait_us = host.maxwait_us.max(guest.maxwait_us);
    host.totals.add(&guest.totals);
    host.wait.merge(&guest.wait);
    host.hold.merge(&guest.hold);
    host.service.merge(&guest.service);
    host.create.merge(&guest.create);
    host.refused += guest.refused;
    host.opened += guest.opened;
}
