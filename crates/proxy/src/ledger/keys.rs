//! Where the ledger of one server stands in etcd, and what its values look like.
//!
//! ```text
//!  PREFIX/1/FLEET/SERVER/rows/SHARD     a row a line: instance origin claim needs held
//!                       /quota/SHARD    quota level extra turn members line
//!                       /seat/0..2      instance
//!                       /alive/INSTANCE nonce
//! ```
//!
//! Instances and origins are hexadecimal, figures decimal. What all begin with is
//! [`config::Etcd::ledger_base`].

use etcd::KeyValue;
use pool::ledger::{Origin, Quota, ROWS_MAX, Row};

/// The keys of one ledger.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    base: String,
}

impl Keys {
    /// All that begin so: see [`config::Etcd::ledger_base`].
    pub fn new(base: String) -> Keys {
        Keys { base }
    }

    /// For people.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Tells this ledger from another one.
    pub fn id(&self) -> u16 {
        let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = self.base.bytes().fold(0x811c_9dc5, step);
        (hash >> 16) as u16 ^ hash as u16
    }

    pub fn rows(&self, shard: u32) -> String {
        format!("{}{shard}", self.all_rows())
    }

    pub fn quota(&self, shard: u32) -> String {
        format!("{}{shard}", self.all_quotas())
    }

    pub fn seat(&self, seat: usize) -> String {
        format!("{}{seat}", self.all_seats())
    }

    pub fn alive(&self, instance: u32) -> String {
        format!("{}{instance:08x}", self.all_alive())
    }

    pub fn all_rows(&self) -> String {
        format!("{}/rows/", self.base)
    }

    pub fn all_quotas(&self) -> String {
        format!("{}/quota/", self.base)
    }

    pub fn all_seats(&self) -> String {
        format!("{}/seat/", self.base)
    }

    pub fn all_alive(&self) -> String {
        format!("{}/alive/", self.base)
    }
}

/// The last word of a key.
pub(super) fn last(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key).ok()?.rsplit('/').next()
}

pub(super) fn write_rows(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let Row {
            instance,
            origin,
            claim,
            needs,
            held,
        } = row;
        text.push_str(&format!(
            "{instance:08x} {:016x} {claim} {needs} {held}\n",
            origin.0
        ));
    }
    text
}

/// `None`: it is no value of ours.
pub(super) fn read_rows(kv: &KeyValue) -> Option<Vec<Row>> {
    let text = std::str::from_utf8(&kv.value).ok()?;
    let row = |line: &str| {
        let mut words = line.split(' ');
        let row = Row {
            instance: u32::from_str_radix(words.next()?, 16).ok()?,
            origin: Origin(u64::from_str_radix(words.next()?, 16).ok()?),
            claim: words.next()?.parse().ok()?,
            needs: words.next()?.parse().ok()?,
            held: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(row)
    };
    let rows: Vec<Row> = text.lines().map(row).collect::<Option<_>>()?;
    (rows.len() <= ROWS_MAX).then_some(rows)
}

pub(super) fn write_quota(quota: &Quota) -> String {
    let Quota {
        version: _,
        quota,
        line,
        level,
        extra,
        turn,
        members,
    } = quota;
    format!("{quota} {level} {extra} {turn} {members} {line}")
}

/// `None`: it is no value of ours.
pub(super) fn read_quota(kv: &KeyValue) -> Option<Quota> {
    let text = std::str::from_utf8(&kv.value).ok()?;
    let mut words = text.split(' ').map(|word| word.parse().ok());
    let mut figure = || words.next().flatten();
    let quota = Quota {
        version: kv.mod_revision,
        quota: figure()?,
        level: figure()?,
        extra: figure()?,
        turn: figure()?,
        members: figure()?,
        line: figure()?,
    };
    words.next().is_none().then_some(quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_quotas_come_back_as_they_were_written() {
        let row = |instance| Row {
            instance,
            origin: Origin(u64::MAX - 7),
            claim: 12,
            needs: 0,
            held: 11,
        };
        let rows = vec![row(1), row(u32::MAX)];
        let kv = |text: String| KeyValue {
            value: text.into_bytes(),
            mod_revision: 9,
            ..KeyValue::default()
        };
        assert_eq!(read_rows(&kv(write_rows(&rows))), Some(rows));
        assert_eq!(read_rows(&kv(String::new())), Some(vec![]));
        assert_eq!(read_rows(&kv("0 0 0 0".into())), None);
        let quota = Quota {
            version: 9,
            quota: 3,
            line: 80,
            level: u32::MAX,
            extra: u32::MAX - 1,
            turn: 7,
            members: 2,
        };
        assert_eq!(read_quota(&kv(write_quota(&quota))), Some(quota));
        assert_eq!(read_quota(&kv("3 4".into())), None);
    }

    #[test]
    fn a_ledger_is_one_servers_of_one_fleet() {
        let keys = |base: &str| Keys::new(base.to_owned());
        let one = keys("p/1/f/db:5432");
        assert_eq!(one.rows(7), "p/1/f/db:5432/rows/7");
        assert_eq!(one.alive(10), "p/1/f/db:5432/alive/0000000a");
        assert_ne!(keys("p/1/f/a:1").id(), keys("p/1/f/b:1").id());
    }
}
