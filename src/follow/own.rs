//! Who ties themselves to a group: by an act or a verified instrument of their own. Being named
//! by others, or having one's address typed elsewhere, ties nobody.

use super::resident::{Link, REFERRAL, Resident, Who};
use std::collections::BTreeSet;

/// Members of one key that are looked at.
const AROUND_MAX: usize = 256;

/// Whether a member ties themselves to a group that they are found in.
#[must_use]
pub fn is_own(resident: &Resident, who: Who, group: &BTreeSet<Who>) -> bool {
    resident
        .said(who)
        .any(|link| if link.kind == REFERRAL { refers(resident, &link, group) } else { shares(resident, &link, group) })
}

/// They say themselves that one of the group referred them, or the same one who referred another.
fn refers(resident: &Resident, link: &Link, group: &BTreeSet<Who>) -> bool {
    let (by, referrer) = (link.by, link.to);
    group.contains(&referrer)
        || resident.named(referrer).take(AROUND_MAX).any(|other| other.by != by && group.contains(&{ other.by }))
}

/// They share an identifier with another of the group: verified for both, or they came to it
/// after the other. Who had it first and unverified cannot help who types it next.
fn shares(resident: &Resident, link: &Link, group: &BTreeSet<Who>) -> bool {
    let (by, at, verified) = (link.by, link.at, link.verified);
    resident.of_identifier(link.to).take(AROUND_MAX).any(|other| {
        let (their, since) = (other.by, other.at);
        let later = (at, by) > (since, their);
        // What is verified here and not there was typed by the other side.
        let theirs_alone = verified && !other.verified;
        their != by && group.contains(&their) && ((verified && other.verified) || (later && !theirs_alone))
    })
}
