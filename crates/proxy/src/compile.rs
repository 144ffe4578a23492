//! From the checked plan to what `relay` and `pool` read.

use crate::address::Endpoint;
use crate::registry::UpstreamCell;
use crate::rules::Rules;
use config::{AuthType, Database, ErrorDetail, Pin, Plan, SslMode};
use pool::{BudgetSettings, FlowRule, FlowRules, LeakSettings, PoolSettings, UpstreamSettings};
use relay::{
    Auth, AuthQuery, Directory, ErrorStyle, HostRules, ParamSet, PoolInfo, PoolKey, PoolMode,
    Replication, ServerAuth, SessionAttrs, Settings, Stored, Target, UserLimits,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::sql::Value;

/// PostgreSQL's limit on start-up packets (MAX_STARTUP_PACKET_LENGTH), bytes.
const STARTUP_MAX: usize = 10_000;

/// Settings and users for the workers.
pub(crate) fn directory(
    plan: &Plan,
    mock_seed: [u8; 32],
    channel_binding: Option<Arc<[u8]>>,
) -> Directory {
    let asks = plan.looks_users_up();
    // Who has no secret here is looked up where somebody looks.
    let secrets_only = plan.drop_in || asks;
    let users = plan
        .users
        .iter()
        .filter(|(_, user)| user.secret.is_some() || !secrets_only)
        .map(|(name, user)| {
            (
                name.as_str().into(),
                Stored(user.secret.as_ref().map(|s| s.0.as_str().into())),
            )
        })
        .collect();
    Directory {
        settings: settings(plan, channel_binding),
        users,
        mock_seed,
    }
}

fn settings(plan: &Plan, channel_binding: Option<Arc<[u8]>>) -> Settings {
    // A database may bring its own user, its own query, or both.
    let asks = plan.looks_users_up();
    let has = plan.auth_query.is_some() || plan.databases.iter().any(|d| d.auth_query.is_some());
    let auth_query = (asks && has).then(|| AuthQuery {
        query: plan.auth_query.as_deref().unwrap_or_default().into(),
        user: plan.auth_user.as_deref().unwrap_or_default().into(),
        database: None,
    });
    let names = |list: &[String]| list.iter().map(|n| n.as_str().into()).collect();
    Settings {
        auth: auth(plan.auth_type),
        rules: plan.hba.rules.as_ref().map(|hba| {
            let rules: Arc<dyn HostRules> = Arc::new(Rules::new(hba));
            rules
        }),
        auth_query,
        auth_query_ttl: plan.auth_query_ttl,
        client_tls: plan.client_tls.mode != SslMode::Disable,
        client_tls_required: plan.client_tls.mode >= SslMode::Require,
        channel_binding,
        extended_only: plan.start_up.extended_only,
        fast_close: plan.monitor.fast_close,
        error_style: match plan.error_style {
            config::ErrorStyle::Plimsoll => ErrorStyle::Plimsoll,
            config::ErrorStyle::Pgbouncer => ErrorStyle::Pgbouncer,
        },
        prepared_max: plan.max_prepared_statements,
        pin: plan.pin == Pin::On,
        reset_query: plan.server_reset_query.as_str().into(),
        reset_always: plan.server_reset_always,
        strict_startup: plan.start_up.strict,
        ignore_startup: names(&plan.start_up.ignore),
        track_startup: plan
            .start_up
            .track
            .iter()
            .map(|n| n.to_ascii_lowercase().into())
            .collect(),
        add_host: plan.start_up.add_host,
        // Nobody is known yet who sends it: PostgreSQL's own limit holds too.
        startup_max: (plan.max_packet_size as usize).min(STARTUP_MAX),
        login_timeout: plan.client_login_timeout,
        server_connect_timeout: plan.server_connect_timeout,
        query_timeout: plan.query_timeout,
        transaction_timeout: plan.transaction_timeout,
        idle_transaction_timeout: plan.idle_transaction_timeout,
        client_idle_timeout: plan.client_idle_timeout,
        user_limits: user_limits(plan),
        log_errors: plan.log.errors,
        check_delay: plan.server_check_delay,
        check_query: plan.server_check_query.as_str().into(),
        wait_notify: plan.query_wait_notify,
        error_detail_full: plan.error_detail == ErrorDetail::Full,
        statement_text: match plan.leaks.statement_text {
            config::StatementText::Normalised => relay::StatementText::Normalised,
            config::StatementText::Fingerprint => relay::StatementText::Fingerprint,
            config::StatementText::Off => relay::StatementText::Off,
        },
        scram_iterations: plan.scram_iterations,
        reclaim_exempt: names(&plan.leaks.exempt),
        admin_users: names(&plan.admin_users),
        stats_users: names(&plan.stats_users),
    }
}

fn auth(kind: AuthType) -> Auth {
    match kind {
        AuthType::Scram => Auth::Scram,
        AuthType::Md5 => Auth::Md5,
        AuthType::Plain => Auth::Plain,
        AuthType::Trust => Auth::Trust,
        AuthType::Any => Auth::Any,
        AuthType::Cert => Auth::Cert,
        // Nobody is let in by the rules' absence.
        AuthType::Hba => Auth::Reject,
    }
}

/// What holds for single users, where the settings say so.
fn user_limits(plan: &Plan) -> BTreeMap<Box<str>, UserLimits> {
    let limits = plan.users.iter().map(|(name, user)| {
        let limits = UserLimits {
            query: user.query_timeout,
            transaction: user.transaction_timeout,
            idle_transaction: user.idle_transaction_timeout,
            client_idle: user.client_idle_timeout,
        };
        (name.as_str().into(), limits)
    });
    limits
        .filter(|(_, limits)| *limits != UserLimits::default())
        .collect()
}

pub(crate) fn endpoint(plan: &Plan, database: &Database) -> Endpoint {
    Endpoint {
        host: database.host.clone(),
        port: database.port,
        attrs: session_attrs(database),
        tls: plan.server_tls.clone(),
    }
}

fn session_attrs(database: &Database) -> SessionAttrs {
    match database.session_attrs {
        config::SessionAttrs::Any => SessionAttrs::Any,
        config::SessionAttrs::ReadWrite => SessionAttrs::ReadWrite,
        config::SessionAttrs::ReadOnly => SessionAttrs::ReadOnly,
        config::SessionAttrs::Primary => SessionAttrs::Primary,
        config::SessionAttrs::Standby => SessionAttrs::Standby,
    }
}

pub(crate) fn upstream_settings(plan: &Plan) -> UpstreamSettings {
    UpstreamSettings {
        line: plan.line.max(1),
        connects_max: plan.connects_max.max(1),
        login_retry: plan.server_login_retry,
        patient: plan.drop_in,
    }
}

/// How the line of a server is read and shared; `None`: it is the stated one.
pub(crate) fn budget_settings(plan: &Plan, instance: u32) -> Option<BudgetSettings> {
    plan.monitor.user.as_ref()?;
    Some(BudgetSettings {
        interval: plan.monitor.interval,
        idle_stop: plan.monitor.idle_stop,
        headroom: plan.monitor.headroom,
        stated: plan.line_stated,
        fleet: plan.monitor.fleet.as_str().into(),
        instance,
    })
}

/// The pool of a server's monitor session. `None`: there is none.
pub(crate) fn monitor_info(
    plan: &Plan,
    key: PoolKey,
    upstream: &UpstreamCell,
    name: &str,
    database: &Database,
) -> Option<PoolInfo> {
    let user = plan.monitor.user.as_deref()?;
    let secret = plan.users.get(user).and_then(|u| u.secret.as_ref());
    let at_server = plan.monitor.database.as_deref();
    Some(PoolInfo {
        key,
        upstream: upstream.id,
        database: "(monitor)".into(),
        user: user.into(),
        server_database: at_server
            .or(database.dbname.as_deref())
            .unwrap_or(name)
            .into(),
        address: upstream.endpoint().label().into(),
        auth: ServerAuth {
            password: secret.map(|s| s.0.as_str().into()),
            keys: None,
        },
        parameters: ParamSet::default(),
        mode: PoolMode::Session,
        replication: Replication::None,
        connect_query: None,
        session_attrs: session_attrs(database),
        size: 1,
        pins_max: 1,
        greeting: Arc::default(),
        pins: Arc::default(),
    })
}

pub(crate) fn pool_settings(plan: &Plan, database: &Database, user: &str) -> PoolSettings {
    let effective = plan.effective(database, user);
    let per_query = effective.mode == config::PoolMode::Session;
    let sized = crate::sizing::compiled(plan, effective.size, per_query);
    PoolSettings {
        size: sized.size,
        auto: sized.auto,
        beyond: sized.beyond,
        min: effective.min,
        reserve: effective.reserve,
        reserve_after: effective.reserve_after,
        wait_timeout: effective.wait_timeout,
        queue_max: effective.queue_max,
        idle_timeout: effective.idle_timeout,
        lifetime: effective.lifetime,
        round_robin: plan.server_round_robin,
        caps: Vec::new(),
        guards: plan.guards,
        rules: Arc::default(),
        leaks: LeakSettings {
            after: plan.leaks.after,
            single_after: plan.leaks.single_after,
        },
    }
}

/// Weights and deadlines of applications and users, for all pools.
pub(crate) fn flow_rules(plan: &Plan) -> FlowRules {
    let mut rules = FlowRules::default();
    for (name, application) in &plan.applications {
        let rule = FlowRule {
            weight: application.weight,
            wait_timeout: application.wait_timeout,
        };
        rules.application(name, rule);
    }
    for (name, user) in &plan.users {
        let rule = FlowRule {
            weight: user.weight,
            wait_timeout: user.wait_timeout,
        };
        if rule != FlowRule::default() {
            rules.user(name, rule);
        }
    }
    rules
}

/// What the settings themselves know of `user`.
pub(crate) fn user_auth(plan: &Plan, user: &str) -> ServerAuth {
    let secret = plan.users.get(user).and_then(|u| u.secret.as_ref());
    ServerAuth {
        password: secret.map(|s| s.0.as_str().into()),
        keys: None,
    }
}

/// How the pooler logs in to the server as `user`.
pub(crate) fn server_auth(
    plan: &Plan,
    database: &Database,
    user: &str,
    target: Option<&Target<'_>>,
) -> ServerAuth {
    if let Some(password) = &database.password {
        return ServerAuth {
            password: Some(password.0.as_str().into()),
            keys: None,
        };
    }
    let own = user_auth(plan, user);
    if own.password.is_some() {
        let keys = target.and_then(|t| t.keys.cloned());
        return ServerAuth { keys, ..own };
    }
    match target {
        Some(t) if database.user.is_none() => ServerAuth {
            password: t.secret.map(Into::into),
            keys: t.keys.cloned(),
        },
        _ => ServerAuth::default(),
    }
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn pool_info(
    plan: &Plan,
    key: PoolKey,
    upstream: &UpstreamCell,
    name: &str,
    user: &str,
    database: &Database,
    auth: ServerAuth,
    size: u32,
) -> PoolInfo {
    let mode = plan.effective(database, user).mode;
    let mut parameters = ParamSet::default();
    for (name, value) in &database.parameters {
        parameters.set(
            &name.to_ascii_lowercase(),
            Some(Value::Guc(value.as_str().into())),
        );
    }
    PoolInfo {
        key,
        upstream: upstream.id,
        database: name.into(),
        user: user.into(),
        server_database: database.dbname.as_deref().unwrap_or(name).into(),
        address: upstream.endpoint().label().into(),
        auth,
        parameters,
        mode: match mode {
            config::PoolMode::Session => PoolMode::Session,
            config::PoolMode::Transaction => PoolMode::Transaction,
            config::PoolMode::Statement => PoolMode::Statement,
        },
        replication: Replication::None,
        connect_query: database.connect_query.as_deref().map(Into::into),
        session_attrs: session_attrs(database),
        size,
        // A pool may be as large as the server allows; its pins may not.
        pins_max: (size.min(plan.line) * plan.pin_share_percent / 100).max(1),
        greeting: Arc::default(),
        pins: Arc::default(),
    }
}

/// The pool of one replication client: what it asked for stands in the start-up
/// packet of its connection, and nothing is said there before it.
pub(crate) fn replicating(
    info: PoolInfo,
    replication: Replication,
    startup: &ParamSet,
) -> PoolInfo {
    let mut parameters = info.parameters;
    for (name, value) in startup.iter() {
        parameters.set(name, Some(value.clone()));
    }
    PoolInfo {
        parameters,
        mode: PoolMode::Session,
        replication,
        connect_query: None,
        ..info
    }
}

/// The same pool with other proofs.
pub(crate) fn with_auth(info: &PoolInfo, auth: ServerAuth) -> PoolInfo {
    PoolInfo {
        key: info.key,
        upstream: info.upstream,
        database: info.database.clone(),
        user: info.user.clone(),
        server_database: info.server_database.clone(),
        address: info.address.clone(),
        auth,
        parameters: info.parameters.clone(),
        mode: info.mode,
        replication: info.replication,
        connect_query: info.connect_query.clone(),
        session_attrs: info.session_attrs,
        size: info.size,
        pins_max: info.pins_max,
        greeting: Arc::clone(&info.greeting),
        pins: Arc::clone(&info.pins),
    }
}

/// Connections of the old description cannot serve the new one. A password is
/// asked for at a login only: those that are logged in live on.
pub(crate) fn identity_differs(old: &Arc<PoolInfo>, new: &PoolInfo) -> bool {
    old.server_database != new.server_database
        || old.parameters != new.parameters
        || old.connect_query != new.connect_query
}
