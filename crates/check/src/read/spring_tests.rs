//! Real-looking Spring settings, and what they say.

use super::*;
use crate::facts::{Feature, Limit, Wait};
use std::time::Duration;

fn yaml(text: &str) -> Facts {
    let mut facts = Facts::default();
    read_yaml(FileId(0), Path::new("application.yml"), text, &mut facts);
    facts
}

fn properties(name: &str, text: &str) -> Facts {
    let mut facts = Facts::default();
    read_properties(FileId(0), Path::new(name), text, &mut facts);
    facts
}

const ORDERS: &str = "\
spring:
  application:
    name: orders
  datasource:
    url: jdbc:postgresql://db:5432/orders?prepareThreshold=0&socketTimeout=30
    username: orders
    password: s3cret
    hikari:
      maximum-pool-size: 30
      minimumIdle: 5
      connection-timeout: 5000
      leak-detection-threshold: 60000
server:
  tomcat:
    threads:
      max: 100
";

#[test]
fn yaml_in_both_spellings_describes_a_pool() {
    let facts = yaml(ORDERS);
    let [pool] = &facts.pools[..] else {
        panic!("{:?}", facts.pools)
    };
    assert_eq!(pool.size.value, Limit::Of(30));
    assert_eq!(&ORDERS[pool.size.place().unwrap().range.clone()], "30");
    assert_eq!(pool.min.as_ref().unwrap().value, 5);
    let wait = pool.timeouts.wait.as_ref().unwrap();
    assert_eq!(wait.value, Wait::For(Duration::from_secs(5)));
    let statement = pool.timeouts.statement.as_ref().unwrap();
    assert_eq!(statement.value, Wait::For(Duration::from_secs(30)));
    assert!(pool.needs.is_empty(), "prepareThreshold=0");
    assert_eq!(pool.target.host.as_deref(), Some("db"));
    assert_eq!(&ORDERS[facts.secrets[0].place.range.clone()], "s3cret");
    let [workload] = &facts.workloads[..] else {
        panic!("{:?}", facts.workloads)
    };
    assert_eq!(workload.name, "orders");
    assert_eq!(workload.threads.as_ref().unwrap().value, 100);
    assert!(facts.odd.is_empty() && facts.unread.is_empty());
}

#[test]
fn defaults_count() {
    let facts = properties(
        "application-prod.properties",
        "spring.datasource.url=jdbc:postgresql://${DB_HOST:db}/shop\n",
    );
    let pool = &facts.pools[0];
    assert_eq!(pool.name, "prod.dataSource");
    assert_eq!(
        pool.size,
        Value::default(Limit::Of(10), "HikariCP's default")
    );
    assert_eq!(pool.min.as_ref().unwrap().value, 10);
    assert_eq!(pool.needs[0].0, Feature::PreparedStatements);
    assert_eq!(pool.timeouts.leak.as_ref().unwrap().value, Wait::Forever);
    assert!(facts.workloads.is_empty());
}

#[test]
fn times_that_cannot_be_meant_are_odd() {
    let base = "spring.datasource.hikari.";
    for (line, odd) in [
        ("connection-timeout=30", "30 milliseconds"),
        ("connectionTimeout = 30s", "plain number of milliseconds"),
        ("max-lifetime=1800", "30 minutes instead"),
        ("idle-timeout=600", "10 minutes instead"),
        ("leak-detection-threshold=60", "off below 2000"),
        ("validation-timeout=5", "250"),
        ("maximum-pool-size=ten", "whole number"),
        ("data-source-properties.socketTimeout=30000", "in seconds"),
    ] {
        let text = format!("{base}{line}\n");
        let facts = properties("application.properties", &text);
        assert_eq!(facts.odd.len(), 1, "{line}");
        assert!(facts.odd[0].what.contains(odd), "{}", facts.odd[0].what);
        let shown = &text[facts.odd[0].place.range.clone()];
        assert_eq!(shown, line.split('=').nth(1).unwrap().trim(), "{line}");
    }
    for fine in [
        "connection-timeout=250",
        "max-lifetime=0",
        "idle-timeout=10000",
    ] {
        let facts = properties("application.properties", &format!("{base}{fine}"));
        assert!(facts.odd.is_empty(), "{fine}");
    }
}

#[test]
fn settings_in_the_wrong_place_are_unread() {
    for (line, why) in [
        (
            "spring.datasource.maximum-pool-size=50",
            "outside of `hikari`",
        ),
        ("spring.datasource.max-active=50", "own name"),
        ("spring.datasource.tomcat.max-active=50", "HikariCP"),
        ("spring.hikari.maximum-pool-size=50", "`spring.hikari`"),
        (
            "spring.datasource.hikari.max-pool-size=50",
            "no such property",
        ),
        ("server.tomcat.max-threads=50", "renamed"),
    ] {
        let text = format!("spring.datasource.hikari.minimum-idle=1\n{line}\n");
        let facts = properties("application.properties", &text);
        assert_eq!(facts.unread.len(), 1, "{line}");
        assert!(facts.unread[0].why.contains(why), "{}", facts.unread[0].why);
        let key = &text[facts.unread[0].place.range.clone()];
        assert_eq!(key, line.split('=').next().unwrap());
    }
    let tomcat = "spring.datasource.type=org.apache.tomcat.jdbc.pool.DataSource\n\
        spring.datasource.url=jdbc:postgresql://db/x\nspring.datasource.tomcat.max-active=5\n";
    let facts = properties("application.properties", tomcat);
    assert!(facts.unread.is_empty() && facts.pools.is_empty());
}

#[test]
fn profiles_stand_on_the_base() {
    let text = "spring:\n  datasource:\n    url: jdbc:postgresql://db/x\n    hikari:\n      maximum-pool-size: 20\n---\nspring:\n  config:\n    activate:\n      on-profile: prod\n  datasource:\n    hikari:\n      connection-timeout: 3000\n---\nspring:\n  config.activate.on-profile: test\nlogging.level: x\n";
    let facts = yaml(text);
    let names: Vec<_> = facts.pools.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["dataSource", "prod.dataSource"]);
    assert_eq!(facts.pools[1].size.value, Limit::Of(20));
    assert_eq!(facts.pools[1].target.host.as_deref(), Some("db"));
}

#[test]
fn other_databases_and_several_sources() {
    let facts = yaml(
        "spring:\n  datasource:\n    url: jdbc:h2:mem:x\n    hikari:\n      maximum-pool-size: 2\n",
    );
    assert!(facts.pools.is_empty());
    let facts = yaml(
        "app:\n  datasource:\n    orders:\n      jdbc-url: jdbc:postgresql://a/x\n      hikari:\n        maximum-pool-size: 2\n    users:\n      url: jdbc:postgresql://b/x\n",
    );
    let names: Vec<_> = facts.pools.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["app.datasource.orders", "app.datasource.users"]);
}

#[test]
fn a_bean_of_its_own_reads_the_prefix_itself() {
    let facts = properties(
        "application.properties",
        "spring.datasource.jdbc-url=jdbc:postgresql://db/x\nspring.datasource.maximum-pool-size=40\n",
    );
    assert!(facts.unread.is_empty());
    assert_eq!(facts.pools[0].size.value, Limit::Of(40));
}

#[test]
fn what_is_no_setting_is_no_panic() {
    for text in [
        "",
        "=",
        "spring",
        "- a\n- b",
        "spring: [",
        "spring:\n  datasource: 5",
        "\u{0}=\u{1}",
    ] {
        let _ = yaml(text);
        let _ = properties("application.properties", text);
    }
}
