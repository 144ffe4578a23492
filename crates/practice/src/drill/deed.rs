//! What is done to a sandbox: the faults, and what a person may try.

use serde::Serialize;

/// What goes wrong. The shell does it for real.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// An update applies settings with a smaller limit, past every guard.
    CutLimit,
    /// A deploy script overwrites the settings file.
    OverwriteFile,
    /// A limit far beyond what the server can work on, and a surge.
    Surge,
    /// Everybody comes more often, the limit stays.
    Growth,
    /// A release of one application forgets to commit.
    Leak,
    /// The way to the server takes longer.
    SlowWay,
    /// A session of others holds a lock on a table.
    TableLock,
    /// A release brings a slow statement.
    SlowRelease,
    /// One application sends far more than all others.
    Flood,
    /// A release lost its own pool: it logs in for every request.
    LoginStorm,
}

/// What a person tries. Every drill offers all of them, so that the offer gives
/// nothing away.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// All processes of an application end and start again.
    RestartApp(String),
    /// PostgreSQL stops and starts.
    RestartDatabase,
    /// The pool's limit becomes this.
    SetLimit(u32),
    /// The settings before the last change serve again.
    RollBackSettings,
    /// An application goes back to the release before.
    RollBackRelease(String),
    /// Sessions of an application end, at the pooler and at the server.
    EndSessions(String),
    /// An application is kept out.
    Block(String),
    /// The statement that runs longest is cancelled.
    CancelLongest,
    /// Caches of the applications are emptied.
    ClearCaches,
    /// Traffic to the server takes another way.
    Reroute,
}

impl Deed {
    /// As it is typed after `do`, and as the help explains it.
    pub const OFFERED: &'static [(&'static str, &'static str)] = &[
        ("restart APP", "restart the processes of an application"),
        ("restart-database", "stop and start PostgreSQL"),
        ("set-limit N", "apply another pool limit, at once"),
        (
            "roll-back-settings",
            "let the settings before the last change serve",
        ),
        (
            "roll-back-release APP",
            "deploy the release before, of an application",
        ),
        (
            "end-sessions APP",
            "end an application's sessions, at the pooler and the server",
        ),
        ("block APP", "keep an application out"),
        ("cancel", "cancel the statement that runs longest"),
        ("clear-caches", "empty the caches of the applications"),
        ("reroute", "let traffic to the server take another way"),
    ];

    /// As it is typed.
    pub fn words(&self) -> String {
        match self {
            Deed::RestartApp(app) => format!("restart {app}"),
            Deed::RestartDatabase => "restart-database".to_owned(),
            Deed::SetLimit(limit) => format!("set-limit {limit}"),
            Deed::RollBackSettings => "roll-back-settings".to_owned(),
            Deed::RollBackRelease(app) => format!("roll-back-release {app}"),
            Deed::EndSessions(app) => format!("end-sessions {app}"),
            Deed::Block(app) => format!("block {app}"),
            Deed::CancelLongest => "cancel".to_owned(),
            Deed::ClearCaches => "clear-caches".to_owned(),
            Deed::Reroute => "reroute".to_owned(),
        }
    }

    /// What was typed after `do`.
    ///
    /// # Errors
    /// What is wrong with it, for the person.
    pub fn parse(text: &str) -> Result<Deed, String> {
        let mut words = text.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        let alone = |deed: Deed| match rest.is_empty() {
            true => Ok(deed),
            false => Err(format!("`{verb}` stands alone")),
        };
        let app = |deed: fn(String) -> Deed| match rest.as_slice() {
            [app] => Ok(deed((*app).to_owned())),
            _ => Err(format!("`{verb}` needs the name of one application")),
        };
        match verb {
            "restart" => app(Deed::RestartApp),
            "restart-database" => alone(Deed::RestartDatabase),
            "set-limit" => match rest.as_slice() {
                [n] => match n.parse() {
                    Ok(n @ 1..=LIMIT_MAX) => Ok(Deed::SetLimit(n)),
                    _ => Err(format!("a limit is a number from 1 to {LIMIT_MAX}")),
                },
                _ => Err("`set-limit` needs a number".to_owned()),
            },
            "roll-back-settings" => alone(Deed::RollBackSettings),
            "roll-back-release" => app(Deed::RollBackRelease),
            "end-sessions" => app(Deed::EndSessions),
            "block" => app(Deed::Block),
            "cancel" => alone(Deed::CancelLongest),
            "clear-caches" => alone(Deed::ClearCaches),
            "reroute" => alone(Deed::Reroute),
            _ => Err(format!("there is no action `{verb}`; `help` lists them")),
        }
    }
}

/// Largest limit that is taken: the settings' own.
const LIMIT_MAX: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_understood_and_said_the_same_way() {
        for (usage, _) in Deed::OFFERED {
            let typed = usage.replace("APP", "web").replace('N', "7");
            let deed = Deed::parse(&typed).unwrap_or_else(|e| panic!("{typed}: {e}"));
            assert_eq!(deed.words(), typed);
        }
    }

    #[test]
    fn what_is_not_understood_is_explained() {
        let table = [
            ("", "there is no action ``"),
            ("pray", "there is no action `pray`"),
            ("restart", "needs the name of one application"),
            ("restart web api", "needs the name of one application"),
            ("restart-database now", "stands alone"),
            ("set-limit", "needs a number"),
            ("set-limit many", "a number from 1"),
            ("set-limit 0", "a number from 1"),
        ];
        for (typed, said) in table {
            let error = Deed::parse(typed).expect_err(typed);
            assert!(error.contains(said), "{typed}: {error}");
        }
    }
}
