//! Where PostgreSQL's programs are on this machine.
//!
//! The search is a function of its arguments: the caller passes `PGBIN` and
//! `PATH` as values, and tests pass a root directory of their own. This file
//! uses nothing but `std`, because `cargo xtask deps` includes it as it is.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where to look.
#[derive(Clone, Debug)]
pub struct Places {
    /// A directory named by the user (`PGBIN`). When given, it is the only one looked at:
    /// a person who names a version must not silently get another.
    pub pgbin: Option<PathBuf>,
    /// The value of `PATH`.
    pub path: Option<OsString>,
    /// What the well-known directories are under: `/`, but for tests.
    pub root: PathBuf,
}

impl Places {
    /// Reads `PGBIN` and `PATH` from the environment.
    pub fn from_env() -> Places {
        Places {
            pgbin: std::env::var_os("PGBIN")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            path: std::env::var_os("PATH"),
            root: PathBuf::from("/"),
        }
    }

    /// Finds the server's programs, or says where it looked.
    ///
    /// Order: `PGBIN` alone, else `PATH`, else the usual directories with the
    /// newest version first.
    pub fn find(&self) -> Result<Programs, NotFound> {
        let directories = self.directories();
        for directory in &directories {
            let (postgres, initdb) = (directory.join("postgres"), directory.join("initdb"));
            if !postgres.is_file() || !initdb.is_file() {
                continue;
            }
            // PATH often holds links; the clients then lie beside the target.
            let home = postgres
                .canonicalize()
                .ok()
                .and_then(|p| p.parent().map(Path::to_path_buf));
            let client = |name: &str| {
                home.iter()
                    .chain([directory])
                    .chain(&directories)
                    .map(|d| d.join(name))
                    .find(|p| p.is_file())
            };
            let Some(psql) = client("psql") else { continue };
            return Ok(Programs {
                postgres,
                initdb,
                psql,
                pgbench: client("pgbench"),
            });
        }
        Err(NotFound {
            looked_in: directories,
        })
    }

    fn directories(&self) -> Vec<PathBuf> {
        if let Some(pgbin) = &self.pgbin {
            return vec![pgbin.clone()];
        }
        let mut found: Vec<PathBuf> = self
            .path
            .as_deref()
            .map(std::env::split_paths)
            .into_iter()
            .flatten()
            .collect();
        for (parent, prefix, rest) in USUAL {
            found.extend(versions(&self.root.join(parent), prefix, rest));
        }
        found.retain(|directory| !directory.as_os_str().is_empty());
        found
    }
}

/// The usual homes: a parent directory, how the version's directory begins,
/// and what follows it.
const USUAL: [(&str, &str, &str); 8] = [
    ("usr/lib/postgresql", "", "bin"), // Debian, Ubuntu
    ("usr", "pgsql-", "bin"),          // the PostgreSQL project's packages for Fedora, RHEL
    ("usr/libexec", "postgresql", ""), // Alpine
    ("usr/lib", "postgresql", "bin"),  // openSUSE
    ("opt/homebrew/opt", "postgresql", "bin"),
    ("usr/local/opt", "postgresql", "bin"),
    ("Applications/Postgres.app/Contents/Versions", "", "bin"),
    ("usr/local", "pgsql", "bin"), // built from source
];

/// The directories `parent/prefixN/rest`, the largest number first.
fn versions(parent: &Path, prefix: &str, rest: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, OsString)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let digits = version_digits(&name, prefix)?;
            Some((digits, name))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found
        .into_iter()
        .map(|(_, name)| parent.join(name).join(rest))
        .collect()
}

/// `postgresql@17` with the prefix `postgresql` is 17; a name without a number counts as 0.
fn version_digits(name: &OsStr, prefix: &str) -> Option<u32> {
    let tail = name
        .to_str()?
        .strip_prefix(prefix)?
        .trim_start_matches(['@', '-']);
    let digits: String = tail.chars().take_while(char::is_ascii_digit).collect();
    if digits.is_empty() {
        return tail.is_empty().then_some(0);
    }
    digits.parse().ok()
}

/// PostgreSQL's programs, as paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The server.
    pub postgres: PathBuf,
    /// Makes a data directory.
    pub initdb: PathBuf,
    /// The terminal client.
    pub psql: PathBuf,
    /// The load generator. Some systems pack it apart, so it may be absent.
    pub pgbench: Option<PathBuf>,
}

/// The programs were not found. Its text names the package to install.
#[derive(Debug)]
pub struct NotFound {
    /// Every directory that was looked at, in order.
    pub looked_in: Vec<PathBuf>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "PostgreSQL's programs (postgres, initdb, psql) were not found."
        )?;
        writeln!(f, "Install them:")?;
        for (system, command) in INSTALL {
            writeln!(f, "  {system:<16} {command}")?;
        }
        writeln!(f, "or say where they are: PGBIN=/path/to/postgresql/bin")?;
        write!(f, "Looked in:")?;
        for directory in &self.looked_in {
            write!(f, " {}", directory.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for NotFound {}

/// How to install PostgreSQL with pgbench, per system.
pub const INSTALL: [(&str, &str); 6] = [
    (
        "Debian, Ubuntu",
        "sudo apt-get install postgresql postgresql-contrib",
    ),
    (
        "Fedora, RHEL",
        "sudo dnf install postgresql-server postgresql-contrib",
    ),
    (
        "openSUSE",
        "sudo zypper install postgresql-server postgresql-contrib",
    ),
    ("Arch", "sudo pacman -S postgresql"),
    ("Alpine", "sudo apk add postgresql postgresql-contrib"),
    ("macOS", "brew install postgresql@17"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty directory of this test's own, removed at the end.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str) -> Root {
            let path = std::env::temp_dir()
                .join(format!("plimsoll-programs-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a temporary directory");
            Root(path)
        }

        fn install(&self, directory: &str, names: &[&str]) -> PathBuf {
            let directory = self.0.join(directory);
            std::fs::create_dir_all(&directory).expect("a directory");
            for name in names {
                std::fs::write(directory.join(name), "").expect("a file");
            }
            directory
        }

        fn places(&self) -> Places {
            Places {
                pgbin: None,
                path: None,
                root: self.0.clone(),
            }
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    const ALL: [&str; 4] = ["postgres", "initdb", "psql", "pgbench"];

    #[test]
    fn the_newest_version_wins_by_number_not_by_letter() {
        let root = Root::new("newest");
        root.install("usr/lib/postgresql/9.6/bin", &ALL);
        let newest = root.install("usr/lib/postgresql/17/bin", &ALL);
        let found = root.places().find().expect("found");
        assert_eq!(found.postgres, newest.join("postgres"));
        assert_eq!(
            found.pgbench.as_deref().and_then(Path::file_name),
            Some(OsStr::new("pgbench"))
        );
    }

    #[test]
    fn path_comes_before_the_usual_places_and_pgbin_before_path() {
        let root = Root::new("order");
        root.install("usr/lib/postgresql/17/bin", &ALL);
        let on_path = root.install("mine", &ALL);
        let named = root.install("named", &ALL);
        let mut places = root.places();
        places.path = Some(on_path.clone().into_os_string());
        assert_eq!(places.find().expect("found").initdb, on_path.join("initdb"));
        places.pgbin = Some(named.clone());
        assert_eq!(places.find().expect("found").initdb, named.join("initdb"));
    }

    #[test]
    fn a_named_directory_without_programs_is_an_error_not_a_fallback() {
        let root = Root::new("named");
        root.install("usr/lib/postgresql/17/bin", &ALL);
        let mut places = root.places();
        places.pgbin = Some(root.0.join("empty"));
        let error = places.find().expect_err("nothing there");
        assert_eq!(error.looked_in, [root.0.join("empty")]);
    }

    #[test]
    fn clients_alone_are_not_enough_and_the_message_names_the_package() {
        let root = Root::new("clients");
        let clients = root.install("bin", &["psql", "pgbench"]);
        let mut places = root.places();
        places.path = Some(clients.into_os_string());
        let text = places.find().expect_err("no server").to_string();
        assert!(text.contains("sudo apt-get install postgresql"), "{text}");
        assert!(text.contains("PGBIN="), "{text}");
    }

    #[test]
    fn homebrew_names_carry_the_version_after_an_at_sign() {
        let root = Root::new("brew");
        root.install("opt/homebrew/opt/postgresql@9/bin", &ALL);
        let newest = root.install("opt/homebrew/opt/postgresql@16/bin", &ALL);
        let found = root.places().find().expect("found");
        assert_eq!(found.postgres, newest.join("postgres"));
        assert!(found.pgbench.is_some());
    }
}
