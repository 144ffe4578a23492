//! Roll-ups and markers on disk: one SQLite file in the state directory.
//!
//! A failure here is told and counted, and the next second tries again: what is
//! measured stays in memory, and nobody waits for the disk. The minute under way
//! is written each second, so that a kill loses at most the last one.

use crate::settings::store::{StoreError, settled};
use events::sample::{Marker, MarkerKind, Name, Sample};
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The number of this schema; a file with a higher one is left alone.
const SCHEMA: i64 = 1;
/// The file in the state directory.
pub(crate) const FILE: &str = "measures.db";
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
}

impl MeasureStore {
    /// Opens the file in `directory`, or begins one. The directory's lock is the
    /// caller's.
    ///
    /// # Errors
    /// Why it cannot be used; nothing was written then.
    pub fn open(directory: &Path, retention: Duration) -> Stored<MeasureStore> {
        let path: PathBuf = directory.join(FILE);
        let db = Connection::open(&path)?;
        let schema = settled(&db, &path, (SCHEMA, BUSY))?;
        // What a crash of the machine may cost here is seconds of figures.
        db.execute_batch("PRAGMA synchronous = NORMAL;")?;
        if schema < SCHEMA {
            db.execute_batch(&format!(
                "BEGIN;
                 CREATE TABLE spans (at_ms INTEGER PRIMARY KEY, span_ms INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
                 CREATE TABLE markers (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
                     subject TEXT NOT NULL, text TEXT NOT NULL, actor TEXT NOT NULL) STRICT;
                 CREATE INDEX markers_at ON markers (at_ms);
                 PRAGMA user_version = {SCHEMA};
                 COMMIT;"
            ))?;
        }
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
        Ok(MeasureStore {
            db,
            retention_ms: i64::try_from(retention.as_millis()).unwrap_or(i64::MAX),
        })
    }

    /// Writes a span; one that began in the same minute is replaced.
    ///
    /// # Errors
    /// SQLite's.
    pub fn write(&self, sample: &Sample) -> Stored<()> {
        let minute = sample.at_ms - sample.at_ms.rem_euclid(60_000);
        let body = serde_json::to_string(sample).unwrap_or_default();
        self.db
            .prepare_cached("INSERT OR REPLACE INTO spans VALUES (?1, ?2, ?3)")?
            .execute(params![minute, sample.span_ms, body])?;
        Ok(())
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
            let sql = "SELECT at_ms FROM spans WHERE at_ms < ?1 AND span_ms <= 60000 ORDER BY at_ms LIMIT 1";
            let first: Option<i64> = match self.db.query_row(sql, [fine], |row| row.get(0)) {
                Ok(at) => Some(at),
                Err(rusqlite::Error::QueryReturnedNoRows) => None,
                Err(error) => return Err(error.into()),
            };
            let Some(first) = first else { return Ok(()) };
            let begin = first - first.rem_euclid(COARSE_MS);
            self.join(begin)?;
        }
        Ok(())
    }

    fn join(&self, begin: i64) -> Stored<()> {
        let end = begin + COARSE_MS - 1;
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
                "INSERT INTO spans VALUES (?1, ?2, ?3)",
                params![begin, span, body],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        std::fs::write(dir.0.join(FILE), "no database at all, but some words").expect("written");
        assert!(MeasureStore::open(&dir.0, DAYS).is_err());
    }
}
