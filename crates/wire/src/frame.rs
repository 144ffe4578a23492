//! Finding where one message ends and the next begins.

use std::fmt;

/// Bytes before a message's body: the tag and a four byte length.
pub const HEADER: usize = 5;

/// The largest value a length field may have, in bytes (1 GiB). PostgreSQL itself refuses
/// anything at or above this, in both directions.
pub const LENGTH_MAX: u32 = 1 << 30;

/// The head of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The type byte, one of [`crate::tag`]. What it means depends on the direction.
    pub tag: u8,
    /// Bytes of the whole message, tag and length field included. At least [`HEADER`].
    pub len: usize,
}

/// A length field that cannot be true. The stream is out of step and must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Less than the four bytes of the length field itself.
    TooShort {
        /// The type byte before it.
        tag: u8,
        /// The length as sent.
        length: i32,
    },
    /// More than [`LENGTH_MAX`].
    TooLong {
        /// The type byte before it.
        tag: u8,
        /// The length as sent.
        length: u32,
    },
}

/// Reads the head of the message at the start of `buf`. `None` when fewer than [`HEADER`] bytes
/// are there; the body need not have arrived.
#[inline]
pub fn peek(buf: &[u8]) -> Result<Option<Frame>, FrameError> {
    let Some((&[tag, a, b, c, d], _)) = buf.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    // One comparison decides the good case: what is too short wraps round to too long.
    if length.wrapping_sub(4) > LENGTH_MAX - 4 {
        return Err(refuse(tag, length));
    }
    Ok(Some(Frame {
        tag,
        len: length as usize + 1,
    }))
}

#[cold]
fn refuse(tag: u8, length: u32) -> FrameError {
    let signed = length.cast_signed();
    if signed < 4 {
        FrameError::TooShort {
            tag,
            length: signed,
        }
    } else {
        FrameError::TooLong { tag, length }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooShort { tag, length } => {
                write!(f, "message type 0x{tag:02x} claims a length of {length}")
            }
            FrameError::TooLong { tag, length } => {
                write!(
                    f,
                    "message type 0x{tag:02x} claims {length} bytes, more than {LENGTH_MAX}"
                )
            }
        }
    }
}

impl std::error::Error for FrameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let frame = |length: u32| {
            let mut bytes = vec![b'Q'];
            bytes.extend(length.to_be_bytes());
            peek(&bytes)
        };
        assert_eq!(frame(4), Ok(Some(Frame { tag: b'Q', len: 5 })));
        assert_eq!(
            frame(LENGTH_MAX),
            Ok(Some(Frame {
                tag: b'Q',
                len: (1 << 30) + 1
            }))
        );
        let short = |length| Err(FrameError::TooShort { tag: b'Q', length });
        assert_eq!(frame(3), short(3));
        assert_eq!(frame(0), short(0));
        assert_eq!(frame(u32::MAX), short(-1));
        assert_eq!(frame(1 << 31), short(i32::MIN));
        for length in [LENGTH_MAX + 1, i32::MAX as u32] {
            assert_eq!(
                frame(length),
                Err(FrameError::TooLong { tag: b'Q', length })
            );
        }
    }

    #[test]
    fn waits_for_five_bytes() {
        let bytes = [b'Z', 0, 0, 0, 5, b'I'];
        for end in 0..HEADER {
            assert_eq!(peek(&bytes[..end]), Ok(None));
        }
        assert_eq!(peek(&bytes[..5]), Ok(Some(Frame { tag: b'Z', len: 6 })));
    }
}
