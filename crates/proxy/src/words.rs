//! Lines of the log in PgBouncer's words, for a log that takes them.
//!
//! Each is one event whose message is the whole line; see [`events::pgbouncer`]. A log in our own style leaves them
//! out, so whoever has a line in both asks [`wanted`] first.

use events::Time;
use events::pgbouncer::LOG_TARGET;
use events::snapshot::Address;
use std::fmt;

/// Characters of a name that a client chose, in a line.
const NAME_MAX: usize = 128;
/// The same of a text.
const TEXT_MAX: usize = 512;

/// One line in PgBouncer's words.
macro_rules! theirs {
    ($level:ident, $($what:tt)+) => {
        tracing::event!(target: events::pgbouncer::LOG_TARGET, tracing::Level::$level, $($what)+)
    };
}
pub(crate) use theirs;

/// The log takes PgBouncer's lines.
pub(crate) fn wanted() -> bool {
    tracing::enabled!(target: LOG_TARGET, tracing::Level::WARN)
}

/// What a line begins with: whose it is, as `C-0x1201: shop/anna@127.0.0.1:5555`.
pub(crate) struct Whose<'a> {
    /// C for a client's connection, S for one to a server.
    pub(crate) kind: char,
    /// As the column `ptr` of SHOW CLIENTS and SHOW SERVERS has it.
    pub(crate) id: u64,
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
    pub(crate) place: String,
}

impl fmt::Display for Whose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = or(self.database, "(nodb)");
        let user = or(self.user, "(nouser)");
        let (kind, id, place) = (self.kind, self.id, &self.place);
        write!(f, "{kind}-{id:#x}: {database}/{user}@{place}")
    }
}

fn or<'a>(known: &'a str, none: &'a str) -> &'a str {
    match known {
        "" => none,
        known => name(known),
    }
}

/// The beginning of a name that may be long.
pub(crate) fn name(name: &str) -> &str {
    cut(name, NAME_MAX)
}

/// The beginning of a text that may be long.
pub(crate) fn text(text: &str) -> &str {
    cut(text, TEXT_MAX)
}

fn cut(text: &str, max: usize) -> &str {
    match text.char_indices().nth(max) {
        Some((end, _)) => text.get(..end).unwrap_or_default(),
        None => text,
    }
}

/// An address; on a unix socket, of the process at its other end where that is known.
pub(crate) fn place(address: &Address, pid: Option<u32>, unix_port: u16) -> String {
    match (address, pid) {
        (Address::Tcp(address), _) => address.to_string(),
        (Address::Unix, Some(pid)) => format!("unix({pid}):{unix_port}"),
        (Address::Unix, None) => format!("unix:{unix_port}"),
    }
}

/// The end of a connection: the last words of the line, where readers look for its age.
pub(crate) fn closing(words: &str, now: Time, since: Time) -> String {
    let age = now.since(since).as_secs();
    format!("closing because: {} (age={age}s)", text(words))
}

/// A command of the console.
pub(crate) fn issued(command: &str, database: Option<&str>) {
    match database {
        Some(database) => theirs!(INFO, "{command} '{}' command issued", name(database)),
        None => theirs!(INFO, "{command} command issued"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn whose(database: &str, user: &str, place: String) -> String {
        let (kind, id) = ('C', 0x1201);
        Whose {
            kind,
            id,
            database,
            user,
            place,
        }
        .to_string()
    }

    #[test]
    fn lines_begin_as_pgbouncers_do() {
        let tcp = |text: &str| Address::Tcp(text.parse().expect("an address"));
        let table = [
            (
                whose("shop", "anna", place(&tcp("127.0.0.1:5555"), None, 6432)),
                "C-0x1201: shop/anna@127.0.0.1:5555",
            ),
            (
                whose("shop", "anna", place(&tcp("[::1]:5555"), None, 6432)),
                "C-0x1201: shop/anna@[::1]:5555",
            ),
            (
                whose("", "", place(&Address::Unix, Some(77), 6432)),
                "C-0x1201: (nodb)/(nouser)@unix(77):6432",
            ),
            (
                whose("", "anna", place(&Address::Unix, None, 6432)),
                "C-0x1201: (nodb)/anna@unix:6432",
            ),
        ];
        for (seen, expected) in table {
            assert_eq!(seen, expected);
        }
        let long = whose(&"ä".repeat(70_000), "u", "unix:1".into());
        assert_eq!(long, format!("C-0x1201: {}/u@unix:1", "ä".repeat(NAME_MAX)));
    }

    #[test]
    fn a_closing_line_ends_with_the_age() {
        let now = Time::ZERO.after(Duration::from_millis(3_900));
        assert_eq!(
            closing("client close request", now, Time::ZERO),
            "closing because: client close request (age=3s)"
        );
    }
}
