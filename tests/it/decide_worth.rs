//! What a purchase is worth: every sentence of the interface's page, a row each at least.
//! A row says the events in the order in which they arrive; the answer must be the same
//! in every other order, so each row is tried backwards too.

use crate::desk::{bring_together, purchase};
use crate::said;
use ringfence::decide::{LapsePolicy, Worth, worth};
use ringfence::domain::Timestamp;
use ringfence::domain::purchase::Purchase;

fn base() -> Timestamp {
    Timestamp::parse("2026-11-01T12:00:00Z").unwrap()
}

/// Events parted by commas; each a minute after the one before unless it says its time.
fn purchase_of(events: &str, backwards: bool) -> Purchase {
    let lines = events.split(',').map(str::trim).filter(|line| !line.is_empty());
    let mut inputs: Vec<_> = (0_i64..)
        .zip(lines)
        .map(|(n, line)| {
            let timed = if line.contains('@') { line.to_owned() } else { format!("{line} @{n}m") };
            said::event(&timed, base(), "p", &format!("k{n}"))
        })
        .collect();
    if backwards {
        inputs.reverse();
    }
    bring_together(&purchase("net", "p"), &inputs)
}

fn text(worth: &Worth<'_>) -> String {
    let state = match (worth.lapsed, worth.complete) {
        (true, _) => "lapsed",
        (false, true) => "cleared",
        (false, false) => "open",
    };
    let currency = worth.currency.map_or_else(|| "---".to_owned(), |c| c.to_string());
    format!("{}.{:02} {currency} {state}", worth.minor / 100, worth.minor % 100)
}

/// Days after the base at which the last daily mark stands; `events`; worth and state.
#[track_caller]
fn check(mark_days: u32, events: &str, expected: &str) {
    for backwards in [false, true] {
        let purchase = purchase_of(events, backwards);
        let found = worth(&purchase, base().plus_days(mark_days), &LapsePolicy::default());
        assert_eq!(text(&found), expected, "{events} (backwards: {backwards})");
    }
}

#[test]
fn events_are_ordered_by_time_then_type_as_listed_then_key() {
    // By time: the advice counts from its own time on.
    check(0, "advice 10.00 @2m, auth 40.00 @1m", "10.00 USD open");
    check(0, "auth 40.00 @1m, advice 10.00 @2m, increment 5.00 @3m", "15.00 USD open");
    check(0, "auth 40.00 @1m, increment 5.00 @2m, advice 10.00 @3m", "10.00 USD open");
    // By type at one instant: authorization, increment, advice, reversal, expiry.
    check(0, "increment 5.00 @1m, auth 40.00 @1m", "45.00 USD open");
    check(0, "advice 10.00 @1m, increment 5.00 @1m, auth 40.00 @1m", "10.00 USD open");
    check(0, "reverse 3.00 @1m, advice 10.00 @1m, auth 40.00 @1m", "7.00 USD open");
    check(0, "reverse @1m, advice 10.00 @1m, auth 40.00 @1m", "0.00 USD open");
    // By key: of two advices at one instant the later key counts.
    let one = |key_first: &str, key_second: &str| {
        let event = |line: &str, key: &str| said::event(line, base(), "p", key);
        let events =
            [event("auth 40.00 @1m", "a"), event("advice 10.00 @2m", key_first), event("advice 20.00 @2m", key_second)];
        worth(&bring_together(&purchase("net", "p"), &events), base(), &LapsePolicy::default()).minor
    };
    assert_eq!((one("k1", "k2"), one("k2", "k1")), (2000, 1000));
}

#[test]
fn until_a_clearing_arrives_it_is_what_is_authorized() {
    check(0, "auth 40.00", "40.00 USD open");
    check(0, "auth 40.00, increment 5.00", "45.00 USD open");
    check(0, "auth 40.00, auth 5.00", "45.00 USD open");
    // An advice sets it, at zero too: the pump that gave no fuel.
    check(0, "auth 1.00, advice 43.21", "43.21 USD open");
    check(0, "auth 1.00, advice 0.00", "0.00 USD open");
    // A reversal takes its amount off, or all of it.
    check(0, "auth 40.00, reverse 15.00", "25.00 USD open");
    check(0, "auth 40.00, reverse", "0.00 USD open");
    check(0, "auth 40.00, reverse 40.00", "0.00 USD open");
    check(0, "auth 40.00, expire", "0.00 USD open");
    check(0, "auth 40.00, reverse, increment 7.00", "7.00 USD open");
    // No event of its own, nothing authorized: what follows waits.
    check(0, "increment 5.00", "0.00 USD open");
    check(0, "advice 5.00", "0.00 USD open");
    check(0, "reverse", "0.00 --- open");
}

#[test]
fn after_the_last_clearing_it_is_what_is_cleared() {
    check(0, "auth 40.00, clear 38.00", "38.00 USD cleared");
    // The tip: cleared above what was authorized.
    check(0, "auth 40.00, clear 48.00", "48.00 USD cleared");
    // Without a count each clearing is the last until the next.
    check(0, "auth 40.00, clear 10.00", "10.00 USD cleared");
    check(0, "auth 40.00, clear 10.00, clear 15.00", "25.00 USD cleared");
    check(0, "auth 40.00, clear 10.00 part 1, clear 15.00 part 2", "25.00 USD cleared");
    // With a count the last is the count's.
    check(0, "auth 40.00, clear 10.00 part 1/3, clear 15.00 part 2/3, clear 14.00 part 3/3", "39.00 USD cleared");
    check(0, "auth 40.00, clear 14.00 part 2/2, clear 10.00 part 1/2", "24.00 USD cleared");
    // One clearing says the count, the others only their number.
    check(0, "auth 40.00, clear 10.00 part 1, clear 15.00 part 2/2", "25.00 USD cleared");
    // A clearing without authorization counts by itself.
    check(0, "clear 12.00", "12.00 USD cleared");
    check(0, "clear 12.00 part 1/2", "12.00 USD open");
    // What an authorization does after the last clearing moves nothing.
    check(0, "auth 40.00, clear 38.00, increment 10.00, advice 90.00, reverse, expire", "38.00 USD cleared");
}

#[test]
fn between_the_first_and_the_last_it_is_the_cleared_part_and_what_remains_authorized() {
    check(0, "auth 40.00, clear 10.00 part 1/2", "40.00 USD open");
    check(0, "auth 40.00, clear 10.00 part 1/2, increment 5.00", "45.00 USD open");
    // More was cleared than authorized: nothing remains, and nothing is taken off for it.
    check(0, "auth 40.00, clear 50.00 part 1/2", "50.00 USD open");
    // An advice sets what is authorized in all.
    check(0, "auth 40.00, clear 10.00 part 1/2, advice 30.00", "30.00 USD open");
}

#[test]
fn a_reversal_takes_nothing_off_what_is_cleared() {
    check(0, "auth 40.00, clear 38.00, reverse", "38.00 USD cleared");
    check(0, "auth 40.00, clear 38.00, reverse 40.00", "38.00 USD cleared");
    check(0, "auth 40.00, reverse, clear 38.00", "38.00 USD cleared");
    check(0, "auth 40.00, clear 30.00 part 1/2, reverse", "30.00 USD open");
    check(0, "auth 40.00, clear 30.00 part 1/2, reverse 10.00", "30.00 USD open");
    check(0, "auth 40.00, clear 30.00 part 1/2, reverse 4.00", "36.00 USD open");
    check(0, "auth 40.00, clear 30.00 part 1/2, reverse 25.00", "30.00 USD open");
    check(0, "auth 40.00, clear 30.00 part 1/2, expire", "30.00 USD open");
}

#[test]
fn refunds_and_chargebacks_come_off_and_their_reversals_go_back_on() {
    check(0, "auth 40.00, clear 38.00, refund 19.00", "19.00 USD cleared");
    check(0, "auth 40.00, clear 38.00, refund 19.00, refund 9.00", "10.00 USD cleared");
    check(0, "auth 40.00, clear 38.00, refund 38.00", "0.00 USD cleared");
    check(0, "clear 38.00, refund 19.00, refund-reversal 19.00", "38.00 USD cleared");
    check(0, "clear 38.00, chargeback 38.00", "0.00 USD cleared");
    check(0, "clear 38.00, chargeback 38.00, chargeback-reversal 38.00", "38.00 USD cleared");
    check(0, "clear 38.00, clear-reversal 38.00", "0.00 USD cleared");
    // What was never bought is worth nothing, whatever is taken back.
    check(0, "refund-reversal 19.00", "0.00 USD open");
    check(0, "chargeback-reversal 19.00, refund 5.00", "0.00 USD open");
    check(0, "clear 38.00, clear-reversal 38.00, clear 36.00", "36.00 USD cleared");
    // A refund before its clearing comes off what is authorized, and of the clearing once it is there.
    check(0, "auth 40.00, refund 10.00", "30.00 USD open");
    check(0, "refund 10.00, auth 40.00, clear 40.00", "30.00 USD cleared");
    check(0, "refund 10.00", "0.00 USD open");
}

#[test]
fn it_is_cut_at_zero_once_and_at_the_end() {
    // Refunded twice by mistake, one refund reversed: exactly one refund remains.
    check(0, "clear 38.00, refund 38.00, refund 38.00", "0.00 USD cleared");
    check(0, "clear 38.00, refund 38.00, refund 38.00, refund-reversal 38.00", "0.00 USD cleared");
    check(0, "clear 38.00, refund 38.00, refund 38.00, refund-reversal 38.00, clear 5.00", "5.00 USD cleared");
    // Below zero in the middle and above again: nothing was lost on the way.
    check(0, "auth 40.00, reverse 50.00, increment 20.00", "10.00 USD open");
    check(0, "clear 38.00, refund 50.00, clear 20.00", "8.00 USD cleared");
    check(0, "refund-reversal 5.00 @1m, refund 5.00 @2m, clear 38.00 @3m", "38.00 USD cleared");
    check(0, "clear-reversal 38.00 @1m, clear 38.00 @2m", "0.00 USD cleared");
}

#[test]
fn an_authorization_lapses_and_revives() {
    check(9, "auth 40.00", "40.00 USD open");
    check(10, "auth 40.00", "0.00 USD lapsed");
    // Not a moment before ten days have gone.
    check(10, "auth 40.00 @1m", "40.00 USD open");
    check(10, "auth 40.00 @0m", "0.00 USD lapsed");
    // Lodging, car rental, cruise: 31 days.
    for mcc in ["7011", "3501", "3351", "7512", "4411"] {
        check(30, &format!("auth 40.00 mcc {mcc} @0m"), "40.00 USD open");
        check(31, &format!("auth 40.00 mcc {mcc} @0m"), "0.00 USD lapsed");
    }
    check(10, "auth 40.00 mcc 5812 @0m", "0.00 USD lapsed");
    // A clearing after all.
    check(20, "auth 40.00 @0m, clear 38.00 @12d", "38.00 USD cleared");
    check(40, "auth 40.00 @0m, clear 38.00 @2d", "38.00 USD cleared");
    // What was cleared of several stays; what remained authorized lapses, and then nothing is open.
    check(5, "auth 40.00 @0m, clear 10.00 part 1/2 @1d", "40.00 USD open");
    check(10, "auth 40.00 @0m, clear 10.00 part 1/2 @1d", "10.00 USD cleared");
    check(10, "auth 40.00 @0m, clear 10.00 part 1/2 @1d, clear 25.00 part 2/2 @15d", "35.00 USD cleared");
    // Refunds of what lapsed have nothing to come off.
    check(10, "auth 40.00 @0m, refund 5.00 @1d", "0.00 USD lapsed");
    // A configured policy.
    let policy = LapsePolicy { days: 3, days_long: 5, long_mcc: vec![100..=200] };
    let at = |events: &str, days| worth(&purchase_of(events, false), base().plus_days(days), &policy).lapsed;
    assert_eq!((at("auth 1.00 @0m", 2), at("auth 1.00 @0m", 3)), (false, true));
    assert_eq!((at("auth 1.00 mcc 150 @0m", 4), at("auth 1.00 mcc 150 @0m", 5)), (false, true));
}

#[test]
fn its_time_is_its_earliest_authorizations_else_its_earliest_clearings() {
    let at = |events: &str| {
        let purchase = purchase_of(events, true);
        let found = worth(&purchase, base(), &LapsePolicy::default());
        ((found.time.as_ms() - base().as_ms()) / 60_000, found.time_known)
    };
    assert_eq!(at("auth 1.00 @5m, auth 1.00 @3m, clear 1.00 @1m"), (3, true));
    assert_eq!(at("clear 1.00 @9m, clear 1.00 @7m, refund 1.00 @2m"), (7, true));
    assert_eq!(at("clear 1.00 @9m day, auth 1.00 @7m"), (7, true));
    assert_eq!(at("clear 1.00 @9m, auth 1.00 @7m day"), (7, false));
    // Until either is there, the earliest event's.
    assert_eq!(at("refund 1.00 @9m, advice 1.00 @7m"), (7, true));
}

#[test]
fn its_merchant_is_the_best_evidenced() {
    let shop = |events: &str| {
        let find = |backwards| {
            let purchase = purchase_of(events, backwards);
            worth(&purchase, base(), &LapsePolicy::default()).shop.map(|m| m.merchant.to_string())
        };
        let found = [find(false), find(true)];
        assert_eq!(found[0], found[1], "{events}");
        found[0].clone().unwrap_or_default()
    };
    // Clearing over authorization.
    assert_eq!(shop("auth 1.00 at A, clear 1.00 at B"), "B");
    // MID over store id over descriptor, whichever event brings it.
    assert_eq!(shop("auth 1.00 at A by mid, clear 1.00 at B by store"), "A");
    assert_eq!(shop("auth 1.00 at A by store, clear 1.00 at B by text"), "A");
    assert_eq!(shop("auth 1.00 at A by text, clear 1.00 at B by store"), "B");
    assert_eq!(shop("auth 1.00 at A by text, clear 1.00 unmatched"), "A");
    assert_eq!(shop("auth 1.00 unmatched, clear 1.00 at B by text"), "B");
    assert_eq!(shop("refund 1.00 at C by text, clear 1.00 at B by text"), "B");
    // Among equals the earliest.
    assert_eq!(shop("clear 1.00 at B @5m, clear 1.00 at C @4m"), "C");
    assert_eq!(shop("auth 1.00 unmatched"), "");
    let mcc = |events: &str| worth(&purchase_of(events, false), base(), &LapsePolicy::default()).mcc;
    assert_eq!(mcc("auth 1.00 mcc 5812, clear 1.00 mcc 5814"), Some(5814));
    assert_eq!(mcc("auth 1.00 mcc 5812, clear 1.00"), Some(5812));
    assert_eq!(mcc("auth 1.00"), None);
}

#[test]
fn its_currency_is_its_first_clearings_else_its_authorizations() {
    check(0, "auth 40.00 EUR", "40.00 EUR open");
    check(0, "auth 40.00 EUR, clear 44.00 USD", "44.00 USD cleared");
    check(0, "auth 40.00 USD, clear 38.00 USD @5m, clear 1.00 EUR @6m", "38.00 USD cleared");
    check(0, "auth 40.00 USD, clear 38.00 USD @6m, clear 1.00 EUR @5m", "1.00 EUR cleared");
    // An event in another currency moves no money, of whatever kind.
    for stray in ["increment", "advice", "reverse", "refund", "chargeback", "refund-reversal", "clear-reversal"] {
        check(0, &format!("auth 40.00, {stray} 5.00 EUR"), "40.00 USD open");
        check(0, &format!("auth 40.00, clear 38.00, {stray} 5.00 EUR"), "38.00 USD cleared");
    }
    // Nor does it lapse anything, or count among the clearings.
    check(0, "auth 40.00, clear 10.00 part 1/2, clear 5.00 EUR part 2/2", "40.00 USD open");
    check(10, "auth 40.00 EUR @0m, clear 10.00 USD part 1/2 @1d", "10.00 USD open");
}

#[test]
fn a_reward_is_held_from_the_last_clearings_posting() {
    let posted = |events: &str| {
        let purchase = purchase_of(events, true);
        let found = worth(&purchase, base(), &LapsePolicy::default()).cleared_at;
        found.map(|at| (at.as_ms() - base().as_ms()) / 86_400_000)
    };
    assert_eq!(posted("auth 1.00 posted 1d"), None);
    assert_eq!(posted("auth 1.00, clear 1.00 posted 3d"), Some(3));
    assert_eq!(posted("clear 1.00 posted 3d @1m, clear 1.00 posted 5d @2m"), Some(5));
    assert_eq!(posted("clear 1.00 posted 3d, refund 1.00 posted 9d"), Some(3));
    assert_eq!(posted("clear 1.00 posted 3d, clear 1.00 EUR posted 9d"), Some(3));
}
