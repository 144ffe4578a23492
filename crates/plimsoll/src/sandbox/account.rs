//! Whom the server runs as.
//!
//! PostgreSQL refuses to run as root. When we are root, the server runs as the
//! user `postgres`, else as `nobody`; the numbers come from `/etc/passwd`.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// A user other than ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// The account to use when the effective user is `uid`. `None`: stay who we are.
    /// `Err`: we are root, and `passwd` names no suitable user.
    pub(super) fn choose(uid: u32, passwd: &str) -> Result<Option<Account>, ()> {
        if uid != 0 {
            return Ok(None);
        }
        ["postgres", "_postgres", "nobody"]
            .iter()
            .find_map(|name| lookup(passwd, name))
            .map(Some)
            .ok_or(())
    }

    /// Makes the command run as this user. The standard library also drops
    /// root's supplementary groups then.
    pub(super) fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

/// One line of passwd(5): name, password, uid, gid, … Root's own numbers are never an answer.
fn lookup(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let _password = fields.next()?;
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0).then_some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &str = "root:x:0:0:root:/root:/bin/sh\n\
                        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
                        postgres:x:101:104:server,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn who_runs_the_server() {
        let nobody = "nobody:*:65534:65533::/:/bin/false";
        let account = |uid, gid| Ok(Some(Account { uid, gid }));
        let table = [
            ("an ordinary user stays", 1000, BOTH, Ok(None)),
            ("root prefers postgres", 0, BOTH, account(101, 104)),
            ("else nobody", 0, nobody, account(65534, 65533)),
            (
                "a postgres that is root is no help",
                0,
                "postgres:x:0:0:::",
                Err(()),
            ),
            (
                "a broken line is no help",
                0,
                "postgres:x:abc:1\nnobody:x",
                Err(()),
            ),
            (
                "a longer name is another user",
                0,
                "postgresql:x:5:5:::",
                Err(()),
            ),
        ];
        for (what, uid, passwd, expected) in table {
            assert_eq!(Account::choose(uid, passwd), expected, "{what}");
        }
    }
}
