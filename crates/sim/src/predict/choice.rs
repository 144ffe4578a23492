//! Settings as a prediction needs them: few plain values, which travel to the
//! child process.

use config::{Plan, PoolMode, PoolSize};
use events::shape::{PoolShape, ServerShape};
use events::{Guard, GuardMode, Guards, PoolId};
use pool::{BEYOND, CapId, FlowRule, FlowRules, PoolSettings, Upstream, UpstreamSettings};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What holds at one server: the line, and the pools of its shape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// Most connections, over all pools.
    pub line: u32,
    /// Connections being opened at a time.
    pub connects_max: u32,
    /// By pool of the shape; `None`: the settings know no such database.
    pub pools: Vec<Option<PoolChoice>>,
}

/// What holds for one pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolChoice {
    /// Most connections.
    pub size: u32,
    /// The size moves by itself; then `size` is the one that was recorded.
    pub auto: bool,
    /// Kept open.
    pub min: u32,
    /// Further connections after `reserve_after`.
    pub reserve: u32,
    /// See there.
    pub reserve_after: Duration,
    /// Longest wait; `None`: off.
    pub wait_timeout: Option<Duration>,
    /// Most clients that wait.
    pub queue_max: u32,
    /// Idle connections are closed after this; `None`: off.
    pub idle_timeout: Option<Duration>,
    /// Age limit of connections; `None`: off.
    pub lifetime: Option<Duration>,
    /// Most connections of its database.
    pub database_max: Option<u32>,
    /// Most connections of its user.
    pub user_max: Option<u32>,
    /// Who would wait in vain is refused at once.
    pub shed: bool,
    /// A client keeps its connection until it leaves.
    pub session: bool,
    /// Weight and longest wait, by flow of the shape's pool.
    pub flows: Vec<FlowRule>,
}

impl Choice {
    /// What a plan means for a recorded server. `running` is the plan with which
    /// it was recorded: the line that held then holds on, unless the plan states
    /// another one.
    pub fn of(plan: &Plan, running: &Plan, server: &ServerShape) -> Choice {
        let stated = plan.line.max(1);
        let line = match stated == running.line.max(1) {
            true => server.line,
            // The server had less to give than was stated: more will not come.
            false if server.line < running.line => stated.min(server.line),
            false => stated,
        };
        let pools = server.pools.iter();
        Choice {
            line: line.max(1),
            connects_max: plan.connects_max.max(1),
            pools: pools.map(|p| PoolChoice::of(plan, p, line)).collect(),
        }
    }

    /// A server with these pools; what a removed pool was is `None`.
    pub(super) fn upstream(&self, server: &ServerShape) -> (Upstream, Vec<Option<PoolId>>) {
        let mut up = Upstream::new(UpstreamSettings {
            line: self.line.max(1),
            connects_max: self.connects_max.max(1),
            ..UpstreamSettings::default()
        });
        let mut caps: BTreeMap<(bool, &str), CapId> = BTreeMap::new();
        let mut ids = Vec::new();
        for (choice, shape) in self.pools.iter().zip(&server.pools) {
            let Some(choice) = choice else {
                ids.push(None);
                continue;
            };
            let mut settings = choice.settings();
            let limits = [
                (true, shape.database.as_str(), choice.database_max),
                (false, shape.user.as_str(), choice.user_max),
            ];
            for (of_database, name, limit) in limits {
                if let Some(limit) = limit {
                    let cap = caps.entry((of_database, name));
                    settings
                        .caps
                        .push(*cap.or_insert_with(|| up.add_cap(limit)));
                }
            }
            ids.push(Some(up.add_pool(settings)));
        }
        (up, ids)
    }
}

impl PoolChoice {
    fn of(plan: &Plan, shape: &PoolShape, line: u32) -> Option<PoolChoice> {
        let database = plan.database(&shape.database)?;
        let e = plan.effective(database, &shape.user);
        let session = e.mode == PoolMode::Session;
        let (size, auto) = match e.size {
            // A size that no server has is searched below.
            PoolSize::Fixed(n) if !session && n >= line.saturating_mul(BEYOND) => {
                (shape.size, true)
            }
            PoolSize::Fixed(n) => (n.max(1), false),
            PoolSize::Auto => (shape.size, true),
        };
        Some(PoolChoice {
            size: size.max(1),
            auto,
            min: e.min,
            reserve: e.reserve,
            reserve_after: e.reserve_after,
            wait_timeout: e.wait_timeout,
            queue_max: e.queue_max,
            idle_timeout: e.idle_timeout,
            lifetime: e.lifetime,
            database_max: e.database_max,
            user_max: e.user_max,
            shed: plan.guards.mode(Guard::Shed) == GuardMode::Enforce,
            session,
            flows: flow_rules(plan, &shape.flows),
        })
    }

    fn settings(&self) -> PoolSettings {
        let mut rules = FlowRules::default();
        for (flow, rule) in self.flows.iter().enumerate() {
            if *rule != FlowRule::default() {
                rules.application(&flow.to_string(), *rule);
            }
        }
        let mut guards = Guards::all(GuardMode::Off);
        if self.shed {
            guards.set(Guard::Shed, GuardMode::Enforce);
        }
        PoolSettings {
            size: self.size.max(1),
            min: self.min,
            reserve: self.reserve,
            reserve_after: self.reserve_after,
            wait_timeout: self.wait_timeout,
            queue_max: self.queue_max,
            idle_timeout: self.idle_timeout,
            lifetime: self.lifetime,
            guards,
            rules: Arc::new(rules),
            ..PoolSettings::default()
        }
    }
}

/// The key of a flow in the replay: names do not matter there, numbers do.
pub(super) fn flow_key(flow: usize) -> String {
    format!("\0{flow}")
}

/// The rules of a plan, by flow.
fn flow_rules(plan: &Plan, flows: &[String]) -> Vec<FlowRule> {
    let mut rules = FlowRules::default();
    for (name, of) in &plan.applications {
        let rule = FlowRule {
            weight: of.weight,
            wait_timeout: of.wait_timeout,
        };
        rules.application(name, rule);
    }
    for (name, of) in &plan.users {
        let rule = FlowRule {
            weight: of.weight,
            wait_timeout: of.wait_timeout,
        };
        rules.user(name, rule);
    }
    flows.iter().map(|key| rules.of(key)).collect()
}
