//! Rows of the history, and its bounds.

use super::{Record, Version};
use crate::guard::asking::is_server;
use crate::guard::mask::Kept;
use crate::guard::observe::Observed;
use crate::settings::store::{Stored, now_ms};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use std::path::{Path, PathBuf};

/// Versions of one file, and the bytes of their texts; the accepted one is never dropped.
pub(super) const VERSIONS_MAX: i64 = 500;
pub(super) const TEXT_BYTES_MAX: i64 = 16 << 20;
/// Events over all files.
const EVENTS_MAX: i64 = 50_000;
/// What stands in place of a text that had to go.
pub(super) const DROPPED: &str = "the text was dropped: newer ones fill the history's bound";

pub(super) const SCHEMA_1: &str = "
CREATE TABLE root (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, accepted INTEGER);
CREATE TABLE version (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file INTEGER NOT NULL REFERENCES file (id) ON DELETE CASCADE,
    hash TEXT NOT NULL,
    at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    text TEXT,
    whole INTEGER NOT NULL,
    lacks TEXT NOT NULL,
    difference TEXT NOT NULL,
    findings TEXT NOT NULL
);
CREATE INDEX version_file ON version (file, id);
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file INTEGER NOT NULL REFERENCES file (id) ON DELETE CASCADE,
    version INTEGER,
    at INTEGER NOT NULL,
    what TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX event_file ON event (file, id);
";

pub(super) const VERSION: &str =
    "SELECT version.id, file.path, hash, at, size, mode, uid, gid, modified, text, whole,
    lacks, difference, findings, file.accepted = version.id
    FROM version JOIN file ON file.id = version.file";

pub(super) fn words(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(super) fn file_id(write: &Transaction<'_>, path: &Path) -> Stored<i64> {
    let path = words(path);
    write.execute("INSERT OR IGNORE INTO file (path) VALUES (?1)", [&path])?;
    let sql = "SELECT id FROM file WHERE path = ?1";
    Ok(write.query_row(sql, [&path], |row| row.get(0))?)
}

/// The newest version of this content, or a new one.
pub(super) fn version_id(
    write: &Transaction<'_>,
    file: i64,
    seen: &Observed,
    new: &Record<'_>,
) -> Stored<i64> {
    let sql =
        "SELECT max(id) FROM version WHERE file = ?1 AND hash = ?2 AND (text IS NOT NULL OR ?3)";
    let found: Option<i64> = write.query_row(
        sql,
        params![file, seen.hash, seen.kept.text().is_none()],
        |row| row.get(0),
    )?;
    if let Some(id) = found {
        return Ok(id);
    }
    write.execute(
        "INSERT INTO version (file, hash, at, size, mode, uid, gid, modified, text, whole, lacks, difference, findings)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            file,
            seen.hash,
            now_ms(),
            seen.size as i64,
            seen.mode,
            seen.uid,
            seen.gid,
            seen.modified_ms,
            seen.kept.text(),
            matches!(seen.kept, Kept::Whole(_)),
            lacks(new.path, &seen.kept),
            new.difference.and_then(|d| serde_json::to_string(d).ok()).unwrap_or_default(),
            serde_json::to_string(new.findings).unwrap_or_default(),
        ],
    )?;
    Ok(write.last_insert_rowid())
}

/// What a version lacks, in words.
pub(in crate::guard) fn lacks(path: &Path, kept: &Kept) -> String {
    match kept {
        Kept::Whole(_) => String::new(),
        Kept::Masked(_) if is_server(path) => String::new(),
        Kept::Masked(_) => "its secrets are left out".to_owned(),
        Kept::Nothing(why) => format!("only its hash is kept: {why}"),
    }
}

pub(super) fn event(
    write: &Transaction<'_>,
    file: i64,
    version: Option<i64>,
    new: &Record<'_>,
) -> Stored<()> {
    // A restart tells again what it finds; the history does not.
    let last: Option<(Option<i64>, String)> = write
        .query_row(
            "SELECT version, what FROM event WHERE file = ?1 ORDER BY id DESC LIMIT 1",
            [file],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    if new.reason.is_empty() && last == Some((version, new.what.to_owned())) {
        return Ok(());
    }
    write.execute(
        "INSERT INTO event (file, version, at, what, actor, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![file, version, now_ms(), new.what, new.actor, new.reason],
    )?;
    let sql = "DELETE FROM event WHERE id <= ?1 - ?2";
    write.execute(sql, params![write.last_insert_rowid(), EVENTS_MAX])?;
    Ok(())
}

/// Keeps a file's history within its bounds, and never drops what is accepted.
pub(super) fn trim(write: &Transaction<'_>, file: i64) -> Stored<()> {
    write.execute(
        "DELETE FROM version WHERE file = ?1 AND id <> (SELECT coalesce(accepted, 0) FROM file WHERE id = ?1)
         AND id NOT IN (SELECT id FROM version WHERE file = ?1 ORDER BY id DESC LIMIT ?2)",
        params![file, VERSIONS_MAX],
    )?;
    write.execute(
        "UPDATE version SET text = NULL, whole = 0, lacks = ?3 WHERE file = ?1 AND text IS NOT NULL
         AND id <> (SELECT coalesce(accepted, 0) FROM file WHERE id = ?1)
         AND id IN (SELECT id FROM (SELECT id, sum(length(CAST(text AS BLOB))) OVER (ORDER BY id DESC) AS bytes
                    FROM version WHERE file = ?1 AND text IS NOT NULL) WHERE bytes > ?2)",
        params![file, TEXT_BYTES_MAX, DROPPED],
    )?;
    Ok(())
}

pub(super) fn read_version(row: &Row<'_>) -> rusqlite::Result<Version> {
    let difference: String = row.get(12)?;
    let findings: String = row.get(13)?;
    Ok(Version {
        version: row.get::<_, i64>(0)? as u64,
        path: PathBuf::from(row.get::<_, String>(1)?),
        hash: row.get(2)?,
        at_ms: row.get(3)?,
        size: row.get::<_, i64>(4)? as u64,
        mode: row.get(5)?,
        uid: row.get(6)?,
        gid: row.get(7)?,
        modified_ms: row.get(8)?,
        text: row.get(9)?,
        whole: row.get(10)?,
        lacks: row.get(11)?,
        difference: serde_json::from_str(&difference).unwrap_or_default(),
        findings: serde_json::from_str(&findings).unwrap_or_default(),
        accepted: row.get::<_, Option<bool>>(14)?.unwrap_or(false),
    })
}
