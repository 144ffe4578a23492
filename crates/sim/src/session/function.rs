//! FunctionCall: a message that asks for one function, and is its own batch.

use super::{Fail, Session, Step, Tx};

impl Session {
    /// FunctionCall: it gives back the value that it got; function 0 is not there.
    pub(super) fn function(&mut self, body: &[u8], out: &mut Vec<u8>) -> Step {
        self.batch = false;
        self.touched = false;
        let failed = |code, text: &str| Fail {
            code,
            text: text.into(),
        };
        if self.tx == Tx::Failed {
            let error = failed("25P02", "current transaction is aborted");
            return self.query_failed(&error, out);
        }
        if self.tx == Tx::None {
            self.begin(Tx::Implicit);
        }
        if body.starts_with(&[0, 0, 0, 0]) {
            return self.query_failed(&failed("42883", "no such function"), out);
        }
        // Number, no formats, one argument: its length and bytes follow.
        let value = body
            .get(8..body.len().saturating_sub(2))
            .unwrap_or_default();
        out.push(b'V');
        out.extend((value.len() as u32 + 4).to_be_bytes());
        out.extend(value);
        self.finish_query(out);
        Step::Done
    }
}
