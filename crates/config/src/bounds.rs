//! What bounds the sizes: the line, stated or read from the server.

use std::time::Duration;

use crate::draft::{Dialect, Draft};
use crate::entries::UNLIMITED;
use crate::error::{Problem, quoted};
use crate::plan::PoolSize;
use crate::rows::LINE_MAX;

/// Longest name of a fleet.
const FLEET_MAX: usize = 20;

/// Readings more often than this would be a load of their own.
const INTERVAL_MIN: Duration = Duration::from_millis(250);

impl Draft {
    /// The monitor's settings as a whole.
    pub(crate) fn budget(&mut self) {
        self.plan.line_stated |= self.places.contains_key("line");
        let fleet = self.plan.monitor.fleet.clone();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if fleet.is_empty() || fleet.len() > FLEET_MAX || !fleet.chars().all(plain) {
            let problem = Problem::new(format!("{} is no name of a fleet", quoted(&fleet)))
                .why("it stands in an application_name, which the server cuts at 63 bytes");
            let help = format!("write up to {FLEET_MAX} letters, digits, - and _");
            self.error("fleet", problem.help(help));
        }
        if self.plan.monitor.interval < INTERVAL_MIN {
            let problem = Problem::new("the server's figures would be read all the time");
            self.error("monitor_interval", problem.help("write \"250ms\" or more"));
        }
    }

    /// What bounds a size that PgBouncer would not bound: what the server has,
    /// where a monitor session reads that.
    fn widest(&self) -> (u32, &'static str) {
        match self.plan.monitor.user {
            Some(_) => (LINE_MAX, "what the server has, at most"),
            None => (self.plan.line, "the line"),
        }
    }

    /// Puts the bound in the place of each "unlimited".
    pub(crate) fn bounds(&mut self) {
        if self.dialect == Dialect::Ini {
            self.plan.queue_max = self.plan.max_client_conn;
        }
        let ((line, the_line), clients) = (self.widest(), self.plan.max_client_conn);
        if self.plan.default_pool_size == PoolSize::Fixed(LINE_MAX) {
            self.plan.default_pool_size = PoolSize::Fixed(line);
        }
        let mut warnings = Vec::new();
        let mut bound = |size: &mut Option<u32>, by: u32, what: String, whose: &str| {
            if *size == Some(UNLIMITED) {
                *size = Some(by);
                warnings.push(format!(
                    "{what} = 0 is \"unlimited\" in PgBouncer; here {whose} is the bound: {by}"
                ));
            }
        };
        let max_client_conn = "max_client_conn";
        for d in &mut self.plan.databases {
            let name = d.name.clone();
            let what = |key| format!("database {name}: {key}");
            let key = what("pool_size");
            bound_size(&mut d.pool_size, line, key, the_line, &mut bound);
            let key = what("max_db_connections");
            bound(&mut d.max_db_connections, line, key, the_line);
            let key = what("max_db_client_connections");
            let size = &mut d.max_db_client_connections;
            bound(size, clients, key, max_client_conn);
        }
        for (name, u) in &mut self.plan.users {
            let what = |key| format!("user {name}: {key}");
            let key = what("pool_size");
            bound_size(&mut u.pool_size, line, key, the_line, &mut bound);
            let key = what("max_user_connections");
            bound(&mut u.max_user_connections, line, key, the_line);
            let key = what("max_user_client_connections");
            let size = &mut u.max_user_client_connections;
            bound(size, clients, key, max_client_conn);
        }
        self.plan.warnings.append(&mut warnings);
    }
}

/// As for limits: 0 of pgbouncer.ini gets the bound.
fn bound_size(
    size: &mut Option<PoolSize>,
    by: u32,
    what: String,
    whose: &str,
    bound: &mut impl FnMut(&mut Option<u32>, u32, String, &str),
) {
    if let Some(PoolSize::Fixed(n)) = *size {
        let mut limit = Some(n);
        bound(&mut limit, by, what, whose);
        *size = limit.map(PoolSize::Fixed);
    }
}
