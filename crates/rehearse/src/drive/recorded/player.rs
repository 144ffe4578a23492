//! One recorded session's side of the protocol: its messages when they are due, one
//! request at a time. Bytes and moments in, bytes and outcomes out; no socket, no clock.
//!
//! ```text
//!   Quiet ─► Parse, Bind, … ─► Batch ─► Sync ─► Waits ─► ReadyForQuery ─► Quiet
//!     └── Query ──────────────────────────────► Waits
//!                                                 └ CopyInResponse: rows go on
//! ```

use crate::drive::frames::{Frames, Heard};
use crate::measured::Failure;
use crate::statements::{Does, Ends, Step};
use std::collections::VecDeque;
use std::time::Duration;
use wire::back::ErrorFields;
use wire::tag::front as tag;

/// A session that is played.
#[derive(Default)]
pub(super) struct Player {
    queue: VecDeque<(Duration, Does)>,
    bytes: usize,
    state: State,
    frames: Frames,
    /// The first error since the last request.
    failed: Option<Failure>,
    /// Since when it could send its next request.
    free: Duration,
}

#[derive(Default)]
enum State {
    /// The server waits for it.
    #[default]
    Quiet,
    /// It is in the middle of a batch.
    Batch,
    /// It waits for ReadyForQuery.
    Waits(Request, Copying),
}

/// How far a COPY from the client is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copying {
    /// There is none, or it is over.
    No,
    /// The server waits for rows.
    Rows,
}

/// A request on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Request {
    /// Its class.
    pub(super) ends: Ends,
    /// When its client was done with it, and waited from then on.
    pub(super) due: Duration,
    /// When that was sent.
    pub(super) sent: Duration,
    /// How late that was for what could have been sent.
    pub(super) lag: Duration,
}

/// What a session does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// It waits for something.
    Waits,
    /// A request began; there may be more to send.
    Began(Request),
    /// It is over.
    Leaves,
}

/// What it heard.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Outcome {
    /// A request is over.
    Done(Request, Result<(), Failure>),
    /// The other side does not speak PostgreSQL.
    Broken,
}

impl Player {
    /// A step is due.
    pub(super) fn push(&mut self, step: Step) {
        self.bytes += size(&step.does);
        self.queue.push_back((step.at, step.does));
    }

    /// Its connection stands: from now on it could send.
    pub(super) fn opened(&mut self, now: Duration) {
        self.free = now;
    }

    /// Steps that wait, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.queue.len(), self.bytes)
    }

    /// Adds to `out` what may be sent now, up to the begin of a request.
    pub(super) fn next(&mut self, now: Duration, out: &mut Vec<u8>) -> Next {
        while let Some((at, does)) = self.queue.front() {
            let at = *at;
            let Does::Send { frame, ends } = does else {
                return match self.state {
                    State::Waits(_, Copying::No) => Next::Waits,
                    // The server waits for rows that will not come.
                    State::Waits(_, Copying::Rows) | State::Quiet | State::Batch => Next::Leaves,
                };
            };
            let kind = frame.first().copied().unwrap_or(0);
            let rows = matches!(kind, tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL);
            let ends = *ends;
            match &mut self.state {
                // They were for a COPY that this server did not begin.
                State::Quiet if rows => {
                    self.take();
                    continue;
                }
                State::Quiet | State::Batch => {
                    let could = at.max(self.free);
                    out.extend(self.take());
                    let Some(ends) = ends else {
                        self.state = State::Batch;
                        continue;
                    };
                    let request = Request {
                        ends,
                        due: at,
                        sent: now,
                        lag: now.saturating_sub(could),
                    };
                    self.state = State::Waits(request, Copying::No);
                    return Next::Began(request);
                }
                State::Waits(request, copying @ Copying::Rows) => {
                    let again = request.ends.batch && ends.is_some_and(|ends| ends.batch);
                    if !rows && !again && kind != tag::FLUSH {
                        return Next::Waits;
                    }
                    // From the last row on its client waited.
                    (request.due, request.sent) = (at, now);
                    // The Sync before the rows was lost on a server that waited for them.
                    if again || kind != tag::COPY_DATA && !request.ends.batch {
                        *copying = Copying::No;
                    }
                    out.extend(self.take());
                }
                State::Waits(_, Copying::No) => return Next::Waits,
            }
        }
        Next::Waits
    }

    fn take(&mut self) -> Vec<u8> {
        match self.queue.pop_front() {
            Some((_, Does::Send { frame, .. })) => {
                self.bytes -= frame.len();
                frame
            }
            _ => Vec::new(),
        }
    }

    /// Takes what was read; calls with each outcome.
    pub(super) fn hear(&mut self, bytes: &[u8], now: Duration, tell: &mut dyn FnMut(Outcome)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Ok((used, heard)) = self.frames.next(rest) else {
                return tell(Outcome::Broken);
            };
            rest = rest.get(used..).unwrap_or_default();
            match heard {
                Some(Heard::Error(body)) => {
                    let code = ErrorFields::parse(body).map(|fields| fields.code().to_owned());
                    // A second error of one request comes of the first.
                    let failure = Failure::Server(code.unwrap_or_else(|_| "XX000".to_owned()));
                    self.failed.get_or_insert(failure);
                }
                Some(Heard::CopyIn) => {
                    if let State::Waits(_, copying) = &mut self.state {
                        *copying = Copying::Rows;
                    }
                }
                Some(Heard::Ready(_)) => {
                    let failed = self.failed.take();
                    if let State::Waits(request, _) = self.state {
                        self.state = State::Quiet;
                        self.free = now;
                        tell(Outcome::Done(request, failed.map_or(Ok(()), Err)));
                    }
                }
                Some(Heard::Complete) | None => {}
            }
        }
    }

    /// Its connection is gone: the request that failed, and why.
    pub(super) fn closed(&mut self, why: Option<Failure>) -> Option<(Request, Failure)> {
        let failure = why.or(self.failed.take()).unwrap_or(Failure::Lost);
        match std::mem::take(&mut self.state) {
            State::Waits(request, _) => Some((request, failure)),
            State::Quiet | State::Batch => None,
        }
    }

    /// Requests that it would still have sent.
    pub(super) fn left(&mut self) -> Vec<(Duration, Ends)> {
        self.bytes = 0;
        let ends = |(at, does): (Duration, Does)| match does {
            Does::Send { ends, .. } => ends.map(|ends| (at, ends)),
            Does::Leave => None,
        };
        self.queue.drain(..).filter_map(ends).collect()
    }
}

fn size(does: &Does) -> usize {
    match does {
        Does::Send { frame, .. } => frame.len(),
        Does::Leave => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{back, front};

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// `Q`, `S`, `F` end a request; a small `s` is a step of no request.
    fn play(kinds: &str) -> Player {
        let mut player = Player::default();
        for (at, kind) in kinds.bytes().enumerate() {
            let mut frame = vec![kind];
            frame.extend(4u32.to_be_bytes());
            let ends = matches!(kind, b'Q' | b'S').then_some(Ends {
                class: 0,
                batch: kind == b'S',
            });
            let does = match kind {
                b'.' => Does::Leave,
                _ => Does::Send { frame, ends },
            };
            let at = ms(10 * at as u64);
            player.push(Step {
                at,
                session: 1,
                does,
            });
        }
        player
    }

    fn heard(kind: char) -> Vec<u8> {
        let mut out = Vec::new();
        match kind {
            'G' => out.extend([b'G', 0, 0, 0, 7, 0, 0, 0]),
            'E' => out.extend(b"E\0\0\0\x0cC42P01\0\0"),
            _ => back::ready(&mut out, back::Status::Idle),
        }
        out
    }

    /// What goes out, and `|` where the server says what stands there.
    fn dialogue(kinds: &str, server: &str) -> String {
        let (mut player, mut told) = (play(kinds), String::new());
        let mut server = server.chars();
        for turn in 0..99 {
            let now = ms(1_000 + turn);
            let mut out = Vec::new();
            let next = loop {
                match player.next(now, &mut out) {
                    Next::Began(_) => {}
                    other => break other,
                }
            };
            told.extend(out.chunks(5).map(|frame| char::from(frame[0])));
            if next == Next::Leaves {
                told.push('.');
                break;
            }
            let Some(says) = server.next() else { break };
            told.push('|');
            player.hear(&heard(says), now, &mut |outcome| match outcome {
                Outcome::Done(_, Ok(())) => told.push('='),
                Outcome::Done(_, Err(_)) => told.push('!'),
                Outcome::Broken => told.push('?'),
            });
        }
        told
    }

    #[test]
    fn one_request_at_a_time_and_rows_only_when_they_are_asked_for() {
        for (kinds, server, expected) in [
            // Two simple queries, an error, the end.
            ("QQ.", "ZEZ", "Q|=Q||!."),
            // A pipeline becomes one batch after another.
            ("PBESBES.", "ZZ", "PBES|=BES|=."),
            // COPY by Query.
            ("Qddc Q.", "", "Q"),
            ("QddcQ.", "GZZ", "Q|ddc|=Q|=."),
            // Its client left in the middle of it: the server is not kept waiting.
            ("Qdd.", "G", "Q|dd."),
            // A COPY that fails at once: its rows go nowhere.
            ("QddcQ.", "EZZ", "Q||!Q|=."),
            // COPY in a batch, with the Sync before its rows, as libpq; and after.
            ("PBESddcSQ.", "GZZ", "PBES|ddcS|=Q|=."),
            ("PBEddcSQ.", "GZZ", "PBEddcS||=Q|=."),
            // The same that fails.
            ("PBESddcSQ.", "EZZZ", "PBES||!S|=Q|=."),
            // It ends within a batch.
            ("PB.", "", "PB."),
        ] {
            let kinds = kinds.replace(' ', "");
            assert_eq!(dialogue(&kinds, server), expected, "{kinds} {server}");
        }
    }

    #[test]
    fn a_request_waits_for_the_one_before_and_that_is_not_our_lag() {
        let mut player = play("QQ");
        let mut out = Vec::new();
        player.opened(ms(0));
        let Next::Began(first) = player.next(ms(1), &mut out) else {
            panic!("it begins");
        };
        assert_eq!((first.due, first.lag), (ms(0), ms(1)));
        assert_eq!(player.next(ms(20), &mut out), Next::Waits);
        player.hear(&heard('Z'), ms(50), &mut |_| {});
        let Next::Began(second) = player.next(ms(52), &mut out) else {
            panic!("it begins");
        };
        assert_eq!(
            (second.due, second.sent, second.lag),
            (ms(10), ms(52), ms(2))
        );
    }

    #[test]
    fn what_a_lost_connection_leaves_is_known() {
        let mut player = play("QPSQ.");
        let mut out = Vec::new();
        let Next::Began(first) = player.next(ms(1), &mut out) else {
            panic!("it begins");
        };
        player.hear(&heard('E'), ms(2), &mut |_| {});
        let code = Failure::Server("42P01".to_owned());
        assert_eq!(player.closed(None), Some((first, code)));
        assert_eq!(player.left().len(), 2);
        assert_eq!(player.waiting(), (0, 0));
        let mut text = Vec::new();
        front::sync(&mut text);
        player.hear(b"HTTP/1.1 400", ms(3), &mut |o| {
            assert_eq!(o, Outcome::Broken)
        });
    }
}
