//! What members did with what they had: pay-outs, points spent and perks used, spelled out
//! here from their lots.

use super::{Books, Member, Name, Named, add, apart, said};
use crate::decide::GrantChange;
use crate::domain::offer::{Amount, Beneficiary, Terms, Trigger, What};
use crate::domain::purchase::{Grant, Stage};
use crate::domain::{Timestamp, Unit};
use crate::ledger::AccountKind;
use crate::record::{Envelope, LotUse, Redemption};

/// A transfer with whose reward stands on each side.
struct Move<'a> {
    debit: AccountKind,
    credit: AccountKind,
    minor: i64,
    of_debit: Option<&'a LotUse>,
    of_credit: Option<&'a LotUse>,
}

impl Books<'_> {
    /// Expands a pay-out: lots settle what is owed first, the rest is paid.
    pub(super) fn redeem(
        &mut self,
        member: &mut Member,
        name: Name,
        at: Timestamp,
        redemption: &Redemption,
        moved: &mut Vec<(Unit, AccountKind)>,
    ) {
        use AccountKind::{MemberAvailable, MemberOwed, MemberPaid, PayOut};
        let unit = redemption.unit;
        let mut moves: Vec<Move<'_>> = Vec::new();
        let mut owed = redemption.settled.iter().map(|lot| (lot, lot.minor)).collect::<std::collections::VecDeque<_>>();
        for lot in &redemption.lots {
            let mut left = lot.minor;
            while let Some((to, open)) = owed.front_mut().filter(|_| left > 0) {
                let minor = left.min(*open);
                moves.push(Move {
                    debit: MemberAvailable,
                    credit: MemberOwed,
                    minor,
                    of_debit: Some(lot),
                    of_credit: Some(to),
                });
                left = left.saturating_sub(minor);
                *open = open.saturating_sub(minor);
                if *open <= 0 {
                    owed.pop_front();
                }
            }
            if left != 0 {
                let of_debit = Some(lot);
                moves.push(Move { debit: MemberAvailable, credit: PayOut, minor: left, of_debit, of_credit: None });
            }
        }
        if redemption.minor != 0 {
            let minor = redemption.minor;
            moves.push(Move { debit: PayOut, credit: MemberPaid, minor, of_debit: None, of_credit: None });
        }
        let sum = |lots: &[LotUse]| lots.iter().map(|lot| i128::from(lot.minor)).sum::<i128>();
        let adds = sum(&redemption.lots) == i128::from(redemption.minor) + sum(&redemption.settled);
        let positive = redemption.lots.iter().chain(&redemption.settled).all(|lot| lot.minor > 0);
        let mut holds = adds && positive && owed.is_empty() && redemption.minor >= 0;
        // Before anything moves: may each lot be paid, and is each settled amount owed?
        for (lots, pays) in [(&redemption.lots, true), (&redemption.settled, false)] {
            for lot in lots.iter() {
                holds &= self.may_use(member, lot, unit, pays, at);
            }
        }
        self.report.look(Named::PayOuts, holds, || {
            let (id, minor) = (&member.head.id, redemption.minor);
            format!("{name}: member {id}: pay-out {} of {minor} {unit} does not follow from its lots", redemption.id)
        });
        for step in moves {
            self.transfer(name, member, step.debit, step.credit, step.minor);
            for (lot, kind, by) in
                [(step.of_debit, step.debit, step.minor.saturating_neg()), (step.of_credit, step.credit, step.minor)]
            {
                let Some(lot) = lot else { continue };
                match (&lot.purchase, &lot.offer) {
                    (Some(purchase), Some(offer)) => {
                        if let Some(holding) = member.holding(purchase, offer) {
                            add(&mut holding.accounts[kind as usize], by);
                            // Using a lot adds to what was used, settling takes off it.
                            add(&mut holding.grant.used_minor, by.saturating_neg());
                        }
                    }
                    _ => {
                        let totals = member.head.sealed.iter_mut();
                        for total in totals.filter(|t| t.merchant == lot.merchant && t.unit == unit) {
                            add(&mut total.available_minor, by);
                        }
                    }
                }
            }
            self.post(member, unit, step.debit, step.credit, step.minor, moved);
        }
        for lot in redemption.lots.iter().chain(&redemption.settled) {
            if let (Some(purchase), Some(offer)) = (&lot.purchase, &lot.offer)
                && let Some(holding) = member.holding(purchase, offer)
            {
                let (holds, say) = (said(&holding.grant), holding.accounts);
                self.report.look(Named::RewardAccounts, holds == say, || {
                    format!("{name}: purchase {purchase} offer {offer}: {}", apart(&holds, &say))
                });
            }
        }
    }

    /// Points spent on an offer bring what its terms say, and nothing else: one entry that
    /// was not there, one reward in it.
    pub(super) fn exchange(
        &mut self,
        member: &mut Member,
        name: Name,
        envelope: &Envelope,
        redemption: &Redemption,
        changes: &[GrantChange],
    ) {
        let Some(exchange) = &redemption.exchange else {
            let holds = !matches!(redemption.unit, Unit::Points(_));
            self.report.look(Named::Exchanges, holds, || format!("{name}: {} spends points on nothing", redemption.id));
            return;
        };
        let mut offers = self.offers.by_merchant.values().flatten();
        let offer = offers.find(|offer| offer.id == exchange.offer);
        let terms = offer.and_then(|offer| offer.version(exchange.version)).map(|version| &version.terms);
        let asks = |terms: &Terms| match terms.trigger {
            Trigger::Points { unit, points } => Unit::Points(unit) == redemption.unit && points == redemption.minor,
            _ => false,
        };
        let fresh = !member.exchanges.contains_key(&exchange.entry);
        let of_entry: Vec<_> = changes.iter().filter(|change| change.purchase == exchange.entry).collect();
        let holds = match (terms, of_entry.as_slice()) {
            (Some(terms), [change]) => {
                let given = gives(terms, &change.grant, exchange.at);
                let named = change.grant.offer == exchange.offer && change.grant.version == exchange.version;
                fresh && asks(terms) && given && named
            }
            _ => false,
        };
        self.report.look(Named::Exchanges, holds && exchange.at == envelope.at, || {
            let (id, offer) = (&member.head.id, &exchange.offer);
            format!(
                "{name}: member {id}: {} of {} under offer {offer} is not what its terms say",
                redemption.minor, redemption.unit
            )
        });
        member.exchanges.insert(exchange.entry.clone(), exchange.clone());
    }

    fn may_use(&self, member: &mut Member, lot: &LotUse, unit: Unit, pays: bool, at: Timestamp) -> bool {
        match (&lot.purchase, &lot.offer) {
            (Some(purchase), Some(offer)) => member.holding(purchase, offer).is_some_and(|holding| {
                let grant = &holding.grant;
                let there = grant.expires_at.is_none_or(|expires| at < expires);
                let free = grant.stage == Stage::Available && !grant.held && there;
                let most = if pays {
                    grant.amount_minor.saturating_sub(grant.used_minor)
                } else {
                    grant.used_minor.saturating_sub(grant.amount_minor)
                };
                let right = if pays { free && grant.cause.is_none() } else { !grant.lost };
                right && lot.minor <= most && grant.unit == unit && grant.merchant == lot.merchant
            }),
            _ => {
                let mut totals = member.head.sealed.iter();
                pays && totals.any(|total| {
                    total.merchant == lot.merchant && total.unit == unit && lot.minor <= total.available_minor
                })
            }
        }
    }
}

/// Whether a reward is what terms give for points, at once and never again.
fn gives(terms: &Terms, grant: &Grant, at: Timestamp) -> bool {
    let amount = matches!(terms.reward.amount, Amount::Fixed(amount) if amount == grant.amount_minor);
    let (unit, days) = match terms.reward.what {
        What::Money => (Unit::Money(terms.currency), None),
        What::Points { unit, expires_days, .. } => (Unit::Points(unit), expires_days),
        What::Perk { code, expires_days, .. } => (Unit::Perk(code), expires_days),
    };
    let cause = match (&terms.beneficiary, &grant.cause) {
        (Beneficiary::Member, None) => true,
        (Beneficiary::Cause(causes), Some(cause)) => causes.contains(cause),
        _ => false,
    };
    let expires_at = days.map(|days| at.plus_days(days));
    let free = grant.stage == Stage::Available && !grant.held && grant.used_minor == 0;
    let when = grant.available_at == Some(at) && grant.expires_at == expires_at;
    amount
        && cause
        && free
        && when
        && grant.unit == unit
        && grant.funding == terms.funding
        && grant.merchant == terms.merchant
}
