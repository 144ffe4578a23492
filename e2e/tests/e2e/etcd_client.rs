//! The client of etcd, against a real one.

use crate::common::skip;
use etcd::{Answer, Client, Compare, Error, Op, Put, Range, Settings, Txn, Watch};
use plimsoll_e2e::etcd::Etcd;
use std::future::Future;
use std::time::Duration;

const SIX: Duration = Duration::from_secs(6);

fn run(work: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime
        .enable_all()
        .build()
        .expect("runtime")
        .block_on(work);
}

fn started(test: &str) -> Option<Etcd> {
    Etcd::start().map_err(|why| skip(test, &why)).ok()
}

fn client(etcd: &Etcd) -> Client {
    Client::new(Settings::at([etcd.url()])).expect("settings")
}

/// Keys, comparisons, leases and a watch, as the ledger and others use them.
#[test]
fn keys_leases_and_watches_of_a_real_etcd() {
    let Some(mut etcd) = started("the client of etcd") else {
        return;
    };
    run(async {
        let client = client(&etcd);
        let lease = client.grant(SIX).await.expect("grant");
        assert_eq!(lease.ttl, SIX);
        let before = client.range(&Range::prefix("p/")).await.expect("range");
        assert_eq!((before.count, before.kvs.len()), (0, 0));
        assert!(before.header.cluster != 0);
        let from = before.header.revision + 1;
        let mut watch = client
            .watch(&Watch::prefix("p/", from))
            .await
            .expect("watch");

        let sit = |lease: i64| Txn {
            compare: vec![Compare::created_at("p/seat", 0)],
            then: vec![Op::Put(Put::new("p/seat", "me").under(lease))],
            otherwise: vec![Op::Range(Range::key("p/seat"))],
        };
        let sat = client.txn(&sit(lease.id)).await.expect("sit");
        assert!(sat.succeeded && sat.answers == [Answer::Put]);
        let taken = client.txn(&sit(lease.id)).await.expect("sit");
        let [Answer::Range(seat)] = taken.answers.as_slice() else {
            panic!("{taken:?}");
        };
        assert!(!taken.succeeded);
        let seat = &seat.kvs[0];
        assert_eq!((seat.lease, seat.version), (lease.id, 1));
        assert_eq!(seat.create_revision, sat.header.revision);

        nested(&client, seat.mod_revision).await;
        assert!(client.keep_alive(lease.id).await.expect("renew").is_some());
        client.revoke(lease.id).await.expect("revoke");
        client
            .revoke(lease.id)
            .await
            .expect("it has ended, which is well");
        assert_eq!(client.keep_alive(lease.id).await, Ok(None));

        let mut seen = Vec::new();
        while seen.len() < 4 {
            let news = tokio::time::timeout(SIX, watch.next())
                .await
                .expect("news in time");
            let events = news.expect("news").events;
            seen.extend(events.into_iter().map(|event| {
                let key = String::from_utf8_lossy(&event.kv.key).into_owned();
                (key, event.deleted)
            }));
        }
        let expected = [
            ("p/seat", false),
            ("p/a", false),
            ("p/b", false),
            ("p/seat", true),
        ];
        assert_eq!(seen, expected.map(|(key, gone)| (key.to_owned(), gone)));

        etcd.kill();
        assert!(watch.next().await.is_err());
        let error = client.put(&Put::new("p/a", "3")).await.unwrap_err();
        assert!(
            matches!(error, Error::Unreachable(_) | Error::Lost(_)),
            "{error}"
        );
        etcd.start_again();
        let all = client.range(&Range::prefix("p/")).await.expect("range");
        assert_eq!(all.count, 2);
    });
}

/// A transaction with one inside for each key, each with a condition of its own.
async fn nested(client: &Client, seat: u64) {
    let set = |key: &str, known: u64| {
        Op::Txn(Txn {
            compare: vec![Compare::changed_at(key, known)],
            then: vec![Op::Put(Put::new(key, "1"))],
            otherwise: vec![],
        })
    };
    let all = Txn {
        compare: vec![Compare::changed_at("p/seat", seat)],
        then: vec![set("p/a", 0), set("p/b", 0), set("p/c", 99)],
        otherwise: vec![],
    };
    let done = client.txn(&all).await.expect("nested");
    let each: Vec<bool> = done
        .answers
        .iter()
        .map(|answer| matches!(answer, Answer::Txn(inner) if inner.succeeded))
        .collect();
    assert_eq!(each, [true, true, false]);
}

/// With a user: the password is read from its file, a token that ended is asked
/// for anew, and who may not is told so.
#[test]
fn a_user_and_a_password() {
    let Some(mut etcd) = started("the user of etcd") else {
        return;
    };
    let file = std::env::temp_dir().join(format!("plimsoll-etcd-pass-{}", std::process::id()));
    std::fs::write(&file, "right\n").expect("write the password");
    let set_up = [
        vec!["user", "add", "root:root"],
        vec!["user", "add", "plimsoll:right"],
        vec!["role", "add", "plimsoll"],
        vec![
            "role",
            "grant-permission",
            "plimsoll",
            "--prefix=true",
            "readwrite",
            "/ours/",
        ],
        vec!["user", "grant-role", "plimsoll", "plimsoll"],
        vec!["user", "grant-role", "root", "root"],
        vec!["auth", "enable"],
    ];
    for words in &set_up {
        if let Err(why) = etcd.control(words) {
            return skip("the user of etcd", &why);
        }
    }
    let mut settings = Settings::at([etcd.url()]);
    settings.user = Some("plimsoll".into());
    settings.password_file = Some(file.clone());
    let ours = Put::new("/ours/a", "1");
    run(async {
        let client = Client::new(settings.clone()).expect("settings");
        client.put(&ours).await.expect("put");
        let lease = client.grant(SIX).await.expect("grant");
        client
            .put(&ours.clone().under(lease.id))
            .await
            .expect("put under a lease");
        assert!(client.keep_alive(lease.id).await.expect("renew").is_some());
        let refused = client.put(&Put::new("/theirs", "1")).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "etcd refused it: etcdserver: permission denied"
        );
        // Simple tokens end with the process that gave them.
        etcd.kill();
        etcd.start_again();
        // On the old connection it is lost; the next one finds the token gone.
        if let Err(error) = client.put(&ours).await {
            assert!(error.may_be_done(), "{error}");
            client.put(&ours).await.expect("put with another token");
        }
        std::fs::write(&file, "wrong").expect("write the password");
        let client = Client::new(settings.clone()).expect("settings");
        let error = client.put(&ours).await.unwrap_err().to_string();
        assert!(
            error.contains("authentication failed") && !error.contains("wrong"),
            "{error}"
        );
        let anybody = Client::new(Settings::at([etcd.url()])).expect("settings");
        let error = anybody.put(&ours).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
    });
    std::fs::remove_file(&file).expect("remove the password");
}

/// TLS with certificates on both sides: who has all of it is served, and each piece that
/// is wrong or missing is told in words that help, without a secret.
#[test]
fn tls_with_certificates_on_both_sides() {
    let started = Etcd::start_with_tls();
    let Ok(etcd) = started.map_err(|why| skip("etcd with TLS", &why)) else {
        return;
    };
    let files = etcd.certificates().expect("with TLS").clone();
    let good = Settings {
        tls_ca: Some(files.ca.clone()),
        tls_cert: Some(files.client_cert.clone()),
        tls_key: Some(files.client_key.clone()),
        ..Settings::at([etcd.url()])
    };
    let put = Put::new("p/tls", "1");
    let refused = |what: &str, settings: &Settings| {
        let client = Client::new(settings.clone()).expect("settings");
        let mut error = None;
        run(async { error = client.put(&put).await.err() });
        let error = error.unwrap_or_else(|| panic!("{what}: it was served"));
        eprintln!("{what}: {error}");
        assert!(!error.may_be_done(), "{what}: {error}");
        let text = error.to_string();
        let key = std::fs::read_to_string(&files.client_key).expect("the key");
        let secret = |line: &str| line.len() > 20 && text.contains(line);
        assert!(
            !key.lines().any(secret) && !text.contains("PRIVATE"),
            "{text}"
        );
        text
    };
    run(async {
        let client = Client::new(good.clone()).expect("settings");
        client.put(&put).await.expect("put over TLS");
        let lease = client.grant(SIX).await.expect("grant");
        assert!(client.keep_alive(lease.id).await.expect("renew").is_some());
        let mut watch = client
            .watch(&Watch::prefix("p/", 0))
            .await
            .expect("a watch over TLS");
        assert!(watch.next().await.expect("it begins").created);
    });

    let foreign = Settings {
        tls_ca: Some(files.foreign_ca.clone()),
        ..good.clone()
    };
    let text = refused("a foreign authority", &foreign);
    assert!(
        text.contains("invalid peer certificate: UnknownIssuer"),
        "{text}"
    );
    let nobody = Settings {
        tls_cert: None,
        tls_key: None,
        ..good.clone()
    };
    let text = refused("no certificate", &nobody);
    assert!(
        text.contains("turns down our certificate, or that there is none"),
        "{text}"
    );
    let swapped = Settings {
        tls_key: Some(files.key.clone()),
        ..good.clone()
    };
    let text = refused("another's key", &swapped);
    assert!(text.contains("the certificate to show"), "{text}");
    let missing = Settings {
        tls_cert: Some("/nowhere/client.pem".into()),
        ..good
    };
    let text = refused("a file that is not there", &missing);
    assert_eq!(text, "cannot read /nowhere/client.pem: entity not found");
}
