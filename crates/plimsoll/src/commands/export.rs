//! `plimsoll export`: alert rules for Prometheus, a dashboard for Grafana.

mod dashboard;

use super::print;
use crate::cli::{ExportArgs, ExportWhat};
use anyhow::bail;
use std::process::ExitCode;

/// The rules, with a placeholder where the playbook is.
const RULES: &str = include_str!("export/rules.yml");
const PLACEHOLDER: &str = "RUNBOOK_BASE";

/// Prints one of them.
pub fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let text = match args.what {
        ExportWhat::PrometheusRules => {
            // It stands between double quotes in YAML.
            let base = &args.runbook_base;
            if base
                .chars()
                .any(|c| c.is_control() || matches!(c, '"' | '\\' | '{' | '}'))
            {
                bail!("--runbook-base has characters that no address has");
            }
            RULES.replace(PLACEHOLDER, base)
        }
        ExportWhat::GrafanaDashboard => dashboard::text(),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_alert_is_exported_under_its_name() {
        for name in config::ALERT_NAMES {
            assert!(RULES.contains(&format!("alert: {name}\n")), "{name}");
            let anchor = format!("{PLACEHOLDER}#{}\"", name.to_lowercase());
            assert!(RULES.contains(&anchor), "{anchor}");
        }
        for line in RULES
            .lines()
            .filter_map(|l| l.trim().strip_prefix("- alert: "))
        {
            assert!(config::ALERT_NAMES.contains(&line), "{line}");
        }
    }

    /// Families of the exposition's golden file.
    fn families() -> Vec<&'static str> {
        include_str!("../../../control/src/metrics/golden.openmetrics")
            .lines()
            .filter_map(|l| l.strip_prefix("# TYPE "))
            .filter_map(|l| l.split(' ').next())
            .collect()
    }

    /// Those that are there with a channel to other instances only, which the golden
    /// file's pooler has not: as their source names them.
    fn of_the_channel() -> Vec<&'static str> {
        let source = include_str!("../../../control/src/metrics/fleet.rs").split('"');
        source
            .filter(|w| w.starts_with("plimsoll_fleet_"))
            .collect()
    }

    /// Words that begin as our metrics do, in rules and dashboard.
    fn named(text: &str) -> Vec<&str> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
            .filter(|w| w.starts_with("plimsoll_"))
            .collect()
    }

    #[test]
    fn only_metrics_that_there_are() {
        let families = [families(), of_the_channel()].concat();
        let dashboard = dashboard::text();
        let words: Vec<&str> = named(RULES).into_iter().chain(named(&dashboard)).collect();
        assert!(words.len() > 40);
        for word in words {
            let known = ["_total", "_bucket", "_count", "_sum", ""]
                .iter()
                .filter_map(|end| word.strip_suffix(end))
                .any(|family| families.contains(&family));
            assert!(known, "{word}");
        }
    }
}
