//! A service moves from the embedded store to a Redis, on to a Cluster with another process, and the
//! other way where one journal holds it all; what it knew it knows.

use crate::together::{cashback, open_shop, purchase, services, share_secrets, shared, until_seen};
use crate::world::redis::{RedisCluster, RedisServer};
use crate::world::{self, Folder, Service};
use ringfence::config::StoreUrl;
use ringfence::migrate::{MigrateError, migrate};

async fn move_to(folders: &[&Folder], to: &str) -> Result<ringfence::migrate::Migrated, MigrateError> {
    let settings = world::settings(&folders[0].0, &[]);
    let dirs: Vec<_> = folders.iter().map(|folder| folder.0.join("journal")).collect();
    migrate(&settings, &dirs, &StoreUrl::parse(to).unwrap()).await
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
