//! What offers give, and the first reason why not: a row per rule and edge.

use crate::desk::{Desk, Shelf, Step, card, link, purchase, usd};
use crate::said;
use ringfence::decide::judge::Raises;
use ringfence::decide::{Policy, Scope, judge};
use ringfence::domain::member::{ActivationStep, Standing, StandingOrigin, StandingStep};
use ringfence::domain::offer::{LifeChange, LifeStep, OfferVersion};
use ringfence::domain::time::DAY_MS;
use ringfence::domain::{MemberId, MerchantId, OfferId, Timestamp};
use ringfence::ledger::AccountKind;
use ringfence::record::MemberInput;

pub fn base() -> Timestamp {
    Timestamp::parse("2026-11-02T12:00:00Z").unwrap()
}

/// A desk with offers `o1`, `o2`, … by their terms.
pub fn desk(offers: &[&str]) -> Desk {
    let mut shelf = Shelf::default();
    for (n, line) in offers.iter().enumerate() {
        shelf.publish(&format!("o{}", n + 1), said::terms(line).unwrap_or_else(|p| panic!("{p} in `{line}`")));
    }
    Desk::new(shelf)
}

/// A purchase's lines as `2.00` or the code of the refusal, offers parted by spaces.
fn buy(desk: &mut Desk, id: &str, line: &str) -> String {
    let input = said::event(line, base(), id, &format!("{id} {line}"));
    let key = input.purchase.clone();
    let step = desk.event(input).expect("a new event");
    desk.audit();
    lines(desk, &step, &key)
}

fn lines(desk: &Desk, step: &Step, key: &ringfence::domain::PurchaseKey) -> String {
    let at = desk.member.find(key).unwrap();
    let judged = step.judged.iter().find(|judged| judged.index == at);
    let lines = judged.into_iter().flat_map(|judged| &judged.lines);
    let text = lines.map(|line| match &line.refusal {
        Some(refusal) if line.due_minor == 0 => refusal.code().to_owned(),
        _ => format!("{}.{:02}", line.due_minor / 100, line.due_minor % 100),
    });
    text.collect::<Vec<_>>().join(" ")
}

/// One purchase under some offers.
#[track_caller]
fn check(offers: &[&str], line: &str, expected: &str) {
    assert_eq!(buy(&mut desk(offers), "p", line), expected, "{offers:?}: {line}");
}

#[test]
fn a_percentage_is_rounded_down_once_per_purchase_and_offer() {
    check(&["5%"], "auth 42.50", "2.12");
    check(&["5%"], "auth 42.59", "2.12");
    check(&["5%"], "auth 42.60", "2.13");
    check(&["12.5%"], "auth 0.08", "0.01");
    check(&["12.5%"], "auth 0.07", "reward_rounds_to_zero");
    check(&["100%"], "auth 42.59", "42.59");
    // Once: two clearings of 0.19 give a cent together and nothing apart.
    let mut desk = desk(&["5%"]);
    assert_eq!(buy(&mut desk, "p", "clear 0.19"), "reward_rounds_to_zero");
    assert_eq!(buy(&mut desk, "p", "clear 0.19 @1m"), "0.01");
}

#[test]
fn fixed_rewards_maximum_and_minimum() {
    check(&["fixed 3.00"], "auth 42.50", "3.00");
    check(&["fixed 3.00"], "auth 2.00", "2.00");
    check(&["5% max 2.00"], "auth 42.50", "2.00");
    check(&["5% max 2.12"], "auth 42.50", "2.12");
    check(&["5% min 42.50"], "auth 42.50", "2.12");
    check(&["5% min 42.51"], "auth 42.50", "spend_too_low");
    // The worth decides, not one event: a refund may take it below, an increment above.
    let mut desk = desk(&["5% min 30.00"]);
    assert_eq!(buy(&mut desk, "p", "auth 20.00"), "spend_too_low");
    assert_eq!(buy(&mut desk, "p", "increment 20.00 @1m"), "2.00");
    assert_eq!(buy(&mut desk, "p", "clear 40.00 @2m"), "2.00");
    assert_eq!(buy(&mut desk, "p", "refund 10.01 @3m"), "spend_too_low");
    assert_eq!(buy(&mut desk, "p", "refund-reversal 10.01 @4m"), "2.00");
    assert_eq!(buy(&mut desk, "p", "refund 40.00 @5m"), "nothing_stands");
}

#[test]
fn dates_are_the_shops_own_across_changes_of_clocks() {
    let rows = [
        // New York: the offer begins under daylight saving and ends after it.
        ("york", "2026-11-01T00:00", "2026-11-02T00:00", "2026-11-01T03:59:59Z", "not_started"),
        ("york", "2026-11-01T00:00", "2026-11-02T00:00", "2026-11-01T04:00:00Z", "1.00"),
        ("york", "2026-11-01T00:00", "2026-11-02T00:00", "2026-11-02T04:59:59Z", "1.00"),
        ("york", "2026-11-01T00:00", "2026-11-02T00:00", "2026-11-02T05:00:00Z", "offer_ended"),
        // A start that no clock in New York ever showed: 02:30 on 14 March 2027.
        ("york", "2027-03-14T02:30", "2027-03-15T00:00", "2027-03-14T06:59:59Z", "not_started"),
        ("york", "2027-03-14T02:30", "2027-03-15T00:00", "2027-03-14T07:30:00Z", "1.00"),
        ("york", "2027-03-14T02:30", "2027-03-15T00:00", "2027-03-15T03:59:59Z", "1.00"),
        ("york", "2027-03-14T02:30", "2027-03-15T00:00", "2027-03-15T04:00:00Z", "offer_ended"),
        ("london", "2026-10-25T00:00", "2026-10-26T00:00", "2026-10-24T22:59:59Z", "not_started"),
        ("london", "2026-10-25T00:00", "2026-10-26T00:00", "2026-10-24T23:00:00Z", "1.00"),
        ("london", "2026-10-25T00:00", "2026-10-26T00:00", "2026-10-25T23:59:59Z", "1.00"),
        ("london", "2026-10-25T00:00", "2026-10-26T00:00", "2026-10-26T00:00:00Z", "offer_ended"),
        ("kolkata", "2026-11-01T00:00", "2026-11-02T00:00", "2026-10-31T18:29:59Z", "not_started"),
        ("kolkata", "2026-11-01T00:00", "2026-11-02T00:00", "2026-10-31T18:30:00Z", "1.00"),
        ("kolkata", "2026-11-01T00:00", "2026-11-02T00:00", "2026-11-01T18:30:00Z", "offer_ended"),
        ("auckland", "2027-04-04T00:00", "2027-04-05T00:00", "2027-04-03T10:59:59Z", "not_started"),
        ("auckland", "2027-04-04T00:00", "2027-04-05T00:00", "2027-04-03T11:00:00Z", "1.00"),
        ("auckland", "2027-04-04T00:00", "2027-04-05T00:00", "2027-04-04T11:59:59Z", "1.00"),
        ("auckland", "2027-04-04T00:00", "2027-04-05T00:00", "2027-04-04T12:00:00Z", "offer_ended"),
    ];
    for (shop, starts, ends, at, expected) in rows {
        let offer = format!("5% merchant {shop} starts {starts} ends {ends}");
        check(&[&offer], &format!("auth 20.00 at {shop} @{at}"), expected);
    }
}

#[test]
fn hours_are_the_shops_own_and_a_window_over_midnight_belongs_to_the_day_it_began() {
    let weekdays = "hours mon,tue,wed,thu,fri 06:00-12:00";
    let rows = [
        ("york", weekdays, "2026-11-02T10:59:59Z", "outside_hours"),
        ("york", weekdays, "2026-11-02T11:00:00Z", "1.00"),
        ("york", weekdays, "2026-11-02T16:59:59Z", "1.00"),
        ("york", weekdays, "2026-11-02T17:00:00Z", "outside_hours"),
        // A Friday under daylight saving, and the Sunday after.
        ("york", weekdays, "2026-10-30T10:00:00Z", "1.00"),
        ("york", weekdays, "2026-11-01T12:00:00Z", "outside_hours"),
        ("kolkata", weekdays, "2026-11-02T00:29:59Z", "outside_hours"),
        ("kolkata", weekdays, "2026-11-02T00:30:00Z", "1.00"),
        // Monday in Auckland while it is Sunday in London.
        ("auckland", weekdays, "2026-11-01T17:00:00Z", "1.00"),
        ("london", weekdays, "2026-11-01T10:00:00Z", "outside_hours"),
        // 6 November 2026 is a Friday.
        ("M1", "hours fri 22:00-02:00", "2026-11-06T21:59:59Z", "outside_hours"),
        ("M1", "hours fri 22:00-02:00", "2026-11-06T22:00:00Z", "1.00"),
        ("M1", "hours fri 22:00-02:00", "2026-11-07T01:59:59Z", "1.00"),
        ("M1", "hours fri 22:00-02:00", "2026-11-07T02:00:00Z", "outside_hours"),
        ("M1", "hours fri 22:00-02:00", "2026-11-06T01:00:00Z", "outside_hours"),
        ("M1", "hours fri 22:00-02:00", "2026-11-07T23:00:00Z", "outside_hours"),
        ("M1", "hours sun 22:00-02:00", "2026-11-09T01:00:00Z", "1.00"),
        ("M1", "hours fri 20:00-24:00", "2026-11-06T23:59:59Z", "1.00"),
        ("M1", "hours fri 20:00-24:00", "2026-11-07T00:00:00Z", "outside_hours"),
        // From an hour to the same hour is a whole day.
        ("M1", "hours fri 22:00-22:00", "2026-11-07T21:59:59Z", "1.00"),
        ("M1", "hours fri 22:00-22:00", "2026-11-07T22:00:00Z", "outside_hours"),
        // The hour that New York has twice counts twice, the one it skips never.
        ("york", "hours sun 01:00-02:00", "2026-11-01T05:30:00Z", "1.00"),
        ("york", "hours sun 01:00-02:00", "2026-11-01T06:30:00Z", "1.00"),
        ("york", "hours sun 02:00-03:00", "2027-03-14T07:00:00Z", "outside_hours"),
    ];
    for (shop, hours, at, expected) in rows {
        check(&[&format!("5% merchant {shop} {hours}")], &format!("auth 20.00 at {shop} @{at}"), expected);
    }
    check(&["5% hours fri 20:00-24:00"], "auth 20.00 day @2026-11-06T00:00:00Z", "time_unknown");
    check(&["5%"], "auth 20.00 day @2026-11-06T00:00:00Z", "1.00");
}

#[test]
fn caps_count_rewarded_purchases_per_local_calendar_period() {
    let two = |cap: &str, first: &str, second: &str| {
        let mut desk = desk(&[&format!("5% merchant york cap 1 {cap}")]);
        assert_eq!(buy(&mut desk, "p", &format!("auth 20.00 at york @{first}")), "1.00");
        buy(&mut desk, "q", &format!("auth 20.00 at york @{second}"))
    };
    let rows = [
        ("day", "2026-11-01T03:30:00Z", "2026-11-01T04:30:00Z", "1.00"),
        ("day", "2026-11-01T04:30:00Z", "2026-11-02T04:30:00Z", "cap_reached"),
        ("day", "2026-11-01T04:30:00Z", "2026-11-02T05:00:00Z", "1.00"),
        // Weeks begin on Monday, 2 November.
        ("week", "2026-11-01T12:00:00Z", "2026-11-02T12:00:00Z", "1.00"),
        ("week", "2026-11-02T12:00:00Z", "2026-11-08T12:00:00Z", "cap_reached"),
        ("month", "2026-11-01T03:59:00Z", "2026-11-01T04:00:00Z", "1.00"),
        ("month", "2026-11-01T04:00:00Z", "2026-12-01T04:59:00Z", "cap_reached"),
        ("month", "2026-11-01T04:00:00Z", "2027-11-01T04:00:00Z", "1.00"),
        ("year", "2027-01-01T04:59:00Z", "2027-01-01T05:00:00Z", "1.00"),
        ("year", "2026-01-02T05:00:00Z", "2026-12-31T05:00:00Z", "cap_reached"),
        ("ever", "2026-01-02T05:00:00Z", "2028-12-31T05:00:00Z", "cap_reached"),
    ];
    for (cap, first, second, expected) in rows {
        assert_eq!(two(cap, first, second), expected, "{cap}: {first}, {second}");
    }
    // Purchases that earn nothing use nothing, and a refund in full gives its use back.
    let mut desk = desk(&["5% min 10.00 cap 1 ever"]);
    assert_eq!(buy(&mut desk, "p", "auth 9.00 @0m"), "spend_too_low");
    assert_eq!(buy(&mut desk, "q", "clear 20.00 @1m"), "1.00");
    assert_eq!(buy(&mut desk, "r", "clear 40.00 @2m"), "cap_reached");
    assert_eq!(buy(&mut desk, "q", "refund 20.00 @3m"), "nothing_stands");
    assert_eq!(desk.granted(&OfferId::new("o1").unwrap()), 200);
    // An earlier purchase that comes late takes the use from a later one.
    assert_eq!(buy(&mut desk, "s", "clear 12.00 @1m"), "0.60");
    assert_eq!(desk.granted(&OfferId::new("o1").unwrap()), 60);
}

#[test]
fn the_reward_cap_cuts_the_last_reward() {
    let mut desk = desk(&["5% reward-cap 2.50"]);
    assert_eq!(buy(&mut desk, "p", "auth 30.00 @0m"), "1.50");
    assert_eq!(buy(&mut desk, "q", "auth 30.00 @1m"), "1.00");
    assert_eq!(buy(&mut desk, "r", "auth 30.00 @2m"), "reward_cap_reached");
    assert_eq!(buy(&mut desk, "p", "reverse 20.00 @3m"), "0.50");
    // What the first gave back, the later ones have now, in their order.
    let given: Vec<i64> = desk.grants().map(|(_, grant)| grant.amount_minor).collect();
    assert_eq!(given, [50, 150, 50]);
}

#[test]
fn an_activation_counts_from_its_time_until_opting_out() {
    let with = |steps: &[(&str, bool)], at: &str| {
        let mut desk = desk(&["5% activation"]);
        for (at, active) in steps {
            let at = said::time(at, base()).unwrap();
            let offer = OfferId::new("o1").unwrap();
            desk.step(MemberInput::Activated(ActivationStep { offer, at, active: *active }));
        }
        buy(&mut desk, "p", &format!("auth 20.00 @{at}"))
    };
    assert_eq!(with(&[], "5h"), "not_activated");
    assert_eq!(with(&[("5h", true)], "4h"), "not_activated");
    assert_eq!(with(&[("5h", true)], "5h"), "1.00");
    assert_eq!(with(&[("5h", true), ("7h", false)], "6h"), "1.00");
    assert_eq!(with(&[("5h", true), ("7h", false)], "7h"), "not_activated");
    assert_eq!(with(&[("7h", false), ("5h", true)], "8h"), "not_activated");
    assert_eq!(with(&[("5h", true), ("7h", false), ("9h", true)], "9h"), "1.00");
    assert_eq!(with(&[("5h", true), ("5h", false)], "6h"), with(&[("5h", false), ("5h", true)], "6h"));
    // One that is dated back credits what came already.
    let mut late = desk(&["5% activation"]);
    assert_eq!(buy(&mut late, "p", "clear 20.00 @3h"), "not_activated");
    let step = ActivationStep { offer: OfferId::new("o1").unwrap(), at: base(), active: true };
    let step = late.step(MemberInput::Activated(step));
    assert_eq!(lines(&late, &step, &purchase("net", "p")), "1.00");
}

#[test]
fn exclusive_offers_of_a_group_compete_and_combined_ones_add_up() {
    // The best for the member; then priority; then the first by id.
    check(&["5% exclusive g", "10% exclusive g"], "auth 20.00", "excluded_by_another 2.00");
    check(&["5% exclusive g priority 9", "10% exclusive g"], "auth 20.00", "excluded_by_another 2.00");
    check(&["5% exclusive g", "5% exclusive g priority 1"], "auth 20.00", "excluded_by_another 1.00");
    check(&["5% exclusive g", "5% exclusive g"], "auth 20.00", "1.00 excluded_by_another");
    check(&["5% exclusive g", "5% exclusive h"], "auth 20.00", "1.00 1.00");
    // One that gives nothing excludes nobody.
    check(&["5% exclusive g", "10% exclusive g min 50.00"], "auth 20.00", "1.00 spend_too_low");
    // Combined ones give besides, in the group or out of it.
    check(&["5% exclusive g", "10% exclusive g", "5% group g"], "auth 20.00", "excluded_by_another 2.00 1.00");
    check(&["5%", "10%", "fixed 0.50"], "auth 20.00", "1.00 2.00 0.50");
    // Together never more than the purchase, cut from the last by priority, then id.
    check(&["60%", "60%"], "auth 20.00", "12.00 8.00");
    check(&["60%", "60% priority 1"], "auth 20.00", "8.00 12.00");
    check(&["100%", "5%"], "auth 20.00", "20.00 purchase_covered");
    check(&["fixed 15.00", "fixed 15.00"], "auth 20.00", "15.00 5.00");
    // What was cut away uses no cap.
    let mut desk = desk(&["100% cap 1 ever priority 1", "5% cap 1 ever"]);
    assert_eq!(buy(&mut desk, "p", "auth 20.00 @0m"), "20.00 purchase_covered");
    assert_eq!(buy(&mut desk, "q", "auth 20.00 @1m"), "cap_reached 1.00");
}

#[test]
fn nothing_is_converted_and_cash_earns_nothing() {
    check(&["5%"], "auth 20.00 EUR", "currency_differs");
    check(&["5% EUR"], "auth 20.00 EUR", "1.00");
    check(&["5% EUR"], "auth 20.00", "currency_differs");
    for mcc in ["6010", "6011", "6012", "4829", "6051"] {
        check(&["5%"], &format!("auth 20.00 mcc {mcc}"), "cash_like");
        check(&["5% cash"], &format!("auth 20.00 mcc {mcc}"), "1.00");
    }
    check(&["5%"], "auth 20.00 mcc 5812", "1.00");
    check(&["5%"], "auth 20.00 at M2", "");
    check(&["5%"], "auth 20.00 unmatched", "");
}

#[test]
fn an_offer_gives_by_the_version_and_life_at_the_time_of_the_purchase() {
    let step = |hours: i64, change| LifeStep { effective: base().plus_ms(hours * 3_600_000), change };
    let mut shelf = Shelf::default();
    shelf.publish("o1", said::terms("5%").unwrap());
    shelf.change("o1", |offer| {
        offer.life.clear();
        let terms = said::terms("10%").unwrap();
        offer.versions.push(OfferVersion { offer: offer.id.clone(), version: 2, terms });
        for (hours, change) in [
            (1, LifeChange::Published(1)),
            (2, LifeChange::Paused),
            (3, LifeChange::Resumed),
            (4, LifeChange::Published(2)),
            (5, LifeChange::Ended),
        ] {
            offer.step(step(hours, change));
        }
    });
    for (at, expected) in [
        ("59m", ""),
        ("60m", "1.00"),
        ("119m", "1.00"),
        ("120m", "offer_paused"),
        ("179m", "offer_paused"),
        ("180m", "1.00"),
        ("239m", "1.00"),
        ("240m", "2.00"),
        ("299m", "2.00"),
        ("300m", "offer_ended"),
    ] {
        let mut desk = Desk::new(shelf.clone());
        assert_eq!(buy(&mut desk, "p", &format!("auth 20.00 @{at}")), expected, "{at}");
        // Later events of the purchase keep its time, so the terms stay as they were.
        let later = buy(&mut desk, "p", "clear 20.00 @9h");
        assert_eq!(later, expected, "{at}, cleared later");
    }
}

#[test]
fn a_larger_holdout_keeps_who_was_in_a_smaller_one() {
    let policy = Policy { holdout_key: [7; 16], ..Policy::default() };
    let offer = OfferId::new("o1").unwrap();
    let mut counts = Vec::new();
    for n in 0..500 {
        let member = MemberId::new(format!("member-{n}")).unwrap();
        let out: Vec<bool> = (0..=100).map(|percent| policy.held_out(&member, &offer, percent)).collect();
        assert!(!out[0] && out[100]);
        assert!(out.is_sorted(), "who is held out at a share is held out at every larger one");
        counts.push(out[30]);
    }
    let share = counts.iter().filter(|out| **out).count();
    assert!((100..=200).contains(&share), "30 percent of 500 members, found {share}");
    // Drawn anew for every offer and every key.
    let draw = |key: u8, offer: &str| -> Vec<bool> {
        let policy = Policy { holdout_key: [key; 16], ..Policy::default() };
        let offer = OfferId::new(offer).unwrap();
        (0..100).map(|n| policy.held_out(&MemberId::new(format!("m{n}")).unwrap(), &offer, 50)).collect()
    };
    assert_ne!(draw(1, "a"), draw(1, "b"));
    assert_ne!(draw(1, "a"), draw(2, "a"));
    check(&["5% holdout 100"], "auth 20.00", "not_eligible");
}

#[test]
fn a_card_counts_while_it_is_linked() {
    let with = |from: &str, to: Option<&str>, line: &str| {
        let mut desk = Desk::empty(desk(&["5%"]).shelf, Policy::default(), "ann");
        let time = |text: &str| said::time(text, base()).unwrap();
        desk.link(link("net", card("ann"), time(from), to.map(time), 0));
        buy(&mut desk, "p", line)
    };
    assert_eq!(with("2h", None, "auth 20.00 @119m"), "card_not_linked");
    assert_eq!(with("2h", None, "auth 20.00 @120m"), "1.00");
    assert_eq!(with("2h", Some("4h"), "auth 20.00 @239m"), "1.00");
    assert_eq!(with("2h", Some("4h"), "auth 20.00 @240m"), "card_not_linked");
    // Unlinked with effect before what came already.
    let mut late = desk(&["5%"]);
    assert_eq!(buy(&mut late, "p", "clear 20.00 @3h"), "1.00");
    let step = late.step(MemberInput::CardUnlinked { card: card("ann"), at: said::time("3h", base()).unwrap() });
    assert_eq!(lines(&late, &step, &purchase("net", "p")), "card_not_linked");
    // A purchase before unlinking is cleared after it: it keeps its time, and its reward.
    let mut between = desk(&["5%"]);
    assert_eq!(buy(&mut between, "p", "auth 20.00 @1h"), "1.00");
    between.step(MemberInput::CardUnlinked { card: card("ann"), at: said::time("3h", base()).unwrap() });
    assert_eq!(buy(&mut between, "p", "clear 30.00 @5h"), "1.50");
    // A replaced card clears what the old one authorized.
    let mut replaced = desk(&["5%"]);
    assert_eq!(buy(&mut replaced, "p", "auth 20.00 @1h"), "1.00");
    let new = link("net", card("new"), said::time("2h", base()).unwrap(), None, 0);
    replaced.step(MemberInput::CardLinked { link: new, replaces: Some(card("ann")) });
    assert_eq!(buy(&mut replaced, "p", "clear 30.00 card new @3h"), "1.50");
}

#[test]
fn a_card_known_to_several_sources_is_credited_by_one() {
    let with = |links: &[(&str, &str, &str, u32)], line: &str| {
        let mut desk = Desk::empty(desk(&["5%"]).shelf, Policy::default(), "ann");
        for (source, token, from, group) in links {
            desk.link(link(source, card(token), said::time(from, base()).unwrap(), None, *group));
        }
        buy(&mut desk, "p", line)
    };
    let (a, b) = ("auth 20.00 source aaa card a @5h", "auth 20.00 source bbb card b @5h");
    let seen = "seen_from_another_source";
    // By the earliest link.
    assert_eq!(with(&[("aaa", "a", "1h", 0), ("bbb", "b", "2h", 0)], a), "1.00");
    assert_eq!(with(&[("aaa", "a", "1h", 0), ("bbb", "b", "2h", 0)], b), seen);
    assert_eq!(with(&[("aaa", "a", "2h", 0), ("bbb", "b", "1h", 0)], a), seen);
    assert_eq!(with(&[("aaa", "a", "2h", 0), ("bbb", "b", "1h", 0)], b), "1.00");
    // Linked at one instant: by the name of the source.
    assert_eq!(with(&[("bbb", "b", "1h", 0), ("aaa", "a", "1h", 0)], a), "1.00");
    assert_eq!(with(&[("bbb", "b", "1h", 0), ("aaa", "a", "1h", 0)], b), seen);
    // Another's link that begins after the purchase does not count yet.
    assert_eq!(with(&[("aaa", "a", "9h", 0), ("bbb", "b", "1h", 0)], b), "1.00");
    // Two cards are two cards.
    assert_eq!(with(&[("aaa", "a", "1h", 0), ("bbb", "b", "1h", 1)], b), "1.00");
}

#[test]
fn a_standing_concerns_purchases_from_since_on() {
    let with = |steps: &[(Option<&str>, Standing, &str, &str)], line: &str| {
        let mut desk = desk(&["5%"]);
        for (merchant, standing, since, set_at) in steps {
            desk.step(step(*merchant, *standing, since, set_at, false));
        }
        let text = buy(&mut desk, "p", line);
        (text, desk.member.head.balance(usd()).held_minor)
    };
    use Standing::{Barred, Clear, Held, Watched};
    let credited = ("1.00".to_owned(), 0);
    let frozen = ("1.00".to_owned(), 100);
    let barred = ("not_eligible".to_owned(), 0);
    for line in ["auth 20.00 @5h", "clear 20.00 @5h"] {
        assert_eq!(with(&[], line), credited);
        assert_eq!(with(&[(None, Watched, "1h", "1h")], line), credited);
        assert_eq!(with(&[(None, Held, "5h", "1h")], line), frozen);
        assert_eq!(with(&[(None, Held, "6h", "1h")], line), credited);
        assert_eq!(with(&[(None, Barred, "5h", "1h")], line), barred);
        assert_eq!(with(&[(None, Barred, "6h", "1h")], line), credited);
        // For one merchant alone.
        assert_eq!(with(&[(Some("M1"), Barred, "1h", "1h")], line), barred);
        assert_eq!(with(&[(Some("M2"), Barred, "1h", "1h")], line), credited);
        // Of one scope the newest, of two the strictest.
        assert_eq!(with(&[(None, Barred, "1h", "1h"), (None, Clear, "1h", "2h")], line), credited);
        assert_eq!(with(&[(None, Clear, "1h", "2h"), (None, Barred, "1h", "1h")], line), credited);
        assert_eq!(with(&[(None, Clear, "1h", "2h"), (Some("M1"), Held, "1h", "1h")], line), frozen);
        assert_eq!(with(&[(None, Barred, "1h", "1h"), (Some("M1"), Clear, "1h", "2h")], line), barred);
        assert_eq!(with(&[(None, Held, "1h", "1h"), (None, Barred, "1h", "1h")], line), barred);
        assert_eq!(with(&[(None, Barred, "1h", "1h"), (None, Held, "1h", "1h")], line), barred);
    }
}

fn step(merchant: Option<&str>, standing: Standing, since: &str, set_at: &str, ask_back: bool) -> MemberInput {
    let time = |text: &str| said::time(text, base()).unwrap();
    MemberInput::StandingSet(StandingStep {
        merchant: merchant.map(|m| MerchantId::new(m).unwrap()),
        standing,
        since: time(since),
        set_at: time(set_at),
        ask_back,
        until: None,
        origin: StandingOrigin::Said,
    })
}

#[test]
fn barred_after_being_paid_is_loss_or_owed_and_can_be_undone() {
    for (ask_back, account) in [(false, AccountKind::FraudLoss), (true, AccountKind::MemberOwed)] {
        let mut desk = desk(&["5% hold 0"]);
        buy(&mut desk, "p", "clear 20.00 @1h");
        desk.mark(base().plus_days(1));
        assert!(desk.redeem(60, usd()));
        desk.step(step(None, Standing::Barred, "0h", "1h", ask_back));
        desk.audit();
        // Of 1.00 granted 0.60 was paid: that is missing, and the rest was never out.
        assert_eq!(-desk.sum(account), 60);
        let balance = desk.member.head.balance(usd());
        assert_eq!((balance.available_minor, balance.paid_minor), (0, 60));
        assert!(!desk.redeem(1, usd()));
        // The other way of asking back moves it, a dismissal undoes it.
        desk.step(step(None, Standing::Barred, "0h", "2h", !ask_back));
        desk.audit();
        assert_eq!(desk.sum(account), 0);
        desk.step(step(None, Standing::Clear, "0h", "3h", false));
        desk.audit();
        assert_eq!(desk.member.head.balance(usd()).available_minor, 40);
        assert_eq!((desk.sum(AccountKind::FraudLoss), desk.sum(AccountKind::MemberOwed)), (0, 0));
    }
}

#[test]
fn a_reward_is_pending_then_posted_for_the_hold_days_then_available() {
    let mut desk = desk(&["5% hold 14"]);
    let parts = |desk: &Desk| {
        let balance = desk.member.head.balance(usd());
        (balance.pending_minor, balance.posted_minor, balance.available_minor)
    };
    buy(&mut desk, "p", "auth 40.00 @0m");
    assert_eq!(parts(&desk), (200, 0, 0));
    buy(&mut desk, "p", "clear 20.00 part 1/2 @1d posted 2d");
    assert_eq!(parts(&desk), (200, 0, 0));
    buy(&mut desk, "p", "clear 18.00 part 2/2 @2d posted 3d");
    assert_eq!(parts(&desk), (0, 190, 0));
    desk.mark(base().plus_days(16));
    assert_eq!(parts(&desk), (0, 190, 0));
    desk.mark(base().plus_days(17));
    assert_eq!(parts(&desk), (0, 0, 190));
    // A later clearing begins the days anew.
    buy(&mut desk, "p", "clear 2.00 @10d posted 17d");
    assert_eq!(parts(&desk), (0, 200, 0));
    desk.mark(base().plus_days(31));
    assert_eq!(parts(&desk), (0, 0, 200));
    desk.audit();
}

#[test]
fn the_first_reason_is_named_most_certain_first() {
    let all = "5% EUR starts 2026-12-01T00:00 activation min 99.00 hours mon 01:00-02:00 holdout 100";
    check(&[all], "auth 20.00 mcc 6011", "currency_differs");
    check(&[&all.replace("EUR ", "")], "auth 20.00 mcc 6011", "not_started");
    let started = "5% activation min 99.00 hours mon 01:00-02:00 holdout 100";
    check(&[started], "auth 20.00 mcc 6011", "cash_like");
    check(&[started], "auth 20.00", "not_activated");
    check(&[&started.replace("activation ", "")], "auth 20.00", "not_eligible");
    check(&["5% min 99.00 hours mon 01:00-02:00"], "auth 20.00", "spend_too_low");
    check(&["5% hours mon 01:00-02:00 min 99.00"], "auth 20.00", "outside_hours");
}

#[test]
fn a_purchase_that_moves_to_another_shop_takes_its_reward_along() {
    let mut desk = desk(&["5%", "10% merchant M2"]);
    assert_eq!(buy(&mut desk, "p", "auth 20.00 at M1"), "1.00");
    assert_eq!(buy(&mut desk, "p", "clear 20.00 at M2 @1h"), "2.00");
    assert_eq!(desk.books().grants.len(), 1);
    assert_eq!(desk.granted(&OfferId::new("o1").unwrap()), 0);
}

/// The words of a purchase's refusal under the first offer.
fn why(desk: &Desk, id: &str) -> String {
    let at = desk.member.find(&purchase("net", id)).unwrap();
    let scope = Scope { from: 0, merchants: None, own: None };
    let (judged, asks) = judge(&desk.member, &scope, &desk.shelf, &desk.policy, desk.mark, &Raises::new());
    assert!(asks.is_empty(), "who only looks asks no budget");
    let line = &judged.iter().find(|judged| judged.index == at).unwrap().lines[0];
    line.refusal.as_ref().map_or_else(String::new, |refusal| refusal.detail(usd()))
}

#[test]
fn a_days_budget_is_that_of_the_day_of_each_decision() {
    let day = |n: i64| Timestamp::start_of_day(base().day()).plus_ms(n * DAY_MS);
    let mut desk = desk(&["5% daily-budget 1.50 budget 4.00"]);
    desk.mark(day(0));
    assert_eq!(buy(&mut desk, "p", "auth 20.00 @0m"), "1.00");
    assert_eq!(buy(&mut desk, "q", "auth 20.00 @1m"), "0.50");
    assert_eq!(why(&desk, "q"), "the offer's budget for that day is spent");
    // What is taken back gives nothing back to the day, though it does to the whole.
    assert_eq!(buy(&mut desk, "p", "reverse @3m"), "nothing_stands");
    assert_eq!(buy(&mut desk, "r", "auth 20.00 @2m"), "budget_spent");
    // A new day asks nobody by itself; whoever speaks then is given of it.
    desk.mark(day(1));
    assert_eq!(desk.granted(&OfferId::new("o1").unwrap()), 50);
    assert_eq!(buy(&mut desk, "r", "clear 20.00 @4m"), "1.00");
    assert_eq!(buy(&mut desk, "q", "clear 20.00 @5m"), "1.00");
    assert_eq!(desk.raised_today(&OfferId::new("o1").unwrap()), 150);
    // Raised to 3.50 in all since, of which 2.00 stand; the whole is what is spent at last.
    desk.mark(day(2));
    assert_eq!(buy(&mut desk, "s", "auth 30.00 @6m"), "1.50");
    desk.mark(day(3));
    assert_eq!(buy(&mut desk, "t", "auth 30.00 @7m"), "0.50");
    assert_eq!(why(&desk, "t"), "the budget of the offer is spent");
    // A purchase of yesterday that was cut keeps its reason when it is looked at again.
    assert_eq!(buy(&mut desk, "p", "auth 20.00 @8m"), "budget_spent");
}

#[test]
fn a_spent_budget_is_asked_again_by_the_purchases_own_event_alone() {
    let mut desk = desk(&["5% budget 1.50"]);
    assert_eq!(buy(&mut desk, "p", "auth 20.00 @0m"), "1.00");
    assert_eq!(buy(&mut desk, "q", "auth 20.00 @1m"), "0.50");
    assert_eq!(buy(&mut desk, "r", "auth 20.00 @2m"), "budget_spent");
    // One purchase's release does not reopen another's verdict …
    assert_eq!(buy(&mut desk, "p", "reverse @3m"), "nothing_stands");
    assert_eq!(desk.granted(&OfferId::new("o1").unwrap()), 50);
    // … its own next event does.
    assert_eq!(buy(&mut desk, "r", "clear 20.00 @4m"), "1.00");
    assert_eq!(buy(&mut desk, "q", "clear 20.00 @5m"), "0.50");
    assert_eq!(desk.granted(&OfferId::new("o1").unwrap()), 150);
}
