//! The member as their document says it, and as we mean it. Shared identifiers go in
//! and never come out: only their kind is kept beside a hash.

use super::check::{self, Fault};
use crate::decide::MemberState;
use crate::domain::member::{Profile, ProfileStep};
use crate::domain::{Code, MemberId, OfferId, Timestamp};
use crate::engine::acts::{PER_MEMBER_MAX, Registration};
use crate::engine::derived::is_derived;
use crate::engine::{Engine, EngineError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Most segments of one member.
const SEGMENTS_MAX: usize = 100;
/// Longest shared identifier, in bytes.
const VALUE_BYTES_MAX: usize = 512;

/// What is said of a member. It replaces all that was said before: what is left out is
/// gone, except `joined_at`, which stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct MemberDocument {
    /// From when the person is a member; without it now, or as it was.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub joined_at: Option<Timestamp>,
    /// Your id of the member who referred them.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub referred_by: Option<MemberId>,
    /// Region in your own words. Kept sealed, as the next four.
    #[serde(default)]
    pub region: Option<String>,
    /// IANA zone.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Month and day, `--02-29` included; the year is not wanted. May change once a year.
    #[serde(default)]
    #[schema(example = "--02-29")]
    pub birthday: Option<String>,
    /// Groups in your own words.
    #[serde(default)]
    pub segments: Vec<String>,
    /// The cause that the member's donations go to, a short name as offers say it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "trees")]
    pub cause: Option<Code>,
    /// From when region, zone, birthday, segments and cause count, until the next that were
    /// said for a later time; without it now. For an instant that was named before they
    /// replace what was said. The past is an operator's to say.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub profile_from: Option<Timestamp>,
    /// Identifiers that others may share; kept as keyed hashes alone.
    #[serde(default)]
    pub links: Vec<LinkDocument>,
}

/// An identifier that others may share.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct LinkDocument {
    /// `device`, `address`, `payout`, `phone`, `email`, `ip` or another word.
    #[schema(example = "device")]
    pub kind: String,
    /// The identifier, always spelt the same way; it is hashed and not kept.
    pub value: String,
    /// Whether you have verified it.
    #[serde(default)]
    pub verified: bool,
    /// From when it counts; without it now, or as it was. The past is an operator's to say.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
}

impl std::fmt::Debug for LinkDocument {
    /// Without the value, which is personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkDocument").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The personal fields as they count now.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ProfileView {
    /// Region in the caller's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// IANA zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Month and day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birthday: Option<String>,
    /// Groups in the caller's words.
    pub segments: Vec<String>,
    /// The cause that donations go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// From when these count; absent when nothing was said yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub profile_from: Option<Timestamp>,
}

impl ProfileView {
    fn of(member: &MemberState, now: Timestamp) -> Self {
        let Some(ProfileStep { at, profile }) = member.profiles.iter().rev().find(|step| step.at <= now) else {
            return Self::default();
        };
        Self {
            region: profile.region.clone(),
            time_zone: profile.time_zone.as_ref().map(ToString::to_string),
            birthday: profile.birthday.map(|(month, day)| format!("--{month:02}-{day:02}")),
            segments: profile.segments.clone(),
            cause: profile.cause.map(|cause| cause.to_string()),
            profile_from: Some(*at),
        }
    }
}

/// A member as they are.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberView {
    /// The caller's id.
    pub id: String,
    /// Raised by one with everything that happens to the member; the ETag.
    pub version: u64,
    /// The person was erased; the books stay.
    pub erased: bool,
    /// From when the person is a member.
    #[schema(value_type = String, format = DateTime)]
    pub joined_at: Timestamp,
    /// Who referred them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referred_by: Option<String>,
    /// Personal fields.
    #[serde(flatten)]
    pub profile: ProfileView,
    /// Shared identifiers, without their values.
    pub links: Vec<LinkView>,
    /// Cards, oldest link first.
    pub cards: Vec<CardView>,
    /// Offers opted in to now.
    #[schema(value_type = Vec<String>)]
    pub activations: Vec<OfferId>,
}

/// A shared identifier, without its value.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkView {
    /// Its kind.
    pub kind: String,
    /// Whether it was verified.
    pub verified: bool,
    /// From when it counts.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// A card of a member.
#[derive(Debug, Serialize, ToSchema)]
pub struct CardView {
    /// Whose token.
    pub source: String,
    /// The token; absent once the person is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Purchases from here count.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Purchases before here count; absent while linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<Timestamp>,
    /// Cards of the same number are one physical card known to several sources.
    pub same_card: u32,
}

impl MemberDocument {
    /// What the document means.
    ///
    /// # Errors
    /// The first [`Fault`], with its path.
    pub fn into_registration(self, id: &MemberId, now: Timestamp) -> Result<Registration, Fault> {
        if self.joined_at.is_some_and(|at| at > now.plus_days(1)) {
            return Err(Fault::bad("joined_at", "lies in the future; leave it out for now"));
        }
        if let Some(by) = &self.referred_by {
            check::no_card_number("referred_by", by.as_str())?;
            if by == id {
                return Err(Fault::contradiction("referred_by", "nobody refers themselves"));
            }
        }
        check::at_most("segments", &self.segments, SEGMENTS_MAX)?;
        check::at_most("links", &self.links, PER_MEMBER_MAX)?;
        let segments = self.segments.iter().enumerate();
        let profile = Profile {
            region: self.region.map(|region| check::text("region", &region, 64)).transpose()?,
            time_zone: self.time_zone.map(|zone| check::zone("time_zone", &zone)).transpose()?,
            birthday: self.birthday.map(|day| birthday(&day)).transpose()?,
            segments: segments
                .map(|(n, segment)| check::text(&format!("segments[{n}]"), segment, 64))
                .collect::<Result<_, _>>()?,
            cause: self.cause,
        };
        let mut seen = BTreeSet::new();
        let mut links = Vec::with_capacity(self.links.len());
        for (place, link) in self.links.into_iter().enumerate() {
            let at = |name: &str| format!("links[{place}].{name}");
            let kind = check::scheme(&at("kind"), &link.kind).map_err(|fault| {
                Fault::bad(fault.path, "must be a word of 1 to 32 letters, digits and dashes, such as device")
            })?;
            let value = check::identifier(&at("value"), link.value.trim(), VALUE_BYTES_MAX)?;
            check::no_card_number(&at("value"), &value)?;
            if !seen.insert((kind.clone(), value.clone())) {
                return Err(Fault::contradiction(format!("links[{place}]"), "this identifier is given twice"));
            }
            links.push((kind.to_string(), value.to_string(), link.verified, link.at));
        }
        let Self { joined_at, referred_by, profile_from, .. } = self;
        Ok(Registration { joined_at, referred_by, profile, profile_from, links })
    }
}

impl MemberView {
    /// The view of a member, personal fields opened.
    ///
    /// # Errors
    /// When the key file fails.
    pub(crate) fn of(engine: &Engine, member: &MemberState, now: Timestamp) -> Result<Self, EngineError> {
        let head = &member.head;
        let open = |sealed: &crate::domain::member::Sealed| engine.open_sealed(member, sealed);
        let cards = head.cards.iter().map(|card| {
            let token = card.token.as_ref().map(open).transpose()?.flatten();
            let token = token.and_then(|bytes| String::from_utf8(bytes).ok());
            let (source, from, to) = (card.source.to_string(), card.from, card.to);
            Ok::<_, EngineError>(CardView { source, token, from, to, same_card: card.group })
        });
        let offers: BTreeSet<&OfferId> = head.activations.iter().map(|step| &step.offer).collect();
        Ok(Self {
            id: head.id.to_string(),
            version: head.version,
            erased: head.erased,
            joined_at: head.joined_at,
            referred_by: head.referred_by.as_ref().filter(|_| !head.erased).map(|(by, _)| by.to_string()),
            profile: ProfileView::of(member, now),
            links: head
                .links
                .iter()
                .filter(|link| !is_derived(&link.kind))
                .map(|link| LinkView { kind: link.kind.to_string(), verified: link.verified, at: link.at })
                .collect(),
            cards: cards.collect::<Result<_, _>>()?,
            activations: offers.into_iter().filter(|offer| head.active(offer, now)).cloned().collect(),
        })
    }
}

/// `--MM-DD`, a day that some year has.
fn birthday(text: &str) -> Result<(i8, i8), Fault> {
    let parts = text.strip_prefix("--").and_then(|text| text.split_once('-'));
    let digits = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok()).flatten();
    let day = parts.and_then(|(month, day)| Some((digits(month)?, digits(day)?)));
    // A leap year, so that the 29th of February is a birthday.
    let day = day.filter(|(month, day)| jiff::civil::Date::new(2000, *month, *day).is_ok());
    let detail = "must be a month and a day, such as --02-29; the year is not wanted";
    day.ok_or_else(|| Fault::bad("birthday", detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::read::{Unread, parse};

    fn read(text: &str) -> Result<Registration, Fault> {
        let now = Timestamp::parse("2026-11-21T00:00:00Z").unwrap();
        match parse::<MemberDocument>(text.as_bytes()) {
            Ok(document) => document.into_registration(&MemberId::new("ann").unwrap(), now),
            Err(Unread::Fault(fault)) => Err(fault),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_fault_has_its_place() {
        for (text, code, path) in [
            (r#"{"name":"Ann"}"#, "unknown_field", "name"),
            (r#"{"joined_at":"yesterday"}"#, "bad_value", "joined_at"),
            (r#"{"joined_at":"2030-01-01T00:00:00Z"}"#, "bad_value", "joined_at"),
            (r#"{"referred_by":"ann"}"#, "contradiction", "referred_by"),
            (r#"{"referred_by":""}"#, "bad_value", "referred_by"),
            (r#"{"time_zone":"CEST+9"}"#, "bad_value", "time_zone"),
            (r#"{"birthday":"1990-02-29"}"#, "bad_value", "birthday"),
            (r#"{"birthday":"--02-30"}"#, "bad_value", "birthday"),
            (r#"{"birthday":"--2-3"}"#, "bad_value", "birthday"),
            (r#"{"cause":"Plant trees"}"#, "bad_value", "cause"),
            (r#"{"profile_from":"soon"}"#, "bad_value", "profile_from"),
            (r#"{"segments":"gold"}"#, "wrong_type", "segments"),
            (r#"{"segments":["a",""]}"#, "bad_value", "segments[1]"),
            (r#"{"region":"4242 4242 4242 4242"}"#, "card_number", "region"),
            (r#"{"links":[{"kind":"device"}]}"#, "missing_field", "links[0].value"),
            (r#"{"links":[{"kind":"a b","value":"x"}]}"#, "bad_value", "links[0].kind"),
            (r#"{"links":[{"kind":"payout","value":"4242424242424242"}]}"#, "card_number", "links[0].value"),
            (r#"{"links":[{"kind":"ip","value":"x"},{"kind":"IP","value":"x"}]}"#, "contradiction", "links[1]"),
        ] {
            let fault = read(text).expect_err(text);
            assert_eq!((fault.code, fault.path.as_str()), (code, path), "{text}: {}", fault.detail);
        }
    }

    #[test]
    fn a_leap_day_is_a_birthday_and_nothing_said_is_an_empty_profile() {
        assert_eq!(read("{}").unwrap().profile, Profile::default());
        let said = read(r#"{"birthday":"--02-29","segments":["gold"],"cause":"trees"}"#).unwrap().profile;
        assert_eq!((said.birthday, said.segments), (Some((2, 29)), vec!["gold".to_owned()]));
        assert_eq!(said.cause, Some(Code::parse("trees").unwrap()));
    }
}
