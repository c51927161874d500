//! Our own format: one event, or `{"events":[…]}`.
//!
//! Strict where money or identity is concerned, liberal elsewhere: unknown fields are
//! skipped, nothing of them is kept. The hot path of the service: one pass over the
//! body, borrowed from it, no tree in between.

use super::field::{self, Batch, Fields, Judge, Judged, Key, Part, Scalar, Shape, ShapeVisitor, object, problem};
use super::{BATCH_MESSAGES_MAX, Message, Normalised, Problem, Unreadable};
use crate::domain::card_event::Clock;
use crate::domain::{CardEvent, Channel, EventKind, MerchantMark, Money, Sequence};
use compact_str::CompactString;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess};

/// As configuration calls it.
pub(super) const NAME: &str = "ringfence";

/// No identifiers beyond those every dialect knows.
pub(super) const IDENTIFIERS: &[&str] = &[];

object! {
    struct RawEvent<'a> {
        id: Scalar<'a> = "id",
        kind: Scalar<'a> = "type",
        purchase_id: Scalar<'a> = "purchase_id",
        card: Scalar<'a> = "card",
        amount: Part<'a, RawMoney<'a>> = "amount",
        billing: Part<'a, RawMoney<'a>> = "billing",
        occurred_at: Scalar<'a> = "occurred_at",
        time_known: Scalar<'a> = "time_known",
        posted_at: Scalar<'a> = "posted_at",
        approved: Scalar<'a> = "approved",
        merchant: Part<'a, RawMerchant<'a>> = "merchant",
        channel: Scalar<'a> = "channel",
        sequence: Part<'a, RawSequence<'a>> = "sequence",
    }
}

object! {
    struct RawMoney<'a> {
        minor: Scalar<'a> = "minor",
        currency: Scalar<'a> = "currency",
    }
}

object! {
    struct RawMerchant<'a> {
        scheme: Scalar<'a> = "scheme",
        mid: Scalar<'a> = "mid",
        acquirer: Scalar<'a> = "acquirer",
        descriptor: Scalar<'a> = "descriptor",
        mcc: Scalar<'a> = "mcc",
        store_id: Scalar<'a> = "store_id",
        country: Scalar<'a> = "country",
        postcode: Scalar<'a> = "postcode",
        terminal: Scalar<'a> = "terminal",
    }
}

object! {
    struct RawSequence<'a> {
        number: Scalar<'a> = "number",
        count: Scalar<'a> = "count",
    }
}

/// What stands at the top of a body.
#[derive(Debug)]
enum Top<'a> {
    One(Message),
    Batch(Batch<RawEvent<'a>>),
    /// Keys of an event beside `events`, or `events` twice.
    Unclear(&'static str),
    NoObject,
}

/// Reads a body.
pub(super) fn read(body: &str) -> Result<Normalised, Unreadable> {
    let top = super::json::from_str(body).map_err(|fault| field::not_json(body, &fault))?;
    match top {
        Top::One(message) => Ok(Normalised { batch: false, messages: vec![message] }),
        Top::Batch(Batch::Given(messages)) if !messages.is_empty() => Ok(Normalised { batch: true, messages }),
        Top::Batch(Batch::Given(_) | Batch::Absent) => {
            Err(unreadable("batch_empty", "events", format!("must hold 1 to {BATCH_MESSAGES_MAX} events, holds none")))
        }
        Top::Batch(Batch::TooLarge) => {
            Err(unreadable("batch_too_large", "events", format!("must hold at most {BATCH_MESSAGES_MAX} events")))
        }
        Top::Batch(Batch::Other(noun, _)) => {
            Err(unreadable("wrong_shape", "events", format!("must be an array of events, is {noun}")))
        }
        Top::Unclear(detail) => Err(unreadable("wrong_shape", "events", detail.to_owned())),
        Top::NoObject => {
            Err(Unreadable::new("wrong_shape", "the body must be one event or {\"events\":[…]}: a JSON object"))
        }
    }
}

fn unreadable(code: &'static str, path: &str, detail: String) -> Unreadable {
    Unreadable { problem: problem(code, path, detail), byte: None }
}

impl<'de> Deserialize<'de> for Top<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor::default())
    }
}

impl<'de> Shape<'de> for Top<'de> {
    fn from_scalar(_: Scalar<'de>) -> Self {
        Self::NoObject
    }
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut event = RawEvent::<'de>::default();
        let mut is_event = false;
        let mut batch = None;
        let mut twice = false;
        while let Some(Key(key)) = map.next_key()? {
            if key != "events" {
                is_event |= event.take(&key, &mut map)?;
            } else if batch.is_none() {
                batch = Some(map.next_value()?);
            } else {
                twice = true;
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(match batch {
            _ if twice => Self::Unclear("must appear only once"),
            Some(_) if is_event => Self::Unclear("must not stand beside the fields of a single event"),
            Some(batch) => Self::Batch(batch),
            // Judged where it was read: it is too large to be moved about.
            None => Self::One(message(&event, None)),
        })
    }
}

impl<'de> Judge<'de> for RawEvent<'de> {
    fn judge(event: Part<'de, Self>, index: usize) -> Message {
        match event {
            Part::Given(event) => message(&event, Some(index)),
            other => match other.object("") {
                Err(mut problem) => {
                    problem.path = format!("events[{index}]");
                    Message::Impossible { id: None, problem }
                }
                Ok(_) => {
                    let problem = problem("wrong_type", format!("events[{index}]"), "must be an object, is null");
                    Message::Impossible { id: None, problem }
                }
            },
        }
    }
}

fn message(event: &RawEvent<'_>, index: Option<usize>) -> Message {
    match judge(event) {
        Ok(Judged::Event(event)) => Message::Event(event),
        Ok(Judged::Ignored(why)) => Message::Ignored { id: event.id.repeatable(), why },
        Err(mut problem) => {
            if let Some(index) = index {
                problem.path = format!("events[{index}].{}", problem.path);
            }
            Message::Impossible { id: event.id.repeatable(), problem }
        }
    }
}

fn judge(raw: &RawEvent<'_>) -> Result<Judged, Problem> {
    field::once(raw.twice, "")?;
    let key = raw.id.id("id")?.ok_or_else(|| field::missing("id", "the same for every delivery of this event"))?;
    let kind = kind(raw.kind.required_text("type", "what happened, such as clearing")?)?;
    let purchase = raw.purchase_id.id("purchase_id")?;
    let card = raw.card.card("card")?;
    let amount = money(&raw.amount, "amount")?;
    let billing = money(&raw.billing, "billing")?;
    let occurred_at = raw
        .occurred_at
        .instant("occurred_at")?
        .ok_or_else(|| field::missing("occurred_at", "the act of buying or returning, such as 2026-11-21T19:56:00Z"))?;
    let time_known = raw.time_known.boolean("time_known", true)?;
    let posted_at = raw.posted_at.instant("posted_at")?;
    let approved = raw.approved.boolean("approved", true)?;
    let merchant = merchant(&raw.merchant)?;
    let channel = channel(raw.channel.text("channel")?)?;
    let sequence = sequence(&raw.sequence)?;
    // Each field is right by itself; what is left is how they go together. A declined
    // message comes first: it has no effect, so its amount need not make sense.
    if !approved {
        return Ok(Judged::Ignored("not_approved"));
    }
    match (kind, amount) {
        (EventKind::Reversal | EventKind::Expiry, None) => {}
        (_, None) => {
            return Err(field::missing(
                "amount",
                "only a reversal of all and an expiry have none; such as {\"minor\":4250,\"currency\":\"USD\"}",
            ));
        }
        (EventKind::Authorization, Some(Money { minor: 0, .. })) => return Ok(Judged::Ignored("account_verification")),
        (EventKind::Advice, Some(_)) => {}
        (_, Some(Money { minor: 0, .. })) => {
            let detail =
                format!("must be more than zero for {}: only an authorization or advice may be zero", kind.as_str());
            return Err(problem("amount_zero", "amount.minor", detail));
        }
        (_, Some(_)) => {}
    }
    Ok(Judged::Event(Box::new(CardEvent {
        key,
        kind,
        purchase,
        card,
        amount,
        billing,
        occurred_at,
        clock: Clock::Utc,
        time_known,
        posted_at,
        approved,
        merchant,
        channel,
        sequence,
    })))
}

fn kind(word: &str) -> Result<EventKind, Problem> {
    EventKind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| {
        let known = EventKind::ALL.map(EventKind::as_str).join(", ");
        problem("unknown_type", "type", format!("{} is not one of {known}", field::echo(word)))
    })
}

fn channel(word: Option<&str>) -> Result<Channel, Problem> {
    match word {
        None | Some("unknown") => Ok(Channel::Unknown),
        Some("in_store") => Ok(Channel::InStore),
        Some("online") => Ok(Channel::Online),
        Some(word) => {
            let detail = format!("{} is not one of in_store, online, unknown", field::echo(word));
            Err(problem("unknown_channel", "channel", detail))
        }
    }
}

fn money(raw: &Part<'_, RawMoney<'_>>, path: &'static str) -> Result<Option<Money>, Problem> {
    // Paths are only spelled out when there is something to say.
    judge_money(raw, path).map_err(|mut problem| {
        if problem.path != path {
            problem.path = format!("{path}.{}", problem.path);
        }
        problem
    })
}

fn judge_money(raw: &Part<'_, RawMoney<'_>>, path: &'static str) -> Result<Option<Money>, Problem> {
    let Some(raw) = raw.object(path)? else { return Ok(None) };
    field::once(raw.twice, "")?;
    let minor =
        raw.minor.minor_units("minor")?.ok_or_else(|| field::missing("minor", "whole minor units, such as 4250"))?;
    let currency = field::currency(raw.currency.required_text("currency", "such as USD")?, "currency")?;
    field::money(minor, currency, "minor").map(Some)
}

fn merchant(raw: &Part<'_, RawMerchant<'_>>) -> Result<MerchantMark, Problem> {
    const NAMED: &str = "an object with a mid, store_id or descriptor";
    let Some(raw) = raw.object("merchant")? else { return Err(field::missing("merchant", NAMED)) };
    field::once(raw.twice, "merchant")?;
    let mut scheme = raw.scheme.free_text("merchant.scheme")?;
    if let Some(scheme) = &mut scheme {
        scheme.make_ascii_lowercase();
    }
    let merchant = MerchantMark {
        scheme,
        mid: raw.mid.mark("merchant.mid")?,
        acquirer: raw.acquirer.mark("merchant.acquirer")?,
        descriptor: raw.descriptor.free_text("merchant.descriptor")?,
        mcc: mcc(&raw.mcc)?,
        store_id: raw.store_id.mark("merchant.store_id")?,
        country: country(&raw.country)?,
        postcode: raw.postcode.free_text("merchant.postcode")?,
        terminal: raw.terminal.mark("merchant.terminal")?,
    };
    if merchant.mid.is_none() && merchant.store_id.is_none() && merchant.descriptor.is_none() {
        return Err(field::missing("merchant", &format!("{NAMED} (\"\", \"0\" and null count as not sent)")));
    }
    Ok(merchant)
}

fn mcc(raw: &Scalar<'_>) -> Result<Option<u16>, Problem> {
    let code = match raw {
        Scalar::Absent | Scalar::Null => return Ok(None),
        Scalar::Text(text) if text.bytes().all(|b| b == b'0') => return Ok(None),
        Scalar::Text(text) => field::mcc(text),
        Scalar::Int(0) => return Ok(None),
        Scalar::Int(number) => u16::try_from(*number).ok().filter(|code| *code <= 9999),
        _ => None,
    };
    code.map(Some).ok_or_else(|| problem("bad_mcc", "merchant.mcc", "must be four digits, such as \"5814\""))
}

fn country(raw: &Scalar<'_>) -> Result<Option<CompactString>, Problem> {
    let mut country = raw.mark("merchant.country")?;
    if let Some(code) = &mut country {
        code.make_ascii_uppercase();
    }
    match &country {
        Some(code) if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_alphabetic()) => {
            let detail = format!("{} is not an ISO 3166 country code of two letters, such as US", field::echo(code));
            Err(problem("bad_country", "merchant.country", detail))
        }
        _ => Ok(country),
    }
}

fn sequence(raw: &Part<'_, RawSequence<'_>>) -> Result<Option<Sequence>, Problem> {
    let Some(raw) = raw.object("sequence")? else { return Ok(None) };
    field::once(raw.twice, "sequence")?;
    let wrong = |path: &str, detail: &str| problem("bad_sequence", path, detail);
    let number = raw
        .number
        .integer("sequence.number")?
        .ok_or_else(|| field::missing("sequence.number", "which of several clearings this is, from 1"))?;
    let number =
        u32::try_from(number).ok().filter(|n| *n >= 1).ok_or_else(|| wrong("sequence.number", "must be 1 or more"))?;
    let count = match raw.count.integer("sequence.count")? {
        None => None,
        Some(count) => Some(
            u32::try_from(count)
                .ok()
                .filter(|count| *count >= number)
                .ok_or_else(|| wrong("sequence.count", "must be at least the number, or null when not known"))?,
        ),
    };
    Ok(Some(Sequence { number, count }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::{EventKey, PurchaseId};
    use serde_json::{Value, json};

    /// A valid body of each kind, for the tests that hold for every dialect.
    pub(in super::super) fn valid() -> Vec<(EventKind, Value)> {
        let of = |kind: EventKind| {
            (kind, with(&[("type", json!(kind.as_str())), ("billing", json!({"minor": 3990, "currency": "EUR"}))]))
        };
        EventKind::ALL.map(of).to_vec()
    }

    fn sample() -> Value {
        json!({
            "id": "evt_8f2c", "type": "clearing", "purchase_id": "pur_41", "card": "tok_9f8e7d",
            "amount": {"minor": 4250, "currency": "USD"},
            "occurred_at": "2026-11-21T19:56:00Z", "time_known": true, "posted_at": null,
            "approved": true, "billing": null,
            "merchant": {"scheme": "VISA", "mid": "000445566778899", "acquirer": null,
                "descriptor": "SQ *BLUE BOTTLE 0123", "mcc": "5814", "store_id": null, "country": "US",
                "postcode": "94607", "terminal": null},
            "channel": "in_store", "sequence": {"number": 1, "count": 1}
        })
    }

    /// The sample with values put at dotted paths.
    fn with(changes: &[(&str, Value)]) -> Value {
        let mut body = sample();
        for (path, value) in changes {
            let mut at = &mut body;
            for name in path.split('.') {
                at = &mut at[name];
            }
            *at = value.clone();
        }
        body
    }

    fn one(body: &str) -> Message {
        let read = read(body).unwrap();
        assert!(!read.batch);
        assert_eq!(read.messages.len(), 1);
        read.messages.into_iter().next().unwrap()
    }

    fn event(changes: &[(&str, Value)]) -> CardEvent {
        match one(&with(changes).to_string()) {
            Message::Event(event) => *event,
            other => panic!("{changes:?}: {other:?}"),
        }
    }

    /// Code and path of an impossible message, or `ignored` and why, or `event`.
    fn outcome(body: &str) -> (&'static str, String) {
        match one(body) {
            Message::Event(_) => ("event", String::new()),
            Message::Ignored { why, .. } => ("ignored", why.to_owned()),
            Message::Impossible { problem, .. } => (problem.code, problem.path),
        }
    }

    #[test]
    fn the_sample_of_the_interface() {
        let usd = crate::domain::Currency::parse("USD").unwrap();
        assert_eq!(
            event(&[]),
            CardEvent {
                key: EventKey::new("evt_8f2c").unwrap(),
                kind: EventKind::Clearing,
                purchase: Some(PurchaseId::new("pur_41").unwrap()),
                card: "tok_9f8e7d".into(),
                amount: Some(Money::new(4250, usd)),
                billing: None,
                occurred_at: crate::domain::Timestamp::parse("2026-11-21T19:56:00Z").unwrap(),
                clock: Clock::Utc,
                time_known: true,
                posted_at: None,
                approved: true,
                merchant: MerchantMark {
                    scheme: Some("visa".into()),
                    mid: Some("000445566778899".into()),
                    acquirer: None,
                    descriptor: Some("SQ *BLUE BOTTLE 0123".into()),
                    mcc: Some(5814),
                    store_id: None,
                    country: Some("US".into()),
                    postcode: Some("94607".into()),
                    terminal: None,
                },
                channel: Channel::InStore,
                sequence: Some(Sequence { number: 1, count: Some(1) }),
            }
        );
    }

    #[test]
    fn only_what_is_required_is_required() {
        let body = r#"{"id":"e","type":"authorization","card":"c","amount":{"minor":1,"currency":"JPY"},
            "occurred_at":"2026-11-21T19:56:00.5+09:00","merchant":{"store_id":"77"},"colour":{"deep":[{}]}}"#;
        let Message::Event(event) = one(body) else { panic!() };
        assert_eq!((event.time_known, event.approved, event.channel), (true, true, Channel::Unknown));
        assert_eq!((event.purchase, event.sequence, event.posted_at), (None, None, None));
        assert_eq!(event.occurred_at.to_string(), "2026-11-21T10:56:00.5Z");
        for field in ["id", "type", "card", "amount", "occurred_at", "merchant"] {
            let mut body = sample();
            body.as_object_mut().unwrap().remove(field);
            assert_eq!(outcome(&body.to_string()), ("missing_field", field.to_owned()));
            assert_eq!(outcome(&with(&[(field, Value::Null)]).to_string()), ("missing_field", field.to_owned()));
        }
        for field in ["purchase_id", "time_known", "posted_at", "approved", "billing", "channel", "sequence"] {
            assert_eq!(outcome(&with(&[(field, Value::Null)]).to_string()).0, "event");
        }
    }

    #[test]
    fn what_cannot_be_true_is_named_with_its_place() {
        let long = "x".repeat(129);
        for (path, value, code) in [
            ("id", json!(5), "wrong_type"),
            ("id", json!(""), "bad_identifier"),
            ("id", json!("a\nb"), "bad_identifier"),
            ("id", json!(long), "too_long"),
            ("id", json!("evt 4242 4242 4242 4242"), "card_number"),
            ("type", json!("purchase"), "unknown_type"),
            ("type", json!("Clearing"), "unknown_type"),
            ("purchase_id", json!("4242424242424242"), "card_number"),
            ("purchase_id", json!(""), "bad_identifier"),
            ("card", json!("4242-4242-4242-4242"), "card_number"),
            ("card", json!("tok_378282246310005"), "card_number"),
            ("card", json!(4242424242424242_i64), "wrong_type"),
            ("card", json!(["tok"]), "wrong_type"),
            ("amount", json!(4250), "wrong_type"),
            ("amount", json!("42.50"), "wrong_type"),
            ("amount.minor", json!(-1), "amount_negative"),
            ("amount.minor", json!(0), "amount_zero"),
            ("amount.minor", json!(4250.0), "amount_not_integer"),
            ("amount.minor", json!("4250"), "wrong_type"),
            ("amount.minor", json!(null), "missing_field"),
            ("amount.minor", json!(i64::MAX), "amount_too_large"),
            ("amount.minor", json!(i64::MIN), "amount_too_large"),
            ("amount.minor", json!(u64::MAX), "amount_too_large"),
            ("amount.currency", json!("usd"), "unknown_currency"),
            ("amount.currency", json!("XXX"), "unknown_currency"),
            ("amount.currency", json!(840), "wrong_type"),
            ("billing.minor", json!(-1), "missing_field"),
            ("occurred_at", json!("2026-11-21T19:56:00"), "bad_time"),
            ("occurred_at", json!("2026-11-21 19:56:00Z"), "bad_time"),
            ("occurred_at", json!("2026-11-21T19:56Z"), "bad_time"),
            ("occurred_at", json!("2026-11-21T19:56:00.Z"), "bad_time"),
            ("occurred_at", json!("2026-11-21T19:56:00+0200"), "bad_time"),
            ("occurred_at", json!("2026-11-21T19:56:00Z[UTC]"), "bad_time"),
            ("occurred_at", json!("2026-02-30T19:56:00Z"), "bad_time"),
            ("occurred_at", json!("1969-12-31T23:59:59Z"), "bad_time"),
            ("occurred_at", json!(1_795_291_000), "wrong_type"),
            ("posted_at", json!("soon"), "bad_time"),
            ("time_known", json!("yes"), "wrong_type"),
            ("approved", json!(1), "wrong_type"),
            ("merchant", json!("Blue Bottle"), "wrong_type"),
            ("merchant", json!({"scheme": "visa"}), "missing_field"),
            ("merchant", json!({"mid": "0000", "store_id": "", "descriptor": " "}), "missing_field"),
            ("merchant.mid", json!(445566), "wrong_type"),
            ("merchant.mid", json!(long), "too_long"),
            ("merchant.mid", json!("1\u{0}2"), "bad_identifier"),
            ("merchant.descriptor", json!("x".repeat(513)), "too_long"),
            ("merchant.mcc", json!("581"), "bad_mcc"),
            ("merchant.mcc", json!("58l4"), "bad_mcc"),
            ("merchant.mcc", json!(10_000), "bad_mcc"),
            ("merchant.country", json!("USA"), "bad_country"),
            ("channel", json!("phone"), "unknown_channel"),
            ("sequence", json!(1), "wrong_type"),
            ("sequence", json!([1, 2]), "wrong_type"),
            ("sequence.number", json!(0), "bad_sequence"),
            ("sequence.number", json!(2), "bad_sequence"),
            ("sequence.count", json!(-1), "bad_sequence"),
        ] {
            let body = with(&[(path, value.clone())]).to_string();
            let (got, at) = outcome(&body);
            assert_eq!(got, code, "{path} {value}");
            assert!(
                at == path || code == "missing_field" || (path, at.as_str()) == ("sequence.number", "sequence.count")
            );
            let Message::Impossible { problem, .. } = one(&body) else { panic!() };
            assert!(problem.detail.len() < 250 && !problem.detail.contains("4242"), "{problem}");
        }
        // Not numbers that a JSON library would write.
        for minor in ["1e3", "-0", "-0.0", "4250.00", "1E400000", "123456789012345678901234567890"] {
            let body = sample().to_string().replace("4250", minor);
            match read(&body) {
                Ok(_) => assert!(matches!(outcome(&body).0, "amount_not_integer" | "amount_too_large"), "{minor}"),
                Err(fault) => assert_eq!(fault.problem.code, "not_json", "{minor}"),
            }
        }
    }

    #[test]
    fn amounts_that_may_be_missing_or_nothing() {
        let zero = || ("amount.minor", json!(0));
        for (changes, want) in [
            (vec![("type", json!("reversal")), ("amount", Value::Null)], ("event", "")),
            (vec![("type", json!("expiry")), ("amount", Value::Null)], ("event", "")),
            (vec![("type", json!("advice")), ("amount", Value::Null)], ("missing_field", "amount")),
            (vec![("type", json!("advice")), zero()], ("event", "")),
            (vec![("type", json!("authorization")), zero()], ("ignored", "account_verification")),
            (vec![("type", json!("refund")), zero()], ("amount_zero", "amount.minor")),
            (vec![("approved", json!(false)), zero()], ("ignored", "not_approved")),
            (vec![("approved", json!(false)), ("amount", Value::Null)], ("ignored", "not_approved")),
        ] {
            assert_eq!(outcome(&with(&changes).to_string()), (want.0, want.1.to_owned()), "{changes:?}");
        }
        for kind in EventKind::ALL {
            assert_eq!(event(&[("type", json!(kind.as_str()))]).kind, kind);
        }
        let most = event(&[("amount.minor", json!(field::AMOUNT_MAX))]);
        assert_eq!(most.amount.unwrap().minor, field::AMOUNT_MAX);
    }

    #[test]
    fn marks_that_mean_not_sent_are_dropped() {
        for nothing in [json!(""), json!("0"), json!("000000"), json!(" 0 "), json!(null)] {
            let mark = event(&[
                ("merchant.mid", nothing.clone()),
                ("merchant.acquirer", nothing.clone()),
                ("merchant.store_id", nothing.clone()),
                ("merchant.terminal", nothing.clone()),
                ("merchant.scheme", nothing.clone()),
                ("merchant.country", nothing.clone()),
                ("merchant.postcode", nothing.clone()),
            ])
            .merchant;
            let want = MerchantMark {
                descriptor: Some("SQ *BLUE BOTTLE 0123".into()),
                mcc: Some(5814),
                ..MerchantMark::default()
            };
            assert_eq!(mark, want, "{nothing}");
        }
        assert_eq!(event(&[("merchant.mcc", json!(763))]).merchant.mcc, Some(763));
        assert_eq!(event(&[("merchant.mcc", json!("0763"))]).merchant.mcc, Some(763));
        assert_eq!(event(&[("merchant.mcc", json!("0000"))]).merchant.mcc, None);
    }

    #[test]
    fn card_numbers_are_masked_in_text_and_left_in_merchant_ids() {
        let mark = event(&[
            ("merchant.descriptor", json!("CARD 4242424242424242 OK")),
            ("merchant.mid", json!("4242424242424242")),
            ("merchant.terminal", json!("4242424242424242")),
            ("merchant.scheme", json!("4242424242424242")),
        ])
        .merchant;
        assert_eq!(mark.descriptor.unwrap(), "CARD ************4242 OK");
        assert_eq!(mark.mid.unwrap(), "4242424242424242");
        assert_eq!(mark.terminal.unwrap(), "4242424242424242");
        assert_eq!(mark.scheme.unwrap(), "************4242");
    }

    #[test]
    fn a_key_that_comes_twice_is_refused_wherever_it_matters() {
        let body = sample().to_string();
        for (from, to, path) in [
            (r#""card":"#, r#""card":"x","card":"#, "card"),
            (r#""card":"#, r#""c\u0061rd":"x","card":"#, "card"),
            (r#""minor":"#, r#""minor":1,"minor":"#, "amount.minor"),
            (r#""mid":"#, r#""mid":null,"mid":"#, "merchant.mid"),
            (r#""number":"#, r#""number":2,"number":"#, "sequence.number"),
        ] {
            assert!(body.contains(from));
            assert_eq!(outcome(&body.replacen(from, to, 1)), ("duplicate_key", path.to_owned()));
        }
        // Nothing is kept of keys we do not know, and the same said twice is no doubt.
        assert_eq!(outcome(&body.replacen('{', r#"{"x":1,"x":2,"#, 1)).0, "event");
        assert_eq!(outcome(&body.replacen(r#""number":"#, r#""number":1,"number":"#, 1)).0, "event");
        assert_eq!(outcome(&body.replacen(r#""card":"#, r#""card":"tok_9f8e7d","card":"#, 1)).0, "event");
    }

    #[test]
    fn a_batch_is_judged_event_by_event() {
        let body = json!({"events": [sample(), with(&[("amount.currency", json!("EURO"))]), 5, null, with(&[("approved", json!(false))])]});
        let read = read(&body.to_string()).unwrap();
        assert!(read.batch);
        let places = read.messages.iter().map(|message| match message {
            Message::Event(event) => event.key.to_string(),
            Message::Ignored { id, why } => format!("{} {why}", id.as_deref().unwrap_or("-")),
            Message::Impossible { id, problem } => format!("{} {}", id.as_deref().unwrap_or("-"), problem.path),
        });
        assert_eq!(
            places.collect::<Vec<_>>(),
            ["evt_8f2c", "evt_8f2c events[1].amount.currency", "- events[2]", "- events[3]", "evt_8f2c not_approved"]
        );
    }

    #[test]
    fn a_body_that_cannot_be_read_says_where() {
        let many = |n| format!("{{\"events\":[{}]}}", vec![sample().to_string(); n].join(","));
        assert_eq!(read(&many(500)).unwrap().messages.len(), 500);
        for (body, code, byte) in [
            (r#"{"id" 1}"#.to_owned(), "not_json", Some(6)),
            ("{\n\"id\":\n x}".to_owned(), "not_json", Some(9)),
            (sample().to_string() + "{}", "not_json", Some(sample().to_string().len())),
            (String::new(), "not_json", Some(0)),
            ("[".repeat(100_000), "not_json", Some(99_999)),
            ("{\"a\":".repeat(100_000), "not_json", Some(499_999)),
            (format!("{{\"events\":{}", "[".repeat(100_000)), "not_json", Some(100_009)),
            ("[]".to_owned(), "wrong_shape", None),
            ("[".repeat(100_000) + &"]".repeat(100_000), "wrong_shape", None),
            ("\"card\"".to_owned(), "wrong_shape", None),
            ("17".to_owned(), "wrong_shape", None),
            ("null".to_owned(), "wrong_shape", None),
            (r#"{"events":{}}"#.to_owned(), "wrong_shape", None),
            (r#"{"events":null}"#.to_owned(), "wrong_shape", None),
            (r#"{"events":[],"events":[]}"#.to_owned(), "wrong_shape", None),
            (r#"{"events":[{}],"id":"e"}"#.to_owned(), "wrong_shape", None),
            (r#"{"events":[]}"#.to_owned(), "batch_empty", None),
            (many(501), "batch_too_large", None),
        ] {
            let fault = read(&body).unwrap_err();
            let start = &body[..body.len().min(40)];
            assert_eq!((fault.problem.code, fault.byte), (code, byte), "{start} {fault}");
        }
    }
}
