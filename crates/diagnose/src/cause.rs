//! The closed set of causes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! causes {
    ($($(#[$meta:meta])* $variant:ident $label:literal $title:literal,)+) => {
        /// Why clients of a database suffer. A closed set: what fits none is "unknown".
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Cause { $($(#[$meta])* $variant,)+ }

        impl Cause {
            /// Every cause.
            pub const ALL: &'static [Cause] = &[$(Cause::$variant,)+];

            /// The label in JSON, metrics and file names.
            pub const fn label(self) -> &'static str {
                match self { $(Cause::$variant => $label,)+ }
            }

            /// A few words for people.
            pub const fn title(self) -> &'static str {
                match self { $(Cause::$variant => $title,)+ }
            }

            /// The cause with this label.
            pub fn of_label(label: &str) -> Option<Cause> {
                Cause::ALL.iter().copied().find(|c| c.label() == label)
            }
        }
    };
}

causes! {
    /// The pool's limit is below what its normal demand needs.
    LimitTooSmall "limit_too_small" "the pool's limit is too small",
    /// So many connections work at once that the server gets slower, not faster.
    LimitTooLarge "limit_too_large" "the limit is more than the server can work on",
    /// The application's own pool is too small: few connections come, all busy.
    UpstreamPoolTooSmall "upstream_pool_too_small" "the application's own pool is too small",
    /// The application's own pool is drained by a leak: its connections are held, all silent.
    UpstreamLeak "upstream_leak" "the application leaks connections of its own pool",
    /// Leases are not given back.
    Leak "leak" "connections are borrowed and not returned",
    /// Demand grew beyond the limit.
    Growth "growth" "traffic has outgrown the limit",
    /// A change of settings cut what was enough before.
    SettingsChange "settings_change" "a change of settings",
    /// Statements take longer at the server.
    SlowStatements "slow_statements" "statements got slower",
    /// Statements wait for locks.
    Locks "locks" "statements wait for locks",
    /// The server lacks processor time or disk throughput.
    ServerSaturated "server_saturated" "the server is out of CPU or IO",
    /// The way to the server or to the clients is slow or loses data.
    Network "network" "the network",
    /// One application or address asks for far more than its share.
    AbusiveSource "abusive_source" "one source takes far more than its share",
    /// Clients connect and log in again and again.
    ConnectionStorm "connection_storm" "a storm of new connections",
    /// The server cannot be reached, restarts, has moved, or became a standby.
    DatabaseDown "database_down" "the database is down or has moved",
    /// The server, or Plimsoll, refuses passwords or certificates.
    Credentials "credentials" "credentials are refused",
    /// Others took the server's connections.
    BudgetSqueezed "budget_squeezed" "others took the server's connections",
    /// Plimsoll's own machine lacks processor time.
    PoolerStarved "pooler_starved" "the pooler itself lacks CPU",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lead_back() {
        for cause in Cause::ALL {
            assert_eq!(Cause::of_label(cause.label()), Some(*cause));
        }
        assert_eq!(Cause::of_label("gremlins"), None);
    }
}
