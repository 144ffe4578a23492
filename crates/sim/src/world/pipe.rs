//! One direction of a connection: bytes under way, bounded as a socket's buffer is.

/// Bytes on their way from a writer to a reader.
#[derive(Debug, Default)]
pub struct Pipe {
    buf: Vec<u8>,
    head: usize,
    /// The writer closed: the end of file follows the bytes.
    pub eof: bool,
    /// The reader has seen the end of file, or is gone.
    pub done: bool,
    /// The reader may not or will not read now.
    pub stopped: bool,
    /// A delivery is in the event queue.
    pub scheduled: bool,
    /// Nothing arrives any more, not even the end of file.
    pub silent: bool,
    /// The backlog that the hub was told last.
    pub told: usize,
    /// Bytes that the socket's buffers take.
    pub cap: usize,
}

impl Pipe {
    /// Empty, with room for `cap` bytes.
    pub fn new(cap: usize) -> Pipe {
        Pipe {
            cap,
            ..Pipe::default()
        }
    }

    /// Takes bytes; they are lost when nobody reads any more.
    pub fn write(&mut self, bytes: &[u8]) {
        if !self.eof && !self.done {
            self.buf.extend_from_slice(bytes);
        }
    }

    /// Bytes under way.
    pub fn len(&self) -> usize {
        self.buf.len() - self.head
    }

    /// The bytes under way.
    pub fn unread(&self) -> &[u8] {
        &self.buf[self.head..]
    }

    /// Bytes that the socket did not take yet.
    pub fn backlog(&self) -> usize {
        self.len().saturating_sub(self.cap)
    }

    /// Moves the next `n` bytes into `into`.
    pub fn read(&mut self, n: usize, into: &mut Vec<u8>) {
        let n = n.min(self.len());
        into.extend_from_slice(&self.buf[self.head..self.head + n]);
        self.head += n;
        if self.head == self.buf.len() {
            self.buf.clear();
            self.head = 0;
            if self.buf.capacity() > 64 * 1024 {
                self.buf.shrink_to(4096);
            }
        } else if self.head > 64 * 1024 {
            self.buf.drain(..self.head);
            self.head = 0;
        }
    }

    /// Throws away what is under way.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.head = 0;
    }

    /// There is something to deliver.
    pub fn is_due(&self) -> bool {
        !self.scheduled
            && !self.stopped
            && !self.silent
            && !self.done
            && (self.len() > 0 || self.eof)
    }
}
