//! Spring Boot: application.yml and application.properties, with HikariCP.

use super::address;
use super::hikari::{self, Entry, Keys, canonical};
use super::value::Word;
use super::yaml::{self, Node};
use crate::facts::{Facts, Secret, Tool, Unread, Value, Workload};
use crate::place::{FileId, Place};
use crate::read::url::is_secret;
use std::collections::BTreeMap;
use std::path::Path;

/// Levels of keys that are followed.
const DEPTH_MAX: usize = 24;
/// Keys of a file.
const KEYS_MAX: usize = 20_000;
/// Documents with a profile, and data sources of one.
const LAYERS_MAX: usize = 32;

/// One document: canonical dotted path → what is written.
type Flat = BTreeMap<String, Entry>;

/// Reads application.yml.
pub(crate) fn read_yaml(file: FileId, path: &Path, text: &str, facts: &mut Facts) {
    let tree = yaml::parse(file, text);
    let documents = tree.documents.iter().map(|root| {
        let mut flat = Flat::new();
        flatten(root, "", 0, &mut flat);
        flat
    });
    let documents = documents.collect();
    facts.broken.extend(tree.mistake);
    layers(file, path, documents, facts);
}

/// Reads application.properties; `#---` parts it into documents.
pub(crate) fn read_properties(file: FileId, path: &Path, text: &str, facts: &mut Facts) {
    let mut documents = vec![Flat::new()];
    let mut count = 0;
    let mut offset = 0;
    for raw in text.split_inclusive('\n') {
        let start = offset;
        offset += raw.len();
        let line = raw.trim();
        if line == "#---" || line == "!---" {
            documents.push(Flat::new());
            continue;
        }
        if line.is_empty() || line.starts_with(['#', '!']) || count >= KEYS_MAX {
            continue;
        }
        let Some((key, value)) = line.split_once(['=', ':']) else {
            continue;
        };
        count += 1;
        let key_start = start + (raw.len() - raw.trim_start().len());
        let value_start = key_start + key.len() + 1 + (value.len() - value.trim_start().len());
        let value = value.trim();
        let key = key.trim_end();
        let entry = Entry {
            written: last(key).to_owned(),
            key: Place::new(file, key_start..key_start + key.len()),
            word: Word::new(
                value,
                Place::new(file, value_start..value_start + value.len()),
            ),
        };
        if let Some(flat) = documents.last_mut() {
            flat.insert(canonical(key), entry);
        }
    }
    layers(file, path, documents, facts);
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Nested and dotted keys alike become one dotted path.
fn flatten(node: &Node, path: &str, depth: usize, flat: &mut Flat) {
    if depth > DEPTH_MAX || flat.len() >= KEYS_MAX {
        return;
    }
    for (key, value) in node.entries() {
        let Some(name) = key.text() else { continue };
        let path = match path.is_empty() {
            true => canonical(name),
            false => format!("{path}.{}", canonical(name)),
        };
        match value.word() {
            Some(word) => {
                let entry = Entry {
                    written: last(name).to_owned(),
                    key: key.place.clone(),
                    word,
                };
                flat.insert(path, entry);
            }
            None => flatten(value, &path, depth + 1, flat),
        }
    }
}

/// The base document, and each profile's on top of it.
fn layers(file: FileId, path: &Path, documents: Vec<Flat>, facts: &mut Facts) {
    let of_file = path.file_stem().and_then(|s| s.to_str()).unwrap_or("");
    let of_file = of_file.strip_prefix("application-").unwrap_or("");
    let mut base = Flat::new();
    let mut profiles = Vec::new();
    for flat in documents {
        let names = ["spring.config.activate.onprofile", "spring.profiles"];
        let profile = names.iter().find_map(|key| flat.get(*key));
        match profile.map(|entry| entry.word.text.clone()) {
            Some(profile) => profiles.push((profile, flat)),
            None => base.extend(flat),
        }
    }
    read(file, of_file, &base, &base, facts);
    for (profile, own) in profiles.into_iter().take(LAYERS_MAX) {
        let mut all = base.clone();
        all.extend(own.clone());
        read(file, &profile, &all, &own, facts);
    }
}

/// Reads one layer. `own`: what this document itself says; only that makes it
/// speak of a pool.
fn read(file: FileId, profile: &str, all: &Flat, own: &Flat, facts: &mut Facts) {
    misplaced(all, own, facts);
    for prefix in data_sources(own) {
        let group = |flat: &Flat, under: &str| -> Keys {
            let under = format!("{under}.");
            let inside = flat
                .range(under.clone()..)
                .take_while(|(k, _)| k.starts_with(&under));
            inside
                .map(|(k, e)| (k[under.len()..].to_owned(), e.clone()))
                .collect()
        };
        let mut keys = group(all, &format!("{prefix}.hikari"));
        let outer = group(all, &prefix);
        let url = ["url", "jdbcurl"].iter().find_map(|key| outer.get(*key));
        let url = url.or_else(|| keys.get("jdbcurl")).cloned();
        if keys.is_empty() && outer.contains_key("jdbcurl") {
            // A bean of its own is bound to the prefix: HikariCP's keys stand there.
            let direct = outer.iter().filter(|(k, _)| hikari::is_property(k));
            keys.extend(direct.map(|(k, e)| (k.clone(), e.clone())));
        }
        let address = url
            .as_ref()
            .and_then(|entry| address::read(&entry.word, facts));
        let elsewhere = url.as_ref().is_some_and(|entry| {
            let text = &entry.word.text;
            text.starts_with("jdbc:") && !text.starts_with("jdbc:postgresql")
        });
        let other = all.get(&format!("{prefix}.type"));
        let other = other.is_some_and(|e| !e.word.text.contains("Hikari"));
        secret(outer.get("password"), facts);
        if elsewhere || other || (keys.is_empty() && address.is_none()) {
            continue;
        }
        keys.remove("jdbcurl");
        let mut place = url.map(|entry| entry.key);
        let first = own.range(format!("{prefix}.")..).next();
        place = place.or_else(|| first.map(|(_, entry)| entry.key.clone()));
        let place = place.unwrap_or_else(|| Place::whole(file));
        let name = name(&prefix, profile);
        let pool = hikari::pool(&name, &place, &keys, address.as_ref(), facts);
        facts.pools.push(pool);
    }
    threads(profile, own, facts);
}

fn name(prefix: &str, profile: &str) -> String {
    let name = match prefix {
        "spring.datasource" => "dataSource",
        other => other,
    };
    match profile.is_empty() {
        true => name.to_owned(),
        false => format!("{profile}.{name}"),
    }
}

/// Prefixes under which a data source is described.
fn data_sources(own: &Flat) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (path, entry) in own {
        let prefix = match path.split_once(".hikari.") {
            Some((prefix, _)) if prefix.contains("datasource") => prefix,
            _ if path == "spring.datasource.url" => "spring.datasource",
            _ => match path.rsplit_once('.') {
                Some((prefix, "url" | "jdbcurl"))
                    if prefix.contains("datasource")
                        && entry.word.text.starts_with("jdbc:postgresql") =>
                {
                    prefix
                }
                _ => continue,
            },
        };
        let prefix = prefix.strip_suffix(".hikari").unwrap_or(prefix);
        if all.len() < LAYERS_MAX && !all.iter().any(|known| known == prefix) {
            all.push(prefix.to_owned());
        }
    }
    all
}

fn secret(entry: Option<&Entry>, facts: &mut Facts) {
    let Some(entry) = entry.filter(|e| is_secret(&e.word.text)) else {
        return;
    };
    let place = entry.word.place.clone();
    if !facts.secrets.iter().any(|known| known.place == place) {
        facts.secrets.push(Secret {
            place,
            what: "the database password".to_owned(),
        });
    }
}

/// Settings of Spring Boot 1's pools, which stood under `spring.datasource` itself.
const OLD: &[&str] = &[
    "maxactive",
    "maxtotal",
    "maxidle",
    "minidle",
    "maxwait",
    "initialsize",
    "maxage",
    "testonborrow",
    "testwhileidle",
    "validationquery",
    "removeabandoned",
    "timebetweenevictionrunsmillis",
    "minevictableidletimemillis",
];
/// Properties of HikariCP that Spring takes from `spring.datasource` too.
const SHARED: &[&str] = &[
    "username",
    "password",
    "driverclassname",
    "schema",
    "credentials",
];

/// Pool settings that Spring does not hand to HikariCP.
fn misplaced(all: &Flat, own: &Flat, facts: &mut Facts) {
    for (path, entry) in own {
        let Some((why, help)) = nobody_reads(path, entry, all) else {
            continue;
        };
        facts.unread.push(Unread {
            tool: Tool::Hikari,
            place: entry.key.clone(),
            key: entry.written.clone(),
            why: why.to_owned(),
            help,
        });
    }
}

/// Why nobody reads a key, and what to write instead.
fn nobody_reads(path: &str, entry: &Entry, all: &Flat) -> Option<(&'static str, String)> {
    let moved = || format!("move it to `spring.datasource.hikari.{}`", entry.written);
    let hikari = || "use `spring.datasource.hikari`".to_owned();
    if path.starts_with("spring.hikari.") {
        return Some(("Spring reads no `spring.hikari`", moved()));
    }
    if path.starts_with("server.tomcat.maxthreads") {
        let help = "`server.tomcat.threads.max`".to_owned();
        return Some(("renamed in Spring Boot 2.3, gone since 2.5", help));
    }
    let key = path.strip_prefix("spring.datasource.")?;
    let of_hikari = all
        .range("spring.datasource.hikari.".to_owned()..)
        .next()
        .is_some_and(|(k, _)| k.starts_with("spring.datasource.hikari."));
    // A bean of its own is bound to the prefix.
    if all.contains_key("spring.datasource.jdbcurl") && !of_hikari {
        return None;
    }
    if hikari::is_property(key) && !SHARED.contains(&key) {
        let why = "Spring does not hand this to HikariCP: it stands outside of `hikari`";
        return Some((why, moved()));
    }
    let typed = all.get("spring.datasource.type");
    if typed.is_some_and(|e| !e.word.text.contains("Hikari")) {
        return None;
    }
    if OLD.contains(&key) {
        let why = "Spring Boot reads pool settings only under the pool's own name";
        return Some((why, hikari()));
    }
    if !(key.starts_with("tomcat.") || key.starts_with("dbcp2.")) {
        return None;
    }
    let why = match of_hikari {
        true => "HikariCP is the pool; settings of another one are passed over",
        false => "Spring Boot takes HikariCP unless `spring.datasource.type` says otherwise",
    };
    Some((why, hikari()))
}

/// Tomcat's threads, each of which asks for a connection.
fn threads(profile: &str, own: &Flat, facts: &mut Facts) {
    let Some(entry) = own.get("server.tomcat.threads.max") else {
        return;
    };
    let Some(threads) = entry.word.count(Tool::Hikari, facts) else {
        return;
    };
    let named = own
        .get("spring.application.name")
        .and_then(|e| e.word.literal());
    let name = named.map_or_else(|| name("application", profile), |w| w.text);
    facts.workloads.push(Workload {
        runs: None,
        tool: Tool::Hikari,
        name,
        place: entry.key.clone(),
        replicas: Value::default(1, "not said in Spring's settings"),
        surge: Value::default(0, "not said in Spring's settings"),
        processes: Some(Value::default(1, "a Java application is one process")),
        threads: Some(threads),
        environment: Vec::new(),
    });
}

#[cfg(test)]
#[path = "spring_tests.rs"]
mod tests;
