//! Who is told of explicit subscribers that come and go.

use crate::sync::unmodelled::Arc;
use crate::sync::{Mutex, contain};
use std::fmt;

/// Is told of explicit subscribers of states, on the thread that makes or drops them, without any lock
/// held: it may do anything, and publish. If it panics, nobody else notices.
pub trait StateObserver: Send + Sync {
    /// Somebody is interested in that state: the subscriber exists, its subscription does not yet.
    fn on_subscribe(&self, id: &str) {
        let _ = id;
    }

    /// A subscriber of that state has gone, and so may have the state.
    fn on_unsubscribe(&self, id: &str) {
        let _ = id;
    }
}

type List = Arc<[(u64, Arc<dyn StateObserver>)]>;

/// All that are told.
#[derive(Default)]
pub(super) struct Observers {
    list: Mutex<Numbered>,
}

#[derive(Default)]
struct Numbered {
    next: u64,
    list: Option<List>,
}

impl Observers {
    pub(super) fn add(this: &Arc<Self>, observer: Arc<dyn StateObserver>) -> StateObservation {
        let mut numbered = this.list.lock();
        let number = numbered.next;
        numbered.next += 1;
        let old = numbered.list.take();
        let all = old.iter().flat_map(|list| list.iter().cloned());
        numbered.list = Some(all.chain([(number, observer)]).collect());
        drop(numbered);
        StateObservation {
            number,
            observers: Arc::clone(this),
        }
    }

    pub(super) fn tell(&self, what: impl Fn(&dyn StateObserver)) {
        let list = self.list.lock().list.clone();
        for (_, observer) in list.iter().flat_map(|list| list.iter()) {
            contain(|| what(&**observer));
        }
    }

    fn remove(&self, number: u64) {
        let mut numbered = self.list.lock();
        let old = numbered.list.take();
        let all = old.iter().flat_map(|list| list.iter());
        let left: List = all.filter(|(it, _)| *it != number).cloned().collect();
        numbered.list = (!left.is_empty()).then_some(left);
        drop(numbered);
        // Here, without the lock: it may be the observer's end.
        drop(old);
    }
}

/// While it lives, an observer is told. Dropping it ends that: who is just being told may still be at it.
#[must_use = "dropping it ends the observation"]
pub struct StateObservation {
    number: u64,
    observers: Arc<Observers>,
}

impl Drop for StateObservation {
    fn drop(&mut self) {
        self.observers.remove(self.number);
    }
}

impl fmt::Debug for StateObservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateObservation").finish_non_exhaustive()
    }
}
