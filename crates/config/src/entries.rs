//! The keys of one database and of one user, in both dialects.

mod hosts;

use crate::error::Problem;
use crate::plan::{Application, Database, Host, PoolMode, Secret, SessionAttrs, User};
use crate::table::{Class, POOL_MODES, Support};
use crate::value::{Kind, Value};
pub(crate) use hosts::{host, host_words};

/// One key of a database or a user.
pub(crate) struct EntryKey<T: 'static> {
    /// The names in pgbouncer.ini, the first being the usual one.
    pub ini: &'static [&'static str],
    /// The name in plimsoll.toml; empty: only pgbouncer.ini has it.
    pub toml: &'static str,
    pub kind: Kind,
    pub class: Class,
    pub support: Support,
    pub meaning: &'static str,
    pub set: fn(&mut T, Value) -> Result<(), Problem>,
    /// As plimsoll.toml would write it; `None`: not written.
    pub get: fn(&T) -> Option<Value>,
}

/// A size that pgbouncer.ini wrote as 0, "unlimited", until `finish` puts the bound in its place.
pub(crate) const UNLIMITED: u32 = 0;

const SIZE_OR_NONE: Kind = Kind::Count {
    min: 0,
    max: 1_000_000,
};
/// Keys of a user where PgBouncer's 0 leaves the general setting as it is.
pub(crate) const ZERO_IS_UNSET: [&str; 4] = [
    "query_timeout",
    "idle_transaction_timeout",
    "transaction_timeout",
    "client_idle_timeout",
];
const WEIGHT: Kind = Kind::Count { min: 1, max: 100 };

macro_rules! entry {
    ($ini:expr, $toml:literal, $kind:expr, $class:ident, $variant:ident, $f:ident, $meaning:literal) => {
        EntryKey {
            ini: &$ini,
            toml: $toml,
            kind: $kind,
            class: Class::$class,
            support: Support::Honoured,
            meaning: $meaning,
            set: |t, v| {
                if let Value::$variant(v) = v {
                    t.$f = entry!(@in $variant v);
                }
                Ok(())
            },
            get: |t| t.$f.clone().map(|v| Value::$variant(entry!(@out $variant v))),
        }
    };
    (@in Count $v:ident) => { Some($v) };
    (@in PoolSize $v:ident) => { Some($v) };
    (@in Limit $v:ident) => { Some($v.unwrap_or(UNLIMITED)) };
    (@in Text $v:ident) => { Some($v) };
    (@in Time $v:ident) => { Some($v) };
    (@out Limit $v:ident) => { Some($v) };
    (@out $variant:ident $v:ident) => { $v };
}

macro_rules! user_timeout {
    ($name:literal, $f:ident, $meaning:literal) => {
        entry!(
            [$name],
            $name,
            Kind::Timeout,
            PerCheckout,
            Time,
            $f,
            $meaning
        )
    };
}

macro_rules! parameter {
    ($name:literal) => {
        EntryKey {
            ini: &[$name],
            toml: $name,
            kind: Kind::Text,
            class: Class::Identity,
            support: Support::Honoured,
            meaning: "Start-up parameter sent to the server.",
            set: |d: &mut Database, v| {
                if let Value::Text(v) = v {
                    d.parameters.insert($name.to_owned(), v);
                }
                Ok(())
            },
            get: |d| d.parameters.get($name).cloned().map(Value::Text),
        }
    };
}

macro_rules! mode {
    ($type:ident) => {
        EntryKey {
            ini: &["pool_mode"],
            toml: "pool_mode",
            kind: Kind::Choice(POOL_MODES),
            class: Class::PerCheckout,
            support: Support::Honoured,
            meaning: "Overrides the general pool mode.",
            set: |t: &mut $type, v| {
                if let Value::Text(v) = v {
                    t.pool_mode = PoolMode::from_word(&v);
                }
                Ok(())
            },
            get: |t| t.pool_mode.map(|m| Value::Text(m.word().to_owned())),
        }
    };
}

pub(crate) static DATABASE_KEYS: &[EntryKey<Database>] = &[
    EntryKey {
        ini: &["host"],
        toml: "host",
        kind: Kind::Text,
        class: Class::Identity,
        support: Support::Honoured,
        meaning: "Host name, address, or the directory of a unix socket; or several with commas between.",
        set: |d, v| {
            if let Value::Text(text) = v {
                d.host = host(&text)?;
            }
            Ok(())
        },
        get: |d| Some(Value::Text(host_words(&d.host))),
    },
    EntryKey {
        ini: &["port"],
        toml: "port",
        kind: Kind::Count {
            min: 1,
            max: 65_535,
        },
        class: Class::Identity,
        support: Support::Honoured,
        meaning: "The server's port.",
        set: |d, v| {
            if let Value::Count(n) = v {
                d.port = u16::try_from(n).unwrap_or(u16::MAX);
            }
            Ok(())
        },
        get: |d| Some(Value::Count(u32::from(d.port))),
    },
    entry!(
        ["dbname"],
        "dbname",
        Kind::Text,
        Identity,
        Text,
        dbname,
        "The name at the server; unset: the client's."
    ),
    entry!(
        ["user"],
        "user",
        Kind::Text,
        Identity,
        Text,
        user,
        "User at the server in place of the client's."
    ),
    EntryKey {
        ini: &["password"],
        toml: "password",
        kind: Kind::Text,
        class: Class::Identity,
        support: Support::Honoured,
        meaning: "That user's password; better: password_file, password_env or password_command.",
        set: |d, v| {
            if let Value::Text(v) = v {
                d.password = Some(Secret(v));
            }
            Ok(())
        },
        // Differences compare secrets apart, and never print them.
        get: |_| None,
    },
    entry!(
        ["auth_user"],
        "auth_user",
        Kind::Text,
        Identity,
        Text,
        auth_user,
        "User that runs auth_query."
    ),
    entry!(
        ["auth_dbname"],
        "auth_dbname",
        Kind::Text,
        Identity,
        Text,
        auth_dbname,
        "Database that auth_query runs in."
    ),
    entry!(
        ["auth_query"],
        "auth_query",
        Kind::Text,
        Identity,
        Text,
        auth_query,
        "Overrides the general query."
    ),
    mode!(Database),
    entry!(
        ["pool_size"],
        "pool_size",
        Kind::PoolSize,
        Capacity,
        PoolSize,
        pool_size,
        "Overrides the general pool size."
    ),
    entry!(
        ["min_pool_size"],
        "min_pool_size",
        SIZE_OR_NONE,
        Capacity,
        Count,
        min_pool_size,
        "Overrides the general minimum."
    ),
    entry!(
        ["reserve_pool_size", "reserve_pool"],
        "reserve_pool_size",
        SIZE_OR_NONE,
        Capacity,
        Count,
        reserve_pool_size,
        "Overrides the general reserve."
    ),
    entry!(
        ["max_db_connections"],
        "max_connections",
        Kind::Limit,
        Capacity,
        Limit,
        max_db_connections,
        "Most server connections for this database over all users."
    ),
    entry!(
        ["max_db_client_connections"],
        "max_clients",
        Kind::Limit,
        Capacity,
        Limit,
        max_db_client_connections,
        "Most clients of this database."
    ),
    entry!(
        ["server_lifetime"],
        "server_lifetime",
        Kind::Lifetime,
        PerCheckout,
        Time,
        server_lifetime,
        "Overrides the general lifetime."
    ),
    entry!(
        ["connect_query"],
        "connect_query",
        Kind::Text,
        PerCheckout,
        Text,
        connect_query,
        "Run once on each new server connection."
    ),
    parameter!("client_encoding"),
    parameter!("datestyle"),
    parameter!("timezone"),
    parameter!("application_name"),
    EntryKey {
        ini: &["load_balance_hosts"],
        toml: "load_balance_hosts",
        kind: Kind::Choice(&["disable", "round-robin"]),
        class: Class::PerCheckout,
        support: Support::Honoured,
        meaning: "How several hosts share new connections: each in its turn, or the first that answers.",
        set: |d, v| {
            if let Value::Text(v) = v {
                d.hosts_in_order = v == "disable";
            }
            Ok(())
        },
        get: |d| d.hosts_in_order.then(|| Value::Text("disable".to_owned())),
    },
    EntryKey {
        ini: &["target_session_attrs"],
        toml: "target_session_attrs",
        kind: Kind::Choice(&["any", "read-write", "read-only", "primary", "standby"]),
        class: Class::PerCheckout,
        support: Support::Honoured,
        meaning: "Which of several hosts may serve: asked at each login, of PostgreSQL 14 and later.",
        set: |d, v| {
            if let Value::Text(v) = v {
                d.session_attrs = SessionAttrs::from_word(&v).unwrap_or_default();
            }
            Ok(())
        },
        get: |d| {
            let said = d.session_attrs != SessionAttrs::Any;
            said.then(|| Value::Text(d.session_attrs.word().to_owned()))
        },
    },
    entry!(
        ["query_wait_timeout"],
        "wait_timeout",
        Kind::Timeout,
        PerCheckout,
        Time,
        wait_timeout,
        "Overrides the general longest wait for a server connection."
    ),
];

pub(crate) static USER_KEYS: &[EntryKey<User>] = &[
    mode!(User),
    entry!(
        ["pool_size"],
        "pool_size",
        Kind::PoolSize,
        Capacity,
        PoolSize,
        pool_size,
        "Overrides the size of this user's pools."
    ),
    entry!(
        ["reserve_pool_size"],
        "reserve_pool_size",
        SIZE_OR_NONE,
        Capacity,
        Count,
        reserve_pool_size,
        "Overrides the reserve of this user's pools."
    ),
    entry!(
        ["max_user_connections"],
        "max_connections",
        Kind::Limit,
        Capacity,
        Limit,
        max_user_connections,
        "Most server connections of this user over all databases."
    ),
    entry!(
        ["max_user_client_connections"],
        "max_clients",
        Kind::Limit,
        Capacity,
        Limit,
        max_user_client_connections,
        "Most clients of this user."
    ),
    entry!(
        ["query_wait_timeout"],
        "wait_timeout",
        Kind::Timeout,
        PerCheckout,
        Time,
        wait_timeout,
        "Longest wait of this user's clients for a server connection; goes before the database's."
    ),
    entry!(
        [],
        "weight",
        WEIGHT,
        PerCheckout,
        Count,
        weight,
        "This user's share of a pool against others that wait; unset: 1."
    ),
    user_timeout!(
        "query_timeout",
        query_timeout,
        "Longest query of this user's clients."
    ),
    user_timeout!(
        "idle_transaction_timeout",
        idle_transaction_timeout,
        "Longest silence of this user's clients inside a transaction."
    ),
    user_timeout!(
        "transaction_timeout",
        transaction_timeout,
        "Longest transaction of this user's clients."
    ),
    user_timeout!(
        "client_idle_timeout",
        client_idle_timeout,
        "Longest silence of this user's clients outside a transaction."
    ),
];

pub(crate) static APPLICATION_KEYS: &[EntryKey<Application>] = &[
    entry!(
        [],
        "wait_timeout",
        Kind::Timeout,
        PerCheckout,
        Time,
        wait_timeout,
        "Longest wait of this application's clients for a server connection; goes before the user's. NAME is its application_name at login; a `*` at the end stands for the rest."
    ),
    entry!(
        [],
        "weight",
        WEIGHT,
        PerCheckout,
        Count,
        weight,
        "This application's share of a pool against others that wait; unset: its user's."
    ),
];

/// A database with nothing said about it but its name.
pub(crate) fn database(name: &str, host: Host) -> Database {
    Database {
        name: name.to_owned(),
        host,
        hosts_in_order: false,
        session_attrs: SessionAttrs::Any,
        port: 5432,
        dbname: None,
        user: None,
        password: None,
        password_from: None,
        auth_user: None,
        auth_dbname: None,
        auth_query: None,
        pool_mode: None,
        pool_size: None,
        min_pool_size: None,
        reserve_pool_size: None,
        max_db_connections: None,
        max_db_client_connections: None,
        wait_timeout: None,
        server_lifetime: None,
        connect_query: None,
        parameters: std::collections::BTreeMap::new(),
    }
}
