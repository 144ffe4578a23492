//! Outages by the keyboard: a number and Enter.

use super::outages::Buttons;
use control::api::Director;
use std::io::{BufRead, IsTerminal};

/// Listens where a person types; elsewhere nothing is read.
pub fn listen(buttons: &Buttons) {
    if !std::io::stdin().is_terminal() {
        return;
    }
    let buttons = buttons.clone();
    // It stays in a read until the end: nobody waits for it. Without it the page has buttons.
    let started = std::thread::Builder::new()
        .name("keys".into())
        .spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                match line.trim() {
                    "" => {}
                    "s" => buttons.stop(),
                    typed => {
                        let bare = typed.trim_end_matches('!');
                        // What is refused shows by nothing that begins.
                        buttons.start(bare, bare == typed).ok();
                    }
                }
            }
        });
    drop(started);
}
