//! One connection's side of the protocol: plays a request step by step. Bytes and
//! moments in, bytes and what to do next out; no socket, no clock.
//!
//! ```text
//!   begin ─► (Query │ Parse Bind Execute Sync) ─► ReadyForQuery ─► next step … ─► Done
//!                                   │ error: ROLLBACK where a transaction is open
//!                                   └─ \sleep, holding: At(moment), then wake
//! ```

use super::frames::{Frames, Heard};
use super::pace::Pace;
use super::stand_in::{Form, Holding};
use crate::expression::Variables;
use crate::measured::Failure;
use crate::scenario::Protocol;
use crate::script::{Script, Statement, Step};
use crate::workload::Hold;
use sim::rng::Rng;
use std::collections::BTreeSet;
use std::time::Duration;
use wire::back::ErrorFields;
use wire::front;

/// Most characters of a server's words that are told.
const WORDS_MAX: usize = 200;

/// What a request does.
#[derive(Clone, PartialEq, Debug)]
pub enum Play {
    /// A script.
    Script(Script),
    /// Nothing but to hold a connection as long as is asked.
    Hold,
}

/// What a session needs next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// To hear from the server.
    Hear,
    /// To be woken at this moment.
    At(Duration),
    /// The request is over, and the connection free.
    Done(Result<(), Failure>),
    /// The other side does not speak PostgreSQL, or does not get ready again: drop it.
    Broken(Failure),
}

/// What all sessions of a run share.
pub(crate) struct Common {
    /// What each class plays.
    pub(crate) plays: Vec<Play>,
    /// How statements are sent.
    pub(crate) protocol: Protocol,
    /// What scripts begin with.
    pub(crate) variables: Variables,
    /// What stand-ins take beside their holds.
    pub(crate) pace: Pace,
    /// An error that no other attempt changes is told with its line and its words. Under
    /// load there is one text for each of a kind, and a server may put anything into it.
    pub(crate) trial: bool,
}

impl Common {
    /// An error of the server; `next` is the step after the one that it answers.
    fn failure(&self, body: &[u8], class: u16, next: usize) -> Failure {
        let fields = ErrorFields::parse(body);
        let code = fields.as_ref().map_or("XX000", |fields| fields.code());
        let failure = Failure::Server(code.to_owned());
        let script = match self.plays.get(usize::from(class)) {
            Some(Play::Script(script)) if self.trial && failure.is_hopeless() => script,
            _ => return failure,
        };
        let step = next.checked_sub(1).and_then(|at| script.steps.get(at));
        let words = fields.ok().and_then(|fields| fields.field(b'M'));
        let words = String::from_utf8_lossy(words.unwrap_or_default());
        let words: String = (words.chars().filter(|c| !c.is_control()))
            .take(WORDS_MAX)
            .collect();
        let why = script.fault(step.map_or(0, Step::line), format!("{failure}: {words}"));
        Failure::Script(why.to_string())
    }
}

/// A logged-in connection.
pub(crate) struct Session {
    /// What is to be sent.
    pub(crate) out: Vec<u8>,
    frames: Frames,
    rng: Rng,
    number: i64,
    /// State of the transaction, as the server said last.
    status: u8,
    /// Statements that were prepared on it: class and step.
    prepared: BTreeSet<(u16, usize)>,
    work: Option<Work>,
    /// A Sync left then, before a request, to see what the way takes.
    asked: Option<Duration>,
}

/// The request under way.
struct Work {
    class: u16,
    /// The step to do next.
    step: usize,
    variables: Variables,
    failed: Option<Failure>,
    state: State,
}

/// What the session waits for.
enum State {
    /// ReadyForQuery after a statement of the script.
    Statement,
    /// A moment.
    Sleeping,
    /// ReadyForQuery after our own ROLLBACK.
    Rollback,
    /// The way is measured before a stand-in plays this.
    Asking(Hold),
    /// A stand-in plays.
    Holding(Holding),
}

impl Session {
    /// A session that is ready. Its number is `:client_id`.
    pub(crate) fn new(number: usize, seed: u64) -> Session {
        Session {
            out: Vec::new(),
            frames: Frames::default(),
            rng: Rng::new(seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            number: i64::try_from(number).unwrap_or(0),
            status: b'I',
            prepared: BTreeSet::new(),
            work: None,
            asked: None,
        }
    }

    /// Begins a request.
    pub(crate) fn begin(
        &mut self,
        class: u16,
        hold: Option<Hold>,
        now: Duration,
        common: &mut Common,
    ) -> Next {
        let mut variables = Variables::new();
        let state = match common.plays.get(usize::from(class)) {
            Some(Play::Hold) => {
                let hold = hold.unwrap_or_default();
                match common.pace.asks(now) {
                    // A pooler answers it without a server. It goes alone, so that all on the way
                    // sleep as they do before a request, and wake for nothing else.
                    true => {
                        self.asked = Some(now);
                        front::sync(&mut self.out);
                        State::Asking(hold)
                    }
                    false => {
                        let pace = &mut common.pace;
                        State::Holding(Holding::begin(hold, now, &mut self.out, pace, true))
                    }
                }
            }
            _ => {
                variables.clone_from(&common.variables);
                let id = crate::expression::Value::Int(self.number);
                variables.insert("client_id".to_owned(), id);
                State::Statement
            }
        };
        let scripted = matches!(state, State::Statement);
        self.work = Some(Work {
            class,
            step: 0,
            variables,
            failed: None,
            state,
        });
        match scripted {
            true => self.go_on(now, common),
            false => Next::Hear,
        }
    }

    /// The moment that was asked for has come.
    pub(crate) fn wake(&mut self, now: Duration, common: &Common) -> Next {
        match self.work.as_mut().map(|work| &mut work.state) {
            Some(State::Sleeping) => self.go_on(now, common),
            Some(State::Holding(holding)) => {
                holding.end(&mut self.out);
                Next::Hear
            }
            _ => Next::Hear,
        }
    }

    /// The other side closed: why the request under way failed, if there is one.
    pub(crate) fn closed(&mut self) -> Option<Failure> {
        self.asked = None;
        let work = self.work.take()?;
        Some(work.failed.unwrap_or(Failure::Lost))
    }

    /// Takes what was read.
    pub(crate) fn hear(&mut self, bytes: &[u8], now: Duration, common: &mut Common) -> Next {
        let mut rest = bytes;
        let mut next = Next::Hear;
        while !rest.is_empty() {
            let Ok((used, heard)) = self.frames.next(rest) else {
                return Next::Broken(Failure::Lost);
            };
            rest = &rest[used..];
            if matches!(heard, Some(Heard::Ready(_)))
                && let Some(sent) = self.asked.take()
            {
                common.pace.learn_way(now.saturating_sub(sent));
                self.asked_for_the_way(now, common);
                continue;
            }
            let Some(work) = &mut self.work else {
                continue;
            };
            match heard {
                Some(Heard::Error(body)) => {
                    // A second error of one request comes of the first.
                    work.failed
                        .get_or_insert_with(|| common.failure(body, work.class, work.step));
                    if let State::Holding(holding) = &mut work.state {
                        holding.failed(&mut self.out);
                    }
                }
                Some(Heard::CopyIn) => {
                    work.failed
                        .get_or_insert(Failure::Script("COPY FROM STDIN is not played".to_owned()));
                    front::copy_fail(&mut self.out, "not played");
                    // The Sync before was lost on a server that waited for rows.
                    if common.protocol != Protocol::Simple {
                        front::sync(&mut self.out);
                    }
                }
                Some(Heard::Complete) => {
                    if let State::Holding(holding) = &mut work.state
                        && let Some(at) = holding.complete(now, &common.pace)
                    {
                        next = Next::At(at);
                    }
                }
                Some(Heard::Ready(status)) => {
                    self.status = status;
                    next = self.ready(now, common);
                }
                None => {}
            }
        }
        next
    }

    /// The way was measured: the request that waited for that begins. All are awake now, so
    /// what it takes teaches nothing.
    fn asked_for_the_way(&mut self, now: Duration, common: &mut Common) {
        let pace = &mut common.pace;
        if let Some(work) = &mut self.work
            && let State::Asking(hold) = work.state
        {
            work.state = State::Holding(Holding::begin(hold, now, &mut self.out, pace, false));
        }
    }

    /// The server is ready: what comes next of the request.
    fn ready(&mut self, now: Duration, common: &mut Common) -> Next {
        let Some(work) = &mut self.work else {
            return Next::Hear;
        };
        match &mut work.state {
            State::Rollback => self.end(),
            _ if work.failed.is_some() => self.end(),
            State::Holding(holding) => match holding.ready(now, &mut self.out, &mut common.pace) {
                Form::GoesOn(None) => Next::Hear,
                Form::GoesOn(Some(at)) => Next::At(at),
                Form::Over => self.end(),
            },
            State::Statement | State::Sleeping => self.go_on(now, common),
            // Its Sync is answered before anything else is.
            State::Asking(_) => Next::Hear,
        }
    }

    /// The next steps of a script, up to one that takes time.
    fn go_on(&mut self, now: Duration, common: &Common) -> Next {
        loop {
            let Some(work) = &mut self.work else {
                return Next::Hear;
            };
            let script = match common.plays.get(usize::from(work.class)) {
                Some(Play::Script(script)) => script,
                _ => return self.end(),
            };
            let Some(step) = script.steps.get(work.step) else {
                return self.end();
            };
            let at = work.step;
            work.step += 1;
            let done = match step {
                Step::Statement(statement) => {
                    work.state = State::Statement;
                    let class = work.class;
                    let sent = match common.protocol {
                        Protocol::Simple => statement
                            .text(&work.variables)
                            .map(|text| front::query(&mut self.out, text.as_bytes())),
                        Protocol::Extended => extended(statement, work, "", true, &mut self.out),
                        Protocol::Prepared => {
                            let new = self.prepared.insert((class, at));
                            let name = format!("p{class}_{at}");
                            extended(statement, work, &name, new, &mut self.out)
                        }
                    };
                    sent.map(|()| Some(Next::Hear))
                }
                Step::Set { name, value, .. } => {
                    let value = value.value(&work.variables, &mut self.rng);
                    value.map(|value| {
                        work.variables.insert(name.clone(), value);
                        None
                    })
                }
                Step::Sleep { .. } => {
                    work.state = State::Sleeping;
                    let span = step.sleep(&work.variables, &mut self.rng);
                    span.map(|span| Some(Next::At(now + span.unwrap_or_default())))
                }
            };
            match done {
                Ok(None) => {}
                Ok(Some(next)) => return next,
                Err(why) => {
                    let why = script.fault(step.line(), why);
                    work.failed = Some(Failure::Script(why.to_string()));
                    return self.end();
                }
            }
        }
    }

    /// The request is over; an open transaction is rolled back first.
    fn end(&mut self) -> Next {
        let Some(work) = &mut self.work else {
            return Next::Hear;
        };
        if self.status != b'I' {
            if matches!(work.state, State::Rollback) {
                return Next::Broken(work.failed.clone().unwrap_or(Failure::Lost));
            }
            work.failed.get_or_insert_with(|| {
                Failure::Script("it ends inside a transaction; end it with COMMIT".to_owned())
            });
            work.state = State::Rollback;
            front::query(&mut self.out, b"ROLLBACK");
            return Next::Hear;
        }
        let failed = self.work.take().and_then(|work| work.failed);
        // A failed Parse left nothing behind: all are sent anew.
        if failed.is_some() {
            self.prepared.clear();
        }
        Next::Done(failed.map_or(Ok(()), Err))
    }
}

/// A statement in the extended protocol, its variables as parameters.
fn extended(
    statement: &Statement,
    work: &Work,
    name: &str,
    parse: bool,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let (text, values) = statement.parameters(&work.variables)?;
    if parse {
        // One of this name may be left of a request that failed; closing none is no error.
        if !name.is_empty() {
            front::close(out, front::STATEMENT, name.as_bytes());
        }
        // No types are stated: the server finds them.
        front::parse(out, name.as_bytes(), text.as_bytes(), &[0, 0]);
    }
    let count = u16::try_from(values.len()).map_err(|_| "more than 65,535 variables".to_owned())?;
    // No formats stated, so all are text; the values; results as text.
    let mut rest = vec![0, 0];
    rest.extend_from_slice(&count.to_be_bytes());
    for value in values {
        let length = i32::try_from(value.len()).map_err(|_| "a value is too long".to_owned())?;
        rest.extend_from_slice(&length.to_be_bytes());
        rest.extend_from_slice(value.as_bytes());
    }
    rest.extend_from_slice(&[0, 0]);
    front::bind_renamed(out, b"", name.as_bytes(), &rest);
    front::execute(out, b"", 0);
    front::sync(out);
    Ok(())
}

#[cfg(test)]
mod tests;
