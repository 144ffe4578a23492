//! No secret is kept, and what holds none is kept whole.

use super::*;

const MARK: &str = "hunter2";

fn kept(path: &str, text: &str) -> Kept {
    keep(Path::new(path), text.as_bytes())
}

#[test]
fn what_holds_no_secret_is_kept_whole() {
    for (path, text) in [
        (
            "postgresql.conf",
            "max_connections = 100 # (change requires restart)\n#password_encryption = scram-sha-256\nssl_key_file = 'server.key'\n#ssl_passphrase_command = ''\n#ssl_passphrase_command_supports_reload = off\n#krb_server_keyfile = 'FILE:/etc/krb5.keytab'\n#authentication_timeout = 1min\n#primary_conninfo = ''\n#scram_iterations = 4096\narchive_command = 'test ! -f /mnt/a/%f && cp %p /mnt/a/%f'\n",
        ),
        (
            "app.conf",
            "workers = 4\nlog = /var/log/app/2024/production-web-17.log\n",
        ),
        (
            "app.ini",
            "[db]\npool = 10\npassword_file = /run/secrets/db\n",
        ),
        (
            "settings.py",
            "import os\nDATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'PASSWORD': os.environ['DB_PASSWORD']}}\nSECRET_KEY = os.environ[\"SECRET_KEY\"]\nAUTH_PASSWORD_VALIDATORS = []\n",
        ),
        (
            "deployment.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - name: web\n        image: web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n        env:\n        - name: DB_PASSWORD\n          valueFrom:\n            secretKeyRef:\n              name: db-secret\n              key: password\n",
        ),
        (
            "compose.yml",
            "services:\n  web:\n    environment:\n      DB_PASSWORD: ${DB_PASSWORD}\n",
        ),
        (
            "plimsoll.toml",
            "[database.app]\nhost = \"h\"\nuser = \"u\"\npassword_file = \"pw\"\n",
        ),
        ("empty.conf", ""),
        (".env", "DB_PASSWORD=\nPOOL=5\n"),
        ("app.go", "package a\nvar x = os.Getenv(\"LEGACY_DSN\")\n"),
        ("app.py", "def f():\n    pass\n"),
        (
            "p.toml",
            "[listen]\npassword_env = \"SHOP_PASSWORD\"\npassword_file = \"booking.secret\"\n",
        ),
        (
            "nginx.conf",
            "location / { proxy_pass http://app; }\nhost = db.privatelink.example.net\n",
        ),
    ] {
        assert_eq!(kept(path, text), Kept::Whole(text.to_owned()), "{path}");
    }
}

#[test]
fn no_secret_is_kept_and_the_rest_of_a_known_kind_is() {
    for (path, text, rest) in [
        (
            "pgbouncer.ini",
            "[databases]\na = host=h password=hunter2\n[pgbouncer]\npool_mode = session\n",
            "pool_mode = session",
        ),
        (
            "plimsoll.toml",
            "[database.app]\nhost = \"h\"\nuser = \"u\"\npassword = \"hunter2\"\n",
            "host = \"h\"",
        ),
        (
            "postgresql.conf",
            "max_connections = 10\nprimary_conninfo = 'host=a password=hunter2 x=y'\n#primary_conninfo = 'host=b password=hunter2'\n",
            "max_connections = 10",
        ),
        (
            "postgresql.conf",
            "max_connections = 10\narchive_command = 'AWS_SECRET_ACCESS_KEY=hunter2 wal-g push %p'\n",
            "max_connections = 10",
        ),
        (
            "postgresql.conf",
            "max_connections = 10\nmy.conn = 'postgres://u:hunter2@h/d'\n",
            "my.conn = 'postgres://u:(secret)@h/d'",
        ),
        (
            ".env",
            "DATABASE_URL=postgres://app:hunter2@db/shop\nPOOL=5\nSTRIPE_TOKEN=hunter2\n",
            "POOL=5",
        ),
        (
            "settings.py",
            "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'PASSWORD': 'hunter2'}}\nDEBUG = False\nSECRET_KEY = 'hunter2'\n",
            "DEBUG = False",
        ),
        (
            "database.yml",
            "production:\n  adapter: postgresql\n  password: hunter2\n  pool: 5\n",
            "pool: 5",
        ),
        (
            "database.yml",
            "production:\n  adapter: postgresql\n  password: |\n    hunter2\n  pool: 5\n",
            "adapter: postgresql",
        ),
        (
            "application.properties",
            "spring.datasource.password=${DB:hunter2}\nserver.port=80\n",
            "server.port=80",
        ),
        (
            "compose.yml",
            "services:\n  web:\n    environment:\n      - API_TOKEN=hunter2\n      - A=${B:-1}\n",
            "A=${B:-1}",
        ),
        (
            "deployment.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nspec:\n  replicas: 3\n  template:\n    spec:\n      containers:\n      - name: web\n        env:\n        - name: STRIPE_TOKEN\n          value: hunter2\n",
            "replicas: 3",
        ),
        (
            "db.js",
            "const pool = new Pool({ max: 5, password: process.env.PW || 'hunter2' })\n",
            "max: 5",
        ),
    ] {
        match kept(path, text) {
            Kept::Masked(kept) => {
                assert!(!kept.contains(MARK), "{path}: {kept}");
                assert!(kept.contains(rest), "{path}: {kept}");
                assert_eq!(kept.lines().count(), text.lines().count(), "{path}: {kept}");
            }
            Kept::Nothing(_) if path.ends_with(".js") => {}
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[test]
fn in_doubt_only_the_hash_is_kept() {
    for (path, text, why) in [
        ("userlist.txt", "\"a\" \"hunter2\"\n", Lacks::Secret),
        ("users", "\"a\" \"hunter2\"\n\"b\" \"x\"\n", Lacks::Secret),
        ("pgpass", "h:5432:d:u:hunter2\n", Lacks::Secret),
        ("db_password", "hunter2\n", Lacks::Secret),
        (
            "tls.txt",
            "-----BEGIN PRIVATE KEY-----\nx y\n",
            Lacks::Secret,
        ),
        (
            "s.yaml",
            "apiVersion: v1\nkind: Secret\ndata:\n  x: aHVudGVyMg==\n",
            Lacks::Secret,
        ),
        (
            "app.conf",
            "workers = 4\npassword = hunter2\n",
            Lacks::Unlocated(2),
        ),
        (
            "app.conf",
            "a = 1\nb = AKIA5Q7ZxkT93mLpWq2Rs8\n",
            Lacks::Unlocated(2),
        ),
        (
            "settings.py",
            "DEBUG = False\nSECRET_KEY = (\n    'hunter2'\n)\n",
            Lacks::Unlocated(2),
        ),
        (
            "app.xml",
            "<a>\n<property name=\"password\" value=\"hunter2\"/>\n</a>",
            Lacks::Unlocated(2),
        ),
    ] {
        assert_eq!(kept(path, text), Kept::Nothing(why), "{path}");
    }
    assert_eq!(keep(Path::new("x"), b"a\0b"), Kept::Nothing(Lacks::Binary));
    assert_eq!(keep(Path::new("x"), b"a\xff"), Kept::Nothing(Lacks::Binary));
    let large = vec![b'a'; TEXT_BYTES_MAX + 1];
    assert_eq!(keep(Path::new("x"), &large), Kept::Nothing(Lacks::TooLarge));
}

#[test]
fn odd_text_is_no_panic() {
    for text in [
        "://",
        "a://:@",
        "://u:p@",
        "password",
        "password:",
        "ü://ü:ü@ü",
        "password=ü",
        "$",
        "secret: $",
        "(secret)",
        "(secret)(secret)x",
        "${",
        "env(",
        "password=${",
        "-",
        "\r\n",
        "key: |\n\u{a0}x",
    ] {
        for name in [
            "a.conf",
            "postgresql.conf",
            "database.yml",
            "pgbouncer.ini",
            "a.py",
            "a.js",
            "a.env",
        ] {
            let _ = kept(name, text);
        }
    }
}

/// The labelled files of `check`: what its readers know to be a secret is in no
/// kept text, in no form, and most files that hold none are kept whole.
#[test]
fn over_all_labelled_files() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../check/corpus");
    let mut open = vec![corpus];
    let (mut whole, mut masked, mut nothing) = (0, 0, Vec::new());
    while let Some(at) = open.pop() {
        // What the labels say of secrets is prose.
        if ["expect.toml", "README.md"]
            .iter()
            .any(|name| at.ends_with(name))
        {
            continue;
        }
        if at.is_dir() {
            let entries = std::fs::read_dir(&at).expect("read").flatten();
            open.extend(entries.map(|e| e.path()));
            continue;
        }
        let bytes = std::fs::read(&at).expect("read");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut files = Files::default();
        files.add(&at, bytes.clone());
        let report = check::check(&files, &check::Options::default());
        let secrets = report.facts().secrets.iter();
        let secrets: Vec<&str> = secrets
            .filter_map(|s| text.get(s.place.range.clone()))
            .filter(|word| word.len() >= SAME_WORD_MIN)
            .collect();
        match keep(&at, &bytes) {
            Kept::Whole(_) => {
                assert_eq!(secrets, [""; 0], "{}", at.display());
                whole += 1;
            }
            Kept::Masked(kept) => {
                for secret in secrets {
                    assert!(!kept.contains(secret), "{}", at.display());
                }
                masked += 1;
            }
            Kept::Nothing(why) => nothing.push(format!("{}: {why}", at.display())),
        }
    }
    assert!(whole > 50 * nothing.len(), "{whole} {masked} {nothing:#?}");
}

#[test]
fn no_sign_of_a_secret_stays_behind() {
    for (line, kept) in [
        ("API_TOKEN=([{x", "API_TOKEN=(secret)"),
        ("API_TOKEN=!!??", "API_TOKEN=(secret)"),
        ("API_TOKEN: '\"x'", "API_TOKEN: '(secret)"),
        ("x = 1", "x = 1"),
    ] {
        assert_eq!(masked_line(line, Dialect::Pairs), kept, "{line}");
    }
}
