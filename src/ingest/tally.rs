//! What became of a file, counted: lines, events, outcomes, sums, and what needs a person.
//! Pure. The same document is the answer of the route and the report of the command.

use crate::health::day::Day;
use crate::normalise::Unreadable;
use crate::pipeline::{Received, Refused};
use crate::telemetry::WebhookOutcome;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Lines told one by one; all are counted.
pub const LISTED_MAX: usize = 20;
/// Days, types and currencies summed apart; what is beyond is only counted.
pub const SUMS_MAX: usize = 10_000;

/// What became of some lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tally {
    /// Lines that were looked at; empty ones are none.
    pub lines: u64,
    /// Messages in them.
    pub events: u64,
    /// Messages by what became of them.
    pub outcomes: BTreeMap<String, u64>,
    /// Events by UTC day of their own time, type and currency, in this order.
    pub sums: Vec<Sum>,
    /// Events of further days, types and currencies.
    pub unsummed: u64,
    /// Lines with an event id that was seen with other content. The first content stays.
    pub conflicts: Listed,
    /// Lines that were not understood and are kept among the dead letters.
    pub dead_letters: Listed,
    /// Lines of which something is not kept anywhere: correct them and give them again.
    pub lost: Listed,
    /// Numbers of the lines that could not be taken now: send the same ones again. None of
    /// them is part of what is counted above.
    pub later: Vec<u64>,
}

/// Events of one day, type and currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sum {
    /// UTC.
    #[schema(value_type = String, format = Date)]
    pub day: Day,
    /// As in the `ringfence` format.
    #[serde(rename = "type")]
    pub kind: String,
    /// Null for events without an amount.
    pub currency: Option<String>,
    /// How many, repeated ones included.
    pub count: u64,
    /// Their amounts, minor units.
    pub sum_minor: i64,
}

/// Lines of which all are counted and some are told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listed {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Told>,
}

/// Why a line is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Told {
    /// Counted from 1.
    pub line: u64,
    /// Stable, for programs.
    pub code: String,
    /// Where in the line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// For people.
    pub detail: String,
}

impl Listed {
    fn add(&mut self, told: Told) {
        self.count += 1;
        if self.first.len() < LISTED_MAX {
            self.first.push(told);
        }
    }
    fn merge(&mut self, other: Self, lines_before: u64) {
        self.count += other.count;
        let room = LISTED_MAX.saturating_sub(self.first.len());
        let moved = other.first.into_iter().map(|told| Told { line: told.line + lines_before, ..told });
        self.first.extend(moved.take(room));
    }
}

impl Tally {
    /// Counts a line, unless something in it must come again.
    pub fn count(&mut self, line: u64, taken: &Result<Received, Unreadable>) {
        let received = match taken {
            Ok(received) => received,
            Err(unreadable) => return self.unread(line, unreadable),
        };
        if received.results.iter().any(|result| matches!(result, Err(Refused::NotNow(_)))) {
            self.later.push(line);
            return;
        }
        self.lines += 1;
        for (heard, result) in received.heard.iter().zip(&received.results) {
            self.events += 1;
            let outcome = match result {
                Ok(outcome) => outcome.outcome,
                Err(Refused::Conflict { event }) => {
                    let detail = format!("the event id {event} was seen with other content");
                    self.conflicts.add(Told { line, code: "event_differs".to_owned(), path: String::new(), detail });
                    WebhookOutcome::Conflict
                }
                Err(Refused::Impossible { problem, kept }) => {
                    let told = Told {
                        line,
                        code: problem.code.to_owned(),
                        path: problem.path.clone(),
                        detail: problem.detail.clone(),
                    };
                    let list = if *kept { &mut self.dead_letters } else { &mut self.lost };
                    list.add(told);
                    WebhookOutcome::Kept
                }
                Err(Refused::NotNow(_)) => continue,
            };
            *self.outcomes.entry(outcome.as_str().to_owned()).or_default() += 1;
            if let Some(kind) = heard.kind {
                let (currency, minor) = match heard.amount {
                    Some(money) => (Some(money.currency.to_string()), money.minor),
                    None => (None, 0),
                };
                let (day, kind) = (Day::of(heard.occurred_at), kind.as_str().to_owned());
                self.sum(Sum { day, kind, currency, count: 1, sum_minor: minor });
            }
        }
    }

    fn unread(&mut self, line: u64, unreadable: &Unreadable) {
        let problem = &unreadable.problem;
        let detail = match unreadable.byte {
            Some(byte) => format!("{} (at byte {byte} of the line)", problem.detail),
            None => problem.detail.clone(),
        };
        self.lose(line, problem.code, &problem.path, detail);
    }

    /// Counts a line that is not kept.
    pub fn lose(&mut self, line: u64, code: &str, path: &str, detail: String) {
        self.lines += 1;
        self.lost.add(Told { line, code: code.to_owned(), path: path.to_owned(), detail });
    }

    fn sum(&mut self, one: Sum) {
        let key = |sum: &Sum| (sum.day, sum.kind.clone(), sum.currency.clone());
        match self
            .sums
            .binary_search_by(|sum| (sum.day, &sum.kind, &sum.currency).cmp(&(one.day, &one.kind, &one.currency)))
        {
            Ok(at) => {
                self.sums[at].count += one.count;
                self.sums[at].sum_minor = self.sums[at].sum_minor.saturating_add(one.sum_minor);
            }
            Err(_) if self.sums.len() >= SUMS_MAX => self.unsummed += one.count,
            Err(at) => self.sums.insert(at, one),
        }
        debug_assert!(self.sums.is_sorted_by_key(key));
    }

    /// Takes in another tally, whose line 1 is the line after `lines_before`.
    pub fn merge(&mut self, other: Self, lines_before: u64) {
        self.lines += other.lines;
        self.events += other.events;
        for (word, count) in other.outcomes {
            *self.outcomes.entry(word).or_default() += count;
        }
        for sum in other.sums {
            self.sum(sum);
        }
        self.unsummed += other.unsummed;
        self.conflicts.merge(other.conflicts, lines_before);
        self.dead_letters.merge(other.dead_letters, lines_before);
        self.lost.merge(other.lost, lines_before);
        self.later.extend(other.later.into_iter().map(|line| line + lines_before));
    }

    /// As a table for people.
    #[must_use]
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("{} lines, {} events\n", self.lines, self.events);
        let mut line = |parts: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "{parts}");
        };
        if !self.outcomes.is_empty() {
            line(format_args!("\nOutcomes"));
        }
        for (word, count) in &self.outcomes {
            line(format_args!("  {word:<16} {count:>12}"));
        }
        if !self.sums.is_empty() {
            line(format_args!(
                "\n  {:<10} {:<20} {:<8} {:>10} {:>18}",
                "day (UTC)", "type", "currency", "events", "minor units"
            ));
        }
        for sum in &self.sums {
            let currency = sum.currency.as_deref().unwrap_or("-");
            line(format_args!("  {} {:<20} {currency:<8} {:>10} {:>18}", sum.day, sum.kind, sum.count, sum.sum_minor));
        }
        if self.unsummed > 0 {
            line(format_args!("  and {} events of further days, types and currencies", self.unsummed));
        }
        for (what, listed) in [
            ("seen before with other content (the first stays)", &self.conflicts),
            ("not understood, kept among the dead letters", &self.dead_letters),
            ("LOST: not kept; correct these lines and give them again", &self.lost),
        ] {
            if listed.count == 0 {
                continue;
            }
            line(format_args!("\n{} {what}", listed.count));
            for told in &listed.first {
                let path = if told.path.is_empty() { String::new() } else { format!("{}: ", told.path) };
                line(format_args!("  line {}: {}: {path}{}", told.line, told.code, told.detail));
            }
            let more = listed.count - listed.first.len() as u64;
            if more > 0 {
                line(format_args!("  and {more} more"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(day: u32, kind: &str, minor: i64) -> Sum {
        Sum { day: Day(day), kind: kind.to_owned(), currency: Some("USD".to_owned()), count: 1, sum_minor: minor }
    }

    #[test]
    fn all_are_counted_and_some_are_told() {
        let mut tally = Tally::default();
        for line in 1..=50 {
            tally.lose(line, "not_json", "", "no".to_owned());
        }
        assert_eq!((tally.lost.count, tally.lost.first.len(), tally.lines), (50, LISTED_MAX, 50));
        let text = tally.text();
        assert!(text.contains("line 20: not_json: no") && text.contains("and 30 more"), "{text}");
        assert!(!text.contains("line 21:"));
    }

    #[test]
    fn inv_09_sums_are_bounded() {
        let mut tally = Tally::default();
        for day in 0..u32::try_from(SUMS_MAX).unwrap() + 7 {
            tally.sum(sum(day, "refund", 1));
        }
        tally.sum(sum(3, "refund", 5));
        assert_eq!((tally.sums.len(), tally.unsummed, tally.sums[3].sum_minor), (SUMS_MAX, 7, 6));
    }

    proptest! {
        /// Packs in any cut add up to the same report.
        #[test]
        fn tallies_add_up(given in proptest::collection::vec((0_u32..4, 0_usize..3, 0_i64..1000), 0..60), cut in 0_usize..60) {
            let kinds = ["refund", "clearing", "advice"];
            let one = |part: &[(u32, usize, i64)]| {
                let mut tally = Tally::default();
                for (line, (day, kind, minor)) in part.iter().enumerate() {
                    let line = line as u64 + 1;
                    tally.sum(sum(*day, kinds[*kind], *minor));
                    if minor % 7 == 0 {
                        tally.lose(line, "x", "", String::new());
                    }
                    if minor % 11 == 0 {
                        tally.later.push(line);
                    }
                }
                tally
            };
            let cut = cut.min(given.len());
            let mut parts = one(&given[..cut]);
            parts.merge(one(&given[cut..]), cut as u64);
            prop_assert_eq!(&parts, &one(&given));
            let text = serde_json::to_string(&parts).unwrap();
            prop_assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), parts);
        }
    }
}
