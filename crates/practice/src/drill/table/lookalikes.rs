//! What looks like one of the outages and is something else: here the path that
//! misled in a report is the right one.

use super::{CACHES, Cause, Drill, Fault, Level, MORE, NETWORK, Path, RESTART, outages};

pub(super) const TICKETS: Drill = Drill {
    name: "tickets",
    report: "000",
    itself: false,
    title: "The ticket office",
    level: Level::Medium,
    fault: Fault::SlowWay,
    pager: "18:40 UTC. Ticket sales are slow, requests time out. It looks like the restaurant platform's outage of last month.",
    channel: &[
        "\"It was the pool's limit last time. Raise it.\"",
        "\"The database is idle, so it is not the database.\"",
    ],
    causes: &[Cause::Network],
    near: &[],
    hints: &[
        "Which got slower: waiting for a connection, or what happens on it?",
        "How long does a query take that does nothing? What does the server do meanwhile? (the probe, in SHOW UPSTREAMS and under Pools on the live page)",
    ],
    done: "The way between the pooler and the server takes 40 ms longer, each way.",
    cure: "reroute: in life, the people of the network",
    paths: &[
        Path {
            causes: &[Cause::LimitTooSmall, Cause::SettingsChange, Cause::Growth],
            actions: &["set-limit", "roll-back-settings"],
            what: "the pool's limit, as last time",
            why: "The pool is full and clients wait, as in report 000. But each connection is kept longer, because each \
                  answer takes longer: the full pool is the effect.",
        },
        Path {
            causes: &[Cause::SlowStatements, Cause::ServerSaturated],
            actions: &["cancel"],
            what: "a slow server",
            why: "Every statement takes longer, so the server looks slow. It is idle: also a query that does nothing takes as much longer.",
        },
        RESTART,
    ],
    story: outages::RESTAURANT.story,
    minutes_to_cause: Some(60),
};

pub(super) const LEDGER: Drill = Drill {
    name: "ledger",
    report: "004",
    itself: false,
    title: "The ledger",
    level: Level::Medium,
    fault: Fault::TableLock,
    pager: "21:05 UTC. Nothing can be booked. Requests hang until they are cut off, the pool is full.",
    channel: &[
        "\"Full pool, idle server: that is the leak of August again.\"",
        "\"A migration runs tonight, but that only adds a column.\"",
    ],
    causes: &[Cause::Locks],
    near: &[(
        Cause::SlowStatements,
        "They take long, yes. But do they work all that time, or wait for something at the server?",
    )],
    hints: &[
        "All connections are lent. Are their clients silent, or does a statement run on each?",
        "What do those statements wait for at the server, and who holds it? (live page, SHOW ACTIVITY, pg_stat_activity and pg_blocking_pids)",
    ],
    done: "A session named migration locked the table items and went on to something else.",
    cure: "end-sessions migration",
    paths: &[
        Path {
            causes: &[Cause::Leak],
            actions: &["roll-back-release"],
            what: "a leak, as in August",
            why: "The pool is full and the server idles, as in report 004. But each lease has a statement running: its client waits, it has forgotten nothing.",
        },
        MORE,
        RESTART,
        CACHES,
    ],
    story: outages::MAIN_SERVICE.story,
    minutes_to_cause: Some(90),
};

pub(super) const CATALOGUE: Drill = Drill {
    name: "catalogue",
    report: "002",
    itself: false,
    title: "The catalogue",
    level: Level::Easy,
    fault: Fault::SlowRelease,
    pager: "11:20 UTC. The catalogue loads slowly, half of it not at all. There was a spike of this kind before, and it was the pool.",
    channel: &[
        "\"web 8.1.0 went out, but it has no change of the database's schema.\"",
        "\"Last time somebody lost two hours on slow queries, and it was the pool. Do not do that again.\"",
    ],
    causes: &[Cause::SlowStatements],
    near: &[],
    hints: &[
        "Who holds the connections: silent clients, or running statements?",
        "Do all statements take longer, or some? Whose, and since when?",
    ],
    done: "Release 8.1.0 of web brought a statement that takes a third of a second.",
    cure: "roll-back-release web",
    paths: &[
        Path {
            causes: &[
                Cause::LimitTooLarge,
                Cause::LimitTooSmall,
                Cause::SettingsChange,
            ],
            actions: &["set-limit", "roll-back-settings"],
            what: "the pool, as last time",
            why: "In report 002 slow queries were the wrong path, so people shun it. Here a query that does nothing is as \
                  quick as ever and one application's statements are not.",
        },
        Path {
            causes: &[Cause::Leak],
            actions: &["restart"],
            what: "a leak of the new release",
            why: "It began with a release and the pool is full, as in report 004. But the connections come back, later than before.",
        },
        NETWORK,
    ],
    story: outages::MAIN_WEBSITE.story,
    minutes_to_cause: Some(180),
};

pub(super) const NEWSLETTER: Drill = Drill {
    name: "newsletter",
    report: "002",
    itself: false,
    title: "The newsletter",
    level: Level::Easy,
    fault: Fault::Flood,
    pager: "09:30 UTC. The shop is slow since a few seconds. Many more requests reach the database than usual.",
    channel: &[
        "\"The newsletter went out at half past. So it is real customers.\"",
        "\"Last time that we thought of an attack it was the pool.\"",
    ],
    causes: &[Cause::AbusiveSource],
    near: &[(
        Cause::Growth,
        "More is asked, yes. By everybody, or by one?",
    )],
    hints: &[
        "More requests come. From all applications alike?",
        "Which application holds most of the connections, and how many had it a minute ago? (live page, SHOW APPLICATIONS)",
    ],
    done: "An application named export sends far more than all others together, with statements that take long.",
    cure: "block export, and talk to its owners",
    paths: &[
        Path {
            causes: &[Cause::LimitTooSmall],
            actions: &["set-limit"],
            what: "growth, and a larger limit",
            why: "More is asked and clients wait, as in report 003. A larger limit would feed the one who asks for more than all others.",
        },
        Path {
            causes: &[Cause::SlowStatements],
            actions: &["cancel"],
            what: "slow queries",
            why: "The longest statements are easy to see. They belong to one application and always took so long; there are more of them.",
        },
        RESTART,
    ],
    story: outages::MAIN_WEBSITE.story,
    minutes_to_cause: Some(180),
};

pub(super) const GATE: Drill = Drill {
    name: "gate",
    report: "002",
    itself: false,
    title: "The gate",
    level: Level::Hard,
    fault: Fault::LoginStorm,
    pager: "08:00 UTC. Logins to the database fail. Some requests are quick, others are turned away.",
    channel: &[
        "\"Too many connections. Raise the limit!\"",
        "\"Traffic looks normal to me.\"",
    ],
    causes: &[Cause::ConnectionStorm],
    near: &[(
        Cause::AbusiveSource,
        "One application stands out. But what does it do so often: ask, or connect?",
    )],
    hints: &[
        "Who gets in is served at once. What is refused: statements, or connections?",
        "Count logins in a second, and requests for each login. (live page; SHOW SOURCES; plimsoll_client_connections in the metrics)",
    ],
    done: "Release 8.2.0 of web lost its own pool: it logs in for every request, and leaves.",
    cure: "roll-back-release web",
    paths: &[
        Path {
            causes: &[Cause::LimitTooSmall, Cause::Growth],
            actions: &["set-limit"],
            what: "a larger limit of the pool",
            why: "\"Too many\" makes one think of the pool's limit. The pool is nearly empty: seats for clients are what runs out.",
        },
        Path {
            causes: &[Cause::Credentials],
            actions: &[],
            what: "wrong passwords",
            why: "Logins fail, so passwords come to mind. Those that are refused were never asked for one.",
        },
        NETWORK,
    ],
    story: outages::MAIN_WEBSITE.story,
    minutes_to_cause: Some(180),
};
