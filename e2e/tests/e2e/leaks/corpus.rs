//! The seeded bugs, and what is to be said of each.

/// A suite below `e2e/leaks`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suite {
    /// pytest, SQLAlchemy, psycopg, psycopg2, asyncpg.
    Pytest,
    /// Django's own runner.
    Django,
    /// `node --test` and node-postgres.
    Node,
    /// A web service with tags in its statements, under a smoke test.
    Routes,
    /// JUnit 5, JDBC, HikariCP.
    Java,
}

/// All of them.
pub const SUITES: [Suite; 5] = [
    Suite::Pytest,
    Suite::Django,
    Suite::Node,
    Suite::Routes,
    Suite::Java,
];

impl Suite {
    /// Its directory.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Pytest => "pytest",
            Suite::Django => "django",
            Suite::Node => "node",
            Suite::Routes => "routes",
            Suite::Java => "java",
        }
    }

    /// Connections that a process of it needs when it is healthy, and some more.
    pub fn pool(self) -> u32 {
        match self {
            Suite::Pytest => 8,
            Suite::Django | Suite::Routes => 7,
            Suite::Node | Suite::Java => 5,
        }
    }
}

/// A bug.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Where.
    pub suite: Suite,
    /// What `SEED` is set to.
    pub seed: &'static str,
    /// What it is.
    pub kind: &'static str,
    /// The test, or the tag, that is to be named.
    pub names: &'static str,
}

const OPEN: &str = "transaction_left_open";
const KEPT: &str = "connection_not_returned";
const OUTGROWN: &str = "pool_outgrown";

const fn case(suite: Suite, seed: &'static str, kind: &'static str, names: &'static str) -> Case {
    Case {
        suite,
        seed,
        kind,
        names,
    }
}

/// All of them.
pub const CORPUS: [Case; 32] = [
    case(
        Suite::Pytest,
        "session_not_closed",
        OPEN,
        "test_monthly_report",
    ),
    case(Suite::Pytest, "early_return", OPEN, "test_import"),
    case(Suite::Pytest, "raw_connection", OPEN, "test_badge"),
    case(Suite::Pytest, "error_path", OPEN, "test_redeem_twice"),
    case(
        Suite::Pytest,
        "autocommit_not_returned",
        KEPT,
        "test_watch_stock",
    ),
    case(
        Suite::Pytest,
        "generator_not_exhausted",
        OPEN,
        "test_first_order",
    ),
    case(
        Suite::Pytest,
        "pool_getconn",
        KEPT,
        "test_discount_of_nobody",
    ),
    case(
        Suite::Pytest,
        "connection_per_call",
        KEPT,
        "test_legacy_price",
    ),
    case(Suite::Pytest, "thread_not_closed", KEPT, "test_audit"),
    case(
        Suite::Pytest,
        "async_not_closed",
        OPEN,
        "test_async_summary",
    ),
    case(Suite::Pytest, "pool_outgrown", OUTGROWN, "test_compare"),
    case(Suite::Django, "thread_not_closed", KEPT, "test_export"),
    case(
        Suite::Django,
        "executor_autocommit_off",
        OPEN,
        "test_recount_of_nothing",
    ),
    case(Suite::Django, "autocommit_off", OPEN, "test_refused_import"),
    case(
        Suite::Django,
        "generator_in_atomic",
        OPEN,
        "test_first_unpaid",
    ),
    case(
        Suite::Django,
        "begin_early_return",
        OPEN,
        "test_reserve_too_many",
    ),
    case(Suite::Django, "own_connection", KEPT, "test_statistics"),
    case(Suite::Node, "early_return", KEPT, "finds nothing"),
    case(
        Suite::Node,
        "begin_without_end",
        OPEN,
        "is not sold when there is too little",
    ),
    case(
        Suite::Node,
        "error_path",
        OPEN,
        "is refused where it makes no sense",
    ),
    case(Suite::Node, "client_not_ended", KEPT, "prices"),
    case(
        Suite::Node,
        "lost_race",
        KEPT,
        "gives up on a slow database",
    ),
    case(Suite::Node, "pool_outgrown", OUTGROWN, "compares"),
    case(Suite::Routes, "route_without_commit", OPEN, "route=/refund"),
    case(Suite::Routes, "route_not_released", KEPT, "route=/export"),
    case(Suite::Java, "early_return", KEPT, "cFindsNothing()"),
    case(Suite::Java, "error_path", OPEN, "eRefusesToRestock()"),
    case(Suite::Java, "driver_manager", KEPT, "fPrices()"),
    case(Suite::Java, "no_commit", OPEN, "hRefusesToBook()"),
    case(Suite::Java, "stream_not_closed", OPEN, "iFirst()"),
    case(Suite::Java, "thread_local", KEPT, "jTotal()"),
    case(Suite::Java, "pool_outgrown", OUTGROWN, "kCompares()"),
];
