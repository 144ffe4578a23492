//! The one table of keys: what each does, and the help that teaches it.

use super::deed::Deed;
use super::model::View;

/// A key as it was pressed, whatever the terminal's library calls it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// A character.
    Char(char),
    /// A character with Ctrl.
    Ctrl(char),
    /// Up.
    Up,
    /// Down.
    Down,
    /// Left.
    Left,
    /// Right.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first.
    Home,
    /// To the last.
    End,
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Tab with Shift.
    BackTab,
    /// Backspace.
    Backspace,
}

/// What a key asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Leave.
    Quit,
    /// Out of what is open; else leave.
    Out,
    /// That view.
    View(View),
    /// The next one.
    Next,
    /// The one before.
    Before,
    /// So many rows; negative: up.
    Move(i32),
    /// A screen of rows.
    Page(i32),
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// The chosen row in full.
    Open,
    /// The next order of rows, or the one before.
    Sort(i32),
    /// Type a filter.
    Filter,
    /// Hold the display, or let it go on.
    Hold,
    /// Less often (+1) or more often (-1).
    Pace(i32),
    /// So many minutes through the past.
    Travel(i32),
    /// Back to now.
    Now,
    /// Do something to the chosen row, after a question.
    Do(Deed),
    /// These keys.
    Help,
    /// Draw all again.
    Redraw,
    /// Into the background.
    Suspend,
}

/// A row of the table: keys, what they ask for, and the help.
type Row = (&'static [Key], Order, &'static str, &'static str);

/// Every key. A row without a help belongs to the row above it.
pub const KEYS: &[Row] = &[
    (
        &[Key::Char('1')],
        Order::View(View::Overview),
        "1",
        "overview: is anyone waiting, where, why, who, since what change",
    ),
    (&[Key::Char('2')], Order::View(View::Pools), "2", "pools"),
    (
        &[Key::Char('3')],
        Order::View(View::Leases),
        "3",
        "leases: who holds a connection",
    ),
    (
        &[Key::Char('4')],
        Order::View(View::Budget),
        "4",
        "budget: the servers and their lines, guards",
    ),
    (
        &[Key::Char('5')],
        Order::View(View::Alerts),
        "5",
        "alerts and incidents",
    ),
    (
        &[Key::Tab, Key::Right],
        Order::Next,
        "Tab →",
        "the next view; Shift-Tab ← the one before",
    ),
    (&[Key::BackTab, Key::Left], Order::Before, "", ""),
    (
        &[Key::Char('j'), Key::Down],
        Order::Move(1),
        "j k ↓ ↑",
        "choose a row; g G the first, the last",
    ),
    (&[Key::Char('k'), Key::Up], Order::Move(-1), "", ""),
    (
        &[Key::PageDown, Key::Ctrl('f'), Key::Ctrl('d')],
        Order::Page(1),
        "PgDn PgUp",
        "a screen of rows",
    ),
    (
        &[Key::PageUp, Key::Ctrl('b'), Key::Ctrl('u')],
        Order::Page(-1),
        "",
        "",
    ),
    (&[Key::Char('g'), Key::Home], Order::First, "", ""),
    (&[Key::Char('G'), Key::End], Order::Last, "", ""),
    (
        &[Key::Enter],
        Order::Open,
        "Enter",
        "the chosen row in full; on the overview the verdict in full",
    ),
    (
        &[Key::Char('s'), Key::Char('>')],
        Order::Sort(1),
        "s S",
        "sort by the next column, the one before (also > <)",
    ),
    (&[Key::Char('S'), Key::Char('<')], Order::Sort(-1), "", ""),
    (
        &[Key::Char('/')],
        Order::Filter,
        "/",
        "filter rows by a part of a name; Esc takes it away",
    ),
    (
        &[Key::Char(' '), Key::Char('p')],
        Order::Hold,
        "Space p",
        "hold the display; again: go on",
    ),
    (
        &[Key::Char('+'), Key::Char('=')],
        Order::Pace(1),
        "+ -",
        "refresh less often, more often",
    ),
    (&[Key::Char('-')], Order::Pace(-1), "", ""),
    (
        &[Key::Char('[')],
        Order::Travel(-1),
        "[ ]",
        "a minute back, a minute forward; n back to now",
    ),
    (&[Key::Char(']')], Order::Travel(1), "", ""),
    (&[Key::Char('n')], Order::Now, "", ""),
    (
        &[Key::Char('c')],
        Order::Do(Deed::Cancel),
        "c",
        "cancel the chosen lease's statement",
    ),
    (
        &[Key::Char('r')],
        Order::Do(Deed::Reclaim),
        "r",
        "reclaim: take the lease back; the client gets FATAL 25P03",
    ),
    (
        &[Key::Char('K')],
        Order::Do(Deed::Kill),
        "K",
        "kill: close the client's connection",
    ),
    (
        &[Key::Char('P')],
        Order::Do(Deed::Pause),
        "P R",
        "pause, resume the chosen pool's database",
    ),
    (&[Key::Char('R')], Order::Do(Deed::Resume), "", ""),
    (
        &[Key::Char('?'), Key::Char('h')],
        Order::Help,
        "?",
        "these keys",
    ),
    (
        &[Key::Esc],
        Order::Out,
        "Esc",
        "out of what is open; else leave",
    ),
    (
        &[Key::Char('q'), Key::Ctrl('c')],
        Order::Quit,
        "q Ctrl-C",
        "leave",
    ),
    (
        &[Key::Ctrl('l')],
        Order::Redraw,
        "Ctrl-L",
        "draw all again; Ctrl-Z into the background",
    ),
    (&[Key::Ctrl('z')], Order::Suspend, "", ""),
];

/// What a key asks for; `None`: nothing.
pub fn order(key: Key) -> Option<Order> {
    let found = KEYS.iter().find(|(keys, ..)| keys.contains(&key));
    found.map(|(_, order, ..)| *order)
}

/// Rows of the help.
pub fn help() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = KEYS.iter().map(|(_, _, keys, text)| (*keys, *text));
    rows.filter(|(keys, _)| !keys.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings_and_every_row_is_taught() {
        let all: Vec<Key> = KEYS
            .iter()
            .flat_map(|(keys, ..)| keys.iter().copied())
            .collect();
        for (at, key) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(key), "{key:?} twice");
        }
        // `--help` and the overlay have room for these.
        for (keys, text) in help() {
            assert!(
                keys.chars().count() <= 9 && text.chars().count() <= 66,
                "{keys}: {text}"
            );
        }
    }
}
