//! The pools' lock and the letters between workers, over many schedules: the
//! very file that the pooler runs, on locks that the scheduler controls.
//!
//! Each worker is a thread with clients of its own. It asks for connections,
//! holds them, gives them back, and does what the pool wants of it; with
//! nothing to do it sleeps until it is woken, without the tick that would hide
//! a lost wake-up for a while. A wake-up lost, or a waiter forgotten, is a
//! deadlock, which the scheduler reports.
#![allow(dead_code, clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "../src/letters.rs"]
mod letters;

mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use shuttle::sync::{Mutex, PoisonError};
}

use events::{ClientId, ConnId, FlowId, PoolId, Time, WorkerId};
use letters::{Letters, with_pools};
use pool::{Action, Checkin, Checkout, PoolSettings, Upstream, UpstreamSettings};
use shuttle::rand::Rng;
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;
use std::collections::{BTreeMap, VecDeque};

/// How often each client asks for a connection.
const ROUNDS: u32 = 2;
/// Clients of each worker.
const CLIENTS: u32 = 2;

enum Letter {
    Pool(Action),
    /// A connection for a client here.
    Arrival(ConnId, ClientId),
    Stop,
}

/// The one list of letters, or a broken one that the test must find out.
trait Post: Send + Sync + 'static {
    fn new() -> Self;
    fn post(&self, letter: Letter, wake: impl FnOnce());
    fn collect(&self, into: &mut Vec<Letter>);
}

impl Post for Letters<Letter> {
    fn new() -> Self {
        Letters::new()
    }
    fn post(&self, letter: Letter, wake: impl FnOnce()) {
        Letters::post(self, letter, wake);
    }
    fn collect(&self, into: &mut Vec<Letter>) {
        Letters::collect(self, into);
    }
}

/// A worker's box, with the counter of a system's waker.
struct Mailbox<P> {
    letters: P,
    woken: Mutex<bool>,
    bell: Condvar,
}

impl<P: Post> Mailbox<P> {
    fn post(&self, letter: Letter) {
        self.letters.post(letter, || {
            *self.woken.lock().expect("no panic") = true;
            self.bell.notify_one();
        });
    }

    fn sleep(&self) {
        let mut woken = self.woken.lock().expect("no panic");
        while !*woken {
            woken = self.bell.wait(woken).expect("no panic");
        }
        *woken = false;
    }
}

struct Shared<P> {
    pools: Mutex<Upstream>,
    boxes: Vec<Mailbox<P>>,
    /// Who has each connection, to see that it is never two. Not the
    /// scheduler's lock: it must not order what the code under test does not.
    holders: std::sync::Mutex<BTreeMap<(u32, u32), ClientId>>,
    /// Requests not served yet.
    left: Mutex<u32>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Idle,
    Waits,
    Holds(ConnId),
}

struct Worker<P> {
    id: WorkerId,
    pool: PoolId,
    shared: Arc<Shared<P>>,
    /// What this worker's clients do, and how often they still ask.
    clients: Vec<(State, u32)>,
    actions: VecDeque<Action>,
    /// Connections that live here, by slot.
    slots: Vec<Option<ConnId>>,
    stopped: bool,
}

impl<P: Post> Worker<P> {
    fn with<R>(&mut self, f: impl FnOnce(&mut Upstream, PoolId) -> R) -> R {
        let (id, pool, shared) = (self.id, self.pool, Arc::clone(&self.shared));
        let actions = &mut self.actions;
        with_pools(
            &shared.pools,
            |upstream| f(upstream, pool),
            |worker, action| match worker == id {
                true => actions.push_back(action),
                false => shared.boxes[usize::from(worker.0)].post(Letter::Pool(action)),
            },
        )
    }

    fn run(mut self) {
        let mut letters = Vec::new();
        let own = usize::from(self.id.0);
        while !self.stopped {
            for slot in 0..self.clients.len() {
                self.client_turn(slot);
                self.settle();
            }
            // As the loop does: letters once a turn, then sleep, unless a
            // client can go on.
            self.shared.boxes[own].letters.collect(&mut letters);
            for letter in letters.drain(..) {
                self.letter(letter);
                self.settle();
            }
            let goes_on = |client: &(State, u32)| match client {
                (State::Idle, rounds) => *rounds > 0,
                (state, _) => *state != State::Waits,
            };
            if !self.stopped && !self.clients.iter().any(goes_on) {
                self.shared.boxes[own].sleep();
            }
        }
    }

    fn client_turn(&mut self, slot: usize) {
        match self.clients[slot] {
            (State::Idle, 1..) => self.ask(slot),
            (State::Holds(conn), _) => self.give_back(slot, conn),
            _ => {}
        }
    }

    fn settle(&mut self) {
        while let Some(action) = self.actions.pop_front() {
            self.action(action);
        }
    }

    fn client(&self, slot: usize) -> ClientId {
        ClientId {
            worker: self.id,
            generation: 0,
            slot: slot as u32,
        }
    }

    fn ask(&mut self, slot: usize) {
        let client = self.client(slot);
        self.clients[slot].0 = State::Waits;
        match self.with(|u, pool| u.checkout(Time::ZERO, pool, client, FlowId(0))) {
            Checkout::Granted { conn, .. } => self.takes(client, conn),
            Checkout::Queued => {}
            Checkout::Refused(reason) => panic!("refused: {reason}"),
        }
    }

    fn takes(&mut self, client: ClientId, conn: ConnId) {
        assert!(self.slots.contains(&Some(conn)), "it lives elsewhere");
        let before = self
            .shared
            .holders
            .lock()
            .expect("no panic")
            .insert((conn.slot, conn.generation), client);
        assert_eq!(before, None, "{conn} is with two clients");
        let (state, rounds) = &mut self.clients[client.slot as usize];
        assert_eq!(*state, State::Waits, "served without having asked");
        *state = State::Holds(conn);
        *rounds -= 1;
    }

    fn give_back(&mut self, slot: usize, conn: ConnId) {
        let mut holders = self.shared.holders.lock().expect("no panic");
        assert_eq!(
            holders.remove(&(conn.slot, conn.generation)),
            Some(self.client(slot))
        );
        drop(holders);
        self.clients[slot].0 = State::Idle;
        if let Checkin::Close(_) = self.with(|u, _| u.checkin(Time::ZERO, conn, None)) {
            self.gone(conn);
        }
        let mut left = self.shared.left.lock().expect("no panic");
        *left -= 1;
        let over = *left == 0;
        drop(left);
        if over {
            for mailbox in &self.shared.boxes {
                mailbox.post(Letter::Stop);
            }
        }
    }

    /// The end of a connection that lived here.
    fn gone(&mut self, conn: ConnId) {
        for slot in &mut self.slots {
            if *slot == Some(conn) {
                *slot = None;
            }
        }
        self.with(|u, _| u.closed(Time::ZERO, conn));
    }

    fn place(&mut self, conn: ConnId) -> u32 {
        self.slots.push(Some(conn));
        self.slots.len() as u32 - 1
    }

    fn action(&mut self, action: Action) {
        match action {
            Action::Grant { client, conn, .. } => self.takes(client, conn),
            Action::Open { conn, .. } => {
                let (worker, slot) = (self.id, self.place(conn));
                self.with(|u, _| u.opened(Time::ZERO, conn, worker, slot));
            }
            Action::Handover { conn, slot, to, .. } => {
                assert_eq!(self.slots[slot as usize].take(), Some(conn));
                // Now and then it is found dead when it is to be sent.
                if shuttle::rand::thread_rng().gen_range(0..4) == 0 {
                    self.with(|u, _| u.closing(Time::ZERO, conn));
                    self.with(|u, _| u.closed(Time::ZERO, conn));
                } else {
                    let to_box = &self.shared.boxes[usize::from(to.worker.0)];
                    to_box.post(Letter::Arrival(conn, to));
                }
            }
            Action::Close { conn, .. } => self.gone(conn),
            Action::Refuse { reason, .. } => panic!("refused: {reason}"),
            Action::Reclaim { .. } => panic!("nothing was silent"),
            Action::Leave { .. } | Action::Oust { .. } => panic!("nothing moved"),
        }
    }

    fn letter(&mut self, letter: Letter) {
        match letter {
            Letter::Pool(action) => self.action(action),
            Letter::Arrival(conn, client) => {
                let (worker, slot) = (self.id, self.place(conn));
                if self.with(|u, _| u.arrived(Time::ZERO, conn, worker, slot, client)) {
                    self.takes(client, conn);
                }
            }
            Letter::Stop => self.stopped = true,
        }
    }
}

/// Workers with two clients each share fewer connections than there are clients.
fn model<P: Post>(workers: u16, size: u32) {
    let mut upstream = Upstream::new(UpstreamSettings {
        line: size,
        ..UpstreamSettings::default()
    });
    upstream.set_workers(workers);
    let pool = upstream.add_pool(PoolSettings {
        size,
        wait_timeout: None,
        idle_timeout: None,
        lifetime: None,
        ..PoolSettings::default()
    });
    let boxes = (0..workers).map(|_| Mailbox {
        letters: P::new(),
        woken: Mutex::new(false),
        bell: Condvar::new(),
    });
    let shared = Arc::new(Shared {
        pools: Mutex::new(upstream),
        boxes: boxes.collect(),
        holders: std::sync::Mutex::default(),
        left: Mutex::new(u32::from(workers) * CLIENTS * ROUNDS),
    });
    let threads: Vec<_> = (0..workers)
        .map(|id| {
            let worker = Worker {
                id: WorkerId(id),
                pool,
                shared: Arc::clone(&shared),
                clients: vec![(State::Idle, ROUNDS); CLIENTS as usize],
                actions: VecDeque::new(),
                slots: Vec::new(),
                stopped: false,
            };
            thread::spawn(move || worker.run())
        })
        .collect();
    for worker in threads {
        worker.join().expect("no panic");
    }
    let upstream = shared.pools.lock().expect("no panic");
    assert_eq!(upstream.check_invariants(), Ok(()));
    assert_eq!(upstream.figures(pool, Time::ZERO).waiting, 0);
    assert!(shared.holders.lock().expect("no panic").is_empty());
}

#[test]
fn everyone_is_served_and_no_connection_has_two_clients() {
    for (workers, size) in [(2, 1), (2, 2), (3, 2)] {
        shuttle::check_random(move || model::<Letters<Letter>>(workers, size), 1000);
        shuttle::check_pct(move || model::<Letters<Letter>>(workers, size), 500, 3);
    }
}

/// Wakes before the letter is there: the owner may look, find nothing, and sleep on.
struct WakesTooEarly(Mutex<Vec<Letter>>);

impl Post for WakesTooEarly {
    fn new() -> Self {
        WakesTooEarly(Mutex::new(Vec::new()))
    }
    fn post(&self, letter: Letter, wake: impl FnOnce()) {
        wake();
        self.0.lock().expect("no panic").push(letter);
    }
    fn collect(&self, into: &mut Vec<Letter>) {
        std::mem::swap(&mut *self.0.lock().expect("no panic"), into);
    }
}

/// The test sees what it is for: a planted lost wake-up is a deadlock.
#[test]
#[should_panic(expected = "deadlock")]
fn a_lost_wake_up_is_found() {
    shuttle::check_random(|| model::<WakesTooEarly>(2, 1), 20_000);
}
