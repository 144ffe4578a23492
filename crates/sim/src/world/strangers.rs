//! Clients that misbehave: ends without a word, garbage, logins that cannot succeed.

use super::{Event, World};
use crate::client::{Login, State};
use crate::stats::FaultKind;
use relay::PoolMode;
use wire::front;

impl World {
    pub(crate) fn client_fault(&mut self, kind: FaultKind) -> bool {
        let i = self.rng.below(self.clients.len() as u64) as u32;
        let Some((link, generation)) = self.clients[i as usize].link else {
            return false;
        };
        let ready = matches!(self.clients[i as usize].state, State::Ready);
        match kind {
            FaultKind::ClientEof => self.leave(i),
            FaultKind::ClientReset => {
                self.links[link as usize].up.clear();
                self.clients[i as usize].link = None;
                self.hang_up(i, link);
            }
            FaultKind::ClientStall => {
                self.links[link as usize].down.stopped = true;
                let delay = self.rng.below(500_000);
                self.at(delay, Event::Unstall(link, generation, false));
            }
            FaultKind::ClientGarbage if ready => {
                let garbage: &[u8] = match self.rng.below(3) {
                    0 => &[b'?', 0, 0, 0, 4],
                    1 => &[b'Q', 0, 0, 0, 1],
                    _ => &[b'Q', 0xff, 0xff, 0xff, 0xff],
                };
                self.links[link as usize].up.write(garbage);
                self.clients[i as usize].state = State::Ending;
                self.go_client_up(link);
            }
            FaultKind::BadStartup
            | FaultKind::WrongPassword
            | FaultKind::SilentClient
            | FaultKind::NoDatabase => {
                return self.bad_login(kind);
            }
            _ => return false,
        }
        true
    }

    /// A stranger whose login cannot succeed: it uses a client that is away.
    fn bad_login(&mut self, kind: FaultKind) -> bool {
        let away = self
            .clients
            .iter()
            .position(|c| matches!(c.state, State::Away));
        let Some(i) = away else { return false };
        let link = self.connect(i as u32, false);
        let generation = self.links[link as usize].generation;
        let mut out = Vec::new();
        let c = &mut self.clients[i];
        c.startup.clear();
        c.restart();
        c.database = "app0".into();
        c.statement_mode = self.shop.databases[0].spec.mode == PoolMode::Statement
            || self.records[0].statement_until > self.now;
        c.link = Some((link, generation));
        c.begin(self.now);
        c.state = State::Login(Login::Hopeless);
        let user = c.user.clone();
        match kind {
            FaultKind::SilentClient => {}
            FaultKind::BadStartup => out.extend_from_slice(&[0, 0, 0, 9, 0, 3, 0, 0, 7]),
            FaultKind::NoDatabase => {
                front::startup(
                    &mut out,
                    0,
                    [("user", user.as_str()), ("database", "nowhere")],
                );
                c.state = State::Login(Login::Sent);
                c.wrong_password = true;
            }
            _ => {
                front::startup(&mut out, 0, [("user", user.as_str()), ("database", "app0")]);
                c.state = State::Login(Login::Sent);
                c.wrong_password = true;
            }
        }
        if self.s.auth == relay::Auth::Trust && kind == FaultKind::WrongPassword {
            self.clients[i].wrong_password = false;
        }
        self.links[link as usize].up.write(&out);
        self.go_client_up(link);
        true
    }
}
