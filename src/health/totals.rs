//! What a source sent, by day, type and currency, and what it says it sent. Pure.
//!
//! An event counts on the UTC day of its own time, so that a late or repeated delivery and a
//! backfill change nothing about whose day it is; a wall clock without a zone is read as
//! UTC. What is no event (a ping, a message that was not understood) counts on the day it
//! came. Only the first delivery of an event is part of count and sum, which are what a
//! source's own totals are compared with; every delivery is counted by its outcome.

use super::day::Day;
use crate::domain::{Currency, EventKind, Money, Timestamp};
use crate::telemetry::WebhookOutcome;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Types and currencies of one day told apart; what is beyond is only counted.
pub const CELLS_MAX: usize = 256;
/// Days ahead of ours that an event may be dated and still be told apart.
const DAYS_AHEAD: u32 = 2;
const OUTCOMES: usize = WebhookOutcome::ALL.len();

/// One message as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// What happened; `None` when it is no event.
    pub kind: Option<EventKind>,
    /// How much, as sent.
    pub amount: Option<Money>,
    /// By its own time.
    pub occurred_at: Timestamp,
    /// What became of it.
    pub outcome: WebhookOutcome,
    /// It was not delivered before.
    pub first: bool,
}

/// What is told apart within a day.
pub type CellKey = (EventKind, Option<Currency>);

/// Events of one type and currency on one day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    /// Different events.
    pub count: u64,
    /// Their amounts, minor units.
    pub sum_minor: i64,
    /// Deliveries by outcome, in the order of [`WebhookOutcome::ALL`].
    pub outcomes: [u64; OUTCOMES],
}

/// One line of a source's own totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlTotal {
    /// Which type.
    pub kind: EventKind,
    /// Which currency; `None` for events without an amount.
    pub currency: Option<Currency>,
    /// Different events.
    pub count: u64,
    /// Their amounts, minor units.
    pub sum_minor: i64,
}

/// A source's own totals of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Raised by each change.
    pub version: u64,
    /// When they were given.
    pub given_at: Timestamp,
    /// One line per type and currency.
    pub totals: Vec<ControlTotal>,
}

/// One day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayTotals {
    /// By type and currency.
    pub cells: BTreeMap<CellKey, Cell>,
    /// Messages that are no events, by outcome.
    pub others: [u64; OUTCOMES],
    /// Deliveries of types and currencies beyond [`CELLS_MAX`].
    pub uncounted: u64,
    /// What the source says.
    pub control: Option<Control>,
}

/// Received less said, for one type and currency; either may be negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which type.
    pub kind: EventKind,
    /// Which currency.
    pub currency: Option<Currency>,
    /// Events received less events said.
    pub count: i64,
    /// Minor units received less minor units said.
    pub sum_minor: i64,
}

impl DayTotals {
    /// Where received and said differ; `None` when nothing was said. What was not said at
    /// all counts as said to be nothing.
    #[must_use]
    pub fn differences(&self) -> Option<Vec<Difference>> {
        let control = self.control.as_ref()?;
        let mut all: BTreeMap<CellKey, (i64, i64)> = BTreeMap::new();
        for (key, cell) in &self.cells {
            all.insert(*key, (signed(cell.count), cell.sum_minor));
        }
        for said in &control.totals {
            let (count, sum) = all.entry((said.kind, said.currency)).or_default();
            *count = count.saturating_sub(signed(said.count));
            *sum = sum.saturating_sub(said.sum_minor);
        }
        let differ = all.into_iter().filter(|(_, difference)| *difference != (0, 0));
        let differ =
            differ.map(|((kind, currency), (count, sum_minor))| Difference { kind, currency, count, sum_minor });
        Some(differ.collect())
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The days that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// By day.
    pub days: BTreeMap<Day, DayTotals>,
    /// Deliveries of events dated outside the days that are kept.
    pub outside: u64,
}

impl Totals {
    /// Whether a day is told apart today.
    #[must_use]
    pub fn keeps(day: Day, today: Day, days_kept: u32) -> bool {
        today.before(days_kept.saturating_sub(1)) <= day && day.0 <= today.0.saturating_add(DAYS_AHEAD)
    }

    /// Counts one message.
    pub fn count(&mut self, message: &Counted, today: Day, days_kept: u32) {
        let day = if message.kind.is_some() { Day::of(message.occurred_at) } else { today };
        if !Self::keeps(day, today, days_kept) {
            self.outside += 1;
            return;
        }
        let totals = self.day(day, today, days_kept);
        let outcome = message.outcome as usize;
        let Some(kind) = message.kind else {
            totals.others[outcome] += 1;
            return;
        };
        let key = (kind, message.amount.map(|money| money.currency));
        if totals.cells.len() >= CELLS_MAX && !totals.cells.contains_key(&key) {
            totals.uncounted += 1;
            return;
        }
        let cell = totals.cells.entry(key).or_default();
        cell.outcomes[outcome] += 1;
        if message.first {
            cell.count += 1;
            cell.sum_minor = cell.sum_minor.saturating_add(message.amount.map_or(0, |money| money.minor));
        }
    }

    /// Takes what the source says of a day in place of what it said before. The caller has
    /// asked [`Totals::keeps`].
    pub fn say(&mut self, day: Day, totals: Vec<ControlTotal>, now: Timestamp, days_kept: u32) -> &Control {
        let day = self.day(day, Day::of(now), days_kept);
        let version = day.control.as_ref().map_or(0, |control| control.version) + 1;
        day.control.insert(Control { version, given_at: now, totals })
    }

    /// The day, made when it is not there; before that those go that are too old.
    fn day(&mut self, day: Day, today: Day, days_kept: u32) -> &mut DayTotals {
        if !self.days.contains_key(&day) {
            self.days.retain(|day, _| Self::keeps(*day, today, days_kept));
        }
        self.days.entry(day).or_default()
    }
}

/// [`Totals`] as they are kept: outcomes by their words, which another version still reads.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Stored {
    days: Vec<StoredDay>,
    outside: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredDay {
    day: u32,
    cells: Vec<StoredCell>,
    others: Words,
    uncounted: u64,
    control: Option<Control>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredCell {
    key: CellKey,
    count: u64,
    sum_minor: i64,
    outcomes: Words,
}

/// Outcomes that there were, with their counts.
type Words = Vec<(String, u64)>;

fn words(outcomes: &[u64; OUTCOMES]) -> Words {
    let each = WebhookOutcome::ALL.iter().zip(outcomes).filter(|(_, count)| **count > 0);
    each.map(|(outcome, count)| (outcome.as_str().to_owned(), *count)).collect()
}

fn counts(words: &[(String, u64)]) -> [u64; OUTCOMES] {
    let mut counts = [0; OUTCOMES];
    for (word, count) in words {
        // A word of another version has no place here; the count of events has it still.
        if let Some(outcome) = WebhookOutcome::from_word(word) {
            counts[outcome as usize] += count;
        }
    }
    counts
}

impl From<&Totals> for Stored {
    fn from(totals: &Totals) -> Self {
        let days = totals.days.iter().map(|(day, kept)| StoredDay {
            day: day.0,
            cells: kept
                .cells
                .iter()
                .map(|(key, cell)| StoredCell {
                    key: *key,
                    count: cell.count,
                    sum_minor: cell.sum_minor,
                    outcomes: words(&cell.outcomes),
                })
                .collect(),
            others: words(&kept.others),
            uncounted: kept.uncounted,
            control: kept.control.clone(),
        });
        Self { days: days.collect(), outside: totals.outside }
    }
}

impl From<Stored> for Totals {
    fn from(stored: Stored) -> Self {
        let day = |kept: StoredDay| {
            let cell = |cell: StoredCell| {
                let (count, sum_minor, outcomes) = (cell.count, cell.sum_minor, counts(&cell.outcomes));
                (cell.key, Cell { count, sum_minor, outcomes })
            };
            let totals = DayTotals {
                cells: kept.cells.into_iter().map(cell).collect(),
                others: counts(&kept.others),
                uncounted: kept.uncounted,
                control: kept.control,
            };
            (Day(kept.day), totals)
        };
        Self { days: stored.days.into_iter().map(day).collect(), outside: stored.outside }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TODAY: Day = Day(20_000);

    fn currency(code: &str) -> Currency {
        Currency::parse(code).unwrap()
    }

    fn message(kind: EventKind, minor: i64, code: &str, day: u32, first: bool) -> Counted {
        Counted {
            kind: Some(kind),
            amount: Some(Money::new(minor, currency(code))),
            occurred_at: Timestamp::start_of_day(day).plus_ms(5),
            outcome: if first { WebhookOutcome::NoOffer } else { WebhookOutcome::Duplicate },
            first,
        }
    }

    #[test]
    fn first_deliveries_count_and_every_delivery_is_seen() {
        let mut totals = Totals::default();
        for first in [true, true, false] {
            totals.count(&message(EventKind::Clearing, 4_000, "USD", TODAY.0 - 1, first), TODAY, 35);
        }
        let expiry = Counted { amount: None, ..message(EventKind::Expiry, 0, "USD", TODAY.0 - 1, true) };
        totals.count(&expiry, TODAY, 35);
        let ping = Counted { kind: None, outcome: WebhookOutcome::Ignored, ..expiry };
        totals.count(&ping, TODAY, 35);
        let day = &totals.days[&Day(TODAY.0 - 1)];
        let cell = &day.cells[&(EventKind::Clearing, Some(currency("USD")))];
        assert_eq!((cell.count, cell.sum_minor), (2, 8_000));
        assert_eq!(cell.outcomes[WebhookOutcome::Duplicate as usize], 1);
        assert_eq!(day.cells[&(EventKind::Expiry, None)].count, 1);
        assert_eq!(totals.days[&TODAY].others[WebhookOutcome::Ignored as usize], 1, "by the day it came");
    }

    #[test]
    fn differences_name_what_is_missing_and_what_is_too_much() {
        let mut totals = Totals::default();
        let day = Day(TODAY.0 - 1);
        for minor in [100, 250] {
            totals.count(&message(EventKind::Clearing, minor, "USD", day.0, true), TODAY, 35);
        }
        totals.count(&message(EventKind::Refund, 70, "EUR", day.0, true), TODAY, 35);
        assert_eq!(totals.days[&day].differences(), None, "nothing was said");
        let said = |kind, code: &str, count, sum_minor| ControlTotal {
            kind,
            currency: Some(currency(code)),
            count,
            sum_minor,
        };
        let now = Timestamp::start_of_day(TODAY.0);
        let clearings = said(EventKind::Clearing, "USD", 2, 350);
        totals.say(day, vec![clearings.clone(), said(EventKind::Refund, "EUR", 1, 70)], now, 35);
        assert_eq!(totals.days[&day].differences(), Some(Vec::new()));
        let control = totals.say(day, vec![clearings, said(EventKind::Chargeback, "USD", 1, 9)], now, 35);
        assert_eq!(control.version, 2);
        let differ =
            |kind, code: &str, count, sum_minor| Difference { kind, currency: Some(currency(code)), count, sum_minor };
        let right = vec![differ(EventKind::Refund, "EUR", 1, 70), differ(EventKind::Chargeback, "USD", -1, -9)];
        assert_eq!(totals.days[&day].differences(), Some(right));
    }

    #[test]
    fn inv_09_days_and_cells_are_bounded() {
        let mut totals = Totals::default();
        for day in (TODAY.0 - 50)..(TODAY.0 + 10) {
            totals.count(&message(EventKind::Refund, 1, "USD", day, true), TODAY, 7);
        }
        assert_eq!((totals.days.len(), totals.outside), (9, 51), "seven days and two ahead");
        totals.count(&message(EventKind::Refund, 1, "USD", TODAY.0 + 8, true), Day(TODAY.0 + 8), 7);
        assert_eq!(totals.days.keys().next(), Some(&Day(TODAY.0 + 2)));
        let list =
            "AED AFN ALL AMD AUD AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CZK";
        for code in list.split(' ') {
            for kind in EventKind::ALL {
                totals.count(&message(kind, 1, code, TODAY.0 + 8, true), Day(TODAY.0 + 8), 7);
            }
        }
        let day = &totals.days[&Day(TODAY.0 + 8)];
        assert_eq!((day.cells.len(), day.uncounted), (CELLS_MAX, 26 * 11 + 1 - CELLS_MAX as u64));
    }

    proptest! {
        /// Counts and sums are those of plain arithmetic, whatever the order; a source that says
        /// them agrees; and they survive being written down.
        #[test]
        fn totals_are_plain_sums(
            given in proptest::collection::vec((0_usize..11, 0_i64..10_000, 0_usize..2, 0_u32..3, any::<bool>()), 0..80),
        ) {
            let message = |(kind, minor, code, ago, first): &(usize, i64, usize, u32, bool)| {
                message(EventKind::ALL[*kind], *minor, ["USD", "EUR"][*code], TODAY.0 - ago, *first)
            };
            let counted = |given: &mut dyn Iterator<Item = &(usize, i64, usize, u32, bool)>| {
                let mut totals = Totals::default();
                given.for_each(|one| totals.count(&message(one), TODAY, 35));
                totals
            };
            let totals = counted(&mut given.iter());
            prop_assert_eq!(&totals, &counted(&mut given.iter().rev()));
            let cells = || totals.days.values().flat_map(|day| day.cells.values());
            let firsts = || given.iter().filter(|one| one.4);
            prop_assert_eq!(cells().map(|cell| cell.count).sum::<u64>(), firsts().count() as u64);
            prop_assert_eq!(cells().map(|cell| cell.sum_minor).sum::<i64>(), firsts().map(|one| one.1).sum::<i64>());
            prop_assert_eq!(cells().flat_map(|cell| cell.outcomes).sum::<u64>(), given.len() as u64);
            let mut said = totals.clone();
            for (day, kept) in &totals.days {
                let lines = kept.cells.iter().map(|((kind, currency), cell)| ControlTotal {
                    kind: *kind,
                    currency: *currency,
                    count: cell.count,
                    sum_minor: cell.sum_minor,
                });
                said.say(*day, lines.collect(), Timestamp::start_of_day(TODAY.0), 35);
                prop_assert_eq!(said.days[day].differences(), Some(Vec::new()));
            }
            let bytes = crate::record::encode(&Stored::from(&said));
            let back: Stored = crate::record::decode(&bytes).unwrap();
            prop_assert_eq!(Totals::from(back), said);
        }
    }
}
