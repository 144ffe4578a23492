//! Tags in comments, as applications write them.

use super::*;

fn found(text: &str) -> String {
    let tags = tags(text.as_bytes());
    let shown: Vec<_> = tags
        .iter()
        .map(|tag| format!("{}={}", tag.key, tag.value))
        .collect();
    shown.join(" ")
}

#[test]
fn both_forms_at_both_ends() {
    let table = [
        ("SELECT 1", ""),
        (
            "SELECT 1 /*controller='index',route='%2Fpolls%20x'*/",
            "controller=index route=/polls x",
        ),
        ("SELECT 1 /*action='a',traceparent='00-x'*/;", "action=a"),
        ("SELECT 1; /*app='a'*/", "application=a"),
        (
            "/*application:Shop,controller:orders,line:/app/x.rb:3*/ SELECT 1",
            "application=Shop controller=orders file=/app/x.rb:3",
        ),
        (
            "/* a */ /*app:x*/ SELECT 1 /*job:y*/ /*release:1*/",
            "application=x release=1 job=y",
        ),
        (
            "SELECT 1 /*app='it\\'s',job='%zz%e2%82%ac'*/",
            "application=it's job=%zz€",
        ),
        ("SELECT 1 /*app='a%0Ab%1b'*/", "application=ab"),
        ("SELECT 1 /*app='a'*/ + 1", ""),
        ("SELECT '/*app=x*/'", ""),
        ("SELECT 1 /*app:a,app:b*/", "application=a"),
        ("SELECT 1 /*app:*/", ""),
        ("SELECT 1 /*app='a,job='b'*/", "application=a,job="),
        ("/*", ""),
        ("/*/", ""),
        ("*/", ""),
        ("/**/", ""),
    ];
    for (text, expected) in table {
        assert_eq!(found(text), expected, "for {text}");
    }
}

#[test]
fn values_are_bounded() {
    let text = format!("SELECT 1 /*app:{}*/", "é".repeat(500));
    assert_eq!(
        tags(text.as_bytes()).value("application").map(str::len),
        Some(128)
    );
    let far = format!("/*app:x{}*/ SELECT 1", " ".repeat(5000));
    assert!(tags(far.as_bytes()).is_empty());
}
