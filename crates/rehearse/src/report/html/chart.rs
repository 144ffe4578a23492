//! Curves as SVG, drawn once: no script, colours by class, never by colour alone.

use super::super::markup::escaped;
use std::fmt::Write as _;

/// The picture, and what lies around the curves.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 24.0;
/// Most ticks of an axis.
const TICKS: f64 = 6.0;

/// What an axis counts, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Axis {
    /// Seconds since the begin.
    Clock,
    /// Microseconds, by powers of ten.
    Time,
    /// Per second, from zero.
    Rate,
    /// Whole things, from zero.
    Count,
    /// Percentiles: 1/(1−share), by powers of ten.
    Percentile,
}

/// One curve.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// How it is drawn: a class of the style sheet.
    pub(super) look: &'static str,
    /// Its name.
    pub(super) label: &'static str,
    /// Its points; one whose second value is not finite is a gap.
    pub(super) points: Vec<(f64, f64)>,
    /// Each point stands alone; those of `crosses` are crossed out.
    pub(super) dots: bool,
}

/// Curves over one axis.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// Says which: unique in a page.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What is to be seen, for those who do not see it.
    pub(super) told: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// Lines across, and their names.
    pub(super) marks: Vec<(f64, &'static str)>,
}

impl Series {
    /// A line.
    pub(super) fn line(look: &'static str, label: &'static str, points: Vec<(f64, f64)>) -> Series {
        Series {
            look,
            label,
            points,
            dots: false,
        }
    }
}

/// Where values lie.
struct Scale {
    axis: Axis,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn is_log(self) -> bool {
        matches!(self, Axis::Time | Axis::Percentile)
    }

    fn say(self, value: f64) -> String {
        match self {
            Axis::Clock => {
                let s = value.round() as u64;
                format!("{}:{:02}", s / 60, s % 60)
            }
            Axis::Time if value >= 1e6 => format!("{:.0} s", value / 1e6),
            Axis::Time if value >= 1e3 => format!("{:.0} ms", value / 1e3),
            Axis::Time => format!("{value:.0} µs"),
            Axis::Rate => format!("{}/s", compact(value)),
            Axis::Count => compact(value),
            // 1 → p0, 10 → p90, 1000 → p99.9.
            Axis::Percentile => {
                let percent = 100.0 - 100.0 / value;
                let digits = (value.log10().round() as usize).saturating_sub(2);
                format!("p{percent:.digits$}")
            }
        }
    }
}

/// Whole numbers as they are, thousands as k.
fn compact(value: f64) -> String {
    match value {
        v if v >= 1e4 => format!("{}k", v / 1e3),
        v if v < 1.0 && v > 0.0 => format!("{v:.1}"),
        v => format!("{v}"),
    }
}

impl Scale {
    fn new(axis: Axis, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Scale {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|v| v.is_finite() && (*v > 0.0 || !axis.is_log())) {
            low = low.min(value);
            high = high.max(value);
        }
        let (low, high) = match axis {
            _ if low > high => (if axis.is_log() { 1.0 } else { 0.0 }, 10.0),
            Axis::Clock => (0.0, high.max(1.0)),
            Axis::Time | Axis::Percentile => {
                let low = 10f64.powf(low.log10().floor());
                (low, 10f64.powf(high.log10().ceil()).max(low * 10.0))
            }
            Axis::Rate | Axis::Count => {
                let step = step(high.max(1.0));
                (0.0, (high.max(1.0) / step).ceil() * step)
            }
        };
        Scale {
            axis,
            low,
            high,
            from,
            to,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let place = match self.axis.is_log() {
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        self.from + (self.to - self.from) * place.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.axis.is_log() {
            let decades = (self.high / self.low).log10().round() as i32;
            return (0..=decades).map(|e| self.low * 10f64.powi(e)).collect();
        }
        let step = match self.axis {
            Axis::Clock => clock_step(self.high),
            _ => step(self.high),
        };
        let ticks = (self.high / step + 1e-9).floor() as usize;
        (0..=ticks).map(|i| i as f64 * step).collect()
    }
}

/// 1, 2 or 5 times a power of ten, so that there are few.
fn step(high: f64) -> f64 {
    let least = high / TICKS;
    let power = 10f64.powf(least.log10().floor());
    let lead = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|lead| lead * power >= least);
    lead.unwrap_or(10.0) * power
}

fn clock_step(high: f64) -> f64 {
    const STEPS_S: [f64; 13] = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 21_600.0,
    ];
    let fits = STEPS_S.into_iter().find(|step| high / step <= 9.0);
    fits.unwrap_or(86_400.0)
}

impl Chart {
    /// The figure with its legend; `alternative` holds the same as a table.
    pub(super) fn figure(&self, alternative: &str) -> String {
        let id = self.id;
        let mut out = format!(
            "<figure class=\"panel\">\n<h2>{}</h2>\n{}\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
             <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>\n",
            escaped(self.title),
            self.legend(),
            escaped(self.title),
            escaped(&self.told)
        );
        let points = || self.series.iter().flat_map(|one| one.points.iter());
        let across = points().map(|point| point.0);
        let across = across.chain(self.marks.iter().map(|mark| mark.0));
        let x = Scale::new(self.x, across, LEFT, WIDTH - RIGHT);
        let y = Scale::new(self.y, points().map(|p| p.1), HEIGHT - BOTTOM, TOP);
        grid(&mut out, &x, &y);
        for (i, (at, name)) in self.marks.iter().enumerate() {
            let at = x.at(*at);
            // The first has its name to the left, so that a second beside it has room.
            let (anchor, beside) = if i == 0 {
                ("end", -4.0)
            } else {
                ("start", 4.0)
            };
            let _ = writeln!(
                out,
                "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.0}\"/>\
                 <text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{}</text>",
                HEIGHT - BOTTOM,
                at + beside,
                TOP - 3.0,
                escaped(name)
            );
        }
        for series in &self.series {
            match series.dots {
                true => dots(&mut out, series, &x, &y),
                false => path(&mut out, series, &x, &y),
            }
        }
        let _ = write!(
            out,
            "</svg>\n<figcaption>{}</figcaption>\n{alternative}</figure>\n",
            escaped(&self.told)
        );
        out
    }

    fn legend(&self) -> String {
        let one = |series: &Series| {
            let shown = match series.dots {
                true => format!(
                    "<circle class=\"dot {}\" cx=\"13\" cy=\"4\" r=\"3\"/>",
                    series.look
                ),
                false => format!("<path class=\"s {}\" d=\"M0 4H26\"/>", series.look),
            };
            format!(
                "<li><svg viewBox=\"0 0 26 8\" aria-hidden=\"true\">{shown}</svg>{}</li>",
                escaped(series.label)
            )
        };
        let items: String = self.series.iter().map(one).collect();
        format!("<ul class=\"legend\">{items}</ul>\n")
    }
}

fn grid(out: &mut String, x: &Scale, y: &Scale) {
    let (floor, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for tick in y.ticks() {
        let at = y.at(tick);
        let _ = writeln!(
            out,
            "<path class=\"axis\" d=\"M{LEFT} {at:.1}H{right}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            escaped(&y.axis.say(tick))
        );
    }
    for tick in x.ticks() {
        let at = x.at(tick);
        let anchor = if at > right - 12.0 { "end" } else { "middle" };
        let _ = writeln!(
            out,
            "<path class=\"axis\" d=\"M{at:.1} {floor}v4\"/>\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            if anchor == "end" { right + RIGHT } else { at },
            floor + 16.0,
            escaped(&x.axis.say(tick))
        );
    }
}

fn path(out: &mut String, series: &Series, x: &Scale, y: &Scale) {
    let mut d = String::new();
    let mut pen = 'M';
    for (across, up) in &series.points {
        if !up.is_finite() {
            pen = 'M';
            continue;
        }
        let _ = write!(d, "{pen}{:.1} {:.1}", x.at(*across), y.at(*up));
        pen = 'L';
    }
    let _ = writeln!(out, "<path class=\"s {}\" d=\"{d}\"/>", series.look);
}

fn dots(out: &mut String, series: &Series, x: &Scale, y: &Scale) {
    for (across, up) in series.points.iter().filter(|point| point.1.is_finite()) {
        let _ = writeln!(
            out,
            "<circle class=\"dot {}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"/>",
            series.look,
            x.at(*across),
            y.at(*up)
        );
    }
}

/// A percentile's place on its axis.
pub(super) fn percentile(percent: f64) -> f64 {
    100.0 / (100.0 - percent)
}

/// A horizontal interval: name, least, lower, middle, upper, greatest.
pub(super) type Bar = (String, [f64; 5]);

/// Intervals below each other around zero; relative differences.
pub(super) fn intervals(bars: &[Bar], tolerate: Option<f64>, told: &str) -> String {
    const NAME: f64 = 110.0;
    const ROW: f64 = 26.0;
    let ends = bars.iter().flat_map(|(_, at)| *at).chain(tolerate);
    let most = ends
        .map(f64::abs)
        .filter(|v| v.is_finite())
        .fold(0.01, f64::max)
        * 1.08;
    let at = |value: f64| {
        let part = (value.clamp(-most, most) + most) / (2.0 * most);
        NAME + part * (WIDTH - NAME - RIGHT)
    };
    let height = bars.len() as f64 * ROW + BOTTOM + 6.0;
    let floor = height - BOTTOM;
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"iv-t iv-d\">\n\
         <title id=\"iv-t\">Differences with their intervals</title><desc id=\"iv-d\">{}</desc>\n",
        escaped(told)
    );
    let step = step(most * 2.0);
    let ticks = (most / step).floor() as i32;
    for tick in (-ticks..=ticks).map(|i| f64::from(i) * step) {
        let class = if tick == 0.0 { "zero" } else { "axis" };
        let _ = writeln!(
            out,
            "<line class=\"{class}\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"2\" y2=\"{floor}\"/>\
             <text x=\"{0:.1}\" y=\"{1}\" text-anchor=\"middle\">{2}</text>",
            at(tick),
            floor + 16.0,
            if tick == 0.0 {
                "equal".to_owned()
            } else {
                format!("{:+} %", (tick * 1e3).round() / 10.0)
            }
        );
    }
    for tolerated in tolerate.into_iter().filter(|part| *part > 0.0) {
        let _ = writeln!(
            out,
            "<line class=\"mark\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"2\" y2=\"{floor}\"/>",
            at(tolerated)
        );
    }
    for (i, (name, [least, low, middle, high, greatest])) in bars.iter().enumerate() {
        let y = (i as f64 + 0.5) * ROW + 2.0;
        let _ = writeln!(
            out,
            "<text class=\"name\" x=\"0\" y=\"{:.1}\">{}</text>\
             <line class=\"wide\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\"/>\
             <line class=\"near\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\"/>\
             <circle class=\"dot\" cx=\"{:.1}\" cy=\"{y}\" r=\"3.5\"/>",
            y + 4.0,
            escaped(name),
            at(*least),
            at(*greatest),
            at(*low),
            at(*high),
            at(*middle)
        );
    }
    out.push_str("</svg>\n");
    out
}
