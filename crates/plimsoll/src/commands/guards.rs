//! `plimsoll guards`: what a running pooler may do by itself, and the switch.
//!
//! It asks the pooler's own console, so it needs no state and no token: over
//! the unix socket the user that the pooler runs as, over TCP an admin user.

mod since;

use super::run::load;
use crate::cli::{GuardsAction, GuardsArgs, GuardsOffArgs, LogFormat, ReachArgs};
use crate::client::{Address, Client, ClientError, TargetOf};
use anyhow::{Context, bail};
use config::{Overrides, Plan};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The console's database, and its user for the owner of the process.
const CONSOLE: &str = "pgbouncer";
/// Settings files that are looked for when nothing is said.
const FILES: [&str; 2] = ["plimsoll.toml", "/etc/plimsoll/plimsoll.toml"];
/// Directories of sockets that are looked at then.
const SOCKETS: [&str; 2] = ["/run/plimsoll", "/tmp"];

/// Shows the guards, or throws the switch.
pub fn run(args: GuardsArgs) -> anyhow::Result<ExitCode> {
    if let (Some(span), None) = (args.watched.since, &args.action) {
        return since::run(&args, span);
    }
    let (reach, statement) = match args.action {
        None => (args.reach, None),
        Some(GuardsAction::Show(reach)) => (reach, None),
        Some(GuardsAction::On(reach)) => (reach, Some("GUARDS ON".to_owned())),
        Some(GuardsAction::Off(off)) => {
            let statement = switch_off(&off);
            (off.reach, Some(statement))
        }
    };
    let mut client = connect(&places(&reach)?)?;
    if let Some(statement) = statement {
        client.rows(&statement).map_err(explain)?;
    }
    let rows = client.rows("SHOW GUARDS").map_err(explain)?;
    print(&rows, reach.format);
    Ok(ExitCode::SUCCESS)
}

fn switch_off(args: &GuardsOffArgs) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let (span, reason) = (quoted(&args.span), quoted(&args.reason));
    format!("GUARDS OFF FOR {span} REASON {reason}")
}

fn explain(error: ClientError) -> anyhow::Error {
    match error {
        ClientError::Server(code, message) if code == "42501" => {
            anyhow::anyhow!("{message}: the console's user must be one of admin_users")
        }
        other => anyhow::anyhow!("{other}"),
    }
}

/// A console that may be the one meant.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    socket: Option<PathBuf>,
    tcp: Option<SocketAddr>,
    user: String,
    password: String,
}

impl Place {
    fn socket(path: PathBuf, user: Option<&str>) -> Place {
        Place {
            socket: Some(path),
            tcp: None,
            user: user.unwrap_or(CONSOLE).to_owned(),
            password: password(),
        }
    }

    fn label(&self) -> String {
        match (&self.socket, &self.tcp) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => String::new(),
        }
    }

    fn address(&self) -> Option<Address> {
        let unix = self.socket.clone().map(Address::Unix);
        unix.or(self.tcp.map(Address::Tcp))
    }
}

fn password() -> String {
    std::env::var("PGPASSWORD").unwrap_or_default()
}

fn in_directory(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
}

/// The consoles to try, in their order.
fn places(reach: &ReachArgs) -> anyhow::Result<Vec<Place>> {
    let user = reach.user.as_deref();
    if let Some(path) = &reach.socket {
        let path = match path.is_dir() {
            true => in_directory(path, reach.port),
            false => path.clone(),
        };
        return Ok(vec![Place::socket(path, user)]);
    }
    if let Some(host) = &reach.host {
        let addresses = (host.as_str(), reach.port)
            .to_socket_addrs()
            .with_context(|| format!("no address for {host}"))?;
        let place = |tcp| Place {
            socket: None,
            tcp: Some(tcp),
            user: user.unwrap_or(CONSOLE).to_owned(),
            password: password(),
        };
        return Ok(addresses.map(place).collect());
    }
    let known = || FILES.iter().map(PathBuf::from).find(|file| file.exists());
    if let Some(file) = reach.file.clone().or_else(known) {
        let plan = load(&file, &Overrides::default(), &proxy::Disk::default())
            .map_err(|errors| anyhow::anyhow!("{}", errors.render()))
            .with_context(|| {
                format!(
                    "{} says no place; name it with --socket or --host",
                    file.display()
                )
            })?;
        return places_of(&plan, user)
            .with_context(|| format!("{} opens no console", file.display()));
    }
    let sockets = SOCKETS.map(|dir| in_directory(Path::new(dir), reach.port));
    let there: Vec<Place> = sockets
        .into_iter()
        .filter(|path| path.exists())
        .map(|path| Place::socket(path, user))
        .collect();
    match there.is_empty() {
        true => bail!("no pooler is found: name its settings file, --socket or --host"),
        false => Ok(there),
    }
}

/// The consoles of a settings file: its unix socket, then TCP for an admin user
/// whose password is known.
fn places_of(plan: &Plan, user: Option<&str>) -> anyhow::Result<Vec<Place>> {
    let mut places = Vec::new();
    if let Some(directory) = plan.socket_directory() {
        let path = in_directory(directory, plan.unix_socket_port);
        places.push(Place::socket(path, user));
    }
    let admin = user.or(plan.admin_users.first().map(String::as_str));
    if let (Some(admin), Some(listen)) = (admin, plan.listen.first()) {
        let host = match listen.host.as_str() {
            "*" | "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            host => host,
        };
        let secret = plan.users.get(admin).and_then(|u| u.secret.as_ref());
        let plain = |secret: &&config::Secret| {
            !secret.0.starts_with("md5") && !secret.0.starts_with("SCRAM-SHA-256$")
        };
        let secret = secret.filter(plain).map(|s| s.0.clone());
        places.extend((host, listen.port).to_socket_addrs()?.map(|tcp| Place {
            socket: None,
            tcp: Some(tcp),
            user: admin.to_owned(),
            password: secret.clone().unwrap_or_else(password),
        }));
    }
    match places.is_empty() {
        true => bail!("set `unix` in [listen], or `admin_users` in [auth]"),
        false => Ok(places),
    }
}

fn connect(places: &[Place]) -> anyhow::Result<Client> {
    let person = ["USER", "LOGNAME"]
        .iter()
        .find_map(|v| std::env::var(v).ok());
    let application = match person {
        Some(person) => format!("plimsoll guards by {person}"),
        None => "plimsoll guards".to_owned(),
    };
    let mut failed = Vec::new();
    for place in places {
        let Some(address) = place.address() else {
            continue;
        };
        let target = TargetOf {
            address,
            user: &place.user,
            password: &place.password,
            database: CONSOLE,
        };
        match Client::connect(&target, &application) {
            Ok(client) => return Ok(client),
            Err(error) => failed.push(format!("{}: {error}", place.label())),
        }
    }
    bail!("no console answers; {}", failed.join("; "))
}

const HEADER: [&str; 6] = ["guard", "set", "in force", "done", "would have", "needless"];

#[expect(clippy::print_stdout, reason = "a person or a program reads it")]
fn print(rows: &[Vec<Option<String>>], format: LogFormat) {
    match format {
        LogFormat::Text => print!("{}", text(rows)),
        LogFormat::Json => println!("{}", json(rows)),
    }
}

fn cell(row: &[Option<String>], n: usize) -> Option<&str> {
    row.get(n).and_then(Option::as_deref)
}

fn text(rows: &[Vec<Option<String>>]) -> String {
    let width = |n: usize| {
        let cells = rows.iter().filter_map(|row| cell(row, n)).map(str::len);
        cells.chain([HEADER[n].len()]).max().unwrap_or(0)
    };
    let line = |at: &dyn Fn(usize) -> String| {
        let cells = (0..HEADER.len()).map(|n| format!("{:<1$}", at(n), width(n)));
        let line: Vec<String> = cells.collect();
        format!("{}\n", line.join("  ").trim_end())
    };
    let mut out = line(&|n| HEADER[n].to_owned());
    for row in rows {
        out += &line(&|n| cell(row, n).unwrap_or_default().to_owned());
    }
    if let Some(row) = rows.first()
        && let (Some(until), Some(by), Some(reason)) = (cell(row, 6), cell(row, 7), cell(row, 8))
    {
        out += &format!("\nSwitched off until {until} by {by}: {reason}\n");
        out += "They only watch; the budget holds. `plimsoll guards on` ends it now.\n";
    }
    out
}

fn json(rows: &[Vec<Option<String>>]) -> String {
    let string = |text: Option<&str>| match text {
        Some(text) => quoted(text),
        None => "null".to_owned(),
    };
    let number = |text: Option<&str>| text.unwrap_or("0").to_owned();
    let guards: Vec<String> = rows
        .iter()
        .map(|row| {
            let at = |n| cell(row, n);
            format!(
                "{{\"guard\":{},\"set\":{},\"in_force\":{},\"done\":{},\"would\":{},\"needless\":{}}}",
                string(at(0)),
                string(at(1)),
                string(at(2)),
                number(at(3)),
                number(at(4)),
                number(at(5))
            )
        })
        .collect();
    let first = rows.first().map(Vec::as_slice).unwrap_or_default();
    let off = match cell(first, 6) {
        Some(until) => format!(
            "{{\"until\":{},\"by\":{},\"reason\":{}}}",
            quoted(until),
            string(cell(first, 7)),
            string(cell(first, 8))
        ),
        None => "null".to_owned(),
    };
    format!("{{\"guards\":[{}],\"off\":{off}}}", guards.join(","))
}

/// A text as JSON writes it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Memory;

    fn plan(text: &str) -> Plan {
        let text = format!("{text}[database.app]\nhost = \"db\"\n");
        let files = Memory::default().file("p.toml", text);
        config::load("p.toml".as_ref(), &files).unwrap_or_else(|e| panic!("{}", e.render()))
    }

    #[test]
    fn a_settings_file_leads_to_its_console() {
        let labels = |text: &str, user| {
            let places = places_of(&plan(text), user);
            places.map(|places| {
                let label = |p: &Place| format!("{} as {}", p.label(), p.user);
                places.iter().map(label).collect::<Vec<_>>()
            })
        };
        let both =
            "[listen]\ntcp = [\"*:7000\"]\nunix = \"/run/p\"\n[auth]\nadmin_users = [\"ops\"]\n";
        assert_eq!(
            labels(both, None).unwrap(),
            ["/run/p/.s.PGSQL.7000 as pgbouncer", "127.0.0.1:7000 as ops"]
        );
        let tcp = "[auth]\nadmin_users = [\"ops\"]\n";
        assert_eq!(labels(tcp, None).unwrap(), ["127.0.0.1:6432 as ops"]);
        assert_eq!(labels(tcp, Some("eve")).unwrap(), ["127.0.0.1:6432 as eve"]);
        let error = labels("", None).unwrap_err().to_string();
        assert!(error.contains("admin_users"), "{error}");
    }

    #[test]
    fn the_password_is_the_one_of_the_file_where_it_can_be_read() {
        let of = |secret: &str| {
            let text = format!(
                "[auth]\nadmin_users = [\"ops\"]\n[[user]]\nname = \"ops\"\npassword = \"{secret}\"\n"
            );
            places_of(&plan(&text), None).unwrap()[0].password.clone()
        };
        assert_eq!(of("s3cret"), "s3cret");
        assert_ne!(
            of("md5aabbccddeeff00112233445566778899"),
            "md5aabbccddeeff00112233445566778899"
        );
    }

    fn rows(off: bool) -> Vec<Vec<Option<String>>> {
        let off = |text: &str| off.then(|| text.to_owned());
        let row = |guard: &str, mode: &str, done: &str| {
            vec![
                Some(guard.to_owned()),
                Some("enforce".to_owned()),
                Some(mode.to_owned()),
                Some(done.to_owned()),
                Some("3".to_owned()),
                Some("0".to_owned()),
                off("2026-11-21 12:00:00 UTC"),
                off("pgbouncer (unix socket)"),
                off("say \"hi\""),
            ]
        };
        vec![
            row("reclaim", "observe", "0"),
            row("shed", "observe", "1200"),
        ]
    }

    #[test]
    fn people_and_programs_read_the_same() {
        assert_eq!(
            text(&rows(true)),
            "guard    set      in force  done  would have  needless\n\
             reclaim  enforce  observe   0     3           0\n\
             shed     enforce  observe   1200  3           0\n\n\
             Switched off until 2026-11-21 12:00:00 UTC by pgbouncer (unix socket): say \"hi\"\n\
             They only watch; the budget holds. `plimsoll guards on` ends it now.\n"
        );
        assert!(!text(&rows(false)).contains("Switched"));
        let one = &rows(true)[1..];
        assert_eq!(
            json(one),
            "{\"guards\":[{\"guard\":\"shed\",\"set\":\"enforce\",\"in_force\":\"observe\",\"done\":1200,\"would\":3,\"needless\":0}],\
             \"off\":{\"until\":\"2026-11-21 12:00:00 UTC\",\"by\":\"pgbouncer (unix socket)\",\"reason\":\"say \\\"hi\\\"\"}}"
        );
        assert!(json(&rows(false)).ends_with("\"off\":null}"));
    }

    #[test]
    fn a_reason_with_quotes_reaches_the_console_whole() {
        let args = GuardsOffArgs {
            span: "30m".into(),
            reason: "it's down".into(),
            reach: ReachArgs {
                file: None,
                socket: None,
                host: None,
                port: 6432,
                user: None,
                format: LogFormat::Text,
            },
        };
        assert_eq!(
            switch_off(&args),
            "GUARDS OFF FOR '30m' REASON 'it''s down'"
        );
    }
}
