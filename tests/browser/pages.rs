//! Every page as axe-core and a narrow screen see it, by daylight and in the dark. With
//! `RINGFENCE_PICTURES=FOLDER` also their pictures: all of them, or with `RINGFENCE_SHOWN=yes` those
//! that README shows.

use crate::scene::{self, MEMBER, MERCHANT};
use crate::window::{self, Window};
use crate::world::Service;
use crate::world::ring::{key, user};
use ringfence::authenticate::keys::Role;
use serde_json::{Value, json};

const AXE: &str = include_str!("vendored/axe-core-4.14.1.min.js");
/// What axe-core is asked, and what of its answer is kept: the grave ones, each with where it is.
const GRAVE: &str = "return axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations
    .filter((one) => ['serious', 'critical'].includes(one.impact))
    .map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.target.join(' ')).join('; ')}`))";
/// Screens: width, height, dark.
const SCREENS: [(u32, u32, bool); 3] = [(1440, 900, false), (390, 844, false), (1440, 900, true)];

/// What README shows, on a screen of its own.
const SHOWN: [&str; 8] = ["queue", "case", "detectors", "offers", "offer-new", "performance", "locations", "ledger"];
const SHOWN_SCREEN: (u32, u32, bool) = (1200, 720, false);

/// Where pictures go, and whether they are for README.
fn pictures() -> (Option<String>, bool) {
    (std::env::var("RINGFENCE_PICTURES").ok(), std::env::var("RINGFENCE_SHOWN").is_ok())
}

/// Waits until what a script draws is there.
async fn drawn(window: &Window, name: &str) {
    match name {
        "case" | "member" => window.see("#picture canvas").await,
        "performance" => window.see(".chart canvas").await,
        _ => window.see("main h1").await,
    };
}

/// Looks at one page on every screen.
async fn look(window: &Window, name: &str, path: &str, wrong: &mut Vec<String>) {
    for (width, height, dark) in SCREENS {
        window.as_on(width, height, dark).await;
        window.open(path).await;
        drawn(window, name).await;
        let place = format!("{name} at {width}{}", if dark { " in the dark" } else { "" });
        window.run(AXE, Vec::new()).await;
        if let Value::Array(grave) = window.run(GRAVE, Vec::new()).await {
            wrong.extend(grave.iter().map(|one| format!("{place}: {one}")));
        }
        let wide = "return document.scrollingElement.scrollWidth > window.innerWidth";
        if window.run(wide, Vec::new()).await == json!(true) {
            wrong.push(format!("{place}: wider than its screen"));
        }
        if let (Some(folder), false) = pictures() {
            let dark = if dark { "-dark" } else { "" };
            std::fs::write(format!("{folder}/{name}-{width}{dark}.png"), window.picture().await).unwrap();
        }
    }
    if let (Some(folder), true) = pictures()
        && SHOWN.contains(&name)
    {
        let (width, height, dark) = SHOWN_SCREEN;
        window.as_on(width, height, dark).await;
        window.open(path).await;
        drawn(window, name).await;
        std::fs::write(format!("{folder}/{name}.png"), window.picture().await).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_can_be_used_by_everybody() {
    // Screening keeps what the performance page shows.
    let service = Service::start(&[("RINGFENCE_SCREENING__ENABLED", "true")]).await;
    let id = scene::set(&service).await;
    let enter = |name: &'static str, role, merchant| (name, user(&service, name, role, merchant));
    let (risk, operator) = (enter("anna", Role::Risk, None), enter("omar", Role::Operator, None));
    let merchant = enter("mina", Role::Merchant, Some(MERCHANT));
    key(&service, Role::App, None);
    let desk = [
        ("queue", "/console/cases".to_owned()),
        ("case", format!("/console/cases/{id}")),
        ("member", format!("/console/members/{MEMBER}")),
        ("purchase", format!("/console/members/{MEMBER}/purchases/visa-eu/p1")),
        ("detectors", "/console/detectors".to_owned()),
    ];
    let portal = [
        ("offers", "/console/offers"),
        ("offer", "/console/offers/loaf"),
        ("offer-new", "/console/offers/new?from=coffee-club/coffee-beans"),
        ("offer-edit", "/console/offers/loaf/edit"),
        ("performance", "/console/performance"),
        ("locations", "/console/locations"),
        ("heard", "/console/heard"),
        ("competitors", "/console/competitors"),
        ("no-page", "/console/offers/none"),
    ];
    let operators = [
        ("sources", "/console/sources"),
        ("dead-letters", "/console/dead-letters"),
        ("state", "/console/state"),
        ("ledger", "/console/ledger"),
        ("access", "/console/access"),
        ("audit", "/console/audit"),
        ("password", "/console/password"),
        ("choose", "/console/performance"),
    ];
    window::with(&service, async |window: &Window| {
        let mut wrong = Vec::new();
        look(window, "sign-in", "/console/sign-in", &mut wrong).await;
        window.sign_in((risk.0, &risk.1)).await;
        for (name, path) in &desk {
            look(window, name, path, &mut wrong).await;
        }
        window.sign_in((merchant.0, &merchant.1)).await;
        for (name, path) in portal {
            look(window, name, path, &mut wrong).await;
        }
        window.sign_in((operator.0, &operator.1)).await;
        for (name, path) in operators {
            look(window, name, path, &mut wrong).await;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    })
    .await;
    service.stop().await;
}
