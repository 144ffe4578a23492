//! One question to the API on its unix socket: as much of HTTP as that needs.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Longest wait for an answer; a diagnosis is given ten seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The body of the answer, if it is 2xx.
pub fn ask(socket: &Path, verb: &str, path: &str, body: &str) -> Result<Vec<u8>, String> {
    let told = |e: std::io::Error| format!("{path}: {e}");
    let mut stream = UnixStream::connect(socket).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    let head = format!(
        "{verb} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).map_err(told)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(told)?;
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or(format!("{path}: no answer"))?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let body = match head.contains("transfer-encoding: chunked") {
        true => unchunk(&answer[end + 4..]),
        false => answer[end + 4..].to_vec(),
    };
    match head
        .split(' ')
        .nth(1)
        .is_some_and(|status| status.starts_with('2'))
    {
        true => Ok(body),
        false => {
            let said = String::from_utf8_lossy(&body);
            Err(format!(
                "{path}: {} {}",
                head.lines().next().unwrap_or_default(),
                said.trim()
            ))
        }
    }
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&body[..end]);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
            .unwrap_or(0);
        let from = end + 2;
        if size == 0 || from + size > body.len() {
            break;
        }
        whole.extend_from_slice(&body[from..from + size]);
        body = body.get(from + size + 2..).unwrap_or_default();
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::unchunk;

    #[test]
    fn chunks_become_whole() {
        assert_eq!(
            unchunk(b"4\r\nwait\r\n3;x=y\r\ned.\r\n0\r\n\r\n"),
            b"waited."
        );
        assert_eq!(unchunk(b"ff\r\nshort"), b"");
    }
}
