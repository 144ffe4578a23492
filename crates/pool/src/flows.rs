//! The flows of one pool, and whose turn it is.
//!
//! A flow is one (user, application). Two orders are kept over the flows that
//! have waiters: a heap by (connections held for its weight, age of the oldest
//! waiter), which is the fair order; and a list by the time since a flow was
//! last served, which bounds how long the fair order may leave one out.

use crate::list::{Links, List, NIL};
use crate::predict::{Evidence, Recent};
use crate::rules::{FlowRules, WEIGHT_MAX};
use events::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Flows kept apart in one pool. Further ones share one flow, because the
/// names are chosen by clients.
pub const FLOWS_MAX: usize = 1024;

/// A flow with waiters that got nothing for so many grants of its pool comes
/// before the fair order. Several such flows come in the order in which they
/// were last served, so that with `n` waiting flows no flow is passed over by
/// more than `FLOW_PASS_MAX + n` grants.
///
/// The bound is per flow and not per waiter on purpose: if each waiter had it,
/// a flow with a thousand waiters would be served before all others as soon as
/// they had waited long enough, and the fair order would be gone when it is
/// needed most.
pub const FLOW_PASS_MAX: u64 = 64;

/// The shared flow for names beyond [`FLOWS_MAX`]; always there.
pub(crate) const OTHER: u32 = 0;

#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// `None` for the shared flow and for free slots.
    key: Option<Box<str>>,
    used: bool,
    /// Clients that belong to it.
    refs: u32,
    /// Connections lent to its clients or on their way to them.
    pub held: u32,
    /// Its waiters, oldest first.
    pub waiters: List,
    /// Arrival number of the oldest waiter: the heap's second key.
    pub head_seq: u64,
    /// Position in the heap; [`NIL`] when nobody waits.
    heap_at: u32,
    /// The pool's grant counter when this flow was last served or began to wait.
    served_at: u64,
    /// Its share against others, ≥ 1.
    weight: u32,
    /// Its own longest wait, where a rule gives one.
    pub wait_timeout: Option<Option<Duration>>,
    /// Grants to its waiters of late.
    recent: Recent,
    /// How long its clients held a connection, on average of late, and how many
    /// returned one since it waits.
    hold_us: u64,
    returns: u32,
    /// The wait for which a client of it was last refused at once.
    pub foreseen: Duration,
    /// Its waiters that left without a connection.
    pub gave_up: u32,
}

/// The mean time held follows the last so many returns.
const HOLD_SAMPLES: u32 = 16;

impl Flow {
    fn new(key: Option<Box<str>>) -> Flow {
        Flow {
            key,
            used: true,
            refs: 0,
            held: 0,
            waiters: List::EMPTY,
            head_seq: 0,
            heap_at: NIL,
            served_at: 0,
            weight: 1,
            wait_timeout: None,
            recent: Recent::default(),
            hold_us: 0,
            returns: 0,
            foreseen: Duration::ZERO,
            gave_up: 0,
        }
    }

    /// A client of it returned a connection that it held for so long.
    fn returned(&mut self, hold: Duration) {
        let us = u64::try_from(hold.as_micros()).unwrap_or(u64::MAX);
        self.returns = self.returns.saturating_add(1);
        let samples = u64::from(self.returns.min(HOLD_SAMPLES));
        self.hold_us = match us >= self.hold_us {
            true => self.hold_us + (us - self.hold_us) / samples,
            false => self.hold_us - (self.hold_us - us) / samples,
        };
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Flows {
    flows: Vec<Flow>,
    free: Vec<u32>,
    keys: BTreeMap<Box<str>, u32>,
    heap: Vec<u32>,
    turns: List,
    turn_links: Links,
    /// Grants to waiters so far.
    grants: u64,
    rules: Arc<FlowRules>,
    /// Weights of the flows that have waiters.
    waiting_weight: u32,
    /// The shortest wait that a rule gave to a flow here, were it ever so long ago.
    own_wait_min: Option<Duration>,
    /// A flow has a longest wait of its own, or had one.
    own_waits: bool,
}

impl Flows {
    pub fn new() -> Flows {
        let mut turn_links = Links::default();
        turn_links.grow();
        Flows {
            flows: vec![Flow::new(None)],
            free: Vec::new(),
            keys: BTreeMap::new(),
            heap: Vec::new(),
            turns: List::EMPTY,
            turn_links,
            grants: 0,
            rules: Arc::default(),
            waiting_weight: 0,
            own_wait_min: None,
            own_waits: false,
        }
    }

    /// New rules, for the flows that are there and those to come.
    pub fn set_rules(&mut self, rules: &Arc<FlowRules>) {
        if self.rules == *rules {
            return;
        }
        self.rules = Arc::clone(rules);
        self.own_wait_min = None;
        self.own_waits = false;
        for id in 0..self.flows.len() as u32 {
            self.apply_rule(id);
        }
        self.waiting_weight = self.heap.iter().map(|id| self.get(*id).weight).sum();
        let waiting = std::mem::take(&mut self.heap);
        for id in waiting {
            self.flows[id as usize].heap_at = self.heap.len() as u32;
            self.heap.push(id);
            self.settle(id);
        }
    }

    fn apply_rule(&mut self, id: u32) {
        let flow = &mut self.flows[id as usize];
        let Some(key) = flow.key.as_deref() else {
            return;
        };
        let rule = self.rules.of(key);
        flow.weight = rule.weight.unwrap_or(1).clamp(1, WEIGHT_MAX);
        flow.wait_timeout = rule.wait_timeout;
        self.own_waits |= rule.wait_timeout.is_some();
        if let Some(Some(wait)) = rule.wait_timeout {
            self.own_wait_min = Some(self.own_wait_min.map_or(wait, |min| min.min(wait)));
        }
    }

    /// Whether the pool's longest wait holds for every flow.
    pub fn wait_alike(&self) -> bool {
        !self.own_waits
    }

    /// A lower bound of the flows' own longest waits.
    pub fn own_wait_min(&self) -> Option<Duration> {
        self.own_wait_min
    }

    /// What is known about the wait of a client that joins a flow now, where
    /// the pool has, or may have, so many connections.
    pub fn evidence(&mut self, now: Time, id: u32, connections: u32) -> Evidence {
        let weights = self.waiting_weight;
        let flow = &mut self.flows[id as usize];
        flow.recent.roll(now);
        let others = match flow.heap_at {
            NIL => weights,
            _ => weights - flow.weight,
        };
        let fair =
            u64::from(connections) * u64::from(flow.weight) / u64::from(others + flow.weight);
        let (before, grants) = flow.recent.before;
        Evidence {
            ahead: flow.waiters.len(),
            grants: grants + flow.recent.grants,
            span: before + now.since(flow.recent.since),
            returns: flow.returns,
            hold: Duration::from_micros(flow.hold_us),
            share: u32::try_from(fair)
                .unwrap_or(u32::MAX)
                .max(flow.held)
                .max(1),
        }
    }

    /// The flow of that name, with one more client in it.
    pub fn join(&mut self, key: &str) -> u32 {
        let id = match self.keys.get(key) {
            Some(id) => *id,
            None if self.keys.len() >= FLOWS_MAX => OTHER,
            None => self.create(key),
        };
        self.flows[id as usize].refs += 1;
        id
    }

    fn create(&mut self, key: &str) -> u32 {
        let flow = Flow::new(Some(key.into()));
        let id = match self.free.pop() {
            Some(id) => {
                self.flows[id as usize] = flow;
                id
            }
            None => {
                self.flows.push(flow);
                self.turn_links.grow();
                (self.flows.len() - 1) as u32
            }
        };
        self.keys.insert(key.into(), id);
        self.apply_rule(id);
        id
    }

    /// Clients in all flows.
    pub fn clients(&self) -> u32 {
        self.flows.iter().map(|flow| flow.refs).sum()
    }

    /// The flows that are there, by their ids; the shared one has no key.
    pub fn keys(&self) -> impl Iterator<Item = (u32, Option<&str>)> {
        let used = self.flows.iter().enumerate().filter(|(_, flow)| flow.used);
        used.map(|(id, flow)| (id as u32, flow.key.as_deref()))
    }

    /// One client less.
    pub fn leave(&mut self, id: u32) {
        let id = self.checked(id);
        let flow = &mut self.flows[id as usize];
        flow.refs = flow.refs.saturating_sub(1);
        self.free_if_unused(id);
    }

    /// `id`, or the shared flow when there is no such flow.
    pub fn checked(&self, id: u32) -> u32 {
        match self.flows.get(id as usize) {
            Some(flow) if flow.used => id,
            _ => OTHER,
        }
    }

    fn free_if_unused(&mut self, id: u32) {
        let flow = &mut self.flows[id as usize];
        if id == OTHER || flow.refs > 0 || flow.held > 0 || !flow.waiters.is_empty() || !flow.used {
            return;
        }
        flow.used = false;
        if let Some(key) = flow.key.take() {
            self.keys.remove(&key);
        }
        self.free.push(id);
    }

    pub fn get(&self, id: u32) -> &Flow {
        &self.flows[id as usize]
    }

    pub fn get_mut(&mut self, id: u32) -> &mut Flow {
        &mut self.flows[id as usize]
    }

    /// The name that the flow was joined by; `None` for the shared one.
    pub fn key(&self, id: u32) -> Option<&str> {
        self.flows.get(id as usize)?.key.as_deref()
    }

    pub fn hold(&mut self, id: u32) {
        let flow = &mut self.flows[id as usize];
        flow.held += 1;
        if flow.heap_at != NIL {
            self.settle(id);
        }
    }

    /// A client gives back what it held for so long. Only while others of its
    /// flow wait does anybody need to know: an idle pool pays nothing for it.
    #[inline]
    pub fn returned(&mut self, id: u32, hold: Duration) {
        let flow = &mut self.flows[id as usize];
        if flow.heap_at != NIL {
            flow.returned(hold);
        }
        self.release(id);
    }

    #[inline]
    pub fn release(&mut self, id: u32) {
        let flow = &mut self.flows[id as usize];
        debug_assert!(flow.held > 0, "a flow returned more than it held");
        flow.held = flow.held.saturating_sub(1);
        if flow.heap_at != NIL {
            self.settle(id);
        } else if flow.refs == 0 {
            self.free_if_unused(id);
        }
    }

    /// The flow's waiters changed: `head_seq` is its oldest waiter's number,
    /// `None` when nobody waits any more.
    pub fn head_changed(&mut self, id: u32, head_seq: Option<u64>) {
        let flow = &mut self.flows[id as usize];
        match head_seq {
            Some(seq) => {
                flow.head_seq = seq;
                if flow.heap_at == NIL {
                    flow.heap_at = self.heap.len() as u32;
                    flow.served_at = self.grants;
                    self.waiting_weight += flow.weight;
                    self.heap.push(id);
                    self.turns.push_back(&mut self.turn_links, id);
                }
                self.settle(id);
            }
            None if flow.heap_at != NIL => {
                let at = std::mem::replace(&mut flow.heap_at, NIL) as usize;
                self.waiting_weight -= flow.weight;
                self.heap.swap_remove(at);
                if let Some(moved) = self.heap.get(at).copied() {
                    self.flows[moved as usize].heap_at = at as u32;
                    self.settle(moved);
                }
                self.turns.remove(&mut self.turn_links, id);
                self.free_if_unused(id);
            }
            None => self.free_if_unused(id),
        }
    }

    /// One waiter of this flow gets a connection: counts the grant, and the
    /// flow goes to the end of the turns. Called before the waiter is removed.
    pub fn served(&mut self, id: u32) {
        self.grants += 1;
        let flow = &mut self.flows[id as usize];
        flow.served_at = self.grants;
        flow.recent.grants += 1;
        self.turns.remove(&mut self.turn_links, id);
        self.turns.push_back(&mut self.turn_links, id);
    }

    /// A flow begins to wait, or waits again: what it saw before is over.
    pub fn begins_to_wait(&mut self, now: Time, id: u32) {
        let flow = &mut self.flows[id as usize];
        if flow.heap_at == NIL {
            flow.recent = Recent::from(now);
            flow.returns = 0;
        }
    }

    /// The flow that has got nothing for too long, if there is one.
    pub fn overdue(&self) -> Option<u32> {
        let id = self.turns.first()?;
        (self.grants - self.flows[id as usize].served_at >= FLOW_PASS_MAX).then_some(id)
    }

    /// The flow whose turn it is by the fair order.
    pub fn fairest(&self) -> Option<u32> {
        self.heap.first().copied()
    }

    /// Flows that have waiters.
    pub fn waiting(&self) -> &[u32] {
        &self.heap
    }

    fn before(&self, a: u32, b: u32) -> bool {
        let (a, b) = (&self.flows[a as usize], &self.flows[b as usize]);
        // held ÷ weight, without a division.
        let held = |x: &Flow, y: &Flow| u64::from(x.held) * u64::from(y.weight);
        (held(a, b), a.head_seq) < (held(b, a), b.head_seq)
    }

    fn swap(&mut self, i: usize, j: usize) {
        self.heap.swap(i, j);
        self.flows[self.heap[i] as usize].heap_at = i as u32;
        self.flows[self.heap[j] as usize].heap_at = j as u32;
    }

    /// Moves a flow of the heap to where its keys belong.
    fn settle(&mut self, id: u32) {
        let mut at = self.flows[id as usize].heap_at as usize;
        while at > 0 && self.before(self.heap[at], self.heap[(at - 1) / 2]) {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.before(self.heap[child], self.heap[least]) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.swap(at, least);
            at = least;
        }
    }

    /// The flows that hold connections, by their keys.
    pub fn holders(&self) -> impl Iterator<Item = (&str, u32)> {
        let holding = self.flows.iter().filter(|flow| flow.held > 0);
        holding.filter_map(|flow| Some((flow.key.as_deref()?, flow.held)))
    }

    /// Connections held by all flows.
    pub fn total_held(&self) -> u32 {
        self.flows.iter().map(|flow| flow.held).sum()
    }

    /// Heap order, back pointers and counts agree.
    pub fn check(&self) -> Result<(), String> {
        for (at, id) in self.heap.iter().enumerate() {
            let flow = &self.flows[*id as usize];
            if flow.heap_at as usize != at {
                return Err(format!(
                    "flow {id} stands at {at}, believes {}",
                    flow.heap_at
                ));
            }
            if at > 0 && self.before(*id, self.heap[(at - 1) / 2]) {
                return Err(format!("heap order is broken at {at}"));
            }
        }
        for (id, flow) in self.flows.iter().enumerate() {
            if flow.waiters.is_empty() != (flow.heap_at == NIL) {
                return Err(format!(
                    "flow {id}: {} waiters, in heap {}",
                    flow.waiters.len(),
                    flow.heap_at != NIL
                ));
            }
            if !flow.used && (flow.held > 0 || flow.refs > 0) {
                return Err(format!("flow {id} was freed while in use"));
            }
        }
        let weights: u32 = self.heap.iter().map(|id| self.get(*id).weight).sum();
        if weights != self.waiting_weight {
            return Err(format!(
                "waiting flows weigh {weights}, {} believed",
                self.waiting_weight
            ));
        }
        if self.turns.len() as usize != self.heap.len() {
            return Err(format!(
                "{} flows have turns, {} wait",
                self.turns.len(),
                self.heap.len()
            ));
        }
        let turns: Vec<u64> = self
            .turns
            .iter(&self.turn_links)
            .map(|id| self.flows[id as usize].served_at)
            .collect();
        if !turns.is_sorted() {
            return Err("turns are out of order".into());
        }
        Ok(())
    }
}
