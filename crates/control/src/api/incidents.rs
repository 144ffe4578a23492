//! `/v1/incidents`: what happened, notes of people, reports.

use super::Parts;
use super::call::{Answer, Call, Failure};
use super::table::{Body, Kind, Parameter, Route, Shape, Verb};
use crate::alerting;
use crate::incidents::Incidents;
use crate::measure::now_ms;
use config::ApiRole;
use diagnose::Cause;
use diagnose::alert::{Owner, Severity};
use diagnose::incident::report::{Report, ReportContext, markdown};
use diagnose::incident::{Incident, IncidentError, Standing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Incidents in one answer where nothing is said.
const LISTED: usize = 50;
/// Longest id.
const ID_BYTES: usize = 40;

/// One incident of the list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct IncidentLine {
    /// What people type.
    pub id: String,
    /// Where it stands.
    pub standing: Standing,
    /// The worst of its alerts.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// When it began, UTC, milliseconds since 1970.
    pub onset_ms: i64,
    /// How long it took, or takes so far, milliseconds.
    pub duration_ms: i64,
    /// The cause as the diagnosis saw it last; `None`: unknown.
    pub cause: Option<Cause>,
    /// Notes of people.
    pub notes: usize,
}

impl From<&Incident> for IncidentLine {
    fn from(incident: &Incident) -> IncidentLine {
        IncidentLine {
            id: incident.id.clone(),
            standing: incident.standing,
            severity: incident.severity,
            title: incident.title.clone(),
            onset_ms: incident.onset_ms,
            duration_ms: incident.until_ms(now_ms()) - incident.onset_ms,
            cause: incident.cause().map(|h| h.cause),
            notes: incident.notes.len(),
        }
    }
}

/// A note.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteAsk {
    /// What is noted.
    pub text: String,
    /// The cause that is being looked into from now on.
    #[serde(default)]
    pub path: Option<Cause>,
    /// Who notes it.
    #[serde(default)]
    pub actor: String,
}

/// The end of an incident.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseAsk {
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Who closes it.
    #[serde(default)]
    pub actor: String,
}

const ID: Parameter = Parameter {
    name: "id",
    kind: Kind::Text { max: ID_BYTES },
    meaning: "The incident, as `2026-11-21-1`; `last` is the newest.",
};

pub(super) const ROUTES: &[Route] = &[
    Route::read(
        "/v1/incidents",
        "The incidents, the newest first.",
        &[Parameter {
            name: "most",
            kind: Kind::Number { min: 1, max: 1_000 },
            meaning: "How many, the newest first; else 50.",
        }],
        Shape::of::<Vec<IncidentLine>>(),
        list,
    ),
    Route::read(
        "/v1/incidents/{id}",
        "One incident with all that was collected.",
        &[ID],
        Shape::of::<Incident>(),
        show,
    ),
    Route::read(
        "/v1/incidents/{id}/report",
        "The report of an incident, for programs.",
        &[ID],
        Shape::of::<Report>(),
        report,
    ),
    Route::read(
        "/v1/incidents/{id}/markdown",
        "The report of an incident as Markdown.",
        &[ID],
        Shape::Media("text/markdown; charset=utf-8"),
        text,
    ),
    Route {
        verb: Verb::Post,
        path: "/v1/incidents/{id}/notes",
        role: ApiRole::Operator,
        summary: "Notes what a person saw, or what is being looked into.",
        parameters: &[ID],
        body: Some(Body::of::<NoteAsk>()),
        answer: Shape::of::<IncidentLine>(),
        handle: note,
    },
    Route {
        verb: Verb::Post,
        path: "/v1/incidents/{id}/close",
        role: ApiRole::Operator,
        summary: "Closes an incident.",
        parameters: &[ID],
        body: Some(Body::of::<CloseAsk>()),
        answer: Shape::of::<IncidentLine>(),
        handle: close,
    },
];

fn incidents(parts: &Parts) -> Result<&Incidents, Failure> {
    let absent = || Failure::absent("record of incidents", "it ends with the pooler");
    let shown = parts.incidents.as_ref().filter(|_| !parts.veil.hides());
    shown.ok_or_else(absent)
}

fn one(parts: &Parts, call: &Call) -> Result<Incident, Failure> {
    let id = call.text("id").unwrap_or_default();
    incidents(parts)?.of_id(id).ok_or_else(unknown)
}

fn unknown() -> Failure {
    Failure::not_found(
        IncidentError::Unknown.to_string(),
        "plimsoll incident list (GET /v1/incidents) shows them",
    )
}

fn refused(error: IncidentError) -> Failure {
    match error {
        IncidentError::Unknown => unknown(),
        IncidentError::Empty => Failure::bad_request(&error.to_string(), "say something"),
        IncidentError::Full | IncidentError::Closed => {
            Failure::new(409, "conflict", error.to_string(), "")
        }
    }
}

fn list(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let most = call.number("most").and_then(|n| usize::try_from(n).ok());
    let all = incidents(parts)?.list(most.unwrap_or(LISTED));
    let lines: Vec<IncidentLine> = all.iter().map(IncidentLine::from).collect();
    Ok(Answer::json(&lines))
}

fn show(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    Ok(Answer::json(&one(parts, call)?))
}

fn reported(parts: &Parts, call: &Call) -> Result<Report, Failure> {
    let incident = one(parts, call)?;
    let context = ReportContext {
        instance: parts.about.instance.clone(),
        owner: parts.source.plan().and_then(|plan| owner(&plan, &incident)),
    };
    Ok(Report::of(&incident, &context, now_ms()))
}

/// By the settings of now: alerts of before they named an owner have none.
fn owner(plan: &config::Plan, incident: &Incident) -> Option<Owner> {
    let standing = alerting::Standing::of(plan);
    let facts = standing.facts(None);
    let mut alerts = incident.alerts.iter();
    alerts.find_map(|alert| facts.owner(&alert.subject))
}

fn report(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    Ok(Answer::json(&reported(parts, call)?))
}

fn text(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let text = markdown(&reported(parts, call)?);
    Ok(Answer::media("text/markdown; charset=utf-8", text))
}

fn note(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let ask: NoteAsk = call.json()?;
    let id = call.text("id").unwrap_or_default();
    let actor = call.actor.claiming(&ask.actor);
    let noted = incidents(parts)?.note(id, &actor, &ask.text, ask.path);
    Ok(Answer::json(&IncidentLine::from(&noted.map_err(refused)?)))
}

fn close(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let ask: CloseAsk = call.json()?;
    let id = call.text("id").unwrap_or_default();
    let actor = call.actor.claiming(&ask.actor);
    let closed = incidents(parts)?.close(id, &actor, &ask.reason);
    Ok(Answer::json(&IncidentLine::from(&closed.map_err(refused)?)))
}
