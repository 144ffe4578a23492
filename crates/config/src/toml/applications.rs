//! `[application.NAME]`: deadlines and weights.

use super::{Reader, entries};
use crate::draft::ENTRIES_MAX;
use crate::entries::APPLICATION_KEYS;
use crate::error::{Problem, quoted};
use crate::plan::Application;
use toml_edit::{Item, Key};

impl Reader<'_> {
    pub(super) fn applications(&mut self, key: &Key, item: &Item) {
        let help = "write for example `[application.\"reports\"]` and its keys below";
        let Some(table) = item.as_table_like() else {
            let problem = Problem::new("applications are sections, one for each name");
            return self.error(key.span(), problem.help(help));
        };
        for (name, key, item) in entries(table) {
            if self.draft.errors.full() || self.draft.plan.applications.len() >= ENTRIES_MAX {
                return;
            }
            let Some(keys) = item.as_table_like() else {
                let problem = Problem::new(format!(
                    "{} stands in [application], where only names of applications stand",
                    quoted(name)
                ));
                self.error(key.span(), problem.help(help));
                continue;
            };
            let mut application = Application::default();
            self.entry(&mut application, APPLICATION_KEYS, keys);
            let applications = &mut self.draft.plan.applications;
            applications.insert(name.to_owned(), application);
        }
    }
}
