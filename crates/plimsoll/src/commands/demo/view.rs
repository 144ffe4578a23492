//! What the demonstration shows, as text: values in, lines out, nothing else.

use std::fmt::Write;

use events::Time;
use events::snapshot::{BudgetRow, PoolRow, Snapshot};
use events::{CloseReason, Histogram, RefuseReason};

use super::watch::Watch;

/// Width of the bar that shows the line, in characters.
const BAR: u32 = 30;

/// All that one picture shows.
#[derive(Debug, Default)]
pub struct Picture {
    /// Seconds since the traffic began.
    pub seconds: u64,
    /// The pooler's time, to which the leaks' times relate.
    pub at: Time,
    /// How to reach the console.
    pub console: String,
    /// The line, as the pooler read it from the server.
    pub line: Line,
    /// Server connections as PostgreSQL itself counts them.
    pub at_server: u32,
    /// Most of them ever seen.
    pub at_server_max: u32,
    /// One row per pool.
    pub pools: Vec<Pool>,
    /// One row per application.
    pub applications: Vec<App>,
    /// Closed connections by reason, those that occurred.
    pub closes: Vec<(&'static str, u64)>,
    /// Refused clients by reason, those that occurred.
    pub refusals: Vec<(&'static str, u64)>,
    /// What is known of leaks.
    pub leaks: Watch,
}

/// The line with its parts.
#[derive(Debug, Default)]
pub struct Line {
    /// Most server connections that the pooler may open.
    pub line: u32,
    /// The server's `max_connections`.
    pub max_connections: u32,
    /// Of these, for superusers and other roles.
    pub reserved: u32,
    /// What others use.
    pub others: u32,
    /// The pooler's own session that reads all this.
    pub monitors: u32,
    /// Left free for whoever logs in.
    pub headroom: u32,
    /// The pool that asks for most.
    pub largest: String,
    /// How much that is.
    pub asked: u32,
}

/// A pool now, and in the last seconds.
#[derive(Debug, Default)]
pub struct Pool {
    /// Its database.
    pub name: String,
    /// Clients logged in, idle and waiting ones among them.
    pub clients: u32,
    /// Clients that wait for a server connection.
    pub waiting: u32,
    /// Server connections lent.
    pub used: u32,
    /// Server connections that nobody uses.
    pub idle: u32,
    /// Most server connections.
    pub limit: u32,
    /// Transactions in a second.
    pub tps: u64,
    /// Waiting for a server connection: half and 99 % are below, in microseconds.
    pub wait_us: (u64, u64),
    /// From a query to its end, likewise.
    pub service_us: (u64, u64),
    /// The longest wait since the start, or now.
    pub longest_us: u64,
}

/// An application.
#[derive(Debug, Default)]
pub struct App {
    /// Its application_name.
    pub name: &'static str,
    /// Its connections.
    pub clients: u32,
    /// Transactions since the start.
    pub transactions: u64,
    /// Errors since the start.
    pub errors: u64,
    /// What it does.
    pub habit: &'static str,
}

impl Pool {
    /// The difference of two readings of one pool.
    pub fn between(before: &PoolRow, now: &PoolRow, seconds: f64) -> Pool {
        let xacts = now.totals.xacts.saturating_sub(before.totals.xacts);
        let both = |h: &Histogram| (h.quantile_micros(0.5), h.quantile_micros(0.99));
        Pool {
            name: now.database.clone(),
            clients: now.cl_active + now.cl_waiting,
            waiting: now.cl_waiting,
            used: now.sv_active + now.sv_tested + now.sv_being_canceled,
            idle: now.sv_idle + now.sv_login,
            limit: now.size,
            tps: (xacts as f64 / seconds.max(0.001)).round() as u64,
            wait_us: both(&now.wait.since(&before.wait)),
            service_us: both(&now.service.since(&before.service)),
            longest_us: now.wait.max_micros().max(now.maxwait_us),
        }
    }
}

impl Line {
    fn of(row: &BudgetRow, pools: &[PoolRow]) -> Line {
        let largest = pools.iter().max_by_key(|pool| pool.size);
        Line {
            // Without the monitor's own session, as its parts are.
            line: row.fleet_line,
            max_connections: row.max_connections,
            reserved: row.superuser_reserved + row.reserved + row.provider_reserved,
            others: row.others,
            monitors: row.monitors,
            headroom: row.headroom,
            largest: largest.map_or_else(String::new, |pool| pool.database.clone()),
            asked: row.largest_pool,
        }
    }

    fn parts(&self) -> String {
        format!(
            "{} = max_connections {} - reserved {} - others {} - monitor {} - headroom {}",
            self.line,
            self.max_connections,
            self.reserved,
            self.others,
            self.monitors,
            self.headroom
        )
    }

    fn asked(&self, held: bool) -> String {
        format!(
            "pool {} asks for {}, the line is {}: {}",
            self.largest,
            self.asked,
            self.line,
            held_word(held)
        )
    }
}

impl Picture {
    /// Takes over what a snapshot says: the line, pools, closes, refusals.
    pub fn fold(&mut self, before: &Snapshot, now: &Snapshot) {
        self.at = now.at;
        if let Some(budget) = now.budgets.first() {
            self.line = Line::of(budget, &now.pools);
        }
        let seconds = now.at.since(before.at).as_secs_f64();
        let nothing = PoolRow::default();
        for row in &now.pools {
            let same = |r: &&PoolRow| r.database == row.database && r.user == row.user;
            let earlier = before.pools.iter().find(same).unwrap_or(&nothing);
            self.pools.push(Pool::between(earlier, row, seconds));
        }
        self.pools.sort_by(|a, b| a.name.cmp(&b.name));
        self.closes = CloseReason::ALL
            .iter()
            .map(|reason| (reason.label(), now.closed(*reason)))
            .filter(|(_, n)| *n > 0)
            .collect();
        self.refusals = RefuseReason::ALL
            .iter()
            .map(|reason| (reason.label(), now.refused(*reason)))
            .filter(|(_, n)| *n > 0)
            .collect();
    }

    /// Errors of all applications.
    pub fn errors(&self) -> u64 {
        self.applications.iter().map(|app| app.errors).sum()
    }

    /// PostgreSQL never counted more than the line allowed.
    pub fn held(&self) -> bool {
        self.at_server_max <= self.leaks.line_most
    }

    fn refused(&self) -> u64 {
        self.refusals.iter().map(|(_, n)| n).sum()
    }

    /// The screen: at most 23 lines of at most 80 columns, with colours or without.
    pub fn screen(&self, color: bool) -> Vec<String> {
        let paint = Paint(color);
        let mut lines = vec![
            paint.bold(&format!(
                "{} s of traffic; console: {}",
                self.seconds, self.console
            )),
            String::new(),
            format!(
                "line  [{}]  {} of {} server connections, most ever {}",
                bar(self.at_server, self.line.line),
                self.at_server,
                self.line.line,
                self.at_server_max
            ),
            format!("      {}", self.line.parts()),
            format!("      {}", self.line.asked(self.held())),
            String::new(),
            "             clients      servers       per      wait          service   longest"
                .to_owned(),
            paint.bold(
                "pool        all  wait  used idle max second    p50    p99    p50    p99    wait",
            ),
        ];
        lines.extend(self.pools.iter().map(|pool| pool_line(pool, paint)));
        lines.push(String::new());
        lines.push(paint.bold("application    clients transactions errors"));
        lines.extend(self.applications.iter().map(|app| app_line(app, paint)));
        lines.push(String::new());
        lines.extend(self.leak_lines(paint));
        lines.push(format!("closed    {}", counts(&self.closes)));
        lines.push(format!("refused   {}", counts(&self.refusals)));
        lines
    }

    /// The figures, and what stands or what was taken back last.
    fn leak_lines(&self, paint: Paint) -> [String; 3] {
        let leaks = &self.leaks;
        // Waits while a leak stood, and all others.
        let figures = format!(
            "leaks     named {}, taken back {}, others refused {}; p99 wait {}, else {}",
            leaks.named,
            leaks.taken_back,
            self.refused(),
            time(leaks.waits_with.quantile_micros(0.99)),
            time(leaks.waits_without.quantile_micros(0.99))
        );
        let statement = |text: &str| format!("          {}", cut(text, 70));
        match (&leaks.standing, &leaks.last) {
            (Some(found), _) => {
                let head = cut(&format!("now       {}", found.head()), 80);
                [
                    cut(&figures, 80),
                    paint.red(&head),
                    statement(&found.statement),
                ]
            }
            (None, Some(last)) => {
                let ago = format!("{} s ago", self.at.since(last.at).as_secs());
                let head = cut(&format!("{ago:<9} {}", last.head()), 80);
                [
                    cut(&figures, 80),
                    paint.green(&head),
                    statement(&last.statement),
                ]
            }
            (None, None) => [figures, "          none yet".to_owned(), String::new()],
        }
    }

    /// One line, for a file or a pipe.
    pub fn line(&self) -> String {
        let mut text = format!(
            "{:>3} s  line={} at_server={}",
            self.seconds, self.line.line, self.at_server
        );
        for pool in &self.pools {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                " | {} clients={} waiting={} used={} idle={} max={} tps={} wait={}/{} service={}/{} longest={}",
                pool.name,
                pool.clients,
                pool.waiting,
                pool.used,
                pool.idle,
                pool.limit,
                pool.tps,
                time(pool.wait_us.0),
                time(pool.wait_us.1),
                time(pool.service_us.0),
                time(pool.service_us.1),
                time(pool.longest_us)
            );
        }
        let (closes, refusals) = (counts(&self.closes), counts(&self.refusals));
        let errors = self.errors();
        let (named, taken_back) = (self.leaks.named, self.leaks.taken_back);
        let _ = write!(
            text,
            " | leaks named={named} taken_back={taken_back} | closed {closes} | refused {refusals} \
             | errors={errors}"
        );
        text
    }

    /// The end: what was done, and whether the line held.
    pub fn summary(&self, samples: u64) -> String {
        let transactions: u64 = self.applications.iter().map(|app| app.transactions).sum();
        let per_second = transactions / self.seconds.max(1);
        let clients: u32 = self.applications.iter().map(|app| app.clients).sum();
        let leaks = &self.leaks;
        let last = match &leaks.last {
            Some(last) => format!("the last leak       {}\n", last.text()),
            None => String::new(),
        };
        format!(
            "transactions        {transactions} in {} s, {per_second} per second\n\
             errors              {}\n\
             clients             {clients}\n\
             server connections  {} at most, as PostgreSQL counted them {samples} times\n\
             line                {}: {}; pool {} asked for {}\n\
             its parts           {}\n\
             leaks               named {}, taken back {}, others refused {}\n\
             {last}\
             waits               {} while a leak stood; {} otherwise\n",
            self.seconds,
            self.errors(),
            self.at_server_max,
            self.line.line,
            held_word(self.held()),
            self.line.largest,
            self.line.asked,
            self.line.parts(),
            leaks.named,
            leaks.taken_back,
            self.refused(),
            waits(&leaks.waits_with),
            waits(&leaks.waits_without),
        )
    }
}

fn held_word(held: bool) -> &'static str {
    if held { "held" } else { "CROSSED" }
}

fn waits(waits: &Histogram) -> String {
    match waits.count() {
        0 => "none".to_owned(),
        _ => format!(
            "p99 {}, longest {}",
            time(waits.quantile_micros(0.99)),
            time(waits.max_micros())
        ),
    }
}

fn pool_line(pool: &Pool, paint: Paint) -> String {
    let waiting = format!("{:>5}", pool.waiting);
    let waiting = if pool.waiting > 0 {
        paint.yellow(&waiting)
    } else {
        waiting
    };
    format!(
        "{:<10} {:>4} {waiting} {:>5} {:>4} {:>3} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7}",
        cut(&pool.name, 10),
        pool.clients,
        pool.used,
        pool.idle,
        pool.limit,
        pool.tps,
        time(pool.wait_us.0),
        time(pool.wait_us.1),
        time(pool.service_us.0),
        time(pool.service_us.1),
        time(pool.longest_us)
    )
}

fn app_line(app: &App, paint: Paint) -> String {
    let errors = format!("{:>6}", app.errors);
    let errors = if app.errors > 0 {
        paint.red(&errors)
    } else {
        errors
    };
    format!(
        "{:<14} {:>7} {:>12} {errors}  {}",
        app.name, app.clients, app.transactions, app.habit
    )
}

/// `#` for what is used, `.` for what is left below the line.
fn bar(used: u32, line: u32) -> String {
    let full = (used.min(line) * BAR).checked_div(line).unwrap_or(0);
    let (full, rest) = (full as usize, (BAR - full) as usize);
    format!("{}{}", "#".repeat(full), ".".repeat(rest))
}

fn counts(list: &[(&str, u64)]) -> String {
    if list.is_empty() {
        return "none".to_owned();
    }
    let each: Vec<String> = list
        .iter()
        .map(|(label, n)| format!("{label} {n}"))
        .collect();
    each.join(", ")
}

/// A time in at most six characters: two digits that matter, and the unit.
fn time(micros: u64) -> String {
    let ms = micros as f64 / 1000.0;
    match micros {
        0 => "0".to_owned(),
        1..=999 => format!("{micros}us"),
        1_000..=9_949 => format!("{ms:.1}ms"),
        9_950..=999_499 => format!("{ms:.0}ms"),
        999_500..=9_949_999 => format!("{:.1}s", ms / 1000.0),
        _ => format!("{:.0}s", ms / 1000.0),
    }
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// Colours, where they are wanted.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
