//! Whatever comes in, it ends, and does not panic.

use super::{go, javascript, python, ruby};

fn all(text: &str) {
    let ruby = |text: &str| ruby("config/puma.rb", text);
    for read in [python, javascript, go, ruby] {
        for line in read(text) {
            assert!(!line.contains("no such place"), "{line}");
        }
    }
}

const SETTINGS: &str = r#"
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "PASSWORD": f"{x}ü", "OPTIONS": {"pool": {"max_size": 10}}}}
engine = create_engine("postgresql+asyncpg://app:söcret@db/shop?x=1", pool_size=5, **extra)
const { Pool } = require('pg'); const pool = new Pool({ max: 5, password: `a${b}c` });
module.exports = { production: { client: 'pg', connection: {}, pool: { max: 5 } } };
DB = Sequel.connect("postgres://a:söcret@h/d", max_connections: ENV.fetch("A") { 5 }.to_i)
threads 1, 5.minutes
establish_connection({ :adapter => "postgresql", **x, pool: (1) })
func f() { db, err := sql.Open("pgx", "host=db password='a b'"); db.SetConnMaxLifetime(30) }
"#;

#[test]
fn settings_cut_off_anywhere_are_no_panic() {
    for at in (0..SETTINGS.len()).filter(|at| SETTINGS.is_char_boundary(*at)) {
        all(&SETTINGS[..at]);
        all(&SETTINGS[at..]);
    }
}

#[test]
fn deep_and_wide_texts_end() {
    let deep = 4_000;
    for text in [
        "[".repeat(deep),
        "{'a':".repeat(deep),
        "f(".repeat(deep),
        "x=".repeat(deep),
        "a.".repeat(deep),
        "-".repeat(deep),
        "if a:\n ".repeat(1_000),
        "\u{feff}\u{0}\u{1b}[31m".repeat(1_000),
        "1+".repeat(deep),
        "'".repeat(deep),
        "`${".repeat(deep),
        format!(
            "DATABASES = {}1{}",
            "{'default':".repeat(500),
            "}".repeat(500)
        ),
        format!(
            "engine = create_engine(url, {})",
            "pool_size=5,".repeat(deep)
        ),
        "create_engine(u)\n".repeat(2_000),
        "((((a,".repeat(2_000),
        "f(x=".repeat(2_000),
    ] {
        all(&text);
    }
}

#[test]
fn names_that_mean_each_other_end() {
    all("a = b\nb = a\nengine = create_engine(a, pool_size=b, **a)\nDATABASES = a\n");
    all("a = {**a}\nengine = create_engine(u, **a)\n");
    all("const a = {...a}; const { Pool } = require('pg'); new Pool(a);");
    let chain: String = (0..200)
        .map(|n| format!("x{n} = x{} + x{}\n", n + 1, n + 1))
        .collect();
    all(&format!(
        "{chain}x200 = 1\nengine = create_engine(u, pool_size=x0)\n"
    ));
}

#[test]
fn numbers_beyond_all_sense_are_no_limits() {
    for number in [
        "1e308",
        "-1e308",
        "9".repeat(400).as_str(),
        "0.5",
        "2**999999",
        "1/0",
    ] {
        all(&format!(
            "engine = create_engine(u, pool_size={number}, pool_timeout={number})"
        ));
        all(&format!(
            "DATABASES = {{'default': {{'ENGINE': 'postgresql', 'CONN_MAX_AGE': {number}, 'PORT': {number}}}}}"
        ));
        all(&format!(
            "func f() {{ db := sql.Open(\"pgx\", d); db.SetMaxOpenConns({number}); db.SetConnMaxLifetime({number}) }}"
        ));
    }
}

#[test]
fn large_code_is_left_alone_or_refused_in_words() {
    let text = "x = 1\n".repeat(50_000);
    assert_eq!(python(&text), [""; 0]);
    let text = format!("DATABASES = {{}}\n{text}");
    assert_eq!(
        python(&text),
        ["broken: code of more than 256 KiB, which is no settings file"]
    );
}
