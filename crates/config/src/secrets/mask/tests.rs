//! Masked texts: golden pairs, and that they still read the same.

use super::*;
use crate::{Memory, Plan, load, with_secrets_of};
use proptest::prelude::*;

const TOML: &str = r#"# the shop; password = "kept-in-a-comment"
[server]
line = 80 # not password: here
[database.shop]
host = "db"
dbname = "db#1"  # a name
user = "app"
password = "pa\"ss # word"
connect_query = "select dblink_connect('host=h password=inner user=x')"
[database]
inline = { host = "h", password = '''x
y''', port = 6000 }
[[user]]
name = "ann"
password = 'two  words'
[[user]]
name = "bob"
password_env = "PW"
"#;

const INI: &str = "\u{feff}; shop = host=h password=old
[databases]
shop = host=h user=u password='a ''b'' c' port=1\r
\"my shop\" = password=x host=h connect_query='select 1'
plain = host=h
; postgres://u:commented@h/d
[pgbouncer]
auth_query = SELECT usename, passwd FROM s WHERE password = $1
auth_file = users ; not a comment
%include other.ini
[users]
ann = pool_size=5
";

fn files(name: &str, text: &str) -> Memory {
    Memory::default()
        .file(name, text)
        .file("users ; not a comment", "\"ann\" \"from-file\"\n")
        .file("other.ini", "")
        .variable("PW", "from-env")
}

fn plan(name: &str, text: &str) -> Plan {
    load(name.as_ref(), &files(name, text)).unwrap_or_else(|e| panic!("{}", e.render()))
}

/// A version of the history must read again: else nobody can go back to it.
#[test]
fn owners_and_notifiers_are_kept_and_read_the_same() {
    let text = "[owners.shop]\nteam = \"web\"\nchannel = \"#web\"\nescalation = \"+1 555\"\n\
        [notify.a]\nkind = \"webhook\"\nurl = \"https://h/x\"\nmin_severity = \"error\"\n\
        [notify.b]\nkind = \"command\"\ncommand = [\"/bin/page\", \"-v\"]\nteams = [\"web\"]\nresolved = false\n\
        [notify.c]\nkind = \"pagerduty\"\nkey_file = \"k\"\n\
        [notify.d]\nkind = \"slack\"\nurl_env = \"PW\"\n";
    let text = format!("{TOML}{text}");
    let out = masked("p.toml".as_ref(), &text);
    assert!(out.ends_with(&text[TOML.len()..]), "{out}");
    assert_eq!(plan("p.toml", &text).alerts, plan("p.toml", &out).alerts);
}

#[test]
fn the_address_of_a_chat_is_hidden() {
    for text in [
        "[notify.a]\nkind = \"slack\"\nurl = \"https://h/hook\"\n",
        "[notify]\na = { url = 'https://h/hook', kind = 'slack' }\n",
        "[notify.a]\nkind = \"slack\"\nurl = \"https://h/hook\nkind =\n",
    ] {
        let out = masked("p.toml".as_ref(), text);
        assert!(!out.contains("hook") && out.contains("slack"), "{out}");
    }
}

#[test]
fn toml_keeps_all_but_the_secrets() {
    let out = masked("p.toml".as_ref(), TOML);
    let want = TOML
        .replace("\"kept-in-a-comment\"", MASKED)
        .replace("not password: here", "not password: (secret)")
        .replace("pa\\\"ss # word", MASKED)
        .replace("password=inner", "password=(secret)")
        .replace("x\ny", MASKED)
        .replace("two  words", MASKED);
    assert_eq!(out, want);
}

#[test]
fn ini_keeps_all_but_the_secrets() {
    let out = masked("p.ini".as_ref(), INI);
    let want = INI
        .replace("password=old", "password=(secret)")
        .replace("'a ''b'' c'", MASKED)
        .replace("password=x", "password=(secret)")
        .replace("u:commented@", "u:(secret)@");
    assert_eq!(out, want);
}

#[test]
fn the_plan_is_the_same_but_for_its_secrets() {
    for (name, text) in [("p.toml", TOML), ("p.ini", INI)] {
        let real = plan(name, text);
        let mut stored = plan(name, &masked(name.as_ref(), text));
        assert_ne!(stored, real, "{name}");
        assert_eq!(with_secrets_of(&mut stored, &real), [""; 0], "{name}");
        assert_eq!(stored, real, "{name}");
        // Once masked, nothing is left to mask.
        let once = masked(name.as_ref(), text);
        assert_eq!(masked(name.as_ref(), &once), once);
    }
}

#[test]
fn a_secret_that_nobody_knows_is_named() {
    let text = "[database.a]\nhost='h'\npassword='x'\n[database.b]\nhost='h'\n[[user]]\nname='u'\npassword='y'\n";
    let mut stored = plan("p.toml", &masked("p.toml".as_ref(), text));
    let other = plan("p.toml", "[database.b]\nhost='h'\npassword='z'\n");
    assert_eq!(
        with_secrets_of(&mut stored, &other),
        ["database a", "user u"]
    );
    assert_eq!(
        stored.databases[1].password, None,
        "what has none gets none"
    );
}

#[test]
fn urls_lose_their_password_only() {
    let table = [
        ("postgres://u:p@h/d", "postgres://u:(secret)@h/d"),
        (
            "x postgres://u:p%40@h:1/d?a=b y",
            "x postgres://u:(secret)@h:1/d?a=b y",
        ),
        ("postgres://u:a/b@h/d", "postgres://u:(secret)@h/d"),
        ("postgres://u@h:1/d", "postgres://u@h:1/d"),
        ("http://h:9090/x", "http://h:9090/x"),
        (
            "postgres://h/d?user=u&password=p&x=1",
            "postgres://h/d?user=u&password=(secret)&x=1",
        ),
        ("\"postgres://u:p@h/d\"", "\"postgres://u:(secret)@h/d\""),
    ];
    for (text, want) in table {
        assert_eq!(replaced(text, url_passwords(text)), want);
    }
}

const MARKER: &str = "Hunter2Marker";

proptest! {
    /// Wherever a character is lost, added or changed: no secret, no panic.
    #[test]
    fn no_slip_shows_a_secret(at in 0usize..400, slip in "[ ='\"\\[\\]#x\n.;%é]", kind in 0u8..3) {
        let ini = format!("[databases]\nshop = host=h user=u password={MARKER} pool_size=5\n\
            ; b = password='{MARKER}'\n[pgbouncer]\nauth_file = users\npool_mode = session\n");
        let toml = format!("[pool]\nsize = 5\n[database.shop]\nhost = \"h\"\npassword = \"{MARKER}\"\n\
            port = 5432\n[[user]]\nname = \"ann\"\npassword = '''\n{MARKER}'''\n# password = '{MARKER}'\n");
        for (path, text) in [("p.ini", ini), ("p.toml", toml)] {
            let mut chars: Vec<char> = text.chars().collect();
            let at = at % chars.len();
            // A slip inside `password` of a comment makes it another word; that is no key of ours.
            let upto: String = chars[..at].iter().collect();
            let line = upto.rsplit('\n').next().unwrap_or("");
            let in_comment = line.starts_with(['#', ';']) || chars[at] == '#' || chars[at] == ';';
            let before_comment = text[upto.len()..].starts_with("\n;") || text[upto.len()..].starts_with("\n#");
            if in_comment || before_comment { continue; }
            match kind {
                0 => drop(chars.remove(at)),
                1 => chars.splice(at..at, slip.chars()).for_each(drop),
                _ => chars.splice(at..=at, slip.chars()).for_each(drop),
            }
            let text: String = chars.into_iter().collect();
            // A key that became a comment with another name is a comment.
            let unknown = |l: &str| l.trim_start().starts_with(['#', ';']) && !l.contains("password");
            if text.lines().any(|l| l.contains(MARKER) && unknown(l)) { continue; }
            let out = masked(path.as_ref(), &text);
            prop_assert!(!out.contains(MARKER), "{}\n---\n{}", text, out);
        }
    }

    #[test]
    fn any_text_is_masked_without_panic(text in "(?s).{0,300}") {
        masked("p.ini".as_ref(), &text);
        masked("p.toml".as_ref(), &text);
        masked("p".as_ref(), &text);
    }
}
