//! The files to check, and what each of them is.

use crate::live::Live;
use crate::place::FileId;
use std::path::{Path, PathBuf};

/// Larger files are not read: no settings file is. They get a finding.
pub const FILE_BYTES_MAX: usize = 4 << 20;
/// Lock files of large projects are longer.
const LOCK_BYTES_MAX: usize = 32 << 20;

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub path: PathBuf,
    /// `Err`: why there is no text, in words.
    pub text: Result<String, String>,
    /// A running server's answers; `text` is their listing.
    pub live: Option<Live>,
}

/// The files of one check. What stands in several of them is added up.
#[derive(Clone, Debug, Default)]
pub struct Files {
    list: Vec<File>,
}

impl Files {
    /// Bytes of a file of this name that are read at most.
    pub fn bytes_max(path: &Path) -> usize {
        match crate::read::is_packages(path) {
            true => LOCK_BYTES_MAX,
            false => FILE_BYTES_MAX,
        }
    }

    /// Adds a file's content.
    pub fn add(&mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) {
        let path: PathBuf = path.into();
        let content: Vec<u8> = content.into();
        let most = Files::bytes_max(&path);
        let text = if content.len() > most {
            Err(format!("larger than {} MiB", most >> 20))
        } else if content.contains(&0) {
            Err("binary, not text".to_owned())
        } else {
            String::from_utf8(content).map_err(|_| "not UTF-8 text".to_owned())
        };
        self.push(path, text);
    }

    /// Adds a file that could not be read, with the reason in words.
    pub fn add_unreadable(&mut self, path: impl Into<PathBuf>, why: impl Into<String>) {
        self.push(path.into(), Err(why.into()));
    }

    /// Adds a running server, as it described itself.
    pub fn add_live(&mut self, live: Live) {
        self.list.push(File {
            path: PathBuf::from(format!("{} (pg_settings)", live.label)),
            text: Ok(live.text()),
            live: Some(live),
        });
    }

    fn push(&mut self, path: PathBuf, text: Result<String, String>) {
        self.list.push(File {
            path,
            text,
            live: None,
        });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (FileId, &File)> {
        (0_u32..).map(FileId).zip(&self.list)
    }

    /// The path of a file.
    pub fn path(&self, file: FileId) -> &Path {
        self.list
            .get(file.0 as usize)
            .map_or(Path::new(""), |f| &f.path)
    }

    /// The text of a file, where it has one.
    pub fn text(&self, file: FileId) -> Option<&str> {
        self.list.get(file.0 as usize)?.text.as_deref().ok()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// What a file is, by its name and by what stands in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    Plimsoll,
    PgBouncer,
    PgCat,
    PgDog,
    Odyssey,
    Postgres,
    Python,
    JavaScript,
    RailsDatabase,
    SpringProperties,
    SpringYaml,
    Compose,
    Kubernetes,
    Prisma,
    Go,
    Ruby,
    Environment,
    Kustomize,
    HelmValues,
    Packages,
    LiveServer,
    /// None of these, or not what its name suggests: left alone.
    Unknown,
}

impl Kind {
    /// A word for lists: "pgbouncer.ini".
    pub fn label(self) -> &'static str {
        match self {
            Kind::Plimsoll => "plimsoll.toml",
            Kind::PgBouncer => "pgbouncer.ini",
            Kind::PgCat => "pgcat.toml",
            Kind::PgDog => "pgdog.toml",
            Kind::Odyssey => "odyssey.conf",
            Kind::Postgres => "postgresql.conf",
            Kind::Python => "Python",
            Kind::JavaScript => "JavaScript",
            Kind::RailsDatabase => "Rails database.yml",
            Kind::SpringProperties => "Spring properties",
            Kind::SpringYaml => "Spring YAML",
            Kind::Compose => "Docker Compose",
            Kind::Kubernetes => "Kubernetes manifest",
            Kind::Prisma => "Prisma schema",
            Kind::Go => "Go",
            Kind::Ruby => "Ruby",
            Kind::Environment => "environment file",
            Kind::Kustomize => "Kustomize overlay",
            Kind::HelmValues => "Helm values",
            Kind::Packages => "lock file",
            Kind::LiveServer => "PostgreSQL server",
            Kind::Unknown => "unknown",
        }
    }

    /// By name first, then by content; a name alone is not believed.
    pub fn of(path: &Path, text: &str) -> Kind {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        let name = name.to_ascii_lowercase();
        let extension = name.rsplit_once('.').map_or("", |(_, e)| e);
        if crate::read::is_packages(path) {
            return Kind::Packages;
        }
        match extension {
            "ini" if is_pgbouncer(text) => Kind::PgBouncer,
            "toml" => of_toml(&name, text),
            "conf" => of_conf(&name, text),
            "py" => Kind::Python,
            "js" | "mjs" | "cjs" | "ts" => Kind::JavaScript,
            "go" => Kind::Go,
            "rb" if crate::read::ruby_tells(path, text) => Kind::Ruby,
            "prisma" if has(text, &["datasource "]) => Kind::Prisma,
            "properties" => Kind::SpringProperties,
            "yml" | "yaml" => of_yaml(&name, text),
            "env" => Kind::Environment,
            _ if name.starts_with(".env") => Kind::Environment,
            _ if is_pgbouncer(text) => Kind::PgBouncer,
            _ => Kind::Unknown,
        }
    }
}

fn of_toml(name: &str, text: &str) -> Kind {
    if name.contains("pgcat") || begins(text, &["[pools."]) {
        Kind::PgCat
    } else if name.contains("pgdog") || begins(text, &["[[databases]]", "[[users]]"]) {
        Kind::PgDog
    } else if name.contains("plimsoll") || begins(text, &["[database.", "[listen]", "[pool]"]) {
        Kind::Plimsoll
    } else {
        Kind::Unknown
    }
}

fn of_conf(name: &str, text: &str) -> Kind {
    if is_pgbouncer(text) {
        Kind::PgBouncer
    } else if begins(text, &["storage ", "database \"", "database default"]) && text.contains('{') {
        Kind::Odyssey
    } else if name.contains("postgresql")
        || begins(
            text,
            &["max_connections", "#max_connections", "shared_buffers"],
        )
    {
        Kind::Postgres
    } else {
        Kind::Unknown
    }
}

fn of_yaml(name: &str, text: &str) -> Kind {
    if name.starts_with("kustomization.") {
        Kind::Kustomize
    } else if begins(text, &["apiVersion:"]) && text.contains("kind:") {
        Kind::Kubernetes
    } else if begins(text, &["services:"]) {
        Kind::Compose
    } else if name.starts_with("database.") || text.contains("adapter: postg") {
        Kind::RailsDatabase
    } else if begins(text, &["spring:", "spring."]) || name.starts_with("application") {
        Kind::SpringYaml
    } else if name.contains("values") && has(text, &["replicaCount:", "replicas:", "autoscaling:"])
    {
        Kind::HelmValues
    } else {
        Kind::Unknown
    }
}

fn is_pgbouncer(text: &str) -> bool {
    begins(text, &["[pgbouncer]", "[databases]", "%include "])
}

/// A line begins with one of these.
fn begins(text: &str, all: &[&str]) -> bool {
    let mut lines = text.lines().map(str::trim_start);
    lines.any(|line| all.iter().any(|word| line.starts_with(word)))
}

fn has(text: &str, all: &[&str]) -> bool {
    all.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_content_says() {
        for (path, text, kind) in [
            ("a/pgbouncer.ini", "[pgbouncer]\n", Kind::PgBouncer),
            ("setup.ini", "[tool]\nx = 1\n", Kind::Unknown),
            ("plimsoll.toml", "[pool]\nsize = 1\n", Kind::Plimsoll),
            ("Cargo.toml", "[package]\n", Kind::Unknown),
            ("nginx.conf", "worker_processes 4;\n", Kind::Unknown),
            ("custom.conf", "max_connections = 100\n", Kind::Postgres),
            (
                "deploy.yaml",
                "apiVersion: apps/v1\nkind: Deployment\n",
                Kind::Kubernetes,
            ),
            ("compose.yml", "services:\n  web: {}\n", Kind::Compose),
            ("application.yml", "spring:\n", Kind::SpringYaml),
            (".env.production", "A=1\n", Kind::Environment),
            ("mkdocs.yml", "site_name: x\n", Kind::Unknown),
        ] {
            assert_eq!(Kind::of(Path::new(path), text), kind, "{path}");
        }
    }
}
