//! A pgbouncer.ini as a plimsoll.toml with comments: for who moves over.
//!
//! The plan is read first, with every check; what is written says the same in
//! the other dialect, and a comment beside each key where it stood. A secret is
//! never written: passwords of databases go to files that the text names.

mod comments;
mod paper;

use crate::draft::{Dialect, Overrides};
use crate::entries::{DATABASE_KEYS, EntryKey, USER_KEYS};
use crate::error::Errors;
use crate::ini;
use crate::plan::{AuthType, Database, Host, Peer, Plan, Secret, User};
use crate::secrets::masked_query;
use crate::source::Source;
use crate::table::{Setting, settings};
use crate::value::{Kind, Value};
use comments::Originals;
use events::{Guard, GuardMode};
use paper::{Paper, key, text};
use std::path::{Path, PathBuf};

/// How to write it.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Guards only watch and errors have PgBouncer's texts, as with the ini itself;
    /// otherwise both are as in a new plimsoll.toml.
    pub observe: bool,
    /// Relative paths of the ini start here: the directory that PgBouncer runs in.
    pub base: PathBuf,
    /// Directory of the password files, as the text names it.
    pub secrets: PathBuf,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imported {
    /// The plimsoll.toml.
    pub text: String,
    /// Passwords that stood in the ini, by the files that the text names.
    pub passwords: Vec<(PathBuf, Secret)>,
    /// What a person has to do before it serves as the ini did.
    pub to_do: Vec<String>,
}

/// Reads a pgbouncer.ini and writes it as plimsoll.toml.
///
/// # Errors
/// All mistakes of the file and of the files that it names.
///
/// ```
/// let files = config::Memory::default().file("p.ini", "[databases]\nshop = host=db\n[pgbouncer]\nlisten_addr = *\n");
/// let options = config::ImportOptions { observe: true, base: "/etc".into(), secrets: "secrets".into() };
/// let text = config::import("p.ini".as_ref(), &files, &config::Overrides::default(), &options).unwrap().text;
/// let again = config::Memory::default().file("p.toml", text.as_str());
/// assert_eq!(config::load("p.toml".as_ref(), &again).unwrap().databases[0].name, "shop");
/// ```
pub fn import(
    path: &Path,
    source: &dyn Source,
    overrides: &Overrides,
    options: &ImportOptions,
) -> Result<Imported, Errors> {
    let plan = crate::pgbouncer::load(path, source, overrides)?;
    let (lines, errors) = ini::lines(path, source);
    let originals = Originals::of(&lines);
    errors.or(())?;
    let mut writer = Writer {
        plan: &plan,
        options,
        originals,
        paper: Paper::default(),
        passwords: Vec::new(),
        to_do: Vec::new(),
    };
    writer.head(path);
    writer.sections();
    writer.databases();
    writer.users();
    writer.left_out();
    Ok(Imported {
        text: writer.paper.finish(),
        passwords: writer.passwords,
        to_do: writer.to_do,
    })
}

struct Writer<'a> {
    plan: &'a Plan,
    options: &'a ImportOptions,
    originals: Originals,
    paper: Paper,
    passwords: Vec<(PathBuf, Secret)>,
    to_do: Vec<String>,
}

impl Writer<'_> {
    fn head(&mut self, path: &Path) {
        self.paper
            .say(&format!("Settings of Plimsoll, from {}.", path.display()));
        self.paper.say(
            "Each key names the line that it comes from, or whose default it is: what PgBouncer \
             takes for granted is written out where plimsoll.toml takes something else.",
        );
        match self.options.observe {
            true => self.paper.say(
                "Nothing acts by itself yet: the guards only watch. `plimsoll guards --since 7d` \
                 says after a week what they would have done, and which are safe to switch on.",
            ),
            false => self.paper.say(
                "The guards act, and errors have Plimsoll's texts: that is what differs from \
                 running the ini itself. To only watch first: `plimsoll import --observe`.",
            ),
        }
        if !self.plan.warnings.is_empty() {
            self.paper.blank();
            self.paper.say("What a start with this ini says:");
            for warning in &self.plan.warnings {
                self.paper.point(warning);
            }
        }
    }

    /// `[pgbouncer]` and `[plimsoll]`, by the sections of plimsoll.toml.
    fn sections(&mut self) {
        let mut names: Vec<&str> = Vec::new();
        for setting in settings() {
            if let Some((section, _)) = setting.toml.rsplit_once('.')
                && !names.contains(&section)
            {
                names.push(section);
            }
        }
        for section in names {
            let of = |s: &&Setting| s.toml.rsplit_once('.').is_some_and(|(at, _)| at == section);
            let mut rows = Vec::new();
            for setting in settings().iter().filter(of) {
                rows.extend(self.row(setting));
            }
            if rows.is_empty() && section != "server" {
                continue;
            }
            self.paper.section(&format!("[{section}]"));
            for line in comments::of_section(section, self.plan, self.options.observe) {
                self.paper.say(&line);
            }
            self.paper.line(&format!("[{section}]"));
            for (line, comment) in rows {
                self.paper.remarked(&line, &comment);
            }
        }
    }

    /// The line of one setting and the remark behind it; `None`: the default says it.
    fn row(&self, setting: &Setting) -> Option<(String, String)> {
        let value = (setting.access?.get)(self.plan);
        let (_, name) = setting.toml.rsplit_once('.')?;
        let explicit = self.originals.of_setting(setting.key);
        let observed = setting.toml.starts_with("guards.") || setting.key == "error_style";
        if observed && !self.options.observe && explicit.is_none() {
            return None;
        }
        let default = setting.default(Dialect::Toml).ok();
        let wanted = match setting.key {
            "line" => self.plan.line_stated,
            // The first address names the unix socket.
            "listen_port" => match self.plan.listen.first() {
                Some(first) => first.port != self.plan.unix_socket_port,
                None => true,
            },
            "server_check_delay" => {
                self.plan.server_check_delay.is_some()
                    && (explicit.is_some() || default.as_ref() != Some(&value))
            }
            "cancel_peers" => self.plan.fleet.cancel.peers.iter().any(has_address),
            key if observed && self.options.observe => {
                key != "error_style" || default.as_ref() != Some(&value)
            }
            _ => explicit.is_some() || default.as_ref() != Some(&value),
        };
        if !wanted {
            return None;
        }
        let value = match (setting.kind, value) {
            (Kind::Path, Value::Text(path)) if !path.is_empty() && !path.starts_with('@') => {
                Value::Text(self.options.base.join(path).to_string_lossy().into_owned())
            }
            (_, Value::Listen(mut all)) if setting.key == "cancel_peers" => {
                all.retain(|peer| !peer.host.starts_with(['/', '@']));
                Value::Listen(all)
            }
            (_, value) => value,
        };
        let written = paper::value(setting.kind, &value)?;
        let remark = match explicit {
            Some(place) => format!("{}, {place}", setting.key),
            None if setting.key == "queue_max" => "max_client_conn".to_owned(),
            None if setting.in_pgbouncer => format!("PgBouncer's default of {}", setting.key),
            None => "as with the ini itself".to_owned(),
        };
        Some((format!("{name} = {written}"), remark))
    }

    fn databases(&mut self) {
        self.paper.section("Databases");
        self.paper.say(
            "As [databases]. The name is the one that clients use; \"*\" serves every other name. \
             All pools of one server share its line.",
        );
        for database in &self.plan.databases {
            self.paper.blank();
            if let Some(place) = self.originals.of_database(&database.name) {
                self.paper.say(&place);
            }
            self.paper
                .line(&format!("[database.{}]", key(&database.name)));
            for row in entry_rows(DATABASE_KEYS, database) {
                self.database_row(database, row);
            }
            self.password(database);
        }
    }

    fn database_row(&mut self, database: &Database, (name, line): (&str, String)) {
        if name == "connect_query"
            && let Some(query) = &database.connect_query
            && masked_query(query) != *query
        {
            self.to_do.push(format!(
                "database {}: put the password back into connect_query",
                database.name
            ));
            let masked = text(&masked_query(query));
            return self.paper.remarked(
                &format!("connect_query = {masked}"),
                "its password is not written here: put it back",
            );
        }
        if name == "host"
            && let Host::UnixDir(directory) = &database.host
            && !crate::is_abstract(directory)
        {
            let directory = self.options.base.join(directory);
            let directory = text(&directory.to_string_lossy());
            return self.paper.line(&format!("host = {directory}"));
        }
        self.paper.line(&line);
    }

    /// A password moves to a file that nobody else may read.
    fn password(&mut self, database: &Database) {
        let Some(password) = &database.password else {
            return;
        };
        let file = format!("{}.password", paper::file_name(&database.name));
        let mut path = self.options.secrets.join(file);
        let taken = |path: &Path, all: &[(PathBuf, Secret)]| all.iter().any(|(p, _)| p == path);
        let mut n = 2;
        while taken(&path, &self.passwords) {
            let file = format!("{}-{n}.password", paper::file_name(&database.name));
            path = self.options.secrets.join(file);
            n += 1;
        }
        self.paper.remarked(
            &format!("password_file = {}", text(&path.to_string_lossy())),
            "it stood in the ini; `plimsoll import --secrets DIR` writes the file, see docs/secrets.md",
        );
        self.to_do.push(format!(
            "database {}: its password belongs into {}, readable for the pooler alone",
            database.name,
            path.display()
        ));
        self.passwords.push((path, password.clone()));
    }

    /// Users with something of their own; the secrets stay in the user file.
    fn users(&mut self) {
        let own: Vec<(&String, &User)> = self
            .plan
            .users
            .iter()
            .filter(|(_, user)| entry_rows(USER_KEYS, *user).next().is_some())
            .collect();
        if own.is_empty() {
            return;
        }
        self.paper.section("Users");
        self.paper.say(
            "As [users]: what holds for single users. Their secrets stay in the user file, which is \
             read as before.",
        );
        for (name, user) in own {
            self.paper.blank();
            if let Some(place) = self.originals.of_user(name) {
                self.paper.say(&place);
            }
            if user.secret.is_none() && self.lets_in_by_name() {
                self.paper.say(
                    "It is not in the user file, so PgBouncer lets nobody in by this name. Here a user of the settings \
                     needs no secret where none is asked for.",
                );
                self.to_do.push(format!(
                    "user {name}: it is not in the user file, and without a proof (trust, cert, peer) it may log in \
                     from now on; take it out, or refuse it by a rule, if that is not wanted"
                ));
            }
            self.paper.line("[[user]]");
            self.paper.line(&format!("name = {}", text(name)));
            for (_, line) in entry_rows(USER_KEYS, user) {
                self.paper.line(&line);
            }
        }
    }

    /// Some client may log in without a secret, and nobody looks users up.
    fn lets_in_by_name(&self) -> bool {
        let plan = self.plan;
        !plan.looks_users_up()
            && matches!(
                plan.auth_type,
                AuthType::Trust | AuthType::Cert | AuthType::Hba
            )
    }

    /// What the ini says and nothing here does.
    fn left_out(&mut self) {
        let left = comments::left_out(&self.originals);
        if left.is_empty() {
            return;
        }
        self.paper.section("Not taken over");
        for line in left {
            self.paper.point(&line);
        }
    }
}

/// The keys that an entry says something about.
fn entry_rows<'a, T>(
    keys: &'static [EntryKey<T>],
    of: &'a T,
) -> impl Iterator<Item = (&'static str, String)> + 'a {
    keys.iter()
        .filter(|entry| !entry.toml.is_empty())
        .filter_map(|entry| {
            let written = paper::value(entry.kind, &(entry.get)(of)?)?;
            Some((entry.toml, format!("{} = {written}", entry.toml)))
        })
}

/// Whether a guard of the plan acts; for who says what a trial means.
pub(crate) fn acts(plan: &Plan) -> bool {
    Guard::ALL
        .into_iter()
        .any(|guard| plan.guards.mode(guard) == GuardMode::Enforce)
}

/// What plimsoll.toml can name: a peer by its address, not by its socket.
fn has_address(peer: &Peer) -> bool {
    matches!(peer.host, Host::Tcp(_))
}

/// It can name all of them.
pub(crate) fn named_peers(plan: &Plan) -> bool {
    plan.fleet.cancel.peers.iter().all(has_address)
}
