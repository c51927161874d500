//! State behind a small promise: read keys of one partition, commit a batch of one
//! partition if versions still hold, scan a prefix. Every keeper is a cache of the
//! journals and keeps exactly this promise; what keys mean is `keys`' business alone.

pub mod embedded;
pub mod keys;
pub mod redis;

use crate::domain::{MemberId, Timestamp};
use crate::journal::Position;
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The unit in which state is kept together and committed together.
pub type Partition = u16;

/// Merchants, offers and dead letters live together, outside the members' partitions.
pub const CATALOGUE: Partition = u16::MAX;

/// A key within a partition.
pub type Key = Vec<u8>;

/// A keeper's answer, so that keepers can be chosen at start: at once, without a box, where
/// it is in this process.
pub enum Answer<'a, T> {
    /// At once; taken by the first poll.
    Now(Option<Result<T, StoreError>>),
    /// When it comes.
    Later(Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>),
}

impl<T> From<Result<T, StoreError>> for Answer<'_, T> {
    fn from(answer: Result<T, StoreError>) -> Self {
        Self::Now(Some(answer))
    }
}

impl<T: Unpin> Future for Answer<'_, T> {
    type Output = Result<T, StoreError>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Now(answer) => Poll::Ready(answer.take().expect("an answer is taken once")),
            Self::Later(answer) => answer.as_mut().poll(context),
        }
    }
}

/// Pairs of keys and values in key order.
pub type Pairs = Vec<(Key, Bytes)>;

/// What must hold for a batch to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The key of a versioned value (its first eight bytes are the version, little endian).
    pub key: Key,
    /// The version it must have; 0 when it must be absent.
    pub version: u64,
}

/// A change of one partition, all or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The partition.
    pub partition: Partition,
    /// Checked first.
    pub expects: Vec<Expect>,
    /// Lines that must be as they were read (`None`: absent).
    pub same: Vec<(Key, Option<Bytes>)>,
    /// Written; `None` removes.
    pub puts: Vec<(Key, Option<Bytes>)>,
    /// Counters (eight bytes, little endian, absent is 0) raised by an amount.
    pub adds: Vec<(Key, i64)>,
    /// Whose record it is of; `None` for what nobody misses when it is forgotten.
    pub by: Option<By>,
    /// Its records, for those who follow the partition in a shared store; who has a store alone
    /// follows the journal.
    pub log: Vec<Bytes>,
    /// When its records were decided: a shared store is not offered what is too old by then.
    pub decided_at: Option<Timestamp>,
    /// Work that one process of a shared store does alone: refused once another has its lease.
    pub lease: Option<Lease>,
}

/// What says that a process alone follows a partition of a shared store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The process.
    pub process: u32,
    /// Raised whenever another takes over.
    pub token: u64,
}

/// The process whose journal holds a batch's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    /// Its number.
    pub process: u32,
    /// All its records before here are in the state.
    pub low_water: Position,
    /// It offers again what a shared store forgot, while others wait.
    pub repairs: bool,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is in the state.
    Yes,
    /// A version was another; nothing was changed.
    Conflict,
    /// A shared store may lack what this process was told it holds; nothing was changed, and
    /// nothing will be until what is lacking was offered again.
    Unproved,
}

/// The state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The keeper's own fault.
    #[error("the state store failed while {doing}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A shared store may lack what this process was told it holds: what is read cannot be believed.
    #[error("partition {partition} is being checked against the journals")]
    Unproved {
        /// Where.
        partition: Partition,
    },
    /// Bytes are not what was written.
    #[error(
        "a value of partition {partition} is broken; stop the service and remove the state folder, it is rebuilt from the journal"
    )]
    Broken {
        /// Where.
        partition: Partition,
    },
}

impl StoreError {
    /// Wraps a keeper's own fault.
    pub fn failed<E: std::error::Error + Send + Sync + 'static>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Failed { doing, source: Box::new(source) }
    }
}

/// The promise. Complexity: a read is one look-up per key; a commit one per key touched;
/// a scan is bounded by its limit.
pub trait Keeper: Send + Sync {
    /// Where the counters that a partition's batches raise are kept: a keeper that commits
    /// over partitions at once counts in one place, for all.
    fn counted_in(&self, partition: Partition) -> Partition;
    /// The value of a key.
    fn get<'a>(&'a self, partition: Partition, key: &'a [u8]) -> Answer<'a, Option<Bytes>>;
    /// Values of some keys of one partition, in the order asked.
    fn read<'a>(&'a self, partition: Partition, keys: &'a [Key]) -> Answer<'a, Vec<Option<Bytes>>>;
    /// Commits a batch if its expectations hold.
    fn commit(&self, batch: Batch) -> Answer<'_, Committed>;
    /// Pairs whose key begins with a prefix and is greater than `after`, at most `limit`.
    fn scan<'a>(
        &'a self,
        partition: Partition,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Answer<'a, Pairs>;
    /// A member's head, first, and purchases; nothing when nobody registered them.
    fn member<'a>(&'a self, partition: Partition, member: &'a MemberId) -> Answer<'a, Pairs>;
    /// Members of a partition in the order of their ids, after one, at most `limit`.
    fn members<'a>(
        &'a self,
        partition: Partition,
        after: Option<&'a MemberId>,
        limit: usize,
    ) -> Answer<'a, Vec<MemberId>>;
}
