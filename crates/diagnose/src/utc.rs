//! Moments in UTC, as people write them.

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Year, month and day.
///
/// The arithmetic counts in eras of 400 years that begin in March, so that the
/// leap day is the last of its year.
fn civil(at_ms: i64) -> (i64, i64, i64) {
    let days = at_ms.div_euclid(DAY_MS).saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// As `2026-11-21`.
pub fn date(at_ms: i64) -> String {
    let (year, month, day) = civil(at_ms);
    format!("{year:04}-{month:02}-{day:02}")
}

/// As `14:10:03`.
pub fn time(at_ms: i64) -> String {
    let second = at_ms.div_euclid(1_000).rem_euclid(86_400);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{hour:02}:{minute:02}:{:02}", second % 60)
}

/// As `2026-11-21 14:10:03 UTC`.
pub fn moment(at_ms: i64) -> String {
    format!("{} {} UTC", date(at_ms), time(at_ms))
}

/// A length of time in words: `45 s`, `12 min`, `2 h 35 min`.
pub fn length(ms: i64) -> String {
    let seconds = ms.max(0).saturating_add(500) / 1_000;
    let minutes = seconds.saturating_add(30) / 60;
    match seconds {
        s if s < 90 => format!("{s} s"),
        _ if minutes < 120 => format!("{minutes} min"),
        _ if minutes % 60 == 0 => format!("{} h", minutes / 60),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        let table = [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_723_731_000_000, "2024-08-15 14:10:00 UTC"),
            (1_795_305_599_999, "2026-11-21 23:59:59 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ];
        for (at_ms, text) in table {
            assert_eq!(moment(at_ms), text);
        }
        // Far away, but no panic.
        assert!(!moment(i64::MAX).is_empty() && !moment(i64::MIN).is_empty());
    }

    #[test]
    fn lengths_are_in_words() {
        let table = [
            (-5, "0 s"),
            (45_000, "45 s"),
            (90_000, "2 min"),
            (720_000, "12 min"),
            (7_200_000, "2 h"),
            (9_300_000, "2 h 35 min"),
        ];
        for (ms, text) in table {
            assert_eq!(length(ms), text);
        }
    }
}
