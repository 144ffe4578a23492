//! Which deviations from its model a client accepts of a pooler.

use super::{Client, Sent, State, Wish, is_fatal};
use wire::back::{self, ErrorFields, Status};

impl Client {
    /// An error that the pooler may give in place of the server's reply.
    pub(super) fn refusal(&mut self, sent: &Sent, code: &str, body: &[u8]) -> bool {
        if is_fatal(body) {
            return false;
        }
        let asks = matches!(sent.tag, b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'F');
        let cancelled = code == "57014"
            && (self.cancels > 0 || self.cancel_end >= sent.at)
            && !self.is_copy(sent);
        let scarce = matches!(code, "53300" | "08006");
        let detail = ErrorFields::parse(body)
            .ok()
            .map(|f| f.message().into_owned());
        let pin = code == "53300" && detail.is_some_and(|d| d.contains("beyond its transaction"));
        let aborted = code == "25P02" && self.model.status() == Status::Failed;
        if (pin || aborted && sent.tag == b'Q') && wants_pin(sent) && !self.model.skips() {
            self.model.refused_within(sent.tag, &mut self.expect);
            return true;
        }
        if asks && self.model.is_refusable() && (cancelled || scarce && !pin) {
            self.model.refused(sent.tag);
            if sent.tag == b'Q' {
                back::ready(&mut self.expect, Status::Idle);
            }
            return true;
        }
        false
    }

    pub(super) fn is_copy(&self, sent: &Sent) -> bool {
        matches!(sent.tag, b'd' | b'c' | b'f')
    }

    /// Whether the session may end now with this FATAL error.
    pub(super) fn fatal(&mut self, body: &[u8], code: &str) -> Result<bool, String> {
        if !is_fatal(body) {
            return Ok(false);
        }
        let by_fault =
            self.faults && matches!(code, "08006" | "57P01" | "08P01" | "57014" | "53300");
        let by_mode = self.statement_mode && code == "0A000";
        if !by_fault && !by_mode {
            let text = ErrorFields::parse(body)
                .ok()
                .map(|f| f.message().into_owned());
            return Err(format!("FATAL {code} for no reason: {text:?}"));
        }
        self.told_why = true;
        self.state = State::Ending;
        self.pending.clear();
        Ok(true)
    }

    pub(super) fn notified(&mut self, body: &[u8]) -> Result<Wish, String> {
        self.notifications += 1;
        let own = format!("ch_{}\0", self.index);
        match crate::session::contains(body, own.as_bytes()) {
            true => Ok(Wish::Nothing),
            false => Err("a notification of another client's channel".into()),
        }
    }

    /// The socket ended.
    pub(crate) fn ended(&mut self) -> Result<(), String> {
        // An error in the middle of a message would be taken for a part of it.
        let cut = !self.inbox.is_empty() && self.faults;
        let word = cut || self.told_why || matches!(self.state, State::Ending | State::Away);
        self.state = State::Away;
        match word {
            true => Ok(()),
            false => Err("its connection ended without a word".into()),
        }
    }
}

/// The statement would keep its server connection.
fn wants_pin(sent: &Sent) -> bool {
    let has = |needle: &[u8]| crate::session::contains(&sent.body, needle);
    sent.tag == b'E'
        || has(b"LISTEN")
        || has(b"TEMP")
        || has(b"PREPARE")
        || has(b"pg_advisory_lock")
}
