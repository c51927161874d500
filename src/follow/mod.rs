//! Followers: what reads the records behind the service, each from a place of its own, and keeps
//! something derived from them. What a follower does can be done twice.
//!
//! [`screening`] is the one there is: [`feed`] is where it reads from, [`kept`] with [`resident`] what
//! it keeps, [`work`] its thread, [`live`] what it sees as records come, [`pass`] the look at
//! everybody, [`by_model`] what the fitted model says of them, [`backtest`] what another policy would have found
//! ([`backtests`] of a service), [`own`] who ties themselves to a group, [`around`] who is around a member,
//! [`rules`] (over what `acts` keeps) what the desk's own lists and velocities say, [`rivals`] who leads to a
//! merchant's competitors, with what they buy at those' tills; [`snapshot`] is all of it as a file, for the next start; [`report`] with [`customers`] keeps, beside it,
//! what merchants may know of their own business, and [`worth`] what the desk is worth.
#![allow(clippy::float_arithmetic, reason = "scores are estimates; there is no money here")]

mod acts;
pub mod around;
pub mod backtest;
pub mod backtests;
pub mod by_model;
pub mod customers;
pub mod feed;
pub mod kept;
pub mod live;
pub mod own;
pub mod pass;
pub mod report;
pub mod resident;
pub mod rivals;
pub mod rules;
pub mod screening;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod tills;
mod work;
pub mod worth;
