//! What clients chose, made fit for a person's terminal or page.

/// Characters of one line at most.
const CLEAN_MAX: usize = 2_000;

/// The text without what a terminal would obey or what would change the order of
/// words: control characters, escapes and directional marks become "·". Markup
/// is the page's matter: it escapes.
///
/// ```
/// assert_eq!(diagnose::clean("web\u{1b}[31m\nred"), "web·[31m·red");
/// ```
pub fn clean(text: &str) -> String {
    let visible = |c: char| if is_obeyed(c) { '·' } else { c };
    let mut cleaned: String = text.chars().take(CLEAN_MAX).map(visible).collect();
    if text.chars().nth(CLEAN_MAX).is_some() {
        cleaned.push('…');
    }
    cleaned
}

/// A terminal would obey it, or it turns the order of words, or nobody sees it.
pub(crate) fn is_obeyed(c: char) -> bool {
    let unseen = matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{061c}' | '\u{00ad}'
        | '\u{e0000}'..='\u{e007f}');
    unseen || c.is_control()
}
