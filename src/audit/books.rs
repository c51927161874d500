//! One pass over the records: keeps each member's facts and accounts and checks whatever
//! a record alone, or with those before it, can prove. Transfers are spelled out here a
//! second time, from the rewards and pay-outs; the ledger's own code is not asked.

mod cases;
mod spend;

use super::AuditOptions;
use super::due;
use super::frames::At;
use super::keys::{Keys, Opened};
use super::report::{Named, Report, RewardLine, TrialLine};
use crate::cases::Case;
use crate::cases::rules::Rule;
use crate::decide::{GrantChange, OfferBook, OffersApart};
use crate::domain::member::{MemberHead, ProfileStep, RecordRef, SealedProfile, SealedTotal, SealedUse, put_profile};
use crate::domain::merchant::Matched;
use crate::domain::offer::{LifeChange, Offer};
use crate::domain::purchase::{Grant, HeldEvent, Occasion, SIGNAL, Stage, entry_key};
use crate::domain::time::DAY_MS;
use crate::domain::{Code, MemberId, MerchantId, OfferId, PurchaseKey, Timestamp, Unit};
use crate::ledger::AccountKind;
use crate::record::{Body, Envelope, Exchange, MemberInput, Record};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

/// Requests other than pay-outs are remembered so long.
const REQUEST_MS: i64 = DAY_MS;
/// A decision may still have read the offers as they were so long before it.
const SNAPSHOT_MS: i64 = 60_000;

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) journal: usize,
    pub(super) at: At,
    pub(super) index: usize,
}

/// A record as differences name it.
#[derive(Clone, Copy)]
struct Name {
    place: Place,
    process: u32,
    partition: u16,
    number: u64,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place: Place { journal, at, index }, process, partition, number } = self;
        write!(f, "record {process}/{partition}/{number} (")?;
        if *journal > 0 {
            write!(f, "journal {journal} ")?;
        }
        write!(f, "{at} record {index})")
    }
}

/// A reward as the books have it, and what its accounts hold.
pub(super) struct Holding {
    /// As last recorded; what was used is kept by the pay-outs seen here.
    pub(super) grant: Grant,
    accounts: Accounts,
    /// What causes' accounts hold of it.
    causes: BTreeMap<Code, i64>,
}

/// What each kind of account holds.
type Accounts = [i64; AccountKind::ALL.len()];

/// Sums that cannot stop an audit: what is as large as this is a difference anyhow.
fn add(to: &mut i64, by: i64) {
    *to = to.saturating_add(by);
}

/// What the state of a reward says its accounts hold: what remains lies where its stage
/// says, against those who fund it; what was used stands against their funding as far as it
/// still stands, and the rest is owed, or lost. The merchant bears its share, rounded down,
/// and the operator what is left.
fn said(grant: &Grant) -> Accounts {
    let mut accounts = [0; AccountKind::ALL.len()];
    let remains = grant.amount_minor.saturating_sub(grant.used_minor).max(0);
    let excess = grant.used_minor.saturating_sub(grant.amount_minor).max(0);
    let lies_in = match (grant.cause.is_some(), grant.held, grant.stage) {
        (true, false, Stage::Available) => AccountKind::CauseDue,
        (true, _, _) => AccountKind::CausePending,
        (false, true, _) => AccountKind::MemberHeld,
        (false, false, Stage::Pending) => AccountKind::MemberPending,
        (false, false, Stage::Posted) => AccountKind::MemberPosted,
        (false, false, Stage::Available) => AccountKind::MemberAvailable,
    };
    let (of_merchant, of_operator) = match grant.stage {
        Stage::Pending => (AccountKind::MerchantBudget, AccountKind::OperatorBudget),
        Stage::Posted | Stage::Available => (AccountKind::MerchantFunding, AccountKind::OperatorFunding),
    };
    let bears = if grant.lost { AccountKind::FraudLoss } else { AccountKind::MemberOwed };
    let stands = grant.used_minor.saturating_sub(excess);
    let (whole, used) = (merchants_share(grant, stands.saturating_add(remains)), merchants_share(grant, stands));
    let mut put = |kind: AccountKind, minor: i64| add(&mut accounts[kind as usize], minor);
    put(lies_in, remains);
    put(of_merchant, used.saturating_sub(whole));
    put(of_operator, whole.saturating_sub(used).saturating_sub(remains));
    put(AccountKind::MerchantFunding, used.saturating_neg());
    put(AccountKind::OperatorFunding, used.saturating_sub(stands));
    put(bears, excess.saturating_neg());
    accounts
}

fn merchants_share(grant: &Grant, minor: i64) -> i64 {
    i64::try_from(i128::from(minor) * i128::from(grant.funding.merchant.0) / 10_000).unwrap_or(i64::MAX)
}

/// Whether causes' accounts hold what remains of the reward, for its one cause alone.
fn of_its_cause(holding: &Holding) -> bool {
    let Holding { grant, causes, .. } = holding;
    let remains = grant.amount_minor.saturating_sub(grant.used_minor).max(0);
    let due = |cause: &Code| if grant.cause.as_ref() == Some(cause) { remains } else { 0 };
    causes.iter().all(|(cause, minor)| *minor == due(cause))
        && grant.cause.is_none_or(|cause| remains == 0 || causes.contains_key(&cause))
}

/// One member, rebuilt from records.
pub(super) struct Member {
    partition: u16,
    epoch: u32,
    pub(super) mark: Timestamp,
    last: Option<RecordRef>,
    /// Cards, activations, standings, sealed totals: what decisions read besides purchases.
    pub(super) head: MemberHead,
    /// Profiles as they were opened.
    pub(super) profiles: Vec<ProfileStep>,
    /// A profile could not be opened: what rests on it cannot be decided again.
    pub(super) closed: bool,
    /// What is no purchase, under its key.
    pub(super) occasions: BTreeMap<PurchaseKey, Occasion>,
    /// Card events in the order of their arrival.
    pub(super) events: Vec<(PurchaseKey, HeldEvent, Option<Matched>)>,
    identities: HashSet<u128>,
    records: BTreeSet<u64>,
    pub(super) holdings: BTreeMap<PurchaseKey, Vec<Holding>>,
    /// Points spent on offers: acts, never decided again.
    pub(super) exchanges: BTreeMap<PurchaseKey, Exchange>,
    balances: BTreeMap<(Unit, AccountKind), i64>,
    /// Records that came before the one they follow: of another process's journal.
    waiting: BTreeMap<u64, (Place, Record)>,
}

impl Member {
    fn new(id: MemberId, envelope: &Envelope) -> Self {
        Self {
            partition: envelope.partition,
            epoch: envelope.epoch,
            mark: Timestamp::default(),
            last: None,
            head: MemberHead::new(id, envelope.at),
            profiles: Vec::new(),
            closed: false,
            occasions: BTreeMap::new(),
            events: Vec::new(),
            identities: HashSet::new(),
            records: BTreeSet::new(),
            holdings: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            balances: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    fn holding(&mut self, purchase: &PurchaseKey, offer: &OfferId) -> Option<&mut Holding> {
        self.holdings.get_mut(purchase)?.iter_mut().find(|holding| &holding.grant.offer == offer)
    }

    fn end_card(&mut self, card: crate::domain::CardHash, at: Timestamp) {
        for link in self.head.cards.iter_mut().filter(|link| link.card == card && link.to.is_none()) {
            link.to = Some(at.max(link.from));
        }
    }
}

/// Offers by merchant and id, as the journal has them so far.
#[derive(Default)]
pub(super) struct Offers {
    by_merchant: BTreeMap<MerchantId, Vec<Arc<Offer>>>,
    merchant_of: BTreeMap<OfferId, MerchantId>,
    apart: OffersApart,
}

impl OfferBook for Offers {
    fn offers_of(&self, merchant: &MerchantId) -> &[Arc<Offer>] {
        self.by_merchant.get(merchant).map_or(&[], Vec::as_slice)
    }
    fn offer(&self, id: &OfferId) -> Option<&Arc<Offer>> {
        self.find(self.merchant_of.get(id)?, id)
    }
    fn apart(&self) -> &OffersApart {
        &self.apart
    }
}

impl Offers {
    fn put(&mut self, offer: Offer) {
        let offer = Arc::new(offer);
        self.apart.put(&offer);
        self.merchant_of.insert(offer.id.clone(), offer.merchant().clone());
        let list = self.by_merchant.entry(offer.merchant().clone()).or_default();
        match list.binary_search_by(|known| known.id.cmp(&offer.id)) {
            Ok(place) => list[place] = offer,
            Err(place) => list.insert(place, offer),
        }
    }
    pub(super) fn find(&self, merchant: &MerchantId, id: &OfferId) -> Option<&Arc<Offer>> {
        self.offers_of(merchant).iter().find(|offer| &offer.id == id)
    }
}

/// What an offer has given, and what it may give.
#[derive(Default)]
struct Budget {
    /// Rewards that stand, minor units.
    granted: i64,
    /// Raised under versions without a budget: never counted against one.
    free: i64,
    /// What the records of each day raised under versions with a budget; nothing lowers it.
    raised: BTreeMap<i64, i64>,
    whole: Said,
    of_day: Said,
    document: u64,
}

/// Budgets of the newest published version, with when each was overtaken.
#[derive(Default)]
struct Said(Vec<(Timestamp, i64)>);

impl Said {
    /// From now on it is this; `None` is without end.
    fn say(&mut self, now: Timestamp, most: Option<i64>) {
        let most = most.unwrap_or(i64::MAX);
        if self.0.last().is_some_and(|(_, last)| *last == most) {
            return;
        }
        if let Some((until, _)) = self.0.last_mut() {
            *until = now;
        }
        self.0.push((Timestamp::MAX, most));
    }
    /// The most a decision of this time may have read.
    fn most(&self, at: Timestamp) -> i64 {
        let mut most = None::<i64>;
        for (until, budget) in self.0.iter().rev() {
            if until.plus_ms(SNAPSHOT_MS) < at {
                break;
            }
            most = most.max(Some(*budget));
        }
        most.unwrap_or(i64::MAX)
    }
}

/// Numbers seen, as ranges: nearly all of them follow one another.
#[derive(Default)]
struct Numbers(BTreeMap<u64, u64>);

impl Numbers {
    /// False when it was there.
    fn insert(&mut self, number: u64) -> bool {
        let before = self.0.range(..=number).next_back().map(|(from, to)| (*from, *to));
        if before.is_some_and(|(_, to)| number <= to) {
            return false;
        }
        let from = match before {
            Some((from, to)) if to.checked_add(1) == Some(number) => from,
            _ => number,
        };
        let to = number.checked_add(1).and_then(|next| self.0.remove(&next)).unwrap_or(number);
        self.0.insert(from, to);
        true
    }
}

/// See the module.
pub(super) struct Books<'a> {
    options: &'a AuditOptions,
    report: &'a mut Report,
    withdrawn: HashSet<(u32, u16, u64)>,
    /// Members' keys, per journal. Of several journals a member's records may come out of order.
    keys: Vec<Option<Keys>>,
    /// Whether processes wrote side by side: then what rests on nothing of another may come in another order.
    several: bool,
    numbers: HashMap<(u32, u16), Numbers>,
    members: BTreeMap<MemberId, Member>,
    merchants: HashMap<MerchantId, u64>,
    offers: Offers,
    budgets: HashMap<OfferId, Budget>,
    marks: HashMap<u16, Timestamp>,
    requests: HashMap<[u8; 16], (Timestamp, bool)>,
    letters: HashSet<u64>,
    cases: BTreeMap<u64, (u64, Case)>,
    rules: BTreeMap<Code, Rule>,
    /// Debits and credits.
    sums: BTreeMap<(Unit, AccountKind), (i64, i64)>,
}

impl<'a> Books<'a> {
    pub(super) fn new(
        options: &'a AuditOptions,
        withdrawn: HashSet<(u32, u16, u64)>,
        report: &'a mut Report,
        keys: Vec<Option<Keys>>,
    ) -> Self {
        Self {
            options,
            report,
            withdrawn,
            several: keys.len() > 1,
            keys,
            numbers: HashMap::new(),
            members: BTreeMap::new(),
            merchants: HashMap::new(),
            offers: Offers::default(),
            budgets: HashMap::new(),
            marks: HashMap::new(),
            requests: HashMap::new(),
            letters: HashSet::new(),
            cases: BTreeMap::new(),
            rules: BTreeMap::new(),
            sums: BTreeMap::new(),
        }
    }

    /// Takes the next record.
    pub(super) fn take(&mut self, place: Place, record: Record) {
        let Envelope { process, partition, number, epoch, .. } = record.envelope;
        let name = Name { place, process, partition, number };
        let fresh = self.numbers.entry((process, partition)).or_default().insert(number);
        self.report.look(Named::Numbers, fresh && number > 0, || format!("{name}: the number was used before"));
        if self.withdrawn.contains(&(process, partition, number)) {
            self.report.totals.withdrawn += 1;
            return;
        }
        self.report.totals.records += 1;
        if epoch == 0 {
            self.report.differ(Named::MemberChain, || format!("{name}: epochs begin with 1"));
        }
        let at = record.envelope.at;
        match record.body {
            Body::Member { .. } => self.member(place, record),
            Body::Merchant { merchant, .. } => {
                self.report.totals.merchants += u64::from(!self.merchants.contains_key(&merchant.id));
                let known = self.merchants.entry(merchant.id.clone()).or_default();
                let (before, version) = (*known, record.envelope.version);
                *known = version;
                self.report.look(Named::Documents, Some(version) == before.checked_add(1), || {
                    format!("{name}: merchant {} has version {version} after {before}", merchant.id)
                });
            }
            Body::Offer { offer, .. } => self.offer(name, at, record.envelope.version, *offer),
            Body::DeadLetter(letter) => drop(self.letters.insert(letter.id)),
            Body::DeadLetterSettled { id, .. } => drop(self.letters.remove(&id)),
            Body::DayMarked { mark } => {
                let known = self.marks.entry(partition).or_default();
                *known = mark.max(*known);
            }
            Body::Withdrawn { .. } => {}
            Body::Adopted { .. } => self.several = true,
            Body::Case(case) => self.case(name, record.envelope.version, *case),
            Body::DetectorWithdrawn(_) => {}
            Body::Rule(rule) => self.rule(name, record.envelope.version, *rule),
        }
    }

    fn offer(&mut self, name: Name, at: Timestamp, version: u64, offer: Offer) {
        if offer.versions.is_empty() {
            self.report.look(Named::Documents, false, || format!("{name}: offer {} without a version", offer.id));
            return;
        }
        let known = self.offers.find(offer.merchant(), &offer.id);
        let grows = known.is_none_or(|known| {
            offer.versions.starts_with(&known.versions) && known.life.iter().all(|step| offer.life.contains(step))
        });
        let budget = self.budgets.entry(offer.id.clone()).or_default();
        let follows = Some(version) == budget.document.checked_add(1);
        self.report.totals.offers += u64::from(budget.document == 0);
        budget.document = version;
        let numbered = offer.versions.iter().zip(1..).all(|(v, number)| v.version == number && v.offer == offer.id);
        let one = offer.versions.iter().all(|v| &v.terms.merchant == offer.merchant());
        self.report.look(Named::Documents, grows && follows && numbered && one, || {
            format!("{name}: offer {} does not continue what it was", offer.id)
        });
        let published = offer.life.iter().filter_map(|step| match step.change {
            LifeChange::Published(number) => Some(number),
            _ => None,
        });
        if let Some(newest) = published.max().and_then(|number| offer.versions.iter().find(|v| v.version == number)) {
            budget.whole.say(at, newest.terms.budget_minor);
            budget.of_day.say(at, newest.terms.daily_budget_minor);
        }
        self.offers.put(offer);
    }

    fn member(&mut self, place: Place, record: Record) {
        let Body::Member { member: id, .. } = &record.body else { return };
        let id = id.clone();
        let Some(mut member) = self.members.remove(&id).or_else(|| Some(Member::new(id.clone(), &record.envelope)))
        else {
            return;
        };
        let version = record.envelope.version;
        if self.several && Some(version) != member.head.version.checked_add(1) && !member.waiting.contains_key(&version)
        {
            member.waiting.insert(version, (place, record));
        } else {
            self.apply(&mut member, place, record);
        }
        while let Some(next) = member.head.version.checked_add(1).and_then(|next| member.waiting.remove(&next)) {
            self.apply(&mut member, next.0, next.1);
        }
        self.members.insert(id, member);
    }

    fn apply(&mut self, member: &mut Member, place: Place, record: Record) {
        let Record { envelope, body: Body::Member { input, changes, .. } } = record else { return };
        let Envelope { process, partition, number, .. } = envelope;
        let name = Name { place, process, partition, number };
        let id = member.head.id.clone();
        let follows = envelope.previous == member.last
            && Some(envelope.version) == member.head.version.checked_add(1)
            && partition == member.partition
            && envelope.epoch >= member.epoch
            && envelope.mark >= member.mark;
        self.report.look(Named::MemberChain, follows, || {
            let (has, last) = (member.head.version, member.last.map(|last| last.number));
            format!(
                "{name}: member {id} version {} after {:?} does not follow version {has}, record {last:?}",
                envelope.version,
                envelope.previous.map(|previous| previous.number)
            )
        });
        if let Some(request) = &envelope.request {
            let known = self.requests.insert(request.key, (request.at, request.forever));
            let again = known
                .is_some_and(|(at, forever)| forever || request.at.as_ms().saturating_sub(at.as_ms()) < REQUEST_MS);
            self.report.look(Named::RequestKeys, !again, || format!("{name}: member {id}: request answered twice"));
        }
        let mut moved: Vec<(Unit, AccountKind)> = Vec::new();
        if let MemberInput::Redeemed(redemption) = input.as_ref() {
            self.exchange(member, name, &envelope, redemption, &changes);
        }
        self.input(member, name, &envelope, *input, &mut moved);
        for change in &changes {
            self.change(member, name, &envelope, change, &mut moved);
        }
        member.records.insert(number);
        member.epoch = envelope.epoch;
        member.mark = envelope.mark.max(member.mark);
        member.last = Some(RecordRef { process, number });
        member.head.version = envelope.version;
        self.after(member, name, &mut moved);
    }

    /// What must hold after every record.
    fn after(&mut self, member: &Member, name: Name, moved: &mut Vec<(Unit, AccountKind)>) {
        moved.sort_unstable();
        moved.dedup();
        for (unit, kind) in moved.iter() {
            let Some(minor) = member.balances.get(&(*unit, *kind)) else { continue };
            let sound = if *kind == AccountKind::MemberOwed { *minor <= 0 } else { *minor >= 0 };
            self.report.look(Named::MemberBalances, sound, || {
                let id = &member.head.id;
                format!("{name}: member {id}: {} stands at {minor} {unit}", kind.as_str())
            });
        }
        moved.dedup_by_key(|(unit, _)| *unit);
        self.report.examined(Named::DebitEqualsCredit, 1);
        for (unit, _) in moved.iter() {
            let of = AccountKind::ALL.iter().filter_map(|kind| self.sums.get(&(*unit, *kind)));
            let (debit, credit) =
                of.fold((0_i128, 0_i128), |(d, c), (debit, credit)| (d + i128::from(*debit), c + i128::from(*credit)));
            let resting =
                self.sums.get(&(*unit, AccountKind::PayOut)).map_or(0, |(debit, credit)| credit.saturating_sub(*debit));
            if debit != credit || resting != 0 {
                self.report.differ(Named::DebitEqualsCredit, || {
                    format!("{name}: {unit}: debit {debit}, credit {credit}, {resting} rests in pay_out")
                });
            }
        }
    }

    fn post(
        &mut self,
        member: &mut Member,
        unit: Unit,
        debit: AccountKind,
        credit: AccountKind,
        minor: i64,
        moved: &mut Vec<(Unit, AccountKind)>,
    ) {
        add(&mut self.sums.entry((unit, debit)).or_default().0, minor);
        add(&mut self.sums.entry((unit, credit)).or_default().1, minor);
        for (kind, by) in [(debit, minor.saturating_neg()), (credit, minor)] {
            moved.push((unit, kind));
            let of_member = matches!(
                kind,
                AccountKind::MemberPending
                    | AccountKind::MemberPosted
                    | AccountKind::MemberHeld
                    | AccountKind::MemberAvailable
                    | AccountKind::MemberPaid
                    | AccountKind::MemberOwed
            );
            if of_member {
                add(member.balances.entry((unit, kind)).or_default(), by);
            }
        }
    }

    fn input(
        &mut self,
        member: &mut Member,
        name: Name,
        envelope: &Envelope,
        input: MemberInput,
        moved: &mut Vec<(Unit, AccountKind)>,
    ) {
        match input {
            MemberInput::Registered { joined_at, referred_by, profile, .. } => {
                member.head.joined_at = joined_at;
                let changed = match (&member.head.referred_by, &referred_by) {
                    (Some((known, _)), Some((by, _))) => known != by,
                    (known, by) => known.is_some() || by.is_some(),
                };
                if changed {
                    member.head.referrer.clear();
                    member.head.qualified.clear();
                }
                member.head.referred_by = referred_by;
                if let Some(step) = profile {
                    self.open_profile(member, name, &step);
                }
            }
            MemberInput::CardLinked { link, replaces } => {
                if let Some(old) = replaces {
                    member.end_card(old, link.from);
                }
                member.head.cards.push(link);
            }
            MemberInput::CardUnlinked { card, at } => member.end_card(card, at),
            MemberInput::Activated(step) => member.head.activations.push(step),
            MemberInput::Event(input) => {
                self.report.totals.events += 1;
                let mut event = input.event;
                let identity = [&event.card.0[..], event.key.as_str().as_bytes()].concat();
                let fresh = member.identities.insert(xxhash_rust::xxh3::xxh3_128(&identity));
                self.report.look(Named::Identities, fresh, || {
                    format!("{name}: member {}: event {} of this card came before", member.head.id, event.key)
                });
                // Facts are a set.
                if fresh {
                    event.answer = Vec::new();
                    event.matched = None;
                    member.events.push((input.purchase, event, input.matched));
                }
            }
            MemberInput::TimePassed { sealed, totals, forget_before, qualified } => {
                let retention = i64::from(self.options.retention_days) * DAY_MS;
                if forget_before.as_ms() > envelope.mark.as_ms().saturating_sub(retention) {
                    self.report.differ(Named::Sealing, || format!("{name}: forgets what may still be delivered"));
                }
                if !sealed.is_empty() {
                    self.seal(member, name, envelope.mark, &sealed, &totals);
                }
                member.head.qualified.extend(qualified);
            }
            MemberInput::Rematched(rematch) => {
                let is_it = |(purchase, event, _): &&mut (PurchaseKey, HeldEvent, Option<Matched>)| {
                    *purchase == rematch.purchase && event.key == rematch.event && event.card == rematch.card
                };
                // Of several words about one event's shop the last counts.
                let held = member.events.iter_mut().find(is_it);
                self.report.look(Named::Identities, held.is_some(), || {
                    format!("{name}: member {}: event {} moves and was never held", member.head.id, rematch.event)
                });
                if let Some((_, event, matched)) = held {
                    *matched = rematch.matched;
                    event.occurred_at = rematch.occurred_at;
                }
            }
            MemberInput::DecidedAgain => {}
            MemberInput::Signalled(signal) => {
                if signal.entry {
                    let occasion = Occasion::Signal { kind: signal.kind, offer: signal.offer, at: signal.at };
                    let known = member.occasions.insert(entry_key(SIGNAL, signal.id), occasion);
                    self.report.look(Named::Identities, known.is_none(), || {
                        format!("{name}: member {}: a signal came before", member.head.id)
                    });
                }
            }
            MemberInput::ReferralTold(told) => {
                let key = crate::decide::referral::key(&told.offer, &told.referred);
                let newer = match member.occasions.get(&key) {
                    Some(Occasion::Referral(held)) => held.version < told.version,
                    held => held.is_none(),
                };
                self.report.look(Named::Identities, newer, || {
                    format!("{name}: member {}: {key} was told as new or newer before", member.head.id)
                });
                if newer {
                    member.occasions.insert(key, Occasion::Referral(told));
                }
            }
            MemberInput::ReferrerTold(told) => {
                member.head.referrer.retain(|known| known.offer != told.offer || known.version > told.version);
                if !member.head.referrer.iter().any(|known| known.offer == told.offer) {
                    member.head.referrer.push(told);
                }
            }
            MemberInput::StandingSet(step) => {
                self.cause(name, member, envelope, &step);
                member.head.standings.push(step);
            }
            MemberInput::Screened { through } => member.head.screened = through.max(member.head.screened),
            MemberInput::Redeemed(redemption) => self.redeem(member, name, envelope.at, &redemption, moved),
            MemberInput::Erased { .. } => {
                member.head.erased = true;
                // What was given by what is gone stands, and cannot be decided again.
                member.closed |= !member.profiles.is_empty();
                member.profiles.clear();
            }
        }
    }

    fn open_profile(&mut self, member: &mut Member, name: Name, step: &SealedProfile) {
        let keys = self.keys.get(name.place.journal).and_then(Option::as_ref);
        let opened = keys.map(|keys| keys.open(&step.sealed, member.partition, &member.head.id));
        let profile = match &opened {
            Some(Opened::Plain(plain)) => crate::record::decode(plain).map_err(|_| "it is not a profile"),
            // Of a person who was erased since; or there is no file of keys, which is said.
            Some(Opened::Erased) | None => {
                member.closed = true;
                self.report.totals.profiles_closed += 1;
                return;
            }
            Some(Opened::Broken(why)) => Err(*why),
        };
        member.closed |= profile.is_err();
        self.report.look(Named::Profiles, profile.is_ok(), || {
            let why = profile.as_ref().err().copied().unwrap_or_default();
            format!("{name}: member {}: the profile does not open: {why}", member.head.id)
        });
        if let Ok(profile) = profile {
            put_profile(&mut member.profiles, ProfileStep { at: step.at, profile });
        }
    }

    fn transfer(&mut self, name: Name, member: &Member, debit: AccountKind, credit: AccountKind, minor: i64) {
        self.report.look(Named::Transfers, debit != credit && minor > 0, || {
            format!("{name}: member {}: {minor} from {} to {}", member.head.id, debit.as_str(), credit.as_str())
        });
    }

    fn change(
        &mut self,
        member: &mut Member,
        name: Name,
        envelope: &Envelope,
        change: &GrantChange,
        moved: &mut Vec<(Unit, AccountKind)>,
    ) {
        let GrantChange { purchase, grant, transfers } = change;
        let known = member.holding(purchase, &grant.offer).map(|holding| holding.grant.clone());
        for legs in transfers {
            self.transfer(name, member, legs.debit, legs.credit, legs.minor);
            if let Some(corrected) = legs.corrects {
                let earlier = known.as_ref().is_some_and(|known| known.record == corrected);
                self.report.look(Named::Corrections, earlier && member.records.contains(&corrected), || {
                    format!(
                        "{name}: purchase {purchase} offer {}: corrects {corrected}, which did not change it",
                        grant.offer
                    )
                });
            }
            self.post(member, grant.unit, legs.debit, legs.credit, legs.minor, moved);
        }
        if let Some(known) = known.as_ref().filter(|known| known.unit != grant.unit || known.merchant != grant.merchant)
        {
            self.report.differ(Named::Transfers, || {
                format!(
                    "{name}: purchase {purchase} offer {}: from {} of {} to {} of {} without moving it",
                    grant.offer, known.unit, known.merchant, grant.unit, grant.merchant
                )
            });
        }
        self.screened(name, member, envelope, known.as_ref(), grant);
        self.raise(name, envelope.at, known.as_ref().map_or(0, |known| known.amount_minor), grant);
        // What points brought is said once, with the spending; later it can only expire.
        let over = grant.expires_at.is_some_and(|at| at <= envelope.mark);
        let as_it_may = match &known {
            None => !member.holdings.contains_key(purchase),
            Some(known) => over && grant.amount_minor == known.used_minor,
        };
        let exchanged = as_it_may && member.exchanges.contains_key(purchase);
        let told = member.events.iter().rev().any(|(key, _, _)| key == purchase);
        let event_there = exchanged || told || member.occasions.contains_key(purchase);
        let used = known.as_ref().map_or(0, |known| known.used_minor);
        let list = member.holdings.entry(purchase.clone()).or_default();
        let place = list.iter().position(|holding| holding.grant.offer == grant.offer).unwrap_or_else(|| {
            list.push(Holding { grant: grant.clone(), accounts: [0; AccountKind::ALL.len()], causes: BTreeMap::new() });
            list.len() - 1
        });
        let holding = &mut list[place];
        for legs in transfers {
            for (kind, by) in [(legs.debit, legs.minor.saturating_neg()), (legs.credit, legs.minor)] {
                add(&mut holding.accounts[kind as usize], by);
                if let (AccountKind::CausePending | AccountKind::CauseDue, Some(cause)) = (kind, legs.cause) {
                    add(holding.causes.entry(cause).or_default(), by);
                }
            }
        }
        holding.grant = Grant { used_minor: used, ..grant.clone() };
        let (say, holds) = (said(&holding.grant), holding.accounts);
        let sane =
            event_there && grant.amount_minor >= 0 && grant.record == envelope.number && grant.used_minor == used;
        let sane = sane && of_its_cause(holding);
        self.report.look(Named::RewardAccounts, sane && holds == say, || {
            let why = if holds == say { "its own fields contradict the books".to_owned() } else { apart(&say, &holds) };
            format!("{name}: purchase {purchase} offer {}: {why}", grant.offer)
        });
    }

    fn raise(&mut self, name: Name, at: Timestamp, had: i64, grant: &Grant) {
        let version = self.offers.find(&grant.merchant, &grant.offer).and_then(|offer| offer.version(grant.version));
        let budgeted = version.is_some_and(|version| due::has_budget(&version.terms));
        if version.is_none() && grant.amount_minor > 0 {
            self.report.differ(Named::Budgets, || {
                format!("{name}: offer {} version {} was not there to give anything", grant.offer, grant.version)
            });
        }
        let budget = self.budgets.entry(grant.offer.clone()).or_default();
        let by = grant.amount_minor.saturating_sub(had);
        add(&mut budget.granted, by);
        if by <= 0 {
            return;
        }
        if !budgeted {
            add(&mut budget.free, by);
            return;
        }
        let raised = budget.raised.entry(at.as_ms().div_euclid(DAY_MS)).or_default();
        add(raised, by);
        let (of_day, most_of_day) = (*raised, budget.of_day.most(at));
        self.report.look(Named::Budgets, of_day <= most_of_day, || {
            format!("{name}: offer {} has given {of_day} of {most_of_day} {} in a day", grant.offer, grant.unit)
        });
        let (counted, most) = (budget.granted.saturating_sub(budget.free), budget.whole.most(at));
        self.report.look(Named::Budgets, counted <= most, || {
            format!("{name}: offer {} has given {counted} of a budget of {most} {}", grant.offer, grant.unit)
        });
    }

    /// Checks that sealed purchases were due what they got and were final, and moves them
    /// into totals of our own.
    fn seal(
        &mut self,
        member: &mut Member,
        name: Name,
        mark: Timestamp,
        sealed: &[PurchaseKey],
        totals: &[SealedTotal],
    ) {
        due::check(self.report, member, &self.offers, self.options, mark, Some(sealed));
        let state = due::state(member, None);
        let mut worths: Vec<(MerchantId, Unit, i64, Timestamp)> = Vec::new();
        let mut months: BTreeMap<PurchaseKey, i32> = BTreeMap::new();
        let assigned = crate::decide::assign(&state, None, mark, &self.options.policy.lapse);
        let places = state.purchases.iter().enumerate();
        for (place, placed) in places.filter(|(_, placed)| sealed.contains(&placed.purchase.key)) {
            let date = due::local_date(&placed.purchase, placed.time, placed.merchant.as_ref());
            months.insert(placed.purchase.key.clone(), i32::from(date.year()) * 12 + i32::from(date.month()) - 1);
            let worth = crate::decide::worth(&placed.purchase, mark, &self.options.policy.lapse);
            let worth = worth.less(assigned.taken(place));
            if let (Some(merchant), Some(currency)) = (&placed.merchant, worth.currency) {
                worths.push((merchant.clone(), Unit::Money(currency), worth.minor, placed.time));
            }
        }
        let mut touched: BTreeSet<(MerchantId, Unit)> = BTreeSet::new();
        for (merchant, unit, minor, time) in worths {
            let total = total_of(&mut member.head.sealed, &merchant, unit);
            if minor > 0 {
                total.purchases += 1;
                add(&mut total.worth_minor, minor);
                total.last_at = total.last_at.max(Some(time));
            }
            touched.insert((merchant, unit));
        }
        for key in sealed {
            self.report.totals.purchases_sealed += 1;
            let exchange = member.exchanges.remove(key);
            if let Some(exchange) = &exchange {
                let date = exchange.at.local(&jiff::tz::TimeZone::UTC).date();
                months.insert(key.clone(), i32::from(date.year()) * 12 + i32::from(date.month()) - 1);
            }
            let told = member.events.iter().any(|(purchase, _, _)| purchase == key);
            let known = exchange.is_some() || told || member.occasions.remove(key).is_some();
            let holdings = member.holdings.remove(key).unwrap_or_default();
            let last = holdings.iter().all(|Holding { grant, .. }| {
                let at_rest = grant.amount_minor == 0 || (grant.stage == Stage::Available && !grant.held);
                let expires = grant.expires_at.is_some() && grant.used_minor < grant.amount_minor;
                at_rest && !expires && (grant.used_minor <= grant.amount_minor || grant.lost)
            });
            self.report.look(Named::Sealing, known && last, || {
                format!("{name}: member {}: purchase {key} was sealed and not final", member.head.id)
            });
            let says = |grant: &Grant| grant.amount_minor > 0 || grant.kept_minor != 0;
            for Holding { grant, .. } in holdings.into_iter().filter(|holding| says(&holding.grant)) {
                let total = total_of(&mut member.head.sealed, &grant.merchant, grant.unit);
                // What is a cause's is nothing that the member may have.
                let left = grant.amount_minor.saturating_sub(grant.used_minor).max(0);
                add(&mut total.available_minor, if grant.cause.is_none() { left } else { 0 });
                let month = months.get(key).copied().unwrap_or_default();
                match total.offers.iter_mut().find(|used| used.offer == grant.offer && used.month == month) {
                    Some(used) => {
                        used.count += u32::from(grant.amount_minor > 0);
                        add(&mut used.minor, grant.amount_minor);
                        add(&mut used.kept, grant.kept_minor);
                    }
                    None => {
                        let (minor, kept) = (grant.amount_minor, grant.kept_minor);
                        let count = u32::from(minor > 0);
                        total.offers.push(SealedUse { offer: grant.offer.clone(), month, count, minor, kept });
                    }
                }
                touched.insert((grant.merchant, grant.unit));
            }
        }
        touched.extend(totals.iter().map(|total| (total.merchant.clone(), total.unit)));
        for (merchant, unit) in touched {
            let mut ours = total_of(&mut member.head.sealed, &merchant, unit).clone();
            let theirs = totals.iter().find(|total| total.merchant == merchant && total.unit == unit);
            let same = theirs.is_some_and(|theirs| {
                let mut theirs = theirs.clone();
                theirs.offers.sort();
                ours.offers.sort();
                theirs == ours
            });
            if !same {
                self.report.differ(Named::Sealing, || {
                    format!("{name}: member {}: totals at {merchant} in {unit} are not what was sealed", member.head.id)
                });
            }
        }
        member.events.retain(|(purchase, _, _)| !sealed.contains(purchase));
    }

    /// Decides every member again and sums up.
    pub(super) fn close(self) {
        let Self { options, report, mut members, offers, marks, sums, letters, .. } = self;
        let mut rewards: BTreeMap<(Unit, u8, &'static str), (u64, i64)> = BTreeMap::new();
        report.totals.dead_letters = letters.len() as u64;
        report.totals.members = members.len() as u64;
        for member in members.values_mut() {
            for (version, (place, _)) in &member.waiting {
                report.differ(Named::MemberChain, || {
                    let (id, at) = (&member.head.id, place.at);
                    format!(
                        "member {id}: version {version} (journal {} {at}) follows nothing that is there",
                        place.journal
                    )
                });
            }
            let mark = marks.get(&member.partition).copied().unwrap_or_default().max(member.mark);
            report.totals.purchases += due::check(report, member, &offers, options, mark, None);
            for Holding { grant, .. } in member.holdings.values().flatten().filter(|h| h.grant.amount_minor > 0) {
                let (order, state) = match (grant.cause.is_some(), grant.held, grant.stage) {
                    (true, false, Stage::Available) => (8, "cause_due"),
                    (true, _, _) => (7, "cause_pending"),
                    (false, true, _) => (3, "held"),
                    (false, false, Stage::Pending) => (0, "pending"),
                    (false, false, Stage::Posted) => (1, "posted"),
                    (false, false, Stage::Available) => (2, "available"),
                };
                let line = rewards.entry((grant.unit, order, state)).or_default();
                line.0 += 1;
                add(&mut line.1, grant.amount_minor.saturating_sub(grant.used_minor).max(0));
            }
            for total in member.head.sealed.iter().filter(|total| total.available_minor != 0) {
                add(&mut rewards.entry((total.unit, 4, "sealed")).or_default().1, total.available_minor);
            }
        }
        if report.totals.not_decided > 0 {
            let note = format!(
                "{} times a member's rewards were not decided again, because {} profiles do not open: their person was \
                 erased later, or no member.keys is beside the journal",
                report.totals.not_decided, report.totals.profiles_closed
            );
            report.notes.push(note);
        }
        for ((unit, kind), (debit, credit)) in sums {
            let balance = credit.saturating_sub(debit);
            match kind {
                AccountKind::MemberPaid => add(&mut rewards.entry((unit, 5, "paid")).or_default().1, balance),
                AccountKind::MemberOwed => {
                    add(&mut rewards.entry((unit, 6, "owed")).or_default().1, balance.saturating_neg());
                }
                _ => {}
            }
            let (debit_minor, credit_minor) = (balance.saturating_neg().max(0), balance.max(0));
            report.trial_balance.push(TrialLine { account: kind, unit, debit_minor, credit_minor });
        }
        let line = |((unit, _, state), (rewards, minor))| RewardLine { state, unit, rewards, minor };
        report.totals.rewards = rewards.into_iter().map(line).collect();
    }
}

fn total_of<'a>(totals: &'a mut Vec<SealedTotal>, merchant: &MerchantId, unit: Unit) -> &'a mut SealedTotal {
    let place = totals.iter().position(|t| &t.merchant == merchant && t.unit == unit).unwrap_or_else(|| {
        totals.push(SealedTotal::new(merchant.clone(), unit));
        totals.len() - 1
    });
    &mut totals[place]
}

/// Where accounts and the state of a reward differ, in words.
fn apart(say: &Accounts, holds: &Accounts) -> String {
    let differ = AccountKind::ALL.iter().filter(|kind| say[**kind as usize] != holds[**kind as usize]);
    let each = differ.map(|kind| {
        format!("{} holds {} and should hold {}", kind.as_str(), holds[*kind as usize], say[*kind as usize])
    });
    each.collect::<Vec<_>>().join(", ")
}
