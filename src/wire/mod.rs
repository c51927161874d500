//! Bytes and HTTP: accepts connections, bounds all that a stranger can make us hold, reads one body, calls
//! the [`Handler`] and answers. Knows nothing of cards, offers or money, and never reads what a body says.
//!
//! * [`serve`]: listener in, [`Stopped`] out; the bounds are [`WireOptions`].
//! * [`Problem`]: how every refusal is written.
//! * [`Limiter`]: calls per second and key, in memory of a fixed size.
//! * [`TrustedProxies`]: whose word about the caller's address counts.

mod address;
mod body;
pub mod client;
mod exchange;
mod limits;
mod options;
mod problem;
mod request;
mod serve;

#[cfg(test)]
mod tests;

pub use address::{AddressKey, TrustedProxies, UnreadableNetwork};
pub use limits::{LimitOptions, Limiter, RetryAfter};
pub use options::{WireCounters, WireOptions};
pub use problem::{Problem, ProblemEntry};
pub use request::{Handler, Request, RequestId};
pub use serve::{Stopped, serve, shutdown_signal};
