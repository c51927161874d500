//! An offer in plain English: one sentence, the same for members and merchants.
//!
//! Each condition is either something members *do or are* ("have not bought for 60 days") or
//! a *circumstance* of buying ("on weekdays before noon"); alternatives and exceptions are
//! clauses made of the same phrases.

use super::{
    Activation, Amount, Beneficiary, Bounds, Branch, Comparison, Condition, Count, CountCap, LocalTime, Measure,
    MemberTest, Period, PurchaseTest, Reach, Reward, Terms, Trigger, What, Within,
};
use crate::domain::{BasisPoints, Channel, Currency, Money, Unit};
use jiff::civil;
use std::ops::RangeInclusive;

/// Days of a week, Monday first.
const DAYS: [&str; 7] = ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"];
/// Noon, in minutes.
const NOON: u16 = 12 * 60;
/// Midnight at the end of a day, in minutes.
const MIDNIGHT: u16 = 24 * 60;

/// A condition, as a part of a sentence about members.
enum Phrase {
    /// What they do or are: follows "members who" or "they".
    Verb(String),
    /// How, where and when they buy.
    Circumstance(String),
    /// Which of their purchases it comes with.
    Recurring(String),
    /// A whole clause, with the word that joins it: "when they …".
    Clause(String),
}

impl Terms {
    /// The offer in one plain English sentence.
    ///
    /// ```
    /// use ringfence::domain::offer::{Condition, Reward, Terms};
    /// use ringfence::domain::{Currency, MerchantId};
    ///
    /// let usd = Currency::parse("USD").unwrap();
    /// let terms = Terms::new(MerchantId::new("blue-bottle").unwrap(), "Coffee", usd, Reward::percent(500, Some(1000)))
    ///     .and(Condition::local_time(0b1_1111, 0, 12 * 60));
    /// assert_eq!(terms.in_words(), "Members get 5 percent, up to 10.00 USD, on weekdays before noon.");
    /// ```
    #[must_use]
    pub fn in_words(&self) -> String {
        let words = Words { currency: self.currency };
        let mut phrases = Vec::new();
        words.conjunction(&self.when, &mut phrases);
        let (mut verbs, mut around, mut clauses) = (Vec::new(), Vec::new(), Vec::new());
        if self.activation == Activation::Required {
            verbs.push("have opted in".to_owned());
        }
        for phrase in phrases {
            match phrase {
                Phrase::Verb(text) => verbs.push(text),
                Phrase::Circumstance(text) | Phrase::Recurring(text) => around.push(text),
                Phrase::Clause(text) => clauses.push(text),
            }
        }
        let who = if verbs.is_empty() { String::new() } else { format!(" who {}", joined(&verbs, "and")) };
        let sentence = format!("{}embers{who} {}", words.trigger(&self.trigger), words.given(self));
        let mut parts = vec![sentence];
        parts.extend(good_for(&self.reward.what));
        let referred = words.referred(&self.trigger);
        if !referred.is_empty() {
            // What is asked of who refers stands before what the other gets unasked.
            let asked = std::mem::take(&mut around);
            parts.extend(Some(asked.join(" ")).filter(|asked| !asked.is_empty()));
            parts.append(&mut clauses);
        }
        parts.extend(referred);
        parts.extend(words.limits(self));
        if let Reach::Category { mcc, except } = &self.reach {
            let except: Vec<_> = except.iter().map(ToString::to_string).collect();
            let but =
                if except.is_empty() { String::new() } else { format!(" but {}", few(&except, "and", "merchants")) };
            around.push(format!("at any merchant of category {}{but}", categories(mcc)));
        }
        if !around.is_empty() {
            parts.push(around.join(" "));
        }
        parts.extend(clauses);
        parts.extend(self.life());
        format!("{}.", parts.join(", "))
    }

    /// From when until when.
    fn life(&self) -> Option<String> {
        let midnight = |at: civil::DateTime| at.time() == civil::Time::midnight();
        let starts = self.starts.map(|at| if midnight(at) { date(at.date()) } else { date_and_time(at) });
        // One that ends at midnight ends with the day before.
        let ends = self.ends.map(|at| match at.date().yesterday() {
            Ok(last) if midnight(at) => format!("until the end of {}", date(last)),
            _ => format!("until {}", date_and_time(at)),
        });
        match (starts, ends) {
            (Some(starts), Some(ends)) => Some(format!("from {starts} {ends}")),
            (Some(starts), None) => Some(format!("from {starts}")),
            (None, ends) => ends,
        }
    }
}

/// What every phrase needs to know.
struct Words {
    currency: Currency,
}

impl Words {
    fn money(&self, minor: i64) -> String {
        Money::new(minor, self.currency).to_string()
    }

    /// What members get, with its verb.
    fn given(&self, terms: &Terms) -> String {
        let reward = self.reward(&terms.reward);
        match &terms.beneficiary {
            Beneficiary::Member => format!("get {reward}"),
            Beneficiary::Cause(causes) => {
                let causes: Vec<_> = causes.iter().map(ToString::to_string).collect();
                match &causes[..] {
                    [cause] => format!("have {reward} given to {cause}"),
                    _ => format!("have {reward} given to the cause they chose of {}", few(&causes, "and", "causes")),
                }
            }
        }
    }

    fn reward(&self, reward: &Reward) -> String {
        self.amount(&reward.amount, reward.what.unit(self.currency))
    }

    fn amount(&self, amount: &Amount, unit: Unit) -> String {
        let most = |max: &Option<i64>| max.map(|max| format!(", up to {}", unit.shown(max))).unwrap_or_default();
        match amount {
            Amount::Fixed(give) => unit.shown(*give),
            Amount::Share { basis_points, max } => match unit {
                Unit::Money(_) => format!("{}{}", percent(*basis_points), most(max)),
                _ => format!("{unit} for {} of the purchase{}", percent(*basis_points), most(max)),
            },
            Amount::PerStep { give, spend_minor, max } => {
                format!("{} for each {} spent{}", unit.shown(*give), self.money(*spend_minor), most(max))
            }
            Amount::Steps(steps) => {
                let step = |give, spend| format!("{} from {} on", unit.shown(give), self.money(spend));
                let steps: Vec<_> = steps.iter().map(|s| step(s.give, s.spend_minor)).collect();
                joined(&steps, "and")
            }
            Amount::RoundUp { to_minor } => {
                format!("what rounds the purchase up to the next {}", self.money(*to_minor))
            }
            Amount::OfAnother { offer, basis_points: BasisPoints::WHOLE } => format!("as much again as {offer} gives"),
            Amount::OfAnother { offer, basis_points } => {
                format!("{} of what {offer} gives, besides", percent(*basis_points))
            }
            Amount::FirstOf(branches) => {
                let branch = |branch: &Branch| {
                    let given = self.amount(&branch.amount, unit);
                    if branch.when == Condition::always() {
                        return given;
                    }
                    format!("{given} when {}", self.clause(&branch.when))
                };
                branches.iter().map(branch).collect::<Vec<_>>().join(", otherwise ")
            }
        }
    }

    /// What a member does to get it, when that is no purchase, up to the word "members".
    fn trigger(&self, trigger: &Trigger) -> String {
        match trigger {
            Trigger::Purchase => "M".to_owned(),
            Trigger::Signal { kind } => format!("For each {kind}, m"),
            Trigger::Points { unit, points } => format!("For {}, m", Unit::Points(*unit).shown(*points)),
            Trigger::Referral { spend_at_least_minor, .. } => {
                format!("For each member they refer who spends at least {}, m", self.money(*spend_at_least_minor))
            }
        }
    }

    /// What the referred member gets.
    fn referred(&self, trigger: &Trigger) -> Vec<String> {
        let Trigger::Referral { referred: Some(reward), .. } = trigger else { return Vec::new() };
        let given = format!("and that member gets {}", self.reward(reward));
        std::iter::once(given).chain(good_for(&reward.what)).collect()
    }

    fn limits(&self, terms: &Terms) -> Vec<String> {
        let limits = &terms.limits;
        let unit = terms.unit();
        let counted = |cap: CountCap| {
            let most = if cap.count == 1 { "" } else { "at most " };
            let period = a_period(cap.every).map(|period| format!(" {period}")).unwrap_or_default();
            format!("{most}{}{period}", times(i64::from(cap.count)))
        };
        let mut said: Vec<String> = limits.per_member.map(counted).into_iter().collect();
        if let Some(cap) = limits.reward_per_period {
            let period = a_period(cap.every).unwrap_or("in all");
            said.push(format!("at most {} {period}", unit.shown(cap.minor)));
        }
        if let Some(minor) = limits.reward_per_member_minor {
            said.push(format!("at most {} in all", unit.shown(minor)));
        }
        if let Some(cap) = limits.referrals {
            let period = a_period(cap.every).map(|period| format!(" {period}")).unwrap_or_default();
            said.push(format!("for at most {}{period}", several(i64::from(cap.count), "referral")));
        }
        said
    }

    /// The phrases of conditions that must all hold.
    fn conjunction(&self, condition: &Condition, found: &mut Vec<Phrase>) {
        match condition {
            Condition::All(list) => list.iter().for_each(|condition| self.conjunction(condition, found)),
            Condition::Any(_) => found.push(Phrase::Clause(format!("when {}", self.clause(condition)))),
            Condition::Not(inner) => found.push(Phrase::Clause(format!("unless {}", self.clause(inner)))),
            leaf => found.push(self.leaf(leaf)),
        }
    }

    /// A condition as a clause about "them".
    fn clause(&self, condition: &Condition) -> String {
        let list = |list: &[Condition], word: &str| {
            let nested = |inner: &Condition| match inner {
                Condition::All(list) | Condition::Any(list) if list.len() > 1 => format!("({})", self.clause(inner)),
                _ => self.clause(inner),
            };
            joined(&list.iter().map(nested).collect::<Vec<_>>(), word)
        };
        match condition {
            Condition::All(all) if all.is_empty() => "they buy".to_owned(),
            Condition::All(all) => list(all, "and"),
            Condition::Any(any) => list(any, "or"),
            Condition::Not(inner) => format!("not ({})", self.clause(inner)),
            leaf => match self.leaf(leaf) {
                Phrase::Verb(text) => format!("they {text}"),
                Phrase::Circumstance(text) => format!("they buy {text}"),
                Phrase::Recurring(text) => format!("it comes {text}"),
                Phrase::Clause(text) => text,
            },
        }
    }

    fn leaf(&self, condition: &Condition) -> Phrase {
        match condition {
            Condition::Purchase(test) => self.purchase(test),
            Condition::Member(test) => Phrase::Verb(member(test)),
            Condition::Count(count) => self.count(count),
            tree => Phrase::Clause(self.clause(tree)),
        }
    }

    fn purchase(&self, test: &PurchaseTest) -> Phrase {
        Phrase::Circumstance(match test {
            PurchaseTest::Spend(bounds) => return Phrase::Verb(format!("spend {}", range(*bounds, |n| self.money(n)))),
            PurchaseTest::Channel(Channel::InStore) => "in a shop".to_owned(),
            PurchaseTest::Channel(Channel::Online) => "online".to_owned(),
            PurchaseTest::Channel(Channel::Unknown) => "neither online nor in a shop as far as is known".to_owned(),
            PurchaseTest::Locations(list) => {
                let list: Vec<_> = list.iter().map(ToString::to_string).collect();
                format!("at {}", few(&list, "or", "shops"))
            }
            PurchaseTest::Countries(list) => {
                let list: Vec<_> = list.iter().map(ToString::to_string).collect();
                format!("in {}", few(&list, "or", "countries"))
            }
            PurchaseTest::Mcc(list) => format!("in merchant category {}", categories(list)),
            PurchaseTest::LocalTime(window) => local_time(*window),
            PurchaseTest::Dates(list) => {
                let dates = |range: &RangeInclusive<civil::Date>| match (range.start(), range.end()) {
                    (from, to) if from == to => format!("on {}", date(*from)),
                    (from, to) => format!("from {} to {}", date(*from), date(*to)),
                };
                few(&list.iter().map(dates).collect::<Vec<_>>(), "or", "times")
            }
        })
    }

    fn count(&self, count: &Count) -> Phrase {
        let within = within(count.within);
        let only = self.only(&count.of);
        let verb = |text: String| Phrase::Verb(format!("{text}{within}{only}"));
        let every = |text: String| Phrase::Recurring(format!("with every {text}{within}{only}"));
        let bought = |bounds: Bounds| format!("have bought {}", range(bounds, times));
        match (count.what, count.is) {
            (Measure::Purchases, Comparison::Within(Bounds { at_least: Some(n), at_most: Some(m) })) if n == m => {
                verb(format!("make their {} purchase", ordinal(n)))
            }
            (Measure::Purchases, Comparison::Within(bounds)) => verb(bought(bounds)),
            (Measure::Purchases, Comparison::Reaches(n)) => verb(format!("make their {} purchase", ordinal(n))),
            (Measure::Purchases, Comparison::Every(n)) => every(nth(n, "purchase")),
            (Measure::Spend, Comparison::Within(bounds)) => {
                verb(format!("have spent {} in all", range(bounds, |n| self.money(n))))
            }
            (Measure::Spend, Comparison::Reaches(n)) => verb(format!("bring their spend to {}", self.money(n))),
            (Measure::Spend, Comparison::Every(n)) => every(format!("{} spent in all", self.money(n))),
            (Measure::Locations, is) => different(is, ["visit", "visited"], "shop", &verb, &every),
            (Measure::Categories, is) => different(is, ["buy in", "bought in"], "merchant category", &verb, &every),
            (Measure::Streak(period), is) => streak(period_name(period), is, &verb, &every),
            (Measure::DaysSince, is) => verb(days_since(is)),
            (Measure::Referrals, Comparison::Within(bounds)) => {
                verb(format!("have referred {} who bought", range(bounds, |n| several(n, "member"))))
            }
            (Measure::Referrals, Comparison::Reaches(n)) => verb(format!("refer their {} member who buys", ordinal(n))),
            (Measure::Referrals, Comparison::Every(n)) => every(nth(n, "referral")),
        }
    }

    /// Which purchases are counted.
    fn only(&self, of: &[PurchaseTest]) -> String {
        if of.is_empty() {
            return String::new();
        }
        let test = |test: &PurchaseTest| match self.purchase(test) {
            Phrase::Verb(text) => text.replacen("spend ", "of ", 1),
            Phrase::Circumstance(text) | Phrase::Recurring(text) | Phrase::Clause(text) => text,
        };
        let tests: Vec<_> = of.iter().map(test).collect();
        format!(" (counting only purchases {})", joined(&tests, "and"))
    }
}

/// For how long it may be used.
fn good_for(what: &What) -> Option<String> {
    what.expires_days().map(|days| format!("good for {}", several(i64::from(days), "day")))
}

fn different(
    is: Comparison,
    [visit, visited]: [&str; 2],
    what: &str,
    verb: &impl Fn(String) -> Phrase,
    every: &impl Fn(String) -> Phrase,
) -> Phrase {
    let what = format!("different {what}");
    match is {
        Comparison::Within(bounds) => verb(format!("have {visited} {}", range(bounds, |n| several(n, &what)))),
        Comparison::Reaches(n) => verb(format!("{visit} their {} {what}", ordinal(n))),
        Comparison::Every(n) => every(nth(n, &what)),
    }
}

fn streak(period: &str, is: Comparison, verb: &impl Fn(String) -> Phrase, every: &impl Fn(String) -> Phrase) -> Phrase {
    match is {
        Comparison::Within(bounds) => {
            verb(format!("have bought in {} in a row", range(bounds, |n| several(n, period))))
        }
        Comparison::Reaches(n) => verb(format!("buy in the {} {period} in a row", ordinal(n))),
        Comparison::Every(n) => every(format!("{} in a row", nth(n, period))),
    }
}

fn days_since(is: Comparison) -> String {
    let days = |n| several(n, "day");
    match is {
        Comparison::Within(Bounds { at_least: Some(least), at_most: None }) => {
            format!("have not bought for {}", days(least))
        }
        Comparison::Within(Bounds { at_least: None, at_most: Some(most) }) => {
            format!("have bought in the last {}", days(most))
        }
        Comparison::Within(bounds) => format!("last bought {} ago", range(bounds, days)),
        Comparison::Reaches(n) | Comparison::Every(n) => format!("have not bought for {}", days(n)),
    }
}

fn member(test: &MemberTest) -> String {
    match test {
        MemberTest::Segments(list) => format!("are in the group {}", few(list, "or", "groups")),
        MemberTest::Regions(list) => format!("are of the region {}", few(list, "or", "regions")),
        MemberTest::Birthday { days_before: 0, days_after: 0 } => "have their birthday".to_owned(),
        MemberTest::Birthday { days_before, days_after } => {
            let days = |n: u16| several(i64::from(n), "day");
            match (*days_before, *days_after) {
                (0, after) => format!("have their birthday or had it up to {} ago", days(after)),
                (before, 0) => format!("have their birthday within {}", days(before)),
                (before, after) => {
                    format!("have their birthday within {} or had it up to {} ago", days(before), days(after))
                }
            }
        }
        MemberTest::TenureDays(bounds) => format!("have been members for {}", range(*bounds, |n| several(n, "day"))),
        MemberTest::Tier(name) => format!("are on tier {name} or above"),
        MemberTest::Clear => "are in good standing".to_owned(),
        MemberTest::Referred => "were referred by another".to_owned(),
    }
}

fn local_time(window: LocalTime) -> String {
    let days = match window.days {
        0b111_1111 => None,
        0b1_1111 => Some("on weekdays".to_owned()),
        0b110_0000 => Some("at weekends".to_owned()),
        days => {
            let named = DAYS.iter().enumerate().filter(|(bit, _)| days & (1 << bit) != 0);
            Some(format!("on {}", joined(&named.map(|(_, name)| (*name).to_owned()).collect::<Vec<_>>(), "and")))
        }
    };
    let clock = |minute: u16| match minute {
        NOON => "noon".to_owned(),
        MIDNIGHT => "midnight".to_owned(),
        minute => format!("{:02}:{:02}", minute / 60, minute % 60),
    };
    let hours = match (window.from_minute, window.to_minute) {
        (0, MIDNIGHT) => None,
        (0, to) => Some(format!("before {}", clock(to))),
        (from, MIDNIGHT) => Some(format!("from {} on", clock(from))),
        (from, to) => Some(format!("from {} to {}", clock(from), clock(to))),
    };
    let parts: Vec<_> = days.into_iter().chain(hours).collect();
    if parts.is_empty() { "at any time".to_owned() } else { parts.join(" ") }
}

/// Words with commas and one word before the last.
fn joined(words: &[String], word: &str) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

/// As [`joined`], but a long list is only counted.
fn few(words: &[String], word: &str, plural: &str) -> String {
    if words.len() > 5 { format!("one of {} {plural}", words.len()) } else { joined(words, word) }
}

fn categories(list: &[RangeInclusive<u16>]) -> String {
    let one = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (from, to) if from == to => format!("{from:04}"),
        (from, to) => format!("{from:04} to {to:04}"),
    };
    few(&list.iter().map(one).collect::<Vec<_>>(), "or", "ranges")
}

/// A number with what is counted: `1 day`, `60 days`.
fn several(number: i64, one: &str) -> String {
    match (number, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) if one.ends_with("gory") => format!("{number} {stem}ies"),
        _ => format!("{number} {one}s"),
    }
}

/// How often.
fn times(number: i64) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => several(number, "time"),
    }
}

/// A range with each end shown.
fn range(bounds: Bounds, shown: impl Fn(i64) -> String) -> String {
    match (bounds.at_least, bounds.at_most) {
        (Some(least), Some(most)) if least == most => format!("exactly {}", shown(least)),
        (Some(least), Some(most)) => format!("at least {} and at most {}", shown(least), shown(most)),
        (Some(least), None) => format!("at least {}", shown(least)),
        (None, Some(most)) => format!("at most {}", shown(most)),
        (None, None) => "any number".to_owned(),
    }
}

fn ordinal(number: i64) -> String {
    let ending = match (number % 10, number % 100) {
        (1, hundred) if hundred != 11 => "st",
        (2, hundred) if hundred != 12 => "nd",
        (3, hundred) if hundred != 13 => "rd",
        _ => "th",
    };
    match number {
        1 => "first".to_owned(),
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        _ => format!("{number}{ending}"),
    }
}

/// After "every": each one, or each nth.
fn nth(number: i64, what: &str) -> String {
    if number == 1 { what.to_owned() } else { format!("{} {what}", ordinal(number)) }
}

/// `500` is `5 percent`, `1250` is `12.5 percent`.
fn percent(rate: BasisPoints) -> String {
    let (whole, part) = (rate.0 / 100, rate.0 % 100);
    match part {
        0 => format!("{whole} percent"),
        part if part % 10 == 0 => format!("{whole}.{} percent", part / 10),
        part => format!("{whole}.{part:02} percent"),
    }
}

fn period_name(period: Period) -> &'static str {
    match period {
        Period::Day => "day",
        Period::Week => "week",
        Period::Month => "month",
        Period::Year => "year",
        Period::Ever => "time",
    }
}

/// How often; `None` is ever.
fn a_period(period: Period) -> Option<&'static str> {
    match period {
        Period::Day => Some("a day"),
        Period::Week => Some("a week"),
        Period::Month => Some("a month"),
        Period::Year => Some("a year"),
        Period::Ever => None,
    }
}

fn within(within: Within) -> String {
    match within {
        Within::Calendar(Period::Ever) => String::new(),
        Within::Calendar(Period::Day) => " that day".to_owned(),
        Within::Calendar(period) => format!(" in a calendar {}", period_name(period)),
        Within::Days(days) => format!(" within {}", several(i64::from(days), "day")),
        Within::Offer => " since the offer began".to_owned(),
    }
}

fn date(date: civil::Date) -> String {
    date.strftime("%-d %B %Y").to_string()
}

fn date_and_time(at: civil::DateTime) -> String {
    at.strftime("%-d %B %Y at %H:%M").to_string()
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
