//! Whole plimsoll.toml files, with the plan or the error they lead to.

use std::time::Duration;

use super::{rendered, shown, toml, warned};
use crate::*;

const MINIMAL: &str = "[database.app]\nhost = \"db\"\n";

fn with(text: &str) -> Result<Plan, Errors> {
    toml(&format!("{MINIMAL}{text}\n"))
}

#[test]
fn defaults_of_a_new_file() {
    let plan = with("").unwrap();
    assert_eq!(
        plan.listen,
        [ListenAddress {
            host: "127.0.0.1".into(),
            port: 6432
        }]
    );
    assert_eq!(plan.unix_socket_dir, None);
    assert_eq!(plan.query_wait_timeout, Some(Duration::from_secs(30)));
    assert_eq!(
        (plan.error_style, plan.pin),
        (ErrorStyle::Plimsoll, Pin::On)
    );
    assert_eq!(
        (plan.max_client_conn, plan.default_pool_size, plan.line),
        (10_000, PoolSize::Fixed(20), 90)
    );
    assert_eq!((plan.transaction_timeout, plan.query_timeout), (None, None));
    assert_eq!(
        (plan.pool_mode, plan.auth_type),
        (PoolMode::Transaction, AuthType::Scram)
    );
    assert!(!plan.start_up.strict && plan.queue_max == 5000);
    assert!(warned(&plan, "line unknown: 90"));
    assert!(!warned(
        &with("[server]\nline = 90").unwrap(),
        "line unknown"
    ));
}

#[test]
fn values_reach_the_plan_and_show_config() {
    let plan = with(
        "port = 5433\npool_size = 3\nserver_lifetime = \"off\"\n\
        [listen]\ntcp = [\"[::1]:7000\", \"*:7001\"]\nunix = \"run\"\n\
        [metrics]\nlisten = \"127.0.0.1:9930\"\n\
        [auth]\nadmin_users = [\"a b\", \"c\"]\n\
        [timeouts]\nquery_wait = \"1.5s\"\ntransaction = \"10min\"\n\
        [clients]\nmax_packet_size = \"1MiB\"\n\
        [tls.server]\nmode = \"require\"\ndirect = true\n\
        [session]\npin = \"off\"",
    )
    .unwrap();
    assert_eq!((plan.listen.len(), plan.unix_socket_port), (2, 7000));
    assert_eq!(plan.metrics_listen, Some("127.0.0.1:9930".parse().unwrap()));
    assert_eq!(plan.admin_users, ["a b", "c"]);
    assert_eq!(plan.query_wait_timeout, Some(Duration::from_millis(1500)));
    assert_eq!((plan.max_packet_size, plan.pin), (1 << 20, Pin::Off));
    assert_eq!(
        (plan.server_tls.mode, plan.server_tls.direct),
        (SslMode::Require, true)
    );
    assert_eq!(plan.databases[0].server_lifetime, Some(None));
    assert_eq!(
        (plan.databases[0].port, plan.databases[0].pool_size),
        (5433, Some(PoolSize::Fixed(3)))
    );
    assert_eq!(shown(&plan, "query_wait_timeout"), "1.5");
    assert_eq!(shown(&plan, "transaction_timeout"), "600");
    assert_eq!(shown(&plan, "listen_port"), "7000");
}

#[test]
fn all_errors_of_a_file_are_reported_at_once() {
    let text = "[pool]\n\
        szie = 20\n\
        reserve = \"5\"\n\
        max_per_user = 0\n\
        [timeouts]\n\
        query_wait = 30\n\
        client_login = \"off\"\n\
        query = \"30 sec\"\n\
        [databse.app]\n\
        [user]\n\
        name = \"ann\"\n";
    let expected = "\
error: unknown key `pool.szie`
  --> p.toml:2:1
  |
2 | szie = …
  | ^^^^
  = help: did you mean `size`?

error: expected number, found text
  --> p.toml:3:11
  |
3 | reserve = \"5\"
  |           ^^^
  = help: write 5 without quotes

error: there is no \"unlimited\" here
  --> p.toml:4:16
  |
4 | max_per_user = 0
  |                ^
  = why: an unlimited pool lets one surge drown the database server
  = help: write a number above 0, or leave the key out: the next wider limit then holds

error: `30` has no unit
  --> p.toml:6:14
  |
6 | query_wait = 30
  |              ^^
  = why: a bare number does not say whether seconds or milliseconds are meant
  = help: write \"30s\" for seconds

error: this wait cannot be off
  --> p.toml:7:16
  |
7 | client_login = \"off\"
  |                ^^^^^
  = why: without it one silent peer holds its place for ever
  = help: write a duration such as \"15s\"

error: expected a duration, found `30 sec`
  --> p.toml:8:9
  |
8 | query = \"30 sec\"
  |         ^^^^^^^^
  = help: write a number and one of ms, s, min, h, d: for example \"30s\"

error: unknown key `databse`
  --> p.toml:9:2
  |
9 | [databse.app]
  |  ^^^^^^^
  = help: did you mean `database`?

error: users are a list
  --> p.toml:10:2
   |
10 | [user]
   |  ^^^^
   = help: write `[[user]]`, with two brackets, and its keys below
";
    assert_eq!(rendered(toml(text)), expected);
}

#[test]
fn mistakes_are_errors() {
    for text in [
        "pool_size = 0",
        "port = 0",
        "hots = \"x\"",
        "host = \"again\"",
        "[pool]\nsize = \"automatic\"",
        "[pool]\nsize = \"20\"",
        "[pool]\nauto_floor = 0",
        "[server]\ncores = 0",
        "[pool]\nsize = 1\nsize = 2",
        "[pool]\nsize = 1.5",
        "[pool]\nsize = -1",
        "[pool]\nmode = \"sesion\"",
        "[log]\nstats = 1",
        "[listen]\ntcp = \"x:1\"",
        "[listen]\ntcp = []",
        "[listen]\ntcp = [1]",
        "[metrics]\nlisten = \"localhost\"",
        "[database.x]",
        "[database]\nhost = \"h\"",
        "[tls.client]\nmode = \"require\"",
        "[tls]\nclient = 1",
        "pool_size",
        "password_command = \"pass\"",
        "password = \"a\"\npassword_env = \"B\"",
        "password_env = \"UNSET\"",
        "password_file = \"gone\"",
        "[[user]]\npassword = \"x\"",
        "[[user]]\nname = \"a\"\n[[user]]\nname = \"a\"",
        "[auth]\nuser_file = \"gone\"",
        "[pool]\ndefault_pool_size = 3",
        "[clients]\nmax_packet_size = \"1 furlong\"",
        "[database.pgbouncer]\nhost = \"h\"",
        "[auth]\ntype = \"any\"",
        "[tls.server]\ndirect = true",
    ] {
        assert!(with(text).is_err(), "{text}");
    }
}

#[test]
fn pgbouncers_names_lead_to_ours() {
    let text = rendered(with("[pool]\ndefault_pool_size = 3"));
    assert!(
        text.contains("PgBouncer's default_pool_size is `pool.size` here"),
        "{text}"
    );
    let text = rendered(with("max_db_connections = 3"));
    assert!(text.contains("did you mean `max_connections`?"), "{text}");
}

#[test]
fn an_empty_file_serves_nothing() {
    assert!(rendered(toml("")).contains("no database is named"));
    assert!(rendered(super::ini("")).contains("no database is named"));
}

#[test]
fn differences_have_classes_and_no_secrets() {
    let old =
        with("password = \"hunter2\"\n[[user]]\nname = \"a\"\npassword = \"hunter2\"").unwrap();
    let new = with("password = \"hunter3\"\nport = 1\n[pool]\nsize = 30\n[timeouts]\nquery = \"5s\"\n[listen]\ntcp = [\"*:1\"]\nunix_port = 6432\n[[user]]\nname = \"b\"\npassword = \"x\"").unwrap();
    let changes = diff(&old, &new);
    let text: Vec<String> = changes
        .iter()
        .map(|c| format!("{} ({}): {} -> {}", c.key, c.class.label(), c.old, c.new))
        .collect();
    assert_eq!(
        text,
        [
            "pool.size (capacity): 20 -> 30",
            "listen.tcp (restart only): 127.0.0.1:6432 -> *:1",
            "timeouts.query (per checkout): off -> 5s",
            "database.app.port (identity): 5432 -> 1",
            "database.app.password (identity): (a secret) -> (another secret)",
            "user.a (identity): present -> ",
            "user.a.password (identity): (a secret) -> ",
            "user.b (identity):  -> present",
            "user.b.password (identity):  -> (a secret)",
        ]
    );
    assert!(diff(&old, &old).is_empty());
    let errors = check_reload(&old, &new, "p.toml".as_ref()).unwrap_err();
    assert_eq!(errors.list().len(), 1);
    assert!(
        errors
            .render()
            .contains("listen.tcp is restart only: 127.0.0.1:6432 cannot become *:1 while running")
    );
    assert_eq!(check_reload(&old, &old, "p.toml".as_ref()), Ok(Vec::new()));
}

/// Each key of the table can be written, and is read back as written.
#[test]
fn every_key_of_the_table_is_read() {
    for setting in settings().iter().filter(|s| !s.toml.is_empty()) {
        let (section, key) = setting.toml.rsplit_once('.').unwrap();
        let default = setting.default_toml;
        let value = match setting.kind {
            Kind::Flag | Kind::Count { .. } | Kind::PoolSize => default.to_owned(),
            Kind::Limit => "3".to_owned(),
            Kind::List | Kind::Listen if default.is_empty() => "[]".to_owned(),
            Kind::List | Kind::Listen => format!("[\"{default}\"]"),
            _ => format!("\"{default}\""),
        };
        let plan = with(&format!("[{section}]\n{key} = {value}"));
        assert!(plan.is_ok(), "{}: {}", setting.toml, rendered(plan));
        let words = setting.words(&plan.unwrap()).unwrap();
        let expected = if setting.kind == Kind::Limit {
            "3"
        } else {
            default
        };
        let size = setting.kind == Kind::Size && words == "65536";
        assert!(
            size || words == expected,
            "{}: {words} instead of {expected}",
            setting.toml
        );
    }
}

#[test]
fn the_reference_names_every_setting_once() {
    let rows = settings_reference();
    let mut keys: Vec<&str> = rows
        .iter()
        .map(|r| r.key.as_str())
        .filter(|k| !k.is_empty())
        .collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), all);
    assert!(settings_markdown().contains("| `pool.size` | `20` | number above 0 or \"auto\" |"));
}

#[test]
fn the_example_is_read() {
    let files = Memory::default()
        .file(
            "etc/plimsoll.toml",
            include_str!("../../../../docs/examples/plimsoll.toml"),
        )
        .file("etc/ops.secret", "o\n")
        .variable("SHOP_PASSWORD", "s");
    let plan = load("etc/plimsoll.toml".as_ref(), &files).unwrap();
    assert_eq!(plan.warnings, Vec::<String>::new());
    assert_eq!(plan.users["ops"].secret, Some(Secret("o".into())));
    assert_eq!(plan.databases[0].name, "shop");
}

/// `cargo run -p plimsoll-config --example settings > docs/settings.md` writes it anew.
#[test]
fn the_page_of_settings_is_up_to_date() {
    let page = include_str!("../../../../docs/settings.md");
    assert!(
        page == settings_markdown(),
        "docs/settings.md is out of date"
    );
}

#[test]
fn a_size_may_be_automatic_within_bounds() {
    let plan = toml(
        "[database.app]\nhost = \"h\"\npool_size = \"auto\"\n[pool]\nsize = \"auto\"\n\
         auto_floor = 3\nauto_ceiling = 30\n[server]\ncores = 8\nline = 50\n",
    )
    .unwrap();
    assert_eq!(plan.default_pool_size, PoolSize::Auto);
    assert_eq!(plan.databases[0].pool_size, Some(PoolSize::Auto));
    assert_eq!((plan.auto.floor, plan.auto.ceiling), (3, Some(30)));
    assert_eq!(plan.auto.server_cores, Some(8));
}

#[test]
fn cancel_peers_are_addresses_of_others() {
    let with = |list: &str| {
        toml(&format!(
            "[fleet]\ncancel_peers = {list}\n[database.a]\nhost = \"h\"\n"
        ))
    };
    let plan = with("[\"10.0.0.1:6432\", \"b:7000\"]").expect("good");
    let read: Vec<(Host, u16)> = plan
        .fleet
        .cancel
        .peers
        .iter()
        .map(|p| (p.host.clone(), p.port))
        .collect();
    let tcp = |name: &str| Host::Tcp(name.to_owned());
    assert_eq!(read, [(tcp("10.0.0.1"), 6432), (tcp("b"), 7000)]);
    for list in ["[\"*:6432\"]", "[\"a:0\"]", "[\"a\"]", "\"a:1\""] {
        assert!(with(list).is_err(), "{list}");
    }
}
