//! Applications that need their session, before a pooler that lends by transaction.

use super::TRANSACTION_POOLING;
use super::limits::is_pooler;
use crate::facts::{Facts, Feature, Mode, Pool, Tool, Value};
use crate::finding::{Finding, Severity};

pub(super) fn run(facts: &Facts, out: &mut Vec<Finding>) {
    let lends = |pool: &&Pool| {
        let mode = pool.mode.as_ref().map(|m| m.value);
        is_pooler(pool.tool) && matches!(mode, Some(Mode::Transaction | Mode::Statement))
    };
    let poolers: Vec<&Pool> = facts.pools.iter().filter(lends).collect();
    for app in facts.pools.iter().filter(|p| !is_pooler(p.tool)) {
        for pooler in poolers.iter().filter(|pooler| leads_to(app, pooler)) {
            for (feature, place) in &app.needs {
                if let Some((severity, why, help)) = breaks(*feature, pooler) {
                    out.push(
                        Finding::new(
                            &TRANSACTION_POOLING,
                            place.clone(),
                            format!(
                                "`{}` uses {}, and {} lends `{}` by transaction",
                                app.name,
                                words(*feature),
                                pooler.tool.name(),
                                pooler.name
                            ),
                        )
                        .severity(severity)
                        .why(why)
                        .help(help)
                        .beside(pooler.mode.as_ref().and_then(Value::place), "the mode"),
                    );
                }
            }
        }
    }
}

/// By the pooler's own host name, where a manifest tells it; else by database
/// name, where both say one. `*` and `default` serve every name.
fn leads_to(app: &Pool, pooler: &Pool) -> bool {
    if app.target.host.as_ref() == Some(&pooler.name) {
        return true;
    }
    // PgCat's and Odyssey's pools are `database.user`.
    let served = pooler.name.split('.').next().unwrap_or("");
    match &app.target.database {
        Some(name) => pooler.name == *name || [name.as_str(), "*", "default"].contains(&served),
        None => true,
    }
}

fn words(feature: Feature) -> &'static str {
    match feature {
        Feature::PreparedStatements => "prepared statements",
        Feature::AdvisoryLocks => "session advisory locks",
        Feature::Listen => "LISTEN",
        Feature::SessionSettings => "SET for its session",
        Feature::ServerSideCursors => "cursors that outlive their transaction",
        Feature::TemporaryTables => "temporary tables",
    }
}

type Broken = (Severity, &'static str, &'static str);

/// What breaks at this pooler; `None`: it copes.
fn breaks(feature: Feature, pooler: &Pool) -> Option<Broken> {
    let keeps_prepared = pooler.keeps_prepared.as_ref().is_some_and(|k| k.value);
    match feature {
        Feature::PreparedStatements if keeps_prepared => None,
        Feature::PreparedStatements => Some((
            Severity::Error,
            "the next transaction runs on another connection, where the statement does not exist: \
             errors 26000 and 42P05, only under load",
            "max_prepared_statements above 0 (PgBouncer 1.21 and later), or switch them off in the driver",
        )),
        // Every SET follows its client there, and pins are kept apart.
        _ if pooler.tool == Tool::Plimsoll => None,
        Feature::AdvisoryLocks => Some((
            Severity::Error,
            "the lock stays with the server connection: it is never released, or by somebody else",
            "pg_advisory_xact_lock, or a session pool for these clients",
        )),
        Feature::Listen => Some((
            Severity::Error,
            "notifications arrive at a connection that belongs to nobody",
            "a session pool, or a direct connection, for the listener",
        )),
        Feature::SessionSettings => Some((
            Severity::Warning,
            "the setting stays at the server connection, and the next client runs with it",
            "SET LOCAL inside the transaction, or ALTER ROLE … SET",
        )),
        Feature::ServerSideCursors => Some((
            Severity::Warning,
            "the cursor is gone when its transaction ends",
            "Django: DISABLE_SERVER_SIDE_CURSORS = True; else a session pool",
        )),
        Feature::TemporaryTables => Some((
            Severity::Warning,
            "the table stays at one server connection; the next statement may run at another",
            "ON COMMIT DROP, and use it in one transaction",
        )),
    }
}
