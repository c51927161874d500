//! Each detector on pictures: its pattern, an honest look-alike, an empty network.

use super::*;
use crate::graph::network::{Builder, Network};

const DAY: u32 = 86_400;

/// Links `from to kind`, members `name joined purchases spend refunds`.
fn network(links: &[(&str, &str, &str)], members: &[(&str, u32, f64, f64, f64)]) -> Network {
    let mut builder = Builder::new();
    for (from, to, kind) in links {
        builder.link(from, to, kind, None, 1.0).unwrap();
    }
    builder.columns(["purchases", "spend_minor", "refunds"]);
    for &(name, joined, purchases, spend, refunds) in members {
        builder.member(name, Some(joined), &[purchases, spend, refunds]).unwrap();
    }
    builder.build()
}

/// What a detector finds: the members' names, sorted, of each finding.
fn found(network: &Network, detect: impl Fn(&Found) -> Vec<Finding>) -> Vec<Vec<String>> {
    let found = Found::of(network);
    let findings = detect(&found);
    for finding in &findings {
        assert!(finding.strength > 0.0 && finding.strength <= 1.0, "{finding:?}");
        assert!(!finding.words.is_empty() && finding.links.iter().all(|&place| place < network.links.len()));
    }
    let names = |finding: &Finding| {
        let mut names: Vec<String> =
            finding.members.iter().map(|&row| network.name(network.members.nodes[row]).to_owned()).collect();
        names.sort();
        names
    };
    findings.iter().map(names).collect()
}

#[test]
fn an_empty_network_has_no_findings() {
    let empty = network(&[], &[]);
    assert_eq!(detect(&Found::of(&empty), Some(&Seeds::default())), []);
}

#[test]
fn a_ring_of_referrals_is_found_and_a_tree_is_not() {
    let ring =
        network(&[("a", "b", "referral"), ("b", "c", "referral"), ("c", "a", "referral"), ("c", "d", "referral")], &[]);
    assert_eq!(found(&ring, referral_ring::detect), [["a", "b", "c"]]);
    let tree = network(&[("a", "b", "referral"), ("a", "c", "referral"), ("c", "d", "referral")], &[]);
    assert!(found(&tree, referral_ring::detect).is_empty());
    let payments = network(&[("a", "b", "payment"), ("b", "a", "payment")], &[]);
    assert!(found(&payments, referral_ring::detect).is_empty(), "friends pay each other back");
}

#[test]
fn a_quick_chain_is_found_and_a_slow_one_is_not() {
    let links = [("a", "b", "referral"), ("b", "c", "referral"), ("c", "d", "referral"), ("d", "e", "referral")];
    let members = |pace: u32| {
        let one = |(place, name): (u32, &'static str)| (name, 1_000 + place * pace, 1.0, 500.0, 0.0);
        (0..).zip(["a", "b", "c", "d", "e"]).map(one).collect::<Vec<_>>()
    };
    assert_eq!(found(&network(&links, &members(DAY)), referral_chain::detect), [["a", "b", "c", "d", "e"]]);
    assert!(found(&network(&links, &members(30 * DAY)), referral_chain::detect).is_empty());
}

#[test]
fn a_star_of_idle_members_is_found_and_a_popular_referrer_is_not() {
    let links: Vec<_> = ["b", "c", "d", "e", "f", "g"].into_iter().map(|to| ("a", to, "referral")).collect();
    let members = |purchases: f64| {
        let one = |(place, name): (u32, &'static str)| {
            (name, 1_000 + place * 20 * DAY, purchases, 100.0 * f64::from(place + 1).powi(2), 0.0)
        };
        (0..).zip(["b", "c", "d", "e", "f", "g"]).map(one).collect::<Vec<_>>()
    };
    assert_eq!(found(&network(&links, &members(0.0)), referral_star::detect).len(), 1);
    assert!(found(&network(&links, &members(5.0)), referral_star::detect).is_empty());
}

#[test]
fn a_star_in_step_is_found_without_purchases_being_known() {
    let mut builder = Builder::new();
    builder.columns(["spend_minor"]);
    for place in 0..6_u32 {
        let name = format!("m{place}");
        builder.link("a", &name, "referral", None, 1.0).unwrap();
        builder.member(&name, Some(1_000 + place * 600), &[500.0]).unwrap();
    }
    assert_eq!(found(&builder.build(), referral_star::detect).len(), 1);
}

#[test]
fn a_referrer_with_the_referred_ones_card_is_one_person_and_a_shared_office_address_is_not() {
    let itself = network(&[("a", "b", "referral"), ("a", "card1", "card"), ("b", "card1", "card")], &[]);
    assert_eq!(found(&itself, self_referral::detect), [["a", "b"]]);
    let loops = network(&[("a", "a", "referral")], &[]);
    assert_eq!(found(&loops, self_referral::detect), [["a"]]);
    // Sixty colleagues on one address: it is a place.
    let names: Vec<String> = (0..60).map(|place| format!("m{place}")).collect();
    let mut links: Vec<(&str, &str, &str)> = names.iter().map(|name| (name.as_str(), "office", "ip")).collect();
    links.push(("m0", "m1", "referral"));
    assert!(found(&network(&links, &[]), self_referral::detect).is_empty());
}

#[test]
fn one_payout_account_of_three_is_found_and_a_couples_is_not() {
    let three = [("a", "iban", "payout"), ("b", "iban", "payout"), ("c", "iban", "payout")];
    assert_eq!(found(&network(&three, &[]), shared_instrument::detect), [["a", "b", "c"]]);
    assert!(found(&network(&three[..2], &[]), shared_instrument::detect).is_empty());
    let family = three.map(|(from, to, _)| (from, to, "device"));
    assert!(found(&network(&family, &[]), shared_instrument::detect).is_empty());
    let address = three.map(|(from, to, _)| (from, to, "address"));
    assert!(found(&network(&address, &[]), shared_instrument::detect).is_empty());
}

/// Eight members around one device and two hundred others, one a day.
fn burst(minutes_apart: u32) -> Network {
    let mut builder = Builder::new();
    builder.columns([]);
    for place in 0..200_u32 {
        builder.member(&format!("other{place}"), Some(1_000 + place * DAY), &[]).unwrap();
    }
    for place in 0..8_u32 {
        let name = format!("ring{place}");
        builder.link(&name, "phone", "device", None, 1.0).unwrap();
        builder.member(&name, Some(1_000 + 100 * DAY + place * minutes_apart * 60), &[]).unwrap();
    }
    builder.build()
}

#[test]
fn a_burst_on_one_device_is_found_and_a_slow_growth_is_not() {
    assert_eq!(found(&burst(30), signup_burst::detect).len(), 1);
    assert!(found(&burst(5 * 24 * 60), signup_burst::detect).is_empty());
}

#[test]
fn a_campaign_that_brings_everybody_is_no_burst() {
    let mut builder = Builder::new();
    builder.columns([]);
    for place in 0..200_u32 {
        let name = format!("m{place}");
        builder.link(&name, &format!("device{}", place / 8), "device", None, 1.0).unwrap();
        builder.member(&name, Some(1_000 + place * 60), &[]).unwrap();
    }
    assert!(found(&builder.build(), signup_burst::detect).is_empty());
}

#[test]
fn those_who_buy_once_for_a_referrer_are_found_and_returning_ones_are_not() {
    let referred = ["b", "c", "d", "e", "f"];
    let others = ["p", "q", "r", "s", "t", "u"];
    let links: Vec<_> = referred.into_iter().map(|to| ("a", to, "referral")).collect();
    let members = |purchases: f64| {
        let one = |name| (name, 1_000, purchases, 500.0, 0.0);
        let other = |name| (name, 1_000, 7.0, 900.0, 0.0);
        referred.into_iter().map(one).chain(others.into_iter().map(other)).collect::<Vec<_>>()
    };
    assert_eq!(found(&network(&links, &members(1.0)), qualify_and_vanish::detect).len(), 1);
    assert!(found(&network(&links, &members(3.0)), qualify_and_vanish::detect).is_empty());
}

#[test]
fn a_base_that_buys_once_by_nature_has_nobody_who_vanishes() {
    let links: Vec<_> = ["b", "c", "d", "e"].into_iter().map(|to| ("a", to, "referral")).collect();
    let members: Vec<_> =
        ["a", "b", "c", "d", "e", "p", "q", "r"].into_iter().map(|name| (name, 1_000, 1.0, 500.0, 0.0)).collect();
    assert!(found(&network(&links, &members), qualify_and_vanish::detect).is_empty());
}

#[test]
fn who_refunds_nearly_all_is_found_and_who_refunds_as_others_do_is_not() {
    let mut members = vec![("abuser", 1_000, 10.0, 900.0, 9.0), ("unlucky", 1_000, 10.0, 900.0, 3.0)];
    members.extend(["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| (name, 1_000, 20.0, 900.0, 1.0)));
    assert_eq!(found(&network(&[], &members), refund_abuse::detect), [["abuser"]]);
}

#[test]
fn a_block_that_came_together_is_found_and_an_old_one_is_not() {
    let block = |hours_apart: u32| {
        let mut builder = Builder::new();
        builder.columns([]);
        for member in 0..8_u32 {
            let name = format!("ring{member}");
            builder.member(&name, Some(1_000 + member * hours_apart * 3_600), &[]).unwrap();
            for address in 0..8 {
                builder.link(&name, &format!("address{address}"), "address", None, 1.0).unwrap();
            }
        }
        for other in 0..200_u32 {
            let name = format!("other{other}");
            builder.member(&name, Some(1_000 + other * 7_200), &[]).unwrap();
            builder.link(&name, &format!("own{other}"), "address", None, 1.0).unwrap();
        }
        builder.build()
    };
    assert_eq!(found(&block(2), dense_block::detect).len(), 1);
    assert!(found(&block(24 * 40), dense_block::detect).is_empty());
}

#[test]
fn a_path_to_a_known_one_is_found_and_one_over_a_stranger_place_is_not() {
    let links = [("bad", "dev", "device"), ("a", "dev", "device"), ("b", "a", "referral"), ("c", "b", "referral")];
    let network = network(&links, &[]);
    let rows = network.rows_by_name();
    let seeds = Seeds { bad: [rows["bad"]].into(), good: [].into() };
    assert_eq!(found(&network, |found| confirmed_path::detect(found, &seeds)), [["a"]]);
    let cleared = Seeds { bad: [rows["bad"]].into(), good: [rows["a"]].into() };
    assert!(found(&network, |found| confirmed_path::detect(found, &cleared)).is_empty());
}
