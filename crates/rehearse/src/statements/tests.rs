//! Captured statements: to lines and back, what is left out, what is refused.

use super::*;
use events::tap::{Over, Reason, Record, Taken, What as Heard};
use std::sync::Arc;
use std::time::Duration;
use wire::front;

/// One message of every kind, with values that are awkward to write.
fn messages() -> Vec<u8> {
    let mut out = Vec::new();
    front::query(&mut out, "select 'ü\n\"\\ 1' -- \t".as_bytes());
    front::query(&mut out, b"select '\xff\x01'");
    front::parse(
        &mut out,
        b"s",
        b"select $1, $2",
        &[0, 2, 0, 0, 0, 23, 0, 0, 0, 0],
    );
    let mut rest = vec![0, 2, 0, 1, 0, 0];
    rest.extend([0, 3, 255, 255, 255, 255]);
    rest.extend([0, 0, 0, 4, 0, 0, 0, 7]);
    rest.extend([0, 0, 0, 0]);
    rest.extend([0, 1, 0, 1]);
    front::bind_renamed(&mut out, b"", b"s", &rest);
    front::describe(&mut out, front::STATEMENT, b"s");
    front::describe(&mut out, front::PORTAL, b"");
    front::execute(&mut out, b"", 100);
    front::close(&mut out, front::STATEMENT, b"s");
    front::flush(&mut out);
    front::sync(&mut out);
    front::copy_data(&mut out, b"1\t\\N\n");
    front::copy_data(&mut out, b"PGCOPY\n\xff\r\n\0");
    front::copy_done(&mut out);
    front::copy_fail(&mut out, "no more");
    out.extend([b'F', 0, 0, 0, 6, 1, 2]);
    front::terminate(&mut out);
    out
}

fn taken(prepared: &[u8]) -> Heard {
    Heard::Taken(Taken {
        database: "shop".to_owned(),
        user: "anna".to_owned(),
        application: "web \"1\"".to_owned(),
        new: false,
        settings: b"SET search_path = a;".to_vec(),
        prepared: prepared.to_vec(),
    })
}

fn over() -> Heard {
    Heard::Over(Over {
        reason: Reason::Time,
        sessions: 1,
        lost: 0,
        untaken: 3,
        bytes: 9,
    })
}

/// The file of these records, with what is left out taken out as the command does.
fn file(records: Vec<(u32, u64, Heard)>) -> (String, End) {
    let mut writer = Writer::default();
    let mut lines = String::new();
    for (session, at_us, what) in records {
        let record = Record {
            session,
            at_us,
            what,
        };
        writer.take(record, &mut lines);
    }
    let mut text = head("today", "shop-1:9", "anna");
    text.push_str(&Writer::header("today", "shop-1:9"));
    for line in lines.lines() {
        let session = session_of(line.as_bytes()).expect("a session");
        if !writer.left_out().contains_key(&session) {
            text.push_str(line);
            text.push('\n');
        }
    }
    let end = writer.end();
    text.push_str(&end.line());
    (text, end)
}

fn frames(text: &str, database: Option<&str>, scale: f64) -> (Survey, Vec<Step>) {
    let survey = Survey::of(text.as_bytes()).expect("a file");
    let shared = Arc::new(survey.clone());
    let database = database.map(str::to_owned);
    let mut steps = Steps::new(text.as_bytes(), shared, database, scale).expect("a file");
    let mut all = Vec::new();
    while let Some(step) = steps.next().expect("a step") {
        all.push(step);
    }
    (survey, all)
}

fn sent(steps: &[Step]) -> Vec<u8> {
    let frames = steps.iter().filter_map(|step| match &step.does {
        Does::Send { frame, .. } => Some(frame.clone()),
        Does::Leave => None,
    });
    frames.collect::<Vec<_>>().concat()
}

#[test]
fn what_was_sent_is_sent_again_to_the_byte_whatever_the_pieces_were() {
    let bytes = messages();
    let mut before = Vec::new();
    front::parse(&mut before, b"old", b"select 1", &[0, 0]);
    let mut expected = Vec::new();
    front::query(&mut expected, b"SET search_path = a;");
    expected.extend(&before);
    front::sync(&mut expected);
    expected.extend(&bytes[..bytes.len() - 5]);
    for piece in [1, 3, 7, bytes.len()] {
        let mut records = vec![(7, 5, taken(&before))];
        let pieces = bytes.chunks(piece).enumerate();
        records.extend(pieces.map(|(at, p)| (7, 10 + at as u64, Heard::Sent(p.to_vec()))));
        records.push((7, 1_000_000, Heard::Ended));
        records.push((0, 2_000_000, over()));
        let (text, end) = file(records);
        assert_eq!((end.sessions, end.messages, end.untaken), (1, 16, 3));
        let (survey, steps) = frames(&text, None, 2.0);
        assert_eq!(sent(&steps), expected, "{text}");
        assert_eq!(steps.last().map(|s| s.does.clone()), Some(Does::Leave));
        assert_eq!(steps.last().map(|s| s.at.as_millis()), Some(500));
        assert_eq!(survey.requests(), 5 + 1, "{:?}", survey.classes);
        assert_eq!(survey.lasts.as_micros(), 1_000_000);
    }
}

#[test]
fn lines_are_what_a_person_can_read() {
    let mut bytes = Vec::new();
    front::query(&mut bytes, b"select 'a'");
    front::parse(&mut bytes, b"", b"select $1", &[0, 0]);
    front::bind_renamed(&mut bytes, b"", b"", &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    front::execute(&mut bytes, b"", 0);
    front::sync(&mut bytes);
    let records = vec![
        (1, 7, taken(b"")),
        (1, 9, Heard::Sent(bytes)),
        (0, 60, over()),
    ];
    let (text, _) = file(records);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let expected = [
        r#"{"plimsoll_statements":1,"began":"today","of":"shop-1:9"}"#,
        r#"{"s":1,"at":7,"kind":"login","database":"shop","user":"anna","application":"web \"1\"","new":false,"settings":"SET search_path = a;"}"#,
        r#"{"s":1,"at":9,"kind":"query","sql":"select 'a'"}"#,
        r#"{"s":1,"at":9,"kind":"parse","name":"","sql":"select $1","types":[]}"#,
        r#"{"s":1,"at":9,"kind":"bind","portal":"","statement":"","formats":[],"values":[{"hex":"00"}],"results":[]}"#,
        r#"{"s":1,"at":9,"kind":"execute","portal":"","rows":0}"#,
        r#"{"s":1,"at":9,"kind":"sync"}"#,
        r#"{"end":"time","whole":true,"lasted":60,"sessions":1,"messages":5,"left_out":{},"untaken":3}"#,
    ];
    assert_eq!(lines, expected);
    assert!(text.starts_with(FIRST_LINE) && text.contains("Never into git"));
}

#[test]
fn a_session_of_which_something_is_missing_is_left_out_whole() {
    let query = |sql: &str| {
        let mut out = Vec::new();
        front::query(&mut out, sql.as_bytes());
        out
    };
    let mut bind = Vec::new();
    front::bind_renamed(&mut bind, b"", b"unseen", &[0, 0, 0, 0, 0, 0]);
    let mut long = vec![b'Q'];
    long.extend((MESSAGE_MAX as u32).to_be_bytes());
    let cases: [(&str, Heard); 5] = [
        ("overrun", Heard::Lost),
        ("unseen", Heard::Sent(bind)),
        ("too_long", Heard::Sent(long)),
        ("broken", Heard::Sent(b"pXXXX".to_vec())),
        ("broken", Heard::Sent(b"p\0\0\0\x0chunter2\0".to_vec())),
    ];
    for (why, what) in cases {
        let records = vec![
            (1, 1, taken(b"")),
            (2, 2, taken(b"")),
            (2, 3, Heard::Sent(query("select 'marker'"))),
            (1, 4, Heard::Sent(query("select 'stays'"))),
            (2, 5, what),
            (2, 6, Heard::Sent(query("select 'marker'"))),
            (2, 7, Heard::Ended),
            (0, 8, over()),
        ];
        let (text, end) = file(records);
        assert_eq!(end.left_out, BTreeMap::from([(why.to_owned(), 1)]));
        assert_eq!((end.sessions, end.messages), (1, 1));
        assert!(!text.contains("marker") && text.contains("stays"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn classes_are_by_statement_and_databases_are_told_apart() {
    let login = |database: &str| {
        Heard::Taken(Taken {
            database: database.to_owned(),
            ..Taken::default()
        })
    };
    let mut one = Vec::new();
    for n in 0..3 {
        front::query(&mut one, format!("select {n} from t").as_bytes());
    }
    front::parse(&mut one, b"p", b"SELECT 9 FROM t", &[0, 0]);
    front::sync(&mut one);
    front::bind_renamed(&mut one, b"", b"p", &[0, 0, 0, 0, 0, 0]);
    front::execute(&mut one, b"", 0);
    front::sync(&mut one);
    let records = vec![
        (1, 1, login("a")),
        (1, 9, Heard::Sent(one.clone())),
        (2, 5, login("b")),
        (2, 6, Heard::Sent(one.clone())),
        (1, 30, Heard::Ended),
        (3, 31, login("a")),
        (3, 32, Heard::Ended),
        (0, 60, over()),
    ];
    let (text, _) = file(records);
    let (survey, steps) = frames(&text, Some("a"), 1.0);
    let classes: Vec<(&str, u64)> = (survey.classes.iter())
        .map(|class| (class.text.as_str(), class.requests))
        .collect();
    assert_eq!(classes, [("select ? from t", 8), ("", 2)]);
    assert_eq!(
        survey.databases,
        BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)])
    );
    assert_eq!(survey.open_max(None, 1.0, Duration::ZERO), 2);
    assert_eq!(survey.open_max(Some("a"), 1.0, Duration::ZERO), 1);
    assert_eq!(survey.open_max(Some("a"), 1.0, Duration::from_micros(5)), 2);
    assert_eq!(sent(&steps), one);
    assert!(steps.windows(2).all(|two| two[0].at <= two[1].at));
}

#[test]
fn what_is_no_such_file_is_told() {
    let good = file(vec![(1, 7, taken(b"")), (0, 60, over())]).0;
    let begin = format!("{FIRST_LINE}\n{}", Writer::header("today", "x"));
    for (text, why) in [
        (String::new(), "it is no file"),
        ("plimsoll-shape 1\n".to_owned(), "it is no file"),
        (begin.replace("\":1,", "\":2,"), "it is no file"),
        (good.replace("{\"end\"", "{\"End\""), "line 18: not what"),
        (good[..good.len() - 1].to_owned(), "it was cut off"),
        (begin.clone(), "it was cut off"),
        (
            format!("{begin}{{\"s\":1,\"at\":0,\"kind\":\"sync\"}}\n"),
            "line 3: this session has no begin",
        ),
        (
            format!("{begin}{{\"s\":1,\"at\":0,\"kind\":\"password\"}}\n"),
            "line 3: not what",
        ),
        (
            format!("{begin}{{\"s\":1,\"at\":0,\"kind\":\"query\",\"sql\":{{\"hex\":\"0\"}}}}\n"),
            "line 3: not what",
        ),
        (
            format!("{begin}{}", "x".repeat(LINE_MAX + 2)),
            "line 3 has more than",
        ),
    ] {
        let told = Survey::of(text.as_bytes()).expect_err(why).to_string();
        assert!(told.contains(why), "{told}: {why}");
    }
}

#[test]
fn a_loss_that_is_told_early_leaves_no_half_session() {
    let mut query = Vec::new();
    front::query(&mut query, b"select 1");
    let (text, end) = file(vec![
        (1, 1, taken(b"")),
        (1, 2, Heard::Sent(query.clone())),
        // What was still in the queue comes after it.
        (2, 3, Heard::Lost),
        (2, 1, taken(b"")),
        (2, 2, Heard::Sent(query)),
        (0, 9, over()),
    ]);
    assert!(!text.contains("\"s\":2,"), "{text}");
    assert_eq!((end.sessions, end.left_out.values().sum::<u32>()), (1, 1));
}

#[test]
fn who_does_not_leave_is_there_to_the_end() {
    let mut query = Vec::new();
    front::query(&mut query, b"select 1");
    let second = 1_000_000;
    // One after the other, and none goes.
    let mut records: Vec<(u32, u64, Heard)> = Vec::new();
    for session in 1..=3 {
        let at = u64::from(session) * 10 * second;
        records.push((session, at, taken(b"")));
        records.push((session, at + second, Heard::Sent(query.clone())));
    }
    records.push((0, 60 * second, over()));
    let (text, _) = file(records);
    let survey = Survey::of(text.as_bytes()).expect("a file");
    assert_eq!(survey.open_max(None, 1.0, Duration::ZERO), 3);
}

#[test]
fn what_could_not_be_read_again_is_left_out() {
    // Many short values take more signs than bytes.
    let mut rest = vec![0, 1, 0, 1];
    rest.extend(65_535_u16.to_be_bytes());
    for _ in 0..65_535 {
        rest.extend(60_u32.to_be_bytes());
        rest.extend([0xff; 60]);
    }
    rest.extend([0, 0]);
    let mut bind = Vec::new();
    front::parse(&mut bind, b"", b"select 1", &[0, 0]);
    front::bind_renamed(&mut bind, b"", b"", &rest);
    assert!(bind.len() < MESSAGE_MAX, "{}", bind.len());
    let pieces = bind
        .chunks(60_000)
        .map(|piece| (1, 2, Heard::Sent(piece.to_vec())));
    let (text, end) = file(std::iter::once((1, 1, taken(b""))).chain(pieces).collect());
    assert_eq!(end.left_out.values().sum::<u32>(), 1);
    assert!(text.lines().all(|line| line.len() <= LINE_MAX));
}
