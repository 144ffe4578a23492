//! Who asks, and when.

use super::{AGENTS_MAX, Agent, Doing, Event, REFUSED_PAUSE_US, World};
use crate::predict::model::{Actor, Level, Play, Step};
use events::{ClientId, WorkerId};
use pool::Checkout;

impl<'a> World<'a> {
    /// A piece begins, drawn from all: its clients turn to it, each when it is free.
    pub(super) fn begin(&mut self) {
        let level: &'a Level = self.s.level;
        self.play = self.rng.below(level.plays.len() as u64) as usize;
        self.began = self.now;
        let Some(play) = level.plays.get(self.play) else {
            return;
        };
        for (at, actor) in play.actors.iter().enumerate() {
            if actor.client.is_none() && self.agents.len() - self.free.len() >= AGENTS_MAX {
                continue;
            }
            let agent = match actor.client.map(|client| client as usize) {
                None => self.agent(actor.flow as usize, false),
                Some(client) => match self.regulars.get(client) {
                    Some(agent) if *agent != u32::MAX => *agent,
                    _ => {
                        let agent = self.agent(actor.flow as usize, true);
                        self.regulars[client] = agent;
                        agent
                    }
                },
            };
            let a = &mut self.agents[agent as usize];
            (a.play, a.actor, a.step, a.began) = (self.play, at, 0, self.now);
            if a.doing == Doing::Pausing {
                self.plan(agent, 0);
            }
        }
        self.at(self.now + play.span_us, Event::Begin);
    }

    pub(super) fn agent(&mut self, flow: usize, stays: bool) -> u32 {
        let agent = Agent {
            flow,
            play: 0,
            actor: 0,
            step: 0,
            began: 0,
            units: 1.0,
            generation: 0,
            plan: 0,
            doing: Doing::Pausing,
            stays,
        };
        match self.free.pop() {
            Some(at) => {
                let old = self.agents[at as usize];
                self.agents[at as usize] = Agent {
                    generation: old.generation + 1,
                    plan: old.plan + 1,
                    ..agent
                };
                at
            }
            None => {
                self.agents.push(agent);
                self.agents.len() as u32 - 1
            }
        }
    }

    /// Plans an agent's next step, not before so long; a client without one leaves,
    /// or pauses until a piece begins in which it was seen.
    pub(super) fn plan(&mut self, agent: u32, least: u64) {
        let a = self.agents[agent as usize];
        let plays: &'a [Play] = &self.s.level.plays;
        let actor = plays.get(a.play).and_then(|play| play.actors.get(a.actor));
        let step = actor.and_then(|actor| Some((actor, actor.steps.get(a.step)?)));
        let Some((actor, step)) = step else {
            match actor.filter(|_| a.stays) {
                Some(actor) => self.go_on(agent, actor, least),
                None if a.stays => {}
                None => {
                    self.agents[agent as usize].plan += 1;
                    self.free.push(agent);
                }
            }
            return;
        };
        // The clock for those who follow one, and where a piece begins.
        let at = match a.step == 0 || actor.paced {
            true => (a.began + step.at_us).max(self.now + least),
            false => self.now + u64::from(step.pause_us).max(least),
        };
        let units = self.units(&actor.steps, step);
        let a = &mut self.agents[agent as usize];
        a.step += 1;
        a.plan += 1;
        a.units = units;
        let event = Event::Ask(agent, a.plan);
        self.at(at, event);
    }

    /// A client has done sooner than it did then all that it was seen to do: it
    /// pauses for at least as long as it was seen to at the end, and goes on.
    fn go_on(&mut self, agent: u32, actor: &Actor, least: u64) {
        let from = actor.pauses.partition_point(|p| *p < actor.silent_us);
        let longer = actor.pauses.get(from..).unwrap_or_default();
        if actor.paced || actor.pauses.is_empty() {
            return;
        }
        let drawn = self.rng.below(longer.len() as u64) as usize;
        let pause = longer.get(drawn).copied().unwrap_or(actor.silent_us);
        let step = self.rng.below(actor.steps.len() as u64) as usize;
        let units = actor.steps.get(step).map_or(1.0, |step| step.units);
        let a = &mut self.agents[agent as usize];
        a.step = step + 1;
        a.plan += 1;
        a.units = units;
        let event = Event::Ask(agent, a.plan);
        self.at(self.now + u64::from(pause).max(least), event);
    }

    /// How long a step holds: as it was, or as another one of the same client, so
    /// that runs differ as hours do.
    fn units(&mut self, steps: &[Step], step: &Step) -> f32 {
        if self.rng.below(2) == 0 {
            return step.units;
        }
        let at = self.rng.below(steps.len() as u64) as usize;
        steps.get(at).map_or(step.units, |other| other.units)
    }

    pub(super) fn ask(&mut self, agent: u32) {
        let now = self.now;
        let a = &mut self.agents[agent as usize];
        a.doing = Doing::Waiting(now);
        let (flow, generation) = (a.flow, a.generation);
        let pool = self.s.level.flows[flow].0;
        self.came += 1;
        self.out[pool].came += 1;
        let Some(id) = self.pools[pool] else {
            return self.refused(agent);
        };
        let client = ClientId {
            worker: WorkerId(0),
            generation,
            slot: agent,
        };
        match self.up.checkout(self.time(), id, client, self.flows[flow]) {
            Checkout::Granted { conn, .. } => self.lend(agent, conn),
            Checkout::Queued => {}
            Checkout::Refused(_) => self.refused(agent),
        }
    }

    pub(super) fn refused(&mut self, agent: u32) {
        let a = &mut self.agents[agent as usize];
        a.doing = Doing::Pausing;
        self.out[self.s.level.flows[a.flow].0].refused += 1;
        self.plan(agent, REFUSED_PAUSE_US);
    }
}
