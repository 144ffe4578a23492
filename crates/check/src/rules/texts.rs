//! What the readers say of the text itself.

use super::{KEY_RENAMED, KEY_UNREAD, SECRET_IN_FILE, UNREADABLE, VALUE_ODD};
use crate::facts::Facts;
use crate::finding::{Finding, Severity};

pub(super) fn run(facts: &Facts, out: &mut Vec<Finding>) {
    for (place, what) in &facts.broken {
        out.push(
            Finding::new(&UNREADABLE, place.clone(), what.clone())
                .why("what cannot be read cannot be checked: nothing is known about its settings")
                .help("mend the file, or leave it out of the check"),
        );
    }
    for odd in &facts.odd {
        out.push(
            Finding::new(&VALUE_ODD, odd.place.clone(), odd.what.clone())
                .why(format!(
                    "{} takes the value by its own rule, and the limit is another than it looks",
                    odd.tool.name()
                ))
                .help(odd.help.clone()),
        );
    }
    for unread in &facts.unread {
        let severity = match facts.leftover.contains(&unread.place) {
            true => Severity::Note,
            false => KEY_UNREAD.severity,
        };
        out.push(
            Finding::new(
                &KEY_UNREAD,
                unread.place.clone(),
                format!("`{}` has no effect: {}", unread.key, unread.why),
            )
            .severity(severity)
            .why("the limit that it seems to set does not exist")
            .help(unread.help.clone()),
        );
    }
    for old in &facts.outdated {
        let what = format!("`{}` is called `{}` since {}", old.key, old.now, old.since);
        out.push(
            Finding::new(&KEY_RENAMED, old.place.clone(), what)
                .why("the old name still holds; once it is dropped, the file is refused as one with an unknown key")
                .help(format!("write `{}`", old.now)),
        );
    }
    for secret in &facts.secrets {
        out.push(
            Finding::new(
                &SECRET_IN_FILE,
                secret.place.clone(),
                format!("{} stands in the file", secret.what),
            )
            .why("it goes wherever the file goes: versions, backups, chat; and a rotation becomes a change of settings")
            .help("a reference: a password file, a variable of the environment, a secret of the platform"),
        );
    }
}
