//! The offer as its document says it, and as we mean it.
//!
//! Each part is read by itself and all its faults are found; what no part can see alone (a
//! cap below the smallest reward, conditions that exclude each other) is `sense`'s.

mod condition;
mod count;
mod limits;
mod moment;
mod reward;
pub mod schema;
mod sense;
#[cfg(test)]
mod tests;
mod trigger;

pub use condition::{BirthdayDocument, ChannelWord, ConditionDocument, PurchaseConditionDocument, StandingWord};
pub use count::{CountDocument, RangeDocument, SpendDocument, StreakDocument, WithinDocument};
pub use limits::{CountCapDocument, LadderDocument, LimitsDocument, PeriodWord, RewardCapDocument, TierDocument};
pub use moment::{DatesDocument, LocalTimeDocument, Weekday};
pub use reward::{BranchDocument, RewardDocument, RewardKind, SpendStepDocument};
pub use sense::{Warning, warnings};
pub use trigger::{
    BeneficiaryDocument, FundingDocument, ReachDocument, ReferralDocument, SpentPointsDocument, TriggerDocument,
};

use super::check::{self, Fault, Faults, NAME_BYTES_MAX};
use crate::domain::offer::{Activation, Reach, Shown, Stacking, StackingMode, Terms, Translation, Trigger};
use crate::domain::{Currency, MerchantId, OfferId};
use moment::{local, shown_local};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most conditions of one offer, those of its branches and counts included.
const LEAVES_MAX: usize = 64;
/// Longest hold.
const HOLD_DAYS_MAX: u32 = 365;
/// Longest text of terms.
const TERMS_BYTES_MAX: usize = 10_000;
/// Longest address of a picture.
const IMAGE_BYTES_MAX: usize = 1_000;
/// Most languages besides the offer's own.
const LANGUAGES_MAX: usize = 50;

/// What a merchant promises. All money in `currency`, all local times the location's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct OfferDocument {
    /// Who funds it; never changes.
    #[schema(value_type = String, example = "blue-bottle")]
    pub merchant: MerchantId,
    /// Shown to members.
    #[schema(example = "5% back before noon")]
    pub title: String,
    /// ISO 4217; never changes. A purchase in another currency is refused.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// What makes it look at a member; without it a purchase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerDocument>,
    /// Whose purchases it looks at; without it the merchant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<ReachDocument>,
    /// What is given.
    pub reward: RewardDocument,
    /// What must hold; without it every purchase counts. Of a referral it asks who refers, not
    /// who was referred.
    #[serde(default)]
    pub when: ConditionDocument,
    /// The ladder that conditions on a tier mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ladder: Option<LadderDocument>,
    /// Local date and time from which purchases count; without it from publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-11-01T00:00")]
    pub starts: Option<String>,
    /// Local date and time before which purchases count; without it until ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-12-01T00:00")]
    pub ends: Option<String>,
    /// Most this offer may give in all, pending included; without it there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub budget_minor: Option<i64>,
    /// Most this offer may give in one day of UTC, pending included; without it there is no
    /// limit. What is taken back later gives nothing back to the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub daily_budget_minor: Option<i64>,
    /// Caps of one member; without them none.
    #[serde(default)]
    pub limits: LimitsDocument,
    /// Whether a member must opt in before buying.
    #[serde(default)]
    pub activation: ActivationWord,
    /// How it combines with others on one purchase.
    #[serde(default)]
    pub stacking: StackingDocument,
    /// Days between the last clearing's posting and availability, 0 to 365.
    #[serde(default)]
    #[schema(maximum = 365)]
    pub hold_days: u32,
    /// Share of members kept out to measure what the offer brings, 0 to 100.
    #[serde(default)]
    #[schema(maximum = 100)]
    pub holdout_percent: u8,
    /// Whether cash-like purchases (by MCC) earn too.
    #[serde(default)]
    pub allow_cash_like: bool,
    /// Who pays for the reward.
    #[serde(default)]
    pub funding: FundingDocument,
    /// Who gets it.
    #[serde(default)]
    pub beneficiary: BeneficiaryDocument,
    /// The terms in words, as members are shown them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_text: Option<String>,
    /// Address of a picture, `https://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Title and terms in other languages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub languages: Vec<TranslationDocument>,
}

/// Title and terms in a language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct TranslationDocument {
    /// BCP 47 tag.
    #[schema(example = "de-CH")]
    pub language: String,
    /// The title.
    pub title: String,
    /// The terms in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_text: Option<String>,
}

/// Whether a member must opt in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActivationWord {
    /// Only purchases while opted in count.
    #[default]
    Required,
    /// Everybody takes part.
    Automatic,
}

/// How an offer combines with others on one purchase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct StackingDocument {
    /// Offers of one group compete; without it a group of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Exclusive in its group, or combined with the rest.
    #[serde(default = "combine")]
    pub mode: StackingWord,
    /// Higher goes first.
    #[serde(default)]
    pub priority: i32,
}

/// Exclusive or combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StackingWord {
    /// Of the group's exclusive offers only the best for the member gives.
    Exclusive,
    /// Gives besides others.
    Combine,
}

impl Default for StackingDocument {
    fn default() -> Self {
        Self { group: None, mode: combine(), priority: 0 }
    }
}

fn combine() -> StackingWord {
    StackingWord::Combine
}

/// Reads on after a fault, so that a person is told of all of them at once.
#[derive(Default)]
struct Reader {
    faults: Vec<Fault>,
    leaves: usize,
}

impl Reader {
    fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }
    fn take<T>(&mut self, read: Result<T, Fault>) -> Option<T> {
        read.map_err(|fault| self.add(fault)).ok()
    }
    /// One more condition.
    fn leaf(&mut self) {
        self.leaves += 1;
    }
}

impl OfferDocument {
    /// What the document means, under the id that it is to have.
    ///
    /// # Errors
    /// All [`Faults`], each with its path.
    pub fn into_terms(self, id: &OfferId) -> Result<Terms, Faults> {
        let mut reader = Reader::default();
        let terms = self.read(&mut reader);
        if reader.leaves > LEAVES_MAX {
            let detail = format!("an offer may have at most {LEAVES_MAX} conditions, this one has {}", reader.leaves);
            reader.add(Fault::new("too_many", "when", detail));
        }
        if let Some(terms) = terms.as_ref().filter(|_| reader.faults.is_empty()) {
            reader.faults = sense::contradictions(terms, id);
        }
        match (terms, Faults::new(reader.faults)) {
            (Some(terms), None) => Ok(terms),
            (_, Some(faults)) => Err(faults),
            (None, None) => unreachable!("what could not be read has a fault"),
        }
    }

    fn read(self, reader: &mut Reader) -> Option<Terms> {
        reader.take(check::no_card_number("merchant", self.merchant.as_str()));
        let title = reader.take(check::text("title", &self.title, NAME_BYTES_MAX));
        let trigger = self.trigger.map_or(Some(Trigger::Purchase), |trigger| trigger.read(reader));
        let reach = reader.take(self.reach.map_or(Ok(Reach::Merchant), ReachDocument::read));
        let reward = self.reward.read("reward", reader);
        let when = self.when.read("when", reader);
        let ladder = reader.take(self.ladder.map(LadderDocument::read).transpose());
        let starts = reader.take(self.starts.map(|text| local("starts", &text)).transpose());
        let ends = reader.take(self.ends.map(|text| local("ends", &text)).transpose());
        let mut budget =
            |key: &str, said: Option<i64>| reader.take(said.map(|minor| check::minor(key, minor, 1)).transpose());
        let budget_minor = budget("budget_minor", self.budget_minor);
        let daily_budget_minor = budget("daily_budget_minor", self.daily_budget_minor);
        let limits = self.limits.read(reader);
        let hold_days = reader.take(limits::days("hold_days", self.hold_days, 0, HOLD_DAYS_MAX));
        if self.holdout_percent > 100 {
            reader.add(Fault::bad("holdout_percent", format!("must be 0 to 100, is {}", self.holdout_percent)));
        }
        let stacking = reader.take(self.stacking.read());
        let funding = reader.take(self.funding.read());
        let beneficiary = reader.take(self.beneficiary.read());
        let shown = shown(self.terms_text, self.image, self.languages, reader);
        Some(Terms {
            trigger: trigger?,
            reach: reach?,
            when: when?,
            ladder: ladder?,
            starts: starts?,
            ends: ends?,
            budget_minor: budget_minor?,
            daily_budget_minor: daily_budget_minor?,
            limits: limits?,
            activation: match self.activation {
                ActivationWord::Required => Activation::Required,
                ActivationWord::Automatic => Activation::Automatic,
            },
            stacking: stacking?,
            hold_days: hold_days?,
            holdout_percent: self.holdout_percent,
            cash_like: self.allow_cash_like,
            funding: funding?,
            beneficiary: beneficiary?,
            shown: shown?,
            ..Terms::new(self.merchant, title?, self.currency, reward?)
        })
    }

    /// The document of some terms.
    pub(crate) fn of(terms: &Terms) -> Self {
        let translation = |translation: &Translation| TranslationDocument {
            language: translation.language.to_string(),
            title: translation.title.clone(),
            terms_text: translation.terms.clone(),
        };
        Self {
            merchant: terms.merchant.clone(),
            title: terms.title.clone(),
            currency: terms.currency,
            trigger: TriggerDocument::of(&terms.trigger),
            reach: ReachDocument::of(&terms.reach),
            reward: RewardDocument::of(&terms.reward),
            when: ConditionDocument::of(&terms.when),
            ladder: terms.ladder.as_ref().map(LadderDocument::of),
            starts: terms.starts.map(shown_local),
            ends: terms.ends.map(shown_local),
            budget_minor: terms.budget_minor,
            daily_budget_minor: terms.daily_budget_minor,
            limits: LimitsDocument::of(&terms.limits),
            activation: match terms.activation {
                Activation::Required => ActivationWord::Required,
                Activation::Automatic => ActivationWord::Automatic,
            },
            stacking: StackingDocument::of(&terms.stacking),
            hold_days: terms.hold_days,
            holdout_percent: terms.holdout_percent,
            allow_cash_like: terms.cash_like,
            funding: FundingDocument::of(terms.funding),
            beneficiary: BeneficiaryDocument::of(&terms.beneficiary),
            terms_text: terms.shown.terms.clone(),
            image: terms.shown.image.clone(),
            languages: terms.shown.languages.iter().map(translation).collect(),
        }
    }
}

impl StackingDocument {
    fn read(self) -> Result<Stacking, Fault> {
        let group = self.group.map(|group| check::short("stacking.group", &group, 64)).transpose()?;
        let mode = match self.mode {
            StackingWord::Exclusive => StackingMode::Exclusive,
            StackingWord::Combine => StackingMode::Combine,
        };
        Ok(Stacking { group, mode, priority: self.priority })
    }
    fn of(stacking: &Stacking) -> Self {
        Self {
            group: stacking.group.as_ref().map(ToString::to_string),
            mode: match stacking.mode {
                StackingMode::Exclusive => StackingWord::Exclusive,
                StackingMode::Combine => StackingWord::Combine,
            },
            priority: stacking.priority,
        }
    }
}

fn shown(
    terms: Option<String>,
    image: Option<String>,
    languages: Vec<TranslationDocument>,
    reader: &mut Reader,
) -> Option<Shown> {
    let terms = reader.take(terms.map(|text| check::lines("terms_text", &text, TERMS_BYTES_MAX)).transpose());
    let image = reader.take(image.map(|address| self::image(&address)).transpose());
    let languages = reader.take(translations(languages));
    Some(Shown { terms: terms?, image: image?, languages: languages? })
}

fn image(address: &str) -> Result<String, Fault> {
    let address = check::text("image", address, IMAGE_BYTES_MAX)?;
    let host = address.strip_prefix("https://").unwrap_or_default();
    if host.is_empty() || address.contains(char::is_whitespace) {
        return Err(Fault::bad("image", "must be an address that begins with https:// and has no spaces"));
    }
    Ok(address)
}

fn translations(list: Vec<TranslationDocument>) -> Result<Vec<Translation>, Fault> {
    check::at_most("languages", &list, LANGUAGES_MAX)?;
    let mut read: Vec<Translation> = Vec::with_capacity(list.len());
    for (place, given) in list.into_iter().enumerate() {
        let at = |key: &str| format!("languages[{place}].{key}");
        let language = check::language(&at("language"), &given.language)?;
        if read.iter().any(|other| other.language.eq_ignore_ascii_case(&language)) {
            return Err(Fault::contradiction(at("language"), "this language is given twice"));
        }
        let title = check::text(&at("title"), &given.title, NAME_BYTES_MAX)?;
        let terms = given.terms_text.map(|text| check::lines(&at("terms_text"), &text, TERMS_BYTES_MAX)).transpose()?;
        read.push(Translation { language, title, terms });
    }
    Ok(read)
}
