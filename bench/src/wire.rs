//! Just enough of PostgreSQL's protocol to log in without a password and to ask one question.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a login or a reply may take before it counts as failed. Generous: valgrind is slow.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

/// A bound for what one reply may hold; greetings are below 1 KiB.
const REPLY_BYTES_MAX: usize = 1 << 20;

/// The start-up message of protocol 3.0.
pub fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for text in ["user", user, "database", database] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    let mut message = (body.len() as u32 + 4).to_be_bytes().to_vec();
    message.extend_from_slice(&body);
    message
}

/// Connects and logs in; returns the stream and all bytes up to and with the first ReadyForQuery.
pub fn login(address: SocketAddr, user: &str, database: &str) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&address, REPLY_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
    stream.write_all(&startup(user, database))?;
    let greeting = read_until_ready(&mut stream)?;
    Ok((stream, greeting))
}

/// Sends one simple query and waits for its end.
pub fn query(stream: &mut TcpStream, sql: &str) -> io::Result<Vec<u8>> {
    let mut message = vec![b'Q'];
    message.extend_from_slice(&(sql.len() as u32 + 5).to_be_bytes());
    message.extend_from_slice(sql.as_bytes());
    message.push(0);
    stream.write_all(&message)?;
    read_until_ready(stream)
}

fn read_until_ready(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if len < 4 || all.len() + len > REPLY_BYTES_MAX {
            return Err(io::Error::other(format!("a message of {len} bytes")));
        }
        let mut body = vec![0; len - 4];
        stream.read_exact(&mut body)?;
        match head[0] {
            b'E' => return Err(io::Error::other(error_text(&body))),
            b'R' if !body.starts_with(&[0, 0, 0, 0]) => {
                return Err(io::Error::other("the server asks for a password"));
            }
            _ => {}
        }
        all.extend_from_slice(&head);
        all.extend_from_slice(&body);
        if head[0] == b'Z' {
            return Ok(all);
        }
    }
}

/// The fields of an ErrorResponse, separated by spaces.
fn error_text(body: &[u8]) -> String {
    let fields: Vec<_> = body
        .split(|b| *b == 0)
        .filter(|f| !f.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    fields.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_startup_message_counts_itself() {
        let message = startup("u", "d");
        assert_eq!(
            message.len(),
            u32::from_be_bytes(message[..4].try_into().unwrap()) as usize
        );
        assert_eq!(&message[4..8], &[0, 3, 0, 0]);
        assert!(message.ends_with(b"database\0d\0\0"));
    }

    #[test]
    fn an_error_is_readable() {
        assert_eq!(error_text(b"SFATAL\0C28000\0Mno\0\0"), "SFATAL C28000 Mno");
    }
}
