//! `town`: honest circles and rings of growing camouflage, day by day through screening as it runs live.
//! How many rings are in a case before their first bonus is paid, and how many honest circles are held.
//!
//! Every range below was written down before the first run and never changed after one; the seeds that are
//! counted come after those that were looked at. Nothing here is a claim about people: it shows what the
//! program does with patterns that somebody thought of.
#![expect(clippy::float_arithmetic, reason = "figures for people")]

use crate::fault::{Fault, fault};
use crate::figures::{float, ratio};
use crate::random::Random;
use crate::screening::{hash, record};
use ringfence::cases::triage::{Automatic, Group, NO_BOUND, TriagePolicy, triage};
use ringfence::cases::{Case, Status};
use ringfence::config::ScreeningSettings;
use ringfence::domain::member::{CardLink, LinkFact};
use ringfence::domain::purchase::HeldEvent;
use ringfence::domain::time::DAY_MS;
use ringfence::domain::{
    CardHash, Channel, Currency, EventKey, EventKind, MemberId, Money, PurchaseId, PurchaseKey, SourceName, Timestamp,
};
use ringfence::follow::feed::Page;
use ringfence::follow::kept::Kept;
use ringfence::follow::pass::pass;
use ringfence::record::{EventInput, MemberInput, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// What to draw.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Towns of each strength of camouflage.
    #[arg(long, default_value_t = 10)]
    towns: u64,
    /// Seed of the first town; those below 1000 were looked at while this was written.
    #[arg(long, default_value_t = 1_000)]
    seed: u64,
    /// Strengths of camouflage, percent.
    #[arg(long, value_delimiter = ',', default_value = "0,25,50,75,100")]
    camouflage: Vec<u64>,
    /// Members of a town who belong to no circle.
    #[arg(long, default_value_t = 2_000)]
    strangers: u64,
    /// Families of a town.
    #[arg(long, default_value_t = 700)]
    families: u64,
}

/// The town is a year old when it is first looked at, and looked at for so many days.
const BEGIN_MS: i64 = 1_760_000_000_000;
const HISTORY_DAYS: u64 = 365;
const WINDOW_DAYS: u64 = 45;
/// Days from a bonus being earned to its being paid.
const HOLD_DAYS: i64 = 14;
const DAY_S: u64 = 86_400;
const MINUTE_S: u64 = 60;

/// Ranges, both ends included, from which every town draws evenly.
const FAMILY: RangeInclusive<u64> = 2..=5;
const OFFICES: u64 = 20;
const OFFICE: RangeInclusive<u64> = 8..=40;
const CAMPUS: RangeInclusive<u64> = 60..=150;
const AMBASSADORS: u64 = 4;
const CIRCLE: RangeInclusive<u64> = 20..=80;
const RINGS: u64 = 8;
const RING: RangeInclusive<u64> = 6..=20;
/// Purchases in a month of an honest member, and their worth in minor units.
const MONTHLY: RangeInclusive<u64> = 1..=6;
const WORTH: RangeInclusive<u64> = 500..=6_000;
/// What a fake account buys to qualify.
const LEAST: RangeInclusive<u64> = 1_000..=1_200;
/// Seconds between two sign-ups of a ring: without camouflage, and with all of it.
const BOLD_GAP: RangeInclusive<u64> = 60..=900;
const SLOW_GAP: RangeInclusive<u64> = 43_200..=259_200;
/// Real purchases of each fake account with all camouflage.
const REAL: u64 = 8;

/// How those of a ring refer each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Star,
    Chain,
    Cycle,
    Tree,
}

const SHAPES: [Shape; 4] = [Shape::Star, Shape::Chain, Shape::Cycle, Shape::Tree];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Family,
    Office,
    Ambassador,
    Ring,
}

/// People who belong together, and when the first bonus of theirs is paid.
struct Circle {
    kind: Kind,
    members: Vec<MemberId>,
    joined: Vec<u64>,
    first_paid: Timestamp,
}

struct Town {
    random: Random,
    records: Vec<(u64, MemberId, MemberInput)>,
    circles: Vec<Circle>,
    people: u64,
    things: u64,
    honest: Vec<MemberId>,
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_ms(BEGIN_MS + i64::try_from(second).unwrap_or(0) * 1_000)
}

impl Town {
    fn draw(args: &Args, seed: u64, camouflage: u64) -> Self {
        let mut town = Self {
            random: Random(seed),
            records: Vec::new(),
            circles: Vec::new(),
            people: 0,
            things: 0,
            honest: Vec::new(),
        };
        let all = (HISTORY_DAYS + WINDOW_DAYS) * DAY_S;
        for _ in 0..args.strangers {
            let joined = town.random.below(all);
            let by = (town.random.below(10) == 0).then(|| town.somebody()).flatten();
            let member = town.joins(joined, by.as_ref(), &[]);
            town.lives(&member, joined);
        }
        for _ in 0..args.families {
            town.family(all);
        }
        for number in 0..=OFFICES {
            town.office(all, number == OFFICES);
        }
        for _ in 0..AMBASSADORS {
            town.ambassador(all);
        }
        for number in 0..RINGS {
            town.ring(SHAPES[usize::try_from(number).unwrap_or(0) % SHAPES.len()], camouflage);
        }
        town.records.sort_by_key(|(second, ..)| *second);
        town
    }

    fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.random.below(range.end() - range.start() + 1)
    }

    /// Between a bold and a hidden way, by the strength of camouflage.
    fn between(&mut self, bold: RangeInclusive<u64>, hidden: RangeInclusive<u64>, camouflage: u64) -> u64 {
        let (bold, hidden) = (self.within(bold), self.within(hidden));
        (bold * (100 - camouflage) + hidden * camouflage) / 100
    }

    fn thing(&mut self) -> u64 {
        self.things += 1;
        self.things
    }

    fn somebody(&mut self) -> Option<MemberId> {
        let count = self.honest.len() as u64;
        (count > 0).then(|| usize::try_from(self.random.below(count)).ok()).flatten().map(|n| self.honest[n].clone())
    }

    /// A member comes, with a device and a card of their own unless others are said.
    fn joins(&mut self, second: u64, by: Option<&MemberId>, said: &[(&str, u64, bool)]) -> MemberId {
        self.people += 1;
        let member = MemberId::new(format!("m{:06}", self.people)).expect("a short id");
        let mut links: Vec<LinkFact> = said
            .iter()
            .map(|&(kind, value, verified)| LinkFact {
                kind: kind.into(),
                value: hash(kind, value),
                verified,
                at: at(second),
            })
            .collect();
        if !said.iter().any(|(kind, ..)| *kind == "device") {
            let own = self.thing();
            links.push(LinkFact { kind: "device".into(), value: hash("device", own), verified: true, at: at(second) });
        }
        let referred_by = by.map(|by| (by.clone(), at(second)));
        let joined = MemberInput::Registered { joined_at: at(second), referred_by, profile: None, links };
        self.records.push((second, member.clone(), joined));
        let link = CardLink {
            source: SourceName::new("net").expect("short"),
            card: hash("card", self.things + (1 << 40)),
            from: at(second),
            to: None,
            group: 0,
            token: None,
        };
        self.things += 1;
        self.records.push((second + 1, member.clone(), MemberInput::CardLinked { link, replaces: None }));
        member
    }

    fn buys(&mut self, member: &MemberId, second: u64, minor: u64) {
        let id = format!("p{}", self.thing());
        let (source, usd) = (SourceName::new("net").expect("short"), Currency::parse("USD").expect("a currency"));
        let event = HeldEvent {
            key: EventKey::new(format!("{id}-c")).expect("short"),
            kind: EventKind::Clearing,
            card: CardHash([0; 16]),
            amount: Some(Money::new(i64::try_from(minor).unwrap_or(0), usd)),
            occurred_at: at(second),
            time_known: true,
            posted_at: at(second),
            mcc: Some(5812),
            channel: Channel::InStore,
            sequence: None,
            matched: None,
            content: 0,
            answer: Vec::new(),
        };
        let purchase = PurchaseKey { source, id: PurchaseId::new(&id).expect("short") };
        let input = MemberInput::Event(Box::new(EventInput { purchase, event, matched: None }));
        self.records.push((second, member.clone(), input));
    }

    /// Buys as people do, from joining to the end.
    fn lives(&mut self, member: &MemberId, joined: u64) {
        self.honest.push(member.clone());
        let monthly = self.within(MONTHLY);
        let mut second = joined;
        loop {
            second += 1 + self.random.below(2 * 30 * DAY_S / monthly);
            if second >= (HISTORY_DAYS + WINDOW_DAYS) * DAY_S {
                return;
            }
            let worth = self.within(WORTH);
            self.buys(member, second, worth);
        }
    }

    fn circle(&mut self, kind: Kind, members: Vec<(MemberId, u64)>, first_paid: Timestamp) {
        let (members, joined) = members.into_iter().unzip();
        self.circles.push(Circle { kind, members, joined, first_paid });
    }

    /// One home; some join in one evening, some over years; most share a device, some an account.
    fn family(&mut self, all: u64) {
        let (size, home) = (self.within(FAMILY), self.thing());
        let (shares_account, referrals) = (self.random.below(10) < 3, self.random.below(10) < 7);
        let apart = [30 * MINUTE_S, 7 * DAY_S, 200 * DAY_S][usize::try_from(self.random.below(3)).unwrap_or(0)];
        let begun = self.random.below(all);
        let mut members: Vec<(MemberId, u64)> = Vec::new();
        for place in 0..size {
            let joined = if place == 0 { begun } else { (begun + self.random.below(apart)).min(all - DAY_S) };
            let mut said = vec![("address", home, true)];
            said.extend((self.random.below(10) < 7).then_some(("device", home, true)));
            said.extend(shares_account.then_some(("payout", home, true)));
            let by = if referrals { members.first().map(|(first, _)| first.clone()) } else { None };
            let member = self.joins(joined, by.as_ref(), &said);
            self.lives(&member, joined);
            members.push((member, joined));
        }
        self.circle(Kind::Family, members, at(all));
    }

    /// One network; half of the offices come in one week, and colleagues refer each other. The last is a campus
    /// in its first fortnight.
    fn office(&mut self, all: u64, is_campus: bool) {
        let (size, network) = (self.within(if is_campus { CAMPUS } else { OFFICE }), self.thing());
        let begun = self.random.below(all - 15 * DAY_S);
        let apart = match (is_campus, self.random.below(2)) {
            (true, _) => 14 * DAY_S,
            (false, 0) => 7 * DAY_S,
            (false, _) => all - begun,
        };
        let mut members: Vec<(MemberId, u64)> = Vec::new();
        for _ in 0..size {
            let joined = begun + self.random.below(apart);
            let before = members.len() as u64;
            let by = (before > 0 && self.random.below(10) < 3).then(|| self.random.below(before));
            let by = by.and_then(|place| members.get(usize::try_from(place).ok()?)).map(|(member, _)| member.clone());
            let member = self.joins(joined, by.as_ref(), &[("ip", network, false)]);
            self.lives(&member, joined);
            members.push((member, joined));
        }
        self.circle(Kind::Office, members, at(all));
    }

    /// Refers many over months, a part of them on one day.
    fn ambassador(&mut self, all: u64) {
        let (size, on_one_day) = (self.within(CIRCLE), self.within(10..=40));
        let begun = self.random.below(all / 2);
        let the_day = begun + self.random.below(all - begun - DAY_S);
        let ambassador = self.joins(begun, None, &[]);
        self.lives(&ambassador, begun);
        let mut members = vec![(ambassador.clone(), begun)];
        for _ in 0..size {
            let is_that_day = self.random.below(100) < on_one_day;
            let joined =
                if is_that_day { the_day + self.random.below(DAY_S) } else { begun + self.random.below(all - begun) };
            let member = self.joins(joined, Some(&ambassador), &[]);
            self.lives(&member, joined);
            members.push((member, joined));
        }
        self.circle(Kind::Ambassador, members, at(all));
    }

    /// Accounts of one hand. Camouflage rotates devices and accounts, slows the sign-ups down, adds real purchases
    /// and hires honest people as referrers.
    fn ring(&mut self, shape: Shape, camouflage: u64) {
        let size = self.within(RING);
        let begun = HISTORY_DAYS * DAY_S + self.random.below(20 * DAY_S);
        let (device, account) = (self.thing(), self.thing());
        // An account to be paid to is harder to come by than a device: with all camouflage one for three.
        let accounts = 1 + (size / 3 - 1) * camouflage / 100;
        let mut members: Vec<(MemberId, u64)> = Vec::new();
        let (mut joined, mut first_bought) = (begun, u64::MAX);
        for place in 0..size {
            if place > 0 {
                joined += self.between(BOLD_GAP, SLOW_GAP, camouflage);
            }
            if joined >= (HISTORY_DAYS + WINDOW_DAYS) * DAY_S {
                break;
            }
            let mut said = vec![("payout", account + ((place % accounts) << 32), true)];
            said.extend((self.random.below(100) >= camouflage).then_some(("device", device, true)));
            let by = match shape {
                _ if members.is_empty() => None,
                _ if self.random.below(200) < camouflage => self.somebody(),
                Shape::Star => members.first().map(|(member, _)| member.clone()),
                Shape::Chain | Shape::Cycle => members.last().map(|(member, _)| member.clone()),
                Shape::Tree => members.get((members.len() - 1) / 2).map(|(member, _)| member.clone()),
            };
            let member = self.joins(joined, by.as_ref(), &said);
            let bought = joined + 600 + self.random.below(DAY_S);
            let least = self.within(LEAST);
            self.buys(&member, bought, least);
            first_bought = first_bought.min(bought);
            for _ in 0..REAL * camouflage / 100 {
                let (later, worth) = (bought + self.random.below(30 * DAY_S), self.within(WORTH));
                self.buys(&member, later, worth);
            }
            members.push((member, joined));
        }
        if shape == Shape::Cycle
            && let (Some((first, _)), Some((last, _))) = (members.first().cloned(), members.last().cloned())
        {
            // The first says afterwards that the last referred them, and the rest as before.
            let mut said =
                self.records.iter().filter(|(_, member, _)| *member == first).map(|(.., input)| input.clone());
            if let Some(MemberInput::Registered { joined_at, profile, links, .. }) = said.next() {
                let referred_by = Some((last, at(joined)));
                let again = MemberInput::Registered { joined_at, referred_by, profile, links };
                self.records.push((joined + 1, first, again));
            }
        }
        self.circle(Kind::Ring, members, at(first_bought).plus_ms(HOLD_DAYS * DAY_MS));
    }
}

/// The cases that one policy makes.
#[derive(Default)]
struct Book {
    cases: BTreeMap<u64, Case>,
    of: BTreeMap<MemberId, BTreeSet<u64>>,
}

impl Book {
    fn enter(&mut self, group: Group, policy: &TriagePolicy, at: Timestamp) {
        let ids: BTreeSet<u64> =
            group.members.iter().filter_map(|suspect| self.of.get(&suspect.member)).flatten().copied().collect();
        let known: Vec<Case> = ids.iter().filter_map(|id| self.cases.get(id).cloned()).collect();
        for case in triage(group, &known, policy, self.cases.len() as u64 + 1, at) {
            for suspect in &case.members {
                self.of.entry(suspect.member.clone()).or_default().insert(case.id);
            }
            self.cases.insert(case.id, case);
        }
    }

    /// Whether one case has at least half of some members.
    fn has_half(&self, members: &[&MemberId]) -> bool {
        let standing = self.cases.values().filter(|case| case.status != Status::Merged);
        let inside = |case: &Case| members.iter().filter(|member| case.suspect(member).is_some()).count();
        standing.into_iter().any(|case| 2 * inside(case) >= members.len())
    }

    fn held(&self) -> BTreeSet<MemberId> {
        self.cases.values().flat_map(|case| &case.acts).flat_map(|act| act.members.iter().cloned()).collect()
    }
}

/// What became of one town.
#[derive(Debug, Clone, Default)]
struct Seen {
    rings: u64,
    in_time: u64,
    /// Rings of which somebody was held in time, by the policy as it is compiled in.
    held_in_time: u64,
    /// Honest circles: all, with half of them in one case, held by the policy, and held without its bound.
    honest: BTreeMap<Kind, [u64; 4]>,
}

/// A town day by day: what comes is looked at as it comes, everybody once a day.
fn live(town: Town) -> Result<Seen, Fault> {
    let settings = ScreeningSettings::default().triage;
    let bounded = TriagePolicy { automatic: Automatic::Hold, ..settings };
    let free = TriagePolicy { act_error_max: NO_BOUND, ..bounded.clone() };
    let (mut kept, mut books) = (Kept::default(), [Book::default(), Book::default()]);
    let mut policies = [bounded.clone(), free.clone()];
    let mut seen = Seen::default();
    let mut waiting: Vec<&Circle> = town.circles.iter().filter(|circle| circle.kind == Kind::Ring).collect();
    waiting.sort_by_key(|circle| std::cmp::Reverse(circle.first_paid));
    let mut records = town.records.into_iter().enumerate().peekable();
    for day in HISTORY_DAYS..=HISTORY_DAYS + WINDOW_DAYS {
        let now = at(day * DAY_S);
        while let Some((number, (second, member, input))) = records.next_if(|(_, (second, ..))| at(*second) < now) {
            let when = at(second);
            while waiting.last().is_some_and(|ring| ring.first_paid <= when) {
                waiting.pop().into_iter().for_each(|ring| seen.paid(ring, &books));
            }
            let record: Record = record(number as u64, when, member, input);
            let taken = kept.take(Page { records: vec![record], ..Page::default() });
            if day > HISTORY_DAYS {
                let mut looked = BTreeSet::new();
                for who in taken.changed {
                    if let Some(group) = kept.look(who, &mut looked, &policies[0], when) {
                        books
                            .iter_mut()
                            .zip(&policies)
                            .for_each(|(book, policy)| book.enter(group.clone(), policy, when));
                    }
                }
            }
        }
        let passed = pass(&kept.resident, &bounded, None, false, now).map_err(|error| fault(error.to_string()))?;
        policies = [bounded.bounded(&passed.controls), free.bounded(&passed.controls)];
        for group in &passed.groups {
            books.iter_mut().zip(&policies).for_each(|(book, policy)| book.enter(group.clone(), policy, now));
        }
        kept.pass(Arc::new(passed));
    }
    waiting.into_iter().for_each(|ring| seen.paid(ring, &books));
    let held = books.each_ref().map(Book::held);
    for circle in town.circles.iter().filter(|circle| circle.kind != Kind::Ring) {
        let of = seen.honest.entry(circle.kind).or_default();
        of[0] += 1;
        of[1] += u64::from(books[0].has_half(&circle.members.iter().collect::<Vec<_>>()));
        for (place, held) in (2..).zip(&held) {
            of[place] += u64::from(circle.members.iter().any(|member| held.contains(member)));
        }
    }
    Ok(seen)
}

impl Seen {
    /// A ring's first bonus is paid now: who of it has come by then is in a case, or is not.
    fn paid(&mut self, ring: &Circle, books: &[Book; 2]) {
        let come: Vec<&MemberId> = ring
            .members
            .iter()
            .zip(&ring.joined)
            .filter(|(_, joined)| at(**joined) < ring.first_paid)
            .map(|(member, _)| member)
            .collect();
        self.rings += 1;
        self.in_time += u64::from(books[0].has_half(&come));
        let held = books[0].held();
        self.held_in_time += u64::from(come.iter().any(|member| held.contains(*member)));
    }
}

/// Draws of towns behind an interval.
const DRAWS: usize = 1_000;

/// A share over all towns, percent, and the interval of 95 of 100 draws of towns: what is of one town stands
/// and falls together.
fn share(towns: &[Seen], count: impl Fn(&Seen) -> (u64, u64)) -> String {
    let of = |places: &mut dyn Iterator<Item = usize>| {
        let (some, all) =
            places.map(|place| count(&towns[place])).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        100.0 * ratio(float(some), float(all.max(1)))
    };
    let mut random = Random(1);
    let towns_count = towns.len() as u64;
    let mut draws: Vec<f64> = (0..DRAWS)
        .map(|_| of(&mut (0..towns.len()).map(|_| usize::try_from(random.below(towns_count)).unwrap_or(0))))
        .collect();
    draws.sort_by(f64::total_cmp);
    let (low, high) = (draws[DRAWS / 40], draws[DRAWS - 1 - DRAWS / 40]);
    let (some, all) = towns.iter().map(&count).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    format!("{:.2} % ({low:.2} to {high:.2}), {some} of {all}", of(&mut (0..towns.len())))
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Fault> {
    for &camouflage in &args.camouflage {
        if camouflage > 100 {
            return Err(fault("--camouflage: strengths are percent, 0 to 100"));
        }
        let mut towns = Vec::new();
        for number in 0..args.towns {
            towns.push(live(Town::draw(args, args.seed + number, camouflage))?);
        }
        println!("camouflage {camouflage} percent, {} towns from seed {}", towns.len(), args.seed);
        println!(
            "  rings in a case before their first bonus is paid: {}",
            share(&towns, |town| (town.in_time, town.rings))
        );
        println!("  rings held by then, as compiled in: {}", share(&towns, |town| (town.held_in_time, town.rings)));
        for (kind, word) in [(Kind::Family, "families"), (Kind::Office, "offices"), (Kind::Ambassador, "ambassadors")] {
            let of = |place: usize| {
                share(&towns, move |town| town.honest.get(&kind).map_or((0, 0), |counts| (counts[place], counts[0])))
            };
            println!("  {word} held: {}; without the bound on honest groups: {}; in a case: {}", of(2), of(3), of(1));
        }
    }
    Ok(())
}
