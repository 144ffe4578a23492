//! Just enough of Rust's syntax for tidy: which text is code, which lines are
//! tests, and how long each function is. It is no parser: it blanks comments
//! and literals, and then counts braces.

/// A Rust file, seen three ways.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    /// As long as `text` line by line, with comments and literals blanked.
    pub(super) code: String,
    /// For each line: inside a test.
    pub(super) is_test: Vec<bool>,
    pub(super) functions: Vec<Function>,
}

/// A function that has a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// The first line, from 1.
    pub(super) line: usize,
    /// From `fn` to the closing brace.
    pub(super) lines: usize,
}

impl Source {
    pub(super) fn read(path: &str, text: &str) -> Source {
        let code = blank(text);
        let test_lines = test_lines(path, &code);
        let functions = functions(&code);
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            is_test: test_lines,
            functions,
        }
    }

    /// Lines of code with their numbers and whether each belongs to a test.
    pub(super) fn code_lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let test = |i: usize| self.is_test.get(i).copied().unwrap_or(false);
        self.code
            .lines()
            .enumerate()
            .map(move |(i, line)| (i + 1, line, test(i)))
    }
}

/// Whole files of tests: by directory or by name.
fn is_test_file(path: &str) -> bool {
    path.contains("/tests/")
        || path.starts_with("e2e/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

/// Comments, strings and characters become spaces. Line ends stay, so that lines keep their numbers.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = opaque(bytes, at);
        if length == 0 {
            out.push(bytes[at]);
            at += 1;
        } else {
            let end = (at + length).min(bytes.len());
            out.extend(
                bytes[at..end]
                    .iter()
                    .map(|&b| if b == b'\n' { b'\n' } else { b' ' }),
            );
            at = end;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// How many bytes from here are a comment or a literal; 0: none.
fn opaque(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => 1 + quoted(&rest[1..]),
        [b'r', b'"' | b'#', ..] if !in_word => raw_string(rest, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_word => raw_string(rest, 2),
        [b'\'', b'\\', ..] => {
            2 + rest[2..]
                .iter()
                .skip(1)
                .position(|&b| b == b'\'')
                .map_or(0, |p| p + 2)
        }
        [b'\'', ..] => character(rest),
        _ => 0,
    }
}

/// Up to the quote that no backslash hides.
fn quoted(rest: &[u8]) -> usize {
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at + 1 < rest.len() {
        match &rest[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return at + 2,
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r#"…"#`; `prefix` letters come first. `r#name` is no string.
fn raw_string(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|&&b| b == b'#').count();
    let start = prefix + hashes;
    if rest.get(start) != Some(&b'"') {
        return 0;
    }
    let end: Vec<u8> = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    rest[start + 1..]
        .windows(end.len())
        .position(|window| window == end)
        .map_or(rest.len(), |at| start + 1 + at + end.len())
}

/// `'x'` is a character, `'a` a lifetime. A character may take up to four bytes.
fn character(rest: &[u8]) -> usize {
    let width = match rest.get(1) {
        Some(0x00..=0x7f) => 1,
        Some(0x80..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(_) => 4,
        None => return 0,
    };
    if rest.get(1 + width) == Some(&b'\'') {
        width + 2
    } else {
        0
    }
}

/// The lines of each item below `#[cfg(test)]` or `#[test]`.
fn test_lines(path: &str, code: &str) -> Vec<bool> {
    let lines = code.lines().count();
    let mut is_test = vec![is_test_file(path); lines];
    for attribute in ["#[cfg(test)]", "#[test]"] {
        for (at, _) in code.match_indices(attribute) {
            let Some(end) = item_end(code, at + attribute.len()) else {
                continue;
            };
            let (first, last) = (line_of(code, at), line_of(code, end));
            is_test[first - 1..last.min(lines)].fill(true);
        }
    }
    is_test
}

fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name: String = code[at + 3..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let Some(end) = item_end(code, at).filter(|_| !name.is_empty()) else {
            continue;
        };
        if code[end..].starts_with('}') {
            let line = line_of(code, at);
            found.push(Function {
                name,
                line,
                lines: line_of(code, end) - line + 1,
            });
        }
    }
    found
}

/// Where the item that begins at or after `from` ends: at its closing brace,
/// or at a `;` outside of all brackets.
fn item_end(code: &str, from: usize) -> Option<usize> {
    let (mut braces, mut others) = (0usize, 0usize);
    for (offset, byte) in code.as_bytes()[from..].iter().enumerate() {
        match byte {
            b'(' | b'[' => others += 1,
            b')' | b']' => others = others.saturating_sub(1),
            b'{' => braces += 1,
            b'}' if braces == 0 => return None,
            b'}' => {
                braces -= 1;
                if braces == 0 && others == 0 {
                    return Some(from + offset);
                }
            }
            b';' if braces == 0 && others == 0 => return Some(from + offset),
            _ => {}
        }
    }
    None
}

fn line_of(code: &str, at: usize) -> usize {
    code.as_bytes()[..at]
        .iter()
        .filter(|&&b| b == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_not_code() {
        let table = [
            ("a // unwrap()\nb", "a            \nb"),
            ("a /* x /* y */ z */ b", "a                   b"),
            (r#"f("un\"wrap()") + 1"#, "f(            ) + 1"),
            (r###"f(r#"a " b"#) + 1"###, "f(          ) + 1"),
            ("r#type + 'x' + '\\'' + '{'", "r#type +     +      +    "),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("'ü' x", "     x"),
        ];
        for (text, code) in table {
            assert_eq!(blank(text), code, "{text}");
        }
    }

    #[test]
    fn functions_are_measured_to_their_own_brace() {
        let text = "fn one() {}\nimpl A {\n    pub fn two(\n        &self,\n    ) -> [u8; 2] {\n        \
                    if x { y }\n    }\n    fn three();\n}\n";
        let source = Source::read("crates/a/src/lib.rs", text);
        let found: Vec<_> = source
            .functions
            .iter()
            .map(|f| (f.name.as_str(), f.line, f.lines))
            .collect();
        assert_eq!(found, [("one", 1, 1), ("two", 3, 5)]);
    }

    #[test]
    fn a_test_module_is_test_to_its_end_and_no_further() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        let source = Source::read("crates/a/src/lib.rs", text);
        assert_eq!(source.is_test, [false, true, true, true, true, false]);
        let declared = Source::read(
            "crates/a/src/lib.rs",
            "#[cfg(test)]\nmod tests;\nfn c() {}\n",
        );
        assert_eq!(declared.is_test, [true, true, false]);
        assert_eq!(
            Source::read("crates/a/src/x_tests.rs", "fn a() {}").is_test,
            [true]
        );
    }
}
