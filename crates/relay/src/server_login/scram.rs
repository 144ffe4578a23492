//! Our proof to a server that asks for SCRAM.

use super::{Outcome, Stage};
use crate::auth::is_scram;
use crate::directory::PoolInfo;
use crate::hub::Hub;
use crate::outbox::{Command, DeriveJob, Outbox, Peer};
use crate::requests::Io;
use crate::server::ServerPhase;
use std::sync::Arc;
use wire::scram::{ChannelBinding, Keys, client as scram_client};
use wire::{front, md5};

impl Hub {
    pub(super) fn server_keys_needed(
        &mut self,
        slot: u32,
        info: &Arc<PoolInfo>,
        need: scram_client::NeedKeys,
        out: &mut Outbox,
    ) -> Outcome {
        let known = self
            .cache
            .server_keys(info.key, need.salt(), need.iterations());
        let Some(server) = self.servers.get_mut(slot) else {
            return Ok(());
        };
        let generation = server.generation;
        let ServerPhase::Login(login) = &mut server.phase else {
            return Ok(());
        };
        let plain = info
            .auth
            .password
            .as_deref()
            .filter(|p| !md5::is_stored(p) && !is_scram(p));
        if let Some(keys) = known.or_else(|| {
            if plain.is_none() {
                info.auth.keys.clone()
            } else {
                None
            }
        }) {
            let proof = need.prove(&keys);
            out.write(Peer::Server(slot), |v| {
                front::sasl_response(v, proof.message().as_bytes())
            });
            login.stage = Stage::Final(proof);
            return Ok(());
        }
        let Some(password) = plain else {
            return Err((unusable(info), true));
        };
        let job = DeriveJob {
            password: password.into(),
            salt: need.salt().into(),
            iterations: need.iterations(),
        };
        login.stage = Stage::Deriving(need);
        out.command(Command::Derive {
            peer: Peer::Server(slot),
            generation,
            job,
        });
        Ok(())
    }

    /// Keys for a server's SCRAM question were derived.
    pub(crate) fn server_keys_derived(
        &mut self,
        slot: u32,
        generation: u32,
        keys: Keys,
        io: &mut Io<'_>,
    ) {
        let Some(server) = self
            .servers
            .get_mut(slot)
            .filter(|s| s.generation == generation)
        else {
            return;
        };
        let key = server.pool.key;
        let ServerPhase::Login(login) = &mut server.phase else {
            return;
        };
        let Stage::Deriving(need) = std::mem::replace(&mut login.stage, Stage::Asked) else {
            return;
        };
        self.cache
            .keep_server_keys(key, need.salt(), need.iterations(), keys.clone());
        let proof = need.prove(&keys);
        io.out.write(Peer::Server(slot), |v| {
            front::sasl_response(v, proof.message().as_bytes())
        });
        login.stage = Stage::Final(proof);
    }
}

/// Sends the first message of SCRAM, with channel binding where both sides can.
pub(super) fn begin_scram(
    to: Peer,
    binding: Option<&[u8]>,
    plus: bool,
    nonce: &str,
    out: &mut Outbox,
) -> Result<Stage, (String, bool)> {
    let (mechanism, binding) = match (binding, plus) {
        (Some(data), true) => ("SCRAM-SHA-256-PLUS", ChannelBinding::EndPoint(data)),
        (Some(_), false) => ("SCRAM-SHA-256", ChannelBinding::Unused),
        (None, _) => ("SCRAM-SHA-256", ChannelBinding::Unavailable),
    };
    let first =
        scram_client::ClientFirst::start(nonce, binding).map_err(|e| (e.to_string(), false))?;
    out.write(to, |v| {
        front::sasl_initial(v, mechanism, first.message().as_bytes())
    });
    Ok(Stage::First(first))
}

/// Why the secret that is at hand does not prove who we are.
pub(super) fn unusable(info: &PoolInfo) -> String {
    let user = &info.user;
    match info.auth.password.as_deref() {
        None => format!("no password is known for user \"{user}\""),
        // PgBouncer's words first: programs look for them.
        Some(secret) if is_scram(secret) => format!(
            "server login failed: wrong password type: only a SCRAM secret is known for user \"{user}\", and its keys \
             are learned when a client of that name logs in with SCRAM"
        ),
        Some(_) => format!(
            "server login failed: wrong password type: what is known for user \"{user}\" is no plain password"
        ),
    }
}
