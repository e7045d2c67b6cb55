//! What seldom happens to a subscription: that its mailbox sheds messages (how many, which, and the notice
//! that is still to be given, D5), that its filter declines them, that its handler panics. Most
//! subscriptions see nothing of it, so the books are allocated when the first of these things happens.

use crate::message::{Gap, MessageId};
use crate::stats::Counter;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::unmodelled::OnceBox;

/// See the module.
#[derive(Debug)]
pub(super) struct Gaps {
    /// The position that the notice belongs before; [`NOTHING`] if there is none. It leaves [`NOTHING`] by
    /// an exchange only, so the consumer seals it without the books if there are none.
    at: AtomicU64,
    seldom: OnceBox<Seldom>,
}

const NOTHING: u64 = u64::MAX;
/// The final message has its totals: nothing is shed any more.
const SEALED: u64 = u64::MAX - 1;

/// The books. See `stats.rs` for who writes what.
#[derive(Debug)]
pub(crate) struct Seldom {
    /// What was shed and is not told yet.
    pending: Mutex<Option<Gap>>,
    /// By publishers, under the lock of `pending`.
    pub(crate) shed: Counter,
    /// By publishers.
    pub(crate) conflated: Counter,
    /// By publishers and the consumer: declined by the closure.
    pub(crate) filtered: Counter,
    /// By publishers that must not wait: kept past the limit of a mailbox that blocks its publishers.
    pub(crate) past_limit: Counter,
    /// By publishers: panics of the filter or the key function.
    pub(crate) hook_panics: Counter,
    /// By the consumer.
    pub(crate) discarded: Counter,
    pub(crate) panics: Counter,
}

impl Gaps {
    pub(super) fn new() -> Self {
        Self {
            at: AtomicU64::new(NOTHING),
            seldom: OnceBox::new(),
        }
    }

    /// The books, to write into.
    pub(super) fn seldom(&self) -> &Seldom {
        self.seldom.get_or_init(|| {
            Box::new(Seldom {
                pending: Mutex::new(None),
                shed: Counter::default(),
                conflated: Counter::default(),
                filtered: Counter::default(),
                past_limit: Counter::default(),
                hook_panics: Counter::default(),
                discarded: Counter::default(),
                panics: Counter::default(),
            })
        })
    }

    /// The books, if there is anything in them.
    pub(super) fn seldom_if_any(&self) -> Option<&Seldom> {
        self.seldom.get()
    }

    /// Books a message that was shed; `position` is what the notice belongs before, if it is the first.
    /// False if it comes too late: what did not get in before the end was not shed, but found it closed.
    pub(super) fn record(&self, id: MessageId, position: u64) -> bool {
        debug_assert!(position < SEALED);
        let seldom = self.seldom();
        let mut pending = seldom.pending.lock();
        match &mut *pending {
            Some(gap) => {
                gap.count += 1;
                gap.last = id;
            }
            None => {
                // Relaxed: it decides between this and `seal`; else it is made visible by what the
                // publisher does next.
                let first = self.at.compare_exchange(
                    NOTHING,
                    position,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                if first.is_err() {
                    return false;
                }
                *pending = Some(Gap {
                    count: 1,
                    first: id,
                    last: id,
                });
            }
        }
        seldom.shed.add_alone(1);
        true
    }

    /// The position that the notice belongs before, if there is one to be given.
    #[inline]
    pub(super) fn due(&self) -> Option<u64> {
        // Relaxed: whoever published the next message after a shedding publish had returned made this visible
        // with it (Acquire in the queue's `pop`).
        let at = self.at.load(Ordering::Relaxed);
        (at < SEALED).then_some(at)
    }

    /// The notice. By the consumer only, when one is due.
    pub(super) fn take(&self) -> Option<Gap> {
        self.take_and_leave(NOTHING)
    }

    /// The last notice, if there is one. By the consumer only, in its final run: nothing is shed from here
    /// on.
    pub(super) fn seal(&self) -> Option<Gap> {
        // Relaxed: as in `record`. Without a notice that is due there is nothing else to seal.
        let sealed =
            self.at
                .compare_exchange(NOTHING, SEALED, Ordering::Relaxed, Ordering::Relaxed);
        match sealed {
            Ok(_) | Err(SEALED) => None,
            Err(_) => self.take_and_leave(SEALED),
        }
    }

    fn take_and_leave(&self, at: u64) -> Option<Gap> {
        let mut pending = self.seldom().pending.lock();
        // Relaxed: under the lock that `record` holds.
        self.at.store(at, Ordering::Relaxed);
        pending.take()
    }
}
