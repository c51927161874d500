//! Connections to Redis: one multiplexed connection to a single server, or one to each master
//! of a Cluster; with bounds on waiting, on retries and on commands under way.

use crate::store::StoreError;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Pipeline, Value};
use std::time::Duration;

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
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    Single(ConnectionManager),
    /// To the masters of a Cluster.
    Cluster(ClusterConnection),
}

/// Attempts of a command that a Cluster answers with "elsewhere" or "not now": a moving slot.
const CLUSTER_RETRIES: u32 = 8;

impl Connection {
    /// Opens connections.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses the user.
    pub async fn open(options: &ConnectOptions) -> redis::RedisResult<Self> {
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

    /// Sends a command and reads its answer.
    ///
    /// # Errors
    /// What Redis or the way to it says.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> redis::RedisResult<T> {
        let value = match self {
            Self::Single(connection) => connection.clone().req_packed_command(command).await?,
            Self::Cluster(connection) => connection.clone().req_packed_command(command).await?,
        };
        Ok(redis::from_redis_value(value.extract_error()?)?)
    }

    /// Sends commands of one slot together and reads their answers.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub async fn ask_all(&self, commands: &Pipeline, count: usize) -> redis::RedisResult<Vec<Value>> {
        match self {
            Self::Single(connection) => connection.clone().req_packed_commands(commands, 0, count).await,
            Self::Cluster(connection) => connection.clone().req_packed_commands(commands, 0, count).await,
        }
    }
}

/// A failure while something was done, in our words.
pub(super) fn failed(doing: &'static str) -> impl FnOnce(redis::RedisError) -> StoreError {
    StoreError::failed(doing)
}
