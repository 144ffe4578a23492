//! A record as the rules see it: what holds now, what was usual before the
//! trouble began, and what changed shortly before.

use crate::onset;
use crate::window::{AppKey, AppWindow, PoolKey, PoolWindow, ROWS_MAX, ServerWindow, Window};
use events::sample::{Marker, MarkerKind, Record, Sample, ServerActivity};
use std::collections::BTreeMap;

/// Seconds that are read at most: an hour and a bit.
const SECONDS_MAX: usize = 4_000;
/// Minutes that are read at most.
const MINUTES_MAX: usize = 240;
/// Markers that are read at most, the newest.
const MARKERS_MAX: usize = 500;
/// How far back "now" reaches, milliseconds.
const NOW_MS: i64 = 10_000;
/// How far back "usual" reaches from the onset, milliseconds.
const USUAL_MS: i64 = 60_000;
/// Samples that "usual" needs.
const USUAL_MIN: usize = 3;
/// A change so long before the onset may have brought the trouble, milliseconds.
const CHANGE_MS: i64 = 300_000;
/// A change counts so long after the first bad second, milliseconds: clocks and
/// seconds do not meet exactly.
const CHANGE_AFTER_MS: i64 = 8_000;
/// Nothing measured for so long is no accident, milliseconds.
const MUTE_MS: i64 = 4_000;
/// Longer than that is a clock that was set, milliseconds.
const MUTE_MS_MAX: i64 = 300_000;
/// Pools that are judged one by one, those that suffer the most.
pub(crate) const CASES_MAX: usize = 4;

/// What the rules read.
pub(crate) struct View<'a> {
    pub at_ms: i64,
    pub snapshot: u64,
    /// For so long nothing was measured although each second should be,
    /// milliseconds; 0 where nobody can say.
    pub mute_ms: i64,
    /// Trouble that comparisons show, since when.
    pub onset_ms: Option<i64>,
    pub now: Window,
    /// Before the onset; `None`: nothing calm was recorded.
    pub usual: Option<Window>,
    /// The first and the last third of what is since the onset.
    pub early: Window,
    pub late: Window,
    /// Servers' inner figures since the onset.
    pub inside: BTreeMap<events::sample::Name, Inside>,
    /// The least that was silent per pool within the record, before now.
    pub silent_least: BTreeMap<PoolKey, f64>,
    /// Changes that may have brought it, the newest first.
    pub changes: Vec<&'a Marker>,
    /// Pools to judge, the worst first.
    pub suffering: Vec<PoolKey>,
}

/// What a server and its probe said.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    /// Middle round trip of the probe since the onset, microseconds.
    pub probe_us: Option<f64>,
    /// The quickest of its later half; `None` of few.
    pub probe_least_us: Option<f64>,
    /// The same as the first before.
    pub probe_usual_us: Option<f64>,
    /// Readings of the activity view since the onset.
    pub readings: Vec<ServerActivity>,
    /// The same before.
    pub before: Vec<ServerActivity>,
}

impl<'a> View<'a> {
    /// `None`: no sample at or before this moment.
    pub fn of(record: &'a Record, at_ms: Option<i64>) -> Option<View<'a>> {
        let samples = newest(record.seconds.iter(), at_ms, SECONDS_MAX);
        let minutes = newest(record.minutes.iter(), at_ms, MINUTES_MAX);
        let samples = match samples.is_empty() {
            true => minutes.clone(),
            false => samples,
        };
        let newest = *samples.last()?;
        let times = times(&samples);
        let weights = onset::weigh(&samples);
        let from = onset::find(&weights);
        let at = newest.at_ms;
        let split = from.unwrap_or_else(|| since(&times, at.saturating_sub(NOW_MS)));
        let now_from =
            since(&times, at.saturating_sub(NOW_MS)).max(skip_first(split, samples.len()));
        let now_from = now_from.min(samples.len().saturating_sub(1));
        let now = Window::of(samples.iter().skip(now_from).copied());
        let split_ms = times.get(split).copied().unwrap_or(at);
        let calm: Vec<&Sample> = samples
            .iter()
            .zip(&weights)
            .take(now_from)
            .filter_map(|(s, w)| (*w == 0).then_some(*s))
            .collect();
        let usual = usual(&samples, &times, split, &minutes, split_ms, from.is_some())
            .or_else(|| scattered(&calm));
        let since_onset = samples.get(split..).unwrap_or_default();
        let third = since_onset.len().div_ceil(3);
        let late = since_onset.len().saturating_sub(third);
        let mut view = View {
            at_ms: at_ms.unwrap_or(at),
            snapshot: newest.version,
            mute_ms: 0,
            onset_ms: from.map(|_| begin_of(samples.get(split).copied(), split_ms)),
            usual,
            early: Window::of(since_onset.iter().take(third).copied()),
            late: Window::of(since_onset.iter().skip(late).copied()),
            inside: inside(&samples, split),
            silent_least: silent_least(&samples, now_from, &minutes),
            changes: changes(record, split_ms, from.is_some(), at),
            suffering: Vec::new(),
            now,
        };
        view.suffering = suffering(&view);
        Some(view)
    }

    /// It is looked at so late. Who measures each second and has not for some is
    /// held up, and so is what it measures.
    pub fn looked_at(&mut self, now_ms: i64) {
        let mute = now_ms.saturating_sub(self.at_ms);
        // With very many pools a look comes later than each second.
        let pace = (self.now.seconds * 1e3 / f64::from(self.now.samples.max(1))) as i64;
        if (MUTE_MS.max(pace.saturating_mul(4))..=MUTE_MS_MAX).contains(&mute) {
            self.mute_ms = mute;
            self.onset_ms.get_or_insert(self.at_ms);
        }
    }

    /// The trouble is there: comparisons or refusals show it.
    pub fn trouble(&self) -> bool {
        self.onset_ms.is_some()
    }

    /// The pools, servers and applications to judge one by one.
    pub fn cases(&self) -> Vec<Case<'_>> {
        let pools = self.suffering.iter().take(CASES_MAX);
        let mut cases: Vec<Case> = pools.map(|key| Case::of(self, key)).collect();
        for upstream in self.now.servers.keys() {
            let known = |c: &Case| c.pool.is_some_and(|p| p.upstream == *upstream);
            if cases.len() < 2 * CASES_MAX && !cases.iter().any(known) {
                cases.push(Case::of_server(self, upstream));
            }
        }
        if cases.is_empty() {
            cases.push(Case::bare(self));
        }
        cases
    }
}

/// One pool with its server and its applications.
pub(crate) struct Case<'a> {
    pub view: &'a View<'a>,
    pub pool: Option<&'a PoolWindow>,
    pub pool_usual: Option<&'a PoolWindow>,
    pub server: Option<&'a ServerWindow>,
    pub server_usual: Option<&'a ServerWindow>,
    pub inside: Option<&'a Inside>,
    pub apps: Vec<App<'a>>,
}

/// An application in the pool, now and before.
#[derive(Clone, Copy)]
pub(crate) struct App<'a> {
    pub now: &'a AppWindow,
    /// `None`: it was not there, or nothing is known of before.
    pub usual: Option<&'a AppWindow>,
}

impl App<'_> {
    /// Requests in a second.
    pub fn arrivals(&self) -> f64 {
        self.now.per_s(self.now.arrivals)
    }

    /// Requests in a second, before; 0 when it was not there.
    pub fn arrivals_usual(&self) -> f64 {
        self.usual.map_or(0.0, |u| u.per_s(u.arrivals))
    }
}

impl<'a> Case<'a> {
    fn bare(view: &'a View<'a>) -> Case<'a> {
        Case {
            view,
            pool: None,
            pool_usual: None,
            server: None,
            server_usual: None,
            inside: None,
            apps: Vec::new(),
        }
    }

    fn of(view: &'a View<'a>, key: &PoolKey) -> Case<'a> {
        let pool = view.now.pools.get(key);
        let mut case = match pool {
            Some(pool) => Case::of_server(view, &pool.upstream),
            None => Case::bare(view),
        };
        case.pool = pool;
        case.pool_usual = view.usual.as_ref().and_then(|u| u.pools.get(key));
        let own = |k: &AppKey| k.0 == key.0 && k.1 == key.1;
        let before = view.usual.as_ref().map(|u| &u.apps);
        let apps = view.now.apps.iter().filter(|(k, _)| own(k));
        case.apps = apps
            .map(|(key, now)| App {
                now,
                usual: before.and_then(|b| b.get(key)),
            })
            .collect();
        case
    }

    fn of_server(view: &'a View<'a>, upstream: &events::sample::Name) -> Case<'a> {
        Case {
            server: view.now.servers.get(upstream),
            server_usual: view.usual.as_ref().and_then(|u| u.servers.get(upstream)),
            inside: view.inside.get(upstream),
            ..Case::bare(view)
        }
    }

    /// The pool's name, or the server's.
    pub fn name(&self) -> String {
        match (self.pool, self.server) {
            (Some(pool), _) => pool.name(),
            (None, Some(server)) => server.upstream.to_string(),
            (None, None) => String::new(),
        }
    }

    /// The newest change of this kind that concerns this pool, its server, or
    /// this application (empty: none of them).
    pub fn change(&self, kinds: &[MarkerKind], application: &str) -> Option<&'a Marker> {
        let fits = |m: &&&Marker| kinds.contains(&m.kind) && self.concerns(m, application);
        self.view.changes.iter().find(fits).copied()
    }

    /// A change of settings that concerns this pool.
    pub fn fits(&self, marker: &Marker) -> bool {
        self.concerns(marker, "")
    }

    fn concerns(&self, marker: &Marker, application: &str) -> bool {
        let subject = &*marker.subject;
        if marker.kind == MarkerKind::Release {
            return !application.is_empty() && subject == application;
        }
        let pool = self
            .pool
            .is_some_and(|p| subject == p.name() || subject == &*p.database || subject == &*p.user);
        let server = self.server.is_some_and(|s| subject == &*s.upstream);
        let setting = !subject.is_empty() && !subject.contains('/') && subject.contains('_');
        subject.is_empty() || pool || server || setting
    }
}

/// The newest so many samples at or before the moment, oldest first.
fn newest<'a>(
    samples: impl DoubleEndedIterator<Item = &'a Sample>,
    at_ms: Option<i64>,
    most: usize,
) -> Vec<&'a Sample> {
    let before = |s: &&Sample| at_ms.is_none_or(|at| s.at_ms <= at);
    let mut found: Vec<&Sample> = samples
        .rev()
        .take(most * 2)
        .filter(before)
        .take(most)
        .collect();
    found.reverse();
    found
}

/// When each sample ended, by a clock that never jumps back: a sample that
/// claims to be later than the one that follows gets its place before it.
fn times(samples: &[&Sample]) -> Vec<i64> {
    let mut times: Vec<i64> = samples.iter().map(|s| s.at_ms).collect();
    let mut next: Option<(i64, i64)> = None;
    for (time, sample) in times.iter_mut().zip(samples).rev() {
        if let Some((later, span)) = next
            && *time >= later
        {
            *time = later.saturating_sub(span.max(1));
        }
        next = Some((*time, i64::from(sample.span_ms)));
    }
    times
}

/// The first sample that ended after this moment.
fn since(times: &[i64], after: i64) -> usize {
    times.partition_point(|t| *t <= after)
}

/// The first bad second is half calm: it is left out where enough others follow.
fn skip_first(split: usize, len: usize) -> usize {
    match len.saturating_sub(split) {
        0..=3 => split,
        _ => split + 1,
    }
}

fn begin_of(sample: Option<&Sample>, end: i64) -> i64 {
    sample.map_or(end, |s| end.saturating_sub(i64::from(s.span_ms)))
}

/// Seconds before the trouble; minutes where these hold too few.
fn usual(
    samples: &[&Sample],
    times: &[i64],
    split: usize,
    minutes: &[&Sample],
    split_ms: i64,
    onset: bool,
) -> Option<Window> {
    // Without an onset a change may stand just before "now": further back is better.
    let split = match onset {
        true => split,
        false => Some(since(times, split_ms.saturating_sub(NOW_MS)))
            .filter(|at| *at >= USUAL_MIN)
            .unwrap_or(split),
    };
    let from = since(times, split_ms.saturating_sub(USUAL_MS)).min(split);
    let calm = samples.get(from..split).unwrap_or_default();
    // The second just before the onset may belong to it.
    let calm = match calm.len() {
        0..=5 => calm,
        n => calm.get(..n - 1).unwrap_or_default(),
    };
    if calm.len() >= USUAL_MIN {
        return Some(Window::of(calm.iter().copied()));
    }
    let before = |m: &&&Sample| {
        let end = split_ms.saturating_sub(i64::from(m.span_ms));
        m.at_ms < end && m.refusals.is_empty()
    };
    let calm: Vec<&Sample> = minutes.iter().filter(before).copied().collect();
    let recent = calm.iter().rev().take(30).rev().copied();
    (!calm.is_empty()).then(|| Window::of(recent))
}

/// Where trouble comes and goes: the calm seconds in between.
fn scattered(calm: &[&Sample]) -> Option<Window> {
    let recent = calm.iter().rev().take(60).rev().copied();
    (calm.len() >= USUAL_MIN).then(|| Window::of(recent))
}

/// Probe and activity since the onset and before it.
fn inside(samples: &[&Sample], split: usize) -> BTreeMap<events::sample::Name, Inside> {
    let mut all: BTreeMap<events::sample::Name, Inside> = BTreeMap::new();
    let from = split.saturating_sub(60);
    let mut probes: BTreeMap<events::sample::Name, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    let mut reads: BTreeMap<events::sample::Name, i64> = BTreeMap::new();
    let split_ms = samples
        .get(split)
        .map_or(i64::MAX, |s| s.at_ms.saturating_sub(i64::from(s.span_ms)));
    let tail = samples.len().saturating_sub(60).max(split);
    for (at, sample) in samples.iter().enumerate().skip(from) {
        if at >= split && at < tail {
            continue;
        }
        for row in sample.servers.iter().take(ROWS_MAX) {
            if all.len() >= ROWS_MAX && !all.contains_key(&row.upstream) {
                continue;
            }
            let (before, since) = probes.entry(row.upstream.clone()).or_default();
            let list = if at < split {
                &mut *before
            } else {
                &mut *since
            };
            list.extend(row.probe_us.map(|us| us as f64));
            let inside = all.entry(row.upstream.clone()).or_default();
            // Without the grant it tells nothing of others, so nothing at all.
            let Some(activity) = row.activity.as_ref().filter(|a| a.permitted) else {
                continue;
            };
            let age = i64::try_from(activity.age_ms).unwrap_or(i64::MAX);
            let read_ms = sample.at_ms.saturating_sub(age);
            // A reading stands in several samples: it counts once.
            let last = reads.entry(row.upstream.clone()).or_insert(i64::MIN);
            if read_ms.abs_diff(*last) < 300 {
                continue;
            }
            *last = read_ms;
            match at >= split && read_ms >= split_ms {
                true => inside.readings.push(activity.clone()),
                false if at < split => inside.before.push(activity.clone()),
                false => {}
            }
        }
    }
    for (name, (before, since)) in probes {
        let Some(inside) = all.get_mut(&name) else {
            continue;
        };
        // A value that stands since before the onset says nothing of what is now.
        let stale = before.last().copied();
        let fresh: Vec<f64> = since
            .into_iter()
            .skip_while(|us| Some(*us) == stale)
            .collect();
        let later = fresh.iter().skip(fresh.len() / 2);
        let least = later.clone().copied().min_by(f64::total_cmp);
        inside.probe_least_us = least.filter(|_| later.len() >= 3);
        inside.probe_us = median(fresh);
        inside.probe_usual_us = median(before);
    }
    all
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn silent_least(
    samples: &[&Sample],
    now_from: usize,
    minutes: &[&Sample],
) -> BTreeMap<PoolKey, f64> {
    let mut least: BTreeMap<PoolKey, f64> = BTreeMap::new();
    let before = samples.iter().take(now_from);
    for sample in minutes
        .iter()
        .take(minutes.len().saturating_sub(1))
        .chain(before)
    {
        for row in sample.pools.iter().take(ROWS_MAX) {
            let key = (row.database.clone(), row.user.clone());
            if least.len() < ROWS_MAX || least.contains_key(&key) {
                let silent = f64::from(row.silent);
                let known = least.entry(key).or_insert(silent);
                *known = known.min(silent);
            }
        }
    }
    least
}

/// What changed from some minutes before the onset, the newest first.
fn changes(record: &Record, onset_ms: i64, trouble: bool, at: i64) -> Vec<&Marker> {
    let until = match trouble {
        true => onset_ms.saturating_add(CHANGE_AFTER_MS).min(at),
        false => at,
    };
    let from = onset_ms.saturating_sub(CHANGE_MS);
    let markers = record.markers.iter().rev().take(MARKERS_MAX);
    markers
        .filter(|m| m.at_ms >= from && m.at_ms <= until)
        .collect()
}

/// Pools by how much their clients suffer.
fn suffering(view: &View) -> Vec<PoolKey> {
    let usual = view.usual.as_ref();
    let mut pools: Vec<(f64, &PoolKey)> = view
        .now
        .pools
        .iter()
        .map(|(key, pool)| {
            let before = usual.and_then(|u| u.pools.get(key));
            (suffers(pool, before), key)
        })
        .collect();
    pools.sort_by(|a, b| b.0.total_cmp(&a.0));
    pools.into_iter().map(|(_, key)| key.clone()).collect()
}

fn suffers(pool: &PoolWindow, usual: Option<&PoolWindow>) -> f64 {
    let mut points = pool.waiting.mean() * 10.0 + pool.per_s(pool.refused) * 10.0;
    points += pool.silent.mean() + pool.per_s(pool.arrivals).min(1e6) / 1e3;
    points += pool.per_s(pool.wait.sum_us()) / 1e5;
    let Some(usual) = usual else {
        return points;
    };
    if let (Some(now), Some(was)) = (pool.service.mean_us(), usual.service.mean_us()) {
        let late = ((now - was) / 1e6).max(0.0) * pool.per_s(pool.service.count);
        points += late * 10.0;
    }
    let (now, was) = (pool.per_s(pool.arrivals), usual.per_s(usual.arrivals));
    points + (was - now).max(0.0) / (was + 1.0)
}
