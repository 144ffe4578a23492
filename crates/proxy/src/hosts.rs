//! Which of several hosts a new connection tries first.

use crate::address::Endpoint;
use config::Host;
use events::Time;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is remembered of the hosts of one server.
#[derive(Default)]
pub(crate) struct Hosts(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Connections begun: whose turn it is.
    turns: usize,
    /// The one that served last.
    serves: Option<Host>,
    /// Those that failed or must not serve, and when that was seen.
    unfit: Vec<(Host, Time)>,
}

impl Hosts {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The order for the next connection: each host has its turn, or, with `stay`, the one that served
    /// last goes on. One that was unfit within the `rest` comes after the others.
    pub(crate) fn order(
        &self,
        mut hosts: Vec<Endpoint>,
        stay: bool,
        now: Time,
        rest: Duration,
    ) -> Vec<Endpoint> {
        if hosts.len() < 2 {
            return hosts;
        }
        let mut known = self.lock();
        let first = match stay {
            true => hosts
                .iter()
                .position(|h| Some(&h.host) == known.serves.as_ref()),
            false => Some(known.turns % hosts.len()),
        };
        known.turns = known.turns.wrapping_add(1);
        hosts.rotate_left(first.unwrap_or_default());
        known.unfit.retain(|(_, seen)| now.since(*seen) < rest);
        hosts.sort_by_key(|h| known.unfit.iter().any(|(host, _)| *host == h.host));
        hosts
    }

    /// A connection to this host failed, or it must not serve.
    pub(crate) fn failed(&self, host: &Host, now: Time) {
        let mut known = self.lock();
        known.unfit.retain(|(known, _)| known != host);
        known.unfit.push((host.clone(), now));
    }

    /// This host serves.
    pub(crate) fn served(&self, host: &Host) {
        let mut known = self.lock();
        known.unfit.retain(|(known, _)| known != host);
        if known.serves.as_ref() != Some(host) {
            known.serves = Some(host.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(15);

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    /// The first hosts of connections that are begun one after another.
    fn first(hosts: &Hosts, stay: bool, now: u64, many: usize) -> String {
        let all = ["a", "b", "c"].map(|name| Endpoint {
            host: Host::Tcp(name.to_owned()),
            port: 5432,
            attrs: relay::SessionAttrs::Any,
            tls: config::Tls::default(),
        });
        let order = |_| hosts.order(all.to_vec(), stay, at(now), REST);
        (0..many)
            .map(order)
            .map(|order| order[0].label().remove(0))
            .collect()
    }

    fn host(name: &str) -> Host {
        Host::Tcp(name.to_owned())
    }

    #[test]
    fn each_has_its_turn_and_who_failed_comes_last_for_a_while() {
        let hosts = Hosts::default();
        assert_eq!(first(&hosts, false, 1, 4), "abca");
        hosts.failed(&host("b"), at(1));
        // Its own turns go to the one after it.
        assert_eq!(first(&hosts, false, 2, 6), "ccacca");
        assert_eq!(first(&hosts, false, 17, 3), "bca");
    }

    #[test]
    fn one_goes_on_until_it_fails() {
        let hosts = Hosts::default();
        assert_eq!(first(&hosts, true, 1, 2), "aa");
        hosts.failed(&host("a"), at(1));
        assert_eq!(first(&hosts, true, 2, 2), "bb");
        hosts.served(&host("b"));
        // Not back to the first one by itself.
        assert_eq!(first(&hosts, true, 60, 2), "bb");
        hosts.failed(&host("b"), at(61));
        assert_eq!(first(&hosts, true, 61, 1), "c");
    }
}
