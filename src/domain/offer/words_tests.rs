//! A table of terms and the sentence each comes to.

use super::*;
use crate::domain::offer::{Funding, RewardCap, SpendStep};
use crate::domain::{Code, LocationId, MerchantId, OfferId};

fn code(text: &str) -> Code {
    Code::parse(text).unwrap()
}

fn terms(reward: Reward) -> Terms {
    Terms::new(MerchantId::new("m").unwrap(), "T", Currency::parse("USD").unwrap(), reward)
}

fn five() -> Terms {
    terms(Reward::fixed(500))
}

fn of(amount: Amount) -> Terms {
    terms(Reward { what: What::Money, amount })
}

fn points(amount: Amount) -> Terms {
    let what = What::Points { unit: code("beans"), expires_days: None, worth_of_100_minor: 0 };
    terms(Reward { what, amount })
}

fn perk(expires_days: Option<u32>) -> Terms {
    let what = What::Perk { code: code("free-cup"), expires_days, worth_minor: 0 };
    terms(Reward { what, amount: Amount::Fixed(1) })
}

fn counted(what: Measure, is: Comparison) -> Condition {
    Condition::Count(Count { what, of: Vec::new(), within: Within::Calendar(Period::Ever), is })
}

fn at_least(number: i64) -> Comparison {
    Comparison::Within(Bounds { at_least: Some(number), at_most: None })
}

fn exactly(number: i64) -> Comparison {
    Comparison::Within(Bounds { at_least: Some(number), at_most: Some(number) })
}

fn is(test: MemberTest) -> Condition {
    Condition::Member(test)
}

fn by(test: PurchaseTest) -> Condition {
    Condition::Purchase(test)
}

fn regions(names: &[&str]) -> Condition {
    is(MemberTest::Regions(names.iter().map(|name| (*name).to_owned()).collect()))
}

#[track_caller]
fn says(terms: Terms, right: &str) {
    assert_eq!(terms.in_words(), right);
}

#[test]
fn the_offer_of_the_brochure() {
    let mut lapsed = terms(Reward::percent(1000, Some(500)))
        .and(counted(Measure::DaysSince, at_least(60)))
        .and(Condition::local_time(0b1_1111, 0, 720));
    lapsed.limits.per_member = Some(CountCap { count: 1, every: Period::Ever });
    says(
        lapsed,
        "Members who have not bought for 60 days get 10 percent, up to 5.00 USD, once, on weekdays before noon.",
    );
}

#[test]
fn rewards() {
    says(terms(Reward::percent(1250, None)), "Members get 12.5 percent.");
    says(terms(Reward::percent(5, None)), "Members get 0.05 percent.");
    says(five(), "Members get 5.00 USD.");
    let step = |spend_minor, give| SpendStep { spend_minor, give };
    says(
        of(Amount::Steps(vec![step(5000, 500), step(10_000, 1200)])),
        "Members get 5.00 USD from 50.00 USD on and 12.00 USD from 100.00 USD on.",
    );
    says(of(Amount::RoundUp { to_minor: 100 }), "Members get what rounds the purchase up to the next 1.00 USD.");
    says(
        points(Amount::PerStep { give: 1, spend_minor: 100, max: Some(50) }),
        "Members get 1 bean for each 1.00 USD spent, up to 50 beans.",
    );
    says(perk(None), "Members get free-cup.");
    says(perk(Some(30)), "Members get free-cup, good for 30 days.");
    let offer = OfferId::new("club").unwrap();
    says(
        points(Amount::OfAnother { offer: offer.clone(), basis_points: BasisPoints::WHOLE }),
        "Members get as much again as club gives.",
    );
    says(
        points(Amount::OfAnother { offer, basis_points: BasisPoints(5000) }),
        "Members get 50 percent of what club gives, besides.",
    );
    let branch = |when, give| Branch { when, amount: Amount::Fixed(give) };
    says(
        of(Amount::FirstOf(vec![branch(regions(&["north"]), 1000), branch(Condition::always(), 500)])),
        "Members get 10.00 USD when they are of the region north, otherwise 5.00 USD.",
    );
}

#[test]
fn members() {
    for (test, right) in [
        (MemberTest::Segments(vec!["vip".into(), "staff".into()]), "are in the group vip or staff"),
        (MemberTest::Birthday { days_before: 0, days_after: 0 }, "have their birthday"),
        (MemberTest::Birthday { days_before: 7, days_after: 0 }, "have their birthday within 7 days"),
        (
            MemberTest::Birthday { days_before: 7, days_after: 1 },
            "have their birthday within 7 days or had it up to 1 day ago",
        ),
        (
            MemberTest::TenureDays(Bounds { at_least: Some(30), at_most: None }),
            "have been members for at least 30 days",
        ),
        (MemberTest::Tier(code("gold")), "are on tier gold or above"),
        (MemberTest::Clear, "are in good standing"),
        (MemberTest::Referred, "were referred by another"),
    ] {
        says(five().and(is(test)), &format!("Members who {right} get 5.00 USD."));
    }
}

#[test]
fn counts() {
    for (what, compares, right) in [
        (Measure::Purchases, exactly(1), "Members who make their first purchase get 5.00 USD."),
        (Measure::Purchases, Comparison::Reaches(22), "Members who make their 22nd purchase get 5.00 USD."),
        (Measure::Purchases, Comparison::Every(11), "Members get 5.00 USD, with every 11th purchase."),
        (Measure::Purchases, at_least(2), "Members who have bought at least twice get 5.00 USD."),
        (Measure::Spend, Comparison::Reaches(10_000), "Members who bring their spend to 100.00 USD get 5.00 USD."),
        (Measure::Spend, Comparison::Every(10_000), "Members get 5.00 USD, with every 100.00 USD spent in all."),
        (Measure::Locations, Comparison::Reaches(2), "Members who visit their second different shop get 5.00 USD."),
        (
            Measure::Categories,
            at_least(3),
            "Members who have bought in at least 3 different merchant categories get 5.00 USD.",
        ),
        (
            Measure::Streak(Period::Month),
            Comparison::Reaches(3),
            "Members who buy in the third month in a row get 5.00 USD.",
        ),
        (Measure::Streak(Period::Week), Comparison::Every(4), "Members get 5.00 USD, with every 4th week in a row."),
        (Measure::DaysSince, at_least(60), "Members who have not bought for 60 days get 5.00 USD."),
        (Measure::Referrals, at_least(3), "Members who have referred at least 3 members who bought get 5.00 USD."),
    ] {
        says(five().and(counted(what, compares)), right);
    }
    let some = Count {
        what: Measure::Purchases,
        of: vec![
            PurchaseTest::Channel(Channel::Online),
            PurchaseTest::Spend(Bounds { at_least: Some(500), at_most: None }),
        ],
        within: Within::Days(30),
        is: Comparison::Reaches(3),
    };
    says(
        five().and(Condition::Count(some)),
        "Members who make their third purchase within 30 days (counting only purchases online and of at least 5.00 USD) \
         get 5.00 USD.",
    );
}

#[test]
fn purchases() {
    let day = |day| civil::date(2026, 12, day);
    let shops = |ids: &[&str]| ids.iter().map(|id| LocationId::new(id).unwrap()).collect();
    for (test, right) in [
        (PurchaseTest::Channel(Channel::InStore), "in a shop"),
        (PurchaseTest::Locations(shops(&["market", "harbor"])), "at market or harbor"),
        (PurchaseTest::Locations(shops(&["a", "b", "c", "d", "e", "f"])), "at one of 6 shops"),
        (PurchaseTest::Countries(vec!["FR".into(), "IT".into(), "ES".into()]), "in FR, IT or ES"),
        (PurchaseTest::Mcc(vec![5411..=5411, 742..=763]), "in merchant category 5411 or 0742 to 0763"),
        (
            PurchaseTest::Dates(vec![day(24)..=day(26), day(31)..=day(31)]),
            "from 24 December 2026 to 26 December 2026 or on 31 December 2026",
        ),
        (PurchaseTest::LocalTime(LocalTime { days: 127, from_minute: 0, to_minute: 1440 }), "at any time"),
        (
            PurchaseTest::LocalTime(LocalTime { days: 96, from_minute: 360, to_minute: 720 }),
            "at weekends from 06:00 to noon",
        ),
        (
            PurchaseTest::LocalTime(LocalTime { days: 5, from_minute: 1080, to_minute: 1440 }),
            "on Mondays and Wednesdays from 18:00 on",
        ),
    ] {
        says(five().and(by(test)), &format!("Members get 5.00 USD, {right}."));
    }
    says(five().and(Condition::spend_at_least(2000)), "Members who spend at least 20.00 USD get 5.00 USD.");
}

#[test]
fn alternatives_and_exceptions() {
    let vip = || is(MemberTest::Segments(vec!["vip".into()]));
    let online = || by(PurchaseTest::Channel(Channel::Online));
    says(
        five().and(Condition::Any(vec![online(), vip()])),
        "Members get 5.00 USD, when they buy online or they are in the group vip.",
    );
    says(
        five().and(Condition::Any(vec![online(), Condition::All(vec![vip(), regions(&["north"])])])),
        "Members get 5.00 USD, when they buy online or (they are in the group vip and they are of the region north).",
    );
    says(
        five().and(regions(&["north"])).and(Condition::Not(Box::new(vip()))),
        "Members who are of the region north get 5.00 USD, unless they are in the group vip.",
    );
}

#[test]
fn triggers_causes_limits_and_life() {
    let mut signal = five();
    signal.trigger = Trigger::Signal { kind: code("review-posted") };
    signal.limits.per_member = Some(CountCap { count: 2, every: Period::Month });
    says(signal, "For each review-posted, members get 5.00 USD, at most twice a month.");

    let mut spent = perk(None);
    spent.trigger = Trigger::Points { unit: code("beans"), points: 100 };
    says(spent, "For 100 beans, members get free-cup.");

    let mut referral = five();
    referral.trigger =
        Trigger::Referral { spend_at_least_minor: 2000, referred: Some(Reward::percent(1000, Some(1000))) };
    referral.limits.referrals = Some(CountCap { count: 10, every: Period::Year });
    says(
        referral,
        "For each member they refer who spends at least 20.00 USD, members get 5.00 USD, and that member gets 10 percent, \
         up to 10.00 USD, for at most 10 referrals a year.",
    );

    let mut asked = five().and(Condition::Member(MemberTest::Clear)).and(Condition::local_time(0b1_1111, 0, 24 * 60));
    asked.trigger = Trigger::Referral { spend_at_least_minor: 2000, referred: Some(Reward::fixed(100)) };
    says(
        asked,
        "For each member they refer who spends at least 20.00 USD, members who are in good standing get 5.00 USD, on \
         weekdays, and that member gets 1.00 USD.",
    );

    let mut donated = of(Amount::RoundUp { to_minor: 100 });
    donated.beneficiary = Beneficiary::Cause(vec![code("trees"), code("ocean")]);
    says(
        donated,
        "Members have what rounds the purchase up to the next 1.00 USD given to the cause they chose of trees and ocean.",
    );

    let mut capped = five();
    capped.activation = Activation::Required;
    capped.funding = Funding { merchant: BasisPoints(0) };
    capped.limits.reward_per_period = Some(RewardCap { minor: 1000, every: Period::Week });
    capped.limits.reward_per_member_minor = Some(3000);
    capped.starts = Some(civil::date(2026, 11, 1).at(0, 0, 0, 0));
    capped.ends = Some(civil::date(2026, 12, 1).at(0, 0, 0, 0));
    says(
        capped,
        "Members who have opted in get 5.00 USD, at most 10.00 USD a week, at most 30.00 USD in all, from 1 November 2026 \
         until the end of 30 November 2026.",
    );

    let mut wide = terms(Reward::percent(100, None));
    wide.reach = Reach::Category { mcc: vec![5411..=5411], except: vec![MerchantId::new("rival").unwrap()] };
    wide.ends = Some(civil::date(2026, 12, 1).at(18, 0, 0, 0));
    says(wide, "Members get 1 percent, at any merchant of category 5411 but rival, until 1 December 2026 at 18:00.");
}
