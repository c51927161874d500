//! Both sides of a referral: what the referred member's state says is told to who referred
//! them, in a turn of their own, and how far the referrer is trusted is told back.
//!
//! A commit that changes what there is to tell leaves a job ([`super::again`]); here it is
//! done. Each telling carries the version of the state it says, so that it may be repeated,
//! and come late. No turn is taken within another.

use super::again::Job;
use super::turn::Turn;
use super::{Engine, EngineError};
use crate::catalogue::Catalogue;
use crate::decide::referral::{Told, key, same, told, trust};
use crate::decide::{LapsePolicy, MemberState};
use crate::domain::member::ReferrerTold;
use crate::domain::purchase::{Occasion, Referral};
use crate::domain::{MemberId, OfferId, Timestamp};
use crate::record::{MemberInput, Record};
use crate::store::{Batch, Keeper, keys};
use bytes::Bytes;
use std::sync::Arc;

/// Open referrals that one member holds: those beyond count for nothing.
pub const REFERRALS_MAX: usize = 1000;
/// Referred members told side by side.
const PAGE: usize = 64;
/// Turns after which a referral that changes all the time is left to its next change.
const ROUNDS_MAX: usize = 8;

/// What there is to tell of a member's referral.
pub(super) fn to_tell(member: &MemberState, catalogue: &Catalogue, mark: Timestamp, lapse: &LapsePolicy) -> Vec<Told> {
    told(member, catalogue.apart().referral().iter().map(Arc::as_ref), mark, lapse)
}

/// What there was to tell when a turn began: to whom, and what.
#[derive(Debug, Clone)]
pub(super) struct Before {
    by: Option<MemberId>,
    told: Vec<Told>,
}

impl Before {
    /// As the member stands, under the mark they were last decided under.
    pub(super) fn of(member: &MemberState, catalogue: &Catalogue, lapse: &LapsePolicy) -> Self {
        let by = member.head.referred_by.as_ref().map(|(by, _)| by.clone());
        Self { by, told: to_tell(member, catalogue, member.head.mark, lapse) }
    }

    /// What must be told now that the member stands otherwise.
    pub(super) fn jobs(self, now: Self, referred: &MemberId) -> Vec<Job> {
        let job = |referrer| Job::Referral { referrer, referred: referred.clone() };
        if self.by == now.by {
            let changed = self.told != now.told;
            return now.by.filter(|_| changed).map(job).into_iter().collect();
        }
        let sides = [self.by.filter(|_| !self.told.is_empty()), now.by.filter(|_| !now.told.is_empty())];
        sides.into_iter().flatten().map(job).collect()
    }
}

/// What a member's record leaves for the sides of their referrals, besides what it changed
/// for the referred member: who referred them finds them again by a hint, and those whom the
/// member referred are told once the member is there, and when their standing is set.
pub(super) async fn hints(
    keeper: &dyn Keeper,
    partitions: u16,
    record: &Record,
    member: &MemberId,
    input: &MemberInput,
) -> Result<Vec<Batch>, EngineError> {
    let mut batches = Vec::new();
    if let MemberInput::Registered { referred_by: Some((by, _)), .. } = input {
        let puts = vec![(keys::referral(by, member), Some(Bytes::new()))];
        batches.push(Batch { partition: keys::member_partition(by, partitions), puts, ..Batch::default() });
    }
    if record.envelope.version == 1 || matches!(input, MemberInput::StandingSet(_)) {
        let partition = keys::member_partition(member, partitions);
        if !keeper.scan(partition, &keys::referrals(member), None, 1).await?.is_empty() {
            batches.push(Job::Referrer { referrer: member.clone() }.batch(record));
        }
    }
    Ok(batches)
}

/// What the referrer holds of a referral.
fn held<'a>(referrer: &'a MemberState, offer: &OfferId, referred: &MemberId) -> Option<&'a Referral> {
    let place = referrer.find(&key(offer, referred))?;
    match &referrer.purchases[place].purchase.occasion {
        Some(Occasion::Referral(referral)) => Some(referral),
        _ => None,
    }
}

/// What came of telling the referrer.
enum Telling {
    /// They stand so; nothing is left to tell them.
    Done(Arc<MemberState>),
    /// Nobody registered them.
    Unknown,
    /// What they hold says otherwise of the same version, because offers changed: the
    /// referred member's state needs a newer one.
    SameVersion,
}

impl Engine {
    /// Tells all whom a member referred, and the member of them.
    ///
    /// # Errors
    /// When the journal or the state refuses; the job stays.
    pub async fn settle_referrals(self: &Arc<Self>, referrer: &MemberId) -> Result<(), EngineError> {
        let (partition, prefix) = (self.partition(referrer), keys::referrals(referrer));
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.keeper().scan(partition, &prefix, after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let referred: Vec<MemberId> = page.iter().filter_map(|(key, _)| keys::referral_parts(key)).collect();
            let settling = referred.iter().map(|referred| self.settle_referral(referrer, referred));
            for done in futures_util::future::join_all(settling).await {
                done?;
            }
        }
    }

    /// Tells both sides of a referral what the other's state says. Done twice it changes
    /// nothing.
    ///
    /// # Errors
    /// When the journal or the state refuses; the job stays.
    pub async fn settle_referral(
        self: &Arc<Self>,
        referrer: &MemberId,
        referred: &MemberId,
    ) -> Result<(), EngineError> {
        for _ in 0..ROUNDS_MAX {
            let turn = self.turn(referred).await?;
            if !turn.is_known() {
                return Ok(());
            }
            let member = &turn.member;
            let by = member.head.referred_by.as_ref().filter(|(by, _)| by == referrer);
            let version = member.head.version;
            let says: Vec<Referral> = match by {
                Some((_, at)) => to_tell(member, turn.catalogue(), member.head.mark, &self.policy.lapse)
                    .into_iter()
                    .map(|told| told.referral(referred, *at, version))
                    .collect(),
                None => Vec::new(),
            };
            // One at a time: the two may share a lock.
            drop(turn);
            match self.tell_referrer(referrer, referred, &says, version).await? {
                Telling::Done(state) => return self.tell_referred(&state, referred, &says).await,
                Telling::Unknown => return Ok(()),
                Telling::SameVersion => {
                    let mut turn = self.turn(referred).await?;
                    if turn.member.head.version == version {
                        turn.step(MemberInput::DecidedAgain, None).await?;
                        turn.commit().await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Has the referrer hold what a version of the referred member's state says: of what it
    /// says nothing of, that nothing qualifies.
    async fn tell_referrer(
        self: &Arc<Self>,
        referrer: &MemberId,
        referred: &MemberId,
        says: &[Referral],
        version: u64,
    ) -> Result<Telling, EngineError> {
        let mut turn = self.turn(referrer).await?;
        if !turn.is_known() {
            return Ok(Telling::Unknown);
        }
        let mut news = Vec::new();
        for offer in turn.catalogue().apart().referral() {
            let said = says.iter().find(|said| said.offer == offer.id);
            let new = match (held(&turn.member, &offer.id, referred), said) {
                (None, None) => continue,
                (None, Some(said)) if !self.takes(&turn, said) => continue,
                (None, Some(said)) => said.clone(),
                (Some(held), Some(said)) if same(held, said) => continue,
                (Some(held), None) if held.qualified.is_none() => continue,
                (Some(held), _) if held.version > version => continue,
                (Some(held), _) if held.version == version => return Ok(Telling::SameVersion),
                (Some(_), Some(said)) => said.clone(),
                (Some(held), None) => Referral { version, qualified: None, ..held.clone() },
            };
            news.push(new);
        }
        if news.is_empty() {
            return Ok(Telling::Done(Arc::new(turn.member.clone())));
        }
        for new in news {
            turn.step(MemberInput::ReferralTold(new), None).await?;
        }
        Ok(Telling::Done(turn.commit().await?))
    }

    /// Whether a referral that the referrer does not hold becomes theirs: there are not too
    /// many, and it is not so old that it may have been theirs and was sealed.
    fn takes(&self, turn: &Turn, said: &Referral) -> bool {
        let is_referral = |occasion: &Option<Occasion>| matches!(occasion, Some(Occasion::Referral(_)));
        let held = turn.member.purchases.iter().filter(|placed| is_referral(&placed.purchase.occasion)).count();
        held < REFERRALS_MAX && said.at().plus_days(self.options.retention_days) > turn.mark()
    }

    /// Tells the referred member how far the referrer is trusted, for each referral they hold.
    async fn tell_referred(
        self: &Arc<Self>,
        referrer: &MemberState,
        referred: &MemberId,
        says: &[Referral],
    ) -> Result<(), EngineError> {
        let catalogue = self.catalogue();
        let of_referrer = |said: &Referral| {
            let at = held(referrer, &said.offer, referred)?.qualified.as_ref()?.at;
            let (clear, barred) = trust(&referrer.head, catalogue.offer(&said.offer)?.merchant(), at);
            Some(ReferrerTold { offer: said.offer.clone(), version: referrer.head.version, clear, barred })
        };
        let says: Vec<ReferrerTold> = says.iter().filter_map(of_referrer).collect();
        if says.is_empty() {
            return Ok(());
        }
        let mut turn = self.turn(referred).await?;
        let head = &turn.member.head;
        if head.referred_by.as_ref().is_none_or(|(by, _)| *by != referrer.head.id) {
            return Ok(());
        }
        let is_new = |says: &ReferrerTold| {
            let known = head.referrer.iter().find(|known| known.offer == says.offer);
            known.is_none_or(|known| {
                known.version < says.version && (known.clear, known.barred) != (says.clear, says.barred)
            })
        };
        let news: Vec<ReferrerTold> = says.into_iter().filter(is_new).collect();
        if news.is_empty() {
            return Ok(());
        }
        for new in news {
            turn.step(MemberInput::ReferrerTold(new), None).await?;
        }
        turn.commit().await?;
        Ok(())
    }
}
