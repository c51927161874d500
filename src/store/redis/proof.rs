//! How partitions stand with this process: proved, or to be proved before anything else is
//! committed to them.
//!
//! A server that starts, takes over or is emptied is another one than the one a partition was
//! proved under; its first refusal, or the look that every process takes each second, says so.
//! Then a new epoch begins: everybody alive looks up how much of theirs the partition holds,
//! offers the rest again from the journal, and settles; until all have, others' commits wait.

use super::{Call, Redis, listed};
use crate::domain::OfferId;
use crate::journal::Position;
use crate::store::redis::layout::{PREFIX, named};
use crate::store::{CATALOGUE, Partition, StoreError, keys};
use futures_util::{StreamExt, TryStreamExt};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

tokio::task_local! {
    static REPAIRING: ();
}

/// Reads made within are taken as they are: this process is looking for what is missing.
pub async fn while_repairing<T>(work: impl Future<Output = T>) -> T {
    REPAIRING.scope((), work).await
}

/// Whether the caller looks for what is missing.
pub(super) fn repairing() -> bool {
    REPAIRING.try_with(|()| ()).is_ok()
}

/// How one partition stands.
#[derive(Debug, Default)]
pub struct Standing {
    epoch: AtomicU32,
    /// The highest epoch that this process knows of: none may be used a second time.
    highest: AtomicU32,
    /// Commits of this process that the partition is known to hold.
    seen: AtomicU64,
    proved: AtomicBool,
}

impl Standing {
    /// The epoch this process has proved itself in.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }
    /// Commits of this process that the partition is known to hold.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }
    /// Whether commits are taken as far as is known.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.proved.load(Ordering::Acquire)
    }
    /// Something is not known: to be proved again.
    pub fn doubt(&self) {
        self.proved.store(false, Ordering::Release);
    }
    /// The partition told of a commit.
    pub fn saw(&self, sequence: u64) {
        self.seen.fetch_max(sequence, Ordering::AcqRel);
    }
    /// The highest epoch that this process knows of.
    #[must_use]
    pub fn highest(&self) -> u32 {
        self.highest.load(Ordering::Acquire)
    }
    /// An epoch was used.
    pub fn knows_of(&self, epoch: u32) {
        self.highest.fetch_max(epoch, Ordering::AcqRel);
    }
    /// Offers are made in this epoch.
    pub fn enter(&self, epoch: u32, seen: u64) {
        self.knows_of(epoch);
        self.epoch.store(epoch, Ordering::Release);
        self.seen.store(seen, Ordering::Release);
    }
    /// All that this process has for it is in it.
    pub fn prove(&self) {
        self.proved.store(true, Ordering::Release);
    }
}

/// How all partitions stand.
#[derive(Debug)]
pub struct Standings {
    /// The catalogue's last.
    all: Vec<Standing>,
}

impl Standings {
    pub(super) fn new(partitions: u16) -> Self {
        Self { all: (0..=partitions).map(|_| Standing::default()).collect() }
    }
    /// One partition's.
    #[must_use]
    pub fn of(&self, partition: Partition) -> &Standing {
        if partition == CATALOGUE { &self.all[self.all.len() - 1] } else { &self.all[usize::from(partition)] }
    }
    /// Every partition, the catalogue's too.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        let members = u16::try_from(self.all.len() - 1).expect("made from a u16");
        (0..members).chain([CATALOGUE])
    }
}

/// What a partition says of itself and of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// It was proved under the server that answers.
    pub here: bool,
    /// Its epoch; 0 when nobody ever proved it.
    pub epoch: u32,
    /// Processes that have not offered theirs again.
    pub awaited: Vec<u32>,
    /// The epoch the process has proved itself in.
    pub own_epoch: u32,
    /// Commits of the process that it holds.
    pub sequence: u64,
    /// Where in its journal the process must look for what it may lack.
    pub place: Position,
    /// Its daily mark, in milliseconds; 0 when it has none.
    pub mark: i64,
}

/// Processes of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes {
    /// Those that said so lately.
    pub alive: Vec<u32>,
    /// All that ever were.
    pub known: Vec<u32>,
}

impl Redis {
    /// How a partition stands with a process.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn look(&self, partition: Partition, process: u32) -> Result<Look, StoreError> {
        let mut call = Call::new(&self.functions.look, named(partition, &[b"proof"]));
        call.keys.push(named(partition, &[b"lines"]));
        call.arg(process.to_string());
        self.call("asking how a partition stands", call).await.and_then(|found| read(partition, found))
    }

    /// Begins a new epoch unless somebody has: these processes must offer theirs again.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn begin(
        &self,
        partition: Partition,
        process: u32,
        found: u32,
        alive: &[u32],
    ) -> Result<Look, StoreError> {
        let highest = self.standings().of(partition).highest();
        let mut call = Call::new(&self.functions.begin, named(partition, &[b"proof"]));
        call.keys.push(named(partition, &[b"lines"]));
        call.arg(found.to_string()).arg(listed(alive)).arg(process.to_string()).arg(highest.to_string());
        self.call("beginning an epoch", call).await.and_then(|found| read(partition, found))
    }

    /// A process has offered everything again up to a place in its journal; `false` when the
    /// epoch has passed meanwhile.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn settled(
        &self,
        partition: Partition,
        process: u32,
        epoch: u32,
        place: Position,
    ) -> Result<bool, StoreError> {
        self.settle(partition, process, epoch, "proved", &place.to_string()).await
    }

    /// Notes, in a store that was filled from the journals, that a partition is proved in the epoch
    /// after one, and that these processes have offered it all up to these places.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn settle_all(
        &self,
        partition: Partition,
        epoch: u32,
        processes: &[(u32, Position)],
    ) -> Result<(), StoreError> {
        let mut set = redis::cmd("HSET");
        set.arg(named(partition, &[b"proof"])).arg("epoch").arg(epoch);
        self.ask::<i64>("noting an epoch", &set).await?;
        let look = self.begin(partition, 0, epoch, &[]).await?;
        for (process, place) in processes {
            self.settled(partition, *process, look.epoch, *place).await?;
        }
        Ok(())
    }

    /// A process that was awaited is gone: it proves itself when it comes back.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn gone(&self, partition: Partition, process: u32, epoch: u32) -> Result<bool, StoreError> {
        self.settle(partition, process, epoch, "gone", "").await
    }

    async fn settle(
        &self,
        partition: Partition,
        process: u32,
        epoch: u32,
        how: &str,
        place: &str,
    ) -> Result<bool, StoreError> {
        let mut call = Call::new(&self.functions.settle, named(partition, &[b"proof"]));
        call.arg(process.to_string()).arg(epoch.to_string()).arg(how).arg(place);
        Ok(self.call::<i64>("settling an epoch", call).await? == 1)
    }

    /// Says that a process is alive for some milliseconds more, and hears who is.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn beat(&self, process: u32, alive_ms: u64) -> Result<Processes, StoreError> {
        let mut call = Call::new(&self.functions.beat, format!("{PREFIX}{{processes}}:alive").into_bytes());
        call.arg(process.to_string()).arg(alive_ms.to_string());
        let (alive, known) = self.call("saying that this process is alive", call).await?;
        Ok(Processes { alive, known })
    }

    /// Says what a store is made of, unless it was said before; returns what it is.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn fact(&self, name: &str, said: &str) -> Result<String, StoreError> {
        let key = format!("{PREFIX}{{processes}}:{name}");
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(said).arg("NX");
        self.ask::<Option<String>>("asking what the store is", &set).await?;
        let mut get = redis::cmd("GET");
        get.arg(&key);
        self.ask("asking what the store is", &get).await
    }

    /// What a store is made of, when it was said.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn known_fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        let mut get = redis::cmd("GET");
        get.arg(format!("{PREFIX}{{processes}}:{name}"));
        self.ask("asking what the store is", &get).await
    }

    /// Takes as much of `minor` as an offer's budget and its budget of a day have left, for this
    /// process. Returns it, and what either had left before.
    ///
    /// # Errors
    /// When Redis does not answer; then it may have been taken, until the process says its total.
    pub async fn reserve(
        &self,
        offer: &OfferId,
        process: u32,
        minor: i64,
        whole: i64,
        (day, of_day): (u32, i64),
    ) -> Result<(i64, i64, i64), StoreError> {
        let mut call = Call::new(&self.functions.reserve, budget_key(offer, None));
        call.arg(process.to_string()).arg(minor.to_string());
        // Lua's numbers are exact up to here, and no budget is larger.
        let bounded = |budget: i64| budget.min(1 << 53).to_string();
        call.keys.push(budget_key(offer, Some(day)));
        call.arg(bounded(whole)).arg(bounded(of_day));
        let answer: Vec<i64> = self.call("reserving from a budget", call).await?;
        let of = |place: usize| answer.get(place).copied();
        Ok((of(0).unwrap_or(0), of(1).unwrap_or(0), of(2).unwrap_or(0)))
    }

    /// Changes what a process granted and reserved of a budget, or of a day's.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn used(&self, offer: &OfferId, day: Option<u32>, process: u32, by: i64) -> Result<(), StoreError> {
        let mut change = redis::cmd("HINCRBY");
        change.arg(budget_key(offer, day)).arg(process).arg(by);
        self.ask::<i64>("settling a budget", &change).await.map(drop)
    }

    /// Says what a process granted and reserved of a budget in all, or of a day's.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn assert_used(
        &self,
        offer: &OfferId,
        day: Option<u32>,
        process: u32,
        total: i64,
    ) -> Result<(), StoreError> {
        let mut set = redis::cmd("HSET");
        set.arg(budget_key(offer, day)).arg(process).arg(total);
        self.ask::<i64>("asserting a budget", &set).await.map(drop)
    }

    /// A counter's value, over all partitions.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn counted(&self, key: &[u8]) -> Result<i64, StoreError> {
        let members = self.standings().partitions().filter(|partition| *partition != CATALOGUE);
        let asked = futures_util::stream::iter(members).map(|partition| async move {
            Ok::<_, StoreError>(keys::counter(self.get_now(partition, key).await?.as_ref()))
        });
        asked.buffer_unordered(64).try_fold(0, |sum, granted| async move { Ok(sum + granted) }).await
    }

    /// What each process granted and reserved of a budget, or of a day's.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn budget_totals(&self, offer: &OfferId, day: Option<u32>) -> Result<Vec<(u32, i64)>, StoreError> {
        let mut get = redis::cmd("HGETALL");
        get.arg(budget_key(offer, day));
        self.ask("reading a budget", &get).await
    }

    /// Number of the catalogue's newest change; 0 when there is none.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn newest_change(&self) -> Result<u64, StoreError> {
        let mut newest = redis::cmd("ZREVRANGE");
        newest.arg(named(CATALOGUE, &[b"changes"])).arg(0).arg(0).arg("WITHSCORES");
        let newest: Vec<(Vec<u8>, f64)> = self.read_one("asking for the newest change", CATALOGUE, newest).await?;
        // Scores are whole numbers, exact far beyond any catalogue.
        Ok(newest.first().and_then(|(_, number)| format!("{number:.0}").parse().ok()).unwrap_or(0))
    }

    /// Keys of documents changed after a change, with their numbers, oldest first.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn changes(&self, after: u64, limit: usize) -> Result<Vec<(Vec<u8>, u64)>, StoreError> {
        let mut list = redis::cmd("ZRANGEBYSCORE");
        list.arg(named(CATALOGUE, &[b"changes"])).arg(format!("({after}")).arg("+inf").arg("WITHSCORES");
        list.arg("LIMIT").arg(0).arg(limit);
        self.read_one("reading changes of the catalogue", CATALOGUE, list).await
    }
}

fn budget_key(offer: &OfferId, day: Option<u32>) -> Vec<u8> {
    let of_day = day.map_or_else(String::new, |day| format!(":{day}"));
    format!("{PREFIX}{{b:{offer}}}:budget{of_day}").into_bytes()
}

type Found = (i64, u32, String, u32, u64, String, Vec<u8>);

fn read(partition: Partition, found: Found) -> Result<Look, StoreError> {
    let (here, epoch, awaited, own_epoch, sequence, place, mark) = found;
    let awaited = awaited.split(',').filter_map(|id| id.parse().ok()).collect();
    let place = if place.is_empty() { Some(Position::default()) } else { Position::parse(&place) };
    let place = place.ok_or(StoreError::Broken { partition })?;
    let mark = keys::counter(Some(&mark.into()));
    Ok(Look { here: here == 1, epoch, awaited, own_epoch, sequence, place, mark })
}
