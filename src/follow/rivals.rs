//! Competitors posing as members: who leads to a merchant's declared rivals, by an e-mail domain,
//! a network, purchases that only try the rival's tills, the company they keep, reading far more
//! offers than any shopper, and being there minutes after they begin. Each alone is weak, so there
//! is a case when two agree, for that merchant alone, and nothing acts by itself.

use super::own::own;
use super::pass::{Spoken, ties};
use super::resident::{Resident, Who};
use crate::cases::triage::{Automatic, Group, NO_BOUND, TriagePolicy};
use crate::cases::{Evidence, Suspect};
use crate::catalogue::Catalogue;
use crate::domain::OfferId;
use crate::domain::merchant::Competitor;
use crate::domain::offer::LifeChange;
use crate::domain::{CardHash, MemberId, MerchantId, Timestamp};
use crate::engine::derived::{DOMAIN, NETWORK, parts};
use crate::graph::detectors::Detector;
use crate::sightings::tills::{Tested, Tills};
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Members of one mark that are looked at.
const MARKED_MAX: usize = 500;
/// Offers looked at or opted in to, below which nobody is called curious.
const BREADTH_MIN: u32 = 10;
/// So many times more than what was bought and used.
const BREADTH_TIMES: u32 = 10;
/// Purchases that were taken back soon, below which nobody tries a rival's tills.
const TESTS_MIN: u32 = 3;
/// So many times more than the purchases there that stayed: a regular customer tries nothing.
const TESTS_TIMES: u32 = 2;
/// Offers opted in to within minutes of their beginning, below which it is chance.
const EARLY_MIN: u16 = 5;
/// Minutes after which it is early no more, in seconds.
const EARLY_SECONDS: u32 = 600;
/// The sum of weights that is half of the highest score.
const HALF: f64 = 10.0;
/// Score from which it is a case: a mark and one more sign.
const SCORE_MIN: u16 = 400;

/// Competitor staff: a case of its own scope, apart from the score.
pub static COMPETITOR_STAFF: Detector = Detector {
    name: "competitor-staff",
    version: 2,
    family: "rival",
    scored: false,
    clears: "a reason for each sign, as it says",
};

/// One sign: its family, its weight, its words, and what would clear it.
struct Sign {
    family: &'static str,
    weight: f64,
    words: &'static str,
    clears: &'static str,
}

const SIGNS: [Sign; 6] = [
    Sign {
        family: "rival domain",
        weight: 8.0,
        words: "an e-mail address of the competitor's domain",
        clears: "the person having left the competitor",
    },
    Sign {
        family: "rival network",
        weight: 5.0,
        words: "an address in the competitor's network",
        clears: "a shared or public network in the same building",
    },
    Sign {
        family: "rival tills",
        weight: 5.0,
        words: "small purchases at the competitor's own tills, soon taken back, and hardly any other there",
        clears: "purchases there that stayed, or the shop saying that its terminal failed",
    },
    Sign {
        family: "rival company",
        weight: 4.0,
        words: "shares a card, payout account or device, or a referral, with one who leads to the competitor",
        clears: "a household or a friendship, and shopping like anybody's",
    },
    Sign {
        family: "offers read",
        weight: 4.0,
        words: "reads and activates far more offers than they use",
        clears: "purchases under the offers that were activated",
    },
    Sign {
        family: "first minutes",
        weight: 3.0,
        words: "activates offers within minutes of their beginning, again and again",
        clears: "a message that told every member of those offers when they began",
    },
];

/// What merchants declare.
pub fn declared(catalogue: &Catalogue) -> BTreeMap<MerchantId, Vec<Competitor>> {
    let declaring = catalogue.merchants().filter(|merchant| !merchant.competitors.is_empty());
    declaring.map(|merchant| (merchant.id.clone(), merchant.competitors.clone())).collect()
}

/// When each offer began, or changed: Unix seconds.
pub type Launches = HashMap<OfferId, Vec<u32>>;

/// When the catalogue's offers began.
#[must_use]
pub fn launches(catalogue: &Catalogue) -> Launches {
    let seconds = |at: Timestamp| u32::try_from(at.as_ms() / 1000).ok();
    let published = |change: &LifeChange| matches!(change, LifeChange::Published(_));
    let offers = catalogue.merchants().flat_map(|merchant| catalogue.offers_of(&merchant.id)).map(|offer| {
        let steps = offer.life.iter().filter(|step| published(&step.change));
        (offer.id.clone(), steps.filter_map(|step| seconds(step.effective)).collect())
    });
    offers.collect()
}

/// Whether somebody who opts in at an instant is there within minutes of the offer's beginning.
#[must_use]
pub fn is_early(launches: &Launches, offer: &OfferId, at: u32) -> bool {
    let early = |begun: &u32| (*begun..begun.saturating_add(EARLY_SECONDS)).contains(&at);
    launches.get(offer).is_some_and(|begun| begun.iter().any(early))
}

/// How common such signs are among members who are not known as fraud, of whom there are so many.
#[must_use]
pub fn spoken(resident: &Resident, groups: &[Group], honest: usize) -> Spoken {
    let members: BTreeSet<&MemberId> = groups.iter().flat_map(|group| &group.members).map(|one| &one.member).collect();
    let is_honest =
        |id: &&MemberId| resident.find(id.as_str()).is_some_and(|who| resident.member(who).known != Some(true));
    let of = members.into_iter().filter(is_honest).count();
    Spoken { detector: COMPETITOR_STAFF.name, version: COMPETITOR_STAFF.version, of, honest }
}

/// What a merchant's rivals take to be a case: fewer members than a ring, and never by itself.
#[must_use]
pub fn policy(policy: &TriagePolicy) -> TriagePolicy {
    let families_min = policy.families_min.max(2);
    TriagePolicy {
        score_min: SCORE_MIN,
        families_min,
        members_min: 1,
        automatic: Automatic::Nothing,
        open_error_max: NO_BOUND,
        ..policy.clone()
    }
}

/// A group per merchant and rival that anybody leads to.
#[must_use]
pub fn groups(
    resident: &Resident,
    rivals: &BTreeMap<MerchantId, Vec<Competitor>>,
    tills: &Tills,
    hash: &dyn Fn(&str, &str) -> CardHash,
    at: Timestamp,
) -> Vec<Group> {
    let mut groups = Vec::new();
    if !resident.counts(&COMPETITOR_STAFF) {
        return groups;
    }
    for (merchant, competitors) in rivals {
        for rival in competitors {
            groups.extend(group(resident, merchant, rival, tills, hash, at));
        }
    }
    groups
}

fn group(
    resident: &Resident,
    merchant: &MerchantId,
    rival: &Competitor,
    tills: &Tills,
    hash: &dyn Fn(&str, &str) -> CardHash,
    at: Timestamp,
) -> Option<Group> {
    let marked = |kind: &str, values: &mut dyn Iterator<Item = String>| -> BTreeSet<Who> {
        let keys = values.filter_map(|value| resident.lookup(kind, &hash(kind, &value)));
        keys.flat_map(|key| resident.of_identifier(key).map(|link| link.by).take(MARKED_MAX).collect::<Vec<_>>())
            .collect()
    };
    let domains = marked(DOMAIN, &mut rival.email_domains.iter().map(|domain| domain.as_str().to_ascii_lowercase()));
    let networks = marked(NETWORK, &mut rival.networks.iter().flat_map(|network| parts(network.as_str())));
    let tries = testers(resident, rival, tills);
    let direct: BTreeSet<Who> = domains.iter().chain(&networks).chain(&tries).copied().take(MARKED_MAX).collect();
    let company: BTreeSet<Who> =
        direct.iter().flat_map(|&who| company(resident, who)).filter(|who| !direct.contains(who)).collect();
    let all: BTreeSet<Who> = direct.union(&company).copied().filter(|&who| !resident.member(who).erased).collect();
    let curious: BTreeSet<Who> = all.iter().copied().filter(|&who| is_curious(resident, who)).collect();
    let early: BTreeSet<Who> = all.iter().copied().filter(|&who| is_first(resident, who)).collect();
    let by_sign = [&domains, &networks, &tries, &company, &curious, &early];
    let tied = own(resident, &all);
    let mut members = Vec::new();
    for &who in &all {
        let signs = SIGNS.iter().zip(by_sign).filter(|(_, members)| members.contains(&who));
        let (weight, count) = signs.fold((0.0, 0), |(sum, count), (sign, _)| (sum + sign.weight, count + 1));
        let score = 1000.0 * weight / (weight + HALF);
        if count > 1 && score >= f64::from(SCORE_MIN) {
            // The marks are their own links; company may be the other side's word.
            let own = direct.contains(&who) || tied.contains(&who);
            members.push(Suspect { member: resident.id(who), score: super::pass::rounded(score), own, since: at });
        }
    }
    let told = |who: &Who| members.iter().any(|suspect| suspect.member.as_str() == resident.name(*who));
    let evidence = SIGNS.iter().zip(by_sign).filter_map(|(sign, marked)| {
        let members: Vec<_> = marked.iter().filter(|who| told(who)).map(|&who| resident.id(who)).collect();
        (!members.is_empty()).then(|| Evidence {
            detector: COMPETITOR_STAFF.name.into(),
            version: COMPETITOR_STAFF.version,
            family: sign.family.into(),
            strength: super::pass::rounded(100.0 * sign.weight),
            words: format!("{} ({}): {} members", sign.words, rival.name, members.len()),
            clears: sign.clears.to_owned(),
            members,
            seen_at: at,
        })
    });
    let evidence: Vec<Evidence> = evidence.collect();
    let ties = ties(resident, &all, MARKED_MAX);
    (!members.is_empty()).then(|| Group { merchant: Some(merchant.clone()), members, evidence, ties })
}

/// Who shares a strong key with a member, or stands in a referral with them.
fn company(resident: &Resident, who: Who) -> BTreeSet<Who> {
    let mut around: BTreeSet<Who> = resident.component(who, MARKED_MAX).into_iter().collect();
    around.extend(resident.referrer(who).map(|link| link.to));
    around.extend(resident.named(who).take(MARKED_MAX).map(|link| link.by));
    around.remove(&who);
    around
}

/// Who tries the rival's tills, by all cards that they hold: small purchases, taken back soon, at
/// least twice as many as those that stayed. A cardholder's own act.
fn testers(resident: &Resident, rival: &Competitor, tills: &Tills) -> BTreeSet<Who> {
    let mut tested: BTreeMap<Who, Tested> = BTreeMap::new();
    for (card, did) in tills.at(&rival.mids) {
        let Some(card) = resident.lookup("card", &card) else { continue };
        for link in resident.of_identifier(card).take(MARKED_MAX) {
            *tested.entry(link.by).or_default() += did;
        }
    }
    let tries = |did: &Tested| did.tests >= TESTS_MIN && did.tests >= TESTS_TIMES.saturating_mul(did.ordinary);
    tested.into_iter().filter(|(_, did)| tries(did)).map(|(who, _)| who).take(MARKED_MAX).collect()
}

/// Opts in within minutes of the beginning, more often than not.
fn is_first(resident: &Resident, who: Who) -> bool {
    let did = resident.member(who);
    let early = u16::from(did.early);
    early >= EARLY_MIN && 2 * early >= did.activations
}

/// Reads and activates far more than they buy and use.
fn is_curious(resident: &Resident, who: Who) -> bool {
    let did = resident.member(who);
    let read = did.views.saturating_add(u32::from(did.activations));
    let used = did.purchases.saturating_add(u32::from(did.redemptions));
    read >= BREADTH_MIN && read >= BREADTH_TIMES.saturating_mul(used)
}
