//! The bus-wide budget of messages that wait beyond the capacities of their mailboxes (R4), and the bound
//! of one mailbox, which moves up with what it is granted.

use crate::queue::grown::MOST_SLOTS;
use crate::sync::atomic::{AtomicU64, Ordering};

/// See the module.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    granted: AtomicU64,
}

/// How many positions a mailbox takes from the budget at once: as many as it has taken before, between these
/// two. One that lags a little leaves most to the others; one that lags far does not make a
/// read-modify-write on one line of the whole bus for each message that is spilled. In models, small.
const FIRST_GRANT: u64 = if cfg!(loom) { 4 } else { 8 };
const LARGEST_GRANT: u64 = if cfg!(loom) { 4 } else { 256 };

impl Budget {
    /// One that nothing is taken of.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            granted: AtomicU64::new(0),
        }
    }

    /// How much of it is taken.
    pub fn granted(&self) -> u64 {
        // Relaxed: a figure.
        self.granted.load(Ordering::Relaxed)
    }

    /// Takes so many, or what is left. Gives how many that were.
    fn take(&self, wanted: u64) -> u64 {
        let mut granted = self.granted();
        loop {
            let taken = wanted.min(self.limit - granted);
            if taken == 0 {
                return 0;
            }
            let next = granted + taken;
            // Relaxed: a number, nothing is read through it.
            match (self.granted).compare_exchange_weak(
                granted,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return taken,
                Err(now) => granted = now,
            }
        }
    }

    fn give_back(&self, taken: u64) {
        // Relaxed: as above.
        let before = self.granted.fetch_sub(taken, Ordering::Relaxed);
        debug_assert!(taken <= before, "more comes back than was taken");
    }
}

/// Beyond so many waiting messages a mailbox has no room. For one that spills without a limit of its own it
/// is its capacity, and what it was granted of the budget.
#[derive(Debug)]
pub struct Bound(AtomicU64);

impl Bound {
    /// Nothing is granted yet.
    pub fn new(bound: u64) -> Self {
        Self(AtomicU64::new(bound))
    }

    /// The bound. May be old news: so a mailbox may hold more than that, by one message for each publisher
    /// that is at it.
    #[inline(always)]
    pub fn get(&self) -> u64 {
        // Relaxed: a number, nothing is read through it.
        self.0.load(Ordering::Relaxed)
    }

    /// The bound after `tried`: that of another publisher, who has found it too low as well, or one with more
    /// of the budget, up to `limit`. None if there is no more to be had. `base` is what it is without any.
    pub fn grow(&self, tried: u64, base: u64, limit: u64, budget: &Budget) -> Option<u64> {
        let bound = self.get();
        if bound > tried {
            return Some(bound);
        }
        // Beyond the largest ring there is no room, whatever is granted.
        let most = limit.min(MOST_SLOTS as u64).saturating_sub(bound);
        let wanted = (bound - base).clamp(FIRST_GRANT, LARGEST_GRANT).min(most);
        let taken = budget.take(wanted);
        if taken == 0 {
            // Perhaps it was for this mailbox that another publisher has just taken the last.
            return Some(self.get()).filter(|bound| *bound > tried);
        }
        let next = bound + taken;
        // Relaxed: as in `get`.
        match (self.0).compare_exchange(bound, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Some(next),
            Err(other) => {
                budget.give_back(taken);
                Some(other)
            }
        }
    }

    /// Nothing waits: what was granted beyond `base` goes back.
    pub fn give_back(&self, base: u64, budget: &Budget) {
        if self.get() != base {
            // Relaxed: as in `get`; the swap makes sure that each grant is given back once.
            let bound = self.0.swap(base, Ordering::Relaxed);
            budget.give_back(bound - base);
        }
    }

    /// So many wait: if that is less than a quarter of the bound, half of it goes back, or what is beyond
    /// `base`. Not if a publisher takes more at this moment.
    pub fn give_back_spare(&self, base: u64, waiting: u64, budget: &Budget) {
        let bound = self.get();
        let next = (bound / 2).max(base);
        if 4 * waiting >= bound || next == bound {
            return;
        }
        // Relaxed: as in `get`.
        let lowered = (self.0).compare_exchange(bound, next, Ordering::Relaxed, Ordering::Relaxed);
        if lowered.is_ok() {
            budget.give_back(bound - next);
        }
    }
}
