//! Where the other instances are.

mod seated;

use crate::Source;
use config::{Discover, Plan};
use seated::Seated;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

/// A way of finding the addresses of all instances. Called on a thread of its own,
/// every few seconds: it may wait.
pub trait Discovery: Send {
    /// The addresses of now; this instance's own may be among them.
    ///
    /// # Errors
    /// Why they are not known. Those that were found before hold on.
    fn look(&mut self) -> Result<Vec<SocketAddr>, String>;
}

/// The way that a plan asks for, for this instance.
///
/// # Errors
/// The way cannot be gone by these settings.
pub(super) fn of(
    plan: &Plan,
    instance: &str,
    source: &Arc<dyn Source>,
) -> Result<Box<dyn Discovery>, String> {
    let channel = &plan.fleet;
    Ok(match channel.discover {
        Discover::Etcd => {
            let listen = channel.listen.ok_or("there is no `listen` in [fleet]")?;
            let who = (plan.monitor.fleet.as_str(), instance);
            Box::new(Seated::new(&plan.etcd, who, listen)?)
        }
        Discover::Static => Box::new(Listed(channel.addresses())),
        Discover::Dns => Box::new(Named(channel.dns.clone())),
        Discover::View => Box::new(Seen {
            port: channel.listen.map_or(0, |listen| listen.port()),
            source: Arc::clone(source),
        }),
    })
}

/// Those that the settings list.
struct Listed(Vec<SocketAddr>);

impl Discovery for Listed {
    fn look(&mut self) -> Result<Vec<SocketAddr>, String> {
        Ok(self.0.clone())
    }
}

/// All addresses of a name.
struct Named(String);

impl Discovery for Named {
    fn look(&mut self) -> Result<Vec<SocketAddr>, String> {
        let found = self.0.to_socket_addrs();
        let found = found.map_err(|error| format!("{} is not known: {error}", self.0))?;
        let mut found: Vec<SocketAddr> = found.collect();
        found.sort_unstable();
        found.dedup();
        match found.is_empty() {
            true => Err(format!("{} has no address", self.0)),
            false => Ok(found),
        }
    }
}

/// Where the sessions of the others come from, with the port that all use.
struct Seen {
    port: u16,
    source: Arc<dyn Source>,
}

impl Discovery for Seen {
    fn look(&mut self) -> Result<Vec<SocketAddr>, String> {
        let snapshot = self.source.snapshot(false);
        let read = |b: &&events::snapshot::BudgetRow| b.reading_age_us.is_some();
        if !snapshot.budgets.iter().any(|b| read(&b)) {
            return Err("no monitor session has read a server's activity view yet".to_owned());
        }
        let places = snapshot.budgets.iter().flat_map(|b| &b.peers_at);
        let mut found: Vec<SocketAddr> = places
            .map(|place| SocketAddr::new(*place, self.port))
            .collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_all_its_addresses_and_a_wrong_one_none() {
        let found = Named("localhost:6433".into()).look().expect("it is known");
        assert!(
            found
                .iter()
                .all(|a| a.ip().is_loopback() && a.port() == 6433)
        );
        let none = Named("no such name.invalid:1".into()).look();
        assert!(none.expect_err("not known").contains("is not known"));
    }
}
