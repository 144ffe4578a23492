//! The checks of TLS and of logins over the whole.

use super::{Dialect, Draft, some_of};
use crate::error::Problem;
use crate::hba::Method;
use crate::plan::{AuthType, SslMode};

/// The console, which is no database.
const CONSOLE: &str = "pgbouncer";

impl Draft {
    pub(super) fn tls(&mut self) {
        let plan = &self.plan;
        let client = plan.client_tls.clone();
        let server = plan.server_tls.clone();
        if client.mode != SslMode::Disable
            && (client.key_file.is_none() || client.cert_file.is_none())
        {
            let problem = Problem::new("TLS towards clients needs a key and a certificate")
                .help("name both files, or set the mode to disable");
            self.error("client_tls_sslmode", problem);
        }
        if client.mode >= SslMode::VerifyCa && client.ca_file.is_none() {
            let problem =
                Problem::new("client certificates are to be verified, but no authority is named")
                    .help("name the authorities' file (PEM), or use the mode require");
            self.error("client_tls_sslmode", problem);
        }
        if server.key_file.is_some() != server.cert_file.is_some() {
            let problem = Problem::new(
                "a certificate towards servers needs its key, and a key its certificate",
            )
            .help("name both files, or neither");
            let key = if server.key_file.is_some() {
                "server_tls_key_file"
            } else {
                "server_tls_cert_file"
            };
            self.error(key, problem);
        }
        if server.direct && server.mode < SslMode::Require {
            let problem =
                Problem::new("direct TLS towards servers needs the mode require or stricter")
                    .why("there is no request that the server could decline");
            self.error(
                "server_tls_direct",
                problem.help("set mode = \"require\", or leave `direct` out"),
            );
        }
    }

    pub(super) fn login(&mut self) {
        let plan = &self.plan;
        let verified = plan.client_tls.mode == SslMode::VerifyFull;
        if plan.auth_type == AuthType::Cert && !verified {
            let problem = Problem::new("login by certificate needs verified client certificates")
                .help(
                    "set TLS towards clients to verify-full, with key, certificate and authorities",
                );
            self.error("auth_type", problem);
        }
        let plan = &self.plan;
        let by_rule = plan
            .hba
            .rules
            .as_ref()
            .is_some_and(|h| h.uses(Method::Cert));
        let tls = &plan.client_tls;
        if by_rule && (tls.mode == SslMode::Disable || tls.ca_file.is_none()) {
            let (what, why) = (
                "rules with `cert` need client certificates",
                "no client is asked for its certificate, so that these rules let nobody in",
            );
            match self.dialect {
                // PgBouncer serves such a file, and as nobody gets in by these rules there is nothing unsafe in it.
                Dialect::Ini => self.warn(format!("auth_hba_file: {what}: {why}")),
                Dialect::Toml => {
                    let help = "turn TLS towards clients on, with key, certificate and authorities";
                    self.error("auth_hba_file", Problem::new(what).why(why).help(help));
                }
            }
        }
        let unforced: Vec<String> = self
            .plan
            .databases
            .iter()
            .filter(|d| d.user.is_none())
            .map(|d| d.name.clone())
            .collect();
        if self.plan.auth_type == AuthType::Any && !unforced.is_empty() {
            let problem = Problem::new(format!(
                "auth_type any takes every user name, but these databases force no user: {}",
                some_of(&unforced)
            ))
            .help("add `user` (and a password) to each database, or use another auth_type");
            self.error("auth_type", problem);
        }
        let plan = &self.plan;
        let asks = plan.looks_users_up();
        let nobody = !asks && plan.users.values().all(|u| u.secret.is_none());
        let without = [Method::Trust, Method::Peer, Method::Cert];
        let by_rule = plan
            .hba
            .rules
            .as_ref()
            .is_some_and(|h| without.iter().any(|m| h.uses(*m)));
        let needs_users = !matches!(plan.auth_type, AuthType::Any | AuthType::Cert) && !by_rule;
        if nobody && needs_users {
            self.warn("no user has a secret and no auth_user is set: nobody can log in".to_owned());
        }
        self.look_ups();
    }

    /// Databases named for `auth_query` that cannot run it: who is looked up there is refused.
    fn look_ups(&mut self) {
        let plan = &self.plan;
        let named = plan.databases.iter().filter_map(|d| d.auth_dbname.as_ref());
        let mut missing: Vec<&str> = named
            .chain(&plan.auth_dbname)
            .map(String::as_str)
            .filter(|name| *name != CONSOLE && plan.database(name).is_none())
            .collect();
        missing.sort_unstable();
        missing.dedup();
        let reserved = plan
            .databases
            .iter()
            .filter(|d| d.auth_dbname.as_deref() == Some(CONSOLE));
        let reserved: Vec<String> = reserved.map(|d| d.name.clone()).collect();
        let mut warnings: Vec<String> = missing
            .iter()
            .map(|name| {
                format!(
                    "auth_dbname names the database `{name}`, which is not there: \
                     users that only auth_query knows cannot log in"
                )
            })
            .collect();
        if !reserved.is_empty() {
            warnings.push(format!(
                "auth_dbname of {} is the console `{CONSOLE}`, which runs no auth_query: \
                 users that only auth_query knows cannot log in there",
                some_of(&reserved)
            ));
        }
        for warning in warnings {
            self.warn(warning);
        }
        if self.plan.auth_dbname.as_deref() == Some(CONSOLE) {
            let problem = Problem::new(format!(
                "cannot use the reserved \"{CONSOLE}\" database as an auth_dbname"
            ))
            .why("it is the console, which runs no auth_query")
            .help("name a database whose server knows the users' secrets");
            self.error("auth_dbname", problem);
        }
    }
}
