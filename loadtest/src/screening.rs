//! `screening`: what the follower of screening does with each record as it comes, on a network with
//! skewed degrees: its time, and how long a record would wait at a rate of 25,000 per second on
//! one core; what the network takes in memory; and one pass over everybody.
#![expect(clippy::float_arithmetic, reason = "figures for people")]

use crate::fault::{Fault, fault};
use crate::figures::{float, per_second, ratio};
use crate::random::Random;
use hdrhistogram::Histogram;
use ringfence::commands::network_files::peak_memory_bytes;
use ringfence::config::ScreeningSettings;
use ringfence::domain::member::{ActivationStep, CardLink, LinkFact};
use ringfence::domain::purchase::HeldEvent;
use ringfence::domain::{
    CardHash, Channel, Currency, EventKey, EventKind, MemberId, Money, OfferId, PurchaseId, PurchaseKey, SourceName,
    Timestamp,
};
use ringfence::follow::feed::Page;
use ringfence::follow::kept::Kept;
use ringfence::follow::pass::pass;
use ringfence::follow::resident::Resident;
use ringfence::record::{Body, Envelope, EventInput, MemberInput, Record};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Members of the network.
    #[arg(long, default_value_t = 1_000_000)]
    members: u32,
    /// Links of each, about.
    #[arg(long, default_value_t = 5)]
    links: u32,
    /// Records that come.
    #[arg(long, default_value_t = 500_000)]
    records: u32,
    /// Looks at everybody before they come.
    #[arg(long)]
    pass: bool,
    /// Seed of the network and of what comes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Nanoseconds between two records at 25,000 per second.
const GAP_NS: u64 = 40_000;
/// The network is of one year.
const BEGIN_MS: i64 = 1_760_000_000_000;
const YEAR_S: u64 = 31_536_000;
/// Of a thousand members, those who share devices and payout accounts in farms, and those who share
/// with a family.
const FARMED: u64 = 10;
const FAMILIAR: u64 = 250;
/// Accounts of one farm, and of one family.
const FARM: u64 = 30;
const FAMILY: u64 = 3;
/// Of a thousand records that come: sign-ups, cards linked, offers opted in to; the rest are purchases.
const SIGN_UPS: u64 = 100;
const CARDS: u64 = 100;
const OPT_INS: u64 = 150;
/// Sign-ups of one burst, and of how many one begins it.
const BURST: u32 = 50;
const BURST_ONE_IN: u64 = 500;

/// Draws members and what they say.
struct Town {
    random: Random,
    links: u32,
}

fn member_id(number: u64) -> MemberId {
    MemberId::new(format!("member-{number:09}")).expect("a short id")
}

pub fn hash(kind: &str, value: u64) -> CardHash {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&value.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    let kind = kind.as_bytes().iter().fold(7_u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(u64::from(*byte)));
    bytes[8..].copy_from_slice(&(kind ^ value).to_le_bytes());
    CardHash(bytes)
}

/// What a member says of themselves.
struct Said {
    joined_at: Timestamp,
    referred_by: Option<MemberId>,
    links: Vec<LinkFact>,
}

impl Town {
    /// Who may be referred by anybody before them, by few far more often.
    fn said(&mut self, number: u64, burst: Option<u64>, at: Timestamp) -> Said {
        let drawn = self.random.below(1_000);
        let group = match drawn {
            _ if burst.is_some() => burst.unwrap_or(0),
            drawn if drawn < FARMED => (1 << 40) + number / FARM,
            drawn if drawn < FAMILIAR => (1 << 41) + number / FAMILY,
            _ => (1 << 42) + number,
        };
        let link =
            |kind: &str, value: u64, verified| LinkFact { kind: kind.into(), value: hash(kind, value), verified, at };
        let mut links = vec![link("device", group, true)];
        // The referral and the card are links too.
        for nth in 3..self.links {
            links.push(match nth % 3 {
                0 => link("ip", self.random.skewed(number / 4 + 1), false),
                1 => link("address", group, false),
                _ => link("payout", if drawn < FARMED { group } else { number }, true),
            });
        }
        let by = (number > 0 && self.random.below(2) == 0).then(|| member_id(self.random.skewed(number)));
        Said { joined_at: at, referred_by: by, links }
    }
}

/// A network that grew over a year.
fn network(args: &Args, town: &mut Town) -> Resident {
    let mut resident = Resident::new();
    for number in 0..u64::from(args.members) {
        let second = YEAR_S * number / u64::from(args.members.max(1));
        let at = Timestamp::from_ms(BEGIN_MS + i64::try_from(second).unwrap_or(0) * 1_000);
        let said = town.said(number, None, at);
        let who = resident.enter(&member_id(number));
        resident.register(who, said.joined_at, said.referred_by.as_ref().map(|by| (by, at)), &said.links);
        resident.card(who, &hash("card", number), at);
        resident.member_mut(who).purchases = town.random.below_u32(40);
        resident.member_mut(who).version = 1;
    }
    resident
}

/// What comes, in the order of its time.
fn records(args: &Args, town: &mut Town) -> Vec<Record> {
    let begin = BEGIN_MS + i64::try_from(YEAR_S).unwrap_or(0) * 1_000;
    let (source, usd) = (SourceName::new("net").expect("short"), Currency::parse("USD").expect("a currency"));
    let mut joined = u64::from(args.members);
    let mut burst: Option<(u64, u32)> = None;
    let mut records = Vec::new();
    for number in 0..u64::from(args.records) {
        let at = Timestamp::from_ms(begin + i64::try_from(number / 25).unwrap_or(0));
        let who = member_id(town.random.skewed(joined));
        let drawn = town.random.below(1_000);
        if burst.is_none() && town.random.below(BURST_ONE_IN * 10) == 0 {
            burst = Some(((1 << 43) + number, BURST));
        }
        let (member, input) = if let Some((group, left)) = burst {
            burst = (left > 1).then_some((group, left - 1));
            joined += 1;
            (member_id(joined), registered(town.said(joined, Some(group), at)))
        } else if drawn < SIGN_UPS {
            joined += 1;
            (member_id(joined), registered(town.said(joined, None, at)))
        } else if drawn < SIGN_UPS + CARDS {
            let card = hash("card", (1 << 44) + number);
            let link = CardLink { source: source.clone(), card, from: at, to: None, group: 0, token: None };
            // Buying is skewed, the cards of one person are not.
            (member_id(town.random.below(joined)), MemberInput::CardLinked { link, replaces: None })
        } else if drawn < SIGN_UPS + CARDS + OPT_INS {
            let step = ActivationStep { offer: OfferId::new("five").expect("short"), at, active: true };
            (who, MemberInput::Activated(step))
        } else {
            let id = format!("p{number}");
            let event = HeldEvent {
                key: EventKey::new(format!("{id}-c")).expect("short"),
                kind: EventKind::Clearing,
                card: hash("card", number),
                amount: Some(Money::new(4_250, usd)),
                occurred_at: at,
                time_known: true,
                posted_at: at,
                mcc: Some(5812),
                channel: Channel::InStore,
                sequence: None,
                matched: None,
                content: 0,
                answer: Vec::new(),
            };
            let purchase = PurchaseKey { source: source.clone(), id: PurchaseId::new(&id).expect("short") };
            (who, MemberInput::Event(Box::new(EventInput { purchase, event, matched: None })))
        };
        records.push(record(number, at, member, input));
    }
    records
}

fn registered(said: Said) -> MemberInput {
    let Said { joined_at, referred_by, links } = said;
    let referred_by = referred_by.map(|by| (by, joined_at));
    MemberInput::Registered { joined_at, referred_by, profile: None, links }
}

pub fn record(number: u64, at: Timestamp, member: MemberId, input: MemberInput) -> Record {
    let envelope = Envelope {
        process: 1,
        partition: 0,
        number,
        epoch: 1,
        again: None,
        at,
        previous: None,
        version: 1,
        catalogue: 1,
        mark: Timestamp::default(),
        request: None,
    };
    Record { envelope, body: Body::Member { member, input: Box::new(input), changes: Vec::new() } }
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Fault> {
    let mut town = Town { random: Random(args.seed), links: args.links };
    let begun = Instant::now();
    let resident = network(args, &mut town);
    let built = begun.elapsed();
    let (of_members, of_links) = resident.bytes();
    let (members, links) = (resident.len() as u64, resident.link_count() as u64);
    println!(
        "{members} members, {links} links, {:.0} entered per second; {:.1} bytes a member, {:.1} a link, {:.2} GiB in all",
        per_second(resident.len(), built),
        ratio(float(of_members as u64), float(members)),
        ratio(float(of_links as u64), float(links)),
        float((of_members + of_links) as u64) / float(1 << 30),
    );
    let policy = ScreeningSettings::default().triage;
    let mut kept = Kept::default();
    kept.resident = resident;
    let now = Timestamp::from_ms(BEGIN_MS + i64::try_from(YEAR_S).unwrap_or(0) * 1_000);
    if args.pass {
        let begun = Instant::now();
        let passed = pass(&kept.resident, &policy, None, false, now).map_err(|error| fault(error.to_string()))?;
        let took = begun.elapsed().as_secs_f64();
        println!(
            "a pass: {took:.1} s, {} groups, {} members with anything unusual",
            passed.groups.len(),
            passed.scores.len()
        );
        kept.pass(Arc::new(passed));
    }
    if args.records > 0 {
        come(args, &mut town, &mut kept)?;
    }
    if let Some(peak) = peak_memory_bytes() {
        println!("peak memory of all this: {:.2} GiB", float(peak) / float(1 << 30));
    }
    Ok(())
}

/// Each record by itself, as the follower takes it: what is kept, then a look at whose links changed.
fn come(args: &Args, town: &mut Town, kept: &mut Kept) -> Result<(), Fault> {
    let policy = ScreeningSettings::default().triage;
    let records = records(args, town);
    let count = records.len();
    let (mut took, mut waited) = (histogram()?, histogram()?);
    let (mut free_ns, mut arrives_ns, mut groups) = (0_u64, 0_u64, 0_usize);
    let begun = Instant::now();
    for record in records {
        let at = record.envelope.at;
        let page = Page { records: vec![record], ..Page::default() };
        let began = Instant::now();
        let taken = kept.take(page);
        let mut looked = BTreeSet::new();
        for who in taken.changed {
            groups += usize::from(kept.look(who, &mut looked, &policy, at).is_some());
        }
        let each = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        took.record(each).map_err(|error| fault(error.to_string()))?;
        // What it would have waited for those before it.
        free_ns = free_ns.max(arrives_ns) + each;
        waited.record(free_ns - arrives_ns).map_err(|error| fault(error.to_string()))?;
        arrives_ns += GAP_NS;
    }
    println!("each of {count} records: {}", micros_text(&took));
    println!("at 25,000 per second, waiting included: {}", micros_text(&waited));
    println!("the most per second: {:.0}; {groups} looks found a group", per_second(count, begun.elapsed()));
    Ok(())
}

/// Microseconds at some percentiles.
fn micros_text(times: &Histogram<u64>) -> String {
    let at = |percentile| float(times.value_at_percentile(percentile)) / 1e3;
    let most = float(times.max()) / 1e3;
    format!("p50 {:.1}, p99 {:.1}, p99.9 {:.1}, longest {most:.0} µs", at(50.0), at(99.0), at(99.9))
}

fn histogram() -> Result<Histogram<u64>, Fault> {
    Histogram::new(3).map_err(|error| fault(error.to_string()))
}
