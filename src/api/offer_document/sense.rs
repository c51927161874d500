//! Whether an offer makes sense as a whole: what its parts cannot see alone. Contradictions
//! are refused before anything is published; what is allowed but hardly meant is a warning.

mod never;

use super::reward::amount_keys;
use crate::api::check::{Fault, quoted};
use crate::domain::offer::{
    Amount, Comparison, Condition, Count, Measure, MemberTest, PurchaseTest, Reward, Terms, Trigger, What,
};
use crate::domain::{OfferId, Unit};
use serde::Serialize;
use utoipa::ToSchema;

/// Something that is allowed but hardly meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Warning {
    /// Where in the document.
    pub path: String,
    /// What it comes to, and what may have been meant.
    pub detail: String,
}

/// One amount that a reward may give, with where it is said.
struct One {
    path: String,
    minor: i64,
}

/// What cannot be meant, in the terms of an offer that is to have this id.
pub(super) fn contradictions(terms: &Terms, id: &OfferId) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let (Some(starts), Some(ends)) = (terms.starts, terms.ends)
        && ends <= starts
    {
        let detail = format!("must be after `starts`, which is {}", super::moment::shown_local(starts));
        faults.push(Fault::contradiction("ends", detail));
    }
    rewards(terms, id, &mut faults);
    budgets(terms, &mut faults);
    caps(terms, &mut faults);
    triggers(terms, &mut faults);
    tiers(terms, &mut faults);
    never::find(terms, &mut faults);
    faults
}

/// Every reward of an offer with its place: its own, and that of a referred member.
fn all_rewards(terms: &Terms) -> impl Iterator<Item = (&'static str, &Reward)> {
    let referred = match &terms.trigger {
        Trigger::Referral { referred, .. } => referred.as_ref(),
        _ => None,
    };
    let referred = referred.map(|reward| ("trigger.referral.referred_reward", reward));
    std::iter::once(("reward", &terms.reward)).chain(referred)
}

/// The amounts of a reward that are no choice, with their places.
fn amounts<'a>(path: &str, reward: &'a Reward) -> Vec<(String, &'a Amount)> {
    match &reward.amount {
        Amount::FirstOf(branches) => {
            let branches = branches.iter().enumerate();
            branches.map(|(place, branch)| (format!("{path}.branches[{place}].reward"), &branch.amount)).collect()
        }
        amount => vec![(path.to_owned(), amount)],
    }
}

/// The most that one reward may give, when that is known.
fn most(path: &str, what: &What, amount: &Amount) -> Option<One> {
    let (give_key, max_key) = amount_keys(what);
    let (key, minor) = match amount {
        Amount::Fixed(give) => (give_key.to_owned(), *give),
        Amount::Share { max: Some(max), .. } | Amount::PerStep { max: Some(max), .. } => (max_key.to_owned(), *max),
        Amount::Steps(steps) => {
            let (place, step) = steps.iter().enumerate().max_by_key(|(_, step)| step.give)?;
            (format!("steps[{place}].{give_key}"), step.give)
        }
        Amount::RoundUp { to_minor } => ("to_minor".to_owned(), to_minor - 1),
        _ => return None,
    };
    Some(One { path: format!("{path}.{key}"), minor })
}

/// The least that one reward gives when it gives anything, when that is known.
fn least(path: &str, what: &What, amount: &Amount) -> Option<One> {
    let (give_key, _) = amount_keys(what);
    let (key, minor) = match amount {
        Amount::Fixed(give) | Amount::PerStep { give, .. } => (give_key.to_owned(), *give),
        Amount::Steps(steps) => {
            let (place, step) = steps.iter().enumerate().min_by_key(|(_, step)| step.give)?;
            (format!("steps[{place}].{give_key}"), step.give)
        }
        _ => return None,
    };
    Some(One { path: format!("{path}.{key}"), minor })
}

fn rewards(terms: &Terms, id: &OfferId, faults: &mut Vec<Fault>) {
    for (path, reward) in all_rewards(terms) {
        for (path, amount) in amounts(path, reward) {
            if matches!(amount, Amount::OfAnother { offer, .. } if offer == id) {
                let detail = "an offer cannot give a share of itself; name another offer of this merchant";
                faults.push(Fault::contradiction(format!("{path}.offer"), detail));
            }
        }
        if let Amount::FirstOf(branches) = &reward.amount {
            for place in 1..branches.len() {
                let before = branches[..place]
                    .iter()
                    .position(|before| before.when == Condition::always() || before.when == branches[place].when);
                if let Some(before) = before {
                    let detail = format!("can never be taken: branch {before} is, whenever this one could be");
                    faults.push(Fault::contradiction(format!("{path}.branches[{place}]"), detail));
                }
            }
        }
    }
}

fn budgets(terms: &Terms, faults: &mut Vec<Fault>) {
    if let (Some(whole), Some(daily)) = (terms.budget_minor, terms.daily_budget_minor)
        && daily > whole
    {
        let detail = format!("must be at most `budget_minor`, which is {whole}; leave one of them out");
        faults.push(Fault::contradiction("daily_budget_minor", detail));
    }
    for (path, reward) in all_rewards(terms) {
        if terms.is_budgeted() && reward.what.unit(terms.currency) != terms.unit() {
            let detail = "is of another unit than the offer's `reward`, and a budget counts one; leave the budget out, or \
                          give both the same unit";
            faults.push(Fault::contradiction(path, detail));
            continue;
        }
        for one in amounts(path, reward).into_iter().filter_map(|(path, amount)| most(&path, &reward.what, amount)) {
            // The tighter of the two, so that one reward is one fault.
            if let Some((key, budget)) = said_budgets(terms).filter(|(_, budget)| one.minor > *budget).last() {
                let detail = format!("one reward of {} is more than `{key}`, which is {budget}", one.minor);
                faults.push(Fault::contradiction(one.path, detail));
            }
        }
    }
}

/// The budgets that an offer has, the tighter one last.
fn said_budgets(terms: &Terms) -> impl Iterator<Item = (&'static str, i64)> {
    let said = [("budget_minor", terms.budget_minor), ("daily_budget_minor", terms.daily_budget_minor)];
    said.into_iter().filter_map(|(key, minor)| Some((key, minor?)))
}

fn caps(terms: &Terms, faults: &mut Vec<Fault>) {
    let caps = [
        ("limits.reward_per_member_minor", terms.limits.reward_per_member_minor),
        ("limits.reward_per_period", terms.limits.reward_per_period.map(|cap| cap.minor)),
    ];
    let what = &terms.reward.what;
    for one in amounts("reward", &terms.reward).into_iter().filter_map(|(path, amount)| least(&path, what, amount)) {
        for (key, cap) in caps.iter().filter_map(|(key, cap)| Some((key, (*cap)?))) {
            if one.minor > cap {
                let detail = format!("one reward of {} is more than `{key}`, which is {cap}", one.minor);
                faults.push(Fault::contradiction(one.path.clone(), detail));
            }
        }
    }
}

/// What a trigger that is no purchase has nothing to say to.
fn triggers(terms: &Terms, faults: &mut Vec<Fault>) {
    let trigger = match &terms.trigger {
        Trigger::Purchase => "",
        Trigger::Signal { .. } => "a signal",
        Trigger::Referral { .. } => "a referral",
        Trigger::Points { .. } => "spending points",
    };
    if terms.limits.referrals.is_some() && !matches!(terms.trigger, Trigger::Referral { .. }) {
        let detail = "has no meaning without the trigger `referral`; for a cap of any reward use `limits.per_member`";
        faults.push(Fault::contradiction("limits.referrals", detail));
    }
    if let (Trigger::Points { unit, .. }, Unit::Points(given)) = (&terms.trigger, terms.unit())
        && *unit == given
    {
        faults.push(Fault::contradiction("reward.unit", format!("gives the same points that it takes, {given}")));
    }
    if trigger.is_empty() {
        return;
    }
    for (path, amount) in amounts("reward", &terms.reward) {
        if !matches!(amount, Amount::Fixed(_)) {
            let detail = format!(
                "must be a fixed amount of money, points or a perk, because {trigger} comes with no purchase to measure"
            );
            faults.push(Fault::contradiction(path, detail));
        }
    }
    let mut leaves = Vec::new();
    never::leaves(&terms.when, "when", &mut leaves);
    if let Amount::FirstOf(branches) = &terms.reward.amount {
        for (place, branch) in branches.iter().enumerate() {
            never::leaves(&branch.when, &format!("reward.branches[{place}].when"), &mut leaves);
        }
    }
    for (path, leaf) in leaves {
        if let Some(detail) = without_purchase(leaf, trigger, matches!(terms.trigger, Trigger::Referral { .. })) {
            faults.push(Fault::contradiction(path, detail));
        }
    }
}

/// Why a condition cannot hold where nothing is bought.
fn without_purchase(leaf: &Condition, trigger: &str, referral: bool) -> Option<String> {
    match leaf {
        // A signal has a time, and so a local date and hour.
        Condition::Purchase(PurchaseTest::LocalTime(_) | PurchaseTest::Dates(_)) => None,
        Condition::Purchase(_) => Some(format!(
            "can never hold, because {trigger} comes with no purchase; count purchases instead, or remove it"
        )),
        Condition::Count(Count { what, is: Comparison::Reaches(_) | Comparison::Every(_), .. })
            if !(referral && *what == Measure::Referrals) =>
        {
            Some(format!("can never hold, because {trigger} brings the number no further; say `at_least` or `exactly`"))
        }
        _ => None,
    }
}

/// Tiers are those of the offer's ladder.
fn tiers(terms: &Terms, faults: &mut Vec<Fault>) {
    for (path, leaf) in never::all_leaves(terms) {
        let Condition::Member(MemberTest::Tier(name)) = leaf else { continue };
        let ladder = terms.ladder.as_ref().map(|ladder| &ladder.tiers);
        let detail = match ladder {
            None => "can never hold without tiers; say them as the offer's `ladder`".to_owned(),
            Some(tiers) if tiers.iter().all(|tier| tier.name != *name) => {
                let names: Vec<_> = tiers.iter().map(|tier| tier.name.as_str()).collect();
                format!("`{name}` is not on the offer's `ladder`, which has {}", quoted(&names.join(", ")))
            }
            Some(_) => continue,
        };
        faults.push(Fault::contradiction(format!("{path}.tier"), detail));
    }
}

/// What is allowed in an offer but hardly meant.
#[must_use]
pub fn warnings(terms: &Terms) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut warn = |path: String, detail: String| found.push(Warning { path, detail });
    for (path, reward) in all_rewards(terms) {
        let ones = amounts(path, reward).into_iter().filter_map(|(path, amount)| most(&path, &reward.what, amount));
        for one in ones {
            if let Some((key, _)) = said_budgets(terms).find(|(_, budget)| *budget == one.minor) {
                warn(one.path.clone(), format!("one reward of {} is all of `{key}`", one.minor));
            }
        }
        for (path, amount) in amounts(path, reward) {
            if let Amount::Steps(steps) = amount
                && let Some(place) = (1..steps.len()).find(|place| steps[*place].give <= steps[place - 1].give)
            {
                warn(format!("{path}.steps[{place}]"), "gives no more than the step before it".to_owned());
            }
        }
        if let Amount::FirstOf(branches) = &reward.amount
            && let Some(detail) = hole(Some(&terms.when).filter(|_| path == "reward"), branches)
        {
            warn(format!("{path}.branches"), detail);
        }
    }
    if let (Some(total), Some(cap)) = (terms.limits.reward_per_member_minor, terms.limits.reward_per_period)
        && cap.minor >= total
    {
        let detail = format!("has no effect beside `limits.reward_per_member_minor`, which is {total}");
        warn("limits.reward_per_period".to_owned(), detail);
    }
    if terms.budget_minor.is_some() && terms.budget_minor == terms.daily_budget_minor {
        warn("daily_budget_minor".to_owned(), "has no effect beside `budget_minor`, which is as much".to_owned());
    }
    if terms.holdout_percent == 100 {
        warn("holdout_percent".to_owned(), "keeps every member out, so nobody is given anything".to_owned());
    }
    let tiered =
        never::all_leaves(terms).iter().any(|(_, leaf)| matches!(leaf, Condition::Member(MemberTest::Tier(_))));
    if terms.ladder.is_some() && !tiered {
        warn("ladder".to_owned(), "has no effect, because no condition asks for a tier".to_owned());
    }
    found
}

/// Who gets nothing from a choice, unless all others are kept out by the offer's own condition,
/// where it is asked of them.
fn hole(when: Option<&Condition>, branches: &[crate::domain::offer::Branch]) -> Option<String> {
    if branches.last().is_some_and(|last| last.when == Condition::always()) {
        return None;
    }
    let mut regions: Vec<&String> = Vec::new();
    for branch in branches {
        let Condition::Member(MemberTest::Regions(list)) = &branch.when else {
            let detail = "gives nothing when no branch holds; end with a branch without `when` if everybody is to get \
                          something";
            return Some(detail.to_owned());
        };
        regions.extend(list);
    }
    let let_in = |condition: &Condition| match condition {
        Condition::Member(MemberTest::Regions(list)) => list.iter().all(|region| regions.contains(&region)),
        _ => false,
    };
    let closed = match when {
        Some(Condition::All(list)) => list.iter().any(let_in),
        Some(condition) => let_in(condition),
        None => false,
    };
    (!closed).then(|| {
        "gives nothing to members of other regions, or of none; end with a branch without `when`, or name the regions in \
         the offer's `when` too"
            .to_owned()
    })
}
