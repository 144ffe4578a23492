//! Host-based rules and ident maps: rules or errors, and never a secret in an error.

use config::{Caller, ERRORS_MAX, Errors, Hba, Memory, Plan, diff, load, masked_rules};
use std::path::Path;

/// Stands where another file that was named by mistake holds a secret.
const SECRET: &str = "Hunter2Marker";
const INI: &str = "[databases]\n* = host=h\n[pgbouncer]\nlisten_addr = *\nauth_type = hba\n\
    auth_hba_file = hba\nauth_ident_file = ident\nclient_tls_sslmode = require\n\
    client_tls_key_file = k\nclient_tls_cert_file = c\nclient_tls_ca_file = a\n";

/// Rules, maps and a list of names, parted by a byte of 1; once with a secret planted.
pub fn hba(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    let mut parts = text.split('\u{1}');
    let mut next = || parts.next().unwrap_or_default();
    let (rules, ident, names) = (next(), next(), next());
    match choice % 4 {
        0 | 1 => decided(rules, ident, names),
        2 => {
            let planted = [
                format!("{ident}\nlocal all all ldap ldapbindpasswd={SECRET}{rules}"),
                format!("{ident}\nlocal all all gss # {SECRET}{rules}"),
                format!("{ident}\n\"ann\" \"{SECRET}\"{rules}"),
            ];
            for text in planted {
                kept(&read(&text, "", names));
            }
            let comment = format!("{rules}\n# password={SECRET} {ident}");
            assert!(!masked_rules(&comment).contains(SECRET), "a secret is kept");
        }
        _ => kept(&read(
            rules,
            &format!("{ident}\n\"ann\" \"{SECRET}\"{names}"),
            "",
        )),
    }
}

fn read(rules: &str, ident: &str, names: &str) -> Result<Plan, Errors> {
    let files = Memory::default()
        .file("p.ini", INI)
        .file("hba", rules)
        .file("ident", ident)
        .file("names", names);
    load(Path::new("p.ini"), &files)
}

/// What a line is that cannot be read is told without its secrets.
fn kept(result: &Result<Plan, Errors>) {
    let Err(errors) = result else { return };
    assert!(errors.list().len() <= ERRORS_MAX);
    let out = format!("{errors}{errors:?}{}{}", errors.json(), errors.render());
    assert!(!out.contains(SECRET), "a secret is shown:\n{out}");
}

/// A rule at the end changes nothing for whom a rule before it fits.
fn decided(rules: &str, ident: &str, names: &str) {
    let plan = match read(rules, ident, names) {
        Err(errors) => return assert!(errors.list().len() <= ERRORS_MAX),
        Ok(plan) => plan,
    };
    assert!(diff(&plan, &plan).is_empty(), "a plan differs from itself");
    let more = read(&format!("{rules}\nhost all all all reject\n"), ident, names);
    let (Some(hba), Some(more)) = (plan.hba.rules, more.ok().and_then(|plan| plan.hba.rules))
    else {
        panic!("a rule more makes good rules bad");
    };
    assert_eq!(more.len(), hba.len() + 1);
    for address in [None, Some([10, 0, 0, 1].into()), Some([0_u16; 8].into())] {
        for (tls, physical) in [(false, false), (true, false), (true, true)] {
            for (database, user) in [("app", "ann"), ("ann", "ann"), ("replication", "x")] {
                let caller = Caller {
                    address,
                    tls,
                    physical,
                    database,
                    user,
                };
                same(&hba, &more, &caller, rules);
            }
        }
    }
}

fn same(hba: &Hba, more: &Hba, caller: &Caller<'_>, rules: &str) {
    if let Some(rule) = hba.first(caller) {
        assert_eq!(Some(rule), more.first(caller));
        assert!(rule.line() <= rules.split('\n').count());
        rule.system_names(caller.user);
    }
}
