//! Settings with sane limits: each passes the check.

/// A kind of settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Template {
    /// The word on the command line.
    pub kind: &'static str,
    /// The file's usual name.
    pub file: &'static str,
    /// What it is for, in one line.
    pub about: &'static str,
    text: &'static str,
}

/// Numbers that a template is filled with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbers {
    /// Connections of the pool.
    pub size: u64,
    /// All connections to the server.
    pub line: u64,
    /// The server's `max_connections`.
    pub max_connections: u64,
}

impl Default for Numbers {
    /// For a server with PostgreSQL's own 100.
    fn default() -> Numbers {
        Numbers {
            size: 20,
            line: 80,
            max_connections: 100,
        }
    }
}

/// All templates.
pub static TEMPLATES: &[Template] = &[
    Template {
        kind: "plimsoll",
        file: "plimsoll.toml",
        about: "Plimsoll, with the line read from the server",
        text: include_str!("template/plimsoll.toml"),
    },
    Template {
        kind: "pgbouncer",
        file: "pgbouncer.ini",
        about: "PgBouncer (or Plimsoll), transaction pooling",
        text: include_str!("template/pgbouncer.ini"),
    },
    Template {
        kind: "postgresql",
        file: "postgresql.conf",
        about: "PostgreSQL's own limits and timeouts",
        text: include_str!("template/postgresql.conf"),
    },
    Template {
        kind: "django",
        file: "settings.py",
        about: "Django 5.1 and later, with its pool",
        text: include_str!("template/django.py"),
    },
    Template {
        kind: "sqlalchemy",
        file: "db.py",
        about: "SQLAlchemy 2",
        text: include_str!("template/sqlalchemy.py"),
    },
    Template {
        kind: "hikari",
        file: "application.properties",
        about: "Spring Boot with HikariCP",
        text: include_str!("template/hikari.properties"),
    },
    Template {
        kind: "rails",
        file: "database.yml",
        about: "Rails",
        text: include_str!("template/rails.yml"),
    },
    Template {
        kind: "node",
        file: "db.js",
        about: "node-postgres",
        text: include_str!("template/node.js"),
    },
    Template {
        kind: "go",
        file: "db.go",
        about: "Go database/sql",
        text: include_str!("template/go.txt"),
    },
];

impl Template {
    /// The one of that kind.
    pub fn of(kind: &str) -> Option<&'static Template> {
        TEMPLATES.iter().find(|t| t.kind == kind)
    }

    /// Its text with the numbers filled in.
    pub fn filled(&self, numbers: &Numbers) -> String {
        self.text
            .replace("@SIZE@", &numbers.size.to_string())
            .replace("@LINE@", &numbers.line.to_string())
            .replace("@MAX@", &numbers.max_connections.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Files, Options, Severity, check, render};

    #[test]
    fn every_template_passes_the_check() {
        for template in TEMPLATES {
            let mut files = Files::default();
            files.add(template.file, template.filled(&Numbers::default()));
            let options = Options {
                max_connections: Some(100),
                ..Options::default()
            };
            let report = check(&files, &options);
            let facts = report.facts();
            assert!(
                facts.pools.len() + facts.servers.len() > 0,
                "{}: nothing was read",
                template.kind
            );
            assert!(
                report.worst() < Some(Severity::Warning),
                "{}",
                render::text(&report, render::Style::Plain)
            );
        }
    }
}
