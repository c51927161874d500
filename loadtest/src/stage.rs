//! What every run has: options, a folder, the service with a town in it, and the proof at the
//! end that what was fast was also right.

use crate::drive::{Load, Pace};
use crate::fault::{Fault, fault};
use crate::figures::row;
use crate::server::{Credentials, Folder, Said, Server, Service};
use crate::town::{self, Books, Town};
use crate::traffic::{Mix, Traffic};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Events prepared at a time: they are signed before, and a signature is good for five minutes.
pub const BATCH_MOST: usize = 200_000;
/// Longest one batch may take.
pub const BATCH_TIME_MAX: Duration = Duration::from_secs(200);
/// Members whose balance is asked for at the end.
const MEMBERS_ASKED: u32 = 500;

/// Options of every run.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// The service's binary; not said, the `ringfence` beside this one
    #[arg(long, value_name = "PATH")]
    pub server: Option<PathBuf>,
    /// Core that the servers are bound to
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
    /// Core that the load comes from
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
    /// Bind nothing to a core
    #[arg(long)]
    pub unpinned: bool,
    /// Members of the town, one card each
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub members: u32,
    /// Merchants of the town, one offer each
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub merchants: u32,
    /// Same seed, same traffic
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Keep-alive connections, one request at a time on each
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4000))]
    pub connections: u16,
    /// One JSON line at the end, for programs
    #[arg(long)]
    pub json: bool,
}

impl Common {
    /// Binds this thread to the load's core; the server's core, when both exist.
    pub fn pin(&self) -> Option<usize> {
        if self.unpinned || self.server_core == self.load_core {
            return None;
        }
        crate::server::pin(self.load_core)?;
        Some(self.server_core)
    }
    /// As fast as answers come.
    pub fn closed(&self, server: &Server) -> Load {
        Load { to: server.at, connections: usize::from(self.connections), pace: Pace::Closed, time_max: BATCH_TIME_MAX }
    }
    /// On schedule.
    pub fn open(&self, server: &Server, rate: u32) -> Load {
        Load { pace: Pace::PerSecond(rate), ..self.closed(server) }
    }
    /// Words on who runs where.
    pub fn placed(core: Option<usize>) -> String {
        match core {
            Some(core) => format!("servers on core {core} alone with one worker thread, load from another core"),
            None => "nothing bound to a core".to_owned(),
        }
    }
}

/// A service with a town in it.
#[derive(Debug)]
pub struct Stage {
    /// How it is started.
    pub service: Service,
    /// Running.
    pub server: Server,
    /// Who may.
    pub credentials: Credentials,
    /// Whom it serves.
    pub town: Town,
    /// Its books before any event.
    pub before: Books,
}

impl Stage {
    /// Starts a service in a new folder of `parent` and builds a town.
    pub fn set(common: &Common, parent: &Path, core: Option<usize>) -> Result<Self, Fault> {
        let credentials = Credentials::draw()?;
        let said = Said { worker_threads: core.map(|_| 1), caches: None };
        let folder = Folder::new(parent)?;
        let service = Service::prepare(common.server.as_deref(), folder, &credentials, core, said)?;
        let server = service.serve()?;
        let town = Town::new(common.merchants, common.members)?;
        town.build(server.at, &credentials)?;
        let before = town::books(server.at, &credentials)?;
        Ok(Self { service, server, credentials, town, before })
    }

    /// Asks for proof, stops the service in good order and has its journal audited.
    pub fn prove(self, traffic: &Traffic<'_>) -> Result<Vec<(String, String)>, Fault> {
        let mut rows = prove(self.server.at, &self.credentials, self.before, &self.town, traffic)?;
        let took = self.server.stop()?;
        rows.push(row("stopped by SIGTERM", format!("exit 0 after {:.1?}", took)));
        let words = self.service.audit()?;
        rows.push(row("`ringfence audit`", format!("exit 0: {}", words.trim().lines().last().unwrap_or_default())));
        Ok(rows)
    }
}

/// Invariants 3 to 5, asked of a running service: books balance, every answered event has had
/// its one effect, nobody got more or less than is due.
pub fn prove(
    to: std::net::SocketAddr,
    credentials: &Credentials,
    before: Books,
    town: &Town,
    traffic: &Traffic<'_>,
) -> Result<Vec<(String, String)>, Fault> {
    traffic.check_answers()?;
    let after = town::books(to, credentials)?;
    if after.sum_minor != 0 {
        return Err(fault(format!("the trial balance is {} minor units, not zero", after.sum_minor)));
    }
    let granted = after.granted_minor - before.granted_minor;
    let due = traffic.granted_minor();
    if granted != due {
        return Err(fault(format!("the ledger granted {granted} minor units, {due} are due")));
    }
    let some = traffic.granted_to_some(MEMBERS_ASKED);
    let members: Vec<u32> = some.keys().copied().collect();
    let found = town.granted(to, credentials, &members)?;
    if found != some {
        let wrong = some.iter().find(|(member, due)| found.get(member) != Some(due));
        let words =
            wrong.map(|(member, due)| format!("{} has {:?}, {due} are due", town.member(*member), found.get(member)));
        return Err(fault(format!("balances differ: {}", words.unwrap_or_default())));
    }
    Ok(vec![
        row("trial balance", "zero"),
        row("granted in the ledger", format!("{granted} minor units, as computed from the events")),
        row("balances of members", format!("{} asked, all as computed", members.len())),
    ])
}

/// Sends so many events in batches, as fast as answers come; what each batch took.
pub fn closed(
    common: &Common,
    server: &Server,
    traffic: &mut Traffic<'_>,
    mix: Mix,
    count: usize,
) -> Result<Duration, Fault> {
    let mut took = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let requests = traffic.prepare(mix, left.min(BATCH_MOST))?;
        took += traffic.send(&common.closed(server), &requests)?.0.took;
        left -= requests.len();
    }
    Ok(took)
}
