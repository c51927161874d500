//! Ten loyalty programmes as data: each a file of `config/programmes/`, compiled in, so that
//! they can be shown, copied and played without a folder at hand.

use crate::api::merchant_document::MerchantDocument;
use crate::api::offer_document::OfferDocument;
use crate::domain::OfferId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../config/programmes/", $name, ".json")))),*]
    };
}

/// Every programme: its name and its file.
pub const FILES: [(&str, &str); 10] = files![
    "coffee-club",
    "beauty-tiers",
    "refer-a-friend",
    "monthly-box",
    "mission",
    "community",
    "punch-card",
    "birthday",
    "third-shop",
    "cashback",
];

/// A programme: some offers of one merchant that belong together.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Programme {
    /// What it is, in a sentence.
    pub about: String,
    /// The merchant, where the offers need its shops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant: Option<MerchantDocument>,
    /// The offers, by their ids.
    pub offers: BTreeMap<OfferId, OfferDocument>,
}

/// A programme by its name.
#[must_use]
pub fn find(name: &str) -> Option<Programme> {
    let (_, text) = FILES.iter().find(|(other, _)| *other == name)?;
    Some(serde_json::from_str(text).expect("a test reads every file"))
}

/// Every programme with its name.
pub fn all() -> impl Iterator<Item = (&'static str, Programme)> {
    FILES.iter().filter_map(|(name, _)| Some((*name, find(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::offer_document::warnings;

    /// Each offer with its sentence.
    const IN_WORDS: [(&str, &str); 21] = [
        (
            "bakery-invitation",
            "Members who visit their second different shop (counting only purchases at market or \
             harbor) get invitation, good for 30 days, once.",
        ),
        (
            "bakery-third-shop",
            "Members who spend at least 5.00 USD and have visited at least 2 different shops \
             (counting only purchases at market or harbor) get 5.00 USD, once, at hilltop.",
        ),
        (
            "beauty-back",
            "Members get 8 percent, up to 40.00 USD when they are on tier gold or above, otherwise 5 \
             percent, up to 25.00 USD when they are on tier silver or above, otherwise 2 percent, up \
             to 10.00 USD.",
        ),
        (
            "beauty-early-access",
            "Members who are on tier gold or above get early-access, good for 60 days, once a year.",
        ),
        (
            "birthday",
            "Members who have their birthday within 7 days or had it up to 7 days ago and have been \
             members for at least 30 days get 20 percent, up to 20.00 EUR, once a year.",
        ),
        (
            "box-three-months",
            "Members get free-box, good for 60 days, once a month, with every third month in a row \
             (counting only purchases of at least 15.00 USD).",
        ),
        (
            "box-whole-year",
            "Members who buy in the 12th month in a row (counting only purchases of at least 15.00 \
             USD) get 30.00 USD, once a year.",
        ),
        (
            "cashback-mornings",
            "Members who have opted in and spend at least 5.00 USD get 5 percent, up to 10.00 USD, at \
             most 4 times a month, at most 20.00 USD in all, on weekdays from 06:00 to noon, from 1 \
             November 2026 until the end of 30 November 2026.",
        ),
        ("cashback-welcome-back", "Members who have not bought for 60 days get 10 percent, up to 5.00 USD, once."),
        ("coffee-beans", "Members get 1 bean for each 1.00 EUR spent, good for 365 days."),
        ("coffee-for-beans", "For 100 beans, members get free-coffee, good for 90 days."),
        (
            "coffee-friend",
            "For each member they refer who spends at least 5.00 EUR, members get 100 beans, and that \
             member gets 50 beans, for at most 10 referrals a year.",
        ),
        ("coffee-stamp-france", "Members get 25 beans, good for 365 days, once, in FR."),
        ("coffee-stamp-italy", "Members get 25 beans, good for 365 days, once, in IT."),
        ("community-credit", "For 200 sparks, members get 10.00 USD."),
        ("community-idea", "For each idea-shared, members get 50 sparks, once a month."),
        (
            "community-review",
            "For each review-posted, members who have bought at least once get 20 sparks, at most 4 \
             times a month.",
        ),
        (
            "mission-change",
            "Members who have opted in have what rounds the purchase up to the next 1.00 EUR given to \
             the cause they chose of rain-forest, mangroves and food-bank, at most 10.00 EUR a month.",
        ),
        (
            "mission-tree",
            "Members who spend at least 10.00 EUR have tree given to the cause they chose of \
             rain-forest and mangroves.",
        ),
        (
            "punch-card",
            "Members get free-cup, good for 60 days, with every 10th purchase (counting only \
             purchases of at least 3.00 USD).",
        ),
        (
            "refer-a-friend",
            "For each member they refer who spends at least 20.00 GBP, members who are in good \
             standing get 10.00 GBP when they are of the region london, otherwise 5.00 GBP, and that \
             member gets 10.00 GBP when they are of the region london, otherwise 10 percent, up to \
             10.00 GBP, for at most 5 referrals a year.",
        ),
    ];

    #[test]
    fn every_file_is_read_makes_sense_and_says_what_it_means() {
        let mut offers = BTreeMap::new();
        for (name, text) in FILES {
            let programme: Programme =
                crate::api::read::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert!(!programme.about.is_empty() && !programme.offers.is_empty(), "{name} is empty");
            assert!(text.lines().count() <= 50, "{name} is not a few readable lines");
            let mut merchants: Vec<_> = programme.offers.values().map(|offer| offer.merchant.clone()).collect();
            merchants.dedup();
            assert_eq!(merchants.len(), 1, "{name} has offers of several merchants");
            if let Some(merchant) = programme.merchant {
                merchant.into_merchant(merchants.remove(0)).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
            }
            for (id, document) in programme.offers {
                let terms = document.into_terms(&id).unwrap_or_else(|faults| panic!("{name}, {id}: {faults:?}"));
                assert_eq!(warnings(&terms), [], "{name}, {id}");
                offers.insert(id.to_string(), terms.in_words());
            }
        }
        let said: Vec<_> = offers.iter().map(|(id, words)| (id.as_str(), words.as_str())).collect();
        assert_eq!(said, IN_WORDS);
    }

    #[test]
    fn they_are_found_by_name() {
        assert_eq!(all().count(), FILES.len());
        assert!(find("punch-card").is_some() && find("none").is_none());
    }
}
