//! Rewards as documents say them: a kind, and the keys that this kind has.

use super::condition::{ConditionDocument, DAYS_MAX, code};
use super::{Reader, limits};
use crate::api::check::{self, Fault};
use crate::domain::offer::{Amount, Branch, Reward, SpendStep, What};
use crate::domain::{BasisPoints, OfferId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most steps of a reward by spend.
const STEPS_MAX: usize = 16;
/// Most branches of a choice.
const BRANCHES_MAX: usize = 16;
/// Largest share of another offer: ten times as much besides.
const OF_ANOTHER_MAX: u32 = 100_000;

/// What is given. `kind` says which other keys there are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RewardDocument {
    /// Which kind.
    pub kind: RewardKind,
    /// `percent`: the share, 1 to 10000; 500 is 5 %. Rounded down to the minor unit. With `offer`: the share of
    /// what that gives; 10000 is as much again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100000)]
    pub basis_points: Option<u32>,
    /// `percent`, and `fixed` with `per_minor`: most for one purchase; without it no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_minor: Option<i64>,
    /// `fixed`: the amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub amount_minor: Option<i64>,
    /// `points`: of which unit, a short name such as `beans`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// `points`: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub points: Option<i64>,
    /// `points` by spend: most for one purchase; without it no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_points: Option<i64>,
    /// `perk`: what you call it, a short name such as `free-coffee`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `perk`: how many; without it one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub count: Option<i64>,
    /// `perk` by spend: most for one purchase; without it no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_count: Option<i64>,
    /// `fixed`, `points` and `perk`: so much for each whole step of this spend, not once for the purchase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub per_minor: Option<i64>,
    /// `tiers`, `points` and `perk`: by spend, the highest step that the purchase reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 16)]
    pub steps: Option<Vec<SpendStepDocument>>,
    /// `points` and `perk`: days from when it may be used until it is gone; without it never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3660)]
    pub expires_days: Option<u32>,
    /// `points`: what a hundred are worth to a member, for ranking offers; nothing is converted by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub worth_of_100_minor: Option<i64>,
    /// `perk`: what one is worth to a member, for ranking offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub worth_minor: Option<i64>,
    /// `round_up`: what the purchase lacks to the next whole multiple of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 2)]
    pub to_minor: Option<i64>,
    /// `of_another`, `points` and `perk`: a share of what this offer of yours gives for the same purchase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<String>,
    /// `first_of`: the first branch whose condition holds; when none does, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 16)]
    pub branches: Option<Vec<BranchDocument>>,
}

/// Kind of reward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RewardKind {
    /// A share of the purchase.
    #[default]
    Percent,
    /// The same amount for every purchase, or for every step of spend.
    Fixed,
    /// An amount by spend.
    Tiers,
    /// Points of a named unit.
    Points,
    /// Something that is not money.
    Perk,
    /// What the purchase lacks to a whole amount.
    RoundUp,
    /// A share of what another offer gives.
    OfAnother,
    /// The first of several whose condition holds.
    FirstOf,
}

/// From a spend on, so much: one of `amount_minor`, `points` and `count`, as the kind counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SpendStepDocument {
    /// From this spend on.
    #[schema(minimum = 1)]
    pub spend_minor: i64,
    /// Of `tiers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub amount_minor: Option<i64>,
    /// Of `points`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub points: Option<i64>,
    /// Of a `perk`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub count: Option<i64>,
}

/// One of several rewards. All branches of a choice give one unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct BranchDocument {
    /// When it is taken; without it whenever none before it is.
    #[serde(default, skip_serializing_if = "ConditionDocument::is_always")]
    pub when: ConditionDocument,
    /// What it gives; never itself a choice.
    #[schema(no_recursion)]
    pub reward: RewardDocument,
}

impl RewardKind {
    /// Every kind with the keys it must have and those it may have: what is checked, and
    /// what the schema says.
    pub(super) const ALL: [(Self, &'static str, &'static [&'static str], &'static [&'static str]); 8] = [
        (Self::Percent, "percent", &["basis_points"], &["max_minor"]),
        (Self::Fixed, "fixed", &["amount_minor"], &["per_minor", "max_minor"]),
        (Self::Tiers, "tiers", &["steps"], &[]),
        (
            Self::Points,
            "points",
            &["unit"],
            &[
                "points",
                "per_minor",
                "max_points",
                "basis_points",
                "steps",
                "offer",
                "expires_days",
                "worth_of_100_minor",
            ],
        ),
        (
            Self::Perk,
            "perk",
            &["code"],
            &["count", "per_minor", "max_count", "steps", "offer", "basis_points", "expires_days", "worth_minor"],
        ),
        (Self::RoundUp, "round_up", &["to_minor"], &[]),
        (Self::OfAnother, "of_another", &["offer", "basis_points"], &[]),
        (Self::FirstOf, "first_of", &["branches"], &[]),
    ];

    fn entry(self) -> &'static (Self, &'static str, &'static [&'static str], &'static [&'static str]) {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).expect("the table has every kind")
    }
}

/// What a unit calls an amount, and the most of it.
pub(super) fn amount_keys(what: &What) -> (&'static str, &'static str) {
    match what {
        What::Money => ("amount_minor", "max_minor"),
        What::Points { .. } => ("points", "max_points"),
        What::Perk { .. } => ("count", "max_count"),
    }
}

impl RewardDocument {
    /// Which keys are given, in the order of the document.
    fn given(&self) -> [(&'static str, bool); 16] {
        [
            ("basis_points", self.basis_points.is_some()),
            ("max_minor", self.max_minor.is_some()),
            ("amount_minor", self.amount_minor.is_some()),
            ("unit", self.unit.is_some()),
            ("points", self.points.is_some()),
            ("max_points", self.max_points.is_some()),
            ("code", self.code.is_some()),
            ("count", self.count.is_some()),
            ("max_count", self.max_count.is_some()),
            ("per_minor", self.per_minor.is_some()),
            ("steps", self.steps.is_some()),
            ("expires_days", self.expires_days.is_some()),
            ("worth_of_100_minor", self.worth_of_100_minor.is_some()),
            ("worth_minor", self.worth_minor.is_some()),
            ("to_minor", self.to_minor.is_some()),
            ("offer", self.offer.is_some()),
        ]
    }

    /// What it means; faults go to the reader.
    pub(super) fn read(mut self, path: &str, reader: &mut Reader) -> Option<Reward> {
        if !self.keys_fit(path, reader) {
            return None;
        }
        if let Some(branches) = self.branches.take() {
            return first_of(path, branches, reader);
        }
        let what = reader.take(self.what(path))?;
        let amount = reader.take(self.amount(path, &what))?;
        Some(Reward { what, amount })
    }

    /// Whether the kind has these keys and no other.
    fn keys_fit(&self, path: &str, reader: &mut Reader) -> bool {
        let (_, kind, required, optional) = self.kind.entry();
        let branches = ("branches", self.branches.is_some());
        let given: Vec<_> = self.given().into_iter().chain([branches]).filter(|(_, given)| *given).collect();
        let mut fit = true;
        for (key, _) in &given {
            if !required.contains(key) && !optional.contains(key) {
                let detail = format!("has no meaning for a {kind} reward; remove it");
                reader.add(Fault::contradiction(format!("{path}.{key}"), detail));
                fit = false;
            }
        }
        for key in required.iter().filter(|key| !given.iter().any(|(given, _)| given == *key)) {
            let detail = "is required for this kind of reward";
            reader.add(Fault::new("missing_field", format!("{path}.{key}"), detail));
            fit = false;
        }
        fit
    }

    fn what(&self, path: &str) -> Result<What, Fault> {
        let at = |key: &str| format!("{path}.{key}");
        let expires_days =
            self.expires_days.map(|days| limits::days(&at("expires_days"), days, 1, DAYS_MAX)).transpose()?;
        let worth = |key: &str, minor: Option<i64>| {
            minor.map(|minor| check::minor(&at(key), minor, 1)).transpose().map(Option::unwrap_or_default)
        };
        match (&self.unit, &self.code) {
            (Some(unit), _) => {
                let worth_of_100_minor = worth("worth_of_100_minor", self.worth_of_100_minor)?;
                Ok(What::Points { unit: code(&at("unit"), unit)?, expires_days, worth_of_100_minor })
            }
            (None, Some(perk)) => {
                let worth_minor = worth("worth_minor", self.worth_minor)?;
                Ok(What::Perk { code: code(&at("code"), perk)?, expires_days, worth_minor })
            }
            (None, None) => Ok(What::Money),
        }
    }

    /// How much, in one of the ways that there are.
    fn amount(self, path: &str, what: &What) -> Result<Amount, Fault> {
        let at = |key: &str| format!("{path}.{key}");
        let (give_key, max_key) = amount_keys(what);
        let (give, max) = match what {
            What::Money => (self.amount_minor, self.max_minor),
            What::Points { .. } => (self.points, self.max_points),
            What::Perk { .. } => (self.count, self.max_count),
        };
        let ways = [
            (give_key, give.is_some() || (self.per_minor.is_some() && matches!(what, What::Perk { .. }))),
            ("steps", self.steps.is_some()),
            ("offer", self.offer.is_some()),
            ("basis_points", self.basis_points.is_some() && self.offer.is_none()),
            ("to_minor", self.to_minor.is_some()),
        ];
        let mut said = ways.into_iter().filter(|(_, said)| *said).map(|(key, _)| key);
        let (first, second) = (said.next(), said.next());
        if let (Some(first), Some(second)) = (first, second) {
            let detail = format!("says how much besides `{first}`; keep one of both");
            return Err(Fault::contradiction(at(second), detail));
        }
        let by_spend = |key: &str| {
            let detail = format!("has no meaning without {key}; remove it, or say what it is for");
            Err(Fault::contradiction(at(max_key), detail))
        };
        if self.per_minor.is_some() && first.is_some_and(|way| way != give_key) {
            return Err(Fault::contradiction(
                at("per_minor"),
                format!("has no meaning without `{give_key}`; remove it"),
            ));
        }
        let most = |max: Option<i64>| max.map(|max| check::minor(&at(max_key), max, 1)).transpose();
        let amount = match first {
            Some("steps") => Amount::Steps(steps(&at("steps"), self.steps.unwrap_or_default(), what)?),
            Some("to_minor") => {
                Amount::RoundUp { to_minor: check::minor(&at("to_minor"), self.to_minor.unwrap_or(0), 2)? }
            }
            Some("offer") => {
                let points = self.basis_points.ok_or_else(|| {
                    Fault::new(
                        "missing_field",
                        at("basis_points"),
                        "is required beside `offer`: 10000 is as much again",
                    )
                })?;
                let basis_points = share(&at("basis_points"), points, OF_ANOTHER_MAX, "10000 is as much again")?;
                Amount::OfAnother { offer: offer(&at("offer"), &self.offer.unwrap_or_default())?, basis_points }
            }
            Some("basis_points") if matches!(what, What::Perk { .. }) => {
                let detail = "has no meaning for a perk reward without `offer`; remove it";
                return Err(Fault::contradiction(at("basis_points"), detail));
            }
            Some("basis_points") => {
                let basis_points =
                    share(&at("basis_points"), self.basis_points.unwrap_or(0), 10_000, "500 is 5 percent")?;
                return Ok(Amount::Share { basis_points, max: most(max)? });
            }
            None if matches!(what, What::Points { .. }) => {
                let detail = "is required: how many, or say it by `steps`, `basis_points` or `offer`";
                return Err(Fault::new("missing_field", at("points"), detail));
            }
            _ => {
                let give = check::minor(&at(give_key), give.unwrap_or(1), 1)?;
                if let Some(step) = self.per_minor {
                    let spend_minor = check::minor(&at("per_minor"), step, 1)?;
                    let max = most(max)?;
                    if let Some(max) = max.filter(|max| *max < give) {
                        let detail = format!("{max} is less than what one step gives, which is {give}");
                        return Err(Fault::contradiction(at(max_key), detail));
                    }
                    return Ok(Amount::PerStep { give, spend_minor, max });
                }
                Amount::Fixed(give)
            }
        };
        if max.is_some() { by_spend("`per_minor` or `basis_points`") } else { Ok(amount) }
    }

    /// The document of a reward.
    pub(super) fn of(reward: &Reward) -> Self {
        Self::of_amount(&reward.what, &reward.amount)
    }

    fn of_amount(what: &What, amount: &Amount) -> Self {
        let mut document = Self::default();
        let (mut give_of, mut max_of) = (None, None);
        let mut kind = RewardKind::Fixed;
        match amount {
            Amount::Fixed(give) => give_of = Some(*give),
            Amount::Share { basis_points, max } => {
                kind = RewardKind::Percent;
                document.basis_points = Some(basis_points.0);
                max_of = *max;
            }
            Amount::PerStep { give, spend_minor, max } => {
                (give_of, max_of) = (Some(*give), *max);
                document.per_minor = Some(*spend_minor);
            }
            Amount::Steps(list) => {
                kind = RewardKind::Tiers;
                document.steps = Some(list.iter().map(|step| SpendStepDocument::of(step, what)).collect());
            }
            Amount::RoundUp { to_minor } => {
                kind = RewardKind::RoundUp;
                document.to_minor = Some(*to_minor);
            }
            Amount::OfAnother { offer, basis_points } => {
                kind = RewardKind::OfAnother;
                document.offer = Some(offer.to_string());
                document.basis_points = Some(basis_points.0);
            }
            Amount::FirstOf(branches) => {
                let branch = |branch: &Branch| BranchDocument {
                    when: ConditionDocument::of(&branch.when),
                    reward: Self::of_amount(what, &branch.amount),
                };
                document.kind = RewardKind::FirstOf;
                document.branches = Some(branches.iter().map(branch).collect());
                return document;
            }
        }
        document.kind = kind;
        match what {
            What::Money => (document.amount_minor, document.max_minor) = (give_of, max_of),
            What::Points { unit, expires_days, worth_of_100_minor } => {
                document.kind = RewardKind::Points;
                document.unit = Some(unit.to_string());
                (document.points, document.max_points) = (give_of, max_of);
                document.expires_days = *expires_days;
                document.worth_of_100_minor = Some(*worth_of_100_minor).filter(|worth| *worth != 0);
            }
            What::Perk { code, expires_days, worth_minor } => {
                document.kind = RewardKind::Perk;
                document.code = Some(code.to_string());
                (document.count, document.max_count) = (give_of, max_of);
                // One is what a perk without a number means.
                if document.per_minor.is_none() {
                    document.count = document.count.filter(|count| *count != 1);
                }
                document.expires_days = *expires_days;
                document.worth_minor = Some(*worth_minor).filter(|worth| *worth != 0);
            }
        }
        document
    }
}

fn first_of(path: &str, branches: Vec<BranchDocument>, reader: &mut Reader) -> Option<Reward> {
    let at = format!("{path}.branches");
    if branches.is_empty() {
        return reader.take(Err(Fault::bad(at, "must have at least one branch")));
    }
    reader.take(check::at_most(&at, &branches, BRANCHES_MAX))?;
    let read: Vec<_> = branches
        .into_iter()
        .enumerate()
        .map(|(place, branch)| {
            let at = format!("{at}[{place}]");
            let when = branch.when.read(&format!("{at}.when"), reader);
            let at = format!("{at}.reward");
            if branch.reward.kind == RewardKind::FirstOf {
                let detail = "a branch is never itself a choice; give its branches here, one after the other";
                return reader.take(Err(Fault::contradiction(format!("{at}.kind"), detail)));
            }
            let reward = branch.reward.read(&at, reader);
            Some((when?, reward?))
        })
        .collect();
    let read: Vec<_> = read.into_iter().collect::<Option<_>>()?;
    let what = read.first()?.1.what;
    if let Some(place) = read.iter().position(|(_, reward)| reward.what != what) {
        let detail = "must give the same unit as the first branch, with the same `expires_days` and worth; for another \
                      unit make an offer of its own";
        return reader.take(Err(Fault::contradiction(format!("{at}[{place}].reward"), detail)));
    }
    let branches = read.into_iter().map(|(when, reward)| Branch { when, amount: reward.amount });
    Some(Reward { what, amount: Amount::FirstOf(branches.collect()) })
}

fn share(path: &str, points: u32, most: u32, example: &str) -> Result<BasisPoints, Fault> {
    if (1..=most).contains(&points) {
        return Ok(BasisPoints(points));
    }
    Err(Fault::bad(path, format!("must be 1 to {most} ({example}), is {points}")))
}

fn offer(path: &str, id: &str) -> Result<OfferId, Fault> {
    check::no_card_number(path, id)?;
    OfferId::new(id).map_err(|error| Fault::bad(path, error.to_string()))
}

fn steps(path: &str, list: Vec<SpendStepDocument>, what: &What) -> Result<Vec<SpendStep>, Fault> {
    if list.is_empty() {
        return Err(Fault::bad(path, "must have at least one step"));
    }
    check::at_most(path, &list, STEPS_MAX)?;
    let mut steps: Vec<SpendStep> = Vec::with_capacity(list.len());
    for (place, step) in list.into_iter().enumerate() {
        let step = step.read(&format!("{path}[{place}]"), what)?;
        if let Some(before) = steps.last().filter(|before| step.spend_minor <= before.spend_minor) {
            let detail = format!("must be more than the step before, which begins at {}", before.spend_minor);
            return Err(Fault::contradiction(format!("{path}[{place}].spend_minor"), detail));
        }
        steps.push(step);
    }
    Ok(steps)
}

impl SpendStepDocument {
    fn read(self, path: &str, what: &What) -> Result<SpendStep, Fault> {
        let (right, _) = amount_keys(what);
        let given = [("amount_minor", self.amount_minor), ("points", self.points), ("count", self.count)];
        if let Some((key, _)) = given.iter().find(|(key, number)| *key != right && number.is_some()) {
            let detail = format!("has no meaning here; this reward counts in `{right}`");
            return Err(Fault::contradiction(format!("{path}.{key}"), detail));
        }
        let give = given.into_iter().find_map(|(_, number)| number);
        let give = give.ok_or_else(|| Fault::new("missing_field", format!("{path}.{right}"), "is required"))?;
        Ok(SpendStep {
            spend_minor: check::minor(&format!("{path}.spend_minor"), self.spend_minor, 1)?,
            give: check::minor(&format!("{path}.{right}"), give, 1)?,
        })
    }

    fn of(step: &SpendStep, what: &What) -> Self {
        let mut document = Self { spend_minor: step.spend_minor, ..Self::default() };
        match what {
            What::Money => document.amount_minor = Some(step.give),
            What::Points { .. } => document.points = Some(step.give),
            What::Perk { .. } => document.count = Some(step.give),
        }
        document
    }
}
