//! What people do in the consoles from end to end: an analyst confirms a case and takes it back,
//! also without a mouse; a merchant publishes an offer, and the next purchase is credited by it.

use crate::scene::{self, FRIENDS, MEMBER};
use crate::window::{self, Window};
use crate::world::ring::{posted, ring, user};
use crate::world::{self, Service};
use fantoccini::key::Key;
use ringfence::authenticate::keys::Role;

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_confirms_a_case_and_undo_restores_the_balance() {
    let service = Service::start(&[]).await;
    ring(&service).await;
    let password = user(&service, "anna", Role::Risk, None);
    window::with(&service, async |window: &Window| {
        window.sign_in(("anna", &password)).await;
        window.click("form[action^='/console/cases/next'] button").await;
        window.see(".tag.own").await;
        window.see("#picture canvas").await;
        window.click("input[name=verdict][value=confirm]").await;
        // What it does is said before it is done, and by itself it does nothing.
        window.see_text("confirm means 5 members").await;
        assert_eq!(posted(&service, "ring-0").await, 200);
        window.fill("textarea[name=reason]", "the same person five times").await;
        window.click("#decide button.main").await;
        window.see("h1 .tag.confirmed").await;
        assert_eq!(posted(&service, "ring-0").await, 0);
        window.fill("form[action$='/undo'] input[name=reason]", "they are a family").await;
        window.click("form[action$='/undo'] button").await;
        window.see("h1 .tag.open").await;
        assert_eq!(posted(&service, "ring-0").await, 200);
        window.open("/console/members/ring-0").await;
        assert!(window.text("h1").await.contains("clear"));
    })
    .await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_decided_by_keyboard_alone() {
    let service = Service::start(&[]).await;
    let id = ring(&service).await;
    let password = user(&service, "anna", Role::Risk, None);
    window::with(&service, async |window: &Window| {
        window.open("/console/sign-in").await;
        window.tab_to("input[name=name]").await;
        window.type_in("anna").await;
        window.tab_to("input[name=password]").await;
        window.type_in(&password).await;
        window.press(Key::Enter).await;
        window.see(&format!("a[href='/console/cases/{id}']")).await;
        window.tab_to(&format!("a[href='/console/cases/{id}']")).await;
        window.press(Key::Enter).await;
        window.see("#decide").await;
        window.tab_to("input[name=verdict]").await;
        window.press(Key::Space).await;
        window.see_text("confirm means 5 members").await;
        window.tab_to("textarea[name=reason]").await;
        window.type_in("seen on site").await;
        window.tab_to("#decide button.main").await;
        window.press(Key::Enter).await;
        window.see("h1 .tag.confirmed").await;
    })
    .await;
    assert_eq!(posted(&service, "ring-0").await, 0);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_expanded_and_collapsed_by_keyboard() {
    let service = Service::start(&[("RINGFENCE_SCREENING__ENABLED", "true")]).await;
    let id = scene::set(&service).await;
    let password = user(&service, "anna", Role::Risk, None);
    window::with(&service, async |window: &Window| {
        window.sign_in(("anna", &password)).await;
        let (case, member) = (format!("/console/cases/{id}"), format!("/console/members/{MEMBER}"));
        let friend = format!("#picture-who option[value='m:{}']", FRIENDS[1]);
        let referral = format!("#ties tr[data-link='{} referral {}']", FRIENDS[1], FRIENDS[0]);
        for (path, who, brings) in [(case, MEMBER, friend), (member, FRIENDS[0], referral)] {
            window.open(&path).await;
            window.see("#picture canvas").await;
            let rows =
                async || window.run("return document.querySelectorAll('#ties tr[data-link]').length", vec![]).await;
            let before = rows().await;
            window.tab_to("#picture-who").await;
            window.type_in(who).await;
            window.tab_to("#picture-expand").await;
            window.press(Key::Enter).await;
            // What the picture has, the table has.
            window.see(&brings).await;
            assert_ne!(rows().await, before, "{path}");
            window.see_text("Collapse").await;
            window.press(Key::Enter).await;
            window.see_text("Expand").await;
            assert_eq!(rows().await, before, "{path}: what was brought in is gone");
        }
    })
    .await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_publishes_an_offer_and_the_next_purchase_is_credited() {
    let service = Service::start(&[]).await;
    let engine = service.engine();
    engine.put_merchant(world::merchant("bakery", &["654321"]), None).await.unwrap();
    // Not the first offer of this merchant, which an operator approves.
    world::publish(engine, "first", world::terms("bakery")).await;
    engine.step_offer(&"first".parse().unwrap(), ringfence::engine::catalogue::Step::End, None).await.unwrap();
    world::member(engine, "ann", "tok_ann").await;
    let password = user(&service, "bea", Role::Merchant, Some("bakery"));
    window::with(&service, async |window: &Window| {
        window.sign_in(("bea", &password)).await;
        window.click("a[href='/console/offers/new']").await;
        window.click("a[href$='from=beauty-tiers/beauty-back']").await;
        window.see("#read .good").await;
        window.fill("input[name=id]", "loaf").await;
        window.click("form[method=post][action='/console/offers/new'] button.main").await;
        window.click("form[action$='/steps/publish'] button").await;
        window.see("h1 .tag.published").await;
    })
    .await;
    service.clock.set(service.clock.now().plus_ms(60_000));
    let body = world::event("e1", "clearing", "p1", "tok_ann", 4_000, "2026-11-21T12:00:30Z", "654321");
    let (status, answer) = service.post("visa-eu", body).await;
    assert_eq!(status, 200, "{answer}");
    assert!(posted(&service, "ann").await > 0, "{answer}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_writes_the_document_while_it_is_filled_in() {
    let service = Service::start(&[]).await;
    service.engine().put_merchant(world::merchant("bakery", &["654321"]), None).await.unwrap();
    let password = user(&service, "bea", Role::Merchant, Some("bakery"));
    window::with(&service, async |window: &Window| {
        window.sign_in(("bea", &password)).await;
        window.open("/console/offers/new").await;
        for (field, text) in [("title", "We missed you"), ("currency", "USD"), ("most", "5"), ("reward", "10")] {
            window.fill(&format!("form.filters input[name={field}]"), text).await;
        }
        window.see_text("Members get 10 percent, up to 5.00 USD.").await;
        window.tab_to("select[name=who]").await;
        window.type_in("Who has").await;
        window.fill("form.filters input[name=lapsed_days]", "60").await;
        window.see_text("Members who have not bought for 60 days get 10 percent, up to 5.00 USD.").await;
        let document = window.run("return document.getElementById('document').value", vec![]).await;
        assert!(document.as_str().unwrap().contains("days_since_purchase"), "{document}");
        // Of a field that cannot be read is told, and the document stays.
        window.fill("form.filters input[name=reward]", "ten").await;
        window.see_text("must be a number").await;
        let after = window.run("return document.getElementById('document').value", vec![]).await;
        assert_eq!(after, document);
        window.fill("input[name=id]", "missed").await;
        window.click("#offer button.main").await;
        window.see("h1 .tag.draft").await;
    })
    .await;
    service.stop().await;
}
