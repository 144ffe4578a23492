//! `client_tls_protocols` and `server_tls_protocols`: a list of versions.

use crate::error::{Problem, nearest, quoted};
use crate::plan::TlsVersions;

const WORDS: [&str; 8] = [
    "secure", "all", "legacy", "default", "tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3",
];

/// The versions that a list asks for, and whether it asks for older ones too: these
/// are left out, which is no less safe.
pub(super) fn versions(text: &str) -> Result<(TlsVersions, bool), Problem> {
    let list: Vec<String> = text
        .split([',', ':', ' '])
        .filter(|v| !v.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if let Some(wrong) = list.iter().find(|v| !WORDS.contains(&v.as_str())) {
        let problem = Problem::new(format!("{} is no TLS version", quoted(wrong)));
        return Err(match nearest(wrong, WORDS) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help("write secure, or a list of tlsv1.2 and tlsv1.3"),
        });
    }
    let has = |names: &[&str]| list.iter().any(|v| names.contains(&v.as_str()));
    let old = has(&["all", "legacy", "tlsv1.0", "tlsv1.1"]);
    let both = list.is_empty() || has(&["secure", "default", "all", "legacy"]);
    match (both, has(&["tlsv1.2"]), has(&["tlsv1.3"])) {
        (true, _, _) | (_, true, true) => Ok((TlsVersions::Secure, old)),
        (_, true, false) => Ok((TlsVersions::Tls12, old)),
        (_, false, true) => Ok((TlsVersions::Tls13, old)),
        (_, false, false) => Err(Problem::new("TLS 1.0 and 1.1 are not spoken here")
            .why("they are broken, and newer ones were not asked for")
            .help("write `secure`, which is 1.2 and 1.3")),
    }
}
