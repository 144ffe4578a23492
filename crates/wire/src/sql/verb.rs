//! The words a statement may begin with.

macro_rules! verbs {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// What a statement begins with, parentheses aside.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)]
        #[non_exhaustive]
        pub enum Verb {
            /// There is no statement.
            Empty,
            /// A word that is not in this list, or no word at all.
            Other,
            $($name,)*
        }

        impl Verb {
            /// The verb in capitals; nothing for `Empty`, `?` for `Other`.
            pub fn as_str(self) -> &'static str {
                match self {
                    Verb::Empty => "",
                    Verb::Other => "?",
                    $(Verb::$name => $text,)*
                }
            }

            /// All that it does is to begin, to end or to divide a transaction.
            pub fn controls_a_transaction(self) -> bool {
                use Verb::{Abort, Begin, Commit, End, Release, Rollback, Savepoint, Start};
                matches!(self, Begin | Start | Commit | End | Rollback | Abort | Savepoint | Release)
            }

            /// The verb that `word` spells, in any case.
            pub(super) fn of(word: &[u8]) -> Verb {
                let mut upper = [0u8; 10];
                let Some(buffer) = upper.get_mut(..word.len()) else {
                    return Verb::Other;
                };
                buffer.copy_from_slice(word);
                buffer.make_ascii_uppercase();
                match std::str::from_utf8(buffer) {
                    $(Ok($text) => Verb::$name,)*
                    _ => Verb::Other,
                }
            }
        }
    };
}

verbs! {
    Select = "SELECT", Insert = "INSERT", Update = "UPDATE", Delete = "DELETE", With = "WITH",
    Values = "VALUES", Merge = "MERGE", Table = "TABLE", Fetch = "FETCH", Move = "MOVE",
    Show = "SHOW", Execute = "EXECUTE",
    Begin = "BEGIN", Start = "START", Commit = "COMMIT", End = "END", Rollback = "ROLLBACK",
    Abort = "ABORT", Savepoint = "SAVEPOINT", Release = "RELEASE",
    Set = "SET", Reset = "RESET", Discard = "DISCARD",
    Listen = "LISTEN", Unlisten = "UNLISTEN", Notify = "NOTIFY",
    Prepare = "PREPARE", Deallocate = "DEALLOCATE", Declare = "DECLARE", Close = "CLOSE",
    Create = "CREATE", Alter = "ALTER", Drop = "DROP", Truncate = "TRUNCATE", Import = "IMPORT",
    Comment = "COMMENT", Security = "SECURITY", Grant = "GRANT", Revoke = "REVOKE",
    Reassign = "REASSIGN", Refresh = "REFRESH", Reindex = "REINDEX", Cluster = "CLUSTER",
    Copy = "COPY", Call = "CALL", Do = "DO", Explain = "EXPLAIN", Lock = "LOCK", Load = "LOAD",
    Vacuum = "VACUUM", Analyze = "ANALYZE", Analyse = "ANALYSE", Checkpoint = "CHECKPOINT",
}
