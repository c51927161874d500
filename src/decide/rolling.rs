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
    /// By day: the order of time is nearly that.
    spent: Vec<Spent>,
    /// How many had left the window at the newest's day.
    left: usize,
    /// What was asked for last, by day and grace, and the answer: several offers share a ladder.
    last: Option<((i32, u32), i64)>,
}

#[derive(Debug, Clone, Copy)]
struct Spent {
    day: i32,
    minor: i64,
    /// All up to and including this one.
    through: i64,
    /// Within the window at the end of its day; of several on one day the last is right, and
    /// it is the largest.
    rolled: i64,
}

impl Rolling {
    pub(super) fn new(ladder: &Ladder, currency: Currency) -> Self {
        Self { window: days(ladder.window_days), currency, until: 0, spent: Vec::new(), left: 0, last: None }
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
        self.spent.reserve(bought.len() - self.until);
        for one in bought[self.until..].iter().filter(|one| one.currency == currency) {
            let spent = Spent { day: one.local_day, minor: one.minor, through: 0, rolled: 0 };
            if self.spent.last().is_none_or(|last| last.day <= spent.day) {
                self.spent.push(spent);
                self.roll(self.spent.len() - 1);
            } else {
                // Bought later, but by the shop's clock on an earlier day: all after it change.
                let place = self.spent.partition_point(|other| other.day <= spent.day);
                self.spent.insert(place, spent);
                self.left = 0;
                (0..self.spent.len()).for_each(|place| self.roll(place));
            }
        }
        self.until = bought.len();
    }

    fn roll(&mut self, place: usize) {
        let Spent { day, minor, .. } = self.spent[place];
        let through = self.before(place).saturating_add(minor);
        while self.left < place && self.spent[self.left].day <= day - self.window {
            self.left += 1;
        }
        let rolled = through - self.before(self.left);
        self.spent[place] = Spent { day, minor, through, rolled };
    }

    fn before(&self, place: usize) -> i64 {
        place.checked_sub(1).map_or(0, |place| self.spent[place].through)
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
        let by = |end: i32| self.spent.partition_point(|spent| spent.day <= end);
        let begun = self.before(by(first)) - self.before(by(first - self.window));
        self.spent[by(first)..by(last)].iter().map(|spent| spent.rolled).fold(begun, i64::max)
    }
}

fn days(days: u32) -> i32 {
    i32::try_from(days).unwrap_or(i32::MAX / 4)
}
