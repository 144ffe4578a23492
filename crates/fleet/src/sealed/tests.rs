//! Which messages are opened, and why the others are not.

use super::*;
use proptest::prelude::*;

const NOW: i64 = 1_800_000_000_000;

fn keys(names: &[&str]) -> Vec<Key> {
    names.iter().map(|n| Key::new(n.as_bytes())).collect()
}

fn draft(at_ms: i64, nonce: u8) -> Draft<'static> {
    Draft {
        fleet: "shop",
        sender: "a:1",
        receiver: None,
        at_ms,
        nonce: [nonce; 16],
        port: 6433,
        answers: None,
    }
}

fn open(gate: &mut Gate, keys: &[Key], message: &[u8]) -> Result<(String, usize), Refused> {
    let opened = gate.open(Trust::Keys(keys), NOW, message, None);
    opened.map(|o| (o.sender, o.key)).map_err(|r| r.reason)
}

#[test]
fn a_good_message_is_opened_once() {
    let (mut gate, ours) = (Gate::new("shop", "b:2"), keys(&["new", "old"]));
    let first = draft(NOW, 1).seal(ours.first(), "{}");
    assert_eq!(open(&mut gate, &ours, &first), Ok(("a:1".to_owned(), 0)));
    assert_eq!(open(&mut gate, &ours, &first), Err(Refused::Replay));
    // The key before is good beside the new one.
    let old = draft(NOW, 2).seal(ours.get(1), "{}");
    assert_eq!(open(&mut gate, &ours, &old), Ok(("a:1".to_owned(), 1)));
    // Another gate has not seen it.
    let mut other = Gate::new("shop", "c:3");
    assert!(open(&mut other, &ours, &first).is_ok());
}

#[test]
fn each_refusal_has_its_reason() {
    let ours = keys(&["key"]);
    let sealed = |draft: Draft<'_>| draft.seal(ours.first(), "{\"x\":1}");
    let whole = sealed(draft(NOW, 1));
    let changed = |from: &str, to: &str| {
        let text = String::from_utf8(whole.clone()).expect("text");
        assert!(text.contains(from), "{text}");
        text.replace(from, to).into_bytes()
    };
    let mut long = whole.clone();
    long.resize(MESSAGE_MAX + 1, b' ');
    let table = [
        (sealed(draft(NOW, 1)), None),
        (sealed(draft(NOW - WINDOW_MS, 2)), None),
        (sealed(draft(NOW + WINDOW_MS, 3)), None),
        (sealed(draft(NOW - WINDOW_MS - 1, 4)), Some(Refused::Clock)),
        (sealed(draft(NOW + 120_000, 5)), Some(Refused::Clock)),
        (sealed(draft(i64::MIN, 6)), Some(Refused::Clock)),
        (sealed(draft(i64::MAX, 6)), Some(Refused::Clock)),
        (
            sealed(Draft {
                fleet: "other",
                ..draft(NOW, 7)
            }),
            Some(Refused::Fleet),
        ),
        (
            sealed(Draft {
                receiver: Some("c:3"),
                ..draft(NOW, 8)
            }),
            Some(Refused::Receiver),
        ),
        (
            sealed(Draft {
                receiver: Some("b:2"),
                ..draft(NOW, 9)
            }),
            None,
        ),
        (draft(NOW, 10).seal(None, "{}"), Some(Refused::Seal)),
        (
            draft(NOW, 11).seal(keys(&["stranger"]).first(), "{}"),
            Some(Refused::Seal),
        ),
        (changed("a:1", "z:9"), Some(Refused::Seal)),
        (changed("{\"x\":1}", "{\"x\":2}"), Some(Refused::Seal)),
        (changed("6433", "6434"), Some(Refused::Seal)),
        (long, Some(Refused::Malformed)),
        (b"{}\n{}".to_vec(), Some(Refused::Malformed)),
        (Vec::new(), Some(Refused::Malformed)),
        (vec![b'x'; 1 << 20], Some(Refused::Malformed)),
    ];
    for (n, (message, reason)) in table.into_iter().enumerate() {
        let mut gate = Gate::new("shop", "b:2");
        assert_eq!(open(&mut gate, &ours, &message).err(), reason, "row {n}");
    }
}

#[test]
fn who_sent_it_is_said_only_where_that_is_known() {
    let ours = keys(&["key"]);
    let mut gate = Gate::new("shop", "b:2");
    let mut refusal = |message: &[u8]| {
        let opened = gate.open(Trust::Keys(&ours), NOW, message, None);
        opened.expect_err("refused")
    };
    let late = refusal(&draft(NOW - 120_000, 1).seal(ours.first(), ""));
    assert_eq!(late.sender.as_deref(), Some("a:1"));
    assert_eq!((late.port, late.clock_off_ms), (6433, -120_000));
    assert_eq!(refusal(&draft(NOW, 2).seal(None, "")).sender, None);
}

#[test]
fn an_answer_is_to_the_question_that_was_asked() {
    let ours = keys(&["key"]);
    let mut gate = Gate::new("shop", "b:2");
    let answer = |nonce, answers: Option<Nonce>| {
        Draft {
            receiver: Some("b:2"),
            answers,
            ..draft(NOW, nonce)
        }
        .seal(ours.first(), "{}")
    };
    let mut open = |message: &[u8]| {
        let opened = gate.open(Trust::Keys(&ours), NOW, message, Some([5; 16]));
        opened.map(|_| ()).map_err(|r| r.reason)
    };
    assert_eq!(open(&answer(1, Some([5; 16]))), Ok(()));
    assert_eq!(open(&answer(2, Some([6; 16]))), Err(Refused::Answer));
    assert_eq!(open(&answer(3, None)), Err(Refused::Answer));
}

#[test]
fn the_memory_is_bounded_and_forgets_what_its_clock_refuses() {
    let mut gate = Gate::new("shop", "b:2");
    let nonce = |n: usize| {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&(n as u64).to_be_bytes());
        nonce
    };
    for n in 0..NONCES_MAX {
        assert_eq!(gate.remember(NOW, nonce(n), NOW), Ok(()));
    }
    let more = gate.remember(NOW, nonce(NONCES_MAX), NOW);
    assert_eq!(more, Err(Refused::Busy));
    let later = NOW + WINDOW_MS + 1;
    assert_eq!(gate.remember(later, nonce(1), later), Ok(()));
    assert_eq!(gate.seen.len(), 1);
}

#[test]
fn without_keys_the_rest_is_checked_all_the_same() {
    let mut gate = Gate::new("shop", "b:2");
    let mut open = |message: &[u8]| {
        let opened = gate.open(Trust::Elsewhere, NOW, message, None);
        opened.map(|_| ()).map_err(|r| r.reason)
    };
    let message = draft(NOW, 1).seal(None, "{}");
    assert_eq!(open(&message), Ok(()));
    assert_eq!(open(&message), Err(Refused::Replay));
    let late = draft(NOW - 120_000, 2).seal(None, "{}");
    assert_eq!(open(&late), Err(Refused::Clock));
    // No key of ours is no good key.
    let mut gate = Gate::new("shop", "b:2");
    let unsealed = gate.open(Trust::Keys(&[]), NOW, &message, None);
    assert_eq!(unsealed.map_err(|r| r.reason).err(), Some(Refused::Seal));
}

#[test]
fn keys_are_not_shown() {
    assert_eq!(format!("{:?}", Key::new(b"hunter2")), "Key(…)");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let ours = keys(&["key"]);
        let mut gate = Gate::new("shop", "b:2");
        prop_assert!(gate.open(Trust::Keys(&ours), NOW, &bytes, None).is_err());
    }

    #[test]
    fn a_changed_byte_is_refused_or_says_the_same(at in 0usize..10_000, with in any::<u8>()) {
        let ours = keys(&["key"]);
        let mut message = draft(NOW, 1).seal(ours.first(), "{\"clients\":12345678}");
        let at = at % message.len();
        prop_assume!(message[at] != with);
        let open = |message: &[u8]| {
            let mut gate = Gate::new("shop", "b:2");
            let opened = gate.open(Trust::Keys(&ours), NOW, message, None);
            opened.map(|o| (o.sender, o.port, o.nonce, o.body.to_vec()))
        };
        let before = open(&message);
        prop_assert!(before.is_ok());
        message[at] = with;
        // The seal is over what is said, not over how its head is written.
        let after = open(&message);
        prop_assert!(after.is_err() || after == before);
    }
}
