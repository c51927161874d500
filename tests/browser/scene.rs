//! A bakery with three shops, a month of purchases, a ring of six, and a message that nobody
//! understands: enough for every page to have something to show.

use crate::world::ring::{Six, six};
use crate::world::{self, Service};
use ringfence::api::merchant_document::MerchantDocument;
use ringfence::domain::offer::Terms;
use ringfence::domain::{MemberId, MerchantId, Timestamp};
use ringfence::engine::acts::Registration;
use serde_json::json;

/// Whose portal is shown.
pub const MERCHANT: &str = "blue-door";
/// Somebody of the ring.
pub const MEMBER: &str = "m-1042";
/// Who is around them besides.
pub const FRIENDS: [&str; 2] = ["m-2001", "m-2002"];
const SHOPS: [(&str, &str, &str); 3] =
    [("market", "Oakland", "445566001"), ("harbor", "Alameda", "445566002"), ("hilltop", "Berkeley", "445566003")];
const DAYS: i64 = 30;

/// Sets the scene; the number of the case.
pub async fn set(service: &Service) -> u64 {
    let engine = service.engine();
    let shop = |(id, city, mid): (&str, &str, &str)| json!({"id": id, "city": city, "country": "US", "mids": [{"scheme": "visa", "mid": mid}]});
    let document = json!({
        "name": "Blue Door Bakery", "time_zone": "America/Los_Angeles",
        "locations": SHOPS.map(shop),
        "competitors": [{"name": "Red Door Bakery", "email_domains": ["reddoor.example"], "networks": ["203.0.113.0/24"]}],
    });
    let document: MerchantDocument = serde_json::from_value(document).unwrap();
    let merchant = document.into_merchant(MerchantId::new(MERCHANT).unwrap()).unwrap();
    engine.put_merchant(merchant, None).await.unwrap();
    let loaf = Terms {
        hold_days: 14,
        budget_minor: Some(60_000),
        title: "5% back on everything".into(),
        ..world::terms(MERCHANT)
    };
    world::publish(engine, "loaf", loaf).await;
    let draft = Terms { title: "10% back on Sundays".into(), ..world::terms(MERCHANT) };
    engine.put_offer(&"sundays".parse().unwrap(), draft, None).await.unwrap();
    buy(service).await;
    let evidence = [
        ("shared-instrument", "instruments", "six accounts are on one phone, all verified"),
        ("referral-chain", "referrals", "five of six were referred by the one before, within four minutes"),
    ];
    let names = (1_041..1_047).map(|number| format!("m-{number}")).collect();
    let id = six(service, Six { names, mid: SHOPS[0].2, evidence }).await;
    friends(service).await;
    let unread = world::event("e-unread", "sneezed", "p-unread", "tok_0", 4_000, "2026-11-21T11:00:00Z", SHOPS[0].2);
    assert_eq!(service.post("visa-eu", unread).await.0, 422);
    seen(service).await;
    id
}

/// Two of a household with the same phone as [`MEMBER`], who bought nothing here.
async fn friends(service: &Service) {
    let id = |name: &str| MemberId::new(name).unwrap();
    let phone = || vec![("phone".to_owned(), "+1 510 555 0100".to_owned(), false, None)];
    for (member, by) in [(MEMBER, None), (FRIENDS[0], None), (FRIENDS[1], Some(FRIENDS[0]))] {
        let said = Registration { referred_by: by.map(id), links: phone(), ..Registration::default() };
        service.engine().register(&id(member), said, None).await.unwrap();
    }
}

/// A month of purchases by ten members, more at the market than elsewhere, the same every time.
async fn buy(service: &Service) {
    for number in 0..10 {
        world::member(service.engine(), &format!("m-{number}"), &format!("tok_{number}")).await;
    }
    let now = service.clock.now();
    for number in 0..120_i64 {
        // From seven in the morning there until three in the afternoon.
        let (day, hour) = (1 + number * 7 % DAYS, 3 + number * 11 % 9);
        let at = now.plus_ms(-day * 86_400_000 + hour * 3_600_000);
        let shop = SHOPS[[0, 0, 0, 1][usize::try_from(number).unwrap() % 4]];
        let (event, purchase, card) = (format!("b{number}"), format!("q{number}"), format!("tok_{}", number % 10));
        let minor = 900 + number * 137 % 4_100;
        let body = world::event(&event, "clearing", &purchase, &card, minor, &at.to_string(), shop.2);
        assert_eq!(service.post("visa-eu", body).await.0, 200);
    }
}

/// Comes back when the follower has read what was bought.
async fn seen(service: &Service) {
    let id = MerchantId::new(MERCHANT).unwrap();
    let purchases = || service.doors.screener.report(&id).shops.values().map(|sums| sums.purchases).sum::<u64>();
    let screening = service.engine().screening();
    for _ in 0..1_000_000 {
        if purchases() >= 126 && screening.progress().pass_at > Some(Timestamp::default()) {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("screening has read {} purchases", purchases());
}
