//! Figures as people read them: times, rates, bars, curves.

/// Levels of a curve, the lowest first.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is shown where nothing was measured.
pub const NOTHING: &str = "-";

/// A time of so many microseconds, in at most seven characters.
pub fn micros(us: f64) -> String {
    if !us.is_finite() || us < 0.0 {
        return NOTHING.to_owned();
    }
    let s = us / 1e6;
    match us {
        us if us < 9_950.0 => format!("{:.1} ms", us / 1e3),
        us if us < 999_500.0 => format!("{:.0} ms", us / 1e3),
        _ if s < 59.95 => format!("{s:.1} s"),
        _ => seconds(s),
    }
}

/// The same where it may be unknown.
pub fn micros_or(us: Option<f64>) -> String {
    us.map_or_else(|| NOTHING.to_owned(), micros)
}

/// A time of whole microseconds.
pub fn whole_micros(us: u64) -> String {
    micros(us as f64)
}

/// A time of so many seconds, in at most seven characters.
pub fn seconds(s: f64) -> String {
    let s = s.round().clamp(0.0, 1e12) as u64;
    let (minutes, hours, days) = (s / 60, s / 3_600, s / 86_400);
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{minutes}m{:02}s", s % 60),
        3_600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ if days < 1_000 => format!("{days}d{:02}h", hours % 24),
        _ => format!("{} y", (days / 365).min(9_999)),
    }
}

/// Between two moments of milliseconds; what lies ahead is now.
pub fn between(from_ms: i64, until_ms: i64) -> String {
    seconds(until_ms.saturating_sub(from_ms).max(0) as f64 / 1e3)
}

/// Per second, in at most five characters.
pub fn rate(per_s: f64) -> String {
    match per_s {
        n if !n.is_finite() || n < 0.0 => NOTHING.to_owned(),
        0.0 => "0".to_owned(),
        n if n < 9.95 => format!("{n:.1}"),
        n if n < 9_999.5 => format!("{n:.0}"),
        n if n < 999_500.0 => format!("{:.0}k", n / 1e3),
        n => format!("{:.0}M", (n / 1e6).min(9_999.0)),
    }
}

/// How many cells of `width` stand for `part` of `whole`: something is never
/// nothing, and not all is never all.
pub fn cells(part: f64, whole: f64, width: usize) -> usize {
    if width == 0 || part.is_nan() || part <= 0.0 || whole <= 0.0 {
        return 0;
    }
    if part >= whole {
        return width;
    }
    let filled = (part / whole * width as f64).round() as usize;
    filled.clamp(1, width.saturating_sub(1).max(1))
}

/// Used of a limit.
pub fn bar(used: u32, limit: u32, width: usize) -> String {
    let filled = cells(f64::from(used), f64::from(limit), width);
    let mut text = "█".repeat(filled);
    text.push_str(&"░".repeat(width - filled));
    text
}

/// A curve with one character for each value; a gap where nothing was measured.
pub fn curve(values: &[Option<u32>], most: u32) -> String {
    let level = |value: &Option<u32>| match *value {
        None => ' ',
        Some(0) => LEVELS[0],
        Some(n) => {
            let above = cells(f64::from(n), f64::from(most), LEVELS.len() - 1);
            LEVELS.get(above).copied().unwrap_or('█')
        }
    };
    values.iter().map(level).collect()
}

/// Lines of at most so many characters; a word that is longer is cut.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word.to_owned();
        while width(&word) > 0 {
            let gap = usize::from(!line.is_empty());
            if gap > 0 && width(&line) + gap + width(&word) > room {
                lines.push(std::mem::take(&mut line));
                continue;
            }
            let rest = match width(&word) > room {
                true => split_at_width(&mut word, room),
                false => String::new(),
            };
            if gap > 0 {
                line.push(' ');
            }
            line.push_str(&word);
            word = rest;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// The columns that a terminal needs for it.
pub fn width(text: &str) -> usize {
    ratatui_core::text::Span::raw(text).width()
}

/// Leaves what fits into `room` columns and returns the rest.
fn split_at_width(text: &mut String, room: usize) -> String {
    let fits = |end: usize| text.get(..end).is_some_and(|part| width(part) <= room);
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    // The first character stays even where it is too wide: the way must end.
    let first = text.chars().next().map_or(0, char::len_utf8);
    let end = ends.take_while(|end| fits(*end)).last().unwrap_or(first);
    text.split_off(end.max(first))
}

/// At most `room` columns, with a mark where something was cut.
pub fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut kept = text.to_owned();
    if room == 0 {
        return String::new();
    }
    if room == 1 {
        return "…".to_owned();
    }
    let _ = split_at_width(&mut kept, room - 1);
    // A first character that is too wide goes.
    if width(&kept) > room - 1 {
        kept.clear();
    }
    kept.push('…');
    kept
}

/// A name or a text of others: no escapes, no turned writing, and no more marks
/// upon a letter than one.
pub fn safe(text: &str, chars_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(chars_max));
    let mut marks = 0;
    for c in diagnose::safe::line(text, chars_max).chars() {
        let mut room = [0; 4];
        match width(c.encode_utf8(&mut room)) {
            0 => marks += 1,
            _ => marks = 0,
        }
        if marks <= 1 {
            out.push(c);
        }
    }
    out
}

/// A name.
pub fn name(text: &str) -> String {
    safe(text, diagnose::safe::NAME_CHARS_MAX)
}

/// A sentence.
pub fn prose(text: &str) -> String {
    safe(text, diagnose::safe::LINE_CHARS_MAX)
}

/// As `14:10:05Z`.
pub fn clock(at_ms: i64) -> String {
    format!("{}Z", diagnose::utc::time(at_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_stay_short() {
        let table = [
            (0.0, "0.0 ms"),
            (412.0, "0.4 ms"),
            (9_949.0, "9.9 ms"),
            (9_951.0, "10 ms"),
            (999_499.0, "999 ms"),
            (1_000_000.0, "1.0 s"),
            (59_940_000.0, "59.9 s"),
            (60_000_000.0, "1m00s"),
            (3_599_000_000.0, "59m59s"),
            (7_500_000_000.0, "2h05m"),
            (2.0 * 86_400e6, "2d00h"),
            (f64::NAN, "-"),
            (-1.0, "-"),
            (f64::INFINITY, "-"),
        ];
        for (us, said) in table {
            assert_eq!(micros(us), said, "{us}");
        }
        assert!(
            whole_micros(u64::MAX).len() <= 7,
            "{}",
            whole_micros(u64::MAX)
        );
        let table = [
            (0.0, "0"),
            (0.04, "0.0"),
            (9.94, "9.9"),
            (12.4, "12"),
            (9_999.0, "9999"),
            (12_400.0, "12k"),
            (3_000_000.0, "3M"),
            (f64::NAN, "-"),
        ];
        for (n, said) in table {
            assert_eq!(rate(n), said, "{n}");
        }
    }

    #[test]
    fn something_is_never_nothing_and_not_all_is_never_all() {
        let table = [
            ((0, 20), "░░░░"),
            ((1, 200), "█░░░"),
            ((10, 20), "██░░"),
            ((199, 200), "███░"),
            ((20, 20), "████"),
            ((30, 20), "████"),
            ((5, 0), "░░░░"),
        ];
        for ((used, limit), drawn) in table {
            assert_eq!(bar(used, limit, 4), drawn, "{used}/{limit}");
        }
        let values = [Some(0), Some(1), None, Some(50), Some(99), Some(100)];
        assert_eq!(curve(&values, 100), "▁▂ ▅▇█");
        assert_eq!(curve(&[Some(0), None], 0), "▁ ");
    }

    #[test]
    fn cutting_counts_columns_not_characters() {
        let table = [
            ("shop", 4, "shop"),
            ("shopping", 4, "sho…"),
            ("店舗一覧", 8, "店舗一覧"),
            ("店舗一覧", 7, "店舗一…"),
            ("店舗一覧", 6, "店舗…"),
            ("店", 1, "…"),
            ("店舗", 2, "…"),
            ("x", 0, ""),
        ];
        for (text, room, said) in table {
            assert_eq!(cut(text, room), said, "{text} {room}");
            assert!(width(&cut(text, room)) <= room);
        }
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("abcdefghijk l", 8), ["abcdefgh", "ijk l"]);
        assert_eq!(wrap("  ", 8), [""; 0]);
    }

    #[test]
    fn hostile_names_obey() {
        assert_eq!(name("web\x1b[2J\u{202e}x"), "web?[2J?x");
        // One mark upon a letter is writing; ten are an attack on the line above.
        let piled = format!("e{}", "\u{301}".repeat(10));
        assert_eq!(name(&piled), "e\u{301}");
    }
}
