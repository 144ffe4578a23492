//! A panic planted in one pool, with a stand-in for PostgreSQL behind.

use crate::{Handle, Proxy};
use events::{CloseReason, RefuseReason};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for anything here.
const PATIENCE: Duration = Duration::from_secs(20);

fn message(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let mut body = vec![0; len.saturating_sub(4)];
    stream.read_exact(&mut body)?;
    Ok((head[0], body))
}

/// Says yes to every login, and answers each query at once; BEGIN begins.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let mut packet = vec![0; u32::from_be_bytes(len) as usize - 4];
    stream.read_exact(&mut packet)?;
    let mut out = Vec::new();
    wire::back::auth_ok(&mut out);
    wire::back::backend_key(&mut out, 7, &[1, 2, 3, 4]);
    wire::back::ready(&mut out, wire::back::Status::Idle);
    stream.write_all(&out)?;
    loop {
        let (tag, body) = message(&mut stream)?;
        if tag != b'Q' {
            continue;
        }
        let begins = body.starts_with(b"begin");
        let status = match begins {
            true => wire::back::Status::Transaction,
            false => wire::back::Status::Idle,
        };
        let mut out = Vec::new();
        wire::back::command_complete(&mut out, if begins { "BEGIN" } else { "SELECT 0" });
        wire::back::ready(&mut out, status);
        stream.write_all(&out)?;
    }
}

/// The stand-in's port, and how many connections it has open.
fn server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let _ = serve(stream);
                count.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (port, open)
}

fn proxy(server: u16, workers: u16) -> Proxy {
    let text = format!(
        "[databases]\nbroken = host=127.0.0.1 port={server} user=app\n\
         whole = host=127.0.0.1 port={server} user=app\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nauth_type = any\npool_mode = transaction\n\
         server_tls_sslmode = disable\ndefault_pool_size = 5\n"
    );
    let source = move |_: &Path| Ok(text.clone().into_bytes());
    let mut plan =
        config::load("test.ini".as_ref(), &source).unwrap_or_else(|e| panic!("{}", e.render()));
    plan.listen[0].port = 0;
    plan.unix_socket_dir = None;
    plan.workers = Some(workers);
    Proxy::start(plan, Box::new(crate::NoFile)).expect("it starts")
}

struct Client(TcpStream);

impl Client {
    fn login(handle: &Handle, database: &str) -> Client {
        let stream = TcpStream::connect(handle.addresses()[0]).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let mut client = Client(stream);
        let mut out = Vec::new();
        wire::front::startup(&mut out, 0, [("user", "anna"), ("database", database)]);
        client.0.write_all(&out).expect("send");
        assert_eq!(client.read_until_ready(), None, "login to {database}");
        client
    }

    fn send(&mut self, sql: &str) {
        let mut out = Vec::new();
        wire::front::query(&mut out, sql.as_bytes());
        self.0.write_all(&out).expect("send");
    }

    /// Reads up to ReadyForQuery; the SQLSTATE of an error, if one came.
    fn read_until_ready(&mut self) -> Option<String> {
        let mut code = None;
        loop {
            match message(&mut self.0) {
                Ok((b'Z', _)) => return code,
                Ok((b'E', body)) => code = Some(code_of(&body)),
                Ok(_) => {}
                Err(error) if code.is_none() => panic!("no answer: {error}"),
                Err(_) => return code,
            }
        }
    }

    /// The error that it is told, and that it is closed after it.
    fn farewell(mut self) -> String {
        let mut code = String::new();
        loop {
            match message(&mut self.0) {
                Ok((b'E', body)) => code = code_of(&body),
                Ok(other) => panic!("{:?}", char::from(other.0)),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
                    return code;
                }
            }
        }
    }
}

fn code_of(body: &[u8]) -> String {
    let fields = wire::back::ErrorFields::parse(body).expect("an error");
    fields.code().to_owned()
}

fn until(what: &str, mut met: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::yield_now();
    }
}

fn plant(handle: &Handle, database: &str) {
    *handle.common().panic_in.lock().expect("not poisoned") = Some(database.into());
}

/// With two workers the pool's clients live on both: all of them end.
#[test]
fn a_panic_ends_its_pool_and_nobody_else() {
    for workers in [1, 2] {
        let (port, open) = server();
        let proxy = proxy(port, workers);
        let handle = proxy.handle();
        let mut idle = Client::login(&handle, "broken");
        let mut busy = Client::login(&handle, "broken");
        let mut fatal = Client::login(&handle, "broken");
        for client in [&mut idle, &mut busy] {
            client.send("select");
            assert_eq!(client.read_until_ready(), None);
        }
        busy.send("begin");
        assert_eq!(busy.read_until_ready(), None);

        // Others go on all the time, also in the middle of a transaction.
        let stop = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicUsize::new(0));
        let others: Vec<_> = (0..3)
            .map(|i| {
                let mut client = Client::login(&handle, "whole");
                let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        client.send(if i == 0 { "begin" } else { "select" });
                        assert_eq!(client.read_until_ready(), None, "another pool's client");
                        client.send("select");
                        assert_eq!(client.read_until_ready(), None, "another pool's client");
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        until("traffic", || served.load(Ordering::Relaxed) > 50);

        plant(&handle, "broken");
        fatal.send("select");
        assert_eq!(fatal.farewell(), "XX000");
        assert_eq!(idle.farewell(), "XX000");
        assert_eq!(busy.farewell(), "XX000");
        let before = served.load(Ordering::Relaxed);
        until("traffic", || served.load(Ordering::Relaxed) > before + 50);

        // The pool is empty, and serves afresh.
        let pool = |handle: &Handle| {
            let snapshot = handle.snapshot(false);
            let found = snapshot.pools.iter().find(|p| p.database == "broken");
            found.cloned().expect("the pool")
        };
        until("the empty pool", || {
            let pool = pool(&handle);
            pool.cl_active + pool.cl_waiting + pool.sv_active + pool.sv_idle + pool.sv_login == 0
        });
        let mut after = Client::login(&handle, "broken");
        after.send("select");
        assert_eq!(after.read_until_ready(), None);

        let snapshot = handle.snapshot(false);
        let panics: u64 = snapshot.workers.iter().map(|w| w.panics).sum();
        assert_eq!(panics, 1);
        // Three clients and at least the connection that was lent.
        assert!(snapshot.closed(CloseReason::Panic) >= 4, "{snapshot:?}");
        assert_eq!(snapshot.refused(RefuseReason::Panic), 0);

        stop.store(true, Ordering::Relaxed);
        for other in others {
            other.join().expect("nobody else noticed");
        }
        handle.stop_now();
        proxy.join();
        until("the end of all connections", || {
            open.load(Ordering::SeqCst) == 0
        });
    }
}

/// Panic after panic: the worker lives, nothing leaks, the charge comes back.
#[test]
fn many_panics_leave_no_charge_behind() {
    let (port, open) = server();
    let proxy = proxy(port, 1);
    let handle = proxy.handle();
    for _ in 0..30 {
        let mut client = Client::login(&handle, "broken");
        client.send("select");
        assert_eq!(client.read_until_ready(), None);
        plant(&handle, "broken");
        client.send("select");
        assert_eq!(client.farewell(), "XX000");
    }
    until("the end of the pool's connections", || {
        open.load(Ordering::SeqCst) == 0
    });
    assert_eq!(handle.clients(), 0);
    let snapshot = handle.snapshot(false);
    assert_eq!(snapshot.workers[0].panics, 30);
    assert_eq!(snapshot.workers[0].clients, 0);
    handle.stop_now();
    proxy.join();
}
