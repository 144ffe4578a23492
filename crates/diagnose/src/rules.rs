//! One file per cause. A rule is a table of conditions; see [`crate::rule`].

mod abusive_source;
mod budget_squeezed;
mod connection_storm;
mod credentials;
mod database_down;
mod growth;
mod leak;
mod limit_too_large;
mod limit_too_small;
mod locks;
mod network;
mod pooler_starved;
mod server_saturated;
mod settings_change;
mod slow_statements;
mod upstream_leak;
mod upstream_pool_too_small;
pub(crate) mod words;

use crate::rule::Rule;

/// Every rule, in the order in which causes explain each other: what stands
/// earlier brings the symptoms of what stands later, so it is the first answer
/// where both are supported alike.
pub(crate) const RULES: &[Rule] = &[
    database_down::RULE,
    credentials::RULE,
    budget_squeezed::RULE,
    pooler_starved::RULE,
    settings_change::RULE,
    network::RULE,
    locks::RULE,
    connection_storm::RULE,
    leak::RULE,
    limit_too_large::RULE,
    abusive_source::RULE,
    server_saturated::RULE,
    slow_statements::RULE,
    growth::RULE,
    limit_too_small::RULE,
    upstream_leak::RULE,
    upstream_pool_too_small::RULE,
];
