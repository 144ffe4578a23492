//! Prepared statements: shared by text between clients, kept per server connection.
//!
//! A statement is its text and its parameter types. Its name at the server is
//! a hash of both, so that workers and clients agree on it without a shared
//! table (docs/decisions/0004).

use crate::effects;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use wire::sql::{self, Quoting};

/// A statement text with its parameter types.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) text: Box<[u8]>,
    /// Number of types and their OIDs, as Parse carries them.
    pub(crate) types: Box<[u8]>,
    /// What the statement does to the session; `None` for an ordinary one.
    pub(crate) script: Option<sql::Script>,
    /// DDL seen before the client prepared it. What is prepared after DDL is
    /// another statement than the same text before: its results may have
    /// another shape than those that were described to earlier clients.
    pub(crate) epoch: u64,
    /// A server said that its results have another shape now.
    outdated: AtomicBool,
    hash: u64,
    name: OnceLock<Box<[u8]>>,
}

impl Statement {
    fn new(hash: u64, text: &[u8], types: &[u8], epoch: u64, quoting: Quoting) -> Statement {
        Statement {
            text: text.into(),
            types: types.into(),
            script: effects::script_of(text, quoting),
            epoch,
            outdated: AtomicBool::new(false),
            hash,
            name: OnceLock::new(),
        }
    }

    /// Its name at the server: a prefix and 128 bits of SHA-256. Only named
    /// statements need it, so it is made at the first use.
    pub(crate) fn server_name(&self) -> &[u8] {
        self.name.get_or_init(|| {
            let mut hash = Sha256::new();
            hash.update((self.types.len() as u64).to_be_bytes());
            hash.update(&self.types);
            hash.update(&self.text);
            if self.epoch > 0 {
                hash.update(self.epoch.to_be_bytes());
            }
            let mut name = String::from("plimsoll_");
            for byte in hash.finalize().iter().take(16) {
                let _ = write!(name, "{byte:02x}");
            }
            name.into_bytes().into_boxed_slice()
        })
    }

    fn same(&self, text: &[u8], types: &[u8], epoch: u64) -> bool {
        self.epoch == epoch && *self.text == *text && *self.types == *types
    }

    /// Its results have another shape now than its clients were told.
    pub(crate) fn is_outdated(&self) -> bool {
        self.outdated.load(Ordering::Relaxed)
    }

    pub(crate) fn set_outdated(&self) {
        self.outdated.store(true, Ordering::Relaxed);
    }
}

/// Same text and types; two workers may each have made one.
pub(crate) fn equal(a: &Arc<Statement>, b: &Arc<Statement>) -> bool {
    Arc::ptr_eq(a, b) || (a.hash == b.hash && a.same(&b.text, &b.types, b.epoch))
}

/// A worker's table of statement texts, so that a text that comes again costs
/// no allocation. Bounded: two generations, the older one is dropped when the
/// younger is full, and what is still used moves over.
pub(crate) struct Texts {
    hasher: FixedState,
    young: HashTable<Arc<Statement>>,
    old: HashTable<Arc<Statement>>,
    young_bytes: usize,
}

/// Texts per generation, and their bytes.
const TEXTS_MAX: usize = 4096;
const TEXT_BYTES_MAX: usize = 4 << 20;

impl Texts {
    /// `seed` is drawn by the shell, so that nobody can aim for collisions.
    pub(crate) fn new(seed: u64) -> Texts {
        Texts {
            hasher: FixedState::with_seed(seed),
            young: HashTable::new(),
            old: HashTable::new(),
            young_bytes: 0,
        }
    }

    pub(crate) fn intern(
        &mut self,
        text: &[u8],
        types: &[u8],
        epoch: u64,
        quoting: Quoting,
    ) -> Arc<Statement> {
        let hash = self.hash(text, types, epoch);
        if let Some(known) = self.young.find(hash, |s| s.same(text, types, epoch)) {
            return Arc::clone(known);
        }
        let statement = match self.old.find(hash, |s| s.same(text, types, epoch)) {
            Some(known) => Arc::clone(known),
            None => Arc::new(Statement::new(hash, text, types, epoch, quoting)),
        };
        let bytes = text.len() + types.len();
        if bytes > TEXT_BYTES_MAX / 16 {
            return statement;
        }
        if self.young.len() >= TEXTS_MAX || self.young_bytes + bytes > TEXT_BYTES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        self.young
            .insert_unique(hash, Arc::clone(&statement), |s| s.hash);
        statement
    }

    fn hash(&self, text: &[u8], types: &[u8], epoch: u64) -> u64 {
        let mut h = self.hasher.build_hasher();
        h.write(text);
        h.write(types);
        h.write_u64(epoch);
        h.finish()
    }
}

/// What a server connection has prepared, by statement.
#[derive(Default, Debug)]
pub(crate) struct Prepared {
    by_name: HashMap<Arc<Statement>, Slot, NameHash>,
    uses: u64,
}

#[derive(Debug)]
struct Slot {
    used: u64,
    state: SlotState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SlotState {
    /// As many Parses are on their way, the last in the batch with this number.
    /// Only the last one's answer decides: a Close of ours is before it.
    Parsing(u64, u32),
    /// ParseComplete was seen.
    Ready,
    /// It may have become invalid: Close and Parse before the next use.
    Stale,
    /// A Close is on its way.
    Closing,
}

/// What must be sent before a Bind or Describe of a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// Parse.
    Parse,
    /// Close, then Parse.
    CloseParse,
}

impl Prepared {
    /// Looks a statement up for use in batch `batch`.
    pub(crate) fn need(&mut self, statement: &Arc<Statement>, batch: u64) -> Need {
        self.uses += 1;
        let uses = self.uses;
        match self.by_name.get_mut(statement) {
            None => Need::Parse,
            Some(slot) => {
                slot.used = uses;
                match slot.state {
                    SlotState::Ready => Need::Nothing,
                    SlotState::Parsing(b, _) if b == batch => Need::Nothing,
                    _ => Need::CloseParse,
                }
            }
        }
    }

    /// The server has it, or is being told.
    pub(crate) fn has(&self, statement: &Arc<Statement>) -> bool {
        self.by_name.contains_key(statement)
    }

    /// A Parse was sent in batch `batch`.
    pub(crate) fn parsing(&mut self, statement: &Arc<Statement>, batch: u64) {
        self.uses += 1;
        let under_way = match self.by_name.get(statement).map(|s| s.state) {
            Some(SlotState::Parsing(_, n)) => n,
            _ => 0,
        };
        let slot = Slot {
            used: self.uses,
            state: SlotState::Parsing(batch, under_way.saturating_add(1)),
        };
        self.by_name.insert(Arc::clone(statement), slot);
    }

    /// ParseComplete was seen.
    pub(crate) fn ready(&mut self, statement: &Arc<Statement>) {
        self.answered(statement, SlotState::Ready);
    }

    /// A Parse failed or was skipped. An earlier one of the same text may
    /// have succeeded, so the next use closes first.
    pub(crate) fn doubtful(&mut self, statement: &Arc<Statement>) {
        self.answered(statement, SlotState::Stale);
    }

    fn answered(&mut self, statement: &Arc<Statement>, last: SlotState) {
        if let Some(slot) = self.by_name.get_mut(statement)
            && let SlotState::Parsing(_, under_way) = &mut slot.state
        {
            *under_way -= 1;
            if *under_way == 0 {
                slot.state = last;
            }
        }
    }

    /// A Close was skipped, so what it was to close may be there. A Parse that
    /// follows it has a Close of its own, or is skipped too.
    pub(crate) fn not_closed(&mut self, statement: &Arc<Statement>) {
        if let Some(slot) = self.by_name.get_mut(statement)
            && slot.state == SlotState::Closing
        {
            slot.state = SlotState::Stale;
        }
    }

    /// CloseComplete was seen. A Parse may have followed the Close already.
    pub(crate) fn closed(&mut self, statement: &Arc<Statement>) {
        if self
            .by_name
            .get(statement)
            .is_some_and(|s| s.state == SlotState::Closing)
        {
            self.by_name.remove(statement);
        }
    }

    /// Room for one more under `max`: the least used statement that is at rest, marked as closing.
    pub(crate) fn victim(&mut self, max: u32) -> Option<Arc<Statement>> {
        if self.by_name.len() < max as usize {
            return None;
        }
        // Those that are on their way out count no more.
        let closing = |s: &&Slot| s.state == SlotState::Closing;
        if self.by_name.len() - self.by_name.values().filter(closing).count() < max as usize {
            return None;
        }
        let (statement, slot) = self
            .by_name
            .iter_mut()
            .filter(|(_, s)| matches!(s.state, SlotState::Ready | SlotState::Stale))
            .min_by_key(|(_, s)| s.used)?;
        slot.state = SlotState::Closing;
        Some(Arc::clone(statement))
    }

    /// They may be gone: parse anew before each next use.
    pub(crate) fn all_stale(&mut self) {
        for slot in self.by_name.values_mut() {
            if slot.state == SlotState::Ready {
                slot.state = SlotState::Stale;
            }
        }
    }

    /// The server dropped them all (DISCARD ALL, DEALLOCATE ALL). A Parse that
    /// is still to be answered was sent after that.
    pub(crate) fn clear(&mut self) {
        self.by_name
            .retain(|_, s| matches!(s.state, SlotState::Parsing(..)));
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }
}

/// The statement's own seeded hash serves as the key; a statement of another
/// worker has another seed only in another process.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct NameHash;

impl BuildHasher for NameHash {
    type Hasher = PassOn;
    fn build_hasher(&self) -> PassOn {
        PassOn(0)
    }
}

/// Takes a ready-made hash.
#[derive(Debug)]
pub(crate) struct PassOn(u64);

impl Hasher for PassOn {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        debug_assert!(false, "only u64 keys are hashed here");
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

impl std::hash::Hash for Statement {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialEq for Statement {
    fn eq(&self, other: &Statement) -> bool {
        self.hash == other.hash && self.same(&other.text, &other.types, other.epoch)
    }
}

impl Eq for Statement {}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Texts {
        Texts::new(7)
    }

    const Q: Quoting = Quoting {
        standard_conforming_strings: true,
    };

    #[test]
    fn equal_texts_are_one_statement_with_one_name() {
        let mut t = texts();
        let a = t.intern(b"select $1", b"\0\0", 0, Q);
        let b = t.intern(b"select $1", b"\0\0", 0, Q);
        let c = t.intern(b"select $1", b"\0\x01\0\0\0\x17", 0, Q);
        assert!(Arc::ptr_eq(&a, &b));
        assert_ne!(a.server_name(), c.server_name(), "types belong to the key");
        assert_eq!(a.server_name().len(), 9 + 32);
    }

    #[test]
    fn the_text_table_is_bounded_and_keeps_what_is_used() {
        let mut t = texts();
        let hot = t.intern(b"hot", b"\0\0", 0, Q);
        for i in 0..TEXTS_MAX * 3 {
            t.intern(format!("cold {i}").as_bytes(), b"\0\0", 0, Q);
            assert!(Arc::ptr_eq(&hot, &t.intern(b"hot", b"\0\0", 0, Q)));
        }
        assert!(t.young.len() + t.old.len() <= 2 * TEXTS_MAX);
    }

    #[test]
    fn a_statement_is_prepared_only_once_confirmed() {
        let mut t = texts();
        let s = t.intern(b"select 1", b"\0\0", 0, Q);
        let mut p = Prepared::default();
        assert_eq!(p.need(&s, 1), Need::Parse);
        p.parsing(&s, 1);
        assert_eq!(
            p.need(&s, 1),
            Need::Nothing,
            "same batch: it runs or fails with it"
        );
        assert_eq!(
            p.need(&s, 2),
            Need::CloseParse,
            "a later batch cannot know yet"
        );
        p.ready(&s);
        assert_eq!(p.need(&s, 2), Need::Nothing);
        p.all_stale();
        assert_eq!(p.need(&s, 3), Need::CloseParse);
    }

    #[test]
    fn only_the_last_parse_under_way_decides() {
        let mut t = texts();
        let s = t.intern(b"select 1", b"\0\0", 0, Q);
        let mut p = Prepared::default();
        p.parsing(&s, 1);
        p.parsing(&s, 2);
        p.ready(&s);
        assert_eq!(p.need(&s, 3), Need::CloseParse, "closed, and parsed anew");
        p.not_closed(&s);
        p.all_stale();
        assert!(p.victim(1).is_none(), "it is still under way");
        p.doubtful(&s);
        assert_eq!(p.need(&s, 3), Need::CloseParse, "the last one failed");
        p.parsing(&s, 3);
        p.parsing(&s, 4);
        p.doubtful(&s);
        assert_eq!(p.need(&s, 4), Need::Nothing, "an earlier one was skipped");
        p.ready(&s);
        assert_eq!(p.need(&s, 5), Need::Nothing);
    }

    #[test]
    fn the_least_used_makes_room() {
        let mut t = texts();
        let mut p = Prepared::default();
        let all: Vec<_> = (0..3)
            .map(|i| t.intern(format!("s{i}").as_bytes(), b"\0\0", 0, Q))
            .collect();
        for s in &all {
            p.parsing(s, 1);
            p.ready(s);
        }
        p.need(&all[0], 1);
        assert!(p.victim(4).is_none());
        let victim = p.victim(3).expect("full");
        assert_eq!(victim.text, all[1].text);
        p.closed(&victim);
        assert_eq!(p.len(), 2);
    }
}
