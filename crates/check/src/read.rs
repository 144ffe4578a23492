//! Readers: one per dialect. Each knows its tool's keys and defaults, and
//! judges nothing.

mod code;
mod ini;
mod pgbouncer;
mod plimsoll;
mod postgres;
mod prisma;
mod url;

use crate::facts::Facts;
use crate::files::Kind;
use crate::place::FileId;
use std::path::Path;

/// Reads one file into the facts.
pub(crate) fn read(kind: Kind, file: FileId, path: &Path, text: &str, facts: &mut Facts) {
    match kind {
        Kind::PgBouncer => pgbouncer::read(file, text, facts),
        Kind::Plimsoll => plimsoll::read(file, path, text, facts),
        Kind::Postgres => postgres::read(file, text, facts),
        Kind::Python => code::python(file, path, text, facts),
        Kind::JavaScript => code::javascript(file, text, facts),
        Kind::Go => code::go(file, text, facts),
        Kind::Prisma => prisma::read(file, text, facts),
        _ => {}
    }
}
