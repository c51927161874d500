//! What one process at a time does for all that share a store: it holds a lease, reads the logs
//! of the partitions, and says how far it has come. What it writes names the lease, so that
//! nothing is written by one that was taken for dead and goes on.

use super::super::{Engine, EngineError, read_member};
use super::ALIVE_MS;
use crate::decide::MemberState;
use crate::domain::{MemberId, Timestamp};
use crate::record::{self, Body, Record};
use crate::store::redis::{LogId, Screened};
use crate::store::{Batch, CATALOGUE, Lease, Partition};
use futures_util::{StreamExt, TryStreamExt};

/// Partitions asked side by side.
const ASKED_AT_ONCE: usize = 64;

/// Records of a partition's log.
#[derive(Debug, Default)]
pub struct Logged {
    /// Oldest first.
    pub records: Vec<Record>,
    /// The last entry of them; `None` when nothing came.
    pub last: Option<LogId>,
    /// Nothing is missing before them.
    pub is_whole: bool,
}

impl Engine {
    /// The lease of a partition's follower, for some seconds more; `None` while another process has
    /// it. Where the store is this process' alone, nobody needs one.
    pub(in crate::engine) async fn lease(&self, partition: Partition) -> Result<Option<Lease>, EngineError> {
        match self.shared() {
            Some(shared) => Ok(shared.redis.lease(partition, shared.process, ALIVE_MS).await?),
            None => Ok(None),
        }
    }

    /// Takes the lease of screening or keeps it, for some seconds; false while another process
    /// screens.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn screens_alone(&self) -> Result<bool, EngineError> {
        let lease = self.lease(CATALOGUE).await?;
        self.screening().hold(lease);
        Ok(lease.is_some())
    }

    /// Gives the lease of screening up, so that another process need not wait until it ends.
    ///
    /// # Errors
    /// When Redis does not answer; then it ends by itself.
    pub async fn end_screening(&self) -> Result<(), EngineError> {
        if let (Some(shared), Some(_)) = (self.shared(), self.screening().lease()) {
            self.screening().hold(None);
            shared.redis.lease(CATALOGUE, shared.process, 0).await?;
        }
        Ok(())
    }

    /// Tells whoever screens a shared store of a record that is no member's, with the first of its batches.
    pub(in crate::engine) fn log_with(&self, batches: &mut [Batch], record: &Record) {
        let concerns = matches!(record.body, Body::Case(_) | Body::DetectorWithdrawn(_) | Body::Rule(_));
        if concerns
            && self.policy.screened
            && self.is_shared()
            && let Some(first) = batches.first_mut()
        {
            first.log.push(record::encode(record).into());
        }
    }

    /// Records that a partition's log has after one of them; nothing where the store is not shared.
    ///
    /// # Errors
    /// When Redis does not answer, or the partition is being proved.
    pub async fn logged(
        &self,
        partition: Partition,
        after: Option<LogId>,
        limit: usize,
    ) -> Result<Logged, EngineError> {
        let Some(shared) = self.shared() else { return Ok(Logged { is_whole: true, ..Logged::default() }) };
        let page = shared.redis.read_log(partition, after, limit).await?;
        let last = page.entries.last().map(|(id, _)| *id);
        let records = page.entries.iter().map(|(_, bytes)| record::decode(bytes)).collect::<Result<_, _>>()?;
        Ok(Logged { records, last, is_whole: page.is_whole })
    }

    /// Where the log of a partition ends; `None` while nothing was logged.
    ///
    /// # Errors
    /// As [`Engine::logged`].
    pub async fn log_end(&self, partition: Partition) -> Result<Option<LogId>, EngineError> {
        match self.shared() {
            Some(shared) => Ok(shared.redis.log_end(partition).await?),
            None => Ok(None),
        }
    }

    /// Where the logs of some partitions end.
    pub(in crate::engine) async fn log_ends(
        &self,
        partitions: &[Partition],
    ) -> Result<Vec<(Partition, LogId)>, EngineError> {
        let asked = futures_util::stream::iter(partitions.iter().copied());
        let asked =
            asked.map(|partition| async move { Ok::<_, EngineError>((partition, self.log_end(partition).await?)) });
        let ends: Vec<_> = asked.buffer_unordered(ASKED_AT_ONCE).try_collect().await?;
        Ok(ends.into_iter().filter_map(|(partition, end)| Some((partition, end?))).collect())
    }

    /// Says that screening has passed entries of the partitions' logs and drops what is before them;
    /// false when another process screens by now.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn say_screened(
        &self,
        passed: &[(Partition, LogId)],
        pass_at: Option<Timestamp>,
    ) -> Result<bool, EngineError> {
        let Some((shared, lease)) = self.shared().zip(self.screening().lease()) else { return Ok(false) };
        if !shared.redis.say_screened(lease, passed, pass_at).await? {
            self.screening().hold(None);
            return Ok(false);
        }
        Ok(true)
    }

    /// Drops what is before an entry of a partition's log.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn trim_log(&self, partition: Partition, before: LogId) -> Result<(), EngineError> {
        match self.shared() {
            Some(shared) => Ok(shared.redis.trim_log(partition, before).await?),
            None => Ok(()),
        }
    }

    /// How far screening has come in some partitions, whichever process screens.
    pub(in crate::engine) async fn screened_logs(&self, partitions: &[Partition]) -> Result<Screened, EngineError> {
        match self.shared() {
            Some(shared) => Ok(shared.redis.screened(partitions).await?),
            None => Ok(Screened::default()),
        }
    }

    /// Learns when screening last looked at everybody, whichever process it was.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn hear_of_screening(&self) -> Result<(), EngineError> {
        if self.policy.screened
            && let Some(at) = self.screened_logs(&[]).await?.pass_at
        {
            self.screening().pass_done(at);
        }
        Ok(())
    }

    /// Members of a partition as the state has them now, in the order of their ids, after one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn members_now(
        &self,
        partition: Partition,
        after: Option<&MemberId>,
        limit: usize,
    ) -> Result<Vec<MemberState>, EngineError> {
        let members = self.keeper().members(partition, after, limit).await?;
        self.read_now(members).await
    }

    /// Members as the state has them now, in the order asked; those whom nobody registered are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read_now(&self, members: impl IntoIterator<Item = MemberId>) -> Result<Vec<MemberState>, EngineError> {
        let read = futures_util::stream::iter(members).map(async |member| self.member_now(&member).await);
        let read: Vec<_> = read.buffered(ASKED_AT_ONCE).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// A member as the state has them now, whatever is remembered here.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn member_now(&self, member: &MemberId) -> Result<Option<MemberState>, EngineError> {
        read_member(self.keeper(), &self.keys, self.partition(member), member).await
    }
}
