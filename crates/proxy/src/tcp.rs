//! What the system tells of TCP connections: looked at once a second, a bounded
//! number in turn, never per message.

use crate::socket::{Conn, Stream};
use crate::sys;
use events::{TcpRow, Time, UpstreamId};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::Duration;

/// Sockets that a worker looks at in a second: some fifty microseconds.
const SOCKETS_MAX: usize = 64;
/// Of these, servers' at most.
const SERVERS_MAX: usize = 32;
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// What a socket told last.
#[derive(Clone, Copy, Default)]
pub(crate) struct Told {
    retransmits: u32,
    /// Since when its data is known to stand unacknowledged; zero: it does not.
    unanswered: Time,
}

/// What the sockets of one side told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Of those looked at last, the round-trip times in microseconds.
    rtts: Vec<u32>,
    retransmits: u64,
    lost: u32,
    unanswered_us: u64,
}

impl Seen {
    fn begin(&mut self) {
        self.rtts.clear();
        self.lost = 0;
        self.unanswered_us = 0;
    }

    fn take(&mut self, now: Time, conn: &mut Conn) {
        let (Stream::Tcp(stream) | Stream::Small(stream, _)) = &conn.stream else {
            return;
        };
        let Some(info) = sys::tcp_info(stream.as_fd()) else {
            return;
        };
        let told = &mut conn.told;
        self.rtts.push(info.rtt_us);
        self.lost = self.lost.saturating_add(info.lost);
        self.retransmits += u64::from(info.retransmits.saturating_sub(told.retransmits));
        told.retransmits = info.retransmits;
        told.unanswered = unanswered(now, told.unanswered, &info);
        if told.unanswered > Time::ZERO {
            let us = now.since(told.unanswered).as_micros() as u64;
            self.unanswered_us = self.unanswered_us.max(us);
        }
    }

    /// Adds what another worker saw.
    pub(crate) fn merge(&mut self, other: &Seen) {
        self.rtts.extend_from_slice(&other.rtts);
        self.retransmits += other.retransmits;
        self.lost = self.lost.saturating_add(other.lost);
        self.unanswered_us = self.unanswered_us.max(other.unanswered_us);
    }

    /// The figures of all that were merged.
    pub(crate) fn row(mut self) -> TcpRow {
        self.rtts.sort_unstable();
        let rtt = |i: usize| self.rtts.get(i).map_or(0, |rtt| u64::from(*rtt));
        TcpRow {
            sockets: self.rtts.len() as u32,
            rtt_us_min: rtt(0),
            rtt_us_p50: rtt(self.rtts.len().saturating_sub(1) / 2),
            rtt_us_max: self.rtts.last().map_or(0, |rtt| u64::from(*rtt)),
            retransmits: self.retransmits,
            lost: self.lost,
            unanswered_us: self.unanswered_us,
        }
    }
}

/// Since when data stands unacknowledged, at least: since the last that was sent,
/// or since it was first seen so; and since the last acknowledgement, because
/// what moves on is no silence.
fn unanswered(now: Time, before: Time, info: &sys::TcpInfo) -> Time {
    if info.unacked == 0 {
        return Time::ZERO;
    }
    let ago = |ms: u32| Time::from_micros(now.as_micros().saturating_sub(u64::from(ms) * 1000));
    let since = match before {
        Time::ZERO => ago(info.sent_ms),
        before => before,
    };
    since.max(ago(info.acked_ms)).max(Time::from_micros(1))
}

/// A worker's watch over its sockets.
#[derive(Default)]
pub(crate) struct TcpWatch {
    next: Time,
    /// Where the next look goes on.
    next_client: usize,
    next_server: usize,
    pub(crate) clients: Seen,
    pub(crate) servers: BTreeMap<UpstreamId, Seen>,
}

impl TcpWatch {
    /// Whether a second has passed.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        now >= self.next
    }

    /// Looks at the next ones. `upstream` tells where a server's slot leads.
    pub(crate) fn look(
        &mut self,
        now: Time,
        clients: &mut [Option<Box<Conn>>],
        servers: &mut [Option<Box<Conn>>],
        mut upstream: impl FnMut(u32) -> Option<UpstreamId>,
    ) {
        self.next = now.after(PAUSE);
        self.clients.begin();
        self.servers.values_mut().for_each(Seen::begin);
        let all = &mut self.servers;
        let looked = round(servers, &mut self.next_server, SERVERS_MAX, |slot, conn| {
            if let Some(upstream) = upstream(slot) {
                all.entry(upstream).or_default().take(now, conn);
            }
        });
        let seen = &mut self.clients;
        let left = SOCKETS_MAX - looked;
        round(clients, &mut self.next_client, left, |_, conn| {
            seen.take(now, conn);
        });
    }
}

/// Visits up to `max` of the table, each at most once, from `next` on. How many.
fn round(
    table: &mut [Option<Box<Conn>>],
    next: &mut usize,
    max: usize,
    mut visit: impl FnMut(u32, &mut Conn),
) -> usize {
    let (mut visited, all) = (0, table.len());
    for _ in 0..all {
        if visited == max {
            break;
        }
        let slot = if *next < all { *next } else { 0 };
        *next = slot + 1;
        if let Some(Some(conn)) = table.get_mut(slot) {
            visit(slot as u32, conn);
            visited += 1;
        }
    }
    visited
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    fn pair() -> (Conn, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let near = TcpStream::connect(address).expect("connects");
        let (far, _) = listener.accept().expect("accepts");
        near.set_nonblocking(true).expect("nonblocking");
        let conn = Conn::new(Stream::Tcp(mio::net::TcpStream::from_std(near)));
        (conn, far)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_tells_its_round_trip_time() {
        let (mut conn, mut far) = pair();
        // A round trip, so that there is something to tell.
        conn.stream.write_all(b"ping").expect("writes");
        let mut ping = [0; 4];
        far.read_exact(&mut ping).expect("reads");
        far.write_all(b"pong").expect("writes");
        while !matches!(conn.stream.read(&mut ping), Ok(4)) {}
        let mut seen = Seen::default();
        seen.take(Time::from_micros(5_000_000), &mut conn);
        let row = seen.row();
        assert_eq!(row.sockets, 1);
        assert!((1..1_000_000).contains(&row.rtt_us_p50), "{row:?}");
        assert!(row.rtt_us_min <= row.rtt_us_p50 && row.rtt_us_p50 <= row.rtt_us_max);
        assert_eq!((row.retransmits, row.lost, row.unanswered_us), (0, 0, 0));
    }

    #[test]
    fn a_unix_socket_tells_nothing() {
        let (near, _far) = UnixStream::pair().expect("a pair");
        near.set_nonblocking(true).expect("nonblocking");
        let stream = mio::net::UnixStream::from_std(near);
        assert_eq!(sys::tcp_info(stream.as_fd()), None);
        let mut seen = Seen::default();
        seen.take(Time::ZERO, &mut Conn::new(Stream::Unix(stream)));
        assert_eq!(seen.row(), TcpRow::default());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_bounded_number_is_looked_at_in_turn() {
        let mut far = Vec::new();
        let mut table = |n: usize| -> Vec<Option<Box<Conn>>> {
            let mut table = Vec::new();
            for i in 0..n {
                let (conn, other) = pair();
                far.push(other);
                // With a hole after each.
                table.extend([Some(Box::new(conn)), None]);
                debug_assert!(table.len() == 2 * i + 2);
            }
            table
        };
        let (mut clients, mut servers) = (table(70), table(40));
        let mut watch = TcpWatch::default();
        let mut asked = BTreeMap::<u32, u32>::new();
        for second in 1..=5 {
            let now = Time::from_micros(second * 1_000_000);
            assert!(watch.is_due(now));
            watch.look(now, &mut clients, &mut servers, |slot| {
                *asked.entry(slot).or_default() += 1;
                Some(UpstreamId((slot % 4 / 2) as u16))
            });
            assert!(!watch.is_due(now));
            let servers: usize = watch.servers.values().map(|s| s.rtts.len()).sum();
            assert_eq!((servers, watch.clients.rtts.len()), (32, 32));
        }
        // 5 × 32 looks at 40 servers: each had its turn as often.
        assert_eq!(asked.len(), 40);
        assert!(asked.values().all(|n| *n == 4), "{asked:?}");
        assert_eq!(watch.servers.len(), 2);
    }

    #[test]
    fn data_is_unanswered_since_it_was_sent_and_nothing_came() {
        let now = Time::from_micros(100_000_000);
        let ms = |ms: u64| Time::from_micros(100_000_000 - ms * 1000);
        let info = |unacked, sent_ms, acked_ms| sys::TcpInfo {
            unacked,
            sent_ms,
            acked_ms,
            ..sys::TcpInfo::default()
        };
        let table = [
            // All is acknowledged, however long nothing was sent.
            (Time::ZERO, info(0, 9_000, 9_000), Time::ZERO),
            (ms(5_000), info(0, 10, 10), Time::ZERO),
            // Sent a moment ago after a long rest.
            (Time::ZERO, info(1, 3, 60_000), ms(3)),
            // Sent again and again, and nothing comes.
            (ms(5_000), info(3, 200, 8_000), ms(5_000)),
            // A transfer that moves on.
            (ms(5_000), info(30, 0, 4), ms(4)),
        ];
        for (before, info, wanted) in table {
            assert_eq!(unanswered(now, before, &info), wanted, "{info:?}");
        }
    }

    #[test]
    fn workers_add_up() {
        let mut all = Seen::default();
        for (rtts, retransmits) in [(vec![30, 10], 2), (vec![20], 3), (vec![], 1)] {
            all.merge(&Seen {
                rtts,
                retransmits,
                lost: 1,
                unanswered_us: retransmits * 10,
            });
        }
        let row = TcpRow {
            sockets: 3,
            rtt_us_min: 10,
            rtt_us_p50: 20,
            rtt_us_max: 30,
            retransmits: 6,
            lost: 3,
            unanswered_us: 30,
        };
        assert_eq!(all.row(), row);
    }
}
