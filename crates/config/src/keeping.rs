//! How settings themselves are kept: where they come from, where their history is.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Who decides what the settings file says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SettingsSource {
    /// `deploy` in a container, `store` elsewhere.
    #[default]
    Auto,
    /// A deployment writes the file: a changed file goes through the gate by itself.
    Deploy,
    /// `plimsoll apply` does: any other change of the file is held, with an alert.
    Store,
    /// A key in etcd has the text: another text goes through the gate by itself, as a
    /// changed file does with `Deploy`. The file says what is this instance's own.
    Etcd,
}

/// How settings are kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Keeping {
    /// Who decides what the file says.
    pub source: SettingsSource,
    /// Write the file back when somebody else changed it (source store only).
    pub restore: bool,
    /// How long a change is watched after its last step.
    pub watch: Duration,
    /// Where the history is; `None`: the system's usual place, if it is there.
    pub directory: Option<PathBuf>,
}

/// The state directory that a settings file names, also where the rest of the
/// file has mistakes: the history is needed most when the file is broken.
/// Relative paths start where the settings file is.
///
/// ```
/// let broken = "[pool]\nszie = 3\n[state]\ndirectory = \"/var/lib/p\" # here\n";
/// let found = config::state_directory("/etc/p.toml".as_ref(), broken);
/// assert_eq!(found, Some("/var/lib/p".into()));
/// ```
pub fn state_directory(path: &Path, text: &str) -> Option<PathBuf> {
    let mut section = "";
    let mut found = None;
    // In a pgbouncer.ini a comment may be meant for us.
    let own = path.extension().is_none_or(|e| e != "toml");
    for line in text.lines().map(str::trim) {
        if let Some(at) = crate::ini::own_start(line, 0).filter(|_| own) {
            let named = line.get(at..).and_then(|own| own.split_once('='));
            if let Some(("state_directory", value)) = named.map(|(k, v)| (k.trim(), v.trim())) {
                found = Some(value).filter(|dir| !dir.is_empty()).or(found);
            }
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = name.split(']').next().unwrap_or_default().trim();
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let named = match (section, key.trim()) {
            ("state", "directory") | ("", "state.directory") => quoted(value.trim()),
            ("plimsoll" | "pgbouncer", "state_directory") => Some(value.trim()),
            _ => None,
        };
        found = named.filter(|dir| !dir.is_empty()).or(found);
    }
    let base = path.parent().unwrap_or(Path::new(""));
    found.map(|dir| base.join(dir))
}

/// What stands between the quotes at the begin of a value.
fn quoted(value: &str) -> Option<&str> {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value.get(1..)?.split(quote).next()
}
