//! Which deviations from its model a client accepts of a pooler.

use super::{Client, Sent, State, Wish, is_fatal};
use wire::back::{self, ErrorFields, Status};

/// Longest login, µs.
pub(crate) const LOGIN_TIMEOUT: u64 = 5_000_000;

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
        let text = message(body);
        let pin = code == "53300" && text.contains("beyond its transaction");
        let aborted = code == "25P02" && self.model.status() == Status::Failed;
        if (pin || aborted && sent.tag == b'Q') && wants_pin(sent) && !self.model.skips() {
            self.model.refused_within(sent.tag, &mut self.expect);
            return true;
        }
        if asks && self.model.is_refusable() && (cancelled || self.may_refuse(sent, code, &text)) {
            self.model.refused(sent.tag);
            if matches!(sent.tag, b'Q' | b'F') {
                back::ready(&mut self.expect, Status::Idle);
            }
            return true;
        }
        false
    }

    /// There was no server connection for it.
    fn may_refuse(&mut self, sent: &Sent, code: &str, text: &str) -> bool {
        let g = &self.grounds;
        match code {
            // Not before the deadline.
            "53300" if text.contains("in time") => g.now >= sent.at + g.wait_timeout,
            // At once: it would have waited in vain.
            "53300" => {
                text.contains("too many clients wait") || text.contains("predicted to be too long")
            }
            "08006" => self.faults,
            "57P03" => {
                let may = g.closed_until >= sent.at;
                self.refused_closed += u64::from(may);
                may
            }
            "XX000" => g.panicked,
            _ => false,
        }
    }

    pub(super) fn is_copy(&self, sent: &Sent) -> bool {
        matches!(sent.tag, b'd' | b'c' | b'f')
    }

    /// Whether the session may end now with this FATAL error.
    pub(super) fn fatal(&mut self, body: &[u8], code: &str) -> Result<bool, String> {
        if !is_fatal(body) {
            return Ok(false);
        }
        let text = message(body);
        let by_mode = self.statement_mode && code == "0A000";
        if !by_mode && !self.may_end(code, &text) {
            return Err(format!("FATAL {code} for no reason: {text:?}"));
        }
        self.told_why = true;
        self.state = State::Ending;
        self.pending.clear();
        Ok(true)
    }

    /// Whether a session or a login may end with this.
    pub(super) fn may_end(&mut self, code: &str, text: &str) -> bool {
        let g = self.grounds;
        let over = |start: u64, limit: Option<u64>| limit.is_some_and(|l| g.now >= start + l);
        let asked = self.pending.front().map_or(self.started, |p| p.at);
        let late = match code {
            "57014" => over(asked.min(self.batch_at), g.least.query),
            "25P03" if text.contains("took the connection back") => self.reclaimed,
            "25P03" => over(self.quiet_since(), g.least.idle_transaction),
            "25P04" => over(asked.min(self.began), g.least.transaction),
            "57P05" => over(self.quiet_since(), g.least.idle),
            "08P01" if text.contains("client_login_timeout") => {
                over(self.connected_at, Some(LOGIN_TIMEOUT))
            }
            _ => false,
        };
        self.timed_out += u64::from(late);
        let ended = match code {
            "57P01" if text.contains("administrator") => g.killed,
            "57P01" => g.drained,
            "XX000" => g.panicked,
            "57P03" | "3D000" => g.closed_until > 0,
            // The look-up of its password went with the database.
            "28P01" | "28000" => g.closed_until > 0 && self.looked_up,
            _ => false,
        };
        self.ended_by_office += u64::from(ended);
        let shed = code == "53300" && text.contains("predicted to be too long");
        late || ended
            || shed
            || self.faults && matches!(code, "08006" | "57P01" | "08P01" | "53300")
    }

    /// When it last said something that the pooler is sure to have heard.
    fn quiet_since(&self) -> u64 {
        match self.pending.is_empty() {
            true => self.last_send,
            false => self.settled_send,
        }
    }

    pub(super) fn notified(&mut self, body: &[u8]) -> Result<Wish, String> {
        self.notifications += 1;
        let own = format!("ch_{}\0", self.index);
        match crate::session::contains(body, own.as_bytes()) {
            true => Ok(Wish::Nothing),
            false => Err("a notification of another client's channel".into()),
        }
    }

    /// For the statistics.
    pub(crate) fn counts(&self) -> [u64; 5] {
        [
            self.refusals,
            self.notifications,
            self.timed_out,
            self.ended_by_office,
            self.refused_closed,
        ]
    }

    /// The socket ended.
    pub(crate) fn ended(&mut self) -> Result<(), String> {
        // An error in the middle of a message would be taken for a part of it.
        let cut = !self.inbox.is_empty() && self.disturbed;
        let word = cut || self.told_why || matches!(self.state, State::Ending | State::Away);
        self.state = State::Away;
        match word {
            true => Ok(()),
            false => Err("its connection ended without a word".into()),
        }
    }
}

/// The text of an error.
pub(super) fn message(body: &[u8]) -> String {
    ErrorFields::parse(body).map_or(String::new(), |f| f.message().into_owned())
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
