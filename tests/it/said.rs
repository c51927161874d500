//! Events and terms from words, so that a test is one line.
//!
//! An event: `clear 38.00 EUR part 1/2 @3d posted 4d mcc 7011 at M2 by text`. Its word,
//! its amount (none for a reversal of all), then in any order: a currency, `part n` or
//! `part n/count`, a time (`@` and an RFC 3339 instant, or days, hours, minutes after the
//! base), `posted` time, `mcc`, `at` the merchant (M1), `by` mid, store or text (mid),
//! `unmatched`, `day` (only the day is known), `online`, `shop` (which of the merchant's), `country`, `card` and `source`.
//!
//! Terms: `5% max 10.00 min 5.00 …`, see [`terms`].

use crate::desk::{card, purchase};
use ringfence::domain::card_event::Sequence;
use ringfence::domain::merchant::{Evidence, Matched};
use ringfence::domain::offer::{
    Activation, Amount, Bounds, Comparison, Condition, Count, CountCap, Ladder, LadderTier, Measure, MemberTest,
    Period, PurchaseTest, Reach, Reward, SpendStep, StackingMode, Terms, What, Within,
};
use ringfence::domain::purchase::HeldEvent;
use ringfence::domain::{
    BasisPoints, Channel, Code, Currency, EventKey, EventKind, LocationId, MerchantId, Money, OfferId, Timestamp,
};
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
    let (mut channel, mut location, mut country) = (Channel::InStore, "1", None);
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
            "online" => channel = Channel::Online,
            "shop" => location = next()?,
            "country" => country = Some(next()?),
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
    let matched = merchant.map(|m| Matched {
        location: LocationId::new(location).unwrap(),
        country: country.map(Into::into),
        ..shop(m, zone.unwrap_or_else(|| zone_of(m)), evidence)
    });
    let event = HeldEvent {
        key: EventKey::new(key).map_err(|e| e.to_string())?,
        kind,
        card: card(card_name),
        amount: minor.map(|minor| Money::new(minor, currency)),
        occurred_at,
        time_known,
        posted_at: posted_at.unwrap_or(occurred_at),
        mcc,
        channel,
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
/// `max`, `min`, `budget`, `daily-budget`, `reward-cap` amount, `cap n day|week|month|year|ever`, `hold` days,
/// `activation`, `exclusive group`, `group name`, `priority n`, `holdout n`, `cash`, `starts` and
/// `ends` local time, `hours mon,tue 06:00-12:00` (`all` for every day), and a currency.
pub fn terms(line: &str) -> Result<Terms, String> {
    let mut words = line.split_whitespace();
    let first = words.next().ok_or("no reward")?;
    let reward = if let Some(text) = first.strip_prefix("steps=") {
        let step = |text: &str| {
            let (spend, give) = text.split_once(':')?;
            Some(SpendStep { spend_minor: amount(spend)?, give: amount(give)? })
        };
        let steps: Option<Vec<_>> = text.split(',').map(step).collect();
        Reward { what: What::Money, amount: Amount::Steps(steps.ok_or("steps are `spend:give,…`")?) }
    } else if let Some(text) = first.strip_prefix("points=") {
        // `points=2/1.00`: so many for each so much.
        let (give, spend) = text.split_once('/').ok_or("points are `n/spend`")?;
        let what = What::Points { unit: Code::parse("beans").unwrap(), expires_days: None, worth_of_100_minor: 0 };
        let (give, spend_minor) = (give.parse().map_err(|_| "bad points")?, amount(spend).ok_or("bad spend")?);
        Reward { what, amount: Amount::PerStep { give, spend_minor, max: None } }
    } else if let Some(text) = first.strip_prefix("perk=") {
        // `perk=cup`: one of it.
        let code = Code::parse(text).map_err(|e| e.to_string())?;
        Reward { what: What::Perk { code, expires_days: None, worth_minor: 0 }, amount: Amount::Fixed(1) }
    } else if let Some(text) = first.strip_prefix("round-up=") {
        Reward { what: What::Money, amount: Amount::RoundUp { to_minor: amount(text).ok_or("bad amount")? } }
    } else if let Some(text) = first.strip_prefix("of=") {
        // `of=o1`: as much again as that offer gives.
        let offer = OfferId::new(text).map_err(|e| e.to_string())?;
        Reward { what: What::Money, amount: Amount::OfAnother { offer, basis_points: BasisPoints::WHOLE } }
    } else if first == "fixed" {
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
            "daily-budget" => terms.daily_budget_minor = Some(money(next()?)?),
            "reward-cap" => terms.limits.reward_per_member_minor = Some(money(next()?)?),
            "cap" => {
                let count = number(next()?)?;
                let every = period(next()?)?;
                terms.limits.per_member = Some(CountCap { count, every });
            }
            "first" => terms = terms.and(count(Measure::Purchases, exactly(1), Within::Calendar(Period::Ever))),
            "visits" => {
                let (least, days) = (number(next()?)?, number(next()?)?);
                terms = terms.and(count(Measure::Purchases, at_least(least), Within::Days(days)));
            }
            "nth" => {
                let every = Comparison::Every(number(next()?)?.into());
                terms = terms.and(count(Measure::Purchases, every, Within::Calendar(Period::Ever)));
            }
            "spends" => {
                let reaches = Comparison::Reaches(money(next()?)?);
                terms = terms.and(count(Measure::Spend, reaches, Within::Calendar(period(next()?)?)));
            }
            "each-spend" => {
                let every = Comparison::Every(money(next()?)?);
                terms = terms.and(count(Measure::Spend, every, Within::Calendar(period(next()?)?)));
            }
            "streak" => {
                let (length, every) = (number(next()?)?, period(next()?)?);
                terms = terms.and(count(Measure::Streak(every), at_least(length), Within::Calendar(Period::Ever)));
            }
            "shops" => {
                terms =
                    terms.and(count(Measure::Locations, at_least(number(next()?)?), Within::Calendar(Period::Ever)));
            }
            "categories" => {
                let least = at_least(number(next()?)?);
                terms = terms.and(count(Measure::Categories, least, Within::Calendar(Period::Ever)));
            }
            "lapsed" => {
                terms =
                    terms.and(count(Measure::DaysSince, at_least(number(next()?)?), Within::Calendar(Period::Ever)));
            }
            // Only purchases from so much on are counted, by the count before.
            "of-min" => {
                let least = Bounds { at_least: Some(money(next()?)?), at_most: None };
                match &mut terms.when {
                    Condition::All(all) => match all.last_mut() {
                        Some(Condition::Count(count)) => count.of.push(PurchaseTest::Spend(least)),
                        _ => return Err("`of-min` follows a count".to_owned()),
                    },
                    _ => return Err("`of-min` follows a count".to_owned()),
                }
            }
            "not" => match &mut terms.when {
                Condition::All(all) => {
                    let last = all.pop().ok_or("`not` follows a condition")?;
                    all.push(Condition::Not(Box::new(last)));
                }
                _ => return Err("`not` follows a condition".to_owned()),
            },
            "or" => match &mut terms.when {
                Condition::All(all) if all.len() > 1 => {
                    let last = all.split_off(all.len() - 2);
                    all.push(Condition::Any(last));
                }
                _ => return Err("`or` follows two conditions".to_owned()),
            },
            "online" => terms = terms.and(Condition::Purchase(PurchaseTest::Channel(Channel::Online))),
            "most" => {
                let most = Bounds { at_least: None, at_most: Some(money(next()?)?) };
                terms = terms.and(Condition::Purchase(PurchaseTest::Spend(most)));
            }
            "country" => {
                terms = terms.and(Condition::Purchase(PurchaseTest::Countries(vec![next()?.into()])));
            }
            "in-mcc" => {
                let mcc = next()?.parse().map_err(|_| "bad mcc")?;
                terms = terms.and(Condition::Purchase(PurchaseTest::Mcc(vec![mcc..=mcc])));
            }
            "dates" => {
                let (from, to) = next()?.split_once("..").ok_or("dates are `from..to`")?;
                let date = |text: &str| text.parse().map_err(|_| "bad date");
                terms = terms.and(Condition::Purchase(PurchaseTest::Dates(vec![date(from)?..=date(to)?])));
            }
            // One tier, `gold`: spend, within days, kept for days.
            "tier" => {
                let (spend_minor, window_days, grace_days) = (money(next()?)?, number(next()?)?, number(next()?)?);
                let name = Code::parse("gold").unwrap();
                terms.ladder = Some(Ladder { window_days, grace_days, tiers: vec![LadderTier { name, spend_minor }] });
                terms = terms.and(Condition::Member(MemberTest::Tier(name)));
            }
            "category" => {
                let mcc = next()?.parse().map_err(|_| "bad mcc")?;
                terms.reach = Reach::Category { mcc: vec![mcc..=mcc], except: Vec::new() };
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

fn period(text: &str) -> Result<Period, String> {
    Ok(match text {
        "day" => Period::Day,
        "week" => Period::Week,
        "month" => Period::Month,
        "year" => Period::Year,
        "ever" => Period::Ever,
        other => return Err(format!("unknown period `{other}`")),
    })
}

fn count(what: Measure, is: Comparison, within: Within) -> Condition {
    Condition::Count(Count { what, of: Vec::new(), within, is })
}

fn at_least(n: u32) -> Comparison {
    Comparison::Within(Bounds { at_least: Some(n.into()), at_most: None })
}

fn exactly(n: i64) -> Comparison {
    Comparison::Within(Bounds { at_least: Some(n), at_most: Some(n) })
}
