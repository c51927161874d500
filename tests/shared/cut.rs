//! Two hosts, and the wire between them cut under load: a master of a Cluster and one of the
//! processes stay alone on one side, and go on answering until they notice.

use crate::fleet::{Fleet, under_load};
use crate::world::network::TwoHosts;
use crate::world::redis::{RedisCluster, RedisServer, wait_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inv_07_a_master_cut_off_with_a_process_loses_nothing_that_was_answered() {
    let network = TwoHosts::new();
    let [here, there] = &network.hosts;
    // The third master is alone over there; its replica is here.
    let cluster = RedisCluster::of(6, 1_500, false, |place, options| {
        let host = if place == 2 { there } else { here };
        RedisServer::at(&host.address, host.runs(), options)
    });
    let places = [here, here, there].map(|host| (host.runs(), format!("{}:8080", host.for_test)));
    let mut places = places.to_vec();
    places[1].1 = format!("{}:8081", here.for_test);
    let fleet = Fleet::at(&cluster.url(), places).await;
    let (_, asked_back, _) = under_load(fleet, async |_, load| {
        network.cut();
        let replica = &cluster.replicas[2];
        wait_for(|| replica.cli(&["info", "replication"]).contains("role:master"));
        load.answered_more(300).await;
        network.heal();
        let back = &cluster.masters[2];
        wait_for(|| back.cli(&["info", "replication"]).contains("master_link_status:up"));
        load.answered_more(300).await;
    })
    .await;
    assert!(asked_back > 0, "the side that is cut off asks callers to come back");
}
