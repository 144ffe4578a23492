//! The arguments of `export`.

use clap::{Args, ValueEnum};

/// What to print.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    plimsoll export prometheus-rules > /etc/prometheus/plimsoll.yml\n  \
    plimsoll export grafana-dashboard > plimsoll.json")]
pub struct ExportArgs {
    /// Which
    #[arg(value_name = "WHAT", value_enum)]
    pub what: ExportWhat,

    /// Where the playbook is, for the links of the rules
    #[arg(long, value_name = "URL", default_value = "docs/playbook.md")]
    pub runbook_base: String,
}

/// What can be printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ExportWhat {
    /// Alert rules, with the names of the built-in alerts
    PrometheusRules,
    /// A dashboard, to import or to provision
    GrafanaDashboard,
}
