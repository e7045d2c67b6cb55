//! What a mailbox shed: how much in all, and what is still to be told in a gap notice (D5). Where a notice
//! belongs it is told by the mailbox; it knows no queue.

use crate::message::{Gap, MessageId};
use crate::stats::Counter;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// See the module.
#[derive(Debug)]
pub(super) struct Gaps {
    /// The position that the notice belongs before; `NOTHING` if there is none.
    at: AtomicU64,
    pending: Mutex<Pending>,
    total: Counter,
    conflated: Counter,
}

const NOTHING: u64 = u64::MAX;

/// See [`Gaps`].
#[derive(Debug, Default)]
struct Pending {
    gap: Option<Gap>,
    /// The final message has its totals: nothing is shed any more.
    is_sealed: bool,
}

impl Gaps {
    pub(super) fn new() -> Self {
        Self {
            at: AtomicU64::new(NOTHING),
            pending: Mutex::new(Pending::default()),
            total: Counter::default(),
            conflated: Counter::default(),
        }
    }

    /// False if it comes too late: what did not get in before the end was not shed, but found it closed.
    pub(super) fn record(&self, id: MessageId, position: u64) -> bool {
        let mut pending = self.pending.lock();
        if pending.is_sealed {
            return false;
        }
        self.total.add_alone(1);
        match &mut pending.gap {
            Some(gap) => {
                gap.count += 1;
                gap.last = id;
            }
            gap => {
                *gap = Some(Gap {
                    count: 1,
                    first: id,
                    last: id,
                });
                // Relaxed: under the lock against `take`; made visible by what the publisher does next.
                self.at.store(position, Ordering::Relaxed);
            }
        }
        true
    }

    /// A message was conflated, which is no gap.
    pub(super) fn record_conflated(&self) {
        self.conflated.add(1);
    }

    /// Before which position a notice belongs, if there is one to tell.
    #[inline]
    pub(super) fn due_at(&self) -> Option<u64> {
        // Relaxed: whoever published the next message after a shedding publish had returned made this visible
        // with it (Acquire in the queue's `pop`).
        let at = self.at.load(Ordering::Relaxed);
        (at != NOTHING).then_some(at)
    }

    /// The notice.
    pub(super) fn take(&self) -> Option<Gap> {
        let mut pending = self.pending.lock();
        // Relaxed: under the lock, as in `record`.
        self.at.store(NOTHING, Ordering::Relaxed);
        pending.gap.take()
    }

    /// The last notice: nothing is shed from here on.
    pub(super) fn seal(&self) -> Option<Gap> {
        let mut pending = self.pending.lock();
        pending.is_sealed = true;
        // Relaxed: under the lock, as in `record`.
        self.at.store(NOTHING, Ordering::Relaxed);
        pending.gap.take()
    }

    pub(super) fn total(&self) -> u64 {
        self.total.get()
    }

    pub(super) fn conflated(&self) -> u64 {
        self.conflated.get()
    }
}
