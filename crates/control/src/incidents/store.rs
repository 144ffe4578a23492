//! Incidents on disk: one SQLite file in the state directory, a row for each.

use crate::settings::store::StoreError;
use crate::state::{Kept, carried};
use diagnose::incident::Incident;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;
use std::time::Duration;

/// The file in the state directory.
pub(crate) const KEPT_FILE: Kept = Kept {
    file: "incidents.db",
    what: "the incidents",
    without: "earlier incidents are not shown, and new ones end with the process",
    steps: &["
CREATE TABLE incidents (id TEXT PRIMARY KEY, opened_ms INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX incidents_opened ON incidents (opened_ms);
"],
};
const BUSY: Duration = Duration::from_millis(500);
/// Most incidents on disk.
const ROWS_MAX: i64 = 1_000;
/// Largest text of a row that is read again.
const BODY_BYTES_MAX: i64 = 8 << 20;

/// What a result of the store is.
pub type Stored<T> = Result<T, StoreError>;

/// Incidents on disk.
pub struct IncidentStore {
    db: Connection,
    kept_ms: i64,
}

impl IncidentStore {
    /// Opens the file in `directory`, or begins one. The directory's lock is the
    /// caller's.
    ///
    /// # Errors
    /// Why it cannot be used; nothing was written then.
    pub fn open(directory: &Path, kept: Duration) -> Stored<IncidentStore> {
        let path = directory.join(KEPT_FILE.file);
        let db = KEPT_FILE.open(&path, BUSY)?;
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600));
        Ok(IncidentStore {
            db,
            kept_ms: i64::try_from(kept.as_millis()).unwrap_or(i64::MAX),
        })
    }

    /// Opens the file to read it, beside the thread that writes.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn read(directory: &Path) -> Stored<IncidentStore> {
        let db = KEPT_FILE.read(&directory.join(KEPT_FILE.file), BUSY)?;
        Ok(IncidentStore { db, kept_ms: 0 })
    }

    /// Writes an incident as it stands; what a newer binary noted of it stays.
    ///
    /// # Errors
    /// SQLite's.
    pub fn write(&self, incident: &Incident) -> Stored<()> {
        let old: Option<String> = self
            .db
            .prepare_cached("SELECT body FROM incidents WHERE id = ?1")?
            .query_row([&incident.id], |row| row.get(0))
            .optional()?;
        let body = carried(old.as_deref(), incident);
        let sql = "INSERT INTO incidents (id, opened_ms, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET opened_ms = ?2, body = ?3";
        self.db
            .prepare_cached(sql)?
            .execute(params![incident.id, incident.opened_ms, body])?;
        Ok(())
    }

    /// The newest so many, oldest first.
    ///
    /// # Errors
    /// SQLite's. A row that cannot be read is passed over.
    pub fn newest(&self, most: usize) -> Stored<Vec<Incident>> {
        let sql = "SELECT body FROM incidents WHERE length(body) <= ?1 \
                   ORDER BY opened_ms DESC, rowid DESC LIMIT ?2";
        let mut query = self.db.prepare_cached(sql)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let bodies =
            query.query_map(params![BODY_BYTES_MAX, most], |row| row.get::<_, String>(0))?;
        let mut incidents = Vec::new();
        for body in bodies {
            incidents.extend(serde_json::from_str::<Incident>(&body?));
        }
        incidents.reverse();
        Ok(incidents)
    }

    /// The one with this id.
    ///
    /// # Errors
    /// SQLite's.
    pub fn of_id(&self, id: &str) -> Stored<Option<Incident>> {
        let sql = "SELECT body FROM incidents WHERE id = ?1 AND length(body) <= ?2";
        let found = self.db.query_row(sql, params![id, BODY_BYTES_MAX], |row| {
            row.get::<_, String>(0)
        });
        match found {
            Ok(body) => Ok(serde_json::from_str(&body).ok()),
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Drops what is too old or too much.
    ///
    /// # Errors
    /// SQLite's.
    pub fn thin(&self, now_ms: i64) -> Stored<()> {
        let old = now_ms.saturating_sub(self.kept_ms);
        self.db
            .execute("DELETE FROM incidents WHERE opened_ms < ?1", [old])?;
        let sql = "DELETE FROM incidents WHERE id NOT IN \
                   (SELECT id FROM incidents ORDER BY opened_ms DESC, rowid DESC LIMIT ?1)";
        self.db.execute(sql, [ROWS_MAX])?;
        Ok(())
    }
}
