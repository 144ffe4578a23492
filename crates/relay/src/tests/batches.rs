//! The extended protocol: names, batches sent ahead, errors in the middle.

use super::Stage;
use crate::large::LARGE_BYTES_MAX;

/// The statement `one` is at the server, made by another client.
fn known() -> (Stage, u32) {
    let mut s = Stage::new(1);
    let other = s.client(&[]);
    s.send(other, "P x=one / S");
    assert_eq!(s.server_got(0), "P #one=one / S");
    s.answer(0, "1 / Z I");
    assert_eq!(s.client_got(other), "1 / Z I");
    let client = s.client(&[]);
    (s, client)
}

#[test]
fn a_text_that_the_server_has_is_not_sent_again() {
    let (mut s, c) = known();
    s.send(c, "P a=one / B a / E / S");
    assert_eq!(s.client_got(c), "1");
    assert_eq!(s.server_got(0), "B #one / E / S");
    s.answer(0, "2 / C SELECT 1 / Z I");
    assert_eq!(s.client_got(c), "2 / C SELECT 1 / Z I");
}

/// PostgreSQL drops the Parse with the batch that fails before it, so the
/// name does not exist in the batch after: though the text does, from another.
#[test]
fn a_name_whose_parse_was_skipped_does_not_exist_in_the_next_batch() {
    let (mut s, c) = known();
    s.send(c, "P =bad / B  / E / P a=one / S / B a / E / S");
    assert_eq!(s.server_got(0), "P =bad / B / E / S", "the Bind is held");
    s.answer(0, "E 42601 / Z I");
    assert_eq!(s.client_got(c), "E 42601 / Z I");
    assert_eq!(
        s.server_got(0),
        "B a / E / S",
        "nobody has it: the server says so"
    );
    s.answer(0, "E 26000 / Z I");
    assert_eq!(s.client_got(c), "E 26000 / Z I");
    assert_eq!(s.ports.idle.len(), 1);
}

/// What the batch before decides, it decides at its reply; what a batch does
/// itself needs no waiting.
#[test]
fn only_what_an_earlier_batch_decides_is_waited_for() {
    // First batches, then a second one; what of it goes out at once.
    let rows = [
        ("P a=new / S", "B a / E / S", ""),
        ("P a=new / S", "D a / S", ""),
        ("P a=new / S", "C a / S", ""),
        ("P a=new / S", "P a=other / S", ""),
        ("P =new / S", "B  / E / S", ""),
        ("Q DISCARD ALL", "P a=new / S", ""),
        ("P a=new / S", "P =one / B  / E / S", "P =one / B / E / S"),
        (
            "P a=new / S",
            "P b=new2 / B b / E / S",
            "P #new2=new2 / B #new2 / E / S",
        ),
        ("P a=new / S", "Q select", "Q select"),
        ("P a=new", "B a / E / S", "B #new / E / S"),
        ("Q DISCARD ALL", "P =one / B  / E / S", "P =one / B / E / S"),
        (
            "Q select",
            "P a=new / B a / E / S",
            "P #new=new / B #new / E / S",
        ),
    ];
    for (first, second, at_once) in rows {
        let (mut s, c) = known();
        s.send(c, first);
        s.server_got(0);
        s.send(c, second);
        assert_eq!(s.server_got(0), at_once, "{first} then {second}");
    }
}

#[test]
fn a_held_client_goes_on_when_the_replies_came() {
    let (mut s, c) = known();
    s.send(c, "P a=new / S / B a");
    assert_eq!(s.server_got(0), "P #new=new / S");
    s.send(c, "E / S");
    assert_eq!(s.server_got(0), "", "what comes meanwhile is kept");
    assert!(!s.hub.may_read(crate::Peer::Client(c)));
    s.answer(0, "1");
    assert_eq!(s.server_got(0), "");
    s.answer(0, "Z I");
    assert_eq!(s.server_got(0), "B #new / E / S");
    assert_eq!(s.client_got(c), "1 / Z I");
    s.answer(0, "2 / C SELECT 1 / Z I");
    assert_eq!(s.client_got(c), "2 / C SELECT 1 / Z I");
    assert_eq!(s.ports.idle.len(), 1);
}

/// A Close that was skipped leaves the name; one that was not, does not.
#[test]
fn a_close_in_a_batch_that_fails_leaves_the_name() {
    for (fails, second, then) in [
        (true, "B a / E / S", "B #one / E / S"),
        (false, "B a / E / S", "B a / E / S"),
        (true, "P a=other / S", "P #= / P #other=other / S"),
        (false, "P a=other / S", "P #other=other / S"),
    ] {
        let (mut s, c) = known();
        s.send(c, "P a=one / S");
        s.answer(0, "Z I");
        s.server_got(0);
        s.send(c, "B a / E / C a / S");
        s.send(c, second);
        assert_eq!(s.server_got(0), "B #one / E / S");
        s.answer(
            0,
            if fails {
                "E 22012 / Z I"
            } else {
                "2 / C X / Z I"
            },
        );
        assert_eq!(s.server_got(0), then, "{fails} {second}");
    }
}

/// Another client's unnamed statement may be left at the connection: nobody
/// else may ever bind it.
#[test]
fn an_unnamed_parse_that_was_skipped_leaves_nobody_elses_statement() {
    let mut s = Stage::new(1);
    let other = s.client(&[]);
    s.send(other, "P =theirs / B  / E / S");
    s.answer(0, "1 / 2 / C X / Z I");
    let c = s.client(&[]);
    s.server_got(0);
    s.send(c, "P x=bad / P =mine / S / B  / E / S");
    assert_eq!(s.server_got(0), "P #bad=bad / P =mine / S");
    s.answer(0, "E 42601 / Z I");
    assert_eq!(s.server_got(0), "B ! / E / S", "there is none of its own");
    s.answer(0, "E 26000 / Z I");
    assert_eq!(s.client_got(c), "E 42601 / Z I / E 26000 / Z I");
}

#[test]
fn an_unnamed_parse_that_was_skipped_leaves_the_one_before() {
    for (fails, then) in [
        ("P x=bad / P =mine / S", "P =before / B / E / S"),
        // A Parse drops the unnamed statement before it looks at its own.
        ("P =bad / S", "B ! / E / S"),
    ] {
        let mut s = Stage::new(1);
        let c = s.client(&[]);
        s.send(c, "P =before / S");
        s.answer(0, "1 / Z I");
        s.send(c, fails);
        s.send(c, "B  / E / S");
        s.server_got(0);
        s.answer(0, "E 42601 / Z I");
        assert_eq!(s.server_got(0), then, "{fails}");
    }
}

/// DEALLOCATE by SQL of a statement made by protocol.
#[test]
fn a_deallocate_is_answered_in_the_state_that_it_would_meet() {
    // What is under way, its answer, and what the client sees in all.
    let rows = [
        ("", "", "C DEALLOCATE / Z I"),
        (
            "Q BEGIN",
            "C BEGIN / Z T",
            "C BEGIN / Z T / C DEALLOCATE / Z T",
        ),
        (
            "Q select",
            "E 42601 / Z I",
            "E 42601 / Z I / C DEALLOCATE / Z I",
        ),
    ];
    for (before, answer, seen) in rows {
        let (mut s, c) = known();
        s.send(c, "P a=one / S");
        s.answer(0, "Z I");
        s.client_got(c);
        s.server_got(0);
        if !before.is_empty() {
            s.send(c, before);
        }
        s.send(c, "Q DEALLOCATE a");
        if !before.is_empty() {
            assert_eq!(s.server_got(0), before);
            s.answer(0, answer);
        }
        assert_eq!(s.client_got(c), seen, "{before}");
        assert_eq!(s.server_got(0), "");
        s.send(c, "B a / S");
        assert_eq!(s.server_got(0), "B a / S", "it is gone");
    }
}

#[test]
fn a_deallocate_in_a_failed_transaction_is_the_servers_to_refuse() {
    let (mut s, c) = known();
    s.send(c, "P a=one / S");
    s.answer(0, "Z I");
    s.send(c, "Q BEGIN / Q bad / Q DEALLOCATE a");
    s.server_got(0);
    s.answer(0, "C BEGIN / Z T / E 42601 / Z E");
    assert_eq!(s.server_got(0), "Q DEALLOCATE a");
    s.answer(0, "E 25P02 / Z E");
    s.client_got(c);
    s.send(c, "Q ROLLBACK / B a / S");
    assert_eq!(s.server_got(0), "Q ROLLBACK / B #one / S");
}

/// A Query ends the batch before it, and so does a DEALLOCATE that is ours.
#[test]
fn a_deallocate_without_a_sync_before_it_ends_the_batch() {
    let (mut s, c) = known();
    s.send(c, "P a=one / B a / E");
    s.server_got(0);
    s.send(c, "Q DEALLOCATE a");
    assert_eq!(s.server_got(0), "H", "the replies are wanted now");
    s.answer(0, "2 / C X");
    assert_eq!(s.server_got(0), "S");
    s.answer(0, "Z I");
    assert_eq!(s.client_got(c), "1 / 2 / C X / C DEALLOCATE / Z I");
    assert_eq!(s.ports.idle.len(), 1);
}

/// PostgreSQL 18 leaves the batch's transaction open then, says 'I' at the Sync, and fails the next statement: that must
/// not be another client's.
#[test]
fn a_query_in_a_batch_without_its_sync_ends_the_connection_with_its_lease() {
    for (messages, kept) in [
        ("P a=one / B a / E / Q two / S", 0),
        ("P a=one / B a / E / S / Q two / S", 1),
    ] {
        let (mut s, c) = known();
        s.send(c, messages);
        let batch = "2 / C X";
        match kept {
            0 => s.answer(0, &format!("{batch} / C SELECT 1 / Z T / Z I")),
            _ => s.answer(0, &format!("{batch} / Z I / C SELECT 1 / Z I / Z I")),
        }
        assert_eq!(s.ports.idle.len(), kept, "{messages}");
    }
}

/// Errors of ours, where the server has others to say: those come first, as
/// in PostgreSQL.
#[test]
fn what_else_is_wrong_comes_before_a_refusal() {
    let (mut s, c) = known();
    s.send(c, "P a=one / S");
    s.answer(0, "Z I");
    s.server_got(0);
    s.send(c, "P a=again / S");
    assert_eq!(s.server_got(0), "P #= / P #again=again / S");
    s.client_got(c);
    s.answer(0, "1 / E 42P05 / Z I");
    assert_eq!(s.client_got(c), "E 42P05 / Z I");
    for code in ["25P02", "42601"] {
        s.send(c, "P a=again / S");
        assert_eq!(s.server_got(0), "P #again=again / S");
        s.answer(0, &format!("E {code} / Z I"));
        assert_eq!(s.client_got(c), format!("E {code} / Z I"));
    }
}

/// Closed and parsed anew by the batch behind it, which may fail: the first
/// answer does not tell that the statement is there.
#[test]
fn only_the_last_answer_tells_that_a_statement_is_there() {
    let (mut s, c) = known();
    s.send(c, "P a=one / S");
    s.answer(0, "Z I");
    let other = s.client(&[]);
    s.send(other, "Q DISCARD ALL");
    s.answer(0, "C DISCARD ALL / Z I");
    s.server_got(0);
    s.send(c, "B a / E / S / B a / E / S");
    assert_eq!(
        s.server_got(0),
        "P #one=one / B #one / E / S / C #one / P #one=one / B #one / E / S"
    );
    s.answer(0, "1 / 2 / E 22012 / Z E");
    s.send(c, "B a / E / S");
    assert_eq!(s.server_got(0), "C #one / P #one=one / B #one / E / S");
}

/// A reply of ours behind the ReadyForQuery that statement mode keeps back.
#[test]
fn statement_mode_keeps_back_replies_of_ours_too() {
    let mut s = Stage::with(1, crate::PoolMode::Statement, crate::Settings::default());
    let c = s.client(&[]);
    s.send(c, "P a=one / S");
    s.answer(0, "1 / Z I");
    s.client_got(c);
    s.send(c, "Q BEGIN; SELECT 1 / C a / S");
    s.answer(0, "C BEGIN / C SELECT 1 / Z T");
    let got = s.client_got(c);
    assert!(got.starts_with("C BEGIN / C SELECT 1 / E "), "{got}");
}

/// lib/pq prepares the unnamed statement in one batch and binds it in the
/// next, however large it is. All clients together keep a bounded amount.
#[test]
fn large_unnamed_statements_are_kept_within_a_bound() {
    let mut s = Stage::new(1);
    let texts: Vec<String> = ["a", "b", "c", "d", "e"]
        .iter()
        .map(|letter| letter.repeat(LARGE_BYTES_MAX / 9 * 2))
        .collect();
    let clients: Vec<u32> = texts.iter().map(|_| s.client(&[])).collect();
    for (client, text) in clients.iter().zip(&texts) {
        s.send(*client, &format!("P ={text} / S"));
        s.answer(0, "1 / Z I");
        assert_eq!(s.client_got(*client), "1 / Z I");
    }
    s.server_got(0);
    s.send(clients[1], "B  / E / S");
    let got = s.server_got(0);
    assert!(got.starts_with("P =bbb") && got.ends_with("/ B / E / S"));
    s.answer(0, "1 / 2 / C X / Z I");
    s.send(clients[0], "B  / E / S");
    assert_eq!(s.server_got(0), "B ! / E / S", "the oldest is forgotten");
}
