//! `plimsoll leaks -- COMMAND`: a program's connections, watched.
//!
//! ```text
//!   COMMAND ──► pooler in this process ──► the database it would have used
//!     │ pipe        │ bytes
//!     ▼             ▼
//!   hooks ──────► journal ──► rules (crate `rehearse`) ──► verdict
//! ```

mod child;
mod hooks;
mod java;
mod peers;
mod plan;
mod tap;

use crate::cli::{LeaksArgs, LeaksFormat};
use crate::commands::address::Address;
use crate::sandbox::{Options, Sandbox};

use anyhow::Context;
use child::Outcome;
use hooks::Hooks;
use rehearse::leaks::facts::{Ended, Moment, Record};
use rehearse::leaks::report::{Report, junit};
use rehearse::leaks::rules::Limits;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tap::{Tap, now};

/// The login and the database of `--sandbox`: the server is private and soon gone.
const SANDBOX: &str = "sandbox";
/// Its connections.
const SANDBOX_CONNECTIONS: u32 = 200;
/// After the command's end its sockets are closed by the system; so long is waited for that.
const CLOSING_MAX: Duration = Duration::from_secs(1);
/// Pause between two looks at them.
const LOOK: Duration = Duration::from_millis(5);
/// It could not run, or nothing came through.
const COULD_NOT: u8 = 2;
/// Leaks were found.
const FOUND: u8 = 1;

/// Runs a command and judges what it did with its connections.
pub fn run(args: &LeaksArgs) -> anyhow::Result<ExitCode> {
    match watched(args) {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => {
            say(&format!("plimsoll: {error:#}\n"));
            Ok(ExitCode::from(COULD_NOT))
        }
    }
}

fn watched(args: &LeaksArgs) -> anyhow::Result<u8> {
    let sandbox = if args.sandbox {
        Some(private_server()?)
    } else {
        None
    };
    let address = upstream(args, sandbox.as_ref())?;
    let password = match &address.password {
        Some(password) if !password.is_empty() => password.clone(),
        // Clients log in with it; the server is one that asks for none.
        _ => random_password()?,
    };
    let plan = plan::plan(&address, &password, args.listen)?;
    let tap = Arc::new(Tap::default());
    let observer: Arc<dyn proxy::Observer> = Arc::<Tap>::clone(&tap);
    let proxy = proxy::Proxy::start_observed(plan, observer)?;
    let handle = proxy.handle();
    let pooler = handle.addresses().first().copied();
    let pooler = pooler.context("the pooler has no address")?;
    let mut environment = address.changed(std::env::vars_os(), pooler, &password);
    let hooks = match args.no_hooks {
        true => None,
        false => Some(Hooks::start(Arc::clone(&tap))?),
    };
    let ran = run_command(args, &tap, hooks, &mut environment);
    handle.stop_now();
    proxy.join();
    drop(sandbox);
    let (record, outcome) = ran?;
    verdict(args, &record, outcome, pooler)
}

fn run_command(
    args: &LeaksArgs,
    tap: &Arc<Tap>,
    mut hooks: Option<Hooks>,
    environment: &mut BTreeMap<OsString, Option<OsString>>,
) -> anyhow::Result<(Record, Outcome)> {
    if let Some(hooks) = &hooks {
        hooks.set(&args.command, environment);
    }
    let outcome = child::run(&args.command, environment, args.span, tap)?;
    let at = now();
    let end = Instant::now() + CLOSING_MAX;
    while tap.open() > 0 && Instant::now() < end {
        std::thread::sleep(LOOK);
    }
    if let Some(hooks) = &mut hooks {
        hooks.finish();
    }
    let ended = Ended {
        at,
        failed: outcome.code != 0,
        cut: outcome.cut,
    };
    Ok((tap.close(ended), outcome))
}

fn private_server() -> anyhow::Result<Sandbox> {
    let mut options = Options::from_env();
    options.max_connections = SANDBOX_CONNECTIONS;
    let sandbox = Sandbox::start(options).context("the private PostgreSQL did not start")?;
    // Suites make databases and roles.
    sandbox.create_user(SANDBOX, SANDBOX, "superuser")?;
    sandbox.create_database(SANDBOX, SANDBOX)?;
    Ok(sandbox)
}

/// The database that the command would have used.
fn upstream(args: &LeaksArgs, sandbox: Option<&Sandbox>) -> anyhow::Result<Address> {
    if let Some(sandbox) = sandbox {
        let url = sandbox.url(SANDBOX, SANDBOX, SANDBOX);
        return Address::of_url(&url).context("the private PostgreSQL has no address");
    }
    let Some(url) = &args.database else {
        return Address::of_this_process().context(
            "which database? give --database postgres://USER:PASSWORD@HOST/DATABASE or --sandbox, \
             or set DATABASE_URL or PGHOST and its like",
        );
    };
    let what = "--database is no postgres:// URL: write postgres://USER:PASSWORD@HOST/DATABASE";
    let mut address = Address::of_url(url.reveal()).context(what)?;
    let password = || std::env::var("PGPASSWORD").ok().filter(|v| !v.is_empty());
    address.password = address.password.or_else(password);
    Ok(address)
}

fn random_password() -> anyhow::Result<String> {
    let bytes = std::fs::File::open("/dev/urandom").and_then(|mut file| {
        let mut bytes = [0; 16];
        std::io::Read::read_exact(&mut file, &mut bytes)?;
        Ok(bytes)
    });
    let bytes = bytes.context("the system gives no random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Says what was found; the exit code.
fn verdict(
    args: &LeaksArgs,
    record: &Record,
    outcome: Outcome,
    pooler: std::net::SocketAddr,
) -> anyhow::Result<u8> {
    let report = Report::of(record, Limits { pool: args.pool });
    let text = report.text(&clock);
    let formatted = match args.format {
        LeaksFormat::Text => text.clone(),
        LeaksFormat::Json => {
            let mut value = serde_json::to_value(&report)?;
            if let Some(object) = value.as_object_mut() {
                object.insert("command_exit_code".to_owned(), outcome.code.into());
            }
            format!("{}\n", serde_json::to_string_pretty(&value)?)
        }
        LeaksFormat::Junit => junit(&report, &clock),
    };
    match &args.output {
        Some(path) => {
            std::fs::write(path, formatted)
                .with_context(|| format!("cannot write {}", path.display()))?;
            say(&text);
        }
        None => say(&formatted),
    }
    if report.connections == 0 {
        say(&nothing_came(record, outcome, pooler));
        return Ok(COULD_NOT);
    }
    if report.refused > 0 {
        say(&format!(
            "{} logins were refused, the last one with: {}\n",
            report.refused, report.refusal
        ));
    }
    if outcome.code != 0 {
        say(&format!(
            "The command ended with exit code {}.\n",
            outcome.code
        ));
    }
    Ok(match report.leaks {
        0 => outcome.code,
        _ => FOUND,
    })
}

/// Why there is no verdict.
fn nothing_came(record: &Record, outcome: Outcome, pooler: std::net::SocketAddr) -> String {
    let refused = match record.refused {
        0 => String::new(),
        n => format!(
            "{n} logins were refused, the last one with: {}\n\
             The command must log in as the user of --database (or of the environment).\n",
            record.refusal
        ),
    };
    format!(
        "{refused}The command ended with exit code {}. It was to connect to {pooler}, by DATABASE_URL or\n\
         PGHOST and PGPORT. If its settings name another address, give that one with --listen.\n",
        outcome.code
    )
}

/// A moment as UTC, to the millisecond.
fn clock(moment: Moment) -> String {
    let at = jiff::Timestamp::from_microsecond(i64::try_from(moment).unwrap_or(0));
    let at = at.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%H:%M:%S%.3fZ").to_string()
}

#[expect(clippy::print_stderr, reason = "standard output is the command's")]
fn say(text: &str) {
    eprint!("{text}");
}
