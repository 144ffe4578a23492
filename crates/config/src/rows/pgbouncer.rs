//! PgBouncer's keys, in the order of its SHOW CONFIG. Its facts: the 1.25 key table.

use super::own::{CHECK_QUERY, PORT};
use super::{CLIENTS, CONNECTIONS, bare, row};
use crate::plan::{AuthType, FACILITIES, PoolMode, SslMode, TlsVersions};
use crate::table::Class::{self, Capacity, Identity, PerCheckout, RestartOnly};
use crate::table::Support::{Honoured, NoEffect, NotYet};
use crate::table::{AUTH_TYPES, POOL_MODES, SSL_MODES, Setting, TLS_VERSIONS, access};
use crate::value::Kind::{
    self, Bounded, Choice, Count, Flag, Lifetime, Limit, List, Listen, Millis, Mode, Path, Period,
    PoolSize, Seconds, Size, Text, Timeout,
};

const AUTH_QUERY: &str = "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin";
const RUSTLS: &str =
    "the TLS library offers TLS 1.2 and 1.3 with forward-secret authenticated ciphers only";
const DNS: &str = "names are looked up again at each new connection";
const PACKETS: Kind = Count {
    min: 0,
    max: i32::MAX as u32,
};

pub(super) const ROWS: &[Setting] = &[
    row!("admin_users", "auth.admin_users", List, "", "", PerCheckout, (list admin_users), "Users who may do all in the console."),
    row!("application_name_add_host", "session.application_name_add_host", Flag, "0", "false", PerCheckout, (flag start_up.add_host), "Add the client's host and port to application_name at login."),
    row!("auth_dbname", "auth.query_database", Text, "", "", Identity, (name auth_dbname), "Database that auth_query runs in, where the database itself names none; without one it is the client's own."),
    row!("auth_file", "auth.user_file", Path, "", "", Identity, (path auth_file), "File of users and their secrets, in PgBouncer's format."),
    row!("auth_hba_file", "auth.hba_file", Path, "", "", PerCheckout, (path hba.file), "File of host-based rules, in the form of pg_hba.conf; read with `auth_type = hba`."),
    row!("auth_ident_file", "auth.ident_file", Path, "", "", PerCheckout, (path hba.ident_file), "File of the ident maps that host-based rules name."),
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
    row!("client_tls_protocols", "tls.client.protocols", Choice(TLS_VERSIONS), "secure", "secure", Identity, (word TlsVersions client_tls.versions), "Versions of TLS towards clients: secure is 1.2 and 1.3."),
    row!("client_tls_sslmode", "tls.client.mode", Choice(SSL_MODES), "disable", "disable", Identity, (word SslMode client_tls.mode), "TLS towards clients."),
    bare!(
        "conffile",
        Path,
        "",
        NotYet("RELOAD reads the file that the process was started with"),
        "The settings file."
    ),
    row!("default_pool_size", "pool.size", PoolSize, "20", "20", Capacity, (size default_pool_size), "Most server connections per database and user; auto: it finds the size."),
    row!("disable_pqexec", "clients.extended_only", Flag, "0", "false", PerCheckout, (flag start_up.extended_only), "A client that sends a simple query is disconnected: one text can hold several statements, which helps injected SQL. Consoles are exempt."),
    row!("dns_max_ttl", "server.dns_max_ttl", Timeout, "15", "15s", PerCheckout, (timeout monitor.dns_max_ttl), "Longest use of a host name's address for new connections; off: names of servers in use are not looked up again."),
    row!("dns_nxdomain_ttl", "server.dns_nxdomain_ttl", Timeout, "15", "1s", PerCheckout, (timeout monitor.dns_nxdomain_ttl), "So long a host name that could not be looked up is not asked for again; off: it is, at each connection. A name that was known keeps its last address."),
    bare!(
        "dns_zone_check_period",
        Timeout,
        "0",
        NotYet(DNS),
        "PgBouncer's watch on DNS zones."
    ),
    row!("idle_transaction_timeout", "timeouts.idle_transaction", Timeout, "0", "off", PerCheckout, (timeout idle_transaction_timeout), "A client silent this long inside a transaction is disconnected."),
    row!("ignore_startup_parameters", "session.ignore_startup_parameters", List, "", "", PerCheckout, (list start_up.ignore), "Start-up parameters of clients that are dropped."),
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
    row!("scram_iterations", "auth.scram_iterations", Count { min: 1, max: 1_000_000 }, "4096", "4096", PerCheckout, (count scram_iterations), "Rounds of SCRAM keys made from passwords that are kept as plain text, and those that are shown for unknown users: state what the other secrets have."),
    row!("server_check_delay", "server.check_delay", Period, "30", "30s", PerCheckout, (timeout server_check_delay), "A server connection idle this long is checked before it is lent; 0: always."),
    row!("server_check_query", "server.check_query", Text, "<empty>", "<empty>", PerCheckout, (own CHECK_QUERY), "The query for that; `<empty>` is an empty query, empty text turns the check off."),
    row!("server_connect_timeout", "timeouts.server_connect", Bounded, "15", "15s", PerCheckout, (time server_connect_timeout), "Longest wait for a server's socket and login."),
    row!("server_fast_close", "server.fast_close", Flag, "0", "false", PerCheckout, (flag monitor.fast_close), "In session mode, after RECONNECT or a change of where a database is: close the old connection and its client at the end of the transaction, not of the session."),
    row!("server_idle_timeout", "timeouts.server_idle", Timeout, "600", "10min", PerCheckout, (timeout server_idle_timeout), "Idle server connections are closed after this."),
    row!("server_lifetime", "timeouts.server_lifetime", Lifetime, "3600", "1h", PerCheckout, (timeout server_lifetime), "Age at which a server connection is replaced; once: it is closed after its first use, as PgBouncer's 0 says."),
    row!("server_login_retry", "timeouts.server_login_retry", Period, "15", "15s", PerCheckout, (time server_login_retry), "Pause after a refused server login; how long clients wait for a server that is away."),
    row!("server_reset_query", "session.reset_query", Text, "DISCARD ALL", "DISCARD ALL", PerCheckout, (text server_reset_query), "Run on a server connection when a session ends."),
    row!("server_reset_query_always", "session.reset_always", Flag, "0", "false", PerCheckout, (flag server_reset_always), "Run it after each lease, in every pool mode."),
    row!("server_round_robin", "server.round_robin", Flag, "0", "false", PerCheckout, (flag server_round_robin), "Lend the connection that has been idle longest, and not the one used last."),
    bare!(
        "server_tls13_ciphers",
        Text,
        "",
        NoEffect(RUSTLS),
        "PgBouncer's TLS 1.3 ciphers towards servers."
    ),
    row!("server_tls_ca_file", "tls.server.ca_file", Path, "", "", Identity, (path server_tls.ca_file), "Authorities that server certificates are checked against (PEM); `system`, and verify-full without one: those that the system trusts."),
    row!("server_tls_cert_file", "tls.server.cert_file", Path, "", "", Identity, (path server_tls.cert_file), "Certificate chain shown to servers (PEM)."),
    bare!(
        "server_tls_ciphers",
        Text,
        "default",
        NoEffect(RUSTLS),
        "PgBouncer's TLS 1.2 ciphers towards servers."
    ),
    row!("server_tls_key_file", "tls.server.key_file", Path, "", "", Identity, (path server_tls.key_file), "Private key of that certificate (PEM)."),
    row!("server_tls_protocols", "tls.server.protocols", Choice(TLS_VERSIONS), "secure", "secure", Identity, (word TlsVersions server_tls.versions), "Versions of TLS towards servers: secure is 1.2 and 1.3."),
    row!("server_tls_sslmode", "tls.server.mode", Choice(SSL_MODES), "prefer", "prefer", Identity, (word SslMode server_tls.mode), "TLS towards servers."),
    row!("so_reuseport", "listen.reuse_port", Flag, "0", "false", RestartOnly, (flag sockets.reuse_port), "Several processes may listen at the same TCP address, and the system spreads clients over them; one process uses all cores by itself. Each needs a unix socket of its own, and [peers] for cancel requests."),
    row!("stats_period", "log.stats_period", Bounded, "60", "60s", PerCheckout, (time log.stats_period), "Period of averages and of the statistics line."),
    row!("stats_users", "auth.stats_users", List, "", "", PerCheckout, (list stats_users), "Users who may SHOW in the console."),
    row!("suspend_timeout", "timeouts.suspend", Timeout, "10", "10s", PerCheckout, (timeout suspend_timeout), "Longest wait of SUSPEND for bytes to be taken; then the connections that do not take theirs are closed."),
    row!("syslog", "log.syslog", Flag, "0", "false", RestartOnly, (flag process.syslog), "Log to the system's log as well."),
    row!("syslog_facility", "log.syslog_facility", Choice(FACILITIES), "daemon", "daemon", RestartOnly, (text process.syslog_facility), "The facility of those lines."),
    row!("syslog_ident", "log.syslog_ident", Text, "pgbouncer", "plimsoll", RestartOnly, (text process.syslog_ident), "The name that they begin with."),
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
    row!("tcp_socket_buffer", "tcp.socket_buffer", Limit, "0", "", PerCheckout, (limit sockets.buffer), "Bytes of each of a TCP socket's two buffers; unset: the system sizes them."),
    row!("tcp_user_timeout", "tcp.user_timeout", Millis, "0", "off", PerCheckout, (timeout tcp_user_timeout), "TCP_USER_TIMEOUT: data unacknowledged this long ends the connection."),
    row!("track_extra_parameters", "session.track_extra_parameters", List, "IntervalStyle", "IntervalStyle", PerCheckout, (list start_up.track), "Start-up parameters that clients may send beside those that PgBouncer always tracks, where the others are refused."),
    row!("transaction_timeout", "timeouts.transaction", Timeout, "0", "off", PerCheckout, (timeout transaction_timeout), "Longest transaction."),
    row!("unix_socket_dir", "listen.unix", Path, "/tmp", "", RestartOnly, (path unix_socket_dir), "Directory of the unix socket, or `@name` in Linux's abstract namespace; empty: none."),
    row!("unix_socket_group", "listen.unix_group", Text, "", "", RestartOnly, (name sockets.unix_group), "Group of the unix socket, by name or number; empty: that of the process."),
    row!("unix_socket_mode", "listen.unix_mode", Mode, "0777", "0777", RestartOnly, (count unix_socket_mode), "Permission bits of the unix socket."),
    row!("user", "process.user", Text, "", "", RestartOnly, (name process.user), "User that the process becomes when root starts it, before it opens anything; who else starts it must be that user."),
    row!("verbose", "", PACKETS, "0", "0", PerCheckout, (count process.verbose), "How much more is logged: 1 is --log-level debug, 2 is trace."),
    // From here on: what PgBouncer lacks.
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
