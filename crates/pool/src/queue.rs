//! The waiters of one pool: who waits, since when, and who is next.
//!
//! A waiter is either queued (in its flow's list) or reserved (a connection is
//! on its way to it from another worker). Both kinds stand in one list by
//! arrival, which is also the order of their deadlines, and can be found by
//! client.

use crate::flows::Flows;
use crate::list::{Links, List, NIL};
use crate::tape::Mark;
use events::{ClientId, Time, WorkerId};
use std::time::Duration;

/// So many grants may pass a remote waiter, each to a younger waiter of its own
/// flow on the connection's worker.
pub const LOCAL_PASS_MAX: u8 = 8;
/// From the first such pass on, for so long. Handing a connection to another
/// worker costs two wake-ups; this is the most that saving them may cost a
/// client.
pub const LOCAL_PASS_TIME: Duration = Duration::from_millis(1);
/// A local waiter is looked for among so many of the oldest of the flow.
const LOCAL_WINDOW: usize = 16;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiter {
    pub client: ClientId,
    pub flow: u32,
    pub arrived: Time,
    /// Arrival number within the pool; ties in time cannot occur.
    pub seq: u64,
    /// The connection on its way to it; [`NIL`] while it is queued.
    pub reserved: u32,
    passed: u8,
    first_passed: Time,
    /// It would have been refused at once, had the guard not only watched: how
    /// many of its flow had given up by then.
    pub doomed: Option<u32>,
    /// Where its request is recorded.
    pub mark: Mark,
    used: bool,
    /// Next waiter in the same bucket of the index.
    bucket_next: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Queue {
    waiters: Vec<Waiter>,
    free: Vec<u32>,
    /// All waiters by arrival.
    by_age: List,
    age_links: Links,
    /// Links of the lists in [`Flow::waiters`](crate::flows::Flow).
    flow_links: Links,
    /// Buckets by client; a power of two, at least as many as there are waiters.
    buckets: Vec<u32>,
    pub flows: Flows,
    queued: u32,
    next_seq: u64,
}

/// Who is next, and how that was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pick {
    pub waiter: u32,
    /// Older waiters of its flow that it passes.
    pub passes: u32,
    pub overdue: bool,
}

impl Queue {
    pub fn new() -> Queue {
        Queue {
            waiters: Vec::new(),
            free: Vec::new(),
            by_age: List::EMPTY,
            age_links: Links::default(),
            flow_links: Links::default(),
            buckets: vec![NIL; 16],
            flows: Flows::new(),
            queued: 0,
            next_seq: 0,
        }
    }

    /// Waiters, queued and reserved.
    pub fn len(&self) -> u32 {
        self.by_age.len()
    }

    /// Waiters to whom no connection is on its way.
    pub fn queued(&self) -> u32 {
        self.queued
    }

    pub fn get(&self, i: u32) -> &Waiter {
        &self.waiters[i as usize]
    }

    /// The one that has waited longest, queued or reserved.
    pub fn oldest(&self) -> Option<u32> {
        self.by_age.first()
    }

    /// Waiters by arrival.
    pub fn by_age(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_age.iter(&self.age_links)
    }

    /// Queued waiters by arrival.
    pub fn queued_by_age(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_age()
            .filter(|i| self.waiters[*i as usize].reserved == NIL)
    }

    /// A new waiter, at the end of its flow. `flow` must exist.
    pub fn push(&mut self, now: Time, client: ClientId, flow: u32) -> u32 {
        let waiter = Waiter {
            client,
            flow,
            arrived: now,
            seq: self.next_seq,
            reserved: NIL,
            passed: 0,
            first_passed: Time::ZERO,
            doomed: None,
            mark: Mark::NONE,
            used: true,
            bucket_next: NIL,
        };
        self.next_seq += 1;
        let i = match self.free.pop() {
            Some(i) => {
                self.waiters[i as usize] = waiter;
                i
            }
            None => {
                self.waiters.push(waiter);
                self.age_links.grow();
                self.flow_links.grow();
                (self.waiters.len() - 1) as u32
            }
        };
        self.index(i);
        self.by_age.push_back(&mut self.age_links, i);
        self.flows.begins_to_wait(now, flow);
        self.flows
            .get_mut(flow)
            .waiters
            .push_back(&mut self.flow_links, i);
        self.queued += 1;
        self.head_changed(flow);
        i
    }

    /// The waiter's request is recorded.
    pub fn mark(&mut self, i: u32, mark: Mark) {
        self.waiters[i as usize].mark = mark;
    }

    /// The waiter would have been refused at once.
    pub fn doom(&mut self, i: u32) {
        let flow = self.waiters[i as usize].flow;
        self.waiters[i as usize].doomed = Some(self.flows.get(flow).gave_up);
    }

    /// Who gets a connection of `worker`; `None` for `worker` asks for the fair
    /// order alone. Counts the passes: the caller grants to the answer.
    pub fn pick(&mut self, now: Time, worker: Option<WorkerId>) -> Option<Pick> {
        let overdue = self.flows.overdue();
        let flow = overdue.or_else(|| self.flows.fairest())?;
        let overdue = overdue.is_some() && self.flows.fairest() != Some(flow);
        let list = self.flows.get(flow).waiters;
        let head = list.first()?;
        let first = &self.waiters[head as usize];
        let may_pass = first.passed < LOCAL_PASS_MAX
            && (first.passed == 0 || now.since(first.first_passed) <= LOCAL_PASS_TIME);
        let local = match worker {
            Some(worker) if may_pass => list
                .iter(&self.flow_links)
                .take(LOCAL_WINDOW)
                .position(|i| self.waiters[i as usize].client.worker == worker),
            _ => None,
        };
        let mut at = head;
        let passes = local.unwrap_or(0);
        for _ in 0..passes {
            let waiter = &mut self.waiters[at as usize];
            if waiter.passed == 0 {
                waiter.first_passed = now;
            }
            waiter.passed = waiter.passed.saturating_add(1);
            at = self.flow_links.next(at);
        }
        Some(Pick {
            waiter: at,
            passes: passes as u32,
            overdue,
        })
    }

    /// A queued waiter gets a connection at once and leaves. Its flow holds one more.
    pub fn take(&mut self, i: u32) -> Waiter {
        self.serve(i);
        self.free(i)
    }

    /// A connection is on its way to a queued waiter. Its flow holds one more.
    pub fn reserve(&mut self, i: u32, conn: u32) {
        self.serve(i);
        self.waiters[i as usize].reserved = conn;
    }

    fn serve(&mut self, i: u32) {
        let flow = self.waiters[i as usize].flow;
        self.flows.served(flow);
        self.flows.hold(flow);
        self.unqueue(i);
    }

    /// The connection of a reserved waiter arrived: the waiter leaves, its flow
    /// goes on holding it.
    pub fn finish(&mut self, i: u32) -> Waiter {
        self.free(i)
    }

    /// The connection of a reserved waiter was lost: back to where its arrival
    /// puts it in its flow.
    pub fn requeue(&mut self, i: u32) {
        let Waiter { flow, seq, .. } = self.waiters[i as usize];
        self.waiters[i as usize].reserved = NIL;
        let younger = {
            let list = self.flows.get(flow).waiters;
            list.iter(&self.flow_links)
                .find(|j| self.waiters[*j as usize].seq > seq)
        };
        let list = &mut self.flows.get_mut(flow).waiters;
        list.insert_before(&mut self.flow_links, i, younger.unwrap_or(NIL));
        self.queued += 1;
        self.head_changed(flow);
        self.flows.release(flow);
    }

    /// A waiter leaves without a connection. When one was on its way to it,
    /// `reserved` of the answer names it, and the flow holds one less.
    pub fn cancel(&mut self, i: u32) -> Waiter {
        let waiter = self.waiters[i as usize];
        let flow = self.flows.get_mut(waiter.flow);
        flow.gave_up = flow.gave_up.wrapping_add(1);
        if waiter.reserved == NIL {
            self.unqueue(i);
        } else {
            self.flows.release(waiter.flow);
        }
        self.free(i)
    }

    fn unqueue(&mut self, i: u32) {
        let flow = self.waiters[i as usize].flow;
        self.flows
            .get_mut(flow)
            .waiters
            .remove(&mut self.flow_links, i);
        self.queued -= 1;
        self.head_changed(flow);
    }

    fn free(&mut self, i: u32) -> Waiter {
        self.by_age.remove(&mut self.age_links, i);
        self.unindex(i);
        let waiter = &mut self.waiters[i as usize];
        waiter.used = false;
        let gone = *waiter;
        self.free.push(i);
        gone
    }

    fn head_changed(&mut self, flow: u32) {
        let head = self.flows.get(flow).waiters.first();
        self.flows
            .head_changed(flow, head.map(|i| self.waiters[i as usize].seq));
    }

    /// The waiter of a client.
    pub fn find(&self, client: ClientId) -> Option<u32> {
        let mut at = self.buckets[self.bucket(client)];
        while at != NIL {
            let waiter = &self.waiters[at as usize];
            if waiter.client == client {
                return Some(at);
            }
            at = waiter.bucket_next;
        }
        None
    }

    fn bucket(&self, client: ClientId) -> usize {
        let mixed = (client.slot ^ (u32::from(client.worker.0) << 24)).wrapping_mul(0x9E37_79B1);
        (mixed >> 7) as usize & (self.buckets.len() - 1)
    }

    fn index(&mut self, i: u32) {
        if self.waiters.len() > self.buckets.len() {
            let doubled = self.buckets.len() * 2;
            self.buckets.clear();
            self.buckets.resize(doubled, NIL);
            for j in 0..self.waiters.len() as u32 {
                if self.waiters[j as usize].used && j != i {
                    self.link_bucket(j);
                }
            }
        }
        self.link_bucket(i);
    }

    fn link_bucket(&mut self, i: u32) {
        let bucket = self.bucket(self.waiters[i as usize].client);
        self.waiters[i as usize].bucket_next = self.buckets[bucket];
        self.buckets[bucket] = i;
    }

    fn unindex(&mut self, i: u32) {
        let Waiter {
            client,
            bucket_next,
            ..
        } = self.waiters[i as usize];
        let bucket = self.bucket(client);
        if self.buckets[bucket] == i {
            self.buckets[bucket] = bucket_next;
            return;
        }
        let mut at = self.buckets[bucket];
        while at != NIL {
            let next = self.waiters[at as usize].bucket_next;
            if next == i {
                self.waiters[at as usize].bucket_next = bucket_next;
                return;
            }
            at = next;
        }
    }

    /// Every waiter is in exactly one place, and can be found.
    pub fn check(&self) -> Result<(), String> {
        let used = self.waiters.iter().filter(|w| w.used).count();
        if used != self.by_age.len() as usize {
            return Err(format!(
                "{used} waiters, {} in the list by age",
                self.by_age.len()
            ));
        }
        let mut seqs = Vec::new();
        let mut reserved = 0;
        for i in self.by_age() {
            let waiter = &self.waiters[i as usize];
            seqs.push(waiter.seq);
            if self.find(waiter.client) != Some(i) {
                return Err(format!("waiter {i} cannot be found by its client"));
            }
            reserved += u32::from(waiter.reserved != NIL);
        }
        if !seqs.is_sorted() {
            return Err("waiters are not in order of arrival".into());
        }
        let mut queued = 0;
        for flow in self.flows.waiting() {
            let mut last = None;
            for i in self.flows.get(*flow).waiters.iter(&self.flow_links) {
                let waiter = &self.waiters[i as usize];
                if !waiter.used
                    || waiter.flow != *flow
                    || waiter.reserved != NIL
                    || last >= Some(waiter.seq)
                {
                    return Err(format!(
                        "waiter {i} does not belong where it stands in flow {flow}"
                    ));
                }
                last = Some(waiter.seq);
                queued += 1;
            }
        }
        if queued != self.queued || queued + reserved != self.by_age.len() {
            return Err(format!(
                "{queued} waiters in flows, {} counted, {reserved} reserved",
                self.queued
            ));
        }
        self.flows.check()
    }
}
