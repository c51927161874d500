//! Perks that were used and are earned no longer: they stay, and stand for the next ones of the
//! same offer, so that no card is filled, spent and taken back again and again.

use crate::decide_offers::{base, desk};
use crate::desk::Desk;
use crate::{said, world};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ringfence::audit::{AuditOptions, audit};
use ringfence::clock::Clock;
use ringfence::decide::Policy;
use ringfence::domain::offer::{Amount, Comparison, Condition, Count, CountCap, Measure, Period, Reward, What, Within};
use ringfence::domain::purchase::HeldEvent;
use ringfence::domain::{Code, MemberId, Unit};
use ringfence::engine::EngineOptions;
use ringfence::engine::acts::ActError;
use ringfence::engine::redeem::Wanted;
use ringfence::record::{EventInput, MemberInput, Rematch};

fn cup() -> Unit {
    Unit::Perk(Code::parse("cup").unwrap())
}

/// Steps of a card's life, each with what stands of each purchase then: an event of a purchase
/// (`p1: …`), the shop where its first event was made after all (`p1 was: …`), or `use`.
#[track_caller]
fn tells(offers: &[&str], steps: &[(&str, &str)]) {
    let mut desk = desk(offers);
    for (n, (step, stands)) in steps.iter().enumerate() {
        match step.split_once(": ") {
            Some((purchase, line)) if purchase.ends_with(" was") => {
                let purchase = purchase.trim_end_matches(" was");
                let at = desk.member.find(&crate::desk::purchase("net", purchase)).unwrap();
                let first = desk.member.purchases[at].purchase.events[0].key.as_str().to_owned();
                let input = said::event(line, base(), purchase, &first);
                let EventInput { purchase, event, matched } = input;
                let HeldEvent { key: event, card, occurred_at, .. } = event;
                desk.step(MemberInput::Rematched(Box::new(Rematch { purchase, event, card, matched, occurred_at })));
            }
            Some((purchase, line)) => {
                desk.event(said::event(line, base(), purchase, &format!("e{n}"))).expect("a new event");
            }
            None => assert!(desk.redeem(1, cup()), "{step}: there is one to use"),
        }
        desk.audit();
        assert_eq!(shown(&desk), *stands, "after `{step}`, step {n}");
        // Decided all anew, nothing is otherwise.
        let mut again = desk.clone();
        assert_eq!(again.decide_all().changes, [], "after `{step}`, step {n}");
    }
}

/// Perks that stand, by purchase in their order, `*` where they are used.
fn shown(desk: &Desk) -> String {
    let of = |placed: &ringfence::decide::member::Placed| {
        let grants = placed.purchase.grants.iter().filter(|grant| grant.amount_minor > 0);
        let each: Vec<_> =
            grants.map(|g| format!("{}{}", g.amount_minor, "*".repeat(usize::from(g.used_minor > 0)))).collect();
        if each.is_empty() { "-".to_owned() } else { each.join("+") }
    };
    desk.member.purchases.iter().map(of).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_used_perk_stands_for_the_next_of_its_offer() {
    tells(
        &["perk=cup hold 0 nth 2"],
        &[
            ("p1: clear 10.00", "-"),
            ("p2: clear 10.00 @1d", "- 1"),
            ("use", "- 1*"),
            ("p2: refund 10.00 @1d", "- 1*"),
            ("p3: clear 10.00 @2d", "- 1* -"),
            ("p4: clear 10.00 @3d", "- 1* - -"),
            ("p5: clear 10.00 @4d", "- 1* - - 1"),
            // Put back, it was earned after all: the second and the fourth.
            ("p2: refund-reversal 10.00 @5d", "- 1* - 1 -"),
        ],
    );
}

#[test]
fn an_earlier_purchase_that_comes_late_moves_what_is_set_off() {
    tells(
        &["perk=cup hold 0 nth 2"],
        &[
            ("p2: clear 10.00 @2d", "-"),
            ("p3: clear 10.00 @3d", "- 1"),
            ("use", "- 1*"),
            // The second is now another, before it; what was used stands for the fourth.
            ("p1: clear 10.00 @1d", "- 1 1*"),
            ("p4: clear 10.00 @4d", "- 1 1* -"),
            ("p5: clear 10.00 @5d", "- 1 1* - -"),
            ("p6: clear 10.00 @6d", "- 1 1* - - 1"),
        ],
    );
}

#[test]
fn each_offer_keeps_its_own_wherever_the_purchase_goes() {
    tells(
        &["perk=cup hold 0 nth 2", "perk=cup hold 0 nth 2 merchant M2"],
        &[
            ("p1: clear 10.00", "-"),
            ("p2: clear 10.00 @1d", "- 1"),
            ("use", "- 1*"),
            // It was at another shop: used of the first offer, and none of the other's.
            ("p2 was: clear 10.00 at M2 @1d", "- 1*"),
            ("p3: clear 10.00 @2d", "- 1* -"),
            ("p4: clear 10.00 at M2 @3d", "- 1* - 1"),
            ("p5: clear 10.00 @4d", "- 1* - 1 -"),
            ("p6: clear 10.00 @5d", "- 1* - 1 - 1"),
        ],
    );
}

#[test]
fn a_perk_that_is_set_off_leaves_the_choice_and_the_budget_to_others() {
    tells(
        &["perk=cup hold 0 nth 2 exclusive g budget 0.02 priority 1", "perk=cup hold 0 first not exclusive g"],
        &[
            ("p1: clear 10.00", "-"),
            ("p2: clear 10.00 @1d", "- 1"),
            ("use", "- 1*"),
            ("p2: refund 10.00 @1d", "- 1*"),
            ("p3: clear 10.00 @2d", "- 1* 1"),
            ("p4: clear 10.00 @3d", "- 1* 1 1"),
            ("p5: clear 10.00 @4d", "- 1* 1 1 1"),
        ],
    );
}

/// Cards bought, spent and taken back at random, on one and more of which the audit decides all
/// anew from what was used; and again when all is sealed.
#[tokio::test]
async fn inv_04_cards_taken_back_at_random_are_what_the_audit_says() {
    for seed in 1..=8 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let folder = world::Folder::new("kept");
        let clock = Clock::manual(world::begin());
        let options = EngineOptions { retention_days: 60, ..world::small_options(&folder.0) };
        let engine = world::engine(None, options, &clock);
        engine.put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
        let what = What::Perk { code: Code::parse("cup").unwrap(), expires_days: None, worth_minor: 0 };
        let every = Condition::Count(Count {
            what: Measure::Purchases,
            is: Comparison::Every(3),
            of: Vec::new(),
            within: Within::Calendar(Period::Ever),
        });
        let mut terms = world::terms("shop").and(every);
        (terms.reward, terms.hold_days) = (Reward { what, amount: Amount::Fixed(1) }, 0);
        terms.budget_minor = (seed % 2 == 0).then_some(12);
        terms.limits.per_member = (seed % 3 == 0).then_some(CountCap { count: 5, every: Period::Ever });
        world::publish(&engine, "card", terms).await;
        for n in 0..3 {
            world::member(&engine, &format!("m{n}"), &format!("tok_{n}")).await;
        }
        let source = world::source();
        let mut bought: Vec<(usize, String)> = Vec::new();
        for n in 0..150 {
            let who = rng.random_range(0..3);
            let now = clock.now();
            let step = rng.random_range(0..10);
            if step < 5 || bought.is_empty() {
                let back = rng.random_range(0..3) * 3_600_000;
                let (name, at) = (format!("p{n}"), now.plus_ms(-back).to_string());
                let body = world::event(&name, "clearing", &name, &format!("tok_{who}"), 1_000, &at, "123456");
                world::receive(&engine, &source, &body).await;
                bought.push((who, name));
            } else if step < 7 {
                let (who, name) = bought.swap_remove(rng.random_range(0..bought.len()));
                let card = format!("tok_{who}");
                let body = world::event(&format!("r{n}"), "refund", &name, &card, 1_000, &now.to_string(), "123456");
                world::receive(&engine, &source, &body).await;
            } else {
                let member = MemberId::new(format!("m{who}")).unwrap();
                let used = engine.redeem(&member, format!("u{n}"), Wanted::Of(cup(), 1), None, |_| String::new()).await;
                assert!(matches!(used, Ok(_) | Err(ActError::NotEnough { .. })), "{used:?}");
            }
            clock.set(now.plus_ms(rng.random_range(0..20) * 3_600_000));
            engine.mark_day(clock.now()).await.unwrap();
        }
        clock.set(clock.now().plus_days(50));
        engine.mark_day(clock.now()).await.unwrap();
        engine.stop().unwrap();
        let options = AuditOptions { retention_days: 60, ..AuditOptions::new(Policy::default()) };
        let report = audit(&[folder.0.join("journal")], &options).unwrap();
        assert!(report.is_clean() && report.totals.purchases_sealed > 0, "seed {seed}: {report}");
    }
}
