//! Keys under their old names. The rows are these tests' own: no key was renamed yet.

use crate::draft::{Dialect, Draft, Overrides};
use crate::{Errors, Memory, Outdated, Plan, PoolSize, Renamed, pgbouncer, toml};

const fn row(old: &'static str, new: &'static str, old_ini: &'static str) -> Renamed {
    Renamed {
        old,
        new,
        old_ini,
        since: "0.2",
    }
}

static ROWS: &[Renamed] = &[
    row("pools.extent", "pool.size", ""),
    row("leak.after", "leaks.reclaim_after", "leak_after"),
    row("server.limit", "server.line", "limit"),
    row("database.NAME.extent", "database.NAME.pool_size", ""),
    row("user.most", "user.max_connections", ""),
];

fn read(dialect: Dialect, text: &str) -> Result<Plan, Errors> {
    let (name, source) = match dialect {
        Dialect::Toml => ("p.toml", Memory::default().file("p.toml", text)),
        Dialect::Ini => ("p.ini", Memory::default().file("p.ini", text)),
    };
    let draft = Draft {
        renamed: ROWS,
        ..Draft::new(dialect, name.as_ref(), &Overrides::default())
    };
    match dialect {
        Dialect::Toml => toml::load_into(draft, &source),
        Dialect::Ini => pgbouncer::load_into(draft, &source),
    }
}

fn of_toml(text: &str) -> Result<Plan, Errors> {
    read(Dialect::Toml, text)
}

const DATABASE: &str = "[database.app]\nhost = \"db\"\n";

#[test]
fn an_old_name_holds_and_a_warning_names_the_new_one_and_since_when() {
    let text = format!("[pools]\nextent = 7\n[server]\n  limit = 50\n{DATABASE}");
    let plan = of_toml(&text).expect("understood");
    assert_eq!(plan.default_pool_size, PoolSize::Fixed(7));
    assert_eq!((plan.line, plan.line_stated), (50, true));
    assert_eq!(
        plan.outdated,
        [
            Outdated {
                key: "pools.extent".to_owned(),
                now: "pool.size".to_owned(),
                since: "0.2",
                line: 2,
                column: 1,
            },
            Outdated {
                key: "server.limit".to_owned(),
                now: "server.line".to_owned(),
                since: "0.2",
                line: 4,
                column: 3,
            },
        ]
    );
    assert_eq!(
        plan.warnings[0],
        "p.toml:2: `pools.extent` is called `pool.size` since 0.2; the old name still holds, and will not for ever"
    );
    // The same settings under their new names are the same plan.
    let text = format!("[pool]\nsize = 7\n[server]\nline = 50\n{DATABASE}");
    let new = of_toml(&text).expect("understood");
    assert_eq!(crate::diff(&plan, &new), []);
    assert_eq!(new.outdated, []);
}

#[test]
fn old_names_in_sections_with_names_of_their_own_hold_too() {
    let plan = of_toml(&format!(
        "{DATABASE}extent = 3\n[[user]]\nname = \"a\"\nmost = 9\n"
    ))
    .expect("understood");
    assert_eq!(plan.databases[0].pool_size, Some(PoolSize::Fixed(3)));
    let words: Vec<(&str, &str)> = plan
        .outdated
        .iter()
        .map(|o| (o.key.as_str(), o.now.as_str()))
        .collect();
    assert_eq!(
        words,
        [("extent", "pool_size"), ("most", "max_connections")]
    );
    // Only there: elsewhere it is as unknown as before.
    assert!(of_toml(&format!("{DATABASE}most = 9\n")).is_err());
}

#[test]
fn both_names_at_once_are_an_error_in_either_order() {
    let table = [
        "[pools]\nextent = 7\n[pool]\nsize = 8\n",
        "[pool]\nsize = 8\n[pools]\nextent = 7\n",
    ];
    for text in table {
        let errors = of_toml(&format!("{text}{DATABASE}")).expect_err(text);
        let error = &errors.list()[0];
        assert_eq!(error.message, "`pools.extent` and `pool.size` are one key");
        assert_eq!(error.help, "keep `pool.size` alone");
    }
    for text in ["extent = 3\npool_size = 3\n", "pool_size = 3\nextent = 3\n"] {
        let errors = of_toml(&format!("{DATABASE}{text}")).expect_err(text);
        let error = &errors.list()[0];
        assert_eq!(error.message, "`extent` and `pool_size` are one key");
    }
}

#[test]
fn a_wrong_value_under_an_old_name_is_refused_as_under_the_new_one() {
    let errors = of_toml(&format!("[pools]\nextent = \"x\"\n{DATABASE}")).expect_err("a word");
    assert_eq!(errors.list()[0].line, 2);
    let old = errors.list()[0].message.clone();
    let errors = of_toml(&format!("[pool]\nsize = \"x\"\n{DATABASE}")).expect_err("a word");
    assert_eq!(errors.list()[0].message, old);
}

#[test]
fn the_section_of_our_own_in_pgbouncer_ini_knows_old_names_too() {
    let ini = |own: &str| {
        let text = format!("[databases]\n* = host=127.0.0.1\n[pgbouncer]\n\n[plimsoll]\n{own}");
        read(Dialect::Ini, &text)
    };
    let plan = ini("limit = 44\n").unwrap_or_else(|e| panic!("{}", e.render()));
    assert_eq!(plan.line, 44);
    assert_eq!(
        (plan.outdated[0].key.as_str(), plan.outdated[0].now.as_str()),
        ("limit", "line")
    );
    for both in ["limit = 44\nline = 45\n", "line = 45\nlimit = 44\n"] {
        let errors = ini(both).expect_err("both");
        assert_eq!(errors.list().len(), 1, "{}", errors.render());
        assert_eq!(errors.list()[0].line, 7);
    }
    assert!(ini("limitt = 44\n").is_err());
}

#[test]
fn each_row_leads_to_a_key_that_is_there_and_hides_none() {
    let known: Vec<String> = crate::settings_reference()
        .into_iter()
        .map(|r| r.key)
        .collect();
    for row in crate::RENAMED.iter().chain(ROWS) {
        assert!(known.iter().any(|k| k == row.new), "{row:?}");
        assert!(!known.iter().any(|k| k == row.old), "{row:?}");
        let ini = crate::settings().iter().find(|s| s.key == row.old_ini);
        assert!(row.old_ini.is_empty() || ini.is_none(), "{row:?}");
    }
}
