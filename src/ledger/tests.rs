//! Tables over every pair of states of a reward.

use super::*;
use crate::domain::offer::Funding;
use crate::domain::{BasisPoints, Currency, Timestamp};

fn grant(amount: i64, stage: Stage, held: bool, used: i64, lost: bool) -> Grant {
    Grant {
        offer: OfferId::new("o").unwrap(),
        version: 1,
        merchant: MerchantId::new("m").unwrap(),
        unit: Unit::Money(Currency::parse("USD").unwrap()),
        funding: Funding::default(),
        cause: None,
        terms_minor: amount,
        amount_minor: amount,
        day_spent: false,
        kept_minor: 0,
        stage,
        held,
        used_minor: used,
        lost,
        available_at: None::<Timestamp>,
        expires_at: None,
        record: 7,
        earned_at: Timestamp::default(),
    }
}

type Sums = std::collections::BTreeMap<(AccountKind, Option<Code>), i64>;

fn sums(legs: impl IntoIterator<Item = Legs>) -> Sums {
    let mut sums = Sums::new();
    for legs in legs {
        for (kind, by) in [(legs.debit, -legs.minor), (legs.credit, legs.minor)] {
            let of = legs.cause.filter(|_| kind.owner() == Owner::Cause);
            assert_eq!(of.is_some(), kind.owner() == Owner::Cause, "{legs:?}");
            *sums.entry((kind, of)).or_default() += by;
        }
    }
    sums.retain(|_, minor| *minor != 0);
    sums
}

/// What the accounts hold once a grant of nothing was used so far and became this, said
/// here a second time. What was used lies in `member_paid`, which a grant never moves.
fn said(grant: &Grant) -> Sums {
    let Grant { amount_minor: amount, used_minor: used, .. } = *grant;
    let share = |minor: i64| minor * i64::from(grant.funding.merchant.0) / 10_000;
    let stands = used.min(amount);
    let lies_in = match (grant.cause, grant.held, grant.stage) {
        (Some(_), false, Stage::Available) => AccountKind::CauseDue,
        (Some(_), _, _) => AccountKind::CausePending,
        (None, true, _) => AccountKind::MemberHeld,
        (None, false, Stage::Pending) => AccountKind::MemberPending,
        (None, false, Stage::Posted) => AccountKind::MemberPosted,
        (None, false, Stage::Available) => AccountKind::MemberAvailable,
    };
    let remaining = if grant.stage == Stage::Pending {
        (AccountKind::MerchantBudget, AccountKind::OperatorBudget)
    } else {
        (AccountKind::MerchantFunding, AccountKind::OperatorFunding)
    };
    let bears = if grant.lost { AccountKind::FraudLoss } else { AccountKind::MemberOwed };
    let mut sums = Sums::new();
    let mut put = |kind, of, minor: i64| *sums.entry((kind, of)).or_default() += minor;
    put(lies_in, grant.cause, amount - stands);
    put(remaining.0, None, share(stands) - share(amount));
    put(remaining.1, None, (stands - share(stands)) - (amount - share(amount)));
    put(AccountKind::MerchantFunding, None, -share(stands));
    put(AccountKind::OperatorFunding, None, share(stands) - stands);
    put(bears, None, stands - used);
    sums.retain(|_, minor| *minor != 0);
    sums
}

/// Every pair of states, funding shares and causes included: after the transfers, the
/// accounts hold exactly what the new state says, whatever the old one was.
#[test]
fn inv_03_every_change_of_a_grant_balances() {
    let cause = |text| Some(Code::parse(text).unwrap());
    let whose = [
        (10_000, None),
        (0, None),
        (3_333, None),
        (10_000, cause("trees")),
        (3_333, cause("trees")),
        (3_333, cause("books")),
    ];
    let mut states = Vec::new();
    for amount in [0, 3, 5] {
        for stage in [Stage::Pending, Stage::Posted, Stage::Available] {
            for (held, lost) in [(false, false), (false, true), (true, false), (true, true)] {
                for (share, cause) in whose {
                    let funding = Funding { merchant: BasisPoints(share) };
                    states.push(Grant { funding, cause, ..grant(amount, stage, held, 0, lost) });
                }
            }
        }
    }
    for used in [0, 2, 4, 5] {
        for old in &states {
            let old = Grant { used_minor: used, ..old.clone() };
            // What was used came out of the member's account into what was paid; the
            // funders had borne it before.
            let first: Vec<Legs> = transfers_between(
                None,
                &Grant {
                    used_minor: 0,
                    amount_minor: used,
                    stage: Stage::Available,
                    held: false,
                    cause: None,
                    ..old.clone()
                },
            );
            let paid = (used > 0).then(|| Legs::new(AccountKind::MemberAvailable, AccountKind::MemberPaid, used));
            let unused = Grant { amount_minor: used, stage: Stage::Available, held: false, cause: None, ..old.clone() };
            let start: Vec<Legs> =
                first.into_iter().chain(paid).chain(transfers_between(Some(&unused), &old)).collect();
            for new in &states {
                let new = Grant { used_minor: used, ..new.clone() };
                let mut found = sums(start.iter().copied().chain(transfers_between(Some(&old), &new)));
                assert_eq!(found.values().sum::<i64>(), 0, "{old:?} -> {new:?}");
                assert_eq!(found.remove(&(AccountKind::MemberPaid, None)).unwrap_or(0), used);
                assert_eq!(found, said(&new), "{old:?} -> {new:?}");
            }
        }
    }
}

/// The merchant's share is rounded down; the operator bears the rest, to the last unit.
#[test]
fn funding_is_shared_to_the_unit() {
    for (share, merchant, operator) in [(10_000, 101, 0), (5_000, 50, 51), (3_333, 33, 68), (0, 0, 101)] {
        let funding = Funding { merchant: BasisPoints(share) };
        let found = sums(transfers_between(None, &Grant { funding, ..grant(101, Stage::Posted, false, 0, false) }));
        let of = |kind| -found.get(&(kind, None)).copied().unwrap_or(0);
        assert_eq!((of(AccountKind::MerchantFunding), of(AccountKind::OperatorFunding)), (merchant, operator));
    }
}

#[test]
fn a_clearing_releases_and_posts() {
    let (pending, posted) = (grant(200, Stage::Pending, false, 0, false), grant(190, Stage::Posted, false, 0, false));
    let legs = transfers_between(Some(&pending), &posted);
    let leg = |debit, credit, minor| Legs { corrects: Some(7), ..Legs::new(debit, credit, minor) };
    assert_eq!(
        legs,
        [
            leg(AccountKind::MemberPending, AccountKind::MerchantBudget, 200),
            leg(AccountKind::MerchantFunding, AccountKind::MemberPosted, 190),
        ]
    );
}

/// From one cause to another it goes by way of the funder; a cause's reward is no part of
/// what the member has.
#[test]
fn a_cause_has_accounts_of_its_own() {
    let of = |text| Grant { cause: Some(Code::parse(text).unwrap()), ..grant(20, Stage::Available, false, 0, false) };
    let (trees, books) = (of("trees"), of("books"));
    let mut balance = Balance::default();
    let legs: Vec<Legs> =
        transfers_between(None, &trees).into_iter().chain(transfers_between(Some(&trees), &books)).collect();
    legs.iter().for_each(|legs| post(&mut balance, *legs));
    assert_eq!(balance, Balance::default());
    let found = sums(legs);
    assert_eq!(found.get(&(AccountKind::CauseDue, books.cause)), Some(&20));
    assert_eq!(found.get(&(AccountKind::CauseDue, trees.cause)), None);
}
