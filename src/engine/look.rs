//! Reading what is there: statements, sums, documents. Nothing here changes anything.

use super::budgets::{Budget, Use};
use super::{Engine, EngineError};
use crate::catalogue::Catalogue;
use crate::decide::evaluate::Found;
use crate::decide::{Assigned, Judged, MemberState, Prospect, Scope, Worth, assign, explain, judge, prospects};
use crate::domain::merchant::Merchant;
use crate::domain::offer::Offer;
use crate::domain::{Code, MemberId, MerchantId, OfferId, PurchaseKey, Timestamp, Unit};
use crate::journal::{Position, ReadError};
use crate::ledger::{AccountKind, Legs, Owner, Transfer};
use crate::record::{self, Body, DeadLetter, Record, RequestKey};
use crate::store::{CATALOGUE, keys};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The transfers of one record, as a statement keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementLine {
    /// When it was decided.
    pub at: Timestamp,
    /// Writing process and number: the record's name.
    pub record: (u32, u16, u64),
    /// Transfers, in order.
    pub transfers: Vec<StatementTransfer>,
}

/// A transfer as a statement keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementTransfer {
    /// Both accounts and the amount.
    pub legs: Legs,
    /// The one unit.
    pub unit: Unit,
    /// The merchant concerned.
    pub merchant: Option<MerchantId>,
    /// For which purchase.
    pub purchase: Option<PurchaseKey>,
    /// Under which offer.
    pub offer: Option<OfferId>,
}

impl StatementLine {
    /// The line of a record.
    #[must_use]
    pub fn of(record: &Record, transfers: Vec<Transfer>) -> Self {
        let envelope = &record.envelope;
        Self {
            at: envelope.at,
            record: (envelope.process, envelope.partition, envelope.number),
            transfers: transfers
                .into_iter()
                .map(|t| StatementTransfer {
                    legs: t.legs,
                    unit: t.unit,
                    merchant: t.merchant,
                    purchase: t.purchase,
                    offer: t.offer,
                })
                .collect(),
        }
    }
}

/// Sums of the books: credit minus debit, per account kind and unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrialBalance {
    /// Per kind and unit.
    pub sums: BTreeMap<(AccountKind, Unit), i64>,
    /// What each merchant's accounts hold.
    pub merchants: BTreeMap<(MerchantId, AccountKind, Unit), i64>,
    /// What each cause's accounts hold.
    pub causes: BTreeMap<(Code, AccountKind, Unit), i64>,
}

impl TrialBalance {
    /// What does not balance, per unit; empty when the books are right.
    #[must_use]
    pub fn out_of_balance(&self) -> BTreeMap<Unit, i64> {
        let mut totals = BTreeMap::new();
        for ((_, unit), minor) in &self.sums {
            *totals.entry(*unit).or_insert(0) += minor;
        }
        totals.retain(|_, minor| *minor != 0);
        totals
    }
}

/// A place among all transfers of the journal: a frame, a record of it, and how many of
/// that record's transfers were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferPlace {
    /// The frame.
    pub frame: Position,
    /// Which of the frame's records, from 0.
    pub record: u32,
    /// Transfers of it that were seen.
    pub seen: u32,
}

/// Some of the journal's transfers, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transfers {
    /// Per record, with its member.
    pub lines: Vec<(StatementLine, MemberId)>,
    /// Where to read on; `None` at the end of what is durable.
    pub next: Option<TransferPlace>,
}

/// Why transfers could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TransfersError {
    /// The place is none of this journal.
    #[error("the place is none of this journal")]
    NoPlace,
    /// The engine could not.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Records of a member that one call for their statement looks at, and those read at a time.
const STATEMENT_RECORDS_MAX: u64 = 1_024;
const STATEMENT_BLOCK: u64 = 256;
/// Newest records of a member that are looked through for payments.
const PAID_RECORDS: u64 = 128;
/// Records that one call looks at before it gives up on finding more transfers.
const TRANSFER_RECORDS_MAX: usize = 5_000;

/// A purchase with what every offer says to it.
#[derive(Debug, Clone)]
pub struct Explained<'a> {
    /// Its place in the member's order.
    pub place: usize,
    /// What it is worth, and why, less what comes off it besides its own events.
    pub worth: Worth<'a>,
    /// Credits at its merchant that name no purchase, and what they come off.
    pub assigned: Assigned<'a>,
    /// Every candidate offer.
    pub judged: Option<Judged>,
    /// Each condition of each of them, met or not.
    pub conditions: Vec<(OfferId, Vec<Found>)>,
}

/// Offers near a member that are looked at for what they may earn.
const PROSPECTS_MAX: usize = 2_000;

impl Engine {
    /// Sums the books: one scan where the keeper counts, bounded by the number of merchants
    /// and units.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn trial_balance(&self) -> Result<TrialBalance, EngineError> {
        let mut balance = TrialBalance::default();
        for partition in self.counting_partitions() {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let page = self.keeper().scan(partition, b"s", after.as_deref(), 1024).await?;
                for (key, value) in &page {
                    let Some((kind, unit, owner)) = keys::sum_parts(key) else { continue };
                    let minor = keys::counter(Some(value));
                    *balance.sums.entry((kind, unit)).or_default() += minor;
                    match (kind.owner(), MerchantId::new(owner), Code::parse(owner)) {
                        (Owner::Merchant, Ok(merchant), _) => {
                            *balance.merchants.entry((merchant, kind, unit)).or_default() += minor;
                        }
                        (Owner::Cause, _, Ok(cause)) => {
                            *balance.causes.entry((cause, kind, unit)).or_default() += minor;
                        }
                        _ => {}
                    }
                }
                match page.last() {
                    Some((key, _)) if page.len() == 1024 => after = Some(key.clone()),
                    _ => break,
                }
            }
        }
        Ok(balance)
    }

    /// A member's transfers, newest first, before a version (0 begins at the newest); and before which version
    /// to go on, when there may be more. Looks at a bounded number of records, so that there may be fewer than
    /// asked for, or none, before the end.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn statement(
        &self,
        member: &MemberState,
        before: u64,
        limit: usize,
    ) -> Result<(Vec<(u64, StatementLine)>, Option<u64>), EngineError> {
        let newest = member.head.version + 1;
        let mut version = if before == 0 { newest } else { before.min(newest) };
        let last = version.saturating_sub(STATEMENT_RECORDS_MAX).max(1);
        let mut lines = Vec::new();
        // Records without transfers leave holes: read the versions below in blocks.
        while lines.len() < limit && version > last {
            let low = version.saturating_sub(STATEMENT_BLOCK).max(last);
            for (at, line) in self.statement_lines(member, low..version).await? {
                if lines.len() == limit {
                    return Ok((lines, Some(at + 1)));
                }
                lines.push((at, line));
            }
            version = low;
        }
        Ok((lines, (version > 1).then_some(version)))
    }

    async fn statement_lines(
        &self,
        member: &MemberState,
        versions: std::ops::Range<u64>,
    ) -> Result<Vec<(u64, StatementLine)>, EngineError> {
        let partition = self.partition(&member.head.id);
        let keys: Vec<_> = versions.clone().rev().map(|at| keys::statement_line(&member.head.id, at)).collect();
        let found = self.keeper().read(partition, &keys).await?;
        let lines = found.into_iter().zip(versions.rev()).filter_map(|(value, at)| value.map(|value| (value, at)));
        lines.map(|(value, at)| Ok((at, record::decode(&value)?))).collect()
    }

    /// What a member was paid by their newest records, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn paid_lately(&self, member: &MemberState) -> Result<Vec<(Timestamp, Unit, i64)>, EngineError> {
        let newest = member.head.version + 1;
        let lines = self.statement_lines(member, newest.saturating_sub(PAID_RECORDS).max(1)..newest).await?;
        let transfers = lines.iter().flat_map(|(_, line)| line.transfers.iter().map(move |one| (line.at, one)));
        let paid = transfers.filter(|(_, one)| one.legs.credit == AccountKind::MemberPaid);
        Ok(paid.map(|(at, one)| (at, one.unit, one.legs.minor)).collect())
    }

    /// Transfers of the whole book from a place on, oldest first, read from the journal:
    /// at most `limit`, and from a bounded number of records.
    ///
    /// # Errors
    /// [`TransfersError`].
    pub async fn transfers(
        self: &Arc<Self>,
        from: Option<TransferPlace>,
        limit: usize,
    ) -> Result<Transfers, TransfersError> {
        let engine = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || engine.read_transfers(from, limit));
        read.await.unwrap_or(Err(TransfersError::Engine(EngineError::Stopping)))
    }

    fn read_transfers(&self, from: Option<TransferPlace>, limit: usize) -> Result<Transfers, TransfersError> {
        let mut found = Transfers::default();
        let mut left = limit;
        let start = from.map_or_else(Position::default, |from| from.frame);
        let mut next = start;
        let mut looked = 0;
        while looked < TRANSFER_RECORDS_MAX {
            // Small pages: a record may be large, and a page is whole in memory.
            let page = self.journal.read(next, 64).map_err(|error| match error {
                // A place that never was is the caller's mistake; damage anywhere else is not.
                ReadError::NoSegment { .. } | ReadError::Broken { .. } if looked == 0 && from.is_some() => {
                    TransfersError::NoPlace
                }
                error => TransfersError::Engine(EngineError::Read(error)),
            })?;
            if page.entries.is_empty() {
                return Ok(found);
            }
            looked += page.entries.len();
            for entry in &page.entries {
                let seen = match from {
                    Some(from) if from.frame == entry.at && entry.index < from.record => continue,
                    Some(from) if from.frame == entry.at && entry.index == from.record => from.seen,
                    _ => 0,
                };
                let decoded: Record = record::decode(&entry.record).map_err(EngineError::from)?;
                let Body::Member { member, .. } = &decoded.body else { continue };
                let mut line = StatementLine::of(&decoded, decoded.transfers());
                let skipped = usize::try_from(seen).unwrap_or(usize::MAX).min(line.transfers.len());
                line.transfers.drain(..skipped);
                let whole = line.transfers.len() <= left;
                line.transfers.truncate(left);
                left -= line.transfers.len();
                let shown = skipped + line.transfers.len();
                if !line.transfers.is_empty() {
                    found.lines.push((line, member.clone()));
                }
                if !whole {
                    let seen = u32::try_from(shown).unwrap_or(u32::MAX);
                    found.next = Some(TransferPlace { frame: entry.at, record: entry.index, seen });
                    return Ok(found);
                }
            }
            next = page.next;
        }
        found.next = (next < self.journal.end()).then_some(TransferPlace { frame: next, record: 0, seen: 0 });
        Ok(found)
    }

    /// What every offer says to a purchase, from the evaluation that decides.
    #[must_use]
    pub fn explain<'a>(&self, member: &'a MemberState, purchase: &PurchaseKey) -> Option<Explained<'a>> {
        let at = member.find(purchase)?;
        let mark = self.mark(self.partition(&member.head.id)).max(member.head.mark);
        let placed = &member.purchases[at];
        let merchants: Vec<MerchantId> = placed.merchant.clone().into_iter().collect();
        let scope = Scope { from: at, merchants: Some(&merchants), own: None };
        let catalogue = self.catalogue();
        let (judged, _) = judge(member, &scope, catalogue.as_ref(), &self.policy, mark, &BTreeMap::new());
        let judged = judged.into_iter().find(|judged| judged.index == at);
        let assigned = assign(member, Some(&merchants), mark, &self.policy.lapse);
        let worth = placed.worth(mark, &self.policy.lapse).less(assigned.taken(at));
        let conditions = explain(member, at, catalogue.as_ref(), &self.policy, mark);
        Some(Explained { place: at, worth, assigned, judged, conditions })
    }

    /// What a member may earn now, best first: offers of merchants where they buy or have
    /// opted in, those that are found otherwise, and further ones until there are enough.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn prospects<'a>(
        &self,
        member: &MemberState,
        catalogue: &'a Catalogue,
        limit: usize,
    ) -> Result<Vec<Prospect<'a>>, EngineError> {
        let now = self.clock.now();
        let mark = self.mark(self.partition(&member.head.id)).max(member.head.mark);
        let mut merchants: Vec<&MerchantId> = member.purchases.iter().filter_map(|p| p.merchant.as_ref()).collect();
        merchants.sort();
        merchants.dedup();
        let apart = catalogue.apart();
        let near = merchants.into_iter().flat_map(|merchant| catalogue.offers_of(merchant));
        let near = near.chain(member.head.activations.iter().filter_map(|step| catalogue.offer(&step.offer)));
        let near = near.chain(apart.category()).chain(apart.referral()).chain(apart.signals());
        let mut offers: Vec<&'a Arc<Offer>> = near.take(PROSPECTS_MAX).collect();
        offers.sort_by(|a, b| a.id.cmp(&b.id));
        offers.dedup_by(|a, b| a.id == b.id);
        let is_new = |offer: &&Arc<Offer>| offers.binary_search_by(|known| known.id.cmp(&offer.id)).is_err();
        let others: Vec<_> = catalogue.some_offers(limit + offers.len()).filter(is_new).collect();
        let spent = self.spent(&offers).await?;
        let mut found = prospects(member, &offers, &spent, catalogue, &self.policy, mark, now);
        if found.len() < limit {
            let spent = self.spent(&others).await?;
            found.extend(prospects(member, &others, &spent, catalogue, &self.policy, mark, now));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Those of some offers whose budget is spent; true where it is the day's alone.
    async fn spent(&self, offers: &[&Arc<Offer>]) -> Result<BTreeMap<OfferId, bool>, EngineError> {
        let mut spent = BTreeMap::new();
        for offer in offers {
            let budget = Budget::in_force(offer);
            if budget == Budget::NONE {
                continue;
            }
            let used = self.offer_use(&offer.id).await?;
            if used.granted >= budget.whole || used.raised >= budget.of_day {
                spent.insert(offer.id.clone(), used.granted < budget.whole);
            }
        }
        Ok(spent)
    }

    /// A merchant's document with its version.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn merchant_document(&self, id: &MerchantId) -> Result<Option<(u64, Merchant)>, EngineError> {
        let found = self.keeper().get(CATALOGUE, &keys::merchant(id.as_str())).await?;
        Ok(found.map(|bytes| keys::of_document(&bytes)).transpose()?)
    }

    /// An offer's document with its version.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn offer_document(&self, id: &OfferId) -> Result<Option<(u64, Offer)>, EngineError> {
        let found = self.keeper().get(CATALOGUE, &keys::offer(id.as_str())).await?;
        Ok(found.map(|bytes| keys::of_document(&bytes)).transpose()?)
    }

    /// Offers with their versions, by id, after an id; of one merchant when one is given.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn offer_documents(
        &self,
        merchant: Option<&MerchantId>,
        after: Option<&OfferId>,
        limit: usize,
    ) -> Result<Vec<(u64, Offer)>, EngineError> {
        let Some(merchant) = merchant else {
            let after = after.map(|id| keys::offer(id.as_str()));
            let page = self.keeper().scan(CATALOGUE, b"O", after.as_deref(), limit).await?;
            return page.iter().map(|(_, value)| Ok(keys::of_document(value)?)).collect();
        };
        let catalogue = self.catalogue();
        let theirs = catalogue.offers_of(merchant).iter().filter(|offer| after.is_none_or(|after| offer.id > *after));
        let wanted: Vec<_> = theirs.take(limit).map(|offer| keys::offer(offer.id.as_str())).collect();
        let found = self.keeper().read(CATALOGUE, &wanted).await?;
        found.iter().flatten().map(|value| Ok(keys::of_document(value)?)).collect()
    }

    /// What an offer has granted, in all and today, and what is reserved at this moment.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn offer_use(&self, offer: &OfferId) -> Result<Use, EngineError> {
        let day = self.clock.now().day();
        if let Some(used) = self.shared_use(offer, day).await? {
            return Ok(used);
        }
        self.learn_budget(offer, day).await?;
        if let Some(used) = self.budgets.look(offer, day) {
            return Ok(used);
        }
        let granted = self.counted(&keys::granted(offer)).await?;
        let raised = self.counted(&keys::raised(day, offer)).await?;
        Ok(Use { granted, raised, ..Use::default() })
    }

    /// The answer kept for a repeated request in a member's partition.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn answered(
        &self,
        partition: crate::store::Partition,
        key: &[u8; 16],
    ) -> Result<Option<RequestKey>, EngineError> {
        let found = self.keeper().get(partition, &keys::request(key)).await?;
        let kept: Option<RequestKey> = found.map(|bytes| record::decode(&bytes)).transpose()?;
        Ok(kept.filter(|kept| kept.forever || self.clock.now() < kept.at.plus_days(1)))
    }

    /// Dead letters, oldest first, after a number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn dead_letters(&self, after: u64, limit: usize) -> Result<Vec<DeadLetter>, EngineError> {
        let after = (after > 0).then(|| keys::dead_letter(after));
        let page = self.keeper().scan(CATALOGUE, b"d", after.as_deref(), limit).await?;
        page.iter().map(|(_, value)| Ok(record::decode(value)?)).collect()
    }

    /// One dead letter.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn dead_letter(&self, id: u64) -> Result<Option<DeadLetter>, EngineError> {
        let found = self.keeper().get(CATALOGUE, &keys::dead_letter(id)).await?;
        Ok(found.map(|bytes| record::decode(&bytes)).transpose()?)
    }
}
