//! One thing in full: a row, the verdict, the keys.

use super::super::keys;
use super::super::model::{Model, Over, View};
use super::super::paper::{Paper, Piece, Tone, piece};
use super::super::rows;
use super::super::text;
use control::api::IncidentLine;
use control::live::{LeaseLine, PoolLine, ServerLine};
use diagnose::alert::Alert;

/// Columns of a label.
const LABEL: usize = 16;
/// Longest text in full, characters.
const TEXT_MAX: usize = 4_000;
/// Figures of an alert.
const FIGURES_MAX: usize = 12;

/// Lines with a label before each.
struct Lines {
    room: usize,
    lines: Vec<Vec<Piece>>,
}

impl Lines {
    fn new(columns: usize) -> Lines {
        Lines {
            room: columns.saturating_sub(LABEL + 2),
            lines: Vec::new(),
        }
    }

    fn title(&mut self, text: impl Into<String>) {
        self.lines
            .push(vec![piece(format!(" {}", text.into()), Tone::Head)]);
        self.gap();
    }

    fn gap(&mut self) {
        self.lines.push(Vec::new());
    }

    /// What is empty is left out.
    fn add(&mut self, label: &str, value: &str) {
        self.add_as(label, value, Tone::Plain);
    }

    fn add_as(&mut self, label: &str, value: &str, tone: Tone) {
        let value = text::safe(value, TEXT_MAX);
        for (nth, line) in text::wrap(&value, self.room).into_iter().enumerate() {
            let label = if nth == 0 { label } else { "" };
            self.lines.push(vec![
                piece(format!(" {label:<LABEL$}"), Tone::Dim),
                piece(line, tone),
            ]);
        }
    }
}

/// What is open in full; `None`: a view.
pub fn lines(model: &Model, columns: usize) -> Option<Vec<Vec<Piece>>> {
    match &model.over {
        Over::Help => Some(help()),
        Over::Verdict => Some(verdict(model, columns)),
        Over::Row(key) | Over::Confirm(_, Some(key)) => Some(row(model, key, columns)),
        Over::Nothing | Over::Filter(_) | Over::Confirm(_, None) => None,
    }
}

/// As many lines as fit; the last stays in sight.
pub fn write(
    lines: &[Vec<Piece>],
    scroll: usize,
    paper: &mut Paper<'_>,
    top: usize,
    height: usize,
) {
    let first = scroll.min(lines.len().saturating_sub(height));
    for (nth, line) in lines.iter().skip(first).take(height).enumerate() {
        paper.line(top + nth, line);
    }
    let below = lines.len().saturating_sub(first + height);
    if below > 0 && height > 1 {
        paper.right(
            top + height - 1,
            &format!(" {below} more lines: j "),
            Tone::Chosen,
        );
    }
}

/// The keys.
fn help() -> Vec<Vec<Piece>> {
    let mut lines: Vec<Vec<Piece>> = keys::help()
        .map(|(keys, text)| {
            vec![
                piece(format!(" {keys:<10} "), Tone::Head),
                piece(text, Tone::Plain),
            ]
        })
        .collect();
    lines.push(Vec::new());
    let words = [
        "Actions ask first. On the unix socket the pooler's own user and root may do",
        "them; over TCP the token must be an operator's. Each is logged with your name.",
        "wait: mean wait for a connection. service: mean time from a query to its answer.",
    ];
    lines.extend(words.map(|line| vec![piece(format!(" {line}"), Tone::Dim)]));
    lines
}

/// The verdict in full.
fn verdict(model: &Model, columns: usize) -> Vec<Vec<Piece>> {
    let Some(live) = &model.known().live else {
        return Vec::new();
    };
    let rendered = diagnose::render(&live.verdict, columns.saturating_sub(2));
    let line = |line: &str| {
        vec![piece(
            format!(" {}", text::safe(line, TEXT_MAX)),
            Tone::Plain,
        )]
    };
    rendered.lines().map(line).collect()
}

/// A row in full.
fn row(model: &Model, key: &str, columns: usize) -> Vec<Vec<Piece>> {
    let mut lines = Lines::new(columns);
    if !found(model, key, &mut lines) {
        lines.title("It is gone.");
        let words = "What was chosen is not among the rows any more. Esc goes back.";
        lines.add("", words);
    }
    lines.lines
}

/// Writes the row with this key; false: there is none.
fn found(model: &Model, key: &str, lines: &mut Lines) -> bool {
    let known = model.known();
    match model.view {
        View::Overview | View::Leases => {
            let found = rows::leases(model).into_iter().find(|l| l.client == key);
            found.map(|found| lease(found, lines)).is_some()
        }
        View::Pools => {
            let mut pools = rows::pools(model).into_iter();
            let found = pools.find(|p| rows::pool_key(p) == key);
            found.map(|found| pool(found, lines)).is_some()
        }
        View::Budget => {
            let mut servers = known.live.iter().flat_map(|live| &live.servers);
            let found = servers.find(|s| s.server == key);
            found.map(|found| server(found, lines)).is_some()
        }
        View::Alerts => {
            let of_alerts = known.alerts.iter().find(|a| a.key == key);
            let id = key.strip_prefix("incident ").unwrap_or_default();
            let of_incidents = known.incidents.iter().find(|i| i.id == id);
            let shown = of_alerts.map(|found| alert(found, lines));
            let shown = shown.or_else(|| of_incidents.map(|found| incident(found, lines)));
            shown.is_some()
        }
    }
}

fn lease(lease: &LeaseLine, lines: &mut Lines) {
    lines.title(format!("Client {}", text::name(&lease.client)));
    lines.add("application", &lease.application);
    lines.add("release", &lease.release);
    lines.add("route", &lease.route);
    lines.add("pool", &format!("{}/{}", lease.database, lease.user));
    lines.add("address", &lease.address);
    lines.add("state", &lease.state);
    lines.add("held for", &text::whole_micros(lease.held_us));
    if let Some(us) = lease.silent_us {
        lines.add_as("silent for", &text::whole_micros(us), Tone::Warn);
    }
    if !lease.suspicion.is_empty() {
        let suspicion = format!("{}, {} % sure", lease.suspicion, lease.sure);
        lines.add_as("suspected", &suspicion, Tone::Bad);
    }
    lines.add("never reclaimed", &lease.exempt);
    lines.add("server process", &lease.remote_pid.to_string());
    lines.add("tags", &lease.tags);
    lines.gap();
    lines.add_as("statement", &lease.statement, Tone::Head);
    lines.gap();
    lines.add("c", "cancels the statement");
    lines.add(
        "r",
        "takes the connection back; the client gets FATAL 25P03",
    );
    lines.add("K", "closes the client");
}

fn pool(pool: &PoolLine, lines: &mut Lines) {
    lines.title(format!(
        "Pool {}/{}",
        text::name(&pool.database),
        text::name(&pool.user)
    ));
    lines.add_as("state", &pool.standing, super::tables::standing_tone(pool));
    lines.add_as("held back", &pool.held_back, Tone::Warn);
    lines.add("mode", &pool.mode);
    lines.add("server", &pool.server);
    lines.add(
        "connections",
        &format!("{} used and {} idle of {}", pool.used, pool.idle, pool.size),
    );
    lines.add(
        "clients",
        &format!("{}, {} of them wait", pool.clients, pool.waiting),
    );
    if pool.waiting > 0 {
        lines.add_as(
            "longest wait",
            &text::whole_micros(pool.oldest_wait_us),
            Tone::Bad,
        );
    }
    lines.add("mean wait", &text::micros_or(pool.wait_us));
    lines.add("mean service", &text::micros_or(pool.service_us));
    lines.add("mean hold", &text::micros_or(pool.hold_us));
    lines.add(
        "per second",
        &format!(
            "{} asked, {} transactions, {} refused",
            text::rate(pool.arrivals_per_s),
            text::rate(pool.transactions_per_s),
            text::rate(pool.refused_per_s)
        ),
    );
    lines.add(
        "silent leases",
        &format!("{}, {} of them suspected leaks", pool.silent, pool.suspects),
    );
    let full_in = pool.full_in_s.map(|s| text::seconds(s as f64));
    lines.add_as(
        "full in",
        full_in.as_deref().unwrap_or("not in sight"),
        Tone::Plain,
    );
    lines.gap();
    lines.add(
        "P",
        "pauses the database: its clients wait until it is resumed",
    );
    lines.add("R", "resumes it");
    let database = diagnose::safe::shell(&pool.database);
    lines.add(
        "the same",
        &format!("psql -p PORT pgbouncer -c \"PAUSE {database}\""),
    );
}

fn server(server: &ServerLine, lines: &mut Lines) {
    lines.title(format!("Server {}", text::name(&server.server)));
    lines.add("reading", &server.state);
    lines.add(
        "line",
        &format!("{} of {} connections are used", server.used, server.line),
    );
    if server.max_connections > 0 {
        lines.add("max_connections", &server.max_connections.to_string());
    }
    lines.add("reserved", &server.reserved.to_string());
    let or = |n: Option<u32>| n.map_or("not read".to_owned(), |n| n.to_string());
    lines.add("others hold", &or(server.others));
    lines.add("left free", &server.headroom.to_string());
    lines.add(
        "peers",
        &format!("{}, which hold {}", server.peers, server.peers_held),
    );
    let time = |us: Option<u64>| us.map_or("not measured".to_owned(), text::whole_micros);
    lines.add("trivial query", &time(server.probe_us));
    lines.add("TCP round trip", &time(server.rtt_us));
    lines.add("active", &or(server.active));
    lines.add("wait for locks", &or(server.blocked));
    lines.add("failed", &format!("{}/s", text::rate(server.failed_per_s)));
    lines.add_as("last error", &server.last_error, Tone::Bad);
}

fn alert(alert: &Alert, lines: &mut Lines) {
    lines.title(alert.name.label());
    lines.add_as(
        "severity",
        alert.severity.label(),
        super::alerts::severity_tone(alert.severity),
    );
    lines.add("since", &diagnose::utc::moment(alert.since_ms));
    lines.add("what", &alert.summary);
    if let Some((cause, words)) = &alert.cause {
        lines.add("cause", &format!("{}: {words}", cause.title()));
    }
    for figure in alert.figures.iter().take(FIGURES_MAX) {
        lines.add("figure", &figure.to_string());
    }
    for step in &alert.next {
        lines.add("next", &step.text);
        lines.add_as("", &step.command, Tone::Note);
    }
    if let Some(owner) = &alert.owner {
        for (label, value) in [
            ("team", &owner.team),
            ("channel", &owner.channel),
            ("escalation", &owner.escalation),
        ] {
            lines.add(label, value);
        }
    }
    lines.add(
        "playbook",
        &format!("plimsoll playbook {}", alert.name.label()),
    );
}

fn incident(incident: &IncidentLine, lines: &mut Lines) {
    let id = text::name(&incident.id);
    lines.title(format!("Incident {id}"));
    lines.add("what", &incident.title);
    lines.add("standing", incident.standing.label());
    lines.add_as(
        "severity",
        incident.severity.label(),
        super::alerts::severity_tone(incident.severity),
    );
    lines.add("began", &diagnose::utc::moment(incident.onset_ms));
    let took = text::seconds(incident.duration_ms.max(0) as f64 / 1e3);
    lines.add("took", &took);
    lines.add(
        "cause",
        incident.cause.map_or("unknown", |cause| cause.title()),
    );
    lines.add("notes", &incident.notes.to_string());
    lines.gap();
    let commands = [
        format!("plimsoll incident show {id}"),
        format!("plimsoll incident note {id} TEXT"),
        format!("plimsoll incident report {id}"),
    ];
    for command in commands {
        lines.add_as("command", &command, Tone::Note);
    }
}
