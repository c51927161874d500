//! Honest groups to compare with: households, offices, and those whom one ambassador brought. A group
//! that was found is judged beside groups of its own kind, because what is common in one kind is rare
//! in another: an office shares a network, a family a device, an ambassador refers dozens.
//!
//! A group counts as honest until people say that it is fraud, so the share of honest groups at or above
//! a score is never told too low. A score may open cases, or hold, from where the upper 95 percent bound of
//! that share ([`upper_bound`]) is small enough; where a kind has too few groups no score is.

use super::algorithms::components::UnionFind;
use super::network::{Kind, Network, Node};
use super::stats::upper_bound;
use std::collections::BTreeMap;

/// Members of a household at most.
pub const HOUSEHOLD_MAX: usize = 8;
/// Members of one network or address beyond which it is a carrier's or a town's and no office.
const OFFICE_MAX: usize = 500;
/// The highest score.
const SCORE_MAX: u16 = 1000;

/// A kind of group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// Few who share what a home shares.
    Household,
    /// Many at one network or address.
    Office,
    /// Many whom one member referred.
    Ambassador,
    /// None of these: compared with all of them together.
    Other,
}

impl Segment {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Household, Self::Office, Self::Ambassador, Self::Other];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Household => "household",
            Self::Office => "office",
            Self::Ambassador => "ambassador",
            Self::Other => "other",
        }
    }

    /// The kind of a group by its members, the most of them whom one referred, and the most who are at one
    /// network or address.
    ///
    /// ```
    /// use ringfence::graph::segments::Segment;
    /// assert_eq!(Segment::of(3, 2, 0), Segment::Household);
    /// assert_eq!(Segment::of(15, 0, 15), Segment::Office);
    /// assert_eq!(Segment::of(21, 20, 0), Segment::Ambassador);
    /// assert_eq!(Segment::of(12, 1, 0), Segment::Other);
    /// ```
    #[must_use]
    pub fn of(members: usize, by_one: usize, at_one: usize) -> Self {
        if members <= HOUSEHOLD_MAX {
            Self::Household
        } else if 2 * by_one >= members - 1 {
            Self::Ambassador
        } else if 2 * at_one >= members {
            Self::Office
        } else {
            Self::Other
        }
    }
}

/// A group of a network, whatever was found of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Its kind; never [`Segment::Other`].
    pub segment: Segment,
    /// Its members' rows, rising.
    pub rows: Vec<usize>,
}

/// Every household, office and ambassador's circle of a network. A member may be in several. Takes
/// what sorting the links takes.
#[must_use]
pub fn controls(network: &Network) -> Vec<Control> {
    let mut around: Vec<(Node, Node)> = Vec::new();
    let mut referred: Vec<(Node, Node)> = Vec::new();
    for link in &network.links {
        let (from, to) = (network.row(link.from), network.row(link.to));
        match (link.kind, from, to) {
            (Kind::REFERRAL, Some(by), Some(to)) => referred.extend([(link.from, number(to)), (link.from, number(by))]),
            (kind, Some(from), None) if kind.is_identifier() => around.push((link.to, number(from))),
            _ => {}
        }
    }
    let mut all = Vec::new();
    let mut homes = UnionFind::new(network.members.len());
    for group in grouped(&mut around) {
        let word = network.identifier(group[0].0).map_or("", |kind| network.word(kind));
        let is_place = matches!(word, "ip" | "address");
        if is_place && group.len() > HOUSEHOLD_MAX && group.len() <= OFFICE_MAX {
            all.push(Control::of(Segment::Office, group));
        } else if word != "ip" && group.len() <= HOUSEHOLD_MAX {
            // An address of the internet changes hands: it makes no home.
            for pair in group.windows(2) {
                homes.union(pair[0].1, pair[1].1);
            }
        }
    }
    let mut by_home: Vec<(Node, Node)> =
        (0..network.members.len()).map(|row| (homes.root(number(row)), number(row))).collect();
    let homes = grouped(&mut by_home).filter(|home| (2..=HOUSEHOLD_MAX).contains(&home.len()));
    all.extend(homes.map(|home| Control::of(Segment::Household, home)));
    let circles = grouped(&mut referred).filter(|circle| circle.len() > HOUSEHOLD_MAX);
    all.extend(circles.map(|circle| Control::of(Segment::Ambassador, circle)));
    all
}

/// Rows by what they are around: each once.
fn grouped(pairs: &mut Vec<(Node, Node)>) -> impl Iterator<Item = &[(Node, Node)]> {
    pairs.sort_unstable();
    pairs.dedup();
    pairs.chunk_by(|one, next| one.0 == next.0)
}

impl Control {
    fn of(segment: Segment, group: &[(Node, Node)]) -> Self {
        Self { segment, rows: group.iter().map(|&(_, row)| row as usize).collect() }
    }
}

fn number(row: usize) -> Node {
    Node::try_from(row).expect("fewer members than nodes")
}

/// What people said of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Honest.
    Honest,
    /// Fraud: it is no group to compare with.
    Fraud,
    /// Nothing.
    Nothing,
}

/// A group to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Scored {
    score: u16,
    cleared: bool,
}

/// Scores of honest groups by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controls {
    /// Rising.
    of: BTreeMap<Segment, Vec<Scored>>,
}

/// What a pass says of one kind of group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Which.
    pub segment: Segment,
    /// Groups of it that nobody called fraud.
    pub groups: usize,
    /// Those of them that people called honest.
    pub cleared: usize,
    /// Those at or above the score that opens a case.
    pub above: usize,
    /// The upper 95 percent bound of the share of honest ones there, as [`Controls::error`] has it.
    pub error: f64,
}

impl Line {
    /// The bound in basis points, rounded up.
    #[must_use]
    pub fn error_basis_points(&self) -> u16 {
        // A share of 0 to 1.
        (self.error.clamp(0.0, 1.0) * 10_000.0).ceil() as u16
    }
}

impl Controls {
    /// Every group of a network by its score: as high as half of its members reach. `score` is a member's,
    /// 0 to 1000, `said` what people said of a member: of a group, what they said of more than half.
    #[must_use]
    pub fn of(controls: &[Control], score: impl Fn(usize) -> u16, said: impl Fn(usize) -> Said) -> Self {
        let mut all = Self::default();
        for control in controls {
            let most = |what| 2 * control.rows.iter().filter(|&&row| said(row) == what).count() > control.rows.len();
            if most(Said::Fraud) {
                continue;
            }
            let mut scores: Vec<u16> = control.rows.iter().map(|&row| score(row)).collect();
            scores.sort_unstable_by(|a, b| b.cmp(a));
            let half = scores[(scores.len() - 1) / 2];
            let scored = Scored { score: half, cleared: most(Said::Honest) };
            all.of.entry(control.segment).or_default().push(scored);
            all.of.entry(Segment::Other).or_default().push(scored);
        }
        all.of.values_mut().for_each(|scores| scores.sort_unstable());
        all
    }

    fn scores(&self, segment: Segment) -> &[Scored] {
        self.of.get(&segment).map_or(&[], Vec::as_slice)
    }

    /// How many groups of a kind reach a score, and how many there are.
    #[must_use]
    pub fn reaching(&self, segment: Segment, score: u16) -> (usize, usize) {
        let scores = self.scores(segment);
        (scores.len() - scores.partition_point(|one| one.score < score), scores.len())
    }

    /// The upper 95 percent bound of the share of honest groups of a kind that reach a score, when all that
    /// nobody called fraud are honest; 1 where there are none.
    #[must_use]
    pub fn error(&self, segment: Segment, score: u16) -> f64 {
        let (above, groups) = self.reaching(segment, score);
        upper_bound(above, groups)
    }

    /// The lowest score, from one on, from which that bound is at most so many basis points; `None` when none is, as where
    /// there are too few groups.
    #[must_use]
    pub fn cut(&self, segment: Segment, from: u16, error_max: u16) -> Option<u16> {
        lowest(from, |score| self.error(segment, score) <= share(error_max))
    }

    /// The lowest score, from one on, from which the bound is small enough for opening a case: what waits for
    /// a review above `from` is what is to be found out, and is left out. One that opens none would never be
    /// told wrong.
    #[must_use]
    pub fn open_cut(&self, segment: Segment, from: u16, error_max: u16) -> Option<u16> {
        let scores = self.scores(segment);
        let below = scores.partition_point(|one| one.score < from);
        let cleared: Vec<u16> = scores[below..].iter().filter(|one| one.cleared).map(|one| one.score).collect();
        let groups = below + cleared.len();
        let above = |score: u16| cleared.len() - cleared.partition_point(|&one| one < score);
        lowest(from, |score| upper_bound(above(score), groups) <= share(error_max))
    }

    /// Each kind of group at the score that opens a case of it.
    #[must_use]
    pub fn lines(&self, open_from: impl Fn(Segment) -> u16) -> Vec<Line> {
        let line = |segment| {
            let scores = self.scores(segment);
            let (above, groups) = self.reaching(segment, open_from(segment));
            let cleared = scores.iter().filter(|one| one.cleared).count();
            Line { segment, groups, cleared, above, error: upper_bound(above, groups) }
        };
        Segment::ALL.into_iter().map(line).collect()
    }
}

/// Basis points as a share.
fn share(basis_points: u16) -> f64 {
    f64::from(basis_points) / 10_000.0
}

/// The lowest score of which something is true that stays true above.
fn lowest(from: u16, is_true: impl Fn(u16) -> bool) -> Option<u16> {
    let (mut low, mut high) = (from, SCORE_MAX + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_true(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    (low <= SCORE_MAX).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::network::Builder;

    fn scored(segment: Segment, scores: impl IntoIterator<Item = (u16, Said)>) -> Controls {
        let (rows, scores): (Vec<usize>, Vec<(u16, Said)>) = scores.into_iter().enumerate().unzip();
        let controls: Vec<Control> = rows.iter().map(|&row| Control { segment, rows: vec![row] }).collect();
        Controls::of(&controls, |row| scores[row].0, |row| scores[row].1)
    }

    #[test]
    fn a_network_has_its_homes_offices_and_circles_and_nothing_else() {
        let mut builder = Builder::new();
        builder.columns([]);
        for member in 0..40 {
            builder.member(&format!("m{member:02}"), None, &[]).unwrap();
        }
        let mut link = |from: usize, to: &str, kind: &str| {
            builder.link(&format!("m{from:02}"), to, kind, None, 1.0).unwrap();
        };
        // A home of three over two things, an office of ten, and an ambassador of nine.
        for (member, to, kind) in [(0, "t", "device"), (1, "t", "device"), (1, "h", "address"), (2, "h", "address")] {
            link(member, to, kind);
        }
        (10..20).for_each(|member| link(member, "wifi", "ip"));
        (21..30).for_each(|member| link(20, &format!("m{member}"), "referral"));
        // Two at a café are no home, and twelve on one device no office.
        (30..32).for_each(|member| link(member, "cafe", "ip"));
        (0..12).for_each(|member| link(member, "farm", "device"));
        let network = builder.build();
        let mut found: Vec<(Segment, usize)> =
            controls(&network).iter().map(|control| (control.segment, control.rows.len())).collect();
        found.sort_unstable();
        assert_eq!(found, [(Segment::Household, 3), (Segment::Office, 10), (Segment::Ambassador, 10)]);
    }

    #[test]
    fn a_kind_with_too_few_honest_groups_allows_no_score_and_one_with_many_does() {
        let quiet = |count: usize| scored(Segment::Household, (0..count).map(|_| (100, Said::Nothing)));
        assert_eq!(quiet(597).cut(Segment::Household, 850, 50), None, "not one in 597 leaves 0.5005 percent");
        assert_eq!(quiet(598).cut(Segment::Household, 850, 50), Some(850));
        assert_eq!(quiet(598).cut(Segment::Office, 850, 50), None, "households say nothing of offices");
        assert_eq!(quiet(598).cut(Segment::Other, 850, 50), Some(850), "what has no kind is compared with all");
    }

    #[test]
    fn the_cut_lies_above_honest_groups_and_what_people_called_fraud_is_none() {
        let mut scores: Vec<(u16, Said)> = (0..1_500).map(|place| (place / 2, Said::Nothing)).collect();
        scores.extend((0..20).map(|_| (940, Said::Honest)));
        let controls = scored(Segment::Office, scores.clone());
        assert_eq!(controls.cut(Segment::Office, 500, 50), Some(941));
        assert_eq!(controls.reaching(Segment::Office, 940), (20, 1_520));
        let fraud: Vec<(u16, Said)> =
            scores.iter().map(|&(score, _)| (score, if score == 940 { Said::Fraud } else { Said::Nothing })).collect();
        let cut = scored(Segment::Office, fraud).cut(Segment::Office, 500, 50).unwrap();
        assert!((740..750).contains(&cut), "{cut}: three of 1,500 are allowed");
    }

    #[test]
    fn cases_that_wait_for_a_review_do_not_keep_further_ones_from_opening() {
        let quiet = || (0..200).map(|_| (100, Said::Nothing));
        let waiting = scored(Segment::Household, quiet().chain((0..40).map(|_| (700, Said::Nothing))));
        assert_eq!(waiting.open_cut(Segment::Household, 550, 500), Some(550));
        assert_eq!(waiting.cut(Segment::Household, 550, 500), Some(701), "holds take them for honest");
        let cleared = scored(Segment::Household, quiet().chain((0..40).map(|_| (700, Said::Honest))));
        assert_eq!(cleared.open_cut(Segment::Household, 550, 500), Some(701), "people said what they are");
    }

    #[test]
    fn a_group_scores_as_half_of_its_members_do() {
        let control = Control { segment: Segment::Household, rows: vec![0, 1, 2] };
        let controls = Controls::of(&[control], |row| [900, 300, 100][row], |_| Said::Nothing);
        assert_eq!(
            (controls.reaching(Segment::Household, 300).0, controls.reaching(Segment::Household, 301).0),
            (1, 0)
        );
    }
}
