//! Merchants and offers: documents that only grow, read by every decision from an
//! immutable snapshot that is swapped whole.

use super::acts::Named;
use super::again::Job;
use super::budgets::{self, Budget, Crossed};
use super::{Engine, EngineError};
use crate::catalogue::Catalogue;
use crate::domain::merchant::Merchant;
use crate::domain::offer::{LifeChange, LifeStep, Offer, OfferVersion, Terms, Trigger};
use crate::domain::{Currency, MerchantId, OfferId, Timestamp, Unit};
use crate::record::{self, Body, DeadLetter, Envelope, Record, RequestKey};
use crate::sightings::{Clue, changed_clues};
use crate::store::{Batch, CATALOGUE, Expect, keys};
use compact_str::CompactString;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Why a document was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is none.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// The caller's copy is old.
    #[error("the document has version {has}, the request was made for {given}")]
    VersionDiffers {
        /// What it has.
        has: u64,
        /// What was given.
        given: u64,
    },
    /// The offer belongs to another merchant.
    #[error("the offer belongs to another merchant")]
    OtherMerchant,
    /// What an offer granted cannot become something else.
    #[error("an offer keeps its currency and what its reward is of; make a new offer for another")]
    OtherCurrency,
    /// The points or the perk is another merchant's: two who share a name would honour each
    /// other's promises.
    #[error("`{}` is in use by another merchant; choose a name of your own, such as one that begins with yours", unit.1)]
    OtherMerchantsUnit {
        /// Its place in the document, and the unit.
        unit: (&'static str, Unit),
    },
    /// The step does not follow from where the offer is.
    #[error("{0}")]
    NotNow(&'static str),
    /// The request's name was used for another one.
    #[error("this key was used for another request; give a new request a new key")]
    KeyReused,
    /// The engine could not.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A step in an offer's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The newest version counts; for a merchant who never had one published, an operator is
    /// asked.
    Publish,
    /// What was asked for is published.
    Approve,
    /// What was asked for is not published, for this reason.
    Reject(CompactString),
    /// Gives nothing until resumed.
    Pause,
    /// Gives again.
    Resume,
    /// Never gives again.
    End,
}

/// A step as somebody asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which.
    pub step: Step,
    /// Counts from this instant in the past, by an operator's word.
    pub from: Option<Timestamp>,
    /// A merchant asks, and no operator.
    pub by_merchant: bool,
    /// The version of the document that it rests on.
    pub if_match: Option<u64>,
}

impl Engine {
    /// Version of a document; 0 when there is none.
    pub(super) async fn document_version(&self, key: &[u8]) -> Result<u64, EngineError> {
        Ok(keys::version(self.keeper().get(CATALOGUE, key).await?.as_ref()))
    }

    /// Version of a merchant's document; 0 when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn merchant_version(&self, id: &MerchantId) -> Result<u64, EngineError> {
        self.document_version(&keys::merchant(id.as_str())).await
    }
    /// Version of an offer's document; 0 when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn offer_version(&self, id: &OfferId) -> Result<u64, EngineError> {
        self.document_version(&keys::offer(id.as_str())).await
    }

    /// Creates or replaces a merchant by an operator's word. The same again changes nothing.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn put_merchant(
        self: &Arc<Self>,
        merchant: Merchant,
        if_match: Option<u64>,
    ) -> Result<(u64, bool), EditError> {
        self.put_merchant_as(merchant, if_match, true).await
    }

    /// As [`Engine::put_merchant`]. Without an operator's word only what was nobody's is
    /// decided again: a merchant must not take rewards back by forgetting a MID.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn put_merchant_as(
        self: &Arc<Self>,
        merchant: Merchant,
        if_match: Option<u64>,
        operator_word: bool,
    ) -> Result<(u64, bool), EditError> {
        let engine = Arc::clone(self);
        apart(async move { engine.put_merchant_now(merchant, if_match, operator_word).await }).await
    }

    async fn put_merchant_now(
        self: &Arc<Self>,
        merchant: Merchant,
        if_match: Option<u64>,
        operator_word: bool,
    ) -> Result<(u64, bool), EditError> {
        let _editing = self.editing.lock().await;
        let key = keys::merchant(merchant.id.as_str());
        let has = self.document_version(&key).await?;
        check(has, if_match)?;
        if self.catalogue().merchant(&merchant.id).is_some_and(|known| **known == merchant) {
            return Ok((has, false));
        }
        let catalogue = self.catalogue();
        // Without an offer nothing that was seen there is ours.
        let concerned = !catalogue.offers_of(&merchant.id).is_empty();
        let job =
            seen_job(catalogue.merchant(&merchant.id).map(Arc::as_ref), &merchant, operator_word).filter(|_| concerned);
        let body = Body::Merchant { merchant: Box::new(merchant.clone()), operator_word };
        let record = self.catalogue_record(body, has + 1);
        self.commit_document(record, key, has, keys::document(has + 1, &merchant), job).await?;
        self.swap(|known, revision| known.with_merchant(Arc::new(merchant), revision));
        Ok((has + 1, has == 0))
    }

    /// Creates an offer, or adds a version when the terms are others. Nothing is in force
    /// before it is published.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn put_offer(
        self: &Arc<Self>,
        id: &OfferId,
        terms: Terms,
        if_match: Option<u64>,
    ) -> Result<(u64, bool), EditError> {
        let (engine, id) = (Arc::clone(self), id.clone());
        apart(async move { engine.put_offer_now(&id, terms, if_match).await }).await
    }

    async fn put_offer_now(
        self: &Arc<Self>,
        id: &OfferId,
        terms: Terms,
        if_match: Option<u64>,
    ) -> Result<(u64, bool), EditError> {
        let _editing = self.editing.lock().await;
        let catalogue = self.catalogue();
        if catalogue.merchant(&terms.merchant).is_none() {
            return Err(EditError::Unknown("merchant"));
        }
        let has = self.offer_version(id).await?;
        check(has, if_match)?;
        // Under `editing`, so that of two merchants who name the same at once one is refused.
        let others = |unit: &Unit| catalogue.unit_owner(unit).is_some_and(|owner| *owner != terms.merchant);
        if let Some(unit) = terms.named_units().find(|(_, unit)| others(unit)) {
            return Err(EditError::OtherMerchantsUnit { unit });
        }
        let mut offer = match catalogue.offer(id) {
            Some(known) if known.merchant() != &terms.merchant => return Err(EditError::OtherMerchant),
            // What was granted is summed per offer, in its one currency or unit.
            Some(known) if counted(&known.newest().terms) != counted(&terms) => return Err(EditError::OtherCurrency),
            Some(known) if known.newest().terms == terms => return Ok((has, false)),
            Some(known) => known.as_ref().clone(),
            None => Offer { id: id.clone(), versions: Vec::new(), life: Vec::new() },
        };
        let version = u32::try_from(offer.versions.len() + 1)
            .map_err(|_| EditError::NotNow("the offer has too many versions"))?;
        offer.versions.push(OfferVersion { offer: id.clone(), version, terms });
        self.commit_offer(offer, has, false, None).await?;
        Ok((has + 1, has == 0))
    }

    /// Takes an offer a step through its life, by an operator. Counts from the commit plus the configured
    /// seconds, or from an instant in the past by an operator's word; then everybody
    /// concerned is decided again before this returns.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn step_offer(
        self: &Arc<Self>,
        id: &OfferId,
        step: Step,
        operator_word: Option<Timestamp>,
    ) -> Result<Timestamp, EditError> {
        let asked = Asked { step, from: operator_word, by_merchant: false, if_match: None };
        self.step_offer_named(id, asked, None, |_, effective| effective.as_ms().to_string())
            .await
            .map(|effective| Timestamp::from_ms(effective.parse().expect("written just above")))
    }

    /// As [`Engine::step_offer`], by whoever asks, for a request that may have named itself. Returns what
    /// was answered, now or the first time.
    ///
    /// # Errors
    /// [`EditError`]; `KeyReused` when the name was used for another request.
    pub async fn step_offer_named(
        self: &Arc<Self>,
        id: &OfferId,
        asked: Asked,
        named: Option<Named>,
        answer: impl FnOnce(&Offer, Timestamp) -> String + Send + 'static,
    ) -> Result<String, EditError> {
        let (engine, id) = (Arc::clone(self), id.clone());
        apart(async move { engine.step_offer_now(&id, asked, named, answer).await }).await
    }

    async fn step_offer_now(
        self: &Arc<Self>,
        id: &OfferId,
        asked: Asked,
        named: Option<Named>,
        answer: impl FnOnce(&Offer, Timestamp) -> String,
    ) -> Result<String, EditError> {
        let operator_word = asked.from;
        let (merchant, since, answer) = {
            let _editing = self.editing.lock().await;
            if let Some(kept) = self.first_answer(CATALOGUE, named.as_ref(), || EditError::KeyReused).await? {
                return Ok(kept);
            }
            let known = self.catalogue().offer(id).cloned().ok_or(EditError::Unknown("offer"))?;
            let mut offer = known.as_ref().clone();
            let earliest = self.clock.now().plus_ms(i64::from(self.options.effective_seconds) * 1000);
            let effective = operator_word.unwrap_or(earliest).min(earliest);
            let has = self.offer_version(id).await?;
            check(has, asked.if_match)?;
            let asks = asked.by_merchant && !self.has_published(offer.merchant());
            let Some(change) = next_change(&offer, asked.step, asks)? else {
                let effective = offer.life.last().map_or(effective, |step| step.effective);
                let answer = answer(&offer, effective);
                if let Some(named) = named {
                    let request = named.answered(self.clock.now(), answer.clone());
                    self.commit_same(offer, has, request).await?;
                }
                return Ok(answer);
            };
            // A step dated before an older one would be overtaken by it.
            let effective = if operator_word.is_none() {
                offer.life.last().map_or(effective, |last| effective.max(last.effective))
            } else {
                effective
            };
            offer.step(LifeStep { effective, change });
            let waits = offer.awaits_approval();
            let merchant = offer.merchant().clone();
            let told = self.told_by_budget(&known, &offer).await?;
            let answer = answer(&offer, effective);
            let request = named.map(|named| named.answered(self.clock.now(), answer.clone()));
            self.commit_offer(offer, has, operator_word.is_some(), request).await?;
            told.into_iter().for_each(|crossed| self.tell_of_budget(id, crossed));
            if waits {
                tracing::info!(offer = %id, merchant = %merchant, "a merchant who has published nothing yet asks for approval of an offer");
            }
            (merchant, effective, answer)
        };
        if operator_word.is_some() {
            self.decide_again(&merchant, since).await?;
        }
        Ok(answer)
    }

    /// Whether any offer of a merchant was ever published: by an operator or with one's
    /// approval, since nobody else can publish the first.
    #[must_use]
    pub fn has_published(&self, merchant: &MerchantId) -> bool {
        self.catalogue().offers_of(merchant).iter().any(|offer| offer.newest_published().is_some())
    }

    /// The shares of its budgets that an offer comes to because they become smaller.
    async fn told_by_budget(&self, known: &Offer, offer: &Offer) -> Result<Vec<Crossed>, EngineError> {
        let (before, after) = (Budget::in_force(known), Budget::in_force(offer));
        if before == after {
            return Ok(Vec::new());
        }
        let used = self.offer_use(&offer.id).await?;
        Ok(budgets::lowered(used, before, after))
    }

    async fn commit_offer(
        self: &Arc<Self>,
        offer: Offer,
        has: u64,
        operator_word: bool,
        request: Option<RequestKey>,
    ) -> Result<(), EditError> {
        let body = Body::Offer { offer: Box::new(offer.clone()), operator_word };
        let mut record = self.catalogue_record(body, has + 1);
        record.envelope.request = request;
        let value = keys::document(has + 1, &offer);
        // Counting since a time when nobody had an offer there: what was seen then may be ours.
        let merchant = self.catalogue().merchant(offer.merchant()).cloned().filter(|_| operator_word);
        let clues = merchant.map(|merchant| Clue::of_merchant(&merchant)).unwrap_or_default();
        let since = offer.life.iter().map(|step| step.effective).min().unwrap_or_default();
        let job = (!clues.is_empty()).then(|| Job::Seen { clues, since, moves: true, next: 0, process: None });
        self.commit_document(record, keys::offer(offer.id.as_str()), has, value, job).await?;
        self.swap_offer(offer);
        Ok(())
    }

    /// Keeps what was answered to a request that changed nothing: the document and its
    /// version stay.
    async fn commit_same(self: &Arc<Self>, offer: Offer, has: u64, request: RequestKey) -> Result<(), EngineError> {
        let value = keys::document(has, &offer);
        let key = keys::offer(offer.id.as_str());
        let mut record = self.catalogue_record(Body::Offer { offer: Box::new(offer), operator_word: false }, has);
        record.envelope.request = Some(request);
        self.commit_document(record, key, has, value, None).await
    }

    /// Puts a new snapshot in place. Called with `editing` held, so that none is lost.
    pub(super) fn swap(self: &Arc<Self>, change: impl FnOnce(&Catalogue, u64) -> Catalogue) {
        let known = self.catalogue();
        let next = Arc::new(change(&known, known.revision() + 1));
        let wants_merging = next.wants_merging();
        self.snapshot.store(Arc::clone(&next));
        if wants_merging && !self.merging.swap(true, Ordering::AcqRel) {
            let engine = Arc::clone(self);
            // Seconds of work for a large catalogue, beside the service.
            tokio::task::spawn_blocking(move || engine.merge(&next));
        }
    }

    fn merge(self: Arc<Self>, snapshot: &Catalogue) {
        let merged = snapshot.merged(super::start::seed());
        let _editing = self.editing.blocking_lock();
        if let Some(adopted) = self.catalogue().adopt(&merged) {
            self.snapshot.store(Arc::new(adopted));
        }
        self.merging.store(false, Ordering::Release);
    }

    pub(super) fn catalogue_record(&self, body: Body, version: u64) -> Record {
        let envelope = Envelope {
            process: self.journal.process(),
            partition: CATALOGUE,
            number: self.next_number(CATALOGUE),
            epoch: self.epoch(CATALOGUE),
            again: None,
            at: self.clock.now(),
            previous: None,
            version,
            catalogue: self.catalogue().revision(),
            mark: Timestamp::default(),
            request: None,
        };
        Record { envelope, body }
    }

    async fn commit_document(
        self: &Arc<Self>,
        record: Record,
        key: Vec<u8>,
        has: u64,
        value: bytes::Bytes,
        job: Option<Job>,
    ) -> Result<(), EngineError> {
        let expects = vec![Expect { key: key.clone(), version: has }];
        let request = record.envelope.request.as_ref();
        let request = request.map(|request| (keys::request(&request.key), Some(record::encode(request).into())));
        // In one batch: a document is never there without the job that it causes.
        let jobs = job.into_iter().flat_map(|job| job.spread(&self.processes()));
        let job = jobs.flat_map(|job| job.batch(&record).puts).collect::<Vec<_>>();
        let puts = [(key, Some(value))].into_iter().chain(request).chain(job).collect();
        let batch = Batch { partition: CATALOGUE, expects, puts, ..Batch::default() };
        self.commit_apart(record, vec![batch]).await
    }

    /// Commits one record in a task of its own, so that a caller who goes away does not
    /// leave a record without its state.
    pub(super) async fn commit_apart(
        self: &Arc<Self>,
        record: Record,
        mut batches: Vec<Batch>,
    ) -> Result<(), EngineError> {
        self.check_proved(record.envelope.partition)?;
        self.log_with(&mut batches, &record);
        let engine = Arc::clone(self);
        let encoded = record::encode(&record);
        let task = tokio::spawn(async move { engine.journal_then_state(vec![encoded], vec![batches]).await });
        let done = task.await.unwrap_or(Err(EngineError::Stopping))?.pop().unwrap_or(Ok(()));
        if matches!(done, Err(EngineError::Contended)) {
            self.withdraw(std::slice::from_ref(&record.envelope));
        }
        done
    }

    /// Keeps a message that could not be understood, when there is room on the shelf.
    /// Durable when this returns its number; `None` when the shelf is full.
    ///
    /// # Errors
    /// When the journal or the state refuses.
    pub async fn shelve(self: &Arc<Self>, mut letter: DeadLetter) -> Result<Option<u64>, EngineError> {
        if self.dead_letters.fetch_add(1, Ordering::AcqRel) >= self.options.dead_letters_max {
            self.dead_letters.fetch_sub(1, Ordering::AcqRel);
            self.metrics.dead_letters_dropped(1);
            return Ok(None);
        }
        let mut record = self.catalogue_record(Body::Withdrawn { number: 0 }, 0);
        letter.id = self.letter_id(record.envelope.number);
        let id = letter.id;
        let batch = Batch {
            partition: CATALOGUE,
            puts: vec![(keys::dead_letter(id), Some(record::encode(&letter).into()))],
            ..Batch::default()
        };
        record.body = Body::DeadLetter(Box::new(letter));
        if let Err(error) = self.commit_apart(record, vec![batch]).await {
            self.dead_letters.fetch_sub(1, Ordering::AcqRel);
            return Err(error);
        }
        self.metrics.dead_letter_kept();
        Ok(Some(id))
    }

    /// The id of a dead letter: its record's number. Processes that share a store number theirs each
    /// for itself, so some bits of the process stand behind it there (exact in any JSON reader).
    fn letter_id(&self, number: u64) -> u64 {
        if self.is_shared() { number << 20 | u64::from(self.journal.process() & 0xf_ffff) } else { number }
    }

    /// Takes a message off the shelf after its replay; `false` when it is off already.
    ///
    /// # Errors
    /// When the journal or the state refuses.
    pub async fn unshelve(self: &Arc<Self>, id: u64, outcome: String) -> Result<bool, EngineError> {
        let engine = Arc::clone(self);
        let done = apart(async move { Ok(engine.unshelve_now(id, outcome).await?) }).await;
        done.map_err(|error| match error {
            EditError::Engine(error) => error,
            _ => EngineError::Contended,
        })
    }

    async fn unshelve_now(self: &Arc<Self>, id: u64, outcome: String) -> Result<bool, EngineError> {
        // Twice at once must count once.
        let _editing = self.editing.lock().await;
        if self.dead_letter(id).await?.is_none() {
            return Ok(false);
        }
        let record = self.catalogue_record(Body::DeadLetterSettled { id, outcome }, 0);
        let batch = Batch { partition: CATALOGUE, puts: vec![(keys::dead_letter(id), None)], ..Batch::default() };
        self.commit_apart(record, vec![batch]).await?;
        self.dead_letters.fetch_sub(1, Ordering::AcqRel);
        Ok(true)
    }
}

/// What was seen that means something else since a merchant changed; `None` when nothing
/// does.
#[must_use]
pub fn seen_job(before: Option<&Merchant>, after: &Merchant, moves: bool) -> Option<Job> {
    let clues = changed_clues(before, after);
    // Each mark has its own times, which `locate` obeys; sightings are kept some days only.
    (!clues.is_empty()).then(|| Job::Seen { clues, since: Timestamp::default(), moves, next: 0, process: None })
}

/// Does the whole of an edit in a task of its own. A caller who goes away in the middle must not
/// let the next edit in before this one is in the snapshot: that one would rest on a version
/// that is moving.
pub(super) async fn apart<T: Send + 'static>(
    edit: impl Future<Output = Result<T, EditError>> + Send + 'static,
) -> Result<T, EditError> {
    tokio::spawn(edit).await.unwrap_or(Err(EditError::Engine(EngineError::Stopping)))
}

pub(super) fn check(has: u64, if_match: Option<u64>) -> Result<(), EditError> {
    match if_match {
        Some(given) if given != has => Err(EditError::VersionDiffers { has, given }),
        _ => Ok(()),
    }
}

/// The life change a step means where the offer is; `None` when it is there already. Who
/// `asks` may not publish without an operator.
fn next_change(offer: &Offer, step: Step, asks: bool) -> Result<Option<LifeChange>, EditError> {
    let newest = offer.newest().version;
    let published = offer.newest_published().map(|version| version.version);
    let ended = offer.life.iter().any(|step| step.change == LifeChange::Ended);
    let paused = offer.life.iter().rev().find_map(|step| match step.change {
        LifeChange::Paused => Some(true),
        LifeChange::Resumed => Some(false),
        _ => None,
    });
    let paused = paused == Some(true);
    match step {
        Step::End if ended => Ok(None),
        _ if ended => Err(EditError::NotNow("the offer has ended; make a new one")),
        Step::Publish if published == Some(newest) => Ok(None),
        Step::Publish if asks && offer.awaits_approval() => Ok(None),
        Step::Publish if asks => Ok(Some(LifeChange::ApprovalAsked(newest))),
        Step::Publish => Ok(Some(LifeChange::Published(newest))),
        Step::Approve | Step::Reject(_) if !offer.awaits_approval() => next_without_request(offer, &step),
        Step::Approve => Ok(Some(LifeChange::Published(newest))),
        Step::Reject(reason) => Ok(Some(LifeChange::Rejected(reason))),
        _ if published.is_none() => Err(EditError::NotNow("the offer is a draft; publish it first")),
        Step::Pause if paused => Ok(None),
        Step::Pause => Ok(Some(LifeChange::Paused)),
        Step::Resume if !paused => Ok(None),
        Step::Resume => Ok(Some(LifeChange::Resumed)),
        Step::End => Ok(Some(LifeChange::Ended)),
    }
}

/// What an operator's answer means where nobody asks for approval: the same answer again
/// changes nothing.
fn next_without_request(offer: &Offer, step: &Step) -> Result<Option<LifeChange>, EditError> {
    let last = offer
        .life
        .iter()
        .rev()
        .map(|step| &step.change)
        .find(|change| matches!(change, LifeChange::ApprovalAsked(_) | LifeChange::Rejected(_)));
    let newest = offer.newest().version;
    match (step, last) {
        (Step::Approve, Some(LifeChange::ApprovalAsked(version)))
            if offer.newest_published().is_some_and(|published| published.version == *version) =>
        {
            Ok(None)
        }
        (Step::Reject(reason), Some(LifeChange::Rejected(said))) if said == reason => Ok(None),
        (_, Some(LifeChange::ApprovalAsked(version))) if *version != newest => Err(EditError::NotNow(
            "the offer was changed after its merchant asked for approval; it has to be asked for again",
        )),
        _ => Err(EditError::NotNow("nobody asks for approval of this offer; an operator may publish it as it is")),
    }
}

/// What an offer's amounts are counted in, which no version may change.
fn counted(terms: &Terms) -> (Currency, Unit, Option<Unit>) {
    let referred = match &terms.trigger {
        Trigger::Referral { referred: Some(reward), .. } => Some(reward.what.unit(terms.currency)),
        _ => None,
    };
    (terms.currency, terms.unit(), referred)
}
