//! The rule as tables: what the referred member bought, and which purchase qualifies; what is
//! held of tellings that come in any order.

use super::*;
use crate::decide::apply::{Touched, apply_input};
use crate::domain::member::{CardLink, MemberHead};
use crate::domain::merchant::{Evidence, Matched};
use crate::domain::offer::{LifeChange, LifeStep, OfferVersion, Reward};
use crate::domain::purchase::{HeldEvent, Occasion};
use crate::domain::{CardHash, Channel, Currency, EventKey, EventKind, LocationId, Money, SourceName};
use crate::record::{EventInput, MemberInput};

const CARD: CardHash = CardHash([7; 16]);

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

/// `10.5`: noon of the tenth day.
fn time(text: &str) -> Timestamp {
    let (day, part) = text.split_once('.').unwrap_or((text, "0"));
    Timestamp::start_of_day(day.parse().unwrap()).plus_ms(part.parse::<i64>().unwrap() * 8_640_000)
}

/// From the beginning 20.00 at the shop; from day 20 on 50.00.
fn offer() -> Offer {
    let id = OfferId::new("friend").unwrap();
    let terms = |minor| {
        let mut terms = Terms::new(MerchantId::new("shop").unwrap(), "Friend", usd(), Reward::fixed(500));
        terms.trigger = Trigger::Referral { spend_at_least_minor: minor, referred: None };
        terms
    };
    let version = |version, minor| OfferVersion { offer: id.clone(), version, terms: terms(minor) };
    let published = |day, number| LifeStep { effective: time(day), change: LifeChange::Published(number) };
    let versions = vec![version(1, 2_000), version(2, 5_000)];
    Offer { versions, life: vec![published("0", 1), published("20", 2)], id }
}

/// Referred on day 10; the card is theirs from day 5 to day 40.
fn referred() -> MemberState {
    let mut head = MemberHead::new(MemberId::new("bob").unwrap(), time("1"));
    head.referred_by = Some((MemberId::new("ann").unwrap(), time("10")));
    let source = SourceName::new("net").unwrap();
    head.cards.push(CardLink { source, card: CARD, from: time("5"), to: Some(time("40")), group: 0, token: None });
    MemberState::new(head)
}

/// `p1 clear 2000 @11 [of p0] [at shop] [EUR] [mcc 5814]`
fn event(line: &str) -> MemberInput {
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |word: &str| words.iter().position(|found| *found == word).map(|place| words[place + 1]);
    let kind = match words[1] {
        "auth" => EventKind::Authorization,
        "clear" => EventKind::Clearing,
        "refund" => EventKind::Refund,
        other => panic!("{other} in `{line}`"),
    };
    let at = time(words[3].strip_prefix('@').unwrap());
    let currency = if words.contains(&"EUR") { Currency::parse("EUR").unwrap() } else { usd() };
    let event = HeldEvent {
        key: EventKey::new(words[0]).unwrap(),
        kind,
        card: CARD,
        amount: Some(Money::new(words[2].parse().unwrap(), currency)),
        occurred_at: at,
        time_known: true,
        posted_at: at,
        mcc: after("mcc").map(|mcc| mcc.parse().unwrap()),
        channel: Channel::InStore,
        sequence: None,
        matched: None,
        content: 0,
        answer: Vec::new(),
    };
    let matched = Matched {
        merchant: MerchantId::new(after("at").unwrap_or("shop")).unwrap(),
        location: LocationId::new("main").unwrap(),
        evidence: Evidence::Mid,
        time_zone: "America/New_York".into(),
        country: None,
    };
    let id = PurchaseId::new(after("of").unwrap_or(words[0])).unwrap();
    let purchase = PurchaseKey { source: SourceName::new("net").unwrap(), id };
    MemberInput::Event(Box::new(EventInput { purchase, event, matched: Some(matched) }))
}

fn found(member: &MemberState, offer: &Offer, mark: &str) -> Option<String> {
    let (place, qualified) = qualified(member, offer, time(mark), &LapsePolicy::default())?;
    assert_eq!(member.purchases[place].purchase.key, qualified.purchase);
    let cleared = if qualified.cleared_at.is_some() { "" } else { " pending" };
    Some(format!("{}{cleared}", qualified.purchase.id))
}

#[test]
fn the_first_large_enough_that_stands_qualifies() {
    for (lines, want) in [
        (&[][..], None),
        (&["a clear 2000 @11"], Some("a")),
        (&["a clear 1999 @11"], None),
        (&["a clear 1999 @11", "b clear 2000 @12"], Some("b")),
        (&["b clear 2000 @12", "a clear 2000 @11"], Some("a")),
        // At one instant the key decides.
        (&["b clear 2000 @12", "a clear 3000 @12"], Some("a")),
        // Not before the referral, and on its very instant.
        (&["a clear 9000 @9.9"], None),
        (&["a clear 2000 @10"], Some("a")),
        (&["a auth 2000 @11"], Some("a pending")),
        // Elsewhere, in another currency.
        (&["a clear 2000 @11 at other"], None),
        (&["a clear 2000 @11 EUR"], None),
        // As the version in force then asks for.
        (&["a clear 4999 @20"], None),
        (&["a clear 4999 @20", "b clear 5000 @21"], Some("b")),
        (&["a clear 4999 @19.9"], Some("a")),
        // Only while the card is theirs.
        (&["a clear 9000 @40"], None),
        // What a refund leaves.
        (&["a clear 3000 @11", "r refund 1000 @12 of a"], Some("a")),
        (&["a clear 3000 @11", "r refund 1001 @12 of a", "b clear 2000 @13"], Some("b")),
        // A refund that names none comes off the one it fits.
        (&["a clear 3000 @11", "r refund 3000 @12", "b clear 2000 @13"], Some("b")),
    ] {
        let mut member = referred();
        for line in lines {
            apply_input(&mut member, &event(line), &mut Touched::default());
        }
        assert_eq!(found(&member, &offer(), "15").as_deref(), want, "{lines:?}");
    }
}

#[test]
fn life_reach_and_lapse_count() {
    let mut member = referred();
    apply_input(&mut member, &event("a auth 2000 @11"), &mut Touched::default());
    assert_eq!(found(&member, &offer(), "20").as_deref(), Some("a pending"));
    assert_eq!(found(&member, &offer(), "21"), None, "lapsed");
    let mut paused = offer();
    paused.step(LifeStep { effective: time("10.5"), change: LifeChange::Paused });
    assert_eq!(found(&member, &paused, "15"), None);
    let mut later = offer();
    later.versions[0].terms.starts = Some("1970-01-12T00:00:00".parse().unwrap());
    assert_eq!(found(&member, &later, "15"), None, "the shop's clock shows the evening before");
    let mut anywhere = offer();
    let except = vec![MerchantId::new("rival").unwrap()];
    anywhere.versions[0].terms.reach = Reach::Category { mcc: vec![5811..=5814], except };
    for (line, want) in [
        ("b clear 2000 @12 at other mcc 5812", Some("b")),
        ("b clear 2000 @12 at rival mcc 5812", None),
        ("b clear 2000 @12 at other mcc 5411", None),
        ("b clear 2000 @12 at other", None),
    ] {
        let mut member = referred();
        apply_input(&mut member, &event(line), &mut Touched::default());
        assert_eq!(found(&member, &anywhere, "15").as_deref(), want, "{line}");
    }
}

#[test]
fn nobody_who_was_not_referred_qualifies_and_a_sealed_purchase_is_final() {
    let mut member = referred();
    apply_input(&mut member, &event("a clear 2000 @11"), &mut Touched::default());
    let offers = [offer()];
    let tell = |member: &MemberState| told(member, &offers, time("15"), &LapsePolicy::default());
    let before = tell(&member);
    assert_eq!(before.len(), 1);
    member.head.qualified.push((offers[0].id.clone(), before[0].qualified.clone()));
    member.purchases.clear();
    apply_input(&mut member, &event("b clear 2000 @12"), &mut Touched::default());
    assert_eq!(tell(&member), before);
    assert_eq!(found(&member, &offers[0], "15"), None);
    member.head.referred_by = None;
    assert!(tell(&member).is_empty());
}

#[test]
fn inv_04_the_higher_version_wins_in_any_order() {
    let referral = |version, at: Option<&str>| Referral {
        offer: OfferId::new("friend").unwrap(),
        referred: MemberId::new("bob").unwrap(),
        referred_at: time("10"),
        version,
        qualified: at.map(|at| Qualified {
            purchase: PurchaseKey { source: SourceName::new("net").unwrap(), id: PurchaseId::new("a").unwrap() },
            at: time(at),
            cleared_at: None,
        }),
        clear: true,
        barred: false,
    };
    let all = [referral(1, Some("11")), referral(4, None), referral(3, Some("12")), referral(4, Some("13"))];
    for order in [[0, 1, 2, 1], [2, 1, 0, 3], [1, 1, 0, 2], [2, 0, 1, 3]] {
        let mut member = MemberState::new(MemberHead::new(MemberId::new("ann").unwrap(), time("1")));
        for place in order {
            apply_input(&mut member, &MemberInput::ReferralTold(all[place].clone()), &mut Touched::default());
        }
        let [placed] = member.purchases.as_slice() else { panic!("{member:?}") };
        assert_eq!(placed.purchase.occasion, Some(Occasion::Referral(all[1].clone())), "{order:?}");
        assert_eq!(placed.time, time("10"), "without a purchase it stands where it was made");
    }
}

#[test]
fn keys_are_bounded_and_never_shared() {
    let key = |offer: &str, referred: &str| {
        super::key(&OfferId::new(offer).unwrap(), &MemberId::new(referred).unwrap()).id.to_string()
    };
    assert_eq!(key("friend", "bob"), "friend:bob");
    assert_ne!(key("a:b", "c"), key("a", "b:c"));
    let (long, other) = ("x".repeat(128), format!("{}y", "x".repeat(127)));
    assert_eq!(key(&long, &long).len(), 65);
    assert_ne!(key(&long, &long), key(&long, &other));
}
