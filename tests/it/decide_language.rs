//! The offer language, a row per rule: what a member's purchases earn, one after the other.

use crate::decide_offers::{base, desk};
use crate::desk::Desk;
use crate::said;
use ringfence::decide::explain;
use ringfence::domain::Currency;
use ringfence::domain::member::SealedTotal;

/// What stands in the books of each purchase, in their order: `3.00`, `-` for nothing; several
/// offers with `+`.
fn granted(desk: &Desk) -> String {
    let of = |placed: &ringfence::decide::member::Placed| {
        let grants = placed.purchase.grants.iter().filter(|grant| grant.amount_minor > 0);
        let each: Vec<String> =
            grants.map(|grant| format!("{}.{:02}", grant.amount_minor / 100, grant.amount_minor % 100)).collect();
        if each.is_empty() { "-".to_owned() } else { each.join("+") }
    };
    desk.member.purchases.iter().map(of).collect::<Vec<_>>().join(" ")
}

/// Some events, `/` between them, in the order given and in the other; each opens a purchase
/// of its number, or is of the purchase that `p1:` names.
#[track_caller]
fn check(offers: &[&str], events: &str, expected: &str) {
    let events: Vec<&str> = events.split('/').map(str::trim).collect();
    let run = |order: &mut dyn Iterator<Item = usize>| {
        let mut desk = desk(offers);
        for n in order {
            let (purchase, line) = match events[n].split_once(": ") {
                Some((purchase, line)) => (purchase.to_owned(), line),
                None => (format!("p{}", n + 1), events[n]),
            };
            desk.event(said::event(line, base(), &purchase, &format!("e{n}"))).expect("a new event");
            desk.audit();
        }
        granted(&desk)
    };
    assert_eq!(run(&mut (0..events.len())), expected, "{offers:?}: {events:?}");
    assert_eq!(run(&mut (0..events.len()).rev()), expected, "in the other order, {offers:?}: {events:?}");
}

#[test]
fn first_and_nth_purchases() {
    let three = "clear 10.00 / clear 10.00 @1d / clear 10.00 @2d / clear 10.00 @3d";
    check(&["fixed 3.00 first"], three, "3.00 - - -");
    check(&["fixed 3.00 nth 2"], three, "- 3.00 - 3.00");
    check(&["fixed 3.00 nth 3"], three, "- - 3.00 -");
    // The third is refunded: the fourth becomes the third.
    check(&["fixed 3.00 nth 3"], &format!("{three} / p3: refund 10.00 @9d"), "- - - 3.00");
    // One below the condition's own minimum does not stand.
    check(&["fixed 3.00 nth 2 of-min 8.00"], "clear 10.00 / clear 5.00 @1d / clear 9.00 @2d", "- - 3.00");
    // And is not rewarded itself, though two came before.
    check(&["fixed 3.00 nth 2 of-min 8.00"], "clear 10.00 / clear 9.00 @1d / clear 5.00 @2d", "- 3.00 -");
    // Another merchant's purchases are none of this one's.
    check(&["fixed 3.00 nth 2"], "clear 10.00 / clear 10.00 at M2 @1d / clear 10.00 @2d", "- - 3.00");
    check(&["fixed 3.00 visits 2 7"], "clear 10.00 / clear 10.00 @8d / clear 10.00 @14d", "- - 3.00");
}

#[test]
fn cumulative_spend() {
    let events = "clear 40.00 / clear 40.00 @1d / clear 40.00 @2d / clear 90.00 @3d";
    check(&["fixed 5.00 spends 100.00 month"], events, "- - 5.00 -");
    check(&["fixed 5.00 each-spend 100.00 month"], events, "- - 5.00 5.00");
    // A partial refund of the first moves what was reached to the fourth.
    check(&["fixed 5.00 spends 100.00 month"], &format!("{events} / p1: refund 30.00 @9d"), "- - - 5.00");
    // A new month begins at nothing.
    check(&["fixed 5.00 spends 50.00 month"], "clear 40.00 @27d / clear 40.00 @29d / clear 40.00 @30d", "- - 5.00");
    // Another currency is no spend.
    check(&["fixed 5.00 spends 50.00 month"], "clear 40.00 EUR / clear 40.00 @1d / clear 40.00 @2d", "- - 5.00");
}

#[test]
fn streaks_shops_categories_and_lapses() {
    let days = "clear 10.00 / clear 10.00 @1d / clear 10.00 @1d / clear 10.00 @2d / clear 10.00 @4d / clear 10.00 @5d";
    check(&["fixed 1.00 streak 3 day"], days, "- - - 1.00 - -");
    check(&["fixed 1.00 streak 2 month"], "clear 10.00 / clear 10.00 @29d / clear 10.00 @122d", "- 1.00 -");
    let shops = "clear 10.00 / clear 10.00 @1d / clear 10.00 shop 2 @2d / clear 10.00 @3d";
    check(&["fixed 1.00 shops 2"], shops, "- - 1.00 1.00");
    check(&["fixed 1.00 shops 2"], &format!("{shops} / p3: refund 10.00 @5d"), "- - - -");
    check(
        &["fixed 1.00 categories 2"],
        "clear 10.00 mcc 5812 / clear 10.00 mcc 5812 @1d / clear 10.00 mcc 5411 @2d",
        "- - 1.00",
    );
    check(&["fixed 1.00 lapsed 60"], "clear 10.00 / clear 10.00 @59d / clear 10.00 @119d", "- - 1.00");
    // With the one between refunded, the last comes after 119 days; the first is nobody's return.
    check(
        &["fixed 1.00 lapsed 60"],
        "clear 10.00 / clear 10.00 @59d / p2: refund 10.00 @60d / clear 10.00 @70d",
        "- - 1.00",
    );
}

#[test]
fn tiers_rise_over_night_and_fall_late() {
    let gold = "tier 50.00 30 10";
    // Bought on the day it is reached: not yet.
    check(&[&format!("10% {gold}")], "clear 50.00 / clear 10.00 @1h / clear 10.00 @1d", "- - 1.00");
    // Day 30 drops out of the window of 30 days, and ten days of grace follow.
    check(&[&format!("10% {gold}")], "clear 50.00 / clear 10.00 @39d / clear 10.00 @40d", "- 1.00 -");
    check(&[&format!("10% {gold}")], "clear 50.00 / p1: refund 1.00 @1d / clear 10.00 @2d", "- -");
}

#[test]
fn purchases_as_such() {
    check(&["5% online"], "clear 10.00 / clear 10.00 online @1d", "- 0.50");
    check(&["5% online not"], "clear 10.00 / clear 10.00 online @1d", "0.50 -");
    check(&["5% most 20.00"], "clear 20.00 / clear 20.01 @1d", "1.00 -");
    check(&["5% country GB"], "clear 10.00 country GB / clear 10.00 country US @1d / clear 10.00 @2d", "0.50 - -");
    check(&["5% in-mcc 5812"], "clear 10.00 mcc 5812 / clear 10.00 mcc 5813 @1d / clear 10.00 @2d", "0.50 - -");
    check(&["5% dates 2026-11-02..2026-11-03"], "clear 10.00 / clear 10.00 @1d / clear 10.00 @2d", "0.50 0.50 -");
    check(&["5% dates 2026-11-03..2026-11-03 not"], "clear 10.00 / clear 10.00 @1d / clear 10.00 @2d", "0.50 - 0.50");
    check(
        &["5% online in-mcc 5812 or"],
        "clear 10.00 / clear 10.00 online @1d / clear 10.00 mcc 5812 @2d",
        "- 0.50 0.50",
    );
    // The date is the shop's: half past eleven in the evening in Auckland is still the 2nd there.
    check(
        &["5% merchant auckland dates 2026-11-03..2026-11-03"],
        "clear 10.00 at auckland @-2h / clear 10.00 at auckland",
        "- 0.50",
    );
    // An hour that nobody told is neither inside nor outside.
    check(&["5% hours all 06:00-12:00 not"], "clear 10.00 day", "-");
}

#[test]
fn amounts() {
    check(
        &["steps=50.00:5.00,100.00:12.00"],
        "clear 49.99 / clear 50.00 @1d / clear 99.99 @2d / clear 100.00 @3d",
        "- 5.00 5.00 12.00",
    );
    check(&["round-up=1.00"], "clear 9.30 / clear 9.00 @1d / clear 0.01 @2d", "0.70 - 0.01");
    // As much again as the other gives, while the purchase has room.
    check(&["5%", "of=o1 online"], "clear 10.00 / clear 10.00 online @1d", "0.50 0.50+0.50");
    check(&["60%", "of=o1"], "clear 10.00", "6.00+4.00");
    check(&["5% min 50.00", "of=o1"], "clear 10.00", "-");
}

#[test]
fn offers_over_a_category_take_any_merchant() {
    let events = "clear 10.00 mcc 5812 / clear 10.00 mcc 5411 @1d / clear 10.00 mcc 5812 at M2 @2d / clear 10.00 mcc 5812 unmatched @3d";
    check(&["5% merchant bank category 5812"], events, "0.50 - 0.50 0.50");
    check(&["fixed 2.00 merchant bank category 5812 nth 3"], events, "- - - 2.00");
    // A refund at one shop changes what was bought at another.
    check(&["fixed 2.00 merchant bank category 5812 nth 2"], &format!("{events} / p1: refund 10.00 @9d"), "- - - 2.00");
}

/// A reward that rests on earlier purchases waits until those are cleared too.
#[test]
fn a_reward_is_posted_when_all_it_rests_on_is_cleared() {
    use ringfence::domain::purchase::Stage;
    let mut desk = desk(&["fixed 3.00 nth 2 hold 5"]);
    desk.event(said::event("auth 10.00", base(), "p1", "e1"));
    desk.event(said::event("clear 10.00 @1d", base(), "p2", "e2"));
    let stage = |desk: &Desk| {
        let grant = &desk.member.purchases[1].purchase.grants[0];
        (grant.stage, grant.available_at)
    };
    assert_eq!(stage(&desk), (Stage::Pending, None));
    desk.event(said::event("clear 10.00 @3d", base(), "p1", "e3"));
    assert_eq!(stage(&desk), (Stage::Posted, Some(base().plus_days(8))));
    // Lapsed instead: there is no second purchase.
    let mut desk = crate::decide_offers::desk(&["fixed 3.00 nth 2 hold 5"]);
    desk.event(said::event("auth 10.00", base(), "p1", "e1"));
    desk.event(said::event("clear 10.00 @1d", base(), "p2", "e2"));
    desk.mark(base().plus_days(11));
    assert_eq!(granted(&desk), "- -");
}

/// Every leaf says what it needs and what it has, from the evaluation that decides.
#[test]
fn why_and_why_not_for_every_condition() {
    let mut desk = desk(&["5% min 20.00 shops 2 online not lapsed 3"]);
    desk.event(said::event("clear 10.00", base(), "p1", "e1"));
    desk.event(said::event("clear 12.00 @2d", base(), "p2", "e2"));
    let explained = explain(&desk.member, 1, &desk.shelf, &desk.policy, desk.mark);
    let words: Vec<String> = explained[0]
        .1
        .iter()
        .map(|found| format!("{} {}", found.holds != found.negated, found.told.detail(Currency::parse("USD").unwrap())))
        .collect();
    assert_eq!(
        words,
        [
            "false needs 20.00 USD, has 12.00 USD",
            "false needs at least 2 different locations, has 1",
            "true needs a purchase online, was in a shop",
            "false needs at least 3 days since the purchase before, has 2",
        ]
    );
}

/// Also before any purchase there stands beside what was sealed.
#[test]
fn sealed_purchases_count_where_everything_does() {
    for (offer, expected) in [("fixed 3.00 first", "-"), ("fixed 3.00 nth 3", "3.00"), ("fixed 3.00 nth 4", "-")] {
        let mut desk = desk(&[offer]);
        let shop = desk.shelf.all().next().expect("an offer").merchant().clone();
        let usd = Currency::parse("USD").unwrap();
        let sealed = SealedTotal { purchases: 2, worth_minor: 2_000, ..SealedTotal::new(shop, usd.into()) };
        desk.member.head.sealed.push(sealed);
        desk.event(said::event("clear 10.00", base(), "p1", "e1")).expect("a new event");
        assert_eq!(granted(&desk), expected, "{offer}");
    }
}
