//! `[owners.NAME]` and `[notify.NAME]`.

use super::{Reader, entries};
use crate::alerting::{self, NOTIFIERS_MAX, NOTIFY_KEYS, Notifier, OWNER_KEYS, Ownership};
use crate::draft::ENTRIES_MAX;
use crate::error::{Problem, quoted};
use toml_edit::{Item, Key, TableLike};

impl Reader<'_> {
    pub(super) fn owners(&mut self, key: &Key, item: &Item) {
        let help = "write for example `[owners.\"reports\"]` and its keys below";
        self.named(key, item, help, |reader, name, _, keys| {
            if reader.draft.plan.alerts.owners.len() < ENTRIES_MAX {
                let mut owner = Ownership::default();
                reader.entry(&mut owner, OWNER_KEYS, keys);
                reader
                    .draft
                    .plan
                    .alerts
                    .owners
                    .insert(name.to_owned(), owner);
            }
        });
    }

    pub(super) fn notifiers(&mut self, key: &Key, item: &Item) {
        let help = "write for example `[notify.oncall]` and its keys below";
        self.named(key, item, help, |reader, name, key, keys| {
            if reader.draft.plan.alerts.notifiers.len() >= NOTIFIERS_MAX {
                let problem = Problem::new(format!("more than {NOTIFIERS_MAX} notifiers"));
                return reader.error(key.span(), problem);
            }
            let mut notifier = Notifier::default();
            let before = reader.draft.errors.list().len();
            reader.entry(&mut notifier, NOTIFY_KEYS, keys);
            for path in [
                &mut notifier.url_file,
                &mut notifier.key_file,
                &mut notifier.ca_file,
            ]
            .into_iter()
            .flatten()
            {
                *path = reader.beside(path).to_string_lossy().into_owned();
            }
            // One mistake is not told twice.
            if reader.draft.errors.list().len() == before
                && let Some(problem) = alerting::fault(&notifier)
            {
                reader.error(key.span(), problem);
            }
            let notifiers = &mut reader.draft.plan.alerts.notifiers;
            notifiers.insert(name.to_owned(), notifier);
        });
    }

    /// Sections, one for each name.
    fn named(
        &mut self,
        key: &Key,
        item: &Item,
        help: &str,
        mut read: impl FnMut(&mut Self, &str, &Key, &dyn TableLike),
    ) {
        let Some(table) = item.as_table_like() else {
            let problem = Problem::new("here stand sections, one for each name");
            return self.error(key.span(), problem.help(help));
        };
        for (name, key, item) in entries(table) {
            if self.draft.errors.full() {
                return;
            }
            match item.as_table_like() {
                Some(keys) => read(self, name, key, keys),
                None => {
                    let problem = Problem::new(format!(
                        "{} stands where only names of sections stand",
                        quoted(name)
                    ));
                    self.error(key.span(), problem.help(help));
                }
            }
        }
    }
}
