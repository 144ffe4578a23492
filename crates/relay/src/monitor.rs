//! The monitor session: a connection of the pooler's own that reads the server's
//! limits, and states in its application_name what this instance holds.
//!
//! It is lent to the session for good, so that it is charged like any other. It
//! belongs to no client: it never waits in a queue and is never lent on.
//! Between its readings it measures ([`watched`]).

mod watched;

pub use watched::Watched;

use crate::directory::PoolKey;
use crate::expect::{Expect, Purpose};
use crate::hub::Hub;
use crate::outbox::Peer;
use crate::requests::Io;
use crate::server::{Capture, ServerPhase};
use events::{ClientId, CloseReason, ConnId, FlowId};
use pool::{Checkout, MonitorStep, Reading};
use watched::Due;
use wire::front;

/// No client has this slot.
const NOBODY: u32 = u32::MAX;

/// Most monitor rows read; [`READ`] states it once more.
const ROWS_MAX: usize = events::snapshot::VIEW_ROWS_MAX;

/// What the monitor session asks. The first row holds figures, each further one
/// the application_name of a session of the same role, and where it comes from.
///
/// Without pg_read_all_stats the kind of others' backends is hidden: then every
/// row with a database and a user counts, parallel workers too. Physical
/// replication has no database, and slots of its own.
const READ: &str = "WITH seen AS (SELECT usesysid, application_name, client_addr FROM pg_catalog.pg_stat_activity \
WHERE datid IS NOT NULL AND usesysid IS NOT NULL \
AND (backend_type IS NULL OR backend_type = 'client backend')) \
SELECT pg_catalog.current_setting('max_connections'), \
pg_catalog.current_setting('superuser_reserved_connections'), \
coalesce(pg_catalog.current_setting('reserved_connections', true), '0'), \
coalesce(pg_catalog.current_setting('rds.rds_superuser_reserved_connections', true), '0'), \
(SELECT pg_catalog.count(*)::text FROM seen), pg_catalog.pg_is_in_recovery()::int::text \
UNION ALL (SELECT application_name, pg_catalog.host(client_addr), NULL, NULL, NULL, NULL FROM seen \
WHERE usesysid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user) \
AND application_name LIKE 'plimsoll/%' LIMIT 256)";

/// Origins that are read where a ledger shares the line; PostgreSQL has fewer
/// connections than that. With more, some would be taken for gone: no reading.
const FROM_MAX: usize = 16_384;

/// What it asks where a ledger shares the line: the same, and then a row without a
/// name for each address with the number of its sessions, monitor sessions left out.
/// A session whose port is hidden comes from an address that is hidden too.
const READ_FROM: &str = "WITH seen AS (SELECT usesysid, application_name, client_addr, client_port FROM pg_catalog.pg_stat_activity WHERE datid IS NOT NULL AND usesysid IS NOT NULL AND (backend_type IS NULL OR backend_type = 'client backend')), \
marked AS (SELECT *, usesysid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user) AND application_name LIKE 'plimsoll/%' AS monitor FROM seen) SELECT pg_catalog.current_setting('max_connections'), pg_catalog.current_setting('superuser_reserved_connections'), coalesce(pg_catalog.current_setting('reserved_connections', true), '0'), coalesce(pg_catalog.current_setting('rds.rds_superuser_reserved_connections', true), '0'), (SELECT pg_catalog.count(*)::text FROM seen), pg_catalog.pg_is_in_recovery()::int::text, (SELECT pg_catalog.count(*)::text FROM marked WHERE NOT monitor AND client_port < 0), (SELECT pg_catalog.count(*)::text FROM marked WHERE NOT monitor AND client_port IS NULL) UNION ALL (SELECT application_name, pg_catalog.host(client_addr), NULL, NULL, NULL, NULL, NULL, NULL FROM marked WHERE monitor LIMIT 256) UNION ALL (SELECT NULL, pg_catalog.host(client_addr), pg_catalog.count(*)::text, NULL, NULL, NULL, NULL, NULL FROM marked WHERE NOT monitor AND client_addr IS NOT NULL GROUP BY client_addr LIMIT 16385)";

/// The monitor session of one server, as its worker keeps it.
#[derive(Debug)]
pub(crate) struct Monitor {
    key: PoolKey,
    slot: u32,
    conn: ConnId,
    /// The name to state with the next reading, which waits for the end of a
    /// measurement.
    ask: Option<(String, &'static str)>,
    due: Due,
}

impl Hub {
    /// A connection of a monitor's pool is up: the session takes it.
    pub(crate) fn monitor_up(&mut self, key: PoolKey, io: &mut Io<'_>) {
        let id = ClientId {
            worker: self.worker,
            generation: 0,
            slot: NOBODY,
        };
        let granted = io.pools.checkout(io.now, key, id, FlowId(0));
        let Checkout::Granted { conn, slot, .. } = granted else {
            io.pools.cancel_wait(io.now, key, id);
            return;
        };
        let Some(server) = self.servers.get_mut(slot).filter(|s| s.conn == conn) else {
            return;
        };
        server.phase = ServerPhase::Monitor;
        self.monitors.retain(|m| m.key != key);
        self.monitors.push(Monitor {
            key,
            slot,
            conn,
            ask: None,
            due: Due::default(),
        });
        self.monitor_turn(key, io);
    }

    /// What the monitor sessions of this worker are to do now.
    pub(crate) fn monitors_tick(&mut self, io: &mut Io<'_>) {
        let servers = &self.servers;
        let here = |m: &Monitor| {
            let server = servers.get(m.slot);
            server.is_some_and(|s| s.conn == m.conn && matches!(s.phase, ServerPhase::Monitor))
        };
        self.monitors.retain(here);
        for i in 0..self.monitors.len() {
            if let Some(key) = self.monitors.get(i).map(|m| m.key) {
                self.monitor_turn(key, io);
                self.monitor_measure(i, io);
            }
        }
    }

    fn monitor_turn(&mut self, key: PoolKey, io: &mut Io<'_>) {
        let Some(monitor) = self.monitors.iter_mut().find(|m| m.key == key) else {
            return;
        };
        match io.pools.monitor_step(io.now, key) {
            MonitorStep::Rest => {}
            MonitorStep::Close => {
                let slot = monitor.slot;
                let answers = self.servers.get(slot);
                let reason = match answers.is_some_and(|s| s.expected.is_empty()) {
                    true => CloseReason::ServerIdleTimeout,
                    false => CloseReason::ServerUnresponsive,
                };
                self.drop_server(slot, reason, io);
            }
            MonitorStep::Ask(name) => {
                monitor.ask = Some((name, READ));
                self.monitor_go_on(key, io);
            }
            MonitorStep::AskFrom(name) => {
                monitor.ask = Some((name, READ_FROM));
                self.monitor_go_on(key, io);
            }
        }
    }

    /// Asks what is to be asked, once what was asked before is answered.
    fn monitor_go_on(&mut self, key: PoolKey, io: &mut Io<'_>) {
        let Some(monitor) = self.monitors.iter_mut().find(|m| m.key == key) else {
            return;
        };
        let slot = monitor.slot;
        let busy = |s: &crate::server::Server| !s.expected.is_empty();
        if self.servers.get(slot).is_none_or(busy) {
            return;
        }
        if let Some((name, read)) = monitor.ask.take() {
            self.monitor_ask(slot, &name, read, io);
        }
    }

    fn monitor_ask(&mut self, slot: u32, name: &str, read: &str, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        server.query_at = io.now;
        server.capture = Some(Capture::rows(ROWS_MAX + FROM_MAX + 2));
        server.expected.push(Expect::OwnQuery(Purpose::Budget));
        // Our own name has no quote in it; doubled all the same.
        let text = format!(
            "SET application_name = '{}'; {read}",
            name.replace('\'', "''")
        );
        io.out
            .write(Peer::Server(slot), |v| front::query(v, text.as_bytes()));
    }

    /// The question was answered.
    pub(crate) fn monitor_done(&mut self, slot: u32, failed: bool, io: &mut Io<'_>) {
        let Some(server) = self.servers.get_mut(slot) else {
            return;
        };
        let key = server.pool.key;
        let capture = server.capture.take().unwrap_or_default();
        match reading(&capture).filter(|_| !failed) {
            Some(reading) => io.pools.monitor_heard(io.now, key, &reading),
            None => io.pools.monitor_failed(io.now, key),
        }
        self.monitor_turn(key, io);
    }
}

/// The figures of the first row, and the names of the others.
fn reading(capture: &Capture) -> Option<Reading> {
    let (first, names) = capture.all().split_first()?;
    let figure = |i: usize| -> Option<u32> {
        let text = first.get(i)?.as_deref()?;
        std::str::from_utf8(text).ok()?.parse().ok()
    };
    let (mut stated, mut places, mut from) = (Vec::new(), Vec::new(), Vec::new());
    for row in names {
        let text = |i: usize| std::str::from_utf8(row.get(i)?.as_deref()?).ok();
        let Some(name) = text(0) else {
            let place = text(1).and_then(|place| place.parse().ok());
            let count = text(2).and_then(|count| count.parse().ok());
            from.extend(place.zip(count));
            continue;
        };
        stated.push(name.into());
        // Nothing where it comes by a unix socket.
        places.push(text(1).and_then(|place| place.parse().ok()));
    }
    if from.len() > FROM_MAX {
        return None;
    }
    Some(Reading {
        max_connections: figure(0)?,
        superuser_reserved: figure(1)?,
        reserved: figure(2)?,
        provider_reserved: figure(3)?,
        backends: figure(4)?,
        in_recovery: figure(5) == Some(1),
        names: stated,
        places,
        from,
        local: figure(6).unwrap_or(0),
        hidden: figure(7).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<&str>]) -> Vec<u8> {
        let values: Vec<Option<&[u8]>> = values.iter().map(|v| v.map(str::as_bytes)).collect();
        let mut message = Vec::new();
        wire::back::data_row(&mut message, &values);
        message.split_off(wire::frame::HEADER)
    }

    #[test]
    fn a_reading_is_figures_and_names_or_nothing() {
        let figures = ["100", "3", "0", "2", "17"].map(Some);
        let table = [
            (vec![row(&figures)], Some((100, 17, 0))),
            (
                vec![row(&figures), row(&[Some("plimsoll/x"), None])],
                Some((100, 17, 1)),
            ),
            (
                vec![row(&figures), row(&[Some("plimsoll/x"), Some("10.0.0.7")])],
                Some((100, 17, 1)),
            ),
            (vec![row(&[Some("100"), None, None, None, None])], None),
            (vec![row(&[Some("-1"); 5])], None),
            (vec![row(&[Some("100")])], None),
            (vec![], None),
        ];
        for (rows, expected) in table {
            let mut capture = Capture::rows(ROWS_MAX + 1);
            rows.iter().for_each(|row| capture.take(row));
            let read = reading(&capture).map(|r| (r.max_connections, r.backends, r.names.len()));
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn the_question_has_the_bound_that_people_are_told_of() {
        assert!(READ.ends_with(&format!("LIMIT {ROWS_MAX})")));
        let told = events::snapshot::CROWDED;
        assert!(told.contains(&ROWS_MAX.to_string()));
    }

    #[test]
    fn sessions_are_read_with_the_address_that_they_come_from() {
        let figures = ["100", "3", "0", "2", "17"].map(Some);
        let mut capture = Capture::rows(ROWS_MAX + 1);
        for row in [
            row(&figures),
            row(&[Some("plimsoll/a"), Some("10.0.0.7"), None]),
            row(&[Some("plimsoll/b"), None, None]),
            row(&[Some("plimsoll/c"), Some("fd00::1"), None]),
            row(&[Some("plimsoll/d"), Some("nonsense"), None]),
        ] {
            capture.take(&row);
        }
        let read = reading(&capture).expect("a reading");
        let places = ["10.0.0.7", "", "fd00::1", ""].map(|p| p.parse().ok());
        assert_eq!((read.names.len(), read.places), (4, places.to_vec()));
    }

    #[test]
    fn more_rows_than_expected_are_dropped() {
        let mut capture = Capture::rows(2);
        (0..9).for_each(|_| capture.take(&row(&[Some("1")])));
        assert_eq!(capture.all().len(), 2);
    }
}
