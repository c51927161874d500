//! How long to wait before asking again. Pure: randomness is an argument.

use std::time::Duration;

const LEAST_MS: u64 = 1_000;
const MOST_MS: u64 = 300_000;
/// Longest wait that the other side may ask for.
const ASKED_SECONDS_MAX: u64 = 3_600;

/// The wait after so many failures in a row: doubled each time up to five minutes, and
/// between half and the whole of it, so that many who failed together do not come back
/// together. What the other side asked for is kept, up to an hour.
#[must_use]
pub fn after_failures(failures: u32, random: u64, asked_seconds: Option<u64>) -> Duration {
    let whole = LEAST_MS.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(MOST_MS);
    let backed_off = Duration::from_millis(whole / 2 + random % (whole / 2 + 1));
    let asked = Duration::from_secs(asked_seconds.unwrap_or(0).min(ASKED_SECONDS_MAX));
    backed_off.max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let most = |failures| after_failures(failures, u64::MAX - u64::MAX % 300_001 - 1, None).as_millis();
        let whole: Vec<u64> = (1..12).map(|n| (LEAST_MS << (n - 1)).min(MOST_MS)).collect();
        for (failures, whole) in (1..12).zip(whole) {
            let least = after_failures(failures, 0, None).as_millis();
            assert_eq!(least, u128::from(whole / 2));
            assert!(most(failures) <= u128::from(whole) && most(failures) >= least);
        }
        assert_eq!(after_failures(1, 0, Some(30)), Duration::from_secs(30));
        assert_eq!(after_failures(1, 0, Some(u64::MAX)), Duration::from_secs(ASKED_SECONDS_MAX));
    }

    proptest! {
        #[test]
        fn inv_09_waits_are_bounded(failures in any::<u32>(), random in any::<u64>()) {
            let wait = after_failures(failures, random, None);
            prop_assert!((LEAST_MS / 2..=MOST_MS).contains(&u64::try_from(wait.as_millis()).unwrap()));
        }
    }
}
