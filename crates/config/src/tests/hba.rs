//! Host-based rules: which rule decides, and what no rule may say.

use std::net::IpAddr;

use super::rendered;
use crate::{AuthType, Caller, Class, Errors, Hba, Memory, Method, Plan, diff, load};

const INI: &str = "[databases]\n* = host=h\n[pgbouncer]\nlisten_addr = *\nauth_type = hba\n\
    auth_hba_file = etc/hba\nauth_ident_file = etc/ident\nclient_tls_sslmode = verify-full\n\
    client_tls_key_file = k\nclient_tls_cert_file = c\nclient_tls_ca_file = a\n";

fn files(rules: &str) -> Memory {
    Memory::default()
        .file("p.ini", INI)
        .file("etc/hba", rules)
        .file(
            "etc/ident",
            "# map system user\nstaff root postgres\nstaff www all\nother \"a b\" \"all\"\n",
        )
        .file("etc/names", "n1, n2 # two\n\n\"n 3\"\n@more\n")
        .file("etc/more", "n4\n")
        .file("etc/loop", "@loop\n")
        .file("etc/wrong", "a\n+b\n")
}

fn plan(rules: &str) -> Result<Plan, Errors> {
    load("p.ini".as_ref(), &files(rules))
}

fn hba(rules: &str) -> Hba {
    let plan = plan(rules).unwrap_or_else(|e| panic!("{e}"));
    plan.hba.rules.as_deref().cloned().expect("rules")
}

/// `database user address [tls] [replication]`, and the method that decides.
fn decides(rules: &Hba, who: &str) -> Option<Method> {
    let words: Vec<&str> = who.split('|').map(str::trim).collect();
    let address = (words[2] != "unix").then(|| words[2].parse::<IpAddr>().unwrap());
    let caller = Caller {
        address,
        tls: words[3..].contains(&"tls"),
        physical: words[3..].contains(&"replication"),
        database: words[0],
        user: words[1],
    };
    rules.first(&caller).map(|rule| rule.method())
}

const RULES: &str = "
# a comment
\t \t
local     dbp      all                        peer
local     all      userp                      password
local     all      all                        md5 # the rest
hostssl   all      all     10.0.0.0/8         cert
hostnossl all      all     11.0.0.0/8         md5
host      all      all     127.0.0.0  255.255.255.0  password
host      tmp,own  u1,u2 , u3  16.0.0.0/8     md5
host      \"all\"  \"all\" 19.0.0.0/8         trust
host      \"q1\"\"q2\" \"a , b\" 19.0.0.0/8   reject
host      sameuser all     20.0.0.0/8         trust
host      all      replication 21.0.0.0/8     trust
host      @names   @names  22.0.0.0/8         scram-sha-256
host      mdb      muser   ff20::/12          md5
host      mdb3     muser   all                scram-sha-256
host      replication adm  all                trust
host      db2,replication adm2 ::1/128        trust
";

#[test]
fn the_first_rule_that_fits_decides() {
    let rules = hba(RULES);
    assert_eq!(rules.len(), 16);
    let rows: &[(&str, Option<Method>)] = &[
        ("db | user | unix", Some(Method::Md5)),
        ("dbp | user | unix", Some(Method::Peer)),
        ("dbp | userp | unix", Some(Method::Peer)),
        ("db | userp | unix", Some(Method::Password)),
        ("db | user | 10.1.1.1 | tls", Some(Method::Cert)),
        ("db | user | 10.1.1.1", None),
        ("db | user | 11.1.1.1 | tls", None),
        ("db | user | 11.1.1.1", Some(Method::Md5)),
        ("db | user | 127.0.0.9 | tls", Some(Method::Password)),
        ("db | user | ::ffff:127.0.0.9", Some(Method::Password)),
        ("db | user | 127.0.1.9", None),
        ("own | u3 | 16.0.0.1", Some(Method::Md5)),
        ("own | u4 | 16.0.0.1", None),
        ("all | all | 19.0.0.2", Some(Method::Trust)),
        ("db | user | 19.0.0.2", None),
        ("q1\"q2 | a , b | 19.0.0.2", Some(Method::Reject)),
        ("ann | ann | 20.0.0.1", Some(Method::Trust)),
        ("ann | bob | 20.0.0.1", None),
        ("db | replication | 21.0.0.1", Some(Method::Trust)),
        ("n1 | n 3 | 22.0.0.1", Some(Method::Scram)),
        ("n4 | n2 | 22.0.0.1", Some(Method::Scram)),
        ("n5 | n2 | 22.0.0.1", None),
        ("mdb | muser | ff22:3::1", Some(Method::Md5)),
        ("mdb3 | muser | face::1", Some(Method::Scram)),
        ("mdb3 | muser | 1.2.3.4", Some(Method::Scram)),
        ("db | adm | ::1 | replication", Some(Method::Trust)),
        ("db | adm | ::1", None),
        ("replication | adm | ::1", None),
        ("db | adm2 | ::1 | replication", Some(Method::Trust)),
        ("db2 | adm2 | ::1", Some(Method::Trust)),
        ("db | user | unix | replication", None),
        ("mdb3 | muser | ::1 | replication", None),
    ];
    for (who, method) in rows {
        assert_eq!(decides(&rules, who), *method, "{who}");
    }
}

#[test]
fn maps_name_who_of_the_system_may_be_a_user() {
    let rules =
        hba("local all all peer map=staff\nhostssl all all all cert map=other\nlocal x x peer\n");
    let names = |at: usize, user| {
        let address = (at == 1).then(|| "10.0.0.1".parse().unwrap());
        let caller = Caller {
            address,
            tls: true,
            physical: false,
            database: "d",
            user,
        };
        let rule = rules.first(&caller).expect("a rule");
        assert_eq!(rule.line(), at + 1);
        rule.system_names(user).map(|names| names.join(";"))
    };
    assert_eq!(names(0, "postgres").as_deref(), Some("root;www"));
    assert_eq!(names(0, "ann").as_deref(), Some("www"));
    assert_eq!(names(1, "all").as_deref(), Some("a b"));
    assert_eq!(names(1, "ann").as_deref(), Some(""));
}

#[test]
fn a_wrong_line_is_an_error_with_its_place() {
    let rows = [
        ("hots all all all md5", "did you mean `host`?"),
        ("\"local\" all all trust", "expected local, host"),
        (
            "hostgssenc all all all md5",
            "GSSAPI encryption is not spoken",
        ),
        ("include other", "not included, as in PgBouncer"),
        ("host", "expected a database here"),
        ("host all", "expected a user here"),
        ("host , all all md5", "expected a database here"),
        ("host a, all all", "expected an address"),
        ("host a,, all all md5", "expected a database here"),
        ("host all all", "expected an address here"),
        ("host all all all", "expected a method here"),
        ("host all all md5", "`md5` is no address"),
        ("host all all 10.0.0.0 md5", "`10.0.0.0` has no mask"),
        ("host all all 10.0.0.0/99 md5", "0 to 32 bits"),
        ("host all all samehost md5", "not read, as in PgBouncer"),
        (
            "host all all db.example.com md5",
            "names of hosts are not looked up",
        ),
        ("host all all \"all\" md5", "is no address"),
        ("host samerole all all md5", "members of roles"),
        ("host all +staff all md5", "members of roles"),
        ("host /^a all all md5", "regular expression"),
        (
            "host all all all ldap ldapserver=x",
            "the method `ldap` is not known here",
        ),
        (
            "host all all all pam",
            "passwords (scram-sha-256) or certificates",
        ),
        ("host all all all plain", "one of trust, reject"),
        ("host all all all md55", "did you mean `md5`?"),
        ("host all all all peer", "peer is for unix sockets"),
        ("local all all cert", "cert needs TLS"),
        ("hostnossl all all all cert", "cert needs TLS"),
        ("host all all all md5 map=staff", "belongs to peer and cert"),
        ("local all all peer map=gone", "there is no map `gone`"),
        ("local all all peer map=", "there is no map ``"),
        ("local all all peer clientcert=1", "no option `clientcert`"),
        ("local all all peer map=staff x", "nothing more is expected"),
        ("local all all md5 \\", "expected an option"),
        ("local \"all all md5", "quote is not closed"),
        ("local a\"b\" all md5", "quote in the middle"),
        ("local @gone all md5", "it does not exist"),
        ("local @loop all md5", "includes itself"),
        ("local @wrong all md5", "etc/wrong:2: `+b`"),
    ];
    for (line, said) in rows {
        let told = rendered(plan(&format!("local all all trust\n{line}\n")));
        assert!(told.contains("etc/hba:2:"), "{line}: {told}");
        assert!(told.contains(said), "{line}: {told}");
    }
}

#[test]
fn all_wrong_lines_are_told_at_once_and_the_good_ones_do_not_serve() {
    let errors = plan("local all all trust\nhost all\nlocl all all md5\n").unwrap_err();
    let lines: Vec<usize> = errors.list().iter().map(|e| e.line).collect();
    assert_eq!(lines, [2, 3]);
    let many = "host all\n".repeat(100_000);
    let errors = plan(&many).unwrap_err();
    assert_eq!(
        (errors.list().len(), errors.omitted()),
        (crate::ERRORS_MAX, 1)
    );
    assert!(
        rendered(plan(&"local all all md5\n".repeat(10_001))).contains("more than 10000 rules")
    );
    assert!(rendered(plan(&"#".repeat(2 << 20))).contains("is larger than 1024 KiB"));
}

#[test]
fn a_file_that_was_named_by_mistake_keeps_its_secrets() {
    let secret =
        "\"ann\" \"hunter2\"\nlocal all all ldap x=hunter2 #hunter2\nldapbindpasswd=hunter2\n";
    for files in [
        files(secret),
        files("local all all peer map=m").file("etc/ident", secret),
    ] {
        let errors = load("p.ini".as_ref(), &files).unwrap_err();
        let shown = format!("{errors}{errors:?}{}{:?}", errors.json(), errors.lines());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn wrong_maps_are_errors_with_their_places() {
    let rows = [
        ("m a", "expected three words, found 2"),
        ("m a b c", "expected three words, found 4"),
        ("m /^(.*)$ all", "is not read, as in PgBouncer"),
        ("m a +role", "is not read, as in PgBouncer"),
        ("m a,b c", "expected three words"),
        ("m \"a b", "quote is not closed"),
        ("m \"\" b", "an empty name"),
        ("include x y", "not included"),
    ];
    for (line, said) in rows {
        let files = files("local all all peer").file("etc/ident", format!("m a b\n{line}\n"));
        let told = rendered(load("p.ini".as_ref(), &files));
        assert!(
            told.contains("etc/ident:2:") && told.contains(said),
            "{line}: {told}"
        );
    }
}

#[test]
fn mistakes_of_both_files_are_told_and_no_more() {
    let rules = "local all all peer map=m\nlocal all all\n";
    let files = files(rules).file("etc/ident", "m a\n");
    let errors = load("p.ini".as_ref(), &files).unwrap_err();
    let places: Vec<_> = errors
        .list()
        .iter()
        .map(|e| (e.file.clone(), e.line))
        .collect();
    assert_eq!(places, [("etc/ident".into(), 1), ("etc/hba".into(), 2)]);
}

#[test]
fn the_settings_around_the_rules() {
    let read = |text: &str| {
        load(
            "p.ini".as_ref(),
            &files("local all all trust\n").file("p.ini", text),
        )
    };
    let told = rendered(read(&INI.replace("auth_hba_file", ";")));
    assert!(
        told.contains("auth_type hba needs a file of rules"),
        "{told}"
    );
    let told = rendered(read(&INI.replace("etc/hba", "gone")));
    assert!(
        told.contains("host-based rules gone: it does not exist"),
        "{told}"
    );
    let other = read(&INI.replace("auth_type = hba", "auth_type = md5")).unwrap();
    assert!(other.hba.rules.is_none());
    assert!(super::warned(
        &other,
        "auth_hba_file is read with auth_type hba only"
    ));
    assert!(super::warned(
        &plan("# none\n").unwrap(),
        "has no rule: nobody can log in"
    ));
    let plain = INI
        .replace("client_tls_ca_file = a\n", "")
        .replace("verify-full", "require");
    let certs = files("hostssl all all all cert\n").file("p.ini", plain);
    assert!(super::warned(
        &load("p.ini".as_ref(), &certs).expect("PgBouncer serves it, too"),
        "need client certificates"
    ));
    assert!(super::warned(
        &plan("host all all 10.0.0.1/8 md5\n").expect("PgBouncer serves it, too"),
        "etc/hba:1: the address has bits beyond its mask"
    ));
}

#[test]
fn a_new_file_names_the_address_that_it_means() {
    let toml = "[listen]\naddresses = [\"127.0.0.1:6432\"]\n[[database]]\nname = \"shop\"\nhost = \"db\"\n\
                [auth]\ntype = \"hba\"\nhba_file = \"hba\"\n";
    let files = Memory::default()
        .file("p.toml", toml)
        .file("hba", "host all all 10.0.0.1/8 scram-sha-256\n");
    let told = rendered(load("p.toml".as_ref(), &files));
    assert!(told.contains("has bits beyond its mask"), "{told}");
}

#[test]
fn plimsoll_toml_names_them_beside_itself() {
    let text = "[database.app]\nhost = \"h\"\n[auth]\ntype = \"hba\"\nhba_file = \"hba\"\n";
    let plan = load(
        "etc/p.toml".as_ref(),
        &files("local all all trust\n").file("etc/p.toml", text),
    );
    let plan = plan.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        (plan.auth_type, plan.hba.rules.map(|h| h.len())),
        (AuthType::Hba, Some(1))
    );
}

#[test]
fn changed_rules_are_a_change_and_moved_lines_are_none() {
    let first = plan("local all all trust\nlocal a a md5\n").unwrap();
    let moved = plan("# new\n\nlocal all all trust\nlocal a a md5\n").unwrap();
    let other = plan("local all all reject\nlocal a a md5\n").unwrap();
    let words = |plan: &Plan| plan.hba.rules.as_ref().map(|h| h.words());
    assert_eq!(words(&first), words(&moved));
    assert!(diff(&first, &moved).is_empty());
    let changes = diff(&first, &other);
    assert_eq!(changes.len(), 1);
    assert_eq!(
        (changes[0].key.as_str(), changes[0].class),
        ("auth.hba_rules", Class::PerCheckout)
    );
    assert!(changes[0].new.starts_with("2 rules ("), "{changes:?}");
}
