//! One step of a rustls session: what it asks for is done, where its bytes go.

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};

/// Either side of a connection.
pub enum Session {
    /// Towards a client.
    Server(UnbufferedServerConnection),
    /// Towards a server.
    Client(UnbufferedClientConnection),
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Session::Server(_) => "Server(…)",
            Session::Client(_) => "Client(…)",
        })
    }
}

impl From<UnbufferedServerConnection> for Session {
    fn from(session: UnbufferedServerConnection) -> Session {
        Session::Server(session)
    }
}

impl From<UnbufferedClientConnection> for Session {
    fn from(session: UnbufferedClientConnection) -> Session {
        Session::Client(session)
    }
}

/// What encryption adds to a record at most.
const RECORD_EXTRA: usize = 256;

/// Where decrypted bytes go: to the caller's buffer, then to the connection's.
pub(super) struct Sink<'a> {
    pub(super) buf: &'a mut [u8],
    pub(super) filled: usize,
}

/// Bytes to be encrypted once the session can.
pub(super) struct Wish<'a> {
    pub(super) data: &'a [u8],
    pub(super) goodbye: bool,
    pub(super) taken: bool,
}

/// One step of either side.
pub(super) fn step(
    session: &mut Session,
    input: &mut [u8],
    sink: &mut Sink<'_>,
    plain: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
    wish: &mut Option<&mut Wish<'_>>,
) -> (usize, Result<Next, rustls::Error>) {
    match session {
        Session::Server(s) => advance(s.process_tls_records(input), sink, plain, outgoing, wish),
        Session::Client(s) => advance(s.process_tls_records(input), sink, plain, outgoing, wish),
    }
}

impl Sink<'_> {
    pub(super) fn none() -> Sink<'static> {
        Sink {
            buf: &mut [],
            filled: 0,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.buf.len()
    }

    /// Takes what fits; returns how much that is.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let room = self.buf.get_mut(self.filled..).unwrap_or_default();
        let n = room.len().min(bytes.len());
        if let (Some(to), Some(from)) = (room.get_mut(..n), bytes.get(..n)) {
            to.copy_from_slice(from);
        }
        self.filled += n;
        n
    }
}

/// What follows a step.
pub(super) enum Next {
    Again,
    PeerClosed,
    Blocked,
}

/// One step of a session: does what it asks for. Returns the bytes that are used up.
fn advance<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    sink: &mut Sink<'_>,
    plain: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
    wish: &mut Option<&mut Wish<'_>>,
) -> (usize, Result<Next, rustls::Error>) {
    let mut discard = status.discard;
    let state = match status.state {
        Ok(state) => state,
        Err(error) => return (discard, Err(error)),
    };
    let next = match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = match record {
                    Ok(record) => record,
                    Err(error) => return (discard, Err(error)),
                };
                discard += record.discard;
                // Behind bytes that wait already, these wait too.
                let n = match plain.is_empty() {
                    true => sink.take(record.payload),
                    false => 0,
                };
                plain.extend_from_slice(record.payload.get(n..).unwrap_or_default());
            }
            Next::Again
        }
        ConnectionState::EncodeTlsData(mut data) => {
            let encoded = append(outgoing, RECORD_EXTRA, |room| {
                data.encode(room).map_err(|error| match error {
                    EncodeError::InsufficientSize(size) => Some(size),
                    EncodeError::AlreadyEncoded => None,
                })
            });
            match encoded {
                true => Next::Again,
                false => Next::Blocked,
            }
        }
        ConnectionState::TransmitTlsData(data) => {
            // It stands in `outgoing`, in order, and goes out from there.
            data.done();
            Next::Again
        }
        ConnectionState::WriteTraffic(mut traffic) => {
            if let Some(wish) = wish.take() {
                let (data, goodbye) = (wish.data, wish.goodbye);
                wish.taken = append(outgoing, data.len() + RECORD_EXTRA, |room| {
                    let done = match goodbye {
                        true => traffic.queue_close_notify(room),
                        false => traffic.encrypt(data, room),
                    };
                    done.map_err(|error| match error {
                        EncryptError::InsufficientSize(size) => Some(size),
                        EncryptError::EncryptExhausted => None,
                    })
                });
            }
            Next::Blocked
        }
        ConnectionState::PeerClosed => Next::PeerClosed,
        // No early data is ever allowed, and nothing follows the end.
        _ => Next::Blocked,
    };
    (discard, Ok(next))
}

/// Lets `write` append to `out`, with more room when it asks for that. False when it cannot.
fn append(
    out: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<InsufficientSizeError>>,
) -> bool {
    let start = out.len();
    let mut room = room;
    for _ in 0..2 {
        out.resize(start + room, 0);
        match write(out.get_mut(start..).unwrap_or_default()) {
            Ok(n) => {
                out.truncate(start + n);
                return true;
            }
            Err(Some(size)) => room = size.required_size,
            Err(None) => break,
        }
    }
    out.truncate(start);
    false
}
