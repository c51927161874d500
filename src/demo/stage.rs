//! Where the demo plays: a temporary folder that goes when it is over, fresh secrets, the
//! settings of a real service on a free port, and the town entered into its books.

use super::houses::House;
use super::regulars::Regulars;
use super::town::{SOURCES, Town, TownOffer};
use crate::authenticate::keys::users::INVITATION_RANDOM_BYTES;
use crate::authenticate::keys::{KEY_RANDOM_BYTES, NewKey, Role};
use crate::authenticate::{Scheme, Secret, Signer};
use crate::commands::{Failure, random};
use crate::config::Settings;
use crate::domain::time::DAY_MS;
use crate::domain::{SourceName, Timestamp};
use crate::engine::Engine;
use crate::engine::acts::{Linking, Registration};
use crate::engine::catalogue::Step;
use crate::engine::redeem::Wanted;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Members entered at once: they share the journal's syncs.
const MEMBERS_AT_ONCE: usize = 512;
/// Days before the town's since when the houses have regulars.
pub(super) const REGULAR_DAYS: i64 = 400;
/// Few members need few partitions.
const PARTITIONS: &str = "16";

/// A folder of its own that is removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one that nobody else can look into.
    ///
    /// # Errors
    /// When the folder for temporary files cannot be written.
    pub fn make() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("ringfence-demo-{}", hex(&random::<8>()?)));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| format!("{}: {error}; TMPDIR names another place", path.display()))?;
        Ok(Self(path))
    }
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// Writes a file that its owner alone can read.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("ringfence: {} could not be removed: {error}", self.0.display());
        }
    }
}

/// The secrets of each source, one for each way it proves itself, and wrong ones.
pub struct Secrets {
    right: Vec<Vec<String>>,
    wrong: Vec<Vec<String>>,
}

/// How a source signs: all of these on each message.
#[derive(Debug)]
pub struct Signers {
    /// With its secrets.
    pub right: Vec<Signer>,
    /// With others.
    pub wrong: Vec<Signer>,
}

impl Secrets {
    /// Draws them from the system: nothing of a seed.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn draw() -> Result<Self, Failure> {
        let one = |scheme: &Scheme| {
            let text = STANDARD.encode(random::<32>()?);
            Ok::<_, Failure>(match scheme {
                Scheme::StandardWebhooks | Scheme::Stripe => format!("whsec_{text}"),
                Scheme::Basic => format!("quayside:{text}"),
                Scheme::Fidel | Scheme::Kard | Scheme::Marqeta => text,
            })
        };
        let all = || SOURCES.iter().map(|source| source.dialect.auth.iter().map(one).collect()).collect();
        let (right, wrong): (Result<_, Failure>, Result<_, Failure>) = (all(), all());
        Ok(Self { right: right?, wrong: wrong? })
    }
    /// Per source, how it signs.
    ///
    /// # Errors
    /// Never with secrets drawn here.
    pub fn signers(&self) -> Result<Vec<Signers>, Failure> {
        let with = |place: usize, secrets: &[Vec<String>]| -> Result<Vec<Signer>, Failure> {
            let ways = SOURCES[place].dialect.auth.iter().zip(&secrets[place]);
            let signer = |(scheme, text): (&Scheme, &String)| {
                Ok(Signer::new(*scheme, &Secret::new(text.as_str()))?.posting_to(&public_url(place)))
            };
            ways.map(signer).collect()
        };
        let of = |place| Ok(Signers { right: with(place, &self.right)?, wrong: with(place, &self.wrong)? });
        (0..SOURCES.len()).map(of).collect()
    }
}

/// Where a source believes to post, for those that sign it.
fn public_url(place: usize) -> String {
    format!("https://offers.quayside.example/v1/webhooks/{}", SOURCES[place].name)
}

/// Settings as a service of one's own would have them: the compiled-in default with
/// variables over it, the secrets by reference.
///
/// # Errors
/// When the variables are not right, which a test of the settings would show first.
pub fn settings(folder: &Path, secrets: &Secrets) -> Result<Settings, Failure> {
    let path = folder.to_str().ok_or("the folder for temporary files has a name that is not text")?;
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: String| drop(variables.insert(format!("RINGFENCE_{name}"), value));
    set("SERVER__LISTEN", "127.0.0.1:0".to_owned());
    set("SERVER__DRAIN_SECONDS_MAX", "2".to_owned());
    set("STORE__URL", format!("embedded:{path}/state"));
    set("STORE__PARTITIONS", PARTITIONS.to_owned());
    set("JOURNAL__DIR", format!("{path}/state/journal"));
    set("LIMITS__PER_SOURCE__PER_SECOND", "0".to_owned());
    set("LIMITS__PER_ADDRESS__PER_SECOND", "0".to_owned());
    // The town's people are told of as fast as they can be.
    set("LIMITS__PER_KEY__PER_SECOND", "0".to_owned());
    set("LOG__FORMAT", "text".to_owned());
    // What a warning would tell, the demo does on purpose.
    set("LOG__LEVEL", "error".to_owned());
    for (place, source) in SOURCES.iter().enumerate() {
        let ways = source.dialect.auth;
        set(&format!("SOURCES__{place}__NAME"), source.name.to_owned());
        set(&format!("SOURCES__{place}__FORMAT"), source.dialect.format.to_string());
        set(&format!("SOURCES__{place}__AUTH"), list(ways.iter().map(ToString::to_string)));
        let variable = |way: usize| format!("SECRET_{place}_{way}");
        let entry = |(way, scheme): (usize, &Scheme)| format!("{scheme}=env:RINGFENCE_{}", variable(way));
        set(&format!("SOURCES__{place}__SECRETS"), list(ways.iter().enumerate().map(entry)));
        if ways.iter().any(|scheme| scheme.signs_address()) {
            set(&format!("SOURCES__{place}__PUBLIC_URL"), public_url(place));
        }
        for (way, secret) in secrets.right[place].iter().enumerate() {
            set(&variable(way), secret.clone());
        }
    }
    Ok(Settings::load(None, &variables, &|_| Err(std::io::ErrorKind::NotFound.into()))?)
}

/// A list of TOML.
fn list(items: impl Iterator<Item = String>) -> String {
    let quoted: Vec<String> = items.map(|item| format!("\"{item}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// A configuration file for the commands beside the running demo: `ringfence sign`.
///
/// # Errors
/// When the disk refuses.
pub fn write_config(folder: &Folder, secrets: &Secrets, listen: &str) -> Result<PathBuf, Failure> {
    let mut text = format!("[server]\nlisten = \"{listen}\"\n");
    for (place, source) in SOURCES.iter().enumerate() {
        let (name, format, ways) = (source.name, source.dialect.format, source.dialect.auth);
        let mut files = Vec::with_capacity(ways.len());
        for (scheme, secret) in ways.iter().zip(&secrets.right[place]) {
            let file = folder.write(&format!("{name}.{scheme}.secret"), secret)?;
            files.push(format!("{scheme}=file:{}", file.display()));
        }
        let (auth, files) = (list(ways.iter().map(ToString::to_string)), list(files.into_iter()));
        writeln!(text, "\n[[sources]]\nname = \"{name}\"\nformat = \"{format}\"\nauth = {auth}\nsecrets = {files}")?;
        if ways.iter().any(|scheme| scheme.signs_address()) {
            writeln!(text, "public_url = \"{}\"", public_url(place))?;
        }
    }
    folder.write("ringfence.toml", &text)
}

/// Marks the day, once screening has come up: as the service does it by itself, within seconds.
///
/// # Errors
/// When the store refuses.
pub async fn mark(engine: &Arc<Engine>, now: Timestamp) -> Result<(), Failure> {
    let today = Timestamp::start_of_day(now.day());
    loop {
        // Also when the service has begun to: it comes back when all that the mark brings is done.
        engine.mark_day(now).await?;
        if (0..engine.partitions()).all(|partition| engine.mark(partition) >= today) {
            return Ok(());
        }
    }
}

/// A fresh operator key for whoever tries what comes next.
///
/// # Errors
/// When the key file refuses.
pub fn operator_key(keys: &crate::authenticate::KeyRing, now: Timestamp) -> Result<Secret, Failure> {
    let new = NewKey { role: Role::Operator, merchant: None, label: Some("demo".to_owned()) };
    Ok(keys.create(new, now, &random::<KEY_RANDOM_BYTES>()?)?.1)
}

/// A sign-in to the consoles that is good once.
///
/// # Errors
/// When the system gives no random number, or the key file refuses.
pub fn once(keys: &crate::authenticate::KeyRing, key: &Secret, now: Timestamp) -> Result<Secret, Failure> {
    let caller = keys.verify(key.expose()).ok_or("the key was revoked")?;
    Ok(keys.invite(&caller.key_id, now, &random::<INVITATION_RANDOM_BYTES>()?)?)
}

/// Enters merchants, offers and people, as of some days before the town's day; the houses'
/// programmes as of more than a year before.
///
/// # Errors
/// When the store refuses.
pub async fn enter(
    engine: &Arc<Engine>,
    town: &Town,
    houses: &[House],
    regulars: &Regulars,
    start: Timestamp,
) -> Result<(), Failure> {
    for shop in &town.shops {
        engine.put_merchant(shop.merchant.clone(), None).await?;
    }
    for house in houses {
        engine.put_merchant(house.shops[0].merchant.clone(), None).await?;
    }
    let programmes = houses.iter().flat_map(|house| &house.offers);
    let offers = town.offers.iter().map(|offer| (offer, 14)).chain(programmes.map(|offer| (offer, REGULAR_DAYS)));
    for (TownOffer { id, terms }, days) in offers {
        engine.put_offer(id, terms.clone(), None).await?;
        // The operator's word: it counts from before it was entered.
        engine.step_offer(id, Step::Publish, Some(start.plus_ms(-days * DAY_MS))).await?;
    }
    let sources: Vec<SourceName> =
        SOURCES.iter().map(|source| SourceName::new(source.name)).collect::<Result<_, _>>()?;
    let one = |(place, person)| enter_person(engine, town, place, person, &sources, start);
    futures_util::stream::iter((0..).zip(&town.people))
        .map(|person| Ok::<_, Failure>(one(person)))
        .try_buffer_unordered(MEMBERS_AT_ONCE)
        .try_collect::<()>()
        .await?;
    for (member, offer) in &regulars.activated {
        engine.activate(member, offer, true, Some(start.plus_ms(-REGULAR_DAYS * DAY_MS))).await?;
    }
    Ok(())
}

/// The regulars spend their points.
///
/// # Errors
/// When the store refuses, or somebody has fewer than they must have.
pub async fn spend(engine: &Arc<Engine>, regulars: &Regulars) -> Result<(), Failure> {
    for (nth, (member, offer)) in regulars.spent.iter().enumerate() {
        let wanted = Wanted::Offer(offer.clone());
        engine.redeem(member, format!("treat-{nth}"), wanted, None, |_| String::new()).await?;
    }
    Ok(())
}

async fn enter_person(
    engine: &Arc<Engine>,
    town: &Town,
    place: i64,
    person: &super::town::Person,
    sources: &[SourceName],
    start: Timestamp,
) -> Result<(), Failure> {
    let before = |days: i64| Some(start.plus_ms(-days * DAY_MS));
    // They came over two years, each at an hour of their own.
    let joined = start.plus_ms(-(120 + place * 7_919 % 700) * DAY_MS - place * 104_729 % DAY_MS);
    let said = Registration { joined_at: Some(joined), ..Registration::default() };
    engine.register(&person.id, said, None).await?;
    let linking = |card: &super::town::Card, same_card_as| Linking {
        source: sources[card.source].clone(),
        token: card.token.clone(),
        from: before(person.linked_days),
        same_card_as,
        replaces: None,
    };
    for card in &person.cards {
        engine.link_card(&person.id, linking(card, None)).await?;
    }
    if let Some(twin) = &person.twin {
        let first = &person.cards[0];
        let same = engine.card_hash(&sources[first.source], &first.token);
        engine.link_card(&person.id, linking(twin, Some(same))).await?;
    }
    for offer in &person.activated {
        engine.activate(&person.id, &town.offers[*offer].id, true, before(7)).await?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
