//! Replication: a client and the connection that is its own.

use super::{Stage, pool_info};
use crate::{PeerInfo, PoolInfo, PoolMode, Replication, Settings};
use events::ConnId;
use events::snapshot::Address;
use std::sync::Arc;
use std::time::Duration;
use wire::back::{self, Status};
use wire::front;

/// A pool for replication, with settings under which others would not get far.
fn stage(kind: Replication) -> Stage {
    let settings = Settings {
        strict_startup: true,
        query_timeout: Some(Duration::from_secs(1)),
        transaction_timeout: Some(Duration::from_secs(1)),
        ignore_startup: ["options".into()].into(),
        ..Settings::default()
    };
    let mut stage = Stage::with(0, PoolMode::Transaction, settings);
    stage.ports.info = Arc::new(PoolInfo {
        replication: kind,
        ..pool_info(PoolMode::Session)
    });
    stage
}

fn knock(stage: &mut Stage, replication: &str) -> u32 {
    let (addr, local_addr) = (Address::Unix, Address::Unix);
    let slot = stage.hub.accept(stage.now, PeerInfo { addr, local_addr });
    let mut hello = Vec::new();
    let params = [
        ("user", "u"),
        ("database", "d"),
        ("replication", replication),
        ("application_name", "standby"),
        ("options", "-c enable_seqscan=off"),
    ];
    front::startup(&mut hello, 0, params);
    stage.client_bytes(slot, &hello);
    slot
}

/// A connection is opened; the start-up packet that the server gets.
fn opened(stage: &mut Stage) -> String {
    let conn = ConnId {
        slot: 0,
        generation: 0,
    };
    let info = Arc::clone(&stage.ports.info);
    let slot = stage.hub.open(stage.now, conn, info);
    let unix = (Address::Unix, Address::Unix);
    stage.dispatch(&[], |hub, _, _, out| {
        hub.server_connected(slot, unix, "", None, out)
    });
    let packet = stage.at_server.remove(&slot).unwrap_or_default();
    let mut hello = Vec::new();
    back::auth_ok(&mut hello);
    back::parameter_status(&mut hello, "application_name", "standby");
    back::backend_key(&mut hello, 7, &[1, 2, 3, 4]);
    back::ready(&mut hello, Status::Idle);
    stage.server_bytes(slot, &hello);
    String::from_utf8_lossy(&packet).replace('\0', " ")
}

#[test]
fn the_login_ends_with_a_connection_that_stays_the_clients_own() {
    for (word, kind, sent) in [
        ("database", Replication::Logical, "replication database"),
        ("on", Replication::Physical, "replication true"),
    ] {
        let mut stage = stage(kind);
        let client = knock(&mut stage, word);
        assert_eq!(stage.client_got(client), "", "it waits for its connection");
        assert!(opened(&mut stage).contains(sent), "{word}");
        assert!(stage.client_got(client).ends_with("Z I"), "{word}");
        // What it asked for stood in the connection's start-up packet.
        stage.send(client, "Q IDENTIFY_SYSTEM");
        assert_eq!(stage.server_got(0), "Q IDENTIFY_SYSTEM");
        stage.answer(0, "T / D / C SELECT / Z I");
        assert_eq!(stage.client_got(client), "T / D / C SELECT / Z I");
        stage.send(client, "Q START_REPLICATION 0/0");
        assert_eq!(stage.server_got(0), "Q START_REPLICATION 0/0");
        stage.answer(0, "W / d");
        assert_eq!(stage.client_got(client), "W / d");
        stage.pass(10);
        stage.send(client, "d");
        stage.answer(0, "d");
        assert_eq!(
            (stage.server_got(0), stage.client_got(client)),
            ("d".into(), "d".into())
        );
        // Its end is the connection's.
        stage.send(client, "c / X");
        assert_eq!(stage.server_got(0), "c");
        let ends = [
            "c0 client_terminate".to_owned(),
            "s0 server_lifetime".to_owned(),
        ];
        assert_eq!(stage.closed, ends, "{word}");
    }
}

#[test]
fn one_that_leaves_at_rest_leaves_no_connection_behind() {
    let mut stage = stage(Replication::Logical);
    let client = knock(&mut stage, "database");
    opened(&mut stage);
    stage.client_got(client);
    stage.send(client, "X");
    assert_eq!(stage.server_got(0), "", "nothing is reset");
    assert_eq!(
        stage.closed.last().map(String::as_str),
        Some("s0 server_lifetime")
    );
    assert!(stage.ports.idle.is_empty());
}

#[test]
fn words_for_replication() {
    for (word, kind) in [
        ("database", Some(Replication::Logical)),
        ("DATABASE", Some(Replication::Logical)),
        ("true", Some(Replication::Physical)),
        ("Yes", Some(Replication::Physical)),
        ("1", Some(Replication::Physical)),
        ("off", Some(Replication::None)),
        ("0", Some(Replication::None)),
        ("", None),
        ("maybe", None),
    ] {
        assert_eq!(Replication::read(word), kind, "{word}");
    }
    let mut stage = stage(Replication::Logical);
    let client = knock(&mut stage, "maybe");
    assert_eq!(stage.client_got(client), "E 08P01");
    assert_eq!(stage.closed, ["c0 client_refused"]);
}
