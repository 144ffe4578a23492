//! A plain TCP proxy on loopback, as a sidecar or a tunnel is: it hides what the kernel knows of the way behind it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// Listens on a free port of loopback and passes every connection on.
pub fn start(
    host: &str,
    port: u16,
    over: &Arc<AtomicBool>,
) -> Result<(u16, JoinHandle<()>), String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("proxy: {e}"))?;
    listener
        .set_nonblocking(true)
        .map_err(|e| format!("proxy: {e}"))?;
    let own = listener
        .local_addr()
        .map_err(|e| format!("proxy: {e}"))?
        .port();
    let (host, over) = (host.to_owned(), over.clone());
    let thread = std::thread::spawn(move || {
        while !over.load(Relaxed) {
            match listener.accept() {
                Ok((near, _)) => {
                    let host = host.clone();
                    std::thread::spawn(move || pass(near, &host, port));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    });
    Ok((own, thread))
}

fn pass(near: TcpStream, host: &str, port: u16) {
    let _ = near.set_nonblocking(false);
    let Ok(far) = TcpStream::connect((host, port)) else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (Ok(near_again), Ok(far_again)) = (near.try_clone(), far.try_clone()) else {
        return;
    };
    let back = std::thread::spawn(move || copy(far_again, near_again));
    copy(near, far);
    let _ = back.join();
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 || to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}
