//! The queue of expected replies of one server session: replies have owners.
//!
//! Each message that will be answered has an entry. An entry belongs to the
//! client that holds the connection, or to the pooler itself; the pooler's
//! replies are swallowed. A local entry has no message at the server at all:
//! its reply is ours, and goes out when its turn comes.

use crate::effects::Script;
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
}

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
    /// Close of the client.
    Close,
    /// A message that fails at the server on purpose; the client gets this error instead.
    Fails(Box<[u8]>),
    /// Parse of the pooler's, ahead of a client's Bind or Describe.
    OwnParse(Arc<Statement>),
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
    /// CommandComplete and ReadyForQuery from us: `DEALLOCATE` of a statement of ours.
    LocalDeallocate,
}

/// A client's Parse of a named statement, or of the unnamed one.
#[derive(Debug)]
pub(crate) struct ClientParse {
    pub(crate) name: Box<[u8]>,
    pub(crate) statement: Arc<Statement>,
}

impl Expect {
    /// The pooler's own: the client must not see the reply.
    #[inline]
    pub(crate) fn is_own(&self) -> bool {
        matches!(
            self,
            Expect::OwnParse(_) | Expect::OwnClose(_) | Expect::OwnQuery(_) | Expect::OwnSync
        )
    }

    /// Ours without a message at the server.
    #[inline]
    pub(crate) fn is_local(&self) -> bool {
        matches!(
            self,
            Expect::LocalParse(_)
                | Expect::LocalClose(_)
                | Expect::LocalDeallocate
                | Expect::CopyEnd
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

    /// Ends with ReadyForQuery.
    #[inline]
    pub(crate) fn ends_batch(&self) -> bool {
        matches!(
            self,
            Expect::Query(_)
                | Expect::Function
                | Expect::Sync
                | Expect::OwnQuery(_)
                | Expect::OwnSync
        )
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
}

/// What is known when COPY in begins of messages sent ahead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct CopyAhead {
    /// The end of the copy was sent, or a message that ends it.
    pub(crate) ended: bool,
    /// A Sync was used up: the batch has none now.
    pub(crate) unsynced: bool,
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

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Expect> {
        let entry = self.entries.pop_front()?;
        if entry.ends_batch() {
            self.batches -= 1;
        }
        Some(entry)
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
                    self.entries.remove(1);
                    self.batches -= 1;
                    self.swallowed += 1;
                }
                Expect::CopyEnd => {
                    self.entries.remove(1);
                    ahead.ended = true;
                    break;
                }
                // After a simple query there is no Sync to skip to: the server
                // goes on with the message after the one that it used up.
                _ if matches!(self.entries.front(), Some(Expect::Query(_))) => {
                    if let Some(used) = self.entries.remove(1)
                        && used.ends_batch()
                    {
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
