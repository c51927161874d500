//! What every keeper of state promises, put to each of them: the embedded one, one Redis, and
//! a Cluster of three masters.

use crate::world;
use crate::world::redis::{RedisCluster, RedisServer};
use bytes::Bytes;
use ringfence::domain::{CardHash, MemberId, OfferId, PurchaseKey, Timestamp};
use ringfence::journal::Position;
use ringfence::store::embedded::Embedded;
use ringfence::store::redis::connection::ConnectOptions;
use ringfence::store::redis::{LogId, LogPage, Redis, Screened};
use ringfence::store::{Batch, By, CATALOGUE, Committed, Expect, Keeper, Pairs, keys};

const PARTITIONS: u16 = 16;

fn member(id: &str) -> MemberId {
    MemberId::new(id).unwrap()
}
fn value(version: u64, text: &str) -> Option<Bytes> {
    let mut bytes = version.to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    Some(bytes.into())
}
fn bytes(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}
fn purchase(id: &str) -> PurchaseKey {
    PurchaseKey { source: "visa".parse().unwrap(), id: id.parse().unwrap() }
}
fn names(pairs: &Pairs) -> Vec<String> {
    pairs.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect()
}

async fn keeps_its_promise(keeper: &dyn Keeper) {
    let (ann, bob) = (member("ann"), member("bob"));
    let partition = 5;
    let batch = || Batch { partition, ..Batch::default() };
    assert_eq!(keeper.get(partition, &keys::head(&ann)).await.unwrap(), None);
    assert!(keeper.member(partition, &ann).await.unwrap().is_empty());

    // A batch: versions, every kind of key, counters.
    let create = |version: u64, next: u64| Batch {
        expects: vec![Expect { key: keys::head(&ann), version }],
        puts: vec![
            (keys::head(&ann), value(next, "ann")),
            (keys::purchase(&ann, &purchase("p2")), bytes("two")),
            (keys::purchase(&ann, &purchase("p1")), bytes("one")),
            (keys::statement_line(&ann, next), bytes("line")),
            (keys::agenda(7, &ann), bytes("")),
            (keys::card(CardHash([7; 16])), bytes("claim")),
            (keys::mark(), bytes("monday")),
        ],
        adds: vec![(keys::granted(&OfferId::new("five").unwrap()), 30)],
        ..batch()
    };
    assert_eq!(keeper.commit(create(0, 1)).await.unwrap(), Committed::Yes);
    assert_eq!(keeper.commit(create(0, 1)).await.unwrap(), Committed::Conflict, "it is there already");
    assert_eq!(keeper.commit(create(7, 8)).await.unwrap(), Committed::Conflict, "another version");
    assert_eq!(keeper.commit(create(1, 2)).await.unwrap(), Committed::Yes);
    let granted = keys::granted(&OfferId::new("five").unwrap());
    let counted = keeper.get(keeper.counted_in(partition), &granted).await.unwrap();
    assert_eq!(keys::counter(counted.as_ref()), 60, "a refused batch counts nothing");

    // A member: head first, then purchases in order, and nothing else of theirs.
    let pairs = keeper.member(partition, &ann).await.unwrap();
    assert_eq!(names(&pairs), ["mann\0h", "mann\0pvisa\0p1", "mann\0pvisa\0p2"]);
    assert_eq!(pairs[0].1, value(2, "ann").unwrap());
    assert!(keeper.member(partition + 1, &ann).await.unwrap().is_empty(), "another partition");
    let lines = [1, 2, 3].map(|version| keys::statement_line(&ann, version));
    let lines = keeper.read(partition, &lines).await.unwrap();
    assert_eq!(lines, [bytes("line"), bytes("line"), None]);
    assert_eq!(keeper.get(partition, &keys::card(CardHash([7; 16]))).await.unwrap(), bytes("claim"));
    assert_eq!(keeper.get(partition, &keys::mark()).await.unwrap(), bytes("monday"));

    // Members in order.
    let other = Batch {
        puts: vec![(keys::head(&bob), value(1, "bob")), (keys::head(&member("bobby")), value(1, "bobby"))],
        ..batch()
    };
    assert_eq!(keeper.commit(other).await.unwrap(), Committed::Yes);
    let all = keeper.members(partition, None, 10).await.unwrap();
    assert_eq!(all, [ann.clone(), bob.clone(), member("bobby")]);
    assert_eq!(keeper.members(partition, Some(&ann), 1).await.unwrap(), [bob]);

    // Lines by prefix, in order, page by page, with empty values too.
    let puts = (0..1500_u32).map(|n| (keys::agenda(n, &ann), bytes(if n % 2 == 0 { "" } else { "x" })));
    let puts = puts.chain([(keys::request(&[1; 16]), bytes("kept"))]).collect();
    assert_eq!(keeper.commit(Batch { puts, ..batch() }).await.unwrap(), Committed::Yes);
    let page = keeper.scan(partition, b"a", None, 1400).await.unwrap();
    assert_eq!(page.len(), 1400);
    let last = page.last().unwrap().0.clone();
    let rest = keeper.scan(partition, b"a", Some(&last), 1400).await.unwrap();
    assert_eq!(rest.len(), 100);
    let days: Vec<u32> = page.iter().chain(&rest).map(|(key, _)| keys::agenda_parts(key).unwrap().0).collect();
    assert_eq!(days, (0..1500).collect::<Vec<_>>());
    assert_eq!(page[3].1.as_ref(), b"x");

    // Removal.
    let gone = vec![
        (keys::agenda(3, &ann), None),
        (keys::purchase(&ann, &purchase("p1")), None),
        (keys::card(CardHash([7; 16])), None),
    ];
    assert_eq!(keeper.commit(Batch { puts: gone, ..batch() }).await.unwrap(), Committed::Yes);
    assert_eq!(keeper.scan(partition, b"a", None, usize::MAX).await.unwrap().len(), 1499);
    assert_eq!(names(&keeper.member(partition, &ann).await.unwrap()), ["mann\0h", "mann\0pvisa\0p2"]);
    assert_eq!(keeper.get(partition, &keys::card(CardHash([7; 16]))).await.unwrap(), None);

    // Lines that must be as they were read.
    let under =
        |mark| Batch { same: vec![(keys::mark(), mark)], puts: vec![(keys::mark(), bytes("tuesday"))], ..batch() };
    assert_eq!(keeper.commit(under(bytes("sunday"))).await.unwrap(), Committed::Conflict);
    assert_eq!(keeper.commit(under(bytes("monday"))).await.unwrap(), Committed::Yes);
    let absent = |key: Vec<u8>| Batch { same: vec![(key, None)], ..batch() };
    assert_eq!(keeper.commit(absent(keys::mark())).await.unwrap(), Committed::Conflict);
    assert_eq!(keeper.commit(absent(b"zz".to_vec())).await.unwrap(), Committed::Yes);

    // Documents.
    let document = |id: &str, has: u64, text: &str| Batch {
        partition: CATALOGUE,
        expects: vec![Expect { key: keys::merchant(id), version: has }],
        puts: vec![(keys::merchant(id), value(has + 1, text))],
        ..Batch::default()
    };
    for id in ["shop", "café"] {
        assert_eq!(keeper.commit(document(id, 0, "{}")).await.unwrap(), Committed::Yes);
    }
    assert_eq!(keeper.commit(document("shop", 0, "{}")).await.unwrap(), Committed::Conflict);
    assert_eq!(keeper.commit(document("shop", 1, "{\"name\":1}")).await.unwrap(), Committed::Yes);
    let found = keeper.scan(CATALOGUE, b"M", None, 10).await.unwrap();
    assert_eq!(names(&found), ["Mcafé", "Mshop"]);
    assert_eq!(found[1].1, value(2, "{\"name\":1}").unwrap());
    assert!(keeper.scan(CATALOGUE, b"O", None, 10).await.unwrap().is_empty());

    // Sums.
    let sums = keeper.scan(keeper.counted_in(partition), b"g", None, 10).await.unwrap();
    assert_eq!(names(&sums), ["gfive"]);
}

async fn redis(url: &str) -> Redis {
    Redis::open(&ConnectOptions::parse(url).unwrap(), PARTITIONS).await.unwrap()
}

#[tokio::test]
async fn the_embedded_keeper_keeps_its_promise() {
    let folder = world::Folder::new("keeper");
    let (keeper, _) = Embedded::open(&folder.0.join("state"), 1 << 20, 64 << 20).unwrap();
    keeps_its_promise(&keeper).await;
}

#[tokio::test]
async fn redis_keeps_the_same_promise() {
    let server = RedisServer::start();
    keeps_its_promise(&redis(&server.url()).await).await;
    // What a person finds.
    assert_eq!(server.cli(&["hget", "rf:{catalogue}:M:shop", "document"]), "{\"name\":1}");
    assert_eq!(server.cli(&["type", "rf:{5}:m:ann"]), "hash");
}

#[tokio::test]
async fn a_cluster_keeps_the_same_promise() {
    let cluster = RedisCluster::start(false, 5000, false);
    keeps_its_promise(&redis(&cluster.url()).await).await;
}

/// Joins as a process, with a partition proved.
async fn joined(url: &str, process: u32, partition: u16) -> Redis {
    let redis = redis(url).await;
    redis.join(process);
    let look = redis.begin(partition, process, 0, &[process]).await.unwrap();
    assert!(redis.settled(partition, process, look.epoch, Position::default()).await.unwrap());
    redis.standings().of(partition).enter(look.epoch, look.sequence);
    redis.standings().of(partition).prove();
    redis
}

/// What follows a partition: logs, and leases whose tokens never come again.
async fn is_followed_by_one(url: &str) {
    let (partition, ann) = (5, member("ann"));
    let (one, two) = (joined(url, 1, partition).await, joined(url, 2, partition).await);
    let by = |process| Some(By { process, low_water: Position::default(), repairs: false });
    let written = |process, text: &'static str, lease| Batch {
        partition,
        puts: vec![(keys::head(&ann), value(1, text))],
        by: by(process),
        log: vec![Bytes::from_static(text.as_bytes())],
        lease,
        ..Batch::default()
    };
    // One has it, and has it again; the other does not.
    let first = one.lease(partition, 1, 60_000).await.unwrap().unwrap();
    assert_eq!(one.lease(partition, 1, 60_000).await.unwrap(), Some(first));
    assert_eq!(two.lease(partition, 2, 60_000).await.unwrap(), None);
    assert_eq!(one.commit(written(1, "first", Some(first))).await.unwrap(), Committed::Yes);
    // Given up, it goes to the other, and what the first one still writes is refused whole.
    one.lease(partition, 1, 0).await.unwrap();
    let second = two.lease(partition, 2, 60_000).await.unwrap().unwrap();
    assert!(second.token > first.token);
    assert_eq!(one.commit(written(1, "late", Some(first))).await.unwrap(), Committed::Conflict);
    assert_eq!(two.commit(written(2, "second", Some(second))).await.unwrap(), Committed::Yes);
    assert_eq!(one.commit(written(1, "third", None)).await.unwrap(), Committed::Yes, "not everything is a follower's");
    assert_eq!(one.get(partition, &keys::head(&ann)).await.unwrap(), value(1, "third"));

    // The log has what was committed, and tells when what comes before was dropped.
    let texts = |page: &LogPage| {
        page.entries.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect::<Vec<_>>()
    };
    let all = two.read_log(partition, None, 10).await.unwrap();
    assert_eq!((texts(&all), all.is_whole), (vec!["first".to_owned(), "second".to_owned(), "third".to_owned()], true));
    let (begin, end) = (all.entries[0].0, all.entries[2].0);
    assert_eq!(two.log_end(partition).await.unwrap(), Some(end));
    let page = two.read_log(partition, Some(begin), 1).await.unwrap();
    assert_eq!((texts(&page), page.is_whole), (vec!["second".to_owned()], true));
    let page = two.read_log(partition, Some(end), 10).await.unwrap();
    assert!(page.entries.is_empty() && page.is_whole);
    let unknown = LogId { number: begin.number + 40, ..begin };
    assert!(!two.read_log(partition, Some(unknown), 10).await.unwrap().is_whole);
    two.trim_log(partition, end).await.unwrap();
    assert_eq!(two.log_end(partition).await.unwrap(), Some(end), "the last one stays");

    // How far screening has come is said by whoever has its lease alone.
    let (one, two) = (joined(url, 1, CATALOGUE).await, joined(url, 2, CATALOGUE).await);
    let first = one.lease(CATALOGUE, 1, 0).await.unwrap().unwrap();
    let second = two.lease(CATALOGUE, 2, 60_000).await.unwrap().unwrap();
    let at = Timestamp::from_ms(1_795_000_000_000);
    assert!(!one.say_screened(first, &[(partition, end)], Some(at)).await.unwrap());
    assert_eq!(one.screened(&[partition]).await.unwrap(), Screened { passed: vec![None], pass_at: None });
    assert!(two.say_screened(second, &[(partition, end)], Some(at)).await.unwrap());
    assert_eq!(one.screened(&[partition]).await.unwrap(), Screened { passed: vec![Some(end)], pass_at: Some(at) });
}

#[tokio::test]
async fn one_redis_is_followed_by_one_process() {
    let server = RedisServer::start();
    is_followed_by_one(&server.url()).await;
    // A server that forgot everything gives no token a second time: the epoch is part of it.
    let partition = 5;
    let before = joined(&server.url(), 3, partition).await.lease(partition, 2, 60_000).await.unwrap().unwrap();
    assert_eq!(server.cli(&["flushall"]), "OK");
    let again = redis(&server.url()).await;
    again.standings().of(partition).knows_of(7);
    again.join(3);
    again.begin(partition, 3, 0, &[]).await.unwrap();
    assert!(again.lease(partition, 3, 60_000).await.unwrap().unwrap().token > before.token);
}

#[tokio::test]
async fn a_cluster_is_followed_by_one_process() {
    let cluster = RedisCluster::start(false, 5_000, false);
    is_followed_by_one(&cluster.url()).await;
}
