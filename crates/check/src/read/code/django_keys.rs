//! The names that Django and its database drivers read.

/// Of an entry of DATABASES.
pub(super) const ENTRY: &[&str] = &[
    "ENGINE",
    "NAME",
    "USER",
    "PASSWORD",
    "HOST",
    "PORT",
    "ATOMIC_REQUESTS",
    "AUTOCOMMIT",
    "CONN_MAX_AGE",
    "CONN_HEALTH_CHECKS",
    "OPTIONS",
    "TIME_ZONE",
    "DISABLE_SERVER_SIDE_CURSORS",
    "TEST",
];

/// Those of them that hurt when they stand somewhere else.
pub(super) const CONNECTION: &[&str] = &[
    "CONN_MAX_AGE",
    "CONN_HEALTH_CHECKS",
    "DISABLE_SERVER_SIDE_CURSORS",
];

/// Of `OPTIONS["pool"]`: arguments of psycopg_pool's ConnectionPool.
pub(super) const POOL: &[&str] = &[
    "min_size",
    "max_size",
    "timeout",
    "max_waiting",
    "max_lifetime",
    "max_idle",
    "reconnect_timeout",
    "reconnect_failed",
    "num_workers",
    "name",
    "open",
    "configure",
    "check",
    "reset",
    "kwargs",
    "connection_class",
    "close_returns",
];

/// Words that people write for a pool where none of these is read.
pub(super) const POOLISH: &[&str] = &[
    "pool",
    "pool_options",
    "pool_size",
    "pool_timeout",
    "pool_recycle",
    "max_pool_size",
    "min_pool_size",
    "max_overflow",
    "max_size",
    "min_size",
    "size",
    "maxsize",
    "minsize",
    "max",
    "min",
    "max_conn",
    "max_conns",
    "max_conn_age",
    "maxconn",
    "minconn",
    "max_connections",
    "min_connections",
    "maxconnections",
    "connection_limit",
    "connections",
    "connect_timeout",
    "connection_timeout",
    "conn_timeout",
    "statement_timeout",
    "idle_timeout",
    "acquire_timeout",
    "max_lifetime",
    "max_idle",
    "max_waiting",
    "timeout",
    "conn_max_age",
    "conn_health_checks",
];

/// What libpq and psycopg take from `OPTIONS`, of these words.
pub(super) const LIBPQ: &[&str] = &["connect_timeout"];
