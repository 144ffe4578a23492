//! A watch: pieces of JSON, a line each, over an answer that does not end.

use crate::door::Driven;
use crate::messages::{Event, Header};
use crate::{ANSWER_BYTES_MAX, Error, read};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// What came of a watch at a time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct News {
    /// Of the store.
    pub header: Header,
    /// The watch has begun: what changes from here on comes.
    pub created: bool,
    /// In the order of their revisions; those of one revision come together.
    pub events: Vec<Event>,
}

/// A watch that goes on until it is dropped.
pub struct Watching {
    body: Incoming,
    _driven: Driven,
    /// What came and is no whole line yet.
    rest: Vec<u8>,
    /// Bytes of it that hold no line's end.
    looked: usize,
}

impl Watching {
    pub(crate) fn new(body: Incoming, driven: Driven) -> Watching {
        Watching {
            body,
            _driven: driven,
            rest: Vec::new(),
            looked: 0,
        }
    }

    /// The next news; it may take for ever. It can be dropped while it waits, and
    /// nothing is lost. An error is the end: read anew, and watch from there.
    pub async fn next(&mut self) -> Result<News, Error> {
        loop {
            if let Some(line) = self.line() {
                return read::news(&read::result(read::json(&line)?)?);
            }
            if self.rest.len() > ANSWER_BYTES_MAX {
                return Err(Error::nonsense("a piece of the watch is too large"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(Error::Lost(error.to_string())),
                None => return Err(Error::Lost("the watch has ended".into())),
            }
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let ends = |rest: &[u8]| rest.iter().position(|byte| *byte == b'\n');
        let Some(end) = ends(&self.rest[self.looked..]) else {
            self.looked = self.rest.len();
            return None;
        };
        let rest = self.rest.split_off(self.looked + end + 1);
        self.looked = 0;
        Some(std::mem::replace(&mut self.rest, rest))
    }
}
