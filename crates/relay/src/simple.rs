//! The simple protocol: Query and FunctionCall.

use crate::effects::{self, Script, ScriptNotes};
use crate::errors::Trouble;
use crate::expect::{Expect, Refusal};
use crate::extended::NOTHING;
use crate::hub::Hub;
use crate::outbox::{Feed, Peer};
use crate::pins::Pins;
use crate::requests::{Io, Step};
use crate::trail;
use events::{CloseReason, PinKind, Time};
use wire::back::{self, Status};
use wire::frame::{self, Frame};
use wire::{front, sql};

impl Hub {
    pub(crate) fn simple_query(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        io: &mut Io<'_>,
    ) -> Step {
        if self.directory.settings.extended_only {
            let trouble = Trouble::SimpleQuery;
            self.fail_client(slot, &trouble, CloseReason::ClientProtocol, io);
            return Step::Closed;
        }
        let end = at + frame.len.min(feed.bytes.len() - at);
        let whole = feed.bytes.len() - at >= frame.len;
        let Some(text) = query_text(&feed.bytes[at + frame::HEADER..end], whole) else {
            let trouble = Trouble::BadPacket("malformed Query");
            self.fail_client(slot, &trouble, CloseReason::ClientProtocol, io);
            return Step::Closed;
        };
        let step = self.ensure_server(slot, io);
        if step != Step::Done {
            return step;
        }
        let Some(client) = self.clients.get(slot) else {
            return Step::Closed;
        };
        let Some(server) = self.servers.get(client.link) else {
            return Step::Closed;
        };
        if server.expected.is_skipping() {
            // The server reads it, and drops it as all else until Sync.
            self.pass_frame(slot, frame, feed, at, io.out);
            return Step::Done;
        }
        // What is still to be answered may begin to be tracked.
        let tracks =
            !server.expected.is_empty() || client.ext.as_ref().is_some_and(|e| e.tracker.is_some());
        let plain = wire::sql::is_plain(text);
        let word = !plain && !tracks && effects::is_transaction_word(text);
        let script = if plain || word {
            None
        } else {
            effects::script_of(text, client.quoting())
        };
        // BEGIN and its like tell nobody what a transaction is about.
        let told = !word && !script.as_ref().is_some_and(trail::is_control);
        let entry = match script {
            None => Expect::Query(None),
            Some(script) => {
                if whole && let Some(step) = self.own_deallocate(slot, &script, io) {
                    return step;
                }
                if let Some(what) = script.effects.iter().find_map(|e| Pins::wants(&e.change))
                    && !self.take_pin(slot, what, io)
                {
                    self.refuse_pin_query(slot, what, io);
                    return self.drop_frame(slot, frame, feed, at);
                }
                Expect::Query(Some(Script::own(script)))
            }
        };
        self.expect_query(slot, entry, told.then_some(text), whole, io.now);
        self.pass_frame(slot, frame, feed, at, io.out);
        Step::Done
    }

    /// A Query is about to be sent: its reply is expected, and what it ends ends.
    fn expect_query(
        &mut self,
        slot: u32,
        entry: Expect,
        text: Option<&[u8]>,
        whole: bool,
        now: Time,
    ) {
        self.begin(slot, now);
        let notes = match (&entry, self.clients.get(slot)) {
            (Expect::Query(Some(script)), Some(client)) => script.notes(&client.startup),
            _ => ScriptNotes::default(),
        };
        let Some(server) = self.linked_server(slot) else {
            return;
        };
        if let Some(text) = text {
            server.trail.text(text, whole);
        }
        if let Expect::Query(Some(script)) = &entry {
            script.mark(&mut server.trail);
        }
        server.unnamed = None;
        server.end_batch_unsynced();
        server.dirty |= !whole;
        server.batch += 1;
        server.expected.push(entry);
        server.expected.note_script(notes);
        if let Some(ext) = self.clients.get_mut(slot).and_then(|c| c.ext.as_mut()) {
            ext.unnamed = None;
        }
        if !whole && let Some(key) = self.pool_key(slot) {
            self.local(key).stats.unread += 1;
        }
    }

    pub(crate) fn function_call(
        &mut self,
        slot: u32,
        frame: Frame,
        feed: Feed<'_>,
        at: usize,
        io: &mut Io<'_>,
    ) -> Step {
        let step = self.ensure_server(slot, io);
        if step != Step::Done {
            return step;
        }
        self.begin(slot, io.now);
        let number = feed.bytes.get(at + frame::HEADER..at + frame::HEADER + 4);
        if let Some(server) = self.linked_server(slot) {
            server.batch += 1;
            server.end_batch_unsynced();
            server.dirty |= !is_large_object_function(number);
            server.trail.call();
            server.expected.push(Expect::Function);
        }
        self.pass_frame(slot, frame, feed, at, io.out);
        Step::Done
    }

    /// A query begins: times are counted from here.
    pub(crate) fn begin(&mut self, slot: u32, now: Time) {
        let Some(client) = self.clients.get_mut(slot) else {
            return;
        };
        let before = std::mem::replace(&mut client.request_at, now);
        let link = client.link;
        let Some(server) = self.servers.get_mut(link) else {
            return;
        };
        server.used = true;
        if server.expected.is_empty() {
            server.query_at = now;
            server.trail.rounds += 1;
            if server.status == Status::Idle {
                server.xact_at = now;
            } else {
                let silent = now.since(before.max(server.used_at));
                server.trail.idle += silent;
                if silent >= pool::NOTABLE {
                    self.learn_silence(link, silent);
                }
            }
        }
    }

    /// A simple query that would pin beyond the share: refused before it is sent.
    /// What fails in its stead is a Query too: a batch before it that failed, of
    /// which nobody knows yet, takes it along, as it would the client's own.
    pub(crate) fn refuse_pin_query(&mut self, slot: u32, what: PinKind, io: &mut Io<'_>) {
        let report = self.pin_report(slot, what);
        self.note_told(slot, &report, io.out);
        let refusal = Refusal {
            code: "42703",
            instead: report.bytes(),
            query: true,
        };
        let entry = Expect::Fails(Box::new(refusal));
        self.expect_query(slot, entry, None, true, io.now);
        if let Some(client) = self.clients.get(slot) {
            io.out
                .write(Peer::Server(client.link), |v| front::query(v, NOTHING));
        }
    }

    /// `DEALLOCATE` of a statement that was prepared by protocol: ours to answer.
    pub(crate) fn own_deallocate(
        &mut self,
        slot: u32,
        script: &sql::Script,
        io: &mut Io<'_>,
    ) -> Option<Step> {
        let [
            sql::Effect {
                change: sql::Change::Deallocate { name },
                ..
            },
        ] = script.effects.as_slice()
        else {
            return None;
        };
        let name = name.as_bytes();
        let client = self.clients.get_mut(slot)?;
        let link = client.link;
        let server = self.servers.get_mut(link)?;
        let there = client.named_there(name, server.lease).is_some();
        let prepared = &mut client.ext.as_mut()?.prepared;
        let ours = prepared.contains_key(name) && !there || server.expected.undecided(name);
        if script.statements != 1 || !ours {
            return None;
        }
        if !server.expected.is_empty() || server.stream_left > 0 {
            // Whether it succeeds, and in which state of the transaction, is not known
            // yet; or a notification that came in parts is not whole.
            return self.hold_client(slot, io.out).then_some(Step::Wait);
        }
        if server.status == Status::Failed {
            return None;
        }
        prepared.remove(name)?;
        // Nobody was silent, though no server hears of it.
        client.request_at = io.now;
        server.used_at = io.now;
        io.out.write(Peer::Client(slot), |v| {
            back::command_complete(v, "DEALLOCATE")
        });
        if std::mem::take(&mut server.unsynced) {
            // As a Query, it ends the batch before it.
            server.expected.push(Expect::Sync);
            server.batch += 1;
            io.out.write(Peer::Server(link), front::sync);
        } else {
            let status = server.status;
            io.out.write(Peer::Client(slot), |v| back::ready(v, status));
        }
        self.maybe_release(io.now, link, io.pools, io.out);
        Some(Step::Done)
    }
}

/// A function call names its function by number, and any of them may change the
/// session: set a parameter, take a lock. Those that libpq calls do not.
fn is_large_object_function(number: Option<&[u8]>) -> bool {
    let number = number
        .and_then(|n| n.try_into().ok())
        .map(u32::from_be_bytes);
    matches!(number, Some(715 | 952..=958 | 964 | 1004 | 3170..=3172))
}

/// The text of a Query, or as much of it as is here; `None`: malformed.
fn query_text(body: &[u8], whole: bool) -> Option<&[u8]> {
    if !whole {
        return Some(body);
    }
    front::Query::parse(body).ok().map(|query| query.text)
}
