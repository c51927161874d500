//! Which registered MIDs are heard of: how often, when last, on which days; and which have gone silent
//! against their own habit. Anybody's card counts, so that a merchant can try a terminal with any;
//! nothing of the card is kept.
//!
//! The method. Of each MID the days (UTC) of the last 64 on which it was heard are kept, and of the
//! service the days on which it listened. A pause is the listened days between two days with a
//! message. The habit is the *second longest* pause: one holiday does not teach us that holidays are
//! usual, closed weekends do. A MID of which seven days are known has gone silent when more than half
//! as much again as its habit has passed without a message, and more than two days; the present day
//! does not count, it is not over. So a shop that is open daily is alarmed after three days, one that is
//! closed on weekends after four.
//!
//! Kept in a small file, written now and then: a crash forgets the last minutes, of which only a
//! message of a MID that is never heard again would be missed.

use super::key::Key;
use crate::domain::{MerchantId, Timestamp};
use crate::{kept, record};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Locks: two webhooks seldom meet.
const SHARDS: usize = 64;
/// MIDs of one lock; further ones are not told apart from those never heard of.
const PER_SHARD_MAX: usize = 20_000;
/// Days that are kept.
const DAYS: u32 = 64;
/// Days with a message that must be known before silence is told from rest.
const DAYS_LEAST: u32 = 7;
/// Days of silence that are never alarmed.
const SILENT_DAYS_LEAST: u32 = 2;
/// Bytes that the file has at most: every MID with all its numbers at their longest.
const FILE_BYTES_MAX: u64 = (SHARDS * PER_SHARD_MAX) as u64 * 48;

/// Some of the last 64 days: the newest, and in each bit whether so many days before it is one of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Days {
    newest: u32,
    bits: u64,
}

impl Days {
    fn add(&mut self, day: u32) {
        if day > self.newest {
            self.bits = self.up_to(day);
            self.newest = day;
        }
        // What is older than all that is kept is not in it.
        self.bits |= 1_u64.checked_shl(self.newest - day).unwrap_or(0);
    }
    /// The bits as if a later day were the newest.
    fn up_to(self, day: u32) -> u64 {
        self.bits.checked_shl(day.saturating_sub(self.newest)).unwrap_or(0)
    }
    /// Those of the days after one and before another.
    fn between(self, after: u32, before: u32) -> u32 {
        let inner = (after + 1..before).filter(|day| self.newest >= *day && self.newest - day < DAYS);
        u32::try_from(inner.filter(|day| self.bits >> (self.newest - day) & 1 == 1).count()).unwrap_or(DAYS)
    }
    /// All of them, oldest first.
    fn all(self) -> impl Iterator<Item = u32> {
        (0..DAYS).rev().filter(move |back| self.bits >> back & 1 == 1).map(move |back| self.newest - back)
    }
}

/// How a MID was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sound {
    /// Messages since it was heard of first.
    pub count: u64,
    /// When the last one came.
    pub last: Timestamp,
    days: Days,
}

/// A MID that has gone silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Whole days without a message on which the service listened.
    pub days: u32,
    /// The longest pause that is usual for it, in such days.
    pub habit_days: u32,
}

#[derive(Serialize, Deserialize)]
struct File {
    seed: u64,
    listened: Days,
    sounds: Vec<(u64, Sound)>,
}

/// See the module.
#[derive(Debug)]
pub struct Heard {
    since: Timestamp,
    /// So that nobody can choose MIDs that meet in one place.
    seed: AtomicU64,
    shards: Vec<Mutex<HashMap<u64, Sound>>>,
    listened: Mutex<Days>,
    path: OnceLock<PathBuf>,
    silent: AtomicU64,
}

fn open<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Heard {
    /// Nothing was heard yet.
    #[must_use]
    pub fn new(since: Timestamp) -> Self {
        let heard = Self {
            since,
            // Without randomness the places are known; nothing worse.
            seed: AtomicU64::new(getrandom::u64().unwrap_or(0)),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            listened: Mutex::default(),
            path: OnceLock::new(),
            silent: AtomicU64::new(0),
        };
        heard.listens(since);
        heard
    }

    /// Goes on from what lies in a file, and is kept there from now on: before anything is heard.
    ///
    /// # Errors
    /// When the file system refuses. What cannot be understood is begun anew.
    pub fn keep_in(&self, path: &Path) -> io::Result<()> {
        if let Some(bytes) = kept::read(path, FILE_BYTES_MAX)? {
            match record::decode::<File>(&bytes) {
                Ok(file) => {
                    self.seed.store(file.seed, Ordering::Release);
                    file.listened.all().for_each(|day| open(&self.listened).add(day));
                    for (hash, sound) in file.sounds {
                        open(self.shard(hash)).insert(hash, sound);
                    }
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "what was heard of MIDs cannot be read and begins anew");
                }
            }
        }
        let _ = self.path.set(path.to_owned());
        Ok(())
    }

    /// Counts the day as one on which messages would have been heard, counts those that have gone silent, and
    /// writes everything down. Linear in the MIDs that were heard of; blocks on the disk.
    ///
    /// # Errors
    /// When the file system refuses; the next writing tries again.
    pub fn save(&self, now: Timestamp) -> io::Result<()> {
        self.listens(now);
        let Some(path) = self.path.get() else { return Ok(()) };
        let listened = *open(&self.listened);
        let mut sounds = Vec::new();
        for shard in &self.shards {
            let mut shard = open(shard);
            // Nothing of its habit is known any more.
            shard.retain(|_, sound| sound.days.newest + DAYS > now.day());
            sounds.extend(shard.iter().map(|(hash, sound)| (*hash, *sound)));
        }
        let silent = sounds.iter().filter(|(_, sound)| silence(sound, listened, now.day()).is_some()).count();
        self.silent.store(silent as u64, Ordering::Relaxed);
        kept::replace(path, &record::encode(&File { seed: self.seed.load(Ordering::Acquire), listened, sounds }))
    }

    fn listens(&self, now: Timestamp) {
        open(&self.listened).add(now.day());
    }

    /// Since when this process listens.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// How many had gone silent at the last [`Heard::save`].
    #[must_use]
    pub fn silent(&self) -> u64 {
        self.silent.load(Ordering::Relaxed)
    }

    /// A message of a merchant's MID came.
    pub fn note(&self, merchant: &MerchantId, mid: &str, now: Timestamp) {
        let Some(hash) = self.hash(merchant, mid) else { return };
        let mut sounds = open(self.shard(hash));
        if sounds.len() >= PER_SHARD_MAX && !sounds.contains_key(&hash) {
            return;
        }
        let sound = sounds.entry(hash).or_insert(Sound { count: 0, last: now, days: Days::default() });
        sound.count += 1;
        sound.last = sound.last.max(now);
        sound.days.add(now.day());
    }

    /// How a merchant's MID was heard of; `None` when it was not in the last 64 days.
    #[must_use]
    pub fn of(&self, merchant: &MerchantId, mid: &str) -> Option<Sound> {
        let hash = self.hash(merchant, mid)?;
        open(self.shard(hash)).get(&hash).copied()
    }

    /// Whether a MID has gone silent: quieter than its own habit.
    #[must_use]
    pub fn silence(&self, sound: &Sound, now: Timestamp) -> Option<Silence> {
        silence(sound, *open(&self.listened), now.day())
    }

    fn hash(&self, merchant: &MerchantId, mid: &str) -> Option<u64> {
        // As the index of MIDs compares them: without leading zeros.
        let of_merchant = xxh3_64_with_seed(merchant.as_str().as_bytes(), self.seed.load(Ordering::Relaxed));
        Some(Key::of_mid(mid)?.hash(of_merchant))
    }

    fn shard(&self, hash: u64) -> &Mutex<HashMap<u64, Sound>> {
        &self.shards[usize::try_from(hash % SHARDS as u64).expect("a small number")]
    }
}

fn silence(sound: &Sound, listened: Days, today: u32) -> Option<Silence> {
    let heard: Vec<u32> = sound.days.all().collect();
    if sound.days.bits.count_ones() < DAYS_LEAST {
        return None;
    }
    let mut pauses: Vec<u32> = heard.windows(2).map(|two| listened.between(two[0], two[1])).collect();
    pauses.sort_unstable();
    let habit_days = pauses.iter().rev().nth(1).copied().unwrap_or(0);
    let days = listened.between(sound.days.newest, today);
    (days > SILENT_DAYS_LEAST.max(habit_days + habit_days / 2)).then_some(Silence { days, habit_days })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u32 = 20_000;

    fn bakery() -> MerchantId {
        MerchantId::new("bakery").unwrap()
    }

    /// Listens daily, and hears one MID on some of the days.
    fn listened(heard: &Heard, days: std::ops::Range<u32>, is_heard: impl Fn(u32) -> bool) {
        for day in days {
            let now = Timestamp::start_of_day(FIRST + day);
            heard.save(now).unwrap();
            if is_heard(day) {
                heard.note(&bakery(), "123", now);
            }
        }
    }

    fn silence_on(heard: &Heard, day: u32) -> Option<Silence> {
        let sound = heard.of(&bakery(), "123").unwrap();
        heard.silence(&sound, Timestamp::start_of_day(FIRST + day))
    }

    #[test]
    fn a_mid_is_heard_however_it_is_written_and_for_its_merchant_alone() {
        let now = Timestamp::start_of_day(FIRST);
        let heard = Heard::new(now);
        let rival = MerchantId::new("rival").unwrap();
        heard.note(&bakery(), "000123", now);
        heard.note(&bakery(), "123", now.plus_ms(5));
        let sound = heard.of(&bakery(), "00123").unwrap();
        assert_eq!((sound.count, sound.last), (2, now.plus_ms(5)));
        assert_eq!((heard.of(&rival, "123"), heard.of(&bakery(), "1230")), (None, None));
    }

    #[test]
    fn what_is_heard_daily_is_missed_on_the_third_day() {
        let heard = Heard::new(Timestamp::start_of_day(FIRST));
        listened(&heard, 0..20, |_| true);
        listened(&heard, 20..30, |_| false);
        assert_eq!(silence_on(&heard, 22), None, "the present day is not over");
        assert_eq!(silence_on(&heard, 23), Some(Silence { days: 3, habit_days: 0 }));
        listened(&heard, 30..31, |_| true);
        assert_eq!(silence_on(&heard, 31), None, "heard again");
    }

    #[test]
    fn closed_weekends_are_habit_and_one_holiday_is_not() {
        let heard = Heard::new(Timestamp::start_of_day(FIRST));
        // Five days of seven, and once a week off.
        listened(&heard, 0..42, |day| day % 7 < 5 && !(14..21).contains(&day));
        listened(&heard, 42..60, |_| false);
        assert_eq!(silence_on(&heard, 43), None);
        assert_eq!(silence_on(&heard, 44), Some(Silence { days: 4, habit_days: 2 }));
    }

    #[test]
    fn silence_while_nobody_listened_is_nobodys() {
        let heard = Heard::new(Timestamp::start_of_day(FIRST));
        listened(&heard, 0..10, |_| true);
        // The service was down for ten days.
        listened(&heard, 20..21, |_| false);
        assert_eq!(silence_on(&heard, 21), None);
        listened(&heard, 21..24, |_| false);
        assert_eq!(silence_on(&heard, 24).map(|found| found.days), Some(4));
    }

    #[test]
    fn of_few_days_nothing_is_said() {
        let heard = Heard::new(Timestamp::start_of_day(FIRST));
        listened(&heard, 0..40, |day| day < 6);
        assert_eq!(silence_on(&heard, 40), None);
    }

    #[test]
    fn it_goes_on_after_a_restart() {
        let dir = std::env::temp_dir().join(format!("ringfence-heard-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("mids");
        let before = Heard::new(Timestamp::start_of_day(FIRST));
        before.keep_in(&path).unwrap();
        listened(&before, 0..12, |day| day < 8);
        let after = Heard::new(Timestamp::start_of_day(FIRST + 12));
        after.keep_in(&path).unwrap();
        assert_eq!(after.of(&bakery(), "123"), before.of(&bakery(), "123"));
        assert_eq!(silence_on(&after, 12).map(|found| found.days), Some(4));
        after.save(Timestamp::start_of_day(FIRST + 12)).unwrap();
        assert_eq!(after.silent(), 1);
        after.save(Timestamp::start_of_day(FIRST + 71)).unwrap();
        assert_eq!((after.silent(), after.of(&bakery(), "123")), (0, None), "long past is forgotten");
        std::fs::write(&path, b"not ours").unwrap();
        let anew = Heard::new(Timestamp::start_of_day(FIRST + 12));
        anew.keep_in(&path).unwrap();
        assert_eq!(anew.of(&bakery(), "123"), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
