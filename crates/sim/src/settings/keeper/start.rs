//! What serves when a process starts.

use crate::settings::disk::Content;
use crate::settings::journal::Version;
use crate::settings::world::{Step, World};
use config::rollout::{AtStart, Beside, Origin, at_start};
use events::Guard;

/// Decides what serves first, with what of the file goes through the gate.
pub(super) fn prepare(
    w: &mut World,
    file: Option<Content>,
) -> Step<Option<(u64, Content, Option<Content>)>> {
    let Some((version, mut serves)) = current(w, file.as_ref()) else {
        let Some(content) = file else { return Ok(None) };
        w.hit("boot: adopted without a history");
        let version = adopt(w, &content)?;
        return Ok(Some((version, content, None)));
    };
    let guard = serves.plan.guards.mode(Guard::Drift);
    let rejected = file.as_ref().and_then(|c| w.journal.rejected(c.hash));
    let beside = Beside {
        serves: &serves.plan,
        file: file.as_ref().map(|c| &c.plan),
        same: file.as_ref().is_some_and(|c| c.hash == serves.hash),
        deploy: serves.plan.keeping.source.is_deploy(w.container),
        rejected,
    };
    let decided = at_start(guard, &beside);
    w.hit(match decided {
        AtStart::Same => "boot: as the history",
        AtStart::Stop => "boot: mistakes without a guard",
        AtStart::Broken => "boot: mistakes, the history serves",
        AtStart::Adopt => "boot: the file adopted",
        AtStart::Held => "boot: the file held",
        AtStart::Rejected(..) => "boot: the file turned down before",
        AtStart::Gate => "boot: the file through the gate",
    });
    match (decided, file) {
        (AtStart::Stop, _) => Ok(None),
        (AtStart::Same, Some(content)) => Ok(Some((version, content, None))),
        (AtStart::Adopt, Some(content)) => {
            let version = adopt(w, &content)?;
            Ok(Some((version, content, None)))
        }
        (AtStart::Gate, Some(content)) => {
            config::take_fixed(&content.plan, &mut serves.plan);
            Ok(Some((version, serves, Some(content))))
        }
        _ => Ok(Some((version, serves, None))),
    }
}

fn adopt(w: &mut World, content: &Content) -> Step<u64> {
    w.point()?;
    let row = Version {
        hash: content.hash,
        origin: Origin::Boot,
        text: content.text.clone(),
    };
    let Ok(version) = w.journal.add(row, 0) else {
        return Ok(w.journal.last() + 1);
    };
    w.point()?;
    if w.journal.adopt(version).is_err() {
        return Ok(version);
    }
    w.point()?;
    Ok(version)
}

/// What serves by the history, with the secrets of today.
fn current(w: &mut World, file: Option<&Content>) -> Option<(u64, Content)> {
    let version = w.journal.current?;
    let text = w.journal.versions.get(&version)?.text.clone();
    let mut content = w.disk.content(text.as_bytes()).ok()?;
    let itself = content.plan.clone();
    let secrets = file.map_or(&itself, |file| &file.plan);
    let missing = config::with_secrets_of(&mut content.plan, secrets);
    if !missing.is_empty() {
        w.hit("boot: secrets are gone");
        return None;
    }
    Some((version, content))
}
