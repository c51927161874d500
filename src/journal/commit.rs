//! The one thread that writes. It takes all that waits, makes frames of it, writes and syncs each once, and then
//! answers everyone in it. It answers nothing that is not synced, and writes no frame but a loose one after bytes that
//! are not; recovery leans on both.

use super::disk::{DirLock, Disk, DiskFile};
use super::format::{FRAME_HEAD_BYTES, FrameMaker, Header, put_record, record_bytes, varint_bytes};
use super::mark::{Mark, write_mark};
use super::read::{FIRST_FRAME, segment_path};
use super::recover::{CreateError, Recovered, create_segment};
use super::{AppendError, OnSync, Options, Placed, Position, Stats, Vault};
use crate::clock::Clock;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// How long relaxed records may wait to be written, and loose frames to be synced.
const RELAXED_DELAY: Duration = Duration::from_secs(1);
/// Relaxed records are written when so many bytes of them have gathered.
const RELAXED_CHUNK_BYTES: usize = 256 * 1024;
/// Loose frames are synced when so many bytes of them have been written.
const LOOSE_UNSYNCED_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What the callers and the thread share.
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    /// Room in the queue, in records.
    room: Semaphore,
    queue_records_max: usize,
    relaxed_bytes_max: usize,
    chunk_bytes_max: usize,
    progress: Mutex<Progress>,
    poisoned: AtomicBool,
    poisoned_by: Mutex<Option<String>>,
    /// When each segment was opened.
    segments: Mutex<BTreeMap<u64, i64>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    relaxed: VecDeque<Chunk>,
    relaxed_bytes: usize,
    /// A written chunk's memory, for the next one.
    spare: Vec<u8>,
    relaxed_refused: u64,
    relaxed_lost: u64,
    /// Those who wait until everything relaxed is durable.
    flushes: Vec<oneshot::Sender<()>>,
    /// The thread waits and must be woken.
    sleeping: bool,
    /// Nothing more is taken; the thread finishes what is here.
    closing: bool,
}

/// The records of one call.
struct Job {
    records: Vec<Vec<u8>>,
    payload_bytes: usize,
    answer: oneshot::Sender<Result<Placed, AppendError>>,
}

/// Relaxed records, encoded as they will stand in a frame.
struct Chunk {
    records: u32,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) end: Position,
    pub(crate) chain: [u8; 32],
    stats: Stats,
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these guard is whole between any two statements, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(options: &Options, recovered: &Recovered) -> Self {
        let queue_records_max = options.queue_records_max.clamp(1, Semaphore::MAX_PERMITS.min(1 << 24));
        let (end, chain) = (recovered.opened.end, recovered.chain);
        Self {
            queue: Mutex::default(),
            work: Condvar::new(),
            room: Semaphore::new(queue_records_max),
            queue_records_max,
            relaxed_bytes_max: options.relaxed_bytes_max,
            chunk_bytes_max: RELAXED_CHUNK_BYTES.min(options.frame_bytes_max.saturating_sub(varint_bytes(usize::MAX))),
            progress: Mutex::new(Progress { end, chain, stats: Stats::default() }),
            poisoned: AtomicBool::new(false),
            poisoned_by: Mutex::default(),
            segments: Mutex::new(recovered.segments.clone()),
        }
    }

    pub(crate) async fn append(&self, records: Vec<Vec<u8>>, payload_bytes: usize) -> Result<Placed, AppendError> {
        let places = self.places(records.len());
        let room = self.room.acquire_many(places).await.map_err(|_| self.why_stopped())?;
        let (answer, answered) = oneshot::channel();
        {
            let mut queue = hold(&self.queue);
            if queue.closing {
                return Err(self.why_stopped());
            }
            queue.jobs.push_back(Job { records, payload_bytes, answer });
            self.wake(queue);
        }
        // Given back by the thread when the job is answered.
        room.forget();
        answered.await.unwrap_or(Err(AppendError::Poisoned))
    }

    /// A call of more records than the queue takes has all of it for itself.
    fn places(&self, records: usize) -> u32 {
        u32::try_from(records.min(self.queue_records_max)).expect("clamped when the journal was opened")
    }

    pub(crate) fn append_relaxed(&self, record: &[u8]) -> bool {
        let bytes = record_bytes(record.len());
        let mut queue = hold(&self.queue);
        let fits = bytes <= self.relaxed_bytes_max.saturating_sub(queue.relaxed_bytes) && bytes <= self.chunk_bytes_max;
        if queue.closing || !fits {
            queue.relaxed_refused += 1;
            return false;
        }
        queue.relaxed_bytes += bytes;
        if queue.relaxed.back().is_none_or(|chunk| chunk.bytes.len() + bytes > self.chunk_bytes_max) {
            let bytes = std::mem::take(&mut queue.spare);
            queue.relaxed.push_back(Chunk { records: 0, bytes });
        }
        let chunk = queue.relaxed.back_mut().expect("one was just seen or made");
        put_record(&mut chunk.bytes, record);
        chunk.records += 1;
        if queue.relaxed.len() > 1 {
            self.wake(queue);
        }
        true
    }

    /// Comes back when every relaxed record that was taken before is durable, or none will be.
    pub(crate) async fn flush_relaxed(&self) -> Result<(), AppendError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut queue = hold(&self.queue);
            if queue.closing {
                return Err(self.why_stopped());
            }
            queue.flushes.push(answer);
            self.wake(queue);
        }
        answered.await.map_err(|_| self.why_stopped())
    }

    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        // Waking costs a system call whether somebody sleeps or not, so only the first to find a sleeper does it.
        let sleeping = std::mem::take(&mut queue.sleeping);
        drop(queue);
        if sleeping {
            self.work.notify_one();
        }
    }

    pub(crate) fn begin_close(&self) {
        self.room.close();
        let mut queue = hold(&self.queue);
        queue.closing = true;
        self.wake(queue);
    }

    fn why_stopped(&self) -> AppendError {
        if self.is_poisoned() { AppendError::Poisoned } else { AppendError::Closed }
    }

    fn poison(&self, why: String) {
        hold(&self.poisoned_by).get_or_insert(why);
        self.poisoned.store(true, Ordering::Release);
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    pub(crate) fn poisoned_by(&self) -> Option<String> {
        hold(&self.poisoned_by).clone()
    }

    pub(crate) fn progress(&self) -> Progress {
        *hold(&self.progress)
    }

    /// How many calls wait in the queue.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        hold(&self.queue).jobs.len()
    }

    pub(crate) fn stats(&self) -> Stats {
        let (relaxed_refused, relaxed_lost) = {
            let queue = hold(&self.queue);
            (queue.relaxed_refused, queue.relaxed_lost)
        };
        Stats { relaxed_refused, relaxed_lost, ..self.progress().stats }
    }

    /// The oldest segment, when the next one was opened before the time.
    pub(crate) fn oldest_closed_before(&self, ms: i64) -> Option<u64> {
        let segments = hold(&self.segments);
        let mut oldest = segments.iter();
        let (&segment, _) = oldest.next()?;
        let (_, &closed_at_ms) = oldest.next()?;
        (closed_at_ms < ms).then_some(segment)
    }

    pub(crate) fn segments(&self) -> Vec<(u64, i64)> {
        hold(&self.segments).iter().map(|(segment, opened_at_ms)| (*segment, *opened_at_ms)).collect()
    }

    pub(crate) fn forget_segment(&self, segment: u64) {
        hold(&self.segments).remove(&segment);
    }
}

/// Nothing was written; or nobody knows what is on the disk.
enum Failure {
    TakenBack(AppendError),
    Poison(String),
}

fn refused(error: &io::Error) -> AppendError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => AppendError::NoSpace,
        kind => AppendError::NotWritten(kind),
    }
}

fn poison(doing: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::Poison(format!("could not {doing}: {error}"))
}

/// The thread's own side.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    clock: Clock,
    vault: Option<Arc<Vault>>,
    on_sync: Option<OnSync>,
    segment_bytes_max: u64,
    segment_ms_max: Option<i64>,
    frame_bytes_max: usize,
    process: u32,
    /// When the segment that is written was opened.
    opened_at_ms: i64,
    file: Box<dyn DiskFile>,
    /// Where the next frame goes, and the hash of the one before it.
    end: Position,
    chain: [u8; 32],
    /// Bytes of loose frames that no sync has reached.
    unsynced_bytes: u64,
    synced_at: Instant,
    /// The disk had no room for relaxed records.
    relaxed_stalled: bool,
    maker: FrameMaker,
    /// The jobs of the frame that is being made.
    group: Vec<Job>,
    stats: Stats,
    lock: Option<DirLock>,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
        options: Options,
        recovered: Recovered,
        lock: DirLock,
    ) -> Self {
        Self {
            shared,
            disk,
            dir: options.dir,
            clock: options.clock,
            vault: options.vault,
            on_sync: options.on_sync,
            segment_bytes_max: options.segment_bytes_max,
            segment_ms_max: options.segment_ms_max,
            frame_bytes_max: options.frame_bytes_max.min(super::PAYLOAD_BYTES_LIMIT),
            process: recovered.opened.process,
            opened_at_ms: recovered.segments.last_key_value().map_or(i64::MAX, |(_, opened_at_ms)| *opened_at_ms),
            file: recovered.file,
            end: recovered.opened.end,
            chain: recovered.chain,
            unsynced_bytes: 0,
            synced_at: Instant::now(),
            relaxed_stalled: false,
            maker: FrameMaker::default(),
            group: Vec::new(),
            stats: Stats::default(),
            lock: Some(lock),
        }
    }

    pub(crate) fn run(mut self) {
        let mut jobs = VecDeque::new();
        let mut tick_at = Instant::now() + RELAXED_DELAY;
        let mut closing = false;
        while !closing && !self.shared.is_poisoned() {
            let (relaxed, close) = self.wait(&mut jobs, &mut tick_at);
            closing = close;
            if let Err(Failure::Poison(why)) = self.work(&mut jobs, relaxed) {
                self.shared.poison(why);
            }
        }
        if !self.shared.is_poisoned()
            && let Err(Failure::Poison(why)) = self.finish()
        {
            self.shared.poison(why);
        }
        // Dropping self ends it for everyone who still waits.
    }

    /// Waits for something to do: takes every job, and says whether relaxed records are due and whether to close.
    fn wait(&self, jobs: &mut VecDeque<Job>, tick_at: &mut Instant) -> (bool, bool) {
        let mut queue = hold(&self.shared.queue);
        loop {
            let now = Instant::now();
            let ticked = now >= *tick_at;
            if ticked {
                *tick_at = now + RELAXED_DELAY;
            }
            // When the disk was full they wait for the next tick, or this would spin.
            let asked = !queue.flushes.is_empty();
            let relaxed = (queue.relaxed.len() > 1 && !self.relaxed_stalled) || queue.closing || ticked;
            let relaxed_work = asked || relaxed && (!queue.relaxed.is_empty() || self.unsynced_bytes > 0);
            if !queue.jobs.is_empty() || relaxed_work || queue.closing {
                // The queue gets the empty one back, so neither is made anew.
                std::mem::swap(jobs, &mut queue.jobs);
                return (relaxed_work, queue.closing);
            }
            queue.sleeping = true;
            queue = if self.shared.relaxed_bytes_max == 0 {
                self.shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner)
            } else {
                let most = tick_at.saturating_duration_since(now);
                self.shared.work.wait_timeout(queue, most).unwrap_or_else(PoisonError::into_inner).0
            };
            queue.sleeping = false;
        }
    }

    fn work(&mut self, jobs: &mut VecDeque<Job>, relaxed: bool) -> Result<(), Failure> {
        while !jobs.is_empty() {
            self.commit(jobs)?;
        }
        if relaxed {
            let flushes = std::mem::take(&mut hold(&self.shared.queue).flushes);
            self.write_relaxed()?;
            if !flushes.is_empty() && self.unsynced_bytes > 0 {
                self.sync(0)?;
            }
            // A full disk has kept them in memory: whoever waits is told that it did not work.
            if !self.relaxed_stalled {
                for answer in flushes {
                    let _ = answer.send(());
                }
            }
        }
        let long_ago = || self.synced_at.elapsed() >= RELAXED_DELAY;
        if self.unsynced_bytes >= LOOSE_UNSYNCED_BYTES_MAX || (self.unsynced_bytes > 0 && long_ago()) {
            self.sync(0)?;
        }
        Ok(())
    }

    /// One frame of as many jobs as fit, from the front.
    fn commit(&mut self, jobs: &mut VecDeque<Job>) -> Result<(), Failure> {
        let (mut records, mut bytes) = (0, 0);
        while let Some(job) = jobs.front() {
            let with_job = varint_bytes(records + job.records.len()) + bytes + job.payload_bytes;
            if records > 0 && with_job > self.frame_bytes_max {
                break;
            }
            records += job.records.len();
            bytes += job.payload_bytes;
            self.group.extend(jobs.pop_front());
        }
        let written = self.commit_group(records, bytes);
        let at = match written {
            Ok(at) => Ok(at),
            Err(Failure::TakenBack(error)) => Err(error),
            // Those in the group hear of it when it is dropped with the thread, after the journal is poisoned.
            Err(poison) => return Err(poison),
        };
        let mut index = 0;
        let mut places = 0;
        for Job { records, answer, .. } in self.group.drain(..) {
            places += self.shared.places(records.len()) as usize;
            // Whoever no longer waits does not need the answer.
            let _ = answer.send(at.map(|at| Placed { at, index, end: self.end }));
            index += u32::try_from(records.len()).expect("fewer than a frame has bytes");
        }
        self.shared.room.add_permits(places);
        Ok(())
    }

    fn commit_group(&mut self, records: usize, bytes: usize) -> Result<Position, Failure> {
        if self.unsynced_bytes > 0 {
            // Only a loose frame may follow unsynced bytes.
            self.sync(0)?;
        }
        let payload_bytes = varint_bytes(records) + bytes;
        self.make_room(payload_bytes)?;
        let count = u32::try_from(records).expect("fewer than a frame has bytes");
        self.maker.begin(&self.chain, count, payload_bytes);
        for record in self.group.iter().flat_map(|job| &job.records) {
            self.maker.record(record);
        }
        let at = self.write(count, false)?;
        self.sync(records)?;
        Ok(at)
    }

    /// Everything relaxed that has gathered, a chunk a frame. What the disk has no room for stays for the next time.
    fn write_relaxed(&mut self) -> Result<(), Failure> {
        let shared = Arc::clone(&self.shared);
        // No more than is there now: whoever waits for an answer comes next.
        let gathered = hold(&shared.queue).relaxed.len();
        self.relaxed_stalled = false;
        for _ in 0..gathered {
            let Some(chunk) = hold(&shared.queue).relaxed.pop_front() else { break };
            let records = chunk.records as usize;
            let written = self.make_room(varint_bytes(records) + chunk.bytes.len()).and_then(|()| {
                self.maker.begin(&self.chain, chunk.records, varint_bytes(records) + chunk.bytes.len());
                self.maker.encoded(&chunk.bytes);
                self.write(chunk.records, true)
            });
            let mut queue = hold(&shared.queue);
            match written {
                Ok(_) => {
                    queue.relaxed_bytes -= chunk.bytes.len();
                    // The larger one: a chunk written before it was full has not grown yet.
                    if chunk.bytes.capacity() > queue.spare.capacity() {
                        queue.spare = chunk.bytes;
                        queue.spare.clear();
                    }
                }
                Err(failure) => {
                    // The newest chunk may still be filling; an older one is never added to.
                    queue.relaxed.push_front(chunk);
                    return match failure {
                        Failure::TakenBack(_) => {
                            self.relaxed_stalled = true;
                            Ok(())
                        }
                        poison @ Failure::Poison(_) => Err(poison),
                    };
                }
            }
        }
        Ok(())
    }

    /// Readies vault and segment for a frame: goes on in a new segment when it would make this one too long or too old.
    fn make_room(&mut self, payload_bytes: usize) -> Result<(), Failure> {
        if let Some(vault) = &self.vault {
            // A key must be durable before anything that was sealed with it can be.
            vault.sync_new().map_err(|error| Failure::Poison(format!("could not sync the vault: {error}")))?;
        }
        let after = self.end.offset + (FRAME_HEAD_BYTES + payload_bytes) as u64;
        let too_long = after > self.segment_bytes_max;
        let too_old = || self.segment_ms_max.is_some_and(|most| self.segment_age_ms() >= most);
        if self.end.offset == FIRST_FRAME || !(too_long || too_old()) {
            return Ok(());
        }
        if self.unsynced_bytes > 0 {
            self.sync(0)?;
        }
        let segment = self.end.segment + 1;
        let opened_at_ms = self.clock.now().as_ms();
        let header = Header { segment, chain: self.chain, process: self.process, opened_at_ms };
        self.file = match create_segment(&*self.disk, &self.dir, &header) {
            Ok(file) => file,
            Err(CreateError::Absent(error)) => return Err(Failure::TakenBack(refused(&error))),
            Err(CreateError::Unfinished(error)) => {
                // While it is there, recovery would take the segment before it for closed.
                self.disk.remove(&segment_path(&self.dir, segment)).map_err(poison("take a new segment back"))?;
                self.disk.sync_dir(&self.dir).map_err(poison("sync the directory"))?;
                return Err(Failure::TakenBack(refused(&error)));
            }
            Err(CreateError::Unsynced(error)) => return Err(poison("sync a new segment")(error)),
        };
        self.end = Position { segment, offset: FIRST_FRAME };
        self.stats.syncs += 1;
        self.opened_at_ms = opened_at_ms;
        hold(&self.shared.segments).insert(segment, opened_at_ms);
        self.publish();
        Ok(())
    }

    fn segment_age_ms(&self) -> i64 {
        self.clock.now().as_ms().saturating_sub(self.opened_at_ms)
    }

    /// Writes the frame that was made; a failed write is cut away again.
    fn write(&mut self, records: u32, loose: bool) -> Result<Position, Failure> {
        let at = self.end;
        let (frame, chain) = self.maker.finish(loose);
        if let Err(error) = self.file.write_at(at.offset, frame) {
            self.file.set_len(at.offset).map_err(poison("take a failed write back"))?;
            self.sync(0)?;
            return Err(Failure::TakenBack(refused(&error)));
        }
        let bytes = frame.len() as u64;
        self.chain = chain;
        self.end.offset += bytes;
        self.stats.frames += 1;
        self.stats.records += u64::from(records);
        self.stats.bytes += bytes;
        if loose {
            self.unsynced_bytes += bytes;
        }
        Ok(at)
    }

    /// Makes everything written durable. There is no second try: after a failed sync the system may forget which
    /// pages the disk does not have, and the next sync succeeds without them.
    fn sync(&mut self, records: usize) -> Result<(), Failure> {
        let begun = Instant::now();
        self.file.sync_data().map_err(poison("sync"))?;
        self.synced_at = Instant::now();
        self.unsynced_bytes = 0;
        self.stats.syncs += 1;
        self.publish();
        if let Some(on_sync) = &self.on_sync {
            on_sync(self.synced_at - begun, records);
        }
        Ok(())
    }

    fn publish(&self) {
        *hold(&self.shared.progress) = Progress { end: self.end, chain: self.chain, stats: self.stats };
    }

    /// What an orderly close leaves: everything synced, and a mark that says where it ended.
    fn finish(&mut self) -> Result<(), Failure> {
        if self.unsynced_bytes > 0 {
            self.sync(0)?;
        }
        // A mark that could not be written only makes the next opening a little less sure of itself.
        let _ = write_mark(&*self.disk, &self.dir, &Mark { end: self.end, chain: self.chain });
        Ok(())
    }
}

impl Drop for Committer {
    /// Whatever ended the thread, nobody waits for it for ever and nothing more is taken.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.poison("the thread that writes has panicked".to_owned());
        }
        self.shared.room.close();
        // Before anyone is told that it is over, so that whoever is may open it again.
        self.lock = None;
        let left = {
            let mut queue = hold(&self.shared.queue);
            queue.closing = true;
            queue.relaxed_lost += queue.relaxed.drain(..).map(|chunk| u64::from(chunk.records)).sum::<u64>();
            queue.relaxed_bytes = 0;
            queue.flushes.clear();
            std::mem::take(&mut queue.jobs)
        };
        let why = self.shared.why_stopped();
        for Job { answer, .. } in self.group.drain(..).chain(left) {
            let _ = answer.send(Err(why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::SimDisk;
    use super::super::recover::recover;
    use super::*;
    use std::path::Path;

    /// A frame that claims to stand on synced ground is not even written before that is so.
    #[test]
    fn inv_07_only_a_loose_frame_follows_unsynced_bytes() {
        let disk = SimDisk::new();
        let dir = Path::new("/j");
        let recovered = recover(&disk, dir, None, Some(7), 0, &mut |_, _| Ok(())).unwrap();
        let shared = Arc::new(Shared::new(&Options::new(dir), &recovered));
        let lock = disk.lock(dir).unwrap().unwrap();
        let file = segment_path(dir, 0);
        let disk = Arc::new(disk);
        let mut committer = Committer::new(Arc::clone(&shared), disk.clone(), Options::new(dir), recovered, lock);
        assert!(shared.append_relaxed(b"nobody waits"));
        assert!(committer.write_relaxed().is_ok());
        let loose = disk.bytes(&file).unwrap();
        assert_eq!(committer.unsynced_bytes, loose.len() as u64 - FIRST_FRAME);

        disk.fail_sync_in(1);
        let (answer, mut answered) = oneshot::channel();
        let mut jobs = VecDeque::from([Job { records: vec![b"somebody does".to_vec()], payload_bytes: 14, answer }]);
        let Err(Failure::Poison(why)) = committer.commit(&mut jobs) else { panic!("it was told to fail") };
        assert_eq!(disk.bytes(&file).unwrap(), loose);
        shared.poison(why);
        drop(committer);
        assert_eq!(answered.try_recv(), Ok(Err(AppendError::Poisoned)));
    }
}
