//! What PgBouncer lacks.

use super::own::{API_LISTEN, FLEET_LISTEN, METRICS, PEERS, WORKERS};
use super::{CLIENTS, LINE_MAX, ours, row};
use crate::alerting::TARGETS;
use crate::api::Anonymous;
use crate::etcd::Share;
use crate::fleet::Discover;
use crate::guards::{AUTO_REVERT, AUTO_SIZE, DRIFT, GUARD_MODES, PIN, RECLAIM, SHED};
use crate::keeping::SettingsSource;
use crate::plan::{
    ErrorDetail, ErrorStyle, LogStyle, OnSignal, Pin, StatementCapture, StatementText,
};
use crate::table::Class::{Capacity, Identity, PerCheckout, RestartOnly};
use crate::table::Support::Honoured;
use crate::table::{
    ANONYMOUS, DISCOVERS, ERROR_DETAILS, ERROR_STYLES, LOG_STYLES, PINS, SETTINGS_SOURCES, SHARES,
    SIGNALS, STATEMENT_CAPTURES, STATEMENT_TEXTS, Setting, access,
};
use crate::value::Kind::{
    Address, Bounded, Choice, Count, Flag, Limit, List, Listen, Path, Period, Text, Timeout,
};

pub(super) const ROWS: &[Setting] = &[
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
    ours!("strict_startup_parameters", "session.strict_startup_parameters", Flag, "true", "false", PerCheckout, (flag start_up.strict), "Refuse start-up parameters beyond the tracked and the ignored ones, as PgBouncer does."),
    ours!("error_style", "session.error_style", Choice(ERROR_STYLES), "pgbouncer", "plimsoll", PerCheckout, (word ErrorStyle error_style), "Texts and codes of the pooler's own errors."),
    ours!("error_detail", "session.error_detail", Choice(ERROR_DETAILS), "own", "own", PerCheckout, (word ErrorDetail error_detail), "Whom refusals name: the client's own pool, or also who holds most of its connections."),
    ours!("guard_reclaim", "guards.reclaim", Choice(GUARD_MODES), "observe", "enforce", PerCheckout, (own RECLAIM), "Take connections back from leaks while others wait."),
    ours!("guard_shed", "guards.shed", Choice(GUARD_MODES), "observe", "enforce", PerCheckout, (own SHED), "Refuse clients at once whose predicted wait is longer than their deadline by a quarter of it."),
    ours!("guard_auto_size", "guards.auto_size", Choice(GUARD_MODES), "observe", "enforce", PerCheckout, (own AUTO_SIZE), "Move the size of pools with `size = \"auto\"`, and of those whose stated size is at least twice what the server can give."),
    ours!("guard_auto_revert", "guards.auto_revert", Choice(GUARD_MODES), "observe", "enforce", PerCheckout, (own AUTO_REVERT), "Take back a change of settings that hurts."),
    ours!("guard_drift", "guards.drift", Choice(GUARD_MODES), "observe", "enforce", PerCheckout, (own DRIFT), "Watch the settings files: a change goes through the gate, or is held where `settings.source` is store. Observe: it is only told, and RELOAD takes it."),
    ours!("guard_pin", "guards.pin", Choice(GUARD_MODES), "observe", "enforce", PerCheckout, (own PIN), "Refuse statements that would pin beyond `session.pin_share_percent`. Observe: they are served as PgBouncer serves them, their state stays with the connection and not with the client, and each is counted."),
    ours!("server_tls_direct", "tls.server.direct", Flag, "false", "false", Identity, (flag server_tls.direct), "Start TLS towards servers at once, as sslnegotiation=direct."),
    ours!("drain_delay", "timeouts.drain_delay", Period, "0s", "0s", PerCheckout, (time process.drain.delay), "Shutdown: time in which readiness is withdrawn and clients are still accepted."),
    ours!("drain_timeout", "timeouts.drain", Period, "30s", "30s", PerCheckout, (time process.drain.timeout), "Shutdown: what is left after this is closed."),
    ours!("signals", "process.signals", Choice(SIGNALS), "wait", "drain", PerCheckout, (word OnSignal process.signals), "TERM and INT. drain: idle clients are closed, and what is left after the drain's time. wait: as PgBouncer, TERM waits for all clients and INT for all servers, without a limit. A second one ends at once."),
    ours!("log_style", "log.style", Choice(LOG_STYLES), "pgbouncer", "plimsoll", RestartOnly, (word LogStyle process.log_style), "Words of the log's text format: our own, or PgBouncer's line for each thing for which it has one. JSON is the same in both."),
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
