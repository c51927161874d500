//! Points, perks and shared funding: clean as they were made, found when they are not.

use super::*;
use crate::domain::offer::{Amount, Funding, Trigger, What};
use crate::domain::{BasisPoints, Code};

fn code(text: &str) -> Code {
    Code::parse(text).unwrap()
}

/// A visit earned 40 beans, a third of them the merchant's; they bought a coffee.
async fn coffee() -> Folder {
    let town = Town::new();
    town.shop().await;
    let of = |what, amount| {
        let reward = Reward { what, amount: Amount::Fixed(amount) };
        Terms::new(MerchantId::new("cafe").unwrap(), "beans", usd(), reward)
    };
    let points = What::Points { unit: code("beans"), expires_days: Some(60), worth_of_100_minor: 500 };
    let earn = Terms { funding: Funding { merchant: BasisPoints(3_333) }, ..of(points, 40) };
    town.offer("earn", earn).await;
    let perk = What::Perk { code: code("free-coffee"), expires_days: Some(60), worth_minor: 300 };
    town.offer("coffee", Terms { trigger: Trigger::Points { unit: code("beans"), points: 40 }, ..of(perk, 1) }).await;
    town.join("ann").await;
    town.event("ann", "p1", EventKind::Clearing, 4000, "2026-02-20T10:00:00Z").await;
    let wanted = Wanted::Offer(offer("coffee"));
    town.engine.redeem(&member("ann"), "r".into(), wanted, None, |_| String::new()).await.unwrap();
    town.stop()
}

/// What a visit earned.
fn earned(records: &mut [Record]) -> &mut GrantChange {
    let changes = records.iter_mut().filter_map(parts).flat_map(|(_, changes)| changes);
    changes.into_iter().find(|change| change.grant.offer == offer("earn")).unwrap()
}

#[tokio::test]
async fn what_points_bring_is_what_the_offer_says() {
    let folder = coffee().await;
    require_clean(&forge(&folder, |_| {}).await);
    let more = |records: &mut Vec<Record>| {
        let change = last_change(records);
        (change.grant.amount_minor, change.grant.terms_minor, change.transfers[0].minor) = (2, 2, 2);
    };
    assert_eq!(failed(&forge(&folder, more).await), [Named::Exchanges]);
    let for_ever = |records: &mut Vec<Record>| last_change(records).grant.expires_at = None;
    assert_eq!(failed(&forge(&folder, for_ever).await), [Named::Exchanges]);
    let cheaper = |records: &mut Vec<Record>| {
        if let Some((MemberInput::Redeemed(redemption), _)) = parts(records.last_mut().unwrap()) {
            (redemption.minor, redemption.lots[0].minor) = (10, 10);
        }
    };
    assert_eq!(failed(&forge(&folder, cheaper).await), [Named::Exchanges]);
    let for_nothing = |records: &mut Vec<Record>| {
        if let Some((MemberInput::Redeemed(redemption), changes)) = parts(records.last_mut().unwrap()) {
            redemption.exchange = None;
            changes.clear();
        }
    };
    assert_eq!(failed(&forge(&folder, for_nothing).await), [Named::Exchanges]);
}

#[tokio::test]
async fn each_funder_bears_its_share() {
    let folder = coffee().await;
    let shift = |records: &mut Vec<Record>| {
        let legs = &mut earned(records).transfers;
        assert_eq!(legs.iter().map(|legs| legs.minor).collect::<Vec<_>>(), [13, 27]);
        (legs[0].minor, legs[1].minor) = (14, 26);
    };
    assert_eq!(failed(&forge(&folder, shift).await), [Named::RewardAccounts]);
    let terms = |records: &mut Vec<Record>| {
        let change = earned(records);
        change.grant.funding = Funding::default();
        change.transfers = crate::ledger::transfers_between(None, &change.grant);
    };
    let due = [Named::GrantedEqualsDue, Named::GrantedEqualsDueShuffled];
    assert_eq!(failed(&forge(&folder, terms).await), due);
    // A cause that nobody chose: its account is not the member's.
    let given_away = |records: &mut Vec<Record>| {
        let change = earned(records);
        change.transfers[0].credit = AccountKind::CauseDue;
        change.transfers[0].cause = Some(code("trees"));
    };
    assert!(failed(&forge(&folder, given_away).await).contains(&Named::RewardAccounts));
}
