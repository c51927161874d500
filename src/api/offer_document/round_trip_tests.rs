//! Every value of terms is said by a document and read back.

use super::*;
use crate::domain::offer::{
    Amount, Beneficiary, Bounds, Branch, Comparison, Count, CountCap, Funding, Ladder, LadderTier, Limits, LocalTime,
    Measure, MemberTest, Period, PurchaseTest, Reward, RewardCap, SpendStep, What, Within,
};
use crate::domain::{BasisPoints, Channel, Code, LocationId};
use jiff::civil::{Date, DateTime};
use proptest::option;
use proptest::prelude::*;
use std::ops::RangeInclusive;

fn code() -> impl Strategy<Value = Code> {
    "[a-z][a-z0-9-]{0,8}[a-z]".prop_map(|text| Code::parse(&text).unwrap())
}
fn minor() -> impl Strategy<Value = i64> {
    1_i64..1_000_000
}
fn period() -> impl Strategy<Value = Period> {
    prop::sample::select(vec![Period::Day, Period::Week, Period::Month, Period::Year, Period::Ever])
}
fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-z]{1,8}", 1..4)
}
fn bounds(least: i64) -> impl Strategy<Value = Bounds> {
    (least..900, 0_i64..900, 0..3_u8).prop_map(|(low, more, ends)| Bounds {
        at_least: (ends != 1).then_some(low),
        at_most: (ends != 0).then_some(low + more),
    })
}
fn date() -> impl Strategy<Value = Date> {
    (2020_i16..2040, 1_i8..13, 1_i8..29).prop_map(|(year, month, day)| Date::constant(year, month, day))
}
fn ordered<T: PartialOrd>((a, b): (T, T)) -> RangeInclusive<T> {
    if a <= b { a..=b } else { b..=a }
}
fn time() -> impl Strategy<Value = Option<DateTime>> {
    option::of((date(), 0_i8..24, 0_i8..60, 0_i8..60).prop_map(|(date, h, m, s)| date.at(h, m, s, 0)))
}
fn categories() -> impl Strategy<Value = Vec<RangeInclusive<u16>>> {
    prop::collection::vec((0_u16..10_000, 0_u16..10_000).prop_map(ordered), 1..4)
}

fn purchase_test() -> impl Strategy<Value = PurchaseTest> {
    let window = (1_u8..128, 0_u16..1440, 1_u16..1440).prop_map(|(days, from_minute, minutes)| {
        let to_minute = (from_minute + minutes) % 1440;
        LocalTime { days, from_minute, to_minute: if to_minute == 0 { 1440 } else { to_minute } }
    });
    prop_oneof![
        bounds(1).prop_map(PurchaseTest::Spend),
        prop::sample::select(vec![Channel::InStore, Channel::Online, Channel::Unknown]).prop_map(PurchaseTest::Channel),
        prop::collection::vec("[a-z]{1,8}".prop_map(|id| LocationId::new(id).unwrap()), 1..4)
            .prop_map(PurchaseTest::Locations),
        prop::collection::vec("[A-Z]{2}".prop_map(Into::into), 1..4).prop_map(PurchaseTest::Countries),
        categories().prop_map(PurchaseTest::Mcc),
        window.prop_map(PurchaseTest::LocalTime),
        prop::collection::vec((date(), date()).prop_map(ordered), 1..3).prop_map(PurchaseTest::Dates),
    ]
}

fn count() -> impl Strategy<Value = Count> {
    let what = prop_oneof![
        prop::sample::select(vec![
            Measure::Purchases,
            Measure::Spend,
            Measure::Locations,
            Measure::Categories,
            Measure::DaysSince,
            Measure::Referrals
        ]),
        period().prop_filter("ever has no next", |p| *p != Period::Ever).prop_map(Measure::Streak),
    ];
    let within =
        prop_oneof![period().prop_map(Within::Calendar), (1_u32..3000).prop_map(Within::Days), Just(Within::Offer)];
    let is = prop_oneof![
        bounds(0).prop_map(Comparison::Within),
        (1_i64..900).prop_map(Comparison::Reaches),
        (1_i64..900).prop_map(Comparison::Every),
    ];
    (what, prop::collection::vec(purchase_test(), 0..3), within, is).prop_map(|(what, of, within, is)| {
        let is = match (what, is) {
            (Measure::DaysSince, Comparison::Reaches(n) | Comparison::Every(n)) => {
                Comparison::Within(Bounds { at_least: Some(n), at_most: None })
            }
            (_, is) => is,
        };
        // What no window cuts, and what is no purchase.
        let whole = matches!(what, Measure::Streak(_) | Measure::DaysSince | Measure::Referrals);
        let within = if whole { Within::Calendar(Period::Ever) } else { within };
        let of = if what == Measure::Referrals { Vec::new() } else { of };
        Count { what, of, within, is }
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let member = prop_oneof![
        words().prop_map(MemberTest::Segments),
        words().prop_map(MemberTest::Regions),
        (0_u16..184, 0_u16..184).prop_map(|(days_before, days_after)| MemberTest::Birthday { days_before, days_after }),
        bounds(0).prop_map(MemberTest::TenureDays),
        code().prop_map(MemberTest::Tier),
        Just(MemberTest::Clear),
        Just(MemberTest::Referred),
    ];
    let leaf = prop_oneof![
        purchase_test().prop_map(Condition::Purchase),
        member.prop_map(Condition::Member),
        count().prop_map(Condition::Count),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Condition::All),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Condition::Any),
            inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

/// Of this, every amount that it may be given in.
fn amount(what: What) -> BoxedStrategy<Amount> {
    let share = (1_u32..10_001, option::of(minor()))
        .prop_map(|(points, max)| Amount::Share { basis_points: BasisPoints(points), max });
    let steps = prop::collection::btree_map(minor(), minor(), 1..5).prop_map(|steps| {
        Amount::Steps(steps.into_iter().map(|(spend_minor, give)| SpendStep { spend_minor, give }).collect())
    });
    let per_step = (minor(), minor(), option::of(minor())).prop_map(|(give, spend_minor, more)| Amount::PerStep {
        give,
        spend_minor,
        max: more.map(|more| give + more),
    });
    let another = ("[a-z]{1,9}", 1_u32..100_001).prop_map(|(id, points)| Amount::OfAnother {
        offer: OfferId::new(id).unwrap(),
        basis_points: BasisPoints(points),
    });
    let any = prop_oneof![minor().prop_map(Amount::Fixed), steps, per_step, another];
    match what {
        What::Money => prop_oneof![any, share, (2_i64..9999).prop_map(|to_minor| Amount::RoundUp { to_minor })].boxed(),
        What::Points { .. } => prop_oneof![any, share].boxed(),
        What::Perk { .. } => any.boxed(),
    }
}

fn reward() -> impl Strategy<Value = Reward> {
    let days = || option::of(1_u32..3000);
    let what = prop_oneof![
        Just(What::Money),
        (code(), days(), 0_i64..999).prop_map(|(unit, expires_days, worth_of_100_minor)| What::Points {
            unit,
            expires_days,
            worth_of_100_minor
        }),
        (code(), days(), 0_i64..999).prop_map(|(code, expires_days, worth_minor)| What::Perk {
            code,
            expires_days,
            worth_minor
        }),
    ];
    what.prop_flat_map(|what| {
        let branch = (condition(), amount(what)).prop_map(|(when, amount)| Branch { when, amount });
        let amount = prop_oneof![4 => amount(what), 1 => prop::collection::vec(branch, 1..3).prop_map(Amount::FirstOf)];
        amount.prop_map(move |amount| Reward { what, amount })
    })
}

fn trigger() -> impl Strategy<Value = Trigger> {
    prop_oneof![
        3 => Just(Trigger::Purchase),
        1 => code().prop_map(|kind| Trigger::Signal { kind }),
        1 => (minor(), option::of(reward()))
            .prop_map(|(spend_at_least_minor, referred)| Trigger::Referral { spend_at_least_minor, referred }),
        1 => (code(), minor()).prop_map(|(unit, points)| Trigger::Points { unit, points }),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let cap = || option::of((1_u32..100, period()).prop_map(|(count, every)| CountCap { count, every }));
    let reward = option::of((minor(), period()).prop_map(|(minor, every)| RewardCap { minor, every }));
    (cap(), option::of(minor()), reward, cap()).prop_map(
        |(per_member, reward_per_member_minor, reward_per_period, referrals)| Limits {
            per_member,
            reward_per_member_minor,
            reward_per_period,
            referrals,
        },
    )
}

fn ladder() -> impl Strategy<Value = Ladder> {
    let tiers = prop::collection::btree_set(minor(), 1..4).prop_map(|spends| {
        let name = |place| Code::parse(&format!("tier-{place}")).unwrap();
        let tier = |(place, spend_minor)| LadderTier { name: name(place), spend_minor };
        spends.into_iter().enumerate().map(tier).collect()
    });
    (1_u32..3000, 0_u32..3000, tiers).prop_map(|(window_days, grace_days, tiers)| Ladder {
        window_days,
        grace_days,
        tiers,
    })
}

fn shown() -> impl Strategy<Value = Shown> {
    let translation = |(title, terms): (String, Option<String>)| Translation { language: "pt-BR".into(), title, terms };
    let languages = prop::collection::vec(("[A-Z]{1,9}", option::of("[A-Z]{1,9}")).prop_map(translation), 0..2);
    (option::of("[A-Z]{1,5}\n[a-z ]{0,9}"), option::of("https://[a-z]{1,9}/[a-z]{1,5}"), languages)
        .prop_map(|(terms, image, languages)| Shown { terms, image, languages })
}

fn terms() -> impl Strategy<Value = Terms> {
    let reach = prop_oneof![
        3 => Just(Reach::Merchant),
        1 => (categories(), prop::collection::vec("[a-z]{1,8}".prop_map(|id| MerchantId::new(id).unwrap()), 0..3))
            .prop_map(|(mcc, except)| Reach::Category { mcc, except }),
    ];
    let stacking = (option::of("[a-z]{1,8}"), any::<bool>(), any::<i32>()).prop_map(|(group, alone, priority)| {
        let mode = if alone { StackingMode::Exclusive } else { StackingMode::Combine };
        Stacking { group: group.map(Into::into), mode, priority }
    });
    let beneficiary = prop_oneof![
        Just(Beneficiary::Member),
        prop::collection::btree_set(code(), 1..4).prop_map(|causes| Beneficiary::Cause(causes.into_iter().collect())),
    ];
    let small = (any::<bool>(), 0_u32..366, 0_u8..101, any::<bool>(), 0_u32..10_001);
    let what = (trigger(), reach, reward(), condition(), option::of(ladder()), time(), time());
    let budgets = (option::of(minor()), option::of(minor()));
    let more = (budgets, limits(), stacking, beneficiary, shown(), small);
    (what, more).prop_map(|(what, more)| {
        let (trigger, reach, reward, when, ladder, starts, ends) = what;
        let ((budget_minor, daily_budget_minor), limits, stacking, beneficiary, shown, small) = more;
        let (required, hold_days, holdout_percent, cash_like, share) = small;
        Terms {
            trigger,
            reach,
            when,
            ladder,
            starts,
            ends,
            budget_minor,
            daily_budget_minor,
            limits,
            stacking,
            beneficiary,
            shown,
            hold_days,
            holdout_percent,
            cash_like,
            activation: if required { Activation::Required } else { Activation::Automatic },
            funding: Funding { merchant: BasisPoints(share) },
            ..Terms::new(MerchantId::new("m").unwrap(), "T", Currency::parse("USD").unwrap(), reward)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_value_of_terms_is_said_and_read_back(terms in terms()) {
        let text = serde_json::to_vec(&OfferDocument::of(&terms)).unwrap();
        let document: OfferDocument = parse(&text).unwrap();
        let mut reader = Reader::default();
        let read = document.clone().read(&mut reader);
        prop_assert_eq!(&reader.faults, &[]);
        prop_assert_eq!(read.as_ref(), Some(&terms));
        prop_assert_eq!(OfferDocument::of(&terms), document.clone());
        let words = terms.in_words();
        prop_assert!(words.contains("embers") && words.ends_with('.') && !words.contains("  "), "{}", words);
        prop_assert!(warnings(&terms).iter().all(|warning| !warning.path.is_empty()));
        if let Err(faults) = document.into_terms(&id()) {
            prop_assert!(faults.list().iter().all(|fault| fault.code == "contradiction" || fault.path == "when"));
        }
        prop_assert!(the_schema_takes(&text));
    }
}

fn the_schema_takes(text: &[u8]) -> bool {
    static VALIDATOR: std::sync::OnceLock<jsonschema::Validator> = std::sync::OnceLock::new();
    let validator = VALIDATOR.get_or_init(|| jsonschema::draft202012::new(&schema::offer()).unwrap());
    validator.is_valid(&serde_json::from_slice(text).unwrap())
}
