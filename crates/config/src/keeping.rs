//! How settings themselves are kept: where they come from, where their history is.

use std::path::PathBuf;
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
