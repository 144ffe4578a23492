//! The one table of settings. Reading, SHOW CONFIG, differences and the
//! documentation all walk over it, so they cannot disagree.

use std::path::PathBuf;

use crate::api::Anonymous;
use crate::etcd::Share;
use crate::fleet::Discover;
use crate::keeping::SettingsSource;
use crate::plan::{
    AuthType, ErrorDetail, ErrorStyle, LogStyle, OnSignal, Pin, Plan, PoolMode, SslMode,
    StatementCapture, StatementText, TlsVersions,
};
use crate::value::{Kind, Value};

/// How a change of a setting reaches the traffic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// Holds from each client's next checkout (or login) on.
    PerCheckout,
    /// Moves stepwise from old to new.
    Capacity,
    /// Switches at once after a probe: address, TLS, authentication, database.
    Identity,
    /// Needs a restart; a reload that changes it is refused.
    RestartOnly,
}

impl Class {
    /// The word used in texts and documentation.
    pub fn label(self) -> &'static str {
        match self {
            Class::PerCheckout => "per checkout",
            Class::Capacity => "capacity",
            Class::Identity => "identity",
            Class::RestartOnly => "restart only",
        }
    }
}

/// What becomes of a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Support {
    /// It does what it says.
    Honoured,
    /// Accepted with a warning: there is nothing here that it could change.
    NoEffect(&'static str),
    /// Accepted with a warning: it is missing here, and what happens instead is harmless.
    NotYet(&'static str),
    /// Any value but the default is refused, because ignoring it would be unsafe.
    Refused(&'static str),
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The key in `[pgbouncer]` and in SHOW CONFIG; for settings that PgBouncer lacks, ours.
    pub key: &'static str,
    /// `section.key` in plimsoll.toml; empty where only pgbouncer.ini has it.
    pub toml: &'static str,
    /// What may be written.
    pub kind: Kind,
    /// Default when read from pgbouncer.ini; settings that it cannot state have theirs here too.
    pub default_ini: &'static str,
    /// Default in plimsoll.toml.
    pub default_toml: &'static str,
    /// How a change is rolled out.
    pub class: Class,
    /// PgBouncer has this key.
    pub in_pgbouncer: bool,
    /// What becomes of it.
    pub support: Support,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// `None`: it has no place in the plan.
    pub(crate) access: Option<Access>,
}

/// How a setting's value gets into the plan and out of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// Where it stands in the plan, such as `log.errors`.
    #[cfg_attr(not(test), allow(dead_code))]
    pub field: &'static str,
    pub get: fn(&Plan) -> Value,
    pub set: fn(&mut Plan, Value),
}

/// The settings, PgBouncer's first and in the order of its SHOW CONFIG.
pub fn settings() -> &'static [Setting] {
    crate::rows::SETTINGS
}

macro_rules! access {
    (flag $($f:ident).+) => { access!(@ $($f).+, Flag, |v| v, |v| v) };
    (count $($f:ident).+) => { access!(@ $($f).+, Count, |v| v, |v| v) };
    (size $($f:ident).+) => { access!(@ $($f).+, PoolSize, |v| v, |v| v) };
    (limit $($f:ident).+) => { access!(@ $($f).+, Limit, |v| v, |v| v) };
    (timeout $($f:ident).+) => { access!(@ $($f).+, Time, |v| v, |v| v) };
    (time $($f:ident).+) => {
        $crate::table::Access {
            field: stringify!($($f).+),
            get: |p| $crate::value::Value::Time(Some(p.$($f).+)),
            set: |p, v| {
                if let $crate::value::Value::Time(Some(t)) = v {
                    p.$($f).+ = t;
                }
            },
        }
    };
    (text $($f:ident).+) => { access!(@ $($f).+, Text, |v: String| v, |v| v) };
    (name $($f:ident).+) => {
        access!(@ $($f).+, Text, |v: Option<String>| v.unwrap_or_default(),
            |v: String| (!v.is_empty()).then_some(v))
    };
    (path $($f:ident).+) => {
        access!(@ $($f).+, Text, $crate::table::path_text, $crate::table::path_of)
    };
    (list $($f:ident).+) => { access!(@ $($f).+, List, |v: Vec<String>| v, |v| v) };
    (own $access:ident) => { $access };
    (listen $($f:ident).+) => { access!(@ $($f).+, Listen, |v| v, |v| v) };
    (word $type:ident $($f:ident).+) => {
        $crate::table::Access {
            field: stringify!($($f).+),
            get: |p| $crate::value::Value::Text(p.$($f).+.word().to_owned()),
            set: |p, v| {
                if let $crate::value::Value::Text(w) = v
                    && let Some(found) = $type::from_word(&w)
                {
                    p.$($f).+ = found;
                }
            },
        }
    };
    (@ $($f:ident).+, $variant:ident, $get:expr, $set:expr) => {
        $crate::table::Access {
            field: stringify!($($f).+),
            get: |p| $crate::value::Value::$variant(($get)(p.$($f).+.clone())),
            set: |p, v| {
                if let $crate::value::Value::$variant(v) = v {
                    p.$($f).+ = ($set)(v);
                }
            },
        }
    };
}
pub(crate) use access;

pub(crate) fn path_text(path: Option<PathBuf>) -> String {
    path.map(|p| p.to_string_lossy().into_owned())
        .unwrap_or_default()
}

pub(crate) fn path_of(text: String) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

macro_rules! words {
    ($type:ident, $all:ident: $($variant:ident $word:literal),+) => {
        /// The words that may be written.
        pub(crate) const $all: &[&str] = &[$($word),+];
        impl $type {
            /// The word in settings files.
            pub fn word(self) -> &'static str {
                match self { $($type::$variant => $word,)+ }
            }
            /// The value that a word names.
            pub fn from_word(word: &str) -> Option<$type> {
                match word { $($word => Some($type::$variant),)+ _ => None }
            }
        }
    };
}

words!(PoolMode, POOL_MODES: Session "session", Transaction "transaction", Statement "statement");
words!(SslMode, SSL_MODES: Disable "disable", Allow "allow", Prefer "prefer", Require "require",
    VerifyCa "verify-ca", VerifyFull "verify-full");
words!(TlsVersions, TLS_VERSIONS: Secure "secure", Tls12 "tlsv1.2", Tls13 "tlsv1.3");
words!(AuthType, AUTH_TYPES: Scram "scram-sha-256", Md5 "md5", Plain "plain", Trust "trust",
    Any "any", Cert "cert", Hba "hba");
words!(SettingsSource, SETTINGS_SOURCES: Auto "auto", Deploy "deploy", Store "store", Etcd "etcd");
words!(OnSignal, SIGNALS: Drain "drain", Wait "wait");
words!(LogStyle, LOG_STYLES: Plimsoll "plimsoll", Pgbouncer "pgbouncer");
words!(Pin, PINS: On "on", Off "off");
words!(StatementText, STATEMENT_TEXTS: Normalised "normalized", Fingerprint "fingerprint", Off "off");
words!(StatementCapture, STATEMENT_CAPTURES: Off "off", Allow "allow");
words!(Anonymous, ANONYMOUS: None "none", Viewer "viewer");
words!(Discover, DISCOVERS: Static "static", Dns "dns", View "view", Etcd "etcd");
words!(Share, SHARES: View "view", Ledger "ledger");
words!(ErrorDetail, ERROR_DETAILS: Own "own", Full "full");
words!(ErrorStyle, ERROR_STYLES: Plimsoll "plimsoll", Pgbouncer "pgbouncer");

impl Setting {
    /// The value of a plan as SHOW CONFIG prints it; `None`: the plan does not carry it.
    pub fn shown(&self, plan: &Plan) -> Option<String> {
        let access = self.access?;
        Some(crate::value::shown(self.kind, &(access.get)(plan)))
    }

    /// The value of a plan as plimsoll.toml would write it; `None`: the plan does not carry it.
    pub fn words(&self, plan: &Plan) -> Option<String> {
        let access = self.access?;
        Some(crate::value::words(self.kind, &(access.get)(plan)))
    }
}
