//! The HTTP API: where it listens, and the tokens of its roles.
//!
//! A token is a secret like any other: the settings name its place, and it is
//! read again when it changes.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::draft::Draft;
use crate::error::{Errors, Place, Problem};
use crate::plan::{Plan, Secret, SecretRef};
use crate::source::Source;
use crate::text::{SECRET_BYTES_MAX, read_secret};

/// Shortest token, bytes: below that it could be guessed.
pub const TOKEN_BYTES_MIN: usize = 16;
/// Longest: a header of a request holds it.
pub const TOKEN_BYTES_MAX: usize = 1024;

/// What a caller of the API may do; each role may do what those before it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ApiRole {
    /// Reads.
    Viewer,
    /// Marks releases, notes and closes incidents, tests notifiers.
    Operator,
    /// Changes settings.
    Admin,
}

impl ApiRole {
    /// Every role, the one that may least first.
    pub const ALL: [ApiRole; 3] = [ApiRole::Viewer, ApiRole::Operator, ApiRole::Admin];

    /// Its name in settings, logs and documents.
    pub fn word(self) -> &'static str {
        match self {
            ApiRole::Viewer => "viewer",
            ApiRole::Operator => "operator",
            ApiRole::Admin => "admin",
        }
    }
}

/// The token of one role.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ApiToken {
    /// The file that holds it, and nothing else.
    pub file: Option<PathBuf>,
    /// The environment variable that holds it.
    pub env: Option<String>,
    /// The token as it was read last.
    pub secret: Option<Secret>,
}

impl ApiToken {
    /// Where it is kept; `None`: nobody has this role.
    pub fn place(&self) -> Option<SecretRef> {
        let file = self.file.clone().map(SecretRef::File);
        file.or_else(|| self.env.clone().map(SecretRef::Env))
    }
}

/// What callers on TCP may do without a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Anonymous {
    /// Nothing.
    #[default]
    None,
    /// They read, as with the viewer's token.
    Viewer,
}

/// The API's settings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Api {
    /// Where it listens beside its unix socket; `None`: nowhere. Always a loopback address.
    pub listen: Option<SocketAddr>,
    /// What callers there may do without a token.
    pub anonymous: Anonymous,
    /// Further names that callers may use for it.
    pub hosts: Vec<String>,
    /// Who reads.
    pub viewer: ApiToken,
    /// Who marks, notes and tests.
    pub operator: ApiToken,
    /// Who changes settings.
    pub admin: ApiToken,
    /// Whether they may also capture statements with their values.
    pub statements: crate::plan::StatementCapture,
}

impl Api {
    /// The token of a role.
    pub fn token(&self, role: ApiRole) -> &ApiToken {
        match role {
            ApiRole::Viewer => &self.viewer,
            ApiRole::Operator => &self.operator,
            ApiRole::Admin => &self.admin,
        }
    }

    fn token_mut(&mut self, role: ApiRole) -> &mut ApiToken {
        match role {
            ApiRole::Viewer => &mut self.viewer,
            ApiRole::Operator => &mut self.operator,
            ApiRole::Admin => &mut self.admin,
        }
    }
}

/// The settings' keys of a role's token: its file's, its variable's.
fn keys(role: ApiRole) -> [&'static str; 2] {
    match role {
        ApiRole::Viewer => ["api_viewer_token_file", "api_viewer_token_env"],
        ApiRole::Operator => ["api_operator_token_file", "api_operator_token_env"],
        ApiRole::Admin => ["api_admin_token_file", "api_admin_token_env"],
    }
}

/// Reads the tokens of a plan, and checks where it listens.
pub(crate) fn read(draft: &mut Draft, source: &dyn Source) {
    for role in ApiRole::ALL {
        let [file, env] = keys(role);
        let token = draft.plan.api.token(role).clone();
        if token.file.is_some() && token.env.is_some() {
            let what = format!("the {} token is given in two ways", role.word());
            let help = "keep its file or its environment variable";
            draft.error(env, Problem::new(what).help(help));
            continue;
        }
        let key = if token.file.is_some() { file } else { env };
        let place = draft.places.get(key).cloned();
        let what = format!("the {} token", role.word());
        match token
            .place()
            .map(|from| secret(&what, &from, source, place))
        {
            None => {}
            Some(Ok(secret)) => draft.plan.api.token_mut(role).secret = Some(secret),
            Some(Err(errors)) => draft.errors.append(errors),
        }
    }
    alike(draft);
    listener(draft);
}

/// Places are compared, not tokens: who checks settings elsewhere has no token. Where
/// two places hold one token, it is worth the role that may less.
fn alike(draft: &mut Draft) {
    let api = &draft.plan.api;
    let mut twice = None;
    for (index, role) in ApiRole::ALL.into_iter().enumerate() {
        let place = api.token(role).place();
        let weaker = ApiRole::ALL.into_iter().take(index);
        let same = |other: &ApiRole| place.is_some() && api.token(*other).place() == place;
        twice = weaker.into_iter().find(same).map(|w| (w, role)).or(twice);
    }
    if let Some((weaker, role)) = twice {
        let what = format!("{} and {} have the same token", weaker.word(), role.word());
        let problem = Problem::new(what)
            .why("who holds the one would have the other role")
            .help("give each role a token of its own, for example with `openssl rand -hex 32`");
        draft.error(keys(role)[0], problem);
    }
}

fn listener(draft: &mut Draft) {
    let Some(listen) = draft.plan.api.listen else {
        return;
    };
    let nobody = places(&draft.plan).next().is_none();
    let closed = draft.plan.api.anonymous == Anonymous::None;
    if !listen.ip().is_loopback() {
        let problem = Problem::new(format!("the API cannot listen on {listen}"))
            .why("it speaks plain HTTP, and its tokens would travel in clear text")
            .help(
                "listen on 127.0.0.1 or [::1] and put a proxy with TLS before it, or use the unix socket",
            );
        draft.error("api_listen", problem);
    }
    if nobody && closed {
        let problem = Problem::new("the API listens on TCP, and nobody has a token")
            .why("with `anonymous = \"none\"` each request needs one, so nobody could use it")
            .help("name a token's file, for example `viewer_file` in [api.tokens]; or use the unix socket alone");
        draft.error("api_listen", problem);
    }
}

/// Reads one token, or another secret of its form, from its place; `what` names it.
pub(crate) fn secret(
    what: &str,
    from: &SecretRef,
    source: &dyn Source,
    place: Option<Place>,
) -> Result<Secret, Errors> {
    let at = || place.clone().unwrap_or_else(|| Place::file("".as_ref()));
    let text = match from {
        SecretRef::File(path) => {
            let named = format!("the file of {what}");
            read_secret(path, source, SECRET_BYTES_MAX, &named, place.clone())?
        }
        SecretRef::Env(name) => source
            .env(name)
            .ok_or_else(|| crate::toml::variable_unset(name).at(at()))?,
        SecretRef::Command(_) | SecretRef::UserFile => String::new(),
    };
    let text = text.trim_end_matches(['\n', '\r']);
    let fault = if text.is_empty() {
        "is empty"
    } else if text.len() < TOKEN_BYTES_MIN {
        "is shorter than 16 bytes"
    } else if text.len() > TOKEN_BYTES_MAX {
        "is longer than 1024 bytes"
    } else if !text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) || text.trim() != text {
        "holds more than one line, or what a header of HTTP cannot carry"
    } else {
        return Ok(Secret(text.to_owned()));
    };
    let problem = Problem::new(format!("{what} {fault}"))
        .help("make one with `openssl rand -hex 32`; its place must hold nothing else");
    Err(problem.at(at()).into())
}

/// Where tokens are kept.
pub(crate) fn places(plan: &Plan) -> impl Iterator<Item = SecretRef> {
    ApiRole::ALL
        .into_iter()
        .filter_map(|role| plan.api.token(role).place())
}

/// Takes the tokens that `from` read in the same places.
pub(crate) fn keep(plan: &mut Plan, from: &Plan) {
    for role in ApiRole::ALL {
        let theirs = from.api.token(role);
        let ours = plan.api.token_mut(role);
        if ours.place() == theirs.place() && theirs.secret.is_some() {
            ours.secret.clone_from(&theirs.secret);
        }
    }
}

/// What came of reading a token again: its role, its place in words, and the
/// errors where the one before still holds.
pub(crate) type Again = (ApiRole, String, Result<bool, Errors>);

/// Reads the tokens in the places that are asked for again.
pub(crate) fn again(
    plan: &mut Plan,
    source: &dyn Source,
    asked: &dyn Fn(&SecretRef) -> bool,
) -> Vec<Again> {
    let mut out = Vec::new();
    for role in ApiRole::ALL {
        let token = plan.api.token(role);
        let Some(from) = token.place().filter(|from| asked(from)) else {
            continue;
        };
        let place = match &from {
            SecretRef::File(path) => format!("{} token file {}", role.word(), path.display()),
            SecretRef::Env(name) => format!("{} token variable {name}", role.word()),
            _ => continue,
        };
        let what = format!("the {} token", role.word());
        let read = secret(&what, &from, source, None).map(|new| {
            let token = plan.api.token_mut(role);
            let changed = token.secret.as_ref() != Some(&new);
            token.secret = Some(new);
            changed
        });
        out.push((role, place, read));
    }
    out
}
