//! Alerts, owners and notifiers.

use super::{ini, rendered, toml};
use crate::*;
use std::time::Duration;

const TOML: &str = "[database.app]\nhost = \"db\"\n";
const INI: &str = "[databases]\n* = host=db\n[pgbouncer]\nlisten_addr = 127.0.0.1\n";

#[test]
fn alerts_are_on_and_nobody_is_told_until_someone_says_whom() {
    for plan in [toml(TOML).unwrap(), ini(INI).unwrap()] {
        assert!(plan.alerts.enabled);
        assert_eq!(plan.alerts.wait_objective, Duration::from_millis(100));
        assert!((plan.alerts.target() - 0.999).abs() < 1e-9);
        assert!(plan.alerts.owners.is_empty() && plan.alerts.notifiers.is_empty());
    }
}

#[test]
fn owners_and_notifiers_by_name() {
    let plan = toml(&format!(
        "{TOML}[alerts]\nsilence = [\"PlimsollPoolTooSmall\"]\nwait_objective = \"250ms\"\nwait_target = \"99%\"\n\
         [owners.shop]\nteam = \"web\"\nchannel = \"#web\"\nescalation = \"+1 555 0100\"\n\
         [owners.\"*\"]\nteam = \"platform\"\n\
         [notify.oncall]\nkind = \"pagerduty\"\nkey_file = \"pd.key\"\nmin_severity = \"error\"\n\
         [notify.chat]\nkind = \"slack\"\nurl_env = \"HOOK\"\nteams = [\"web\"]\nresolved = false\n\
         [notify.pager]\nkind = \"command\"\ncommand = [\"/bin/page\", \"-v\"]\n"
    ))
    .unwrap();
    assert_eq!(plan.alerts.silence, ["PlimsollPoolTooSmall"]);
    assert!((plan.alerts.target() - 0.99).abs() < 1e-9);
    assert_eq!(plan.alerts.owners["shop"].channel.as_deref(), Some("#web"));
    let key = plan.alerts.notifiers["oncall"].key_from();
    assert!(matches!(key, Some(SecretRef::File(f)) if f.ends_with("pd.key")));
    let chat = &plan.alerts.notifiers["chat"];
    assert_eq!(chat.url_from(), Some(SecretRef::Env("HOOK".to_owned())));
    assert_eq!(chat.resolved, Some(false));
    let argv = plan.alerts.notifiers["pager"].command.as_deref();
    assert_eq!(argv.unwrap_or_default(), ["/bin/page", "-v"]);

    let without = toml(TOML).unwrap();
    let keys: Vec<String> = diff(&without, &plan).into_iter().map(|c| c.key).collect();
    for key in [
        "owners.shop.team",
        "notify.oncall.key_file",
        "alerts.silence",
    ] {
        assert!(keys.iter().any(|k| k == key), "{key}: {keys:?}");
    }
}

#[test]
fn mistakes_are_told_with_what_to_write() {
    let table = [
        (
            "[alerts]\nsilence = [\"PlimsollPoolTooSmal\"]\n",
            "did you mean `PlimsollPoolTooSmall`?",
        ),
        ("[notify.a]\nurl = \"https://h/\"\n", "add `kind`"),
        (
            "[notify.a]\nkind = \"webhook\"\n",
            "add one of url, url_file, url_env",
        ),
        (
            "[notify.a]\nkind = \"webhook\"\nurl = \"ftp://h/\"\n",
            "http:// or https://",
        ),
        (
            "[notify.a]\nkind = \"webhook\"\nurl = \"https://u:p@h/\"\n",
            "url_file",
        ),
        (
            "[notify.a]\nkind = \"slack\"\nurl = \"https://h/x\"\n",
            "is a secret",
        ),
        ("[notify.a]\nkind = \"pagerduty\"\n", "routing key"),
        ("[notify.a]\nkind = \"command\"\n", "none is named"),
        ("[notify.a]\nkind = \"smoke\"\n", "pagerduty"),
        (
            "[notify.a]\nkind = \"webhook\"\nurl = \"https://h/\"\nurl_env = \"U\"\n",
            "more than one way",
        ),
        ("[owners.a]\nteem = \"x\"\n", "did you mean `team`?"),
        ("[owners]\na = 3\n", "names of sections"),
    ];
    for (text, wanted) in table {
        let error = rendered(toml(&format!("{TOML}{text}")));
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn an_address_with_a_login_is_not_shown() {
    let text = format!("{TOML}[notify.a]\nkind = \"webhook\"\nurl = \"https://u:hunter2@h/\"\n");
    let error = rendered(toml(&text));
    assert!(!error.contains("hunter2"), "{error}");
    assert!(!masked("p.toml".as_ref(), &text).contains("hunter2"));
}
