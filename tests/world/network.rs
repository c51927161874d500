//! Two hosts in network namespaces, with a wire between them that can be cut. The test reaches
//! both by wires of its own. Gone with the test, with all that runs on them.

use std::process::Command;

/// A host: its namespace, its address on the wire that can be cut, and the one for the test.
#[derive(Clone)]
pub struct Host {
    pub namespace: String,
    pub address: String,
    pub for_test: String,
}

impl Host {
    /// What comes before a command that is to run there.
    pub fn runs(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace].map(str::to_owned).to_vec()
    }
}

pub struct TwoHosts {
    pub hosts: [Host; 2],
}

fn ip(command: &str) {
    let output = Command::new("ip").args(command.split_whitespace()).output();
    let output = output.expect("`ip` is installed; if not: sudo apt-get install iproute2");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "ip {command}: {said}; the right to make network namespaces is needed: run as root"
    );
}

/// Removes the hosts of tests that were killed: their addresses may be those of the next.
fn remove_left() {
    let output = Command::new("ip").args(["netns", "list"]).output();
    let output = output.expect("`ip` is installed; if not: sudo apt-get install iproute2");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let process = name.strip_prefix("rf").and_then(|rest| rest.strip_suffix(['a', 'b']));
        if let Some(process) = process.and_then(|process| process.parse::<u32>().ok())
            && !std::path::Path::new("/proc").join(process.to_string()).exists()
        {
            // Another test may be as quick.
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

impl TwoHosts {
    /// Addresses are of the range that is kept for tests of networks (RFC 2544), by the process.
    pub fn new() -> Self {
        remove_left();
        let process = std::process::id();
        let net = format!("198.{}.{}", 18 + process / 256 % 2, process % 256);
        let host = |place: usize| {
            let letter = ["a", "b"][place];
            let namespace = format!("rf{process}{letter}");
            let wire = format!("rf{process}t{letter}");
            let (own, test) = (format!("{net}.{}", place + 1), 16 * (place + 1));
            let (here, there) = (format!("{net}.{}", test + 1), format!("{net}.{}", test + 2));
            ip(&format!("netns add {namespace}"));
            ip(&format!("-n {namespace} link set lo up"));
            ip(&format!("link add {wire} type veth peer name test netns {namespace}"));
            ip(&format!("addr add {here}/28 dev {wire}"));
            ip(&format!("link set {wire} up"));
            ip(&format!("-n {namespace} addr add {there}/28 dev test"));
            ip(&format!("-n {namespace} link set test up"));
            ip(&format!("route add {own}/32 via {there}"));
            Host { namespace, address: own, for_test: there }
        };
        let hosts = [host(0), host(1)];
        ip(&format!("-n {} link add wire type veth peer name wire netns {}", hosts[0].namespace, hosts[1].namespace));
        for host in &hosts {
            ip(&format!("-n {} addr add {}/28 dev wire", host.namespace, host.address));
        }
        let both = Self { hosts };
        both.heal();
        both
    }

    /// Neither hears the other any more.
    pub fn cut(&self) {
        ip(&format!("-n {} link set wire down", self.hosts[0].namespace));
    }

    pub fn heal(&self) {
        for host in &self.hosts {
            ip(&format!("-n {} link set wire up", host.namespace));
        }
    }
}

impl Drop for TwoHosts {
    fn drop(&mut self) {
        for host in &self.hosts {
            // Its wires go with it.
            let _ = Command::new("ip").args(["netns", "del", &host.namespace]).status();
        }
    }
}
