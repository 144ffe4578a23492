//! A real browser that looks at the page.

use plimsoll_e2e::toolchain;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The browser and what drives it.
pub struct Camera {
    modules: PathBuf,
    browser: PathBuf,
}

/// A page that is open. Dropping it closes the browser.
pub struct Open {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Camera {
    /// What this machine has; its error says what is missing.
    pub fn find() -> Result<Camera, String> {
        Ok(Camera {
            modules: toolchain::browser_modules()?,
            browser: toolchain::chromium()?,
        })
    }

    /// Opens the page before there is anything to see: in the trouble the machine may be too busy for that. `pictures`:
    /// light or dark, and the file.
    pub fn open(&self, page: &str, pictures: &[(&str, &Path)]) -> Result<Open, String> {
        let mut command = Command::new("node");
        command
            .arg(toolchain::programs().join("shots.mjs"))
            .arg(page);
        for (scheme, file) in pictures {
            command.arg(format!("{scheme}={}", file.display()));
        }
        let mut child = command
            .env("PLIMSOLL_BROWSER_MODULES", &self.modules)
            .env("PLIMSOLL_CHROMIUM", &self.browser)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("node: {e}"))?;
        let out = child.stdout.take().ok_or("node has no output")?;
        let mut open = Open {
            child,
            says: BufReader::new(out),
        };
        match open.line()?.as_str() {
            "open" => Ok(open),
            said => Err(format!("{page} does not open: {said}")),
        }
    }
}

impl Open {
    /// Takes the pictures; what the page says, in one line.
    pub fn shoot(mut self) -> Result<String, String> {
        let mut pipe = self.child.stdin.take().ok_or("node has no input")?;
        pipe.write_all(b"now\n").map_err(|e| format!("node: {e}"))?;
        let said = self.line()?;
        let end = self.child.wait().map_err(|e| format!("node: {e}"))?;
        match end.success() {
            true => Ok(said),
            false => Err("no picture: what the browser said stands above".to_owned()),
        }
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let read = self.says.read_line(&mut line);
        read.map_err(|e| format!("node: {e}"))?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // The end of its input ends it, and it ends the browser.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
