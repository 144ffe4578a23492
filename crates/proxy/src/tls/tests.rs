//! TLS on both sides with certificates made for the test.

use super::*;
use config::TlsVersions::{Secure, Tls12, Tls13};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::client::UnbufferedClientConnection as ClientConnection;
use rustls::server::UnbufferedServerConnection as ServerConnection;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;

// ---- certificates -------------------------------------------------------

pub(super) struct Made {
    pub(super) der: Vec<u8>,
    pem: String,
    key: String,
}

pub(super) fn self_signed(common_name: &str) -> Made {
    let key = KeyPair::generate().unwrap();
    let certificate = params(common_name, &[]).self_signed(&key).unwrap();
    Made {
        der: certificate.der().to_vec(),
        pem: certificate.pem(),
        key: key.serialize_pem(),
    }
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(|n| n.to_string()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

struct Authority(CertificateParams, KeyPair);

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(params, KeyPair::generate().unwrap())
    }

    fn pem(&self) -> String {
        self.0.self_signed(&self.1).unwrap().pem()
    }

    fn sign(&self, params: CertificateParams) -> Made {
        let key = KeyPair::generate().unwrap();
        let certificate = params
            .signed_by(&key, &Issuer::from_params(&self.0, &self.1))
            .unwrap();
        Made {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// Files by name, in place of a disk.
#[derive(Default)]
struct Files(BTreeMap<String, String>);

impl Files {
    fn put(&mut self, name: &str, made: &Made) {
        self.0.insert(format!("{name}.crt"), made.pem.clone());
        self.0.insert(format!("{name}.key"), made.key.clone());
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let text = self.0.get(path.to_str().unwrap());
        text.map(|text| text.clone().into_bytes())
            .ok_or_else(|| ErrorKind::NotFound.into())
    }
}

fn files() -> Files {
    let (root, stranger) = (Authority::new("our root"), Authority::new("another root"));
    let mut files = Files::default();
    files.0.insert("root.crt".into(), root.pem());
    files.put(
        "dns",
        &root.sign(params("ignored.example", &["db.example", "*.wild.example"])),
    );
    files.put("ip", &root.sign(params("ip", &["127.0.0.1"])));
    files.put("cn", &root.sign(params("db.example", &[])));
    files.put("cnwild", &root.sign(params("*.wild.example", &[])));
    files.put("cnip", &root.sign(params("127.0.0.1", &[])));
    files.put(
        "stranger",
        &stranger.sign(params("db.example", &["db.example"])),
    );
    files.put("self", &self_signed("db.example"));
    let mut old = params("db.example", &["db.example"]);
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    files.put("expired", &root.sign(old));
    let mut client_only = params("db.example", &["db.example"]);
    client_only.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    files.put("alice", &root.sign(client_only));
    files.put("mallory", &stranger.sign(params("alice", &[])));
    for (name, text) in [
        ("v1root.crt", include_str!("fixtures/root.crt")),
        ("v1.crt", include_str!("fixtures/v1-server.crt")),
        ("v1.key", include_str!("fixtures/v1-server.key")),
        ("v1client.crt", include_str!("fixtures/v1-client.crt")),
        ("v1client.key", include_str!("fixtures/v1-client.key")),
        ("selfca.crt", include_str!("fixtures/self.crt")),
        ("selfca.key", include_str!("fixtures/self.key")),
    ] {
        files.0.insert(name.into(), text.into());
    }
    files
}

fn tls(mode: SslMode, own: &str, ca: &str) -> Tls {
    let file =
        |name: &str, end: &str| (!name.is_empty()).then(|| PathBuf::from(format!("{name}{end}")));
    Tls {
        mode,
        versions: TlsVersions::Secure,
        key_file: file(own, ".key"),
        cert_file: file(own, ".crt"),
        ca_file: file(ca, ".crt"),
        direct: false,
    }
}

/// The same, speaking this version alone.
fn only(versions: TlsVersions, tls: Tls) -> Tls {
    Tls { versions, ..tls }
}

// ---- a wire in memory ---------------------------------------------------

/// One end of a two-way pipe that holds `room` bytes each way.
struct End {
    inbox: Rc<RefCell<VecDeque<u8>>>,
    outbox: Rc<RefCell<VecDeque<u8>>>,
    room: usize,
    cut: Rc<RefCell<bool>>,
}

fn wire(room: usize) -> (End, End) {
    let (a, b) = (Rc::default(), Rc::default());
    let cut: Rc<RefCell<bool>> = Rc::default();
    let left = End {
        inbox: Rc::clone(&a),
        outbox: Rc::clone(&b),
        room,
        cut: cut.clone(),
    };
    (
        left,
        End {
            inbox: b,
            outbox: a,
            room,
            cut,
        },
    )
}

impl Read for End {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.inbox.borrow_mut().read(buf)? {
            0 if !*self.cut.borrow() => Err(ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for End {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut outbox = self.outbox.borrow_mut();
        let n = buf.len().min(self.room - outbox.len());
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        outbox.extend(&buf[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Pair {
    client: TlsStream,
    client_end: End,
    server: TlsStream,
    server_end: End,
}

impl Pair {
    fn new(client: Arc<ClientConfig>, server: Arc<ServerConfig>, host: &str, room: usize) -> Pair {
        let (client_end, server_end) = wire(room);
        let client =
            TlsStream::new(ClientConnection::new(client, server_name(host).unwrap()).unwrap());
        Pair {
            client,
            client_end,
            server: TlsStream::new(ServerConnection::new(server).unwrap()),
            server_end,
        }
    }

    /// Turns both sides until both are done or one fails.
    fn shake(&mut self) -> io::Result<()> {
        for _ in 0..1_000 {
            let client = self.client.handshake(&mut self.client_end);
            let server = self.server.handshake(&mut self.server_end);
            // A refusal of the client's certificate reaches the client after its own handshake (TLS 1.3).
            match (client, server) {
                (Ok(()), Ok(())) => return Ok(()),
                (Err(error), _) | (_, Err(error)) if error.kind() != ErrorKind::WouldBlock => {
                    return Err(error);
                }
                _ => {}
            }
        }
        panic!("the handshake does not end");
    }
}

fn pair(files: &Files, client: &Tls, server: &Tls, host: &str) -> Pair {
    let read = |path: &Path| files.read(path);
    Pair::new(
        client_config(client, &read).unwrap(),
        server_config(server, &read).unwrap(),
        host,
        1 << 20,
    )
}

/// A pair after its handshake, with the plainest settings.
fn connected(room: usize) -> Pair {
    let files = files();
    let read = |path: &Path| files.read(path);
    let client = client_config(&tls(SslMode::Prefer, "", ""), &read).unwrap();
    let server = server_config(&tls(SslMode::Prefer, "dns", ""), &read).unwrap();
    let mut pair = Pair::new(client, server, "db.example", room);
    pair.shake().unwrap();
    pair
}

// ---- who is accepted ----------------------------------------------------

#[test]
fn modes_mean_what_they_mean_to_libpq() {
    use SslMode::{Allow, Prefer, Require, VerifyCa, VerifyFull};
    let files = files();
    let read = |path: &Path| files.read(path);
    for (mode, ca, certificate, host, accepted) in [
        (Allow, "root", "stranger", "db.example", true),
        (Prefer, "", "expired", "db.example", true),
        (Prefer, "root", "stranger", "other.example", true),
        (Require, "", "stranger", "other.example", true),
        (Require, "", "v1", "db.example", true),
        (Require, "root", "dns", "other.example", true),
        (Require, "root", "stranger", "db.example", false),
        (VerifyCa, "root", "dns", "other.example", true),
        (VerifyCa, "root", "cn", "other.example", true),
        (VerifyCa, "root", "stranger", "db.example", false),
        (VerifyCa, "root", "self", "db.example", false),
        (VerifyCa, "root", "expired", "db.example", false),
        // A certificate for clients only does not make a server.
        (VerifyCa, "root", "alice", "db.example", false),
        (VerifyCa, "self", "self", "127.0.0.1", true),
        (VerifyCa, "selfca", "selfca", "127.0.0.1", true),
        (VerifyCa, "selfca", "v1", "db.example", false),
        (VerifyCa, "v1root", "v1", "127.0.0.1", true),
        (VerifyCa, "root", "v1", "db.example", false),
        (VerifyFull, "root", "dns", "db.example", true),
        (VerifyFull, "root", "dns", "DB.Example", true),
        (VerifyFull, "root", "dns", "a.wild.example", true),
        (VerifyFull, "root", "dns", "a.b.wild.example", false),
        (VerifyFull, "root", "dns", "other.example", false),
        // With alternative names the common name does not count.
        (VerifyFull, "root", "dns", "ignored.example", false),
        (VerifyFull, "root", "dns", "127.0.0.1", false),
        (VerifyFull, "root", "ip", "127.0.0.1", true),
        (VerifyFull, "root", "ip", "127.0.0.2", false),
        (VerifyFull, "root", "cn", "db.example", true),
        (VerifyFull, "root", "cn", "other.example", false),
        (VerifyFull, "root", "cnwild", "a.wild.example", true),
        (VerifyFull, "root", "cnwild", "a.b.wild.example", false),
        (VerifyFull, "root", "cnwild", "wild.example", false),
        (VerifyFull, "root", "cnip", "127.0.0.1", true),
        (VerifyFull, "root", "cnip", "127.0.0.2", false),
        (VerifyFull, "self", "self", "db.example", true),
        (VerifyFull, "selfca", "selfca", "db.example", true),
        (VerifyFull, "selfca", "selfca", "other.example", false),
        (VerifyFull, "v1root", "v1", "db.example", true),
        (VerifyFull, "v1root", "v1", "other.example", false),
        (VerifyFull, "root", "stranger", "db.example", false),
    ] {
        for (version, name) in [(Tls12, "TLSv1.2"), (Tls13, "TLSv1.3")] {
            let client = client_config(&only(version, tls(mode, "", ca)), &read).unwrap();
            let server = server_config(&tls(Prefer, certificate, ""), &read).unwrap();
            let mut pair = Pair::new(client, server, host, 1 << 20);
            let result = pair.shake();
            let case = format!(
                "{mode:?} ca={ca} certificate={certificate} host={host} {name}: {result:?}"
            );
            assert_eq!(result.is_ok(), accepted, "{case}");
            if accepted {
                assert!(
                    describe(pair.client.connection()).starts_with(name),
                    "{case}"
                );
            } else {
                // It was the certificate, and nothing else, that was refused.
                assert!(
                    result.unwrap_err().to_string().contains("certificate"),
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn a_client_certificate_is_asked_for_checked_and_named() {
    use SslMode::{Prefer, Require, VerifyCa, VerifyFull};
    let files = files();
    // Mode and authorities of the serving side; the client's certificate; its name, or a refusal.
    for (mode, ca, own, name) in [
        (Prefer, "", "alice", Ok(None)),
        (Prefer, "root", "", Ok(None)),
        (Prefer, "root", "alice", Ok(Some("db.example"))),
        (Require, "root", "mallory", Err(())),
        (VerifyCa, "root", "", Err(())),
        (VerifyCa, "root", "alice", Ok(Some("db.example"))),
        (VerifyFull, "root", "mallory", Err(())),
        (VerifyFull, "root", "expired", Err(())),
        (VerifyFull, "v1root", "v1client", Ok(Some("alice"))),
        (VerifyFull, "root", "v1client", Err(())),
    ] {
        for version in [Tls12, Tls13] {
            let read = |path: &Path| files.read(path);
            let client = client_config(&only(version, tls(Require, own, "")), &read).unwrap();
            let mut pair = Pair::new(
                client,
                server_config(&tls(mode, "dns", ca), &read).unwrap(),
                "h",
                1 << 20,
            );
            let got = pair
                .shake()
                .map(|()| peer_names(pair.server.connection()).and_then(|names| names.common))
                .map_err(|_| ());
            assert_eq!(
                got.as_ref().map(Option::as_deref),
                name.as_ref().copied(),
                "{mode:?} ca={ca} own={own}"
            );
        }
    }
}

#[test]
fn a_certificate_tells_all_its_names() {
    let names = ["app.acme.org", "*.acme.org", "10.0.0.7", "fe80::1"];
    let key = KeyPair::generate().unwrap();
    let der = params("ann", &names).self_signed(&key).unwrap();
    let certificate = Certificate::parse(der.der()).unwrap();
    let (dns, addresses) = certificate.named();
    assert_eq!(dns, ["app.acme.org", "*.acme.org"]);
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.0.0.7", "fe80::1"]);
    assert_eq!(certificate.common_name().as_deref(), Some("ann"));
}

#[test]
fn direct_tls_needs_the_protocols_name() {
    let files = files();
    let mut ours = pair(
        &files,
        &tls(SslMode::Require, "", ""),
        &tls(SslMode::Require, "dns", ""),
        "db.example",
    );
    ours.shake().unwrap();
    assert!(
        speaks_postgresql(ours.client.connection()) && speaks_postgresql(ours.server.connection())
    );

    let read = |path: &Path| files.read(path);
    let server = server_config(&tls(SslMode::Require, "dns", ""), &read).unwrap();
    for (offered, accepted) in [(vec![], true), (vec![b"h2".to_vec()], false)] {
        let mut client = (*client_config(&tls(SslMode::Require, "", ""), &read).unwrap()).clone();
        client.alpn_protocols = offered.clone();
        let mut theirs = Pair::new(Arc::new(client), server.clone(), "db.example", 1 << 20);
        assert_eq!(theirs.shake().is_ok(), accepted, "{offered:?}");
        assert!(
            !speaks_postgresql(theirs.server.connection()),
            "{offered:?}"
        );
    }
}

#[test]
fn bindings_are_those_that_openssl_computes() {
    let pems: BTreeMap<&str, &str> = BTreeMap::from([
        ("rsa-sha1", include_str!("fixtures/bind-rsa-sha1.crt")),
        ("rsa-sha256", include_str!("fixtures/bind-rsa-sha256.crt")),
        ("rsa-sha384", include_str!("fixtures/bind-rsa-sha384.crt")),
        ("rsa-sha512", include_str!("fixtures/bind-rsa-sha512.crt")),
        ("pss-sha384", include_str!("fixtures/bind-pss-sha384.crt")),
        (
            "ecdsa-sha256",
            include_str!("fixtures/bind-ecdsa-sha256.crt"),
        ),
        (
            "ecdsa-sha512",
            include_str!("fixtures/bind-ecdsa-sha512.crt"),
        ),
        ("ed25519", include_str!("fixtures/bind-ed25519.crt")),
    ]);
    let table = include_str!("fixtures/bindings.txt");
    assert_eq!(table.lines().count(), pems.len());
    for line in table.lines() {
        let (name, want) = line.split_once(' ').unwrap();
        let der = CertificateDer::from_pem_slice(pems[name].as_bytes()).unwrap();
        let got = end_point_binding(&der).map_or("none".to_owned(), |hash| {
            hash.iter().map(|byte| format!("{byte:02x}")).collect()
        });
        assert_eq!(got, want, "{name}");
    }
    assert_eq!(end_point_binding(b"no certificate"), None);
}

#[test]
fn both_sides_compute_the_same_binding() {
    let files = files();
    let serving = tls(SslMode::Require, "dns", "");
    let mut pair = pair(
        &files,
        &tls(SslMode::Require, "", ""),
        &serving,
        "db.example",
    );
    pair.shake().unwrap();
    let own = own_binding(&serving, &|path| files.read(path)).unwrap();
    assert!(own.as_ref().is_some_and(|hash| hash.len() == 32));
    assert_eq!(peer_binding(pair.client.connection()), own);
    assert_eq!(
        describe(pair.server.connection()),
        "TLSv1.3/TLS_AES_256_GCM_SHA384"
    );
}

// ---- settings -----------------------------------------------------------

#[test]
fn the_versions_of_the_settings_are_spoken_and_no_others() {
    let files = files();
    let read = |path: &Path| files.read(path);
    for (at_client, at_server, spoken) in [
        (Secure, Secure, Some("TLSv1.3")),
        (Tls12, Secure, Some("TLSv1.2")),
        (Secure, Tls12, Some("TLSv1.2")),
        (Tls13, Secure, Some("TLSv1.3")),
        (Secure, Tls13, Some("TLSv1.3")),
        (Tls12, Tls13, None),
        (Tls13, Tls12, None),
    ] {
        let client = only(at_client, tls(SslMode::Require, "", ""));
        let server = only(at_server, tls(SslMode::Require, "dns", ""));
        let client = client_config(&client, &read).unwrap();
        let server = server_config(&server, &read).unwrap();
        let mut pair = Pair::new(client, server, "h", 1 << 20);
        let result = pair.shake();
        let case = format!("{at_client:?} to {at_server:?}: {result:?}");
        assert_eq!(result.is_ok(), spoken.is_some(), "{case}");
        if let Some(version) = spoken {
            let described = describe(pair.client.connection());
            assert!(described.starts_with(version), "{case}: {described}");
        }
    }
}

#[test]
fn errors_name_the_file_and_never_the_key() {
    let mut files = files();
    let secret = "MIGHSECRETSECRETSECRET";
    files.0.insert("bad.crt".into(), "nothing in here".into());
    files.0.insert(
        "bad.key".into(),
        format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"),
    );
    files.0.insert(
        "locked.key".into(),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".into(),
    );
    let read = |path: &Path| files.read(path);
    let with = |cert: &str, key: &str, ca: &str| {
        let path = |name: &str| (!name.is_empty()).then(|| PathBuf::from(name));
        let mode = SslMode::VerifyFull;
        Tls {
            mode,
            versions: TlsVersions::Secure,
            cert_file: path(cert),
            key_file: path(key),
            ca_file: path(ca),
            direct: false,
        }
    };
    for (tls, want) in [
        (with("", "", "root.crt"), "cert_file is missing"),
        (with("dns.crt", "", "root.crt"), "key_file is missing"),
        (with("dns.crt", "dns.key", ""), "ca_file is missing"),
        (with("gone.crt", "dns.key", "root.crt"), "gone.crt: "),
        (with("dns.crt", "gone.key", "root.crt"), "gone.key: "),
        (
            with("bad.crt", "dns.key", "root.crt"),
            "bad.crt: holds no certificate",
        ),
        (
            with("dns.crt", "bad.key", "root.crt"),
            "bad.key: the private key cannot be used",
        ),
        (
            with("dns.crt", "dns.crt", "root.crt"),
            "dns.crt: holds no private key",
        ),
        (
            with("dns.crt", "locked.key", "root.crt"),
            "locked.key: the private key is encrypted",
        ),
        (
            with("dns.crt", "cn.key", "root.crt"),
            "cn.key: this key does not belong to the certificate in dns.crt",
        ),
        (
            with("v1.crt", "dns.key", "root.crt"),
            "dns.key: this key does not belong",
        ),
        (
            with("dns.crt", "dns.key", "bad.crt"),
            "bad.crt: holds no certificate",
        ),
        (
            with("dns.crt", "dns.key", "system"),
            "at none of the usual places",
        ),
    ] {
        let error = server_config(&tls, &read).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(want), "{text}");
        assert!(!text.contains(secret), "{text}");
    }
    assert!(matches!(
        client_config(&with("", "", ""), &read),
        Err(TlsError::SystemRoots)
    ));
    let by_authority = Tls {
        mode: SslMode::VerifyCa,
        ..with("", "", "")
    };
    assert!(matches!(
        client_config(&by_authority, &read),
        Err(TlsError::Missing("ca_file"))
    ));
    assert!(matches!(
        client_config(&Tls::default(), &read),
        Err(TlsError::Disabled)
    ));
    assert!(matches!(server_name("no host"), Err(TlsError::HostName(_))));
}

// ---- the stream ---------------------------------------------------------

#[test]
fn a_stream_can_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<TlsStream>();
}

#[test]
fn megabytes_pass_a_narrow_wire_whole_and_bounded() {
    // A wire of a few kilobytes makes every call stop in the middle of a record.
    let mut pair = connected(3_000);
    let data: Vec<u8> = (0..1_500_000u32).map(|i| (i * 7 + i / 251) as u8).collect();
    let (mut sent, mut got) = (0, Vec::new());
    let mut buf = vec![0; 5_000];
    let mut blocked = 0;
    while got.len() < data.len() {
        match pair.client.write_plain(&mut pair.client_end, &data[sent..]) {
            Ok(n) => sent += n,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        // What is taken and not yet read never exceeds the buffers of both sides and the wire.
        assert!(
            sent - got.len() <= UNSENT_BYTES_MAX + 3_000 + 40_000,
            "{sent} {}",
            got.len()
        );
        loop {
            match pair.server.read_plain(&mut pair.server_end, &mut buf) {
                Ok(n) => {
                    assert!(n > 0);
                    got.extend_from_slice(&buf[..n]);
                    if !pair.server.has_plain() && pair.server.socket_drained() {
                        break;
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    assert!(!pair.server.has_plain() && pair.server.socket_drained());
                    blocked += 1;
                    break;
                }
            }
        }
    }
    assert!(got == data && sent == data.len() && blocked > 0);
    assert!(!pair.client.wants_write());
}

#[test]
fn plaintext_left_inside_is_reported_and_handed_out() {
    let mut pair = connected(1 << 20);
    assert_eq!(
        pair.server
            .write_plain(&mut pair.server_end, &[7; 1000])
            .unwrap(),
        1000
    );
    let mut buf = [0; 300];
    let mut sizes = Vec::new();
    for _ in 0..3 {
        sizes.push(
            pair.client
                .read_plain(&mut pair.client_end, &mut buf)
                .unwrap(),
        );
        assert!(
            pair.client.has_plain(),
            "the wire is empty, the stream is not"
        );
    }
    sizes.push(
        pair.client
            .read_plain(&mut pair.client_end, &mut buf)
            .unwrap(),
    );
    assert_eq!(sizes, [300, 300, 300, 100]);
    assert!(!pair.client.has_plain() && pair.client.socket_drained());
    let error = pair
        .client
        .read_plain(&mut pair.client_end, &mut buf)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(
        pair.client
            .read_plain(&mut pair.client_end, &mut [])
            .unwrap(),
        0
    );
}

#[test]
fn an_end_with_a_goodbye_differs_from_a_cut() {
    let mut buf = [0; 100];
    for polite in [true, false] {
        let mut pair = connected(1 << 20);
        pair.client
            .write_plain(&mut pair.client_end, b"last")
            .unwrap();
        if polite {
            pair.client.close(&mut pair.client_end).unwrap();
        }
        *pair.server_end.cut.borrow_mut() = true;
        assert_eq!(
            pair.server
                .read_plain(&mut pair.server_end, &mut buf)
                .unwrap(),
            4
        );
        let end = pair
            .server
            .read_plain(&mut pair.server_end, &mut buf)
            .map_err(|error| error.kind());
        assert_eq!(
            end,
            if polite {
                Ok(0)
            } else {
                Err(ErrorKind::UnexpectedEof)
            }
        );
    }
}

#[test]
fn data_written_before_the_handshake_ends_is_bounded_and_arrives() {
    let files = files();
    let mut pair = pair(
        &files,
        &tls(SslMode::Require, "", ""),
        &tls(SslMode::Require, "dns", ""),
        "db.example",
    );
    let big = vec![1; 4 * UNSENT_BYTES_MAX];
    let taken = pair.client.write_plain(&mut pair.client_end, &big).unwrap();
    assert_eq!(taken, UNSENT_BYTES_MAX);
    let again = pair
        .client
        .write_plain(&mut pair.client_end, &big)
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::WouldBlock);
    pair.shake().unwrap();
    let mut buf = vec![0; 2 * UNSENT_BYTES_MAX];
    let mut got = 0;
    while got < taken {
        got += pair
            .server
            .read_plain(&mut pair.server_end, &mut buf[got..])
            .unwrap();
    }
    assert_eq!(got, taken);
}

#[test]
fn bytes_read_before_the_stream_existed_are_fed_to_it() {
    let files = files();
    let mut pair = pair(
        &files,
        &tls(SslMode::Require, "", ""),
        &tls(SslMode::Require, "dns", ""),
        "db.example",
    );
    assert_eq!(
        pair.client
            .handshake(&mut pair.client_end)
            .unwrap_err()
            .kind(),
        ErrorKind::WouldBlock
    );
    let mut first = [0; 20];
    pair.server_end.read_exact(&mut first).unwrap();
    assert_eq!(first[0], 0x16, "a TLS handshake record");
    pair.server.feed(&first).unwrap();
    pair.shake().unwrap();
}

#[test]
fn nonsense_is_an_error_and_answered_with_an_alert() {
    let files = files();
    let mut pair = pair(
        &files,
        &tls(SslMode::Require, "", ""),
        &tls(SslMode::Require, "dns", ""),
        "db.example",
    );
    pair.client_end
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let error = pair.server.handshake(&mut pair.server_end).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let mut answer = [0; 1];
    pair.client_end.read_exact(&mut answer).unwrap();
    assert_eq!(answer[0], 0x15, "a TLS alert");

    let mut pair = connected(1 << 20);
    pair.client
        .write_plain(&mut pair.client_end, b"select 1")
        .unwrap();
    *pair.server_end.inbox.borrow_mut().back_mut().unwrap() ^= 1;
    let error = pair
        .server
        .read_plain(&mut pair.server_end, &mut [0; 100])
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}
