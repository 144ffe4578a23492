//! The virtual PostgreSQL: logins, messages, sleeps, cancels.

use super::{Event, Mail, PASSWORD, Stage, World};
use crate::scenario::Plant;
use crate::session::{NAMES, Session, Step};
use crate::stats::Hit;
use events::{ClientId, ConnId};
use wire::back::{self, ErrorReport, Status};
use wire::frame;
use wire::scram::{ChannelBinding, server::ServerFirst};
use wire::startup::{self, Startup};

impl World {
    pub(crate) fn server_up(&mut self, link: u32, generation: u32) {
        let s = &mut self.servers[link as usize];
        if s.generation != generation || !s.used {
            return;
        }
        s.up.scheduled = false;
        if s.up.silent || s.up.stopped {
            return;
        }
        let len = s.up.len();
        if len == 0 && s.up.eof {
            s.up.done = true;
            return self.server_ends(link);
        }
        let n = match self.rng.permille(self.s.drip) {
            true => self.rng.range(1, 9) as usize,
            false => len,
        };
        let s = &mut self.servers[link as usize];
        let mut inbox = std::mem::take(&mut s.inbox);
        s.up.read(n, &mut inbox);
        s.inbox = inbox;
        self.after_read(link, true);
        self.process(link);
        self.go_server_up(link);
    }

    /// The server's side of a connection ends.
    pub(crate) fn server_ends(&mut self, link: u32) {
        let s = &mut self.servers[link as usize];
        if let Stage::Ready(session) = &mut s.stage {
            session.abandon();
        }
        s.stage = Stage::Gone;
        s.run += 1;
        s.inbox.clear();
        s.up.clear();
        s.up.done = true;
        s.down.eof = true;
        let generation = s.generation;
        if s.slot.is_none() && !s.moving {
            let delay = self.latency();
            self.at(delay, Event::Closed(link, generation));
        } else {
            self.go_server_down(link);
        }
    }

    /// Handles what the server has received, as far as it may.
    fn process(&mut self, link: u32) {
        let mut inbox = std::mem::take(&mut self.servers[link as usize].inbox);
        let mut at = 0;
        loop {
            let rest = &inbox[at..];
            let s = &self.servers[link as usize];
            let used = match &s.stage {
                Stage::Gone => {
                    at = inbox.len();
                    break;
                }
                Stage::Startup => match startup::parse(rest, 10_000) {
                    Ok(Some((packet, len))) => {
                        let params = match packet {
                            Startup::Start { params, .. } => params,
                            _ => break,
                        };
                        let params: Vec<(String, String)> = params
                            .iter()
                            .map(|(n, v)| (n.to_owned(), v.to_owned()))
                            .collect();
                        self.start(link, &params);
                        len
                    }
                    _ => break,
                },
                Stage::Ready(session) if session.sleeps() => break,
                _ => match frame::peek(rest) {
                    Ok(Some(f)) if f.len <= rest.len() => {
                        let body = &rest[frame::HEADER..f.len];
                        if matches!(self.servers[link as usize].stage, Stage::Ready(_)) {
                            self.statement(link, f.tag, body);
                        } else {
                            self.password(link, body);
                        }
                        f.len
                    }
                    Ok(_) => break,
                    Err(_) => {
                        self.fail(format!("server link {link} got a broken frame"));
                        break;
                    }
                },
            };
            at += used;
        }
        inbox.drain(..at.min(inbox.len()));
        let s = &mut self.servers[link as usize];
        s.inbox = inbox;
        self.go_server_down(link);
    }

    fn start(&mut self, link: u32, params: &[(String, String)]) {
        let fatal = |code, message| ErrorReport {
            severity: "FATAL",
            code,
            message,
            detail: None,
            hint: None,
        };
        if self.now < self.slow_login_until {
            return;
        }
        let refuse = self.now < self.refuse_until;
        let auth = self.s.server_auth;
        let s = &mut self.servers[link as usize];
        s.stage = Stage::Password;
        let mut out = Vec::new();
        if refuse {
            back::error(&mut out, &fatal("53300", "sorry, too many clients already"));
            s.down.write(&out);
            return self.server_ends(link);
        }
        if self.now < self.reject_until {
            back::error(&mut out, &fatal("28P01", "password authentication failed"));
            s.down.write(&out);
            return self.server_ends(link);
        }
        let mut accept = false;
        match auth {
            1 => back::auth_md5(&mut out, [1, 2, 3, 4]),
            2 => {
                back::auth_sasl(&mut out, ["SCRAM-SHA-256"]);
                s.stage = Stage::SaslFirst;
            }
            3 => back::auth_cleartext(&mut out),
            _ => accept = true,
        }
        s.down.write(&out);
        let known = |n: &str| NAMES.iter().any(|(name, ..)| *name == n);
        let session = Session::new(
            params
                .iter()
                .filter(|(n, _)| known(n))
                .map(|(n, v)| (n.as_str(), v.as_str())),
        );
        if accept {
            self.accept_login(link, session);
        }
    }

    fn password(&mut self, link: u32, body: &[u8]) {
        let verifier = self.verifier.clone();
        let auth = self.s.server_auth;
        let s = &mut self.servers[link as usize];
        let mut out = Vec::new();
        let mut accept = false;
        match std::mem::replace(&mut s.stage, Stage::Gone) {
            Stage::Password => {
                let given = body.strip_suffix(&[0]).unwrap_or(body);
                accept = auth == 1 && given.starts_with(b"md5") || given == PASSWORD.as_bytes();
            }
            Stage::SaslFirst => {
                let initial = wire::front::SaslInitial::parse(body).ok();
                let data = initial.and_then(|i| i.data).unwrap_or_default();
                let none = ChannelBinding::Unavailable;
                if let Ok(first) = ServerFirst::start(data, &verifier, "server", none) {
                    back::auth_sasl_continue(&mut out, first.message().as_bytes());
                    s.stage = Stage::SaslFinal(Box::new(first));
                }
            }
            Stage::SaslFinal(first) => {
                if let Ok(proven) = first.finish(body) {
                    back::auth_sasl_final(&mut out, proven.message.as_bytes());
                    accept = true;
                }
            }
            other => s.stage = other,
        }
        s.down.write(&out);
        if accept {
            self.accept_login(link, Session::new(std::iter::empty()));
        } else if matches!(self.servers[link as usize].stage, Stage::Gone) {
            self.fail(format!("server link {link}: the pooler's login is wrong"));
        }
    }

    fn accept_login(&mut self, link: u32, session: Session) {
        let s = &mut self.servers[link as usize];
        let mut out = Vec::new();
        back::auth_ok(&mut out);
        for (name, value) in session.greeting() {
            back::parameter_status(&mut out, name, value);
        }
        back::parameter_status(&mut out, "server_version", "17.0");
        back::backend_key(&mut out, s.session_pid, &[1, 2, 3, 4]);
        back::ready(&mut out, Status::Idle);
        s.down.write(&out);
        let mut session = session;
        session.keeps_parameters = self.s.plant == Some(Plant::KeepParameters);
        session.mixes_texts = self.s.plant == Some(Plant::WrongStatement);
        s.stage = Stage::Ready(Box::new(session));
    }

    /// One message at a session.
    fn statement(&mut self, link: u32, tag: u8, body: &[u8]) {
        self.watch(link, tag, body);
        let conn = self.servers[link as usize].conn;
        self.check_after_reclaim(conn, tag, body);
        let body = self.plant_commit(conn, tag, body);
        let s = &mut self.servers[link as usize];
        let Stage::Ready(session) = &mut s.stage else {
            return;
        };
        let mut out = Vec::new();
        let ours = tag == b'Q' && find(body, b"pg_catalog.set_config").is_some();
        let body: &[u8] = match ours && std::mem::take(&mut self.bad_parameters) {
            true => b"SELECT 1/0\0",
            false => body,
        };
        let mut step = session.message(tag, body, &mut out);
        if tag == b'Q' && body.starts_with(b"SELECT auth(") {
            out.clear();
            answer_auth(body, &mut out);
            step = Step::Done;
        }
        if self.s.plant == Some(Plant::LoseReady)
            && !self.planted
            && tag == b'Q'
            && self.now > 50_000
        {
            self.planted = true;
            out.truncate(out.len().saturating_sub(6));
        }
        self.after_step(link, step, &out);
    }

    fn after_step(&mut self, link: u32, step: Step, out: &[u8]) {
        if self.trace.is_some() {
            let tags = crate::client::tags(out);
            self.note(|| format!("server link {link} answers {tags} ({step:?})"));
        }
        if self.s.plant == Some(Plant::CrossReplies)
            && !self.planted
            && self.now > 50_000
            && let Some(other) = (0..self.servers.len())
                .find(|l| *l != link as usize && matches!(self.servers[*l].stage, Stage::Ready(_)))
        {
            self.planted = true;
            self.servers[other].down.write(out);
            self.go_server_down(other as u32);
            return;
        }
        self.count_replies(out);
        let s = &mut self.servers[link as usize];
        s.down.write(out);
        if let Stage::Ready(session) = &mut s.stage {
            for id in session.committed.drain(..) {
                let lose = self.s.plant == Some(Plant::LoseCommit);
                if let Some(count) = self.db.get_mut(id as usize)
                    && !lose
                {
                    *count = count.saturating_add(1);
                }
            }
            session.undone.clear();
        }
        match step {
            Step::Done => {}
            Step::Sleep(us) => {
                let s = &mut self.servers[link as usize];
                s.run += 1;
                let (generation, run) = (s.generation, s.run);
                self.at(us, Event::Wake(link, generation, run));
            }
            Step::End => self.server_ends(link),
        }
        self.go_server_down(link);
    }

    fn count_replies(&mut self, mut out: &[u8]) {
        while let Ok(Some(f)) = frame::peek(out) {
            let hit = match (f.tag, out.get(frame::HEADER)) {
                (b'H', _) => Some(Hit::CopyOut),
                (b's', _) => Some(Hit::Suspended),
                (b'Z', Some(b'E')) => Some(Hit::TxFailed),
                (b'C', _) if out[frame::HEADER..].starts_with(b"COMMIT") => Some(Hit::Commits),
                _ => None,
            };
            if let Some(hit) = hit {
                self.hit(hit);
            }
            out = out.get(f.len..).unwrap_or_default();
        }
    }

    pub(crate) fn wake(&mut self, link: u32, generation: u32, run: u32) {
        let s = &mut self.servers[link as usize];
        if s.generation != generation || s.run != run {
            return;
        }
        let Stage::Ready(session) = &mut s.stage else {
            return;
        };
        let mut out = Vec::new();
        let step = session.resume(&mut out);
        self.after_step(link, step, &out);
        self.process(link);
        self.go_server_up(link);
    }

    pub(crate) fn cancel_arrives(&mut self, trip: u32) {
        let t = &self.cancels[trip as usize];
        let (mut link, generation, conn, asked) = (t.link, t.generation, t.conn, t.asked);
        if self.s.plant == Some(Plant::MisdirectCancel) {
            let other = self
                .servers
                .iter()
                .position(|s| matches!(&s.stage, Stage::Ready(x) if x.sleeps()) && s.conn != conn);
            link = other.map_or(link, |o| o as u32);
        }
        let s = &mut self.servers[link as usize];
        if (s.generation == generation || self.s.plant.is_some())
            && let Stage::Ready(session) = &mut s.stage
        {
            let mut out = Vec::new();
            if session.cancel(&mut out) {
                s.run += 1;
                self.note(|| format!("server link {link}: a cancel ends its statement"));
                self.hit(Hit::CancelsHit);
                self.after_step(link, Step::Done, &out);
                self.process(link);
            }
        }
        let worker = self.servers[self.cancels[trip as usize].link as usize].worker;
        let link = self.cancels[trip as usize].link;
        self.post(
            worker,
            Mail::CancelEnded {
                link,
                generation,
                conn,
            },
        );
        if let Some((link, generation)) = asked {
            let back = self.links[link as usize].worker;
            self.post(back, Mail::CancelDone { link, generation });
        }
    }

    // --- checks at the server's side ---

    /// Every text that names its client must come on a connection which that
    /// client holds.
    fn watch(&mut self, link: u32, tag: u8, body: &[u8]) {
        if self.trace.is_some() {
            let text = String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned();
            self.note(|| format!("server link {link} gets {} {text:?}", tag as char));
        }
        match tag {
            b'Q' => self.watch_query(body),
            b'P' if body.starts_with(b"plimsoll_") => self.hit(Hit::OwnParse),
            b'C' if body.starts_with(b"Splimsoll_") => self.hit(Hit::OwnClose),
            b'f' if body.starts_with(b"the client is gone") => self.hit(Hit::OwnCopyFail),
            _ => {}
        }
        if !matches!(tag, b'Q' | b'P' | b'B' | b'd' | b'F') {
            return;
        }
        let late = tag == b'd'
            && !matches!(&self.servers[link as usize].stage, Stage::Ready(s) if s.copies_in());
        let Some(owner) = owner(body).filter(|_| !late) else {
            return;
        };
        let server = &self.servers[link as usize];
        if server.slot.is_none() && !server.moving {
            // The hub closed it already: what it sent before still arrives.
            return;
        }
        let conn = server.conn;
        let holder = self.shop.holder(conn);
        let by = holder.and_then(|id: ClientId| self.owners.get(&id).copied());
        if by != Some(owner) {
            self.fail(format!(
                "server link {link} ({conn}) got a statement of client {owner}, held by {by:?} ({holder:?})"
            ));
        }
    }

    fn watch_query(&mut self, body: &[u8]) {
        self.hit(Hit::Statements);
        let text = body.strip_suffix(&[0]).unwrap_or(body);
        let hit = match text {
            b"DISCARD ALL" => Hit::OwnReset,
            b"ROLLBACK" => Hit::OwnRollback,
            b"select 1" => Hit::OwnCheck,
            _ if text.starts_with(b"SELECT auth(") => Hit::AuthQuery,
            _ if find(text, b"pg_catalog.set_config").is_some() || find(text, b" = ").is_some() => {
                Hit::OwnSet
            }
            _ => return,
        };
        self.hit(hit);
    }

    /// A connection changes hands only at rest.
    pub(crate) fn check_rest(&mut self, conn: ConnId, what: &str) {
        let Some(link) = self.servers.iter().position(|s| s.used && s.conn == conn) else {
            return;
        };
        let s = &self.servers[link];
        let rest = match &s.stage {
            Stage::Ready(session) => session.is_free() && only_late_copy(s),
            _ => true,
        };
        let only_async = s.stage_gone() || self.only_async(link);
        if (!rest || !only_async) && !self.servers[link].up.silent {
            let s = &self.servers[link];
            let text = format!(
                "{conn} (server link {link}) is {what}, but not at rest: up {}, inbox {}, down {}",
                s.up.len(),
                s.inbox.len(),
                s.down.len()
            );
            self.fail(text);
        }
    }

    fn only_async(&self, link: usize) -> bool {
        // What a fault put in is not the pooler's doing.
        self.servers[link].down.len() == 0 || self.s.faults.every > 0
    }
}

/// What is still on its way to the server is COPY data that came too late:
/// the server reads it before anything of the next client, and drops it.
fn only_late_copy(s: &super::ServerLink) -> bool {
    let mut bytes = s.inbox.clone();
    bytes.extend_from_slice(s.up.unread());
    let mut rest = bytes.as_slice();
    while let Ok(Some(f)) = frame::peek(rest) {
        if !matches!(f.tag, b'd' | b'c' | b'f' | b'H') {
            return false;
        }
        rest = rest.get(f.len..).unwrap_or_default();
    }
    rest.is_empty()
}

impl super::ServerLink {
    fn stage_gone(&self) -> bool {
        matches!(self.stage, Stage::Gone)
    }
}

/// Position of `needle`.
pub(crate) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|w| w == needle)
}

/// The client that a text names: `'c12.…`, or `c12.` at the start of COPY data.
fn owner(body: &[u8]) -> Option<u32> {
    let at = find(body, b"'c").map(|i| i + 2)?;
    let digits = body[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || body.get(at + digits) != Some(&b'.') {
        return None;
    }
    std::str::from_utf8(&body[at..at + digits])
        .ok()?
        .parse()
        .ok()
}

fn answer_auth(body: &[u8], out: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(body);
    let user = text.split('\'').nth(1).unwrap_or("");
    back::row_description(out, &[("u", back::TEXT), ("p", back::TEXT)]);
    back::data_row(out, &[Some(user.as_bytes()), Some(PASSWORD.as_bytes())]);
    back::command_complete(out, "SELECT 1");
    back::ready(out, Status::Idle);
}
