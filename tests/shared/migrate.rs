//! A service moves from the embedded store to a Redis, on to a Cluster with another process, and
//! back to an embedded store, from one journal and from several; what it knew it knows.

use crate::together::{cashback, open_shop, purchase, services, share_secrets, shared, until_seen};
use crate::world::redis::{RedisCluster, RedisServer};
use crate::world::{self, Folder, Service};
use ringfence::audit::{AuditOptions, audit};
use ringfence::config::StoreUrl;
use ringfence::migrate::{MigrateError, Migrated, migrate};
use std::path::Path;

async fn move_to(folders: &[&Folder], to: &str) -> Result<Migrated, MigrateError> {
    move_into(folders, to, None).await
}

async fn move_into(folders: &[&Folder], to: &str, into: Option<&Path>) -> Result<Migrated, MigrateError> {
    let settings = world::settings(&folders[0].0, &[]);
    let dirs: Vec<_> = folders.iter().map(|folder| folder.0.join("journal")).collect();
    migrate(&settings, &dirs, &StoreUrl::parse(to).unwrap(), into).await
}

async fn buy(service: &Service, nths: std::ops::Range<usize>, outcome: &str) {
    for nth in nths {
        let (status, answer) = service.post("visa-eu", purchase(0, nth)).await;
        assert_eq!((status, answer["outcome"].as_str()), (200, Some(outcome)), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_from_embedded_to_redis_to_a_cluster() {
    let service = Service::start(&[]).await;
    open_shop(&service, Some(1_000)).await;
    world::member(service.engine(), "m0", "tok_0").await;
    let (status, _) = service.call("PUT", "/v1/members/ann", r#"{"region":"EU-DE","birthday":"--02-29"}"#).await;
    assert_eq!(status, 201);
    buy(&service, 0..3, "credited").await;
    let folder = service.stop().await;

    let server = RedisServer::start();
    let moved = move_to(&[&folder], &server.url()).await.unwrap();
    assert_eq!((moved.left_out, moved.sums > 0), (0, true), "{moved:?}");
    let again = move_to(&[&folder], &server.url()).await;
    assert!(matches!(again, Err(MigrateError::NotEmpty)), "{again:?}");

    // With a second process beside it from now on.
    let url = server.url();
    let one = Service::start_in(folder, &shared(&url)).await;
    let other = Folder::new("moved");
    share_secrets(&one.folder, &other);
    let two = Service::start_in(other, &shared(&url)).await;
    until_seen(&two).await;
    assert_eq!(two.call("GET", "/v1/members/ann", "").await.1["region"], "EU-DE", "the key moved too");
    buy(&two, 0..3, "duplicate").await;
    buy(&two, 3..6, "credited").await;
    buy(&one, 6..10, "credited").await;
    // The budget counts what was granted before the move.
    buy(&two, 10..11, "no_reward").await;
    let folders = [one.stop().await, two.stop().await];

    let cluster = RedisCluster::start(false, 5_000, false);
    let moved = move_to(&[&folders[0], &folders[1]], &cluster.url()).await.unwrap();
    assert!(moved.records > 10 && moved.sums > 0, "{moved:?}");
    let [first, second] = folders;
    let url = cluster.url();
    let one = Service::start_in(first, &shared(&url)).await;
    let two = Service::start_in(second, &shared(&url)).await;
    buy(&one, 0..10, "duplicate").await;
    assert_eq!(cashback(&two, "m0").await, 1_000);
    assert!(one.engine().trial_balance().await.unwrap().out_of_balance().is_empty());
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_moves_from_redis_to_an_embedded_store() {
    let server = RedisServer::start();
    let one = services(&server.url(), 1).await.remove(0);
    open_shop(&one, None).await;
    world::member(one.engine(), "m0", "tok_0").await;
    buy(&one, 0..3, "credited").await;
    let folder = one.stop().await;
    let to = format!("embedded:{}", folder.0.display());
    let moved = move_to(&[&folder], &to).await.unwrap();
    assert_eq!(moved.left_out, 0);
    let one = Service::start_in(folder, &[]).await;
    buy(&one, 0..3, "duplicate").await;
    buy(&one, 3..4, "credited").await;
    assert_eq!(cashback(&one, "m0").await, 400);
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_become_one_with_an_embedded_store() {
    let server = RedisServer::start();
    let mut both = services(&server.url(), 2).await;
    let (two, one) = (both.remove(1), both.remove(0));
    open_shop(&one, Some(1_000)).await;
    until_seen(&two).await;
    world::member(one.engine(), "m0", "tok_0").await;
    // Each has the key of one, and of one more who is erased: by the process that has the key not.
    for (service, name) in [(&one, "ann"), (&two, "ben"), (&one, "cem"), (&two, "dan")] {
        let (status, _) = service.call("PUT", &format!("/v1/members/{name}"), r#"{"region":"EU-DE"}"#).await;
        assert_eq!(status, 201);
    }
    for name in ["cem", "dan"] {
        let (status, answer) = two.call("DELETE", &format!("/v1/members/{name}"), "").await;
        assert!(status < 300, "{status} {answer}");
    }
    buy(&one, 0..3, "credited").await;
    buy(&two, 3..6, "credited").await;
    buy(&one, 6..9, "credited").await;
    let folders = [one.stop().await, two.stop().await];
    let [first, second] = &folders;

    let new = Folder::new("merged");
    let (to, into) = (format!("embedded:{}", new.0.display()), new.0.join("journal"));
    let refused = move_to(&[first, second], &to).await;
    assert!(matches!(refused, Err(MigrateError::NotOneJournal)), "{refused:?}");
    std::fs::remove_dir_all(&new.0).unwrap();
    let moved = move_into(&[first, second], &to, Some(&into)).await.unwrap();
    assert!(moved.records > 15 && moved.sums > 0, "{moved:?}");
    let again = move_into(&[first, second], &to, Some(&into)).await;
    assert!(matches!(again, Err(MigrateError::HasJournal(_))), "{again:?}");

    let service = Service::start_in(new, &[]).await;
    buy(&service, 0..9, "duplicate").await;
    buy(&service, 9..10, "credited").await;
    buy(&service, 10..11, "no_reward").await;
    assert_eq!(cashback(&service, "m0").await, 1_000);
    for (name, region) in [("ann", Some("EU-DE")), ("ben", Some("EU-DE")), ("cem", None), ("dan", None)] {
        assert_eq!(
            service.call("GET", &format!("/v1/members/{name}"), "").await.1["region"].as_str(),
            region,
            "{name}"
        );
    }
    // What another process sealed is erased here too.
    let (status, answer) = service.call("DELETE", "/v1/members/ben", "").await;
    assert!(status < 300, "{status} {answer}");
    let folder = service.stop().await;

    // The new journal is the truth: a state that is lost is rebuilt from it, and it is proved.
    std::fs::remove_dir_all(folder.0.join("state")).unwrap();
    let service = Service::start_in(folder, &[]).await;
    assert_eq!(cashback(&service, "m0").await, 1_000);
    assert_eq!(service.call("GET", "/v1/members/ann", "").await.1["region"], "EU-DE");
    assert_eq!(service.call("GET", "/v1/members/ben", "").await.1["region"].as_str(), None);
    let folder = service.stop().await;
    let policy = ringfence::app::policy(&world::settings(&folder.0, &[]));
    let report = audit(&[into], &AuditOptions::new(policy)).unwrap();
    assert!(report.is_clean(), "{report}");
}
