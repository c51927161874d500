//! What was seen and becomes ours: found by its clues, decided on the path of every event,
//! and before that shown as what it would come to.
//!
//! A job is put into the state with the change that causes it; here it is done, segment by
//! segment of the sightings, in bounded pages. A restart goes on where it was; an event that
//! is found twice is a duplicate.

use crate::catalogue::{Catalogue, Located};
use crate::decide::MemberState;
use crate::descriptor;
use crate::domain::member::CardLink;
use crate::domain::merchant::{Likeness, Merchant};
use crate::domain::{LocationId, MemberId, PurchaseKey, Timestamp, Unit};
use crate::engine::again::{JOBS_MAX, Job};
use crate::engine::{Engine, EngineError};
use crate::pipeline;
use crate::record::{self, Sighting};
use crate::sightings::{Clue, Segment, Sightings, SightingsError, changed_clues};
use crate::store::Key;
use crate::telemetry::WebhookOutcome;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Sides of referrals told side by side.
const TOLD_AT_ONCE: usize = 64;
/// Sightings decided side by side.
const PAGE: usize = 256;
/// How far back events wait for the purchase they follow: networks clear within days.
const FOLLOWERS_MS: i64 = 3 * crate::domain::time::DAY_MS;
/// Most sightings that a preview looks at.
pub const PREVIEW_SIGHTINGS_MAX: usize = 20_000;

/// Most texts that are suggested at once, and MIDs of one.
const SUGGESTIONS_MAX: usize = 1_000;
const SUGGESTION_MIDS_MAX: usize = 10;

/// What jobs did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Sightings that were found.
    pub found: u64,
    /// Those that something came of.
    pub ours: u64,
}

/// Jobs that are being done, so that none is done twice at once.
#[derive(Debug, Default)]
pub struct Again(Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<()>>>>);

impl Again {
    /// Does the jobs of this kind that are waiting, and comes back when they are done. In a
    /// task of its own: it goes on when the caller hangs up.
    ///
    /// # Errors
    /// When the journal or the state refuses; the jobs stay, a restart goes on.
    pub async fn go_on(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        mine: impl Fn(&Job) -> bool + Send + 'static,
    ) -> Result<Done, EngineError> {
        let (again, engine) = (Arc::clone(self), Arc::clone(engine));
        let task = tokio::spawn(async move {
            let mut done = Done::default();
            loop {
                let jobs = engine.jobs().await?;
                let all = jobs.len() < JOBS_MAX;
                let (tellings, others): (Vec<_>, Vec<_>) =
                    jobs.into_iter().filter(|(_, job)| mine(job)).partition(|(_, job)| job.tells());
                // Side by side, so that they share the journal's syncs; one that fails does not
                // keep the others.
                let mut failed = None;
                for some in tellings.chunks(TOLD_AT_ONCE) {
                    let telling = some.iter().map(|(key, _)| again.do_one(&engine, key));
                    for one in futures_util::future::join_all(telling).await {
                        failed = one.err().or(failed);
                    }
                }
                if let Some(error) = failed {
                    return Err(error);
                }
                for (key, _) in others {
                    let one = again.do_one(&engine, &key).await?;
                    done.found += one.found;
                    done.ours += one.ours;
                }
                // Tellings may be more than are looked at together.
                if all || tellings.is_empty() {
                    break;
                }
            }
            Ok(done)
        });
        task.await.unwrap_or(Err(EngineError::Stopping))
    }

    /// Does one job, and comes back when it is done. In a task of its own, as [`Again::go_on`].
    ///
    /// # Errors
    /// When the journal or the state refuses; the job stays, a restart goes on.
    pub async fn finish(self: &Arc<Self>, engine: &Arc<Engine>, key: Key) -> Result<Done, EngineError> {
        let (again, engine) = (Arc::clone(self), Arc::clone(engine));
        let task = tokio::spawn(async move { again.do_one(&engine, &key).await });
        task.await.unwrap_or(Err(EngineError::Stopping))
    }

    async fn do_one(&self, engine: &Arc<Engine>, key: &Key) -> Result<Done, EngineError> {
        let turn = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default().clone();
        let _mine = turn.lock().await;
        let done = match engine.job(key).await? {
            // Another has done it meanwhile.
            None => Done::default(),
            Some(Job::Members { merchant, since }) => {
                Done { found: 0, ours: engine.decide_again(&merchant, since).await? }
            }
            Some(Job::Referral { referrer, referred }) => {
                engine.settle_referral(&referrer, &referred).await?;
                engine.note_job(key, None).await?;
                Done::default()
            }
            Some(Job::Referrer { referrer }) => {
                engine.settle_referrals(&referrer).await?;
                engine.note_job(key, None).await?;
                Done::default()
            }
            Some(Job::Erase { process, slot }) => {
                engine.erase_key(process, slot)?;
                engine.note_job(key, None).await?;
                Done::default()
            }
            Some(Job::Withdraw { withdrawal }) => {
                engine.withdraw_from_cases(&withdrawal).await?;
                engine.note_job(key, None).await?;
                Done::default()
            }
            Some(Job::Case { case }) => {
                engine.follow_case(case).await?;
                engine.note_job(key, None).await?;
                Done::default()
            }
            Some(job @ Job::Seen { .. }) => {
                let done = seen(engine, key, job).await?;
                engine.note_job(key, None).await?;
                done
            }
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        Ok(done)
    }
}

/// Remembers the events of the last days that follow a purchase nobody has opened, and takes
/// those whose purchase was opened meanwhile. Memory keeps the newest; a restart empties it.
///
/// # Errors
/// When the journal or the state refuses.
pub async fn take_followers(engine: &Arc<Engine>) -> Result<Done, EngineError> {
    let mut done = Done::default();
    let Some(sightings) = engine.sightings() else { return Ok(done) };
    let clues = BTreeSet::from([Clue::Follower]);
    let since = engine.clock.now().plus_ms(-FOLLOWERS_MS);
    for segment in sightings.settled_since(since).await? {
        take(engine, sightings, segment, &clues, Timestamp::default(), false, &mut done).await?;
    }
    Ok(done)
}

/// Takes what was seen since a time, from a segment on.
async fn seen(engine: &Arc<Engine>, key: &Key, mut job: Job) -> Result<Done, EngineError> {
    let mut done = Done::default();
    let Job::Seen { clues, since, moves, next: from, .. } = job.clone() else { return Ok(done) };
    let Some(sightings) = engine.sightings() else { return Ok(done) };
    for segment in sightings.settled().await?.into_iter().filter(|segment| *segment >= from) {
        take(engine, sightings, segment, &clues, since, moves, &mut done).await?;
        if let Job::Seen { next, .. } = &mut job {
            *next = segment + 1;
        }
        engine.note_job(key, Some(&job)).await?;
    }
    if done.found > 0 {
        tracing::info!(found = done.found, ours = done.ours, "what was seen before was decided again");
    }
    Ok(done)
}

/// Takes what the clues lead to in one segment.
async fn take(
    engine: &Arc<Engine>,
    sightings: &Arc<Sightings>,
    segment: Segment,
    clues: &BTreeSet<Clue>,
    since: Timestamp,
    moves: bool,
    done: &mut Done,
) -> Result<(), EngineError> {
    let mut pages = pages(sightings, segment, clues, since);
    while let Some(page) = pages.recv().await {
        let page = page?;
        done.found += page.len() as u64;
        let outcomes = pipeline::receive_again(engine, page, moves).await?;
        let idle = |outcome: &&WebhookOutcome| {
            !matches!(
                outcome,
                WebhookOutcome::NoOffer
                    | WebhookOutcome::UnknownCard
                    | WebhookOutcome::TooOld
                    | WebhookOutcome::Duplicate
            )
        };
        done.ours += outcomes.iter().filter(idle).count() as u64;
    }
    Ok(())
}

type Page = Result<Vec<Sighting<'static>>, SightingsError>;

/// Pages of a segment, read by a thread of its own, a page ahead.
fn pages(
    sightings: &Arc<Sightings>,
    segment: Segment,
    clues: &BTreeSet<Clue>,
    since: Timestamp,
) -> tokio::sync::mpsc::Receiver<Page> {
    let (give, pages) = tokio::sync::mpsc::channel(1);
    let (sightings, clues) = (Arc::clone(sightings), clues.clone());
    tokio::task::spawn_blocking(move || {
        let read = sightings.search(segment, &clues, since, PAGE, |page| {
            // Whoever no longer listens has stopped the job.
            give.blocking_send(Ok(page)).map_err(|_| Ended::NobodyListens)
        });
        if let Err(Ended::Failed(error)) = read {
            let _ = give.blocking_send(Err(error));
        }
    });
    pages
}

enum Ended {
    NobodyListens,
    Failed(SightingsError),
}

impl From<SightingsError> for Ended {
    fn from(error: SightingsError) -> Self {
        Self::Failed(error)
    }
}

/// What a change would come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preview {
    /// Sightings that were looked at.
    pub found: u64,
    /// Those that would become ours.
    pub ours: u64,
    /// Members whose rewards would change.
    pub members: u64,
    /// Purchases whose rewards would change.
    pub purchases: u64,
    /// Rewards that would be added and taken back, in minor units.
    pub rewards: BTreeMap<Unit, (i64, i64)>,
    /// Whether everything was looked at; else it is a part.
    pub whole: bool,
}

impl Preview {
    fn member(&mut self, before: &MemberState, after: &MemberState, fresh: usize) {
        self.ours += fresh as u64;
        let mut changed = 0;
        let granted = |state: &MemberState, key: &PurchaseKey| -> BTreeMap<_, _> {
            let at = state.find(key);
            let grants = at.into_iter().flat_map(|at| state.purchases[at].purchase.grants.iter());
            grants.map(|grant| ((grant.offer.clone(), grant.unit), grant.amount_minor)).collect()
        };
        for placed in &after.purchases {
            let (old, new) = (granted(before, &placed.purchase.key), granted(after, &placed.purchase.key));
            let mut moved = false;
            for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(key))) {
                let of = |grants: &BTreeMap<_, i64>| grants.get(key).copied().unwrap_or(0);
                let difference = of(&new) - of(&old);
                let sums = self.rewards.entry(key.1).or_default();
                sums.0 += difference.max(0);
                sums.1 += (-difference).max(0);
                moved |= difference != 0;
            }
            changed += u64::from(moved);
        }
        self.purchases += changed;
        self.members += u64::from(changed > 0);
    }
}

/// What would come of a merchant's change; `moves` when an operator makes it.
///
/// # Errors
/// When the state refuses.
pub async fn preview_merchant(engine: &Arc<Engine>, merchant: Merchant, moves: bool) -> Result<Preview, EngineError> {
    let catalogue = engine.catalogue();
    let clues = changed_clues(catalogue.merchant(&merchant.id).map(Arc::as_ref), &merchant);
    let revision = catalogue.revision() + 1;
    let supposed = Arc::new(catalogue.with_merchant(Arc::new(merchant), revision));
    preview(engine, &supposed, &clues, Timestamp::default(), moves).await
}

async fn preview(
    engine: &Arc<Engine>,
    catalogue: &Arc<Catalogue>,
    clues: &BTreeSet<Clue>,
    since: Timestamp,
    moves: bool,
) -> Result<Preview, EngineError> {
    let (found, whole) = collect(engine, clues, since).await?;
    let mut preview = Preview { found: found.len() as u64, whole, ..Preview::default() };
    // All of a member's at once: what one purchase uses of a cap, the next lacks.
    pipeline::suppose(engine, catalogue, found, moves, |before, after, fresh| preview.member(before, after, fresh))
        .await?;
    preview.rewards.retain(|_, sums| *sums != (0, 0));
    Ok(preview)
}

/// What would come of linking a card to a member from a time on.
///
/// # Errors
/// When the state refuses.
pub async fn preview_card(engine: &Arc<Engine>, member: &MemberId, link: CardLink) -> Result<Preview, EngineError> {
    let (found, whole) = collect(engine, &BTreeSet::from([Clue::Card(link.card)]), link.from).await?;
    let mut preview = Preview { found: found.len() as u64, whole, ..Preview::default() };
    let each = |before: &MemberState, after: &MemberState, fresh| preview.member(before, after, fresh);
    pipeline::suppose_card(engine, member, link, found, each).await?;
    preview.rewards.retain(|_, sums| *sums != (0, 0));
    Ok(preview)
}

/// Statement texts that came together under one key and may be a merchant's shop, not surely
/// enough to credit anything: to be linked by a person, or left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// What the texts have in common.
    pub key: String,
    /// One of them, as sent; card numbers are masked.
    pub text: String,
    /// Which shop it may be.
    pub location: LocationId,
    /// How sure, and why.
    pub likeness: Likeness,
    /// Events with such a text.
    pub events: u64,
    /// MIDs they came with, some of them.
    pub mids: BTreeSet<String>,
}

/// Texts of the last days that may be a merchant's, most frequent first, and whether all
/// sightings that its words lead to were looked at.
///
/// # Errors
/// When the sightings cannot be read.
pub async fn suggestions(engine: &Arc<Engine>, merchant: &Merchant) -> Result<(Vec<Suggestion>, bool), EngineError> {
    let (found, whole) = collect(engine, &Clue::of_merchant(merchant), Timestamp::default()).await?;
    let catalogue = engine.catalogue();
    // Most events repeat a text: it is compared once.
    let mut asked: HashMap<u64, Option<(LocationId, Likeness)>> = HashMap::new();
    let mut suggestions: BTreeMap<String, Suggestion> = BTreeMap::new();
    for sighting in found {
        let (mark, at) = (&sighting.event.merchant, sighting.event.occurred_at);
        let Some(text) = mark.descriptor.as_deref() else { continue };
        let same = record::with_encoded(mark, xxhash_rust::xxh3::xxh3_64);
        let likely = asked.entry(same).or_insert_with(|| {
            if catalogue.locate(mark, at).is_some() {
                return None;
            }
            let of_merchant = |located: &Located<'_>| located.merchant().id == merchant.id;
            let best = catalogue.suggestions(mark, at).into_iter().find(of_merchant)?;
            Some((best.location().id.clone(), best.evidence().likeness()?))
        });
        let Some((location, likeness)) = likely else { continue };
        let key = descriptor::key(text);
        if suggestions.len() == SUGGESTIONS_MAX && !suggestions.contains_key(&key) {
            continue;
        }
        let suggestion = suggestions.entry(key.clone()).or_insert_with(|| Suggestion {
            key,
            text: text.to_owned(),
            location: location.clone(),
            likeness: *likeness,
            events: 0,
            mids: BTreeSet::new(),
        });
        suggestion.events += 1;
        if let Some(mid) = mark.mid.as_deref().filter(|_| suggestion.mids.len() < SUGGESTION_MIDS_MAX) {
            suggestion.mids.insert(mid.to_owned());
        }
    }
    let mut suggestions: Vec<Suggestion> = suggestions.into_values().collect();
    suggestions.sort_by(|one, other| other.events.cmp(&one.events).then_with(|| one.key.cmp(&other.key)));
    Ok((suggestions, whole))
}

async fn collect(
    engine: &Arc<Engine>,
    clues: &BTreeSet<Clue>,
    since: Timestamp,
) -> Result<(Vec<Sighting<'static>>, bool), EngineError> {
    let mut found = Vec::new();
    let Some(sightings) = engine.sightings() else { return Ok((found, true)) };
    for segment in sightings.settled().await? {
        let mut pages = pages(sightings, segment, clues, since);
        while let Some(page) = pages.recv().await {
            found.extend(page?);
            if found.len() > PREVIEW_SIGHTINGS_MAX {
                found.truncate(PREVIEW_SIGHTINGS_MAX);
                return Ok((found, false));
            }
        }
    }
    Ok((found, true))
}
