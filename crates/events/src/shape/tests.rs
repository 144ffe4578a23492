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
        servers: vec![ServerShape {
            line: 80,
            open_us: 2_500,
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
                at_s: 12,
                span_us: 1_000_000,
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
        ("plimsoll-shape 2", 1, "written by another version"),
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
    large.servers[0].windows[59].at_s = 999;
    let text = large.to_text();
    assert!(text.len() <= BYTES_MAX);
    let read = Shape::from_text(&text).expect("a shape");
    assert_eq!(read.servers[0].windows.last().map(|w| w.at_s), Some(999));
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
