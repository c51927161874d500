//! What members did that a velocity may count, for as long as the desk's rules want it: bounded, and
//! the same in whatever order it was recorded, from records as from members' states.

use super::resident::Who;
use super::snapshot::pairs;
use crate::cases::rules::{Counted, Fact};
use crate::decide::MemberState;
use crate::domain::purchase::{Grant, HeldEvent};
use crate::domain::{Currency, EventKind, PurchaseKey, Timestamp};
use crate::record::{Body, MemberInput, Record};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// Things kept that members did, in all; of further ones nothing is.
const FACTS_MAX: usize = 2_000_000;
/// Things kept of one member and one kind: the newest.
const PER_MEMBER_MAX: usize = 1_000;

/// Something that a member did.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Done {
    what: Counted,
    /// Told twice, it is the same.
    id: u64,
    /// Unix seconds.
    at: u32,
    /// It counts as one; a further clearing of a purchase has its amount alone.
    is_one: bool,
    amount: Option<(i64, Currency)>,
}

/// See the module.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Acts {
    #[serde(with = "pairs")]
    done: HashMap<Who, Vec<Done>>,
    count: usize,
    /// From when each thing is kept: Unix seconds.
    wanted: BTreeMap<Counted, u32>,
}

impl Acts {
    /// Whether a thing is kept here; others are read from members' links.
    pub(super) fn keeps(what: Counted) -> bool {
        !matches!(what, Counted::SignUps | Counted::Referrals | Counted::Cards)
    }

    /// What is kept from now on, and from when: Unix seconds.
    pub(super) fn want(&mut self, wanted: BTreeMap<Counted, u32>) {
        self.wanted = wanted;
    }

    /// Takes in what a record says that a member did.
    pub(super) fn feed(&mut self, who: Who, record: &Record) {
        if self.wanted.is_empty() {
            return;
        }
        let Body::Member { input, changes, .. } = &record.body else { return };
        match input.as_ref() {
            MemberInput::Activated(step) if step.active => self.keep(who, activated(step.offer.as_str(), step.at)),
            MemberInput::Event(input) => self.keep_event(who, &input.event),
            _ => {}
        }
        for change in changes {
            self.keep_reward(who, &change.purchase, &change.grant);
        }
    }

    /// Takes a member in as the state has them, in place of what was kept.
    pub(super) fn restore(&mut self, who: Who, state: &MemberState) {
        if let Some(done) = self.done.remove(&who) {
            self.count -= done.len();
        }
        if self.wanted.is_empty() {
            return;
        }
        for step in state.head.activations.iter().filter(|step| step.active) {
            self.keep(who, activated(step.offer.as_str(), step.at));
        }
        for placed in &state.purchases {
            for event in &placed.purchase.events {
                self.keep_event(who, event);
            }
            for grant in &placed.purchase.grants {
                self.keep_reward(who, &placed.purchase.key, grant);
            }
        }
    }

    fn keep_event(&mut self, who: Who, event: &HeldEvent) {
        let what = match event.kind {
            EventKind::Clearing => Counted::Purchases,
            EventKind::Refund | EventKind::Chargeback => Counted::Refunds,
            _ => return,
        };
        let id = xxh3_64(&[event.key.as_str().as_bytes(), &event.card.0].concat());
        let first = event.sequence.is_none_or(|sequence| sequence.number <= 1);
        let is_one = first || what == Counted::Refunds;
        let amount = event.amount.map(|amount| (amount.minor, amount.currency));
        self.keep(who, Done { what, id, at: seconds(event.occurred_at), is_one, amount });
    }

    fn keep_reward(&mut self, who: Who, purchase: &PurchaseKey, grant: &Grant) {
        let name = [purchase.source.as_str(), purchase.id.as_str(), grant.offer.as_str()].join("\0");
        let amount = grant.unit.currency().map(|currency| (grant.amount_minor, currency));
        let id = xxh3_64(name.as_bytes());
        let reward = Done { what: Counted::Rewards, id, at: seconds(grant.earned_at), is_one: true, amount };
        if grant.amount_minor > 0 {
            self.keep(who, reward);
        } else if let Some(done) = self.done.get_mut(&who) {
            let before = done.len();
            done.retain(|known| (known.what, known.id) != (reward.what, reward.id));
            self.count -= before - done.len();
        }
    }

    fn keep(&mut self, who: Who, new: Done) {
        if self.wanted.get(&new.what).is_none_or(|since| new.at < *since) {
            return;
        }
        let done = self.done.entry(who).or_default();
        if let Some(known) = done.iter_mut().find(|known| (known.what, known.id) == (new.what, new.id)) {
            *known = new;
            return;
        }
        if done.iter().filter(|known| known.what == new.what).count() >= PER_MEMBER_MAX {
            let oldest =
                (0..done.len()).filter(|place| done[*place].what == new.what).min_by_key(|place| done[*place].at);
            if let Some(place) = oldest {
                done.swap_remove(place);
                self.count -= 1;
            }
        }
        if self.count < FACTS_MAX {
            done.push(new);
            self.count += 1;
        }
    }

    /// Forgets what was before an instant: Unix seconds.
    pub(super) fn forget_before(&mut self, oldest: u32) {
        self.done.retain(|_, done| {
            done.retain(|one| one.at >= oldest);
            !done.is_empty()
        });
        self.count = self.done.values().map(Vec::len).sum();
    }

    /// Whether a member did a thing since an instant.
    pub(super) fn has(&self, who: Who, what: Counted, since: u32) -> bool {
        self.done.get(&who).is_some_and(|done| done.iter().any(|one| one.what == what && one.at >= since))
    }

    /// What a member did, each as one or as its amount in a currency.
    pub(super) fn of(&self, who: Who, what: Counted, sum: Option<Currency>) -> impl Iterator<Item = Fact> {
        let done = self.done.get(&who).into_iter().flatten().filter(move |done| done.what == what);
        done.filter_map(move |done| {
            let adds = match (sum, done.amount) {
                (Some(currency), Some((minor, of))) if currency == of => minor,
                (None, _) if done.is_one => 1,
                _ => return None,
            };
            Some(Fact { at: done.at, adds })
        })
    }
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_ms() / 1000).unwrap_or_default()
}

fn activated(offer: &str, at: Timestamp) -> Done {
    let id = xxh3_64(&[offer.as_bytes(), &at.as_ms().to_le_bytes()].concat());
    Done { what: Counted::Activations, id, at: seconds(at), is_one: true, amount: None }
}
