//! The rule, sentence by sentence: what happened, and what each credit comes off.

use super::*;
use crate::decide::apply::{Touched, apply_input};
use crate::domain::merchant::{Evidence, Matched};
use crate::domain::{Channel, EventKey, LocationId, MemberId, Money, PurchaseId, PurchaseKey};
use crate::record::{EventInput, MemberInput};

const KINDS: [(&str, EventKind); 10] = [
    ("auth", EventKind::Authorization),
    ("increment", EventKind::Increment),
    ("reverse", EventKind::Reversal),
    ("clear", EventKind::Clearing),
    ("uncleared", EventKind::ClearingReversal),
    ("refund", EventKind::Refund),
    ("unrefunded", EventKind::RefundReversal),
    ("chargeback", EventKind::Chargeback),
    ("won", EventKind::ChargebackReversal),
    ("expire", EventKind::Expiry),
];

fn card(name: &str) -> CardHash {
    let mut hash = [0; 16];
    hash[..name.len()].copy_from_slice(name.as_bytes());
    CardHash(hash)
}

fn link(source: &str, name: &str, from_day: u32, to_day: Option<u32>, group: u32) -> CardLink {
    let source = SourceName::new(source).unwrap();
    let (from, to) = (Timestamp::start_of_day(from_day), to_day.map(Timestamp::start_of_day));
    CardLink { source, card: card(name), from, to, group, token: None }
}

/// `1000.5`: noon of the thousandth day.
fn time(text: &str) -> Timestamp {
    let (day, part) = text.split_once('.').unwrap_or((text, "0"));
    Timestamp::start_of_day(day.parse().unwrap()).plus_ms(part.parse::<i64>().unwrap() * 8_640_000)
}

/// `r1 refund 40 @1003 [of p1] [at shop] [card a] [from net] [day] [zone Z] [EUR]`
fn event(line: &str) -> EventInput {
    let mut words = line.split_whitespace();
    let (id, kind, minor) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let kind = KINDS.iter().find(|(word, _)| *word == kind).unwrap_or_else(|| panic!("{kind} in `{line}`")).1;
    let (mut of, mut shop, mut name, mut source, mut known) = (id, "shop", "a", "net", true);
    let (mut zone, mut currency, mut at) = ("UTC", "USD", Timestamp::default());
    while let Some(word) = words.next() {
        let mut next = || words.next().unwrap_or_else(|| panic!("nothing after {word} in `{line}`"));
        match word {
            "of" => of = next(),
            "at" => shop = next(),
            "card" => name = next(),
            "from" => source = next(),
            "zone" => zone = next(),
            "day" => known = false,
            "EUR" => currency = "EUR",
            _ => at = time(word.strip_prefix('@').unwrap_or_else(|| panic!("{word} in `{line}`"))),
        }
    }
    let amount = Money::new(minor.parse().unwrap(), Currency::parse(currency).unwrap());
    let event = HeldEvent {
        key: EventKey::new(id).unwrap(),
        kind,
        card: card(name),
        amount: Some(amount),
        occurred_at: at,
        time_known: known,
        posted_at: at,
        mcc: None,
        channel: Channel::Unknown,
        sequence: None,
        matched: None,
        content: 0,
        answer: Vec::new(),
    };
    let matched = Matched {
        merchant: MerchantId::new(shop).unwrap(),
        location: LocationId::new(id).unwrap(),
        evidence: Evidence::Mid,
        time_zone: zone.into(),
        country: None,
    };
    let purchase = PurchaseKey { source: SourceName::new(source).unwrap(), id: PurchaseId::new(of).unwrap() };
    EventInput { purchase, event, matched: Some(matched) }
}

/// Two cards of one source.
fn cards() -> Vec<CardLink> {
    vec![link("net", "a", 0, None, 0), link("net", "b", 0, None, 1)]
}

fn member(links: &[CardLink], events: &[&str]) -> MemberState {
    let mut head = MemberHead::new(MemberId::new("ann").unwrap(), Timestamp::default());
    head.cards = links.to_vec();
    let mut member = MemberState::new(head);
    for line in events {
        apply_input(&mut member, &MemberInput::Event(Box::new(event(line))), &mut Touched::default());
    }
    member
}

fn said(member: &MemberState, mark: Timestamp) -> String {
    let assigned = assign(member, None, mark, &LapsePolicy::default());
    let id = |place: usize| member.purchases[place].purchase.key.id.to_string();
    let each = assigned.credits.iter().map(|credit| {
        let fate = match credit.fate {
            Fate::Joined { purchase, minor } => format!("{minor} off {}", id(purchase)),
            Fate::TakenBack => "taken back".to_owned(),
            Fate::TakesBack(of) => format!("takes back {}", assigned.credits[of].event.key),
            Fate::Waits => "waits".to_owned(),
        };
        format!("{}: {fate}", credit.event.key)
    });
    let mut off: BTreeMap<usize, i64> = BTreeMap::new();
    for credit in &assigned.credits {
        if let Fate::Joined { purchase, minor } = credit.fate {
            *off.entry(purchase).or_default() += minor;
        }
    }
    assert!(assigned.all_taken().eq(off), "what is taken is the sum of what comes off");
    each.collect::<Vec<_>>().join(", ")
}

/// Events parted by commas; the same in every rotation of their arrival, and backwards.
#[track_caller]
fn check_with(links: &[CardLink], mark: &str, events: &str, expected: &str) {
    let mut lines: Vec<&str> = events.split(',').map(str::trim).collect();
    for backwards in [false, true] {
        for _ in 0..lines.len() {
            assert_eq!(said(&member(links, &lines), time(mark)), expected, "{lines:?}");
            lines.rotate_left(1);
        }
        if !backwards {
            lines.reverse();
        }
    }
}

#[track_caller]
fn check(events: &str, expected: &str) {
    check_with(&cards(), "0", events, expected);
}

#[test]
fn a_refund_comes_off_the_newest_purchase_that_it_equals_else_that_covers_it() {
    check("p1 clear 100 @1000, r refund 100 @1003", "r: 100 off p1");
    // The older of two is equal, the newer only covers.
    check("p1 clear 100 @1000, p2 clear 150 @1001, r refund 100 @1003", "r: 100 off p1");
    check("p1 clear 100 @1000, p2 clear 100 @1001, r refund 100 @1003", "r: 100 off p2");
    check("p1 clear 150 @1000, p2 clear 160 @1001, r refund 100 @1003", "r: 100 off p2");
    check("p1 clear 150 @1000, p2 clear 60 @1001, r refund 100 @1003", "r: 100 off p1");
    check("p1 clear 50 @1000, p2 clear 60 @1001, r refund 100 @1003", "r: waits");
    // Of two at one instant the later key is the newer.
    check("p1 clear 100 @1000, p2 clear 100 @1000, r refund 100 @1003", "r: 100 off p2");
}

#[test]
fn what_comes_off_before_leaves_less() {
    // By time.
    check(
        "p1 clear 100 @1000, r1 refund 60 @1003, r2 refund 60 @1004, r3 refund 40 @1005",
        "r1: 60 off p1, r2: waits, r3: 40 off p1",
    );
    // By key at one instant, and a purchase of which nothing stands is no candidate.
    check("p1 clear 100 @1000, r2 refund 100 @1003, r1 refund 100 @1003", "r1: 100 off p1, r2: waits");
    // The remainder of one equals, the other only covers.
    check(
        "p1 clear 100 @1000, p2 clear 90 @1001, r1 refund 100 @1002, r2 refund 30 @1003, r3 refund 60 @1004",
        "r1: 100 off p1, r2: 30 off p2, r3: 60 off p2",
    );
    // Its own refunds come off first, whenever they came.
    check("p1 clear 100 @1000, p2 clear 90 @1001, n refund 40 @1009 of p1, r refund 60 @1003", "r: 60 off p1");
    check("p1 clear 100 @1000, n refund 100 @1009 of p1, r refund 60 @1003", "r: waits");
    // A credit of nothing has no effect.
    check("p1 clear 100 @1000, r refund 0 @1003", "r: waits");
}

#[test]
fn an_earlier_fact_moves_the_assignment() {
    let before = "p1 clear 150 @1000, r refund 100 @1003";
    check(before, "r: 100 off p1");
    check(&format!("{before}, p2 clear 100 @1001"), "r: 100 off p2");
    check(&format!("{before}, p2 clear 100 @1001, q refund 100 @1002"), "q: 100 off p2, r: 100 off p1");
}

#[test]
fn never_off_a_purchase_that_is_later_or_older_than_180_days() {
    check("p1 clear 100 @1004, r refund 100 @1003", "r: waits");
    check("p1 clear 100 @1003, r refund 100 @1003", "r: 100 off p1");
    check("p1 clear 100 @1000.5, r refund 100 @1180.5", "r: 100 off p1");
    check("p1 clear 100 @1000.5, r refund 100 @1180.6", "r: waits");
    // The purchase's time is its authorization's.
    check("p1 clear 100 @1002 of p, p0 auth 100 @1000.5 of p, r refund 100 @1180.6", "r: waits");
}

#[test]
fn a_date_without_an_hour_is_not_earlier_than_its_day() {
    check("p1 clear 100 @1000.7, r refund 100 @1000 day", "r: 100 off p1");
    check("p1 clear 100 @1000 day, r refund 100 @1000 day", "r: 100 off p1");
    check("p1 clear 100 @1001.1, r refund 100 @1000 day", "r: waits");
    // A purchase of the day is not later than anything of the day either.
    check("p1 clear 100 @1000.9 day, r refund 100 @1000.2", "r: 100 off p1");
    check("p1 clear 100 @1001 day, r refund 100 @1000.9", "r: waits");
    check("p1 clear 100 @1000.9, r refund 100 @1180 day", "r: 100 off p1");
    check("p1 clear 100 @1000.9, r refund 100 @1181 day", "r: waits");
    // The shop's day, whether it was named by the midnight of UTC (0) or by the shop's own
    // (1000.4 is 09:36 UTC, 01:36 in Los Angeles); 1001.2 is 20:48 there on day 1000.
    let west = "zone America/Los_Angeles";
    for midnight in ["1000", "1000.4"] {
        check(&format!("p1 clear 100 @1001.2 {west}, r refund 100 @{midnight} day {west}"), "r: 100 off p1");
        check(&format!("p1 clear 100 @1001.4 {west}, r refund 100 @{midnight} day {west}"), "r: waits");
    }
    // Auckland is ahead: its day 1000 begins at 999.5.
    let east = "zone Pacific/Auckland";
    for midnight in ["1000", "999.5"] {
        check(&format!("p1 clear 100 @1000.4 {east}, r refund 100 @{midnight} day {east}"), "r: 100 off p1");
        check(&format!("p1 clear 100 @1000.6 {east}, r refund 100 @{midnight} day {east}"), "r: waits");
    }
}

#[test]
fn same_merchant_whatever_the_shop_same_currency_same_card() {
    // Every event of these tests is at a shop of its own.
    check("p1 clear 100 @1000 at shop, r refund 100 @1003 at other", "r: waits");
    check("p1 clear 100 @1000 EUR, r refund 100 @1003", "r: waits");
    check("p1 clear 100 @1000 card b, r refund 100 @1003", "r: waits");
    check("p1 clear 100 @1000, p2 clear 100 @1001 card b, r refund 100 @1003", "r: 100 off p1");
}

#[test]
fn what_names_a_purchase_is_never_matched_by_likeness() {
    check("p1 clear 100 @1000, n refund 100 @1003 of p2", "");
    check("p1 clear 100 @1000, n chargeback 100 @1003 of p2, m refund 100 @1003 of p1", "");
    // Nor does anything join an entry that nobody bought.
    check("x increment 100 @1000, r refund 100 @1003", "r: waits");
    // What is bought under a credit's key makes the credit that purchase's own.
    check("r refund 100 @1003, s clear 100 @1001 of r, p1 clear 100 @1000", "");
}

#[test]
fn what_is_only_authorized_stands_until_it_lapses() {
    let events = "p1 auth 100 @1000, p2 clear 120 @999, r refund 100 @1003";
    check_with(&cards(), "1009", events, "r: 100 off p1");
    check_with(&cards(), "1010", events, "r: 100 off p2");
    check_with(&cards(), "1010", &format!("{events}, c clear 100 @1020 of p1"), "r: 100 off p1");
}

#[test]
fn chargebacks_and_clearing_reversals_come_off_as_refunds_do() {
    check("p1 clear 100 @1000, p2 clear 150 @1001, c chargeback 100 @1040", "c: 100 off p1");
    check("p1 clear 100 @1000, p2 clear 150 @1001, u uncleared 150 @1002", "u: 150 off p2");
    // At one instant by type as listed.
    check(
        "p1 clear 100 @1000, a chargeback 100 @1003, b refund 100 @1003, c uncleared 100 @1003",
        "c: 100 off p1, b: waits, a: waits",
    );
}

#[test]
fn a_reversal_takes_back_the_newest_credit_of_its_kind_and_amount() {
    let bought = "p1 clear 100 @1000, p2 clear 100 @1001";
    check(&format!("{bought}, r refund 100 @1003, v unrefunded 100 @1004"), "r: taken back, v: takes back r");
    check(&format!("{bought}, c chargeback 100 @1040, w won 100 @1400"), "c: taken back, w: takes back c");
    // Each in its kind, its amount, and not before what it takes back.
    for other in ["w won 100 @1004", "w unrefunded 90 @1004", "w unrefunded 100 @1002", "w unrefunded 100 @1004 card b"]
    {
        let expected = if other.contains("@1002") { "w: waits, r: 100 off p2" } else { "r: 100 off p2, w: waits" };
        check(&format!("{bought}, r refund 100 @1003, {other}"), expected);
    }
    check(&format!("{bought}, r refund 100 @1003 day, v unrefunded 100 @1003"), "r: taken back, v: takes back r");
    // The newest, and each once.
    check(
        &format!("{bought}, r refund 100 @1003, s refund 100 @1004, v unrefunded 100 @1005"),
        "r: 100 off p2, s: taken back, v: takes back s",
    );
    check(
        &format!("{bought}, r refund 100 @1003, s refund 100 @1005, v unrefunded 100 @1004, u unrefunded 100 @1006"),
        "r: taken back, v: takes back r, s: taken back, u: takes back s",
    );
    // One that came off nothing may be meant as well.
    check(
        "r refund 100 @1003, v unrefunded 100 @1004, u unrefunded 100 @1005",
        "r: taken back, v: takes back r, u: waits",
    );
    // A mistake and its correction leave one refund, in whatever order.
    check(
        "p1 clear 100 @1000, r refund 100 @1003, s refund 100 @1004, v unrefunded 100 @1005",
        "r: 100 off p1, s: taken back, v: takes back s",
    );
}

#[test]
fn a_reversal_that_names_the_credit_takes_back_that_one() {
    let before = "p1 clear 100 @1000, p2 clear 100 @1001, r refund 100 @1003, s refund 100 @1004";
    check(&format!("{before}, v unrefunded 100 @1005 of r"), "r: taken back, s: 100 off p2");
    check(&format!("{before}, v unrefunded 30 @1005 of r"), "r: 70 off p2, s: 100 off p1");
    check(&format!("{before}, v unrefunded 300 @1005 of r"), "r: taken back, s: 100 off p2");
    check(&format!("{before}, v won 100 @1005 of r, w unrefunded 100 @1005 of r EUR"), "r: 100 off p2, s: 100 off p1");
    // What was taken back by name is not taken back again.
    check(
        &format!("{before}, v unrefunded 100 @1005 of s, u unrefunded 100 @1006"),
        "r: taken back, s: taken back, u: takes back r",
    );
}

#[test]
fn a_card_known_to_several_sources_is_one() {
    // `net` knows it as `a` until day 1010, `eu` as `c` from day 1005: `net` credits first.
    let links = [link("net", "a", 0, Some(1010), 0), link("eu", "c", 1005, None, 0), link("eu", "d", 1005, None, 7)];
    let (net, eu) = ("card a from net", "card c from eu");
    let check = |events: &str, expected: &str| check_with(&links, "0", events, expected);
    // The next source's refund comes off what the one before it told of.
    check(&format!("p1 clear 100 @1000 {net}, r refund 100 @1020 {eu}"), "r: 100 off p1");
    check(&format!("p1 clear 100 @1000 {net}, r refund 100 @1020 card d from eu"), "r: waits");
    // While both tell, the other's purchase is refused, and so is its refund: a part of the
    // price told twice comes off once.
    let twice = format!("p1 clear 100 @1006 {net}, q1 clear 100 @1006 {eu}");
    check(&format!("{twice}, r refund 40 @1007 {net}, s refund 40 @1007 {eu}"), "r: 40 off p1, s: 40 off q1");
    check(
        &format!("p1 clear 100 @1000 {net}, r refund 40 @1007 {net}, s refund 40 @1007 {eu}"),
        "r: 40 off p1, s: waits",
    );
    // Later the other credits, and finds the purchase that was credited.
    check(&format!("{twice}, r refund 100 @1020 {eu}"), "r: 100 off p1");
    // Linked again under another number it is the same card still.
    let again = [link("net", "a", 0, Some(1001), 3), link("eu", "c", 1001, None, 3), link("net", "a", 1010, None, 9)];
    let events = format!("p1 clear 100 @1000 {net}, p2 clear 70 @1005 {eu}, r refund 70 @1020 {net}");
    let both = [again[0].clone(), link("eu", "c", 1001, Some(1009), 3), again[2].clone()];
    check_with(&both, "0", &events, "r: 70 off p2");
}

#[test]
fn what_is_not_the_members_takes_nothing_and_loses_nothing() {
    let links = [link("net", "a", 0, Some(1002), 0), link("net", "a", 1004, None, 0)];
    check_with(&links, "0", "p1 clear 100 @1000, r refund 100 @1003", "r: waits");
    check_with(&links, "0", "p1 clear 100 @1000, p2 clear 100 @1003, r refund 100 @1005", "r: 100 off p1");
}

#[test]
fn units_hold_together_what_depends_on_each_other() {
    let lines = [
        "p1 clear 100 @1000",
        "p2 clear 100 @1001",
        "p3 clear 70 @1002",
        "r refund 30 @1003",
        "s refund 100 @1004",
        "t refund 100 @1005",
        "v unrefunded 100 @1006",
        "w refund 500 @1007",
    ];
    let told = |lines: &[&str]| member(&cards(), lines);
    let member = told(&lines);
    let assigned = assign(&member, None, Timestamp::default(), &LapsePolicy::default());
    assert_eq!(
        said(&member, Timestamp::default()),
        "r: 30 off p3, s: 100 off p2, t: taken back, v: takes back t, w: waits"
    );
    assert_eq!(assigned.units(8), [vec![0], vec![1, 4], vec![2, 3], vec![5, 6], vec![7]]);
    assert_eq!(Assigned::default().units(2), [vec![0], vec![1]]);
    // Without a unit the others are assigned as before.
    for unit in assigned.units(8) {
        let left: Vec<&str> = (0..8).filter(|n| !unit.contains(n)).map(|n| lines[n]).collect();
        let whole = said(&member, Timestamp::default());
        let gone: Vec<&str> = unit.iter().map(|n| lines[*n].split(' ').next().unwrap()).collect();
        let kept = whole.split(", ").filter(|text| !gone.contains(&text.split(':').next().unwrap()));
        let rest = told(&left);
        assert_eq!(said(&rest, Timestamp::default()), kept.collect::<Vec<_>>().join(", "));
    }
}

#[test]
fn a_scope_reaches_back_as_far_as_any_credit_there() {
    let shop = [MerchantId::new("shop").unwrap()];
    let lines = ["p1 clear 100 @700", "p2 clear 100 @900", "p3 clear 100 @1001", "r refund 30 @1003 at other"];
    assert_eq!(reaches_back(&member(&cards(), &lines), &shop), None);
    let more = [&lines[..], &["s refund 100 @1010"]].concat();
    assert_eq!(reaches_back(&member(&cards(), &more), &shop), Some(1));
}
