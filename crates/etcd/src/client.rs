//! The calls.

use crate::door::{Door, Question};
use crate::messages::{Done, Lease, Put, Range, Ranged, Txn, Watch};
use crate::watch::Watching;
use crate::{Error, Settings, read, tls};
use bytes::Bytes;
use serde_json::{Value, json};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// etcd's cluster. Clones share connections and bounds.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    settings: Settings,
    door: Door,
    /// Questions under way.
    slots: Semaphore,
    /// Who we are to etcd. Touched for a moment by each call.
    pass: Mutex<Pass>,
}

#[derive(Clone, Default)]
enum Pass {
    /// Not asked for yet, or turned down.
    #[default]
    Wanted,
    /// There is no user, or etcd asks nobody who they are.
    Unneeded,
    Token(String),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.0.settings;
        f.debug_tuple("Client").field(&settings.endpoints).finish()
    }
}

impl Client {
    /// Checks the settings; nothing is asked yet.
    pub fn new(settings: Settings) -> Result<Client, Error> {
        let door = Door::new(&settings)?;
        if settings.user.is_some() != settings.password_file.is_some() {
            return Err(Error::Settings("user and password go together".into()));
        }
        let pass = match settings.user {
            Some(_) => Pass::Wanted,
            None => Pass::Unneeded,
        };
        Ok(Client(Arc::new(Shared {
            door,
            slots: Semaphore::new(settings.questions_max.max(1)),
            pass: Mutex::new(pass),
            settings,
        })))
    }

    /// Reads keys.
    pub async fn range(&self, range: &Range) -> Result<Ranged, Error> {
        read::ranged(&self.call("/v3/kv/range", &range.json()).await?)
    }

    /// Sets one key; the answer is the revision of that.
    pub async fn put(&self, put: &Put) -> Result<u64, Error> {
        let answer = self.call("/v3/kv/put", &put.json()).await?;
        Ok(read::header(&answer)?.revision)
    }

    /// All at once, or nothing.
    pub async fn txn(&self, txn: &Txn) -> Result<Done, Error> {
        read::done(&self.call("/v3/kv/txn", &txn.json()).await?)
    }

    /// A new lease, rounded up to seconds. etcd takes none shorter than about its
    /// election's time.
    pub async fn grant(&self, ttl: Duration) -> Result<Lease, Error> {
        let seconds = ttl.as_millis().div_ceil(1000).max(1);
        let body = json!({ "TTL": seconds.to_string() });
        read::lease(&self.call("/v3/lease/grant", &body).await?)
    }

    /// Renews a lease for its whole time; `None`: it has ended.
    pub async fn keep_alive(&self, lease: i64) -> Result<Option<Lease>, Error> {
        let body = json!({ "ID": lease.to_string() });
        let answer = self.call("/v3/lease/keepalive", &body).await?;
        let lease = read::lease(&read::result(answer)?)?;
        Ok(Some(lease).filter(|lease| !lease.ttl.is_zero()))
    }

    /// Ends a lease, and with it the keys under it. One that has ended is well.
    pub async fn revoke(&self, lease: i64) -> Result<(), Error> {
        let body = json!({ "ID": lease.to_string() });
        match self.call("/v3/lease/revoke", &body).await {
            // Not found.
            Err(Error::Refused { code: 5, .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Hears of changes until it is dropped. It has a connection of its own and is
    /// none of the questions under way.
    pub async fn watch(&self, watch: &Watch) -> Result<Watching, Error> {
        let body = Bytes::from(watch.json().to_string());
        let by = self.deadline();
        let mut question = self.question("/v3/watch", body, by).await?;
        let mut opened = self.0.door.stream(&self.0.settings, &question, by).await;
        if let Err(error) = &opened
            && self.turned_down(error)
        {
            question.token = self.pass(by).await?;
            opened = self.0.door.stream(&self.0.settings, &question, by).await;
        }
        let (body, driven) = opened?;
        Ok(Watching::new(body, driven))
    }

    async fn call(&self, path: &'static str, body: &Value) -> Result<Value, Error> {
        let by = self.deadline();
        let slot = self.0.slots.acquire();
        let late = |_| Error::Unreachable("too many questions are under way".into());
        let _slot = timeout_at(by, slot).await.map_err(late)?;
        let body = Bytes::from(body.to_string());
        let mut question = self.question(path, body, by).await?;
        let mut answer = self.0.door.ask(&self.0.settings, &question, by).await;
        if let Err(error) = &answer
            && self.turned_down(error)
        {
            // It was refused before it was looked at, so it may be asked again.
            question.token = self.pass(by).await?;
            answer = self.0.door.ask(&self.0.settings, &question, by).await;
        }
        read::json(&answer?)
    }

    /// When a call that begins now is given up.
    fn deadline(&self) -> Instant {
        Instant::now() + self.0.settings.answer_max
    }

    async fn question(
        &self,
        path: &'static str,
        body: Bytes,
        by: Instant,
    ) -> Result<Question, Error> {
        Ok(Question {
            path,
            body,
            token: self.pass(by).await?,
        })
    }

    /// The token is not good any more, or etcd wants one by now.
    fn turned_down(&self, error: &Error) -> bool {
        let (16 | 3, message) = (match error {
            Error::Refused { code, message } => (*code, message.as_str()),
            _ => return false,
        }) else {
            return false;
        };
        let of_the_pass = ["invalid auth token", "user name is empty", "auth: revision"];
        let ours = self.0.settings.user.is_some();
        let turned = ours && of_the_pass.iter().any(|words| message.contains(words));
        if turned {
            self.set_pass(Pass::Wanted);
        }
        turned
    }

    fn set_pass(&self, pass: Pass) {
        *self.0.pass.lock().unwrap_or_else(PoisonError::into_inner) = pass;
    }

    /// The token, asked for with name and password when there is none.
    async fn pass(&self, by: Instant) -> Result<Option<String>, Error> {
        let known = self
            .0
            .pass
            .lock()
            .map_or_else(|p| p.into_inner().clone(), |p| p.clone());
        match known {
            Pass::Unneeded => return Ok(None),
            Pass::Token(token) => return Ok(Some(token)),
            Pass::Wanted => {}
        }
        let settings = &self.0.settings;
        let (Some(user), Some(file)) = (&settings.user, &settings.password_file) else {
            return Ok(None);
        };
        let password = tls::read(file)?;
        let password = String::from_utf8(password)
            .map_err(|_| Error::Settings(format!("{} is not UTF-8", file.display())))?;
        let body = json!({ "name": user, "password": password.trim_end_matches(['\r', '\n']) });
        let question = Question {
            path: "/v3/auth/authenticate",
            body: Bytes::from(body.to_string()),
            token: None,
        };
        match self.0.door.ask(settings, &question, by).await {
            Ok(answer) => {
                let token = read::token(&read::json(&answer)?)?;
                self.set_pass(Pass::Token(token.clone()));
                Ok(Some(token))
            }
            // It asks nobody who they are.
            Err(Error::Refused { code: 9, .. }) => {
                self.set_pass(Pass::Unneeded);
                Ok(None)
            }
            // Nothing but a token was asked for, so nothing may be done.
            Err(Error::Lost(text)) => Err(Error::Unreachable(text)),
            Err(other) => Err(other),
        }
    }
}
