//! Instances find each other in etcd: each has a key with its address, under a lease
//! that ends when it does.

use super::Discovery;
use ::fleet::PEERS_MAX;
use etcd::{Client, Error, Put, Range};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// The key of an instance that died is gone after this; four looks renew it before.
const LEASE: Duration = Duration::from_secs(20);
/// An address that is there no more is asked for so long: etcd that was away gives
/// leases anew, and not to all at once.
const KEPT: Duration = Duration::from_secs(30);

/// This instance's key, and those of the others.
pub(super) struct Seated {
    runtime: Runtime,
    client: Client,
    endpoints: Vec<String>,
    /// What the keys of the fleet begin with.
    prefix: String,
    key: String,
    listen: SocketAddr,
    /// The lease, and the address that was put under it.
    lease: Option<(i64, SocketAddr)>,
    /// When each was there last.
    seen: BTreeMap<SocketAddr, Instant>,
}

impl Seated {
    pub fn new(
        at: &config::Etcd,
        (fleet, instance): (&str, &str),
        listen: SocketAddr,
    ) -> Result<Seated, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build();
        let client = Client::new(etcd::Settings::of(at));
        let prefix = at.seats_prefix(fleet);
        Ok(Seated {
            runtime: runtime.map_err(|error| error.to_string())?,
            client: client.map_err(|error| error.to_string())?,
            endpoints: at.endpoints.clone(),
            key: format!("{prefix}{instance}"),
            prefix,
            listen,
            lease: None,
            seen: BTreeMap::new(),
        })
    }

    /// Where the others reach us: what the settings say, or where we are seen from etcd.
    fn place(&self) -> Result<SocketAddr, String> {
        match self.listen.ip().is_unspecified() {
            false => Ok(self.listen),
            true => self
                .endpoints
                .iter()
                .find_map(|endpoint| way_to(endpoint))
                .map(|ip| SocketAddr::new(ip, self.listen.port()))
                .ok_or_else(|| "no way to etcd: its name is not known".to_owned()),
        }
    }
}

impl Discovery for Seated {
    fn look(&mut self) -> Result<Vec<SocketAddr>, String> {
        let place = self.place()?;
        let found = self.runtime.block_on(async {
            self.lease = renewed(&self.client, self.lease, place, &self.key).await?;
            let range = Range {
                limit: PEERS_MAX as u64 + 1,
                ..Range::prefix(self.prefix.as_str())
            };
            let found = self.client.range(&range).await?;
            if !found.kvs.iter().any(|kv| kv.key == self.key.as_bytes()) {
                // Somebody took it away: the next look puts it there again.
                self.lease = None;
            }
            Ok::<_, Error>(found)
        });
        let found = found.map_err(|error| format!("etcd: {error}"))?;
        let now = Instant::now();
        let read = |value: &[u8]| std::str::from_utf8(value).ok()?.parse().ok();
        let addresses = found.kvs.iter().filter_map(|kv| read(&kv.value));
        for address in addresses.filter(|a: &SocketAddr| a.port() > 0) {
            self.seen.insert(address, now);
        }
        self.seen
            .retain(|_, at| now.saturating_duration_since(*at) < KEPT);
        Ok(self.seen.keys().copied().collect())
    }
}

/// The lease goes on, or there is a new one with our address under it.
async fn renewed(
    client: &Client,
    lease: Option<(i64, SocketAddr)>,
    place: SocketAddr,
    key: &str,
) -> Result<Option<(i64, SocketAddr)>, Error> {
    let held = match lease {
        Some((id, _)) => client.keep_alive(id).await?.map(|lease| lease.id),
        None => None,
    };
    if let (Some(_), Some((_, stated))) = (held, lease)
        && stated == place
    {
        return Ok(lease);
    }
    let id = match held {
        Some(id) => id,
        None => client.grant(LEASE).await?.id,
    };
    client
        .put(&Put::new(key, place.to_string()).under(id))
        .await?;
    Ok(Some((id, place)))
}

impl Drop for Seated {
    fn drop(&mut self) {
        // One that ends says so; where etcd is away, the lease ends by itself.
        if let Some((id, _)) = self.lease {
            let _ = self.runtime.block_on(self.client.revoke(id));
        }
    }
}

/// The address that packets to this endpoint leave from.
fn way_to(endpoint: &str) -> Option<IpAddr> {
    let (scheme, rest) = endpoint.split_once("://")?;
    let authority = rest.trim_end_matches('/');
    let port = match scheme {
        "https" => 443,
        _ => 80,
    };
    let with_port = authority.to_socket_addrs();
    let mut found = with_port
        .or_else(|_| (authority, port).to_socket_addrs())
        .ok()?;
    found.find_map(etcd::own_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_where_it_is_seen_from_etcd() {
        let from = |endpoint: &str| way_to(endpoint).map(|ip| ip.to_string());
        assert_eq!(from("http://127.0.0.1:2379").as_deref(), Some("127.0.0.1"));
        assert_eq!(from("https://127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(from("http://no such name.invalid:1"), None);
        let seated = |listen: &str| {
            let at = config::Etcd {
                endpoints: vec!["http://127.0.0.1:2379".into()],
                prefix: "p".into(),
                ..config::Etcd::default()
            };
            let listen = listen.parse().expect("an address");
            Seated::new(&at, ("shop", "a:1"), listen).expect("settings")
        };
        let any = seated("0.0.0.0:6433");
        assert_eq!(any.place(), Ok("127.0.0.1:6433".parse().expect("one")));
        assert_eq!(any.key, "p/fleet/shop/a:1");
        let stated = seated("10.0.0.7:6433");
        assert_eq!(stated.place(), Ok("10.0.0.7:6433".parse().expect("one")));
    }
}
