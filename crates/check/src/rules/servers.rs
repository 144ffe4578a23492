//! Servers that run with other settings than their files say.

use super::SERVER_DIFFERS;
use crate::facts::{Differs, Facts};
use crate::finding::{Finding, Severity};
use crate::place::Place;

pub(super) fn run(facts: &Facts, out: &mut Vec<Finding>) {
    out.extend(facts.differs.iter().map(one));
}

fn one(differs: &Differs) -> Finding {
    let at = |place: &Place, words: String| Finding::new(&SERVER_DIFFERS, place.clone(), words);
    match differs {
        Differs::Restart { place, name } => at(
            place,
            format!("`{name}` was changed in a file; the server takes it at its next restart"),
        )
        .why("whatever restarts the server next, a failover or an update, brings a change into force that nobody then thinks of")
        .help("restart at a time of your choice, or take the change back"),
        Differs::Reload {
            place,
            name,
            written,
            running,
        } => at(
            place,
            format!("`{name}` is {written} in this line; the server runs with {running}"),
        )
        .why("the next reload, for whatever reason, changes it")
        .help("SELECT pg_reload_conf(), or take the change back"),
        Differs::Refused {
            place,
            name,
            written,
            why,
        } => at(
            place,
            format!("the server cannot apply `{name}` of {written}: {why}"),
        )
        .severity(Severity::Error)
        .why("reloads have no effect while the line stands there, and a server that is restarted does not start")
        .help("mend the line; `SELECT * FROM pg_file_settings WHERE error IS NOT NULL` shows when it is well"),
        Differs::File {
            place,
            name,
            running,
            restart,
        } => at(
            place,
            format!("`{name}`: the running server has {running}"),
        )
        .severity(Severity::Note)
        .why(match restart {
            true => "what is written here serves after a restart; until then the sums are made with what runs",
            false => "what is written here serves after a reload",
        })
        .help(""),
    }
}
