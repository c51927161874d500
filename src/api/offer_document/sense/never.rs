//! Conditions that can never hold together: found over the tree, each with the place of the
//! one that cannot hold beside those before it. What is not sure is let pass.

use crate::api::check::Fault;
use crate::domain::offer::{
    Amount, Bounds, Comparison, Condition, Count, LocalTime, Measure, MemberTest, PurchaseTest, Terms, Trigger,
};
use jiff::civil::Date;
use std::ops::RangeInclusive;

/// Minutes of a day.
const DAY: usize = 24 * 60;

/// A leaf with its place.
type Placed<'a> = (String, &'a Condition);

/// Every leaf of a condition with its place.
pub(super) fn leaves<'a>(condition: &'a Condition, path: &str, found: &mut Vec<Placed<'a>>) {
    match condition {
        Condition::All(list) => each_leaf(list, &format!("{path}.all"), found),
        Condition::Any(list) => each_leaf(list, &format!("{path}.any"), found),
        Condition::Not(inner) => leaves(inner, &format!("{path}.not"), found),
        leaf => found.push((path.to_owned(), leaf)),
    }
}

fn each_leaf<'a>(list: &'a [Condition], path: &str, found: &mut Vec<Placed<'a>>) {
    for (place, condition) in list.iter().enumerate() {
        leaves(condition, &format!("{path}[{place}]"), found);
    }
}

/// The conditions of every choice of an offer, with their places.
fn branches(terms: &Terms) -> Vec<(String, &Condition)> {
    let referred = match &terms.trigger {
        Trigger::Referral { referred, .. } => referred.as_ref(),
        _ => None,
    };
    let rewards = [("reward", Some(&terms.reward)), ("trigger.referral.referred_reward", referred)];
    let mut found = Vec::new();
    for (path, reward) in rewards {
        if let Some(Amount::FirstOf(branches)) = reward.map(|reward| &reward.amount) {
            let branches = branches.iter().enumerate();
            found.extend(branches.map(|(place, branch)| (format!("{path}.branches[{place}].when"), &branch.when)));
        }
    }
    found
}

/// Every leaf of an offer's conditions with its place.
pub(super) fn all_leaves(terms: &Terms) -> Vec<Placed<'_>> {
    let mut found = Vec::new();
    leaves(&terms.when, "when", &mut found);
    for (path, when) in branches(terms) {
        leaves(when, &path, &mut found);
    }
    found
}

/// Finds what can never hold in an offer.
pub(super) fn find(terms: &Terms, faults: &mut Vec<Fault>) {
    let before = faults.len();
    let bought = terms.trigger == Trigger::Purchase;
    let mut search = Search { bought, terms, faults };
    search.tree(&terms.when, "when", &[]);
    if search.faults.len() > before {
        return;
    }
    let mut held = Vec::new();
    flatten(&terms.when, "when", &mut held, &mut Vec::new());
    for (path, when) in branches(terms) {
        // A referred member is another person than the one whom `when` asks about.
        let held = if path.starts_with("trigger") { &[][..] } else { &held[..] };
        search.tree(when, &path, held);
    }
}

struct Search<'a, 'b> {
    /// Whether there is a purchase at hand.
    bought: bool,
    terms: &'a Terms,
    faults: &'b mut Vec<Fault>,
}

/// What must hold together: the leaves of nested `all`s, and the trees below them.
fn flatten<'a>(condition: &'a Condition, path: &str, held: &mut Vec<Placed<'a>>, trees: &mut Vec<Placed<'a>>) {
    match condition {
        Condition::All(list) => {
            for (place, condition) in list.iter().enumerate() {
                flatten(condition, &format!("{path}.all[{place}]"), held, trees);
            }
        }
        Condition::Any(_) => trees.push((path.to_owned(), condition)),
        Condition::Not(_) => {
            held.push((path.to_owned(), condition));
            trees.push((path.to_owned(), condition));
        }
        leaf => held.push((path.to_owned(), leaf)),
    }
}

impl<'a> Search<'a, '_> {
    /// A tree beside what must hold already.
    fn tree(&mut self, condition: &'a Condition, path: &str, beside: &[Placed<'a>]) {
        let mut held = beside.to_vec();
        let mut trees = Vec::new();
        flatten(condition, path, &mut held, &mut trees);
        for place in beside.len()..held.len() {
            let (path, leaf) = &held[place];
            if let Some(detail) = self.never(leaf, &held[..place]) {
                self.faults.push(Fault::contradiction(path.clone(), format!("can never hold: {detail}")));
                return;
            }
        }
        for (path, tree) in trees {
            match tree {
                Condition::Any(list) => {
                    for (place, condition) in list.iter().enumerate() {
                        self.tree(condition, &format!("{path}.any[{place}]"), &held);
                    }
                }
                Condition::Not(inner) if **inner == Condition::always() => {
                    let detail = "can never hold: what it denies always holds; remove it, or say what must not be";
                    self.faults.push(Fault::contradiction(path, detail));
                }
                Condition::Not(inner) => self.tree(inner, &format!("{path}.not"), &[]),
                _ => {}
            }
        }
    }

    /// Why a condition cannot hold beside others.
    fn never(&self, leaf: &Condition, beside: &[Placed<'a>]) -> Option<String> {
        for (path, other) in beside {
            let opposite = |a: &Condition, b: &Condition| matches!(a, Condition::Not(inner) if **inner == *b);
            if opposite(leaf, other) || opposite(other, leaf) {
                return Some(format!("it is the opposite of `{path}`"));
            }
        }
        match leaf {
            Condition::Purchase(test) => self.purchase(test, beside),
            Condition::Member(test) => member(test, beside),
            Condition::Count(count) => self.count(count, beside),
            _ => None,
        }
    }

    fn purchase(&self, test: &PurchaseTest, beside: &[Placed<'a>]) -> Option<String> {
        let others = || {
            beside.iter().filter_map(|(path, other)| match other {
                Condition::Purchase(other) => Some((path, other)),
                _ => None,
            })
        };
        if let PurchaseTest::LocalTime(window) = test {
            let windows: Vec<_> = others()
                .filter_map(|(_, other)| match other {
                    PurchaseTest::LocalTime(window) => Some(*window),
                    _ => None,
                })
                .collect();
            if !windows.is_empty() && !share_a_minute(*window, &windows) {
                return Some(
                    "no minute of the week lies in this window and the others; use `any` for either".to_owned(),
                );
            }
        }
        if let PurchaseTest::Dates(ranges) = test
            && let Some(detail) = self.outside_the_offer(ranges)
        {
            return Some(detail);
        }
        let (path, _) = others().find(|(_, other)| disjoint(test, other))?;
        Some(format!("no purchase fits this and `{path}`; use `any` for either"))
    }

    /// Dates that all lie outside the offer's life.
    fn outside_the_offer(&self, ranges: &[RangeInclusive<Date>]) -> Option<String> {
        let starts = self.terms.starts.map(|starts| starts.date());
        // An offer that ends at midnight does not see that day.
        let last = self.terms.ends.map(|ends| {
            let date = ends.date();
            if ends.time() == jiff::civil::Time::midnight() { date.yesterday().unwrap_or(date) } else { date }
        });
        let meets = |range: &RangeInclusive<Date>| {
            starts.is_none_or(|starts| *range.end() >= starts) && last.is_none_or(|last| *range.start() <= last)
        };
        if ranges.iter().any(meets) {
            return None;
        }
        Some("none of these dates lies between the offer's `starts` and `ends`".to_owned())
    }

    fn count(&self, count: &Count, beside: &[Placed<'a>]) -> Option<String> {
        let one_at_hand = self.bought && count.of.is_empty();
        let counts_it = matches!(count.what, Measure::Purchases | Measure::Spend | Measure::Streak(_));
        if one_at_hand && counts_it && highest(count.is).is_some_and(|most| most < 1) {
            return Some(
                "the purchase at hand is counted too, so the number is never below 1; a first purchase is `exactly` 1"
                    .to_owned(),
            );
        }
        beside.iter().find_map(|(path, other)| match other {
            Condition::Count(other)
                if (count.what, &count.of, count.within) == (other.what, &other.of, other.within)
                    && !compatible(count.what, count.is, other.is) =>
            {
                Some(format!("no number fits this and `{path}`"))
            }
            _ => None,
        })
    }
}

fn member(test: &MemberTest, beside: &[Placed<'_>]) -> Option<String> {
    beside.iter().find_map(|(path, other)| {
        let Condition::Member(other) = other else { return None };
        let apart = match (test, other) {
            (MemberTest::Regions(a), MemberTest::Regions(b)) => !a.iter().any(|region| b.contains(region)),
            (MemberTest::TenureDays(a), MemberTest::TenureDays(b)) => !meet(*a, *b),
            _ => false,
        };
        apart.then(|| format!("no member fits this and `{path}`; use `any` for either"))
    })
}

/// Whether no purchase passes both.
fn disjoint(a: &PurchaseTest, b: &PurchaseTest) -> bool {
    match (a, b) {
        (PurchaseTest::Spend(a), PurchaseTest::Spend(b)) => !meet(*a, *b),
        (PurchaseTest::Channel(a), PurchaseTest::Channel(b)) => a != b,
        (PurchaseTest::Locations(a), PurchaseTest::Locations(b)) => !a.iter().any(|shop| b.contains(shop)),
        (PurchaseTest::Countries(a), PurchaseTest::Countries(b)) => !a.iter().any(|country| b.contains(country)),
        (PurchaseTest::Mcc(a), PurchaseTest::Mcc(b)) => !overlap(a, b),
        (PurchaseTest::Dates(a), PurchaseTest::Dates(b)) => !overlap(a, b),
        _ => false,
    }
}

fn overlap<T: PartialOrd>(a: &[RangeInclusive<T>], b: &[RangeInclusive<T>]) -> bool {
    a.iter().any(|a| b.iter().any(|b| a.start() <= b.end() && b.start() <= a.end()))
}

fn meet(a: Bounds, b: Bounds) -> bool {
    let low = a.at_least.max(b.at_least);
    let high = [a.at_most, b.at_most].into_iter().flatten().min();
    low.is_none_or(|low| high.is_none_or(|high| low <= high))
}

/// The minutes of a week that lie in a window. One over midnight belongs to the day it began.
fn minutes(window: LocalTime) -> Vec<bool> {
    let (from, to) = (usize::from(window.from_minute), usize::from(window.to_minute));
    let length = if to > from { to - from } else { DAY - from + to };
    let mut week = vec![false; 7 * DAY];
    for day in (0..7).filter(|day| window.days & (1 << day) != 0) {
        for minute in 0..length {
            week[(day * DAY + from + minute) % (7 * DAY)] = true;
        }
    }
    week
}

fn share_a_minute(window: LocalTime, others: &[LocalTime]) -> bool {
    let mut left = minutes(window);
    for other in others {
        let other = minutes(*other);
        left.iter_mut().zip(other).for_each(|(left, other)| *left &= other);
    }
    left.contains(&true)
}

/// The highest number that a comparison lets pass.
fn highest(is: Comparison) -> Option<i64> {
    match is {
        Comparison::Within(bounds) => bounds.at_most,
        Comparison::Reaches(_) | Comparison::Every(_) => None,
    }
}

/// Whether some number fits both comparisons. A purchase brings the number of purchases up
/// by one, so that what it reaches it meets; other numbers may be jumped over.
fn compatible(what: Measure, a: Comparison, b: Comparison) -> bool {
    let by_one = what == Measure::Purchases;
    let bounds = |is: Comparison| match is {
        Comparison::Within(bounds) => bounds,
        Comparison::Reaches(number) => Bounds { at_least: Some(number), at_most: by_one.then_some(number) },
        Comparison::Every(number) => Bounds { at_least: Some(number), at_most: None },
    };
    if !meet(bounds(a), bounds(b)) {
        return false;
    }
    let multiple = |every: i64, other: Bounds| match (other.at_least, other.at_most) {
        (low, Some(high)) => high / every * every >= low.unwrap_or(1).max(1),
        _ => true,
    };
    match (a, b) {
        (Comparison::Every(every), other) | (other, Comparison::Every(every)) if by_one => {
            multiple(every, bounds(other))
        }
        _ => true,
    }
}
