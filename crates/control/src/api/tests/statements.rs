//! Captures of statements: who may, and that a token taken back ends one.

use super::*;
use events::tap::{Limits, Over, Reason, Record, Records, Refused as TapRefused, What};
use events::{Acted, ClientAct, LeaseStatement};
use std::sync::atomic::AtomicBool;

/// A data plane in which the same client says the same all the time.
struct Talks {
    allowed: bool,
    runs: Arc<AtomicBool>,
}

impl Hands for Talks {
    fn act(&self, _: u64, _: ClientAct) -> Acted {
        Acted::Gone
    }

    fn statements(&self, _: &[u64]) -> Vec<LeaseStatement> {
        Vec::new()
    }

    fn tap(&self, _: Limits) -> Result<Box<dyn Tapped>, TapRefused> {
        use std::sync::atomic::Ordering::SeqCst;
        if !self.allowed {
            return Err(TapRefused::NotAllowed);
        }
        match self.runs.swap(true, SeqCst) {
            true => Err(TapRefused::Busy),
            false => Ok(Box::new(Talk(Arc::clone(&self.runs)))),
        }
    }

    fn pause(&self, _: Option<&str>) -> Result<(), String> {
        Ok(())
    }

    fn resume(&self, _: Option<&str>) -> Result<(), String> {
        Ok(())
    }
}

struct Talk(Arc<AtomicBool>);

impl Drop for Talk {
    fn drop(&mut self) {
        self.0.store(false, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Tapped for Talk {
    fn next(&mut self, patience: Duration) -> Option<Vec<u8>> {
        std::thread::park_timeout(patience);
        let mut out = Vec::new();
        let what = What::Sent(b"select 1".to_vec());
        let (session, at_us) = (1, 2);
        Record {
            session,
            at_us,
            what,
        }
        .put(&mut out);
        Some(out)
    }

    fn look(&mut self) {}

    fn alive(&self) -> Vec<u8> {
        Vec::new()
    }

    fn over(&self, reason: Reason) -> Over {
        Over {
            reason,
            sessions: 1,
            lost: 0,
            untaken: 0,
            bytes: 8,
        }
    }
}

fn talking(name: &str, allowed: bool) -> Server {
    let hands = Talks {
        allowed,
        runs: Arc::default(),
    };
    let parts = Parts {
        hands: Some(Arc::new(hands) as Arc<dyn Hands>),
        ..parts()
    };
    server_of(name, parts, Bounds::default())
}

const PATH: &str = "/v1/traffic/statements";
const JSON: &str = "application/json";
const ASK: &str = r#"{"seconds":60,"bytes":65536}"#;

#[test]
fn only_an_admin_may_and_only_where_it_is_allowed() {
    let server = talking("statements-who", false);
    for (token, code, kind) in [
        (VIEWER, "403", "role"),
        (OPERATOR, "403", "role"),
        ("nobody-nobody-nobody", "401", "token"),
        (ADMIN, "403", "not_allowed"),
    ] {
        let answer = server.post(token, PATH, JSON, ASK);
        assert_eq!(status(&answer), code, "{token}: {answer}");
        assert_eq!(body(&answer)["kind"], kind, "{answer}");
    }
    let told = server.post(ADMIN, PATH, JSON, ASK);
    assert!(told.contains("[capture]"), "{told}");
    // The page's readers without a token are no administrators either.
    server.settings.lock().unwrap().anonymous = config::Anonymous::Viewer;
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nContent-Length: {}\r\n\r\n{ASK}",
        ASK.len()
    );
    assert_eq!(status(&server.raw(&request)), "401");
    let stopped = server.post(OPERATOR, &format!("{PATH}/stop"), JSON, "{}");
    assert_eq!(body(&stopped)["done"], false, "{stopped}");
}

#[test]
fn what_is_asked_for_is_bounded() {
    let server = talking("statements-bounds", true);
    let most = 4_u64 << 30;
    for (seconds, bytes) in [(0, most), (3_601, most), (9, 65_535), (9, most + 1)] {
        let ask = format!(r#"{{"seconds":{seconds},"bytes":{bytes}}}"#);
        let answer = server.post(ADMIN, PATH, JSON, &ask);
        assert_eq!(status(&answer), "400", "{ask}: {answer}");
    }
}

/// The test ends, so both ends do: who leaves ends the capture, and so does a token
/// that is taken back in the midst of one.
#[test]
fn it_ends_with_who_asked_and_with_their_token() {
    let server = talking("statements-ends", true);
    let url = format!("http://{}", server.api().address().unwrap());
    let client = Client::tcp(&url, Some(ADMIN)).unwrap();
    let ask = CaptureAsk {
        seconds: 60,
        bytes: 1 << 20,
        actor: String::new(),
    };
    let mut records = Records::default();
    let mut heard = 0;
    let left = client.post_on(PATH, &ask, &mut |bytes| {
        records.push(bytes);
        while let Some(record) = records.next().expect("a record") {
            assert_eq!(record.session, 1);
            heard += 1;
        }
        heard < 3
    });
    assert!(left.is_ok() && heard >= 3, "{left:?}");
    // It is free again once the pooler has seen that nobody is there.
    let mut tries = 0;
    let ended = loop {
        tries += 1;
        let mut revoked = false;
        let heard = client.post_on(PATH, &ask, &mut |_| {
            if !std::mem::replace(&mut revoked, true) {
                let mut settings = server.settings.lock().unwrap();
                settings.admin.secret = Some(config::Secret("another-another-an".to_owned()));
            }
            true
        });
        match heard {
            Err(ClientError::Refused(error)) if error.kind == "busy" && tries < 2_000 => {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            other => break other,
        }
    };
    assert!(ended.is_ok(), "{ended:?}");
}
