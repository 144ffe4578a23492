//! A file's text without its secrets, or why none of it is kept. Pure.
//!
//! What is kept here stands in a history for years, so the doubt goes against
//! the text: what may be a secret is replaced, and a file of a kind that is not
//! understood, with a sign of a secret in it, keeps its hash alone.

mod lines;
mod looks;
mod names;

use check::{Files, Kind};
use config::MASKED;
use std::ops::Range;
use std::path::Path;

pub(super) use lines::{Dialect, line as masked_line};

/// Larger files keep their hash alone.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// What is kept of a file's content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kept {
    /// Every byte: it can be written back.
    Whole(String),
    /// The text without its secrets: it can be compared, not written back.
    Masked(String),
    /// Hash and size.
    Nothing(Lacks),
}

/// Why no text is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lacks {
    /// Beyond [`TEXT_BYTES_MAX`].
    TooLarge,
    /// No UTF-8 text.
    Binary,
    /// All of it is secret: a user list, a key, a manifest of a Secret.
    Secret,
    /// A sign of a secret on this line, and no certainty where it ends.
    Unlocated(usize),
}

impl std::fmt::Display for Lacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lacks::TooLarge => write!(f, "it is larger than {} MiB", TEXT_BYTES_MAX >> 20),
            Lacks::Binary => f.write_str("it is not text"),
            Lacks::Secret => f.write_str("it is made to hold secrets"),
            Lacks::Unlocated(line) => write!(
                f,
                "line {line} may hold a secret that cannot be told apart for certain"
            ),
        }
    }
}

impl Kept {
    /// The text, with or without its secrets.
    pub fn text(&self) -> Option<&str> {
        match self {
            Kept::Whole(text) | Kept::Masked(text) => Some(text),
            Kept::Nothing(_) => None,
        }
    }
}

/// What may be kept of a file's content.
///
/// ```
/// use control::guard::{Kept, keep};
/// let text = "[databases]\nshop = host=db password=hunter2\n[pgbouncer]\n";
/// let Kept::Masked(kept) = keep("pgbouncer.ini".as_ref(), text.as_bytes()) else { panic!() };
/// assert!(!kept.contains("hunter2"));
/// ```
pub fn keep(path: &Path, bytes: &[u8]) -> Kept {
    if bytes.len() > TEXT_BYTES_MAX {
        return Kept::Nothing(Lacks::TooLarge);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => text,
        _ => return Kept::Nothing(Lacks::Binary),
    };
    if is_secret_by_name(path) || is_secret_by_content(text) {
        return Kept::Nothing(Lacks::Secret);
    }
    let (located, kind) = by_reader(path, text);
    let by_tool = match kind {
        Kind::PgBouncer | Kind::Plimsoll => config::masked(path, &located),
        _ => located,
    };
    match lines::text(&by_tool, dialect(kind)) {
        Err(line) => Kept::Nothing(Lacks::Unlocated(line)),
        Ok(kept) if kept == text => Kept::Whole(kept),
        Ok(kept) if kind == Kind::Unknown => {
            Kept::Nothing(Lacks::Unlocated(first_difference(text, &kept)))
        }
        Ok(kept) => Kept::Masked(kept),
    }
}

/// Places that the reader of this kind of file knows to be secrets. A file with
/// mistakes in it is of no known kind.
fn by_reader(path: &Path, text: &str) -> (String, Kind) {
    let mut files = Files::default();
    files.add(path, text);
    let report = check::check(&files, &check::Options::default());
    let facts = report.facts();
    let kind = report.kind(check::FileId(0));
    let kind = match facts.broken.is_empty() {
        true => kind,
        false if matches!(kind, Kind::PgBouncer | Kind::Plimsoll) => kind,
        false => Kind::Unknown,
    };
    let places = facts.secrets.iter().map(|s| s.place.range.clone());
    let mut words: Vec<&str> = places.clone().filter_map(|r| text.get(r)).collect();
    words.retain(|word| word.trim().len() >= SAME_WORD_MIN && !word.contains('\n'));
    words.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
    // Said once, it may be said again: in a comment, in a URL.
    let mut hidden = replaced(text, places.collect());
    for word in words {
        hidden = hidden.replace(word, MASKED);
    }
    (hidden, kind)
}

/// Shorter words stand in other places by chance.
const SAME_WORD_MIN: usize = 5;

fn replaced(text: &str, mut places: Vec<Range<usize>>) -> String {
    places.retain(|r| r.start < r.end && text.get(r.clone()).is_some());
    places.sort_by_key(|r| (r.start, std::cmp::Reverse(r.end)));
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for place in places {
        if place.start >= at {
            out.push_str(text.get(at..place.start).unwrap_or_default());
            // Lines keep their numbers.
            let hidden = text.get(place.clone()).unwrap_or_default();
            let lines: Vec<&str> = hidden.split('\n').collect();
            let masks = lines.iter().map(|line| match line.trim().is_empty() {
                true => "",
                false => MASKED,
            });
            out.push_str(&masks.collect::<Vec<_>>().join("\n"));
        }
        at = at.max(place.end);
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

fn dialect(kind: Kind) -> Dialect {
    match kind {
        Kind::Postgres => Dialect::Postgres,
        Kind::RailsDatabase
        | Kind::SpringYaml
        | Kind::Compose
        | Kind::Kubernetes
        | Kind::Kustomize
        | Kind::HelmValues => Dialect::Indented,
        Kind::Environment
        | Kind::SpringProperties
        | Kind::PgBouncer
        | Kind::PgCat
        | Kind::PgDog => Dialect::Pairs,
        _ => Dialect::Plain,
    }
}

fn is_secret_by_name(path: &Path) -> bool {
    const NAMES: [&str; 9] = [
        "userlist.txt",
        ".pgpass",
        "pgpass.conf",
        ".htpasswd",
        ".netrc",
        "credentials",
        "shadow",
        "id_rsa",
        "id_ed25519",
    ];
    const ENDS: [&str; 6] = ["pem", "key", "p12", "pfx", "jks", "keystore"];
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    let name = name.to_ascii_lowercase();
    let end = name.rsplit_once('.').map_or("", |(_, end)| end);
    NAMES.contains(&name.as_str()) || ENDS.contains(&end)
}

fn is_secret_by_content(text: &str) -> bool {
    let lines = || {
        let lines = text.lines().map(str::trim);
        lines.filter(|l| !l.is_empty() && !l.starts_with(['#', ';']))
    };
    // A user list of PgBouncer's, a password file of libpq's.
    let pairs = |l: &str| l.starts_with('"') && l.ends_with('"') && l.matches('"').count() == 4;
    let fields = |l: &str| l.split(':').count() == 5 && !l.contains(' ');
    // One word alone: a password file.
    let mut all = lines();
    let alone = match (all.next(), all.next()) {
        (Some(line), None) => {
            line.len() < 200 && !line.contains([' ', '=', ':', '/', '<', '{', '['])
        }
        _ => false,
    };
    let manifest = |l: &str| {
        let l = l
            .trim_start_matches(['-', ' ', '{'])
            .replace(['"', ' ', '\'', ','], "");
        matches!(l.as_str(), "kind:Secret" | "kind:SealedSecret")
    };
    alone
        || text.contains("PRIVATE KEY-----")
        || lines().next().is_some() && (lines().all(pairs) || lines().all(fields))
        || lines().any(manifest)
}

/// The first line that is not the same, from 1.
fn first_difference(a: &str, b: &str) -> usize {
    1 + a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests;
