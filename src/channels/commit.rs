//! To change something and to publish the change as one step: the messages are made ready without a lock,
//! since that runs filters of others, and offered under the lock of what was changed. If somebody changed
//! it meanwhile, or subscribed with a filter that was not asked, they are made anew. So all subscribers see
//! the changes of one object in one order, which is the order in which look-ups see them, and who
//! subscribes and then looks up misses none.

use super::TelephonyError;
use crate::sync::Mutex;
use crate::sync::unmodelled::Arc;
use crate::{Message, Offered, PublishError, Staged, Topic};

/// What became of a snapshot that was to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// It was published.
    Published,
    /// Nothing has changed since the last one, so none was published.
    Unchanged,
    /// It is published when the staging ends.
    Deferred,
}

/// Messages that need only be offered, in that order.
#[derive(Debug, Default)]
pub(super) struct Ready {
    staged: Vec<Staged>,
    error: Option<TelephonyError>,
}

impl Ready {
    /// One more. Declined types are passed over; any other refusal is reported in the end.
    pub(super) fn with(mut self, topic: &Topic, message: Message) -> Self {
        match topic.stage(message) {
            Ok(staged) => self.staged.push(staged),
            Err(PublishError::Declined(_)) => {}
            Err(error) => {
                self.error.get_or_insert(error.into());
            }
        }
        self
    }

    /// False if somebody has come since whose filter was not asked, and who would be passed over.
    pub(super) fn is_current(&self) -> bool {
        self.staged.iter().all(Staged::is_current)
    }

    /// Legal under a lock.
    pub(super) fn offer(self) -> Sent {
        Sent {
            offered: self.staged.into_iter().map(Staged::offer).collect(),
            error: self.error,
        }
    }
}

/// Messages that were offered. To be settled without a lock.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct Sent {
    offered: Vec<Offered>,
    error: Option<TelephonyError>,
}

impl Sent {
    pub(super) fn settle(self) -> Result<(), TelephonyError> {
        let mut error = self.error;
        for offered in self.offered {
            if let Err(refused) = offered.settle() {
                error.get_or_insert(refused.into());
            }
        }
        error.map_or(Ok(()), Err)
    }
}

/// What publish had to say of steps that have happened all the same: the first of it is told in the end.
#[derive(Debug, Default)]
pub(super) struct Unheard(Option<TelephonyError>);

impl Unheard {
    /// Errors of publish are kept for the end; any other is that of a step that did not happen.
    pub(super) fn pass<T>(
        &mut self,
        step: Result<T, TelephonyError>,
    ) -> Result<(), TelephonyError> {
        match step {
            Err(error) if !matches!(error, TelephonyError::Publish(_)) => Err(error),
            step => {
                self.note(step);
                Ok(())
            }
        }
    }

    /// All errors are kept for the end.
    pub(super) fn note<T>(&mut self, step: Result<T, TelephonyError>) {
        if let Err(error) = step {
            self.0.get_or_insert(error);
        }
    }

    pub(super) fn finish(self) -> Result<(), TelephonyError> {
        self.0.map_or(Ok(()), Err)
    }
}

/// Publishes one message. Those of declined types are passed over.
pub(super) fn publish(topic: &Topic, message: Message) -> Result<(), TelephonyError> {
    match topic.publish(message) {
        Ok(_) | Err(PublishError::Declined(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Something whose snapshots are published.
#[derive(Debug)]
pub(super) struct Live<S>(Mutex<State<S>>);

#[derive(Debug)]
struct State<S> {
    latest: Arc<S>,
    /// How often it was changed.
    version: u64,
    stage: Stage,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No snapshot was published.
    Unknown,
    Known,
    Ended,
}

/// A change of a [`Live`].
pub(super) struct Step<'a, S> {
    /// What was published last.
    pub(super) old: Option<&'a Arc<S>>,
    pub(super) new: &'a Arc<S>,
}

impl<S> Live<S> {
    pub(super) fn new(first: S) -> Self {
        Self(Mutex::new(State {
            latest: Arc::new(first),
            version: 0,
            stage: Stage::Unknown,
        }))
    }

    pub(super) fn latest(&self) -> Arc<S> {
        Arc::clone(&self.0.lock().latest)
    }

    pub(super) fn is_ended(&self) -> bool {
        self.0.lock().stage == Stage::Ended
    }

    /// Publishes what `stage` makes of the latest snapshot, unless it has ended: nothing that changed it
    /// meanwhile was published before that.
    pub(super) fn tell(
        &self,
        ended: impl Fn() -> TelephonyError,
        stage: impl Fn(&Arc<S>) -> Ready,
    ) -> Result<(), TelephonyError> {
        loop {
            let (latest, version) = {
                let state = self.0.lock();
                if state.stage == Stage::Ended {
                    return Err(ended());
                }
                (Arc::clone(&state.latest), state.version)
            };
            let ready = stage(&latest);
            let sent = {
                let state = self.0.lock();
                if state.version != version || !ready.is_current() {
                    drop(state);
                    continue;
                }
                ready.offer()
            };
            return sent.settle();
        }
    }

    /// Has `next` make a new snapshot of the latest, or none, `stage` the messages that tell of it, and
    /// `store` put it where others look it up. None if there was none. `ended` is the error if it has
    /// ended; with `is_last` it has ended after this. The caller settles.
    pub(super) fn commit(
        &self,
        is_last: bool,
        ended: impl Fn() -> TelephonyError,
        next: impl Fn(&S, bool) -> Result<Option<S>, TelephonyError>,
        stage: impl Fn(Step<'_, S>) -> Ready,
        store: impl Fn(&Arc<S>),
    ) -> Result<Option<Sent>, TelephonyError> {
        loop {
            let (latest, version, announced) = {
                let state = self.0.lock();
                if state.stage == Stage::Ended {
                    return Err(ended());
                }
                let announced = state.stage == Stage::Known;
                (Arc::clone(&state.latest), state.version, announced)
            };
            let Some(new) = next(&latest, announced)? else {
                return Ok(None);
            };
            let new = Arc::new(new);
            let ready = stage(Step {
                old: announced.then_some(&latest),
                new: &new,
            });
            let mut state = self.0.lock();
            if state.version != version || !ready.is_current() {
                // Somebody was faster, or has come and looked up what was. What is ready is dropped after
                // the lock.
                drop(state);
                continue;
            }
            state.version += 1;
            state.stage = if is_last { Stage::Ended } else { Stage::Known };
            state.latest = Arc::clone(&new);
            store(&new);
            return Ok(Some(ready.offer()));
        }
    }
}
