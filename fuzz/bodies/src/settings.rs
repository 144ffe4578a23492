//! Settings files and URLs: a plan or errors, and never a secret in what is shown.

use config::{
    Errors, Memory, Plan, check_reload, diff, from_url, load, masked, parse_user_file, settings,
};
use std::path::Path;

/// Stands where a file or a variable holds a secret.
const SECRET: &str = "Hunter2Marker";

/// A text in each dialect, once as it is and once with a secret planted.
pub fn config(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    match choice % 6 {
        0 => shown_safely(read("p.toml", rest)),
        1 => shown_safely(read("p.ini", rest)),
        2 => {
            if let Err(errors) = parse_user_file(&text, "users".as_ref()) {
                let _ = rendered(&errors);
            }
        }
        3 => shown_safely(from_url(&text)),
        4 => shown_safely(from_url(&format!("postgres://u:{SECRET}@{}", no_at(&text)))),
        _ => planted(choice, &text),
    }
}

/// Behind a host, an `@` would make the whole of what stands before it the password.
fn no_at(text: &str) -> String {
    text.replace('@', "")
}

fn read(path: &str, text: &[u8]) -> Result<Plan, Errors> {
    let files = Memory::default()
        .file(path, text)
        .file("users", format!("\"ann\" \"{SECRET}\"\n"))
        .file("broken", format!("\"ann\" \"x\"\nbob \"{SECRET}\"\n"))
        .file("pw", format!("{SECRET}\n"))
        .variable("PW", SECRET);
    load(Path::new(path), &files)
}

/// The secret stands in a place that is a password's, with the fuzzer's lines around it.
fn planted(choice: u8, text: &str) {
    let (before, behind) = match text.split_once('\u{1}') {
        Some(parts) => parts,
        None => ("", text),
    };
    let result = match choice / 6 % 4 {
        0 => stored_safely(
            "p.ini",
            &format!(
                "[databases]\na = host=h password={SECRET} {behind}\n{before}\nauth_file = users\n"
            ),
        ),
        1 => stored_safely(
            "p.toml",
            &format!("{before}\n[database.app]\nhost='h'\npassword='{SECRET}'\n{behind}"),
        ),
        2 => read(
            "p.ini",
            format!("[databases]\na = host=h\n[pgbouncer]\nauth_file = broken\n{behind}")
                .as_bytes(),
        ),
        _ => parse_user_file(
            &format!("{before}\n\"ann\" \"{SECRET}\"{behind}"),
            "users".as_ref(),
        )
        .and_then(|_| from_url("postgres://u@h/d")),
    };
    shown_safely(result);
}

/// What a history keeps of a text has no secret.
fn stored_safely(path: &str, text: &str) -> Result<Plan, Errors> {
    let kept = masked(path.as_ref(), text);
    assert!(!kept.contains(SECRET), "a secret is kept:\n{kept}");
    read(path, text.as_bytes())
}

fn shown_safely(result: Result<Plan, Errors>) {
    let out = match result {
        Ok(plan) => of_plan(&plan),
        Err(errors) => rendered(&errors),
    };
    assert!(!out.contains(SECRET), "a secret is shown:\n{out}");
}

fn rendered(errors: &Errors) -> String {
    assert!(errors.list().len() <= config::ERRORS_MAX);
    format!("{errors}{errors:?}{}{}", errors.json(), errors.render())
}

/// All that can be printed of a plan.
fn of_plan(plan: &Plan) -> String {
    let Ok(earlier) = from_url("postgres://u:p@h/app") else {
        return String::new();
    };
    let mut out = format!(
        "{plan:?}{:?}{:?}",
        diff(&earlier, plan),
        check_reload(&earlier, plan, "f".as_ref())
    );
    for setting in settings() {
        out.extend(setting.shown(plan));
        out.extend(setting.words(plan));
    }
    assert!(diff(plan, plan).is_empty(), "a plan differs from itself");
    out
}
