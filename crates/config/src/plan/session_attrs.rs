//! `target_session_attrs`: its words.

/// What a server must be to serve a database (`target_session_attrs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionAttrs {
    /// Any server.
    #[default]
    Any,
    /// A primary whose transactions may write.
    ReadWrite,
    /// A standby, or a server whose transactions are read-only by default.
    ReadOnly,
    /// Not in recovery.
    Primary,
    /// In recovery.
    Standby,
}

impl SessionAttrs {
    /// Each with its word in the settings.
    pub const WORDS: [(&'static str, SessionAttrs); 5] = [
        ("any", SessionAttrs::Any),
        ("read-write", SessionAttrs::ReadWrite),
        ("read-only", SessionAttrs::ReadOnly),
        ("primary", SessionAttrs::Primary),
        ("standby", SessionAttrs::Standby),
    ];

    /// What a word means.
    pub fn from_word(word: &str) -> Option<SessionAttrs> {
        let found = SessionAttrs::WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, attrs)| *attrs)
    }

    /// The word.
    pub fn word(self) -> &'static str {
        let found = SessionAttrs::WORDS.iter().find(|(_, attrs)| *attrs == self);
        found.map_or("any", |(word, _)| *word)
    }
}
