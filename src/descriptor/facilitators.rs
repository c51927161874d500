//! Who else stands in a statement text: payment facilitators, wallets, marketplaces and
//! the words banks put in front. Data alone; `clean` reads it.

/// What the text behind a mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It names the shop: the facilitator only carries the money.
    Shop,
    /// It names the shop: the wallet only carried the card.
    Wallet,
    /// It names an order or a seller, while the mark's owner sold: a restaurant behind a
    /// delivery service was not paid by this card.
    Marketplace,
    /// A bank's own words about the payment; the rest is the text proper.
    Bank,
}

/// A mark and what it means.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Facilitator {
    /// As it stands in front, lower case; a space stands for any white space or none
    /// before a star.
    pub mark: &'static str,
    /// Whose it is; a marketplace's name is also the shop's.
    pub name: &'static str,
    /// What follows it.
    pub kind: Kind,
}

const fn of(mark: &'static str, name: &'static str, kind: Kind) -> Facilitator {
    Facilitator { mark, name, kind }
}

/// Longer marks of one beginning come first. Where each is documented is said in
/// `tests/data/descriptors/SOURCES.md`.
pub const FACILITATORS: &[Facilitator] = &[
    // Point of sale and payment facilitators: `MARK*SHOP`.
    of("sqc*", "square cash", Kind::Marketplace),
    of("squ*sq *", "square", Kind::Shop),
    of("gosq.com", "square", Kind::Shop),
    of("sq *", "square", Kind::Shop),
    of("tst*", "toast", Kind::Shop),
    of("toast*", "toast", Kind::Shop),
    of("paypal inst xfer", "paypal", Kind::Shop),
    of("paypal *", "paypal", Kind::Shop),
    of("pypl *", "paypal", Kind::Shop),
    of("pp*pos", "zettle", Kind::Shop),
    of("pp *", "paypal", Kind::Shop),
    of("izettle *", "zettle", Kind::Shop),
    of("zettle *", "zettle", Kind::Shop),
    of("zettle_*", "zettle", Kind::Shop),
    of("iz *", "zettle", Kind::Shop),
    of("sumup *", "sumup", Kind::Shop),
    of("shopify *", "shopify", Kind::Shop),
    of("sp *", "shopify", Kind::Shop),
    of("sp ", "shopify", Kind::Shop),
    of("cke*", "cake", Kind::Shop),
    of("clover *", "clover", Kind::Shop),
    of("clv*", "clover", Kind::Shop),
    of("in *", "intuit", Kind::Shop),
    of("py *", "paysimple", Kind::Shop),
    of("wpy*", "wepay", Kind::Shop),
    of("pst*", "paystand", Kind::Shop),
    of("nbx*", "tilled", Kind::Shop),
    of("pay*", "tilled", Kind::Shop),
    of("stripe*", "stripe", Kind::Shop),
    of("lightspeed*", "lightspeed", Kind::Shop),
    of("ls *", "lightspeed", Kind::Shop),
    of("spoton*", "spoton", Kind::Shop),
    of("fh* ", "fareharbor", Kind::Shop),
    of("fh*", "fareharbor", Kind::Shop),
    of("blt*", "boulevard", Kind::Shop),
    of("bls*", "blackbaud", Kind::Shop),
    of("par*", "par", Kind::Shop),
    of("cnp*", "card not present", Kind::Shop),
    of("propay*", "propay", Kind::Shop),
    of("totem*", "totem", Kind::Shop),
    of("act*", "active network", Kind::Shop),
    of("amz*", "amazon pay", Kind::Shop),
    of("klarna*", "klarna", Kind::Shop),
    of("afterpay*", "afterpay", Kind::Shop),
    of("worldpay*", "worldpay", Kind::Shop),
    of("nyx*", "nayax", Kind::Shop),
    of("nya*", "nayax", Kind::Shop),
    of("ctlp*", "cantaloupe", Kind::Shop),
    of("usa*", "cantaloupe", Kind::Shop),
    of("2co*", "2checkout", Kind::Shop),
    of("fs *", "fastspring", Kind::Shop),
    of("paddle.net*", "paddle", Kind::Shop),
    of("bt*", "braintree", Kind::Shop),
    // Wallets.
    of("apple pay", "apple pay", Kind::Wallet),
    of("applepay", "apple pay", Kind::Wallet),
    of("aplpay", "apple pay", Kind::Wallet),
    of("google pay", "google pay", Kind::Wallet),
    of("googlepay", "google pay", Kind::Wallet),
    of("gpay", "google pay", Kind::Wallet),
    of("samsung pay", "samsung pay", Kind::Wallet),
    // Marketplaces and shops that are paid themselves, whatever stands behind the mark.
    of("amzn mktplace", "amazon", Kind::Marketplace),
    of("amzn mktpl", "amazon", Kind::Marketplace),
    of("amzn mktp", "amazon", Kind::Marketplace),
    of("amazon mktplace", "amazon", Kind::Marketplace),
    of("amazon mktpl", "amazon", Kind::Marketplace),
    of("amazon marketplace", "amazon", Kind::Marketplace),
    of("amazon.com", "amazon", Kind::Marketplace),
    of("amazon.co.uk", "amazon", Kind::Marketplace),
    of("amazon.de", "amazon", Kind::Marketplace),
    of("amazon.fr", "amazon", Kind::Marketplace),
    of("amazon.ca", "amazon", Kind::Marketplace),
    of("amzn digital", "amazon", Kind::Marketplace),
    of("amzn.com/bill", "amazon", Kind::Marketplace),
    of("google *", "google", Kind::Marketplace),
    of("apple.com/bill", "apple services", Kind::Marketplace),
    of("itunes.com/bill", "apple services", Kind::Marketplace),
    of("apl*itunes.com/bill", "apple services", Kind::Marketplace),
    of("apl*", "apple services", Kind::Marketplace),
    of("uber *eats", "uber eats", Kind::Marketplace),
    of("ubereats", "uber eats", Kind::Marketplace),
    of("uber eats", "uber eats", Kind::Marketplace),
    of("uber *one", "uber", Kind::Marketplace),
    of("uber *trip", "uber", Kind::Marketplace),
    of("uber trip", "uber", Kind::Marketplace),
    of("uber *", "uber", Kind::Marketplace),
    of("ubr*", "uber", Kind::Marketplace),
    of("lyft *", "lyft", Kind::Marketplace),
    of("doordash*", "doordash", Kind::Marketplace),
    of("doordash ", "doordash", Kind::Marketplace),
    of("dd *", "doordash", Kind::Marketplace),
    of("dd doordash", "doordash", Kind::Marketplace),
    of("grubhub*", "grubhub", Kind::Marketplace),
    of("seamless*", "grubhub", Kind::Marketplace),
    of("instacart*", "instacart", Kind::Marketplace),
    of("ic* ", "instacart", Kind::Marketplace),
    of("postmates*", "postmates", Kind::Marketplace),
    of("deliveroo*", "deliveroo", Kind::Marketplace),
    of("just eat*", "just eat", Kind::Marketplace),
    of("eb *", "eventbrite", Kind::Marketplace),
    of("tm *", "ticketmaster", Kind::Marketplace),
    of("ebay o*", "ebay", Kind::Marketplace),
    of("ebay *", "ebay", Kind::Marketplace),
    of("etsy.com*", "etsy", Kind::Marketplace),
    of("airbnb *", "airbnb", Kind::Marketplace),
    of("venmo *", "venmo", Kind::Marketplace),
    of("cash app*", "cash app", Kind::Marketplace),
    // What banks put in front.
    of("recurring payment authorized on", "bank", Kind::Bank),
    of("recurring card purchase", "bank", Kind::Bank),
    of("recurring payment", "bank", Kind::Bank),
    of("purchase authorized on", "bank", Kind::Bank),
    of("debit card purchase", "bank", Kind::Bank),
    of("point of sale purchase", "bank", Kind::Bank),
    of("card purchase with pin", "bank", Kind::Bank),
    of("visa debit purchase", "bank", Kind::Bank),
    of("contactless payment", "bank", Kind::Bank),
    of("card payment to", "bank", Kind::Bank),
    of("card payment", "bank", Kind::Bank),
    of("card purchase", "bank", Kind::Bank),
    of("retail purchase", "bank", Kind::Bank),
    of("pos purchase", "bank", Kind::Bank),
    of("pos debit", "bank", Kind::Bank),
    of("pin purchase", "bank", Kind::Bank),
    of("kartenzahlung", "bank", Kind::Bank),
    of("paiement par carte", "bank", Kind::Bank),
    of("checkcard", "bank", Kind::Bank),
    of("chkcard", "bank", Kind::Bank),
    of("visa purchase", "bank", Kind::Bank),
];

/// The facilitator whose mark a folded text begins with, and what is behind it. A mark
/// that ends in a letter must end a word. Linear in the table, by the first letter.
#[must_use]
pub fn strip(text: &str) -> Option<(&'static Facilitator, &str)> {
    let first = text.as_bytes().first()?;
    let mut found: Option<(&'static Facilitator, &str)> = None;
    for facilitator in FACILITATORS.iter().filter(|facilitator| facilitator.mark.as_bytes().first() == Some(first)) {
        if let Some(rest) = behind(text, facilitator.mark)
            && found.is_none_or(|(best, _)| best.mark.len() < facilitator.mark.len())
        {
            found = Some((facilitator, rest));
        }
    }
    found
}

/// What is behind a mark; white space before and after a star does not matter.
fn behind<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let mut rest = text;
    let mut last = ' ';
    for letter in mark.chars() {
        if letter == '*' {
            rest = rest.trim_start_matches(' ').strip_prefix('*')?.trim_start_matches(' ');
        } else if letter == ' ' {
            let trimmed = rest.trim_start_matches(' ');
            if trimmed.len() == rest.len() && !rest.starts_with('*') {
                return None;
            }
            rest = trimmed;
        } else {
            rest = rest.strip_prefix(letter)?;
        }
        last = letter;
    }
    let ends_word = !last.is_ascii_alphanumeric() || !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    ends_word.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_with_and_without_spaces() {
        for (text, name, rest) in [
            ("sq *blue bottle", "square", "blue bottle"),
            ("sq * blue bottle", "square", "blue bottle"),
            ("sq*blue bottle", "square", "blue bottle"),
            ("tst* joes", "toast", "joes"),
            ("paypal *shop", "paypal", "shop"),
            ("sp allbirds", "shopify", "allbirds"),
            ("uber   *trip help.uber.com", "uber", " help.uber.com"),
            ("uber eats", "uber eats", ""),
            ("amzn mktp us*2k4lx1", "amazon", " us*2k4lx1"),
            ("zettle_*corner", "zettle", "corner"),
            ("pp*pos coffee", "zettle", " coffee"),
            ("dd *doordash chipotle", "doordash", "doordash chipotle"),
        ] {
            let (facilitator, behind) = strip(text).unwrap();
            assert_eq!((facilitator.name, behind), (name, rest), "{text}");
        }
    }

    #[test]
    fn a_name_that_begins_alike_is_no_mark() {
        for text in
            ["square one", "sparks", "sp", "spa day", "uber", "checkcards", "tstone", "iz", "google", "in n out"]
        {
            assert!(strip(text).is_none(), "{text}");
        }
    }

    #[test]
    fn no_mark_is_given_twice_and_all_are_folded() {
        let mut marks: Vec<_> = FACILITATORS.iter().map(|facilitator| facilitator.mark).collect();
        assert!(marks.iter().all(|mark| mark.is_ascii() && !mark.bytes().any(|byte| byte.is_ascii_uppercase())));
        marks.sort_unstable();
        let count = marks.len();
        marks.dedup();
        assert_eq!(marks.len(), count);
    }
}
