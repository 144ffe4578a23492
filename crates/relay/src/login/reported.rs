//! Parameters as a server reports them: drivers compare names and values exactly.

use std::borrow::Cow;

/// The spelling in which PostgreSQL reports a parameter; drivers compare it exactly.
pub(crate) fn reported_name(folded: &str) -> &str {
    match folded {
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        "timezone" => "TimeZone",
        other => other,
    }
}

/// A wish as the server will report it once it has it, so that both compare
/// equal. What is not understood stays as it was given: the server judges it.
pub(crate) fn as_reported<'a>(folded: &str, wish: &'a str) -> Cow<'a, str> {
    match folded {
        "client_encoding" => encoding(wish).map_or(Cow::Borrowed(wish), Cow::Borrowed),
        "intervalstyle" => wish.to_ascii_lowercase().into(),
        "standard_conforming_strings" | "default_transaction_read_only" => {
            truth(wish).map_or(Cow::Borrowed(wish), Cow::Borrowed)
        }
        _ => wish.into(),
    }
}

/// A truth value as it is reported; words may be cut short while they are clear.
fn truth(wish: &str) -> Option<&'static str> {
    let wish = wish.to_ascii_lowercase();
    let short_for = |word: &str, least| wish.len() >= least && word.starts_with(&*wish);
    if wish == "1" || wish == "on" || short_for("true", 1) || short_for("yes", 1) {
        Some("on")
    } else if wish == "0" || short_for("off", 2) || short_for("false", 1) || short_for("no", 1) {
        Some("off")
    } else {
        None
    }
}

/// The name that the server has for an encoding: it looks at letters and digits
/// only. Pre-9.1 JDBC's "UNICODE" alone is reported as it was given.
fn encoding(wish: &str) -> Option<&'static str> {
    if wish == "UNICODE" {
        return None;
    }
    let clean: String = wish
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let known = ENCODINGS.iter().find(|(alias, _)| *alias == clean)?;
    Some(known.1)
}

/// Encodings for clients, by the letters and digits of their names.
const ENCODINGS: [(&str, &str); 81] = [
    ("abc", "WIN1258"),
    ("alt", "WIN866"),
    ("big5", "BIG5"),
    ("euccn", "EUC_CN"),
    ("eucjis2004", "EUC_JIS_2004"),
    ("eucjp", "EUC_JP"),
    ("euckr", "EUC_KR"),
    ("euctw", "EUC_TW"),
    ("gb18030", "GB18030"),
    ("gbk", "GBK"),
    ("iso88591", "LATIN1"),
    ("iso885910", "LATIN6"),
    ("iso885913", "LATIN7"),
    ("iso885914", "LATIN8"),
    ("iso885915", "LATIN9"),
    ("iso885916", "LATIN10"),
    ("iso88592", "LATIN2"),
    ("iso88593", "LATIN3"),
    ("iso88594", "LATIN4"),
    ("iso88595", "ISO_8859_5"),
    ("iso88596", "ISO_8859_6"),
    ("iso88597", "ISO_8859_7"),
    ("iso88598", "ISO_8859_8"),
    ("iso88599", "LATIN5"),
    ("johab", "JOHAB"),
    ("koi8", "KOI8R"),
    ("koi8r", "KOI8R"),
    ("koi8u", "KOI8U"),
    ("latin1", "LATIN1"),
    ("latin10", "LATIN10"),
    ("latin2", "LATIN2"),
    ("latin3", "LATIN3"),
    ("latin4", "LATIN4"),
    ("latin5", "LATIN5"),
    ("latin6", "LATIN6"),
    ("latin7", "LATIN7"),
    ("latin8", "LATIN8"),
    ("latin9", "LATIN9"),
    ("mskanji", "SJIS"),
    ("muleinternal", "MULE_INTERNAL"),
    ("shiftjis", "SJIS"),
    ("shiftjis2004", "SHIFT_JIS_2004"),
    ("sjis", "SJIS"),
    ("sqlascii", "SQL_ASCII"),
    ("tcvn", "WIN1258"),
    ("tcvn5712", "WIN1258"),
    ("uhc", "UHC"),
    ("unicode", "UTF8"),
    ("utf8", "UTF8"),
    ("vscii", "WIN1258"),
    ("win", "WIN1251"),
    ("win1250", "WIN1250"),
    ("win1251", "WIN1251"),
    ("win1252", "WIN1252"),
    ("win1253", "WIN1253"),
    ("win1254", "WIN1254"),
    ("win1255", "WIN1255"),
    ("win1256", "WIN1256"),
    ("win1257", "WIN1257"),
    ("win1258", "WIN1258"),
    ("win866", "WIN866"),
    ("win874", "WIN874"),
    ("win932", "SJIS"),
    ("win936", "GBK"),
    ("win949", "UHC"),
    ("win950", "BIG5"),
    ("windows1250", "WIN1250"),
    ("windows1251", "WIN1251"),
    ("windows1252", "WIN1252"),
    ("windows1253", "WIN1253"),
    ("windows1254", "WIN1254"),
    ("windows1255", "WIN1255"),
    ("windows1256", "WIN1256"),
    ("windows1257", "WIN1257"),
    ("windows1258", "WIN1258"),
    ("windows866", "WIN866"),
    ("windows874", "WIN874"),
    ("windows932", "SJIS"),
    ("windows936", "GBK"),
    ("windows949", "UHC"),
    ("windows950", "BIG5"),
];

/// DateStyle as the server will report it: a wish for only a style or only an
/// order keeps the other part, and German alone means days first (PostgreSQL's
/// `check_datestyle`). What is not understood stays as it was given.
pub(crate) fn date_style(wish: &str, at_login: &str) -> String {
    let (mut style, mut order) = (None, None);
    for word in wish.split(',').map(|w| w.trim().to_ascii_lowercase()) {
        match word.as_str() {
            "iso" => style = Some("ISO"),
            "sql" => style = Some("SQL"),
            "german" => style = Some("German"),
            w if w.starts_with("postgres") => style = Some("Postgres"),
            "ymd" => order = Some("YMD"),
            "dmy" => order = Some("DMY"),
            w if w.starts_with("euro") => order = Some("DMY"),
            "mdy" | "us" => order = Some("MDY"),
            w if w.starts_with("noneuro") => order = Some("MDY"),
            _ => return wish.to_owned(),
        }
    }
    let mut kept = at_login.split(',').map(str::trim);
    let (old_style, old_order) = (kept.next().unwrap_or("ISO"), kept.next().unwrap_or("MDY"));
    let order = match (order, style) {
        (Some(order), _) => order,
        (None, Some("German")) => "DMY",
        (None, _) => old_order,
    };
    format!("{}, {order}", style.unwrap_or(old_style))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_style_is_completed_as_the_server_does() {
        let rows = [
            ("German", "ISO, MDY", "German, DMY"),
            ("iso", "ISO, MDY", "ISO, MDY"),
            ("SQL, dmy", "ISO, MDY", "SQL, DMY"),
            ("European", "ISO, MDY", "ISO, DMY"),
            ("ymd", "Postgres, DMY", "Postgres, YMD"),
            ("what", "ISO, MDY", "what"),
        ];
        for (wish, at_login, reported) in rows {
            assert_eq!(date_style(wish, at_login), reported, "{wish}");
        }
    }

    #[test]
    fn values_are_reported_as_the_server_does() {
        let rows = [
            ("client_encoding", "'utf-8'", "UTF8"),
            ("client_encoding", "utf8", "UTF8"),
            ("client_encoding", "UNICODE", "UNICODE"),
            ("client_encoding", "unicode", "UTF8"),
            ("client_encoding", "iso-8859-15", "LATIN9"),
            ("client_encoding", "Windows-1252", "WIN1252"),
            ("client_encoding", "klingon", "klingon"),
            ("intervalstyle", "ISO_8601", "iso_8601"),
            ("standard_conforming_strings", "1", "on"),
            ("standard_conforming_strings", "TRUE", "on"),
            ("standard_conforming_strings", "of", "off"),
            ("standard_conforming_strings", "o", "o"),
            ("standard_conforming_strings", "", ""),
            ("timezone", "utc", "utc"),
        ];
        for (name, wish, reported) in rows {
            assert_eq!(as_reported(name, wish), reported, "{name} {wish}");
        }
    }
}
