//! The whole path of a webhook on one screen: verified body, normalised events, facts,
//! decision, journal, state, answer. Start here.
//!
//! Nothing before [`receive`] has read the body, and nothing after it knows a provider's
//! words or HTTP.

use crate::authenticate::{VerifiedBody, Verifier};
use crate::catalogue::Catalogue;
use crate::decide::{MemberState, Refusal};
use crate::domain::member::CardLink;
use crate::domain::merchant::{Evidence, Matched};
use crate::domain::purchase::{AnswerLine, Stage};
use crate::domain::{
    CardEvent, CardHash, Channel, Currency, EventKind, MemberId, MerchantId, MerchantMark, Money, OfferId, PurchaseId,
    PurchaseKey, SourceName, Timestamp, Unit,
};
use crate::engine::turn::{Decided, Turn};
use crate::engine::{Engine, EngineError};
use crate::normalise::{self, Format, Message, Problem, Unreadable};
use crate::record::{self, DeadLetter, EventInput, MemberInput, Rematch, Sighting};
use crate::telemetry::{EventOddity, Stage as Timed, WebhookOutcome};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A configured source of webhooks.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub name: SourceName,
    /// Its place among the sources, for counters.
    pub index: usize,
    /// Who speaks.
    pub format: Format,
    /// How it proves itself.
    pub verifier: Verifier,
    /// The card network when its messages name none.
    pub default_scheme: Option<String>,
}

/// What became of a body.
#[derive(Debug)]
pub struct Received {
    /// Whether several events were asked about.
    pub batch: bool,
    /// One per message, in order.
    pub results: Vec<Result<Outcome, Refused>>,
    /// What each message said, in the same order: for those who count.
    pub heard: Vec<Heard>,
}

/// What a message said, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// What happened; `None` when the message is no event.
    pub kind: Option<EventKind>,
    /// How much, as sent.
    pub amount: Option<Money>,
    /// By its own time.
    pub occurred_at: Timestamp,
    /// Hash of its key and card: the same for every delivery.
    pub identity: u64,
}

impl Heard {
    fn of(message: &Message) -> Self {
        match message {
            Message::Event(event) => Self {
                kind: Some(event.kind),
                amount: event.amount,
                occurred_at: event.occurred_at,
                identity: xxh3_64_with_seed(event.key.as_str().as_bytes(), xxh3_64(event.card.as_bytes())),
            },
            _ => Self { kind: None, amount: None, occurred_at: Timestamp::default(), identity: 0 },
        }
    }
}

/// What became of one event.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The event's id, in its source's words; `None` when it has none.
    pub event: Option<String>,
    /// In one word.
    pub outcome: WebhookOutcome,
    /// The purchase it belongs to.
    pub purchase: Option<PurchaseId>,
    /// Who is rewarded; `None` when nobody is concerned.
    pub member: Option<MemberId>,
    /// Rewards of its purchase; of a credit that names none, those of the purchases it moves.
    pub rewards: Vec<(AnswerLine, Unit)>,
    /// Why offers gave nothing, or less.
    pub refusals: Vec<(OfferId, Refusal, Currency)>,
}

/// Why an event has no outcome.
#[derive(Debug)]
pub enum Refused {
    /// Readable but impossible; kept among the dead letters when there is room.
    Impossible {
        /// What is wrong.
        problem: Problem,
        /// Whether it was kept.
        kept: bool,
    },
    /// Its id was seen with other content.
    Conflict {
        /// The id.
        event: String,
    },
    /// Not now: come back with the same event.
    NotNow(EngineError),
}

impl Outcome {
    fn plain(event: &CardEvent, outcome: WebhookOutcome) -> Self {
        Self {
            event: Some(event.key.to_string()),
            outcome,
            purchase: event.purchase.clone(),
            member: None,
            rewards: Vec::new(),
            refusals: Vec::new(),
        }
    }
}

/// An event of a member, with all facts gathered that do not need the member's turn.
#[derive(Clone)]
struct Ours {
    place: usize,
    event: Box<CardEvent>,
    card: CardHash,
    purchase: PurchaseKey,
    /// Whether the index of purchases has it.
    indexed: bool,
    matched: Option<Matched>,
    occurred_at: Timestamp,
    received_at: Timestamp,
    content: u64,
    /// It was seen before and is looked at again, and may move to the shop that is known now.
    moves: bool,
}

/// Takes a verified body through the whole path. Every event with an outcome other than
/// `no_offer` and `unknown_card` is durable when this returns.
///
/// # Errors
/// [`Unreadable`] when the body is not in the source's format at all.
pub async fn receive(engine: &Arc<Engine>, source: &Source, body: &VerifiedBody) -> Result<Received, Unreadable> {
    let begun = Instant::now();
    let normalised = normalise::normalise(source.format, body.as_bytes())?;
    engine.metrics.stage(Timed::Normalise, begun.elapsed());
    let heard: Vec<Heard> = normalised.messages.iter().map(Heard::of).collect();
    let mut results: Vec<Option<Result<Outcome, Refused>>> = normalised.messages.iter().map(|_| None).collect();
    let mut members: BTreeMap<MemberId, Vec<Ours>> = BTreeMap::new();
    for (place, message) in normalised.messages.into_iter().enumerate() {
        results[place] = match message {
            Message::Event(event) => match gather(engine, source, event, place).await {
                Ok(Gathered::Answered(outcome)) => Some(Ok(outcome)),
                Ok(Gathered::Ours(member, ours)) => {
                    members.entry(member).or_default().push(*ours);
                    None
                }
                Err(error) => Some(Err(Refused::NotNow(error))),
            },
            Message::Ignored { id, .. } => Some(Ok(ignored(id))),
            Message::Impossible { problem, .. } => Some(Err(Box::pin(shelve(engine, source, body, problem)).await)),
        };
    }
    // Members side by side, so that they share the journal's syncs; events of one member in
    // order, in one frame. Boxed: most events concern nobody and carry no room for it.
    let mut turns = members.into_iter().map(|(member, events)| Box::pin(take_turn(engine, member, events)));
    let answered = match (turns.next(), turns.next()) {
        (None, _) => Vec::new(),
        (Some(one), None) => one.await,
        (Some(one), Some(two)) => {
            futures_util::future::join_all([one, two].into_iter().chain(turns)).await.into_iter().flatten().collect()
        }
    };
    for (place, result) in answered {
        results[place] = Some(result);
    }
    let results: Vec<_> = results.into_iter().map(|result| result.expect("every message is answered above")).collect();
    for result in &results {
        count(engine, source, result);
    }
    Ok(Received { batch: normalised.batch, results, heard })
}

enum Gathered {
    Answered(Outcome),
    Ours(MemberId, Box<Ours>),
}

/// Is it ours? When its card is linked and its merchant is known, or when it follows a
/// purchase we hold. Everything else is kept apart as a sighting.
async fn gather(
    engine: &Arc<Engine>,
    source: &Source,
    mut event: Box<CardEvent>,
    place: usize,
) -> Result<Gathered, EngineError> {
    let begun = Instant::now();
    let now = engine.clock.now();
    if event.merchant.scheme.is_none() {
        event.merchant.scheme = source.default_scheme.as_deref().map(Into::into);
    }
    if event.occurred_at > now.plus_ms(engine.options.future_ms_alarm) {
        engine.metrics.oddity(EventOddity::Future);
        tracing::warn!(source = %source.name, "an event is dated far ahead of our clock");
    }
    if is_old(engine, event.occurred_at, now) {
        return Ok(too_old(engine, &event));
    }
    let card = engine.card_hash(&source.name, &event.card);
    // From here on the card is its hash alone: no token is kept, or counts as content.
    event.card = Default::default();
    let seen = Seen { source: &source.name, event, card, received_at: now, retells_shop: source.format.retells_shop() };
    // Before anything is looked up: what becomes known later finds it here.
    engine.keep_sighting(&seen.sighting());
    let nobodys = engine.is_nobodys(card);
    let Some(shop) = locate(engine, &engine.catalogue_now(), &seen.event, now, nobodys) else {
        return Ok(too_old(engine, &seen.event));
    };
    if nobodys {
        return Ok(Gathered::Answered(of_nobody(&seen.event, &shop)));
    }
    let gathered = whose(engine, seen, shop, Some(place)).await;
    if matches!(gathered, Ok(Gathered::Ours(..))) {
        engine.metrics.stage(Timed::Gather, begun.elapsed());
    }
    gathered
}

fn too_old(engine: &Engine, event: &CardEvent) -> Gathered {
    engine.metrics.oddity(EventOddity::Late);
    Gathered::Answered(Outcome::plain(event, WebhookOutcome::TooOld))
}

/// An event of a card that is certainly nobody's: no index has to be asked, and it waits for no purchase, because
/// its sighting is found when the card is linked.
fn of_nobody(event: &CardEvent, shop: &Shop) -> Outcome {
    Outcome::plain(event, if shop.is_ours { WebhookOutcome::UnknownCard } else { WebhookOutcome::NoOffer })
}

/// Where an event happened, by what is known of shops.
struct Shop {
    /// `None` when it is nobody's who has or had an offer.
    matched: Option<Matched>,
    /// Whether some offer may look at what is bought there.
    is_ours: bool,
    /// The event's time, by the shop's clock when it was that which was told.
    occurred_at: Timestamp,
}

/// Older than anything is kept.
fn is_old(engine: &Engine, at: Timestamp, now: Timestamp) -> bool {
    at.plus_days(engine.options.retention_days) < now
}

/// The shop of an event; `None` when the event is older than anything is kept. `nobodys` when its card is: then
/// no text is compared to find a shop.
fn locate(engine: &Engine, catalogue: &Catalogue, event: &CardEvent, now: Timestamp, nobodys: bool) -> Option<Shop> {
    if is_old(engine, event.occurred_at, now) {
        return None;
    }
    let (mark, at) = (&event.merchant, event.occurred_at);
    let located = if nobodys { catalogue.locate_without_text(mark, at) } else { catalogue.locate(mark, at) };
    if let (Some(found), Some(mid)) = (&located, mark.mid.as_deref())
        && found.evidence() == Evidence::Mid
    {
        engine.heard.note(&found.merchant().id, mid, now);
    }
    // Whatever the shop, an offer over a category may take it.
    let taken = |merchant: Option<&MerchantId>| {
        let takes = |mcc: u16| catalogue.apart().category().iter().any(|offer| offer.takes_category(mcc, merchant));
        mark.mcc.is_some_and(takes)
    };
    let known = located.filter(|located| {
        let merchant = &located.merchant().id;
        !catalogue.offers_of(merchant).is_empty() || taken(Some(merchant))
    });
    let is_ours = known.is_some() || taken(None);
    let occurred_at = match (&known, event.clock) {
        (Some(located), crate::domain::card_event::Clock::Local) => event.occurred_at.read_locally(located.time_zone()),
        _ => event.occurred_at,
    };
    let matched = known.map(|located| located.matched());
    (!is_old(engine, occurred_at, now)).then_some(Shop { matched, is_ours, occurred_at })
}

/// An event as it is kept: its card is a hash, its token is gone.
struct Seen<'a> {
    source: &'a SourceName,
    event: Box<CardEvent>,
    card: CardHash,
    received_at: Timestamp,
    retells_shop: bool,
}

impl Seen<'_> {
    fn sighting(&self) -> Sighting<'_> {
        Sighting {
            source: Cow::Borrowed(self.source),
            card: self.card,
            received_at: self.received_at,
            retells_shop: self.retells_shop,
            event: Cow::Borrowed(&self.event),
        }
    }
}

/// Whose event it is, by what the indexes know of its purchase and its card. `place` is its
/// place in the body that brings it; `None` when it was seen before and is looked at again.
async fn whose(engine: &Engine, seen: Seen<'_>, shop: Shop, place: Option<usize>) -> Result<Gathered, EngineError> {
    let Shop { matched, is_ours, occurred_at } = shop;
    let event = &seen.event;
    let follows = event.kind != EventKind::Authorization && event.purchase.is_some();
    let again = place.is_none();
    let asks = follows || again;
    if !is_ours && !asks {
        return Ok(Gathered::Answered(Outcome::plain(event, WebhookOutcome::NoOffer)));
    }
    let id = event.purchase.clone().unwrap_or_else(|| own_purchase(event));
    let purchase = PurchaseKey { source: seen.source.clone(), id };
    if is_ours
        && !again
        && let Some(member) = engine.remembered_holder(seen.card, occurred_at).await?
    {
        // Nobody else ever had the card, so nobody else has the purchase.
        let Seen { event, card, received_at, retells_shop, .. } = seen;
        let (place, content) = (place.unwrap_or_default(), content_of(retells_shop, &event));
        let ours = Ours {
            place,
            event,
            card,
            purchase,
            indexed: false,
            matched,
            occurred_at,
            received_at,
            content,
            moves: false,
        };
        return Ok(Gathered::Ours(member, Box::new(ours)));
    }
    // One that is held although its shop is nobody's any more is its holder's.
    let holder = if asks { engine.purchase_owner(&purchase).await? } else { None };
    if !is_ours && holder.is_none() {
        if follows {
            engine.wait_for(&purchase, &seen.sighting());
        }
        return Ok(Gathered::Answered(Outcome::plain(event, WebhookOutcome::NoOffer)));
    }
    let Seen { event, card, received_at, retells_shop, .. } = seen;
    let claims = engine.card_claims(card).await?;
    let holds = |claim: &&crate::store::keys::CardClaim| match &holder {
        Some(holder) => &claim.member == holder,
        None => claim.holds(occurred_at),
    };
    let Some(claim) = claims.iter().find(holds) else {
        return Ok(Gathered::Answered(Outcome::plain(&event, WebhookOutcome::UnknownCard)));
    };
    let content = content_of(retells_shop, &event);
    let indexed = holder.is_some() || (!follows && engine.purchase_owner(&purchase).await?.is_some());
    let member = claim.member.clone();
    let place = place.unwrap_or_default();
    let ours = Ours { place, event, card, purchase, indexed, matched, occurred_at, received_at, content, moves: false };
    Ok(Gathered::Ours(member, Box::new(ours)))
}

/// Tells a redelivery from other content. The shop's text is none where each message tells
/// the earlier events again with the shop as it is by then.
fn content_of(retells_shop: bool, event: &CardEvent) -> u64 {
    let hash = |event: &CardEvent| record::with_encoded(event, xxh3_64);
    if retells_shop {
        return hash(&CardEvent { merchant: MerchantMark::default(), channel: Channel::default(), ..event.clone() });
    }
    hash(event)
}

/// An event without a purchase id opens a purchase under its own key.
fn own_purchase(event: &CardEvent) -> PurchaseId {
    PurchaseId::new(event.key.as_str()).expect("an event key obeys the same rules")
}

/// One member's events, decided in order and committed together.
async fn take_turn(
    engine: &Arc<Engine>,
    member: MemberId,
    events: Vec<Ours>,
) -> Vec<(usize, Result<Outcome, Refused>)> {
    let places: Vec<usize> = events.iter().map(|event| event.place).collect();
    match decide_events(engine, &member, events).await {
        Ok(answers) => answers,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "events were not committed; their sender is asked to come back");
            let mut error = Some(error);
            let all = places
                .into_iter()
                .map(|place| (place, Err(Refused::NotNow(error.take().unwrap_or(EngineError::Contended)))));
            all.collect()
        }
    }
}

async fn decide_events(
    engine: &Arc<Engine>,
    member: &MemberId,
    events: Vec<Ours>,
) -> Result<Vec<(usize, Result<Outcome, Refused>)>, EngineError> {
    if !engine.is_shared() {
        return decide_once(engine, engine.turn(member).await?, events).await;
    }
    // First on what this process last saw of the member, which is nearly always the newest.
    let mut decided = decide_once(engine, engine.quick_turn(member).await?, events.clone()).await;
    for _ in 0..CONTENDED_TRIES {
        if !matches!(decided, Err(EngineError::Contended)) {
            break;
        }
        engine.refresh_mark(engine.partition(member)).await?;
        for event in &events {
            // It may have been another process that gave the card to somebody else.
            engine.forget_holder(event.card);
            if !engine.card_claims(event.card).await?.iter().any(|claim| &claim.member == member) {
                return Err(EngineError::Contended);
            }
        }
        decided = decide_once(engine, engine.turn(member).await?, events.clone()).await;
    }
    decided
}

async fn decide_once(engine: &Arc<Engine>, mut turn: Box<Turn>, events: Vec<Ours>) -> Result<Answers, EngineError> {
    let begun = Instant::now();
    let (answers, decides) = decide_within(engine, &mut turn, events).await?;
    engine.metrics.stage(Timed::Decide, begun.elapsed());
    if decides {
        turn.commit().await?;
    }
    Ok(answers)
}

/// Times an event is decided again because another process changed its member meanwhile.
const CONTENDED_TRIES: usize = 16;

type Answers = Vec<(usize, Result<Outcome, Refused>)>;

/// Decides events within a turn; tells whether there is anything to commit.
async fn decide_within(
    engine: &Arc<Engine>,
    turn: &mut Turn,
    events: Vec<Ours>,
) -> Result<(Answers, bool), EngineError> {
    let mut answers = Vec::with_capacity(events.len());
    let mut decides = false;
    for ours in events {
        let place = ours.place;
        let known = turn.identity(ours.card, &ours.event.key).await?;
        let answer = match known {
            Some(identity) if identity.content == ours.content => {
                decides |= ours.moves && rematch(turn, &ours, &identity.purchase).await?;
                Ok(again(turn, &ours, &identity.purchase))
            }
            Some(_) => Err(Refused::Conflict { event: ours.event.key.to_string() }),
            None => {
                decides = true;
                let purchase = ours.purchase.clone();
                let opens = turn.member.find(&purchase).is_none();
                let answer = decide_event(engine, turn, ours).await?;
                if opens {
                    join_waiting(engine, turn, &purchase).await?;
                }
                Ok(answer)
            }
        };
        answers.push((place, answer));
    }
    Ok((answers, decides))
}

/// Moves an event that is held to the shop where it is known to have happened now. A sealed
/// purchase stays where it was.
async fn rematch(turn: &mut Turn, ours: &Ours, purchase: &PurchaseKey) -> Result<bool, EngineError> {
    let Some(at) = turn.member.find(purchase) else { return Ok(false) };
    let held = &turn.member.purchases[at].purchase;
    let is_it = |event: &&crate::domain::purchase::HeldEvent| event.key == ours.event.key && event.card == ours.card;
    let Some(event) = held.events.iter().find(is_it) else { return Ok(false) };
    let matched = event.matched.and_then(|place| held.matches.get(usize::from(place)));
    if matched == ours.matched.as_ref() && event.occurred_at == ours.occurred_at {
        return Ok(false);
    }
    let rematch = Rematch {
        purchase: purchase.clone(),
        event: ours.event.key.clone(),
        card: ours.card,
        matched: ours.matched.clone(),
        occurred_at: ours.occurred_at,
    };
    turn.step(MemberInput::Rematched(Box::new(rematch)), None).await?;
    Ok(true)
}

/// What was seen, decided again: its outcome now. `moves` lets what is held move to the shop
/// that is known now.
///
/// # Errors
/// When the journal or the state refuses.
pub async fn receive_again(
    engine: &Arc<Engine>,
    sightings: Vec<Sighting<'static>>,
    moves: bool,
) -> Result<Vec<WebhookOutcome>, EngineError> {
    let catalogue = engine.catalogue();
    let (mut outcomes, members) = gather_again(engine, &catalogue, sightings, moves).await?;
    let turns = members.into_iter().map(|(member, events)| async move {
        let answers = decide_events(engine, &member, events).await?;
        Ok::<_, EngineError>(
            answers.into_iter().filter_map(|(_, answer)| Some(answer.ok()?.outcome)).collect::<Vec<_>>(),
        )
    });
    for done in futures_util::future::join_all(turns).await {
        outcomes.extend(done?);
    }
    Ok(outcomes)
}

/// What would come of sightings under a catalogue that is not in force: decided within the
/// turns of their members, which are then dropped. `each` is shown every member before and
/// after.
///
/// # Errors
/// When the state refuses.
pub async fn suppose(
    engine: &Arc<Engine>,
    catalogue: &Arc<Catalogue>,
    sightings: Vec<Sighting<'static>>,
    moves: bool,
    mut each: impl FnMut(&MemberState, &MemberState, usize),
) -> Result<(), EngineError> {
    let (_, members) = gather_again(engine, catalogue, sightings, moves).await?;
    for (member, events) in members {
        let mut turn = engine.turn(&member).await?;
        turn.suppose(Arc::clone(catalogue));
        let before = turn.member.clone();
        let (answers, _) = decide_within(engine, &mut turn, events).await?;
        each(&before, &turn.member, fresh(&answers));
    }
    Ok(())
}

/// What would come of a member's card if it were linked: decided within the member's turn,
/// which is then dropped.
///
/// # Errors
/// When the state refuses.
pub async fn suppose_card(
    engine: &Arc<Engine>,
    member: &MemberId,
    link: CardLink,
    sightings: Vec<Sighting<'static>>,
    mut each: impl FnMut(&MemberState, &MemberState, usize),
) -> Result<(), EngineError> {
    let mut turn = engine.turn(member).await?;
    turn.suppose(engine.catalogue());
    let before = turn.member.clone();
    let from = link.from;
    turn.step(MemberInput::CardLinked { link, replaces: None }, None).await?;
    let now = engine.clock.now();
    let mut events = Vec::new();
    for Sighting { source, card, received_at, retells_shop, event } in sightings {
        let event = Box::new(event.into_owned());
        let shop = locate(engine, turn.catalogue(), &event, now, false);
        let Some(Shop { matched, is_ours: true, occurred_at }) = shop else { continue };
        if occurred_at < from {
            continue;
        }
        let content = content_of(retells_shop, &event);
        let id = event.purchase.clone().unwrap_or_else(|| own_purchase(&event));
        let purchase = PurchaseKey { source: source.into_owned(), id };
        events.push(Ours {
            place: 0,
            event,
            card,
            purchase,
            indexed: true,
            matched,
            occurred_at,
            received_at,
            content,
            moves: false,
        });
    }
    let (answers, _) = decide_within(engine, &mut turn, events).await?;
    each(&before, &turn.member, fresh(&answers));
    Ok(())
}

/// How many of some answers are about events that nobody held.
fn fresh(answers: &Answers) -> usize {
    let fresh = |answer: &Result<Outcome, Refused>| {
        answer.as_ref().is_ok_and(|outcome| outcome.outcome != WebhookOutcome::Duplicate)
    };
    answers.iter().filter(|(_, answer)| fresh(answer)).count()
}

/// Sorts what was seen by whose it is now; what is still nobody's has its outcome.
async fn gather_again(
    engine: &Arc<Engine>,
    catalogue: &Catalogue,
    sightings: Vec<Sighting<'static>>,
    moves: bool,
) -> Result<(Vec<WebhookOutcome>, BTreeMap<MemberId, Vec<Ours>>), EngineError> {
    let now = engine.clock.now();
    let mut outcomes = Vec::new();
    let mut members: BTreeMap<MemberId, Vec<Ours>> = BTreeMap::new();
    for sighting in sightings {
        let Sighting { source, card, received_at, retells_shop, event } = sighting;
        let event = Box::new(event.into_owned());
        let nobodys = engine.is_nobodys(card);
        let Some(shop) = locate(engine, catalogue, &event, now, nobodys) else {
            outcomes.push(WebhookOutcome::TooOld);
            continue;
        };
        if nobodys {
            outcomes.push(of_nobody(&event, &shop).outcome);
            continue;
        }
        match whose(engine, Seen { source: &source, event, card, received_at, retells_shop }, shop, None).await? {
            Gathered::Answered(outcome) => outcomes.push(outcome.outcome),
            Gathered::Ours(member, ours) => members.entry(member).or_default().push(Ours { moves, ..*ours }),
        }
    }
    Ok((outcomes, members))
}

/// Events that came before the purchase they follow, from a shop we did not know.
async fn join_waiting(engine: &Arc<Engine>, turn: &mut Turn, purchase: &PurchaseKey) -> Result<(), EngineError> {
    for Sighting { card, retells_shop, event, .. } in engine.waited_for(purchase) {
        let holds = turn.member.head.cards.iter().any(|link| link.card == card);
        if holds && turn.identity(card, &event.key).await?.is_none() {
            let content = content_of(retells_shop, &event);
            let event = Box::new(event.into_owned());
            let occurred_at = event.occurred_at;
            let purchase = purchase.clone();
            let received_at = turn.now();
            let ours = Ours {
                place: 0,
                event,
                card,
                purchase,
                indexed: true,
                matched: None,
                occurred_at,
                received_at,
                content,
                moves: false,
            };
            decide_event(engine, turn, ours).await?;
        }
    }
    Ok(())
}

async fn decide_event(engine: &Arc<Engine>, turn: &mut Turn, ours: Ours) -> Result<Outcome, EngineError> {
    let Ours { event, card, purchase, indexed, matched, occurred_at, received_at, content, .. } = ours;
    // Of a shared store nobody asked the index: it knows what the member holds.
    let indexed = indexed || turn.member.find(&purchase).is_some();
    if !indexed {
        turn.index_with_commit(purchase.clone());
    }
    if turn.member.purchases.len() >= engine.options.open_purchases_max && turn.member.find(&purchase).is_none() {
        let early = engine.too_many_open(&turn.member);
        if !early.is_empty() {
            let mark = turn.mark();
            turn.step(engine.sealing(&turn.member, early, mark), None).await?;
        }
    }
    let held = record::held(&event, card, received_at, occurred_at, content);
    let input = EventInput { purchase: purchase.clone(), event: held, matched };
    let decided = turn.step(MemberInput::Event(Box::new(input)), None).await?;
    note_currency(engine, turn, &purchase, &event);
    let unit_of = |offer: &OfferId| unit_of(turn, offer, &decided);
    let outcome = Outcome {
        event: Some(event.key.to_string()),
        outcome: word(event.kind, &decided.answer),
        purchase: Some(purchase.id.clone()),
        member: Some(turn.id().clone()),
        rewards: decided.answer.iter().filter_map(|line| Some((line.clone(), unit_of(&line.offer)?))).collect(),
        refusals: refusals(turn, &decided),
    };
    for (_, refusal, _) in &outcome.refusals {
        engine.metrics.refusal(refusal.code());
    }
    Ok(outcome)
}

fn unit_of(turn: &Turn, offer: &OfferId, decided: &Decided) -> Option<Unit> {
    let line = || decided.judged.iter().flat_map(|j| &j.lines).find(|line| &line.offer == offer).map(|l| l.unit);
    granted_unit(&turn.member, decided.purchases.iter(), offer).or_else(line)
}

/// The unit of what an offer has granted for one of some purchases.
fn granted_unit<'a>(
    member: &MemberState,
    mut purchases: impl Iterator<Item = &'a PurchaseKey>,
    offer: &OfferId,
) -> Option<Unit> {
    purchases.find_map(|key| Some(member.purchases[member.find(key)?].purchase.grant(offer)?.unit))
}

/// Why offers gave nothing, or less, for the event's purchase; for a credit that names none
/// and moves others, for those.
fn refusals(turn: &Turn, decided: &Decided) -> Vec<(OfferId, Refusal, Currency)> {
    let answering = match decided.purchases.as_slice() {
        [_, moved @ ..] if !moved.is_empty() => moved,
        own => own,
    };
    let places = answering.iter().filter_map(|key| turn.member.find(key));
    let judged = places.filter_map(|at| decided.judged.iter().find(|judged| judged.index == at));
    let lines = judged.flat_map(|judged| &judged.lines);
    lines.filter_map(|line| Some((line.offer.clone(), line.refusal.clone()?, line.currency))).collect()
}

/// The first word that applies: held, clawed back, adjusted, credited, no reward.
fn word(kind: EventKind, answer: &[AnswerLine]) -> WebhookOutcome {
    let had = |line: &AnswerLine| line.due_minor != line.change_minor;
    let takes = matches!(
        kind,
        EventKind::Refund
            | EventKind::Chargeback
            | EventKind::ClearingReversal
            | EventKind::Reversal
            | EventKind::Expiry
    );
    if answer.iter().any(|line| line.held && line.due_minor > 0) {
        WebhookOutcome::Held
    } else if takes && answer.iter().any(|line| line.change_minor < 0) {
        WebhookOutcome::ClawedBack
    } else if answer.iter().any(|line| had(line) && line.change_minor != 0) {
        WebhookOutcome::Adjusted
    } else if answer.iter().any(|line| line.due_minor > 0) {
        WebhookOutcome::Credited
    } else {
        WebhookOutcome::NoReward
    }
}

/// The answer of the first delivery, once more.
fn again(turn: &Turn, ours: &Ours, purchase: &PurchaseKey) -> Outcome {
    let mut outcome = Outcome::plain(&ours.event, WebhookOutcome::Duplicate);
    outcome.purchase = Some(purchase.id.clone());
    outcome.member = Some(turn.id().clone());
    if let Some(at) = turn.member.find(purchase) {
        let purchase = &turn.member.purchases[at].purchase;
        let first = purchase.events.iter().find(|event| event.key == ours.event.key && event.card == ours.card);
        let lines = first.map_or(&[][..], |event| &event.answer);
        // A credit that named no purchase was answered with the rewards of others.
        let all = || turn.member.purchases.iter().map(|placed| &placed.purchase.key);
        let unit_of = |offer: &OfferId| {
            purchase.grant(offer).map(|grant| grant.unit).or_else(|| granted_unit(&turn.member, all(), offer))
        };
        let with_unit = |line: &AnswerLine| Some((line.clone(), unit_of(&line.offer)?));
        outcome.rewards = lines.iter().filter_map(with_unit).collect();
    }
    outcome
}

/// An event in another currency than its purchase is kept, and somebody should look.
fn note_currency(engine: &Engine, turn: &Turn, purchase: &PurchaseKey, event: &CardEvent) {
    let Some(at) = turn.member.find(purchase) else { return };
    let held = &turn.member.purchases[at].purchase;
    if held.events.len() == 1 {
        return;
    }
    let worth = crate::decide::worth(held, turn.mark(), &engine.policy.lapse);
    if event.amount.is_some_and(|money| worth.currency.is_some_and(|currency| currency != money.currency)) {
        engine.metrics.oddity(EventOddity::CurrencyDiffers);
        tracing::warn!(purchase = %purchase, "an event is in another currency than its purchase; it moves no money");
    }
}

fn ignored(id: Option<String>) -> Outcome {
    Outcome {
        event: id,
        outcome: WebhookOutcome::Ignored,
        purchase: None,
        member: None,
        rewards: Vec::new(),
        refusals: Vec::new(),
    }
}

/// A genuine message that cannot be understood is kept, masked, for a person.
async fn shelve(engine: &Arc<Engine>, source: &Source, body: &VerifiedBody, problem: Problem) -> Refused {
    let masked = normalise::masked(source.format, body.as_bytes());
    let letter = DeadLetter {
        id: 0,
        source: source.name.clone(),
        received_at: engine.clock.now(),
        code: problem.code.to_owned(),
        path: problem.path.clone(),
        detail: problem.detail.clone(),
        body: (masked.len() <= engine.options.dead_letter_bytes_max).then_some(masked),
    };
    match engine.shelve(letter).await {
        Ok(number) => Refused::Impossible { problem, kept: number.is_some() },
        Err(error) => Refused::NotNow(error),
    }
}

fn count(engine: &Engine, source: &Source, result: &Result<Outcome, Refused>) {
    let word = match result {
        Ok(outcome) => outcome.outcome,
        Err(Refused::Impossible { .. }) => WebhookOutcome::Kept,
        Err(Refused::Conflict { .. }) => {
            engine.metrics.oddity(EventOddity::Conflict);
            WebhookOutcome::Conflict
        }
        Err(Refused::NotNow(_)) => return,
    };
    if word == WebhookOutcome::Duplicate {
        engine.metrics.oddity(EventOddity::Duplicate);
    }
    engine.metrics.outcome(source.index, word);
}

/// An error with its causes, for one line of a log.
pub struct Chain<'a>(pub &'a dyn std::error::Error);
impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Where a reward stands, in the words of the interface.
#[must_use]
pub fn state_word(line: &AnswerLine) -> &'static str {
    match (line.held, line.stage) {
        (true, _) => "held",
        (false, Stage::Pending) => "pending",
        (false, Stage::Posted) => "posted",
        (false, Stage::Available) => "available",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retold_shop_is_no_other_content() {
        let body = br#"{"id":"e","type":"clearing","purchase_id":"p","card":"c","amount":{"minor":1,"currency":"USD"},
            "occurred_at":"2026-11-21T19:56:00Z","merchant":{"mid":"1","descriptor":"SQ *SHOP"}}"#;
        let Message::Event(event) = normalise::normalise(Format::Ringfence, body).unwrap().messages.remove(0) else {
            panic!()
        };
        let mut renamed = event.clone();
        renamed.merchant.descriptor = Some("SHOP OAKLAND".into());
        let mut dearer = event.clone();
        dearer.amount = dearer.amount.map(|money| crate::domain::Money::new(money.minor + 1, money.currency));
        for format in Format::ALL {
            let same = |other: &CardEvent| {
                content_of(format.retells_shop(), other) == content_of(format.retells_shop(), &event)
            };
            assert_eq!(same(&renamed), format == Format::Lithic, "{format}");
            assert!(same(&event) && !same(&dearer), "{format}");
        }
    }
}
