//! Any order and any number of deliveries of the same facts end in the same books.
//!
//! Every-day run: 2,000 cases per property. The long run:
//!
//!     RINGFENCE_CASES=100000 cargo test --release --test it decide_order
//!
//! A failure prints the smallest world that shows it and the seed of the run; the same
//! run again: `PROPTEST_RNG_SEED=<seed> cargo test --test it decide_order`. A world is
//! printed as the facts it is made of, so it can be copied into a test of its own.

use crate::desk::{Books, Desk, Shelf, card, link, purchase, usd};
use crate::said::{self, shop};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use ringfence::decide::Policy;
use ringfence::domain::card_event::Sequence;
use ringfence::domain::member::{ActivationStep, Standing, StandingOrigin, StandingStep};
use ringfence::domain::merchant::Evidence;
use ringfence::domain::offer::{CountCap, Limits, Period};
use ringfence::domain::purchase::HeldEvent;
use ringfence::domain::time::civil_day;
use ringfence::domain::{Channel, Currency, EventKey, EventKind, MerchantId, Money, OfferId, Timestamp};
use ringfence::ledger::AccountKind;
use ringfence::record::{EventInput, MemberInput};
use std::collections::BTreeMap;

/// Steps of six hours from here: coarse, so that events meet at one instant; across the
/// end of a month and of daylight saving in New York (1 November 2026).
const STEP_MS: i64 = 6 * 3_600_000;
fn base() -> Timestamp {
    Timestamp::parse("2026-10-28T00:00:00Z").unwrap()
}
fn at(step: u16) -> Timestamp {
    base().plus_ms(i64::from(step) * STEP_MS)
}

pub fn config() -> Config {
    let cases = std::env::var("RINGFENCE_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(2000);
    // A seed of its own per run, named in the report of a failure.
    let said = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|text| text.parse().ok());
    let seed = said.unwrap_or_else(|| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
    println!("to repeat: PROPTEST_RNG_SEED={seed}");
    Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    }
}

/// A fact as drawn: small numbers that shrink well.
#[derive(Debug, Clone)]
enum Fact {
    Event {
        /// Below 4 a purchase of that number; then [`NAMES_NONE`] and what follows it.
        purchase: u8,
        kind: EventKind,
        minor: Option<i64>,
        stray_currency: bool,
        at: u16,
        posted: u16,
        part: Option<(u32, Option<u32>)>,
        /// Merchant and how it was recognised, when it was.
        shop: Option<(u8, Evidence)>,
        lodging: bool,
        day_only: bool,
    },
    Activation {
        offer: u8,
        at: u16,
        active: bool,
    },
    Standing {
        merchant: Option<u8>,
        standing: Standing,
        since: u16,
        set_at: u8,
        ask_back: bool,
    },
    Unlink {
        card: u8,
        at: u16,
    },
    Mark(u16),
}

/// An event that names no purchase: a credit comes off one, another opens one of its own.
const NAMES_NONE: u8 = 4;
/// The same by the other source's token of the card.
const NAMES_NONE_ELSEWHERE: u8 = 5;
/// An event that names what the fact before it opened, or would have.
const NAMES_THE_ONE_BEFORE: u8 = 6;

/// A fact with its places in two other orders, and perhaps a second delivery.
#[derive(Debug, Clone)]
struct Placed {
    fact: Fact,
    places: [u8; 2],
    again: Option<u8>,
}

#[derive(Debug, Clone)]
struct World {
    offers: Vec<String>,
    /// When another source's token of the same card is linked.
    second_card_from: Option<u16>,
    facts: Vec<Placed>,
}

fn minor() -> impl Strategy<Value = i64> {
    prop_oneof![4 => (1_i64..=12).prop_map(|n| n * 500), 1 => 0_i64..=7000]
}

fn when() -> impl Strategy<Value = u16> {
    prop_oneof![6 => 0_u16..24, 2 => 0_u16..160]
}

fn kind() -> impl Strategy<Value = EventKind> {
    use EventKind as K;
    prop_oneof![
        8 => Just(K::Authorization),
        8 => Just(K::Clearing),
        2 => Just(K::Increment),
        2 => Just(K::Advice),
        2 => Just(K::Reversal),
        1 => Just(K::Expiry),
        1 => Just(K::ClearingReversal),
        4 => Just(K::Refund),
        1 => Just(K::RefundReversal),
        1 => Just(K::Chargeback),
        1 => Just(K::ChargebackReversal),
    ]
}

fn credit() -> impl Strategy<Value = EventKind> {
    use EventKind as K;
    prop_oneof![
        8 => Just(K::Refund),
        2 => Just(K::RefundReversal),
        2 => Just(K::Chargeback),
        1 => Just(K::ChargebackReversal),
        1 => Just(K::ClearingReversal),
    ]
}

fn evidence() -> impl Strategy<Value = Evidence> {
    prop_oneof![4 => Just(Evidence::Mid), 1 => Just(Evidence::StoreId), 1 => Just(Evidence::Descriptor)]
}

fn event_fact() -> impl Strategy<Value = Fact> {
    let part = prop_oneof![
        5 => Just(None),
        2 => (1_u32..=3, prop_oneof![1 => Just(None), 3 => (1_u32..=3).prop_map(Some)]).prop_map(Some),
    ];
    let shop = prop_oneof![
        8 => evidence().prop_map(|evidence| Some((0, evidence))),
        2 => evidence().prop_map(|evidence| Some((1, evidence))),
        1 => Just(None),
    ];
    let rare = |weight| prop::bool::weighted(weight);
    let unnamed = prop_oneof![4 => Just(NAMES_NONE), 1 => Just(NAMES_NONE_ELSEWHERE), 1 => Just(NAMES_THE_ONE_BEFORE)];
    let what = prop_oneof![20 => (0_u8..4, kind()), 3 => (unnamed.clone(), credit()), 1 => (unnamed, kind())];
    (what, minor(), rare(0.04), when(), 0_u16..30, part, shop, rare(0.15), rare(0.05)).prop_map(
        |((purchase, kind), minor, stray_currency, at, posted, part, shop, lodging, day_only)| {
            let all = kind == EventKind::Expiry || (kind == EventKind::Reversal && minor % 3 == 0);
            let minor = if all { None } else { Some(minor) };
            let part = part.filter(|_| kind == EventKind::Clearing);
            Fact::Event {
                purchase,
                kind,
                minor,
                stray_currency,
                at,
                posted: at + posted,
                part,
                shop,
                lodging,
                day_only,
            }
        },
    )
}

fn fact() -> impl Strategy<Value = Fact> {
    use Standing::{Barred, Clear, Held, Watched};
    let merchant = prop_oneof![Just(None), Just(Some(0_u8)), Just(Some(1_u8))];
    let standing = prop_oneof![Just(Clear), Just(Watched), Just(Held), Just(Barred)];
    prop_oneof![
        20 => event_fact(),
        3 => (0_u8..3, when(), any::<bool>()).prop_map(|(offer, at, active)| Fact::Activation { offer, at, active }),
        1 => (merchant, standing, when(), 0_u8..3, any::<bool>()).prop_map(|(merchant, standing, since, set_at, ask_back)| {
            Fact::Standing { merchant, standing, since, set_at, ask_back }
        }),
        1 => (0_u8..2, when()).prop_map(|(card, at)| Fact::Unlink { card, at }),
        2 => (0_u16..200).prop_map(Fact::Mark),
    ]
}

fn offer() -> impl Strategy<Value = String> {
    let reward = prop_oneof![
        3 => Just("5%".to_owned()),
        2 => Just("50%".to_owned()),
        1 => Just("7.25% max 2.00".to_owned()),
        1 => Just("100%".to_owned()),
        1 => Just("fixed 3.00".to_owned()),
        1 => Just("steps=10.00:1.00,30.00:4.00".to_owned()),
        1 => Just("points=2/1.00".to_owned()),
        1 => Just("of=o0".to_owned()),
    ];
    let merchant = prop_oneof![4 => Just("york"), 1 => Just("auckland")];
    // One cap of a kind: the last word would silently win.
    let cap = prop_oneof![
        3 => Just(""),
        2 => Just("cap 1 ever"),
        1 => Just("cap 2 ever"),
        1 => Just("cap 1 day"),
        1 => Just("cap 1 week"),
        1 => Just("cap 1 month"),
        3 => Just("reward-cap 5.00"),
        1 => Just("cap 2 ever reward-cap 3.00"),
    ];
    let stacking = prop_oneof![
        4 => Just(""),
        3 => Just("exclusive g"),
        1 => Just("exclusive g priority 5"),
        1 => Just("priority 5"),
        1 => Just("category 7011"),
    ];
    let hold = prop_oneof![2 => Just("hold 14"), 1 => Just("hold 0"), 1 => Just("hold 3")];
    let conditions = [
        "min 25.00",
        "min 25.00",
        "activation",
        "activation",
        "holdout 50",
        "starts 2026-10-30T10:00",
        "ends 2026-11-03T10:00",
        "hours mon,tue,wed,thu,fri 06:00-15:00",
        "hours all 20:00-02:00",
        "EUR",
        "first",
        "nth 2",
        "nth 2 of-min 15.00",
        "visits 2 3",
        "spends 40.00 month",
        "each-spend 30.00 ever",
        "streak 2 day",
        "lapsed 1",
        "lapsed 2 not",
        "tier 30.00 4 3",
        "most 40.00",
    ];
    let conditions = prop::sample::subsequence(conditions.to_vec(), 0..=2);
    (reward, merchant, cap, stacking, hold, conditions).prop_map(
        |(reward, merchant, cap, stacking, hold, conditions)| {
            format!("{reward} merchant {merchant} {cap} {stacking} {hold} {}", conditions.join(" "))
        },
    )
}

fn world(facts_max: usize) -> impl Strategy<Value = World> {
    let placed = (fact(), any::<[u8; 2]>(), prop::option::weighted(0.25, any::<u8>()))
        .prop_map(|(fact, places, again)| Placed { fact, places, again });
    let second = prop::option::weighted(0.4, 0_u16..30);
    (prop::collection::vec(offer(), 1..=3), second, prop::collection::vec(placed, 1..=facts_max))
        .prop_map(|(offers, second_card_from, facts)| World { offers, second_card_from, facts })
}

/// Conditions of the offer language, one ladder at most among them.
const LANGUAGE: [&str; 13] = [
    "min 25.00",
    "most 40.00",
    "first",
    "nth 2",
    "nth 2 of-min 15.00",
    "visits 2 3",
    "spends 40.00 month",
    "each-spend 30.00 ever",
    "streak 2 day",
    "lapsed 1",
    "lapsed 2 not",
    "tier 30.00 4 3",
    "hours mon,tue,wed,thu,fri 06:00-15:00",
];

const MERCHANTS: [&str; 2] = ["york", "auckland"];
const CARDS: [(&str, &str); 2] = [("net", "ann"), ("other", "ann-2")];

impl World {
    /// Each offer with a budget and a daily one, where they are given.
    fn desk(&self, budgets: &[(Option<i64>, Option<i64>)]) -> Desk {
        let mut shelf = Shelf::default();
        for (n, offer) in self.offers.iter().enumerate() {
            let mut terms = said::terms(offer).unwrap();
            (terms.budget_minor, terms.daily_budget_minor) = budgets.get(n).copied().unwrap_or_default();
            shelf.publish(&format!("o{n}"), terms);
        }
        let mut desk = Desk::empty(shelf, Policy::default(), "ann");
        desk.link(link("net", card("ann"), Timestamp::default(), None, 0));
        if let Some(from) = self.second_card_from {
            desk.link(link("other", card("ann-2"), at(from), None, 0));
        }
        desk
    }
    /// The input of the `n`th fact; a mark has none.
    fn input(&self, n: usize) -> Option<MemberInput> {
        Some(match &self.facts[n].fact {
            Fact::Mark(_) => return None,
            Fact::Event { .. } => MemberInput::Event(Box::new(self.event(n))),
            Fact::Activation { offer, at: step, active } => MemberInput::Activated(ActivationStep {
                offer: OfferId::new(format!("o{offer}")).unwrap(),
                at: at(*step),
                active: *active,
            }),
            Fact::Standing { merchant, standing, since, set_at, ask_back } => MemberInput::StandingSet(StandingStep {
                merchant: merchant.map(|m| MerchantId::new(MERCHANTS[usize::from(m)]).unwrap()),
                standing: *standing,
                since: at(*since),
                set_at: at(u16::from(*set_at)),
                ask_back: *ask_back,
                until: None,
                origin: StandingOrigin::Said,
            }),
            Fact::Unlink { card: n, at: step } => {
                MemberInput::CardUnlinked { card: card(CARDS[usize::from(*n)].1), at: at(*step) }
            }
        })
    }
    fn event(&self, n: usize) -> EventInput {
        let Fact::Event {
            purchase: p,
            kind,
            minor,
            stray_currency,
            at: step,
            posted,
            part,
            shop: seen,
            lodging,
            day_only,
        } = &self.facts[n].fact
        else {
            panic!("not an event")
        };
        let currency = if *stray_currency { Currency::parse("EUR").unwrap() } else { usd() };
        // Purchase 3 is the other source's, when it knows the card.
        let beside = matches!(*p, 3 | NAMES_NONE_ELSEWHERE) && self.second_card_from.is_some();
        let (source, token) = CARDS[usize::from(beside)];
        let named = match *p {
            NAMES_NONE | NAMES_NONE_ELSEWHERE => format!("e{n}"),
            NAMES_THE_ONE_BEFORE => format!("e{}", n.saturating_sub(1)),
            p => format!("p{p}"),
        };
        let event = HeldEvent {
            key: EventKey::new(format!("e{n}")).unwrap(),
            kind: *kind,
            card: card(token),
            amount: minor.map(|minor| Money::new(minor, currency)),
            occurred_at: at(*step),
            time_known: !day_only,
            posted_at: at(*posted),
            mcc: lodging.then_some(7011),
            channel: Channel::InStore,
            sequence: part.map(|(number, count)| Sequence { number, count }),
            matched: None,
            content: 0,
            answer: Vec::new(),
        };
        let matched = seen.map(|(merchant, evidence)| {
            let name = MERCHANTS[usize::from(merchant)];
            shop(name, said::zone_of(name), evidence)
        });
        EventInput { purchase: purchase(source, &named), event, matched }
    }
    fn deliver(&self, desk: &mut Desk, n: usize) {
        match self.input(n) {
            None => {
                let Fact::Mark(step) = self.facts[n].fact else { return };
                desk.mark(at(step));
            }
            Some(MemberInput::Event(event)) => {
                desk.event(*event);
            }
            Some(input) => {
                desk.step(input);
            }
        }
    }
    /// Facts in the order drawn, or in one of the other two, with second deliveries of events.
    /// Only the first unlinking of a card says anything, so those keep their order.
    fn order(&self, by: Option<usize>) -> Vec<usize> {
        let Some(by) = by else { return (0..self.facts.len()).collect() };
        let is_event = |n: &usize| matches!(self.facts[*n].fact, Fact::Event { .. });
        let first = (0..self.facts.len()).map(|n| (self.facts[n].places[by], n));
        let second = (0..self.facts.len()).filter(is_event).filter_map(|n| Some((self.facts[n].again?, n)));
        let mut order: Vec<(u8, usize)> = first.chain(second).collect();
        order.sort_unstable();
        let mut order: Vec<usize> = order.into_iter().map(|(_, n)| n).collect();
        for card in 0..2 {
            let same = |n: &usize| matches!(self.facts[*n].fact, Fact::Unlink { card: c, .. } if c == card);
            let places: Vec<usize> = (0..order.len()).filter(|place| same(&order[*place])).collect();
            let mut sorted: Vec<usize> = places.iter().map(|place| order[*place]).collect();
            sorted.sort_unstable();
            for (place, n) in places.into_iter().zip(sorted) {
                order[place] = n;
            }
        }
        order
    }
    fn live(&self, by: Option<usize>) -> Desk {
        let mut desk = self.desk(&[]);
        for n in self.order(by) {
            self.deliver(&mut desk, n);
            desk.audit();
        }
        desk
    }
    /// All facts first, one decision at the end.
    fn at_once(&self) -> Desk {
        let mut desk = self.desk(&[]);
        for n in 0..self.facts.len() {
            match (self.input(n), &self.facts[n].fact) {
                (Some(input), _) => desk.put(&input),
                (None, Fact::Mark(step)) => desk.mark = desk.mark.max(at(*step)),
                (None, _) => {}
            }
        }
        desk.decide_all();
        desk.audit();
        desk
    }
}

/// Caps hold, rewards stay within their purchase, and books grow by what was granted alone.
fn check_limits(desk: &Desk) {
    let mut taken = desk.taken();
    for placed in &desk.member.purchases {
        let worth = ringfence::decide::worth(&placed.purchase, desk.mark, &desk.policy.lapse);
        let worth = worth.less(taken.remove(&placed.purchase.key).unwrap_or(0));
        let money = placed.purchase.grants.iter().filter(|grant| grant.unit.currency().is_some());
        let given: i64 = money.map(|grant| grant.amount_minor).sum();
        assert!(given <= worth.minor, "{given} given back of {} ({})", worth.minor, placed.purchase.key);
        assert!(placed.purchase.grants.iter().all(|grant| grant.amount_minor >= 0));
    }
    for offer in desk.shelf.all() {
        let Limits { per_member, reward_per_member_minor, .. } = offer.newest().terms.limits;
        if let Some(cap) = reward_per_member_minor {
            assert!(desk.granted(&offer.id) <= cap, "the reward cap of {} does not hold", offer.id);
        }
        let Some(CountCap { count, every }) = per_member else { continue };
        let mut used = BTreeMap::<String, u32>::new();
        for placed in &desk.member.purchases {
            if placed.purchase.grant(&offer.id).is_some_and(|grant| grant.amount_minor > 0) {
                // An offer over a category takes what nobody's shop sold, too.
                let zone = placed.merchant.as_ref().map_or("UTC", |merchant| said::zone_of(merchant.as_str()));
                let date = placed.time.local(&jiff::tz::TimeZone::get(zone).unwrap()).date();
                assert_eq!(civil_day(date), placed.local_day);
                let period = match every {
                    Period::Day => date.to_string(),
                    Period::Week => format!("{} {}", date.iso_week_date().year(), date.iso_week_date().week()),
                    Period::Month => date.first_of_month().to_string(),
                    Period::Year => date.year().to_string(),
                    Period::Ever => String::new(),
                };
                *used.entry(period).or_default() += 1;
            }
        }
        assert!(used.values().all(|n| *n <= count), "the cap of {} does not hold: {used:?}", offer.id);
    }
}

/// The first difference, so that a failure is read at a glance.
fn same(found: &Books, expected: &Books, what: &str) -> Result<(), TestCaseError> {
    prop_assert_eq!(&found.grants, &expected.grants, "grants, {}", what);
    prop_assert_eq!(&found.balances, &expected.balances, "balances, {}", what);
    prop_assert_eq!(&found.sums, &expected.sums, "sums per account, {}", what);
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    /// Granted equals due for every order and duplication: three orders, two of them with
    /// second deliveries, and one decision from the whole set.
    #[test]
    fn inv_04_any_order_and_duplication_ends_in_the_same_books(world in world(36)) {
        let whole = world.at_once();
        check_limits(&whole);
        let expected = whole.books();
        for by in [None, Some(0), Some(1)] {
            let desk = world.live(by);
            check_limits(&desk);
            same(&desk.books(), &expected, &format!("order {by:?}"))?;
        }
    }

    /// What came before changes nothing when it comes again, at any later time.
    #[test]
    fn inv_02_a_second_delivery_changes_nothing(world in world(16)) {
        let mut desk = world.live(None);
        let (before, head) = (desk.books(), desk.member.head.clone());
        for n in 0..world.facts.len() {
            if matches!(world.facts[n].fact, Fact::Event { .. }) {
                world.deliver(&mut desk, n);
            }
        }
        prop_assert_eq!(desk.books(), before);
        prop_assert_eq!(&desk.member.head, &head);
        // Nor does deciding once more.
        prop_assert!(desk.decide_all().changes.is_empty());
    }

    /// Redemptions between the facts: the books balance after every step (`audit`), nothing
    /// is negative, what was paid stays paid, and what was taken back after use is owed or lost.
    #[test]
    fn inv_03_books_balance_with_redemptions_between(
        world in world(24),
        redemptions in prop::collection::vec((any::<u8>(), 1_i64..=2000), 0..6),
    ) {
        let mut desk = world.desk(&[]);
        let mut paid = 0;
        for n in world.order(Some(0)) {
            world.deliver(&mut desk, n);
            desk.audit();
            for (_, minor) in redemptions.iter().filter(|(place, _)| usize::from(*place) % world.facts.len() == n) {
                let balance = desk.member.head.balance(usd());
                let can = balance.available_minor - balance.owed_minor;
                if can > 0 && desk.redeem((*minor).min(can), usd()) {
                    paid += (*minor).min(can);
                    desk.audit();
                    prop_assert_eq!(desk.member.head.balance(usd()).owed_minor, 0, "a pay-out settles what is owed");
                }
            }
            prop_assert_eq!(desk.member.head.balance(usd()).paid_minor, paid);
        }
        check_limits(&desk);
        // What the merchants bear is what was granted: the rest is owed or lost, by name.
        let granted: i64 = desk.grants().map(|(_, grant)| grant.amount_minor).sum();
        let borne = desk.sum(AccountKind::MerchantBudget) + desk.sum(AccountKind::MerchantFunding);
        prop_assert_eq!(-borne, granted);
        // And paying out changes no reward.
        let unpaid = world.live(Some(0));
        prop_assert_eq!(desk.books().grants, unpaid.books().grants);
    }

    /// With budgets the books depend on arrival, but never pass a budget.
    #[test]
    fn inv_05_budgets_hold_in_every_order(
        world in world(24),
        budgets in prop::collection::vec(
            (prop::option::weighted(0.6, 0_i64..=3000), prop::option::weighted(0.5, 0_i64..=1500)), 3),
    ) {
        for by in [None, Some(0), Some(1)] {
            let mut desk = world.desk(&budgets);
            for n in world.order(by) {
                world.deliver(&mut desk, n);
                desk.audit();
                for offer in desk.shelf.all() {
                    if let Some(budget) = offer.newest().terms.budget_minor {
                        let granted = desk.granted(&offer.id);
                        prop_assert!(granted <= budget, "{granted} of {budget} granted under {}", offer.id);
                    }
                    if let Some(daily) = offer.newest().terms.daily_budget_minor {
                        let raised = desk.raised_today(&offer.id);
                        prop_assert!(raised <= daily, "{raised} of {daily} given in a day under {}", offer.id);
                    }
                }
            }
            check_limits(&desk);
            for (key, grant) in desk.grants() {
                prop_assert!(grant.amount_minor <= grant.terms_minor, "{key}: more than the terms give: {grant:?}");
            }
        }
    }

    /// What is taken away and put back leaves the books as they were: a refund of a purchase
    /// and its reversal, whatever else rests on that purchase.
    #[test]
    fn inv_04_what_is_taken_away_and_put_back_changes_nothing(
        world in world(24),
        purchase in 0_u8..4,
        minor in 1_i64..=6000,
        day in 0_u16..160,
    ) {
        let mut desk = world.live(None);
        let before = desk.books();
        let event = |kind, minor, at| Fact::Event {
            purchase,
            kind,
            minor: Some(minor),
            stray_currency: false,
            at,
            posted: at,
            part: None,
            shop: None,
            lodging: false,
            day_only: false,
        };
        let count = world.facts.len();
        let mut more = world.clone();
        for (fact, place) in [(event(EventKind::Refund, minor, day), 0), (event(EventKind::RefundReversal, minor, day + 1), 1)] {
            more.facts.push(Placed { fact, places: [place, place], again: None });
        }
        more.deliver(&mut desk, count);
        desk.audit();
        more.deliver(&mut desk, count + 1);
        desk.audit();
        // One that opened the purchase says when and where it was.
        let opened = !world.facts.iter().any(|placed| matches!(placed.fact, Fact::Event { purchase: p, .. } if p == purchase));
        prop_assume!(!opened);
        same(&desk.books(), &before, "after a refund and its reversal")?;
    }

    /// One condition more never gives more, purchase by purchase. Caps are left out: there, a
    /// purchase that fails leaves room for a later one.
    #[test]
    fn a_stricter_offer_never_gives_more(
        reward in prop::sample::select(vec!["5%", "50%", "fixed 3.00", "steps=10.00:1.00,30.00:4.00", "points=2/1.00"]),
        base in prop::sample::subsequence(LANGUAGE.to_vec(), 0..=2),
        more in prop::sample::select(LANGUAGE.to_vec()),
        facts in world(24),
    ) {
        let offer = |conditions: &str| World {
            offers: vec![format!("{reward} merchant york hold 0 {conditions}")],
            ..facts.clone()
        };
        let base = base.join(" ");
        let (loose, strict) = (offer(&base).at_once(), offer(&format!("{base} {more}")).at_once());
        let given: BTreeMap<_, _> = loose.grants().map(|(key, grant)| (key.clone(), grant.amount_minor)).collect();
        for (key, grant) in strict.grants() {
            let loosely = given.get(key).copied().unwrap_or(0);
            prop_assert!(grant.amount_minor <= loosely, "{key}: {} under `{base} {more}`, {loosely} without the last", grant.amount_minor);
        }
    }
}

/// The properties prove nothing about worlds in which nothing happens: how often each thing
/// of interest does, in worlds as drawn.
#[test]
fn drawn_worlds_are_not_idle() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::<String, u32>::new();
    let mut count = |what: &str, happened: bool| *seen.entry(what.to_owned()).or_default() += u32::from(happened);
    for _ in 0..1000 {
        let world = world(36).new_tree(&mut runner).unwrap().current();
        let mut desk = world.desk(&[]);
        let (mut lowered, mut moved, mut others, mut reassigned) = (false, false, false, false);
        let mut joined = BTreeMap::new();
        let mut codes = std::collections::BTreeSet::new();
        for n in world.order(Some(0)) {
            let own = world.input(n).and_then(|input| match input {
                MemberInput::Event(event) => Some(event.purchase),
                _ => None,
            });
            let changes = match world.input(n) {
                Some(MemberInput::Event(event)) => desk.event(*event),
                Some(input) => Some(desk.step(input)),
                None => match world.facts[n].fact {
                    Fact::Mark(step) => Some(desk.mark(at(step))),
                    _ => None,
                },
            };
            let Some(step) = changes else { continue };
            for (key, old, new) in &step.moved {
                let had = old.as_ref().map_or(0, |old| old.amount_minor);
                lowered |= new.amount_minor < had;
                moved |= old.as_ref().is_some_and(|old| old.stage != new.stage);
                others |= own.as_ref().is_some_and(|own| own != key);
            }
            let now = desk.joined();
            reassigned |= joined.iter().any(|(credit, to)| now.get(credit).is_some_and(|new| new != to));
            joined = now;
            let lines = step.judged.iter().flat_map(|judged| &judged.lines);
            codes.extend(lines.filter_map(|line| Some(line.refusal.as_ref()?.code())));
        }
        let grants: Vec<_> = desk.grants().filter(|(_, grant)| grant.amount_minor > 0).collect();
        count("something is granted", !grants.is_empty());
        count("two purchases are rewarded", grants.len() > 1);
        count("something is frozen", grants.iter().any(|(_, grant)| grant.held));
        count("a reward was lowered", lowered);
        count("a reward changed its stage", moved);
        count("an event changed another purchase's reward", others);
        count("a credit that names no purchase came off one", !joined.is_empty());
        count("a credit that names no purchase was moved to another", reassigned);
        for code in codes {
            count(code, true);
        }
    }
    println!("of 1000 worlds: {seen:#?}");
    for (what, least) in [
        ("something is granted", 400),
        ("two purchases are rewarded", 150),
        ("something is frozen", 20),
        ("a reward was lowered", 200),
        ("a reward changed its stage", 120),
        ("an event changed another purchase's reward", 60),
        ("a credit that names no purchase came off one", 200),
        ("a credit that names no purchase was moved to another", 20),
        ("card_not_linked", 20),
        ("seen_from_another_source", 20),
        ("currency_differs", 20),
        ("not_started", 20),
        ("offer_ended", 20),
        ("not_activated", 20),
        ("not_eligible", 20),
        ("nothing_stands", 20),
        ("spend_too_low", 20),
        ("time_unknown", 5),
        ("outside_hours", 20),
        ("cap_reached", 20),
        ("reward_cap_reached", 20),
        ("excluded_by_another", 5),
        ("purchase_covered", 5),
        ("purchase_count", 20),
        ("spend_total", 20),
        ("streak", 5),
        ("days_since_purchase", 20),
        ("tier_too_low", 5),
        ("spend_too_high", 5),
        ("excluded", 5),
    ] {
        let times = seen.get(what).copied().unwrap_or(0);
        assert!(times >= least, "`{what}` happened in {times} of 1000 worlds, at least {least} expected");
    }
}
