//! The one table of routes. The router, the check of roles, the OpenAPI
//! document and the page of the docs all walk over it, so they cannot disagree.

use super::call::{Answer, Call, Failure};
use super::{
    Parts, about, actions, diagnosis, fleet, incidents, live, measures, notifiers, playbook,
    settings, statements, traffic,
};
use config::ApiRole;
use schemars::{JsonSchema, Schema, SchemaGenerator};

/// Largest body where a route says nothing else.
const BODY_BYTES: usize = 64 << 10;

/// A method of HTTP. HEAD is answered wherever GET is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verb {
    /// Reads.
    Get,
    /// Does something.
    Post,
}

impl Verb {
    /// As in a request.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
        }
    }
}

/// What a body or an answer looks like.
#[derive(Clone, Copy)]
pub enum Shape {
    /// JSON of a type.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Bytes of this content type.
    Media(&'static str),
}

impl Shape {
    /// JSON of `T`.
    pub const fn of<T: JsonSchema>() -> Shape {
        Shape::Json(schema_of::<T>)
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// What a request carries.
#[derive(Clone, Copy)]
pub struct Body {
    /// JSON of this.
    pub shape: Shape,
    /// At most so many bytes.
    pub bytes_max: usize,
}

impl Body {
    /// JSON of `T`, at most 64 KiB.
    pub const fn of<T: JsonSchema>() -> Body {
        Body::up_to::<T>(BODY_BYTES)
    }

    /// JSON of `T`, at most so many bytes.
    pub const fn up_to<T: JsonSchema>(bytes_max: usize) -> Body {
        Body {
            shape: Shape::of::<T>(),
            bytes_max,
        }
    }
}

/// What a parameter may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A whole number from `min` to `max`.
    Number {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// Text of at most so many bytes, without control characters.
    Text {
        /// Longest, bytes.
        max: usize,
    },
    /// One of these.
    Word(&'static [&'static str]),
}

/// A parameter: of the path where its name stands there in braces, else of the query.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it may be. It is checked before the handler runs.
    pub kind: Kind,
    /// What it means, in one sentence.
    pub meaning: &'static str,
}

/// What answers a request.
pub type Handler = fn(&Parts, &Call) -> Result<Answer, Failure>;

/// One route.
#[derive(Clone, Copy)]
pub struct Route {
    /// The method.
    pub verb: Verb,
    /// The path; a segment in braces is a parameter.
    pub path: &'static str,
    /// Who may use it, and every role above.
    pub role: ApiRole,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Its parameters. In the path all are needed, in the query none.
    pub parameters: &'static [Parameter],
    /// What a POST carries.
    pub body: Option<Body>,
    /// What a good answer holds.
    pub answer: Shape,
    /// Answers it, on a thread where it may wait; it must end by itself within seconds.
    pub handle: Handler,
}

impl Route {
    /// What a viewer reads.
    pub(super) const fn read(
        path: &'static str,
        summary: &'static str,
        parameters: &'static [Parameter],
        answer: Shape,
        handle: Handler,
    ) -> Route {
        Route {
            verb: Verb::Get,
            path,
            role: ApiRole::Viewer,
            summary,
            parameters,
            body: None,
            answer,
            handle,
        }
    }
}

/// Every route: each module's table, in the order of the docs.
pub fn routes() -> Vec<Route> {
    [
        about::ROUTES,
        fleet::ROUTES,
        live::ROUTES,
        actions::ROUTES,
        settings::ROUTES,
        diagnosis::ROUTES,
        incidents::ROUTES,
        playbook::ROUTES,
        measures::ROUTES,
        traffic::ROUTES,
        statements::ROUTES,
        notifiers::ROUTES,
    ]
    .concat()
}

/// What a path leads to.
pub(super) enum Found<'a> {
    /// The route, and the values in the path.
    Route(&'a Route, Vec<(&'static str, String)>),
    /// The path is there, with other methods.
    Methods(Vec<Verb>),
    /// Nothing.
    Nothing,
}

/// The route of a request. The path is taken as it was sent: what would have to
/// be decoded or tidied first is not found.
pub(super) fn find<'a>(routes: &'a [Route], verb: Option<Verb>, path: &str) -> Found<'a> {
    if !is_plain(path) {
        return Found::Nothing;
    }
    let mut methods = Vec::new();
    for route in routes {
        let Some(values) = matched(route, path) else {
            continue;
        };
        if Some(route.verb) == verb {
            return Found::Route(route, values);
        }
        methods.push(route.verb);
    }
    match methods.is_empty() {
        true => Found::Nothing,
        false => Found::Methods(methods),
    }
}

fn is_plain(path: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.chars().all(good);
    path.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(segment))
}

fn matched(route: &Route, path: &str) -> Option<Vec<(&'static str, String)>> {
    let (mut ours, mut theirs) = (route.path.split('/'), path.split('/'));
    let mut values = Vec::new();
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return Some(values),
            (Some(ours), Some(theirs)) => match parameter(ours) {
                Some(name) => values.push((name, theirs.to_owned())),
                None if ours == theirs => {}
                None => return None,
            },
            _ => return None,
        }
    }
}

/// The name in `{name}`.
pub(super) fn parameter(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_as_they_are_sent() {
        let routes = routes();
        let name = |path: &str| match find(&routes, Some(Verb::Get), path) {
            Found::Route(route, values) => format!("{} {values:?}", route.path),
            Found::Methods(verbs) => format!("{verbs:?}"),
            Found::Nothing => "nothing".to_owned(),
        };
        assert_eq!(name("/v1/settings"), "/v1/settings []");
        assert_eq!(
            name("/v1/settings/versions/7"),
            "/v1/settings/versions/{id} [(\"id\", \"7\")]"
        );
        assert_eq!(name("/v1/settings/apply"), "[Post]");
        for trick in [
            "",
            "/",
            "*",
            "v1/settings",
            "/v1/settings/",
            "//v1/settings",
            "/v1//settings",
            "/v1/./settings",
            "/v1/x/../settings",
            "/v1/settings/versions/..",
            "/v1/settings/versions/%37",
            "/v1%2fsettings",
            "/v1/settings;x=1",
            "/v1/settings\\history",
            "/v1/settings\0",
            "/v1/settings/versions/7/8",
            "/V1/settings",
            "/v1/settings/versions/ü",
        ] {
            assert_eq!(name(trick), "nothing", "{trick:?}");
        }
    }

    #[test]
    fn the_table_is_whole() {
        let routes = routes();
        for (index, route) in routes.iter().enumerate() {
            let what = format!("{} {}", route.verb.word(), route.path);
            assert!(route.path.starts_with("/v1/"), "{what}");
            assert!(route.summary.ends_with('.'), "{what}");
            assert_eq!(route.verb == Verb::Post, route.body.is_some(), "{what}");
            // Who may read may not change: a handler of GET is for every viewer.
            assert!(
                route.verb == Verb::Get || route.role > ApiRole::Viewer,
                "{what}"
            );
            for name in route.path.split('/').filter_map(parameter) {
                let known = route.parameters.iter().any(|p| p.name == name);
                assert!(known, "{what}: {name} is not described");
            }
            // A path of ours leads to itself, not to a route before it.
            let path = route.path.replace(['{', '}'], "");
            match find(&routes, Some(route.verb), &path) {
                Found::Route(found, _) => assert_eq!(found.path, route.path),
                _ => panic!("{what} is not reached"),
            }
            let twice = routes.iter().skip(index + 1);
            let same = |r: &&Route| (r.verb, r.path) == (route.verb, route.path);
            assert!(
                !twice.clone().any(|r| same(&r)),
                "{what} stands there twice"
            );
        }
    }
}
