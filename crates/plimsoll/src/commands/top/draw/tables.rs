//! Pools, leases and the budget as rows.

use super::super::model::{Model, View};
use super::super::paper::{Column, Grid, Paper, Piece, Tone, figure, piece, text as words};
use super::super::rows;
use super::super::text;
use control::live::{ApplicationLine, LeaseLine, Live, PoolLine, ServerLine};

/// From this width on bars and statements are longer.
const WIDE: usize = 110;
/// Widest column of bars: a limit of five digits in full.
const BARS_MAX: usize = 32;

/// A piece as it is.
pub fn plain(text: impl Into<String>) -> Piece {
    piece(text, Tone::Plain)
}

fn count(n: u32, tone: Tone) -> Piece {
    match n {
        0 => piece("0", Tone::Dim),
        n => piece(n.to_string(), tone),
    }
}

/// How a pool stands.
pub fn standing_tone(pool: &PoolLine) -> Tone {
    match pool.standing.as_str() {
        "full" | "waiting" => Tone::Bad,
        "filling" | "leaking" | "paused" => Tone::Warn,
        "well" => Tone::Good,
        _ => Tone::Plain,
    }
}

/// Pools with what matters first.
pub fn pool_grid(model: &Model, columns: usize) -> Grid {
    let pools = rows::pools(model);
    let total = model
        .known()
        .live
        .as_ref()
        .map_or(0, |live| live.pools_total);
    let total = match (&model.known().pools, model.view) {
        (Some(table), View::Pools) => table.total,
        _ => total.max(pools.len() as u32),
    };
    let bar = if columns >= WIDE { 20 } else { 8 };
    let keys: Vec<String> = pools.iter().map(|pool| rows::pool_key(pool)).collect();
    let rows: Vec<Vec<Piece>> = pools.iter().map(|pool| pool_row(pool, bar)).collect();
    Grid {
        title: titled("POOLS", pools.len(), total),
        columns: vec![
            words("pool", 14, 0),
            bars("used", &rows),
            figure("waiting", 7, 1),
            figure("longest", 7, 1),
            figure("wait", 7, 2),
            figure("service", 7, 2),
            figure("full in", 7, 3),
            words("state", 8, 1),
            figure("tx/s", 5, 4),
            figure("silent", 6, 4),
            figure("leaks", 5, 5),
            figure("refused", 7, 5),
            figure("hold", 7, 6),
            figure("clients", 7, 7),
            words("mode", 11, 8),
            words("server", 12, 9),
        ],
        rows,
        chosen: match model.view {
            View::Pools => model.chosen(&keys),
            _ => None,
        },
    }
}

/// The column of bars, which is the second: as wide as its figures need.
fn bars(head: &'static str, rows: &[Vec<Piece>]) -> Column {
    let cells = rows.iter().filter_map(|row| row.get(1));
    let widest = cells.map(|(text, _)| text::width(text)).max();
    words(head, widest.unwrap_or(0).clamp(14, BARS_MAX), 0)
}

/// `POOLS 3` or `POOLS 200/500`.
pub fn titled(what: &str, shown: usize, total: u32) -> String {
    match total as usize > shown {
        true => format!("{what} {shown}/{total}"),
        false => format!("{what} {shown}"),
    }
}

fn pool_row(pool: &PoolLine, bar: usize) -> Vec<Piece> {
    let tone = standing_tone(pool);
    let longest = match pool.waiting {
        0 => piece(text::NOTHING, Tone::Dim),
        _ => piece(text::whole_micros(pool.oldest_wait_us), Tone::Bad),
    };
    let wait_hurts = pool
        .wait_us
        .zip(pool.service_us)
        .is_some_and(|(w, s)| w > s);
    let used = format!(
        "{} {}/{}",
        text::bar(pool.used, pool.size, bar),
        pool.used,
        pool.size
    );
    let state = match pool.held_back.is_empty() {
        true => text::name(&pool.standing),
        false => text::name(&pool.held_back),
    };
    let full_in = pool
        .full_in_s
        .map_or(text::NOTHING.to_owned(), |s| text::seconds(s as f64));
    let refused = if pool.refused_per_s > 0.0 {
        Tone::Bad
    } else {
        Tone::Dim
    };
    vec![
        plain(format!(
            "{}/{}",
            text::name(&pool.database),
            text::name(&pool.user)
        )),
        piece(used, tone),
        count(pool.waiting, Tone::Bad),
        longest,
        piece(
            text::micros_or(pool.wait_us),
            if wait_hurts { Tone::Bad } else { Tone::Plain },
        ),
        plain(text::micros_or(pool.service_us)),
        piece(
            full_in,
            if pool.full_in_s.is_some() {
                Tone::Warn
            } else {
                Tone::Dim
            },
        ),
        piece(state, tone),
        plain(text::rate(pool.transactions_per_s)),
        count(pool.silent, Tone::Warn),
        count(pool.suspects, Tone::Bad),
        piece(text::rate(pool.refused_per_s), refused),
        plain(text::micros_or(pool.hold_us)),
        plain(pool.clients.to_string()),
        piece(text::name(&pool.mode), Tone::Dim),
        piece(text::name(&pool.server), Tone::Dim),
    ]
}

/// Who holds a connection.
pub fn lease_grid(model: &Model, columns: usize) -> Grid {
    // Statements are what is read where there is room.
    let statement = if columns >= WIDE { 40 } else { 14 };
    let leases = rows::leases(model);
    let total = model
        .known()
        .live
        .as_ref()
        .map_or(0, |live| live.leases_total);
    let total = match (&model.known().leases, model.view) {
        (Some(table), View::Leases) => table.total,
        _ => total.max(leases.len() as u32),
    };
    let keys: Vec<String> = leases.iter().map(|lease| lease.client.clone()).collect();
    Grid {
        title: titled("WHO HOLDS", leases.len(), total),
        columns: vec![
            words("application", 14, 0),
            words("release", 7, 3),
            words("route", 9, 4),
            figure("held", 7, 1),
            figure("silent", 7, 1),
            words("suspect", 9, 5),
            words("statement", statement, 2),
            words("state", 7, 7),
            words("database", 8, 6),
            words("user", 8, 8),
            words("address", 12, 9),
            words("client", 8, 10),
        ],
        rows: leases.iter().map(|lease| lease_row(lease)).collect(),
        chosen: model.chosen(&keys),
    }
}

fn lease_row(lease: &LeaseLine) -> Vec<Piece> {
    let suspect = match (lease.suspicion.is_empty(), lease.exempt.is_empty()) {
        (false, _) => piece(
            format!("{} {}%", text::name(&lease.suspicion), lease.sure),
            Tone::Bad,
        ),
        (_, false) => piece(text::name(&lease.exempt), Tone::Dim),
        _ => piece(text::NOTHING, Tone::Dim),
    };
    let silent = match lease.silent_us {
        Some(us) => piece(text::whole_micros(us), Tone::Warn),
        None => piece(text::NOTHING, Tone::Dim),
    };
    vec![
        plain(or_nothing(&lease.application)),
        plain(or_nothing(&lease.release)),
        plain(or_nothing(&lease.route)),
        plain(text::whole_micros(lease.held_us)),
        silent,
        suspect,
        plain(text::prose(&lease.statement)),
        plain(text::name(&lease.state)),
        plain(text::name(&lease.database)),
        plain(text::name(&lease.user)),
        piece(text::name(&lease.address), Tone::Dim),
        piece(text::name(&lease.client), Tone::Dim),
    ]
}

fn or_nothing(name: &str) -> String {
    match name.is_empty() {
        true => text::NOTHING.to_owned(),
        false => text::name(name),
    }
}

/// Applications together.
pub fn application_grid(live: &Live) -> Grid {
    Grid {
        title: titled("APPLICATIONS", live.applications.len(), 0),
        columns: vec![
            words("application", 14, 0),
            words("release", 8, 2),
            words("pool", 12, 3),
            figure("uses", 5, 1),
            figure("waiting", 7, 1),
            figure("silent", 6, 1),
            figure("clients", 7, 2),
            figure("asks/s", 6, 2),
            figure("longest held", 12, 3),
        ],
        rows: live.applications.iter().map(application_row).collect(),
        chosen: None,
    }
}

fn application_row(line: &ApplicationLine) -> Vec<Piece> {
    vec![
        plain(or_nothing(&line.name)),
        plain(or_nothing(&line.release)),
        plain(format!(
            "{}/{}",
            text::name(&line.database),
            text::name(&line.user)
        )),
        plain(line.used.to_string()),
        count(line.waiting, Tone::Bad),
        count(line.silent, Tone::Warn),
        plain(line.clients.to_string()),
        plain(text::rate(line.arrivals_per_s)),
        plain(text::whole_micros(line.oldest_hold_us)),
    ]
}

/// The view of pools.
pub fn pools(model: &Model, paper: &mut Paper<'_>, top: usize, height: usize) {
    let grid = pool_grid(model, paper.width());
    view(model, &grid, paper, (top, height), "there is no pool");
}

/// The view of leases.
pub fn leases(model: &Model, paper: &mut Paper<'_>, top: usize, height: usize) {
    let past = model.known().live.as_ref().is_some_and(|live| live.past);
    let nothing = match past {
        true => "who held what is not known of the past",
        false => "nobody holds a connection",
    };
    view(
        model,
        &lease_grid(model, paper.width()),
        paper,
        (top, height),
        nothing,
    );
}

fn view(
    model: &Model,
    grid: &Grid,
    paper: &mut Paper<'_>,
    (top, height): (usize, usize),
    nothing: &str,
) {
    let lacks = &model.known().lacks;
    let below = usize::from(!lacks.is_empty() && height > 2);
    grid.write(paper, top, height - below);
    if grid.rows.is_empty() && height > 1 {
        let words = match model.filter.is_empty() {
            true => nothing,
            false => "no row matches the filter",
        };
        paper.put(2, top + 1, paper.width(), words, Tone::Dim);
    }
    if below > 0 {
        let words = format!("Not all rows: {}", text::prose(lacks));
        paper.put(0, top + height - 1, paper.width(), &words, Tone::Warn);
    }
}

/// Servers with their lines, and guards.
pub fn budget(model: &Model, paper: &mut Paper<'_>, top: usize, height: usize) {
    let Some(live) = &model.known().live else {
        return;
    };
    let keys = rows::keys(model);
    let bar = if paper.width() >= WIDE { 20 } else { 8 };
    let rows: Vec<Vec<Piece>> = live
        .servers
        .iter()
        .map(|server| server_row(server, bar))
        .collect();
    let servers = Grid {
        title: titled("SERVERS", live.servers.len(), 0),
        columns: vec![
            words("server", 14, 0),
            bars("line", &rows),
            words("state", 7, 1),
            figure("max", 5, 1),
            figure("others", 6, 1),
            figure("reserved", 8, 3),
            figure("headroom", 8, 3),
            figure("peers", 5, 2),
            figure("held by", 7, 4),
            figure("probe", 7, 2),
            figure("rtt", 7, 5),
            figure("active", 6, 5),
            figure("blocked", 7, 5),
            figure("failed/s", 8, 6),
            words("error", 5, 7),
        ],
        rows,
        chosen: model.chosen(&keys),
    };
    let of_guards = live.guards.len() + 2;
    let of_servers = (servers.rows.len() + 1)
        .min(height.saturating_sub(of_guards).max(3))
        .min(height);
    servers.write(paper, top, of_servers);
    if live.servers.is_empty() && height > 1 {
        paper.put(2, top + 1, paper.width(), "no server is known", Tone::Dim);
    }
    let y = top + of_servers.max(2) + 1;
    guards(live, paper, y, (top + height).saturating_sub(y));
}

fn server_row(server: &ServerLine, bar: usize) -> Vec<Piece> {
    let full = server.line > 0 && server.used >= server.line;
    let tone = if full { Tone::Warn } else { Tone::Plain };
    let line = format!(
        "{} {}/{}",
        text::bar(server.used, server.line, bar),
        server.used,
        server.line
    );
    let known = server.state == "known";
    let or = |n: Option<u32>| n.map_or(text::NOTHING.to_owned(), |n| n.to_string());
    let max = match server.max_connections {
        0 => text::NOTHING.to_owned(),
        n => n.to_string(),
    };
    let time = |us: Option<u64>| us.map_or(text::NOTHING.to_owned(), text::whole_micros);
    let failed = if server.failed_per_s > 0.0 {
        Tone::Bad
    } else {
        Tone::Dim
    };
    vec![
        plain(text::name(&server.server)),
        piece(line, tone),
        piece(
            text::name(&server.state),
            if known { Tone::Good } else { Tone::Warn },
        ),
        plain(max),
        plain(or(server.others)),
        plain(server.reserved.to_string()),
        plain(server.headroom.to_string()),
        plain(server.peers.to_string()),
        plain(server.peers_held.to_string()),
        plain(time(server.probe_us)),
        plain(time(server.rtt_us)),
        plain(or(server.active)),
        plain(or(server.blocked)),
        piece(text::rate(server.failed_per_s), failed),
        piece(text::name(&server.last_error), Tone::Bad),
    ]
}

fn guards(live: &Live, paper: &mut Paper<'_>, y: usize, height: usize) {
    let grid = Grid {
        title: "GUARDS".to_owned(),
        columns: vec![
            words("guard", 14, 0),
            words("mode", 8, 0),
            figure("acted", 9, 0),
            figure("would have", 10, 0),
        ],
        rows: live
            .guards
            .iter()
            .map(|guard| {
                let tone = if guard.mode == "enforce" {
                    Tone::Good
                } else {
                    Tone::Warn
                };
                vec![
                    plain(text::name(&guard.name)),
                    piece(text::name(&guard.mode), tone),
                    plain(guard.acted.to_string()),
                    plain(guard.would_have.to_string()),
                ]
            })
            .collect(),
        chosen: None,
    };
    if !grid.rows.is_empty() {
        grid.write(paper, y, height);
    }
}
