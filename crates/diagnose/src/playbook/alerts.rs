//! The chapters of alerts.

use super::never::{
    CLEAR_CACHES, GUARDS_OFF, KILL_ALL, LONGER_TIMEOUT, RAISE_BLINDLY, RESTART_DATABASE,
    RESTART_POOLER, RETRY_FASTER,
};
use super::{Chapter, Line};

/// The first two steps of every outage.
const LOOK: Line = (
    "Read what the figures say: the cause, and what it is not. It takes seconds",
    "plimsoll diagnose",
);
const NOTE: Line = (
    "Say what you look into, so that nobody does it twice and the report has it",
    "plimsoll incident note last 'looking at …' --path CAUSE",
);
const REPORT: Line = (
    "Read the report, and write what it leaves to people",
    "plimsoll incident report last -o report.md",
);
const CHECK: Line = (
    "Check settings in CI, against what serves",
    "plimsoll check {settings}",
);

pub(super) const ALL: &[Chapter] = &[
    Chapter {
        label: "PlimsollPoolExhausted",
        title: "a pool is exhausted",
        about: "All {size} connections of pool {pool} are lent and clients wait. Either the limit fell, or demand grew, or connections are held longer (leak, locks, slow statements). The diagnosis tells which.",
        before: &[
            ("Know the size that the pool needs", "plimsoll size"),
            CHECK,
            (
                "Let the size follow demand within the line: pool.size = \"auto\"",
                "",
            ),
        ],
        during: &[
            LOOK,
            NOTE,
            (
                "See what changed in the last half hour",
                "plimsoll history -n 5",
            ),
            (
                "If settings were changed just before: take them back (version {version} serves, {previous} was before)",
                "plimsoll rollback --reason 'pool exhausted'",
            ),
            (
                "Else see who holds the connections, for how long, with which last statement",
                "{console} -c 'SHOW LEASES'",
            ),
            (
                "If one application holds most of them and is silent: chapter leak. If all are busy: chapters slow_statements, locks, growth",
                "plimsoll playbook leak",
            ),
        ],
        verify: &[
            ("Nobody waits: cl_waiting is 0", "{console} -c 'SHOW POOLS'"),
            ("The alert is resolved", "plimsoll incident show last"),
        ],
        after: &[REPORT, ("See what size would have done", "plimsoll size")],
        never: &[RESTART_DATABASE, CLEAR_CACHES, RAISE_BLINDLY, KILL_ALL],
        see: &[
            "settings_change",
            "leak",
            "limit_too_small",
            "growth",
            "slow_statements",
            "locks",
        ],
    },
    Chapter {
        label: "PlimsollPoolExhaustionForecast",
        title: "a pool will be exhausted",
        about: "Connections of pool {pool} that are held grow so that it will be full in the time that the alert states. Nobody suffers yet: there is time to do it well.",
        before: &[
            (
                "Mark releases, so that a slope can be laid to one",
                "plimsoll mark release APP VERSION",
            ),
            (
                "Let its tests in CI end without a held connection",
                "{console} -c 'SHOW LEASES'",
            ),
        ],
        during: &[
            LOOK,
            (
                "A leak: see who is silent, and take that release back",
                "{console} -c 'SHOW LEASES'",
            ),
            (
                "Growth: see what size is needed, and plan the change",
                "plimsoll plan {settings}",
            ),
            (
                "Apply it; within the line more room acts at once",
                "plimsoll apply {settings} --reason 'growth'",
            ),
        ],
        verify: &[("The forecast is gone", "plimsoll diagnose")],
        after: &[REPORT],
        never: &[RAISE_BLINDLY, RESTART_POOLER],
        see: &["leak", "growth"],
    },
    Chapter {
        label: "PlimsollPoolTooSmall",
        title: "a pool is smaller than its demand",
        about: "Pool {pool} has {size} connections; its rate of requests times how long each holds a connection needs more. At the next peak clients will wait.",
        before: &[
            ("Compute the size with its reasoning", "plimsoll size"),
            CHECK,
        ],
        during: &[
            ("See how many are needed", "{console} -c 'SHOW ADVICE'"),
            ("See what a change would do", "plimsoll plan {settings}"),
            (
                "Apply it",
                "plimsoll apply {settings} --reason 'below demand'",
            ),
        ],
        verify: &[(
            "The advice is no more than the size",
            "{console} -c 'SHOW ADVICE'",
        )],
        after: &[("Put the new size where deployments take it from", "")],
        never: &[RAISE_BLINDLY, LONGER_TIMEOUT],
        see: &["limit_too_small", "growth"],
    },
    Chapter {
        label: "PlimsollBudgetSqueezed",
        title: "others took the server's connections",
        about: "Server {server} has {max_connections} connections in all; others hold {others}, so that the line fell to {line}, below what is needed here.",
        before: &[
            (
                "Bound what else connects: other poolers, jobs, tools",
                "plimsoll check FILE...",
            ),
            (
                "Give the monitor user its grants, so that the line follows what others hold",
                "{console} -c 'SHOW BUDGET'",
            ),
        ],
        during: &[
            LOOK,
            (
                "See who they are",
                "{psql} -c \"SELECT usename, application_name, client_addr, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC\"",
            ),
            (
                "Ask their owner to stop what is not needed, or send it through Plimsoll",
                "",
            ),
        ],
        verify: &[("The line is up again", "{console} -c 'SHOW BUDGET'")],
        after: &[
            (
                "Bound them at the server: ALTER ROLE name CONNECTION LIMIT n",
                "",
            ),
            REPORT,
        ],
        never: &[RAISE_BLINDLY, KILL_ALL, RESTART_DATABASE],
        see: &["budget_squeezed"],
    },
    Chapter {
        label: "PlimsollWaitObjective",
        title: "waits are beyond the objective",
        about: "More requests than the objective allows wait for a connection of pool {pool} for too long. It may be a short peak or the begin of an outage: the alert looks at several windows.",
        before: &[(
            "State what waits are acceptable: alerts.wait_objective, alerts.wait_target",
            "",
        )],
        during: &[
            LOOK,
            NOTE,
            ("See which pool and how long", "{console} -c 'SHOW POOLS'"),
            (
                "Follow the chapter of the cause that the diagnosis names",
                "plimsoll playbook CAUSE",
            ),
        ],
        verify: &[("Waits are short again", "{console} -c 'SHOW POOLS'")],
        after: &[REPORT],
        never: &[LONGER_TIMEOUT, RAISE_BLINDLY, RETRY_FASTER],
        see: &[
            "limit_too_small",
            "slow_statements",
            "locks",
            "server_saturated",
        ],
    },
    Chapter {
        label: "PlimsollLeak",
        title: "connections are not given back",
        about: "Clients of {application} hold connections of pool {pool} inside transactions and are silent, beyond what they ever were. They are named with application, release and last statement.",
        before: &[
            (
                "Turn on the leak detection of its pool, in CI too: its tests fail on what stays held",
                "plimsoll check FILE...",
            ),
            (
                "Let leaks be taken back while others wait: guards.reclaim = \"enforce\"",
                "plimsoll guards show",
            ),
        ],
        during: &[
            (
                "See who holds them, since when, and the last statement",
                "{console} -c 'SHOW LEASES'",
            ),
            LOOK,
            (
                "Take the release back that began with it, and say so",
                "plimsoll mark release {application} VERSION",
            ),
            (
                "If clients wait and the guard only watches: let it act",
                "plimsoll guards show",
            ),
            (
                "A single client that must go now: its id is in SHOW CLIENTS",
                "{console} -c 'KILL_CLIENT ID'",
            ),
        ],
        verify: &[("No lease is suspected", "{console} -c 'SHOW LEASES'")],
        after: &[
            REPORT,
            (
                "Mend the code at the named statement: release in a finally, a with, a defer",
                "",
            ),
        ],
        never: &[RESTART_DATABASE, CLEAR_CACHES, KILL_ALL, RAISE_BLINDLY],
        see: &["leak"],
    },
    Chapter {
        label: "PlimsollLimitUpstream",
        title: "an application's own pool is the bottleneck",
        about: "Nobody waits at Plimsoll and the server idles, but {application} has fewer connections than usual, all busy or all silent. Its clients wait inside the application, where Plimsoll cannot mend it.",
        before: &[
            (
                "Check the application's settings in its CI",
                "plimsoll check FILE...",
            ),
            (
                "Take sane settings for its framework",
                "plimsoll template django",
            ),
        ],
        during: &[
            LOOK,
            (
                "Call the application's team: it is their pool",
                "plimsoll incident note last 'called the team of {application}' --path upstream_pool_too_small",
            ),
            (
                "Ask what was released or set last, and have it taken back",
                "",
            ),
            (
                "All its connections silent: it leaks inside (chapter upstream_leak). All busy: its pool is too small",
                "plimsoll playbook upstream_leak",
            ),
        ],
        verify: &[(
            "Its connections and its rate are as usual",
            "plimsoll diagnose",
        )],
        after: &[REPORT],
        never: &[RESTART_DATABASE, CLEAR_CACHES, RESTART_POOLER],
        see: &["upstream_pool_too_small", "upstream_leak"],
    },
    Chapter {
        label: "PlimsollSettingsDrift",
        title: "the settings file says what does not serve",
        about: "{settings} was changed by something other than `plimsoll apply`, and what it says was not let serve. What served before (version {version}) goes on serving.",
        before: &[
            (
                "Deploy settings through the gate",
                "plimsoll apply {settings} --reason 'release 7'",
            ),
            (
                "Guard the other files that take a site down",
                "plimsoll guard FILE...",
            ),
        ],
        during: &[
            ("See what differs", "plimsoll plan {settings}"),
            (
                "See whether the file or the pooler is right",
                "plimsoll status",
            ),
            (
                "The file is right: let it serve",
                "plimsoll apply {settings} --reason TEXT",
            ),
            (
                "The file is wrong: put the version that serves back where the file comes from",
                "plimsoll history {version}",
            ),
        ],
        verify: &[("File and pooler say the same", "plimsoll status")],
        after: &[("Find what wrote the file, and make it use the gate", "")],
        never: &[RESTART_POOLER, GUARDS_OFF],
        see: &["settings_change"],
    },
    Chapter {
        label: "PlimsollSettingsRolledBack",
        title: "a change of settings was taken back",
        about: "A change hurt clients, or would have, and was taken back by itself. Version {version} serves. Nothing needs to be done at once.",
        before: &[(
            "Look at the plan and its prediction before applying",
            "plimsoll plan {settings}",
        )],
        during: &[
            (
                "See which change, and the figures that judged it",
                "plimsoll history",
            ),
            ("See that clients are well", "plimsoll diagnose"),
        ],
        verify: &[("Nothing is under way", "plimsoll status")],
        after: &[
            (
                "Put the old values where deployments take them from, or the next one brings the change again",
                "",
            ),
            REPORT,
        ],
        never: &[GUARDS_OFF],
        see: &["settings_change"],
    },
    Chapter {
        label: "PlimsollFleetSplitSettings",
        title: "instances serve different settings",
        about: "Instances of one fleet serve different settings, for longer than a change takes to reach all of them. Each serves well by itself, but what a client meets depends on where its connection went, and the next restart may change it.",
        before: &[
            (
                "Let the instances hear each other, so that this is seen at all: fleet.listen, and how the others are found",
                "",
            ),
            (
                "Change settings in one place that all instances read, not on one of them",
                "plimsoll check {settings}",
            ),
        ],
        during: &[
            (
                "See who serves the same as this instance and who does not, and whether one turned the new ones down",
                "plimsoll status",
            ),
            (
                "One turned them down: its history says why. Mend the file, or take it back for all",
                "plimsoll history",
            ),
            (
                "One never got them: look at how the file reaches it (a mount, a ConfigMap, a deployment that stopped half way)",
                "plimsoll plan {settings}",
            ),
            (
                "Somebody applied them on one instance alone: apply the same on the others, or take them back there",
                "plimsoll apply {settings} --reason TEXT",
            ),
        ],
        verify: &[("All others say `same`", "plimsoll status")],
        after: &[(
            "Find why they did not reach all, and make it a step that fails",
            "",
        )],
        never: &[RESTART_POOLER, GUARDS_OFF],
        see: &["PlimsollSettingsDrift", "PlimsollSettingsRolledBack"],
    },
    Chapter {
        label: "PlimsollServerRefusing",
        title: "the database server refuses connections",
        about: "Server {server} cannot be reached, has no slot left, or refuses logins. Plimsoll keeps its clients, tries again with pauses, and answers those that waited too long.",
        before: &[
            (
                "Bound every wait, so that clients get an answer",
                "plimsoll check {settings}",
            ),
            ("Practise a failover", ""),
        ],
        during: &[
            LOOK,
            NOTE,
            ("See whether it answers at all", "{psql} -c 'SELECT 1'"),
            (
                "It refuses passwords: chapter credentials. It has no slot left: chapter budget_squeezed. Nothing answers: chapter database_down",
                "plimsoll playbook database_down",
            ),
        ],
        verify: &[
            (
                "Connections are opened again",
                "{console} -c 'SHOW SERVERS'",
            ),
            ("The alert is resolved", "plimsoll incident show last"),
        ],
        after: &[REPORT],
        never: &[RESTART_POOLER, RETRY_FASTER, CLEAR_CACHES],
        see: &["database_down", "credentials", "budget_squeezed"],
    },
    Chapter {
        label: "PlimsollCredentialFailing",
        title: "a certificate or a password is about to fail",
        about: "A certificate ends soon, a server refuses a password, or a new secret could not be taken into service. What is in service stays until it is replaced.",
        before: &[(
            "Keep secrets beside the settings: password_file, password_command",
            "plimsoll check {settings}",
        )],
        during: &[
            ("See which one, and why", "plimsoll diagnose"),
            (
                "Put the new secret or certificate in the place of the old: it is checked and taken into service by itself",
                "",
            ),
        ],
        verify: &[("The alert is resolved", "plimsoll diagnose")],
        after: &[(
            "Let whatever issues it renew it at two thirds of its life",
            "",
        )],
        never: &[RESTART_POOLER],
        see: &["credentials"],
    },
];
