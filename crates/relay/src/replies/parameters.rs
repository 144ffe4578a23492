//! ParameterStatus: what both sides learn of a parameter.

use super::{Message, Turn};
use crate::effects;
use crate::expect::{Expect, Purpose};
use crate::login::reported_name;
use crate::params::ParamSet;
use std::sync::Arc;
use wire::back;
use wire::sql::Value;

impl Turn<'_> {
    /// ParameterStatus: the truth about a reported parameter, on both sides.
    pub(super) fn parameter(&mut self, m: Message, own: bool) {
        let purpose = match self.server.expected.front() {
            Some(Expect::OwnQuery(purpose)) => Some(*purpose),
            _ => None,
        };
        let parsed = back::ParameterStatus::parse(self.body(m))
            .ok()
            .and_then(|s| {
                let name = std::str::from_utf8(s.name).ok()?.to_ascii_lowercase();
                Some((name, std::str::from_utf8(s.value).ok()?))
            });
        let Some((name, value)) = parsed.filter(|(n, _)| !NOT_SETTINGS.contains(&&**n)) else {
            return self.deliver(m, own);
        };
        let value = Value::Guc(value.into());
        let at_login = self.server.greeting.value(&name) == Some(&value);
        if at_login && !own && (self.gone_back(m, &name) || self.going_back(m, &name)) {
            change(&mut self.server.params, &name, None);
            return self.deliver(m, true);
        }
        self.deliver(m, own);
        // A rollback takes it back, and perhaps nothing reports that: a later
        // SET of the same transaction may have made both values equal.
        if purpose.is_none()
            && !self.server.expected.is_empty()
            && let Some(client) = self.client.as_deref_mut()
        {
            effects::track(client, self.server);
        }
        let wanted = (!at_login).then(|| value.clone());
        change(&mut self.server.params, &name, wanted.clone());
        if let Some(client) = self.client.as_deref_mut()
            && matches!(purpose, None | Some(Purpose::Parameters))
        {
            // The client keeps a wish that equals the login's value, if it had one.
            let wish = if client.params.value(&name).is_some() {
                Some(value)
            } else {
                wanted
            };
            change(&mut client.params, &name, wish);
        }
    }

    /// RESET took the server back to its own login, where the client means
    /// its own: it is told the value that it will have.
    pub(super) fn gone_back(&mut self, m: Message, name: &str) -> bool {
        let Some(client) = self.client.as_deref() else {
            return false;
        };
        let (Some(wish), Some(Value::Guc(login))) =
            (client.params.value(name), client.startup.value(name))
        else {
            return false;
        };
        if *wish != Value::Guc(login.clone()) || self.server.params.value(name).is_some() {
            return false;
        }
        let login = login.clone();
        self.say(m.start, |v| {
            back::parameter_status(v, reported_name(name), &*login)
        });
        true
    }

    /// The same before the end of the RESET: servers before 14 report at once.
    fn going_back(&mut self, m: Message, name: &str) -> bool {
        let resets = match self.server.expected.front() {
            Some(Expect::Query(Some(script)) | Expect::Execute(Some(script))) => {
                script.is_resetting(name)
            }
            _ => false,
        };
        let Some(client) = self.client.as_deref_mut().filter(|_| resets) else {
            return false;
        };
        let Some(Value::Guc(login)) = client.startup.value(name).cloned() else {
            return false;
        };
        effects::track(client, self.server);
        self.say(m.start, |v| {
            back::parameter_status(v, reported_name(name), &*login)
        });
        true
    }
}

/// Reported by servers, but no session parameters: read-only, or followed by
/// the statements that change them.
const NOT_SETTINGS: [&str; 8] = [
    "server_version",
    "server_encoding",
    "is_superuser",
    "integer_datetimes",
    "in_hot_standby",
    "session_authorization",
    "role",
    "scram_iterations",
];

fn change(set: &mut Arc<ParamSet>, name: &str, value: Option<Value>) {
    if set.value(name) != value.as_ref() {
        Arc::make_mut(set).set(name, value);
    }
}
