//! The five outages of the reports.

use super::{CACHES, Cause, Drill, Fault, Level, MORE, NETWORK, Path, RESTART};

pub(super) const RESTAURANT: Drill = Drill {
    name: "restaurant",
    report: "000",
    itself: true,
    title: "The restaurant platform",
    level: Level::Easy,
    fault: Fault::CutLimit,
    pager: "14:10 UTC. Database connection errors rise on the restaurant platform. No orders are placed, nobody can log in.",
    channel: &[
        "\"Timeouts everywhere. Is that the network?\"",
        "\"We have had an update this afternoon, but it went through without an error.\"",
    ],
    causes: &[Cause::SettingsChange],
    near: &[(
        Cause::LimitTooSmall,
        "The limit is too small now. But it was enough a minute ago: what made it so?",
    )],
    hints: &[
        "Is anybody slow at the server, or do they wait before they get there? Look at waiting and at service times.",
        "Compare the pool's limit with what it was. What changed just before it began? (live page: What changed; plimsoll history)",
    ],
    done: "An update applied settings with a limit of 1 connection instead of 16, past the guards (`apply --now`).",
    cure: "roll-back-settings; a limit as before mends it too",
    paths: &[NETWORK, RESTART, CACHES],
    story: &[
        ("14:10", "the alarm: database connection errors"),
        ("14:12", "engineers read the web servers' logs"),
        ("14:20", "the network team is called in: the first idea"),
        ("14:35", "the database team sees connection timeouts rise"),
        (
            "15:10",
            "found: a wrong setting of the connection pool, from the latest update",
        ),
        ("15:25", "the settings are rolled back"),
        ("16:45", "all services are back"),
    ],
    minutes_to_cause: Some(60),
};

pub(super) const PRODUCT_PAGES: Drill = Drill {
    name: "product-pages",
    report: "001",
    itself: true,
    title: "The product pages",
    level: Level::Medium,
    fault: Fault::OverwriteFile,
    pager: "14:00 UTC. High response times. Most customers who open a product page get \"Service Unavailable\".",
    channel: &[
        "\"CPU on the database, I have seen this before.\"",
        "\"Nobody touched the database. There was only a routine deploy.\"",
    ],
    causes: &[Cause::SettingsChange],
    near: &[(
        Cause::LimitTooSmall,
        "The limit is too small now. But it was enough a minute ago: what made it so?",
    )],
    hints: &[
        "Nobody says that settings were changed. Does the pooler say so? (live page: What changed)",
        "The settings file is not the one of yesterday. Who wrote it, and what does it say? (plimsoll history)",
    ],
    done: "A deploy script overwrote the settings file with that of a test environment: a limit of 1 instead of 12, and a shorter wait.",
    cure: "roll-back-settings; and the script is to be mended, or it does it again",
    paths: &[
        Path {
            causes: &[Cause::ServerSaturated],
            actions: &[],
            what: "CPU of the database server",
            why: "Response times rise when a server has no processor time left, so CPU is what people look at first. \
                  Here statements take as long as ever once they run; the time goes by before.",
        },
        RESTART,
        NETWORK,
    ],
    story: &[
        ("14:00", "the alarm: high response times"),
        ("14:05", "high CPU of the database server is suspected"),
        ("14:10", "it is not CPU: services fail to connect"),
        (
            "14:15",
            "found: the pool is exhausted, the update script overwrote a file",
        ),
        ("14:30", "escalated for a second opinion, and confirmed"),
        (
            "14:45",
            "the file is rolled back, the database is restarted",
        ),
        ("15:00", "users can see products again"),
        ("16:00", "closed"),
    ],
    minutes_to_cause: Some(15),
};

pub(super) const MAIN_WEBSITE: Drill = Drill {
    name: "main-website",
    report: "002",
    itself: true,
    title: "The main website",
    level: Level::Hard,
    fault: Fault::Surge,
    pager: "10:00 UTC. High database response times. The main website does not load for most users.",
    channel: &[
        "\"Traffic has a spike. Are we being attacked?\"",
        "\"The slow query log is full. I can start with the search page.\"",
    ],
    causes: &[Cause::LimitTooLarge],
    near: &[(
        Cause::ServerSaturated,
        "The server has no processor time left, yes. But whose work is it, and who lets so much of it in at once?",
    )],
    hints: &[
        "Does anybody wait for a connection? If not, where does the time go?",
        "How many statements run at once, and how many processors are there? Is more done than before, or less, for all these connections?",
    ],
    done: "The pool's limit was 80 for a server with a few processors: no limit at all. Then web and api surged, and all of it worked at once; whoever asked beside them drowned too.",
    cure: "set-limit to a few connections for each processor, 4 here: who surges waits at the door, and the others get their turn",
    paths: &[
        Path {
            causes: &[Cause::AbusiveSource, Cause::ConnectionStorm],
            actions: &["block"],
            what: "an attack",
            why: "More requests come than usual, all at once: that is what an attack looks like. But they come from \
                  the applications that always come, each with its usual share.",
        },
        Path {
            causes: &[Cause::SlowStatements],
            actions: &["cancel"],
            what: "slow queries",
            why: "Every statement is slow, so each one that is looked at seems to be at fault. Slow statements are the \
                  effect: all got slower alike, and alone each is as quick as ever.",
        },
        MORE,
        Path {
            causes: &[Cause::Growth],
            actions: &[],
            what: "growth",
            why: "More is asked, but nobody waits for a connection: the limit is not what stands in the way.",
        },
    ],
    story: &[
        ("10:00", "the alarm: high database response times"),
        ("10:10", "logs of web servers and applications are read"),
        (
            "10:30",
            "an attack is suspected, by the pattern of the traffic",
        ),
        ("11:00", "escalated to the database team"),
        ("11:15", "many connections, slow queries"),
        ("12:00", "specific slow queries are optimised"),
        ("13:00", "found: the connection pool is not limited"),
        ("13:30", "a fixed limit is set, application servers restart"),
        ("14:30", "all is restored"),
    ],
    minutes_to_cause: Some(180),
};

pub(super) const WEB_STACK: Drill = Drill {
    name: "web-stack",
    report: "003",
    itself: true,
    title: "The web stack",
    level: Level::Medium,
    fault: Fault::Growth,
    pager: "15:30 UTC. Latency rises. Requests are delayed, some are rejected.",
    channel: &[
        "\"Nothing was deployed since Tuesday.\"",
        "\"The database is half asleep. Something between us and it is broken.\"",
    ],
    causes: &[Cause::Growth],
    near: &[(
        Cause::LimitTooSmall,
        "The limit is too small for what is asked now. Was it always? Compare requests in a second with before.",
    )],
    hints: &[
        "Statements are as quick as ever, and clients wait. So what is used up?",
        "Compare how many requests come in a second with a minute ago.",
    ],
    done: "Traffic grew within seconds, from every application alike, and the limit stayed at 4.",
    cure: "set-limit to what the traffic needs, some 16 here; `plimsoll size` reckons it",
    paths: &[
        NETWORK,
        Path {
            causes: &[Cause::AbusiveSource],
            actions: &["block"],
            what: "one application too many",
            why: "The largest application shows at the top of every list. It always did: all grew alike.",
        },
        RESTART,
    ],
    story: &[
        ("15:30", "the alarm: increased latency"),
        ("15:35", "the incident team is told"),
        ("15:47", "investigation begins"),
        ("16:00", "first measures: a larger limit, shorter timeouts"),
        ("16:45", "service is restored"),
        ("17:15", "follow-up is planned"),
    ],
    minutes_to_cause: None,
};

pub(super) const MAIN_SERVICE: Drill = Drill {
    name: "main-service",
    report: "004",
    itself: true,
    title: "The main service",
    level: Level::Medium,
    fault: Fault::Leak,
    pager: "02:00 UTC. A spike of 503. Most users cannot reach the main service, nothing can be bought.",
    channel: &[
        "\"Latency from the application servers looks odd. Network?\"",
        "\"Shall I restart the database? It helped last time.\"",
    ],
    causes: &[Cause::Leak],
    near: &[(
        Cause::LimitTooSmall,
        "The pool is full. But are those who hold its connections working, or silent?",
    )],
    hints: &[
        "All connections are lent, and the server does next to nothing. What do those who hold them do?",
        "Who has held a connection longest, in which release, and what was its last statement? (live page: leases; SHOW LEASES)",
    ],
    done: "Release 2.4.1 of checkout begins transactions and now and then never ends them: each keeps a connection for good.",
    cure: "roll-back-release checkout; a restart of checkout helps until it has leaked again",
    paths: &[NETWORK, RESTART, CACHES, MORE],
    story: &[
        ("02:00", "the alarm: 503 errors"),
        ("02:15", "logs show a surge of database connection errors"),
        ("02:25", "the network is diagnosed, and nothing is found"),
        ("02:40", "escalated to the database team"),
        (
            "03:00",
            "database servers are restarted, caches cleared: no help",
        ),
        (
            "03:30",
            "found: the release keeps connections open for good",
        ),
        ("04:00", "a hotfix is deployed, the pool is reset"),
        ("04:30", "all is restored"),
    ],
    minutes_to_cause: Some(90),
};
