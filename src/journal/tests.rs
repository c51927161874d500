//! Tests of the journal as a caller and a disk see it. Most run on a simulated disk that forgets and fails.

use super::disk::{RealDisk, SimDisk};
use super::*;
use crate::domain::Timestamp;
use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Runtime;

const BOUND: Duration = Duration::from_secs(20);
const HEADER: usize = format::HEADER_BYTES;
const DIR: &str = "/j";

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Small segments, so that a few records fill several.
fn options() -> Options {
    Options {
        segment_bytes_max: 400,
        relaxed_bytes_max: 0,
        clock: Clock::manual(Timestamp::from_ms(1_000)),
        ..Options::new(DIR)
    }
}

type Replayed = Vec<(Position, Vec<u8>)>;

fn open_with(
    disk: &SimDisk,
    options: Options,
    from: Option<Position>,
) -> Result<(Journal, Opened, Replayed), OpenError> {
    let mut seen = Vec::new();
    let (journal, opened) = Journal::open(Arc::new(disk.clone()), options, from, &mut |at, record| {
        seen.push((at, record.to_vec()));
        Ok::<(), Infallible>(())
    })?;
    Ok((journal, opened, seen))
}

fn open(disk: &SimDisk) -> (Journal, Opened, Vec<Vec<u8>>) {
    let (journal, opened, seen) = open_with(disk, options(), None).unwrap();
    (journal, opened, records(seen))
}

fn records(seen: Replayed) -> Vec<Vec<u8>> {
    seen.into_iter().map(|(_, record)| record).collect()
}

/// Record `n`, of a length that depends on it.
fn record(n: u32) -> Vec<u8> {
    let mut record = n.to_be_bytes().to_vec();
    record.extend((0..n % 23).map(|at| u8::try_from(at).unwrap()));
    record
}

fn numbered(records: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    records.map(record).collect()
}

/// A journal with a frame for each count, closed without a mark, as after a kill.
fn written(frames: &[u32], options: Options) -> (SimDisk, Vec<Placed>) {
    let disk = SimDisk::new();
    let (journal, ..) = open_with(&disk, options, None).unwrap();
    let mut first = 0;
    let placed = frames.iter().map(|count| {
        let placed = runtime().block_on(journal.append_placed(numbered(first..first + count))).unwrap();
        first += count;
        placed
    });
    let placed = placed.collect();
    let left = disk.copy();
    drop(journal);
    (left, placed)
}

fn segment(number: u64) -> PathBuf {
    read::segment_path(Path::new(DIR), number)
}

/// SplitMix64, for choices a seed repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % (most + 1)
    }
    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.roll(u64::from(bound) - 1)).unwrap()
    }
}

#[test]
fn inv_07_what_was_appended_comes_back_over_segments() {
    let runtime = runtime();
    let disk = SimDisk::new();
    let (journal, opened, seen) = open(&disk);
    assert_eq!((opened.records, opened.end, seen.len()), (0, Position::FIRST, 0));
    let mut placed = Vec::new();
    for n in 0..40 {
        placed.push(runtime.block_on(journal.append_placed(numbered(n * 3..n * 3 + 3))).unwrap());
    }
    let head = journal.head();
    assert!(head.0.segment > 5, "{head:?}");
    assert_eq!(head.0, placed.last().unwrap().end);
    let stats = journal.stats();
    assert_eq!((stats.frames, stats.records), (40, 120));
    // A second journal on the same bytes, as after kill -9; then after an orderly close.
    let after_kill = disk.copy();
    journal.close().unwrap();
    for disk in [after_kill, disk] {
        let (journal, opened, seen) = open(&disk);
        assert_eq!(seen, numbered(0..120));
        assert_eq!((opened.records, opened.torn_bytes_dropped), (120, 0));
        assert_eq!(journal.head(), head);
        assert_eq!(opened.process, journal.process());
        // And from every frame.
        journal.close().unwrap();
        for (n, placed) in (0..).zip(&placed) {
            let (journal, opened, seen) = open_with(&disk, options(), Some(placed.at)).unwrap();
            assert_eq!(seen[0].0, placed.at);
            assert_eq!(records(seen), numbered(n * 3..120));
            assert_eq!(opened.bytes > 0, opened.records > 0);
            assert_eq!(journal.head(), head);
        }
        let (journal, opened, _) = open_with(&disk, options(), Some(head.0)).unwrap();
        assert_eq!((opened.records, journal.head()), (0, head));
        let at = runtime.block_on(journal.append(numbered(120..121))).unwrap();
        assert!(at >= head.0);
        assert_eq!(journal.read(at, 10).unwrap().entries[0].record, record(120));
    }
}

#[test]
fn inv_07_a_tail_torn_at_any_byte_is_cut() {
    let (disk, placed) = written(&[1, 2, 3, 2], Options { segment_bytes_max: 10_000, ..options() });
    let bytes = disk.bytes(&segment(0)).unwrap();
    let last = usize::try_from(placed[3].at.offset).unwrap();
    for cut in last..bytes.len() {
        for garbled in [0, 1, 7] {
            let mut torn = bytes[..cut].to_vec();
            let from = last.max(cut.saturating_sub(garbled));
            torn[from..].fill(0x5A);
            let disk = disk.copy();
            disk.put(&segment(0), torn);
            let (journal, opened, seen) = open(&disk);
            assert_eq!(seen, numbered(0..6));
            assert_eq!(opened.torn_bytes_dropped, (cut - last) as u64);
            assert_eq!(opened.end, placed[3].at);
            runtime().block_on(journal.append(numbered(6..7))).unwrap();
            drop(journal);
            assert_eq!(open(&disk).2, numbered(0..7));
        }
    }
    // A segment that was being made, whatever of its header is there, is none.
    for kept in 0..HEADER {
        let disk = disk.copy();
        let mut header = bytes[..HEADER].to_vec();
        header[kept..].fill(0);
        header.truncate(if kept % 2 == 0 { HEADER } else { kept });
        disk.put(&segment(1), header);
        let full = Options { segment_bytes_max: 100, ..options() };
        let (journal, opened, seen) = open_with(&disk, full, None).unwrap();
        assert_eq!((records(seen), opened.end), (numbered(0..8), placed[3].end));
        assert_eq!(runtime().block_on(journal.append(numbered(8..9))).unwrap().segment, 1);
        assert_eq!(open(&disk.crash_with(&mut |_| 0)).2, numbered(0..9));
    }
    // Zeros that a file system put there when it made the file longer and did not write it.
    let mut longer = bytes.clone();
    longer.resize(bytes.len() + 5_000, 0);
    disk.put(&segment(0), longer);
    let (_journal, opened, seen) = open(&disk);
    assert_eq!((seen, opened.torn_bytes_dropped), (numbered(0..8), 5_000));
}

#[test]
fn inv_07_every_bit_flip_is_refused_or_was_in_the_tail() {
    for segment_bytes_max in [10_000, 200] {
        let (disk, placed) = written(&[1, 2, 3, 2], Options { segment_bytes_max, ..options() });
        let last = placed[3].at;
        for (path, bytes) in disk.files() {
            for (offset, bit) in (0..bytes).flat_map(|offset| (0..8).map(move |bit| (offset, bit))) {
                let disk = disk.copy();
                disk.flip_bit(&path, offset, bit);
                match open_with(&disk, options(), None) {
                    Err(OpenError::Broken { .. }) => {
                        assert!(!(path == segment(last.segment) && offset >= last.offset));
                    }
                    Err(other) => panic!("{path:?} {offset} {bit}: {other}"),
                    Ok((_, opened, seen)) => {
                        assert!(path == segment(last.segment) && offset >= last.offset, "{path:?} {offset} {bit}");
                        assert_eq!(records(seen), numbered(0..6));
                        assert_eq!(opened.torn_bytes_dropped, bytes - last.offset);
                    }
                }
            }
        }
    }
}

#[test]
fn inv_07_after_an_orderly_close_a_bad_tail_is_damage() {
    let (disk, _) = written(&[1, 2, 3], options());
    drop(open(&disk));
    let (path, bytes) = disk.files().into_iter().rfind(|(path, _)| path.extension().unwrap() == "seg").unwrap();
    for offset in 0..bytes {
        let disk = disk.copy();
        disk.flip_bit(&path, offset, 3);
        assert!(matches!(open_with(&disk, options(), None), Err(OpenError::Broken { .. })));
    }
    let cut = disk.copy();
    cut.put(&path, disk.bytes(&path).unwrap()[..usize::try_from(bytes).unwrap() - 1].to_vec());
    let error = open_with(&cut, options(), None).unwrap_err();
    assert!(matches!(error, OpenError::Broken { reason: Fault::ClosedLater, .. }), "{error}");
    // The mark is a floor, not a need.
    disk.flip_bit(&Path::new(DIR).join("closed.mark"), 20, 0);
    assert_eq!(open(&disk).2, numbered(0..6));
}

#[test]
fn a_missing_segment_or_a_strange_one_is_refused() {
    let (disk, placed) = written(&[3; 12], options());
    let last = placed[11].at.segment;
    assert!(last >= 3);
    let remove = |number| {
        let disk = disk.copy();
        disk::Disk::remove(&disk, &segment(number)).unwrap();
        open_with(&disk, options(), None)
    };
    assert!(matches!(remove(1), Err(OpenError::Broken { segment: 1, reason: Fault::Missing, .. })));
    // The oldest may have been dropped; whoever needs it is told.
    assert!(remove(0).is_ok());
    let dropped = disk.copy();
    disk::Disk::remove(&dropped, &segment(0)).unwrap();
    let error = open_with(&dropped, options(), Some(placed[0].at)).unwrap_err();
    assert!(matches!(error, OpenError::Dropped { first: 1, .. }), "{error}");

    let swapped = disk.copy();
    swapped.put(&segment(1), disk.bytes(&segment(2)).unwrap());
    let error = open_with(&swapped, options(), None).unwrap_err();
    assert!(matches!(error, OpenError::Broken { segment: 1, reason: Fault::Number, .. }), "{error}");

    // Torn where nothing can be torn: a closed segment.
    let short = disk.copy();
    let bytes = disk.bytes(&segment(1)).unwrap();
    short.put(&segment(1), bytes[..bytes.len() - 1].to_vec());
    assert!(matches!(open_with(&short, options(), None), Err(OpenError::Broken { segment: 1, .. })));

    // Another journal's segment, whole in itself.
    let (other, _) = written(&[3; 12], options());
    let mixed = disk.copy();
    mixed.put(&segment(2), other.bytes(&segment(2)).unwrap());
    assert!(matches!(open_with(&mixed, options(), None), Err(OpenError::Broken { segment: 2, .. })));

    let error = open_with(&disk, Options { process: Some(1), ..options() }, None).unwrap_err();
    assert!(matches!(error, OpenError::OtherProcess { wanted: 1, .. }), "{error}");
}

#[test]
fn a_place_to_replay_from_that_is_none_is_refused_and_nothing_is_cut() {
    let (disk, placed) = written(&[2, 2, 2], Options { segment_bytes_max: 10_000, ..options() });
    let before = disk.bytes(&segment(0));
    let inside = Position { offset: placed[1].at.offset + 1, ..placed[1].at };
    assert!(matches!(open_with(&disk, options(), Some(inside)), Err(OpenError::NoBoundary { .. })));
    let beyond = Position { offset: placed[2].end.offset + 1, ..placed[2].end };
    assert!(matches!(open_with(&disk, options(), Some(beyond)), Err(OpenError::Lost { .. })));
    let later = Position { segment: 1, offset: 0 };
    assert!(matches!(open_with(&disk, options(), Some(later)), Err(OpenError::Lost { .. })));
    assert_eq!(disk.bytes(&segment(0)), before);
    assert!(matches!(open_with(&SimDisk::new(), options(), Some(inside)), Err(OpenError::Lost { .. })));
}

#[test]
fn a_record_that_cannot_be_replayed_stops_the_opening() {
    let (disk, placed) = written(&[1, 1], options());
    let mut left = 1;
    let error = Journal::open(Arc::new(disk), options(), None, &mut |_, _| {
        left -= 1;
        if left < 0 { Err("unknown kind of record") } else { Ok(()) }
    });
    let error = error.unwrap_err();
    assert!(matches!(&error, OpenError::Record { at, .. } if *at == placed[1].at));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "unknown kind of record");
}

#[test]
fn inv_07_a_failed_sync_poisons_and_reopening_makes_durable_what_it_keeps() {
    let runtime = runtime();
    let disk = SimDisk::new();
    let (journal, ..) = open(&disk);
    runtime.block_on(journal.append(numbered(0..1))).unwrap();
    disk.fail_sync_in(1);
    assert_eq!(runtime.block_on(journal.append(numbered(1..2))), Err(AppendError::Poisoned));
    assert!(journal.is_poisoned());
    assert!(journal.poisoned_by().unwrap().starts_with("could not sync: "));
    assert_eq!(runtime.block_on(journal.append(numbered(2..3))), Err(AppendError::Poisoned));
    assert!(!journal.append_relaxed(b"x"));
    assert_eq!(journal.close(), Err(AppendError::Poisoned));
    drop(journal);
    // The bytes are in the system's memory and not on the disk, and the disk's next sync would leave them out.
    assert_eq!(open(&disk.crash_with(&mut |most| most)).2, numbered(0..1));
    let (journal, _, seen) = open(&disk);
    assert_eq!(seen, numbered(0..2));
    runtime.block_on(journal.append(numbered(2..3))).unwrap();
    assert_eq!(open(&disk.crash_with(&mut |_| 0)).2, numbered(0..3));
}

#[test]
fn inv_07_a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let runtime = runtime();
    // At every byte of a frame, and of a new segment's header.
    for room in 0..300 {
        let disk = SimDisk::new();
        let (journal, ..) = open(&disk);
        runtime.block_on(journal.append(numbered(20..23))).unwrap();
        disk.fail_writes_after(Some(room));
        let mut written = numbered(20..23);
        for n in 23..29 {
            match runtime.block_on(journal.append(numbered(n..n + 1))) {
                Ok(_) => written.push(record(n)),
                Err(error) => assert_eq!(error, AppendError::NoSpace),
            }
        }
        assert!(written.len() < 9);
        assert!(AppendError::NoSpace.is_retryable() && !journal.is_poisoned());
        assert_eq!(open(&disk.crash_with(&mut |_| 0)).2, written);
        disk.fail_writes_after(None);
        for n in 30..36 {
            runtime.block_on(journal.append(numbered(n..n + 1))).unwrap();
            written.push(record(n));
        }
        assert_eq!(open(&disk.crash_with(&mut |_| 0)).2, written);
    }
}

#[test]
fn inv_07_a_failed_write_that_cannot_be_taken_back_poisons() {
    let runtime = runtime();
    let disk = SimDisk::new();
    let (journal, ..) = open(&disk);
    runtime.block_on(journal.append(numbered(0..1))).unwrap();
    disk.fail_writes_after(Some(45));
    disk.fail_set_len(true);
    assert_eq!(runtime.block_on(journal.append(numbered(1..2))), Err(AppendError::Poisoned));
    drop(journal);
    disk.fail_writes_after(None);
    disk.fail_set_len(false);
    let (_journal, opened, seen) = open(&disk);
    assert_eq!((seen, opened.torn_bytes_dropped), (numbered(0..1), 45));
}

#[test]
fn what_does_not_fit_is_refused() {
    let runtime = runtime();
    let disk = SimDisk::new();
    let (journal, ..) = open_with(&disk, Options { frame_bytes_max: 100, ..options() }, None).unwrap();
    assert_eq!(runtime.block_on(journal.append(Vec::new())), Err(AppendError::Nothing));
    let error = runtime.block_on(journal.append(vec![vec![0; 99]]));
    assert_eq!(error, Err(AppendError::TooLarge { bytes: 101, most: 100 }));
    runtime.block_on(journal.append(vec![vec![0; 98]])).unwrap();
    runtime.block_on(journal.append(vec![vec![0; 48], vec![0; 49]])).unwrap();
    journal.close().unwrap();
    assert_eq!(runtime.block_on(journal.append(vec![vec![0]])), Err(AppendError::Closed));
    assert_eq!(open(&disk).2.len(), 3);
}

#[test]
fn appends_at_once_share_a_sync_and_keep_their_own_order() {
    let runtime = runtime();
    let disk = SimDisk::new();
    let syncs = Arc::new(AtomicUsize::new(0));
    let waited = Arc::new(AtomicUsize::new(0));
    let (on_syncs, on_waited) = (Arc::clone(&syncs), Arc::clone(&waited));
    let on_sync: OnSync = Box::new(move |_, records| {
        on_syncs.fetch_add(1, Ordering::Relaxed);
        on_waited.fetch_add(records, Ordering::Relaxed);
    });
    let (journal, ..) = open_with(
        &disk,
        Options { on_sync: Some(on_sync), segment_bytes_max: 1 << 20, queue_records_max: 1000, ..options() },
        None,
    )
    .unwrap();
    let journal = Arc::new(journal);
    let hold = disk.hold_syncs();
    let begin = |n: u32| {
        let journal = Arc::clone(&journal);
        runtime.spawn(async move { journal.append_placed(numbered(n * 2..n * 2 + 2)).await })
    };
    let first = begin(0);
    assert!(hold.wait_for_sync(BOUND));
    let mut others: Vec<_> = (1..=100).map(begin).collect();
    // All hundred wait behind the one that is being synced.
    runtime.block_on(async {
        let all_wait = async {
            while journal.shared.waiting() < 100 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, all_wait).await.unwrap();
    });
    let before = disk.syncs();
    assert_eq!(journal.end(), Position::FIRST);
    drop(hold);
    let first = runtime.block_on(first).unwrap().unwrap();
    assert_eq!(first.at, Position::FIRST);
    let mut indexes = Vec::new();
    for other in others.drain(..) {
        let placed = runtime.block_on(other).unwrap().unwrap();
        assert_eq!((placed.at, placed.end), (first.end, journal.end()));
        indexes.push(placed.index);
    }
    indexes.sort_unstable();
    assert_eq!(indexes, (0..100).map(|n| n * 2).collect::<Vec<u32>>());
    assert_eq!(disk.syncs() - before, 2);
    assert_eq!((syncs.load(Ordering::Relaxed), waited.load(Ordering::Relaxed)), (2, 202));
    // Every call's two records stand side by side.
    journal.close().unwrap();
    let seen = open(&disk).2;
    assert_eq!(seen.len(), 202);
    for pair in seen.chunks(2) {
        let number = u32::from_be_bytes(*pair[0].first_chunk().unwrap());
        assert_eq!((number % 2, &pair[1]), (0, &record(number + 1)));
    }
}

#[test]
fn a_full_queue_makes_callers_wait_and_loses_nobody() {
    let runtime = runtime();
    let disk = SimDisk::new();
    let (journal, ..) = open_with(&disk, Options { queue_records_max: 3, ..options() }, None).unwrap();
    let journal = Arc::new(journal);
    let hold = disk.hold_syncs();
    let calls: Vec<_> = (0..50)
        .map(|n| {
            let journal = Arc::clone(&journal);
            // Some of them larger than the queue.
            runtime.spawn(async move { journal.append(vec![record(n); 1 + n as usize % 5]).await })
        })
        .collect();
    assert!(hold.wait_for_sync(BOUND));
    assert!(journal.shared.waiting() <= 3);
    drop(hold);
    for call in calls {
        runtime.block_on(call).unwrap().unwrap();
    }
    drop(journal);
    assert_eq!(open(&disk).2.len(), 150);
}

/// Everything answered is there after a crash, once and in order, whatever of the rest survives.
#[test]
fn inv_07_crash_images_keep_what_was_answered() {
    let runtime = runtime();
    for seed in 0..120 {
        let mut dice = Dice(seed);
        let mut disk = SimDisk::new();
        let mut sure: Vec<Vec<u8>> = Vec::new();
        let mut next = 0;
        for _ in 0..4 {
            let crashed = {
                let small = Options { segment_bytes_max: 150 + dice.roll(500), ..options() };
                let (journal, _, seen) = open_with(&disk, small, None).unwrap();
                let seen = records(seen);
                assert!(seen.starts_with(&sure), "seed {seed}: something answered is lost or moved");
                // What was in flight may be there or not, and is now settled.
                sure = seen;
                for _ in 0..dice.roll(12) {
                    let count = 1 + dice.below(4);
                    let appended = runtime.block_on(journal.append(numbered(next..next + count)));
                    assert_eq!(appended.map(|_| ()), Ok(()));
                    sure.extend(numbered(next..next + count));
                    next += count;
                }
                // One more is cut off somewhere: its sync fails after its bytes, or its header's, were written.
                match dice.roll(2) {
                    0 => {}
                    1 => {
                        let hold = disk.hold_syncs();
                        let mut call = Box::pin(journal.append(numbered(next..next + 3)));
                        next += 3;
                        runtime.block_on(async {
                            let polled = std::future::poll_fn(|context| {
                                std::task::Poll::Ready(call.as_mut().poll(context).is_ready())
                            });
                            assert!(!polled.await);
                        });
                        assert!(hold.wait_for_sync(BOUND));
                        let crashed = disk.crash(dice.roll(u64::MAX - 1));
                        drop(hold);
                        disk = crashed;
                        continue;
                    }
                    _ => {
                        disk.fail_sync_in(1 + dice.roll(1));
                        let _ = runtime.block_on(journal.append(numbered(next..next + 3)));
                        next += 3;
                        let _ = runtime.block_on(journal.append(numbered(next..next + 3)));
                        next += 3;
                    }
                }
                disk.crash(dice.roll(u64::MAX - 1))
            };
            disk = crashed;
        }
        let (_, _, seen) = open_with(&disk, options(), None).unwrap();
        let mut once = records(seen);
        assert!(once.starts_with(&sure), "seed {seed}");
        once.sort();
        once.dedup();
        assert!(once.len() >= sure.len(), "seed {seed}: twice");
    }
}

#[test]
fn inv_07_a_key_is_durable_before_the_record_that_names_it() {
    let runtime = runtime();
    let keys = Path::new("/v/keys");
    for seed in 0..60 {
        let disk = SimDisk::new();
        let vault = Arc::new(Vault::open(&disk, keys).unwrap());
        let (journal, ..) = open_with(&disk, Options { vault: Some(Arc::clone(&vault)), ..options() }, None).unwrap();
        for n in 0..3_u8 {
            let slot = vault
                .create(|key| {
                    key.fill(n);
                    Ok(())
                })
                .unwrap();
            if n == 2 {
                disk.fail_sync_in(1 + seed % 3);
            }
            let sealed = vault.seal(slot, [n; 12], b"", b"ann").unwrap();
            let _ = runtime.block_on(journal.append(vec![[&slot.to_be_bytes()[..], &sealed].concat()]));
        }
        let crashed = disk.crash(seed);
        let vault = Vault::open(&crashed, keys).unwrap();
        let seen = open(&crashed).2;
        assert!(seen.len() >= 2);
        for (n, record) in (0..).zip(seen) {
            let (slot, sealed) = record.split_first_chunk().unwrap();
            let opened = vault.unseal(u64::from_be_bytes(*slot), [n; 12], b"", sealed).unwrap();
            assert_eq!(opened.unwrap(), b"ann");
        }
    }
}

#[test]
fn relaxed_records_are_bounded_and_written_at_close() {
    let disk = SimDisk::new();
    let relaxed = || Options { relaxed_bytes_max: 1000, segment_bytes_max: 1 << 20, ..options() };
    let (journal, ..) = open_with(&disk, relaxed(), None).unwrap();
    let hold = disk.hold_syncs();
    let taken = (0..).take_while(|n| journal.append_relaxed(&record(n % 4))).count();
    assert!((1000 / 8..=1000 / 5).contains(&taken), "{taken}");
    assert_eq!(journal.stats().relaxed_refused, 1);
    assert_eq!(journal.end(), Position::FIRST);
    drop(hold);
    journal.close().unwrap();
    assert!(!journal.append_relaxed(b"x"));
    assert_eq!(journal.stats().records, taken as u64);
    drop(journal);
    assert_eq!(open(&disk.crash_with(&mut |_| 0)).2.len(), taken);
    // Off when there is no room for any.
    let (journal, ..) = open(&disk);
    assert!(!journal.append_relaxed(b""));
}

#[test]
fn relaxed_records_are_durable_soon_without_anybody_asking() {
    let disk = SimDisk::new();
    let (signal, synced) = std::sync::mpsc::sync_channel(16);
    let on_sync: OnSync = Box::new(move |_, _| {
        let _ = signal.try_send(());
    });
    let relaxed = Options { relaxed_bytes_max: 1 << 20, on_sync: Some(on_sync), ..options() };
    let (journal, ..) = open_with(&disk, relaxed, None).unwrap();
    assert!(journal.append_relaxed(&record(0)));
    synced.recv_timeout(BOUND).unwrap();
    assert!(journal.end() > Position::FIRST);
    assert_eq!(open(&disk.crash_with(&mut |_| 0)).2, numbered(0..1));
}

#[test]
fn relaxed_records_wait_for_room_on_a_full_disk() {
    let disk = SimDisk::new();
    // A chunk is a few records, so that several wait at once.
    let relaxed = || Options { relaxed_bytes_max: 10_000, frame_bytes_max: 60, ..options() };
    let (journal, ..) = open_with(&disk, relaxed(), None).unwrap();
    runtime().block_on(journal.append(numbered(0..1))).unwrap();
    disk.fail_writes_after(Some(30));
    let hold = disk.hold_syncs();
    assert!((1..40).all(|n| journal.append_relaxed(&record(n))));
    // The first of them did not fit, and is being taken back.
    assert!(hold.wait_for_sync(BOUND));
    disk.fail_writes_after(None);
    drop(hold);
    journal.close().unwrap();
    assert_eq!(journal.stats().relaxed_lost, 0);
    assert_eq!(open(&disk.crash_with(&mut |_| 0)).2, numbered(0..40));

    let (journal, ..) = open_with(&disk, relaxed(), None).unwrap();
    disk.fail_writes_after(Some(0));
    assert!((40..50).all(|n| journal.append_relaxed(&record(n))));
    journal.close().unwrap();
    assert_eq!(journal.stats().relaxed_lost, 10);
    disk.fail_writes_after(None);
    assert_eq!(open(&disk.crash_with(&mut |_| 0)).2, numbered(0..40));
}

/// Relaxed records may be lost from the end; what was answered among them may not, and nothing is refused.
#[test]
fn inv_07_crash_images_with_relaxed_records_keep_what_was_answered() {
    let runtime = runtime();
    for seed in 0..80 {
        let mut dice = Dice(seed);
        let disk = SimDisk::new();
        let mut relaxed = Options { relaxed_bytes_max: 10_000, frame_bytes_max: 90, ..options() };
        relaxed.segment_bytes_max = 150 + dice.roll(500);
        let (journal, ..) = open_with(&disk, relaxed, None).unwrap();
        let (mut images, mut answered) = (Vec::new(), Vec::new());
        for n in 0..60 {
            if dice.roll(4) == 0 {
                runtime.block_on(journal.append(numbered(n..n + 1))).unwrap();
                answered.push(record(n));
            } else {
                assert!(journal.append_relaxed(&record(n)));
            }
            if dice.roll(9) == 0 {
                images.push((disk.crash(dice.roll(1 << 60)), answered.clone()));
            }
        }
        drop(journal);
        for (image, answered) in images {
            let (journal, _, seen) = open(&image);
            let mut left = seen.iter();
            assert!(answered.iter().all(|record| left.any(|seen| seen == record)), "seed {seed}");
            runtime.block_on(journal.append(numbered(60..61))).unwrap();
            let after = image.crash(seed);
            drop(journal);
            assert_eq!(open(&after).2.last(), Some(&record(60)));
        }
    }
}

/// Loose frames may reach the disk in any order, so a hole with none but loose frames after it is no damage.
#[test]
fn inv_07_a_hole_before_loose_frames_is_cut_and_before_others_refused() {
    let image = |loose: [bool; 4]| {
        let disk = SimDisk::new();
        let header = format::Header { segment: 0, chain: [0; 32], process: 7, opened_at_ms: 0 };
        let (mut bytes, mut at, mut chain) = (header.encode().to_vec(), Vec::new(), [0; 32]);
        for (n, loose) in (0..).zip(loose) {
            let mut maker = format::FrameMaker::default();
            maker.begin(&chain, 1, 0);
            maker.record(&record(n));
            let (frame, hash) = maker.finish(loose);
            at.push(bytes.len() as u64);
            bytes.extend_from_slice(frame);
            chain = hash;
        }
        disk.put(&segment(0), bytes);
        (disk, at)
    };
    let hole = |loose, n: usize| {
        let (disk, at) = image(loose);
        disk.flip_bit(&segment(0), at[n] + 41, 0);
        open_with(&disk, options(), None).map(|(_, opened, seen)| (records(seen).len(), opened.torn_bytes_dropped > 0))
    };
    let (disk, _) = image([false, true, true, true]);
    assert_eq!(open(&disk).2, numbered(0..4));
    assert_eq!(hole([false, true, true, true], 1).unwrap(), (1, true));
    assert_eq!(hole([false, true, true, true], 0).unwrap(), (0, true));
    assert_eq!(hole([false, true, true, true], 3).unwrap(), (3, true));
    assert!(matches!(hole([true, true, true, false], 1), Err(OpenError::Broken { .. })));
    assert!(matches!(hole([false, true, false, true], 0), Err(OpenError::Broken { .. })));
}

#[test]
fn old_segments_are_dropped_and_the_chain_goes_on() {
    let runtime = runtime();
    let disk = SimDisk::new();
    let clock = Clock::manual(Timestamp::from_ms(0));
    let timed = || Options { clock: clock.clone(), ..options() };
    let (journal, ..) = open_with(&disk, timed(), None).unwrap();
    let mut placed = Vec::new();
    for n in 0..30 {
        clock.set(Timestamp::from_ms(i64::from(n) * 1_000));
        placed.push(runtime.block_on(journal.append(numbered(n * 2..n * 2 + 2))).unwrap());
    }
    assert_eq!(journal.drop_segments_closed_before(0).unwrap(), 0);
    let dropped = journal.drop_segments_closed_before(15_000).unwrap();
    assert!(dropped > 0);
    let first = Position { segment: dropped, offset: 0 };
    // Nothing younger than the time is gone.
    assert!(placed.iter().zip(0..).all(|(at, n)| *at >= first || n < 15));
    assert!(matches!(journal.read(Position::FIRST, 1), Err(ReadError::NoSegment { segment: 0 })));
    let kept = journal.read(first, 1000).unwrap().entries;
    runtime.block_on(journal.append(numbered(60..61))).unwrap();
    let (head, last) = (journal.head(), journal.end().segment);
    assert_eq!(journal.drop_segments_closed_before(i64::MAX).unwrap(), last - dropped);
    drop(journal);
    let (journal, opened, seen) = open_with(&disk, timed(), None).unwrap();
    assert_eq!((journal.head(), opened.end), (head, head.0));
    assert!(seen.len() < kept.len());
    assert_eq!(seen.last().unwrap().1, record(60));
}

#[test]
fn an_old_segment_is_closed_though_it_is_short() {
    let runtime = runtime();
    let disk = SimDisk::new();
    let clock = Clock::manual(Timestamp::from_ms(0));
    let aged =
        || Options { clock: clock.clone(), segment_ms_max: Some(1_000), segment_bytes_max: 1 << 20, ..options() };
    for n in 0..4 {
        clock.set(Timestamp::from_ms(i64::from(n) * 500));
        let (journal, ..) = open_with(&disk, aged(), None).unwrap();
        runtime.block_on(journal.append(numbered(n..n + 1))).unwrap();
        assert_eq!(journal.end().segment, u64::from(n / 2));
    }
    assert_eq!(open(&disk).2, numbered(0..4));
}

#[test]
fn pages_are_whole_frames_up_to_the_durable_end() {
    let runtime = runtime();
    let disk = SimDisk::new();
    let (journal, ..) = open(&disk);
    for n in 0..20 {
        runtime.block_on(journal.append(numbered(n * 3..n * 3 + 3))).unwrap();
        let (mut from, mut seen) = (Position::default(), Vec::new());
        loop {
            let page = journal.read(from, 4).unwrap();
            assert!(page.entries.len() % 3 == 0 && page.entries.len() <= 6);
            if page.entries.is_empty() {
                assert_eq!(page.next, journal.end());
                break;
            }
            assert!(page.entries.iter().zip(0..).all(|(entry, at)| entry.index == at % 3));
            seen.extend(page.entries.into_iter().map(|entry| entry.record));
            from = page.next;
        }
        assert_eq!(seen, numbered(0..n * 3 + 3));
    }
    let nowhere = Position { segment: 0, offset: FIRST_FRAME + 1 };
    assert!(matches!(journal.read(nowhere, 1), Err(ReadError::Broken { .. })));
}

struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("ringfence-journal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn inv_07_on_a_real_disk_too_and_only_one_opens_it() {
    let runtime = runtime();
    let dir = TempDir::new("real");
    let real = || Options { dir: dir.0.join("a/b"), segment_bytes_max: 2_000, ..options() };
    let open = || {
        let mut seen = Vec::new();
        let opened = Journal::open(Arc::new(RealDisk), real(), None, &mut |_, record| {
            seen.push(record.to_vec());
            Ok::<(), Infallible>(())
        });
        opened.map(|(journal, _)| (journal, seen))
    };
    let (journal, _) = open().unwrap();
    for n in 0..100 {
        runtime.block_on(journal.append(numbered(n..n + 1))).unwrap();
    }
    let error = open().unwrap_err();
    assert!(matches!(error, OpenError::Held { .. }));
    assert!(error.to_string().contains("stop that one"));
    assert_eq!(journal.read(Position::default(), 1000).unwrap().entries.len(), 100);
    let head = journal.head();
    drop(journal);
    let (journal, seen) = open().unwrap();
    assert_eq!((seen, journal.head()), (numbered(0..100), head));
    let keys = dir.0.join("keys");
    let vault = Vault::open(&RealDisk, &keys).unwrap();
    let slot = vault.create(getrandom::fill).unwrap();
    let sealed = vault.seal(slot, [0; 12], b"", b"ann").unwrap();
    vault.sync_new().unwrap();
    drop(vault);
    let vault = Vault::open(&RealDisk, &keys).unwrap();
    assert_eq!(vault.unseal(slot, [0; 12], b"", &sealed).unwrap().unwrap(), b"ann");
    vault.erase(slot).unwrap();
    assert_eq!(vault.unseal(slot, [0; 12], b"", &sealed).unwrap(), None);
}
