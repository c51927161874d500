//! What holds for every dialect: no body makes us panic, and none comes out with another
//! meaning than it went in with.

use super::*;
use crate::domain::EventKind;
use proptest::prelude::*;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)
}

#[test]
fn formats_have_names() {
    for format in Format::ALL {
        assert_eq!(format.as_str().parse(), Ok(format));
    }
    let fault = "fax".parse::<Format>().unwrap_err();
    assert_eq!(
        fault.to_string(),
        "`fax` is not a format this build understands (it understands: ringfence, fidel, kard, visa-vop, mastercard-cen, stripe-issuing, marqeta, lithic)"
    );
}

#[test]
fn every_file_of_jsontestsuite() {
    let mut seen = 0;
    for entry in std::fs::read_dir(data("jsontestsuite/test_parsing")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let body = std::fs::read(&path).unwrap();
        seen += 1;
        for format in Format::ALL {
            let outcome = normalise(format, &body);
            match &name[..2] {
                "n_" => {
                    let code = outcome.as_ref().unwrap_err().problem.code;
                    assert!(matches!(code, "not_json" | "not_utf8"), "{format} {name}: {outcome:?}");
                }
                // No value of the suite is a card event, so where it is read it is refused.
                "y_" => match outcome {
                    Err(fault) => {
                        let code = fault.problem.code;
                        assert!(matches!(code, "wrong_shape" | "batch_empty"), "{format} {name}: {fault:?}");
                    }
                    // Some send bare arrays, so each item of one is a message.
                    Ok(read) => {
                        let refused = |message: &Message| matches!(message, Message::Impossible { .. });
                        assert!(!read.messages.is_empty() && read.messages.iter().all(refused), "{format} {name}");
                    }
                },
                "i_" => {
                    let is_event = |message: &Message| matches!(message, Message::Event(_));
                    assert!(!outcome.is_ok_and(|read| read.messages.iter().any(is_event)), "{format} {name}");
                }
                other => panic!("what is {other}?"),
            }
            assert!(masked(format, &body).len() >= body.len());
        }
    }
    assert_eq!(seen, 318);
}

/// A valid body of each dialect and kind, with the kind it says.
fn valid() -> &'static [(Format, EventKind, Value)] {
    static VALID: LazyLock<Vec<(Format, EventKind, Value)>> = LazyLock::new(make_valid);
    &VALID
}

fn make_valid() -> Vec<(Format, EventKind, Value)> {
    let of = |format, all: Vec<(EventKind, Value)>| all.into_iter().map(move |(kind, body)| (format, kind, body));
    of(Format::Ringfence, ringfence::tests::valid())
        .chain(of(Format::Fidel, fidel::tests::valid()))
        .chain(of(Format::Kard, kard::tests::valid()))
        .chain(of(Format::VisaVop, visa_vop::tests::valid()))
        .chain(of(Format::MastercardCen, mastercard_cen::tests::valid()))
        .chain(of(Format::StripeIssuing, stripe_issuing::tests::valid()))
        .chain(of(Format::Marqeta, marqeta::tests::valid()))
        .chain(of(Format::Lithic, lithic::tests::valid()))
        .collect()
}

/// What no message may ever be, whatever the body was.
fn sound(message: &Message) -> Result<(), TestCaseError> {
    match message {
        Message::Event(event) => {
            prop_assert!(event.amount.is_none_or(|money| (0..=field::AMOUNT_MAX).contains(&money.minor)));
            prop_assert!(event.billing.is_none_or(|money| (0..=field::AMOUNT_MAX).contains(&money.minor)));
            prop_assert!(event.amount.is_some() || matches!(event.kind, EventKind::Reversal | EventKind::Expiry));
            prop_assert!(event.approved);
            prop_assert!(!pan::is_card_number(&event.card));
            prop_assert!(!pan::is_card_number(event.merchant.descriptor.as_deref().unwrap_or("")));
            let mark = &event.merchant;
            prop_assert!(mark.mid.is_some() || mark.store_id.is_some() || mark.descriptor.is_some());
        }
        Message::Ignored { id, .. } => prop_assert!(!pan::is_card_number(id.as_deref().unwrap_or(""))),
        Message::Impossible { id, problem } => {
            prop_assert!(!pan::is_card_number(id.as_deref().unwrap_or("")));
            prop_assert!(!pan::is_card_number(&problem.detail), "{}", problem);
            prop_assert!(problem.detail.len() < 400 && !problem.detail.is_empty(), "{}", problem);
            prop_assert!(!problem.code.is_empty());
        }
    }
    Ok(())
}

#[test]
fn each_valid_body_is_one_event_of_its_kind() {
    for &(format, kind, ref body) in valid() {
        let read = normalise(format, body.to_string().as_bytes()).unwrap();
        assert!(matches!(&read.messages[..], [Message::Event(event)] if event.kind == kind), "{kind:?} {read:?}");
        // Pretty or not, once or again: the same.
        assert_eq!(normalise(format, serde_json::to_string_pretty(body).unwrap().as_bytes()), Ok(read));
    }
}

/// Puts a value somewhere in a body, at a place chosen by a number.
fn put(body: &mut Value, place: usize, value: Value) {
    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Array(list) => list.iter().map(count).sum(),
            Value::Object(map) => map.values().map(count).sum(),
            _ => 0,
        }
    }
    fn at(value: &mut Value, mut place: usize, new: Value) {
        if place == 0 {
            *value = new;
            return;
        }
        place -= 1;
        let children: Vec<&mut Value> = match value {
            Value::Array(list) => list.iter_mut().collect(),
            Value::Object(map) => map.values_mut().collect(),
            _ => return,
        };
        for child in children {
            let size = count(child);
            if place < size {
                return at(child, place, new);
            }
            place -= size;
        }
    }
    let place = place % count(body);
    at(body, place, value);
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        "[0-9 -]{12,22}".prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "0",
            "USD",
            "usd",
            "refund",
            "capture",
            "4242424242424242",
            "2026-11-21T19:56:00Z"
        ])
        .prop_map(Value::from),
        prop::sample::select(EventKind::ALL.map(EventKind::as_str).to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map("id|type|minor|currency|mid|object|data|[a-z]{1,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_never_change_the_sign(
        which: prop::sample::Index,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..3),
    ) {
        let (format, kind, body) = which.get(valid());
        let mut bytes = body.to_string().into_bytes();
        for (place, byte, how) in edits {
            let at = place.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        if let Ok(read) = normalise(*format, &bytes) {
            for message in &read.messages {
                sound(message)?;
                if let Message::Event(event) = message {
                    let credit = |kind| matches!(kind, EventKind::Refund | EventKind::ClearingReversal | EventKind::Chargeback);
                    let debit = |kind| matches!(kind, EventKind::Clearing | EventKind::RefundReversal | EventKind::ChargebackReversal);
                    let turned = credit(*kind) && debit(event.kind) || debit(*kind) && credit(event.kind);
                    // Where one byte of the body is the sign, the event must say what that says.
                    let holds = match format {
                        Format::Fidel => fidel::tests::sign_agrees(&bytes, event.kind),
                        _ => !turned,
                    };
                    prop_assert!(holds);
                }
            }
        }
    }

    #[test]
    fn anything_anywhere_is_answered(which: prop::sample::Index, puts in prop::collection::vec((any::<usize>(), anything()), 1..4)) {
        let (format, _, body) = which.get(valid());
        let mut body = body.clone();
        for (place, value) in puts {
            put(&mut body, place, value);
        }
        let text = body.to_string();
        if let Ok(read) = normalise(*format, text.as_bytes()) {
            for message in &read.messages {
                sound(message)?;
            }
        }
        prop_assert!(serde_json::from_slice::<Value>(&masked(*format, text.as_bytes())).is_ok());
    }

    #[test]
    fn a_body_cut_short_is_unreadable(which: prop::sample::Index, cut: prop::sample::Index) {
        let (format, _, body) = which.get(valid());
        let text = body.to_string();
        let fault = normalise(*format, &text.as_bytes()[..cut.index(text.len())]).unwrap_err();
        prop_assert_eq!(fault.problem.code, "not_json");
    }

    #[test]
    fn any_bytes_at_all(body: Vec<u8>) {
        for format in Format::ALL {
            prop_assert!(normalise(format, &body).is_err() || !body.is_empty());
        }
    }
}
