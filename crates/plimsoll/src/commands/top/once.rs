//! One frame as text, for scripts and for terminals that cannot be drawn on.

use super::link;
use super::model::{Input, Model, Start};
use super::paper::Look;
use super::{draw, text};
use crate::commands::print;
use control::api::Client;
use control::live::Live;
use ratatui_core::buffer::{Buffer, Cell};
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier};
use std::io::IsTerminal;
use std::process::ExitCode;

/// Columns where the output is no terminal.
const COLUMNS: u16 = 120;
/// Rows then: whatever a view holds, within reason.
const ROWS: u16 = 80;

/// The second as JSON.
pub fn json(client: &Client, start: &Start) -> anyhow::Result<ExitCode> {
    let path = match start.at_ms {
        Some(at_ms) => format!("/v1/live?at_ms={}", at_ms.max(0)),
        None => "/v1/live".to_owned(),
    };
    let live: Live = client.get(&path)?;
    print(&format!("{}\n", serde_json::to_string(&live)?))?;
    Ok(ExitCode::SUCCESS)
}

/// One frame.
pub fn text(client: &Client, start: &Start, look: Look) -> anyhow::Result<ExitCode> {
    let now_ms = control::measure::now_ms();
    let mut model = Model::new(start, now_ms);
    let wish = model.wish();
    let mut news = link::once(client, &wish).map_err(|error| anyhow::anyhow!(link::why(&error)))?;
    news.chart = link::chart(client, &news.live);
    model.step(now_ms, 1, Input::News(wish.at_ms, Box::new(news)));
    let (columns, rows) = size();
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, rows));
    draw::draw(&model, look, &mut buffer);
    print(&frame(&buffer, look.colour))?;
    Ok(ExitCode::SUCCESS)
}

/// The terminal's width, and rows enough for all.
fn size() -> (u16, u16) {
    if !std::io::stdout().is_terminal() {
        return (COLUMNS, ROWS);
    }
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or((COLUMNS, ROWS), |size| match size.ws_col {
        0 => (COLUMNS, ROWS),
        columns => (columns.clamp(60, 300), ROWS),
    })
}

/// Says why there is one frame only.
#[expect(
    clippy::print_stderr,
    reason = "a person reads it; scripts read the frame"
)]
pub fn hint(words: &str) {
    eprintln!("plimsoll: {words}");
}

/// The cells as lines, without the keys at the foot, and without blank lines where
/// two follow each other.
pub fn frame(buffer: &Buffer, colour: bool) -> String {
    let columns = usize::from(buffer.area.width).max(1);
    let rows = buffer.content.chunks(columns);
    let last = rows.len().saturating_sub(1);
    let mut out = String::new();
    let mut blank = 0;
    for row in rows.take(last) {
        let line = line(row, colour);
        if line.is_empty() {
            blank += 1;
            continue;
        }
        if blank > 0 && !out.is_empty() {
            out.push('\n');
        }
        blank = 0;
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// One row without the blanks at its end.
pub fn line(row: &[Cell], colour: bool) -> String {
    let end = row
        .iter()
        .rposition(|cell| cell.symbol() != " ")
        .map_or(0, |at| at + 1);
    let mut out = String::new();
    let mut before = String::new();
    let mut covered = 0;
    for cell in row.iter().take(end) {
        // A wide character covers the cell behind it.
        if covered > 0 {
            covered -= 1;
            continue;
        }
        covered = text::width(cell.symbol()).saturating_sub(1);
        let style = if colour { style(cell) } else { String::new() };
        if style != before {
            out.push_str("\x1b[0m");
            out.push_str(&style);
            before = style;
        }
        out.push_str(cell.symbol());
    }
    if !before.is_empty() {
        out.push_str("\x1b[0m");
    }
    out
}

/// A cell's style as a terminal takes it.
fn style(cell: &Cell) -> String {
    let mut codes: Vec<&str> = Vec::new();
    let modifiers = [
        (Modifier::BOLD, "1"),
        (Modifier::DIM, "2"),
        (Modifier::REVERSED, "7"),
    ];
    for (modifier, code) in modifiers {
        if cell.modifier.contains(modifier) {
            codes.push(code);
        }
    }
    codes.extend(match cell.fg {
        Color::Red => Some("31"),
        Color::Green => Some("32"),
        Color::Yellow => Some("33"),
        Color::Cyan => Some("36"),
        _ => None,
    });
    match codes.is_empty() {
        true => String::new(),
        false => format!("\x1b[{}m", codes.join(";")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui_core::style::Style;

    #[test]
    fn a_frame_is_plain_text_without_colour() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 6));
        buffer.set_string(0, 0, "店 a", Style::new().fg(Color::Red));
        buffer.set_string(0, 3, "b", Style::new().add_modifier(Modifier::BOLD));
        buffer.set_string(0, 5, "keys", Style::new());
        assert_eq!(frame(&buffer, false), "店 a\n\nb\n");
        assert_eq!(
            frame(&buffer, true),
            "\x1b[0m\x1b[31m店 a\x1b[0m\n\n\x1b[0m\x1b[1mb\x1b[0m\n"
        );
    }
}
