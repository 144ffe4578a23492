//! Lists of operations on one or two hubs: clients and servers that mostly keep
//! to the protocol, and everything that can come between.

use crate::relay_world::{Place, World, directory};
use arbitrary::{Result, Unstructured};
use events::CloseReason;
use pool::UpstreamSettings;
use relay::Peer;
use std::time::Duration;
use wire::{back, front};

/// Operations of one input.
const OPS_MAX: usize = 300;
/// Clients at once.
const CLIENTS_MAX: usize = 8;

/// Runs the list of operations that `data` spells.
pub fn relay_ops(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok([shape, choice, workers]) = u.arbitrary::<[u8; 3]>() else {
        return;
    };
    let mut world = World::new(1 + u16::from(workers & 1), shape, choice, false);
    for _ in 0..OPS_MAX {
        if u.is_empty() || step(&mut world, &mut u).is_err() {
            break;
        }
        if workers & 2 == 0 {
            while world.read_mail() {}
        }
        world.check();
    }
    world.come_to_rest();
}

fn client(world: &World, u: &mut Unstructured<'_>) -> Result<Option<Place>> {
    let places: Vec<Place> = world.clients.keys().copied().collect();
    if places.is_empty() {
        return Ok(None);
    }
    Ok(Some(*u.choose(&places)?))
}

fn server(world: &World, u: &mut Unstructured<'_>) -> Result<Option<Place>> {
    let places: Vec<Place> = world.servers.keys().copied().collect();
    if places.is_empty() {
        return Ok(None);
    }
    Ok(Some(*u.choose(&places)?))
}

fn cut(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok(if u.ratio(1, 3)? {
        usize::from(u.int_in_range(1..=60u8)?)
    } else {
        usize::MAX
    })
}

fn step(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    match u.int_in_range(0..=63u8)? {
        0..=5 if world.clients.len() < CLIENTS_MAX => {
            let w = u.int_in_range(0..=world.workers() - 1)?;
            let place = world.accept(w);
            if u.ratio(7, 8)?
                && let Some(client) = world.clients.get_mut(&place)
            {
                client.greet(u)?;
            }
            world.read_client(place, cut(u)?);
        }
        6..=23 => speak(world, u)?,
        24..=43 => answer(world, u)?,
        44..=46 => {
            let ms = *u.choose(&[1u64, 90, 1_100, 2_500, 5_500, 12_000])?;
            world.pass(Duration::from_millis(ms));
        }
        47 => drop(world.read_mail()),
        48 => drop(world.arrive(u.arbitrary()?)),
        49 => drop(world.end(u.arbitrary()?)),
        50 => drop(world.end_cancel(u.arbitrary()?)),
        51 => drop(world.derive() || world.console()),
        52 => {
            if let Some(place) = client(world, u)? {
                world.client_gone(place);
            }
        }
        53 => break_server(world, u)?,
        54 => backlog(world, u)?,
        55 | 56 => ask_cancel(world, u)?,
        57 => reconfigure(world, u)?,
        58 => administer(world, u)?,
        59 => stop(world, u)?,
        60 => nonsense(world, u)?,
        _ => {
            if let Some(place) = client(world, u)? {
                world.read_client(place, cut(u)?);
            }
        }
    }
    Ok(())
}

/// A client sends messages; the hub reads them whole or in pieces.
fn speak(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    let Some(place) = client(world, u)? else {
        return Ok(());
    };
    let count = u.int_in_range(1..=6u8)?;
    if let Some(client) = world.clients.get_mut(&place) {
        for _ in 0..count {
            client.say(u)?;
        }
    }
    if u.ratio(1, 3)? {
        let first = usize::from(u.int_in_range(1..=80u8)?);
        world.read_client(place, first);
    }
    world.read_client(place, cut(u)?);
    Ok(())
}

/// A server answers what it was asked, in part or in whole.
fn answer(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    let Some(place) = server(world, u)? else {
        return Ok(());
    };
    let how = u.arbitrary::<u8>()?;
    world.connected(place, how != 255);
    if let Some(server) = world.servers.get_mut(&place) {
        server.fail_next |= how == 254;
        server.respond(match how & 3 {
            0 => 1,
            1 => 3,
            _ => 100,
        });
        if how == 253 {
            back::notice(&mut server.outbox, &report("NOTICE", "00000"));
        }
    }
    world.read_server(place, cut(u)?);
    Ok(())
}

fn report(severity: &'static str, code: &'static str) -> back::ErrorReport<'static> {
    back::ErrorReport {
        severity,
        code,
        message: "terminating connection",
        detail: None,
        hint: None,
    }
}

/// A server connection ends: with a last word, or in the middle of one.
fn break_server(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    let Some(place) = server(world, u)? else {
        return Ok(());
    };
    let fatal = u.arbitrary::<bool>()?;
    if let Some(server) = world.servers.get_mut(&place).filter(|s| s.connected) {
        if fatal {
            back::error(&mut server.outbox, &report("FATAL", "57P01"));
        } else if !server.outbox.is_empty() {
            server.outbox.clear();
        }
    }
    world.read_server(place, usize::MAX);
    if u.arbitrary()? {
        world.server_gone(place, !fatal);
    } else if let Some(server) = world.servers.get_mut(&place) {
        // Half open: it never answers again, and what it says makes no sense.
        server.wild = true;
        world.strict = false;
    }
    Ok(())
}

fn backlog(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    let unsent = *u.choose(&[0usize, 1, 64 * 1024, 300 * 1024])?;
    if u.arbitrary()? {
        if let Some(place) = client(world, u)? {
            if let Some(client) = world.clients.get_mut(&place) {
                client.backlog = unsent > 0;
            }
            world.backlog(place.0, Peer::Client(place.1), unsent);
        }
    } else if let Some(place) = server(world, u)? {
        if let Some(server) = world.servers.get_mut(&place) {
            server.backlog = unsent > 0;
        }
        world.backlog(place.0, Peer::Server(place.1), unsent);
    }
    Ok(())
}

/// A new connection asks to cancel what a client runs; sometimes with a wrong secret.
fn ask_cancel(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    let Some(target) = client(world, u)? else {
        return Ok(());
    };
    let Some((pid, mut key)) = world.clients.get(&target).and_then(|c| c.key.clone()) else {
        return Ok(());
    };
    if u.ratio(1, 4)?
        && let Some(byte) = key.first_mut()
    {
        *byte ^= 1;
    }
    let place = world.accept(target.0);
    if let Some(client) = world.clients.get_mut(&place) {
        front::cancel_request(&mut client.unread, pid, &key);
    }
    world.read_client(place, usize::MAX);
    Ok(())
}

fn reconfigure(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    let settings = directory(u.arbitrary()?, false);
    for hub in &mut world.hubs {
        hub.reconfigure(settings.clone());
    }
    let i = u.choose_index(world.ports.infos.len())?;
    for hub in &mut world.hubs {
        hub.pool_changed(&world.ports.infos[i]);
    }
    Ok(())
}

fn administer(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    let i = u.choose_index(world.ports.pools.len())?;
    let (now, pool, key) = (world.now, world.ports.pools[i], world.ports.infos[i].key);
    let up = &mut world.ports.up;
    match u.int_in_range(0..=9u8)? {
        0 => up.pause(now, pool),
        1 | 2 => up.resume(now, pool),
        3 => up.reconnect(now, pool, CloseReason::AdminKill),
        4 => up.configure(
            now,
            UpstreamSettings {
                line: u.int_in_range(1..=6)?,
                ..UpstreamSettings::default()
            },
        ),
        5 => up.kill(now, pool),
        6 => up.disable(pool),
        7 => up.enable(pool),
        8 => {
            up.fail_pool(now, pool);
            for w in 0..world.workers() {
                world.dispatch(w, None, &[], |hub, now, ports, out| {
                    hub.kill_pool(now, key, ports, out);
                });
            }
        }
        _ => {
            let peer = match client(world, u)? {
                Some((0, slot)) => Peer::Client(slot),
                _ => Peer::Server(0),
            };
            world.dispatch(0, None, &[], |hub, now, ports, out| {
                if let Some(key) = hub.fail_pool_of(now, peer, ports, out) {
                    let pool = ports.pools[key.0 as usize];
                    ports.up.fail_pool(now, pool);
                }
            });
        }
    }
    world.after_pool();
    Ok(())
}

fn stop(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    let how = u.int_in_range(0..=7u8)?;
    for w in 0..world.workers() {
        world.dispatch(w, None, &[], |hub, now, ports, out| match how {
            0 => hub.close_all(now, ports, out),
            1 | 2 => hub.drain(now, ports, out),
            n => hub.kill_client(now, u64::from(n) << 8 | u64::from(w), ports, out),
        });
    }
    Ok(())
}

/// A server says what nobody asked for, in an order that makes no sense.
fn nonsense(world: &mut World, u: &mut Unstructured<'_>) -> Result<()> {
    let Some(place) = server(world, u)? else {
        return Ok(());
    };
    world.strict = false;
    for server in world.servers.values_mut() {
        server.wild = true;
    }
    if let Some(server) = world.servers.get_mut(&place) {
        let out = &mut server.outbox;
        match u.int_in_range(0..=17u8)? {
            0 => back::parse_complete(out),
            1 => back::bind_complete(out),
            2 => back::close_complete(out),
            3 => back::no_data(out),
            4 => back::empty_query(out),
            5 => back::portal_suspended(out),
            6 => back::command_complete(out, "COMMIT"),
            7 => back::ready(out, back::Status::Idle),
            8 => back::ready(out, back::Status::Transaction),
            9 => back::copy_in_response(out, false, 1),
            10 => back::copy_out_response(out, true, 2),
            11 => back::data_row(out, &[Some(b"ann"), Some(b"pw")]),
            12 => back::error(out, &report("ERROR", "26000")),
            13 => back::parameter_status(out, "application_name", "x"),
            14 => back::auth_ok(out),
            15 => back::auth_sasl(out, ["SCRAM-SHA-256"]),
            16 => back::auth_sasl_continue(out, b"r=x,s=c2FsdA==,i=1"),
            _ => {
                let bytes: [u8; 12] = u.arbitrary()?;
                out.extend_from_slice(&bytes);
            }
        }
    }
    world.read_server(place, cut(u)?);
    Ok(())
}
