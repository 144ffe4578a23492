//! The names of the system's users, for `peer` rules.
//!
//! They are those of /etc/passwd: a directory service (LDAP, sssd) is not
//! asked. Who is not in the file has no name, and no `peer` rule lets it in.
//! They are read with the settings: workers never touch the disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

const FILE: &str = "/etc/passwd";
/// Most of the file that is read: some ten thousand users.
const BYTES_MAX: u64 = 1 << 20;

/// All users by their numbers; none when the file cannot be read.
pub(crate) fn users() -> BTreeMap<u32, Box<str>> {
    let mut bytes = Vec::new();
    let read = File::open(FILE).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
    if let Err(error) = read {
        tracing::warn!(%error, "cannot read {FILE}: `peer` rules let nobody in");
    }
    named(&String::from_utf8_lossy(&bytes))
}

/// Lines are `name:password:uid:…`; the first of a number counts.
fn named(text: &str) -> BTreeMap<u32, Box<str>> {
    let mut users = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty());
        let uid = fields.nth(1).and_then(|number| number.parse().ok());
        if let (Some(name), Some(uid)) = (name, uid) {
            users.entry(uid).or_insert_with(|| name.into());
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stands_at_its_number() {
        let text = "root:x:0:0:root:/root:/bin/sh\n# note\n:x:7:\nbad\nann:x:1000:1::/:\nbob:x:1000:1::/:\n";
        let users = named(text);
        assert_eq!(users.len(), 2);
        assert_eq!(users.get(&0).map(|name| &**name), Some("root"));
        assert_eq!(users.get(&1000).map(|name| &**name), Some("ann"));
    }
}
