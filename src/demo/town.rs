//! The town of the demo: its shops with the ids by which card networks name them, what they
//! offer, and the people with their cards. Made from a seed, the same every time; knows no
//! clock, no engine and no network.

use super::dialect::{DIALECTS, Dialect};
use crate::domain::merchant::{Competitor, Location, Merchant, Mid};
use crate::domain::offer::{
    Activation, Amount, Condition, CountCap, Limits, Period, PurchaseTest, Reward, Stacking, StackingMode, Terms,
};
use crate::domain::{Currency, LocationId, MemberId, MerchantId, OfferId};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Who tells of card events.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// As the service calls it. Of two that know a card, the first by name credits.
    pub name: &'static str,
    /// Whose words it speaks.
    pub dialect: &'static Dialect,
    /// How many of a hundred cards are its.
    share: u32,
}

/// The place of the bank that speaks our own format.
pub const BANK: usize = 0;

/// All of them: one for each format.
pub static SOURCES: [Source; DIALECTS.len()] = [
    Source { name: "harbour-bank", dialect: DIALECTS[0], share: 30 },
    Source { name: "quayside-cards", dialect: DIALECTS[1], share: 14 },
    Source { name: "ferry-rewards", dialect: DIALECTS[2], share: 9 },
    Source { name: "pier-points", dialect: DIALECTS[3], share: 9 },
    Source { name: "anchor-offers", dialect: DIALECTS[4], share: 9 },
    Source { name: "beacon-network", dialect: DIALECTS[5], share: 9 },
    Source { name: "mooring-pay", dialect: DIALECTS[6], share: 10 },
    Source { name: "slipway-cards", dialect: DIALECTS[7], share: 10 },
];

/// The first shop's declared competitor: its name, the domain of its staff's e-mail, its network.
pub const COMPETITOR: (&str, &str, &str) = ("Grey Gull Coffee", "greygull.example", "203.0.113.0/25");

/// What a shop sells, which decides how its card events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trade {
    /// Small, in the morning, cleared at once.
    Coffee,
    /// At noon.
    Lunch,
    /// A basket in the evening.
    Grocery,
    /// One unit is authorized, the true amount comes later.
    Fuel,
    /// Grows by increments, cleared at the end.
    Hotel,
    /// Shipped in parts.
    Online,
    /// Cleared with the tip.
    Dinner,
}

/// Where shops and people are.
#[derive(Debug, Clone, Copy)]
pub struct City {
    /// For people.
    pub name: &'static str,
    /// IANA zone.
    pub zone: &'static str,
    /// What is paid with.
    pub currency: &'static str,
    /// ISO 3166 alpha-2.
    pub country: &'static str,
    /// One postcode is enough.
    pub postcode: &'static str,
}

/// The quarters of the town happen to lie in four zones and three currencies.
pub const CITIES: [City; 4] = [
    City { name: "Portland", zone: "America/Los_Angeles", currency: "USD", country: "US", postcode: "97205" },
    City { name: "New York", zone: "America/New_York", currency: "USD", country: "US", postcode: "10013" },
    City { name: "London", zone: "Europe/London", currency: "GBP", country: "GB", postcode: "SE1 9AL" },
    City { name: "Lisbon", zone: "Europe/Lisbon", currency: "EUR", country: "PT", postcode: "1100-148" },
];

const SHOPS: [(&str, &str, Trade, usize); 20] = [
    ("blue-heron", "Blue Heron Coffee", Trade::Coffee, 0),
    ("alder-deli", "Alder Street Deli", Trade::Lunch, 0),
    ("rose-grocers", "Rose City Grocers", Trade::Grocery, 0),
    ("cascade-fuel", "Cascade Fuel", Trade::Fuel, 0),
    ("pine-thread", "Pine & Thread", Trade::Online, 0),
    ("ironside", "Ironside Grill", Trade::Dinner, 0),
    ("third-rail", "Third Rail Roasters", Trade::Coffee, 1),
    ("mott-dumplings", "Mott Street Dumplings", Trade::Lunch, 1),
    ("greenpoint", "Greenpoint Market", Trade::Grocery, 1),
    ("harbor-gas", "Harbor Gas", Trade::Fuel, 1),
    ("linden-hotel", "The Linden Hotel", Trade::Hotel, 1),
    ("spindle-books", "Spindle Books", Trade::Online, 1),
    ("kettle-crumb", "Kettle & Crumb", Trade::Coffee, 2),
    ("borough-salads", "Borough Salads", Trade::Lunch, 2),
    ("thames-food", "Thames Provisions", Trade::Grocery, 2),
    ("lantern-house", "Lantern House Hotel", Trade::Hotel, 2),
    ("andorinha", "Café Andorinha", Trade::Coffee, 3),
    ("tasca-do-rio", "Tasca do Rio", Trade::Dinner, 3),
    ("mercado-azul", "Mercado Azul", Trade::Grocery, 3),
    ("casa-pinhal", "Casa do Pinhal", Trade::Online, 3),
];

const FIRST: [&str; 40] = [
    "Ann", "Ben", "Clara", "David", "Elena", "Felix", "Grace", "Hugo", "Ines", "Jonas", "Kira", "Leo", "Maria", "Noah",
    "Olga", "Paul", "Quinn", "Rosa", "Samir", "Tessa", "Uma", "Victor", "Wanda", "Xavier", "Yara", "Zoe", "Amir",
    "Bella", "Carlos", "Dora", "Emil", "Fatima", "George", "Hana", "Ivan", "Julia", "Karim", "Lucia", "Mateo", "Nora",
];
const LAST: [&str; 40] = [
    "Archer", "Baker", "Costa", "Dias", "Evans", "Fisher", "Gomes", "Hughes", "Ito", "Jensen", "Kaur", "Lopes",
    "Miller", "Nunes", "Okafor", "Park", "Quist", "Rossi", "Santos", "Turner", "Ueda", "Vieira", "Walsh", "Xu",
    "Young", "Zimmer", "Abbott", "Brandt", "Carter", "Dubois", "Engel", "Ferro", "Grant", "Holm", "Ibrahim", "Jones",
    "Klein", "Lund", "Moreau", "Novak",
];

/// A shop with its merchant's document.
#[derive(Debug, Clone)]
pub struct Shop {
    /// The document.
    pub merchant: Merchant,
    /// What it sells.
    pub trade: Trade,
    /// Index into [`CITIES`].
    pub city: usize,
    /// What it sells in.
    pub currency: Currency,
    /// How authorizations name it: with leading zeros.
    pub authorization_mid: String,
    /// How clearings name it: at some shops another id.
    pub clearing_mid: String,
    /// Merchant category code.
    pub mcc: &'static str,
    /// What stands on the card statement.
    pub descriptor: String,
    /// Its offers, by place in [`Town::offers`].
    pub offers: Vec<usize>,
}

/// An offer as it is published.
#[derive(Debug, Clone)]
pub struct TownOffer {
    /// Its id.
    pub id: OfferId,
    /// What it promises.
    pub terms: Terms,
}

/// A card: who issued it, and how they call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Index into [`SOURCES`].
    pub source: usize,
    /// The token.
    pub token: String,
}

/// A person with cards.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their id.
    pub id: MemberId,
    /// Their name.
    pub name: String,
    /// Index into [`CITIES`].
    pub city: usize,
    /// One or two cards.
    pub cards: Vec<Card>,
    /// The first card as another source knows it, when two do.
    pub twin: Option<Card>,
    /// Offers they opted in to, by place in [`Town::offers`].
    pub activated: Vec<usize>,
    /// Days before the town's since when their cards are linked.
    pub linked_days: i64,
}

/// Everything that is there before the day begins.
#[derive(Debug, Clone)]
pub struct Town {
    /// Who funds offers.
    pub shops: Vec<Shop>,
    /// What they promise.
    pub offers: Vec<TownOffer>,
    /// Who buys.
    pub people: Vec<Person>,
}

impl Town {
    /// Builds the town. The same random numbers give the same town.
    #[must_use]
    pub fn build(rng: &mut ChaCha8Rng, members: usize) -> Self {
        let mut town = Self { shops: Vec::new(), offers: Vec::new(), people: Vec::new() };
        for (place, said) in SHOPS.iter().enumerate() {
            let mut shop = shop(place, said);
            for (id, terms) in offers(&shop, members) {
                shop.offers.push(town.offers.len());
                town.offers.push(TownOffer { id: OfferId::new(id).expect(FIT), terms });
            }
            town.shops.push(shop);
        }
        for place in 0..members {
            let person = town.person(rng, place);
            town.people.push(person);
        }
        town
    }

    /// Shops of a trade in a city; most cities have one, some none.
    #[must_use]
    pub fn shop_of(&self, city: usize, trade: Trade) -> Option<usize> {
        self.shops.iter().position(|shop| shop.city == city && shop.trade == trade)
    }

    /// The only offer of a shop, when what it gives for one purchase depends on that purchase
    /// alone: no budget, no caps, no hours, no rival.
    #[must_use]
    pub fn plain_offer(&self, shop: usize) -> Option<usize> {
        let &[only] = self.shops[shop].offers.as_slice() else { return None };
        let terms = &self.offers[only].terms;
        let mut hours = false;
        terms.when.each_leaf(&mut |leaf| hours |= matches!(leaf, Condition::Purchase(PurchaseTest::LocalTime(_))));
        let plain = terms.budget_minor.is_none() && terms.limits == Limits::default() && !hours;
        plain.then_some(only)
    }

    /// What a plain offer gives for what stands of a purchase: the reference that the books
    /// are compared with, written without the engine's help.
    #[must_use]
    pub fn plain_reward(&self, offer: usize, person: &Person, stands_minor: i64) -> i64 {
        let terms = &self.offers[offer].terms;
        let opted = terms.activation == Activation::Automatic || person.activated.contains(&offer);
        let mut least = 0;
        terms.when.each_leaf(&mut |leaf| {
            if let Condition::Purchase(PurchaseTest::Spend(bounds)) = leaf {
                least = least.max(bounds.at_least.unwrap_or(0));
            }
        });
        if !opted || stands_minor <= 0 || stands_minor < least {
            return 0;
        }
        let reward = match terms.reward.amount {
            Amount::Share { basis_points, max } => {
                let share = stands_minor * i64::from(basis_points.0) / 10_000;
                max.map_or(share, |max| share.min(max))
            }
            Amount::Fixed(minor) => minor,
            _ => unreachable!("no offer of the town gives anything else"),
        };
        reward.min(stands_minor)
    }

    fn person(&self, rng: &mut ChaCha8Rng, place: usize) -> Person {
        let (first, last) = (FIRST[place % 40], LAST[(place / 40 + place * 7) % 40]);
        let city = [0, 0, 0, 1, 1, 1, 2, 2, 3, 3][rng.random_range(0..10)];
        let source = any_source(rng);
        let card = |rng: &mut ChaCha8Rng, source| Card { source, token: token(rng, source) };
        let mut cards = vec![card(rng, source)];
        if rng.random_ratio(1, 5) {
            let other = any_source(rng);
            cards.push(card(rng, other));
        }
        let twin = rng.random_ratio(1, 12).then(|| {
            let other = any_source(rng);
            card(rng, if other == source { (source + 1) % SOURCES.len() } else { other })
        });
        let of_city =
            |offer: &TownOffer| self.shops.iter().any(|s| s.city == city && s.merchant.id == offer.terms.merchant);
        let asks = |offer: &TownOffer| offer.terms.activation == Activation::Required && of_city(offer);
        let may: Vec<usize> = (0..self.offers.len()).filter(|at| asks(&self.offers[*at])).collect();
        let activated = may.into_iter().filter(|_| rng.random_ratio(7, 10)).collect();
        let id = format!("{}.{}.{place}", first.to_lowercase(), last.to_lowercase());
        let (id, name) = (MemberId::new(id).expect(FIT), format!("{first} {last}"));
        Person { id, name, city, cards, twin, activated, linked_days: 90 }
    }

    /// Somebody who comes for a house's programme alone, with one card of the bank. They live
    /// behind all others, and the day of the town is without them.
    pub(super) fn regular(&mut self, city: usize) -> usize {
        let place = self.people.len();
        let (first, last) = (FIRST[place % 40], LAST[(place / 40 + place * 7) % 40]);
        let letters: String = format!("regular{place}").bytes().map(letter).collect();
        self.people.push(Person {
            id: MemberId::new(format!("{}.{}.{place}", first.to_lowercase(), last.to_lowercase())).expect(FIT),
            name: format!("{first} {last}"),
            city,
            cards: vec![Card { source: BANK, token: SOURCES[BANK].dialect.token(&letters) }],
            twin: None,
            activated: Vec::new(),
            linked_days: super::stage::REGULAR_DAYS,
        });
        place
    }
}

/// Why a name of ours is fit.
pub(super) const FIT: &str = "made above to obey the rules";

/// Letters alone, so that no token can look like a card number.
fn token(rng: &mut ChaCha8Rng, source: usize) -> String {
    let letters: String = (0..16).map(|_| char::from(b'a' + rng.random_range(0..26_u8))).collect();
    SOURCES[source].dialect.token(&letters)
}

/// A digit as a letter.
fn letter(byte: u8) -> char {
    char::from(if byte.is_ascii_digit() { byte - b'0' + b'a' } else { byte })
}

/// A source, each as often as its share of cards says.
fn any_source(rng: &mut ChaCha8Rng) -> usize {
    let mut drawn = rng.random_range(0..100);
    for (place, source) in SOURCES.iter().enumerate() {
        if drawn < source.share {
            return place;
        }
        drawn -= source.share;
    }
    BANK
}

fn shop(place: usize, &(id, name, trade, city): &(&str, &str, Trade, usize)) -> Shop {
    let mcc = match trade {
        Trade::Coffee => "5814",
        Trade::Lunch | Trade::Dinner => "5812",
        Trade::Grocery => "5411",
        Trade::Fuel => "5542",
        Trade::Hotel => "7011",
        Trade::Online => "5691",
    };
    let bare = 445_566_001 + place * 17;
    // Some acquirers clear under another id than they authorize under.
    let cleared = if place % 3 == 1 { bare + 900_000 } else { bare };
    let mut mids = vec![mid(bare)];
    if cleared != bare {
        mids.push(mid(cleared));
    }
    let at = &CITIES[city];
    let location = Location {
        id: LocationId::new(format!("{id}-1")).expect(FIT),
        name: None,
        time_zone: Some(at.zone.into()),
        country: Some(at.country.into()),
        postcode: Some(at.postcode.into()),
        city: None,
        mcc: None,
        store_numbers: Vec::new(),
        mids,
        store_ids: Vec::new(),
        descriptors: Vec::new(),
    };
    Shop {
        merchant: Merchant {
            id: MerchantId::new(id).expect(FIT),
            name: name.to_owned(),
            time_zone: at.zone.into(),
            locations: vec![location],
            competitors: if place == 0 { vec![competitor()] } else { Vec::new() },
        },
        trade,
        city,
        currency: Currency::parse(at.currency).expect(FIT),
        authorization_mid: format!("{bare:015}"),
        clearing_mid: format!("{cleared:015}"),
        mcc,
        descriptor: format!("{} {}", name.to_uppercase(), at.name.to_uppercase()),
        offers: Vec::new(),
    }
}

/// An id of a shop among the card networks.
pub(super) fn mid(mid: usize) -> Mid {
    let mid = compact_str::format_compact!("{mid}");
    Mid { scheme: None, acquirer: None, mid, from: None, to: None, shared: false }
}

fn competitor() -> Competitor {
    let (name, domain, network) = COMPETITOR;
    Competitor {
        name: name.to_owned(),
        mids: Vec::new(),
        email_domains: vec![domain.into()],
        networks: vec![network.into()],
    }
}

fn percent(basis_points: u32, max_minor: Option<i64>) -> Reward {
    Reward::percent(basis_points, max_minor)
}

fn offers(shop: &Shop, members: usize) -> Vec<(String, Terms)> {
    let id = shop.merchant.id.as_str();
    let plain = |title: &str, reward, hold_days| Terms {
        hold_days,
        ..Terms::new(shop.merchant.id.clone(), title, shop.currency, reward)
    };
    let in_group = |terms: Terms, priority| Terms {
        stacking: Stacking { group: Some("coffee".into()), mode: StackingMode::Exclusive, priority },
        ..terms
    };
    let budget = i64::try_from(members).unwrap_or(i64::MAX / 64) * 20;
    match shop.trade {
        Trade::Coffee => {
            let twice = CountCap { count: 2, every: Period::Day };
            let mornings = Terms {
                when: Condition::local_time(127, 360, 720),
                limits: Limits { per_member: Some(twice), ..Limits::default() },
                ..plain("10 % back before noon, twice a day", percent(1000, Some(200)), 0)
            };
            let always = plain("4 % back all day", percent(400, None), 0);
            vec![(format!("{id}-mornings"), in_group(mornings, 10)), (format!("{id}-always"), in_group(always, 5))]
        }
        Trade::Lunch => {
            let least = Condition::spend_at_least(1200);
            let title = "1.50 back on lunches from 12.00";
            vec![(format!("{id}-lunch"), Terms { when: least, ..plain(title, Reward::fixed(150), 7) })]
        }
        Trade::Grocery => {
            let least = Condition::spend_at_least(2000);
            let title = "2 % back on baskets from 20.00";
            vec![(format!("{id}-basket"), Terms { when: least, ..plain(title, percent(200, Some(500)), 14) })]
        }
        Trade::Fuel => {
            let title = "3 % back on fuel, once activated";
            let asked = Terms { activation: Activation::Required, ..plain(title, percent(300, None), 0) };
            vec![(format!("{id}-fuel"), asked)]
        }
        Trade::Hotel => vec![(format!("{id}-stay"), plain("8 % back on a stay", percent(800, Some(4000)), 30))],
        Trade::Online => {
            let title = "6 % back while the budget lasts";
            vec![(format!("{id}-order"), Terms { budget_minor: Some(budget), ..plain(title, percent(600, None), 14) })]
        }
        Trade::Dinner => {
            let limits = Limits { reward_per_member_minor: Some(400), ..Limits::default() };
            vec![(format!("{id}-dinner"), Terms { limits, ..plain("5 % back, tip included", percent(500, None), 0) })]
        }
    }
}
