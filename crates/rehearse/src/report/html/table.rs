//! Tables: the first column names the row, the last words may be long.

use super::super::markup::escaped;

/// A table under a heading.
pub(super) struct Table {
    heads: Vec<&'static str>,
    rows: String,
}

impl Table {
    /// With these heads; one that begins with `<` has its column to the left.
    pub(super) fn new(heads: &[&'static str]) -> Table {
        Table {
            heads: heads.to_vec(),
            rows: String::new(),
        }
    }

    /// One row: its class in the style sheet, and its cells, the first its name.
    pub(super) fn row(&mut self, class: &str, cells: &[String]) {
        let class = match class {
            "" => String::new(),
            class => format!(" class=\"{class}\""),
        };
        self.rows.push_str(&format!("<tr{class}>"));
        for (i, cell) in cells.iter().enumerate() {
            let cell = escaped(cell);
            let left = self.heads.get(i).is_some_and(|head| head.starts_with('<'));
            self.rows.push_str(&match (i, left) {
                (0, _) => format!("<th scope=\"row\">{cell}</th>"),
                (_, true) => format!("<td class=\"l\">{cell}</td>"),
                (_, false) => format!("<td>{cell}</td>"),
            });
        }
        self.rows.push_str("</tr>\n");
    }

    /// A row that names those below it.
    pub(super) fn group(&mut self, name: &str) {
        let columns = self.heads.len();
        let name = escaped(name);
        self.rows.push_str(&format!(
            "<tr class=\"group\"><th scope=\"rowgroup\" colspan=\"{columns}\">{name}</th></tr>\n"
        ));
    }

    /// The table alone.
    pub(super) fn html(&self) -> String {
        let heads = self.heads.iter().map(|head| match head.strip_prefix('<') {
            Some(head) => format!("<th scope=\"col\" class=\"l\">{}</th>", escaped(head)),
            None => format!("<th scope=\"col\">{}</th>", escaped(head)),
        });
        let heads: String = heads.collect();
        format!(
            "<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n",
            self.rows
        )
    }

    /// In a panel of its own, with what is to be known of it; nothing where it has no row.
    pub(super) fn panel(&self, title: &str, notes: &[String]) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let notes = notes
            .iter()
            .map(|note| format!("<p class=\"note\">{}</p>\n", escaped(note)));
        let notes: String = notes.collect();
        format!(
            "<section class=\"panel\">\n<h2>{}</h2>\n{}{notes}</section>\n",
            escaped(title),
            self.html()
        )
    }

    /// Folded away under a chart.
    pub(super) fn details(&self) -> String {
        format!(
            "<details><summary>The same as a table</summary>\n{}</details>\n",
            self.html()
        )
    }
}
