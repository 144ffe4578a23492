//! Where the picture goes: a terminal that is drawn over in place, or lines.

use std::io::{self, IsTerminal, Write};

use super::view::Picture;

/// Hides the cursor, and cuts long lines off instead of wrapping them.
const BEGIN: &str = "\x1b[?25l\x1b[?7l";
/// Takes both back.
const END: &str = "\x1b[?7h\x1b[?25h";

/// Standard output, as it is.
pub enum Screen {
    /// A terminal.
    Terminal {
        /// Colours are wanted.
        color: bool,
        /// Lines of the picture that stands there.
        lines: usize,
    },
    /// A file, a pipe, or a terminal that cannot move its cursor.
    Lines,
}

impl Screen {
    /// Looks at standard output and at NO_COLOR and TERM.
    pub fn of_stdout() -> Screen {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        if !io::stdout().is_terminal() || dumb {
            return Screen::Lines;
        }
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Screen::Terminal {
            color: !refused,
            lines: 0,
        }
    }

    /// Draws over the last picture, or adds a line.
    pub fn show(&mut self, picture: &Picture) -> io::Result<()> {
        let text = match self {
            Screen::Terminal { color, lines } => {
                let rows = picture.screen(*color);
                let text = over(*lines, &rows);
                *lines = rows.len();
                text
            }
            Screen::Lines => picture.line() + "\n",
        };
        print(&text)
    }

    /// What has just happened. A terminal's picture shows it by itself.
    pub fn note(&mut self, seconds: u64, text: &str) -> io::Result<()> {
        match self {
            Screen::Terminal { .. } => Ok(()),
            Screen::Lines => print(&format!("{seconds:>3} s  {text}\n")),
        }
    }

    /// Text below the picture.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        if let Screen::Terminal { lines, .. } = self {
            *lines = 0;
        }
        print(text)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if matches!(self, Screen::Terminal { .. }) {
            print(END).ok();
        }
    }
}

/// One write for the whole picture: each row is drawn over and its rest
/// cleared, so that nothing is blank in between and nothing flickers.
fn over(last: usize, rows: &[String]) -> String {
    let mut text = BEGIN.to_owned();
    if last > 0 {
        text.push_str(&format!("\x1b[{last}A\r"));
    }
    for row in rows {
        text.push_str(row);
        text.push_str("\x1b[K\n");
    }
    // A picture with fewer rows leaves nothing of the last one.
    text.push_str("\x1b[J");
    text
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_drawn_over_the_last_one() {
        let rows = ["a".to_owned(), "b".to_owned()];
        assert_eq!(over(0, &rows), "\x1b[?25l\x1b[?7la\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(
            over(3, &rows),
            "\x1b[?25l\x1b[?7l\x1b[3A\ra\x1b[K\nb\x1b[K\n\x1b[J"
        );
    }
}
