//! Settings whose value no text told: the server is asked before the lease ends.
//!
//! `set_config('app.user', $1, false)` changes the session, and only the server
//! knows to what. With the answer the setting follows the client like any
//! other, instead of keeping it on its connection.

use crate::client::{Client, Phase};
use crate::effects;
use crate::expect::{Expect, Purpose};
use crate::hub::Hub;
use crate::outbox::Peer;
use crate::requests::Io;
use crate::server::{Capture, Server};
use std::collections::BTreeSet;
use wire::{front, sql};

impl Hub {
    /// Asks for the settings that alone keep a client on its connection.
    pub(crate) fn ask_settings(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let Some(client) = self.clients.get_mut(server.link) else {
            return;
        };
        let Some(names) = client.ext.as_ref().and_then(|e| e.pins.only_settings()) else {
            return;
        };
        let calls: Vec<String> = names
            .map(|name| format!("pg_catalog.current_setting('{name}', true)"))
            .collect();
        let text = format!("SELECT {}", calls.join(", "));
        io.out
            .write(Peer::Server(slot), |v| front::query(v, text.as_bytes()));
        server.expected.push(Expect::OwnQuery(Purpose::Settings));
        server.capture = Some(Capture::default());
        server.unnamed = None;
        server.query_at = io.now;
        client.phase = Phase::Preparing;
    }

    /// The server answered, or could not.
    pub(crate) fn settings_told(&mut self, slot: u32, failed: bool, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let row = server.capture.take().and_then(Capture::first);
        let link = server.link;
        let Some(client) = self.clients.get_mut(link) else {
            return;
        };
        let names = client.extra().pins.take_settings();
        let values = row.filter(|row| !failed && row.len() == names.len());
        if !values.is_some_and(|values| learn_all(client, server, names, &values)) {
            client.extra().pins.keep();
        }
        client.phase = Phase::Ready;
        self.go_on(link, io);
    }
}

/// Takes the values in; false if one of them cannot be replayed.
fn learn_all(
    client: &mut Client,
    server: &mut Server,
    names: BTreeSet<Box<str>>,
    values: &[Option<Box<[u8]>>],
) -> bool {
    // In another encoding the same bytes could be another text where it is replayed.
    let own_encoding = client.params.value("client_encoding").is_none();
    let mut all = true;
    for (name, value) in names.iter().zip(values) {
        let Some(value) = value else { continue };
        match std::str::from_utf8(value) {
            Ok(text) if text.len() <= sql::VALUE_BYTES_MAX && (own_encoding || text.is_ascii()) => {
                effects::learn(client, server, name, text);
            }
            _ => all = false,
        }
    }
    all
}
