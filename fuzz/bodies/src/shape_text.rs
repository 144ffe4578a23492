//! Texts of shapes: reading ends, what was read is written so that it can be read,
//! and it is played in bounded time and memory, whatever its numbers say.

use events::shape::Shape;
use rehearse::captured::{Figures, head};
use rehearse::replay::Replay;
use std::time::Duration;

/// Requests that are looked at; a text of some kilobytes can ask for a million a second.
const PLAYED: usize = 20_000;

/// The properties of a shape's text.
pub fn shape(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(shape) = Shape::from_text(&text) else {
        return;
    };
    let again = Shape::from_text(&shape.to_text_under(&head(&shape, "then", "there")));
    let again = again.expect("what is written can be read");
    assert_eq!(again.requests(), shape.requests());
    if let Some(figures) = Figures::of(&shape) {
        let finite = [figures.rate, figures.concurrency, figures.idle];
        assert!(finite.iter().all(|n| n.is_finite()), "{figures:?}");
    }
    for (scale, lasts_ms) in [(1.0, 50), (0.3, 2_000), (100.0, 1)] {
        let lasts = Duration::from_millis(lasts_ms);
        let Ok(replay) = Replay::new(&shape, scale, lasts, 7) else {
            continue;
        };
        assert!(replay.expected().is_finite());
        let mut last = Duration::ZERO;
        for due in replay.take(PLAYED) {
            assert!(last <= due.at && due.at < lasts, "{last:?} {due:?}");
            last = due.at;
        }
    }
}
