//! Roll-ups and markers on disk: one SQLite file in the state directory.
//!
//! A failure here is told and counted, and the next second tries again: what is
//! measured stays in memory, and nobody waits for the disk. The minute under way
//! is written each second, so that a kill loses at most the last one.

use crate::settings::store::StoreError;
use crate::state::{Kept, carried, is_ahead};
use events::sample::{Marker, MarkerKind, Name, Sample};
use rusqlite::{Connection, OptionalExtension, params};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::Duration;

/// The file in the state directory.
pub(crate) const KEPT_FILE: Kept = Kept {
    file: "measures.db",
    what: "the figures of earlier minutes and the markers",
    without: "a diagnosis knows no yesterday, and what is measured now ends with the process",
    steps: &["
CREATE TABLE spans (at_ms INTEGER PRIMARY KEY, span_ms INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE markers (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
    subject TEXT NOT NULL, text TEXT NOT NULL, actor TEXT NOT NULL) STRICT;
CREATE INDEX markers_at ON markers (at_ms);
"],
};
const BUSY: Duration = Duration::from_millis(200);
/// A minute's row is kept for a day, then ten of them become one.
const FINE_MS: i64 = 24 * 3_600_000;
const COARSE_MS: i64 = 600_000;
/// Coarse rows made of fine ones at a time, so that no second takes long.
const THINNED_PER_TURN: usize = 4;
/// Largest text of a row that is read again.
const BODY_BYTES_MAX: usize = 4 << 20;

/// What a result of the store is.
pub type Stored<T> = Result<T, StoreError>;

/// Roll-ups and markers on disk.
pub struct MeasureStore {
    db: Connection,
    retention_ms: i64,
    /// The minute that is written, and what an earlier process wrote of it.
    minute: RefCell<(i64, Option<String>)>,
    /// Rows before it were looked at by [`MeasureStore::thin`], and some left as they are.
    thinned_ms: Cell<i64>,
}

impl MeasureStore {
    /// Opens the file in `directory`, or begins one. The directory's lock is the
    /// caller's.
    ///
    /// # Errors
    /// Why it cannot be used; nothing was written then.
    pub fn open(directory: &Path, retention: Duration) -> Stored<MeasureStore> {
        let path = directory.join(KEPT_FILE.file);
        let db = KEPT_FILE.open(&path, BUSY)?;
        // What a crash of the machine may cost here is seconds of figures.
        db.execute_batch("PRAGMA synchronous = NORMAL;")?;
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
        Ok(MeasureStore {
            db,
            retention_ms: i64::try_from(retention.as_millis()).unwrap_or(i64::MAX),
            minute: RefCell::new((i64::MIN, None)),
            thinned_ms: Cell::new(i64::MIN),
        })
    }

    /// Writes a span. One that began in the same minute is replaced, or, where an
    /// earlier process wrote it, added to.
    ///
    /// # Errors
    /// SQLite's.
    pub fn write(&self, sample: &Sample) -> Stored<()> {
        let minute = sample.at_ms - sample.at_ms.rem_euclid(60_000);
        if self.minute.borrow().0 != minute {
            *self.minute.borrow_mut() = (minute, self.before(minute, sample)?);
        }
        let (span_ms, body) = match &self.minute.borrow().1 {
            None => (
                sample.span_ms,
                serde_json::to_string(sample).unwrap_or_default(),
            ),
            Some(before) => match serde_json::from_str::<Sample>(before) {
                Ok(mut whole) => {
                    whole.merge(sample);
                    (whole.span_ms, carried(Some(before), &whole))
                }
                // A newer binary's, which says nothing here: it stays as it is.
                Err(_) => return Ok(()),
            },
        };
        let sql = "INSERT OR REPLACE INTO spans (at_ms, span_ms, body) VALUES (?1, ?2, ?3)";
        self.db
            .prepare_cached(sql)?
            .execute(params![minute, span_ms, body])?;
        Ok(())
    }

    /// What an earlier process wrote of the minute of `sample`, whose part begins later.
    fn before(&self, minute: i64, sample: &Sample) -> Stored<Option<String>> {
        let sql = "SELECT body FROM spans WHERE at_ms = ?1 AND length(body) <= ?2";
        let found = self
            .db
            .prepare_cached(sql)?
            .query_row(params![minute, BODY_BYTES_MAX as i64], |row| {
                row.get::<_, String>(0)
            })
            .optional()?;
        let begin = sample.at_ms - i64::from(sample.span_ms);
        let earlier = |body: &String| {
            serde_json::from_str::<Sample>(body).map_or(true, |before| before.at_ms <= begin)
        };
        Ok(found.filter(earlier))
    }

    /// Writes a marker.
    ///
    /// # Errors
    /// SQLite's.
    pub fn mark(&self, marker: &Marker) -> Stored<()> {
        let sql =
            "INSERT INTO markers (at_ms, kind, subject, text, actor) VALUES (?1, ?2, ?3, ?4, ?5)";
        let kind = marker.kind.label();
        let (subject, actor) = (&*marker.subject, &*marker.actor);
        self.db.execute(
            sql,
            params![marker.at_ms, kind, subject, marker.text, actor],
        )?;
        Ok(())
    }

    /// Spans that began between these, oldest first, the newest `most`.
    ///
    /// # Errors
    /// SQLite's. A row that cannot be read is passed over.
    pub fn spans(&self, from_ms: i64, until_ms: i64, most: usize) -> Stored<Vec<Sample>> {
        let sql = "SELECT body FROM spans WHERE at_ms BETWEEN ?1 AND ?2 AND length(body) <= ?3 \
                   ORDER BY at_ms DESC LIMIT ?4";
        let mut query = self.db.prepare_cached(sql)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let bodies = query.query_map(
            params![from_ms, until_ms, BODY_BYTES_MAX as i64, most],
            |row| row.get::<_, String>(0),
        )?;
        let mut spans = Vec::new();
        for body in bodies {
            spans.extend(serde_json::from_str::<Sample>(&body?));
        }
        spans.reverse();
        Ok(spans)
    }

    /// The newest markers after `from_ms`, oldest first.
    ///
    /// # Errors
    /// SQLite's.
    pub fn markers(&self, from_ms: i64, most: usize) -> Stored<Vec<Marker>> {
        let sql = "SELECT at_ms, kind, subject, text, actor FROM markers WHERE at_ms >= ?1 \
                   ORDER BY at_ms DESC, id DESC LIMIT ?2";
        let mut query = self.db.prepare_cached(sql)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = query.query_map(params![from_ms, most], |row| {
            Ok(Marker {
                at_ms: row.get(0)?,
                kind: MarkerKind::of_label(&row.get::<_, String>(1)?),
                subject: Name::from(row.get::<_, String>(2)?),
                text: row.get(3)?,
                actor: Name::from(row.get::<_, String>(4)?),
            })
        })?;
        let mut markers = rows.collect::<Result<Vec<_>, _>>()?;
        markers.reverse();
        Ok(markers)
    }

    /// Drops what is too old, and makes ten minutes of a day ago into one row. A
    /// little at a time: call it now and then.
    ///
    /// # Errors
    /// SQLite's.
    pub fn thin(&self, now_ms: i64) -> Stored<()> {
        let old = now_ms.saturating_sub(self.retention_ms);
        self.db
            .execute("DELETE FROM spans WHERE at_ms < ?1", [old])?;
        self.db
            .execute("DELETE FROM markers WHERE at_ms < ?1", [old])?;
        let fine = now_ms.saturating_sub(FINE_MS);
        for _ in 0..THINNED_PER_TURN {
            let sql = "SELECT at_ms FROM spans WHERE at_ms < ?1 AND at_ms >= ?2 AND span_ms <= 60000 ORDER BY at_ms LIMIT 1";
            let first: Option<i64> = self
                .db
                .query_row(sql, [fine, self.thinned_ms.get()], |row| row.get(0))
                .optional()?;
            let Some(first) = first else { return Ok(()) };
            let begin = first - first.rem_euclid(COARSE_MS);
            self.join(begin)?;
            self.thinned_ms.set(begin + COARSE_MS);
        }
        Ok(())
    }

    fn join(&self, begin: i64) -> Stored<()> {
        let end = begin + COARSE_MS - 1;
        if self.ahead(begin, end)? {
            // A newer binary wrote of these minutes what would be lost here.
            return Ok(());
        }
        let mut parts = self.spans(begin, end, usize::MAX)?.into_iter();
        let transaction = self.db.unchecked_transaction()?;
        transaction.execute(
            "DELETE FROM spans WHERE at_ms BETWEEN ?1 AND ?2",
            [begin, end],
        )?;
        if let Some(mut sum) = parts.next() {
            parts.for_each(|part| sum.merge(&part));
            let body = serde_json::to_string(&sum).unwrap_or_default();
            // Told apart from a minute by its span, also where little of it was measured.
            let span = i64::from(sum.span_ms).max(60_001);
            transaction.execute(
                "INSERT INTO spans (at_ms, span_ms, body) VALUES (?1, ?2, ?3)",
                params![begin, span, body],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn ahead(&self, from_ms: i64, until_ms: i64) -> Stored<bool> {
        let sql = "SELECT body FROM spans WHERE at_ms BETWEEN ?1 AND ?2 AND length(body) <= ?3";
        let mut query = self.db.prepare_cached(sql)?;
        let bound = params![from_ms, until_ms, BODY_BYTES_MAX as i64];
        let bodies = query.query_map(bound, |row| row.get::<_, String>(0))?;
        for body in bodies {
            if is_ahead::<Sample>(&body?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Dir(PathBuf);

    impl Dir {
        fn new() -> Dir {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let path =
                std::env::temp_dir().join(format!("plimsoll-measures-{}-{n}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a directory");
            Dir(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn minute(n: i64) -> Sample {
        Sample {
            at_ms: n * 60_000 + 59_000,
            span_ms: 60_000,
            refusals: vec![("shed".into(), 1)],
            ..Sample::default()
        }
    }

    const DAYS: Duration = Duration::from_secs(14 * 86_400);

    #[test]
    fn what_was_written_is_read_by_the_next_process() {
        let dir = Dir::new();
        let marker = Marker {
            at_ms: 5,
            kind: MarkerKind::Release,
            subject: "web".into(),
            text: "2.4.1".into(),
            actor: "ci".into(),
        };
        let store = MeasureStore::open(&dir.0, DAYS).expect("a new file");
        for n in 0..3 {
            store.write(&minute(n)).expect("written");
        }
        // The minute under way is written again and again.
        store.write(&minute(2)).expect("written");
        store.mark(&marker).expect("written");
        drop(store);
        let store = MeasureStore::open(&dir.0, DAYS).expect("the same file");
        let spans = store.spans(0, i64::MAX, 2).expect("read");
        assert_eq!(spans, [minute(1), minute(2)]);
        assert_eq!(store.markers(0, 10).expect("read"), [marker]);
    }

    #[test]
    fn old_minutes_become_fewer_and_then_go() {
        let dir = Dir::new();
        let store = MeasureStore::open(&dir.0, DAYS).expect("a new file");
        for n in 0..20 {
            store.write(&minute(n)).expect("written");
        }
        store.thin(FINE_MS + 10 * 60_000).expect("thinned");
        let spans = store.spans(0, i64::MAX, 100).expect("read");
        assert_eq!(spans.len(), 11);
        assert_eq!((spans[0].span_ms, spans[0].refused("shed")), (600_000, 10));
        store.thin(15 * 86_400_000).expect("thinned");
        assert_eq!(store.spans(0, i64::MAX, 100).expect("read"), []);
    }

    fn second(at_s: i64) -> Sample {
        Sample {
            at_ms: at_s * 1_000,
            span_ms: 1_000,
            refusals: vec![("shed".into(), 1)],
            ..Sample::default()
        }
    }

    #[test]
    fn a_restart_in_the_middle_of_a_minute_loses_nothing_of_it() {
        let dir = Dir::new();
        let store = MeasureStore::open(&dir.0, DAYS).expect("a new file");
        let mut first = second(1);
        first.merge(&second(2));
        store.write(&first).expect("written");
        // The disk failed and is back: what this process wrote is not added twice.
        drop(store);
        let store = MeasureStore::open(&dir.0, DAYS).expect("the same file");
        first.merge(&second(3));
        store.write(&first).expect("written");
        drop(store);
        // The next process.
        let store = MeasureStore::open(&dir.0, DAYS).expect("the same file");
        let mut next = second(6);
        store.write(&next).expect("written");
        next.merge(&second(7));
        store.write(&next).expect("written");
        let spans = store.spans(0, i64::MAX, 2).expect("read");
        assert_eq!(
            (spans.len(), spans[0].span_ms, spans[0].refused("shed")),
            (1, 5_000, 5)
        );
    }

    #[test]
    fn what_a_newer_binary_wrote_of_a_minute_is_there_when_it_is_back() {
        let dir = Dir::new();
        let store = MeasureStore::open(&dir.0, DAYS).expect("a new file");
        let newer = |at_s: i64, field: &str| {
            let mut body = serde_json::to_value(second(at_s)).expect("JSON");
            body[field] = "of next year".into();
            let sql = "INSERT INTO spans (at_ms, span_ms, body) VALUES (?1, 1000, ?2)";
            let row = params![at_s * 1_000 / 60_000 * 60_000, body.to_string()];
            store.db.execute(sql, row).expect("planted");
        };
        newer(5, "field");
        newer(65, "at_ms");
        store.write(&second(9)).expect("added to");
        store.write(&second(69)).expect("left alone");
        store.thin(FINE_MS + 3_600_000).expect("thinned");
        store.thin(FINE_MS + 3_600_000).expect("thinned");
        let mut query = store
            .db
            .prepare("SELECT body FROM spans ORDER BY at_ms")
            .expect("read");
        let bodies = query.query_map([], |row| row.get(0)).expect("read");
        let bodies: Vec<String> = bodies.collect::<Result<_, _>>().expect("text");
        assert_eq!(bodies.len(), 2, "{bodies:?}");
        assert!(
            bodies.iter().all(|b| b.contains("of next year")),
            "{bodies:?}"
        );
        assert!(bodies[0].contains("\"span_ms\":2000"), "{bodies:?}");
    }

    #[test]
    fn a_newer_file_and_a_damaged_one_are_left_alone() {
        let dir = Dir::new();
        let store = MeasureStore::open(&dir.0, DAYS).expect("a new file");
        store
            .db
            .execute_batch("PRAGMA user_version = 99;")
            .expect("set");
        drop(store);
        assert!(MeasureStore::open(&dir.0, DAYS).is_err());
        std::fs::write(
            dir.0.join(KEPT_FILE.file),
            "no database at all, but some words",
        )
        .expect("written");
        assert!(MeasureStore::open(&dir.0, DAYS).is_err());
    }
}
