//! How purchases go, trade by trade: what is authorized when, what is cleared at night, and
//! what people do afterwards. Times are minutes of the shop's own day.

use super::day::Step;
use super::dialect::Says;
use super::town::Trade;
use super::traffic::Writer;
use crate::domain::{EventKind, Sequence};
use rand::RngExt;

impl Writer<'_> {
    /// Minutes and amounts of one purchase, from the authorization to the clearing, as far
    /// as its networks can say it.
    pub(super) fn course(&mut self, trade: Trade, city: usize, says: Says) -> Vec<Step> {
        use EventKind::{Advice, Authorization, Clearing, Increment};
        let (from, to) = match trade {
            Trade::Coffee if self.rng.random_ratio(7, 10) => (390, 690),
            Trade::Coffee => (690, 1020),
            Trade::Lunch => (690, 840),
            Trade::Grocery => (960, 1230),
            Trade::Fuel => (420, 1200),
            Trade::Hotel => (870, 1080),
            Trade::Online => (480, 1380),
            Trade::Dinner => (1080, 1320),
        };
        let minute = self.rng.random_range(from..to);
        let night = 1440 + self.rng.random_range(60..360);
        let (low, high) = match trade {
            Trade::Coffee => (320, 980),
            Trade::Lunch => (900, 2800),
            Trade::Grocery => (900, 14_000),
            Trade::Fuel => (2500, 8500),
            Trade::Hotel => (12_000, 26_000),
            Trade::Online => (3000, 18_000),
            Trade::Dinner => (2800, 9500),
        };
        let minor: i64 = self.rng.random_range(low..high);
        let mut steps = Vec::with_capacity(4);
        let mut push = |this: &mut Self, kind, minor, minute, sequence| {
            steps.push(Step { kind, minor: Some(minor), at: this.at(city, minute), sequence });
        };
        match trade {
            Trade::Coffee | Trade::Lunch | Trade::Grocery => {
                push(self, Authorization, minor, minute, None);
                push(self, Clearing, minor, night, None);
            }
            Trade::Fuel => {
                push(self, Authorization, 100, minute, None);
                if says.advice && self.rng.random_ratio(7, 10) {
                    push(self, Advice, minor, minute + 4, None);
                }
                push(self, Clearing, minor, night, None);
            }
            Trade::Hotel => {
                push(self, Authorization, minor, minute, None);
                let mut total = minor;
                for k in 0..self.rng.random_range(1..3) {
                    let more = self.rng.random_range(900..6500);
                    total += more;
                    if says.increment {
                        push(self, Increment, more, 1140 + 90 * k, None);
                    }
                }
                push(self, Clearing, total, 1440 + 480, None);
            }
            Trade::Online => {
                push(self, Authorization, minor, minute, None);
                if says.clearings && self.rng.random_ratio(2, 5) {
                    let part = minor * self.rng.random_range(30..70) / 100;
                    let of_two = |number| Some(Sequence { number, count: Some(2) });
                    push(self, Clearing, part, night, of_two(1));
                    if self.rng.random_ratio(5, 6) {
                        push(self, Clearing, minor - part, night + 300, of_two(2));
                    }
                } else {
                    push(self, Clearing, minor, night, None);
                }
            }
            Trade::Dinner => {
                push(self, Authorization, minor, minute, None);
                let tip = minor * self.rng.random_range(10..22) / 100;
                push(self, Clearing, minor + tip, night, None);
            }
        }
        steps
    }

    /// What people do after they bought: cancel, wait, return, dispute.
    pub(super) fn afterwards(&mut self, steps: &mut Vec<Step>, city: usize, says: Says) {
        use EventKind::{Chargeback, ChargebackReversal, Clearing, Expiry, Refund, Reversal};
        let cleared: i64 = steps.iter().filter(|s| s.kind == Clearing).filter_map(|s| s.minor).sum();
        let morning = 1440 + 480 + self.rng.random_range(0..200);
        let plain = |kind, minor, at| Step { kind, minor, at, sequence: None };
        match self.rng.random_range(0..1000) {
            0..30 if says.reversal => {
                steps.retain(|step| step.kind != Clearing);
                let after = steps.last().map_or(self.day.start, |last| last.at).plus_ms(1_500_000);
                steps.push(plain(Reversal, None, after));
            }
            0..45 if says.expiry => {
                steps.retain(|step| step.kind != Clearing);
                let at = self.at(city, morning);
                steps.push(plain(Expiry, None, at));
            }
            0..130 => steps.retain(|step| step.kind != Clearing),
            130..155 if says.names_refund => {
                let at = self.at(city, morning);
                steps.push(plain(Refund, Some(cleared), at));
            }
            155..210 if says.names_part_refund => {
                let part = cleared * self.rng.random_range(10..80) / 100;
                let at = self.at(city, morning);
                steps.push(plain(Refund, Some(part.max(1)), at));
                if self.rng.random_ratio(1, 5) {
                    let at = self.at(city, morning + 45);
                    steps.push(plain(Refund, Some(((cleared - part) / 2).max(1)), at));
                }
            }
            210..230 if steps.len() == 2 => drop(steps.remove(0)),
            230..236 if says.disputes => {
                let at = self.at(city, morning + 60);
                steps.push(plain(Chargeback, Some(cleared), at));
                if self.rng.random_ratio(1, 3) {
                    let at = self.at(city, morning + 90);
                    steps.push(plain(ChargebackReversal, Some(cleared), at));
                }
            }
            _ => {}
        }
    }
}
