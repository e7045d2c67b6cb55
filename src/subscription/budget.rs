//! The bus-wide budget of messages that wait beyond the capacities of their mailboxes (R4).

use crate::sync::atomic::{AtomicU64, Ordering};

/// See the module.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    granted: AtomicU64,
}

/// How many positions a mailbox takes from the budget at once: it must not be a read-modify-write on one line
/// of the whole bus for each message that is spilled.
pub(super) const GRANT: u64 = 256;

impl Budget {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            granted: AtomicU64::new(0),
        }
    }

    /// How much of it is taken.
    pub(crate) fn granted(&self) -> u64 {
        // Relaxed: a figure.
        self.granted.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self) -> bool {
        // Relaxed: a number, nothing is read through it.
        let before = self.granted.fetch_add(GRANT, Ordering::Relaxed);
        if before + GRANT > self.limit {
            // Relaxed: as above.
            self.granted.fetch_sub(GRANT, Ordering::Relaxed);
            return false;
        }
        true
    }

    pub(super) fn give_back(&self, grants: u64) {
        // Relaxed: as above.
        self.granted.fetch_sub(grants, Ordering::Relaxed);
    }
}
