//! The town of a run: merchants with one offer each, members with one linked card each, made
//! through the HTTP API as an operator would; and what the service says of it afterwards.

use crate::drive::{self, Load, Pace, Requests};
use crate::fault::{Fault, fault};
use crate::server::{Credentials, SOURCE};
use ringfence::clock::Clock;
use ringfence::domain::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// What every offer gives, in basis points of the purchase.
const BASIS_POINTS: i64 = 500;
/// The most it gives for one purchase.
const REWARD_MINOR_MAX: i64 = 1000;
/// What a purchase must be worth.
pub const SPEND_MINOR_MIN: i64 = 500;
/// Connections that set up: many, so that they share syncs.
const SETUP_CONNECTIONS: usize = 128;
/// Requests of one go.
const CHUNK: u32 = 20_000;

/// The same in every request of a run.
#[derive(Debug, Clone)]
pub struct Town {
    /// In every id, so that runs against one store do not meet.
    pub run: String,
    /// How many merchants, each with one offer.
    pub merchants: u32,
    /// How many members, each with one card.
    pub members: u32,
    /// From when everything counts.
    pub since: Timestamp,
}

/// What an offer of the town gives for a purchase of this worth: counted here, by code of
/// this crate's own.
pub fn reward_minor(worth_minor: i64) -> i64 {
    if worth_minor < SPEND_MINOR_MIN { 0 } else { (worth_minor * BASIS_POINTS / 10_000).min(REWARD_MINOR_MAX) }
}

impl Town {
    /// A town that is still to be built.
    pub fn new(merchants: u32, members: u32) -> Result<Self, Fault> {
        let mut bytes = [0_u8; 4];
        getrandom::fill(&mut bytes).map_err(|e| fault(format!("drawing a name: {e}")))?;
        let run = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let since = Clock::Machine.now().plus_ms(-20 * ringfence::domain::time::DAY_MS);
        Ok(Self { run, merchants, members, since: Timestamp::from_ms(since.as_seconds() * 1000) })
    }
    /// A merchant's id for its acquirer, as events say it. Numbers beyond the town's are nobody's.
    pub fn mid(&self, merchant: u32) -> String {
        // Of the run, so that merchants of an earlier run do not claim it too.
        let run = u32::from_str_radix(&self.run, 16).unwrap_or(0);
        format!("{:015}", u64::from(run) % 90_000_000 * 10_000_000 + u64::from(merchant) % 10_000_000 + 1)
    }
    /// A member's card token.
    pub fn token(&self, member: u32) -> String {
        format!("tok_{}_{member:08}", self.run)
    }
    /// A member's id.
    pub fn member(&self, member: u32) -> String {
        format!("mem_{}_{member:08}", self.run)
    }
    /// A merchant's id.
    pub fn merchant(&self, merchant: u32) -> String {
        format!("mer_{}_{merchant}", self.run)
    }
    /// The id of a merchant's offer.
    pub fn offer(&self, merchant: u32) -> String {
        format!("off_{}_{merchant}", self.run)
    }

    /// Builds it.
    pub fn build(&self, to: SocketAddr, credentials: &Credentials) -> Result<(), Fault> {
        let since = self.since.to_string();
        let set_up = |name, count, one: &dyn Fn(u32) -> (&'static str, String, Value)| {
            self.post_all(to, credentials, name, count, one)
        };
        set_up("merchants", self.merchants, &|n| {
            let mids = json!([{"scheme": "visa", "mid": self.mid(n)}]);
            let locations = json!([{"id": "l1", "country": "US", "mids": mids}]);
            let body = json!({"name": format!("Shop {n}"), "time_zone": "America/Los_Angeles", "locations": locations});
            ("PUT", format!("/v1/merchants/{}", self.merchant(n)), body)
        })?;
        set_up("offers", self.merchants, &|n| {
            let body = json!({
                "merchant": self.merchant(n), "title": "5% back", "currency": "USD",
                "reward": {"kind": "percent", "basis_points": BASIS_POINTS, "max_minor": REWARD_MINOR_MAX},
                "when": {"all": [{"spend_at_least_minor": SPEND_MINOR_MIN}]},
                "budget_minor": 1_000_000_000_000_i64, "activation": "automatic", "hold_days": 14,
            });
            ("PUT", format!("/v1/offers/{}", self.offer(n)), body)
        })?;
        set_up("publications", self.merchants, &|n| {
            let path = format!("/v1/offers/{}/publish", self.offer(n));
            ("POST", path, json!({"effective_from": since}))
        })?;
        set_up("members", self.members, &|n| {
            ("PUT", format!("/v1/members/{}", self.member(n)), json!({"joined_at": since}))
        })?;
        set_up("cards", self.members, &|n| {
            let path = format!("/v1/members/{}/cards/{SOURCE}/{}", self.member(n), self.token(n));
            ("PUT", path, json!({"from": since}))
        })
    }

    fn post_all(
        &self,
        to: SocketAddr,
        credentials: &Credentials,
        name: &str,
        count: u32,
        one: &dyn Fn(u32) -> (&'static str, String, Value),
    ) -> Result<(), Fault> {
        let bearer = credentials.bearer();
        let load = Load { to, connections: SETUP_CONNECTIONS, pace: Pace::Closed, time_max: Duration::from_secs(300) };
        for start in (0..count).step_by(CHUNK as usize) {
            let mut requests = Requests::default();
            for n in start..count.min(start + CHUNK) {
                let (method, path, body) = one(n);
                let body = body.to_string();
                requests.push(&drive::head(method, &path, &[("authorization", &bearer)], body.len()), body.as_bytes());
            }
            let mut wrong = None;
            drive::run(&load, &requests, &mut |_, status, body| {
                if !(200..300).contains(&status) && wrong.is_none() {
                    wrong = Some(format!("{status} {}", String::from_utf8_lossy(body)));
                }
            })?;
            if let Some(wrong) = wrong {
                return Err(fault(format!("setting up {name}: {wrong}")));
            }
        }
        Ok(())
    }

    /// The balance in USD of these members, all that was granted and not taken back, by place.
    pub fn granted(
        &self,
        to: SocketAddr,
        credentials: &Credentials,
        members: &[u32],
    ) -> Result<BTreeMap<u32, i64>, Fault> {
        let bearer = credentials.bearer();
        let mut requests = Requests::default();
        for member in members {
            let path = format!("/v1/members/{}/balance", self.member(*member));
            requests.push(&drive::head("GET", &path, &[("authorization", &bearer)], 0), b"");
        }
        let load = Load { to, connections: 16, pace: Pace::Closed, time_max: Duration::from_secs(120) };
        let mut found = BTreeMap::new();
        let mut wrong = None;
        drive::run(&load, &requests, &mut |index, status, body| match balance_of(status, body) {
            Ok(minor) => {
                found.insert(members[index], minor);
            }
            Err(why) => wrong = Some(why),
        })?;
        wrong.map_or(Ok(found), |why| Err(fault(format!("asking for a balance: {why}"))))
    }
}

fn balance_of(status: u16, body: &[u8]) -> Result<i64, String> {
    let text = || format!("{status} {}", String::from_utf8_lossy(body));
    if status != 200 {
        return Err(text());
    }
    let value: Value = serde_json::from_slice(body).map_err(|_| text())?;
    let balances = value["balances"].as_array().ok_or_else(text)?;
    let usd = balances.iter().filter(|balance| balance["currency"] == "USD");
    let amount = |balance: &Value, name: &str| balance[name].as_i64().ok_or_else(text);
    usd.map(|balance| {
        let has = ["pending_minor", "posted_minor", "held_minor", "available_minor", "paid_minor"];
        let sum = has.iter().map(|name| amount(balance, name)).sum::<Result<i64, _>>()?;
        Ok(sum - amount(balance, "owed_minor")?)
    })
    .sum()
}

/// The trial balance of one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Books {
    /// Sum of all accounts in USD: anything but zero is wrong.
    pub sum_minor: i64,
    /// Sum of members' accounts in USD: all that was granted and not taken back.
    pub granted_minor: i64,
}

/// Asks for the trial balance.
pub fn books(to: SocketAddr, credentials: &Credentials) -> Result<Books, Fault> {
    let bearer = credentials.bearer();
    let (status, body) = drive::call(to, "GET", "/v1/ledger/trial-balance", &[("authorization", &bearer)], b"")?;
    read_books(status, &body)
        .ok_or_else(|| fault(format!("the trial balance cannot be read: {status} {}", String::from_utf8_lossy(&body))))
}

fn read_books(status: u16, body: &[u8]) -> Option<Books> {
    if status != 200 {
        return None;
    }
    let value: Value = serde_json::from_slice(body).ok()?;
    let mut books = Books { sum_minor: 0, granted_minor: 0 };
    if value["balanced"] != true {
        return None;
    }
    for account in value["accounts"].as_array()? {
        if account["currency"] != "USD" {
            continue;
        }
        let minor = account["minor"].as_i64()?;
        books.sum_minor += minor;
        if account["account"].as_str()?.starts_with("member_") {
            books.granted_minor += minor;
        }
    }
    Some(books)
}

/// A number of the metrics page; those of several labels are added up.
pub fn metric(to: SocketAddr, name: &str) -> Result<u64, Fault> {
    let (status, body) = drive::call(to, "GET", "/metrics", &[], b"")?;
    if status != 200 {
        return Err(fault(format!("/metrics answers {status}")));
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    let of_name =
        |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'));
    let numbers: Vec<u64> = text
        .lines()
        .filter(of_name)
        .filter_map(|line| line.rsplit(' ').next()?.split('.').next()?.parse().ok())
        .collect();
    if numbers.is_empty() {
        return Err(fault(format!("/metrics has no {name}")));
    }
    Ok(numbers.iter().sum())
}
