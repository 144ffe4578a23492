//! The OpenAPI document and the page of the docs, from the table of routes.

use super::table::{Kind, Parameter, Route, Shape, parameter, routes};
use crate::settings::keeper::AskError;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// The document as it is served. A test compares it with the table.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// The document that the table makes.
pub fn document() -> String {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let error = generator.subschema_for::<AskError>();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes() {
        let operation = operation(&route, &error.clone().into(), &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(route.verb.word().to_ascii_lowercase(), operation);
        }
    }
    let schemas = generator.take_definitions(true);
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Plimsoll",
            "version": "1",
            "description": "The API of a running pooler. On its unix socket whoever runs it and root are admin; on TCP a token says who asks, and who has none reads, unless the settings say otherwise (`[api] anonymous`).",
        },
        "servers": [{ "url": "http://127.0.0.1:9931" }],
        "security": [{ "token": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    });
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    format!("{text}\n")
}

fn operation(route: &Route, error: &Value, generator: &mut SchemaGenerator) -> Value {
    let failed = |what: &str| json!({ "description": what, "content": { "application/json": { "schema": error } } });
    let parameters: Vec<Value> = route
        .parameters
        .iter()
        .map(|p| described(route, p))
        .collect();
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "x-plimsoll-role": route.role.word(),
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "It is so, or it is done.",
                "content": content(route.answer, generator),
            },
            "400": failed("The request is not what this route takes."),
            "401": failed("It needs a token."),
            "403": failed("The token's role may not, or a page of another site asks."),
            "default": failed("It was not done; the lines say why."),
        },
    });
    if let (Some(body), Value::Object(operation)) = (&route.body, &mut operation) {
        let body = json!({ "required": true, "content": content(body.shape, generator) });
        operation.insert("requestBody".to_owned(), body);
    }
    operation
}

fn content(shape: Shape, generator: &mut SchemaGenerator) -> Value {
    match shape {
        Shape::Json(schema) => json!({ "application/json": { "schema": schema(generator) } }),
        Shape::Media(kind) => json!({ kind: {} }),
    }
}

/// `GET /v1/settings/versions/{id}` is `get_settings_versions_id`.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/v1");
    let clean = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let path: String = path.replace(['{', '}'], "").chars().map(clean).collect();
    format!("{}{path}", route.verb.word().to_ascii_lowercase())
}

fn is_in_path(route: &Route, name: &str) -> bool {
    route
        .path
        .split('/')
        .filter_map(parameter)
        .any(|n| n == name)
}

fn described(route: &Route, parameter: &Parameter) -> Value {
    let in_path = is_in_path(route, parameter.name);
    let schema = match parameter.kind {
        Kind::Number { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Text { max } => json!({ "type": "string", "minLength": 1, "maxLength": max }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
    };
    json!({
        "name": parameter.name,
        "in": if in_path { "path" } else { "query" },
        "required": in_path,
        "description": parameter.meaning,
        "schema": schema,
    })
}

/// The page of the docs.
pub fn page() -> String {
    let mut out = String::from(INTRODUCTION);
    out.push_str("| request | role | what it does |\n|---|---|---|\n");
    for route in routes() {
        let (verb, path) = (route.verb.word(), route.path);
        let (role, summary) = (route.role.word(), route.summary);
        let _ = writeln!(out, "| `{verb} {path}` | {role} | {summary} |");
    }
    let all = routes();
    let with: Vec<&Route> = all.iter().filter(|r| !r.parameters.is_empty()).collect();
    if !with.is_empty() {
        out.push_str(
            "\n## Parameters\n\n| request | parameter | value | meaning |\n|---|---|---|---|\n",
        );
    }
    for route in with {
        for parameter in route.parameters {
            let value = match parameter.kind {
                Kind::Number { min, max } => format!("{min} to {max}"),
                Kind::Text { max } => format!("text, at most {max} bytes"),
                Kind::Word(words) => words.join(", "),
            };
            let _ = writeln!(
                out,
                "| `{} {}` | `{}` | {value} | {} |",
                route.verb.word(),
                route.path,
                parameter.name,
                parameter.meaning
            );
        }
    }
    out
}

const INTRODUCTION: &str = "\
# The HTTP API

A running pooler answers JSON over HTTP. The command line uses the same routes.
This page and the OpenAPI document, `GET /v1/openapi.json`, are made from the
table that the pooler itself reads.

## Where it listens

On a unix socket, always: `.s.PLIMSOLL.PORT` beside the clients' socket, else
`api.sock` in the state directory. The user that runs the pooler and root may
connect, and are admin; the system says who they are.

    curl --unix-socket /run/plimsoll/.s.PLIMSOLL.6432 http://localhost/v1/status

On TCP where the settings say so. The live page is there, at `/`:

    [api]
    listen = \"127.0.0.1:9931\"
    hosts = [\"pooler.example.org\"]    # further names, such as a proxy's
    anonymous = \"viewer\"             # reading needs no token; \"none\": it does

    [api.tokens]
    viewer_file = \"/etc/plimsoll/viewer.token\"
    admin_file = \"/etc/plimsoll/admin.token\"

    curl -H \"Authorization: Bearer $(cat /etc/plimsoll/viewer.token)\" http://127.0.0.1:9931/v1/status
    plimsoll status --api http://127.0.0.1:9931 --token-file /etc/plimsoll/viewer.token

It speaks plain HTTP, so it takes loopback addresses only. For other machines put
a proxy with TLS before it, or forward the port with `ssh -L`.

## Tokens and roles

A token is 16 to 1024 bytes of ASCII, alone in a file (`_file`) or in an
environment variable (`_env`): `openssl rand -hex 32 > admin.token`. Files are
watched: a new token holds within two seconds, and the old one is void then,
also for a stream that is open.
One that cannot be used changes nothing. Each role may do what those before it may:

- **viewer** reads;
- **operator** marks releases, notes and closes incidents, tests notifiers, cancels
  statements, takes connections back, closes clients, pauses and resumes databases;
- **admin** changes settings. A plan is for admins too, because reading settings
  reads the secrets that they name, and runs their `password_command`.

With `anonymous = \"viewer\"`, the default, callers on TCP without a token read as a
viewer does; all else needs a token ([why, and what guards it](decisions/anonymous-reading.md)).
With `\"none\"` each request needs one, and then at least one must be named.

After ten unknown tokens from one address a further one waits for its answer,
429, and is not written to the log. Good tokens are let in meanwhile.
The history of settings names `admin@127.0.0.1`, and in brackets whom the caller
says to be; on the unix socket it names that user.

## What it refuses

Whatever a page of another site could have a browser on this machine send: a
`Host` that is not localhost, a loopback address or one of `hosts` (421); an
`Origin` other than its own, or `Sec-Fetch-Site` other than `same-origin` and
`none` (403; a link may open the page itself); a body that is not `application/json` (415). It sends no CORS
headers. Paths are taken as they are sent: encoded, doubled or dotted ones lead
nowhere (404). Head, body, time and number of connections are bounded.

`/v1/live/stream` is a stream of server-sent events, one a second. At most 16 are
open at each listener (503 beyond); each ends after ten minutes, and who reads
nothing for three quarters of a minute is let go.

A refusal is JSON too: `kind` for programs, `lines` and `help` for people.

## Routes

";

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(path: &str, text: &str) {
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("PLIMSOLL_BLESS").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        let want = std::fs::read_to_string(&path).unwrap_or_default();
        let pairs = text.lines().zip(want.lines()).enumerate();
        for (line, (got, want)) in pairs {
            assert_eq!(
                got,
                want,
                "{path}:{}; PLIMSOLL_BLESS=1 writes it anew",
                line + 1
            );
        }
        assert_eq!(text.len(), want.len(), "{path} is longer or shorter");
    }

    #[test]
    fn the_document_and_the_page_say_what_the_table_says() {
        golden("src/api/openapi.json", &document());
        golden("../../docs/api.md", &page());
    }

    #[test]
    fn every_reference_in_the_document_leads_somewhere() {
        let document: Value = serde_json::from_str(&document()).unwrap();
        let mut open = vec![&document];
        let mut seen = 0;
        while let Some(value) = open.pop() {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(target)) = map.get("$ref") {
                        let found = document.pointer(target.trim_start_matches('#'));
                        assert!(found.is_some(), "{target}");
                        seen += 1;
                    }
                    open.extend(map.values());
                }
                Value::Array(list) => open.extend(list),
                _ => {}
            }
        }
        assert!(seen > 10);
        let mut ids: Vec<String> = routes().iter().map(operation_id).collect();
        ids.sort();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }
}
