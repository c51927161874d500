//! Who works on which case: one case at a time, seen by the others, free again when left alone.
//! In memory of this process, as sessions are: it keeps people out of each other's way, and the
//! case's own version keeps the books.

use crate::authenticate::KeyId;
use crate::domain::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The cases that somebody has.
#[derive(Debug)]
pub struct Taken {
    idle_ms: i64,
    by_case: Mutex<BTreeMap<u64, Held>>,
}

#[derive(Debug, Clone)]
struct Held {
    by: KeyId,
    until: Timestamp,
}

impl Taken {
    /// Nobody has one.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        Self { idle_ms: i64::try_from(idle.as_millis()).unwrap_or(i64::MAX), by_case: Mutex::default() }
    }

    /// Takes a case, and lets go of any other. What is had already is had longer.
    ///
    /// # Errors
    /// Who has it.
    pub fn take(&self, case: u64, by: &KeyId, now: Timestamp) -> Result<(), KeyId> {
        let mut held = self.held(now);
        if let Some(other) = held.get(&case).filter(|had| had.by != *by) {
            return Err(other.by.clone());
        }
        held.retain(|_, had| had.by != *by);
        held.insert(case, Held { by: by.clone(), until: now.plus_ms(self.idle_ms) });
        Ok(())
    }

    /// Its holder is at work on it.
    pub fn touch(&self, case: u64, by: &KeyId, now: Timestamp) {
        if let Some(had) = self.held(now).get_mut(&case).filter(|had| had.by == *by) {
            had.until = now.plus_ms(self.idle_ms);
        }
    }

    /// Lets go of a case, whoever has it.
    pub fn release(&self, case: u64, now: Timestamp) {
        self.held(now).remove(&case);
    }

    /// Who has a case, and until when if they leave it alone.
    pub fn holder(&self, case: u64, now: Timestamp) -> Option<(KeyId, Timestamp)> {
        self.held(now).get(&case).map(|had| (had.by.clone(), had.until))
    }

    /// Which case somebody has.
    pub fn case_of(&self, by: &KeyId, now: Timestamp) -> Option<u64> {
        self.held(now).iter().find(|(_, had)| had.by == *by).map(|(case, _)| *case)
    }

    /// How many are had.
    pub fn count(&self, now: Timestamp) -> usize {
        self.held(now).len()
    }

    /// What is held now: at most one for each who works.
    fn held(&self, now: Timestamp) -> MutexGuard<'_, BTreeMap<u64, Held>> {
        let mut held = self.by_case.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, had| now < had.until);
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn who(name: &str) -> KeyId {
        KeyId::of_user(&name.parse().unwrap())
    }

    #[test]
    fn one_has_one_case_until_they_leave_it_alone() {
        let taken = Taken::new(Duration::from_secs(60));
        let (anna, bert, now) = (who("anna"), who("bert"), Timestamp::start_of_day(20_000));
        taken.take(1, &anna, now).unwrap();
        assert_eq!(taken.take(1, &bert, now), Err(anna.clone()));
        taken.take(2, &bert, now).unwrap();
        taken.take(3, &bert, now).unwrap();
        assert_eq!((taken.case_of(&bert, now), taken.holder(2, now)), (Some(3), None), "one at a time");
        let later = now.plus_ms(59_999);
        taken.touch(1, &anna, later);
        taken.touch(3, &anna, later);
        let end = now.plus_ms(60_000);
        assert_eq!((taken.case_of(&anna, end), taken.case_of(&bert, end)), (Some(1), None));
        taken.release(1, end);
        assert_eq!(taken.count(end), 0);
    }

    #[test]
    fn of_many_at_once_one_has_it() {
        let taken = Arc::new(Taken::new(Duration::from_secs(60)));
        let now = Timestamp::start_of_day(20_000);
        let all: Vec<_> = (0..8)
            .map(|place| {
                let taken = Arc::clone(&taken);
                std::thread::spawn(move || taken.take(7, &who(&format!("user-{place}")), now).is_ok())
            })
            .collect();
        assert_eq!(all.into_iter().map(|one| one.join().unwrap()).filter(|had| *had).count(), 1);
    }
}
