//! The operators' pages: sources, dead letters tried again, the books.

use super::{Browser, text};
use crate::world::ring::{key, ring};
use crate::world::{self, Service};
use ringfence::authenticate::keys::Role;

#[tokio::test]
async fn an_operator_sees_sources_letters_and_books() {
    let service = Service::start(&[]).await;
    ring(&service).await;
    let mut operator = Browser::signed_in(&service, &key(&service, Role::Operator, None)).await;
    let unread = world::event("e99", "clearing", "p99", "tok_ring_0", 4_000, "2026-11-21T11:00:00Z", "123456");
    let (status, _) = service.post("visa-eu", unread.replace("\"clearing\"", "\"sneezed\"")).await;
    assert_eq!(status, 422);
    assert_eq!(service.send("POST", "/v1/webhooks/visa-eu", &[], b"{}".to_vec()).await.status, 401);

    let body = text(&operator.get("/console/sources").await);
    for said in ["visa-eu", "stripe", "learning", "/console/dead-letters", "Turned away since the start"] {
        assert!(body.contains(said), "{said}: {body}");
    }
    let page = operator.get("/console/dead-letters").await;
    let body = text(&page);
    assert!(body.contains("sneezed") && body.contains("Replay"), "{body}");
    let id: u64 = super::between(&body, "/console/dead-letters/", "/replay").parse().unwrap();
    let again = operator.post(&format!("/console/dead-letters/{id}/replay"), &page, &[]).await;
    assert!(text(&again).contains("cannot be understood yet"), "{}", text(&again));
    assert_eq!(operator.post("/console/dead-letters/123456789/replay", &page, &[]).await.status, 404);

    let body = text(&operator.get("/console/ledger").await);
    assert!(body.contains(">balanced<") && body.contains("12.00 USD") && body.contains("member posted"), "{body}");
    assert!(body.contains("/console/members/ring-0"), "{body}");
    assert_eq!(operator.get("/console/ledger?cursor=nonsense").await.status, 400);
    service.stop().await;
}
