//! COPY in.

use super::{CopyIn, Fail, Session, Step, complete};

impl Session {
    /// While COPY data is read, Sync and Flush are dropped and all else fails.
    pub(super) fn copying(
        &mut self,
        mut copy: CopyIn,
        tag: u8,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Step {
        let error = match tag {
            b'd' if body.starts_with(b"bad") => Fail {
                code: "22P02",
                text: "invalid input in COPY".into(),
            },
            b'd' => {
                copy.rows += 1;
                self.copy = Some(copy);
                return Step::Done;
            }
            b'H' | b'S' => return Step::Done,
            b'c' => {
                self.copy = None;
                complete(out, &format!("COPY {}", copy.rows));
                if !copy.extended {
                    self.finish_query(out);
                }
                return Step::Done;
            }
            b'f' => Fail {
                code: "57014",
                text: "COPY from stdin failed".into(),
            },
            b'X' => return Step::End,
            _ => Fail {
                code: "08P01",
                text: "unexpected message type during COPY from stdin".into(),
            },
        };
        self.copy = None;
        if copy.extended {
            self.batch_failed(&error, out)
        } else {
            self.query_failed(&error, out)
        }
    }

    /// The COPY under way was begun by Execute.
    pub fn copy_extended(&self) -> bool {
        self.copy.is_some_and(|c| c.extended)
    }
}
