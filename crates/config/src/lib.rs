//! Settings: text in, a checked [`Plan`] out, or an error that names file,
//! line, column and what to write instead.
//!
//! It reads plimsoll.toml, pgbouncer.ini, their user files and host-based rules, and `postgres://`
//! URLs. It never opens a file or a socket (the caller's [`Source`] does), never
//! puts a default in place of a mistake, and never shows a secret.
//! The one invariant: a plan in hand has passed every check, as a whole.
//!
//! ```text
//!   plimsoll.toml ─┐            ┌─ table of settings ─┐
//!   pgbouncer.ini ─┼─► reader ──┤                     ├─► Plan ─► diff
//!   postgres://…  ─┘            └─ checks of the whole┘     └──► SHOW CONFIG
//!                        └─► Errors: all of a file at once
//! ```
//!
//! ```
//! use config::{Memory, load};
//! let files = Memory::default().file("p.toml", "[pool]\nszie = 30\n[database.app]\nhost = \"db\"\n");
//! let errors = load("p.toml".as_ref(), &files).unwrap_err();
//! assert_eq!((errors.list()[0].line, errors.list()[0].help.as_str()), (2, "did you mean `size`?"));
//! ```

mod alerting;
mod api;
mod bounds;
mod change;
mod connstr;
mod diff;
mod draft;
mod effective;
mod entries;
mod error;
mod etcd;
mod fleet;
mod guards;
mod hba;
mod ident;
mod import;
mod ini;
mod keeping;
mod lines;
mod own;
mod pgbouncer;
mod plan;
mod reference;
mod renamed;
pub mod rollout;
mod rows;
mod secrets;
mod source;
mod table;
mod text;
mod toml;
mod url;
mod userlist;
mod value;

use std::path::Path;

pub use alerting::{ALERT_NAMES, Alerting, Notifier, Ownership};
pub use api::{Anonymous, Api, ApiRole, ApiToken, TOKEN_BYTES_MAX, TOKEN_BYTES_MIN};
pub use change::with_key;
pub use diff::{Change, Direction, check_reload, diff, in_common, keep_fixed, take_fixed};
pub use draft::{Dialect, Overrides};
pub use effective::Effective;
pub use error::{ERRORS_MAX, Error, Errors};
pub use etcd::{ENDPOINTS_MAX as ETCD_ENDPOINTS_MAX, Etcd, Share};
pub use fleet::{Discover, FleetChannel};
pub use hba::{Caller, Hba, Method, Rule};
pub use import::{ImportOptions, Imported, import};
pub use ini::own_lines;
pub use keeping::{Keeping, SettingsSource, state_directory};
pub use plan::*;
pub use reference::{Row, settings_markdown, settings_reference};
pub use renamed::{Outdated, RENAMED, Renamed};
pub use rows::LINE_MAX;
pub use secrets::{
    MASKED, Refused, Reread, SecretFault, freshen, masked, masked_rules, renew, reread,
    secret_files, with_secrets_of,
};
pub use source::{Memory, Source};
pub use table::{Class, Setting, Support, settings};
pub use url::{ServerUrl, UrlOptions, from_url, from_url_with, server_from_url};
pub use userlist::parse_user_file;
pub use value::Kind;

/// Reads a settings file of either dialect.
///
/// # Errors
/// All mistakes of the file and of the files that it names.
pub fn load(path: &Path, source: &dyn Source) -> Result<Plan, Errors> {
    load_with(path, source, &Overrides::default())
}

/// As [`load`], with what the command line states beside the file.
///
/// # Errors
/// All mistakes of the file and of the files that it names.
pub fn load_with(path: &Path, source: &dyn Source, overrides: &Overrides) -> Result<Plan, Errors> {
    match dialect(path, source)? {
        Dialect::Toml => toml::load(path, source, overrides),
        Dialect::Ini => pgbouncer::load(path, source, overrides),
    }
}

/// A duration as plimsoll.toml writes it, such as `30s` or `1.5h`.
pub fn parse_duration(text: &str) -> Option<std::time::Duration> {
    value::duration(text).ok()
}

/// By the extension; another name is decided by what the file holds.
fn dialect(path: &Path, source: &dyn Source) -> Result<Dialect, Errors> {
    if let Some(dialect) = dialect_of_name(path) {
        return Ok(dialect);
    }
    let text = text::read(
        path,
        source,
        text::SETTINGS_BYTES_MAX,
        "the settings file",
        None,
    )?;
    Ok(dialect_of_text(&text))
}

fn dialect_of_name(path: &Path) -> Option<Dialect> {
    let extension = path.extension().map(|e| e.to_ascii_lowercase());
    match extension.as_deref().and_then(|e| e.to_str()) {
        Some("toml") => Some(Dialect::Toml),
        Some("ini") => Some(Dialect::Ini),
        _ => None,
    }
}

fn dialect_of_text(text: &str) -> Dialect {
    let of_pgbouncer = [
        "[pgbouncer]",
        "[databases]",
        "[users]",
        "[peers]",
        "%include",
    ];
    let is_ini = text
        .lines()
        .any(|l| of_pgbouncer.iter().any(|s| l.trim_start().starts_with(s)));
    if is_ini { Dialect::Ini } else { Dialect::Toml }
}

#[cfg(test)]
mod tests;
