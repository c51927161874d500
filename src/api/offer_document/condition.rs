//! Conditions as documents say them: each an object with exactly one key.

use super::Reader;
use super::count::{CountDocument, RangeDocument, SpendDocument, StreakDocument, bounds};
use super::limits::PeriodWord;
use super::moment::{DatesDocument, LocalTimeDocument};
use crate::api::check::{self, Fault};
use crate::domain::offer::{Bounds, Condition, Count, Measure, MemberTest, PurchaseTest};
use crate::domain::{Channel, Code, LocationId};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use utoipa::ToSchema;

/// Deepest nesting of `all`, `any` and `not`.
pub(super) const DEPTH_MAX: usize = 8;
/// Most entries of a list inside a condition.
pub(super) const LIST_MAX: usize = 100;
/// Longest window of days that a count looks back.
pub(super) const DAYS_MAX: u32 = 3660;
/// Longest time around a birthday.
const BIRTHDAY_DAYS_MAX: u16 = 183;
/// Longest name of a group or region, as in members' documents.
const WORD_BYTES_MAX: usize = 64;

/// One condition: an object with exactly one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConditionDocument {
    /// All hold; an empty list holds always.
    #[schema(no_recursion)]
    All(Vec<ConditionDocument>),
    /// At least one holds.
    #[schema(no_recursion)]
    Any(Vec<ConditionDocument>),
    /// It does not hold.
    #[schema(no_recursion)]
    Not(Box<ConditionDocument>),
    /// The purchase is worth at least this, minor units.
    SpendAtLeastMinor(i64),
    /// What the purchase is worth lies in a range.
    Spend(SpendDocument),
    /// How the purchase was made.
    Channel(ChannelWord),
    /// At one of these shops of the merchant, by their ids.
    Locations(Vec<String>),
    /// In one of these countries, ISO 3166 alpha-2.
    Countries(Vec<String>),
    /// Its merchant category lies in one of these: `5411` or `5812-5814`.
    Mcc(Vec<String>),
    /// The local time of the purchase lies in a window.
    LocalTime(LocalTimeDocument),
    /// The local date of the purchase lies in one of these ranges.
    Dates(Vec<DatesDocument>),
    /// How many purchases the member has made, this one included.
    Purchases(CountDocument),
    /// What the member's purchases come to, minor units, this one included.
    SpendTotal(CountDocument),
    /// How many different shops the member has bought at.
    LocationsVisited(CountDocument),
    /// From how many different merchant categories the member has bought.
    Categories(CountDocument),
    /// How many periods in a row the member has bought in, up to now.
    Streak(StreakDocument),
    /// Whole days since the purchase before this one; a first purchase never fits.
    DaysSincePurchase(CountDocument),
    /// How many members whom they referred have qualified.
    Referrals(CountDocument),
    /// The member is in at least one of these groups.
    Segments(Vec<String>),
    /// The member is of one of these regions.
    Regions(Vec<String>),
    /// The local date lies near the member's birthday.
    Birthday(BirthdayDocument),
    /// So many whole days a member.
    MemberForDays(RangeDocument),
    /// On at least this tier of the offer's `ladder`.
    Tier(String),
    /// How far the member is trusted.
    Standing(StandingWord),
    /// `true`: the member was referred by another.
    Referred(bool),
}

/// One condition on a purchase that is counted: an object with exactly one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseConditionDocument {
    /// The purchase is worth at least this, minor units.
    SpendAtLeastMinor(i64),
    /// What the purchase is worth lies in a range.
    Spend(SpendDocument),
    /// How the purchase was made.
    Channel(ChannelWord),
    /// At one of these shops of the merchant, by their ids.
    Locations(Vec<String>),
    /// In one of these countries, ISO 3166 alpha-2.
    Countries(Vec<String>),
    /// Its merchant category lies in one of these: `5411` or `5812-5814`.
    Mcc(Vec<String>),
    /// The local time of the purchase lies in a window.
    LocalTime(LocalTimeDocument),
    /// The local date of the purchase lies in one of these ranges.
    Dates(Vec<DatesDocument>),
}

/// How a purchase was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelWord {
    /// Card and cardholder were in the shop.
    InStore,
    /// Over the network.
    Online,
    /// The source did not say.
    Unknown,
}

/// Days around the member's birthday, 0 to 183 each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct BirthdayDocument {
    /// Before it.
    #[serde(default)]
    #[schema(maximum = 183)]
    pub days_before: u16,
    /// After it.
    #[serde(default)]
    #[schema(maximum = 183)]
    pub days_after: u16,
}

/// How far a member is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StandingWord {
    /// Without reserve: nobody is looking at the account.
    Clear,
}

impl Default for ConditionDocument {
    /// Holds always.
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl ConditionDocument {
    /// Whether it says nothing.
    pub(super) fn is_always(&self) -> bool {
        matches!(self, Self::All(list) if list.is_empty())
    }

    /// What it means; faults go to the reader.
    pub(super) fn read(self, path: &str, reader: &mut Reader) -> Option<Condition> {
        self.read_at(path, 1, reader)
    }

    fn read_at(self, path: &str, depth: usize, reader: &mut Reader) -> Option<Condition> {
        if depth > DEPTH_MAX {
            let detail = format!("may be nested {DEPTH_MAX} deep; say it with fewer of `all`, `any` and `not`");
            return reader.take(Err(Fault::new("too_many", path, detail)));
        }
        match self {
            Self::All(list) => Some(Condition::All(read_list(list, &format!("{path}.all"), depth, reader)?)),
            Self::Any(list) if list.is_empty() => {
                let detail = "can never hold, because it names no alternative; name one, or leave `any` out";
                reader.take(Err(Fault::contradiction(format!("{path}.any"), detail)))
            }
            Self::Any(list) => Some(Condition::Any(read_list(list, &format!("{path}.any"), depth, reader)?)),
            Self::Not(inner) => {
                Some(Condition::Not(Box::new(inner.read_at(&format!("{path}.not"), depth + 1, reader)?)))
            }
            leaf => {
                reader.leaf();
                let read = leaf.leaf(path, reader);
                reader.take(read)
            }
        }
    }

    fn leaf(self, path: &str, reader: &mut Reader) -> Result<Condition, Fault> {
        use PurchaseConditionDocument as P;
        let at = |key: &str| format!("{path}.{key}");
        let counted = |count: CountDocument, key: &str, what, reader: &mut Reader| count.read(&at(key), what, reader);
        let of_purchase = match self {
            Self::SpendAtLeastMinor(minor) => P::SpendAtLeastMinor(minor),
            Self::Spend(range) => P::Spend(range),
            Self::Channel(channel) => P::Channel(channel),
            Self::Locations(list) => P::Locations(list),
            Self::Countries(list) => P::Countries(list),
            Self::Mcc(list) => P::Mcc(list),
            Self::LocalTime(window) => P::LocalTime(window),
            Self::Dates(list) => P::Dates(list),
            Self::Purchases(count) => return counted(count, "purchases", Measure::Purchases, reader),
            Self::SpendTotal(count) => return counted(count, "spend_total", Measure::Spend, reader),
            Self::LocationsVisited(count) => return counted(count, "locations_visited", Measure::Locations, reader),
            Self::Categories(count) => return counted(count, "categories", Measure::Categories, reader),
            Self::DaysSincePurchase(count) => return counted(count, "days_since_purchase", Measure::DaysSince, reader),
            Self::Referrals(count) => return counted(count, "referrals", Measure::Referrals, reader),
            Self::Streak(streak) => return streak.read(&at("streak"), reader),
            of_member => return of_member.member_test(path).map(Condition::Member),
        };
        of_purchase.read(path).map(Condition::Purchase)
    }

    fn member_test(self, path: &str) -> Result<MemberTest, Fault> {
        let at = |key: &str| format!("{path}.{key}");
        match self {
            Self::Segments(list) => Ok(MemberTest::Segments(words(&at("segments"), list)?)),
            Self::Regions(list) => Ok(MemberTest::Regions(words(&at("regions"), list)?)),
            Self::Birthday(around) => {
                for (key, days) in [("days_before", around.days_before), ("days_after", around.days_after)] {
                    if days > BIRTHDAY_DAYS_MAX {
                        let path = at(&format!("birthday.{key}"));
                        return Err(Fault::bad(path, format!("must be 0 to {BIRTHDAY_DAYS_MAX}, is {days}")));
                    }
                }
                Ok(MemberTest::Birthday { days_before: around.days_before, days_after: around.days_after })
            }
            Self::MemberForDays(range) => {
                let path = at("member_for_days");
                bounds(&path, range.at_least, range.at_most, ["at_least", "at_most"], 0).map(MemberTest::TenureDays)
            }
            Self::Tier(name) => code(&at("tier"), &name).map(MemberTest::Tier),
            Self::Standing(StandingWord::Clear) => Ok(MemberTest::Clear),
            Self::Referred(true) => Ok(MemberTest::Referred),
            _ => {
                let detail = "must be true; for members whom nobody referred say {\"not\": {\"referred\": true}}";
                Err(Fault::bad(at("referred"), detail))
            }
        }
    }

    /// The document of a condition.
    pub(super) fn of(condition: &Condition) -> Self {
        match condition {
            Condition::All(list) => Self::All(list.iter().map(Self::of).collect()),
            Condition::Any(list) => Self::Any(list.iter().map(Self::of).collect()),
            Condition::Not(inner) => Self::Not(Box::new(Self::of(inner))),
            Condition::Purchase(test) => PurchaseConditionDocument::of(test).into(),
            Condition::Member(test) => match test {
                MemberTest::Segments(list) => Self::Segments(list.clone()),
                MemberTest::Regions(list) => Self::Regions(list.clone()),
                MemberTest::Birthday { days_before, days_after } => {
                    Self::Birthday(BirthdayDocument { days_before: *days_before, days_after: *days_after })
                }
                MemberTest::TenureDays(Bounds { at_least, at_most }) => {
                    Self::MemberForDays(RangeDocument { at_least: *at_least, at_most: *at_most })
                }
                MemberTest::Tier(name) => Self::Tier(name.to_string()),
                MemberTest::Clear => Self::Standing(StandingWord::Clear),
                MemberTest::Referred => Self::Referred(true),
            },
            Condition::Count(count) => Self::of_count(count),
        }
    }

    fn of_count(count: &Count) -> Self {
        let of = CountDocument::of(count);
        match count.what {
            Measure::Purchases => Self::Purchases(of),
            Measure::Spend => Self::SpendTotal(of),
            Measure::Locations => Self::LocationsVisited(of),
            Measure::Categories => Self::Categories(of),
            Measure::DaysSince => Self::DaysSincePurchase(of),
            Measure::Referrals => Self::Referrals(of),
            Measure::Streak(period) => {
                let CountDocument { at_least, at_most, exactly, reaches, every, of, .. } = of;
                let every_one = PeriodWord::of(period);
                Self::Streak(StreakDocument { every: every_one, at_least, at_most, exactly, reaches, each: every, of })
            }
        }
    }
}

impl From<PurchaseConditionDocument> for ConditionDocument {
    fn from(test: PurchaseConditionDocument) -> Self {
        use PurchaseConditionDocument as P;
        match test {
            P::SpendAtLeastMinor(minor) => Self::SpendAtLeastMinor(minor),
            P::Spend(range) => Self::Spend(range),
            P::Channel(channel) => Self::Channel(channel),
            P::Locations(list) => Self::Locations(list),
            P::Countries(list) => Self::Countries(list),
            P::Mcc(list) => Self::Mcc(list),
            P::LocalTime(window) => Self::LocalTime(window),
            P::Dates(list) => Self::Dates(list),
        }
    }
}

impl PurchaseConditionDocument {
    /// What it means.
    pub(super) fn read(self, path: &str) -> Result<PurchaseTest, Fault> {
        let at = |key: &str| format!("{path}.{key}");
        match self {
            Self::SpendAtLeastMinor(minor) => {
                let at_least = Some(check::minor(&at("spend_at_least_minor"), minor, 1)?);
                Ok(PurchaseTest::Spend(Bounds { at_least, at_most: None }))
            }
            Self::Spend(range) => {
                let keys = ["at_least_minor", "at_most_minor"];
                bounds(&at("spend"), range.at_least_minor, range.at_most_minor, keys, 1).map(PurchaseTest::Spend)
            }
            Self::Channel(channel) => Ok(PurchaseTest::Channel(match channel {
                ChannelWord::InStore => Channel::InStore,
                ChannelWord::Online => Channel::Online,
                ChannelWord::Unknown => Channel::Unknown,
            })),
            Self::Locations(list) => {
                let location = |path: &str, id: String| {
                    check::no_card_number(path, &id)?;
                    LocationId::new(id).map_err(|error| Fault::bad(path, error.to_string()))
                };
                each(&at("locations"), list, location).map(PurchaseTest::Locations)
            }
            Self::Countries(list) => {
                each(&at("countries"), list, |path, code| check::country(path, &code)).map(PurchaseTest::Countries)
            }
            Self::Mcc(list) => categories(&at("mcc"), list).map(PurchaseTest::Mcc),
            Self::LocalTime(window) => window.read(&at("local_time")).map(PurchaseTest::LocalTime),
            Self::Dates(list) => each(&at("dates"), list, |path, dates| dates.read(path)).map(PurchaseTest::Dates),
        }
    }

    /// The document of a test.
    pub(super) fn of(test: &PurchaseTest) -> Self {
        match test {
            PurchaseTest::Spend(Bounds { at_least: Some(minor), at_most: None }) => Self::SpendAtLeastMinor(*minor),
            PurchaseTest::Spend(Bounds { at_least, at_most }) => {
                Self::Spend(SpendDocument { at_least_minor: *at_least, at_most_minor: *at_most })
            }
            PurchaseTest::Channel(channel) => Self::Channel(match channel {
                Channel::InStore => ChannelWord::InStore,
                Channel::Online => ChannelWord::Online,
                Channel::Unknown => ChannelWord::Unknown,
            }),
            PurchaseTest::Locations(list) => Self::Locations(list.iter().map(ToString::to_string).collect()),
            PurchaseTest::Countries(list) => Self::Countries(list.iter().map(ToString::to_string).collect()),
            PurchaseTest::Mcc(list) => Self::Mcc(list.iter().map(shown_category).collect()),
            PurchaseTest::LocalTime(window) => Self::LocalTime(LocalTimeDocument::of(*window)),
            PurchaseTest::Dates(list) => Self::Dates(list.iter().map(DatesDocument::of).collect()),
        }
    }
}

/// Each entry of a list that must not be empty.
pub(super) fn each<T, U>(
    path: &str,
    list: Vec<T>,
    read: impl Fn(&str, T) -> Result<U, Fault>,
) -> Result<Vec<U>, Fault> {
    if list.is_empty() {
        return Err(Fault::bad(path, "must name at least one; an empty list can never hold"));
    }
    check::at_most(path, &list, LIST_MAX)?;
    list.into_iter().enumerate().map(|(place, entry)| read(&format!("{path}[{place}]"), entry)).collect()
}

fn words(path: &str, list: Vec<String>) -> Result<Vec<String>, Fault> {
    each(path, list, |path, word| check::text(path, &word, WORD_BYTES_MAX))
}

/// A short name.
pub(super) fn code(path: &str, text: &str) -> Result<Code, Fault> {
    check::no_card_number(path, text)?;
    Code::parse(text).map_err(|error| Fault::bad(path, error.to_string()))
}

/// Merchant categories, `5411` or `5812-5814` each.
pub(super) fn categories(path: &str, list: Vec<String>) -> Result<Vec<RangeInclusive<u16>>, Fault> {
    each(path, list, |path, text| {
        let digits = |text: &str| {
            let plain = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse::<u16>().ok()).flatten()
        };
        let (from, to) = text.split_once('-').unwrap_or((&text, &text));
        let (Some(from), Some(to)) = (digits(from), digits(to)) else {
            let detail = format!(
                "`{}` is not a merchant category such as 5411, or a range such as 5812-5814",
                check::quoted(&text)
            );
            return Err(Fault::bad(path, detail));
        };
        if to < from {
            return Err(Fault::contradiction(
                path,
                format!("can never hold: the range ends before it begins; say {to:04}-{from:04}"),
            ));
        }
        Ok(from..=to)
    })
}

/// A merchant category or a range of them, as documents say it.
pub(super) fn shown_category(range: &RangeInclusive<u16>) -> String {
    if range.start() == range.end() {
        format!("{:04}", range.start())
    } else {
        format!("{:04}-{:04}", range.start(), range.end())
    }
}

fn read_list(list: Vec<ConditionDocument>, path: &str, depth: usize, reader: &mut Reader) -> Option<Vec<Condition>> {
    reader.take(check::at_most(path, &list, LIST_MAX))?;
    let list = list.into_iter().enumerate();
    // Every entry is read even after a bad one, so that all faults are found.
    let read: Vec<_> =
        list.map(|(place, entry)| entry.read_at(&format!("{path}[{place}]"), depth + 1, reader)).collect();
    read.into_iter().collect()
}
