//! What an audit found: each check by its name with how much it examined and its first
//! differences, then the totals and the trial balance. Printed as aligned tables for a
//! person, serialised for a program.

use crate::domain::Unit;
use crate::ledger::AccountKind;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;

/// The checks, in the order in which they are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// Headers, checksums, the chain of hashes, where the journal ends.
    Frames,
    /// Every record can be read and is its process's own.
    Records,
    /// No number twice per process and partition.
    Numbers,
    /// Each member's records form one chain: versions without a gap, each naming the last.
    MemberChain,
    /// Merchants and offers: versions without a gap, offers only grow.
    Documents,
    /// Profiles open, whose key was not erased.
    Profiles,
    /// No event of a card twice.
    Identities,
    /// No request answered twice.
    RequestKeys,
    /// Two different accounts, a positive amount, one unit per reward.
    Transfers,
    /// A correction names an earlier record of the member.
    Corrections,
    /// Debits equal credits per unit after every record, and nothing rests in pay-out.
    DebitEqualsCredit,
    /// No account of a member below zero after any record.
    MemberBalances,
    /// The accounts of each reward hold what its state says.
    RewardAccounts,
    /// A pay-out uses lots that may be paid, and its parts add up.
    PayOuts,
    /// Points spent on an offer brought what its terms say.
    Exchanges,
    /// Sealed purchases were final, and their totals are theirs.
    Sealing,
    /// No offer gave more than its budget.
    Budgets,
    /// No member was rewarded more often, or with more, than an offer allows.
    Caps,
    /// Rewards of a purchase are at most its worth.
    Worth,
    /// Held is frozen, barred is nothing, all else is free.
    Standings,
    /// Cases move by their table and keep what was said.
    Cases,
    /// Evidence of a rule names a version of it that was live by then.
    Rules,
    /// Every standing leads back to what caused it.
    Causes,
    /// Nothing becomes available before screening has passed the record that earned it.
    Screened,
    /// Deciding again from the facts, in the order of their arrival, gives what was granted.
    GrantedEqualsDue,
    /// The same in a shuffled order.
    GrantedEqualsDueShuffled,
}

impl Named {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::Frames,
        Self::Records,
        Self::Numbers,
        Self::MemberChain,
        Self::Documents,
        Self::Profiles,
        Self::Identities,
        Self::RequestKeys,
        Self::Transfers,
        Self::Corrections,
        Self::DebitEqualsCredit,
        Self::MemberBalances,
        Self::RewardAccounts,
        Self::PayOuts,
        Self::Exchanges,
        Self::Sealing,
        Self::Budgets,
        Self::Caps,
        Self::Worth,
        Self::Standings,
        Self::Cases,
        Self::Rules,
        Self::Causes,
        Self::Screened,
        Self::GrantedEqualsDue,
        Self::GrantedEqualsDueShuffled,
    ];
    /// In words, and what was counted.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Frames => ("frames and chain", "frames"),
            Self::Records => ("records can be read", "records"),
            Self::Numbers => ("record numbers unique", "records"),
            Self::MemberChain => ("members' chains", "records"),
            Self::Documents => ("merchants and offers only grow", "versions"),
            Self::Profiles => ("profiles open", "profiles"),
            Self::Identities => ("no event twice", "events"),
            Self::RequestKeys => ("no request twice", "requests"),
            Self::Transfers => ("two accounts, positive, one unit", "transfers"),
            Self::Corrections => ("corrections name an earlier record", "corrections"),
            Self::DebitEqualsCredit => ("debit equals credit", "records"),
            Self::MemberBalances => ("no member below zero", "balances"),
            Self::RewardAccounts => ("accounts hold what rewards say", "changes"),
            Self::PayOuts => ("pay-outs add up", "pay-outs"),
            Self::Exchanges => ("points bring what offers say", "redemptions"),
            Self::Sealing => ("sealed purchases leave their totals", "purchases"),
            Self::Budgets => ("budgets hold", "raises"),
            Self::Caps => ("caps per member hold", "rewards"),
            Self::Worth => ("reward at most the purchase's worth", "purchases"),
            Self::Standings => ("standings obeyed", "rewards"),
            Self::Cases => ("cases move as they may", "cases"),
            Self::Rules => ("cases rest on rules that were live", "evidence"),
            Self::Causes => ("standings have their cause", "standings"),
            Self::Screened => ("nothing available before it was screened", "changes"),
            Self::GrantedEqualsDue => ("granted equals due", "rewards"),
            Self::GrantedEqualsDueShuffled => ("granted equals due, facts shuffled", "rewards"),
        }
    }
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Which.
    pub check: Named,
    /// In words.
    pub name: &'static str,
    /// How many of `unit` were examined.
    pub examined: u64,
    /// What was counted.
    pub unit: &'static str,
    /// The first differences, each with its record and position or its member and purchase.
    pub differences: Vec<String>,
    /// How many there are in all.
    pub difference_count: u64,
}

/// What was read of one journal.
#[derive(Debug, Clone, Default, Serialize)]
pub struct JournalRead {
    /// Where.
    pub dir: PathBuf,
    /// Whose; `None` when no header could be read.
    pub process: Option<u32>,
    /// Segments.
    pub segments: usize,
    /// Frames.
    pub frames: u64,
    /// Records.
    pub records: u64,
    /// Bytes of headers and frames.
    pub bytes: u64,
    /// Bytes of an interrupted write at the end, never acknowledged.
    pub torn_bytes: u64,
}

/// Counts of what the books are about.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Totals {
    /// Records that count.
    pub records: u64,
    /// Records written and withdrawn.
    pub withdrawn: u64,
    /// Records of branches that were superseded: another process was faster, or a shared store
    /// forgot them and they were offered again.
    pub superseded: u64,
    /// Card events.
    pub events: u64,
    /// Members.
    pub members: u64,
    /// Open purchases.
    pub purchases: u64,
    /// Sealed purchases.
    pub purchases_sealed: u64,
    /// Merchants.
    pub merchants: u64,
    /// Offers.
    pub offers: u64,
    /// Profiles whose key was erased, or is not there.
    pub profiles_closed: u64,
    /// Times a member was not decided again, because a profile did not open.
    pub not_decided: u64,
    /// Dead letters on the shelf.
    pub dead_letters: u64,
    /// Rewards by where they stand.
    pub rewards: Vec<RewardLine>,
}

/// Rewards that stand at one place, of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RewardLine {
    /// `pending`, `posted`, `available`, `held`, `sealed`, `paid`, `owed`, `cause_pending` or
    /// `cause_due`.
    pub state: &'static str,
    /// Of what.
    #[serde(flatten, serialize_with = "named")]
    pub unit: Unit,
    /// How many rewards; 0 for `sealed`, `paid` and `owed`, which are sums.
    pub rewards: u64,
    /// How much can still be paid of them, or was paid, or is owed.
    pub minor: i64,
}

/// One line of the trial balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrialLine {
    /// The kind of account.
    pub account: AccountKind,
    /// Of what.
    #[serde(flatten, serialize_with = "named")]
    pub unit: Unit,
    /// All debits, minor units.
    pub debit_minor: i64,
    /// All credits, minor units.
    pub credit_minor: i64,
}

/// What an audit found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// The journals.
    pub journals: Vec<JournalRead>,
    /// What was counted.
    pub totals: Totals,
    /// Sums per account kind and unit.
    pub trial_balance: Vec<TrialLine>,
    /// What a reader should know and what is no difference.
    pub notes: Vec<String>,
    #[serde(skip)]
    differences_max: usize,
}

impl Report {
    pub(super) fn new(differences_max: usize) -> Self {
        let checks = Named::ALL.iter().map(|check| {
            let (name, unit) = check.words();
            Check { check: *check, name, examined: 0, unit, differences: Vec::new(), difference_count: 0 }
        });
        Self {
            checks: checks.collect(),
            journals: Vec::new(),
            totals: Totals::default(),
            trial_balance: Vec::new(),
            notes: Vec::new(),
            differences_max,
        }
    }

    pub(super) fn examined(&mut self, check: Named, count: u64) {
        self.checks[check as usize].examined += count;
    }

    pub(super) fn differ(&mut self, check: Named, what: impl FnOnce() -> String) {
        let most = self.differences_max;
        let check = &mut self.checks[check as usize];
        check.difference_count += 1;
        if check.differences.len() < most {
            check.differences.push(what());
        }
    }

    /// Counts one look, and a difference when it does not hold.
    pub(super) fn look(&mut self, check: Named, holds: bool, what: impl FnOnce() -> String) {
        self.examined(check, 1);
        if !holds {
            self.differ(check, what);
        }
    }

    /// A check by its name.
    #[must_use]
    pub fn check(&self, check: Named) -> &Check {
        &self.checks[check as usize]
    }

    /// Whether no check found a difference.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(|check| check.difference_count == 0)
    }
}

/// A count with its thousands apart.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount without its unit, which has a column of its own.
fn amount(minor: i64, unit: Unit) -> String {
    let Unit::Money(currency) = unit else { return minor.to_string() };
    let text = unit.shown(minor);
    text.strip_suffix(currency.as_str()).map_or(text.clone(), |amount| amount.trim_end().to_owned())
}

/// A unit as a field named for its kind, as the API names it.
fn named<S: Serializer>(unit: &Unit, to: S) -> Result<S::Ok, S::Error> {
    let kind = match unit {
        Unit::Money(_) => "currency",
        Unit::Points(_) => "unit",
        Unit::Perk(_) => "perk",
    };
    let mut map = to.serialize_map(Some(1))?;
    map.serialize_entry(kind, &unit.to_string())?;
    map.end()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for check in &self.checks {
            let sign = if check.difference_count == 0 { '✓' } else { '✗' };
            write!(f, " {sign} {:wide$}  {:>14} {}", check.name, grouped(check.examined), check.unit)?;
            if check.difference_count > 0 {
                write!(f, "  {} differ", grouped(check.difference_count))?;
            }
            writeln!(f)?;
            for difference in &check.differences {
                writeln!(f, "     {difference}")?;
            }
            let kept = check.differences.len() as u64;
            if check.difference_count > kept {
                writeln!(f, "     … and {} more", grouped(check.difference_count - kept))?;
            }
        }
        for read in &self.journals {
            let process = read.process.map_or_else(|| "unknown".to_owned(), |process| process.to_string());
            writeln!(
                f,
                "\n journal {}\n   process {process}, {} segments, {} frames, {} records, {} bytes",
                read.dir.display(),
                read.segments,
                grouped(read.frames),
                grouped(read.records),
                grouped(read.bytes)
            )?;
        }
        let totals = &self.totals;
        writeln!(f)?;
        for (name, count) in [
            ("records that count", totals.records),
            ("events", totals.events),
            ("members", totals.members),
            ("open purchases", totals.purchases),
            ("sealed purchases", totals.purchases_sealed),
            ("merchants", totals.merchants),
            ("offers", totals.offers),
            ("dead letters", totals.dead_letters),
        ] {
            writeln!(f, " {name:<18}  {:>14}", grouped(count))?;
        }
        if !totals.rewards.is_empty() {
            writeln!(f, "\n {:<18}  {:>14}  {:>18}", "rewards", "count", "amount")?;
        }
        for line in &totals.rewards {
            let count = if line.rewards == 0 { String::new() } else { grouped(line.rewards) };
            let minor = amount(line.minor, line.unit);
            writeln!(f, " {:<18}  {count:>14}  {minor:>18} {}", line.state, line.unit)?;
        }
        if !self.trial_balance.is_empty() {
            writeln!(f, "\n {:<18}  {:>18}  {:>18}", "trial balance", "debit", "credit")?;
        }
        let mut unit = None;
        let mut sums = (0_i64, 0_i64);
        let end = |f: &mut fmt::Formatter<'_>, unit: Option<Unit>, sums: (i64, i64)| match unit {
            Some(unit) => {
                let (debit, credit) = (amount(sums.0, unit), amount(sums.1, unit));
                writeln!(f, " {:<18}  {debit:>18}  {credit:>18} {unit}", "=")
            }
            None => Ok(()),
        };
        for line in &self.trial_balance {
            if unit != Some(line.unit) {
                end(f, unit, sums)?;
                (unit, sums) = (Some(line.unit), (0, 0));
            }
            sums = (sums.0.saturating_add(line.debit_minor), sums.1.saturating_add(line.credit_minor));
            let (debit, credit) = (amount(line.debit_minor, line.unit), amount(line.credit_minor, line.unit));
            writeln!(f, " {:<18}  {debit:>18}  {credit:>18} {}", line.account.as_str(), line.unit)?;
        }
        end(f, unit, sums)?;
        for note in &self.notes {
            writeln!(f, "\n note: {note}")?;
        }
        let differences: u64 = self.checks.iter().map(|check| check.difference_count).sum();
        if differences == 0 {
            writeln!(f, "\n ✓ the books are proved: {} checks, no difference", self.checks.len())
        } else {
            writeln!(f, "\n ✗ {} differences: the books are not proved", grouped(differences))
        }
    }
}
