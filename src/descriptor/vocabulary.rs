//! What is known of words before any merchant is: which are in half of all shops' names,
//! which are legal forms, states and countries, and which merchant categories are kin.

/// Words of very many shops' names, by how many of 65,536 shops have them: an index of a few
/// merchants must not take "COFFEE" for a rare word.
const COMMON: &[(u32, &[&str])] = &[
    (
        4_096,
        &["the", "and", "of", "de", "la", "le", "der", "die", "das", "el", "du", "des", "und", "et", "y", "a", "e"],
    ),
    (2_048, &["store", "shop", "restaurant", "market", "center", "centre", "online", "service", "services", "food"]),
    (
        1_024,
        &[
            "cafe",
            "coffee",
            "pizza",
            "bar",
            "grill",
            "house",
            "kitchen",
            "hotel",
            "auto",
            "salon",
            "beauty",
            "gas",
            "oil",
            "station",
            "mart",
            "foods",
            "liquor",
            "liquors",
            "bakery",
            "deli",
            "express",
            "city",
            "company",
            "pharmacy",
            "super",
            "supermarket",
            "group",
            "international",
            "usa",
            "hair",
            "nails",
            "parking",
            "boulangerie",
            "apotheke",
            "baeckerei",
            "backerei",
            "metzgerei",
            "gasthaus",
            "ristorante",
            "pizzeria",
            "trattoria",
            "bistro",
            "brasserie",
            "tabac",
            "pharmacie",
            "markt",
            "supermarche",
            "hospital",
            "medical",
            "dental",
            "health",
            "care",
            "home",
            "pub",
            "inn",
            "pos",
            "web",
            "bill",
            "payment",
        ],
    ),
    (
        256,
        &[
            "tea",
            "wine",
            "wines",
            "beer",
            "brewery",
            "brewing",
            "burger",
            "burgers",
            "taco",
            "tacos",
            "sushi",
            "thai",
            "chinese",
            "indian",
            "mexican",
            "italian",
            "bbq",
            "chicken",
            "fish",
            "steak",
            "noodle",
            "ramen",
            "garden",
            "gardens",
            "farm",
            "farms",
            "fresh",
            "green",
            "blue",
            "red",
            "black",
            "white",
            "gold",
            "golden",
            "old",
            "new",
            "first",
            "one",
            "best",
            "good",
            "big",
            "little",
            "american",
            "national",
            "royal",
            "king",
            "queen",
            "star",
            "sun",
            "moon",
            "park",
            "lake",
            "river",
            "hill",
            "hills",
            "valley",
            "beach",
            "bay",
            "island",
            "ocean",
            "mountain",
            "north",
            "south",
            "east",
            "west",
            "central",
            "downtown",
            "uptown",
            "main",
            "street",
            "st",
            "saint",
            "avenue",
            "ave",
            "road",
            "rd",
            "corner",
            "square",
            "village",
            "town",
            "county",
            "state",
            "union",
            "station",
            "airport",
            "terminal",
            "mall",
            "plaza",
            "tower",
            "building",
            "books",
            "book",
            "toys",
            "shoes",
            "clothing",
            "fashion",
            "boutique",
            "jewelry",
            "flowers",
            "florist",
            "pet",
            "pets",
            "bike",
            "bikes",
            "cycle",
            "sport",
            "sports",
            "fitness",
            "gym",
            "yoga",
            "spa",
            "studio",
            "art",
            "arts",
            "music",
            "theatre",
            "theater",
            "cinema",
            "games",
            "game",
            "repair",
            "cleaners",
            "laundry",
            "wash",
            "car",
            "truck",
            "tire",
            "motors",
            "parts",
            "hardware",
            "paint",
            "furniture",
            "electric",
            "electronics",
            "mobile",
            "wireless",
            "phone",
            "computer",
            "office",
            "print",
            "design",
            "fuel",
            "petrol",
            "truckstop",
            "travel",
            "airlines",
            "air",
            "rental",
            "taxi",
            "school",
            "college",
            "university",
            "church",
            "club",
            "lounge",
            "tavern",
            "diner",
            "eatery",
            "bagel",
            "bagels",
            "donut",
            "donuts",
            "doughnuts",
            "ice",
            "cream",
            "yogurt",
            "juice",
            "smoothie",
            "sandwich",
            "sandwiches",
            "subs",
            "wings",
            "seafood",
            "sons",
            "bros",
            "brothers",
            "family",
            "johns",
            "joes",
            "mikes",
            "marias",
            "daily",
            "corner",
            "local",
            "metro",
            "extra",
            "stores",
            "shops",
            "outlet",
            "factory",
            "warehouse",
            "wholesale",
            "trading",
            "supply",
            "depot",
            "world",
            "grand",
            "san",
            "santa",
            "los",
            "las",
            "port",
            "fort",
            "mount",
            "st",
            "supercenter",
            "supermarkets",
            "plus",
            "go",
            "hof",
            "haus",
            "neue",
            "alte",
            "stadt",
            "bahnhof",
            "gare",
            "petit",
            "grande",
            "casa",
            "don",
            "my",
            "your",
        ],
    ),
];

/// How many of 65,536 shops have a word in their name; 0 for words we know nothing of.
/// Linear in the table: asked once per word when an index is built, and for words of a text
/// that no merchant has.
#[must_use]
pub fn shops_with(word: &str) -> u32 {
    COMMON.iter().find(|(_, words)| words.contains(&word)).map_or(0, |(count, _)| *count)
}

/// Whether a word is a company's legal form and says nothing about which company.
#[must_use]
pub fn is_legal_form(word: &str) -> bool {
    matches!(
        word,
        "ltd"
            | "limited"
            | "inc"
            | "incorporated"
            | "corp"
            | "corporation"
            | "llc"
            | "llp"
            | "plc"
            | "gmbh"
            | "mbh"
            | "kg"
            | "ohg"
            | "ug"
            | "ag"
            | "sarl"
            | "sas"
            | "sasu"
            | "sa"
            | "srl"
            | "bv"
            | "ab"
            | "oy"
            | "aps"
            | "pty"
            | "sl"
            | "slu"
            | "co"
            | "company"
            | "dba"
    )
}

/// Words that announce a store number.
#[must_use]
pub fn announces_number(word: &str) -> bool {
    matches!(
        word,
        "store"
            | "str"
            | "no"
            | "nr"
            | "num"
            | "number"
            | "unit"
            | "branch"
            | "filiale"
            | "fil"
            | "shop"
            | "loc"
            | "location"
            | "stores"
            | "suc"
            | "sucursal"
            | "mag"
            | "whse"
    )
}

const REGIONS: &[&str] = &[
    "al", "ak", "az", "ar", "ca", "co", "ct", "de", "dc", "fl", "ga", "hi", "id", "il", "in", "ia", "ks", "ky", "la",
    "me", "md", "ma", "mi", "mn", "ms", "mo", "mt", "ne", "nv", "nh", "nj", "nm", "ny", "nc", "nd", "oh", "ok", "or",
    "pa", "pr", "ri", "sc", "sd", "tn", "tx", "ut", "vt", "va", "wa", "wv", "wi", "wy", "on", "bc", "qc", "mb", "sk",
    "ns", "nb", "nl", "pe", "nsw", "vic", "qld", "tas", "act",
];

/// A state or province of the United States, Canada or Australia as a text ends with it.
#[must_use]
pub fn region(word: &str) -> Option<&'static str> {
    REGIONS.iter().find(|region| **region == word).copied()
}

/// Whether a region is one of the United States.
#[must_use]
pub fn is_us_region(region: &str) -> bool {
    region.len() == 2 && REGIONS.iter().position(|known| *known == region).is_some_and(|place| place < 52)
}

const COUNTRIES: &[(&str, [u8; 2])] = &[
    ("usa", *b"US"),
    ("us", *b"US"),
    ("gbr", *b"GB"),
    ("gb", *b"GB"),
    ("uk", *b"GB"),
    ("deu", *b"DE"),
    ("fra", *b"FR"),
    ("fr", *b"FR"),
    ("nld", *b"NL"),
    ("bel", *b"BE"),
    ("be", *b"BE"),
    ("aut", *b"AT"),
    ("che", *b"CH"),
    ("ch", *b"CH"),
    ("esp", *b"ES"),
    ("es", *b"ES"),
    ("ita", *b"IT"),
    ("prt", *b"PT"),
    ("irl", *b"IE"),
    ("ie", *b"IE"),
    ("swe", *b"SE"),
    ("se", *b"SE"),
    ("dnk", *b"DK"),
    ("dk", *b"DK"),
    ("nor", *b"NO"),
    ("fin", *b"FI"),
    ("fi", *b"FI"),
    ("pol", *b"PL"),
    ("pl", *b"PL"),
    ("aus", *b"AU"),
    ("au", *b"AU"),
    ("nzl", *b"NZ"),
    ("nz", *b"NZ"),
    ("jpn", *b"JP"),
    ("jp", *b"JP"),
    ("sgp", *b"SG"),
    ("sg", *b"SG"),
    ("mex", *b"MX"),
    ("mx", *b"MX"),
    ("bra", *b"BR"),
    ("lux", *b"LU"),
    ("lu", *b"LU"),
    ("cze", *b"CZ"),
    ("cz", *b"CZ"),
];

/// The country a text ends with, where the word can mean nothing else: `DE` is also
/// Delaware and `CA` California, so those are regions.
#[must_use]
pub fn country(word: &str) -> Option<[u8; 2]> {
    COUNTRIES.iter().find(|(name, _)| *name == word).map(|(_, code)| *code)
}

/// First three digits of ZIP codes, from and to, by state (USPS Publication 65).
const ZIPS: &[(u16, u16, &str)] = &[
    (5, 5, "ny"),
    (6, 9, "pr"),
    (10, 27, "ma"),
    (28, 29, "ri"),
    (30, 38, "nh"),
    (39, 49, "me"),
    (50, 54, "vt"),
    (55, 55, "ma"),
    (56, 59, "vt"),
    (60, 62, "ct"),
    (64, 69, "ct"),
    (70, 89, "nj"),
    (100, 149, "ny"),
    (150, 196, "pa"),
    (197, 199, "de"),
    (200, 200, "dc"),
    (201, 201, "va"),
    (202, 205, "dc"),
    (206, 219, "md"),
    (220, 246, "va"),
    (247, 268, "wv"),
    (270, 289, "nc"),
    (290, 299, "sc"),
    (300, 319, "ga"),
    (320, 339, "fl"),
    (341, 349, "fl"),
    (350, 369, "al"),
    (370, 385, "tn"),
    (386, 397, "ms"),
    (398, 399, "ga"),
    (400, 427, "ky"),
    (430, 459, "oh"),
    (460, 479, "in"),
    (480, 499, "mi"),
    (500, 528, "ia"),
    (530, 549, "wi"),
    (550, 567, "mn"),
    (570, 577, "sd"),
    (580, 588, "nd"),
    (590, 599, "mt"),
    (600, 629, "il"),
    (630, 658, "mo"),
    (660, 679, "ks"),
    (680, 693, "ne"),
    (700, 714, "la"),
    (716, 729, "ar"),
    (730, 732, "ok"),
    (733, 733, "tx"),
    (734, 749, "ok"),
    (750, 799, "tx"),
    (800, 816, "co"),
    (820, 831, "wy"),
    (832, 838, "id"),
    (840, 847, "ut"),
    (850, 865, "az"),
    (870, 884, "nm"),
    (885, 885, "tx"),
    (889, 898, "nv"),
    (900, 961, "ca"),
    (967, 968, "hi"),
    (970, 979, "or"),
    (980, 994, "wa"),
    (995, 999, "ak"),
];

/// The state of a five-digit ZIP code; `None` for what is none or belongs to no one state.
#[must_use]
pub fn region_of_zip(zip: &str) -> Option<&'static str> {
    if zip.len() != 5 || !zip.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let prefix: u16 = zip[..3].parse().ok()?;
    ZIPS.iter().find(|(from, to, _)| (*from..=*to).contains(&prefix)).map(|(_, _, region)| *region)
}

/// Categories that acquirers give to one and the same shop stand under one number: a cafe is
/// a restaurant here and fast food there.
#[must_use]
pub fn mcc_family(mcc: u16) -> u16 {
    match mcc {
        3000..=3299 | 4511 => 4511,
        3351..=3441 | 7512 | 7513 | 7519 => 7512,
        3501..=3999 | 7011 | 7012 => 7011,
        5811..=5814 | 5462 | 5441 | 5451 => 5812,
        5300 | 5310 | 5311 | 5331 | 5399 | 5411 | 5422 | 5499 | 5921 => 5411,
        5541 | 5542 | 5983 | 5172 | 5552 => 5541,
        5611 | 5621 | 5631 | 5641 | 5651 | 5655 | 5661 | 5681 | 5691 | 5697 | 5698 | 5699 | 5137 | 5139 => 5651,
        5200 | 5211 | 5231 | 5251 | 5261 | 5039 | 5072 | 5074 => 5211,
        5912 | 5122 | 5977 | 8099 => 5912,
        5732 | 5734 | 5045 | 5722 | 4812 | 4814 | 4816 => 5732,
        5815..=5818 | 5735 | 7372 | 5968 | 4899 | 7841 | 5964 | 5965 | 5969 => 5815,
        5940 | 5941 | 7997 | 7941 | 7991 | 7999 => 5941,
        5942 | 5943 | 5192 | 5994 | 5111 | 2741 => 5942,
        5712..=5714 | 5718 | 5719 | 5021 => 5712,
        4111 | 4112 | 4121 | 4131 | 4789 => 4121,
        7230 | 7297 | 7298 => 7230,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_follow_from_zip_codes() {
        for (zip, state) in [
            ("94607", Some("ca")),
            ("10001", Some("ny")),
            ("04101", Some("me")),
            ("97205", Some("or")),
            ("98101", Some("wa")),
            ("9460", None),
            ("SW1A1", None),
            ("34000", None),
        ] {
            assert_eq!(region_of_zip(zip), state, "{zip}");
        }
        assert!(ZIPS.windows(2).all(|pair| pair[0].1 < pair[1].0), "in order and apart");
        assert!(ZIPS.iter().all(|(_, _, state)| is_us_region(state)));
        assert!(!is_us_region("bc") && !is_us_region("nsw"));
    }

    #[test]
    fn a_country_is_never_a_state() {
        assert!(COUNTRIES.iter().all(|(name, _)| region(name).is_none()));
    }

    #[test]
    fn kin_categories_are_one_family_and_families_are_stable() {
        assert_eq!(mcc_family(5812), mcc_family(5814));
        assert_ne!(mcc_family(5812), mcc_family(5411));
        assert!((0..=9999).all(|mcc| mcc_family(mcc_family(mcc)) == mcc_family(mcc)));
    }
}
