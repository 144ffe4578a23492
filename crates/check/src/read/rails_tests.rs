//! Real-looking database.yml files, and what they say.

use super::*;

fn facts(text: &str) -> Facts {
    let mut facts = Facts::default();
    read(FileId(0), text, &mut facts);
    facts
}

const GENERATED: &str = "\
# PostgreSQL. Versions 9.3 and up are supported.
default: &default
  adapter: postgresql
  encoding: unicode
  pool: <%= ENV.fetch(\"RAILS_MAX_THREADS\") { 5 } %>

development:
  <<: *default
  database: shop_development

production:
  <<: *default
  database: shop_production
  username: shop
  password: <%= ENV[\"SHOP_DATABASE_PASSWORD\"] %>
";

#[test]
fn the_generated_file_says_a_pool_per_environment() {
    let facts = facts(GENERATED);
    let names: Vec<_> = facts.pools.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["development", "production"]);
    let pool = &facts.pools[1];
    assert_eq!(pool.size.value, Limit::Of(5));
    assert_eq!(&GENERATED[pool.size.place().unwrap().range.clone()], "5");
    assert_eq!(facts.variables[0].1, "RAILS_MAX_THREADS");
    assert_eq!(&GENERATED[pool.place.range.clone()], "production");
    assert_eq!(pool.target.database.as_deref(), Some("shop_production"));
    let five = Wait::For(Duration::from_secs(5));
    assert_eq!(pool.timeouts.wait, Some(Value::default(five, DEFAULT)));
    let features: Vec<_> = pool.needs.iter().map(|(f, _)| *f).collect();
    assert_eq!(
        features,
        [Feature::PreparedStatements, Feature::AdvisoryLocks]
    );
    assert!(facts.secrets.is_empty() && facts.odd.is_empty() && facts.unread.is_empty());
    assert!(facts.broken.is_empty());
}

#[test]
fn each_setting_is_read_at_its_place() {
    let text = "production:\n  primary:\n    adapter: postgresql\n    max_connections: 12\n    pool: 3\n    checkout_timeout: 2.5\n    idle_timeout: 0\n    prepared_statements: false\n    advisory_locks: false\n    port: 6432\n    host: pgbouncer\n    password: hunter2\n    variables:\n      statement_timeout: 15000\n      idle_in_transaction_session_timeout: 10s\n  cache:\n    adapter: sqlite3\n    timeout: 5000\n";
    let facts = facts(text);
    let [pool] = &facts.pools[..] else {
        panic!("{:?}", facts.pools)
    };
    assert_eq!(pool.name, "production.primary");
    assert_eq!(pool.size.value, Limit::Of(12));
    let ms = |n| Some(Wait::For(Duration::from_millis(n)));
    let value = |v: &Option<Value<Wait>>| v.as_ref().map(|v| v.value);
    assert_eq!(value(&pool.timeouts.wait), ms(2500));
    assert_eq!(value(&pool.timeouts.idle), Some(Wait::Forever));
    assert_eq!(value(&pool.timeouts.statement), ms(15_000));
    assert_eq!(value(&pool.timeouts.idle_in_transaction), ms(10_000));
    let features: Vec<_> = pool.needs.iter().map(|(f, _)| *f).collect();
    assert_eq!(features, [Feature::SessionSettings]);
    assert_eq!(
        (pool.target.port, pool.target.host.as_deref()),
        (Some(6432), Some("pgbouncer"))
    );
    assert_eq!(&text[facts.secrets[0].place.range.clone()], "hunter2");
    assert!(facts.unread.is_empty(), "timeout is SQLite's");
}

#[test]
fn a_url_stands_above_the_file() {
    let facts = facts(
        "production:\n  url: postgres://app:s3cret@db/shop?pool=20&prepared_statements=false\n  pool: 5\n",
    );
    let pool = &facts.pools[0];
    assert_eq!(pool.size.value, Limit::Of(20));
    assert_eq!(pool.target.host.as_deref(), Some("db"));
    assert_eq!(facts.secrets.len(), 1);
    assert_eq!(pool.needs.len(), 1);
    let other = super::tests::facts("production:\n  adapter: mysql2\n  pool: 5\n");
    assert!(other.pools.is_empty());
}

#[test]
fn mistakes_are_odd_or_unread() {
    let base = "production:\n  adapter: postgresql\n  ";
    for (line, odd, unread) in [
        ("pool: many", "whole number", ""),
        ("checkout_timeout: 5000", "in seconds", ""),
        ("checkout_timeout: 5s", "plain number of seconds", ""),
        (
            "variables: { statement_timeout: 30 }",
            "30 milliseconds",
            "",
        ),
        ("timeout: 5000", "", "SQLite"),
        ("pool_size: 20", "", "no such setting"),
        ("chekout_timeout: 5", "", "no such setting"),
        ("statement_timeout: 5000", "", "not read it here"),
        ("pool: 20", "", ""),
        ("sslmode: require", "", ""),
    ] {
        let facts = facts(&format!("{base}{line}\n"));
        let said = facts.odd.first().map_or("", |o| o.what.as_str());
        assert_eq!(
            said.contains(odd),
            !odd.is_empty() || said.is_empty(),
            "{line}: {said}"
        );
        let said = facts.unread.first().map_or("", |u| u.why.as_str());
        assert_eq!(
            said.contains(unread),
            !unread.is_empty() || said.is_empty(),
            "{line}: {said}"
        );
        assert_eq!(facts.pools.len(), 1);
    }
    let unlimited = facts(&format!("{base}max_connections: -1\n"));
    assert_eq!(unlimited.pools[0].size.value, Limit::Unlimited);
}

#[test]
fn what_is_no_settings_file_is_no_panic() {
    for text in [
        "",
        "- 1",
        "production:",
        "production: 5",
        "a: &a\n  <<: *a",
        "<%= x",
        "production:\n  pool: [1]",
    ] {
        let _ = facts(text);
    }
    assert_eq!(facts("production: [").broken.len(), 1);
}
