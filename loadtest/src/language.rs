//! How long the offer language takes to decide: twenty candidate offers with conditions over
//! history, for a member with two hundred purchases. Once for the newest purchase, once for
//! everything again, as when an event before the first of them arrives.

use ringfence::catalogue::Catalogue;
use ringfence::decide::{Entry, MemberState, Policy, Scope, Touched, apply_changes, apply_input, judge, settle};
use ringfence::domain::member::{CardLink, MemberHead};
use ringfence::domain::merchant::{Evidence, Matched};
use ringfence::domain::offer::{
    Bounds, Comparison, Condition, Count, CountCap, Ladder, LadderTier, LifeChange, LifeStep, Limits, Measure,
    MemberTest, Offer, OfferVersion, Period, PurchaseTest, Reward, Terms, Within,
};
use ringfence::domain::purchase::HeldEvent;
use ringfence::domain::{
    CardHash, Channel, Code, Currency, EventKey, EventKind, LocationId, MemberId, MerchantId, Money, OfferId,
    PurchaseId, PurchaseKey, SourceName, Timestamp,
};
use ringfence::record::{Envelope, EventInput, MemberInput};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Purchases the member has.
    #[arg(long, default_value_t = 200)]
    pub purchases: usize,
    /// Times each is decided.
    #[arg(long, default_value_t = 5_000)]
    pub rounds: usize,
    /// Only the newest purchase.
    #[arg(long)]
    pub newest: bool,
}

const BEGIN: Timestamp = Timestamp::from_ms(1_795_000_000_000);
const CARD: CardHash = CardHash([7; 16]);

fn merchant() -> MerchantId {
    MerchantId::new("cafe").expect("a short id")
}

fn count(what: Measure, is: Comparison, within: Within) -> Condition {
    Condition::Count(Count { what, of: Vec::new(), within, is })
}

fn at_least(number: i64) -> Comparison {
    Comparison::Within(Bounds { at_least: Some(number), at_most: None })
}

/// Twenty offers that all look back, each in its way.
fn offers() -> Vec<Arc<Offer>> {
    let ever = Within::Calendar(Period::Ever);
    let month = Within::Calendar(Period::Month);
    let large = Condition::Count(Count {
        what: Measure::Purchases,
        of: vec![PurchaseTest::Spend(Bounds { at_least: Some(1500), at_most: None })],
        within: Within::Days(60),
        is: at_least(3),
    });
    let gold = Code::parse("gold").expect("a short name");
    let not_first = Condition::Not(Box::new(count(Measure::Purchases, Comparison::Reaches(1), ever)));
    let kinds = [
        count(Measure::Purchases, Comparison::Every(10), ever),
        count(Measure::Spend, Comparison::Reaches(10_000), month),
        count(Measure::Streak(Period::Month), at_least(3), ever),
        count(Measure::Locations, at_least(3), Within::Days(90)),
        count(Measure::DaysSince, at_least(30), ever),
        count(Measure::Spend, Comparison::Every(5_000), Within::Days(30)),
        large,
        Condition::Member(MemberTest::Tier(gold)),
        Condition::Any(vec![not_first, count(Measure::Categories, at_least(2), Within::Days(365))]),
        count(Measure::Purchases, at_least(5), Within::Days(30)),
    ];
    (0..20)
        .map(|number| {
            let id = OfferId::new(format!("o{number:02}")).expect("a short id");
            let currency = Currency::parse("USD").expect("a currency");
            let terms = Terms {
                ladder: Some(Ladder {
                    window_days: 365,
                    grace_days: 90,
                    tiers: vec![LadderTier { name: gold, spend_minor: 50_000 }],
                }),
                limits: Limits { per_member: Some(CountCap { count: 4, every: Period::Month }), ..Limits::default() },
                hold_days: 14,
                ..Terms::new(merchant(), "Back", currency, Reward::percent(100, Some(500)))
            };
            let terms = terms.and(kinds[number % kinds.len()].clone());
            let life = vec![LifeStep { effective: Timestamp::default(), change: LifeChange::Published(1) }];
            Arc::new(Offer { id: id.clone(), versions: vec![OfferVersion { offer: id, version: 1, terms }], life })
        })
        .collect()
}

fn bought(number: usize, at: Timestamp) -> MemberInput {
    let key = format!("p{number:04}");
    let minor = 400 + i64::try_from(number * 7919 % 4000).expect("below 4000");
    let event = HeldEvent {
        key: EventKey::new(format!("{key}-c")).expect("a short key"),
        kind: EventKind::Clearing,
        card: CARD,
        amount: Some(Money::new(minor, Currency::parse("USD").expect("a currency"))),
        occurred_at: at,
        time_known: true,
        posted_at: at,
        mcc: Some(5812 + u16::try_from(number % 3).expect("below three")),
        channel: Channel::InStore,
        sequence: None,
        matched: None,
        content: 0,
        answer: Vec::new(),
    };
    let matched = Matched {
        merchant: merchant(),
        location: LocationId::new(format!("shop-{}", number % 5)).expect("a short id"),
        evidence: Evidence::Mid,
        time_zone: "America/New_York".into(),
        country: None,
    };
    let id = PurchaseId::new(&key).expect("a short id");
    let purchase = PurchaseKey { source: SourceName::new("net").expect("a short name"), id };
    MemberInput::Event(Box::new(EventInput { purchase, event, matched: Some(matched) }))
}

/// A member with purchases about every second day, everything decided.
fn member(purchases: usize, catalogue: &Catalogue, policy: &Policy) -> MemberState {
    let mut member = MemberState::new(MemberHead::new(MemberId::new("ann").expect("a short id"), Timestamp::default()));
    let source = SourceName::new("net").expect("a short name");
    member.head.cards.push(CardLink {
        source,
        card: CARD,
        from: Timestamp::default(),
        to: None,
        group: 0,
        token: None,
    });
    for number in 0..purchases {
        let days = u32::try_from(number * 2).unwrap_or(u32::MAX);
        apply_input(&mut member, &bought(number, BEGIN.plus_days(days)), &mut Touched::default());
    }
    let scope = Scope { from: 0, merchants: None, own: None };
    let (judged, _) = judge(&member, &scope, catalogue, policy, BEGIN, &BTreeMap::new());
    let envelope = Envelope {
        process: 1,
        partition: 0,
        number: 1,
        epoch: 1,
        again: None,
        at: BEGIN,
        previous: None,
        version: 1,
        catalogue: 1,
        mark: BEGIN,
        request: None,
    };
    let changes = settle(&member, &judged, &Entry::of(&member.head, 1, BEGIN, BEGIN, false));
    apply_changes(&mut member, &envelope, &changes, &mut Touched::default());
    member
}

/// Measures and prints.
pub fn run(args: &Args) {
    let catalogue = Catalogue::build(Vec::new(), offers(), 1, 7);
    let policy = Policy::default();
    let member = member(args.purchases, &catalogue, &policy);
    let merchants = [merchant()];
    let rewarded = member.purchases.iter().filter(|placed| placed.purchase.grants.iter().any(|g| g.amount_minor > 0));
    println!(
        "{} purchases, {} offers with conditions over history, {} purchases rewarded",
        member.purchases.len(),
        catalogue.offers_of(&merchant()).len(),
        rewarded.count()
    );
    for (what, from, wanted) in [
        ("newest purchase", member.purchases.len() - 1, Duration::from_micros(20)),
        ("everything again", 0, Duration::from_millis(1)),
    ] {
        if args.newest && from == 0 {
            continue;
        }
        let scope = Scope { from, merchants: Some(&merchants), own: None };
        let mut taken: Vec<Duration> = Vec::with_capacity(args.rounds);
        for _ in 0..args.rounds {
            let begun = Instant::now();
            let (judged, _) = judge(black_box(&member), &scope, &catalogue, &policy, BEGIN, &BTreeMap::new());
            let changes = settle(&member, black_box(&judged), &Entry::of(&member.head, 2, BEGIN, BEGIN, false));
            taken.push(begun.elapsed());
            assert!(changes.is_empty(), "what was decided is decided again the same");
        }
        taken.sort_unstable();
        let at = |percent: usize| taken[(taken.len() - 1) * percent / 100];
        println!("{what:18} p50 {:>9.1?}  p99 {:>9.1?}   wanted below {wanted:?} at p50", at(50), at(99));
    }
}
