//! Counts kept up from purchase to purchase.
//!
//! Offers ask few different questions: how many this month, how much in thirty days. Each is
//! kept as a running answer that offers share: what has come is added, what has left its window
//! is taken off. So deciding everything again is linear in the purchases times the different
//! questions, and a question about the newest purchase alone looks at its window once.

use super::history::{
    Asked, Bought, Clearings, Counted, OfferStarts, Rests, first_within, is_of_all, passes, period, window_begins,
};
use crate::domain::merchant::Matched;
use crate::domain::offer::{Count, Measure, Period, PurchaseTest, Within};
use crate::domain::{Currency, Timestamp};

/// All that decides the answer of a count, but the comparison.
#[derive(Debug, Clone, PartialEq)]
struct Question {
    what: Measure,
    of: Vec<PurchaseTest>,
    within: Within,
    /// Of spend.
    currency: Currency,
    /// Of what is counted since an offer began.
    starts: OfferStarts,
}

impl Question {
    fn new(count: &Count, within: Within, asked: &Asked<'_>) -> Self {
        let (currency, starts) = (asked.currency, asked.offer_starts);
        Self { what: count.what, of: count.of.clone(), within, currency, starts }
    }
    fn is_asked(&self, count: &Count, within: Within, asked: &Asked<'_>) -> bool {
        self.what == count.what
            && self.within == within
            && (self.what != Measure::Spend || self.currency == asked.currency)
            && (self.within != Within::Offer || self.starts == asked.offer_starts)
            && self.of == count.of
    }
    fn takes(&self, bought: &Bought<'_>, now: i64) -> bool {
        let timely = match self.within {
            Within::Days(_) | Within::Calendar(Period::Ever) => true,
            Within::Calendar(every) => period(every, bought.local, bought.local_day) == now,
            Within::Offer => match self.starts {
                OfferStarts::Local(starts) => bought.local >= starts,
                OfferStarts::At(starts) => bought.time >= starts,
            },
        };
        timely && passes(bought, &self.of)
    }
}

/// Hints of one history: two to this power.
const HINT_BITS: u32 = 6;

/// A place in memory as a number of that many bits.
fn hash(place: usize) -> usize {
    let mixed = (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> (u64::BITS - HINT_BITS)).unwrap_or(0)
}

/// The running answers of one history.
#[derive(Debug, Clone, Default)]
pub(super) struct Running {
    answers: Vec<Answer>,
    /// Where the question of a count was found before, by a hash of the count's place in
    /// memory. A hint that is checked before it is trusted, so what lies where decides nothing.
    hints: Vec<usize>,
    shops: Shops,
}

impl Running {
    /// A count of the purchases so far, and with the one at hand. Of a streak and of days
    /// without a purchase, [`Self::streak`] and [`Self::last_at`] are the answer.
    pub(super) fn count(
        &mut self,
        bought: &[Bought<'_>],
        count: &Count,
        asked: &Asked<'_>,
        this: Option<&Bought<'_>>,
    ) -> Counted {
        let (answer, shops) = self.up_to_now(bought, count, count.within, asked);
        let (before, more) = match count.what {
            Measure::Spend => {
                let spend = i64::try_from(answer.spend).unwrap_or(i64::MAX);
                (spend, this.filter(|this| this.currency == Some(asked.currency)).map_or(0, |this| this.minor))
            }
            Measure::Locations => {
                let is_known =
                    |shop| shops.known(bought, shop).is_some_and(|number| answer.values.contains_key(&number));
                let is_new = this.and_then(|this| this.shop).is_some_and(|shop| !is_known(shop));
                (answer.different(), i64::from(is_new))
            }
            Measure::Categories => {
                let is_new = |mcc: u16| !answer.values.contains_key(&u32::from(mcc));
                (answer.different(), i64::from(this.and_then(|this| this.mcc).is_some_and(is_new)))
            }
            _ => (answer.purchases, i64::from(this.is_some())),
        };
        Counted { before, now: before.saturating_add(more) }
    }

    /// How many calendar periods in a row before the one at hand have a purchase, and whether
    /// that one has.
    pub(super) fn streak(
        &mut self,
        bought: &[Bought<'_>],
        count: &Count,
        every: Period,
        asked: &Asked<'_>,
    ) -> (i64, bool) {
        let (answer, _) = self.up_to_now(bought, count, Within::Calendar(Period::Ever), asked);
        let current = period(every, asked.local, asked.local_day);
        let (mut length, mut seen_now) = (0, false);
        for place in answer.periods.iter().rev() {
            if *place >= current {
                seen_now = true;
            } else if *place == current - 1 - length {
                length += 1;
            } else if *place < current - 1 - length {
                break;
            }
        }
        (length, seen_now)
    }

    /// When the last purchase was that a count of days without one looks at.
    pub(super) fn last_at(&mut self, bought: &[Bought<'_>], count: &Count, asked: &Asked<'_>) -> Option<Timestamp> {
        self.up_to_now(bought, count, Within::Calendar(Period::Ever), asked).0.last_at
    }

    /// Adds what a count rests on, of those that [`is_of_all`] does not hold for.
    pub(super) fn rests(
        &mut self,
        bought: &[Bought<'_>],
        count: &Count,
        within: Within,
        asked: &Asked<'_>,
        rests: &mut Rests,
    ) {
        let (answer, _) = self.up_to_now(bought, count, within, asked);
        answer.clearings.rests(answer.first, rests);
    }

    fn up_to_now(
        &mut self,
        bought: &[Bought<'_>],
        count: &Count,
        within: Within,
        asked: &Asked<'_>,
    ) -> (&Answer, &Shops) {
        let hint = hash(std::ptr::from_ref(count).addr());
        let is_it = |answer: &Answer| answer.question.is_asked(count, within, asked);
        let hinted = self.hints.get(hint).copied();
        let hinted = hinted.filter(|place| self.answers.get(*place).is_some_and(is_it));
        let place = match hinted.or_else(|| self.answers.iter().position(is_it)) {
            Some(place) => place,
            None => {
                self.answers.push(Answer::new(Question::new(count, within, asked)));
                self.answers.len() - 1
            }
        };
        if hinted.is_none() {
            self.hints.resize(1 << HINT_BITS, usize::MAX);
            self.hints[hint] = place;
        }
        self.answers[place].keep_up(bought, asked, &mut self.shops);
        (&self.answers[place], &self.shops)
    }
}

/// A question with what its purchases come to.
#[derive(Debug, Clone)]
struct Answer {
    question: Question,
    /// The calendar period whose purchases are counted.
    now: i64,
    /// The purchases looked at: from the first within the window up to the newest.
    first: usize,
    until: usize,
    purchases: i64,
    spend: i128,
    /// Shops or categories, with how many of the purchases each has.
    values: hashbrown::HashMap<u32, u32>,
    /// The calendar periods of a streak, in the order of purchases.
    periods: Vec<i64>,
    last_at: Option<Timestamp>,
    /// Whether the window takes all from its first on: then the history has their clearings,
    /// and they are not kept here.
    takes_all: bool,
    clearings: Clearings,
}

impl Answer {
    fn new(question: Question) -> Self {
        Self {
            takes_all: is_of_all(&question.of, question.within),
            question,
            now: i64::MIN,
            first: usize::MAX,
            until: 0,
            purchases: 0,
            spend: 0,
            values: hashbrown::HashMap::new(),
            periods: Vec::new(),
            last_at: None,
            clearings: Clearings::default(),
        }
    }

    /// Moves to the window of the time that is asked for, and takes in what has come since.
    fn keep_up(&mut self, bought: &[Bought<'_>], asked: &Asked<'_>, shops: &mut Shops) {
        match self.question.within {
            Within::Days(_) => self.slide(bought, asked, shops),
            Within::Calendar(Period::Ever) | Within::Offer => self.first = 0,
            Within::Calendar(every) => {
                let now = period(every, asked.local, asked.local_day);
                if self.now != now {
                    self.begin(first_within(bought, self.question.within, asked.time));
                    self.now = now;
                }
            }
        }
        for place in self.until..bought.len() {
            if self.takes(&bought[place]) {
                self.add(bought, place, shops);
            }
        }
        self.until = bought.len();
    }

    /// Counts from a purchase on, as if nothing had been counted.
    fn begin(&mut self, first: usize) {
        (self.first, self.until) = (first, first);
        (self.purchases, self.spend) = (0, 0);
        self.values.clear();
        self.clearings = Clearings::default();
    }

    /// Takes off what is too old. Time goes forward as purchases are judged; who looks at an
    /// instant of their own may be earlier, and counts again.
    fn slide(&mut self, bought: &[Bought<'_>], asked: &Asked<'_>, shops: &mut Shops) {
        let after = window_begins(self.question.within, asked.time);
        let is_old = |place: usize| bought.get(place).is_some_and(|bought| bought.time <= after);
        if self.first > self.until || (self.first > 0 && !is_old(self.first - 1)) {
            self.begin(first_within(bought, self.question.within, asked.time));
            return;
        }
        while is_old(self.first) {
            let place = self.first;
            self.first += 1;
            if place < self.until && self.takes(&bought[place]) {
                self.drop(bought, place, shops);
            }
        }
        self.until = self.until.max(self.first);
    }

    fn takes(&self, one: &Bought<'_>) -> bool {
        self.takes_all || self.question.takes(one, self.now)
    }

    fn add(&mut self, bought: &[Bought<'_>], place: usize, shops: &mut Shops) {
        let one = &bought[place];
        match self.question.what {
            Measure::Spend => self.spend += self.minor(one),
            Measure::DaysSince => self.last_at = Some(one.time),
            Measure::Streak(every) => {
                let now = period(every, one.local, one.local_day);
                if self.periods.last() != Some(&now) {
                    self.periods.push(now);
                }
            }
            Measure::Locations | Measure::Categories => {
                if let Some(value) = self.value(bought, place, shops) {
                    *self.values.entry(value).or_default() += 1;
                }
            }
            Measure::Purchases | Measure::Referrals => self.purchases += 1,
        }
        if !self.takes_all {
            self.clearings.push(place, one.cleared_at);
        }
    }

    fn drop(&mut self, bought: &[Bought<'_>], place: usize, shops: &mut Shops) {
        let one = &bought[place];
        match self.question.what {
            Measure::Spend => self.spend -= self.minor(one),
            Measure::Locations | Measure::Categories => {
                if let Some(value) = self.value(bought, place, shops)
                    && let Some(count) = self.values.get_mut(&value)
                {
                    *count -= 1;
                    if *count == 0 {
                        self.values.remove(&value);
                    }
                }
            }
            Measure::Purchases | Measure::Referrals => self.purchases -= 1,
            // Of all that was ever bought, which no window slides over.
            Measure::DaysSince | Measure::Streak(_) => {}
        }
    }

    /// What one adds to a spend in the question's currency.
    fn minor(&self, one: &Bought<'_>) -> i128 {
        if one.currency == Some(self.question.currency) { i128::from(one.minor) } else { 0 }
    }

    fn value(&self, bought: &[Bought<'_>], place: usize, shops: &mut Shops) -> Option<u32> {
        match self.question.what {
            Measure::Locations => shops.number(bought, place),
            Measure::Categories => bought[place].mcc.map(u32::from),
            _ => None,
        }
    }

    fn different(&self) -> i64 {
        i64::try_from(self.values.len()).unwrap_or(i64::MAX)
    }
}

/// Numbers for the different shops of a history, given when one is first asked for.
#[derive(Debug, Clone, Default)]
struct Shops {
    /// A purchase at each.
    at: Vec<usize>,
    /// By purchase.
    numbers: Vec<Option<u32>>,
}

impl Shops {
    fn number(&mut self, bought: &[Bought<'_>], place: usize) -> Option<u32> {
        let shop = bought[place].shop?;
        if self.numbers.len() <= place {
            self.numbers.resize(bought.len(), None);
        }
        if self.numbers[place].is_none() {
            let known = self.known(bought, shop);
            if known.is_none() {
                self.at.push(place);
            }
            self.numbers[place] = known.or_else(|| u32::try_from(self.at.len() - 1).ok());
        }
        self.numbers[place]
    }

    fn known(&self, bought: &[Bought<'_>], shop: &Matched) -> Option<u32> {
        let is_it = |place: &usize| {
            bought[*place].shop.is_some_and(|at| at.location == shop.location && at.merchant == shop.merchant)
        };
        self.at.iter().rposition(is_it).and_then(|number| u32::try_from(number).ok())
    }
}
