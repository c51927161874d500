//! The whole path of a webhook on one screen: verified body, normalised events, facts,
//! decision, journal, state, answer. Start here.
//!
//! Nothing before [`receive`] has read the body, and nothing after it knows a provider's
//! words or HTTP.

use crate::authenticate::{VerifiedBody, Verifier};
use crate::decide::Refusal;
use crate::domain::merchant::Matched;
use crate::domain::purchase::{AnswerLine, Stage};
use crate::domain::{
    CardEvent, CardHash, Currency, EventKind, MemberId, Money, OfferId, PurchaseId, PurchaseKey, SourceName, Timestamp,
};
use crate::engine::turn::{Decided, Turn};
use crate::engine::{Engine, EngineError, Waiting};
use crate::normalise::{self, Format, Message, Problem, Unreadable};
use crate::record::{self, DeadLetter, EventInput, MemberInput, Sighting};
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
    /// Rewards of its purchase.
    pub rewards: Vec<(AnswerLine, Currency)>,
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
struct Ours {
    place: usize,
    event: Box<CardEvent>,
    card: CardHash,
    purchase: PurchaseKey,
    /// Whether the index of purchases has it.
    indexed: bool,
    matched: Option<Matched>,
    occurred_at: Timestamp,
    content: u64,
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
    let is_old = |at: Timestamp| at.plus_days(engine.options.retention_days) < now;
    if is_old(event.occurred_at) {
        engine.metrics.oddity(EventOddity::Late);
        return Ok(Gathered::Answered(Outcome::plain(&event, WebhookOutcome::TooOld)));
    }
    if event.occurred_at > now.plus_ms(engine.options.future_ms_alarm) {
        engine.metrics.oddity(EventOddity::Future);
        tracing::warn!(source = %source.name, "an event is dated far ahead of our clock");
    }
    let catalogue = engine.catalogue_now();
    let located = catalogue.locate(&event.merchant, event.occurred_at);
    let known = located.filter(|located| !catalogue.offers_of(&located.merchant().id).is_empty());
    let matched = known.map(|located| located.matched());
    let occurred_at = match (&known, event.clock) {
        (Some(located), crate::domain::card_event::Clock::Local) => event.occurred_at.read_locally(located.time_zone()),
        _ => event.occurred_at,
    };
    drop(catalogue);
    if is_old(occurred_at) {
        return Ok(Gathered::Answered(Outcome::plain(&event, WebhookOutcome::TooOld)));
    }
    let purchase =
        PurchaseKey { source: source.name.clone(), id: event.purchase.clone().unwrap_or_else(|| own_purchase(&event)) };
    let follows = event.kind != EventKind::Authorization && event.purchase.is_some();
    let holder = if follows { engine.purchase_owner(&purchase).await? } else { None };
    let card = engine.card_hash(&source.name, &event.card);
    // From here on the card is its hash alone: no token is kept, or counts as content.
    event.card = Default::default();
    if matched.is_none() && holder.is_none() {
        let outcome = Outcome::plain(&event, WebhookOutcome::NoOffer);
        keep_sighting(engine, source, &event, card, now);
        if follows {
            engine.wait_for(purchase, Waiting { event, card });
        }
        return Ok(Gathered::Answered(outcome));
    }
    let claims = engine.card_claims(card).await?;
    let holds = |claim: &&crate::store::keys::CardClaim| match &holder {
        Some(holder) => &claim.member == holder,
        None => claim.from <= occurred_at && claim.to.is_none_or(|to| occurred_at < to),
    };
    let Some(claim) = claims.iter().find(holds) else {
        let outcome = Outcome::plain(&event, WebhookOutcome::UnknownCard);
        keep_sighting(engine, source, &event, card, now);
        return Ok(Gathered::Answered(outcome));
    };
    let content = content_of(&event);
    let indexed = holder.is_some() || (!follows && engine.purchase_owner(&purchase).await?.is_some());
    engine.metrics.stage(Timed::Gather, begun.elapsed());
    let member = claim.member.clone();
    let ours = Ours { place, event, card, purchase, indexed, matched, occurred_at, content };
    Ok(Gathered::Ours(member, Box::new(ours)))
}

/// Tells a redelivery from other content.
fn content_of(event: &CardEvent) -> u64 {
    record::with_encoded(event, xxh3_64)
}

/// An event without a purchase id opens a purchase under its own key.
fn own_purchase(event: &CardEvent) -> PurchaseId {
    PurchaseId::new(event.key.as_str()).expect("an event key obeys the same rules")
}

fn keep_sighting(engine: &Engine, source: &Source, event: &CardEvent, card: CardHash, received_at: Timestamp) {
    let (source, event) = (Cow::Borrowed(&source.name), Cow::Borrowed(event));
    engine.keep_sighting(&Sighting { source, card, received_at, event });
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
    let begun = Instant::now();
    let mut turn = engine.turn(member).await?;
    let mut answers = Vec::with_capacity(events.len());
    let mut decides = false;
    for ours in events {
        let place = ours.place;
        let known = turn.identity(ours.card, &ours.event.key).await?;
        let answer = match known {
            Some(identity) if identity.content == ours.content => Ok(again(&turn, &ours, &identity.purchase)),
            Some(_) => Err(Refused::Conflict { event: ours.event.key.to_string() }),
            None => {
                decides = true;
                let purchase = ours.purchase.clone();
                let opens = turn.member.find(&purchase).is_none();
                let answer = decide_event(engine, &mut turn, ours).await?;
                if opens {
                    join_waiting(engine, &mut turn, &purchase).await?;
                }
                Ok(answer)
            }
        };
        answers.push((place, answer));
    }
    engine.metrics.stage(Timed::Decide, begun.elapsed());
    if decides {
        turn.commit().await?;
    }
    Ok(answers)
}

/// Events that came before the purchase they follow, from a shop we did not know.
async fn join_waiting(engine: &Arc<Engine>, turn: &mut Turn, purchase: &PurchaseKey) -> Result<(), EngineError> {
    for Waiting { event, card } in engine.waited_for(purchase) {
        let holds = turn.member.head.cards.iter().any(|link| link.card == card);
        if holds && turn.identity(card, &event.key).await?.is_none() {
            let (occurred_at, content) = (event.occurred_at, content_of(&event));
            let purchase = purchase.clone();
            let ours = Ours { place: 0, event, card, purchase, indexed: true, matched: None, occurred_at, content };
            decide_event(engine, turn, ours).await?;
        }
    }
    Ok(())
}

async fn decide_event(engine: &Arc<Engine>, turn: &mut Turn, ours: Ours) -> Result<Outcome, EngineError> {
    let Ours { event, card, purchase, indexed, matched, occurred_at, content, .. } = ours;
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
    let held = record::held(&event, card, turn.now(), occurred_at, content);
    let input = EventInput { purchase: purchase.clone(), event: held, matched };
    let decided = turn.step(MemberInput::Event(Box::new(input)), None).await?;
    note_currency(engine, turn, &purchase, &event);
    let currency_of = |offer: &OfferId| currency_of(turn, &purchase, offer, &decided);
    let outcome = Outcome {
        event: Some(event.key.to_string()),
        outcome: word(event.kind, &decided.answer),
        purchase: Some(purchase.id.clone()),
        member: Some(turn.id().clone()),
        rewards: decided.answer.iter().filter_map(|line| Some((line.clone(), currency_of(&line.offer)?))).collect(),
        refusals: refusals(turn, &purchase, &decided),
    };
    for (_, refusal, _) in &outcome.refusals {
        engine.metrics.refusal(refusal.code());
    }
    Ok(outcome)
}

fn currency_of(turn: &Turn, purchase: &PurchaseKey, offer: &OfferId, decided: &Decided) -> Option<Currency> {
    let at = turn.member.find(purchase)?;
    let grant = turn.member.purchases[at].purchase.grant(offer).map(|grant| grant.currency);
    let line = || decided.judged.iter().flat_map(|j| &j.lines).find(|line| &line.offer == offer).map(|l| l.currency);
    grant.or_else(line)
}

fn refusals(turn: &Turn, purchase: &PurchaseKey, decided: &Decided) -> Vec<(OfferId, Refusal, Currency)> {
    let at = turn.member.find(purchase);
    let own = decided.judged.iter().filter(|judged| Some(judged.index) == at);
    let lines = own.flat_map(|judged| &judged.lines);
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
        let with_currency = |line: &AnswerLine| Some((line.clone(), purchase.grant(&line.offer)?.currency));
        outcome.rewards = lines.iter().filter_map(with_currency).collect();
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
