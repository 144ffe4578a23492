//! Changes of settings, and the figure that each governs.

use crate::rule::Fact;
use crate::rules::words;
use crate::view::Case;
use crate::{Figure, Unit};
use events::sample::Marker;

/// What a change of settings took away.
pub(crate) struct Cut {
    pub setting: String,
    pub figure: Figure,
    pub change: Option<Marker>,
}

/// Closes by timeouts that settings govern, with words that name the setting.
const TIMEOUTS: [(&str, &[&str]); 4] = [
    ("query_timeout", &["query_timeout", "timeouts.query:"]),
    ("idle_transaction_timeout", &["idle_transaction"]),
    (
        "transaction_timeout",
        &["transaction_timeout", "timeouts.transaction:"],
    ),
    ("client_idle_timeout", &["client_idle"]),
];

/// The setting whose change explains what is seen, if any.
pub(crate) fn cut(case: &Case) -> Option<Cut> {
    size(case)
        .or_else(|| paused(case))
        .or_else(|| clients(case))
        .or_else(|| line(case))
        .or_else(|| capped(case))
        .or_else(|| timeouts(case))
        .or_else(|| mode(case))
}

fn hurt(case: &Case) -> bool {
    super::waits(case).holds == Some(true)
}

/// The newest change whose text or subject speaks of one of these.
fn told(case: &Case, of: &[&str]) -> Option<Marker> {
    let speaks = |m: &&&Marker| {
        let all = format!("{} {}", m.subject, m.text).to_lowercase();
        of.iter().any(|word| all.contains(word))
    };
    let changes = case.view.changes.iter();
    let settings = changes.filter(|m| words::SETTINGS.contains(&m.kind));
    settings
        .filter(|m| case.fits(m))
        .find(speaks)
        .map(|m| (*m).clone())
}

fn size(case: &Case) -> Option<Cut> {
    let (pool, fact) = (case.pool?, super::size_cut(case));
    if fact.holds != Some(true) || !hurt(case) {
        return None;
    }
    let change = told(case, &["size", "limit", "pool", "connections"]);
    Some(Cut {
        setting: "pool_size".to_owned(),
        figure: fact
            .figure
            .unwrap_or_else(|| Figure::new("size", pool.size, Unit::Count)),
        change: change.or_else(|| case.change(words::SETTINGS, "").cloned()),
    })
}

fn paused(case: &Case) -> Option<Cut> {
    let pool = case.pool?;
    let disabled = case.view.now.refused_per_s(&["disabled"]);
    if !pool.paused && disabled == 0.0 {
        return None;
    }
    let figure = match pool.paused {
        true => Figure::new("paused", 1.0, Unit::Count).of(&pool.name()),
        false => Figure::new("refused_as_disabled", disabled, Unit::PerSecond),
    };
    Some(Cut {
        setting: if pool.paused { "pause" } else { "disabled" }.to_owned(),
        figure,
        change: told(case, &["paus", "disab"]),
    })
}

fn clients(case: &Case) -> Option<Cut> {
    let (now, usual) = (&case.view.now, case.view.usual.as_ref()?);
    let refused = now.refused_per_s(&["too_many_clients"]);
    let change = told(
        case,
        &["max_client", "client_conn", "max_clients", "clients"],
    );
    let lower = now.clients.limit > 0.0 && now.clients.limit < usual.clients.limit * 0.98;
    (refused > 0.0 && (lower || change.is_some())).then(|| Cut {
        setting: "max_client_conn".to_owned(),
        figure: match lower {
            true => Figure::new("client_limit", now.clients.limit, Unit::Count)
                .against("usual", usual.clients.limit),
            false => Figure::new("refused_too_many_clients", refused, Unit::PerSecond),
        },
        change,
    })
}

fn line(case: &Case) -> Option<Cut> {
    let (server, usual) = (case.server?, case.server_usual?);
    let others = matches!((server.others, usual.others), (Some(n), Some(w)) if n > w + 1.0);
    let fell = server.line > 0.0 && server.line < usual.line * 0.95;
    let change = told(
        case,
        &["max_db", "max_server", "line", "budget", "connections"],
    );
    (fell && !others && server.full == 0.0 && hurt(case) && change.is_some()).then(|| Cut {
        setting: "max_db_connections".to_owned(),
        figure: Figure::new("line", server.line, Unit::Count)
            .of(&server.upstream)
            .against("usual", usual.line),
        change,
    })
}

/// Clients wait although the pool has room: another limit holds it, of the
/// database or of the user, and such a one was changed.
fn capped(case: &Case) -> Option<Cut> {
    let pool = case.pool?;
    let room = pool.size - pool.used.most;
    let change = told(case, &["max_per", "max_db", "max_user"])?;
    (hurt(case) && room >= 1.0 && pool.waiting.mean() >= 1.0).then(|| Cut {
        setting: "max_per_database".to_owned(),
        figure: Figure::new("used_most", pool.used.most, Unit::Count)
            .of(&pool.name())
            .against("size", pool.size),
        change: Some(change),
    })
}

fn timeouts(case: &Case) -> Option<Cut> {
    let (now, usual) = (&case.view.now, case.view.usual.as_ref()?);
    for (close, words) in TIMEOUTS {
        let (ends, was) = (now.closed_per_s(&[close]), usual.closed_per_s(&[close]));
        if let Some(change) = told(case, words)
            && ends > was * 2.0 + 0.1
        {
            return Some(Cut {
                setting: close.to_owned(),
                figure: Figure::new(&format!("closed_by_{close}"), ends, Unit::PerSecond)
                    .against("usual", was),
                change: Some(change),
            });
        }
    }
    for (label, setting) in [
        ("wait_timeout", "query_wait"),
        ("queue_full", "queue"),
        ("shed", "queue"),
    ] {
        let (refused, was) = (now.refused_per_s(&[label]), usual.refused_per_s(&[label]));
        if let Some(change) = told(case, &[setting, "wait_timeout", "deadline"])
            && refused > was * 2.0 + 0.1
        {
            return Some(Cut {
                setting: setting.to_owned(),
                figure: Figure::new(&format!("refused_by_{label}"), refused, Unit::PerSecond)
                    .against("usual", was),
                change: Some(change),
            });
        }
    }
    None
}

/// The pool's mode: sessions keep what transactions gave back.
fn mode(case: &Case) -> Option<Cut> {
    let (pool, usual) = (case.pool?, case.pool_usual?);
    let change = told(case, &["mode", "session"])?;
    let (used, was) = (pool.used.least, usual.used.mean());
    (hurt(case) && used >= was * 1.2 + 0.5).then(|| Cut {
        setting: "pool_mode".to_owned(),
        figure: Figure::new("used_least", used, Unit::Count)
            .of(&pool.name())
            .against("usual", was),
        change: Some(change),
    })
}

/// A setting that governs what suffers was changed.
pub(crate) fn setting_cut(case: &Case) -> Fact {
    if let Some(found) = cut(case) {
        return Fact::of(true, false, found.figure);
    }
    let changed = case
        .view
        .changes
        .iter()
        .any(|m| words::SETTINGS.contains(&m.kind));
    let size = super::size_cut(case);
    let no = !changed && size.holds == Some(false);
    let figure = size.figure.unwrap_or_else(|| {
        Figure::new(
            "changes_of_settings",
            f64::from(u8::from(changed)),
            Unit::Count,
        )
    });
    Fact::of(false, no, figure)
}

/// All is lent, and not because the server gives no more.
pub(crate) fn full_unsqueezed(case: &Case) -> Fact {
    let lost = case.server.is_some_and(|s| s.full > 0.0);
    match lost {
        true => Fact::LACKS,
        false => super::full(case),
    }
}
