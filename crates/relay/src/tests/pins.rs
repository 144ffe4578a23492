//! What becomes of a client that asks to keep its connection beyond the share.

use super::*;
use events::PinKind;

/// One connection, no share for pins, and the guard in this mode.
fn stage(pins: GuardMode) -> Stage {
    let mut s = Stage::new(1);
    let info = PoolInfo {
        pins_max: 0,
        ..pool_info(PoolMode::Transaction)
    };
    s.ports.info = Arc::new(info);
    s.ports.pins = pins;
    s
}

fn counted(s: &Stage) -> Vec<(PinKind, [u64; 3])> {
    let rows = s.hub.application_rows(s.now);
    rows.iter()
        .flat_map(|r| r.pins.rows().collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_guard_that_watches_refuses_nobody_and_holds_no_connection() {
    for (statement, kind, cleaned) in [
        ("LISTEN a", PinKind::Listen, false),
        ("CREATE TEMP TABLE t (a int)", PinKind::Temporary, false),
        ("PREPARE p AS SELECT 1", PinKind::Prepare, false),
        (
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            PinKind::Cursor,
            false,
        ),
        ("SELECT pg_advisory_lock(1)", PinKind::Lock, false),
        ("LOAD 'auto_explain'", PinKind::Load, false),
        // Nobody else may act in its role.
        (
            "SELECT set_config('role', now()::text, false)",
            PinKind::Setting,
            true,
        ),
    ] {
        for mode in [GuardMode::Observe, GuardMode::Off] {
            let mut s = stage(mode);
            let c = s.client(&[]);
            s.send(c, &format!("Q {statement}"));
            assert_eq!(s.server_got(0), format!("Q {statement}"));
            s.answer(0, "C X / Z I");
            assert_eq!(s.client_got(c), "C X / Z I", "{statement}");
            let idle = s.ports.idle.len();
            let cleaning = s.server_got(0);
            let expected = if cleaned {
                (0, "Q DISCARD ALL")
            } else {
                (1, "")
            };
            assert_eq!((idle, cleaning.as_str()), expected, "{statement}");
            assert_eq!(counted(&s), [(kind, [0, 1, 0])], "{statement}");
        }
        let mut s = stage(GuardMode::Enforce);
        let c = s.client(&[]);
        s.send(c, &format!("Q {statement}"));
        s.answer(0, "E 42703 / Z I");
        assert_eq!(s.client_got(c), "E 53300 / Z I", "{statement}");
        assert_eq!(counted(&s), [(kind, [0, 0, 1])], "{statement}");
    }
}

#[test]
fn a_transaction_keeps_its_connection_as_ever() {
    let mut s = stage(GuardMode::Observe);
    let c = s.client(&[]);
    s.send(c, "Q BEGIN");
    s.answer(0, "C BEGIN / Z T");
    s.send(c, "Q LISTEN a");
    s.answer(0, "C LISTEN / Z T");
    assert_eq!(s.ports.idle.len(), 0);
    s.send(c, "Q COMMIT");
    s.answer(0, "C COMMIT / Z I");
    assert_eq!(s.ports.idle.len(), 1);
}

#[test]
fn who_finds_room_later_is_kept_from_then_on_and_nothing_old_keeps_it() {
    let mut s = stage(GuardMode::Observe);
    let c = s.client(&[]);
    s.send(c, "Q CREATE TEMP TABLE t (a int)");
    s.answer(0, "C CREATE TABLE / Z I");
    assert_eq!(s.ports.idle.len(), 1, "left behind");
    // The share grows by a reload.
    let info = Arc::new(pool_info(PoolMode::Transaction));
    s.ports.info = Arc::clone(&info);
    s.hub.pool_changed(&info);
    s.send(c, "Q LISTEN a");
    s.answer(0, "C LISTEN / Z I");
    assert_eq!(s.ports.idle.len(), 0, "kept");
    s.send(c, "Q UNLISTEN a");
    s.answer(0, "C UNLISTEN / Z I");
    assert_eq!(s.ports.idle.len(), 1, "what was left behind keeps nothing");
    assert_eq!(
        counted(&s),
        [
            (PinKind::Listen, [1, 0, 0]),
            (PinKind::Temporary, [0, 1, 0])
        ]
    );
}

#[test]
fn pin_off_is_counted_and_session_pools_are_not() {
    let off = Settings {
        pin: false,
        ..Settings::default()
    };
    for (mode, settings, counts) in [
        (PoolMode::Transaction, off.clone(), vec![[0, 1, 0]]),
        (PoolMode::Transaction, Settings::default(), vec![[1, 0, 0]]),
        (PoolMode::Session, off, vec![]),
        (PoolMode::Session, Settings::default(), vec![]),
    ] {
        let mut s = Stage::with(1, mode, settings);
        let c = s.client(&[]);
        s.send(c, "Q LISTEN a");
        s.answer(0, "C LISTEN / Z I");
        let found: Vec<_> = counted(&s).into_iter().map(|(_, n)| n).collect();
        assert_eq!(found, counts, "{mode:?}");
    }
}
