//! Finds the messages of a server in what was read. Most are passed over; only
//! what the generator must know is kept.

use wire::tag::back as tag;

/// Bytes of a header: type and length.
const HEADER: usize = 5;
/// Most bytes of an error that are looked at.
const KEPT_MAX: usize = 64 << 10;

/// What a server said.
#[derive(Debug)]
pub(crate) enum Heard<'a> {
    /// It is ready; the state of the transaction: `I`, `T` or `E`.
    Ready(u8),
    /// A statement is done.
    Complete,
    /// It waits for rows of a COPY.
    CopyIn,
    /// An error: the message's body.
    Error(&'a [u8]),
}

/// A length that no message has: the other side speaks something else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NoMessage;

/// The place in the stream of a server's messages.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    header: [u8; HEADER],
    have: usize,
    /// Bytes of the body that are still to come.
    left: usize,
    kept: Vec<u8>,
}

impl Frames {
    /// Takes the next bytes; the first thing heard in them, and how many were used for it.
    pub(crate) fn next<'a>(
        &'a mut self,
        bytes: &[u8],
    ) -> Result<(usize, Option<Heard<'a>>), NoMessage> {
        let mut used = 0;
        loop {
            if self.have < HEADER {
                let rest = &bytes[used..];
                let many = rest.len().min(HEADER - self.have);
                self.header[self.have..self.have + many].copy_from_slice(&rest[..many]);
                self.have += many;
                used += many;
                if self.have < HEADER {
                    return Ok((used, None));
                }
                let [_, a, b, c, d] = self.header;
                let length = usize::try_from(i32::from_be_bytes([a, b, c, d]));
                let body = length.ok().and_then(|length| length.checked_sub(4));
                self.left = body.ok_or(NoMessage)?;
                self.kept.clear();
            }
            let kind = self.header[0];
            let rest = &bytes[used..];
            let many = rest.len().min(self.left);
            if matches!(kind, tag::READY | tag::ERROR) {
                let room = KEPT_MAX.saturating_sub(self.kept.len()).min(many);
                self.kept.extend_from_slice(&rest[..room]);
            }
            self.left -= many;
            used += many;
            if self.left > 0 {
                return Ok((used, None));
            }
            self.have = 0;
            let heard = match kind {
                tag::READY => Heard::Ready(self.kept.first().copied().unwrap_or(b'I')),
                tag::ERROR => Heard::Error(&self.kept),
                tag::COPY_IN | tag::COPY_BOTH => Heard::CopyIn,
                tag::COMMAND_COMPLETE | tag::EMPTY_QUERY => Heard::Complete,
                _ => continue,
            };
            return Ok((used, Some(heard)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut all = vec![kind];
        all.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
        all.extend_from_slice(body);
        all
    }

    fn heard(stream: &[u8], piece: usize) -> String {
        let mut frames = Frames::default();
        let mut all = String::new();
        for piece in stream.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() {
                let (used, heard) = frames.next(rest).unwrap();
                match heard {
                    Some(Heard::Ready(status)) => all.push(status as char),
                    Some(Heard::Complete) => all.push('c'),
                    Some(Heard::CopyIn) => all.push('g'),
                    Some(Heard::Error(body)) => all.push_str(&format!("e{}", body.len())),
                    None => {}
                }
                rest = &rest[used..];
            }
        }
        all
    }

    #[test]
    fn pieces_of_any_size_tell_the_same() {
        let stream = [
            message(tag::ROW_DESCRIPTION, &[0; 30]),
            message(tag::DATA_ROW, &[b'Z'; 300]),
            message(tag::COMMAND_COMPLETE, b"SELECT 1\0"),
            message(tag::READY, b"T"),
            message(tag::ERROR, &[b'x'; 40]),
            message(tag::READY, b"E"),
            message(tag::COPY_IN, &[0; 7]),
            message(tag::PARSE_COMPLETE, b""),
        ]
        .concat();
        for piece in [1, 2, 5, 7, 64, stream.len()] {
            assert_eq!(heard(&stream, piece), "cTe40Eg", "{piece}");
        }
    }

    #[test]
    fn a_length_that_lies_is_told() {
        let mut frames = Frames::default();
        assert_eq!(frames.next(b"HTTP/1.1").unwrap().0, 8);
        let mut frames = Frames::default();
        assert!(frames.next(&[b'Z', 0, 0, 0, 3]).is_err());
        let mut frames = Frames::default();
        assert!(frames.next(&[b'Z', 255, 0, 0, 3]).is_err());
    }
}
