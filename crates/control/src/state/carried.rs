//! Rows whose body is JSON: fields that a newer binary of the same schema wrote.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What to write in place of `old`: `new`, with the fields of `old` that this binary
/// does not know. Elements of lists have no names: theirs are not carried.
pub(crate) fn carried<T: Serialize + DeserializeOwned>(old: Option<&str>, new: &T) -> String {
    let plain = || serde_json::to_string(new).unwrap_or_default();
    let Some(old) = old else { return plain() };
    let (Ok(before), Ok(mut after)) = (serde_json::from_str(old), serde_json::to_value(new)) else {
        return plain();
    };
    let Some(known) = understood::<T>(&before) else {
        return plain();
    };
    carry(&before, &known, &mut after);
    after.to_string()
}

/// A newer binary wrote it: fields of it, or all, say nothing here.
pub(crate) fn is_ahead<T: Serialize + DeserializeOwned>(body: &str) -> bool {
    let Ok(before) = serde_json::from_str(body) else {
        return true;
    };
    understood::<T>(&before).is_none_or(|known| lacks(&before, &known))
}

/// What this binary makes of it when it reads and writes it.
fn understood<T: Serialize + DeserializeOwned>(before: &Value) -> Option<Value> {
    let read: T = serde_json::from_value(before.clone()).ok()?;
    serde_json::to_value(read).ok()
}

fn carry(before: &Value, known: &Value, after: &mut Value) {
    let (Value::Object(before), Value::Object(known), Value::Object(after)) =
        (before, known, after)
    else {
        return;
    };
    for (name, value) in before {
        match (known.get(name), after.get_mut(name)) {
            (Some(known), Some(after)) => carry(value, known, after),
            (None, None) => drop(after.insert(name.clone(), value.clone())),
            _ => {}
        }
    }
}

/// Something of `before` is not in `known`.
fn lacks(before: &Value, known: &Value) -> bool {
    match (before, known) {
        (Value::Object(before), Value::Object(known)) => before
            .iter()
            .any(|(name, value)| known.get(name).is_none_or(|known| lacks(value, known))),
        (Value::Array(before), Value::Array(known)) => {
            before.len() > known.len() || before.iter().zip(known).any(|(b, k)| lacks(b, k))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Row {
        figure: u32,
        inner: Inner,
        list: Vec<Inner>,
    }

    #[derive(Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Inner {
        word: String,
    }

    #[test]
    fn what_a_newer_binary_wrote_stays_in_a_row_that_this_one_writes() {
        let new = Row {
            figure: 7,
            ..Row::default()
        };
        let same = r#"{"figure":7,"inner":{"word":""},"list":[]}"#;
        let table = [
            // What stood there, what stands there then.
            (None, same),
            (Some(r#"{"figure":1}"#), same),
            (Some("no JSON"), same),
            (
                Some(r#"{"figure":1,"of_next_year":[1,{"a":2}]}"#),
                r#"{"figure":7,"inner":{"word":""},"list":[],"of_next_year":[1,{"a":2}]}"#,
            ),
            (
                Some(r#"{"inner":{"word":"x","colour":"red"}}"#),
                r#"{"figure":7,"inner":{"colour":"red","word":""},"list":[]}"#,
            ),
        ];
        for (old, expected) in table {
            let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
            assert_eq!(read(&carried(old, &new)), read(expected), "{old:?}");
        }
    }

    #[test]
    fn a_row_is_ahead_when_something_of_it_would_be_lost() {
        let table = [
            (r#"{"figure":1}"#, false),
            (r#"{"figure":1,"inner":{"word":"x"},"list":[{}]}"#, false),
            (r#"{"figure":1,"more":0}"#, true),
            (r#"{"list":[{"word":"x"},{"colour":"red"}]}"#, true),
            (r#"{"figure":"a word"}"#, true),
            ("no JSON", true),
        ];
        for (body, expected) in table {
            assert_eq!(is_ahead::<Row>(body), expected, "{body}");
        }
    }
}
