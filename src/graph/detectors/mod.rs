//! One file, one pattern, one function. A finding names the members, the links seen, how strong
//! it is, the detector and its version, and what would clear it. Findings are evidence; they
//! change nothing by themselves.

pub mod confirmed_path;
pub mod dense_block;
pub mod qualify_and_vanish;
pub mod referral_chain;
pub mod referral_ring;
pub mod referral_star;
pub mod refund_abuse;
pub mod self_referral;
pub mod shared_instrument;
pub mod signup_burst;

use super::found::Found;
use super::network::{Kind, Link};
use super::seeds::Seeds;

/// Findings of one detector; beyond these the network is the finding.
pub const FINDINGS_MAX: usize = 10_000;
/// Links that one finding names.
const LINKS_MAX: usize = 200;

/// What a detector looks for, and how it is told from the honest look-alike.
#[derive(Debug, PartialEq, Eq)]
pub struct Detector {
    /// Its name.
    pub name: &'static str,
    /// Rises when its findings change.
    pub version: u32,
    /// What kind of evidence it is.
    pub family: &'static str,
    /// Whether a finding adds to the score. One that features or the company of known members
    /// read already would count twice.
    pub scored: bool,
    /// What would clear a finding.
    pub clears: &'static str,
}

/// All of them.
pub static ALL: [&Detector; 10] = [
    &referral_ring::REFERRAL_RING,
    &referral_chain::REFERRAL_CHAIN,
    &referral_star::REFERRAL_STAR,
    &self_referral::SELF_REFERRAL,
    &shared_instrument::SHARED_INSTRUMENT,
    &signup_burst::SIGNUP_BURST,
    &qualify_and_vanish::QUALIFY_AND_VANISH,
    &refund_abuse::REFUND_ABUSE,
    &dense_block::DENSE_BLOCK,
    &confirmed_path::CONFIRMED_PATH,
];

/// One finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Whose.
    pub detector: &'static Detector,
    /// Rows of the members, rising.
    pub members: Vec<usize>,
    /// Places of the links seen, rising, the first of many.
    pub links: Vec<usize>,
    /// Above 0, up to 1.
    pub strength: f64,
    /// What was seen, for people.
    pub words: String,
}

impl Finding {
    fn new(detector: &'static Detector, members: Vec<usize>, links: Vec<usize>, strength: f64, words: String) -> Self {
        let mut finding = Self { detector, members, links, strength: strength.clamp(0.0, 1.0), words };
        finding.members.sort_unstable();
        finding.members.dedup();
        finding.links.sort_unstable();
        finding.links.dedup();
        finding.links.truncate(LINKS_MAX);
        finding
    }
}

/// All findings in a network, by detector; those of one detector by falling strength.
#[must_use]
pub fn detect(found: &Found, seeds: Option<&Seeds>) -> Vec<Finding> {
    let mut all = Vec::new();
    for mut findings in [
        referral_ring::detect(found),
        referral_chain::detect(found),
        referral_star::detect(found),
        self_referral::detect(found),
        shared_instrument::detect(found),
        signup_burst::detect(found),
        qualify_and_vanish::detect(found),
        refund_abuse::detect(found),
        dense_block::detect(found),
        seeds.map(|seeds| confirmed_path::detect(found, seeds)).unwrap_or_default(),
    ] {
        findings.sort_by(|a, b| b.strength.total_cmp(&a.strength).then_with(|| a.members.cmp(&b.members)));
        findings.truncate(FINDINGS_MAX);
        all.append(&mut findings);
    }
    all
}

/// Referrals of one member to others: its row, and places and rows of those it referred.
struct Referrer {
    row: usize,
    referred: Vec<(usize, usize)>,
}

/// Who referred whom, each once, nobody himself.
fn referrers(found: &Found) -> impl Iterator<Item = Referrer> {
    let links = &found.network.links;
    let mut place = 0;
    links.chunk_by(|a, b| a.from == b.from).filter_map(move |given| {
        let first = place;
        place += given.len();
        let row = found.network.row(given[0].from)?;
        let referral = |link: &Link| link.kind == Kind::REFERRAL && link.to != link.from && link.weight >= 0.0;
        let places = (first..).zip(given).filter(|(_, link)| referral(link));
        let mut referred: Vec<(usize, usize)> =
            places.filter_map(|(place, link)| Some((place, found.network.row(link.to)?))).collect();
        referred.dedup_by_key(|(_, row)| *row);
        (!referred.is_empty()).then_some(Referrer { row, referred })
    })
}

/// Grows from 0 at `from` to 1 at `full`.
#[must_use]
pub fn ramp(value: f64, from: f64, full: f64) -> f64 {
    ((value - from) / (full - from)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests;
