//! The whole of it: nothing depends on the order of rows or on names, infrastructure is told
//! from a ring, whole-graph algorithms agree with plain ones.

use super::algorithms::{components::components, fraudar, kcore::core_numbers, louvain::louvain, pagerank::pagerank};
use super::csr::Csr;
use super::detectors::detect;
use super::features::Table;
use super::found::Found;
use super::network::{Builder, Network, NetworkFault};
use super::score::Scorer;
use super::seeds::{Seeds, company};
use petgraph::graph::UnGraph;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A network as rows that can be told in any order and under any names.
#[derive(Debug, Clone)]
struct Rows {
    links: Vec<(usize, usize, &'static str, u32, f32)>,
    members: Vec<(u32, f64)>,
}

const KINDS: [&str; 5] = ["referral", "device", "ip", "payment", "vouch"];

fn rows() -> impl Strategy<Value = Rows> {
    let members = prop::collection::vec((0..2_000_000_u32, 1.0..100_000.0_f64), 2..30);
    let links = prop::collection::vec((0..30_usize, 0..30_usize, 0..5_usize, 0..1_000_000_u32, -1.0..5.0_f32), 1..80);
    (members, links).prop_map(|(members, links)| {
        let count = members.len();
        let link = |(from, to, kind, at, weight)| (from % count, to % count, KINDS[kind], at, weight);
        Rows { links: links.into_iter().map(link).collect(), members }
    })
}

fn told(rows: &Rows, order: &[usize], member_order: &[usize], name: &dyn Fn(usize) -> String) -> Network {
    let mut builder = Builder::new();
    for &place in order {
        let (from, to, kind, at, weight) = rows.links[place];
        let to = if matches!(kind, "device" | "ip") { format!("{kind}-{}", name(to % 4)) } else { name(to) };
        builder.link(&name(from), &to, kind, Some(at), weight).unwrap();
    }
    builder.columns(["spend_minor"]);
    for &member in member_order {
        let (joined, spend) = rows.members[member];
        builder.member(&name(member), Some(joined), &[spend]).unwrap();
    }
    builder.build()
}

/// Each member's score, by its number.
fn scores(network: &Network, name: &dyn Fn(usize) -> String, count: usize) -> Vec<f64> {
    let found = Found::of(network);
    let table = Table::of(&found);
    let findings = detect(&found, None);
    let scorer = Scorer::new(&found, &table, None, None, &findings);
    let rows = network.rows_by_name();
    (0..count).map(|member| scorer.score(rows[&*name(member)]).score).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn neither_the_order_of_rows_nor_names_change_a_score(rows in rows(), turn in 0..80_usize) {
        let count = rows.members.len();
        let plain: Vec<usize> = (0..rows.links.len()).collect();
        let members: Vec<usize> = (0..count).collect();
        let mut turned: Vec<usize> = plain.iter().rev().copied().collect();
        turned.rotate_left(turn % plain.len());
        let back: Vec<usize> = members.iter().rev().copied().collect();
        let (one, other) = (|member: usize| format!("m{member}"), |member: usize| format!("{}x", 97 * member % 1009));
        let first = scores(&told(&rows, &plain, &members, &one), &one, count);
        let second = scores(&told(&rows, &turned, &back, &other), &other, count);
        prop_assert_eq!(first, second);
    }

    #[test]
    fn components_and_cores_are_those_of_plain_algorithms(edges in prop::collection::vec((0..40_u32, 0..40_u32), 0..120)) {
        let graph = Csr::of(40, edges.iter().copied());
        let mut theirs: UnGraph<(), ()> = UnGraph::from_edges(edges.iter().copied());
        while theirs.node_count() < 40 {
            theirs.add_node(());
        }
        let ours = components(&graph);
        let distinct: std::collections::BTreeSet<u32> = ours.iter().copied().collect();
        prop_assert_eq!(distinct.len(), petgraph::algo::connected_components(&theirs));
        for &(a, b) in &edges {
            prop_assert_eq!(ours[a as usize], ours[b as usize]);
        }
        prop_assert_eq!(core_numbers(&graph), cores_by_hand(&graph));
        let ranks = pagerank(&graph, 20, 2);
        prop_assert!((ranks.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let groups = louvain(&graph, 1.0);
        for (a, b) in edges.iter().map(|&(a, b)| (a as usize, b as usize)) {
            prop_assert!(ours[a] == ours[b] || groups[a] != groups[b], "a community lies within a component");
        }
        prop_assert!(modularity(&graph, &groups) >= -1e-9);
    }

    /// Peeling finds at least half of the greatest density.
    #[test]
    fn a_block_is_at_least_half_as_dense_as_the_densest(links in prop::collection::btree_set((0..5_u32, 0..5_u32), 1..16)) {
        let links: Vec<(u32, u32)> = links.into_iter().collect();
        let found = fraudar::blocks(&links, 5, 1).remove(0);
        let popularity = |node: u32| links.iter().filter(|link| link.1 == node).count() as f64;
        let density = |givers: u32, receivers: u32| {
            let inside = links.iter().filter(|link| givers >> link.0 & 1 == 1 && receivers >> link.1 & 1 == 1);
            let weight: f64 = inside.map(|link| 1.0 / (popularity(link.1) + 5.0).ln()).sum();
            weight / f64::from(givers.count_ones() + receivers.count_ones())
        };
        let densest = (1..1024_u32).map(|set| density(set & 31, set >> 5)).fold(0.0, f64::max);
        prop_assert!(found.density * 2.0 >= densest - 0.02, "{} of {densest}", found.density);
    }
}

fn cores_by_hand(graph: &Csr) -> Vec<u32> {
    let mut cores = vec![0; graph.node_count()];
    for level in 1..40_u32 {
        let mut staying: Vec<bool> = vec![true; graph.node_count()];
        loop {
            let few = graph.nodes().find(|&node| {
                let left = graph.neighbours(node).iter().filter(|&&other| staying[other as usize]).count();
                staying[node as usize] && left < level as usize
            });
            let Some(few) = few else { break };
            staying[few as usize] = false;
        }
        for (core, staying) in cores.iter_mut().zip(staying) {
            if staying {
                *core = level;
            }
        }
    }
    cores
}

fn modularity(graph: &Csr, groups: &[u32]) -> f64 {
    let ends = graph.edge_count() as f64 * 2.0;
    if ends == 0.0 {
        return 0.0;
    }
    let mut of: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for node in graph.nodes() {
        let (inside, all) = of.entry(groups[node as usize]).or_default();
        *all += graph.degree(node) as f64;
        let around = graph.neighbours(node).iter();
        *inside += around.filter(|&&other| groups[other as usize] == groups[node as usize]).count() as f64;
    }
    of.values().map(|(inside, all)| inside / ends - (all / ends) * (all / ends)).sum()
}

#[test]
fn what_diverse_members_share_is_infrastructure_unless_it_is_an_instrument() {
    let mut builder = Builder::new();
    builder.columns([]);
    for member in 0..40_u32 {
        let name = format!("m{member}");
        builder.member(&name, Some(member * 86_400), &[]).unwrap();
        for (identifier, kind) in [("office", "ip"), ("terminal", "device"), ("account", "payout"), ("plastic", "card")]
        {
            builder.link(&name, identifier, kind, None, 1.0).unwrap();
        }
    }
    for member in 0..10_u32 {
        let name = format!("ring{member}");
        builder.member(&name, Some(20 * 86_400 + member), &[]).unwrap();
        builder.link(&name, "farm", "ip", None, 1.0).unwrap();
    }
    let network = builder.build();
    let found = Found::of(&network);
    let shared: Vec<&str> =
        (0..).zip(&found.shared).filter(|(_, shared)| **shared).map(|(node, _)| network.name(node)).collect();
    assert_eq!(shared, ["office"]);
}

#[test]
fn infrastructure_that_is_told_is_taken_in_place_of_what_would_be_found() {
    let mut builder = Builder::new();
    builder.columns([]);
    for member in 0..5_u32 {
        builder.member(&format!("m{member}"), Some(member * 1_000_000), &[]).unwrap();
        builder.link(&format!("m{member}"), "found", "ip", None, 1.0).unwrap();
        builder.link(&format!("m{member}"), "told", "address", None, 1.0).unwrap();
    }
    builder.infrastructure("told");
    builder.infrastructure("m1");
    builder.infrastructure("nobody knows it");
    let network = builder.build();
    let found = Found::of(&network);
    let shared = |node: u32| found.shared[node as usize];
    let names: Vec<&str> =
        (0..10).take(network.node_count()).filter(|&node| shared(node)).map(|node| network.name(node)).collect();
    assert_eq!(names, ["told"], "a member is never infrastructure");
}

#[test]
fn the_same_word_as_device_and_address_is_two_nodes_and_a_member_is_listed_once() {
    let mut builder = Builder::new();
    builder.link("a", "x", "device", None, 1.0).unwrap();
    builder.link("a", "x", "address", None, 1.0).unwrap();
    builder.columns([]);
    builder.member("a", None, &[]).unwrap();
    assert_eq!(builder.member("a", None, &[]), Err(NetworkFault::ListedTwice));
    assert_eq!(builder.build().node_count(), 3);
}

#[test]
fn kinds_are_bounded() {
    let mut builder = Builder::new();
    let mut last = Ok(());
    for kind in 0..300 {
        last = builder.link("a", "b", &format!("kind{kind}"), None, 1.0);
    }
    assert_eq!(last, Err(NetworkFault::TooManyKinds));
}

#[test]
fn distrust_ties_nobody_together_and_counts_against_who_gets_it() {
    let mut builder = Builder::new();
    for giver in 0..12 {
        for taker in 0..12 {
            if giver != taker {
                let weight = if taker == 11 { -1.0 } else { 1.0 };
                builder.link(&format!("m{giver}"), &format!("m{taker}"), "vouch", None, weight).unwrap();
            }
        }
    }
    let network = builder.build();
    let found = Found::of(&network);
    let table = Table::of(&found);
    let (_, distrust) = table.named("x_distrust").unwrap();
    let worst = (0..12).max_by(|&a, &b| distrust[a].total_cmp(&distrust[b])).unwrap();
    assert_eq!(network.name(network.members.nodes[worst]), "m11");
}

#[test]
fn company_of_a_known_bad_one_raises_and_of_a_good_one_lowers() {
    let mut builder = Builder::new();
    for (from, to) in [("bad", "a"), ("a", "b"), ("good", "c"), ("d", "e")] {
        builder.link(from, to, "referral", None, 1.0).unwrap();
    }
    let network = builder.build();
    let rows = network.rows_by_name();
    let found = Found::of(&network);
    let seeds = Seeds { bad: [rows["bad"]].into(), good: [rows["good"]].into() };
    let odds = company(&found, &seeds);
    let of = |name: &str| odds[rows[name]];
    assert!(of("bad") > of("b") && of("a") > of("b") && of("b") > 0.0);
    assert!(of("good") < 0.0 && of("c") < 0.0);
    assert_eq!(of("d"), 0.0);
}

#[test]
fn an_empty_network_and_one_without_links_are_scored() {
    let empty = Builder::new().build();
    assert!(scores(&empty, &|_| String::new(), 0).is_empty());
    let mut builder = Builder::new();
    builder.columns(["spend_minor"]);
    builder.member("m0", Some(5), &[f64::NAN]).unwrap();
    assert_eq!(scores(&builder.build(), &|member| format!("m{member}"), 1), [0.0]);
}
