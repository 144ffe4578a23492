//! Facts beside settings: drivers in lock files, servers that run otherwise than written.

use crate::place::Place;

/// Where packages come from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Ecosystem {
    PyPi,
    Npm,
    Gem,
    Go,
    Maven,
    NuGet,
}

/// A driver or pool in a lock file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Package {
    /// From where.
    pub ecosystem: Ecosystem,
    /// Its name there.
    pub name: &'static str,
    /// Its version, without a `v`.
    pub version: String,
    /// Where the version stands.
    pub place: Place,
    /// The file says what is used, not only what was once looked at.
    pub surely: bool,
}

/// A server runs with other settings than its files say.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Differs {
    /// Another value waits for a restart.
    Restart { place: Place, name: String },
    /// Another value waits for a reload.
    Reload {
        place: Place,
        name: String,
        written: String,
        running: String,
    },
    /// The server cannot apply a line of its files.
    Refused {
        place: Place,
        name: String,
        written: String,
        why: String,
    },
    /// A file that is checked says other than the server that was asked.
    File {
        place: Place,
        name: String,
        running: String,
        restart: bool,
    },
}
