//! `[[sources]]`: who may post webhooks, in whose words, and how each proves itself.
//!
//! A secret belongs to one way of authentication. With one way there is nothing to say; with
//! several, an entry names its way (`basic=env:NAME`), and what names none is for the one way
//! that no entry names. No secret ever serves two: HTTP basic sends its password with every
//! request, and a signature's key must not travel.

use super::pull::{self, PullSettings};
use super::reader::Reader;
use super::secret::{self, SecretEntry, SecretPlace, SecretText};
use super::values::{self, Bad, Rate, bad};
use super::{BURST_MAX, PER_SECOND_MAX, ReadFile, SOURCES_MAX, read_rate};
use crate::authenticate::{SECRETS_MAX, Scheme};
use crate::domain::SourceName;
use crate::domain::purchase::{EXCHANGE, REFERRAL, SIGNAL};
use crate::normalise::Format;
use std::collections::BTreeMap;

/// `[[sources]]`
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Its name, part of its address.
    pub name: SourceName,
    /// Whose words it speaks.
    pub format: Format,
    /// How it proves itself, all of which must hold; never empty.
    pub auth: Vec<Scheme>,
    /// Its secrets as listed; at least one for each way of `auth`, the current one first.
    pub secrets: Vec<SourceSecret>,
    /// The address it posts to, letter for letter; there exactly when a way of `auth` signs it.
    pub public_url: Option<String>,
    /// The card network of its merchants' ids when a message names none.
    pub default_scheme: Option<String>,
    /// Its own rate. `None`: that of `limits.per_source`.
    pub rate: Option<SourceRate>,
    /// Where its pages are, when some things are pulled.
    pub pull: Option<PullSettings>,
}

/// One secret of a source.
#[derive(Debug, Clone)]
pub struct SourceSecret {
    /// The way of authentication it is for.
    pub scheme: Scheme,
    /// Where it is.
    pub place: SecretPlace,
    /// As given: `whsec_` and all.
    pub text: SecretText,
}

/// A source's own rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceRate {
    /// As fast as it likes.
    Unlimited,
    /// This fast.
    Limited(Rate),
}

/// A source as far as it could be read.
pub(super) struct FoundSource {
    name: Option<SourceName>,
    format: Option<Format>,
    auth: Vec<Scheme>,
    entries: Vec<SecretEntry>,
    secrets: Vec<SourceSecret>,
    public_url: Option<String>,
    default_scheme: Option<String>,
    rate: Option<SourceRate>,
    pull: Option<PullSettings>,
}

impl FoundSource {
    /// The whole source. `None` when a part is missing, which has then been named.
    pub(super) fn settle(self) -> Option<SourceSettings> {
        Some(SourceSettings {
            name: self.name?,
            format: self.format?,
            auth: self.auth,
            secrets: self.secrets,
            public_url: self.public_url,
            default_scheme: self.default_scheme,
            rate: self.rate,
            pull: self.pull,
        })
    }
    /// The variables its secrets are in.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        let pull = self.pull.iter().filter_map(|pull| pull.secret_place.as_ref());
        self.entries.iter().map(|entry| &entry.place).chain(pull).filter_map(|place| match place {
            SecretPlace::Env(name) => Some(name.as_str()),
            SecretPlace::File(_) => None,
        })
    }
}

/// Reads all of them.
pub(super) fn read(
    reader: &mut Reader<'_>,
    env: &BTreeMap<String, String>,
    read_file: ReadFile<'_>,
) -> Vec<FoundSource> {
    for key in ["name", "format", "auth", "secrets", "public_url", "default_scheme"] {
        reader.know(&format!("sources[].{key}"), None);
    }
    reader.know("sources[].rate.per_second", Some((0, PER_SECOND_MAX)));
    reader.know("sources[].rate.burst", Some((1, BURST_MAX)));
    pull::know(reader);
    let count = reader.sections("sources", SOURCES_MAX);
    let mut found: Vec<FoundSource> = Vec::with_capacity(count);
    for index in 0..count {
        let at = format!("sources[{index}]");
        let source = read_source(reader, &at, env, read_file);
        let same_name = found.iter().position(|other| other.name.is_some() && other.name == source.name);
        if let (Some(other), Some(name)) = (same_name, &source.name) {
            let wrong = format!("`{name}` is the name of sources[{other}] too");
            reader.problem(&format!("{at}.name"), Bad { wrong, right: "a name of its own".to_owned() });
        }
        refuse_shared_secrets(reader, &at, &found, &source);
        found.push(source);
    }
    found
}

/// A signature does not name the source: with one secret for two, what was posted to the
/// one can be posted again to the other, and would count twice.
fn refuse_shared_secrets(reader: &mut Reader<'_>, at: &str, before: &[FoundSource], source: &FoundSource) {
    for (nth, secret) in source.secrets.iter().enumerate() {
        let same = |other: &SourceSecret| other.text.expose() == secret.text.expose();
        let wrong = match before.iter().position(|other| other.secrets.iter().any(same)) {
            Some(other) => format!("is a secret of sources[{other}] too"),
            None if source.secrets[..nth].iter().any(same) => "is given twice".to_owned(),
            None => continue,
        };
        let right = "a secret of its own for each source, each once".to_owned();
        reader.problem(&format!("{at}.secrets[{nth}]"), Bad { wrong, right });
    }
}

fn read_source(
    reader: &mut Reader<'_>,
    at: &str,
    env: &BTreeMap<String, String>,
    read_file: ReadFile<'_>,
) -> FoundSource {
    let name = reader.required(&format!("{at}.name"), "a name such as \"visa-eu\"", parse_source_name);
    let format = reader.required(&format!("{at}.format"), "such as \"ringfence\"", values::parse_format);
    let auth = read_auth(reader, at);
    let (entries, secrets) = read_secrets(reader, at, auth.as_deref(), env, read_file);
    let public_url = read_signed_url(reader, at, auth.as_deref());
    let default_scheme = reader.optional(&format!("{at}.default_scheme"), |text| {
        let fine = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if fine { Ok(text.to_owned()) } else { bad("is no card network", "its name in lower case, such as \"visa\"") }
    });
    let rate = format!("{at}.rate");
    let rate = reader.is_said(&rate).then(|| match read_rate(reader, &rate) {
        Some(rate) => SourceRate::Limited(rate),
        None => SourceRate::Unlimited,
    });
    let auth = auth.unwrap_or_default();
    let pull = pull::read(reader, &format!("{at}.pull"), env, read_file);
    FoundSource { name, format, auth, entries, secrets, public_url, default_scheme, rate, pull }
}

/// The ways of authentication. `None` when they are not right, which has then been named.
fn read_auth(reader: &mut Reader<'_>, at: &str) -> Option<Vec<Scheme>> {
    let path = format!("{at}.auth");
    let before = reader.problems.len();
    let auth = reader.list(&path, 4, "ways of authentication", values::parse_scheme);
    let mut refuse = |wrong: String, right: &str| reader.problem(&path, Bad { wrong, right: right.to_owned() });
    let twice = auth.iter().enumerate().find(|(nth, scheme)| auth[..*nth].contains(scheme));
    if let Some((_, scheme)) = twice {
        refuse(format!("names `{scheme}` twice"), "each way once");
    } else if auth.iter().filter(|scheme| scheme.signs_body()).count() > 1 {
        refuse("names more than one signature of the body".to_owned(), "the one its provider signs with");
    }
    if reader.problems.len() > before {
        return None;
    }
    if auth.is_empty() {
        let right = "at least one, such as [\"standard-webhooks\"]".to_owned();
        reader.problem(&path, Bad { wrong: "names no way of authentication".to_owned(), right });
        return None;
    }
    Some(auth)
}

/// The address that is signed: needed where one is, and nowhere else.
fn read_signed_url(reader: &mut Reader<'_>, at: &str, auth: Option<&[Scheme]>) -> Option<String> {
    let path = format!("{at}.public_url");
    let url = reader.optional(&path, values::parse_signed_url);
    let signing = auth?.iter().find(|scheme| scheme.signs_address());
    match (signing, reader.is_said(&path)) {
        (Some(scheme), false) => {
            let wrong = format!("is missing, and `{scheme}` signs the address it posts to");
            let right = "that address as the provider has it, letter for letter".to_owned();
            reader.problem(&path, Bad { wrong, right });
            None
        }
        (None, true) => {
            let wrong = "is not used: no way in `auth` signs the address".to_owned();
            let right = "only where one does, such as `fidel`; `server.public_url` says how we are reached".to_owned();
            reader.problem(&path, Bad { wrong, right });
            None
        }
        _ => url,
    }
}

/// The entries as read, and those whose secret could be fetched and is good.
fn read_secrets(
    reader: &mut Reader<'_>,
    at: &str,
    auth: Option<&[Scheme]>,
    env: &BTreeMap<String, String>,
    read_file: ReadFile<'_>,
) -> (Vec<SecretEntry>, Vec<SourceSecret>) {
    let path = format!("{at}.secrets");
    let before = reader.problems.len();
    let entries = reader.list(&path, SECRETS_MAX, "places of secrets", SecretEntry::parse);
    if entries.is_empty() && reader.problems.len() == before {
        let right = "at least one, such as [\"env:RINGFENCE_SECRET_VISA_EU\"]".to_owned();
        reader.problem(&path, Bad { wrong: "names no secret".to_owned(), right });
    }
    let complete = reader.problems.len() == before;
    // When an entry before could not be read, the position is not known: the list is named.
    let path_of = |nth: usize| if complete { format!("{path}[{nth}]") } else { path.clone() };
    let schemes = match auth {
        Some(auth) if complete => schemes_of(reader, &path, auth, &entries),
        _ => entries.iter().map(|entry| entry.scheme).collect(),
    };
    let mut secrets = Vec::with_capacity(entries.len());
    for (nth, (entry, scheme)) in entries.iter().zip(schemes).enumerate() {
        let fetched = fetch(&entry.place, env, read_file).and_then(|text| {
            scheme.map_or(Ok(()), |scheme| secret::check_secret(text.expose(), scheme))?;
            Ok(text)
        });
        match (fetched, scheme) {
            (Ok(text), Some(scheme)) => {
                secrets.push(SourceSecret { scheme, place: entry.place.clone(), text });
            }
            // What it is for could not be said, and has been named.
            (Ok(_), None) => {}
            (Err(found), _) => {
                let wrong = format!("the secret at `{}` {}", entry.place, found.wrong);
                reader.problem(&path_of(nth), Bad { wrong, right: found.right });
            }
        }
    }
    (entries, secrets)
}

/// For which way each entry is. `None` when that cannot be told, which has then been named.
fn schemes_of(reader: &mut Reader<'_>, path: &str, auth: &[Scheme], entries: &[SecretEntry]) -> Vec<Option<Scheme>> {
    let named = |scheme: &Scheme| entries.iter().any(|entry| entry.scheme.as_ref() == Some(scheme));
    let left: Vec<Scheme> = auth.iter().filter(|scheme| !named(scheme)).copied().collect();
    let mut schemes = Vec::with_capacity(entries.len());
    for (nth, entry) in entries.iter().enumerate() {
        let mut refuse = |wrong: String, right: String| {
            reader.problem(&format!("{path}[{nth}]"), Bad { wrong, right });
            None
        };
        schemes.push(match (entry.scheme, &left[..]) {
            (Some(scheme), _) if auth.contains(&scheme) => Some(scheme),
            (Some(scheme), _) => refuse(
                format!("is for `{scheme}`, which `auth` does not name"),
                "a secret for a way in `auth`".to_owned(),
            ),
            (None, [scheme]) => Some(*scheme),
            (None, left) => {
                let wrong = if left.is_empty() {
                    "does not say which way it is for, and each way in `auth` has its own"
                } else {
                    "does not say which way it is for, and `auth` names several"
                };
                refuse(wrong.to_owned(), format!("the way before it, such as \"{}={}\"", auth[0], entry.place))
            }
        });
    }
    let nothing_unnamed = entries.iter().all(|entry| entry.scheme.is_some());
    for scheme in left.iter().filter(|_| nothing_unnamed && !entries.is_empty()) {
        let right = format!("at least one for each way in `auth`, such as \"{scheme}=env:NAME\"");
        reader.problem(path, Bad { wrong: format!("names no secret for `{scheme}`"), right });
    }
    schemes
}

/// Words under which a member's entries that are no purchases are kept.
const RESERVED: [&str; 3] = [SIGNAL, REFERRAL, EXCHANGE];

fn parse_source_name(text: &str) -> Result<SourceName, Bad> {
    const RIGHT: &str = "1 to 64 lower-case letters, digits, `-`, `_` and `.`, beginning with a letter or digit";
    let fits = text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
    if RESERVED.contains(&text) {
        return bad(format!("`{text}` is a word of ours for what is no purchase"), "another name");
    }
    match SourceName::new(text) {
        Ok(name) if fits => Ok(name),
        _ => bad(format!("{} cannot stand in an address", values::quoted(text)), RIGHT),
    }
}

pub(super) fn fetch(
    place: &SecretPlace,
    env: &BTreeMap<String, String>,
    read_file: ReadFile<'_>,
) -> Result<SecretText, Bad> {
    match place {
        SecretPlace::Env(name) => match env.get(name) {
            Some(text) => Ok(SecretText::new(text.clone())),
            None => bad("is missing", format!("the variable {name}, set")),
        },
        SecretPlace::File(path) => match read_file(path) {
            Ok(text) => {
                let text = zeroize::Zeroizing::new(text);
                // Editors and `echo` end a file with a line feed, which is no part of the secret.
                let bare = text.strip_suffix('\n').unwrap_or(&text);
                Ok(SecretText::new(bare.strip_suffix('\r').unwrap_or(bare).to_owned()))
            }
            Err(error) => bad(format!("cannot be read: {error}"), "a readable file with the secret alone"),
        },
    }
}
