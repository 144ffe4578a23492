//! Steps of a method or of a repair, as a person writes them.

use super::super::scenario::{Action, Column, Place, Step};
use super::{Span, Wrong};
use serde::Deserialize;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenStep {
    at: Option<Span>,
    after_min: Option<f64>,
    does: Option<String>,
    columns: Option<Vec<Column>>,
    copy: Option<WrittenCopy>,
    restart: Option<String>,
    reload: Option<String>,
    run: Option<WrittenCommand>,
    mark_release: Option<WrittenRelease>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCopy {
    from: String,
    to: String,
    #[serde(default)]
    only: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCommand {
    r#in: String,
    command: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRelease {
    app: String,
    version: String,
}

/// `per_s`: minutes in a second, where a step's time is a person's.
pub(super) fn steps(
    written: Vec<WrittenStep>,
    list: &str,
    per_s: Option<f64>,
    services: &[String],
    wrong: &mut Wrong,
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (i, one) in written.into_iter().enumerate() {
        let place = format!("{list} {}", i + 1);
        let at = match (per_s, one.at, one.after_min) {
            (None, Some(at), None) => Some(at.0),
            (Some(per_s), None, Some(min)) if (0.0..1e6).contains(&min) => {
                Some(Duration::from_secs_f64(min / per_s.max(1e-6)))
            }
            _ => None,
        };
        let when = match per_s {
            None => "say when, as `at = \"20s\"`",
            Some(_) => "say when, as `after_min = 15`",
        };
        wrong.unless(at.is_some(), &format!("{place}: {when}"));
        let last = steps.last().map_or(Duration::ZERO, |step| step.at);
        let at = at.unwrap_or(last);
        wrong.unless(
            at >= last,
            &format!("{place}: it stands before the step that it follows"),
        );
        let (does, columns) = (one.does.clone(), one.columns.clone());
        match action(one, services) {
            Ok(action) => steps.push(Step {
                at,
                does: does.unwrap_or_else(|| action.to_string()),
                action,
                columns,
            }),
            Err(why) => wrong.unless(false, &format!("{place}: {why}")),
        }
    }
    steps
}

fn action(one: WrittenStep, services: &[String]) -> Result<Action, String> {
    let place = |name: String| match name.as_str() {
        "pooler" => Ok(Place::Pooler),
        _ if services.contains(&name) => Ok(Place::Service(name)),
        _ => Err(format!(
            "there is no service {name}; there are {} and pooler",
            services.join(", ")
        )),
    };
    let mut actions = Vec::new();
    if let Some(copy) = one.copy {
        actions.push(Action::Copy {
            from: copy.from,
            to: place(copy.to)?,
            only: copy.only,
        });
    }
    if let Some(name) = one.restart {
        actions.push(Action::Restart(place(name)?));
    }
    if let Some(name) = one.reload {
        match place(name)? {
            Place::Pooler => actions.push(Action::Reload),
            Place::Service(name) => {
                return Err(format!("{name} cannot be reloaded, only \"pooler\""));
            }
        }
    }
    if let Some(run) = one.run {
        let within = place(run.r#in)?;
        if run.command.is_empty() {
            return Err("the command is empty".to_owned());
        }
        let command = run.command;
        actions.push(Action::Run { within, command });
    }
    if let Some(WrittenRelease { app, version }) = one.mark_release {
        actions.push(Action::MarkRelease { app, version });
    }
    match (actions.pop(), actions.is_empty()) {
        (Some(action), true) => Ok(action),
        _ => Err("exactly one of copy, restart, reload, run and mark_release".to_owned()),
    }
}
