//! Reads lock files and manifests: which version of a driver is in use. Only
//! packages that the table of faults names are kept, and only exact versions.

use crate::facts::{Ecosystem, Facts, Package};
use crate::place::{FileId, Place};
use std::ops::Range;
use std::path::Path;

/// Packages of one file that are kept; a lock file names each a few times.
const PACKAGES_MAX: usize = 200;

/// A form of file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Requirements,
    TomlLock,
    PipfileLock,
    NpmLock,
    YarnLock,
    PnpmLock,
    GemfileLock,
    GoMod,
    GoSum,
    Pom,
    Gradle,
    NuGet,
    NuGetLock,
}

/// By name alone: the content of such files is what their tools write.
fn form(path: &Path) -> Option<Form> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    Some(match name.as_str() {
        "poetry.lock" | "uv.lock" | "pdm.lock" => Form::TomlLock,
        "pipfile.lock" => Form::PipfileLock,
        "package-lock.json" | "npm-shrinkwrap.json" => Form::NpmLock,
        "yarn.lock" => Form::YarnLock,
        "pnpm-lock.yaml" => Form::PnpmLock,
        "gemfile.lock" | "gems.locked" => Form::GemfileLock,
        "go.mod" => Form::GoMod,
        "go.sum" => Form::GoSum,
        "pom.xml" => Form::Pom,
        "build.gradle" | "build.gradle.kts" | "gradle.lockfile" => Form::Gradle,
        "directory.packages.props" => Form::NuGet,
        "packages.lock.json" => Form::NuGetLock,
        _ if name.ends_with(".csproj") => Form::NuGet,
        _ if is_requirements(path, &name) => Form::Requirements,
        _ => return None,
    })
}

/// `requirements.txt`, `requirements-prod.txt`, `requirements/base.txt`, `constraints.txt`.
fn is_requirements(path: &Path, name: &str) -> bool {
    let within = path.parent().and_then(Path::file_name);
    let within = within.is_some_and(|d| d == "requirements");
    let named = name.contains("requirements") || name.starts_with("constraints");
    name.ends_with(".txt") && (named || within)
}

/// Whether the name is that of a lock file or manifest.
pub(crate) fn is_one(path: &Path) -> bool {
    form(path).is_some()
}

/// Reads the file into the facts.
pub(crate) fn read(file: FileId, path: &Path, text: &str, facts: &mut Facts) {
    let Some(form) = form(path) else { return };
    let found = match form {
        Form::Requirements => requirements(text),
        Form::TomlLock => toml_lock(text),
        Form::PipfileLock => json(text, Ecosystem::PyPi, "", "version"),
        Form::NpmLock => {
            let mut all = json(text, Ecosystem::Npm, "node_modules/", "version");
            all.extend(json(text, Ecosystem::Npm, "", "version"));
            all
        }
        Form::YarnLock => yarn(text),
        Form::PnpmLock => pnpm(text),
        Form::GemfileLock => gemfile(text),
        Form::GoMod | Form::GoSum => go(text),
        Form::Pom => pom(text),
        Form::Gradle => gradle(text),
        Form::NuGet => nuget(text),
        Form::NuGetLock => json(text, Ecosystem::NuGet, "", "resolved"),
    };
    let mut kept: Vec<Package> = Vec::new();
    for found in found.into_iter().take(PACKAGES_MAX) {
        let Some(version) = text.get(found.at.clone()) else {
            continue;
        };
        let version = version.trim_start_matches(['v', '=']).to_owned();
        let same = |p: &Package| p.name == found.name && p.version == version;
        if !exact(&version) || kept.iter().any(same) {
            continue;
        }
        kept.push(Package {
            ecosystem: found.ecosystem,
            name: found.name,
            version,
            place: Place::new(file, found.at),
            // It lists what was ever looked at; go.mod says what is used.
            surely: form != Form::GoSum,
        });
    }
    if form == Form::GoSum {
        highest(&mut kept);
    }
    facts.packages.extend(kept);
}

/// Of each package the highest version.
fn highest(all: &mut Vec<Package>) {
    let of = |p: &Package| numbers(&p.version);
    let copy = all.clone();
    all.retain(|p| copy.iter().all(|o| o.name != p.name || of(o) <= of(p)));
}

/// The numbers of a version; what stands behind them does not order it here.
pub(crate) fn numbers(version: &str) -> Vec<u64> {
    let end = version
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(version.len());
    let head = version.get(..end).unwrap_or_default();
    let mut all: Vec<u64> = head.split('.').map_while(|n| n.parse().ok()).collect();
    while all.last() == Some(&0) {
        all.pop();
    }
    all
}

fn exact(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_digit()) && version.len() < 64
}

struct Found {
    ecosystem: Ecosystem,
    name: &'static str,
    at: Range<usize>,
}

fn known(ecosystem: Ecosystem, name: &str) -> Option<&'static str> {
    crate::rules::watched(ecosystem).find(|known| *known == name)
}

/// Python's own rule: case, `_` and `.` do not matter.
fn python(name: &str) -> Option<&'static str> {
    let name = name.trim().to_ascii_lowercase().replace(['_', '.'], "-");
    known(Ecosystem::PyPi, &name)
}

/// Each line with where it begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut offset = 0;
    text.split_inclusive('\n').map(move |line| {
        let at = offset;
        offset += line.len();
        (at, line.trim_end_matches(['\n', '\r']))
    })
}

/// Where a part of a line stands in the text.
fn within(line_at: usize, line: &str, part: &str) -> Range<usize> {
    let from = line_at + (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    from..from + part.len()
}

/// The part before the first of these.
fn until<'a>(text: &'a str, ends: &[char]) -> &'a str {
    text.split(ends).next().unwrap_or_default()
}

fn requirements(text: &str) -> Vec<Found> {
    let mut all = Vec::new();
    for (at, line) in lines(text) {
        let Some((name, rest)) = line.split_once("==") else {
            continue;
        };
        let Some(name) = python(until(name, &['['])) else {
            continue;
        };
        let version = until(
            rest.trim_start_matches('=').trim_start(),
            &[' ', ';', '#', ',', '\\'],
        );
        all.push(Found {
            ecosystem: Ecosystem::PyPi,
            name,
            at: within(at, line, version),
        });
    }
    all
}

/// `[[package]]` with name and version, as poetry, uv and pdm write it.
fn toml_lock(text: &str) -> Vec<Found> {
    let (mut all, mut name) = (Vec::new(), None);
    for (at, line) in lines(text) {
        if line.starts_with('[') {
            name = None;
        } else if let Some(value) = line.strip_prefix("name = \"") {
            name = python(until(value, &['"']));
        } else if let Some(value) = line.strip_prefix("version = \"") {
            all.extend(name.take().map(|name| Found {
                ecosystem: Ecosystem::PyPi,
                name,
                at: within(at, line, until(value, &['"'])),
            }));
        }
    }
    all
}

/// `"PREFIXname": { …, "KEY": "version" …}`, whatever else stands between them.
fn json(text: &str, ecosystem: Ecosystem, prefix: &str, key: &str) -> Vec<Found> {
    let mut all = Vec::new();
    let version_key = format!("\"{key}\"");
    for name in crate::rules::watched(ecosystem) {
        let whole = format!("{prefix}{name}\"");
        for (at, _) in text.match_indices(&whole) {
            // The key as a whole, or the end of a nested path.
            let before = text.get(..at).unwrap_or_default();
            let nested = before.ends_with('/') && !prefix.is_empty();
            if !(nested || before.ends_with('"')) {
                continue;
            }
            let rest = text.get(at + whole.len()..).unwrap_or_default();
            let Some(body) = rest.trim_start().strip_prefix(':') else {
                continue;
            };
            let Some(body) = body.trim_start().strip_prefix('{') else {
                continue;
            };
            let body = until(body, &['{', '}']);
            let Some((_, value)) = body.split_once(&version_key) else {
                continue;
            };
            let value = value.trim_start().trim_start_matches(':').trim_start();
            let value = until(value.trim_start_matches(['"', '=']), &['"']);
            all.push(Found {
                ecosystem,
                name,
                at: within(0, text, value),
            });
        }
    }
    all
}

fn yarn(text: &str) -> Vec<Found> {
    let (mut all, mut name) = (Vec::new(), None);
    for (at, line) in lines(text) {
        if !line.starts_with([' ', '\t', '#']) {
            let first = line.trim_start_matches('"');
            let scope = usize::from(first.starts_with('@'));
            let end = first.get(scope..).and_then(|t| t.find('@'));
            name = end
                .and_then(|end| first.get(..scope + end))
                .and_then(|n| known(Ecosystem::Npm, n));
        } else if let Some(value) = line.trim_start().strip_prefix("version") {
            let value = value.trim_start_matches([':', ' ', '"']);
            all.extend(name.take().map(|name| Found {
                ecosystem: Ecosystem::Npm,
                name,
                at: within(at, line, until(value, &['"'])),
            }));
        }
    }
    all
}

/// Keys of `packages`: `pg@8.11.3:`, `/pg@8.11.3(x@1):`, `/pg/8.11.3:`.
fn pnpm(text: &str) -> Vec<Found> {
    let mut all = Vec::new();
    for (at, line) in lines(text) {
        let Some(key) = line.strip_prefix("  ").filter(|k| !k.starts_with(' ')) else {
            continue;
        };
        let key = key.trim_start_matches(['\'', '"', '/']);
        for name in crate::rules::watched(Ecosystem::Npm) {
            let rest = key.strip_prefix(name).unwrap_or_default();
            if let Some(version) = rest.strip_prefix(['@', '/']) {
                all.push(Found {
                    ecosystem: Ecosystem::Npm,
                    name,
                    at: within(at, line, until(version, &[':', '(', '\'', '"', '_'])),
                });
            }
        }
    }
    all
}

/// Four blanks, the name, the version in brackets; six blanks are what it needs.
fn gemfile(text: &str) -> Vec<Found> {
    let mut all = Vec::new();
    for (at, line) in lines(text) {
        let Some(spec) = line.strip_prefix("    ").filter(|s| !s.starts_with(' ')) else {
            continue;
        };
        let Some((name, version)) = spec.split_once(" (") else {
            continue;
        };
        all.extend(known(Ecosystem::Gem, name).map(|name| Found {
            ecosystem: Ecosystem::Gem,
            name,
            at: within(at, line, until(version, &[')', '-'])),
        }));
    }
    all
}

fn go(text: &str) -> Vec<Found> {
    let mut all = Vec::new();
    for (at, line) in lines(text) {
        let spec = line.trim_start();
        let spec = spec.strip_prefix("require ").unwrap_or(spec);
        // Replaced modules are others'.
        if spec.contains("=>") {
            continue;
        }
        let mut words = spec.split_whitespace();
        let (Some(name), Some(version)) = (words.next(), words.next()) else {
            continue;
        };
        if version.ends_with("/go.mod") {
            continue;
        }
        all.extend(known(Ecosystem::Go, name).map(|name| Found {
            ecosystem: Ecosystem::Go,
            name,
            at: within(at, line, version),
        }));
    }
    all
}

fn pom(text: &str) -> Vec<Found> {
    let mut all = Vec::new();
    for name in crate::rules::watched(Ecosystem::Maven) {
        let artifact = name.split(':').nth(1).unwrap_or(name);
        let tag = format!("<artifactId>{artifact}</artifactId>");
        for (at, _) in text.match_indices(&tag) {
            let rest = text.get(at..).unwrap_or_default();
            let rest = rest.split("</dependency>").next().unwrap_or_default();
            let Some(version) = element(rest, "version") else {
                continue;
            };
            // A property of the same file; a parent's is not known.
            let property = version.strip_prefix("${").and_then(|v| v.strip_suffix('}'));
            let version = match property {
                Some(property) => element(text, property),
                None => Some(version),
            };
            all.extend(version.map(|version| Found {
                ecosystem: Ecosystem::Maven,
                name,
                at: within(0, text, version),
            }));
        }
    }
    all
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    Some(value.trim())
}

fn gradle(text: &str) -> Vec<Found> {
    let mut all = Vec::new();
    for name in crate::rules::watched(Ecosystem::Maven) {
        let prefix = format!("{name}:");
        for (at, _) in text.match_indices(&prefix) {
            let rest = text.get(at + prefix.len()..).unwrap_or_default();
            let version = until(rest, &['"', '\'', '=', '@', '\n', ')', ' ']);
            all.push(Found {
                ecosystem: Ecosystem::Maven,
                name,
                at: within(0, text, version),
            });
        }
    }
    all
}

fn nuget(text: &str) -> Vec<Found> {
    let mut all = Vec::new();
    for name in crate::rules::watched(Ecosystem::NuGet) {
        let tag = format!("Include=\"{name}\"");
        for (at, _) in text.match_indices(&tag) {
            let rest = text.get(at + tag.len()..).unwrap_or_default();
            let inside = until(rest, &['>']);
            let attribute = inside.split_once("Version=\"");
            let version = attribute.map(|(_, v)| until(v, &['"']));
            let version = match inside.ends_with('/') {
                true => version,
                false => version.or_else(|| {
                    let body = rest.split("</PackageReference>").next()?;
                    element(body, "Version")
                }),
            };
            all.extend(version.map(|version| Found {
                ecosystem: Ecosystem::NuGet,
                name,
                at: within(0, text, version),
            }));
        }
    }
    all
}

#[cfg(test)]
mod tests;
