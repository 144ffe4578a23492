//! Memory of idle clients, with TLS and without: PSS of a pooler's process.
//!
//! `cargo run --release -p plimsoll-proxy --example idle_memory -- target/release/plimsoll [CLIENTS]`
//!
//! Starts that pooler with a certificate made here, before a stand-in for
//! PostgreSQL in this process. All clients log in and run one query; then the
//! growth of PSS (`/proc/PID/smaps_rollup`) is divided by their number.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let program = words.next().ok_or("which pooler? give the path")?;
    let clients: usize = words.next().map_or(Ok(1000), |n| n.parse())?;
    let dir = std::env::temp_dir().join(format!("plimsoll-idle-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let result = measure(&program, clients, &dir);
    std::fs::remove_dir_all(&dir)?;
    result
}

fn measure(program: &str, clients: usize, dir: &Path) -> Result<(), Failure> {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (cert, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
    std::fs::write(dir.join("cert.pem"), &cert)?;
    std::fs::write(dir.join("key.pem"), &key)?;
    let tls = tls_config(&cert)?;
    for encrypted in [false, true] {
        // A process each, so that one's freed memory does not serve the other.
        let mut pooler = Pooler::start(program, clients, stand_in()?, dir)?;
        let connect = |port| match encrypted {
            true => Client::tls(port, &tls),
            false => Client::plain(port),
        };
        let mut held = vec![connect(pooler.port)?];
        let before = settled_pss(&pooler.child)?;
        for _ in 0..clients {
            held.push(connect(pooler.port)?);
        }
        let after = settled_pss(&pooler.child)?;
        println!(
            "{}: {} idle clients, PSS {before} → {after} KiB, {:.2} KiB per client",
            if encrypted { "TLS" } else { "plain" },
            clients,
            (after as f64 - before as f64) / clients as f64
        );
        pooler.child.kill()?;
        pooler.child.wait()?;
    }
    Ok(())
}

struct Pooler {
    child: Child,
    port: u16,
}

impl Pooler {
    fn start(program: &str, clients: usize, server: u16, dir: &Path) -> Result<Pooler, Failure> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        let text = format!(
            "[databases]\napp = host=127.0.0.1 port={server} user=app\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\nmax_client_conn = {}\n\
             server_tls_sslmode = disable\nclient_tls_sslmode = allow\n\
             client_tls_cert_file = {}\nclient_tls_key_file = {}\n",
            clients + 50,
            cert.display(),
            key.display()
        );
        let file = dir.join("pgbouncer.ini");
        std::fs::write(&file, text)?;
        let child = Command::new(program)
            .arg("run")
            .arg(&file)
            .args(["--log-level", "error"])
            .spawn()?;
        let pooler = Pooler { child, port };
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > end {
                return Err("the pooler does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(pooler)
    }
}

/// PSS in KiB once it no longer changes.
fn settled_pss(child: &Child) -> Result<u64, Failure> {
    let path = format!("/proc/{}/smaps_rollup", child.id());
    let read = || -> Result<u64, Failure> {
        let text = std::fs::read_to_string(&path)?;
        let line = text.lines().find_map(|l| l.strip_prefix("Pss:"));
        let kib = line.and_then(|l| l.trim().strip_suffix(" kB")?.parse().ok());
        kib.ok_or_else(|| "no Pss in smaps_rollup".into())
    };
    let mut last = read()?;
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(250));
        let now = read()?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last)
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// A client that has run a query and now keeps still.
struct Client(Box<dyn ReadWrite>);

impl Client {
    fn plain(port: u16) -> Result<Client, Failure> {
        Client(Box::new(TcpStream::connect(("127.0.0.1", port))?)).login()
    }

    fn tls(port: u16, config: &Arc<rustls::ClientConfig>) -> Result<Client, Failure> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        let mut request = Vec::new();
        wire::front::ssl_request(&mut request);
        stream.write_all(&request)?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        if answer != *b"S" {
            return Err("the pooler offers no TLS".into());
        }
        let name = ServerName::try_from("localhost")?;
        let session = rustls::ClientConnection::new(Arc::clone(config), name)?;
        Client(Box::new(rustls::StreamOwned::new(session, stream))).login()
    }

    fn login(mut self) -> Result<Client, Failure> {
        let mut out = Vec::new();
        wire::front::startup(&mut out, 0, [("user", "anna"), ("database", "app")]);
        self.0.write_all(&out)?;
        self.read_until_ready()?;
        let mut out = Vec::new();
        wire::front::query(&mut out, b"select 1");
        self.0.write_all(&out)?;
        self.read_until_ready()?;
        Ok(self)
    }

    fn read_until_ready(&mut self) -> Result<(), Failure> {
        loop {
            match message(&mut self.0)?.0 {
                b'Z' => return Ok(()),
                b'E' => return Err("the pooler sent an error".into()),
                _ => {}
            }
        }
    }
}

fn tls_config(cert: &str) -> Result<Arc<rustls::ClientConfig>, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(cert.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn message(stream: &mut dyn Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let mut body = vec![0; len.saturating_sub(4)];
    stream.read_exact(&mut body)?;
    Ok((head[0], body))
}

/// Says yes to every login, and answers each query at once.
fn stand_in() -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(port)
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let mut packet = vec![0; (u32::from_be_bytes(len) as usize).saturating_sub(4)];
    stream.read_exact(&mut packet)?;
    let mut out = Vec::new();
    wire::back::auth_ok(&mut out);
    wire::back::backend_key(&mut out, 7, &[1, 2, 3, 4]);
    wire::back::ready(&mut out, wire::back::Status::Idle);
    stream.write_all(&out)?;
    loop {
        let (tag, _) = message(&mut stream)?;
        if tag == b'Q' {
            let mut out = Vec::new();
            wire::back::command_complete(&mut out, "SELECT 0");
            wire::back::ready(&mut out, wire::back::Status::Idle);
            stream.write_all(&out)?;
        }
    }
}
