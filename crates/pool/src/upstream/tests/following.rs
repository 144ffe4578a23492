//! A server moves: by its name, by what it says of itself, and back.

use super::monitor::{reads, watched};
use super::*;
use crate::budget::{MonitorStep, Reading};
use crate::figures::BudgetState;
use crate::moves::{Role, Sign, Unwanted};
use std::net::IpAddr;

fn ip(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

impl Stage {
    /// Connection `s{n}` logs in at the server with this last number.
    fn located(&mut self, n: u32, at: u8, role: Role) -> Option<Unwanted> {
        let refused = self.up.located(self.now, self.conn(n), Some(ip(at)), role);
        match refused {
            Some(_) => self.failed(n, false),
            None => self.opened(n),
        }
        refused
    }

    /// Clients 0, 1, … of worker 0 get connections at a primary.
    fn served_at(&mut self, at: u8, clients: u32) {
        for slot in 0..clients {
            assert_eq!(self.ask(A, 0, slot), "queued");
        }
        self.says();
        let opening = self
            .up
            .conns()
            .filter(|row| row.state == crate::ConnState::Opening);
        let opening: Vec<u32> = opening.map(|row| row.conn.slot).collect();
        for n in opening {
            assert_eq!(self.located(n, at, Role::Primary), None);
        }
        assert_eq!(self.says().matches("grant").count() as u32, clients);
    }

    fn named(&mut self, at: u8) {
        self.up.named(self.now, &[ip(at)]);
    }
}

#[test]
fn a_name_that_leads_elsewhere_closes_what_is_idle_and_drains_what_is_lent() {
    let mut s = Stage::new(90, &[plain(3)]);
    s.named(1);
    s.served_at(1, 3);
    assert_eq!((s.back(0), s.says()), ("kept".into(), String::new()));
    s.named(2);
    assert_eq!(s.says(), "close s0 server_moved, leave w0 [10.0.0.1]");
    let told = s.up.poll_move().expect("told once");
    assert_eq!((told.sign, told.idle, told.lent), (Sign::Name, 1, 2));
    assert_eq!((told.from, told.to), (vec![Some(ip(1))], vec![ip(2)]));
    assert_eq!(s.up.poll_move(), None);
    // What was left behind takes no place of the pool: all three are served.
    for slot in 10..13 {
        assert_eq!(s.ask(A, 0, slot), "queued");
    }
    assert_eq!(s.says(), "open s3 on w0, open s4 on w0, open s5 on w0");
    assert_eq!(s.back(1), "close server_moved");
    s.closed(1);
    assert_eq!(s.says(), "", "and frees none");
}

#[test]
fn what_is_still_lent_is_ended_once_the_new_server_serves() {
    let mut s = Stage::new(90, &[plain(2)]);
    s.named(1);
    s.served_at(1, 2);
    s.up.wrote(A);
    s.named(2);
    s.says();
    s.ask(A, 0, 7);
    assert_eq!(s.says(), "open s2 on w0");
    s.at(400);
    assert_eq!(s.says(), "", "nobody serves yet");
    assert_eq!(s.located(2, 2, Role::Primary), None);
    assert_eq!(s.says(), "oust s0 true, oust s1 true, grant s2 to c0.7");
    // The worker let one of them go on, and asks again until it is gone.
    s.up.closing(s.now, s.conn(0));
    s.at(700);
    assert_eq!(s.says(), "oust s1 true");
    assert_eq!(s.back(1), "close server_moved");
    s.at(2000);
    assert_eq!(s.says(), "");
}

#[test]
fn a_login_that_was_begun_at_the_old_address_is_not_taken() {
    let mut s = Stage::new(90, &[plain(2)]);
    s.named(1);
    s.served_at(1, 1);
    s.ask(A, 0, 7);
    assert_eq!(s.says(), "open s1 on w0");
    s.named(2);
    assert_eq!(s.says(), "leave w0 [10.0.0.1]");
    assert_eq!(s.located(1, 1, Role::Primary), Some(Unwanted::Left));
    s.at(200);
    assert_eq!(s.says(), "open s1 on w0", "the waiter waits on");
}

#[test]
fn who_writes_is_served_by_no_standby_and_who_reads_is() {
    let mut s = Stage::new(90, &[plain(2), plain(2)]);
    let patient = UpstreamSettings {
        line: 90,
        login_retry: ms(60_000),
        ..UpstreamSettings::default()
    };
    s.up.configure(s.now, patient);
    s.served_at(1, 1);
    s.up.wrote(A);
    // The old one is gone, and back as a standby, before the name says anything.
    s.closed(0);
    s.ask(A, 0, 7);
    s.ask(B, 0, 8);
    assert_eq!(s.says(), "open s0 on w0, open s1 on w0");
    assert_eq!(s.located(0, 1, Role::Standby), Some(Unwanted::Standby));
    assert_eq!(s.located(1, 1, Role::Standby), None);
    assert_eq!(s.says(), "grant s1 to c0.8");
    assert_eq!(s.up.poll_move().expect("told").sign, Sign::Login);
    // It is tried again soon, however long that lasts.
    for at in [3000, 6000, 9000] {
        s.at(at);
        assert_eq!(s.says(), "open s0 on w0", "at {at}");
        assert_eq!(s.located(0, 1, Role::Standby), Some(Unwanted::Standby));
        assert_eq!(s.up.poll_move(), None);
    }
    s.at(9600);
    assert_eq!(s.says(), "open s0 on w0");
    assert_eq!(s.located(0, 1, Role::Primary), None, "it was promoted");
    assert_eq!(s.says(), "grant s0 to c0.7");
}

#[test]
fn a_standby_that_never_was_a_primary_serves_whoever_asks() {
    let mut s = Stage::new(90, &[plain(2)]);
    s.up.wrote(A);
    s.ask(A, 0, 1);
    s.says();
    assert_eq!(s.located(0, 1, Role::Standby), None);
    s.says();
    s.up.read_only(s.now, s.conn(0));
    assert_eq!((s.back(0), s.up.poll_move()), ("kept".into(), None));
}

#[test]
fn an_error_of_a_standby_tells_that_the_pool_writes() {
    let table = [
        (Role::Primary, Role::Primary, "kept"),
        (Role::Primary, Role::Standby, "close server_moved"),
        (Role::Standby, Role::Standby, "kept"),
    ];
    for (before, now, expected) in table {
        let mut s = Stage::new(90, &[plain(2), plain(2)]);
        s.ask(B, 0, 1);
        s.says();
        assert_eq!(s.located(0, 1, before), None);
        s.ask(A, 0, 2);
        assert_eq!(s.says(), "grant s0 to c0.1, open s1 on w0");
        assert_eq!(s.located(1, 1, now), None);
        assert_eq!(s.says(), "grant s1 to c0.2");
        s.up.poll_move();
        s.up.read_only(s.now, s.conn(1));
        assert_eq!(s.back(1), expected, "{before:?}, then {now:?}");
    }
}

#[test]
fn the_monitor_reads_the_new_server_before_anything_is_opened_there() {
    let (mut s, monitor) = watched(&[plain(50)]);
    s.named(1);
    s.at(2);
    assert_eq!(s.says(), "open s0 on w0");
    assert_eq!(
        s.up.located(s.now, s.conn(0), Some(ip(1)), Role::Primary),
        None
    );
    reads(&mut s, monitor, 0, 100, 0);
    for slot in 0..40 {
        s.ask(A, 0, slot);
    }
    s.says();
    for n in 1..41 {
        assert_eq!(s.located(n, 1, Role::Primary), None);
    }
    s.says();
    s.named(2);
    let said = "close s0 server_moved, leave w0 [10.0.0.1], open s41 on w0";
    assert_eq!(s.says(), said, "the monitor's");
    s.at(10);
    for slot in 100..140 {
        s.ask(A, 0, slot);
    }
    assert_eq!(s.says(), "", "and nothing else");
    assert_eq!(s.up.budget().state, BudgetState::Asking);
    // A smaller server: 20 − 3 − 5 headroom − 1 for the monitor.
    assert_eq!(
        s.up.located(s.now, s.conn(41), Some(ip(2)), Role::Primary),
        None
    );
    s.opened(41);
    let granted =
        s.up.checkout(s.now, monitor, client(0, u32::MAX), events::FlowId(0));
    assert!(matches!(granted, Checkout::Granted { .. }));
    let MonitorStep::Ask(name) = s.up.monitor_step(s.now) else {
        panic!("nothing to ask");
    };
    let reading = Reading {
        max_connections: 20,
        superuser_reserved: 3,
        backends: 1,
        names: vec![name.into()],
        ..Reading::default()
    };
    s.up.monitor_heard(s.now, &reading);
    let f = s.up.budget();
    assert_eq!((f.state, f.parts.line), (BudgetState::Known, 11));
    let said = s.says();
    assert_eq!(said.matches("open").count(), 11, "{said}");
    assert_eq!(said.matches("oust").count(), 40, "{said}");
    // The end of the old one's monitor session is no news of the new one.
    s.closed(0);
    assert_eq!(s.up.budget().state, BudgetState::Known);
}

#[test]
fn the_monitor_finds_a_standby_where_a_primary_was() {
    let (mut s, monitor) = watched(&[plain(5)]);
    s.at(2);
    s.says();
    assert_eq!(
        s.up.located(s.now, s.conn(0), Some(ip(1)), Role::Unknown),
        None
    );
    reads(&mut s, monitor, 0, 100, 0);
    s.ask(A, 0, 1);
    s.ask(A, 0, 2);
    s.says();
    for n in 1..3 {
        assert_eq!(s.located(n, 1, Role::Unknown), None);
    }
    s.says();
    s.up.wrote(A);
    assert_eq!(s.back(1), "kept");
    s.at(2100);
    let MonitorStep::Ask(name) = s.up.monitor_step(s.now) else {
        panic!("nothing to ask");
    };
    let reading = Reading {
        max_connections: 100,
        backends: 3,
        in_recovery: true,
        names: vec![name.into()],
        ..Reading::default()
    };
    s.up.monitor_heard(s.now, &reading);
    assert_eq!(s.says(), "close s1 server_moved");
    assert_eq!(s.up.poll_move().expect("told").sign, Sign::Monitor);
    assert_eq!(s.back(2), "close server_moved");
}

#[test]
fn another_database_is_told_once() {
    let mut s = Stage::new(90, &[plain(1)]);
    let mut told = Vec::new();
    for system in [7, 7, 8, 8] {
        s.up.identified(system);
        told.extend(s.up.poll_other_database());
    }
    assert_eq!(told, [(7, 8)]);
}

#[test]
fn names_are_asked_while_somebody_needs_the_server() {
    let mut s = Stage::new(90, &[plain(1)]);
    assert!(!s.up.name_is_due(s.now), "nobody does");
    s.ask(A, 0, 1);
    s.says();
    assert!(s.up.name_is_due(s.now));
    assert_eq!(s.located(0, 1, Role::Primary), None);
    s.says();
    let asked = |s: &mut Stage, from: u64| {
        let looks = (0..100).filter(|n| {
            s.at(from + n * 100);
            s.up.name_is_due(s.now)
        });
        looks.count()
    };
    assert_eq!(asked(&mut s, 2000), 7);
    assert_eq!(s.back(0), "kept");
    assert_eq!(asked(&mut s, 12_000), 2, "nobody is served");
    s.closed(0);
    assert_eq!(asked(&mut s, 22_000), 0);
}
