//! A client that knows an ERROR, which leaves its session, from a FATAL or an end, which do not.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A reply may take this long before the client calls the pooler hung.
pub const HUNG: Duration = Duration::from_secs(60);
/// A bound for one message of a reply.
const MESSAGE_MAX: usize = 1 << 20;

/// Why a request or a login failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The server or pooler said so; the session goes on.
    Refused(String),
    /// The session is over: FATAL with its SQLSTATE, "closed", "hung", or "unreachable": nobody listens.
    Ended(String),
}

impl Trouble {
    /// SQLSTATE, or what stands in its place.
    pub fn code(&self) -> &str {
        match self {
            Trouble::Refused(code) | Trouble::Ended(code) => code,
        }
    }
}

/// One logged-in session.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects and logs in without a password.
    pub fn login(
        address: SocketAddr,
        user: &str,
        database: &str,
        application: &str,
    ) -> Result<Client, Trouble> {
        let stream = TcpStream::connect_timeout(&address, HUNG)
            .map_err(|_| Trouble::Ended("unreachable".into()))?;
        stream.set_nodelay(true).map_err(ended)?;
        stream.set_read_timeout(Some(HUNG)).map_err(ended)?;
        let mut client = Client { stream };
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        let pairs = [
            ("user", user),
            ("database", database),
            ("application_name", application),
        ];
        for (key, value) in pairs {
            for text in [key, value] {
                body.extend_from_slice(text.as_bytes());
                body.push(0);
            }
        }
        body.push(0);
        let mut message = (body.len() as u32 + 4).to_be_bytes().to_vec();
        message.extend_from_slice(&body);
        client.stream.write_all(&message).map_err(ended)?;
        client.until_ready().map(|_| client)
    }

    /// A simple query, to its end. The answer is the first column of the last row.
    pub fn query(&mut self, sql: &str) -> Result<String, Trouble> {
        let mut message = vec![b'Q'];
        message.extend_from_slice(&(sql.len() as u32 + 5).to_be_bytes());
        message.extend_from_slice(sql.as_bytes());
        message.push(0);
        self.stream.write_all(&message).map_err(ended)?;
        self.until_ready()
    }

    /// Whether the other side has ended the session, or has said something while nothing was asked: the word before its
    /// end. A client with a pool of its own looks so before it lends a session.
    pub fn is_over(&mut self) -> bool {
        let mut byte = [0];
        let looked = self
            .stream
            .set_nonblocking(true)
            .and_then(|()| self.stream.peek(&mut byte));
        let silent = matches!(&looked, Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        self.stream.set_nonblocking(false).is_err() || !silent
    }

    fn until_ready(&mut self) -> Result<String, Trouble> {
        let mut answer = String::new();
        let mut error: Option<String> = None;
        loop {
            let (tag, body) = match self.message() {
                Ok(message) => message,
                Err(e) => {
                    return Err(match error {
                        Some(code) => Trouble::Ended(code),
                        None => ended(e),
                    });
                }
            };
            match tag {
                b'E' => error = Some(field(&body, b'C')),
                b'D' => answer = first_column(&body),
                b'Z' => return error.map_or(Ok(answer), |code| Err(Trouble::Refused(code))),
                _ => {}
            }
        }
    }

    fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if !(4..MESSAGE_MAX).contains(&len) {
            return Err(io::Error::other("a message of an odd length"));
        }
        let mut body = vec![0; len - 4];
        self.stream.read_exact(&mut body)?;
        Ok((head[0], body))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Terminate: who leaves says so.
        let _ = self.stream.write_all(b"X\0\0\0\x04");
    }
}

fn ended(error: io::Error) -> Trouble {
    let hung = matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    );
    Trouble::Ended(if hung { "hung" } else { "closed" }.into())
}

/// A field of an ErrorResponse.
fn field(body: &[u8], wanted: u8) -> String {
    body.split(|b| *b == 0)
        .find(|f| f.first() == Some(&wanted))
        .map(|f| String::from_utf8_lossy(&f[1..]).into_owned())
        .unwrap_or_default()
}

/// The first column of a DataRow; empty for NULL.
fn first_column(body: &[u8]) -> String {
    let len = body.get(2..6).and_then(|b| b.try_into().ok());
    let len = len.map_or(-1, i32::from_be_bytes);
    let end = usize::try_from(len).map_or(6, |len| 6 + len);
    String::from_utf8_lossy(body.get(6..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_errors_are_read() {
        assert_eq!(first_column(b"\0\x01\0\0\0\x0242"), "42");
        assert_eq!(first_column(b"\0\x01\xff\xff\xff\xff"), "");
        assert_eq!(first_column(b""), "");
        assert_eq!(field(b"SERROR\0C53300\0Mfull\0\0", b'C'), "53300");
    }
}
