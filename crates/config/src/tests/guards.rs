//! Guards, applications, and who waits how long.

use std::time::Duration;

use super::{ini, rendered, shown, toml, warned};
use crate::*;
use events::{Guard, GuardMode};

const TOML: &str = "[database.app]\nhost = \"db\"\n";
const INI: &str = "[databases]\n* = host=db\n[pgbouncer]\nlisten_addr = 127.0.0.1\n";

const fn seconds(n: u64) -> Option<Option<Duration>> {
    Some(Some(Duration::from_secs(n)))
}

#[test]
fn a_new_file_enforces_and_an_imported_one_watches() {
    for (plan, mode) in [
        (toml(TOML).unwrap(), GuardMode::Enforce),
        (ini(INI).unwrap(), GuardMode::Observe),
    ] {
        for guard in Guard::ALL {
            assert_eq!(plan.guards.mode(guard), mode, "{guard:?}");
        }
        assert!(!warned(&plan, "guards."));
    }
}

#[test]
fn each_guard_is_set_by_its_word() {
    let plan = toml(&format!(
        "{TOML}[guards]\nreclaim = \"observe\"\nshed = \"off\"\ndrift = \"enforce\"\n"
    ))
    .unwrap();
    let modes: Vec<&str> = Guard::ALL
        .iter()
        .map(|g| plan.guards.mode(*g).label())
        .collect();
    assert_eq!(modes[..3], ["observe", "off", "enforce"]);
    assert_eq!(modes[4..], ["enforce", "enforce"]);
    assert_eq!(shown(&plan, "guard_shed"), "off");
    let error = rendered(toml(&format!("{TOML}[guards]\nshed = \"on\"\n")));
    assert!(error.contains("off, observe"), "{error}");
}

#[test]
fn the_command_line_speaks_for_files_without_the_words() {
    let overrides = Overrides {
        guards: Some(GuardMode::Enforce),
        ..Overrides::default()
    };
    let files = Memory::default().file("p.ini", INI).file(
        "p.toml",
        format!("{TOML}[guards]\nshed = \"observe\"\n").as_str(),
    );
    let plan = load_with("p.ini".as_ref(), &files, &overrides).unwrap();
    assert_eq!(plan.guards.mode(Guard::Shed), GuardMode::Enforce);
    let plan = load_with("p.toml".as_ref(), &files, &overrides).unwrap();
    assert_eq!(
        plan.guards.mode(Guard::Shed),
        GuardMode::Observe,
        "the file's word holds"
    );
}

#[test]
fn deadlines_and_weights_have_a_place_for_each_application_and_user() {
    let plan = toml(&format!(
        "{TOML}wait_timeout = \"20s\"\n\
         [application.reports]\nwait_timeout = \"5min\"\nweight = 2\n\
         [application.\"web-*\"]\nwait_timeout = \"off\"\n\
         [[user]]\nname = \"anna\"\nweight = 3\nwait_timeout = \"7s\"\n"
    ))
    .unwrap();
    assert_eq!(plan.databases[0].wait_timeout, seconds(20));
    let reports = &plan.applications["reports"];
    assert_eq!(
        (reports.wait_timeout, reports.weight),
        (seconds(300), Some(2))
    );
    assert_eq!(plan.applications["web-*"].wait_timeout, Some(None));
    let anna = &plan.users["anna"];
    assert_eq!((anna.wait_timeout, anna.weight), (seconds(7), Some(3)));
}

#[test]
fn pgbouncers_own_keys_for_that_are_honoured() {
    let plan = ini(&format!(
        "{INI}[users]\nanna = query_wait_timeout=7\nbert = query_wait_timeout=0\n"
    ));
    let plan = plan.unwrap();
    assert_eq!(plan.users["anna"].wait_timeout, seconds(7));
    assert_eq!(plan.users["bert"].wait_timeout, Some(None), "0 is off");
    let plan = ini(
        "[databases]\na = host=db query_wait_timeout=9\n[pgbouncer]\nlisten_addr = 127.0.0.1\n",
    );
    assert_eq!(plan.unwrap().databases[0].wait_timeout, seconds(9));
}

#[test]
fn mistakes_in_them_are_named() {
    for (text, said) in [
        ("[application.a]\nweight = 0\n", "from 1 to 100"),
        ("[application.a]\nweigth = 2\n", "did you mean `weight`"),
        ("[application.a]\nwait_timeout = \"0s\"\n", "write \"off\""),
        ("[application.a]\npassword = \"x\"\n", "unknown key"),
        ("[application.a]\nname = \"x\"\n", "unknown key"),
        ("[application]\nweight = 2\n", "only names of applications"),
        ("application = 3\n", ""),
        ("[aplication.a]\nweight = 2\n", "did you mean `application`"),
        ("[[application]]\nweight = 2\n", "one for each name"),
    ] {
        let error = rendered(toml(&format!("{text}{TOML}")));
        assert_ne!(error, "no error", "{text}");
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn a_change_of_them_holds_from_the_next_checkout_on() {
    let old = toml(TOML).unwrap();
    let new = toml(&format!(
        "{TOML}[application.a]\nweight = 2\n[guards]\nshed = \"observe\"\n"
    ));
    let changes = diff(&old, &new.unwrap());
    let keys: Vec<&str> = changes.iter().map(|c| c.key.as_str()).collect();
    assert_eq!(keys, ["guards.shed", "application.a.weight"]);
    assert!(changes.iter().all(|c| c.class == Class::PerCheckout));
}
