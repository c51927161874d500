//! The one place that asks the machine for the time. Everything that decides takes
//! the time as an argument; tests and the demo move a clock of their own.

use crate::domain::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Where the time comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's.
    #[default]
    Machine,
    /// Set by hand.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at the given instant until moved with [`Clock::set`].
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.as_ms())))
    }
    /// The time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Machine => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Manual(ms) => Timestamp::from_ms(ms.load(Ordering::Acquire)),
        }
    }
    /// Moves a manual clock; the machine's stays where it is.
    pub fn set(&self, at: Timestamp) {
        if let Self::Manual(ms) = self {
            ms.store(at.as_ms(), Ordering::Release);
        }
    }
}
