//! Tables for every rule, both sides of each, and properties over generated texts.

mod effects;
mod normal;
mod properties;
mod splitting;
mod tags;

use super::*;

const ON: Quoting = Quoting {
    standard_conforming_strings: true,
};
const OFF: Quoting = Quoting {
    standard_conforming_strings: false,
};

fn value(value: &Value) -> String {
    match value {
        Value::Fragment(text) => text.to_string(),
        Value::Guc(text) => format!("guc:{text}"),
    }
}

fn show(change: &Change) -> String {
    use Change::*;
    let at = |local: &bool| if *local { "local " } else { "" };
    let share = |shared: &bool| if *shared { "shared " } else { "" };
    match change {
        Set {
            name,
            value: given,
            local,
        } => format!("set {}{name}={}", at(local), value(given)),
        SetOpaque { name, local } => format!("opaque {}{name}", at(local)),
        AdvisoryLock { key, shared } => format!("lock {}{}", share(shared), key.as_str()),
        AdvisoryUnlock { key, shared } => format!("unlock {}{}", share(shared), key.as_str()),
        Drop { names } => format!("Drop {}", names.join(" ")),
        other => format!("{other:?}")
            .replace(['"', '{', '}'], "")
            .replace("  ", " ")
            .trim()
            .into(),
    }
}

fn effects_with(text: &str, quoting: Quoting) -> String {
    let script = read(text.as_bytes(), quoting);
    let shown: Vec<_> = script.effects.iter().map(|e| show(&e.change)).collect();
    shown.join("; ")
}

/// The effects of a text, in one line.
fn effects(text: &str) -> String {
    effects_with(text, ON)
}

#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(&effects(text), expected, "for {text}");
        assert!(
            expected.is_empty() || !is_plain(text.as_bytes()),
            "plain: {text}"
        );
        assert!(!read(text.as_bytes(), ON).broken, "broken: {text}");
    }
}
