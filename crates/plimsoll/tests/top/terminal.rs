//! A pseudo-terminal with a program in it, and what stands on its screen.
//!
//! It knows only what the program writes: text, places, and clearing.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where there is no news of a change: how often it is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// What was written, and what it looks like.
#[derive(Default)]
struct Seen {
    raw: Vec<u8>,
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    alternate: bool,
    hidden: bool,
    /// Begin of a sequence whose end has not come yet.
    rest: Vec<u8>,
}

/// A terminal and the program in it.
pub struct Terminal {
    controller: File,
    /// Kept open, so that its modes can be read after the program's end.
    terminal: File,
    child: Child,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Terminal {
    /// Starts the program in a terminal of that size.
    pub fn start(mut command: Command, rows: u16, columns: u16) -> Terminal {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&controller).expect("granted");
        unlockpt(&controller).expect("unlocked");
        let name = ptsname(&controller, Vec::new()).expect("named");
        let name = name.into_string().expect("text");
        let terminal = File::options().read(true).write(true).open(name);
        let terminal = terminal.expect("opened");
        let controller = File::from(controller);
        size(&controller, rows, columns);
        let stdio = || terminal.try_clone().expect("cloned");
        let child = command
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn();
        let child = child.expect("it starts");
        let seen: Arc<(Mutex<Seen>, Condvar)> = Arc::default();
        let mut reader = controller.try_clone().expect("cloned");
        let of_reader = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                of_reader.0.lock().expect("alive").take(&bytes[..n]);
                of_reader.1.notify_all();
            }
        });
        Terminal {
            controller,
            terminal,
            child,
            seen,
        }
    }

    /// Presses keys.
    pub fn keys(&mut self, keys: &str) {
        self.controller.write_all(keys.as_bytes()).expect("typed");
    }

    /// Sends a signal to the program.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Gives the terminal another size.
    pub fn resize(&self, rows: u16, columns: u16) {
        size(&self.controller, rows, columns);
        // It is nobody's controlling terminal, so nobody is told by itself.
        self.signal("WINCH");
    }

    /// What stands on the screen.
    pub fn text(&self) -> String {
        self.seen.0.lock().expect("alive").text()
    }

    /// All that was written.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen.0.lock().expect("alive").raw).into_owned()
    }

    /// Waits until this stands on the screen.
    pub fn until(&self, text: &str) {
        self.wait(&format!("`{text}`"), |seen| seen.text().contains(text));
    }

    /// Waits until this stands there no more.
    pub fn until_not(&self, text: &str) {
        self.wait(&format!("no `{text}`"), |seen| !seen.text().contains(text));
    }

    fn wait(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let seen = self.seen.0.lock().expect("alive");
        let waited = self
            .seen
            .1
            .wait_timeout_while(seen, PATIENCE, |seen| !holds(seen));
        let (seen, timeout) = waited.expect("alive");
        assert!(
            !timeout.timed_out(),
            "{what} did not come:\n{}",
            seen.text()
        );
    }

    /// Waits until the program is stopped.
    pub fn until_stopped(&self) {
        let path = format!("/proc/{}/stat", self.child.id());
        self.look("stopped", || {
            let stat = std::fs::read_to_string(&path).unwrap_or_default();
            let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
            state.starts_with('T').then_some(())
        });
    }

    /// The exit code, once it has ended; `None`: a signal ended it.
    pub fn end(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("ours") {
                return status.code();
            }
            assert!(
                began.elapsed() < PATIENCE,
                "it does not end:\n{}",
                self.text()
            );
            self.pause();
        }
    }

    /// Echo and lines are as a shell wants them, the cursor is seen, and what stood
    /// there before is back.
    pub fn is_restored(&self) -> bool {
        let modes = tcgetattr(&self.terminal).expect("a terminal").local_modes;
        let cooked = modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        // What was written last may still be on its way to the reader.
        let began = Instant::now();
        loop {
            let seen = self.seen.0.lock().expect("alive");
            let shown = !seen.alternate && !seen.hidden;
            drop(seen);
            if !cooked || shown || began.elapsed() > Duration::from_secs(5) {
                return cooked && shown;
            }
            self.pause();
        }
    }

    /// Forgets what stands on the screen.
    pub fn forget(&self) {
        let mut seen = self.seen.0.lock().expect("alive");
        seen.rows.clear();
    }

    fn look<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "not {what}:\n{}", self.text());
            self.pause();
        }
    }

    /// Until something is written, or it is time to look again.
    fn pause(&self) {
        let seen = self.seen.0.lock().expect("alive");
        drop(self.seen.1.wait_timeout(seen, LOOK).expect("alive"));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A stopped program would never end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(terminal: &File, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("sized");
}

impl Seen {
    fn text(&self) -> String {
        let rows = self.rows.iter();
        rows.map(|row| row.iter().collect::<String>() + "\n")
            .collect()
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        // A character or a sequence may end in the next read.
        let whole = match std::str::from_utf8(&all) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text = String::from_utf8_lossy(&all[..whole]).into_owned();
        let mut left = text.as_str();
        while let Some(c) = left.chars().next() {
            if c != '\x1b' {
                self.put(c);
                left = &left[c.len_utf8()..];
                continue;
            }
            match sequence(left) {
                Some(end) => {
                    self.obey(&left[1..end]);
                    left = &left[end..];
                }
                None => break,
            }
        }
        let done = text.len() - left.len();
        self.rest = all[done..].to_vec();
    }

    fn put(&mut self, c: char) {
        let (row, column) = self.at;
        match c {
            '\r' => self.at.1 = 0,
            '\n' => self.at.0 += 1,
            c => {
                if self.rows.len() <= row {
                    self.rows.resize(row + 1, Vec::new());
                }
                let cells = &mut self.rows[row];
                if cells.len() <= column {
                    cells.resize(column + 1, ' ');
                }
                cells[column] = c;
                self.at.1 += 1;
            }
        }
    }

    fn obey(&mut self, sequence: &str) {
        match sequence {
            "[2J" => self.rows.clear(),
            "[?1049h" => (self.alternate, self.rows) = (true, Vec::new()),
            "[?1049l" => self.alternate = false,
            "[?25l" => self.hidden = true,
            "[?25h" => self.hidden = false,
            _ => {
                let place = sequence.strip_prefix('[').and_then(|s| s.strip_suffix('H'));
                if let Some(place) = place {
                    let mut numbers = place.split(';').map(|n| n.parse::<usize>().unwrap_or(1));
                    let mut next = || numbers.next().unwrap_or(1).saturating_sub(1);
                    self.at = (next(), next());
                }
            }
        }
    }
}

/// The end of the sequence that `text` begins with; `None`: it has not come yet.
fn sequence(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().skip(1);
    match bytes.next()? {
        (_, b'[') => {
            let end = bytes.find(|(_, b)| (0x40..=0x7e).contains(b))?;
            Some(end.0 + 1)
        }
        (at, _) => Some(at + 1),
    }
}
