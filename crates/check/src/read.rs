//! Readers: one per dialect. Each knows its tool's keys and defaults, and
//! judges nothing.

mod address;
mod around;
mod code;
mod command;
mod compose;
mod container;
mod env;
mod foreign;
mod helm;
mod hikari;
mod ini;
mod kubernetes;
mod kustomize;
mod live;
mod odyssey;
mod packages;
mod pgbouncer;
mod pgcat;
mod pgdog;
mod plimsoll;
mod pooler;
mod postgres;
mod prisma;
mod rails;
mod settle;
mod spring;
mod tables;
mod template;
mod url;
mod value;
mod yaml;

pub(crate) use around::Around;
pub(crate) use code::ruby_tells;
pub(crate) use live::read as live;
pub(crate) use packages::{is_one as is_packages, numbers as version_numbers};
pub(crate) use settle::settle;

use crate::facts::Facts;
use crate::files::Kind;
use crate::place::FileId;
use std::path::Path;

/// Reads one file by itself into the facts.
pub(crate) fn read(kind: Kind, file: FileId, path: &Path, text: &str, facts: &mut Facts) {
    read_among(kind, file, path, text, &Around::default(), facts);
}

/// Reads one file among others into the facts.
pub(crate) fn read_among(
    kind: Kind,
    file: FileId,
    path: &Path,
    text: &str,
    around: &Around<'_>,
    facts: &mut Facts,
) {
    match kind {
        Kind::PgBouncer => pgbouncer::read(file, text, facts),
        Kind::Plimsoll => plimsoll::read(file, path, text, facts),
        Kind::Postgres => postgres::read(file, text, facts),
        Kind::PgCat => pgcat::read(file, text, facts),
        Kind::PgDog => pgdog::read(file, text, facts),
        Kind::Odyssey => odyssey::read(file, text, facts),
        Kind::RailsDatabase => rails::read(file, text, facts),
        Kind::SpringProperties => spring::read_properties(file, path, text, facts),
        Kind::SpringYaml => spring::read_yaml(file, path, text, facts),
        Kind::Compose => compose::read(file, text, around, facts),
        Kind::Kubernetes => kubernetes::read(file, text, around, facts),
        Kind::Kustomize => kustomize::read(file, text, facts),
        Kind::HelmValues => helm::read(file, text, facts),
        // Its service's reader reads it.
        Kind::Environment if around.is_used_env(file) => {}
        Kind::Environment => env::read(file, path, text, facts),
        Kind::Python => code::python(file, path, text, facts),
        Kind::JavaScript => code::javascript(file, text, facts),
        Kind::Go => code::go(file, text, facts),
        Kind::Ruby => code::ruby(file, path, text, facts),
        Kind::Packages => packages::read(file, path, text, facts),
        Kind::Prisma => prisma::read(file, text, facts),
        _ => {}
    }
}

#[cfg(test)]
mod cut_tests;
