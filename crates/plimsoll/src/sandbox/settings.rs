//! The text of the server's two settings files, and quoting for SQL and URLs.

use super::Options;

/// `postgresql.conf`, whole. Fast: a crash of the machine may lose the data. A
/// crash of the server may not, so `synchronous_commit` stays on: without
/// fsync it costs one write to the kernel.
pub(super) fn postgresql_conf(options: &Options, port: u16, socket_dir: &str) -> String {
    let mut text = format!(
        "listen_addresses = {listen}\n\
         port = {port}\n\
         unix_socket_directories = {socket}\n\
         max_connections = {max_connections}\n\
         password_encryption = 'scram-sha-256'\n\
         fsync = off\n\
         full_page_writes = off\n\
         shared_buffers = '32MB'\n\
         lc_messages = 'C'\n\
         timezone = 'UTC'\n\
         log_timezone = 'UTC'\n\
         log_min_error_statement = panic\n",
        listen = literal(&options.listen),
        socket = literal(socket_dir),
        max_connections = options.max_connections,
    );
    if options.tls.is_some() {
        text.push_str("ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n");
        if options
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_ca.is_some())
        {
            text.push_str("ssl_ca_file = 'clients.crt'\n");
        }
    }
    push_lines(&mut text, &options.settings);
    text
}

/// `pg_hba.conf`. The socket lies in a directory that only its owner (and
/// root) can enter, so it may trust; TCP asks for a password.
pub(super) fn pg_hba_conf(options: &Options) -> String {
    let mut text = String::new();
    push_lines(&mut text, &options.hba);
    text.push_str(
        "local all all trust\n\
         local replication all trust\n\
         host all all all scram-sha-256\n\
         host replication all all scram-sha-256\n",
    );
    text
}

fn push_lines(text: &mut String, lines: &[String]) {
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
}

/// A string literal, for SQL and for `postgresql.conf` (which doubles quotes too).
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An SQL identifier.
pub(super) fn identifier(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Percent-encodes all but the characters that RFC 3986 calls unreserved.
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Places, ServerTls};

    fn options() -> Options {
        let nowhere = Places {
            pgbin: None,
            path: None,
            root: "/nowhere".into(),
        };
        Options::new(nowhere)
    }

    #[test]
    fn the_callers_lines_come_where_they_win() {
        let mut options = options();
        options.settings.push("max_connections = 7".to_owned());
        options.hba.push("host all anna all md5".to_owned());
        // PostgreSQL takes the last setting, but the first matching line of pg_hba.conf.
        assert!(postgresql_conf(&options, 5432, "/s").ends_with("max_connections = 7\n"));
        assert!(pg_hba_conf(&options).starts_with("host all anna all md5\nlocal "));
    }

    #[test]
    fn tls_is_written_only_when_asked_for() {
        let mut options = options();
        assert!(!postgresql_conf(&options, 1, "/s").contains("ssl"));
        options.tls = Some(ServerTls {
            certificate: String::new(),
            key: String::new(),
            client_ca: None,
        });
        let text = postgresql_conf(&options, 1, "/s");
        assert!(
            text.contains("ssl = on\n") && !text.contains("ssl_ca_file"),
            "{text}"
        );
    }

    #[test]
    fn quotes_cannot_end_what_they_are_in() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(percent("p@ss/ü"), "p%40ss%2F%C3%BC");
    }
}
