//! `plimsoll import`, as it is typed.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path =
            std::env::temp_dir().join(format!("plimsoll-import-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Place(path)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("written");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).expect("written by the command")
    }

    fn import(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_plimsoll"))
            .current_dir(&self.0)
            .arg("import")
            .args(arguments)
            .output()
            .expect("it runs")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const INI: &str = "%include more.ini\n[databases]\nshop = host=db.internal user=app password=s3cr3t\n* = host=db.internal\n\
                   [pgbouncer]\nlisten_addr = 127.0.0.1\nauth_file = userlist.txt\npool_mode = transaction\nverbose = 1\n";

fn place(name: &str) -> Place {
    let place = Place::new(name);
    place.write("pgbouncer.ini", INI);
    place.write("more.ini", "[users]\nanna = pool_size=3\n");
    place.write("userlist.txt", "\"anna\" \"hush\"\n");
    place
}

#[test]
fn it_prints_settings_without_secrets_and_says_what_is_left_to_do() {
    let place = place("print");
    let output = place.import(&["pgbouncer.ini", "--observe", "--line", "70"]);
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    for part in [
        "[listen]",
        "tcp = [\"127.0.0.1:6432\"]  # listen_addr, pgbouncer.ini:6",
        "mode = \"transaction\"",
        "[database.shop]",
        "password_file = \"secrets/shop.password\"",
        "[database.\"*\"]",
        "name = \"anna\"",
        "# more.ini:2",
        "pin = \"observe\"",
        "error_style = \"pgbouncer\"",
        "line = 70",
        "Not taken over",
        "verbose (pgbouncer.ini:9)",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let user_file = format!("user_file = \"{}/userlist.txt\"", place.0.display());
    assert!(text.contains(&user_file), "{text}");
    for secret in ["s3cr3t", "hush"] {
        assert!(!text.contains(secret) && !err(&output).contains(secret));
    }
    assert!(
        err(&output).contains("To do: database shop"),
        "{}",
        err(&output)
    );
}

#[test]
fn it_writes_files_and_overwrites_none() {
    let place = place("write");
    let arguments = ["pgbouncer.ini", "-o", "plimsoll.toml", "--secrets", "keys"];
    let output = place.import(&arguments);
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(out(&output), "");
    assert_eq!(place.read("keys/shop.password"), "s3cr3t");
    let mode = |name: &str| {
        let meta = std::fs::metadata(place.0.join(name)).expect("there");
        meta.permissions().mode() & 0o777
    };
    assert_eq!((mode("keys"), mode("keys/shop.password")), (0o700, 0o600));
    let checked = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .current_dir(&place.0)
        .args(["check", "--fail-on", "error", "plimsoll.toml"])
        .output()
        .expect("it runs");
    assert!(
        checked.status.success(),
        "{}{}",
        out(&checked),
        err(&checked)
    );
    place.write("plimsoll.toml", "mine");
    let again = place.import(&arguments);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        err(&again).contains("plimsoll.toml is there already"),
        "{}",
        err(&again)
    );
    assert_eq!(place.read("plimsoll.toml"), "mine");
    let forced = place.import(&[&arguments[..], &["--force"]].concat());
    assert!(forced.status.success(), "{}", err(&forced));
    assert!(
        place
            .read("plimsoll.toml")
            .starts_with("# Settings of Plimsoll")
    );
}

#[test]
fn all_mistakes_are_named_with_their_lines() {
    let place = Place::new("mistakes");
    place.write(
        "pgbouncer.ini",
        "[databases]\na = host=h pool_size=abc\n[pgbouncer]\nmax_client_con = 5\nlisten_addr = *\nauth_file = none.txt\n",
    );
    let output = place.import(&["pgbouncer.ini", "-o", "p.toml"]);
    assert_eq!(output.status.code(), Some(1));
    for part in [
        "pgbouncer.ini:2",
        "pgbouncer.ini:4",
        "pgbouncer.ini:6",
        "max_client_conn",
    ] {
        assert!(err(&output).contains(part), "{part}\n{}", err(&output));
    }
    assert!(!place.0.join("p.toml").exists());
    let toml = place.import(&["p.toml"]);
    assert_eq!(toml.status.code(), Some(1));
    assert!(err(&toml).contains("already"), "{}", err(&toml));
    let usage = place.import(&[]);
    assert_eq!(usage.status.code(), Some(2));
}
