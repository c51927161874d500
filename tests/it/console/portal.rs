//! The merchants' portal: offers, shops and MIDs, competitors, performance; and that nothing of
//! another merchant's can be reached by any id.

use super::{Browser, between, place, text};
use crate::world::ring::{key, ring};
use crate::world::{self, Service};
use ringfence::authenticate::keys::Role;
use ringfence::domain::MerchantId;
use ringfence::ledger::AccountKind;
use serde_json::json;

#[tokio::test]
async fn a_merchant_writes_an_offer_and_sees_nobody_elses() {
    let service = Service::start(&[]).await;
    let id = ring(&service).await;
    for merchant in ["bakery", "rival"] {
        service.engine().put_merchant(world::merchant(merchant, &[]), None).await.unwrap();
    }
    let mut baker = Browser::signed_in(&service, &key(&service, Role::Merchant, Some("bakery"))).await;
    for path in [format!("/console/cases/{id}"), "/console/cases".to_owned(), "/console/members/ring-0".to_owned()] {
        let answer = baker.get(&path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(!text(&answer).contains("ring-"), "{path}");
    }
    assert_eq!(baker.get("/console/offers/five").await.status, 404, "another's is not there");
    assert_eq!(baker.get("/console/offers/five/edit").await.status, 404);
    assert_eq!(baker.get("/console/offers/new?copy=five").await.status, 404);
    assert!(!text(&baker.get("/console/offers").await).contains("five"));

    let page = baker.get("/console/offers/new?from=punch-card/punch-card").await;
    assert!(text(&page).contains("with every 10th purchase"), "the programme in plain words: {}", text(&page));
    let filled = "simple=yes&title=Loaf&currency=usd&kind=percent&reward=7.5&most=3&least=5&once=month&ends=2026-12-31";
    let simple = text(&baker.get(&format!("/console/offers/new?{filled}")).await);
    assert!(
        simple.contains("get 7.5 percent, up to 3.00 USD, once a month, until the end of 31 December 2026."),
        "{simple}"
    );
    // While the form is filled in, the document and what members read follow it.
    let fields = [
        ("simple", "yes"),
        ("title", "We missed you"),
        ("currency", "USD"),
        ("kind", "percent"),
        ("reward", "10"),
        ("most", "5"),
        ("who", "lapsed"),
        ("lapsed_days", "60"),
        ("on", "weekdays"),
        ("to", "12:00"),
        ("once", "ever"),
    ];
    let written = text(&baker.post("/console/offers/written", &page, &fields).await);
    for said in ["days_since_purchase", "have not bought for 60 days get 10 percent, up to 5.00 USD, once, on weekdays"]
    {
        assert!(written.contains(said), "{said}: {written}");
    }
    let wrong = [("simple", "yes"), ("currency", "USD"), ("reward", "x")];
    let written = text(&baker.post("/console/offers/written", &page, &wrong).await);
    assert!(written.contains("must be a number") && !written.contains("textarea"), "what was there stays: {written}");
    let wrong = text(&baker.get(&format!("/console/offers/new?{}", filled.replace("7.5", "7,5"))).await);
    assert!(wrong.contains("<code>reward</code> must be a number"), "{wrong}");
    let document = json!({
        "merchant": "bakery", "title": "5% <i>back</i>", "currency": "USD",
        "reward": {"kind": "percent", "basis_points": 500, "max_minor": 1000}, "budget_minor": 50_000,
    });
    let broken = document.to_string().replace("basis_points", "basis_pints");
    let read = text(&baker.post("/console/offers/validate", &page, &[("document", &broken)]).await);
    assert!(read.contains("reward.basis_pints") && read.contains("unknown key"), "{read}");
    let read = text(&baker.post("/console/offers/validate", &page, &[("document", &document.to_string())]).await);
    assert!(
        read.contains("Members who have opted in get 5 percent, up to 10.00 USD.") && !read.contains("<i>back"),
        "{read}"
    );

    let theirs = document.to_string().replace("bakery", "rival");
    let fields = [("id", "crumbs"), ("document", theirs.as_str())];
    assert_eq!(baker.post("/console/offers/new", &page, &fields).await.status, 404, "not for another merchant");
    let stolen = [("id", "five"), ("document", &document.to_string())];
    assert_ne!(baker.post("/console/offers/new", &page, &stolen).await.status, 303, "nor over another's offer");
    let fields = [("id", "crumbs"), ("document", &broken)];
    let refused = baker.post("/console/offers/new", &page, &fields).await;
    assert!(refused.status == 422 && text(&refused).contains("basis_pints"), "what was typed stays");
    let fields = [("id", "crumbs"), ("document", &document.to_string())];
    let created = baker.post("/console/offers/new", &page, &fields).await;
    assert_eq!((created.status, place(&created).as_str()), (303, "/console/offers/crumbs"), "{}", text(&created));

    // The first publication is an operator's to approve.
    let page = baker.get("/console/offers/crumbs").await;
    assert!(text(&page).contains("Ask for approval"), "{}", text(&page));
    let version = between(&text(&page), "name=\"document_version\" value=\"", "\"");
    let rests = [("document_version", version.as_str())];
    assert_eq!(baker.post("/console/offers/crumbs/steps/publish", &page, &rests).await.status, 303);
    let page = baker.get("/console/offers/crumbs").await;
    assert!(text(&page).contains("awaiting approval"), "{}", text(&page));
    assert_eq!(baker.post("/console/offers/crumbs/steps/approve", &page, &[]).await.status, 403);
    let mut operator = Browser::signed_in(&service, &key(&service, Role::Operator, None)).await;
    let page = operator.get("/console/offers/crumbs").await;
    assert_eq!(operator.post("/console/offers/crumbs/steps/approve", &page, &rests).await.status, 412, "it moved on");
    assert_eq!(operator.post("/console/offers/crumbs/steps/approve", &page, &[]).await.status, 303);

    let page = baker.get("/console/offers/crumbs/edit").await;
    assert!(
        text(&page).contains("name=\"budget\" value=\"500\""),
        "the form reads what it could write: {}",
        text(&page)
    );
    let version = between(&text(&page), "name=\"document_version\" value=\"", "\"");
    let more = document.to_string().replace("500,", "600,");
    let fields = [("document_version", version.as_str()), ("document", more.as_str())];
    let saved = baker.post("/console/offers/crumbs", &page, &fields).await;
    assert_eq!(saved.status, 303, "{}", text(&saved));
    assert_eq!(baker.post("/console/offers/crumbs", &page, &fields).await.status, 412, "a lost update is refused");
    let page = baker.get("/console/offers/crumbs").await;
    let body = text(&page);
    assert!(body.contains("reward.basis_points") && body.contains("Publish the new version"), "{body}");
    for (step, then) in [("publish", "version 2"), ("pause", "paused"), ("resume", "published"), ("end", "ended")] {
        let page = baker.get("/console/offers/crumbs").await;
        let done = baker.post(&format!("/console/offers/crumbs/steps/{step}"), &page, &[]).await;
        assert_eq!(done.status, 303, "{step}: {}", text(&done));
        assert!(text(&baker.get("/console/offers/crumbs").await).contains(then), "{step}");
    }
    service.stop().await;
}

#[tokio::test]
async fn nothing_of_another_merchants_is_reached_by_any_id() {
    let service = Service::start(&[]).await;
    ring(&service).await;
    service.engine().put_merchant(world::merchant("bakery", &[]), None).await.unwrap();
    let mut baker = Browser::signed_in(&service, &key(&service, Role::Merchant, Some("bakery"))).await;
    let page = baker.get("/console/locations").await;
    assert_eq!(page.status, 200);
    for path in ["offers", "locations", "performance", "competitors", "heard", "heard/part", "locations/texts"] {
        let answer = baker.get(&format!("/console/{path}?merchant=shop")).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!text(&answer).contains("123456"), "{path}");
    }
    let fields = [
        ("location", "main"),
        ("mid", "777"),
        ("name", "x"),
        ("sheet", "location,mid\nmain,777\n"),
        ("step", "enter"),
        ("text", "SHOP"),
    ];
    for path in ["locations", "locations/import", "locations/link", "competitors", "competitors/remove"] {
        let answer = baker.post(&format!("/console/{path}?merchant=shop"), &page, &fields).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    for path in [
        "sources",
        "state",
        "ledger",
        "dead-letters",
        "access",
        "audit",
        "detectors",
        "cases",
        "cases/counts",
        "members/ring-0",
        "members/ring-0/purchases/visa-eu/p0",
    ] {
        let answer = baker.get(&format!("/console/{path}")).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(!text(&answer).contains("12.00") && !text(&answer).contains("ring-1"), "{path}");
    }
    for path in [
        "access/users",
        "access/keys",
        "cases/next",
        "dead-letters/1/replay",
        "detectors/x/1/withdraw",
        "detectors/rules",
    ] {
        assert_eq!(baker.post(&format!("/console/{path}"), &page, &fields).await.status, 403, "{path}");
    }
    let shop = service.engine().merchant_document(&MerchantId::new("shop").unwrap()).await.unwrap().unwrap().1;
    assert_eq!((shop.locations.len(), shop.competitors.len()), (1, 0));
    service.stop().await;
}

#[tokio::test]
async fn shops_and_mids_are_entered_one_by_one_and_as_a_list() {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
    world::publish(engine, "five", world::terms("shop")).await;
    world::member(engine, "ann", "tok_ann").await;
    let mut keeper = Browser::signed_in(&service, &key(&service, Role::Merchant, Some("shop"))).await;
    let page = keeper.get("/console/locations").await;
    assert!(text(&page).contains(">not heard of<") && text(&page).contains("123456"), "{}", text(&page));
    let event = world::event("e1", "clearing", "p1", "tok_ann", 100, "2026-11-21T11:00:00Z", "000123456");
    assert_eq!(service.post("visa-eu", event).await.0, 200);
    let heard = text(&keeper.get("/console/heard/part").await);
    assert!(heard.contains("<code>123456</code>") && heard.contains("just now"), "{heard}");

    let wrong = [("location", "second"), ("mid", "000")];
    let refused = keeper.post("/console/locations", &page, &wrong).await;
    assert!(refused.status == 422 && text(&refused).contains("only zeros"), "{}", text(&refused));
    let good = [("location", "second"), ("mid", "77"), ("city", "Oakland"), ("country", "US")];
    assert_eq!(keeper.post("/console/locations", &page, &good).await.status, 303);
    let stale = [("location", "third"), ("mid", "78"), ("document_version", "1")];
    assert_eq!(keeper.post("/console/locations", &page, &stale).await.status, 412, "it was changed meanwhile");

    let sheet = "location,mid,country\nsecond,79,US\nfourth,80,USA\n";
    let looked = keeper.post("/console/locations/import", &page, &[("sheet", sheet)]).await;
    assert!(text(&looked).contains("Line 3") && !text(&looked).contains("Enter them"), "{}", text(&looked));
    let entered = keeper.post("/console/locations/import", &page, &[("sheet", sheet), ("step", "enter")]).await;
    assert!(text(&entered).contains("Line 3"), "what has faults is not entered");
    let sheet = sheet.replace("USA", "US");
    let looked = keeper.post("/console/locations/import", &page, &[("sheet", &sheet)]).await;
    assert!(text(&looked).contains("2 lines are good: 1 new shop, 2 new MIDs"), "{}", text(&looked));
    let entered = keeper.post("/console/locations/import", &looked, &[("sheet", &sheet), ("step", "enter")]).await;
    assert_eq!(place(&entered), "/console/locations");
    // A file goes the same way: looked at, told by line, entered as it was looked at.
    let page = keeper.get("/console/locations").await;
    let ansi =
        keeper.upload("/console/locations/import", &page, &[("sheet", "")], b"location,mid,name\nfifth,81,Caf\xe9\n");
    assert!(text(&ansi.await).contains("Line 2: has letters that are not UTF-8"));
    let file = "\u{feff}location;mid;name\r\nfifth;81;Caf\u{e9} \"am Markt\"\r\n".as_bytes();
    let looked = keeper.upload("/console/locations/import", &page, &[("sheet", "")], file).await;
    assert!(text(&looked).contains("1 line is good: 1 new shop, 1 new MID"), "{}", text(&looked));
    let nothing = keeper.upload("/console/locations/import", &page, &[("sheet", "")], b"").await;
    assert!(nothing.status == 422 && text(&nothing).contains("choose a file"), "{}", text(&nothing));
    let large = vec![b'x'; 1_100_000];
    assert_eq!(keeper.upload("/console/locations/import", &page, &[("sheet", "")], &large).await.status, 413);
    let sheet = "location;mid;name\nfifth;81;Caf\u{e9} \"am Markt\"\n";
    let entered =
        keeper.upload("/console/locations/import", &looked, &[("sheet", sheet), ("step", "enter")], b"").await;
    assert_eq!(place(&entered), "/console/locations");
    let page = text(&keeper.get("/console/locations").await);
    assert!(
        ["second", "fourth", "fifth", "Caf\u{e9} &#34;am Markt", "79", "80", "Oakland"]
            .iter()
            .all(|part| page.contains(part)),
        "{page}"
    );
    service.stop().await;
}

#[tokio::test]
async fn a_mid_that_goes_silent_is_alarmed() {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("shop", &["123456", "777"]), None).await.unwrap();
    world::publish(engine, "five", world::terms("shop")).await;
    let known = key(&service, Role::Merchant, Some("shop"));
    let begun = service.clock.now();
    for day in 0..12 {
        let now = begun.plus_ms(day * 86_400_000);
        service.clock.set(now);
        engine.heard.save(now).unwrap();
        if day < 8 {
            // Anybody's card counts.
            let (event, purchase) = (format!("e{day}"), format!("p{day}"));
            let body = world::event(&event, "clearing", &purchase, "tok_nobody", 100, &now.to_string(), "123456");
            assert_eq!(service.post("visa-eu", body).await.0, 200);
        }
        if day == 10 {
            let mut keeper = Browser::signed_in(&service, &known).await;
            assert!(!text(&keeper.get("/console/locations").await).contains("Gone silent"), "two days are nothing");
        }
    }
    let mut keeper = Browser::signed_in(&service, &known).await;
    let body = text(&keeper.get("/console/locations").await);
    for said in ["Gone silent", "nothing for 3 days, it is heard of every day else", ">not heard of<"] {
        assert!(body.contains(said), "{said}: {body}");
    }
    let home = text(&keeper.get("/console/offers").await);
    assert!(home.contains("1 of your MIDs has gone silent"), "{home}");
    engine.heard.save(service.clock.now()).unwrap();
    let metrics = String::from_utf8(service.send("GET", "/metrics", &[], Vec::new()).await.body).unwrap();
    assert!(metrics.contains("ringfence_mids_silent 1"), "{metrics}");
    service.stop().await;
}

#[tokio::test]
async fn a_text_that_looks_like_the_shops_is_linked_with_one_click() {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    let mut shop = world::merchant("blue", &["123456"]);
    shop.name = "Blue Door Bakery".to_owned();
    engine.put_merchant(shop, None).await.unwrap();
    world::publish(engine, "five", world::terms("blue")).await;
    world::member(engine, "ann", "tok_ann").await;
    let event = world::event("e1", "clearing", "p1", "tok_ann", 4_000, "2026-11-21T11:00:00Z", "999")
        .replace("SHOP", "SQ *BLUE DOOR");
    assert_eq!(service.post("visa-eu", event).await.0, 200);
    let mut keeper = Browser::signed_in(&service, &key(&service, Role::Merchant, Some("blue"))).await;
    let page = keeper.get("/console/locations").await;
    assert!(text(&page).contains("hx-get=\"/console/locations/texts\""), "{}", text(&page));
    let page = keeper.get("/console/locations/texts").await;
    let body = text(&page);
    assert!(body.contains("SQ *BLUE DOOR"), "{body}");
    assert_eq!(crate::world::ring::posted(&service, "ann").await, 0);
    let link = [("text", "SQ *BLUE DOOR"), ("location", "main")];
    assert_eq!(keeper.post("/console/locations/link", &page, &link).await.status, 303);
    assert_eq!(crate::world::ring::posted(&service, "ann").await, 200, "decided again before it answers");
    service.stop().await;
}

#[tokio::test]
async fn competitors_are_declared_and_nobody_is_named() {
    let service = Service::start(&[]).await;
    service.engine().put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
    let mut keeper = Browser::signed_in(&service, &key(&service, Role::Merchant, Some("shop"))).await;
    let page = keeper.get("/console/competitors").await;
    let wrong = [("name", "Rival"), ("networks", "not a network")];
    let refused = keeper.post("/console/competitors", &page, &wrong).await;
    assert!(refused.status == 422 && text(&refused).contains("networks[0]"), "{}", text(&refused));
    let rival =
        [("name", "Rival <b>"), ("email_domains", "rival.example\r\n\r\nrival.test"), ("networks", "203.0.113.0/24")];
    assert_eq!(keeper.post("/console/competitors", &page, &rival).await.status, 303);
    let page = keeper.get("/console/competitors").await;
    let body = text(&page);
    assert!(body.contains("rival.example, rival.test") && body.contains("<strong>nobody</strong>"), "{body}");
    assert!(!body.contains("Rival <b>"), "{body}");
    assert_eq!(keeper.post("/console/competitors/remove", &page, &[("name", "Rival <b>")]).await.status, 303);
    assert!(text(&keeper.get("/console/competitors").await).contains("None yet"));
    service.stop().await;
}

#[tokio::test]
async fn a_merchant_sees_what_its_offers_bring() {
    let service = Service::start(&[("RINGFENCE_SCREENING__ENABLED", "true")]).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("shop", &["123456"]), None).await.unwrap();
    let terms = ringfence::domain::offer::Terms { budget_minor: Some(10_000), ..world::terms("shop") };
    world::publish(engine, "five", terms).await;
    for (place, who) in ["member-one", "member-two"].into_iter().enumerate() {
        world::member(engine, who, &format!("tok_{who}")).await;
        if place == 0 {
            // Before the days that are shown: an existing customer.
            let long_ago =
                world::event("e7", "clearing", "p7", "tok_member-one", 2_000, "2026-08-01T20:00:00Z", "123456");
            assert_eq!(service.post("visa-eu", long_ago).await.0, 200);
        }
        let (event, purchase, card) = (format!("e{place}"), format!("p{place}"), format!("tok_{who}"));
        // 20:00 UTC the day before is noon there.
        let body = world::event(&event, "clearing", &purchase, &card, 4_000, "2026-11-20T20:00:00Z", "123456");
        assert_eq!(service.post("visa-eu", body).await.0, 200);
    }
    let refund = world::event("e9", "refund", "p1", "tok_member-two", 1_000, "2026-11-21T11:30:00Z", "123456");
    assert_eq!(service.post("visa-eu", refund).await.0, 200);
    let id = MerchantId::new("shop").unwrap();
    let mut patience = 20_000;
    // The follower reads behind the service.
    while service.doors.screener.report(&id).days.values().map(|sums| sums.returned_minor).sum::<i64>() < 1_000 {
        patience -= 1;
        assert!(patience > 0, "{:?}", service.doors.screener.report(&id));
        tokio::task::yield_now().await;
        service.send("GET", "/healthz", &[], Vec::new()).await;
    }
    let report = service.doors.screener.report(&id);
    assert_eq!(report.hours.keys().map(|(hour, _)| *hour).collect::<Vec<_>>(), [3, 12, 13]);
    let offer = &report.offers[&"five".parse().unwrap()];
    assert_eq!((offer.redemptions, offer.redeemers), (3, 2));
    // What was given is what the books say that the merchant gave.
    let given = offer.rewards.values().sum::<i64>();
    let books = engine.trial_balance().await.unwrap();
    let funds = [AccountKind::MerchantFunding, AccountKind::MerchantBudget];
    let of_shop = books.merchants.iter().filter(|((merchant, kind, _), _)| *merchant == id && funds.contains(kind));
    assert_eq!((given, of_shop.map(|(_, minor)| -minor).sum::<i64>()), (450, 450));
    assert_eq!(report.days.values().map(|sums| sums.reward_minor).sum::<i64>(), 350, "1.00 was before these days");
    let customers = service.doors.screener.customers(&id);
    let new = customers.of_new.values().next().copied().unwrap_or_default();
    assert_eq!((customers.new, customers.existing, customers.more), (1, 1, false));
    assert_eq!((new.purchases, new.spend_minor, new.returned_minor, new.reward_minor), (1, 4_000, 1_000, 150));
    let mut keeper = Browser::signed_in(&service, &key(&service, Role::Merchant, Some("shop"))).await;
    let body = text(&keeper.get("/console/performance").await);
    for said in ["80.00 USD", "10.00 USD", "3.50 USD", "12:00", "until about"] {
        assert!(body.contains(said), "{said}: {body}");
    }
    let row = |label: &str| {
        let cells = between(&body, &format!("<tr><td>{label}</td>"), "</tr>");
        cells.split("number\">").skip(1).map(|cell| cell.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(row("New"), ["1", "1", "40.00 USD", "10.00 USD", "1", "1.50 USD"]);
    assert_eq!(row("Existing"), ["1", "1", "40.00 USD", "0.00 USD", "1", "2.00 USD"], "together they are the totals");
    assert!(!body.contains("member-"), "nobody is named: {body}");
    service.stop().await;
}
