//! The word that says how many workers search and how many sleep, and whether the pool is to end. All
//! writes to it are the named transitions here; what they are for stands in `idle.rs` and `README.md`.

use std::fmt;

use crate::sync::atomic::{AtomicU32, Ordering};

/// The most workers that one pool can have: each count in the word has 14 bits.
pub(crate) const MAX_WORKERS: usize = 0x3fff;

const ONE_SEARCHING: u32 = 1;
const SEARCHING: u32 = MAX_WORKERS as u32;
const PARKED_SHIFT: u32 = 14;
const ONE_PARKED: u32 = 1 << PARKED_SHIFT;
const PARKED: u32 = (MAX_WORKERS as u32) << PARKED_SHIFT;
/// Set by the worker that goes to sleep as the watcher, cleared when it is taken off the list of sleepers,
/// both under the lock. Excludes that another one watches.
const WATCHED: u32 = 1 << 28;
#[cfg(test)]
const SPARE: u32 = 1 << 29;
/// Set by `stop`, never cleared. A submitter that sees it asks under the lock whether the pool is `GONE`.
const STOPPING: u32 = 1 << 30;
/// Set, under the lock, by the worker that finds every worker parked and no work left, once `STOPPING` is
/// set; never cleared. Excludes that any worker takes work again.
const GONE: u32 = 1 << 31;

/// Whether a look at the queues counts a single piece in a worker's own queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Singles {
    Visible,
    /// Somebody watches those.
    Watched,
}

/// One value of the word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot(u32);

impl Snapshot {
    pub(super) fn searching(self) -> usize {
        (self.0 & SEARCHING) as usize
    }
    pub(super) fn parked(self) -> usize {
        ((self.0 & PARKED) >> PARKED_SHIFT) as usize
    }
    pub(super) fn is_stopping(self) -> bool {
        self.0 & STOPPING != 0
    }
    pub(super) fn is_gone(self) -> bool {
        self.0 & GONE != 0
    }
    pub(super) fn is_watched(self) -> bool {
        self.0 & WATCHED != 0
    }
    /// What a look counts that comes after this value, or after a transition from it: W2.
    pub(super) fn singles(self) -> Singles {
        if self.is_watched() {
            Singles::Watched
        } else {
            Singles::Visible
        }
    }
    /// Nobody is about to look, and somebody could be made to.
    pub(super) fn needs_waking(self) -> bool {
        self.searching() == 0 && self.parked() > 0
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("searching", &self.searching())
            .field("parked", &self.parked())
            .field("watched", &self.is_watched())
            .field("stopping", &self.is_stopping())
            .field("gone", &self.is_gone())
            .finish()
    }
}

/// `{ gone: 1 bit, stopping: 1 bit, spare: 1 bit, watched: 1 bit, parked: 14 bits, searching: 14 bits }`.
///
/// | gone | stopping | watched | parked        | meaning                                                |
/// |------|----------|---------|---------------|--------------------------------------------------------|
/// | 0    | 0        | 0       | any           | open                                                   |
/// | 0    | 0        | 1       | one at least  | open; one of the sleepers will get up by itself        |
/// | 0    | 1        | as above| any           | told to stop; what is submitted is still run           |
/// | 1    | 1        | 0       | 0 (all woken) | over: no worker takes work; a submitter takes its back |
///
/// `searching + parked <= workers`; the rest is running work. `parked` changes under the lock of the
/// sleepers only and is the length of their list; `searching` changes without it.
pub(super) struct Word(AtomicU32);

impl Word {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    pub(super) fn load(&self) -> Snapshot {
        // Relaxed: a decision is made on it only after a fence (F1a), or under the lock of the sleepers.
        Snapshot(self.0.load(Ordering::Relaxed))
    }

    /// Running -> searching, unless as many as half of the workers search already.
    pub(super) fn transition_to_searching(&self, workers: usize) -> bool {
        let mut now = self.load();
        while 2 * now.searching() < workers {
            // Relaxed: publishes nothing; what was released in the word before stays so, this being a
            // read-modify-write.
            match self.0.compare_exchange_weak(
                now.0,
                now.0 + ONE_SEARCHING,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(other) => now = Snapshot(other),
            }
        }
        false
    }

    /// Searching -> running. Returns what was there before.
    pub(super) fn transition_to_running(&self) -> Snapshot {
        // Release: the work that this worker moved into its local queue or onto the shelf is visible to
        // the next worker that leaves the word as the last searcher (`transition_to_parked`, here). L2.
        // Acquire: the other side of that.
        Snapshot(self.0.fetch_sub(ONE_SEARCHING, Ordering::AcqRel))
    }

    /// Running or searching -> parked, as the watcher or not. Under the lock of the sleepers. Returns what is
    /// there after.
    pub(super) fn transition_to_parked(&self, was_searching: bool, watching: bool) -> Snapshot {
        let change =
            ONE_PARKED - u32::from(was_searching) * ONE_SEARCHING + u32::from(watching) * WATCHED;
        // Acquire: sees what other workers moved before they left the search (`transition_to_running`).
        // Release: continues what was released; the F1b that follows orders this with submitters.
        Snapshot(self.0.fetch_add(change, Ordering::AcqRel) + change)
    }

    /// Parked -> searching (somebody is woken, or gets up to look) or running. Under the lock.
    pub(super) fn transition_from_parked(&self, to_searching: bool, watching: bool) {
        let change =
            ONE_PARKED - u32::from(to_searching) * ONE_SEARCHING + u32::from(watching) * WATCHED;
        // Relaxed: the sleeper learns what there is to see through its parker, and through the queue.
        self.0.fetch_sub(change, Ordering::Relaxed);
    }

    pub(super) fn transition_to_stopping(&self) {
        // Relaxed: under the lock of the sleepers, which the worker that ends the pool takes as well.
        self.0.fetch_or(STOPPING, Ordering::Relaxed);
    }

    /// Under the lock, as are all who ask `is_gone`. All are parked, and none will be.
    pub(super) fn transition_to_gone(&self) {
        // Relaxed: read under the lock of the sleepers, or after a parker's token.
        let before = Snapshot(self.0.fetch_or(GONE, Ordering::Relaxed));
        debug_assert!(before.is_stopping());
        debug_assert_eq!(before.searching(), 0);
        debug_assert!(!before.is_watched());
        // Relaxed: as above.
        self.0.fetch_and(!PARKED, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_the_word_are_disjoint_and_cover_it() {
        assert_eq!(SEARCHING & PARKED, 0);
        assert_eq!(
            (SEARCHING | PARKED) & (WATCHED | SPARE | STOPPING | GONE),
            0
        );
        assert_eq!(
            SEARCHING | PARKED | WATCHED | SPARE | STOPPING | GONE,
            u32::MAX
        );
        assert_eq!(
            SEARCHING ^ PARKED ^ WATCHED ^ SPARE ^ STOPPING ^ GONE,
            u32::MAX
        );
    }
}
