//! Who asks: applications, addresses, logins.

use crate::rule::Fact;
use crate::view::{App, Case};
use crate::window::Window;
use crate::{Figure, Unit};
use events::sample::OTHER;

/// Clients log in again and again.
pub(crate) fn storm(case: &Case) -> Fact {
    let now = &case.view.now;
    let accepts = now.per_s(now.clients.accepts.max(now.clients.logins));
    let usual = case.view.usual.as_ref();
    let was = usual.map(|u| u.per_s(u.clients.accepts.max(u.clients.logins)));
    let figure = Figure::new("connections_accepted", accepts, Unit::PerSecond);
    let figure = was.map_or(figure.clone(), |was| figure.against("usual", was));
    // A deploy reconnects once; a storm goes on.
    let late = &case.view.late;
    let still = late.per_s(late.clients.accepts.max(late.clients.logins));
    let yes = match was {
        Some(was) => accepts.min(still) >= was * 3.0 && accepts.min(still) >= was + 8.0,
        None => accepts.min(still) >= 20.0,
    };
    let no = accepts <= 3.0 || was.is_some_and(|was| accepts <= was * 1.5 + 1.0);
    Fact::of(yes, no, figure)
}

/// Few transactions come of a login.
pub(crate) fn short_lived(case: &Case) -> Fact {
    let now = &case.view.now;
    let done: f64 = now.pools.values().map(|p| p.transactions).sum();
    let logins = now.clients.logins.max(now.clients.accepts);
    if logins <= 0.0 {
        return Fact::LACKS;
    }
    let each = done / logins;
    let figure = Figure::new("transactions_per_connection", each, Unit::Count);
    Fact::of(each <= 15.0, each >= 60.0, figure)
}

/// Most of the connections that came are still there: clients that grow, not clients that come and go.
pub(crate) fn newcomers_stay(case: &Case) -> Fact {
    let now = &case.view.now;
    let came = now.clients.accepts.max(now.clients.logins);
    let Some(before) = case.view.usual.as_ref().map(|u| u.clients.connected.last) else {
        return Fact::LACKS;
    };
    if came <= 0.0 || now.clients.connected.known().is_none() {
        return Fact::LACKS;
    }
    let stay = now.clients.connected.last - before;
    let figure = Figure::new("clients_more", stay, Unit::Count).against("came", came);
    Fact::plain(stay >= came * 0.6, figure)
}

/// The application or address that takes more than its usual share.
pub(crate) struct Greedy {
    pub application: String,
    pub address: String,
    pub figure: Figure,
}

/// Who takes far more than before while the others ask as they did.
pub(crate) fn greedy(case: &Case) -> Option<Greedy> {
    greedy_app(case).or_else(|| greedy_address(case))
}

fn greedy_app(case: &Case) -> Option<Greedy> {
    if case.apps.len() < 2 {
        return None;
    }
    if case.pool_usual.is_none() {
        return holds_it_all(case);
    }
    let weight = |a: &App, now: bool| match now {
        true => (a.arrivals(), a.now.used.mean() + a.now.waiting.mean()),
        false => (
            a.arrivals_usual(),
            a.usual.map_or(0.0, |u| u.used.mean() + u.waiting.mean()),
        ),
    };
    let total: f64 = case.apps.iter().map(|a| weight(a, true).0).sum();
    let held: f64 = case.apps.iter().map(|a| weight(a, true).1).sum();
    let mut worst: Option<(f64, Greedy)> = None;
    for app in case.apps.iter().filter(|a| &*a.now.name != OTHER) {
        let ((asks, holds), (asked, was_held)) = (weight(app, true), weight(app, false));
        let others: f64 = others(case, app, |a| a.arrivals());
        let others_usual: f64 = others_usual(case, app);
        let unchanged = others_usual > 0.2 && others <= others_usual * 1.35;
        let more_asked = asks >= asked * 2.0 + 2.0 && asks >= total * 0.4;
        let more_held = holds >= was_held * 2.0 + 1.0
            && holds >= held * 0.5
            && asks >= asked * 1.3 + 1.0
            && app.now.silent.mean() < app.now.used.mean() * 0.5;
        let newcomer = app.usual.is_none()
            && holds >= 2.0
            && holds >= held * 0.5
            && app.now.silent.mean() < app.now.used.mean() * 0.5;
        let more_held = more_held || newcomer;
        if !unchanged || !(more_asked || more_held) {
            continue;
        }
        let name = if app.now.name.is_empty() {
            "(no name)"
        } else {
            &*app.now.name
        };
        let figure = match more_asked {
            true => Figure::new("arrivals", asks, Unit::PerSecond).against("usual", asked),
            false => Figure::new("held_or_waiting", holds, Unit::Count).against("usual", was_held),
        };
        let found = Greedy {
            application: app.now.name.to_string(),
            address: String::new(),
            figure: figure.of(name),
        };
        if worst.as_ref().is_none_or(|(most, _)| holds > *most) {
            worst = Some((holds, found));
        }
    }
    worst.map(|(_, found)| found)
}

/// Without anything usual: one application has almost all connections, by few of
/// the requests, while several others wait.
fn holds_it_all(case: &Case) -> Option<Greedy> {
    let pool = case.pool.filter(|p| p.waiting.mean() >= 1.0)?;
    let asked: f64 = case.apps.iter().map(|a| a.now.arrivals).sum();
    let wait = |a: &&App| a.now.waiting.mean() >= 0.5;
    // What slows all of them at the server looks the same from here.
    if case.apps.iter().filter(wait).count() < 3
        || !super::seen_inside(case)
        || super::disk_waits(case).holds == Some(true)
    {
        return None;
    }
    let all = |a: &&App| {
        let (used, silent) = (a.now.used.mean(), a.now.silent.mean());
        used >= pool.size * 0.75
            && pool.size >= 4.0
            && silent < used * 0.3
            && a.now.arrivals <= asked * 0.5
            && &*a.now.name != OTHER
    };
    let app = case.apps.iter().find(all)?;
    let figure = Figure::new("held", app.now.used.mean(), Unit::Count)
        .of(&app.now.name)
        .against("limit", pool.size);
    Some(Greedy {
        application: app.now.name.to_string(),
        address: String::new(),
        figure,
    })
}

fn others(case: &Case, but: &App, of: impl Fn(&App) -> f64) -> f64 {
    let rest = case.apps.iter().filter(|a| a.now.name != but.now.name);
    rest.map(of).sum()
}

fn others_usual(case: &Case, but: &App) -> f64 {
    others(case, but, |a| a.arrivals_usual())
}

fn greedy_address(case: &Case) -> Option<Greedy> {
    let now = &case.view.now.sources;
    let usual = &case.view.usual.as_ref()?.sources;
    let total: f64 = now.values().map(|s| s.clients.mean()).sum();
    let (address, source) = now
        .iter()
        .filter(|(a, _)| &***a != OTHER)
        .max_by(|a, b| a.1.clients.mean().total_cmp(&b.1.clients.mean()))?;
    let was = usual.get(address).map_or(0.0, |s| s.clients.mean());
    let rest = total - source.clients.mean();
    let all_usual: f64 = usual.values().map(|s| s.clients.mean()).sum();
    let rest_usual = all_usual - was;
    let clients = source.clients.mean();
    let more = clients >= was * 2.0 + 5.0 && clients >= total * 0.5;
    let unchanged = rest_usual >= 1.0 && rest <= rest_usual * 1.3 + 1.0;
    (more && unchanged).then(|| Greedy {
        application: String::new(),
        address: address.to_string(),
        figure: Figure::new("clients", clients, Unit::Count)
            .of(address)
            .against("usual", was),
    })
}

/// One source takes far more than its usual share.
pub(crate) fn greedy_one(case: &Case) -> Fact {
    if let Some(found) = greedy(case) {
        return Fact::of(true, false, found.figure);
    }
    let Some((now, was)) = super::demands(case) else {
        return Fact::LACKS;
    };
    let figure = Figure::new("demand", now, Unit::PerSecond)
        .of(&case.name())
        .against("usual", was);
    let clients = case.pool.map_or(0.0, |p| p.clients.mean());
    let clients_usual = case.pool_usual.map_or(0.0, |p| p.clients.mean());
    let flat = now <= was * 1.12 && clients <= clients_usual * 1.2 + 1.0;
    Fact::of(false, flat, figure)
}

/// The application with the most silent leases, and how many.
pub(crate) fn silent_app<'a>(case: &Case<'a>) -> Option<App<'a>> {
    let silent = |a: &&App| a.now.silent.last.max(a.now.silent.mean());
    let most = case
        .apps
        .iter()
        .max_by(|a, b| silent(a).total_cmp(&silent(b)))?;
    (silent(&most) >= 1.0).then_some(*most)
}

/// An application whose own connections are all busy: its own pool is the limit.
pub(crate) fn busy_app<'a>(case: &Case<'a>) -> Option<App<'a>> {
    let near = |a: &&App| {
        let clients = a.now.clients.mean();
        clients >= 1.0
            && clients <= a.now.clients.least + 0.5
            && a.now.silent.mean() < clients * 0.2
            && utilisation(a) >= 0.72
    };
    let apps = case.apps.iter().filter(near);
    let found = apps.max_by(|a, b| a.now.used.mean().total_cmp(&b.now.used.mean()))?;
    Some(*found)
}

/// The share of its client connections that hold a server connection.
pub(crate) fn utilisation(app: &App) -> f64 {
    let clients = app.now.clients.mean().max(1.0);
    let looked = app.now.used.mean() / clients;
    let ended = app.now.per_s(app.now.hold_us) / 1e6 / clients;
    looked.max(ended.min(1.0))
}

fn utilisation_usual(app: &App) -> Option<f64> {
    let usual = App {
        now: app.usual?,
        usual: None,
    };
    Some(utilisation(&usual))
}

/// All connections of one application are busy all the time.
pub(crate) fn all_busy(case: &Case) -> Fact {
    let Some(app) = busy_app(case) else {
        let most = case
            .apps
            .iter()
            .max_by(|a, b| utilisation(a).total_cmp(&utilisation(b)));
        return most.map_or(Fact::LACKS, |app| {
            let share = utilisation(app);
            let figure = Figure::new("own_connections_busy", share * 100.0, Unit::Percent);
            Fact::of(false, share <= 0.3, figure.of(&app.now.name))
        });
    };
    let share = utilisation(&app);
    let figure =
        Figure::new("own_connections_busy", share * 100.0, Unit::Percent).of(&app.now.name);
    match utilisation_usual(&app) {
        Some(was) => Fact::plain(was <= share * 0.82, figure.against("usual", was * 100.0)),
        None => Fact::plain(share >= 0.85, figure),
    }
}

/// An application that holds its connections open and asks less and less.
pub(crate) fn drained_app<'a>(case: &Case<'a>) -> Option<(App<'a>, f64, f64)> {
    let late = &case.view.late;
    let early = &case.view.early;
    let mut found: Option<(App, f64, f64)> = None;
    for app in &case.apps {
        let Some(usual) = app.usual else { continue };
        let was = app.arrivals_usual();
        let stayed =
            app.now.clients.last >= usual.clients.mean() * 0.75 && app.now.clients.mean() >= 1.0;
        let (asks, before) = (last_rate(late, case, app), last_rate(early, case, app));
        let gone = was >= 2.0 && asks <= was * 0.15;
        let going = was >= 4.0 && asks <= was * 0.4 && asks <= before * 0.75;
        let relogs = app.now.per_s(app.now.logins) > 1.0;
        let pinned = was >= 4.0 && asks <= was * 0.75 && pinned(late, case, app);
        if stayed
            && (gone || going || pinned)
            && !relogs
            && found.as_ref().is_none_or(|f| f.2 < was)
        {
            found = Some((*app, asks, was));
        }
    }
    found
}

fn last_rate(window: &Window, case: &Case, app: &App) -> f64 {
    if case.pool.is_none() {
        return app.arrivals();
    }
    in_window(window, case, app).map_or(0.0, |a| a.per_s(a.arrivals))
}

/// A few of its connections never rest, and the others never ask: what asks less for
/// want of work leaves all of them idle now and then.
fn pinned(window: &Window, case: &Case, app: &App) -> bool {
    let Some(found) = in_window(window, case, app) else {
        return false;
    };
    let (most, clients) = (found.used.most, found.clients.last);
    let busy = found.per_s(found.hold_us) / 1e6;
    most >= 1.0 && most <= clients * 0.6 && busy >= most * 0.8 && busy <= most * 1.2
}

fn in_window<'a>(
    window: &'a Window,
    case: &Case,
    app: &App,
) -> Option<&'a crate::window::AppWindow> {
    let pool = case.pool?;
    let key = (
        pool.database.clone(),
        pool.user.clone(),
        app.now.name.clone(),
    );
    window.apps.get(&key)
}

/// Fewer and fewer of an application's connections ever ask.
pub(crate) fn drained(case: &Case) -> Fact {
    if let Some((app, asks, was)) = drained_app(case) {
        let figure = Figure::new("arrivals", asks, Unit::PerSecond)
            .of(&app.now.name)
            .against("usual", was);
        return Fact::of(true, false, figure);
    }
    if let Some(app) = all_silent(case) {
        let figure = Figure::new("silent_leases", app.now.silent.last, Unit::Count)
            .of(&app.now.name)
            .against("clients", app.now.clients.last);
        return Fact::of(true, false, figure);
    }
    let lowest = case
        .apps
        .iter()
        .filter(|a| a.arrivals_usual() >= 2.0)
        .map(|a| (a.arrivals() / a.arrivals_usual(), a))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    lowest.map_or(Fact::LACKS, |(share, app)| {
        let figure = Figure::new("arrivals", app.arrivals(), Unit::PerSecond)
            .of(&app.now.name)
            .against("usual", app.arrivals_usual());
        Fact::of(false, share >= 0.9, figure)
    })
}

/// All connections of an application sit in a transaction, silent.
pub(crate) fn all_silent<'a>(case: &Case<'a>) -> Option<App<'a>> {
    let all = |a: &&App| {
        let silent = a.now.silent.last;
        silent >= 2.0 && silent >= a.now.clients.last * 0.9
    };
    case.apps.iter().find(all).copied()
}

/// How many times as long its requests hold a connection.
pub(crate) fn slower_by(app: &App) -> Option<f64> {
    let usual = app.usual.filter(|u| u.arrivals >= 3.0)?;
    if app.now.arrivals < 3.0 {
        return None;
    }
    let was = usual.hold_us / usual.arrivals;
    Some(app.now.hold_us / app.now.arrivals / was.max(1.0))
}

/// The means rose by the statements of one application, which asks as often as
/// before, while the others are as quick as ever and nobody waits: it does more
/// work, and nobody is hurt by it.
pub(crate) fn only_a_batch(case: &Case) -> Fact {
    let (Some(pool), Some(shift)) = (case.pool, super::shift_of(case)) else {
        return Fact::LACKS;
    };
    let slowed = |a: &&App| slower_by(a).is_some_and(|times| times >= 1.8);
    let mut slow = case.apps.iter().filter(slowed);
    let (Some(app), None) = (slow.next(), slow.next()) else {
        return Fact::LACKS;
    };
    let (asks, asked) = (app.arrivals(), app.arrivals_usual());
    let figure = Figure::new("arrivals", asks, Unit::PerSecond)
        .of(&app.now.name)
        .against("usual", asked);
    let nobody = pool.waiting.mean() < 0.1 && pool.used.most < pool.size;
    let others = case.apps.len() >= 2;
    let by_mean = shift.name == "service_mean";
    Fact::plain(others && nobody && by_mean && asks >= asked * 0.7, figure)
}

/// The application whose holds grew, while those of another did not.
pub(crate) fn slow_app<'a>(case: &Case<'a>) -> Option<App<'a>> {
    let grew = case.apps.iter().filter_map(|a| Some((slower_by(a)?, *a)));
    let found = grew
        .filter(|(t, _)| *t >= 1.5)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    found.map(|(_, app)| app)
}
