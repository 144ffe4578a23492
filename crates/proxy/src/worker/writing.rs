//! Writing what a dispatch left, and doing what it asked for.

use super::Worker;
use crate::observer::UNWATCHED;
use relay::Peer;
use std::io::IoSlice;

/// Runs of bytes in one system call.
const RUNS_MAX: usize = 16;

impl Worker {
    /// Writes what the dispatch left and does what it asked for, until
    /// nothing is left. `input` is what the dispatch was given.
    pub(super) fn settle(&mut self, input: &[u8]) {
        self.take_commands();
        self.write_out(input);
        loop {
            if let Some(command) = self.commands.pop_front() {
                let whose = Worker::whose_command(&command);
                self.contained(whose, |w| w.command(command));
            } else if let Some((upstream, action)) = self.port.actions.pop_front() {
                let whose = self.whose_action(upstream, &action);
                self.contained(whose, |w| w.action(upstream, action));
            } else if self.out.is_empty() {
                return;
            }
            self.take_commands();
            self.write_out(&[]);
        }
    }

    /// The log is told before the peers are: whoever was refused and looks there finds the line.
    fn take_commands(&mut self) {
        if self.out.has_commands() {
            let known = self.commands.len();
            self.out.take_commands(&mut self.commands);
            self.tell_log(known);
        }
    }

    /// Writes the segments: runs for the same peer go out in one call.
    fn write_out(&mut self, input: &[u8]) {
        let mut rest = self.out.segments();
        while let Some(first) = rest.first() {
            let runs = rest
                .iter()
                .take(RUNS_MAX)
                .take_while(|s| s.to == first.to)
                .count();
            let (runs, later) = rest.split_at(runs);
            rest = later;
            let conn = match first.to {
                Peer::Client(slot) => self.clients.get_mut(slot as usize),
                Peer::Server(slot) => self.servers.get_mut(slot as usize),
            };
            let Some(conn) = conn.and_then(Option::as_deref_mut) else {
                continue;
            };
            if conn.watched_as != UNWATCHED
                && let Some(watch) = &self.common.watch
            {
                for run in runs {
                    let bytes = self.out.bytes(run, input);
                    watch.observer().heard(conn.watched_as, bytes);
                }
            }
            let before = conn.unsent.len();
            let left = match runs {
                [one] => conn.write(self.out.bytes(one, input)),
                many => {
                    let mut slices = [IoSlice::new(&[]); RUNS_MAX];
                    for (slice, segment) in slices.iter_mut().zip(many) {
                        *slice = IoSlice::new(self.out.bytes(segment, input));
                    }
                    conn.write_runs(&slices[..many.len()])
                }
            };
            if left != Some(0) && left != Some(before) {
                self.unwritten.push((first.to, left));
            }
        }
        self.out.clear_segments();
        while let Some((peer, left)) = self.unwritten.pop() {
            self.not_written(peer, left);
        }
    }

    /// A socket did not take all: `left` bytes are kept, or it is broken.
    #[cold]
    fn not_written(&mut self, peer: Peer, left: Option<usize>) {
        if let Some(left) = left {
            self.hub
                .backlog(self.now, peer, left, &mut self.port, &mut self.out);
        } else if let Some(conn) = self.conn(peer) {
            // The end of file will tell; what it sent before is still read.
            conn.readable = true;
            conn.ended = true;
            self.look_again(peer);
        }
    }
}
