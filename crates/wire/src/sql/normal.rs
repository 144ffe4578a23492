//! Statement texts without their literals, and fingerprints of them.

use super::cursor::Cursor;
use super::lex::{Kind, Lexer, Token};
use super::{Quoting, Verb, settings, split};

/// Stands for what was left out.
const CUT: &str = "…";

/// Writes `text` to `out` without literals, comments and needless white space, at most `max_out`
/// bytes of it; what was in `out` is replaced.
///
/// Literals become `?`, lists of them `(?, …)`. Of statements that may hold secrets in other
/// places (roles, servers, subscriptions, DO, COPY options, values of SET) only the head stays.
/// A text that cannot be lexed, or seems to have a stray quote, shows its first
/// keyword and `…`. Names stay, quoted ones too.
pub fn normalise(text: &[u8], quoting: Quoting, max_out: usize, out: &mut String) {
    out.clear();
    let mut writer = Text {
        out,
        max: max_out,
        fits: 0,
        full: false,
    };
    script(text, quoting, &mut writer);
    let Text { fits, full, .. } = writer;
    if full {
        out.truncate(fits);
        if max_out >= CUT.len() {
            out.push_str(CUT);
        }
    }
}

/// A number that texts share when they differ only in literals, comments, white space, the case
/// of words, or the length of lists. Stable across versions of this program.
pub fn fingerprint(text: &[u8], quoting: Quoting) -> u64 {
    let mut hash = Hash(FNV_BASIS);
    script(text, quoting, &mut hash);
    // FNV leaves its high bits poor; this spreads what it gathered.
    let mixed = (hash.0 ^ (hash.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// The beginning of a text of which only a part is here, up to where its tokens are whole for
/// sure: [`normalise`] shows nothing but the first word of a text that ends within a literal.
pub fn whole_tokens(text: &[u8], quoting: Quoting) -> &[u8] {
    let (mut end, mut last) = (0, 0);
    for token in Lexer::new(text, quoting) {
        if matches!(token.kind, Kind::Bad | Kind::Mark(b'$' | b'\\')) {
            break;
        }
        // The last one may go on in what is missing.
        (end, last) = (last, token.end);
    }
    text.get(..end).unwrap_or_default()
}

/// Takes the normalised tokens.
trait Output {
    /// `word` tells that case does not matter.
    fn put(&mut self, space: bool, word: bool, bytes: &[u8]);
    /// Nothing more will be taken.
    fn full(&self) -> bool;
}

struct Text<'a> {
    out: &'a mut String,
    max: usize,
    /// The last end of a token after which there is room for [`CUT`].
    fits: usize,
    full: bool,
}

impl Output for Text<'_> {
    fn put(&mut self, space: bool, _word: bool, bytes: &[u8]) {
        if self.full {
            return;
        }
        if self.out.len() + bytes.len() > self.max {
            self.full = true;
            return;
        }
        if space && !self.out.is_empty() {
            self.out.push(' ');
        }
        // Line ends of other scripts, in names; a log line must not hold them.
        let printable = |c: char| if c.is_control() { '?' } else { c };
        let text = String::from_utf8_lossy(bytes);
        self.out.extend(text.chars().map(printable));
        self.full = self.out.len() > self.max;
        if self.out.len() + CUT.len() <= self.max {
            self.fits = self.out.len();
        }
    }

    fn full(&self) -> bool {
        self.full
    }
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

struct Hash(u64);

impl Output for Hash {
    fn put(&mut self, _space: bool, word: bool, bytes: &[u8]) {
        for byte in bytes {
            let byte = match word {
                true => byte.to_ascii_lowercase(),
                false => *byte,
            };
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
        // Separates the tokens: no text in UTF-8 holds this byte.
        self.0 = (self.0 ^ 0xff).wrapping_mul(FNV_PRIME);
    }

    fn full(&self) -> bool {
        false
    }
}

fn script(text: &[u8], quoting: Quoting, out: &mut impl Output) {
    if doubtful(text, quoting) {
        let mut at = Cursor::new(text, quoting);
        let verb = take_verb(&mut at).as_str();
        if verb.bytes().all(|byte| byte.is_ascii_uppercase()) {
            out.put(false, true, verb.as_bytes());
        }
        return out.put(!verb.is_empty(), false, CUT.as_bytes());
    }
    let mut first = true;
    for piece in split::Pieces::new(text, quoting) {
        if out.full() {
            return;
        }
        if !first {
            out.put(false, false, b";");
        }
        statement(Cursor::new(piece.text, quoting), !first, out);
        first = false;
    }
}

/// Whether the text cannot be lexed, or looks as if a stray quote had turned it inside out, its
/// literals into words: a quoted name with a quote, a semicolon or a line's end in it, a string that
/// a word follows without a space, a mark that no statement has.
fn doubtful(text: &[u8], quoting: Quoting) -> bool {
    let mut lexer = Lexer::new(text, quoting);
    let mut string_end = None;
    while let Some(token) = lexer.next() {
        let joined = string_end == Some(token.start)
            && (token.kind.is_name() || token.kind.is_literal() || token.kind == Kind::Parameter);
        let odd = |byte: &u8| matches!(byte, b'\'' | b';') || byte.is_ascii_control();
        let quoted = matches!(token.kind, Kind::Quoted | Kind::UnicodeQuoted);
        let stray = matches!(token.kind, Kind::Bad | Kind::Mark(b'$' | b'\\'));
        if stray || joined || quoted && lexer.bytes(token).iter().any(odd) {
            return true;
        }
        string_end = token.kind.is_string().then_some(token.end);
    }
    false
}

fn take_verb(at: &mut Cursor<'_>) -> Verb {
    match at.take() {
        Some(token) if token.kind == Kind::Word => Verb::of(at.bytes(token)),
        _ => Verb::Other,
    }
}

/// Writes one statement. `space` asks for a space before it.
fn statement(at: Cursor<'_>, space: bool, out: &mut impl Output) {
    let mut rest = at;
    let verb = take_verb(&mut rest);
    let mut head = |words: &[&str]| {
        let mut space = space;
        for word in words {
            out.put(space, true, word.as_bytes());
            space = true;
        }
        out.put(true, false, CUT.as_bytes());
    };
    match verb {
        Verb::Do | Verb::Comment | Verb::Security => head(&[verb.as_str()]),
        Verb::Create | Verb::Alter => match secretive(&mut rest) {
            Some(kind) if rest.eat("mapping") => head(&[verb.as_str(), kind, "MAPPING"]),
            Some(kind) => head(&[verb.as_str(), kind]),
            None => tokens(at, space, out),
        },
        Verb::Copy => copy(at, space, out),
        Verb::Set => set(at, space, out),
        _ => tokens(at, space, out),
    }
}

/// The kind of object, if its definition may hold secrets.
fn secretive(at: &mut Cursor<'_>) -> Option<&'static str> {
    let kinds = [
        ("role", "ROLE"),
        ("user", "USER"),
        ("group", "GROUP"),
        ("subscription", "SUBSCRIPTION"),
        ("server", "SERVER"),
        ("database", "DATABASE"),
        ("system", "SYSTEM"),
        ("foreign", "FOREIGN"),
    ];
    kinds
        .iter()
        .find(|(word, _)| at.eat(word))
        .map(|(_, kind)| *kind)
}

/// Writes tokens as they are, one after the other.
struct Plain {
    space: bool,
    end: Option<usize>,
}

impl Plain {
    fn starting(space: bool) -> Self {
        Plain { space, end: None }
    }

    fn gap(&mut self, token: Token) -> bool {
        let gap = self.end.map_or(self.space, |end| token.start > end);
        self.end = Some(token.end);
        gap
    }

    fn put(&mut self, at: &Cursor<'_>, token: Token, out: &mut impl Output) {
        let gap = self.gap(token);
        if token.kind.is_literal() {
            out.put(gap, false, b"?");
        } else {
            out.put(gap, token.kind == Kind::Word, at.bytes(token));
        }
    }
}

fn tokens(mut at: Cursor<'_>, space: bool, out: &mut impl Output) {
    let mut plain = Plain::starting(space);
    while let Some(open) = at.peek() {
        if out.full() {
            return;
        }
        let Some(list) = List::read(at) else {
            at.take();
            plain.put(&at, open, out);
            continue;
        };
        let gap = plain.gap(open);
        out.put(gap, false, at.bytes(open));
        out.put(false, false, list.first);
        if list.many {
            out.put(false, false, b",");
            out.put(true, false, CUT.as_bytes());
        }
        out.put(false, false, list.close);
        at = list.after;
        plain.end = Some(list.end);
        if let Some((after, end)) = more_rows(at) {
            out.put(false, false, b",");
            out.put(true, false, CUT.as_bytes());
            at = after;
            plain.end = Some(end);
        }
    }
}

/// `(…)` or `[…]` with nothing in it but literals and parameters.
struct List<'a> {
    first: &'a [u8],
    many: bool,
    close: &'static [u8],
    after: Cursor<'a>,
    end: usize,
}

impl<'a> List<'a> {
    fn read(mut at: Cursor<'a>) -> Option<List<'a>> {
        let (last, close): (u8, &'static [u8]) = match at.peek_kind()? {
            Kind::Mark(b'(') => (b')', b")"),
            Kind::Mark(b'[') => (b']', b"]"),
            _ => return None,
        };
        at.take();
        let first = element(&mut at)?;
        let mut many = false;
        while at.eat_mark(b',') {
            element(&mut at)?;
            many = true;
        }
        let end = at.peek().filter(|t| t.kind == Kind::Mark(last))?.end;
        at.take();
        Some(List {
            first,
            many,
            close,
            after: at,
            end,
        })
    }
}

/// Past the further lists of VALUES.
fn more_rows(mut at: Cursor<'_>) -> Option<(Cursor<'_>, usize)> {
    let mut found = None;
    while at.eat_mark(b',') {
        let Some(list) = List::read(at) else { break };
        at = list.after;
        found = Some((at, list.end));
    }
    found
}

/// One literal, perhaps with a sign, or one parameter. A `?` counts as a literal, so that a
/// normalised text stays as it is.
fn element<'a>(at: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let mut token = at.take()?;
    if matches!(token.kind, Kind::Mark(b'-' | b'+')) {
        token = at.take()?;
    }
    match token.kind {
        kind if kind.is_literal() || kind == Kind::Mark(b'?') => Some(b"?"),
        Kind::Parameter => Some(at.bytes(token)),
        _ => None,
    }
}

/// COPY up to its direction: the options, a program or a file follow.
fn copy(mut at: Cursor<'_>, space: bool, out: &mut impl Output) {
    let mut plain = Plain::starting(space);
    let mut depth = 0u32;
    while let Some(token) = at.peek() {
        let direction = depth == 0 && at.sees_any(&["from", "to"]);
        at.take();
        plain.put(&at, token, out);
        match token.kind {
            _ if direction => return out.put(true, false, CUT.as_bytes()),
            Kind::Mark(b'(') => depth = depth.saturating_add(1),
            Kind::Mark(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
}

/// SET without its value, which may be a word.
fn set(mut at: Cursor<'_>, space: bool, out: &mut impl Output) {
    let whole = at;
    let mut plain = Plain::starting(space);
    let mut take = |at: &mut Cursor<'_>, out: &mut _| {
        if let Some(token) = at.take() {
            plain.put(at, token, out);
        }
    };
    let mut name = at;
    name.take();
    let before = name;
    settings::scope(&mut name);
    let scoped = name.peek() != before.peek();
    if !settings::is_variable(name)
        && (name.sees_any(&["transaction", "constraints"])
            || name.eat_all(&["session", "characteristics"]))
    {
        return tokens(whole, space, out);
    }
    take(&mut at, out);
    if scoped {
        take(&mut at, out);
    }
    if settings::is_variable(at) {
        while !at.at_end() && !at.sees_mark(b'=') && !at.sees_any(&["to", "from"]) {
            take(&mut at, out);
        }
        out.put(true, false, b"=");
        return out.put(true, false, b"?");
    }
    let forms: [&[&str]; 6] = [
        &["role"],
        &["session", "authorization"],
        &["time", "zone"],
        &["names"],
        &["schema"],
        &["xml", "option"],
    ];
    let mut ahead = at;
    match forms.iter().find(|words| ahead.eat_all(words)) {
        Some(words) => {
            for _ in *words {
                take(&mut at, out);
            }
            out.put(true, false, b"?");
        }
        None => out.put(true, false, CUT.as_bytes()),
    }
}
