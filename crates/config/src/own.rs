//! Settings that PgBouncer lacks, in a pgbouncer.ini: the section `[plimsoll]`.
//!
//! PgBouncer refuses the section, so a file has it when it is ours for good. Its
//! values have units, as in plimsoll.toml.

use crate::error::{Place, Problem, nearest, quoted};
use crate::ini::Line;
use crate::pgbouncer::Reader;
use crate::table::settings;
use crate::value::from_words;

impl Reader {
    pub(crate) fn own(&mut self, key: &str, text: &str, value_at: usize, line: &Line) {
        let ours = || settings().iter().filter(|s| !s.in_pgbouncer);
        let hidden = value_at..line.text.len();
        let shown = line.key.clone();
        let place = Place::masked(&line.file, line.number, &line.text, shown, &[hidden]);
        let old = self.draft.renamed_ini(key);
        if let Some((row, setting)) = old {
            // The new name may follow; then that line is the one that is refused.
            let beside = self.draft.places.contains_key(setting.key);
            let names = (key, setting.key);
            self.draft
                .is_outdated(row.since, names, place.clone(), beside);
        } else if self.draft.plan.outdated.iter().any(|o| o.now == key) {
            let what = format!("{} stands here under its old name as well", quoted(key));
            let problem = Problem::new(what).help("keep this line alone");
            return self.draft.errors.push(problem.at(place));
        }
        let known = ours().find(|s| s.key == key);
        let Some(setting) = known.or(old.map(|(_, setting)| setting)) else {
            let problem = Problem::new(format!("unknown key {}", quoted(key)));
            let problem = match nearest(key, ours().map(|s| s.key)) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("here stands what PgBouncer lacks: see docs/settings.md"),
            };
            return self.draft.errors.push(problem.at(place));
        };
        match from_words(setting.kind, text) {
            Ok(value) => {
                self.draft.places.insert(setting.key, place);
                self.draft.line_known |= setting.key == "line";
                self.draft.raw.insert(setting.key, text.to_owned());
                if let Some(access) = setting.access {
                    (access.set)(&mut self.draft.plan, value);
                }
            }
            Err(problem) => self.draft.errors.push(problem.at(place)),
        }
    }
}
