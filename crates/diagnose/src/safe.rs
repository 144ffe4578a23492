//! Texts that others chose, made fit for a terminal, for Markdown and for a shell.
//!
//! Names of applications, notes and reasons come from clients and people. None
//! may move a cursor, become markup, or end a quoted word.

/// Longest name in a text, characters.
pub const NAME_CHARS_MAX: usize = 80;
/// Longest line of prose, characters.
pub const LINE_CHARS_MAX: usize = 600;

/// On one line, without what moves a cursor or turns the direction of writing,
/// and not too long.
pub fn line(text: &str, chars_max: usize) -> String {
    let fit = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if crate::text::is_obeyed(c) => '?',
        c => c,
    };
    let mut out: String = text.chars().take(chars_max).map(fit).collect();
    if text.chars().nth(chars_max).is_some() {
        out.push('…');
    }
    out
}

/// A name.
pub fn name(text: &str) -> String {
    line(text, NAME_CHARS_MAX)
}

/// Prose that may hold names of others, as it may stand within a line of Markdown.
pub fn markdown(text: &str) -> String {
    let text = line(text, LINE_CHARS_MAX);
    let mut out = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let after = rest.peek().copied().unwrap_or(' ');
        let inside = before.is_alphanumeric() && after.is_alphanumeric();
        let markup = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '&' | '~' | '#' => true,
            // Within a word it emphasises nothing: names of settings stay readable.
            '_' => !inside,
            // Else `http://…` and `www.…` become links by themselves.
            '/' => before == ':',
            '.' => inside && ends_in_www(&out),
            '!' => after == '[',
            _ => false,
        };
        if markup {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    out
}

fn ends_in_www(out: &str) -> bool {
    let mut tail = out.chars().rev();
    (0..3).all(|_| tail.next().is_some_and(|c| c.eq_ignore_ascii_case(&'w')))
}

/// Text in a code span of Markdown.
pub fn code(text: &str) -> String {
    let text = line(text, LINE_CHARS_MAX).replace('`', "'");
    match text.trim().is_empty() {
        true => "` `".to_owned(),
        // A table's cell ends at a bar, in a code span too.
        false => format!("`{}`", text.replace('|', "\\|")),
    }
}

/// One word of a shell's command line.
pub fn shell(word: &str) -> String {
    let word = line(word, LINE_CHARS_MAX);
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c);
    match !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        let hostile = "web\x1b[2J\u{202e}\n\u{9b}31m\u{feff}";
        assert_eq!(name(hostile), "web?[2J? ?31m?");
        assert_eq!(name(&"a".repeat(200)).chars().count(), NAME_CHARS_MAX + 1);
    }

    #[test]
    fn nothing_becomes_markup() {
        let table = [
            ("pool_size of a*b*", "pool_size of a\\*b\\*"),
            ("<script>x</script>", "\\<script\\>x\\</script\\>"),
            ("![x](http://e.example)", "\\!\\[x\\](http:\\//e.example)"),
            ("www.e.example", "www\\.e.example"),
            ("a | b", "a \\| b"),
            ("`x`\n# y", "\\`x\\` \\# y"),
            ("_x_", "\\_x\\_"),
            ("&lt;", "\\&lt;"),
            ("1.5 s", "1.5 s"),
        ];
        for (text, said) in table {
            assert_eq!(markdown(text), said);
        }
        assert_eq!(code("a`b|c"), "`a'b\\|c`");
    }

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(shell("shop/web"), "shop/web");
        assert_eq!(shell("x; rm -rf /"), "'x; rm -rf /'");
        assert_eq!(shell("it's"), "'it'\\''s'");
        assert_eq!(shell("--force"), "'--force'");
        assert_eq!(shell(""), "''");
        assert_eq!(shell("$(id)\n"), "'$(id) '");
    }
}
