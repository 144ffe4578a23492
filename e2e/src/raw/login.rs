//! The answers to authentication requests, by way of postgres-protocol's implementation.

use super::{Client, Error, Target, message};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

/// Answers until ReadyForQuery.
pub(super) fn answer(client: &mut Client, target: &Target) -> Result<(), Error> {
    let password = target.password.clone().unwrap_or_default();
    let mut scram = None;
    loop {
        let message = client.read()?;
        let body = message.body.as_slice();
        match message.tag {
            b'Z' => return Ok(()),
            b'E' => return Err(Error::Server(Box::new(message.fields()))),
            b'K' if body.len() >= 8 => {
                let pid = u32::from_be_bytes([body[0], body[1], body[2], body[3]]);
                client.key = Some((pid, body[4..].to_vec()));
                client.greeting.push(message);
            }
            b'R' => match (message.number(), body.get(4..).unwrap_or_default()) {
                (0, _) => {}
                (3, _) => client.send(&message::password(password.as_bytes()))?,
                (5, &[a, b, c, d]) => {
                    let user = target.value("user").as_bytes();
                    let hash = md5_hash(user, password.as_bytes(), [a, b, c, d]);
                    client.send(&message::password(hash.as_bytes()))?;
                }
                (10, _) => {
                    let start =
                        ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                    let first = message::sasl_initial("SCRAM-SHA-256", start.message());
                    client.send(&first)?;
                    scram = Some(start);
                }
                (11, data) => {
                    let exchange = scram.as_mut().ok_or_else(out_of_turn)?;
                    exchange.update(data)?;
                    let reply = message::password_raw(exchange.message());
                    client.send(&reply)?;
                }
                (12, data) => scram.as_mut().ok_or_else(out_of_turn)?.finish(data)?,
                (other, _) => {
                    return Err(Error::Unexpected(format!("authentication request {other}")));
                }
            },
            _ => client.greeting.push(message),
        }
    }
}

fn out_of_turn() -> Error {
    Error::Unexpected("SASL message out of turn".into())
}
