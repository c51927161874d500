//! A source's habit of silence: how long it is quiet between deliveries, by the hour of the
//! week, and whether it is quieter now than that. Pure: time is an argument.
//!
//! The method. A silence belongs to the hour of the week (UTC) in which it began. Of each
//! week and hour only the longest silence that ended is kept, for the present week and the
//! four before: 28 days and more. What is habit for a silence that begins now is looked up
//! among those that began within an hour of this hour of the week: of each week the
//! longest, and of these the *second longest*. So a silence is habit once two weeks
//! had it, and a single outage does not teach us that outages are usual. When fewer than
//! three weeks know this hour, the same is asked of whole weeks; when fewer than three
//! weeks are known at all, nothing is learned yet and nothing is alarmed. The alarm rings
//! at one and a half times the habit, and never before a configured least.
//!
//! Why not a percentile of all gaps: a busy source has ten thousand gaps of a second in the
//! hour before its night and one of eight hours. Any percentile forgets the night, and the
//! alarm would ring every evening.
//!
//! Silence while we were not listening is nobody's habit: it is counted from the start.

use crate::domain::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Weeks that are kept: the present one and four before.
const WEEKS_MAX: u32 = 5;
/// Weeks that must know something before it is habit.
const WEEKS_LEAST: usize = 3;
const HOUR_MS: i64 = 3_600_000;
const HOURS_OF_WEEK: u8 = 168;
const WEEK_MS: i64 = HOUR_MS * HOURS_OF_WEEK as i64;

/// When a source delivered, and how long it was quiet in between.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Habit {
    /// The newest delivery.
    last: Option<Timestamp>,
    /// Per week, per hour of the week: the longest silence that began there, in seconds.
    weeks: BTreeMap<u32, BTreeMap<u8, u32>>,
    /// Since when we listen without a break.
    #[serde(skip)]
    listening_since: Timestamp,
}

/// How quiet a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Since its last delivery, or since we listen.
    pub since: Timestamp,
    /// How long.
    pub seconds: u64,
    /// What is usual for a silence that began then; `None` while it is being learned.
    pub habit_seconds: Option<u64>,
    /// From how long on it is alarmed; `None` while the habit is being learned.
    pub alarm_seconds: Option<u64>,
    /// Weeks of which something is known.
    pub weeks: usize,
}

impl Silence {
    /// Quieter than its habit.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        self.alarm_seconds.is_some_and(|alarm| self.seconds > alarm)
    }
    /// In one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.alarm_seconds {
            None => "learning",
            Some(alarm) if self.seconds > alarm => "silent",
            Some(_) => "usual",
        }
    }
}

/// Week since 1970 and hour of it.
fn place(at: Timestamp) -> (u32, u8) {
    let week = u32::try_from(at.as_ms().div_euclid(WEEK_MS)).unwrap_or(0);
    (week, u8::try_from(at.as_ms().rem_euclid(WEEK_MS) / HOUR_MS).unwrap_or(0))
}

fn seconds_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_ms().saturating_sub(from.as_ms()) / 1000).unwrap_or(0)
}

impl Habit {
    /// We listen from now on: what was silent before is not counted.
    pub fn listens(&mut self, now: Timestamp) {
        self.listening_since = now;
    }

    /// The newest delivery that was noted.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// Something was delivered.
    pub fn delivered(&mut self, now: Timestamp) {
        let Some(last) = self.last.replace(self.last.map_or(now, |last| last.max(now))) else { return };
        // Before we listened, or a clock that went back: no silence that we saw whole.
        if last < self.listening_since || now <= last {
            return;
        }
        let (week, hour) = place(last);
        let seconds = u32::try_from(seconds_between(last, now)).unwrap_or(u32::MAX);
        let longest = self.weeks.entry(week).or_default().entry(hour).or_default();
        *longest = (*longest).max(seconds);
        if self.weeks.len() > 1 {
            let oldest = place(now).0.saturating_sub(WEEKS_MAX - 1);
            self.weeks.retain(|week, _| *week >= oldest);
        }
    }

    /// How quiet it is at this moment. `seconds_least` is never alarmed.
    #[must_use]
    pub fn silence(&self, now: Timestamp, seconds_least: u64) -> Silence {
        let since = self.last.map_or(self.listening_since, |last| last.max(self.listening_since));
        let habit = self.usual(place(since).1);
        Silence {
            since,
            seconds: seconds_between(since, now),
            habit_seconds: habit,
            alarm_seconds: habit.map(|habit| (habit + habit / 2).max(seconds_least)),
            weeks: self.weeks.len(),
        }
    }

    /// The longest silence that two weeks had, begun about this hour of the week; of any
    /// hour, when this one is not known.
    fn usual(&self, hour: u8) -> Option<u64> {
        let near = [hour.checked_sub(1).unwrap_or(HOURS_OF_WEEK - 1), hour, (hour + 1) % HOURS_OF_WEEK];
        let of_hour = self.weeks.values().filter_map(|week| near.iter().filter_map(|hour| week.get(hour)).max());
        let of_week = || self.weeks.values().filter_map(|week| week.values().max());
        second_longest(of_hour).or_else(|| second_longest(of_week()))
    }
}

fn second_longest<'a>(longest: impl Iterator<Item = &'a u32>) -> Option<u64> {
    let mut longest: Vec<u32> = longest.copied().collect();
    longest.sort_unstable_by(|a, b| b.cmp(a));
    (longest.len() >= WEEKS_LEAST).then(|| u64::from(longest[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000;
    /// A Thursday at midnight, as weeks since 1970 begin.
    const BEGIN: i64 = WEEK_MS * 2_900;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(BEGIN + ms)
    }

    fn fresh() -> Habit {
        let mut habit = Habit::default();
        habit.listens(at(0));
        habit
    }

    /// Every five minutes by day (6 to 22), silent by night.
    fn shop_hours(habit: &mut Habit, days: std::ops::Range<i64>) {
        for day in days {
            for minute in (6 * 60..22 * 60).step_by(5) {
                habit.delivered(at(day * 24 * HOUR_MS + minute * MINUTE));
            }
        }
    }

    #[test]
    fn nights_are_habit_and_noons_are_not() {
        let mut habit = fresh();
        shop_hours(&mut habit, 0..28);
        let night = at(27 * 24 * HOUR_MS + 21 * HOUR_MS + 55 * MINUTE);
        assert_eq!(habit.last(), Some(night));
        let silent_for = |habit: &Habit, ms: i64| habit.silence(night.plus_ms(ms), 900).word();
        assert_eq!(silent_for(&habit, 8 * HOUR_MS), "usual");
        assert_eq!(silent_for(&habit, 12 * HOUR_MS), "usual");
        assert_eq!(silent_for(&habit, 13 * HOUR_MS), "silent", "one and a half times eight hours");
        let noon = at(28 * 24 * HOUR_MS + 12 * HOUR_MS);
        for minute in (6 * 60..=12 * 60).step_by(5) {
            habit.delivered(at(28 * 24 * HOUR_MS + minute * MINUTE));
        }
        let silence = habit.silence(noon.plus_ms(15 * MINUTE), 60);
        assert_eq!((silence.habit_seconds, silence.alarm_seconds), (Some(300), Some(450)));
        assert!(silence.is_alarming());
        assert!(!habit.silence(noon.plus_ms(15 * MINUTE), 900).is_alarming(), "never before the least");
        assert!(habit.silence(noon.plus_ms(16 * MINUTE), 900).is_alarming());
    }

    #[test]
    fn nothing_is_alarmed_before_three_weeks_are_known() {
        let mut habit = fresh();
        assert_eq!(habit.silence(at(WEEK_MS), 60).word(), "learning", "a source that never delivered");
        shop_hours(&mut habit, 0..14);
        assert_eq!(habit.silence(at(20 * 24 * HOUR_MS), 60).word(), "learning");
        shop_hours(&mut habit, 14..16);
        assert_eq!(habit.silence(at(20 * 24 * HOUR_MS), 60).word(), "silent");
    }

    #[test]
    fn one_outage_teaches_nothing_and_two_are_a_habit() {
        let mut habit = fresh();
        let outage_in = |weeks: &[i64], habit: &mut Habit| {
            for week in 0..4 {
                for minute in (0..7 * 24 * 60).step_by(10) {
                    let quiet = weeks.contains(&week) && (36 * 60..42 * 60).contains(&minute);
                    if !quiet {
                        habit.delivered(at(week * WEEK_MS + minute * MINUTE));
                    }
                }
            }
            let noon = at(4 * WEEK_MS + 36 * HOUR_MS);
            habit.delivered(noon.plus_ms(-10 * MINUTE));
            habit.silence(noon.plus_ms(2 * HOUR_MS), 900)
        };
        let once = outage_in(&[1], &mut habit);
        assert_eq!((once.habit_seconds, once.is_alarming()), (Some(600), true));
        let mut habit = fresh();
        let twice = outage_in(&[1, 2], &mut habit);
        assert_eq!((twice.habit_seconds, twice.is_alarming()), (Some(6 * 3600 + 600), false));
    }

    #[test]
    fn a_daily_file_is_expected_daily() {
        let mut habit = fresh();
        for day in 0..21 {
            habit.delivered(at(day * 24 * HOUR_MS + 2 * HOUR_MS + day * MINUTE));
        }
        let last = habit.last().unwrap();
        assert!(!habit.silence(last.plus_ms(30 * HOUR_MS), 900).is_alarming());
        assert!(habit.silence(last.plus_ms(37 * HOUR_MS), 900).is_alarming());
    }

    #[test]
    fn silence_while_we_did_not_listen_is_not_counted() {
        let mut habit = fresh();
        shop_hours(&mut habit, 0..28);
        let before = habit.weeks.clone();
        let start = at(40 * 24 * HOUR_MS);
        habit.listens(start);
        assert_eq!(habit.silence(start.plus_ms(5_000), 900).seconds, 5);
        habit.delivered(start.plus_ms(6_000));
        let weeks: Vec<u32> = habit.weeks.keys().copied().collect();
        assert!(weeks.iter().all(|week| before.contains_key(week)), "the twelve days are in no week");
    }

    proptest! {
        #[test]
        fn inv_09_a_habit_is_bounded_and_steady(gaps in proptest::collection::vec(0_i64..200 * 24 * HOUR_MS, 1..60)) {
            let mut habit = fresh();
            let mut now = at(0);
            for gap in gaps {
                now = now.plus_ms(gap);
                habit.delivered(now);
                prop_assert!(habit.weeks.len() <= WEEKS_MAX as usize + 1);
                let silence = habit.silence(now, 900);
                prop_assert_eq!(silence.seconds, 0);
                prop_assert!(!silence.is_alarming());
            }
            // What was learned survives being written down.
            let mut again: Habit = crate::record::decode(&crate::record::encode(&habit)).unwrap();
            again.listens(habit.listening_since);
            prop_assert_eq!(again, habit);
        }

        /// Whatever the habit, a silence that two of the last weeks had at this hour is not alarmed.
        #[test]
        fn a_silence_that_two_weeks_had_is_usual(hours in 1_i64..60, begin in 0_i64..100) {
            let mut habit = fresh();
            for week in 0..4 {
                let from = week * WEEK_MS + begin * HOUR_MS;
                habit.delivered(at(from));
                habit.delivered(at(from + if week < 2 { hours * HOUR_MS } else { MINUTE }));
            }
            habit.delivered(at(4 * WEEK_MS + begin * HOUR_MS));
            let silence = habit.silence(at(4 * WEEK_MS + (begin + hours) * HOUR_MS), 60);
            prop_assert!(!silence.is_alarming(), "{:?}", silence);
        }
    }
}
