//! The user that the process runs as, when root starts it: as PgBouncer's `user` and `-u`.
//!
//! No process changes its user once it has threads and files. It starts itself anew, as that user, before it has any:
//! the system's own way of that, which needs no call of ours.

use anyhow::{Context, bail};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Where the system's users are.
const USERS: &str = "/etc/passwd";

/// A user of the system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Account {
    uid: u32,
    gid: u32,
}

/// Goes on as `user`. Returns where the process is that user already; otherwise this call starts the program anew,
/// with the same command line, and does not return.
///
/// # Errors
/// There is no such user, or only root could become it.
pub fn become_user(user: &str) -> anyhow::Result<()> {
    let own = rustix::process::geteuid();
    let text = std::fs::read_to_string(USERS).with_context(|| format!("cannot read {USERS}"))?;
    let Some(account) = find(&text, user) else {
        bail!("user: no user {user:?} in {USERS}; start the process as that user instead");
    };
    if own.as_raw() == account.uid {
        return Ok(());
    }
    if !own.is_root() {
        bail!("user: only root can become {user:?}; start the process as root or as that user");
    }
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut words = std::env::args_os();
    let mut anew = Command::new(program);
    if let Some(name) = words.next() {
        anew.arg0(name);
    }
    // Setting the user drops root's other groups, too.
    let error = anew.args(words).gid(account.gid).uid(account.uid).exec();
    Err(error).with_context(|| format!("cannot become user {user:?}"))
}

fn find(users: &str, user: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(user) {
            return None;
        }
        let mut numbers = fields.skip(1);
        Some(Account {
            uid: numbers.next()?.parse().ok()?,
            gid: numbers.next()?.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgres:x:105:109::/var:/bin/sh\nbad:x:y:z\n";
        assert_eq!(
            find(users, "postgres"),
            Some(Account { uid: 105, gid: 109 })
        );
        assert_eq!(find(users, "post"), None);
        assert_eq!(find(users, "bad"), None);
    }

    #[test]
    fn who_does_not_exist_is_an_error_that_says_what_to_do() {
        let error = become_user("nobody of this name").expect_err("unknown");
        assert!(error.to_string().contains("start the process as that user"));
    }
}
