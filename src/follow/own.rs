//! Who ties themselves to a group: by an act or a verified instrument of their own. Being named
//! by others, or having one's address typed elsewhere, ties nobody.

use super::resident::{Link, REFERRAL, Resident, Who};
use hashbrown::HashMap;
use std::collections::BTreeSet;

/// Members who tie themselves to the group that they are found in. Linear in the links that they said,
/// however many others an identifier of theirs has.
#[must_use]
pub fn own(resident: &Resident, group: &BTreeSet<Who>) -> BTreeSet<Who> {
    let leading = leading(resident, group);
    let ties = |link: Link| {
        let mut others = leading[&(link.kind, link.to)].iter().filter(|other| { other.by } != link.by);
        if link.kind == REFERRAL {
            // They say themselves that one of the group referred them, or the same one who referred another.
            group.contains(&{ link.to }) || others.next().is_some()
        } else {
            others.any(|other| shares(&link, other))
        }
    };
    group.iter().copied().filter(|&who| resident.said(who).any(ties)).collect()
}

/// The links of a group's members by what they lead to: an identifier that thousands have is looked
/// through by those of the group alone.
#[must_use]
pub fn leading(resident: &Resident, group: &BTreeSet<Who>) -> HashMap<(u8, u32), Vec<Link>> {
    let mut leading: HashMap<(u8, u32), Vec<Link>> = HashMap::new();
    for link in group.iter().flat_map(|&who| resident.said(who)) {
        leading.entry((link.kind, link.to)).or_default().push(link);
    }
    leading
}

/// Whether who shares an identifier does so by their own doing: verified for both, or they came to it
/// after the other. Who had it first and unverified cannot help who types it next.
fn shares(link: &Link, other: &Link) -> bool {
    let later = (link.at, link.by) > (other.at, other.by);
    // What is verified here and not there was typed by the other side.
    let theirs_alone = link.verified && !other.verified;
    (link.verified && other.verified) || (later && !theirs_alone)
}
