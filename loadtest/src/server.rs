//! Servers of a run: started here, measured by what the system says of them, ended here by
//! their own id. A server that is dropped is killed.

use crate::fault::{Fault, fault};
use ringfence::authenticate::{Scheme, Secret, Signer};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::CpuSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The source that the load speaks as.
pub const SOURCE: &str = "load";
/// Where its secret stands in the environment.
pub const SECRET_VARIABLE: &str = "RINGFENCE_SECRET_LOAD";
/// Where the operator's key stands in the environment.
pub const KEY_VARIABLE: &str = "RINGFENCE_BOOTSTRAP_KEY";
/// Longest a start may take; a store of millions replays.
const START_TIME_MAX: Duration = Duration::from_secs(300);
/// Longest an orderly stop may take.
const STOP_TIME_MAX: Duration = Duration::from_secs(60);
/// Clock ticks per second in `/proc`: part of Linux' interface to programs.
const TICKS_PER_SECOND: u64 = 100;

/// What a run and its servers share.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The source's secret.
    pub secret: String,
    /// The operator's key.
    pub key: String,
}

impl Credentials {
    /// Drawn for one run.
    pub fn draw() -> Result<Self, Fault> {
        use base64::Engine;
        let mut bytes = [0_u8; 64];
        getrandom::fill(&mut bytes).map_err(|e| fault(format!("drawing a secret: {e}")))?;
        let text = |part: &[u8]| base64::engine::general_purpose::STANDARD.encode(part);
        let key = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&bytes[32..]);
        Ok(Self { secret: format!("whsec_{}", text(&bytes[..32])), key })
    }
    /// Those of a server that runs already.
    pub fn from_environment() -> Result<Self, Fault> {
        let read = |name: &str| std::env::var(name).map_err(|_| fault(format!("the variable {name} is not set")));
        Ok(Self { secret: read(SECRET_VARIABLE)?, key: read(KEY_VARIABLE)? })
    }
    /// What signs webhooks.
    pub fn signer(&self) -> Result<Signer, Fault> {
        let secret = Secret::new(self.secret.clone());
        Signer::new(Scheme::StandardWebhooks, &secret).map_err(|e| fault(e.to_string()))
    }
    /// The header of an operator.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.key)
    }
}

/// Binds the calling thread, and the processes it starts, to one core. `None` when the
/// machine has no such core, or only one.
pub fn pin(core: usize) -> Option<usize> {
    let cores = std::fs::read_to_string("/proc/cpuinfo").ok()?.matches("processor\t").count();
    if cores < 2 || core >= cores {
        return None;
    }
    let mut set = CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set).ok().map(|()| core)
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
    /// Where it listens.
    pub at: SocketAddr,
    /// From its start to its word that it listens.
    pub took: Duration,
}

impl Server {
    /// Starts a server and waits for `listening on http://…`. `core` binds it.
    pub fn start(
        name: &'static str,
        mut command: Command,
        credentials: &Credentials,
        core: Option<usize>,
        log: &Path,
    ) -> Result<Self, Fault> {
        command
            .env(SECRET_VARIABLE, &credentials.secret)
            .env(KEY_VARIABLE, &credentials.key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::OpenOptions::new().create(true).append(true).open(log)?);
        let before = rustix::thread::sched_getaffinity(None).ok();
        core.and_then(pin);
        let begun = Instant::now();
        let spawned = command.spawn();
        if let Some(before) = before {
            let _ = rustix::thread::sched_setaffinity(None, &before);
        }
        let child = spawned.map_err(|e| fault(format!("starting {name}: {e}")))?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { name, child, log: log.to_owned(), at: nowhere, took: Duration::ZERO };
        let out = server.child.stdout.take().ok_or_else(|| fault("no standard output"))?;
        let (say, heard) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            // Read to the end, so that the server never waits for a reader.
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on http://") {
                    let address = address.split_whitespace().next().unwrap_or_default().trim_end_matches('/');
                    let _ = say.try_send(address.to_owned());
                }
            }
        });
        let heard = heard.recv_timeout(START_TIME_MAX);
        server.took = begun.elapsed();
        let address = heard.map_err(|_| fault(format!("{name} did not start: {}", server.last_words())))?;
        server.at =
            address.parse().map_err(|_| fault(format!("{name} listens on `{address}`, which is no address")))?;
        Ok(server)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// User and system time so far, of all its threads.
    pub fn cpu(&self) -> Result<Duration, Fault> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        // The name in parentheses may hold anything; what follows is numbers.
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|word| word.parse::<u64>().ok());
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else {
            return Err(fault("/proc/PID/stat cannot be read"));
        };
        Ok(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
    }

    /// Resident bytes now.
    pub fn resident(&self) -> Result<u64, Fault> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|word| word.parse::<u64>().ok());
        Ok(kib.ok_or_else(|| fault("/proc/PID/status has no VmRSS"))? * 1024)
    }

    /// SIGTERM, and the wait for an orderly end. Says how long that took.
    pub fn stop(mut self) -> Result<Duration, Fault> {
        let begun = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(|e| fault(format!("SIGTERM: {e}")))?;
        let status = wait(&mut self.child, STOP_TIME_MAX)?;
        match status {
            Some(status) if status.success() => Ok(begun.elapsed()),
            Some(status) => Err(fault(format!("{} ended with {status}: {}", self.name, self.last_words()))),
            None => Err(fault(format!("{} did not end within {STOP_TIME_MAX:?} of SIGTERM", self.name))),
        }
    }

    /// SIGKILL.
    pub fn kill(mut self) -> Result<(), Fault> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(8).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ours by its own id; nothing happens when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for an end, at most so long. `None` when it did not come.
pub fn wait(child: &mut Child, time_max: Duration) -> Result<Option<std::process::ExitStatus>, Fault> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > time_max {
            return Ok(None);
        }
        pause(Duration::from_millis(5));
    }
}

/// Lets time pass.
#[expect(clippy::disallowed_methods, reason = "between looks at another process, with a bound around every use")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// The service under test: its binary, its folder and its configuration.
#[derive(Debug)]
pub struct Service {
    binary: PathBuf,
    folder: Folder,
    config: PathBuf,
    credentials: Credentials,
    core: Option<usize>,
}

/// How the service is configured for a run.
#[derive(Debug, Clone, Copy)]
pub struct Said {
    /// `server.worker_threads`; `None` leaves the default.
    pub worker_threads: Option<usize>,
    /// `store.cache_bytes` and `store.members_cached_bytes`; `None` leaves the default.
    pub caches: Option<(usize, usize)>,
}

impl Service {
    /// Prepares a folder and writes the configuration.
    pub fn prepare(
        binary: Option<&Path>,
        folder: Folder,
        credentials: &Credentials,
        core: Option<usize>,
        said: Said,
    ) -> Result<Self, Fault> {
        let binary = match binary {
            Some(path) => path.to_owned(),
            None => sibling()?,
        };
        let path = folder.path().display().to_string();
        let threads = said.worker_threads.map_or(String::new(), |n| format!("worker_threads = {n}\n"));
        let caches = said.caches.map_or(String::new(), |(pages, members)| {
            format!("cache_bytes = {pages}\nmembers_cached_bytes = {members}\n")
        });
        // Limits as high as they go, so that they are asked and never bite.
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{threads}\n\
             [limits.per_source]\nper_second = 1000000\nburst = 10000000\n\
             [limits.per_key]\nper_second = 1000000\nburst = 10000000\n\
             [limits.per_address]\nper_second = 1000000\nburst = 10000000\n\
             [store]\nurl = \"embedded:{path}/data\"\n{caches}\n\
             [journal]\ndir = \"{path}/data/journal\"\n\
             [log]\nlevel = \"warn\"\nformat = \"text\"\n\
             [[sources]]\nname = \"{SOURCE}\"\nformat = \"ringfence\"\nauth = [\"standard-webhooks\"]\n\
             secrets = [\"env:{SECRET_VARIABLE}\"]\n"
        );
        let config = folder.path().join("ringfence.toml");
        std::fs::write(&config, text)?;
        Ok(Self { binary, folder, config, credentials: credentials.clone(), core })
    }

    /// Its folder of data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `ringfence serve`.
    pub fn serve(&self) -> Result<Server, Fault> {
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg("--config").arg(&self.config);
        Server::start("ringfence serve", command, &self.credentials, self.core, &self.folder.path().join("serve.log"))
    }

    /// `ringfence audit`; its words.
    pub fn audit(&self) -> Result<String, Fault> {
        let log = self.folder.path().join("audit.log");
        let out = std::fs::File::create(&log)?;
        let mut child = Command::new(&self.binary)
            .arg("audit")
            .arg("--config")
            .arg(&self.config)
            .env(SECRET_VARIABLE, &self.credentials.secret)
            .env(KEY_VARIABLE, &self.credentials.key)
            .stdin(Stdio::null())
            .stderr(out.try_clone()?)
            .stdout(out)
            .spawn()?;
        let status = wait(&mut child, Duration::from_secs(600))?;
        let words = std::fs::read_to_string(&log).unwrap_or_default();
        match status {
            Some(status) if status.success() => Ok(words),
            Some(status) => Err(fault(format!("`ringfence audit` ended with {status}:\n{words}"))),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err(fault("`ringfence audit` did not end within 10 minutes"))
            }
        }
    }
}

/// The service's binary beside ours.
fn sibling() -> Result<PathBuf, Fault> {
    let own = std::env::current_exe()?;
    let path = own.with_file_name("ringfence");
    if path.is_file() {
        return Ok(path);
    }
    Err(fault(format!("{} is not there: `cargo build --release`, or say --server PATH", path.display())))
}

/// A folder of this run, removed with all in it when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one of a fresh name inside `parent`.
    pub fn new(parent: &Path) -> Result<Self, Fault> {
        let mut bytes = [0_u8; 6];
        getrandom::fill(&mut bytes).map_err(|e| fault(format!("drawing a name: {e}")))?;
        let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::create_dir_all(parent)?;
        let path = parent.canonicalize()?.join(format!("ringfence-loadtest-{name}"));
        std::fs::create_dir(&path).map_err(|e| fault(format!("making {}: {e}", path.display())))?;
        Ok(Self(path))
    }
    /// Where.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
