//! `[load] shape = …`: captured traffic in place of phases.

use super::{Captured, Class, WrittenLoad, duration};
use crate::replay::{Replay, SCALE_MAX};
use crate::script::Script;
use crate::text::head;
use events::shape::Shape;
use std::time::Duration;

/// Names of classes that a message lists.
const NAMES_TOLD: usize = 8;

/// What the file says of captured traffic. `None`: it says phases, or nothing sound.
pub(super) fn captured(
    load: &WrittenLoad,
    read: &dyn Fn(&str) -> Result<String, String>,
    wrong: &mut Vec<String>,
) -> Option<Captured> {
    let file = match (&load.shape, &load.phases) {
        (Some(_), Some(_)) | (None, None) => {
            wrong.push("load: name one of `phases` and `shape`".to_owned());
            return None;
        }
        (None, Some(_)) => {
            for (there, key) in [
                (load.scale.is_some(), "scale"),
                (load.lasts.is_some(), "for"),
            ] {
                if there {
                    wrong.push(format!(
                        "load.{key}: it goes with `shape`, not with `phases`"
                    ));
                }
            }
            return None;
        }
        (Some(file), None) => file,
    };
    if load.arrivals.is_some() {
        wrong.push("load.arrivals: when requests come, the shape says; leave it out".to_owned());
    }
    let scale = load.scale.unwrap_or(1.0);
    let sound = scale > 0.0 && scale <= SCALE_MAX;
    if !sound {
        wrong.push(format!("load.scale: above 0 and up to {SCALE_MAX:.0}"));
    }
    let lasts = match load.lasts.as_deref().map(duration) {
        Some(Ok(lasts)) => Some(lasts),
        Some(Err(error)) => {
            wrong.push(format!("load.for: {error}"));
            None
        }
        None => None,
    };
    let shape = read(file).and_then(|text| Shape::from_text(&text).map_err(|e| e.to_string()));
    let shape = match shape {
        Ok(shape) => shape,
        Err(error) => {
            wrong.push(format!("load.shape: {}: {error}", head(file)));
            return None;
        }
    };
    let captured = Captured {
        scale: if sound { scale } else { 1.0 },
        lasts: lasts.unwrap_or_else(|| covered(&shape)),
        shape,
    };
    // The seed decides nothing that could be wrong.
    if let Err(error) = Replay::new(&captured.shape, captured.scale, captured.lasts, 1) {
        wrong.push(format!("load.shape: {}: {error}", head(file)));
        return None;
    }
    Some(captured)
}

/// As long as it was captured.
fn covered(shape: &Shape) -> Duration {
    let each = shape.servers.iter().map(|server| {
        let stands = server.stands();
        stands
            .iter()
            .fold(0u64, |sum, s| sum.saturating_add(s.lasts_us))
    });
    Duration::from_micros(each.max().unwrap_or(0))
}

/// The shape's classes in its order: with the script that was written for them, or
/// with a stand-in.
pub(super) fn classes(
    captured: &Captured,
    seed: u64,
    mut written: Vec<Class>,
    wrong: &mut Vec<String>,
) -> Vec<Class> {
    let replay = Replay::new(&captured.shape, captured.scale, captured.lasts, seed);
    let known = replay.map(|r| r.classes().to_vec()).unwrap_or_default();
    let mut classes = Vec::new();
    for class in &known {
        let at = written.iter().position(|w| w.script.name == class.name);
        classes.push(match at {
            Some(at) => written.swap_remove(at),
            None => Class {
                weight: u32::try_from(class.recorded).unwrap_or(u32::MAX).max(1),
                script: Script {
                    name: class.name.clone(),
                    place: class.name.clone(),
                    steps: Vec::new(),
                },
                stand_in: true,
            },
        });
    }
    for left in written {
        let names: Vec<String> = (known.iter().take(NAMES_TOLD))
            .map(|c| head(&c.name))
            .collect();
        wrong.push(format!(
            "class {}: the shape has no class of this name; it has {}{}",
            head(&left.script.name),
            names.join(", "),
            if known.len() > NAMES_TOLD {
                ", …"
            } else {
                ""
            }
        ));
    }
    classes
}

#[cfg(test)]
mod tests;
