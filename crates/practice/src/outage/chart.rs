//! What users met over time, drawn once: a strip for each column of an outage.

use super::row::Row;
use rehearse::markup::escaped;
use std::fmt::Write as _;

/// The picture.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 118.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 30.0;
/// One strip, and what lies between two.
const STRIP: f64 = 64.0;
const GAP: f64 = 26.0;
const BOTTOM: f64 = 34.0;
/// From one label of the clock to the next, seconds.
const TICK_S: f64 = 20.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#222}.small{font-size:11px;fill:#555}\
.paper{fill:#fff}.frame{fill:#f3f4f6}.failed{fill:#b3261e}.slow{fill:#e9a13b}.mark{stroke:#222;stroke-dasharray:3 3}\
.alert{fill:#1d5fa8}.named{fill:#14713d}.person{fill:#6b3fa0}\
@media(prefers-color-scheme:dark){text{fill:#eee}.small{fill:#bbb}.paper{fill:#15181c}.frame{fill:#262b31}.mark{stroke:#eee}}";

/// One picture of an outage: for each column the share of each second's requests
/// that failed or were too slow, and when who did or said what.
pub fn chart(rows: &[Row]) -> String {
    let lasts = rows.iter().map(|row| row.figures.seconds.len()).max();
    let lasts = lasts.unwrap_or(0).max(1) as f64;
    let height = TOP + rows.len() as f64 * (STRIP + GAP) + BOTTOM;
    let title = rows.first().map_or("", |row| row.title.as_str());
    let told: Vec<String> = rows.iter().map(told).collect();
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\
         <title>{}</title><desc>{}</desc><style>{STYLE}</style>\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\
         <text x=\"{LEFT}\" y=\"18\">share of requests <tspan class=\"failed\">■</tspan> failed \
         <tspan class=\"slow\">■</tspan> too slow; <tspan class=\"alert\">▼</tspan> alert \
         <tspan class=\"named\">◆</tspan> cause named <tspan class=\"person\">▲</tspan> a person acts</text>",
        escaped(title),
        escaped(&told.join(" "))
    );
    let mut top = TOP;
    for row in rows {
        strip(&mut out, row, top, lasts);
        top += STRIP + GAP;
    }
    let mut at = 0.0;
    while at <= lasts {
        let x = x(at, lasts);
        let y = top + 6.0;
        let _ = write!(
            out,
            "<text class=\"small\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{at:.0} s</text>"
        );
        at += TICK_S;
    }
    out.push_str("</svg>\n");
    out
}

fn strip(out: &mut String, row: &Row, top: f64, lasts: f64) {
    let bottom = top + STRIP;
    let _ = write!(
        out,
        "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <text class=\"small\" x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <rect class=\"frame\" x=\"{LEFT}\" y=\"{top}\" width=\"{:.1}\" height=\"{STRIP}\"/>",
        LEFT - 8.0,
        top + 28.0,
        escaped(row.column.title()),
        LEFT - 8.0,
        top + 44.0,
        row.word(),
        WIDTH - LEFT - RIGHT,
    );
    let wide = x(1.0, lasts) - x(0.0, lasts);
    for (at, second) in row.figures.seconds.iter().enumerate() {
        let all = f64::from(second.sent.max(1));
        let mut y = bottom;
        for (look, n) in [("failed", second.failed), ("slow", second.slow)] {
            let high = STRIP * f64::from(n) / all;
            if high > 0.0 {
                y -= high;
                let x = x(at as f64, lasts);
                let _ = write!(
                    out,
                    "<rect class=\"{look}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.2}\" height=\"{high:.1}\"/>"
                );
            }
        }
    }
    let blow = x(row.blow_s, lasts);
    let _ = write!(
        out,
        "<line class=\"mark\" x1=\"{blow:.1}\" x2=\"{blow:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>"
    );
    marks(out, row, bottom, lasts);
}

/// Under the strip: who said or did what when.
fn marks(out: &mut String, row: &Row, bottom: f64, lasts: f64) {
    let persons = row.done.iter().filter(|done| done.by_person);
    let persons = persons.map(|done| ("person", "▲", done.at_s));
    let alert = row.alert_s.map(|at| ("alert", "▼", at));
    let named = row.named_s.map(|at| ("named", "◆", at));
    for (look, sign, at) in alert.into_iter().chain(named).chain(persons) {
        let (x, y) = (x(at, lasts), bottom + 13.0);
        let _ = write!(
            out,
            "<text class=\"{look}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{sign}</text>"
        );
    }
}

/// What is to be seen, for those who do not see it.
fn told(row: &Row) -> String {
    let figures = &row.figures;
    format!(
        "{}: {}; {:.1} percent of the requests failed, {} seconds hurt.",
        row.column.title(),
        row.word(),
        figures.failed_share() * 100.0,
        figures.hurt_s
    )
}

fn x(at_s: f64, lasts: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * at_s.clamp(0.0, lasts) / lasts
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    #[test]
    fn each_column_has_its_strip_and_words_for_who_does_not_see_it() {
        let mut plimsoll = row("plimsoll");
        plimsoll.title = "a < b & \"c\"".to_owned();
        plimsoll.alert_s = Some(3.0);
        let svg = chart(&[plimsoll, row("own")]);
        assert!(
            svg.contains("<title>a &lt; b &amp; &quot;c&quot;</title>"),
            "{svg}"
        );
        assert!(svg.contains(
            "own pool only: recovered; 60.0 percent of the requests failed, 2 seconds hurt."
        ));
        assert_eq!(svg.matches("class=\"frame\"").count(), 2);
        // Two seconds with failures, one of them with slow ones too, in each.
        assert_eq!(svg.matches("<rect class=\"failed\"").count(), 4);
        assert_eq!(svg.matches("<rect class=\"slow\"").count(), 2);
        assert_eq!(svg.matches(">▼</text>").count(), 1);
        assert!(chart(&[]).ends_with("</svg>\n"));
    }
}
