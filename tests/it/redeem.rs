//! Points and perks from earning to spending, taking back and expiry; the books and the
//! audit agree after each.

use crate::world;
use ringfence::audit::{AuditOptions, Named, audit};
use ringfence::clock::Clock;
use ringfence::decide::Policy;
use ringfence::domain::member::Balance;
use ringfence::domain::offer::{Amount, CountCap, Funding, Period, Reward, Terms, Trigger, What};
use ringfence::domain::{BasisPoints, Code, Currency, MemberId, MerchantId, OfferId, Timestamp, Unit};
use ringfence::engine::acts::{ActError, Named as Request};
use ringfence::engine::redeem::Wanted;
use ringfence::engine::{Engine, EngineOptions};
use ringfence::ledger::AccountKind;
use ringfence::pipeline::Source;
use std::sync::Arc;

fn code(text: &str) -> Code {
    Code::parse(text).unwrap()
}
fn beans() -> Unit {
    Unit::Points(code("beans"))
}
fn coffee() -> Unit {
    Unit::Perk(code("free-coffee"))
}
fn usd() -> Unit {
    Unit::Money(Currency::parse("USD").unwrap())
}

/// A cafe that gives 40 beans a visit, for 30 days; 100 buy a coffee, 50 a credit of 2.50.
struct Cafe {
    folder: world::Folder,
    engine: Arc<Engine>,
    source: Source,
    clock: Clock,
    asked: u8,
}

fn offer(reward: Reward) -> Terms {
    Terms::new(MerchantId::new("shop").unwrap(), "beans", Currency::parse("USD").unwrap(), reward)
}

fn for_beans(points: i64, reward: Reward) -> Terms {
    Terms { trigger: Trigger::Points { unit: code("beans"), points }, ..offer(reward) }
}

impl Cafe {
    async fn open() -> Self {
        let folder = world::Folder::new("redeem");
        let clock = Clock::manual(Timestamp::parse("2026-03-01T12:00:00Z").unwrap());
        let options = EngineOptions { retention_days: 200, ..world::small_options(&folder.0) };
        let engine = world::engine(None, options, &clock);
        engine.put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
        let points = What::Points { unit: code("beans"), expires_days: Some(30), worth_of_100_minor: 500 };
        let mut earn = offer(Reward { what: points, amount: Amount::Fixed(40) });
        earn.funding = Funding { merchant: BasisPoints(3_333) };
        world::publish(&engine, "earn", earn).await;
        let perk = What::Perk { code: code("free-coffee"), expires_days: Some(10), worth_minor: 300 };
        let mut perk = for_beans(100, Reward { what: perk, amount: Amount::Fixed(1) });
        perk.budget_minor = Some(2);
        perk.limits.per_member = Some(CountCap { count: 2, every: Period::Month });
        world::publish(&engine, "coffee", perk).await;
        world::publish(&engine, "credit", for_beans(50, Reward::fixed(250))).await;
        world::member(&engine, "ann", "tok_ann").await;
        Self { folder, engine, source: world::source(), clock, asked: 0 }
    }
    async fn event(&self, kind: &str, purchase: &str, at: &str) {
        let body = world::event(&format!("{kind}-{purchase}"), kind, purchase, "tok_ann", 4000, at, "123456");
        let received = world::receive(&self.engine, &self.source, &body).await;
        assert!(received.results[0].is_ok(), "{received:?}");
    }
    async fn visit(&self, purchase: &str, at: &str) {
        self.clock.set(Timestamp::parse(at).unwrap());
        self.event("clearing", purchase, at).await;
    }
    async fn day(&self, at: &str) {
        self.clock.set(Timestamp::parse(at).unwrap());
        self.engine.mark_day(self.clock.now()).await.unwrap();
    }
    async fn wants(&mut self, wanted: Wanted) -> Result<String, ActError> {
        self.asked += 1;
        let named = Request { key: [self.asked; 16], body: [1; 16], forever: true };
        self.wants_as(wanted, named).await
    }
    async fn wants_as(&self, wanted: Wanted, named: Request) -> Result<String, ActError> {
        let ann = MemberId::new("ann").unwrap();
        let answer = |done: ringfence::engine::redeem::Done<'_>| {
            let given = done.given.map(|grant| grant.unit.shown(grant.amount_minor)).unwrap_or_default();
            format!("{} for {given}", done.redemption.unit.shown(done.redemption.minor))
        };
        self.engine.redeem(&ann, "r".to_owned(), wanted, Some(named), answer).await
    }
    async fn balance(&self, unit: Unit) -> Balance {
        let books = self.engine.trial_balance().await.unwrap();
        assert!(books.out_of_balance().is_empty(), "{books:?}");
        let ann = MemberId::new("ann").unwrap();
        self.engine.load(&ann).await.unwrap().unwrap().head.balance(unit)
    }
    /// Available, used, owed.
    async fn has(&self, unit: Unit) -> (i64, i64, i64) {
        let balance = self.balance(unit).await;
        (balance.available_minor, balance.paid_minor, balance.owed_minor)
    }
    fn close(self) {
        self.engine.stop().unwrap();
        let options = AuditOptions { retention_days: 200, ..AuditOptions::new(Policy::default()) };
        let report = audit(&[self.folder.0.join("journal")], &options).unwrap();
        assert!(report.is_clean(), "{report}");
        assert!(report.check(Named::Exchanges).examined > 0);
    }
}

fn exchange(offer: &str) -> Wanted {
    Wanted::Offer(OfferId::new(offer).unwrap())
}

#[tokio::test]
async fn inv_03_points_are_earned_spent_taken_back_and_owed() {
    let mut cafe = Cafe::open().await;
    cafe.visit("p1", "2026-03-01T10:00:00Z").await;
    cafe.visit("p2", "2026-03-05T10:00:00Z").await;
    assert_eq!(cafe.has(beans()).await, (80, 0, 0));
    let refused = cafe.wants(exchange("coffee")).await.unwrap_err();
    assert_eq!(refused.to_string(), "needs 100 beans, has 80");

    // The oldest go first; the same request again is the same coffee.
    cafe.visit("p3", "2026-03-06T10:00:00Z").await;
    let named = Request { key: [200; 16], body: [1; 16], forever: true };
    assert_eq!(cafe.wants_as(exchange("coffee"), named).await.unwrap(), "100 beans for free-coffee");
    assert_eq!(cafe.wants_as(exchange("coffee"), named).await.unwrap(), "100 beans for free-coffee");
    let other = Request { body: [2; 16], ..named };
    assert!(matches!(cafe.wants_as(exchange("coffee"), other).await, Err(ActError::KeyReused)));
    assert_eq!((cafe.has(beans()).await, cafe.has(coffee()).await), ((20, 100, 0), (1, 0, 0)));

    // A perk is used once.
    cafe.wants(Wanted::Of(coffee(), 1)).await.unwrap();
    let refused = cafe.wants(Wanted::Of(coffee(), 1)).await.unwrap_err();
    assert_eq!(refused.to_string(), "needs 1 × free-coffee, has 0");
    assert_eq!(cafe.has(coffee()).await, (0, 1, 0));

    // Refunded after its points were spent: owed, and settled before anything is spent.
    cafe.event("refund", "p1", "2026-03-07T10:00:00Z").await;
    assert_eq!(cafe.has(beans()).await, (20, 100, 40));
    let refused = cafe.wants(exchange("credit")).await.unwrap_err();
    assert_eq!(refused.to_string(), "needs 50 beans, has 0");
    cafe.visit("p4", "2026-03-08T10:00:00Z").await;
    cafe.visit("p5", "2026-03-09T10:00:00Z").await;
    assert_eq!(cafe.wants(exchange("credit")).await.unwrap(), "50 beans for 2.50 USD");
    assert_eq!((cafe.has(beans()).await, cafe.has(usd()).await), ((10, 150, 0), (250, 0, 0)));
    cafe.wants(Wanted::Of(usd(), 250)).await.unwrap();
    assert_eq!(cafe.has(usd()).await, (0, 250, 0));

    // The merchant bears its share of what stands, rounded down by visit.
    let books = cafe.engine.trial_balance().await.unwrap();
    let of = |kind| books.sums.get(&(kind, beans())).copied().unwrap_or(0);
    assert_eq!((of(AccountKind::MerchantFunding), of(AccountKind::OperatorFunding)), (-4 * 13, -4 * 27));
    cafe.close();
}

#[tokio::test]
async fn what_is_not_used_expires_by_the_daily_mark() {
    let mut cafe = Cafe::open().await;
    for (purchase, at) in
        [("p1", "2026-03-01T10:00:00Z"), ("p2", "2026-03-02T10:00:00Z"), ("p3", "2026-03-20T10:00:00Z")]
    {
        cafe.visit(purchase, at).await;
    }
    cafe.wants(exchange("coffee")).await.unwrap();
    assert_eq!((cafe.has(beans()).await, cafe.has(coffee()).await), ((20, 100, 0), (1, 0, 0)));
    // The coffee waits ten days; what is left of the third visit, thirty.
    cafe.day("2026-03-30T01:00:00Z").await;
    assert_eq!(cafe.has(coffee()).await, (1, 0, 0));
    // Past its hour, though no mark has come: not used any more.
    cafe.clock.set(Timestamp::parse("2026-03-30T11:00:00Z").unwrap());
    let refused = cafe.wants(Wanted::Of(coffee(), 1)).await.unwrap_err();
    assert_eq!(refused.to_string(), "needs 1 × free-coffee, has 0");
    cafe.day("2026-03-31T01:00:00Z").await;
    assert_eq!((cafe.has(beans()).await, cafe.has(coffee()).await), ((20, 100, 0), (0, 0, 0)));
    cafe.day("2026-04-20T01:00:00Z").await;
    assert_eq!(cafe.has(beans()).await, (0, 100, 0), "what was used of a lot stays used");
    // Sealed long after, nothing comes back.
    cafe.day("2026-12-20T01:00:00Z").await;
    let ann = cafe.engine.load(&MemberId::new("ann").unwrap()).await.unwrap().unwrap();
    assert!(ann.purchases.is_empty());
    assert_eq!((cafe.has(beans()).await, cafe.has(coffee()).await), ((0, 100, 0), (0, 0, 0)));
    cafe.close();
}

#[tokio::test]
async fn an_exchange_keeps_to_budget_limits_and_life() {
    let mut cafe = Cafe::open().await;
    for day in 1..=9 {
        cafe.visit(&format!("p{day}"), &format!("2026-03-0{day}T10:00:00Z")).await;
    }
    cafe.wants(exchange("coffee")).await.unwrap();
    cafe.wants(exchange("coffee")).await.unwrap();
    let refused = cafe.wants(exchange("coffee")).await.unwrap_err();
    assert_eq!(refused.to_string(), "at most 2 times in the period, 2 so far");
    // A month later the member may again, and the budget is spent.
    cafe.visit("q1", "2026-04-01T09:00:00Z").await;
    cafe.visit("q2", "2026-04-01T09:30:00Z").await;
    let refused = cafe.wants(exchange("coffee")).await.unwrap_err();
    assert!(matches!(refused, ActError::BudgetSpent { of_day: false }), "{refused}");
    let refused = cafe.wants(exchange("earn")).await.unwrap_err();
    assert!(refused.to_string().contains("trigger is points"), "{refused}");
    assert!(matches!(cafe.wants(exchange("none")).await.unwrap_err(), ActError::UnknownOffer));
    assert_eq!(cafe.has(beans()).await.1, 200, "nothing was taken for what was refused");
    cafe.close();
}
