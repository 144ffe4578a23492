//! Snippets in, facts out. A value that nobody wrote has `~` before it; the
//! bytes at a stated value's place stand in `<>` where they differ from it.

mod django;
mod go;
mod hostile;
mod node;
mod python;
mod ruby;

use crate::facts::{Facts, Limit, Pool, Value, Wait};
use crate::place::{FileId, Place};
use std::path::Path;

/// The facts of a Python file, one a line.
fn python(text: &str) -> Vec<String> {
    named("settings.py", text)
}

fn named(path: &str, text: &str) -> Vec<String> {
    lines(text, |facts| {
        super::python(FileId(0), Path::new(path), text, facts)
    })
}

fn javascript(text: &str) -> Vec<String> {
    lines(text, |facts| super::javascript(FileId(0), text, facts))
}

fn go(text: &str) -> Vec<String> {
    lines(text, |facts| super::go(FileId(0), text, facts))
}

fn ruby(path: &str, text: &str) -> Vec<String> {
    lines(text, |facts| {
        super::ruby(FileId(0), Path::new(path), text, facts)
    })
}

fn lines(text: &str, read: impl FnOnce(&mut Facts)) -> Vec<String> {
    let mut facts = Facts::default();
    read(&mut facts);
    let slice = |place: &Place| text.get(place.range.clone()).unwrap_or("(no such place)");
    let mut all: Vec<String> = facts.pools.iter().map(|pool| shown(pool, text)).collect();
    for w in &facts.workloads {
        let processes = w
            .processes
            .as_ref()
            .map_or("?".to_owned(), |v| count(v, text));
        let threads = w
            .threads
            .as_ref()
            .map_or("?".to_owned(), |v| count(v, text));
        all.push(format!(
            "{} processes={processes} threads={threads}",
            w.tool.name()
        ));
    }
    for (tool, value) in &facts.requests {
        all.push(format!("{} request={}", tool.name(), time(value, text)));
    }
    for o in &facts.odd {
        all.push(format!("odd <{}>: {}", slice(&o.place), o.what));
    }
    for u in &facts.unread {
        assert!(!u.why.is_empty());
        all.push(format!("unread <{}>: {}", slice(&u.place), u.help));
    }
    for s in &facts.secrets {
        all.push(format!("secret <{}>", slice(&s.place)));
    }
    for (_, why) in &facts.broken {
        all.push(format!("broken: {why}"));
    }
    all
}

/// `Tool name size=… extra=… … needs=… to=host:port/database`.
fn shown(pool: &Pool, text: &str) -> String {
    let t = &pool.timeouts;
    let mut words = vec![
        pool.tool.name().to_owned(),
        pool.name.clone(),
        format!("size={}", limit(&pool.size, text)),
    ];
    words.extend(
        pool.extra
            .as_ref()
            .map(|v| format!("extra={}", limit(v, text))),
    );
    words.extend(pool.min.as_ref().map(|v| format!("min={}", count(v, text))));
    for (name, value) in [
        ("connect", &t.connect),
        ("wait", &t.wait),
        ("statement", &t.statement),
        ("idle_tx", &t.idle_in_transaction),
        ("idle", &t.idle),
        ("life", &t.lifetime),
        ("request", &t.request),
    ] {
        words.extend(value.as_ref().map(|v| format!("{name}={}", time(v, text))));
    }
    if !pool.needs.is_empty() {
        let needs: Vec<String> = pool.needs.iter().map(|(f, _)| format!("{f:?}")).collect();
        words.push(format!("needs={}", needs.join("+")));
    }
    let to = &pool.target;
    if to.host.is_some() || to.port.is_some() || to.database.is_some() {
        words.push(format!(
            "to={}:{}/{}",
            to.host.as_deref().unwrap_or("?"),
            to.port.map_or("?".to_owned(), |p| p.to_string()),
            to.database.as_deref().unwrap_or("?")
        ));
    }
    words.join(" ")
}

fn at<T>(value: &Value<T>, shown: String, text: &str) -> String {
    match value.place() {
        None => format!("~{shown}"),
        Some(place) => match text.get(place.range.clone()) {
            Some(slice) if slice == shown => shown,
            slice => format!("{shown}<{}>", slice.unwrap_or("no such place")),
        },
    }
}

fn limit(value: &Value<Limit>, text: &str) -> String {
    let shown = match value.value {
        Limit::Of(n) => n.to_string(),
        Limit::Unlimited => "∞".to_owned(),
    };
    at(value, shown, text)
}

fn count(value: &Value<u64>, text: &str) -> String {
    at(value, value.value.to_string(), text)
}

/// In seconds.
fn time(value: &Value<Wait>, text: &str) -> String {
    let shown = match value.value {
        Wait::For(time) => format!("{:?}", time.as_secs_f64())
            .trim_end_matches(".0")
            .to_owned(),
        Wait::Forever => "∞".to_owned(),
    };
    at(value, shown, text)
}

/// Compares each snippet's facts.
fn table(read: impl Fn(&str) -> Vec<String>, rows: &[(&str, &[&str])]) {
    for (text, expected) in rows {
        assert_eq!(read(text), *expected, "\n{text}");
    }
}
