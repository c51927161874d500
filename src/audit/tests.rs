//! Journals made by the real engine are clean; the same journals tampered with, byte by
//! byte or record by record with every frame well formed, fail the check they should.

use super::*;
use crate::clock::Clock;
use crate::decide::GrantChange;
use crate::domain::member::{ActivationStep, Standing, StandingOrigin, StandingStep};
use crate::domain::merchant::{Evidence, Location, Matched, Merchant};
use crate::domain::offer::{Activation, Condition, CountCap, Limits, Period, Reward, Terms};
use crate::domain::purchase::HeldEvent;
use crate::domain::{
    Channel, Currency, EventKey, EventKind, LocationId, MemberId, MerchantId, Money, OfferId, PurchaseId, PurchaseKey,
    SourceName, Timestamp,
};
use crate::engine::acts::{Linking, Registration};
use crate::engine::catalogue::Step;
use crate::engine::redeem::Wanted;
use crate::engine::{Engine, EngineOptions};
use crate::journal::{Journal, disk::RealDisk};
use crate::ledger::{AccountKind, Legs};
use crate::record::{EventInput, LotUse, MemberInput, RequestKey};
use crate::telemetry::Metrics;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

mod cases;
mod points;

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ringfence-audit-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }
    fn audit(&self) -> Report {
        self.audit_with(1)
    }
    fn audit_with(&self, seed: u64) -> Report {
        let options = AuditOptions { seed, ..AuditOptions::new(Policy::default()) };
        audit(&[self.journal()], &options).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}
fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}
fn member(id: &str) -> MemberId {
    MemberId::new(id).unwrap()
}
fn offer(id: &str) -> OfferId {
    OfferId::new(id).unwrap()
}

fn terms(percent: u32) -> Terms {
    Terms::new(MerchantId::new("cafe").unwrap(), "Back", usd(), Reward::percent(percent * 100, None))
        .and(Condition::spend_at_least(100))
}

struct Town {
    folder: Folder,
    engine: Arc<Engine>,
    clock: Clock,
}

impl Town {
    fn new() -> Self {
        let folder = Folder::new();
        let clock = Clock::manual(at("2026-03-01T12:00:00Z"));
        let (engine, _) = Self::start(&folder, &clock);
        Self { folder, engine, clock }
    }
    fn start(folder: &Folder, clock: &Clock) -> (Arc<Engine>, crate::engine::start::Started) {
        let mut options = EngineOptions::new(&folder.0);
        options.partitions = 2;
        options.cache_bytes = 4 << 20;
        options.sightings_days = 0;
        Engine::start(options, Policy::default(), clock.clone(), Arc::new(Metrics::new(&[]))).unwrap()
    }
    async fn shop(&self) {
        let location = Location::new(LocationId::new("main").unwrap());
        let merchant = Merchant {
            id: MerchantId::new("cafe").unwrap(),
            name: "Cafe".into(),
            time_zone: "America/New_York".into(),
            locations: vec![location],
            competitors: Vec::new(),
        };
        self.engine.put_merchant(merchant, None).await.unwrap();
    }
    async fn offer(&self, id: &str, terms: Terms) {
        self.engine.put_offer(&offer(id), terms, None).await.unwrap();
        self.engine.step_offer(&offer(id), Step::Publish, Some(at("2026-01-01T00:00:00Z"))).await.unwrap();
    }
    async fn join(&self, id: &str) {
        self.engine.register(&member(id), Registration::default(), None).await.unwrap();
        let linking = Linking {
            source: SourceName::new("visa").unwrap(),
            token: format!("tok_{id}"),
            from: Some(at("2026-01-01T00:00:00Z")),
            same_card_as: None,
            replaces: None,
        };
        self.engine.link_card(&member(id), linking).await.unwrap();
    }
    async fn step(&self, id: &str, input: MemberInput) {
        let mut turn = self.engine.turn(&member(id)).await.unwrap();
        turn.step(input, None).await.unwrap();
        turn.commit().await.unwrap();
    }
    async fn event(&self, id: &str, purchase: &str, kind: EventKind, minor: i64, when: &str) {
        let source = SourceName::new("visa").unwrap();
        let event = HeldEvent {
            key: EventKey::new(format!("{id}-{purchase}-{}-{minor}-{when}", kind.as_str())).unwrap(),
            kind,
            card: self.engine.card_hash(&source, &format!("tok_{id}")),
            amount: Some(Money::new(minor, usd())),
            occurred_at: at(when),
            time_known: true,
            posted_at: at(when),
            mcc: Some(5814),
            channel: Channel::InStore,
            sequence: None,
            matched: None,
            content: 1,
            answer: Vec::new(),
        };
        let matched = Matched {
            merchant: MerchantId::new("cafe").unwrap(),
            location: LocationId::new("main").unwrap(),
            evidence: Evidence::Mid,
            time_zone: "America/New_York".into(),
            country: None,
        };
        let purchase = PurchaseKey { source, id: PurchaseId::new(format!("{id}-{purchase}")).unwrap() };
        let input = EventInput { purchase, event, matched: Some(matched) };
        self.step(id, MemberInput::Event(Box::new(input))).await;
    }
    async fn pay(&self, id: &str, minor: i64) {
        self.engine
            .redeem(&member(id), "r".into(), Wanted::Of(usd().into(), minor), None, |_| String::new())
            .await
            .unwrap();
    }
    async fn day(&self, day: &str) {
        self.clock.set(at(day));
        self.engine.mark_day(self.clock.now()).await.unwrap();
    }
    fn stop(self) -> Folder {
        self.engine.stop().unwrap();
        self.folder
    }
}

/// One member, one purchase cleared and available, one authorized, one paid out in part.
async fn small() -> Folder {
    let town = Town::new();
    town.shop().await;
    town.offer("five", terms(5)).await;
    town.join("ann").await;
    town.event("ann", "p1", EventKind::Clearing, 4259, "2026-02-20T10:00:00Z").await;
    town.event("ann", "p2", EventKind::Authorization, 2000, "2026-02-28T10:00:00Z").await;
    town.day("2026-03-02T01:00:00Z").await;
    town.pay("ann", 100).await;
    town.event("ann", "p3", EventKind::Authorization, 1000, "2026-03-01T10:00:00Z").await;
    town.stop()
}

/// Everything that can happen to a member, in a few weeks and again after two years.
async fn large() -> Town {
    let town = Town::new();
    town.shop().await;
    let mut capped = terms(5);
    capped.budget_minor = Some(1500);
    capped.limits = Limits {
        per_member: Some(CountCap { count: 3, every: Period::Month }),
        reward_per_member_minor: Some(700),
        ..Limits::default()
    };
    town.offer("five", capped.clone()).await;
    let mut fixed = terms(1);
    fixed.reward = Reward::fixed(50);
    fixed.activation = Activation::Required;
    fixed.hold_days = 3;
    town.offer("fixed", fixed).await;
    for id in ["ann", "bob", "cat", "dan"] {
        town.join(id).await;
    }
    let from = at("2026-01-15T00:00:00Z");
    town.step("ann", MemberInput::Activated(ActivationStep { offer: offer("fixed"), at: from, active: true })).await;
    for (id, spends) in
        [("ann", [4000, 2500, 900]), ("bob", [9000, 8000, 7000]), ("cat", [3000, 99, 5000]), ("dan", [600, 700, 800])]
    {
        for (number, minor) in spends.into_iter().enumerate() {
            let day = format!("2026-02-{:02}T15:00:00Z", 20 + number);
            // The clearing may come before its authorization.
            let (first, second) = if number == 1 {
                (EventKind::Clearing, EventKind::Authorization)
            } else {
                (EventKind::Authorization, EventKind::Clearing)
            };
            town.event(id, &format!("p{number}"), first, minor, &day).await;
            town.event(id, &format!("p{number}"), second, minor, &day).await;
        }
        town.event(id, "open", EventKind::Authorization, 3000, "2026-02-27T23:30:00Z").await;
    }
    for day in ["2026-03-02T01:00:00Z", "2026-03-03T01:00:00Z", "2026-03-05T01:00:00Z"] {
        town.day(day).await;
    }
    town.pay("ann", 150).await;
    town.event("ann", "p0", EventKind::Refund, 4000, "2026-03-04T10:00:00Z").await;
    town.event("ann", "new", EventKind::Clearing, 8000, "2026-03-04T12:00:00Z").await;
    town.day("2026-03-09T01:00:00Z").await;
    town.pay("ann", 10).await;
    let standing = |standing, ask_back| {
        let since = at("2026-02-21T00:00:00Z");
        let set_at = town.clock.now();
        MemberInput::StandingSet(StandingStep {
            merchant: None,
            standing,
            since,
            set_at,
            ask_back,
            until: None,
            origin: StandingOrigin::Said,
        })
    };
    town.step("bob", standing(Standing::Held, false)).await;
    town.pay("cat", 120).await;
    town.step("cat", standing(Standing::Barred, false)).await;
    // A smaller budget takes nothing back; better terms with effect in the past decide again.
    capped.reward = Reward::percent(600, None);
    capped.budget_minor = Some(900);
    town.engine.put_offer(&offer("five"), capped, None).await.unwrap();
    town.engine.step_offer(&offer("five"), Step::Publish, Some(at("2026-02-22T00:00:00Z"))).await.unwrap();
    town.day("2026-03-20T01:00:00Z").await;
    town.engine.erase(&member("dan")).await.unwrap();
    town
}

fn require_clean(report: &Report) {
    assert!(report.is_clean(), "{report}");
}

fn failed(report: &Report) -> Vec<Named> {
    report.checks.iter().filter(|check| check.difference_count > 0).map(|check| check.check).collect()
}

#[tokio::test]
async fn inv_03_inv_04_inv_05_a_whole_life_is_clean() {
    let town = large().await;
    let sums = town.engine.trial_balance().await.unwrap().sums;
    let folder = town.stop();
    let report = folder.audit();
    require_clean(&report);
    // The books' own sums are the audit's.
    for line in &report.trial_balance {
        let theirs = sums.get(&(line.account, line.unit)).copied().unwrap_or(0);
        assert_eq!(theirs, line.credit_minor - line.debit_minor, "{}", line.account.as_str());
    }
    let words: Vec<_> = report.totals.rewards.iter().map(|line| line.state).collect();
    assert!(["available", "held", "paid"].iter().all(|word| words.contains(word)), "{report}");
    for check in [Named::Budgets, Named::Caps, Named::Corrections, Named::PayOuts, Named::GrantedEqualsDue] {
        assert!(report.check(check).examined > 0, "{report}");
    }
    assert_eq!(report.totals.members, 4);
    assert_eq!(serde_json::to_value(&report).unwrap()["checks"].as_array().unwrap().len(), Named::ALL.len());
}

#[tokio::test]
async fn inv_06_two_years_later_sealed_and_replayed_it_is_clean_in_any_order() {
    let town = large().await;
    town.day("2028-01-01T01:00:00Z").await;
    town.pay("ann", 1).await;
    let (folder, clock) = (town.folder, town.clock);
    town.engine.stop().unwrap();
    drop(town.engine);
    std::fs::remove_dir_all(folder.0.join("state")).unwrap();
    let (engine, started) = Town::start(&folder, &clock);
    assert!(started.replayed > 0);
    let sums = engine.trial_balance().await.unwrap().sums;
    engine.stop().unwrap();
    for seed in 0..8 {
        let report = folder.audit_with(seed);
        require_clean(&report);
        assert!(report.totals.purchases_sealed > 0, "{report}");
        for line in &report.trial_balance {
            let theirs = sums.get(&(line.account, line.unit)).copied().unwrap_or(0);
            assert_eq!(theirs, line.credit_minor - line.debit_minor);
        }
    }
}

#[tokio::test]
async fn every_flipped_byte_is_named() {
    let folder = small().await;
    require_clean(&folder.audit());
    let segment = folder.journal().join("0000000000.seg");
    let bytes = std::fs::read(&segment).unwrap();
    for place in (0..bytes.len()).step_by(11) {
        let mut bad = bytes.clone();
        bad[place] ^= 0x10;
        std::fs::write(&segment, &bad).unwrap();
        let report = folder.audit();
        let frames = report.check(Named::Frames);
        assert_eq!(frames.difference_count, 1, "byte {place}: {report}");
        assert!(frames.differences[0].contains("segment 0 offset"), "{report}");
    }
    // A record that vanishes from the end is missed by the mark of the closing.
    std::fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(failed(&folder.audit()), [Named::Frames]);
    // Without it, it is what a crash leaves: nothing that was acknowledged.
    std::fs::remove_file(folder.journal().join("closed.mark")).unwrap();
    let report = folder.audit();
    assert!(report.journals[0].torn_bytes > 0, "{report}");
    assert_eq!(report.check(Named::Frames).difference_count, 0);
}

fn records(dir: &Path) -> (u32, Vec<Record>) {
    let mut frames = Frames::open(dir, None).unwrap();
    let mut records = Vec::new();
    while let Some(frame) = frames.next().unwrap() {
        records.extend(frame.records().map(|bytes| record::decode::<Record>(bytes).unwrap()));
    }
    (frames.process.unwrap(), records)
}

/// A well-formed journal of these records.
async fn write(to: &Path, process: u32, records: &[Record]) {
    let mut options = crate::journal::Options::new(to);
    options.process = Some(process);
    options.segment_bytes_max = 512;
    let (journal, _) =
        Journal::open(Arc::new(RealDisk), options, None, &mut |_, _: &[u8]| Ok::<(), std::io::Error>(())).unwrap();
    for record in records {
        journal.append(vec![record::encode(record)]).await.unwrap();
    }
    journal.close().unwrap();
}

/// Audits a well-formed journal of changed records.
async fn forge(from: &Folder, change: impl FnOnce(&mut Vec<Record>)) -> Report {
    let (process, mut records) = records(&from.journal());
    change(&mut records);
    let to = Folder::new();
    write(&to.journal(), process, &records).await;
    std::fs::copy(from.journal().join("store.secrets"), to.journal().join("store.secrets")).unwrap();
    to.audit()
}

fn parts(record: &mut Record) -> Option<(&mut MemberInput, &mut Vec<GrantChange>)> {
    match &mut record.body {
        Body::Member { input, changes, .. } => Some((input, changes)),
        _ => None,
    }
}

/// The last record: the authorization of `p3`, with one change of one leg.
fn last_change(records: &mut [Record]) -> &mut GrantChange {
    &mut parts(records.last_mut().unwrap()).unwrap().1[0]
}

fn change_offer(records: &mut [Record], change: impl Fn(&mut Terms)) {
    for record in records {
        if let Body::Offer { offer, .. } = &mut record.body {
            offer.versions.iter_mut().for_each(|version| change(&mut version.terms));
        }
    }
}

/// One more record of the member, in its chain.
fn follow(records: &mut Vec<Record>, input: MemberInput) {
    let last = records.last().unwrap();
    let mut record = last.clone();
    record.envelope.previous = Some(last.reference());
    record.envelope.number += 100;
    record.envelope.version += 1;
    record.body = Body::Member { member: member("ann"), input: Box::new(input), changes: Vec::new() };
    records.push(record);
}

#[tokio::test]
async fn forged_as_it_was_is_clean() {
    let folder = small().await;
    let report = forge(&folder, |_| {}).await;
    require_clean(&report);
    assert!(report.journals[0].segments > 1, "{report}");
    // Withdrawn records count for nothing.
    let report = forge(&folder, |records| {
        let mut extra = records.last().unwrap().clone();
        extra.envelope.number += 100;
        let number = extra.envelope.number;
        let mut withdrawn = extra.clone();
        withdrawn.envelope.number += 1;
        withdrawn.body = Body::Withdrawn { number };
        records.extend([extra, withdrawn]);
    })
    .await;
    require_clean(&report);
    assert_eq!(report.totals.withdrawn, 1);
}

#[tokio::test]
async fn inv_02_an_input_counted_twice_is_found() {
    let folder = small().await;
    let twice = |records: &mut Vec<Record>| {
        let input = parts(records.last_mut().unwrap()).unwrap().0.clone();
        follow(records, input);
    };
    assert_eq!(failed(&forge(&folder, twice).await), [Named::Identities]);
    let number = |records: &mut Vec<Record>| {
        let before = records[records.len() - 2].envelope.clone();
        records.last_mut().unwrap().envelope.number = before.number;
    };
    assert!(failed(&forge(&folder, number).await).contains(&Named::Numbers));
    let gap = |records: &mut Vec<Record>| records.last_mut().unwrap().envelope.version += 1;
    assert_eq!(failed(&forge(&folder, gap).await), [Named::MemberChain]);
    let lost = |records: &mut Vec<Record>| {
        let place = records.iter().position(|record| matches!(record.body, Body::Member { .. })).unwrap();
        records.remove(place);
    };
    assert!(failed(&forge(&folder, lost).await).contains(&Named::MemberChain));
    let request = |records: &mut Vec<Record>| {
        let when = records.last().unwrap().envelope.at;
        let key = RequestKey { key: [1; 16], body: [2; 16], forever: true, at: when, answer: String::new() };
        let members = records.iter_mut().filter(|record| matches!(record.body, Body::Member { .. }));
        members.for_each(|record| record.envelope.request = Some(key.clone()));
    };
    assert_eq!(failed(&forge(&folder, request).await), [Named::RequestKeys]);
}

#[tokio::test]
async fn inv_03_books_that_do_not_say_what_rewards_say_are_found() {
    let folder = small().await;
    let missing = |records: &mut Vec<Record>| last_change(records).transfers.clear();
    assert_eq!(failed(&forge(&folder, missing).await), [Named::RewardAccounts]);
    let same = |records: &mut Vec<Record>| last_change(records).transfers[0].debit = AccountKind::MemberPending;
    assert_eq!(failed(&forge(&folder, same).await), [Named::Transfers, Named::RewardAccounts]);
    let elsewhere = |records: &mut Vec<Record>| last_change(records).transfers[0].credit = AccountKind::MemberAvailable;
    assert_eq!(failed(&forge(&folder, elsewhere).await), [Named::RewardAccounts]);
    let negative = |records: &mut Vec<Record>| last_change(records).transfers[0].minor = -5000;
    let found = failed(&forge(&folder, negative).await);
    assert_eq!(found, [Named::Transfers, Named::MemberBalances, Named::RewardAccounts]);
    let resting = |records: &mut Vec<Record>| {
        let legs = Legs::new(AccountKind::MemberPending, AccountKind::PayOut, 1);
        last_change(records).transfers.push(legs);
    };
    assert!(failed(&forge(&folder, resting).await).contains(&Named::DebitEqualsCredit));
    let corrects = |records: &mut Vec<Record>| last_change(records).transfers[0].corrects = Some(77);
    assert_eq!(failed(&forge(&folder, corrects).await), [Named::Corrections]);
    let huge = |records: &mut Vec<Record>| last_change(records).transfers[0].minor = i64::MIN;
    assert!(failed(&forge(&folder, huge).await).contains(&Named::Transfers));
    let paid = |records: &mut Vec<Record>| {
        for record in records {
            if let Some((MemberInput::Redeemed(redemption), _)) = parts(record) {
                redemption.minor += 500;
            }
        }
    };
    assert!(failed(&forge(&folder, paid).await).contains(&Named::PayOuts));
    let pending = |records: &mut Vec<Record>| {
        for record in records {
            if let Some((MemberInput::Redeemed(redemption), _)) = parts(record) {
                let purchase = PurchaseId::new("ann-p2").unwrap();
                let lot: &mut LotUse = &mut redemption.lots[0];
                lot.purchase.as_mut().unwrap().id = purchase;
            }
        }
    };
    assert!(failed(&forge(&folder, pending).await).contains(&Named::PayOuts));
}

#[tokio::test]
async fn inv_04_a_reward_that_is_not_due_is_found() {
    let folder = small().await;
    let off_by_one = |records: &mut Vec<Record>| {
        let change = last_change(records);
        change.grant.amount_minor += 1;
        change.transfers[0].minor += 1;
    };
    let due = [Named::GrantedEqualsDue, Named::GrantedEqualsDueShuffled];
    assert_eq!(failed(&forge(&folder, off_by_one).await), due);
    let nothing = |records: &mut Vec<Record>| parts(records.last_mut().unwrap()).unwrap().1.clear();
    assert_eq!(failed(&forge(&folder, nothing).await), due);
    let early = |records: &mut Vec<Record>| {
        let change = last_change(records);
        change.grant.stage = crate::domain::purchase::Stage::Available;
        change.transfers[0] = Legs::new(AccountKind::MerchantFunding, AccountKind::MemberAvailable, 50);
    };
    assert_eq!(failed(&forge(&folder, early).await), due);
    let more_than_bought = |records: &mut Vec<Record>| {
        let change = last_change(records);
        change.grant.amount_minor = 1001;
        change.transfers[0].minor = 1001;
    };
    assert_eq!(failed(&forge(&folder, more_than_bought).await), [Named::Worth, due[0], due[1]]);
    for standing in [Standing::Held, Standing::Barred] {
        let ignored = |records: &mut Vec<Record>| {
            let since = at("2026-03-01T00:00:00Z");
            follow(
                records,
                MemberInput::StandingSet(StandingStep {
                    merchant: None,
                    standing,
                    since,
                    set_at: since,
                    ask_back: false,
                    until: None,
                    origin: StandingOrigin::Said,
                }),
            );
        };
        assert_eq!(failed(&forge(&folder, ignored).await), [Named::Standings, due[0], due[1]]);
    }
}

#[tokio::test]
async fn inv_05_budgets_and_caps_that_were_passed_are_found() {
    let folder = small().await;
    let budget = |records: &mut Vec<Record>| change_offer(records, |terms| terms.budget_minor = Some(300));
    assert_eq!(failed(&forge(&folder, budget).await), [Named::Budgets]);
    let daily =
        |minor| move |records: &mut Vec<Record>| change_offer(records, |terms| terms.daily_budget_minor = Some(minor));
    // Two rewards of one day, 212 and 100; the third came a day later.
    assert_eq!(failed(&forge(&folder, daily(311)).await), [Named::Budgets]);
    require_clean(&forge(&folder, daily(312)).await);
    let count = |records: &mut Vec<Record>| {
        let cap = CountCap { count: 1, every: Period::Month };
        change_offer(records, |terms| terms.limits.per_member = Some(cap));
    };
    let due = [Named::GrantedEqualsDue, Named::GrantedEqualsDueShuffled];
    assert_eq!(failed(&forge(&folder, count).await), [Named::Caps, due[0], due[1]]);
    let reward =
        |records: &mut Vec<Record>| change_offer(records, |terms| terms.limits.reward_per_member_minor = Some(300));
    assert_eq!(failed(&forge(&folder, reward).await), [Named::Caps, due[0], due[1]]);
    let rewritten = |records: &mut Vec<Record>| {
        let published = records.iter_mut().rev().find(|record| matches!(record.body, Body::Offer { .. })).unwrap();
        if let Body::Offer { offer, .. } = &mut published.body {
            offer.versions[0].terms.title = "Another".into();
        }
    };
    assert_eq!(failed(&forge(&folder, rewritten).await), [Named::Documents]);
}

#[test]
fn what_is_not_there_is_an_error() {
    let folder = Folder::new();
    let options = AuditOptions::new(Policy::default());
    assert!(matches!(audit(&[], &options), Err(AuditError::Nothing)));
    assert!(matches!(audit(std::slice::from_ref(&folder.0), &options), Err(AuditError::NoJournal { .. })));
    assert!(matches!(audit(&[folder.journal()], &options), Err(AuditError::Io { .. })));
}

#[tokio::test]
async fn the_journals_of_two_processes_are_one_book() {
    let folder = small().await;
    let (process, mut all) = records(&folder.journal());
    // Every other record of the member was written by a second process, whose clock is behind.
    let other = process.wrapping_add(1);
    let mut last = None;
    for (place, record) in all.iter_mut().filter(|record| matches!(record.body, Body::Member { .. })).enumerate() {
        record.envelope.previous = last;
        if place % 2 == 1 {
            record.envelope.process = other;
            record.envelope.at = record.envelope.at.plus_ms(-9_000_000);
        }
        last = Some(record.reference());
    }
    let (theirs, ours): (Vec<_>, Vec<_>) = all.into_iter().partition(|record| record.envelope.process == other);
    let (one, two) = (Folder::new(), Folder::new());
    write(&one.journal(), process, &ours).await;
    write(&two.journal(), other, &theirs).await;
    std::fs::copy(folder.journal().join("store.secrets"), one.journal().join("store.secrets")).unwrap();
    let options = AuditOptions::new(Policy::default());
    for dirs in [[one.journal(), two.journal()], [two.journal(), one.journal()]] {
        let report = audit(&dirs, &options).unwrap();
        require_clean(&report);
        assert_eq!(report.journals.len(), 2);
    }
    // One of the two alone is half a book.
    assert!(failed(&audit(&[one.journal()], &options).unwrap()).contains(&Named::MemberChain));
}

#[tokio::test]
async fn sealed_totals_that_are_not_theirs_are_found() {
    let town = large().await;
    town.day("2028-01-01T01:00:00Z").await;
    let folder = town.stop();
    require_clean(&forge(&folder, |_| {}).await);
    let more = |records: &mut Vec<Record>| {
        for record in records {
            if let Some((MemberInput::TimePassed { totals, .. }, _)) = parts(record)
                && let Some(total) = totals.first_mut()
            {
                total.available_minor += 1;
            }
        }
    };
    assert_eq!(failed(&forge(&folder, more).await), [Named::Sealing]);
}
