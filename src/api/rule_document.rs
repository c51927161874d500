//! The desk's rules as documents say them, and as we mean them: a closed language of three kinds.
//! Identifiers go in and never come out: only their kind is shown.

use super::check::{self, Fault, Faults};
use crate::cases::rules::{Counted, Says, State, Velocity, WITHIN_SECONDS_MAX, Whom};
use crate::domain::{Currency, MemberId, SourceName, Timestamp};
use crate::engine::Engine;
use crate::engine::derived::{DOMAIN, NETWORK, parts};
use crate::engine::rules::Saying;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 2_000;
/// Longest identifier, in bytes.
const VALUE_BYTES_MAX: usize = 512;
/// Most detectors that an allow entry names.
const DETECTORS_MAX: usize = 50;
/// How long an allow entry may spare somebody before people look again, in days.
const ALLOW_DAYS_MAX: u32 = 366;
/// Most that a velocity counts to.
const COUNT_MAX: i64 = 1_000;
/// The kind of an e-mail address's domain, as rules say it.
const EMAIL_DOMAIN: &str = "email_domain";
/// The kind of a network, as rules say it.
const A_NETWORK: &str = "network";
/// The kind of a card, as links have it.
const CARD: &str = "card";

/// A rule of the risk desk.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct RuleDocument {
    /// What it says.
    pub rule: SaysDocument,
    /// Whether it counts; without it `shadow`. A deny entry or velocity that says something new
    /// begins in shadow.
    #[serde(default = "shadow")]
    #[schema(value_type = String, example = "shadow")]
    pub state: State,
    /// Why, for those who read it later.
    pub reason: String,
    /// When it ends by itself; an allow entry must have one, a year away at most.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
}

fn shadow() -> State {
    State::Shadow
}

/// What a rule says: an object with exactly one key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SaysDocument {
    /// Whoever it means is evidence of fraud.
    Deny(WhomDocument),
    /// Whoever it means opens no case.
    Allow(AllowDocument),
    /// So much of a thing within a time is evidence of fraud.
    Velocity(VelocityDocument),
}

/// Whom an entry means: an object with exactly one key.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhomDocument {
    /// Your id of a member.
    Member(String),
    /// Everybody who says an identifier.
    Identifier(IdentifierDocument),
    /// Everybody who links a card.
    Card(CardDocument),
}

/// An identifier that members may share.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct IdentifierDocument {
    /// As members' links say it: `device`, `address`, `payout`, `phone`, `email`, `ip` or another word;
    /// or `email_domain`, or `network`.
    #[schema(example = "device")]
    pub kind: String,
    /// The identifier, spelt as in links; a network as `203.0.113.0/24`. It is hashed and not kept.
    pub value: String,
}

impl std::fmt::Debug for IdentifierDocument {
    /// Without the value, which is personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentifierDocument").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A card by its source's token.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct CardDocument {
    /// Whose token.
    pub source: String,
    /// The token. It is hashed and not kept.
    pub token: String,
}

impl std::fmt::Debug for CardDocument {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CardDocument").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Whom the allow list spares, and of what.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct AllowDocument {
    /// Who.
    pub whom: WhomDocument,
    /// Detectors, or `rule:ID`, by which they open no case; without it any.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub detectors: Vec<String>,
}

/// How much of a thing within which time: a `count` or a `sum`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct VelocityDocument {
    /// What is counted: `sign_ups`, `referrals`, `cards`, `activations`, `purchases`, `refunds` or `rewards`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "sign_ups")]
    pub count: Option<Counted>,
    /// Or what is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<SumDocument>,
    /// `member`, or a kind of identifier: then all who say the same one together.
    #[schema(example = "device")]
    pub per: String,
    /// Within which time.
    pub within: WindowDocument,
    /// From this on it is evidence: a number, 2 to 1000, or minor units.
    #[schema(minimum = 1)]
    pub at_least: i64,
}

/// What is added.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct SumDocument {
    /// `purchases`, `refunds` or `rewards`.
    #[schema(value_type = String, example = "refunds")]
    pub of: Counted,
    /// ISO 4217: amounts in others are left out.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
}

/// A time: an object with exactly one key. At most 31 days.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowDocument {
    /// So many hours.
    Hours(u32),
    /// So many days of 24 hours.
    Days(u32),
}

/// What a rule says, as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SaysView {
    /// A deny entry.
    Deny(WhomView),
    /// An allow entry.
    Allow {
        /// Who.
        whom: WhomView,
        /// By which detectors they open no case; none is any.
        detectors: Vec<String>,
    },
    /// A velocity.
    Velocity(VelocityDocument),
}

/// Whom an entry means, as it is shown: an identifier by its kind alone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhomView {
    /// Your id of a member.
    Member(String),
    /// The kind of an identifier.
    Identifier {
        /// Its kind.
        kind: String,
    },
}

impl RuleDocument {
    /// What the document means.
    ///
    /// # Errors
    /// All [`Faults`], each with its path.
    pub fn into_saying(self, engine: &Engine, by: String, now: Timestamp) -> Result<Saying, Faults> {
        let mut faults = Vec::new();
        let is_allow = matches!(self.rule, SaysDocument::Allow(_));
        let says = self.rule.read(engine, &mut faults);
        let reason = check::lines("reason", &self.reason, REASON_BYTES_MAX).map_err(|fault| faults.push(fault)).ok();
        let latest = now.plus_days(ALLOW_DAYS_MAX);
        match self.until {
            None if is_allow => {
                let detail = "an allow entry needs an end, such as 90 days from now: people look again then";
                faults.push(Fault::bad("until", detail));
            }
            Some(until) if until <= now => {
                faults.push(Fault::bad("until", format!("must lie after now, {now}; end a rule by its state")));
            }
            Some(until) if is_allow && until > latest => {
                let detail = format!("an allow entry ends within {ALLOW_DAYS_MAX} days, by {latest}");
                faults.push(Fault::bad("until", detail));
            }
            _ => {}
        }
        match (says, reason, Faults::new(faults)) {
            (Some(says), Some(reason), None) => {
                Ok(Saying { says: Some(says), state: self.state, reason, until: self.until, by })
            }
            (_, _, Some(faults)) => Err(faults),
            _ => unreachable!("what could not be read has left a fault"),
        }
    }
}

impl SaysDocument {
    fn read(self, engine: &Engine, faults: &mut Vec<Fault>) -> Option<Says> {
        let mut take = |read: Result<Whom, Fault>| read.map_err(|fault| faults.push(fault)).ok();
        match self {
            Self::Deny(whom) => take(whom.read("rule.deny", engine)).map(Says::Deny),
            Self::Allow(allow) => {
                let whom = take(allow.whom.read("rule.allow.whom", engine));
                let detectors = detectors(&allow.detectors).map_err(|fault| faults.push(fault)).ok();
                Some(Says::Allow { whom: whom?, detectors: detectors? })
            }
            Self::Velocity(velocity) => velocity.read(faults).map(Says::Velocity),
        }
    }
}

fn detectors(named: &[String]) -> Result<Vec<CompactString>, Fault> {
    check::at_most("rule.allow.detectors", named, DETECTORS_MAX)?;
    let known: Vec<&str> = super::cases::detectors().map(|detector| detector.name).collect();
    let each = named.iter().enumerate().map(|(place, name)| {
        let is_rule =
            name.strip_prefix(crate::cases::rules::RULE).is_some_and(|id| crate::domain::Code::parse(id).is_ok());
        if known.contains(&name.as_str()) || is_rule {
            return Ok(name.as_str().into());
        }
        let detail = format!("no detector has this name; there are {}, and rule:ID for a rule", known.join(", "));
        Err(Fault::bad(format!("rule.allow.detectors[{place}]"), detail))
    });
    each.collect()
}

impl WhomDocument {
    fn read(self, path: &str, engine: &Engine) -> Result<Whom, Fault> {
        match self {
            Self::Member(id) => {
                let path = format!("{path}.member");
                check::no_card_number(&path, &id)?;
                Ok(Whom::Member(MemberId::new(id).map_err(|error| Fault::bad(path, error.to_string()))?))
            }
            Self::Identifier(given) => given.read(&format!("{path}.identifier"), engine),
            Self::Card(CardDocument { source, token }) => {
                let path = format!("{path}.card");
                let source =
                    SourceName::new(source).map_err(|error| Fault::bad(format!("{path}.source"), error.to_string()))?;
                let token = check::identifier(&format!("{path}.token"), token.trim(), VALUE_BYTES_MAX)?;
                check::no_card_number(&format!("{path}.token"), &token)?;
                Ok(Whom::Identifier { kind: CARD.into(), values: vec![engine.card_hash(&source, &token)] })
            }
        }
    }

    fn of(whom: &Whom) -> WhomView {
        match whom {
            Whom::Member(member) => WhomView::Member(member.to_string()),
            Whom::Identifier { kind, .. } => WhomView::Identifier { kind: shown_kind(kind) },
        }
    }
}

impl IdentifierDocument {
    fn read(self, path: &str, engine: &Engine) -> Result<Whom, Fault> {
        let at = |name: &str| format!("{path}.{name}");
        let kind = kind(&at("kind"), &self.kind)?;
        let value = check::identifier(&at("value"), self.value.trim(), VALUE_BYTES_MAX)?;
        check::no_card_number(&at("value"), &value)?;
        let values = match kind.as_str() {
            NETWORK => networks(&at("value"), &value)?,
            DOMAIN => vec![value.trim_start_matches('@').to_ascii_lowercase()],
            CARD => {
                let detail = "a card is named by its source's token: {\"card\": {\"source\": …, \"token\": …}}";
                return Err(Fault::bad(at("kind"), detail));
            }
            _ => vec![value.to_string()],
        };
        let values = values.iter().map(|value| engine.link_hash(&kind, value)).collect();
        Ok(Whom::Identifier { kind, values })
    }
}

/// A kind of identifier as links have it.
fn kind(path: &str, word: &str) -> Result<CompactString, Fault> {
    let detail = "must be a word of 1 to 32 letters, digits and dashes, such as device";
    match word {
        EMAIL_DOMAIN => Ok(DOMAIN.into()),
        A_NETWORK => Ok(NETWORK.into()),
        "referral" => Err(Fault::bad(path, "a referral is no identifier; name the member")),
        _ => check::scheme(path, word).map_err(|fault| Fault::bad(fault.path, detail)),
    }
}

fn shown_kind(kind: &str) -> String {
    match kind {
        DOMAIN => EMAIL_DOMAIN.to_owned(),
        NETWORK => A_NETWORK.to_owned(),
        kind => kind.to_owned(),
    }
}

/// The networks that stand for one.
fn networks(path: &str, declared: &str) -> Result<Vec<String>, Fault> {
    let (address, length) = declared.split_once('/').unwrap_or((declared, "128"));
    let length: Option<u8> = length.trim().parse().ok();
    let shortest = if address.contains(':') { 24 } else { 8 };
    let parts = parts(declared);
    if parts.is_empty() || length.is_none_or(|length| length < shortest) {
        let detail = format!("must be a network such as 203.0.113.0/24, of /{shortest} or longer");
        return Err(Fault::bad(path, detail));
    }
    Ok(parts)
}

impl VelocityDocument {
    fn read(self, faults: &mut Vec<Fault>) -> Option<Velocity> {
        let before = faults.len();
        let mut bad = |name: &str, detail: String| faults.push(Fault::bad(format!("rule.velocity.{name}"), detail));
        let (of, sum) = match (self.count, self.sum) {
            (Some(of), None) => (Some(of), None),
            (None, Some(sum)) if sum.of.has_amounts() => (Some(sum.of), Some(sum.currency)),
            (None, Some(sum)) => {
                let detail =
                    format!("{} have no amounts; count them, or add purchases, refunds or rewards", sum.of.as_str());
                bad("sum.of", detail);
                (None, None)
            }
            (Some(_), Some(_)) => {
                bad("sum", "goes without `count`: leave one of both out".to_owned());
                (None, None)
            }
            (None, None) => {
                let words: Vec<&str> = Counted::ALL.iter().map(|counted| counted.as_str()).collect();
                bad("count", format!("say what is counted, one of {}, or what is added by `sum`", words.join(", ")));
                (None, None)
            }
        };
        let within_seconds = match self.within {
            WindowDocument::Hours(hours) => hours.saturating_mul(3_600),
            WindowDocument::Days(days) => days.saturating_mul(86_400),
        };
        if !(3_600..=WITHIN_SECONDS_MAX).contains(&within_seconds) {
            bad("within", "must be from 1 hour to 31 days".to_owned());
        }
        let range = if sum.is_some() { 1..=check::MINOR_MAX } else { 2..=COUNT_MAX };
        if !range.contains(&self.at_least) {
            bad("at_least", format!("must be from {} to {}, is {}", range.start(), range.end(), self.at_least));
        }
        if of == Some(Counted::SignUps) && self.per == "member" {
            bad("per", "a member joins once; say a kind of identifier, such as device".to_owned());
        }
        let per = match self.per.as_str() {
            "member" => Ok(None),
            word => kind("rule.velocity.per", word).map(Some),
        };
        let per = per.map_err(|fault| faults.push(fault)).ok();
        (faults.len() == before)
            .then(|| Some(Velocity { of: of?, sum, per: per?, within_seconds, at_least: self.at_least }))
            .flatten()
    }

    fn of(velocity: &Velocity) -> Self {
        let (count, sum) = match velocity.sum {
            Some(currency) => (None, Some(SumDocument { of: velocity.of, currency })),
            None => (Some(velocity.of), None),
        };
        let within = match velocity.within_seconds {
            seconds if seconds % 86_400 == 0 => WindowDocument::Days(seconds / 86_400),
            seconds => WindowDocument::Hours(seconds / 3_600),
        };
        let per = velocity.per.as_deref().map_or_else(|| "member".to_owned(), shown_kind);
        Self { count, sum, per, within, at_least: velocity.at_least }
    }
}

impl SaysView {
    /// As it is shown.
    #[must_use]
    pub fn of(says: &Says) -> Self {
        match says {
            Says::Deny(whom) => Self::Deny(WhomDocument::of(whom)),
            Says::Allow { whom, detectors } => Self::Allow {
                whom: WhomDocument::of(whom),
                detectors: detectors.iter().map(ToString::to_string).collect(),
            },
            Says::Velocity(velocity) => Self::Velocity(VelocityDocument::of(velocity)),
        }
    }
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let whom = |whom: &WhomView| match whom {
            WhomView::Member(member) => format!("member {member}"),
            WhomView::Identifier { kind } => format!("members with a {}", kind.replace('_', " ")),
        };
        match self {
            Self::Deny(denied) => whom(denied),
            Self::Allow { whom: spared, detectors } if detectors.is_empty() => whom(spared),
            Self::Allow { whom: spared, detectors } => format!("{}: {}", whom(spared), detectors.join(", ")),
            Self::Velocity(velocity) => {
                let within = match velocity.within {
                    WindowDocument::Hours(hours) => format!("{hours} hours"),
                    WindowDocument::Days(days) => format!("{days} days"),
                };
                let what = match (&velocity.count, &velocity.sum) {
                    (Some(count), _) => format!("{} {}", velocity.at_least, count.as_str().replace('_', "-")),
                    (None, Some(sum)) => {
                        format!("{} {} (minor units) of {}", velocity.at_least, sum.currency, sum.of.as_str())
                    }
                    (None, None) => String::new(),
                };
                format!("{what} or more per {} within {within}", velocity.per.replace('_', " "))
            }
        }
    }
}
