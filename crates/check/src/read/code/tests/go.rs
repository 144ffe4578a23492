//! Go's setters and configs.

use super::{go, table};

const NEVER: &str = "idle=~∞ life=~∞";

fn function(body: &str) -> String {
    format!(
        "package db\n\nimport (\n\t\"database/sql\"\n\t_ \"github.com/lib/pq\"\n)\n\nfunc open() (*sql.DB, error) {{\n{body}\n}}\n"
    )
}

#[test]
fn setters_go_to_their_database() {
    for (body, expected) in [
        (
            "db, err := sql.Open(\"postgres\", dsn)\nreturn db, err",
            format!("db size=~∞ min=~2 {NEVER}"),
        ),
        (
            "db, err := sql.Open(\"postgres\", dsn)\ndb.SetMaxOpenConns(25)\ndb.SetMaxIdleConns(5)\ndb.SetConnMaxLifetime(5 * time.Minute)\ndb.SetConnMaxIdleTime(time.Minute)",
            "db size=25 min=5 idle=60<time.Minute> life=300<5 * time.Minute>".to_owned(),
        ),
        (
            "db, _ := sql.Open(\"postgres\", dsn)\ndb.SetMaxOpenConns(0)",
            format!("db size=∞<0> min=~2 {NEVER}"),
        ),
        (
            "db := sqlx.MustConnect(\"postgres\", dsn)\ndb.SetMaxOpenConns(envInt(\"DB_MAX\", 10))",
            format!("db size=10 min=~2 {NEVER}"),
        ),
        (
            "const most = 1\ndb, _ := sql.Open(\"postgres\", dsn)\ndb.SetMaxOpenConns(most)",
            format!("db size=1 min=~1 {NEVER}"),
        ),
        (
            "s.db.SetMaxOpenConns(12)",
            format!("db size=12 min=~2 {NEVER}"),
        ),
    ] {
        assert_eq!(
            go(&function(body)),
            [format!("Go database/sql {expected}")],
            "{body}"
        );
    }
    for body in [
        "db, _ := sql.Open(\"mysql\", dsn)\ndb.SetMaxOpenConns(0)",
        "db, _ := sql.Open(\"postgres\", dsn)\ndb.SetMaxOpenConns(cfg.Max)",
    ] {
        assert_eq!(go(&function(body)), [""; 0], "{body}");
    }
}

#[test]
fn a_number_without_a_unit_is_nanoseconds() {
    let body = "db, _ := sql.Open(\"postgres\", dsn)\ndb.SetMaxOpenConns(25)\ndb.SetConnMaxLifetime(30)\ndb.SetConnMaxIdleTime(time.Duration(n) * time.Second)";
    assert_eq!(
        go(&function(body)),
        [
            "Go database/sql db size=25 min=~2 life=3e-8<30>",
            "odd <30>: `SetConnMaxLifetime` is in nanoseconds: 30 means 30 ns",
        ]
    );
    let body = "db, _ := sql.Open(\"postgres\", dsn)\ndb.SetConnMaxLifetime(time.Duration(300))";
    assert_eq!(go(&function(body)).len(), 2);
    let body = "db, _ := sql.Open(\"postgres\", dsn)\ndb.SetConnMaxLifetime(0)";
    assert_eq!(go(&function(body)).len(), 1);
}

#[test]
fn the_data_source_is_read() {
    table(
        go,
        &[
            (
                "package db\nfunc f() {\n\tdb, _ := sql.Open(\"pgx\", \"postgres://app:hunter2@db:6432/shop?connect_timeout=5&statement_timeout=30\")\n\tdb.SetMaxOpenConns(5)\n}\n",
                &[
                    "Go database/sql db size=5 min=~2 connect=5 statement=0.03<30> idle=~∞ life=~∞ needs=SessionSettings+PreparedStatements to=db:6432/shop",
                    "odd <30>: `statement_timeout` is in milliseconds: 30 means 30 ms",
                    "secret <hunter2>",
                ],
            ),
            (
                "package db\nfunc f() {\n\tdsn := fmt.Sprintf(\"host=%s port=5432 password=%s dbname=shop\", h, p)\n\tdb, _ := sql.Open(\"postgres\", dsn)\n\tdb.SetMaxOpenConns(5)\n}\n",
                &["Go database/sql db size=5 min=~2 idle=~∞ life=~∞ to=?:5432/shop"],
            ),
            (
                "package db\nfunc f() {\n\tdb, err := gorm.Open(postgres.Open(\"host=db password=hunter2 dbname=shop\"), &gorm.Config{})\n\tsqlDB, _ := db.DB()\n\tsqlDB.SetMaxOpenConns(50)\n}\n",
                &[
                    "Go database/sql db size=50 min=~2 idle=~∞ life=~∞ needs=PreparedStatements to=db:?/shop",
                    "secret <hunter2>",
                ],
            ),
        ],
    );
}

#[test]
fn pgxpool_has_its_config() {
    table(
        go,
        &[
            (
                "package db\nfunc f(ctx context.Context) {\n\tpool, err := pgxpool.New(ctx, os.Getenv(\"DATABASE_URL\"))\n}\n",
                &["pgxpool pool size=~4 min=~0 idle=~1800 life=~3600 needs=PreparedStatements"],
            ),
            (
                "package db\nfunc f() {\n\tcfg, err := pgxpool.ParseConfig(url)\n\tcfg.MaxConns = 20\n\tcfg.MinConns = int32(2)\n\tcfg.MaxConnLifetime = 30\n\tcfg.MaxConnIdleTime = 5 * time.Minute\n\tcfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec\n\tpool, err := pgxpool.NewWithConfig(ctx, cfg)\n}\n",
                &[
                    "pgxpool cfg size=20 min=2 idle=300<5 * time.Minute> life=3e-8<30>",
                    "odd <30>: `MaxConnLifetime` is in nanoseconds: 30 means 30 ns",
                ],
            ),
            (
                "package db\nvar pool, _ = pgxpool.New(ctx, \"postgres://db/shop?pool_max_conns=30&pool_max_conn_lifetime=30&default_query_exec_mode=simple_protocol\")\n",
                &[
                    "pgxpool pool size=30 min=~0 idle=~1800 to=db:?/shop",
                    "odd <30>: `pool_max_conn_lifetime` needs a unit; pgxpool refuses the DSN",
                ],
            ),
        ],
    );
}

#[test]
fn statements_and_listeners_are_seen() {
    let text = function(
        "db, _ := sql.Open(\"postgres\", dsn)\ndb.SetMaxOpenConns(5)\ndb.ExecContext(ctx, \"SELECT pg_advisory_lock($1)\", 7)\nl := pq.NewListener(dsn, a, b, nil)",
    );
    assert_eq!(
        go(&text),
        [format!(
            "Go database/sql db size=5 min=~2 {NEVER} needs=AdvisoryLocks+Listen"
        )]
    );
}
