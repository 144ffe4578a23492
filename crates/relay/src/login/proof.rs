//! The proof of who a client is: cleartext, md5 or SCRAM.

use super::PROOF_MAX;
use crate::admission::NotAdmitted;
use crate::auth::{self, Demand, Stage};
use crate::directory::Stored;
use crate::errors::Trouble;
use crate::hub::Hub;
use crate::outbox::{Command, DeriveJob, Outbox, Peer};
use crate::pools::Pools;
use crate::requests::Io;
use events::{CloseReason, Time};
use std::sync::Arc;
use wire::back;
use wire::frame;
use wire::front;
use wire::scram::{self, ChannelBinding, Verifier};

impl Hub {
    /// Asks for a proof, or goes on where none is needed.
    pub(super) fn challenge(&mut self, slot: u32, stored: Option<Stored>, io: &mut Io<'_>) {
        let directory = Arc::clone(&self.directory);
        let Some(user) = self.clients.get(slot).map(|c| Arc::clone(&c.user)) else {
            return;
        };
        let Some(login) = self.login_mut(slot) else {
            return;
        };
        login.secret = stored.clone();
        let shown = auth::Shown {
            certificate: login.certificate.as_deref(),
            peer: login.peer.as_deref(),
        };
        let iterations = directory.settings.scram_iterations;
        let unknown = Verifier::mock(&user, &directory.mock_seed).with_iterations(iterations);
        let demand = auth::demand(&login.ruling, &user, stored.as_ref(), shown, &unknown);
        match demand {
            Demand::Nothing => self.proven(slot, io),
            Demand::Fail(why) => self.not_admitted(slot, why, io),
            Demand::Plain => {
                self.login_stage(slot, Stage::Plain);
                io.out.write(Peer::Client(slot), back::auth_cleartext);
            }
            Demand::Md5 => {
                let salt = self.random::<4>();
                self.login_stage(slot, Stage::Md5(salt));
                io.out
                    .write(Peer::Client(slot), |v| back::auth_md5(v, salt));
            }
            Demand::Scram(verifier) => self.offer_scram(slot, verifier, io.out),
            Demand::ScramFrom(password) => {
                let known = self.cache.verifier(&user, &password);
                match known.filter(|v| v.iterations() == iterations).cloned() {
                    Some(verifier) => self.offer_scram(slot, verifier, io.out),
                    None => {
                        // The salt of an unknown user of this name: known and unknown look alike.
                        self.login_stage(slot, Stage::DerivingVerifier { iterations });
                        self.derive(slot, password, unknown.salt().to_vec(), iterations, io.out);
                    }
                }
            }
        }
    }

    pub(super) fn derive(
        &mut self,
        slot: u32,
        password: Box<str>,
        salt: Vec<u8>,
        iterations: u32,
        out: &mut Outbox,
    ) {
        let Some(generation) = self.clients.get(slot).map(|c| c.generation) else {
            return;
        };
        let job = DeriveJob {
            password,
            salt: salt.into(),
            iterations,
        };
        out.command(Command::Derive {
            peer: Peer::Client(slot),
            generation,
            job,
        });
    }

    pub(super) fn offer_scram(&mut self, slot: u32, verifier: Verifier, out: &mut Outbox) {
        let plus = self.can_bind(slot);
        self.login_stage(slot, Stage::Sasl(verifier));
        out.write(Peer::Client(slot), |v| {
            let both = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"];
            back::auth_sasl(v, both[usize::from(!plus)..].iter().copied());
        });
    }

    pub(super) fn can_bind(&mut self, slot: u32) -> bool {
        self.login_mut(slot)
            .is_some_and(|l| l.tls.is_some() && l.binding.is_some())
    }

    /// Keys that were derived elsewhere.
    pub fn derived(
        &mut self,
        now: Time,
        peer: Peer,
        generation: u32,
        keys: scram::Keys,
        pools: &mut dyn Pools,
        out: &mut Outbox,
    ) {
        let mut io = Io { now, pools, out };
        let slot = match peer {
            Peer::Server(slot) => return self.server_keys_derived(slot, generation, keys, &mut io),
            Peer::Client(slot) => slot,
        };
        if self
            .clients
            .get(slot)
            .is_none_or(|c| c.generation != generation)
        {
            return;
        }
        let directory = Arc::clone(&self.directory);
        let Some(user) = self.clients.get(slot).map(|c| Arc::clone(&c.user)) else {
            return;
        };
        let Some(login) = self.login_mut(slot) else {
            return;
        };
        match std::mem::replace(&mut login.stage, Stage::Startup) {
            Stage::DerivingVerifier { iterations } => {
                let password = login
                    .secret
                    .as_ref()
                    .and_then(|s| s.0.clone())
                    .unwrap_or_default();
                let salt = Verifier::mock(&user, &directory.mock_seed).salt().to_vec();
                let verifier = Verifier::from_keys(&keys, &salt, iterations);
                self.cache.keep_verifier(&user, &password, verifier.clone());
                self.offer_scram(slot, verifier, io.out);
            }
            Stage::DerivingCheck(verifier) if verifier.accepts(&keys) => self.proven(slot, &mut io),
            _ => self.wrong_password(slot, &mut io),
        }
        self.login_go_on(slot, &mut io);
        self.resume_client(slot, io.out);
    }

    /// A message of the proof; returns the bytes used.
    pub(super) fn proof(&mut self, slot: u32, held: &[u8], io: &mut Io<'_>) -> usize {
        let frame = match frame::peek(held) {
            Ok(Some(f)) if f.len <= PROOF_MAX => f,
            Ok(None) => return 0,
            _ => {
                self.bad_login(slot, "password message is too long", io);
                return held.len();
            }
        };
        if frame.tag == b'X' {
            self.client_left(slot, CloseReason::ClientTerminate, io);
            return held.len();
        }
        if frame.tag != b'p' {
            self.bad_login(slot, "expected a password message", io);
            return held.len();
        }
        let Some(body) = held.get(frame::HEADER..frame.len) else {
            return 0;
        };
        let Some(user) = self.clients.get(slot).map(|c| Arc::clone(&c.user)) else {
            return held.len();
        };
        let Some(login) = self.login_mut(slot) else {
            return held.len();
        };
        let secret = login.secret.clone();
        match std::mem::replace(&mut login.stage, Stage::Startup) {
            Stage::Plain => self.plain_given(slot, &user, secret, body, io),
            Stage::Md5(salt) => {
                let fits = front::Password::parse(body)
                    .is_ok_and(|p| auth::md5_fits(&user, secret.as_ref(), salt, p.password));
                if fits {
                    self.proven(slot, io)
                } else {
                    self.wrong_password(slot, io)
                }
            }
            Stage::Sasl(verifier) => self.sasl_first(slot, verifier, body, io),
            Stage::SaslFinal(first) => match first.finish(body) {
                Ok(proven) => {
                    io.out.write(Peer::Client(slot), |v| {
                        back::auth_sasl_final(v, proven.message.as_bytes())
                    });
                    if let Some(login) = self.login_mut(slot) {
                        login.keys = Some(proven.keys);
                    }
                    self.proven(slot, io);
                }
                Err(_) => self.sasl_failed(slot, &user, io),
            },
            _ => self.bad_login(slot, "unexpected password message", io),
        }
        frame.len
    }

    pub(super) fn plain_given(
        &mut self,
        slot: u32,
        user: &str,
        secret: Option<Stored>,
        body: &[u8],
        io: &mut Io<'_>,
    ) {
        let Ok(given) = front::Password::parse(body) else {
            return self.bad_login(slot, "malformed password message", io);
        };
        let Some(secret) = secret.and_then(|s| s.0) else {
            return self.wrong_password(slot, io);
        };
        if let Ok(verifier) = secret.parse::<Verifier>() {
            let Ok(password) = std::str::from_utf8(given.password) else {
                return self.wrong_password(slot, io);
            };
            let (salt, iterations) = (verifier.salt().to_vec(), verifier.iterations());
            self.login_stage(slot, Stage::DerivingCheck(verifier));
            return self.derive(slot, password.into(), salt, iterations, io.out);
        }
        if auth::plain_fits(user, &secret, given.password) {
            self.proven(slot, io);
        } else {
            self.wrong_password(slot, io);
        }
    }

    pub(super) fn sasl_first(
        &mut self,
        slot: u32,
        verifier: Verifier,
        body: &[u8],
        io: &mut Io<'_>,
    ) {
        let Ok(initial) = front::SaslInitial::parse(body) else {
            return self.bad_login(slot, "malformed SASL message", io);
        };
        let can_bind = self.can_bind(slot);
        let data = self.login_mut(slot).and_then(|l| l.binding.clone());
        let binding = match (initial.mechanism, can_bind, data.as_deref()) {
            ("SCRAM-SHA-256-PLUS", true, Some(data)) => ChannelBinding::EndPoint(data),
            ("SCRAM-SHA-256", true, _) => ChannelBinding::Unused,
            ("SCRAM-SHA-256", false, _) => ChannelBinding::Unavailable,
            _ => return self.bad_login(slot, "unknown SASL mechanism", io),
        };
        let Some(user) = self.clients.get(slot).map(|c| Arc::clone(&c.user)) else {
            return;
        };
        let nonce = self.nonce();
        match scram::server::ServerFirst::start(
            initial.data.unwrap_or_default(),
            &verifier,
            &nonce,
            binding,
        ) {
            Ok(first) => {
                io.out.write(Peer::Client(slot), |v| {
                    back::auth_sasl_continue(v, first.message().as_bytes())
                });
                self.login_stage(slot, Stage::SaslFinal(Box::new(first)));
            }
            Err(_) => self.fail_client(
                slot,
                &Trouble::SaslFailed { user: &user },
                CloseReason::ClientAuthentication,
                io,
            ),
        }
    }

    /// The login ends without a proof.
    pub(super) fn not_admitted(&mut self, slot: u32, why: NotAdmitted, io: &mut Io<'_>) {
        self.look_up_again(slot);
        let trouble = Trouble::NotAdmitted(why);
        self.fail_client(slot, &trouble, CloseReason::ClientAuthentication, io);
    }

    fn sasl_failed(&mut self, slot: u32, user: &str, io: &mut Io<'_>) {
        self.look_up_again(slot);
        self.fail_client(
            slot,
            &Trouble::SaslFailed { user },
            CloseReason::ClientAuthentication,
            io,
        );
    }

    /// The next login asks the server anew, should the secret have changed.
    fn look_up_again(&mut self, slot: u32) {
        if let Some(client) = self.clients.get(slot) {
            let asked = auth::lookup_key(&client.database, &client.user);
            self.cache.forget_looked_up(&asked);
        }
    }

    pub(super) fn wrong_password(&mut self, slot: u32, io: &mut Io<'_>) {
        let Some(user) = self.clients.get(slot).map(|c| Arc::clone(&c.user)) else {
            return;
        };
        self.look_up_again(slot);
        self.fail_client(
            slot,
            &Trouble::WrongPassword { user: &user },
            CloseReason::ClientAuthentication,
            io,
        );
    }

    /// Bytes that nobody can foresee: a hash of the worker's seed and a counter.
    pub(crate) fn random<const N: usize>(&mut self) -> [u8; N] {
        use sha2::{Digest, Sha256};
        self.nonces += 1;
        let mut hash = Sha256::new();
        hash.update(self.seeds.nonce);
        hash.update(self.nonces.to_be_bytes());
        let digest = hash.finalize();
        let mut out = [0; N];
        for (to, from) in out.iter_mut().zip(digest.iter()) {
            *to = *from;
        }
        out
    }

    pub(crate) fn nonce(&mut self) -> String {
        self.random::<18>()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }
}
