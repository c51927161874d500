//! Logs of partitions, and who follows them. A commit appends its records to the partition's log
//! in the same step as it changes the partition; one process at a time reads the logs, says
//! how far it has come, and drops what it has read.
//!
//! An entry is numbered by the partition's epoch and within it, so that entries after a
//! failover come after all that were before, whatever the new server lacks. A reader whose
//! last entry the log does not hold any more has missed something, and reads the state anew.

use super::{Call, Redis};
use crate::domain::Timestamp;
use crate::store::redis::layout::{PREFIX, named};
use crate::store::{CATALOGUE, Lease, Partition, StoreError};
use bytes::Bytes;
use std::fmt;

/// Entries of a partition that nobody has read; beyond them the oldest go, and whoever comes to
/// read them reads the state anew.
pub(super) const LOG_MAX: u64 = 8_192;

/// Where an entry stands in its partition's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogId {
    /// The partition's epoch.
    pub epoch: u64,
    /// Within it.
    pub number: u64,
}

impl LogId {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, number) = text.split_once('-')?;
        Some(Self { epoch: epoch.parse().ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.number)
    }
}

/// Some entries of a log.
#[derive(Debug, Default)]
pub struct LogPage {
    /// Oldest first.
    pub entries: Vec<(LogId, Bytes)>,
    /// Nothing is missing between these and the entry they were asked after.
    pub is_whole: bool,
}

/// How far screening has come, as it says itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Screened {
    /// The last entry passed of each partition that was asked for.
    pub passed: Vec<Option<LogId>>,
    /// When what the last whole pass looked at was read.
    pub pass_at: Option<Timestamp>,
}

impl Redis {
    /// Entries of a partition's log after one of them, at most so many.
    ///
    /// # Errors
    /// When Redis does not answer, or the partition is not proved.
    pub async fn read_log(
        &self,
        partition: Partition,
        after: Option<LogId>,
        limit: usize,
    ) -> Result<LogPage, StoreError> {
        let (process, epoch) = (self.process.get().copied().unwrap_or_default(), self.standings.of(partition).epoch());
        let mut call = Call::new(&self.functions.log, named(partition, &[b"proof"]));
        call.keys.push(named(partition, &[b"log"]));
        call.arg(process.to_string()).arg(epoch.to_string());
        // From the entry itself on: whether it is there tells whether those after it are whole.
        call.arg(after.map_or_else(|| "-".to_owned(), |after| after.to_string()));
        call.arg((limit + usize::from(after.is_some())).to_string());
        let (proved, found): (i64, Vec<(String, Vec<u8>)>) = self.call("reading a log", call).await?;
        if proved == 2 {
            return Ok(LogPage::default());
        }
        if proved != 1 {
            self.standings.of(partition).doubt();
            return Err(StoreError::Unproved { partition });
        }
        let entry = |(id, bytes): (String, Vec<u8>)| {
            LogId::parse(&id).map(|id| (id, Bytes::from(bytes))).ok_or(StoreError::Broken { partition })
        };
        let mut entries: Vec<(LogId, Bytes)> = found.into_iter().map(entry).collect::<Result<_, _>>()?;
        let is_whole = after.is_none_or(|after| entries.first().is_some_and(|(id, _)| *id == after));
        if is_whole && after.is_some() {
            entries.remove(0);
        }
        Ok(LogPage { entries, is_whole })
    }

    /// The newest entry of a partition's log; `None` when there never was one.
    ///
    /// # Errors
    /// As [`Redis::read_log`].
    pub async fn log_end(&self, partition: Partition) -> Result<Option<LogId>, StoreError> {
        let mut newest = redis::cmd("XREVRANGE");
        newest.arg(named(partition, &[b"log"])).arg("+").arg("-").arg("COUNT").arg(1);
        let newest: Vec<(String, redis::Value)> = self.read_one("asking for a log's end", partition, newest).await?;
        newest.first().map(|(id, _)| LogId::parse(id).ok_or(StoreError::Broken { partition })).transpose()
    }

    /// Drops the entries of a log before one that was read.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn trim_log(&self, partition: Partition, before: LogId) -> Result<(), StoreError> {
        let mut trim = redis::cmd("XTRIM");
        trim.arg(named(partition, &[b"log"])).arg("MINID").arg("~").arg(before.to_string());
        self.ask::<i64>("trimming a log", &trim).await.map(drop)
    }

    /// Whether a process alone follows a partition, for some milliseconds more. Whoever gets the
    /// lease after another gets a higher token, also from a server that forgot the last one.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn lease(&self, partition: Partition, process: u32, for_ms: u64) -> Result<Option<Lease>, StoreError> {
        let mut call = Call::new(&self.functions.lease, named(partition, &[b"proof"]));
        call.keys.push(named(partition, &[b"lease"]));
        call.arg(process.to_string()).arg(for_ms.to_string());
        let token: u64 = self.call("asking for a lease", call).await?;
        Ok((token != 0).then_some(Lease { process, token }))
    }

    /// Says how far screening has come; `false` when another process screens by now.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn say_screened(
        &self,
        lease: Lease,
        passed: &[(Partition, LogId)],
        pass_at: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let mut call = Call::new(&self.functions.screened, named(CATALOGUE, &[b"lease"]));
        call.keys.push(screened_key());
        call.arg(lease.process.to_string()).arg(lease.token.to_string());
        for (partition, id) in passed {
            call.arg(partition.to_string()).arg(id.to_string());
        }
        if let Some(at) = pass_at {
            call.arg("pass").arg(at.as_ms().to_string());
        }
        Ok(self.call::<i64>("saying how far screening has come", call).await? == 1)
    }

    /// How far screening has come in some partitions.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn screened(&self, partitions: &[Partition]) -> Result<Screened, StoreError> {
        let mut get = redis::cmd("HMGET");
        get.arg(screened_key()).arg("pass").arg(partitions);
        let found: Vec<Option<String>> = self.ask("asking how far screening has come", &get).await?;
        let pass_at = found.first().cloned().flatten().and_then(|ms| ms.parse().ok()).map(Timestamp::from_ms);
        let passed = found.iter().skip(1).map(|id| LogId::parse(id.as_deref()?)).collect();
        Ok(Screened { passed, pass_at })
    }
}

fn screened_key() -> Vec<u8> {
    format!("{PREFIX}{{catalogue}}:screened").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_new_epoch_come_after_all_before() {
        let id = |text: &str| LogId::parse(text).unwrap();
        assert!(id("2-0") > id("1-900") && id("1-10") > id("1-9"));
        assert_eq!(id("3-17").to_string(), "3-17");
        assert!(LogId::parse("3").is_none() && LogId::parse("3-x").is_none());
    }
}
