//! What screening keeps of the records, compactly: who said which link, whether it is verified,
//! and what each member did. Members and identifiers are numbers; an identifier is 64 bits of
//! its keyed hash and of its kind (of a hundred million, two are the same by chance once in
//! some thousand networks).
//!
//! Links stand in two lists each: of who said them and of what they lead to. Strong keys (cards,
//! payout accounts, devices) join their members into components as they come.

use crate::domain::member::{LinkFact, Standing};
use crate::domain::{CardHash, MemberId, Timestamp};
use crate::engine::derived::is_derived;
use crate::graph::detectors::Detector;
use crate::graph::network::{Builder, NO_TIME, Network, NetworkFault};
use compact_str::CompactString;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// A member's number.
pub type Who = u32;
/// No number: the end of a list.
const NONE: u32 = u32::MAX;
/// Kinds that are told apart; further words count as `other`.
const KINDS_MAX: usize = 64;
/// Members of a key beyond which it joins nobody: it is a finding by itself.
pub const JOINED_MAX: usize = 64;
/// Members of a component that is rebuilt when a key is taken away; a larger one stays as it is.
const REBUILT_MAX: usize = 4_096;

/// The kinds in the order of their numbers; further ones are learnt.
const WORDS: [&str; 8] = ["referral", "device", "payout", "card", "ip", "address", "phone", "email"];
/// Who referred whom.
pub const REFERRAL: u8 = 0;
/// A card.
pub const CARD: u8 = 3;

/// Whether one key of the kind joins its members.
#[must_use]
pub fn is_strong(kind: u8) -> bool {
    (1..=CARD).contains(&kind)
}

/// A link: `by` said it. Of a referral `to` is who referred them, of any other an identifier.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[repr(C, packed(2))]
pub struct Link {
    /// Who said it.
    pub by: Who,
    /// What it leads to.
    pub to: u32,
    /// Unix seconds.
    pub at: u32,
    next_by: u32,
    next_to: u32,
    /// Its word's number.
    pub kind: u8,
    /// Whether it is verified.
    pub verified: bool,
}

/// What a member did, and where their links begin.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Member {
    /// What was spent, minor units of whatever currency.
    pub spend_minor: i64,
    /// Unix seconds.
    pub joined: u32,
    /// The first purchase's time.
    pub first: u32,
    /// The last purchase's time.
    pub last: u32,
    /// Offers looked at and other signals.
    pub views: u32,
    /// Purchases that were cleared.
    pub purchases: u32,
    /// Of the state that their last record made.
    pub version: u32,
    links: u32,
    /// Referrals that name them as the referrer.
    named: u32,
    parent: u32,
    size: u32,
    /// Offers opted in to.
    pub activations: u16,
    /// Refunds and chargebacks.
    pub refunds: u16,
    /// Redemptions.
    pub redemptions: u16,
    /// Offers opted in to within minutes of their beginning.
    pub early: u8,
    /// The standing for the whole programme.
    pub standing: Standing,
    /// What reviews say: bad, good, or nothing.
    pub known: Option<bool>,
    /// Registered, not only named by others.
    pub registered: bool,
    /// The person was erased.
    pub erased: bool,
}

impl Member {
    /// Nothing done yet: it is counted anew.
    pub fn forget_acts(&mut self) {
        (self.spend_minor, self.first, self.last) = (0, NO_TIME, 0);
        (self.views, self.purchases, self.activations, self.refunds, self.redemptions) = (0, 0, 0, 0, 0);
        self.early = 0;
    }
}

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Resident {
    names: Vec<u8>,
    name_ends: Vec<u32>,
    #[serde(skip)]
    by_name: HashTable<u32>,
    members: Vec<Member>,
    /// Hash of each identifier, and the first of its links.
    identifiers: Vec<u64>,
    of_identifier: Vec<u32>,
    #[serde(skip)]
    by_hash: HashTable<u32>,
    links: Vec<Link>,
    free: Option<u32>,
    link_count: usize,
    kinds: Vec<CompactString>,
    /// Versions of detectors that count for nothing.
    withdrawn: BTreeSet<(CompactString, u32)>,
}

/// Makes room in steps of an eighth: doubling would keep half of a large network empty.
fn push<T>(list: &mut Vec<T>, value: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 16);
    }
    list.push(value);
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_ms() / 1000).unwrap_or(if at.as_ms() < 0 { 0 } else { NO_TIME - 1 })
}

impl Default for Resident {
    fn default() -> Self {
        Self::new()
    }
}

impl Resident {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            names: Vec::new(),
            name_ends: Vec::new(),
            by_name: HashTable::new(),
            members: Vec::new(),
            identifiers: Vec::new(),
            of_identifier: Vec::new(),
            by_hash: HashTable::new(),
            links: Vec::new(),
            free: None,
            link_count: 0,
            kinds: WORDS.iter().map(|&word| word.into()).collect(),
            withdrawn: BTreeSet::new(),
        }
    }

    /// A detector's version counts for nothing from now on.
    pub fn withdraw(&mut self, detector: &str, version: u32) {
        self.withdrawn.insert((detector.into(), version));
    }
    /// Whether a detector counts.
    #[must_use]
    pub fn counts(&self, detector: &Detector) -> bool {
        !self.is_withdrawn(detector.name, detector.version)
    }

    /// Whether a version of whatever gives evidence was withdrawn.
    #[must_use]
    pub fn is_withdrawn(&self, detector: &str, version: u32) -> bool {
        self.withdrawn.contains(&(detector.into(), version))
    }

    /// How many members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
    /// How many links.
    #[must_use]
    pub fn link_count(&self) -> usize {
        self.link_count
    }
    /// Bytes of what is kept of members, and of links.
    #[must_use]
    pub fn bytes(&self) -> (usize, usize) {
        let members = self.names.capacity()
            + self.name_ends.capacity() * size_of::<u32>()
            + self.by_name.allocation_size()
            + self.members.capacity() * size_of::<Member>();
        let links = self.identifiers.capacity() * size_of::<u64>()
            + self.of_identifier.capacity() * size_of::<u32>()
            + self.by_hash.allocation_size()
            + self.links.capacity() * size_of::<Link>();
        (members, links)
    }

    /// Makes what finds members and identifiers, which no snapshot holds.
    pub(super) fn index(&mut self) {
        let names: Vec<u64> = (0..).take(self.members.len()).map(|who| xxh3_64(self.name(who).as_bytes())).collect();
        self.by_name = HashTable::with_capacity(names.len());
        for (who, &hash) in (0..).zip(&names) {
            self.by_name.insert_unique(hash, who, |&who| names[who as usize]);
        }
        self.by_hash = HashTable::with_capacity(self.identifiers.len());
        for (place, &hash) in (0..).zip(&self.identifiers) {
            self.by_hash.insert_unique(hash, place, |&place| self.identifiers[place as usize]);
        }
    }

    /// A member's name.
    #[must_use]
    pub fn name(&self, who: Who) -> &str {
        let end = self.name_ends[who as usize] as usize;
        let begin = if who == 0 { 0 } else { self.name_ends[who as usize - 1] as usize };
        std::str::from_utf8(&self.names[begin..end]).expect("written from text")
    }
    /// A member as others know them.
    ///
    /// # Panics
    /// Never: the names are ids.
    #[must_use]
    pub fn id(&self, who: Who) -> MemberId {
        MemberId::new(self.name(who)).expect("written from an id")
    }
    /// A member's number.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Who> {
        self.by_name.find(xxh3_64(id.as_bytes()), |&who| self.name(who) == id).copied()
    }
    /// What a member did.
    #[must_use]
    pub fn member(&self, who: Who) -> &Member {
        &self.members[who as usize]
    }
    /// To write down what a member did.
    pub fn member_mut(&mut self, who: Who) -> &mut Member {
        &mut self.members[who as usize]
    }
    /// A kind's word.
    #[must_use]
    pub fn word(&self, kind: u8) -> &str {
        &self.kinds[usize::from(kind)]
    }
    /// The number of a kind's word, when anybody said one.
    #[must_use]
    pub fn kind_of(&self, word: &str) -> Option<u8> {
        u8::try_from(self.kinds.iter().position(|known| known == word)?).ok()
    }
    /// An identifier's short name, for pictures: four digits of its hash mean nothing outside of one.
    #[must_use]
    pub fn short_name(&self, kind: u8, to: u32) -> String {
        format!("{}-{:04x}", self.word(kind), self.identifiers[to as usize] & 0xffff)
    }

    /// A member's number, a new one when nobody named them before.
    pub fn enter(&mut self, id: &MemberId) -> Who {
        if let Some(who) = self.find(id.as_str()) {
            return who;
        }
        let who = u32::try_from(self.members.len()).expect("fewer than four billion members");
        for byte in id.as_str().bytes() {
            push(&mut self.names, byte);
        }
        let end = u32::try_from(self.names.len()).expect("four gigabytes of names are more than four hundred million");
        push(&mut self.name_ends, end);
        let member = Member {
            spend_minor: 0,
            joined: NO_TIME,
            first: NO_TIME,
            last: 0,
            views: 0,
            purchases: 0,
            version: 0,
            links: NONE,
            named: NONE,
            parent: who,
            size: 1,
            activations: 0,
            refunds: 0,
            redemptions: 0,
            early: 0,
            standing: Standing::Clear,
            known: None,
            registered: false,
            erased: false,
        };
        push(&mut self.members, member);
        let (names, ends) = (&self.names, &self.name_ends);
        let hash = |who: &u32| {
            let who = *who as usize;
            let begin = if who == 0 { 0 } else { ends[who - 1] as usize };
            xxh3_64(&names[begin..ends[who] as usize])
        };
        self.by_name.insert_unique(xxh3_64(id.as_str().as_bytes()), who, hash);
        who
    }

    fn kind(&mut self, word: &str) -> u8 {
        let place = self.kinds.iter().position(|known| known == word).unwrap_or_else(|| {
            if self.kinds.len() < KINDS_MAX {
                self.kinds.push(word.into());
            }
            self.kinds.len() - 1
        });
        u8::try_from(place).expect("bounded just above")
    }

    fn enter_identifier(&mut self, kind: u8, value: &CardHash) -> u32 {
        let hash = xxh3_64_with_seed(&value.0, u64::from(kind));
        if let Some(&known) = self.by_hash.find(hash, |&place| self.identifiers[place as usize] == hash) {
            return known;
        }
        let place = u32::try_from(self.identifiers.len()).expect("fewer than four billion identifiers");
        push(&mut self.identifiers, hash);
        push(&mut self.of_identifier, NONE);
        let identifiers = &self.identifiers;
        self.by_hash.insert_unique(hash, place, |&place| identifiers[place as usize]);
        place
    }

    /// An identifier that somebody said.
    #[must_use]
    pub fn lookup(&self, word: &str, value: &CardHash) -> Option<u32> {
        let kind = self.kind_of(word)?;
        let hash = xxh3_64_with_seed(&value.0, u64::from(kind));
        self.by_hash.find(hash, |&place| self.identifiers[place as usize] == hash).copied()
    }

    /// Links that a member said.
    pub fn said(&self, by: Who) -> impl Iterator<Item = Link> + '_ {
        self.list(self.members[by as usize].links, |link| link.next_by)
    }
    /// Links that lead to an identifier.
    pub fn of_identifier(&self, to: u32) -> impl Iterator<Item = Link> + '_ {
        self.list(self.of_identifier[to as usize], |link| link.next_to)
    }
    /// Referrals that name a member as the referrer.
    pub fn named(&self, who: Who) -> impl Iterator<Item = Link> + '_ {
        self.list(self.members[who as usize].named, |link| link.next_to)
    }
    /// Who referred a member, by their own word.
    #[must_use]
    pub fn referrer(&self, who: Who) -> Option<Link> {
        self.said(who).find(|link| link.kind == REFERRAL)
    }
    fn list<'a>(&'a self, first: u32, next: impl Fn(&Link) -> u32 + 'a) -> impl Iterator<Item = Link> + 'a {
        let mut at = first;
        std::iter::from_fn(move || {
            let link = *self.links.get(at as usize)?;
            at = next(&link);
            Some(link)
        })
    }

    fn add(&mut self, by: Who, kind: u8, to: u32, at: u32, verified: bool) {
        let place = match self.free {
            Some(place) => place,
            None => u32::try_from(self.links.len()).expect("fewer than four billion links"),
        };
        let head =
            if kind == REFERRAL { &mut self.members[to as usize].named } else { &mut self.of_identifier[to as usize] };
        let next_to = std::mem::replace(head, place);
        let next_by = std::mem::replace(&mut self.members[by as usize].links, place);
        let link = Link { by, to, at, next_by, next_to, kind, verified };
        if self.free.is_some() {
            // The free ones are a list too.
            let after = self.links[place as usize].next_by;
            self.free = (after != NONE).then_some(after);
            self.links[place as usize] = link;
        } else {
            push(&mut self.links, link);
        }
        self.link_count += 1;
        if is_strong(kind) {
            self.join(to);
        }
    }

    fn remove(&mut self, by: Who, kind: u8, to: u32) {
        let is_it = |link: &Link| (link.by, link.kind, link.to) == (by, kind, to);
        let first = self.members[by as usize].links;
        let Some(place) = self.unhook(first, is_it, true, |all, next| all.members[by as usize].links = next) else {
            return;
        };
        let first = if kind == REFERRAL { self.members[to as usize].named } else { self.of_identifier[to as usize] };
        self.unhook(first, is_it, false, |all, next| {
            if kind == REFERRAL {
                all.members[to as usize].named = next;
            } else {
                all.of_identifier[to as usize] = next;
            }
        });
        self.links[place as usize] = Link {
            by: NONE,
            to: NONE,
            at: 0,
            next_by: self.free.unwrap_or(NONE),
            next_to: NONE,
            kind,
            verified: false,
        };
        self.free = Some(place);
        self.link_count -= 1;
    }

    fn unhook(
        &mut self,
        first: u32,
        is_it: impl Fn(&Link) -> bool,
        by: bool,
        head: impl FnOnce(&mut Self, u32),
    ) -> Option<u32> {
        let (mut before, mut at) = (None::<usize>, first);
        while at != NONE {
            let link = self.links[at as usize];
            let next = if by { link.next_by } else { link.next_to };
            if is_it(&link) {
                match before {
                    None => head(self, next),
                    Some(before) if by => self.links[before].next_by = next,
                    Some(before) => self.links[before].next_to = next,
                }
                return Some(at);
            }
            (before, at) = (Some(at as usize), next);
        }
        None
    }

    /// What a member said of themselves, all of it: links that are not said any more go.
    pub fn register(
        &mut self,
        who: Who,
        joined_at: Timestamp,
        referred_by: Option<(&MemberId, Timestamp)>,
        links: &[LinkFact],
    ) {
        let member = &mut self.members[who as usize];
        (member.registered, member.joined) = (true, seconds(joined_at));
        let mut wanted: Vec<(u8, u32, u32, bool)> = Vec::with_capacity(links.len() + 1);
        if let Some((by, at)) = referred_by {
            let by = self.enter(by);
            wanted.push((REFERRAL, by, seconds(at), false));
        }
        for link in links {
            let kind = self.kind(&link.kind);
            let to = self.enter_identifier(kind, &link.value);
            wanted.push((kind, to, seconds(link.at), link.verified));
        }
        let same = |link: &Link, one: &(u8, u32, u32, bool)| (link.kind, link.to, link.at, link.verified) == *one;
        // Cards are linked apart.
        let gone: Vec<Link> =
            self.said(who).filter(|link| link.kind != CARD && !wanted.iter().any(|one| same(link, one))).collect();
        let new: Vec<_> = wanted.iter().filter(|one| !self.said(who).any(|link| same(&link, one))).copied().collect();
        let breaks = gone
            .iter()
            .any(|link| is_strong(link.kind) && !new.iter().any(|(kind, to, ..)| (*kind, *to) == (link.kind, link.to)));
        let component = if breaks { self.component(who, REBUILT_MAX) } else { Vec::new() };
        for link in gone {
            self.remove(who, link.kind, link.to);
        }
        for (kind, to, at, verified) in new {
            self.add(who, kind, to, at, verified);
        }
        self.rebuild(&component);
    }

    /// A member holds a card: verified by the link itself.
    pub fn card(&mut self, who: Who, card: &CardHash, at: Timestamp) {
        let to = self.enter_identifier(CARD, card);
        if !self.said(who).any(|link| (link.kind, link.to) == (CARD, to)) {
            self.add(who, CARD, to, seconds(at), true);
        }
    }

    /// The person is gone: what they said goes, what they did stays.
    pub fn erase(&mut self, who: Who) {
        let component = self.component(who, REBUILT_MAX);
        let links: Vec<Link> = self.said(who).collect();
        for link in links {
            self.remove(who, link.kind, link.to);
        }
        self.members[who as usize].erased = true;
        self.rebuild(&component);
    }

    /// Joins the members of a strong key, unless they are so many that it is a finding.
    fn join(&mut self, to: u32) {
        let around: Vec<Who> = self.of_identifier(to).map(|link| link.by).take(JOINED_MAX + 1).collect();
        if around.len() > JOINED_MAX {
            return;
        }
        for pair in around.windows(2) {
            self.union(pair[0], pair[1]);
        }
    }

    /// The component's first member, by which it is known.
    #[must_use]
    pub fn root(&self, who: Who) -> Who {
        let mut at = who;
        while self.members[at as usize].parent != at {
            at = self.members[at as usize].parent;
        }
        at
    }

    /// Members of a member's component.
    #[must_use]
    pub fn component_size(&self, who: Who) -> u32 {
        self.members[self.root(who) as usize].size
    }

    fn union(&mut self, a: Who, b: Who) {
        let (mut a, mut b) = (self.root(a), self.root(b));
        if a == b {
            return;
        }
        if self.members[a as usize].size < self.members[b as usize].size {
            std::mem::swap(&mut a, &mut b);
        }
        // By size: the way to a root is never longer than the logarithm of the component.
        self.members[b as usize].parent = a;
        self.members[a as usize].size += self.members[b as usize].size;
    }

    fn rebuild(&mut self, component: &[Who]) {
        // A larger one was not seen whole: it stays joined until the next start.
        if component.len() >= REBUILT_MAX {
            return;
        }
        for &who in component {
            let member = &mut self.members[who as usize];
            (member.parent, member.size) = (who, 1);
        }
        let mut keys: Vec<u32> = component
            .iter()
            .flat_map(|&who| self.said(who).filter(|link| is_strong(link.kind)).map(|link| link.to).collect::<Vec<_>>())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            self.join(key);
        }
    }

    /// Members joined by strong keys, the asked one first; at most so many.
    #[must_use]
    pub fn component(&self, who: Who, most: usize) -> Vec<Who> {
        let mut found = vec![who];
        let mut seen: hashbrown::HashSet<Who> = [who].into_iter().collect();
        let mut next = 0;
        while next < found.len() && found.len() < most {
            let at = found[next];
            next += 1;
            for key in self.said(at).filter(|link| is_strong(link.kind)) {
                let around: Vec<Who> = self.of_identifier(key.to).map(|link| link.by).take(JOINED_MAX + 1).collect();
                if around.len() > JOINED_MAX {
                    continue;
                }
                found.extend(around.into_iter().filter(|other| seen.insert(*other)));
            }
        }
        found.truncate(most);
        found
    }

    /// The network as the graph reads it. Who was erased or only named by others and never came
    /// is in it by their links alone. Purchases of those who came a moment ago are not known yet:
    /// nobody is idle on the first day.
    ///
    /// # Errors
    /// When there are more nodes or kinds than the graph numbers.
    pub fn network(&self, now: Timestamp) -> Result<Network, NetworkFault> {
        let mut builder = Builder::new();
        builder.columns(["purchases", "spend_minor", "activations", "views", "redemptions", "refunds"]);
        let young = seconds(now.plus_ms(-GRACE_MS));
        for who in 0..u32::try_from(self.members.len()).expect("numbered by u32") {
            let member = self.member(who);
            if !member.registered || member.erased {
                continue;
            }
            let joined = (member.joined != NO_TIME).then_some(member.joined);
            let new = member.purchases == 0 && member.joined >= young;
            let bought = |value: f64| if new { f64::NAN } else { value };
            let values = [
                bought(f64::from(member.purchases)),
                bought(member.spend_minor.max(0) as f64),
                f64::from(member.activations),
                f64::from(member.views),
                f64::from(member.redemptions),
                f64::from(member.refunds),
            ];
            builder.member(self.name(who), joined, &values)?;
        }
        for link in self.links.iter().filter(|link| link.by != NONE) {
            let (by, kind, at) = (self.name(link.by), self.word(link.kind), Some(link.at));
            // A domain or a network is a mark of rivals; of everybody else it says nothing.
            if is_derived(kind) {
                continue;
            }
            if link.kind == REFERRAL {
                builder.link(self.name(link.to), by, kind, at, 1.0)?;
            } else {
                builder.link(by, &format!("{:016x}", self.identifiers[link.to as usize]), kind, at, 1.0)?;
            }
        }
        Ok(builder.build())
    }
}

/// Members younger than this who bought nothing are not idle yet.
const GRACE_MS: i64 = 3 * crate::domain::time::DAY_MS;
