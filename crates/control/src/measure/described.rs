//! The settings that serve, as verdicts and bundles name them.

use config::Plan;
use events::sample::Name;

/// Settings that bound something, for verdicts and bundles. No secret is among
/// them: counts, times and words only.
pub(super) fn described(plan: &Plan) -> Vec<(Name, String)> {
    const SHOWN: [&str; 16] = [
        "pool.size",
        "pool.mode",
        "pool.min",
        "pool.reserve",
        "clients.max",
        "server.line",
        "timeouts.query_wait",
        "timeouts.query",
        "timeouts.transaction",
        "timeouts.idle_transaction",
        "timeouts.client_idle",
        "timeouts.server_idle",
        "timeouts.server_lifetime",
        "timeouts.server_connect",
        "pool.queue_max",
        "session.reset_always",
    ];
    let rows = config::settings()
        .iter()
        .filter(|s| SHOWN.contains(&s.toml));
    rows.filter_map(|s| Some((Name::from(s.toml), s.words(plan)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_that_is_shown_is_there() {
        assert_eq!(described(&crate::lookout::plan_of_tests()).len(), 16);
    }
}
