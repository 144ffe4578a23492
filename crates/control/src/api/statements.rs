//! `/v1/traffic/statements`: what clients send, with every value in it, while an
//! administrator listens and the settings allow it.
//!
//! It is loud: a line of the log and a line across every chart when it begins and when
//! it ends, and a metric meanwhile. It ends by itself: after its time, at its size, and
//! when nobody takes what it sends.

use super::Parts;
use super::actions::{ActionDone, Tapped, hands, mark};
use super::call::{Answer, Call, Failure};
use super::table::{Body, Route, Shape, Verb};
use crate::measure::Measures;
use bytes::Bytes;
use config::ApiRole;
use events::tap::{BYTES_MAX, Limits, Over, Reason, Refused, SPAN_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The type of such a stream.
const RECORDS: &str = "application/x-plimsoll-records";
/// Pieces that wait for the connection, of 256 KiB each at most.
const PIECES_MAX: usize = 8;
/// A sign of life comes so often.
const BEAT: Duration = Duration::from_secs(1);
/// How often a full connection, and whether somebody wants the end, is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Smallest capture.
const BYTES_MIN: u64 = 64 << 10;
/// How it is ended from elsewhere.
const UNDO: &str = "plimsoll capture --stop";

/// What is to be captured, and who asks.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureAsk {
    /// How long, seconds; at most 3,600.
    pub seconds: u64,
    /// How many bytes of clients; from 64 KiB to 4 GiB.
    pub bytes: u64,
    /// Who asks.
    #[serde(default)]
    pub actor: String,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopAsk {
    /// Who asks.
    #[serde(default)]
    pub actor: String,
}

pub(super) const ROUTES: &[Route] = &[
    Route {
        verb: Verb::Post,
        path: "/v1/traffic/statements",
        role: ApiRole::Admin,
        summary: "What clients send from now on, with every value in it, as a stream of records; only where capture.statements allows it (docs/capture.md).",
        parameters: &[],
        body: Some(Body::of::<CaptureAsk>()),
        answer: Shape::Media(RECORDS),
        handle: begin,
    },
    Route {
        verb: Verb::Post,
        path: "/v1/traffic/statements/stop",
        role: ApiRole::Operator,
        summary: "Ends the capture of statements that runs.",
        parameters: &[],
        body: Some(Body::of::<StopAsk>()),
        answer: Shape::of::<ActionDone>(),
        handle: stop,
    },
];

fn begin(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let ask: CaptureAsk = call.json()?;
    let who = call.actor.claiming(&ask.actor);
    let span = Duration::from_secs(ask.seconds);
    if span.is_zero() || span > SPAN_MAX || !(BYTES_MIN..=BYTES_MAX).contains(&ask.bytes) {
        let line = "a capture of statements lasts 1 to 3600 seconds and has 64 KiB to 4 GiB";
        return Err(Failure::bad_request(line, ""));
    }
    let limits = Limits {
        span,
        bytes: ask.bytes,
    };
    let tapped = hands(parts)?.tap(limits).map_err(|why| {
        tracing::warn!(actor = who, ?why, "a capture of statements was refused");
        refused(why)
    })?;
    let (pieces, stream) = mpsc::channel(PIECES_MAX);
    let told = Told {
        actor: who,
        measures: parts.measures.clone(),
    };
    told.begun(&limits);
    let spawned = std::thread::Builder::new()
        .name("capture".to_owned())
        .spawn(move || feed(tapped, &pieces, &told));
    match spawned {
        Ok(_) => Ok(Answer::pieces(RECORDS, stream)),
        Err(_) => {
            let line = "there is no thread for it";
            Err(Failure::new(503, "busy", line, "try again"))
        }
    }
}

fn refused(why: Refused) -> Failure {
    match why {
        Refused::NotAllowed => Failure::new(
            403,
            "not_allowed",
            "statements with their values may not be captured here",
            "set `statements = \"allow\"` in [capture] of the settings file, reload it, and set \
             it back afterwards",
        ),
        Refused::Busy => {
            let line = "another capture of statements runs";
            Failure::new(409, "busy", line, &format!("{UNDO} ends it"))
        }
        Refused::Absent => Failure::absent("data plane to listen to", "it ends with the pooler"),
    }
}

fn stop(parts: &Parts, call: &Call) -> Result<Answer, Failure> {
    let ask: StopAsk = call.json()?;
    let done = hands(parts)?.stop_tap();
    if done {
        let actor = call.actor.claiming(&ask.actor);
        tracing::warn!(actor, "a person stops the capture of statements");
    }
    let text = match done {
        true => "the capture of statements ends",
        false => "no capture of statements runs",
    };
    Ok(Answer::json(&ActionDone {
        done,
        text: text.to_owned(),
    }))
}

/// Who is told of a capture, and of whom it is.
struct Told {
    actor: String,
    measures: Option<Measures>,
}

impl Told {
    fn begun(&self, limits: &Limits) {
        tracing::warn!(
            actor = self.actor,
            seconds = limits.span.as_secs(),
            bytes_max = limits.bytes,
            undo = UNDO,
            "statements are captured with every value in them"
        );
        let text = format!(
            "statements are captured with their values, for {} s at most",
            limits.span.as_secs()
        );
        mark(self.measures.as_ref(), "", text, &self.actor);
    }

    fn over(&self, over: &Over, lasted: Duration) {
        tracing::warn!(
            actor = self.actor,
            reason = over.reason.label(),
            lasted_s = lasted.as_secs(),
            sessions = over.sessions,
            left_out = over.lost,
            untaken = over.untaken,
            bytes = over.bytes,
            "the capture of statements has ended"
        );
        let text = format!("the capture of statements has ended: {}", over.reason);
        mark(self.measures.as_ref(), "", text, &self.actor);
    }
}

/// Passes on what is heard, until it is over or nobody takes it.
fn feed(mut tapped: Box<dyn Tapped>, pieces: &mpsc::Sender<Bytes>, told: &Told) {
    let begun = Instant::now();
    let mut beat = begun;
    while let Some(heard) = tapped.next(LOOK) {
        if pieces.is_closed() {
            break;
        }
        let piece = match heard.is_empty() {
            false => heard,
            true if beat.elapsed() < BEAT => continue,
            true => tapped.alive(),
        };
        beat = Instant::now();
        if !deliver(tapped.as_mut(), pieces, piece.into()) {
            break;
        }
    }
    told.over(&tapped.over(Reason::Gone), begun.elapsed());
}

/// Waits until the connection takes it; who takes nothing is let go by the listener.
/// Meanwhile the capture still ends when it is to end. `false`: nobody is there.
fn deliver(tapped: &mut dyn Tapped, pieces: &mpsc::Sender<Bytes>, piece: Bytes) -> bool {
    let mut piece = piece;
    loop {
        match pieces.try_send(piece) {
            Ok(()) => return true,
            Err(mpsc::error::TrySendError::Closed(_)) => return false,
            Err(mpsc::error::TrySendError::Full(back)) => piece = back,
        }
        tapped.look();
        std::thread::park_timeout(LOOK);
    }
}
