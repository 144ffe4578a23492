//! A client's side of its login.

use super::verdict::message;
use super::{Client, Login, State, Wish, code_of};
use wire::back;
use wire::scram::{ChannelBinding, Keys, client as scram};

impl Client {
    pub(super) fn login_reply(&mut self, tag: u8, body: &[u8]) -> Result<Wish, String> {
        let State::Login(stage) = &mut self.state else {
            return Ok(Wish::Nothing);
        };
        match tag {
            b'R' => return self.authentication(body),
            b'S' => {
                let status = back::ParameterStatus::parse(body).map_err(|e| e.to_string())?;
                let wanted = self
                    .model
                    .greeting()
                    .find(|(n, _)| n.as_bytes() == status.name)
                    .map(|(_, v)| v.as_bytes().to_vec());
                if wanted.is_some_and(|w| w != status.value) {
                    return Err("the welcome reports a parameter that is not its own".into());
                }
            }
            b'K' => {
                let key = back::BackendKey::parse(body).map_err(|e| e.to_string())?;
                self.key = Some((key.pid, key.key.to_vec()));
            }
            b'Z' => {
                if !matches!(stage, Login::Accepted) {
                    return Err("ready without a login".into());
                }
                self.state = State::Ready;
                return Ok(Wish::Act);
            }
            b'E' => {
                self.told_why = true;
                let code = code_of(body);
                let text = message(body);
                let hopeless = matches!(stage, Login::Hopeless) || self.wrong_password;
                let fine = hopeless || code == "53300" || self.may_end(&code, &text);
                self.state = State::Ending;
                if !fine {
                    return Err(format!("the login is refused with {code}: {text}"));
                }
            }
            b'N' | b'v' => {}
            _ => return Err(format!("{:?} during the login", tag as char)),
        }
        Ok(Wish::Nothing)
    }

    fn authentication(&mut self, body: &[u8]) -> Result<Wish, String> {
        use wire::back::Authentication as A;
        let password = if self.wrong_password {
            "wrong"
        } else {
            "secret"
        };
        let State::Login(stage) = &mut self.state else {
            return Ok(Wish::Nothing);
        };
        let auth = A::parse(body).map_err(|e| e.to_string())?;
        let out = &mut self.outgoing;
        match (auth, std::mem::replace(stage, Login::Sent)) {
            (A::Ok, Login::Hopeless) => return Err("a hopeless login is accepted".into()),
            (A::Ok, _) if self.wrong_password => {
                return Err("a wrong password is accepted".into());
            }
            (A::Ok, _) => {
                *stage = Login::Accepted;
                return Ok(Wish::Nothing);
            }
            (A::Cleartext, _) => wire::front::password(out, password.as_bytes()),
            (A::Md5(salt), _) => {
                let answer = wire::md5::response(&self.user, password, salt);
                wire::front::password(out, answer.as_bytes());
            }
            (A::Sasl(_), _) => {
                let first = scram::ClientFirst::start("nonce", ChannelBinding::Unavailable)
                    .map_err(|e| e.to_string())?;
                wire::front::sasl_initial(out, "SCRAM-SHA-256", first.message().as_bytes());
                *stage = Login::First(first);
            }
            (A::SaslContinue(data), Login::First(first)) => {
                let need = first.server_first(data).map_err(|e| e.to_string())?;
                let keys = Keys::derive(password.as_bytes(), need.salt(), need.iterations());
                let last = need.prove(&keys);
                wire::front::sasl_response(out, last.message().as_bytes());
                *stage = Login::Final(Box::new(last));
            }
            (A::SaslFinal(data), Login::Final(last)) => {
                last.finish(data).map_err(|e| e.to_string())?;
                return Ok(Wish::Nothing);
            }
            _ => return Err("an authentication step that does not fit".into()),
        }
        Ok(Wish::Send)
    }
}
