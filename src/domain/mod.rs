//! Our words: ids, money, time, card events, merchants, offers, members.
//!
//! Everything here is a value. Nothing here reads a clock, a file or a socket,
//! and nothing here knows a provider's dialect.

pub mod card_event;
pub mod ids;
pub mod member;
pub mod merchant;
pub mod money;
pub mod offer;
pub mod purchase;
pub mod time;
pub mod unit;

pub use card_event::{CardEvent, Channel, EventKind, MerchantMark, Sequence};
pub use ids::{CardHash, EventKey, LocationId, MemberId, MerchantId, OfferId, PurchaseId, PurchaseKey, SourceName};
pub use money::{BasisPoints, Currency, Money};
pub use time::Timestamp;
pub use unit::{Code, Unit};
