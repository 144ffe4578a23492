//! The rows of the table of settings. PgBouncer's facts: its 1.25 key table.

use Class::{Capacity, Identity, PerCheckout, RestartOnly};
use Kind::{
    Address, Bounded, Choice, Count, Flag, Limit, List, Listen, Millis, Mode, Path, Period,
    PoolSize, Seconds, Size, Text, Timeout,
};
use Support::{Honoured, NoEffect, NotYet, Refused};

mod own;

use crate::alerting::TARGETS;
use crate::api::Anonymous;
use crate::etcd::Share;
use crate::fleet::Discover;
use crate::guards::{AUTO_REVERT, AUTO_SIZE, DRIFT, GUARD_MODES, RECLAIM, SHED};
use crate::keeping::SettingsSource;
use crate::plan::{
    AuthType, ErrorDetail, ErrorStyle, Pin, PoolMode, SslMode, StatementCapture, StatementText,
};
use crate::table::{
    ANONYMOUS, AUTH_TYPES, Access, Class, DISCOVERS, ERROR_DETAILS, ERROR_STYLES, PINS, POOL_MODES,
    SETTINGS_SOURCES, SHARES, SSL_MODES, STATEMENT_CAPTURES, STATEMENT_TEXTS, Setting, Support,
    access,
};
use crate::value::{Kind, Value};
use own::{API_LISTEN, CHECK_QUERY, FLEET_LISTEN, METRICS, PEERS, PORT, WORKERS};

/// A setting of PgBouncer's that the plan carries.
macro_rules! row {
    ($key:literal, $toml:literal, $kind:expr, $ini:expr, $new:expr, $class:expr, ($($a:tt)+), $meaning:expr) => {
        Setting { key: $key, toml: $toml, kind: $kind, default_ini: $ini, default_toml: $new,
            class: $class, in_pgbouncer: true, support: Honoured, meaning: $meaning, access: Some(access!($($a)+)) }
    };
}
/// A setting that PgBouncer lacks.
macro_rules! ours {
    ($key:literal, $toml:literal, $kind:expr, $ini:expr, $new:expr, $class:expr, ($($a:tt)+), $meaning:expr) => {
        Setting { in_pgbouncer: false, ..row!($key, $toml, $kind, $ini, $new, $class, ($($a)+), $meaning) }
    };
}
/// A setting of PgBouncer's that does nothing here.
macro_rules! bare {
    ($key:literal, $kind:expr, $default:expr, $support:expr, $meaning:expr) => {
        Setting {
            key: $key,
            toml: "",
            kind: $kind,
            default_ini: $default,
            default_toml: $default,
            class: PerCheckout,
            in_pgbouncer: true,
            support: $support,
            meaning: $meaning,
            access: None,
        }
    };
}

const AUTH_QUERY: &str = "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin";
const RUSTLS: &str =
    "the TLS library offers TLS 1.2 and 1.3 with forward-secret authenticated ciphers only";
const HBA: &str = "PgBouncer reads it with `auth_type = hba` only, which is refused here";
const DNS: &str = "names are looked up again at each new connection";
const SYSLOG: &str = "logs go to standard error or to `logfile`";
/// Most that the line may be stated as.
pub const LINE_MAX: u32 = 100_000;
const PACKETS: Kind = Count {
    min: 0,
    max: i32::MAX as u32,
};
const CLIENTS: Kind = Count {
    min: 1,
    max: 1_000_000,
};
const CONNECTIONS: Kind = Count {
    min: 0,
    max: 1_000_000,
};

pub(crate) static SETTINGS: &[Setting] = &[
    row!("admin_users", "auth.admin_users", List, "", "", PerCheckout, (list admin_users), "Users who may do all in the console."),
    row!("application_name_add_host", "session.application_name_add_host", Flag, "0", "false", PerCheckout, (flag application_name_add_host), "Add the client's host and port to application_name at login."),
    bare!(
        "auth_dbname",
        Text,
        "",
        Honoured,
        "Database that auth_query runs in, where the database line names none."
    ),
    row!("auth_file", "auth.user_file", Path, "", "", Identity, (path auth_file), "File of users and their secrets, in PgBouncer's format."),
    bare!(
        "auth_hba_file",
        Path,
        "",
        NoEffect(HBA),
        "PgBouncer's host-based rules."
    ),
    bare!(
        "auth_ident_file",
        Path,
        "",
        NoEffect(HBA),
        "PgBouncer's ident map."
    ),
    bare!(
        "auth_ldap_options",
        Text,
        "",
        NoEffect("PgBouncer reads it with `auth_type = ldap` only, which is refused here"),
        "PgBouncer's LDAP options."
    ),
    row!("auth_query", "auth.query", Text, AUTH_QUERY, AUTH_QUERY, Identity, (name auth_query), "Query for the secret of a user that the user file lacks; $1 is the user."),
    row!("auth_type", "auth.type", Choice(AUTH_TYPES), "md5", "scram-sha-256", Identity, (word AuthType auth_type), "How clients prove who they are."),
    row!("auth_user", "auth.query_user", Text, "", "", Identity, (name auth_user), "User that runs auth_query; without one it is not run."),
    bare!(
        "autodb_idle_timeout",
        Timeout,
        "3600",
        NoEffect("databases served by `*` cost nothing when idle"),
        "PgBouncer's clean-up of databases made from `*`."
    ),
    row!("cancel_wait_timeout", "timeouts.cancel_wait", Bounded, "10", "10s", PerCheckout, (time cancel_wait_timeout), "Longest wait of a cancel request for its turn."),
    row!("client_idle_timeout", "timeouts.client_idle", Timeout, "0", "off", PerCheckout, (timeout client_idle_timeout), "A client silent this long outside a transaction is disconnected."),
    row!("client_login_timeout", "timeouts.client_login", Bounded, "60", "60s", PerCheckout, (time client_login_timeout), "Longest login of a client."),
    bare!(
        "client_tls13_ciphers",
        Text,
        "",
        NoEffect(RUSTLS),
        "PgBouncer's TLS 1.3 ciphers towards clients."
    ),
    row!("client_tls_ca_file", "tls.client.ca_file", Path, "", "", Identity, (path client_tls.ca_file), "Authorities that client certificates are checked against (PEM)."),
    row!("client_tls_cert_file", "tls.client.cert_file", Path, "", "", Identity, (path client_tls.cert_file), "Certificate chain shown to clients (PEM)."),
    bare!(
        "client_tls_ciphers",
        Text,
        "default",
        NoEffect(RUSTLS),
        "PgBouncer's TLS 1.2 ciphers towards clients."
    ),
    bare!(
        "client_tls_dheparams",
        Text,
        "auto",
        NoEffect(RUSTLS),
        "PgBouncer's parameters of finite-field key exchange."
    ),
    bare!(
        "client_tls_ecdhcurve",
        Text,
        "auto",
        NoEffect(RUSTLS),
        "PgBouncer's curve of key exchange."
    ),
    row!("client_tls_key_file", "tls.client.key_file", Path, "", "", Identity, (path client_tls.key_file), "Private key of that certificate (PEM)."),
    bare!(
        "client_tls_protocols",
        Text,
        "secure",
        NoEffect(RUSTLS),
        "PgBouncer's TLS versions towards clients."
    ),
    row!("client_tls_sslmode", "tls.client.mode", Choice(SSL_MODES), "disable", "disable", Identity, (word SslMode client_tls.mode), "TLS towards clients."),
    bare!(
        "conffile",
        Path,
        "",
        NotYet("RELOAD reads the file that the process was started with"),
        "The settings file."
    ),
    row!("default_pool_size", "pool.size", PoolSize, "20", "20", Capacity, (size default_pool_size), "Most server connections per database and user; auto: it finds the size."),
    bare!(
        "disable_pqexec",
        Flag,
        "0",
        Refused("clients could still send several statements in one simple query"),
        "PgBouncer's ban on simple queries."
    ),
    row!("dns_max_ttl", "server.dns_max_ttl", Timeout, "15", "15s", PerCheckout, (timeout monitor.dns_max_ttl), "Longest use of a host name's address for new connections; off: names of servers in use are not looked up again."),
    bare!(
        "dns_nxdomain_ttl",
        Timeout,
        "15",
        NotYet(DNS),
        "PgBouncer's cache of unknown host names."
    ),
    bare!(
        "dns_zone_check_period",
        Timeout,
        "0",
        NotYet(DNS),
        "PgBouncer's watch on DNS zones."
    ),
    row!("idle_transaction_timeout", "timeouts.idle_transaction", Timeout, "0", "off", PerCheckout, (timeout idle_transaction_timeout), "A client silent this long inside a transaction is disconnected."),
    row!("ignore_startup_parameters", "session.ignore_startup_parameters", List, "", "", PerCheckout, (list ignore_startup_parameters), "Start-up parameters of clients that are dropped."),
    bare!(
        "job_name",
        Text,
        "pgbouncer",
        NoEffect("it names PgBouncer's service on Windows"),
        "PgBouncer's service name."
    ),
    row!("listen_addr", "listen.tcp", Listen, "", "127.0.0.1:6432", RestartOnly, (listen listen), "Addresses to listen on; `*` is every address."),
    row!("listen_backlog", "listen.backlog", Count { min: 1, max: 65_535 }, "128", "1024", RestartOnly, (count listen_backlog), "Connections that the system accepts ahead of us."),
    Setting {
        access: Some(PORT),
        ..bare!(
            "listen_port",
            Count {
                min: 1,
                max: 65_535
            },
            "6432",
            Honoured,
            "Port of the addresses and of the unix socket."
        )
    }
    .toml("listen.unix_port", RestartOnly),
    row!("log_connections", "log.connections", Flag, "1", "true", PerCheckout, (flag log.connections), "Log each login."),
    row!("log_disconnections", "log.disconnections", Flag, "1", "true", PerCheckout, (flag log.disconnections), "Log each end of a client, with its reason."),
    row!("log_pooler_errors", "log.errors", Flag, "1", "true", PerCheckout, (flag log.errors), "Log the errors that the pooler itself sends."),
    row!("log_stats", "log.stats", Flag, "1", "true", PerCheckout, (flag log.stats), "Log a line of statistics each period."),
    row!("logfile", "log.file", Path, "", "", RestartOnly, (path log_file), "Log file; empty: standard error."),
    row!("max_client_conn", "clients.max", CLIENTS, "100", "10000", Capacity, (count max_client_conn), "Most clients."),
    row!("max_db_client_connections", "clients.max_per_database", Limit, "0", "", Capacity, (limit max_db_client_connections), "Most clients per database."),
    row!("max_db_connections", "pool.max_per_database", Limit, "0", "", Capacity, (limit max_db_connections), "Most server connections per database over all users."),
    row!("max_packet_size", "clients.max_packet_size", Size, "2147483647", "64KiB", PerCheckout, (count max_packet_size), "Largest message of a client that has not logged in yet."),
    row!("max_prepared_statements", "session.prepared_statements", Count { min: 0, max: 100_000 }, "200", "200", PerCheckout, (count max_prepared_statements), "Prepared statements kept per server connection; 0 turns their tracking off."),
    row!("max_user_client_connections", "clients.max_per_user", Limit, "0", "", Capacity, (limit max_user_client_connections), "Most clients per user."),
    row!("max_user_connections", "pool.max_per_user", Limit, "0", "", Capacity, (limit max_user_connections), "Most server connections per user over all databases."),
    row!("min_pool_size", "pool.min", CONNECTIONS, "0", "0", Capacity, (count min_pool_size), "Server connections kept open per pool in use."),
    row!("peer_id", "", Count { min: 0, max: 16_383 }, "0", "0", PerCheckout, (count fleet.cancel.own), "This instance's number in [peers]."),
    row!("pidfile", "process.pid_file", Path, "", "", RestartOnly, (path pid_file), "File that holds the process id."),
    bare!(
        "pkt_buf",
        PACKETS,
        "4096",
        NoEffect("buffers grow and shrink by themselves"),
        "PgBouncer's buffer size."
    ),
    row!("pool_mode", "pool.mode", Choice(POOL_MODES), "session", "transaction", PerCheckout, (word PoolMode pool_mode), "How long a client keeps a server connection."),
    row!("query_timeout", "timeouts.query", Timeout, "0", "off", PerCheckout, (timeout query_timeout), "Longest query."),
    row!("query_wait_notify", "timeouts.query_wait_notify", Seconds, "5", "5s", PerCheckout, (timeout query_wait_notify), "A client that waits this long gets a notice."),
    row!("query_wait_timeout", "timeouts.query_wait", Timeout, "120", "30s", PerCheckout, (timeout query_wait_timeout), "Longest wait for a server connection."),
    row!("reserve_pool_size", "pool.reserve", CONNECTIONS, "0", "0", Capacity, (count reserve_pool_size), "Further connections of a pool whose clients waited too long."),
    row!("reserve_pool_timeout", "pool.reserve_after", Period, "5", "5s", PerCheckout, (time reserve_pool_timeout), "That wait; 0 turns the reserve off."),
    bare!(
        "resolv_conf",
        Path,
        "",
        NotYet("names are looked up as the system does"),
        "PgBouncer's resolver settings."
    ),
    bare!(
        "sbuf_loopcnt",
        PACKETS,
        "5",
        NoEffect("fairness between sockets is built in"),
        "PgBouncer's reads per turn."
    ),
    bare!(
        "scram_iterations",
        Count {
            min: 1,
            max: i32::MAX as u32
        },
        "4096",
        NotYet("4096 rounds are used for secrets that are kept as plain text"),
        "Rounds of SCRAM secrets made from plain passwords."
    ),
    row!("server_check_delay", "server.check_delay", Period, "30", "30s", PerCheckout, (timeout server_check_delay), "A server connection idle this long is checked before it is lent; 0: always."),
    row!("server_check_query", "server.check_query", Text, "<empty>", "<empty>", PerCheckout, (own CHECK_QUERY), "The query for that; `<empty>` is an empty query, empty text turns the check off."),
    row!("server_connect_timeout", "timeouts.server_connect", Bounded, "15", "15s", PerCheckout, (time server_connect_timeout), "Longest wait for a server's socket and login."),
    bare!(
        "server_fast_close",
        Flag,
        "0",
        NotYet("after a change old connections end with their transaction"),
        "PgBouncer's close without waiting for the session's end."
    ),
    row!("server_idle_timeout", "timeouts.server_idle", Timeout, "600", "10min", PerCheckout, (timeout server_idle_timeout), "Idle server connections are closed after this."),
    row!("server_lifetime", "timeouts.server_lifetime", Timeout, "3600", "1h", PerCheckout, (timeout server_lifetime), "Age at which a server connection is replaced."),
    row!("server_login_retry", "timeouts.server_login_retry", Period, "15", "15s", PerCheckout, (time server_login_retry), "Pause after a refused server login; how long clients wait for a server that is away."),
    row!("server_reset_query", "session.reset_query", Text, "DISCARD ALL", "DISCARD ALL", PerCheckout, (text server_reset_query), "Run on a server connection when a session ends."),
    row!("server_reset_query_always", "session.reset_always", Flag, "0", "false", PerCheckout, (flag server_reset_always), "Run it after each lease, in every pool mode."),
    bare!(
        "server_round_robin",
        Flag,
        "0",
        NotYet("the connection used last is lent first"),
        "PgBouncer's order of lending."
    ),
    bare!(
        "server_tls13_ciphers",
        Text,
        "",
        NoEffect(RUSTLS),
        "PgBouncer's TLS 1.3 ciphers towards servers."
    ),
    row!("server_tls_ca_file", "tls.server.ca_file", Path, "", "", Identity, (path server_tls.ca_file), "Authorities that server certificates are checked against (PEM)."),
    row!("server_tls_cert_file", "tls.server.cert_file", Path, "", "", Identity, (path server_tls.cert_file), "Certificate chain shown to servers (PEM)."),
    bare!(
        "server_tls_ciphers",
        Text,
        "default",
        NoEffect(RUSTLS),
        "PgBouncer's TLS 1.2 ciphers towards servers."
    ),
    row!("server_tls_key_file", "tls.server.key_file", Path, "", "", Identity, (path server_tls.key_file), "Private key of that certificate (PEM)."),
    bare!(
        "server_tls_protocols",
        Text,
        "secure",
        NoEffect(RUSTLS),
        "PgBouncer's TLS versions towards servers."
    ),
    row!("server_tls_sslmode", "tls.server.mode", Choice(SSL_MODES), "prefer", "prefer", Identity, (word SslMode server_tls.mode), "TLS towards servers."),
    bare!(
        "so_reuseport",
        Flag,
        "0",
        NotYet(
            "one process uses all cores with its own workers; a second one on the same port fails to start"
        ),
        "PgBouncer's several processes on one port."
    ),
    row!("stats_period", "log.stats_period", Bounded, "60", "60s", PerCheckout, (time log.stats_period), "Period of averages and of the statistics line."),
    row!("stats_users", "auth.stats_users", List, "", "", PerCheckout, (list stats_users), "Users who may SHOW in the console."),
    bare!(
        "suspend_timeout",
        Timeout,
        "10",
        NotYet("the console has no SUSPEND yet"),
        "PgBouncer's limit of SUSPEND."
    ),
    bare!(
        "syslog",
        Flag,
        "0",
        NotYet(SYSLOG),
        "PgBouncer's log to syslog."
    ),
    bare!(
        "syslog_facility",
        Text,
        "daemon",
        NotYet(SYSLOG),
        "PgBouncer's syslog facility."
    ),
    bare!(
        "syslog_ident",
        Text,
        "pgbouncer",
        NotYet(SYSLOG),
        "PgBouncer's syslog name."
    ),
    bare!(
        "tcp_defer_accept",
        PACKETS,
        "1",
        NoEffect("a silent client is dropped by client_login_timeout"),
        "PgBouncer's TCP_DEFER_ACCEPT."
    ),
    row!("tcp_keepalive", "tcp.keepalive", Flag, "1", "true", PerCheckout, (flag tcp_keepalive.on), "TCP keepalive, so that dead hosts are noticed."),
    row!("tcp_keepcnt", "tcp.keepalive_count", Limit, "0", "", PerCheckout, (limit tcp_keepalive.count), "Probes without an answer before the end; unset: the system's."),
    row!("tcp_keepidle", "tcp.keepalive_idle", Seconds, "0", "off", PerCheckout, (timeout tcp_keepalive.idle), "Silence before the first probe."),
    row!("tcp_keepintvl", "tcp.keepalive_interval", Seconds, "0", "off", PerCheckout, (timeout tcp_keepalive.interval), "Time between probes."),
    bare!(
        "tcp_socket_buffer",
        PACKETS,
        "0",
        NotYet("the system sizes socket buffers by itself"),
        "PgBouncer's socket buffers."
    ),
    row!("tcp_user_timeout", "tcp.user_timeout", Millis, "0", "off", PerCheckout, (timeout tcp_user_timeout), "TCP_USER_TIMEOUT: data unacknowledged this long ends the connection."),
    bare!(
        "track_extra_parameters",
        List,
        "IntervalStyle",
        NoEffect("every parameter that a client sets follows it"),
        "PgBouncer's further tracked parameters."
    ),
    row!("transaction_timeout", "timeouts.transaction", Timeout, "0", "off", PerCheckout, (timeout transaction_timeout), "Longest transaction."),
    row!("unix_socket_dir", "listen.unix", Path, "/tmp", "", RestartOnly, (path unix_socket_dir), "Directory of the unix socket; empty: none."),
    bare!(
        "unix_socket_group",
        Text,
        "",
        NotYet("the socket keeps the group of the process"),
        "PgBouncer's group of the unix socket."
    ),
    row!("unix_socket_mode", "listen.unix_mode", Mode, "0777", "0777", RestartOnly, (count unix_socket_mode), "Permission bits of the unix socket."),
    bare!(
        "user",
        Text,
        "",
        NotYet("start the process as that user"),
        "PgBouncer's change of user after the start."
    ),
    bare!(
        "verbose",
        PACKETS,
        "0",
        NoEffect("the command line sets how much is logged"),
        "PgBouncer's verbosity."
    ),
    // From here on: what PgBouncer lacks.
    ours!("line", "server.line", Count { min: 1, max: LINE_MAX }, "90", "90", Capacity, (count line), "Most server connections per database server, over all pools; with monitor_user: where it is stated, and where the server tells none."),
    ours!("monitor_user", "server.monitor_user", Text, "", "", Identity, (name monitor.user), "User that reads the server's limits and who is connected, with its password from [[user]] or the user file; empty: the stated line holds."),
    ours!("monitor_database", "server.monitor_database", Text, "", "", Identity, (name monitor.database), "Database at the server that it logs in to; empty: the first that a client asks for."),
    ours!("monitor_interval", "server.monitor_interval", Bounded, "2s", "2s", PerCheckout, (time monitor.interval), "Time between two of its readings, at most."),
    ours!("monitor_idle_stop", "server.monitor_idle_stop", Timeout, "10min", "10min", PerCheckout, (timeout monitor.idle_stop), "Without clients for so long its session ends, so that a serverless database can pause."),
    ours!("headroom", "server.headroom", Count { min: 0, max: 10_000 }, "5", "5", Capacity, (count monitor.headroom), "Slots of the server that are left free for whoever logs in between two readings."),
    ours!("cancel_peers", "fleet.cancel_peers", Listen, "", "", PerCheckout, (own PEERS), "Other instances, as their clients reach them: a cancel request for a client of theirs is passed on to them. In pgbouncer.ini the section [peers] says so."),
    ours!("fleet", "server.fleet", Text, "default", "default", Capacity, (text monitor.fleet), "Instances with the same name share the line of a server."),
    ours!("server_cores", "server.cores", Limit, "", "", Capacity, (limit auto.server_cores), "Processor cores of the database server, where an automatic size starts; unset: at its floor."),
    ours!("auto_floor", "pool.auto_floor", Count { min: 1, max: 100_000 }, "4", "4", Capacity, (count auto.floor), "An automatic size is never smaller."),
    ours!("auto_ceiling", "pool.auto_ceiling", Limit, "", "", Capacity, (limit auto.ceiling), "An automatic size is never larger; unset: the line."),
    ours!("queue_max", "pool.queue_max", CLIENTS, "10000", "5000", Capacity, (count queue_max), "Most clients that wait, per pool. From pgbouncer.ini: max_client_conn."),
    ours!("connects_max", "server.connects_max", Count { min: 1, max: 1000 }, "10", "10", Capacity, (count connects_max), "Connections to one server being opened at a time."),
    ours!("auth_query_ttl", "auth.query_ttl", Period, "30s", "30s", PerCheckout, (time auth_query_ttl), "How long an answer of auth_query is kept."),
    ours!("pin", "session.pin", Choice(PINS), "on", "on", PerCheckout, (word Pin pin), "Whether a client keeps its server connection while it holds state that cannot be replayed."),
    ours!("pin_share_percent", "session.pin_share_percent", Count { min: 0, max: 100 }, "25", "25", PerCheckout, (count pin_share_percent), "Percent of a pool that pins may take."),
    ours!("strict_startup_parameters", "session.strict_startup_parameters", Flag, "true", "false", PerCheckout, (flag strict_startup_parameters), "Refuse start-up parameters beyond the tracked and the ignored ones, as PgBouncer does."),
    ours!("error_style", "session.error_style", Choice(ERROR_STYLES), "pgbouncer", "plimsoll", PerCheckout, (word ErrorStyle error_style), "Texts and codes of the pooler's own errors."),
    ours!("error_detail", "session.error_detail", Choice(ERROR_DETAILS), "own", "own", PerCheckout, (word ErrorDetail error_detail), "Whom refusals name: the client's own pool, or also who holds most of its connections."),
    ours!("guard_reclaim", "guards.reclaim", Choice(GUARD_MODES), "observe", "enforce", PerCheckout, (own RECLAIM), "Take connections back from leaks while others wait."),
    ours!("guard_shed", "guards.shed", Choice(GUARD_MODES), "observe", "enforce", PerCheckout, (own SHED), "Refuse clients at once whose predicted wait is longer than their deadline by a quarter of it."),
    ours!("guard_auto_size", "guards.auto_size", Choice(GUARD_MODES), "observe", "enforce", PerCheckout, (own AUTO_SIZE), "Move the size of pools with `size = \"auto\"`, and of those whose stated size is at least twice what the server can give."),
    ours!("guard_auto_revert", "guards.auto_revert", Choice(GUARD_MODES), "observe", "enforce", PerCheckout, (own AUTO_REVERT), "Take back a change of settings that hurts."),
    ours!("guard_drift", "guards.drift", Choice(GUARD_MODES), "observe", "enforce", PerCheckout, (own DRIFT), "Watch the settings files: a change goes through the gate, or is held where `settings.source` is store. Observe: it is only told, and RELOAD takes it."),
    ours!("server_tls_direct", "tls.server.direct", Flag, "false", "false", Identity, (flag server_tls.direct), "Start TLS towards servers at once, as sslnegotiation=direct."),
    ours!("drain_delay", "timeouts.drain_delay", Period, "0s", "0s", PerCheckout, (time drain.delay), "Shutdown: time in which readiness is withdrawn and clients are still accepted."),
    ours!("drain_timeout", "timeouts.drain", Period, "30s", "30s", PerCheckout, (time drain.timeout), "Shutdown: what is left after this is closed."),
    ours!("statement_text", "leaks.statement_text", Choice(STATEMENT_TEXTS), "normalized", "normalized", PerCheckout, (word StatementText leaks.statement_text), "How much of a lease's last statement is shown: its text without literals, a fingerprint, or nothing."),
    ours!("reclaim_after", "leaks.reclaim_after", Bounded, "5s", "5s", PerCheckout, (time leaks.after), "Several leases of one application and statement, silent in a transaction for this long, are a leak when nothing else is known of them; of a known kind, two fifths of it or twice its longest silence."),
    ours!("reclaim_single_after", "leaks.reclaim_single_after", Bounded, "300s", "300s", PerCheckout, (time leaks.single_after), "The same of a single lease of a known kind."),
    ours!("reclaim_exempt", "leaks.exempt", List, "", "", PerCheckout, (list leaks.exempt), "Users and applications whose leases are never taken back."),
    // At once, and not with a restart: that would close every client before it can be captured, and a capture that runs must end when this is taken back.
    ours!("statement_capture", "capture.statements", Choice(STATEMENT_CAPTURES), "off", "off", PerCheckout, (word StatementCapture api.statements), "Whether `plimsoll capture --statements` may write down what clients send, with every value in it: allow lets the API's admin role do so, off ends a capture that runs. The settings file alone can say so."),
    ours!("settings_source", "settings.source", Choice(SETTINGS_SOURCES), "deploy", "auto", PerCheckout, (word SettingsSource keeping.source), "Who decides what the settings file says. deploy: a changed file goes through the gate by itself; store: only `plimsoll apply` and RELOAD change settings, any other change is held, with an alert; etcd: the key `settings` below `etcd.prefix` has the text, and the file says what is this instance's own; auto: deploy in a container, else store."),
    ours!("settings_restore", "settings.restore", Flag, "false", "false", PerCheckout, (flag keeping.restore), "With source store: write the file back when somebody else changed it, at most three times in ten minutes."),
    ours!("settings_watch", "settings.watch", Bounded, "60s", "60s", PerCheckout, (time keeping.watch), "How long a change is watched after its last step, before it is called applied."),
    ours!("state_directory", "state.directory", Path, "", "", RestartOnly, (path keeping.directory), "Directory of the history of settings; unset: STATE_DIRECTORY, else /var/lib/plimsoll where it can be written. The command line's --state goes before it."),
    ours!("alerts_enabled", "alerts.enabled", Flag, "true", "true", PerCheckout, (flag alerts.enabled), "Look for the built-in alerts."),
    ours!("alerts_silence", "alerts.silence", List, "", "", PerCheckout, (list alerts.silence), "Names of built-in alerts that nobody wants."),
    ours!("alerts_wait_objective", "alerts.wait_objective", Bounded, "100ms", "100ms", PerCheckout, (time alerts.wait_objective), "Waits for a connection are to be no longer than this; what is longer burns the allowance."),
    ours!("alerts_wait_target", "alerts.wait_target", Choice(TARGETS), "99.9%", "99.9%", PerCheckout, (text alerts.wait_target), "The share of waits for which that is to hold."),
    ours!("alerts_runbook_base", "alerts.runbook_base", Text, "docs/playbook.md", "docs/playbook.md", PerCheckout, (text alerts.runbook_base), "Where the playbook is, for the link in every alert; `#` and the alert's name in small letters are added."),
    ours!("alerts_grace", "alerts.grace", Period, "30s", "30s", PerCheckout, (time alerts.grace), "After a start no alert fires for so long: everybody connects at once, and caches are cold."),
    ours!("alerts_group_window", "alerts.group_window", Period, "10s", "10s", PerCheckout, (time alerts.group_window), "Alerts that begin within so long of each other are sent as one message."),
    ours!("alerts_status_message", "alerts.status_message", Text, "", "", PerCheckout, (text alerts.status_message), "What the playbook offers to tell people who wait; {incident}, {database}, {waiting}, {title} are filled in; empty: a text of its own."),
    ours!("metrics_listen", "metrics.listen", Address, "", "", RestartOnly, (own METRICS), "Address of /metrics, /livez and /readyz; empty: none."),
    ours!("api_listen", "api.listen", Address, "", "", RestartOnly, (own API_LISTEN), "Address of the HTTP API beside its unix socket: a loopback address; empty: none. The live page is there."),
    ours!("api_anonymous", "api.anonymous", Choice(ANONYMOUS), "viewer", "viewer", PerCheckout, (word Anonymous api.anonymous), "What callers of the API on TCP may do without a token: read, as the live page does, or nothing. Whoever can open a connection to a loopback address of this machine reads then."),
    ours!("api_hosts", "api.hosts", List, "", "", PerCheckout, (list api.hosts), "Further names that callers may give the API in the Host header, such as a proxy's; localhost and loopback addresses are always taken."),
    ours!("api_viewer_token_file", "api.tokens.viewer_file", Path, "", "", PerCheckout, (path api.viewer.file), "File that holds the API's viewer token, 16 bytes or more, watched; who has it reads."),
    ours!("api_viewer_token_env", "api.tokens.viewer_env", Text, "", "", PerCheckout, (name api.viewer.env), "Environment variable that holds it."),
    ours!("api_operator_token_file", "api.tokens.operator_file", Path, "", "", PerCheckout, (path api.operator.file), "File that holds the API's operator token, 16 bytes or more, watched; who has it also marks releases, notes incidents, tests notifiers."),
    ours!("api_operator_token_env", "api.tokens.operator_env", Text, "", "", PerCheckout, (name api.operator.env), "Environment variable that holds it."),
    ours!("api_admin_token_file", "api.tokens.admin_file", Path, "", "", PerCheckout, (path api.admin.file), "File that holds the API's admin token, 16 bytes or more, watched; who has it also changes settings."),
    ours!("api_admin_token_env", "api.tokens.admin_env", Text, "", "", PerCheckout, (name api.admin.env), "Environment variable that holds it."),
    ours!("fleet_listen", "fleet.listen", Address, "", "", RestartOnly, (own FLEET_LISTEN), "Address where other instances of the fleet reach this one; empty: none, and it asks nobody. Beyond loopback it needs `key_file`, or `tls_cert`, `tls_key` and `tls_ca`."),
    ours!("fleet_discover", "fleet.discover", Choice(DISCOVERS), "static", "static", PerCheckout, (word Discover fleet.discover), "Where the others are found: static, in `peers`; dns, all addresses of the name in `dns`; view, in the server's activity view, where their monitor sessions come from; etcd, where each puts its address."),
    ours!("fleet_dns", "fleet.dns", Text, "", "", PerCheckout, (text fleet.dns), "Name and port of all instances, such as a headless service's; asked again every 5 seconds, and the last answer holds where none comes."),
    ours!("fleet_peers", "fleet.peers", List, "", "", PerCheckout, (list fleet.peers), "Addresses and ports of all instances; this one's own may be among them."),
    ours!("fleet_key_file", "fleet.key_file", Path, "", "", PerCheckout, (path fleet.key_file), "File that holds the key of the fleet's messages, 16 bytes or more, watched; the one before stays good for 60 seconds beside it."),
    ours!("fleet_tls_cert", "fleet.tls_cert", Path, "", "", RestartOnly, (path fleet.tls_cert), "Certificate chain shown to other instances (PEM); with it the channel speaks TLS. Read again when it changes."),
    ours!("fleet_tls_key", "fleet.tls_key", Path, "", "", RestartOnly, (path fleet.tls_key), "Private key of that certificate (PEM)."),
    ours!("fleet_tls_ca", "fleet.tls_ca", Path, "", "", RestartOnly, (path fleet.tls_ca), "Authority of the fleet (PEM): whoever has a certificate of it is an instance, whatever name stands in it."),
    ours!("fleet_share", "fleet.share", Choice(SHARES), "view", "view", RestartOnly, (word Share fleet.share), "By what instances share the line: view, the server's activity view, each with a monitor session; ledger, by etcd, three monitor sessions for all. All of a fleet must use one."),
    ours!("fleet_origin", "fleet.origin", Text, "", "", RestartOnly, (text fleet.origin), "With a ledger: the address from which the database server sees this instance's connections; empty: the own one. Needed behind NAT."),
    ours!("etcd_endpoints", "etcd.endpoints", List, "", "", RestartOnly, (list etcd.endpoints), "Members of one etcd cluster, `http://host:port` or `https://host:port`, asked by their JSON gateway; the next one where one does not answer."),
    ours!("etcd_prefix", "etcd.prefix", Text, "plimsoll", "plimsoll", RestartOnly, (text etcd.prefix), "What all keys in etcd begin with, followed by `/`."),
    ours!("etcd_user", "etcd.user", Text, "", "", RestartOnly, (name etcd.user), "User of etcd; it needs `password_file`, and the permission to read and write what begins with `prefix`."),
    ours!("etcd_password_file", "etcd.password_file", Path, "", "", RestartOnly, (path etcd.password_file), "File that holds that user's password; read again whenever etcd wants it."),
    ours!("etcd_tls_ca", "etcd.tls_ca", Path, "", "", RestartOnly, (path etcd.tls_ca), "Authorities that etcd's certificates are checked against (PEM); unset: the system's. Read again at each new connection, as the two below."),
    ours!("etcd_tls_cert", "etcd.tls_cert", Path, "", "", RestartOnly, (path etcd.tls_cert), "Certificate chain shown to etcd (PEM)."),
    ours!("etcd_tls_key", "etcd.tls_key", Path, "", "", RestartOnly, (path etcd.tls_key), "Private key of that certificate (PEM)."),
    ours!("workers", "process.workers", Limit, "", "", RestartOnly, (own WORKERS), "Worker threads; unset: from the CPU quota."),
];

impl Setting {
    /// For rows that fit none of the macros.
    const fn toml(self, toml: &'static str, class: Class) -> Setting {
        Setting {
            toml,
            class,
            ..self
        }
    }
}
