//! Settings follow the client: RESET goes back to the client's own login.

use super::Stage;

/// A client whose login asked for a time zone of its own.
fn in_cet(servers: u32) -> (Stage, u32) {
    let mut s = Stage::new(servers);
    let c = s.client(&[("TimeZone", "CET")]);
    (s, c)
}

#[test]
fn after_a_reset_the_clients_own_value_is_set_before_its_next_statement() {
    // The statement, in which transaction, and what the server reports of it.
    let rows = [
        ("RESET timezone", "I", "C RESET"),
        ("RESET ALL", "I", "C RESET"),
        ("DISCARD ALL", "I", "C DISCARD ALL"),
        ("SET timezone TO DEFAULT", "I", "C SET"),
        ("RESET timezone", "T", "C RESET"),
        ("RESET ALL", "T", "C RESET"),
    ];
    // Servers before 14 report before the statement has ended.
    let orders = [true, false];
    for ((reset, state, done), late) in rows.iter().flat_map(|r| orders.map(|late| (*r, late))) {
        let (mut s, c) = in_cet(1);
        s.send(c, "Q BEGIN");
        let set = s.server_got(0);
        s.answer(0, "S TimeZone=CET / C SELECT 1 / Z I");
        assert_eq!(s.server_got(0), "Q BEGIN");
        s.answer(0, "C BEGIN / Z T");
        if state == "I" {
            s.send(c, "Q COMMIT");
            s.answer(0, "C COMMIT / Z I");
        }
        s.client_got(c);
        s.server_got(0);
        // The next statement is on its way already when the reset is answered.
        s.send(c, &format!("Q {reset} / Q next"));
        assert_eq!(s.server_got(0), format!("Q {reset}"), "the next is held");
        let answer = |zone: &str| match late {
            true => format!("{done} / S TimeZone={zone} / Z {state}"),
            false => format!("S TimeZone={zone} / {done} / Z {state}"),
        };
        s.answer(0, &answer("UTC"));
        let told = "the value that the client will have";
        assert_eq!(s.client_got(c), answer("CET"), "{told}");
        assert_eq!(s.server_got(0), set, "{reset} in {state}");
        s.answer(0, &format!("S TimeZone=CET / C SELECT 1 / Z {state}"));
        assert_eq!(s.client_got(c), "", "the pooler's own");
        assert_eq!(s.server_got(0), "Q next");
        s.answer(0, &format!("C SELECT 1 / Z {state}"));
        assert_eq!(s.client_got(c), format!("C SELECT 1 / Z {state}"));
    }
}

/// What was set in a transaction goes back with it.
#[test]
fn a_rollback_takes_back_the_reset_and_what_was_set_after_it() {
    let (mut s, c) = in_cet(1);
    s.send(c, "Q BEGIN");
    s.answer(0, "S TimeZone=CET / C SELECT 1 / Z I / C BEGIN / Z T");
    s.send(c, "Q SET timezone = 'Asia/Tokyo' / Q RESET timezone");
    s.answer(0, "C SET / Z T / C RESET / Z T");
    s.server_got(0);
    s.send(c, "Q next");
    assert!(s.server_got(0).contains("CET"));
    s.answer(0, "C SELECT 1 / Z T / C SELECT 1 / Z T");
    s.send(c, "Q ROLLBACK / Q after");
    assert_eq!(s.server_got(0), "Q next / Q ROLLBACK / Q after");
    s.answer(0, "C ROLLBACK / Z I / C SELECT 1 / Z I");
    s.server_got(0);
    s.send(c, "Q later");
    assert_eq!(s.server_got(0), "Q later", "it has CET again");
}

#[test]
fn a_pipeline_of_the_extended_protocol_is_held_at_its_sync() {
    let (mut s, c) = in_cet(1);
    s.send(c, "P =RESET timezone / B  / E / S / P =next / B  / E / S");
    s.server_got(0);
    s.answer(0, "S TimeZone=CET / C SELECT 1 / Z I");
    assert_eq!(s.server_got(0), "P =RESET timezone / B / E / S");
    s.answer(0, "1 / 2 / C RESET / S TimeZone=UTC / Z I");
    assert!(s.server_got(0).contains("CET"));
    s.answer(0, "C SELECT 1 / Z I");
    assert_eq!(s.server_got(0), "P =next / B / E / S");
}

/// Nothing is held for clients that gave no parameters, or another one.
#[test]
fn a_reset_of_what_the_login_did_not_give_holds_nothing() {
    for (login, reset) in [
        (&[][..], "Q RESET ALL"),
        (&[("TimeZone", "CET")][..], "Q RESET search_path"),
    ] {
        let mut s = Stage::new(1);
        let c = s.client(login);
        s.send(c, "Q BEGIN");
        if !login.is_empty() {
            s.answer(0, "C SELECT 1 / Z I");
        }
        s.answer(0, "C BEGIN / Z T");
        s.server_got(0);
        s.send(c, &format!("{reset} / Q next"));
        assert_eq!(s.server_got(0), format!("{reset} / Q next"));
    }
}

/// A connection that is lost while the pooler's own statement runs inside a
/// transaction took the client's work with it: the client must know.
#[test]
fn a_connection_lost_in_a_transaction_is_not_replaced() {
    let (mut s, c) = in_cet(2);
    s.send(c, "Q BEGIN");
    s.answer(0, "C SELECT 1 / Z I / C BEGIN / Z T");
    s.send(c, "Q RESET timezone / Q next");
    s.answer(0, "C RESET / Z T");
    s.dispatch(&[], |hub, now, ports, out| {
        hub.server_gone(now, 0, None, ports, out)
    });
    assert_eq!(s.server_got(1), "", "nothing goes on elsewhere");
    assert_eq!(s.closed.len(), 2, "{:?}", s.closed);
}

/// A parameter outdoes the options wherever it stands in the packet, and is
/// told back in the server's own spelling.
#[test]
fn what_a_login_asks_for_is_read_as_the_server_reads_it() {
    let options = ("options", "-c application_name=o -c work_mem=9MB");
    let rows = [
        [("application_name", "own"), options],
        [options, ("application_name", "own")],
    ];
    for login in rows {
        let mut s = Stage::new(1);
        let c = s.client(&login);
        s.send(c, "Q next");
        let set = s.server_got(0);
        assert!(set.contains("'own'") && set.contains("9MB"), "{set}");
        assert!(!set.contains("'o'"), "{set}");
    }
    // What the server has already, by another name, needs no statement.
    let mut s = Stage::new(1);
    let c = s.client(&[("Standard_Conforming_Strings", "TRUE")]);
    s.send(c, "Q next");
    assert_eq!(s.server_got(0), "Q next");
}
