//! `target_session_attrs`: which of several hosts may serve a database.

use crate::params::ParamSet;
use wire::sql::Value;

/// What a server must be, with the meanings of libpq and PgBouncer.
///
/// It is judged by what the server reports when it greets, which PostgreSQL does since version 14
/// (`in_hot_standby`, `default_transaction_read_only`): a server that does not say fits only `Any`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SessionAttrs {
    /// Any server.
    #[default]
    Any,
    /// Not in recovery, and transactions may write unless they say otherwise.
    ReadWrite,
    /// In recovery, or transactions are read-only unless they say otherwise.
    ReadOnly,
    /// Not in recovery.
    Primary,
    /// In recovery.
    Standby,
}

impl SessionAttrs {
    /// As the settings say it.
    pub const fn label(self) -> &'static str {
        match self {
            SessionAttrs::Any => "any",
            SessionAttrs::ReadWrite => "read-write",
            SessionAttrs::ReadOnly => "read-only",
            SessionAttrs::Primary => "primary",
            SessionAttrs::Standby => "standby",
        }
    }

    /// Only a server that takes writes will do.
    pub const fn writes(self) -> bool {
        matches!(self, SessionAttrs::ReadWrite | SessionAttrs::Primary)
    }

    /// Why a server that greeted so will not do; `None`: it will.
    pub(crate) fn refuses(self, greeting: &ParamSet) -> Option<String> {
        let on = |name: &str| match greeting.value(name) {
            Some(Value::Guc(value)) => Some(&**value == "on"),
            _ => None,
        };
        let told = on("in_hot_standby").zip(on("default_transaction_read_only"));
        let is = match (self, told) {
            (SessionAttrs::Any, _) => return None,
            (_, None) => "of a version that does not say what it is (before 14)",
            (SessionAttrs::Standby, Some((true, _))) => return None,
            (SessionAttrs::Primary, Some((false, _))) => return None,
            (SessionAttrs::ReadOnly, Some((true, _) | (_, true))) => return None,
            (SessionAttrs::ReadWrite, Some((false, false))) => return None,
            (_, Some((true, _))) => "a standby",
            (_, Some((_, true))) => "read-only by default",
            (_, Some((false, false))) => "a primary",
        };
        Some(format!(
            "the server is {is}: not what target_session_attrs={} asks for",
            self.label()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_fit_by_what_they_say_of_themselves() {
        use SessionAttrs::*;
        type Told = Option<(&'static str, &'static str)>;
        // What the server says of recovery and of read-only transactions, and whom it suits.
        let table: [(Told, &[SessionAttrs]); 5] = [
            (Some(("off", "off")), &[Any, ReadWrite, Primary]),
            (Some(("off", "on")), &[Any, ReadOnly, Primary]),
            (Some(("on", "off")), &[Any, ReadOnly, Standby]),
            (Some(("on", "on")), &[Any, ReadOnly, Standby]),
            (None, &[Any]),
        ];
        for (told, suits) in table {
            let mut greeting = ParamSet::default();
            if let Some((standby, read_only)) = told {
                greeting.set("in_hot_standby", Some(Value::Guc(standby.into())));
                let name = "default_transaction_read_only";
                greeting.set(name, Some(Value::Guc(read_only.into())));
            }
            for attrs in [Any, ReadWrite, ReadOnly, Primary, Standby] {
                let refused = attrs.refuses(&greeting);
                assert_eq!(
                    refused.is_none(),
                    suits.contains(&attrs),
                    "{told:?}: {refused:?}"
                );
            }
        }
    }
}
