//! What a person may have done, the question before it, and its route.

use control::live::LeaseLine;
use serde::{Deserialize, Serialize};

/// Longest name in a question, columns.
const NAME_COLUMNS: usize = 30;

/// What may be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// Cancel the statement.
    Cancel,
    /// Take the lease back.
    Reclaim,
    /// Close the client.
    Kill,
    /// Let nobody start in a database.
    Pause,
    /// Let them again.
    Resume,
}

/// Something to be done to somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Action {
    /// What.
    pub deed: Deed,
    /// The client's id, or the database.
    pub target: String,
    /// The same for people.
    pub name: String,
}

/// What goes to the pooler.
#[derive(Serialize)]
pub struct Body<'a> {
    reason: &'static str,
    actor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<&'a str>,
}

/// What comes back.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// It was done.
    #[serde(default)]
    pub done: bool,
    /// What happened, in one sentence.
    #[serde(default)]
    pub text: String,
}

impl Action {
    /// To the holder of a lease.
    pub fn lease(deed: Deed, lease: &LeaseLine) -> Action {
        let who = match lease.application.is_empty() {
            true => &lease.user,
            false => &lease.application,
        };
        let who = super::text::cut(&super::text::name(who), NAME_COLUMNS);
        let database = super::text::cut(&super::text::name(&lease.database), NAME_COLUMNS);
        Action {
            deed,
            target: lease.client.clone(),
            name: format!(
                "{who} in {database} (client {})",
                super::text::name(&lease.client)
            ),
        }
    }

    /// To a database.
    pub fn database(deed: Deed, database: &str) -> Action {
        Action {
            deed,
            target: database.to_owned(),
            name: format!(
                "database {}",
                super::text::cut(&super::text::name(database), NAME_COLUMNS)
            ),
        }
    }

    /// What is asked before.
    pub fn question(&self) -> String {
        let name = &self.name;
        match self.deed {
            Deed::Cancel => format!("Cancel the statement of {name}?"),
            Deed::Reclaim => format!("Take the connection back from {name}? It gets FATAL 25P03."),
            Deed::Kill => format!("Close the connection of {name}?"),
            Deed::Pause => format!("Pause {name}? Its clients wait until it is resumed."),
            Deed::Resume => format!("Resume {name}?"),
        }
    }

    /// The route that does it.
    pub fn path(&self) -> String {
        let target = encoded(&self.target);
        match self.deed {
            Deed::Cancel => format!("/v1/leases/{target}/cancel"),
            Deed::Reclaim => format!("/v1/leases/{target}/reclaim"),
            Deed::Kill => format!("/v1/clients/{target}/kill"),
            Deed::Pause => "/v1/pools/pause".to_owned(),
            Deed::Resume => "/v1/pools/resume".to_owned(),
        }
    }

    /// What is sent there.
    pub fn body<'a>(&'a self, actor: &'a str) -> Body<'a> {
        let of_pool = matches!(self.deed, Deed::Pause | Deed::Resume);
        Body {
            reason: "by hand, in plimsoll top",
            actor,
            database: of_pool.then_some(&self.target),
        }
    }
}

/// As it may stand in a path or a query.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deed_names_its_target_and_has_its_route() {
        let lease = LeaseLine {
            client: "1a2b".to_owned(),
            database: "shop".to_owned(),
            user: "app".to_owned(),
            application: "web".to_owned(),
            ..LeaseLine::default()
        };
        let table = [
            (Deed::Cancel, "/v1/leases/1a2b/cancel"),
            (Deed::Reclaim, "/v1/leases/1a2b/reclaim"),
            (Deed::Kill, "/v1/clients/1a2b/kill"),
        ];
        for (deed, path) in table {
            let action = Action::lease(deed, &lease);
            assert_eq!(action.path(), path);
            assert!(action.question().contains("web in shop (client 1a2b)"));
            let body = serde_json::to_value(action.body("anna@box")).expect("JSON");
            assert_eq!(body["actor"], "anna@box");
            assert!(body.get("database").is_none(), "unknown keys are refused");
        }
        for (deed, path) in [
            (Deed::Pause, "/v1/pools/pause"),
            (Deed::Resume, "/v1/pools/resume"),
        ] {
            let action = Action::database(deed, "shop");
            assert_eq!(action.path(), path);
            assert!(action.question().contains("database shop"));
            let body = serde_json::to_value(action.body("x")).expect("JSON");
            assert_eq!(body["database"], "shop");
        }
    }

    #[test]
    fn nothing_leads_to_another_route() {
        assert_eq!(encoded("../x?a=1&b #é"), "..%2Fx%3Fa%3D1%26b%20%23%C3%A9");
        let lease = LeaseLine {
            client: "../../settings/rollback?".to_owned(),
            ..LeaseLine::default()
        };
        assert_eq!(
            Action::lease(Deed::Kill, &lease).path(),
            "/v1/clients/..%2F..%2Fsettings%2Frollback%3F/kill"
        );
    }
}
