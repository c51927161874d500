//! Parts of a deployment are killed, frozen or restarted under load, by a seed. The seed is
//! printed; `RINGFENCE_CHAOS_SEED=N` repeats it.

use crate::fleet::{Fleet, under_load};
use crate::world::redis::{RedisCluster, RedisServer, wait_for};
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use std::process::Command;

fn seed() -> u64 {
    let seed = std::env::var("RINGFENCE_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("repeat it with: RINGFENCE_CHAOS_SEED={seed} cargo test --test shared chaos");
    seed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_07_processes_and_a_forgetful_redis_are_killed_under_load() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed());
    let mut server = RedisServer::forgetful();
    let fleet = Fleet::start(&server.url(), 3).await;
    under_load(fleet, async |fleet, load| {
        for _ in 0..3 {
            if random.random_bool(0.5) {
                let place = random.random_range(0..3);
                fleet.kill(place);
                load.answered_more(30).await;
                fleet.start_again(place);
            } else {
                server.restart();
            }
            load.answered_more(random.random_range(20..200)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_07_a_frozen_redis_asks_callers_back_and_nothing_is_lost() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&server.url(), 2).await;
    let (_, asked_back, _) = under_load(fleet, async |_, load| {
        server.signal(Signal::STOP);
        load.refused_more(64).await;
        server.signal(Signal::CONT);
    })
    .await;
    assert!(asked_back > 0, "somebody was asked to come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_07_a_full_redis_asks_callers_back_and_nothing_is_lost() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&server.url(), 2).await;
    let (_, asked_back, _) = under_load(fleet, async |_, load| {
        assert_eq!(server.cli(&["config", "set", "maxmemory", "1mb"]), "OK");
        load.refused_more(200).await;
        assert_eq!(server.cli(&["config", "set", "maxmemory", "0"]), "OK");
    })
    .await;
    assert!(asked_back > 0, "somebody was asked to come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_07_masters_of_a_cluster_are_killed_under_load_and_their_replicas_take_over() {
    let mut cluster = RedisCluster::start(true, 1_500, false);
    let fleet = Fleet::start(&cluster.url(), 2).await;
    under_load(fleet, async |_, load| {
        cluster.masters[0].kill();
        let replica = &cluster.replicas[0];
        wait_for(|| replica.cli(&["info", "replication"]).contains("role:master"));
        load.answered_more(300).await;
        // What was the master comes back as a replica and takes over again.
        cluster.masters[0].restart();
        let back = &cluster.masters[0];
        wait_for(|| back.cli(&["info", "replication"]).contains("master_link_status:up"));
        load.answered_more(100).await;
        assert_eq!(back.cli(&["cluster", "failover"]), "OK");
        wait_for(|| back.cli(&["info", "replication"]).contains("role:master"));
        load.answered_more(300).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_move_between_masters_under_load() {
    let cluster = RedisCluster::start(false, 5_000, false);
    let fleet = Fleet::start(&cluster.url(), 2).await;
    let urls = format!("127.0.0.1:{}", cluster.masters[0].port);
    let ids: Vec<String> = cluster.masters.iter().map(|master| master.cli(&["cluster", "myid"])).collect();
    under_load(fleet, async |_, load| {
        let (from, to) = (ids[0].clone(), ids[1].clone());
        let moving = tokio::task::spawn_blocking(move || {
            Command::new("redis-cli")
                .args(["--cluster", "reshard", &urls, "--cluster-from", &from, "--cluster-to", &to])
                .args(["--cluster-slots", "2000", "--cluster-yes"])
                .output()
                .expect("redis-cli is installed")
        });
        let moved = moving.await.unwrap();
        assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stdout));
        load.answered_more(300).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_request_of_a_caller_that_tries_another_process() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&server.url(), 3).await;
    let (_, asked_back, _) = under_load(fleet, async |fleet, load| {
        for place in 0..3 {
            fleet.processes[place].stop();
            load.answered_more(50).await;
            fleet.start_again(place);
            load.answered_more(100).await;
        }
    })
    .await;
    assert_eq!(asked_back, 0, "nobody is asked to come back while one of them restarts");
}
