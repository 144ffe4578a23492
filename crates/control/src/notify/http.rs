//! One POST over a connection of its own: bounded in time and bytes, without
//! redirects, and only to addresses that a notifier may have.

use super::send::Fault;
use super::tls;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// For the name, the socket and TLS.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// For all of it.
const TIME_MAX: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// Of an answer's body; more is not read.
const BODY_MAX: usize = 64 << 10;
/// Of an answer's head.
const HEAD_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// What is asked.
pub(super) struct Post<'a> {
    pub url: &'a str,
    pub body: String,
    pub bearer: Option<&'a str>,
    pub ca_file: Option<&'a str>,
}

/// Sends it. Any 2xx is good, whatever the body says.
pub(super) async fn post(post: Post<'_>) -> Result<(), Fault> {
    let late = |_| Fault::passing("no answer within 10 s");
    tokio::time::timeout(TIME_MAX, exchange(post))
        .await
        .map_err(late)?
}

async fn exchange(post: Post<'_>) -> Result<(), Fault> {
    let uri: Uri = post
        .url
        .parse()
        .map_err(|_| Fault::lasting("the address cannot be read"))?;
    let host = uri.host().unwrap_or_default().to_owned();
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(Fault::lasting("the address is neither http nor https")),
    };
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let request = request(&uri, &host, &post)?;
    let late = |_| Fault::passing("no connection within 5 s");
    if !secure {
        let socket = tokio::time::timeout(CONNECT_TIME_MAX, connect(&host, port)).await;
        return converse(socket.map_err(late)??, request).await;
    }
    let connector = tls::connector(post.ca_file)?;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|_| Fault::lasting("the host's name cannot be checked"))?;
    let connected = async {
        let socket = connect(&host, port).await?;
        let refused = |e: std::io::Error| Fault::passing(&format!("TLS failed: {e}"));
        connector.connect(name, socket).await.map_err(refused)
    };
    let stream = tokio::time::timeout(CONNECT_TIME_MAX, connected).await;
    converse(stream.map_err(late)??, request).await
}

fn request(uri: &Uri, host: &str, post: &Post<'_>) -> Result<Request<Full<Bytes>>, Fault> {
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let authority = uri.authority().map_or(host, |a| a.as_str());
    let mut request = Request::post(path)
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .header(
            header::USER_AGENT,
            concat!("plimsoll/", env!("CARGO_PKG_VERSION")),
        );
    if let Some(token) = post.bearer {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    request
        .body(Full::new(Bytes::from(post.body.clone())))
        .map_err(|_| Fault::lasting("the address or the token has characters that cannot be sent"))
}

/// Looks the name up, and connects to an address that was checked: a name that
/// says something else the next time is not asked again.
async fn connect(host: &str, port: u16) -> Result<TcpStream, Fault> {
    let bare = host.trim_matches(['[', ']']);
    let found: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => tokio::net::lookup_host((bare, port))
            .await
            .map_err(|_| Fault::passing("the host's name is not known"))?
            .take(ADDRESSES_MAX)
            .collect(),
    };
    if let Some(bad) = found.iter().find(|a| forbidden(a.ip())) {
        return Err(Fault::lasting(&format!(
            "the host leads to {}, where no notifier may be",
            bad.ip()
        )));
    }
    let mut last = Fault::passing("the host has no address");
    for address in found {
        match TcpStream::connect(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Fault::passing(&format!("cannot connect: {}", error.kind())),
        }
    }
    Err(last)
}

/// Link-local addresses, those of clouds' metadata services, and what is no
/// address of a host.
fn forbidden(address: IpAddr) -> bool {
    const METADATA_V4: [Ipv4Addr; 2] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || METADATA_V4.contains(&v4)
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => forbidden(IpAddr::V4(v4)),
            None => {
                v6.is_unicast_link_local()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6 == METADATA_V6
            }
        },
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(), Fault> {
    let broken = |_| Fault::passing("it closed the connection or answered nonsense");
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // It ends with this conversation, whatever the other side does.
    let task = Ending(tokio::spawn(async move {
        let _ = connection.await;
    }));
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    // A short answer may say why; nothing of it is shown, it may echo a secret.
    let _ = Limited::new(response.into_body(), BODY_MAX).collect().await;
    drop(task);
    let text = format!("it answered {}", status.as_u16());
    if status.is_redirection() {
        return Err(Fault::lasting(&format!(
            "{text}; redirects are not followed"
        )));
    }
    let again = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    Err(match again {
        true => Fault::passing(&text),
        false => Fault::lasting(&text),
    })
}

struct Ending(tokio::task::JoinHandle<()>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_neighbours_are_no_notifiers() {
        for bad in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(forbidden(bad.parse().unwrap()), "{bad}");
        }
        for good in [
            "127.0.0.1",
            "::1",
            "10.0.0.8",
            "192.168.1.1",
            "1.1.1.1",
            "fd00::8",
        ] {
            assert!(!forbidden(good.parse().unwrap()), "{good}");
        }
    }
}
