//! Where things are written: cells of a terminal, with bounds, tones and grids.
//!
//! No name moves what stands beside it: each cell of a grid is written at its own
//! column and cut there. What terminals cannot show is replaced at the end, in one
//! place ([`Look::fit`]).

use super::text::{cut, width};
use ratatui_core::buffer::Buffer;
use ratatui_core::style::{Color, Modifier, Style};

/// What the terminal can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Colours; without them bold and reversed stay.
    pub colour: bool,
    /// Letters beyond ASCII.
    pub unicode: bool,
}

impl Look {
    /// Takes away what the terminal cannot show.
    pub fn fit(self, buffer: &mut Buffer) {
        for cell in &mut buffer.content {
            if !self.colour {
                (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
            }
            if !self.unicode && !cell.symbol().is_ascii() {
                let plain = plain(cell.symbol());
                cell.set_char(plain);
            }
        }
    }
}

/// The nearest in ASCII.
fn plain(symbol: &str) -> char {
    match symbol.chars().next().unwrap_or(' ') {
        '█' => '#',
        '░' => '.',
        '▒' => '=',
        '▁' => '_',
        '▂' => '.',
        '▃' => '-',
        '▄' => '=',
        '▅' => '+',
        '▆' => '*',
        '▇' => '%',
        '│' => '|',
        '─' => '-',
        '…' => '~',
        '·' => '.',
        '→' | '▸' => '>',
        '←' => '<',
        '↑' => '^',
        '↓' => 'v',
        '×' => 'x',
        '“' | '”' => '"',
        '‘' | '’' => '\'',
        '–' | '—' => '-',
        _ => '?',
    }
}

/// How something is meant. Each is told by its words too, never by colour alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// Beside the matter.
    Dim,
    /// A title.
    Head,
    /// All is well.
    Good,
    /// Worth a look.
    Warn,
    /// It hurts.
    Bad,
    /// It hurts, and must not be missed.
    Alarm,
    /// Neither good nor bad, but another thing.
    Note,
    /// What is chosen.
    Chosen,
}

impl Tone {
    /// Only the sixteen colours that every terminal has, and as its user set them.
    fn style(self) -> Style {
        let style = Style::new();
        match self {
            Tone::Plain => style,
            Tone::Dim => style.add_modifier(Modifier::DIM),
            Tone::Head => style.add_modifier(Modifier::BOLD),
            Tone::Good => style.fg(Color::Green),
            Tone::Warn => style.fg(Color::Yellow).add_modifier(Modifier::BOLD),
            Tone::Bad => style.fg(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Alarm => style
                .fg(Color::Red)
                .add_modifier(Modifier::BOLD | Modifier::REVERSED),
            Tone::Note => style.fg(Color::Cyan),
            Tone::Chosen => style.add_modifier(Modifier::REVERSED),
        }
    }
}

/// A piece of a line.
pub type Piece = (String, Tone);

/// A piece.
pub fn piece(text: impl Into<String>, tone: Tone) -> Piece {
    (text.into(), tone)
}

/// What is written on.
pub struct Paper<'a> {
    buffer: &'a mut Buffer,
}

impl<'a> Paper<'a> {
    /// All of it.
    pub fn new(buffer: &'a mut Buffer) -> Paper<'a> {
        Paper { buffer }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        usize::from(self.buffer.area.width)
    }

    /// Rows.
    pub fn height(&self) -> usize {
        usize::from(self.buffer.area.height)
    }

    /// Writes within `room` columns and says how many it took.
    pub fn put(&mut self, x: usize, y: usize, room: usize, text: &str, tone: Tone) -> usize {
        if x >= self.width() || y >= self.height() {
            return 0;
        }
        let room = room.min(self.width() - x);
        let text = cut(text, room);
        let (column, row) = (x as u16, y as u16);
        let area = self.buffer.area;
        let (end, _) =
            self.buffer
                .set_stringn(area.x + column, area.y + row, text, room, tone.style());
        usize::from(end.saturating_sub(area.x)).saturating_sub(x)
    }

    /// A whole line of pieces.
    pub fn line(&mut self, y: usize, pieces: &[Piece]) {
        let mut x = 0;
        for (text, tone) in pieces {
            x += self.put(x, y, self.width().saturating_sub(x), text, *tone);
        }
    }

    /// At the right end of a line; where it is too long, its end.
    pub fn right(&mut self, y: usize, text: &str, tone: Tone) {
        let columns = width(text).min(self.width());
        self.put(self.width() - columns, y, columns, text, tone);
    }

    /// An empty line in a tone.
    pub fn clear(&mut self, y: usize, tone: Tone) {
        let blank = " ".repeat(self.width());
        self.put(0, y, self.width(), &blank, tone);
    }

    /// Gives a line a tone and keeps what stands there.
    fn tint(&mut self, y: usize, tone: Tone) {
        let row = self.buffer.area.y.saturating_add(y as u16);
        for x in self.buffer.area.left()..self.buffer.area.right() {
            if let Some(cell) = self.buffer.cell_mut((x, row)) {
                cell.set_style(tone.style());
            }
        }
    }
}

/// A column of a grid.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its title.
    pub head: &'static str,
    /// Its narrowest width.
    pub least: usize,
    /// Figures stand at the right.
    pub right: bool,
    /// It takes what room is left, as far as its cells need it.
    pub grows: bool,
    /// Columns of a high rank go first where there is no room.
    pub rank: u8,
}

/// A column of text that grows.
pub const fn text(head: &'static str, least: usize, rank: u8) -> Column {
    Column {
        head,
        least,
        right: false,
        grows: true,
        rank,
    }
}

/// A column of figures.
pub const fn figure(head: &'static str, least: usize, rank: u8) -> Column {
    Column {
        head,
        least,
        right: true,
        grows: false,
        rank,
    }
}

/// Rows in columns.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// Columns, in their order.
    pub columns: Vec<Column>,
    /// In place of the first column's title.
    pub title: String,
    /// A cell for each column.
    pub rows: Vec<Vec<Piece>>,
    /// The chosen row.
    pub chosen: Option<usize>,
}

/// Before each row: room for the mark of the chosen one.
const MARK: usize = 2;

impl Grid {
    /// Widths of the columns; 0: left out.
    fn widths(&self, room: usize) -> Vec<usize> {
        let mut widths = vec![0; self.columns.len()];
        let mut left = room.saturating_sub(MARK);
        let mut order: Vec<usize> = (0..self.columns.len()).collect();
        order.sort_by_key(|at| self.columns[*at].rank);
        for (nth, at) in order.into_iter().enumerate() {
            let least = self.least(at);
            let needs = least + usize::from(nth > 0);
            if needs > left {
                // One that is left out takes those of a higher rank with it: else a
                // column would come and go with the width of the others.
                break;
            }
            left -= needs;
            widths[at] = least;
        }
        let wanted: Vec<usize> = (0..widths.len()).map(|at| self.wanted(at)).collect();
        while left > 0 {
            let before = left;
            for at in 0..widths.len() {
                if left > 0 && widths[at] > 0 && widths[at] < wanted[at] {
                    widths[at] += 1;
                    left -= 1;
                }
            }
            if before == left {
                break;
            }
        }
        widths
    }

    /// The narrowest width of a column: its own, and that of the grid's title.
    fn least(&self, at: usize) -> usize {
        let title = if at == 0 { width(&self.title) } else { 0 };
        self.columns[at].least.max(title)
    }

    /// The width at which nothing of a column is cut.
    fn wanted(&self, at: usize) -> usize {
        if !self.columns[at].grows {
            return self.least(at);
        }
        let cells = self.rows.iter().filter_map(|row| row.get(at));
        let widest = cells.map(|(text, _)| width(text)).max().unwrap_or(0);
        widest.max(self.least(at))
    }

    /// Writes the head and as many rows as fit below it, the chosen one among
    /// them. Returns the first row that is shown.
    pub fn write(&self, paper: &mut Paper<'_>, y: usize, height: usize) -> usize {
        if height == 0 {
            return 0;
        }
        let widths = self.widths(paper.width());
        let mut heads: Vec<Piece> = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            let own = at == 0 && !self.title.is_empty();
            let head = if own { &self.title } else { column.head };
            heads.push(piece(head, Tone::Head));
        }
        self.row(paper, y, &widths, &heads);
        let shown = height - 1;
        let top = first_shown(self.rows.len(), shown, self.chosen);
        for (nth, row) in self.rows.iter().skip(top).take(shown).enumerate() {
            let y = y + 1 + nth;
            self.row(paper, y, &widths, row);
            if self.chosen == Some(top + nth) {
                paper.put(0, y, MARK, "▸", Tone::Plain);
                paper.tint(y, Tone::Chosen);
            }
        }
        top
    }

    fn row(&self, paper: &mut Paper<'_>, y: usize, widths: &[usize], row: &[Piece]) {
        let mut x = MARK;
        for ((column, columns), (text, tone)) in self.columns.iter().zip(widths).zip(row) {
            if *columns == 0 {
                continue;
            }
            let used = width(text).min(*columns);
            let lead = if column.right { columns - used } else { 0 };
            paper.put(x + lead, y, columns - lead, text, *tone);
            x += columns + 1;
        }
    }
}

/// The first row that is shown: the chosen one stands in the middle, where it can.
pub fn first_shown(rows: usize, shown: usize, chosen: Option<usize>) -> usize {
    let most = rows.saturating_sub(shown);
    chosen.map_or(0, |at| at.saturating_sub(shown / 2).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui_core::layout::Rect;

    fn text_of(buffer: &Buffer) -> Vec<String> {
        let width = usize::from(buffer.area.width);
        let rows = buffer.content.chunks(width);
        let row = |cells: &[ratatui_core::buffer::Cell]| {
            let text: String = cells.iter().map(|cell| cell.symbol()).collect();
            text.trim_end().to_owned()
        };
        rows.map(row).collect()
    }

    fn grid(name: &str) -> Grid {
        Grid {
            columns: vec![text("name", 4, 0), figure("n", 3, 1), figure("rare", 6, 2)],
            title: String::new(),
            rows: vec![
                vec![
                    piece(name, Tone::Plain),
                    piece("7", Tone::Bad),
                    piece("x", Tone::Dim),
                ],
                vec![
                    piece("b", Tone::Plain),
                    piece("12345", Tone::Plain),
                    piece("y", Tone::Dim),
                ],
            ],
            chosen: Some(1),
        }
    }

    #[test]
    fn columns_go_by_rank_and_grow_with_their_cells() {
        let table: [(u16, [&str; 3]); 4] = [
            (10, ["  name   n", "  lon…   7", "▸ b    12…"]),
            (12, ["  name     n", "  longe…   7", "▸ b      12…"]),
            (
                17,
                [
                    "  name   n   rare",
                    "  lon…   7      x",
                    "▸ b    12…      y",
                ],
            ),
            (
                40,
                [
                    "  name          n   rare",
                    "  longer name   7      x",
                    "▸ b           12…      y",
                ],
            ),
        ];
        for (columns, expected) in table {
            let mut buffer = Buffer::empty(Rect::new(0, 0, columns, 3));
            grid("longer name").write(&mut Paper::new(&mut buffer), 0, 3);
            assert_eq!(text_of(&buffer), expected, "{columns}");
        }
    }

    #[test]
    fn no_name_moves_its_neighbour() {
        let place = |name: &str| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 3));
            let mut grid = grid(name);
            grid.columns[0].grows = false;
            grid.write(&mut Paper::new(&mut buffer), 0, 3);
            let row = &buffer.content[20..40];
            row.iter().position(|cell| cell.symbol() == "7")
        };
        for name in [
            "web",
            "店舗店舗",
            "e\u{301}e\u{301}",
            "🦀🦀🦀",
            "",
            "\u{200d}\u{fe0f}",
            "لالا",
        ] {
            assert_eq!(place(name), Some(9), "{name}");
        }
    }

    #[test]
    fn the_chosen_row_is_in_sight_and_nothing_is_written_outside() {
        assert_eq!(first_shown(100, 10, None), 0);
        assert_eq!(first_shown(100, 10, Some(3)), 0);
        assert_eq!(first_shown(100, 10, Some(50)), 45);
        assert_eq!(first_shown(100, 10, Some(99)), 90);
        assert_eq!(first_shown(3, 10, Some(2)), 0);
        let mut buffer = Buffer::empty(Rect::new(0, 0, 3, 1));
        let mut paper = Paper::new(&mut buffer);
        assert_eq!(paper.put(9, 0, 5, "x", Tone::Plain), 0);
        assert_eq!(paper.put(0, 9, 5, "x", Tone::Plain), 0);
        paper.right(0, "long text", Tone::Plain);
        grid("x").write(&mut paper, 0, 9);
        paper.tint(7, Tone::Chosen);
    }

    #[test]
    fn without_unicode_all_is_ascii_and_keeps_its_place() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
        Paper::new(&mut buffer).put(0, 0, 12, "█░ 店é …x", Tone::Bad);
        let look = Look {
            colour: false,
            unicode: false,
        };
        look.fit(&mut buffer);
        assert_eq!(text_of(&buffer), ["#. ? ? ~x"]);
        assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset));
    }
}
