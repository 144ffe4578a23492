//! A real browser that looks at the page.

use plimsoll_e2e::toolchain;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The browser and what drives it.
pub struct Camera {
    modules: PathBuf,
    browser: PathBuf,
}

impl Camera {
    /// What this machine has; its error says what is missing.
    pub fn find() -> Result<Camera, String> {
        Ok(Camera {
            modules: toolchain::browser_modules()?,
            browser: toolchain::chromium()?,
        })
    }

    /// Writes a picture of the page; what the page says, in one line. `scheme`: light or dark.
    pub fn shoot(&self, page: &str, into: &Path, scheme: &str) -> Result<String, String> {
        let program = toolchain::programs().join("shots.mjs");
        let out = Command::new("node")
            .arg(program)
            .args([page, scheme])
            .arg(into)
            .env("PLIMSOLL_BROWSER_MODULES", &self.modules)
            .env("PLIMSOLL_CHROMIUM", &self.browser)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("node: {e}"))?;
        match out.status.success() {
            true => Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned()),
            false => Err(format!(
                "no picture of {page}: {}",
                String::from_utf8_lossy(&out.stderr).trim()
            )),
        }
    }
}
