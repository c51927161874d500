//! What operators see of us: the log and the metrics.
//!
//! Nothing here decides anything, and nothing pure may import it. No body, card, name, address,
//! token or secret comes in: the log takes ids as fields, the metrics take words from fixed sets.

mod instruments;
mod logging;
mod metrics;
mod proofs;

pub use logging::{LoggingFault, init_logging};
pub use metrics::{BudgetShare, EventOddity, Metrics, RateLimitKind, RouteGroup, Stage, WebhookOutcome};
