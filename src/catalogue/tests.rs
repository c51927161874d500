//! The rules of recognition as tables, and the packed index against a plain scan of the
//! documents over small random worlds, with and without an overlay.

use super::*;
use crate::domain::merchant::{Mid, StoreId};
use crate::domain::offer::{OfferVersion, Reward, Terms, What};
use crate::domain::{Code, Currency, LocationId};
use compact_str::CompactString;
use proptest::prelude::*;

fn text(text: &str) -> Option<CompactString> {
    if text == "-" { None } else { Some(text.into()) }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(ms)
}

fn location(id: &str) -> Location {
    Location::new(LocationId::new(id).unwrap())
}

fn merchant(id: &str, locations: Vec<Location>) -> Arc<Merchant> {
    Arc::new(Merchant {
        id: MerchantId::new(id).unwrap(),
        name: id.to_owned(),
        time_zone: "Europe/Paris".into(),
        locations,
        competitors: Vec::new(),
    })
}

fn offer(id: &str, merchant: &str, title: &str) -> Arc<Offer> {
    let id = OfferId::new(id).unwrap();
    let terms = Terms::new(
        MerchantId::new(merchant).unwrap(),
        title,
        Currency::parse("USD").unwrap(),
        Reward::percent(500, None),
    );
    Arc::new(Offer { id: id.clone(), versions: vec![OfferVersion { offer: id, version: 1, terms }], life: Vec::new() })
}

/// A world in lines: `merchant/location mid SCHEME ACQUIRER MID [FROM TO] [shared]`,
/// `… store SCHEME ID`, `… text DESCRIPTOR`; `-` is absent.
fn world(lines: &str) -> Vec<Arc<Merchant>> {
    let mut found: BTreeMap<String, BTreeMap<String, Location>> = BTreeMap::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (owner, shop) = words[0].split_once('/').unwrap();
        let shop = found.entry(owner.into()).or_default().entry(shop.into()).or_insert_with(|| location(shop));
        match words[1] {
            "mid" => shop.mids.push(Mid {
                scheme: text(words[2]),
                acquirer: text(words[3]),
                mid: words[4].into(),
                from: words.get(5).and_then(|ms| ms.parse().ok()).map(at),
                to: words.get(6).and_then(|ms| ms.parse().ok()).map(at),
                shared: words.last() == Some(&"shared"),
            }),
            "store" => shop.store_ids.push(StoreId { scheme: text(words[2]), id: words[3].into() }),
            _ => shop.descriptors.push(words[2..].join(" ").into()),
        }
    }
    found.into_iter().map(|(id, shops)| merchant(&id, shops.into_values().collect())).collect()
}

/// `SCHEME ACQUIRER MID [store=ID] [text=DESCRIPTOR]`; `-` is absent and `''` is empty.
fn mark(line: &str) -> MerchantMark {
    let mut mark = MerchantMark::default();
    let words: Vec<&str> = line.split_whitespace().map(|word| if word == "''" { "" } else { word }).collect();
    (mark.scheme, mark.acquirer, mark.mid) = (text(words[0]), text(words[1]), text(words[2]));
    for word in &words[3..] {
        match word.split_once('=').unwrap() {
            ("store", id) => mark.store_id = Some(id.into()),
            (_, descriptor) => mark.descriptor = Some(descriptor.replace('_', " ").into()),
        }
    }
    mark
}

fn say(found: Option<Located<'_>>) -> String {
    found.map_or_else(
        || "-".to_owned(),
        |found| {
            let evidence = match found.evidence() {
                Evidence::Mid => "mid",
                Evidence::StoreId => "store",
                Evidence::Descriptor => "text",
                Evidence::Likeness(_) => "like",
            };
            let doubt = if found.location_is_certain() { "" } else { " or another" };
            format!("{}/{} {evidence}{doubt}", found.merchant().id, found.location().id)
        },
    )
}

/// Asks each question `MARK @TIME -> ANSWER` of a world.
fn check(lines: &str, questions: &str) {
    let merchants = world(lines);
    let catalogue = Catalogue::build(merchants.clone(), Vec::new(), 1, 42);
    for question in questions.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (asked, answer) = question.split_once("->").unwrap();
        let (asked, time) = asked.split_once('@').unwrap_or((asked, "0"));
        let (mark, time) = (mark(asked), at(time.trim().parse().unwrap()));
        assert_eq!(say(catalogue.locate(&mark, time)), answer.trim(), "{question}");
        assert_eq!(scan(&merchants, &mark, time), answer.trim(), "scan: {question}");
    }
}

// ---- the plain scan: the rules once more, as slowly and plainly as possible ----

fn plain(text: &str, zeros_matter: bool) -> Option<String> {
    let text = text.trim().to_ascii_uppercase();
    let stripped = text.trim_start_matches('0');
    if stripped.is_empty() { None } else { Some(if zeros_matter { text } else { stripped.to_owned() }) }
}

/// `None` when they differ, else whether both are known.
fn fits(registered: Option<String>, sent: Option<String>) -> Option<bool> {
    match (registered, sent) {
        (Some(one), Some(other)) => (one == other).then_some(true),
        _ => Some(false),
    }
}

fn lower(text: Option<&str>) -> Option<String> {
    text.map(|text| text.trim().to_ascii_lowercase()).filter(|text| !text.is_empty())
}

/// Rank, shared, merchant, location.
type PlainClaim<'a> = (usize, bool, &'a str, &'a str);

fn conclude(claims: &[PlainClaim<'_>], evidence: &str, one_location: bool) -> Option<String> {
    let best = claims.iter().map(|claim| claim.0).max()?;
    let best: Vec<_> = claims.iter().filter(|claim| claim.0 == best).collect();
    if best.iter().any(|claim| claim.1 || claim.2 != best[0].2) {
        return None;
    }
    let smallest = best.iter().map(|claim| claim.3).min()?;
    let several = best.iter().any(|claim| claim.3 != smallest);
    if several && one_location {
        return None;
    }
    Some(format!("{}/{smallest} {evidence}{}", best[0].2, if several { " or another" } else { "" }))
}

fn scan(merchants: &[Arc<Merchant>], mark: &MerchantMark, time: Timestamp) -> String {
    let (mut mids, mut stores, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    let scheme = lower(mark.scheme.as_deref());
    for (owner, shop) in merchants.iter().flat_map(|owner| owner.locations.iter().map(move |shop| (owner, shop))) {
        let (owner, place) = (owner.id.as_str(), shop.id.as_str());
        for mid in &shop.mids {
            let Some(key) = plain(&mid.mid, false) else { continue };
            if mark.mid.as_deref().and_then(|sent| plain(sent, false)) != Some(key)
                || mid.from.is_some_and(|from| time < from)
                || mid.to.is_some_and(|to| time >= to)
            {
                continue;
            }
            let of = |text: &Option<CompactString>| text.as_deref().and_then(|text| plain(text, false));
            let Some(acquirer_equal) = fits(of(&mid.acquirer), of(&mark.acquirer)) else { continue };
            let Some(scheme_equal) = fits(lower(mid.scheme.as_deref()), scheme.clone()) else { continue };
            mids.push((2 * usize::from(acquirer_equal) + usize::from(scheme_equal), mid.shared, owner, place));
        }
        for store in &shop.store_ids {
            let Some(key) = plain(&store.id, true) else { continue };
            let Some(scheme_equal) = fits(lower(store.scheme.as_deref()), scheme.clone()) else { continue };
            if mark.store_id.as_deref().and_then(|sent| plain(sent, true)) == Some(key) {
                stores.push((usize::from(scheme_equal), false, owner, place));
            }
        }
        for text in &shop.descriptors {
            let fold = |text: &str| text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
            if mark.descriptor.as_deref().map(fold) == Some(fold(text)) && !fold(text).is_empty() {
                texts.push((0, false, owner, place));
            }
        }
    }
    conclude(&mids, "mid", false)
        .or_else(|| conclude(&stores, "store", false))
        .or_else(|| conclude(&texts, "text", true))
        .unwrap_or_else(|| "-".to_owned())
}

// ---- tables ----

#[test]
fn a_unit_stays_with_the_merchant_who_named_it_first() {
    let of = |id: &str, merchant: &str, unit: &str| {
        let mut offer = offer(id, merchant, "points").as_ref().clone();
        let unit = Code::parse(unit).unwrap();
        offer.versions[0].terms.reward.what = What::Points { unit, expires_days: None, worth_of_100_minor: 0 };
        Arc::new(offer)
    };
    let owner = |catalogue: &Catalogue, unit: &str| {
        catalogue.unit_owner(&Unit::Points(Code::parse(unit).unwrap())).map(MerchantId::to_string)
    };
    let built = Catalogue::build(Vec::new(), vec![of("a", "m1", "beans")], 1, 3);
    let grown = built.with_offer(of("b", "m2", "leaves"), 2).with_offer(of("c", "m2", "beans"), 3);
    let merged = grown.adopt(&grown.merged(4)).unwrap();
    for catalogue in [&grown, &merged] {
        assert_eq!(owner(catalogue, "beans").as_deref(), Some("m1"));
        assert_eq!(owner(catalogue, "leaves").as_deref(), Some("m2"));
        assert_eq!(owner(catalogue, "nuts"), None);
    }
    // The snapshot before does not know what came after it.
    assert_eq!(owner(&built, "leaves"), None);
}

#[test]
fn leading_zeros_case_and_spaces_do_not_matter() {
    check(
        "a/1 mid visa 0412 000445566778899
         b/1 mid visa - 77ab
         c/1 mid visa - 0012345678901234567890",
        "visa 412 445566778899         -> a/1 mid
         visa 000412 0000000445566778899 -> a/1 mid
         visa - 000445566778899        -> a/1 mid
         visa - 00077AB                -> b/1 mid
         visa - 12345678901234567890   -> c/1 mid
         visa - 12345678901234567891   -> -
         visa - 4455667788990          -> -",
    );
    let catalogue = Catalogue::build(world("a/1 mid visa - 12"), Vec::new(), 1, 1);
    let spaced = MerchantMark { mid: Some("  012 ".into()), ..MerchantMark::default() };
    assert_eq!(say(catalogue.locate(&spaced, at(0))), "a/1 mid");
}

#[test]
fn nothing_zero_and_empty_are_not_sent() {
    check(
        "a/1 mid - - 0
         a/2 mid - - 000000000000000
         a/2 store visa 0
         b/1 mid - - 10
         b/1 text Blue Bottle
         b/2 store - 9",
        "visa - 0   -> -
         visa - ''  -> -
         visa - -   -> -
         visa - 000 -> -
         visa 0 10  -> b/1 mid
         visa '' 10 -> b/1 mid
         '' - 10    -> b/1 mid
         visa - 0 store=9 -> b/2 store
         visa - 0 store=0 -> -
         visa - 0 store=0 text=blue_bottle -> b/1 text",
    );
}

#[test]
fn what_is_left_out_fits_anything_and_equality_counts_more() {
    check(
        "a/1 mid - - 1
         b/1 mid visa - 1
         c/1 mid visa 55 1
         d/1 mid - 66 2
         e/1 mid visa - 2
         f/1 mid visa - 3
         g/1 mid mastercard - 3",
        // a alone is a wildcard in both; with the scheme b and c are better and equal.
        "amex - 1        -> a/1 mid
         amex 55 1       -> a/1 mid
         visa 55 1       -> c/1 mid
         visa 99 1       -> b/1 mid
         visa - 1        -> -
         - - 1           -> -
         - 55 1          -> c/1 mid
         visa 66 2       -> d/1 mid
         visa 67 2       -> e/1 mid
         amex 66 2       -> d/1 mid
         amex 67 2       -> -
         visa - 3        -> f/1 mid
         - - 3           -> -
         VISA - 3        -> f/1 mid",
    );
}

#[test]
fn an_acquirer_that_is_no_number_is_compared_as_a_text() {
    check(
        "a/1 mid - x9 1
         b/1 mid - 12345678901 1",
        "- X9 1 -> a/1 mid
         - 00x9 1 -> a/1 mid
         - x8 1 -> -
         - 0012345678901 1 -> b/1 mid
         - 12345678902 1 -> -
         - - 1 -> -",
    );
}

#[test]
fn several_shops_of_one_merchant_are_one_merchant() {
    check(
        "a/2 mid visa - 1
         a/1 mid visa - 1
         a/3 mid visa 5 1
         a/4 mid visa 5 1
         b/1 mid visa 7 1
         c/1 mid visa - 9
         c/1 mid visa - 09",
        "visa - 1 -> -
         visa 6 1 -> a/1 mid or another
         visa 5 1 -> a/3 mid or another
         visa 7 1 -> b/1 mid
         visa - 9 -> c/1 mid",
    );
}

#[test]
fn a_shared_mid_proves_nothing_alone() {
    check(
        "a/1 mid visa - 1 shared
         a/1 store visa 100
         b/1 mid visa 5 1
         c/1 mid visa - 2 shared
         c/2 mid visa - 2
         d/1 mid - - 3 shared
         e/1 mid visa - 3",
        "visa - 1 -> -
         visa - 1 store=100 -> a/1 store
         visa 5 1 -> b/1 mid
         visa 6 1 -> -
         visa - 2 -> -
         visa - 3 -> e/1 mid
         amex - 3 -> -",
    );
}

#[test]
fn a_mid_counts_from_and_until() {
    check(
        "a/1 mid visa - 1 100 200
         b/1 mid visa - 1 200
         c/1 mid visa - 2 - 50
         d/1 mid visa - 3 10 20
         d/2 mid visa - 3 15 20",
        "visa - 1 @99  -> -
         visa - 1 @100 -> a/1 mid
         visa - 1 @199 -> a/1 mid
         visa - 1 @200 -> b/1 mid
         visa - 2 @49  -> c/1 mid
         visa - 2 @50  -> -
         visa - 3 @14  -> d/1 mid
         visa - 3 @15  -> d/1 mid or another
         visa - 3 @20  -> -",
    );
}

#[test]
fn authorization_and_clearing_mids_are_both_listed() {
    check(
        "a/1 mid mastercard 1001 AUTH77
         a/1 mid mastercard 2002 0000009988",
        "mastercard 1001 auth77 -> a/1 mid
         mastercard 2002 9988   -> a/1 mid
         mastercard 1001 9988   -> -",
    );
}

#[test]
fn store_id_then_descriptor() {
    check(
        "a/1 store visa 0077
         a/2 store - 88
         a/1 text SQ *Blue Bottle
         b/1 store mastercard 0077
         b/2 store visa 88
         b/1 text twice
         b/2 text twice
         c/1 text both
         d/1 text both
         e/1 mid visa - 5
         e/1 text a statement text longer than fifteen bytes",
        "visa - - store=0077 -> a/1 store
         mastercard - - store=0077 -> b/1 store
         - - - store=0077 -> -
         visa - - store=77 -> -
         visa - - store=88 -> b/2 store
         amex - - store=88 -> a/2 store
         visa - 5 store=0077 -> e/1 mid
         visa - 6 store=0077 -> a/1 store
         - - - text=sq__*BLUE_bottle -> a/1 text
         - - - text=twice -> -
         - - - text=both -> -
         - - - text=A_Statement_text_longer_than_fifteen_bytes -> e/1 text
         - - 6 store=5 text=sq_*blue_bottle -> a/1 text",
    );
}

#[test]
fn zones_are_resolved_once_and_the_location_goes_first() {
    let mut near = location("near");
    near.mids = vec![Mid { scheme: None, acquirer: None, mid: "1".into(), from: None, to: None, shared: false }];
    let mut far = location("far");
    far.time_zone = Some("America/New_York".into());
    far.mids = vec![Mid { mid: "2".into(), ..near.mids[0].clone() }];
    let mut lost = location("lost");
    lost.time_zone = Some("Atlantis/Capital".into());
    lost.mids = vec![Mid { mid: "3".into(), ..near.mids[0].clone() }];
    let catalogue = Catalogue::build(vec![merchant("m", vec![near, lost, far])], Vec::new(), 1, 1);
    for (asked, zone, reading) in [
        ("- - 1", "Europe/Paris", "1970-01-01T01:00:00"),
        ("- - 2", "America/New_York", "1969-12-31T19:00:00"),
        ("- - 3", "Atlantis/Capital", "1970-01-01T00:00:00"),
    ] {
        let mark = mark(asked);
        let found = catalogue.locate(&mark, at(0)).unwrap();
        assert_eq!(found.time_zone_name(), zone);
        assert_eq!(at(0).local(found.time_zone()).to_string(), reading);
        assert_eq!(found.matched().time_zone, zone);
    }
    assert_eq!(catalogue.unknown_time_zones().collect::<Vec<_>>(), ["Atlantis/Capital"]);
}

fn ids(offers: &[Arc<Offer>]) -> Vec<String> {
    offers.iter().map(|offer| format!("{}={}", offer.id, offer.newest().terms.title)).collect()
}

#[test]
fn offers_are_listed_by_id_and_follow_changes() {
    let id = |id| MerchantId::new(id).unwrap();
    let offers = vec![offer("o3", "a", "x"), offer("o1", "a", "x"), offer("o2", "b", "x"), offer("o4", "late", "x")];
    let first = Catalogue::build(world("a/1 mid - - 1\nb/1 mid - - 2"), offers, 1, 1);
    assert_eq!(ids(first.offers_of(&id("a"))), ["o1=x", "o3=x"]);
    assert_eq!(ids(first.offers_of(&id("late"))), ["o4=x"], "an offer may come before its merchant");
    assert!(first.offer(&OfferId::new("o4").unwrap()).is_some());
    assert!(first.offers_of(&id("nobody")).is_empty());
    let second = first
        .with_offer(offer("o2", "a", "moved"), 2)
        .with_offer(offer("o0", "b", "new"), 3)
        .with_merchant(world("late/1 mid - - 3").remove(0), 4);
    assert_eq!(ids(second.offers_of(&id("a"))), ["o1=x", "o2=moved", "o3=x"]);
    assert_eq!(ids(second.offers_of(&id("b"))), ["o0=new"]);
    assert_eq!(ids(first.offers_of(&id("a"))), ["o1=x", "o3=x"], "the old snapshot stays");
    let merged = second.adopt(&second.merged(9)).unwrap();
    for catalogue in [&second, &merged] {
        for (asked, offers) in
            [("- - 1", &["o1=x", "o2=moved", "o3=x"][..]), ("- - 2", &["o0=new"]), ("- - 3", &["o4=x"])]
        {
            let (_, found) = catalogue.candidates(&mark(asked), at(0)).unwrap();
            assert_eq!(ids(found), offers, "{asked}");
        }
    }
    assert_eq!((second.revision(), merged.revision()), (4, 4));
}

#[test]
fn any_number_of_offers_is_listed() {
    for count in [0, 1, 254, 255, 256, 300] {
        let mut offers: Vec<_> = (0..count).map(|number| offer(&format!("o{number:03}"), "a", "x")).collect();
        offers.push(offer("p", "b", "x"));
        let catalogue = Catalogue::build(world("a/1 mid - - 1\nb/1 mid - - 2"), offers, 1, 1);
        for (asked, count) in [("- - 1", count), ("- - 2", 1)] {
            assert_eq!(catalogue.candidates(&mark(asked), at(0)).unwrap().1.len(), count, "{asked}");
        }
    }
}

#[test]
fn a_new_base_is_adopted_with_what_changed_meanwhile_and_only_by_its_own() {
    let old = Catalogue::build(world("a/1 mid - - 1\nb/1 mid - - 2"), Vec::new(), 1, 1);
    let asked = old.with_merchant(world("a/1 mid - - 10").remove(0), 2);
    let merged = asked.merged(5);
    let now = asked.with_merchant(world("b/1 mid - - 20").remove(0), 3).with_offer(offer("o", "a", "x"), 4);
    let now = now.adopt(&merged).unwrap();
    for (question, answer) in [("- - 1", "-"), ("- - 10", "a/1 mid"), ("- - 2", "-"), ("- - 20", "b/1 mid")] {
        assert_eq!(say(now.locate(&mark(question), at(0))), answer, "{question}");
    }
    assert_eq!(now.revision(), 4);
    assert_eq!(now.candidates(&mark("- - 10"), at(0)).unwrap().1.len(), 1);
    assert!(now.adopt(&merged).is_none(), "its base is no longer the one that was merged");
}

#[test]
fn a_crowd_on_one_mid_is_one_entry_and_loses_members_through_the_overlay() {
    let mut lines = String::new();
    for shop in 0..300 {
        lines.push_str(&format!("m{}/{shop} mid visa - 1\n", shop % 3));
        lines.push_str(&format!("n{shop}/1 mid visa - 2 shared\n"));
    }
    let catalogue = Catalogue::build(world(&lines), Vec::new(), 1, 1);
    assert_eq!(catalogue.mid_count(), 2);
    assert_eq!(say(catalogue.locate(&mark("visa - 1"), at(0))), "-");
    let catalogue = catalogue.with_changes(vec![merchant("m0", Vec::new()), merchant("m2", Vec::new())], Vec::new(), 2);
    assert_eq!(say(catalogue.locate(&mark("visa - 1"), at(0))), "m1/1 mid or another");
}

#[test]
fn the_overlay_says_when_it_is_large() {
    let empty = Catalogue::build(Vec::new(), Vec::new(), 0, 1);
    let shops = |count| (0..count).map(|shop| merchant(&shop.to_string(), Vec::new())).collect::<Vec<_>>();
    let full = empty.with_changes(shops(OVERLAY_CHANGES_MAX), Vec::new(), 1);
    assert!(!full.wants_merging());
    let over = empty.with_changes(shops(OVERLAY_CHANGES_MAX + 1), Vec::new(), 1);
    assert!(over.wants_merging());
    assert!(!over.adopt(&over.merged(2)).unwrap().wants_merging());
}

// ---- by likeness ----

/// A merchant with one shop in a city.
fn shop_in(id: &str, name: &str, city: &str, country: &str, mids: Vec<Mid>) -> Arc<Merchant> {
    let mut shop = location("1");
    (shop.city, shop.country, shop.mcc) = (Some(city.into()), Some(country.into()), Some(5814));
    shop.mids = mids;
    Arc::new(Merchant { name: name.to_owned(), ..(*merchant(id, vec![shop])).clone() })
}

fn texted(descriptor: &str) -> MerchantMark {
    MerchantMark { descriptor: Some(descriptor.into()), ..MerchantMark::default() }
}

fn shared_mid() -> Vec<Mid> {
    vec![Mid { scheme: None, acquirer: None, mid: "77".into(), from: None, to: None, shared: true }]
}

#[test]
fn a_text_that_nobody_registered_names_the_shop_it_is_like() {
    let merchants = vec![
        shop_in("bb", "Blue Bottle Coffee", "Oakland", "US", Vec::new()),
        shop_in("pp", "Piroshky Piroshky", "Seattle", "US", Vec::new()),
    ];
    let catalogue = Catalogue::build(merchants, Vec::new(), 1, 1);
    for (text, answer) in [
        ("SQ *BLUE BOTTLE COFFEE OAKLAND CA", "bb/1 like"),
        ("TST* PIROSHKY PIROSHKY SEATTLE WA", "pp/1 like"),
        ("SQ *BLUE BOTTLE COFFEE SEATTLE WA", "-"),
        ("SQ *BLUE BOTTLE LIQUORS OAKLAND CA", "-"),
        ("SQ *", "-"),
    ] {
        assert_eq!(say(catalogue.locate(&texted(text), at(0))), answer, "{text}");
    }
    let found = catalogue.locate(&texted("SQ *BLUE BOTTLE COFFEE OAKLAND CA"), at(0)).unwrap();
    let likeness = found.matched().evidence.likeness().expect("the record says how sure");
    assert!(likeness.confidence >= 800, "{likeness:?}");
    assert_eq!(likeness.reasons.names().collect::<Vec<_>>(), ["words", "whole_name", "city", "only_shop"]);
    let elsewhere = MerchantMark { country: Some("JP".into()), ..texted("BLUE BOTTLE COFFEE OAKLAND") };
    assert_eq!(say(catalogue.locate(&elsewhere, at(0))), "-");
    let strict = catalogue.with_descriptor_confidence_min(1000).with_merchant(merchant("x", Vec::new()), 2);
    assert_eq!(say(strict.locate(&texted("SQ *BLUE BOTTLE OAKLAND CA"), at(0))), "-");
}

#[test]
fn what_is_not_sure_is_suggested() {
    let merchants = vec![shop_in("bb", "Blue Bottle Coffee", "Oakland", "US", Vec::new())];
    let catalogue = Catalogue::build(merchants, Vec::new(), 1, 1);
    let suggested = catalogue.suggestions(&texted("SQ *BLUE BOTTLE COFFEE"), at(0));
    assert_eq!(suggested.into_iter().map(|found| say(Some(found))).collect::<Vec<_>>(), ["bb/1 like"]);
    assert!(catalogue.suggestions(&texted("SQ *BLUE BOTTLE COFFEE OAKLAND CA"), at(0)).is_empty());
    assert!(catalogue.suggestions(&texted("SHELL OIL 57444"), at(0)).is_empty());
}

#[test]
fn on_a_shared_mid_the_descriptor_decides_among_its_shops() {
    let merchants = vec![
        shop_in("a", "Corner Cafe", "Oakland", "US", shared_mid()),
        shop_in("b", "Harbour Books", "Oakland", "US", shared_mid()),
        shop_in("c", "Corner Cafe", "Oakland", "US", Vec::new()),
    ];
    let catalogue = Catalogue::build(merchants, Vec::new(), 1, 1);
    let on_it = |text: &str| MerchantMark { mid: Some("0077".into()), ..texted(text) };
    assert_eq!(say(catalogue.locate(&on_it("SQ *CORNER CAFE OAKLAND CA"), at(0))), "a/1 like");
    assert_eq!(say(catalogue.locate(&on_it("SQ *HARBOUR BOOKS"), at(0))), "b/1 like");
    assert_eq!(say(catalogue.locate(&on_it("SQ *JOES TACOS"), at(0))), "-");
    assert_eq!(say(catalogue.locate(&texted("SQ *CORNER CAFE OAKLAND CA"), at(0))), "-", "two of them");
    let found = catalogue.locate(&on_it("SQ *HARBOUR BOOKS"), at(0)).unwrap();
    assert!(found.evidence().likeness().unwrap().reasons.names().any(|reason| reason == "shared_mid"));
    // A MID of one shop is better evidence than any text.
    let own = MerchantMark { mid: Some("78".into()), ..texted("SQ *HARBOUR BOOKS OAKLAND CA") };
    let mut mids = shared_mid();
    (mids[0].mid, mids[0].shared) = ("78".into(), false);
    let catalogue = catalogue.with_merchant(shop_in("d", "Dock", "Oakland", "US", mids), 2);
    assert_eq!(say(catalogue.locate(&own, at(0))), "d/1 mid");
}

#[test]
fn likeness_follows_changes() {
    let base =
        Catalogue::build(vec![shop_in("bb", "Blue Bottle Coffee", "Oakland", "US", Vec::new())], Vec::new(), 1, 1);
    let question = texted("SQ *BLUE BOTTLE COFFEE OAKLAND CA");
    let moved = base.with_merchant(shop_in("bb", "Blue Bottle Coffee", "Austin", "US", Vec::new()), 2);
    let twin = base.with_merchant(shop_in("other", "Blue Bottle Coffee", "Oakland", "US", Vec::new()), 2);
    for (catalogue, answer) in [(&base, "bb/1 like"), (&moved, "-"), (&twin, "-")] {
        assert_eq!(say(catalogue.locate(&question, at(0))), answer);
        let merged = catalogue.adopt(&catalogue.merged(9)).unwrap();
        assert_eq!(say(merged.locate(&question, at(0))), answer, "merged");
    }
    let austin = texted("SQ *BLUE BOTTLE COFFEE AUSTIN TX");
    assert_eq!(say(moved.locate(&austin, at(0))), "bb/1 like");
}

#[test]
fn a_registered_text_in_another_country_is_another_shop() {
    let mut shop = location("1");
    (shop.descriptors, shop.country) = (vec!["ROUGH TRADE".into()], Some("GB".into()));
    let catalogue = Catalogue::build(vec![merchant("rt", vec![shop])], Vec::new(), 1, 1);
    for (country, answer) in [(None, "rt/1 text"), (Some("gb"), "rt/1 text"), (Some("US"), "-")] {
        let asked = MerchantMark { country: country.map(CompactString::from), ..texted("Rough Trade") };
        assert_eq!(say(catalogue.locate(&asked, at(0))), answer, "{country:?}");
    }
}

// ---- random worlds ----

fn pick(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(words)
}

const MIDS: &[&str] = &["1", "01", "2", "a1", "00A1", "0", "1234567890123456", "001234567890123456"];
const ACQUIRERS: &[&str] = &["-", "-", "1", "001", "2", "x9", "0X9", "0"];
const SCHEMES: &[&str] = &["-", "-", "visa", "Visa", "mastercard"];
const TEXTS: &[&str] = &["one shop", "One  Shop", "a shop with a long statement text"];

fn some_mid() -> impl Strategy<Value = Mid> {
    let bound = || prop::option::weighted(0.2, 0_i64..4);
    (pick(SCHEMES), pick(ACQUIRERS), pick(MIDS), bound(), bound(), prop::bool::weighted(0.1)).prop_map(
        |(scheme, acquirer, mid, from, to, shared)| Mid {
            scheme: text(scheme),
            acquirer: text(acquirer),
            mid: mid.into(),
            from: from.map(at),
            to: to.map(at),
            shared,
        },
    )
}

fn some_location() -> impl Strategy<Value = Location> {
    let store = (pick(SCHEMES), pick(&["7", "07", "0", "8"]))
        .prop_map(|(scheme, id)| StoreId { scheme: text(scheme), id: id.into() });
    (
        prop::collection::vec(some_mid(), 0..4),
        prop::collection::vec(store, 0..2),
        prop::collection::vec(pick(TEXTS).prop_map(CompactString::from), 0..2),
    )
        .prop_map(|(mids, store_ids, descriptors)| Location { mids, store_ids, descriptors, ..location("x") })
}

/// One of five merchants, its locations numbered backwards.
fn some_merchant() -> impl Strategy<Value = Arc<Merchant>> {
    (0..5, prop::collection::vec(some_location(), 0..4)).prop_map(|(id, mut locations)| {
        for (number, location) in locations.iter_mut().rev().enumerate() {
            location.id = LocationId::new(number.to_string()).unwrap();
        }
        merchant(&format!("m{id}"), locations)
    })
}

fn some_mark() -> impl Strategy<Value = (MerchantMark, i64)> {
    let store = prop::option::weighted(0.3, pick(&["7", "07", "0", "8"]));
    let descriptor = prop::option::weighted(0.3, pick(TEXTS));
    (pick(SCHEMES), pick(ACQUIRERS), pick(MIDS), store, descriptor, 0_i64..4).prop_map(
        |(scheme, acquirer, mid, store, descriptor, time)| {
            let mark = MerchantMark {
                scheme: text(scheme),
                acquirer: text(acquirer),
                mid: Some(mid.into()),
                store_id: store.map(CompactString::from),
                descriptor: descriptor.map(CompactString::from),
                ..MerchantMark::default()
            };
            (mark, time)
        },
    )
}

#[derive(Debug, Clone)]
enum Change {
    Merchant(Arc<Merchant>),
    Offer(u8, u8, u8),
    BeginMerge,
    EndMerge,
}

fn some_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => some_merchant().prop_map(Change::Merchant),
        4 => (0..6_u8, 0..6_u8, 0..9_u8).prop_map(|(id, owner, title)| Change::Offer(id, owner, title)),
        1 => Just(Change::BeginMerge),
        1 => Just(Change::EndMerge),
    ]
}

/// Whether a catalogue answers as the scan does. The scan knows no likeness: where it finds
/// nothing, a text that several registered may still name the one that shares the MID.
fn agrees(catalogue: &Catalogue, merchants: &[Arc<Merchant>], mark: &MerchantMark, time: Timestamp) -> bool {
    let (found, scanned) = (catalogue.locate(mark, time), scan(merchants, mark, time));
    let Some(like) = found.filter(|found| found.evidence().likeness().is_some()) else { return say(found) == scanned };
    let sent = mark.mid.as_deref().and_then(|mid| plain(mid, false));
    let shares = like.location().mids.iter().any(|mid| mid.shared && plain(&mid.mid, false) == sent);
    scanned == "-" && shares && !like.location().descriptors.is_empty()
}

proptest! {
    #[test]
    fn the_index_agrees_with_a_plain_scan(
        merchants in prop::collection::vec(some_merchant(), 0..6),
        marks in prop::collection::vec(some_mark(), 1..20),
        seed in any::<u64>(),
    ) {
        let last: BTreeMap<_, _> = merchants.iter().map(|merchant| (merchant.id.clone(), merchant.clone())).collect();
        let last: Vec<_> = last.into_values().collect();
        let catalogue = Catalogue::build(merchants, Vec::new(), 1, seed);
        for (mark, time) in marks {
            prop_assert!(agrees(&catalogue, &last, &mark, at(time)), "{:?}", mark);
        }
    }

    #[test]
    fn overlay_and_merge_agree_with_a_fresh_build(
        merchants in prop::collection::vec(some_merchant(), 0..4),
        changes in prop::collection::vec(some_change(), 1..12),
        marks in prop::collection::vec(some_mark(), 1..8),
    ) {
        let mut catalogue = Catalogue::build(merchants.clone(), Vec::new(), 0, 1);
        let mut documents: BTreeMap<_, _> = merchants.into_iter().map(|merchant| (merchant.id.clone(), merchant)).collect();
        let mut offers = BTreeMap::new();
        let mut merging: Option<Merged> = None;
        for (revision, change) in (1..).zip(changes) {
            match change {
                Change::Merchant(merchant) => {
                    documents.insert(merchant.id.clone(), merchant.clone());
                    catalogue = catalogue.with_merchant(merchant, revision);
                }
                Change::Offer(id, owner, title) => {
                    let offer = offer(&format!("o{id}"), &format!("m{owner}"), &title.to_string());
                    offers.insert(offer.id.clone(), offer.clone());
                    catalogue = catalogue.with_offer(offer, revision);
                }
                Change::BeginMerge => merging = Some(catalogue.merged(revision)),
                Change::EndMerge => {
                    if let Some(merged) = merging.take() {
                        catalogue = catalogue.adopt(&merged).expect("nobody else merges");
                    }
                }
            }
            let plain: Vec<_> = documents.values().cloned().collect();
            let fresh = Catalogue::build(plain.clone(), offers.values().cloned().collect(), revision, 3);
            for (mark, time) in &marks {
                prop_assert!(agrees(&catalogue, &plain, mark, at(*time)), "{:?}", mark);
                let (ours, theirs) = (catalogue.candidates(mark, at(*time)), fresh.candidates(mark, at(*time)));
                prop_assert_eq!(ours.map(|(_, offers)| ids(offers)), theirs.map(|(_, offers)| ids(offers)));
            }
            for number in 0..6 {
                let id = MerchantId::new(format!("m{number}")).unwrap();
                prop_assert_eq!(catalogue.merchant(&id), documents.get(&id));
                prop_assert_eq!(ids(catalogue.offers_of(&id)), ids(fresh.offers_of(&id)));
                let id = OfferId::new(format!("o{number}")).unwrap();
                prop_assert_eq!(catalogue.offer(&id), offers.get(&id));
            }
        }
    }
}
