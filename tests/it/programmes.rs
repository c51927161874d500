//! The ten programmes of `config/programmes`, each played by a member over the service, with
//! its exact books.

use crate::play::{HARBOR, HILLTOP, MARKET, MILAN, PARIS, Play};
use ringfence::domain::member::Standing;
use serde_json::json;

#[tokio::test]
async fn punch_card_a_refunded_cup_moves_the_free_one_on() {
    let mut play = Play::of("punch-card").await;
    play.joins("ann", json!({})).await;
    play.buys("ann", "biscuit", 299).await;
    for cup in 1..=9 {
        play.buys("ann", &format!("cup{cup:02}"), 400).await;
    }
    assert_eq!(play.has("ann").await, "nothing");
    assert_eq!(play.gives("punch-card", "cup09").await, "purchase_count: needs every 10th purchase, has 9");
    play.now("2026-11-22").await;
    play.buys("ann", "cup10", 400).await;
    assert_eq!(play.has("ann").await, "free-cup available 1");
    // The third was given back: what was the tenth cup is the ninth.
    play.refunds("ann", "cup03", 400).await;
    assert_eq!(play.has("ann").await, "nothing");
    assert_eq!(play.gives("punch-card", "cup10").await, "purchase_count: needs every 10th purchase, has 9");
    play.buys("ann", "cup11", 400).await;
    assert_eq!(play.gives("punch-card", "cup11").await, "1 available");
    assert_eq!(play.wants("ann", json!({"perk": "free-cup"})).await, "1 free-cup");
    assert_eq!(play.has("ann").await, "free-cup paid 1");
    let none = play.wants("ann", json!({"perk": "free-cup"})).await;
    assert_eq!(none, "not_enough_available: needs 1 × free-cup, has 0");
    // Drunk is drunk: nobody gives a cup back, and nobody owes one.
    play.refunds("ann", "cup11", 400).await;
    assert_eq!(play.has("ann").await, "free-cup paid 1");
    // It stands for the cup that the same card earns again.
    play.buys("ann", "cup12", 400).await;
    assert_eq!(play.has("ann").await, "free-cup paid 1");
    let stands = "used_before: one that was used and then taken back stands for it";
    assert_eq!(play.gives("punch-card", "cup12").await, stands);
    // The next card's cup waits sixty days.
    for cup in 13..=22 {
        play.buys("ann", &format!("cup{cup}"), 400).await;
    }
    assert_eq!(play.gives("punch-card", "cup22").await, "1 available");
    assert_eq!(play.has("ann").await, "free-cup available 1, paid 1");
    play.now("2027-01-21").await;
    assert_eq!(play.has("ann").await, "free-cup available 1, paid 1");
    play.now("2027-01-22").await;
    assert_eq!(play.has("ann").await, "free-cup paid 1");
    assert_eq!(play.gives("punch-card", "cup22").await, "expired: expired before it was used");
    play.ends().await;
}

#[tokio::test]
async fn birthday_once_a_year_around_the_day() {
    let mut play = Play::of("birthday").await;
    play.joins("ann", json!({"joined_at": "2026-10-01T00:00:00Z", "birthday": "--12-01"})).await;
    play.joins("bob", json!({"joined_at": "2026-11-10T00:00:00Z", "birthday": "--12-01"})).await;
    play.joins("cyd", json!({"joined_at": "2026-10-01T00:00:00Z"})).await;
    play.now("2026-11-23").await;
    play.buys("ann", "early", 5_000).await;
    assert_eq!(play.gives("birthday", "early").await, "not_birthday: it is not near the member's birthday");
    play.now("2026-11-24").await;
    for (who, purchase, minor) in [("ann", "card", 5_000), ("bob", "young", 5_000), ("cyd", "unknown", 5_000)] {
        play.buys(who, purchase, minor).await;
    }
    assert_eq!(play.has("ann").await, "EUR available 1000");
    assert_eq!(play.gives("birthday", "young").await, "tenure: needs at least 30 days as a member, has 14");
    assert_eq!(play.gives("birthday", "unknown").await, "not_birthday: the member's birthday is not known");
    // Once a year, and at most twenty euros; the first given back lets the second have it.
    play.now("2026-12-08").await;
    play.buys("ann", "books", 15_000).await;
    let once = "cap_reached: at most 1 reward in a year, 1 before this one";
    assert_eq!(play.gives("birthday", "books").await, once);
    play.refunds("ann", "card", 5_000).await;
    assert_eq!(play.gives("birthday", "books").await, "2000 available");
    assert_eq!(play.has("ann").await, "EUR available 2000");
    play.now("2026-12-09").await;
    play.buys("ann", "late", 5_000).await;
    assert_eq!(play.gives("birthday", "late").await, "not_birthday: it is not near the member's birthday");
    play.now("2027-12-01").await;
    play.buys("ann", "again", 1_000).await;
    assert_eq!(play.has("ann").await, "EUR available 2200");
    play.ends().await;
}

#[tokio::test]
async fn monthly_box_a_streak_breaks_and_begins_anew() {
    let mut play = Play::of("monthly-box").await;
    play.joins("ann", json!({})).await;
    play.buys("ann", "nov", 2_000).await;
    play.now("2026-12-21").await;
    play.buys("ann", "dec", 2_000).await;
    play.now("2027-01-21").await;
    play.buys("ann", "jan-small", 1_499).await;
    assert_eq!(play.has("ann").await, "nothing");
    play.buys("ann", "jan", 2_000).await;
    play.buys("ann", "jan-more", 2_000).await;
    assert_eq!(play.has("ann").await, "free-box available 1");
    // December given back: a gap, and January is the first month again.
    play.refunds("ann", "dec", 2_000).await;
    assert_eq!(play.has("ann").await, "nothing");
    assert_eq!(play.gives("box-three-months", "jan").await, "streak: needs every 3rd month in a row, has 1");
    for month in 2..=11 {
        play.now(&format!("2027-{month:02}-21")).await;
        play.buys("ann", &format!("month{month:02}"), 2_000).await;
    }
    assert_eq!(play.gives("box-three-months", "month03").await, "expired: expired before it was used");
    assert_eq!(play.gives("box-three-months", "month09").await, "expired: expired before it was used");
    assert_eq!(play.gives("box-whole-year", "month11").await, "streak: needs the 12th month in a row, has 11");
    assert_eq!(play.has("ann").await, "nothing");
    // The twelfth month is the fourth third month too; money is never more than was paid.
    play.now("2027-12-21").await;
    play.buys("ann", "month12", 2_500).await;
    assert_eq!(play.has("ann").await, "USD available 2500; free-box available 1");
    assert_eq!(play.wants("ann", json!({"perk": "free-box"})).await, "1 free-box");
    assert_eq!(play.wants("ann", json!({"amount_minor": 2_500, "currency": "USD"})).await, "2500 USD");
    assert_eq!(play.has("ann").await, "USD paid 2500; free-box paid 1");
    // June given back: no year any more, so the money is owed; December is a third month still.
    play.refunds("ann", "month06", 2_000).await;
    assert_eq!(play.has("ann").await, "USD paid 2500, owed 2500; free-box paid 1");
    assert_eq!(play.gives("box-whole-year", "month12").await, "streak: needs the 12th month in a row, has 6");
    play.ends().await;
}

#[tokio::test]
async fn mission_gives_to_the_cause_that_was_chosen() {
    let mut play = Play::of("mission").await;
    play.joins("ann", json!({"cause": "mangroves"})).await;
    play.joins("bob", json!({})).await;
    play.buys("ann", "soap", 1_234).await;
    assert_eq!(play.books("causes").await, ["mangroves cause_due 1 tree"]);
    let not = "not_activated: the member had not activated the offer before buying";
    assert_eq!(play.gives("mission-change", "soap").await, not);
    play.buys("bob", "towel", 1_234).await;
    let none = "no_cause_chosen: the member has chosen none of the causes";
    assert_eq!(play.gives("mission-tree", "towel").await, none);
    // The change of 12.34 is 66 cents; of 20 whole euros nothing.
    play.now("2026-11-22").await;
    play.opts_in("ann", "mission-change").await;
    play.buys("ann", "bowl", 1_234).await;
    play.buys("ann", "plate", 2_000).await;
    assert_eq!(
        play.gives("mission-change", "plate").await,
        "reward_rounds_to_zero: the reward is less than the smallest unit of the currency"
    );
    assert_eq!(play.books("causes").await, ["mangroves cause_due 66 EUR", "mangroves cause_due 3 tree"]);
    // What is given away is never the member's.
    assert_eq!(play.has("ann").await, "nothing");
    // A part given back: too small for a tree, and other change.
    play.refunds("ann", "bowl", 254).await;
    assert_eq!(play.gives("mission-tree", "bowl").await, "spend_too_low: needs 10.00 EUR, has 9.80 EUR");
    assert_eq!(play.books("causes").await, ["mangroves cause_due 20 EUR", "mangroves cause_due 2 tree"]);
    // Another cause from now on; it plants no trees. Ten euros a month at most.
    play.now("2026-11-23").await;
    play.joins("ann", json!({"cause": "food-bank"})).await;
    for cup in 1..=10 {
        play.buys("ann", &format!("cup{cup:02}"), 1_001).await;
    }
    assert_eq!(play.gives("mission-tree", "cup01").await, none);
    assert_eq!(play.gives("mission-change", "cup10").await, "89 available");
    play.buys("ann", "cup11", 1_001).await;
    assert_eq!(
        play.gives("mission-change", "cup11").await,
        "reward_cap_reached: at most 10.00 EUR for one member in a month"
    );
    assert_eq!(
        play.books("causes").await,
        ["food-bank cause_due 980 EUR", "mangroves cause_due 20 EUR", "mangroves cause_due 2 tree"]
    );
    play.ends().await;
}

#[tokio::test]
async fn community_reviews_and_ideas_become_money_off() {
    let mut play = Play::of("community").await;
    play.joins("ann", json!({})).await;
    play.signals("ann", "review-posted", "r0").await;
    assert_eq!(
        play.gives_for("signal", "community-review", "r0").await,
        "purchase_count: needs at least 1 purchase, has 0"
    );
    play.buys("ann", "drill", 8_000).await;
    play.now("2026-11-22").await;
    for review in 1..=5 {
        play.signals("ann", "review-posted", &format!("r{review}")).await;
        play.signals("ann", "review-posted", &format!("r{review}")).await;
    }
    play.signals("ann", "idea-shared", "i1").await;
    play.signals("ann", "idea-shared", "i2").await;
    let often = "cap_reached: at most 4 rewards in a month, 4 before this one";
    assert_eq!(play.gives_for("signal", "community-review", "r5").await, often);
    assert_eq!(play.has("ann").await, "sparks available 130");
    let too_few = play.wants("ann", json!({"offer": "community-credit"})).await;
    assert_eq!(too_few, "not_enough_available: needs 200 sparks, has 130");
    // A month later there is room again.
    play.now("2026-12-01").await;
    for review in 6..=9 {
        play.signals("ann", "review-posted", &format!("r{review}")).await;
    }
    play.signals("ann", "idea-shared", "i3").await;
    assert_eq!(play.has("ann").await, "sparks available 260");
    assert_eq!(play.wants("ann", json!({"offer": "community-credit"})).await, "200 sparks for 1000 USD");
    assert_eq!(play.has("ann").await, "USD available 1000; sparks available 60, paid 200");
    // Who bought nothing reviews nothing: eight reviews are taken back, five of them spent.
    play.refunds("ann", "drill", 8_000).await;
    assert_eq!(play.has("ann").await, "USD available 1000; sparks paid 200, owed 100");
    // The credit was paid for and stays; new sparks settle what is owed first.
    play.now("2027-01-01").await;
    play.signals("ann", "idea-shared", "i4").await;
    let too_few = play.wants("ann", json!({"offer": "community-credit"})).await;
    assert_eq!(too_few, "not_enough_available: needs 200 sparks, has 0");
    assert_eq!(play.has("ann").await, "USD available 1000; sparks available 50, paid 200, owed 100");
    play.ends().await;
}

#[tokio::test]
async fn cashback_the_better_of_two_and_no_more_than_their_caps() {
    let mut play = Play::of("cashback").await;
    let members = (0..100).map(|n| format!("member{n}"));
    let (out, within): (Vec<_>, Vec<_>) = members.partition(|who| play.kept_out(who, "cashback-mornings", 10));
    let (ann, out) = (within[0].as_str(), out[0].as_str());
    for who in [ann, out] {
        play.joins(who, json!({})).await;
        play.opts_in(who, "cashback-mornings").await;
    }
    // Monday morning: promised when authorized, posted when cleared.
    play.now("2026-11-23T08:00").await;
    play.authorizes(ann, "beans", 4_000).await;
    assert_eq!(play.has(ann).await, "USD pending 200");
    play.buys(ann, "beans", 3_800).await;
    assert_eq!(play.has(ann).await, "USD posted 190");
    play.buys(out, "kept-out", 4_000).await;
    let not = "not_eligible: the offer is not available to this member";
    assert_eq!(play.gives("cashback-mornings", "kept-out").await, not);
    // A purchase of September is told of: the welcome back gives more, and one of both gives.
    play.bought(ann, "september", 2_000, "2026-09-10").await;
    assert_eq!(
        play.gives("cashback-mornings", "beans").await,
        "excluded_by_another: the offer cashback-welcome-back gives more, and only one of the group counts"
    );
    assert_eq!(play.has(ann).await, "USD available 380");
    // It was given back: nobody had been away.
    play.refunds(ann, "september", 2_000).await;
    assert_eq!(play.has(ann).await, "USD posted 190");
    assert_eq!(
        play.gives("cashback-welcome-back", "beans").await,
        "days_since_purchase: needs at least 60 days since the purchase before, has bought nothing before"
    );
    play.now("2026-11-24T12:00").await;
    play.buys(ann, "noon", 4_000).await;
    let noon = "outside_hours: bought at 2026-11-24 12:00, local time of the shop";
    assert_eq!(play.gives("cashback-mornings", "noon").await, noon);
    // Ten dollars a purchase, twenty in all.
    for (hour, purchase, gives) in [
        ("08", "grinder", "1000 posted"),
        ("09", "machine", "810 posted"),
        ("10", "filters", "reward_cap_reached: at most 20.00 USD for one member"),
    ] {
        play.now(&format!("2026-11-25T{hour}:00")).await;
        play.buys(ann, purchase, 30_000).await;
        assert_eq!(play.gives("cashback-mornings", purchase).await, gives);
    }
    // Given back within the hold days, and the next have room again.
    play.refunds(ann, "grinder", 30_000).await;
    assert_eq!(play.gives("cashback-mornings", "machine").await, "1000 posted");
    assert_eq!(play.gives("cashback-mornings", "filters").await, "810 posted");
    assert_eq!(play.has(ann).await, "USD posted 2000");
    play.now("2026-12-08").await;
    assert_eq!(play.has(ann).await, "USD posted 1810, available 190");
    play.now("2026-12-10").await;
    assert_eq!(play.wants(ann, json!({"amount_minor": 2_000, "currency": "USD"})).await, "2000 USD");
    // After December began the mornings are over; after sixty days one is welcome.
    play.now("2027-02-01T09:00").await;
    play.buys(ann, "back", 3_000).await;
    assert_eq!(play.gives("cashback-mornings", "back").await, "offer_ended: bought after the offer was over");
    assert_eq!(play.has(ann).await, "USD available 300, paid 2000");
    play.ends().await;
}

#[tokio::test]
async fn third_shop_two_visits_invite_to_the_third() {
    let mut play = Play::of("third-shop").await;
    play.joins("ann", json!({})).await;
    play.buys_at(HILLTOP, "ann", "first", 900).await;
    let visits = "locations_visited: needs at least 2 different locations, has 0";
    assert_eq!(play.gives("bakery-third-shop", "first").await, visits);
    play.buys_at(MARKET, "ann", "market", 900).await;
    play.buys_at(MARKET, "ann", "market-again", 900).await;
    assert_eq!(play.has("ann").await, "nothing");
    play.now("2026-11-22").await;
    play.buys_at(HARBOR, "ann", "harbor", 900).await;
    assert_eq!(play.has("ann").await, "invitation available 1");
    play.now("2026-11-23").await;
    play.buys_at(HILLTOP, "ann", "small", 499).await;
    let small = "spend_too_low: needs 5.00 USD, has 4.99 USD";
    assert_eq!(play.gives("bakery-third-shop", "small").await, small);
    play.buys_at(HILLTOP, "ann", "third", 1_200).await;
    assert_eq!(play.has("ann").await, "USD available 500; invitation available 1");
    assert_eq!(play.wants("ann", json!({"amount_minor": 500, "currency": "USD"})).await, "500 USD");
    // The harbor's bread came back: no invitation, and the five dollars are owed.
    play.refunds("ann", "harbor", 900).await;
    assert_eq!(play.has("ann").await, "USD paid 500, owed 500");
    let visits = "locations_visited: needs at least 2 different locations, has 1";
    assert_eq!(play.gives("bakery-third-shop", "third").await, visits);
    // Another visit there invites again, and the next at Hilltop settles what is owed.
    play.now("2026-11-24").await;
    play.buys_at(HARBOR, "ann", "harbor-again", 900).await;
    play.buys_at(HILLTOP, "ann", "hilltop-again", 900).await;
    assert_eq!(play.gives("bakery-invitation", "harbor-again").await, "1 available");
    assert_eq!(play.has("ann").await, "USD available 500, paid 500, owed 500; invitation available 1");
    let none = play.wants("ann", json!({"amount_minor": 1, "currency": "USD"})).await;
    assert_eq!(none, "not_enough_available: needs 0.01 USD, has 0.00 USD");
    // The invitation stands for thirty days.
    play.now("2026-12-25").await;
    assert_eq!(play.has("ann").await, "USD available 500, paid 500, owed 500");
    play.ends().await;
}

#[tokio::test]
async fn beauty_tiers_are_reached_over_night() {
    let mut play = Play::of("beauty-tiers").await;
    play.joins("ann", json!({})).await;
    play.buys("ann", "a-cream", 25_000).await;
    play.buys("ann", "b-soap", 5_000).await;
    assert_eq!(play.has("ann").await, "USD posted 600");
    play.now("2026-11-22").await;
    play.buys("ann", "c-brush", 10_000).await;
    assert_eq!(play.gives("beauty-back", "c-brush").await, "500 posted");
    play.now("2026-11-23").await;
    play.buys("ann", "d-scent", 40_000).await;
    assert_eq!(play.gives("beauty-back", "d-scent").await, "2000 posted");
    let silver = "tier_too_low: needs the tier gold, has silver";
    assert_eq!(play.gives("beauty-early-access", "d-scent").await, silver);
    play.now("2026-11-24").await;
    play.buys("ann", "e-mirror", 10_000).await;
    assert_eq!(play.has("ann").await, "USD posted 3900; early-access available 1");
    // The cream came back: every tier after it was reached later, or not at all.
    play.refunds("ann", "a-cream", 25_000).await;
    for (purchase, gives) in
        [("b-soap", "100 posted"), ("c-brush", "200 posted"), ("d-scent", "800 posted"), ("e-mirror", "500 posted")]
    {
        assert_eq!(play.gives("beauty-back", purchase).await, gives, "{purchase}");
    }
    assert_eq!(play.gives("beauty-early-access", "e-mirror").await, silver);
    assert_eq!(play.has("ann").await, "USD posted 1600");
    // Fourteen days of hold, day by day.
    play.now("2026-12-06").await;
    assert_eq!(play.has("ann").await, "USD posted 1500, available 100");
    play.now("2026-12-09").await;
    assert_eq!(play.has("ann").await, "USD available 1600");
    // A year and the grace later, nothing of it counts.
    play.now("2028-03-01").await;
    play.buys("ann", "f-comb", 10_000).await;
    assert_eq!(play.gives("beauty-back", "f-comb").await, "200 posted");
    play.ends().await;
}

#[tokio::test]
async fn refer_a_friend_pays_both_or_none_each_by_its_region() {
    let mut play = Play::of("refer-a-friend").await;
    play.joins("ann", json!({"region": "london"})).await;
    play.joins("bob", json!({"region": "leeds", "referred_by": "ann"})).await;
    play.joins("cyd", json!({})).await;
    play.now("2026-11-22").await;
    play.buys("cyd", "hat", 3_000).await;
    assert_eq!(play.gives("refer-a-friend", "hat").await, "not_referred: nobody had referred the member by then");
    play.buys("bob", "scarf", 1_999).await;
    let small = "not_qualifying: a referral is rewarded for the first purchase that is large enough, which this is not";
    assert_eq!(play.gives("refer-a-friend", "scarf").await, small);
    play.now("2026-11-23").await;
    play.buys("bob", "coat", 3_000).await;
    assert_eq!((play.has("ann").await, play.has("bob").await), ("GBP posted 1000".into(), "GBP posted 300".into()));
    // Merchant and operator share both, by half.
    let shared = ["merchant_funding -650 GBP", "member_posted 1300 GBP", "operator_funding -650 GBP"];
    assert_eq!(play.books("accounts").await, shared);
    // Neither is paid while Bob is held, though the offer asks a good standing of Ann alone;
    // clear again, both are.
    play.stands("bob", Standing::Held, "2026-11-20").await;
    assert_eq!((play.has("ann").await, play.has("bob").await), ("GBP held 1000".into(), "GBP held 300".into()));
    assert_eq!(play.gives("refer-a-friend", "coat").await, "300 held");
    play.now("2026-12-24").await;
    assert_eq!((play.has("ann").await, play.has("bob").await), ("GBP held 1000".into(), "GBP held 300".into()));
    play.stands("bob", Standing::Clear, "2026-11-20").await;
    assert_eq!(play.has("ann").await, "GBP available 1000");
    assert_eq!(play.has("bob").await, "GBP available 300");
    assert_eq!(play.wants("ann", json!({"amount_minor": 400, "currency": "GBP"})).await, "400 GBP");
    // Half of the coat given back: not large enough, for either side.
    play.refunds("bob", "coat", 1_500).await;
    assert_eq!((play.has("ann").await, play.has("bob").await), ("GBP paid 400, owed 400".into(), "nothing".into()));
    // The next large one qualifies instead: what was paid is part of the new reward, once settled.
    play.buys("bob", "boots", 20_000).await;
    assert_eq!(play.gives("refer-a-friend", "boots").await, "1000 posted");
    assert_eq!(play.has("bob").await, "GBP posted 1000");
    // Barred is neither's reward.
    play.stands("ann", Standing::Barred, "2026-11-20").await;
    assert_eq!(play.has("bob").await, "nothing");
    play.ends().await;
}

#[tokio::test]
async fn coffee_club_beans_stamps_friends_and_a_coffee() {
    let mut play = Play::of("coffee-club").await;
    play.joins("ann", json!({})).await;
    play.joins("bob", json!({"referred_by": "ann"})).await;
    play.buys_at(PARIS, "ann", "a-paris", 1_249).await;
    assert_eq!(play.has("ann").await, "beans available 37");
    play.now("2026-11-22").await;
    play.buys_at(MILAN, "ann", "b-milan", 300).await;
    assert_eq!(play.has("ann").await, "beans available 65");
    play.now("2026-11-23").await;
    play.buys_at(PARIS, "ann", "c-paris", 2_000).await;
    assert_eq!(play.has("ann").await, "beans available 85");
    let too_few = play.wants("ann", json!({"offer": "coffee-for-beans"})).await;
    assert_eq!(too_few, "not_enough_available: needs 100 beans, has 85");
    play.buys_at(MILAN, "bob", "d-bob", 499).await;
    assert_eq!(play.has("bob").await, "beans available 29");
    play.buys_at(MILAN, "bob", "e-bob", 500).await;
    assert_eq!(play.has("bob").await, "beans available 84");
    assert_eq!(play.has("ann").await, "beans available 185");
    // A hundred beans for a coffee, those first that expire soonest.
    assert_eq!(play.wants("ann", json!({"offer": "coffee-for-beans"})).await, "100 beans for 1 free-coffee");
    assert_eq!(play.has("ann").await, "beans available 85, paid 100; free-coffee available 1");
    assert_eq!(play.wants("ann", json!({"perk": "free-coffee"})).await, "1 free-coffee");
    // The first Paris came back: its stamp moves to the second, and what was spent is owed.
    play.refunds("ann", "a-paris", 1_249).await;
    assert_eq!(play.gives("coffee-stamp-france", "c-paris").await, "25 available");
    assert_eq!(play.has("ann").await, "beans available 110, paid 100, owed 37; free-coffee paid 1");
    // Bob's came back too: no friend's beans for either, the purchase's own gone.
    play.refunds("bob", "e-bob", 1).await;
    assert_eq!(play.has("bob").await, "beans available 33");
    assert_eq!(play.has("ann").await, "beans available 25, paid 100, owed 52; free-coffee paid 1");
    // Unused beans are gone after a year.
    play.now("2027-11-23").await;
    assert_eq!(play.has("ann").await, "beans available 25, paid 100, owed 52; free-coffee paid 1");
    play.now("2027-11-24").await;
    assert_eq!(play.has("ann").await, "beans paid 100, owed 52; free-coffee paid 1");
    play.ends().await;
}
