//! Rolling spend, as the ladders of tiers read it: kept up from purchase to purchase like the
//! other counts ([`running`](super::running)).

use super::history::Bought;
use crate::domain::Currency;
use crate::domain::offer::Ladder;

/// What was spent in one currency, by local day, and within a window of days.
#[derive(Debug, Clone)]
pub(super) struct Rolling {
    window: i32,
    currency: Currency,
    /// Purchases looked at.
    until: usize,
    /// Day and minor units of each, by day: the order of time is nearly that.
    spent: Vec<(i32, i64)>,
    /// All up to and including each.
    through: Vec<i64>,
    /// Within the window at the end of each one's day; of several on one day the last is right,
    /// and it is the largest.
    rolled: Vec<i64>,
    /// How many had left the window at the newest's day.
    left: usize,
    /// What was asked for last, by day and grace, and the answer: several offers share a ladder.
    last: Option<((i32, u32), i64)>,
}

impl Rolling {
    pub(super) fn new(ladder: &Ladder, currency: Currency) -> Self {
        let (spent, through, rolled) = (Vec::new(), Vec::new(), Vec::new());
        Self { window: days(ladder.window_days), currency, until: 0, spent, through, rolled, left: 0, last: None }
    }

    pub(super) fn is_of(&self, ladder: &Ladder, currency: Currency) -> bool {
        self.window == days(ladder.window_days) && self.currency == currency
    }

    /// Takes in what has come since.
    pub(super) fn keep_up(&mut self, bought: &[Bought<'_>]) {
        if self.until < bought.len() {
            self.last = None;
        }
        let currency = Some(self.currency);
        for one in bought[self.until..].iter().filter(|one| one.currency == currency) {
            let place = self.spent.iter().rposition(|(day, _)| *day <= one.local_day).map_or(0, |place| place + 1);
            self.spent.insert(place, (one.local_day, one.minor));
            if place + 1 == self.spent.len() {
                self.roll(place);
            } else {
                // Bought later, but by the shop's clock on an earlier day: all after it change.
                (self.through, self.rolled, self.left) = (Vec::new(), Vec::new(), 0);
                (0..self.spent.len()).for_each(|place| self.roll(place));
            }
        }
        self.until = bought.len();
    }

    fn roll(&mut self, place: usize) {
        let (day, minor) = self.spent[place];
        self.through.push(self.before(place).saturating_add(minor));
        while self.spent.get(self.left).is_some_and(|(first, _)| *first <= day - self.window) {
            self.left += 1;
        }
        self.rolled.push(self.through[place] - self.before(self.left));
    }

    fn before(&self, place: usize) -> i64 {
        place.checked_sub(1).map_or(0, |place| self.through[place])
    }

    /// The most at the end of any local day of the grace before a local day. Spend rises on the
    /// days of purchases alone, and what it was when the grace began counts too.
    pub(super) fn most(&mut self, local_day: i32, ladder: &Ladder) -> i64 {
        let asked = (local_day, ladder.grace_days);
        if let Some((_, most)) = self.last.filter(|(last, _)| *last == asked) {
            return most;
        }
        let most = self.walk(local_day, ladder);
        self.last = Some((asked, most));
        most
    }

    fn walk(&self, local_day: i32, ladder: &Ladder) -> i64 {
        let (first, last) = (local_day - days(ladder.grace_days.max(1)), local_day - 1);
        let by = |end: i32| self.spent.partition_point(|(day, _)| *day <= end);
        let begun = self.before(by(first)) - self.before(by(first - self.window));
        self.rolled[by(first)..by(last)].iter().copied().fold(begun, i64::max)
    }
}

fn days(days: u32) -> i32 {
    i32::try_from(days).unwrap_or(i32::MAX / 4)
}
