//! Events and terms from words, so that a test is one line.
//!
//! An event: `clear 38.00 EUR part 1/2 @3d posted 4d mcc 7011 at M2 by text`. Its word,
//! its amount (none for a reversal of all), then in any order: a currency, `part n` or
//! `part n/count`, a time (`@` and an RFC 3339 instant, or days, hours, minutes after the
//! base), `posted` time, `mcc`, `at` the merchant (M1), `by` mid, store or text (mid),
//! `unmatched`, `day` (only the day is known), `card` and `source`.
//!
//! Terms: `5% max 10.00 min 5.00 …`, see [`terms`].

use crate::desk::{card, purchase};
use ringfence::domain::card_event::Sequence;
use ringfence::domain::merchant::{Evidence, Matched};
use ringfence::domain::offer::{Activation, Amount, Condition, CountCap, Period, Reward, StackingMode, Terms};
use ringfence::domain::purchase::HeldEvent;
use ringfence::domain::{Channel, Currency, EventKey, EventKind, LocationId, MerchantId, Money, Timestamp};
use ringfence::record::EventInput;

pub const KINDS: [(&str, EventKind); 11] = [
    ("auth", EventKind::Authorization),
    ("increment", EventKind::Increment),
    ("advice", EventKind::Advice),
    ("reverse", EventKind::Reversal),
    ("expire", EventKind::Expiry),
    ("clear", EventKind::Clearing),
    ("clear-reversal", EventKind::ClearingReversal),
    ("refund", EventKind::Refund),
    ("refund-reversal", EventKind::RefundReversal),
    ("chargeback", EventKind::Chargeback),
    ("chargeback-reversal", EventKind::ChargebackReversal),
];

/// `12.34` as minor units of a currency with two decimals.
pub fn amount(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.')?;
    if part.len() != 2 {
        return None;
    }
    Some(whole.parse::<i64>().ok()? * 100 + part.parse::<i64>().ok()?)
}

/// The zone of a shop by its merchant's name.
pub fn zone_of(merchant: &str) -> &'static str {
    match merchant {
        "york" => "America/New_York",
        "london" => "Europe/London",
        "kolkata" => "Asia/Kolkata",
        "auckland" => "Pacific/Auckland",
        _ => "UTC",
    }
}

pub fn shop(merchant: &str, zone: &str, evidence: Evidence) -> Matched {
    Matched {
        merchant: MerchantId::new(merchant).unwrap(),
        location: LocationId::new("1").unwrap(),
        evidence,
        time_zone: zone.into(),
        country: None,
    }
}

/// An instant, or a distance from the base: `3d`, `5h`, `10m`.
pub fn time(text: &str, base: Timestamp) -> Option<Timestamp> {
    let unit = match text.as_bytes().last()? {
        b'd' => 86_400_000,
        b'h' => 3_600_000,
        b'm' => 60_000,
        _ => {
            let full = match text.len() {
                10 => format!("{text}T00:00:00Z"),
                16 => format!("{text}:00Z"),
                _ => text.to_owned(),
            };
            return Timestamp::parse(&full).ok();
        }
    };
    Some(base.plus_ms(text[..text.len() - 1].parse::<i64>().ok()? * unit))
}

/// An event from words; panics with the word it does not know.
pub fn event(line: &str, base: Timestamp, purchase_id: &str, key: &str) -> EventInput {
    try_event(line, base, purchase_id, key).unwrap_or_else(|problem| panic!("{problem} in `{line}`"))
}

pub fn try_event(line: &str, base: Timestamp, purchase_id: &str, key: &str) -> Result<EventInput, String> {
    let mut words = line.split_whitespace().peekable();
    let word = words.next().ok_or("no event")?;
    let kind = KINDS.iter().find(|(w, _)| *w == word).ok_or_else(|| format!("unknown event `{word}`"))?.1;
    let minor = words.peek().and_then(|word| amount(word));
    if minor.is_some() {
        words.next();
    }
    let (mut currency, mut sequence, mut occurred_at, mut posted_at) = ("USD", None, base, None);
    let (mut mcc, mut merchant, mut evidence, mut time_known) = (None, Some("M1"), Evidence::Mid, true);
    let (mut card_name, mut source_name, mut zone) = ("ann", "net", None);
    while let Some(word) = words.next() {
        let mut next = || words.next().ok_or_else(|| format!("nothing after `{word}`"));
        match word {
            "part" => {
                let text = next()?;
                let (number, count) = text.split_once('/').map_or((text, None), |(n, c)| (n, Some(c)));
                let number = number.parse().map_err(|_| "bad part")?;
                let count = count.map(|c| c.parse().map_err(|_| "bad count")).transpose()?;
                sequence = Some(Sequence { number, count });
            }
            "posted" => posted_at = Some(time(next()?, base).ok_or("bad time")?),
            "mcc" => mcc = Some(next()?.parse().map_err(|_| "bad mcc")?),
            "at" => merchant = Some(next()?),
            "zone" => zone = Some(next()?),
            "unmatched" => merchant = None,
            "day" => time_known = false,
            "card" => card_name = next()?,
            "source" => source_name = next()?,
            "by" => {
                evidence = match next()? {
                    "mid" => Evidence::Mid,
                    "store" => Evidence::StoreId,
                    "text" => Evidence::Descriptor,
                    other => return Err(format!("unknown evidence `{other}`")),
                }
            }
            _ if word.starts_with('@') => {
                occurred_at = time(&word[1..], base).ok_or_else(|| format!("bad time `{word}`"))?;
            }
            _ if Currency::parse(word).is_ok() => currency = word,
            _ => return Err(format!("unknown word `{word}`")),
        }
    }
    let currency = Currency::parse(currency).map_err(|e| e.to_string())?;
    let matched = merchant.map(|m| shop(m, zone.unwrap_or_else(|| zone_of(m)), evidence));
    let event = HeldEvent {
        key: EventKey::new(key).map_err(|e| e.to_string())?,
        kind,
        card: card(card_name),
        amount: minor.map(|minor| Money::new(minor, currency)),
        occurred_at,
        time_known,
        posted_at: posted_at.unwrap_or(occurred_at),
        mcc,
        channel: Channel::InStore,
        sequence,
        matched: None,
        content: xxhash_rust::xxh3::xxh3_64(line.as_bytes()),
        answer: Vec::new(),
    };
    Ok(EventInput { purchase: purchase(source_name, purchase_id), event, matched })
}

/// Terms without any condition.
pub fn plain_terms(merchant: &str, reward: Reward) -> Terms {
    Terms {
        hold_days: 14,
        ..Terms::new(MerchantId::new(merchant).unwrap(), "test", Currency::parse("USD").unwrap(), reward)
    }
}

/// Terms from words: `5%` or `fixed 3.00` first (percent with decimals, `12.5%`), then in any order `merchant M`,
/// `max`, `min`, `budget`, `reward-cap` amount, `cap n day|week|month|year|ever`, `hold` days,
/// `activation`, `exclusive group`, `group name`, `priority n`, `holdout n`, `cash`, `starts` and
/// `ends` local time, `hours mon,tue 06:00-12:00` (`all` for every day), and a currency.
pub fn terms(line: &str) -> Result<Terms, String> {
    let mut words = line.split_whitespace();
    let first = words.next().ok_or("no reward")?;
    let reward = if first == "fixed" {
        Reward::fixed(words.next().and_then(amount).ok_or("bad fixed amount")?)
    } else {
        let rate = first.strip_suffix('%').ok_or("a reward is `n%` or `fixed n`")?;
        let (whole, part) = rate.split_once('.').unwrap_or((rate, ""));
        let hundredths: u32 = format!("{whole}{part:0<2}").parse().map_err(|_| "bad rate")?;
        Reward::percent(hundredths, None)
    };
    let mut terms = plain_terms("M1", reward);
    while let Some(word) = words.next() {
        let mut next = || words.next().ok_or_else(|| format!("nothing after `{word}`"));
        let money = |text: &str| amount(text).ok_or_else(|| format!("bad amount `{text}`"));
        let number = |text: &str| text.parse::<u32>().map_err(|_| format!("bad number `{text}`"));
        match word {
            "merchant" => terms.merchant = MerchantId::new(next()?).map_err(|e| e.to_string())?,
            "max" => {
                let max = money(next()?)?;
                match &mut terms.reward.amount {
                    Amount::Share { max: most, .. } => *most = Some(max),
                    _ => return Err("only a share of the purchase has a max".to_owned()),
                }
            }
            "min" => terms = terms.and(Condition::spend_at_least(money(next()?)?)),
            "budget" => terms.budget_minor = Some(money(next()?)?),
            "reward-cap" => terms.limits.reward_per_member_minor = Some(money(next()?)?),
            "cap" => {
                let count = number(next()?)?;
                let every = match next()? {
                    "day" => Period::Day,
                    "week" => Period::Week,
                    "month" => Period::Month,
                    "year" => Period::Year,
                    "ever" => Period::Ever,
                    other => return Err(format!("unknown period `{other}`")),
                };
                terms.limits.per_member = Some(CountCap { count, every });
            }
            "hold" => terms.hold_days = number(next()?)?,
            "activation" => terms.activation = Activation::Required,
            "exclusive" => {
                terms.stacking.mode = StackingMode::Exclusive;
                terms.stacking.group = Some(next()?.into());
            }
            "group" => terms.stacking.group = Some(next()?.into()),
            "priority" => terms.stacking.priority = next()?.parse().map_err(|_| "bad priority")?,
            "holdout" => terms.holdout_percent = next()?.parse().map_err(|_| "bad holdout")?,
            "cash" => terms.cash_like = true,
            "starts" => terms.starts = Some(next()?.parse().map_err(|_| "bad local time")?),
            "ends" => terms.ends = Some(next()?.parse().map_err(|_| "bad local time")?),
            "hours" => {
                let days = days(next()?)?;
                let window = next()?;
                let (from, to) = window.split_once('-').ok_or("a window is `from-to`")?;
                let (from_minute, to_minute) = (minute(from)?, minute(to)?);
                terms = terms.and(Condition::local_time(days, from_minute, to_minute));
            }
            _ => terms.currency = Currency::parse(word).map_err(|_| format!("unknown word `{word}`"))?,
        }
    }
    Ok(terms)
}

fn days(text: &str) -> Result<u8, String> {
    if text == "all" {
        return Ok(127);
    }
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    text.split(',').try_fold(0, |bits, day| {
        let place = names.iter().position(|name| *name == day).ok_or_else(|| format!("unknown day `{day}`"))?;
        Ok(bits | 1 << place)
    })
}

fn minute(text: &str) -> Result<u16, String> {
    let (hour, minute) = text.split_once(':').ok_or("a time is `hh:mm`")?;
    let parse = |text: &str| text.parse::<u16>().map_err(|_| format!("bad time `{text}`"));
    Ok(parse(hour)? * 60 + parse(minute)?)
}
