//! What stands beside the keys: where they were, what differs, what is left out.

use super::{acts, named_peers};
use crate::ini::{Item, Line};
use crate::plan::{Plan, PoolMode};
use crate::table::{Support, settings};
use std::collections::BTreeMap;

/// Where things stood in the ini; the last place holds, as in PgBouncer.
pub(super) struct Originals {
    /// By section and key.
    places: BTreeMap<(String, String), String>,
}

impl Originals {
    pub(super) fn of(lines: &[Line]) -> Originals {
        let mut section = String::new();
        let mut places = BTreeMap::new();
        for line in lines {
            let place = format!("{}:{}", line.file.display(), line.number);
            match &line.item {
                Item::Section(name) => section.clone_from(name),
                Item::Pair { key, .. } => {
                    places.insert((section.clone(), key.clone()), place);
                }
                Item::Own { key, .. } => {
                    places.insert(("plimsoll".to_owned(), key.clone()), place);
                }
            }
        }
        Originals { places }
    }

    fn at(&self, section: &str, key: &str) -> Option<String> {
        let found = self.places.get(&(section.to_owned(), key.to_owned()));
        found.cloned()
    }

    pub(super) fn of_setting(&self, key: &str) -> Option<String> {
        self.at("pgbouncer", key)
            .or_else(|| self.at("plimsoll", key))
            .or_else(|| match key {
                "cancel_peers" => self.peers(),
                _ => None,
            })
    }

    fn peers(&self) -> Option<String> {
        let mut all = self.places.iter().filter(|((s, _), _)| s == "peers");
        all.next().map(|(_, place)| place.clone())
    }

    pub(super) fn of_database(&self, name: &str) -> Option<String> {
        self.at("databases", name)
    }

    pub(super) fn of_user(&self, name: &str) -> Option<String> {
        self.at("users", name)
    }
}

/// What a section was, and what differs.
pub(super) fn of_section(section: &str, plan: &Plan, observe: bool) -> Vec<String> {
    match section {
        "listen" => say(
            "As listen_addr, listen_port and unix_socket_dir. Each address has its own port here.",
        ),
        "auth" => say(
            "As auth_type, auth_file, auth_query and the users of the console. The user file keeps its form \
             and is watched: a change serves within two seconds, without RELOAD.",
        ),
        "pool" => {
            let mut lines = say(
                "As the pool sizes. A 0 that meant \"unlimited\" has become the bound that holds in its \
                 place; all pools of a server stay under server.line together.",
            );
            if plan.pool_mode == PoolMode::Transaction {
                lines.push(
                    "In transaction mode SET follows its client here; see docs/moving-from-pgbouncer.md."
                        .to_owned(),
                );
            }
            lines
        }
        "clients" => {
            say("As max_client_conn and its like. max_packet_size holds before the login alone.")
        }
        "server" => server(plan),
        "timeouts" => say("As the timeouts, with units; \"off\" was 0."),
        "session" => session(observe),
        "guards" => match acts(plan) {
            false => say(
                "PgBouncer has none. Observe: each is counted and logged, and nothing is done. The budget \
                 always holds. Switch one on by deleting its line.",
            ),
            true => say("PgBouncer has none. As [plimsoll] of the ini says."),
        },
        "fleet" => fleet(plan),
        "tls.client" => say("As client_tls_*: TLS towards clients, with libpq's modes."),
        "tls.server" => say("As server_tls_*: TLS towards servers, with libpq's modes."),
        "log" => say("As log_* and logfile. HUP and RELOAD open the file anew."),
        "tcp" => say("As tcp_*."),
        _ => Vec::new(),
    }
}

fn say(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

fn server(plan: &Plan) -> Vec<String> {
    let mut lines = say(
        "Towards the database server. PgBouncer has no word for the line: the most connections of \
                 all pools together at one server.",
    );
    if !plan.line_stated && plan.monitor.user.is_none() {
        lines.push(format!(
                    "Nobody stated it: {} is assumed. State `line = N`, or name a `monitor_user` that reads it \
                     from the server (docs/budget.md has the GRANT).",
                    plan.line
                ));
    }
    lines
}

fn session(observe: bool) -> Vec<String> {
    let mut lines =
        say("As server_reset_query, max_prepared_statements and the start-up parameters.");
    if observe {
        lines.push(
            "error_style: texts and codes of errors are PgBouncer's. Without the line a client is \
                     told 53300 with figures and keeps its session."
                .to_owned(),
        );
    }
    lines
}

fn fleet(plan: &Plan) -> Vec<String> {
    let mut lines = say(
        "As [peers]. Without numbers: a cancel request that reaches the wrong instance is passed on \
                 to all of them, and peer_id is not needed.",
    );
    if !named_peers(plan) {
        lines.push("A peer behind a unix socket cannot be named here.".to_owned());
    }
    lines
}

/// Keys that the ini sets and that do nothing here, with the reason.
pub(super) fn left_out(originals: &Originals) -> Vec<String> {
    let mut lines = Vec::new();
    for setting in settings().iter().filter(|s| s.in_pgbouncer) {
        let Some(place) = originals.at("pgbouncer", setting.key) else {
            continue;
        };
        let why = match setting.support {
            Support::NoEffect(why) | Support::NotYet(why) | Support::Refused(why) => why,
            Support::Honoured if setting.key == "peer_id" => "[fleet] has no numbers",
            Support::Honoured if setting.key == "verbose" => {
                "the command line sets how much is logged (--log-level)"
            }
            Support::Honoured => continue,
        };
        lines.push(format!("{} ({place}): {why}", setting.key));
    }
    lines
}
