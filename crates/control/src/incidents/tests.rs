//! Incidents across processes, and beside disks that fail.

use super::*;
use diagnose::alert::{Alert, AlertName, AlertState};
use diagnose::incident::Standing;
use events::sample::Record;
use std::sync::atomic::AtomicU32;

struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("plimsoll-incidents-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One second in which this alert changed.
fn second(incidents: &Incidents, alert: Option<Alert>, now_ms: i64) {
    let changes: Vec<Alert> = alert.into_iter().collect();
    incidents.sink().second(&Second {
        record: &Record::default(),
        changes: &changes,
        alerts: &changes,
        verdict: None,
        now_ms,
    });
}

fn fires(at_ms: i64) -> Alert {
    Alert::firing(AlertName::PoolExhausted, "exhausted/shop", at_ms)
}

#[test]
fn what_was_noted_is_known_to_the_next_process() {
    let dir = Dir::new();
    let now = now_ms();
    let incidents = Incidents::default();
    let keeping = keep(&incidents, &dir.0).expect("a thread");
    second(&incidents, Some(fires(now)), now);
    let noted = incidents.note("last", "anna", "the network?", Some(Cause::Network));
    let id = noted.expect("noted").id;
    keeping.stop();

    let incidents = Incidents::default();
    let keeping = keep(&incidents, &dir.0).expect("a thread");
    keeping.stop();
    let kept = incidents.of_id(&id).expect("kept");
    assert_eq!(kept.standing, Standing::Open);
    assert_eq!(kept.notes[0].text, "the network?");
    // The same alert joins what it had opened.
    second(&incidents, Some(fires(now)), now + 1_000);
    assert_eq!(incidents.list(10).len(), 1);
    let over = Alert {
        state: AlertState::Resolved,
        resolved_ms: Some(now + 2_000),
        ..fires(now)
    };
    second(&incidents, Some(over), now + 2_000);
    second(&incidents, None, now + 400_000);
    assert_eq!(
        incidents.of_id(&id).map(|i| i.standing),
        Some(Standing::Closed)
    );
}

#[test]
fn without_a_disk_all_is_kept_in_memory() {
    let dir = Dir::new();
    let file = dir.0.join("not a directory");
    std::fs::write(&file, "x").expect("written");
    let now = now_ms();
    let incidents = Incidents::default();
    let keeping = keep(&incidents, &file).expect("a thread");
    second(&incidents, Some(fires(now)), now);
    incidents.note("last", "anna", "x", None).expect("noted");
    incidents.close("last", "anna", "a drill").expect("closed");
    keeping.stop();
    assert!(incidents.store_failures() > 0);
    let incident = incidents.of_id("last").expect("in memory");
    assert_eq!(
        incident.closed_by,
        ("anna".to_owned(), "a drill".to_owned())
    );
    assert!(matches!(
        incidents.note("1999-01-01-1", "anna", "x", None),
        Err(IncidentError::Unknown)
    ));
}

#[test]
fn a_damaged_file_and_a_newer_one_are_left_alone() {
    let dir = Dir::new();
    let path = dir.0.join(KEPT_FILE.file);
    std::fs::write(&path, "no database at all, but some words").expect("written");
    assert!(IncidentStore::open(&dir.0, KEPT).is_err());
    std::fs::remove_file(&path).expect("removed");
    IncidentStore::open(&dir.0, KEPT).expect("a new file");
    let db = rusqlite::Connection::open(&path).expect("opened");
    db.execute_batch("PRAGMA user_version = 99;").expect("set");
    assert!(IncidentStore::open(&dir.0, KEPT).is_err());
    assert!(IncidentStore::read(&dir.0).is_err());
}

#[test]
fn old_ones_go_and_the_rest_is_listed_newest_first() {
    let dir = Dir::new();
    let store = IncidentStore::open(&dir.0, KEPT).expect("a new file");
    let day = 86_400_000;
    for n in 0..4 {
        let incident = Incident {
            id: format!("day-{n}"),
            opened_ms: n * day,
            ..Incident::default()
        };
        store.write(&incident).expect("written");
    }
    store.thin(92 * day).expect("thinned");
    let incidents = Incidents::default();
    incidents.state().directory = Some(dir.0.clone());
    let ids: Vec<String> = incidents.list(10).into_iter().map(|i| i.id).collect();
    assert_eq!(ids, ["day-3", "day-2"]);
    assert!(incidents.of_id("day-2").is_some());
}

#[test]
fn fields_and_columns_of_a_newer_binary_stay_in_an_incident_that_goes_on() {
    let dir = Dir::new();
    let store = IncidentStore::open(&dir.0, KEPT).expect("a new file");
    let mut incident = Incident {
        id: "day-1".to_owned(),
        opened_ms: 7,
        ..Incident::default()
    };
    store.write(&incident).expect("written");
    let db = rusqlite::Connection::open(dir.0.join(KEPT_FILE.file)).expect("opened");
    db.execute_batch(
        "ALTER TABLE incidents ADD COLUMN weather TEXT DEFAULT 'rain';
         UPDATE incidents SET weather = 'fog', body = json_set(body, '$.of_next_year', 7);",
    )
    .expect("planted");
    incident = store.of_id("day-1").expect("read").expect("there");
    incident.title = "another title".to_owned();
    store.write(&incident).expect("written");
    let sql = "SELECT weather || body FROM incidents";
    let row: String = db.query_row(sql, [], |row| row.get(0)).expect("read");
    assert!(
        row.starts_with("fog")
            && row.contains("\"of_next_year\":7")
            && row.contains("another title"),
        "{row}"
    );
}
