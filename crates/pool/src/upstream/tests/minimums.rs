//! Minimums that add up to more than the line.

use super::*;

fn with_minimum(min: u32) -> PoolSettings {
    PoolSettings { min, ..plain(20) }
}

/// Lets a second pass in steps; whatever is opened or closed is so at once.
fn pass(stage: &mut Stage, from_ms: u64, ms: u64) -> Vec<String> {
    let mut said = Vec::new();
    for at in (from_ms..from_ms + ms).step_by(10) {
        stage.at(at);
        while let Some(action) = stage.up.poll() {
            match action {
                Action::Open { conn, .. } => stage.opened(conn.slot),
                Action::Close { conn, reason, .. } => {
                    said.push(format!("close {reason}"));
                    stage.closed(conn.slot);
                }
                Action::Grant { client, conn, .. } => {
                    said.push(format!("grant {}", name(client)));
                    assert_eq!(stage.back(conn.slot), "kept");
                }
                _ => {}
            }
        }
    }
    said
}

#[test]
fn a_pool_that_has_nothing_is_served_before_the_minimum_of_another_is_whole() {
    for own in [0, 500] {
        let mut stage = Stage::new(6, &[with_minimum(500), with_minimum(own)]);
        // A wishes for all that there is, and B comes when A has it.
        assert_eq!(stage.ask(A, 0, 1), "queued");
        pass(&mut stage, 2, 1000);
        assert_eq!(
            stage.up.figures(A, stage.now).idle,
            6,
            "minimum of B: {own}"
        );
        assert_eq!(stage.ask(B, 0, 2), "queued");
        let said = pass(&mut stage, 1010, 4000);
        assert_eq!(said, ["close evicted", "grant c0.2"], "minimum of B: {own}");
        // And they do not take it from each other for ever.
        let said = pass(&mut stage, 5010, 60_000);
        assert!(said.is_empty(), "minimum of B: {own}: {said:?}");
    }
}
