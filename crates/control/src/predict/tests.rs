//! Questions, answers, and all that can go wrong between them.

use super::*;
use events::shape::{End, PoolShape, Request as Asked, ServerShape, Start, Window};
use std::path::Path;

fn plan(size: u32) -> Plan {
    let text = format!(
        "[listen]\ntcp = [\"127.0.0.1:0\"]\n[auth]\ntype = \"trust\"\n[pool]\nsize = {size}\n\
         [database.app]\nhost = \"127.0.0.1\"\n"
    );
    let source = move |_: &Path| Ok(text.clone().into_bytes());
    config::load("plimsoll.toml".as_ref(), &source).unwrap_or_else(|e| panic!("{}", e.render()))
}

/// Twenty clients that hold a connection for 100 ms, fifty times a second in all.
fn shape() -> Shape {
    let requests = (0..500).map(|n| Asked {
        asked_us: n * 20_000,
        client: n % 20,
        hold_us: 100_000 + n % 7 * 1000,
        in_use: 1 + n as u16 % 7,
        end: End::Returned,
        ..Asked::default()
    });
    let window = |at_s: u64| Window {
        at_us: at_s * 1_000_000,
        span_us: 10_000_000,
        starts: vec![Start {
            pool: 0,
            size: 20,
            clients: 20,
            lent: 5,
            waiting: 0,
        }],
        requests: requests.clone().collect(),
        ..Window::default()
    };
    Shape {
        servers: vec![ServerShape {
            line: 50,
            open_us: 2000,
            pools: vec![PoolShape {
                database: "app".into(),
                user: "anna".into(),
                size: 20,
                clients: 20,
                flows: vec![String::new()],
                rows: Vec::new(),
            }],
            windows: vec![window(0), window(10)],
            ..ServerShape::default()
        }],
        ..Shape::default()
    }
}

fn answered(old: u32, new: u32) -> Prediction {
    let request = Request::new(&shape(), &plan(old), &plan(new));
    let answer = child::answer(&json::request_text(&request)).expect("a question");
    Prediction::of(json::pools(&answer).expect("an answer"))
}

#[test]
fn questions_and_answers_survive_the_pipe() {
    let request = Request::new(&shape(), &plan(20), &plan(2));
    assert_eq!(json::request(&json::request_text(&request)), Some(request));
    let worse = answered(20, 2);
    assert_eq!(worse.verdict, Verdict::Worse, "{worse}");
    assert!(worse.to_string().contains("app/anna: worse: "), "{worse}");
    let fine = answered(20, 12);
    assert_eq!(fine.verdict, Verdict::Fine, "{fine}");
    let part = fine.pools[0].parts.last().expect("a part");
    assert!(part.new.rate.value > 40.0, "{part:?}");
}

#[test]
fn whatever_goes_wrong_is_unknown_with_its_reason() {
    let request = Request::new(&shape(), &plan(20), &plan(2));
    let second = Duration::from_secs(1);
    let table: [(&str, &str); 3] = [
        ("/nowhere/plimsoll", "the child does not start"),
        // It ends without a word.
        ("/bin/false", "the child gave no answer"),
        // It says something else: its own name and argument.
        ("/bin/echo", "the child's answer cannot be read"),
    ];
    for (program, problem) in table {
        let got = run(Path::new(program), &request, second * 5);
        assert_eq!(got.verdict, Verdict::Unknown);
        assert!(
            got.problem.is_some_and(|p| p.starts_with(problem)),
            "{program}"
        );
    }
    let empty = Request::new(&Shape::default(), &plan(20), &plan(2));
    let got = run(Path::new("/nowhere"), &empty, second);
    assert_eq!(got.problem.as_deref(), Some("no traffic is recorded yet"));
}

#[test]
fn a_child_that_does_not_end_is_killed_at_the_deadline() {
    let dir = std::env::temp_dir().join(format!("plimsoll-predict-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let program = dir.join("stuck");
    std::fs::write(&program, "#!/bin/sh\nexec sleep 60\n").expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&program, mode).expect("its mode");
    let request = Request::new(&shape(), &plan(20), &plan(2));
    let began = Instant::now();
    let got = run(&program, &request, Duration::from_millis(300));
    let _ = std::fs::remove_dir_all(&dir);
    assert_eq!(got.problem.as_deref(), Some("no answer within 300 ms"));
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn nothing_that_pools_read_changes() {
    let request = Request::new(&shape(), &plan(20), &plan(20));
    let got = run(Path::new("/nowhere"), &request, Duration::from_secs(1));
    assert_eq!((got.verdict, got.problem), (Verdict::Fine, None));
}

#[test]
fn bad_questions_are_refused() {
    for text in [
        "",
        "{}",
        "[1]",
        "{\"version\":1,\"shape\":\"x\",\"old\":[],\"new\":[],\"requests\":1}",
    ] {
        assert_eq!(child::answer(text), None, "{text}");
    }
}
