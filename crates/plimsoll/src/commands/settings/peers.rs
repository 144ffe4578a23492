//! The other instances, for people.

use control::fleet::{FleetView, PeerLine};
use control::settings::short;
use std::fmt::Write;

/// A table of the peers, and what is wrong with the fleet.
pub fn text(view: &FleetView) -> String {
    let mut out = format!(
        "\nFleet      {}: this is {}, others are found by {}\n",
        clean(&view.fleet),
        clean(&view.instance),
        view.discover
    );
    if let Some(problem) = &view.problem {
        let _ = writeln!(out, "           not found now: {}", clean(problem));
    }
    if view.settings.len() > 1 {
        let serve = |l: &control::fleet::SettingsLine| {
            let here = if l.here { " (as here)" } else { "" };
            format!("{} at {}{here}", short(&l.hash), l.instances)
        };
        let all: Vec<String> = view.settings.iter().map(serve).collect();
        let _ = writeln!(out, "Settings   differ: {}", all.join(", "));
    }
    let refused = view.refused.iter();
    let refused: Vec<String> = refused
        .map(|r| format!("{} {}", r.reason, r.count))
        .collect();
    if !refused.is_empty() {
        let _ = writeln!(out, "Refused    {}", refused.join(", "));
    }
    if view.peers.is_empty() {
        out.push_str("Peers      none\n");
        return out;
    }
    let rows: Vec<[String; 7]> = view.peers.iter().map(row).collect();
    let head = [
        "PEER",
        "ADDRESS",
        "STATE",
        "READY",
        "SETTINGS",
        "VERSION",
        "SHARE/HELD",
    ];
    let width = |i: usize| {
        let cells = rows.iter().map(|r| r[i].chars().count());
        cells.chain([head[i].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut line = |cells: &[String]| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(text, "{cell:<width$}  ");
        }
        let _ = writeln!(out, "{}", text.trim_end());
    };
    line(&head.map(str::to_owned));
    for (row, peer) in rows.iter().zip(&view.peers) {
        line(row);
        if !peer.why.is_empty() {
            line(&[format!("  {}", clean(&peer.why))]);
        }
    }
    out
}

fn row(peer: &PeerLine) -> [String; 7] {
    let some = |text: &str| match text.is_empty() {
        true => "-".to_owned(),
        false => clean(text),
    };
    let state = match (peer.state.as_str(), peer.heard_ms) {
        ("silent", Some(ms)) => format!("silent for {}", span(ms)),
        (word, _) => word.to_owned(),
    };
    let ready = match (peer.heard_ms, peer.ready) {
        (None, _) => "-",
        (_, true) => "yes",
        (_, false) => "no",
    };
    let settings = match peer.same_settings {
        None => "-".to_owned(),
        Some(true) => "same".to_owned(),
        Some(false) => format!("other {}", short(&clean(&peer.settings))),
    };
    let servers = peer.servers.iter();
    let shares: Vec<String> = servers
        .map(|s| {
            let blind = if s.sees { "" } else { " (blind)" };
            format!("{} {}/{}{blind}", clean(&s.server), s.share, s.held)
        })
        .collect();
    [
        some(&peer.instance),
        some(peer.address.as_deref().unwrap_or_default()),
        state,
        ready.to_owned(),
        settings,
        some(&peer.version),
        some(&shares.join(", ")),
    ]
}

fn span(ms: u64) -> String {
    match ms / 1_000 {
        s @ 0..120 => format!("{s} s"),
        s => format!("{} min", s / 60),
    }
}

fn clean(text: &str) -> String {
    let one = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::fleet::{ServerLine, SettingsLine};

    #[test]
    fn a_tired_person_sees_who_is_missing_and_why() {
        let heard = PeerLine {
            instance: "shop-2:1".into(),
            address: Some("10.0.0.2:6433".into()),
            state: "ok".into(),
            heard_ms: Some(400),
            version: "0.1.0".into(),
            same_settings: Some(true),
            ready: true,
            servers: vec![ServerLine {
                server: "db:5432".into(),
                share: 30,
                held: 12,
                sees: true,
                ..ServerLine::default()
            }],
            ..PeerLine::default()
        };
        let silent = PeerLine {
            instance: "shop-3:1".into(),
            state: "silent".into(),
            why: "it does not answer in time".into(),
            heard_ms: Some(75_000),
            same_settings: Some(false),
            settings: "0123456789abcdef".into(),
            ..heard.clone()
        };
        let never = PeerLine {
            address: Some("10.0.0.4:6433".into()),
            state: "refused".into(),
            why: "it refuses us".into(),
            ..PeerLine::default()
        };
        let settings = |hash: &str, here| SettingsLine {
            hash: hash.into(),
            instances: 2,
            here,
        };
        let view = FleetView {
            fleet: "shop".into(),
            instance: "shop-1:1".into(),
            discover: "static".into(),
            peers: vec![heard, silent, never],
            settings: vec![settings("aaaa", true), settings("0123456789abcdef", false)],
            ..FleetView::default()
        };
        let expected = "
Fleet      shop: this is shop-1:1, others are found by static
Settings   differ: aaaa at 2 (as here), 0123456789ab at 2
PEER      ADDRESS        STATE            READY  SETTINGS            VERSION  SHARE/HELD
shop-2:1  10.0.0.2:6433  ok               yes    same                0.1.0    db:5432 30/12
shop-3:1  10.0.0.2:6433  silent for 75 s  yes    other 0123456789ab  0.1.0    db:5432 30/12
  it does not answer in time
-         10.0.0.4:6433  refused          -      -                   -        -
  it refuses us
";
        assert_eq!(text(&view), expected);
    }
}
