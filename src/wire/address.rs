//! Who is calling: the other end of the connection, or, when that is a proxy we trust, the address it gives.
//! Only the part of `X-Forwarded-For` that trusted proxies wrote is read; the rest is the caller's own claim.

use hyper::HeaderMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies whose `X-Forwarded-For` counts. None by default: then the peer is the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Network>,
}

/// An entry that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither an IP address nor a network such as 10.0.0.0/8")]
pub struct UnreadableNetwork {
    /// The entry.
    pub text: String,
}

impl TrustedProxies {
    /// Reads addresses (`10.0.0.7`, `::1`) and networks (`10.0.0.0/8`, `2001:db8::/32`).
    ///
    /// # Errors
    /// Names the first entry that is neither.
    pub fn parse<T: AsRef<str>>(entries: impl IntoIterator<Item = T>) -> Result<Self, UnreadableNetwork> {
        let networks = entries.into_iter().map(|entry| entry.as_ref().parse()).collect::<Result<_, _>>()?;
        Ok(Self { networks })
    }

    /// The caller's address: of peer and `X-Forwarded-For`, read from the right, the first that is not a trusted proxy.
    /// At something unreadable the reading ends, and the trusted proxy that passed it on is taken for the caller.
    #[must_use]
    pub fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut caller = peer.to_canonical();
        if !self.trusts(caller) {
            return caller;
        }
        for line in headers.get_all(FORWARDED_FOR).iter().rev() {
            let Ok(line) = line.to_str() else { return caller };
            for hop in line.rsplit(',') {
                let Some(address) = read_hop(hop) else { return caller };
                caller = address;
                if !self.trusts(caller) {
                    return caller;
                }
            }
        }
        caller
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// An address, perhaps with a port: `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]:443`, `[2001:db8::1]`.
fn read_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().ok()?.into(),
        None => hop.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip())).ok()?,
    };
    Some(address.to_canonical())
}

/// What a limit per address counts: an IPv4 address, or the /64 of an IPv6 address, because one caller usually has a
/// whole /64 to call from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey(u64);

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            // Below every IPv6 /64 in use: `0000:0000:…` is reserved.
            IpAddr::V4(address) => Self(u64::from(u32::from(address))),
            IpAddr::V6(address) => Self((u128::from(address) >> 64) as u64),
        }
    }
}

/// Addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    V4 { first: u32, mask: u32 },
    V6 { first: u128, mask: u128 },
}

impl Network {
    fn new(address: IpAddr, bits: Option<u32>) -> Option<Self> {
        match address {
            IpAddr::V4(address) => {
                let mask = mask(bits.unwrap_or(32), 32)? as u32;
                Some(Self::V4 { first: u32::from(address) & mask, mask })
            }
            IpAddr::V6(address) => match (address.to_ipv4_mapped(), bits.unwrap_or(128)) {
                // Addresses are compared in their shortest form, so the network is kept in it as well.
                (Some(address), bits @ 96..) => Self::new(address.into(), Some(bits.checked_sub(96)?)),
                (_, bits) => {
                    let mask = mask(bits, 128)?;
                    Some(Self::V6 { first: u128::from(address) & mask, mask })
                }
            },
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { first, mask }, IpAddr::V4(address)) => u32::from(address) & mask == *first,
            (Self::V6 { first, mask }, IpAddr::V6(address)) => u128::from(address) & mask == *first,
            _ => false,
        }
    }
}

/// The lowest `width` bits hold a mask of `bits` ones from the left.
fn mask(bits: u32, width: u32) -> Option<u128> {
    let zeros = width.checked_sub(bits)?;
    Some(u128::MAX.checked_shl(zeros).unwrap_or(0))
}

impl FromStr for Network {
    type Err = UnreadableNetwork;

    fn from_str(text: &str) -> Result<Self, UnreadableNetwork> {
        let unreadable = || UnreadableNetwork { text: text.to_owned() };
        let (address, bits) = match text.trim().split_once('/') {
            // `u32` would also read `+8`.
            Some((address, bits)) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(bits.parse().map_err(|_| unreadable())?))
            }
            Some(_) => return Err(unreadable()),
            None => (text.trim(), None),
        };
        Self::new(address.parse().map_err(|_| unreadable())?, bits).ok_or_else(unreadable)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4 { first, mask } => write!(f, "{}/{}", Ipv4Addr::from(*first), mask.count_ones()),
            Self::V6 { first, mask } => write!(f, "{}/{}", Ipv6Addr::from(*first), mask.count_ones()),
        }
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, network) in self.networks.iter().enumerate() {
            write!(f, "{}{network}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn check(trusted: &[&str], peer: &str, forwarded: &[&str], expected: &str) {
        let proxies = TrustedProxies::parse(trusted).unwrap();
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let caller = proxies.caller(peer.parse().unwrap(), &headers);
        assert_eq!(caller.to_string(), expected, "{trusted:?} {peer} {forwarded:?}");
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted() {
        let lan = ["10.0.0.0/8", "::1", "2001:db8:f::/48"];
        // Nobody is trusted, or not this peer: the header is a claim.
        check(&[], "10.0.0.1", &["192.0.2.1"], "10.0.0.1");
        check(&lan, "203.0.113.9", &["192.0.2.1"], "203.0.113.9");
        check(&lan, "11.0.0.1", &["192.0.2.1"], "11.0.0.1");
        // One proxy, two proxies, a forged left part.
        check(&lan, "10.0.0.1", &["192.0.2.1"], "192.0.2.1");
        check(&lan, "10.0.0.1", &["192.0.2.1, 10.2.3.4"], "192.0.2.1");
        check(&lan, "10.0.0.1", &["6.6.6.6, 192.0.2.1"], "192.0.2.1");
        check(&lan, "10.0.0.1", &["10.6.6.6, 192.0.2.1 ,10.0.0.2"], "192.0.2.1");
        // Several lines are one list.
        check(&lan, "10.0.0.1", &["6.6.6.6", "192.0.2.1", "10.9.9.9"], "192.0.2.1");
        check(&lan, "10.0.0.1", &["6.6.6.6,192.0.2.1", "10.9.9.9,10.9.9.8"], "192.0.2.1");
        // All trusted, or nothing said.
        check(&lan, "10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        check(&lan, "10.0.0.1", &[], "10.0.0.1");
        // Ports, brackets, mapped addresses.
        check(&lan, "10.0.0.1", &["192.0.2.1:5678"], "192.0.2.1");
        check(&lan, "10.0.0.1", &["[2001:db8::7]:443"], "2001:db8::7");
        check(&lan, "10.0.0.1", &["[2001:db8::7]"], "2001:db8::7");
        check(&lan, "10.0.0.1", &["2001:db8::7, 2001:db8:f::1"], "2001:db8::7");
        check(&lan, "::ffff:10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1");
        check(&lan, "::1", &["192.0.2.1, ::ffff:10.1.1.1"], "192.0.2.1");
        check(&["::ffff:10.0.0.0/104"], "10.0.0.1", &["192.0.2.1"], "192.0.2.1");
        // Garbage ends the reading at the proxy that passed it on.
        check(&lan, "10.0.0.1", &["unknown"], "10.0.0.1");
        check(&lan, "10.0.0.1", &["192.0.2.1, garbage, 10.0.0.2"], "10.0.0.2");
        check(&lan, "10.0.0.1", &["192.0.2.1,"], "10.0.0.1");
        check(&lan, "10.0.0.1", &[""], "10.0.0.1");
        check(&lan, "10.0.0.1", &["192.0.2.1", "\u{e4}"], "10.0.0.1");
        check(&lan, "10.0.0.1", &["[192.0.2.1]"], "10.0.0.1");
        check(&lan, "10.0.0.1", &["192.0.2.1:99999"], "10.0.0.1");
        check(&lan, "10.0.0.1", &["fe80::1%eth0"], "10.0.0.1");
        check(&lan, "10.0.0.1", &["\"192.0.2.1\""], "10.0.0.1");
    }

    #[test]
    fn networks_are_read_strictly() {
        let written = |text: &str| TrustedProxies::parse([text]).map(|proxies| proxies.to_string());
        for (text, kept) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("::/0", "::/0"),
            ("2001:db8::1/33", "2001:db8::/33"),
            (" ::1 ", "::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            assert_eq!(written(text).as_deref(), Ok(kept));
        }
        for text in
            ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/-1", "10.0.0/8", "a.b.c.d", "/8"]
        {
            assert_eq!(written(text), Err(UnreadableNetwork { text: text.to_owned() }));
        }
        assert!(TrustedProxies::parse(["0.0.0.0/0"]).unwrap().trusts([255, 0, 0, 1].into()));
        assert!(!TrustedProxies::parse(["0.0.0.0/0"]).unwrap().trusts(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    }

    #[test]
    fn a_limit_counts_an_ipv4_address_or_an_ipv6_network() {
        let key = |text: &str| AddressKey::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::9"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
    }
}
