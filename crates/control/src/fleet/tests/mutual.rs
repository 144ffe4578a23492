//! Instances that know each other by certificates.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};

/// Of version 1, as `openssl x509 -req` makes them where no extension is asked for.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBKDCBzwIUfrcUqDCAyo1vFUaHlmFv1IdsZuYwCgYIKoZIzj0EAwIwHjEcMBoG
A1UEAwwTcGxpbXNvbGwgZmxlZXQgc2hvcDAgFw0yNjExMjIxOTUwNTBaGA8yMTI2
MTAyOTE5NTA1MFowDjEMMAoGA1UEAwwDb25lMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEAJSkIgS50ypzJdNGok3EyGUtBghRRupdjc9tMbbrYEbD9ZA0qjGy77Fh
N+xVXIjHdGq69PYfAxOkfftyYYII0jAKBggqhkjOPQQDAgNIADBFAiEAxGHalyOM
u9zmMU0xnxxwSpT8GtSM73aqYm4Snee/oloCIBhpr3PZhmUXynrKx5fGJBaWFIQ0
MO/h7Kx0vNafdDkt
-----END CERTIFICATE-----
";

struct Authority(CertificateParams, KeyPair);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(params, KeyPair::generate().expect("a key"))
    }

    /// Writes a certificate for this name, its key and the authority.
    fn write(&self, dir: &Path, name: &str) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![format!("{name}.example")]);
        let issuer = Issuer::from_params(&self.0, &self.1);
        let signed = params.expect("a name").signed_by(&key, &issuer);
        let authority = self.0.self_signed(&self.1).expect("signed").pem();
        let put = |what: &str, text: String| {
            std::fs::write(dir.join(format!("{name}.{what}")), text).expect("written");
        };
        put("crt", signed.expect("signed").pem());
        put("key", key.serialize_pem());
        put("ca", authority);
    }
}

fn plan_of(listen: SocketAddr, peers: &[SocketAddr], dir: &Path, name: &str) -> Arc<Plan> {
    let mut plan = Arc::unwrap_or_clone(plan(listen, peers, "", "shop"));
    let file = |what: &str| Some(dir.join(format!("{name}.{what}")));
    plan.fleet.tls_cert = file("crt");
    plan.fleet.tls_key = file("key");
    plan.fleet.tls_ca = file("ca");
    Arc::new(plan)
}

fn directory() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("plimsoll-fleet-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
}

#[test]
fn only_certificates_of_the_authority_are_of_the_fleet() {
    let dir = directory();
    let (ours, another) = (Authority::new(), Authority::new());
    ours.write(&dir, "a");
    ours.write(&dir, "b");
    another.write(&dir, "s");
    let at = [free(), free(), free()];
    let start = |n: usize, name: &str| {
        let plan = plan_of(at[n], &at, &dir, name);
        Node::of(&format!("{name}:1"), at[n], plan)
    };
    let (a, b, stranger) = (start(0, "a"), start(1, "b"), start(2, "s"));
    until("those of the authority to hear each other", || {
        a.is("b:1", "ok") && b.is("a:1", "ok")
    });
    // The stranger hears nobody, and nobody hears it.
    until("the stranger to be refused", || {
        stranger
            .states()
            .iter()
            .all(|(_, state)| state == "refused")
            && a.refused(Refused::Seal) > 0
    });
    assert!(!a.states().iter().any(|(name, _)| name == "s:1"));
    // Without TLS there is no answer at all.
    assert_eq!(a.post(&sealed(&said("c:1"), KEY, 0)).0, 0);
    // A certificate that was renewed is taken; one that cannot be used is not, and the
    // one before stays in service.
    ours.write(&dir, "a");
    std::fs::write(dir.join("b.crt"), "nothing").expect("written");
    until("both to be read", || {
        let read = tls::Files::read(a.world.plan().expect("a plan").fleet.tls().expect("three"));
        a.fleet.read_tls() == read.ok()
    });
    let begun = a.fleet.now();
    until("both to be heard since", || {
        let state = a.fleet.state();
        let mut peers = state.book.peers();
        peers.any(|p| p.heard_at.is_some_and(|at| at > begun))
    });
    assert!(b.is("a:1", "ok"));
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn a_certificate_of_version_1_is_refused_in_words_that_status_shows() {
    let dir = std::env::temp_dir().join(format!("plimsoll-fleet-old-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    Authority::new().write(&dir, "a");
    std::fs::write(dir.join("a.crt"), VERSION_1).expect("written");
    let address = free();
    let plan = plan_of(address, &[address], &dir, "a");
    let fleet = Fleet::of(&plan, "a:1").expect("it listens");
    let world = Arc::new(World {
        plan: Mutex::new(plan),
        settings: Arc::default(),
    });
    let error = fleet.start(world).err().expect("refused").to_string();
    assert_eq!(
        error,
        "tls_cert is an X.509 certificate of version 1; it takes one of version 3"
    );
    let problem = fleet.view().problem.expect("a problem");
    assert_eq!(problem, format!("the channel did not start: {error}"));
    let _ = std::fs::remove_dir_all(&dir);
}
