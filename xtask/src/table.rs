//! A table of a page between `<!-- NAME -->` and `<!-- /NAME -->`: read to be checked against, or written anew.

use std::path::Path;

/// The rows of the table, cell by cell, without its head.
pub fn rows(page: &Path, name: &str) -> Result<Vec<Vec<String>>, String> {
    let text = read(page)?;
    let (from, to) = bounds(&text, name, page)?;
    let rows = text[from..to].lines().filter_map(|line| {
        let cells = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        Some(
            cells
                .split(" | ")
                .map(|cell| cell.trim().to_owned())
                .collect(),
        )
    });
    Ok(rows.skip(2).collect())
}

/// Puts other lines in the table's place.
pub fn write(page: &Path, name: &str, lines: &[String]) -> Result<(), String> {
    let text = read(page)?;
    let (from, to) = bounds(&text, name, page)?;
    let new = format!("{}\n{}\n{}", &text[..from], lines.join("\n"), &text[to..]);
    std::fs::write(page, new).map_err(|error| format!("{}: {error}", page.display()))
}

fn read(page: &Path) -> Result<String, String> {
    std::fs::read_to_string(page).map_err(|error| format!("{}: {error}", page.display()))
}

fn bounds(text: &str, name: &str, page: &Path) -> Result<(usize, usize), String> {
    let (open, close) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let from = text.find(&open).map(|at| at + open.len());
    match (from, text.find(&close)) {
        (Some(from), Some(to)) if from < to => Ok((from, to)),
        _ => Err(format!("{} has no {open} … {close}", page.display())),
    }
}
