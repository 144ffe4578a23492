//! The screen of a [`Model`]: head, one view, foot. Pure.

mod alerts;
mod full;
mod overview;
mod tables;

use super::model::{Link, Model, Over, Trouble, View};
use super::paper::{Look, Paper, Piece, Tone, piece};
use super::text;
use ratatui_core::buffer::Buffer;

/// Below this nothing can be read.
const COLUMNS_MIN: usize = 30;
/// Below this neither.
const ROWS_MIN: usize = 6;
/// Lines of a question or of what came of it.
const FOOT_LINES_MAX: usize = 4;

/// Rows that a screen of so many lines moves by.
pub fn page(height: u16) -> usize {
    usize::from(height).saturating_sub(6).max(1)
}

/// How far what is open in full can be scrolled. A line or two more than can be
/// seen does no harm: the end stays in sight.
pub fn scroll_max(model: &Model, columns: u16, rows: u16) -> usize {
    let lines = full::lines(model, usize::from(columns)).map_or(0, |lines| lines.len());
    lines.saturating_sub(usize::from(rows).saturating_sub(3))
}

/// Draws all of it.
pub fn draw(model: &Model, look: Look, buffer: &mut Buffer) {
    buffer.reset();
    let mut paper = Paper::new(buffer);
    let (columns, rows) = (paper.width(), paper.height());
    if columns < COLUMNS_MIN || rows < ROWS_MIN {
        paper.put(0, 0, columns, "too small", Tone::Warn);
        paper.put(0, 1, columns, "q leaves", Tone::Dim);
    } else {
        head(model, &mut paper);
        let top = 2 + warnings(model, &mut paper, 2);
        let height = rows.saturating_sub(top + 1);
        body(model, &mut paper, top, height);
        foot(model, &mut paper);
    }
    look.fit(buffer);
}

fn body(model: &Model, paper: &mut Paper<'_>, top: usize, height: usize) {
    if let Some(lines) = full::lines(model, paper.width()) {
        return full::write(&lines, model.scroll, paper, top, height);
    }
    if model.known().live.is_none() {
        let words = match (&model.link, model.at_ms) {
            (Link::Lost { .. }, _) => "Nothing was heard of the pooler yet.",
            (_, Some(_)) => "Waiting for that moment of the past …",
            _ => "Waiting for the pooler …",
        };
        paper.put(2, top + 1, paper.width(), words, Tone::Dim);
        return;
    }
    match model.view {
        View::Overview => overview::write(model, paper, top, height),
        View::Pools => tables::pools(model, paper, top, height),
        View::Leases => tables::leases(model, paper, top, height),
        View::Budget => tables::budget(model, paper, top, height),
        View::Alerts => alerts::write(model, paper, top, height),
    }
}

/// Who, when, and the views.
fn head(model: &Model, paper: &mut Paper<'_>) {
    let live = model.known().live.as_ref();
    let mut who = vec![piece("plimsoll", Tone::Head)];
    if let Some(live) = live {
        who.push(piece(
            format!(" {}", text::name(&live.instance)),
            Tone::Head,
        ));
        if !live.fleet.is_empty() {
            who.push(piece(
                format!(" of {}", text::name(&live.fleet)),
                Tone::Plain,
            ));
        }
        let up = text::seconds(live.uptime_s as f64);
        let about = format!("  {}, up {up}", text::name(&live.version));
        who.push(piece(about, Tone::Dim));
    }
    paper.line(0, &who);
    let at = live.map_or_else(String::new, |live| text::clock(live.at_ms));
    let pace = model.pace.as_secs_f64();
    paper.right(0, &format!("  {at}  every {pace} s"), Tone::Dim);
    tabs(model, paper);
}

fn tabs(model: &Model, paper: &mut Paper<'_>) {
    let mut tabs: Vec<Piece> = Vec::new();
    for (nth, view) in View::ALL.into_iter().enumerate() {
        let label = format!("{} {}", nth + 1, view.word());
        // The brackets say it without colour.
        tabs.push(match view == model.view {
            true => piece(format!("[{label}]"), Tone::Chosen),
            false => piece(format!(" {label} "), Tone::Plain),
        });
    }
    paper.line(1, &tabs);
    let mut state = String::new();
    if !model.sort().is_empty() {
        state.push_str(&format!("  by {}", model.sort()));
    }
    if !model.filter.is_empty() && !matches!(model.over, Over::Filter(_)) {
        state.push_str(&format!("  /{}", text::name(&model.filter)));
    }
    paper.right(1, &state, Tone::Note);
}

/// What makes everything else old. Returns how many lines it took.
fn warnings(model: &Model, paper: &mut Paper<'_>, top: usize) -> usize {
    let mut lines: Vec<(String, Tone)> = Vec::new();
    let live = model.known().live.as_ref();
    let shown = live.map_or_else(String::new, |live| {
        format!(" Shown: {}.", text::clock(live.at_ms))
    });
    match &model.link {
        Link::Lost {
            trouble,
            since_ms,
            next_ms,
            why,
        } => {
            let word = match trouble {
                Trouble::Silence => "NO CONNECTION",
                Trouble::Refusal => "NO FIGURES",
            };
            let since = text::between(*since_ms, model.now_ms);
            let next = text::between(model.now_ms, *next_ms);
            let why = text::prose(why);
            lines.push((
                format!(" {word} for {since}, next try in {next}.{shown} {why} "),
                Tone::Alarm,
            ));
        }
        _ => lines.extend(silence(model).map(|text| (text, Tone::Alarm))),
    }
    if let Some(at_ms) = model.at_ms {
        let date = diagnose::utc::moment(at_ms);
        lines.push((
            format!(" THE PAST: {date}. n: back to now; [ ]: a minute "),
            Tone::Chosen,
        ));
    }
    if let Some(held_ms) = model.held_ms() {
        let since = text::between(held_ms, model.now_ms);
        lines.push((format!(" HELD for {since}. Space: go on "), Tone::Chosen));
    }
    for (nth, (line, tone)) in lines.iter().enumerate() {
        paper.put(0, top + nth, paper.width(), line, *tone);
    }
    lines.len()
}

/// It takes the question and does not answer.
fn silence(model: &Model) -> Option<String> {
    let heard_ms = model.heard_ms?;
    let pace_ms = i64::try_from(model.pace.as_millis()).unwrap_or(i64::MAX);
    let patience = pace_ms.saturating_mul(3).saturating_add(3_000);
    let silent = model.now_ms.saturating_sub(heard_ms);
    let since = text::between(heard_ms, model.now_ms);
    (silent > patience && model.at_ms.is_none())
        .then(|| format!(" NO ANSWER for {since}: what is shown is as old "))
}

/// A question, what came of one, or the keys.
fn foot(model: &Model, paper: &mut Paper<'_>) {
    let last = paper.height() - 1;
    match &model.over {
        Over::Filter(_) => {
            let typed = text::name(&model.filter);
            paper.clear(last, Tone::Plain);
            let keys = "   Enter: keep  Esc: as before";
            paper.line(
                last,
                &[
                    piece(format!("/{typed}"), Tone::Head),
                    piece("█", Tone::Plain),
                    piece(keys, Tone::Dim),
                ],
            );
        }
        Over::Confirm(action, _) => {
            let question = format!("{} y: yes, any other key: no", action.question());
            upwards(paper, last, &question, Tone::Alarm);
        }
        _ => match &model.notice {
            Some(notice) => {
                let (word, tone) = match notice.good {
                    true => ("Done: ", Tone::Good),
                    false => ("", Tone::Warn),
                };
                let said = format!("{word}{}", text::prose(&notice.text));
                upwards(paper, last, &said, tone);
            }
            None if model.is_busy() => {
                paper.put(0, last, paper.width(), "Being done …", Tone::Note);
            }
            None => {
                paper.put(0, last, paper.width(), hints(model), Tone::Dim);
            }
        },
    }
}

/// Lines that end at `last`.
fn upwards(paper: &mut Paper<'_>, last: usize, text: &str, tone: Tone) {
    let lines = text::wrap(text, paper.width().saturating_sub(2));
    let shown = lines.len().min(FOOT_LINES_MAX);
    for (nth, line) in lines.iter().take(shown).enumerate() {
        let y = last + 1 + nth - shown;
        paper.clear(y, tone);
        paper.put(1, y, paper.width().saturating_sub(1), line, tone);
    }
}

fn hints(model: &Model) -> &'static str {
    match (&model.over, model.view) {
        (Over::Help | Over::Verdict, _) => "j k: scroll  Esc: back  q: leave",
        (Over::Row(_), View::Pools) => "P: pause  R: resume  j k: scroll  Esc: back  q: leave",
        (Over::Row(_), View::Overview | View::Leases) => {
            "c: cancel  r: reclaim  K: kill  j k: scroll  Esc: back  q: leave"
        }
        (Over::Row(_), _) => "j k: scroll  Esc: back  q: leave",
        (_, View::Overview) => {
            "?: keys  Tab: view  Enter: why  j k: choose who  /: filter  space: hold  q: leave"
        }
        (_, View::Pools) => {
            "?: keys  s: sort  /: filter  j k: choose  Enter: all of it  P: pause  R: resume"
        }
        (_, View::Leases) => {
            "?: keys  s: sort  /: filter  j k: choose  c: cancel  r: reclaim  K: kill"
        }
        (_, View::Budget | View::Alerts) => {
            "?: keys  Tab: view  j k: choose  Enter: all of it  q: leave"
        }
    }
}
