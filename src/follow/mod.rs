//! Followers: what reads the records behind the service, each from a place of its own, and keeps
//! something derived from them. What a follower does can be done twice.
//!
//! [`screening`] is the one there is: [`feed`] is where it reads from, [`kept`] with [`resident`] what
//! it keeps, [`work`] its thread, [`live`] what it sees as records come, [`pass`] the look at
//! everybody, [`own`] who ties themselves to a group, [`rivals`] who leads to a merchant's
//! competitors.
#![allow(clippy::float_arithmetic, reason = "scores are estimates; there is no money here")]

pub mod feed;
pub mod kept;
pub mod live;
pub mod own;
pub mod pass;
pub mod resident;
pub mod rivals;
pub mod screening;
#[cfg(test)]
mod tests;
mod work;

use crate::engine::{Engine, EngineError};
use crate::journal::Position;
use crate::record::{self, Record};

/// Some records in order, and where to read on.
#[derive(Debug)]
pub struct Read {
    /// The records, each with its place.
    pub records: Vec<(Position, Record)>,
    /// Where to read on.
    pub next: Position,
}

/// The records of a store in an order that keeps each member's own: all a follower asks of it.
pub trait Log: Send + Sync {
    /// Records from a place on, about so many; none at the end.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read(&self, from: Position, records: usize) -> Result<Read, EngineError>;
    /// Where what is durable ends.
    fn end(&self) -> Position;
}

impl Log for Engine {
    fn read(&self, from: Position, records: usize) -> Result<Read, EngineError> {
        let page = self.read_journal(from, records)?;
        let decoded = page.entries.iter().map(|entry| Ok((entry.at, record::decode(&entry.record)?)));
        let records = decoded.collect::<Result<_, EngineError>>()?;
        Ok(Read { records, next: page.next })
    }
    fn end(&self) -> Position {
        self.journal_end()
    }
}
