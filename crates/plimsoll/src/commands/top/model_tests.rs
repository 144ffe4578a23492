//! Keys, answers and time, and what the model makes of them.

use super::*;
use control::live::{LeaseLine, Live, PoolLine};

fn start() -> Start {
    Start {
        at_ms: None,
        view: View::Overview,
        sort: None,
        filter: String::new(),
        pace: Duration::from_secs(1),
    }
}

fn lease(client: &str, application: &str, held_us: u64) -> LeaseLine {
    LeaseLine {
        client: client.to_owned(),
        application: application.to_owned(),
        database: "shop".to_owned(),
        held_us,
        ..LeaseLine::default()
    }
}

fn pool(database: &str, used: u32) -> PoolLine {
    PoolLine {
        database: database.to_owned(),
        user: "app".to_owned(),
        used,
        ..PoolLine::default()
    }
}

fn news(at_ms: i64) -> Box<News> {
    Box::new(News {
        live: Live {
            at_ms,
            leases: vec![
                lease("a1", "web", 9),
                lease("b2", "worker", 5),
                lease("c3", "web", 1),
            ],
            pools: vec![pool("shop", 1), pool("blog", 7)],
            ..Live::default()
        },
        ..News::default()
    })
}

/// A model with an answer, and what it asked.
fn model() -> Model {
    let mut model = Model::new(&start(), 0);
    model.step(0, 10, Input::News(None, news(0)));
    model
}

fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let now = model.now_ms;
    let mut effects = Vec::new();
    for c in keys.chars() {
        let key = match c {
            '⏎' => Key::Enter,
            '⎋' => Key::Esc,
            '⇥' => Key::Tab,
            '⇤' => Key::BackTab,
            '⌫' => Key::Backspace,
            '↓' => Key::PageDown,
            '∅' => Key::Ctrl('c'),
            c => Key::Char(c),
        };
        effects.extend(model.step(now, 10, Input::Key(key)));
    }
    effects.retain(|effect| !matches!(effect, Effect::Ask(_)));
    effects
}

fn is_quit(effects: &[Effect]) -> bool {
    effects.contains(&Effect::Quit)
}

#[test]
fn keys_lead_to_views() {
    let table = [
        ("", View::Overview),
        ("2", View::Pools),
        ("5", View::Alerts),
        ("⇥", View::Pools),
        ("⇥⇥⇥⇥⇥", View::Overview),
        ("⇤", View::Alerts),
        ("3?⎋", View::Leases),
        ("3?4", View::Budget),
        ("/2", View::Overview),
        ("3jc2", View::Leases),
    ];
    for (keys, view) in table {
        let mut model = model();
        press(&mut model, keys);
        assert_eq!(model.view, view, "{keys}");
    }
}

#[test]
fn leaving_takes_away_what_is_open_first() {
    let table = [
        ("q", true),
        ("⎋", true),
        ("∅", true),
        ("?⎋", false),
        ("?⎋⎋", true),
        ("?q", true),
        ("⏎⎋", false),
        ("/web⏎⎋", false),
        ("/web⏎⎋⎋", true),
        ("/q", false),
        ("/q∅", true),
        // A question: no key but Ctrl-C leaves.
        ("3jKq", false),
        ("3jK⎋", false),
        // Back to what was open, not out of it.
        ("3j⏎K⎋⎋", false),
        ("3j⏎K⎋⎋⎋", true),
        ("3jK∅", true),
    ];
    for (keys, quits) in table {
        assert_eq!(is_quit(&press(&mut model(), keys)), quits, "{keys}");
    }
}

#[test]
fn nothing_is_done_without_a_y() {
    let table: [(&str, Option<(Deed, &str)>); 14] = [
        ("3jcy", Some((Deed::Cancel, "a1"))),
        ("3jjry", Some((Deed::Reclaim, "b2"))),
        ("3GKy", Some((Deed::Kill, "c3"))),
        ("jcy", Some((Deed::Cancel, "a1"))),
        ("3j⏎Ky", Some((Deed::Kill, "a1"))),
        ("2jPy", Some((Deed::Pause, "shop"))),
        ("2jjRy", Some((Deed::Resume, "blog"))),
        ("3jcY", None),
        ("3jc⏎", None),
        ("3jcny", None),
        ("3jc", None),
        ("3cy", None),
        ("2jcy", None),
        ("3jPy", None),
    ];
    for (keys, expected) in table {
        let effects = press(&mut model(), keys);
        let done: Vec<(Deed, &str)> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Do(action) => Some((action.deed, action.target.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(done, expected.into_iter().collect::<Vec<_>>(), "{keys}");
    }
}

#[test]
fn one_action_at_a_time_and_none_in_the_past() {
    let mut model = model();
    assert_eq!(press(&mut model, "3jcy").len(), 1);
    assert_eq!(press(&mut model, "jKy"), []);
    assert!(
        model
            .notice
            .as_ref()
            .is_some_and(|n| n.text.starts_with("One thing"))
    );
    let action = Action::lease(Deed::Cancel, &lease("a1", "web", 0));
    let outcome = Outcome {
        done: true,
        text: "the statement was cancelled".to_owned(),
    };
    model.step(5, 10, Input::Done(action, Ok(outcome)));
    assert_eq!(
        model.notice.as_ref().map(|n| (n.good, n.text.as_str())),
        Some((true, "the statement was cancelled"))
    );
    // It goes by itself, after a while.
    model.step(5 + NOTICE_MS, 10, Input::Tick);
    assert!(model.notice.is_some());
    model.step(6 + NOTICE_MS, 10, Input::Tick);
    assert!(model.notice.is_none());
    press(&mut model, "[");
    assert!(model.at_ms.is_some());
    assert_eq!(press(&mut model, "3jKy"), []);
}

#[test]
fn the_choice_stays_with_its_row() {
    let mut model = model();
    press(&mut model, "3jj");
    assert_eq!(rows::chosen_key(&model).as_deref(), Some("b2"));
    // It is the oldest now.
    let mut moved = news(1);
    moved.live.leases[1].held_us = 99;
    model.step(1, 10, Input::News(None, moved));
    assert_eq!(rows::keys(&model), ["b2", "a1", "c3"]);
    assert_eq!(rows::chosen_key(&model).as_deref(), Some("b2"));
    // It is gone: the choice is where it was, and never beyond the end.
    let mut gone = news(2);
    gone.live.leases.truncate(1);
    model.step(2, 10, Input::News(None, gone));
    assert_eq!(rows::chosen_key(&model).as_deref(), Some("a1"));
    let mut none = news(3);
    none.live.leases.clear();
    model.step(3, 10, Input::News(None, none));
    assert_eq!(rows::chosen_key(&model), None);
    press(&mut model, "jkGg↓⏎c");
}

#[test]
fn rows_are_sorted_and_filtered_at_once() {
    let mut model = model();
    press(&mut model, "3");
    assert_eq!(rows::keys(&model), ["a1", "b2", "c3"]);
    press(&mut model, "ss");
    assert_eq!(model.sort(), "application");
    assert_eq!(rows::keys(&model), ["a1", "c3", "b2"]);
    press(&mut model, "S");
    assert_eq!(model.sort(), "silent");
    press(&mut model, "/WORK");
    assert_eq!(rows::keys(&model), ["b2"]);
    press(&mut model, "⌫⌫⌫⌫we");
    assert_eq!(rows::keys(&model).len(), 2);
    // As it was before.
    press(&mut model, "⎋");
    assert_eq!((model.filter.as_str(), rows::keys(&model).len()), ("", 3));
    press(&mut model, "2sss");
    assert_eq!(model.sort(), "waiting");
    press(&mut model, "S");
    assert_eq!(
        rows::keys(&model),
        ["blog\napp\n", "shop\napp\n"],
        "the most used first"
    );
    // Each view has its own.
    press(&mut model, "3");
    assert_eq!(model.sort(), "silent");
}

#[test]
fn a_filter_has_an_end() {
    let mut model = model();
    let long = "x".repeat(FILTER_MAX * 3);
    press(&mut model, &format!("/{long}"));
    assert_eq!(model.filter.len(), FILTER_MAX);
    press(&mut model, "⌫é");
    assert_eq!(
        model.filter.len(),
        FILTER_MAX - 1,
        "in bytes, as the pooler counts"
    );
    assert_eq!(short(&"é".repeat(99)).len(), FILTER_MAX);
}

#[test]
fn each_change_of_mind_is_asked_for_once() {
    let mut model = Model::new(&start(), 0);
    let asked = |effects: Vec<Effect>| {
        let wishes = effects.into_iter().filter_map(|effect| match effect {
            Effect::Ask(wish) => Some(wish),
            _ => None,
        });
        wishes.collect::<Vec<_>>()
    };
    assert_eq!(asked(model.step(0, 10, Input::Tick)).len(), 1);
    assert_eq!(asked(model.step(0, 10, Input::Tick)), []);
    let wishes = asked(model.step(0, 10, Input::Key(Key::Char('2'))));
    assert_eq!((wishes[0].view, wishes[0].sort), (View::Pools, "trouble"));
    let wishes = asked(model.step(0, 10, Input::Key(Key::Char('s'))));
    assert_eq!(wishes[0].sort, "name");
    let wishes = asked(model.step(0, 10, Input::Key(Key::Char('+'))));
    assert_eq!(wishes[0].pace, Duration::from_secs(2));
    let wishes = asked(model.step(0, 10, Input::Key(Key::Char('-'))));
    assert_eq!(wishes[0].pace, Duration::from_secs(1));
    assert_eq!(asked(model.step(0, 10, Input::Key(Key::Char('j')))), []);
}

#[test]
fn the_pace_has_two_ends() {
    let mut pace = Duration::from_secs(7);
    pace = paced(pace, 1);
    assert_eq!(pace, Duration::from_secs(10));
    for _ in 0..20 {
        pace = paced(pace, 1);
    }
    assert_eq!(pace, Duration::from_secs(60));
    for _ in 0..20 {
        pace = paced(pace, -1);
    }
    assert_eq!(pace, Duration::from_millis(500));
}

#[test]
fn a_held_display_stays_and_goes_on_with_the_newest() {
    let mut model = model();
    press(&mut model, " ");
    model.step(5_000, 10, Input::News(None, news(5_000)));
    assert_eq!(model.known().live.as_ref().map(|l| l.at_ms), Some(0));
    assert_eq!(model.held_ms(), Some(0));
    press(&mut model, "p");
    assert_eq!(model.known().live.as_ref().map(|l| l.at_ms), Some(5_000));
}

#[test]
fn a_lost_pooler_keeps_its_first_moment() {
    let mut model = model();
    let again = Duration::from_secs(2);
    model.step(
        1_000,
        10,
        Input::Failed(Trouble::Silence, "gone".to_owned(), again),
    );
    model.step(
        3_000,
        10,
        Input::Failed(Trouble::Silence, "still gone".to_owned(), again),
    );
    assert_eq!(
        model.link,
        Link::Lost {
            trouble: Trouble::Silence,
            since_ms: 1_000,
            next_ms: 5_000,
            why: "still gone".to_owned()
        }
    );
    assert!(model.known().live.is_some(), "what was known is shown");
    model.step(5_000, 10, Input::News(None, news(5_000)));
    assert_eq!(model.link, Link::Up);
}

#[test]
fn the_past_is_a_minute_a_key_and_now_is_its_end() {
    let mut model = Model::new(&start(), 600_000);
    press(&mut model, "[");
    assert_eq!(model.at_ms, None, "nothing is known to go back from");
    model.step(600_000, 10, Input::News(None, news(600_000)));
    press(&mut model, "[[");
    assert_eq!(model.at_ms, Some(480_000));
    // The answer to an older question is not shown.
    model.step(600_000, 10, Input::News(None, news(601_000)));
    assert_eq!(model.known().live.as_ref().map(|l| l.at_ms), Some(600_000));
    let mut past = news(480_000);
    past.live.past = true;
    model.step(600_000, 10, Input::News(Some(480_000), past));
    assert_eq!(model.known().live.as_ref().map(|l| l.at_ms), Some(480_000));
    press(&mut model, "]");
    assert_eq!(model.at_ms, Some(540_000));
    press(&mut model, "]");
    assert_eq!(model.at_ms, None);
    press(&mut model, "[n");
    assert_eq!(model.at_ms, None);
}

#[test]
fn any_keys_in_any_order_do_no_harm() {
    // A small generator with a fixed seed: every run is the same.
    let mut state = 7_u64;
    let keys: Vec<Key> = keys::KEYS
        .iter()
        .flat_map(|(keys, ..)| keys.iter().copied())
        .collect();
    let mut model = model();
    for nth in 0..20_000_i64 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let roll = (state >> 33) as usize;
        let input = match roll % 20 {
            0 => Input::News(model.at_ms, news(nth * 100)),
            1 => Input::Failed(Trouble::Silence, "gone".to_owned(), Duration::from_secs(1)),
            2 => Input::Key(Key::Char('y')),
            3 => Input::Done(Action::database(Deed::Pause, "shop"), Err("no".to_owned())),
            _ => Input::Key(keys[roll / 20 % keys.len()]),
        };
        let asked = matches!(model.over, Over::Confirm(..));
        let yes = matches!(input, Input::Key(Key::Char('y')));
        let effects = model.step(nth, 10, input);
        let does = effects.iter().any(|effect| matches!(effect, Effect::Do(_)));
        assert_eq!(
            does,
            asked && yes,
            "only a question that is answered with y"
        );
    }
}
