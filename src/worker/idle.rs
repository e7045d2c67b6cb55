//! Who searches for work, who sleeps, who is woken, and when the pool is over. This is the protocol of
//! `README.md` beside this file; the numbers and labels (S1, P2, F1a ...) in comments are those of the
//! README. It does not know the queues: callers say through a closure whether work is visible.
#![doc = include_str!("README.md")]

use std::fmt;
use std::time::Duration;

use super::stats::Counter;
use super::word::{MAX_WORKERS, Singles, Snapshot, Word};
use crate::sync::atomic::{Ordering, fence};
use crate::sync::{Mutex, MutexGuard, Parker};

#[derive(Debug, Clone, Copy)]
struct Sleeper {
    worker: usize,
    /// Why it will get up on its own; the pool is not over while one is to.
    holding: bool,
    watching: bool,
}

impl Sleeper {
    fn is_timed(&self) -> bool {
        self.holding || self.watching
    }
}

#[derive(Debug)]
struct Sleepers {
    /// The last one to fall asleep is the first one to be woken: its caches are the warmest.
    list: Vec<Sleeper>,
    /// How many of them get up on their own.
    timed: usize,
    /// Fewer than `Idle::parkers` only when a thread could not be spawned.
    workers: usize,
}

impl Sleepers {
    fn remove_at(&mut self, position: usize) -> Sleeper {
        let sleeper = self.list.remove(position);
        self.timed -= usize::from(sleeper.is_timed());
        sleeper
    }

    /// The next one to wake: one that would not get up on its own, if there is one.
    fn take_next(&mut self) -> Option<Sleeper> {
        let newest = self.list.len().checked_sub(1)?;
        let position = if self.timed == 0 {
            newest
        } else {
            let free = self.list.iter().rposition(|sleeper| !sleeper.is_timed());
            free.unwrap_or(newest)
        };
        Some(self.remove_at(position))
    }

    fn all_are_idle(&self) -> bool {
        self.timed == 0 && self.list.len() == self.workers
    }
}

/// What came of telling the sleepers about new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Announced {
    /// A worker will look, or has.
    Heard,
    /// The pool is over. The caller takes as much work back as it has put in.
    Gone,
}

/// What came of the attempt to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum FallAsleep {
    /// The worker is on the list, as the watcher or not: it calls `sleep` next.
    Asleep { watching: bool },
    /// There is work after all: the worker is searching.
    WorkVisible,
    /// The pool is over.
    Gone,
}

/// What a worker knows that is about to fall asleep: reasons to get up on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timed {
    /// It has stalled work of its own.
    pub(super) is_holding: bool,
    /// It has seen single pieces in the queues of others, which it leaves to them: it is to watch.
    pub(super) has_seen_singles: bool,
}

/// Why a worker is awake again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Woken {
    /// It was called, or has watched, and counts as searching.
    Called,
    /// Its time ran out. It does not count as searching.
    TimedOut,
    /// The pool is over.
    Gone,
}

/// See the module.
pub(super) struct Idle {
    word: Word,
    sleepers: Mutex<Sleepers>,
    parkers: Box<[Parker]>,
    pub(super) wakeups: Counter,
}

impl Idle {
    pub(super) fn new(workers: usize) -> Self {
        debug_assert!(workers <= MAX_WORKERS);
        Self {
            word: Word::new(),
            sleepers: Mutex::new(Sleepers {
                list: Vec::with_capacity(workers),
                timed: 0,
                workers,
            }),
            parkers: (0..workers).map(|_| Parker::new()).collect(),
            wakeups: Counter::default(),
        }
    }

    /// For statistics.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.word.load()
    }

    /// S2..S4: after work was put where every worker can see it. Wakes at most one worker.
    #[inline]
    pub(super) fn announce(&self) -> Announced {
        // F1a: the push before, the load of the word after. Pairs with F1b in `fall_asleep` and
        // `leave_search`.
        fence(Ordering::SeqCst);
        let now = self.word.load();
        if !now.is_stopping() && !now.needs_waking() {
            return Announced::Heard; // S3
        }
        self.wake_one() // S4
    }

    /// S3 for a single piece that was put into a worker's own empty queue: the watcher, if there is one, sees
    /// to it that it does not stay there. See "Watching".
    #[inline]
    pub(super) fn announce_to_watcher(&self) -> Announced {
        // F1a: as in `announce`.
        fence(Ordering::SeqCst);
        let now = self.word.load();
        if !now.is_stopping() && (now.is_watched() || !now.needs_waking()) {
            return Announced::Heard; // W1
        }
        self.wake_one() // S4
    }

    #[cold]
    fn wake_one(&self) -> Announced {
        let sleepers = self.sleepers.lock();
        let now = self.word.load();
        if now.is_gone() {
            return Announced::Gone;
        }
        debug_assert_eq!(sleepers.list.len(), now.parked());
        if now.needs_waking() {
            self.call_next(sleepers);
        }
        Announced::Heard
    }

    /// Takes the next sleeper off the list and unparks it, the lock released.
    fn call_next(&self, mut sleepers: MutexGuard<'_, Sleepers>) {
        let Some(Sleeper {
            worker, watching, ..
        }) = sleepers.take_next()
        else {
            return;
        };
        self.word.transition_from_parked(true, watching);
        // Under the lock: it has one writer at a time.
        self.wakeups.add_owned(1);
        drop(sleepers);
        self.parkers[worker].unpark();
    }

    /// Running -> searching. False: enough others search.
    pub(super) fn start_search(&self) -> bool {
        self.word.transition_to_searching(self.parkers.len())
    }

    /// L1..L3: the searching worker found something and is about to run it. The last one to leave the
    /// search with more work in sight sends the next one.
    pub(super) fn leave_search(&self, work_visible: impl Fn(Singles) -> bool) {
        let before = self.word.transition_to_running(); // L1
        debug_assert!(before.searching() > 0);
        if before.searching() > 1 || before.parked() == 0 {
            return; // L2
        }
        // F1b: the count went down before, the look at the queues comes after. Pairs with F1a in
        // `announce`: a submitter that saw this worker searching has its work seen here.
        fence(Ordering::SeqCst);
        if work_visible(before.singles()) {
            let announced = self.wake_one(); // L3
            debug_assert_eq!(announced, Announced::Heard);
        }
    }

    /// P1..P4: puts the worker on the list of sleepers, then looks once more, as it is told.
    pub(super) fn fall_asleep(
        &self,
        worker: usize,
        was_searching: bool,
        why: Timed,
        work_visible: impl Fn(Singles) -> bool,
    ) -> FallAsleep {
        let mut sleepers = self.sleepers.lock();
        let sleeper = Sleeper {
            worker,
            holding: why.is_holding,
            watching: why.has_seen_singles && !self.word.load().is_watched(),
        };
        let watching = sleeper.watching;
        sleepers.list.push(sleeper);
        sleepers.timed += usize::from(sleeper.is_timed());
        let now = self.word.transition_to_parked(was_searching, watching); // P1
        let last = now.is_stopping() && sleepers.all_are_idle();
        if !last {
            drop(sleepers);
            // F1b: parked before, the look at the queues comes after. Pairs with F1a in `announce`: either
            // the submitter sees this worker parked, or this worker sees what was submitted.
            fence(Ordering::SeqCst); // P2
            if !work_visible(now.singles()) {
                return FallAsleep::Asleep { watching };
            }
            return match self.get_up(worker, true) {
                Woken::Gone => FallAsleep::Gone,
                Woken::Called | Woken::TimedOut => FallAsleep::WorkVisible,
            };
        }
        // F1b: as above; under the lock, so that a submitter that sees `STOPPING` is either seen here or
        // sees `GONE`.
        fence(Ordering::SeqCst); // E1
        if work_visible(Singles::Visible) {
            let own = sleepers.list.pop();
            debug_assert!(own.is_some_and(|own| own.worker == worker && !own.is_timed()));
            self.word.transition_from_parked(true, false);
            return FallAsleep::WorkVisible;
        }
        self.word.transition_to_gone(); // E2
        let others = std::mem::take(&mut sleepers.list);
        drop(sleepers);
        for sleeper in others.iter().filter(|sleeper| sleeper.worker != worker) {
            self.parkers[sleeper.worker].unpark();
        }
        FallAsleep::Gone
    }

    /// Sleeps until called, or until the time has run out. The watcher gets up to search.
    pub(super) fn sleep(&self, worker: usize, limit: Option<Duration>, watching: bool) -> Woken {
        match limit {
            None => self.parkers[worker].park(),
            Some(limit) if !limit.is_zero() && self.parkers[worker].park_timeout(limit) => {}
            Some(_) => return self.get_up(worker, watching), // W3
        }
        self.woken()
    }

    /// Takes the worker off the list, unless somebody else has: then its token is there or on its way.
    fn get_up(&self, worker: usize, to_search: bool) -> Woken {
        let mut sleepers = self.sleepers.lock();
        let position = sleepers.list.iter().rposition(|s| s.worker == worker);
        if let Some(position) = position {
            let Sleeper { watching, .. } = sleepers.remove_at(position);
            self.word.transition_from_parked(to_search, watching);
            return if to_search {
                Woken::Called
            } else {
                Woken::TimedOut
            };
        }
        drop(sleepers);
        self.parkers[worker].park(); // P4
        self.woken()
    }

    fn woken(&self) -> Woken {
        if self.word.load().is_gone() {
            Woken::Gone
        } else {
            Woken::Called
        }
    }

    /// Tells the workers to end once there is no work left. One of them is woken to find out.
    pub(super) fn stop(&self) {
        let sleepers = self.sleepers.lock();
        self.word.transition_to_stopping();
        self.call_next(sleepers);
    }

    /// A worker's thread could not be spawned: the pool is over when this many are idle.
    pub(super) fn set_workers(&self, workers: usize) {
        debug_assert!(workers <= self.parkers.len());
        self.sleepers.lock().workers = workers;
    }

    /// Under the lock: what submitters take back after the end they take one after the other.
    pub(super) fn exclusively<T>(&self, f: impl FnOnce() -> T) -> T {
        let _sleepers = self.sleepers.lock();
        f()
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle")
            .field("word", &self.word.load())
            .finish_non_exhaustive()
    }
}
