//! What is asked, and its JSON. What comes back is read in `read.rs`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What every answer begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Which cluster has answered.
    pub cluster: u64,
    /// The store's revision at the answer.
    pub revision: u64,
}

/// A key as it stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyValue {
    /// Its bytes.
    pub key: Vec<u8>,
    /// Empty where only keys were asked for.
    pub value: Vec<u8>,
    /// The revision at which it was made.
    pub create_revision: u64,
    /// The revision of its last change.
    pub mod_revision: u64,
    /// Changes since it was made, the first included.
    pub version: u64,
    /// Zero: none.
    pub lease: i64,
}

/// Which keys to read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// The first key.
    pub key: Vec<u8>,
    /// The first one that is not meant; `None`: the first key alone.
    pub end: Option<Vec<u8>>,
    /// Whichever member is asked answers, perhaps with what is old.
    pub serializable: bool,
    /// Without values.
    pub keys_only: bool,
    /// At most so many; zero: all.
    pub limit: u64,
    /// Only what changed at this revision or later. [`Ranged::count`] counts all the same.
    pub changed_since: u64,
    /// Only what was made at this revision or later.
    pub made_since: u64,
}

impl Range {
    /// One key.
    pub fn key(key: impl Into<Vec<u8>>) -> Range {
        Range {
            key: key.into(),
            ..Range::default()
        }
    }

    /// All keys that begin so.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Range {
        let key = prefix.into();
        Range {
            end: Some(prefix_end(&key)),
            key,
            ..Range::default()
        }
    }

    /// From whichever member is asked.
    pub fn serializable(mut self) -> Range {
        self.serializable = true;
        self
    }

    /// Without values.
    pub fn keys_only(mut self) -> Range {
        self.keys_only = true;
        self
    }

    pub(crate) fn json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("key".into(), text(&self.key));
        let mut set = |name: &str, wanted: bool, value: Value| {
            if wanted {
                fields.insert(name.into(), value);
            }
        };
        if let Some(end) = &self.end {
            set("range_end", true, text(end));
        }
        set("serializable", self.serializable, json!(true));
        set("keys_only", self.keys_only, json!(true));
        set("limit", self.limit > 0, number(self.limit));
        let (changed, made) = (self.changed_since, self.made_since);
        set("min_mod_revision", changed > 0, number(changed));
        set("min_create_revision", made > 0, number(made));
        Value::Object(fields)
    }
}

/// The end of a range that holds all keys which begin so.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    // To the end of all keys.
    vec![0]
}

/// A key to set.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Put {
    /// Which.
    pub key: Vec<u8>,
    /// Whatever bytes.
    pub value: Vec<u8>,
    /// It goes when this lease ends; zero: it stays.
    pub lease: i64,
}

impl Put {
    /// Without a lease.
    pub fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Put {
        Put {
            key: key.into(),
            value: value.into(),
            lease: 0,
        }
    }

    /// With one.
    pub fn under(mut self, lease: i64) -> Put {
        self.lease = lease;
        self
    }

    pub(crate) fn json(&self) -> Value {
        let mut fields = json!({ "key": text(&self.key), "value": text(&self.value) });
        if self.lease != 0 {
            fields["lease"] = Value::String(self.lease.to_string());
        }
        fields
    }
}

/// What must hold of a key. One that is not there has zero in all of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compare {
    /// Changed last at this revision.
    ModRevision(Vec<u8>, u64),
    /// Made at this revision.
    CreateRevision(Vec<u8>, u64),
}

impl Compare {
    /// See [`Compare::ModRevision`].
    pub fn changed_at(key: impl Into<Vec<u8>>, revision: u64) -> Compare {
        Compare::ModRevision(key.into(), revision)
    }

    /// See [`Compare::CreateRevision`]. With zero: it is not there.
    pub fn created_at(key: impl Into<Vec<u8>>, revision: u64) -> Compare {
        Compare::CreateRevision(key.into(), revision)
    }

    fn json(&self) -> Value {
        let (key, target, field, value) = match self {
            Compare::ModRevision(key, value) => (key, "MOD", "mod_revision", value),
            Compare::CreateRevision(key, value) => (key, "CREATE", "create_revision", value),
        };
        json!({ "key": text(key), "target": target, "result": "EQUAL", field: number(*value) })
    }
}

/// One step of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Reads; sees what steps before it did.
    Range(Range),
    /// Sets.
    Put(Put),
    /// Another one within; etcd takes 128 steps in each.
    Txn(Txn),
}

impl Op {
    fn json(&self) -> Value {
        match self {
            Op::Range(range) => json!({ "request_range": range.json() }),
            Op::Put(put) => json!({ "request_put": put.json() }),
            Op::Txn(txn) => json!({ "request_txn": txn.json() }),
        }
    }
}

/// All of it at one revision, or nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Txn {
    /// Whether all of these hold decides
    pub compare: Vec<Compare>,
    /// for this
    pub then: Vec<Op>,
    /// or that.
    pub otherwise: Vec<Op>,
}

impl Txn {
    pub(crate) fn json(&self) -> Value {
        let ops = |ops: &[Op]| ops.iter().map(Op::json).collect::<Vec<_>>();
        let compare: Vec<Value> = self.compare.iter().map(Compare::json).collect();
        json!({ "compare": compare, "success": ops(&self.then), "failure": ops(&self.otherwise) })
    }
}

/// To [`Range`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ranged {
    /// Of the store.
    pub header: Header,
    /// In the order of keys.
    pub kvs: Vec<KeyValue>,
    /// Keys in the range, those that were left out included.
    pub count: u64,
    /// The limit has cut it.
    pub more: bool,
}

/// To one [`Op`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To `Range`.
    Range(Ranged),
    /// To `Put`.
    Put,
    /// To `Txn`.
    Txn(Done),
}

/// To [`Txn`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Done {
    /// Of the store; that of a transaction within another says nothing.
    pub header: Header,
    /// All comparisons held.
    pub succeeded: bool,
    /// One for each step that was done.
    pub answers: Vec<Answer>,
}

/// A lease that was granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// To put keys under.
    pub id: i64,
    /// How long it lasts without renewal; etcd may make it longer than asked.
    pub ttl: Duration,
}

/// What to watch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Watch {
    /// The first key.
    pub key: Vec<u8>,
    /// As with [`Range::end`].
    pub end: Option<Vec<u8>>,
    /// From this revision on; zero: from now on.
    pub from: u64,
    /// With what stood there before each change.
    pub before: bool,
}

impl Watch {
    /// All keys that begin so, from a revision on. Who has read them at revision
    /// `r` misses nothing with `r + 1`.
    pub fn prefix(prefix: impl Into<Vec<u8>>, from: u64) -> Watch {
        let key = prefix.into();
        Watch {
            end: Some(prefix_end(&key)),
            key,
            from,
            before: false,
        }
    }

    pub(crate) fn json(&self) -> Value {
        let mut create = json!({ "key": text(&self.key) });
        if let Some(end) = &self.end {
            create["range_end"] = text(end);
        }
        if self.from > 0 {
            create["start_revision"] = number(self.from);
        }
        if self.before {
            create["prev_kv"] = json!(true);
        }
        json!({ "create_request": create })
    }
}

/// One change that a watch saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Deleted, by somebody or with its lease; else it was set.
    pub deleted: bool,
    /// As it is now; of a deleted one only key and `mod_revision`.
    pub kv: KeyValue,
    /// As it was before, if that was asked for and is still known.
    pub before: Option<KeyValue>,
}

/// Bytes, as the gateway has them.
pub(crate) fn text(bytes: &[u8]) -> Value {
    Value::String(BASE64_STANDARD.encode(bytes))
}

/// 64 bits, as the gateway has them.
pub(crate) fn number(n: u64) -> Value {
    Value::String(n.to_string())
}
