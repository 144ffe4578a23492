//! A pool samples itself, and its size follows; or it only says so.

use super::*;
use crate::{AutoSettings, Service};
use events::{Guard, GuardMode, SizeReason};

const BOUNDS: AutoSettings = AutoSettings {
    floor: 2,
    ceiling: 40,
    server_cores: None,
    per_query: false,
};

fn auto(mode: GuardMode) -> PoolSettings {
    let mut settings = PoolSettings {
        auto: Some(BOUNDS),
        ..plain(7)
    };
    settings.guards.set(Guard::AutoSize, mode);
    settings
}

impl Stage {
    /// Half seconds in which each of so many clients holds a connection for
    /// ten milliseconds, again and again, and then waits for the next.
    fn half_seconds(&mut self, count: u32, clients: u32) {
        for _ in 0..count {
            for _ in 0..50 {
                self.round(clients);
            }
            self.up.sample(self.now);
            self.drain();
        }
    }

    fn round(&mut self, clients: u32) {
        let lent: Vec<ConnId> = self.conns_in(crate::ConnState::Lent);
        for conn in lent {
            if let Checkin::Close(_) = self.up.checkin(self.now, conn, None) {
                self.up.closed(self.now, conn);
            }
        }
        for slot in 0..clients {
            self.ask(A, 0, slot);
        }
        self.drain();
        let next = self.now.as_micros() / 1000 + 10;
        self.at(next);
        self.drain();
    }

    fn conns_in(&self, state: crate::ConnState) -> Vec<ConnId> {
        let of = self.up.conns().filter(|row| row.state == state);
        of.map(|row| row.conn).collect()
    }

    /// What the pool asks for is done at once.
    fn drain(&mut self) {
        while let Some(action) = self.up.poll() {
            match action {
                Action::Open { conn, worker, .. } => {
                    self.up.opened(self.now, conn, worker, conn.slot);
                }
                Action::Close { conn, .. } => self.up.closed(self.now, conn),
                _ => {}
            }
        }
    }

    fn size(&self) -> u32 {
        self.up.figures(A, self.now).size
    }
}

#[test]
fn waiting_clients_make_it_grow_and_the_line_ends_that() {
    let mut s = Stage::new(12, &[auto(GuardMode::Enforce)]);
    assert_eq!(s.size(), 2, "the floor, not the fixed size");
    s.half_seconds(30, 60);
    assert_eq!(s.size(), 12);
    assert!(s.up.charged() <= 12);
    let told: Vec<(u32, SizeReason, bool)> = std::iter::from_fn(|| s.up.poll_resized())
        .map(|r| (r.change.to, r.change.reason, r.acted))
        .collect();
    let first = (4, SizeReason::ClientsWait, true);
    assert_eq!(told.first(), Some(&first), "{told:?}");
}

#[test]
fn a_guard_that_observes_counts_and_keeps_the_fixed_size() {
    let mut s = Stage::new(40, &[auto(GuardMode::Observe)]);
    assert_eq!(s.size(), 7);
    s.half_seconds(20, 60);
    assert_eq!(s.size(), 7);
    let told =
        s.up.poll_resized()
            .expect("it says what it would have done");
    assert!(!told.acted && told.change.to > 7, "{told:?}");
    let mut s = Stage::new(40, &[auto(GuardMode::Off)]);
    s.half_seconds(20, 60);
    assert_eq!((s.size(), s.up.poll_resized()), (7, None), "off is off");
}

#[test]
fn a_reload_keeps_what_was_learned_within_the_new_bounds() {
    let mut s = Stage::new(40, &[auto(GuardMode::Enforce)]);
    s.half_seconds(30, 60);
    assert_eq!(s.size(), 40);
    let same = PoolSettings {
        queue_max: 99,
        ..auto(GuardMode::Enforce)
    };
    s.up.configure_pool(s.now, A, same);
    assert_eq!(s.size(), 40);
    let mut lower = auto(GuardMode::Enforce);
    lower.auto = Some(AutoSettings {
        ceiling: 9,
        ..BOUNDS
    });
    s.up.configure_pool(s.now, A, lower);
    assert_eq!(s.size(), 9);
    s.up.configure_pool(s.now, A, plain(5));
    assert_eq!(s.size(), 5, "fixed again");
    assert!(s.up.sizing(A).is_none());
}

#[test]
fn a_paused_pool_is_left_alone() {
    let mut s = Stage::new(40, &[auto(GuardMode::Enforce)]);
    s.up.pause(s.now, A);
    s.half_seconds(20, 60);
    assert_eq!(s.size(), 2);
}

#[test]
fn an_hour_is_recorded_for_advice() {
    let mut s = Stage::new(40, &[plain(20)]);
    assert!(s.up.record(A).is_none());
    s.half_seconds(50, 5);
    let rows = s.up.record(A).expect("a record").rows();
    assert_eq!(rows.len(), 2, "ten seconds each");
    let row = rows[0];
    assert!((row.held - 5.0).abs() < 0.3, "{row:?}");
    assert!((row.leases - 5000.0).abs() < 300.0, "{row:?}");
    assert_eq!((row.peak, row.size, row.late), (5, 20, 0));
}

#[test]
fn work_done_in_vain_is_no_throughput() {
    let mut s = Stage::new(40, &[plain(20)]);
    s.half_seconds(4, 5);
    let before = s.up.record(A).map(|_| ()).is_some();
    assert!(before);
    // From here on each lease ends with a cancelled statement.
    let mut in_vain = 0;
    for _ in 0..50 {
        in_vain += 250;
        let service = Service {
            queries: in_vain,
            in_vain,
            busy_us: 0,
        };
        s.up.note_service(A, WorkerId(0), service);
        s.half_seconds(1, 5);
    }
    let rows = s.up.record(A).expect("a record").rows();
    let last = rows.last().expect("a row");
    assert!(last.leases < 100.0, "{last:?}");
}

/// Throwing the switch must not cut a pool down to its floor in the middle of the day.
#[test]
fn a_reload_while_the_guard_only_watches_leaves_the_size_where_it_is() {
    let mut s = Stage::new(50, &[auto(GuardMode::Enforce)]);
    s.half_seconds(20, 12);
    let grown = s.size();
    assert!(grown > BOUNDS.floor, "{grown}");
    s.up.configure_pool(s.now, A, auto(GuardMode::Observe));
    assert_eq!(s.size(), grown);
    s.up.configure_pool(s.now, A, auto(GuardMode::Enforce));
    assert_eq!(s.size(), grown);
}

/// The stated line is 90; the server has room for seven.
#[test]
fn a_size_stays_below_the_line_that_the_server_has() {
    let (mut s, monitor) = super::monitor::watched(&[auto(GuardMode::Enforce)]);
    s.ask(A, 0, 1);
    assert!(matches!(s.up.poll(), Some(Action::Open { .. })), "its own");
    super::monitor::reads(&mut s, monitor, 0, 20, 4);
    s.half_seconds(1, 1);
    assert_eq!(s.up.line(), 8);
    s.half_seconds(60, 100);
    assert!((2..=8).contains(&s.size()), "{}", s.size());
}

fn stated(size: u32, mode: GuardMode) -> PoolSettings {
    PoolSettings {
        auto: None,
        beyond: Some(AutoSettings {
            ceiling: size,
            ..BOUNDS
        }),
        size,
        ..auto(mode)
    }
}

impl Stage {
    fn told(&mut self) -> Vec<(u32, u32, SizeReason, bool)> {
        let mut all = Vec::new();
        while let Some(r) = self.up.poll_resized() {
            all.push((r.change.from, r.change.to, r.change.reason, r.acted));
        }
        all
    }
}

#[test]
fn a_size_far_beyond_the_server_is_searched_for_below_the_line() {
    let mut s = Stage::new(40, &[stated(500, GuardMode::Enforce)]);
    assert_eq!(s.size(), 2, "the floor");
    s.half_seconds(60, 100);
    assert!((30..=40).contains(&s.size()), "{}", s.size());
    let told = s.told();
    let first = (500, 2, SizeReason::ServerCapacity, true);
    assert_eq!(told[0], first);
    let twice = told.iter().filter(|t| t.2 == first.2);
    assert_eq!(twice.count(), 1);
}

#[test]
fn a_size_a_little_beyond_the_server_is_only_clipped() {
    let mut s = Stage::new(40, &[stated(79, GuardMode::Enforce)]);
    s.half_seconds(10, 100);
    assert_eq!(s.size(), 79);
    assert_eq!(s.up.charged(), 40);
    assert_eq!(s.told(), []);
}

#[test]
fn a_guard_that_observes_leaves_a_size_beyond_the_server_and_says_what_it_would_do() {
    let mut s = Stage::new(40, &[stated(500, GuardMode::Observe)]);
    s.half_seconds(10, 100);
    assert_eq!(s.size(), 500);
    assert_eq!(s.up.charged(), 40);
    assert_eq!(s.told(), [(500, 2, SizeReason::ServerCapacity, false)]);
}

/// The server restarts with more; then its line is lowered while 60 are at work.
#[test]
fn the_server_s_own_limit_decides_and_nobody_who_is_served_is_cut_off() {
    let mut s = Stage::new(40, &[stated(500, GuardMode::Enforce)]);
    s.half_seconds(10, 2);
    s.told();
    let line = |line| UpstreamSettings {
        line,
        ..UpstreamSettings::default()
    };
    s.up.configure(s.now, line(499));
    assert_eq!(s.size(), 2, "still beyond");
    s.up.configure(s.now, line(500));
    assert_eq!(s.size(), 500);
    s.half_seconds(2, 60);
    assert_eq!(s.told(), [(2, 500, SizeReason::ServerCapacity, true)]);
    s.up.configure(s.now, line(251));
    assert_eq!(s.size(), 500, "not twice as many");
    s.up.configure(s.now, line(250));
    assert_eq!(s.size(), 60);
}

#[test]
fn only_a_reading_says_what_the_server_has() {
    let (mut s, monitor) = super::monitor::watched(&[stated(150, GuardMode::Enforce)]);
    s.ask(A, 0, 1);
    assert!(matches!(s.up.poll(), Some(Action::Open { .. })), "its own");
    assert_eq!(s.size(), 150, "not known yet");
    super::monitor::reads(&mut s, monitor, 0, 20, 4);
    assert_eq!(s.size(), 2);
}
