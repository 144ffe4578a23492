//! Passwords appear in no error, warning or `Debug` text.

use proptest::prelude::*;

use crate::*;

const MARKER: &str = "Hunter2Marker";

/// All that this crate prints about a reading.
fn printed(result: &Result<Plan, Errors>, earlier: &Plan) -> String {
    match result {
        Ok(plan) => format!(
            "{plan:?}{:?}{:?}",
            diff(earlier, plan),
            check_reload(earlier, plan, "f".as_ref())
        ),
        Err(errors) => format!("{errors}{errors:?}{}", errors.json()),
    }
}

fn earlier() -> Plan {
    from_url("postgres://u:p@h/app").unwrap()
}

fn read(path: &str, text: &str) -> Result<Plan, Errors> {
    let files = Memory::default()
        .file(path, text)
        .file("users", format!("\"ann\" \"{MARKER}\"\n"))
        .file("broken", format!("\"ann\" \"x\"\nbob \"{MARKER}\"\n"))
        .file("pw", format!("{MARKER}\n"))
        .variable("PW", MARKER);
    load(path.as_ref(), &files)
}

#[test]
fn good_files_keep_their_secrets() {
    let texts = [
        (
            "p.ini",
            format!(
                "[databases]\na = host=h user=u password={MARKER}\n[pgbouncer]\nauth_file = users\n"
            ),
        ),
        (
            "p.toml",
            format!(
                "[database.app]\nhost='h'\npassword='{MARKER}'\n[[user]]\nname='ann'\npassword_file='pw'\n[[user]]\nname='bob'\npassword_env='PW'\n"
            ),
        ),
    ];
    for (path, text) in texts {
        let result = read(path, &text);
        assert!(result.is_ok());
        assert!(!printed(&result, &earlier()).contains(MARKER));
    }
}

#[test]
fn mistakes_around_a_secret_do_not_show_it() {
    let m = MARKER;
    let ini_lines = [
        format!("a = host=h pasword={m} port=x"),
        format!("a = host=h password={m} prot=1"),
        format!("a = host=h password='{m}"),
        format!("a = password=a b{m} port=1"),
        format!("a = host=h password = {m} x"),
        format!("a = host=postgres://u:{m}@h/d"),
        format!("a host=h password={m}"),
        format!("a: {m}"),
        format!("%include {m}x"),
        format!("password={m}"),
    ];
    for line in ini_lines.iter().filter(|l| !l.starts_with('%')) {
        for section in ["databases", "users", "pgbouncer", "elsewhere"] {
            let result = read(
                "p.ini",
                &format!("[{section}]\n{line}\n[pgbouncer]\nauth_file = broken\n"),
            );
            assert!(result.is_err());
            assert!(
                !printed(&result, &earlier()).contains(m),
                "{line}: {}",
                printed(&result, &earlier())
            );
        }
    }
    let toml_lines = [
        format!("pasword = '{m}'"),
        format!("password = '{m}"),
        format!("password = '{m}' x"),
        format!("host = 'h' password='{m}'"),
        format!("password = '''\n{m}\n'' x"),
        format!("password = ['{m}']"),
        format!("host = 'postgres://u:{m}@h'"),
        format!("port = 'x' # pw {m}"),
        format!("password = '{m}'\npassword = '{m}'"),
        format!("password {m}"),
        format!("x = {{ password = '{m}', y = 1 }}"),
    ];
    for line in toml_lines.iter().filter(|l| !l.contains('#')) {
        let result = read("p.toml", &format!("[database.app]\n{line}\n"));
        assert!(result.is_err(), "{line}");
        assert!(
            !printed(&result, &earlier()).contains(m),
            "{line}: {}",
            printed(&result, &earlier())
        );
    }
    for url in [
        format!("postgres://u:{m}@h:x/d"),
        format!("postgres://u:{m}#a@h/d"),
        format!("postgres://u:{m}/a@h/d"),
        format!("postgres://u:a?{m}@h/d"),
        format!("postgres://u:a@{m}@h,i/d"),
        format!("postgres://u:{m}%@h/d"),
        format!("postgres://u:p{m}"),
        format!("postgres://u:a@b@{m} @h/d?{m}=1"),
        format!("x://u:{m}@h"),
        format!("postgres://u:{m}@h/d"),
    ] {
        let result = from_url(&url);
        assert!(
            !printed(&result, &earlier()).contains(m),
            "{url}: {}",
            printed(&result, &earlier())
        );
    }
}

proptest! {
    /// Wherever a character is lost, doubled or changed, the secret stays hidden.
    #[test]
    fn one_slip_does_not_show_a_secret(at in 0usize..400, slip in "[ ='\"\\[\\]#x\n.]", kind in 0u8..3) {
        let ini = format!("[databases]\nshop = host=h user=u password={MARKER} pool_size=5\n[pgbouncer]\nauth_file = users\npool_mode = session\n");
        let toml = format!("[pool]\nsize = 5\n[database.shop]\nhost = \"h\"\npassword = \"{MARKER}\"\nport = 5432\n[[user]]\nname = \"ann\"\npassword = \"{MARKER}\"\n");
        for (path, text) in [("p.ini", ini), ("p.toml", toml)] {
            let mut chars: Vec<char> = text.chars().collect();
            let at = at % chars.len();
            match kind {
                0 => drop(chars.remove(at)),
                1 => chars.extend(slip.chars()),
                _ => chars.splice(at..=at, slip.chars()).for_each(drop),
            }
            if kind == 1 {
                let last = chars.pop().unwrap_or('x');
                chars.insert(at, last);
            }
            let text: String = chars.into_iter().collect();
            let result = read(path, &text);
            let out = printed(&result, &earlier());
            prop_assert!(!out.contains(MARKER), "{}\n{}", text, out);
        }
    }
}

#[test]
fn what_does_not_serve_is_read_again_before_it_does() {
    let text = |names: &[&str]| {
        let of = |name: &&str| {
            format!(
                "[database.{name}]\nhost = \"h\"\nuser = \"u\"\npassword_file = \"{name}.pw\"\n"
            )
        };
        names.iter().map(of).collect::<String>()
    };
    let files = |names: &[&str], secret: &str| {
        let all = ["app", "jobs"].into_iter();
        let files = Memory::default().file("p.toml", text(names));
        all.fold(files, |files, name| {
            files.file(format!("{name}.pw"), secret)
        })
    };
    let read = |files: &Memory| load("p.toml".as_ref(), files).expect("good");
    let mut old = read(&files(&["app", "jobs"], "old"));
    let serves = read(&files(&["app"], "served"));
    crate::renew(&mut old, &serves, &files(&[], "new"));
    let secret = |name: &str| {
        old.database(name)
            .and_then(|d| d.password.clone())
            .map(|s| s.0)
    };
    assert_eq!(secret("app").as_deref(), Some("served"));
    assert_eq!(secret("jobs").as_deref(), Some("new"));
}
