//! `/v1/playbook`: its chapters, and the names and values that they are filled with.

use super::Parts;
use super::call::{Answer, Call, Failure};
use super::settings::asked;
use super::table::{Kind, Parameter, Route, Shape};
use crate::settings::keeper::Ask;
use diagnose::alert::{AlertName, Owner};
use diagnose::playbook::{self, Chapter, Context, Page, PageStep, PoolNow, ServerNow};
use events::sample::{OTHER, PoolSample, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Most rows of a kind.
const ROWS_MAX: usize = 20;
/// At night nobody waits for a keeper that is busy.
const KEEPER_MAX: Duration = Duration::from_secs(2);

/// One chapter of the list.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ChapterLine {
    /// The label of its alert or cause.
    pub id: String,
    /// A few words for people.
    pub title: String,
    /// "alert" or "cause".
    pub kind: String,
}

/// One chapter, filled in with this installation's names and values.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChapterPage {
    /// The label of its alert or cause.
    pub id: String,
    /// A few words for people.
    pub title: String,
    /// "alert" or "cause".
    pub kind: String,
    /// All of it as Markdown.
    pub markdown: String,
    /// What to do while it hurts, then how to see that it worked.
    pub steps: Vec<PageStep>,
    /// All of it in its parts.
    pub page: Page,
}

const CHAPTER: Parameter = Parameter {
    name: "chapter",
    kind: Kind::Text { max: 60 },
    meaning: "The label of an alert or a cause, as `PlimsollLeak`.",
};

pub(super) const ROUTES: &[Route] = &[
    Route::read(
        "/v1/playbook",
        "The chapters of the playbook: those of alerts, then those of causes.",
        &[],
        Shape::of::<Vec<ChapterLine>>(),
        |_, _| {
            Ok(Answer::json(
                &playbook::chapters().map(line).collect::<Vec<_>>(),
            ))
        },
    ),
    // Before the chapters: a path is the first that fits.
    Route::read(
        "/v1/playbook/context",
        "The names and values that the playbook's steps are filled with.",
        &[],
        Shape::of::<Context>(),
        |parts, _| Ok(Answer::json(&context(parts))),
    ),
    Route::read(
        "/v1/playbook/{chapter}",
        "One chapter of the playbook, with this installation's names and values.",
        &[CHAPTER],
        Shape::of::<ChapterPage>(),
        chapter,
    ),
];

fn line(chapter: &Chapter) -> ChapterLine {
    ChapterLine {
        id: chapter.label.to_owned(),
        title: chapter.title.to_owned(),
        kind: kind(chapter).to_owned(),
    }
}

fn kind(chapter: &Chapter) -> &'static str {
    match AlertName::of_label(chapter.label) {
        Some(_) => "alert",
        None => "cause",
    }
}

fn chapter(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let chapter = call.text("chapter").and_then(playbook::of_label);
    let unknown = || {
        Failure::not_found(
            "there is no such chapter",
            "GET /v1/playbook lists what there is",
        )
    };
    let chapter = chapter.ok_or_else(unknown)?;
    let page = Page::of(chapter, &context(parts));
    let steps = page.during.iter().chain(&page.verify);
    Ok(Answer::json(&ChapterPage {
        id: page.label.clone(),
        title: page.title.clone(),
        kind: kind(chapter).to_owned(),
        markdown: playbook::markdown(&page),
        steps: steps.cloned().collect(),
        page,
    }))
}

fn context(parts: &Parts) -> Context {
    let mut context = Context {
        live: true,
        instance: parts.about.instance.clone(),
        ..Context::default()
    };
    if let Some(measures) = &parts.measures {
        measures.look(|record| {
            if let Some(newest) = record.seconds.back() {
                measured(newest, &mut context);
            }
        });
    }
    if let Some(plan) = parts.source.plan() {
        planned(&plan, &mut context);
    }
    if let Ok(status) = asked(parts, KEEPER_MAX, Ask::Status) {
        context.settings = status.path.display().to_string();
        context.version = status.version;
        let before = asked(parts, KEEPER_MAX, |reply| Ask::History(20, reply));
        let serving = before.ok().and_then(|lines| {
            let mut lines = lines.into_iter();
            lines.find(|line| line.version == status.version)
        });
        context.previous = serving.and_then(|line| line.from);
    }
    if let Some(incidents) = &parts.incidents {
        let newest = incidents.of_id("last").filter(|i| i.is_live());
        context.incident = newest.map(|i| i.id);
    }
    context
}

/// Pools, servers and applications, those that hurt first.
fn measured(newest: &Sample, context: &mut Context) {
    let real = |p: &&PoolSample| &*p.database != OTHER;
    let mut pools: Vec<&PoolSample> = newest.pools.iter().filter(real).collect();
    pools.sort_by_key(|p| std::cmp::Reverse((p.waiting.last, p.used.last)));
    pools.truncate(ROWS_MAX);
    context.pools = pools
        .iter()
        .map(|p| PoolNow {
            database: p.database.to_string(),
            user: p.user.to_string(),
            server: p.upstream.to_string(),
            size: p.size,
            used: p.used.last,
            waiting: p.waiting.last,
            oldest_wait_us: p.oldest_wait_us,
        })
        .collect();
    let first = pools.first().map(|p| p.upstream.clone());
    let mut servers: Vec<_> = newest.servers.iter().collect();
    servers.sort_by_key(|s| Some(&s.upstream) != first.as_ref());
    context.servers = servers
        .into_iter()
        .take(ROWS_MAX)
        .map(|s| ServerNow {
            label: s.upstream.to_string(),
            line: s.line.line,
            used: s.line.used,
            others: s.line.others,
            max_connections: s.line.max_connections,
        })
        .collect();
    let named = |name: &str| !name.is_empty() && name != OTHER;
    let rows = newest.applications.iter();
    let mut rows: Vec<_> = rows.filter(|a| named(&a.name)).collect();
    rows.sort_by_key(|a| std::cmp::Reverse((a.silent.last, a.used.last, a.waiting.last)));
    let names = rows.into_iter().take(ROWS_MAX).map(|a| a.name.to_string());
    context.applications = names.collect();
    context.applications.dedup();
}

fn planned(plan: &config::Plan, context: &mut Context) {
    let directory = plan.unix_socket_dir.as_ref();
    // With port 0 the system has chosen one: the socket is surer.
    let address = plan.listen.iter().find(|a| a.port != 0);
    context.listen = match (address, directory) {
        (Some(a), _) if a.host == "*" || a.host == "0.0.0.0" || a.host == "::" => {
            ("127.0.0.1".to_owned(), a.port)
        }
        (Some(a), _) => (a.host.clone(), a.port),
        (None, Some(dir)) => (dir.display().to_string(), plan.unix_socket_port),
        (None, None) => context.listen.clone(),
    };
    if let Some(admin) = plan.admin_users.first() {
        context.admin.clone_from(admin);
    }
    context.message.clone_from(&plan.alerts.status_message);
    let owners = plan.alerts.owners.iter().map(|(name, owner)| {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let owner = Owner {
            team: text(&owner.team),
            channel: text(&owner.channel),
            escalation: text(&owner.escalation),
        };
        (name.clone(), owner)
    });
    context.owners = owners.collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::sample::{ApplicationSample, Gauge, ServerSample};

    #[test]
    fn what_hurts_comes_first() {
        let pool = |database: &str, waiting, upstream: &str| PoolSample {
            database: database.into(),
            upstream: upstream.into(),
            waiting: Gauge::of(waiting),
            ..PoolSample::default()
        };
        let server = |upstream: &str| ServerSample {
            upstream: upstream.into(),
            ..ServerSample::default()
        };
        let application = |name: &str, silent| ApplicationSample {
            name: name.into(),
            silent: Gauge::of(silent),
            ..ApplicationSample::default()
        };
        let sample = Sample {
            pools: vec![
                pool("a", 0, "x:1"),
                pool("b", 9, "y:2"),
                pool(OTHER, 99, ""),
            ],
            servers: vec![server("x:1"), server("y:2")],
            applications: vec![application("web", 0), application("coupons", 5)],
            ..Sample::default()
        };
        let mut context = Context::default();
        measured(&sample, &mut context);
        assert_eq!(context.pools[0].database, "b");
        assert_eq!(context.pools.len(), 2);
        assert_eq!(context.servers[0].label, "y:2");
        assert_eq!(context.applications, ["coupons", "web"]);
    }
}
