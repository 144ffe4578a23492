//! Who asks: the command line's side of the API.

use crate::settings::keeper::{
    Applied, ApplyAsk, AskError, HistoryLine, Planned, RollbackAsk, Status, VersionText,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// For one question: somewhat more than the pooler takes at most.
const TIME_MAX: Duration = Duration::from_secs(70);

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody listens there.
    Nobody(PathBuf, io::Error),
    /// It listens, and does not answer as it should.
    Broken(String),
    /// It says no.
    Refused(AskError),
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClientError::Nobody(path, error) => {
                write!(f, "no pooler answers on {}: {error}", path.display())
            }
            ClientError::Broken(what) => write!(f, "the pooler's answer: {what}"),
            ClientError::Refused(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// A pooler's API. Each question is a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
}

type Answer<T> = Result<T, ClientError>;

impl Client {
    /// The pooler whose socket is there.
    pub fn new(path: impl Into<PathBuf>) -> Client {
        Client { path: path.into() }
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What serves.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn status(&self) -> Answer<Status> {
        self.ask(Method::GET, "/v1/settings", &())
    }

    /// The newest versions, so many.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn history(&self, most: u32) -> Answer<Vec<HistoryLine>> {
        let path = format!("/v1/settings/history?most={most}");
        self.ask(Method::GET, &path, &())
    }

    /// One version.
    ///
    /// # Errors
    /// There is none; or nobody answers.
    pub fn version(&self, id: u64) -> Answer<VersionText> {
        self.ask(Method::GET, &format!("/v1/settings/versions/{id}"), &())
    }

    /// What a change would do.
    ///
    /// # Errors
    /// The settings have mistakes; or nobody answers.
    pub fn plan(&self, ask: &ApplyAsk) -> Answer<Planned> {
        self.ask(Method::POST, "/v1/settings/plan", ask)
    }

    /// Begins a change.
    ///
    /// # Errors
    /// Why it is not begun.
    pub fn apply(&self, ask: &ApplyAsk) -> Answer<Applied> {
        self.ask(Method::POST, "/v1/settings/apply", ask)
    }

    /// Begins the way back.
    ///
    /// # Errors
    /// Why it is not begun.
    pub fn rollback(&self, ask: &RollbackAsk) -> Answer<Applied> {
        self.ask(Method::POST, "/v1/settings/rollback", ask)
    }

    fn ask<Q: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        question: &Q,
    ) -> Answer<T> {
        let broken = |what: String| ClientError::Broken(what);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|e| broken(e.to_string()))?;
        let body = serde_json::to_vec(question).map_err(|e| broken(e.to_string()))?;
        let (good, answer) = runtime.block_on(async {
            match tokio::time::timeout(TIME_MAX, self.exchange(method, path, body)).await {
                Ok(answered) => answered,
                Err(_) => Err(broken(format!("none in {} s", TIME_MAX.as_secs()))),
            }
        })?;
        if good {
            return serde_json::from_slice(&answer).map_err(|e| broken(e.to_string()));
        }
        match serde_json::from_slice(&answer) {
            Ok(error) => Err(ClientError::Refused(error)),
            Err(_) => Err(broken(
                "it is not understood; is it another version?".to_owned(),
            )),
        }
    }

    /// Settings, perhaps with a password, go only to root, to ourselves, or to who
    /// owns the socket's directory alone.
    fn trust(&self, socket: &tokio::net::UnixStream) -> Answer<()> {
        use std::os::unix::fs::MetadataExt;
        let own = rustix::process::geteuid().as_raw();
        let peer = socket.peer_cred().map(|peer| peer.uid());
        let directory = self.path.parent().and_then(|dir| dir.metadata().ok());
        let owner = directory.filter(|d| d.mode() & 0o022 == 0).map(|d| d.uid());
        match peer {
            Ok(uid) if uid == 0 || uid == own || Some(uid) == owner => Ok(()),
            _ => Err(ClientError::Broken(format!(
                "{} belongs to another user, in a directory that others may write: it is not trusted",
                self.path.display()
            ))),
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Vec<u8>) -> Answer<(bool, Bytes)> {
        let nobody = |error| ClientError::Nobody(self.path.clone(), error);
        let broken = |error: hyper::Error| ClientError::Broken(error.to_string());
        let socket = tokio::net::UnixStream::connect(&self.path)
            .await
            .map_err(nobody)?;
        self.trust(&socket)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .map_err(broken)?;
        let driven = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "plimsoll")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| ClientError::Broken(e.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let good = response.status().is_success();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = body
            .collect()
            .await
            .map_err(|e| ClientError::Broken(e.to_string()))?;
        drop(sender);
        let _ = driven.await;
        Ok((good, body.to_bytes()))
    }
}
