//! The values a setting may have: networks, category codes, rates, addresses, words.
//!
//! Each is checked once, where it is parsed; its error says what is wrong, then what
//! would be right. No I/O here.

use crate::authenticate::Scheme;
use crate::normalise::Format;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

/// What is wrong with a value, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// What is wrong.
    pub wrong: String,
    /// What would be right.
    pub right: String,
}

pub(super) fn bad<T>(wrong: impl Into<String>, right: impl Into<String>) -> Result<T, Bad> {
    Err(Bad { wrong: wrong.into(), right: right.into() })
}

/// A value as it may stand in a message: quoted, without control characters, not long.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > SHOWN_CHARS_MAX {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// A network in CIDR notation, for telling proxies from clients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reads `10.0.0.0/8`, `fd00::/8` or a single address.
    ///
    /// # Errors
    /// [`Bad`] when it is no network, or has bits set beyond its prefix.
    pub fn parse(text: &str) -> Result<Self, Bad> {
        const RIGHT: &str = "a network such as 10.0.0.0/8 or fd00::/8, or one address";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return bad(format!("{} is not a network", quoted(text)), RIGHT);
        };
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix.map(str::parse::<u8>) {
            None => bits,
            Some(Ok(prefix)) if prefix <= bits => prefix,
            Some(_) => return bad(format!("{} has no prefix of 0 to {bits} bits", quoted(text)), RIGHT),
        };
        let network = Self { address: masked(address, prefix), prefix };
        if network.address != address {
            return bad(format!("{} has bits set beyond its prefix", quoted(text)), format!("{network}"));
        }
        Ok(network)
    }
    /// Whether the address lies in the network. An IPv4 address in IPv6 clothes
    /// (`::ffff:10.0.0.1`), as a dual-stack socket reports it, counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
    /// Whether every address of its family lies in it.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        self.prefix == 0
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - prefix.min(128)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}
impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A set of merchant category codes, given as codes and ranges.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct MccSet {
    /// Sorted, apart from one another: a look-up is a short binary search.
    ranges: Vec<(u16, u16)>,
}

impl MccSet {
    /// Reads one entry: `4411` or `3351-3999`.
    ///
    /// # Errors
    /// [`Bad`] when it is neither four digits nor two times four in order.
    pub fn parse_entry(text: &str) -> Result<(u16, u16), Bad> {
        const RIGHT: &str = "four digits such as \"4411\", or a range such as \"3351-3999\"";
        let code = |code: &str| {
            (code.len() == 4 && code.bytes().all(|b| b.is_ascii_digit())).then(|| code.parse::<u16>().ok()).flatten()
        };
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        match (code(from), code(to)) {
            (Some(from), Some(to)) if from <= to => Ok((from, to)),
            (Some(_), Some(_)) => bad(format!("{} runs backwards", quoted(text)), RIGHT),
            _ => bad(format!("{} is no merchant category code", quoted(text)), RIGHT),
        }
    }
    /// The set of the given ranges, both ends included.
    #[must_use]
    pub fn from_ranges(mut given: Vec<(u16, u16)>) -> Self {
        given.sort_unstable();
        let mut ranges: Vec<(u16, u16)> = Vec::with_capacity(given.len());
        for (from, to) in given {
            match ranges.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => ranges.push((from, to)),
            }
        }
        Self { ranges }
    }
    /// Whether the code is in the set.
    #[must_use]
    pub fn contains(&self, mcc: u16) -> bool {
        let after = self.ranges.partition_point(|&(from, _)| from <= mcc);
        after > 0 && mcc <= self.ranges[after - 1].1
    }
    /// The ranges, sorted, both ends included.
    #[must_use]
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }
}

impl fmt::Debug for MccSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ranges.iter().map(|(from, to)| format!("{from:04}-{to:04}"))).finish()
    }
}

/// How fast a caller may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Lasting requests per second.
    pub per_second: NonZeroU32,
    /// Requests at once after a pause.
    pub burst: NonZeroU32,
}

/// Where the state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// In a folder of this machine, by this process alone.
    Embedded(PathBuf),
    /// In Redis, alone or as a Cluster, shared with other processes.
    Redis(RedisUrl),
}

/// The address of a Redis or of some of a Cluster's; it may hold a password, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The whole address, to connect with.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, rest) = self.0.split_once("://").unwrap_or(("redis", ""));
        write!(f, "{kind}://{}", rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StoreUrl {
    /// Reads `embedded:PATH`, `redis://HOST:PORT` or `redis-cluster://HOST:PORT,HOST:PORT`
    /// (`rediss` for TLS; `USER:PASSWORD@` before the first host).
    ///
    /// # Errors
    /// [`Bad`] for anything else; a URL is not repeated, since it may hold a password.
    pub fn parse(text: &str) -> Result<Self, Bad> {
        const RIGHT: &str =
            "\"embedded:PATH\", \"redis://HOST:PORT\" or \"redis-cluster://HOST:PORT,HOST:PORT\" (rediss for TLS)";
        match text.split_once(':') {
            Some(("embedded", path)) if !path.is_empty() && !path.contains('\0') => {
                Ok(Self::Embedded(PathBuf::from(path)))
            }
            Some(("embedded", _)) => bad("names no folder", RIGHT),
            Some(("redis" | "rediss" | "redis-cluster" | "rediss-cluster", _)) => {
                match crate::store::redis::connection::ConnectOptions::parse(text) {
                    Ok(_) => Ok(Self::Redis(RedisUrl(text.to_owned()))),
                    // The address may hold a password: it is not repeated.
                    Err(_) => bad("is no address of a Redis", RIGHT),
                }
            }
            _ => bad("names no kind of store we know", RIGHT),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(path) => write!(f, "embedded:{}", path.display()),
            Self::Redis(url) => write!(f, "{url}"),
        }
    }
}

/// Reads the address to serve on.
pub(super) fn parse_listen(text: &str) -> Result<SocketAddr, Bad> {
    text.parse().or_else(|_| {
        bad(
            format!("{} is no address and port", quoted(text)),
            "such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080 (an address, not a name)",
        )
    })
}

/// Reads the address the outside uses: without a slash at the end, so that a path can follow.
pub(super) fn parse_public_url(text: &str) -> Result<String, Bad> {
    const RIGHT: &str = "such as https://offers.example.org, with or without a path";
    refuse_other_than_http(text, RIGHT)?;
    if text.contains(['?', '#']) {
        return bad("has a query or a fragment", RIGHT);
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Reads the address a provider posts to and signs: kept letter for letter, a slash at its
/// end and a query included.
pub(super) fn parse_signed_url(text: &str) -> Result<String, Bad> {
    const RIGHT: &str = "the whole address as the provider has it, such as https://offers.example.org/v1/webhooks/shop";
    if text.len() > URL_BYTES_MAX {
        return bad(format!("has more than {URL_BYTES_MAX} bytes"), RIGHT);
    }
    refuse_other_than_http(text, RIGHT)?;
    if text.contains('#') {
        return bad("has a fragment, which is never sent", RIGHT);
    }
    Ok(text.to_owned())
}

/// Longest address that is signed.
const URL_BYTES_MAX: usize = 2048;

fn refuse_other_than_http(text: &str, right: &str) -> Result<(), Bad> {
    let Ok(uri) = text.parse::<hyper::Uri>() else {
        // Not repeated: a URL may hold a password.
        return bad("is no URL", right);
    };
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            bad("holds a user name or password", right)
        }
        (Some("http" | "https"), Some(_)) => Ok(()),
        _ => bad("is no http or https URL", right),
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every one this version has.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The word used in configuration.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
            /// Reads the word.
            ///
            /// # Errors
            /// [`Bad`] for another word.
            pub fn parse(text: &str) -> Result<Self, Bad> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => bad(format!("{} is no {}", quoted(text), $what), one_of(&[$($word),+])),
                }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// "`a`, `b` or `c`".
pub(super) fn one_of(words: &[&str]) -> String {
    joined(words, "or")
}

/// "`a`, `b` and `c`".
pub(super) fn all_of(words: &[&str]) -> String {
    joined(words, "and")
}

fn joined(words: &[&str], by: &str) -> String {
    let ticked: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match ticked.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {by} {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Reads whose words a source speaks.
pub(super) fn parse_format(text: &str) -> Result<Format, Bad> {
    text.parse().or_else(|_| bad(format!("{} is no format", quoted(text)), one_of(&Format::ALL.map(Format::as_str))))
}

/// Reads a way in which a source proves itself.
pub(super) fn parse_scheme(text: &str) -> Result<Scheme, Bad> {
    let right = || one_of(&Scheme::ALL.map(Scheme::name));
    match text.parse() {
        Ok(scheme) => Ok(scheme),
        Err(_) if text == "mtls" => bad("`mtls` is not yet available", format!("{}, in this version", right())),
        Err(_) => bad(format!("{} is no way of authentication", quoted(text)), right()),
    }
}

words! {
    /// How much the log says.
    LogLevel, "log level" {
        /// A person must act now.
        Error = "error",
        /// A person must act this week.
        Warn = "warn",
        /// The story.
        Info = "info",
        /// For who changes us.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }
}

words! {
    /// How a line of the log is written.
    LogFormat, "log format" {
        /// One JSON object per line.
        Json = "json",
        /// For people.
        Text = "text",
    }
}
