//! Where passwords are kept, and reading them again.

use std::time::Duration;

use crate::*;

fn text(how: &str) -> String {
    format!("[database.app]\nhost = \"h\"\nuser = \"u\"\n{how}\n")
}

fn read(how: &str, files: Memory) -> Result<Plan, Errors> {
    load("p.toml".as_ref(), &files.file("p.toml", text(how)))
}

fn files() -> Memory {
    Memory::default()
        .file("pw", "from-file\r\n")
        .file("list", "\"u\" \"listed\"\n\"v\" \"listed\"\n")
        .variable("PW", "from-env")
        .command(&["vault", "read", "db"], "from-command\n")
}

#[test]
fn each_place_is_read_and_kept() {
    let command = |ttl: Option<u64>| {
        SecretRef::Command(SecretCommand {
            argv: ["vault", "read", "db"].map(str::to_owned).to_vec(),
            ttl: ttl.map(Duration::from_secs),
        })
    };
    let table = [
        ("password = \"here\"", "here", None),
        (
            "password_file = \"pw\"",
            "from-file",
            Some(SecretRef::File("pw".into())),
        ),
        (
            "password_env = \"PW\"",
            "from-env",
            Some(SecretRef::Env("PW".into())),
        ),
        (
            "password_command = \"vault read db\"",
            "from-command",
            Some(command(None)),
        ),
        (
            "password_command = [\"vault\", \"read\", \"db\"]\npassword_ttl = \"15min\"",
            "from-command",
            Some(command(Some(900))),
        ),
    ];
    for (how, password, from) in table {
        let plan = read(how, files()).unwrap_or_else(|e| panic!("{how}: {}", e.render()));
        assert_eq!(
            plan.databases[0].password,
            Some(Secret(password.to_owned())),
            "{how}"
        );
        assert_eq!(plan.databases[0].password_from, from, "{how}");
    }
}

#[test]
fn mistakes_are_said() {
    let table = [
        (
            "password_command = \"cat pw | tr x y\"",
            "only a shell would read",
        ),
        ("password_command = []", "names no program"),
        ("password_command = 7", "no list of texts"),
        ("password_command = [\"a\", 7]", "no list of texts"),
        (
            "password_command = \"/no/such --token=Hunter2\"",
            "password_command /no/such: ",
        ),
        (
            "password_command = [\"vault\", \"read\", \"db\"]\npassword_ttl = \"1s\"",
            "10s or more",
        ),
        (
            "password_file = \"pw\"\npassword_ttl = \"1h\"",
            "without password_command",
        ),
        (
            "password_file = \"pw\"\npassword_env = \"PW\"",
            "in two ways",
        ),
        ("password_env = \"ABSENT\"", "is not set"),
        (
            "password_file = \"absent\"",
            "cannot read the password file",
        ),
    ];
    for (how, what) in table {
        let errors = read(how, files()).expect_err(how);
        assert!(
            errors.render().contains(what),
            "{how}:\n{}",
            errors.render()
        );
        assert!(!errors.list()[0].message.contains("Hunter2"));
    }
    for (content, what) in [
        ("", "is empty"),
        ("Hunter2\nHunter2\n", "more than one line"),
    ] {
        let errors = read(
            "password_file = \"pw\"",
            Memory::default().file("pw", content),
        );
        let errors = errors.expect_err(what).render();
        assert!(
            errors.contains(what) && !errors.contains("Hunter2"),
            "{errors}"
        );
    }
}

#[test]
fn reading_again_takes_what_is_good_and_keeps_the_rest() {
    let settings = "[auth]\nuser_file = \"list\"\n[database.a]\nhost = \"h\"\npassword_file = \"pw\"\n\
        [database.b]\nhost = \"h\"\npassword_command = \"vault read db\"\n\
        [[user]]\nname = \"u\"\nweight = 3\n[[user]]\nname = \"w\"\npassword = \"here\"\n";
    let plan = load("p.toml".as_ref(), &files().file("p.toml", settings)).expect("good");
    let now = Memory::default()
        .file("pw", "new-file")
        .file("list", "\"v\" \"new\"\n\"w\" \"listed\"\n");
    let all = reread(&plan, &now, &|_| true);
    assert_eq!(all.changed, ["user u", "user v", "database a"]);
    assert_eq!(all.refused.len(), 1);
    assert_eq!(all.refused[0].place, "password_command vault");
    assert_eq!(all.refused[0].fault, SecretFault::Command);
    assert_eq!(all.places.len(), 3);
    let secret = |name: &str| all.plan.users[name].secret.clone().map(|s| s.0);
    assert_eq!(secret("u"), None, "its line is gone, its settings stay");
    assert_eq!(all.plan.users["u"].weight, Some(3));
    assert_eq!(secret("v").as_deref(), Some("new"));
    assert_eq!(
        secret("w").as_deref(),
        Some("here"),
        "the settings go first"
    );
    assert_eq!(all.plan.databases[1].password, plan.databases[1].password);
    let one = reread(&plan, &now, &|from| matches!(from, SecretRef::File(_)));
    assert_eq!((one.changed.len(), one.refused.len()), (1, 0));
    // An emptied or broken user file takes nobody's login away.
    for (content, fault) in [
        ("; nobody\n", SecretFault::Empty),
        ("x\n", SecretFault::Malformed),
    ] {
        let listed = |from: &SecretRef| *from == SecretRef::UserFile;
        let bad = reread(&plan, &Memory::default().file("list", content), &listed);
        assert_eq!((bad.plan == plan, bad.refused[0].fault), (true, fault));
    }
    let gone = reread(&plan, &Memory::default(), &|_| true);
    assert_eq!(gone.plan, plan);
    let faults: Vec<SecretFault> = gone.refused.iter().map(|r| r.fault).collect();
    assert_eq!(
        faults,
        [
            SecretFault::Unreadable,
            SecretFault::Unreadable,
            SecretFault::Command
        ]
    );
}

#[test]
fn an_old_plan_brings_no_old_secret_back() {
    let running = read(
        "password_file = \"pw\"",
        Memory::default().file("pw", "new"),
    );
    let running = running.expect("good");
    let password = |how: &str, files: Memory, keep: fn(&mut Plan, &Plan)| {
        let mut plan = read(how, files).expect("good");
        keep(&mut plan, &running);
        plan.databases[0].password.clone().map(|s| s.0)
    };
    let old = || Memory::default().file("pw", "old").file("other", "other");
    let all: fn(&mut Plan, &Plan) = |p, r| drop(with_secrets_of(p, r));
    for keep in [freshen, all] {
        let same = password("password_file = \"pw\"", old(), keep);
        assert_eq!(same.as_deref(), Some("new"));
        let elsewhere = password("password_file = \"other\"", old(), keep);
        assert_eq!(
            elsewhere.as_deref(),
            Some("other"),
            "another place is a setting"
        );
        let stated = password("password = \"here\"", old(), keep);
        assert_eq!(stated.as_deref(), Some("here"));
    }
}

#[test]
fn files_that_hold_secrets_are_told_from_settings() {
    use std::cell::RefCell;
    use std::io;
    use std::path::{Path, PathBuf};
    struct Told(Memory, RefCell<(Vec<PathBuf>, Vec<PathBuf>)>);
    impl Source for Told {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            self.1.borrow_mut().0.push(path.to_owned());
            self.0.read(path)
        }
        fn read_secret(&self, path: &Path) -> io::Result<Vec<u8>> {
            self.1.borrow_mut().1.push(path.to_owned());
            self.0.read(path)
        }
    }
    let toml = "[auth]\nuser_file = \"list\"\n[tls.client]\nmode = \"require\"\ncert_file = \"c\"\nkey_file = \"k\"\n\
        [tls.server]\nmode = \"verify-ca\"\nca_file = \"ca\"\n[database.a]\nhost = \"h\"\npassword_file = \"pw\"\n";
    let ini = "%include more.ini\n[pgbouncer]\nauth_file = list\n[databases]\na = host=h\n";
    for (name, text, settings, secrets) in [
        ("p.toml", toml, vec!["p.toml"], vec!["pw", "list"]),
        ("p.ini", ini, vec!["p.ini", "more.ini"], vec!["list"]),
    ] {
        let memory = files()
            .file(name, text)
            .file("more.ini", "[pgbouncer]\nlisten_addr = 127.0.0.1\n");
        let told = Told(memory, RefCell::default());
        // The second [pgbouncer] is an error of its own; what was read counts.
        let plan = load(name.as_ref(), &told);
        let (read, secret) = told.1.into_inner();
        assert_eq!(read, settings.iter().map(PathBuf::from).collect::<Vec<_>>());
        if name == "p.toml" {
            assert_eq!(
                secret,
                secrets.iter().map(PathBuf::from).collect::<Vec<_>>()
            );
            let of_plan = secret_files(&plan.expect("good"));
            let want = ["c", "ca", "k", "list", "pw"].map(PathBuf::from);
            assert_eq!(of_plan, want);
        } else {
            assert!(secret.iter().all(|p| p == Path::new("list")));
        }
    }
}
