//! Writing what a dispatch left, and doing what it asked for.

use super::Worker;
use relay::Peer;
use std::io::IoSlice;

/// Runs of bytes in one system call.
const RUNS_MAX: usize = 16;

impl Worker {
    /// Writes what the dispatch left and does what it asked for, until
    /// nothing is left. `input` is what the dispatch was given.
    pub(super) fn settle(&mut self, input: &[u8]) {
        self.write_out(input);
        loop {
            if self.out.has_commands() {
                self.out.take_commands(&mut self.commands);
            }
            if let Some(command) = self.commands.pop_front() {
                let whose = Worker::whose_command(&command);
                self.contained(whose, |w| w.command(command));
            } else if let Some((upstream, action)) = self.port.actions.pop_front() {
                let whose = self.whose_action(upstream, &action);
                self.contained(whose, |w| w.action(upstream, action));
            } else if self.out.is_empty() {
                return;
            }
            self.write_out(&[]);
        }
    }

    /// Writes the segments: runs for the same peer go out in one call.
    fn write_out(&mut self, input: &[u8]) {
        if self.out.segments().is_empty() {
            return;
        }
        let out = std::mem::take(&mut self.out);
        let segments = out.segments();
        let mut i = 0;
        while let Some(first) = segments.get(i) {
            let run = segments[i..]
                .iter()
                .take_while(|s| s.to == first.to)
                .count()
                .min(RUNS_MAX);
            let mut slices = [IoSlice::new(&[]); RUNS_MAX];
            for (slice, segment) in slices.iter_mut().zip(&segments[i..i + run]) {
                *slice = IoSlice::new(out.bytes(segment, input));
            }
            self.send(first.to, &slices[..run]);
            i += run;
        }
        // What was written while sending (backlogs) comes after.
        let mut out = out;
        out.clear_segments();
        let meanwhile = std::mem::replace(&mut self.out, out);
        self.out.append(meanwhile);
    }

    fn send(&mut self, peer: Peer, runs: &[IoSlice<'_>]) {
        let Some(conn) = self.conn(peer) else { return };
        let before = conn.unsent.len();
        match conn.write(runs) {
            Some(0) => {}
            Some(left) if left != before => {
                self.hub
                    .backlog(self.now, peer, left, &mut self.port, &mut self.out);
            }
            Some(_) => {}
            // The end of file will tell; what it sent before is still read.
            None => {
                conn.readable = true;
                conn.ended = true;
                self.look_again(peer);
            }
        }
    }
}
