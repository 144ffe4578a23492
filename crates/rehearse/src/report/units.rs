//! Figures and names as reports write them.

/// Longest name or reason in a report, characters.
const SHOWN_CHARS_MAX: usize = 200;
const DAY_S: u64 = 86_400;

/// A time, from microseconds, with three digits that say something.
pub fn time(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 999.5 => return format!("{us:.0} µs"),
        us if us < 999_500.0 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// A rate.
pub fn rate(per_s: f64) -> String {
    format!("{}/s", digits(per_s))
}

/// A share, in percent.
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        // Some is never written as none, and not all never as all.
        p if p < 0.001 => "<0.001 %".to_owned(),
        p if p < 1.0 => format!("{p:.3} %"),
        p if p > 99.9 && p < 100.0 => ">99.9 %".to_owned(),
        p => format!("{p:.1} %"),
    }
}

/// A share that a person chose, in percent, as short as it is.
pub fn percent(share: f64) -> String {
    format!("{} %", (share * 1e4).round() / 1e2)
}

/// A difference, in percent, with its sign.
pub fn change(relative: f64) -> String {
    let percent = relative * 100.0;
    match percent.abs() {
        p if p >= 1000.0 => format!("{percent:+.0} %"),
        p if p < 0.05 => "0.0 %".to_owned(),
        _ => format!("{percent:+.1} %").replace('-', "−"),
    }
}

/// A count, with spaces between thousands.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            // Narrow, and no line breaks there.
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// Three digits that say something; more before the point where there are more.
fn digits(value: f64) -> String {
    match value.abs() {
        v if v < 9.995 => format!("{value:.2}"),
        v if v < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A moment, from seconds since 1970, as `2026-11-22 08:51:30 UTC`.
pub fn moment(unix_s: u64) -> String {
    let (mut day, second) = (unix_s / DAY_S, unix_s % DAY_S);
    // 400 years have the same number of days wherever they begin.
    let mut year = 1970 + day / 146_097 * 400;
    day %= 146_097;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    format!(
        "{year:04}-{month:02}-{:02} {h:02}:{m:02}:{s:02} UTC",
        day + 1
    )
}

/// A text that somebody else chose: one line, nothing that moves a cursor or
/// turns the direction of writing, and not too long.
pub fn shown(text: &str) -> String {
    within(text, SHOWN_CHARS_MAX)
}

/// The same, within so many characters.
pub fn within(text: &str, chars_max: usize) -> String {
    let fit = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => '?',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => '?',
        '\u{feff}' | '\u{fffe}' | '\u{ffff}' => '?',
        c => c,
    };
    let long = text.chars().nth(chars_max).is_some();
    let kept = if long {
        chars_max.saturating_sub(1)
    } else {
        chars_max
    };
    let mut out: String = text.chars().take(kept).map(fit).collect();
    if long {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let times = [
            0.0,
            7.0,
            999.4,
            999.6,
            47_123.0,
            999_600.0,
            1_834_000.0,
            6e8,
        ];
        let told: Vec<String> = times.into_iter().map(time).collect();
        let expected = [
            "0 µs", "7 µs", "999 µs", "1.00 ms", "47.1 ms", "1.00 s", "1.83 s", "600 s",
        ];
        assert_eq!(told, expected);
        assert_eq!(
            (rate(9.5), rate(1234.4)),
            ("9.50/s".into(), "1234/s".into())
        );
        assert_eq!(count(1_234_567).replace('\u{202f}', " "), "1 234 567");
        assert_eq!(count(123), "123");
    }

    #[test]
    fn some_is_never_none_and_not_all_never_all() {
        let told: Vec<String> = [0.0, 1e-9, 0.001, 0.03, 0.9999, 1.0]
            .into_iter()
            .map(share)
            .collect();
        let expected = ["0 %", "<0.001 %", "0.100 %", "3.0 %", ">99.9 %", "100.0 %"];
        assert_eq!(told, expected);
        assert_eq!(
            (change(0.1), change(-0.034)),
            ("+10.0 %".into(), "−3.4 %".into())
        );
        assert_eq!(change(-1e-6), "0.0 %");
    }

    #[test]
    fn moments_know_leap_years() {
        for (unix_s, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_799, "2000-02-29 23:59:59 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(moment(unix_s), expected);
        }
    }

    #[test]
    fn names_move_no_cursor() {
        assert_eq!(shown("a\u{1b}[2J\nb\u{202e}c"), "a?[2J b?c");
        assert_eq!(within("abcdef", 4), "abc…");
        assert_eq!(within("abcd", 4), "abcd");
    }
}
