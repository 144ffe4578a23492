//! The floor: a bare relay that lends a server connection for a transaction and forwards bytes, and nothing else.
//!
//! It knows no statement, no parameter, no limit and no deadline. It is what the same kind of event loop costs at the
//! least, so the distance of a pooler to it is the price of what the pooler does. Never serve anything with it.
//!
//! The one invariant: a server is with one client from the first byte of a transaction to ReadyForQuery 'I'.
//!
//! ```text
//! client ──bytes──▶ free server, else the queue ──bytes──▶ PostgreSQL
//!        ◀──bytes── until a read ends with `Z 0 0 0 5 I` ◀──bytes──
//! ```
//!
//! Prepared statements by name live in one server session, so only the simple and the unnamed extended protocol run here.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::wire;

/// One buffer serves all connections of the thread.
const BUFFER_BYTES: usize = 64 * 1024;
/// A start-up packet longer than this is no start-up packet (PostgreSQL's own bound).
const STARTUP_BYTES_MAX: usize = 10_000;
/// Clients accepted beyond this are closed at once.
const CLIENTS_MAX: usize = 10_000;
/// ReadyForQuery, idle.
const READY_IDLE: [u8; 6] = [b'Z', 0, 0, 0, 5, b'I'];

/// What the relay is told on its command line.
pub struct Options {
    /// Where clients come.
    pub listen: SocketAddr,
    /// The PostgreSQL server, which must trust us.
    pub server: SocketAddr,
    /// How many server connections are kept.
    pub servers: usize,
    /// The server's user.
    pub user: String,
    /// The server's database.
    pub database: String,
}

struct Client {
    stream: TcpStream,
    /// Start-up bytes so far; `None` once logged in.
    startup: Option<Vec<u8>>,
    server: Option<usize>,
    /// mio is edge-triggered: what was not read stays known here.
    readable: bool,
    waiting: bool,
    unsent: Vec<u8>,
}

struct Server {
    stream: TcpStream,
    client: Option<usize>,
    readable: bool,
    unsent: Vec<u8>,
    /// The last bytes seen, for a ReadyForQuery that two reads share.
    tail: [u8; 6],
}

struct Relay {
    options: Options,
    poll: Poll,
    listener: TcpListener,
    greeting: Vec<u8>,
    servers: Vec<Server>,
    /// Free servers, the last used first: warm caches.
    free: Vec<usize>,
    clients: Vec<Option<Client>>,
    vacant: Vec<usize>,
    /// Clients that wait for a server, in order of arrival. Their bytes stay in the kernel.
    waiting: VecDeque<usize>,
    buffer: Vec<u8>,
}

/// Serves until the process is ended.
pub fn run(options: Options) -> io::Result<()> {
    let poll = Poll::new()?;
    let mut listener = TcpListener::bind(options.listen)?;
    let mut relay = Relay {
        greeting: Vec::new(),
        servers: Vec::new(),
        free: Vec::new(),
        clients: Vec::new(),
        vacant: Vec::new(),
        waiting: VecDeque::new(),
        buffer: vec![0; BUFFER_BYTES],
        listener: {
            poll.registry()
                .register(&mut listener, Token(0), Interest::READABLE)?;
            listener
        },
        poll,
        options,
    };
    for slot in 0..relay.options.servers {
        let server = relay.connect_server(slot)?;
        relay.servers.push(server);
        relay.free.push(slot);
    }
    let mut events = Events::with_capacity(256);
    loop {
        if let Err(e) = relay.poll.poll(&mut events, None)
            && e.kind() != io::ErrorKind::Interrupted
        {
            return Err(e);
        }
        for event in &events {
            relay.dispatch(event)?;
        }
    }
}

impl Relay {
    fn dispatch(&mut self, event: &mio::event::Event) -> io::Result<()> {
        let token = event.token().0;
        let servers = self.options.servers;
        if token == 0 {
            return self.accept();
        }
        if token <= servers {
            let slot = token - 1;
            self.servers[slot].readable |= event.is_readable();
            if event.is_writable() && !self.servers[slot].unsent.is_empty() {
                self.flush_server(slot)?;
            }
            return self.forward_down(slot);
        }
        let slot = token - servers - 1;
        let Some(client) = self.clients.get_mut(slot).and_then(Option::as_mut) else {
            return Ok(());
        };
        client.readable |= event.is_readable();
        if client.startup.is_some() {
            return self.handle_login(slot);
        }
        if event.is_writable() && !client.unsent.is_empty() {
            self.flush_client(slot)?;
        }
        self.forward_up(slot)
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The peer left between its SYN and now.
                Err(_) => continue,
            };
            if self.clients.len() - self.vacant.len() >= CLIENTS_MAX {
                continue;
            }
            stream.set_nodelay(true)?;
            let slot = self.vacant.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            let token = Token(slot + self.options.servers + 1);
            self.poll.registry().register(
                &mut stream,
                token,
                Interest::READABLE | Interest::WRITABLE,
            )?;
            self.clients[slot] = Some(Client {
                stream,
                startup: Some(Vec::new()),
                server: None,
                readable: false,
                waiting: false,
                unsent: Vec::new(),
            });
        }
    }

    /// Says no to TLS, trusts whoever comes, and answers with the greeting that the first server gave us.
    fn handle_login(&mut self, slot: usize) -> io::Result<()> {
        let Some(client) = self.clients[slot].as_mut() else {
            return Ok(());
        };
        if !client.readable {
            return Ok(());
        }
        let n = match client.stream.read(&mut self.buffer) {
            Ok(n) if n > 0 => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                client.readable = false;
                return Ok(());
            }
            _ => return self.close_client(slot),
        };
        client.readable = false;
        let Some(packet) = client.startup.as_mut() else {
            return Ok(());
        };
        packet.extend_from_slice(&self.buffer[..n]);
        let (Some(len), Some(code)) = (word(packet, 0), word(packet, 4)) else {
            return Ok(());
        };
        if packet.len() > STARTUP_BYTES_MAX || packet.len() > len {
            return self.close_client(slot);
        }
        if packet.len() < len {
            return Ok(());
        }
        let answered = match code {
            // SSLRequest and GSSENCRequest: no, go on in the clear.
            80_877_103 | 80_877_104 => {
                packet.clear();
                client.stream.write(b"N").is_ok()
            }
            196_608..=196_610 => {
                client.startup = None;
                client
                    .stream
                    .write(&self.greeting)
                    .is_ok_and(|n| n == self.greeting.len())
            }
            _ => false,
        };
        if answered {
            Ok(())
        } else {
            self.close_client(slot)
        }
    }

    /// Client to server: one read, one write; a short read ends the drain.
    fn forward_up(&mut self, slot: usize) -> io::Result<()> {
        loop {
            let Some(client) = self.clients[slot].as_mut() else {
                return Ok(());
            };
            if !client.readable || client.waiting {
                return Ok(());
            }
            let lent = client.server;
            let server = match lent.or_else(|| self.free.pop()) {
                Some(server) => server,
                None => {
                    client.waiting = true;
                    self.waiting.push_back(slot);
                    return Ok(());
                }
            };
            if !self.servers[server].unsent.is_empty() {
                return Ok(());
            }
            let n = match client.stream.read(&mut self.buffer) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    client.readable = false;
                    if lent.is_none() {
                        self.free.push(server);
                    }
                    return Ok(());
                }
                Err(_) => 0,
            };
            if n == 0 || (lent.is_none() && self.buffer[0] == b'X') {
                if lent.is_none() {
                    self.free.push(server);
                }
                return self.close_client(slot);
            }
            client.readable = n == self.buffer.len();
            client.server = Some(server);
            let to = &mut self.servers[server];
            to.client = Some(slot);
            let sent = written(to.stream.write(&self.buffer[..n]))?;
            to.unsent.extend_from_slice(&self.buffer[sent..n]);
        }
    }

    /// Server to client: one read, one write; gives the server back when the transaction is over.
    fn forward_down(&mut self, slot: usize) -> io::Result<()> {
        loop {
            let server = &mut self.servers[slot];
            if !server.readable {
                return Ok(());
            }
            let client = server
                .client
                .and_then(|c| self.clients[c].as_mut().map(|client| (c, client)));
            if client
                .as_ref()
                .is_some_and(|(_, client)| !client.unsent.is_empty())
            {
                return Ok(());
            }
            let n = match server.stream.read(&mut self.buffer) {
                Ok(0) => return Err(io::Error::other("the server closed a connection")),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    server.readable = false;
                    return Ok(());
                }
                Err(e) => return Err(e),
            };
            server.readable = n == self.buffer.len();
            let over = ends_ready(&mut server.tail, &self.buffer[..n]);
            let Some((client_slot, client)) = client else {
                continue;
            };
            // A client that has gone shows itself at its next read.
            let sent = client.stream.write(&self.buffer[..n]).unwrap_or(0);
            client.unsent.extend_from_slice(&self.buffer[sent..n]);
            if over {
                client.server = None;
                server.client = None;
                self.free.push(slot);
                self.lend_to_waiting()?;
                // What this client sent meanwhile goes behind those who wait.
                self.forward_up(client_slot)?;
            }
        }
    }

    fn lend_to_waiting(&mut self) -> io::Result<()> {
        while !self.free.is_empty() {
            let Some(slot) = self.waiting.pop_front() else {
                return Ok(());
            };
            if let Some(client) = self.clients[slot].as_mut() {
                client.waiting = false;
                self.forward_up(slot)?;
            }
        }
        Ok(())
    }

    fn flush_server(&mut self, slot: usize) -> io::Result<()> {
        let server = &mut self.servers[slot];
        let sent = written(server.stream.write(&server.unsent))?;
        server.unsent.drain(..sent);
        match server.client {
            Some(client) if server.unsent.is_empty() => self.forward_up(client),
            _ => Ok(()),
        }
    }

    fn flush_client(&mut self, slot: usize) -> io::Result<()> {
        let Some(client) = self.clients[slot].as_mut() else {
            return Ok(());
        };
        let Ok(sent) = written(client.stream.write(&client.unsent)) else {
            return self.close_client(slot);
        };
        client.unsent.drain(..sent);
        match client.server {
            Some(server) if client.unsent.is_empty() => self.forward_down(server),
            _ => Ok(()),
        }
    }

    /// A server left in the middle of a transaction is replaced: nothing here could clean it.
    fn close_client(&mut self, slot: usize) -> io::Result<()> {
        let Some(client) = self.clients[slot].take() else {
            return Ok(());
        };
        self.vacant.push(slot);
        if client.waiting {
            self.waiting.retain(|waiting| *waiting != slot);
        }
        if let Some(server) = client.server {
            self.servers[server] = self.connect_server(server)?;
            self.free.push(server);
            self.lend_to_waiting()?;
        }
        Ok(())
    }

    fn connect_server(&mut self, slot: usize) -> io::Result<Server> {
        let (stream, greeting) = wire::login(
            self.options.server,
            &self.options.user,
            &self.options.database,
        )?;
        if self.greeting.is_empty() {
            self.greeting = greeting;
        }
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(
            &mut stream,
            Token(slot + 1),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        Ok(Server {
            stream,
            client: None,
            readable: false,
            unsent: Vec::new(),
            tail: [0; 6],
        })
    }
}

fn written(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(four) as usize)
}

/// Whether the stream, of which `bytes` is the newest part, now ends with ReadyForQuery 'I'.
fn ends_ready(tail: &mut [u8; 6], bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<6>() {
        *tail = *last;
    } else {
        tail.rotate_left(bytes.len());
        tail[6 - bytes.len()..].copy_from_slice(bytes);
    }
    *tail == READY_IDLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_for_query_is_seen_whole_and_split() {
        let mut tail = [0; 6];
        assert!(ends_ready(&mut tail, b"C\0\0\0\x05xZ\0\0\0\x05I"));
        assert!(!ends_ready(&mut tail, b"D\0\0\0\x05xZ\0\0"));
        assert!(!ends_ready(&mut tail, b"\0\x05"));
        assert!(ends_ready(&mut tail, b"I"));
        assert!(!ends_ready(&mut tail, b"Z\0\0\0\x05T"));
    }

    #[test]
    fn a_short_packet_has_no_word() {
        assert_eq!(word(&[0, 0, 0], 0), None);
        assert_eq!(word(&[0, 0, 0, 9, 0], 0), Some(9));
    }
}
