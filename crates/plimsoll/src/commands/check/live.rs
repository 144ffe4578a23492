//! Asks a running server what its settings are.
//!
//! Only what any user may read is needed; what this user may not read is named
//! in the listing and left out.

use crate::client::{Client, ClientError, ServerError, connect_server};
use ::check::{Live, LiveLine, LiveSetting};
use anyhow::{anyhow, bail};
use config::{Host, ServerUrl};

/// What bounds something, in the order of the listing.
const NAMES: [&str; 9] = [
    "max_connections",
    "superuser_reserved_connections",
    "reserved_connections",
    "rds.rds_superuser_reserved_connections",
    "statement_timeout",
    "transaction_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "lock_timeout",
];

/// The user's own view: a value set for the role or the database stands in it.
const VIEW: &str = "SELECT name, CASE WHEN name IN (NAMES) \
THEN pg_catalog.current_setting(name, true) END, source, sourcefile, sourceline, pending_restart \
FROM pg_catalog.pg_settings WHERE pending_restart OR name IN (NAMES) ORDER BY name LIMIT 200";

/// Lines that do not apply, and the last of each name that does.
const WRITTEN: &str = "SELECT sourcefile, sourceline, coalesce(name, ''), \
CASE WHEN name IN (NAMES) THEN setting ELSE '' END, error \
FROM pg_catalog.pg_file_settings WHERE error IS NOT NULL OR (applied AND name IN (NAMES)) \
ORDER BY seqno LIMIT 200";

/// An application's user: whatever other users hold is not its own. Who may see
/// all (a superuser, a monitor) is no application: then other databases count.
const OTHERS: &str = "WITH me AS (SELECT pg_catalog.pg_has_role(session_user, 'pg_monitor', 'USAGE') AS sees) \
SELECT sees, (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity \
WHERE datid IS NOT NULL AND usesysid IS NOT NULL \
AND (backend_type IS NULL OR backend_type = 'client backend') \
AND CASE WHEN sees THEN datname IS DISTINCT FROM current_database() ELSE usename IS DISTINCT FROM session_user END), \
session_user, current_database() FROM me";

const LIMITS: &str = "SELECT (SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = session_user), \
(SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = current_database()), \
session_user, current_database()";

type Rows = Vec<Vec<Option<String>>>;

/// Asks the server of a URL. The password is the URL's, else PGPASSWORD's.
pub(super) fn ask(url: &str) -> anyhow::Result<Live> {
    let password = std::env::var("PGPASSWORD").ok();
    let server = config::server_from_url(url, password.as_deref())
        .map_err(|errors| anyhow!("{}", errors.render().trim_end()))?;
    let label = label(&server);
    let mut client = connect_server(&server, "plimsoll check")
        .map_err(|error| anyhow!("{label}: {}", explained(&error)))?;
    let failed = |error: ClientError| anyhow!("{label}: the server did not answer: {error}");
    let mut live = Live {
        label: label.clone(),
        ..Live::default()
    };
    let version = client.query("SHOW server_version").map_err(failed)?;
    let Some(version) = version else {
        bail!("{label}: no PostgreSQL server answers there");
    };
    live.remarks.push(format!("PostgreSQL {version}"));
    live.settings = settings(&client.rows(&named(VIEW)).map_err(failed)?);
    if !live.settings.iter().any(|s| s.name == "max_connections") {
        bail!("{label}: its pg_settings holds no max_connections: is it a PostgreSQL server?");
    }
    match optional(&mut client, &named(WRITTEN)).map_err(failed)? {
        Some(rows) => live.lines = lines(&rows),
        None => live.remarks.push(
            "this user may not read pg_file_settings: errors in the server's files are not seen"
                .to_owned(),
        ),
    }
    if let Some(rows) = optional(&mut client, OTHERS).map_err(failed)? {
        others(&rows, &mut live);
    }
    if let Some(rows) = optional(&mut client, LIMITS).map_err(failed)? {
        live.own_limit = own_limit(&rows);
    }
    Ok(live)
}

fn named(sql: &str) -> String {
    let names = NAMES.map(|name| format!("'{name}'")).join(", ");
    sql.replace("NAMES", &names)
}

/// Where it is, without user and password.
pub(in crate::commands) fn label(server: &ServerUrl) -> String {
    let d = &server.database;
    let name = d.dbname.as_deref().unwrap_or(&d.name);
    match &d.host {
        Host::Tcp(host) if host.contains(':') => format!("[{host}]:{}/{name}", d.port),
        host => format!("{host}:{}/{name}", d.port),
    }
}

pub(in crate::commands) fn explained(error: &ServerError) -> String {
    let ServerError::Login(ClientError::Server(code, message)) = error else {
        return error.to_string();
    };
    let hint = match code.as_str() {
        "28P01" | "28000" => "; the password stands in the URL, or in PGPASSWORD",
        "42501" => "; GRANT CONNECT ON DATABASE … TO this user",
        "53300" => "; the server is full now: a superuser's slot may be free",
        "3D000" => "; name the database after the last / of the URL",
        _ => "",
    };
    format!("it refuses the login: {message} ({code}){hint}")
}

/// `None` where the user may not, or the server is too old to know.
fn optional(client: &mut Client, sql: &str) -> Result<Option<Rows>, ClientError> {
    match client.rows(sql) {
        Ok(rows) => Ok(Some(rows)),
        Err(error) if matches!(error.code(), Some("42501" | "42P01" | "42704" | "42703")) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn cell(row: &[Option<String>], n: usize) -> String {
    row.get(n).cloned().flatten().unwrap_or_default()
}

fn settings(rows: &Rows) -> Vec<LiveSetting> {
    let mut all: Vec<LiveSetting> = rows
        .iter()
        .map(|row| LiveSetting {
            name: cell(row, 0),
            value: cell(row, 1),
            source: cell(row, 2),
            written: place(cell(row, 3), &cell(row, 4)),
            pending: cell(row, 5) == "t",
        })
        .collect();
    let rank = |name: &str| NAMES.iter().position(|n| *n == name).unwrap_or(NAMES.len());
    all.sort_by_key(|s| rank(&s.name));
    all
}

fn place(file: String, line: &str) -> Option<(String, u64)> {
    let line = line.parse().ok()?;
    (!file.is_empty()).then_some((file, line))
}

fn lines(rows: &Rows) -> Vec<LiveLine> {
    let read = |row: &Vec<Option<String>>| {
        Some(LiveLine {
            written: place(cell(row, 0), &cell(row, 1))?,
            name: cell(row, 2),
            value: cell(row, 3),
            error: row.get(4).cloned().flatten(),
        })
    };
    rows.iter().filter_map(read).collect()
}

fn others(rows: &Rows, live: &mut Live) {
    let Some(row) = rows.first() else { return };
    live.others = cell(row, 1).parse().unwrap_or(0);
    live.others_are = match cell(row, 0) == "t" {
        true => format!("other databases than {}", cell(row, 3)),
        false => format!("other users than {}", cell(row, 2)),
    };
}

fn own_limit(rows: &Rows) -> Option<(u64, String)> {
    let row = rows.first()?;
    // -1: none.
    let role = cell(row, 0).parse::<u64>().ok();
    let database = cell(row, 1).parse::<u64>().ok();
    let role = role.map(|n| (n, format!("of the role {}", cell(row, 2))));
    let database = database.map(|n| (n, format!("of the database {}", cell(row, 3))));
    role.into_iter().chain(database).min_by_key(|(n, _)| *n)
}
