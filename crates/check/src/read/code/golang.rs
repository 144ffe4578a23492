//! Go: database/sql's setters and pgxpool's config.
//!
//! Setters are put together by receiver and function. They go to the `Open` of
//! the same variable there; else to one in the file that has none.

use super::go_dsn::{Dsn, dsn, duration};
use super::options::{limit_above_zero, limit_always, unknown, whole};
use super::times::server_time;
use super::{Assignment, Call, Code, Expr, Found, POOLS_MAX, Scalar, What, last};
use crate::facts::{Facts, Feature, Limit, Odd, Pool, Tool, Value, Wait};
use crate::place::Place;
use crate::read::value::pool;
use std::time::Duration;

const SQL: &str = "Go's default";
const PGX: &str = "pgxpool's default";

/// Shorter than this, a number without a unit is a forgotten unit.
const MEANT_NS_MIN: f64 = 1e6;

/// Reads all pools of a file.
pub(super) fn read(code: &Code<'_>, facts: &mut Facts) {
    let opens = opens(code);
    let groups = groups(code);
    let mut taken = vec![false; groups.len()];
    // First those that certainly belong together.
    let mut owned: Vec<Option<usize>> = vec![None; opens.len()];
    for (open, own) in opens.iter().zip(&mut owned) {
        let fits = |g: &Group<'_>| g.scope == open.scope && g.receiver == open.variable;
        *own = groups.iter().position(fits);
        if let Some(flag) = own.and_then(|index| taken.get_mut(index)) {
            *flag = true;
        }
    }
    // The others are set up elsewhere in the file: one function may serve several.
    let free = taken.iter().enumerate().filter(|(_, taken)| !**taken);
    let free: Vec<usize> = free.map(|(index, _)| index).collect();
    let mut next = free.iter().chain(free.last().into_iter().cycle());
    for (open, own) in opens.iter().zip(&mut owned) {
        if own.is_none() {
            *own = next.next().copied();
        }
        let group = own.and_then(|index| groups.get(index));
        sql(code, Some(open), group, facts);
    }
    let postgres = code.mentions(&["postgres", "lib/pq", "pgx"]);
    let alone = opens.is_empty() && (postgres || !code.mentions(&["mysql", "sqlite", "sqlserver"]));
    for (group, _) in groups
        .iter()
        .zip(&taken)
        .filter(|(_, taken)| alone && !**taken)
    {
        sql(code, None, Some(group), facts);
    }
    pgxpool(code, facts);
}

/// A call that opens a database.
struct Open<'e> {
    call: &'e Call,
    variable: &'e str,
    scope: usize,
    driver: Driver,
    dsn: Option<&'e Expr>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Driver {
    /// pgx under database/sql: it prepares statements by itself.
    Pgx,
    /// lib/pq and its like.
    Postgres,
    Other,
}

/// Setters of one variable in one function.
struct Group<'e> {
    receiver: &'e str,
    scope: usize,
    calls: Vec<&'e Call>,
}

fn opens<'e>(code: &'e Code<'_>) -> Vec<Open<'e>> {
    let opening = [
        "Open",
        "Connect",
        "MustConnect",
        "MustOpen",
        "ConnectContext",
        "OpenDB",
    ];
    let packages = [
        "sql", "sqlx", "gorm", "otelsql", "apmsql", "sqltrace", "ocsql", "nrsql",
    ];
    let named = |c: &&Call| {
        let (package, name) = c.function.rsplit_once('.').unwrap_or(("", &c.function));
        let package = package.rsplit('.').next().unwrap_or("");
        packages.contains(&package) && opening.contains(&name)
    };
    let made = |call: &'e Call| {
        let text = |expr: &Expr| code.scalar(expr).text().map(|t| t.text.clone());
        // Some take a context first; `OpenDB` takes a connector.
        let mut arguments = call
            .arguments
            .iter()
            .take(3)
            .skip_while(|a| call.last() == "ConnectContext" && text(a).is_none());
        let first = arguments.next();
        let driver = match first.map(|expr| (&expr.what, text(expr))) {
            Some((What::Call(inner), _)) => of_gorm(code, &inner.function),
            Some((_, Some(name))) => of_name(&name),
            _ => hidden(code),
        };
        Open {
            call,
            variable: &call.label,
            scope: call.scope,
            driver,
            dsn: match first.map(|expr| &expr.what) {
                Some(What::Call(inner)) => inner.arguments.first(),
                _ => arguments.next(),
            },
        }
    };
    code.calls
        .iter()
        .filter(named)
        .take(POOLS_MAX)
        .map(made)
        .collect()
}

fn of_name(driver: &str) -> Driver {
    match driver.to_ascii_lowercase() {
        name if name.contains("pgx") => Driver::Pgx,
        name if name.contains("postgres") || name.contains("pq") => Driver::Postgres,
        _ => Driver::Other,
    }
}

/// `gorm.Open(postgres.Open(dsn), …)`; GORM's driver is pgx.
fn of_gorm(code: &Code<'_>, dialect: &str) -> Driver {
    match dialect.split('.').next() {
        Some("postgres") => Driver::Pgx,
        Some("mysql" | "sqlite" | "sqlserver" | "clickhouse") => Driver::Other,
        _ => hidden(code),
    }
}

/// What is not named is what the file imports.
fn hidden(code: &Code<'_>) -> Driver {
    match code.mentions(&["jackc/pgx"]) {
        true => Driver::Pgx,
        false if code.mentions(&["lib/pq", "postgres"]) => Driver::Postgres,
        false => Driver::Other,
    }
}

fn groups<'e>(code: &'e Code<'_>) -> Vec<Group<'e>> {
    let setters = [
        "SetMaxOpenConns",
        "SetMaxIdleConns",
        "SetConnMaxLifetime",
        "SetConnMaxIdleTime",
    ];
    let mut all: Vec<Group<'e>> = Vec::new();
    for call in &code.calls {
        let Some((receiver, name)) = call.function.rsplit_once('.') else {
            continue;
        };
        if !setters.contains(&name) {
            continue;
        }
        let same = |g: &&mut Group<'_>| g.receiver == receiver && g.scope == call.scope;
        if let Some(group) = all.iter_mut().find(same) {
            group.calls.push(call);
        } else if all.len() < POOLS_MAX {
            all.push(Group {
                receiver,
                scope: call.scope,
                calls: vec![call],
            });
        }
    }
    all
}

/// One database/sql pool.
fn sql(code: &Code<'_>, open: Option<&Open<'_>>, group: Option<&Group<'_>>, facts: &mut Facts) {
    let driver = open.map_or(Driver::Postgres, |open| open.driver);
    if driver == Driver::Other {
        return;
    }
    let argument = |name: &str| {
        let mut calls = group.iter().flat_map(|g| g.calls.iter().rev());
        let call = calls.find(|call| call.last() == name)?;
        call.arguments.first().map(|expr| code.scalar(expr))
    };
    let lifetime = age(
        Tool::GoSql,
        "SetConnMaxLifetime",
        argument("SetConnMaxLifetime"),
        facts,
    );
    let idle = age(
        Tool::GoSql,
        "SetConnMaxIdleTime",
        argument("SetConnMaxIdleTime"),
        facts,
    );
    let dsn = open.and_then(|open| dsn(code, Tool::GoSql, open.dsn?, facts));
    let size = match argument("SetMaxOpenConns") {
        None => Value::default(
            Limit::Unlimited,
            "Go's default: SetMaxOpenConns is 0, no limit",
        ),
        Some(found) => match found.number() {
            Some(n) => Value::stated(limit_above_zero(n), found.place),
            None => return,
        },
    };
    let (name, place) = match (open, group.and_then(|g| g.calls.first())) {
        (Some(open), _) => (open.call.name_or("db"), open.call.place.clone()),
        (None, Some(call)) => {
            let receiver = call.function.rsplit_once('.').map_or("db", |(r, _)| r);
            (last(receiver).to_owned(), call.place.clone())
        }
        (None, None) => return,
    };
    let most = size.value.number().unwrap_or(u64::MAX);
    let mut found = pool(Tool::GoSql, name, place, size);
    found.min = match argument("SetMaxIdleConns") {
        // Go keeps 2, or fewer where fewer are allowed.
        None => Some(Value::default(most.min(2), SQL)),
        Some(stated) => stated
            .number()
            .map(|n| Value::stated(whole(n), stated.place)),
    };
    let never = |what| Some(Value::default(Wait::Forever, what));
    found.timeouts.lifetime = lifetime.unwrap_or(never("Go's default: connections live for ever"));
    found.timeouts.idle = idle.unwrap_or(never("Go's default: idle connections are not closed"));
    let prepares = driver == Driver::Pgx;
    connected(code, dsn, prepares, &mut found);
    facts.pools.push(found);
}

/// A time of Go. Outer `None`: not set here; inner: not known.
fn age(
    tool: Tool,
    name: &str,
    found: Option<Found>,
    facts: &mut Facts,
) -> Option<Option<Value<Wait>>> {
    let found = found?;
    let ns = match found.what {
        Scalar::Nanoseconds(ns) => ns,
        Scalar::Number(n) => {
            if n > 0.0 && n < MEANT_NS_MIN {
                facts.odd.push(Odd {
                    tool,
                    place: found.place.clone(),
                    what: format!("`{name}` is in nanoseconds: {n} means {n} ns"),
                    help: format!("write `{n} * time.Second`, or the unit that is meant"),
                });
            }
            n
        }
        _ => return Some(None),
    };
    let time = match Duration::try_from_secs_f64(ns / 1e9) {
        Ok(time) if ns > 0.0 => Wait::For(time),
        _ => Wait::Forever,
    };
    Some(Some(Value::stated(time, found.place)))
}

/// Where the pool leads to, and what that says of its session.
fn connected(code: &Code<'_>, dsn: Option<Dsn>, prepares: bool, pool: &mut Pool) {
    let mut is_simple = simple(code);
    if let Some(dsn) = dsn {
        is_simple |= dsn.is_simple();
        pool.target = dsn.target;
        pool.timeouts.connect = dsn.connect;
        pool.timeouts.statement = dsn.times.statement;
        pool.timeouts.idle_in_transaction = dsn.times.idle_in_transaction;
        pool.needs
            .extend(dsn.settings.map(|place| (Feature::SessionSettings, place)));
    }
    if prepares && !is_simple {
        pool.needs
            .push((Feature::PreparedStatements, pool.place.clone()));
    }
}

/// Whether the file switches pgx's prepared statements off.
fn simple(code: &Code<'_>) -> bool {
    code.assignments.iter().any(|a| {
        let name = a.path.last().map_or("", String::as_str);
        let value = match &a.value.what {
            What::Name(name) => last(name),
            _ => "",
        };
        match name {
            "DefaultQueryExecMode" => value != "QueryExecModeCacheStatement",
            "PreferSimpleProtocol" => code.scalar(&a.value).bool() == Some(true),
            _ => false,
        }
    }) || code.mentions(&["PreferSimpleProtocol: true", "PreferSimpleProtocol:true"])
}

/// pgxpool: `ParseConfig` and what is assigned to it, or `New` with a DSN.
fn pgxpool(code: &Code<'_>, facts: &mut Facts) {
    let of = |name: &'static str| {
        code.calls
            .iter()
            .filter(move |c| c.last() == name && c.function.contains("pgxpool"))
    };
    let configs: Vec<&Call> = of("ParseConfig").take(POOLS_MAX).collect();
    for call in &configs {
        let own = |a: &&Assignment| {
            let near = a.scope == call.scope || configs.len() == 1;
            near && a.path.len() > 1 && a.path.first() == Some(&call.label)
        };
        let fields: Vec<&Assignment> = code.assignments.iter().filter(own).collect();
        let dsn = call
            .arguments
            .first()
            .and_then(|expr| dsn(code, Tool::Pgx, expr, facts));
        pgx_pool(code, call, &fields, dsn, facts);
    }
    let direct = of("New").chain(of("Connect"));
    for call in direct.take(POOLS_MAX) {
        let dsn = call
            .arguments
            .get(1)
            .and_then(|expr| dsn(code, Tool::Pgx, expr, facts));
        pgx_pool(code, call, &[], dsn, facts);
    }
}

fn pgx_pool(
    code: &Code<'_>,
    call: &Call,
    fields: &[&Assignment],
    dsn: Option<Dsn>,
    facts: &mut Facts,
) {
    let field = |name: &str| {
        let mut all = fields.iter().rev();
        let found = all.find(|a| a.path.get(1).is_some_and(|p| p == name) && a.path.len() == 2)?;
        Some(code.scalar(&found.value))
    };
    let parameter = |name: &str| dsn.as_ref().and_then(|dsn| dsn.parameter(name));
    // A field wins over the DSN. `Err`: stated, and not known.
    let count = |name: &str, key: &str| -> Result<Option<(f64, Place)>, ()> {
        match (field(name), parameter(key)) {
            (Some(found), _) => found
                .number()
                .map(|n| Some((n, found.place.clone())))
                .ok_or(()),
            (None, Some((text, place))) => text.parse().map(|n| Some((n, place))).map_err(|_| ()),
            (None, None) => Ok(None),
        }
    };
    let max = count("MaxConns", "pool_max_conns");
    let is_known = max.is_ok();
    let size = match max {
        Ok(Some((n, place))) => Value::stated(limit_always(n), place),
        Ok(None) => Value::default(
            Limit::Of(4),
            "pgxpool's default: 4, or the number of processors where there are more",
        ),
        Err(()) => unknown(),
    };
    let mut found = pool(Tool::Pgx, call.name_or("pool"), call.place.clone(), size);
    found.min = match count("MinConns", "pool_min_conns") {
        Ok(None) => Some(Value::default(0, PGX)),
        Ok(Some((n, place))) => Some(Value::stated(whole(n), place)),
        Err(()) => None,
    };
    let mut time = |name: &str, key: &str, default_s: u64| match field(name) {
        Some(stated) => age(Tool::Pgx, name, Some(stated), facts).flatten(),
        None => match parameter(key) {
            Some((text, place)) => pgx_time(key, &text, place, facts),
            None => Some(Value::default(
                Wait::For(Duration::from_secs(default_s)),
                PGX,
            )),
        },
    };
    found.timeouts.lifetime = time("MaxConnLifetime", "pool_max_conn_lifetime", 3_600);
    found.timeouts.idle = time("MaxConnIdleTime", "pool_max_conn_idle_time", 1_800);
    connected(code, dsn, true, &mut found);
    runtime(code, fields, &mut found, facts);
    if is_known {
        facts.pools.push(found);
    }
}

/// A time of the DSN has Go's units.
fn pgx_time(key: &str, text: &str, place: Place, facts: &mut Facts) -> Option<Value<Wait>> {
    if let Some(time) = duration(text) {
        return Some(Value::stated(Wait::For(time), place));
    }
    facts.odd.push(Odd {
        tool: Tool::Pgx,
        place,
        what: format!("`{key}` needs a unit; pgxpool refuses the DSN"),
        help: "write 30s, 5m or 1h".to_owned(),
    });
    None
}

/// `config.ConnConfig.RuntimeParams["statement_timeout"] = "30000"`.
fn runtime(code: &Code<'_>, fields: &[&Assignment], pool: &mut Pool, facts: &mut Facts) {
    for field in fields {
        let [_, config, name, rest @ ..] = field.path.as_slice() else {
            continue;
        };
        let found = code.scalar(&field.value);
        match (config.as_str(), name.as_str(), rest) {
            ("ConnConfig", "ConnectTimeout", []) => {
                pool.timeouts.connect =
                    age(Tool::Pgx, "ConnectTimeout", Some(found), facts).flatten();
            }
            ("ConnConfig", "RuntimeParams", [key]) => {
                if let Some(text) = found.text() {
                    let t = &mut pool.timeouts;
                    server_time(Tool::Pgx, key, &text.text, &found.place, t, facts);
                }
                if key != "application_name" {
                    pool.needs
                        .push((Feature::SessionSettings, field.place.clone()));
                }
            }
            _ => {}
        }
    }
}
