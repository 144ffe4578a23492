//! A server played by the test: what is sent, and what follows from each answer.

use super::*;
use wire::tag::back as tag;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut all = vec![kind];
    all.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
    all.extend_from_slice(body);
    all
}

fn ready(status: u8) -> Vec<u8> {
    message(tag::READY, &[status])
}

fn done() -> Vec<u8> {
    message(tag::COMMAND_COMPLETE, b"SELECT 1\0")
}

fn error(code: &str) -> Vec<u8> {
    let body = format!("SERROR\0VERROR\0C{code}\0Mno\0\0");
    message(tag::ERROR, body.as_bytes())
}

fn common(script: &str, protocol: Protocol) -> Common {
    Common {
        plays: vec![
            Play::Script(Script::parse("a", script, &["client_id"]).unwrap()),
            Play::Hold,
        ],
        protocol,
        variables: Variables::new(),
        pace: Pace::default(),
        trial: false,
    }
}

/// The types of the messages that wait to be sent, and takes them.
fn sent(session: &mut Session) -> String {
    let out = std::mem::take(&mut session.out);
    let mut rest = out.as_slice();
    let mut all = String::new();
    while let Ok(Some(frame)) = wire::frame::peek(rest) {
        all.push(frame.tag as char);
        rest = &rest[frame.len..];
    }
    assert!(rest.is_empty());
    all
}

#[test]
fn a_script_goes_from_statement_to_statement() {
    let mut common = common("begin;\n\\sleep 5 ms\ncommit;", Protocol::Simple);
    let mut session = Session::new(0, 1);
    assert_eq!(session.begin(0, None, ms(0), &mut common), Next::Hear);
    assert_eq!(sent(&mut session), "Q");
    let next = session.hear(&[done(), ready(b'T')].concat(), ms(1), &mut common);
    assert_eq!((next, sent(&mut session)), (Next::At(ms(6)), String::new()));
    assert_eq!(session.wake(ms(6), &common), Next::Hear);
    assert_eq!(sent(&mut session), "Q");
    let next = session.hear(&[done(), ready(b'I')].concat(), ms(7), &mut common);
    assert_eq!(next, Next::Done(Ok(())));
}

#[test]
fn an_error_in_a_transaction_is_rolled_back_before_the_connection_is_free() {
    let mut common = common("begin;\nselect 1/0;\ncommit;", Protocol::Simple);
    let mut session = Session::new(0, 1);
    session.begin(0, None, ms(0), &mut common);
    session.hear(&ready(b'T'), ms(1), &mut common);
    sent(&mut session);
    let next = session.hear(&[error("22012"), ready(b'E')].concat(), ms(2), &mut common);
    assert_eq!((next, sent(&mut session)), (Next::Hear, "Q".to_owned()));
    let next = session.hear(&ready(b'I'), ms(3), &mut common);
    let failed = Failure::Server("22012".to_owned());
    assert_eq!(next, Next::Done(Err(failed)));
}

#[test]
fn in_a_trial_an_error_names_its_file_its_line_and_its_words() {
    let text = "select 1;\n\nselect missing;\n\\set a sqrt(-1)\nselect :a;";
    for (trial, code, why) in [
        (
            true,
            "42703",
            Failure::Script("a.sql:3: 42703 undefined_column: no".to_owned()),
        ),
        // Under load, or where another attempt may go well, the code says enough.
        (false, "42703", Failure::Server("42703".to_owned())),
        (true, "40001", Failure::Server("40001".to_owned())),
    ] {
        let script = Script::parse("a.sql", text, &["client_id"]).unwrap();
        let mut common = Common {
            plays: vec![Play::Script(script)],
            trial,
            ..common("select 1;", Protocol::Simple)
        };
        let mut session = Session::new(0, 1);
        session.begin(0, None, ms(0), &mut common);
        session.hear(&[done(), ready(b'I')].concat(), ms(1), &mut common);
        let answer = [error(code), ready(b'I')].concat();
        let next = session.hear(&answer, ms(2), &mut common);
        assert_eq!(next, Next::Done(Err(why)));
        // The one after is the script's own.
        session.begin(0, None, ms(3), &mut common);
        let fine = [done(), ready(b'I')].concat();
        session.hear(&fine, ms(4), &mut common);
        let own = Failure::Script("a.sql:4: the result is no number".to_owned());
        let next = session.hear(&fine, ms(5), &mut common);
        assert_eq!(next, Next::Done(Err(own)));
    }
}

#[test]
fn a_script_that_ends_inside_a_transaction_says_so() {
    let mut common = common("begin;", Protocol::Simple);
    let mut session = Session::new(0, 1);
    session.begin(0, None, ms(0), &mut common);
    assert_eq!(session.hear(&ready(b'T'), ms(1), &mut common), Next::Hear);
    let next = session.hear(&ready(b'I'), ms(2), &mut common);
    let Next::Done(Err(Failure::Script(why))) = next else {
        panic!("{next:?}");
    };
    assert!(why.contains("COMMIT"), "{why}");
}

#[test]
fn a_server_that_stays_in_a_transaction_is_left() {
    let mut common = common("begin;", Protocol::Simple);
    let mut session = Session::new(0, 1);
    session.begin(0, None, ms(0), &mut common);
    session.hear(&ready(b'T'), ms(1), &mut common);
    let next = session.hear(&ready(b'T'), ms(2), &mut common);
    assert!(matches!(next, Next::Broken(Failure::Script(_))), "{next:?}");
}

#[test]
fn prepared_statements_are_parsed_once_and_anew_after_an_error() {
    let mut common = common("select :client_id;", Protocol::Prepared);
    let mut session = Session::new(7, 1);
    let mut once = |common: &mut Common, answer: Vec<u8>| {
        session.begin(0, None, ms(0), common);
        let tags = sent(&mut session);
        let next = session.hear(&[answer, ready(b'I')].concat(), ms(1), common);
        (tags, matches!(next, Next::Done(Ok(()))))
    };
    assert_eq!(once(&mut common, done()), ("CPBES".to_owned(), true));
    assert_eq!(once(&mut common, done()), ("BES".to_owned(), true));
    assert_eq!(once(&mut common, error("57014")), ("BES".to_owned(), false));
    assert_eq!(once(&mut common, done()), ("CPBES".to_owned(), true));
}

#[test]
fn copy_is_refused_and_the_session_goes_on() {
    let mut common = common("copy t from stdin;", Protocol::Simple);
    let mut session = Session::new(0, 1);
    session.begin(0, None, ms(0), &mut common);
    sent(&mut session);
    session.hear(&message(tag::COPY_IN, &[0; 3]), ms(1), &mut common);
    assert_eq!(sent(&mut session), "f");
    let next = session.hear(&[error("57014"), ready(b'I')].concat(), ms(2), &mut common);
    let Next::Done(Err(Failure::Script(why))) = next else {
        panic!("{next:?}");
    };
    assert!(why.contains("COPY"));
}

#[test]
fn a_connection_that_ends_tells_the_error_it_heard_last() {
    let mut common = common("select 1;", Protocol::Simple);
    let mut session = Session::new(0, 1);
    assert_eq!(session.closed(), None);
    session.begin(0, None, ms(0), &mut common);
    assert_eq!(session.closed(), Some(Failure::Lost));
    session.begin(0, None, ms(0), &mut common);
    session.hear(&error("57P01"), ms(1), &mut common);
    assert_eq!(session.closed(), Some(Failure::Server("57P01".to_owned())));
}

#[test]
fn what_is_no_postgresql_is_left() {
    let mut common = common("select 1;", Protocol::Simple);
    let mut session = Session::new(0, 1);
    session.begin(0, None, ms(0), &mut common);
    let next = session.hear(&[b'Z', 0xff, 0xff, 0xff, 0xff], ms(1), &mut common);
    assert_eq!(next, Next::Broken(Failure::Lost));
}

#[test]
fn a_stand_in_lets_go_when_its_time_has_passed() {
    let mut common = common("select 1;", Protocol::Simple);
    // The way was measured just now.
    assert!(common.pace.asks(ms(100)));
    let mut session = Session::new(0, 1);
    let hold = Hold {
        busy: ms(5),
        idle: ms(0),
    };
    session.begin(1, Some(hold), ms(100), &mut common);
    assert_eq!(sent(&mut session), "PBEH");
    // The server has slept its whole milliseconds but one; the client keeps the rest.
    let Next::At(at) = session.hear(&done(), ms(104), &mut common) else {
        panic!("no moment");
    };
    // A hundred microseconds sooner: so long the last message is believed to take.
    assert_eq!(at, ms(105) - Duration::from_micros(100));
    assert_eq!(
        (session.wake(at, &common), sent(&mut session)),
        (Next::Hear, "S".to_owned())
    );
    let next = session.hear(&ready(b'I'), ms(105), &mut common);
    assert_eq!(next, Next::Done(Ok(())));
}

#[test]
fn the_way_is_measured_before_a_request_now_and_then() {
    let mut common = common("select 1;", Protocol::Simple);
    let mut session = Session::new(0, 1);
    let us = Duration::from_micros;
    let hold = |us: u64| {
        let busy = Duration::from_micros(us);
        let idle = Duration::ZERO;
        Some(Hold { busy, idle })
    };
    session.begin(1, hold(20), us(0), &mut common);
    assert_eq!(sent(&mut session), "S");
    // The first answer is not taken for that of the request, which begins then.
    assert_eq!(session.hear(&ready(b'I'), us(40), &mut common), Next::Hear);
    assert_eq!(common.pace.way(), us(40));
    assert_eq!(sent(&mut session), "PBES");
    let next = session.hear(&[done(), ready(b'I')].concat(), us(500), &mut common);
    assert_eq!(next, Next::Done(Ok(())));
    // What it took is not what another takes, and teaches nothing.
    assert_eq!(common.pace.floor(), us(60));
    session.begin(1, hold(20), us(600), &mut common);
    assert_eq!(sent(&mut session), "PBES");
    let next = session.hear(&[done(), ready(b'I')].concat(), us(665), &mut common);
    assert_eq!(next, Next::Done(Ok(())));
    assert_eq!(common.pace.floor(), us(25));
    // Short holds are worked for at the server, in one statement for any length.
    session.begin(1, hold(90), us(700), &mut common);
    let out = String::from_utf8_lossy(&session.out).into_owned();
    assert!(out.contains("select length(repeat('x', $1))"), "{out}");
}

#[test]
fn a_stand_in_that_is_idle_has_a_transaction_open() {
    let mut common = common("select 1;", Protocol::Simple);
    // The way was measured just now.
    assert!(common.pace.asks(ms(0)));
    let mut session = Session::new(0, 1);
    let hold = Hold {
        busy: ms(1),
        idle: ms(20),
    };
    session.begin(1, Some(hold), ms(0), &mut common);
    assert_eq!(sent(&mut session), "Q");
    assert_eq!(
        session.hear(&[done(), ready(b'T')].concat(), ms(1), &mut common),
        Next::Hear
    );
    assert_eq!(sent(&mut session), "Q");
    let next = session.hear(&[done(), ready(b'T')].concat(), ms(2), &mut common);
    let Next::At(at) = next else {
        panic!("{next:?}")
    };
    assert_eq!(at, ms(21) - Duration::from_micros(100));
    session.wake(at, &common);
    assert_eq!(sent(&mut session), "Q");
    let next = session.hear(&[done(), ready(b'I')].concat(), ms(21), &mut common);
    assert_eq!(next, Next::Done(Ok(())));
}

#[test]
fn a_stand_in_that_fails_is_brought_to_its_end() {
    let mut common = common("select 1;", Protocol::Simple);
    // The way was measured just now.
    assert!(common.pace.asks(ms(0)));
    let mut session = Session::new(0, 1);
    session.begin(
        1,
        Some(Hold {
            busy: ms(5),
            idle: ms(0),
        }),
        ms(0),
        &mut common,
    );
    sent(&mut session);
    session.hear(&error("57014"), ms(1), &mut common);
    // The server skips up to a Sync.
    assert_eq!(sent(&mut session), "S");
    let next = session.hear(&ready(b'I'), ms(2), &mut common);
    assert_eq!(next, Next::Done(Err(Failure::Server("57014".to_owned()))));
    // In a transaction it is rolled back.
    session.begin(
        1,
        Some(Hold {
            busy: ms(1),
            idle: ms(9),
        }),
        ms(3),
        &mut common,
    );
    session.hear(&ready(b'T'), ms(4), &mut common);
    sent(&mut session);
    session.hear(&[error("57014"), ready(b'E')].concat(), ms(5), &mut common);
    assert_eq!(sent(&mut session), "Q");
    let next = session.hear(&ready(b'I'), ms(6), &mut common);
    assert_eq!(next, Next::Done(Err(Failure::Server("57014".to_owned()))));
}
