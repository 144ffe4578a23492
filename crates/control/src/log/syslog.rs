//! Lines to the system's log: a datagram each, to the socket where it listens (RFC 3164, as syslog(3) sends them).
//!
//! Nothing waits for it: what it does not take at once is lost, and counted as any dropped line is.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use tracing::Level;

/// Where the system's log listens.
const PLACE: &str = "/dev/log";

/// How lines are marked for the system's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyslogOptions {
    /// The name that each line begins with.
    pub ident: String,
    /// The facility's number, as syslog.h has it.
    pub facility: u8,
    /// Where it listens; `None`: where it usually does.
    pub place: Option<PathBuf>,
}

/// The number of a facility by its name.
pub fn facility(name: &str) -> Option<u8> {
    const NAMES: [&str; 12] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",
        "authpriv", "ftp",
    ];
    if let Some(local) = name.strip_prefix("local") {
        let number: u8 = local.parse().ok()?;
        return (number < 8).then_some(16 + number);
    }
    let at = NAMES.iter().position(|known| *known == name)?;
    u8::try_from(at).ok()
}

/// The number of a line's importance there.
pub(super) fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// The way there.
#[derive(Debug)]
pub(super) struct Syslog {
    options: SyslogOptions,
    /// Lines begin with their time and process, as PgBouncer's: they are left out here.
    headed: bool,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    pub(super) fn new(options: SyslogOptions, headed: bool) -> Syslog {
        Syslog {
            options,
            headed,
            socket: None,
        }
    }

    /// Sends a line; the system's log may have been started anew since the last one.
    pub(super) fn send(&mut self, severity: u8, line: &[u8]) -> io::Result<()> {
        let priority = u32::from(self.options.facility) * 8 + u32::from(severity);
        let head = format!(
            "<{priority}>{}[{}]: ",
            self.options.ident,
            std::process::id()
        );
        let mut datagram = head.into_bytes();
        let line = match self.headed {
            true => super::pgbouncer::without_head(line),
            false => line,
        };
        datagram.extend_from_slice(line.trim_ascii_end());
        if let Some(socket) = &self.socket
            && socket.send(&datagram).is_ok()
        {
            return Ok(());
        }
        let place = self.options.place.as_deref();
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(place.unwrap_or(Path::new(PLACE)))?;
        socket.send(&datagram)?;
        self.socket = Some(socket);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_have_the_numbers_of_syslog_h() {
        let table = [
            ("daemon", Some(3)),
            ("authpriv", Some(10)),
            ("local0", Some(16)),
            ("local7", Some(23)),
            ("local8", None),
            ("nobody", None),
        ];
        for (name, number) in table {
            assert_eq!(facility(name), number, "{name}");
        }
    }

    #[test]
    fn a_line_arrives_with_its_mark_also_after_a_restart_of_the_log() {
        let name = format!("plimsoll-syslog-{}", std::process::id());
        let place = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&place);
        let mut syslog = Syslog::new(
            SyslogOptions {
                ident: "pgbouncer".into(),
                facility: 3,
                place: Some(place.clone()),
            },
            false,
        );
        assert!(syslog.send(6, b"nobody listens\n").is_err());
        for text in ["one", "two"] {
            let _ = std::fs::remove_file(&place);
            let listens = UnixDatagram::bind(&place).expect("bound");
            syslog
                .send(4, format!("{text}\n").as_bytes())
                .expect("sent");
            let mut got = [0; 100];
            let length = listens.recv(&mut got).expect("a line");
            let expected = format!("<28>pgbouncer[{}]: {text}", std::process::id());
            assert_eq!(String::from_utf8_lossy(&got[..length]), expected);
        }
        let _ = std::fs::remove_file(&place);
    }
}
