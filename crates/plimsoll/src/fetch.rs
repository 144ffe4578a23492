//! Fetches a page of this machine or a neighbour: one GET of plain HTTP, bounded
//! in time and length. For reading metrics; nothing is followed.

use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// To connect, and for each read.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// For the whole page.
const PAGE_MAX: Duration = Duration::from_secs(20);

/// The body of `http://host:port/path`, at most `bytes_max` of it.
pub fn page(url: &str, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    let rest = url
        .strip_prefix("http://")
        .context("only http:// is fetched")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if url.chars().any(|c| c.is_control() || c == ' ') || authority.contains('@') {
        bail!("write http://HOST:PORT/metrics, without user and blanks");
    }
    let place = match authority.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
        _ => format!("{authority}:80"),
    };
    let begun = Instant::now();
    let mut stream = connect(&place)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let read = match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("no answer"),
        };
        answer.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if answer.len() > bytes_max {
            bail!("the page is longer than {} MiB", bytes_max >> 20);
        }
        if begun.elapsed() > PAGE_MAX {
            bail!("the page took longer than {} s", PAGE_MAX.as_secs());
        }
    }
    body(&answer)
}

fn connect(place: &str) -> anyhow::Result<TcpStream> {
    let addresses = place
        .to_socket_addrs()
        .with_context(|| format!("no address for {place}"))?;
    let mut failed = None;
    for address in addresses.take(4) {
        match TcpStream::connect_timeout(&address, SILENCE_MAX) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => Err(error).with_context(|| format!("{place} cannot be reached")),
        None => bail!("no address for {place}"),
    }
}

/// What stands behind the head of a good answer.
fn body(answer: &[u8]) -> anyhow::Result<Vec<u8>> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n");
    let (Some(end), true) = (end, answer.starts_with(b"HTTP/1.")) else {
        bail!("no HTTP server answers there");
    };
    let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).to_lowercase();
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        bail!("it answers with status {status}");
    }
    let rest = answer.get(end + 4..).unwrap_or_default();
    match head.contains("transfer-encoding: chunked") {
        true => unchunked(rest),
        false => Ok(rest.to_vec()),
    }
}

fn unchunked(mut rest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    let broken = "the page ends in the middle";
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n").context(broken)?;
        let (line, after) = rest.split_at(end);
        let size = std::str::from_utf8(line)
            .ok()
            .and_then(|l| l.split(';').next());
        let size = size.and_then(|s| usize::from_str_radix(s.trim(), 16).ok());
        let size = size.context(broken)?;
        if size == 0 {
            return Ok(out);
        }
        let data = after.get(2..).unwrap_or_default();
        out.extend_from_slice(data.get(..size).context(broken)?);
        rest = data.get(size + 2..).context(broken)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_whole_or_not_at_all() {
        let text = |answer: &str| body(answer.as_bytes()).map(|b| String::from_utf8(b).unwrap());
        assert_eq!(
            text("HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello").unwrap(),
            "hello"
        );
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        assert_eq!(text(chunked).unwrap(), "abcde");
        for end in 0..chunked.len() - 5 {
            let _ = text(&chunked[..end]);
        }
        assert!(
            text("HTTP/1.1 404 No\r\n\r\n")
                .unwrap_err()
                .to_string()
                .contains("404")
        );
        assert!(text("220 smtp\r\n\r\n").is_err());
    }
}
