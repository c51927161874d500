//! The risk desk: a case taken, decided, seconded and taken back with its money; who is found by what;
//! a decision made again.

use super::{Browser, encoded, place, text};
use crate::world::Service;
use crate::world::ring::{NAUGHTY, Six, key, posted, ring, six};
use ringfence::authenticate::keys::Role;
use ringfence::domain::{Currency, MemberId, Unit};
use ringfence::engine::acts::Registration;
use ringfence::engine::redeem::Wanted;
use std::time::Duration;

#[tokio::test]
async fn one_case_at_a_time_and_nobody_elses() {
    let service = Service::start(&[("RINGFENCE_CONSOLE__TAKE_IDLE_SECONDS", "600")]).await;
    let id = ring(&service).await;
    let mut analyst = Browser::signed_in(&service, &key(&service, Role::Risk, None)).await;
    let mut other = Browser::signed_in(&service, &key(&service, Role::Operator, None)).await;
    let (queue, others) = (analyst.get("/console/cases").await, other.get("/console/cases").await);
    let path = format!("/console/cases/{id}");
    assert_eq!(
        place(&analyst.post("/console/cases/next?detector=none", &queue, &[]).await),
        "/console/cases?status=open&detector=none&merchant=&age=&standing=&sort=money"
    );
    assert_eq!(place(&analyst.post("/console/cases/next", &queue, &[]).await), path);
    assert!(text(&analyst.get(&path).await).contains("yours until"));
    let counts = text(&other.get("/console/cases/counts").await);
    assert!(counts.contains("<strong>1</strong> open") && counts.contains("1 in hand"), "{counts}");
    // Others see who has it, and can neither take nor decide it.
    assert!(place(&other.post("/console/cases/next", &others, &[]).await).starts_with("/console/cases?"));
    let page = other.get(&path).await;
    assert!(text(&page).contains("works on this case") && !text(&page).contains("id=\"decide\""), "{}", text(&page));
    assert_eq!(other.post(&format!("{path}/take"), &page, &[]).await.status, 409);
    let verdict = [("verdict", "confirm"), ("who", "all"), ("scope", "program"), ("reason", "x")];
    assert_eq!(other.post(&format!("{path}/review"), &page, &verdict).await.status, 409);
    // Left alone it is free, and by hand it is free at once.
    service.clock.set(service.clock.now().plus_ms(600_000));
    assert_eq!(place(&other.post(&format!("{path}/take"), &page, &[]).await), path);
    assert_eq!(analyst.post(&format!("{path}/release"), &queue, &[]).await.status, 409, "not hers any more");
    assert_eq!(other.post(&format!("{path}/release"), &page, &[]).await.status, 303);
    assert_eq!(place(&analyst.post(&format!("{path}/take"), &queue, &[]).await), path);
    assert_eq!(analyst.post(&format!("{path}/review"), &queue, &verdict).await.status, 303);
    assert!(text(&other.get("/console/cases/counts").await).contains("0 in hand"), "a decision lets go");
    service.stop().await;
}

#[tokio::test]
async fn a_case_is_decided_and_taken_back_with_its_money() {
    let service = Service::start(&[]).await;
    let id = ring(&service).await;
    let mut analyst = Browser::signed_in(&service, &key(&service, Role::Risk, None)).await;
    let queue = text(&analyst.get("/console/cases").await);
    assert!(queue.contains(&format!("/console/cases/{id}")) && queue.contains("12.00 USD"), "{queue}");
    let naughty = encoded(NAUGHTY);
    for (query, there) in [
        ("detector=referral_chain", true),
        ("detector=dense_block", false),
        ("status=confirmed", false),
        ("merchant=program", true),
        ("merchant=shop", false),
        ("age=day", true),
        ("age=older", false),
        ("standing=clear", true),
        ("standing=barred", false),
        ("search=ring-2", true),
        ("search=tok_ring_2", true),
        ("search=nobody", false),
        (&format!("search={naughty}"), true),
    ] {
        let found = text(&analyst.get(&format!("/console/cases?{query}")).await);
        assert_eq!(found.contains(&format!("/console/cases/{id}\"")), there, "{query}: {found}");
    }

    let path = format!("/console/cases/{id}");
    let page = analyst.get(&path).await;
    let body = text(&page);
    assert!(
        body.contains("6 members share one verified device; 5 of them were referred by another of the group."),
        "{body}"
    );
    assert!(body.contains("12.00 USD can still be kept; nothing is paid out."), "{body}");
    assert!(body.contains("Would clear it: proof that they are six people"), "{body}");
    assert!(!body.contains("<script>alert") && !body.contains("<b>bold"), "everything is escaped: {body}");
    assert!(
        !body.contains("<script>") && !body.contains(" style=\"") && !body.contains("onclick"),
        "nothing is inline"
    );

    // The preview is what happens then, and by itself changes nothing.
    let all = [("verdict", "confirm"), ("who", "all"), ("scope", "program")];
    let effect = text(&analyst.post(&format!("{path}/preview"), &page, &all).await);
    assert!(effect.contains("means 5 members; the standing of 5 would change"), "{effect}");
    assert!(effect.contains("10.00 USD") && effect.contains("-10.00 USD"), "{effect}");
    assert_eq!(posted(&service, "ring-0").await, 200);
    let some =
        [("verdict", "confirm"), ("who", "some"), ("member", "ring-0"), ("member", NAUGHTY), ("scope", "program")];
    let effect = text(&analyst.post(&format!("{path}/preview"), &page, &some).await);
    assert!(effect.contains("means 2 members") && effect.contains("-4.00 USD"), "{effect}");

    let nothing = analyst.post(&format!("{path}/review"), &page, &all).await;
    assert_eq!(nothing.status, 422, "a reason is asked for");
    let stranger =
        [("verdict", "confirm"), ("who", "some"), ("member", "honest"), ("scope", "program"), ("reason", "x")];
    assert_eq!(analyst.post(&format!("{path}/review"), &page, &stranger).await.status, 422);
    let with =
        [all.as_slice(), &[("template", "One hand behind several accounts"), ("reason", "seen on site")]].concat();
    let decided = analyst.post(&format!("{path}/review"), &page, &with).await;
    assert_eq!((decided.status, place(&decided)), (303, path.clone()));
    assert_eq!(posted(&service, "ring-0").await, 0, "on the books before the page answers");
    assert_eq!(posted(&service, "ring-4").await, 200, "only named by others");
    let page = analyst.get(&path).await;
    let body = text(&page);
    assert!(body.contains("One hand behind several accounts. seen on site"), "{body}");
    assert!(body.contains("<span class=\"tag confirmed\">confirmed</span>"), "{body}");
    assert!(!body.contains("/review\""), "what is decided is not decided again: {body}");

    let undone = analyst.post(&format!("{path}/undo"), &page, &[("reason", "the wrong ring")]).await;
    assert_eq!(undone.status, 303);
    assert_eq!(posted(&service, "ring-0").await, 200);

    let member = text(&analyst.get("/console/members/ring-0").await);
    assert!(member.contains(&format!("/console/cases/{id}")) && member.contains("2.00 USD by five"), "{member}");
    assert!(member.contains("…ng_0") && !member.contains("tok_ring_0"), "a card's last four at most: {member}");
    let member = analyst.get(&format!("/console/members/{naughty}")).await;
    assert_eq!(member.status, 200);
    assert!(!text(&member).contains("<script>alert"));
    assert_eq!(analyst.get("/console/audit").await.status, 403, "the list is an operator's");
    let mut operator = Browser::signed_in(&service, &key(&service, Role::Operator, None)).await;
    let list = text(&operator.get("/console/audit").await);
    let export = text(&operator.get("/console/audit/console-audit.jsonl").await);
    for did in ["sign in", "read case", "confirm case", "undo the last review of case", "read member ring-0"] {
        assert!(list.contains(did) && export.contains(&format!("\"did\":\"{did}")), "{did}: {export}");
    }
    assert!(!list.contains("<script>alert"));
    for (path, status) in [("/console/cases/99999", 404), ("/console/cases/x", 404), ("/console/members/nobody", 404)] {
        assert_eq!(analyst.get(path).await.status, status, "{path}");
    }
    assert_eq!(analyst.get("/console/offers").await.status, 403, "the portal is not the desk");
    service.stop().await;
}

#[tokio::test]
async fn what_takes_much_is_said_by_two() {
    let service = Service::start(&[("RINGFENCE_SCREENING__FOUR_EYES_MINOR", "1000")]).await;
    let id = ring(&service).await;
    let path = format!("/console/cases/{id}");
    let mut first = Browser::signed_in(&service, &key(&service, Role::Risk, None)).await;
    let mut second = Browser::signed_in(&service, &key(&service, Role::Operator, None)).await;
    let page = first.get(&path).await;
    let less = [("verdict", "confirm"), ("who", "some"), ("member", "ring-0"), ("scope", "program"), ("reason", "one")];
    assert_eq!(first.post(&format!("{path}/review"), &page, &less).await.status, 303);
    assert_eq!(posted(&service, "ring-0").await, 0, "2.00 is little: one is enough");
    assert_eq!(first.post(&format!("{path}/undo"), &page, &[("reason", "again")]).await.status, 303);

    let all = [("verdict", "confirm"), ("who", "all"), ("scope", "program"), ("reason", "one hand")];
    assert_eq!(first.post(&format!("{path}/review"), &page, &all).await.status, 303);
    assert_eq!(posted(&service, "ring-0").await, 200, "10.00 is much: nothing yet");
    let page = first.get(&path).await;
    let body = text(&page);
    assert!(body.contains("Waits for a second reviewer") && body.contains("tag open"), "{body}");
    assert!(!body.contains("Confirm as proposed"), "nobody is their own second: {body}");
    let own = first.post(&format!("{path}/second"), &page, &[("reason", "me too")]).await;
    assert_eq!(own.status, 403);
    assert_eq!(first.post(&format!("{path}/review"), &page, &all).await.status, 303, "saying it again is no second");
    assert_eq!(posted(&service, "ring-0").await, 200);
    let page = second.get(&path).await;
    assert!(text(&page).contains("Confirm as proposed"), "{}", text(&page));
    assert_eq!(second.post(&format!("{path}/second"), &page, &[("reason", "")]).await.status, 422);
    let done = second.post(&format!("{path}/second"), &page, &[("reason", "seen the devices")]).await;
    assert_eq!(done.status, 303, "{}", text(&done));
    assert_eq!(posted(&service, "ring-0").await, 0);
    let body = text(&second.get(&path).await);
    assert!(body.contains("tag confirmed") && body.contains("seen the devices (proposed by"), "{body}");
    assert_eq!(second.post(&format!("{path}/second"), &page, &[("reason", "once more")]).await.status, 409);
    service.stop().await;
}

#[tokio::test]
async fn what_was_decided_is_decided_again_and_detectors_are_measured() {
    let service = Service::start(&[]).await;
    let id = ring(&service).await;
    let mut analyst = Browser::signed_in(&service, &key(&service, Role::Risk, None)).await;
    let again = text(&analyst.get("/console/members/ring-0/purchases/visa-eu/p0").await);
    assert!(again.contains("the same answer for every offer") && again.contains("2.00 USD"), "{again}");
    assert!(!again.contains("tok_ring"), "{again}");
    for path in ["/console/members/ring-1/purchases/visa-eu/p0", "/console/members/ring-0/purchases/visa-eu/none"] {
        assert_eq!(analyst.get(path).await.status, 404, "{path}");
    }
    let page = analyst.get(&format!("/console/cases/{id}")).await;
    let verdict = [("verdict", "confirm"), ("who", "all"), ("scope", "program"), ("reason", "x")];
    assert_eq!(analyst.post(&format!("/console/cases/{id}/review"), &page, &verdict).await.status, 303);
    service.clock.set(service.clock.now().plus_ms(6_000));
    let page = analyst.get("/console/detectors").await;
    let body = text(&page);
    assert!(body.contains("1 of 1 · 100 %") && body.contains("shared device"), "{body}");
    let known = ringfence::graph::detectors::ALL[0];
    let path = format!("/console/detectors/{}/{}/withdraw", known.name, known.version);
    assert_eq!(analyst.post(&path, &page, &[("reason", "")]).await.status, 422);
    let nobodys = analyst.post("/console/detectors/none/1/withdraw", &page, &[("reason", "x")]).await;
    assert_eq!(nobodys.status, 404);
    assert_eq!(analyst.post(&path, &page, &[("reason", "it names families")]).await.status, 303);
    service.stop().await;
}

#[tokio::test]
async fn who_is_around_a_member_is_a_part_with_the_same_rows_as_its_picture() {
    let service = Service::start(&[("RINGFENCE_SCREENING__ENABLED", "true")]).await;
    let engine = service.engine();
    let id = |name: &str| MemberId::new(name).unwrap();
    for (name, by) in [("ann", None), (NAUGHTY, Some("ann")), ("cyd", None)] {
        let links = vec![("phone".to_owned(), "+1 555 0100".to_owned(), name == "ann", None)];
        let said = Registration { referred_by: by.map(id), links, ..Registration::default() };
        engine.register(&id(name), said, None).await.unwrap();
    }
    let mut analyst = Browser::signed_in(&service, &key(&service, Role::Risk, None)).await;
    let mut part = String::new();
    // Screening reads the records behind the service.
    let read = async {
        while !part.contains("data-link=\"cyd phone") {
            part = text(&analyst.get("/console/members/ann/around").await);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("screening reads what was registered");
    assert!(part.contains("referral ann") && part.contains("verified"), "{part}");
    assert!(!part.contains("<script>alert") && !part.contains("0100"), "{part}");
    // Three links to the phone and one referral, in the picture and in the table.
    assert_eq!((part.matches("<tr data-link").count(), part.matches("&#34;key&#34;").count()), (4, 4), "{part}");
    let page = text(&analyst.get("/console/members/ann").await);
    assert!(page.contains("id=\"picture\"") && page.contains("data-link=\"cyd phone"), "{page}");
    assert_eq!(analyst.get("/console/members/nobody/around").await.status, 404);
    let mut merchant = Browser::signed_in(&service, &key(&service, Role::Merchant, Some("shop"))).await;
    assert_eq!(merchant.get("/console/members/ann/around").await.status, 403);
    service.stop().await;
}

#[tokio::test]
async fn a_rule_is_said_made_live_and_ended_by_the_desk() {
    let service = Service::start(&[]).await;
    let mut analyst = Browser::signed_in(&service, &key(&service, Role::Risk, None)).await;
    let page = analyst.get("/console/detectors").await;
    let rule = |id: &'static str| [("id", id), ("reason", "a <b>farm</b>")];
    let velocity = [("kind", "velocity"), ("count", "sign_ups"), ("per", "device"), ("hours", "24"), ("at_least", "5")];
    let deny = [("kind", "deny"), ("whom", "device"), ("value", "the-secret-device"), ("until", "")];
    let allow = [("kind", "allow"), ("whom", "member"), ("value", NAUGHTY), ("until", "2027-01-31")];
    for (id, fields) in [("fast", &velocity[..]), ("burner", &deny), ("kiosk", &allow)] {
        let fields: Vec<_> = rule(id).iter().chain(fields).copied().collect();
        assert_eq!(
            place(&analyst.post("/console/detectors/rules", &page, &fields).await),
            "/console/detectors#h-rules"
        );
    }
    let fields: Vec<_> = rule("fast").iter().chain(&deny).copied().collect();
    let again = analyst.post("/console/detectors/rules", &page, &fields).await;
    assert_eq!(again.status, 412, "another rule of that name is not meant");
    let shown = text(&analyst.get("/console/detectors").await);
    assert!(shown.contains("5 sign-ups or more per device within 1 days") && shown.contains("members with a device"));
    assert!(!shown.contains("the-secret-device") && !shown.contains("<b>farm") && !shown.contains("<script>alert"));
    for (state, version) in [("live", "1"), ("shadow", "2"), ("ended", "3")] {
        let step = [("state", state), ("version", version), ("reason", "seen")];
        let path = "/console/detectors/rules/fast/state";
        assert_eq!(place(&analyst.post(path, &page, &step).await), "/console/detectors#h-rules");
    }
    let old = [("state", "live"), ("version", "1"), ("reason", "seen")];
    assert_eq!(analyst.post("/console/detectors/rules/fast/state", &page, &old).await.status, 412);
    service.stop().await;
}

#[tokio::test]
async fn a_timeline_has_sign_ups_purchases_and_payments() {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    engine.put_merchant(crate::world::merchant("till", &["123456"]), None).await.unwrap();
    let terms = ringfence::domain::offer::Terms { hold_days: 0, ..crate::world::terms("till") };
    crate::world::publish(engine, "five", terms).await;
    let evidence = [("shared_device", "shared_device", "one"), ("referral_chain", "referral_chain", "two")];
    let names = (0..6).map(|number| format!("paid-{number}")).collect();
    let case = six(&service, Six { names, mid: "123456", evidence }).await;
    let wanted = Wanted::Of(Unit::Money(Currency::parse("USD").unwrap()), 150);
    let member = MemberId::new("paid-3").unwrap();
    engine.redeem(&member, "pay-1".to_owned(), wanted, None, |_| String::new()).await.unwrap();
    let mut analyst = Browser::signed_in(&service, &key(&service, Role::Risk, None)).await;
    let body = text(&analyst.get(&format!("/console/cases/{case}")).await);
    for said in ["paid-3 was paid 1.50 USD", "paid-3 joined", "paid-3 bought at till", "opened by screening"] {
        assert!(body.contains(said), "{said}: {body}");
    }
    assert!(!body.contains("paid-2 was paid"), "{body}");
    assert!(body.contains("10.50 USD can still be kept; 1.50 USD is paid out."), "{body}");
    service.stop().await;
}
