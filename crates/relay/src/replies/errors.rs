//! ErrorResponse, and what the server skips after it.

use super::{After, Message, Turn};
use crate::client::Client;
use crate::errors::Report;
use crate::expect::{Expect, Purpose};
use crate::health;
use crate::moved::READ_ONLY;
use crate::server::Server;
use events::CloseReason;
use wire::back::ErrorFields;

impl Turn<'_> {
    pub(super) fn error(&mut self, m: Message) -> After {
        let fields = ErrorFields::parse(self.body(m)).ok();
        let code = fields.as_ref().map_or("", |f| f.code());
        if fields
            .as_ref()
            .is_some_and(|f| matches!(f.severity(), "FATAL" | "PANIC"))
        {
            self.server.doomed.get_or_insert(CloseReason::ServerFatal);
            if let Some(code) = health::code_of(code) {
                self.local.stats.health.failed_with(self.now, code);
            }
            let own = matches!(self.server.expected.front(), Some(Expect::OwnQuery(_)));
            self.deliver(m, own);
            return After::Fatal;
        }
        let (mismatch, unseen) = self.learn_from(code, fields.as_ref());
        self.server.copy_in = false;
        if let Some(tracker) = self.client.as_deref_mut().and_then(|c| c.tracker_mut()) {
            tracker.failed = true;
        }
        match self.server.expected.front() {
            Some(Expect::OwnQuery(_) | Expect::OwnSync) => {
                let text = fields.as_ref().map(|f| f.message()).unwrap_or_default();
                let asks = matches!(
                    self.server.expected.front(),
                    Some(Expect::OwnQuery(Purpose::AuthQuery))
                );
                // What a function of the operator's own says may tell of secrets, and this goes to the log.
                let text = match asks && !names_objects(code) {
                    true => format!("SQLSTATE {code}").into(),
                    false => text.as_ref().into(),
                };
                self.server.own_error.get_or_insert(text);
                self.deliver(m, true);
                return After::Nothing;
            }
            Some(Expect::Fails(refusal)) if code == refusal.code => {
                let instead = refusal.instead.clone();
                self.deliver(m, true);
                self.say(m.end, |v| v.extend_from_slice(&instead));
            }
            Some(Expect::Bind | Expect::BindOld(_)) if mismatch => {
                let instead = changed_shape(fields.as_ref()).bytes();
                self.deliver(m, true);
                self.say(m.end, |v| v.extend_from_slice(&instead));
            }
            // An error of the pooler's Parse is the client's: its statement is at fault.
            _ => self.deliver(m, false),
        }
        if let Some(Expect::Query(Some(script)) | Expect::Execute(Some(script))) =
            self.server.expected.front()
            && script.may_have_locked()
        {
            self.server.dirty = true;
        }
        let in_batch = |e: &Expect| !e.ends_batch();
        if self.server.expected.front().is_some_and(in_batch) {
            self.skip();
        }
        match (unseen, code == READ_ONLY) {
            (true, _) => After::Ddl,
            (false, true) => After::ReadOnly,
            _ => After::Nothing,
        }
    }

    /// What an error tells of prepared statements and of leases in vain: whether a
    /// statement's result has another shape now, and whether DDL was not seen here.
    fn learn_from(&mut self, code: &str, fields: Option<&ErrorFields<'_>>) -> (bool, bool) {
        if code == "26000" && !matches!(self.server.expected.front(), Some(Expect::Fails(_))) {
            self.server.prepared.all_stale();
        }
        let mismatch = outdated(code, fields);
        if (mismatch || code == "0A000")
            && let Some(Expect::BindOld(statement)) = self.server.expected.front()
        {
            statement.set_outdated();
        }
        // DDL that did not come through here: who prepares now, prepares anew.
        let unseen = code == "0A000"
            && matches!(
                self.server.expected.front(),
                Some(Expect::Bind | Expect::BindOld(_) | Expect::Describe)
            );
        if !matches!(
            self.server.expected.front(),
            Some(Expect::OwnQuery(_) | Expect::OwnSync)
        ) {
            self.local.stats.health.errors.count(code);
            self.local.stats.in_vain += u64::from(in_vain(code));
        }
        (mismatch, unseen)
    }

    /// The rest of the batch will not be answered.
    pub(super) fn skip(&mut self) {
        self.server.unnamed = None;
        if let Some(Expect::Parse(Some(parse))) = self.server.expected.front_mut() {
            // One that failed drops the unnamed statement before it all the same.
            parse.before = None;
        }
        let mut skipped = Vec::new();
        while let Some(entry) = self.server.expected.skip() {
            skipped.push(entry);
        }
        // The last belief first: a Close of a statement whose Parse goes too
        // must not bring it back.
        for entry in skipped.iter().rev() {
            take_back(entry, self.client.as_deref_mut(), self.server);
        }
    }
}

/// Errors whose text names nothing but objects of the database: undefined, not allowed, misspelt; and the server's own
/// state.
fn names_objects(code: &str) -> bool {
    ["42", "3D", "3F", "53", "57"]
        .iter()
        .any(|class| code.starts_with(class))
}

/// What a server says to a Bind of a statement whose results have another
/// shape now; drivers that keep statements know it, and prepare again.
pub(crate) fn changed_shape(instead_of: Option<&ErrorFields<'_>>) -> Report {
    let mut report = Report::error("0A000", "cached plan must not change result type");
    report.detail = instead_of.map(|fields| fields.message().into_owned());
    report
}

/// A Bind asks for columns that its statement no longer has: the statement was
/// parsed anew after DDL, and the client describes it as it was before. A
/// server that is talked to straight says so with 0A000, and drivers that keep
/// statements prepare again at that code only. Known by the name of the
/// server's function, since texts are translated.
fn outdated(code: &str, fields: Option<&ErrorFields<'_>>) -> bool {
    code == "08P01"
        && fields.and_then(|f| f.field(b'R')) == Some(b"PortalSetResultFormat".as_slice())
}

/// A message that the server skipped: what was believed of it is taken back.
pub(crate) fn take_back(entry: &Expect, client: Option<&mut Client>, server: &mut Server) {
    // A Parse of the same name that was sent later stands.
    let again = match entry {
        Expect::Parse(Some(p)) | Expect::LocalParse(p) => server.expected.parses(&p.name),
        _ => false,
    };
    let client = client.filter(|_| !again);
    match entry {
        Expect::Parse(Some(parse)) => {
            if parse.is_ours() {
                server.prepared.doubtful(&parse.statement);
            }
            server.unnamed = None;
            if let Some(client) = client {
                client.forget_parse(parse);
            }
        }
        Expect::LocalParse(parse) => {
            if let Some(client) = client {
                client.forget_parse(parse);
            }
        }
        Expect::LocalClose(Some(closed)) | Expect::Close(Some(closed)) => {
            if let Some(client) = client {
                let all = &mut client.extra().prepared;
                all.entry(closed.name.clone())
                    .or_insert_with(|| closed.named());
            }
        }
        Expect::OwnParse(statement) => server.prepared.doubtful(statement),
        Expect::OwnUnnamed => server.unnamed = None,
        Expect::OwnClose(statement) => server.prepared.not_closed(statement),
        _ => {}
    }
}

/// The statement was given up, for its time or for others: what the server did
/// for it brought nobody anything. Cancelled or timed out, lock not available,
/// serialization failure, deadlock, out of resources.
fn in_vain(code: &str) -> bool {
    matches!(code, "57014" | "55P03" | "40001" | "40P01") || code.starts_with("53")
}
