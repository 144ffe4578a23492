//! From a statement's first words to what it changes.

use super::cursor::Cursor;
use super::lex::Kind;
use super::{
    Change, Discard, EFFECTS_MAX, Effect, Quoting, Script, Verb, calls, objects, plain, settings,
    split,
};

/// Collects the effects, up to their bound.
pub(super) struct Sink {
    effects: Vec<Effect>,
    statement: u32,
    truncated: bool,
}

impl Sink {
    pub(super) fn push(&mut self, change: Change) {
        if self.effects.len() >= EFFECTS_MAX {
            self.truncated = true;
            return;
        }
        self.effects.push(Effect {
            statement: self.statement,
            change,
        });
    }

    fn push_named(&mut self, name: Option<Box<str>>, change: impl FnOnce(Box<str>) -> Change) {
        // Without a name the server refuses the statement, or we cannot spell what it named.
        self.push(change(name.unwrap_or_default()));
    }
}

/// The slow path of [`super::read`].
pub(super) fn read(text: &[u8], quoting: Quoting) -> Script {
    let mut sink = Sink {
        effects: Vec::new(),
        statement: 0,
        truncated: false,
    };
    let mut first = Verb::Empty;
    let mut statements = 0u32;
    let mut broken = false;
    for piece in split::Pieces::new(text, quoting) {
        broken |= piece.broken;
        sink.statement = statements;
        let verb = read_one(piece.text, quoting, &mut sink);
        if statements == 0 {
            first = verb;
        }
        statements = statements.saturating_add(1);
    }
    Script {
        statements,
        first,
        effects: sink.effects,
        truncated: sink.truncated,
        broken,
    }
}

fn read_one(statement: &[u8], quoting: Quoting, sink: &mut Sink) -> Verb {
    let mut at = Cursor::new(statement, quoting);
    while at.eat_mark(b'(') {}
    let verb = take_verb(&mut at);
    let mut runs = verb;
    if verb == Verb::Explain {
        if !skip_explain(&mut at) {
            return verb;
        }
        while at.eat_mark(b'(') {}
        runs = take_verb(&mut at);
        if !explainable(runs) {
            return verb;
        }
    }
    if !session(runs, at, sink) {
        transaction(runs, at, sink);
    }
    let pieces = plain::pieces(statement, false);
    if pieces & plain::TEMP != 0 && matches!(runs, Verb::Select | Verb::With | Verb::Table) {
        objects::select_into(at, sink);
    }
    if pieces & plain::CALL != 0 && !(runs == Verb::Create && objects::only_defines(at)) {
        calls::scan(statement, quoting, sink);
    }
    verb
}

fn take_verb(at: &mut Cursor<'_>) -> Verb {
    match at.take() {
        Some(token) if token.kind == Kind::Word => Verb::of(at.bytes(token)),
        _ => Verb::Other,
    }
}

/// Past EXPLAIN's options. False when the statement is only planned, not run.
fn skip_explain(at: &mut Cursor<'_>) -> bool {
    if !at.sees_mark(b'(') {
        let analyze = at.eat_any(&["analyze", "analyse"]);
        at.eat("verbose");
        return analyze;
    }
    // `EXPLAIN (SELECT …)` has no options, and does not run anything either.
    let mut analyze = false;
    while let Some(token) = at.take() {
        match token.kind {
            Kind::Mark(b')') => return analyze,
            Kind::Word => {
                let word = at.bytes(token);
                if word.eq_ignore_ascii_case(b"analyze") || word.eq_ignore_ascii_case(b"analyse") {
                    analyze = !at.sees_any(&["off", "false"]);
                }
            }
            _ => {}
        }
    }
    false
}

fn explainable(verb: Verb) -> bool {
    use Verb::*;
    matches!(
        verb,
        Select
            | Insert
            | Update
            | Delete
            | With
            | Values
            | Merge
            | Table
            | Create
            | Declare
            | Execute
            | Refresh
    )
}

/// Session state and the schema. False when the verb belongs to neither.
fn session(verb: Verb, mut at: Cursor<'_>, sink: &mut Sink) -> bool {
    match verb {
        Verb::Set => settings::set(at, sink),
        Verb::Reset => settings::reset(at, sink),
        Verb::Listen => sink.push_named(at.name(), |channel| Change::Listen { channel }),
        Verb::Unlisten if at.sees_mark(b'*') => sink.push(Change::UnlistenAll),
        Verb::Unlisten => sink.push_named(at.name(), |channel| Change::Unlisten { channel }),
        Verb::Prepare => prepare(at, sink),
        Verb::Deallocate => {
            let mut named = at;
            if named.eat("prepare") && !named.at_end() {
                at = named;
            }
            if at.sees("all") {
                sink.push(Change::DeallocateAll);
            } else {
                sink.push_named(at.name(), |name| Change::Deallocate { name });
            }
        }
        Verb::Declare => declare(at, sink),
        Verb::Close if at.sees("all") => sink.push(Change::CloseAllCursors),
        Verb::Close => sink.push_named(at.name(), |name| Change::CloseCursor { name }),
        Verb::Create => objects::create(at, sink),
        Verb::Drop => objects::drop(at, sink),
        Verb::Alter => objects::alter(at, sink),
        Verb::Import => sink.push(Change::Ddl),
        Verb::Discard => discard(at, sink),
        Verb::Load => sink.push(Change::Load),
        Verb::Copy => sink.push(Change::Copy),
        _ => return false,
    }
    true
}

fn prepare(mut at: Cursor<'_>, sink: &mut Sink) {
    let mut transaction = at;
    let two_phase = transaction.eat("transaction")
        && transaction
            .peek_kind()
            .is_some_and(|kind| kind.is_string() || kind == Kind::Bad);
    if two_phase {
        return sink.push(Change::PrepareTransaction);
    }
    sink.push_named(at.name(), |name| Change::Prepare { name });
}

fn declare(mut at: Cursor<'_>, sink: &mut Sink) {
    let name = at.name();
    // Options stand in any order before CURSOR; WITH HOLD stands after it, or where an older
    // grammar allowed it. The query begins after FOR.
    while !at.at_end() && !at.sees("for") {
        if at.eat_all(&["with", "hold"]) {
            return sink.push_named(name, |name| Change::DeclareHold { name });
        }
        at.take();
    }
}

fn discard(at: Cursor<'_>, sink: &mut Sink) {
    let what = [
        ("all", Discard::All),
        ("temp", Discard::Temp),
        ("temporary", Discard::Temp),
        ("plans", Discard::Plans),
        ("sequences", Discard::Sequences),
    ];
    if let Some((_, what)) = what.iter().find(|(word, _)| at.sees(word)) {
        sink.push(Change::Discard(*what));
    }
}

fn transaction(verb: Verb, mut at: Cursor<'_>, sink: &mut Sink) {
    let noise = ["work", "transaction"];
    match verb {
        Verb::Begin => sink.push(Change::Begin),
        Verb::Start if at.sees("transaction") => sink.push(Change::Begin),
        Verb::Savepoint => sink.push_named(at.name(), |name| Change::Savepoint { name }),
        Verb::Release => {
            skip_savepoint(&mut at);
            sink.push_named(at.name(), |name| Change::Release { name });
        }
        // COMMIT PREPARED and ROLLBACK PREPARED decide a transaction that is nobody's.
        Verb::Commit | Verb::Rollback if at.sees("prepared") => {}
        Verb::Commit | Verb::End => {
            at.eat_any(&noise);
            let chain = at.eat_all(&["and", "chain"]);
            sink.push(Change::Commit { chain });
        }
        Verb::Rollback | Verb::Abort => {
            at.eat_any(&noise);
            if verb == Verb::Rollback && at.eat("to") {
                skip_savepoint(&mut at);
                return sink.push_named(at.name(), |name| Change::RollbackTo { name });
            }
            let chain = at.eat_all(&["and", "chain"]);
            sink.push(Change::Rollback { chain });
        }
        _ => {}
    }
}

/// Past the word SAVEPOINT, unless it is the savepoint's name.
fn skip_savepoint(at: &mut Cursor<'_>) {
    let mut named = *at;
    if named.eat("savepoint") && !named.at_end() {
        *at = named;
    }
}
