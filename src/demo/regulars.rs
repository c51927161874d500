//! Who comes for the houses' programmes: what each regular says of themselves, buys, does and
//! spends, so that every one of the ten programmes gives something; and what each offer must
//! have given by plain counting, written without the engine's help.

use super::circles::Call;
use super::day::{Day, Expect, Message, Proof, Step};
use super::dialect::Event;
use super::houses::House;
use super::town::{BANK, CITIES, SOURCES, Town, TownOffer};
use crate::domain::time::DAY_MS;
use crate::domain::{EventKind, MemberId, OfferId, Timestamp};
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Regulars of each house.
const PER_HOUSE: usize = 12;
/// Their purchases are numbered from here, beyond those of any day.
const FIRST_NUMBER: u64 = 2_000_000_000;
/// In the afternoon of Lisbon and the morning of Portland.
const HOUR: i64 = 15;

/// Whether an offer keeps a member out, to measure what it brings.
pub type KeptOut<'a> = &'a dyn Fn(&MemberId, &TownOffer) -> bool;

/// All that they do, and what must come of it.
#[derive(Debug, Default)]
pub struct Regulars {
    /// What they say of themselves.
    pub said: Vec<Call>,
    /// What they opt in to, before anything else.
    pub activated: Vec<(MemberId, OfferId)>,
    /// What they do besides buying.
    pub signals: Vec<Call>,
    /// The offers that they spend points on.
    pub spent: Vec<(MemberId, OfferId)>,
    /// What each offer must have given in all, in the unit of its reward.
    pub expected: BTreeMap<OfferId, i64>,
}

impl Regulars {
    /// Moves them to the town, and what they buy to its day.
    #[must_use]
    pub fn join(town: &mut Town, day: &mut Day, houses: &[House], kept_out: KeptOut<'_>) -> Self {
        let mut number = FIRST_NUMBER;
        let mut regulars = Self::default();
        for house in houses {
            let who: Vec<usize> = (0..PER_HOUSE).map(|_| town.regular(house.shops[0].city)).collect();
            let mut plan = Plan { town, day, house, who, regulars: &mut regulars, number };
            house.offers.iter().for_each(|offer| plan.gives(offer.id.as_str(), 0));
            match house.programme {
                "coffee-club" => plan.coffee_club(),
                "beauty-tiers" => plan.beauty_tiers(),
                "refer-a-friend" => plan.refer_a_friend(),
                "monthly-box" => plan.monthly_box(),
                "mission" => plan.mission(),
                "community" => plan.community(),
                "punch-card" => plan.punch_card(),
                "birthday" => plan.birthday(),
                "third-shop" => plan.third_shop(),
                "cashback" => plan.cashback(kept_out),
                other => unreachable!("nobody comes for {other}"),
            }
            number = plan.number;
        }
        day.messages.sort_by_key(|message| message.deliver);
        regulars
    }
}

/// What the regulars of one house do.
struct Plan<'a> {
    town: &'a Town,
    day: &'a mut Day,
    house: &'a House,
    /// Places among the town's people.
    who: Vec<usize>,
    regulars: &'a mut Regulars,
    number: u64,
}

impl Plan<'_> {
    fn id(&self, who: usize) -> MemberId {
        self.town.people[self.who[who]].id.clone()
    }
    /// In the afternoon, so many days before the town's.
    fn ago(&self, days: i64) -> Timestamp {
        self.day.start.plus_ms(HOUR * 3_600_000 - days * DAY_MS)
    }
    /// What a regular says of themselves, long ago.
    fn says(&mut self, who: usize, mut profile: Value) {
        let since = self.ago(300).to_string();
        profile["joined_at"] = json!(since);
        profile["profile_from"] = json!(since);
        let path = format!("/v1/members/{}", self.id(who));
        self.regulars.said.push(Call { method: "PUT", path, body: profile.to_string() });
    }
    /// A purchase, cleared at once. What was bought before the town's day is told when it begins.
    fn buys(&mut self, who: usize, shop: usize, minor: i64, at: Timestamp) -> Vec<Step> {
        self.number += 1;
        let step = Step { kind: EventKind::Clearing, minor: Some(minor), at, sequence: None };
        self.tells(who, shop, &[step]);
        vec![step]
    }
    /// Gives the last purchase back.
    fn returns(&mut self, who: usize, shop: usize, mut steps: Vec<Step>) {
        let at = self.day.start.plus_ms((HOUR + 1) * 3_600_000);
        steps.push(Step { kind: EventKind::Refund, at, ..steps[0] });
        self.tells(who, shop, &steps);
    }
    fn tells(&mut self, who: usize, shop: usize, steps: &[Step]) {
        let (lane, number, at) = (self.who[who], self.number, steps.len() - 1);
        let (card, shop) = (&self.town.people[lane].cards[0], &self.house.shops[shop]);
        let bodies = SOURCES[BANK].dialect.bodies(&Event { number, at, card, shop, steps });
        self.day.messages.push(Message {
            lane,
            source: BANK,
            deliver: steps[at].at.max(self.day.start).plus_ms(5_000),
            id: format!("msg_{number}_{at}"),
            body: bodies.into_iter().next().unwrap_or_default(),
            proof: Proof::Right,
            copies: 1,
            expect: Expect::Ours,
            tells: None,
        });
    }
    fn signals(&mut self, who: usize, kind: &str, id: String, at: Timestamp) {
        let path = format!("/v1/members/{}/signals", self.id(who));
        let body = json!({"kind": kind, "id": id, "at": at.to_string()}).to_string();
        self.regulars.signals.push(Call { method: "POST", path, body });
    }
    fn opts_in(&mut self, who: usize, offer: &str) {
        self.regulars.activated.push((self.id(who), offer_id(offer)));
    }
    fn spends_on(&mut self, who: usize, offer: &str) {
        self.regulars.spent.push((self.id(who), offer_id(offer)));
    }
    fn gives(&mut self, offer: &str, more: i64) {
        *self.regulars.expected.entry(offer_id(offer)).or_default() += more;
    }

    /// A bean for each euro, a stamp for each country, beans for a friend, and coffee for beans.
    fn coffee_club(&mut self) {
        let (paris, milan) = (0, 1);
        for who in 0..PER_HOUSE {
            let mut bought = vec![(paris, 700 + 90 * minor(who), 20)];
            bought.extend((who % 2 == 0).then_some((milan, 1_234, 12)));
            bought.extend((who % 3 == 0).then_some((paris, 9_000, 5)));
            bought.extend((who == PER_HOUSE - 1).then_some((paris, 500, 0)));
            for (shop, minor, days) in &bought {
                self.buys(who, *shop, *minor, self.ago(*days));
                self.gives("coffee-beans", minor / 100);
            }
            self.gives("coffee-stamp-france", 25);
            if who % 2 == 0 {
                self.gives("coffee-stamp-italy", 25);
            }
            if who % 3 == 0 {
                self.spends_on(who, "coffee-for-beans");
                self.gives("coffee-for-beans", 1);
            }
        }
        // The last was brought by the one before, and buys on the day itself.
        let by = self.id(PER_HOUSE - 2);
        self.says(PER_HOUSE - 1, json!({"referred_by": by.as_str()}));
        self.gives("coffee-friend", 100 + 50);
    }

    /// What was spent forty days ago makes the tier of the day.
    fn beauty_tiers(&mut self) {
        for who in 0..PER_HOUSE {
            let (before, back_before, back) = [(0, 0, 160), (25_000, 500, 400), (70_000, 1_000, 640)][who % 3];
            if before > 0 {
                self.buys(who, 0, before, self.ago(40));
            }
            self.buys(who, 0, 8_000, self.ago(0));
            self.gives("beauty-back", back_before + back);
            self.gives("beauty-early-access", i64::from(before >= 60_000));
        }
    }

    /// Every other one brings the next, each in a region of their own.
    fn refer_a_friend(&mut self) {
        for who in (0..PER_HOUSE).step_by(2) {
            let (by, friend) = (self.id(who), who + 1);
            let region = |in_london: bool| if in_london { "london" } else { "leeds" };
            let (first, second) = (who % 4 == 0, who % 8 < 4);
            self.says(who, json!({"region": region(first)}));
            self.says(friend, json!({"region": region(second), "referred_by": by.as_str()}));
            let minor = 3_000 + 500 * minor(who);
            self.buys(friend, 0, minor, self.ago(0));
            let for_friend = if second { 1_000 } else { (minor / 10).min(1_000) };
            self.gives("refer-a-friend", if first { 1_000 } else { 500 } + for_friend);
        }
    }

    /// Boxes month after month up to the day; what the third month in a row brings is gone
    /// sixty days later.
    fn monthly_box(&mut self) {
        let zone = TimeZone::get(CITIES[self.house.shops[0].city].zone).unwrap_or(TimeZone::UTC);
        let today = self.ago(0).local(&zone).date();
        for who in 0..PER_HOUSE {
            let months = [1, 2, 3, 6, 12][who % 5];
            self.buys(who, 0, 3_500, self.ago(0));
            for back in 1..months {
                let date = today.first_of_month().saturating_sub(jiff::Span::new().months(back));
                let at = Timestamp::from_local(date.at(10, 0, 0, 0), &zone).plus_ms(2 * DAY_MS);
                self.buys(who, 0, 3_500, at);
            }
            self.gives("box-three-months", i64::from(months % 3 == 0));
            self.gives("box-whole-year", if months == 12 { 3_000 } else { 0 });
        }
    }

    /// Trees and change, for who has chosen a cause.
    fn mission(&mut self) {
        for who in 0..PER_HOUSE {
            let cause = ["rain-forest", "mangroves", "food-bank", ""][who % 4];
            if !cause.is_empty() {
                self.says(who, json!({"cause": cause}));
            }
            let opted = who % 3 != 0;
            if opted {
                self.opts_in(who, "mission-change");
            }
            for (minor, days) in [(1_037 + 61 * minor(who), 4), (940 + 11 * minor(who), 1)] {
                self.buys(who, 0, minor, self.ago(days));
                let plants = minor >= 1_000 && who % 4 < 2;
                self.gives("mission-tree", i64::from(plants));
                self.gives("mission-change", if opted && who % 4 < 3 { (100 - minor % 100) % 100 } else { 0 });
            }
        }
    }

    /// Reviews by those who bought, and ideas; sparks of three months are money off.
    fn community(&mut self) {
        for who in 0..PER_HOUSE {
            let bought = who % 4 != 3;
            if bought {
                self.buys(who, 0, 2_500, self.ago(100));
            }
            let mut sparks = 0;
            for month in 0..3 {
                let at = self.ago(70 - 31 * month);
                let (reviews, ideas) = (who % 7, who % 3);
                for nth in 0..reviews {
                    self.signals(who, "review-posted", format!("review-{who}-{month}-{nth}"), at);
                }
                for nth in 0..ideas {
                    self.signals(who, "idea-shared", format!("idea-{who}-{month}-{nth}"), at);
                }
                let from_reviews = if bought { 20 * minor(reviews.min(4)) } else { 0 };
                let from_ideas = 50 * minor(ideas.min(1));
                self.gives("community-review", from_reviews);
                self.gives("community-idea", from_ideas);
                sparks += from_reviews + from_ideas;
            }
            if sparks >= 200 {
                self.spends_on(who, "community-credit");
                self.gives("community-credit", 1_000);
            }
        }
    }

    /// Cups of seven weeks; some are given back, and a biscuit is no cup.
    fn punch_card(&mut self) {
        for who in 0..PER_HOUSE {
            let cups = 5 + 3 * minor(who);
            let mut last = Vec::new();
            for cup in 0..cups {
                let at = self.ago(48 - 48 * cup / cups).plus_ms(cup * 60_000);
                last = self.buys(who, 0, 350 + 10 * cup, at);
            }
            let returned = who % 3 == 1;
            if returned {
                self.returns(who, 0, last);
            }
            self.buys(who, 0, 250, self.ago(0));
            self.gives("punch-card", (cups - i64::from(returned)) / 10);
        }
    }

    /// Birthdays from three weeks before the day to three weeks after.
    fn birthday(&mut self) {
        let today = self.ago(0).local(&TimeZone::UTC).date();
        for who in 0..PER_HOUSE {
            let away = 4 * minor(who) - 22;
            let born = today.saturating_add(jiff::Span::new().days(away));
            self.says(who, json!({"birthday": born.strftime("--%m-%d").to_string()}));
            let minor = 2_000 + 900 * minor(who);
            self.buys(who, 0, minor, self.ago(0));
            self.gives("birthday", if away.abs() <= 7 { (minor / 5).min(2_000) } else { 0 });
        }
    }

    /// To one shop, to both, or on to the third.
    fn third_shop(&mut self) {
        let (market, harbor, hilltop) = (0, 1, 2);
        for who in 0..PER_HOUSE {
            self.buys(who, market, 640, self.ago(10));
            if who % 3 > 0 {
                self.buys(who, harbor, 720, self.ago(8));
                self.gives("bakery-invitation", 1);
            }
            if who % 3 > 1 {
                // Once alone.
                self.buys(who, hilltop, 810, self.ago(3));
                self.buys(who, hilltop, 990, self.ago(1));
                self.gives("bakery-third-shop", 500);
            }
        }
    }

    /// Three mornings of the working week; who had stayed away is welcomed back with more.
    fn cashback(&mut self, kept_out: KeptOut<'_>) {
        let working =
            |at: &Timestamp| !matches!(at.local(&TimeZone::UTC).date().weekday(), Weekday::Saturday | Weekday::Sunday);
        let mornings: Vec<Timestamp> = (1..=7).map(|days| self.ago(days)).filter(working).take(3).collect();
        let house = self.house;
        let offer = house.offers.iter().find(|offer| offer.id.as_str() == "cashback-mornings");
        for who in 0..PER_HOUSE {
            self.opts_in(who, "cashback-mornings");
            let away = who % 3 == 0;
            if away {
                self.buys(who, 0, 900, self.ago(100));
            }
            let kept_out = offer.is_some_and(|offer| kept_out(&self.id(who), offer));
            for (nth, at) in mornings.iter().rev().enumerate() {
                let minor = 600 + 40 * minor(who) + 7 * minor(nth);
                self.buys(who, 0, minor, *at);
                if away && nth == 0 {
                    self.gives("cashback-welcome-back", (minor / 10).min(500));
                } else if !kept_out {
                    self.gives("cashback-mornings", minor / 20);
                }
            }
        }
    }
}

fn offer_id(id: &str) -> OfferId {
    OfferId::new(id).expect("an offer of a programme")
}

fn minor(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
