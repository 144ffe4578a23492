//! SCRAM: both sides against each other, the RFC's example, and forgeries.

use super::client::ClientFirst;
use super::server::{Proven, ServerFirst};
use super::*;
use proptest::prelude::*;

const NONE: ChannelBinding<'_> = ChannelBinding::Unavailable;
const UNUSED: ChannelBinding<'_> = ChannelBinding::Unused;
const BOUND: ChannelBinding<'_> = ChannelBinding::EndPoint(b"certificate hash");

/// Password "pencil", made by PostgreSQL 15.
const PENCIL: &str = "SCRAM-SHA-256$4096:01M7/lXhmE1nwFnC05K2og==$D6ljuhryX+V7vlwURPvcRV8bKpf5fAgysKGRaiot4VU=:DgmIkbN6CkmIGn8N3q3l+jKpPvUPgn6B9pI7KJE9zwQ=";

fn cheap(password: &[u8]) -> Verifier {
    Verifier::from_password(password, b"a salt", 2)
}

/// Runs both sides against each other. `Ok` when each has proven itself to the other.
fn exchange(
    password: &[u8],
    verifier: &Verifier,
    client: ChannelBinding<'_>,
    server: ChannelBinding<'_>,
) -> Result<Proven, ScramError> {
    let first = ClientFirst::start("clientnonce", client)?;
    let challenge = ServerFirst::start(first.message().as_bytes(), verifier, "more", server)?;
    let need = first.server_first(challenge.message().as_bytes())?;
    let keys = Keys::derive(password, need.salt(), need.iterations());
    let last = need.prove(&keys);
    let proven = challenge.finish(last.message().as_bytes())?;
    last.finish(proven.message.as_bytes())?;
    Ok(proven)
}

/// RFC 7677 §3. Its client sends a user name, which ours does not; so the proof is checked from
/// the server's side and the server's proof recomputed.
#[test]
fn rfc_7677() {
    let salt = decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let verifier = Verifier::from_password(b"pencil", &salt, 4096);
    let challenge = ServerFirst::start(
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        &verifier,
        "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        NONE,
    )
    .unwrap();
    assert_eq!(
        challenge.message(),
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let proven = challenge
        .finish(
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
              p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        )
        .unwrap();
    assert_eq!(
        proven.message,
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    );
    assert_eq!(proven.keys, Keys::derive(b"pencil", &salt, 4096));
}

#[test]
fn the_client_keeps_its_words() {
    // A whole exchange with fixed nonces; the last two messages were computed with Python's
    // hashlib and hmac.
    let first = ClientFirst::start("abc", BOUND).unwrap();
    assert_eq!(first.message(), "p=tls-server-end-point,,n=,r=abc");
    let need = first
        .server_first(b"r=abcdef,s=YSBzYWx0,i=2,x=extension")
        .unwrap();
    assert_eq!((need.salt(), need.iterations()), (&b"a salt"[..], 2));
    let last = need.prove(&Keys::derive(b"pw", b"a salt", 2));
    assert_eq!(
        last.message(),
        "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsY2VydGlmaWNhdGUgaGFzaA==,r=abcdef,p=dtaNT9IfB8PDoUYGVAZnHv/bdTsdx5KF3/doMh4f1hw="
    );
    assert_eq!(
        last.finish(b"v=eke+wcie0yJt00jEoaEfFkNAuSPT8X+44gJXMiUCpFc="),
        Ok(())
    );
}

/// Odd passwords, each with what PostgreSQL 15 stored for it.
#[test]
fn verifiers_made_by_postgresql() {
    let cases: &[(&[u8], &str)] = &[
        (
            b"pencil",
            "SCRAM-SHA-256$4096:01M7/lXhmE1nwFnC05K2og==$D6ljuhryX+V7vlwURPvcRV8bKpf5fAgysKGRaiot4VU=:DgmIkbN6CkmIGn8N3q3l+jKpPvUPgn6B9pI7KJE9zwQ=",
        ),
        (
            b"I\xc2\xadX",
            "SCRAM-SHA-256$4096:uJop6QS2ZFRK2i7IuIHFpw==$uFRLgl631cPt3J0lpFCqFPMUlG02rhnifxjSky9agug=:ae3kOBafN/jLPrXhlrwoGyToh8aereayTxDydRwGIZw=",
        ),
        (
            b"\xc2\xaa",
            "SCRAM-SHA-256$4096:D9tldMxm1aWOgCbZQkqMHA==$WCNy+zWtra5X58dZYEMJWLifr6XyKGiSKiHE3oDye94=:+vo+FoBBeM/d6K+agnXEsjvnNtvwYPqOMQYYrMbTICQ=",
        ),
        (
            b"\xe2\x85\xa8",
            "SCRAM-SHA-256$4096:IhKLeEsSvNA0L1KbsLEMxw==$JN566CoMfE5kSDAyiFREhPF6s9EyKCyi5fjtUATe/lo=:pc3uF3/tq7PPzcuzI/4iU4qqoL2fdWN6WbfIESzu+6Q=",
        ),
        (
            b"a\x07b",
            "SCRAM-SHA-256$4096:8aXiSYvjaoZ30fnc9/Q4EQ==$A9Q5tnyb7glmkZMx1lH/SaGFl0myeS+VBCv971Y8PNk=:mnXv+5NRmyXj49WVw1JbaET0I+skP5V5PwVyROn4r6g=",
        ),
        (
            b"\xd8\xa71",
            "SCRAM-SHA-256$4096:NJCFA9x6Szaaz1rN+U8gCw==$1+kWCnj/qKw5rc185NSnZTz/QsJ6wwXB2/bX0RUvx+w=:QflsOU5ONzoSkRQRI5bFm2WkCaUs4la78k20HRCjSF4=",
        ),
        (
            b"\xd8\xa71\xd8\xa8",
            "SCRAM-SHA-256$4096:B+CxVT+fAHjtHnZr1PnLyQ==$JHZIzyttMP5kV898P/UQXokbCmJ98MxAwb1EAMJofac=:w4Ie6TnTlQuCicnry24hh3vNhwFBzJJNmVw3BgvzSHE=",
        ),
        (
            b"\xc2\xa0x\xe2\x80\x8by",
            "SCRAM-SHA-256$4096:7MazFY6YXDOtI1uLk6/U9w==$tp0PpGjbBH4wELgWHDaaYTO0wmeqPXiMQH8zLUit4HU=:PoZHyoGppikuVka4uMdnhNAB+TdFPDoTnZ0+LprLEFY=",
        ),
        (
            b"\xc2\xad",
            "SCRAM-SHA-256$4096:Jl+nmwFqsw+moGkBsjwf7Q==$BJiglo5qcP/c9UbbzxbYtJdvP3ehoCv5Yy/uSAgIzVE=:67PWZK/3slsyrmLVoZlba9YbWL/2OvQ2lSM6g5SwL7Y=",
        ),
        (
            b"\xc8\xa1",
            "SCRAM-SHA-256$4096:rdDM2esh2FerKnFrXKUduw==$D7+V2wZQgOEIj2C3sf5E/YD8avwqCZSZWjbU98oJRAA=:QGXJxoilYDw8P5KQgtOdsGHIv9ID12wWXDPtCYTcLWk=",
        ),
        (
            b"caf\xc3\xa9",
            "SCRAM-SHA-256$4096:goSWXc6nASOGUL5zphZARw==$7Wu5N6ToIWkZQgVnWAm2AAnhI5ZSHrO6ptI4cmtAfG4=:Hmi/i+tvs2whNiJM5Ig7w6vhPukPBDPZPkngucXLRrA=",
        ),
        (
            b"cafe\xcc\x81",
            "SCRAM-SHA-256$4096:5ai9kXOJuT+xCmfLvPPX+w==$6HAN3dACQHty3AeAypjMv/jewVoXzo/K1Do+yNUoSic=:/7A3OgHJW1itzQC5axSlPplhG7WxZgRTDwL+83ey88E=",
        ),
        (
            b"\xff\xfepw",
            "SCRAM-SHA-256$4096:YI/tjgmfvb0I+fcCnI0scA==$31VrcVgDjkhW0b7HcdrqfTbA28t3RQNZL7f88LI88ZI=:stiOZmiWzWf3JjcRNGC9GuKo/YH/D4qiFg2COyCQB+o=",
        ),
        (
            b"caf\xc3",
            "SCRAM-SHA-256$4096:dyq88+ikgVCYJHTQ61Unmg==$O9foCK0BJARKzewgKSHVv+zzN0u6bTC+rpT9fJUkxC0=:MFMw963IIF0kjLSrAVLpC4XmCAosyqRM5IEM7oviiP8=",
        ),
        (
            b"\xe3\x82\xab\xe3\x82\x99\xef\xbc\xa1",
            "SCRAM-SHA-256$4096:AeovM0xza97NKdNqu+JiVQ==$C7ntPJCBEBLEiJaY8ZA0zTdDg9t1/IW8qJehlGWyqNY=:Ml/hdllL01ssx9lekntECcvTHURSD9Gd1jjFYzr9LVM=",
        ),
        (
            b"\xf0\x9f\x98\x80",
            "SCRAM-SHA-256$4096:PfzRU+XiEBYl4tAi/Qs54g==$5jJWoeVbLFNIYHh0zo42HrFPxw1/GvDSyibuk9q5oxA=:mxT6LUHvuqiMqRgjWgp4N3s6jNbovviYpfNr6eB6+zY=",
        ),
        (
            b"a\xd8\xa7",
            "SCRAM-SHA-256$4096:OrYEnIjcdl/yMOJ0IhP3BQ==$j40swZXcllo4RdU+eXLMWIDwORcgvP+YSl+la6llhKg=:TrcrWADCpnqcB9cN9VHspqohwSavJgUbcfSBzDHIp+w=",
        ),
        (
            b"\xc3\xa9\x07",
            "SCRAM-SHA-256$4096:IK5boO8i1mtu5B3JoIXjAA==$asdmXuItA047IdUt7zOo4ESntFM0Wltfu1CWdfuPSsk=:8goZTdtbwz1s4fah1UM21vtWAmb8ZN+7/ZBbyzWDC54=",
        ),
        (
            b"\xe1\xa0\x86\xe2\x80\x83",
            "SCRAM-SHA-256$4096:BOLTniaSgRunqh1Gmerv+Q==$ax+J/uYNHiwVj6O1qZgzHzxeVJmybREWRFacl765soM=:R8jvMKc1lubKakqH0t4LCWnNsh3efXAwRYrYqF5Bzkk=",
        ),
        (
            b"  sp  ",
            "SCRAM-SHA-256$4096:zkO7adUOnmdz/Vpd70hIAQ==$bGbVQpUx7o4KpI/T9q6TER/M/PKFev7CSCjp20G8MkQ=:u5Jdjaon7QDYZ3ULrrVDyjf/zQEvyv7/ufTCzHrYm7w=",
        ),
        (
            b"\xef\xac\x81",
            "SCRAM-SHA-256$4096:PRyN5N7taB69RjGkm5rxkQ==$hvjMxtMdvDyQmC2uccFkkOa75gMDYbAcdCuV7YAel7o=:B8l0BR8zq3SCrRHgW2ywdmoFTPHurK56pZWDNdc4fMk=",
        ),
        (
            b"\xe2\x80\xa8\xc3\xa9",
            "SCRAM-SHA-256$4096:NyFzL+xYLJabhZX2UqWtMA==$QWnCxeFYxs3NRtfgIdNJ6mowPwyg3Gd1tESPnDVxpok=:bEW/AnNieYwaGdxVK37ZdT4PVzCOnubMftqJ/YBBWh0=",
        ),
        (
            b"\xee\x80\x80x",
            "SCRAM-SHA-256$4096:/PGKKk+9uGIUROxViRiLmg==$PLOt8veYN9M9p95pcKXD3Ede9I82tcakFRBW2iDSY0Q=:Qv7CIN05lBwsutcRSCj4jfSf4z1BIZr0VeF08RosfHw=",
        ),
    ];
    assert_eq!(cases.len(), 23);
    for (password, stored) in cases {
        let verifier: Verifier = stored.parse().unwrap();
        let shown = password.escape_ascii();
        assert!(verifier.verify_password(password), "{shown}");
        assert!(!verifier.verify_password(b"other"), "{shown}");
        assert_eq!(verifier.to_string(), *stored);
    }
}

#[test]
fn preparation() {
    for (password, prepared) in [
        (&b"plain"[..], &b"plain"[..]),
        ("I\u{ad}X".as_bytes(), b"IX"),
        ("\u{aa}".as_bytes(), b"a"),
        ("\u{2168}".as_bytes(), b"IX"),
        ("\u{a0}".as_bytes(), b" "),
        // Taken as they are: empty once mapped, a control character, mixed directions, not UTF-8.
        ("\u{ad}".as_bytes(), "\u{ad}".as_bytes()),
        ("\u{aa}\u{7}".as_bytes(), "\u{aa}\u{7}".as_bytes()),
        ("\u{627}1".as_bytes(), "\u{627}1".as_bytes()),
        (b"\xc2", b"\xc2"),
        (b"", b""),
    ] {
        assert_eq!(&*prepare(password), prepared, "{}", password.escape_ascii());
    }
}

#[test]
fn verifier_text() {
    let good: Verifier = PENCIL.parse().unwrap();
    assert_eq!((good.iterations(), good.salt().len()), (4096, SALT_LEN));
    assert_eq!(format!("{good:?}"), "Verifier { iterations: 4096, .. }");
    let wrong = [
        String::new(),
        "pencil".into(),
        "md5132ecbcbfa11be529b63ea4c4e734056".into(),
        PENCIL.to_lowercase(),
        PENCIL.replace("4096", "0"),
        PENCIL.replace("4096", "-1"),
        PENCIL.replace("4096", "+1"),
        PENCIL.replace("4096", ""),
        PENCIL.replace("4096", "2147483648"),
        PENCIL.replace("4096", "99999999999999999999"),
        PENCIL.replace("01M7/", "01M7!"),
        PENCIL.replace(":Dgm", "$Dgm"),
        PENCIL.replace("$D6l", "$"),
        PENCIL.replace("zwQ=", "zw=="),
        PENCIL[..PENCIL.len() - 1].into(),
        format!("{PENCIL} "),
    ];
    for text in wrong {
        assert_eq!(text.parse::<Verifier>(), Err(VerifierError), "{text}");
    }
}

#[test]
fn a_dear_verifier_parses_but_is_not_derived() {
    let dear: Verifier = PENCIL.replace("4096", "2147483647").parse().unwrap();
    assert_eq!(dear.iterations(), 2_147_483_647);
    assert!(!dear.verify_password(b"pencil"));
}

#[test]
fn both_sides_agree() {
    let verifier = cheap(b"pw");
    for (client, server) in [(NONE, NONE), (UNUSED, NONE), (NONE, UNUSED), (BOUND, BOUND)] {
        let proven = exchange(b"pw", &verifier, client, server).unwrap();
        assert!(verifier.accepts(&proven.keys), "{client:?} {server:?}");
    }
    let wrong = exchange(b"other", &verifier, NONE, NONE);
    assert_eq!(wrong.unwrap_err(), ScramError::WrongPassword);
}

#[test]
fn binding_rules() {
    let other = ChannelBinding::EndPoint(b"another certificate");
    for (client, server, error) in [
        (NONE, BOUND, ScramError::MissingBinding),
        (UNUSED, BOUND, ScramError::MissingBinding),
        (UNUSED, UNUSED, ScramError::Downgrade),
        (BOUND, NONE, ScramError::UnexpectedBinding),
        (BOUND, UNUSED, ScramError::UnexpectedBinding),
        (other, BOUND, ScramError::BindingMismatch),
    ] {
        let result = exchange(b"pw", &cheap(b"pw"), client, server);
        assert_eq!(result.unwrap_err(), error, "{client:?} {server:?}");
    }
}

#[test]
fn unknown_users_look_like_others() {
    let mock = Verifier::mock("nobody", b"seed");
    let challenge = |verifier: &Verifier| {
        let first = ServerFirst::start(b"n,,n=,r=c", verifier, "s", NONE).unwrap();
        first.message().to_owned()
    };
    assert_eq!(
        challenge(&mock),
        challenge(&Verifier::mock("nobody", b"seed"))
    );
    assert_ne!(mock.salt(), Verifier::mock("nobody", b"other seed").salt());
    assert_ne!(mock.salt(), Verifier::mock("somebody", b"seed").salt());
    let real: Verifier = PENCIL.parse().unwrap();
    assert_eq!(challenge(&mock).len(), challenge(&real).len());
    let result = exchange(b"pw", &mock.with_iterations(2), NONE, NONE);
    assert_eq!(result.unwrap_err(), ScramError::WrongPassword);
    // Even the password whose keys it would have does not log in.
    let stolen = Verifier {
        mock: true,
        ..cheap(b"pw")
    };
    assert_eq!(
        exchange(b"pw", &stolen, NONE, NONE).unwrap_err(),
        ScramError::WrongPassword
    );
    assert!(!stolen.verify_password(b"pw"));
}

#[test]
fn wrong_client_first() {
    use ScramError::*;
    let long = format!("n,,n=,r={}", "x".repeat(MESSAGE_MAX));
    for (message, error) in [
        ("", Malformed("gs2 header")),
        ("n", Malformed("gs2 header")),
        ("n,", Malformed("gs2 header")),
        ("x,,n=,r=c", Malformed("gs2 header")),
        ("n,x,n=,r=c", Malformed("gs2 header")),
        ("n,a=root,n=,r=c", AuthorizationIdentity),
        ("p=tls-unique,,n=,r=c", UnexpectedBinding),
        ("n,,m=x,n=,r=c", MandatoryExtension),
        ("n,,r=c", Malformed("user name")),
        ("n,,n=", Malformed("client nonce")),
        ("n,,n=,r=", Malformed("client nonce")),
        ("n,,n=,r=a b", Malformed("client nonce")),
        ("n,,n=,r=é", Malformed("client nonce")),
        (&long, TooLong),
    ] {
        let result = ServerFirst::start(message.as_bytes(), &cheap(b"pw"), "s", NONE);
        assert_eq!(result.err(), Some(error), "{message}");
    }
    let start = |message: &[u8], nonce, binding| {
        ServerFirst::start(message, &cheap(b"pw"), nonce, binding).err()
    };
    assert_eq!(start(b"\xff", "s", NONE), Some(Malformed("encoding")));
    assert_eq!(
        start(b"p=tls-unique,,n=,r=c", "s", BOUND),
        Some(BindingType)
    );
    assert_eq!(start(b"n,,n=,r=c", "", NONE), Some(Nonce));
    assert_eq!(start(b"n,,n=joe=2C,r=c,x=extension", "s", NONE), None);
}

#[test]
fn wrong_client_final() {
    use ScramError::*;
    let proof = encode([0; 32]);
    for (message, error) in [
        ("".into(), Malformed("channel binding")),
        ("c=biws".into(), Malformed("nonce")),
        ("c=biws,r=cs".into(), Malformed("proof")),
        ("c=biws,r=cs,p=".into(), Malformed("proof")),
        (format!("c=biws,r=cs,p={proof},x=y"), Malformed("proof")),
        ("c=biws,r=cs,p=AAAA".into(), Malformed("proof")),
        (format!("c=eSws,r=cs,p={proof}"), BindingMismatch),
        (format!("c=,r=cs,p={proof}"), BindingMismatch),
        (format!("c=biws,r=c,p={proof}"), Nonce),
        (format!("c=biws,r=cst,p={proof}"), Nonce),
        (format!("c=biws,r=cs,p={proof}"), WrongPassword),
        (format!("c=biws,r=cs,x=y,p={proof}"), WrongPassword),
    ] {
        let first = ServerFirst::start(b"n,,n=,r=c", &cheap(b"pw"), "s", NONE).unwrap();
        assert_eq!(
            first.finish(message.as_bytes()).err(),
            Some(error),
            "{message}"
        );
    }
}

#[test]
fn wrong_server_first() {
    use ScramError::*;
    for (message, error) in [
        ("", Malformed("server nonce")),
        ("e=other-error", Malformed("server nonce")),
        ("m=x,r=cs,s=YQ==,i=1", MandatoryExtension),
        ("r=c,s=YQ==,i=1", Nonce),
        ("r=x,s=YQ==,i=1", Nonce),
        ("r=,s=YQ==,i=1", Nonce),
        ("r=cs", Malformed("salt")),
        ("r=cs,s=,i=1", Malformed("salt")),
        ("r=cs,s=YQ,i=1", Malformed("salt")),
        ("r=cs,s=YQ==", Malformed("iteration count")),
        ("r=cs,s=YQ==,i=", Malformed("iteration count")),
        ("r=cs,s=YQ==,i=-1", Malformed("iteration count")),
        ("r=cs,s=YQ==,i=1x", Malformed("iteration count")),
        ("r=cs,s=YQ==,i=0", Iterations),
        ("r=cs,s=YQ==,i=1000001", Iterations),
        ("r=cs,s=YQ==,i=99999999999999999999", Iterations),
    ] {
        let result = ClientFirst::start("c", NONE)
            .unwrap()
            .server_first(message.as_bytes());
        assert_eq!(result.err(), Some(error), "{message}");
    }
    let most = ClientFirst::start("c", NONE)
        .unwrap()
        .server_first(b"r=cs,s=YQ==,i=1000000");
    assert_eq!(most.unwrap().iterations(), ITERATIONS_MAX);
    assert_eq!(ClientFirst::start("a,b", NONE).err(), Some(Nonce));
}

#[test]
fn wrong_server_final() {
    use ScramError::*;
    let zero = encode([0; 32]);
    for (message, error) in [
        ("".into(), Malformed("server signature")),
        ("v=".into(), Malformed("server signature")),
        ("v=AAAA".into(), Malformed("server signature")),
        ("e=invalid-proof".into(), ServerRefused),
        (format!("v={zero}"), WrongServer),
    ] {
        let first = ClientFirst::start("c", NONE).unwrap();
        let need = first.server_first(b"r=cs,s=YQ==,i=1").unwrap();
        let last = need.prove(&Keys::derive(b"pw", b"a", 1));
        assert_eq!(last.finish(message.as_bytes()), Err(error), "{message}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let keys = Keys::derive(b"pw", b"a", 1);
    let first = ClientFirst::start("c", BOUND).unwrap();
    let shown = format!("{keys:?} {first:?} {BOUND:?} {:?}", cheap(b"pw"));
    assert_eq!(
        shown,
        "Keys(…) ClientFirst(…) EndPoint(…) Verifier { iterations: 2, .. }"
    );
}

/// Certificates made by OpenSSL 3.0; each file is named after its signature algorithm.
#[test]
fn certificate_hashes() {
    use binding::{Hash, end_point};
    for (certificate, hash) in [
        (&include_bytes!("testdata/ec1.der")[..], Some(Hash::Sha256)),
        (include_bytes!("testdata/ec256.der"), Some(Hash::Sha256)),
        (include_bytes!("testdata/ec384.der"), Some(Hash::Sha384)),
        (include_bytes!("testdata/rsa512.der"), Some(Hash::Sha512)),
        (include_bytes!("testdata/pss.der"), Some(Hash::Sha384)),
        (include_bytes!("testdata/pss1.der"), Some(Hash::Sha256)),
        (include_bytes!("testdata/ed.der"), None),
        (b"", None),
        (b"\x30\x84\xff\xff\xff\xff", None),
        (b"\x30\x80\x30\x00", None),
    ] {
        assert_eq!(Hash::of_certificate(certificate), hash);
        assert_eq!(end_point(certificate).is_some(), hash.is_some());
    }
    let bound = end_point(include_bytes!("testdata/ec384.der")).unwrap();
    let digits: String = bound.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        digits,
        "7dd53da10c187f8ab9b4776a6b03dff6738fd5ce86b3a8e23a1bfaade46d9bf0b82e57121aae3d100e1f64d305158e2c"
    );
    // SHA-1 is replaced by SHA-256.
    let bound = end_point(include_bytes!("testdata/ec1.der")).unwrap();
    assert_eq!(bound, sha256(include_bytes!("testdata/ec1.der")));
}

proptest! {
    #[test]
    fn any_password_logs_in_and_no_other(
        password in prop::collection::vec(any::<u8>(), 0..40),
        other in prop::collection::vec(any::<u8>(), 0..40),
        salt in prop::collection::vec(any::<u8>(), 1..40),
        iterations in 1_u32..20,
        data in prop::collection::vec(any::<u8>(), 0..64),
        bound: bool,
    ) {
        let binding = if bound { ChannelBinding::EndPoint(&data) } else { NONE };
        let verifier = Verifier::from_password(&password, &salt, iterations);
        let read: Verifier = verifier.to_string().parse().unwrap();
        prop_assert_eq!(&read, &verifier);
        let proven = exchange(&password, &read, binding, binding).unwrap();
        // The keys that the proof reveals log in again, without the password.
        prop_assert!(verifier.accepts(&proven.keys));
        let again = exchange(&other, &read, binding, binding);
        prop_assert_eq!(again.is_ok(), prepare(&password) == prepare(&other));
    }

    #[test]
    fn text_passwords_prepare_once(password in "\\PC{0,12}") {
        let once = prepare(password.as_bytes()).into_owned();
        prop_assert_eq!(prepare(&once).into_owned(), once.clone());
    }
}
