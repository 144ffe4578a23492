//! Who comes when, for what: from the scenario and its seed alone.

use super::scenario::{Request, Scenario};
use rehearse::schedule::Schedule;
use sim::rng::Rng;
use std::time::Duration;

/// A user asks for something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// When, since the begin of the run.
    pub due: Duration,
    /// Who.
    pub user: u32,
    /// GET, POST ...
    pub method: String,
    /// The path, filled in.
    pub path: String,
}

/// All that users ask for in a run, in the order in which it is due.
#[derive(Clone, Debug)]
pub struct Crowd<'a> {
    requests: &'a [Request],
    weights: u64,
    users: u32,
    schedule: Schedule,
    rng: Rng,
    n: u64,
}

impl Crowd<'_> {
    /// The users of a scenario.
    pub fn new(scenario: &Scenario) -> Crowd<'_> {
        let load = &scenario.load;
        Crowd {
            requests: &load.requests,
            weights: load.requests.iter().map(|r| u64::from(r.weight)).sum(),
            users: load.users,
            schedule: scenario.schedule(),
            // Not the schedule's own numbers: who comes must not depend on when.
            rng: Rng::new(load.seed ^ 0x5eed),
            n: 0,
        }
    }
}

impl Iterator for Crowd<'_> {
    type Item = Attempt;

    fn next(&mut self) -> Option<Attempt> {
        let due = self.schedule.next()?;
        let user = self.rng.below(u64::from(self.users.max(1)));
        let user = u32::try_from(user).unwrap_or(0) + 1;
        let mut left = self.rng.below(self.weights.max(1));
        let request = self.requests.iter().find(|request| {
            let weight = u64::from(request.weight);
            let here = left < weight;
            left = left.saturating_sub(weight);
            here
        })?;
        self.n += 1;
        let path =
            (request.path.replace("{user}", &user.to_string())).replace("{n}", &self.n.to_string());
        Some(Attempt {
            due,
            user,
            method: request.method.clone(),
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::tests::scenario;
    use super::*;

    #[test]
    fn the_same_seed_brings_the_same_users() {
        let scenario = scenario("fault = \"pooler\"");
        let all: Vec<Attempt> = Crowd::new(&scenario).collect();
        assert!(Crowd::new(&scenario).eq(all.iter().cloned()));
        // 30/s for 120 s, threefold from the 60th second on.
        let sent = all.len() as f64;
        assert!((6_900.0..7_500.0).contains(&sent), "{sent}");
        assert!(all.windows(2).all(|two| two[0].due <= two[1].due));
        assert!(all.iter().all(|a| (1..=50).contains(&a.user)));
        let paths = |method: &str| all.iter().filter(|a| a.method == method).count() as f64;
        let share = paths("POST") / sent;
        assert!((0.22..0.28).contains(&share), "one in four: {share}");
        let first = all.iter().find(|a| a.method == "POST").unwrap();
        assert_eq!(first.path, format!("/orders/{}", first.user));
    }
}
