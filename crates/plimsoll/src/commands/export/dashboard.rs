//! The dashboard: five questions from the top, then the rest.

use serde_json::{Value, json};

/// Columns of Grafana's grid.
const COLUMNS: u32 = 24;
const HEIGHT: u32 = 8;

/// Title, unit, legend, width, expressions.
type Panel = (
    &'static str,
    &'static str,
    &'static str,
    u32,
    &'static [&'static str],
);

const OF: &str = r#"instance=~"$instance", database=~"$database""#;

const PANELS: &[Panel] = &[
    (
        "Is anyone waiting, and how long?",
        "s",
        "{{database}}/{{user}}",
        12,
        &["plimsoll_pool_oldest_wait_seconds{OF}"],
    ),
    (
        "Clients that wait",
        "short",
        "{{database}}/{{user}}",
        12,
        &[r#"plimsoll_pool_clients{OF, state="waiting"}"#],
    ),
    (
        "Which pool is full? (used and size)",
        "short",
        "{{database}}/{{user}} {{state}}",
        12,
        &[
            r#"plimsoll_pool_servers{OF, state="active"}"#,
            "plimsoll_pool_size{OF}",
        ],
    ),
    (
        "Share of the pool in use",
        "percentunit",
        "{{database}}/{{user}}",
        12,
        &[
            r#"sum by (instance, database, user) (plimsoll_pool_servers{OF, state="active"}) / sum by (instance, database, user) (plimsoll_pool_size{OF})"#,
        ],
    ),
    (
        "Who holds connections?",
        "short",
        "{{application}} {{condition}}",
        12,
        &[r#"plimsoll_application_leases{instance=~"$instance"}"#],
    ),
    (
        "Silent and suspected leases",
        "short",
        "{{database}}/{{user}} {{condition}}",
        12,
        &[r#"plimsoll_pool_leases{OF, condition=~"silent|suspect"}"#],
    ),
    (
        "Is it the pool? (wait, 99th percentile)",
        "s",
        "{{database}}/{{user}}",
        8,
        &[
            "histogram_quantile(0.99, sum by (le, database, user) (rate(plimsoll_pool_wait_seconds_bucket{OF}[$__rate_interval])))",
        ],
    ),
    (
        "The client? (hold, 99th percentile)",
        "s",
        "{{database}}/{{user}}",
        8,
        &[
            "histogram_quantile(0.99, sum by (le, database, user) (rate(plimsoll_pool_hold_seconds_bucket{OF}[$__rate_interval])))",
        ],
    ),
    (
        "The server? (query, 99th percentile)",
        "s",
        "{{database}}/{{user}}",
        8,
        &[
            "histogram_quantile(0.99, sum by (le, database, user) (rate(plimsoll_pool_service_seconds_bucket{OF}[$__rate_interval])))",
        ],
    ),
    (
        "Transactions",
        "ops",
        "{{database}}/{{user}}",
        8,
        &["rate(plimsoll_pool_transactions_total{OF}[$__rate_interval])"],
    ),
    (
        "Refused requests",
        "ops",
        "{{reason}}",
        8,
        &[
            r#"sum by (reason) (rate(plimsoll_requests_refused_total{instance=~"$instance"}[$__rate_interval])) > 0"#,
        ],
    ),
    (
        "Closed connections",
        "ops",
        "{{reason}}",
        8,
        &[
            r#"sum by (reason) (rate(plimsoll_connections_closed_total{instance=~"$instance"}[$__rate_interval])) > 0"#,
        ],
    ),
    (
        "The line of each server, and what is charged to it",
        "short",
        "{{upstream}} {{__name__}}",
        12,
        &[
            r#"plimsoll_budget_line_connections{instance=~"$instance"}"#,
            r#"plimsoll_budget_used_connections{instance=~"$instance"}"#,
            r#"plimsoll_budget_others_connections{instance=~"$instance"}"#,
        ],
    ),
    (
        "Leases taken back",
        "short",
        "{{database}}/{{user}} {{reason}} {{mode}}",
        12,
        &["increase(plimsoll_pool_reclaims_total{OF}[$__rate_interval]) > 0"],
    ),
];

/// What changed: lines across every panel.
const ANNOTATIONS: [(&str, &str, &str); 3] = [
    (
        "Settings",
        "changes(plimsoll_settings_version{instance=~\"$instance\"}[1m]) > 0",
        "blue",
    ),
    (
        "Settings taken back",
        "increase(plimsoll_settings_changes_total{instance=~\"$instance\", end=\"rolled_back\"}[1m]) > 0",
        "orange",
    ),
    (
        "Alerts",
        "ALERTS{alertname=~\"Plimsoll.*\", alertstate=\"firing\"}",
        "red",
    ),
];

pub(super) fn text() -> String {
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let dashboard = json!({
        "title": "Plimsoll",
        "uid": "plimsoll",
        "description": "Written by `plimsoll export grafana-dashboard`.",
        "tags": ["plimsoll", "postgresql"],
        "timezone": "utc",
        "schemaVersion": 39,
        "editable": true,
        "refresh": "10s",
        "time": { "from": "now-1h", "to": "now" },
        "templating": { "list": variables(&source) },
        "annotations": { "list": annotations(&source) },
        "panels": panels(&source),
    });
    format!("{dashboard:#}\n")
}

fn variables(source: &Value) -> Value {
    let query = |name: &str, query: &str| {
        json!({
            "name": name,
            "type": "query",
            "datasource": source,
            "query": { "query": query, "refId": name },
            "definition": query,
            "refresh": 2,
            "multi": true,
            "includeAll": true,
            "allValue": ".*",
            "current": { "text": "All", "value": "$__all" },
        })
    };
    json!([
        { "name": "datasource", "type": "datasource", "query": "prometheus" },
        query("instance", "label_values(plimsoll_build_info, instance)"),
        query("database", "label_values(plimsoll_pool_size{instance=~\"$instance\"}, database)"),
    ])
}

fn annotations(source: &Value) -> Value {
    ANNOTATIONS
        .iter()
        .map(|(name, expr, color)| {
            json!({
                "name": name,
                "datasource": source,
                "expr": expr,
                "enable": true,
                "iconColor": color,
                "titleFormat": name,
                "textFormat": "{{alertname}} {{reason}} {{database}}",
            })
        })
        .collect()
}

fn panels(source: &Value) -> Value {
    let (mut x, mut y) = (0, 0);
    let mut all = Vec::new();
    for (n, (title, unit, legend, width, expressions)) in PANELS.iter().enumerate() {
        if x + width > COLUMNS {
            (x, y) = (0, y + HEIGHT);
        }
        let targets: Vec<Value> = expressions
            .iter()
            .zip('A'..='Z')
            .map(|(expr, id)| {
                json!({
                    "refId": id,
                    "datasource": source,
                    "expr": expr.replace("{OF", &format!("{{{OF}")),
                    "legendFormat": legend,
                })
            })
            .collect();
        all.push(json!({
            "id": n + 1,
            "type": "timeseries",
            "title": title,
            "datasource": source,
            "gridPos": { "x": x, "y": y, "w": width, "h": HEIGHT },
            "fieldConfig": { "defaults": { "unit": unit, "min": 0 }, "overrides": [] },
            "options": { "legend": { "displayMode": "list", "placement": "bottom" } },
            "targets": targets,
        }));
        x += width;
    }
    Value::Array(all)
}
