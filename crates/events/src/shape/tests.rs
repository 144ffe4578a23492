//! Texts of shapes: what is written is read, what is bad is refused, nothing exceeds its bound.

use super::*;

fn request(asked_us: u32, hold_us: u32) -> Request {
    Request {
        asked_us,
        hold_us,
        wait_us: 7,
        in_use: 2,
        client: 5,
        ..Request::default()
    }
}

fn shape() -> Shape {
    Shape {
        capture: Some(Capture {
            began_s: 1_763_800_000,
            lasted_s: 60,
            whole: true,
            slots: vec![Slot {
                of_day: 98,
                seconds: 60,
                granted: 5_000_000_000,
                refused: 2,
                held_ms: 900,
                logins: 7,
                clients: 64,
            }],
        }),
        servers: vec![ServerShape {
            line: 80,
            open_us: 2_500,
            asked: 5_000_000_002,
            until_us: 60_000_001,
            classes: vec![
                ClassShape {
                    name: "other".into(),
                    ..ClassShape::default()
                },
                ClassShape {
                    name: "select-1234".into(),
                    fingerprint: u64::MAX,
                    text: "SELECT price FROM products WHERE id = $1 AND a % ? = 0".into(),
                },
            ],
            pools: vec![PoolShape {
                database: "shop & more".into(),
                user: "ännä".into(),
                size: 20,
                clients: 64,
                flows: vec![String::new(), "anna\0web".into()],
                rows: vec![Row {
                    leases: 9,
                    held_milli: 1_500,
                    queued_milli: 2,
                    peak: 4,
                    size: 20,
                }],
            }],
            windows: vec![Window {
                at_us: 12_000_345,
                span_us: 1_000_000,
                before: 4_999_999_000,
                starts: vec![Start {
                    pool: 0,
                    size: 20,
                    clients: 64,
                    lent: 3,
                    waiting: 0,
                }],
                requests: End::ALL
                    .into_iter()
                    .enumerate()
                    .map(|(i, end)| Request {
                        flow: (i % 2) as u16,
                        class: (i % 2) as u16,
                        idle_us: (i % 3) as u32,
                        rounds: (i % 4) as u16,
                        end,
                        ..request(i as u32 * 100, 40)
                    })
                    .collect(),
            }],
        }],
    }
}

#[test]
fn what_is_written_is_read_again() {
    let text = shape().to_text();
    assert_eq!(Shape::from_text(&text).as_ref(), Ok(&shape()), "{text}");
    assert!(text.contains("pool =shop%20%26%20more =%c3%a4nn%c3%a4 20 64"));
    let class = "class ffffffffffffffff =select-1234 SELECT price FROM products WHERE id = $1 AND a % ? = 0";
    assert!(text.contains(class), "{text}");
    let under = shape().to_text_under("for people\nwindow 1 2 3\n");
    assert!(
        under.starts_with("plimsoll-shape 2\n# for people\n# window 1 2 3\ncapture "),
        "{under}"
    );
    assert_eq!(Shape::from_text(&under), Ok(shape()));
}

#[test]
fn the_numbers_of_a_request_are_written_up_to_the_last_that_is_not_zero() {
    let (all, most) = (Request::default(), u32::MAX);
    for (request, line) in [
        (all, "r 0 0 0 0 0"),
        (request(10, 100), "r 10 7 100 2 5"),
        (Request { pool: 3, ..all }, "r 0 0 0 0 0 3 0"),
        (Request { flow: 9, ..all }, "r 0 0 0 0 0 0 9"),
        (Request { class: 10, ..all }, "r 0 0 0 0 0 0 0 10"),
        (Request { rounds: 1, ..all }, "r 0 0 0 0 0 0 0 0 0 1"),
        (
            Request {
                hold_us: most,
                ..all
            },
            "r 0 0 4294967295 0 0",
        ),
    ] {
        let mut shape = shape();
        shape.servers[0].windows[0].requests = vec![request];
        let text = shape.to_text();
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn the_text_of_version_2_is_read_for_ever() {
    let text = "plimsoll-shape 2\n# a comment\ncapture 1763800000 60 partial\nslot 0 60 9 1 30 2 5\n\
                server 50 900 77 60000000\nclass 0 =other\nclass 00ff =pay SELECT ?\n\
                pool =app =anna 10 4\nwindow 3000001 1000000 70\nr 15 0 300 2 1\nr 5 900 8 1 2 0 0 1 5 3\nend 2\n";
    let shape = Shape::from_text(text).expect("version 2");
    let server = &shape.servers[0];
    assert_eq!((server.asked, server.classes[1].fingerprint), (77, 255));
    assert_eq!(server.windows[0].requests[0].class, 0);
    let second = server.windows[0].requests[1];
    assert_eq!((second.class, second.idle_us, second.rounds), (1, 5, 3));
    let stand = server.stands()[0];
    assert_eq!((stand.lasts_us, stand.requests), (56_999_999, 7));
    assert!(!shape.capture.expect("a capture").whole);
}

#[test]
fn a_text_that_was_cut_off_is_refused_wherever_it_was_cut() {
    let text = shape().to_text();
    for at in (0..text.len() - 1).filter(|at| text.is_char_boundary(*at)) {
        assert!(Shape::from_text(&text[..at]).is_err(), "{}", &text[..at]);
    }
}

#[test]
fn windows_stand_for_the_time_until_the_next() {
    let window = |at_us, before, requests| Window {
        at_us,
        before,
        span_us: 1_000_000,
        requests: vec![request(0, 1); requests],
        ..Window::default()
    };
    let mut server = ServerShape {
        asked: 130,
        until_us: 9_000_000,
        windows: vec![window(1_000_000, 0, 10), window(5_000_000, 100, 40)],
        ..ServerShape::default()
    };
    let all = |server: &ServerShape| -> Vec<_> {
        let stands = server.stands().into_iter();
        stands.map(|s| (s.lasts_us, s.requests)).collect()
    };
    // What was recorded was there, whatever was counted.
    assert_eq!(all(&server), [(4_000_000, 100), (4_000_000, 40)]);
    (server.asked, server.until_us) = (0, 0);
    assert_eq!(all(&server), [(4_000_000, 40), (10_000_000, 400)]);
    // Hostile numbers are no panic.
    server.windows[1].at_us = u64::MAX;
    server.asked = u64::MAX;
    assert_eq!(server.stands().len(), 2);
}

#[test]
fn the_text_of_version_1_is_read_for_ever() {
    let text = "plimsoll-shape 1\n# a comment\nserver 50 900\npool =app =anna 10 4\nflow =\nflow =anna%00web\n\
                row 100 2000 0 5 10\nwindow 3 1000000\nstart 0 10 4 1 0\nr 15 0 300 2 1 0 1\nt 5 900 0 0 2\n";
    let shape = Shape::from_text(text).expect("version 1");
    let window = &shape.servers[0].windows[0];
    let [first, second] = window.requests.as_slice() else {
        panic!("{window:?}")
    };
    assert_eq!((first.flow, first.hold_us, first.in_use), (1, 300, 2));
    assert_eq!((second.asked_us, second.end), (20, End::TimedOut));
    assert_eq!(shape.servers[0].pools[0].flows[1], "anna\0web");
}

#[test]
fn bad_texts_are_refused_with_their_line() {
    let table = [
        ("", 1, "it does not begin with `plimsoll-shape 1`"),
        ("plimsoll-shape 3", 1, "written by another version"),
        ("plimsoll-shape 0", 1, "written by another version"),
        (
            "plimsoll-shape 2\nserver 1 1 0 0",
            0,
            "it is cut off: its last line, `end`, is missing",
        ),
        (
            "plimsoll-shape 2\nend 1",
            2,
            "requests are missing before the end",
        ),
        (
            "plimsoll-shape 2\nend 0\n\nend 0",
            4,
            "it stands after the end",
        ),
        ("plimsoll-shape 2\nserver 1 1", 2, "a number is missing"),
        (
            "plimsoll-shape 2\nserver 1 1 1 99999999999999999999",
            2,
            "no number",
        ),
        (
            "plimsoll-shape 2\nserver 1 1 0 0\nwindow 5 1 0\nwindow 4 1 0",
            4,
            "windows are out of order",
        ),
        (
            "plimsoll-shape 2\nserver 1 1 0 0\npool =a =b 1 1\nwindow 5 1 0\nr 1 1 1 1 1 0 0 1",
            5,
            "no such class",
        ),
        (
            "plimsoll-shape 2\ncapture 1 1 half",
            2,
            "write `whole` or `partial`",
        ),
        (
            "plimsoll-shape 2\ncapture 1 1 whole\nslot 288 1 1 1 1 1 1",
            3,
            "slots are out of order",
        ),
        // What version 2 added is nothing in version 1.
        (
            "plimsoll-shape 1\ncapture 1 1 whole",
            2,
            "no server before it",
        ),
        ("plimsoll-shape 1\nwindow 1 2", 2, "no server before it"),
        ("plimsoll-shape 1\nserver 1", 2, "a number is missing"),
        ("plimsoll-shape 1\nserver 1 x", 2, "no number"),
        (
            "plimsoll-shape 1\nserver 1 1\nr 1 1 1 1 1",
            3,
            "no window before it",
        ),
        (
            "plimsoll-shape 1\nserver 1 1\nwindow 1 1\nr 1 1 1 1 1",
            4,
            "no such pool or flow",
        ),
        (
            "plimsoll-shape 1\nserver 1 1\npool =a b 1 1",
            3,
            "a name is missing",
        ),
        (
            "plimsoll-shape 1\nserver 1 1\nquery select",
            3,
            "no such kind of line",
        ),
    ];
    for (text, line, what) in table {
        assert_eq!(
            Shape::from_text(text),
            Err(ShapeError { line, what }),
            "{text}"
        );
    }
}

#[test]
fn a_shape_never_exceeds_its_bound() {
    let mut large = shape();
    let window = Window {
        span_us: 1_000_000,
        requests: vec![request(4_000_000_000, 4_000_000_000); 1024],
        ..Window::default()
    };
    large.servers[0].windows = vec![window; 60];
    large.capture = None;
    large.servers[0].windows[59].at_us = 999_000_000;
    let text = large.to_text();
    assert!(text.len() <= BYTES_MAX);
    let read = Shape::from_text(&text).expect("a shape");
    assert_eq!(read.servers[0].windows.last().map(Window::at_s), Some(999));
    assert!(read.requests() > 8_000, "{}", read.requests());
    assert!(Shape::from_text(&" ".repeat(BYTES_MAX + 1)).is_err());
}

#[test]
fn the_busiest_window_is_the_demand() {
    let window = |n: u32, hold_us: u32| Window {
        span_us: 10_000_000,
        requests: (0..n)
            .map(|i| request(i * (10_000_000 / n), hold_us))
            .collect(),
        ..Window::default()
    };
    let server = ServerShape {
        windows: vec![window(1000, 5_000), window(500, 40_000), window(3, 900_000)],
        ..ServerShape::default()
    };
    let demand = server.busiest().expect("a demand");
    assert_eq!((demand.rate, demand.load()), (50.0, 2.0));
    // As regular as can be.
    assert_eq!(demand.spread, 0.1, "{demand:?}");
    assert_eq!(ServerShape::default().busiest(), None);
}
