//! Calls per second and key, by governor's GCRA, in memory whose size is fixed when the limiter is made.
//! Keys are not kept: a table of sets holds, per key, 64 bits of a secretly keyed hash and governor's one number, the
//! time at which the key will have nothing left to pay off. A full set gives up the key that owes least. A key that has paid
//! off is forgotten without any effect; to make us forget one that is being held back, an attacker must
//! drive every other key of its (unknown) set deeper into debt, which gains it less than those keys gave it anyway. An LRU
//! would instead forget whatever was not seen during a flood of fresh addresses.

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Keys of one set: two cache lines, searched without a branch per key.
const WAYS: usize = 8;
/// Locks; more than cores by far, so that two calls seldom meet.
const SHARDS: usize = 64;

/// One rate for all keys of a limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitOptions {
    /// Calls per second that a key may make for ever.
    pub per_second: NonZeroU32,
    /// Calls that a rested key may make at once.
    pub burst: NonZeroU32,
    /// Keys remembered at once, 16 bytes each; rounded up to whole sets (512 keys at least).
    pub keys_max: usize,
}

/// A key made too many calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter {
    /// Whole seconds until a call would pass; at least 1.
    pub seconds: u32,
}

/// Holds each key to [`LimitOptions`]. `K` says what the keys are, so that limits of different things are not mixed up.
pub struct Limiter<K: ?Sized, C: Clock = DefaultClock> {
    limiter: RateLimiter<u64, Table, C, NoOpMiddleware<C::Instant>>,
    hasher: RandomState,
    keys: PhantomData<fn(&K)>,
}

impl<K: Hash + ?Sized> Limiter<K> {
    /// A limiter on the machine's monotonic clock.
    #[must_use]
    pub fn new(options: LimitOptions) -> Self {
        Self::with_clock(options, DefaultClock::default())
    }

    /// One for what is rare: a key may make one call in so long a time, besides its burst.
    /// A time of nothing is as `options` say.
    #[must_use]
    pub fn every(time: Duration, options: LimitOptions) -> Self {
        let quota = Quota::with_period(time).unwrap_or_else(|| Quota::per_second(options.per_second));
        Self::with_quota(quota.allow_burst(options.burst), options.keys_max, DefaultClock::default())
    }
}

impl<K: Hash + ?Sized, C: Clock> Limiter<K, C> {
    /// A limiter on a clock of the caller's.
    #[must_use]
    pub fn with_clock(options: LimitOptions, clock: C) -> Self {
        let quota = Quota::per_second(options.per_second).allow_burst(options.burst);
        Self::with_quota(quota, options.keys_max, clock)
    }

    fn with_quota(quota: Quota, keys_max: usize, clock: C) -> Self {
        Self {
            limiter: RateLimiter::new(quota, Table::with_keys(keys_max), clock),
            hasher: RandomState::new(),
            keys: PhantomData,
        }
    }

    /// Counts one call of `key`.
    ///
    /// # Errors
    /// When the key must wait; the call then counts for nothing.
    pub fn check(&self, key: &K) -> Result<(), RetryAfter> {
        self.limiter.check_key(&self.hasher.hash_one(key)).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.limiter.clock().now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            RetryAfter { seconds: u32::try_from(seconds.max(1)).unwrap_or(u32::MAX) }
        })
    }
}

impl<K: ?Sized, C: Clock> std::fmt::Debug for Limiter<K, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

/// Governor's number per key. An unused way is all zeros: it owes least of all.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    key: u64,
    paid_off_at: u64,
}

type Set = [Way; WAYS];

struct Table {
    shards: Box<[Mutex<Box<[Set]>>]>,
}

impl Table {
    fn with_keys(keys_max: usize) -> Self {
        let sets = keys_max.div_ceil(WAYS * SHARDS).max(1);
        Self { shards: (0..SHARDS).map(|_| Mutex::new(vec![Set::default(); sets].into_boxed_slice())).collect() }
    }
}

impl StateStore for Table {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let shard = &self.shards[usize::try_from(key % SHARDS as u64).expect("a small number")];
        // A panic under this lock is not possible in a way that leaves a set half written.
        let mut sets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let at = (key / SHARDS as u64) % sets.len() as u64;
        let set = &mut sets[usize::try_from(at).expect("below a length")];
        let known = set.iter().position(|way| way.key == *key);
        let (answer, paid_off_at) = decide(known.map(|way| Nanos::new(set[way].paid_off_at)))?;
        let way = known.unwrap_or_else(|| {
            let least = set.iter().enumerate().min_by_key(|(_, way)| way.paid_off_at);
            least.map_or(0, |(way, _)| way)
        });
        set[way] = Way { key: *key, paid_off_at: paid_off_at.as_u64() };
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn limiter(per_second: u32, burst: u32, keys_max: usize) -> (Limiter<u64, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let options = LimitOptions {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
            keys_max,
        };
        (Limiter::with_clock(options, clock.clone()), clock)
    }

    fn calls_that_pass(limiter: &Limiter<u64, FakeRelativeClock>, key: u64) -> usize {
        std::iter::repeat_with(|| limiter.check(&key)).take_while(Result::is_ok).take(1_000).count()
    }

    #[test]
    fn a_burst_then_the_rate() {
        let (limiter, clock) = limiter(2, 5, 1_000);
        assert_eq!(calls_that_pass(&limiter, 1), 5);
        assert_eq!(limiter.check(&1), Err(RetryAfter { seconds: 1 }));
        assert_eq!(calls_that_pass(&limiter, 2), 5, "keys do not share");
        clock.advance(Duration::from_millis(499));
        assert_eq!(calls_that_pass(&limiter, 1), 0);
        clock.advance(Duration::from_millis(1));
        assert_eq!(calls_that_pass(&limiter, 1), 1);
        clock.advance(Duration::from_secs(3_600));
        assert_eq!(calls_that_pass(&limiter, 1), 5, "rest fills the burst and no more");
    }

    #[test]
    fn retry_after_is_enough_and_whole() {
        let (limiter, clock) = limiter(1, 4, 10);
        assert_eq!(calls_that_pass(&limiter, 1), 4);
        clock.advance(Duration::from_millis(1));
        let RetryAfter { seconds } = limiter.check(&1).unwrap_err();
        assert_eq!(seconds, 1);
        clock.advance(Duration::from_secs(u64::from(seconds)));
        assert!(limiter.check(&1).is_ok());
    }

    #[test]
    fn inv_09_memory_is_fixed_whatever_keys_come() {
        let table = Table::with_keys(100_000);
        let ways = |table: &Table| table.shards.iter().map(|shard| shard.lock().unwrap().len() * WAYS).sum::<usize>();
        assert!((100_000..101_000).contains(&ways(&table)));
        assert_eq!(std::mem::size_of::<Set>(), 128);
        for key in 0..300_000_u64 {
            let key = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let _ = table.measure_and_replace(&key, |_| Ok::<_, ()>(((), Nanos::new(1))));
        }
        assert!((100_000..101_000).contains(&ways(&table)));
    }

    #[test]
    fn a_flood_of_fresh_keys_does_not_free_a_key_that_is_held_back() {
        let (limiter, clock) = limiter(1, 50, 4_096);
        assert_eq!(calls_that_pass(&limiter, 7), 50);
        for key in 1_000..201_000 {
            assert!(limiter.check(&key).is_ok(), "newcomers are let in even when the table is full");
        }
        assert!(limiter.check(&7).is_err());
        clock.advance(Duration::from_secs(1));
        assert_eq!(calls_that_pass(&limiter, 7), 1);
    }

    #[test]
    fn text_is_a_key_too() {
        let options = LimitOptions { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN, keys_max: 0 };
        let limiter = Limiter::<str>::new(options);
        assert!(limiter.check("visa-eu").is_ok());
        assert!(limiter.check("visa-eu").is_err());
        assert!(limiter.check("visa-us").is_ok());
    }
}
