//! Console statements: taken apart without a panic, and nothing of them lost or made up.

use config::{ERRORS_MAX, Memory, Plan, diff, load, with_key};
use relay::statement::{assignment, shown, words};
use std::path::Path;
use std::sync::LazyLock;

/// What SET changes.
static PLAN: LazyLock<Option<Plan>> = LazyLock::new(|| {
    let text = "[databases]\n* = host=h\n[pgbouncer]\nlisten_addr = *\nauth_type = any\n";
    let files = Memory::default().file("p.ini", text);
    load(Path::new("p.ini"), &files).ok()
});

/// A statement as a console client sends it; with an odd first byte, the key and the value of
/// a SET, parted by a byte of 1.
pub fn console(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match choice % 2 {
        0 => taken_apart(&text),
        _ => {
            let (key, value) = text.split_once('\u{1}').unwrap_or((&text, ""));
            changed(&key.to_ascii_lowercase(), value);
        }
    }
}

fn taken_apart(text: &str) {
    let (found, whole) = words(text);
    assert!(
        found.iter().all(|word| word.len() <= text.len()),
        "{text:?}"
    );
    assert!(whole || text.contains('"'), "{text:?}");
    // Written with quotes, the same words are read.
    let quoted: Vec<String> = found
        .iter()
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    assert_eq!(words(&quoted.join(" ")), (found, true), "{text:?}");
    let repeated = shown(text);
    assert!(!repeated.contains(char::is_control), "{text:?}");
    assert!(repeated.chars().count() <= 201, "{text:?}");
    let Some((key, value)) = assignment(text) else {
        return;
    };
    assert!(
        !key.contains(['=', ' ']) && value.len() <= text.len(),
        "{text:?}"
    );
    let again = format!("SET {key} = '{}';", value.replace('\'', "''"));
    assert_eq!(
        assignment(&again),
        Some((key.clone(), value.clone())),
        "{text:?}"
    );
    changed(&key, &value);
}

/// A plan or some errors, and a plan that says what was set.
fn changed(key: &str, value: &str) {
    let Some(plan) = PLAN.as_ref() else { return };
    match with_key(plan, key, value) {
        Ok((now, said)) => {
            assert!(said.iter().all(|line| !line.is_empty()));
            assert!(diff(&now, &now).is_empty(), "{key:?} = {value:?}");
            assert!(diff(plan, &now).len() <= config::settings().len());
        }
        Err(errors) => {
            assert!((1..=ERRORS_MAX).contains(&errors.list().len()));
            let _ = errors.render();
        }
    }
}
