//! The books of what a mailbox shed: how many messages, which, and the notice that is still to be given (D5).
//! Most mailboxes never shed, so what that takes is allocated by the first that does.

use crate::message::{Gap, MessageId};
use crate::stats::Counter;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::unmodelled::OnceLock;

/// See the module.
#[derive(Debug)]
pub(super) struct Gaps {
    /// The position that the notice belongs before; [`NOTHING`] if there is none.
    at: AtomicU64,
    shed: OnceLock<Box<Shed>>,
}

const NOTHING: u64 = u64::MAX;

/// What was shed, and of that what is not told yet.
#[derive(Debug)]
struct Shed {
    pending: Mutex<Option<Gap>>,
    total: Counter,
    conflated: Counter,
}

impl Gaps {
    pub(super) fn new() -> Self {
        Self {
            at: AtomicU64::new(NOTHING),
            shed: OnceLock::new(),
        }
    }

    fn shed(&self) -> &Shed {
        self.shed.get_or_init(|| {
            Box::new(Shed {
                pending: Mutex::new(None),
                total: Counter::default(),
                conflated: Counter::default(),
            })
        })
    }

    /// Books a message that was shed; `position` is what the notice belongs before, if it is the first.
    pub(super) fn record(&self, id: MessageId, position: u64) {
        let shed = self.shed();
        let mut pending = shed.pending.lock();
        shed.total.add_alone(1);
        match &mut *pending {
            Some(gap) => {
                gap.count += 1;
                gap.last = id;
            }
            None => {
                *pending = Some(Gap {
                    count: 1,
                    first: id,
                    last: id,
                });
                // Relaxed: under the lock against `take`; made visible by what the publisher does next.
                self.at.store(position, Ordering::Relaxed);
            }
        }
    }

    /// The position that the notice belongs before, if there is one to be given.
    #[inline]
    pub(super) fn due(&self) -> Option<u64> {
        // Relaxed: whoever published the next message after a shedding publish had returned made this visible
        // with it (Acquire in the queue's `pop`).
        let at = self.at.load(Ordering::Relaxed);
        (at != NOTHING).then_some(at)
    }

    pub(super) fn take(&self) -> Option<Gap> {
        let mut pending = self.shed().pending.lock();
        // Relaxed: under the lock, as in `record`.
        self.at.store(NOTHING, Ordering::Relaxed);
        pending.take()
    }

    /// Books a message that a newer one of its key took the place of: that is no gap.
    pub(super) fn count_conflated(&self) {
        self.shed().conflated.add(1);
    }

    pub(super) fn total(&self) -> u64 {
        self.shed.get().map_or(0, |shed| shed.total.get())
    }

    pub(super) fn conflated(&self) -> u64 {
        self.shed.get().map_or(0, |shed| shed.conflated.get())
    }
}
