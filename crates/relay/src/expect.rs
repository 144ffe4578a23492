//! The queue of expected replies of one server session: replies have owners.
//!
//! Each message that will be answered has an entry. An entry belongs to the
//! client that holds the connection, or to the pooler itself; the pooler's
//! replies are swallowed. A local entry has no message at the server at all:
//! its reply is ours, and goes out when its turn comes.

use crate::client::Named;
use crate::effects::{Script, ScriptNotes};
use crate::statements::Statement;
use std::collections::VecDeque;
use std::sync::Arc;

/// A statement of the pooler's own, and what its end means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// Session parameters of the client about to use the connection.
    Parameters,
    /// A check that the connection lives.
    Check,
    /// `connect_query` or a reset: session state back to what it was at login.
    Reset,
    /// ROLLBACK of what a vanished client left.
    Rollback,
    /// The user look-up of a login.
    AuthQuery,
    /// The values of settings that no text told.
    Settings,
    /// The monitor session's reading.
    Budget,
    /// Its measurements: a round trip, what the server does, who blocks there.
    Probe,
    Activity,
    Blockers,
    /// Which database it is.
    Identity,
}

/// Names of the kinds of expected replies, for those who count them.
pub const KINDS: [&str; 24] = [
    "query",
    "query with effects",
    "function call",
    "sync",
    "parse",
    "bind",
    "describe",
    "execute",
    "execute with effects",
    "close",
    "fails on purpose",
    "own parse",
    "own close",
    "own parameters",
    "own check",
    "own reset",
    "own rollback",
    "own auth_query",
    "own sync",
    "local parse",
    "local close",
    "copy end",
    "own settings",
    "own reading",
];

/// One expected reply.
#[derive(Debug)]
pub(crate) enum Expect {
    /// Simple query of the client: until ReadyForQuery.
    Query(Option<Box<Script>>),
    /// FunctionCall of the client: until ReadyForQuery.
    Function,
    /// Sync of the client: until ReadyForQuery.
    Sync,
    /// Parse of the client.
    Parse(Option<Box<ClientParse>>),
    /// Bind of the client.
    Bind,
    /// Bind of the client, of a statement that it prepared before DDL was seen.
    BindOld(Arc<Statement>),
    /// Describe of the client, statement or portal.
    Describe,
    /// Execute of the client.
    Execute(Option<Box<Script>>),
    /// Close of the client; what it closed of those that have their own names
    /// there, should it be skipped.
    Close(Option<Box<ClientParse>>),
    /// A message that fails at the server on purpose.
    Fails(Box<Refusal>),
    /// Parse of the pooler's, ahead of a client's Bind or Describe.
    OwnParse(Arc<Statement>),
    /// The same of the unnamed statement.
    OwnUnnamed,
    /// Close of the pooler's, to make room or to parse anew.
    OwnClose(Arc<Statement>),
    /// Simple query of the pooler's: until ReadyForQuery.
    OwnQuery(Purpose),
    /// Sync of the pooler's: until ReadyForQuery.
    OwnSync,
    /// ParseComplete from us.
    LocalParse(Box<ClientParse>),
    /// CloseComplete from us; what was closed, should the Close be skipped.
    LocalClose(Option<Box<ClientParse>>),
    /// CopyDone or CopyFail was sent before the COPY was known to have begun; nothing answers it.
    CopyEnd,
}

/// An error of ours for a client, raised at the server too, so that both
/// agree on what comes after.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The server's error that ours stands for. Any other one, such as that
    /// of a failed transaction, would have come first, and goes to the client.
    pub(crate) code: &'static str,
    pub(crate) instead: Box<[u8]>,
    /// What fails is a Query, and ends with ReadyForQuery.
    pub(crate) query: bool,
}

/// A client's Parse of a named statement, or of the unnamed one.
#[derive(Debug)]
pub(crate) struct ClientParse {
    pub(crate) name: Box<[u8]>,
    pub(crate) statement: Arc<Statement>,
    /// The unnamed statement that it replaces, and that stays if it is skipped.
    pub(crate) before: Option<Arc<Statement>>,
    /// As in [`Named`](crate::client::Named).
    pub(crate) lease: u64,
}

impl ClientParse {
    /// The server knows it by our name.
    pub(crate) fn is_ours(&self) -> bool {
        !self.name.is_empty() && self.lease == 0
    }

    /// As the client has it.
    pub(crate) fn named(&self) -> Named {
        Named {
            statement: Arc::clone(&self.statement),
            lease: self.lease,
        }
    }
}

impl Expect {
    /// The pooler's own: the client must not see the reply.
    #[inline]
    pub(crate) fn is_own(&self) -> bool {
        matches!(
            self,
            Expect::OwnParse(_)
                | Expect::OwnUnnamed
                | Expect::OwnClose(_)
                | Expect::OwnQuery(_)
                | Expect::OwnSync
        )
    }

    /// Ours without a message at the server.
    #[inline]
    pub(crate) fn is_local(&self) -> bool {
        matches!(
            self,
            Expect::LocalParse(_) | Expect::LocalClose(_) | Expect::CopyEnd
        )
    }

    /// Its end may change what the session has set.
    pub(crate) fn changes_session(&self) -> bool {
        matches!(
            self,
            Expect::Query(Some(_))
                | Expect::Execute(Some(_))
                | Expect::OwnQuery(Purpose::Parameters)
        )
    }

    /// Its place in [`KINDS`].
    #[inline]
    pub(crate) fn kind(&self) -> u32 {
        match self {
            Expect::Query(None) => 0,
            Expect::Query(Some(_)) => 1,
            Expect::Function => 2,
            Expect::Sync => 3,
            Expect::Parse(_) => 4,
            Expect::Bind | Expect::BindOld(_) => 5,
            Expect::Describe => 6,
            Expect::Execute(None) => 7,
            Expect::Execute(Some(_)) => 8,
            Expect::Close(_) => 9,
            Expect::Fails(_) => 10,
            Expect::OwnParse(_) | Expect::OwnUnnamed => 11,
            Expect::OwnClose(_) => 12,
            Expect::OwnQuery(Purpose::Parameters) => 13,
            Expect::OwnQuery(Purpose::Check) => 14,
            Expect::OwnQuery(Purpose::Reset) => 15,
            Expect::OwnQuery(Purpose::Rollback) => 16,
            Expect::OwnQuery(Purpose::AuthQuery) => 17,
            Expect::OwnSync => 18,
            Expect::LocalParse(_) => 19,
            Expect::LocalClose(_) => 20,
            Expect::CopyEnd => 21,
            Expect::OwnQuery(Purpose::Settings) => 22,
            Expect::OwnQuery(
                Purpose::Budget
                | Purpose::Probe
                | Purpose::Activity
                | Purpose::Blockers
                | Purpose::Identity,
            ) => 23,
        }
    }

    /// Ends with ReadyForQuery.
    #[inline]
    pub(crate) fn ends_batch(&self) -> bool {
        match self {
            Expect::Query(_)
            | Expect::Function
            | Expect::Sync
            | Expect::OwnQuery(_)
            | Expect::OwnSync => true,
            Expect::Fails(refusal) => refusal.query,
            _ => false,
        }
    }
}

/// Expected replies, in order.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    entries: VecDeque<Expect>,
    /// Entries that end with ReadyForQuery.
    batches: u32,
    /// The server skips messages until the next Sync, because one before it failed.
    skipping: bool,
    /// Syncs believed to be read as part of the COPY at the head.
    swallowed: u32,
    /// Kinds of entries popped since somebody asked, a bit for each.
    popped: u32,
    /// Entries that left so far: the one at the head has this number.
    left: u64,
    /// One past the number of the last entry that says which prepared statements exist.
    names: u64,
    /// One past the number of the last entry that takes a parameter of the
    /// client's login to another login's value.
    resets: u64,
}

/// What is known when COPY in begins of messages sent ahead.
#[derive(Debug, Default)]
pub(crate) struct CopyAhead {
    /// The end of the copy was sent, or a message that ends it.
    pub(crate) ended: bool,
    /// A Sync was used up: the batch has none now.
    pub(crate) unsynced: bool,
    /// The message that ended it with an error, and that nothing answers.
    pub(crate) used: Option<Expect>,
}

/// Most replies owed on one connection; beyond it the client is not read.
pub(crate) const EXPECTED_MAX: usize = 8192;

impl Expected {
    #[inline]
    pub(crate) fn front(&self) -> Option<&Expect> {
        self.entries.front()
    }

    #[inline]
    pub(crate) fn front_mut(&mut self) -> Option<&mut Expect> {
        self.entries.front_mut()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// ReadyForQuery replies that are still to come.
    #[inline]
    pub(crate) fn batches(&self) -> u32 {
        self.batches
    }

    /// Adds an entry. While the server skips, what it will not answer is
    /// dropped: given back, so that its statement is not believed prepared.
    #[inline]
    pub(crate) fn push(&mut self, entry: Expect) -> Option<Expect> {
        if self.skipping {
            // A skipping server answers nothing before Sync, not even Query.
            if !matches!(entry, Expect::Sync | Expect::OwnSync) {
                return Some(entry);
            }
            self.skipping = false;
            self.swallowed = 0;
        }
        if entry.ends_batch() {
            self.batches += 1;
        }
        self.entries.push_back(entry);
        None
    }

    /// One past the number of the last entry.
    pub(crate) fn end(&self) -> u64 {
        self.left + self.entries.len() as u64
    }

    /// The entry that was just added says which prepared statements exist.
    #[inline]
    pub(crate) fn note_names(&mut self) {
        self.names = self.end();
    }

    /// The text whose entry was just added does this, for a client with this login.
    pub(crate) fn note_script(&mut self, script: ScriptNotes) {
        if script.names {
            self.names = self.end();
        }
        if script.resets {
            self.resets = self.end();
        }
    }

    /// Parameters may differ from the client's once what is under way is answered.
    #[inline]
    pub(crate) fn resets(&self) -> bool {
        self.resets > self.left
    }

    /// Something under way says which prepared statements exist.
    #[inline]
    pub(crate) fn names(&self) -> bool {
        self.names > self.left
    }

    /// Whether the prepared statement `name` of the client's exists depends on
    /// replies to come: a batch before this one made or closed it, and may have
    /// been skipped. What this batch did to it holds wherever it comes into play.
    pub(crate) fn undecided(&self, name: &[u8]) -> bool {
        let mut earlier = false;
        for entry in self.entries.iter().rev() {
            match entry {
                Expect::Parse(Some(p))
                | Expect::LocalParse(p)
                | Expect::LocalClose(Some(p))
                | Expect::Close(Some(p))
                    if *p.name == *name =>
                {
                    return earlier;
                }
                Expect::Query(Some(s)) | Expect::Execute(Some(s)) if s.drops_statements() => {
                    return true;
                }
                _ => earlier |= entry.ends_batch(),
            }
        }
        false
    }

    /// The replies up to `end` have come, as far as they will.
    pub(crate) fn answered(&self, end: u64) -> bool {
        self.left >= end || self.entries.is_empty() || self.skipping
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Expect> {
        let entry = self.entries.pop_front()?;
        self.left += 1;
        if entry.ends_batch() {
            self.batches -= 1;
        }
        self.popped |= 1 << entry.kind();
        Some(entry)
    }

    pub(crate) fn take_popped(&mut self) -> u32 {
        std::mem::take(&mut self.popped)
    }

    /// After an error in an extended batch: what the server skips, one entry a
    /// call, until the Sync, which stays. `None` once done; when no Sync was
    /// sent yet, later entries are dropped as they come.
    pub(crate) fn skip(&mut self) -> Option<Expect> {
        match self.entries.front() {
            None => {
                self.skipping = true;
                None
            }
            Some(Expect::Sync | Expect::OwnSync) => None,
            Some(_) => self.pop(),
        }
    }

    /// COPY in began at the head. The Syncs right behind it are read as part
    /// of the copy and never answered; the next other message ends it with an
    /// error, and is used up. What is known already is told.
    pub(crate) fn copy_began(&mut self) -> CopyAhead {
        let mut ahead = CopyAhead::default();
        self.swallowed = 0;
        while let Some(next) = self.entries.get(1) {
            match next {
                Expect::Sync => {
                    self.remove_next();
                    self.batches -= 1;
                    self.swallowed += 1;
                }
                Expect::CopyEnd => {
                    self.remove_next();
                    ahead.ended = true;
                    break;
                }
                // After a simple query there is no Sync to skip to: the server
                // goes on with the message after the one that it used up.
                _ if matches!(self.entries.front(), Some(Expect::Query(_))) => {
                    ahead.used = self.remove_next();
                    if ahead.used.as_ref().is_some_and(Expect::ends_batch) {
                        self.batches -= 1;
                    }
                    ahead.ended = true;
                    break;
                }
                _ => {
                    ahead.ended = true;
                    break;
                }
            }
        }
        ahead.unsynced = self.swallowed > 0 && self.batches == 0;
        ahead
    }

    /// Removes the entry behind the head; those behind it move up.
    fn remove_next(&mut self) -> Option<Expect> {
        for end in [&mut self.names, &mut self.resets] {
            if *end > self.left + 1 {
                *end -= 1;
            }
        }
        self.entries.remove(1)
    }

    /// ReadyForQuery that nobody expects: the COPY failed before it read the
    /// Sync that was sent ahead, so that the Sync was answered after all.
    pub(crate) fn late_sync(&mut self) -> bool {
        let fits = self.entries.is_empty() && self.skipping && self.swallowed > 0;
        if fits {
            self.skipping = false;
            self.swallowed -= 1;
        }
        fits
    }

    /// The server is in the skipping state with no Sync sent.
    pub(crate) fn is_skipping(&self) -> bool {
        self.skipping
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Expect> {
        self.entries.iter_mut()
    }

    /// A Parse of this name of the client's is still to be answered.
    pub(crate) fn parses(&self, name: &[u8]) -> bool {
        self.entries.iter().any(|e| match e {
            Expect::Parse(Some(p)) | Expect::LocalParse(p) => *p.name == *name,
            _ => false,
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Expect> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_drops_the_rest_of_its_batch_only() {
        let mut q = Expected::default();
        for e in [
            Expect::Bind,
            Expect::Execute(None),
            Expect::Sync,
            Expect::Bind,
            Expect::Sync,
        ] {
            assert!(q.push(e).is_none());
        }
        let mut dropped = 0;
        while q.skip().is_some() {
            dropped += 1;
        }
        assert_eq!((dropped, q.len(), q.batches()), (2, 3, 2));
        assert!(!q.is_skipping());
    }

    #[test]
    fn an_error_before_the_sync_was_sent_drops_what_follows() {
        let mut q = Expected::default();
        q.push(Expect::Bind);
        assert!(q.skip().is_some());
        assert!(q.skip().is_none());
        assert!(q.is_skipping());
        assert!(
            q.push(Expect::Describe).is_some(),
            "skipped, so never answered"
        );
        assert!(
            q.push(Expect::Query(None)).is_some(),
            "a skipping server answers no query either"
        );
        assert!(q.push(Expect::Sync).is_none());
        assert!(!q.is_skipping());
        assert_eq!(q.len(), 1);
    }
}
