//! What is kept of an identifier besides its own hash: the domain of an e-mail address and the
//! networks of an address of the internet, each as a keyed hash under a kind of its own that no
//! caller can say. By them alone a merchant's declared rivals are recognised.

use std::net::IpAddr;

/// The kind of an e-mail address's domain.
pub const DOMAIN: &str = "~domain";
/// The kind of a network.
pub const NETWORK: &str = "~network";
/// Lengths of prefixes that are kept of an address: of version 4, and of version 6.
const LENGTHS: [&[u8]; 2] = [&[16, 24, 32], &[32, 48, 64]];
/// Networks that a declared one is taken apart into at most.
const PARTS_MAX: u32 = 256;

/// Whether a link was made here and not said by anybody.
#[must_use]
pub fn is_derived(kind: &str) -> bool {
    kind.starts_with('~')
}

/// What an identifier leads to: kind and value.
#[must_use]
pub fn derived(kind: &str, value: &str) -> Vec<(&'static str, String)> {
    match kind {
        "email" => value
            .rsplit_once('@')
            .map(|(_, domain)| (DOMAIN, domain.trim().to_ascii_lowercase()))
            .filter(|(_, domain)| !domain.is_empty())
            .into_iter()
            .collect(),
        "ip" => value.trim().parse::<IpAddr>().map_or_else(
            |_| Vec::new(),
            |address| lengths(&address).iter().map(|&length| (NETWORK, network(address, length))).collect(),
        ),
        _ => Vec::new(),
    }
}

/// The networks that stand for a declared one: those of the next length that is kept. Longer ones
/// than any that is kept are taken as the longest. Nothing for what is no network.
#[must_use]
pub fn parts(declared: &str) -> Vec<String> {
    let (address, length) = declared.split_once('/').unwrap_or((declared, "128"));
    let (Ok(address), Ok(length)) = (address.trim().parse::<IpAddr>(), length.trim().parse::<u8>()) else {
        return Vec::new();
    };
    let all = lengths(&address);
    let Some(kept) = all.iter().copied().find(|kept| *kept >= length).or(all.last().copied()) else {
        return Vec::new();
    };
    let count = 1_u32.checked_shl(u32::from(kept.saturating_sub(length))).unwrap_or(u32::MAX).min(PARTS_MAX);
    (0..count).map(|place| network(stepped(address, length.min(kept), kept, place), kept)).collect()
}

fn lengths(address: &IpAddr) -> &'static [u8] {
    LENGTHS[usize::from(address.is_ipv6())]
}

/// The network's first address moved by so many networks of a length.
fn stepped(address: IpAddr, declared: u8, length: u8, by: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let first = u32::from(address) & mask(u128::from(u32::MAX), 32, declared) as u32;
            IpAddr::V4((first + (by << (32 - u32::from(length)).min(31))).into())
        }
        IpAddr::V6(address) => {
            let first = u128::from(address) & mask(u128::MAX, 128, declared);
            IpAddr::V6((first + (u128::from(by) << (128 - u32::from(length)))).into())
        }
    }
}

fn mask(all: u128, bits: u32, length: u8) -> u128 {
    let rest = bits - u32::from(length).min(bits);
    all & !1_u128.checked_shl(rest).map_or(u128::MAX, |one| one - 1)
}

fn network(address: IpAddr, length: u8) -> String {
    let address = match address {
        IpAddr::V4(address) => IpAddr::V4((u32::from(address) & mask(u128::from(u32::MAX), 32, length) as u32).into()),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & mask(u128::MAX, 128, length)).into()),
    };
    format!("{address}/{length}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_networks_that_hold_it_and_in_no_other() {
        for (declared, inside, outside) in [
            ("10.1.2.0/24", "10.1.2.77", "10.1.3.77"),
            ("10.1.0.0/16", "10.1.200.9", "10.2.0.9"),
            ("10.1.4.0/22", "10.1.7.255", "10.1.8.0"),
            ("172.16.0.0/12", "172.31.9.9", "172.32.0.1"),
            ("192.0.2.8/30", "192.0.2.11", "192.0.2.12"),
            ("192.0.2.8", "192.0.2.8", "192.0.2.9"),
            ("2001:db8:7::/48", "2001:db8:7:1::5", "2001:db8:8::5"),
            ("2001:db8::/44", "2001:db8:f::1", "2001:db8:10::1"),
        ] {
            let parts = parts(declared);
            let holds = |address: &str| derived("ip", address).iter().any(|(_, network)| parts.contains(network));
            assert!(holds(inside) && !holds(outside), "{declared}: {parts:?}");
        }
        assert_eq!(derived("email", "Ann@Rival.Example"), [(DOMAIN, "rival.example".to_owned())]);
        for (kind, value) in [("email", "nobody"), ("ip", "office"), ("device", "10.0.0.1"), ("email", "a@")] {
            assert!(derived(kind, value).is_empty(), "{kind} {value}");
        }
        assert!(parts("office").is_empty() && parts("10.0.0.0/8").len() == 256 && parts("0.0.0.0/0").len() == 256);
    }
}
