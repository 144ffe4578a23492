//! `plimsoll check` with files that nobody should give it: each ends in time,
//! with a verdict or a clear word, and within bounded memory.
#![allow(clippy::disallowed_methods)] // Processes, files and time: a test of IO.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest that one of them may take on a busy machine.
const TIME_MAX: Duration = Duration::from_secs(20);
/// Address space that it may have, in KiB: the program itself and 700 MiB.
const MEMORY_KIB: u64 = 900 << 10;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path =
            std::env::temp_dir().join(format!("plimsoll-hostile-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Place(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Exit code and all that was said, with bounded memory and time.
fn check(place: &Path, arguments: &str) -> (i32, String) {
    let line = format!(
        "ulimit -v {MEMORY_KIB}; exec timeout 60 '{}' check {arguments}",
        env!("CARGO_BIN_EXE_plimsoll")
    );
    let begun = Instant::now();
    let output = Command::new("sh")
        .args(["-c", &line])
        .current_dir(place)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert!(
        begun.elapsed() < TIME_MAX,
        "{arguments}: {:?}",
        begun.elapsed()
    );
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!text.contains("panicked"), "{arguments}: {text}");
    (output.status.code().unwrap_or(-1), text)
}

/// A name for each reader.
const NAMES: [&str; 24] = [
    "plimsoll.toml",
    "pgbouncer.ini",
    "postgresql.conf",
    "pgcat.toml",
    "pgdog.toml",
    "odyssey.conf",
    "settings.py",
    "gunicorn.conf.py",
    "db.js",
    "db.ts",
    "db.go",
    "puma.rb",
    "database.yml",
    "application.yml",
    "application.properties",
    "docker-compose.yml",
    "deployment.yaml",
    "kustomization.yaml",
    "values.yaml",
    "schema.prisma",
    ".env",
    "package-lock.json",
    "pom.xml",
    "requirements.txt",
];

#[test]
fn binary_files_are_named_and_the_others_are_checked() {
    let place = Place::new("binary");
    let noise: Vec<u8> = (0..200_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for name in NAMES {
        place.file(name, &noise);
        let (code, text) = check(&place.0, name);
        assert_eq!(code, 1, "{name}: {text}");
        assert!(
            text.contains("error[unreadable]: binary, not text"),
            "{name}: {text}"
        );
    }
    // Not a zero in it, and no UTF-8 either.
    place.file(
        "latin.ini",
        b"[pgbouncer]\n; gr\xfc\xdfe\nmax_client_conn = 5\n",
    );
    let (code, text) = check(&place.0, "latin.ini");
    assert_eq!((code, text.contains("not UTF-8 text")), (1, true), "{text}");
}

#[test]
fn a_hundred_megabytes_are_refused_and_not_read() {
    let place = Place::new("huge");
    for (name, head) in [
        ("pgbouncer.ini", "[pgbouncer]\n"),
        ("deployment.yaml", "apiVersion: v1\nkind: Pod\n"),
        ("settings.py", "DATABASES = {}\n"),
        ("package-lock.json", "{\n"),
    ] {
        let mut content = head.as_bytes().to_vec();
        content.resize(100 << 20, b'a');
        place.file(name, content);
        let (code, text) = check(&place.0, name);
        assert_eq!(code, 1, "{name}: {text}");
        assert!(text.contains("larger than"), "{name}: {text}");
        fs::remove_file(place.0.join(name)).expect("gone");
    }
    // It has no end at all.
    let (code, text) = check(&place.0, "/dev/zero");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("not a regular file"), "{text}");
}

#[test]
fn deep_and_wide_texts_end() {
    let place = Place::new("deep");
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    let texts = [
        deep("[", "]", 100_000),
        deep("{", "}", 100_000),
        deep("(", ")", 100_000),
        deep("{\"a\":", "}", 50_000),
        deep("- ", "", 100_000),
        (0..5_000)
            .map(|n| format!("{}a:\n", " ".repeat(n)))
            .collect(),
        deep("f(", ")", 50_000),
        deep("a.", "", 100_000),
        deep("if a:\n ", "", 20_000),
        deep("do\n", "end\n", 50_000),
        deep("<a>", "</a>", 50_000),
        deep("storage \"a\" {\n", "}\n", 20_000),
        "a = 1\n".repeat(300_000),
        "\"".repeat(1 << 20),
        "${".repeat(200_000),
        "{{".repeat(200_000),
        "&a [*a]\n".repeat(50_000),
        // Each alias doubles.
        (0..40_000)
            .map(|n| format!("PASSWORD_{n}=Ahw4iethei{n}\n"))
            .collect(),
        "# plimsoll: allow(limit-missing) x\n".repeat(60_000),
        format!(
            "[databases]\n{}",
            (0..60_000)
                .map(|n| format!("d{n} = host=h user=u{n} password=Ahw4iethei\n"))
                .collect::<String>()
        ),
        (0..60_000)
            .map(|n| {
                format!(
                    "  s{n}: {{environment: {{DATABASE_URL: \"postgres://a:b{n}c@h/d?pool=5\"}}}}\n"
                )
            })
            .collect(),
        (0..60)
            .map(|n| {
                format!(
                    "k{n}: &a{n} [*a{m}, *a{m}]\n",
                    m = (n as u32).saturating_sub(1)
                )
            })
            .collect(),
    ];
    let heads = [
        ("plimsoll.toml", "x = "),
        ("pgbouncer.ini", "[pgbouncer]\n"),
        ("odyssey.conf", "storage \"x\" { }\ndatabase default {\n"),
        ("settings.py", "DATABASES = "),
        ("db.ts", "new Pool("),
        ("db.go", "package a\nvar x = sql.Open("),
        ("puma.rb", "threads 1, "),
        ("compose.yml", "services:\n  a: "),
        ("deployment.yaml", "apiVersion: v1\nkind: Pod\nspec: "),
        ("kustomization.yaml", "patches: "),
        ("values.yaml", "replicaCount: 2\nenv: "),
        ("application.yml", "spring: "),
        (".env", "A="),
        ("package-lock.json", "{\"node_modules/pg-pool\": "),
        ("pom.xml", "<artifactId>HikariCP</artifactId>"),
    ];
    for (name, head) in heads {
        for text in &texts {
            place.file(name, format!("{head}{text}"));
            let (code, said) = check(&place.0, name);
            assert!(
                (0..=1).contains(&code),
                "{name} with {:.20}…: {code} {said:.500}",
                text
            );
        }
    }
}

#[test]
fn circles_end() {
    let place = Place::new("circles");
    place.file(
        "pgbouncer.ini",
        "[pgbouncer]\nmax_client_conn = 5\n%include pgbouncer.ini\n%include b.ini\n",
    );
    place.file("b.ini", "%include pgbouncer.ini\n[databases]\nx = host=y\n");
    place.file(
        "compose.yml",
        "services:\n  a:\n    extends: {file: other.yml, service: b}\n  c:\n    extends: c\n",
    );
    place.file(
        "other.yml",
        "services:\n  b:\n    extends: {file: compose.yml, service: a}\n",
    );
    place.file("kustomization.yaml", "resources: [.]\npatches: [{path: kustomization.yaml}]\nconfigMapGenerator: [{name: a, envs: [kustomization.yaml]}]\n");
    place.file(
        "settings.py",
        "A = B\nB = A\nDATABASES = {'default': A, **B}\n",
    );
    let (code, text) = check(&place.0, ".");
    assert!((0..=1).contains(&code), "{code} {text}");
    // A directory that holds itself.
    std::os::unix::fs::symlink(".", place.0.join("self")).expect("a link");
    std::os::unix::fs::symlink("loop", place.0.join("loop")).expect("a link");
    let (code, text) = check(&place.0, ".");
    assert!((0..=1).contains(&code), "{code} {text}");
    let (code, text) = check(&place.0, "loop");
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("loop"), "{text}");
}

#[test]
fn what_is_no_file_is_said_and_never_waited_for() {
    let place = Place::new("kinds");
    place.file("pgbouncer.ini", "[databases]\nx = host=y user=z\n[pgbouncer]\nmax_db_connections = 5\ndefault_pool_size = 5\n");
    place.file("pool.conf.d/.keep", "");
    let made = Command::new("mkfifo")
        .arg(place.0.join("fifo.ini"))
        .status();
    assert!(made.expect("mkfifo").success());
    let (code, text) = check(&place.0, "fifo.ini");
    assert_eq!(
        (code, text.contains("not a regular file")),
        (1, true),
        "{text}"
    );
    // Beside good ones in a directory it is passed over.
    let (code, text) = check(&place.0, ".");
    assert_eq!(code, 0, "{text}");
    let (code, text) = check(&place.0, "pool.conf.d");
    assert_eq!(
        (code, text.contains("no settings file")),
        (2, true),
        "{text}"
    );
    let (code, text) = check(&place.0, "pgbouncer.ini gone.ini");
    assert_eq!((code, text.contains("gone.ini")), (2, true), "{text}");
    let (code, text) = check(&place.0, "/dev/null");
    assert_eq!(
        (code, text.contains("not a regular file")),
        (1, true),
        "{text}"
    );
    // A link that leads nowhere, named and in a directory.
    std::os::unix::fs::symlink("nowhere", place.0.join("a.ini")).expect("a link");
    let (code, text) = check(&place.0, "a.ini");
    assert_eq!((code, text.contains("a.ini")), (2, true), "{text}");
    let (code, text) = check(&place.0, ".");
    assert_eq!(code, 0, "{text}");
}

/// A file that is written and removed all the time is whole, gone, or refused.
#[test]
fn files_that_vanish_while_they_are_read_are_no_panic() {
    let place = Place::new("vanish");
    place.file("fixed.ini", "[databases]\nx = host=y user=z\n[pgbouncer]\nmax_db_connections = 5\ndefault_pool_size = 5\n");
    let script = "while :; do for n in 1 2 3 4 5; do echo '[pgbouncer]' > c$n.ini; rm -f c$n.ini; mkdir c$n.ini 2>/dev/null; rmdir c$n.ini 2>/dev/null; done; done";
    let mut churn = Command::new("sh")
        .args(["-c", script])
        .current_dir(&place.0)
        .stderr(Stdio::null())
        .spawn()
        .expect("sh");
    for _ in 0..40 {
        let (code, text) = check(&place.0, ".");
        assert!((0..=2).contains(&code), "{code} {text}");
        let (code, _) = check(&place.0, "fixed.ini c1.ini c2.ini");
        assert!((0..=2).contains(&code));
    }
    let _ = churn.kill();
    let _ = churn.wait();
}
