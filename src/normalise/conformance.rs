//! What a dialect's samples must come to, in a form that both sides can read: a sample
//! beside an expectation, events spelled out in our own format.
//!
//! An expectation is `{"messages":[…]}`, each of `{"event":{…}}`, `{"ignored":"why"}` or
//! `{"impossible":{"code","path"}}`, or `{"unreadable":"code"}` for a body that cannot be
//! read at all. Keys that are null, and the values that an absent key means, may be left
//! out. Must not read files: whoever calls does.

use super::{Format, Message, normalise};
use crate::domain::card_event::Clock;
use crate::domain::{CardEvent, Channel, Money};
use serde_json::{Map, Value, json};

/// What a body comes to, in the form of an expectation.
#[must_use]
pub fn outcome(format: Format, body: &[u8]) -> Value {
    match normalise(format, body) {
        Err(fault) => json!({"unreadable": fault.problem.code}),
        Ok(read) => json!({"messages": read.messages.iter().map(message).collect::<Vec<_>>()}),
    }
}

fn message(message: &Message) -> Value {
    match message {
        Message::Event(found) => json!({"event": event(found)}),
        Message::Ignored { id, why } => json!({"ignored": why, "id": id}),
        Message::Impossible { id, problem } => {
            json!({"impossible": {"code": problem.code, "path": problem.path}, "id": id})
        }
    }
}

/// An event in our own format, with `clock` beside it.
fn event(event: &CardEvent) -> Value {
    let money = |money: Money| json!({"minor": money.minor, "currency": money.currency});
    let mark = &event.merchant;
    let channel = match event.channel {
        Channel::InStore => "in_store",
        Channel::Online => "online",
        Channel::Unknown => "unknown",
    };
    json!({
        "id": event.key.as_str(),
        "type": event.kind.as_str(),
        "purchase_id": event.purchase.as_ref().map(crate::domain::PurchaseId::as_str),
        "card": event.card,
        "amount": event.amount.map(money),
        "billing": event.billing.map(money),
        "occurred_at": event.occurred_at,
        "clock": match event.clock { Clock::Utc => "utc", Clock::Local => "local" },
        "time_known": event.time_known,
        "posted_at": event.posted_at,
        "approved": event.approved,
        "merchant": {
            "scheme": mark.scheme, "mid": mark.mid, "acquirer": mark.acquirer, "descriptor": mark.descriptor,
            "mcc": mark.mcc.map(|code| format!("{code:04}")), "store_id": mark.store_id, "country": mark.country,
            "postcode": mark.postcode, "terminal": mark.terminal,
        },
        "channel": channel,
        "sequence": event.sequence.map(|of| json!({"number": of.number, "count": of.count})),
    })
}

/// A value without what says nothing: nulls, and what an absent key means.
#[must_use]
pub fn plain(value: &Value) -> Value {
    const MEANT: [(&str, Value); 2] = [("time_known", Value::Bool(true)), ("approved", Value::Bool(true))];
    match value {
        Value::Object(fields) => {
            let meant = |name: &str, value: &Value| {
                MEANT.iter().any(|(known, meant)| *known == name && meant == value)
                    || matches!((name, value.as_str()), ("channel", Some("unknown")) | ("clock", Some("utc")))
            };
            let kept = fields.iter().filter(|(name, value)| !value.is_null() && !meant(name, value));
            Value::Object(kept.map(|(name, value)| (name.clone(), plain(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        other => other.clone(),
    }
}

/// How what a body came to differs from what was expected: one line per place. Empty when
/// it conforms.
#[must_use]
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", &plain(expected), &plain(found), &mut lines);
    lines
}

fn compare(path: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(want), Value::Object(got)) => {
            let names = want.keys().chain(got.keys().filter(|name| !want.contains_key(*name)));
            for name in names {
                let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or(Value::Null);
                compare(&at, &of(want), &of(got), lines);
            }
        }
        (Value::Array(want), Value::Array(got)) => {
            if want.len() != got.len() {
                lines.push(format!("{path}: expected {} items, found {}", want.len(), got.len()));
            }
            for (index, (want, got)) in want.iter().zip(got).enumerate() {
                compare(&format!("{path}[{index}]"), want, got, lines);
            }
        }
        (want, got) if want == got => {}
        (want, got) => lines.push(format!("{path}: expected {want}, found {got}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_means_its_default_and_all_else_counts() {
        let body = br#"{"id":"e","type":"authorization","card":"c","amount":{"minor":1,"currency":"JPY"},
            "occurred_at":"2026-11-21T19:56:00Z","merchant":{"store_id":"77","mcc":"0763"}}"#;
        let found = outcome(Format::Ringfence, body);
        let expected = json!({"messages": [{"event": {
            "id": "e", "type": "authorization", "card": "c", "amount": {"minor": 1, "currency": "JPY"},
            "occurred_at": "2026-11-21T19:56:00Z", "merchant": {"store_id": "77", "mcc": "0763", "mid": null},
            "approved": true, "channel": "unknown",
        }}]});
        assert_eq!(differences(&expected, &found), [""; 0]);
        let mut wrong = expected.clone();
        wrong["messages"][0]["event"]["amount"]["minor"] = json!(2);
        wrong["messages"][0]["event"]["merchant"]["mid"] = json!("1");
        wrong["messages"][0]["event"]["time_known"] = json!(false);
        assert_eq!(
            differences(&wrong, &found),
            [
                "messages[0].event.amount.minor: expected 2, found 1",
                "messages[0].event.merchant.mid: expected \"1\", found null",
                "messages[0].event.time_known: expected false, found null",
            ]
        );
        let more = json!({"messages": [expected["messages"][0], {"ignored": "ping"}]});
        assert_eq!(differences(&more, &found), ["messages: expected 2 items, found 1"]);
    }

    #[test]
    fn what_is_no_event_has_a_form_too() {
        assert_eq!(outcome(Format::Ringfence, b"{"), json!({"unreadable": "not_json"}));
        let ignored = br#"{"id":"e","type":"authorization","card":"c","amount":{"minor":0,"currency":"JPY"},
            "occurred_at":"2026-11-21T19:56:00Z","merchant":{"store_id":"77"}}"#;
        assert_eq!(
            outcome(Format::Ringfence, ignored),
            json!({"messages": [{"ignored": "account_verification", "id": "e"}]})
        );
        assert_eq!(
            outcome(Format::Ringfence, br#"{"id":"e"}"#),
            json!({"messages": [{"impossible": {"code": "missing_field", "path": "type"}, "id": "e"}]})
        );
    }
}
