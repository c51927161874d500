//! Connections to Redis: one multiplexed connection to a single server, or one to each master
//! of a Cluster; with bounds on waiting, on retries and on commands under way.

use crate::store::StoreError;
use arc_swap::ArcSwap;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Pipeline, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How to reach Redis.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Addresses: one of a single server, some of a Cluster's. Each may name a user, a password
    /// and TLS (`rediss://`).
    pub nodes: Vec<ConnectionInfo>,
    /// Whether they are a Cluster's.
    pub cluster: bool,
    /// How long one command may take, queueing and retries in a Cluster included.
    pub command_time_max: Duration,
    /// How long making a connection may take.
    pub connect_time_max: Duration,
    /// Commands under way on one connection.
    pub in_flight_max: usize,
}

impl ConnectOptions {
    /// Reads `redis://HOST:PORT` (also `rediss://` with TLS) or `redis-cluster://HOST:PORT,HOST:PORT` (`rediss-cluster://`);
    /// each may have `USER:PASSWORD@` before its first host.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn parse(url: &str) -> redis::RedisResult<Self> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (scheme, cluster) = match scheme.strip_suffix("-cluster") {
            Some(scheme) => (scheme, true),
            None => (scheme, false),
        };
        let (user, hosts) = rest.rsplit_once('@').map_or(("", rest), |(user, hosts)| (user, hosts));
        let user = if user.is_empty() { String::new() } else { format!("{user}@") };
        let hosts: Vec<&str> = if cluster { hosts.split(',').collect() } else { vec![hosts] };
        let nodes = hosts.iter().map(|host| format!("{scheme}://{user}{host}").into_connection_info());
        Ok(Self::new(nodes.collect::<Result<_, _>>()?, cluster))
    }

    /// The usual bounds.
    #[must_use]
    pub fn new(nodes: Vec<ConnectionInfo>, cluster: bool) -> Self {
        Self {
            nodes,
            cluster,
            command_time_max: Duration::from_secs(2),
            connect_time_max: Duration::from_secs(1),
            in_flight_max: 4096,
        }
    }
}

/// See the module. Cheap to clone: all clones share the connections.
///
/// A host that is gone, or beyond a wire that was cut, does not say so: what was sent to it is never
/// answered, and a Cluster's client goes on to send there. When commands are not answered in
/// time, new connections are made beside the old ones, to whatever servers answer by then, and
/// take their place.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

struct Shared {
    options: ConnectOptions,
    lines: ArcSwap<Lines>,
    /// When new ones were last begun, milliseconds since the first.
    renewed: AtomicU64,
    opened: Instant,
}

enum Lines {
    /// To one server.
    Single(ConnectionManager),
    /// To the masters of a Cluster.
    Cluster(ClusterConnection),
}

/// Attempts of a command that a Cluster answers with "elsewhere" or "not now": a moving slot.
const CLUSTER_RETRIES: u32 = 8;
/// Between two attempts to make new connections.
const RENEWED_EVERY_MS: u64 = 1_000;

impl Lines {
    async fn open(options: &ConnectOptions) -> redis::RedisResult<Self> {
        if options.cluster {
            let client = ClusterClient::builder(options.nodes.clone())
                .retries(CLUSTER_RETRIES)
                .min_retry_wait(10)
                .max_retry_wait(250)
                .connection_timeout(options.connect_time_max)
                .response_timeout(options.command_time_max)
                .overall_response_timeout(Some(options.command_time_max))
                .connection_concurrency_limit(options.in_flight_max)
                .build()?;
            return Ok(Self::Cluster(client.get_async_connection().await?));
        }
        let node = options.nodes.first().ok_or((redis::ErrorKind::InvalidClientConfig, "no address is given"))?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(3)
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(250))
            .set_connection_timeout(Some(options.connect_time_max))
            .set_response_timeout(Some(options.command_time_max))
            .set_concurrency_limit(options.in_flight_max);
        let client = redis::Client::open(node.clone())?;
        Ok(Self::Single(ConnectionManager::new_with_config(client, config).await?))
    }
}

impl Connection {
    /// Opens connections.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses the user.
    pub async fn open(options: &ConnectOptions) -> redis::RedisResult<Self> {
        let lines = ArcSwap::from_pointee(Lines::open(options).await?);
        let renewed = AtomicU64::new(0);
        Ok(Self(Arc::new(Shared { options: options.clone(), lines, renewed, opened: Instant::now() })))
    }

    /// Sends a command and reads its answer.
    ///
    /// # Errors
    /// What Redis or the way to it says.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> redis::RedisResult<T> {
        let lines = self.0.lines.load_full();
        let answer = match lines.as_ref() {
            Lines::Single(connection) => connection.clone().req_packed_command(command).await,
            Lines::Cluster(connection) => connection.clone().req_packed_command(command).await,
        };
        let value = answer.inspect_err(|error| self.suspect(error))?;
        Ok(redis::from_redis_value(value.extract_error()?)?)
    }

    /// Sends commands of one slot together and reads their answers.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub async fn ask_all(&self, commands: &Pipeline, count: usize) -> redis::RedisResult<Vec<Value>> {
        let lines = self.0.lines.load_full();
        let answers = match lines.as_ref() {
            Lines::Single(connection) => connection.clone().req_packed_commands(commands, 0, count).await,
            Lines::Cluster(connection) => connection.clone().req_packed_commands(commands, 0, count).await,
        };
        answers.inspect_err(|error| self.suspect(error))
    }

    /// Makes new connections when a command was not answered in time; the old ones serve meanwhile.
    fn suspect(&self, error: &redis::RedisError) {
        if !error.is_timeout() {
            return;
        }
        let shared = &self.0;
        let now = u64::try_from(shared.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = shared.renewed.load(Ordering::Acquire);
        let is_due = now.saturating_sub(last) >= RENEWED_EVERY_MS;
        // One of all whose commands were not answered does it.
        if !is_due || shared.renewed.compare_exchange(last, now, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            match Lines::open(&shared.options).await {
                Ok(lines) => {
                    shared.lines.store(Arc::new(lines));
                    tracing::info!("Redis did not answer in time: new connections were made");
                }
                Err(error) => tracing::debug!(%error, "Redis does not answer, and no new connection can be made"),
            }
        });
    }
}

/// A failure while something was done, in our words.
pub(super) fn failed(doing: &'static str) -> impl FnOnce(redis::RedisError) -> StoreError {
    StoreError::failed(doing)
}
