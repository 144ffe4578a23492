//! Arbitrary bytes from clients and servers into hubs, in any order.

use crate::relay_world::{Place, World};
use relay::Peer;
use std::time::Duration;
use wire::{back, front};

/// Records of one input.
const RECORDS_MAX: usize = 300;
/// Clients at once.
const CLIENTS_MAX: usize = 6;

/// The input is a few bytes of set-up, then records: who, how many bytes, the bytes.
pub fn relay_bytes(data: &[u8]) {
    let Some((&[shape, choice, set_up], mut rest)) = data.split_first_chunk() else {
        return;
    };
    let mut world = World::new(1 + u16::from(set_up & 1), shape, choice, true);
    if set_up & 2 != 0 {
        logged_in(&mut world);
    }
    for _ in 0..RECORDS_MAX {
        let Some((&[who, len], after)) = rest.split_first_chunk() else {
            break;
        };
        let (bytes, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        record(&mut world, who, bytes);
        while world.read_mail() {}
        world.check();
    }
    world.come_to_rest();
}

/// Two clients are logged in, and one server connection is open.
fn logged_in(world: &mut World) {
    for _ in 0..2 {
        let place = world.accept(0);
        if let Some(client) = world.clients.get_mut(&place) {
            front::startup(
                &mut client.unread,
                0,
                [("user", "ann"), ("database", "app")],
            );
        }
        world.read_client(place, usize::MAX);
    }
    while world.read_mail() {}
    let servers: Vec<Place> = world.servers.keys().copied().collect();
    for place in servers {
        world.connected(place, true);
        if let Some(server) = world.servers.get_mut(&place) {
            back::auth_ok(&mut server.outbox);
            back::backend_key(&mut server.outbox, 1, b"key!");
            back::ready(&mut server.outbox, back::Status::Idle);
        }
        world.read_server(place, usize::MAX);
    }
}

fn nth<T>(places: impl ExactSizeIterator<Item = T>, n: u8) -> Option<T> {
    let len = places.len();
    let mut places = places;
    (len > 0)
        .then(|| places.nth(usize::from(n) % len))
        .flatten()
}

fn record(world: &mut World, who: u8, bytes: &[u8]) {
    let n = who >> 4;
    match who & 15 {
        0..=4 => {
            if let Some(place) = nth(world.clients.keys().copied(), n) {
                if let Some(client) = world.clients.get_mut(&place) {
                    client.raw(bytes);
                }
                world.read_client(place, usize::MAX);
            }
        }
        5..=9 => {
            if let Some(place) = nth(world.servers.keys().copied(), n) {
                if let Some(server) = world.servers.get_mut(&place) {
                    server.wild = true;
                    server.inbox.clear();
                    server.outbox.extend_from_slice(bytes);
                }
                world.read_server(place, usize::MAX);
            }
        }
        10 if world.clients.len() < CLIENTS_MAX => {
            let w = u16::from(n) % world.workers();
            let place = world.accept(w);
            if let Some(client) = world.clients.get_mut(&place) {
                client.raw(bytes);
            }
            world.read_client(place, usize::MAX);
        }
        11 => {
            if let Some(place) = nth(world.servers.keys().copied(), n) {
                world.connected(place, bytes.first() != Some(&0));
            }
        }
        12 => {
            let n = usize::from(n);
            let _ = world.end(n) | world.arrive(n) | world.end_cancel(n) | world.derive();
            world.console();
        }
        13 => world.pass(Duration::from_millis(u64::from(n) * 700)),
        14 => match (n & 1, bytes.len()) {
            (0, _) => {
                if let Some(place) = nth(world.clients.keys().copied(), n) {
                    world.client_gone(place);
                }
            }
            _ => {
                if let Some(place) = nth(world.servers.keys().copied(), n) {
                    world.server_gone(place, true);
                }
            }
        },
        _ => {
            let unsent = if bytes.is_empty() { 0 } else { 400 * 1024 };
            if let Some(place) = nth(world.servers.keys().copied(), n) {
                world.backlog(place.0, Peer::Server(place.1), unsent);
            }
        }
    }
}
