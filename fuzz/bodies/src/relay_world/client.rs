//! A client: what it sends, what it has received, and whose answers these are.

use super::server::{OWNED, find};
use arbitrary::{Result, Unstructured};
use wire::scram::{ChannelBinding, Keys, client as scram};
use wire::{back, frame, front};

/// One client connection's other end.
pub(crate) struct Client {
    pub(crate) number: u32,
    /// Sent, not read by the hub yet.
    pub(crate) unread: Vec<u8>,
    /// From the hub, not looked at yet.
    inbox: Vec<u8>,
    pub(crate) paused: bool,
    pub(crate) backlog: bool,
    pub(crate) key: Option<(i32, Vec<u8>)>,
    logged_in: bool,
    /// Queries, function calls and Syncs sent; each is answered at most once.
    asked: u32,
    ready: u32,
    /// Bytes that make no sense were sent: the counts tell nothing.
    wild: bool,
    proof: Proof,
}

enum Proof {
    None,
    First(scram::ClientFirst),
    Final(scram::ClientFinal),
}

impl Client {
    pub(crate) fn new(number: u32) -> Client {
        Client {
            number,
            unread: Vec::new(),
            inbox: Vec::new(),
            paused: false,
            backlog: false,
            key: None,
            logged_in: false,
            asked: 0,
            ready: 0,
            wild: false,
            proof: Proof::None,
        }
    }

    /// Its mark, as statements carry it.
    pub(crate) fn mark(&self) -> String {
        format!("c{:04}", self.number)
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.wild = true;
        self.unread.extend_from_slice(bytes);
    }

    /// The start-up packet.
    pub(crate) fn greet(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let user = *u.choose(&["ann", "bob", "scr", "md5", "new", "adm"])?;
        let database = *u.choose(&[
            "app",
            "app",
            "app",
            "ses",
            "stm",
            "pgbouncer",
            "off",
            "none",
        ])?;
        let tagged = u.ratio(1, 4)?;
        let mark = self.mark();
        let mut params = vec![("user", user), ("database", database)];
        if tagged {
            params.push((OWNED, &mark));
        }
        let minor = if u.ratio(1, 8)? { 2 } else { 0 };
        front::startup(&mut self.unread, minor, params);
        Ok(())
    }

    /// One message, mostly a good one.
    pub(crate) fn say(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let mark = self.mark();
        let out = &mut self.unread;
        let name = u.int_in_range(0..=5u8)?;
        let named = ["", "s1", "s2", "s3", "s4", "s5"][usize::from(name)].as_bytes();
        let portal: &[u8] = if u.ratio(1, 4)? { b"p" } else { b"" };
        match u.int_in_range(0..=24u8)? {
            0..=6 => {
                front::query(out, query(u, &mark)?.as_bytes());
                self.asked += 1;
            }
            7..=9 => front::parse(out, named, prepared(name, &mark).as_bytes(), &[0, 0]),
            10..=12 => {
                let value = format!("<<{mark}>>[[s{name}]]");
                // No formats, one parameter, no result formats.
                let mut rest = vec![0, 0, 0, 1];
                rest.extend_from_slice(&(value.len() as u32).to_be_bytes());
                rest.extend_from_slice(value.as_bytes());
                rest.extend_from_slice(&[0, 0]);
                front::bind_renamed(out, portal, named, &rest);
            }
            13 => front::describe(out, b'S', named),
            14 => front::describe(out, b'P', portal),
            15 | 16 => front::execute(out, portal, 0),
            17 => front::close(out, if name > 2 { b'S' } else { b'P' }, named),
            18..=20 => {
                front::sync(out);
                self.asked += 1;
            }
            21 => front::flush(out),
            22 => match name {
                0 | 1 => front::copy_data(out, b"a\n"),
                2 | 3 => front::copy_done(out),
                _ => front::copy_fail(out, "no"),
            },
            23 => match name {
                0 => {
                    out.extend_from_slice(&[b'F', 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0]);
                    self.asked += 1;
                }
                1 => front::terminate(out),
                2 => out.extend_from_slice(&[b'Q', 0, 0, 0, 3]),
                3 => out.extend_from_slice(&[b'Q', 0, 0, 0, 6, b'x', b'y']),
                4 => out.extend_from_slice(&[b'B', 0, 0, 0, 6, 0, 0]),
                _ => out.extend_from_slice(&[b'@', 0, 0, 0, 4]),
            },
            _ => self.prove(name),
        }
        Ok(())
    }

    /// A password message; the answer to a challenge where there is one.
    fn prove(&mut self, choice: u8) {
        let out = &mut self.unread;
        match choice {
            0 => front::password(out, b"pw"),
            1 => front::password(out, b"wrong"),
            2 => {
                let answer = wire::md5::response("md5", "pw", [0; 4]);
                front::password(out, answer.as_bytes());
            }
            3 => front::sasl_response(out, b"c=biws,r=x,p=AAAA"),
            _ => {
                if let Ok(first) = scram::ClientFirst::start("nonce", ChannelBinding::Unavailable) {
                    front::sasl_initial(out, "SCRAM-SHA-256", first.message().as_bytes());
                    self.proof = Proof::First(first);
                }
            }
        }
    }

    /// Bytes from the hub. Marks are looked for at once; they may be anywhere.
    pub(crate) fn receive(&mut self, bytes: &[u8], strict: bool) {
        self.inbox.extend_from_slice(bytes);
        let mark = self.mark();
        let mut rest = &self.inbox[..];
        while strict && let Some(at) = find(rest, b"<<c") {
            let Some(found) = rest.get(at + 2..at + 7) else {
                break;
            };
            // Half a mark may be followed by the last words before a close.
            let whole = found.iter().skip(1).all(u8::is_ascii_digit);
            assert!(
                !whole || found == mark.as_bytes(),
                "{mark} got what belongs to {}",
                String::from_utf8_lossy(found)
            );
            rest = &rest[at + 7..];
        }
    }

    /// Reads the messages that are whole. Only for a client that is still connected: the last words before a close may follow half a message.
    pub(crate) fn read(&mut self, strict: bool) {
        loop {
            match self.inbox.first() {
                Some(b'N') if !self.logged_in && self.inbox.len() == 1 => return,
                None => return,
                _ => {}
            }
            let Ok(Some(head)) = frame::peek(&self.inbox) else {
                assert!(
                    !strict || self.wild || self.inbox.len() < frame::HEADER,
                    "no frame"
                );
                return;
            };
            if self.inbox.len() < head.len {
                return;
            }
            let message: Vec<u8> = self.inbox.drain(..head.len).collect();
            self.took(head.tag, &message[frame::HEADER..], strict);
        }
    }

    fn took(&mut self, tag: u8, body: &[u8], strict: bool) {
        match tag {
            b'K' => {
                self.key = back::BackendKey::parse(body)
                    .ok()
                    .map(|k| (k.pid, k.key.to_vec()));
                self.logged_in = true;
            }
            b'Z' => {
                self.ready += 1;
                assert!(
                    !strict || self.wild || self.ready <= self.asked + 1,
                    "{} ReadyForQuery for {} requests",
                    self.ready,
                    self.asked
                );
            }
            b'R' => self.challenge(body),
            _ => assert!(
                !strict || self.wild || b"123ACDEGHINSTVWcdnstv".contains(&tag),
                "a message of type {:?}",
                char::from(tag)
            ),
        }
    }

    fn challenge(&mut self, body: &[u8]) {
        match back::Authentication::parse(body) {
            Ok(back::Authentication::SaslContinue(data)) => {
                if let Proof::First(first) = std::mem::replace(&mut self.proof, Proof::None)
                    && let Ok(need) = first.server_first(data)
                    && need.iterations() <= 4096
                {
                    let password: &[u8] = if self.number % 8 == 7 { b"bad" } else { b"pw" };
                    let keys = Keys::derive(password, need.salt(), need.iterations().min(2));
                    let last = need.prove(&keys);
                    front::sasl_response(&mut self.unread, last.message().as_bytes());
                    self.proof = Proof::Final(last);
                }
            }
            Ok(back::Authentication::SaslFinal(data)) => {
                if let Proof::Final(last) = std::mem::replace(&mut self.proof, Proof::None) {
                    assert!(last.finish(data).is_ok(), "the pooler's own proof is wrong");
                }
            }
            _ => {}
        }
    }
}

/// A simple query's text.
fn query(u: &mut Unstructured<'_>, mark: &str) -> Result<String> {
    Ok(match u.int_in_range(0..=31u8)? {
        0..=3 => format!("select '<<{mark}>>'"),
        4 => "begin".into(),
        5 => "commit".into(),
        6 => "rollback".into(),
        7 | 8 => format!("set {OWNED} = '{mark}'"),
        9 => format!("set {OWNED} = '{mark}'; select '<<{mark}>>'"),
        10 => format!("begin; set {OWNED} = '{mark}'; select '<<{mark}>>'; rollback"),
        11 => format!("begin; set {OWNED} = '{mark}'; fail"),
        12 => format!("set {OWNED} = '{mark}'; fail; select '<<{mark}>>'"),
        13 => format!("select set_config('{OWNED}', '{mark}', false) /* <<{mark}>> */"),
        14 => format!("reset {OWNED}"),
        15 => "reset all".into(),
        16 => "discard all".into(),
        17 => format!("copy t from stdin /* <<{mark}>> */"),
        18 => format!("copy t to stdout /* <<{mark}>> */"),
        19 => "listen ch".into(),
        20 => "unlisten *".into(),
        21 => "select pg_advisory_lock(1)".into(),
        22 => "deallocate s1".into(),
        23 => "deallocate all".into(),
        24 => "prepare q as select 1".into(),
        25 => "create table t (a int)".into(),
        26 => format!("begin; select '<<{mark}>>'; commit"),
        27 => "fail".into(),
        28 => String::new(),
        29 => "create temp table x (a int)".into(),
        30 => format!("commit; set {OWNED} = '{mark}'; begin; select '<<{mark}>>'"),
        _ => format!("select '<<{mark}>>', 'fail'"),
    })
}

/// The text that a client prepares under a name: always the same one, so that the server can tell a mix-up.
fn prepared(name: u8, mark: &str) -> String {
    match name {
        0 => format!("select '<<{mark}>>'"),
        3 => format!("set {OWNED} = '{mark}' /* s3 */"),
        4 => "begin /* s4 */".into(),
        5 => "copy t from stdin /* s5 */".into(),
        n => format!("select a /* s{n} */"),
    }
}
