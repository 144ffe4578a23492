//! What an instance says of itself.

use serde::{Deserialize, Serialize};

/// The version of this language. A higher one is read as far as it goes.
pub const PROTOCOL: u32 = 1;
/// Longest statement, bytes of JSON.
pub const BODY_MAX: usize = 64 << 10;
/// Most database servers of a statement; the rest is left out.
const SERVERS_MAX: usize = 64;
/// Most alerts of a statement; the rest is left out, and told by each instance itself.
const ALERTS_MAX: usize = 128;
/// Most settings that an instance turned down.
const TURNED_DOWN_MAX: usize = 4;
/// Longest name, bytes: a host's name has at most 64, a process number follows.
const NAME_MAX: usize = 128;
/// Longest other text, bytes: an alert's key names a database, a user, an application.
const TEXT_MAX: usize = 256;

/// What an instance says of itself, at one moment. It holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Statement {
    /// The version of the language that it speaks.
    pub protocol: u32,
    /// The name of its fleet.
    pub fleet: String,
    /// Which instance: its host and process.
    pub instance: String,
    /// The version of its binary.
    pub version: String,
    /// When it started, milliseconds since 1970.
    pub started_ms: i64,
    /// Its clock when it said this, milliseconds since 1970.
    pub clock_ms: i64,
    /// The hash of the settings that serve; empty: they come from no file.
    pub settings: String,
    /// The hash of what those settings say, apart from what is each instance's own,
    /// such as where it listens: the same at instances that serve alike.
    pub alike: String,
    /// Settings that it turned down while its file says them.
    pub turned_down: Vec<TurnedDown>,
    /// New clients may come.
    pub ready: bool,
    /// Why not.
    pub ready_reason: String,
    /// Its database servers.
    pub servers: Vec<ServerSays>,
    /// Its alerts that fire.
    pub alerts: Vec<AlertSays>,
    /// Clients that are connected.
    pub clients: u64,
    /// Clients that wait for a connection.
    pub waiting: u64,
    /// Where its clients connect, address and port: cancel requests that nobody
    /// knows elsewhere are passed on there. An unspecified address stands for the
    /// one that it is heard at; empty: others cannot reach its clients' listener.
    pub clients_at: String,
}

/// Settings that were turned down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnedDown {
    /// Their hash.
    pub hash: String,
    /// The label of the reason.
    pub reason: String,
}

/// One database server, as an instance sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerSays {
    /// Its address as the settings name it.
    pub server: String,
    /// What all instances together may hold there.
    pub line: u32,
    /// What this one may hold.
    pub share: u32,
    /// What it holds.
    pub held: u32,
    /// What it lacks beyond its share.
    pub wanted: u32,
    /// It reads the server's own figures now.
    pub sees: bool,
}

/// An alert that fires.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertSays {
    /// Name and subject: the same at every instance.
    pub key: String,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
    /// This instance tells people of it.
    pub told: bool,
    /// This instance has nobody to tell, or reaches nobody.
    pub mute: bool,
}

/// Bytes that are no statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this is no statement of an instance")
    }
}

impl std::error::Error for Malformed {}

/// What is read of a language that we do not know.
#[derive(Deserialize)]
struct Identity {
    protocol: u32,
    fleet: String,
    instance: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    started_ms: i64,
    #[serde(default)]
    clock_ms: i64,
}

impl Statement {
    /// Reads one. Unknown fields are passed over, rows beyond the bounds left out,
    /// and texts made fit to be shown.
    ///
    /// # Errors
    /// It is too long, no JSON of this form, or names nobody.
    pub fn parse(body: &[u8]) -> Result<Statement, Malformed> {
        if body.len() > BODY_MAX {
            return Err(Malformed);
        }
        let read = serde_json::from_slice::<Statement>(body);
        let statement = read.or_else(|_| foreign(body))?;
        let named = |name: &str| !name.is_empty() && name.len() <= NAME_MAX;
        if !named(&statement.instance) || !named(&statement.fleet) {
            return Err(Malformed);
        }
        Ok(statement.bounded())
    }

    /// As it goes over the wire, never longer than [`BODY_MAX`].
    pub fn to_json(&self) -> String {
        let mut statement = self.clone().bounded();
        loop {
            let json = serde_json::to_string(&statement).unwrap_or_default();
            if json.len() <= BODY_MAX {
                return json;
            }
            // Escapes can make a text several times as long.
            statement.alerts.truncate(statement.alerts.len() / 2);
            statement.servers.truncate(statement.servers.len() / 2);
        }
    }

    /// What its settings are compared by; empty: they come from no file.
    pub fn serves(&self) -> &str {
        match self.alike.as_str() {
            "" => &self.settings,
            alike => alike,
        }
    }

    /// The alert with this key, where it fires there.
    pub fn alert(&self, key: &str) -> Option<&AlertSays> {
        self.alerts.iter().find(|alert| alert.key == key)
    }

    fn bounded(mut self) -> Statement {
        self.turned_down.truncate(TURNED_DOWN_MAX);
        self.servers.truncate(SERVERS_MAX);
        self.alerts.truncate(ALERTS_MAX);
        for name in [&mut self.fleet, &mut self.instance, &mut self.version] {
            *name = tame(name, NAME_MAX);
        }
        let down = self.turned_down.iter_mut();
        let texts = [
            &mut self.settings,
            &mut self.alike,
            &mut self.ready_reason,
            &mut self.clients_at,
        ]
        .into_iter();
        let texts = texts
            .chain(down.flat_map(|t| [&mut t.hash, &mut t.reason]))
            .chain(self.servers.iter_mut().map(|s| &mut s.server))
            .chain(self.alerts.iter_mut().map(|a| &mut a.key));
        for text in texts {
            *text = tame(text, TEXT_MAX);
        }
        self
    }
}

/// A later language may say of other things what we do not understand; who says
/// it, we do.
fn foreign(body: &[u8]) -> Result<Statement, Malformed> {
    let read: Identity = serde_json::from_slice(body).map_err(|_| Malformed)?;
    if read.protocol <= PROTOCOL {
        return Err(Malformed);
    }
    Ok(Statement {
        protocol: read.protocol,
        fleet: read.fleet,
        instance: read.instance,
        version: read.version,
        started_ms: read.started_ms,
        clock_ms: read.clock_ms,
        ..Statement::default()
    })
}

/// A text of somebody else's, for one line of a log or a page: no control
/// characters, no longer than so many bytes.
pub fn tame(text: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bytes_max));
    for c in text.chars() {
        let c = if c.is_control() { '?' } else { c };
        if out.len() + c.len_utf8() > bytes_max {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn full() -> Statement {
        let row = |n: usize| "\"\\\n".repeat(200) + &n.to_string();
        Statement {
            protocol: PROTOCOL,
            fleet: "shop".into(),
            instance: "a:1".into(),
            servers: (0..500)
                .map(|n| ServerSays {
                    server: row(n),
                    ..ServerSays::default()
                })
                .collect(),
            alerts: (0..500)
                .map(|n| AlertSays {
                    key: row(n),
                    ..AlertSays::default()
                })
                .collect(),
            ..Statement::default()
        }
    }

    #[test]
    fn what_is_written_is_read_again_within_its_bounds() {
        let statement = full();
        let json = statement.to_json();
        assert!(json.len() <= BODY_MAX, "{}", json.len());
        let read = Statement::parse(json.as_bytes()).expect("our own");
        assert_eq!(read.instance, "a:1");
        assert!(read.servers.len() <= SERVERS_MAX && !read.servers.is_empty());
        assert!(!read.servers[0].server.contains('\n'));
        let small = Statement {
            servers: Vec::new(),
            alerts: Vec::new(),
            clients: 7,
            ..statement
        };
        assert_eq!(Statement::parse(small.to_json().as_bytes()), Ok(small));
    }

    #[test]
    fn other_languages_are_read_as_far_as_they_go() {
        let identity = r#""fleet":"f","instance":"b:2""#;
        let table = [
            (
                format!("{{\"protocol\":1,{identity},\"new\":[1]}}"),
                Some(1),
            ),
            (
                format!("{{\"protocol\":9,{identity},\"clients\":3}}"),
                Some(9),
            ),
            // What clients are has another form there.
            (
                format!("{{\"protocol\":9,{identity},\"clients\":{{}}}}"),
                Some(9),
            ),
            (
                format!("{{\"protocol\":1,{identity},\"clients\":{{}}}}"),
                None,
            ),
            (
                format!("{{\"protocol\":1,{identity},\"clients\":-1}}"),
                None,
            ),
            ("{\"protocol\":1,\"fleet\":\"f\"}".to_owned(), None),
            ("{}".to_owned(), None),
            ("[]".to_owned(), None),
            (String::new(), None),
            ("[".repeat(10_000), None),
            (format!("{{{identity}}}{}", " ".repeat(BODY_MAX)), None),
            (
                format!("{{\"fleet\":\"f\",\"instance\":\"{}\"}}", "x".repeat(200)),
                None,
            ),
        ];
        for (text, protocol) in table {
            let read = Statement::parse(text.as_bytes()).ok().map(|s| s.protocol);
            let shown: String = text.chars().take(80).collect();
            assert_eq!(read, protocol, "{shown}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Statement::parse(&bytes);
        }

        #[test]
        fn a_broken_statement_is_read_or_not(at in 0usize..4000, with in any::<u8>()) {
            let mut bytes = full().to_json().into_bytes();
            let at = at % bytes.len();
            bytes[at] = with;
            if let Ok(read) = Statement::parse(&bytes) {
                prop_assert!(read.to_json().len() <= BODY_MAX);
            }
        }
    }
}
