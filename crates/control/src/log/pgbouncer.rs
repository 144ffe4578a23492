//! Lines in the shape of PgBouncer's, and its words where it has some.
//!
//! `2026-11-23 03:42:49.123 UTC [4242] LOG message key=value`, to a file and to standard error alike. An event whose
//! target is [`LOG_TARGET`] is a line of PgBouncer's as it stands; the others are our own, and keep their values.

use diagnose::utc;
use events::pgbouncer::LOG_TARGET;
use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Words before the message: day, time, zone, process, level.
const HEAD_WORDS: usize = 5;

/// Every other style leaves PgBouncer's lines out: it has its own for the same.
pub(super) fn is_ours(meta: &Metadata<'_>) -> bool {
    meta.target() != LOG_TARGET
}

/// The message alone, for the system's log: that knows the time and the process.
pub(super) fn without_head(line: &[u8]) -> &[u8] {
    let mut words = line.splitn(HEAD_WORDS + 1, |byte| *byte == b' ');
    words.nth(HEAD_WORDS).unwrap_or(line)
}

/// Writes events as PgBouncer does.
pub(super) struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let level = word(*event.metadata().level());
        let (time, pid) = (stamp(SystemTime::now()), std::process::id());
        writeln!(
            writer,
            "{time} [{pid}] {level} {}{}",
            said.message, said.values
        )
    }
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "LOG",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "NOISE",
    }
}

/// UTC, whatever the process' time zone is: no line is ever an hour off.
fn stamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let (date, time) = (utc::date(at_ms), utc::time(at_ms));
    format!("{date} {time}.{:03} UTC", since.subsec_millis())
}

/// What an event says: its message, and ` key=value` for each of its values.
#[derive(Default)]
struct Said {
    message: String,
    values: String,
}

impl Said {
    fn value(&mut self, field: &Field, text: &str) {
        if field.name() == "message" {
            return plain(&mut self.message, text);
        }
        self.values.push(' ');
        self.values.push_str(field.name());
        self.values.push('=');
        plain(&mut self.values, text);
    }
}

/// Texts are in quotes and what shows itself is not, as in our own style.
impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.value(field, &format!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.value(field, &format!("{value:?}"));
    }
}

/// Appends `text` so that it stays on its line: what would move a cursor or begin a line is written as a code.
fn plain(out: &mut String, text: &str) {
    for char in text.chars() {
        let moves = char.is_control()
            || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match moves {
            true => drop(write!(out, "{}", char.escape_default())),
            false => out.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_as_pgbouncer_writes_them() {
        let table = [
            (0, "1970-01-01 00:00:00.000 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00.000 UTC"),
            (1_795_405_369_123, "2026-11-23 03:42:49.123 UTC"),
            (4_102_444_799_999, "2099-12-31 23:59:59.999 UTC"),
        ];
        for (millis, text) in table {
            let at = UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(stamp(at), text);
        }
    }

    #[test]
    fn what_a_client_chose_stays_on_its_line() {
        let mut out = String::new();
        plain(&mut out, "a\n2026 LOG b\r\u{1b}[2J\u{202e}\u{85}ä");
        assert_eq!(out, "a\\n2026 LOG b\\r\\u{1b}[2J\\u{202e}\\u{85}ä");
    }

    #[test]
    fn the_systems_log_gets_the_message_alone() {
        let line = b"2026-11-23 03:42:49.123 UTC [42] LOG C-0x1: a/b@unix:6432 closing\n";
        let left = without_head(line);
        assert_eq!(left, b"C-0x1: a/b@unix:6432 closing\n");
        assert_eq!(without_head(b"short"), b"short");
    }
}
