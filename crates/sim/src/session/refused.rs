//! What a pooler decided instead of the server, for the client's model.

use super::{Fail, Session};

impl Session {
    /// The pooler refused this message while the session was free.
    pub fn refused(&mut self, tag: u8) {
        if matches!(tag, b'Q' | b'F') {
            // ReadyForQuery follows.
        } else {
            self.batch = true;
            self.skip = true;
        }
    }

    /// The pooler refused this message with an error that the server shares.
    pub fn refused_within(&mut self, tag: u8, out: &mut Vec<u8>) {
        let mut text = Vec::new();
        let error = Fail {
            code: "53300",
            text: String::new(),
        };
        match tag {
            b'Q' => self.query_failed(&error, &mut text),
            _ => {
                self.batch = true;
                self.batch_failed(&error, &mut text)
            }
        };
        // The error itself was seen already.
        let skip = wire::frame::peek(&text).ok().flatten().map_or(0, |f| f.len);
        out.extend_from_slice(&text[skip..]);
    }
}
