//! The chapters of causes that lie at the server, on the way, or with clients.

use super::Chapter;
use super::never::{
    CLEAR_CACHES, KILL_ALL, LONGER_TIMEOUT, RAISE_BLINDLY, RESTART_DATABASE, RESTART_POOLER,
    RETRY_FASTER,
};

pub(super) const ALL: &[Chapter] = &[
    Chapter {
        label: "slow_statements",
        title: "statements got slower",
        about: "Statements on {server} take longer than usual, so that each holds its connection longer. The pool is full of work, not too small.",
        before: &[
            (
                "Bound single statements: ALTER ROLE app SET statement_timeout = '30s'",
                "",
            ),
            ("Rehearse with data as large as production's", ""),
        ],
        during: &[
            (
                "See what runs, the oldest first",
                "{psql} -c \"SELECT pid, now() - query_start AS age, wait_event_type, application_name, left(query, 80) FROM pg_stat_activity WHERE state = 'active' ORDER BY 2 DESC LIMIT 20\"",
            ),
            ("See whether a release came with it", "plimsoll diagnose"),
            (
                "One statement does the harm: cancel it by its pid",
                "{psql} -c 'SELECT pg_cancel_backend(PID)'",
            ),
            (
                "A plan went wrong after much was loaded or deleted: ANALYZE that table",
                "",
            ),
        ],
        verify: &[("Times are as usual", "{console} -c 'SHOW STATS'")],
        after: &[("Mend the statement or its index, and rehearse it", "")],
        never: &[RAISE_BLINDLY, RESTART_DATABASE, CLEAR_CACHES],
        see: &["locks", "server_saturated"],
    },
    Chapter {
        label: "locks",
        title: "statements wait for locks",
        about: "Sessions on {server} wait for a lock that one session holds. More connections only bring more who wait.",
        before: &[
            ("Let migrations give up early: SET lock_timeout = '2s'", ""),
            (
                "Bound silent transactions, which keep their locks",
                "plimsoll check {settings}",
            ),
        ],
        during: &[
            (
                "See who blocks whom",
                "{psql} -c \"SELECT pid, pg_blocking_pids(pid) AS blocked_by, state, now() - xact_start AS age, application_name, left(query, 80) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0 OR state = 'idle in transaction' ORDER BY 4 DESC\"",
            ),
            (
                "Ask the owner of the first one in the chain; cancel it by its pid",
                "{psql} -c 'SELECT pg_cancel_backend(PID)'",
            ),
            (
                "It is idle in a transaction, where cancel does nothing: end that one session",
                "{psql} -c 'SELECT pg_terminate_backend(PID)'",
            ),
        ],
        verify: &[(
            "Nobody waits for a lock",
            "{psql} -c \"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'\"",
        )],
        after: &[(
            "Shorten that transaction, or take its locks in one order",
            "",
        )],
        never: &[RAISE_BLINDLY, KILL_ALL, RESTART_DATABASE],
        see: &["slow_statements", "leak"],
    },
    Chapter {
        label: "server_saturated",
        title: "the server is out of CPU or IO",
        about: "{server} has no processor time or disk throughput left. All statements get slower at once.",
        before: &[
            ("Find the server's end by a load test", ""),
            ("State its cores: server.cores", ""),
        ],
        during: &[
            (
                "See on what sessions wait: IO, or nothing (processor)",
                "{psql} -c \"SELECT coalesce(wait_event_type, 'cpu'), count(*) FROM pg_stat_activity WHERE state = 'active' GROUP BY 1 ORDER BY 2 DESC\"",
            ),
            (
                "See what began lately: a report, a backup, a vacuum, a batch",
                "{psql} -c \"SELECT pid, backend_type, now() - xact_start AS age, application_name, left(query, 80) FROM pg_stat_activity WHERE state = 'active' ORDER BY 3 DESC LIMIT 20\"",
            ),
            ("Stop or postpone that, with its owner", ""),
            (
                "Lend fewer connections: write a smaller size into {settings}",
                "plimsoll apply {settings} --now --reason 'server saturated'",
            ),
        ],
        verify: &[("Times are as usual", "{console} -c 'SHOW STATS'")],
        after: &[("Give batches a database or a time of their own", "")],
        never: &[RAISE_BLINDLY, RESTART_DATABASE, CLEAR_CACHES],
        see: &["limit_too_large", "slow_statements"],
    },
    Chapter {
        label: "network",
        title: "the network",
        about: "The way to {server}, or from clients, is slow or loses data. The diagnosis names it only where round trips and lost segments show it.",
        before: &[(
            "Let dead peers be noticed: tcp.keepalive_idle, tcp.user_timeout",
            "plimsoll check {settings}",
        )],
        during: &[
            (
                "See which side: round trips and what was sent again",
                "plimsoll diagnose",
            ),
            ("Look at the way from this machine", "ss -tin"),
            ("Call the network's team with these figures", ""),
        ],
        verify: &[("Round trips are as usual", "plimsoll diagnose")],
        after: &[(
            "State what stands between: `via` or the loopback proxy hides the real way",
            "",
        )],
        never: &[RESTART_DATABASE, RESTART_POOLER, LONGER_TIMEOUT],
        see: &["database_down"],
    },
    Chapter {
        label: "abusive_source",
        title: "one source takes far more than its share",
        about: "One application or address asks for far more than usual. Fair shares keep the others served for a while; its own requests queue.",
        before: &[(
            "Bound clients of a user: clients.max_per_user",
            "plimsoll check {settings}",
        )],
        during: &[
            ("See which one", "plimsoll diagnose"),
            ("See its connections", "{console} -c 'SHOW CLIENTS'"),
            ("Have its owner stop it", ""),
            (
                "It does not stop: end single clients by their id",
                "{console} -c 'KILL_CLIENT ID'",
            ),
        ],
        verify: &[("Its share is as usual", "plimsoll diagnose")],
        after: &[("Rehearse a flood beside normal traffic", "")],
        never: &[RAISE_BLINDLY, RESTART_DATABASE],
        see: &["connection_storm", "growth"],
    },
    Chapter {
        label: "connection_storm",
        title: "a storm of new connections",
        about: "Clients connect and log in again and again: a retry without pauses, processes that die, or a pool that keeps nothing. Logins cost processor time on both sides.",
        before: &[(
            "Let applications keep their connections",
            "plimsoll check FILE...",
        )],
        during: &[
            ("See who connects", "plimsoll diagnose"),
            (
                "See whether they are refused, and why: that drives the retries",
                "{console} -c 'SHOW STATS'",
            ),
            (
                "Mend that reason first; then let clients come back in groups",
                "",
            ),
        ],
        verify: &[("Logins are as usual", "plimsoll diagnose")],
        after: &[(
            "Give retries pauses that grow, with some chance in them",
            "",
        )],
        never: &[RESTART_POOLER, RETRY_FASTER, RESTART_DATABASE],
        see: &["abusive_source", "credentials"],
    },
    Chapter {
        label: "database_down",
        title: "the database is down or has moved",
        about: "{server} does not answer, restarts, became a standby, or its name leads elsewhere. Plimsoll keeps clients and tries again with pauses.",
        before: &[
            (
                "Bound every wait, so that clients get an answer",
                "plimsoll check {settings}",
            ),
            ("Practise a failover", ""),
        ],
        during: &[
            (
                "See whether it answers",
                "{psql} -c 'SELECT pg_is_in_recovery(), pg_postmaster_start_time()'",
            ),
            ("See the provider's or the cluster's own status", ""),
            (
                "It moved, and its name does not lead there: write the new address into {settings}",
                "plimsoll apply {settings} --now --reason 'failover'",
            ),
            (
                "It is back, and old connections lead to the old one: replace them",
                "{console} -c 'RECONNECT'",
            ),
        ],
        verify: &[
            ("Connections are opened", "{console} -c 'SHOW SERVERS'"),
            (
                "It is a primary: this says f",
                "{psql} -c 'SELECT pg_is_in_recovery()'",
            ),
        ],
        after: &[(
            "Write down how long each part took",
            "plimsoll incident report last",
        )],
        never: &[RESTART_POOLER, CLEAR_CACHES, RETRY_FASTER],
        see: &["PlimsollServerRefusing", "network"],
    },
    Chapter {
        label: "credentials",
        title: "credentials are refused",
        about: "{server} refuses Plimsoll's password or certificate, or Plimsoll refuses its clients'. It began with a rotation, an expiry or a change of pg_hba.conf.",
        before: &[(
            "Keep secrets in files or commands, which are read again",
            "plimsoll check {settings}",
        )],
        during: &[
            (
                "See which side refuses, and the SQLSTATE",
                "plimsoll diagnose",
            ),
            (
                "The server refuses: put the password that it knows where the settings say; it is read again by itself",
                "",
            ),
            (
                "Its role has expired: this says until when",
                "{psql} -c 'SELECT rolname, rolvaliduntil FROM pg_roles WHERE rolvaliduntil < now()'",
            ),
            (
                "Clients are refused: see which, and tell their owner",
                "{console} -c 'SHOW CLIENTS'",
            ),
        ],
        verify: &[("Logins succeed", "{console} -c 'SHOW SERVERS'")],
        after: &[(
            "Rotate with an overlap: two secrets are good while one replaces the other",
            "",
        )],
        never: &[RESTART_POOLER, RETRY_FASTER],
        see: &["PlimsollCredentialFailing", "connection_storm"],
    },
    Chapter {
        label: "pooler_starved",
        title: "the pooler itself lacks CPU",
        about: "Plimsoll gets too little processor time on its machine, or its cgroup holds it back: everything that passes through it is late, while the server is well.",
        before: &[("Rehearse peak load on this machine", "")],
        during: &[
            (
                "See its own load and for how long it was held back",
                "plimsoll diagnose",
            ),
            ("See what else runs there, and move it", "top"),
            (
                "Raise its quota; further instances share the line of the server by themselves",
                "",
            ),
        ],
        verify: &[("It is held back no more", "plimsoll diagnose")],
        after: &[("Leave it at least one core of its own", "")],
        never: &[RESTART_DATABASE, RAISE_BLINDLY, KILL_ALL],
        see: &["connection_storm"],
    },
];
