//! The chapters of causes that lie in limits, pools and settings.

use super::Chapter;
use super::never::{
    CLEAR_CACHES, KILL_ALL, LONGER_TIMEOUT, RAISE_BLINDLY, RESTART_DATABASE, RESTART_POOLER,
};

pub(super) const ALL: &[Chapter] = &[
    Chapter {
        label: "limit_too_small",
        title: "the pool's limit is too small",
        about: "Pool {pool} has {size} connections, {used} are lent and {waiting} clients wait, while the server is well and statements are as fast as usual. Normal demand needs more.",
        before: &[
            ("Compute the size from rates and times", "plimsoll size"),
            ("Let it follow demand: pool.size = \"auto\"", ""),
        ],
        during: &[
            ("See how many are needed", "{console} -c 'SHOW ADVICE'"),
            (
                "See how much room the line leaves",
                "{console} -c 'SHOW BUDGET'",
            ),
            (
                "Write the new size into {settings} and apply it; more room within the line acts at once",
                "plimsoll apply {settings} --now --reason 'limit too small'",
            ),
        ],
        verify: &[("Nobody waits", "{console} -c 'SHOW POOLS'")],
        after: &[(
            "Put the size where deployments take it from, and check it in CI",
            "plimsoll check {settings}",
        )],
        never: &[RESTART_DATABASE, LONGER_TIMEOUT, KILL_ALL],
        see: &["growth", "settings_change"],
    },
    Chapter {
        label: "limit_too_large",
        title: "the limit is more than the server can work on",
        about: "So many connections work at once on {server} that it finishes less than with fewer. Fewer connections make everything faster, also for those who wait.",
        before: &[
            ("Find the server's end by a load test", ""),
            ("Leave nothing without a limit", "plimsoll check FILE..."),
        ],
        during: &[
            (
                "See how many work at a time at the server, and on what",
                "{psql} -c \"SELECT state, wait_event_type, count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1, 2 ORDER BY 3 DESC\"",
            ),
            (
                "Write a size of two to four times the server's cores into {settings} and apply it",
                "plimsoll apply {settings} --now --reason 'limit too large'",
            ),
            (
                "If connections come past Plimsoll: bound those, too",
                "plimsoll playbook budget_squeezed",
            ),
        ],
        verify: &[(
            "Statements are as fast as usual, and more transactions are finished",
            "{console} -c 'SHOW STATS'",
        )],
        after: &[(
            "State the server's cores, so that automatic sizes start there: server.cores",
            "",
        )],
        never: &[RAISE_BLINDLY, RESTART_DATABASE, CLEAR_CACHES],
        see: &["server_saturated", "budget_squeezed"],
    },
    Chapter {
        label: "upstream_pool_too_small",
        title: "the application's own pool is too small",
        about: "{application} uses all connections of its own pool; here nobody waits. Its requests queue inside the application.",
        before: &[
            ("Check its settings in its own CI", "plimsoll check FILE..."),
            (
                "Take sane settings for its framework",
                "plimsoll template django",
            ),
        ],
        during: &[
            ("Call its team, with the figures", "plimsoll diagnose"),
            (
                "Have the last change of its pool taken back",
                "plimsoll incident note last 'its pool was changed' --path upstream_pool_too_small",
            ),
            ("See how large its pool must be", "plimsoll size"),
        ],
        verify: &[(
            "It has as many connections as usual, and its rate is back",
            "{console} -c 'SHOW CLIENTS'",
        )],
        after: &[(
            "Guard its settings file: a change is seen within seconds",
            "plimsoll guard FILE...",
        )],
        never: &[RESTART_DATABASE, RAISE_BLINDLY, RESTART_POOLER],
        see: &["upstream_leak"],
    },
    Chapter {
        label: "upstream_leak",
        title: "the application leaks connections of its own pool",
        about: "{application} has its usual number of connections, and all are silent: they were taken from its own pool and not given back. Plimsoll lends nothing to them, and cannot take anything back.",
        before: &[(
            "Turn on its pool's leak detection, also in its tests",
            "plimsoll check FILE...",
        )],
        during: &[
            ("Call its team, with the figures", "plimsoll diagnose"),
            (
                "Have its last release taken back",
                "plimsoll mark release {application} VERSION",
            ),
            (
                "Until then: restart its processes one by one, a few minutes apart",
                "",
            ),
        ],
        verify: &[("Its rate is back", "plimsoll diagnose")],
        after: &[(
            "Turn on the leak detection of its pool",
            "plimsoll check FILE...",
        )],
        never: &[RESTART_DATABASE, CLEAR_CACHES, KILL_ALL],
        see: &["upstream_pool_too_small", "leak"],
    },
    Chapter {
        label: "leak",
        title: "connections are borrowed and not returned",
        about: "Clients hold connections of pool {pool} inside transactions and are silent. Others wait for these connections.",
        before: &[
            (
                "Turn on the leak detection of its pool, in CI too: its tests fail on what stays held",
                "plimsoll check FILE...",
            ),
            (
                "Bound silent transactions: timeouts.idle_transaction",
                "plimsoll check {settings}",
            ),
        ],
        during: &[
            (
                "See application, release, age and last statement",
                "{console} -c 'SHOW LEASES'",
            ),
            (
                "Have the release taken back that it began with",
                "plimsoll mark release {application} VERSION",
            ),
            (
                "Let the guard take leases back while others wait: guards.reclaim = \"enforce\" in {settings}",
                "plimsoll apply {settings} --now --reason 'leak'",
            ),
        ],
        verify: &[
            (
                "The number of silent leases falls",
                "{console} -c 'SHOW LEASES'",
            ),
            ("Nobody waits", "{console} -c 'SHOW POOLS'"),
        ],
        after: &[(
            "Mend the code at that statement; prove it: its tests end without a held connection",
            "{console} -c 'SHOW LEASES'",
        )],
        never: &[RESTART_DATABASE, CLEAR_CACHES, RAISE_BLINDLY, KILL_ALL],
        see: &["PlimsollLeak"],
    },
    Chapter {
        label: "growth",
        title: "traffic has outgrown the limit",
        about: "More requests come to pool {pool} than its {size} connections can serve. Nothing is broken: there is more to do.",
        before: &[
            ("Rehearse the traffic that will come", ""),
            ("Let the size follow demand: pool.size = \"auto\"", ""),
        ],
        during: &[
            (
                "See whether the line leaves room",
                "{console} -c 'SHOW BUDGET'",
            ),
            (
                "It does: write a larger size into {settings} and apply it",
                "plimsoll apply {settings} --now --reason 'growth'",
            ),
            (
                "It does not: let the least important application wait (queue weights), or ask for a larger server",
                "",
            ),
        ],
        verify: &[("Nobody waits", "{console} -c 'SHOW POOLS'")],
        after: &[("See when it will be full again", "plimsoll diagnose")],
        never: &[RAISE_BLINDLY, LONGER_TIMEOUT],
        see: &["limit_too_small", "abusive_source"],
    },
    Chapter {
        label: "settings_change",
        title: "a change of settings",
        about: "A change of settings took what clients needed; waits began with it. Version {version} serves, {previous} was before.",
        before: &[
            ("Check every change in CI", "plimsoll check {settings}"),
            (
                "Look at the plan and its prediction",
                "plimsoll plan {settings}",
            ),
            (
                "Let a change that hurts be taken back: guards.auto_revert = \"enforce\"",
                "",
            ),
        ],
        during: &[
            ("See what was changed, by whom", "plimsoll history -n 5"),
            (
                "Take it back, at once",
                "plimsoll rollback --reason 'it hurts'",
            ),
            (
                "It was another tool's file: see its history and restore it",
                "plimsoll guard history",
            ),
        ],
        verify: &[
            ("The version before serves", "plimsoll status"),
            ("Nobody waits", "{console} -c 'SHOW POOLS'"),
        ],
        after: &[(
            "Take it back where deployments take it from, too, or the next one brings it again",
            "",
        )],
        never: &[RESTART_DATABASE, CLEAR_CACHES, RESTART_POOLER],
        see: &["PlimsollSettingsDrift", "limit_too_small"],
    },
    Chapter {
        label: "budget_squeezed",
        title: "others took the server's connections",
        about: "Of {max_connections} connections of {server} others hold {others}; the line is {line}.",
        before: &[(
            "Count all copies of all poolers and applications together",
            "plimsoll check FILE...",
        )],
        during: &[
            (
                "See who they are",
                "{psql} -c \"SELECT usename, application_name, client_addr, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC\"",
            ),
            ("Have the largest one's owner stop it or bound it", ""),
            (
                "Nobody answers and clients suffer: end its idle sessions, one by one, by pid",
                "{psql} -c 'SELECT pg_terminate_backend(PID)'",
            ),
        ],
        verify: &[("The line is up again", "{console} -c 'SHOW BUDGET'")],
        after: &[("Bound that role: ALTER ROLE name CONNECTION LIMIT n", "")],
        never: &[RAISE_BLINDLY, KILL_ALL, RESTART_DATABASE],
        see: &["PlimsollBudgetSqueezed", "limit_too_large"],
    },
];
