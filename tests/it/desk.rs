//! One member's books without store, clock or network: the same sequence of pure calls
//! as a turn of the engine (apply, judge, reserve, settle, apply), and sums kept beside
//! them that every test may compare. Budgets are simulated here and hold in all steps.

use ringfence::decide::judge::{Raise, Raises};
use ringfence::decide::{
    Entry, Fate, GrantChange, Judged, MemberState, OfferBook, OffersApart, Policy, Scope, Touched, apply_changes,
    apply_input, assign, concerned, judge, settle,
};
use ringfence::domain::member::{Balance, CardLink, MemberHead};
use ringfence::domain::offer::{LifeChange, LifeStep, Offer, OfferVersion, Terms};
use ringfence::domain::purchase::{Grant, HeldEvent, Stage};
use ringfence::domain::{
    CardHash, Currency, EventKey, MemberId, MerchantId, OfferId, PurchaseId, PurchaseKey, SourceName, Timestamp, Unit,
};
use ringfence::ledger::{AccountKind, Owner, is_sound};
use ringfence::record::{Body, Envelope, EventInput, LotUse, MemberInput, Record, Redemption};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Offers by merchant.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    by_merchant: BTreeMap<MerchantId, Vec<Arc<Offer>>>,
    apart: OffersApart,
}

impl OfferBook for Shelf {
    fn offers_of(&self, merchant: &MerchantId) -> &[Arc<Offer>] {
        self.by_merchant.get(merchant).map_or(&[], Vec::as_slice)
    }
    fn offer(&self, id: &OfferId) -> Option<&Arc<Offer>> {
        self.all().find(|offer| &offer.id == id)
    }
    fn apart(&self) -> &OffersApart {
        &self.apart
    }
}

impl Shelf {
    /// Publishes an offer from the beginning of time.
    pub fn publish(&mut self, id: &str, terms: Terms) {
        let id = OfferId::new(id).unwrap();
        let merchant = terms.merchant.clone();
        let life = vec![LifeStep { effective: Timestamp::default(), change: LifeChange::Published(1) }];
        let offer = Offer { id: id.clone(), versions: vec![OfferVersion { offer: id, version: 1, terms }], life };
        let offer = Arc::new(offer);
        self.apart.put(&offer);
        let list = self.by_merchant.entry(merchant).or_default();
        list.push(offer);
        list.sort_by(|a, b| a.id.cmp(&b.id));
    }
    /// Changes an offer in place.
    pub fn change(&mut self, id: &str, change: impl FnOnce(&mut Offer)) {
        let mut all = self.by_merchant.values_mut().flatten();
        let offer = all.find(|offer| offer.id.as_str() == id).expect("the offer was published");
        change(Arc::make_mut(offer));
        self.apart.put(offer);
    }
    /// All offers.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Offer>> {
        self.by_merchant.values().flatten()
    }
}

/// What one step did.
#[derive(Debug)]
pub struct Step {
    pub judged: Vec<Judged>,
    pub changes: Vec<GrantChange>,
    /// Each changed grant as it was and as it is.
    pub moved: Vec<(PurchaseKey, Option<Grant>, Grant)>,
}

/// A grant's amount, stage, whether it is frozen, and when it may be paid.
pub type Granted = (i64, Stage, bool, Option<Timestamp>);
/// Per account, owner (of a merchant's) and unit.
pub type Sums = BTreeMap<(AccountKind, Option<MerchantId>, Unit), i64>;

/// Everything about grants and books that may not depend on order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Books {
    pub grants: BTreeMap<(PurchaseKey, OfferId), Granted>,
    pub balances: Vec<(Unit, Balance)>,
    pub sums: Sums,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Desk {
    pub member: MemberState,
    pub shelf: Shelf,
    pub policy: Policy,
    pub mark: Timestamp,
    sums: Sums,
    seen: BTreeMap<(CardHash, EventKey), u64>,
    /// What the records of each day of UTC raised under each offer.
    raised: BTreeMap<(OfferId, u32), i64>,
    number: u64,
}

pub fn card(name: &str) -> CardHash {
    CardHash(xxhash_rust::xxh3::xxh3_128(name.as_bytes()).to_le_bytes())
}
pub fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}
pub fn source(name: &str) -> SourceName {
    SourceName::new(name).unwrap()
}
pub fn purchase(source_name: &str, id: &str) -> PurchaseKey {
    PurchaseKey { source: source(source_name), id: PurchaseId::new(id).unwrap() }
}
/// A link of a card to the member.
pub fn link(source_name: &str, card: CardHash, from: Timestamp, to: Option<Timestamp>, group: u32) -> CardLink {
    CardLink { source: source(source_name), card, from, to, group, token: None }
}

impl Desk {
    /// A member whose card `card("ann")` of the source `net` is linked from the beginning.
    pub fn new(shelf: Shelf) -> Self {
        let policy = Policy { cash_like_mcc: vec![4829..=4829, 6010..=6012, 6051..=6051], ..Policy::default() };
        let mut desk = Self::empty(shelf, policy, "ann");
        desk.link(link("net", card("ann"), Timestamp::default(), None, 0));
        desk
    }
    pub fn empty(shelf: Shelf, policy: Policy, member: &str) -> Self {
        let head = MemberHead::new(MemberId::new(member).unwrap(), Timestamp::default());
        Self {
            member: MemberState::new(head),
            shelf,
            policy,
            mark: Timestamp::default(),
            sums: BTreeMap::new(),
            seen: BTreeMap::new(),
            raised: BTreeMap::new(),
            number: 0,
        }
    }
    pub fn link(&mut self, link: CardLink) -> Step {
        self.step(MemberInput::CardLinked { link, replaces: None })
    }
    /// The day is marked: what time has brought is decided.
    pub fn mark(&mut self, mark: Timestamp) -> Step {
        self.mark = self.mark.max(mark);
        let forget_before = Timestamp::default();
        self.step(MemberInput::TimePassed {
            sealed: Vec::new(),
            totals: Vec::new(),
            forget_before,
            qualified: Vec::new(),
        })
    }
    /// An event, once: `None` when it came before.
    pub fn event(&mut self, input: EventInput) -> Option<Step> {
        let identity = (input.event.card, input.event.key.clone());
        match self.seen.insert(identity, input.event.content) {
            Some(content) => {
                assert_eq!(content, input.event.content, "the pipeline refuses other content under a known key");
                None
            }
            None => Some(self.step(MemberInput::Event(Box::new(input)))),
        }
    }

    /// As the engine's `Turn::step_at`.
    pub fn step(&mut self, input: MemberInput) -> Step {
        let own = match &input {
            MemberInput::Event(event) => Some(event.purchase.clone()),
            MemberInput::Rematched(rematch) => Some(rematch.purchase.clone()),
            _ => None,
        };
        let before = own.as_ref().and_then(|key| self.member.before(key));
        let mut touched = Touched::default();
        apply_input(&mut self.member, &input, &mut touched);
        let (from, merchants) = concerned(&self.member, &input, before);
        let scope = Scope { from, merchants: merchants.as_deref(), own: own.as_ref() };
        let judged = self.judge_with_budgets(&scope);
        self.record(input, judged)
    }

    /// Judges everything once, whatever came before.
    pub fn decide_all(&mut self) -> Step {
        let judged = self.judge_with_budgets(&Scope { from: 0, merchants: None, own: None });
        self.record(MemberInput::DecidedAgain, judged)
    }
    /// Puts an event where it belongs and decides nothing.
    pub fn put(&mut self, input: &MemberInput) {
        apply_input(&mut self.member, input, &mut Touched::default());
    }

    fn record(&mut self, input: MemberInput, judged: Vec<Judged>) -> Step {
        self.number += 1;
        let envelope = Envelope {
            process: 1,
            partition: 0,
            number: self.number,
            epoch: 1,
            again: None,
            at: self.mark,
            previous: self.member.head.last,
            version: self.member.head.version + 1,
            catalogue: 1,
            mark: self.mark,
            request: None,
        };
        let entry = Entry::of(&self.member.head, self.number, self.mark, self.mark, false);
        let changes = settle(&self.member, &judged, &entry);
        let moved: Vec<_> = changes
            .iter()
            .map(|change| {
                let at = self.member.find(&change.purchase).expect("only known purchases change");
                let old = self.member.purchases[at].purchase.grant(&change.grant.offer).cloned();
                (change.purchase.clone(), old, change.grant.clone())
            })
            .collect();
        for (_, old, new) in &moved {
            let by = new.amount_minor - old.as_ref().map_or(0, |old| old.amount_minor);
            *self.raised.entry((new.offer.clone(), self.mark.day())).or_default() += by.max(0);
        }
        let member = self.member.head.id.clone();
        let body = Body::Member { member, input: Box::new(input), changes: changes.clone() };
        apply_changes(&mut self.member, &envelope, &changes, &mut Touched::default());
        for transfer in (Record { envelope, body }).transfers() {
            assert!(transfer.legs.minor > 0, "a transfer moves a positive amount");
            for (kind, by) in [(transfer.legs.debit, -transfer.legs.minor), (transfer.legs.credit, transfer.legs.minor)]
            {
                let of = if kind.owner() == Owner::Merchant { transfer.merchant.clone() } else { None };
                *self.sums.entry((kind, of, transfer.unit)).or_default() += by;
            }
        }
        Step { judged, changes, moved }
    }

    fn judge_with_budgets(&self, scope: &Scope<'_>) -> Vec<Judged> {
        let mut raises = Raises::new();
        let mut reserved = BTreeMap::<OfferId, i64>::new();
        for _ in 0..64 {
            let (judged, asks) = judge(&self.member, scope, &self.shelf, &self.policy, self.mark, &raises);
            if asks.is_empty() {
                return judged;
            }
            for ask in asks {
                assert!(ask.minor > 0, "nobody reserves nothing");
                let taken = reserved.entry(ask.offer.clone()).or_default();
                let (whole, of_day) = self.budget(&ask.offer);
                let left = (whole - self.granted(&ask.offer) - *taken).max(0);
                let left_of_day = (of_day - self.raised_today(&ask.offer) - *taken).max(0);
                let minor = ask.minor.min(left).min(left_of_day);
                *taken += minor;
                let day_spent = minor < ask.minor && left_of_day < left;
                raises.insert((ask.purchase, ask.offer), Raise { minor, day_spent });
            }
        }
        panic!("reserving does not come to an end");
    }
    /// The whole budget and the day's.
    fn budget(&self, offer: &OfferId) -> (i64, i64) {
        let terms = &self.shelf.offer(offer).expect("only offers ask").newest().terms;
        (terms.budget_minor.unwrap_or(i64::MAX), terms.daily_budget_minor.unwrap_or(i64::MAX))
    }
    /// Raised under an offer on the desk's day, whatever was taken back since.
    pub fn raised_today(&self, offer: &OfferId) -> i64 {
        self.raised.get(&(offer.clone(), self.mark.day())).copied().unwrap_or(0)
    }

    /// Pays out, oldest lots first, what is owed before that; `false` when there is not enough.
    /// Chosen anew here, so that the engine's choice is not its own judge.
    pub fn redeem(&mut self, minor: i64, unit: impl Into<Unit>) -> bool {
        let unit = unit.into();
        let balance = self.member.head.balance(unit);
        if minor <= 0 || minor > balance.available_minor - balance.owed_minor {
            return false;
        }
        let (mut left, mut owed) = (minor + balance.owed_minor, balance.owed_minor);
        let (mut lots, mut settled) = (Vec::new(), Vec::new());
        for placed in &self.member.purchases {
            for grant in placed.purchase.grants.iter().filter(|grant| grant.unit == unit) {
                let part = |minor| LotUse {
                    purchase: Some(placed.purchase.key.clone()),
                    offer: Some(grant.offer.clone()),
                    merchant: grant.merchant.clone(),
                    minor,
                };
                if grant.stage == Stage::Available && !grant.held && grant.remaining_minor().min(left) > 0 {
                    lots.push(part(grant.remaining_minor().min(left)));
                    left -= grant.remaining_minor().min(left);
                }
                if !grant.lost && grant.excess_minor().min(owed) > 0 {
                    settled.push(part(grant.excess_minor().min(owed)));
                    owed -= grant.excess_minor().min(owed);
                }
            }
        }
        assert_eq!((left, owed), (0, 0), "what is available lies in lots, what is owed in excess grants");
        let id = format!("r{}", self.number + 1);
        self.step(MemberInput::Redeemed(Box::new(Redemption { id, unit, minor, lots, settled, exchange: None })));
        true
    }

    pub fn grants(&self) -> impl Iterator<Item = (&PurchaseKey, &Grant)> {
        self.member.purchases.iter().flat_map(|p| p.purchase.grants.iter().map(|grant| (&p.purchase.key, grant)))
    }
    /// Granted under an offer, over all purchases.
    pub fn granted(&self, offer: &OfferId) -> i64 {
        self.grants().filter(|(_, grant)| &grant.offer == offer).map(|(_, grant)| grant.amount_minor).sum()
    }
    pub fn sum(&self, kind: AccountKind) -> i64 {
        self.sums.iter().filter(|((k, _, _), _)| *k == kind).map(|(_, minor)| minor).sum()
    }

    /// The purchase that each credit which names none comes off.
    pub fn joined(&self) -> BTreeMap<EventKey, PurchaseKey> {
        let key = |place: usize| self.member.purchases[place].purchase.key.clone();
        let assigned = assign(&self.member, None, self.mark, &self.policy.lapse);
        let joined = assigned.credits.iter().filter_map(|credit| match credit.fate {
            Fate::Joined { purchase, .. } => Some((credit.event.key.clone(), key(purchase))),
            _ => None,
        });
        joined.collect()
    }
    /// What such credits take off each purchase.
    pub fn taken(&self) -> BTreeMap<PurchaseKey, i64> {
        let assigned = assign(&self.member, None, self.mark, &self.policy.lapse);
        let key = |place: usize| self.member.purchases[place].purchase.key.clone();
        assigned.all_taken().map(|(place, minor)| (key(place), minor)).collect()
    }

    /// What may not depend on order. Grants that give nothing keep their history and are left out.
    pub fn books(&self) -> Books {
        let grants = self.grants().filter(|(_, grant)| grant.amount_minor != 0);
        let grants = grants.map(|(key, grant)| {
            let state = (grant.amount_minor, grant.stage, grant.held, grant.available_at);
            ((key.clone(), grant.offer.clone()), state)
        });
        let balances = self.member.head.balances.iter().filter(|(_, balance)| *balance != Balance::default());
        let sums = self.sums.iter().filter(|(_, minor)| **minor != 0);
        Books {
            grants: grants.collect(),
            balances: balances.copied().collect(),
            sums: sums.map(|(key, minor)| (key.clone(), *minor)).collect(),
        }
    }

    /// What must hold after every step, whatever it was: the books balance, nothing is
    /// negative, and the accounts hold exactly what the grants say.
    pub fn audit(&self) {
        let mut per_unit = BTreeMap::<Unit, i64>::new();
        for ((_, _, unit), minor) in &self.sums {
            *per_unit.entry(*unit).or_default() += minor;
        }
        assert!(per_unit.values().all(|sum| *sum == 0), "books out of balance: {:?}", self.sums);
        for (unit, balance) in &self.member.head.balances {
            assert!(is_sound(balance), "negative: {balance:?}");
            let sum = |kind| self.sums.get(&(kind, None, *unit)).copied().unwrap_or(0);
            use AccountKind as A;
            let from_sums = Balance {
                pending_minor: sum(A::MemberPending),
                posted_minor: sum(A::MemberPosted),
                held_minor: sum(A::MemberHeld),
                available_minor: sum(A::MemberAvailable),
                paid_minor: sum(A::MemberPaid),
                owed_minor: -sum(A::MemberOwed),
            };
            assert_eq!(*balance, from_sums, "the member's balance and the ledger differ");
            let of = |pick: &dyn Fn(&Grant) -> i64| -> i64 {
                self.grants().filter(|(_, grant)| grant.unit == *unit).map(|(_, grant)| pick(grant)).sum()
            };
            let in_stage = |stage| of(&|g| if g.stage == stage && !g.held { g.remaining_minor() } else { 0 });
            let from_grants = Balance {
                pending_minor: in_stage(Stage::Pending),
                posted_minor: in_stage(Stage::Posted),
                held_minor: of(&|g| if g.held { g.remaining_minor() } else { 0 }),
                available_minor: in_stage(Stage::Available),
                paid_minor: of(&|g| g.used_minor),
                owed_minor: of(&|g| if g.lost { 0 } else { g.excess_minor() }),
            };
            assert_eq!(*balance, from_grants, "the balance and the grants differ");
            assert_eq!(sum(A::PayOut), 0, "paid at once, so nothing stays between claim and payment");
            assert_eq!(-sum(A::FraudLoss), of(&|g| if g.lost { g.excess_minor() } else { 0 }), "fraud loss");
        }
    }
}

/// Puts events together to a purchase, as the state would keep them.
pub fn bring_together(key: &PurchaseKey, inputs: &[EventInput]) -> ringfence::domain::purchase::Purchase {
    let mut purchase = ringfence::domain::purchase::Purchase::new(key.clone());
    for input in inputs {
        let mut event: HeldEvent = input.event.clone();
        event.matched = input.matched.as_ref().map(|matched| purchase.match_index(matched));
        purchase.insert(event);
    }
    purchase
}
