//! Rounds: what several members' turns decide at about the same time goes into one frame
//! of the journal and costs one sync and one switch of threads.
//!
//! The first turn that is ready begins a round; it leaves when everybody who can run has
//! run, with all who have come by then. While it waits for the disk, the next one gathers.

use super::turn::Turn;
use super::{Engine, EngineError};
use crate::decide::MemberState;
use crate::store::Batch;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// What a turn has decided, ready to be journalled and applied.
pub(super) struct Decision {
    /// Holds the member until it is done. Boxed, as the list of a round grows.
    pub turn: Box<Turn>,
    /// As the member is then.
    pub member: Arc<MemberState>,
    /// Encoded.
    pub records: Vec<Vec<u8>>,
    /// The turn's own last.
    pub batches: Vec<Batch>,
}

type Answer = oneshot::Sender<Result<Arc<MemberState>, EngineError>>;

/// Those who wait for the next round.
#[derive(Default)]
pub(super) struct Rounds(Mutex<Vec<Waiting>>);

type Waiting = (Decision, Answer);

impl Rounds {
    /// Tells whether this is the first of its round.
    fn join(&self, waiting: Waiting) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(waiting);
        all.len() == 1
    }
    fn leave(&self) -> Vec<Waiting> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine {
    /// Journals and applies a decision together with others.
    pub(super) async fn commit_in_a_round(
        self: &Arc<Self>,
        decision: Decision,
    ) -> Result<Arc<MemberState>, EngineError> {
        let (answer, answered) = oneshot::channel();
        if self.rounds.join((decision, answer)) {
            let engine = Arc::clone(self);
            // In a task of its own: a client that hangs up must not stop it half-way.
            tokio::spawn(async move {
                // Behind everybody who can run now.
                tokio::task::yield_now().await;
                engine.commit_round(engine.rounds.leave()).await;
            });
        }
        answered.await.unwrap_or(Err(EngineError::Stopping))
    }

    async fn commit_round(&self, mut all: Vec<Waiting>) {
        while !all.is_empty() {
            // As many as fit into a frame; one that does not fit by itself hears so.
            let mut bytes = 0;
            let fits = |(decision, _): &&Waiting| {
                bytes += decision.records.iter().map(|record| record.len() + RECORD_HEAD_BYTES).sum::<usize>();
                bytes <= self.options.frame_bytes_max - RECORD_HEAD_BYTES
            };
            let next = all.split_off(all.iter().take_while(fits).count().max(1));
            let mut round = std::mem::replace(&mut all, next);
            let records = round.iter_mut().flat_map(|(decision, _)| std::mem::take(&mut decision.records)).collect();
            let batches = round.iter_mut().map(|(decision, _)| std::mem::take(&mut decision.batches)).collect();
            let mut committed = self.journal_then_state(records, batches).await.map(Vec::into_iter);
            for (decision, answer) in round {
                let Decision { turn, member, .. } = decision;
                let committed = match &mut committed {
                    Ok(each) => each.next().unwrap_or(Err(EngineError::Stopping)),
                    Err(error) => Err(error.repeated()),
                };
                let answered = match committed {
                    Ok(()) => {
                        turn.count(&member);
                        Ok(member)
                    }
                    Err(error) => {
                        self.not_taken(&turn, &error);
                        Err(error)
                    }
                };
                drop(turn);
                // Whoever no longer waits does not need the answer.
                let _ = answer.send(answered);
            }
        }
    }
}

/// What a record, or their count, takes in a frame besides itself.
const RECORD_HEAD_BYTES: usize = 5;
