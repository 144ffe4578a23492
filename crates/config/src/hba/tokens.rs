//! The words of a line: blanks between them, lists with commas, names with
//! blanks in double quotes, and comments.

use std::ops::Range;

use crate::error::Problem;

/// Where in the line, and what.
pub(crate) type Fault = (Range<usize>, Problem);

/// One word, or the comma between two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub text: String,
    /// It stood in quotes: no word in it has a special meaning.
    pub quoted: bool,
    pub at: Range<usize>,
}

impl Token {
    /// Without quotes, exactly this.
    pub fn is(&self, word: &str) -> bool {
        !self.quoted && self.text == word
    }
}

/// All words of a line, up to its comment.
pub(crate) fn tokens(line: &str) -> Result<Vec<Token>, Fault> {
    let mut found: Vec<Token> = Vec::new();
    let mut chars = line.char_indices().peekable();
    while let Some(&(start, c)) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        if c == '#' {
            break;
        }
        chars.next();
        let mut text = String::new();
        if c == '"' {
            let mut closed = false;
            while let Some((_, c)) = chars.next() {
                match c {
                    '"' if chars.next_if(|(_, next)| *next == '"').is_some() => text.push('"'),
                    '"' => {
                        closed = true;
                        break;
                    }
                    c => text.push(c),
                }
            }
            if !closed {
                let problem = Problem::new("this quote is not closed")
                    .help("a name in quotes stands on one line; a quote in it is written as \"\"");
                return Err((start..line.len(), problem));
            }
        } else {
            text.push(c);
            let ends = |c: char| c.is_whitespace() || ",#\"".contains(c);
            while let Some((_, c)) = chars.next_if(|(_, next)| text != "," && !ends(*next)) {
                text.push(c);
            }
        }
        let end = chars.peek().map_or(line.len(), |(at, _)| *at);
        let glued = |c: &char| *c != ',' && *c != '#' && !c.is_whitespace();
        if text != "," && chars.peek().is_some_and(|(_, c)| glued(c)) {
            let problem = Problem::new("a quote in the middle of a word")
                .help("put the whole name in quotes, or a blank between two words");
            return Err((start..end, problem));
        }
        found.push(Token {
            text,
            quoted: c == '"',
            at: start..end,
        });
    }
    Ok(found)
}

/// What of a line may not be shown: comments, and values of options, which may
/// be passwords (of LDAP, of RADIUS).
pub(super) fn hidden(line: &str) -> Vec<Range<usize>> {
    let comment = line.find('#').unwrap_or(line.len());
    let mut found: Vec<_> = std::iter::once(comment..line.len()).collect();
    let shown = line.get(..comment).unwrap_or_default();
    for (at, _) in shown.match_indices('=') {
        let before = shown.get(..at).unwrap_or_default();
        if before.split_whitespace().next_back() != Some("map") {
            found.push(at + 1..comment);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        tokens(line).unwrap().into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn words_lists_and_quotes() {
        assert_eq!(texts(" \t \r"), [""; 0]);
        assert_eq!(texts("# x"), [""; 0]);
        assert_eq!(texts("a,b , c# d"), ["a", ",", "b", ",", "c"]);
        assert_eq!(texts("\"q1\"\"q2\" \"a , b\"#"), ["q1\"q2", "a , b"]);
        assert_eq!(texts("\"#\",x"), ["#", ",", "x"]);
        for wrong in ["\"a", "a\"b\"", "\"a\"b", "\"a\"\"", "\"a\" \""] {
            assert!(tokens(wrong).is_err(), "{wrong}");
        }
        let all = tokens("\"all\" all").unwrap();
        assert!(!all[0].is("all") && all[1].is("all"));
    }
}
