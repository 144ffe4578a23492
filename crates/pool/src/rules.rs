//! What an operator says about some applications and users: weight and deadline.

use std::collections::BTreeMap;
use std::time::Duration;

/// Largest weight of a flow.
pub const WEIGHT_MAX: u32 = 100;

/// What holds for one application or user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlowRule {
    /// Its share against others that wait: 1 where unset, at most [`WEIGHT_MAX`].
    pub weight: Option<u32>,
    /// Its longest wait in place of the pool's; `Some(None)` waits for ever.
    pub wait_timeout: Option<Option<Duration>>,
}

/// Rules for the flows of a pool, by the names that clients give at login.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FlowRules {
    applications: BTreeMap<Box<str>, FlowRule>,
    users: BTreeMap<Box<str>, FlowRule>,
}

impl FlowRules {
    /// A rule for an application. A name that ends in `*` stands for all that
    /// begin with what comes before it; the exact name goes first, then the
    /// longest beginning.
    pub fn application(&mut self, name: &str, rule: FlowRule) {
        self.applications.insert(name.into(), rule);
    }

    /// A rule for a user.
    pub fn user(&mut self, name: &str, rule: FlowRule) {
        self.users.insert(name.into(), rule);
    }

    /// The rule of a flow by its key, `user NUL application`. What the
    /// application's rule leaves open is taken from the user's. Keys of another
    /// form, such as those of the pooler's own look-ups, have none.
    pub fn of(&self, key: &str) -> FlowRule {
        let Some((user, application)) = key.split_once('\0') else {
            return FlowRule::default();
        };
        let user = self.users.get(user).copied().unwrap_or_default();
        let rule = self.of_application(application).unwrap_or_default();
        FlowRule {
            weight: rule.weight.or(user.weight),
            wait_timeout: rule.wait_timeout.or(user.wait_timeout),
        }
    }

    fn of_application(&self, name: &str) -> Option<FlowRule> {
        if let Some(rule) = self.applications.get(name) {
            return Some(*rule);
        }
        let fits = |pattern: &str| {
            pattern
                .strip_suffix('*')
                .is_some_and(|start| name.starts_with(start))
        };
        self.applications
            .iter()
            .filter(|(pattern, _)| fits(pattern))
            .max_by_key(|(pattern, _)| pattern.len())
            .map(|(_, rule)| *rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rule(weight: u32, seconds: u32) -> FlowRule {
        FlowRule {
            weight: (weight > 0).then_some(weight),
            wait_timeout: (seconds > 0).then_some(Some(SECOND * seconds)),
        }
    }

    #[test]
    fn the_nearest_rule_holds_and_leaves_the_rest_to_the_users() {
        let mut rules = FlowRules::default();
        rules.application("reports", rule(2, 300));
        rules.application("web*", rule(3, 0));
        rules.application("web-admin*", rule(5, 0));
        rules.application("*odd*", rule(9, 0));
        rules.user("anna", rule(4, 60));
        let table = [
            ("anna\0reports", rule(2, 300)),
            ("bert\0reports", rule(2, 300)),
            ("bert\0web-7", rule(3, 0)),
            ("anna\0web-7", rule(3, 60)),
            ("anna\0web-admin-1", rule(5, 60)),
            ("anna\0psql", rule(4, 60)),
            ("bert\0psql", rule(0, 0)),
            ("bert\0", rule(0, 0)),
            // The star counts at the end only.
            ("bert\0an odd one", rule(0, 0)),
            ("auth_query", rule(0, 0)),
        ];
        for (key, expected) in table {
            assert_eq!(rules.of(key), expected, "{key:?}");
        }
    }
}
