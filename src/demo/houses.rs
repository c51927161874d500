//! The houses of the town that run a loyalty programme: the ten of `config/programmes/`, as
//! they are, each at shops of its own.

use super::town::{CITIES, FIT, Shop, TownOffer, Trade, mid};
use crate::commands::Failure;
use crate::domain::merchant::{Location, Merchant};
use crate::domain::time::DAY_MS;
use crate::domain::{Currency, LocationId, MerchantId, OfferId, Timestamp};
use crate::programmes;
use jiff::tz::TimeZone;

/// Days of a campaign before the town's day, and as many after.
const CAMPAIGN_DAYS: i64 = 30;

/// A house with its programme.
#[derive(Debug, Clone)]
pub struct House {
    /// The programme's file.
    pub programme: &'static str,
    /// Its shops, in the programme's order; all of one merchant.
    pub shops: Vec<Shop>,
    /// What the programme promises.
    pub offers: Vec<TownOffer>,
}

/// Programme, the house's name, place in [`CITIES`], merchant category.
const HOUSES: [(&str, &str, usize, &str); 10] = [
    ("coffee-club", "Fairtrade Roasters", 3, "5814"),
    ("beauty-tiers", "Mirror & Balm", 0, "5977"),
    ("refer-a-friend", "Ridgeway Outfitters", 2, "5655"),
    ("monthly-box", "The Monthly Box", 1, "5968"),
    ("mission", "Good Goods", 3, "5399"),
    ("community", "Makers' Yard", 1, "5945"),
    ("punch-card", "Corner Café", 1, "5814"),
    ("birthday", "Livraria do Largo", 3, "5942"),
    ("third-shop", "Blue Door Bakery", 0, "5462"),
    ("cashback", "Blue Bottle", 0, "5814"),
];

/// All of them, for a day of the town.
///
/// # Errors
/// When a programme's file is not what a test of it says it is.
pub fn all(start: Timestamp) -> Result<Vec<House>, Failure> {
    HOUSES.iter().enumerate().map(|(place, said)| house(place, said, start)).collect()
}

fn house(
    place: usize,
    &(programme, name, city, mcc): &(&'static str, &str, usize, &'static str),
    start: Timestamp,
) -> Result<House, Failure> {
    let file = programmes::find(programme).ok_or_else(|| format!("there is no programme {programme}"))?;
    let mut offers = Vec::with_capacity(file.offers.len());
    for (id, document) in file.offers {
        let faulty = |faults| format!("{programme}, {id}: {faults:?}");
        let mut terms = document.into_terms(&id).map_err(faulty)?;
        // A campaign of fixed dates is in season whenever the town is.
        let zone = TimeZone::get(CITIES[city].zone)?;
        let season = |days: i64| start.plus_ms(days * DAY_MS).local(&zone).date().at(0, 0, 0, 0);
        terms.starts = terms.starts.map(|_| season(-CAMPAIGN_DAYS));
        terms.ends = terms.ends.map(|_| season(CAMPAIGN_DAYS));
        offers.push(TownOffer { id: OfferId::new(id.as_str())?, terms });
    }
    let first = &offers.first().ok_or("a programme without offers")?.terms;
    let (id, currency) = (first.merchant.clone(), first.currency);
    let merchant = match file.merchant {
        Some(document) => document.into_merchant(id).map_err(|fault| format!("{programme}: {fault:?}"))?,
        None => plain(id, name, city, place),
    };
    let shops = merchant.locations.iter().map(|location| shop(&merchant, location, city, currency, mcc)).collect();
    Ok(House { programme, shops, offers })
}

/// The merchant of a programme that names no shops: one is enough.
fn plain(id: MerchantId, name: &str, city: usize, place: usize) -> Merchant {
    let at = &CITIES[city];
    let location = Location {
        id: LocationId::new("main").expect(FIT),
        name: None,
        time_zone: None,
        country: Some(at.country.into()),
        postcode: Some(at.postcode.into()),
        city: None,
        mcc: None,
        store_numbers: Vec::new(),
        mids: vec![mid(511_300_001 + place * 17)],
        store_ids: Vec::new(),
        descriptors: Vec::new(),
    };
    Merchant {
        id,
        name: name.to_owned(),
        time_zone: at.zone.into(),
        locations: vec![location],
        competitors: Vec::new(),
    }
}

/// A location as the card networks see it.
fn shop(merchant: &Merchant, location: &Location, city: usize, currency: Currency, mcc: &'static str) -> Shop {
    let mid = location.mids.first().map(|mid| mid.mid.to_string()).unwrap_or_default();
    Shop {
        merchant: merchant.clone(),
        trade: Trade::Coffee,
        city,
        currency,
        authorization_mid: mid.clone(),
        clearing_mid: mid,
        mcc,
        descriptor: format!("{} {}", merchant.name.to_uppercase(), location.id.as_str().to_uppercase()),
        offers: Vec::new(),
    }
}
