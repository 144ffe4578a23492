//! Reads a running server's listing: the limits of a server, and where its
//! files say other than what runs.

use super::postgres;
use crate::facts::{Differs, Facts, Origin, Value, Wait};
use crate::live::Live;
use crate::place::{FileId, Place};

const DEFAULT: &str = "PostgreSQL's default";

/// Reads the answers into the facts; `text` is their listing.
pub(crate) fn read(file: FileId, text: &str, live: &Live, facts: &mut Facts) {
    // Slips of the pen cannot be: the server knows its settings.
    let mut own = Facts::default();
    postgres::read(file, text, &mut own);
    if let Some(mut server) = own.servers.pop() {
        let is_default = |name: &str| {
            live.settings
                .iter()
                .any(|s| s.name == name && s.is_default())
        };
        for (name, value) in [
            ("max_connections", &mut server.max_connections),
            (
                "superuser_reserved_connections",
                &mut server.superuser_reserved,
            ),
            ("reserved_connections", &mut server.reserved),
        ] {
            by_default(is_default(name), value);
        }
        for (name, value) in [
            ("statement_timeout", &mut server.statement),
            (
                "idle_in_transaction_session_timeout",
                &mut server.idle_in_transaction,
            ),
        ] {
            by_default(is_default(name), value);
        }
        let provider = live.settings.iter().find(|s| s.name.starts_with("rds."));
        let provider = provider.and_then(|s| s.value.parse::<u64>().ok());
        let kept = server.reserved.value.saturating_add(provider.unwrap_or(0));
        server.reserved.value = kept;
        server.live = true;
        server.others = live.others;
        server.own_limit = live.own_limit.as_ref().map(|(limit, whose)| {
            let place = at(file, text, "# connection limit");
            (Value::stated(*limit, place), whose.clone())
        });
        facts.servers.push(server);
    }
    facts.odd.append(&mut own.odd);
    differences(file, text, live, facts);
}

fn by_default<T>(is: bool, value: &mut Value<T>) {
    if is {
        value.origin = Origin::Default(DEFAULT);
    }
}

/// The line that begins so.
fn at(file: FileId, text: &str, begins: &str) -> Place {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with(begins) {
            return Place::new(file, offset..offset + line.trim_end().len());
        }
        offset += line.len();
    }
    Place::whole(file)
}

fn differences(file: FileId, text: &str, live: &Live, facts: &mut Facts) {
    for setting in live.settings.iter().filter(|s| s.pending) {
        facts.differs.push(Differs::Restart {
            place: at(file, text, &format!("{} =", setting.name)),
            name: setting.name.clone(),
        });
    }
    for line in &live.lines {
        let place = at(
            file,
            text,
            &format!("# {}:{}:", line.written.0, line.written.1),
        );
        let running = live.settings.iter().find(|s| s.name == line.name);
        let written = format!("{}:{}", line.written.0, line.written.1);
        match (&line.error, running) {
            // Said already.
            (Some(_), Some(running)) if running.pending => {}
            // Edited, and neither reloaded nor restarted since.
            (Some(why), _) if why.contains("could not be applied") => {
                facts.differs.push(Differs::Restart {
                    place,
                    name: line.name.clone(),
                });
            }
            (Some(why), _) => facts.differs.push(Differs::Refused {
                place,
                name: line.name.clone(),
                written,
                why: why.clone(),
            }),
            // A role's or a database's own value stands above the file's.
            (None, Some(running))
                if is_other(&line.value, &running.value)
                    && (running.is_default() || running.source == "configuration file") =>
            {
                facts.differs.push(Differs::Reload {
                    place,
                    name: line.name.clone(),
                    written: line.value.clone(),
                    running: running.value.clone(),
                });
            }
            _ => {}
        }
    }
}

/// Both are readable, and not the same number or time.
fn is_other(written: &str, running: &str) -> bool {
    if let (Ok(a), Ok(b)) = (written.parse::<u64>(), running.parse::<u64>()) {
        return a != b;
    }
    match (postgres::duration(written), postgres::duration(running)) {
        (Some(a), Some(b)) => a != b,
        _ => false,
    }
}

/// What the server's limit is, while a file for it says otherwise.
pub(crate) fn between(facts: &mut Facts) {
    let mut lives = facts.servers.iter().filter(|s| s.live);
    let mut files = facts.servers.iter().filter(|s| !s.live);
    let (Some(live), None) = (lives.next(), lives.next()) else {
        return;
    };
    let (Some(file), None) = (files.next(), files.next()) else {
        return;
    };
    let mut found = Vec::new();
    let (new, old) = (&file.max_connections, &live.max_connections);
    if let Some(place) = new.place().filter(|_| new.value != old.value) {
        found.push(Differs::File {
            place: place.clone(),
            name: "max_connections".to_owned(),
            running: old.value.to_string(),
            restart: true,
        });
    }
    for (name, new, old) in [
        ("statement_timeout", &file.statement, &live.statement),
        (
            "idle_in_transaction_session_timeout",
            &file.idle_in_transaction,
            &live.idle_in_transaction,
        ),
    ] {
        if let Some(place) = new.place().filter(|_| new.value != old.value) {
            let running = match old.value {
                Wait::Forever => "off".to_owned(),
                Wait::For(time) => format!("{} ms", time.as_millis()),
            };
            found.push(Differs::File {
                place: place.clone(),
                name: name.to_owned(),
                running,
                restart: false,
            });
        }
    }
    facts.differs.extend(found);
}

#[cfg(test)]
mod tests;
