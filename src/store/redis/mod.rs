//! The shared keeper: Redis, alone or as a Cluster. A partition's keys share a hash tag, so
//! that a batch is one call of one function (`library.lua`) in one slot.
//!
//! Redis may forget what it acknowledged; the journals do not. Every commit therefore names
//! its process, the epoch it was proved in and how many of its commits the partition is known
//! to hold; a server that lacks one of them refuses, and the process offers its records again
//! ([`Redis::standing`]).

pub mod connection;
mod layout;
mod log;
mod proof;

use super::{Answer, Batch, Committed, Keeper, Key, Pairs, Partition, StoreError, keys};
use crate::domain::MemberId;
use bytes::Bytes;
use connection::{ConnectOptions, Connection, failed};
use layout::{Place, bounds, named, place};
use redis::{Cmd, FromRedisValue, cmd, pipe};
use std::fmt::Write as _;
use std::sync::OnceLock;

pub use layout::LAYOUT;
pub use log::{LogId, LogPage, Screened};
pub use proof::{Look, Processes, Standing, Standings, while_repairing};

/// The functions' source. Their names carry a hash of it, so that two versions of the program
/// can run side by side during an upgrade.
const LIBRARY: &str = include_str!("library.lua");
/// Lines or documents read at a time.
const PAGE: usize = 1024;

/// See the module.
pub struct Redis {
    connection: Connection,
    /// Names of the functions.
    functions: Functions,
    /// How each partition stands with this process.
    standings: Standings,
    /// This process, once it has joined.
    process: OnceLock<u32>,
}

struct Functions {
    library: String,
    commit: String,
    begin: String,
    settle: String,
    reserve: String,
    look: String,
    lines: String,
    beat: String,
    lease: String,
    believe: String,
    log: String,
    screened: String,
}

impl Functions {
    fn new() -> Self {
        let hash = xxhash_rust::xxh3::xxh3_64(LIBRARY.as_bytes());
        let name = |function: &str| format!("ringfence_{hash:016x}_{function}");
        Self {
            library: LIBRARY.replace("NAME_", &name("")).replace("=LIBRARY", &format!("={}", name("library"))),
            commit: name("commit"),
            begin: name("begin"),
            settle: name("settle"),
            reserve: name("reserve"),
            look: name("look"),
            lines: name("lines"),
            beat: name("beat"),
            lease: name("lease"),
            believe: name("believe"),
            log: name("log"),
            screened: name("screened"),
        }
    }
}

/// A call of one of our functions: its keys are numbered as they are named.
struct Call {
    function: String,
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
}

impl Call {
    fn new(function: &str, first: Vec<u8>) -> Self {
        Self { function: function.to_owned(), keys: vec![first], args: Vec::new() }
    }
    fn arg(&mut self, value: impl Into<Vec<u8>>) -> &mut Self {
        self.args.push(value.into());
        self
    }
    /// An operation on a key, which is named when it is new.
    fn on(&mut self, op: &str, keys: &[Vec<u8>]) -> &mut Self {
        let known = self.keys.windows(keys.len()).position(|known| known == keys);
        let number = known.unwrap_or_else(|| {
            self.keys.extend_from_slice(keys);
            self.keys.len() - keys.len()
        });
        self.arg(op).arg((number + 1).to_string())
    }
    fn command(self) -> Cmd {
        let mut command = cmd("FCALL");
        command.arg(self.function).arg(self.keys.len());
        for part in self.keys.into_iter().chain(self.args) {
            command.arg(part);
        }
        command
    }
}

impl Redis {
    /// Connects, and loads the functions where they are not.
    ///
    /// # Errors
    /// When Redis cannot be reached, refuses the user, or is older than 7.0.
    pub async fn open(options: &ConnectOptions, partitions: u16) -> Result<Self, StoreError> {
        let connection = Connection::open(options).await.map_err(failed("connecting to Redis"))?;
        let keeper = Self {
            connection,
            functions: Functions::new(),
            standings: Standings::new(partitions),
            process: OnceLock::new(),
        };
        keeper.load_functions().await?;
        Ok(keeper)
    }

    /// How partitions stand with this process.
    #[must_use]
    pub fn standings(&self) -> &Standings {
        &self.standings
    }

    async fn load_functions(&self) -> Result<(), StoreError> {
        let mut load = cmd("FUNCTION");
        load.arg("LOAD").arg("REPLACE").arg(&self.functions.library);
        let loaded: redis::RedisResult<redis::Value> = self.connection.ask(&load).await;
        loaded.map(drop).map_err(failed("loading the functions (Redis 7.0 or later is needed)"))
    }

    /// Calls a function; one that a server does not know (a new master, a flush) is loaded.
    async fn call<T: FromRedisValue>(&self, doing: &'static str, call: Call) -> Result<T, StoreError> {
        let command = call.command();
        match self.connection.ask(&command).await {
            Err(error) if error.to_string().contains("Function not found") => {
                self.load_functions().await?;
                self.connection.ask(&command).await.map_err(failed(doing))
            }
            answer => answer.map_err(failed(doing)),
        }
    }

    async fn ask<T: FromRedisValue>(&self, doing: &'static str, command: &Cmd) -> Result<T, StoreError> {
        self.connection.ask(command).await.map_err(failed(doing))
    }

    /// Reads of a partition, and whether they can be believed: a server that forgot must not
    /// say that a card is nobody's. Before this process has joined, and while it repairs a
    /// partition, everything is taken as it is.
    async fn read_all(
        &self,
        doing: &'static str,
        partition: Partition,
        commands: Vec<Cmd>,
    ) -> Result<Vec<redis::Value>, StoreError> {
        let count = commands.len();
        let mut all = pipe();
        for command in commands {
            all.add_command(command);
        }
        let checked = self.process.get().filter(|_| !proof::repairing());
        let Some(process) = checked else {
            return self.connection.ask_all(&all, count).await.map_err(failed(doing));
        };
        let standing = self.standings.of(partition);
        if !standing.is_proved() {
            return Err(StoreError::Unproved { partition });
        }
        let mut believe = Call::new(&self.functions.believe, named(partition, &[b"proof"]));
        believe.arg(process.to_string()).arg(standing.epoch().to_string());
        all.add_command(believe.command());
        let mut values = self.connection.ask_all(&all, count + 1).await.map_err(failed(doing))?;
        match values.pop() {
            Some(redis::Value::Int(1)) => Ok(values),
            _ => {
                standing.doubt();
                Err(StoreError::Unproved { partition })
            }
        }
    }

    async fn read_one<T: FromRedisValue>(
        &self,
        doing: &'static str,
        partition: Partition,
        command: Cmd,
    ) -> Result<T, StoreError> {
        let value = self.read_all(doing, partition, vec![command]).await?.pop().unwrap_or(redis::Value::Nil);
        redis::from_redis_value(value).map_err(|error| failed(doing)(error.into()))
    }

    /// This process has joined the store: from now on reads are checked.
    pub fn join(&self, process: u32) {
        // Set once: a process keeps its number.
        let _ = self.process.set(process);
    }

    async fn get_now(&self, partition: Partition, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = self.read_now(partition, std::slice::from_ref(&key.to_vec())).await?;
        Ok(found.into_iter().next().flatten())
    }

    async fn read_now(&self, partition: Partition, keys: &[Key]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let doing = "reading";
        let places: Vec<Place> = keys.iter().map(|key| place(partition, key)).collect();
        let commands: Vec<Cmd> = places.iter().map(|place| read_command(partition, place)).collect();
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let values = self.read_all(doing, partition, commands).await?;
        places.iter().zip(values).map(|(place, value)| read_value(partition, place, value)).collect()
    }

    async fn commit_now(&self, batch: Batch) -> Result<Committed, StoreError> {
        let partition = batch.partition;
        let by = batch.by.as_ref();
        let mut call = Call::new(&self.functions.commit, named(partition, &[b"proof"]));
        match by {
            Some(by) => {
                let standing = self.standings.of(partition);
                call.arg(by.process.to_string()).arg(standing.epoch().to_string()).arg(standing.seen().to_string());
                call.arg(by.low_water.to_string()).arg(if by.repairs { "repair" } else { "" });
            }
            None => call.args.resize(5, Vec::new()),
        }
        for expect in &batch.expects {
            match place(partition, &expect.key) {
                Place::Field { key, field, .. } => {
                    call.on("e", &[key]).arg(field).arg(expect.version.to_le_bytes());
                }
                Place::Document(key, _) => {
                    call.on("v", &[key]).arg(expect.version.to_string());
                }
                Place::Line(line) => {
                    let lines = named(partition, &[b"lines"]);
                    call.on("e", &[lines]).arg(line).arg(expect.version.to_le_bytes());
                }
                _ => return Err(StoreError::Broken { partition }),
            }
        }
        for (key, value) in &batch.same {
            let value = value.as_deref().unwrap_or_default();
            match place(partition, key) {
                Place::Line(line) => call.on("q", &[named(partition, &[b"lines"])]).arg(line).arg(value),
                Place::Field { key, field, .. } => call.on("q", &[key]).arg(field).arg(value),
                _ => return Err(StoreError::Broken { partition }),
            };
        }
        if let Some(lease) = batch.lease {
            let key = named(partition, &[b"lease"]);
            call.on("h", &[key]).arg(lease.process.to_string()).arg(lease.token.to_string());
        }
        for (key, value) in batch.puts {
            put(&mut call, partition, place(partition, &key), value);
        }
        for (key, by) in batch.adds {
            if let Place::Counter(counter) = place(partition, &key) {
                call.on("a", &[named(partition, &[b"sums"])]).arg(counter).arg(by.to_string());
            }
        }
        for entry in batch.log.into_iter().filter(|_| by.is_some()) {
            call.on("s", &[named(partition, &[b"log"])]).arg(log::LOG_MAX.to_string()).arg(entry);
        }
        match self.call::<i64>("committing", call).await? {
            0 => Ok(Committed::Conflict),
            -1 => {
                self.standings.of(partition).doubt();
                Ok(Committed::Unproved)
            }
            sequence => {
                if by.is_some() {
                    self.standings.of(partition).saw(u64::try_from(sequence).unwrap_or(0));
                }
                Ok(Committed::Yes)
            }
        }
    }

    async fn scan_now(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Pairs, StoreError> {
        match place(partition, prefix) {
            Place::Field { key, field, .. } => {
                // The rest of the prefix, without what the hash's name says already.
                let owner = prefix.len() - field.len();
                let mut get = cmd("HGETALL");
                get.arg(key);
                let all: Vec<(Vec<u8>, Vec<u8>)> = self.read_one("reading a member", partition, get).await?;
                let whole = all.into_iter().filter(|(name, _)| name.starts_with(&field));
                let whole = whole.map(|(name, value)| ([&prefix[..owner], &name].concat(), Bytes::from(value)));
                Ok(page_of(whole, after, limit))
            }
            Place::Counter(prefix) => {
                let mut get = cmd("HGETALL");
                get.arg(named(partition, &[b"sums"]));
                let all: Vec<(Vec<u8>, i64)> = self.read_one("reading sums", partition, get).await?;
                let all = all.into_iter().filter(|(name, _)| name.starts_with(&prefix));
                let all = all.map(|(name, sum)| (name, Bytes::copy_from_slice(&sum.to_le_bytes())));
                Ok(page_of(all, after, limit))
            }
            Place::Document(_, prefix) => self.documents(partition, &prefix, after, limit).await,
            Place::Line(prefix) => {
                let mut pairs = Pairs::new();
                let mut after = after.map(<[u8]>::to_vec);
                while pairs.len() < limit {
                    let want = PAGE.min(limit - pairs.len());
                    let (from, to) = bounds(&prefix, after.as_deref());
                    let mut call = Call::new(&self.functions.lines, named(partition, &[b"index"]));
                    call.keys.push(named(partition, &[b"lines"]));
                    call.arg(from).arg(to).arg(want.to_string());
                    let page: Vec<(Vec<u8>, Vec<u8>)> =
                        self.read_one("reading lines", partition, call.command()).await?;
                    let more = page.len() == want;
                    after = page.last().map(|(line, _)| line.clone());
                    pairs.extend(page.into_iter().map(|(line, value)| (line, Bytes::from(value))));
                    if !more {
                        break;
                    }
                }
                Ok(pairs)
            }
        }
    }

    async fn documents(
        &self,
        partition: Partition,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Pairs, StoreError> {
        let doing = "reading documents";
        let (from, to) = bounds(prefix, after);
        let mut names = cmd("ZRANGEBYLEX");
        names.arg(named(partition, &[b"documents"])).arg(from).arg(to).arg("LIMIT").arg(0).arg(limit);
        let names: Vec<Key> = self.read_one(doing, partition, names).await?;
        let values = self.read_now(partition, &names).await?;
        Ok(names.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

/// Those after a key, in order, so many of them.
fn page_of(pairs: impl Iterator<Item = (Key, Bytes)>, after: Option<&[u8]>, limit: usize) -> Pairs {
    let mut pairs: Pairs = pairs.filter(|(key, _)| after.is_none_or(|after| key.as_slice() > after)).collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs.truncate(limit);
    pairs
}

fn read_command(partition: Partition, place: &Place) -> Cmd {
    let mut command;
    match place {
        Place::Field { key, field, .. } => {
            command = cmd("HGET");
            command.arg(key).arg(field);
        }
        Place::Line(line) => {
            // A line without a value is in the index alone.
            command = cmd("HGET");
            command.arg(named(partition, &[b"lines"])).arg(line);
        }
        Place::Counter(counter) => {
            command = cmd("HGET");
            command.arg(named(partition, &[b"sums"])).arg(counter);
        }
        Place::Document(key, _) => {
            command = cmd("HMGET");
            command.arg(key).arg("version").arg("document");
        }
    }
    command
}

fn read_value(partition: Partition, place: &Place, value: redis::Value) -> Result<Option<Bytes>, StoreError> {
    let broken = |_| StoreError::Broken { partition };
    match place {
        Place::Document(..) => {
            let (version, text): (Option<u64>, Option<Vec<u8>>) = redis::from_redis_value(value).map_err(broken)?;
            let Some((version, text)) = version.zip(text) else { return Ok(None) };
            Ok(Some([&version.to_le_bytes()[..], &text].concat().into()))
        }
        Place::Counter(_) => {
            let sum: Option<i64> = redis::from_redis_value(value).map_err(broken)?;
            Ok(sum.map(|sum| Bytes::copy_from_slice(&sum.to_le_bytes())))
        }
        _ => {
            let bytes: Option<Vec<u8>> = redis::from_redis_value(value).map_err(broken)?;
            Ok(bytes.map(Bytes::from))
        }
    }
}

fn put(call: &mut Call, partition: Partition, place: Place, value: Option<Bytes>) {
    match (place, value) {
        (Place::Field { key, field, member }, Some(value)) => {
            call.on("f", &[key]).arg(field).arg(value);
            if let Some(member) = member {
                call.on("l", &[named(partition, &[b"members"]), named(partition, &[b"lines"])]).arg(member).arg("");
            }
        }
        (Place::Field { key, field, .. }, None) => {
            call.on("F", &[key]).arg(field);
        }
        (Place::Line(line), value) => {
            let keys = [named(partition, &[b"index"]), named(partition, &[b"lines"])];
            match value {
                Some(value) => call.on("l", &keys).arg(line).arg(value),
                None => call.on("L", &keys).arg(line),
            };
        }
        (Place::Document(key, name), Some(value)) => {
            let (version, text) = value.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
            let keys = [key, named(partition, &[b"documents"]), named(partition, &[b"changes"])];
            call.on("d", &keys).arg(u64::from_le_bytes(*version).to_string()).arg(text).arg(name);
        }
        (Place::Counter(counter), None) => {
            call.on("F", &[named(partition, &[b"sums"])]).arg(counter);
        }
        // Documents stay; counters are raised.
        (Place::Document(..), None) | (Place::Counter(_), Some(_)) => {}
    }
}

impl Keeper for Redis {
    fn counted_in(&self, partition: Partition) -> Partition {
        partition
    }
    fn get<'a>(&'a self, partition: Partition, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        Answer::Later(Box::pin(self.get_now(partition, key)))
    }
    fn read<'a>(&'a self, partition: Partition, keys: &'a [Key]) -> Answer<'a, Vec<Option<Bytes>>> {
        Answer::Later(Box::pin(self.read_now(partition, keys)))
    }
    fn commit(&self, batch: Batch) -> Answer<'_, Committed> {
        Answer::Later(Box::pin(self.commit_now(batch)))
    }
    fn scan<'a>(
        &'a self,
        partition: Partition,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Answer<'a, Pairs> {
        Answer::Later(Box::pin(self.scan_now(partition, prefix, after, limit)))
    }
    fn member<'a>(&'a self, partition: Partition, member: &'a MemberId) -> Answer<'a, Pairs> {
        Answer::Later(Box::pin(async move {
            let owner = keys::member(member);
            self.scan_now(partition, &owner, None, usize::MAX).await
        }))
    }
    fn members<'a>(
        &'a self,
        partition: Partition,
        after: Option<&'a MemberId>,
        limit: usize,
    ) -> Answer<'a, Vec<MemberId>> {
        Answer::Later(Box::pin(async move {
            let (from, to) = bounds(b"", after.map(|member| member.as_str().as_bytes()));
            let from = if after.is_none() { b"-".to_vec() } else { from };
            let mut list = cmd("ZRANGEBYLEX");
            list.arg(named(partition, &[b"members"])).arg(from).arg(to).arg("LIMIT").arg(0).arg(limit);
            let names: Vec<String> = self.read_one("listing members", partition, list).await?;
            names.iter().map(|name| MemberId::new(name).map_err(|_| StoreError::Broken { partition })).collect()
        }))
    }
}

/// A list of processes as `library.lua` reads it.
fn listed(processes: &[u32]) -> String {
    let mut list = String::new();
    for process in processes {
        let _ = write!(list, ",{process}");
    }
    if !list.is_empty() {
        list.push(',');
    }
    list
}
