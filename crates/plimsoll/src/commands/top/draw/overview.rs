//! The five answers: is anyone waiting and why, is it the pool or the server,
//! which pool, who holds connections, what changed.

use super::super::model::Model;
use super::super::paper::{Paper, Piece, Tone, piece};
use super::super::text;
use super::tables;
use control::live::{Live, ServerLine};
use diagnose::{State, Verdict};
use events::sample::{Marker, MarkerKind};

/// From this height on there is room for more words and for empty lines.
const TALL: usize = 34;
/// Columns before curves and bars.
const LABEL: usize = 9;
/// Columns behind them.
const FIGURES: usize = 26;
/// Causes that are ruled out, in words, where there is room.
const RULED_OUT_MAX: usize = 4;

/// Writes it.
pub fn write(model: &Model, paper: &mut Paper<'_>, top: usize, height: usize) {
    let Some(live) = &model.known().live else {
        return;
    };
    let tall = height >= TALL;
    let mut y = top;
    let end = top + height;
    let mut lines = verdict(&live.verdict, paper.width(), tall);
    lines.splice(0..0, not_ready(live));
    lines.extend(alerts(live));
    if tall {
        lines.push(Vec::new());
    }
    lines.push(totals(live));
    lines.push(axis(live, paper.width()));
    lines.extend(curves(model, live, paper.width()));
    if tall {
        lines.push(Vec::new());
    }
    for line in lines.iter().take(height) {
        paper.line(y, line);
        y += 1;
    }
    sections(model, live, paper, (y, end), tall);
}

fn not_ready(live: &Live) -> Option<Vec<Piece>> {
    let why = &live.not_ready;
    let line = || {
        vec![piece(
            format!(" NOT READY: {} ", text::prose(why)),
            Tone::Alarm,
        )]
    };
    (!why.is_empty()).then(line)
}

/// The word for a state.
pub fn state_word(state: State) -> (&'static str, Tone) {
    match state {
        State::Calm => ("CALM", Tone::Good),
        State::Strained => ("STRAINED", Tone::Warn),
        State::Hurt => ("CLIENTS SUFFER", Tone::Alarm),
        State::Unknown => ("UNKNOWN", Tone::Warn),
    }
}

/// What is wrong, why, what it is not, what to do.
fn verdict(verdict: &Verdict, columns: usize, tall: bool) -> Vec<Vec<Piece>> {
    let (word, tone) = state_word(verdict.state);
    let mut lines = Vec::new();
    let summary = format!("{word}  {}", text::prose(&verdict.summary));
    let most = if tall { 3 } else { 2 };
    for (nth, line) in text::wrap(&summary, columns.saturating_sub(2))
        .into_iter()
        .take(most)
        .enumerate()
    {
        match line.strip_prefix(word) {
            Some(rest) if nth == 0 => {
                lines.push(vec![
                    piece(format!(" {word} "), tone),
                    piece(rest.to_owned(), Tone::Head),
                ]);
            }
            _ => lines.push(vec![piece(format!(" {line}"), Tone::Head)]),
        }
    }
    lines.extend(cause(verdict, columns, tall));
    lines.extend(ruled_out(verdict, columns, tall));
    let first = verdict.findings.first();
    if let Some(step) = first.and_then(|finding| finding.next.first()) {
        let command = match step.command.is_empty() {
            true => String::new(),
            false => format!("  {}", text::prose(&step.command)),
        };
        let next = vec![
            piece(" next: ", Tone::Head),
            piece(text::prose(&step.text), Tone::Plain),
            piece(command, Tone::Note),
        ];
        lines.push(next);
    }
    lines
}

fn cause(verdict: &Verdict, columns: usize, tall: bool) -> Vec<Vec<Piece>> {
    let since = verdict.onset_ms.map_or_else(String::new, |onset| {
        let ago = text::between(onset, verdict.at_ms);
        format!("  since {} ({ago})", text::clock(onset))
    });
    let Some(first) = verdict.findings.first() else {
        let unknown = verdict.state != State::Calm;
        let line = || {
            vec![
                piece(" cause: ", Tone::Head),
                piece("unknown", Tone::Warn),
                piece(since, Tone::Dim),
            ]
        };
        return unknown.then(line).into_iter().collect();
    };
    let others = verdict.findings.iter().skip(1).take(2);
    let others: String = others
        .map(|f| format!("  or {} ({} %)", f.cause.title(), f.sure))
        .collect();
    let mut lines = vec![vec![
        piece(" cause: ", Tone::Head),
        piece(
            format!("{}, {} % sure", first.cause.title(), first.sure),
            Tone::Warn,
        ),
        piece(since, Tone::Dim),
        piece(others, Tone::Dim),
    ]];
    let most = if tall { 2 } else { 1 };
    let room = columns.saturating_sub(LABEL);
    let words = text::prose(&first.text);
    let wrapped = text::wrap(&words, room);
    let shown = wrapped.len().min(most);
    for (nth, line) in wrapped.iter().take(shown).enumerate() {
        // The last line that there is room for ends in a mark where more would follow.
        let rest = wrapped.get(nth..).unwrap_or_default().join(" ");
        let line = if nth + 1 == shown { &rest } else { line };
        let line = text::cut(line, room);
        lines.push(vec![piece(format!("        {line}"), Tone::Plain)]);
    }
    lines
}

fn ruled_out(verdict: &Verdict, columns: usize, tall: bool) -> Vec<Vec<Piece>> {
    if verdict.ruled_out.is_empty() {
        return Vec::new();
    }
    if !tall {
        let titles: Vec<&str> = verdict.ruled_out.iter().map(|r| r.cause.title()).collect();
        let words = titles.join("; ");
        return vec![vec![piece(" not:   ", Tone::Head), piece(words, Tone::Dim)]];
    }
    let mut lines = Vec::new();
    for (nth, rejection) in verdict.ruled_out.iter().take(RULED_OUT_MAX).enumerate() {
        let label = if nth == 0 { " not:   " } else { "        " };
        let words = format!(
            "{}: {}",
            rejection.cause.title(),
            text::prose(&rejection.text)
        );
        let words = text::cut(&words, columns.saturating_sub(LABEL));
        lines.push(vec![piece(label, Tone::Head), piece(words, Tone::Dim)]);
    }
    let more = verdict.ruled_out.len().saturating_sub(RULED_OUT_MAX);
    if more > 0 {
        lines.push(vec![piece(
            format!("        and {more} more: Enter"),
            Tone::Dim,
        )]);
    }
    lines
}

fn alerts(live: &Live) -> Option<Vec<Piece>> {
    let mut line = Vec::new();
    if let Some(alert) = live.alerts.first() {
        let tone = match alert.severity.as_str() {
            "critical" | "error" => Tone::Bad,
            _ => Tone::Warn,
        };
        let since = text::between(alert.since_ms, live.at_ms);
        let name = text::name(&alert.name);
        let severity = text::name(&alert.severity);
        line.push(piece(" alert: ", Tone::Head));
        line.push(piece(format!("{name} ({severity}, {since})"), tone));
        let more = (live.alerts_firing as usize)
            .max(live.alerts.len())
            .saturating_sub(1);
        if more > 0 {
            line.push(piece(format!(" and {more} more"), tone));
        }
    }
    if let Some(incident) = &live.incident {
        let since = text::between(incident.since_ms, live.at_ms);
        let id = text::name(&incident.id);
        line.push(piece(
            format!("  incident {id} is open, {since}"),
            Tone::Note,
        ));
    }
    (!line.is_empty()).then_some(line)
}

fn totals(live: &Live) -> Vec<Piece> {
    let totals = &live.totals;
    let waiting = match totals.waiting {
        0 => piece("nobody", Tone::Good),
        n => {
            let oldest = text::whole_micros(totals.oldest_wait_us);
            piece(format!("{n}, the longest {oldest}"), Tone::Bad)
        }
    };
    let limit = match totals.clients_limit {
        0 => String::new(),
        n => format!("/{n}"),
    };
    let mut line = vec![
        piece(" waiting ", Tone::Head),
        waiting,
        piece("  used ", Tone::Head),
        piece(totals.used.to_string(), Tone::Plain),
        piece(format!(" (idle {})", totals.idle), Tone::Dim),
    ];
    if totals.refused_per_s > 0.0 {
        let refused = format!("  REFUSED {}/s", text::rate(totals.refused_per_s));
        line.push(piece(refused, Tone::Bad));
    }
    line.push(piece("  clients ", Tone::Head));
    line.push(piece(format!("{}{limit}", totals.clients), Tone::Plain));
    let rate = text::rate(totals.transactions_per_s);
    line.push(piece(format!("  {rate} tx/s"), Tone::Plain));
    line
}

/// Waiting and service on one axis: is it the pool or the server?
fn axis(live: &Live, columns: usize) -> Vec<Piece> {
    let (wait, service) = (live.totals.wait_us, live.totals.service_us);
    let room = columns.saturating_sub(LABEL + FIGURES + 14);
    let sum = wait.unwrap_or(0.0).max(0.0) + service.unwrap_or(0.0).max(0.0);
    let waited = text::cells(wait.unwrap_or(0.0), sum, room);
    let served = if sum > 0.0 { room - waited } else { 0 };
    let tone = match (wait, service) {
        (Some(wait), Some(service)) if wait > service => Tone::Bad,
        _ => Tone::Plain,
    };
    vec![
        piece(" time    ", Tone::Head),
        piece("█".repeat(waited), tone),
        piece("░".repeat(served), Tone::Note),
        piece(if sum > 0.0 { " " } else { "" }, Tone::Plain),
        piece(format!("█ wait {}", text::micros_or(wait)), tone),
        piece(
            format!(", ░ service {}", text::micros_or(service)),
            Tone::Note,
        ),
    ]
}

fn curves(model: &Model, live: &Live, columns: usize) -> Vec<Vec<Piece>> {
    let room = columns.saturating_sub(LABEL + FIGURES).max(1);
    let pace_ms = i64::try_from(model.pace.as_millis()).unwrap_or(i64::MAX);
    let curves = model.history.curves(live.at_ms, room, pace_ms);
    let line = |label: &str, values: &[Option<u32>], now: u32, tone: Tone| {
        let most = values.iter().flatten().copied().max().unwrap_or(0).max(now);
        vec![
            piece(format!(" {label:<8}"), Tone::Head),
            piece(text::curve(values, most), tone),
            piece(format!(" {now} now, {most} most, 5 min"), Tone::Dim),
        ]
    };
    vec![
        line("waiting", &curves.waiting, live.totals.waiting, Tone::Bad),
        line("used", &curves.used, live.totals.used, Tone::Note),
    ]
}

/// The sections below share what lines are left.
fn sections(
    model: &Model,
    live: &Live,
    paper: &mut Paper<'_>,
    (mut y, end): (usize, usize),
    tall: bool,
) {
    let pools = tables::pool_grid(model, paper.width());
    let holders = tables::lease_grid(model, paper.width());
    let applications = tables::application_grid(live);
    let gap = usize::from(tall);
    let of = |rows: usize| rows.max(1) + 1 + gap;
    // What is wanted, and what comes first.
    let wanted = [
        of(pools.rows.len()),
        of(holders.rows.len()),
        live.markers.len().clamp(1, 8) + gap,
        live.servers.len().clamp(1, 4),
        if tall {
            of(applications.rows.len().min(12))
        } else {
            0
        },
    ];
    let least = [4 + gap, 4 + gap, 1 + gap, 1, if tall { 5 } else { 0 }];
    let heights = share(end.saturating_sub(y), &wanted, &least);
    let [
        of_pools,
        of_holders,
        of_markers,
        of_servers,
        of_applications,
    ] = heights;
    pools.write(paper, y, of_pools.saturating_sub(gap));
    y += of_pools;
    holders.write(paper, y, of_holders.saturating_sub(gap));
    if holders.rows.is_empty() && of_holders > 1 {
        let words = match (live.past, model.filter.is_empty()) {
            (true, _) => "who held what is not known of the past",
            (_, true) => "nobody holds a connection",
            _ => "no row matches the filter",
        };
        paper.put(2, y + 1, paper.width(), words, Tone::Dim);
    }
    y += of_holders;
    if of_applications > 0 {
        applications.write(paper, y, of_applications.saturating_sub(gap));
        y += of_applications;
    }
    changes(live, paper, y, of_markers.saturating_sub(gap));
    y += of_markers;
    for (nth, server) in live.servers.iter().take(of_servers).enumerate() {
        paper.line(y + nth, &server_line(server));
    }
}

/// First the least of each, in their order; then one more line for each in turn.
fn share<const N: usize>(room: usize, wanted: &[usize; N], least: &[usize; N]) -> [usize; N] {
    let mut left = room;
    let mut given = [0; N];
    for ((given, wanted), least) in given.iter_mut().zip(wanted).zip(least) {
        *given = (*least).min(*wanted).min(left);
        left -= *given;
    }
    while left > 0 {
        let before = left;
        for (given, wanted) in given.iter_mut().zip(wanted) {
            if left > 0 && *given < *wanted {
                *given += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    given
}

fn changes(live: &Live, paper: &mut Paper<'_>, y: usize, height: usize) {
    if live.markers.is_empty() && height > 0 {
        let line = [
            piece(" changed ", Tone::Head),
            piece("nothing that is known", Tone::Dim),
        ];
        paper.line(y, &line);
    }
    for (nth, marker) in live.markers.iter().take(height).enumerate() {
        paper.line(y + nth, &change(marker, live.at_ms, nth == 0));
    }
}

/// One change.
pub fn change(marker: &Marker, at_ms: i64, first: bool) -> Vec<Piece> {
    let tone = match marker.kind {
        MarkerKind::Settings | MarkerKind::Release | MarkerKind::Action => Tone::Note,
        MarkerKind::RolledBack | MarkerKind::Drift | MarkerKind::Guard | MarkerKind::Server => {
            Tone::Warn
        }
        _ => Tone::Plain,
    };
    let ago = text::between(marker.at_ms, at_ms);
    let subject = match marker.subject.is_empty() {
        true => String::new(),
        false => format!("{}: ", text::name(&marker.subject)),
    };
    let actor = match marker.actor.is_empty() {
        true => String::new(),
        false => format!(" ({})", text::name(&marker.actor)),
    };
    vec![
        piece(if first { " changed " } else { "         " }, Tone::Head),
        piece(
            format!("{} {ago:>7} ago ", text::clock(marker.at_ms)),
            Tone::Dim,
        ),
        piece(format!("{} ", marker.kind.label()), tone),
        piece(
            format!("{subject}{}{actor}", text::prose(&marker.text)),
            Tone::Plain,
        ),
    ]
}

fn server_line(server: &ServerLine) -> Vec<Piece> {
    let full = server.line > 0 && server.used >= server.line;
    let mut line = vec![
        piece(" server  ", Tone::Head),
        piece(text::cut(&text::name(&server.server), 28), Tone::Plain),
        piece(
            format!("  line {}/{}", server.used, server.line),
            if full { Tone::Warn } else { Tone::Plain },
        ),
    ];
    if server.max_connections > 0 {
        line.push(piece(format!(" of {}", server.max_connections), Tone::Dim));
    }
    if let Some(others) = server.others {
        line.push(piece(format!(", others {others}"), Tone::Dim));
    }
    let times = [("probe", server.probe_us), ("rtt", server.rtt_us)];
    for (label, us) in times {
        if let Some(us) = us {
            line.push(piece(
                format!("  {label} {}", text::whole_micros(us)),
                Tone::Plain,
            ));
        }
    }
    let counts = [
        ("active", server.active, Tone::Plain),
        ("blocked", server.blocked, Tone::Bad),
    ];
    for (label, count, tone) in counts {
        if let Some(count) = count {
            let tone = if count > 0 { tone } else { Tone::Plain };
            line.push(piece(format!("  {label} {count}"), tone));
        }
    }
    if server.failed_per_s > 0.0 {
        let error = text::name(&server.last_error);
        let failed = text::rate(server.failed_per_s);
        line.push(piece(format!("  FAILED {failed}/s {error}"), Tone::Bad));
    }
    if server.state != "known" && !server.state.is_empty() {
        line.push(piece(
            format!("  [{}]", text::name(&server.state)),
            Tone::Warn,
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_comes_first_then_all_share() {
        let table = [
            (20, [10, 10, 2], [4, 4, 1], [9, 9, 2]),
            (9, [10, 10, 2], [4, 4, 1], [4, 4, 1]),
            (5, [10, 10, 2], [4, 4, 1], [4, 1, 0]),
            (0, [10, 10, 2], [4, 4, 1], [0, 0, 0]),
            (99, [3, 2, 1], [4, 4, 1], [3, 2, 1]),
        ];
        for (room, wanted, least, given) in table {
            assert_eq!(share(room, &wanted, &least), given, "{room}");
        }
    }
}
