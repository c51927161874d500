//! Real Redis servers for tests: on free ports of loopback, each with a folder of its own,
//! gone with the test.

use super::Folder;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running `redis-server`.
pub struct RedisServer {
    child: Child,
    pub port: u16,
    address: String,
    /// What comes before its command: where it runs.
    runs: Vec<String>,
    dir: std::path::PathBuf,
    extra: Vec<String>,
    _folder: Option<Folder>,
}

impl RedisServer {
    /// One that writes every command to disk before it answers, so that a restart forgets nothing.
    pub fn start() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// One that keeps nothing on disk: killed, it forgets everything.
    pub fn forgetful() -> Self {
        Self::with(&["--appendonly", "no"])
    }

    pub fn with(extra: &[&str]) -> Self {
        Self::at("127.0.0.1", Vec::new(), extra)
    }

    /// One that others reach by an address, started by what comes before its command.
    pub fn at(address: &str, runs: Vec<String>, extra: &[&str]) -> Self {
        let folder = Folder::new("redis");
        let extra: Vec<String> = extra.iter().map(ToString::to_string).collect();
        // A port that was free a moment ago may be taken by another test: try the next.
        for _ in 0..20 {
            let port = free_port();
            if let Some(child) = spawn(&runs, &folder.0, (address, port), &extra) {
                let (address, dir) = (address.to_owned(), folder.0.clone());
                return Self { child, port, address, runs, dir, extra, _folder: Some(folder) };
            }
        }
        panic!("redis-server does not start; install it with: sudo apt-get install redis-server");
    }

    pub fn url(&self) -> String {
        format!("redis://{}:{}", self.address, self.port)
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    /// Sends a signal: `KILL`, `STOP`, `CONT`.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("it runs");
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, on the same port and with what its folder holds.
    pub fn restart(&mut self) {
        self.kill();
        let child = spawn(&self.runs, &self.dir, (&self.address, self.port), &self.extra);
        self.child = child.expect("it starts again");
    }

    /// The answer to a command, as `redis-cli` prints it.
    pub fn cli(&self, command: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        let output = cli.args(["-h", &self.address, "-p", &self.port.to_string()]).args(command).output();
        String::from_utf8_lossy(&output.expect("redis-cli is installed").stdout).trim().to_owned()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port for a server and, 10,000 above it, for its Cluster bus.
fn free_port() -> u16 {
    loop {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = port % 22_000 + 10_000;
        let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
}

fn spawn(runs: &[String], dir: &Path, (address, port): (&str, u16), extra: &[String]) -> Option<Child> {
    let command: Vec<&str> = runs.iter().map(String::as_str).chain(["redis-server"]).collect();
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .args(["--bind", address, "--save", "", "--daemonize", "no", "--protected-mode", "no"])
        .args(["--port", &port.to_string(), "--dir"])
        .arg(dir)
        .args(extra)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("redis-server is installed; if not: sudo apt-get install redis-server");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.contains("Ready to accept connections") {
            // Its further lines are read so that it never waits for us.
            std::thread::spawn(move || lines.for_each(drop));
            return Some(child);
        }
    }
    let _ = child.wait();
    None
}

/// A Cluster of masters, each with some replicas.
pub struct RedisCluster {
    pub masters: Vec<RedisServer>,
    pub replicas: Vec<RedisServer>,
}

impl RedisCluster {
    /// Three masters; a server that does not hear from another for `timeout_ms` calls it failed.
    pub fn start(replicas: bool, timeout_ms: u32, durable: bool) -> Self {
        Self::of(if replicas { 6 } else { 3 }, timeout_ms, durable, |_, options| RedisServer::with(options))
    }

    /// The first three are masters, the others their replicas.
    pub fn of(count: usize, timeout_ms: u32, durable: bool, start: impl Fn(usize, &[&str]) -> RedisServer) -> Self {
        let timeout = timeout_ms.to_string();
        let appendonly = if durable { "yes" } else { "no" };
        let options = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            &timeout,
            "--appendonly",
            appendonly,
            "--repl-diskless-sync-delay",
            "0",
        ];
        let mut masters: Vec<RedisServer> = (0..count).map(|place| start(place, &options)).collect();
        let replicas = masters.split_off(3);
        let bounds = [0_u16, 5461, 10_923, 16_384];
        for (place, master) in masters.iter().enumerate() {
            let (from, to) = (bounds[place].to_string(), (bounds[place + 1] - 1).to_string());
            assert_eq!(master.cli(&["cluster", "addslotsrange", &from, &to]), "OK");
            assert_eq!(master.cli(&["cluster", "set-config-epoch", &(place + 1).to_string()]), "OK");
        }
        let (address, port) = (&masters[0].address, masters[0].port.to_string());
        for other in masters.iter().skip(1).chain(&replicas) {
            assert_eq!(other.cli(&["cluster", "meet", address, &port]), "OK");
        }
        let cluster = Self { masters, replicas };
        let known = cluster.all().count();
        cluster.wait(|server| server.cli(&["cluster", "nodes"]).lines().count() == known);
        for (replica, master) in cluster.replicas.iter().zip(&cluster.masters) {
            let id = master.cli(&["cluster", "myid"]);
            assert_eq!(replica.cli(&["cluster", "replicate", &id]), "OK");
        }
        cluster.wait(|server| server.cli(&["cluster", "info"]).contains("cluster_state:ok"));
        for replica in &cluster.replicas {
            wait_for(|| replica.cli(&["info", "replication"]).contains("master_link_status:up"));
        }
        cluster
    }

    pub fn all(&self) -> impl Iterator<Item = &RedisServer> {
        self.masters.iter().chain(&self.replicas)
    }

    /// Comes back when something is true of every server.
    pub fn wait(&self, is_so: impl Fn(&RedisServer) -> bool) {
        self.all().for_each(|server| wait_for(|| is_so(server)));
    }

    pub fn url(&self) -> String {
        let node = |server: &RedisServer| format!("{}:{}", server.address, server.port);
        let nodes: Vec<String> = self.masters.iter().map(node).collect();
        format!("redis-cluster://{}", nodes.join(","))
    }
}

/// Asks until something is so: each question takes its time, so nothing is asked in a tight loop.
pub fn wait_for(is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < 120, "waited two minutes in vain");
        std::thread::yield_now();
    }
}
