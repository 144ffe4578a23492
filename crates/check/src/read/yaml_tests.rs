//! The tree, its places and its bounds.

use super::*;

fn tree(text: &str) -> Tree {
    parse(FileId(0), text)
}

fn shown<'a>(text: &'a str, node: &Node) -> &'a str {
    &text[node.place.range.clone()]
}

#[test]
fn values_and_keys_have_their_bytes() {
    let text = "# ä comment with ümlauts\na:\n  'b c': \"d\"   # note\n  plain: some words  # note\n  list: [1, 'zwei']\n  at: &x 5\n";
    let tree = tree(text);
    let root = &tree.documents[0];
    for (path, value) in [
        (&["a", "b c"][..], "d"),
        (&["a", "plain"], "some words"),
        (&["a", "at"], "5"),
    ] {
        let node = root.at(path).unwrap();
        assert_eq!(node.text(), Some(value));
        assert_eq!(shown(text, node), value);
    }
    let (key, list) = root.get("a").unwrap().pair("list").unwrap();
    assert_eq!(shown(text, key), "list");
    assert_eq!(shown(text, &list.items()[1]), "zwei");
}

#[test]
fn a_literal_block_stands_at_its_lines() {
    let text = "data:\n  pgbouncer.ini: |\n    [pgbouncer]\n    pool_mode = session\n  next: 1\n";
    let tree = tree(text);
    let node = tree.documents[0].at(&["data", "pgbouncer.ini"]).unwrap();
    assert!(matches!(node.value, Yaml::Literal(_)));
    let raw = shown(text, node);
    assert_eq!(raw.trim(), "[pgbouncer]\n    pool_mode = session");
}

#[test]
fn merged_keys_are_found_and_own_ones_win() {
    let text = "default: &d\n  pool: 5\n  host: db\nproduction:\n  <<: *d\n  pool: 9\n";
    let tree = tree(text);
    let production = tree.documents[0].get("production").unwrap();
    assert_eq!(production.get("pool").unwrap().text(), Some("9"));
    assert_eq!(production.get("host").unwrap().text(), Some("db"));
    let keys: Vec<_> = production
        .entries()
        .iter()
        .filter_map(|(k, _)| k.text())
        .collect();
    assert_eq!(keys, ["pool", "host"]);
}

#[test]
fn a_stream_has_several_documents() {
    let tree = tree("---\na: 1\n---\nb: 2\n---\n");
    assert!(tree.mistake.is_none());
    assert_eq!(tree.documents[0].get("a").unwrap().text(), Some("1"));
    assert_eq!(tree.documents[1].get("b").unwrap().text(), Some("2"));
}

#[test]
fn a_default_in_a_template_keeps_its_place_and_its_variable() {
    let text =
        "production:\n  pool: <%= ENV.fetch(\"THREADS\") { 5 } %>\n  host: \"<%= ENV['H'] %>\"\n";
    let tree = tree(text);
    let word = tree.documents[0]
        .at(&["production", "pool"])
        .unwrap()
        .word()
        .unwrap();
    assert_eq!(
        (word.text.as_str(), word.variable.as_deref()),
        ("5", Some("THREADS"))
    );
    assert_eq!(&text[word.place.range.clone()], "5");
    let host = tree.documents[0].at(&["production", "host"]).unwrap();
    assert!(host.word().unwrap().literal().is_none());
}

#[test]
fn hostile_text_ends_with_a_mistake_and_no_panic() {
    let deep = "[".repeat(10_000);
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let inner = vec![format!("*a{}", n - 1); 10].join(", ");
        laughs.push_str(&format!("a{n}: &a{n} [{inner}]\n"));
    }
    let blocks: String = (0..70).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    for (text, part) in [
        (blocks.as_str(), "nested deeper"),
        (deep.as_str(), "recursion"),
        (laughs.as_str(), "values"),
        ("a: [1, 2", ""),
        ("a: *nowhere", ""),
        ("a: \"open", ""),
        ("\tx: 1\n\t- y", ""),
        ("a: b: c: d", ""),
    ] {
        let tree = tree(text);
        let (place, why) = tree.mistake.expect(part);
        assert!(place.range.end <= text.len() && !place.range.is_empty());
        assert!(why.contains(part), "{why}");
    }
    for text in ["", "\u{feff}", "~", "%", "\u{7}", "- - - -", "? ?", "&a *a"] {
        let _ = tree(text);
    }
    let wide = "- x\n".repeat(NODES_MAX + 10);
    assert!(tree(&wide).mistake.is_some());
}
